"""What the two sides agree on after a write: both bases, and what came out otherwise than it was sent.

Only a record that was read back is agreed on, and only as far as the write, and nobody else, made it so (`taken`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tieout.connectors import Observation, Written
from tieout.errors import RecordError
from tieout.model import Entity, PostingState, from_json
from tieout.sync.core.existence import entered_before_void
from tieout.sync.core.facts import (
    FREE_TEXT,
    LEFT,
    Facts,
    Shared,
    UnknownReferenceError,
    canonical,
    digest,
    facts,
    share,
)
from tieout.sync.core.operations import OpKind
from tieout.sync.core.taken import Answer, Taken, answer, taken
from tieout.sync.state.bases import agreed, moved_base, set_bases
from tieout.sync.state.book import Held
from tieout.sync.store import Tx, loads
from tieout.sync.work import Target, Work, own


def agree(
    work: Work,
    tx: Tx,
    intent: dict[str, Any],
    target: Target,
    held: Held,
    *,
    shared: Shared,
    sent: Facts,
    version: str | None,
) -> list[str]:
    """Set both bases to what was just read there and to what stands at the source; the fields that came out otherwise.

    They are also noted for the list of differences. What somebody changed before it was read back is agreed on as the
    write had left it. sent: what was written, as the target holds it; of a void, what it should have left alone
    version: of the record that was read back
    """
    operation = loads(intent["operation"])
    names = {f["name"] for f in operation["fields"]}
    void, whole = intent["op"] == OpKind.VOID.value, intent["op"] in _OF_WHOLE_RECORDS
    read = facts(held.entity, shared, work.common(held.entity))
    said = None if void else Answer.of(loads(intent["answer"]))
    came = taken(sent, read, sent if whole else {*names, "total"}, said=said, version=version)
    unsure = came.unsure if whole else came.unsure & names
    now = came.agreed if whole else _applied_by(work, tx, intent, target, now=came.agreed, operation=operation)
    moved = None if whole else names
    which = work.pair, intent["subject"], target.connector.name
    bases = [moved_base(tx, *which, now=now, held=held, names=moved, unsure=unsure)]
    source = work.other(target)
    home, there = _at_source(work, tx, intent, source, entity=held.entity, operation=operation)
    if home is not None:
        which = work.pair, intent["subject"], source.connector.name
        bases.append(moved_base(tx, *which, now=there, held=home, names=moved))
    set_bases(tx, work.pair, bases)
    if not void:
        looked = {*names, "total"} & sent.keys() if intent["entity"] == held.entity.value else set()
        return _came_otherwise(work, intent, target, came, looked=looked, sent=sent, read=read)
    if there:
        sides = (now, there) if target.which == LEFT else (there, now)
        voided = target.which, target.connector.name
        work.findings += entered_before_void(intent["subject"], held.entity, voided, unsure, sides)
    return [] if getattr(held.record, "state", None) is PostingState.VOIDED else ["state"]


_OF_WHOLE_RECORDS = (OpKind.CREATE.value, OpKind.VOID.value)


def _at_source(
    work: Work, tx: Tx, intent: dict[str, Any], source: Target, *, entity: Entity, operation: Mapping[str, Any]
) -> tuple[Held | None, Facts]:
    """What stands at the source, and what of it the write carried over; (None, {}) if nothing readable is there."""
    native = source.book.natives.get(intent["subject"])
    home = source.book.held.get((entity, native)) if native else None
    shared = source.book.shared(home) if home else None
    if shared is None:
        return None, {}
    now = facts(entity, shared, work.common(entity))
    if intent["op"] == OpKind.CREATE.value:
        now = _as_sent(now, intent, operation)
    elif intent["op"] != OpKind.VOID.value:
        wrote = {f["name"]: f["after"] for f in operation["fields"]}
        now = _applied_by(work, tx, intent, source, now=now | wrote, operation=operation)
    return home, now


def _as_sent(now: Facts, intent: Mapping[str, Any], operation: Mapping[str, Any]) -> Facts:
    """The source's facts as a create carried them: what changed since, or is applied later, has yet to flow."""
    if digest(now) != operation["expects"]["facts"]:
        sent = {f["name"]: f["after"] for f in operation["fields"]}
        now = {name: sent.get(name, _UNSENT.get(name)) for name in now}
    if now.get("applications") and not loads(intent["request"]).get("applications"):
        now = now | {"applications": {}}
    return now


_UNSENT: Mapping[str, Any] = {"lines": [], "applications": {}, "state": PostingState.POSTED.value, "active": True}


def _applied_by(
    work: Work, tx: Tx, intent: dict[str, Any], side: Target, *, now: Facts, operation: Mapping[str, Any]
) -> Facts:
    """`now`, with only those applications moved on from the base that the operation wrote."""
    written = next((f for f in operation["fields"] if f["name"] == "applications"), None)
    if written is None or "applications" not in now:
        return now
    before, after = written["before"] or {}, written["after"] or {}
    touched = {i for i in {*before, *after} if before.get(i) != after.get(i)}
    kept = (agreed(tx, work.pair, intent["subject"], side.connector.name) or {}).get("applications", {})
    merged = {i: a for i, a in kept.items() if i not in touched}
    merged |= {i: a for i, a in now["applications"].items() if i in touched}
    return now | {"applications": dict(sorted(merged.items()))}


def _came_otherwise(
    work: Work, intent: dict[str, Any], target: Target, came: Taken, *, looked: set[str], sent: Facts, read: Facts
) -> list[str]:
    """Name what came out otherwise than it was sent: what somebody edited and, of `looked`, what is held otherwise."""
    for name in sorted(came.edited):
        work.edited(intent, target, name, (sent[name], read[name]))
    off = [n for n in sorted(looked - came.edited) if not _as_it_was_sent(n, sent[n], read.get(n))]
    if off:
        code = "WRITE_ALTERED" if any(read.get(n) for n in off) else "WRITE_DROPPED_FIELD"
        text = "; ".join(f"{n}: sent {_text(sent[n])}, holds {_text(read.get(n))}" for n in off)
        work.blame(intent, "", code, f"readback_mismatch: {text}")
        intent.update(error_class=code, last_error=text)
    return sorted({*off, *came.edited})


def _as_it_was_sent(name: str, sent: Any, held: Any) -> bool:
    """Whether a field is held as it was sent; a line that was sent without a text may have got one, its item's say."""
    if name != "lines" or not held or len(sent) != len(held):
        return bool(sent == held)
    pairs = zip(sent, held, strict=True)
    return all(
        (item, there[1] if text is None else text, *rest) == tuple(there) for (item, text, *rest), there in pairs
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def doubt(work: Work, intent: dict[str, Any], target: Target, now: Observation) -> None:
    """Set both bases to a change that nobody can say was carried out: what the target holds is not written over.

    now: shows what was to be changed as it was before, but was touched since: by somebody who set it back, or elsewhere
    """
    source, entity = work.other(target), Entity(intent["entity"])
    operation, read = loads(intent["operation"]), work.facts_of(entity, now, target)
    home = source.book.held.get((entity, source.book.natives.get(intent["subject"], "")))
    shared = source.book.shared(home) if home is not None else None
    if home is None or shared is None or read is None or isinstance(now.record, RecordError):
        return
    wrote = {f["name"]: f["after"] for f in operation["fields"]}
    here = facts(entity, shared, work.common(entity)) | wrote
    held = Held(entity, now.id, now.record, now.version, now.existence, None, None)
    names = wrote.keys()
    with work.store.writing(work.lease, run=work.run) as tx:
        bases = []
        for side, record, said, unsure in ((target, held, read, frozenset(names)), (source, home, here, frozenset())):
            told = _applied_by(work, tx, intent, side, now=said, operation=operation)
            which = work.pair, intent["subject"], side.connector.name
            bases.append(moved_base(tx, *which, now=told, held=record, names=names, unsure=unsure))
        set_bases(tx, work.pair, bases)
    sent = "; ".join(f"{n}: sent {_text(wrote[n])}, holds {_text(read.get(n))}" for n in sorted(wrote))
    work.blame(intent, "", "WRITE_ALTERED", f"outcome_unknown: set back by somebody, or never carried out: {sent}")


def sent_of(work: Work, intent: Mapping[str, Any], target: Target) -> Facts:
    """What a write sent, as the target holds it."""
    wanted = own(from_json(Entity(intent["entity"]), loads(intent["request"])))
    shared = share(target.connector.represent(wanted), target.book.subject_of)
    return facts(wanted.entity, shared, work.common(wanted.entity))


def answer_of(work: Work, intent: Mapping[str, Any], target: Target, written: Written) -> Answer | None:
    """What the answer to a write said of its record, None if nothing."""
    version = written.version if target.connector.capabilities.versioned else None
    told = None
    if written.record is not None:
        seen = Observation(written.record.entity, written.id, {}, written.record, version)
        told = work.facts_of(seen.entity, seen, target)
    try:
        return answer(sent_of(work, intent, target), told, version)
    except UnknownReferenceError:
        return None


def texts_before(work: Work, intent: Mapping[str, Any], target: Target, held: Held) -> Facts:
    """The texts of a record when it was last looked at before its void; none where a version guards them."""
    before = loads(intent["before"]) or {}
    if target.connector.capabilities.versioned or not before.get("record"):
        return {}
    shared = target.book.shared(replace(held, record=own(from_json(held.entity, before["record"]))))
    seen = facts(held.entity, shared, work.common(held.entity)) if shared is not None else {}
    return {name: text for name, text in seen.items() if name in FREE_TEXT}
