"""The shipped profiles read what they are for: generic files, and SAP FBL5N in each of its shapes."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from tieout.connectors.files import customers, load, records
from tieout.errors import RecordError
from tieout.mapping.tabular import Profile, load_profile
from tieout.model import Adjustment, AdjustmentKind, CreditMemo, Customer, Invoice, Payment

EN = "Company Code\tDocument Number\tFiscal Year\tItem\tDocument Type\tAccount\tName 1\tReference\tAssignment\tDocument Date\tPosting Date\tNet due date\tDocument currency\tAmount in doc. curr.\tTax Code\tTax amount\tInvoice reference\tClearing Document\tText"
DE = "Buchungskreis\tBelegnummer\tGeschäftsjahr\tBuchungszeile\tBelegart\tKonto\tName 1\tReferenz\tZuordnung\tBelegdatum\tBuchungsdatum\tNettofälligkeit\tBelegwährung\tBetrag in Belegwährung\tSteuerkennzeichen\tSteuerbetrag\tRechnungsbezug\tAusgleichsbeleg\tText"
# company, document, year, item, type, account, name, reference, assignment, date, due, currency, amount, tax code, tax, invoice, clearing, text
ITEMS = [
    ("1000", "1800000001", "2026", "001", "RV", "0000100017", "Müller GmbH", "90001", "TIE-1", date(2026, 1, 5), date(2026, 2, 4), "USD", "1,190.00", "A1", "190.00", "", "", "Goods"),
    ("1000", "1800000002", "2026", "001", "RV", "0000100017", "Müller GmbH", "90002", "", date(2026, 1, 6), date(2026, 2, 5), "USD", "500.00", "A0", "", "", "", ""),
    ("1000", "1600000001", "2026", "001", "DG", "0000100017", "Müller GmbH", "90003", "", date(2026, 1, 7), None, "USD", "119.00-", "A1", "19.00", "1800000001", "", "Returned"),
    ("1000", "1400000001", "2026", "001", "DZ", "0000100017", "Müller GmbH", "CHK77", "TIE-9", date(2026, 1, 20), None, "USD", "1,000.00-", "", "", "1800000001", "", ""),
    ("1000", "1400000001", "2026", "002", "DZ", "0000100017", "Müller GmbH", "CHK77", "", date(2026, 1, 20), None, "USD", "250.00-", "", "", "", "", "on account"),
    ("1000", "1900000001", "2026", "001", "WO", "0000100017", "Müller GmbH", "", "", date(2026, 1, 25), None, "USD", "0.50-", "", "", "1800000002", "", "small difference"),
    ("1000", "1400000002", "2026", "001", "DZ", "0000100018", "Acme", "CHK78", "", date(2026, 1, 28), None, "USD", "75.00", "", "", "", "", "returned check"),
    ("1000", "1700000001", "2026", "001", "ZZ", "0000100018", "Acme", "", "", date(2026, 1, 28), None, "USD", "1.00", "", "", "", "", "unknown type"),
]  # fmt: skip
OPEN = D(1190) + D(500) - D(119) - D(1250) - D("0.50") + D(75)


def _text(item: tuple, *, german: bool) -> list[str]:
    def amount(text: str) -> str:
        return text.translate(str.maketrans(",.", ".,")) if german else text

    def day(d: date | None) -> str:
        return "" if d is None else d.strftime("%d.%m.%Y" if german else "%m/%d/%Y")

    *head, issued, due, currency, total, code, tax, invoice, clearing, memo = item
    return [
        *head,
        day(issued),
        day(issued),
        day(due) or ("00.00.0000" if german else ""),
        currency,
        amount(total),
        code,
        amount(tax),
        invoice,
        clearing,
        memo,
    ]


def _tab(path: Path, *, german: bool) -> Path:
    rows = [(DE if german else EN).split("\t"), *(_text(i, german=german) for i in ITEMS)]
    text = "FBL5N\r\n\r\n" + "".join("\t".join(r) + "\r\n" for r in rows)
    path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le") if german else text.encode("cp1252"))
    return path


def _list(path: Path, *, german: bool) -> Path:
    rows = [(DE if german else EN).split("\t"), *(_text(i, german=german) for i in ITEMS)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["|" + "|".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + "|" for r in rows]
    ruler = "-" * len(lines[0])
    total = (
        "|"
        + "|".join("*".ljust(w) if i == 0 else "396.50".rjust(w) if i == 13 else " " * w for i, w in enumerate(widths))
        + "|"
    )
    body = [ruler, lines[0], ruler, *lines[1:5], ruler, lines[0], ruler, *lines[5:], ruler, total, ruler]
    path.write_text("02.02.2026      Dynamic List Display      1\n" + "\n".join(body) + "\n", encoding="cp1252")
    return path


def _workbook(path: Path, *, german: bool) -> Path:
    book = openpyxl.Workbook()
    book.active.append((DE if german else EN).split("\t"))
    for *head, issued, due, currency, total, code, tax, invoice, clearing, memo in ITEMS:
        value = D(total.rstrip("-").replace(",", "")) * (-1 if total.endswith("-") else 1)
        book.active.append(
            [*head, issued, issued, due, currency, value, code, D(tax) if tax else None, invoice, clearing, memo]
        )
    book.save(path)
    return path


@pytest.mark.parametrize("german", [False, True], ids=["en", "de"])
@pytest.mark.parametrize(("shape", "name"), [(_tab, "fbl5n.xls"), (_list, "fbl5n.txt"), (_workbook, "fbl5n.xlsx")])
def test_fbl5n_in_each_shape(tmp_path: Path, shape, name: str, german: bool) -> None:
    path = shape(tmp_path / name, german=german)
    profile = load_profile("sap-fbl5n-de" if german else "sap-fbl5n-en")
    found, report = records(path, profile, "sap")
    con = duckdb.connect()
    assert load(con, path, profile, side="left").as_json() == report.as_json()
    assert [(r["column"], "not one of" in r["reason"]) for r in report.rejected] == [("kind", True)]
    assert report.totals == {"USD": {"count": 7, "sum": OPEN}}

    by_id = {o.id: o.record for o in found}
    invoice = by_id["1000/1800000001/2026"]
    assert isinstance(invoice, Invoice)
    assert (invoice.number, invoice.marker, invoice.customer) == ("90001", "TIE-1", "0000100017")
    assert (invoice.total, invoice.tax, invoice.subtotal) == (D("1190.00"), D("190.00"), D("1000.00"))
    assert (invoice.issued, invoice.due) == (date(2026, 1, 5), date(2026, 2, 4))
    assert [(line.net, line.tax_code) for line in invoice.lines] == [(D("1000.00"), "A1")]
    credit = by_id["1000/1600000001/2026"]
    assert isinstance(credit, CreditMemo)
    assert (credit.total, credit.tax, credit.original_invoice) == (D("119.00"), D("19.00"), "1000/1800000001/2026")
    payment = by_id["1000/1400000001/2026"]
    assert isinstance(payment, Payment)
    assert (payment.amount, payment.reference, payment.marker) == (D("1250.00"), "CHK77", "TIE-9")
    assert [(a.invoice, a.amount) for a in payment.applications] == [("1000/1800000001/2026", D("1000.00"))]
    written_off = by_id["1000/1900000001/2026"]
    assert isinstance(written_off, Adjustment)
    assert (written_off.kind, written_off.side, written_off.document) == (
        AdjustmentKind.WRITE_OFF,
        "credit",
        "1000/1800000002/2026",
    )
    assert written_off.number == "1900000001"
    back = by_id["1000/1400000002/2026"]
    assert isinstance(back, Adjustment)
    assert (back.kind, back.side) == (AdjustmentKind.RETURNED_PAYMENT, "debit")

    assert con.execute("SELECT sum(ar) FROM left_documents").fetchall() == [(OPEN,)]
    assert con.execute("SELECT source_id, invoice, amount FROM left_applications").fetchall() == [
        ("1000/1400000001/2026", "1000/1800000001/2026", D("1000.000000"))
    ]
    names = con.execute("SELECT id, name, number_key FROM left_customers ORDER BY id").fetchall()
    assert names == [("0000100017", "Müller GmbH", "100017"), ("0000100018", "Acme", "100018")]
    assert [c.name for c in customers(path, profile, "sap")] == ["Müller GmbH", "Acme"]


def test_a_document_whose_rows_disagree_is_rejected_whole(tmp_path: Path) -> None:
    rows = [_text(ITEMS[3], german=False), _text(ITEMS[4], german=False)]
    rows[1][5] = "0000999999"
    path = tmp_path / "f.txt"
    path.write_text("\n".join("\t".join(r) for r in [EN.split("\t"), *rows]) + "\n")
    found, report = records(path, load_profile("sap-fbl5n-en"), "sap")
    assert [(r["row"], r["column"]) for r in report.rejected] == [(2, "customer"), (3, "customer")]
    assert all("disagree" in r["reason"] for r in report.rejected)
    assert all(isinstance(o.record, RecordError) and o.record.ref == "1000/1400000001/2026" for o in found)


def test_a_document_with_an_unreadable_row_is_rejected_whole(tmp_path: Path) -> None:
    rows = [_text(ITEMS[3], german=False), _text(ITEMS[4], german=False), _text(ITEMS[0], german=False)]
    rows[1][13] = "25O.00-"
    path = tmp_path / "f.txt"
    path.write_text("\n".join("\t".join(r) for r in [EN.split("\t"), *rows]) + "\n", encoding="cp1252")
    profile = load_profile("sap-fbl5n-en")
    _, report = records(path, profile, "sap")
    assert load(duckdb.connect(), path, profile, side="left").as_json() == report.as_json()
    assert [(r["row"], r["column"]) for r in report.rejected] == [(2, "row"), (3, "total")]
    assert report.accepted == 1


def test_payments_with_applications_and_money_on_account(tmp_path: Path) -> None:
    path = tmp_path / "payments.csv"
    path.write_text(
        "payment,customer,received,method,reference,currency,amount,invoice,applied,our_ref\n"
        "P1,C1,2026-01-05,check,77,USD,100.00,INV-1,60.00,M1\n"
        "P1,C1,2026-01-05,check,77,USD,100.00,INV-2,15.00,M1\n"
        "P1,C1,2026-01-05,check,77,USD,100.00,,,M1\n"
        "P2,C1,2026-01-06,ach,,USD,50.00,INV-1,60.00,\n"
        "P3,C1,2026-01-06,ach,,USD,50.00,INV-1,10.00,\n"
        "P3,C1,2026-01-07,ach,,USD,50.00,INV-2,10.00,\n"
    )
    profile = load_profile("payments")
    found, report = records(path, profile, "erp")
    con = duckdb.connect()
    assert load(con, path, profile, side="left").as_json() == report.as_json()
    good = [o.record for o in found if isinstance(o.record, Payment)]
    assert [(p.ref.id, p.amount, p.marker, p.method.value) for p in good] == [("P1", D("100.00"), "M1", "check")]
    assert [(a.invoice, a.amount, a.applied_on) for a in good[0].applications] == [
        ("INV-1", D("60.00"), date(2026, 1, 5)),
        ("INV-2", D("15.00"), date(2026, 1, 5)),
    ]
    assert [(r["row"], r["column"]) for r in report.rejected] == [(5, "applied"), (6, "issued"), (7, "issued")]
    assert con.execute("SELECT id, total, ar, method FROM left_documents").fetchall() == [
        ("P1", D(100), D(-100), "check")
    ]


def test_generic_documents_of_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "documents.csv"
    path.write_text(
        "kind,adjustment_kind,side,number,customer,issued,due,currency,net,tax,total,open,invoice,applied,our_ref\n"
        "invoice,,,INV-1,C1,2026-01-05,2026-02-04,USD,100.00,8.00,108.00,98.00,,,M1\n"
        "credit_memo,,,CM-1,C1,2026-01-06,,USD,10.00,,10.00,,INV-1,10.00,\n"
        "credit_memo,,,CM-2,C1,2026-01-06,,USD,,,5.00,,INV-1,,\n"
        "adjustment,write_off,,WO-1,C1,2026-01-07,,USD,,,1.00,,INV-1,,\n"
        "adjustment,journal,,J-1,C1,2026-01-07,,USD,,,2.00,,,,\n"
        "adjustment,journal,debit,J-2,C1,2026-01-07,,USD,,,2.00,,,,\n"
        "invoice,,,INV-2,C1,2026-01-05,,USD,,,-5.00,,,,\n"
        "invoice,,,INV-3,C1,2026-01-05,,USD,1.00,1.00,3.00,,,,\n"
    )
    profile = load_profile("documents")
    found, report = records(path, profile, "erp")
    con = duckdb.connect()
    assert load(con, path, profile, side="left").as_json() == report.as_json()
    assert [(r["row"], r["column"]) for r in report.rejected] == [(6, "kind"), (8, "kind"), (9, "net")]
    by_id = {o.id: o.record for o in found if not isinstance(o.record, RecordError)}
    assert isinstance(by_id["INV-1"], Invoice)
    assert (by_id["INV-1"].reported_open, by_id["INV-1"].marker) == (D("98.00"), "M1")
    assert [(a.invoice, a.amount) for a in by_id["CM-1"].applications] == [("INV-1", D("10.00"))]
    assert (by_id["CM-2"].applications, by_id["CM-2"].original_invoice) == ((), "INV-1")
    assert (by_id["WO-1"].document, by_id["WO-1"].side) == ("INV-1", "credit")
    assert by_id["J-2"].side == "debit"
    rows = con.execute("SELECT id, sign, net, tax, ar FROM left_documents ORDER BY id").fetchall()
    assert rows[:3] == [
        ("CM-1", -1, D(10), D(0), D(-10)),
        ("CM-2", -1, None, None, D(-5)),
        ("INV-1", 1, D(100), D(8), D(108)),
    ]


def test_open_items_count_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text(
        "number,customer,issued,currency,amount,open\nA,C1,2026-01-05,USD,100.00,40.00\nB,C1,2026-01-05,USD,-10.00,-10.00\n"
        "C,C1,2026-01-05,USD,10.00,11.00\n"
    )
    profile = load_profile("open-items")
    con = duckdb.connect()
    report = load(con, path, profile, side="right")
    assert report.as_json() == records(path, profile, "erp")[1].as_json()
    assert [(r["row"], r["column"]) for r in report.rejected] == [(4, "open")]
    assert con.execute('SELECT id, kind, total, "open", ar FROM right_documents ORDER BY id').fetchall() == [
        ("A", "invoice", D(100), D(40), D(40)),
        ("B", "credit_memo", D(10), D(10), D(-10)),
    ]


def test_customers(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(
        "customer,name,email,city,currency,active,balance,our_ref\n"
        "0001,Acme Ltd,a@example.com,Leeds,GBP,yes,12.50,M1\n0002,Müller,,,,no,,\n0003,One,,,,,,\n0003,Other,,,,,,\n",
        encoding="utf-8",
    )
    profile = load_profile("customers")
    found, report = records(path, profile, "erp")
    con = duckdb.connect()
    assert load(con, path, profile, side="left").as_json() == report.as_json()
    good = [o.record for o in found if isinstance(o.record, Customer)]
    assert [(c.ref.id, c.name, c.active, c.reported_balance, c.marker) for c in good] == [
        ("0001", "Acme Ltd", True, D("12.50"), "M1"),
        ("0002", "Müller", False, None, None),
    ]
    assert [r["row"] for r in report.rejected] == [4, 5]
    assert report.totals == {"GBP": {"count": 1, "sum": D("12.50")}}
    assert con.execute("SELECT id, name_key, number_key, balance FROM left_customers ORDER BY id").fetchall() == [
        ("0001", "acme ltd", "1", D("12.50")),
        ("0002", "müller", "2", None),
    ]


LINES = """
name = "lines"
entity = "documents"
rows = "lines"
key = ["number"]
[dates]
format = "%Y-%m-%d"
[amounts]
direction = "debit_positive"
[columns]
kind = { value = "invoice|credit_memo" }
number = { names = ["Number"] }
customer = { names = ["Customer"] }
issued = { names = ["Date"] }
currency = { names = ["Currency"] }
total = { names = ["Amount"] }
tax = { names = ["Tax"] }
line_net = { names = ["Net of the line"] }
item = { names = ["Item"] }
"""


def _of_lines(path: Path, rows: str, without: str = "") -> tuple[dict[str, list[D]], list[Any]]:
    """(what the lines of each document are worth, its subtotal and sum of lines as compared)"""
    left = [line for line in LINES.splitlines() if not (without and line.startswith(without))]
    profile = Profile.model_validate(tomllib.loads("\n".join(left)))
    path.write_text("Number,Customer,Date,Currency,Amount,Tax,Net of the line,Item\n" + rows, "utf-8")
    found, report = records(path, profile, "erp")
    assert not report.rejected
    con = duckdb.connect()
    load(con, path, profile, side="left")
    compared = con.execute("SELECT subtotal, line_sum FROM left_details ORDER BY id").fetchall()
    return {o.id: [line.net for line in o.record.lines] for o in found}, compared


def test_the_lines_of_a_credit_memo_and_a_deduction_add_up_to_their_document(tmp_path: Path) -> None:
    """A file that signs its amounts: a credit memo's lines are negative there, and a deduction goes the other way."""
    rows = (
        "1,C1,2026-01-05,USD,110.00,10.00,100.00,goods\n1,C1,2026-01-05,USD,-22.00,-2.00,-20.00,rebate\n"
        "2,C1,2026-01-06,USD,-55.00,-5.00,-50.00,back\n2,C1,2026-01-06,USD,11.00,1.00,10.00,fee\n"
        "3,C1,2026-01-06,USD,-33.00,-3.00,-30.00,back\n"
    )
    worth = {"1": [100, -20], "2": [50, -10], "3": [30]}
    assert _of_lines(tmp_path / "f.csv", rows) == (worth, [(80, 80), (40, 40), (30, 30)])
    assert _of_lines(tmp_path / "g.csv", rows, without="line_net") == (worth, [])


def test_a_document_that_states_only_its_whole_amount_has_no_lines_of_that_amount(tmp_path: Path) -> None:
    rows = "1,C1,2026-01-05,USD,110.00,10.00,,goods\n1,C1,2026-01-05,USD,110.00,10.00,,more\n"
    path = tmp_path / "f.csv"
    profile = Profile.model_validate(
        tomllib.loads(LINES.replace('{ names = ["Amount"] }', '{ names = ["Amount"], per = "document" }'))
    )
    path.write_text("Number,Customer,Date,Currency,Amount,Tax,Net of the line,Item\n" + rows, "utf-8")
    [found], _ = records(path, profile, "erp")
    assert isinstance(found.record, Invoice)
    assert (found.record.total, found.record.subtotal, found.record.lines) == (110, 100, ())


def test_a_deduction_with_a_day_of_its_own_is_taken_off_the_instalments(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    profile = Profile.model_validate(tomllib.loads(LINES.replace("item =", "due =")))
    path.write_text(
        "Number,Customer,Date,Currency,Amount,Tax,Net of the line,Item\n"
        "1,C1,2026-01-05,USD,100.00,,,2026-01-31\n1,C1,2026-01-05,USD,-10.00,,,2026-02-28\n",
        "utf-8",
    )
    [found], _ = records(path, profile, "erp")
    assert isinstance(found.record, Invoice)
    assert [(i.due, i.amount) for i in found.record.instalments] == [(date(2026, 1, 31), 100), (date(2026, 2, 28), -10)]


def test_a_day_for_each_line_needs_an_amount_of_each_line() -> None:
    """Each instalment would be the whole document."""
    whole = LINES.replace('{ names = ["Amount"] }', '{ names = ["Amount"], per = "document" }')
    with pytest.raises(ValueError, match="a day for each line needs an amount of each"):
        Profile.model_validate(tomllib.loads(whole.replace("item = {", 'due = { per = "line",')))
