"""From findings to the list of discrepancies: as objects where they are few, in a file of columns where they are many.

What a discrepancy looks like is decided in `engine`, one at a time. Here the kinds that ledgers have by the hundred
thousand, and of which a sentence says nothing that its code does not, are made the same way by the database itself
(every comparison of the tests is listed both ways and must agree).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, overload

import duckdb

from tieout.compare import codes
from tieout.compare.inputs.tables import Connection, append_to
from tieout.compare.result import Discrepancy, Tally
from tieout.mapping.relation import KINDS
from tieout.model import tidy

# Codes whose sentence is always the usual one, and whose values are money or plain text.
SILENT = frozenset(
    {
        "MISSING_IN_A", "MISSING_IN_B", "PAYMENT_MISSING", "AMOUNT_NET", "PAYMENT_AMOUNT", "ROUNDING", "DATE_DIFF",
        "DUE_DATE_DIFF", "CUTOFF", "AMOUNT_SIGN", "DRAFT_VS_POSTED", "VOID_VS_OPEN", "CURRENCY_MISMATCH",
        "STATUS_MISMATCH",
    }
)  # fmt: skip
_AT_ONCE = 10_000
# A dictionary of values that hardly recur (ids, numbers) costs more than it saves.
FORM = "FORMAT parquet, DICTIONARY_SIZE_LIMIT 1000"
# Of the list, in the order of the file: what `Discrepancy` holds.
COLUMNS = (
    ("id", "VARCHAR"), ("code", "VARCHAR"), ("secondary", "VARCHAR"), ("class", "VARCHAR"), ("severity", "VARCHAR"),
    ("kind", "VARCHAR"), ("left", "VARCHAR"), ("right", "VARCHAR"), ("left_label", "VARCHAR"),
    ("right_label", "VARCHAR"), ("field", "VARCHAR"), ("left_value", "VARCHAR"), ("right_value", "VARCHAR"),
    ("delta", "DECIMAL(38,6)"), ("currency", "VARCHAR"), ("cause", "VARCHAR"), ("remedy", "VARCHAR"),
    ("confirmed", "BOOLEAN"), ("links", "VARCHAR"), ("customer", "VARCHAR"), ("amount", "DECIMAL(38,6)"),
)  # fmt: skip
_NAMES = ", ".join(f'"{name}"' for name, _ in COLUMNS)
FOUND = """
SELECT f.code, f.second, f.kind, coalesce(l.id, f.left_id) AS left_id, coalesce(r.id, f.right_id) AS right_id,
       coalesce(l.number, l.id) AS left_label, coalesce(r.number, r.id) AS right_label, l.link AS left_link,
       r.link AS right_link, f.field, f.left_value, f.right_value, f.delta, f.currency, f.clue,
       coalesce(nullif(l.customer_name, ''), l.customer, nullif(r.customer_name, ''), r.customer) AS customer,
       CAST(CASE WHEN l.rid IS NULL OR l.currency IS DISTINCT FROM f.currency AND r.rid IS NOT NULL THEN r.total
                 ELSE l.total END AS DECIMAL(38,6)) AS amount
FROM cmp_found AS f LEFT JOIN cmp_left AS l ON l.rid = f.left_rid LEFT JOIN cmp_right AS r ON r.rid = f.right_rid
"""
_CODES = """
CREATE OR REPLACE TEMP TABLE cmp_code (code VARCHAR, class VARCHAR, severity VARCHAR, cause VARCHAR, remedy VARCHAR,
  confirmed BOOLEAN, place INTEGER)
"""
# What names another document has a sentence of its own.
_KNOWN = "f.code IN (SELECT code FROM cmp_code) AND NOT regexp_matches(coalesce(f.clue, ''), '(same|taken|maybe)=')"
# Documents that the caller accounts for have sentences of their own.
_PLAIN = f"""{_KNOWN} AND NOT EXISTS (
  SELECT 1 FROM cmp_explained AS x WHERE x.code = f.code AND x.kind = f.kind
   AND (x.side = 'left' AND x.id = f.left_id AND f.right_id IS NULL
        OR x.side = 'right' AND x.id = f.right_id AND f.left_id IS NULL))"""
_MONEY = ", ".join(f"'{name}'" for name in sorted({*codes.MONEY_FIELDS, "existence"}))
# Amounts with two places, as most have, are cut without a look at every digit.
_VALUE = (
    "CASE WHEN f.field IN ({money}) THEN CASE WHEN {value} LIKE '%.__0000' THEN left({value}, -4) "
    "ELSE regexp_replace({value}, '(\\.[0-9]{{2}}[0-9]*?)0+$', '\\1') END ELSE {value} END"
)
_LINKS = """CASE WHEN coalesce(f.left_link, '') = '' THEN coalesce(f.right_link, '')
     WHEN coalesce(f.right_link, '') = '' OR f.left_link = f.right_link THEN f.left_link
     ELSE least(f.left_link, f.right_link) || chr(31) || greatest(f.left_link, f.right_link) END"""
_MADE = f"""
SELECT 'D-' || substr(sha256(f.code || chr(31) || coalesce(f.kind, '') || chr(31) || coalesce(f.left_id, '') || chr(31)
         || coalesce(f.right_id, '') || chr(31) || coalesce(f.field, '') || chr(31) || coalesce(f.currency, '')), 1, 16)
         AS id,
       f.code, coalesce(f.second, '') AS secondary,
       CASE WHEN f.delta <> 0 AND c.class IN ('N', 'Z') THEN 'T' ELSE c.class END AS class, c.severity, f.kind,
       f.left_id AS "left", f.right_id AS "right", coalesce(nullif(f.left_label, ''), f.left_id) AS left_label,
       coalesce(nullif(f.right_label, ''), f.right_id) AS right_label, f.field,
       {_VALUE.format(money=_MONEY, value="f.left_value")} AS left_value,
       {_VALUE.format(money=_MONEY, value="f.right_value")} AS right_value,
       f.delta, f.currency, c.cause, c.remedy, c.confirmed, {_LINKS} AS links, f.customer, f.amount
FROM ({FOUND}) AS f JOIN cmp_code AS c ON c.code = f.code WHERE {{plain}}
"""
_ORDER = """CASE class WHEN 'T' THEN 0 WHEN 'Z' THEN 1 WHEN 'G' THEN 2 ELSE 3 END, abs(delta) DESC,
 coalesce(place, 99), id"""
_WRITE = f"""
COPY (SELECT {_NAMES} FROM (
        SELECT d.*, c.place FROM (SELECT {_NAMES} FROM ({_MADE}) AS m UNION ALL SELECT {_NAMES} FROM cmp_spoken) AS d
        LEFT JOIN cmp_place AS c ON c.code = d.code) AS o
      ORDER BY {_ORDER}) TO '{{path}}' ({FORM})
"""
_TALLY = """
SELECT code, currency, count(*), sum(delta), sum(CASE WHEN confirmed THEN 0 ELSE abs(delta) END)
FROM read_parquet(?) GROUP BY code, currency ORDER BY code, currency
"""


@dataclass(frozen=True)
class Spooled(Sequence[Discrepancy]):
    """Discrepancies in a file of columns (Parquet), in order; one is made an object when it is asked for.

    The file goes with the list, unless `path` is copied before.
    """

    path: Path
    size: int
    folder: tempfile.TemporaryDirectory[str]

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Discrepancy]:
        return self._read(0, self.size)

    @overload
    def __getitem__(self, place: int) -> Discrepancy: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Discrepancy, ...]: ...
    def __getitem__(self, place: int | slice) -> Discrepancy | tuple[Discrepancy, ...]:
        if isinstance(place, int):
            at = place + self.size if place < 0 else place
            if not 0 <= at < self.size:
                raise IndexError(place)
            return next(self._read(at, 1))
        start, stop, step = place.indices(self.size)
        if step != 1:
            return tuple(self)[place]
        return tuple(self._read(start, max(stop - start, 0)))

    def _read(self, start: int, count: int) -> Iterator[Discrepancy]:
        with duckdb.connect() as con:
            rows = con.execute(f"SELECT {_NAMES} FROM read_parquet(?) LIMIT {count} OFFSET {start}", [str(self.path)])
            while some := rows.fetchmany(_AT_ONCE):
                for row in some:
                    yield _object(row)


def _object(row: tuple[Any, ...]) -> Discrepancy:
    id, code, secondary, class_, severity, kind, left, right, llabel, rlabel, field, lv, rv, delta, *rest = row
    currency, cause, remedy, confirmed, links, customer, amount = rest
    return Discrepancy(
        id, code, tuple(s for s in secondary.split(",") if s), class_, severity, kind, left, right, llabel, rlabel,
        field, lv, rv, tidy(delta), currency, cause, remedy, confirmed, tuple(x for x in links.split("\x1f") if x),
        customer, None if amount is None else tidy(amount),
    )  # fmt: skip


def _row(d: Discrepancy) -> tuple[str | bool | Decimal | None, ...]:
    return (
        d.id, d.code, ",".join(d.secondary), d.class_, d.severity, d.kind, d.left, d.right, d.left_label,
        d.right_label, d.field, d.left_value, d.right_value, d.delta, d.currency, d.cause, d.remedy, d.confirmed,
        "\x1f".join(d.links), d.customer, d.amount,
    )  # fmt: skip


def spool(
    con: Connection,
    make: Callable[[tuple[object, ...]], Discrepancy],
    entry: Callable[[Discrepancy], Discrepancy],
) -> tuple[Spooled, tuple[Tally, ...]]:
    """All findings of `cmp_found` in a file, and what they add up to. Few objects exist at any time.

    make: the discrepancy of one row of `FOUND` · entry: the last word on one, as on those that `make` makes
    """
    con.execute(_CODES)
    kept = [_usual(code, entry) for code in sorted(SILENT)]
    places = ", ".join("(?, ?, ?, ?, ?, ?, ?)" for _ in kept)
    con.execute(f"INSERT INTO cmp_code VALUES {places}", [x for row in kept for x in row])
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_place (code VARCHAR, place INTEGER)")
    order = ", ".join(f"('{code}', {place})" for code, place in codes.ORDER.items())
    con.execute(f"INSERT INTO cmp_place VALUES {order}")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS)
    con.execute(f"CREATE OR REPLACE TEMP TABLE cmp_spoken ({columns})")
    plain = _PLAIN if con.execute("SELECT count(*) FROM cmp_explained").fetchall()[0][0] else _KNOWN
    rows = con.execute(f"SELECT f.* FROM ({FOUND}) AS f WHERE NOT ({plain})")
    append_to(con, "cmp_spoken", COLUMNS, (_row(make(row)) for some in _batches(rows) for row in some))
    folder = tempfile.TemporaryDirectory(prefix="tieout-")
    path = Path(folder.name) / "discrepancies.parquet"
    count = con.execute(_WRITE.replace("{plain}", plain).replace("{path}", _quoted(path))).fetchall()[0][0]
    tally = con.execute(_TALLY, [str(path)]).fetchall()
    return Spooled(path, int(count), folder), tuple(
        Tally(code, currency, n, tidy(delta), tidy(loose)) for code, currency, n, delta, loose in tally
    )


# Which document is which, by which rung, and what was equal: where the other ledger says another thing, that too.
# Documents that are one in several parts are a row each, of one "group", with what is known of it. What has few values
# is an enumeration until it is text in the file: the writer looks at each text, which costs more than all else.
_MATCHES = """
COPY (SELECT m.rung, CAST(m.rule AS {rules}) AS rule, m.automatic, CAST(l.kind AS {kinds}) AS kind, l.id AS "left",
             r.id AS "right", l.number, l.total, l.currency, l.issued,
             CASE WHEN r.number <> l.number THEN r.number END AS right_number,
             CASE WHEN r.total <> l.total THEN r.total END AS right_total,
             CASE WHEN r.issued <> l.issued THEN r.issued END AS right_issued,
             CAST(NULL AS BIGINT) AS "group", CAST(NULL AS VARCHAR) AS evidence
      FROM cmp_match AS m JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid
      {equal}
      UNION ALL {groups}) TO '{path}' ({form})
"""
_GROUPS = """
SELECT 9, CAST(CASE WHEN g.code IS NOT NULL THEN 'equal sums' WHEN g.numbers = 1 AND g.numbered = g.n
                    THEN 'parts of one number' ELSE 'parts of one day' END AS {rules}),
       FALSE, CAST(p.kind AS {kinds}), CASE WHEN p.side = 'left' THEN p.id END,
       CASE WHEN p.side = 'right' THEN p.id END,
       CASE WHEN p.side = 'left' THEN p.number END, CASE WHEN p.side = 'left' THEN p.total END, p.currency,
       CASE WHEN p.side = 'left' THEN p.issued END, CASE WHEN p.side = 'right' THEN p.number END,
       CASE WHEN p.side = 'right' THEN p.total END, CASE WHEN p.side = 'right' THEN p.issued END, g.gid,
       concat_ws('; ', concat('sum=', g.left_total), replace(g.clue, chr(31), '; '))
FROM (SELECT s.*, k.code, k.clue FROM (
        SELECT gid, count(*) AS n, count(number_key) AS numbered, count(DISTINCT number_key) AS numbers,
               count(CASE WHEN side = 'left' THEN 1 END) AS left_n,
               sum(CASE WHEN side = 'left' THEN total END) AS left_total,
               sum(CASE WHEN side = 'right' THEN total END) AS right_total
        FROM ({parts}) AS a GROUP BY gid) AS s
      LEFT JOIN cmp_group AS k ON k.gid = s.gid) AS g
JOIN ({parts}) AS p ON p.gid = g.gid
WHERE g.code = 'SPLIT_OR_MERGED'
   OR g.code IS NULL AND g.left_total = g.right_total AND least(g.left_n, g.n - g.left_n) = 1 AND g.n > 2
"""
_PARTS = " UNION ALL ".join(
    f"SELECT a.gid, a.side, d.kind, d.id, d.number, d.number_key, CAST(d.total AS DECIMAL(24,6)) AS total, d.currency, "
    f"d.issued FROM cmp_ambiguous AS a JOIN cmp_{side} AS d ON a.side = '{side}' AND d.rid = a.rid"
    for side in ("left", "right")
)
# Pairs that were taken off are equal in what is shown, but for the way a number is printed.
_EQUAL = """
UNION ALL
SELECT {rung}, CAST('{rule}' AS {rules}), TRUE, CAST({kind} AS {kinds}), l.id, m.right_id, l.number,
       CAST(l.total AS DECIMAL(24,6)), l.currency, l.issued,
       {right_number}, NULL, NULL, NULL, NULL
FROM (SELECT * FROM cmp_equal WHERE same AND left_rid NOT IN (SELECT left_rid FROM cmp_twin)) AS m
JOIN cmp_rows_left AS l ON l.rid = m.left_rid
"""


def write_matches(con: Connection, path: Path, *, taken_off: tuple[int, str] | None, invoices: bool) -> None:
    """Every match with its rule and evidence, as Parquet, in no order; a group is a row for each of its documents.

    taken_off: rung and rule of the equal pairs · invoices: all documents of the left side are invoices
    """
    told = {row[0] for row in con.execute("SELECT DISTINCT rule FROM cmp_match").fetchall()}
    of = {"kinds": _enumeration(KINDS), "rules": _enumeration({*told, *_OF_GROUPS, *(taken_off or ())[1:]})}
    equal = ""
    if taken_off:
        rung, rule = taken_off
        columns = {column[0] for column in con.execute("SELECT * FROM cmp_equal LIMIT 0").description}
        number = "m.right_number" if "right_number" in columns else "NULL"
        kind = "'invoice'" if invoices else "l.kind"
        equal = _EQUAL.format(rung=rung, rule=rule, kind=kind, right_number=number, **of)
    groups = _GROUPS.format(parts=_PARTS, **of)
    con.execute(_MATCHES.format(equal=equal, groups=groups, path=_quoted(path), form=FORM, **of))


_OF_GROUPS = ("equal sums", "parts of one number", "parts of one day")


def _enumeration(values: Iterable[str]) -> str:
    """The type of a column that holds no other values."""
    quoted = (f"'{value}'" for value in sorted(values))
    return f"ENUM({', '.join(quoted)})"


def write(found: Sequence[Discrepancy], path: Path) -> None:
    """The list as a Parquet file of `COLUMNS`, in order."""
    if isinstance(found, Spooled):
        shutil.copyfile(found.path, path)
        return
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS)
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE listed ({columns})")
        append_to(con, "listed", COLUMNS, map(_row, found))
        con.execute(f"COPY listed TO '{_quoted(path)}' (FORMAT parquet)")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _batches(rows: Any) -> Iterator[list[tuple[object, ...]]]:
    while some := rows.fetchmany(_AT_ONCE):
        yield some


def _usual(code: str, entry: Callable[[Discrepancy], Discrepancy]) -> tuple[object, ...]:
    c = codes.of(code)
    d = entry(
        Discrepancy(
            "", code, (), c.class_, c.severity, "", "", "", "", "", None, None, None, Decimal(0), None, c.cause,
            c.remedy, c.confirmed,
        )
    )  # fmt: skip
    return code, d.class_, d.severity, d.cause, d.remedy, d.confirmed, codes.ORDER.get(code, 99)


def few(found: Iterable[Discrepancy]) -> tuple[Discrepancy, ...]:
    """In the order of a list: by class, size of delta (largest first), code and id."""
    return tuple(
        sorted(found, key=lambda d: ("TZGN".index(d.class_), -abs(d.delta), codes.ORDER.get(d.code, 99), d.id))
    )


def tallied(found: Iterable[Discrepancy]) -> tuple[Tally, ...]:
    """What discrepancies add up to, by code and currency."""
    sums: dict[tuple[str, str | None], Tally] = {}
    for d in found:
        t = sums.get((d.code, d.currency), Tally(d.code, d.currency, 0, Decimal(0), Decimal(0)))
        loose = Decimal(0) if d.confirmed else abs(d.delta)
        sums[d.code, d.currency] = replace(
            t, count=t.count + 1, delta=t.delta + d.delta, unconfirmed=t.unconfirmed + loose
        )
    return tuple(sums.values())
