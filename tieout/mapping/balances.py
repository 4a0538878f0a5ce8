"""What is open, as of any date: each document's share of receivables, from the records alone.

An application counts from the latest of its date, its payment's and its invoice's, until it is reversed or either end
is voided. An adjustment that concerns an invoice moves that invoice's open amount while both count. Where money and
credits settled invoices together and nothing says who paid whom, each still has a part of its own that is known. So the
sum over open items equals the sum over `model.effects`, in one currency, as of every date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Payment,
    PostingState,
    Settlement,
    effects,
    settlements,
)

Key = tuple[Entity, str]


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
    live: dict[Key, Document] = {
        (r.entity, r.ref.id): r for r in ledger if not isinstance(r, Customer) and counts(r, as_of)
    }
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
    for key, moved in _together(live, as_of):
        amounts[key] += moved
    return amounts


def _together(live: Mapping[Key, Document], as_of: date) -> Iterator[tuple[Key, Decimal]]:
    """What settlements of which nothing says who paid whom move, by document; each settlement moves zero in total."""
    members: dict[tuple[str | None, str, str, str, date], list[Payment | CreditMemo]] = defaultdict(list)
    for r in live.values():
        if isinstance(r, Payment) and settlements(r) is None:
            yield from _mixed(r, live, as_of)
        if isinstance(r, Payment | CreditMemo) and r.group and r.group.settled_on <= as_of:
            members[r.entity_code, r.customer, r.currency, r.group.id, r.group.settled_on].append(r)
    for same in members.values():
        used = [((r.entity, r.ref.id), r.group.amount) for r in same if r.group]
        paid = [((Entity.INVOICE, s.invoice), s.amount) for r in same if r.group for s in r.group.invoices]
        # With a member or an invoice that does not count, the rest does not balance, and settles nothing.
        if sum(a for _, a in used) == sum(a for _, a in paid) and all(key in live for key, _ in paid):
            yield from used
            yield from ((key, -amount) for key, amount in paid)


def _mixed(payment: Payment, live: Mapping[Key, Document], as_of: date) -> Iterator[tuple[Key, Decimal]]:
    """The parts of a payment that settles invoices together with credits: what they do not take, the money paid.

    Where one of the credits does not count, the payment shows more applied than it has: what it settled is stated.
    """
    paid = [
        a
        for a in payment.applications
        if a.applied_on <= as_of
        and (a.reversed_on is None or as_of < a.reversed_on)
        and _in_currency(live.get((Entity.INVOICE, a.invoice)), payment.currency)
    ]
    used = [c for c in payment.credits if _in_currency(live.get((Entity.CREDIT_MEMO, c.credit_memo)), payment.currency)]
    money = sum((a.amount for a in paid), ZERO) - sum((c.amount for c in used), ZERO)
    if money < 0:  # the credits were used for more than counts by then: nothing says for which part
        return
    yield (payment.entity, payment.ref.id), money
    yield from (((Entity.CREDIT_MEMO, c.credit_memo), c.amount) for c in used)
    yield from (((Entity.INVOICE, a.invoice), -a.amount_invoice) for a in paid)


def _in_currency(document: Document | None, currency: str) -> bool:
    return document is not None and document.currency == currency


def standing(record: Document, as_of: date) -> Iterable[Settlement]:
    """What the record applies and has not reversed, end of day `as_of`; a group that leaves it open states none."""
    return [
        s
        for s in settlements(record) or ()
        if s.application.applied_on <= as_of
        and (s.application.reversed_on is None or as_of < s.application.reversed_on)
    ]


def told(record: Document) -> tuple[Settlement, ...] | None:
    """`model.settlements`, each with the days on which it counts by what carries it; None if a group leaves it open.

    What a payment says of a credit memo counts from the payment's posting until its void; a draft says nothing of it.
    """
    stated = settlements(record)
    if not isinstance(record, Payment) or not record.credits or stated is None:
        return stated
    gone = ended(record)
    found = []
    for s in stated:
        if s.source is Entity.PAYMENT:
            found.append(s)
        elif record.state is not PostingState.DRAFT:
            a = s.application
            days = {
                "applied_on": max(a.applied_on, record.posted),
                "reversed_on": min((d for d in (a.reversed_on, gone) if d is not None), default=None),
            }
            found.append(Settlement(s.source, s.source_id, a.model_copy(update=days)))
    return tuple(found)
