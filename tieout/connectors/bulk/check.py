"""A whole file into accepted columns, and what became of each row, where nobody compares what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tieout.connectors.bulk import draft as sql
from tieout.connectors.bulk.load import count, load, single_rows
from tieout.connectors.bulk.stage import Staged, insert, rows_of, stage
from tieout.connectors.reading import FileReport
from tieout.connectors.tables import open_table
from tieout.mapping import tabular_documents as docs
from tieout.mapping.relation import MONEY
from tieout.mapping.tabular import Profile

Connection = Any


def check(con: Connection, path: str | Path, profile: Profile) -> FileReport:
    """Read a file into accepted columns and say what became of each row, as `load` does, without a relation of them.

    Raises ProfileError where the file does not fit its profile.
    """
    if profile.entity == "customers" or profile.rows == "lines" or profile.unique:
        return load(con, path, profile, side="checked")
    with open_table(Path(path), profile) as table:
        staged = stage(con, table, "checked")
        drafts = _accepted(con, staged)
        count(con, staged.report, drafts)
        con.execute(f"DROP VIEW {drafts}")
        staged.drop(con)
        staged.report.reject(staged.rejected)
        staged.report.finish()
        return staged.report


# What the report of a file asks of each document that a row makes.
_REPORTED = (("currency", "VARCHAR"), ("sign", "INTEGER"), ("total", MONEY), ("row_count", "BIGINT"))


def _accepted(con: Connection, staged: Staged) -> str:
    """A view of every document that a row makes, with the columns of `_REPORTED`: the plain ones where they stand."""
    profile, others, drafts = staged.table.profile, f"{staged.typed}_others", f"{staged.typed}_drafts"
    rows = f"""SELECT *, coalesce({sql.plain_document(profile)}, false) AS plain FROM (
        SELECT *, abs(effect) AS size, {sql.kind_and_sign(profile)} FROM ({single_rows(staged)}))"""
    con.execute(f"CREATE OR REPLACE TEMP TABLE {others} AS SELECT n FROM ({rows}) WHERE NOT plain")
    odd = con.execute(f"SELECT count(*) FROM {others}").fetchall()[0][0]
    read = [*staged.rows, *(rows_of(con, staged, f"n IN (FROM {others})") if odd else ())]
    broken = {r.key: r.row for r in reversed(staged.rejected) if r.key}
    made, failed = docs.assemble(profile, sorted(read, key=lambda r: r.number), broken)
    staged.rejected += failed
    con.execute(f"CREATE OR REPLACE TEMP TABLE {others} ({', '.join(f'{n} {t}' for n, t in _REPORTED)})")
    insert(con, others, _REPORTED, ((d.text("currency"), d.sign, d.total, len(d.rows)) for d in made))
    con.execute(f"""
        CREATE OR REPLACE TEMP VIEW {drafts} AS
        SELECT {sql.column(profile, "currency")} AS currency, sign, size AS total, 1 AS row_count
        FROM ({rows}) WHERE plain UNION ALL FROM {others}""")
    return drafts
