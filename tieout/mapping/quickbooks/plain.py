"""Invoices and credit memos in their usual shape -> canonical documents: one pass, nothing validated twice.

The same records as `documents` gives, several times faster, or None: then `documents` reads the object, or says why it
cannot be read. So nothing is refused here, and no rule holds here that does not hold there (proved by property test).
"""

from __future__ import annotations

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
# What a document holds before it is filled in, in the order of the model's fields.
_NOT_TOLD = {"tax_lines": (), "state": PostingState.POSTED}
_NEW_INVOICE = dict.fromkeys(Invoice.model_fields) | _NOT_TOLD | {"instalments": (), "disputed": False}
_NEW_CREDIT_MEMO = dict.fromkeys(CreditMemo.model_fields) | _NOT_TOLD | {"applications": ()}


class _Unusual(Exception):
    """The object is not of the usual shape, or cannot be read."""


def read(kind: type[Invoice | CreditMemo], shape: payload.DocumentShape, books: Books) -> Invoice | CreditMemo | None:
    """The record; None where anything is not as it usually is."""
    try:
        return _invoice(shape, books) if kind is Invoice else _credit_memo(shape, books)
    except (_Unusual, Unreadable, ArithmeticError, ValueError):
        return None


def _invoice(shape: payload.DocumentShape, books: Books) -> Invoice:
    values = _NEW_INVOICE.copy()
    _share(values, shape, books)
    values["due"] = shape.DueDate
    values["deposit_applied"] = _amount(shape.Deposit) or NOTHING
    values["reported_open"] = _amount(shape.Balance)
    return _INVOICE(values)


def _credit_memo(shape: payload.DocumentShape, books: Books) -> CreditMemo:
    left = _amount(shape.RemainingCredit)
    values = _NEW_CREDIT_MEMO.copy()
    _share(values, shape, books)
    values["reported_open"] = _amount(shape.Balance) if left is None else left
    return _CREDIT_MEMO(values)


def _share(values: dict[str, Any], shape: payload.DocumentShape, books: Books) -> None:
    """Fill in what invoices and credit memos share."""
    id, version, posted, detail = shape.Id, shape.SyncToken, shape.TxnDate, shape.TxnTaxDetail or {}
    total, customer = _amount(shape.TotalAmt), shape.CustomerRef.value if shape.CustomerRef else None
    if not total or not customer or posted is None or shape.GlobalTaxCalculation == "TaxInclusive":
        raise _Unusual
    if type(id) is not str or type(version) is not str or type(detail) is not dict:
        raise _Unusual
    currency = (shape.CurrencyRef.value if shape.CurrencyRef else None) or books.home_currency
    tax = _amount(detail.get("TotalTax")) or NOTHING
    code = ref(detail, "TxnTaxCodeRef") if "TxnTaxCodeRef" in detail else None
    lines, subtotal, discount = _lines(shape.Line or [], code, TAXED if tax else UNTAXED, currency)
    if subtotal - discount + tax != total or subtotal.is_signed():
        raise _Unusual
    number = shape.DocNumber or None
    values["ref"] = _REF({"connection": books.connection, "id": id, "number": number, "version": version or None})
    values["customer"] = customer
    values["ar_account"] = (shape.ARAccountRef.value or None) if shape.ARAccountRef else None
    values["number"] = identifying(number, NUMBER_LENGTH)
    values["issued"] = values["posted"] = posted
    values["currency"] = currency
    if currency != books.home_currency:
        values["exchange_rate"] = _number(shape.ExchangeRate)
    values["lines"] = lines
    if tax or "TaxLine" in detail:
        values["tax_lines"] = tax_lines({"TxnTaxDetail": detail}, tax, lines)
    values["subtotal"] = subtotal
    values["discount"] = discount
    values["tax"] = tax
    values["total"] = total
    if shape.PrivateNote:
        body, values["marker"] = split_note(shape.PrivateNote)
        values["memo"] = memo(body)


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
    made = value if type(value) is Decimal and value.same_quantum(CENT) else _in_cents(value)
    if made.adjusted() >= MOST_DIGITS:
        raise _Unusual
    return made or NOTHING


def _in_cents(value: Any) -> Decimal:
    if type(value) is int and not value:
        return NOTHING
    if type(value) is not Decimal and type(value) is not int:
        raise _Unusual
    made = Decimal(value).quantize(CENT)
    if made != value:
        raise _Unusual
    return made


def _amount(value: Any) -> Decimal | None:
    if value is None:
        return None
    made = _some(value)
    if made.is_signed():
        raise _Unusual
    return made
