"""Names and amounts as people have them, from an ERP's export into QuickBooks, by the whole program."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

from tests.cli.office import DAY, office
from tieout.sandbox.file_erp import FileErp

# QuickBooks takes no colon in a name.
NAMES = {
    "O'Brien:Sons": "O'Brien-Sons",
    "شركة النور": "شركة النور",
    '=HYPERLINK("http://x","y")': '=HYPERLINK("http-//x","y")',
    "L" * 120: "L" * 120,
}


def test_names_that_hurt_and_a_second_currency_arrive_once_and_are_harmless_where_people_read(tmp_path: Path) -> None:
    with office(tmp_path, seed="empty", sample=0, switches=("multicurrency=true",)) as desk:
        erp = FileErp(folder=desk.folder / "erp")
        for n, name in enumerate(NAMES):
            erp.books.enter_invoice(erp.books.enter_customer(name), f"{n + 1}0.00", on=DAY, reference=f"U-{n}")
        for currency, amount in (("EUR", "10.50"), ("JPY", "1500"), ("KWD", "12.345")):
            account = erp.books.enter_customer(f"In {currency}", currency=currency)
            erp.books.enter_invoice(account, amount, on=DAY, reference=currency, currency=currency)
        erp.save()
        for _ in range(3):
            desk.erp()
            run = desk.sync()
        assert (run["plan"]["operations"], run["failures"]) == ([], [])
        tables = desk.site.books.tables
        names = sorted(str(row.doc["DisplayName"]) for row in tables["Customer"].values())
        assert names == sorted([*NAMES.values(), "In EUR"])
        bills = {str(r.doc["DocNumber"]): Decimal(str(r.doc["TotalAmt"])) for r in tables["Invoice"].values()}
        assert bills == {"U-0": 10, "U-1": 20, "U-2": 30, "U-3": 40, "EUR": Decimal("10.50")}
        # Currencies that QuickBooks has not been told of: the customers are refused, their documents say so, to the fil.
        listed = json.loads(desk.run("discrepancies", "list", "--json").stdout)["discrepancies"]
        assert "UNTRACED_TIE_OUT" not in {d["code"] for d in listed}, (
            "a balance of unknown currency is held against nothing"
        )
        held = {d["left_label"]: (d["delta"], d["cause"]) for d in listed if d["code"] == "SYNC_BLOCKED"}
        assert held["JPY"] == ("-1500.00", "waits for customer In JPY: not on the other side")
        assert held["KWD"] == ("-12.345", "waits for customer In KWD: not on the other side")
        erp = FileErp(folder=desk.folder / "erp")  # a customer and a number that a spreadsheet would run
        erp.books.enter_invoice(
            erp.books.enter_customer("=1+1", currency="KWD"), "0.001", on=DAY, reference="@SUM(A1)", currency="KWD"
        )
        erp.save()
        desk.erp()
        desk.sync()
        assert desk.run("discrepancies", "export", "--output", "d.csv").returncode == 0
        with (desk.folder / "d.csv").open(encoding="utf-8-sig", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert "'@SUM(A1)" in cells
        assert not [c for c in cells if c.startswith(("=", "@", "+"))]
