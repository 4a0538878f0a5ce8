"""Rows into tables by the driver itself, with SQL that is made once: building a statement costs more than its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection as Db

Row = Mapping[str, Any]
_IS = "is_"  # before the name of a column that is asked for, which may be set, too


@dataclass(frozen=True, slots=True)
class _Made:
    """SQL for the driver. order: of its values where the driver counts them; () where it names them."""

    sql: str
    order: tuple[str, ...]


def add(db: Db, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows of the same columns."""
    if rows:
        _write(db, _insert(db.dialect.name, table, tuple(rows[0])), rows)


def add_new(db: Db, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert the rows, of the same columns, whose primary key is not there yet."""
    if rows:
        _write(db, _insert_new(db.dialect.name, table, tuple(rows[0])), rows)


def replace(db: Db, table: sa.Table, rows: Sequence[Row], *, keep: tuple[str, ...]) -> None:
    """Insert rows of the same columns, or replace those of the same primary key but for the columns in `keep`."""
    if rows:
        _write(db, _upsert(db.dialect.name, table, tuple(rows[0]), keep), rows)


def change(db: Db, table: sa.Table, where: Row, values: Row) -> None:
    """Set the values in the rows whose columns equal those of `where`."""
    made = _update(db.dialect.name, table, tuple(where), tuple(values))
    _write(db, made, [{**{f"{_IS}{k}": v for k, v in where.items()}, **values}])


def _write(db: Db, made: _Made, rows: Sequence[Row]) -> None:
    given = [tuple(r[n] for n in made.order) if made.order else dict(r) for r in rows]
    db.exec_driver_sql(made.sql, given if len(given) > 1 else given[0])


@lru_cache
def _dialect(name: str) -> sa.Dialect:
    """What speaks to a kind of database; one for all states, so that a statement is made once for all of them."""
    if name == "postgresql":
        from sqlalchemy.dialects.postgresql import psycopg  # noqa: PLC0415  only where that database is used

        return psycopg.dialect()  # type: ignore[no-untyped-call]
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.dialect()


def _made(name: str, statement: Any, columns: tuple[str, ...]) -> _Made:
    compiled = statement.compile(dialect=_dialect(name), column_keys=list(columns))
    return _Made(str(compiled), tuple(compiled.positiontup or ()))


def _inserting(name: str, table: sa.Table) -> Any:
    """An insert that may say what becomes of a row that is there already."""
    if name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415  only where that database is used
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # noqa: PLC0415
    return insert(table)


@lru_cache(maxsize=64)
def _insert(name: str, table: sa.Table, columns: tuple[str, ...]) -> _Made:
    return _made(name, table.insert().inline(), columns)


@lru_cache(maxsize=64)
def _insert_new(name: str, table: sa.Table, columns: tuple[str, ...]) -> _Made:
    return _made(name, _inserting(name, table).on_conflict_do_nothing(), columns)


@lru_cache(maxsize=64)
def _upsert(name: str, table: sa.Table, columns: tuple[str, ...], keep: tuple[str, ...]) -> _Made:
    statement = _inserting(name, table)
    keys = [c.name for c in table.primary_key.columns]
    changed = {k: statement.excluded[k] for k in columns if k not in keys and k not in keep}
    return _made(name, statement.on_conflict_do_update(index_elements=keys, set_=changed), columns)


@lru_cache(maxsize=64)
def _update(name: str, table: sa.Table, where: tuple[str, ...], columns: tuple[str, ...]) -> _Made:
    found = (table.c[k] == sa.bindparam(f"{_IS}{k}") for k in where)
    return _made(name, table.update().where(*found), columns)
