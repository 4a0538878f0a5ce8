"""Aging: open receivables by how long they have been due, or by how old the document is, as of a day."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, TypeVar

from tieout.model import ZERO, magnitude, sign, tidy
from tieout.reports import layout, ledger, sources, stated
from tieout.reports.books import Books
from tieout.reports.frame import Bar, Cell, Chart, Column, Proof, Report, Table
from tieout.reports.ledger import Item, Subledger

By = Literal["due", "document"]
K = TypeVar("K", bound=Hashable)
BUCKETS = (30, 60, 90)
_NOT_DUE, _UNDATED, _ACCOUNT = "not_due", "no_due_date", "unapplied"
_SHARE = Column("share", "share", "percent")


@dataclass(frozen=True, slots=True)
class Basis:
    """by: from the due date or the document's own · limits: the last day of each bucket but the last, rising"""

    by: By
    limits: tuple[int, ...]

    def places(self) -> dict[str, str]:
        """Every place an amount may fall in, by key, in order, with its title."""
        first = 1 if self.by == "due" else 0
        ages = {}
        for last in self.limits:
            ages[f"days_{first}_{last}"] = f"{first}–{last} days"
            first = last + 1
        ages[f"days_over_{self.limits[-1]}"] = f"over {self.limits[-1]} days"
        dated = {_NOT_DUE: "not due", **ages, _UNDATED: "no due date"} if self.by == "due" else ages
        return dated | {_ACCOUNT: "unapplied"}

    def place(self, days: int | None) -> str:
        """The bucket of an age in days; None where the source states no due date."""
        if days is None:
            return _UNDATED
        if self.by == "due" and days <= 0:
            return _NOT_DUE
        ages = [k for k in self.places() if k.startswith("days_")]
        return next((key for key, last in zip(ages, self.limits, strict=False) if days <= last), ages[-1])


@dataclass(frozen=True, slots=True)
class Part:
    """One open amount with one age. days: past due (or old), negative before; None where it has no age.

    base: in home currency; of all parts of an item together what the item is; None where no rate is stated
    """

    item: Item
    due: date | None
    days: int | None
    place: str
    amount: Decimal
    base: Decimal | None


def parts(items: Sequence[Item], basis: Basis, as_of: date) -> Iterator[Part]:
    """Each item by its age; an invoice of several instalments by each of them, money on account by none."""
    for item in items:
        if item.unapplied:
            yield Part(item, None, None, _ACCOUNT, item.amount, item.base)
        elif basis.by == "document":
            days = (as_of - ledger.day_of(item.document)).days
            yield Part(item, _due(item), days, basis.place(days), item.amount, item.base)
        else:
            dues = ledger.dues(item.document, item.amount)
            for (due, amount), base in zip(dues, _split(item, [a for _, a in dues]), strict=True):
                past = (as_of - due).days if due else None
                yield Part(item, due, past, basis.place(past), amount, base)


def _split(item: Item, amounts: Sequence[Decimal]) -> list[Decimal | None]:
    """The item in home currency as its parts are of it; the last has what rounding leaves."""
    whole = item.base
    if whole is None or len(amounts) == 1:
        return [whole] * len(amounts)
    least = Decimal(1).scaleb(int(whole.as_tuple().exponent))
    first = [(whole * a / item.amount).quantize(least, ROUND_HALF_UP) for a in amounts[:-1]]
    return [*first, whole - sum(first, ZERO)]


def _due(item: Item) -> date | None:
    return ledger.dues(item.document, item.amount)[0][0]


def build(
    books: Sequence[Books],
    *,
    as_of: date,
    buckets: Sequence[int] = BUCKETS,
    by: By = "due",
    detail: bool = True,
    customers: bool = True,
) -> Report:
    """The aging of each ledger: by bucket, by customer, and (detail) by document.

    customers: with each customer's balance as the system states it

    buckets: last day of each but the last, e.g. (30, 60) for 1–30, 31–60, over 60. Raises ValueError for others.
    """
    if not buckets or sorted({*buckets}) != [*buckets] or buckets[0] < 1:
        raise ValueError("buckets are rising numbers of days, such as 30,60,90")
    basis = Basis(by, tuple(buckets))
    sides = ledger.ledgers(books)
    held = [list(parts(side.items(as_of), basis, as_of)) for side in sides]
    places = shown(basis, held)
    by_age = _by_age(places, sides, held)
    return Report(
        name="aging",
        title="Aging of receivables" + ("" if by == "due" else " by document date"),
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            by_age,
            _by_customer(places, sides, held),
            *_by_entity(places, sides, held),
            *_at_home(places, sides, held),
            *(stated.tables(sides, as_of) if customers else ()),
            *(_details(places, sides, held) if detail else ()),
        ),
        charts=tuple(_charts(places, sides, held)),
        proofs=(*_proofs(sides, held, as_of), *sources.proofs(sides, as_of)),
        notes=(*sources.notes(sides, as_of), *_notes(sides, held), layout.signs(sides)),
        parameters={"aged by": "due date" if by == "due" else "document date"},
    )


def shown(basis: Basis, held: Sequence[Sequence[Part]]) -> dict[str, str]:
    """The places, without the one for missing due dates where none is missing."""
    used = {p.place for side in held for p in side}
    return {k: title for k, title in basis.places().items() if k != _UNDATED or k in used}


def _by_age(places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Table:
    """One row for each currency and bucket; with two sides, what the right has more than the left."""
    two = len(sides) == 2
    columns = (
        Column("age", "age", width=16),
        layout.CURRENCY,
        *layout.beside((Column("documents", "documents", "count"), Column("amount", "amount", "money"), _SHARE), sides),
        *((layout.gap("amount"),) if two else ()),
    )
    details: list[tuple[Cell, ...]] = []
    for currency in sorted({p.item.currency for side in held for p in side}):
        wholes = [sum((p.amount for p in side if p.item.currency == currency), ZERO) for side in held]
        for key, title in places.items():
            cells: list[Cell] = []
            sums = []
            for side, whole in zip(held, wholes, strict=True):
                own = [p for p in side if p.place == key and p.item.currency == currency]
                sums.append(sum((p.amount for p in own), ZERO))
                documents = len({(p.item.document.entity, p.item.document.ref.id) for p in own})
                cells += [documents, tidy(sums[-1]), _share(sums[-1], whole)]
            details.append((title, currency, *cells, *([tidy(sums[1] - sums[0])] if two else [])))
    return Table("ages", "By age", columns, layout.totalled(columns, details))


def _share(amount: Decimal, whole: Decimal) -> Decimal | None:
    """In per cent, to a tenth; None where there is nothing to be a part of."""
    return (amount * 100 / whole).quantize(Decimal("0.1"), ROUND_HALF_UP) + ZERO if whole > 0 else None  # no -0.0


def _by_customer(places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Table:
    """One row for each currency and customer; of two sides a group of columns each, and how their totals differ."""
    parties = {p.item.party.key: p.item.party for side in reversed(held) for p in side}
    lines = _lines(held, lambda p: (p.item.currency, p.item.party.key))
    ordered = sorted(lines.items(), key=lambda x: (x[0][0], parties[x[0][1]].order))
    named = [((parties[key].number, parties[key].name, currency), both) for (currency, key), both in ordered]
    return _grouped(("customers", "By customer"), layout.PARTY, places, sides, named)


def _by_entity(
    places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]
) -> Iterator[Table]:
    """One row for each currency and legal entity, where documents name one."""
    lines = _lines(held, lambda p: (p.item.currency, p.item.document.entity_code or ""))
    if any(entity for _, entity in lines):
        named = [((entity or "none named", currency), both) for (currency, entity), both in sorted(lines.items())]
        columns = (Column("entity", "entity", width=16), layout.CURRENCY)
        yield _grouped(("entities", "By entity"), columns, places, sides, named)


def _at_home(places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Iterator[Table]:
    """One row for each customer over all currencies, in home currency, where both ledgers are kept in the same."""
    homes = {side.home for side in sides}
    home = homes.pop()
    if homes or not home or not any(side.foreign for side in sides):
        return
    parties = {p.item.party.key: p.item.party for side in reversed(held) for p in side}
    two = len(sides) == 2
    # With the currency in each column, what is not known makes its total unknown.
    of_side = tuple(replace(c, currency=home) for c in aged(places))
    gap = (layout.gap("total", currency=home),) if two else ()
    details: list[tuple[Cell, ...]] = []
    for key, both in sorted(_lines(held, lambda p: p.item.party.key).items(), key=lambda x: parties[x[0]].order):
        cells: list[Cell] = []
        totals = [_in_base(own) for own in both]
        for own, whole in zip(both, totals, strict=True):
            cells += [*(_in_base([p for p in own if p.place == place]) for place in places), whole]
        if two:
            cells.append(None if None in totals else tidy((totals[1] or ZERO) - (totals[0] or ZERO)))
        details.append((parties[key].number, parties[key].name, home, *cells))
    columns = (*layout.PARTY, *layout.beside(of_side, sides), *gap)
    note = "Each document at its own rate. Empty: a document of it states no rate."
    if details:
        yield Table("home", f"By customer, all in {home}", columns, layout.totalled(columns, details), note)


def _in_base(own: Sequence[Part]) -> Decimal | None:
    return layout.total([p.base for p in own], whole=True) if own else ZERO


def _lines(held: Sequence[Sequence[Part]], of: Callable[[Part], K]) -> dict[K, list[list[Part]]]:
    """The parts of each side by what they have in common."""
    found: dict[K, list[list[Part]]] = {}
    for n, side in enumerate(held):
        for p in side:
            found.setdefault(of(p), [[] for _ in held])[n].append(p)
    return found


def _grouped(
    which: tuple[str, str],
    named: Sequence[Column],
    places: Mapping[str, str],
    sides: Sequence[Subledger],
    lines: Sequence[tuple[tuple[Cell, ...], Sequence[Sequence[Part]]]],
) -> Table:
    """A table of ages, a row for each line; which: its key and title · named: the columns of what a line is of"""
    two = len(sides) == 2
    foreign = any(side.foreign for side in sides)
    of_side = (
        *aged(places),
        *((layout.base(sides[0].home),) if foreign else ()),
    )
    columns = (
        *named,
        *layout.beside(of_side, sides),
        *((layout.gap("total"),) if two else ()),
    )
    details: list[tuple[Cell, ...]] = []
    for cells, both in lines:
        totals = [sum((p.amount for p in own), ZERO) for own in both]
        gap = (tidy(totals[1] - totals[0]),) if two else ()
        details.append((*cells, *(c for own in both for c in group(places, own, base=foreign)), *gap))
    return Table(*which, columns, layout.totalled(columns, details))


def aged(places: Mapping[str, str]) -> tuple[Column, ...]:
    """A column for each place, and their sum."""
    return (
        *(Column(key, title, "money") for key, title in places.items()),
        Column("total", "total", "money", adds=tuple(places)),
    )


def group(places: Mapping[str, str], own: Sequence[Part], *, base: bool) -> list[Cell]:
    cells: list[Cell] = [tidy(sum((p.amount for p in own if p.place == key), ZERO)) for key in places]
    cells.append(tidy(sum((p.amount for p in own), ZERO)))
    return [*cells, _in_base(own)] if base else cells


def _details(places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Iterator[Table]:
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("dated", "dated", "date"),
        Column("due", "due", "date"),
        Column("days", "days", "days"),
        Column("amount", "full amount", "money"),
        *aged(places),
    )
    for n, (side, own) in enumerate(zip(sides, held, strict=True)):
        details = [_detail(places, p) for p in own]
        title = layout.titled("By document", side, sides)
        rows = layout.totalled(columns, details, {*places, "total"})  # a full amount stands beside each instalment
        yield Table(layout.keyed("documents", n, sides), title, columns, rows)


def _detail(places: Mapping[str, str], part: Part) -> tuple[Cell, ...]:
    document = part.item.document
    return (
        part.item.party.number,
        part.item.party.name,
        part.item.currency,
        ledger.kind_of(document),
        ledger.number_of(document),
        ledger.day_of(document),
        part.due,
        part.days,
        tidy(sign(document) * magnitude(document)),
        *(tidy(part.amount) if part.place == key else None for key in places),
        tidy(part.amount),
    )


def _charts(places: Mapping[str, str], sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Iterator[Chart]:
    """Bars of each side and currency."""
    for n, (side, own) in enumerate(zip(sides, held, strict=True)):
        for currency in sorted({p.item.currency for p in own}):
            bars = tuple(
                Bar(title, sum((p.amount for p in own if p.place == key and p.item.currency == currency), ZERO))
                for key, title in places.items()
            )
            title = layout.titled(f"Aging in {currency}", side, sides)
            yield Chart(f"{layout.keyed('aging', n, sides)}_{currency}", title, "bars", currency, bars)


def _proofs(sides: Sequence[Subledger], held: Sequence[Sequence[Part]], as_of: date) -> Iterator[Proof]:
    """The buckets, what has no due date and what is unapplied, against the open items."""
    for side, own in zip(sides, held, strict=True):
        items = side.items(as_of)
        for currency in sorted({i.currency for i in items}):
            ours = sum((p.amount for p in own if p.item.currency == currency), ZERO)
            theirs = sum((i.amount for i in items if i.currency == currency), ZERO)
            yield Proof(
                f"{side.name}: aged amounts in {currency} add up to the open items",
                ours,
                theirs,
                ours == theirs,
                currency,
            )


def _notes(sides: Sequence[Subledger], held: Sequence[Sequence[Part]]) -> Iterator[str]:
    yield (
        "Unapplied: payments, credits and credit balances that stand against no invoice, less what was refunded; they "
        "are in no bucket. Adjustments are due on their own day. What was paid on an invoice of several instalments is "
        "taken from the earliest."
    )
    for side, own in zip(sides, held, strict=True):
        bare = sum(p.place == _UNDATED for p in own)
        if bare:
            items = "item" if bare == 1 else "items"
            yield f"{side.name} states no due date for {bare:,} open {items}: no age is guessed."
