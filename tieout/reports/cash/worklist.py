"""The report `collections`: whom to call about overdue invoices, in which order, and what to know before the call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from tieout.model import ZERO, Adjustment, CreditMemo, Document, Invoice, Payment, tidy
from tieout.reports.books import Books
from tieout.reports.cash.dso import DAYS, Dso, dso
from tieout.reports.cash.paying import Day, day, days_late
from tieout.reports.cash.promises import Promise, standing
from tieout.reports.frame import Bar, Cell, Chart, Column, Proof, Report, Row, Table
from tieout.reports.layout import CURRENCY, PARTY, flat, signs, totalled
from tieout.reports.ledger import Item, Subledger, day_of, dues, kind_of, number_of
from tieout.reports.sources import notes, proofs

_TENTH = Decimal("0.1")
_CUSTOMERS = (
    Column("rank", "no.", "count", width=5),
    CURRENCY,
    *PARTY[:2],
    Column("contact", "contact", aside=True),
    Column("to_call", "to call about", "money"),
    Column("overdue", "overdue", "money"),
    Column("disputed", "disputed", "money"),
    Column("promised", "promised", "money"),
    Column("broken", "promise broken", "money"),
    Column("unapplied", "unapplied and credits", "money"),
    Column("oldest", "oldest item"),
    Column("days", "days overdue", "days"),
    Column("not_due", "not due yet", "money"),
    Column("late", "average days late", "rate"),
    Column("late_n", "of invoices", "count"),
    Column("dso", "DSO", "rate"),
    Column("weight", "amount × days", "rate"),
    Column("parent", "belongs to", aside=True),
)
_ITEMS = (
    Column("rank", "no.", "count", width=5),
    CURRENCY,
    *PARTY[:2],
    Column("kind", "document"),
    Column("document", "number"),
    Column("issued", "dated", "date"),
    Column("due", "due", "date"),
    Column("days", "days overdue", "days"),
    Column("open", "open", "money"),
    Column("standing", "standing"),
    Column("promise", "promised for", "date"),
    Column("po", "PO number"),
)
_SUMS = ("to_call", "overdue", "disputed", "promised", "broken", "unapplied", "not_due")


@dataclass(frozen=True, slots=True)
class Overdue:
    """An overdue part of an invoice or of another debit. days: overdue, 1 on the day after the due date

    standing: "" to be called about · disputed · promised: for a day that is still to come · promise broken
    """

    document: Document
    due: date
    days: int
    open: Decimal
    standing: str
    promise: date | None


@dataclass(slots=True)
class Account:
    """One customer in one currency. not_due: open and not due, or undated · credit: ≤ 0, unapplied money too"""

    customer: str
    currency: str
    items: list[Overdue]
    not_due: Decimal = ZERO
    credit: Decimal = ZERO

    def of(self, *standings: str) -> Decimal:
        return sum((i.open for i in self.items if i.standing in standings), ZERO)

    @property
    def to_call(self) -> Decimal:
        """What a call is about: overdue, not disputed or promised, and not covered by money that is already here."""
        return max(self.of("", "promise broken") + self.credit, ZERO)

    @property
    def weight(self) -> Decimal:
        """Amount × days of what is to be called about; 0 where money that is already here covers it."""
        asked = (i.open * i.days for i in self.items if i.standing in ("", "promise broken"))
        return sum(asked, ZERO) if self.to_call else ZERO

    @property
    def order(self) -> tuple[object, ...]:
        every = sum((i.open * i.days for i in self.items), ZERO)
        broken = self.of("promise broken")
        return self.currency, not self.to_call, not broken, -self.weight, -every, self.customer


def accounts(side: Day, promises: Iterable[Promise]) -> list[Account]:
    """Every customer with something open, in the order of the calls, currency by currency."""
    found: dict[tuple[str, str], Account] = {}
    promised = standing(promises, side)
    for item in side.ledger.items(side.as_of):
        key = item.document.customer, item.currency
        one = found.setdefault(key, Account(*key, []))
        if item.unapplied:
            one.credit += item.amount
            continue
        late = [(due, amount) for due, amount in dues(item.document, item.amount) if due and due < side.as_of]
        one.not_due += item.amount - sum((amount for _, amount in late), ZERO)
        one.items += _overdue(item, late, side.as_of, promised.get(item.document.ref.id))
    return sorted(found.values(), key=lambda a: a.order)


def _overdue(
    item: Item, late: Sequence[tuple[date, Decimal]], as_of: date, promise: Promise | None
) -> Iterator[Overdue]:
    """The overdue parts of a document, earliest first; one of which only some is promised is two."""
    invoice = item.document if isinstance(item.document, Invoice) else None
    disputed = "disputed" if invoice and invoice.disputed else ""
    rest = promise.amount if promise and invoice and not disputed else ZERO
    for due, amount in late:
        days = (as_of - due).days
        covered = min(amount, rest)
        rest -= covered
        if promise and covered:
            kept = "promised" if promise.on >= as_of else "promise broken"
            yield Overdue(item.document, due, days, covered, kept, promise.on)
        if amount > covered:
            yield Overdue(item.document, due, days, amount - covered, disputed, None)


def build(books: Books, *, as_of: date, promises: Sequence[Promise] = ()) -> Report:
    """Of one side: who is overdue, end of day `as_of`, in the order in which to call."""
    ledger = Subledger(books)
    side = day(ledger, as_of)
    every = accounts(side, promises)
    called = [a for a in every if a.items]
    settles = _settles(books)
    figures = dso(ledger.documents, as_of) if settles else []
    own = _by_customer(ledger, as_of) if settles else {}
    return Report(
        name="collections",
        title=f"Collections worklist: {books.name}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _customers(side, called, own),
            _list(side, called),
            _dso_table(figures),
            _count_back(figures),
        ),
        charts=_charts(side, called),
        proofs=(*_proofs(ledger, every, as_of), *proofs([ledger], as_of)),
        notes=(*_notes(side, promises, settles=settles), *notes([ledger], as_of), signs([ledger])),
        parameters={"overdue": "from the day after the due date", "DSO": f"last {DAYS} days of sales"},
    )


def _settles(books: Books) -> bool:
    """Whether the source shows what was settled, too: a list of what is open gives no DSO."""
    return not books.open_only and any(isinstance(r, Payment | CreditMemo | Adjustment) for r in books.records)


def _by_customer(ledger: Subledger, as_of: date) -> dict[tuple[str, str], Decimal | None]:
    """(customer, currency): its own DSO by the standard formula."""
    records: dict[str, list[Document]] = defaultdict(list)
    for r in ledger.documents:
        records[r.customer].append(r)
    return {(id, d.currency): d.standard for id, own in records.items() for d in dso(own, as_of)}


def _customers(side: Day, called: Sequence[Account], own: Mapping[tuple[str, str], Decimal | None]) -> Table:
    late = days_late(side)
    groups: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
    for rank, a in enumerate(called, 1):
        oldest = max(a.items, key=lambda i: (i.days, i.document.ref.id))
        who = side.customer(a.customer)
        days = late.get(a.customer, [])
        groups[a.currency].append(
            (
                rank,
                a.currency,
                *side.party(a.customer),
                ", ".join(c for c in (who.phone, who.email) if c) or None if who else None,
                a.to_call,
                sum((i.open for i in a.items), ZERO),
                a.of("disputed") or None,
                a.of("promised") or None,
                a.of("promise broken") or None,
                a.credit or None,
                number_of(oldest.document),
                oldest.days,
                a.not_due or None,
                average(days),
                len(days) or None,
                own.get((a.customer, a.currency)),
                a.weight.to_integral_value(ROUND_HALF_UP) or None,
                side.name(who.parent) if who and who.parent else None,
            )
        )
    rows = totalled(_CUSTOMERS, flat(groups), summed=_SUMS)
    note = (
        "Order: who has something to be called about first, broken promises before the rest, then by amount × days "
        "overdue, largest first; then disputes to be cleared. "
        "To call about: overdue, less disputed, promised and the money already here."
    )
    return Table("customers", "Whom to call", _CUSTOMERS, rows, note)


def average(days: Sequence[int]) -> Decimal | None:
    """The mean, to a tenth of a day; None of nothing."""
    return (Decimal(sum(days)) / len(days)).quantize(_TENTH, rounding=ROUND_HALF_UP) if days else None


def _list(side: Day, called: Sequence[Account]) -> Table:
    groups: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
    for rank, a in enumerate(called, 1):
        for i in sorted(a.items, key=lambda i: (-i.days, i.document.ref.id, i.standing)):
            d = i.document
            po = d.po_number if isinstance(d, Invoice) else None
            about = (i.due, i.days, i.open, i.standing or None, i.promise, po)
            called_ = (kind_of(d), number_of(d), day_of(d))
            groups[a.currency].append((rank, a.currency, *side.party(a.customer), *called_, *about))
    rows = totalled(_ITEMS, flat(groups), summed=("open",))
    return Table("items", "Overdue items", _ITEMS, rows, "In the order of the calls, the oldest item first.")


_DSO = (
    CURRENCY,
    Column("receivables", "receivables", "money"),
    Column("sales", f"sales of {DAYS} days", "money"),
    Column("standard", "DSO", "rate"),
    Column("count_back", "DSO, count-back", "rate"),
)
_BACK = (
    CURRENCY,
    Column("first", "from", "date"),
    Column("last", "to", "date"),
    Column("sales", "sales", "money"),
    Column("left", "receivables left", "money"),
    Column("days", "days counted", "rate"),
)


def _dso_table(found: Sequence[Dso]) -> Table:
    rows = tuple(Row((d.currency, tidy(d.receivables), tidy(d.sales), d.standard, d.count_back)) for d in found)
    note = (
        f"DSO = receivables ÷ sales of the last {DAYS} days × {DAYS}. Sales are invoices less credit memos, with tax; "
        "receivables are net of unapplied money. Count-back takes the sales of month after month off the receivables."
    )
    return Table("dso", "Days sales outstanding", _DSO, rows, note)


def _count_back(found: Sequence[Dso]) -> Table:
    rows = tuple(
        Row((d.currency, m.first, m.last, tidy(m.sales), tidy(m.left), m.days)) for d in found for m in d.months
    )
    note = "The last month counts in proportion. Without a figure above: the receivables are more than all sales."
    return Table("count_back", "Count-back", _BACK, rows, note)


def _charts(side: Day, called: Sequence[Account]) -> tuple[Chart, ...]:
    """Per currency, the ten customers with the most to call about."""
    charts = []
    for currency in sorted({a.currency for a in called}):
        top = sorted((a for a in called if a.currency == currency and a.to_call), key=lambda a: -a.to_call)[:10]
        bars = tuple(Bar(side.name(a.customer), a.to_call) for a in top)
        if bars:
            charts.append(Chart(f"to_call_{currency}", f"Most to call about, {currency}", "bars", currency, bars))
    return tuple(charts)


def _proofs(ledger: Subledger, every: Sequence[Account], as_of: date) -> tuple[Proof, ...]:
    """Per currency: overdue, not due, and all money and credits, against the effects of all documents."""
    ours: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for a in every:
        ours[a.currency] += sum((i.open for i in a.items), ZERO) + a.not_due + a.credit
    theirs = ledger.totals(as_of)
    claim = "overdue, not due and credits in {} add up to the effects of all documents"
    return tuple(
        Proof(claim.format(c), tidy(ours[c]), theirs.get(c, ZERO), ours[c] == theirs.get(c, ZERO), c)
        for c in sorted(ours)
    )


def _notes(side: Day, promises: Sequence[Promise], *, settles: bool) -> tuple[str, ...]:
    said = []
    undated = sum(any(due is None for due, _ in dues(i, a)) for i, a in side.invoices())
    if undated:
        said.append(f"{undated:,} open invoices state no due date; they are never overdue here.")
    if not promises:
        said.append("No promise to pay is on record: tieout report promise keeps one.")
    if not settles and side.documents:
        shows = "open items only" if side.ledger.books.open_only else "nothing that settles an invoice"
        said.append(f"The source shows {shows}: how late customers paid, and DSO, cannot be told from it.")
    return tuple(said)
