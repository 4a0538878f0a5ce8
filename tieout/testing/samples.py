"""Plain records for the contract, distinct in every amount and date so that a mix-up shows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from tieout.model import (
    ZERO,
    Adjustment,
    AdjustmentKind,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Line,
    Method,
    Payment,
    PostingState,
    Ref,
    TaxLine,
)

NOWHERE = Ref(connection="", id="", number=None, version=None)
# Day and month differ and both could be a month: a swap gives a valid date, and is seen.
FIRST_DAY = date(2026, 1, 2)
_TAX_RATE = Decimal("0.0825")


def _day(n: int) -> date:
    """Early in January; the 50th and later are older than all that may be set against them."""
    return FIRST_DAY + timedelta(days=1 + n % 8 if n < 50 else 0)


def customer(n: int) -> Customer:
    return Customer(
        ref=NOWHERE,
        name=f"Northwind {n} Ltd",
        number=None,
        email=f"ap{n}@northwind.example",
        phone=f"555 010{n}",
        billing_address=None,
        currency="USD",
        terms=None,
        tax_id=None,
        parent=None,
        active=True,
        reported_balance=None,
    )


def line(net: Decimal, text: str, *, tax_code: str | None = None) -> Line:
    return Line(
        item=None,
        description=text,
        quantity=Decimal(1),
        unit_price=net,
        net=net,
        tax_code=tax_code,
        tax=None,
        revenue_account=None,
    )


def invoice(n: int, *, customer: str, taxed: bool = True) -> Invoice:
    """1,234.56 + n, with 8.25 % tax unless `taxed` is off."""
    net = Decimal("1234.56") + n
    tax = round(net * _TAX_RATE, 2) if taxed else ZERO
    return Invoice(
        ref=NOWHERE,
        customer=customer,
        payer=None,
        entity_code=None,
        ar_account=None,
        number=f"S{1000 + n}",
        issued=_day(n),
        posted=_day(n),
        due=_day(n) + timedelta(days=30),
        currency="USD",
        exchange_rate=None,
        lines=(line(net, "Consulting", tax_code="STD" if taxed else None),),
        tax_lines=(TaxLine(code="STD", rate=_TAX_RATE, base=net, amount=tax),) if taxed else (),
        subtotal=net,
        discount=ZERO,
        tax=tax,
        total=net + tax,
        deposit_applied=ZERO,
        po_number=None,
        memo=f"order {n}",
        state=PostingState.POSTED,
        voided_on=None,
        disputed=False,
        reported_open=None,
    )


def credit_memo(n: int, *, customer: str) -> CreditMemo:
    """210.10 + n, without tax, not applied."""
    net = Decimal("210.10") + n
    return CreditMemo(
        ref=NOWHERE,
        customer=customer,
        payer=None,
        entity_code=None,
        ar_account=None,
        number=f"K{1000 + n}",
        issued=_day(n),
        posted=_day(n),
        currency="USD",
        exchange_rate=None,
        lines=(line(net, "Returned"),),
        tax_lines=(),
        subtotal=net,
        discount=ZERO,
        tax=ZERO,
        total=net,
        memo=f"return {n}",
        state=PostingState.POSTED,
        voided_on=None,
        original_invoice=None,
        reason=None,
        applications=(),
        reported_open=None,
    )


def payment(n: int, *, customer: str, invoice: str = "") -> Payment:
    """500.05 + n by check; 320.04 + n of it set against `invoice`, if one is given."""
    applied = Decimal("320.04") + n
    applications = (
        Application(invoice=invoice, amount=applied, amount_invoice=applied, applied_on=_day(n) + timedelta(days=1)),
    )
    return Payment(
        ref=NOWHERE,
        customer=customer,
        payer=None,
        entity_code=None,
        ar_account=None,
        reference=f"CHK{1000 + n}",
        received=_day(n) + timedelta(days=1),
        posted=_day(n) + timedelta(days=1),
        method=Method.CHECK,
        amount=Decimal("500.05") + n,
        currency="USD",
        exchange_rate=None,
        applications=applications if invoice else (),
        reported_unapplied=None,
        deposit_to=None,
        memo=f"deposit {n}",
        state=PostingState.POSTED,
        voided_on=None,
    )


def adjustment(n: int, *, customer: str, invoice: str = "") -> Adjustment:
    """A write-off of 3.03 + n."""
    return Adjustment(
        ref=NOWHERE,
        kind=AdjustmentKind.WRITE_OFF,
        side="credit",
        customer=customer,
        entity_code=None,
        ar_account=None,
        number=f"W{1000 + n}",
        amount=Decimal("3.03") + n,
        currency="USD",
        exchange_rate=None,
        document=invoice or None,
        posted=_day(n) + timedelta(days=2),
        reason="small balance",
        approver=None,
        state=PostingState.POSTED,
        voided_on=None,
    )


def sample(entity: Entity, n: int, *, customer_id: str = "", invoice_id: str = "") -> AnyRecord:
    """The `n`-th plain record of an entity; references are ids of the connection it is meant for."""
    match entity:
        case Entity.CUSTOMER:
            return customer(n)
        case Entity.INVOICE:
            return invoice(n, customer=customer_id)
        case Entity.CREDIT_MEMO:
            return credit_memo(n, customer=customer_id)
        case Entity.PAYMENT:
            return payment(n, customer=customer_id, invoice=invoice_id)
        case Entity.ADJUSTMENT:
            return adjustment(n, customer=customer_id, invoice=invoice_id)
