"""The matched pairs in which anything differs: what differs in each, and the code that takes the effect.

Such pairs are few beside those that are equal. What they are made of stays where it lies (`cmp_left`, `cmp_right`), and
is read by the few statements that have something to say of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tieout.compare.inputs.tables import Connection, Parties
from tieout.compare.matching.ladder import BASE_ID
from tieout.mapping.relation import SIDES


def other_id(left: str, right: str) -> str:
    """The condition that two documents have different ids. left, right: how columns of each side begin, such as `l.`

    Where both ids are made of numbers that differ, the numbers say so, and the ids nothing besides.
    """
    ours, theirs = (BASE_ID.format(id=f"{side}id") for side in (left, right))
    made = (f"contains('/' || {id} || '/', '/' || {s}number || '/')" for s, id in ((left, ours), (right, theirs)))
    of_numbers = " AND ".join([f"{left}number_key <> {right}number_key", *made])
    return f"{ours} <> {theirs} AND NOT coalesce({of_numbers}, FALSE)"


_COMPARED = (
    "id", "kind", "subkind", "sign", "number", "number_key", "who", "known", "party_name", "customer", "customer_name",
    "issued", "posted", "due", "currency", "rate", "tax", "discount", "total", "open", "state", "voided_on", "dead",
    "settled", "settled_on", "disputed", "entity_code", "due_by", "eff", "billed", "full_ar", "memo", "rid",
)  # fmt: skip
# A memo that says that the bank returned the payment.
NSF = "(^|[^a-z])(nsf|r/d|returned|bounced|unpaid|insufficient|charge ?back|dishonou?red)([^a-z]|$)"

# What may differ in a pair, by the flag that says so. No value on one side is a difference of `settling` alone.
_DIFFERS: Mapping[str, str] = {
    "amounts": "l.total <> r.total OR l.eff <> r.eff OR l.tax <> r.tax OR l.currency <> r.currency OR l.sign <> r.sign",
    "states": "l.state <> r.state OR l.dead <> r.dead",
    "dates": "l.issued <> r.issued OR l.posted <> r.posted",
    "settling": "l.settled_on IS DISTINCT FROM r.settled_on",
    "voiding": "l.voided_on <> r.voided_on",
    "due": "l.due <> r.due",
    "number": "l.number_key <> r.number_key",
    "id": other_id("l.", "r."),
    "rate": "l.rate <> r.rate",
    "disputed": "l.disputed <> r.disputed",
    "discount": "l.discount <> r.discount",
    "entity": "l.entity_code <> r.entity_code",
    "customer": "l.who <> r.who",
}
# Columns that a ledger may say nothing in, and then nothing differs: where both have to say something, or either.
_OF_BOTH = {"voiding": "voided_on", "due": "due", "rate": "rate", "disputed": "disputed"}
_OF_EITHER = {"states": "state", "settling": "settled_on"}
_LIVES = f"""
           WHEN (l.state = 'draft') <> (r.state = 'draft') THEN 'DRAFT_VS_POSTED'
           WHEN l.state = 'draft' THEN NULL
           WHEN l.dead <> r.dead THEN
             CASE WHEN l.state = 'voided' AND r.state = 'voided' THEN 'VOID_DATE_DIFF'
                  WHEN l.kind = 'payment'
                       AND regexp_matches(lower(coalesce(CASE WHEN l.dead THEN l.memo ELSE r.memo END, '')), '{NSF}')
                    THEN 'CHARGEBACK_NSF'
                  ELSE 'VOID_VS_OPEN' END
           WHEN l.dead THEN NULL"""
# Only pairs in which something differs go further, and of these not those which both ledgers date after the day.
# `main` is the one code that takes the effect; see `rules`.
_UNEQUAL = """
CREATE OR REPLACE TEMP TABLE cmp_unequal AS
SELECT * FROM (
  SELECT m.left_rid, m.right_rid, m.rung, m.rule,
         {flags}, l.due_by OR r.due_by AS of_the_day,
         CASE{lives}
           WHEN l.currency <> r.currency THEN 'CURRENCY_MISMATCH'
           WHEN l.sign <> r.sign THEN 'AMOUNT_SIGN'
           WHEN l.due_by <> r.due_by THEN 'CUTOFF'
           WHEN l.settled <> r.settled THEN 'PAID_VS_OPEN'
           WHEN l.eff <> r.eff OR NOT {by_open} AND (l.total <> r.total OR l.tax <> r.tax) THEN 'AMOUNT'
         END AS main
  FROM cmp_match AS m JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid) AS p
WHERE of_the_day AND ({differs})
"""
# Read where they lie by the few statements that have something to say: each needs few of the columns.
_PAIR = f"""
CREATE OR REPLACE TEMP VIEW cmp_pair AS
SELECT u.*, {", ".join(f"{s[0]}.{c} AS {s[0]}_{c}" for s in SIDES for c in _COMPARED)}
FROM cmp_unequal AS u JOIN cmp_left AS l ON l.rid = u.left_rid JOIN cmp_right AS r ON r.rid = u.right_rid
"""


def unequal(con: Connection, known: Parties, told: Sequence[str], *, same_ids: bool, by_open: bool) -> tuple[str, ...]:
    """Fill `cmp_unequal`, and let `cmp_pair` show these pairs with the columns of both sides.

    told: see `tables.told` · same_ids, by_open: as in `rules.find`
    Returns what was looked for, names of `_DIFFERS`; nothing if no pair is unequal.
    """
    left, right = known.stated
    silent = {name for name, column in _OF_BOTH.items() if not (left[column] and right[column])}
    silent |= {name for name, column in _OF_EITHER.items() if not (left[column] or right[column])}
    silent |= {name for name, column in (("discount", "discount"), ("entity", "entity_code")) if column not in told}
    silent |= set() if same_ids else {"id"}
    asked = tuple(name for name in _DIFFERS if name not in silent)
    found = con.execute(
        _UNEQUAL.format(
            flags=", ".join(f"coalesce({_DIFFERS[name]}, FALSE) AS differs_{name}" for name in asked),
            lives="" if "states" in silent else _LIVES,
            by_open=by_open,
            differs=" OR ".join(f"differs_{name}" for name in asked),
        )
    ).fetchall()[0][0]
    if not found:
        return ()
    con.execute(_PAIR)
    return asked


def occurring(con: Connection, asked: Sequence[str]) -> tuple[set[str | None], set[str]]:
    """The codes (`main`) that occur, and what differs: names of `_DIFFERS`, and `dead` where a pair is void twice.

    asked: what was looked for
    """
    flags = ", ".join(f"bool_or(differs_{name})" for name in asked)
    rows = con.execute(f"SELECT main, {flags} FROM cmp_unequal GROUP BY main").fetchall()
    mains = {row[0] for row in rows}
    dead = ["dead"] if None in mains else []
    return mains, {*dead, *(name for n, name in enumerate(asked, 1) if any(row[n] for row in rows))}
