"""What is open, as of any date: each document's share of receivables, from the records alone.

An application counts from the latest of its date, its payment's and its invoice's, until it is reversed or either end
is voided. An adjustment that concerns an invoice moves that invoice's open amount while both count. So the sum over
open items equals the sum over `model.effects`, in one currency, as of every date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    Customer,
    Document,
    Entity,
    PostingState,
    Settlement,
    effects,
    settlements,
)

Key = tuple[Entity, str]


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One document that is not settled. amount: signed, positive what the customer owes, in `currency`."""

    document: Document
    amount: Decimal
    currency: str


def ended(record: Document) -> date | None:
    """The first day on which a voided record no longer counts; None if it stands."""
    if record.state is not PostingState.VOIDED:
        return None
    return max(record.voided_on or record.posted, record.posted)


def counts(record: Document, as_of: date) -> bool:
    """Whether the record is posted, dated and not yet voided, end of day `as_of`."""
    gone = ended(record)
    return record.state is not PostingState.DRAFT and record.posted <= as_of and (gone is None or as_of < gone)


def effect(record: AnyRecord, as_of: date) -> Decimal:
    """The record's signed effect on receivables, end of day `as_of`, in its currency."""
    return sum((e.amount for e in effects(record) if e.on <= as_of), ZERO)


def open_receivables(ledger: Iterable[AnyRecord], as_of: date) -> dict[str, Decimal]:
    """Open receivables per currency by effects, end of day `as_of`; currencies without any effect are left out."""
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for record in ledger:
        for e in effects(record):
            if e.on <= as_of:
                totals[e.currency] += e.amount
    return dict(totals)


def open_amounts(ledger: Iterable[AnyRecord], as_of: date) -> dict[Key, Decimal]:
    """The signed open amount of every document that counts, end of day `as_of`; settled ones at zero.

    An application or adjustment whose other end is not in the ledger, or does not count, settles nothing.
    """
    live = {(r.entity, r.ref.id): r for r in ledger if not isinstance(r, Customer) and counts(r, as_of)}
    amounts = {key: effect(r, as_of) for key, r in live.items()}
    for record in live.values():
        for s in standing(record, as_of):
            source, target = (s.source, s.source_id), (Entity.INVOICE, s.application.invoice)
            if source in live and target in live:
                amounts[source] += s.application.amount
                amounts[target] -= s.application.amount_invoice
        about = (Entity.INVOICE, record.document or "") if isinstance(record, Adjustment) else None
        if about in live:
            own = (record.entity, record.ref.id)
            amounts[about] += amounts[own]
            amounts[own] = ZERO
    return amounts


def standing(record: Document, as_of: date) -> Iterable[Settlement]:
    """What the record applies and has not reversed, end of day `as_of`; a group that leaves it open states none."""
    return [
        s
        for s in settlements(record) or ()
        if s.application.applied_on <= as_of
        and (s.application.reversed_on is None or as_of < s.application.reversed_on)
    ]


def open_items(ledger: Iterable[AnyRecord], as_of: date) -> list[OpenItem]:
    """The documents with an open amount, end of day `as_of`, by customer, date and id."""
    kept = list(ledger)
    amounts = open_amounts(kept, as_of)
    items = [
        OpenItem(r, amounts[r.entity, r.ref.id], r.currency)
        for r in kept
        if not isinstance(r, Customer) and amounts.get((r.entity, r.ref.id))
    ]
    return sorted(items, key=lambda i: (i.document.customer, i.document.posted, i.document.entity, i.document.ref.id))


def open_amount(document: Document, ledger: Iterable[AnyRecord], as_of: date) -> Decimal:
    """The signed open amount of one document of the ledger; zero if it does not count. For many, `open_amounts`."""
    return open_amounts(ledger, as_of).get((document.entity, document.ref.id), ZERO)
