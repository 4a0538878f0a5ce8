"""The bridge from ledger A's open receivables to ledger B's: every document that differs in one line, remainder zero.

The layout is that of a reconciliation statement: control account of A, subledger of A, the
lines, subledger of B, control account of B; what only moves between documents beside it; and the proofs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from tieout.compare.base import ONE_RATE, ROUNDED, Based, in_base
from tieout.compare.codes import UNTRACED
from tieout.compare.ledgers import Compared
from tieout.compare.result import money
from tieout.model import ZERO, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Bar, Cell, Chart, Column, Report, Row, Style, Table
from tieout.reports.reconciliation import bridge_proofs, zero_sum
from tieout.reports.reconciliation.bridge_lines import Amounts, Bridged, Line, Step, bridged, line_of
from tieout.reports.stated import Tie, ties
from tieout.sync.core.past import Standing


def build(
    books: Sequence[Books],
    compared: Compared,
    *,
    as_of: date,
    base: str | None = None,
    threshold: Mapping[str, Decimal] | None = None,
    known: Mapping[str, Standing] | None = None,
    at: datetime | None = None,
) -> Report:
    """The bridge from the first books (A) to the second (B).

    compared: of exactly these books, as of the day · base: both ledgers' home currency; None leaves base currency out
    threshold: per currency; differences below it are summed in one line · known: how each stood in the list, at `at`
    """
    bridge = bridged(compared, in_base(compared, base) if base else None, threshold or {})
    sides = ledger.ledgers(books)
    unrated = bridge.based is not None and bridge.based.unrated
    return Report(
        name="bridge",
        title=f"Bridge from {books[0].name} (A) to {books[1].name} (B)",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _statement(bridge, [ties(side, as_of) for side in sides]),
            *([_base_bridge(bridge, bridge.based)] if bridge.based else []),
            zero_sum.table(sides, compared, as_of),
            bridge_proofs.records(compared, sides),
            _differences("differences", "Differences that move a total, document by document", bridge, known or {}, at),
            _differences("others", "Differences that move no total", _rest(bridge), known or {}, at),
            *([_unrated(bridge.based)] if bridge.based and unrated else []),
        ),
        charts=tuple(_charts(bridge)),
        proofs=tuple(bridge_proofs.proofs(bridge, sides, as_of)),
        notes=(*bridge_proofs.notes(sides, bridge, as_of), *sources.notes(sides, as_of)),
        parameters=_parameters(bridge),
        provenance={"hashes": bridge_proofs.hashes(books, compared)},
    )


def _parameters(bridge: Bridged) -> dict[str, str]:
    told = {f"reporting threshold {c}": money(v, c) for c, v in sorted(bridge.below.items())}
    return told | ({"base currency": bridge.base} if bridge.base else {})


# ── the statement ────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(base: str | None) -> tuple[Column, ...]:
    return (
        Column("line", "line", width=6),
        Column("what", "what", width=58),
        Column("code", "code", width=24),
        layout.CURRENCY,
        Column("count", "differences", "count"),
        Column("amount", "amount", "money"),
        Column("unconfirmed", "without confirmed cause", "money"),
        *((Column("base", f"in {base}", "money", currency=base),) if base else ()),
    )


def _statement(bridge: Bridged, stated: Sequence[Sequence[Tie]]) -> Table:
    """Control account, subledger and lines of A, then of B; for each currency."""
    base, result = bridge.base, bridge.compared.result
    rows: list[Row] = []
    for currency in bridge.currencies:
        own = bridge.of(currency)
        left, right = bridge.ends(currency)
        rows += [
            _row(line, currency, base) for tie in stated[0] if tie.balance.currency == currency
            for line in _control(tie, "A", result.left.name, left[0])
        ]  # fmt: skip
        first = len(rows)
        rows.append(_end("SL A", f"open receivables per {result.left.name}", currency, left, "opening"))
        rows += [Row(cells) for cells in _lines(own, currency, base)]
        total = _cells(_LISTED, currency, own, base)
        rows.append(Row(total, "subtotal", ((first + 1, len(rows)),)))
        # B less A less what is listed, as a workbook adds it up.
        signed = ((1, len(rows) + 1), (-1, first), (-1, len(rows) - 1))
        formula = {"amount": signed} | ({"base": signed} if base else {})
        rest = _end("", "remainder", currency, bridge.remainder(currency), "subtotal")
        rows.append(replace(rest, formula=formula))
        rows.append(_end("SL B", f"open receivables per {result.right.name}", currency, right, "closing"))
        rows += [
            _row(line, currency, base) for tie in stated[1] if tie.balance.currency == currency
            for line in reversed(_control(tie, "B", result.right.name, right[0]))
        ]  # fmt: skip
    note = "A line's amount leads from A to B. Each line is listed document by document in the table of differences."
    return Table("bridge", "Bridge", _columns(base), tuple(rows), note)


def _end(line: str, what: str, currency: str, amounts: Amounts, style: Style) -> Row:
    cells: tuple[Cell, ...] = (line, what, "", currency, None, amounts[0], None)
    return Row((*cells, amounts[1]) if amounts[1] is not None else cells, style)


_ALONE = "A line that names no document moves the amounts in base currency only, and is of several documents together."
_BASE_CAUSES = {ROUNDED: "rounding of each document by itself", ONE_RATE: "a rate that one ledger alone states"}
_STATES = {"closed": "resolved after the day"}  # of the list, of what the comparison as of the day finds
_LISTED = Line((0, 0, 0), "", "listed differences", "")


def _lines(own: Sequence[Step], currency: str, base: str | None) -> Iterator[tuple[Cell, ...]]:
    for line in sorted({s.line for s in own}):
        here = [s for s in own if s.line == line]
        yield _cells(line, currency, here, base)


def _cells(line: Line, currency: str, some: Sequence[Step], base: str | None) -> tuple[Cell, ...]:
    loose = sum((abs(s.amount) for s in some if s.difference and not s.difference.confirmed), ZERO)
    cells: tuple[Cell, ...] = (
        line.number,
        line.title,
        line.code,
        currency,
        len({s.difference.id for s in some if s.difference}),
        tidy(sum((s.amount for s in some), ZERO)),
        tidy(loose),
    )
    return (*cells, tidy(sum((s.base or ZERO for s in some), ZERO))) if base else cells


Told = tuple[str, str, str, Decimal | None]


def _control(tie: Tie, letter: str, name: str, subledger: Decimal) -> list[Told]:
    """What the source states for an account, and the way from there to the subledger, in the order of A.

    The lines of B lead the other way, and are read from the last.
    """
    b, way = tie.balance, 1 if letter == "A" else -1
    head: Told = (f"GL {letter}", f"{b.report}, account {b.account}, per {name}", "", tidy(b.amount))
    if tie.documents is None or tie.on_day is None:
        return [head, (f"{letter}9", "which documents it is about cannot be told", "", None)]
    other, later, gap = subledger - tie.on_day, tie.on_day - tie.documents, tie.documents - b.amount
    basis = "documents dated later, which a figure of now counts"
    lines: list[Told] = [
        (f"{letter}3", "documents on other accounts", "", tidy(way * other)),
        (f"{letter}5", basis, "", tidy(way * later)),
    ]
    what = "untraced between account and documents (must be 0)"
    last: Told = (f"{letter}9", what, UNTRACED if gap else "", tidy(way * gap))
    return [head, *(line for line in lines if line[3]), last]


def _row(told: Told, currency: str, base: str | None) -> Row:
    line, what, code, amount = told
    cells: tuple[Cell, ...] = (line, what, code, currency, None, amount, None)
    return Row((*cells, None) if base else cells)


def _base_bridge(bridge: Bridged, based: Based) -> Table:
    """All currencies in one, in base currency."""
    steps, names = bridge.steps, bridge.compared.result
    first, last = (f"open receivables per {side.name}, of documents with a rate" for side in (names.left, names.right))
    columns = (
        Column("line", "line", width=6),
        Column("what", "what", width=58),
        Column("code", "code", width=24),
        layout.CURRENCY,
        Column("count", "differences", "count"),
        Column("amount", "amount", "money"),
    )
    left, right = (sum(side.values(), ZERO) for side in (based.left, based.right))
    rows = [Row(("SL A", first, "", based.base, None, tidy(left)), "opening")]
    for line in sorted({s.line for s in steps}):
        here = [s for s in steps if s.line == line]
        amount = tidy(sum((s.base or ZERO for s in here), ZERO))
        if amount:
            count = len({s.difference.id for s in here if s.difference})
            rows.append(Row((line.number, line.title, line.code, based.base, count, amount)))
    moved = sum((s.base or ZERO for s in steps), ZERO)
    listed = (1, len(rows))
    rows.append(Row(("", "listed differences", "", based.base, None, tidy(moved)), "subtotal", (listed,)))
    signed = ((1, len(rows) + 1), (-1, 0), (-1, len(rows) - 1))
    rest = tidy(right - left - moved)
    rows.append(Row(("", "remainder", "", based.base, None, rest), "subtotal", formula={"amount": signed}))
    rows.append(Row(("SL B", last, "", based.base, None, tidy(right)), "closing"))
    note = (
        "Each document at its own ledger's rate, rounded half up by itself. Documents of which no rate is stated are "
        "in no figure here; they are listed."
    )
    return Table("base", f"Bridge of all currencies in {based.base}", columns, tuple(rows), note)


# ── what stands behind it ────────────────────────────────────────────────────────────────────────────────────────


def _rest(bridge: Bridged) -> Bridged:
    """What stands in no line: between documents, customers or dates, or in the quality of the data."""
    listed = {s.difference.id for s in bridge.steps if s.difference}
    rest = [d for d in bridge.compared.result.discrepancies if d.id not in listed]
    steps = [Step(line_of(d), d.currency or "", ZERO, ZERO if bridge.based else None, d) for d in rest]
    return replace(bridge, steps=tuple(sorted(steps, key=lambda s: (s.currency, s.line))))


def _differences(key: str, title: str, bridge: Bridged, known: Mapping[str, Standing], at: datetime | None) -> Table:
    """The differences of some lines by their documents."""
    base, moves = bridge.base, key == "differences"
    columns = (
        Column("line", "line", width=12),
        Column("id", "difference", width=18, aside=True),
        Column("code", "code", width=24),
        Column("also", "also", width=20, aside=True),
        Column("kind", "kind", width=14, aside=True),
        Column("left", "in A", width=18),
        Column("right", "in B", width=18),
        Column("customer", "customer", width=26),
        layout.CURRENCY,
        Column("field", "field", width=12),
        Column("left_value", "A says", width=16),
        Column("right_value", "B says", width=16),
        Column("amount", "moves A to B by", "money"),
        *((Column("base", f"in {base}", "money", currency=base),) if base else ()),
        Column("confirmed", "cause confirmed", width=10, aside=True),
        *((Column("state", "state", width=12, aside=True), Column("days_open", "days open", "days")) if at else ()),
        Column("cause", "cause", width=50),
        Column("remedy", "what to do", width=40),
    )
    customers = {(d.side, d.kind, d.id): d.customer for c in bridge.compared.clusters for d in c.documents}
    details: list[tuple[Cell, ...]] = []
    for s in (s for s in bridge.steps if s.difference):
        d = s.difference
        assert d is not None
        owed = customers.get(("left", d.kind, d.left or "")) or customers.get(("right", d.kind, d.right or ""))
        now = known.get(d.id)
        state = _STATES.get(now.state, now.state) if now else ""
        stood = (state, (at - now.open_since).days if now else None) if at else ()
        says = layout.says(d.field, d.left_value), layout.says(d.field, d.right_value)
        priced = (tidy(s.amount), *((tidy(s.base or ZERO),) if base else ()))
        details.append(
            (
                s.line.number if moves else "", d.id, d.code, ", ".join(d.secondary), d.kind.replace("_", " "),
                d.left_label, d.right_label, owed or d.customer or "", s.currency, d.field, *says, *priced,
                "yes" if d.confirmed else "no", *stood, d.cause, d.remedy,
            )
        )  # fmt: skip
    # What moves nothing has nothing to add up.
    if not moves:
        return Table(key, title, columns, tuple(map(Row, details)))
    alone = [_of_base_alone(s, columns) for s in bridge.steps if s.difference is None]
    at_currency = columns.index(layout.CURRENCY)
    details = sorted([*details, *alone], key=lambda cells: str(cells[at_currency]))
    return Table(key, title, columns, layout.totalled(columns, details), _ALONE if alone else "")


def _of_base_alone(s: Step, columns: Sequence[Column]) -> tuple[Cell, ...]:
    """What only base currency has, of all documents of a currency: with it the list adds up to the bridge's lines."""
    cause = _BASE_CAUSES.get(s.line.code, "exchange rates that differ")
    known: dict[str, Cell] = {
        "line": s.line.number, "code": s.line.code, "currency": s.currency, "base": tidy(s.base or ZERO),
        "amount": tidy(s.amount), "cause": f"{cause}; of several documents together",
    }  # fmt: skip
    return tuple(known.get(c.key, "" if c.kind == "text" else None) for c in columns)


def _unrated(based: Based) -> Table:
    columns = (
        Column("books", "books", width=6),
        Column("kind", "kind", width=14),
        Column("document", "document", width=18),
        Column("customer", "customer", width=26),
        Column("posted", "posted", "date"),
        layout.CURRENCY,
        Column("amount", "open receivables", "money"),
    )
    details: list[tuple[Cell, ...]] = [
        (
            "A" if d.side == "left" else "B",
            d.kind.replace("_", " "),
            d.label,
            d.customer,
            d.posted,
            d.currency,
            d.effect,
        )
        for d in sorted(based.unrated, key=lambda d: (d.currency, d.side, d.kind, d.id))
    ]
    title = f"Documents without a rate: not in the figures in {based.base}"
    # Two ledgers of the same receivables are not added up.
    return Table("unrated", title, columns, tuple(map(Row, details)))


def _charts(bridge: Bridged) -> Iterator[Chart]:
    """A waterfall for each currency, and one for all of them in base currency."""
    result = bridge.compared.result
    names = f"A  {result.left.name}", f"B  {result.right.name}"
    for currency in bridge.currencies:
        ends = [end[0] for end in bridge.ends(currency)]
        moves = [(s.line, s.amount) for s in bridge.of(currency)]
        yield Chart(f"bridge_{currency}", f"Bridge in {currency}", "waterfall", currency, _bars(names, ends, moves))
    if bridge.based:
        ends = [sum(side.values(), ZERO) for side in (bridge.based.left, bridge.based.right)]
        moves = [(s.line, s.base or ZERO) for s in bridge.steps]
        title = f"Bridge of all currencies in {bridge.base}"
        yield Chart("bridge_base", title, "waterfall", bridge.based.base, _bars(names, ends, moves))


def _bars(names: tuple[str, str], ends: Sequence[Decimal], moves: Iterable[tuple[Line, Decimal]]) -> tuple[Bar, ...]:
    sums: dict[tuple[tuple[int, int], str], Decimal] = defaultdict(lambda: ZERO)
    for line, amount in moves:
        sums[line.order[:2], line.title] += amount
    steps = [Bar(label, tidy(amount)) for (_, label), amount in sorted(sums.items()) if amount]
    return (Bar(names[0], tidy(ends[0]), total=True), *steps, Bar(names[1], tidy(ends[1]), total=True))
