"""Cut-off: what moved receivables around a day, so that each document can be seen to stand in the right period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tieout.mapping.balances import ended
from tieout.model import ZERO, Document, Effect, Entity, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.ledger import Subledger

DAYS = 10
_ENTERED, _VOIDED = "", " voided"


@dataclass(frozen=True, slots=True)
class _Window:
    """The days around `day`, all inclusive."""

    first: date
    day: date
    last: date

    def __contains__(self, on: date) -> bool:
        return self.first <= on <= self.last


@dataclass(frozen=True, slots=True)
class _Move:
    """One effect of a document: it was posted, or it was voided."""

    document: Document
    effect: Effect
    what: str


@dataclass(frozen=True, slots=True)
class _Line:
    """What is one movement on either side. held: by side, None where that side has none · side: whose customer it is"""

    held: tuple[_Move | None, ...]
    side: Subledger

    @property
    def one(self) -> _Move:
        return next(m for m in self.held if m)

    def finding(self, window: _Window, names: Sequence[str]) -> str:
        """What is to be looked at: on both sides but in different periods, or on one side only."""
        if len(self.held) < 2:
            return ""
        if None in self.held:
            return f"{self.one.what} only in {names[0] if self.held[0] else names[1]}".strip()
        return "other period" if len({m.effect.on <= window.day for m in self.held if m}) > 1 else ""


def build(books: Sequence[Books], *, as_of: date, days: int = DAYS) -> Report:
    """Everything posted or voided from `days` before the end of `as_of` to `days` after it, on both sides.

    A document that was posted before and voided within counts with its void, on the day of that. With two sides, a
    movement is beside its counterpart, also where that lies outside of the window.
    """
    sides = ledger.ledgers(books)
    window = _Window(as_of - timedelta(days=days - 1), as_of, as_of + timedelta(days=days))
    lines = _lines(sides, window)
    names = [side.name for side in sides]
    return Report(
        name="cut-off",
        title="Cut-off",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_sums(sides, lines, window, names), _table(sides, lines, window, names)),
        proofs=(*_proofs(sides, lines, window), *sources.proofs(sides, as_of)),
        notes=(*sources.notes(sides, as_of), *_notes(sides), layout.signs(sides[:1])),
        parameters={"window": f"{window.first} to {window.last}"},
    )


def _lines(sides: Sequence[Subledger], window: _Window) -> list[_Line]:
    """In order of currency and the earliest day."""
    found: dict[tuple[str, str], list[_Move | None]] = {}
    near: dict[tuple[str, str], Subledger] = {}
    for n, side in enumerate(sides):
        for key, r in side.by_key.items():
            at = side.books.links.get(key) or f"{n}/{key[0]}/{key[1]}"
            for what, effect in zip((_ENTERED, _VOIDED), side.moves(r), strict=False):
                found.setdefault((at, what), [None for _ in sides])[n] = _Move(r, effect, what)
                if effect.on in window:
                    near.setdefault((at, what), side)
    lines = [_Line(tuple(found[at]), side) for at, side in near.items()]
    return sorted(
        lines, key=lambda x: (x.one.document.currency, min(m.effect.on for m in x.held if m), x.one.document.ref.id)
    )


def _within(lines: Sequence[_Line], n: int, currency: str, first: date, last: date) -> list[Decimal]:
    """What moved a side from one day to another, both inclusive."""
    held = [m.effect for x in lines if (m := x.held[n]) and m.effect.currency == currency]
    return [e.amount for e in held if first <= e.on <= last]


def _currencies(lines: Sequence[_Line]) -> list[str]:
    return sorted({m.effect.currency for x in lines for m in x.held if m})


def _periods(window: _Window) -> tuple[tuple[str, date, date], ...]:
    return (
        (f"up to {window.day}", window.first, window.day),
        ("after it", window.day + timedelta(days=1), window.last),
    )


def _sums(sides: Sequence[Subledger], lines: Sequence[_Line], window: _Window, names: Sequence[str]) -> Table:
    """Up to the day and after it: how many movements, and what they add to receivables; and what to look at.

    The two are not added up: they belong to two periods.
    """
    group = (Column("count", "movements", "count"), Column("amount", "amount", "money"))
    columns = (Column("what", "what", width=24), layout.CURRENCY, *layout.beside(group, sides))
    rows: list[Row] = []
    for currency in _currencies(lines):
        for title, first, last in _periods(window):
            cells: list[Cell] = []
            for n in range(len(sides)):
                own = _within(lines, n, currency, first, last)
                cells += [len(own), tidy(sum(own, ZERO))]
            rows.append(Row((title, currency, *cells)))
    note = ""
    if len(sides) == 2:
        told = [x.finding(window, names) for x in lines]
        other, alone = told.count("other period"), sum("only in " in t for t in told)
        note = f"{other:,} in another period on the other side, {alone:,} on one side only."
    return Table("periods", "Around the date", columns, tuple(rows), note)


def _table(sides: Sequence[Subledger], lines: Sequence[_Line], window: _Window, names: Sequence[str]) -> Table:
    two = len(sides) == 2
    outside = any(m and m.effect.on not in window for x in lines for m in x.held)
    group = (
        Column("document", "document", width=18),
        Column("dated", "dated", "date"),
        Column("posted", "posted", "date"),
        Column("voided", "voided on", "date"),
        Column("before", "up to the day", "money"),
        Column("after", "after it", "money"),
        *((Column("outside", "outside these days", "money"),) if outside else ()),
    )
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=18),
        *layout.beside(group, sides),
        *((Column("finding", "to look at", width=24),) if two else ()),
    )
    details: list[tuple[Cell, ...]] = []
    for x in lines:
        owned = x.held[next(n for n, side in enumerate(sides) if side is x.side)] or x.one
        party = x.side.party(owned.document.customer)
        cells = [cell for m in x.held for cell in _cells(m, window, outside=outside)]
        finding = (x.finding(window, names),) if two else ()
        what = f"{ledger.kind_of(x.one.document)}{x.one.what}"
        details.append((party.number, party.name, x.one.document.currency, what, *cells, *finding))
    return Table("documents", "Documents around the date", columns, layout.totalled(columns, details))


def _cells(move: _Move | None, window: _Window, *, outside: bool) -> tuple[Cell, ...]:
    if move is None:
        return ("", None, None, None, None, None, *((None,) if outside else ()))
    r, on, amount = move.document, move.effect.on, tidy(move.effect.amount)
    before, after = window.first <= on <= window.day, window.day < on <= window.last
    amounts = [amount if here else None for here in (before, after, not (before or after))]
    return (ledger.number_of(r), ledger.day_of(r), r.posted, ended(r), *amounts[: 3 if outside else 2])


def _proofs(sides: Sequence[Subledger], lines: Sequence[_Line], window: _Window) -> Iterator[Proof]:
    """That nothing is left out: the movements are by what receivables moved."""
    for n, side in enumerate(sides):
        ends = [side.by_effects(d) for d in (window.first - timedelta(days=1), window.day, window.last)]
        for currency in _currencies(lines):
            balances = [end.get(currency, ZERO) for end in ends]
            for (title, first, last), was, now in zip(_periods(window), balances, balances[1:], strict=False):
                ours, theirs = tidy(sum(_within(lines, n, currency, first, last), ZERO)), tidy(now - was)
                claim = f"{side.name}: what is listed {title} in {currency} is what receivables moved by"
                yield Proof(claim, ours, theirs, ours == theirs, currency)


def _notes(sides: Sequence[Subledger]) -> Iterator[str]:
    if len(sides) == 2:
        yield "Documents stand beside each other where the comparison of both ledgers finds that they are one."
    if any(not side.books.open_only and _without_payments(side) for side in sides):
        yield "A ledger that shows no payments can be looked at for invoices and credit memos only."


def _without_payments(side: Subledger) -> bool:
    return not any(key[0] is Entity.PAYMENT for key in side.by_key)
