"""The rules of cash: applications of matched payments and credit memos, and each ledger's arithmetic by itself.

None of these moves the total. A ledger without a single application is taken not to state them and is not asked, unless
the caller knows that its system does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from tieout.compare.findings.invariants import fill_families
from tieout.compare.inputs.tables import Connection
from tieout.compare.matching.ladder import MONTH, NEAR_DAYS
from tieout.compare.result import Stated
from tieout.mapping.relation import SIDES
from tieout.model import tidy

_APPLYING = ("payment", "credit_memo")
# Applications that count on the day: from the latest of their date, the payment's and the invoice's, while both live.
_STANDING = """
CREATE OR REPLACE TEMP TABLE cmp_standing AS
SELECT side, s_rid AS source_rid, i_rid AS invoice_rid, sum(amount_invoice) AS amount, sum(amount) AS paid,
       max(greatest(applied_on, coalesce(s_posted, applied_on), coalesce(i_posted, applied_on))) AS since
FROM cmp_applied WHERE NOT grouped AND stands AND s_counts AND i_counts
GROUP BY side, s_rid, i_rid
"""
# One row per (payment pair, invoice pair) that either side applies; where the other ledger lacks the invoice, none.
_BOTH = """
CREATE OR REPLACE TEMP TABLE cmp_app AS
SELECT left_source, right_source, left_invoice, sum(l_amount) AS l_amount, sum(r_amount) AS r_amount,
       max(l_since) AS l_since, max(r_since) AS r_since
FROM (SELECT s.left_rid AS left_source, s.right_rid AS right_source, i.left_rid AS left_invoice,
             coalesce(a.amount, 0) AS l_amount, 0 AS r_amount, a.since AS l_since, CAST(NULL AS DATE) AS r_since
      FROM cmp_standing AS a JOIN cmp_match AS s ON s.left_rid = a.source_rid
      JOIN cmp_match AS i ON i.left_rid = a.invoice_rid JOIN cmp_right AS o ON o.rid = i.right_rid AND o.counts
      WHERE a.side = 'left'
      UNION ALL
      SELECT s.left_rid, s.right_rid, i.left_rid, 0, coalesce(a.amount, 0), NULL, a.since
      FROM cmp_standing AS a JOIN cmp_match AS s ON s.right_rid = a.source_rid
      JOIN cmp_match AS i ON i.right_rid = a.invoice_rid JOIN cmp_left AS o ON o.rid = i.left_rid AND o.counts
      WHERE a.side = 'right') AS both_of
GROUP BY left_source, right_source, left_invoice
"""
_DIFFER = """
INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, currency, clue)
SELECT CASE WHEN (g.l_sum = 0 OR g.r_sum = 0) AND g.amounts > 0 THEN
              CASE WHEN l.kind = 'payment' THEN 'UNAPPLIED_CASH' ELSE 'APPLICATION_MISSING' END
            WHEN g.l_only > 0 AND g.r_only > 0 THEN 'MISAPPLIED'
            WHEN g.l_only > 0 OR g.r_only > 0 THEN 'APPLICATION_MISSING'
            WHEN g.amounts > 0 THEN 'APPLICATION_AMOUNT'
            ELSE 'APPLICATION_DATE' END,
       '', l.kind, g.left_source, g.right_source, CASE WHEN g.amounts > 0 THEN 'applied' ELSE 'applied_on' END,
       CASE WHEN g.amounts > 0 THEN CAST(g.l_sum AS VARCHAR) ELSE CAST(g.l_since AS VARCHAR) END,
       CASE WHEN g.amounts > 0 THEN CAST(g.r_sum AS VARCHAR) ELSE CAST(g.r_since AS VARCHAR) END,
       0, l.currency, concat_ws(chr(31), 'left_to=' || replace(g.l_to, chr(31), ' '),
                                'right_to=' || replace(g.r_to, chr(31), ' '))
FROM (SELECT a.left_source, a.right_source, sum(a.l_amount) AS l_sum, sum(a.r_amount) AS r_sum,
             sum(CASE WHEN a.l_amount <> a.r_amount THEN 1 ELSE 0 END) AS amounts,
             sum(CASE WHEN a.l_amount <> 0 AND a.r_amount = 0 THEN 1 ELSE 0 END) AS l_only,
             sum(CASE WHEN a.r_amount <> 0 AND a.l_amount = 0 THEN 1 ELSE 0 END) AS r_only,
             sum(CASE WHEN a.l_since <> a.r_since THEN 1 ELSE 0 END) AS dates,
             max(a.l_since) AS l_since, max(a.r_since) AS r_since,
             string_agg(CASE WHEN a.l_amount <> 0 THEN coalesce(i.number, i.id) END, ', ' ORDER BY i.id) AS l_to,
             string_agg(CASE WHEN a.r_amount <> 0 THEN coalesce(i.number, i.id) END, ', ' ORDER BY i.id) AS r_to
      FROM cmp_app AS a JOIN cmp_left AS i ON i.rid = a.left_invoice GROUP BY a.left_source, a.right_source) AS g
JOIN cmp_left AS l ON l.rid = g.left_source JOIN cmp_right AS r ON r.rid = g.right_source
WHERE l.counts AND r.counts AND (g.amounts > 0 OR g.dates > 0) AND l.kind IN ({kinds}){ungrouped}
"""
_UNGROUPED = """
  AND NOT EXISTS (SELECT 1 FROM {side}_applications AS o
                  WHERE o.source_kind = 'group:' || {of}.kind AND o.source_id = {of}.id
                    AND (o.reversed_on IS NULL OR CAST(? AS DATE) < o.reversed_on))"""

# Money that one ledger settled in a group and the other holds unapplied: which invoices it paid is not known there.
_GROUP_ALONE = """
INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, currency, clue)
SELECT CASE WHEN l.kind = 'payment' THEN 'UNAPPLIED_CASH' ELSE 'APPLICATION_MISSING' END, '', l.kind, l.rid, r.rid,
       'applied', {left_value}, {right_value}, 0, l.currency, 'grouped={side}'
FROM (SELECT g.rid, g.amount FROM cmp_group_{side} AS g JOIN cmp_{side} AS d ON d.rid = g.rid
      AND d.kind IN ({kinds})) AS g
JOIN cmp_match AS m ON m.{side}_rid = g.rid
JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid
WHERE l.counts AND r.counts AND m.{other}_rid NOT IN (SELECT rid FROM cmp_group_{other})
  AND m.{other}_rid NOT IN (SELECT source_rid FROM cmp_standing WHERE side = '{other}')
"""

# What is applied beyond a document on the day; and what each ledger's own documents give today (all dates), beside what
# it reports, which is of today.
_INTERNAL = """
INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, currency, clue)
SELECT CASE WHEN excess > 0 THEN 'OVER_APPLIED' ELSE 'BALANCE_MISMATCH_INTERNAL' END, '', kind,
       CASE WHEN side = 'left' THEN rid END, CASE WHEN side = 'right' THEN rid END,
       CASE WHEN excess > 0 THEN 'applied' WHEN kind = 'invoice' THEN 'open' ELSE 'unapplied' END,
       CASE WHEN side = 'left' THEN CAST(CASE WHEN excess > 0 THEN standing ELSE open END AS VARCHAR) END,
       CASE WHEN side = 'right' THEN CAST(CASE WHEN excess > 0 THEN standing ELSE open END AS VARCHAR) END, 0, currency,
       concat_ws(chr(31), 'side=' || side, 'derived=' || CAST(derived AS VARCHAR), 'of=' || CAST(total AS VARCHAR))
FROM (
  SELECT d.side, d.rid, d.kind, d.currency, d.total, d.open, coalesce(t.standing, 0) AS standing,
         d.state = 'posted' AND coalesce(t.taken, 0) + {credited} <= d.total AS told,
         abs(d.full_ar) - coalesce(t.taken, 0) - {credited} AS derived,
         CASE WHEN d.counts THEN coalesce(t.standing, 0) + {counted} - d.total ELSE 0 END AS excess
  FROM ({documents}) AS d
  LEFT JOIN (
    SELECT side, rid, sum(CASE WHEN now THEN amount ELSE 0 END) AS taken,
           sum(CASE WHEN on_day THEN amount ELSE 0 END) AS standing
    FROM (
      SELECT side, i_rid AS rid, amount_invoice AS amount, s_state = 'posted' AND reversed_on IS NULL AS now,
             s_counts AND stands AS on_day
      FROM cmp_applied WHERE s_rid IS NOT NULL AND i_rid IS NOT NULL
      UNION ALL
      SELECT side, s_rid, amount, i_state = 'posted' AND reversed_on IS NULL, i_counts AND stands
      FROM cmp_applied WHERE s_rid IS NOT NULL AND i_rid IS NOT NULL AND NOT grouped) AS parts
    GROUP BY side, rid) AS t ON t.side = d.side AND t.rid = d.rid{concerned}) AS f
WHERE excess > 0 OR told AND derived <> open
"""
_DOCUMENTS = """
SELECT '{side}' AS side, rid, id, kind, currency, total, open, state, counts, full_ar FROM cmp_{side}
WHERE kind <> 'adjustment' AND settled_on IS NULL"""
# Who settled with others in one clearing says himself what is left.
_ALONE = """
 AND rid NOT IN (SELECT s_rid FROM cmp_applied WHERE side = '{side}' AND grouped AND reversed_on IS NULL
                 AND s_rid IS NOT NULL)"""
_CONCERNED = """
  LEFT JOIN ({adjustments}) AS j ON j.side = d.side AND j.id = d.id AND d.kind = 'invoice'"""
_ADJUSTMENTS = """
SELECT '{side}' AS side, concerns AS id, sum(CASE WHEN state = 'posted' THEN -sign * total ELSE 0 END) AS credited,
       sum(CASE WHEN counts THEN -sign * total ELSE 0 END) AS counted
FROM cmp_{side} WHERE kind = 'adjustment' AND concerns IS NOT NULL GROUP BY concerns"""


# A receipt that both ledgers hold twice: nothing of it is applied, while an equal one beside it is.
_DOUBLED = """
INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, currency, clue)
SELECT 'PAYMENT_DUPLICATED', '', 'payment', m.left_rid, m.right_rid, 'unapplied', CAST(l.total AS VARCHAR),
       CAST(r.total AS VARCHAR), 0, d.currency, concat_ws(chr(31), 'unsure=1', 'applied_twin=' ||
       replace(coalesce(d.twin_number, d.twin_id), chr(31), ' '))
FROM (SELECT p.rid, p.currency, min(t.number) AS twin_number, min(t.id) AS twin_id FROM cmp_{side} AS p
      JOIN cmp_{side} AS t ON t.kind = 'payment' AND t.customer = p.customer AND t.currency = p.currency
       AND t.total = p.total AND t.rid <> p.rid AND t.counts
       AND (abs(datediff('day', t.issued, p.issued)) <= {near} AND coalesce(t.number_key = p.number_key, TRUE)
            OR t.number_key = p.number_key AND abs(datediff('day', t.issued, p.issued)) <= {month})
      WHERE p.kind = 'payment' AND p.counts AND p.total > 0
        AND p.rid NOT IN (SELECT source_rid FROM cmp_standing WHERE side = '{side}')
        AND t.rid IN (SELECT source_rid FROM cmp_standing WHERE side = '{side}')
        AND NOT EXISTS (SELECT 1 FROM {side}_applications AS g
                        WHERE g.source_kind = 'group:payment' AND g.source_id = p.id)
      GROUP BY p.rid, p.currency) AS d
JOIN cmp_match AS m ON m.{side}_rid = d.rid
JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid
WHERE NOT EXISTS (SELECT 1 FROM cmp_found AS f WHERE f.left_rid = m.left_rid AND f.right_rid = m.right_rid
                  AND f.code IN ('PAYMENT_DUPLICATED', 'UNAPPLIED_CASH'))
"""

# A customer's documents of all dates beside the balance the ledger reports for it.
_OWED = """SELECT customer, count(DISTINCT currency) AS currencies, min(currency) AS currency,
       sum(CASE WHEN state = 'posted' AND settled_on IS NULL THEN full_ar ELSE 0 END) AS owed
FROM cmp_every_{side} GROUP BY customer"""
_CUSTOMER_BALANCE = """
INSERT INTO cmp_found (code, second, kind, {id}, field, {value}, {other}, delta, currency, clue)
SELECT 'BALANCE_MISMATCH_INTERNAL', '', 'customer', c.id, 'balance', CAST(c.balance AS VARCHAR), NULL, 0, c.currency,
       concat_ws(chr(31), 'side={side}', 'derived=' || CAST(coalesce(d.owed, 0) AS VARCHAR),
                 '{side}_name=' || replace(c.name, chr(31), ' '))
FROM {side}_customers AS c
LEFT JOIN ({owed}) AS d ON d.customer = c.id
WHERE c.balance <> coalesce(d.owed, 0) AND {tellable}
"""
_TELLABLE = "c.balance IS NOT NULL AND coalesce(d.currencies, 1) = 1 AND coalesce(c.currency = d.currency, TRUE)"
# The same in total, those whose balance agrees among them.
_IN_ALL = """
SELECT coalesce(c.currency, d.currency, '') AS cur, count(*), sum(c.balance), sum(coalesce(d.owed, 0)),
       count(CASE WHEN c.balance <> coalesce(d.owed, 0) THEN 1 END)
FROM {side}_customers AS c
LEFT JOIN ({owed}) AS d ON d.customer = c.id
WHERE {tellable} GROUP BY coalesce(c.currency, d.currency, '') ORDER BY cur
"""

# What a ledger that applies nothing to anything states as open, of all documents of a customer, or of a family, whose
# members pay for each other. Applications move nothing in their sum: it must be what the documents come to. A document
# that states nothing leaves it unknown.
_CUSTOMER_OPEN = """
INSERT INTO cmp_found (code, second, kind, {id}, field, {value}, {other}, delta, currency, clue)
SELECT 'BALANCE_MISMATCH_INTERNAL', '', 'customer', d.who, 'open', CAST(d.open AS VARCHAR), NULL, 0, d.currency,
       concat_ws(chr(31), 'side={side}', 'derived=' || CAST(d.owed AS VARCHAR), 'many=' || CAST(d.many AS VARCHAR),
                 '{side}_name=' || replace(coalesce(c.name, d.who), chr(31), ' '))
FROM (SELECT coalesce({top}e.customer, e.customer_name) AS who, e.currency, count(*) AS many,
             sum(e.sign * e.open) AS open, sum(e.full_ar) AS owed
      FROM cmp_every_{side} AS e{families} WHERE e.state = 'posted' AND e.settled_on IS NULL
      GROUP BY coalesce({top}e.customer, e.customer_name), e.currency
      HAVING count(e.open) = count(*)) AS d
LEFT JOIN {side}_customers AS c ON c.id = d.who
WHERE d.open <> d.owed
"""
_FAMILIES = " LEFT JOIN cmp_family AS f ON f.side = '{side}' AND f.id = e.customer"
_NO_FAMILIES = {"top": "", "families": ""}

# Whether applications differ at all, and whether a side holds payments of which nothing is applied.
_OCCURS = """
SELECT (SELECT count(*) FROM cmp_app WHERE l_amount <> r_amount OR l_since <> r_since), {unapplied}
"""
_UNAPPLIED = """
(SELECT count(*) FROM cmp_{side} WHERE kind = 'payment' AND counts AND total > 0
 AND rid NOT IN (SELECT source_rid FROM cmp_standing WHERE side = '{side}'))
"""


def reduce_to_open(con: Connection, side: str, *, as_of: date | None) -> None:
    """Let each document of a side count for what is open of it on the day, and list only those with something open.

    Needs `applied.make`.
    """
    con.execute(_STANDING)
    con.execute(_GROUPED.format(side=side), [as_of])
    con.execute(_OPEN.format(side=side))


# What settled groups took of their sources and of their invoices: who paid whom is not known, that it is paid is.
_GROUPED = """
CREATE OR REPLACE TEMP TABLE cmp_group_{side} AS
SELECT d.rid, sum(CASE WHEN a.invoice IS NULL THEN a.amount ELSE a.amount_invoice END) AS amount
FROM {side}_applications AS a
JOIN cmp_{side} AS s ON a.source_kind = 'group:' || s.kind AND s.id = a.source_id AND s.counts
JOIN cmp_{side} AS d ON d.counts AND d.kind = CASE WHEN a.invoice IS NULL THEN s.kind ELSE 'invoice' END
 AND d.id = coalesce(a.invoice, s.id)
CROSS JOIN (SELECT CAST(? AS DATE) AS day) AS t
WHERE (t.day IS NULL OR a.applied_on <= t.day) AND (a.reversed_on IS NULL OR t.day < a.reversed_on)
GROUP BY d.rid
"""
_OPEN = """
CREATE OR REPLACE TEMP TABLE cmp_{side} AS
SELECT o.*, o.listed_before AND o.eff <> 0 AS listed FROM (
  SELECT d.* EXCLUDE (eff, listed), d.listed AS listed_before,
         CASE WHEN d.settled OR d.kind = 'adjustment' AND j.rid IS NOT NULL THEN 0
              ELSE d.eff - d.sign * coalesce(t.amount, 0) + coalesce(k.amount, 0) END AS eff
  FROM cmp_{side} AS d
  LEFT JOIN (SELECT rid, sum(amount) AS amount FROM (
               SELECT source_rid AS rid, paid AS amount FROM cmp_standing WHERE side = '{side}'
               UNION ALL SELECT invoice_rid, amount FROM cmp_standing WHERE side = '{side}'
               UNION ALL SELECT g.rid, g.amount FROM cmp_group_{side} AS g) AS a GROUP BY rid) AS t ON t.rid = d.rid
  LEFT JOIN (SELECT i.rid, sum(a.eff) AS amount FROM cmp_{side} AS a
             JOIN cmp_{side} AS i ON i.kind = 'invoice' AND i.id = a.concerns AND i.counts
             WHERE a.kind = 'adjustment' AND a.counts GROUP BY i.rid) AS k ON k.rid = d.rid
  LEFT JOIN cmp_{side} AS j ON d.kind = 'adjustment' AND j.kind = 'invoice' AND j.id = d.concerns AND j.counts) AS o
"""


def find(
    con: Connection,
    stated: Sequence[Mapping[str, int]],
    *,
    as_of: date | None,
    reported_balances: bool,
    applying: Sequence[Collection[str]] = ((), ()),
) -> tuple[Stated, ...]:
    """Add the findings about applications and reported balances to `cmp_found`. Needs `rules.find`, `applied.make`.

    stated: see `tables.Parties` · applying: see `Background.applies`, of either side
    Returns what those balances add up to, of each side that states any and may be asked.
    """
    found: list[Stated] = []
    says = [set(_APPLYING) if has["applications"] else set(own) for has, own in zip(stated, applying, strict=True)]
    if any(has["applications"] for has in stated) and (kinds := says[0] & says[1]):
        _applications(con, kinds, grouped=any(has["grouped"] for has in stated), as_of=as_of)
    if not reported_balances:
        return ()
    if any(has["applications"] for has in stated):
        _internal(con, stated)
    for side, other, has in zip(SIDES, SIDES[::-1], stated, strict=True):
        columns = {"id": f"{side}_id", "side": side, "value": f"{side}_value", "other": f"{other}_value"}
        if has["open"] and not has["applications"]:
            if has["parent"]:
                fill_families(con, [side])
            families = {"top": "f.top, ", "families": _FAMILIES.format(side=side)} if has["parent"] else _NO_FAMILIES
            con.execute(_CUSTOMER_OPEN.format(**families, **columns))
        if has["balance"]:
            owed = {"owed": _OWED.format(side=side), "tellable": _TELLABLE}
            con.execute(_CUSTOMER_BALANCE.format(**owed, **columns))
            rows = con.execute(_IN_ALL.format(side=side, **owed)).fetchall()
            found += [Stated(side, c, n, tidy(total), tidy(own), bad) for c, n, total, own, bad in rows]
    return tuple(found)


def _applications(con: Connection, kinds: Collection[str], *, grouped: bool, as_of: date | None) -> None:
    """The findings about what documents of these kinds are applied to, of which both ledgers say so."""
    con.execute(_STANDING)
    con.execute(_BOTH)
    of = ", ".join(f"'{kind}'" for kind in sorted(kinds))
    unapplied = ", ".join(_UNAPPLIED.format(side=side) for side in SIDES)
    differing, *loose = con.execute(_OCCURS.format(unapplied=unapplied)).fetchall()[0]
    if differing:
        ungrouped = "".join(_UNGROUPED.format(side=side, of=side[0]) for side in SIDES) if grouped else ""
        con.execute(_DIFFER.format(kinds=of, ungrouped=ungrouped), [as_of, as_of] if grouped else [])
    if grouped:
        _groups(con, of, as_of=as_of)
    for side, some in zip(SIDES, loose, strict=True):
        if some and "payment" in kinds:
            con.execute(_DOUBLED.format(side=side, near=NEAR_DAYS, month=MONTH))


def _internal(con: Connection, stated: Sequence[Mapping[str, int]]) -> None:
    """Each ledger that applies anything against itself."""
    sides = [side for side, has in zip(SIDES, stated, strict=True) if has["applications"]]
    alone = _ALONE if any(has["grouped"] for has in stated) else ""
    concerned = any(has["concerns"] for has in stated)
    adjustments = " UNION ALL ".join(_ADJUSTMENTS.format(side=side) for side in sides)
    con.execute(
        _INTERNAL.format(
            documents=" UNION ALL ".join((_DOCUMENTS + alone).format(side=side) for side in sides),
            concerned=_CONCERNED.format(adjustments=adjustments) if concerned else "",
            credited="coalesce(j.credited, 0)" if concerned else "0",
            counted="coalesce(j.counted, 0)" if concerned else "0",
        )
    )


def _groups(con: Connection, kinds: str, *, as_of: date | None) -> None:
    """The findings about what was settled in groups. kinds: as a list in SQL"""
    for side in SIDES:
        con.execute(_GROUPED.format(side=side), [as_of])
    for side, other in (SIDES, SIDES[::-1]):
        values = {f"{side}_value": "CAST(g.amount AS VARCHAR)", f"{other}_value": "'0'"}
        con.execute(_GROUP_ALONE.format(side=side, other=other, kinds=kinds, **values))
