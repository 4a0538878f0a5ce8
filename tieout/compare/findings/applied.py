"""Every application with both its ends: looked up once, for the rules of cash and for the invariants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from tieout.compare.inputs.tables import Connection

# kind, id: of the source · grouped: of a settled group · stands: counts on the day, as far as its own dates say
# s_*: of the source, i_*: of the invoice, NULL where the ledger has no such document · *_gone: from when it is void
_APPLIED = """
SELECT '{side}' AS side, replace(a.source_kind, 'group:', '') AS kind, a.source_kind LIKE 'group:%' AS grouped,
       a.source_id AS id, a.invoice, a.amount, a.amount_invoice, a.applied_on, a.reversed_on, {stands} AS stands,
       {ends}
FROM {side}_applications AS a
LEFT JOIN cmp_{side} AS s ON s.kind = replace(a.source_kind, 'group:', '') AND s.id = a.source_id
LEFT JOIN cmp_{side} AS i ON i.kind = 'invoice' AND i.id = a.invoice
"""
_ENDS = ", ".join(
    ", ".join(
        f"{end}.{column} AS {end}_{column}" for column in ("rid", "customer", "currency", "state", "counts", "posted")
    )
    + f", greatest(coalesce({end}.voided_on, {end}.posted), {end}.posted) AS {end}_gone"
    for end in ("s", "i")
)


def make(con: Connection, sides: Iterable[str], *, as_of: date | None) -> None:
    """Build `cmp_applied` of these sides; nothing of none. Needs `tables.documents`.

    Documents that an application concerns are never taken off by `equal`.
    """
    stands = "a.reversed_on IS NULL"
    if as_of:
        day = f"CAST('{as_of.isoformat()}' AS DATE)"
        stands = f"(a.applied_on <= {day} AND (a.reversed_on IS NULL OR {day} < a.reversed_on))"
    rows = [_APPLIED.format(side=side, stands=stands, ends=_ENDS) for side in sides]
    if rows:
        con.execute(f"CREATE OR REPLACE TEMP TABLE cmp_applied AS {' UNION ALL '.join(rows)}")
