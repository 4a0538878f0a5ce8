"""One company's books in memory: what the other end of a `MemoryConnector` holds, and a log of all that happened to it.

People change the books directly (`put`, `edit`, `void`, `delete`, `apply`, `unapply`); a connector goes through
`write`, which validates as a server does. Ids are given per entity (`INV-1`), versions count changes of a record.
Nothing is random and time comes from the clock alone, so that a failing test can be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from tieout.connectors import Op, Written
from tieout.errors import (
    DuplicateNumber,
    PeriodClosed,
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
    Credit,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Existence,
    Invoice,
    Payment,
    PostingState,
    Ref,
    effects,
    exponent,
    finer_than_currency,
    magnitude,
    tidy,
)

Clock = Callable[[], datetime]
PREFIX = {
    Entity.CUSTOMER: "CUS",
    Entity.INVOICE: "INV",
    Entity.CREDIT_MEMO: "CRM",
    Entity.PAYMENT: "PAY",
    Entity.ADJUSTMENT: "ADJ",
}


class ManualClock:
    """A clock that stands still until `tick`. Aware, UTC."""

    def __init__(self, start: datetime = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Rules:
    """How these books behave: each switch is a behaviour that some real system has.

    unique_numbers, unique_markers, unique_names: a second holder is refused (names: customers)
    over_application: `reject` the write, or `drop` the application and accept the rest
    apply_bumps_invoice: (un)applying money changes the invoice's version and its time of change
    auto_apply_credits: a new invoice takes the customer's open credits and unapplied money, oldest first
    tax_rate: the server computes tax itself, whatever it is sent · auto_number: it numbers what has no number
    void_applied: voiding an invoice with money on it unlinks the money, or is refused
    key_window: seconds for which a repeated key replays the first answer, even if the record is gone by then
    *_limit: characters kept, the rest is cut off · search_lag: seconds until a change can be found by search
    """

    unique_numbers: bool = False
    unique_markers: bool = False
    unique_names: bool = True
    over_application: Literal["reject", "drop"] = "reject"
    apply_bumps_invoice: bool = True
    auto_apply_credits: bool = False
    tax_rate: Decimal | None = None
    auto_number: bool = False
    void_applied: Literal["unlink", "reject"] = "unlink"
    key_window: int = 0
    number_limit: int | None = None
    memo_limit: int | None = None
    name_limit: int | None = None
    search_lag: int = 0


@dataclass(slots=True)
class Stored:
    """A record as these books hold it. `extra`: native fields that no canonical field maps."""

    record: AnyRecord
    version: int
    changed: datetime
    existence: Existence = Existence.LIVE
    extra: dict[str, Any] = field(default_factory=dict)
    unreadable: str | None = None
    previous: Stored | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A write as it arrives. `changes`: canonical field → value; `record` for creates only."""

    op: Op
    entity: Entity
    id: str = ""
    record: AnyRecord | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    key: str = ""
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """Ground truth: one effect on one record, in order. `by`: `person`, `connector` or `server` (its own doing).

    before, after: the record, or None where it did not or does not exist
    """

    seq: int
    at: datetime
    by: str
    op: str
    entity: Entity
    id: str
    key: str
    marker: str
    before: AnyRecord | None
    after: AnyRecord | None


@dataclass(frozen=True, slots=True)
class Received:
    """A write request that reached the server, whatever became of it."""

    seq: int
    at: datetime
    request: Request
    outcome: str


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
        self._open_at = -1
        self._open: dict[tuple[Entity, str], Decimal] = {}

    # --- time

    def now(self) -> datetime:
        """The server's own time."""
        return self.clock() + self._ahead

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
        """Carry out what is due; called before every read and write."""
        now = self.now()
        due = [item for item in self._late if item[0] <= now]
        self._late = [item for item in self._late if item[0] > now]
        for _, request in sorted(due, key=lambda item: item[0]):
            try:
                self.write(request)
            except WriteError:
                continue  # `write` has put the refusal into `received`; nobody waits for the answer

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

    def open(self, entity: Entity, id: str) -> Decimal:
        """Open amount of a document: what it is for, less what is set against it. Zero when voided or a draft."""
        if self._open_at != len(self.log):
            self._open, self._open_at = self._compute_open(), len(self.log)
        return self._open.get((entity, id), ZERO)

    def _compute_open(self) -> dict[tuple[Entity, str], Decimal]:
        result: dict[tuple[Entity, str], Decimal] = {}
        applied: list[tuple[Entity, str, Application]] = []
        against: list[Adjustment] = []
        used: list[Credit] = []
        for stored in self.everything():
            record = stored.record
            if isinstance(record, Customer):
                continue
            key = (record.entity, record.ref.id)
            posted = record.state is PostingState.POSTED
            result[key] = magnitude(record) if posted else ZERO
            if posted and isinstance(record, Invoice):
                result[key] -= record.deposit_applied
            if posted and isinstance(record, Payment | CreditMemo):
                applied += [(*key, a) for a in record.applications if a.reversed_on is None]
            if posted and isinstance(record, Payment):
                result[key] += sum((c.amount for c in record.credits), ZERO)
                used += record.credits
            if posted and isinstance(record, Adjustment) and record.document:
                against.append(record)
        for entity, id, application in applied:
            result[entity, id] -= application.amount
            if (Entity.INVOICE, application.invoice) in result:
                result[Entity.INVOICE, application.invoice] -= application.amount_invoice
        for credit in used:
            if (Entity.CREDIT_MEMO, credit.credit_memo) in result:
                result[Entity.CREDIT_MEMO, credit.credit_memo] -= credit.amount
        for adjustment in against:
            target = (Entity.INVOICE, adjustment.document or "")
            if target in result:
                result[target] += adjustment.amount if adjustment.side == "debit" else -adjustment.amount
                result[Entity.ADJUSTMENT, adjustment.ref.id] = ZERO
        return result

    def balance(self, customer: str) -> Decimal:
        """What the customer owes by effects, all dates, in the customer's currency."""
        holder = self._stored[Entity.CUSTOMER][customer].record
        currency = (holder.currency if isinstance(holder, Customer) else None) or self.home_currency
        moves = (e for s in self.everything() for e in effects(s.record))
        return tidy(sum((e.amount for e in moves if e.customer == customer and e.currency == currency), ZERO))

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
        """Change canonical fields of a record."""
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
            record = self._accepted(self.cut(record), None)
            record = self._insert(record, by="connector", key=request.key, marker=request.marker)
            if isinstance(record, Invoice) and self.rules.auto_apply_credits:
                self._auto_apply(record)
            id = record.ref.id
        else:
            id = request.id
            self._modify(request)
        answer = Written(id=id, version=str(self._stored[request.entity][id].version), raw={"id": id})
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
            wanted = _changed(stored.record, request.changes)
            self._check_period(stored.record)
            accepted = self._accepted(self.cut(wanted), stored.record)
            moved = {f: getattr(accepted, f) for f in type(accepted).model_fields if f != "ref"}
            self._change(request.entity, request.id, moved, **why)
        elif request.op is Op.VOID:
            if isinstance(stored.record, Customer):
                raise Rejected("a customer cannot be voided")
            if stored.record.state is not PostingState.VOIDED:
                self._check_period(stored.record)
                if self.rules.void_applied == "reject" and self._settling(Entity.INVOICE, request.id):
                    raise Rejected(f"{request.id} has money applied to it")
                self._void(request.entity, request.id, self.now().date(), **why)
        else:
            self._check_period(stored.record)
            self._delete(request.entity, request.id, **why)

    def cut(self, record: AnyRecord) -> AnyRecord:
        """The record as these books can hold it: texts cut to their limits. Idempotent."""
        limits = {
            "number": self.rules.number_limit,
            "reference": self.rules.number_limit,
            "memo": self.rules.memo_limit,
            "name": self.rules.name_limit,
        }
        cuts = {
            name: getattr(record, name)[:limit].rstrip()
            for name, limit in limits.items()
            if limit is not None and getattr(record, name, None) is not None
        }
        return record.model_copy(update=cuts) if cuts else record

    def _accepted(self, record: AnyRecord, before: AnyRecord | None) -> AnyRecord:
        """The record as the server books it, or the refusal."""
        self._check_period(record)
        self._check_unique(record, before)
        if isinstance(record, Customer):
            if record.parent and not self._live(Entity.CUSTOMER, record.parent):
                raise Rejected(f"unknown parent customer {record.parent!r}", code="bad_reference")
            return record
        if not self._live(Entity.CUSTOMER, record.customer):
            raise Rejected(f"unknown customer {record.customer!r}", code="bad_reference")
        if finer_than_currency(magnitude(record), record.currency):
            raise Rejected(f"{magnitude(record)} is finer than {record.currency} has", code="bad_amount")
        if isinstance(record, Adjustment) and record.document and not self._live(Entity.INVOICE, record.document):
            raise Rejected(f"unknown invoice {record.document!r}", code="bad_reference")
        if isinstance(record, Invoice | CreditMemo) and self.rules.tax_rate is not None:
            tax = round(record.subtotal * self.rules.tax_rate, exponent(record.currency))
            total = record.subtotal - record.discount + tax
            record = _changed(record, {"tax": tax, "total": total, "tax_lines": ()})
        if isinstance(record, Payment | CreditMemo):
            record = self._with_valid_applications(record, before)
        return record

    def _with_valid_applications(self, record: Payment | CreditMemo, before: AnyRecord | None) -> Payment | CreditMemo:
        already = before.applications if isinstance(before, Payment | CreditMemo) else ()
        kept: list[Application] = []
        for wanted in record.applications:
            if wanted.reversed_on is not None:
                kept.append(wanted)
                continue
            if not self._live(Entity.INVOICE, wanted.invoice):
                raise Rejected(f"unknown invoice {wanted.invoice!r}", code="bad_reference")
            invoice = self._stored[Entity.INVOICE][wanted.invoice].record
            standing = (a.amount_invoice for a in already if a.invoice == wanted.invoice and a.reversed_on is None)
            taken = (a.amount_invoice for a in kept if a.invoice == wanted.invoice and a.reversed_on is None)
            room = self.open(Entity.INVOICE, wanted.invoice) + sum(standing, ZERO) - sum(taken, ZERO)
            assert isinstance(invoice, Invoice)
            if wanted.amount_invoice > room or invoice.state is not PostingState.POSTED:
                if self.rules.over_application == "drop":
                    continue
                raise Rejected(f"{wanted.amount_invoice} is more than {wanted.invoice} has open ({room})", code="over")
            kept.append(wanted)
        there_is = magnitude(record) + self._usable_credits(record, before)
        if sum((a.amount for a in kept if a.reversed_on is None), ZERO) > there_is:
            raise Rejected("more is applied than there is", code="over")
        return record.model_copy(update={"applications": tuple(kept)})

    def _usable_credits(self, record: Payment | CreditMemo, before: AnyRecord | None) -> Decimal:
        if isinstance(record, CreditMemo):
            return ZERO
        already = {c.credit_memo: c.amount for c in before.credits} if isinstance(before, Payment) else {}
        for credit in record.credits:
            if not self._live(Entity.CREDIT_MEMO, credit.credit_memo):
                raise Rejected(f"unknown credit memo {credit.credit_memo!r}", code="bad_reference")
            room = self.open(Entity.CREDIT_MEMO, credit.credit_memo) + already.get(credit.credit_memo, ZERO)
            if credit.amount > room:
                raise Rejected(f"{credit.amount} is more than {credit.credit_memo} has left ({room})", code="over")
        return sum((c.amount for c in record.credits), ZERO)

    def _check_period(self, record: AnyRecord) -> None:
        if isinstance(record, Customer) or self.closed_through is None:
            return
        if record.posted <= self.closed_through:
            raise PeriodClosed(f"the books are closed through {self.closed_through}", code="closed")

    def _check_unique(self, record: AnyRecord, before: AnyRecord | None) -> None:
        fields = []
        if self.rules.unique_names and isinstance(record, Customer):
            fields.append("name")
        if self.rules.unique_numbers:
            fields.append("reference" if isinstance(record, Payment) else "number")
        if self.rules.unique_markers:
            fields.append("marker")
        for stored in self._stored[record.entity].values():
            if stored.existence is Existence.DELETED or (before and stored.record.ref.id == before.ref.id):
                continue
            for name in fields:
                value = getattr(record, name)
                if value is not None and getattr(stored.record, name) == value:
                    holder = stored.record.ref.id
                    raise DuplicateNumber(f"{name} {value!r} is taken by {holder}", existing_id=holder, code=name)

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

    def _live(self, entity: Entity, id: str) -> bool:
        stored = self._stored[entity].get(id)
        return stored is not None and stored.existence is not Existence.DELETED

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
            record = _changed(record, {number: str(self._next_number)})
            self._next_number += 1
        record = self._with_ref(record, id, 0)
        self._stored[entity][id] = Stored(record, 0, self.now(), _existence(record), dict(extra or {}))
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
        after = self._with_ref(_changed(before, changes), id, stored.version + 1)
        self._keep(stored, after, _existence(after))
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
        after = self._with_ref(_changed(before, changes), id, stored.version + 1)
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
            changes: dict[str, Any] = {"applications": tuple(a for a in _applications(record) if a.invoice != id)}
            if isinstance(record, Payment) and entity is Entity.CREDIT_MEMO:
                changes = {"credits": tuple(c for c in record.credits if c.credit_memo != id)}
            self._change(record.entity, record.ref.id, changes, by="server")

    def _settling(self, entity: Entity, id: str) -> list[Stored]:
        return [s for s in self.everything() if any(k[:2] == (entity, id) for k in _settled_by(s.record))]

    def _bump_settled(self, before: AnyRecord | None, after: AnyRecord | None) -> None:
        """What a settlement touches counts as changed, where the system does so."""
        if not self.rules.apply_bumps_invoice:
            return
        touched = _settled_by(before) ^ _settled_by(after)
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


def _changed(record: AnyRecord, changes: Mapping[str, Any]) -> AnyRecord:
    """A checked copy; pydantic's own `model_copy` would let a float or a wrong name through."""
    return type(record).model_validate({**dict(record), **changes}) if changes else record


def _existence(record: AnyRecord) -> Existence:
    return Existence.INACTIVE if isinstance(record, Customer) and not record.active else Existence.LIVE


def _applications(record: AnyRecord) -> tuple[Application, ...]:
    return record.applications if isinstance(record, Payment | CreditMemo) else ()


def _settled_by(record: AnyRecord | None) -> set[tuple[Entity, str, Application | Credit]]:
    """The invoices and credit memos that the record settles or uses."""
    if not isinstance(record, Payment | CreditMemo):
        return set()
    settled: set[tuple[Entity, str, Application | Credit]] = {
        (Entity.INVOICE, a.invoice, a) for a in record.applications
    }
    if isinstance(record, Payment):
        settled |= {(Entity.CREDIT_MEMO, c.credit_memo, c) for c in record.credits}
    return settled


def date_of(record: Document) -> date:
    """The date a person would look the document up by."""
    return record.received if isinstance(record, Payment) else getattr(record, "issued", record.posted)
