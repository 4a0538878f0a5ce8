"""What a document of a file becomes: rows of the canonical relation for comparing, a record for the sync. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal, cast

from pydantic import ValidationError

from tieout.mapping import relation
from tieout.mapping.keys import customer_number_key, name_key, number_key
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Doc
from tieout.mapping.tabular_rows import Problem, Row
from tieout.model import (
    ZERO,
    Address,
    Adjustment,
    AdjustmentKind,
    Application,
    CreditMemo,
    Customer,
    Document,
    Instalment,
    Invoice,
    Line,
    Method,
    Payment,
    PostingState,
    Ref,
    magnitude,
    sign,
)


def signed_total(found: Document) -> Decimal:
    """The document's full amount as it moves receivables."""
    return sign(found) * magnitude(found)


def relation_row(profile: Profile, doc: Doc, source: str) -> relation.Row:
    """The document as a row of `relation.DOCUMENTS`; what the file does not state is None."""
    number = doc.number
    name = doc.text("customer_name")
    by_number = doc.text("customer")
    state = doc.text("state") or "posted"
    opening = doc.open if profile.scope == "open" and doc.open is not None and doc.kind != "payment" else doc.total
    return (
        doc.id,
        doc.kind,
        doc.subkind,
        doc.sign,
        doc.customer,
        name,
        name_key(name) or None if name else None,
        customer_number_key(by_number) or None if by_number else None,
        number,
        number_key(number) or None if number else None,
        doc.text("marker"),
        None,
        None,
        doc.issued,
        doc.posted,
        doc.day("due"),
        doc.text("currency"),
        cast("Decimal | None", doc.get("rate")),
        doc.net,
        doc.tax,
        doc.discount,
        doc.total,
        doc.open,
        ZERO if state == "draft" else doc.sign * opening,
        state,
        doc.day("voided_on"),
        cast("bool | None", doc.get("disputed")) if doc.kind == "invoice" else None,
        doc.day("settled_on"),
        doc.text("entity_code"),
        doc.concerns,
        doc.text("memo") or doc.text("reason"),
        (doc.text("method") or "other") if doc.kind == "payment" else None,
        f"{source}:{doc.rows[0].number}",
    )


def application_rows(doc: Doc) -> list[relation.Row]:
    """The document's applications as rows of `relation.APPLICATIONS`, and its part in a group."""
    found: list[relation.Row] = [
        (doc.kind, doc.id, ref, amount, amount, on or doc.posted, back) for ref, amount, on, back in doc.applied
    ]
    return found + relation.group_rows(doc.kind, doc.id, doc.group)


def detail_row(doc: Doc) -> relation.Row | None:
    """What the document says beyond that, as a row of `relation.DETAILS`; None if it says nothing of it."""
    billed = doc.kind in ("invoice", "credit_memo")
    nets = [part.net for part in doc.parts if part.stated and part.net is not None]
    line_sum = sum(nets, ZERO) if billed and len(nets) == len(doc.parts) else None
    codes = relation.tax_codes(cast("str | None", r.values.get("tax_code")) for r in doc.rows) if billed else None
    account = doc.text("ar_account")
    if account is None and codes is None and line_sum is None:
        return None
    subtotal = doc.total - (doc.tax or ZERO) + (doc.discount or ZERO) if line_sum is not None else None
    return doc.kind, doc.id, subtotal, line_sum, None, account, codes


def derived_customer_row(customer: str, name: str | None, number: str | None) -> relation.Row:
    """A customer that only documents name, as a row of `relation.CUSTOMERS`."""
    name = name or number or customer
    key = customer_number_key(number) or None if number else None
    return customer, name, name_key(name) or None, number, key, None, None, None, None, None, None, None


def customer_row(row: Row) -> relation.Row:
    """A row of a customers file as a row of `relation.CUSTOMERS`."""
    v = row.values
    number = cast("str | None", v.get("number") or v.get("customer"))
    name = cast("str", v.get("name") or number)
    return (
        row.key,
        name,
        name_key(name) or None,
        number,
        customer_number_key(number) or None if number else None,
        cast("str | None", v.get("tax_id")),
        cast("str | None", v.get("email")),
        cast("str | None", v.get("terms")),
        None,
        cast("str | None", v.get("currency")),
        cast("Decimal | None", v.get("balance")),
        cast("str | None", v.get("parent")),
    )


def record(doc: Doc, connection: str) -> Document | Problem:
    """The document as a record of the model, or why the model refuses it."""
    try:
        return cast("Document", _BUILD[doc.kind](doc, connection))
    except ValidationError as error:
        first = error.errors()[0]
        return Problem(str(first["loc"][0]) if first["loc"] else "row", str(first.get("input"))[:80], str(first["msg"]))


def _ref(doc: Doc, connection: str) -> Ref:
    return Ref(connection=connection, id=doc.id, number=doc.number, version=None)


def _common(doc: Doc, connection: str) -> dict[str, Any]:
    state = PostingState(doc.text("state") or "posted")
    return {
        "ref": _ref(doc, connection),
        "customer": doc.customer,
        "entity_code": doc.text("entity_code"),
        "ar_account": doc.text("ar_account"),
        "posted": doc.posted,
        "currency": doc.text("currency"),
        "exchange_rate": doc.get("rate"),
        "state": state,
        "voided_on": doc.day("voided_on"),
        "marker": doc.text("marker"),
    }


def _billed(doc: Doc, connection: str) -> dict[str, Any]:
    tax, discount = doc.tax or ZERO, doc.discount or ZERO
    return {
        **_common(doc, connection),
        "payer": doc.text("payer"),
        "number": doc.number,
        "issued": doc.issued,
        "lines": _lines(doc),
        "tax_lines": (),
        "subtotal": doc.total - tax + discount,
        "discount": discount,
        "tax": tax,
        "total": doc.total,
        "memo": doc.text("memo"),
        "reported_open": doc.open,
    }


def _lines(doc: Doc) -> tuple[Line, ...]:
    """The lines that the file states; none where it states only the whole document, or not what each is worth."""
    if not any(
        {"item", "description", "line_net", "tax_code", "revenue_account", "unit_price"} & set(r.values)
        for r in doc.rows
    ):
        return ()
    lines = []
    for row, part in zip(doc.rows, doc.parts, strict=True):
        if part.net is None:
            return ()
        v: dict[str, Any] = row.values
        lines.append(
            Line(
                item=v.get("item"),
                description=v.get("description"),
                quantity=v.get("quantity"),
                unit_price=v.get("unit_price"),
                net=part.net,
                tax_code=v.get("tax_code"),
                tax=part.tax,
                revenue_account=v.get("revenue_account"),
            )
        )
    return tuple(lines)


def _applied(doc: Doc) -> tuple[Application, ...]:
    return tuple(
        Application(invoice=ref, amount=amount, amount_invoice=amount, applied_on=on or doc.posted, reversed_on=back)
        for ref, amount, on, back in doc.applied
    )


def _invoice(doc: Doc, connection: str) -> Invoice:
    dues: dict[date, Decimal] = {}
    for row in doc.rows:
        if (due := cast("date | None", row.values.get("due"))) is not None:
            dues[due] = dues.get(due, ZERO) + row.effect
    return Invoice(
        **_billed(doc, connection),
        due=doc.day("due"),
        instalments=tuple(Instalment(due=d, amount=a) for d, a in dues.items()) if len(dues) > 1 else (),
        deposit_applied=ZERO,
        po_number=doc.text("po_number"),
        disputed=bool(doc.get("disputed")),
        settled_on=doc.day("settled_on"),
    )


def _credit_memo(doc: Doc, connection: str) -> CreditMemo:
    return CreditMemo(
        **_billed(doc, connection),
        original_invoice=doc.concerns,
        reason=doc.text("reason"),
        applications=_applied(doc),
        group=doc.group,
    )


def _payment(doc: Doc, connection: str) -> Payment:
    return Payment(
        **_common(doc, connection),
        payer=doc.text("payer"),
        reference=doc.number,
        received=doc.issued,
        method=Method(doc.text("method") or "other"),
        amount=doc.total,
        applications=_applied(doc),
        reported_unapplied=doc.open,
        deposit_to=doc.text("deposit_to"),
        memo=doc.text("memo"),
        group=doc.group,
    )


def stated_id(invoice: str) -> str:
    """The id of the payment that stands for the stated settlement of an invoice: the same in every export."""
    return f"settled/{invoice}"


def stated_payment(invoice: Invoice) -> Payment | None:
    """The payment that the invoice's settlement date states, over its full amount; None if it states none.

    What the source does not say of it (method, reference, memo) is not a fact of it: see `stated_by_source`.
    """
    amount = invoice.total - invoice.deposit_applied
    if invoice.settled_on is None or invoice.state is not PostingState.POSTED or amount <= 0:
        return None
    on = invoice.settled_on
    return Payment(
        ref=Ref(connection=invoice.ref.connection, id=stated_id(invoice.ref.id), number=None, version=None),
        customer=invoice.customer,
        payer=invoice.payer,
        entity_code=invoice.entity_code,
        ar_account=invoice.ar_account,
        reference=None,
        received=on,
        posted=on,
        method=Method.OTHER,
        amount=amount,
        currency=invoice.currency,
        exchange_rate=None,
        applications=(Application(invoice=invoice.ref.id, amount=amount, amount_invoice=amount, applied_on=on),),
        reported_unapplied=None,
        deposit_to=None,
        memo=None,
        state=PostingState.POSTED,
        voided_on=None,
        stated_by_source=True,
    )


def _adjustment(doc: Doc, connection: str) -> Adjustment:
    side: Literal["debit", "credit"] = "debit" if doc.sign > 0 else "credit"
    return Adjustment(
        **_common(doc, connection),
        kind=AdjustmentKind(str(doc.subkind)),
        side=side,
        number=doc.number,
        amount=doc.total,
        document=doc.concerns,
        reason=doc.text("reason") or doc.text("memo"),
        approver=doc.text("approver"),
    )


_BUILD = {"invoice": _invoice, "credit_memo": _credit_memo, "payment": _payment, "adjustment": _adjustment}


def customer_record(row: Row, connection: str) -> Customer:
    """A row of a customers file as a record. Raises pydantic's ValidationError."""
    v: dict[str, Any] = row.values
    lines = tuple(v[c] for c in ("address1", "address2", "address3") if v.get(c))
    place = {k: v.get(k) for k in ("city", "region", "postal_code", "country")}
    number = v.get("number") or v.get("customer")
    return Customer(
        ref=Ref(connection=connection, id=row.key, number=number, version=None),
        name=str(v.get("name") or number),
        number=number,
        email=v.get("email"),
        phone=v.get("phone"),
        billing_address=Address(lines=lines, **place) if lines or any(place.values()) else None,
        currency=v.get("currency"),
        terms=v.get("terms"),
        tax_id=v.get("tax_id"),
        parent=v.get("parent"),
        active=True if v.get("active") is None else bool(v["active"]),
        reported_balance=v.get("balance"),
        marker=v.get("marker"),
    )
