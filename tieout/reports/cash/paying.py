"""One side at the end of a day, as the cash reports ask it: who owes it with whom, and how late it was paid before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.mapping.balances import Key, counts
from tieout.model import ZERO, Customer, Document, Entity, Invoice, Payment
from tieout.reports.ledger import Subledger


@dataclass(frozen=True, slots=True)
class Paid:
    """Money that reached one invoice. on: the day from which it counts · amount: positive, in the invoice's currency"""

    invoice: Invoice
    on: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """A ledger at the end of the day `as_of`. documents: those that count

    open: signed open amounts, positive what the customer owes · paid: the money that had reached invoices, in no order;
    nothing where the source lists open items only
    """

    ledger: Subledger
    as_of: date
    documents: Mapping[Key, Document]
    open: Mapping[Key, Decimal]
    paid: tuple[Paid, ...]

    def invoices(self) -> Iterator[tuple[Invoice, Decimal]]:
        """Each invoice with a positive open amount, and that amount; by due date, then date, then id."""
        found = [
            (d, amount)
            for key, d in self.documents.items()
            if isinstance(d, Invoice) and (amount := self.open[key]) > 0
        ]
        yield from sorted(found, key=lambda f: by_due(f[0]))

    def others(self) -> Iterator[tuple[Document, Decimal]]:
        """Everything else that is open: credits and unapplied money negative, debits positive; by date and id."""
        found = [
            (d, amount)
            for key, d in self.documents.items()
            if (amount := self.open[key]) and not (isinstance(d, Invoice) and amount > 0)
        ]
        yield from sorted(found, key=lambda f: (f[0].posted, f[0].entity, f[0].ref.id))

    def customer(self, id: str) -> Customer | None:
        return self.ledger.customers.get(id)

    def name(self, customer: str) -> str:
        return self.ledger.party(customer).name

    def party(self, customer: str) -> tuple[str, str]:
        """Number and name, as the columns `layout.PARTY` have them: two customers may have one name."""
        known = self.ledger.party(customer)
        return known.number, known.name

    def families(self) -> dict[str, str]:
        """customer: the top of its family, by `parent`; a parent that is not in the ledger still joins its children."""
        known = {*self.ledger.customers, *(d.customer for d in self.documents.values())}
        return {id: self._top(id) for id in known}

    def _top(self, id: str) -> str:
        seen = [id]
        while (above := self.customer(seen[-1])) and above.parent and above.parent not in seen:
            seen.append(above.parent)
        # A ring of parents has no top: the first of its ids stands for it, from wherever it was entered.
        ring = above.parent if above and above.parent in seen else None
        return min(seen[seen.index(ring) :]) if ring else seen[-1]


def by_due(invoice: Invoice) -> tuple[date, date, str]:
    """The order in which invoices are listed: due (else issued), issued, id."""
    return invoice.due or invoice.issued, invoice.issued, invoice.ref.id


def day(ledger: Subledger, as_of: date) -> Day:
    """The ledger as of a day, inclusive."""
    live = {(r.entity, r.ref.id): r for r in ledger.documents if counts(r, as_of)}
    return Day(ledger, as_of, live, ledger.amounts(as_of), tuple(_paid(ledger, live, as_of)))


def paid(ledger: Subledger, as_of: date) -> Iterator[Paid]:
    """The money that had reached invoices by the end of a day, in no order: `Day.paid`, without the rest of the day."""
    live = {(r.entity, r.ref.id): r for r in ledger.documents if counts(r, as_of)}
    return _paid(ledger, live, as_of)


def _paid(ledger: Subledger, live: Mapping[Key, Document], as_of: date) -> Iterator[Paid]:
    """What payments applied to invoices and did not take back; credits among it are no money."""
    for record in () if ledger.books.open_only else live.values():
        if not isinstance(record, Payment) or not record.amount:
            continue
        shares = [(a.invoice, a.amount_invoice, a.applied_on, a.reversed_on) for a in record.applications]
        if record.group:
            shares += [(s.invoice, s.amount, record.group.settled_on, None) for s in record.group.invoices]
        for id, amount, on, back in shares:
            invoice = live.get((Entity.INVOICE, id))
            if isinstance(invoice, Invoice) and on <= as_of and (back is None or as_of < back):
                yield Paid(invoice, max(on, record.posted, invoice.posted), amount)


def days_late(side: Day) -> dict[str, list[int]]:
    """customer: how many days after the due date each of its invoices was paid in full, ascending; early is negative.

    The day is that of the last money that reached it. An invoice without a due date, one that is still open, and one
    that credits or adjustments alone settled, say nothing.
    """
    last: dict[Key, Paid] = {}
    for p in side.paid:
        key = Entity.INVOICE, p.invoice.ref.id
        if key not in last or last[key].on < p.on:
            last[key] = p
    late: dict[str, list[int]] = defaultdict(list)
    for key, p in last.items():
        if p.invoice.due and not p.invoice.instalments and side.open[key] <= ZERO:
            late[p.invoice.customer].append((p.on - p.invoice.due).days)
    return {customer: sorted(days) for customer, days in sorted(late.items())}
