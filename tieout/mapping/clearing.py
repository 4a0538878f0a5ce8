"""Clearing documents of line-item exports (SAP's AUGBL and AUGDT): who settled whom, where that is unique. Pure.

Items of one customer, currency and company code that share a clearing document and day, and whose signed amounts sum
to zero, settled each other on that day. A reference to an invoice (REBZG) says which invoice a credit paid. Of what
is left, one source and any number of invoices, or one invoice and any number of sources, leave no choice; several of
both do, and nothing is invented: they are a `model.Group`, known to be settled, not who paid whom.
Rows of one clearing that do not sum to zero are not all of it: they say nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeVar

from tieout.mapping.tabular import Profile
from tieout.model import ZERO, Group, Share

K = TypeVar("K")
Key = tuple[str, str]
# (invoice, amount, day; None for the day of the document itself)
Applied = tuple[str, Decimal, date | None]
SOURCES = frozenset({"payment", "credit_memo"})


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a posted document. effect: signed, debit positive

    kind, id: of its document · entity_code, customer, currency: what a clearing never crosses
    clearing: None while it is open · cleared_on: None where the file does not say · ref: id of the invoice it names
    """

    kind: str
    id: str
    entity_code: str | None
    customer: str
    currency: str
    effect: Decimal
    clearing: str | None
    cleared_on: date | None
    ref: str | None

    @property
    def document(self) -> Key:
        return self.kind, self.id


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clearings make of one document, in place of what its own rows say.

    applied: of a payment or credit memo · group: the settlement in which it had a part that is not known
    concerns: the only invoice that an adjustment settled, or the one that a credit memo names and did not settle
    """

    applied: tuple[Applied, ...] = ()
    group: Group | None = None
    concerns: str | None = None


def reads(profile: Profile) -> bool:
    """Whether files of the profile say what was cleared together, and what each row is worth."""
    columns, total = profile.columns.keys(), profile.columns.get("total")
    alone = profile.rows == "documents" or total is None or total.per != "document"
    signed = profile.amounts.direction != "magnitude"
    return alone and signed and {"clearing", "cleared_on"} <= columns and "applied" not in columns


def settle(items: Iterable[Item]) -> dict[Key, Outcome]:
    """The documents of which the clearings say more than their own rows do.

    items: in file order, of posted documents: every row of invoices, and all others that were cleared or name one
    """
    held = list(items)
    ledger = _Ledger(held)
    clearings: dict[tuple[str | None, str, str, str, date], list[Item]] = defaultdict(list)
    for item in held:
        if item.clearing and item.cleared_on:
            at = (item.entity_code, item.customer, item.currency, item.clearing, item.cleared_on)
            clearings[at].append(item)
    for (_, _, _, clearing, on), members in clearings.items():
        if not sum((m.effect for m in members), ZERO):
            _clear(ledger, members, clearing, on)
    return ledger.outcomes()


class _Ledger:
    """What is known of each document so far; it begins with what the rows say by themselves.

    applied: source → (invoice, day) → amount · residual: source → invoice → what it left open of it, as a debit
    changed: documents of which something is known beyond their rows
    """

    def __init__(self, items: list[Item]) -> None:
        self.cleared: dict[str, set[str | None]] = defaultdict(set)
        for item in items:
            if item.kind == "invoice":
                self.cleared[item.id].add(item.clearing)
        self.applied: dict[Key, dict[tuple[str, date | None], Decimal]] = defaultdict(dict)
        self.residual: dict[Key, dict[str, Decimal]] = defaultdict(dict)
        self.groups: dict[Key, Group] = {}
        self.concerns: dict[Key, str] = {}
        self.changed: dict[Key, None] = {}
        for item in items:
            self._begin(item)

    def _begin(self, item: Item) -> None:
        if item.kind not in SOURCES or item.ref is None:
            return
        if item.effect > 0:
            _add(self.residual[item.document], item.ref, item.effect)
        elif self.pays(item):
            _add(self.applied[item.document], (item.ref, None), -item.effect)
            return
        elif item.kind == "credit_memo":
            self.concerns[item.document] = item.ref
        self.changed[item.document] = None

    def pays(self, item: Item) -> bool:
        """Whether a credit paid the invoice that it names: not where the two were cleared apart."""
        known = self.cleared.get(item.ref or "")
        return item.ref is not None and (known is None or item.clearing in known)

    def apply(self, source: Key, invoice: str, amount: Decimal, on: date) -> None:
        _add(self.applied[source], (invoice, on), amount)
        self.changed[source] = None

    def outcomes(self) -> dict[Key, Outcome]:
        return {k: Outcome(self._net(k), self.groups.get(k), self.concerns.get(k)) for k in self.changed}

    def _net(self, source: Key) -> tuple[Applied, ...]:
        """Its applications less what it left open again as a residual item; none if the two do not fit."""
        sums = dict(self.applied.get(source, {}))
        for invoice, left in self.residual.get(source, {}).items():
            rest = left
            for at in [at for at in reversed(sums) if at[0] == invoice]:
                taken = min(rest, sums[at])
                sums[at] -= taken
                rest -= taken
            if rest:
                return ()
        return tuple((invoice, amount, on) for (invoice, on), amount in sums.items() if amount)


def _clear(ledger: _Ledger, members: list[Item], clearing: str, on: date) -> None:
    """Keep what one clearing says; nothing where its parts do not fit each other."""
    open_: dict[str, Decimal] = {}  # what is left of each invoice
    free: dict[Key, Decimal] = {}  # sources that name none of them
    paid: list[tuple[str, Decimal]] = []
    for item in members:
        source = item.kind in SOURCES
        if item.kind == "invoice":
            _add(open_, item.id, item.effect)
        elif item.ref is not None and item.effect > 0:
            _add(open_, item.ref, item.effect)
        elif item.ref is not None and (not source or ledger.pays(item)):
            paid.append((item.ref, -item.effect))
        else:
            _add(free, item.document, -item.effect)
    for invoice, amount in paid:
        if invoice not in open_:
            return
        open_[invoice] -= amount
    open_ = {invoice: amount for invoice, amount in open_.items() if amount}
    free = {document: amount for document, amount in free.items() if amount}
    if not open_ or any(v < 0 for v in (*open_.values(), *free.values())):
        return
    _assign(ledger, open_, free, clearing, on)


def _assign(
    ledger: _Ledger, open_: Mapping[str, Decimal], free: Mapping[Key, Decimal], clearing: str, on: date
) -> None:
    """Set the sources against the invoices where there is one way to do so; else say that they are a group."""
    sources = {k: v for k, v in free.items() if k[0] in SOURCES}
    if len(open_) == 1:
        [invoice] = open_
        for document, amount in free.items():
            if document in sources:
                ledger.apply(document, invoice, amount, on)
            else:
                ledger.concerns[document] = invoice
                ledger.changed[document] = None
    elif len(free) == 1 and sources:
        [source] = sources
        for invoice, amount in open_.items():
            ledger.apply(source, invoice, amount, on)
    elif not any(ledger.residual.get(source) for source in sources):
        shares = tuple(Share(invoice=invoice, amount=amount) for invoice, amount in open_.items())
        for at, (source, amount) in enumerate(sources.items()):
            ledger.groups[source] = Group(id=clearing, settled_on=on, amount=amount, invoices=() if at else shares)
            ledger.changed[source] = None


def _add(sums: dict[K, Decimal], key: K, amount: Decimal) -> None:
    sums[key] = sums.get(key, ZERO) + amount
