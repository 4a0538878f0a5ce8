"""Plans as people handle them: list, show, approve, reject. An approval names a person and the guards it lifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError, RefusedError
from tieout.sync import schema
from tieout.sync.facts import canonical
from tieout.sync.store import Store, Tx, loads

OPEN = ("draft", "approved", "applying")


def listed(store: Store, pair: str | None = None, *, everything: bool = False) -> list[dict[str, Any]]:
    """Plans, newest first; without `everything` only those that can still be approved or applied."""
    p = schema.plan
    query = sa.select(p).order_by(p.c.created_at.desc(), p.c.id.desc())
    if pair is not None:
        query = query.where(p.c.pair == pair)
    if not everything:
        query = query.where(p.c.status.in_(OPEN), p.c.expires_at > store.now())
    return [_view(row) for row in store.rows(query)]


def show(store: Store, id: str) -> dict[str, Any]:
    """One plan with its operations. `id` may be the beginning of an id, or of a hash. Raises ConfigError."""
    with store.reading() as db:
        p = schema.plan
        query = sa.select(p).where(
            sa.or_(p.c.id.startswith(id, autoescape=True), p.c.hash.startswith(id, autoescape=True))
        )
        rows = [dict(r) for r in db.execute(query.order_by(p.c.created_at.desc())).mappings()]
    if not rows or (len({r["id"] for r in rows}) > 1 and len({r["hash"] for r in rows}) > 1):
        raise ConfigError(f"{len(rows) or 'no'} plans match {id!r}", hint="see tieout plan show without an id")
    return _view(rows[0])


def _view(row: dict[str, Any]) -> dict[str, Any]:
    body = loads(row["body"])
    return {
        "id": row["id"],
        "pair": row["pair"],
        "hash": row["hash"],
        "status": row["status"],
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
        "operations": body["operations"],
        "guards": body["guards"],
        "approvals": loads(row["approvals"]),
    }


def approve(store: Store, id: str, *, by: str, guards: Sequence[str] = ()) -> dict[str, Any]:
    """Approve a plan in a person's name. Every tripped guard must be accepted by its name, or RefusedError names it."""
    if not by.strip():
        raise RefusedError("an approval names a person", hint="add --by NAME")
    plan = show(store, id)
    tripped = {g["name"] for g in plan["guards"]}
    missing = sorted(tripped - set(guards))
    if missing:
        named = " ".join(f"--accept-guard {name}" for name in missing)
        raise RefusedError(
            "a guard holds this plan: " + "; ".join(g["message"] for g in plan["guards"] if g["name"] in missing),
            hint=f"tieout plan approve {plan['id']} --by {by} {named}",
        )
    unknown = sorted(set(guards) - tripped)
    if unknown:
        raise ConfigError(f"this plan trips no guard named {', '.join(unknown)}")
    with store.writing(None, actor=by) as tx:
        row = _open(tx, plan["id"])
        approvals = [*loads(row["approvals"]), {"by": by, "at": tx.at, "hash": row["hash"], "guards": sorted(guards)}]
        _update(tx, row, "approved", approvals)
        tx.audit("approved", "plan", row["id"], {"hash": row["hash"], "guards": sorted(guards)})
    return show(store, plan["id"])


def reject(store: Store, id: str, *, by: str, reason: str) -> dict[str, Any]:
    """Reject a plan: it is not applied, and approvals of older plans for any of its operations end too."""
    if not by.strip() or not reason.strip():
        raise RefusedError("a rejection names a person and a reason", hint="add --by NAME --reason TEXT")
    plan = show(store, id)
    with store.writing(None, actor=by) as tx:
        row = _open(tx, plan["id"])
        _update(tx, row, "rejected", [])
        tx.audit("rejected", "plan", row["id"], {"hash": row["hash"], "reason": reason})
        _end_approvals(tx, row)
    return show(store, plan["id"])


def _end_approvals(tx: Tx, rejected: dict[str, Any]) -> None:
    """What a person rejects is not written on the strength of an older plan either: that one waits again."""
    p = schema.plan
    hashes = set(loads(rejected["body"])["hashes"])
    for row in tx.all(sa.select(p).where(p.c.pair == rejected["pair"], p.c.status.in_(("approved", "applying")))):
        if hashes.intersection(loads(row["body"])["hashes"]):
            _update(tx, row, "superseded", [])
            tx.audit("superseded", "plan", row["id"], {"rejected": rejected["id"]})


def _open(tx: Tx, id: str) -> dict[str, Any]:
    row = tx.one(sa.select(schema.plan).where(schema.plan.c.id == id))
    if row is None or row["status"] not in OPEN:
        status = row["status"] if row else "gone"
        raise RefusedError(f"plan {id} is {status}", hint="run tieout sync to plan again")
    if row["expires_at"] <= tx.at:
        raise RefusedError(f"plan {id} expired at {row['expires_at']}", hint="run tieout sync to plan again")
    return row


def _update(tx: Tx, row: dict[str, Any], status: str, approvals: list[dict[str, Any]]) -> None:
    p = schema.plan
    values = {"status": status, "approvals": canonical(approvals)}
    tx.db.execute(p.update().where(p.c.id == row["id"]).values(**values))
