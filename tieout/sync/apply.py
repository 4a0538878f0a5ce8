"""Do each operation once: intent, durable commit, one send, classify, read back, base.

An answer that does not come is a third outcome, *unknown*. It is settled by the target's own promise (the same key
again inside its window, a number that it keeps unique), else by reading back after the time in which the write may
still land. Nothing is sent twice on a guess, and nothing is linked before it was read back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Connector, Observation, Strategy, Written
from tieout.errors import (
    DuplicateNumber,
    FatalError,
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
    Existence,
    Method,
    Payment,
    PostingState,
    Ref,
    as_json,
    from_json,
    from_micros,
    micros,
    settlements,
)
from tieout.sync import schema
from tieout.sync.book import Book, Held, own_share
from tieout.sync.facts import Facts, Shared, UnknownReferenceError, Which, canonical, digest, facts, realise, share
from tieout.sync.fetch import save_seen
from tieout.sync.links import Link, join
from tieout.sync.plan import Finding, Operation, OpKind, marker_for
from tieout.sync.store import Lease, Store, Tx, instant, loads, new_id, stamp

PERMIT_SECONDS = 10.0
KEY_MARGIN = 60
MOST_LOST = 3  # answers lost in a row, after which a target is left alone for the run
OPEN = ("ready", "sending", "unknown", "applied", "emitted", "stuck")


class HaltError(Exception):
    """No further write goes to this connection in this run (throttled, signed out). Not an error of the run."""


@dataclass(slots=True)
class Target:
    """One side that is written to: its connector, its book, and what its invoices can still take.

    halted: why nothing more is sent in this run, "" if it may be · lost: answers lost in a row
    """

    which: Which
    connector: Connector
    book: Book
    room: dict[str, Decimal]
    halted: str = ""
    lost: int = 0


@dataclass(slots=True)
class Applier:
    """Carries out operations of one run. `counts` are the keys of the report's `applied`; `findings` say why not.

    writes: False for a run that may only look; then open intents are read back, and nothing is sent
    """

    store: Store
    lease: Lease
    run: str
    pair: str
    targets: Mapping[Which, Target]
    common: Callable[[Entity], frozenset[str]]
    writes: bool = True
    monotonic: Callable[[], float] = time.monotonic
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)

    def target_of(self, connection: str) -> Target:
        return next(t for t in self.targets.values() if t.connector.name == connection)

    def other(self, target: Target) -> Target:
        return next(t for t in self.targets.values() if t is not target)

    # ── one operation ────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, operation: Operation, plan: str) -> None:
        """Carry out one approved operation, or say why not. Raises only what ends the run."""
        target = self.targets[operation.target]
        if target.halted:
            self._note(operation, "blocked", "SYNC_IN_FLIGHT", f"not sent: {target.halted}")
            return
        prepared = self._prepare(operation, target)
        if prepared is None:
            return
        record, before = prepared
        self._send(self._wish(operation, plan, record, before), target, record, before)

    def _prepare(self, o: Operation, target: Target) -> tuple[AnyRecord, Observation | None] | None:
        """The record in the target's own ids and what it is now there; None if the operation does not hold any more."""
        native = target.book.natives.get(o.subject)
        before: Observation | None = None
        if o.op is OpKind.CREATE:
            if native is not None:
                self._note(o, "stale", "", "it exists there by now")
                return None
        else:
            if native is None:
                self._note(o, "blocked", "SYNC_BLOCKED", "the record itself is not there yet")
                return None
            before = self._fresh(o, target, native)
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
            self._note(o, "blocked", "SYNC_BLOCKED", f"waits for {error.entity} which is not there yet")
            return None
        if before is not None and isinstance(record, Payment) and isinstance(before.record, Payment):
            whole = regrouped(record, before.record)
            if _standing(_own(whole)) != _standing(record):
                why = "group: it is grouped with a credit there, and which money paid what would not be told any more"
                self._note(o, "blocked", "SYNC_BLOCKED", why)
                return None
            record = whole
        if o.op is not OpKind.VOID and (short := self._too_much(record, before, target)):
            self._note(o, "blocked", "OVER_APPLIED", short)
            return None
        if o.op is OpKind.APPLY and isinstance(record, CreditMemo) and target.connector.capabilities.credits_by_payment:
            return self._linking_payment(o, record, target)
        return record, before

    def _linking_payment(self, o: Operation, memo: CreditMemo, target: Target) -> tuple[Payment, None] | None:
        """The payment of amount 0 that applies what a credit memo does not apply there yet; it is created."""
        held = target.book.held.get((Entity.CREDIT_MEMO, memo.ref.id))
        now = _standing(held.record if held else None)
        wanted = _standing(memo)
        more = {i: amount - now.get(i, ZERO) for i, amount in wanted.items()}
        if any(v < 0 for v in more.values()) or now.keys() - wanted.keys():
            self._note(o, "blocked", "SYNC_BLOCKED", "part of the credit is to be taken back there: do it by hand")
            return None
        latest = {a.invoice: a for a in sorted(memo.applications, key=lambda a: a.applied_on)}
        applications = tuple(
            latest[i].model_copy(update={"amount": v, "amount_invoice": v, "reversed_on": None})
            for i, v in sorted(more.items())
            if v
        )
        total = sum((a.amount for a in applications), ZERO)
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

    def _fresh(self, o: Operation, target: Target, native: str) -> Observation | None:
        """The target record read again; None, and noted stale, if it is not what the plan was made for."""
        try:
            before = self._read(o.entity, native, target)
        except NotFoundError:
            self._note(o, "stale", "", "it is gone meanwhile")
            return None
        except RetriableError as error:
            self._note(o, "blocked", "SYNC_IN_FLIGHT", f"could not be read before writing: {error.message}")
            return None
        if self._credit_moved(before, target):
            self._note(o, "stale", "", "part of the credit was used there since it was read")
            return None
        if o.expects.get("absent"):
            return before
        now = self._facts_of(o.entity, before, target)
        if now is None or digest(now) != o.expects["facts"]:
            self._note(o, "stale", "", "changed there since the plan was made")
            return None
        return before

    @staticmethod
    def _read(entity: Entity, native: str, target: Target) -> Observation:
        """The record as it is now; where there is no reading by id, as the newest export showed it."""
        if target.connector.capabilities.by_id:
            return target.connector.get(entity, native)
        held = target.book.held[(entity, native)]
        return Observation(entity, native, {}, held.record, held.version, held.existence)

    def _credit_moved(self, now: Observation, target: Target) -> bool:
        """Whether what is left of a credit changed since it was read, where its applications lie in other records."""
        held = target.book.held.get((now.entity, now.id))
        if now.entity is not Entity.CREDIT_MEMO or not target.connector.capabilities.credits_by_payment:
            return False
        left = [getattr(record, "reported_open", None) for record in (held.record if held else None, now.record)]
        return None not in left and left[0] != left[1]

    def _facts_of(self, entity: Entity, observation: Observation, target: Target) -> Facts | None:
        shared = self._shared(observation, target)
        return None if shared is None else facts(entity, shared, self.common(entity))

    def _shared(self, observation: Observation, target: Target) -> Shared | None:
        record = observation.record
        if record is None or isinstance(record, RecordError):
            return None
        held = target.book.held.get((observation.entity, observation.id))
        if held is not None and observation.entity is Entity.CREDIT_MEMO and held.record is not None:
            own = getattr(record, "applications", ())
            if not own:
                record = record.model_copy(update={"applications": getattr(held.record, "applications", ())})
        if isinstance(record, Payment):
            record = own_share(record)
        try:
            return share(record, target.book.subject_of)
        except UnknownReferenceError:
            return None

    def _too_much(self, record: AnyRecord, before: Observation | None, target: Target) -> str:
        """Why the applications would exceed what an invoice has open; "" if they do not."""
        now = before.record if before is not None else None
        was = {} if isinstance(now, RecordError) else _standing(now, invoiced=True)
        if isinstance(record, CreditMemo) and not was:
            held = target.book.held.get((Entity.CREDIT_MEMO, record.ref.id))
            was = _standing(held.record if held else None, invoiced=True)
        for invoice, amount in _standing(record, invoiced=True).items():
            left = target.room.get(invoice, ZERO) + was.get(invoice, ZERO)
            if amount > left:
                return f"invoice {invoice} has {left} open there, and {amount} would be applied to it"
        return ""

    # ── intent ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _wish(self, o: Operation, plan: str, record: AnyRecord, before: Observation | None) -> dict[str, Any]:
        """The row of an intent that is not stored yet."""
        request = canonical(as_json(record))
        return {
            "id": new_id(),
            "pair": self.pair,
            "plan": plan,
            "run": self.run,
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
            "epoch": self.lease.epoch,
        }

    def _intend(self, tx: Tx, row: dict[str, Any]) -> bool:
        """Make the wish durable, in the transaction that also says it is being sent. False if it is open already."""
        t = schema.intent
        key = row["key"]
        known = tx.one(sa.select(t).where(t.c.key == key))
        if known is not None and known["state"] in OPEN:
            return False
        if known is not None and known["state"] == "done":
            # The same change again (A to B, back, and to B once more) is another write: it needs another key.
            row["key"] = f"{key[:26]}{digest([key, known['attempt'], self.run])[:6].upper()}"
            if row["op"] != OpKind.CREATE.value:
                row["marker"] = marker_for(row["key"])
            known = None
        row |= {"attempt": known["attempt"] if known else 0, "empty_searches": 0, "updated_at": tx.at}
        row |= {"first_sent_at": None, "send_by": None, "last_error": None, "error_class": None}
        if known is None:
            row["created_at"] = tx.at
            tx.db.execute(t.insert().values(**row))
        else:
            row["id"] = known["id"]
            tx.db.execute(t.update().where(t.c.id == known["id"]).values(**row))
        tx.audit("intended", "intent", str(row["id"]), {"key": row["key"], "op": row["op"], "subject": row["subject"]})
        return True

    def _send(self, intent: dict[str, Any], target: Target, record: AnyRecord, before: Observation | None) -> None:
        permit = self.monotonic() + PERMIT_SECONDS
        with self.store.writing(self.lease, run=self.run) as tx:
            if "attempt" not in intent and not self._intend(tx, intent):
                return
            attempt = intent["attempt"] + 1
            send_by = stamp(self.store.clock() + timedelta(seconds=PERMIT_SECONDS))
            first = intent.get("first_sent_at") or tx.at
            self._set(
                tx,
                intent,
                "sending",
                {"attempt": attempt, "first_sent_at": first, "send_by": send_by, "epoch": self.lease.epoch},
            )
            tx.put(
                schema.intent_attempt,
                {
                    "intent": intent["id"],
                    "attempt": attempt,
                    "epoch": self.lease.epoch,
                    "sent_at": tx.at,
                    "send_by": send_by,
                },
            )
        intent |= {"attempt": attempt, "first_sent_at": first, "send_by": send_by}
        if self.monotonic() > permit:
            self._end(intent, _unsent(intent), "not_sent", "the permit to send ran out")
            return
        try:
            written = _write(target.connector, intent, record, before)
        except WriteError as error:
            self._failed(intent, target, error)
        except ReadOnlyError as error:
            self._failed(intent, target, Rejected(error.message, hint=error.hint))
        except SignInRequired as error:
            self._end(intent, _unsent(intent), "not_sent", error.message)
            target.halted = error.message
            raise
        except (OSError, TieoutError, ValueError, LookupError, TypeError) as error:
            self._failed(intent, target, UnknownOutcome(f"{type(error).__name__}: {error}"))
        else:
            self._answered(intent, target, written)

    def _answered(self, intent: dict[str, Any], target: Target, written: Written) -> None:
        target.lost = 0
        if written.pending:
            # Handed to a buffer: it counts as emitted only when `flush` made the file durable.
            intent["native_id"] = None
            return
        self._end(intent, "applied", "applied", "", native_id=written.id, request_id=written.request_id)
        self.confirm(intent | {"native_id": written.id, "state": "applied"}, target)

    def flush(self) -> list[str]:
        """Hand over buffered writes, then mark their intents as emitted. Returns the files."""
        files: list[str] = []
        t = schema.intent
        for target in self.targets.values():
            if target.connector.capabilities.synchronous:
                continue
            files += target.connector.flush(run=self.run)
            with self.store.writing(self.lease, run=self.run) as tx:
                waiting = tx.all(
                    sa.select(t).where(
                        t.c.connection == target.connector.name, t.c.state == "sending", t.c.pair == self.pair
                    )
                )
                for row in waiting:
                    self._set(tx, row, "emitted", {})
                    self._close_attempt(tx, row, "emitted", "", "")
                    tx.audit("emitted", "intent", row["id"], {"key": row["key"]})
            self.counts["pending"] += len(waiting)
        return files

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, intent: dict[str, Any], target: Target, error: WriteError) -> None:
        match error:
            case NotSent():
                self._end(intent, _unsent(intent), "not_sent", error.message, code=error.code)
                self._blame(intent, "blocked", "SYNC_IN_FLIGHT", f"not sent: {error.message}")
            case NotProcessed():
                self._end(intent, _unsent(intent), "not_processed", error.message, code=error.code)
                target.halted = error.message
                self._blame(intent, "blocked", "SYNC_IN_FLIGHT", f"not processed: {error.message}")
            case PeriodClosed():
                self._end(intent, "rejected", "PERIOD_LOCKED", error.message, code=error.code)
                self._blame(intent, "rejected", "PERIOD_LOCKED", f"closed_period: {error.message}")
            case DuplicateNumber():
                self._duplicate(intent, target, error)
            case StaleWrite():
                self._end(intent, "stale", "stale", error.message, code=error.code)
                self._blame(intent, "stale", "", f"stale: {error.message}")
            case Rejected():
                self._end(intent, "rejected", "SYNC_BLOCKED", error.message, code=error.code)
                self._blame(intent, "rejected", "SYNC_BLOCKED", f"rejected: {error.message}")
            case _:
                self._end(intent, "unknown", "unknown", error.message, code=error.code, request_id=error.request_id)
                self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: {error.message}")
                target.lost += 1
                if target.lost >= MOST_LOST:
                    target.halted = f"{target.lost} answers in a row were lost"
                return
        target.lost = 0

    def _duplicate(self, intent: dict[str, Any], target: Target, error: DuplicateNumber) -> None:
        """The target holds that number or name: it is ours if our marker is on it, else a person looks."""
        found = self._candidates(intent, target)
        if error.existing_id and not any(o.id == error.existing_id for o in found):
            try:
                found.append(target.connector.get(Entity(intent["entity"]), error.existing_id))
            except (NotFoundError, RetriableError):
                found = list(found)
        ours = [o for o in found if getattr(o.record, "marker", None) == intent["marker"]]
        if ours:
            self._end(intent, "applied", "adopted", error.message, code=error.code, native_id=ours[0].id)
            self.confirm(intent | {"native_id": ours[0].id, "state": "applied"}, target)
            return
        self._end(intent, "rejected", "SYNC_BLOCKED", error.message, code=error.code)
        self._blame(intent, "rejected", "SYNC_BLOCKED", f"number_collision: {error.message}")

    def _candidates(self, intent: dict[str, Any], target: Target) -> list[Observation]:
        entity = Entity(intent["entity"])
        record = from_json(entity, loads(intent["request"]))
        return list(target.connector.search(entity, marker=intent["marker"], like=record))

    # ── unknown outcomes ─────────────────────────────────────────────────────────────────────────────────────────

    def recover(self) -> list[dict[str, Any]]:
        """Intents of earlier runs that are not settled; those caught while sending become unknown."""
        t = schema.intent
        names = [target.connector.name for target in self.targets.values()]
        with self.store.writing(self.lease, run=self.run) as tx:
            rows = tx.all(sa.select(t).where(t.c.connection.in_(names), t.c.state.in_(OPEN), t.c.pair == self.pair))
            for row in rows:
                if row["state"] == "ready":
                    self._set(tx, row, "cancelled", {})
                    tx.audit("cancelled", "intent", row["id"], {"key": row["key"], "why": "never sent"})
                    row["state"] = "cancelled"
                elif row["state"] == "sending":
                    synchronous = self.target_of(row["connection"]).connector.capabilities.synchronous
                    state = "unknown" if synchronous else "cancelled"
                    self._set(tx, row, state, {})
                    tx.audit(state, "intent", row["id"], {"key": row["key"], "why": "the run ended while sending"})
                    row["state"] = state
        return [r for r in rows if r["state"] in ("unknown", "applied", "emitted", "stuck")]

    def settle(self, intent: dict[str, Any]) -> None:
        """Settle one open intent as far as it can be settled now."""
        target = self.target_of(intent["connection"])
        if intent["state"] == "applied":
            self.confirm(intent, target)
        elif intent["state"] in ("unknown", "stuck"):
            if intent["before"] is None and intent["state"] == "stuck" and not self._found(intent, target):
                self._blame(intent, "stuck", "UNCERTAIN_WRITE", intent["last_error"] or "a person looks")
            elif intent["before"] is None:
                self._settle_create(intent, target)
            else:
                self._settle_change(intent, target)
        elif intent["state"] == "emitted":
            self._settle_emitted(intent, target)

    def _found(self, intent: dict[str, Any], target: Target) -> bool:
        """Whether a read shows the record that a create was to make."""
        return intent["op"] == OpKind.CREATE.value and intent["subject"] in target.book.natives

    def _settle_create(self, intent: dict[str, Any], target: Target) -> None:
        capabilities = target.connector.capabilities
        if self._found(intent, target):
            native = target.book.natives[intent["subject"]]
            self._end(intent, "applied", "adopted", "found by its marker", native_id=native)
            self.confirm(intent | {"native_id": native, "state": "applied"}, target)
            return
        age = (self.store.clock() - instant(intent["first_sent_at"])).total_seconds()
        if capabilities.strategy is Strategy.IDEMPOTENCY_KEY and 0 <= age < capabilities.key_window - KEY_MARGIN:
            self._again(intent, target)
            return
        if capabilities.strategy is Strategy.UNIQUE_NUMBER:
            self._again(intent, target)
            return
        if self._too_early(intent, target):
            return
        try:
            found = self._candidates(intent, target)
        except RetriableError as error:
            self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: could not be read back: {error}")
            return
        ours = [o for o in found if getattr(o.record, "marker", None) == intent["marker"]]
        if ours:
            ours.sort(key=lambda o: (len(o.id), o.id))
            self._end(intent, "applied", "adopted", "found by its marker", native_id=ours[0].id)
            if len(ours) > 1:
                copies = ", ".join(o.id for o in ours[1:])
                self._blame(intent, "", "DUPLICATE_WITHIN_LEDGER", f"duplicate_at_target: also {copies}; void them")
            self.confirm(intent | {"native_id": ours[0].id, "state": "applied"}, target)
        elif not capabilities.searchable or found:
            why = "a record like it is there without our mark" if found else "the target cannot be searched"
            self._stuck(intent, f"outcome_unknown: {why}; a person looks")
        elif intent["empty_searches"] >= 1:
            self._stuck(intent, "outcome_unknown: sent twice, not found twice; a person looks")
        elif not self.writes:
            self._again(intent, target)
        else:
            with self.store.writing(self.lease, run=self.run) as tx:
                self._set(tx, intent, "unknown", {"empty_searches": intent["empty_searches"] + 1})
                tx.audit("searched", "intent", intent["id"], {"found": 0})
            self._again(intent | {"empty_searches": intent["empty_searches"] + 1}, target)

    def _too_early(self, intent: dict[str, Any], target: Target) -> bool:
        settled_at = instant(intent["send_by"]) + timedelta(seconds=target.connector.capabilities.settle)
        if self.store.clock() >= settled_at:
            return False
        self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: read back after {stamp(settled_at)}")
        return True

    def _again(self, intent: dict[str, Any], target: Target) -> None:
        """Send the same bytes under the same key, if anything may be sent."""
        record = from_json(Entity(intent["entity"]), loads(intent["request"]))
        why = "this run may not write" if not self.writes else target.halted
        if why:
            self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: not settled yet: {why}")
            return
        self._send(intent | {"again": True}, target, record, _unpacked(intent))

    def _settle_change(self, intent: dict[str, Any], target: Target) -> None:
        if self._too_early(intent, target):
            return
        before = _unpacked(intent)
        assert before is not None
        entity = Entity(intent["entity"])
        try:
            now = target.connector.get(entity, before.id)
        except NotFoundError:
            self._end(intent, "stale", "stale", "it is gone")
            return
        except RetriableError as error:
            self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"outcome_unknown: could not be read back: {error}")
            return
        if self._shows(intent, now, target):
            self._end(intent, "applied", "applied", "read back", native_id=now.id)
            self.confirm(intent | {"native_id": now.id, "state": "applied"}, target)
        else:
            # Not done, or changed by someone else: either way the next plan starts from what is there now.
            self._end(intent, "stale", "not_applied", "read back: it was not carried out")

    def _shows(self, intent: dict[str, Any], now: Observation, target: Target) -> bool:
        if intent["op"] == OpKind.VOID.value:
            return getattr(now.record, "state", None) is PostingState.VOIDED
        wanted = _own(from_json(Entity(intent["entity"]), loads(intent["request"])))
        read = self._facts_of(now.entity, now, target)
        if read is None:
            return False
        want = facts(
            now.entity, share(target.connector.represent(wanted), target.book.subject_of), self.common(now.entity)
        )
        names = {f["name"] for f in loads(intent["operation"])["fields"]}
        return all(read.get(n) == want.get(n) for n in names if n in want)

    def _settle_emitted(self, intent: dict[str, Any], target: Target) -> None:
        native = target.book.natives.get(intent["subject"])
        if native is None:
            self._blame(intent, "", "SYNC_IN_FLIGHT", "handed over in a file; not seen in an export yet")
            return
        held = target.book.held[(Entity(intent["entity"]), native)]
        now = Observation(held.entity, held.id, {}, held.record, held.version, held.existence)
        if intent["op"] != OpKind.CREATE.value and not self._shows(intent, now, target):
            self._blame(intent, "", "", "handed over in a file; no export shows the change yet")
            return
        self._finish(intent | {"native_id": native}, target, held)

    # ── confirmation ─────────────────────────────────────────────────────────────────────────────────────────────

    def confirm(self, intent: dict[str, Any], target: Target) -> None:
        """Read back what was written; only then is it linked and agreed."""
        entity, native = Entity(intent["entity"]), intent["native_id"]
        try:
            now = target.connector.get(entity, native)
        except NotFoundError:
            self._stuck(intent, f"created_then_missing: {native} was answered, but is not there")
            return
        except (RetriableError, FatalError) as error:
            self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"written, not read back yet: {error.message}")
            return
        if now.record is None or isinstance(now.record, RecordError):
            self._blame(intent, "unknown", "UNCERTAIN_WRITE", f"written, but cannot be read: {now.record}")
            return
        if intent["before"] is None and getattr(now.record, "marker", None) not in (intent["marker"], None):
            self._stuck(intent, f"the answer named {native}, which carries another mark")
            return
        held = Held(entity, now.id, now.record, now.version, now.existence, None, now.record.marker)
        if intent["op"] == OpKind.APPLY.value and isinstance(now.record, Payment) and intent["before"] is None:
            self._finish_credit(intent, target, held, now)
        else:
            self._finish(intent, target, held, now)

    def _finish_credit(self, intent: dict[str, Any], target: Target, held: Held, now: Observation) -> None:
        """A credit was applied by a payment of its own: the credit memo carries it from here on."""
        payment = held.record
        assert isinstance(payment, Payment)
        native = payment.credits[0].credit_memo if payment.credits else target.book.natives.get(intent["subject"], "")
        memo = target.book.held.get((Entity.CREDIT_MEMO, native))
        request = from_json(Entity.PAYMENT, loads(intent["request"]))
        with self.store.writing(self.lease, run=self.run) as tx:
            save_seen(tx, target.connector.name, [now], intent["id"], {})
            target.book.held[(Entity.PAYMENT, held.id)] = held
            if memo is not None and isinstance(memo.record, CreditMemo):
                merged = (*memo.record.applications, *payment.applications)
                memo = replace(memo, record=memo.record.model_copy(update={"applications": merged}))
                target.book.held[(Entity.CREDIT_MEMO, native)] = memo
                shared = target.book.shared(memo)
                if shared is not None:
                    self._agree(tx, intent, target, memo, shared)
            self._set(tx, intent, "done", {"native_id": held.id})
            self._close_attempt(tx, intent, "done", "", "")
            tx.audit("done", "intent", intent["id"], {"key": intent["key"], "native_id": held.id, "op": intent["op"]})
        if {a.invoice: a.amount for a in payment.applications} != {
            a.invoice: a.amount for a in getattr(request, "applications", ())
        }:
            self._blame(intent, "", "", "readback_mismatch: the credit was not applied as it was sent")
        self._take_room(intent, target, held)
        target.book.touched(held)
        self.counts["done"] += 1
        self.written.append({"operation": loads(intent["operation"]), "id": held.id, "marker": intent["marker"]})

    def _finish(self, intent: dict[str, Any], target: Target, held: Held, now: Observation | None = None) -> None:
        entity = held.entity
        with self.store.writing(self.lease, run=self.run) as tx:
            if now is not None:
                known = tx.one(
                    sa.select(schema.seen).where(
                        schema.seen.c.connection == target.connector.name,
                        schema.seen.c.entity == entity.value,
                        schema.seen.c.native_id == now.id,
                    )
                )
                save_seen(tx, target.connector.name, [now], intent["id"], {now.id: known} if known else {})
            if intent["op"] == OpKind.CREATE.value:
                self._link(tx, intent, target, held)
            if held.record is not None:
                held = replace(held, record=_own(held.record))
            target.book.held[(entity, held.id)] = held
            shared = target.book.shared(held)
            if intent["op"] == OpKind.APPLY.value and entity is Entity.CREDIT_MEMO:
                shared = self._with_credit(intent, target, held, shared)
            if shared is not None:
                self._agree(tx, intent, target, held, shared)
            self._set(tx, intent, "done", {"native_id": held.id})
            self._close_attempt(tx, intent, "done", "", "")
            tx.audit("done", "intent", intent["id"], {"key": intent["key"], "native_id": held.id, "op": intent["op"]})
        self._take_room(intent, target, held)
        target.book.touched(held)
        self.counts["done"] += 1
        self.written.append({"operation": loads(intent["operation"]), "id": held.id, "marker": intent["marker"]})

    def _with_credit(self, intent: dict[str, Any], target: Target, held: Held, shared: Shared | None) -> Shared | None:
        """A credit's applications may live in another record there: what was asked is taken until the next read."""
        if shared is None or shared["applications"] or held.record is None:
            return shared
        wanted = from_json(held.entity, loads(intent["request"]))
        update = {"applications": getattr(wanted, "applications", ())}
        record = held.record.model_copy(update=update)
        again = Held(held.entity, held.id, record, held.version, held.existence, held.error, held.marker)
        target.book.held[(held.entity, held.id)] = again
        return target.book.shared(again)

    def _link(self, tx: Tx, intent: dict[str, Any], target: Target, held: Held) -> None:
        book, subject = target.book, intent["subject"]
        own = book.subjects.get((held.entity, held.id))
        if own == subject:
            return
        s = schema.subject
        if own is not None:
            source = self.other(target)
            ids = {target.which: held.id, source.which: source.book.natives[subject]}
            books = {t.which: t.book for t in self.targets.values()}
            born = source.which
            join(tx, books, Link(held.entity, ids["left"], ids["right"], "written by us", {}, born=born))
            return
        tx.db.execute(
            schema.xref.insert().values(
                id=new_id(),
                subject=subject,
                connection=target.connector.name,
                entity=held.entity.value,
                native_id=held.id,
                state="active",
                matched_by="written by us",
                evidence=canonical({"key": intent["key"]}),
                run=self.run,
            )
        )
        tx.db.execute(s.update().where(s.c.id == subject).values(created_by="tieout"))
        tx.audit("linked", "subject", subject, {"connection": target.connector.name, "native_id": held.id})
        book.subjects[(held.entity, held.id)] = subject
        book.natives[subject] = held.id

    def _agree(self, tx: Tx, intent: dict[str, Any], target: Target, held: Held, shared: Shared) -> None:
        """Set both bases to what was just read there and to what stands at the source; note what came out otherwise."""
        fields = self.common(held.entity)
        read = facts(held.entity, shared, fields)
        source = self.other(target)
        native = source.book.natives.get(intent["subject"])
        home = source.book.held.get((held.entity, native)) if native else None
        home_shared = source.book.shared(home) if home else None
        operation = loads(intent["operation"])
        names = {f["name"] for f in operation["fields"]}
        whole = intent["op"] in (OpKind.CREATE.value, OpKind.VOID.value)
        moved = None if whole else names
        agreed = read if whole else self._changed(tx, intent, target, read, operation)
        set_base(tx, self.pair, intent["subject"], target.connector.name, now=agreed, held=held, names=moved)
        if home is not None and home_shared is not None:
            there = facts(held.entity, home_shared, fields)
            if intent["op"] == OpKind.CREATE.value:
                there = _as_sent(there, intent, operation)
            elif not whole:
                sent = {f["name"]: f["after"] for f in operation["fields"]}
                there = self._changed(tx, intent, source, there | sent, operation)
            set_base(tx, self.pair, intent["subject"], source.connector.name, now=there, held=home, names=moved)
        if intent["op"] == OpKind.VOID.value or intent["entity"] != held.entity.value:
            return
        wanted = _own(from_json(held.entity, loads(intent["request"])))
        want = facts(held.entity, share(target.connector.represent(wanted), target.book.subject_of), fields)
        off = [n for n in sorted(names | ({"total"} & want.keys())) if n in want and want[n] != read.get(n)]
        if off:
            text = "; ".join(f"{n}: sent {_text(want[n])}, holds {_text(read.get(n))}" for n in off)
            self._blame(intent, "", "", f"readback_mismatch: {text}")

    def _changed(self, tx: Tx, intent: dict[str, Any], side: Target, now: Facts, operation: Mapping[str, Any]) -> Facts:
        """`now`, with only those applications moved on from the base that the operation wrote."""
        written = next((f for f in operation["fields"] if f["name"] == "applications"), None)
        if written is None:
            return now
        before, after = written["before"] or {}, written["after"] or {}
        touched = {i for i in {*before, *after} if before.get(i) != after.get(i)}
        kept = _base_of(tx, self.pair, intent["subject"], side.connector.name).get("applications", {})
        merged = {i: a for i, a in kept.items() if i not in touched}
        merged |= {i: a for i, a in now["applications"].items() if i in touched}
        return now | {"applications": dict(sorted(merged.items()))}

    def _take_room(self, intent: dict[str, Any], target: Target, held: Held) -> None:
        if held.entity is Entity.INVOICE and intent["op"] == OpKind.CREATE.value:
            total = getattr(held.record, "total", ZERO) - getattr(held.record, "deposit_applied", ZERO)
            target.room.setdefault(held.id, total)
        if intent["op"] == OpKind.VOID.value:
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

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _set(self, tx: Tx, intent: dict[str, Any], state: str, values: Mapping[str, Any]) -> None:
        t = schema.intent
        tx.db.execute(t.update().where(t.c.id == intent["id"]).values(state=state, updated_at=tx.at, **dict(values)))
        intent["state"] = state

    def _close_attempt(self, tx: Tx, intent: dict[str, Any], outcome: str, code: str, request_id: str) -> None:
        t = schema.intent_attempt
        tx.db.execute(
            t.update()
            .where(t.c.intent == intent["id"], t.c.attempt == intent["attempt"])
            .values(ended_at=tx.at, outcome=outcome, code=code, request_id=request_id)
        )

    def _end(
        self,
        intent: dict[str, Any],
        state: str,
        outcome: str,
        message: str,
        *,
        code: str = "",
        request_id: str = "",
        native_id: str | None = None,
    ) -> None:
        """Record the outcome of an attempt, with its audit event."""
        with self.store.writing(self.lease, run=self.run) as tx:
            values: dict[str, Any] = {"last_error": message or None, "error_class": outcome}
            if native_id is not None:
                values["native_id"] = native_id
            self._set(tx, intent, state, values)
            self._close_attempt(tx, intent, outcome, code, request_id)
            tx.audit(state, "intent", intent["id"], {"key": intent["key"], "outcome": outcome, "message": message})

    def _stuck(self, intent: dict[str, Any], why: str) -> None:
        self._end(intent, "stuck", "stuck", why)
        self._blame(intent, "stuck", "UNCERTAIN_WRITE", why)

    def _note(self, o: Operation, count: str, code: str, why: str) -> None:
        self.counts[count] += 1
        side: Which = "left" if o.target == "right" else "right"
        self.findings.append(Finding(o.subject, o.entity, code, why, _REMEDIES.get(count, ""), side=side))

    def _blame(self, intent: dict[str, Any], count: str, code: str, why: str) -> None:
        if count:
            self.counts[count] += 1
        target = self.target_of(intent["connection"])
        side = self.other(target).which if intent["op"] == OpKind.CREATE.value else target.which
        entity = Entity(loads(intent["operation"])["entity"])
        self.findings.append(Finding(intent["subject"], entity, code, why, _REMEDIES.get(count, ""), side=side))


_REMEDIES = {
    "blocked": "it follows by itself once its cause is gone",
    "stale": "it is planned again in the next run",
    "unknown": "the next run reads back and settles it; nothing is sent again on a guess",
    "rejected": "mend the cause named by the target; it is tried again when the document changes",
    "stuck": "look in the target system, then decide the discrepancy",
}


def _unsent(intent: Mapping[str, Any]) -> str:
    """The state of an intent whose send did not happen: an earlier one of the same may have."""
    return "unknown" if intent.get("again") else "ready"


def _own(record: AnyRecord) -> AnyRecord:
    return own_share(record) if isinstance(record, Payment) else record


def _standing(record: object, *, invoiced: bool = False) -> dict[str, Decimal]:
    """{invoice: sum of what the record applies to it now}, in its own currency or the invoice's; in its own order."""
    sums: dict[str, Decimal] = {}
    for a in getattr(record, "applications", ()):
        if a.reversed_on is None:
            sums[a.invoice] = sums.get(a.invoice, ZERO) + (a.amount_invoice if invoiced else a.amount)
    return sums


def regrouped(wanted: Payment, before: Payment) -> Payment:
    """The payment with the credits that it is grouped with there, which are none of its own money, as they are.

    Its own money is all that a change of it is about: `own_share` of the result should be what was wanted.
    """
    own = own_share(before)
    if wanted.credits or not before.credits or own.credits:
        return wanted
    if _standing(wanted) == _standing(own):
        return wanted.model_copy(update={"applications": before.applications, "credits": before.credits})
    parts = [s.application for s in settlements(before) or () if s.source is Entity.CREDIT_MEMO]
    grouped = tuple(a for a in wanted.applications if a.reversed_on is None) + tuple(parts)
    merged = {a.invoice: a for a in grouped}
    for invoice, amount in _standing(wanted.model_copy(update={"applications": grouped})).items():
        merged[invoice] = merged[invoice].model_copy(update={"amount": amount, "amount_invoice": amount})
    return wanted.model_copy(update={"applications": tuple(merged.values()), "credits": before.credits})


def _as_sent(now: Facts, intent: Mapping[str, Any], operation: Mapping[str, Any]) -> Facts:
    """The source's facts as a create carried them: what changed since, or is applied later, has yet to flow."""
    if digest(now) != operation["expects"]["facts"]:
        sent = {f["name"]: f["after"] for f in operation["fields"]}
        now = {name: sent.get(name, _UNSENT.get(name)) for name in now}
    if now.get("applications") and not loads(intent["request"]).get("applications"):
        now = now | {"applications": {}}
    return now


# What a fact was at its source if a create did not carry it: only posted and active records are created.
_UNSENT: Mapping[str, Any] = {"lines": [], "applications": {}, "state": PostingState.POSTED.value, "active": True}


def _base_of(tx: Tx, pair: str, subject: str, connection: str) -> Facts:
    t = schema.base
    known = tx.one(sa.select(t.c.facts).where(t.c.pair == pair, t.c.subject == subject, t.c.connection == connection))
    found: Facts = loads(known["facts"]) if known else {}
    return found


def set_base(
    tx: Tx, pair: str, subject: str, connection: str, *, now: Facts, held: Held, names: set[str] | None
) -> None:
    """Move the base of one side of a subject to `now`, in the named fields only (None: in all)."""
    t = schema.base
    where = sa.and_(t.c.pair == pair, t.c.subject == subject, t.c.connection == connection)
    known = tx.one(sa.select(t.c.facts).where(where))
    value = now
    if names is not None and known is not None:
        value = loads(known["facts"]) | {n: now[n] for n in names if n in now}
    tx.put(
        t,
        {
            "pair": pair,
            "subject": subject,
            "connection": connection,
            "facts": canonical(value),
            "existence": held.existence.value,
            "version": held.version,
            "run": tx.run,
            "verified_at": tx.at,
        },
    )
    tx.audit("agreed", "base", f"{pair}/{subject}/{connection}", {"facts": digest(value)})


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


def _unpacked(intent: dict[str, Any]) -> Observation | None:
    data = loads(intent["before"])
    if data is None:
        return None
    entity = Entity(data["entity"])
    record = from_json(entity, data["record"]) if data["record"] else None
    return Observation(entity, data["id"], data["raw"], record, data["version"], Existence(data["existence"]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def money(row: Mapping[str, Any]) -> Decimal:
    """The delta of an intent or discrepancy row, in major units."""
    return from_micros(row["delta_micros"])
