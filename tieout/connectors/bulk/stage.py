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
from glob import escape
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from tieout.connectors import decode
from tieout.connectors.bulk import sql
from tieout.connectors.reading import FileReport, check_date_orders, is_footer, report_of
from tieout.connectors.tables import Table
from tieout.mapping import relation
from tieout.mapping import tabular_documents as docs
from tieout.mapping.relation import MONEY
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Rejected
from tieout.mapping.tabular_rows import Problem, Row, Skip, Value, convert, left_out, read_row, readable_amount
from tieout.model import ZERO, tidy

Connection = Any
_ROW_LIMIT = 16 << 20  # bytes of one row
PLAIN_ROW_LIMIT = 1 << 20  # bytes of one row of a file that DuckDB splits itself; beyond them, Python does
# Bytes of the parts of a file that are read at once. Only multiples of the limit of a row: with others DuckDB 2.0
# refuses files, or loses a row.
BUFFER = 8 * PLAIN_ROW_LIMIT


@dataclass(slots=True)
class Staged:
    """Rows read so far. rows: those that Python read · rejected: those it refused

    cut: SQL table of the columns that the file has, and the raw cells of the rows that SQL does not read
    typed: SQL view of the others. n: its number in the file · v_*: every column of the profile · key: of its document
    amount, effect: as in `Row`
    """

    cut: str
    typed: str
    table: Table
    report: FileReport
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def drop(self, con: Connection) -> None:
        con.execute(f"DROP VIEW {self.typed}")
        con.execute(f"DROP TABLE {self.cut}")


def stage(con: Connection, table: Table, side: str) -> Staged:
    """Type every row of an opened file; the plain ones are rows of `{side}__typed`."""
    report = report_of(table)
    staged = Staged(f"{side}__cut", f"{side}__typed", table, report)
    direct = table.plain and table.raw_width == table.binding.width and _stage_direct(con, table, staged)
    if not direct:
        staged.rejected.clear()
        report.skipped.clear()
        _stage_split(con, table, staged)
    number = f"rowid + {table.header_row + 1}" if direct else "n"
    con.execute(_view_statement(staged, number))
    _stage_hard(con, staged, number)
    check_date_orders(table.profile, staged.rejected, lambda column: _beyond_12(con, staged, column), report)
    return staged


def _beyond_12(con: Connection, staged: Staged, column: str) -> bool:
    if any(isinstance(d := r.values.get(column), date) and d.day > 12 for r in staged.rows):
        return True
    query = f"SELECT count(*) FROM {staged.typed} WHERE day(v_{column}) > 12"
    return bool(con.execute(query).fetchall()[0][0])


def _stage_direct(con: Connection, table: Table, staged: Staged) -> bool:
    """Let DuckDB split the file. False if it finds a row it cannot cut: then Python has to say which, and why."""
    assert table.text is not None
    text = table.text
    # The usual file has no tabs and no breaks in its cells, which spares a search of each. Whether that was so is
    # certain afterwards: one row a line, and the tabs are those between cells, the last heading row's among them.
    # DuckDB drops blank lines without a word, which one row a line rules out too.
    tabbed = table.delimiter == "\t"
    known: sql.Known = "nothing" if text.tabs and not tabbed else "usual" if text.usual else "clean"
    rows = _stage_plain(con, table, staged.cut, known, parallel=True)
    whole = rows is not None and rows + table.lines == text.lines
    if rows is not None and not whole and decode.has_blank_lines(text):
        return False
    between = ((rows or 0) + 1) * (table.raw_width - 1) if tabbed else 0
    if not whole or (known != "nothing" and text.tabs != between):
        # Read in parts, a break in a cell may pass for the end of a row where a part begins.
        rows = _stage_plain(con, table, staged.cut, "nothing", parallel=whole)
    if rows is None:
        return False
    staged.report.rows = rows
    return True


def _stage_plain(con: Connection, table: Table, target: str, known: sql.Known, *, parallel: bool) -> int | None:
    """Fill `Staged.cut` from the file itself; how many rows, or None where DuckDB cannot cut one of them.

    Nor does it read every file in parts, and says so (`NotImplementedException`).
    """
    assert table.text is not None
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(table.raw_width))
    how = f"buffer_size={BUFFER}" if parallel else "parallel=false"
    source = _read_csv(
        table.text.path,
        columns,
        table.delimiter,
        table.profile.file.quote,
        f"skip={table.lines}, max_line_size={PLAIN_ROW_LIMIT}, {how}",
    )
    try:
        con.execute(_stage_statement(table, target, source, known))
    except (duckdb.InvalidInputException, duckdb.NotImplementedException):
        return None
    return int(con.execute(f"SELECT count(*) FROM {target}").fetchall()[0][0])


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
        source = _read_csv(path, columns, ",", '"', f"max_line_size={_ROW_LIMIT}, new_line='\\n', parallel=false")
        con.execute(_stage_statement(table, staged.cut, source, number="n, "))


def _read_csv(path: Path, columns: str, delimiter: str, quote: str, how: str) -> str:
    """This one file, as SQL: no brackets or stars of its name are a pattern, and no folder's name is a column."""
    q = sql.literal(quote)
    return (
        f"read_csv({sql.literal(escape(str(path)))}, hive_partitioning=false, auto_detect=false, header=false, "
        f"columns={{{columns}}}, delim={sql.literal(delimiter)}, quote={q}, escape={q}, "
        "nullstr='\x01\x02', allow_quoted_nulls=false, strict_mode=true, "
        f"null_padding=false, compression='none', encoding='utf-8', {how})"
    )


def _stage_statement(table: Table, target: str, source: str, known: sql.Known = "nothing", number: str = "") -> str:
    """CREATE TABLE of `Staged.cut`: v_* of the columns that the file has; cells: NULL where SQL reads the row.

    number: `n, ` where the source numbers its rows; else they are numbered by their place
    """
    binding, profile = table.binding, table.profile
    stated = _stated(profile)
    sound = [f"({' OR '.join(f'v_{c} IS NOT NULL' for c in names) or 'false'})" for names in stated if len(names) != 1]
    needed = {*profile.key[:1], *(names[0] for names in stated if len(names) == 1)}
    values = []
    for name, column in profile.columns.items():
        if name not in binding.index:
            values.append(f"{_constant(table, name)} AS v_{name}")
            continue
        must = (name in needed or column.required) and not column.empty
        cell = sql.cell(binding, name, binding.index[name], None if must else _constant(table, name), known)
        values.append(f"{cell.value} AS v_{name}")
        sound.append(cell.fit)
    sound.append(f"{sql.amount(profile)} IS NOT NULL")
    cells = ", ".join(f"c{i}" for i in range(binding.width))
    bare = ", ".join(f"{sql.trimmed(f'c{i}')} AS t{i}" for i in range(binding.width))
    kept = "".join(f"v_{name}, " for name in profile.columns if name in binding.index)
    return f"""
        CREATE OR REPLACE TABLE {target} AS
        SELECT {number}{kept}CASE WHEN {" AND ".join(sound)} THEN NULL ELSE [{cells}] END AS cells
        FROM (SELECT *, {", ".join(values)}
              FROM (SELECT *, {bare} FROM {source}))"""


def _stated(profile: Profile) -> list[list[str]]:
    """Groups of columns of which each row must state one."""
    if profile.entity == "customers":
        groups = [["customer", "number", "name"]]
    else:
        groups = [["customer", "customer_name"], ["issued", "posted"], ["currency"]]
    return [[c for c in names if c in profile.columns] for names in groups]


def _view_statement(staged: Staged, number: str) -> str:
    """CREATE VIEW of `Staged.typed`. What the file does not say stands in no table."""
    table, profile = staged.table, staged.table.profile
    said = [
        f"v_{name}" if name in table.binding.index else f"{_constant(table, name)} AS v_{name}"
        for name in profile.columns
    ]
    return f"""
        CREATE OR REPLACE VIEW {staged.typed} AS
        SELECT *, CAST({sql.effect(profile)} AS {MONEY}) AS effect, {sql.key(profile)} AS key
        FROM (
            SELECT *, CAST({sql.amount(profile)} AS {MONEY}) AS amount
            FROM (SELECT {number} AS n, {", ".join(said)} FROM {staged.cut} WHERE cells IS NULL))"""


def _constant(table: Table, name: str) -> str:
    """What a column says that the file does not hold, as SQL of the column's type; `NULL` if nothing."""
    column = table.profile.columns[name]
    said = column.value if column.value is not None else column.empty
    if said is None:
        return "NULL"
    return f"CAST({sql.literal(str(convert(table.binding, name, said)))} AS {sql.sql_type(table.profile, name)})"


def _stage_hard(con: Connection, staged: Staged, number_sql: str) -> None:
    """Read in Python what SQL did not, in file order."""
    found = con.execute(f"SELECT {number_sql} AS n, cells FROM {staged.cut} WHERE cells IS NOT NULL ORDER BY 1")
    running = Decimal(0)
    for number, raw in found.fetchall():
        cells = staged.table.judge(raw)
        if isinstance(cells, Skip):
            staged.report.skip(number, cells.reason)
            continue
        if not isinstance(cells, Problem) and (why := left_out(staged.table.binding, cells)) is not None:
            staged.report.skip(number, why)
            running += readable_amount(staged.table.binding, cells) or ZERO
            continue
        row = cells if isinstance(cells, Problem) else read_row(staged.table.binding, number, cells)
        if isinstance(row, Problem) and not isinstance(cells, Problem):
            so_far = partial(_sum_before, con, staged, number, running)
            if is_footer(staged.table.binding, cells, so_far):
                staged.report.skip(number, "footer: the sum of the rows above")
                continue
            running += readable_amount(staged.table.binding, cells) or ZERO
        if isinstance(row, Row):
            running += row.amount
            staged.rows.append(row)
        else:
            key = None if isinstance(cells, Problem) else docs.readable_key(staged.table.binding, cells)
            staged.rejected.append(Rejected(number, row, key))


def _sum_before(con: Connection, staged: Staged, number: int, others: Decimal) -> Decimal:
    """The sum of the amounts before a row: of the rows in SQL, and `others`."""
    query = f"SELECT coalesce(sum(amount), 0) FROM {staged.typed} WHERE n < ?"
    return Decimal(con.execute(query, [number]).fetchall()[0][0]) + others


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
        f"SELECT t.n, t.key, t.amount, t.effect, {', '.join(f't.v_{n}' for n in names)} "
        f"FROM {staged.typed} t WHERE {where} ORDER BY 1"
    )
    return [
        Row(number, key, tidy(amount), tidy(effect), dict(zip(names, map(_tidied, values), strict=True)))
        for number, key, amount, effect, *values in con.execute(query).fetchall()
    ]


def _tidied(value: Value) -> Value:
    return tidy(value) if isinstance(value, Decimal) else value
