"""How the file ERP loads import files: it checks the manifest and books each record under its own number.

It knows its layouts by their headings: the plain ones (`our_reference`, …), and the SAP postings, clearings and
reversals (`COMP_CODE`, …). A record is the run of rows that carry the same reference; one bad row rejects the record.
What is changed, cleared or reversed is the business of `changes`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from tieout.sandbox.file_erp import changes
from tieout.sandbox.file_erp.books import ZERO, Books, BooksError
from tieout.sandbox.file_erp.jobs import Job
from tieout.sandbox.file_erp.layouts import PAYMENT_METHODS

Row = dict[str, str]
METHODS = {code: method for method, code in PAYMENT_METHODS.items()}
SAP_TYPES = {"DR": "invoice", "DG": "credit_memo", "DZ": "payment"}


@dataclass(slots=True)
class LoadReport:
    """What one load did. booked: reference → the ERP's number · refused: whole files, with the reason."""

    files: list[str] = field(default_factory=list)
    booked: dict[str, str] = field(default_factory=dict)
    rejected: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def waiting(books: Books, outbox: Path) -> tuple[list[tuple[Path, dict[str, Any]]], list[str]]:
    """Files to load in sequence order, and why others are refused. A gap in the sequence stops what lies behind it."""
    found: list[tuple[Path, dict[str, Any]]] = []
    refused: list[str] = []
    manifests = [(p, json.loads(p.read_text("utf-8"))) for p in sorted(outbox.glob("*.manifest.json"))]
    expected = books.last_sequence + 1
    for path, manifest in sorted(manifests, key=lambda pair: int(pair[1]["sequence"])):
        sequence = int(manifest["sequence"])
        if sequence <= books.last_sequence:
            continue
        if sequence != expected:
            refused.append(f"{path.name}: sequence {sequence}, expected {expected}")
            break
        data = outbox / manifest["file"]
        if not data.is_file() or hashlib.sha256(data.read_bytes()).hexdigest() != manifest["sha256"]:
            refused.append(f"{path.name}: {manifest['file']} is missing or not the file of the manifest")
            break
        found.append((data, manifest))
        expected += 1
    return found, refused


def read(data: bytes) -> list[Job | tuple[Row, str]]:
    """The records of one import file, in order; an unreadable one as its first row and the reason."""
    text = data.decode("utf-8-sig")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True))
    reference, understand = _layout(rows[0] if rows else {})
    out: list[Job | tuple[Row, str]] = []
    for ours, group in groupby(rows, key=lambda row: row[reference]):
        chunk = list(group)
        try:
            out.append(understand(ours, chunk))
        except (ValueError, KeyError, ArithmeticError) as error:
            out.append((chunk[0], f"unreadable: {error!r}"))
    return out


def _layout(row: Row) -> tuple[str, Callable[[str, list[Row]], Job]]:
    """The column of the reference, and how the rows of one are understood."""
    if "ACTION" in row:
        return "CHANGE_REF", _clearing
    if "REASON_REV" in row:
        return "CHANGE_REF", _reversal
    return ("ASSIGNMENT", _sap) if "COMP_CODE" in row else ("our_reference", _plain)


def totals(jobs: list[Job | tuple[Row, str]]) -> dict[str, Decimal]:
    """Signed effect of the readable documents per currency: the figure that the manifest states."""
    sums: dict[str, Decimal] = {}
    for job in jobs:
        if isinstance(job, Job) and job.kind != "customer":
            currency = job.fields["currency"]
            sums[currency] = sums.get(currency, ZERO) + job.effect
    return sums


def book(books: Books, job: Job, *, renumber: bool = False, keep_reference: bool = True, change: Decimal = ZERO) -> str:
    """Book one record; returns its number. Raises BooksError if the ERP's rules refuse it.

    A plain file's invoice or credit memo keeps the number it came with; SAP gives each document its own.
    """
    if job.operation != "create":
        return changes.carry_out(books, job, change)
    data = dict(job.fields)
    ours = job.our_reference if keep_reference else ""
    if job.kind == "customer":
        return books.enter_customer(**data, our_reference=ours, by="import")
    if data.pop("company_code") not in ("", books.company_code):
        raise BooksError(f"company code is not {books.company_code}")
    own_number = data.pop("number", "")
    if renumber:
        data["reference"] = own_number = ""
    amount = data.pop("amount") + change
    common: dict[str, Any] = {"our_reference": ours, "by": "import", "number": own_number or None} | data
    if job.kind == "invoice":
        tax = common.pop("tax")
        return books.enter_invoice(net=amount - tax, tax=tax, type="DR", **common)
    shares: dict[str, Decimal] = {}
    for invoice, value in job.parts:
        if invoice:
            shares[invoice] = shares.get(invoice, ZERO) + value
    common["applications"] = shares
    if job.kind == "credit_memo":
        tax = common.pop("tax")
        return books.enter_credit_memo(net=amount - tax, tax=tax, **common)
    return books.enter_payment(amount=amount, **common)


def _day(text: str) -> date | None:
    if not text:
        return None
    return datetime.strptime(text, "%Y%m%d" if text.isdigit() else "%Y-%m-%d").date()


def _needed(text: str) -> date:
    day = _day(text)
    if day is None:
        raise ValueError("a date is missing")
    return day


def _plain(ours: str, rows: list[Row]) -> Job:
    first = rows[0]
    about: dict[str, Any] = {"operation": first.get("operation") or "create", "id": first.get("id", "")}
    about["changed"] = frozenset(first.get("changed", "").split())
    if "name" in first:
        keys = ("name", "email", "phone", "street", "city", "region", "postal_code", "country", "terms", "tax_id")
        return Job("customer", ours, {k: first[k] for k in keys} | {"currency": first["currency"] or None}, **about)
    kind = first.get("kind", "payment")
    common = {
        "customer": first["customer"],
        "company_code": first["company_code"],
        "on": _needed(first["document_date"]),
        "posting_date": _needed(first["posting_date"]),
        "currency": first["currency"],
        "amount": Decimal(first["total"]),
        "reference": first["number"],
        "text": first["memo"],
    }
    if about["operation"] == "void":
        return Job(kind, ours, common | {"void_date": _needed(first["void_date"])}, **about)
    if kind == "payment":
        common["method"] = first["method"]
    else:
        common |= {"tax": Decimal(first["tax"] or 0), "tax_code": first["tax_code"], "number": first["number"]}
    if kind == "invoice":
        return Job(kind, ours, common | {"due": _day(first["due_date"])}, **about)
    return Job(kind, ours, common, tuple((r["applied_to"], Decimal(r["applied_amount"])) for r in rows), **about)


def _clearing(ours: str, rows: list[Row]) -> Job:
    """Amounts to set against invoices (positive) and to take back (negative), in the order of the file."""
    first = rows[0]
    for row in rows:
        if (row["ACTION"], Decimal(row["AMOUNT"]) > 0) not in (("APPLY", True), ("RESET", False)):
            raise ValueError(f"{row['ACTION']} of {row['AMOUNT']}")
    fields = _of_sap(first) | {
        "customer": first["CUSTOMER"],
        "amount": sum((Decimal(r["AMOUNT"]) for r in rows), ZERO),
        "days": tuple(_day(r["PSTNG_DATE"]) for r in rows),
    }
    parts = tuple((r["INV_REF"], Decimal(r["AMOUNT"])) for r in rows)
    return Job("clearing", ours, fields, parts, operation="apply", id=first["DOC_NO"])


def _reversal(ours: str, rows: list[Row]) -> Job:
    [first] = rows
    if first["REASON_REV"] != "01":
        raise ValueError(f"reversal reason {first['REASON_REV']!r}")
    fields = _of_sap(first) | {"amount": Decimal(first["AMT_DOCCUR"]), "void_date": _needed(first["PSTNG_DATE"])}
    return Job("reversal", ours, fields, operation="void", id=first["DOC_NO"])


def _of_sap(row: Row) -> dict[str, Any]:
    year = int(row["FISC_YEAR"])
    return {"company_code": row["COMP_CODE"], "fiscal_year": year, "currency": row["CURRENCY"]}


def _sap(ours: str, rows: list[Row]) -> Job:
    first = rows[0]
    kind = SAP_TYPES[first["DOC_TYPE"]]
    amount = sum((Decimal(r["AMT_DOCCUR"]) for r in rows), ZERO)
    if (amount < 0) is (kind == "invoice"):
        raise ValueError(f"{first['DOC_TYPE']} with the amount {amount}")
    common = {
        "customer": first["CUSTOMER"],
        "company_code": first["COMP_CODE"],
        "on": _needed(first["DOC_DATE"]),
        "posting_date": _needed(first["PSTNG_DATE"]),
        "currency": first["CURRENCY"],
        "amount": abs(amount),
        "reference": first["REF_DOC_NO"],
        "text": first["ITEM_TEXT"],
    }
    if kind == "payment":
        common["method"] = METHODS[first["PYMT_METH"]]
    else:
        common |= {"tax": Decimal(first["TAX_AMT"] or 0), "tax_code": first["TAX_CODE"]}
    if kind == "invoice":
        return Job(kind, ours, common | {"due": _day(first["BLINE_DATE"])})
    return Job(kind, ours, common, tuple((r["INV_REF"], abs(Decimal(r["AMT_DOCCUR"]))) for r in rows))
