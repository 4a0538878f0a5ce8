"""A ledger as Parquet in the columns of the canonical relation, read where it lies: nothing of it is copied.

One file holds the documents; or a folder holds `documents.parquet` and, if there are any, `customers.parquet`,
`applications.parquet` and `details.parquet`. Columns go by name, in any order; `DOCUMENTS` says which there may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from hashlib import file_digest
from pathlib import Path
from typing import Any

import duckdb

from tieout.compare.inputs.tables import Connection, append_to
from tieout.errors import ConfigError
from tieout.mapping.keys import customer_number_key, name_key, number_key_sql, plain_sql
from tieout.mapping.relation import KINDS, TABLES, create_table
from tieout.model import PostingState

TEXT = "text"
MONEY = "decimal"
_DECIMAL = re.compile(r"DECIMAL\(([0-9]+),([0-9]+)\)")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_HINTS = {
    TEXT: "text, or a whole number",
    MONEY: "DECIMAL with up to 6 places and 18 digits before them; a float cannot hold money",
    "date": "DATE; a time of day has no place on an accounting date",
    "boolean": "BOOLEAN",
    "sign": "a whole number, 1 or -1",
}


@dataclass(frozen=True, slots=True)
class Column:
    """kind: a key of the hints above · required: a document cannot do without"""

    kind: str
    required: bool = False


# What a file of documents may hold; each is said in mapping.relation. `sign` is for adjustments only; `posted` is
# `issued` where the file does not tell, `state` is posted.
DOCUMENTS: Mapping[str, Column] = {
    "id": Column(TEXT, required=True),
    "kind": Column(TEXT, required=True),
    "subkind": Column(TEXT),
    "sign": Column("sign"),
    "customer": Column(TEXT),
    "customer_number": Column(TEXT),
    "customer_name": Column(TEXT),
    "number": Column(TEXT),
    "marker": Column(TEXT),
    "issued": Column("date", required=True),
    "posted": Column("date"),
    "due": Column("date"),
    "currency": Column(TEXT, required=True),
    "rate": Column(MONEY),
    "net": Column(MONEY),
    "tax": Column(MONEY),
    "discount": Column(MONEY),
    "total": Column(MONEY, required=True),
    "open": Column(MONEY),
    "state": Column(TEXT),
    "voided_on": Column("date"),
    "disputed": Column("boolean"),
    "settled_on": Column("date"),
    "entity_code": Column(TEXT),
    "concerns": Column(TEXT),
    "memo": Column(TEXT),
    "method": Column(TEXT),
}
_SOURCES = ("payment", "credit_memo", "group:payment", "group:credit_memo")
_OF_KIND = "CASE kind WHEN 'invoice' THEN 1 WHEN 'adjustment' THEN {sign} ELSE -1 END"
_STATES = tuple(s.value for s in PostingState)
# What must hold of every row: the condition that breaks it, and what is said then.
Rules = tuple[tuple[str, str], ...]
_RULES: Rules = (
    ("id IS NULL OR id = ''", "have no id"),
    (f"kind IS NULL OR kind NOT IN {KINDS}", f"are of a kind that is none of {', '.join(KINDS)}"),
    ("kind = 'adjustment' AND (sign IS NULL OR sign NOT IN (1, -1))", "are adjustments without a sign of 1 or -1"),
    ("kind = 'adjustment' AND subkind IS NULL", "are adjustments without a subkind"),
    ("issued IS NULL", "have no date"),
    ("currency IS NULL OR currency = ''", "have no currency"),
    ("total IS NULL", "have no total"),
    ("total < 0", "have a total below zero: amounts are positive, the kind carries the sign"),
    (f"state IS NULL OR state NOT IN {_STATES}", f"are in a state that is none of {', '.join(_STATES)}"),
)
# What DuckDB raises for a damaged file, and `Error` itself for one of which the parts do not say where they end.
_DAMAGED = (duckdb.InvalidInputException, duckdb.IOException, duckdb.SerializationException)
# Digits before and after the point: of a rate, and of an amount.
_RATE, _AMOUNT = (12, 12), (18, 6)


def is_parquet(path: Path) -> bool:
    """Whether a path names a ledger in Parquet: such a file, or a folder with documents in it."""
    return path.suffix.lower() in {".parquet", ".pq"} or (path / "documents.parquet").exists()


def attach(con: Connection, path: Path, *, side: str) -> dict[str, Any]:
    """Let the tables of a side be what lies at `path`; what was read, for the provenance.

    The files must stay until the comparison is done. Raises ConfigError where something of them cannot be used.
    `sha256` is left for the caller to fill with `digest`, which may run beside the comparison.
    """
    with readable(path):
        return _attach(con, path, side=side)


@contextmanager
def readable(*paths: Path) -> Iterator[None]:
    """Raises ConfigError for what DuckDB says of files that are damaged. It finds out only where it reads a page."""
    try:
        yield
    except duckdb.Error as error:
        if not paths or not (isinstance(error, _DAMAGED) or type(error) is duckdb.Error):
            raise
        said = str(error).splitlines()[0][:300]
        raise ConfigError(
            f"{' or '.join(map(str, paths))} cannot be read as Parquet: {said}",
            hint="write the file again, or fetch it again; nothing was compared",
        ) from error


def _attach(con: Connection, path: Path, *, side: str) -> dict[str, Any]:
    inside = path / "documents.parquet"
    documents = inside if inside.exists() else path
    given = _columns(con, documents)
    _check_columns(documents, given)
    unknown = sorted(set(given) - set(DOCUMENTS))
    source = _file(documents, numbered=True)
    con.execute(f"CREATE OR REPLACE VIEW {side}_documents AS SELECT {_chosen(given)} FROM {source}")
    rules = (*_RULES, *_beyond(given, {name: c.kind for name, c in DOCUMENTS.items()}))
    rows = _check_rows(con, documents, f"{side}_documents", rules, place="rid", key="id")
    _parties(con, side, given, source)
    facts: dict[str, Any] = {"file": str(documents), "rows": rows, "accepted": rows, "sha256": None}
    for table in ("customers", "applications", "details"):
        beside = path / f"{table}.parquet" if documents == inside else None
        facts |= _copied(con, side, table, beside if beside and beside.exists() else None)
    return facts | ({"not_compared": unknown} if unknown else {})


def digest(path: str) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _file(path: Path, *, numbered: bool = False) -> str:
    """This one file, as SQL: no brackets or stars of its name are a pattern, and no folder's name is a column."""
    name = escape(str(path)).replace("'", "''")
    return f"read_parquet('{name}', hive_partitioning=false, file_row_number={numbered})"


def _columns(con: Connection, path: Path) -> dict[str, str]:
    """Name and type of each column. Raises ConfigError where the file cannot be read."""
    try:
        rows = con.execute(f"DESCRIBE SELECT * FROM {_file(path)}").fetchall()
    except duckdb.Error as error:
        raise ConfigError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}", hint="name a Parquet file"
        ) from error
    return {row[0]: row[1] for row in rows}


def _check_columns(path: Path, given: Mapping[str, str]) -> None:
    lacking = [name for name, c in DOCUMENTS.items() if c.required and name not in given]
    if lacking:
        raise ConfigError(
            f"{path} has no column {', '.join(lacking)}",
            hint=f"a ledger in Parquet has {', '.join(n for n, c in DOCUMENTS.items() if c.required)}, by these names",
        )
    for name, found in given.items():
        wanted = DOCUMENTS[name].kind if name in DOCUMENTS else None
        if wanted and not _fits(wanted, found, rate=name == "rate"):
            raise ConfigError(f"{path}: column {name} is {found}", hint=f"it must be {_HINTS[wanted]}")


def _fits(wanted: str, found: str, *, rate: bool) -> bool:
    decimal = _DECIMAL.fullmatch(found)
    if wanted == MONEY:
        digits, places = (int(x) for x in decimal.groups()) if decimal else (0, 0)
        most = _RATE if rate else _AMOUNT
        return found in _WHOLE[:-1] or (decimal is not None and digits - places <= most[0] and places <= most[1])
    if wanted == TEXT:
        return found == "VARCHAR" or found in _WHOLE or found.startswith("ENUM(")
    return {"date": found == "DATE", "boolean": found == "BOOLEAN", "sign": found in _WHOLE}[wanted]


def _beyond(given: Mapping[str, str], kinds: Mapping[str, str]) -> Rules:
    """What the type of a column admits, and neither an amount nor a calendar has: `infinity` is no date, for one."""
    found = []
    for name, stored in given.items():
        if kinds.get(name) == "date":
            said = f"have a date in {name} before the year 1 or after the year 9999"
            found.append((f"{name} NOT BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'", said))
        elif kinds.get(name) == MONEY and stored in _WHOLE:
            most = (_RATE if name == "rate" else _AMOUNT)[0]
            found.append((f"{name} NOT BETWEEN -{'9' * most} AND {'9' * most}", f"have a {name} beyond {most} digits"))
    return tuple(found)


def _chosen(given: Mapping[str, str]) -> str:
    """The select list: the columns of the canonical relation, and `rid`, the row's place in the file."""
    told = {}
    for name, found in given.items():
        if name in DOCUMENTS:
            text = DOCUMENTS[name].kind == TEXT and found != "VARCHAR"
            told[name] = f'CAST("{name}" AS VARCHAR)' if text else f'"{name}"'
    number = f"nullif({told['number']}, '')" if "number" in told else "CAST(NULL AS VARCHAR)"
    made = {
        "sign": _OF_KIND.format(sign=told.get("sign", "NULL")),
        "number": number,
        "number_key": f"CASE WHEN {plain_sql(number)} THEN nullif({number_key_sql(number)}, '') END",
        "customer": told.get("customer", told.get("customer_number", "CAST(NULL AS VARCHAR)")),
        "posted": f"coalesce({told['posted']}, issued)" if "posted" in told else "issued",
        "state": told.get("state", "'posted'"),
        "source": "CAST(file_row_number AS VARCHAR)",
    }
    columns = [
        f'{made.get(name, told.get(name, f"CAST(NULL AS {kind})"))} AS "{name}"' for name, kind in TABLES["documents"]
    ]
    return ", ".join(["file_row_number AS rid", *columns])


def _check_rows(con: Connection, path: Path, rows: str, rules: Rules, *, place: str, key: str) -> int:
    """How many there are. Raises ConfigError where one of them breaks a rule, and names the first.

    rows: table or query · place: what numbers them, from 0 · key: what names one
    """
    counts = ", ".join(f"count(CASE WHEN {broken} THEN 1 END)" for broken, _ in rules)
    every, *found = con.execute(f"SELECT count(*), {counts} FROM {rows}").fetchall()[0]
    for n, (broken, said) in zip(found, rules, strict=True):
        if n:
            first = con.execute(f"SELECT {place}, {key} FROM {rows} WHERE {broken} ORDER BY 1 LIMIT 1").fetchall()
            if not first:  # rows are left out by what their group says of itself, and it says what is not in it
                raise ConfigError(
                    f"{path} cannot be read as Parquet: what it says of its rows is not what is in them",
                    hint="write the file again, or fetch it again; nothing was compared",
                )
            raise ConfigError(
                f"{path}: {n:,} of {every:,} rows {said}; the first is row {first[0][0] + 1:,}, {key} {first[0][1]!r}",
                hint="mend what writes the file; nothing was compared",
            )
    return int(every)


def _parties(con: Connection, side: str, given: Mapping[str, str], source: str) -> None:
    """`{side}_parties`: the customers as the documents state them, with their keys."""
    nothing = "CAST(NULL AS VARCHAR)"
    name, number = (f'CAST("{c}" AS VARCHAR)' if c in given else nothing for c in ("customer_name", "customer_number"))
    id = 'CAST("customer" AS VARCHAR)' if "customer" in given else number
    rows = con.execute(
        f"SELECT DISTINCT coalesce({id}, {name}), {name}, {number} FROM {source} "
        f"WHERE coalesce({id}, {name}) IS NOT NULL"
    ).fetchall()
    columns = tuple((c, "VARCHAR") for c in ("id", "name", "name_key", "number_key", "link"))
    con.execute(f"CREATE OR REPLACE TABLE {side}_parties ({', '.join(f'{c} {kind}' for c, kind in columns)})")
    append_to(con, f"{side}_parties", columns, ((i, n, *_keys(n, no), None) for i, n, no in rows))


def _keys(name: str | None, number: str | None) -> tuple[str | None, str | None]:
    return name_key(name) or None if name else None, customer_number_key(number) or None if number else None


_REQUIRED = {
    "customers": ("id", "name"),
    "applications": ("source_kind", "source_id", "invoice", "amount", "applied_on"),
    "details": ("kind", "id"),
}
# What is stated twice would be found twice, and what names no kind would be in nothing.
_OF: Mapping[str, Rules] = {
    "customers": (("id IS NULL OR id = ''", "have no id"), ("n > 1", "are of a customer that stands more than once")),
    "applications": (
        (
            f"source_kind IS NULL OR source_kind NOT IN {_SOURCES}",
            f"have a source_kind that is none of {', '.join(_SOURCES)}",
        ),
        ("source_id IS NULL OR source_id = ''", "have no source_id"),
        ("invoice IS NULL AND source_kind NOT LIKE 'group:%'", "have no invoice"),
        ("amount IS NULL OR amount_invoice IS NULL AND invoice IS NOT NULL", "have no amount"),
        ("amount < 0 OR amount_invoice < 0", "have an amount below zero: what is taken back has a reversed_on"),
        ("applied_on IS NULL", "have no applied_on"),
    ),
    "details": (
        (f"kind IS NULL OR kind NOT IN {KINDS}", f"are of a kind that is none of {', '.join(KINDS)}"),
        ("id IS NULL OR id = ''", "have no id"),
        ("n > 1", "are of a document that stands more than once"),
    ),
}
# What names a row of each, and what may stand once only.
_NAMED = {"customers": "id", "applications": "source_id", "details": "id"}
_ONCE = {"customers": "id", "details": "kind, id"}
_KINDS = {"VARCHAR": TEXT, "DATE": "date"}


def _copied(con: Connection, side: str, table: str, path: Path | None) -> dict[str, Any]:
    """Fill one of the smaller tables; empty where there is no file."""
    con.execute(create_table(side, table))
    if path is None:
        return {}
    given = _columns(con, path)
    kinds = {name: _KINDS.get(kind, MONEY) for name, kind in TABLES[table] if name not in {"link", "name_key"}}
    lacking = [name for name in _REQUIRED[table] if name not in given]
    if lacking:
        raise ConfigError(f"{path} has no column {', '.join(lacking)}", hint="columns go by the names of this relation")
    for name, found in given.items():
        if name in kinds and not _fits(kinds[name], found, rate=False):
            raise ConfigError(f"{path}: column {name} is {found}", hint=f"it must be {_HINTS[kinds[name]]}")
    if beyond := _beyond(given, kinds):
        _check_rows(con, path, _file(path, numbered=True), beyond, place="file_row_number", key=_NAMED[table])
    told = {name: f'CAST("{name}" AS {kind})' for name, kind in TABLES[table] if name in given and name in kinds}
    if table == "applications":
        told.setdefault("amount_invoice", told["amount"])
    columns = ", ".join(f'{told.get(name, "NULL")} AS "{name}"' for name, _ in TABLES[table])
    alike = f", count(*) OVER (PARTITION BY {_ONCE[table]}) AS n" if table in _ONCE else ""
    found = f"(SELECT {columns}, file_row_number AS place FROM {_file(path, numbered=True)}) AS t"
    checked = f"(SELECT *{alike} FROM {found}) AS c"
    count = _check_rows(con, path, checked, _OF[table], place="place", key=_NAMED[table])
    con.execute(f"INSERT INTO {side}_{table} SELECT * EXCLUDE (place) FROM {found}")
    if table == "customers":
        rows = con.execute(f"SELECT id, name, number FROM {side}_customers").fetchall()
        kind = "VARCHAR"
        con.execute(f"CREATE OR REPLACE TEMP TABLE keyed (id {kind}, name_key {kind}, number_key {kind})")
        append_to(
            con,
            "keyed",
            tuple((c, kind) for c in ("id", "name_key", "number_key")),
            ((i, *_keys(n, no)) for i, n, no in rows),
        )
        con.execute(
            f"UPDATE {side}_customers AS c SET name_key = k.name_key, number_key = k.number_key FROM keyed AS k "
            "WHERE k.id = c.id"
        )
    return {table: count}
