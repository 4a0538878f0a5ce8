"""Unapplied cash and credit balances: money and credit that stand against no invoice, as of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tieout.model import ZERO, magnitude, sign, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Table
from tieout.reports.ledger import Item, Party, Subledger

_NOTE = (
    "Unapplied cash: payments and deposits that stand against no invoice, less refunds. Open credits: credit memos, "
    "credit adjustments, and what an invoice was settled beyond its amount."
)


def build(books: Sequence[Books], *, as_of: date) -> Report:
    """By customer: what is owed, unapplied cash, open credits, and the balance where it is a credit; then each item."""
    sides = ledger.ledgers(books)
    held = [side.items(as_of) for side in sides]
    return Report(
        name="unapplied",
        title="Unapplied cash and credit balances",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _customers(sides, held),
            *(_items(n, side, sides, own, as_of) for n, (side, own) in enumerate(zip(sides, held, strict=True))),
        ),
        proofs=(*_proofs(sides, held), *sources.proofs(sides, as_of)),
        notes=(
            *sources.notes(sides, as_of),
            _NOTE,
            layout.signs(sides),
        ),
    )


def _parts(items: Sequence[Item]) -> tuple[Decimal, Decimal, Decimal]:
    """Owed, unapplied cash, open credits."""
    owed = sum((i.amount for i in items if not i.unapplied), ZERO)
    cash = sum((i.amount for i in items if i.cash), ZERO)
    return owed, cash, sum((i.amount for i in items if i.unapplied and not i.cash), ZERO)


def _customers(sides: Sequence[Subledger], held: Sequence[Sequence[Item]]) -> Table:
    """Customers with anything unapplied, or a balance in their favour."""
    group = (
        Column("owed", "owed", "money"),
        Column("cash", "unapplied cash", "money"),
        Column("credits", "open credits", "money"),
        Column("balance", "balance", "money", adds=("owed", "cash", "credits")),
        Column("credit_balance", "credit balance", "money"),
    )
    columns = (
        *layout.PARTY,
        *layout.beside(group, sides),
    )
    parties: dict[str, Party] = {}
    lines: dict[tuple[str, str], list[list[Item]]] = {}
    for n, items in enumerate(held):
        for i in items:
            parties.setdefault(i.party.key, i.party)
            lines.setdefault((i.currency, i.party.key), [[] for _ in sides])[n].append(i)
    details: list[tuple[Cell, ...]] = []
    for (currency, key), both in sorted(lines.items(), key=lambda x: (x[0][0], parties[x[0][1]].order)):
        cells: list[Cell] = []
        for own in both:
            owed, cash, credits = _parts(own)
            balance = owed + cash + credits
            cells += [tidy(owed), tidy(cash), tidy(credits), tidy(balance), tidy(min(balance, ZERO))]
        if any(i.unapplied for own in both for i in own):
            details.append((parties[key].number, parties[key].name, currency, *cells))
    return Table("customers", "By customer", columns, layout.totalled(columns, details))


def _items(number: int, side: Subledger, sides: Sequence[Subledger], items: Sequence[Item], as_of: date) -> Table:
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("dated", "dated", "date"),
        Column("posted", "posted", "date"),
        Column("days", "days old", "days"),
        Column("amount", "full amount", "money"),
        Column("cash", "unapplied cash", "money"),
        Column("credits", "open credits", "money"),
        *((layout.base(side.home),) if side.foreign else ()),
    )
    details: list[tuple[Cell, ...]] = [
        (
            i.party.number,
            i.party.name,
            i.currency,
            ledger.kind_of(i.document),
            ledger.number_of(i.document),
            ledger.day_of(i.document),
            i.document.posted,
            (as_of - i.document.posted).days,
            tidy(sign(i.document) * magnitude(i.document)),
            tidy(i.amount) if i.cash else None,
            None if i.cash else tidy(i.amount),
            *([i.base] if side.foreign else []),
        )
        for i in items
        if i.unapplied
    ]
    title = layout.titled("Unapplied items", side, sides)
    rows = layout.totalled(columns, details, {"cash", "credits", "base"})  # full amounts of invoices and of payments
    return Table(layout.keyed("items", number, sides), title, columns, rows)


def _proofs(sides: Sequence[Subledger], held: Sequence[Sequence[Item]]) -> list[Proof]:
    found = []
    for side, items in zip(sides, held, strict=True):
        for currency in sorted({i.currency for i in items}):
            own = [i for i in items if i.currency == currency]
            ours, theirs = sum(_parts(own), ZERO), sum((i.amount for i in own), ZERO)
            claim = f"{side.name}: owed, unapplied cash and open credits in {currency} add up to the open items"
            found.append(Proof(claim, ours, theirs, ours == theirs, currency))
    return found
