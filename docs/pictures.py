"""The pictures of the how-tos: what the reports on the page draw, of books that our own file ERP makes.

The charts are those of the reports' pages, as files that stand alone; equal programs draw equal bytes.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape
from importlib.resources import files
from pathlib import Path

from click.testing import CliRunner

from tieout.cli import cli
from tieout.reports import Bar, Chart
from tieout.reports.forms import drawing
from tieout.sandbox.file_erp import Books, FileErp, generate

AS_OF = date(2026, 1, 31)
_WIDE, _EDGE, _CAPTION = 640, 16, 28  # pixels: of the drawing, of the paper around it, and above it
_LOOKS = ("svg", ".axis", ".trend")  # how the lines of page.css begin that say what a chart looks like


def books(*, others: bool = False) -> Books:
    """A trading company at a month end: 12 customers, 160 invoices of half a year, most of them paid, and a few more.

    others: the same as a second system has it, with a receipt and a write-off more, other tax, and an invoice less.
    """
    made = Books(company_code="1000", name="Alder Ridge Supply Co.")
    generate(made, customers=12, invoices=160, through=AS_OF, seed=7)
    one, two, three = sorted(made.customers)[:3]
    lost = made.enter_invoice(one, "2940.00", on=date(2026, 1, 5), tax_code="A0", text="Late fee disputed")
    tax = Decimal("528.00") if others else Decimal("512.00")
    made.enter_invoice(two, "6400.00", on=date(2026, 1, 7), tax=tax, tax_code="A1", text="Goods")
    if others:
        made.write_off(lost, on=date(2026, 1, 20))
        made.enter_payment(two, "3250.00", on=date(2026, 1, 21), method="ach", reference="ACH 3250")
    else:
        made.enter_invoice(three, "12480.00", on=date(2026, 1, 12), tax_code="A0", text="Entered on this side only")
    return made


def aging() -> str:
    """Of the report `aging`: what is owed, by age."""
    return _alone(_chart("aging", "left"))


def bridge() -> str:
    """Of the report `bridge`: from the left ledger to the right one."""
    return _alone(_chart("bridge", "left", "right"))


def forecast() -> str:
    """Of the report `cash-forecast`: what should come in week by week."""
    return _alone(_chart("cash-forecast", "left"))


def _chart(report: str, *sides: str) -> Chart:
    """The first chart of a report as the command line makes it: of the left ledger, or of both."""
    asked = ["report", report, "--as-of", AS_OF.isoformat(), "--format", "json"]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for side in sides:
            erp = FileErp(books(others=side == "right"), clock=lambda: datetime(2026, 2, 2, 9, tzinfo=UTC))
            path = erp.export(Path(side), AS_OF, layouts=("sap-fbl5n-en",))[0].rename(f"{side}.xls")
            asked += [f"--{side}", path.name, f"--{side}-profile", "sap-fbl5n-en"]
        told = json.loads(CliRunner().invoke(cli, asked, catch_exceptions=False).stdout)["charts"][0]
    bars = tuple(Bar(b["label"], Decimal(b["amount"]), total=b["total"]) for b in told.pop("bars"))
    return Chart(**told, bars=bars)


def _alone(chart: Chart) -> str:
    """The drawing as a file: with its caption, on paper of its own, with the looks of a report's page."""
    sheet = (files("tieout.reports.forms") / "page.css").read_text("utf-8")
    looks = "".join(line for line in sheet.splitlines() if line.startswith(_LOOKS))
    for name, colour in re.findall(r"--(\w+):(#\w+)", sheet):
        looks = looks.replace(f"var(--{name})", colour)
    drawn = drawing.svg(chart)
    high = int(drawn.partition('height="')[2].partition('"')[0])
    title, remark = map(escape, drawing.caption(chart))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE + 2 * _EDGE}" height="{high + _CAPTION + 2 * _EDGE}" '
        f'font-family="system-ui,sans-serif"><style>{looks}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_EDGE}" y="{_EDGE + 12}" font-weight="600">{title}</text>'
        f'<text class="small end" x="{_EDGE + _WIDE}" y="{_EDGE + 12}">{remark}</text>'
        + drawn.replace('width="100%"', f'x="{_EDGE}" y="{_EDGE + _CAPTION}" width="{_WIDE}"', 1)
        + "</svg>\n"
    )
