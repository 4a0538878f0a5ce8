"""One side of a pair as the state knows it: its records, in native and in shared form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import sqlalchemy as sa

from tieout.errors import RecordError
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Payment,
    PostingState,
    settlements,
    sign,
)
from tieout.sync import schema
from tieout.sync.facts import Shared, UnknownReferenceError, share
from tieout.sync.fetch import record_of
from tieout.sync.store import Store, loads

Key = tuple[Entity, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A record as it was last seen. `record`: None if it never could be read; `error`: JSON of why it cannot be now.

    dropped: `FROM/TO`, the days between which a list of open items stopped showing it; None unless it is absent
    """

    entity: Entity
    id: str
    record: AnyRecord | None
    version: str | None
    existence: Existence
    error: str | None
    marker: str | None
    dropped: str | None = None

    @property
    def number(self) -> str | None:
        record = self.record
        if isinstance(record, Payment):
            return record.reference or record.ref.number
        if isinstance(record, Customer):
            return record.name
        return record.number if record is not None else None


@dataclass(slots=True)
class Book:
    """All records of one connection. `subjects` maps (entity, native id) to the subject, `natives` the way back.

    came: subject → the connection that its record here was made from, for those that tieout wrote
    """

    connection: str
    held: dict[Key, Held] = field(default_factory=dict)
    subjects: dict[Key, str] = field(default_factory=dict)
    natives: dict[str, str] = field(default_factory=dict)
    came: dict[str, str] = field(default_factory=dict)

    def live(self) -> Iterator[Held]:
        """Readable records that exist, and are more than the application of a credit."""
        for one in self.held.values():
            if one.record is not None and one.existence in (Existence.LIVE, Existence.INACTIVE) and not groups(one):
                yield one

    def open_on(self, day: str) -> Iterator[Held]:
        """Records that a list of open items shows no more, but that it may have shown on that day."""
        for one in self.held.values():
            if (
                one.record is not None
                and one.existence is Existence.ABSENT
                and day < (one.dropped or "/").split("/")[1]
            ):
                yield one

    def unreadable(self) -> list[RecordError]:
        """Why each record that exists but cannot be read now cannot."""
        bad = (o for o in self.held.values() if o.error is not None and o.existence is not Existence.DELETED)
        return [RecordError(**loads(o.error)) for o in bad]

    def subject_of(self, entity: Entity, id: str) -> str | None:
        return self.subjects.get((entity, id))

    def native_of(self, _entity: Entity, subject: str) -> str | None:
        return self.natives.get(subject)

    def shared(self, one: Held) -> Shared | None:
        """The record in shared form; None if it refers to something unknown here."""
        if one.record is None:
            return None
        try:
            return share(one.record, self.subject_of)
        except UnknownReferenceError:
            return None

    def touched(self, one: Held) -> None:
        """Forget the balances that the system reported for what this write settles: they were read before it."""
        record = one.record
        stale: list[Key] = [(Entity.CUSTOMER, getattr(record, "customer", ""))]
        stale += [(Entity.INVOICE, a.invoice) for a in getattr(record, "applications", ())]
        stale += [(Entity.CREDIT_MEMO, c.credit_memo) for c in getattr(record, "credits", ())]
        for key in stale:
            held = self.held.get(key)
            if held is not None and held.record is not None:
                name = "reported_balance" if key[0] is Entity.CUSTOMER else "reported_open"
                _replace(self, key, {name: None})

    def room(self) -> dict[str, Decimal]:
        """What each invoice can still take, by native id: its total less all that stands against it, write-offs too."""
        open_: dict[str, Decimal] = {}
        for one in self.live():
            record = one.record
            if isinstance(record, Invoice) and record.state is PostingState.POSTED:
                open_[one.id] = record.total - record.deposit_applied
        for one in self.live():
            record = one.record
            if getattr(record, "state", None) is not PostingState.POSTED:
                continue
            if isinstance(record, Adjustment) and record.document in open_:
                open_[record.document] += sign(record) * record.amount
            for application in getattr(record, "applications", ()):
                if application.reversed_on is None and application.invoice in open_:
                    open_[application.invoice] -= application.amount_invoice
            for part in getattr(getattr(one.record, "group", None), "invoices", ()):
                if part.invoice in open_:
                    open_[part.invoice] -= part.amount
        return open_


def groups(one: Held) -> bool:
    """Whether the record only applies credits: no cash, so nothing to carry over by itself."""
    return isinstance(one.record, Payment) and not one.record.amount and bool(one.record.credits)


def standing(record: object, *, invoiced: bool = False) -> dict[str, Decimal]:
    """{invoice: sum of what the record applies to it now}, in its own currency or the invoice's; in its own order."""
    sums: dict[str, Decimal] = {}
    for a in getattr(record, "applications", ()):
        if a.reversed_on is None:
            sums[a.invoice] = sums.get(a.invoice, ZERO) + (a.amount_invoice if invoiced else a.amount)
    return sums


def own_share(payment: Payment) -> Payment:
    """The payment with its own money alone, where its group says uniquely what credits paid; else as it is."""
    split = settlements(payment) if payment.credits and payment.amount else None
    if split is None:
        return payment
    kept = tuple(s.application for s in split if s.source is Entity.PAYMENT)
    return payment.model_copy(update={"applications": kept, "credits": ()})


def load(store: Store, connection: str) -> Book:
    """The book of a connection from the state, with each credit's applications moved to the credit memo itself."""
    t, x = schema.seen, schema.xref
    book = Book(connection)
    for row in store.rows(sa.select(t).where(t.c.connection == connection)):
        entity = Entity(row["entity"])
        book.held[(entity, row["native_id"])] = Held(
            entity,
            row["native_id"],
            record_of(row),
            row["version"],
            Existence(row["existence"]),
            row["error"],
            row["marker"],
            row["absent_as_of"] if row["existence"] == Existence.ABSENT.value else None,
        )
    active = sa.select(x).where(x.c.connection == connection, x.c.state == "active")
    for row in store.rows(active):
        book.subjects[(Entity(row["entity"]), row["native_id"])] = row["subject"]
        book.natives[row["subject"]] = row["native_id"]
        if '"from"' in row["evidence"]:
            book.came[row["subject"]] = loads(row["evidence"])["from"]
    _settle_credits(book)
    return book


def _settle_credits(book: Book) -> None:
    """Where a payment group says uniquely which credit paid which invoice, the credit memo carries that."""
    extra: dict[str, list[Application]] = {}
    for key, one in list(book.held.items()):
        payment = one.record
        if not isinstance(payment, Payment) or not payment.credits or one.existence is not Existence.LIVE:
            continue
        if payment.state is not PostingState.POSTED:
            continue
        split = settlements(payment)
        if split is None:
            continue
        for s in split:
            if s.source is Entity.CREDIT_MEMO:
                extra.setdefault(s.source_id, []).append(s.application)
        book.held[key] = replace(one, record=own_share(payment))
    for id, applications in extra.items():
        memo = book.held.get((Entity.CREDIT_MEMO, id))
        if memo is not None and isinstance(memo.record, CreditMemo):
            merged = (*memo.record.applications, *applications)
            _replace(book, (Entity.CREDIT_MEMO, id), {"applications": merged})


def _replace(book: Book, key: Key, update: Mapping[str, object]) -> None:
    one = book.held[key]
    assert one.record is not None
    record = one.record.model_copy(update=dict(update))
    book.held[key] = Held(one.entity, one.id, record, one.version, one.existence, one.error, one.marker)
