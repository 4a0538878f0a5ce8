"""The report `cash-forecast`: what open invoices should bring, week by week, and how well the method did before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from tieout.model import ZERO, Entity, Invoice, tidy
from tieout.plaintext import counted
from tieout.reports.books import Books
from tieout.reports.cash.expected import EARLY, ENOUGH, LATE, Basis, Expected, Histories, expect, histories, paid_within
from tieout.reports.cash.paying import Day, day, paid
from tieout.reports.cash.promises import Promise, standing
from tieout.reports.frame import Bar, Cell, Chart, Column, Proof, Report, Row, Table
from tieout.reports.layout import CURRENCY, PARTY, flat, signs, totalled
from tieout.reports.ledger import Subledger, dues
from tieout.reports.sources import notes, proofs

WEEKS = 13
MONTHS = 6  # of the back-test
AHEAD = 28  # days that each of its forecasts looks ahead
_TENTH = Decimal("0.1")
_LATER, _NO_DATE, _DISPUTED = WEEKS, WEEKS + 1, WEEKS + 2
_WEEKLY = (
    CURRENCY,
    Column("what", "when"),
    Column("first", "from", "date"),
    Column("last", "to", "date"),
    Column("expected", "expected", "money"),
    Column("promised", "promised", "money"),
    Column("together", "together", "money", adds=("expected", "promised")),
    Column("running", "running total", "money"),
    Column("early", "if paid early", "money"),
    Column("late", "if paid late", "money"),
)
_CUSTOMERS = (
    CURRENCY,
    *PARTY[:2],
    Column("open", "open", "money"),
    Column("soon", f"expected in {AHEAD} days", "money"),
    Column("undated", "without a date", "money"),
    Column("promised", "promised", "money"),
    Column("disputed", "disputed", "money"),
    Column("paid", "paid invoices", "count"),
    Column("basis", "expected by"),
    Column("early", f"days late, {EARLY} %", "days"),
    Column("median", "median", "days"),
    Column("late", f"{LATE} %", "days"),
)
_TEST = (
    CURRENCY,
    Column("day", "forecast of", "date"),
    Column("open", "open then", "money"),
    Column("expected", f"expected in {AHEAD} days", "money"),
    Column("low", "if paid late", "money"),
    Column("high", "if paid early", "money"),
    Column("received", "received", "money"),
    Column("error", "error", "money", adds=("expected", "-received")),
    Column("percent", "error, % of received", "percent"),
    Column("due", "by due dates alone", "money"),
    Column("due_percent", "its error, %", "percent"),
)


@dataclass(slots=True)
class Slot:
    """One line of the forecast of one currency."""

    expected: Decimal = ZERO
    promised: Decimal = ZERO
    early: Decimal = ZERO
    late: Decimal = ZERO

    def add(self, amount: Decimal) -> None:
        """An amount that is in every reading at once, since it has no day."""
        self.expected += amount
        self.early += amount
        self.late += amount


@dataclass(slots=True)
class Currency:
    """The forecast of one currency. slots: the weeks, later, without a date, disputed · rest: open, not invoices"""

    slots: list[Slot] = field(default_factory=lambda: [Slot() for _ in range(WEEKS + 3)])
    rest: Decimal = ZERO


def weeks(as_of: date) -> list[tuple[date, date]]:
    """First and last day of each: to the next Sunday, then from Monday to Sunday; a Sunday begins with a whole week."""
    first = as_of + timedelta(days=1)
    out = []
    for _ in range(WEEKS):
        last = first + timedelta(days=6 - first.weekday())
        out.append((first, last))
        first = last + timedelta(days=1)
    return out


def build(books: Books, *, as_of: date, promises: Sequence[Promise] = ()) -> Report:
    """Of one side: what its open invoices should bring after the day `as_of`."""
    ledger = Subledger(books)
    side = day(ledger, as_of)
    known = histories(side)
    given = promised(side, promises)
    parts = expect(side, known, {p.invoice: p.amount for p in given})
    found = forecast(side, parts, given)
    tests = backtest(ledger, as_of)
    return Report(
        name="cash-forecast",
        title=f"Cash forecast: {books.name}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_weekly(found, as_of), _customers(side, known, parts, given), _test_table(tests)),
        charts=tuple(_chart(c, f, as_of) for c, f in sorted(found.items())),
        proofs=(*_proofs(ledger, found, as_of), *proofs([ledger], as_of)),
        notes=(*_notes(side, known, tests), *notes([ledger], as_of), signs([ledger])),
        parameters={
            "weeks": f"{WEEKS}, from Monday to Sunday",
            "range": f"each invoice on its {EARLY} % and its {LATE} % day",
            "history": f"at least {ENOUGH} invoices paid later than this one is late today",
        },
    )


# ── the forecast ─────────────────────────────────────────────────────────────────────────────────────────────────────


def promised(side: Day, promises: Iterable[Promise]) -> list[Promise]:
    """The promises whose day is still to come, each at most over what is open; none of a disputed invoice."""
    kept = []
    for id, p in standing(promises, side).items():
        invoice = side.documents.get((Entity.INVOICE, id))
        amount = min(p.amount, side.open.get((Entity.INVOICE, id), ZERO))
        if isinstance(invoice, Invoice) and not invoice.disputed and amount > 0 and p.on >= side.as_of:
            kept.append(replace(p, amount=amount))
    return kept


def forecast(side: Day, parts: Iterable[Expected], given: Iterable[Promise]) -> dict[str, Currency]:
    """currency: its lines; over all of them expected + promised, early, and late each add up to the open invoices.

    parts: without what is promised
    """
    found: dict[str, Currency] = defaultdict(Currency)
    ends = [last for _, last in weeks(side.as_of)]

    def slot(currency: str, on: date | None) -> Slot:
        at = _NO_DATE if on is None else next((n for n, last in enumerate(ends) if on <= last), _LATER)
        return found[currency].slots[at]

    for part in parts:
        currency = part.invoice.currency
        if part.invoice.disputed:
            found[currency].slots[_DISPUTED].add(part.open)
            continue
        for share in part.shares:
            slot(currency, share.on).expected += share.amount
        slot(currency, part.early).early += part.open
        slot(currency, part.late).late += part.open
    for p in given:
        one = slot(side.documents[Entity.INVOICE, p.invoice].currency, p.on)
        one.promised += p.amount
        one.early += p.amount
        one.late += p.amount
    for document, amount in side.others():
        found[document.currency].rest += amount
    return dict(found)


def _weekly(found: Mapping[str, Currency], as_of: date) -> Table:
    lines: list[tuple[str, date | None, date | None]] = [
        *((_week(first), first, last) for first, last in weeks(as_of)),
        ("later", weeks(as_of)[-1][1] + timedelta(days=1), None),
        ("no date to be told", None, None),
        ("disputed", None, None),
    ]
    rows: list[Row] = []
    for currency, one in sorted(found.items()):
        start, running = len(rows), ZERO
        for n, ((what, first, last), s) in enumerate(zip(lines, one.slots, strict=True)):
            together = s.expected + s.promised
            running += together
            dated = running if n <= _LATER else None
            sums = (s.expected, s.promised, together, dated, s.early, s.late)
            rows.append(Row((currency, what, first, last, *sums)))
        total = len(rows)
        rows.append(_total(one.slots, currency, start))
        rows.append(_only(currency, "credits, unapplied money and other debits", one.rest))
        closing = _only(currency, "open receivables", running + one.rest)
        rows.append(replace(closing, style="closing", formula={"together": ((1, total), (1, total + 1))}))
    note = (
        "Expected: each open invoice in shares, by how late those invoices were paid that took longer than it has by "
        f"today. If paid early, late: each invoice whole, on the day by which {EARLY} % and {LATE} % of those were "
        "paid. Promised money stands on its day, disputed money on none."
    )
    return Table("weeks", "Week by week", _WEEKLY, tuple(rows), note)


def _week(first: date) -> str:
    """Its number and its year by ISO 8601: around New Year that year is not always the date's own."""
    year, week, _ = first.isocalendar()
    return f"week {week}, {year}"


def _only(currency: str, what: str, amount: Decimal) -> Row:
    return Row((currency, what, None, None, None, None, amount, None, None, None))


def _total(slots: Sequence[Slot], currency: str, start: int) -> Row:
    expected, promised_, early, late = (
        sum((getattr(s, name) for s in slots), ZERO) for name in ("expected", "promised", "early", "late")
    )
    cells = (currency, "open invoices", None, None, expected, promised_, expected + promised_, None, early, late)
    return Row(cells, "total", sums=((start, start + len(slots)),))


def _customers(side: Day, known: Histories, parts: Sequence[Expected], given: Sequence[Promise]) -> Table:
    by: dict[tuple[str, str], list[Expected]] = defaultdict(list)
    kept: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for part in parts:
        by[part.invoice.customer, part.invoice.currency].append(part)
    for p in given:
        invoice = side.documents[Entity.INVOICE, p.invoice]
        kept[invoice.customer, invoice.currency] += p.amount
    groups: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
    soon = side.as_of + timedelta(days=AHEAD)
    for customer, currency in sorted({*by, *kept}, key=lambda k: (-_open(by[k]) - kept[k], k)):
        mine = by[customer, currency]
        dated = [p for p in mine if not p.invoice.disputed]
        own = known.own.get(customer)
        used = own if own and own.count >= ENOUGH else known.every if known.every.count >= ENOUGH else None
        groups[currency].append(
            (
                currency,
                *side.party(customer),
                _open(mine) + kept[customer, currency],
                sum((s.amount for p in dated for s in p.shares if s.on and s.on <= soon), ZERO),
                sum((s.amount for p in dated for s in p.shares if s.on is None), ZERO) or None,
                kept[customer, currency] or None,
                _open(p for p in mine if p.invoice.disputed) or None,
                own.count if own else 0,
                _said({p.basis for p in dated}),
                *((used.quantile(EARLY), used.quantile(50), used.quantile(LATE)) if used else (None, None, None)),
            )
        )
    rows = totalled(_CUSTOMERS, flat(groups), summed=("open", "soon", "undated", "promised", "disputed"))
    note = (
        f"Days late are those of the customer's own paid invoices, of {ENOUGH} or more; else of the whole ledger's. "
        "Expected by: what was used for its open invoices, one by one."
    )
    return Table("customers", "By customer", _CUSTOMERS, rows, note)


def _open(parts: Iterable[Expected]) -> Decimal:
    return sum((p.open for p in parts), ZERO)


def _said(used: set[Basis]) -> str | None:
    words = {"own": "own history", "ledger": "the whole ledger's", "due date": "due date", "none": "without a date"}
    return ", ".join(said for basis, said in words.items() if basis in used) or None


# ── how it did before ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Past:
    """One month end, one currency: what the method said then of the `AHEAD` days after it, and what came.

    due: by due dates alone: what was due by the end of those days, overdue invoices as well
    """

    currency: str
    day: date
    open: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    due: Decimal
    received: Decimal


def backtest(ledger: Subledger, as_of: date) -> list[Past]:
    """The last `MONTHS` month ends whose days are over by `as_of`, oldest first; none where there was no history."""
    if ledger.books.open_only:
        return []
    tests = []
    end = as_of - timedelta(days=AHEAD) + timedelta(days=1)
    for _ in range(MONTHS):
        end = end.replace(day=1) - timedelta(days=1)
        tests += _past(ledger, end)
    return sorted(tests, key=lambda t: (t.currency, t.day))


def _past(ledger: Subledger, month_end: date) -> list[Past]:
    """What the records that counted on the day gave then, and the money that came on the invoices open then."""
    then, end = day(ledger, month_end), month_end + timedelta(days=AHEAD)
    known = histories(then)
    if known.every.count < ENOUGH:
        return []
    parts = expect(then, known, {})
    open_then = {p.invoice.ref.id: p.invoice for p in parts}
    received = paid_within(paid(ledger, end), open_then, month_end + timedelta(days=1), end)

    def one(currency: str) -> Past:
        mine = [p for p in parts if p.invoice.currency == currency]
        return Past(
            currency,
            month_end,
            _open(mine),
            sum((s.amount for p in mine for s in p.shares if s.on and s.on <= end), ZERO),
            _open(p for p in mine if p.late and p.late <= end),
            _open(p for p in mine if p.early and p.early <= end),
            _open(p for p in mine if p.due and p.due <= end),
            received.get(currency, ZERO),
        )

    return [one(currency) for currency in sorted({p.invoice.currency for p in parts})]


def _test_table(tests: Sequence[Past]) -> Table:
    rows: list[Row] = []
    for currency in sorted({t.currency for t in tests}):
        start = len(rows)
        mine = [t for t in tests if t.currency == currency]
        rows += [Row(_test_cells(t)) for t in mine]
        total = Past(currency, mine[-1].day, *(sum((getattr(t, k) for t in mine), ZERO) for k in _SUMMED))
        cells = _test_cells(total)
        rows.append(Row((currency, None, *cells[2:]), "total", sums=((start, len(rows)),)))
    note = (
        "The same method, with what was known at the end of each month, held against the money that came on the "
        f"invoices open then in the {AHEAD} days after. Disputes and promises of that time are not known: those "
        "invoices count, too."
    )
    return Table("backtest", "How the method did before", _TEST, tuple(rows), note)


_SUMMED = ("open", "expected", "low", "high", "due", "received")


def _test_cells(t: Past) -> tuple[Cell, ...]:
    error, other = t.expected - t.received, t.due - t.received
    ranged = (t.low, t.high, t.received)
    return t.currency, t.day, t.open, t.expected, *ranged, error, _percent(error, t), t.due, _percent(other, t)


def _percent(error: Decimal, t: Past) -> Decimal | None:
    return (error * 100 / t.received).quantize(_TENTH, rounding=ROUND_HALF_UP) if t.received else None


def _chart(currency: str, one: Currency, as_of: date) -> Chart:
    bars = [
        Bar(first.isoformat(), s.expected + s.promised) for (first, _), s in zip(weeks(as_of), one.slots, strict=False)
    ]
    return Chart(f"weeks_{currency}", f"Expected by week, {currency}", "bars", currency, tuple(bars))


def _proofs(ledger: Subledger, found: Mapping[str, Currency], as_of: date) -> tuple[Proof, ...]:
    """Per currency: all weeks, and all that has none, against the effects of all documents."""
    theirs = ledger.totals(as_of)
    out = []
    for currency, one in sorted(found.items()):
        ours = tidy(sum((s.expected + s.promised for s in one.slots), ZERO) + one.rest)
        claim = f"all weeks and what has none in {currency} add up to the effects of all documents"
        out.append(Proof(claim, ours, theirs.get(currency, ZERO), ours == theirs.get(currency, ZERO), currency))
    return tuple(out)


def _notes(side: Day, known: Histories, tests: Sequence[Past]) -> tuple[str, ...]:
    said = []
    if known.every.count < ENOUGH:
        said.append(
            f"{counted(known.every.count, 'invoice')} of the source were paid in full with money, fewer than {ENOUGH}: "
            "each open one is expected on its due date, and one that is overdue has no date."
        )
    else:
        said.append(
            f"History: {known.every.count:,} invoices that were paid in full with money. Invoices that nobody paid yet "
            "are not in it, so that very late payers look better than they are."
        )
    undated = sum(1 for i, a in side.invoices() for due, _ in dues(i, a) if due is None)
    if undated:
        said.append(f"{undated:,} open invoices state no due date; they have no date here.")
    inside = sum(t.low <= t.received <= t.high for t in tests)
    if tests:
        said.append(
            f"In {inside} of {counted(len(tests), 'earlier forecast')}, one for each month end and currency, the money "
            "that came lay between paid late and paid early."
        )
    said.append(
        "Credits and unapplied money are not set against single weeks: which invoices they settle is not known."
    )
    return tuple(said)
