"""What the rows of a file are, and which heading stands for which column: by headings that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tieout.connectors.infer.formats import AMOUNTS, holds_amounts, holds_dates, holds_digits
from tieout.connectors.infer.sheet import Sheet
from tieout.mapping.tabular import heading_key, list_profiles, load_profile

# Headings that no shipped profile names.
_MORE = {
    "customer": (
        "customer_id", "customerid", "cust_number", "cust no", "account ref", "account no", "vendor id", "supplier id",
        "client id", "debtor", "address book no.", "customer no", "customer no.", "customer code", "client no",
        "account number", "bill to customer number", "kundennummer", "kunden-nr.",
    ),
    "customer_name": (
        "bill to customer name", "supplier", "supplier name", "vendor name", "client", "client name", "debtor name",
        "contactname", "contact name", "name_customer",
    ),
    "number": (
        "invoice_number", "invoicenumber", "invoiceno", "invoice #", "invoice id", "inv #", "inv no", "inv no.",
        "inv. no.", "transaction number", "transaction no", "trx number", "doc_id", "rechnungsnummer", "rechnungsnr.",
    ),
    "kind": ("transaction type", "txn type", "trx type"),
    "document": ("document no.", "sap document number"),
    "issued": (
        "invoicedate", "invoice_date", "date paid", "payment date", "date of payment", "gl date", "clearing date",
        "transaction date", "trx date", "invoice gl date", "posting_date",
    ),
    "due": ("duedate", "due_date", "due_in_date"),
    "total": (
        "amount (foreign currency)", "amount (transaction currency)", "amount due original", "entered amount",
        "invoiceamount", "invoice amount", "amount due", "gross amount", "net amount", "value", "spend", "amount gross",
        "invoiced value", "converted_usd",
    ),
    "settled_on": ("settleddate", "clear_date", "paid date"),
    "currency": ("currency code", "invoice currency code", "currencycode", "ccy", "curr"),
    "open": (
        "amount remaining (foreign currency)", "amount remaining", "amount due remaining", "outstanding",
        "amount outstanding", "balance due", "open balance",
    ),
}  # fmt: skip
_MORE_OF_CUSTOMERS = {
    "customer": (*_MORE["customer"], "customer #", "account reference"),
    "name": ("company", "company name", "client name", "client", "account name", "contact name"),
    "email": ("email address", "e-mail address"),
    "phone": ("phone number", "telephone number"),
}
# What every ledger needs: in words, and the columns that say it as well.
_NEEDED = {
    "total": ("the amount", ({"debit"}, {"net", "tax"})),
    "issued": ("the document's date", ({"posted"},)),
    "customer": ("the customer", ({"customer_name"},)),
}
# A column that may be meant where no other holds what is needed.
_INSTEAD = {"total": ("net",), "issued": ("cleared_on", "settled_on")}
_MOST_SHOWN = 12  # headings of one question
# Words of headings that mean another one, wherever they stand.
_SAME = {
    **dict.fromkeys(("no", "nr", "num", "nbr", "#"), "number"),
    "doc": "document", "cust": "customer", "inv": "invoice", "trx": "transaction", "amt": "amount", "curr": "currency",
}  # fmt: skip
_SAYS_PARTY = re.compile(r"customer|client|debtor|supplier|vendor|payer|beneficiary|kunde")
_CONTACT = {"email", "phone", "address1", "city", "postal_code", "country", "terms", "tax_id", "parent"}
_SAYS_INVOICE = re.compile(r"invoice|inv\b|rechnung|bill\b")
_SAYS_OTHER = re.compile(r"receipt|payment|paid|credit|refund|cheque|check|remittance|zahlung|gutschrift")


@dataclass(slots=True)
class Roles:
    """entity: what the rows are · columns: canonical column to position

    absent: columns that are needed and of which no heading is known, with the positions that may hold them
    rivals: positions that may stand for a column as well, and say otherwise in some row
    numbers: positions that may hold a document's number, where no heading is known for it
    """

    entity: str
    columns: dict[str, int]
    rivals: dict[str, list[int]]
    absent: Mapping[str, Sequence[int]] = field(default_factory=dict)
    numbers: tuple[int, ...] = ()


class Known:
    """Which column each known heading stands for: as it is written, else by its words (`Doc. No`, `DocumentNo`)."""

    def __init__(self, profiles: Iterable[str], more: Mapping[str, tuple[str, ...]]) -> None:
        self._written: dict[str, str] = {}
        for name in profiles:
            for key, column in _of_profile(name).items():
                self._written.setdefault(key, column)
        for column, names in more.items():
            for heading in names:
                self._written.setdefault(heading_key(heading), column)
        self._worded: dict[str, str] = {}
        for key, column in self._written.items():
            self._worded.setdefault(_in_words(key), column)

    def column(self, heading: str) -> str | None:
        """The canonical column, None if the heading is not known."""
        return self._written.get(heading_key(heading)) or self._worded.get(_in_words(heading))

    def knows(self, heading: str) -> bool:
        return self.column(heading) is not None


def _in_words(heading: str) -> str:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    return " ".join(_SAME.get(word, word) for word in re.findall(r"[^\W_]+|#", heading_key(apart)))


@lru_cache(maxsize=1)
def headings() -> Known:
    """The headings of the shipped profiles of documents, generic ones first, and some more."""
    return Known(_documents(), _MORE)


@lru_cache(maxsize=1)
def _documents() -> tuple[str, ...]:
    return tuple(
        n for n in dict.fromkeys(("documents", "payments", "open-items", *list_profiles())) if n != "customers"
    )


@lru_cache(maxsize=64)
def _of_profile(name: str) -> dict[str, str]:
    return {heading_key(h): column for column, spec in load_profile(name).columns.items() for h in spec.names}


def roles_of(sheet: Sheet) -> Roles:
    """By the profile that knows most of the headings, then by the others."""
    there = [heading_key(h) for h in sheet.headings]
    nearest = max(_documents(), key=lambda name: sum(h in _of_profile(name) for h in there))
    columns, rivals = _columns(sheet, Known((nearest, *_documents()), _MORE))
    if not columns.keys() & {"number", "document", "total", "debit", "net", "issued", "posted"}:
        people, others = _columns(sheet, Known(("customers",), _MORE_OF_CUSTOMERS))
        if people.keys() & {"customer", "name"} and people.keys() & _CONTACT:
            sheet.notes.append("no column has a date, an amount or a number of a document: these are customers")
            return Roles("customers", people, _asked(sheet, people, others))
    if "tax" in columns and "net" not in columns and _says_net(sheet, columns):
        columns["net"] = columns.pop("total")
        sheet.notes.append("no column has the total: it is net and tax together")
    absent = {}
    for needed, (words, ways) in _NEEDED.items():
        if needed == "customer" and sheet.group:
            continue  # stands above its rows
        if not any(way <= columns.keys() for way in ({needed}, *ways)):
            may = absent[needed] = _may(sheet, columns, needed)
            shown = f"; perhaps {' or '.join(repr(sheet.headings[at]) for at in may[:_MOST_SHOWN])}" if may else ""
            sheet.questions.append(f"{needed}: no heading is known for {words}{shown}. Which column is it?")
    found = Roles("documents", columns, _asked(sheet, columns, rivals), absent)
    if not columns.keys() & {"number", "document"}:
        found.numbers = _numbers(sheet, columns)
    return found


def _columns(sheet: Sheet, known: Known) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Canonical column to the first heading that stands for it, and the others that would."""
    columns: dict[str, int] = {}
    rivals: dict[str, list[int]] = {}
    words: dict[str, int] = {}
    for at, heading in enumerate(sheet.headings):
        column = known.column(heading)
        if column in AMOUNTS and not holds_digits(sheet.column(at)):
            words.setdefault(column, at)  # such as `Open`, which says yes or no
            continue
        if column is not None and columns.setdefault(column, at) != at:
            rivals.setdefault(column, []).append(at)
    return {**words, **columns}, rivals


def _asked(sheet: Sheet, columns: Mapping[str, int], rivals: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The rivals that say otherwise in some row, each a question; of those that never do, a note."""
    asked: dict[str, list[int]] = {}
    for column, others in rivals.items():
        if column not in columns:
            continue
        first = sheet.headings[columns[column]]
        for at in others:
            if sheet.cells(at) == sheet.cells(columns[column]):
                sheet.notes.append(f"{sheet.headings[at]!r} says what {first!r} says, in every row")
            else:
                asked.setdefault(column, []).append(at)
        if column in asked:
            more = " or ".join(repr(sheet.headings[at]) for at in asked[column])
            sheet.questions.append(f"{column}: {first!r} or {more}? Either heading may stand for it, and they differ")
    return asked


def _may(sheet: Sheet, columns: dict[str, int], needed: str) -> tuple[int, ...]:
    """Columns not read as anything else that hold only amounts, or only dates, where such are needed; or name a party.

    Where there is none, one that would be read as something near it (`_INSTEAD`), and then is not read as that.
    """
    left = (at for at, h in enumerate(sheet.headings) if h.strip() and at not in columns.values())
    if needed == "customer":
        return tuple(at for at in left if _SAYS_PARTY.search(heading_key(sheet.headings[at])))
    holds = {"total": holds_amounts, "issued": holds_dates}[needed]
    found = tuple(at for at in left if holds(sheet.column(at)))
    near = (name for name in _INSTEAD[needed] if name in columns and holds(sheet.column(columns[name])))
    if not found and (name := next(near, None)) is not None:
        return (columns.pop(name),)
    return found


def _says_net(sheet: Sheet, columns: dict[str, int]) -> bool:
    """Whether the column taken for the total is named after what is left without tax."""
    return "total" in columns and "net" in heading_key(sheet.headings[columns["total"]]).split()


def _numbers(sheet: Sheet, columns: dict[str, int]) -> tuple[int, ...]:
    """Where a document's number may stand: columns that say something else in every row, those not read first.

    A column `invoice` is what a credit memo is set against only beside a number of its own.
    """
    if "invoice" in columns and _identifies(sheet, columns["invoice"]):
        return (columns.pop("invoice"),)
    taken = columns.values()
    return tuple(at for at, h in enumerate(sheet.headings) if h.strip() and at not in taken and _identifies(sheet, at))


def _identifies(sheet: Sheet, at: int) -> bool:
    values = sheet.column(at)
    return len(values) == len(sheet.rows) > 0 and len(set(values)) == len(values)


def say_invoice(sheet: Sheet) -> str:
    """The headings by which the rows are invoices, in a phrase; "" where none says so, or one says otherwise."""
    words = {h: heading_key(h) for h in sheet.headings}
    if any(_SAYS_OTHER.search(key) for key in words.values()):
        return ""
    found = [h for h, key in words.items() if _SAYS_INVOICE.match(key)]
    return " and ".join(map(repr, found[:2]))
