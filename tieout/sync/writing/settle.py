"""What became of writes whose answer never came: found, sent again where that is safe, or put before a person.

An unknown outcome is settled by the target's own promise (the same key inside its window, a number that it keeps
unique), else by reading back after the time in which the write may still land.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Connector, HandingOver, Observation, Strategy
from tieout.errors import NotFoundError, RetriableError
from tieout.model import Entity, Existence, PostingState, from_json
from tieout.sync import schema
from tieout.sync.apply import candidates, marked, send
from tieout.sync.core.facts import canonical
from tieout.sync.core.operations import A_PERSON_LOOKS, OpKind
from tieout.sync.run import Run
from tieout.sync.store import instant, loads, stamp
from tieout.sync.work import OPEN, REFUSED_ROW, Target, Work, close_attempt, set_state
from tieout.sync.writing.agreement import doubt, sent_of
from tieout.sync.writing.confirm import confirm, finish
from tieout.sync.writing.overwritten import known, listed, lost

IN_VAIN = "in_vain"  # of a write that was looked for once, after the time in which it may land, and not found
KEPT_BACK = "kept_back"  # of a write that no file held when its run was found to have ended


def recover(run: Run) -> list[dict[str, Any]]:
    """Intents of earlier runs that are not settled; those caught while sending become unknown.

    What goes into files left with them, or is cancelled; that is looked at again each time, since a run that slept may
    have gone on.
    """
    connectors = {connector.name: connector for connector in run.connectors.values()}
    left = {name: _left(run, connector) for name, connector in connectors.items()}
    with run.writing() as tx:
        rows = tx.all(_UNSETTLED, connections=list(connectors), pair=run.pair.name)
        for row in rows:
            state, why = _caught(row, connectors[row["connection"]], left[row["connection"]])
            if state == row["state"]:
                continue
            kept_back = row["state"] == "sending" and state == "cancelled"
            set_state(tx, row, state, {"error_class": KEPT_BACK if kept_back else None})
            if state == "emitted":
                close_attempt(tx, row, state)
            tx.audit(state, "intent", row["id"], {"key": row["key"], "why": why})
    return [r for r in rows if r["state"] in ("unknown", "applied", "emitted", "stuck")]


_INTENT = schema.intent.c
_KEPT_BACK = sa.and_(_INTENT.state == "cancelled", _INTENT.error_class == KEPT_BACK)
_UNSETTLED = sa.select(schema.intent).where(
    _INTENT.connection.in_(sa.bindparam("connections", expanding=True)),
    _INTENT.pair == sa.bindparam("pair"),
    sa.or_(_INTENT.state.in_(OPEN), _KEPT_BACK),
)
_CAUGHT = sa.select(_INTENT.key).where(
    _INTENT.connection == sa.bindparam("connection"),
    _INTENT.pair == sa.bindparam("pair"),
    sa.or_(_INTENT.state == "sending", _KEPT_BACK),
)


def _caught(row: dict[str, Any], connector: Connector, left: frozenset[str]) -> tuple[str, str]:
    """The state of a write whose run ended, and why. left: keys of those that left in files"""
    caught = "the run ended while sending"
    match row["state"]:
        case "ready":
            return "cancelled", "never sent"
        case "sending" if connector.capabilities.synchronous:
            return "unknown", caught
        case "sending" | "cancelled":
            return ("emitted" if row["key"] in left else "cancelled"), caught
        case other:
            return other, ""


def _left(run: Run, connector: Connector) -> frozenset[str]:
    """Of the caught writes of a connection, the keys of those that left in a file."""
    if connector.capabilities.synchronous:
        return frozenset()
    rows = run.store.rows(_CAUGHT, connection=connector.name, pair=run.pair.name)
    keys = frozenset(row["key"] for row in rows)
    # A connector that cannot say so may have handed it over: an export, or a person, says what became of that.
    return keys & frozenset(connector.handed_over()) if keys and isinstance(connector, HandingOver) else keys


def settle(work: Work, intent: dict[str, Any]) -> None:
    """Settle one open intent as far as it can be settled now."""
    target = work.target_of(intent["connection"])
    if intent["state"] == "applied":
        confirm(work, intent, target)
    elif intent["state"] in ("unknown", "stuck"):
        if intent["before"] is None and intent["state"] == "stuck" and not already_there(intent, target):
            work.blame(intent, "stuck", "UNCERTAIN_WRITE", intent["last_error"] or "a person looks")
        elif intent["before"] is None:
            settle_create(work, intent, target)
        else:
            settle_change(work, intent, target)
    elif intent["state"] == "emitted":
        settle_emitted(work, intent, target)


def already_there(intent: dict[str, Any], target: Target) -> bool:
    """Whether a read shows the record that a create was to make."""
    return intent["op"] == OpKind.CREATE.value and intent["subject"] in target.book.natives


def settle_create(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Settle a create whose answer never came, by the strongest promise that its target makes.

    In order: found by our mark · sent again under its key inside the key's window, or where its number is unique
    there · once it can land no more, searched for. Found under our mark, it is adopted; not found in two looks, it is
    sent once more. A person looks at what may be it without our mark, at a target that cannot be searched, and where
    it was sent twice and not found twice.
    """
    capabilities = target.connector.capabilities
    if already_there(intent, target):
        native = target.book.natives[intent["subject"]]
        if by_hand(intent, target, native):
            settle_beside(work, intent, target, native)
            return
        work.end(intent, "applied", "adopted", "found by its marker", native_id=native)
        confirm(work, intent | {"native_id": native, "state": "applied"}, target)
        return
    age = (work.store.clock() - instant(intent["first_sent_at"])).total_seconds()
    if capabilities.strategy is Strategy.IDEMPOTENCY_KEY and 0 <= age < capabilities.key_window - KEY_MARGIN:
        again(work, intent, target)
        return
    numbered = intent["entity"] in ("invoice", "credit_memo") and bool(loads(intent["request"]).get("number"))
    if capabilities.strategy is Strategy.UNIQUE_NUMBER and numbered:
        again(work, intent, target)
        return
    if too_early(work, intent, target):
        return
    found = searched(work, intent, target)
    if found is None:
        return
    ours = marked(intent, found)
    if ours:
        ours.sort(key=lambda o: (len(o.id), o.id))
        work.end(intent, "applied", "adopted", "found by its marker", native_id=ours[0].id)
        if len(ours) > 1:
            copies = ", ".join(o.id for o in ours[1:])
            work.blame(intent, "", "DUPLICATE_WITHIN_LEDGER", f"duplicate_at_target: also {copies}; void them")
        confirm(work, intent | {"native_id": ours[0].id, "state": "applied"}, target)
    elif not capabilities.searchable or found:
        why = "a record like it is there without our mark" if found else "the target cannot be searched"
        work.stuck(intent, f"outcome_unknown: {why}; a person looks")
    elif intent["empty_searches"] >= 1:
        work.stuck(intent, "outcome_unknown: sent twice, not found twice; a person looks")
    elif not work.writes:
        again(work, intent, target)
    elif not looked_twice(work, intent, target):
        return
    else:
        with work.store.writing(work.lease, run=work.run) as tx:
            set_state(tx, intent, "unknown", {"empty_searches": intent["empty_searches"] + 1})
            tx.audit("searched", "intent", intent["id"], {"found": 0})
        again(work, intent | {"empty_searches": intent["empty_searches"] + 1}, target)


def searched(work: Work, intent: dict[str, Any], target: Target) -> list[Observation] | None:
    """What may be the record of a create, as the target finds it; None if it could not be asked, which is said."""
    try:
        return candidates(intent, target)
    except RetriableError as error:
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: could not be read back: {error}")
        return None


def by_hand(intent: dict[str, Any], target: Target, native: str) -> bool:
    """Whether a document that is there for a create lacks our mark: somebody entered it. Customers may have none."""
    entity = Entity(intent["entity"])
    held = target.book.held.get((entity, native))
    marked = target.connector.capabilities.searchable and entity is not Entity.CUSTOMER
    return marked and held is not None and held.marker is None


def settle_beside(work: Work, intent: dict[str, Any], target: Target, native: str) -> None:
    """Settle a create whose document somebody entered by hand: it is not sent again, and not said to have arrived."""
    if too_early(work, intent, target):
        return
    found = searched(work, intent, target)
    if found is None:
        return
    ours = marked(intent, found)
    if stands := [o.id for o in ours if getattr(o.record, "state", None) is not PostingState.VOIDED]:
        copies = ", ".join(stands)
        work.stuck(
            intent, f"outcome_unknown: {native} was entered by hand, and our {copies} landed, too; void {copies}"
        )
        return
    work.end(intent, "stale", "not_applied", f"{native} was entered by hand meanwhile, and ours does not stand there")


def too_early(work: Work, intent: dict[str, Any], target: Target) -> bool:
    """Whether the write may still land, so that not to find it would show nothing; said of the intent if so."""
    settled_at = waited_from(intent) + timedelta(seconds=target.connector.capabilities.settle)
    if work.store.clock() >= settled_at:
        return False
    work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: read back after {stamp(settled_at)}")
    return True


def waited_from(intent: dict[str, Any]) -> datetime:
    """From when on a write may still land: since it was sent last, or looked for in vain."""
    sent = instant(intent["send_by"])
    return max(sent, instant(intent["updated_at"])) if intent["error_class"] == IN_VAIN else sent


def looked_twice(work: Work, intent: dict[str, Any], target: Target) -> bool:
    """Whether a write was looked for in vain before, so long ago that it has not landed; else that is noted now.

    One look is not enough to make it again: where the clock of the one who looks is ahead of the one who sent, or that
    one's was behind, it comes too early.
    """
    if intent["error_class"] == IN_VAIN:
        return True
    with work.store.writing(work.lease, run=work.run) as tx:
        set_state(tx, intent, intent["state"], {"error_class": IN_VAIN})
        tx.audit("looked_for", "intent", intent["id"], {"key": intent["key"]})
    wait = timedelta(seconds=target.connector.capabilities.settle)
    why = f"outcome_unknown: not found; looked for once more after {stamp(work.store.clock() + wait)}"
    work.blame(intent, "unknown", "UNCERTAIN_WRITE", why)
    return False


def again(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Send the same bytes under the same key, if anything may be sent."""
    record = from_json(Entity(intent["entity"]), loads(intent["request"]))
    why = "this run may not write" if not work.writes else target.halted
    if why:
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: not settled yet: {why}")
        return
    send(work, intent | {"again": True}, target, record, _unpacked(intent))


def settle_change(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Settle a change whose answer never came: read by id, once it can land no more. It is never sent again.

    Where it shows, it is confirmed. Where it does not, or the record is gone, the next plan starts from what is there.
    """
    if too_early(work, intent, target):
        return
    before = _unpacked(intent)
    assert before is not None
    entity = Entity(intent["entity"])
    try:
        now = target.connector.get(entity, before.id)
    except NotFoundError:
        work.end(intent, "stale", "stale", "it is gone")
        return
    except RetriableError as error:
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: could not be read back: {error}")
        return
    if shows(work, intent, now, target):
        work.end(intent, "applied", "applied", "read back", native_id=now.id)
        confirm(work, intent | {"native_id": now.id, "state": "applied"}, target)
        return
    # Where there are versions, what lands later than the next change is refused.
    if not target.connector.capabilities.versioned and not looked_twice(work, intent, target):
        return
    # Not done, or changed by someone else: either way the next plan starts from what is there now.
    why = "read back: it was not carried out"
    if _touched(work, intent, (before, now), target):
        doubt(work, intent, target, now)
        why = "read back: it is as before, under another version: not carried out, or set back by somebody"
    work.end(intent, "stale", "not_applied", why)


def _touched(work: Work, intent: dict[str, Any], reads: tuple[Observation, Observation], target: Target) -> bool:
    """Whether somebody or something changed a record that shows what was to be written as it was before, and now."""
    before, now = reads
    if intent["op"] == OpKind.VOID.value or not target.connector.capabilities.versioned:
        return False
    was, is_ = (work.facts_of(o.entity, o, target) or {} for o in reads)
    names = [f["name"] for f in loads(intent["operation"])["fields"] if f["name"] in was]
    return before.version != now.version and bool(names) and all(was[n] == is_.get(n) for n in names)


def shows(work: Work, intent: dict[str, Any], now: Observation, target: Target) -> bool:
    if intent["op"] == OpKind.VOID.value:
        return getattr(now.record, "state", None) is PostingState.VOIDED
    read = work.facts_of(now.entity, now, target)
    if read is None:
        return False
    want = sent_of(work, intent, target)
    names = {f["name"] for f in loads(intent["operation"])["fields"]}
    return all(read.get(n) == want.get(n) for n in names if n in want)


def settle_emitted(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Whether an export shows by now what was handed over: nothing else settles it, and nothing is sent again."""
    native = target.book.natives.get(intent["subject"])
    held = target.book.held.get((Entity(intent["entity"]), native)) if native else None
    if held is None:
        _not_shown(work, intent, target)
        return
    now = Observation(held.entity, held.id, {}, held.record, held.version, held.existence)
    created = intent["op"] == OpKind.CREATE.value
    if created or shows(work, intent, now, target):
        gone = [] if created else lost(work, intent, target, _unpacked(intent), now)
        if gone and not listed(work, gone):
            # Settled by the next run: until it is on the list, nothing else remembers it.
            work.overwritten += gone
            return
        finish(work, intent | {"native_id": held.id}, target, held)
        return
    was, is_ = (known(work, o, target) for o in (_unpacked(intent), now))
    changed = [n for n in sorted(was.keys() & is_.keys()) if was[n] != is_[n]]
    if changed:
        text = "; ".join(f"{n}: {canonical(was[n])} became {canonical(is_[n])}" for n in changed)
        why = f"readback_mismatch: handed over in a file at {intent['first_sent_at']}, but an export shows {text}"
        work.blame(intent, "otherwise", "UNCERTAIN_WRITE", why)
        return
    _not_shown(work, intent, target)


def _not_shown(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Pending for as long as an import may take; then a person looks into the ERP's list of rejects."""
    created = intent["op"] == OpKind.CREATE.value
    lacking = work.lacking(intent, target)
    besides = f"; {lacking} is not in the newest export of {target.connector.name}" if lacking else ""
    if work.store.clock() - instant(intent["first_sent_at"]) > work.acknowledged_within:
        what = "it" if created else "the change"
        why = f"no_acknowledgement: handed over in a file at {intent['first_sent_at']}; no export shows {what} since"
        remedy = f"{A_PERSON_LOOKS}: if {lacking} was deleted there, restore {lacking}; then, {REFUSED_ROW}"
        work.blame(intent, "unseen", "UNCERTAIN_WRITE", why + besides, remedy if lacking else "")
    elif created:
        why = f"handed over in a file; not seen in an export yet{besides}"
        remedy = f"see whether {lacking} was deleted there, and restore it: without it the ERP refuses the row"
        work.blame(intent, "", "SYNC_IN_FLIGHT", why, remedy if lacking else "")
    else:
        work.blame(intent, "pending", "", "handed over in a file; no export shows the change yet")


KEY_MARGIN = 60


def _unpacked(intent: dict[str, Any]) -> Observation | None:
    data = loads(intent["before"])
    if data is None:
        return None
    entity = Entity(data["entity"])
    record = from_json(entity, data["record"]) if data["record"] else None
    return Observation(entity, data["id"], data["raw"], record, data["version"], Existence(data["existence"]))
