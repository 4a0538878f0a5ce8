"""One side of a pair as the state knows it: what is there, and each record when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from tieout.errors import RecordError
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Existence,
    Invoice,
    Payment,
    PostingState,
    settlements,
    sign,
    type_of,
)
from tieout.sync import schema
from tieout.sync.core.facts import Shared, UnknownReferenceError, share
from tieout.sync.state.seen import known_of, record_of
from tieout.sync.store import Store, batched, loads

Key = tuple[Entity, str]
ALIVE = (Existence.LIVE, Existence.INACTIVE)
NEAR = 1_000  # records that are kept at hand at a time
_GROUPED = '"credits":[{'  # as it stands in the JSON of a payment that is grouped with credits
STATED = '"stated_by_source":true'  # likewise, of a payment that a source only states


class Sight(NamedTuple):
    """What the state says of a record without reading it.

    hash: digest of the record as it last could be read, None if it never could · error: as in `Held`
    absences: complete reads that missed it · dropped: as in `Held`
    """

    version: str | None
    existence: Existence
    hash: str | None
    error: str | None
    marker: str | None
    absences: int
    dropped: str | None


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


class Records:
    """The records of one connection by (entity, native id), each read from the state when it is asked for.

    sights: all there are in the state, in the order of their keys · changed: those that this run knows otherwise
    edits: how often one was changed
    """

    def __init__(self, store: Store | None, connection: str, sights: dict[Key, Sight]) -> None:
        self.store, self.connection, self.sights = store, connection, sights
        self.changed: dict[Key, Held] = {}
        self.edits = 0
        self._near: dict[Key, Held] = {}

    def __getitem__(self, key: Key) -> Held:
        held = self.get(key)
        if held is None:
            raise KeyError(key)
        return held

    def __setitem__(self, key: Key, held: Held) -> None:
        self.changed[key] = held
        self.edits += 1

    def __contains__(self, key: Key) -> bool:
        return key in self.changed or key in self.sights

    def get(self, key: Key) -> Held | None:
        if key in self.changed:
            return self.changed[key]
        if key not in self._near and key in self.sights:
            self.bring([key])
        return self._near.get(key)

    def bring(self, keys: Iterable[Key]) -> None:
        """Read these records at once, to have them at hand; those brought before are let go when they are many."""
        wanted: dict[Entity, list[str]] = {}
        for entity, id in keys:
            if (entity, id) in self.sights and (entity, id) not in self.changed:
                wanted.setdefault(entity, []).append(id)
        if len(self._near) + sum(map(len, wanted.values())) > NEAR:
            self._near.clear()
        for entity, ids in wanted.items():
            assert self.store is not None
            for id, row in known_of(self.store, self.connection, entity, ids).items():
                self._near[(entity, id)] = held_of(row)


@dataclass(slots=True)
class Book:
    """All records of one connection. `subjects` maps (entity, native id) to the subject, `natives` the way back.

    came: subject → the connection that its record here was made from, for those that tieout wrote
    stated: the payments that the source only states
    """

    connection: str
    held: Records
    subjects: dict[Key, str] = field(default_factory=dict)
    natives: dict[str, str] = field(default_factory=dict)
    came: dict[str, str] = field(default_factory=dict)
    stated: frozenset[Key] = frozenset()

    def standing(self) -> Iterator[Key]:
        """Keys of readable records that exist, and are more than the application of a credit."""
        yield from (key for key in self.held.sights if self.stands(key))
        yield from (key for key in self.held.changed if key not in self.held.sights and self.stands(key))

    def marker_of(self, key: Key) -> str | None:
        """Our mark on a record, None if it carries none."""
        one = self.held.changed.get(key)
        return one.marker if one is not None else self.held.sights[key].marker

    def live(self) -> Iterator[Held]:
        """The records of `standing`. Reads all of them: what needs only a few asks for those."""
        for some in batched(self.standing(), NEAR // 2):
            self.held.bring(some)
            for key in some:
                yield self.held[key]

    def stands(self, key: Key) -> bool:
        """Whether a key is among `standing`."""
        one, sight = self.held.changed.get(key), self.held.sights.get(key)
        if one is not None:
            return one.record is not None and one.existence in ALIVE and not groups(one)
        return sight is not None and sight.hash is not None and sight.existence in ALIVE

    def alive(self, subject: str) -> bool:
        """Whether a record of the subject exists here that is more than the application of a credit."""
        key = self.key_of(subject)
        return key is not None and self.alive_at(key)

    def alive_at(self, key: Key) -> bool:
        """The same, of the record under a key."""
        one = self.held.changed.get(key)
        if one is not None:
            return one.existence in ALIVE and not groups(one)
        sight = self.held.sights.get(key)
        return sight is not None and sight.existence in ALIVE

    def gone(self, subject: str) -> bool:
        """Whether the subject had a record here that was deleted."""
        key = self.key_of(subject)
        one = self.held.changed.get(key) or self.held.sights.get(key) if key is not None else None
        return one is not None and one.existence is Existence.DELETED

    def lacks(self, subject: str) -> bool:
        """Whether the newest complete list lacks a record that was there: it is gone, or may be."""
        key = self.key_of(subject)
        if key is None or key in self.held.changed or (sight := self.held.sights.get(key)) is None:
            return False
        return self.gone(subject) or (sight.existence in ALIVE and sight.absences > 0)

    def key_of(self, subject: str) -> Key | None:
        """The key of the subject's record here, None if there is none."""
        native = self.natives.get(subject)
        if native is None:
            return None
        return next((key for e in Entity if self.subjects.get(key := (e, native)) == subject), None)

    def open_on(self, day: str) -> Iterator[Held]:
        """Records that a list of open items shows no more, but that it may have shown on that day."""
        for key, sight in self.held.sights.items():
            if sight.existence is Existence.ABSENT and sight.hash and day < (sight.dropped or "/").split("/")[1]:
                yield self.held[key]

    def unreadable(self) -> list[RecordError]:
        """Why each record that exists but cannot be read now cannot."""
        return [RecordError(**loads(s.error)) for _, s in self._bad() if s.error is not None]

    def never_read(self) -> list[Key]:
        """The records that exist and could not be read yet: what was read once has its subject."""
        return [key for key, _ in self._bad() if key not in self.subjects]

    def _bad(self) -> Iterator[tuple[Key, Sight]]:
        for key, sight in self.held.sights.items():
            if sight.error is not None and sight.existence is not Existence.DELETED:
                yield key, sight

    def known_as(self, error: RecordError) -> str | None:
        """What people call a record that cannot be read now: its number when it last could be, else its id."""
        kinds = (e for e in Entity if error.ref is not None and e.value == error.entity)
        held = next((self.held.get((e, error.ref or "")) for e in kinds), None)
        return (held.number if held is not None else None) or error.ref

    def subject_of(self, entity: Entity, id: str) -> str | None:
        return self.subjects.get((entity, id))

    def ids_in(self, entity: Entity, told: str) -> tuple[str, ...]:
        """The native ids in what a comparison names: one, or several that stand joined by a comma."""
        return (told,) if (entity, told) in self.subjects else tuple(told.split(", "))

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

    def lines(self, entity: Entity) -> Iterator[str]:
        """The JSON of each standing record of a kind that is as the state has it, in the order of their ids."""
        if self.held.store is None:
            return
        changed = self.held.changed
        for id, record in self.held.store.stream(_STANDING, connection=self.connection, entity=entity.value):
            if (entity, id) not in changed:
                yield record

    def moving(self) -> Iterator[Document]:
        """The documents that stand, with no more than what `effects` and the account they are on depend on."""
        for entity in Entity:
            for one in map(_MOVING.decode, self.lines(entity)) if entity is not Entity.CUSTOMER else ():
                known = {name: getattr(one, name) for name in one.__struct_fields__}
                yield type_of[entity].model_construct(None, **known)  # type: ignore[misc]
        for key, held in self.held.changed.items():
            if self.stands(key) and not isinstance(held.record, Customer | None):
                yield held.record

    def paid(self) -> set[str]:
        """The invoices that something real stands against: a payment or a credit that is more than stated."""
        found: set[str] = set()
        for entity in (Entity.CREDIT_MEMO, Entity.PAYMENT):
            for line in self.lines(entity):
                money = _MONEY.decode(line)
                if money.state == PostingState.POSTED.value and STATED not in line:
                    found |= {a.invoice for a in money.applications if a.reversed_on is None}
        for key, one in self.held.changed.items():
            if key not in self.stated and self.stands(key) and getattr(one.record, "state", "") is PostingState.POSTED:
                found |= standing(one.record).keys()
        return found

    def room(self) -> dict[str, Decimal]:
        """What each invoice can still take, by native id: its total less all that stands against it, write-offs too."""
        open_: dict[str, Decimal] = {}
        for owed in map(_OWED.decode, self.lines(Entity.INVOICE)):
            if owed.state == PostingState.POSTED.value:
                open_[owed.ref.id] = owed.total - owed.deposit_applied
        own = [one for key in self.standing() if (one := self.held.changed.get(key)) is not None]
        for one in own:
            record = one.record
            if isinstance(record, Invoice) and record.state is PostingState.POSTED:
                open_[one.id] = record.total - record.deposit_applied
        for entity in (Entity.CREDIT_MEMO, Entity.PAYMENT, Entity.ADJUSTMENT):
            for money in map(_MONEY.decode, self.lines(entity)):
                if money.state == PostingState.POSTED.value:
                    _take(open_, money.applications, money.group)
                    if money.document in open_ and money.amount is not None:
                        open_[money.document] += money.amount if money.side == "debit" else -money.amount
        for one in own:
            record = one.record
            if getattr(record, "state", None) is not PostingState.POSTED:
                continue
            if isinstance(record, Adjustment) and record.document in open_:
                open_[record.document] += sign(record) * record.amount
            _take(open_, getattr(record, "applications", ()), getattr(record, "group", None))
        return open_


_STANDING = (
    sa.select(schema.seen.c.native_id, schema.seen.c.record)
    .where(
        schema.of_entity(schema.seen),
        schema.seen.c.existence.in_([e.value for e in ALIVE]),
        schema.seen.c.record.is_not(None),
    )
    .order_by(schema.seen.c.native_id)
)


class _Ref(msgspec.Struct):
    id: str


class _Owed(msgspec.Struct):
    """Of an invoice, what its room depends on."""

    ref: _Ref
    state: str
    total: Decimal
    deposit_applied: Decimal


class _Part(msgspec.Struct):
    invoice: str
    amount_invoice: Decimal
    reversed_on: str | None = None


class _Share(msgspec.Struct):
    invoice: str
    amount: Decimal


class _Group(msgspec.Struct):
    invoices: list[_Share] = []


class _Money(msgspec.Struct):
    """Of anything else, what it takes of invoices; document, side and amount say so of an adjustment."""

    state: str
    applications: list[_Part] = []
    group: _Group | None = None
    document: str | None = None
    side: str | None = None
    amount: Decimal | None = None


class _Moving(msgspec.Struct):
    """Of any document, what its effects and its account depend on; it was validated before it was stored."""

    ref: _Ref
    customer: str
    posted: date
    currency: str
    state: PostingState
    voided_on: date | None
    ar_account: str | None
    total: Decimal | None = None
    deposit_applied: Decimal | None = None
    amount: Decimal | None = None
    side: str | None = None


_MOVING = msgspec.json.Decoder(_Moving, float_hook=Decimal)
_OWED = msgspec.json.Decoder(_Owed, float_hook=Decimal)
_MONEY = msgspec.json.Decoder(_Money, float_hook=Decimal)


def _take(open_: dict[str, Decimal], applications: Iterable[Any], group: Any) -> None:
    for a in applications:
        if a.reversed_on is None and a.invoice in open_:
            open_[a.invoice] -= a.amount_invoice
    for part in group.invoices if group is not None else ():
        if part.invoice in open_:
            open_[part.invoice] -= part.amount


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


def held_of(row: dict[str, Any]) -> Held:
    """A row of `seen`, with its record."""
    return Held(
        Entity(row["entity"]),
        row["native_id"],
        record_of(row),
        row["version"],
        Existence(row["existence"]),
        row["error"],
        row["marker"],
        row["absent_as_of"] if row["existence"] == Existence.ABSENT.value else None,
    )


_SEEN, _XREF = schema.seen.c, schema.xref.c
_SIGHTS = (
    sa.select(
        *(_SEEN[name] for name in ("entity", "native_id", "version", "existence", "record_hash", "error", "marker")),
        *(_SEEN.absences, _SEEN.absent_as_of),
    )
    .where(_SEEN.connection == sa.bindparam("connection"))
    .order_by(_SEEN.entity, _SEEN.native_id)
)
_SUBJECTS = sa.select(_XREF.entity, _XREF.native_id, _XREF.subject, _XREF.evidence).where(
    _XREF.connection == sa.bindparam("connection"), schema.ACTIVE
)
_GROUPED_PAYMENTS = sa.select(schema.seen).where(
    schema.of_entity(schema.seen), _SEEN.record.contains(_GROUPED, autoescape=True)
)
_STATED_PAYMENTS = sa.select(_SEEN.native_id).where(
    schema.of_entity(schema.seen), _SEEN.record.contains(STATED, autoescape=True)
)


def load(store: Store, connection: str) -> Book:
    """The book of a connection from the state, with each credit's applications moved to the credit memo itself."""
    kinds, states = {e.value: e for e in Entity}, {e.value: e for e in Existence}
    sights: dict[Key, Sight] = {}
    for entity, id, version, existence, hash, error, marker, absences, day in store.stream(
        _SIGHTS, connection=connection
    ):
        state = states[existence]
        dropped = day if state is Existence.ABSENT else None
        sights[(kinds[entity], id)] = Sight(version, state, hash, error, marker, absences, dropped)
    book = Book(connection, Records(store, connection, sights))
    known = {key: key for key in sights}
    for entity, id, subject, evidence in store.stream(_SUBJECTS, connection=connection):
        key = (kinds[entity], id)
        key = known.get(key, key)
        book.subjects[key] = subject
        book.natives[subject] = key[1]
        if '"from"' in evidence:
            book.came[subject] = sys.intern(loads(evidence)["from"])
    payments = {"connection": connection, "entity": Entity.PAYMENT.value}
    _settle_credits(book, [held_of(row) for row in store.rows(_GROUPED_PAYMENTS, **payments)])
    book.stated = frozenset((Entity.PAYMENT, id) for (id,) in store.stream(_STATED_PAYMENTS, **payments))
    book.held.edits = 0
    return book


def _settle_credits(book: Book, payments: Iterable[Held]) -> None:
    """Where a payment group says uniquely which credit paid which invoice, the credit memo carries that.

    payments: those grouped with credits, which stay at hand
    """
    extra: dict[str, list[Application]] = {}
    for one in sorted(payments, key=lambda p: p.id):
        payment, key = one.record, (one.entity, one.id)
        if not isinstance(payment, Payment) or not payment.credits:
            continue
        book.held[key] = one
        if one.existence is not Existence.LIVE or payment.state is not PostingState.POSTED:
            continue
        split = settlements(payment)
        if split is None:
            continue
        for s in split:
            if s.source is Entity.CREDIT_MEMO:
                extra.setdefault(s.source_id, []).append(s.application)
        book.held[key] = replace(one, record=own_share(payment))
    book.held.bring((Entity.CREDIT_MEMO, id) for id in extra)
    for id, applications in extra.items():
        memo = book.held.get((Entity.CREDIT_MEMO, id))
        if memo is not None and isinstance(memo.record, CreditMemo):
            merged = (*memo.record.applications, *applications)
            _replace(book, (Entity.CREDIT_MEMO, id), {"applications": merged})


def _replace(book: Book, key: Key, update: Mapping[str, object]) -> None:
    one = book.held[key]
    assert one.record is not None
    book.held[key] = replace(one, record=one.record.model_copy(update=dict(update)))
