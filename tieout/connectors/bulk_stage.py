"""Every row of a file typed: plain ones by one pass of SQL, the others by the Python converters, which alone reject."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from tieout.connectors import bulk_sql as sql
from tieout.connectors import decode
from tieout.connectors.reading import FileReport, check_date_orders, is_footer, readable_amount, report_of
from tieout.connectors.tables import Skip, Table
from tieout.mapping import relation
from tieout.mapping import tabular_documents as docs
from tieout.mapping.tabular_documents import Rejected
from tieout.mapping.tabular_rows import Problem, Row, Value, convert, read_row
from tieout.model import tidy

Connection = Any
_ROW_LIMIT = 16 << 20  # bytes of one row


@dataclass(slots=True)
class Staged:
    """Rows read so far. typed: SQL table of plain rows · rows: those that Python read · rejected: those it refused"""

    typed: str
    table: Table
    report: FileReport
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def number(self, alias: str) -> str:
        """SQL of a typed row's number in the file."""
        return f"coalesce({alias}.n, {alias}.rowid + {self.table.header_row + 1})"


def stage(con: Connection, table: Table, side: str) -> Staged:
    """Type every row of an opened file; the plain ones in SQL table `{side}__typed`."""
    report = report_of(table)
    staged = Staged(f"{side}__typed", table, report)
    if not (table.plain and table.raw_width == table.binding.width and _stage_direct(con, table, staged)):
        staged.rejected.clear()
        report.skipped.clear()
        _stage_split(con, table, staged)
    _stage_hard(con, staged)
    check_date_orders(table.profile, staged.rejected, lambda column: _beyond_12(con, staged, column), report)
    return staged


def _beyond_12(con: Connection, staged: Staged, column: str) -> bool:
    if any(isinstance(d := r.values.get(column), date) and d.day > 12 for r in staged.rows):
        return True
    query = f"SELECT count(*) FROM {staged.typed} WHERE cells IS NULL AND day(v_{column}) > 12"
    return bool(con.execute(query).fetchall()[0][0])


def _stage_direct(con: Connection, table: Table, staged: Staged) -> bool:
    """Let DuckDB split the file. False if it finds a row it cannot cut: then Python has to say which, and why."""
    assert table.text is not None
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(table.raw_width))
    source = _read_csv(table.text.path, columns, table.delimiter, table.profile.file.quote, skip=table.lines)
    # DuckDB drops blank lines without a word: one row a line means that there were none, and no breaks in cells.
    # Plain ASCII without breaks in cells needs no search for unusual characters.
    quick = table.text.ascii
    try:
        con.execute(_stage_statement(table, staged.typed, source, numbered=False, quick=quick))
        rows = con.execute(f"SELECT count(*) FROM {staged.typed}").fetchall()[0][0]
        if rows + table.lines != table.text.lines:
            if decode.has_blank_lines(table.text):
                return False
            if quick:
                con.execute(_stage_statement(table, staged.typed, source, numbered=False))
    except duckdb.InvalidInputException:
        return False
    staged.report.rows = rows
    return True


def _stage_split(con: Connection, table: Table, staged: Staged) -> None:
    """Split in Python, hand DuckDB a clean copy with row numbers."""
    width = table.binding.width
    with _scratch() as path:
        with path.open("w", encoding="utf-8", newline="") as f:
            write = csv.writer(f, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
            for number, cells in table.rows():
                staged.report.rows += 1
                if isinstance(cells, Skip):
                    staged.report.skip(number, cells.reason)
                elif isinstance(cells, Problem):
                    staged.rejected.append(Rejected(number, cells))
                else:
                    write([number, *cells[:width]])
        columns = "'n': 'BIGINT', " + ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
        source = _read_csv(path, columns, ",", '"', skip=0)
        con.execute(_stage_statement(table, staged.typed, source, numbered=True))


def _read_csv(path: Path, columns: str, delimiter: str, quote: str, *, skip: int) -> str:
    q = sql.literal(quote)
    return (
        f"read_csv({sql.literal(str(path))}, auto_detect=false, header=false, skip={skip}, columns={{{columns}}}, "
        f"delim={sql.literal(delimiter)}, quote={q}, escape={q}, nullstr='\x01\x02', allow_quoted_nulls=false, "
        f"strict_mode=true, null_padding=false, compression='none', encoding='utf-8', max_line_size={_ROW_LIMIT})"
    )


def _stage_statement(table: Table, target: str, source: str, *, numbered: bool, quick: bool = False) -> str:
    """CREATE TABLE of typed rows. Columns: n (row number; NULL: header_row + rowid + 1), v_* typed values,
    amount, effect, key, cells (all raw cells of a row that SQL does not read; NULL for the others).
    """
    binding, profile = table.binding, table.profile
    trimmed, values, sound = [], [], []
    for name, column in profile.columns.items():
        if column.value is not None or name not in binding.index:
            values.append(f"CAST({_constant(table, name)} AS {sql.sql_type(profile, name)}) AS v_{name}")
            continue
        cell = f"t_{name}"
        trimmed.append(f"trim(c{binding.index[name]}) AS {cell}")
        null = sql.is_null(profile, column, cell)
        empty = _constant(table, name)
        values.append(
            f"CAST(CASE WHEN {null} THEN {empty} ELSE {sql.value(binding, name, cell, ascii_only=quick)} END "
            f"AS {sql.sql_type(profile, name)}) AS v_{name}"
        )
        needed = (column.required or name in profile.key[:1]) and not column.empty
        sound.append(f"v_{name} IS NOT NULL" if needed else f"(v_{name} IS NOT NULL OR {null})")
    if profile.entity == "customers":
        amount = "coalesce(v_balance, 0)" if "balance" in profile.columns else "0"
        effect = "amount"
        names = [f"v_{c}" for c in ("customer", "number", "name") if c in profile.columns]
        sound.append(f"coalesce({', '.join(names)}) IS NOT NULL")
    else:
        amount, effect = sql.amount(profile), sql.effect(profile)
        for a, b in (("customer", "customer_name"), ("issued", "posted"), ("currency", "currency")):
            sound.append(f"coalesce({', '.join(f'v_{c}' for c in (a, b) if c in profile.columns)}) IS NOT NULL")
    key = ", ".join(f"v_{k}" for k in profile.key)
    cells = ", ".join(f"c{i}" for i in range(binding.width))
    listed = ", ".join(f"v_{c}" for c in profile.columns)
    number = "n" if numbered else "CAST(NULL AS BIGINT) AS n"
    return f"""
        CREATE OR REPLACE TABLE {target} AS
        SELECT n, {listed}, CAST(amount AS {sql.MONEY}) AS amount,
            CAST({effect} AS {sql.MONEY}) AS effect,
            {f"concat_ws('/', {key})" if key else "''"} AS key,
            CASE WHEN sound AND amount IS NOT NULL THEN NULL ELSE [{cells}] END AS cells
        FROM (
            SELECT *, {amount} AS amount FROM (
                SELECT {number}, {cells}, {listed}, coalesce({" AND ".join(sound)}, false) AS sound
                FROM (SELECT *, {", ".join(values)} FROM (SELECT *, {", ".join(trimmed) or "1 AS t_"} FROM {source}))
            )
        )"""


def _constant(table: Table, name: str) -> str:
    """What a column says that the file does not hold, as SQL."""
    column = table.profile.columns[name]
    said = column.value if column.value is not None else column.empty
    return "NULL" if said is None else sql.literal(str(convert(table.binding, name, said)))


def _stage_hard(con: Connection, staged: Staged) -> None:
    """Read in Python what SQL did not, in file order, and drop it from the SQL table."""
    first = staged.table.header_row + 1
    found = con.execute(
        f"SELECT coalesce(n, rowid + {first}) AS n, cells FROM {staged.typed} WHERE cells IS NOT NULL ORDER BY 1"
    )
    running = Decimal(0)
    for number, raw in _batches(found):
        cells = staged.table.judge(raw)
        if isinstance(cells, Skip):
            staged.report.skip(number, cells.reason)
            continue
        row = cells if isinstance(cells, Problem) else read_row(staged.table.binding, number, cells)
        if isinstance(row, Problem) and not isinstance(cells, Problem):
            so_far = partial(_sum_before, con, staged, number, running)
            if is_footer(staged.table.binding, cells, so_far):
                staged.report.skip(number, "footer: the sum of the rows above")
                continue
            running += readable_amount(staged.table.binding, cells)
        if isinstance(row, Row):
            running += row.amount
            staged.rows.append(row)
        else:
            key = None if isinstance(cells, Problem) else docs.readable_key(staged.table.binding, cells)
            staged.rejected.append(Rejected(number, row, key))


def _sum_before(con: Connection, staged: Staged, number: int, others: Decimal) -> Decimal:
    """The sum of the amounts before a row: of the rows in SQL, and `others`."""
    at = f"coalesce(n, rowid + {staged.table.header_row + 1})"
    query = f"SELECT coalesce(sum(amount), 0) FROM {staged.typed} WHERE cells IS NULL AND {at} < ?"
    return Decimal(con.execute(query, [number]).fetchall()[0][0]) + others


def _batches(found: Connection) -> Iterator[tuple[Any, ...]]:
    yield from found.fetchall()


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tieout-") as folder:
        yield Path(folder) / "rows"


def insert(con: Connection, table: str, columns: relation.Columns, rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a table by way of a JSON file: exact, and hundreds of times faster than row by row."""
    names = relation.names(columns)
    encoder = msgspec.json.Encoder(decimal_format="string")
    with _scratch() as path:
        count = 0
        with path.open("wb") as f:
            for row in rows:
                f.write(encoder.encode(dict(zip(names, row, strict=True))) + b"\n")
                count += 1
        if count:
            typed = ", ".join(f"'{name}': '{kind}'" for name, kind in columns)
            listed = ", ".join(f'"{n}"' for n in names)
            con.execute(
                f"INSERT INTO {table} ({listed}) SELECT {listed} FROM read_json({sql.literal(str(path))}, "
                f"format='newline_delimited', columns={{{typed}}}, maximum_object_size={_ROW_LIMIT})"
            )


def rows_of(con: Connection, staged: Staged, where: str = "true") -> list[Row]:
    """Typed rows as Python has them, in file order. where: a condition on alias `t`"""
    names = list(staged.table.profile.columns)
    query = (
        f"SELECT {staged.number('t')}, t.key, t.amount, t.effect, {', '.join(f't.v_{n}' for n in names)} "
        f"FROM {staged.typed} t WHERE t.cells IS NULL AND ({where}) ORDER BY 1"
    )
    return [
        Row(number, key, tidy(amount), tidy(effect), dict(zip(names, map(_tidied, values), strict=True)))
        for number, key, amount, effect, *values in con.execute(query).fetchall()
    ]


def _tidied(value: Value) -> Value:
    return tidy(value) if isinstance(value, Decimal) else value
