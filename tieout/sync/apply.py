"""Do each operation once: intent, durable commit, one send, classify, read back, base.

An answer that does not come is a third outcome, *unknown*. It is settled by the target's own promise (the same key
again inside its window, a number that it keeps unique), else by reading back after the time in which the write may
still land. Nothing is sent twice on a guess, and nothing is linked before it was read back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Connector, Observation, Written
from tieout.connectors.redact import masked
from tieout.errors import (
    DuplicateNumber,
    NotFoundError,
    NotProcessed,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
    SignInRequired,
    StaleWrite,
    TieoutError,
    UnknownOutcome,
    WriteError,
)
from tieout.model import (
    ZERO,
    AnyRecord,
    Credit,
    CreditMemo,
    Entity,
    Method,
    Payment,
    PostingState,
    Ref,
    as_json,
    from_json,
    micros,
    settlements,
)
from tieout.sync import schema
from tieout.sync.core.facts import UnknownReferenceError, canonical, digest, realise
from tieout.sync.core.operations import NAME_TAKEN, Operation, OpKind, marker_for
from tieout.sync.state.book import own_share, standing
from tieout.sync.store import Tx, loads, new_id, stamp
from tieout.sync.work import OPEN, Target, Work, close_attempt, own, set_state, unsent
from tieout.sync.writing.agreement import answer_of
from tieout.sync.writing.confirm import confirm

PERMIT_SECONDS = 10.0
MOST_LOST = 3  # answers lost in a row, after which a target is left alone for the run


def apply(work: Work, operation: Operation, plan: str) -> None:
    """Carry out one approved operation, or say why not. Raises only what ends the run."""
    target = work.targets[operation.target]
    if target.halted:
        work.note(operation, "blocked", "SYNC_IN_FLIGHT", f"not sent: {target.halted}")
        return
    prepared = prepare(work, operation, target)
    if prepared is None:
        return
    record, before = prepared
    send(work, intent_of(work, operation, plan, record, before), target, record, before)


def prepare(work: Work, o: Operation, target: Target) -> tuple[AnyRecord, Observation | None] | None:
    """The record in the target's own ids and what it is now there; None if the operation does not hold any more."""
    native = target.book.natives.get(o.subject)
    before: Observation | None = None
    if o.op is OpKind.CREATE:
        if native is not None:
            work.note(o, "stale", "", "it exists there by now")
            return None
    else:
        if native is None:
            work.note(o, "blocked", "SYNC_BLOCKED", "the record itself is not there yet")
            return None
        before = fresh(work, o, target, native)
        if before is None:
            return None
    ref = {
        "connection": target.connector.name,
        "id": native or "",
        "number": None,
        "version": before.version if before else None,
    }
    try:
        record = realise(o.entity, o.record, target.book.native_of, ref=ref)
    except UnknownReferenceError as error:
        missing = work.named(target, error.entity, error.id)
        work.note(o, "blocked", "SYNC_BLOCKED", f"waits for {missing}, which is not there yet")
        return None
    if before is not None and isinstance(record, Payment) and isinstance(before.record, Payment):
        whole = regrouped(record, before.record)
        if standing(own(whole)) != standing(record):
            why = "group: it is grouped with a credit there, and which money paid what would not be told any more"
            work.note(o, "blocked", "SYNC_BLOCKED", why)
            return None
        record = whole
    if o.op is not OpKind.VOID and (short := too_much(record, before, target)):
        work.note(o, "blocked", "OVER_APPLIED", short)
        return None
    if o.op is OpKind.APPLY and isinstance(record, CreditMemo) and target.connector.capabilities.credits_by_payment:
        return linking_payment(work, o, record, target)
    return record, before


def linking_payment(work: Work, o: Operation, memo: CreditMemo, target: Target) -> tuple[Payment, None] | None:
    """The payment of amount 0 that applies what a credit memo does not apply there yet; it is created."""
    held = target.book.held.get((Entity.CREDIT_MEMO, memo.ref.id))
    now = standing(held.record if held else None)
    wanted = standing(memo)
    more = {i: amount - now.get(i, ZERO) for i, amount in wanted.items()}
    if any(v < 0 for v in more.values()) or now.keys() - wanted.keys():
        work.note(o, "blocked", "SYNC_BLOCKED", "part of the credit is to be taken back there: do it by hand")
        return None
    latest = {a.invoice: a for a in sorted(memo.applications, key=lambda a: a.applied_on)}
    applications = tuple(
        latest[i].model_copy(update={"amount": v, "amount_invoice": v, "reversed_on": None})
        for i, v in sorted(more.items())
        if v
    )
    total = sum((a.amount for a in applications), ZERO)
    left = getattr(held.record, "reported_open", None) if held else None
    if left is not None and total > left:
        # Some systems apply a new credit by themselves; the next run reads what this one did.
        work.note(o, "stale", "", f"{left} of the credit is left there by now, and {total} would be applied")
        return None
    day = max((memo.posted, *(a.applied_on for a in applications)))
    payment = Payment(
        ref=Ref(connection=target.connector.name, id="", number=None, version=None),
        customer=memo.customer,
        payer=None,
        entity_code=None,
        ar_account=None,
        reference=None,
        received=day,
        posted=day,
        method=Method.OTHER,
        amount=ZERO,
        currency=memo.currency,
        exchange_rate=memo.exchange_rate,
        applications=applications,
        credits=(Credit(credit_memo=memo.ref.id, amount=total),),
        reported_unapplied=None,
        deposit_to=None,
        memo=None,
        state=PostingState.POSTED,
        voided_on=None,
    )
    return payment, None


def fresh(work: Work, o: Operation, target: Target, native: str) -> Observation | None:
    """The target record read again; None, and noted stale, if it is not what the plan was made for."""
    try:
        before = read(o.entity, native, target)
    except NotFoundError:
        work.note(o, "stale", "", "it is gone meanwhile")
        return None
    except RetriableError as error:
        work.note(o, "blocked", "SYNC_IN_FLIGHT", f"could not be read before writing: {error.message}")
        return None
    if credit_moved(before, target):
        work.note(o, "stale", "STALE_VERSION", "part of the credit was used there since it was read")
        return None
    if o.expects.get("absent"):
        return before
    now = work.facts_of(o.entity, before, target)
    if now is None or digest(now) != o.expects["facts"]:
        work.note(o, "stale", "STALE_VERSION", "changed there since the plan was made")
        return None
    return before


def read(entity: Entity, native: str, target: Target) -> Observation:
    """The record as it is now; where there is no reading by id, as the newest export showed it."""
    if target.connector.capabilities.by_id:
        return target.connector.get(entity, native)
    held = target.book.held[(entity, native)]
    return Observation(entity, native, {}, held.record, held.version, held.existence)


def credit_moved(now: Observation, target: Target) -> bool:
    """Whether what is left of a credit changed since it was read, where its applications lie in other records."""
    held = target.book.held.get((now.entity, now.id))
    if now.entity is not Entity.CREDIT_MEMO or not target.connector.capabilities.credits_by_payment:
        return False
    left = [getattr(record, "reported_open", None) for record in (held.record if held else None, now.record)]
    return None not in left and left[0] != left[1]


def too_much(record: AnyRecord, before: Observation | None, target: Target) -> str:
    """Why the applications would exceed what an invoice has open; "" if they do not."""
    now = before.record if before is not None else None
    was = {} if isinstance(now, RecordError) else standing(now, invoiced=True)
    if isinstance(record, CreditMemo) and not was:
        held = target.book.held.get((Entity.CREDIT_MEMO, record.ref.id))
        was = standing(held.record if held else None, invoiced=True)
    for invoice, amount in standing(record, invoiced=True).items():
        left = target.room.get(invoice, ZERO) + was.get(invoice, ZERO)
        if amount > left:
            return f"invoice {invoice} has {left} open there, and {amount} would be applied to it"
    return ""


def intent_of(work: Work, o: Operation, plan: str, record: AnyRecord, before: Observation | None) -> dict[str, Any]:
    """The row of an intent that is not stored yet."""
    request = canonical(as_json(record))
    return {
        "id": new_id(),
        "pair": work.pair,
        "plan": plan,
        "run": work.run,
        "subject": o.subject,
        "connection": o.connection,
        "entity": record.entity.value,
        "op": o.op.value,
        "generation": o.generation,
        "key": o.key,
        "marker": marker_for(o.key),
        "request": request,
        "request_hash": digest([request, o.op.value]),
        "operation": canonical(o.as_json()),
        "before": canonical(_packed(before)) if before else None,
        "state": "ready",
        "delta_micros": micros(o.delta),
        "currency": o.currency,
        "epoch": work.lease.epoch,
    }


_BY_KEY = sa.select(schema.intent).where(schema.intent.c.key == sa.bindparam("key"))


def intend(work: Work, tx: Tx, row: dict[str, Any]) -> bool:
    """Store an intent as being sent. False if it is stored already and not settled."""
    t = schema.intent
    key = row["key"]
    known = tx.one(_BY_KEY, key=key)
    if known is not None and known["state"] in OPEN:
        return False
    if known is not None and known["state"] == "done":
        # The same change again (A to B, back, and to B once more) is another write: it needs another key.
        # It counts what was done before, so that a run that died makes the same one again.
        same = t.c.subject == row["subject"], t.c.connection == row["connection"], t.c.op == row["op"]
        done = tx.all(sa.select(t.c.id).where(*same, t.c.pair == work.pair, t.c.state == "done"))
        row["key"] = f"{key[:26]}{digest([key, len(done)])[:6].upper()}"
        if row["op"] != OpKind.CREATE.value:
            row["marker"] = marker_for(row["key"])
        known = tx.one(_BY_KEY, key=row["key"])
    row |= {"empty_searches": 0, "updated_at": tx.at, "last_error": None, "error_class": None, "answer": None}
    row |= leaving(work, tx, attempts=known["attempt"] if known else 0, first=None) | {"state": "sending"}
    if known is None:
        row["created_at"] = tx.at
        tx.add(t, [row])
    else:
        row["id"] = known["id"]
        tx.change(t, {"id": known["id"]}, row)
    told = {name: row[name] for name in ("key", "op", "subject", "request_hash")}
    tx.audit("intended", "intent", str(row["id"]), told | {"plan": row["plan"], "operation": digest(row["operation"])})
    return True


def leaving(work: Work, tx: Tx, *, attempts: int, first: str | None) -> dict[str, Any]:
    """What an intent says once more of itself when it is sent. attempts: so far · first: when it was sent first"""
    send_by = stamp(work.store.clock() + timedelta(seconds=PERMIT_SECONDS))
    return {"attempt": attempts + 1, "first_sent_at": first or tx.at, "send_by": send_by, "epoch": work.lease.epoch}


def send(work: Work, intent: dict[str, Any], target: Target, record: AnyRecord, before: Observation | None) -> None:
    """Send one write, once: its intent and the attempt are durable before the first byte leaves.

    before: the record as it is there, None for a create. Any end that is not plainly a success or a refusal is unknown
    and left to `settle`. Raises SignInRequired, after noting that nothing was sent.
    """
    permit = work.monotonic() + PERMIT_SECONDS
    with work.store.writing(work.lease, run=work.run) as tx:
        if "attempt" in intent:
            intent |= (now := leaving(work, tx, attempts=intent["attempt"], first=intent["first_sent_at"]))
            set_state(tx, intent, "sending", now)
        elif not intend(work, tx, intent):
            return
        if intent.get("again"):
            tx.audit("sent_again", "intent", intent["id"], {"key": intent["key"]})
        sent = {"intent": intent["id"], "sent_at": tx.at} | {k: intent[k] for k in ("attempt", "epoch", "send_by")}
        tx.put(schema.intent_attempt, sent)
    if work.monotonic() > permit:
        work.end(intent, unsent(intent), "not_sent", "the permit to send ran out")
        return
    try:
        written = _write(target.connector, intent, record, before)
    except WriteError as error:
        failed(work, intent, target, error)
    except ReadOnlyError as error:
        failed(work, intent, target, Rejected(error.message, hint=error.hint))
    except SignInRequired as error:
        work.end(intent, unsent(intent), "not_sent", error.message)
        target.halted = error.message
        raise
    except (OSError, TieoutError, ValueError, LookupError, TypeError) as error:
        failed(work, intent, target, UnknownOutcome(masked(f"{type(error).__name__}: {error}")))
    else:
        answered(work, intent, target, written)


def answered(work: Work, intent: dict[str, Any], target: Target, written: Written) -> None:
    """Note the success of a write and confirm it by reading back; what went into a buffer waits for `flush`."""
    target.lost = 0
    if written.pending:
        # Handed to a buffer: it counts as emitted only when `flush` made the file durable.
        intent["native_id"] = None
        return
    # The answer to a request that was sent again may be that to the first one, or what is there by now.
    said = None if intent.get("again") else answer_of(work, intent, target, written)
    told = canonical(said.as_json()) if said else None
    work.end(intent, "applied", "applied", "", native_id=written.id, request_id=written.request_id, answer=told)
    confirm(work, intent | {"native_id": written.id, "state": "applied", "answer": told}, target)


_INTENT = schema.intent.c
_WAITING = sa.select(schema.intent).where(
    _INTENT.connection == sa.bindparam("connection"), _INTENT.state == "sending", _INTENT.pair == sa.bindparam("pair")
)


def flush(work: Work) -> list[str]:
    """Hand over buffered writes, then mark their intents as emitted. Returns the files.

    Raises LeaseHeldError where another run took over meanwhile, and RetriableError where that is not known just now.
    """
    files: list[str] = []
    for target in work.targets.values():
        if target.connector.capabilities.synchronous:
            continue
        permit = work.monotonic() + PERMIT_SECONDS
        with work.store.writing(work.lease, run=work.run) as tx:
            waiting = tx.all(_WAITING, connection=target.connector.name, pair=work.pair)
        if not waiting:
            continue
        if work.monotonic() > permit:
            raise RetriableError(f"connection {target.connector.name}: this run slept before it handed its file over")
        files += target.connector.flush(run=work.run)
        with work.store.writing(work.lease, run=work.run) as tx:
            for row in waiting:
                set_state(tx, row, "emitted", {})
                close_attempt(tx, row, "emitted")
                tx.audit("emitted", "intent", row["id"], {"key": row["key"]})
        work.counts["pending"] += len(waiting)
    return files


def failed(work: Work, intent: dict[str, Any], target: Target, error: WriteError) -> None:
    """Note how a write failed, and what is to be said of it. What hits all writes of a target halts it for this run.

    An error that is none of the definite ones leaves the outcome unknown; `MOST_LOST` of them in a row halt the target.
    """
    match error:
        case NotSent():
            work.end(intent, unsent(intent), "not_sent", error.message, code=error.code)
            work.blame(intent, "blocked", "SYNC_IN_FLIGHT", f"not sent: {error.message}")
        case NotProcessed():
            work.end(intent, unsent(intent), "not_processed", error.message, code=error.code)
            if not error.alone:
                target.halted = error.message
            work.blame(intent, "blocked", "SYNC_IN_FLIGHT", f"not processed: {error.message}")
        case PeriodClosed():
            work.end(intent, "rejected", "PERIOD_LOCKED", error.message, code=error.code)
            work.blame(intent, "rejected", "PERIOD_LOCKED", f"closed_period: {error.message}")
        case DuplicateNumber():
            duplicate(work, intent, target, error)
        case StaleWrite():
            work.end(intent, "stale", "stale", error.message, code=error.code)
            work.blame(intent, "stale", "STALE_VERSION", f"stale: {error.message}")
        case Rejected():
            work.end(intent, "rejected", "SYNC_BLOCKED", error.message, code=error.code)
            work.blame(intent, "rejected", "SYNC_BLOCKED", f"rejected: {error.message}")
        case _:
            work.end(intent, "unknown", "unknown", error.message, code=error.code, request_id=error.request_id)
            work.blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: {error.message}")
            target.lost += 1
            if target.lost >= MOST_LOST:
                target.halted = f"{target.lost} answers in a row were lost"
            return
    target.lost = 0


def duplicate(work: Work, intent: dict[str, Any], target: Target, error: DuplicateNumber) -> None:
    """The target holds that number or name: it is ours if our marker is on it, else a person looks."""
    found = candidates(intent, target)
    if error.existing_id and not any(o.id == error.existing_id for o in found):
        try:
            found.append(target.connector.get(Entity(intent["entity"]), error.existing_id))
        except (NotFoundError, RetriableError):
            found = list(found)
    ours = marked(intent, found)
    if ours:
        work.end(intent, "applied", "adopted", error.message, code=error.code, native_id=ours[0].id)
        confirm(work, intent | {"native_id": ours[0].id, "state": "applied"}, target)
        return
    why = f"{NAME_TAKEN if error.name else 'number_collision:'} {error.message}"
    work.end(intent, "rejected", "SYNC_BLOCKED", why, code=error.code)
    work.blame(intent, "rejected", "SYNC_BLOCKED", why)


def candidates(intent: dict[str, Any], target: Target) -> list[Observation]:
    entity = Entity(intent["entity"])
    record = from_json(entity, loads(intent["request"]))
    return list(target.connector.search(entity, marker=intent["marker"], like=record))


def marked(intent: dict[str, Any], found: Iterable[Observation]) -> list[Observation]:
    """Those of the records found that carry the mark of this write."""
    return [o for o in found if getattr(o.record, "marker", None) == intent["marker"]]


def regrouped(wanted: Payment, before: Payment) -> Payment:
    """The payment with the credits that it is grouped with there, which are none of its own money, as they are.

    Its own money is all that a change of it is about: `own_share` of the result should be what was wanted.
    """
    own = own_share(before)
    if wanted.credits or not before.credits or own.credits:
        return wanted
    if standing(wanted) == standing(own):
        return wanted.model_copy(update={"applications": before.applications, "credits": before.credits})
    parts = [s.application for s in settlements(before) or () if s.source is Entity.CREDIT_MEMO]
    grouped = tuple(a for a in wanted.applications if a.reversed_on is None) + tuple(parts)
    merged = {a.invoice: a for a in grouped}
    for invoice, amount in standing(wanted.model_copy(update={"applications": grouped})).items():
        merged[invoice] = merged[invoice].model_copy(update={"amount": amount, "amount_invoice": amount})
    return wanted.model_copy(update={"applications": tuple(merged.values()), "credits": before.credits})


def _write(connector: Connector, intent: dict[str, Any], record: AnyRecord, before: Observation | None) -> Written:
    if before is None:
        return connector.create(record, key=intent["key"], marker=intent["marker"])
    if intent["op"] == OpKind.VOID.value:
        return connector.void(before, key=intent["key"])
    return connector.update(record, before=before, key=intent["key"])


def _packed(observation: Observation) -> dict[str, Any]:
    record = observation.record
    return {
        "entity": observation.entity.value,
        "id": observation.id,
        "raw": observation.raw,
        "record": as_json(record) if record is not None and not isinstance(record, RecordError) else None,
        "version": observation.version,
        "existence": observation.existence.value,
    }
