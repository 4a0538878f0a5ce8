"""What a connector's author supplies (`Harness`), and the helpers that the checks share (`Bench`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from tieout.connectors import Capabilities, Connector, Observation, Op, Pull
from tieout.errors import RecordError
from tieout.model import AnyRecord, Entity, Existence, Invoice, PostingState


class Trouble(StrEnum):
    """What a harness makes its system do to every request while the trouble lasts.

    LOST_ANSWER: writes are carried out, their answers never arrive
    THROTTLED: everything is refused with "slow down" and not carried out
    BROKEN: everything is answered with the system's internal error, and nothing is carried out
    BROKEN_PAGE: the first page of a list arrives, a later one fails (a file: it ends in the middle of a row)
    SHORT_LIST: a list arrives without error, but lacks records that the system holds (a file: fewer rows than declared)
    """

    LOST_ANSWER = "lost_answer"
    THROTTLED = "throttled"
    BROKEN = "broken"
    BROKEN_PAGE = "broken_page"
    SHORT_LIST = "short_list"


class Harness(Protocol):
    """One fresh company of the system under test, held from both ends: the connector's, and the users' of that system.

    page_size: records per page (or file part) of the connector as opened; keep it small, the checks cross it
    canaries: secrets that `open` gives to the connector; they must show up nowhere. Empty: it needs no credentials
    editable: per entity a canonical text field that a user can change, and that the connector maps
    voidable: what users of the system can void, through the connector or not
    """

    page_size: int
    canaries: tuple[str, ...]
    editable: Mapping[Entity, str]
    voidable: frozenset[Entity]

    def open(self, wrong: Literal["company", "credentials"] | None = None) -> Connector:
        """A new connector on the company; `wrong`: expecting another company, or with credentials it must refuse."""
        ...

    def sample(self, entity: Entity, n: int, *, customer_id: str = "", invoice_id: str = "") -> AnyRecord:
        """The `n`-th distinct, plain record that this system can hold in full, in each field that is declared.

        A payment applies part of itself to `invoice_id`, if given. `tieout.testing.samples.sample` is a start.
        """
        ...

    def put(self, record: AnyRecord) -> str:
        """Enter a record as a user of the system does; returns its native id."""
        ...

    def edit(self, entity: Entity, id: str, **changes: Any) -> None:
        """Change canonical fields (those in `editable`, and a customer's `active`) as a user does."""
        ...

    def void(self, entity: Entity, id: str) -> None: ...

    def delete(self, entity: Entity, id: str) -> None: ...

    def count(self, entity: Entity) -> int:
        """Ground truth: records in the system, voided and inactive ones included, deleted ones not."""
        ...

    def unmapped(self, entity: Entity, id: str) -> Mapping[str, Any]:
        """Ground truth: native fields that no canonical field maps, set to something by `put`. Never empty."""
        ...

    def received(self) -> int:
        """How many write requests have reached the system, whatever became of them (a file: rows handed over)."""
        ...

    def corrupt(self, entity: Entity, id: str) -> None:
        """Make one record unreadable (a date that is none), and leave the others alone."""
        ...

    def close_books(self, through: date) -> None: ...

    def trouble(self, kind: Trouble) -> AbstractContextManager[None]: ...

    def advance(self, seconds: float) -> None:
        """Move the clock of the system and of its connectors."""
        ...

    def exchange(self) -> None:
        """For systems that speak in files: load what was handed over and export again. Others do nothing."""
        ...


class ContractBroken(AssertionError):
    """The connector breaks its contract; the message says what it did instead."""


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise ContractBroken(message)


@contextmanager
def raises(*kinds: type[BaseException], doing: str) -> Iterator[None]:
    """One of `kinds` must be raised within."""
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        yield
    except kinds:
        return
    except ContractBroken:
        raise
    except Exception as error:
        raise ContractBroken(f"{doing} raised {type(error).__name__} ({error}), not {names}") from error
    raise ContractBroken(f"{doing} raised nothing, {names} was due")


def key(*parts: object) -> str:
    """A key as the engine makes them: 32 letters and digits."""
    return sha256("|".join(map(str, parts)).encode()).hexdigest()[:32].upper()


def marker(*parts: object) -> str:
    """A marker as the engine makes them."""
    return f"TO{key(*parts)[:12]}"


def difference(wanted: AnyRecord, held: AnyRecord, fields: Sequence[str] | frozenset[str]) -> str:
    """The first of `fields` that differ, in words; "" if none does."""
    for name in sorted(fields):
        if getattr(wanted, name) != getattr(held, name):
            return f"{name} is {getattr(held, name)!r}, not {getattr(wanted, name)!r}"
    return ""


_WITHOUT_FLOATS = frozenset({str, int, bool, type(None), Decimal, date, datetime})


def floats_in(value: object, path: str = "") -> list[str]:
    """Paths of all floats in a record or payload."""
    if type(value) in _WITHOUT_FLOATS:  # most of what there is, and each pattern below costs a look at its class
        return []
    match value:
        case float():
            return [path]
        case BaseModel():
            return [p for name in type(value).model_fields for p in floats_in(getattr(value, name), f"{path}.{name}")]
        case list() | tuple():
            return [p for at, item in enumerate(value) for p in floats_in(item, f"{path}[{at}]")]
        case Mapping():
            return [p for name, item in value.items() for p in floats_in(item, f"{path}.{name}")]
        case _:
            return []


DEPENDENCY_ORDER = tuple(Entity)


class Bench:
    """A harness, a connector opened on it, and the short ways of using them."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.connector = harness.open()
        self.caps: Capabilities = self.connector.capabilities
        self._customer = ""
        self._invoices = 0
        self._runs = 0

    # --- what there is to check

    def readable(self) -> list[Entity]:
        return [e for e in DEPENDENCY_ORDER if e in self.caps.reads]

    def able(self, *ops: Op) -> list[Entity]:
        """Entities that are read and take all of these operations."""
        return [e for e in self.readable() if all(self.caps.can(e, op) for op in ops)]

    def document(self, *ops: Op) -> Entity | None:
        """The first entity but customers that takes these operations."""
        return next((e for e in self.able(*ops) if e is not Entity.CUSTOMER), None)

    def fields(self, entity: Entity) -> frozenset[str]:
        return self.caps.fields.get(entity, frozenset())

    # --- the users' end

    def customer(self) -> str:
        if not self._customer:
            self._customer = self.harness.put(self.harness.sample(Entity.CUSTOMER, 90))
        return self._customer

    def sample(self, entity: Entity, n: int) -> AnyRecord:
        """A sample with what it refers to already in the books; a payment or adjustment has an invoice of its own."""
        if entity is Entity.CUSTOMER:
            return self.harness.sample(entity, n)
        customer, invoice = self.customer(), ""
        if entity in (Entity.PAYMENT, Entity.ADJUSTMENT) and self.caps.states_applications:
            self._invoices += 1
            invoice = self.harness.put(self.harness.sample(Entity.INVOICE, 50 + self._invoices, customer_id=customer))
        self.harness.exchange()
        return self.harness.sample(entity, n, customer_id=customer, invoice_id=invoice)

    def put(self, entity: Entity, n: int) -> str:
        id = self.harness.put(self.sample(entity, n))
        self.harness.exchange()
        return id

    def edit(self, entity: Entity, id: str, text: str) -> None:
        self.harness.edit(entity, id, **{self.harness.editable[entity]: text})
        self.harness.exchange()

    # --- the connector's end

    def pull(self, entity: Entity, cursor: str | None = None) -> tuple[dict[str, Observation], Pull]:
        """All observations by id, after checking that each is in order and none comes twice. Starts as a run does."""
        self.connector.company()
        pull = self.connector.pull(entity, cursor)
        found: dict[str, Observation] = {}
        for seen in pull:
            expect(seen.id not in found, f"pull of {entity} yields {seen.id!r} twice")
            self.orderly(seen, entity)
            found[seen.id] = seen
        expect(not pull.complete or bool(pull.proof), f"pull of {entity} claims to be complete without a proof")
        return found, pull

    def orderly(self, seen: Observation, entity: Entity) -> None:
        """Whether one observation is consistent in itself."""
        where = f"{entity} {seen.id!r}"
        expect(seen.entity is entity, f"{where} is observed as {seen.entity}")
        expect(bool(seen.id), f"a {entity} is observed without an id")
        if self.caps.versioned and seen.existence is not Existence.DELETED:
            expect(seen.version is not None, f"{where} has no version, though versions are claimed")
        expect(not floats_in(seen.raw), f"{where}: float in the payload at {floats_in(seen.raw)[:1]}")
        if isinstance(seen.record, RecordError):
            return
        if seen.record is None:
            expect(seen.existence is Existence.DELETED, f"{where} has no record and is not a tombstone")
            return
        expect(not floats_in(seen.record), f"{where}: float in the record at {floats_in(seen.record)[:1]}")
        ref = seen.record.ref
        expect(seen.record.entity is entity, f"{where} carries a {seen.record.entity}")
        expect((ref.connection, ref.id) == (self.connector.name, seen.id), f"{where} carries the ref {ref}")
        expect(ref.version == seen.version, f"{where}: version {seen.version!r} outside, {ref.version!r} inside")

    def all(self, entity: Entity) -> dict[str, Observation]:
        return self.pull(entity)[0]

    def look(self, entity: Entity, id: str) -> Observation:
        """One record as it is now: by id, or from a list where the system has no reading by id."""
        if self.caps.by_id:
            seen = self.connector.get(entity, id)
            self.orderly(seen, entity)
            expect(seen.id == id, f"get of {entity} {id!r} answers {seen.id!r}")
            return seen
        found = self.all(entity)
        expect(id in found, f"{entity} {id!r} is not in the list")
        return found[id]

    def record(self, entity: Entity, id: str) -> AnyRecord:
        held = self.look(entity, id).record
        if held is None or isinstance(held, RecordError):
            raise ContractBroken(f"{entity} {id!r} reads as {held}")
        return held

    def create(self, record: AnyRecord, key: str, marker: str) -> Observation:
        """Create, hand over if need be, and read back: by the id of the answer, or by marker where it has none."""
        written = self.connector.create(record, key=key, marker=marker)
        expect(written.pending is not self.caps.synchronous, "an answer is pending exactly where writes are buffered")
        if not written.pending:
            expect(bool(written.id), f"the create of a {record.entity} answers no id")
            return self.look(record.entity, written.id)
        self.hand_over()
        mine = [o for o in self.all(record.entity).values() if _marker_of(o) == marker]
        expect(len(mine) == 1, f"{len(mine)} {record.entity} carry the marker {marker} after the import")
        return mine[0]

    def hand_over(self) -> None:
        self._runs += 1
        paths = self.connector.flush(run=f"run{self._runs}")
        expect(bool(paths) or self.caps.synchronous, "flush hands over nothing, though writes were pending")
        self.harness.exchange()

    def update(self, record: AnyRecord, before: Observation, key: str) -> Observation:
        self._finish(self.connector.update(record, before=before, key=key).pending)
        return self.look(before.entity, before.id)

    def void(self, before: Observation, key: str) -> Observation:
        self._finish(self.connector.void(before, key=key).pending)
        return self.look(before.entity, before.id)

    def _finish(self, pending: bool) -> None:
        expect(pending is not self.caps.synchronous, "an answer is pending exactly where writes are buffered")
        if pending:
            self.hand_over()

    def changed(self, held: AnyRecord, text: str) -> AnyRecord:
        """The record with another text in the field that a user can edit."""
        return held.model_copy(update={self.harness.editable[held.entity]: text})

    def open(self, invoice: str) -> Decimal:
        """What the system reports as open of an invoice."""
        held = self.record(Entity.INVOICE, invoice)
        assert isinstance(held, Invoice)
        if held.reported_open is None:
            raise ContractBroken(f"open amounts are claimed, but invoice {invoice!r} states none")
        return held.reported_open

    def voided(self, record: AnyRecord) -> bool:
        return getattr(record, "state", None) is PostingState.VOIDED


def _marker_of(seen: Observation) -> str | None:
    return None if seen.record is None or isinstance(seen.record, RecordError) else seen.record.marker
