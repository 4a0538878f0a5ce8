"""The rules of control: what a ledger breaks by itself, and what people who close a month want said of both.

None of these moves a total. What real ledgers show all the time (gaps in numbers, credit that nobody used) is looked
for only where `Checks` asks for it, and said once for each series of numbers or customer, never for each document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tieout.compare.background import Background
from tieout.compare.findings.invariants import breaches
from tieout.compare.inputs.tables import Connection
from tieout.compare.matching.ladder import NEAR_DAYS
from tieout.compare.totals import Sums
from tieout.mapping.relation import SIDES


@dataclass(frozen=True, slots=True)
class Checks:
    """What a comparison looks for beyond what is wrong in any two ledgers; nothing of it unless asked.

    unique_numbers: sides on which no two invoices or credit memos may have one number
    gapless_numbers: sides on which each series of their numbers runs without a gap
    negative_balances: name customers whose balance is a credit
    unused_credit_days: name credit that nobody has used for so many days before `today`; None for no such look
    """

    unique_numbers: frozenset[str] = frozenset()
    gapless_numbers: frozenset[str] = frozenset()
    negative_balances: bool = False
    unused_credit_days: int | None = None


NOTHING = Checks()
OUTSIDE = 10  # documents, and
BEYOND_DAYS = 7  # days beyond the other ledger's first or last one, from which its extract covers another time
_INTO = (
    "INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, left_id, right_id, field, left_value, "
    "right_value, delta, currency, clue) "
)
# What has a code of its own in this comparison is not said twice.
_BROKEN = (
    _INTO
    + """
SELECT 'INVARIANT_BROKEN', '', b.kind, {left}, {right}, b.field, {values}, 0, d.currency,
       concat_ws(chr(31), 'side={side}', 'invariant=' || b.invariant, 'many=' || CAST(b.n AS VARCHAR),
                 'expected=' || replace(b.expected, chr(31), ' '), {name})
FROM (SELECT invariant, kind, id, invariant || ' ' || field AS field, min(expected) AS expected, min(found) AS found,
             count(*) AS n
      FROM cmp_broken WHERE side = '{side}' AND invariant NOT IN ('I11', 'I12') AND {told}
      GROUP BY invariant, kind, id, field) AS b
LEFT JOIN cmp_every_{side} AS d ON d.kind = b.kind AND d.id = b.id
WHERE b.invariant <> 'I10'
   OR d.rid NOT IN (SELECT {side}_rid FROM cmp_found WHERE code = 'FX_RATE_DEFAULTED' AND {side}_rid IS NOT NULL)
"""
)
_BACKDATED = (
    _INTO
    + """
SELECT 'BACKDATED_AFTER_CLOSE', '', b.kind, {left}, {right}, 'posted', {values}, 0, d.currency,
       concat_ws(chr(31), 'side={side}', 'closed=' || replace(b.expected, 'after ', ''),
                 'amount=' || CAST(d.eff AS VARCHAR), {name})
FROM cmp_broken AS b JOIN cmp_every_{side} AS d ON d.kind = b.kind AND d.id = b.id
WHERE b.side = '{side}' AND b.invariant = 'I12'
"""
)
# One event that was entered in both ledgers and went both ways: of two pairs alike, our mark shows one to be born on
# the left and one on the right. Numbers are given by each ledger, so that only documents of one day may differ in them.
_CROSSED = """
INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, currency, clue)
WITH born AS (
  SELECT m.left_rid, m.right_rid, l.id, l.kind, l.kk, l.who, l.currency, l.total, l.issued, l.number, l.number_key,
         CASE WHEN l.marker IS NULL THEN 'left' ELSE 'right' END AS side
  FROM cmp_match AS m JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid
  WHERE l.counts AND r.counts AND l.total > 0 AND (l.marker IS NULL) <> (r.marker IS NULL))
SELECT 'DUPLICATE_CROSS_ORIGIN', '', b.kind, b.left_rid, b.right_rid, 'total', CAST(b.total AS VARCHAR),
       CAST(b.total AS VARCHAR), 0, b.currency,
       concat_ws(chr(31), 'unsure=1', 'twin=' || replace(min(coalesce(a.number, a.id)), chr(31), ' '))
FROM born AS a JOIN born AS b ON a.side = 'left' AND b.side = 'right' AND a.kk = b.kk AND a.who = b.who
 AND a.currency = b.currency AND a.total = b.total AND abs(datediff('day', a.issued, b.issued)) <= {near}
 AND (a.issued = b.issued OR coalesce(a.number_key = b.number_key, TRUE))
GROUP BY b.kind, b.left_rid, b.right_rid, b.total, b.currency
"""
# A number that only voided documents share with one that stands was used again; two that stand break the rule (I11).
_NUMBERS = (
    _INTO
    + """
SELECT CASE WHEN standing > 1 THEN 'INVARIANT_BROKEN' ELSE 'NUMBER_REUSED' END, '', kind, NULL, NULL, {ids},
       CASE WHEN standing > 1 THEN 'I11 number' ELSE 'number' END, {values}, 0, NULL,
       concat_ws(chr(31), 'side={side}', 'invariant=I11', 'many=' || CAST(n AS VARCHAR), 'expected=unique',
                 '{side}_name=' || replace(number, chr(31), ' '))
FROM (SELECT d.kind, d.entity_code, d.number_key, min(d.number) AS number, count(*) AS n,
             count(CASE WHEN d.state <> 'voided' THEN 1 END) AS standing,
             string_agg(d.id, ', ' ORDER BY d.id) AS ids
      FROM cmp_broken AS b JOIN cmp_every_{side} AS d ON d.kind = b.kind AND d.id = b.id
      WHERE b.side = '{side}' AND b.invariant = 'I11' GROUP BY d.kind, d.entity_code, d.number_key) AS g
"""
)
# Of each series (what stands before the last digits of a number, per kind and entity), the numbers left out. A number
# without digits belongs to no series; nor does one with more digits than can be counted.
_GAPS = (
    _INTO
    + """
SELECT 'SEQUENCE_GAP', '', kind, NULL, NULL, {ids}, 'number', {values}, 0, NULL,
       concat_ws(chr(31), 'side={side}', 'gaps=' || replace(gaps, chr(31), ' '), CASE WHEN holes > 5 THEN 'more=1' END,
                 '{side}_name=' || replace(first, chr(31), ' ') || ' … ' || replace(last, chr(31), ' '))
FROM (SELECT kind, entity_code, prefix, sum(next - n - 1) AS missing, count(*) AS holes,
             min(first) AS first, max(last) AS last,
             string_agg(prefix || {low} || CASE WHEN next - n = 2 THEN '' ELSE ' to ' || prefix || {high} END,
                        ', ' ORDER BY n)
               FILTER (WHERE nth <= 5) AS gaps
      FROM (SELECT *, row_number() OVER (PARTITION BY kind, entity_code, prefix ORDER BY n) AS nth FROM (
              SELECT kind, entity_code, prefix, n, width, lead(n) OVER series AS next,
                     first_value(number) OVER series AS first,
                     last_value(number) OVER (PARTITION BY kind, entity_code, prefix ORDER BY n
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last
              FROM (SELECT kind, entity_code, prefix, n, min(number) AS number, min(length(digits)) AS width FROM (
                      SELECT kind, entity_code, number, digits, CAST(digits AS BIGINT) AS n,
                             substr(number, 1, length(number) - length(digits)) AS prefix
                      FROM (SELECT kind, entity_code, number, regexp_extract(number, '[0-9]+$') AS digits
                            FROM cmp_every_{side} WHERE kind IN ('invoice', 'credit_memo')) AS d
                      WHERE length(digits) BETWEEN 1 AND 15) AS e
                    GROUP BY kind, entity_code, prefix, n) AS u
              WINDOW series AS (PARTITION BY kind, entity_code, prefix ORDER BY n)) AS s
            WHERE next - n > 1) AS g
      GROUP BY kind, entity_code, prefix) AS f
"""
)
# A number of a series as its neighbour is printed, with as many zeros before it.
_PRINTED = "lpad(CAST({n} AS VARCHAR), CAST(greatest(width, length(CAST({n} AS VARCHAR))) AS INTEGER), '0')"
# What is left of each payment and credit memo on the day; as reported, where a ledger shows no application at all.
_LEFT_OF = """
SELECT d.rid, d.customer, d.customer_name, d.who, d.currency, d.posted,
       CASE WHEN {stating} THEN d.total - coalesce(a.used, 0) ELSE d.open END AS amount
FROM cmp_every_{side} AS d
LEFT JOIN (
  SELECT replace(a.source_kind, 'group:', '') AS kind, a.source_id AS id, sum(a.amount) AS used
  FROM {side}_applications AS a
  LEFT JOIN cmp_every_{side} AS i ON i.kind = 'invoice' AND i.id = a.invoice
  CROSS JOIN (SELECT CAST(? AS DATE) AS day) AS o
  WHERE (o.day IS NULL OR a.applied_on <= o.day) AND (a.reversed_on IS NULL OR o.day < a.reversed_on)
    AND (a.source_kind NOT LIKE 'group:%' AND coalesce(i.state, '') <> 'voided'
         OR a.source_kind LIKE 'group:%' AND a.invoice IS NULL)
  GROUP BY 1, 2) AS a ON a.kind = d.kind AND a.id = d.id
WHERE d.kind IN ('payment', 'credit_memo') AND d.counts AND d.settled_on IS NULL
"""
_UNUSED = """
SELECT {party} AS party, currency, min(customer) AS customer, min(customer_name) AS name, sum(amount) AS amount,
       count(*) AS n, min(posted) AS since
FROM ({left_of}) AS f WHERE amount > 0 AND posted <= CAST(? AS DATE) GROUP BY 1, currency
"""
_CREDITS = """
SELECT {party} AS party, currency, min(customer) AS customer, min(customer_name) AS name, sum(eff) AS amount,
       count(*) AS n, min(posted) AS since
FROM cmp_every_{side} WHERE counts AND customer IS NOT NULL GROUP BY 1, currency HAVING sum(eff) < 0
"""
# Customers who are one on both sides stand together; where customers cannot be compared, each side speaks for itself.
_PARTY = "CASE WHEN who IS NULL OR who = '-' THEN '{side}:' || coalesce(customer, customer_name, '') ELSE who END"
_BY_CUSTOMER = (
    _INTO
    + """
SELECT '{code}', '', 'customer', NULL, NULL, l.customer, r.customer, '{field}', CAST(l.amount AS VARCHAR),
       CAST(r.amount AS VARCHAR), 0, coalesce(l.currency, r.currency),
       concat_ws(chr(31), 'since=' || CAST(least(coalesce(l.since, r.since), coalesce(r.since, l.since)) AS VARCHAR),
                 'left_name=' || replace(l.name, chr(31), ' '), 'right_name=' || replace(r.name, chr(31), ' '))
FROM ({left}) AS l FULL JOIN ({right}) AS r ON l.party = r.party AND l.currency = r.currency
"""
)

# Whose document it is and what it comes to: it may be one of those that are equal on both sides and were taken off.
_WHOSE = (
    "'customer=' || replace(coalesce(nullif({d}.customer_name, ''), {d}.customer), chr(31), ' '), "
    "'total=' || CAST({d}.total AS VARCHAR)"
)
# A code of one ledger says something in the other only where that ledger uses the same codes.
_TOLD = (
    _INTO
    + """
SELECT '{code}', '', l.kind, l.rid, r.rid, l.id, r.id, '{field}', lt.{column}, rt.{column}, 0, l.currency,
       concat_ws(chr(31), 'left_name=' || replace(l.number, chr(31), ' '),
                 'right_name=' || replace(r.number, chr(31), ' '), {whose})
FROM ({matched}) AS m JOIN cmp_every_left AS l ON l.rid = m.left_rid JOIN cmp_every_right AS r ON r.rid = m.right_rid
JOIN left_details AS lt ON lt.kind = l.kind AND lt.id = l.id
JOIN right_details AS rt ON rt.kind = r.kind AND rt.id = r.id
WHERE lt.{column} <> rt.{column} AND l.kind = r.kind AND l.state <> 'voided' AND r.state <> 'voided'
  AND lt.{column} IN (SELECT {column} FROM right_details) AND rt.{column} IN (SELECT {column} FROM left_details)
"""
)
_MATCHED = "SELECT left_rid, right_rid FROM cmp_match"
_TAKEN_OFF = """
 UNION ALL SELECT left_rid, right_rid FROM cmp_equal WHERE same AND left_rid NOT IN (SELECT left_rid FROM cmp_twin)
"""
_NAME = "'{side}_name=' || replace(d.number, chr(31), ' '), " + _WHOSE.format(d="d")
_TERMS = (
    _INTO
    + """
SELECT 'TERMS_DIFF', '', 'customer', NULL, NULL, l.id, r.id, 'terms', l.terms, r.terms, 0, NULL,
       concat_ws(chr(31), 'left_name=' || replace(l.name, chr(31), ' '),
                 'right_name=' || replace(r.name, chr(31), ' '), 'link=' || l.link)
FROM ({pairs}) AS m JOIN left_customers AS l ON l.id = m.left_id JOIN right_customers AS r ON r.id = m.right_id
WHERE lower(trim(l.terms)) <> lower(trim(r.terms))
  AND lower(trim(l.terms)) IN (SELECT lower(trim(terms)) FROM right_customers)
  AND lower(trim(r.terms)) IN (SELECT lower(trim(terms)) FROM left_customers)
"""
)
# Parents are compared where both are known in both ledgers, or one ledger states none.
_PARENTS = (
    _INTO
    + """
SELECT 'PARENT_DIFF', '', 'customer', NULL, NULL, l.id, r.id, 'parent', lp.name, rp.name, 0, NULL,
       concat_ws(chr(31), 'left_name=' || replace(l.name, chr(31), ' '),
                 'right_name=' || replace(r.name, chr(31), ' '), 'link=' || l.link)
FROM ({pairs}) AS m JOIN left_customers AS l ON l.id = m.left_id JOIN right_customers AS r ON r.id = m.right_id
LEFT JOIN left_customers AS lp ON lp.id = l.parent LEFT JOIN right_customers AS rp ON rp.id = r.parent
LEFT JOIN ({pairs}) AS lm ON lm.left_id = l.parent LEFT JOIN ({pairs}) AS rm ON rm.right_id = r.parent
WHERE (l.parent IS NULL OR lm.left_id IS NOT NULL) AND (r.parent IS NULL OR rm.right_id IS NOT NULL)
  AND lm.right_id IS DISTINCT FROM r.parent AND (l.parent IS NOT NULL OR r.parent IS NOT NULL)
"""
)
# Customers that the ladder made one, where neither ledger has a second id of the same.
_PAIRS = """
SELECT l.id AS left_id, r.id AS right_id FROM cmp_customer_match AS m
JOIN cmp_customer_left AS l ON l.cid = m.left_cid JOIN cmp_customer_right AS r ON r.cid = m.right_cid
WHERE l.ids = 1 AND r.ids = 1
"""
# What the other extract holds under another date was not left out of it.
_OUTSIDE = """
SELECT count(*), min(posted), max(posted) FROM cmp_every_{side}
WHERE counts AND (posted < CAST(? AS DATE) OR posted > CAST(? AS DATE))
  AND rid NOT IN (SELECT {side}_rid FROM cmp_match)
"""


def find(
    con: Connection,
    stated: tuple[Mapping[str, int], Mapping[str, int]],
    checks: Checks = NOTHING,
    *,
    as_of: date | None,
    today: date | None = None,
    ledgers: Sequence[Background],
    extracts: Sequence[Sequence[Sums]] | None = None,
    in_step: bool = False,
    taken_off: bool = False,
) -> None:
    """Add the findings of control to `cmp_found`. Needs `rules.find`.

    stated: see `tables.Parties` · today: the day from which credit is old, if nothing is said of `as_of`
    extracts: where both sides are files, each with a range of dates of its own, the sums of each; else None
    in_step: what one side has of the other carries our mark
    taken_off: pairs that are equal in all else were taken off first (`equal.take_off`)
    """
    left, right = stated
    if breaches(con, stated, ledgers, as_of=as_of, numbers=checks.unique_numbers):
        for side, ledger, has in zip(SIDES, ledgers, stated, strict=True):
            _broken(con, side, ledger, families=has["parent"] > 0, numbers=side in checks.unique_numbers)
    for side in SIDES:
        if side in checks.gapless_numbers:
            printed = {"low": _PRINTED.format(n="n + 1"), "high": _PRINTED.format(n="next - 1")}
            con.execute(_GAPS.format(side=side, **printed, **_own(side, "prefix || '*'", "CAST(missing AS VARCHAR)")))
    whose = _WHOSE.format(d="l")
    matched = _MATCHED + (_TAKEN_OFF if taken_off else "")
    if left["ar_account"] and right["ar_account"]:
        con.execute(
            _TOLD.format(code="AR_ACCOUNT_DIFF", field="ar_account", column="ar_account", matched=matched, whose=whose)
        )
    if left["tax_codes"] and right["tax_codes"]:
        con.execute(_TOLD.format(code="TAX_CODE", field="tax_code", column="tax_codes", matched=matched, whose=whose))
    if left["terms"] and right["terms"]:
        con.execute(_TERMS.format(pairs=_PAIRS))
    if left["parent"] and right["parent"]:
        con.execute(_PARENTS.format(pairs=_PAIRS))
    _credit(
        con, checks, as_of=as_of, today=today, stating={"left": left["applications"], "right": right["applications"]}
    )
    if in_step and left["marker"] and right["marker"]:
        con.execute(_CROSSED.format(near=NEAR_DAYS))
    if extracts:
        _ranges(con, extracts)


def _own(side: str, id: str, value: str) -> dict[str, str]:
    """The columns of a finding about one side: id and value where they belong, nothing for the other side."""
    ids, values = (f"{x}, NULL" if side == "left" else f"NULL, {x}" for x in (id, value))
    return {"ids": ids, "values": values}


def _broken(con: Connection, side: str, ledger: Background, *, families: bool, numbers: bool) -> None:
    """What is told of `cmp_broken`: a reference into nothing only of a whole ledger, families only where it has any."""
    told = ["TRUE"]
    if not ledger.whole:
        told.append("found <> 'absent'")
    if not families:
        told.append("field <> 'customer'")
    ids = {s: "d.rid" if s == side else "NULL" for s in SIDES}
    own = {
        "side": side,
        "left": f"{ids['left']}, {ids['right']}",
        "right": "b.id, NULL" if side == "left" else "NULL, b.id",
        "values": _own(side, "", "b.found")["values"],
        "name": _NAME.format(side=side),
    }
    con.execute(_BROKEN.format(told=" AND ".join(told), **own))
    con.execute(_BACKDATED.format(**own))
    if numbers:
        con.execute(_NUMBERS.format(side=side, **_own(side, "ids", "number")))


def _credit(
    con: Connection, checks: Checks, *, as_of: date | None, today: date | None, stating: dict[str, int]
) -> None:
    day = as_of or today
    if checks.negative_balances:
        sides = {side: _CREDITS.format(side=side, party=_PARTY.format(side=side)) for side in SIDES}
        con.execute(_BY_CUSTOMER.format(code="NEGATIVE_BALANCE", field="balance", **sides))
    if checks.unused_credit_days is not None and day is not None:
        until = day - timedelta(days=checks.unused_credit_days)
        sides = {
            side: _UNUSED.format(
                party=_PARTY.format(side=side), left_of=_LEFT_OF.format(side=side, stating=bool(stating[side]))
            )
            for side in SIDES
        }
        asked = [as_of, until, as_of, until]
        con.execute(_BY_CUSTOMER.format(code="CREDIT_UNUSED", field="unapplied", **sides), asked)


def _ranges(con: Connection, sums: Sequence[Sequence[Sums]]) -> None:
    """Say where two extracts cover different times, so that documents are missing by the dozen for no other reason."""
    ranges: dict[str, tuple[date, date]] = {}
    for side, of in zip(SIDES, sums, strict=True):
        days = [day for s in of for day in (s.first, s.last) if day]
        if not days:
            return
        ranges[side] = min(days), max(days)
    outside = 0
    for side, other in (SIDES, SIDES[::-1]):
        first, last = ranges[other]
        if first <= ranges[side][0] and ranges[side][1] <= last:
            continue
        many, low, high = con.execute(_OUTSIDE.format(side=side), [first, last]).fetchall()[0]
        far = many and max((first - low).days, (high - last).days) >= BEYOND_DAYS
        outside += many if far and (many >= OUTSIDE or _apart(ranges)) else 0
    if outside:
        said = {side: f"{first} to {last}" for side, (first, last) in ranges.items()}
        con.execute(
            _INTO + "VALUES ('NON_OVERLAP', '', 'ledger', NULL, NULL, NULL, NULL, 'posted', ?, ?, 0, NULL, ?)",
            [said["left"], said["right"], f"outside={outside}"],
        )


def _apart(ranges: dict[str, tuple[date, date]]) -> bool:
    (first, last), (start, end) = ranges["left"], ranges["right"]
    return bool(last < start or end < first)
