"""Plans as they are kept and as people handle them: list, show, approve, reject.

An approval names a person and the guards it lifts; it holds for identical operations until it expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from shlex import quote
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError, RefusedError
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.core.operations import Operation, OpKind
from tieout.sync.guard import Trip
from tieout.sync.pair import Pair
from tieout.sync.store import Lease, Store, Tx, loads, new_id, stamp

OPEN = ("draft", "approved", "applying")
LIFE = timedelta(hours=24)
_SHORTEST = 8  # ids begin with the time: less of one names whatever was planned in that hour
_COUNTING = ("approved", "applying", "superseded")  # a superseded one counts once more when it is planned again
_BY_PERSON = frozenset({"credit_memo", "adjustment"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """A plan as it is kept: None if there is nothing to do. `allowed`: keys of the operations that may run now."""

    id: str | None
    hash: str | None
    allowed: frozenset[str]


def freeze(
    store: Store,
    lease: Lease,
    run: str,
    pair: Pair,
    operations: Sequence[Operation],
    *,
    trips: Sequence[Trip],
    whole: bool = True,
) -> Frozen:
    """Keep a plan (or find the identical one, with its approvals), and say which of its operations may run now.

    whole: False if something could not be read, so that operations may be missing for that reason alone: then no plan
    of this configuration is superseded. One that was superseded stands again with its approvals when the same is
    planned again before it expires; one that was rejected does not.
    """
    p = schema.plan
    if not operations and not whole:
        return Frozen(None, None, frozenset())
    if not operations:
        with store.writing(lease, run=run) as tx:
            _supersede(tx, sa.and_(p.c.pair == pair.name, p.c.status.in_(("draft", "approved"))))
        return Frozen(None, None, frozenset())
    hashes = {o.key: o.hash for o in operations}
    plan_hash = digest({"config": pair.config_hash, "operations": [hashes[o.key] for o in operations]})
    with store.writing(lease, run=run) as tx:
        live = tx.all(
            sa.select(p).where(
                p.c.pair == pair.name,
                p.c.status.in_(OPEN),
                p.c.expires_at > tx.at,
                p.c.config_hash == pair.config_hash,
            )
        )
        same = next((row for row in live if row["hash"] == plan_hash), None) or _stands_again(tx, pair, plan_hash)
        if same is None:
            same = _save(tx, pair, operations, trips, plan_hash, hashes=hashes)
        # What was planned under another configuration, or before something changed, can no longer be approved.
        older = sa.and_(p.c.pair == pair.name, p.c.id != same["id"], p.c.status == "draft")
        if not whole:
            older = sa.and_(older, p.c.config_hash != pair.config_hash)
        _supersede(tx, older)
    approved: dict[str, set[str]] = {}
    for row in [*live, same]:
        for approval in loads(row["approvals"]):
            for op_hash in loads(row["body"])["hashes"]:
                approved.setdefault(op_hash, set()).update(approval["guards"], ["*"])
    allowed = frozenset(o.key for o in operations if _allowed(pair, o, approved.get(hashes[o.key])))
    return Frozen(same["id"], plan_hash, allowed)


def _supersede(tx: Tx, where: sa.ColumnElement[bool]) -> None:
    p = schema.plan
    for row in tx.all(sa.select(p.c.id, p.c.hash).where(where).order_by(p.c.id)):
        tx.db.execute(p.update().where(p.c.id == row["id"]).values(status="superseded"))
        tx.audit("outdated", "plan", row["id"], {"hash": row["hash"]})


def _stands_again(tx: Tx, pair: Pair, plan_hash: str) -> dict[str, Any] | None:
    """The last plan of the same operations, if it was only superseded and has not expired: it counts once more."""
    p = schema.plan
    alike = p.c.pair == pair.name, p.c.hash == plan_hash, p.c.config_hash == pair.config_hash
    last = tx.one(sa.select(p).where(*alike).order_by(p.c.created_at.desc(), p.c.id.desc()).limit(1))
    if last is None or last["status"] != "superseded" or last["expires_at"] <= tx.at:
        return None
    approvals = loads(last["approvals"])
    last["status"] = "approved" if approvals else "draft"
    _update(tx, last, last["status"], approvals)
    tx.audit("stands_again", "plan", last["id"], {"hash": plan_hash, "approvals": len(approvals)})
    return last


def _save(
    tx: Tx,
    pair: Pair,
    operations: Sequence[Operation],
    trips: Sequence[Trip],
    plan_hash: str,
    *,
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    row = {
        "id": new_id(),
        "pair": pair.name,
        "run": tx.run,
        "hash": plan_hash,
        "config_hash": pair.config_hash,
        "status": "draft",
        "body": canonical(
            {
                "operations": [o.as_json() for o in operations],
                "hashes": [hashes[o.key] for o in operations],
                "guards": [{"name": t.name, "message": t.message} for t in trips],
            }
        ),
        "approvals": "[]",
        "created_at": tx.at,
        "expires_at": stamp(tx.store.clock() + LIFE),
    }
    tx.db.execute(schema.plan.insert().values(**row))
    told = {"hash": plan_hash, "operations": len(operations), "body": digest(row["body"])}
    tx.audit("planned", "plan", str(row["id"]), told)
    return row


def _allowed(pair: Pair, o: Operation, approval: set[str] | None) -> bool:
    """Whether an operation may run: approved with its guards accepted, or unattended in mode `auto`."""
    if approval is not None:
        return approval.issuperset(o.guards)
    if pair.mode != "auto" or o.guards:
        return False
    name = f"{o.entity}.void" if o.op is OpKind.VOID else o.entity.value
    moves = o.op is OpKind.CREATE or (o.op is OpKind.UPDATE and bool(o.delta))
    needs_person = o.person or (o.entity.value in _BY_PERSON and moves) or o.op is OpKind.VOID
    return not needs_person or name in pair.unattended


def standing(store: Store, pair: str) -> frozenset[str]:
    """The ids of the plans that nobody rejected, and that are neither outdated nor carried out."""
    return frozenset(row["id"] for row in store.rows(_STANDING, pair=pair))


_STANDING = sa.select(schema.plan.c.id).where(
    schema.plan.c.pair == sa.bindparam("pair"), schema.plan.c.status.in_(OPEN)
)


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
    """One plan with its operations. `id`: at least eight characters of an id, or of a hash. Raises ConfigError."""
    if len(id) < _SHORTEST:
        raise ConfigError(
            f"{id!r} is too short to name a plan", hint=f"give at least {_SHORTEST} characters; see tieout plan show"
        )
    with store.reading() as db:
        p = schema.plan
        query = sa.select(p).where(
            sa.or_(p.c.id.startswith(id, autoescape=True), p.c.hash.startswith(id, autoescape=True))
        )
        rows = [dict(r) for r in db.execute(query.order_by(p.c.created_at.desc())).mappings()]
    if not rows or (len({r["id"] for r in rows}) > 1 and len({r["hash"] for r in rows}) > 1):
        raise ConfigError(f"{len(rows) or 'no'} plans match {id!r}", hint="see tieout plan show, which lists them")
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
    _refuse_closed(plan, store.now())  # before its guards: to lift one would lead nowhere
    tripped = {g["name"] for g in plan["guards"]}
    missing = sorted(tripped - set(guards))
    if missing:
        named = " ".join(f"--accept-guard {name}" for name in missing)
        raise RefusedError(
            "a guard holds this plan: " + "; ".join(g["message"] for g in plan["guards"] if g["name"] in missing),
            hint=f"tieout plan approve {plan['id']} --by {quote(by)} {named}",
        )
    unknown = sorted(set(guards) - tripped)
    if unknown:
        raise ConfigError(
            f"this plan trips no guard named {', '.join(unknown)}", hint=f"tieout plan show {plan['id']} names them"
        )
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
    for row in tx.all(sa.select(p).where(p.c.pair == rejected["pair"], p.c.status.in_(_COUNTING))):
        if row["approvals"] != "[]" and hashes.intersection(loads(row["body"])["hashes"]):
            _update(tx, row, "superseded", [])
            tx.audit("superseded", "plan", row["id"], {"rejected": rejected["id"]})


def _open(tx: Tx, id: str) -> dict[str, Any]:
    row = tx.one(sa.select(schema.plan).where(schema.plan.c.id == id))
    if row is None:
        raise RefusedError(f"plan {id} is gone", hint="run tieout sync to plan again")
    _refuse_closed(row, tx.at)
    return row


def _refuse_closed(plan: dict[str, Any], at: str) -> None:
    """Raises RefusedError for a plan on which nobody decides any more."""
    if plan["status"] not in OPEN:
        raise RefusedError(f"plan {plan['id']} is {plan['status']}", hint="run tieout sync to plan again")
    if plan["expires_at"] <= at:
        raise RefusedError(f"plan {plan['id']} expired at {plan['expires_at']}", hint="run tieout sync to plan again")


def _update(tx: Tx, row: dict[str, Any], status: str, approvals: list[dict[str, Any]]) -> None:
    p = schema.plan
    values = {"status": status, "approvals": canonical(approvals)}
    tx.db.execute(p.update().where(p.c.id == row["id"]).values(**values))
