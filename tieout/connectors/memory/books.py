"""One company's books in memory: what the other end of a `MemoryConnector` holds, and a log of all that happened to it.

People change the books directly (`put`, `edit`, `void`, `delete`, `apply`, `unapply`); a connector goes through
`write`, which validates as a server does. Ids are given per entity (`INV-1`), versions count changes of a record.
Nothing is random and time comes from the clock alone, so that a failing test can be run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tieout.connectors import Op, Written
from tieout.connectors.memory.balances import Balances, balances
from tieout.connectors.memory.gate import Gate, cut
from tieout.connectors.memory.types import (
    Clock,
    Logged,
    ManualClock,
    Received,
    Request,
    Rules,
    Stored,
    applications_of,
    changed,
    existence_of,
    settled_by,
)
from tieout.errors import (
    Rejected,
    StaleWrite,
    WriteError,
)
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    Application,
    ClosedPeriod,
    Company,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Payment,
    PostingState,
    Ref,
    effects,
    tidy,
)

PREFIX = {
    Entity.CUSTOMER: "CUS",
    Entity.INVOICE: "INV",
    Entity.CREDIT_MEMO: "CRM",
    Entity.PAYMENT: "PAY",
    Entity.ADJUSTMENT: "ADJ",
}


class MemoryBooks:
    """The books. `log` is every effect and `received` every write request: tests read them, no connector does."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        rules: Rules | None = None,
        company_id: str = "C1",
        name: str = "Sample Co",
        home_currency: str = "USD",
        token: str = "",
    ) -> None:
        self.clock: Clock = clock or ManualClock()
        self.rules = rules or Rules()
        self.company_id = company_id
        self.name = name
        self.home_currency = home_currency
        self.token = token
        self.closed_through: date | None = None
        self.log: list[Logged] = []
        self.received: list[Received] = []
        self.outbox: dict[str, tuple[Request, ...]] = {}
        self.imported: list[str] = []
        self._ahead = timedelta(0)
        self._stored: dict[Entity, dict[str, Stored]] = {e: {} for e in Entity}
        self._next: dict[Entity, int] = dict.fromkeys(Entity, 1)
        self._next_number = 1001
        self._answers: dict[str, tuple[datetime, Written]] = {}
        self._late: list[tuple[datetime, Request]] = []
        self._due: datetime | None = None
        self._balances: Balances | None = None
        self._balances_at = 0

    # --- time

    def now(self) -> datetime:
        """The server's own time."""
        return self._due or self.clock() + self._ahead

    def tick(self, seconds: float) -> None:
        """Let time pass for the server; what was to be committed late is committed when its time has come."""
        if isinstance(self.clock, ManualClock):
            self.clock.tick(seconds)
        else:
            self._ahead += timedelta(seconds=seconds)
        self.settle()

    def skew(self, seconds: float) -> None:
        """Set the server's clock apart from the caller's."""
        self._ahead = timedelta(seconds=seconds)

    def later(self, request: Request, seconds: float) -> None:
        """Take a request in now and carry it out `seconds` from now, answer or no answer."""
        self._late.append((self.now() + timedelta(seconds=seconds), request))

    def settle(self) -> None:
        """Carry out what is due, each at the time it was due; called before every read and write."""
        now = self.now()
        due = [item for item in self._late if item[0] <= now]
        self._late = [item for item in self._late if item[0] > now]
        for self._due, request in sorted(due, key=lambda item: item[0]):
            try:
                self.write(request)
            except WriteError:
                continue  # `write` has put the refusal into `received`; nobody waits for the answer
            finally:
                self._due = None

    # --- what is there

    def company(self, *, periods: bool = True) -> Company:
        closed = (
            (ClosedPeriod(entity_code=None, module=None, through=self.closed_through),)
            if periods and self.closed_through
            else ()
        )
        return Company(
            id=self.company_id,
            name=self.name,
            entity_codes=(),
            home_currency=self.home_currency,
            closed=closed,
            time_zone="UTC",
        )

    def stored(self, entity: Entity, id: str) -> Stored:
        """Raises KeyError if there never was such a record; deleted ones are there, as DELETED."""
        self.settle()
        return self._stored[entity][id]

    def get(self, entity: Entity, id: str) -> AnyRecord:
        """The record with derived balances. Raises KeyError if there is none or it was deleted."""
        stored = self.stored(entity, id)
        if stored.existence is Existence.DELETED:
            raise KeyError(id)
        return self.derived(stored.record)

    def all(self, entity: Entity, *, deleted: bool = False) -> list[AnyRecord]:
        """The records in order of creation, voided and inactive ones too."""
        return [self.derived(s.record) for s in self.rows(entity) if deleted or s.existence is not Existence.DELETED]

    def rows(self, entity: Entity) -> list[Stored]:
        self.settle()
        return list(self._stored[entity].values())

    def everything(self) -> Iterator[Stored]:
        for entity in Entity:
            yield from (s for s in self.rows(entity) if s.existence is not Existence.DELETED)

    def fingerprint(self) -> dict[str, Any]:
        """All the books as plain data, without versions and times: equal books have equal fingerprints."""
        return {
            f"{e}:{id}": [
                s.existence.value,
                s.record.model_dump(mode="json", exclude={"ref"}),
                dict(sorted(s.extra.items())),
            ]
            for e in Entity
            for id, s in self._stored[e].items()
        }

    # --- derived balances

    def balances(self) -> Balances:
        if self._balances is None or self._balances_at != len(self.log):
            self._balances = balances([stored.record for stored in self.everything()])
            self._balances_at = len(self.log)
        return self._balances

    def open(self, entity: Entity, id: str) -> Decimal:
        """Open amount of a document: what it is for, less what is set against it. Zero when voided or a draft."""
        return self.balances().open.get((entity, id), ZERO)

    def balance(self, customer: str) -> Decimal:
        """What the customer owes by effects, all dates, in the customer's currency."""
        holder = self._stored[Entity.CUSTOMER][customer].record
        currency = (holder.currency if isinstance(holder, Customer) else None) or self.home_currency
        return tidy(self.balances().owed.get((customer, currency), ZERO))

    def receivables(self, as_of: date) -> dict[str, Decimal]:
        """Total of the receivables account by currency, `as_of` inclusive."""
        totals: dict[str, Decimal] = {}
        for effect in (e for s in self.everything() for e in effects(s.record)):
            if effect.on <= as_of:
                totals[effect.currency] = totals.get(effect.currency, ZERO) + effect.amount
        return totals

    def derived(self, record: AnyRecord) -> AnyRecord:
        """The record with the balances these books report of it."""
        match record:
            case Invoice() | CreditMemo():
                return record.model_copy(update={"reported_open": max(ZERO, self.open(record.entity, record.ref.id))})
            case Payment():
                unapplied = max(ZERO, self.open(Entity.PAYMENT, record.ref.id))
                return record.model_copy(update={"reported_unapplied": unapplied})
            case Customer():
                return record.model_copy(update={"reported_balance": self.balance(record.ref.id)})
            case Adjustment():
                return record

    # --- what people do

    def put(self, record: AnyRecord, *, id: str | None = None, **extra: Any) -> AnyRecord:
        """Enter a new record as a person does; the id of its `ref` is replaced. Returns it as held."""
        self.settle()
        return self._insert(record, id=id, extra=extra, by="person")

    def edit(self, entity: Entity, id: str, **changes: Any) -> AnyRecord:
        """Change canonical fields of a record. Lines that stay behind a new subtotal become one over all of it."""
        lines = getattr(self.stored(entity, id).record, "lines", ())
        if lines and "subtotal" in changes and "lines" not in changes:
            whole = {"net": changes["subtotal"], "quantity": None, "unit_price": None}
            changes["lines"] = (lines[0].model_copy(update=whole),)
        return self._change(entity, id, changes, by="person")

    def annotate(self, entity: Entity, id: str, **extra: Any) -> None:
        """Change native fields that tieout does not map."""
        stored = self.stored(entity, id)
        stored.extra = {**stored.extra, **extra}
        self._change(entity, id, {}, by="person")

    def void(self, entity: Entity, id: str, on: date | None = None) -> AnyRecord:
        """Void a document from `on` (today, if not given); money on it becomes unapplied."""
        return self._void(entity, id, on or self.now().date(), by="person")

    def delete(self, entity: Entity, id: str) -> None:
        self._delete(entity, id, by="person")

    def restore(self, entity: Entity, id: str, **changes: Any) -> AnyRecord:
        """Bring back under its id what was deleted, or post again what was voided; with changes, if any are given."""
        stored = self.stored(entity, id)
        before = stored.record
        back = {} if isinstance(before, Customer) else {"state": PostingState.POSTED, "voided_on": None}
        after = self._with_ref(changed(before, {**back, **changes}), id, stored.version + 1)
        self._keep(stored, after, existence_of(after))
        self._append("restore", before, after, by="person", key="", marker="")
        return self.derived(after)

    def apply(
        self, payment_id: str, invoice_id: str, amount: Decimal, on: date | None = None, *, by: str = "person"
    ) -> AnyRecord:
        """Set part of a payment (or credit memo) against an invoice of the same currency."""
        entity = self._money_entity(payment_id)
        record = self.stored(entity, payment_id).record
        assert isinstance(record, Payment | CreditMemo)
        new = Application(
            invoice=invoice_id,
            amount=amount,
            amount_invoice=amount,
            applied_on=on or self.now().date(),
            reversed_on=None,
        )
        return self._change(entity, payment_id, {"applications": (*record.applications, new)}, by=by)

    def unapply(self, payment_id: str, invoice_id: str, on: date | None = None) -> AnyRecord:
        """Take a payment (or credit memo) off an invoice: removed, or kept as reversed from `on` if a date is given."""
        entity = self._money_entity(payment_id)
        record = self.stored(entity, payment_id).record
        assert isinstance(record, Payment | CreditMemo)
        kept = tuple(a for a in record.applications if a.invoice != invoice_id)
        if on is not None:
            kept = tuple(
                a.model_copy(update={"reversed_on": on}) if a.invoice == invoice_id and a.reversed_on is None else a
                for a in record.applications
            )
        return self._change(entity, payment_id, {"applications": kept}, by="person")

    def merge(self, loser: str, winner: str) -> None:
        """Merge one customer into another: its documents move, it is deleted."""
        for stored in list(self.everything()):
            if not isinstance(stored.record, Customer) and stored.record.customer == loser:
                self._change(stored.record.entity, stored.record.ref.id, {"customer": winner}, by="person")
        self.stored(Entity.CUSTOMER, loser).extra["merged_into"] = winner
        self._delete(Entity.CUSTOMER, loser, by="person")

    def corrupt(self, entity: Entity, id: str, reason: str = "not a date: '2026-02-31'") -> None:
        """Make a record unreadable until it is edited."""
        self.stored(entity, id).unreadable = reason

    def import_outbox(self) -> list[tuple[Request, WriteError]]:
        """Load the files that were handed over and not loaded yet, oldest first; returns the refused rows."""
        refused = []
        for name in sorted(set(self.outbox) - set(self.imported)):
            self.imported.append(name)
            for request in self.outbox[name]:
                try:
                    self.write(request)
                except WriteError as error:
                    refused.append((request, error))
        return refused

    # --- what a server does with a request

    def write(self, request: Request) -> Written:
        """Carry out a connector's write. Raises a WriteError; it has had no effect then."""
        self.settle()
        try:
            written = self._replayed(request) or self._perform(request)
        except WriteError as error:
            self._receive(request, type(error).__name__)
            raise
        self._receive(request, "done")
        return written

    def _receive(self, request: Request, outcome: str) -> None:
        self.received.append(Received(len(self.received) + 1, self.now(), request, outcome))

    def _replayed(self, request: Request) -> Written | None:
        at, answer = self._answers.get(request.key, (None, None))
        if at is None or not request.key or self.now() - at > timedelta(seconds=self.rules.key_window):
            return None
        return answer

    def _perform(self, request: Request) -> Written:
        if request.op is Op.CREATE:
            assert request.record is not None
            record = request.record.model_copy(update={"marker": request.marker or None})
            if not isinstance(record, Customer) and record.state is PostingState.VOIDED:
                raise Rejected("a voided document cannot be created", code="state")
            record = self._gate().accept(cut(self.rules, record), None)
            record = self._insert(record, by="connector", key=request.key, marker=request.marker)
            if isinstance(record, Invoice) and self.rules.auto_apply_credits:
                self._auto_apply(record)
            id = record.ref.id
        else:
            id = request.id
            self._modify(request)
        stored = self._stored[request.entity][id]
        answer = Written(id=id, version=str(stored.version), raw={"id": id}, record=stored.record)
        if self.rules.key_window and request.key:
            self._answers[request.key] = (self.now(), answer)
        return answer

    def _modify(self, request: Request) -> None:
        stored = self._stored[request.entity].get(request.id)
        if stored is None or stored.existence is Existence.DELETED:
            raise Rejected(f"there is no {request.entity} {request.id}", code="not_found")
        if request.version is not None and request.version != str(stored.version):
            raise StaleWrite(f"{request.entity} {request.id} is at version {stored.version}, not {request.version}")
        why = {"by": "connector", "key": request.key, "marker": request.marker}
        if request.op is Op.UPDATE:
            wanted = changed(stored.record, request.changes)
            self._gate().check_period(stored.record)
            accepted = self._gate().accept(cut(self.rules, wanted), stored.record)
            moved = {f: getattr(accepted, f) for f in type(accepted).model_fields if f != "ref"}
            self._change(request.entity, request.id, moved, **why)
        elif request.op is Op.VOID:
            if isinstance(stored.record, Customer):
                raise Rejected("a customer cannot be voided")
            if stored.record.state is not PostingState.VOIDED:
                self._gate().check_period(stored.record)
                if self.rules.void_applied == "reject" and self._settling(Entity.INVOICE, request.id):
                    raise Rejected(f"{request.id} has money applied to it")
                self._void(request.entity, request.id, self.now().date(), **why)
        else:
            self._gate().check_period(stored.record)
            self._delete(request.entity, request.id, **why)

    def _gate(self) -> Gate:
        return Gate(self.rules, self.closed_through, self._stored, self.open)

    def _auto_apply(self, invoice: Invoice) -> None:
        for entity in (Entity.CREDIT_MEMO, Entity.PAYMENT):
            for stored in self.rows(entity):
                record = stored.record
                assert isinstance(record, Payment | CreditMemo)
                if stored.existence is not Existence.LIVE or record.customer != invoice.customer:
                    continue
                part = min(self.open(entity, record.ref.id), self.open(Entity.INVOICE, invoice.ref.id))
                if part > 0 and record.currency == invoice.currency:
                    self.apply(record.ref.id, invoice.ref.id, part, by="server")

    # --- changes, logged

    def _money_entity(self, id: str) -> Entity:
        return Entity.PAYMENT if id in self._stored[Entity.PAYMENT] else Entity.CREDIT_MEMO

    def _insert(
        self,
        record: AnyRecord,
        *,
        by: str,
        id: str | None = None,
        key: str = "",
        marker: str = "",
        extra: dict[str, Any] | None = None,
    ) -> AnyRecord:
        entity = record.entity
        if id is None:
            id = f"{PREFIX[entity]}-{self._next[entity]}"
            self._next[entity] += 1
        if id in self._stored[entity]:
            raise ValueError(f"{entity} {id} exists")
        number = "reference" if isinstance(record, Payment) else "number"
        if self.rules.auto_number and getattr(record, number) is None:
            record = changed(record, {number: str(self._next_number)})
            self._next_number += 1
        record = self._with_ref(record, id, 0)
        self._stored[entity][id] = Stored(record, 0, self.now(), existence_of(record), dict(extra or {}))
        self._append("create", None, record, by=by, key=key, marker=marker)
        self._bump_settled(None, record)
        return record

    def _change(
        self, entity: Entity, id: str, changes: Mapping[str, Any], *, by: str, key: str = "", marker: str = ""
    ) -> AnyRecord:
        stored = self.stored(entity, id)
        if stored.existence is Existence.DELETED:
            raise KeyError(id)
        before = stored.record
        after = self._with_ref(changed(before, changes), id, stored.version + 1)
        self._keep(stored, after, existence_of(after))
        self._append("update", before, after, by=by, key=key, marker=marker)
        self._bump_settled(before, after)
        return self.derived(after)

    def _void(self, entity: Entity, id: str, on: date, *, by: str, key: str = "", marker: str = "") -> AnyRecord:
        stored = self.stored(entity, id)
        before = stored.record
        if isinstance(before, Customer):
            raise TypeError("a customer cannot be voided")
        changes: dict[str, Any] = {"state": PostingState.VOIDED, "voided_on": on}
        if isinstance(before, Payment | CreditMemo):
            changes["applications"] = ()
        if isinstance(before, Payment):
            changes["credits"] = ()
        after = self._with_ref(changed(before, changes), id, stored.version + 1)
        self._keep(stored, after, stored.existence)
        self._append("void", before, after, by=by, key=key, marker=marker)
        self._bump_settled(before, None)
        self._unlink(entity, id)
        return self.derived(after)

    def _delete(self, entity: Entity, id: str, *, by: str, key: str = "", marker: str = "") -> None:
        stored = self.stored(entity, id)
        before = stored.record
        self._keep(stored, before, Existence.DELETED)
        self._append("delete", before, None, by=by, key=key, marker=marker)
        self._bump_settled(before, None)
        self._unlink(entity, id)

    def _unlink(self, entity: Entity, id: str) -> None:
        """Money on an invoice, or a credit in a payment, that is no more becomes unapplied: the server's doing."""
        for stored in self._settling(entity, id):
            record = stored.record
            changes: dict[str, Any] = {"applications": tuple(a for a in applications_of(record) if a.invoice != id)}
            if isinstance(record, Payment) and entity is Entity.CREDIT_MEMO:
                changes = {"credits": tuple(c for c in record.credits if c.credit_memo != id)}
            self._change(record.entity, record.ref.id, changes, by="server")

    def _settling(self, entity: Entity, id: str) -> list[Stored]:
        return [s for s in self.everything() if any(k[:2] == (entity, id) for k in settled_by(s.record))]

    def _bump_settled(self, before: AnyRecord | None, after: AnyRecord | None) -> None:
        """What a settlement touches counts as changed, where the system does so."""
        if not self.rules.apply_bumps_invoice:
            return
        touched = settled_by(before) ^ settled_by(after)
        for entity, id in sorted({(entity, id) for entity, id, _ in touched}):
            stored = self._stored[entity].get(id)
            if stored and stored.existence is not Existence.DELETED:
                self._keep(stored, self._with_ref(stored.record, id, stored.version + 1), stored.existence)

    def _keep(self, stored: Stored, record: AnyRecord, existence: Existence) -> None:
        stored.previous = replace(stored, previous=None)
        stored.record, stored.existence = record, existence
        stored.version, stored.changed, stored.unreadable = stored.version + 1, self.now(), None

    def _with_ref(self, record: AnyRecord, id: str, version: int) -> AnyRecord:
        number = getattr(record, "reference" if isinstance(record, Payment) else "number")
        return record.model_copy(
            update={"ref": Ref(connection=self.company_id, id=id, number=number, version=str(version))}
        )

    def _append(
        self, op: str, before: AnyRecord | None, after: AnyRecord | None, *, by: str, key: str, marker: str
    ) -> None:
        of = after or before
        assert of is not None
        seq = len(self.log) + 1
        self.log.append(Logged(seq, self.now(), by, op, of.entity, of.ref.id, key, marker, before, after))
