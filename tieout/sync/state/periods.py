"""Periods that a system has closed, and since when that is known: what was entered there afterwards can be named.

A closing counts from the end of the first whole run that saw it: what that run still read may have been entered before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

import sqlalchemy as sa

from tieout.mapping.invariants import Closing
from tieout.model import Company, Entity
from tieout.sync import schema
from tieout.sync.store import Store, Tx, instant


def closed(store: Store, connection: str, company: Company | None = None) -> tuple[Closing, ...]:
    """The closings that still hold, in order. company: as it was read since, which may have opened some again"""
    rows = store.rows(_CLOSINGS, connection=connection)
    if company is not None:
        now = _closed_now(company)
        rows = [r for r in rows if _holds(r["entity_code"], r["through"], now)]
    return tuple(Closing(date.fromisoformat(r["through"]), r["since"], r["entity_code"] or None) for r in rows)


def closed_through(store: Store, connection: str, known_on: datetime) -> date | None:
    """The last day for all entities that was known to be closed by then, inclusive, and has not been opened again.

    None where there is none: what was opened again since is not kept.
    """
    known = (c for c in closed(store, connection) if c.entity_code is None and instant(c.since) <= known_on)
    return max((c.through for c in known), default=None)


_CLOSINGS = (
    sa.select(schema.closing)
    .where(schema.closing.c.connection == sa.bindparam("connection"))
    .order_by(schema.closing.c.through, schema.closing.c.entity_code)
)


def note(tx: Tx, connection: str, company: Company) -> None:
    """Keep what is closed now; what was opened again is known no longer, and refuses nothing any more."""
    t = schema.closing
    now = _closed_now(company)
    held = {(r["entity_code"], r["through"]) for r in tx.all(_CLOSINGS, connection=connection)}
    for entity_code, through in sorted(held - now):
        if not _holds(entity_code, through, now):
            where = t.c.connection == connection, t.c.entity_code == entity_code, t.c.through == through
            tx.db.execute(t.delete().where(*where))
            _end_refusals(tx, connection)
    fresh = [{"connection": connection, "entity_code": e, "through": d, "since": tx.at} for e, d in sorted(now - held)]
    tx.put_new(t, fresh)


def _closed_now(company: Company) -> set[tuple[str, str]]:
    """Entity code, "" for all, and last closed day of receivables."""
    return {(c.entity_code or "", c.through.isoformat()) for c in company.closed if c.module in (None, "ar")}


def _holds(entity_code: str, through: str, now: Collection[tuple[str, str]]) -> bool:
    """Whether a closing that was seen once is still one: as it is, or within a later one."""
    return any(code == entity_code and day >= through for code, day in now)


def _end_refusals(tx: Tx, connection: str) -> None:
    """Let the next run plan again what was refused for a closed period. What is in one still is held back there."""
    i = schema.intent
    where = i.c.connection == connection, i.c.state == "rejected", i.c.error_class == "PERIOD_LOCKED"
    for intent in tx.all(sa.select(i.c.id, i.c.key).where(*where)):
        tx.db.execute(i.update().where(i.c.id == intent["id"]).values(state="cancelled", updated_at=tx.at))
        tx.audit("cancelled", "intent", intent["id"], {"key": intent["key"], "why": "a period was opened again"})


def entered_since(store: Store, connection: str, closings: Sequence[Closing]) -> dict[tuple[str, str], str]:
    """{(kind, id): when it was first seen} of the documents that came after the first of these closings was known."""
    if not closings:
        return {}
    t = schema.seen
    where = t.c.connection == connection, t.c.first_seen_at > min(c.since for c in closings)
    asked = sa.select(t.c.entity, t.c.native_id, t.c.first_seen_at).where(*where, t.c.entity != Entity.CUSTOMER.value)
    return {(entity, id): at for entity, id, at in store.stream(asked)}
