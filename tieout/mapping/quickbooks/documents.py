"""QuickBooks Invoice and CreditMemo <-> canonical documents. The marker lies in the last line of PrivateNote."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.quickbooks import lines as body_lines
from tieout.mapping.quickbooks.lines import TAXED, UNTAXED, Body, TaxRead
from tieout.mapping.quickbooks.native import (
    NUMBER_LENGTH,
    Books,
    Native,
    cents,
    child,
    day,
    identifying,
    items,
    join_note,
    memo,
    paragraphs,
    ref,
    required,
    says_voided,
    set_or_drop,
    split_note,
    text,
    without_voided,
)
from tieout.mapping.quickbooks.native import amount as number
from tieout.model import ZERO, CreditMemo, Invoice, PostingState, Ref, TaxLine, tidy

FIELDS = frozenset(
    {
        *("customer", "number", "issued", "posted", "currency", "exchange_rate", "lines", "subtotal", "discount"),
        *("tax", "total", "memo"),
    }
)
INVOICE_FIELDS = FIELDS | {"due", "deposit_applied"}
Document = Invoice | CreditMemo


def _tax_code(native: Native) -> str | None:
    return ref(child(native, "TxnTaxDetail", "") or {}, "TxnTaxCodeRef", "TxnTaxDetail.")


def _body(native: Native, currency: str) -> Body:
    if native.get("GlobalTaxCalculation") == "TaxInclusive":
        raise Unreadable("GlobalTaxCalculation", "TaxInclusive", "amounts that include tax are not read")
    tax = number(child(native, "TxnTaxDetail", "") or {}, "TotalTax", "TxnTaxDetail.")
    return body_lines.read(native, TaxRead(_tax_code(native), TAXED if tax else UNTAXED), currency)


def _is_us(native: Native) -> bool:
    """Whether every line is taxed the American way: marked TAX or NON, or not at all."""
    marks = {ref(child(line, body_lines.SALES, "") or {}, "TaxCodeRef") for line in items(native, "Line", "")}
    return marks <= {None, TAXED, UNTAXED}


def _shared(native: Native, books: Books) -> dict[str, Any]:
    """The fields that invoices and credit memos share."""
    currency = ref(native, "CurrencyRef") or books.home_currency
    body = _body(native, currency)
    posted = required(day(native, "TxnDate"), "TxnDate", native)
    total = required(number(native, "TotalAmt"), "TotalAmt", native)
    tax = number(child(native, "TxnTaxDetail", "") or {}, "TotalTax", "TxnTaxDetail.") or ZERO
    lines = body.lines
    subtotal = sum((line.net for line in lines), ZERO)
    if subtotal - body.discount + tax != total:
        told = f"lines {subtotal} − discount {body.discount} + tax {tax} do not make the total"
        raise Unreadable("TotalAmt", total, told)
    note = text(native, "PrivateNote")
    empty = not total and not any(line.net for line in lines)
    voided = empty and says_voided(note)
    body_text, marker = split_note(without_voided(note) if voided and note else note)
    return {
        "ref": Ref(
            connection=books.connection,
            id=text(native, "Id") or "",
            number=text(native, "DocNumber"),
            version=text(native, "SyncToken"),
        ),
        "customer": required(ref(native, "CustomerRef"), "CustomerRef", native),
        "payer": None,
        "entity_code": None,
        "ar_account": ref(native, "ARAccountRef"),
        "number": identifying(text(native, "DocNumber"), NUMBER_LENGTH),
        "issued": posted,
        "posted": posted,
        "currency": currency,
        "exchange_rate": None if currency == books.home_currency else number(native, "ExchangeRate"),
        "lines": lines,
        "tax_lines": tax_lines(native, tax, lines),
        "subtotal": subtotal,
        "discount": body.discount,
        "tax": tax,
        "total": total,
        "memo": memo(body_text, empty=empty),
        "state": PostingState.VOIDED if voided else PostingState.POSTED,
        "voided_on": posted if voided else None,
        "marker": marker,
    }


def tax_lines(native: Native, tax: Decimal, lines: tuple[Any, ...]) -> tuple[TaxLine, ...]:
    """One tax line for the document's code, or one per rate, marked TAX, where QuickBooks names no code."""
    detail = child(native, "TxnTaxDetail", "") or {}
    parts = []
    for n, line in enumerate(items(detail, "TaxLine", "TxnTaxDetail.")):
        path = f"TxnTaxDetail.TaxLine[{n}]."
        inner = child(line, "TaxLineDetail", path) or {}
        parts.append(
            TaxLine(
                code=TAXED,
                rate=_fraction(number(inner, "TaxPercent", path)),
                base=number(inner, "NetAmountTaxable", path) or ZERO,
                amount=number(line, "Amount", path) or ZERO,
            )
        )
    code = ref(detail, "TxnTaxCodeRef", "TxnTaxDetail.")
    if code is None and parts:
        return tuple(parts)
    if not tax:
        return ()
    rates = [p.rate for p in parts if p.rate is not None]
    base = max((p.base for p in parts), default=sum((x.net for x in lines if body_lines.is_taxed(x)), ZERO))
    return (TaxLine(code=code or TAXED, rate=sum(rates, ZERO) if rates else None, base=max(base, ZERO), amount=tax),)


def _fraction(percent: Decimal | None) -> Decimal | None:
    return None if percent is None else percent / 100


def get_invoice(native: Native, books: Books) -> Invoice:
    """The invoice. A voided one keeps no amounts, and its void counts from its own date: QuickBooks tells no other.

    Raises Unreadable where lines, discount and tax do not make the total, and for amounts that include tax.
    """
    shared = _shared(native, books)
    balance = number(native, "Balance")
    return Invoice(
        **shared,
        due=day(native, "DueDate"),
        deposit_applied=number(native, "Deposit") or ZERO,
        po_number=None,
        disputed=False,
        reported_open=None if balance is None else tidy(balance),
    )


def get_credit_memo(native: Native, books: Books) -> CreditMemo:
    """The credit memo. What it pays is stated by the payments that link it, not by itself."""
    shared = _shared(native, books)
    left = number(native, "RemainingCredit")
    left = number(native, "Balance") if left is None else left
    return CreditMemo(
        **shared,
        original_invoice=None,
        reason=None,
        applications=(),
        reported_open=None if left is None else tidy(left),
    )


def _code(record: Document) -> str | None:
    """The one tax code of the document: of its tax lines, else of its lines; None if none is named.

    Raises Unwritable for several: a US document has one.
    """
    named = [line.code for line in record.tax_lines] or [line.tax_code or UNTAXED for line in record.lines]
    codes = sorted(set(named) - {TAXED, UNTAXED})
    if len(codes) > 1:
        raise Unwritable(f"one document cannot be taxed with {' and '.join(codes)}")
    return codes[0] if codes else None


def represent(record: Document, books: Books) -> Document:
    """The document as QuickBooks would hold it: one date (the accounting date), one due date, lines with a tax mark."""
    try:
        code = _code(record)
    except Unwritable:
        code = None
    codes_told = any(line.tax_code is not None or line.tax for line in record.lines)
    update: dict[str, Any] = {
        "payer": None,
        "entity_code": None,
        "number": identifying(record.number, NUMBER_LENGTH),
        "issued": record.posted,
        "exchange_rate": None if record.currency == books.home_currency else record.exchange_rate,
        "lines": tuple(
            body_lines.represent(line, code, record.currency, taxed=bool(record.tax) and not codes_told)
            for line in record.lines
            if not body_lines.is_text(line) or paragraphs(line.description, 1)
        ),
        "memo": memo(record.memo, empty=not record.total and not any(line.net for line in record.lines)),
    }
    if isinstance(record, Invoice):
        due = record.due or max((i.due for i in record.instalments), default=None)
        update |= {"due": due, "instalments": (), "po_number": None, "disputed": False, "settled_on": None}
    else:
        update |= {"original_invoice": None, "reason": None, "applications": ()}
    return record.model_copy(update=update)


def _tax_on_nothing(record: Document) -> bool:
    return bool(record.tax) and not any(body_lines.is_taxed(line) for line in record.lines)


def _checked(record: Document, before: Document | None = None) -> None:
    """Raises Unwritable where QuickBooks would hold something else than the record says."""
    if record.state is not PostingState.POSTED:
        raise Unwritable(f"a document that is {record.state} cannot be written; only posted ones can")
    for value in (record.subtotal, record.discount, record.tax, record.total):
        cents(value, record.currency)
    if not record.lines:
        raise Unwritable("the document has no lines")
    lines = sum((line.net for line in record.lines), ZERO)
    if lines != record.subtotal or record.subtotal - record.discount + record.tax != record.total:
        raise Unwritable(
            f"lines {lines}, subtotal {record.subtotal}, discount {record.discount}, tax {record.tax} "
            f"and total {record.total} do not agree"
        )
    if _tax_on_nothing(record) and not (before and _tax_on_nothing(before)):
        raise Unwritable(f"a tax of {record.tax}, but no line is taxed")


def create(record: Document, books: Books) -> dict[str, Any]:
    """The body that creates the document. Raises Unwritable."""
    if books.sales_tax != "us":
        raise Unwritable("writing documents with sales tax outside the US is not supported")
    code = _code(record)
    held = represent(record, books)
    _checked(held)
    native: dict[str, Any] = {
        "CustomerRef": {"value": held.customer},
        "TxnDate": held.posted.isoformat(),
        "CurrencyRef": {"value": held.currency},
        "Line": [body_lines.create(line, held.currency) for line in held.lines],
        "TotalAmt": held.total,
    }
    if held.discount:
        native["Line"].append(body_lines.create_discount(held.discount))
    if any(body_lines.is_taxed(line) for line in held.lines):
        native["TxnTaxDetail"] = _tax_detail(code, held.tax)
    if held.number:
        native["DocNumber"] = held.number
    if held.exchange_rate is not None:
        native["ExchangeRate"] = held.exchange_rate
    if note := join_note(held.memo, record.marker):
        native["PrivateNote"] = note
    if isinstance(held, Invoice):
        if held.due:
            native["DueDate"] = held.due.isoformat()
        if held.deposit_applied:
            native["Deposit"] = cents(held.deposit_applied, held.currency)
    return native


def _tax_detail(code: str | None, tax: Decimal) -> dict[str, Any]:
    named = {"TxnTaxCodeRef": {"value": code}} if code else {}
    return {**named, "TotalTax": tax}


def put(record: Document, native: Native, books: Books) -> dict[str, Any]:
    """The native document brought to the canonical one: only mapped fields that differ move."""
    now: Document = (get_invoice if isinstance(record, Invoice) else get_credit_memo)(native, books)
    code = _code(record)
    held = represent(record, books)
    if now.state is not PostingState.POSTED:
        raise Unwritable("a voided document cannot be changed")
    if held.currency != now.currency:
        raise Unwritable("a document's currency cannot change")
    _checked(held, now)
    out = dict(native)
    if held.customer != now.customer:
        out["CustomerRef"] = {"value": held.customer}
    if held.posted != now.posted:
        out["TxnDate"] = held.posted.isoformat()
    if held.number != now.number:
        set_or_drop(out, "DocNumber", held.number)
    if held.exchange_rate != now.exchange_rate:
        set_or_drop(out, "ExchangeRate", held.exchange_rate)
    if held.total != now.total:
        out["TotalAmt"] = held.total
    marker = record.marker or now.marker
    if (held.memo, marker) != (now.memo, now.marker):
        set_or_drop(out, "PrivateNote", join_note(held.memo, marker) or None)
    if isinstance(held, Invoice) and isinstance(now, Invoice):
        if held.due != now.due:
            set_or_drop(out, "DueDate", held.due.isoformat() if held.due else None)
        if held.deposit_applied != now.deposit_applied:
            out["Deposit"] = cents(held.deposit_applied, held.currency)
    _put_lines(out, held, now, native, code)
    return out


def _put_lines(out: dict[str, Any], held: Document, now: Document, native: Native, code: str | None) -> None:
    """Lines, discount and tax. The tax detail is written whole: QuickBooks works out its lines from it."""
    changed = held.lines != now.lines or held.discount != now.discount
    taxed = any(body_lines.is_taxed(line) for line in held.lines)
    retaxed = held.tax != now.tax or (taxed and code != _tax_code(native) and held.lines != now.lines)
    if not (changed or retaxed):
        return
    if not _is_us(native):
        raise Unwritable("changing documents with sales tax outside the US is not supported")
    if bool(held.tax) != bool(now.tax):  # lines without a mark would be read another way from now on
        native = {**native, "Line": body_lines.marked(native, TAXED if now.tax else UNTAXED)}
        out["Line"] = native["Line"]
    if changed:
        out["Line"] = body_lines.put(held.lines, held.discount, _body(native, now.currency), held.currency)
    if retaxed:
        out["TxnTaxDetail"] = _tax_detail(code or (_tax_code(native) if not taxed else None), held.tax)
