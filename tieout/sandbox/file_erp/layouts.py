"""What the file ERP exports: layouts (columns) in styles (encoding, delimiter, number and date formats).

A cell is text, `Decimal`, `date` or None; the style prints it. Layouts: SAP's customer line items (FBL5N) under
English or German headings, and the plain generic files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import import_module
from typing import Any

from tieout.sandbox.file_erp.books import ZERO, Books, Customer, Document

Cell = str | Decimal | date | None


@dataclass(frozen=True, slots=True)
class Style:
    """How cells are printed. `xlsx` has typed cells and ignores the rest; a trailing minus prints `12.00-`."""

    suffix: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    group: str = ""
    date_format: str = "%Y-%m-%d"
    trailing_minus: bool = False

    def text(self, cell: Cell) -> str:
        if cell is None:
            return ""
        if isinstance(cell, date):
            return cell.strftime(self.date_format)
        if not isinstance(cell, Decimal):
            return cell
        plain = f"{abs(cell):,f}".replace(",", "\0").replace(".", self.decimal).replace("\0", self.group)
        if cell >= 0:
            return plain
        return f"{plain}-" if self.trailing_minus else f"-{plain}"


# SAP's "spreadsheet" local file: tab-separated UTF-16 under the name .xls.
SAP_XLS_EN = Style("xls", "utf-16-le", "\t", ".", ",", "%m/%d/%Y", trailing_minus=True)
SAP_XLS_DE = Style("xls", "utf-16-le", "\t", ",", ".", "%d.%m.%Y", trailing_minus=True)
CSV_DE = Style("csv", "cp1252", ";", ",", ".", "%d.%m.%Y")
CSV = Style()
XLSX = Style("xlsx")


@dataclass(frozen=True, slots=True)
class Line:
    """One exported row: a document, or the part of it that is set against one invoice."""

    document: Document
    item: int
    amount: Decimal
    invoice: str
    cleared_with: str
    cleared_on: date | None
    reversed_on: date | None


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of one row, and what it adds to receivables: the control total is the sum of it."""

    cells: list[Cell]
    currency: str = ""
    effect: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Layout:
    """A file: its name stem, entity, headings and the rows below them."""

    stem: str
    entity: str
    headings: tuple[str, ...]
    rows: Callable[[Books, date, str], Iterator[Row]]
    style: Style


def lines(books: Books, as_of: date, scope: str) -> Iterator[Line]:
    """Every line posted by the day, oldest number first. Scope `open` leaves out what is cleared by then.

    A credit gives one line per standing application and one for the rest; reversal documents are not listed,
    the reversed ones say so.
    """
    balances = books.balances(as_of)
    cleared = _clearings(books, as_of, balances)
    for doc in sorted(books.documents.values(), key=lambda d: (d.posting_date, d.number)):
        if doc.posting_date > as_of:
            continue
        for item, (amount, invoice) in enumerate(_parts(doc, as_of), start=1):
            clearing, on = cleared.get(invoice or doc.number, ("", None))
            _, gone = _state(doc, as_of)
            if gone:
                clearing, on = doc.reversed_with, gone
            if scope == "open" and clearing:
                continue
            yield Line(doc, item, amount if doc.debit else -amount, invoice, clearing, on, gone)


def _state(doc: Document, as_of: date) -> tuple[str, date | None]:
    gone = doc.reversed_on if doc.reversed_on and doc.reversed_on <= as_of else None
    return ("voided" if gone else "posted"), gone


def _tax(line: Line) -> Cell:
    """Tax stands on the first line of an invoice or credit memo, and nowhere else."""
    if not line.document.is_invoice and line.document.type != "DG":
        return None
    return line.document.tax if line.item == 1 else ZERO


def _parts(doc: Document, as_of: date) -> list[tuple[Decimal, str]]:
    if doc.is_invoice or doc.concerns:
        return [(doc.amount, doc.concerns)]
    parts = [(a.amount, a.invoice) for a in doc.applications if a.stands(as_of)]
    rest = doc.amount - sum((amount for amount, _ in parts), ZERO)
    return [*parts, (rest, "")] if rest or not parts else parts


def _clearings(books: Books, as_of: date, balances: dict[str, Decimal]) -> dict[str, tuple[str, date | None]]:
    """Invoice number → the last document that brought it to zero, and its day."""
    last: dict[str, tuple[date, str]] = {}
    for doc in books.documents.values():
        if not books.counts(doc, as_of):
            continue
        against = [(a.on, a.invoice) for a in doc.applications if a.stands(as_of)]
        for on, invoice in [*against, *([(doc.posting_date, doc.concerns)] if doc.concerns else [])]:
            last[invoice] = max(last.get(invoice, (on, doc.number)), (on, doc.number))
    done = {
        number: (last[number][1], last[number][0]) for number, left in balances.items() if not left and number in last
    }
    stated = {d.number: ("", d.settled_on) for d in books.documents.values() if d.settled_on and d.settled_on <= as_of}
    return {**done, **stated}


# -- FBL5N

PAYMENT_METHODS = {"check": "C", "card": "K", "ach": "E", "wire": "T", "cash": "B", "other": ""}
FBL5N = (
    # English, German, value
    ("Account", "Konto", lambda x: x.document.customer),
    ("Company Code", "Buchungskreis", lambda x: x.document.company_code),
    ("Document Number", "Belegnummer", lambda x: x.document.number),
    ("Fiscal Year", "Geschäftsjahr", lambda x: str(x.document.fiscal_year)),
    ("Item", "Position", lambda x: str(x.item)),
    ("Document Type", "Belegart", lambda x: x.document.type),
    ("Document Date", "Belegdatum", lambda x: x.document.document_date),
    ("Posting Date", "Buchungsdatum", lambda x: x.document.posting_date),
    ("Net due date", "Nettofälligkeit", lambda x: x.document.due or x.document.document_date),
    ("Reference", "Referenz", lambda x: x.document.reference),
    ("Assignment", "Zuordnung", lambda x: x.document.our_reference or x.document.assignment),
    ("Amount in doc. curr.", "Betrag in Belegwährung", lambda x: x.amount),
    ("Document currency", "Belegwährung", lambda x: x.document.currency),
    ("Tax code", "Steuerkennzeichen", lambda x: x.document.tax_code),
    ("Tax amount", "Steuerbetrag", _tax),
    ("Clearing Document", "Ausgleichsbeleg", lambda x: x.cleared_with),
    ("Clearing date", "Ausgleichsdatum", lambda x: x.cleared_on),
    ("Invoice reference", "Rechnungsbezug", lambda x: x.invoice),
    ("Payment Method", "Zahlweg", lambda x: PAYMENT_METHODS.get(x.document.method, "")),
    ("Reversed with", "Storniert mit", lambda x: x.document.reversed_with if x.reversed_on else ""),
    ("Reversal date", "Stornodatum", lambda x: x.reversed_on),
    ("Reversal indicator", "Stornokennzeichen", lambda x: "X" if x.reversed_on else ""),
    ("Text", "Text", lambda x: x.document.text),
)
"""Customer line items as the SAP screen names them; debit positive, credit negative."""


def _fbl5n(books: Books, as_of: date, scope: str) -> Iterator[Row]:
    for line in lines(books, as_of, scope):
        yield Row([value(line) for _, _, value in FBL5N], line.document.currency, line.amount)


# -- generic

CUSTOMERS: tuple[tuple[str, Callable[[Customer], Cell]], ...] = (
    ("customer", lambda c: c.account),
    ("name", lambda c: c.name),
    ("email", lambda c: c.email),
    ("phone", lambda c: c.phone),
    ("street", lambda c: c.street),
    ("city", lambda c: c.city),
    ("region", lambda c: c.region),
    ("postal_code", lambda c: c.postal_code),
    ("country", lambda c: c.country),
    ("currency", lambda c: c.currency),
    ("terms", lambda c: c.terms),
    ("tax_id", lambda c: c.tax_id),
    ("active", lambda c: "yes" if c.active else "no"),
    ("our_reference", lambda c: c.our_reference),
)
DOCUMENTS = (
    "kind", "adjustment_kind", "side", "number", "customer", "customer_name", "document_date", "posting_date",
    "due_date", "currency", "net", "tax_code", "tax", "total", "open", "invoice", "applied", "settled_on", "state",
    "voided_on", "disputed", "company_code", "po_number", "memo", "our_reference",
)  # fmt: skip
PAYMENTS = (
    "payment", "reference", "customer", "received", "posting_date", "method", "currency", "amount", "unapplied",
    "invoice", "applied", "applied_on", "state", "voided_on", "company_code", "memo", "our_reference",
)  # fmt: skip
OPEN_ITEMS = (
    "number", "customer", "customer_name", "document_date", "posting_date", "due_date", "currency", "amount", "open",
    "company_code", "memo", "our_reference",
)  # fmt: skip


def _customers(books: Books, as_of: date, scope: str) -> Iterator[Row]:  # noqa: ARG001  one shape for layouts
    for customer in books.customers.values():
        yield Row([value(customer) for _, value in CUSTOMERS])


def _posted(books: Books, as_of: date) -> list[Document]:
    found = [d for d in books.documents.values() if d.posting_date <= as_of]
    return sorted(found, key=lambda d: (d.posting_date, d.number))


def _documents(books: Books, as_of: date, scope: str) -> Iterator[Row]:
    """Invoices, credit memos and adjustments; a credit memo set against one invoice names it, against several none."""
    balances = books.balances(as_of)
    for doc in _posted(books, as_of):
        left = balances.get(doc.number, ZERO)
        if doc.type == "DZ" or (scope == "open" and not left):
            continue
        kind = "invoice" if doc.is_invoice else "credit_memo" if doc.type == "DG" else "adjustment"
        side = ("debit" if doc.debit else "credit") if kind == "adjustment" else ""
        standing = [a for a in doc.applications if a.stands(as_of)]
        only = standing[0] if len(standing) == 1 else None
        settled = doc.settled_on if doc.settled_on and doc.settled_on <= as_of else None
        cells: list[Cell] = [kind, doc.kind, side, doc.number, doc.customer, books.customers[doc.customer].name]
        cells += [doc.document_date, doc.posting_date, doc.due, doc.currency]
        cells += [doc.amount - doc.tax, doc.tax_code, doc.tax, doc.amount, left]
        cells += [only.invoice if only else doc.concerns, only.amount if only else None, settled, *_state(doc, as_of)]
        cells += ["yes" if doc.disputed else "", doc.company_code, doc.assignment, doc.text, doc.our_reference]
        yield Row(cells, doc.currency, doc.signed())


def _payments(books: Books, as_of: date, scope: str) -> Iterator[Row]:
    balances = books.balances(as_of)
    for doc in _posted(books, as_of):
        left = balances.get(doc.number, ZERO)
        if doc.type != "DZ" or (scope == "open" and not left):
            continue
        parts: list[tuple[str, Decimal, date | None]]
        parts = [(a.invoice, a.amount, a.on) for a in doc.applications if a.stands(as_of)]
        rest = doc.amount - sum((amount for _, amount, _ in parts), ZERO)
        for at, (invoice, amount, on) in enumerate([*parts, ("", rest, None)] if rest or not parts else parts):
            cells: list[Cell] = [doc.number, doc.reference if doc.reference != doc.number else "", doc.customer]
            cells += [doc.document_date, doc.posting_date, doc.method, doc.currency, doc.amount, left, invoice, amount]
            cells += [on, *_state(doc, as_of), doc.company_code, doc.text, doc.our_reference]
            yield Row(cells, doc.currency, ZERO if at else doc.signed())


def _open_items(books: Books, as_of: date, scope: str) -> Iterator[Row]:  # noqa: ARG001  it has one scope
    balances = books.balances(as_of)
    for doc in _posted(books, as_of):
        left = balances.get(doc.number, ZERO)
        if left:
            sign = 1 if doc.debit else -1
            cells: list[Cell] = [doc.number, doc.customer, books.customers[doc.customer].name, doc.document_date]
            cells += [doc.posting_date, doc.due, doc.currency, sign * doc.amount, sign * left]
            yield Row([*cells, doc.company_code, doc.text, doc.our_reference], doc.currency, doc.signed())


# An old billing system's list: invoices with the day they were settled, nothing of how. American dates.
SETTLEMENTS = ("customerID", "invoiceNumber", "InvoiceDate", "DueDate", "InvoiceAmount", "Disputed", "SettledDate")


def _settlements(books: Books, as_of: date, scope: str) -> Iterator[Row]:  # noqa: ARG001  it has one scope
    for doc in _posted(books, as_of):
        if doc.is_invoice:
            settled = doc.settled_on if doc.settled_on and doc.settled_on <= as_of else None
            cells: list[Cell] = [doc.customer, doc.number, doc.document_date, doc.due, doc.amount]
            yield Row([*cells, "Yes" if doc.disputed else "No", settled], doc.currency, doc.signed())


LAYOUTS = {
    "customers": Layout("customers", "customer", tuple(heading for heading, _ in CUSTOMERS), _customers, CSV),
    "documents": Layout("documents", "documents", DOCUMENTS, _documents, CSV),
    "payments": Layout("payments", "payment", PAYMENTS, _payments, CSV),
    "open-items": Layout("open-items", "open_items", OPEN_ITEMS, _open_items, CSV),
    "settlements": Layout("invoices", "invoice", SETTLEMENTS, _settlements, Style(date_format="%m/%d/%Y")),
    "sap-fbl5n-en": Layout("fbl5n", "documents", tuple(en for en, _, _ in FBL5N), _fbl5n, SAP_XLS_EN),
    "sap-fbl5n-de": Layout("fbl5n", "documents", tuple(de for _, de, _ in FBL5N), _fbl5n, SAP_XLS_DE),
}


def render(headings: Iterable[str], table: Iterable[list[Cell]], style: Style) -> bytes:
    """The file's bytes: a header row and the table, in the style's encoding (UTF-16 with its byte order mark)."""
    if style.suffix == "xlsx":
        return _workbook(headings, table)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=style.delimiter, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows([style.text(cell) for cell in row] for row in table)
    body = out.getvalue().encode(style.encoding)
    return b"\xff\xfe" + body if style.encoding == "utf-16-le" else body


def _workbook(headings: Iterable[str], table: Iterable[list[Cell]]) -> bytes:
    """An .xlsx with typed cells; text stays text, even where it begins like a formula."""
    openpyxl: Any = import_module("openpyxl")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Export")
    rows: list[list[Cell]] = [list(headings), *table]
    for row in rows:
        cells = [openpyxl.cell.WriteOnlyCell(sheet, value=value) for value in row]
        for cell, value in zip(cells, row, strict=True):
            if isinstance(value, str):
                cell.data_type = "s"
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
