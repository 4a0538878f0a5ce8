"""A whole file into the canonical relation, in columns: SQL for plain rows and documents, Python for all others.

1. stage: every row typed (`stage`; `sql` has the SQL of cells).   2. assemble: plain documents by SQL (`draft`), the
others by `mapping.tabular_documents`, which alone rejects, into one table of the columns that the file fills.
3. finish: ids and references there, then the side's customers, applications (`clearing`) and details (`details`), and
`{side}_documents`, a view of that table with the columns that follow from it: a million rows are written once, and only
what they say. `check` does no more of it than `tieout profile check` needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tieout.connectors.bulk import details
from tieout.connectors.bulk import draft as sql
from tieout.connectors.bulk.clearing import APPLIED, settle
from tieout.connectors.bulk.sql import literal
from tieout.connectors.bulk.stage import Staged, insert, rows_of, stage
from tieout.connectors.reading import FileReport
from tieout.connectors.tables import open_table
from tieout.mapping import clearing, keys, relation, tabular_records
from tieout.mapping import tabular_documents as docs
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Doc, Rejected
from tieout.mapping.tabular_rows import Problem
from tieout.model import exponent

Connection = Any
# What documents have beside their columns while they are made; their id is the key of their rows for so long.
# first_row, row_count: where it stands in the file · document: as the file says · numbered: `customer` is a number
EXTRA = (
    ("first_row", "BIGINT"),
    ("row_count", "BIGINT"),
    ("document", "VARCHAR"),
    ("numbered", "BOOLEAN"),
    ("fiscal_year", "VARCHAR"),
)
_DRAFT = (*relation.DOCUMENTS, *EXTRA)


@dataclass(frozen=True, slots=True)
class Books:
    """The documents of one side while they are made. table: what is written of them · view: all columns of `_DRAFT`

    columns: those of the table · implied: SQL of the others
    """

    side: str
    columns: relation.Columns
    implied: Mapping[str, str]

    @property
    def table(self) -> str:
        return f"{self.side}__books"

    @property
    def view(self) -> str:
        return f"{self.side}__drafts"

    def view_of(self, columns: relation.Columns, *more: str) -> str:
        """SELECT of columns of `_DRAFT`, and `more`, from the table."""
        listed = (f'CAST({self.implied.get(name, name)} AS {kind}) AS "{name}"' for name, kind in columns)
        return f"SELECT {', '.join([*listed, *more])} FROM {self.table}"


def load(con: Connection, path: str | Path, profile: Profile, *, side: str) -> FileReport:
    """Fill the four tables of a side from one file, replacing what they held, and say what became of each row.

    Ids and values are those of `files.records`. Raises ProfileError where the file does not fit its profile.
    """
    with open_table(Path(path), profile) as table:
        _clear(con, side)
        for name in relation.TABLES:
            con.execute(relation.create_table(side, name))
        staged = stage(con, table, side)
        if profile.entity == "customers":
            _fill_customers(con, staged, side)
        else:
            _fill_documents(con, staged, side)
        staged.drop(con)
        staged.report.reject(staged.rejected)
        staged.report.finish()
        return staged.report


def _clear(con: Connection, side: str) -> None:
    """Drop what an earlier file left of a side."""
    documents = f"{side}_documents"
    if con.execute("SELECT 1 FROM duckdb_views() WHERE view_name = ?", [documents]).fetchall():
        con.execute(f"DROP VIEW {documents}")


def _fill_documents(con: Connection, staged: Staged, side: str) -> None:
    applied = f"{side}__applied"
    books = _open_books(con, staged, side)
    con.execute(f"CREATE OR REPLACE TABLE {applied} ({', '.join(f'{n} {t}' for n, t in APPLIED)})")
    _assemble_plain(con, staged, books, applied)
    detailed = details.reads(staged.table.profile)
    if detailed:
        details.gather(con, staged, books.view)
    made = _assemble_rest(con, staged, books, applied)
    _identify(con, staged, books.table)
    _resolve(con, staged.table.profile, books, applied)
    if clearing.reads(staged.table.profile):
        settle(con, staged, books.view, books.table, applied, made=made)
    _finish(con, side, books, applied)
    if detailed:
        details.finish(con, side, books.view, made)
    count(con, staged.report, books.view)
    con.execute(f"DROP TABLE {applied}")
    con.execute(f"DROP VIEW {books.view}")
    con.execute(f"DROP TABLE {side}_documents")
    # `rowid`, for tables of the relation have one.
    con.execute(f"CREATE VIEW {side}_documents AS {books.view_of(relation.DOCUMENTS, 'rowid AS rowid')}")


def _open_books(con: Connection, staged: Staged, side: str) -> Books:
    implied = sql.implied(staged.table.profile, staged.table.path.name)
    books = Books(side, tuple((n, t) for n, t in _DRAFT if n not in implied), implied)
    columns = ", ".join(f'"{name}" {kind}' for name, kind in books.columns)
    con.execute(f"CREATE OR REPLACE TABLE {books.table} ({columns})")
    con.execute(f"CREATE OR REPLACE VIEW {books.view} AS {books.view_of(_DRAFT)}")
    return books


def _assemble_plain(con: Connection, staged: Staged, books: Books, applied: str) -> None:
    """Documents whose every rule SQL can see to hold."""
    profile = staged.table.profile
    groups = _lines(con, staged) if profile.rows == "lines" else single_rows(staged)
    name, customer = (sql.column(profile, c) for c in ("customer_name", "customer"))
    # Names and customers repeat, so their keys are worked out once for each and joined.
    keyed = [
        _keyed(con, staged, name, keys.name_key, keys.name_key_sql, once=True),
        _keyed(con, staged, customer, keys.customer_number_key, keys.number_key_sql, once=True),
        _keyed(con, staged, sql.number(profile), keys.number_key, keys.number_key_sql, once=False),
    ]
    filled = sql.draft(profile, [k.sql for k in keyed])
    con.execute(f"""
        INSERT INTO {books.table} ({", ".join(f'"{name}"' for name in filled)})
        SELECT {", ".join(filled.values())} FROM (
            SELECT *, abs(effect) AS size, {sql.kind_and_sign(profile)} FROM ({groups})
        ) {" ".join(k.join for k in keyed)} WHERE {sql.plain_document(profile)}""")
    for k in keyed:
        con.execute(f"DROP TABLE {k.table}")
    if profile.rows == "lines" and "invoice" in profile.columns:
        con.execute(f"""
            INSERT INTO {applied}
            SELECT d.first_row, d.kind, d.id, {sql.named(profile)}, {sql.applied(profile)}, {sql.applied(profile)},
                coalesce({sql.column(profile, "applied_on", "t.")}, d.posted),
                coalesce({sql.column(profile, "reversed_on", "t.")},
                    CASE WHEN d.state = 'voided' AND d.voided_on IS NOT NULL THEN greatest(d.voided_on, d.posted) END)
            FROM {staged.typed} t JOIN {books.view} d ON d.id = t.key
            WHERE d.kind = 'payment' AND t.v_invoice IS NOT NULL
            ORDER BY t.n""")


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The key of a value. sql: expression · join: what brings the keys that are looked up in `table`"""

    table: str
    sql: str
    join: str


def _keyed(
    con: Connection, staged: Staged, raw: str, key: Callable[[str], str], key_sql: Callable[[str], str], *, once: bool
) -> _Keyed:
    """The key of a value of typed rows: its twin in SQL, or Python's for text beyond ASCII.

    once: worked out once for each value, for they repeat; else in SQL where they stand
    """
    table = f"{staged.typed}_{key.__name__}"
    # Controls were refused or replaced on reading, so text as long in bytes as in characters is printable ASCII.
    plain = "strlen({0}) = length({0})"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {table} AS
        SELECT printed, CAST(CASE WHEN {plain.format("printed")} THEN {key_sql("printed")} END AS VARCHAR) AS folded
        FROM (SELECT DISTINCT {raw} AS printed FROM {staged.typed} WHERE {once} OR NOT {plain.format(raw)})""")
    unusual = con.execute(f"DELETE FROM {table} WHERE NOT {plain.format('printed')} RETURNING printed").fetchall()
    insert(con, table, (("printed", "VARCHAR"), ("folded", "VARCHAR")), ((text, key(text)) for (text,) in unusual))
    here = f"CASE WHEN {plain.format(raw)} THEN {key_sql(raw)} END"
    if not once and not unusual:
        return _Keyed(table, f"nullif({here}, '')", "")
    found = f"{table}.folded" if once else f"coalesce({here}, {table}.folded)"
    return _Keyed(table, f"nullif({found}, '')", f"LEFT JOIN {table} ON {table}.printed = {raw}")


def single_rows(staged: Staged) -> str:
    """SELECT of typed rows, each a document of its own."""
    profile = staged.table.profile
    parts = ", ".join(f"{sql.turned(profile, c)} AS p_{c}" for c in sql.parts(profile))
    return f"SELECT *, 1 AS row_count, true AS agree{', ' + parts if parts else ''} FROM {staged.typed}"


def _lines(con: Connection, staged: Staged) -> str:
    """One row for each document of several rows. Documents of which Python read or refused a row are left out."""
    profile = staged.table.profile
    theirs = {r.key for r in staged.rows} | {r.key for r in staged.rejected if r.key}
    insert(con, _fresh(con, f"{staged.typed}_theirs"), (("key", "VARCHAR"),), ((k,) for k in sorted(theirs)))
    return f"""
        SELECT {sql.grouped(profile)} FROM {staged.typed} t
        WHERE key NOT IN (FROM {staged.typed}_theirs) GROUP BY key"""


def _fresh(con: Connection, name: str) -> str:
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} (key VARCHAR)")
    return name


def _assemble_rest(con: Connection, staged: Staged, books: Books, applied: str) -> list[Doc]:
    """The other documents, by the rules in Python, and the rows that make none."""
    profile = staged.table.profile
    plain, typed = con.execute(
        f"SELECT (SELECT coalesce(sum(row_count), 0) FROM {books.view}), (SELECT count(*) FROM {staged.typed})"
    ).fetchall()[0]
    rows = list(staged.rows)
    if plain != typed:
        found = f"SELECT 1 FROM {books.table} d WHERE " + (
            "d.id = t.key" if profile.rows == "lines" else "d.first_row = t.n"
        )
        rows += rows_of(con, staged, f"NOT EXISTS ({found})")
    broken = {r.key: r.row for r in reversed(staged.rejected) if r.key}
    made, failed = docs.assemble(profile, sorted(rows, key=lambda r: r.number), broken)
    staged.rejected += failed
    source = staged.table.path.name
    places = [i for i, column in enumerate(_DRAFT) if column in books.columns]
    whole = (_draft_row(profile, d, source) for d in made)
    insert(con, books.table, books.columns, ([row[i] for i in places] for row in whole))
    insert(con, applied, APPLIED, ((d.rows[0].number, *a) for d in made for a in tabular_records.application_rows(d)))
    return made


def _draft_row(profile: Profile, doc: Doc, source: str) -> relation.Row:
    row = tabular_records.relation_row(profile, doc, source)
    more = (len(doc.rows), doc.text("document"), doc.text("customer") is not None, doc.text("fiscal_year"))
    return (*row, doc.rows[0].number, *more)


def _identify(con: Connection, staged: Staged, draft: str) -> None:
    """Ids as `tabular_documents` gives them: key, key and ordinal, or row; repeats of a unique key are rejected."""
    con.execute(f"UPDATE {draft} SET id = 'row-' || first_row WHERE id = ''")
    # As many hashes as documents prove that no two are alike; a hash that stands twice proves nothing.
    count, hashes = con.execute(f"SELECT count(*), count(DISTINCT hash(kind, id)) FROM {draft}").fetchall()[0]
    if count == hashes:
        return
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_again AS
        SELECT rowid AS place, first_row, id, row_number() OVER (PARTITION BY kind, id ORDER BY first_row) AS ordinal,
            count(*) OVER each AS many, min(first_row) OVER each AS lowest
        FROM (SELECT rowid, * FROM {draft} SEMI JOIN (
            SELECT kind, id FROM {draft} GROUP BY ALL HAVING count(*) > 1) USING (kind, id))
        WINDOW each AS (PARTITION BY kind, id)""")
    if staged.table.profile.unique:
        _reject_repeats(con, staged, draft)
    else:
        con.execute(
            f"UPDATE {draft} SET id = a.id || '#' || a.ordinal FROM {draft}_again a "
            f"WHERE a.place = {draft}.rowid AND a.ordinal > 1"
        )
    con.execute(f"DROP TABLE {draft}_again")


def _reject_repeats(con: Connection, staged: Staged, draft: str) -> None:
    found = con.execute(f"SELECT first_row, id, many, lowest FROM {draft}_again ORDER BY 1").fetchall()
    for row, key, many, lowest in found:
        problem = Problem("row", key[:80], docs.repeated(many, lowest))
        staged.rejected.append(Rejected(row, problem, key))
    con.execute(f"DELETE FROM {draft} WHERE rowid IN (SELECT place FROM {draft}_again)")


def _resolve(con: Connection, profile: Profile, books: Books, applied: str) -> None:
    """References to invoices become ids: an id as it is, else the only invoice of that number and entity."""
    if not {"invoice", "concerns"} & set(profile.columns):
        return
    draft = books.table
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_printed AS
        SELECT DISTINCT entity_code, ref, fiscal_year, id FROM (
            SELECT entity_code, document AS ref, fiscal_year, id FROM {draft} WHERE kind = 'invoice'
            UNION ALL SELECT entity_code, number AS ref, fiscal_year, id FROM {draft} WHERE kind = 'invoice'
        ) WHERE ref IS NOT NULL""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_numbers AS
        SELECT entity_code, ref, min(id) AS id FROM {draft}_printed GROUP BY entity_code, ref HAVING count(*) = 1""")
    known = f"(SELECT id FROM {draft} WHERE kind = 'invoice')"
    con.execute(f"""
        UPDATE {draft} SET concerns = n.id FROM {draft}_numbers n
        WHERE n.ref = {draft}.concerns AND n.entity_code IS NOT DISTINCT FROM {draft}.entity_code
            AND {draft}.concerns NOT IN {known}""")
    con.execute(f"""
        UPDATE {applied} SET invoice = n.id FROM {draft}_numbers n, {draft} d
        WHERE d.first_row = {applied}.first_row AND n.ref = {applied}.invoice
            AND n.entity_code IS NOT DISTINCT FROM d.entity_code AND {applied}.invoice NOT IN {known}""")
    if "invoice_year" in profile.columns:
        _resolve_years(con, draft, applied)
    con.execute(f"DROP TABLE {draft}_numbers")
    con.execute(f"DROP TABLE {draft}_printed")


def _resolve_years(con: Connection, draft: str, applied: str) -> None:
    """References that name a year become ids, or plain references: such a one means no invoice of another year."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_asked AS
        SELECT DISTINCT entity_code, ref, split_part(ref, chr(31), 1) AS bare, split_part(ref, chr(31), 2) AS year
        FROM (
            SELECT d.entity_code, a.invoice AS ref FROM {applied} a JOIN {draft} d USING (first_row)
            UNION ALL SELECT entity_code, concerns AS ref FROM {draft}
        ) WHERE contains(ref, chr(31))""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_meant AS
        SELECT k.entity_code, k.ref, CASE WHEN k.bare IN (SELECT id FROM {draft} WHERE kind = 'invoice') THEN k.bare
            WHEN count(i.id) = 1 THEN min(i.id) ELSE k.bare END AS id
        FROM {draft}_asked k LEFT JOIN {draft}_printed i ON i.ref = k.bare
            AND i.entity_code IS NOT DISTINCT FROM k.entity_code AND coalesce(i.fiscal_year, k.year) = k.year
        GROUP BY k.entity_code, k.ref, k.bare""")
    con.execute(f"""
        UPDATE {draft} SET concerns = m.id FROM {draft}_meant m
        WHERE m.ref = {draft}.concerns AND m.entity_code IS NOT DISTINCT FROM {draft}.entity_code""")
    con.execute(f"""
        UPDATE {applied} SET invoice = m.id FROM {draft}_meant m, {draft} d
        WHERE d.first_row = {applied}.first_row AND m.ref = {applied}.invoice
            AND m.entity_code IS NOT DISTINCT FROM d.entity_code""")
    con.execute(f"DROP TABLE {draft}_asked")
    con.execute(f"DROP TABLE {draft}_meant")


def _finish(con: Connection, side: str, books: Books, applied: str) -> None:
    """The other tables of the side."""
    con.execute(f"""
        INSERT INTO {side}_applications
        SELECT a.source_kind, d.id, a.invoice, a.amount, a.amount_invoice, a.applied_on, a.reversed_on
        FROM {applied} a JOIN {books.table} d ON d.first_row = a.first_row""")
    found = con.execute(f"""
        SELECT customer, arg_min(customer_name, first_row) FILTER (customer_name IS NOT NULL),
            CASE WHEN bool_or(numbered) THEN customer END
        FROM {books.view} GROUP BY customer ORDER BY min(first_row)""").fetchall()
    insert(con, f"{side}_customers", relation.CUSTOMERS, (tabular_records.derived_customer_row(*row) for row in found))


def count(con: Connection, report: FileReport, draft: str) -> None:
    """Add the documents of a table to the report: rows and sums by currency, and amounts finer than theirs."""
    found = con.execute(
        f"SELECT currency, sum(row_count), sum(sign * total), count(*) FROM {draft} GROUP BY currency ORDER BY currency"
    ).fetchall()
    by_places: dict[int, list[str]] = {}
    for currency, rows, amount, documents in found:
        report.add_total(currency, int(rows), amount)
        report.accepted += int(rows)
        report.documents += documents
        by_places.setdefault(exponent(currency), []).append(currency)
    finer: dict[str, int] = {}
    for places, currencies in by_places.items():
        # Amounts of up to twelve digits before the point are rounded in machine words, a tenth of the work.
        narrow = "CAST(total AS DECIMAL(18,6))"
        query = f"""
            SELECT currency, count(*) FROM {draft} WHERE currency IN ({", ".join(map(literal, currencies))})
                AND CASE WHEN total < 1000000000000 THEN {narrow} <> round({narrow}, {places})
                    ELSE total <> round(total, {places}) END
            GROUP BY currency"""
        finer.update(con.execute(query).fetchall())
    for currency, *_ in found:
        report.warn_of_finer(currency, finer.get(currency, 0))


def _fill_customers(con: Connection, staged: Staged, side: str) -> None:
    report = staged.report
    rows = sorted([*rows_of(con, staged), *staged.rows], key=lambda r: r.number)
    kept = []
    for row, problem in docs.customers(rows):
        if problem is None:
            kept.append(row)
        else:
            staged.rejected.append(Rejected(row.number, problem, row.key))
    insert(con, f"{side}_customers", relation.CUSTOMERS, (tabular_records.customer_row(r) for r in kept))
    report.accepted = report.documents = len(kept)
    for row in kept:
        if currency := row.values.get("currency"):
            report.add_total(str(currency), 1, row.amount)
