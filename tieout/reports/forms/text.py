"""A report for a terminal: aligned columns, proofs and notes beneath, and nothing that could steer the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.compare.result import money
from tieout.plaintext import counted, grid, plain
from tieout.reports.forms.shown import HELD, NUMBERS, ZERO_SIGN, by_group, currency_of, proof_cells, said
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table

_RULED = frozenset({"subtotal", "total", "closing"})
_WIDEST = 40
_TERMINAL = 160


def write(report: Report, most: int | None = None) -> str:
    """Title, what does not hold, tables, proofs, notes, and where the figures came from.

    most: detail rows of each table that are shown; totals are those of all
    """
    out = [plain(report.title, 200), _about(report)]
    broken = [p for p in report.proofs if p.held is False]
    if broken:
        out += ["", "DOES NOT HOLD:", *_proofs(broken)]
    for table in report.tables:
        out += ["", *_table(table if most is None else _cut(table, most))]
        out += _left_out(table, most)
    if report.proofs:
        out += ["", "proofs:", *_proofs(report.proofs)]
    if report.notes:
        out += ["", "notes:", *(f"  {plain(note, 400)}" for note in report.notes)]
    out += ["", *_provenance(report.provenance)]
    return "\n".join(out).rstrip() + "\n"


def _about(report: Report) -> str:
    known = f", as known on {report.known_on:%Y-%m-%d %H:%M} UTC" if report.known_on else ""
    day = f"as of {report.as_of}" if report.as_of else "all documents, whatever their date"
    parts = [f"{day}{known}", *(f"{k}: {v}" for k, v in report.parameters.items())]
    return plain("; ".join([report.company, *parts] if report.company else parts), 400)


def _cut(table: Table, most: int) -> Table:
    """The table with its first detail rows only, and every other row."""
    kept: list[Row] = []
    for row in table.rows:
        most -= row.style == "detail"
        if row.style != "detail" or most >= 0:
            kept.append(row)
    return replace(table, rows=tuple(kept))


def _left_out(table: Table, most: int | None) -> list[str]:
    details = sum(row.style == "detail" for row in table.rows)
    if most is None or details <= most:
        return []
    return [f"… {counted(details - most, 'more row')}; --limit shows more, a file (--output) has them all"]


def _table(table: Table) -> list[str]:
    """The table; one of several groups of columns that is wider than a terminal comes group by group."""
    whole = _block(table)
    if max(map(len, whole)) <= _TERMINAL:
        return whole
    return [line for part in by_group(table) for line in ("", *_block(part))][1:]


def _block(table: Table) -> list[str]:
    shown = [i for i, c in enumerate(table.columns) if any(r.cells[i] not in (None, "") for r in table.rows)]
    head = [plain(table.title, 200), *([f"  {plain(table.note, 400)}"] if table.note else [])]
    if not table.rows or not shown:
        return [*head, "  (nothing)"]
    columns = [table.columns[i] for i in shown]
    right = frozenset(n for n, c in enumerate(columns) if c.kind in NUMBERS)
    rows = [[plain(f"{c.group} {c.title}" if c.group else c.title) for c in columns]]
    currency = currency_of(table)
    rows += [
        [_text(row.cells[i], c, currency(row, c)) for i, c in zip(shown, columns, strict=True)] for row in table.rows
    ]
    lines = grid(rows, right)
    rule = "─" * max(map(len, lines))
    body: list[str] = []
    for row, line in zip(table.rows, lines[1:], strict=True):
        body += [rule, line] if row.style in _RULED and not _follows(body, rule) else [line]
        body += [rule] if row.style in _RULED else []
    while body and body[-1] == rule:
        body.pop()
    return [*head, lines[0], rule, *body]


def _follows(body: Sequence[str], rule: str) -> bool:
    return bool(body) and body[-1] == rule


def _text(cell: Cell, column: Column, currency: str) -> str:
    match cell:
        case None:
            return ""
        case Decimal():
            if column.kind == "money" and not cell:
                return ZERO_SIGN
            return money(cell, currency) if column.kind == "money" else said(cell, column.kind, currency)
        case date():
            return cell.isoformat()
        case int():
            return f"{cell:,}"
        case str():
            return plain(cell, column.width or _WIDEST)


def _proofs(proofs: Sequence[Proof]) -> list[str]:
    rows = [(HELD[p.held], plain(p.claim, 120), *(plain(c, 120) for c in proof_cells(p))) for p in proofs]
    return ["  " + line for line in grid(rows, frozenset({2, 3}))]


def _provenance(said: Mapping[str, Any]) -> list[str]:
    """What a reader needs to tell where it came from; a file has all of it."""
    if not said:
        return []
    lines = [f"made {said.get('extracted_at', '')} by {said.get('by', '')} with {said.get('program', '')}"]
    for side, source in (said.get("read") or {}).items():
        for file in source.get("files") or ():
            if isinstance(file, Mapping):
                rows = f"{counted(file['rows'], 'row')}, {file['accepted']:,} accepted, {file['rejected']:,} rejected"
                lines.append(f"{side}: {file['file']}: {rows}, sha256 {str(file['sha256'])[:12]}…")
            else:
                lines.append(f"{side}: {file}")
        if source.get("from"):
            records = ", ".join(counted(n, k.replace("_", " ")) for k, n in source.get("records", {}).items())
            lines.append(f"{side}: from {source['from']}" + (f": {records}" if records else ""))
    return [plain(line, 400) for line in lines]
