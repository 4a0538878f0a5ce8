"""What the memory books are made of: how they behave, what they hold, what reaches them and what they log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from tieout.connectors import Op
from tieout.model import (
    AnyRecord,
    Application,
    Credit,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Existence,
    Payment,
)

Clock = Callable[[], datetime]


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


def changed(record: AnyRecord, changes: Mapping[str, Any]) -> AnyRecord:
    """A checked copy; pydantic's own `model_copy` would let a float or a wrong name through."""
    return type(record).model_validate({**dict(record), **changes}) if changes else record


def existence_of(record: AnyRecord) -> Existence:
    return Existence.INACTIVE if isinstance(record, Customer) and not record.active else Existence.LIVE


def applications_of(record: AnyRecord) -> tuple[Application, ...]:
    return record.applications if isinstance(record, Payment | CreditMemo) else ()


def settled_by(record: AnyRecord | None) -> set[tuple[Entity, str, Application | Credit]]:
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
