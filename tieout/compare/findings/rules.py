"""The rules: from matches to findings, one SQL statement each, in the fixed precedence of `codes.CODES`.

A finding is a row of `cmp_found`. `delta` is right − left effect on open receivables in `currency`. Every document
whose effect differs is in exactly one finding with a delta, or in split ones that add up to its difference.
`clue` is what a statement learned on the way: `key=value` parts joined by character 31, for `causes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tieout.compare.findings.pairs import occurring, other_id, unequal
from tieout.compare.inputs.tables import Connection, Parties
from tieout.compare.matching import several
from tieout.compare.matching.ladder import MONTH, NEAR_DAYS, Free
from tieout.compare.result import Rounding
from tieout.mapping.relation import SIDES

_FOUND = """
CREATE OR REPLACE TEMP TABLE cmp_found (code VARCHAR, second VARCHAR, kind VARCHAR, left_rid BIGINT, right_rid BIGINT,
  left_id VARCHAR, right_id VARCHAR, field VARCHAR, left_value VARCHAR, right_value VARCHAR, delta DECIMAL(38,6),
  currency VARCHAR, clue VARCHAR)
"""
_INTO = (
    "INSERT INTO cmp_found (code, second, kind, left_rid, right_rid, field, left_value, right_value, delta, "
    "currency, clue) "
)
# Rates are compared crosswise and to the cent: a product of full amounts would not fit a decimal.
_CENTS = {
    f"cents_{s}_{name}": f"TRY_CAST({amount.format(s=s)} AS DECIMAL(18,2))"
    for s in ("l", "r")
    for name, amount in (("tax", "{s}_tax"), ("net", "{s}_total - {s}_tax"))
}
# The payment of a pair, applied in one ledger to the invoice of another customer than its own.
_PAYS_FOR_ANOTHER = {
    f"pays_{side}": f"""SELECT 1 FROM {side}_applications AS a JOIN cmp_{side} AS i
      ON i.kind = 'invoice' AND i.id = a.invoice
    WHERE p.{side[0]}_kind = 'payment' AND a.source_kind = 'payment' AND a.source_id = p.{side[0]}_id
      AND a.reversed_on IS NULL AND i.who <> p.{side[0]}_who"""
    for side in SIDES
}

# Documents of one ledger that undo a matched document which the other ledger voided: they belong to that pair.
_OFFSET = """
INSERT INTO cmp_offset
SELECT '{side}', min(o.rid), p.l_rid, p.r_rid FROM cmp_pair AS p
JOIN cmp_{side} AS t ON t.rid = p.{s}_rid
JOIN cmp_{side} AS o ON o.sign = -t.sign AND o.currency = t.currency AND o.total = t.total AND o.who = t.who
 AND o.counts AND o.issued >= t.issued AND o.rid IN (SELECT rid FROM {free})
 AND ((t.kind = 'invoice' AND (o.kind = 'credit_memo' OR o.subkind IN ('deduction', 'journal')))
   OR (t.kind = 'payment' AND o.subkind IN ('returned_payment', 'chargeback', 'journal'))
   OR (t.kind = 'credit_memo' AND o.kind = 'invoice' AND o.concerns = t.id))
 AND (o.concerns IS NULL OR o.concerns = t.id)
WHERE p.main IN ('VOID_VS_OPEN', 'CHARGEBACK_NSF') AND NOT p.{s}_dead
GROUP BY p.l_rid, p.r_rid HAVING count(*) = 1
"""
_OFFSET_FOUND = (
    _INTO
    + """
SELECT 'VOID_DATE_DIFF', CASE WHEN p.l_kind = 'payment' THEN 'CHARGEBACK_NSF' ELSE '' END, p.l_kind, p.l_rid, p.r_rid,
       'voided_on',
       CASE WHEN o.side = 'right' THEN coalesce(CAST(coalesce(p.l_voided_on, p.l_posted) AS VARCHAR), '')
            ELSE CAST(d.posted AS VARCHAR) END,
       CASE WHEN o.side = 'left' THEN coalesce(CAST(coalesce(p.r_voided_on, p.r_posted) AS VARCHAR), '')
            ELSE CAST(d.posted AS VARCHAR) END,
       p.r_eff - p.l_eff + CASE WHEN o.side = 'right' THEN d.eff ELSE -d.eff END, p.l_currency,
       concat_ws(chr(31), 'offset=' || replace(coalesce(d.number, d.id), chr(31), ' '), 'side=' || o.side,
                 'moved=' || CAST(d.total AS VARCHAR),
                 'from=' || CAST(CASE WHEN o.side = 'left' THEN coalesce(p.r_voided_on, p.r_posted)
                                      ELSE coalesce(p.l_voided_on, p.l_posted) END AS VARCHAR),
                 'to=' || CAST(d.posted AS VARCHAR))
FROM cmp_offset AS o JOIN cmp_pair AS p ON p.l_rid = o.l_rid AND p.r_rid = o.r_rid
JOIN (SELECT 'left' AS side, rid, number, id, posted, total, eff FROM cmp_left
      UNION ALL SELECT 'right' AS side, rid, number, id, posted, total, eff FROM cmp_right) AS d
  ON d.side = o.side AND d.rid = o.rid
"""
)

_LIFECYCLE = (
    _INTO
    + """
SELECT main, concat_ws(',', CASE WHEN main = 'CHARGEBACK_NSF' THEN 'VOID_VS_OPEN' END,
                       CASE WHEN l_total <> r_total AND l_dead = r_dead THEN 'AMOUNT_NET' END,
                       CASE WHEN l_issued <> r_issued AND main <> 'CUTOFF' THEN 'DATE_DIFF' END,
                       CASE WHEN l_due <> r_due THEN 'DUE_DATE_DIFF' END,
                       CASE WHEN l_number_key <> r_number_key THEN 'NUMBER_MISMATCH' END,
                       CASE WHEN l_who <> r_who AND l_party_name <> r_party_name THEN 'CUSTOMER_MISMATCH' END,
                       CASE WHEN l_rate <> r_rate THEN
                         CASE WHEN (l_rate = 1) <> (r_rate = 1) THEN 'FX_RATE_DEFAULTED' ELSE 'FX_RATE' END END),
       l_kind, l_rid, r_rid,
       CASE main WHEN 'AMOUNT_SIGN' THEN 'kind' WHEN 'CUTOFF' THEN 'posted' WHEN 'PAID_VS_OPEN' THEN 'settled_on'
                 WHEN 'VOID_DATE_DIFF' THEN 'voided_on' ELSE 'state' END,
       CASE main WHEN 'AMOUNT_SIGN' THEN l_kind WHEN 'CUTOFF' THEN CAST(l_posted AS VARCHAR)
                 WHEN 'PAID_VS_OPEN' THEN CAST(l_settled_on AS VARCHAR)
                 WHEN 'VOID_DATE_DIFF' THEN CAST(l_voided_on AS VARCHAR) ELSE l_state END,
       CASE main WHEN 'AMOUNT_SIGN' THEN r_kind WHEN 'CUTOFF' THEN CAST(r_posted AS VARCHAR)
                 WHEN 'PAID_VS_OPEN' THEN CAST(r_settled_on AS VARCHAR)
                 WHEN 'VOID_DATE_DIFF' THEN CAST(r_voided_on AS VARCHAR) ELSE r_state END,
       r_eff - l_eff, l_currency,
       concat_ws(chr(31), 'memo=' || replace(CASE WHEN l_dead THEN l_memo WHEN r_dead THEN r_memo END, chr(31), ' '))
FROM cmp_pair WHERE main IN ('DRAFT_VS_POSTED', 'VOID_VS_OPEN', 'CHARGEBACK_NSF', 'VOID_DATE_DIFF', 'AMOUNT_SIGN',
                             'CUTOFF', 'PAID_VS_OPEN')
  AND l_currency = r_currency
  AND NOT EXISTS (SELECT 1 FROM cmp_offset AS o WHERE o.l_rid = cmp_pair.l_rid AND o.r_rid = cmp_pair.r_rid)
"""
)
# A pair in two currencies is in two bridges: the left effect leaves one, the right effect enters the other.
_CURRENCY = "".join(
    f"""{_INTO if not n else " UNION ALL "}
SELECT CASE WHEN main IN ('DRAFT_VS_POSTED', 'VOID_VS_OPEN', 'CHARGEBACK_NSF') THEN main ELSE 'CURRENCY_MISMATCH' END,
       CASE WHEN main IN ('DRAFT_VS_POSTED', 'VOID_VS_OPEN', 'CHARGEBACK_NSF') THEN 'CURRENCY_MISMATCH' ELSE '' END,
       l_kind, l_rid, r_rid, 'currency', l_currency, r_currency, {delta}, {currency}, ''
FROM cmp_pair WHERE l_currency <> r_currency AND main IS NOT NULL"""
    for n, (delta, currency) in enumerate((("-l_eff", "l_currency"), ("r_eff", "r_currency")))
)

# Compared by what is open, totals matter only where they explain it: a list of open items may show residuals.
# d = part of tax + part of net + what is settled otherwise. Without an effect on either side only values are reported.
_AMOUNT = """
CREATE OR REPLACE TEMP TABLE cmp_amount AS
SELECT a.*, {rounds} AS rounds
FROM (
  SELECT l_kind, l_subkind, l_id, r_id, l_rid, r_rid, l_currency, l_total, r_total, l_tax, r_tax, l_eff, r_eff,
         l_eff <> 0 OR r_eff <> 0 AS live, r_eff - l_eff AS d,
         CASE WHEN whole AND l_tax <> 0 AND r_tax <> 0 AND (l_total = r_total - r_tax OR r_total = l_total - l_tax)
              THEN coalesce(abs({cents_l_tax} * {cents_r_net} - {cents_r_tax} * {cents_l_net})
                            <= CAST(0.01 AS DECIMAL(4,2)) * ({cents_l_net} + {cents_r_net}), FALSE)
              ELSE FALSE END AS inclusive,
         CASE WHEN whole THEN coalesce(l_sign * (r_tax - l_tax), 0) ELSE 0 END AS tax_part,
         CASE WHEN whole THEN l_sign * (r_total - l_total) - coalesce(l_sign * (r_tax - l_tax), 0) ELSE 0 END
           AS net_part,
         CASE WHEN NOT whole THEN r_eff - l_eff
              WHEN l_eff <> 0 OR r_eff <> 0 THEN r_eff - l_eff - l_sign * (r_total - l_total) ELSE 0 END AS settle
  FROM (SELECT *, NOT {by_open} OR r_eff - l_eff = l_sign * (r_total - l_total) AS whole
        FROM cmp_pair WHERE main = 'AMOUNT') AS p) AS a
"""
# Smallest first, until the limit of all is reached. The limits are bound: each, each, all.
_ROUNDS = """
live AND settle = 0 AND d <> 0 AND abs(d) <= CAST(? AS DECIMAL(38,6))
 AND sum(CASE WHEN settle = 0 AND abs(d) <= CAST(? AS DECIMAL(38,6)) THEN abs(d) ELSE 0 END)
     OVER (PARTITION BY l_currency ORDER BY abs(d), least(l_id, r_id), greatest(l_id, r_id)
           ROWS UNBOUNDED PRECEDING) <= CAST(? AS DECIMAL(38,6))
"""
_AMOUNT_PARTS = (
    _INTO
    + """
SELECT 'ROUNDING', '', l_kind, l_rid, r_rid, 'total', CAST(l_total AS VARCHAR), CAST(r_total AS VARCHAR), d, l_currency,
       '' FROM cmp_amount WHERE rounds
UNION ALL
SELECT 'TAX_INCLUSIVE_CONFUSION', '', l_kind, l_rid, r_rid, 'total', CAST(l_total AS VARCHAR),
       CAST(r_total AS VARCHAR), CASE WHEN live THEN tax_part + net_part ELSE 0 END, l_currency,
       concat_ws(chr(31), 'left_tax=' || CAST(l_tax AS VARCHAR), 'right_tax=' || CAST(r_tax AS VARCHAR))
FROM cmp_amount WHERE inclusive AND NOT rounds
UNION ALL
SELECT 'TAX_AMOUNT', CASE WHEN l_tax = 0 OR r_tax = 0 THEN 'TAX_DROPPED' ELSE '' END, l_kind, l_rid, r_rid, 'tax',
       CAST(l_tax AS VARCHAR), CAST(r_tax AS VARCHAR),
       CASE WHEN live THEN tax_part ELSE 0 END, l_currency,
       concat_ws(chr(31), 'left_net=' || CAST(l_total - l_tax AS VARCHAR),
                 'right_net=' || CAST(r_total - r_tax AS VARCHAR),
                 'dropped=' || CASE WHEN l_tax = 0 THEN 'left' WHEN r_tax = 0 THEN 'right' END)
FROM cmp_amount WHERE tax_part <> 0 AND NOT rounds AND NOT inclusive
UNION ALL
SELECT CASE WHEN l_kind = 'payment' THEN 'PAYMENT_AMOUNT' WHEN l_subkind = 'discount' THEN 'DISCOUNT_TAKEN_DIFF'
            WHEN l_subkind = 'refund' THEN 'REFUND_MISMATCH' WHEN l_subkind = 'withholding' THEN 'WITHHOLDING_DIFF'
            WHEN l_subkind = 'fx_realized' THEN 'FX_REALIZED' ELSE 'AMOUNT_NET' END,
       '', l_kind, l_rid, r_rid, 'total', CAST(l_total AS VARCHAR), CAST(r_total AS VARCHAR),
       CASE WHEN live THEN net_part ELSE 0 END, l_currency, ''
FROM cmp_amount WHERE net_part <> 0 AND NOT rounds AND NOT inclusive
UNION ALL
SELECT 'PAID_VS_OPEN', '', l_kind, l_rid, r_rid, 'open', CAST(abs(l_eff) AS VARCHAR), CAST(abs(r_eff) AS VARCHAR),
       settle, l_currency, '' FROM cmp_amount WHERE settle <> 0 AND NOT rounds
"""
)

# Differences that move no total. Where a document already has a code for its effect, these become its secondary ones.
_FIELDS = (
    _INTO
    + """
SELECT code, '', l_kind, l_rid, r_rid, field, lv, rv, 0, l_currency, clue FROM ({found}) AS f
WHERE main IS NULL OR main = 'AMOUNT'
"""
)
_FIELD = """
SELECT {code} AS code, {field} AS field, {left} AS lv, {right} AS rv, {clue} AS clue, main, l_kind, l_rid, r_rid,
       l_currency
FROM cmp_pair AS p WHERE {where}
"""


@dataclass(frozen=True, slots=True)
class _Field:
    """One kind of difference. flag: one of `pairs.occurring`, without which it cannot occur

    code, field, clue: expressions · left, right: what is said of each side; by default `column` of it
    """

    flag: str
    code: str
    column: str
    where: str
    field: str = ""
    left: str = ""
    right: str = ""
    clue: str = "''"

    def sql(self) -> str:
        left, right = (getattr(self, side) or f"CAST({side[0]}_{self.column} AS VARCHAR)" for side in SIDES)
        field = self.field or f"'{self.column}'"
        return _FIELD.format(code=self.code, field=field, left=left, right=right, clue=self.clue, where=self.where)


_FX = "CASE WHEN (l_rate = 1) <> (r_rate = 1) THEN 'FX_RATE_DEFAULTED' ELSE 'FX_RATE' END"
_BY_RULE = "'rule=' || rule"
_FIELD_RULES = (
    _Field(
        "dates",
        "'DATE_DIFF'",
        "issued",
        "(l_issued <> r_issued OR l_posted <> r_posted) AND l_due_by = r_due_by",
        "CASE WHEN l_issued <> r_issued THEN 'issued' ELSE 'posted' END",
        "CAST(CASE WHEN l_issued <> r_issued THEN l_issued ELSE l_posted END AS VARCHAR)",
        "CAST(CASE WHEN l_issued <> r_issued THEN r_issued ELSE r_posted END AS VARCHAR)",
    ),
    _Field(
        "settling", "'DATE_DIFF'", "settled_on", "l_settled_on IS DISTINCT FROM r_settled_on AND l_settled = r_settled"
    ),
    _Field(
        "dead",
        "'VOID_DATE_DIFF'",
        "voided_on",
        "l_dead AND r_dead AND coalesce(l_voided_on, l_posted) <> coalesce(r_voided_on, r_posted)",
    ),
    _Field("due", "'DUE_DATE_DIFF'", "due", "l_due <> r_due"),
    _Field(
        "number",
        "'NUMBER_MISMATCH'",
        "number",
        "l_number_key <> r_number_key AND l_kind <> 'adjustment'",
        clue=_BY_RULE,
    ),
    _Field("id", "'ID_REPLACED'", "id", f"{other_id('l_', 'r_')} AND l_kind = r_kind"),
    _Field("rate", _FX, "rate", "l_rate <> r_rate AND l_currency = r_currency"),
    _Field("disputed", "'STATUS_MISMATCH'", "disputed", "l_disputed <> r_disputed"),
    _Field("discount", "'DISCOUNT_DIFF'", "discount", "l_discount <> r_discount AND l_currency = r_currency"),
    _Field(
        "entity",
        "'ENTITY_DIFF'",
        "entity_code",
        "l_entity_code <> r_entity_code AND l_entity_code IN (SELECT entity_code FROM right_documents) "
        "AND r_entity_code IN (SELECT entity_code FROM left_documents)",
    ),
    _Field(
        "customer",
        "CASE WHEN EXISTS ({pays_left}) OR EXISTS ({pays_right}) THEN 'CROSS_CUSTOMER' "
        "ELSE 'CUSTOMER_MISMATCH' END".format(**_PAYS_FOR_ANOTHER),
        "customer",
        "l_who <> r_who AND coalesce(l_party_name <> r_party_name, TRUE) AND NOT EXISTS "
        "(SELECT 1 FROM cmp_alias AS a WHERE a.left_who = l_who AND a.right_who = r_who)",
        left="coalesce(l_customer_name, l_customer)",
        right="coalesce(r_customer_name, r_customer)",
        clue=_BY_RULE,
    ),
)

# Two unmatched customers whose documents pair with each other, at least twice and with nobody else's, are one under two
# names: said once, not for each document.
_ALIAS = """
CREATE OR REPLACE TEMP TABLE cmp_alias AS
SELECT l_who AS left_who, r_who AS right_who, count(*) AS documents, min(l_rid) AS left_rid, min(r_rid) AS right_rid
FROM cmp_pair WHERE l_who <> r_who AND NOT l_known AND NOT r_known AND l_party_name <> r_party_name
GROUP BY l_who, r_who HAVING count(*) > 1
 AND NOT EXISTS (SELECT 1 FROM cmp_pair AS o WHERE o.l_who = cmp_pair.l_who AND o.r_who <> cmp_pair.r_who)
 AND NOT EXISTS (SELECT 1 FROM cmp_pair AS o WHERE o.r_who = cmp_pair.r_who AND o.l_who <> cmp_pair.l_who)
"""
_ALIAS_FOUND = """
INSERT INTO cmp_found (code, second, kind, left_id, right_id, field, left_value, right_value, delta, currency, clue)
SELECT 'CUSTOMER_UNMAPPED', '', 'customer', l.customer, r.customer, 'name', l.customer_name, r.customer_name, 0, NULL,
       concat_ws(chr(31), 'documents=' || CAST(a.documents AS VARCHAR),
                 'left_name=' || replace(l.customer_name, chr(31), ' '),
                 'right_name=' || replace(r.customer_name, chr(31), ' '))
FROM cmp_alias AS a JOIN cmp_left AS l ON l.rid = a.left_rid JOIN cmp_right AS r ON r.rid = a.right_rid
"""
_CUSTOMER_FIELDS = """
INSERT INTO cmp_found (code, second, kind, left_id, right_id, field, left_value, right_value, delta, currency, clue)
SELECT CASE f.field WHEN 'tax_id' THEN 'TAX_ID_DIFF' ELSE 'CUSTOMER_FIELD_DIFF' END, '', 'customer', l.id, r.id,
       f.field,
       CASE f.field WHEN 'name' THEN l.name WHEN 'tax_id' THEN l.tax_id ELSE l.email END,
       CASE f.field WHEN 'name' THEN r.name WHEN 'tax_id' THEN r.tax_id ELSE r.email END, 0, NULL,
       concat_ws(chr(31), 'rule=' || m.rule, 'left_name=' || replace(l.name, chr(31), ' '),
                 'right_name=' || replace(r.name, chr(31), ' '), 'link=' || l.link)
FROM cmp_customer_match AS m JOIN cmp_customer_left AS l ON l.cid = m.left_cid
JOIN cmp_customer_right AS r ON r.cid = m.right_cid
CROSS JOIN (SELECT 'name' AS field UNION ALL SELECT 'tax_id' AS field UNION ALL SELECT 'email' AS field) AS f
WHERE (f.field = 'name' AND l.name_key <> r.name_key) OR (f.field = 'tax_id' AND l.tax_key <> r.tax_key)
   OR (f.field = 'email' AND l.email <> r.email)
"""

# Existence. What counts nothing on the day (drafts, later postings, voids) is no gap, nor is
# a payment of nothing, which only applies credits.
_ALONE = (
    _INTO
    + """
SELECT CASE WHEN {code} <> 'OUT_OF_SCOPE' THEN {code}
            WHEN {twin} IS NOT NULL THEN CASE WHEN b.kind = 'payment' THEN 'PAYMENT_DUPLICATED'
                                              ELSE 'DUPLICATE_WITHIN_LEDGER' END
            WHEN b.kind = 'payment' THEN coalesce({code}, 'PAYMENT_MISSING')
            WHEN b.subkind = 'write_off' THEN 'WRITEOFF_ONE_SIDE'
            WHEN b.subkind = 'discount' THEN 'DISCOUNT_TAKEN_DIFF'
            WHEN b.subkind = 'refund' THEN 'REFUND_MISMATCH'
            WHEN b.subkind IN ('returned_payment', 'chargeback') THEN 'CHARGEBACK_NSF'
            WHEN b.subkind = 'withholding' THEN 'WITHHOLDING_DIFF'
            WHEN b.subkind = 'fx_realized' THEN 'FX_REALIZED'
            ELSE coalesce({code}, 'MISSING_IN_{absent}') END,
       CASE WHEN {code} IS NULL THEN '' WHEN b.kind = 'payment' THEN 'PAYMENT_MISSING'
            ELSE 'MISSING_IN_{absent}' END,
       b.kind, {rids}, 'existence', {values}, {minus}b.eff, b.currency,
       concat_ws(chr(31), 'twin=' || replace({twin_name}, chr(31), ' '),
                 'concerns=' || replace(b.concerns, chr(31), ' '),
                 CASE WHEN {twin} IS NOT NULL AND b.number_key IS NULL THEN 'unsure=1' END, {twin_day}{namesake})
FROM cmp_{side} AS b{joined}
WHERE b.rid IN (SELECT rid FROM {free}){others}
  AND (b.listed AND NOT (b.kind = 'payment' AND b.total = 0) OR {code} <> 'OUT_OF_SCOPE')
"""
)
_TWINS = """
LEFT JOIN cmp_dup AS d ON d.side = '{side}' AND d.rid = b.rid
LEFT JOIN cmp_{side} AS t ON t.rid = d.twin"""
_TWIN_DAY = (
    f"CASE WHEN abs(datediff('day', t.issued, b.issued)) > {NEAR_DAYS} "
    "THEN concat_ws(chr(31), 'unsure=1', 'dated=' || CAST(t.issued AS VARCHAR)) END"
)
# What the other ledger holds under the same number of the same customer. Unmatched, it is of another kind or in another
# currency, else it would be the counterpart; only what the ladder left over is looked at. Matched, it is of this kind.
_SAID = """concat_ws(chr(30), {d}kind, replace({d}number, chr(30), ' '), CAST({d}total AS VARCHAR),
                  coalesce({d}currency, ''))"""
_NAMESAKES = f"""
LEFT JOIN (SELECT number_key, who, count(*) AS many, min({_SAID.format(d="")}) AS said
           FROM {{other}} WHERE number_key IS NOT NULL AND who IS NOT NULL GROUP BY number_key, who) AS n
  ON n.number_key = b.number_key AND n.who = b.who"""
_NAMESAKE = (
    ", 'same=' || replace(n.said, chr(31), ' '), CASE WHEN n.many > 1 THEN 'same_many=' || CAST(n.many AS VARCHAR) END"
)
# Matched with one of another number, or with another one of this number: as it is written, so that `equal.take_off`
# can leave such pairs. Payments are not asked: their references recur.
_TAKEN = f"""
LEFT JOIN (
  SELECT rid, min(said) AS said FROM (
    SELECT f.rid, concat_ws(chr(30), {_SAID.format(d="o.")}, coalesce(CAST(o.issued AS VARCHAR), ''),
                            {_SAID.format(d="p.").replace("p.number", "coalesce(p.number, p.id)")},
                            coalesce(CAST(p.issued AS VARCHAR), '')) AS said
    FROM (SELECT * FROM {{mine}} WHERE kind IN ('invoice', 'credit_memo') AND number_key IS NOT NULL) AS f
    JOIN cmp_{{there}} AS o ON o.number_key = f.number_key AND o.who = f.who AND o.kind = f.kind
    JOIN cmp_match AS m ON m.{{there}}_rid = o.rid JOIN cmp_{{side}} AS p ON p.rid = m.{{side}}_rid
    WHERE p.number = f.number OR p.number_key IS NULL OR p.number_key <> o.number_key) AS g
  GROUP BY rid) AS k ON k.rid = b.rid"""
_TAKEN_BY = ", CASE WHEN {unless} THEN 'taken=' || replace(k.said, chr(31), ' ') END"
_WITH_NAMESAKES = """
SELECT '{side}' FROM {mine} AS f WHERE EXISTS (
  SELECT 1 FROM cmp_{other} AS o WHERE o.number_key = f.number_key AND o.who = f.who) HAVING count(*) > 0
"""
# Of what stands alone on both sides, two that may be one: of one number for two customers, or of one customer and
# amount within three months under two numbers. They are named where nothing else may be either, and never paired.
_ONLY = """SELECT *, count(*) OVER (PARTITION BY number_key, kind) AS of_number,
         count(*) OVER (PARTITION BY who, kind, currency, total) AS of_amount
  FROM {{{side}}} WHERE kind IN ('invoice', 'credit_memo') AND who IS NOT NULL"""
_MAYBE = f"""
CREATE OR REPLACE TEMP TABLE cmp_maybe AS
WITH l AS ({_ONLY.format(side="left")}), r AS ({_ONLY.format(side="right")}), c AS (
  SELECT l.rid AS l_rid, r.rid AS r_rid, FALSE AS same
  FROM l JOIN r ON r.number_key = l.number_key AND r.kind = l.kind AND r.who <> l.who
  WHERE l.of_number = 1 AND r.of_number = 1
  UNION ALL
  SELECT l.rid AS l_rid, r.rid AS r_rid, TRUE AS same
  FROM l JOIN r ON r.who = l.who AND r.kind = l.kind AND r.currency = l.currency AND r.total = l.total
  WHERE l.of_amount = 1 AND r.of_amount = 1 AND r.number_key IS DISTINCT FROM l.number_key
    AND abs(datediff('day', l.issued, r.issued)) <= {3 * MONTH}
), u AS (
  SELECT *, count(*) OVER (PARTITION BY l_rid) AS of_left, count(*) OVER (PARTITION BY r_rid) AS of_right FROM c
)
SELECT 'left' AS side, u.l_rid AS rid, {{right_said}} AS said
FROM u JOIN cmp_right AS o ON o.rid = u.r_rid WHERE u.of_left = 1 AND u.of_right = 1
UNION ALL
SELECT 'right' AS side, u.r_rid AS rid, {{left_said}} AS said
FROM u JOIN cmp_left AS o ON o.rid = u.l_rid WHERE u.of_left = 1 AND u.of_right = 1
"""
_MAYBE_SAID = f"""concat_ws(chr(30), {_SAID.format(d="o.").replace("o.number", "coalesce(o.number, o.id)")},
  coalesce(CAST(o.issued AS VARCHAR), ''),
  CASE WHEN u.same THEN '' ELSE replace(coalesce(o.customer_name, o.customer, ''), chr(30), ' ') END)"""
_JOINED_MAYBE = """
LEFT JOIN cmp_maybe AS y ON y.side = '{side}' AND y.rid = b.rid"""
_EXPLAINED = """
LEFT JOIN cmp_explained AS x ON x.side = '{side}' AND x.kind = b.kind AND x.id = b.id"""


def _namesakes(con: Connection, free: Free) -> set[str]:
    """The sides of which a document that stands alone has its number and its customer in the other ledger."""
    if free.table == "cmp_{side}" and not free.few:
        return set()
    asked = [
        _WITH_NAMESAKES.format(side=side, mine=free.name(side), other=_OTHER[side]) for side in SIDES if free.of(side)
    ]
    return {side for (side,) in con.execute(" UNION ALL ".join(asked)).fetchall()} if asked else set()


def _may_be_one(con: Connection, free: Free) -> bool:
    """Fill `cmp_maybe`; whether it holds anything."""
    if not free.both() or free.keyed:
        return False
    said = {f"{side}_said": _MAYBE_SAID for side in SIDES}
    con.execute(_MAYBE.format(left=free.name("left"), right=free.name("right"), **said))
    return bool(con.execute("SELECT count(*) FROM cmp_maybe").fetchall()[0][0])


def _alone(
    con: Connection, free: Free, side: str, *, explained: bool, offset: bool, namesakes: bool, maybe: bool
) -> None:
    """Findings of the documents of a side that stand alone, those among them that are booked twice.

    explained, offset: whether `cmp_explained` and `cmp_offset` hold anything · namesakes, maybe: see `_namesakes` and
    `_may_be_one`
    What would join nothing is left out: to plan a statement of many tables takes longer than to carry it out on few
    rows.
    """
    gone = f" UNION ALL SELECT rid FROM cmp_dup WHERE side = '{side}'" if free.doubled else ""
    other = _OTHER[side]
    alone, taken = namesakes and free.of(other) > 0, namesakes and not free.keyed
    con.execute(
        _ALONE.format(
            side=side,
            absent="B" if side == "left" else "A",
            rids="b.rid, NULL" if side == "left" else "NULL, b.rid",
            values="CAST(b.total AS VARCHAR), NULL" if side == "left" else "NULL, CAST(b.total AS VARCHAR)",
            minus="-" if side == "left" else "",
            code="x.code" if explained else _NOTHING,
            twin="d.twin" if free.doubled else _NOTHING,
            twin_name="coalesce(t.number, t.id)" if free.doubled else _NOTHING,
            twin_day=_TWIN_DAY if free.doubled else _NOTHING,
            namesake=(_NAMESAKE if alone else "")
            + (_TAKEN_BY.format(unless="n.said IS NULL" if alone else "TRUE") if taken else "")
            + (", 'maybe=' || replace(y.said, chr(31), ' ')" if maybe else ""),
            joined=(_TWINS if free.doubled else "").format(side=side)
            + (_EXPLAINED if explained else "").format(side=side)
            + (_NAMESAKES if alone else "").format(other=free.name(other))
            + (_TAKEN if taken else "").format(side=side, there=other, mine=free.name(side))
            + (_JOINED_MAYBE if maybe else "").format(side=side),
            free=free.name(side) + gone,
            others=f" AND b.rid NOT IN (SELECT rid FROM cmp_offset WHERE side = '{side}')" if offset else "",
        )
    )


_NOTHING = "CAST(NULL AS VARCHAR)"
_OTHER = {"left": "right", "right": "left"}


def find(
    con: Connection,
    free: Free,
    told: Sequence[str],
    *,
    known: Parties,
    explained: bool,
    rounding: Rounding | None,
    by_open: bool,
    same_ids: bool,
) -> None:
    """Fill `cmp_found`. Needs `match.ladder` and `cmp_explained` (side, kind, id, code).

    free: what the ladder left over · told: see `tables.told` · known: the customers
    explained: whether `cmp_explained` holds anything
    by_open: one side lists open items only, so that documents are compared by what is open of them
    same_ids: both sides are exports of one system, in which a document keeps its id
    """
    con.execute(_FOUND)
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_offset (side VARCHAR, rid BIGINT, l_rid BIGINT, r_rid BIGINT)")
    offset = False
    if asked := unequal(con, known, told, same_ids=same_ids, by_open=by_open):
        offset = _differing(con, free, asked, rounding=rounding, by_open=by_open)
    if known.matched:
        con.execute(_CUSTOMER_FIELDS)
    if not same_ids and not known.settled and all(side["customers"] for side in known.stated):
        several.customers(con)
    namesakes, maybe = _namesakes(con, free), _may_be_one(con, free)
    for side in SIDES:
        if free.of(side) or free.doubled:
            _alone(con, free, side, explained=explained, offset=offset, namesakes=side in namesakes, maybe=maybe)
    if free.ambiguous:
        several.find(con)


def _differing(con: Connection, free: Free, asked: Sequence[str], *, rounding: Rounding | None, by_open: bool) -> bool:
    """Findings of the pairs that differ: only the statements that could have something to say are asked.

    asked: what was looked for in pairs · Whether `cmp_offset` was filled.
    """
    mains, some = occurring(con, asked)
    void = bool(mains & {"VOID_VS_OPEN", "CHARGEBACK_NSF"})
    if void:
        for side in SIDES:
            con.execute(_OFFSET.format(side=side, s=side[0], free=free.name(side)))
        con.execute(_OFFSET_FOUND)
    if mains - {"AMOUNT", None}:
        con.execute(_LIFECYCLE)
        con.execute(_CURRENCY)
    if "AMOUNT" in mains:
        limits = [rounding.per_document, rounding.per_document, rounding.total] if rounding else []
        con.execute(_AMOUNT.format(by_open=by_open, rounds=_ROUNDS if rounding else "FALSE", **_CENTS), limits)
        con.execute(_AMOUNT_PARTS)
    if "customer" in some:
        con.execute(_ALIAS)
    if found := [f.sql() for f in _FIELD_RULES if f.flag in some]:
        con.execute(_FIELDS.format(found=" UNION ALL ".join(found)))
    if "customer" in some:
        con.execute(_ALIAS_FOUND)
    return void
