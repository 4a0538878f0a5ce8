"""What a person answers to differences: one at a time, or many in one list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError, RefusedError, TieoutError
from tieout.model import Existence, PostingState
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.review.differences import APART, COULD_BE_ONE, DECIDED, NEVER_READ, OPEN_STATES, UNKNOWN_MARK, seen
from tieout.sync.store import Store, Tx, loads

ACTIONS = {"acknowledge": "acknowledged", "accept": "accepted", "reopen": "open"}
DECISIONS = (*ACTIONS, "assign", "retry", "recreate", "release")
_REASONED = frozenset({"accept", "recreate", "release"})


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's answer to one difference. reason None: as it stands · seen: what `seen` said when it was looked at

    place: where it stands in the list that it comes from, for messages · until: a UTC instant, of `accept`
    """

    id: str
    action: str
    reason: str | None = ""
    owner: str | None = None
    until: str | None = None
    pair: str | None = None
    seen: str | None = None
    place: str = ""


class _Undone(Exception):
    """Everything was tried, and nothing is kept."""


def decide(
    store: Store,
    id: str,
    *,
    action: str,
    by: str,
    reason: str,
    owner: str | None = None,
    until: str | None = None,
    pair: str | None = None,
) -> dict[str, Any]:
    """Store a person's answer to one discrepancy: `acknowledge`, `accept` (with a reason), `reopen`, `assign`,
    `retry` (a write that was refused or got stuck is planned again), `recreate` (a mirror that was removed is planned
    again, under a key of its own; with a reason), `release` (documents that could be one are several, or one with a
    mark of tieout that this state does not know, or beside what cannot be read, is one of its own: they may be carried
    over; with a reason).

    Accepting holds until a value on either side changes, or until the given UTC instant. Raises ConfigError for an
    unknown id or action, RefusedError without a name or a reason, if a document is to be made again at its origin, or
    if there is nothing to release. `earlier` of the result says what somebody else answered last, "" if nobody did.
    """
    decision = Decision(id, action, reason, owner, until, pair)
    with store.writing(None, actor=by) as tx:
        done = _decided(tx, decision, by)
        return done | {"earlier": _answered_by_another(tx, done, by)}


def _answered_by_another(tx: Tx, done: Mapping[str, Any], by: str) -> str:
    """The answer that was the last one until this one, where somebody else gave it; "" if there is none."""
    d = schema.decision
    query = sa.select(d).where(d.c.pair == done["pair"], d.c.discrepancy == done["id"]).order_by(d.c.seq.desc())
    _, *earlier = tx.all(query.limit(2))
    told = [f"{row['action']}, by {row['actor']} at {row['at'][:16].replace('T', ' ')} UTC" for row in earlier]
    return told[0] if told and earlier[0]["actor"] != by else ""


def decide_all(store: Store, decisions: Sequence[Decision], *, by: str, keep: bool = True) -> list[dict[str, Any]]:
    """All answers of a list, or none of them: one transaction. keep: False tries them and keeps nothing.

    An answer that was given since the list was made is not given again: `before` is true of it. Raises ConfigError with
    the place of every answer that cannot be given: also where the difference is no longer what was looked at
    (`Decision.seen`), or was answered otherwise since.
    """
    problems: list[str] = []
    done: list[dict[str, Any]] = []
    try:
        with store.writing(None, actor=by) as tx:
            for one in decisions:
                try:
                    before = _answered(tx, one)
                    done.append({"before": before is not None} | (before or _decided(tx, one, by)))
                except TieoutError as error:
                    problems.append(f"{one.place}: {error.message}" if one.place else error.message)
            _keep_or_undo(keep=keep and not problems)
    except _Undone:
        if problems:
            hint = "mend these rows, or leave their action empty; then give the list again"
            raise ConfigError("nothing of the list was decided", problems=tuple(problems), hint=hint) from None
    return done


def _keep_or_undo(*, keep: bool) -> None:
    if not keep:
        raise _Undone


def _decided(tx: Tx, one: Decision, by: str) -> dict[str, Any]:
    """One decision, kept with its audit event. Raises ConfigError or RefusedError before anything is changed."""
    if one.action not in DECISIONS:
        raise ConfigError(f"unknown decision {one.action!r}", hint=f"use one of: {', '.join(DECISIONS)}")
    t = schema.discrepancy
    query = sa.select(t).where(t.c.id.startswith(one.id, autoescape=True), t.c.state.in_(OPEN_STATES))
    rows = tx.all(query if one.pair is None else query.where(t.c.pair == one.pair))
    reason = one.reason if one.reason is not None else (len(rows) == 1 and rows[0]["reason"]) or ""
    _check(one, by, reason, now=tx.at)
    if len(rows) != 1:
        raise ConfigError(
            f"{len(rows) or 'no'} open discrepancies match {one.id!r}", hint="see tieout discrepancies list"
        )
    row = rows[0]
    if one.seen is not None and one.seen.partition("-")[0] != seen(row):
        raise RefusedError(f"{row['id']} has changed since the list was made", hint="look at it again")
    if one.action in ("retry", "recreate"):
        for subject in loads(row["body"])["links"]:
            _plan_again(tx, row["pair"], subject, recreate=one.action == "recreate")
    if one.action == "release" and not _releasable(loads(row["body"])):
        raise RefusedError(
            f"{row['id']} is held neither for a mark that nobody knows ({UNKNOWN_MARK}), nor for what cannot be read "
            f"({NEVER_READ}), nor because it could be one with others ({', '.join(sorted(COULD_BE_ONE))})",
            hint=f"see its cause: tieout discrepancies show {row['id']}",
        )
    return _keep(tx, one, by, row, reason)


def _answered(tx: Tx, one: Decision) -> dict[str, Any] | None:
    """The difference as it is, if this answer of a list was given since the list was made; None if none was.

    Raises RefusedError if another one was.
    """
    if one.seen is None:
        return None
    t, d = schema.discrepancy, schema.decision
    of = sa.and_(d.c.pair == t.c.pair, d.c.discrepancy == t.c.id)
    now = t.c.state, t.c.owner, t.c.accepted_until, t.c.values_hash.label("values_now")
    query = sa.select(d, *now).join(t, of).where(t.c.id == one.id).order_by(d.c.seq)
    values, _, made = one.seen.partition("-")
    given = tx.all(query if one.pair is None else query.where(t.c.pair == one.pair))
    since = given[int(made) if made.isdecimal() else 0 :]
    if since and seen({"values_hash": since[0]["values_now"]}) != values:
        return None
    for row in since:
        told = one.action == row["action"] and one.reason in (None, row["reason"])
        if told and one.owner in (None, row["owner"]) and one.until in (None, row["accepted_until"]):
            return {"id": one.id, "pair": row["pair"], "action": one.action, "state": row["state"]}
    if since:
        last = since[-1]
        why = f"{one.id} was decided since the list was made: {last['action']}, by {last['actor']}"
        raise RefusedError(why, hint="export the list again")
    return None


def _check(one: Decision, by: str, reason: str, *, now: str) -> None:
    """Raises RefusedError if the decision lacks what its action needs."""
    if not by.strip() or (one.action in _REASONED and not reason.strip()):
        raise RefusedError(
            "a decision needs a name, and accepting, making again or releasing needs a reason",
            hint="add --by NAME --reason TEXT",
        )
    if one.action == "assign" and not (one.owner or "").strip():
        raise RefusedError("nobody is named to work on it", hint="add --owner NAME")
    if one.action == "accept" and one.until is not None and one.until <= now:
        raise RefusedError(f"{one.until[:10]} is over: it would be open again", hint="name a later day, or none")


def _keep(tx: Tx, one: Decision, by: str, row: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The discrepancy as decided, the decision beside it, and the audit event."""
    t = schema.discrepancy
    values: dict[str, Any] = {"reason": reason or row["reason"]}
    if one.action in ACTIONS:
        values["state"] = ACTIONS[one.action]
        values["accepted_hash"] = row["values_hash"] if one.action == "accept" else None
        values["accepted_until"] = one.until if one.action == "accept" else None
    if one.owner is not None:
        values["owner"] = one.owner
    tx.db.execute(t.update().where(t.c.id == row["id"], t.c.pair == row["pair"]).values(**values))
    tx.db.execute(
        schema.decision.insert().values(
            pair=row["pair"],
            discrepancy=row["id"],
            at=tx.at,
            actor=by,
            action=one.action,
            reason=reason,
            values_hash=row["values_hash"],
        )
    )
    payload = {"action": one.action, "reason": reason, "owner": one.owner, "values": row["values_hash"]}
    payload |= {"pair": row["pair"], "until": values.get("accepted_until")}
    tx.audit(DECIDED, "discrepancy", row["id"], payload)
    return {"id": row["id"], "pair": row["pair"], "action": one.action, "state": values.get("state", row["state"])}


def _releasable(body: Mapping[str, Any]) -> bool:
    return any(f"{why}:" in body["cause"] for why in (UNKNOWN_MARK, NEVER_READ)) or APART in body["remedy"]


def _plan_again(tx: Tx, pair: str, subject: str, *, recreate: bool) -> None:
    """Let the next run plan a subject's refused or stuck writes again; with `recreate`, as a document of its own."""
    i = schema.intent
    emitted = i.c.pair == pair, i.c.subject == subject, i.c.state == "emitted"
    if not recreate and tx.one(sa.select(i.c.id).where(*emitted)) is not None:
        raise RefusedError(
            "it was handed over in a file, and the same row is not handed over twice",
            hint="look in the target system; if it is not there, decide `recreate` with a reason",
        )
    again = ("rejected", "stuck", "emitted") if recreate else ("rejected", "stuck")
    held = tx.all(sa.select(i.c.id, i.c.key).where(i.c.pair == pair, i.c.subject == subject, i.c.state.in_(again)))
    for intent in held:
        tx.db.execute(i.update().where(i.c.id == intent["id"]).values(state="cancelled", updated_at=tx.at))
        tx.audit("cancelled", "intent", intent["id"], {"key": intent["key"], "why": "decided by a person"})
    if recreate:
        _next_generation(tx, subject)
    _stands_again(tx, pair, subject)


def _stands_again(tx: Tx, pair: str, subject: str) -> None:
    """Forget that a record was gone or void when both sides last agreed: a person says that it counts as it is now."""
    b = schema.base
    for row in tx.all(sa.select(b).where(b.c.pair == pair, b.c.subject == subject)):
        known = loads(row["facts"])
        facts = known
        if known.get("state") == PostingState.VOIDED.value:
            facts = known | {"state": PostingState.POSTED.value}
        existence = Existence.LIVE.value if row["existence"] == Existence.DELETED.value else row["existence"]
        if (facts, existence) != (known, row["existence"]):
            where = b.c.pair == pair, b.c.subject == subject, b.c.connection == row["connection"]
            tx.db.execute(b.update().where(*where).values(facts=canonical(facts), existence=existence, quiet_hash=None))
            tx.audit("stands_again", "base", f"{pair}/{subject}/{row['connection']}", {"facts": digest(facts)})


def _next_generation(tx: Tx, subject: str) -> None:
    """Part a subject from records of it that were removed, so that it is made again under a new key."""
    s, x, seen, b = schema.subject, schema.xref, schema.seen, schema.base
    row = tx.one(sa.select(s).where(s.c.id == subject))
    if row is None:
        return
    gone = tx.all(
        sa.select(x.c.id, x.c.connection, x.c.native_id)
        .join(
            seen,
            sa.and_(
                seen.c.connection == x.c.connection,
                seen.c.entity == x.c.entity,
                seen.c.native_id == x.c.native_id,
            ),
        )
        .where(x.c.subject == subject, x.c.state == "active", seen.c.existence.in_(("deleted", "absent")))
    )
    if any(g["connection"] == row["origin_connection"] for g in gone):
        raise RefusedError(
            f"it was removed where it was born ({row['origin_connection']})",
            hint="restore it there, or void the other one",
        )
    tx.look_again()
    for g in gone:
        tx.db.execute(x.update().where(x.c.id == g["id"]).values(state="tombstone"))
        tx.db.execute(b.delete().where(b.c.subject == subject, b.c.connection == g["connection"]))
        tx.audit("unlinked", "subject", subject, {"connection": g["connection"], "native_id": g["native_id"]})
    generation = row["generation"] + 1
    tx.db.execute(s.update().where(s.c.id == subject).values(generation=generation))
    tx.audit("recreate", "subject", subject, {"generation": generation})
