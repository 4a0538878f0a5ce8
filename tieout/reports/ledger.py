"""What reports on receivables start from: one side's documents, what is open of each as of a day, and who owes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from tieout.mapping.balances import Key, counts, effect, ended, open_amounts
from tieout.model import (
    ZERO,
    Adjustment,
    AdjustmentKind,
    CreditMemo,
    Customer,
    Document,
    Effect,
    Entity,
    Invoice,
    Payment,
    effects,
    exponent,
    magnitude,
    sign,
)
from tieout.reports.books import Books

_SPELT = {AdjustmentKind.WRITE_OFF: "write-off"}
KINDS = {
    Entity.INVOICE: "invoice",
    Entity.CREDIT_MEMO: "credit memo",
    Entity.PAYMENT: "payment",
}


@dataclass(frozen=True, slots=True)
class Party:
    """A customer as one side knows it. key: the same for the other side's record of it · name, number: for people"""

    key: str
    id: str
    number: str
    name: str

    @property
    def order(self) -> tuple[str, str]:
        return self.name.casefold(), self.key


@dataclass(frozen=True, slots=True)
class Item:
    """A document that is not settled. amount: signed, positive what the customer owes, in the document's currency

    base: the same in home currency at the document's rate, rounded half up; None where no rate is stated
    """

    document: Document
    amount: Decimal
    base: Decimal | None
    party: Party

    @property
    def currency(self) -> str:
        return self.document.currency

    @property
    def unapplied(self) -> bool:
        """Whether it is money or credit that stands against no invoice, or was given back: it has no age of its own.

        So does what a customer was credited beyond an invoice.
        """
        return self.cash or isinstance(self.document, CreditMemo) or self.amount < 0

    @property
    def cash(self) -> bool:
        """Whether it is money that stands against no invoice, received or given back."""
        match self.document:
            case Payment() | Adjustment(kind=AdjustmentKind.REFUND | AdjustmentKind.DEPOSIT):
                return True
            case _:
                return False

    @property
    def order(self) -> tuple[str, tuple[str, str], date, str]:
        return self.currency, self.party.order, self.document.posted, self.document.ref.id


class Subledger:
    """One side of a report: its receivables by customer and document."""

    def __init__(self, books: Books) -> None:
        self.books, self.name, self.home = books, books.name, books.home
        self.customers = {r.ref.id: r for r in books.records if isinstance(r, Customer)}
        self.documents: list[Document] = [r for r in books.records if not isinstance(r, Customer)]
        self.by_key: dict[Key, Document] = {(r.entity, r.ref.id): r for r in self.documents}
        self._items: dict[date, list[Item]] = {}

    def party(self, customer: str) -> Party:
        """The customer of that id; one that the books do not list is called by its id."""
        key = self.books.links.get((Entity.CUSTOMER, customer), f"{self.name}/{customer}")
        known = self.customers.get(customer)
        if known is None:
            return Party(key, customer, "", customer)
        return Party(key, customer, known.number or known.ref.number or "", known.name)

    def base(self, amount: Decimal, document: Document) -> Decimal | None:
        """The amount of a document in home currency at its own rate; None where it states none."""
        if self.home is None:
            return None
        if document.currency == self.home:
            return amount
        if document.exchange_rate is None:
            return None
        return (amount * document.exchange_rate).quantize(Decimal(1).scaleb(-exponent(self.home)), ROUND_HALF_UP)

    @property
    def foreign(self) -> bool:
        """Whether there is anything in another than the home currency, and a home currency to show it in."""
        return self.home is not None and any(r.currency != self.home for r in self.documents)

    def moves(self, document: Document) -> tuple[Effect, ...]:
        """The dated effects of a document; in a list of open items, of what is open of it only."""
        if not self.books.open_only:
            return effects(document)
        listed = sign(document) * _listed(document)
        whole = sign(document) * _whole(document)
        return tuple(
            Effect(e.on, listed if e.amount == whole else -listed, e.currency, e.customer, e.entity, e.document)
            for e in effects(document)
        )

    def amounts(self, as_of: date) -> dict[Key, Decimal]:
        """The signed open amount of each document that counts, end of day `as_of`; settled ones at zero."""
        if not self.books.open_only:
            return open_amounts(self.documents, as_of)
        return {(r.entity, r.ref.id): sign(r) * _listed(r) for r in self.documents if counts(r, as_of)}

    def items(self, as_of: date) -> list[Item]:
        """The documents with an open amount, end of day `as_of`, by currency, customer, date and id."""
        if as_of not in self._items:
            self._items[as_of] = self._open(as_of)
        return self._items[as_of]

    def _open(self, as_of: date) -> list[Item]:
        found = [
            Item(r, amount, self.base(amount, r), self.party(r.customer))
            for key, amount in self.amounts(as_of).items()
            if amount
            for r in (self.by_key[key],)
        ]
        return sorted(found, key=lambda i: i.order)

    def totals(self, as_of: date) -> dict[str, Decimal]:
        """Open receivables per currency by the effects of the documents alone; applications across currencies move it.

        The figure that a sum over items has to give, found another way.
        """
        return summed((*self.by_effects(as_of).items(), *self.crossing(as_of).items()))

    def by_effects(self, as_of: date) -> dict[str, Decimal]:
        """The same without what applications across currencies move, which no effect of a document shows."""
        return summed((e.currency, e.amount) for r in self.documents for e in self.moves(r) if e.on <= as_of)

    def crossing(self, as_of: date) -> dict[str, Decimal]:
        """What applications across currencies add to each, end of day `as_of`: no effect of a document shows it."""
        sums = summed((t.currency, t.amount) for t in self.transfers() if t.on <= as_of)
        return {currency: amount for currency, amount in sums.items() if amount}

    def transfers(self) -> Iterator[Effect]:
        """What settlements move between customers or currencies, by document and day: no effect of one shows it."""
        for r in () if self.books.open_only else self.documents:
            others = self._settled_with(r)
            if any((o.customer, o.currency) != (r.customer, r.currency) for o in others):
                yield from _transfer(r, others)

    def _settled_with(self, r: Document) -> list[Document]:
        """The documents of the books that a payment, credit memo or adjustment is set against, or settles with."""
        keys: list[Key] = []
        match r:
            case Payment() | CreditMemo():
                keys = [(Entity.INVOICE, a.invoice) for a in r.applications]
                keys += [(Entity.CREDIT_MEMO, c.credit_memo) for c in r.credits] if isinstance(r, Payment) else []
            case Adjustment(document=str(told)):
                keys = [(Entity.INVOICE, told)]
            case _:
                pass
        return [self.by_key[key] for key in dict.fromkeys(keys) if key in self.by_key]


def _transfer(source: Document, others: Sequence[Document]) -> Iterator[Effect]:
    """What one settlement adds to each document beside its effects, on each day on which that changes."""
    alone = [_alone(source, own=True), *(_alone(o, own=False) for o in others)]
    days = {d for r in alone for d in (r.posted, ended(r)) if d}
    if isinstance(source, Payment | CreditMemo):
        days |= {d for a in source.applications for d in (a.applied_on, a.reversed_on) if d}
    before: dict[Key, Decimal] = {}
    for day in sorted(days):
        amounts = open_amounts(alone, day)
        for r in alone:
            key = r.entity, r.ref.id
            now = amounts.get(key, ZERO) - effect(r, day)
            moved = now - before.get(key, ZERO)
            before[key] = now
            if moved:
                yield Effect(day, moved, r.currency, r.customer, r.entity, r.ref.id)


def _alone(r: Document, *, own: bool) -> Document:
    """The document without what it settles besides."""
    match r:
        case Payment():
            return r.model_copy(update={"group": None})
        case CreditMemo():
            return r.model_copy(update={"group": None} if own else {"group": None, "applications": ()})
        case _:
            return r


def summed(parts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for currency, amount in parts:
        sums[currency] += amount
    return dict(sums)


def _whole(document: Document) -> Decimal:
    """The full amount of a document as it moves receivables, positive."""
    return magnitude(document) - (document.deposit_applied if isinstance(document, Invoice) else ZERO)


def _listed(document: Document) -> Decimal:
    """What a list of open items says is open of a document, positive; its full amount where it says nothing."""
    match document:
        case Invoice() | CreditMemo():
            told = document.reported_open
        case Payment():
            told = document.reported_unapplied
        case Adjustment():
            told = None
    return _whole(document) if told is None else told


def dues(document: Document, amount: Decimal) -> list[tuple[date | None, Decimal]]:
    """What is open of a document by the day it falls due, earliest first; None where no day is stated.

    What was paid on instalments is taken from the earliest first, as no system says otherwise. What is open beyond
    all instalments falls due with the first. An adjustment has no term: it is due on its own day.
    """
    if isinstance(document, Adjustment):
        return [(document.posted, amount)]
    if not isinstance(document, Invoice):
        return [(None, amount)]
    if not document.instalments or amount < 0:
        return [(document.due, amount)]
    parts: list[tuple[date | None, Decimal]] = []
    rest = amount
    for instalment in sorted(document.instalments, key=lambda i: i.due, reverse=True):
        open_ = min(rest, instalment.amount)
        if open_:
            parts.append((instalment.due, open_))
        rest -= open_
    if rest and parts:
        parts[-1] = (parts[-1][0], parts[-1][1] + rest)
    return parts[::-1] or [(document.due, amount)]


def kind_of(document: Document) -> str:
    """What a person calls it."""
    if isinstance(document, Adjustment):
        return _SPELT.get(document.kind, document.kind.value.replace("_", " "))
    return KINDS[document.entity]


def number_of(document: Document) -> str:
    """The number that people know it by; the system's own id where it has none."""
    told = document.reference if isinstance(document, Payment) else document.number
    return told or document.ref.number or document.ref.id


def day_of(document: Document) -> date:
    """The date that stands on it."""
    match document:
        case Invoice() | CreditMemo():
            return document.issued
        case Payment():
            return document.received
        case Adjustment():
            return document.posted


def ledgers(books: Sequence[Books]) -> list[Subledger]:
    """The sides of a report; two of one name are told apart by where they stand."""
    found = [Subledger(b) for b in books]
    if len({side.name for side in found}) < len(found):
        for side, where in zip(found, ("left", "right"), strict=True):
            side.name = f"{where} {side.name}"
    return found
