"""What each ledger breaks by itself, by SQL: the twin of `mapping.invariants`, held to it by property test.

I3 to I6 (what is open, and what is applied beyond it) are the rules of `cash`, under codes of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from tieout.compare.background import Background
from tieout.compare.inputs.tables import Connection, append_to
from tieout.mapping.invariants import families
from tieout.mapping.relation import SIDES
from tieout.model import exponent

TOGETHER = 500  # rows that one statement takes
_TABLE = """
CREATE OR REPLACE TEMP TABLE cmp_broken (side VARCHAR, invariant VARCHAR, kind VARCHAR, id VARCHAR, field VARCHAR,
  expected VARCHAR, found VARCHAR)
"""
# A rate that is none: 1 or less of another currency, anything but 1 of the home currency (0: left out).
_NO_RATE = "CASE WHEN currency = ? THEN rate NOT IN (0, 1) ELSE rate <= 0 OR rate = 1 END"
_FOREIGN = f"""
SELECT count(CASE WHEN {_NO_RATE} THEN 1 END), count(CASE WHEN subkind = 'fx_realized' THEN 1 END)
FROM cmp_every_{{side}}
"""
_SUMS = "".join(
    f"""{"INSERT INTO cmp_broken" if not n else " UNION ALL"}
SELECT '{{side}}', '{invariant}', d.kind, d.id, '{field}', CAST({expected} AS VARCHAR), CAST({found} AS VARCHAR)
FROM {{side}}_details AS t JOIN cmp_every_{{side}} AS d ON d.kind = t.kind AND d.id = t.id
WHERE d.kind IN ('invoice', 'credit_memo') AND d.state <> 'voided' AND {expected} <> {found}{also}"""
    for n, (invariant, field, expected, found, also) in enumerate(
        (
            ("I1", "total", "(t.subtotal - coalesce(d.discount, 0) + coalesce(d.tax, 0))", "d.total", ""),
            ("I2", "subtotal", "t.line_sum", "t.subtotal", " AND t.line_sum <> t.subtotal - coalesce(d.discount, 0)"),
            ("I2", "tax", "t.tax_sum", "coalesce(d.tax, 0)", ""),
        )
    )
)
# Every application that may break something, with the topmost customers of both ends.
_ENDS = """
CREATE OR REPLACE TEMP TABLE cmp_ends AS SELECT * FROM (
SELECT a.side, a.kind, a.id, a.invoice, a.amount, a.amount_invoice, a.reversed_on, a.s_state, a.i_state,
       a.s_currency, a.i_currency, a.s_gone, a.i_gone, {payer} AS payer, {owner} AS owner, o.day
FROM cmp_applied AS a
CROSS JOIN (SELECT CAST(? AS DATE) AS day) AS o
{families}
WHERE NOT a.grouped) AS e
WHERE s_state IS DISTINCT FROM 'posted' OR i_state IS DISTINCT FROM 'posted' OR amount <> amount_invoice
   OR payer <> owner
"""
_ALONE = {"payer": "a.s_customer", "owner": "a.i_customer", "families": ""}
_IN_FAMILIES = {
    "payer": "coalesce(sf.top, a.s_customer)",
    "owner": "coalesce(tf.top, a.i_customer)",
    "families": "LEFT JOIN cmp_family AS sf ON sf.side = a.side AND sf.id = a.s_customer "
    "LEFT JOIN cmp_family AS tf ON tf.side = a.side AND tf.id = a.i_customer",
}
_BROKEN_ENDS = """
INSERT INTO cmp_broken
SELECT side, 'I7', kind, id, 'application', id || ' in the ledger', 'absent' FROM cmp_ends WHERE s_state IS NULL
UNION ALL
SELECT side, 'I7', kind, id, 'application', invoice || ' in the ledger', 'absent' FROM cmp_ends
WHERE i_state IS NULL
UNION ALL
SELECT side, 'I7', kind, id, 'application', id || ' posted', 'draft' FROM cmp_ends WHERE s_state = 'draft'
UNION ALL
SELECT side, 'I7', kind, id, 'application', invoice || ' posted', 'draft' FROM cmp_ends WHERE i_state = 'draft'
UNION ALL
SELECT side, 'I8', kind, id, 'application', 'reversed by ' || CAST(s_gone AS VARCHAR),
       coalesce(CAST(reversed_on AS VARCHAR), 'standing')
FROM cmp_ends WHERE s_state = 'voided' AND (reversed_on IS NULL OR reversed_on > s_gone)
  AND (day IS NULL OR s_gone <= day)
UNION ALL
SELECT side, 'I8', 'invoice', invoice, 'application', 'reversed by ' || CAST(i_gone AS VARCHAR),
       coalesce(CAST(reversed_on AS VARCHAR), 'standing')
FROM cmp_ends WHERE i_state = 'voided' AND (reversed_on IS NULL OR reversed_on > i_gone)
  AND (day IS NULL OR i_gone <= day)
UNION ALL
SELECT side, 'I7', kind, id, 'amount', CAST(amount AS VARCHAR), CAST(amount_invoice AS VARCHAR) FROM cmp_ends
WHERE s_currency = i_currency AND amount <> amount_invoice
UNION ALL
SELECT side, 'I7', kind, id, 'customer', owner, payer FROM cmp_ends WHERE payer <> owner
"""
# Amounts of a hundred thousand million and more are not multiplied: with a rate they would not fit a decimal.
_REALISED = """
INSERT INTO cmp_broken
SELECT '{side}', 'I9', 'invoice', id, 'fx_realized', CAST(due AS VARCHAR), CAST(posted AS VARCHAR) FROM (
  SELECT d.id, CASE WHEN e.parts > 0 THEN e.due ELSE 0 END AS due, coalesce(g.posted, 0) AS posted,
         greatest(coalesce(e.parts, 0), 1) AS parts
  FROM cmp_every_{side} AS d
  LEFT JOIN (
    SELECT t.id, count(*) AS parts,
           CASE WHEN count(*) = count({gain}) THEN sum({gain}) END AS due
    FROM {side}_applications AS a
    JOIN cmp_every_{side} AS s ON s.kind = a.source_kind AND s.id = a.source_id AND s.counts
    JOIN cmp_every_{side} AS t ON t.kind = 'invoice' AND t.id = a.invoice AND t.counts
    CROSS JOIN (SELECT CAST(? AS DATE) AS day) AS o
    WHERE (o.day IS NULL OR a.applied_on <= o.day) AND (a.reversed_on IS NULL OR o.day < a.reversed_on)
    GROUP BY t.id) AS e ON e.id = d.id
  LEFT JOIN (SELECT concerns, sum(sign * total) AS posted FROM cmp_every_{side} WHERE subkind = 'fx_realized' AND counts
             GROUP BY concerns) AS g ON g.concerns = d.id
  WHERE d.kind = 'invoice' AND d.counts) AS f
WHERE abs(due - posted) > (SELECT unit FROM cmp_home) * parts
  AND (SELECT count(*) > 0 AND bool_and(concerns IS NOT NULL AND currency = {home})
       FROM cmp_every_{side} WHERE subkind = 'fx_realized' AND counts)
"""
_GAIN = "TRY_CAST(a.amount AS DECIMAL(17,6)) * {s} - TRY_CAST(a.amount_invoice AS DECIMAL(17,6)) * {t}"
_RATE = "CASE WHEN {d}.currency = {home} THEN 1 ELSE TRY_CAST({d}.rate AS DECIMAL(18,12)) END"
_HOME = "(SELECT home FROM cmp_home)"
_UNRATED = f"""
INSERT INTO cmp_broken
SELECT '{{side}}', 'I10', kind, id, 'exchange_rate', CASE WHEN currency = ? THEN '1' ELSE 'a rate of the day' END,
       CAST(rate AS VARCHAR)
FROM cmp_every_{{side}} WHERE {_NO_RATE}
"""
_NUMBERS = """
INSERT INTO cmp_broken
SELECT '{side}', 'I11', kind, id, 'number', 'unique', number || ' on ' || CAST(n AS VARCHAR) || ' documents' FROM (
  SELECT kind, id, number, count(*) OVER (PARTITION BY kind, entity_code, number_key) AS n
  FROM cmp_every_{side} WHERE kind IN ('invoice', 'credit_memo') AND number_key IS NOT NULL) AS d
WHERE n > 1
"""
# Of several closings of a document's period, the one that reaches furthest speaks.
_INTO_CLOSED = """
INSERT INTO cmp_broken
SELECT '{side}', 'I12', kind, id, 'posted',
       'after ' || CAST(through AS VARCHAR) || ', closed since ' || since, CAST(posted AS VARCHAR)
FROM (SELECT d.kind, d.id, d.posted, c.through, c.since,
             row_number() OVER (PARTITION BY d.kind, d.id ORDER BY c.through DESC, c.since) AS nth
      FROM cmp_every_{side} AS d JOIN cmp_entered AS e ON e.kind = d.kind AND e.id = d.id
      JOIN cmp_closing AS c ON d.posted <= c.through AND e.seen > c.since
       AND (c.entity_code IS NULL OR c.entity_code = d.entity_code)
      WHERE d.state <> 'draft') AS f
WHERE nth = 1
"""


def fill_families(con: Connection, sides: Iterable[str]) -> None:
    """Fill `cmp_family` with the topmost customer of each that has a parent."""
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_family (side VARCHAR, id VARCHAR, top VARCHAR)")
    for side in sides:
        parents = con.execute(f"SELECT id, parent FROM {side}_customers WHERE parent IS NOT NULL").fetchall()
        tops = sorted(families(dict(parents)).items())
        for at in range(0, len(tops), TOGETHER):
            some = tops[at : at + TOGETHER]
            values = ", ".join([f"('{side}', ?, ?)"] * len(some))
            con.execute(f"INSERT INTO cmp_family VALUES {values}", [text for row in some for text in row])


def _foreign(con: Connection, side: str, home: str, *, as_of: date | None) -> None:
    """What a ledger breaks in the rates of its currencies."""
    unrated, gains = con.execute(_FOREIGN.format(side=side), [home]).fetchall()[0]
    if unrated:
        con.execute(_UNRATED.format(side=side), [home, home])
    if gains:
        con.execute("CREATE OR REPLACE TEMP TABLE cmp_home (home VARCHAR, unit DECIMAL(10,6))")
        con.execute("INSERT INTO cmp_home VALUES (?, ?)", [home, Decimal(1).scaleb(-exponent(home))])
        rates = {d: _RATE.format(d=d, home=_HOME) for d in ("s", "t")}
        con.execute(_REALISED.format(side=side, home=_HOME, gain=_GAIN.format(**rates)), [as_of])


def _into_closed(con: Connection, side: str, ledger: Background) -> None:
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_closing (through DATE, since VARCHAR, entity_code VARCHAR)")
    con.executemany(
        "INSERT INTO cmp_closing VALUES (?, ?, ?)", [(c.through, c.since, c.entity_code) for c in ledger.closings]
    )
    columns = tuple((name, "VARCHAR") for name in ("kind", "id", "seen"))
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_entered (kind VARCHAR, id VARCHAR, seen VARCHAR)")
    append_to(con, "cmp_entered", columns, ((*key, at) for key, at in ledger.entered.items()))
    con.execute(_INTO_CLOSED.format(side=side))


def breaches(
    con: Connection,
    stated: Sequence[Mapping[str, int]],
    ledgers: Sequence[Background],
    *,
    as_of: date | None,
    numbers: frozenset[str] = frozenset(),
) -> bool:
    """Fill `cmp_broken` with every breach of I1, I2 and I7 to I12 on either side; whether there is any.

    Needs `tables.every` and `applied.make`. stated: see `tables.Parties`
    numbers: the sides of whose invoices and credit memos no two may have one number (I11)
    """
    con.execute(_TABLE)
    asked = False
    if any(has["applications"] > has["grouped"] for has in stated):
        parents = [side for side, has in zip(SIDES, stated, strict=True) if has["parent"]]
        if parents:
            fill_families(con, parents)
        ends = con.execute(_ENDS.format(**(_IN_FAMILIES if parents else _ALONE)), [as_of])
        if ends.fetchall()[0][0]:
            con.execute(_BROKEN_ENDS)
            asked = True
    for side, ledger, has in zip(SIDES, ledgers, stated, strict=True):
        if has["subtotal"]:
            con.execute(_SUMS.format(side=side))
        if ledger.home is not None and (has["rate"] or has["subkind"]):
            _foreign(con, side, ledger.home, as_of=as_of)
        if ledger.closings and ledger.entered:
            _into_closed(con, side, ledger)
        if side in numbers:
            con.execute(_NUMBERS.format(side=side))
        asked |= bool(has["subtotal"] or has["rate"] or has["subkind"] or ledger.closings or side in numbers)
    return asked and con.execute("SELECT count(*) FROM cmp_broken").fetchall()[0][0] > 0
