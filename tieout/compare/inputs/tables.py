"""From the canonical relation to the working tables of a comparison: numbered rows, customers made one, dates applied.

Working tables are temporary and named `cmp_*`. All text of SQL is constant; values are bound or come from columns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from tieout.errors import ConfigError
from tieout.mapping.keys import number_key, plain_sql
from tieout.mapping.relation import (
    SIDES,
    TABLES,
    Columns,
    Row,
    application_rows,
    create_table,
    customer_row,
    detail_rows,
    document_row,
    names,
)
from tieout.model import AnyRecord, Customer, Entity

FEW = 200  # rows up to which a file costs more than to hand them over as values
PLAIN = 5_000  # rows of either side up to which to plan a statement well takes longer than to carry it out
Connection = Any  # a DuckDB connection; only `execute`, `fetchall` and `description` of it are used


@contextmanager
def database(memory: str | None, *, ordered: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, for as long as the block lasts.

    memory: limit such as `2GB`; beyond it the work goes to a folder of this user's alone, under TMPDIR
    ordered: whether rows keep their order · Raises ConfigError where `memory` is no size, or not enough
    """
    with tempfile.TemporaryDirectory(prefix="tieout-") as folder:
        given = {"memory_limit": memory} if memory else {}
        try:
            con = duckdb.connect(config={"temp_directory": folder, "preserve_insertion_order": ordered, **given})
        except duckdb.ParserException as error:
            raise ConfigError(f"{memory!r} is not a size of memory", hint="name one as 2GB or 500MB") from error
        try:
            con.execute("SET parquet_metadata_cache = true")
            yield con
        except duckdb.OutOfMemoryException as error:
            within = f"{memory} of memory and" if memory else "the memory of this machine and"
            raise ConfigError(
                f"the work does not fit into {within} the free disk space under {Path(folder).parent}",
                hint="allow more memory, or let TMPDIR name a disk with more room",
            ) from error
        finally:
            con.close()


class Shared:
    """A connection for a small comparison (`load_records`), whose tables are its own. Closing it ends them.

    It is to the one engine of this process: to start one takes as long as a part of the comparison. So does it to parse
    what the last comparison said already: each text is parsed once, and what came of that is copied when it is run.
    """

    def __init__(self) -> None:
        self._con = _engine(os.getpid()).cursor()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Shared:
        self._con.execute(_parsed(os.getpid(), sql), parameters)
        return self

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        self._con.executemany(sql, rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._con.fetchall()

    @property
    def description(self) -> Any:
        return self._con.description

    def close(self) -> None:
        self._con.close()


@lru_cache(maxsize=512)
def _parsed(process: int, sql: str) -> Any:
    [statement] = _engine(process).extract_statements(sql)
    return statement


@cache
def _engine(_process: int) -> duckdb.DuckDBPyConnection:
    """The engine of a process, for little; one that was forked off starts its own.

    That of its parent is never let go there: its threads are not, and to close it would wait for them without end.
    """
    return engine(PLAIN)


def engine(records: int) -> duckdb.DuckDBPyConnection:
    """An engine of its own, with an empty database in memory, for two ledgers of up to so many records each."""
    if records > PLAIN:
        return duckdb.connect(":memory:")
    con = duckdb.connect(":memory:", config={"threads": 1})
    plan_plainly(con)
    return con


@contextmanager
def tables_for(records: int, memory: str | None = None) -> Iterator[Connection]:
    """A place for the tables of two ledgers of up to so many records each, for as long as the block lasts.

    Few have it in the one engine of this process, many or what has a limit of memory in a `database`.
    """
    if records > PLAIN or memory is not None:
        with database(memory) as con:
            yield con
        return
    shared = Shared()
    try:
        yield shared
    finally:
        shared.close()


def plan_plainly(con: duckdb.DuckDBPyConnection) -> None:
    """Let an engine make no plan better than it must be: with few rows that takes longer than to carry it out."""
    names = con.execute("SELECT string_agg(name, ',') FROM duckdb_optimizers() WHERE name <> 'filter_pushdown'")
    con.execute("SET GLOBAL disabled_optimizers = ?", names.fetchone())


def load_records(
    con: Connection,
    side: str,
    records: Iterable[AnyRecord],
    *,
    customers: Iterable[Customer] = (),
    links: Mapping[tuple[Entity, str], str] | None = None,
    open_items: bool = False,
    disputes: bool = True,
) -> None:
    """Fill the tables of one side from records of one ledger. Replaces what was there.

    open_items: the ledger lists what is open only; its invoices and credit memos count for what is open of them
    disputes: the ledger says of an invoice whether it is disputed; if not, that is not compared
    customers: the ledger's customers (customers among `records` count too) · links: subject id by (entity, native id)
    """
    known = links or {}
    kept = list(records)
    party = {c.ref.id: c for c in customers} | {c.ref.id: c for c in kept if isinstance(c, Customer)}
    documents: list[Row] = []
    applications: list[Row] = []
    details: list[Row] = []
    for r in kept:
        if isinstance(r, Customer):
            continue
        documents.append(
            document_row(
                r,
                customer=party.get(r.customer),
                link=known.get((r.entity, r.ref.id)),
                customer_link=known.get((Entity.CUSTOMER, r.customer)),
                open_items=open_items,
                disputes=disputes,
            )
        )
        applications.extend(application_rows(r))
        details.extend(detail_rows(r))
    rows = [customer_row(c, link=known.get((Entity.CUSTOMER, i))) for i, c in party.items()]
    content = {"documents": documents, "customers": rows, "applications": applications, "details": details}
    for table, filled in content.items():
        insert(con, side, table, filled)


def insert(con: Connection, side: str, table: str, rows: Sequence[Row]) -> None:
    """Replace one table of a side by the rows, in column order, exactly. It is temporary."""
    if 0 < len(rows) <= FEW:
        # A cast of nothing is not planned: most columns of a few records are empty.
        given = [any(value is not None for value in column) for column in zip(*rows, strict=True)]
        cast = ", ".join(
            f'CAST({f"r[{n}]" if given[n - 1] else "NULL"} AS {kind}) AS "{k}"'
            for n, (k, kind) in enumerate(TABLES[table], 1)
        )
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {side}_{table} AS "
            f"SELECT {cast} FROM (SELECT unnest(CAST(? AS VARCHAR[][])) AS r) AS t",
            [[[None if value is None else str(value) for value in row] for row in rows]],
        )
    else:
        con.execute(create_table(side, table, temporary=True))
        append(con, side, table, rows)


def append(con: Connection, side: str, table: str, rows: Iterable[Row]) -> None:
    """Add rows, in column order, to one table of a side."""
    append_to(con, f"{side}_{table}", TABLES[table], rows)


def append_to(con: Connection, table: str, columns: Columns, rows: Iterable[Row]) -> None:
    """Add rows, in column order, to a table, exactly: amounts travel as decimal text."""
    keys = names(columns)
    handle, name = tempfile.mkstemp(suffix=".ndjson", prefix="tieout-")
    try:
        with os.fdopen(handle, "wb") as out:
            encoder = msgspec.json.Encoder(enc_hook=_text)
            for row in rows:
                out.write(encoder.encode(dict(zip(keys, row, strict=True))))
                out.write(b"\n")
        if Path(name).stat().st_size:
            # Everything arrives as text and is cast once: a JSON number would pass through a float.
            raw = ", ".join(f"\"{k}\": 'VARCHAR'" for k in keys)
            cast = ", ".join(f'CAST("{k}" AS {kind}) AS "{k}"' for k, kind in columns)
            con.execute(
                f"INSERT INTO {table} SELECT {cast} FROM read_json(?, format='newline_delimited', columns={{{raw}}})",
                [name],
            )
    finally:
        Path(name).unlink(missing_ok=True)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"no text for {type(value).__name__}")


def explain(con: Connection, codes: Mapping[tuple[str, str, str], str]) -> None:
    """Fill `cmp_explained` with the codes of documents, by side, kind and id, that the caller accounts for."""
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_explained (side VARCHAR, kind VARCHAR, id VARCHAR, code VARCHAR)")
    if codes:
        con.executemany("INSERT INTO cmp_explained VALUES (?, ?, ?, ?)", [(*k, v) for k, v in sorted(codes.items())])


@dataclass(frozen=True, slots=True)
class Parties:
    """Customers made one. matched: how many pairs · comparable: whether customers tell documents apart at all

    settled: every customer of a side is one of the other's, and neither has a second id
    in_place: sides whose documents are read where they lie · by_id: sides where every document names a customer's id
    stated: see `_stated`
    """

    matched: int
    comparable: bool
    settled: bool
    in_place: tuple[str, ...] = ()
    by_id: tuple[str, ...] = ()
    stated: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {})

    def rows(self, side: str) -> str:
        """The documents of a side, each with its number (`rid`): a table or query."""
        return f"{side}_documents" if side in self.in_place else f"(SELECT rowid AS rid, * FROM {side}_documents)"

    def id_of(self, side: str, of: str) -> str:
        """The expression for the id in `cmp_party_*`, given the alias of a document."""
        return f"{of}.customer" if side in self.by_id else f"coalesce({of}.customer, {of}.customer_name)"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that may show that documents have one number. A key that is not stored is made when asked for."""
        return ("number", "number_key") if self.in_place else ("number_key",)

    def who(self, of: str) -> str:
        """The expression that is equal on both sides for one customer, given the alias of `cmp_party_*`."""
        return f"{of}.who" if self.comparable else "'-'"


def parties(con: Connection) -> Parties:
    """Build `cmp_party_*`, `cmp_customer_*` and `cmp_customer_match`."""
    documents = _stated(con)
    numbered = [_is_numbered(con, side) for side in SIDES]
    for side, has in zip(SIDES, numbered, strict=True):
        con.execute(_STATED_PARTY.format(side=side, of_documents=_of_documents(side, numbered=has)))
        con.execute(_CUSTOMER.format(side=side))
    stated = con.execute(_STATED).fetchall()[0]
    left, right = (dict(zip(_ASKED, half, strict=True)) for half in (stated[: len(_ASKED)], stated[len(_ASKED) :]))
    if left["renamed"] or right["renamed"]:
        _agree_on_names(con, numbered)
    matched = _match_customers(con, left, right)
    for side in SIDES:
        con.execute(_WHO.format(side=side))
    # Where nothing of a customer can be compared (numbers on one side, names on the other), customers tell nothing.
    comparable = any(left[k] and right[k] for k in _KEYS if k != "cid")
    by_id = tuple(side for side, has in zip(SIDES, documents, strict=True) if has["customer"] == has["n"])
    return Parties(
        matched,
        comparable,
        matched in (left["cid"], right["cid"]) and not left["again"] and not right["again"],
        tuple(s for s, has in zip(SIDES, numbered, strict=True) if has),
        by_id,
        documents,
    )


def _of_documents(side: str, *, numbered: bool) -> str:
    return f"SELECT * FROM {side}_parties" if numbered else _OF_DOCUMENTS.format(side=side)


def _agree_on_names(con: Connection, numbered: Sequence[bool]) -> None:
    """Let customers of one number, whose name is typed in several ways, have one that both ledgers give that number."""
    named = [
        _NAMED.format(side=side, of_documents=_of_documents(side, numbered=has))
        for side, has in zip(SIDES, numbered, strict=True)
    ]
    con.execute(_NAME.format(left=named[0], right=named[1]))
    for side in SIDES:
        con.execute(_SAME_NAME.format(side=side))
        con.execute(_CUSTOMER.format(side=side))


def by_name(con: Connection, known: Parties) -> bool:
    """Whether documents of both sides call a customer the same, for all that are matched and for no other two."""
    return known.comparable and known.by_id == SIDES and con.execute(_BY_NAME).fetchall()[0] == (0, known.matched)


def _stated(con: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Of each side, how many rows say something in a column, or not what most say; asked once, for all rules.

    n, applications, grouped, customers: how many documents, applications, of these in groups, and customers
    """
    found = sorted(con.execute(_COUNTS_OF).fetchall())
    left, right = ([n for which, _, counts in found if which == side for n in counts] for side in SIDES)
    return dict(zip(_COUNTED_OF, left, strict=True)), dict(zip(_COUNTED_OF, right, strict=True))


_SAID = (
    "customer", "subkind", "voided_on", "settled_on", "tax", "due", "rate", "disputed", "ar", "link", "marker",
    "concerns", "entity_code", "open",
)  # fmt: skip
_OTHERWISE = {
    "kind": "kind IS DISTINCT FROM 'invoice'",
    "state": "state IS DISTINCT FROM 'posted'",
    "posted": "posted IS DISTINCT FROM issued",
    "discount": "discount <> 0",
}
_COUNTED = {
    "documents": {
        "n": "count(*)",
        **{c: f"count({c})" for c in _SAID},
        **{c: f"count(CASE WHEN {when} THEN 1 END)" for c, when in _OTHERWISE.items()},
    },
    "applications": {
        "applications": "count(*)",
        "grouped": "count(CASE WHEN source_kind LIKE 'group:%' THEN 1 END)",
    },
    "customers": {"customers": "count(*)", **{c: f"count({c})" for c in ("balance", "terms", "parent")}},
    "details": {c: f"count({c})" for c in ("subtotal", "ar_account", "tax_codes")},
}
_COUNTED_OF = tuple(name for of in _COUNTED.values() for name in of)
_COUNTS_OF = " UNION ALL ".join(
    f"SELECT '{side}' AS side, {place} AS place, [{', '.join(of.values())}] AS counts FROM {side}_{table}"
    for side in SIDES
    for place, (table, of) in enumerate(_COUNTED.items())
)
# How many names mean two on the two sides, and how many the same.
_BY_NAME = """
SELECT count(CASE WHEN l.who <> r.who THEN 1 END), count(CASE WHEN l.who = r.who THEN 1 END)
FROM cmp_party_left AS l JOIN cmp_party_right AS r ON l.id = r.id
"""


def _is_numbered(con: Connection, side: str) -> bool:
    """Whether the documents of a side come with a number of their own for each row."""
    return "rid" in {column[0] for column in con.execute(f"SELECT * FROM {side}_documents LIMIT 0").description}


def documents(con: Connection, known: Parties, *, as_of: date | None, rest: bool = False) -> tuple[int, int]:
    """Build `cmp_left`, `cmp_right`. `who` of a row is equal on both sides for one customer, NULL for none.

    as_of: inclusive; None counts every date · rest: only the rows of `cmp_rest_*` · Returns how many rows each has.
    """
    rows = []
    for side, stated in zip(SIDES, known.stated, strict=True):
        source = _SOME.format(side=side) if rest else known.rows(side)
        made = con.execute(f"CREATE OR REPLACE TEMP TABLE cmp_{side} AS {_counted(side, known, as_of, source)}")
        rows.append(int(made.fetchall()[0][0]))
        if side in known.in_place:
            complete_numbers(con, f"cmp_{side}")
            if con.execute(_REPEATED_ID.format(side=side)).fetchall()[0][0]:
                con.execute(_ORDINAL.format(side=side))
        if stated["settled_on"] and (stated["applications"] or stated["concerns"]):
            con.execute(_SHOWN.format(side=side))
    return rows[0], rows[1]


_SOME = "(SELECT * FROM cmp_rows_{side} WHERE rid IN (SELECT rid FROM cmp_rest_{side}))"


def complete_numbers(con: Connection, table: str) -> None:
    """Fill `number_key` of the rows whose number SQL cannot make a key of."""
    odd = con.execute(
        f"SELECT DISTINCT number FROM {table} WHERE number_key IS NULL AND number IS NOT NULL "
        f"AND NOT {plain_sql('number')}"
    ).fetchall()
    keys = [(key, number) for (number,) in odd if (key := number_key(number))]
    if keys:
        con.execute("CREATE OR REPLACE TEMP TABLE cmp_key (key VARCHAR, number VARCHAR)")
        append_to(con, "cmp_key", (("key", "VARCHAR"), ("number", "VARCHAR")), keys)
        con.execute(
            f"UPDATE {table} AS t SET number_key = k.key FROM cmp_key AS k "
            "WHERE k.number = t.number AND t.number_key IS NULL"
        )


_REPEATED_ID = """
SELECT count(*) FROM (SELECT id FROM cmp_{side} GROUP BY kind, id HAVING count(*) > 1) AS r
"""
# As the files' loader does: the first row keeps the id, the others get their place after it.
_ORDINAL = """
UPDATE cmp_{side} AS d SET id = d.id || '#' || CAST(o.nth AS VARCHAR)
FROM (SELECT rid, row_number() OVER (PARTITION BY kind, id ORDER BY rid) AS nth FROM cmp_{side}) AS o
WHERE o.rid = d.rid AND o.nth > 1
"""


def every(con: Connection, known: Parties, *, as_of: date | None, rest: bool = False) -> None:
    """Make the views `cmp_every_*`: all documents of a side, for what looks at a ledger as a whole.

    rest: `cmp_left`, `cmp_right` hold only some; the others are read where they lie, whenever they are asked for
    """
    columns = ", ".join(_EVERY)
    for side in SIDES:
        rows = f"SELECT {columns} FROM cmp_{side}"
        if rest:
            others = f"(SELECT * FROM cmp_rows_{side} WHERE rid NOT IN (SELECT rid FROM cmp_rest_{side}))"
            rows += f" UNION ALL SELECT {columns} FROM ({_counted(side, known, as_of, others)}) AS t"
        con.execute(f"CREATE OR REPLACE TEMP VIEW cmp_every_{side} AS {rows}")


def _counted(side: str, known: Parties, as_of: date | None, source: str) -> str:
    return _EFFECTIVE.format(
        dated=_DATED.format(
            side=side,
            who=_KNOWN_PARTY.format(who=known.who("p")),
            party=_PARTY_OF.format(side=side, id=known.id_of(side, "b")),
            amounts=_AMOUNTS,
            source=source,
            **conditions(as_of),
        )
    )


def conditions(as_of: date | None) -> dict[str, str]:
    """What holds of a document on the day, as expressions over `b`: a row of a side's documents."""
    dead = "b.state = 'voided'"
    settled, due_by = "b.settled_on IS NOT NULL", "TRUE"
    if as_of:
        day = f"CAST('{as_of.isoformat()}' AS DATE)"
        dead = f"({dead} AND (b.voided_on IS NULL OR b.voided_on <= {day}))"
        settled = f"({settled} AND b.settled_on <= {day})"
        due_by = f"(b.posted IS NULL OR b.posted <= {day})"
    counts = f"(b.state <> 'draft' AND {due_by} AND NOT {dead})"
    return {"dead": dead, "settled": settled, "due_by": due_by, "counts": counts}


def told(con: Connection, known: Parties) -> list[str]:
    """Columns whose difference is one only where both ledgers tell them at all, those of them that both do."""
    both = [c for c in ("discount", "entity_code") if all(side[c] for side in known.stated)]
    # Entity codes are told if some are the same.
    if "entity_code" in both and not con.execute(_SAME_ENTITIES).fetchall()[0][0]:
        both.remove("entity_code")
    return both


_SAME_ENTITIES = """
SELECT count(*) > 0 FROM (SELECT entity_code FROM left_documents WHERE entity_code IS NOT NULL
                          INTERSECT SELECT entity_code FROM right_documents)
"""
# One row per customer id; `cid` joins spellings of one customer that the ledger itself does not tell apart.
_STATED_PARTY = """
CREATE OR REPLACE TEMP TABLE cmp_stated_{side} AS
SELECT p.*, CASE WHEN p.link IS NOT NULL THEN 'l:' || p.link
                 WHEN p.number_key IS NOT NULL THEN 'k:' || p.number_key
                 WHEN p.name_key IS NOT NULL THEN 'n:' || p.name_key
                 ELSE 'i:' || p.id END AS cid
FROM (SELECT id, max(name) AS name, max(name_key) AS name_key, max(number) AS number, max(number_key) AS number_key,
             max(tax_id) AS tax_id, max(email) AS email, max(link) AS link, count(DISTINCT name_key) AS names
      FROM (SELECT id, name, name_key, number, number_key, tax_id, email, link FROM {side}_customers
            UNION ALL
            SELECT id, name, name_key, CAST(NULL AS VARCHAR), number_key, CAST(NULL AS VARCHAR),
                   CAST(NULL AS VARCHAR), link FROM ({of_documents}) AS d) AS stated
      GROUP BY id) AS p
"""
# A file that is read where it lies brings the customers of its documents along.
_OF_DOCUMENTS = """
SELECT DISTINCT coalesce(customer, customer_name) AS id, customer_name AS name, customer_name_key AS name_key,
       customer_key AS number_key, customer_link AS link
FROM {side}_documents WHERE coalesce(customer, customer_name) IS NOT NULL
"""
_NAMED = """
SELECT number_key, name_key, max(name) AS name FROM (
  SELECT number_key, name_key, name FROM {side}_customers
  UNION ALL SELECT number_key, name_key, name FROM ({of_documents}) AS d) AS n GROUP BY number_key, name_key
"""
_NAME = """
CREATE OR REPLACE TEMP TABLE cmp_name AS
SELECT l.number_key, l.name_key, l.name AS left_name, r.name AS right_name
FROM (SELECT number_key, max(name_key) AS name_key FROM (
        SELECT l.number_key, l.name_key FROM ({left}) AS l JOIN ({right}) AS r
          ON l.number_key = r.number_key AND l.name_key = r.name_key) AS b GROUP BY number_key) AS o
JOIN ({left}) AS l ON l.number_key = o.number_key AND l.name_key = o.name_key
JOIN ({right}) AS r ON r.number_key = o.number_key AND r.name_key = o.name_key
"""
_SAME_NAME = """
UPDATE cmp_stated_{side} AS t SET name_key = s.name_key, name = s.{side}_name FROM (
  SELECT number_key, name_key, left_name, right_name FROM cmp_name) AS s WHERE s.number_key = t.number_key
"""
_CUSTOMER = """
CREATE OR REPLACE TEMP TABLE cmp_customer_{side} AS
SELECT cid, min(id) AS id, count(*) AS ids, min(name) AS name, min(name_key) AS name_key, min(number) AS number,
       min(number_key) AS number_key, min(lower(regexp_replace(tax_id, '[^0-9A-Za-z]', '', 'g'))) AS tax_key,
       min(tax_id) AS tax_id, min(lower(trim(email))) AS email, min(link) AS link, max(names) AS names
FROM cmp_stated_{side} GROUP BY cid
"""
_WHO = """
CREATE OR REPLACE TEMP TABLE cmp_party_{side} AS
SELECT q.*, m.left_cid IS NOT NULL AS known,
       CASE WHEN m.left_cid IS NOT NULL THEN '=' || m.left_cid ELSE '{side}:' || q.cid END AS who
FROM cmp_stated_{side} AS q LEFT JOIN cmp_customer_match AS m ON m.{side}_cid = q.cid
"""
_ONE_TAXPAYER = "coalesce(nullif(l.tax_key, '') = nullif(r.tax_key, ''), TRUE)"
# (rule, columns it needs, key equal on both sides, condition on the pair, strong enough to link unasked); the order is
# the ladder.
CUSTOMER_RUNGS: tuple[tuple[str, tuple[str, ...], str, str, str], ...] = (
    ("link", ("link",), "link", "", "TRUE"),
    ("number and name", ("number_key", "name_key"), "number_key || '|' || name_key", "", "TRUE"),
    ("tax id", ("tax_key",), "nullif(tax_key, '')", "", "TRUE"),
    (
        "number",
        ("number_key",),
        "number_key",
        # The same number on two differently named customers is a coincidence where each name is known elsewhere.
        """AND NOT EXISTS (SELECT 1 FROM cmp_customer_right AS o WHERE o.name_key = l.name_key AND o.cid <> r.cid)
           AND NOT EXISTS (SELECT 1 FROM cmp_customer_left AS o WHERE o.name_key = r.name_key AND o.cid <> l.cid)""",
        "l.name_key IS NULL OR r.name_key IS NULL",
    ),
    # Two of one name whose tax numbers are both known and differ are two.
    ("name", ("name_key",), "name_key", f"AND {_ONE_TAXPAYER}", "TRUE"),
)
# What each side states of its customers, and how many of them have several ids, or ids with several names.
_KEYS = ("cid", "link", "number_key", "name_key", "tax_key")
_ASKED = {
    **{k: f"count({k})" for k in _KEYS},
    "again": "count(CASE WHEN ids > 1 THEN 1 END)",
    "renamed": "count(CASE WHEN names > 1 THEN 1 END)",
}
_STATED = "SELECT * FROM " + " CROSS JOIN ".join(
    f"(SELECT {', '.join(f'{ask} AS {s[0]}_{name}' for name, ask in _ASKED.items())} FROM cmp_customer_{s}) AS {s[0]}"
    for s in SIDES
)


def _match_customers(con: Connection, left: Mapping[str, int], right: Mapping[str, int]) -> int:
    """Each rung pairs customers whose key is unique on both sides among those still unpaired; how many pairs.

    left, right: how many customers of a side state each key; a rung that cannot pair anything is not asked
    """
    matched = 0
    con.execute(
        "CREATE OR REPLACE TEMP TABLE cmp_customer_match "
        "(left_cid VARCHAR, right_cid VARCHAR, rung INTEGER, rule VARCHAR, automatic BOOLEAN)"
    )
    for rung, (rule, needs, key, condition, automatic) in enumerate(CUSTOMER_RUNGS):
        if matched == min(left["cid"], right["cid"]):
            break
        if not all(left[k] and right[k] for k in needs):
            continue
        alone = "WHERE NOT EXISTS (SELECT 1 FROM cmp_customer_match AS m WHERE m.{side}_cid = c.cid)" if matched else ""
        sides = [
            f"""(SELECT k, min(cid) AS cid, min(name_key) AS name_key, min(tax_key) AS tax_key FROM
                  (SELECT {key} AS k, c.cid, c.name_key, c.tax_key FROM cmp_customer_{side} AS c
                   {alone.format(side=side)}) AS free
                WHERE k IS NOT NULL GROUP BY k HAVING count(*) = 1)"""
            for side in SIDES
        ]
        matched += con.execute(
            f"""INSERT INTO cmp_customer_match
                SELECT l.cid, r.cid, {rung}, '{rule}', {automatic}
                FROM {sides[0]} AS l JOIN {sides[1]} AS r ON l.k = r.k WHERE TRUE {condition}"""
        ).fetchall()[0][0]
    return matched


# A stated settlement is not counted beside what shows it. Shown in full, it is the documents that count; in part, the
# invoice counts for what they take off it, so that nothing of it is open.
_SHOWN = """
UPDATE cmp_{side} AS d
SET settled_on = CASE WHEN s.shown >= abs(d.full_ar) THEN NULL ELSE d.settled_on END,
    settled = d.settled AND s.shown < abs(d.full_ar),
    eff = CASE WHEN NOT d.counts THEN 0
               WHEN d.settled AND s.shown < abs(d.full_ar) THEN d.sign * s.counted ELSE d.full_ar END
FROM (
  SELECT invoice, sum(amount) AS shown, sum(CASE WHEN counts THEN amount ELSE 0 END) AS counted FROM (
    SELECT a.invoice, a.amount_invoice AS amount, p.counts FROM {side}_applications AS a
    JOIN cmp_{side} AS p ON p.kind = replace(a.source_kind, 'group:', '') AND p.id = a.source_id AND p.state = 'posted'
    WHERE a.reversed_on IS NULL AND a.invoice IS NOT NULL
    UNION ALL
    SELECT concerns, -sign * total, counts FROM cmp_{side}
    WHERE kind = 'adjustment' AND state = 'posted' AND concerns IS NOT NULL) AS parts
  GROUP BY invoice) AS s
WHERE d.kind = 'invoice' AND d.id = s.invoice AND d.settled_on IS NOT NULL
"""
# What a document counts for on the day: drafts, later postings, voids and stated settlements count nothing.
# `rid` is the engine's own number of the row: a window over all rows would run on one thread and copy them twice.
_DATED = """
SELECT b.rid, b.id, b.kind, b.subkind,
       CASE WHEN b.subkind IS NULL THEN b.kind ELSE b.kind || ':' || b.subkind END AS kk, b.sign,
       b.customer, b.customer_name, {who}, b.number, b.number_key, b.marker, b.link, b.issued, b.posted, b.due,
       coalesce(b.currency, '') AS currency, CAST(b.rate AS DECIMAL(24,12)) AS rate,
       {amounts}, b.state, b.voided_on, b.disputed, b.settled_on, b.entity_code, b.concerns, b.memo,
       b.sign * CAST(b.total AS DECIMAL(24,6)) AS gross,
       coalesce(CAST(b.ar AS DECIMAL(24,6)), b.sign * CAST(b.total AS DECIMAL(24,6))) AS full_ar,
       {dead} AS dead, {settled} AS settled, {due_by} AS due_by, {counts} AS counts
FROM {source} AS b{party}
"""
_EVERY = (
    "rid", "id", "kind", "subkind", "kk", "sign", "customer", "customer_name", "party_name", "who", "known", "number",
    "number_key", "marker", "link", "issued", "posted", "due", "currency", "rate", "net", "tax", "discount", "total",
    "open", "state", "voided_on", "disputed", "settled_on", "entity_code", "concerns", "memo", "gross", "full_ar",
    "dead", "settled", "due_by", "counts", "billed", "eff", "listed",
)  # fmt: skip
_AMOUNTS = ", ".join(f"CAST(b.{c} AS DECIMAL(24,6)) AS {c}" for c in ("net", "tax", "discount", "total", "open"))
_EFFECTIVE = """
SELECT d.*, d.stated_eff AS eff, d.counts AS listed
FROM (SELECT t.*, CASE WHEN t.counts THEN t.gross ELSE 0 END AS billed,
             CASE WHEN t.counts AND NOT t.settled THEN t.full_ar ELSE 0 END AS stated_eff
      FROM ({dated}) AS t) AS d
"""
_KNOWN_PARTY = "p.name_key AS party_name, {who} AS who, coalesce(p.known, FALSE) AS known"
_PARTY_OF = " LEFT JOIN cmp_party_{side} AS p ON p.id = {id}"
