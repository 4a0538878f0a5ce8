"""QuickBooks Payment <-> canonical payment, with the credit memos and invoices that it links.

A payment line links one document. Lines to invoices are applications, lines to credit memos are credits; other lines
(journal entries, checks) have no canonical twin and survive every update as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.quickbooks.native import (
    NUMBER_LENGTH,
    Books,
    Native,
    cents,
    day,
    identifying,
    items,
    join_note,
    memo,
    ref,
    required,
    says_voided,
    set_or_drop,
    split_note,
    text,
    without_voided,
)
from tieout.mapping.quickbooks.native import amount as number
from tieout.model import ZERO, Application, Credit, Method, Payment, PostingState, Ref, tidy

FIELDS = frozenset(
    {
        *("customer", "reference", "received", "posted", "method", "amount", "currency", "exchange_rate"),
        *("applications", "credits", "deposit_to", "memo"),
    }
)
_MAPPED = ("Invoice", "CreditMemo")
Links = dict[tuple[str, str], Decimal]


def _order(id: str) -> tuple[int, str]:
    return len(id), id


def _linked(line: Native, path: str) -> tuple[str, str]:
    """(TxnType, TxnId) of the one document that a payment line links."""
    linked = items(line, "LinkedTxn", path)
    if len(linked) != 1:
        raise Unreadable(f"{path}LinkedTxn", line.get("LinkedTxn"), "should link exactly one document")
    kind, id = text(linked[0], "TxnType", f"{path}LinkedTxn."), text(linked[0], "TxnId", f"{path}LinkedTxn.")
    if kind is None or id is None:
        raise Unreadable(f"{path}LinkedTxn", linked[0], "should name a type and an id")
    return kind, id


def _links(native: Native) -> Links:
    found: Links = {}
    for n, line in enumerate(items(native, "Line", "")):
        path = f"Line[{n}]."
        link = _linked(line, path)
        if link[0] in _MAPPED:
            applied = required(number(line, "Amount", path), f"{path}Amount", line)
            found[link] = found.get(link, ZERO) + applied
    return found


def _records(links: Links, applied_on: date) -> tuple[tuple[Application, ...], tuple[Credit, ...]]:
    """Applications and credits, each ordered by id."""
    ordered = sorted(links.items(), key=lambda link: _order(link[0][1]))
    return (
        tuple(
            Application(invoice=id, amount=value, amount_invoice=value, applied_on=applied_on)
            for (kind, id), value in ordered
            if kind == "Invoice"
        ),
        tuple(Credit(credit_memo=id, amount=value) for (kind, id), value in ordered if kind == "CreditMemo"),
    )


def get(native: Native, books: Books) -> Payment:
    """The payment. A voided one keeps no amount, and its void counts from its own date: QuickBooks tells no other."""
    posted = required(day(native, "TxnDate"), "TxnDate", native)
    amount = required(number(native, "TotalAmt"), "TotalAmt", native)
    links = _links(native)
    note = text(native, "PrivateNote")
    empty = not amount and not links
    voided = empty and not native.get("Line") and says_voided(note)
    body, marker = split_note(without_voided(note) if empty and note else note)
    applications, credits = _records(links, posted)
    currency = ref(native, "CurrencyRef") or books.home_currency
    unapplied = number(native, "UnappliedAmt")
    return Payment(
        ref=Ref(
            connection=books.connection,
            id=text(native, "Id") or "",
            number=text(native, "PaymentRefNum"),
            version=text(native, "SyncToken"),
        ),
        customer=required(ref(native, "CustomerRef"), "CustomerRef", native),
        payer=None,
        entity_code=None,
        ar_account=ref(native, "ARAccountRef"),
        reference=identifying(text(native, "PaymentRefNum"), NUMBER_LENGTH),
        received=posted,
        posted=posted,
        method=books.methods.get(ref(native, "PaymentMethodRef") or "", Method.OTHER),
        amount=amount,
        currency=currency,
        exchange_rate=None if currency == books.home_currency else number(native, "ExchangeRate"),
        applications=applications,
        credits=credits,
        reported_unapplied=None if unapplied is None else tidy(unapplied),
        deposit_to=ref(native, "DepositToAccountRef"),
        memo=memo(body, empty=empty),
        state=PostingState.VOIDED if voided else PostingState.POSTED,
        voided_on=posted if voided else None,
        marker=marker,
    )


def represent(record: Payment, books: Books) -> Payment:
    """The payment as QuickBooks would hold it: one date, applications that stand, one per document, dated as it is."""
    links: Links = {}
    for a in record.applications:
        if a.reversed_on is None:
            links["Invoice", a.invoice] = links.get(("Invoice", a.invoice), ZERO) + a.amount
    for c in record.credits:
        links["CreditMemo", c.credit_memo] = links.get(("CreditMemo", c.credit_memo), ZERO) + c.amount
    applications, credits = _records(links, record.posted)
    return record.model_copy(
        update={
            "payer": None,
            "entity_code": None,
            "reference": identifying(record.reference, NUMBER_LENGTH),
            "received": record.posted,
            "method": Method.OTHER if books.method_id(record.method) is None else record.method,
            "exchange_rate": None if record.currency == books.home_currency else record.exchange_rate,
            "applications": applications,
            "credits": credits,
            "memo": memo(record.memo, empty=not record.amount and not links),
        }
    )


def _checked(record: Payment, *, foreign: bool = False) -> Links:
    """What the payment links, by document. Raises Unwritable where QuickBooks would hold something else.

    foreign: it also links documents that are not mapped, whose amounts may pay for more
    """
    if record.state is not PostingState.POSTED:
        raise Unwritable(f"a payment that is {record.state} cannot be written; only posted ones can")
    links: Links = {("Invoice", a.invoice): cents(a.amount, record.currency) for a in record.applications}
    links |= {("CreditMemo", c.credit_memo): cents(c.amount, record.currency) for c in record.credits}
    if any(a.amount != a.amount_invoice for a in record.applications):
        raise Unwritable("QuickBooks applies a payment only to invoices in its own currency")
    if any(not value for value in links.values()):
        raise Unwritable("an application of zero")
    left = cents(record.amount, record.currency) + sum(c.amount for c in record.credits)
    if not foreign and sum(a.amount for a in record.applications) > left:
        raise Unwritable("more is applied than the payment and its credits amount to")
    return links


def create(record: Payment, books: Books) -> dict[str, Any]:
    """The body that creates the payment with its applications."""
    held = represent(record, books)
    links = _checked(held)
    native: dict[str, Any] = {
        "CustomerRef": {"value": held.customer},
        "TxnDate": held.posted.isoformat(),
        "TotalAmt": cents(held.amount, held.currency),
        "CurrencyRef": {"value": held.currency},
        "Line": [_line(link, value) for link, value in links.items()],
    }
    if held.exchange_rate is not None:
        native["ExchangeRate"] = held.exchange_rate
    if held.reference:
        native["PaymentRefNum"] = held.reference
    if (method := books.method_id(held.method)) is not None:
        native["PaymentMethodRef"] = {"value": method}
    if held.deposit_to:
        native["DepositToAccountRef"] = {"value": held.deposit_to}
    if note := join_note(held.memo, record.marker):
        native["PrivateNote"] = note
    return native


def _line(link: tuple[str, str], value: Decimal) -> dict[str, Any]:
    return {"Amount": value, "LinkedTxn": [{"TxnId": link[1], "TxnType": link[0]}]}


def put(record: Payment, native: Native, books: Books) -> dict[str, Any]:
    """The native payment brought to the canonical one: only mapped fields that differ move, foreign lines stay."""
    now, held = get(native, books), represent(record, books)
    if now.state is not PostingState.POSTED:
        raise Unwritable("a voided payment cannot be changed")
    lines = items(native, "Line", "")
    links = _checked(held, foreign=any(_linked(line, "")[0] not in _MAPPED for line in lines))
    out = dict(native)
    if held.customer != now.customer:
        out["CustomerRef"] = {"value": held.customer}
    if held.posted != now.posted:
        out["TxnDate"] = held.posted.isoformat()
    if held.amount != now.amount:
        out["TotalAmt"] = held.amount
    if held.currency != now.currency:
        raise Unwritable("a payment's currency cannot change")
    if held.exchange_rate != now.exchange_rate:
        set_or_drop(out, "ExchangeRate", held.exchange_rate)
    if held.reference != now.reference:
        set_or_drop(out, "PaymentRefNum", held.reference)
    if held.method != now.method:
        id = books.method_id(held.method)
        set_or_drop(out, "PaymentMethodRef", None if id is None else {"value": id})
    if held.deposit_to != now.deposit_to:
        set_or_drop(out, "DepositToAccountRef", None if held.deposit_to is None else {"value": held.deposit_to})
    marker = record.marker or now.marker
    if (held.memo, marker) != (now.memo, now.marker):
        set_or_drop(out, "PrivateNote", join_note(held.memo, marker) or None)
    if links != _links(native):
        out["Line"] = list(_merged(links, lines))
    return out


def _merged(wanted: Links, lines: list[Native]) -> Iterable[Native]:
    """The lines that link what is wanted: foreign ones and unchanged ones as they are, new ones last."""
    left, held = dict(wanted), Links()
    for line in lines:
        link = _linked(line, "")
        held[link] = held.get(link, ZERO) + (number(line, "Amount") or ZERO)
    for line in lines:
        link = _linked(line, "")
        if link[0] not in _MAPPED:
            yield line
        elif link in wanted and held[link] == wanted[link]:
            left.pop(link, None)
            yield line
        elif link in left:
            yield {**line, "Amount": left.pop(link)}
    for link, value in left.items():
        yield _line(link, value)
