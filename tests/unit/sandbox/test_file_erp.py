"""The file ERP: a believable other end. It books what it is handed, exports it again, and can do both wrongly."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tieout.errors import ConfigError
from tieout.sandbox.file_erp import CSV_DE, SAP_XLS_DE, XLSX, Books, BooksError, Faults, FileErp, generate, serve_folder

NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
JAN = date(2026, 1, 15)
END = date(2026, 1, 31)
DOCS = "our_reference,kind,number,customer,company_code,document_date,posting_date,due_date,currency,tax_code,tax,total,applied_to,applied_amount,memo"
SAP = "COMP_CODE;DOC_DATE;PSTNG_DATE;DOC_TYPE;REF_DOC_NO;CUSTOMER;ASSIGNMENT;CURRENCY;AMT_DOCCUR;TAX_CODE;TAX_AMT;BLINE_DATE;PYMT_METH;ITEM_TEXT;INV_REF;INV_REF_FY"


@pytest.fixture
def books() -> Books:
    books = Books()
    books.enter_customer("Nordlicht GmbH", account="200001")
    return books


def erp(books: Books, folder: Path | None = None) -> FileErp:
    return FileErp(books, folder=folder, clock=lambda: NOW)


def hand_over(outbox: Path, nth: int, text: str, total: str, **lies: Any) -> None:
    """An import file as tieout leaves it, written here by hand."""
    outbox.mkdir(exist_ok=True)
    name = f"20260202T090000Z-{nth:06}-invoices"
    data = text.replace("\n", "\r\n").encode()
    (outbox / f"{name}.import.csv").write_bytes(data)
    manifest = {
        "file": f"{name}.import.csv",
        "sequence": nth,
        "records": lies.pop("records", 1),
        "control_totals": {"USD": total},
        "sha256": hashlib.sha256(data).hexdigest(),
    } | lies
    (outbox / f"{name}.manifest.json").write_text(json.dumps(manifest))


def invoice_file(reference: str = "TO1", number: str = "Q-1", total: str = "108.25") -> str:
    return f"{DOCS}\n{reference},invoice,{number},200001,,2026-01-15,2026-01-15,2026-02-14,USD,A1,8.25,{total},,{total},Sale\n"


def table(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(encoding)), delimiter=delimiter))


# -- the books


def test_open_amounts_follow_payments_credits_write_offs_and_dates(books: Books) -> None:
    invoice = books.enter_invoice("200001", "100.00", on=JAN, tax="8.25")
    payment = books.enter_payment("200001", "80.00", on=date(2026, 1, 20), applications={invoice: "60.00"})
    books.enter_credit_memo("200001", "20.00", on=date(2026, 1, 21), applications={invoice: "20.00"})
    assert books.open(invoice, date(2026, 1, 19)) == Decimal("108.25")
    assert books.open(invoice, END) == Decimal("28.25")
    assert books.open(payment, END) == Decimal("20.00")
    books.write_off(invoice, on=date(2026, 1, 30))
    assert books.open(invoice, END) == 0
    assert books.receivables(END) == {"USD": Decimal("-20.00")}
    balances = books.balances(END)
    signed = sum(books.documents[n].signed() / books.documents[n].amount * left for n, left in balances.items())
    assert signed == books.receivables(END)["USD"]


def test_a_reversal_counts_from_its_own_day(books: Books) -> None:
    invoice = books.enter_invoice("200001", "50.00", on=JAN)
    books.reverse(invoice, on=END)
    assert books.receivables(date(2026, 1, 30)) == {"USD": Decimal("50.00")}
    assert books.receivables(END) == {}
    with pytest.raises(BooksError, match="already reversed"):
        books.reverse(invoice, on=END)


def test_applications_move_and_their_limits_hold(books: Books) -> None:
    one, two = (books.enter_invoice("200001", "50.00", on=JAN) for _ in range(2))
    payment = books.enter_payment("200001", "50.00", on=JAN, applications={one: "50.00"})
    books.unapply(payment, one, on=END)
    books.apply(payment, two, "30.00", on=END)
    assert (books.open(one, END), books.open(two, END), books.open(payment, END)) == (50, 20, 20)
    with pytest.raises(BooksError, match="left to apply"):
        books.apply(payment, two, "20.01", on=END)
    with pytest.raises(BooksError, match="exceeds the open amount"):
        books.enter_payment("200001", "99.00", on=END, applications={two: "21.00"})


def test_a_closed_period_takes_nothing(books: Books) -> None:
    books.close(END)
    with pytest.raises(BooksError, match="closed period"):
        books.enter_invoice("200001", "1.00", on=END)
    books.enter_invoice("200001", "1.00", on=date(2026, 2, 1))


def test_books_survive_the_disk(books: Books, tmp_path: Path) -> None:
    invoice = books.enter_invoice("200001", "100.00", on=JAN, tax="8.25", settled_on=END)
    payment = books.enter_payment("200001", "80.00", on=JAN, applications={invoice: "60.00"})
    books.unapply(payment, invoice, on=END)
    books.close(date(2025, 12, 31))
    erp(books, tmp_path).save()
    assert FileErp(folder=tmp_path).books.as_json() == books.as_json()
    effects = [json.loads(line) for line in (tmp_path / "effects.jsonl").read_text().splitlines()]
    assert [e["what"] for e in effects] == ["customer entered", "RV entered", "DZ entered", "unapplied"]


# -- exports


def test_fbl5n_lists_a_payment_line_by_line(books: Books, tmp_path: Path) -> None:
    one, two = (books.enter_invoice("200001", "100.00", on=JAN) for _ in range(2))
    paid = {one: "100.00", two: "40.00"}
    payment = books.enter_payment("200001", "150.00", on=END, applications=paid, reference="CHK 7")
    fbl5n = erp(books).export(tmp_path, END, layouts=["sap-fbl5n-en"])[0]
    assert fbl5n.suffix == ".xls"
    assert fbl5n.read_bytes()[:2] == b"\xff\xfe"
    rows = table(fbl5n, "utf-16", "\t")
    lines = [r for r in rows if r["Document Number"] == payment]
    assert [(r["Item"], r["Amount in doc. curr."], r["Invoice reference"]) for r in lines] == [
        ("1", "100.00-", one),
        ("2", "40.00-", two),
        ("3", "10.00-", ""),
    ]
    cleared = {
        r["Document Number"]: (r["Clearing Document"], r["Clearing date"]) for r in rows if not r["Invoice reference"]
    }
    assert cleared[one] == (payment, "01/31/2026")
    assert cleared[two] == ("", "")
    open_ones = table(erp(books).export(tmp_path, END, layouts=["sap-fbl5n-en"], scope="open")[0], "utf-16", "\t")
    assert [r["Document Number"] for r in open_ones] == [two, payment, payment]


def test_german_headings_numbers_and_umlauts(books: Books, tmp_path: Path) -> None:
    books.enter_customer("Müller & Söhne", account="200002")
    books.enter_credit_memo("200002", "1234.56", on=JAN, text="Gutschrift für Äpfel")
    de = erp(books).export(tmp_path, END, layouts=["sap-fbl5n-de"], styles={"sap-fbl5n-de": CSV_DE})[0]
    row = table(de, "cp1252", ";")[0]
    assert row["Betrag in Belegwährung"] == "-1.234,56"
    assert row["Belegdatum"] == "15.01.2026"
    assert row["Text"] == "Gutschrift für Äpfel"
    xls = erp(books).export(tmp_path, END, layouts=["sap-fbl5n-de"], styles={"sap-fbl5n-de": SAP_XLS_DE})[0]
    assert table(xls, "utf-16", "\t")[0]["Betrag in Belegwährung"] == "1.234,56-"


def test_a_workbook_has_typed_cells_and_no_formulas(books: Books, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    books.enter_invoice("200001", "100.10", on=JAN, text="=1+1")
    path = erp(books).export(tmp_path, END, layouts=["sap-fbl5n-en"], styles={"sap-fbl5n-en": XLSX})[0]
    sheet = openpyxl.load_workbook(path).active
    row = dict(zip([c.value for c in sheet[1]], sheet[2], strict=True))
    assert row["Text"].data_type == "s"
    assert row["Document Date"].is_date
    assert row["Document Number"].value == "90000000"


def test_a_manifest_counts_what_the_files_hold(books: Books, tmp_path: Path) -> None:
    books.enter_invoice("200001", "100.00", on=JAN)
    books.enter_payment("200001", "30.00", on=JAN)
    paths = erp(books).export(tmp_path, END, layouts=["customers", "documents", "payments"])
    manifest = json.loads(paths[-1].read_text())
    assert (manifest["as_of"], manifest["sequence"]) == ("2026-01-31", 1)
    assert [(f["rows"], f["totals"]) for f in manifest["files"]] == [
        (1, {}),
        (1, {"USD": "100.00"}),
        (1, {"USD": "-30.00"}),
    ]
    for entry in manifest["files"]:
        assert hashlib.sha256((tmp_path / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]


# -- loading


def test_a_plain_file_is_booked_under_the_number_it_came_with(books: Books, tmp_path: Path) -> None:
    hand_over(tmp_path, 1, invoice_file(), "108.25")
    report = erp(books).load_outbox(tmp_path)
    assert report.booked == {"TO1": "Q-1"}
    doc = books.document("Q-1")
    assert (doc.amount, doc.tax, doc.our_reference, doc.due) == (
        Decimal("108.25"),
        Decimal("8.25"),
        "TO1",
        date(2026, 2, 14),
    )
    assert books.effects[-1]["by"] == "import"


def test_a_sap_file_is_booked_under_the_erps_own_numbers(books: Books, tmp_path: Path) -> None:
    one, two = (books.enter_invoice("200001", "100.00", on=JAN) for _ in range(2))
    rows = "".join(
        f"1000;20260120;20260120;DZ;CHK1;200001;TO9;USD;{amount};;;;C;;{invoice};\n"
        for amount, invoice in (("-100.00", one), ("-40.00", two), ("-10.00", ""))
    )
    hand_over(tmp_path, 1, f"{SAP}\n{rows}", "-150.00")
    report = erp(books).load_outbox(tmp_path)
    doc = books.document(report.booked["TO9"])
    assert (doc.type, doc.amount, doc.reference, doc.method, doc.number) == ("DZ", 150, "CHK1", "check", "1400000000")
    assert [(a.invoice, a.amount) for a in doc.applications] == [(one, 100), (two, 40)]


def test_a_file_is_loaded_once(books: Books, tmp_path: Path) -> None:
    hand_over(tmp_path / "outbox", 1, invoice_file(), "108.25")
    first = erp(books, tmp_path)
    first.load_outbox(tmp_path / "outbox")
    again = FileErp(folder=tmp_path)
    assert again.load_outbox(tmp_path / "outbox").files == []
    assert again.books.with_reference("TO1") == ["Q-1"]


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ({"sha256": "0" * 64}, "not the file of the manifest"),
        ({"records": 2}, "counts or control totals"),
        ({"control_totals": {"USD": "108.26"}}, "counts or control totals"),
        ({"sequence": 2}, "expected 1"),
    ],
)
def test_a_file_that_is_not_its_manifests_is_refused_whole(books: Books, tmp_path: Path, lie: Any, says: str) -> None:
    hand_over(tmp_path, 1, invoice_file(), "108.25", **lie)
    report = erp(books).load_outbox(tmp_path)
    assert says in report.refused[0]
    assert books.documents == {}
    assert books.last_sequence == 0


def test_rows_the_books_refuse_go_to_a_reject_file(books: Books, tmp_path: Path) -> None:
    bad = invoice_file("TO2", "Q-2").splitlines()[1].replace("200001", "999")
    hand_over(tmp_path / "outbox", 1, invoice_file() + bad + "\n", "216.50", records=2)
    report = erp(books, tmp_path).load_outbox(tmp_path / "outbox")
    assert report.booked == {"TO1": "Q-1"}
    rejects = table(next((tmp_path / "rejected").iterdir()))
    assert [(r["reference"], r["reason"]) for r in rejects] == [("TO2", "no customer 999")]


# -- misbehaviour


def test_it_can_drop_the_reference_renumber_change_reject_and_double(books: Books, tmp_path: Path) -> None:
    machine = erp(books)
    wrong: list[tuple[dict[str, Any], Any]] = [
        ({"lose_reference": True}, lambda: books.with_reference("TO1") == []),
        ({"renumber": True}, lambda: books.document(books.with_reference("TO2")[0]).reference == "1800000000"),
        ({"change_amount": Decimal("0.01")}, lambda: books.document("Q-3").amount == Decimal("108.26")),
        ({"reject": frozenset({"TO4"})}, lambda: books.with_reference("TO4") == []),
        ({"duplicate_delivery": True}, lambda: len(books.with_reference("TO5")) == 2),
        ({"reject": 1}, lambda: books.with_reference("TO6") == []),
        ({"ignore_outbox": True}, lambda: books.with_reference("TO7") == []),
    ]
    for n, (fault, went_wrong) in enumerate(wrong, start=1):
        hand_over(tmp_path, n, invoice_file(f"TO{n}", f"Q-{n}"), "108.25")
        machine.faults = type(machine.faults)()
        machine.misbehave(**fault)
        machine.load_outbox(tmp_path)
        assert went_wrong(), fault


def test_it_can_export_badly(books: Books, tmp_path: Path) -> None:
    for _ in range(3):
        books.enter_invoice("200001", "10.00", on=JAN)
    machine = erp(books)

    def export(n: int, **faults: Any) -> tuple[list[Path], dict[str, Any]]:
        machine.faults = type(machine.faults)()
        machine.misbehave(**faults)
        paths = machine.export(tmp_path / str(n), END, layouts=["documents"])
        listed = json.loads(paths[-1].read_text())["files"][0] if paths[-1].suffix == ".json" else {}
        return paths, listed

    paths, listed = export(1, partial_export=1)
    assert (len(table(paths[0])), listed["rows"]) == (2, 3)
    paths, listed = export(2, silent_partial=1)
    assert (len(table(paths[0])), listed["rows"], listed["totals"]) == (2, 2, {"USD": "20.00"})
    paths, _ = export(3, late_export=10)
    assert "2026-01-21" in paths[0].name
    paths, _ = export(4, half_written=True)
    assert len(paths) == 1
    paths, _ = export(5, no_manifest=True)
    assert len(paths) == 1


def test_it_serves_a_folder(books: Books, tmp_path: Path) -> None:
    erp(books, tmp_path).save()
    hand_over(tmp_path / "outbox", 1, invoice_file(), "108.25")
    told: list[str] = []
    serve_folder(tmp_path, as_of=lambda: END, rounds=2, layouts=["documents"], tell=told.append, clock=lambda: NOW)
    assert told == [
        "files loaded: 1, documents booked: 1, files exported: 2",
        "files loaded: 0, documents booked: 0, files exported: 2",
    ]
    assert len(list((tmp_path / "export").glob("documents_*.csv"))) == 2


def test_sample_books_are_the_same_for_the_same_seed_and_add_up() -> None:
    first, again = Books(), Books()
    for books in (first, again):
        generate(books, customers=8, invoices=400, through=END, seed=7)
    assert first.as_json() == again.as_json()
    kinds = {d.type for d in first.documents.values()}
    assert kinds == {"RV", "DZ", "DG", "WO"}
    assert all(d.posting_date <= END for d in first.documents.values())
    signed = {n: left if first.document(n).debit else -left for n, left in first.balances(END).items()}
    assert sum(signed.values()) == first.receivables(END)["USD"]


def test_new_books_can_begin_with_a_sample_and_only_new_ones(tmp_path: Path) -> None:
    for _ in range(2):
        serve_folder(tmp_path, as_of=lambda: END, rounds=1, layouts=["documents"], sample=40, clock=lambda: NOW)
        kept = FileErp(folder=tmp_path).books
        assert sum(d.is_invoice for d in kept.documents.values()) == 40


def test_faults_are_read_from_words() -> None:
    found = Faults.parse(["renumber", "partial_export=2", "change_amount=0.01", "half_written=off"])
    assert found == Faults(renumber=True, partial_export=2, change_amount=Decimal("0.01"))
    for wrong in ("nonsense", "partial_export=x", "change_amount"):
        with pytest.raises(ConfigError, match="no such fault"):
            Faults.parse([wrong])
