"""Subsequent receipts: what came in after a day against what was open on it, the auditor's proof that it was owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tieout.mapping.balances import Key, counts, ended, standing
from tieout.model import ZERO, Adjustment, AdjustmentKind, Document, Entity, Payment, magnitude, sign, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Report, Table
from tieout.reports.ledger import Item, Subledger


@dataclass(slots=True)
class _Found:
    """One side. came: by invoice, what payments posted after the day settle of it, and when the last came

    paid: each such payment with what it settles of old and of newer invoices
    """

    items: list[Item]
    still: dict[Key, Decimal]
    came: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    last: dict[str, date] = field(default_factory=dict)
    paid: list[tuple[Payment, Decimal, Decimal]] = field(default_factory=list)


def build(books: Sequence[Books], *, as_of: date, until: date) -> Report:
    """Payments posted after `as_of` and up to `until`, inclusive, against the items open on `as_of`.

    A payment that was returned or taken back by `until` settles nothing; it is listed by itself.
    """
    if until < as_of:
        raise ValueError(f"payments after {as_of} are asked for up to {until}, which is before it")
    sides = ledger.ledgers(books)
    held = [_found(side, as_of, until) for side in sides]
    pairs = list(zip(sides, held, strict=True))
    return Report(
        name="subsequent-receipts",
        title="Subsequent receipts",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _coverage(sides, held),
            *(_items(n, side, sides, own) for n, (side, own) in enumerate(pairs)),
            *(_payments(n, side, sides, own) for n, (side, own) in enumerate(pairs)),
            *(t for n, side in enumerate(sides) if (t := _returned(n, side, sides, as_of, until)).rows),
        ),
        proofs=sources.proofs(sides, as_of),
        notes=(*sources.notes(sides, as_of), *_notes(sides)),
        parameters={"receipts up to": until.isoformat()},
    )


def _found(side: Subledger, as_of: date, until: date) -> _Found:
    found = _Found([i for i in side.items(as_of) if not i.unapplied], side.amounts(until))
    old = {i.document.ref.id: i.currency for i in found.items if i.document.entity is Entity.INVOICE}
    for r in side.documents:
        if not isinstance(r, Payment) or not as_of < r.posted <= until or not counts(r, until) or not r.amount:
            continue
        own = [s.application for s in standing(r, until) if s.source is Entity.PAYMENT]
        for a in own:
            if a.invoice in old:
                found.came[a.invoice] += a.amount_invoice
                found.last[a.invoice] = max(found.last.get(a.invoice, r.posted), r.posted)
        settled = sum((a.amount for a in own if a.invoice in old), ZERO)
        newer = sum((a.amount for a in own if a.invoice not in old), ZERO)
        found.paid.append((r, settled, newer))
    found.paid.sort(key=lambda p: (p[0].currency, p[0].posted, p[0].ref.id))
    return found


def _parts(own: _Found, item: Item) -> tuple[Decimal, Decimal, Decimal]:
    """Received after the day, settled otherwise, still open."""
    key = item.document.entity, item.document.ref.id
    still = own.still.get(key, ZERO)
    came = own.came.get(item.document.ref.id, ZERO) if key[0] is Entity.INVOICE else ZERO
    return came, item.amount - came - still, still


def _coverage(sides: Sequence[Subledger], held: Sequence[_Found]) -> Table:
    """By currency: what was open, how much of it came in after."""
    group = (
        Column("open", "open then", "money"),
        Column("received", "received after", "money"),
        Column("otherwise", "settled otherwise", "money"),
        Column("still", "still open", "money", adds=("open", "-received", "-otherwise")),
        Column("covered", "received %", "percent"),
    )
    columns = (layout.CURRENCY, *layout.beside(group, sides))
    details: list[tuple[Cell, ...]] = []
    for currency in sorted({i.currency for own in held for i in own.items}):
        cells: list[Cell] = []
        for own in held:
            items = [i for i in own.items if i.currency == currency]
            parts = [_parts(own, i) for i in items]
            sums = [sum((p[n] for p in parts), ZERO) for n in range(3)]
            then = sum((i.amount for i in items), ZERO)
            share = (sums[0] * 100 / then).quantize(Decimal("0.1")) if then else None
            cells += [tidy(then), *(tidy(s) for s in sums), share]
        details.append((currency, *cells))
    return Table("coverage", "Received after the date", columns, tuple(layout.plain(details)))


def _items(n: int, side: Subledger, sides: Sequence[Subledger], own: _Found) -> Table:
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("dated", "dated", "date"),
        Column("due", "due", "date"),
        Column("open", "open then", "money"),
        Column("received", "received after", "money"),
        Column("last", "last receipt", "date"),
        Column("otherwise", "settled otherwise", "money"),
        Column("still", "still open", "money", adds=("open", "-received", "-otherwise")),
    )
    details: list[tuple[Cell, ...]] = []
    for i in own.items:
        came, otherwise, still = _parts(own, i)
        id = i.document.ref.id
        details.append(
            (
                i.party.number,
                i.party.name,
                i.currency,
                ledger.kind_of(i.document),
                ledger.number_of(i.document),
                ledger.day_of(i.document),
                ledger.dues(i.document, i.amount)[0][0],
                tidy(i.amount),
                tidy(came),
                own.last.get(id) if came else None,
                tidy(otherwise),
                tidy(still),
            )
        )
    title = layout.titled("Open on the date", side, sides)
    return Table(layout.keyed("items", n, sides), title, columns, layout.totalled(columns, details))


def _payments(n: int, side: Subledger, sides: Sequence[Subledger], own: _Found) -> Table:
    columns = (
        *layout.PARTY,
        Column("document", "payment", width=18),
        Column("received", "received", "date"),
        Column("posted", "posted", "date"),
        Column("method", "method", width=8),
        Column("amount", "amount", "money"),
        Column("old", "against items open then", "money"),
        Column("newer", "against newer items", "money"),
        Column("rest", "otherwise or unapplied", "money"),
        Column("stated", "evidence", width=24),
    )
    details: list[tuple[Cell, ...]] = []
    for r, settled, newer in own.paid:
        party = side.party(r.customer)
        evidence = "stated by the source only" if r.stated_by_source else ""
        method = "" if r.stated_by_source else r.method.value
        amount = -sign(r) * magnitude(r)
        details.append(
            (
                party.number,
                party.name,
                r.currency,
                "" if r.stated_by_source else ledger.number_of(r),
                r.received,
                r.posted,
                method,
                tidy(amount),
                tidy(settled),
                tidy(newer),
                tidy(amount - settled - newer),
                evidence,
            )
        )
    title = layout.titled("Payments after the date", side, sides)
    return Table(layout.keyed("payments", n, sides), title, columns, layout.totalled(columns, details))


_BACK = (AdjustmentKind.RETURNED_PAYMENT, AdjustmentKind.CHARGEBACK)


def _returned(n: int, side: Subledger, sides: Sequence[Subledger], as_of: date, until: date) -> Table:
    """Receipts that came back in that time, whenever they came in: voided payments, and what is booked for one."""
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("received", "received", "date"),
        Column("back", "came back", "date"),
        Column("before", "counted as paid on the date", "money"),
        Column("after", "came and went after it", "money"),
        Column("untold", "not told when it came", "money"),
    )
    found: list[tuple[Document, date, Payment | None]] = []
    for r in side.documents:
        gone = ended(r) if isinstance(r, Payment) else None
        if isinstance(r, Payment) and gone and as_of < gone <= until and magnitude(r):
            found.append((r, gone, r))
        elif isinstance(r, Adjustment) and r.kind in _BACK and as_of < r.posted <= until and counts(r, until):
            of = side.by_key.get((Entity.PAYMENT, r.document)) if r.document else None
            found.append((r, r.posted, of if isinstance(of, Payment) else None))
    details: list[tuple[Cell, ...]] = []
    for r, back, of in sorted(found, key=lambda f: (f[0].currency, f[1], f[0].ref.id)):
        party, amount = side.party(r.customer), tidy(magnitude(r))
        told = ledger.kind_of(r), ledger.number_of(r), of.received if of else None, back
        place = 2 if of is None else int(of.posted > as_of)
        amounts = [amount if n == place else None for n in range(3)]
        details.append((party.number, party.name, r.currency, *told, *amounts))
    title = layout.titled("Receipts that came back after the date", side, sides)
    note = "They settle nothing above. What counted as paid on the date was owed again when it came back."
    return Table(layout.keyed("returned", n, sides), title, columns, layout.totalled(columns, details), note)


def _notes(sides: Sequence[Subledger]) -> Iterator[str]:
    yield (
        "Settled otherwise: credits, write-offs, payments posted before the date and applied after it, and settlements "
        "of which the source does not say which payment paid which invoice."
    )
    for side in sides:
        if side.books.open_only:
            yield f"{side.name} is a list of open items: it shows no receipts, so that none can be told."
