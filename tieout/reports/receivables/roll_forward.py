"""Roll-forward: from what was open on one day to what is open on another, by kind of movement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from tieout.mapping.balances import Key
from tieout.model import ZERO, AdjustmentKind, CreditMemo, Document, Invoice, Payment, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Bar, Cell, Chart, Column, Proof, Report, Row, Style, Table
from tieout.reports.ledger import Subledger

_K = AdjustmentKind
# Line: its title. Every kind of movement has one.
LINES = {
    "invoices": "invoices",
    "debit_memos": "debit memos and finance charges",
    "credit_memos": "credit memos",
    "payments": "payments received",
    "refunds": "refunds",
    "returned": "returned payments and chargebacks",
    "write_offs": "write-offs",
    "discounts": "discounts",
    "deductions": "withholding and deductions",
    "deposits": "deposits",
    "journals": "journals and opening balances",
    "voids": "voided documents",
    "crossing": "applied across currencies",
    "exchange": "exchange differences",
}
_OF = {
    _K.DISCOUNT: "discounts",
    _K.WRITE_OFF: "write_offs",
    _K.WITHHOLDING: "deductions",
    _K.FINANCE_CHARGE: "debit_memos",
    _K.DEBIT_MEMO: "debit_memos",
    _K.REFUND: "refunds",
    _K.RETURNED_PAYMENT: "returned",
    _K.CHARGEBACK: "returned",
    _K.DEDUCTION: "deductions",
    _K.DEPOSIT: "deposits",
    _K.JOURNAL: "journals",
    _K.FX_REALIZED: "exchange",
    _K.OPENING_BALANCE: "journals",
}


def line_of(document: Document) -> str:
    """The line that a document stands in."""
    match document:
        case Invoice():
            return "invoices"
        case CreditMemo():
            return "credit_memos"
        case Payment():
            return "payments"
        case _:
            return _OF[document.kind]


@dataclass(slots=True)
class _Line:
    """base: None once a part has no rate"""

    count: int = 0
    amount: Decimal = ZERO
    base: Decimal | None = ZERO

    def add(self, amount: Decimal, base: Decimal | None, count: int = 1) -> None:
        self.count += count
        self.amount += amount
        self.base = None if base is None or self.base is None else self.base + base

    def join(self, other: _Line) -> None:
        """Take in a line of another currency: home amounts add up, amounts do not."""
        self.add(ZERO, other.base, other.count)


@dataclass(slots=True)
class _Roll:
    """One side in one currency."""

    opening: _Line = field(default_factory=_Line)
    lines: dict[str, _Line] = field(default_factory=lambda: defaultdict(_Line))
    closing: _Line = field(default_factory=_Line)

    @property
    def moved(self) -> Decimal:
        return sum((line.amount for line in self.lines.values()), ZERO)


def build(
    books: Sequence[Books],
    *,
    as_of: date,
    since: date,
    then: Sequence[Books] = (),
    then_known_on: datetime | None = None,
) -> Report:
    """Opening (end of the day before `since`), movements from `since` to `as_of`, both inclusive, closing.

    then: the same sides as they were known when the opening was signed off, for what was dated back since
    """
    if since > as_of:
        raise ValueError(f"the period begins on {since}, after it ends on {as_of}")
    sides = ledger.ledgers(books)
    opening = since - timedelta(days=1)
    rolls = [_roll(side, opening, as_of) for side in sides]
    back = _back_dated(sides, ledger.ledgers(then), opening) if then else ()
    return Report(
        name="roll-forward",
        title="Roll-forward of receivables",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_table(sides, rolls, opening, as_of), *_in_home(sides, rolls, opening, as_of), *back),
        charts=tuple(_charts(sides, rolls)),
        proofs=(*_proofs(sides, rolls, as_of), *sources.proofs(sides, as_of)),
        notes=(*sources.notes(sides, as_of), *_notes(sides, told=bool(then)), layout.signs(sides)),
        parameters={"from": since.isoformat()}
        | ({"opening as known on": then_known_on.isoformat(timespec="minutes")} if then_known_on else {}),
    )


def _roll(side: Subledger, opening: date, closing: date) -> dict[str, _Roll]:
    """By currency: opening and closing by open items, the movements between by the documents' effects."""
    found: dict[str, _Roll] = defaultdict(_Roll)
    for item in side.items(closing):
        found[item.currency].closing.add(item.amount, item.base)
    if side.books.open_only:
        return dict(found)
    for item in side.items(opening):
        found[item.currency].opening.add(item.amount, item.base)
    for document in side.documents:
        for n, e in enumerate(side.moves(document)):
            if opening < e.on <= closing and e.amount:
                line = "voids" if n else line_of(document)
                found[e.currency].lines[line].add(e.amount, side.base(e.amount, document))
    before, after = side.crossing(opening), side.crossing(closing)
    for currency in {*before, *after}:
        moved = after.get(currency, ZERO) - before.get(currency, ZERO)
        if moved:
            found[currency].lines["crossing"].add(moved, None, count=0)
    for roll in found.values():
        _exchange(roll)
    return dict(found)


def _exchange(roll: _Roll) -> None:
    """What home currency gained or lost: documents leave at their own rate, what settles them comes at another."""
    parts = [roll.opening.base, *(line.base for line in roll.lines.values())]
    if roll.closing.base is None or any(p is None for p in parts):
        return
    rest = roll.closing.base - sum((p for p in parts if p is not None), ZERO)
    if rest:
        roll.lines["exchange"].add(ZERO, rest, count=0)


def _table(sides: Sequence[Subledger], rolls: Sequence[Mapping[str, _Roll]], opening: date, closing: date) -> Table:
    foreign = any(side.foreign for side in sides)
    shown = ("count", "amount", "base") if foreign else ("count", "amount")
    columns = (Column("line", "line", width=34), layout.CURRENCY, *_figures(sides, shown, apart="amount"))
    rows: list[Row] = []
    for currency in sorted({c for roll in rolls for c in roll}):
        own = [roll.get(currency, _Roll()) for roll in rolls]
        lines = _lines(sides, own, opening, closing)
        block = [_row((title, currency), parts, style, shown, apart="amount") for title, parts, style in lines]
        rows += _closed(columns, block, first=len(rows))
    return Table("roll_forward", "Roll-forward", columns, tuple(rows))


def _in_home(
    sides: Sequence[Subledger], rolls: Sequence[Mapping[str, _Roll]], opening: date, closing: date
) -> tuple[Table, ...]:
    """All currencies together in home currency, where there are several and both ledgers are kept in the same."""
    home, shown = sides[0].home, ("count", "base")
    if home is None or any(side.home != home for side in sides) or len({c for roll in rolls for c in roll}) < 2:
        return ()
    columns = (Column("line", "line", width=34), *_figures(sides, shown, apart="base"))
    lines = _lines(sides, [_joined(roll.values()) for roll in rolls], opening, closing)
    block = [_row((title,), parts, style, shown, apart="base") for title, parts, style in lines]
    title = f"Roll-forward of all currencies in {home}"
    return (Table("roll_forward_home", title, columns, tuple(_closed(columns, block, first=0))),)


def _joined(rolls: Iterable[_Roll]) -> _Roll:
    """All currencies of one side: counts and home amounts."""
    made = _Roll()
    for roll in rolls:
        made.opening.join(roll.opening)
        made.closing.join(roll.closing)
        for key, line in roll.lines.items():
            made.lines[key].join(line)
    return made


def _figures(sides: Sequence[Subledger], shown: Sequence[str], *, apart: str) -> tuple[Column, ...]:
    """What is shown of each line: the figures of each side, and the difference of two in `apart`."""
    every = {
        "count": Column("count", "documents", "count"),
        "amount": Column("amount", "amount", "money"),
        "base": layout.base(sides[0].home),
    }
    difference = layout.gap(apart, currency=every[apart].currency)
    return (*layout.beside([every[name] for name in shown], sides), *((difference,) if len(sides) == 2 else ()))


def _lines(
    sides: Sequence[Subledger], own: Sequence[_Roll], opening: date, closing: date
) -> Iterator[tuple[str, list[_Line | None], Style]]:
    """Opening, movements and closing of one currency, or of all; None for a side that cannot tell."""
    blind = [side.books.open_only for side in sides]
    yield f"open on {opening}", [None if b else r.opening for b, r in zip(blind, own, strict=True)], "opening"
    for key, title in LINES.items():
        if any(key in r.lines for r in own):
            parts = [None if b else r.lines.get(key, _Line()) for b, r in zip(blind, own, strict=True)]
            yield title, parts, "detail"
    yield f"open on {closing}", [r.closing for r in own], "closing"


def _row(lead: Sequence[Cell], own: Sequence[_Line | None], style: Style, shown: Sequence[str], *, apart: str) -> Row:
    """One line of the roll-forward; nothing for a side that cannot tell."""
    cells = [*lead, *(_cell(line, name) for line in own for name in shown)]
    if len(own) == 2:
        left, right = (getattr(line, apart) if line else None for line in own)
        cells.append(None if left is None or right is None else tidy(right - left))
    return Row(tuple(cells), style)


def _cell(line: _Line | None, name: str) -> Cell:
    value = getattr(line, name) if line else None
    return tidy(value) if isinstance(value, Decimal) else value


def _closed(columns: Sequence[Column], rows: Sequence[Row], *, first: int) -> list[Row]:
    """The rows, of which the last adds up those before it, where each is known. first: where they begin in the table"""
    known = [all(row.cells[n] is not None for row in rows) for n in range(len(columns))]
    every = tuple((1, first + n) for n in range(len(rows) - 1))
    formula = {c.key: every for c, whole in zip(columns, known, strict=True) if whole and c.kind == "money"}
    return [*rows[:-1], replace(rows[-1], formula=formula)]


def _charts(sides: Sequence[Subledger], rolls: Sequence[Mapping[str, _Roll]]) -> Iterable[Chart]:
    for n, (side, own) in enumerate(zip(sides, rolls, strict=True)):
        for currency, roll in sorted(own.items()):
            steps = [Bar(LINES[k], roll.lines[k].amount) for k in LINES if k in roll.lines and roll.lines[k].amount]
            ends = Bar("opening", roll.opening.amount, total=True), Bar("closing", roll.closing.amount, total=True)
            title = layout.titled(f"Roll-forward in {currency}", side, sides)
            key = f"{layout.keyed('roll_forward', n, sides)}_{currency}"
            yield Chart(key, title, "waterfall", currency, (ends[0], *steps, ends[1]))


def _proofs(sides: Sequence[Subledger], rolls: Sequence[Mapping[str, _Roll]], as_of: date) -> Iterable[Proof]:
    """Opening and movements against the open items of the last day, which are found another way."""
    for side, own in zip(sides, rolls, strict=True):
        for currency, roll in sorted(own.items()):
            claim = f"{side.name}: opening and movements in {currency} add up to the open items on {as_of}"
            if side.books.open_only:
                claim += " (a list of open items shows no movements)"
                yield Proof(claim, None, roll.closing.amount, None, currency)
            else:
                ours = tidy(roll.opening.amount + roll.moved)
                yield Proof(claim, ours, tidy(roll.closing.amount), ours == roll.closing.amount, currency)


# ── dated back ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _back_dated(sides: Sequence[Subledger], then: Sequence[Subledger], opening: date) -> tuple[Table, ...]:
    """The opening as it was known then, what was dated back since, the opening now; and each document behind it."""
    changes = [_changes(now, was, opening) for now, was in zip(sides, then, strict=True)]
    columns = (
        Column("line", "line", width=34),
        layout.CURRENCY,
        *layout.beside((Column("count", "documents", "count"), Column("amount", "amount", "money")), sides),
    )
    was = [side.totals(opening) for side in then]
    now = [side.totals(opening) for side in sides]
    rows: list[Row] = []
    for currency in sorted({c for totals in (*was, *now) for c in totals}):
        moved = [[c.moved for c in side if c.currency == currency] for side in changes]
        for title, style, cells in (
            (f"open on {opening}, as known then", "opening", [(None, w.get(currency, ZERO)) for w in was]),
            ("back-dated changes", "detail", [(len(m), sum(m, ZERO)) for m in moved]),
            (f"open on {opening}, as known now", "closing", [(None, n.get(currency, ZERO)) for n in now]),
        ):
            flat = [c for count, amount in cells for c in (count, tidy(amount))]
            at = len(rows)
            formula = {c.key: ((1, at - 2), (1, at - 1)) for c in columns if c.kind == "money"}
            closing = formula if style == "closing" else {}
            rows.append(Row((title, currency, *flat), style, formula=closing))  # type: ignore[arg-type]
    title = "Opening then and now"
    tables = [Table("opening", title, columns, tuple(rows))]
    for n, (side, own) in enumerate(zip(sides, changes, strict=True)):
        tables.append(_documents(layout.keyed("back_dated", n, sides), layout.titled("Back-dated", side, sides), own))
    return tuple(tables)


@dataclass(frozen=True, slots=True)
class _Change:
    """A document whose part of the opening is not what it was. seen: when tieout first saw it, None if unknown"""

    document: Document
    customer: str
    number: str
    was: Decimal
    now: Decimal
    seen: datetime | None

    @property
    def moved(self) -> Decimal:
        return self.now - self.was

    @property
    def currency(self) -> str:
        return self.document.currency


def _changes(now: Subledger, was: Subledger, opening: date) -> list[_Change]:
    """Every document that counts otherwise in the opening than it did; one that changed its currency is two."""
    before, after = _parts(was, opening), _parts(now, opening)
    found = []
    for at in sorted({*before, *after}, key=lambda a: (a[1], a[0])):
        old, new = before.get(at, ZERO), after.get(at, ZERO)
        if old != new:
            key, _ = at
            side = now if at in after else was
            document = side.by_key[key]
            party = side.party(document.customer)
            found.append(_Change(document, party.name, party.number, old, new, now.books.first_seen.get(key)))
    return found


def _parts(side: Subledger, day: date) -> dict[tuple[Key, str], Decimal]:
    sums: dict[tuple[Key, str], Decimal] = defaultdict(lambda: ZERO)
    for key, document in side.by_key.items():
        for e in side.moves(document):
            if e.on <= day:
                sums[key, e.currency] += e.amount
    return dict(sums)


def _documents(key: str, title: str, changes: Sequence[_Change]) -> Table:
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("posted", "posted", "date"),
        Column("seen", "first seen", "date"),
        Column("then", "then", "money"),
        Column("now", "now", "money"),
        Column("change", "change", "money", adds=("now", "-then")),
    )
    details: list[tuple[Cell, ...]] = [
        (
            c.number,
            c.customer,
            c.currency,
            ledger.kind_of(c.document),
            ledger.number_of(c.document),
            c.document.posted,
            c.seen.date() if c.seen else None,
            tidy(c.was),
            tidy(c.now),
            tidy(c.moved),
        )
        for c in changes
    ]
    return Table(key, title, columns, layout.totalled(columns, details))


def _notes(sides: Sequence[Subledger], *, told: bool) -> Iterable[str]:
    for side in sides:
        if side.books.open_only:
            yield f"{side.name} is a list of open items: it cannot tell what moved, and no movement is made up for it."
    if not told:
        yield "What was dated back into the time before the opening is told with --opening-known-on, from a connection."
    if any(side.foreign for side in sides):
        yield (
            "In home currency each document stands at its own rate; exchange differences are what opening and "
            "movements leave to the closing: documents settled at another rate than they were booked at."
        )
