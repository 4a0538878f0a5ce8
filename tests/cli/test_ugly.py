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
        # Currencies that QuickBooks has not been told of: customers and documents wait, and say so, to the fil.
        listed = json.loads(desk.run("discrepancies", "list", "--json").stdout)["discrepancies"]
        assert "UNTRACED_TIE_OUT" not in {d["code"] for d in listed}, (
            "a balance of unknown currency is held against nothing"
        )
        blocked = [d for d in listed if d["code"] == "SYNC_BLOCKED"]
        held = {d["left_label"]: (d["delta"], d["cause"]) for d in blocked if d["kind"] == "invoice"}
        nameless = [d for d in listed if not d["left_label"] and not d["right_label"]]
        assert nameless == [], "every difference says which record it is about"
        who = {d["left_label"]: (d["customer"], d["severity"]) for d in blocked if d["kind"] == "customer"}
        assert who == {name: (name, "high") for name in ("In JPY", "In KWD")}
        priced = {d["left_label"]: (d["customer"], d["amount"], d["amount_currency"]) for d in blocked if d["amount"]}
        assert priced == {"JPY": ("In JPY", "1500.00", "JPY"), "KWD": ("In KWD", "12.345", "KWD")}
        shown = desk.run("discrepancies", "show", next(d["id"] for d in blocked if d["left_label"] == "In KWD")).stdout
        assert "left label" in shown
        assert "In KWD" in shown
        assert held["JPY"] == ("-1500.00", "quickbooks does not list the currency JPY")
        assert held["KWD"] == ("-12.345", "quickbooks does not list the currency KWD")
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
        assert "'=1+1" in cells
        assert not [c for c in cells if c.startswith(("=", "@", "+"))]


# QuickBooks' names, and what is in the ERP afterwards; a list of line items and a CSV file carry all of them.
CARRIED = {
    "O'Brien": "O'Brien",
    'He said "hi"; it\'s, fine | done\\n': 'He said "hi"; it\'s, fine | done\\n',
    '"quoted"': '"quoted"',
    "Café ☕ 🧾 GmbH": "Café ☕ 🧾 GmbH",
    "L" * 60: "L" * 60,
    "  padded  ": "padded",
    "Ada Ltd": "Ada Ltd",
}
# What the import file cannot hold, and why.
REFUSED = {
    '=HYPERLINK("x","y")': "begins like a spreadsheet formula",
    "@SUM(A1)": "begins like a spreadsheet formula",
    "-dash": "begins like a spreadsheet formula",
    "M" * 101: "is longer than 100 characters",
}
NUMBERS = {"=1+1": "begins like a spreadsheet formula", "N" * 20: "is longer than 16 characters"}


def test_names_that_hurt_go_from_quickbooks_into_the_erp_once_or_are_refused_by_name(tmp_path: Path) -> None:
    with office(tmp_path, seed="empty", sample=0) as desk:
        books = desk.site.books

        def customer(name: str, **more: object) -> str:
            return str(books.apply("Customer", "create", {"DisplayName": name, **more})["Id"])

        def bill(who: str, number: str, amount: str, note: str = "") -> None:
            sale = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}
            line = {"Amount": Decimal(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sale}
            body = {"CustomerRef": {"value": who}, "DocNumber": number, "TxnDate": "2026-11-20", "Line": [line]}
            books.apply("Invoice", "create", body | ({"PrivateNote": note} if note else {}))

        ids = {name: customer(name) for name in (*CARRIED, *REFUSED)}
        for n, who in enumerate(ids.values()):
            bill(who, f"Q-{n}", f"{n + 1}0.00")
        # A project of O'Brien is O'Brien:Sons in QuickBooks; another differs from a customer by its case only.
        for n, name in enumerate(("Sons", "ada ltd")):
            bill(customer(name, ParentRef={"value": ids["O'Brien"]}, Job=True), f"S-{n}", f"{n + 1}.00")
        for number in NUMBERS:
            bill(ids["Ada Ltd"], number, "3.00")
        bill(ids["Ada Ltd"], "NOTE", "4.00", note="first line\nsecond line")
        for _ in range(4):
            desk.sync()
            desk.erp()
        before, outbox = len(books.effects), sorted((desk.folder / "erp" / "outbox").iterdir())
        run = desk.sync()
        assert (run["plan"]["operations"], run["failures"]) == ([], [])
        assert (len(books.effects), sorted((desk.folder / "erp" / "outbox").iterdir())) == (before, outbox)

        erp = FileErp(folder=desk.folder / "erp").books
        assert sorted(c.name for c in erp.customers.values()) == sorted([*CARRIED.values(), "Sons", "ada ltd"])
        booked = [(d.reference, erp.customers[d.customer].name, d.amount) for d in erp.documents.values()]
        carried = [(f"Q-{n}", name, Decimal(10 * (n + 1))) for n, name in enumerate(CARRIED.values())]
        assert sorted(booked) == sorted([*carried, ("S-0", "Sons", Decimal(1)), ("S-1", "ada ltd", Decimal(2))])

        listed = json.loads(desk.run("discrepancies", "list", "--json").stdout)["discrepancies"]
        assert {d["code"] for d in listed} == {"SYNC_BLOCKED"}
        causes = {d["right_label"]: (d["delta"], d["cause"]) for d in listed}
        for n, (name, why) in enumerate(REFUSED.items(), len(CARRIED)):
            assert causes.pop(f"Q-{n}") == (f"{n + 1}0.00", f"waits for customer {name}: not on the other side")
            shown = name if len(name) <= 60 else name[:57] + "…"
            told = f"rejected: name (column name): {shown!r} {why}"
            assert causes.pop(name) == ("0.00", told)
        for number, why in NUMBERS.items():
            assert causes.pop(number) == ("3.00", f"rejected: number (column REF_DOC_NO): {number!r} {why}")
        why = r"rejected: memo (column ITEM_TEXT): 'first line\nsecond line' has a line break or control character"
        assert causes.pop("NOTE") == ("4.00", why)
        assert causes == {}
