"""What the file ERP does with rows that change, clear or reverse what it holds: all of a record's rows, or none."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

from tieout.sandbox.file_erp.books import ZERO, Books, BooksError, Document
from tieout.sandbox.file_erp.jobs import Job

# Heading of the plain layouts → field of a document, of a payment, of a customer.
_DOCUMENT = {"due_date": "due", "memo": "text", "tax_code": "tax_code", "tax": "tax", "total": "amount"}
_PAYMENT = {"number": "reference", "method": "method", "memo": "text", "total": "amount"}
_FREE = frozenset({"amount", "tax"})


def carry_out(books: Books, job: Job, more: Decimal) -> str:
    """Do what a job says to what the books hold; returns its number. `more` is added to each amount that is applied.

    Raises BooksError if the ERP's rules refuse it: then nothing of it was done.
    """
    if job.kind == "customer":
        values = {name: job.fields[name] for name in job.changed}
        return books.change_customer(job.id, by="import", **values)
    doc = _found(books, job)
    before, logged = deepcopy(doc), len(books.effects)
    try:
        if job.operation == "void":
            _void(books, doc, job)
        elif job.kind == "clearing":
            _clear(books, doc, job, more)
        else:
            _update(books, doc, job, more)
    except BooksError:
        books.documents[doc.number] = before
        del books.effects[logged:]
        raise
    return doc.number


def _found(books: Books, job: Job) -> Document:
    doc, said = books.document(job.id), job.fields
    if doc.reversed_on:
        raise BooksError(f"{job.id} is reversed")
    if said["company_code"] not in ("", books.company_code) or said.get("fiscal_year", doc.fiscal_year) != (
        doc.fiscal_year
    ):
        raise BooksError(f"there is no {job.id} in that company code and year")
    if said["currency"] != doc.currency or said.get("customer", doc.customer) != doc.customer:
        raise BooksError(f"{job.id} has another currency or customer")
    return doc


def _void(books: Books, doc: Document, job: Job) -> None:
    amount = abs(job.fields["amount"])
    if amount != doc.amount or (job.kind == "reversal" and job.fields["amount"] != -doc.signed()):
        raise BooksError(f"{doc.number} is about {doc.signed()}, not {job.fields['amount']}")
    books.reverse(doc.number, on=job.fields["void_date"], by="import")


def _clear(books: Books, doc: Document, job: Job, more: Decimal) -> None:
    for (invoice, amount), on in zip(job.parts, job.fields["days"], strict=True):
        if amount < 0:
            books.reset(doc.number, invoice, -amount, by="import")
        elif on is None:
            raise BooksError("an application needs a posting date")
        else:
            books.apply(doc.number, invoice, amount + more, on=on, by="import")


def _update(books: Books, doc: Document, job: Job, more: Decimal) -> None:
    known = _PAYMENT if job.kind == "payment" else _DOCUMENT
    applies = {"applied_to", "applied_amount"} & job.changed
    names = {"due_date": "due", "memo": "text", "number": "reference", "total": "amount"}
    derived = {"net"} if job.kind != "payment" else set()
    if unknown := job.changed - applies - known.keys() - derived:
        raise BooksError(f"{', '.join(sorted(unknown))} cannot be changed")
    values: dict[str, Any] = {}
    for heading in job.changed & known.keys():
        value = job.fields[names.get(heading, heading)]
        values[known[heading]] = value
    if values.keys() & _FREE:
        books.require_open(doc.posting_date)
        used = doc.applied(doc.posting_date.max) if not doc.is_invoice else doc.amount - books.unpaid(doc.number)
        if values.get("amount", doc.amount) < used:
            raise BooksError(f"{doc.number} has {used} applied already")
    if applies:
        _set_against(books, doc, dict(_summed(job.parts)), more)
    if values or not job.changed:
        books.change(doc.number, by="import", **values)


def _set_against(books: Books, doc: Document, wanted: dict[str, Decimal], more: Decimal) -> None:
    now: dict[str, Decimal] = {}
    for application in doc.applications:
        if application.reversed_on is None:
            now[application.invoice] = now.get(application.invoice, ZERO) + application.amount
    for invoice, amount in now.items():
        if wanted.get(invoice) != amount:
            books.reset(doc.number, invoice, amount, by="import")
    for invoice, amount in wanted.items():
        if now.get(invoice) != amount:
            on = max(doc.posting_date, books.document(invoice).posting_date)
            books.apply(doc.number, invoice, amount + more, on=on, by="import")


def _summed(parts: tuple[tuple[str, Decimal], ...]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for invoice, amount in parts:
        if invoice:
            sums[invoice] = sums.get(invoice, ZERO) + amount
    return sums
