"""Cut-off: the documents posted around a day, so that each can be seen to stand in the right period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tieout.mapping.balances import ended
from tieout.model import ZERO, Document, Entity, PostingState, magnitude, sign, tidy
from tieout.reports import layout, ledger
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Report, Table
from tieout.reports.ledger import Ledger

DAYS = 10
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class _Line:
    """What is one document on either side. held: by side, None where that side has none"""

    held: tuple[Document | None, ...]
    side: Ledger

    @property
    def one(self) -> Document:
        return next(r for r in self.held if r)

    def periods(self, as_of: date) -> set[str]:
        return {period(r, as_of) for r in self.held if r}

    def finding(self, as_of: date, names: Sequence[str]) -> str:
        """What is to be looked at: on both sides but in different periods, or on one side only."""
        if len(self.held) < 2:
            return ""
        if None in self.held:
            return f"only in {names[0] if self.held[0] else names[1]}"
        return "other period" if len(self.periods(as_of)) > 1 else ""


def period(document: Document, as_of: date) -> str:
    """Whether it is posted up to that day, inclusive, or after it."""
    return BEFORE if document.posted <= as_of else AFTER


def build(books: Sequence[Books], *, as_of: date, days: int = DAYS) -> Report:
    """Every document posted or voided from `days` before the end of `as_of` to `days` after it, on both sides.

    With two sides, a document is beside its counterpart, also where that is posted outside of the window.
    """
    sides = ledger.ledgers(books)
    lines = _lines(sides, as_of, days)
    names = [side.name for side in sides]
    return Report(
        name="cut-off",
        title="Cut-off",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_sums(sides, lines, as_of, names), _table(sides, lines, as_of, names)),
        proofs=ledger.proofs(sides, as_of),
        notes=(*ledger.notes(sides, as_of), *_notes(sides)),
        parameters={
            "window": f"{as_of - timedelta(days=days - 1)} to {as_of + timedelta(days=days)}",
        },
    )


def _lines(sides: Sequence[Ledger], as_of: date, days: int) -> list[_Line]:
    """In order of currency and the earliest posting."""
    first, last = as_of - timedelta(days=days - 1), as_of + timedelta(days=days)
    found: dict[str, list[Document | None]] = {}
    near: dict[str, Ledger] = {}
    for n, side in enumerate(sides):
        for key, r in side.by_key.items():
            if r.state is PostingState.DRAFT:
                continue
            at = side.books.links.get(key) or f"{n}/{key[0]}/{key[1]}"
            found.setdefault(at, [None for _ in sides])[n] = r
            gone = ended(r)
            if first <= r.posted <= last or (gone and first <= gone <= last):
                near.setdefault(at, side)
    lines = [_Line(tuple(found[at]), side) for at, side in near.items()]
    return sorted(lines, key=lambda x: (x.one.currency, min(r.posted for r in x.held if r), x.one.ref.id))


def _sums(sides: Sequence[Ledger], lines: Sequence[_Line], as_of: date, names: Sequence[str]) -> Table:
    """Up to the day and after it: how many documents, and what they add to receivables; and what to look at."""
    group = (Column("count", "documents", "count"), Column("amount", "amount", "money"))
    columns = (Column("what", "what", width=24), layout.CURRENCY, *layout.beside(group, sides))
    details: list[tuple[Cell, ...]] = []
    for currency in sorted({r.currency for x in lines for r in x.held if r}):
        for title, kept in ((f"up to {as_of}", BEFORE), ("after it", AFTER)):
            cells: list[Cell] = []
            for n in range(len(sides)):
                own = [r for x in lines if (r := x.held[n]) and r.currency == currency and period(r, as_of) == kept]
                cells += [len(own), tidy(sum((_signed(r) for r in own), ZERO))]
            details.append((title, currency, *cells))
    note = ""
    if len(sides) == 2:
        told = [x.finding(as_of, names) for x in lines]
        other, alone = told.count("other period"), sum(t.startswith("only in ") for t in told)
        note = f"{other:,} in another period on the other side, {alone:,} on one side only."
    return Table("periods", "Around the date", columns, layout.totalled(columns, details), note)


def _signed(r: Document) -> Decimal:
    return sign(r) * magnitude(r)


def _table(sides: Sequence[Ledger], lines: Sequence[_Line], as_of: date, names: Sequence[str]) -> Table:
    two = len(sides) == 2
    group = (
        Column("document", "document", width=18),
        Column("dated", "dated", "date"),
        Column("posted", "posted", "date"),
        Column("voided", "voided on", "date"),
        Column("period", "period", width=8),
        Column("amount", "amount", "money"),
    )
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        *layout.beside(group, sides),
        *((Column("finding", "to look at", width=24),) if two else ()),
    )
    details: list[tuple[Cell, ...]] = []
    for x in lines:
        party = x.side.party(_of(x, sides).customer)
        cells: list[Cell] = []
        for r in x.held:
            cells += _cells(r, as_of)
        finding = (x.finding(as_of, names),) if two else ()
        details.append((party.number, party.name, x.one.currency, ledger.kind_of(x.one), *cells, *finding))
    return Table("documents", "Documents around the date", columns, layout.totalled(columns, details))


def _of(line: _Line, sides: Sequence[Ledger]) -> Document:
    """The document on the side by which its customer is called."""
    held = line.held[next(n for n, side in enumerate(sides) if side is line.side)]
    return held or line.one


def _cells(r: Document | None, as_of: date) -> list[Cell]:
    if r is None:
        return ["", None, None, None, "", None]
    return [ledger.number_of(r), ledger.day_of(r), r.posted, ended(r), period(r, as_of), tidy(_signed(r))]


def _notes(sides: Sequence[Ledger]) -> Iterator[str]:
    if len(sides) == 2:
        yield "Documents stand beside each other where the comparison of both ledgers finds that they are one."
    if any(not side.books.open_only and _without_payments(side) for side in sides):
        yield "A ledger that shows no payments can be looked at for invoices and credit memos only."


def _without_payments(side: Ledger) -> bool:
    return not any(key[0] is Entity.PAYMENT for key in side.by_key)
