"""A workbook with 100,000 discrepancies, beside XlsxWriter writing the same cells."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import xlsxwriter

from benchmarks.measure import Figure, in_turns, peak, resident
from tieout.compare.codes import CODES
from tieout.compare.result import Bridge, Discrepancy, Line, Result, Side, Totals
from tieout.reports import Report
from tieout.reports.forms import workbook
from tieout.reports.reconciliation import comparison

FOUND = 100_000


def result(found: int = FOUND) -> Result:
    """Discrepancies of every code, with labels, values and amounts as ledgers have them."""
    codes = list(CODES.items())
    made = []
    for n in range(found):
        name, code = codes[n % len(codes)]
        amount = Decimal((n * 104_729) % 9_000_000 - 4_000_000) / 100
        made.append(
            Discrepancy(
                f"D-{n:016x}", name, (), code.class_, code.severity, "invoice", f"l-{n}", f"r-{n}", f"INV-{n:08d}",
                f"Müller & Söhne {n % 5000}, INV-{n:08d}", ("total", "due", "memo")[n % 3],
                (f"{amount}", "2026-01-31", "=paid")[n % 3], ("0.00", "2026-02-28", "open")[n % 3],
                amount if code.class_ == "T" else Decimal(0), ("EUR", "USD", "JPY")[n % 3], code.cause, code.remedy,
                code.confirmed,
            )
        )  # fmt: skip
    side = Side("ledger.csv", 1_000_000, 0, {"EUR": Totals(1_000_000, Decimal(1), Decimal(1))})
    bridge = Bridge(Decimal(0), (Line("MISSING_IN_A", Decimal(0), 0),), Decimal(0), Decimal(0), Decimal(0))
    return Result(side, side, 900_000, tuple(made), {"EUR": bridge}, "2026-01-31")


def plain(report: Report) -> bytes:
    """The same cells, each written by the function of XlsxWriter for its type, with a format for each kind."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    text, money, day = (book.add_format({"num_format": f}) for f in ("@", "#,##0.00", "yyyy-mm-dd"))
    for table in report.tables:
        sheet = book.add_worksheet()
        for r, row in enumerate(table.rows):
            for c, cell in enumerate(row.cells):
                if isinstance(cell, str) and cell:
                    sheet.write_string(r, c, cell, text)
                elif isinstance(cell, Decimal | int):
                    sheet.write_number(r, c, cell, money)
                elif isinstance(cell, date):
                    sheet.write_datetime(r, c, cell, day)
    book.close()
    return out.getvalue()


def run(_folder: Path) -> list[Figure]:
    found = result()
    same = comparison.report(found, keys=True)
    times = in_turns(
        {
            "tieout": lambda: workbook.write(comparison.report(found, keys=True)),
            "XlsxWriter": lambda: plain(same),
        }
    )
    before = resident()
    with peak() as most:
        written = workbook.write(same)
    cells = sum(len(r.cells) for t in same.tables for r in t.rows)
    note = f"{times.seconds('tieout'):.1f} s, {cells:,} cells, {len(written) >> 20} MB"
    beside = "XlsxWriter, same cells"
    room = f"{most[0] - before} MB above what the discrepancies take"
    return [
        Figure("workbook with 100,000 discrepancies", beside, times.ratio("tieout", "XlsxWriter"), 1.5, note=note),
        Figure("the same, processor time", beside, times.cpu_ratio("tieout", "XlsxWriter"), note=room),
    ]
