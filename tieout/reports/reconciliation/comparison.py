"""A comparison of two ledgers as a report: both sides, the bridge in every currency, every discrepancy, the sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from tieout.compare.render import unsearched
from tieout.compare.result import Bridge, Discrepancy, Result, money
from tieout.model import ZERO
from tieout.plaintext import counted
from tieout.reports import layout
from tieout.reports.frame import Bar, Cell, Chart, Column, Proof, Report, Row, Table

_CLASSES = {
    "T": "Changes the total",
    "Z": "Moves between documents",
    "G": "Subledger to ledger",
    "N": "No effect on the ledger",
}
_SIDES = (
    Column("side", ""), Column("ledger", "Ledger"), Column("records", "Records", "count"),
    Column("rejected", "Rejected", "count"), Column("documents", "Documents", "count"), Column("currency", "Currency"),
    Column("total", "Total", "money"), Column("open", "Open", "money"),
)  # fmt: skip
_BRIDGE = (
    Column("line", "Line"), Column("count", "Discrepancies", "count"), Column("currency", "Currency"),
    Column("amount", "Amount", "money"),
)  # fmt: skip
_FOUND = (
    Column("code", "Code"), Column("left_label", "A"), Column("right_label", "B"), Column("customer", "Customer"),
    Column("amount", "Amount", "money"), Column("field", "What"),
    Column("left_value", "A says"), Column("right_value", "B says"), Column("delta", "Delta", "money"),
    Column("currency", "Currency"), Column("cause", "Likely cause", width=36), Column("remedy", "Next", width=36),
)  # fmt: skip
_KEYS = (
    Column("id", "Id"), Column("secondary", "Further codes"), Column("class", "Class"), Column("severity", "Severity"),
    Column("kind", "Kind"), Column("left", "Id in A"), Column("right", "Id in B"),
)  # fmt: skip


def report(
    result: Result, *, title: str = "Ledger comparison", said: Mapping[str, Any] | None = None, keys: bool = False
) -> Report:
    """Everything that a comparison found. A = left, B = right.

    said: what made the report (when, by whom, with which program, parameters), shown with its sources
    keys: with the ids, classes and severities that programs and filters use, as further columns
    """
    counts = {"Matched": f"{result.matched:,}", "Discrepancies": f"{len(result.discrepancies):,}"}
    return Report(
        "compare",
        title,
        "",
        date.fromisoformat(result.as_of) if result.as_of else None,
        None,
        (
            _sides(result),
            *(bridge(c, b, result) for c, b in sorted(result.bridge.items())),
            _discrepancies(result, keys),
        ),
        tuple(waterfall(c, b, result) for c, b in sorted(result.bridge.items()) if b.lines),
        (*(_proof(c, b) for c, b in sorted(result.bridge.items())), *_stated(result)),
        tuple(_unread(result)),
        {"A": result.left.name, "B": result.right.name} | counts,
        {**(said or {}), "not looked at for groups": dict(zip("AB", result.crowded, strict=True)), **result.provenance},
    )


def bridge(currency: str, found: Bridge, result: Result) -> Table:
    """From A's open receivables to B's in one currency; A with its lines, and the remainder, as live formulas."""
    lines = [Row((line.code, line.count, currency, line.delta)) for line in found.lines]
    last = len(lines) + 1
    listed = sum((line.delta for line in found.lines), ZERO)
    count = sum(line.count for line in found.lines)
    rows = (
        Row((f"A  {result.left.name}, open", None, currency, found.left_total), "opening"),
        *lines,
        Row(
            ("A with what is listed", count, currency, found.left_total + listed),
            "subtotal",
            ((1, last),),
            {"amount": tuple((1, n) for n in range(last))},
        ),
        Row((f"B  {result.right.name}, open", None, currency, found.right_total), "closing"),
        Row(("Remainder", None, currency, found.remainder), "total", (), {"amount": ((1, last + 1), (-1, last))}),
    )
    note = (
        f"Of the amounts listed, {money(found.unconfirmed, currency)} {currency} have no confirmed cause: "
        "what is listed is not thereby explained."
        if found.unconfirmed
        else ""
    )
    return Table(f"bridge-{currency}", f"From A to B in {currency}", _BRIDGE, rows, note)


def waterfall(currency: str, found: Bridge, result: Result) -> Chart:
    """The bridge as steps."""
    bars = (
        Bar(f"A  {result.left.name}", found.left_total, total=True),
        *(Bar(line.code, line.delta) for line in found.lines if line.delta),
        Bar(f"B  {result.right.name}", found.right_total, total=True),
    )
    return Chart(f"bridge-{currency}", f"From A to B in {currency}", "waterfall", currency, bars)


def _proof(currency: str, found: Bridge) -> Proof:
    return Proof(f"Remainder of the bridge in {currency}", found.remainder, ZERO, found.remainder == 0, currency)


def _stated(result: Result) -> Iterable[Proof]:
    """Each customer's documents against the balance that the ledger itself states, where it states any."""
    for s in result.stated:
        letter = "A" if s.side == "left" else "B"
        bad = f"; {s.differ:,} {'differs' if s.differ == 1 else 'differ'}" if s.differ else ""
        currency = s.currency or "no currency that is named"
        whose = f"{letter}: the documents of {counted(s.customers, 'customer')} in {currency}"
        claim = f"{whose} add up to the balance that it states of each, whatever their date{bad}"
        yield Proof(claim, s.documents, s.stated, not s.differ, s.currency)


def _sides(result: Result) -> Table:
    rows = [
        Row((letter, side.name, side.records, side.rejected, t.documents, currency, t.total, t.open))
        for letter, side in (("A", result.left), ("B", result.right))
        for currency, t in sorted(side.totals.items())
    ]
    return Table("sides", "Both ledgers", _SIDES, tuple(rows))


def _unread(result: Result) -> Iterable[str]:
    if told := unsearched(result):
        yield told
    for letter, side in (("A", result.left), ("B", result.right)):
        if side.rejected:
            yield (
                f"{side.rejected:,} of {letter}'s rows could not be read and are in no figure of this report. "
                "The bridge holds for what was read."
            )


def _discrepancies(result: Result, keys: bool) -> Table:
    known = {(d.code, d.class_) for d in result.discrepancies}
    legend = " ".join(
        f"{said}: {', '.join(codes)}."
        for letter, said in _CLASSES.items()
        if (codes := sorted(code for code, c in known if c == letter))
    )
    rows = tuple(Row((*_cells(d, keys), *(_keys(d) if keys else ()))) for d in result.discrepancies)
    return Table("discrepancies", "Discrepancies", (*_FOUND, *(_KEYS if keys else ())), rows, legend)


def _cells(d: Discrepancy, keys: bool) -> tuple[Cell, ...]:
    code = d.code if keys or not d.secondary else " ".join((d.code, *(f"+{s}" for s in d.secondary)))
    says = (layout.says(d.field, d.left_value), layout.says(d.field, d.right_value))
    return (
        code,
        d.left_label,
        d.right_label,
        d.customer,
        d.amount,
        d.field,
        *says,
        d.delta,
        d.currency,
        d.cause,
        d.remedy,
    )


def _keys(d: Discrepancy) -> tuple[Cell, ...]:
    return (d.id, " ".join(d.secondary), d.class_, d.severity, d.kind, d.left, d.right)
