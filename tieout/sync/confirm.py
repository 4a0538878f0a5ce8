"""Read back what was written; only then is it linked, and only then are both sides said to agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Finishing, Observation, Written
from tieout.errors import FatalError, NotFoundError, RecordError, RetriableError, WriteError
from tieout.model import ZERO, AnyRecord, CreditMemo, Entity, Payment, PostingState, from_json
from tieout.sync import schema
from tieout.sync.bases import agreed, moved_base, set_bases
from tieout.sync.book import Held, standing
from tieout.sync.existence import entered_before_void
from tieout.sync.facts import (
    FREE_TEXT,
    LEFT,
    Facts,
    Shared,
    UnknownReferenceError,
    applications,
    canonical,
    digest,
    facts,
    share,
)
from tieout.sync.links import Link, join
from tieout.sync.operations import OpKind
from tieout.sync.seen import save_seen
from tieout.sync.store import Tx, loads, new_id
from tieout.sync.taken import Answer, Taken, answer, taken
from tieout.sync.work import Target, Work, close_attempt, own, set_state

OTHERWISE = ("WRITE_ALTERED", "WRITE_DROPPED_FIELD")


def confirm(work: Work, intent: dict[str, Any], target: Target) -> None:
    """Read back what was written; only then is it linked and agreed."""
    entity, native = Entity(intent["entity"]), intent["native_id"]
    try:
        now = target.connector.get(entity, native)
        if unfinished(intent, now) and isinstance(target.connector, Finishing):
            if why := "this run may not write" if not work.writes else target.halted:
                work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"entered, not finished yet: {why}")
                return
            target.connector.finish(entity, native)
            now = target.connector.get(entity, native)
            intent["answer"] = None  # the version that it told of was one before this step
    except WriteError as error:
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"entered, not finished yet: {error.message}")
        return
    except NotFoundError:
        work.stuck(intent, f"created_then_missing: {native} was answered, but is not there")
        return
    except (RetriableError, FatalError) as error:
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"written, not read back yet: {error.message}")
        return
    if now.record is None or isinstance(now.record, RecordError):
        work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"written, but cannot be read: {now.record}")
        return
    if intent["before"] is None and getattr(now.record, "marker", None) not in (intent["marker"], None):
        work.stuck(intent, f"the answer named {native}, which carries another mark")
        return
    held = Held(entity, now.id, now.record, now.version, now.existence, None, now.record.marker)
    if intent["op"] == OpKind.APPLY.value and isinstance(now.record, Payment) and intent["before"] is None:
        finish_credit(work, intent, target, held, now)
    else:
        finish(work, intent, target, held, now)


def unfinished(intent: dict[str, Any], now: Observation) -> bool:
    """Whether a record that was to be posted is there as a draft: its second step was lost with its answer."""
    if intent["op"] != OpKind.CREATE.value or getattr(now.record, "state", None) is not PostingState.DRAFT:
        return False
    wanted = from_json(Entity(intent["entity"]), loads(intent["request"]))
    return getattr(wanted, "state", None) is PostingState.POSTED


def finish_credit(work: Work, intent: dict[str, Any], target: Target, held: Held, now: Observation) -> None:
    """A credit was applied by a payment of its own: the credit memo carries it from here on."""
    payment = held.record
    assert isinstance(payment, Payment)
    native = payment.credits[0].credit_memo if payment.credits else target.book.natives.get(intent["subject"], "")
    memo = target.book.held.get((Entity.CREDIT_MEMO, native))
    request = from_json(Entity.PAYMENT, loads(intent["request"]))
    edited: list[str] = []
    with work.store.writing(work.lease, run=work.run) as tx:
        observed = save_seen(tx, target.connector.name, [now], intent["id"], {})
        target.book.held[(Entity.PAYMENT, held.id)] = held
        if memo is not None and isinstance(memo.record, CreditMemo):
            wanted, memo = (_applied(memo, p) for p in (request, payment))
            target.book.held[(Entity.CREDIT_MEMO, native)] = memo
            sent, shared = target.book.shared(wanted), target.book.shared(memo)
            if shared is not None and sent is not None:
                applied = {"applications": applications(sent["applications"])}
                edited = agree(work, tx, intent, target, memo, shared=shared, sent=applied, version=held.version)
        asked = {a.invoice: a.amount for a in getattr(request, "applications", ())}
        otherwise = {a.invoice: a.amount for a in payment.applications} != asked
        _done(tx, intent, held, off=["applications"] if otherwise else [], observed=observed)
    if otherwise and not edited:
        work.blame(intent, "", "WRITE_ALTERED", "readback_mismatch: the credit was not applied as it was sent")
    take_room(intent, target, held)
    target.book.touched(held)
    work.moved = True
    work.counts["done"] += 1
    work.written.append({"operation": loads(intent["operation"]), "id": held.id, "marker": intent["marker"]})


def _applied(memo: Held, payment: AnyRecord) -> Held:
    """A credit memo with what a payment that links it applies."""
    assert memo.record is not None
    both = (*getattr(memo.record, "applications", ()), *getattr(payment, "applications", ()))
    return replace(memo, record=memo.record.model_copy(update={"applications": both}))


_SEEN = sa.select(schema.seen).where(
    *(schema.seen.c[k] == sa.bindparam(k) for k in ("connection", "entity", "native_id"))
)


def finish(work: Work, intent: dict[str, Any], target: Target, held: Held, now: Observation | None = None) -> None:
    entity = held.entity
    with work.store.writing(work.lease, run=work.run) as tx:
        observed = []
        if now is not None:
            known = tx.one(_SEEN, connection=target.connector.name, entity=entity.value, native_id=now.id)
            observed = save_seen(tx, target.connector.name, [now], intent["id"], {now.id: known} if known else {})
        if intent["op"] == OpKind.CREATE.value:
            link(work, tx, intent, target, held)
        if held.record is not None:
            held = replace(held, record=own(held.record))
        target.book.held[(entity, held.id)] = held
        shared = target.book.shared(held)
        if intent["op"] == OpKind.APPLY.value and entity is Entity.CREDIT_MEMO:
            shared = with_credit(intent, target, held, shared)
        off = None
        if shared is not None:
            same, void = intent["entity"] == entity.value, intent["op"] == OpKind.VOID.value
            sent: Facts = {}
            if same:
                sent = _texts_before(work, intent, target, held) if void else sent_of(work, intent, target)
            off = agree(work, tx, intent, target, held, shared=shared, sent=sent, version=held.version)
        _done(tx, intent, held, off=off, observed=observed)
    take_room(intent, target, held)
    target.book.touched(held)
    # An export that shows it was read whole: its balances are of the same moment as its documents.
    work.moved |= now is not None
    work.counts["done"] += 1
    work.written.append({"operation": loads(intent["operation"]), "id": held.id, "marker": intent["marker"]})


def _done(
    tx: Tx, intent: dict[str, Any], held: Held, *, off: list[str] | None, observed: list[list[str | None]]
) -> None:
    """Settle an intent. off: the fields that were read back otherwise than sent; None where that cannot be told.

    observed: what was read back, where it was news (`save_seen`)
    """
    kept = (
        {k: intent[k] for k in ("error_class", "last_error")} if off and intent.get("error_class") in OTHERWISE else {}
    )
    set_state(tx, intent, "done", {"native_id": held.id} | kept)
    close_attempt(tx, intent, "done")
    told = {"key": intent["key"], "native_id": held.id, "op": intent["op"], "read_back_otherwise": off}
    tx.audit("done", "intent", intent["id"], told | {"observed": digest(observed)})


def with_credit(intent: dict[str, Any], target: Target, held: Held, shared: Shared | None) -> Shared | None:
    """A credit's applications may live in another record there: what was asked is taken until the next read."""
    if shared is None or shared["applications"] or held.record is None:
        return shared
    wanted = from_json(held.entity, loads(intent["request"]))
    update = {"applications": getattr(wanted, "applications", ())}
    record = held.record.model_copy(update=update)
    again = Held(held.entity, held.id, record, held.version, held.existence, held.error, held.marker)
    target.book.held[(held.entity, held.id)] = again
    return target.book.shared(again)


def link(work: Work, tx: Tx, intent: dict[str, Any], target: Target, held: Held) -> None:
    book, subject = target.book, intent["subject"]
    own = book.subjects.get((held.entity, held.id))
    if own == subject:
        return
    if own is not None:
        source = work.other(target)
        ids = {target.which: held.id, source.which: source.book.natives[subject]}
        books = {t.which: t.book for t in work.targets.values()}
        born = source.which
        join(tx, books, Link(held.entity, ids["left"], ids["right"], "written by us", {}, born=born))
        return
    row = {
        "id": new_id(),
        "subject": subject,
        "connection": target.connector.name,
        "entity": held.entity.value,
        "native_id": held.id,
        "state": "active",
        "matched_by": "written by us",
        "evidence": canonical({"key": intent["key"], "from": work.other(target).connector.name}),
        "run": work.run,
    }
    tx.add(schema.xref, [row])
    tx.change(schema.subject, {"id": subject}, {"created_by": "tieout"})
    tx.audit("linked", "subject", subject, {"connection": target.connector.name, "native_id": held.id})
    book.subjects[(held.entity, held.id)] = subject
    book.natives[subject] = held.id
    book.came[subject] = work.other(target).connector.name


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
    now = came.agreed if whole else changed(work, tx, intent, target, now=came.agreed, operation=operation)
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
        now = changed(work, tx, intent, source, now=now | wrote, operation=operation)
    return home, now


def _came_otherwise(
    work: Work, intent: dict[str, Any], target: Target, came: Taken, *, looked: set[str], sent: Facts, read: Facts
) -> list[str]:
    """Name what came out otherwise than it was sent: what somebody edited and, of `looked`, what is held otherwise."""
    for name in sorted(came.edited):
        work.edited(intent, target, name, (sent[name], read[name]))
    off = [n for n in sorted(looked - came.edited) if sent[n] != read.get(n)]
    if off:
        code = "WRITE_ALTERED" if any(read.get(n) for n in off) else "WRITE_DROPPED_FIELD"
        text = "; ".join(f"{n}: sent {_text(sent[n])}, holds {_text(read.get(n))}" for n in off)
        work.blame(intent, "", code, f"readback_mismatch: {text}")
        intent.update(error_class=code, last_error=text)
    return sorted({*off, *came.edited})


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
            told = changed(work, tx, intent, side, now=said, operation=operation)
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


def _texts_before(work: Work, intent: Mapping[str, Any], target: Target, held: Held) -> Facts:
    """The texts of a record when it was last looked at before its void; none where a version guards them."""
    before = loads(intent["before"]) or {}
    if target.connector.capabilities.versioned or not before.get("record"):
        return {}
    shared = target.book.shared(replace(held, record=own(from_json(held.entity, before["record"]))))
    seen = facts(held.entity, shared, work.common(held.entity)) if shared is not None else {}
    return {name: text for name, text in seen.items() if name in FREE_TEXT}


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


def changed(
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


def take_room(intent: dict[str, Any], target: Target, held: Held) -> None:
    if held.entity is Entity.INVOICE and intent["op"] == OpKind.CREATE.value:
        total = getattr(held.record, "total", ZERO) - getattr(held.record, "deposit_applied", ZERO)
        target.room.setdefault(held.id, total)
    if intent["op"] == OpKind.VOID.value:
        was = (loads(intent["before"]) or {}).get("record")
        for invoice, amount in standing(was and from_json(held.entity, was), invoiced=True).items():
            if invoice in target.room:
                target.room[invoice] += amount
        return
    # A credit memo is created bare where it is applied by a write of its own.
    later = intent["op"] == OpKind.CREATE.value and not loads(intent["request"]).get("applications")
    for change in loads(intent["operation"])["fields"]:
        if change["name"] != "applications" or later:
            continue
        for subject in {*(change["before"] or {}), *(change["after"] or {})}:
            native = target.book.natives.get(subject)
            if native in target.room:
                before = Decimal((change["before"] or {}).get(subject, "0"))
                target.room[native] -= Decimal((change["after"] or {}).get(subject, "0")) - before


def _as_sent(now: Facts, intent: Mapping[str, Any], operation: Mapping[str, Any]) -> Facts:
    """The source's facts as a create carried them: what changed since, or is applied later, has yet to flow."""
    if digest(now) != operation["expects"]["facts"]:
        sent = {f["name"]: f["after"] for f in operation["fields"]}
        now = {name: sent.get(name, _UNSENT.get(name)) for name in now}
    if now.get("applications") and not loads(intent["request"]).get("applications"):
        now = now | {"applications": {}}
    return now


_UNSENT: Mapping[str, Any] = {"lines": [], "applications": {}, "state": PostingState.POSTED.value, "active": True}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)
