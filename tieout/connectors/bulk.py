"""A whole file into the canonical relation, in columns: SQL for plain rows and documents, Python for all others.

1. stage: every row typed (`bulk_stage`).   2. assemble: plain documents by SQL, the others by
`mapping.tabular_documents`, which alone rejects.   3. finish: ids, references and keys into the tables
`{side}_documents`, `{side}_customers` and `{side}_applications`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tieout.connectors import bulk_clearing
from tieout.connectors import bulk_sql as sql
from tieout.connectors.bulk_clearing import APPLIED
from tieout.connectors.bulk_stage import Staged, insert, rows_of, stage
from tieout.connectors.reading import FileReport
from tieout.connectors.tables import open_table
from tieout.mapping import clearing, keys, relation, tabular_records
from tieout.mapping import tabular_documents as docs
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Doc, Rejected
from tieout.mapping.tabular_rows import Problem

Connection = Any
# A document before its id and keys are known. doc_key: of its rows · first_row, row_count: where it stands
_EXTRA = (
    ("doc_key", "VARCHAR"),
    ("first_row", "BIGINT"),
    ("row_count", "BIGINT"),
    ("document", "VARCHAR"),
    ("customer_number", "VARCHAR"),
)
_KEYS = ("customer_name_key", "customer_key", "number_key")
_DRAFT = tuple((n, t) for n, t in relation.DOCUMENTS if n not in _KEYS) + _EXTRA


def load(con: Connection, path: str | Path, profile: Profile, *, side: str) -> FileReport:
    """Fill the three tables of a side from one file, replacing what they held, and say what became of each row.

    Ids and values are those of `files.records`. Raises ProfileError where the file does not fit its profile.
    """
    with open_table(Path(path), profile) as table:
        for name in relation.TABLES:
            con.execute(relation.create_table(side, name))
        staged = stage(con, table, side)
        if profile.entity == "customers":
            _fill_customers(con, staged, side)
        else:
            _fill_documents(con, staged, side)
        con.execute(f"DROP TABLE {staged.typed}")
        staged.report.reject(staged.rejected)
        staged.report.finish()
        return staged.report


def _fill_documents(con: Connection, staged: Staged, side: str) -> None:
    draft, applied = f"{side}__draft", f"{side}__applied"
    for name, columns in ((draft, _DRAFT), (applied, APPLIED)):
        con.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{n} {t}' for n, t in columns)})")
    _assemble_plain(con, staged, draft, applied)
    made = _assemble_rest(con, staged, draft, applied)
    _identify(con, staged, draft)
    _resolve(con, staged.table.profile, draft, applied)
    if clearing.reads(staged.table.profile):
        bulk_clearing.settle(con, staged, draft, applied, made=made)
    _finish(con, side, draft, applied)
    _count(con, staged.report, draft)
    for name in (draft, applied):
        con.execute(f"DROP TABLE {name}")


def _assemble_plain(con: Connection, staged: Staged, draft: str, applied: str) -> None:
    """Documents whose every rule SQL can see to hold."""
    profile = staged.table.profile
    groups = _lines(con, staged) if profile.rows == "lines" else _single_rows(staged)
    source = sql.literal(staged.table.path.name)
    listed = ", ".join(n for n, _ in _DRAFT)
    con.execute(f"""
        INSERT INTO {draft} ({listed})
        SELECT {sql.draft(profile, source)} FROM (
            SELECT *, abs(effect) AS size, {sql.kind_and_sign(profile)} AS k FROM ({groups})
        ) WHERE {sql.plain_document(profile)}""")
    if profile.rows == "lines" and "invoice" in profile.columns:
        con.execute(f"""
            INSERT INTO {applied}
            SELECT d.first_row, d.kind, d.doc_key, t.v_invoice, {sql.applied(profile)}, {sql.applied(profile)},
                coalesce({sql.column(profile, "applied_on", "t.")}, d.posted),
                {sql.column(profile, "reversed_on", "t.")}
            FROM {staged.typed} t JOIN {draft} d ON d.doc_key = t.key
            WHERE t.cells IS NULL AND d.kind = 'payment' AND t.v_invoice IS NOT NULL
            ORDER BY {staged.number("t")}""")


def _single_rows(staged: Staged) -> str:
    profile = staged.table.profile
    parts = ", ".join(f"{sql.turned(profile, c)} AS p_{c}" for c in sql.parts(profile))
    return (
        f"SELECT {staged.number('t')} AS n, 1 AS row_count, key, effect, true AS agree, "
        f"{', '.join(f'v_{c}' for c in profile.columns)}{', ' + parts if parts else ''} "
        f"FROM {staged.typed} t WHERE cells IS NULL"
    )


def _lines(con: Connection, staged: Staged) -> str:
    """One row for each document of several rows. Documents of which Python read or refused a row are left out."""
    profile = staged.table.profile
    theirs = {r.key for r in staged.rows} | {r.key for r in staged.rejected if r.key}
    insert(con, _fresh(con, f"{staged.typed}_theirs"), (("key", "VARCHAR"),), ((k,) for k in sorted(theirs)))
    return f"""
        SELECT {sql.grouped(profile)}
        FROM (SELECT *, {staged.number("t")} AS number_in_file FROM {staged.typed} t)
        WHERE cells IS NULL AND key NOT IN (FROM {staged.typed}_theirs)
        GROUP BY key"""


def _fresh(con: Connection, name: str) -> str:
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} (key VARCHAR)")
    return name


def _assemble_rest(con: Connection, staged: Staged, draft: str, applied: str) -> list[Doc]:
    """The other documents, by the rules in Python, and the rows that make none."""
    profile = staged.table.profile
    plain, typed = con.execute(
        f"SELECT (SELECT coalesce(sum(row_count), 0) FROM {draft}), "
        f"(SELECT count(*) FROM {staged.typed} WHERE cells IS NULL)"
    ).fetchall()[0]
    rows = list(staged.rows)
    if plain != typed:
        found = f"SELECT 1 FROM {draft} d WHERE " + (
            "d.doc_key = t.key" if profile.rows == "lines" else f"d.first_row = {staged.number('t')}"
        )
        rows += rows_of(con, staged, f"NOT EXISTS ({found})")
    broken = {r.key: r.row for r in reversed(staged.rejected) if r.key}
    made, failed = docs.assemble(profile, sorted(rows, key=lambda r: r.number), broken)
    staged.rejected += failed
    source = staged.table.path.name
    insert(con, draft, _DRAFT, (_draft_row(profile, d, source) for d in made))
    insert(con, applied, APPLIED, ((d.rows[0].number, *a) for d in made for a in tabular_records.application_rows(d)))
    return made


def _draft_row(profile: Profile, doc: Doc, source: str) -> relation.Row:
    row = dict(zip(relation.names(relation.DOCUMENTS), tabular_records.relation_row(profile, doc, source), strict=True))
    extra = (doc.key, doc.rows[0].number, len(doc.rows), doc.text("document"), doc.text("customer"))
    return (*(row[n] for n, _ in _DRAFT[: -len(_EXTRA)]), *extra)


def _identify(con: Connection, staged: Staged, draft: str) -> None:
    """Ids as `tabular_documents` gives them: key, key and ordinal, or row; repeats of a unique key are rejected."""
    profile = staged.table.profile
    if not profile.key:
        con.execute(f"UPDATE {draft} SET id = 'row-' || first_row")
        return
    repeats = f"SELECT kind, doc_key FROM {draft} GROUP BY ALL HAVING count(*) > 1"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {draft}_repeats AS {repeats}")
    if con.execute(f"SELECT count(*) FROM {draft}_repeats").fetchall()[0][0]:
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE {draft}_again AS
            SELECT d.rowid AS place, d.first_row, d.doc_key, row_number() OVER w AS ordinal,
                count(*) OVER (PARTITION BY d.kind, d.doc_key) AS many,
                min(d.first_row) OVER (PARTITION BY d.kind, d.doc_key) AS lowest
            FROM {draft} d JOIN {draft}_repeats r ON r.kind = d.kind AND r.doc_key = d.doc_key
            WINDOW w AS (PARTITION BY d.kind, d.doc_key ORDER BY d.first_row)""")
        if profile.unique:
            _reject_repeats(con, staged, draft)
        else:
            con.execute(
                f"UPDATE {draft} SET id = a.doc_key || '#' || a.ordinal FROM {draft}_again a "
                f"WHERE a.place = {draft}.rowid AND a.ordinal > 1 AND a.doc_key <> ''"
            )
        con.execute(f"DROP TABLE {draft}_again")
    con.execute(f"UPDATE {draft} SET id = 'row-' || first_row WHERE doc_key = ''")


def _reject_repeats(con: Connection, staged: Staged, draft: str) -> None:
    found = con.execute(f"SELECT first_row, doc_key, many, lowest FROM {draft}_again ORDER BY 1").fetchall()
    for row, key, many, lowest in found:
        problem = Problem("row", key[:80], docs.repeated(many, lowest))
        staged.rejected.append(Rejected(row, problem, key))
    con.execute(f"DELETE FROM {draft} WHERE rowid IN (SELECT place FROM {draft}_again)")


def _resolve(con: Connection, profile: Profile, draft: str, applied: str) -> None:
    """References to invoices become ids: an id as it is, else the only invoice of that number and entity."""
    if not {"invoice", "concerns"} & set(profile.columns):
        return
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {draft}_numbers AS
        SELECT entity_code, ref, min(id) AS id FROM (
            SELECT DISTINCT entity_code, ref, id FROM (
                SELECT entity_code, document AS ref, id FROM {draft} WHERE kind = 'invoice'
                UNION ALL SELECT entity_code, number AS ref, id FROM {draft} WHERE kind = 'invoice'
            ) WHERE ref IS NOT NULL
        ) GROUP BY ALL HAVING count(*) = 1""")
    known = f"(SELECT id FROM {draft} WHERE kind = 'invoice')"
    con.execute(f"""
        UPDATE {draft} SET concerns = n.id FROM {draft}_numbers n
        WHERE n.ref = {draft}.concerns AND n.entity_code IS NOT DISTINCT FROM {draft}.entity_code
            AND {draft}.concerns NOT IN {known}""")
    con.execute(f"""
        UPDATE {applied} SET invoice = n.id FROM {draft}_numbers n, {draft} d
        WHERE d.first_row = {applied}.first_row AND n.ref = {applied}.invoice
            AND n.entity_code IS NOT DISTINCT FROM d.entity_code AND {applied}.invoice NOT IN {known}""")
    con.execute(f"DROP TABLE {draft}_numbers")


def _finish(con: Connection, side: str, draft: str, applied: str) -> None:
    """The tables of the side, with their keys."""
    computed = {
        "number_key": _keyed(con, draft, "number", keys.number_key, keys.number_key_sql),
        "customer_name_key": _keyed(con, draft, "customer_name", keys.name_key, keys.name_key_sql),
        "customer_key": _keyed(con, draft, "customer_number", keys.customer_number_key, keys.number_key_sql),
    }
    listed = relation.names(relation.DOCUMENTS)
    maps = " ".join(
        f"LEFT JOIN {draft}_{c} ON {draft}_{c}.raw = d.{c}" for c in ("number", "customer_name", "customer_number")
    )
    con.execute(
        f"INSERT INTO {side}_documents ({', '.join(listed)}) "
        f"SELECT {', '.join(computed.get(n, 'd.' + n) for n in listed)} FROM {draft} d {maps}"
    )
    con.execute(f"""
        INSERT INTO {side}_applications
        SELECT a.source_kind, d.id, a.invoice, a.amount, a.amount_invoice, a.applied_on, a.reversed_on
        FROM {applied} a JOIN {draft} d ON d.first_row = a.first_row""")
    found = con.execute(f"""
        SELECT customer, first(customer_name ORDER BY first_row) FILTER (customer_name IS NOT NULL),
            any_value(customer_number)
        FROM {draft} GROUP BY customer ORDER BY min(first_row)""").fetchall()
    insert(con, f"{side}_customers", relation.CUSTOMERS, (tabular_records.derived_customer_row(*row) for row in found))


def _keyed(con: Connection, draft: str, column: str, key: Callable[[str], str], key_sql: Callable[[str], str]) -> str:
    """SQL of the key of a column of alias `d`: its twin in SQL, or Python's for text beyond ASCII.

    Names and customers repeat, so theirs are worked out once for each and joined; document numbers where they stand.
    """
    name, d = f"{draft}_{column}", f"d.{column}"
    # Controls were refused or replaced on reading, so text as long in bytes as in characters is printable ASCII.
    plain = f"strlen({d}) = length({d})"
    unusual = con.execute(f"SELECT DISTINCT {d} FROM {draft} d WHERE NOT {plain}").fetchall()
    once = column != "number"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {d} AS raw, CAST({key_sql(d)} AS VARCHAR) AS key "
        f"FROM (SELECT DISTINCT {column} FROM {draft}) d WHERE {plain} AND {str(once).lower()}"
    )
    insert(con, name, (("raw", "VARCHAR"), ("key", "VARCHAR")), ((raw, key(raw)) for (raw,) in unusual))
    if once:
        return f"nullif({name}.key, '')"
    return f"nullif(CASE WHEN {plain} THEN {key_sql(d)} ELSE {name}.key END, '')"


def _count(con: Connection, report: FileReport, draft: str) -> None:
    found = con.execute(
        f"SELECT currency, sum(row_count), sum(sign * total), count(*) FROM {draft} GROUP BY currency ORDER BY currency"
    )
    for currency, rows, amount, documents in found.fetchall():
        report.add_total(currency, int(rows), amount)
        report.accepted += int(rows)
        report.documents += documents


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
