"""A connection that knows its statements: SQLAlchemy takes longer to ask a small table than SQLite to answer.

What is asked again and again, as one and the same query, is compiled once by SQLAlchemy and from then on handed to SQLite
itself; so is what the product makes for the driver. All else goes through SQLAlchemy as ever, and everything where somebody
listens to it. Every fiftieth schedule of `run` does without any of it, and every twentieth of the other tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

SHARED = sa.create_engine("sqlite://")  # whose dialect and compiled statements all engines have
SHARED.connect().close()  # the dialect asks once what the database can do
_CHANGES = ("INSERT", "UPDATE", "DELETE")
OFTEN = 3  # times that a query is asked before it is known
MOST = 5_000


@dataclass
class _Known:
    """A query, held so that no other one takes its place in memory. lists: its values that are lists

    made: for the driver, by how long these are; None while it is not, and where SQLAlchemy has to work on its values
    """

    query: Any
    times: int = 0
    fixed: Mapping[str, Any] | None = None
    lists: tuple[str, ...] = ()
    made: dict[tuple[int, ...], _Made] = field(default_factory=dict)


@dataclass(frozen=True)
class _Made:
    """order: each value by its name, and its place in a list"""

    sql: str
    order: tuple[tuple[str, int | None], ...]
    names: tuple[str, ...]
    row: Any


_QUERIES: dict[int, _Known] = {}


def _learn(known: _Known, dialect: sa.Dialect) -> None:
    found = known.query.compile(dialect=dialect)
    columns = found._result_columns
    worked_on = found.literal_execute_params or found._bind_processors
    worked_on = worked_on or any(c.type._cached_result_processor(dialect, None) for c in columns)
    if not worked_on and len({c.keyname for c in columns}) == len(columns):
        known.fixed, known.lists = found.params, tuple(sorted(found.bind_names[p] for p in found.post_compile_params))


def _made(known: _Known, values: Mapping[str, Any], dialect: sa.Dialect) -> _Made:
    found = known.query.compile(dialect=dialect)
    told = found.construct_expanded_state(values)
    place = {name: (of, n) for of, each in told.parameter_expansion.items() for n, name in enumerate(each)}
    order = tuple(place.get(name, (name, None)) for name in told.positiontup or ())
    names = tuple(c.keyname for c in found._result_columns)
    return _Made(told.statement, order, names, _row(names))


def _row(names: tuple[str, ...]) -> Any:
    """A class of tuples whose values are attributes, too."""

    def getter(place: int) -> Any:
        return property(lambda row: row[place])

    return type("Row", (tuple,), {"__slots__": ()} | {name: getter(place) for place, name in enumerate(names)})


class _Found:
    """The rows that were found, as a result of SQLAlchemy gives them."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def first(self) -> Any:
        return self.rows[0] if self.rows else None

    def one(self) -> Any:
        [row] = self.rows
        return row

    def all(self) -> list[Any]:
        return self.rows


class _Result(_Found):
    def __init__(self, made: _Made, rows: list[Any]) -> None:
        super().__init__([made.row(row) for row in rows])
        self.names = made.names

    def mappings(self) -> _Found:
        return _Found([dict(zip(self.names, row, strict=True)) for row in self.rows])

    def scalars(self) -> _Found:
        return _Found([row[0] for row in self.rows])

    def scalar(self) -> Any:
        return self.rows[0][0] if self.rows else None


class Quick(sa.Connection):
    def _ready(self) -> sqlite3.Connection:
        if self._transaction is None:
            self._autobegin()
        elif not self._transaction.is_active:
            self._invalid_transaction()
        found: sqlite3.Connection = self.connection.dbapi_connection  # type: ignore[assignment]
        return found

    def _quick(self) -> bool:
        return self.engine.quick and not self.engine._has_events

    def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        if parameters is None or not self._quick() or not statement.startswith(_CHANGES):
            return super().exec_driver_sql(statement, parameters, execution_options)
        db = self._ready()
        try:
            return (
                db.executemany(statement, parameters) if type(parameters) is list else db.execute(statement, parameters)
            )
        except sqlite3.Error as error:
            self._handle_dbapi_exception(error, statement, parameters, None, None)

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        given = parameters or {}
        known = self._known(statement) if type(statement) is sa.Select and isinstance(given, dict) else None
        if known is None or known.fixed is None or not given.keys() <= known.fixed.keys():
            return super().execute(statement, parameters, execution_options=execution_options)
        values = {**known.fixed, **given}
        for name in known.lists:
            values[name] = list(values[name])
        long = tuple(len(values[name]) for name in known.lists)
        made = known.made.get(long)
        if made is None:
            made = known.made[long] = _made(known, values, self.engine.dialect)
        db = self._ready()
        ordered = [values[name] if n is None else values[name][n] for name, n in made.order]
        try:
            return _Result(made, db.execute(made.sql, ordered).fetchall())
        except sqlite3.Error as error:
            self._handle_dbapi_exception(error, made.sql, ordered, None, None)

    def _known(self, query: Any) -> _Known | None:
        if not self._quick():
            return None
        known = _QUERIES.get(id(query))
        if known is None:
            if len(_QUERIES) >= MOST:
                _QUERIES.clear()
            known = _QUERIES[id(query)] = _Known(query)
        known.times += 1
        if known.times == OFTEN:
            _learn(known, self.engine.dialect)
        return known


class _Immediate(Quick):
    """One that begins as those of `open_store` do."""

    def _begin_impl(self, transaction: Any) -> None:
        super()._begin_impl(transaction)
        if self.engine._has_events:  # of which the beginning is one
            return
        try:
            self.connection.dbapi_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
        except sqlite3.Error as error:
            self._handle_dbapi_exception(error, "BEGIN IMMEDIATE", None, None, None)


class _Engine(sa.Engine):
    _connection_cls = _Immediate
    quick = True


def quick(made: sa.Engine) -> sa.Engine:
    """An engine on the connections of one that `open_store` made for SQLite."""
    engine = _Engine(made.pool, SHARED.dialect, made.url)
    engine._compiled_cache = SHARED._compiled_cache
    engine.dispatch = made.dispatch  # to which whoever listens to this one is added
    return engine
