"""Open items: every document that is not settled, as of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from tieout.model import Invoice, magnitude, sign, tidy
from tieout.reports import layout, ledger, sources, stated
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Report, Table
from tieout.reports.ledger import Item, Party, Subledger

_COLUMNS = (
    *layout.PARTY,
    Column("kind", "kind", width=16),
    Column("document", "document", width=18),
    Column("dated", "dated", "date"),
    Column("posted", "posted", "date"),
    Column("due", "due", "date"),
    Column("disputed", "disputed", width=8),
    Column("entity", "entity", width=8),
    Column("account", "account", width=10),
    Column("amount", "full amount", "money"),
    Column("open", "open", "money"),
)


def build(books: Sequence[Books], *, as_of: date, customers: bool = True) -> Report:
    """Every open document of each ledger, by currency and customer; money on account is negative.

    customers: with each customer's balance as the system states it
    """
    sides = ledger.ledgers(books)
    return Report(
        name="open-items",
        title="Open items",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            *([_totals(sides, as_of)] if len(sides) == 2 else []),
            *_tables(sides, as_of),
            *(stated.tables(sides, as_of) if customers else ()),
        ),
        proofs=sources.proofs(sides, as_of),
        notes=(*sources.notes(sides, as_of), layout.signs(sides)),
    )


def _totals(sides: Sequence[Subledger], as_of: date) -> Table:
    """Each customer's open balance on both sides, and the difference: right − left."""
    return balances("balances", "Balance by customer", sides, [side.items(as_of) for side in sides])


def balances(key: str, title: str, sides: Sequence[Subledger], items: Sequence[Sequence[Item]]) -> Table:
    """The sum of items by currency and customer, a column for each of two sides, and right − left."""
    columns = (
        *layout.PARTY,
        *layout.beside((Column("open", "open", "money"),), sides),
        layout.gap("open"),
    )
    parties: dict[str, Party] = {}
    sums: dict[tuple[str, str], list[Cell]] = {}
    for n, held in enumerate(items):
        for i in held:
            parties.setdefault(i.party.key, i.party)
            cells = sums.setdefault((i.currency, i.party.key), [None, None])
            cells[n] = layout.total([cells[n], i.amount])
    details = []
    for (currency, party), both in sorted(sums.items(), key=lambda s: (s[0][0], parties[s[0][1]].order)):
        gap = layout.total([both[1], *(-c for c in both[:1] if c is not None)])  # type: ignore[operator]
        details.append((parties[party].number, parties[party].name, currency, *both, gap))
    return Table(key, title, columns, layout.totalled(columns, details))


def _tables(sides: Sequence[Subledger], as_of: date) -> list[Table]:
    found = []
    for n, side in enumerate(sides):
        based = (layout.base(side.home, "open in"),) if side.foreign else ()
        columns = (*_COLUMNS, *based)
        details = [(*_cells(i), *([i.base] if based else [])) for i in side.items(as_of)]
        title = layout.titled("Open items", side, sides)
        rows = layout.totalled(columns, details)
        found.append(Table(layout.keyed("items", n, sides), title, columns, rows))
    return found


def _cells(item: Item) -> tuple[Cell, ...]:
    document = item.document
    billed = document if isinstance(document, Invoice) else None
    due = ledger.dues(billed, item.amount)[0][0] if billed else None
    return (
        item.party.number,
        item.party.name,
        item.currency,
        ledger.kind_of(document),
        ledger.number_of(document),
        ledger.day_of(document),
        document.posted,
        due,
        "yes" if billed and billed.disputed else "",
        document.entity_code or "",
        document.ar_account or "",
        tidy(sign(document) * magnitude(document)),
        tidy(item.amount),
    )
