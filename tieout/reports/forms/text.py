"""A report for a terminal: aligned columns, proofs and notes beneath, and nothing that could steer the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.compare.result import money
from tieout.plaintext import counted, grid, plain, width
from tieout.reports.forms.shown import HELD, NUMBERS, ZERO_SIGN, by_group, currency_of, proof_cells, said
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table

_RULED = frozenset({"subtotal", "total", "closing"})
_WIDEST = 40
_WIDE = 1000  # more than any text is given
_NARROW = 12
_TERMINAL = 160


def write(report: Report, most: int | None = None, wide: int = _TERMINAL) -> str:
    """Title, what does not hold, tables, proofs, notes, and where the figures came from.

    most: detail rows of each table that are shown; totals are those of all
    wide: columns of the terminal; a table that needs more comes in parts, beneath each other
    """
    out = [plain(report.title, 200), _about(report)]
    broken = [p for p in report.proofs if p.held is False]
    if broken:
        out += ["", "DOES NOT HOLD:", *_proofs(broken)]
    for table in report.tables:
        out += ["", *_table(table if most is None else _cut(table, most), wide)]
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


def _table(table: Table, wide: int) -> list[str]:
    """The table; one that is wider than the terminal comes group by group of its columns, and then in parts."""
    if not table.rows or _broad(table) <= wide:
        return _block(table, _shown(table))
    groups = by_group(table)
    if wide == _TERMINAL:  # into a file or a pipe, which cut nothing
        return [line for group in groups for line in ("", *_block(group, _shown(group)))][1:]
    return [line for group in groups for part in _parts(group, wide) for line in ("", *part)][1:]


def _shown(table: Table) -> list[int]:
    """The columns in which anything stands."""
    return [n for n in range(len(table.columns)) if any(r.cells[n] not in (None, "") for r in table.rows)]


def _ems(table: Table) -> dict[int, int]:
    """How broad each of these columns is, with what is between two."""
    shown = _shown(table)
    columns = zip(*_cells(table, shown, _WIDE), strict=True)
    return {n: max(map(width, cells)) + 2 for n, cells in zip(shown, columns, strict=True)}


def _broad(table: Table) -> int:
    return sum(_ems(table).values()) - 2


def _parts(table: Table, wide: int) -> list[list[str]]:
    """The table in parts that fit, each with what tells its rows apart: a text or two at its beginning, the currency.

    A text that has no room beside them is cut.
    """
    ems = _ems(table)
    shown = list(ems)
    lead = shown[:1]
    lead += [n for n in shown[1:2] if table.columns[n].kind == "text" and ems[lead[0]] + ems[n] <= wide * 2 // 3]
    lead += [n for n in shown if table.columns[n].key == "currency" and n not in lead]
    room = wide - sum(ems[n] for n in lead)
    parts: list[list[int]] = [[]]
    for n in (n for n in shown if n not in lead):
        if parts[-1] and sum(ems[k] for k in (*parts[-1], n)) > room + 2:
            parts.append([])
        parts[-1].append(n)
    return [
        _block(
            table if at == 1 else replace(table, note=""),
            [*lead, *some],
            f" ({at} of {len(parts)})" if len(parts) > 1 else "",
            max(room, _NARROW),
        )
        for at, some in enumerate(parts, 1)
    ]


def _cells(table: Table, shown: Sequence[int], most: int) -> list[list[str]]:
    """Headings, and the rows. most: letters of a text"""
    columns = [table.columns[n] for n in shown]
    currency = currency_of(table)
    heads = [plain(f"{c.group} {c.title}" if c.group else c.title) for c in columns]
    return [heads] + [
        [_text(row.cells[n], c, currency(row, c), most) for n, c in zip(shown, columns, strict=True)]
        for row in table.rows
    ]


def _block(table: Table, shown: Sequence[int], part: str = "", most: int = _WIDE) -> list[str]:
    head = [plain(table.title, 200) + part, *([f"  {plain(table.note, 400)}"] if table.note else [])]
    if not table.rows or not shown:
        return [*head, "  (nothing)"]
    right = frozenset(n for n, at in enumerate(shown) if table.columns[at].kind in NUMBERS)
    lines = grid(_cells(table, shown, most), right)
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


def _text(cell: Cell, column: Column, currency: str, most: int) -> str:
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
            return plain(cell, min(column.width or _WIDEST, most))


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
