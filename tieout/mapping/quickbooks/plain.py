"""Invoices and credit memos in their usual shape -> canonical documents: one pass, nothing validated twice.

The same records as `documents` gives, several times faster, or None: then `documents` reads the object, or says why it
cannot be read. So nothing is refused here, and no rule holds here that does not hold there (proved by property test).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable
from tieout.mapping.quickbooks import payload
from tieout.mapping.quickbooks.documents import tax_lines
from tieout.mapping.quickbooks.lines import DISCOUNT, SALES, SUBTOTAL, TAXED, UNTAXED
from tieout.mapping.quickbooks.native import (
    DESCRIPTION_LENGTH,
    NUMBER_LENGTH,
    Books,
    identifying,
    maker,
    memo,
    paragraphs,
    ref,
    same_product,
    split_note,
)
from tieout.model import CENT, MOST_DIGITS, NOTHING, CreditMemo, Invoice, Line, PostingState, Ref

_ONE = Decimal(1)
_INVOICE, _CREDIT_MEMO, _LINE, _REF = maker(Invoice), maker(CreditMemo), maker(Line), maker(Ref)


class _Unusual(Exception):
    """The object is not of the usual shape, or cannot be read."""


def read(kind: type[Invoice | CreditMemo], shape: payload.DocumentShape, books: Books) -> Invoice | CreditMemo | None:
    """The record; None where anything is not as it usually is."""
    try:
        shared = _shared(shape, books)
        if kind is Invoice:
            return _INVOICE(_invoice(shared, shape))
        return _CREDIT_MEMO(_credit_memo(shared, shape))
    except (_Unusual, Unreadable, ArithmeticError, ValueError):
        return None


def _invoice(shared: dict[str, Any], shape: payload.DocumentShape) -> dict[str, Any]:
    shared["due"] = _day(shape.DueDate) if shape.DueDate else None
    shared["instalments"] = ()
    shared["deposit_applied"] = _amount(shape.Deposit) or NOTHING
    shared["po_number"] = None
    shared["disputed"] = False
    shared["reported_open"] = _amount(shape.Balance)
    shared["settled_on"] = None
    return shared


def _credit_memo(shared: dict[str, Any], shape: payload.DocumentShape) -> dict[str, Any]:
    left = _amount(shape.RemainingCredit)
    shared["original_invoice"] = None
    shared["reason"] = None
    shared["applications"] = ()
    shared["reported_open"] = _amount(shape.Balance) if left is None else left
    shared["group"] = None
    return shared


def _shared(shape: payload.DocumentShape, books: Books) -> dict[str, Any]:
    """In the order of the model's fields."""
    detail = {} if shape.TxnTaxDetail is None else shape.TxnTaxDetail
    posted, total = _day(shape.TxnDate), _amount(shape.TotalAmt)
    customer = shape.CustomerRef.value if shape.CustomerRef else None
    if not total or not customer or type(detail) is not dict or shape.GlobalTaxCalculation == "TaxInclusive":
        raise _Unusual
    currency = (shape.CurrencyRef.value if shape.CurrencyRef else None) or books.home_currency
    tax = _amount(detail.get("TotalTax")) or NOTHING
    code = ref(detail, "TxnTaxCodeRef") if "TxnTaxCodeRef" in detail else None
    lines, subtotal, discount = _lines(shape.Line or [], code, TAXED if tax else UNTAXED, currency)
    if subtotal - discount + tax != total or subtotal.is_signed():
        raise _Unusual
    body, marker = split_note(shape.PrivateNote) if shape.PrivateNote else (None, None)
    number = shape.DocNumber or None
    return {
        "ref": _ref(books.connection, shape, number),
        "customer": customer,
        "payer": None,
        "entity_code": None,
        "ar_account": (shape.ARAccountRef.value or None) if shape.ARAccountRef else None,
        "number": identifying(number, NUMBER_LENGTH),
        "issued": posted,
        "posted": posted,
        "currency": currency,
        "exchange_rate": None if currency == books.home_currency else _number(shape.ExchangeRate),
        "lines": lines,
        "tax_lines": tax_lines({"TxnTaxDetail": detail}, tax, lines) if tax or "TaxLine" in detail else (),
        "subtotal": subtotal,
        "discount": discount,
        "tax": tax,
        "total": total,
        "memo": memo(body) if body else None,
        "state": PostingState.POSTED,
        "voided_on": None,
        "marker": marker,
    }


def _ref(connection: str, shape: payload.DocumentShape, number: str | None) -> Ref:
    id, version = shape.Id, shape.SyncToken
    if type(id) is not str or type(version) is not str:
        raise _Unusual
    return _REF({"connection": connection, "id": id, "number": number, "version": version or None})


def _lines(
    given: list[payload.LineShape], code: str | None, unmarked: str, currency: str
) -> tuple[tuple[Line, ...], Decimal, Decimal]:
    """(lines, their sum, the discount), of sales, discount and sub-total lines alone."""
    lines, subtotal, discount = [], NOTHING, NOTHING
    for line in given:
        kind = line.DetailType
        if kind == SALES:
            net = _some(line.Amount)
            lines.append(_line(line, net, code, unmarked, currency))
            subtotal += net
        elif kind == DISCOUNT:
            discount += _some(line.Amount)
        elif kind != SUBTOTAL:
            raise _Unusual
    if discount.is_signed():
        raise _Unusual
    return tuple(lines), subtotal, discount


def _line(line: payload.LineShape, net: Decimal, code: str | None, unmarked: str, currency: str) -> Line:
    detail = line.SalesItemLineDetail
    if detail is None or detail.ItemRef is None or not detail.ItemRef.value or detail.TaxInclusiveAmt is not None:
        raise _Unusual
    quantity, price = _number(detail.Qty), _number(detail.UnitPrice)
    once = quantity is _ONE and price == net
    if not once and quantity is not None and price is not None and not same_product(quantity, price, net, currency):
        quantity = price = None
    mark = (detail.TaxCodeRef.value if detail.TaxCodeRef else None) or unmarked
    return _LINE(
        {
            "item": detail.ItemRef.value,
            "description": paragraphs(line.Description, DESCRIPTION_LENGTH),
            "quantity": quantity,
            "unit_price": price,
            "net": net,
            "tax_code": code if code and mark == TAXED else mark,
            "tax": None,
            "revenue_account": None,
        },
    )


def _number(value: Any) -> Decimal | None:
    if type(value) is Decimal or value is None:
        return value
    if type(value) is int:
        return _ONE if value == 1 else Decimal(value)
    raise _Unusual


def _some(value: Any) -> Decimal:
    """The amount as records hold it, of either sign; at most two decimal places are usual."""
    if type(value) is not Decimal:
        if type(value) is not int:
            raise _Unusual
        if not value:
            return NOTHING
        value = Decimal(value)
    made = value if value.same_quantum(CENT) else value.quantize(CENT)
    if made != value or made.adjusted() >= MOST_DIGITS:
        raise _Unusual
    return made or NOTHING


def _amount(value: Any) -> Decimal | None:
    if value is None:
        return None
    made = _some(value)
    if made.is_signed():
        raise _Unusual
    return made


def _day(value: str | None) -> date:
    if value is None or len(value) != 10:
        raise _Unusual
    return date.fromisoformat(value)
