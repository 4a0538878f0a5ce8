"""Read back what was written; only then is it linked, and only then are both sides said to agree."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Finishing, Observation
from tieout.errors import FatalError, NotFoundError, RecordError, RetriableError, WriteError
from tieout.model import ZERO, AnyRecord, CreditMemo, Entity, Payment, PostingState, from_json
from tieout.sync import schema
from tieout.sync.core.facts import (
    Facts,
    Shared,
    applications,
    canonical,
    digest,
)
from tieout.sync.core.operations import OpKind
from tieout.sync.inputs.links import Link, join
from tieout.sync.state.book import Held, standing
from tieout.sync.state.seen import save_seen
from tieout.sync.store import Tx, loads, new_id
from tieout.sync.work import Target, Work, close_attempt, own, set_state
from tieout.sync.writing.agreement import agree, sent_of, texts_before

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
    """What was read back becomes what is known: seen, linked, and base of both sides, in one transaction.

    held: the record as it is there now · now: the reading it is from, where this run made one
    """
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
                sent = texts_before(work, intent, target, held) if void else sent_of(work, intent, target)
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
    """Link what was created to the subject that it was made for; a record with a subject of its own joins the two."""
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


def take_room(intent: dict[str, Any], target: Target, held: Held) -> None:
    """Reckon with what the write left of the open amounts of the target's invoices, for the writes that follow."""
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
