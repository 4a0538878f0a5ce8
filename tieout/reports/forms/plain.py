"""A report for programs (JSON) and for spreadsheets (CSV): exact figures, and text that nothing runs as a formula."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.jsontext import encode, ready
from tieout.model import tidy
from tieout.plaintext import neutral
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table


def write_json(report: Report) -> str:
    """Stable keys; money as text, dates as ISO text; each row an object by the keys of its columns, and its `style`."""
    return encode(as_data(report)) + "\n"


def as_data(report: Report) -> dict[str, Any]:
    """The report as JSON-ready data."""
    return {
        "report": report.name,
        "title": report.title,
        "company": report.company,
        "as_of": report.as_of.isoformat() if report.as_of else None,
        "known_on": report.known_on.isoformat() if report.known_on else None,
        "parameters": dict(report.parameters),
        "tables": [_table(t) for t in report.tables],
        "charts": [
            {
                "key": c.key,
                "title": c.title,
                "kind": c.kind,
                "currency": c.currency,
                "bars": [{"label": b.label, "amount": str(tidy(b.amount)), "total": b.total} for b in c.bars],
            }
            for c in report.charts
        ],
        "proofs": [_proof(p) for p in report.proofs],
        "notes": list(report.notes),
        "provenance": ready(report.provenance),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "title": table.title,
        "note": table.note,
        "columns": columns(table),
        "rows": [_row(table.columns, row) for row in table.rows],
    }


def columns(table: Table) -> list[dict[str, str]]:
    """What its columns are; `currency` of every amount in it, where that is not the row's."""
    return [
        {"key": c.key, "title": c.title, "kind": c.kind} | ({"currency": c.currency} if c.currency else {})
        for c in table.columns
    ]


def _row(columns: tuple[Column, ...], row: Row) -> dict[str, Any]:
    return {"style": row.style} | {c.key: _value(cell, c.kind) for c, cell in zip(columns, row.cells, strict=True)}


def _proof(proof: Proof) -> dict[str, Any]:
    return {"claim": proof.claim, "ours": _value(proof.ours), "theirs": _value(proof.theirs), "held": proof.held}


def _value(cell: Cell, kind: str = "") -> str | int | None:
    """A cell for a program. An amount of a table has one spelling, also zero (0.00)."""
    match cell:
        case Decimal() if kind == "money":
            return format(tidy(cell), "f")
        case Decimal():
            return format(cell, "f")
        case date():
            return cell.isoformat()
        case _:
            return cell


def told(report: Report, key: str) -> dict[str, Any]:
    """What the file of one of its tables has no room for: what it is, its columns, the report's proofs and notes."""
    table = next(t for t in report.tables if t.key == key)
    return {
        "report": report.title,
        "title": table.title,
        "note": table.note,
        "columns": columns(table),
        "proofs": [_proof(p) for p in report.proofs],
        "notes": list(report.notes),
    }


def write_csv(report: Report) -> dict[str, str]:
    """Each table by its key: first the row's style, then its cells under the keys of the columns; with commas, CRLF.

    Amounts in home currency name it beside them, since the row's own currency is another.
    """
    return {table.key: _csv(table) for table in report.tables}


def _csv(table: Table) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    heads = (key for c in table.columns for key in ([c.key, f"{c.key}_currency"] if _at_home(c) else [c.key]))
    writer.writerow(["style", *map(neutral, heads)])
    for row in table.rows:
        writer.writerow(
            [row.style, *(part for pair in zip(row.cells, table.columns, strict=True) for part in _parts(*pair))]
        )
    return out.getvalue()


def _at_home(column: Column) -> bool:
    """Whether its amounts are in home currency, beside amounts in the row's own."""
    return bool(column.currency) and column.key.rpartition(".")[2] == "base"


def _parts(cell: Cell, column: Column) -> list[str | int]:
    said = _cell(cell, column.kind)
    return [said, "" if cell is None else column.currency] if _at_home(column) else [said]


def _cell(cell: Cell, kind: str) -> str | int:
    """Figures stay figures, also negative ones; any text is made neutral."""
    if isinstance(cell, str):
        return neutral(cell)
    value = _value(cell, kind)
    return "" if value is None else value
