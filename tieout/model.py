"""The records: frozen facts of accounts receivable, one vocabulary for every system.

Amounts are `Decimal` in major units and positive; the kind carries the sign, in `effects` alone.
Dates are accounting dates without a time zone. `None` means what the field's comment says, never "unknown, guess".
A reference to another record (`customer`, `invoice`, `parent`) is that record's native id in the same connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

ZERO = Decimal(0)
PLACES = 6
MOST_DIGITS = 15  # before the decimal point
CENT, NOTHING = Decimal("0.01"), Decimal("0.00")
_PLAIN = re.compile(r"-?[0-9]{1,15}\.[0-9]{2}").fullmatch
# ISO 4217 minor units that are not 2 (the list one's active codes, 2026-01-01).
_EXPONENTS = {
    code: places
    for places, codes in (
        (0, ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV")),
        (0, ("XAF", "XOF", "XPF")),
        (3, ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")),
        (4, ("CLF", "UYW")),
    )
    for code in codes
}


def exponent(currency: str) -> int:
    """Decimal places of a currency's minor unit, by ISO 4217: 2 unless the standard says otherwise."""
    return _EXPONENTS.get(currency, 2)


def finer_than_currency(amount: Decimal, currency: str) -> bool:
    """Whether the amount has places below the currency's minor unit; such an amount is never written."""
    return amount != round(amount, exponent(currency))


def micros(amount: Decimal) -> int:
    """The amount in integer micro-units (10⁻⁶). Raises ValueError below that, rather than round."""
    scaled = amount.scaleb(PLACES)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {PLACES} decimal places")
    return int(scaled)


def from_micros(value: int) -> Decimal:
    """The amount of integer micro-units, without trailing zeros beyond two places."""
    return tidy(Decimal(value).scaleb(-PLACES))


def tidy(amount: Decimal) -> Decimal:
    """The same number with at least two and no needless decimal places: one spelling for each value, also for zero."""
    if amount.same_quantum(CENT):
        return amount or NOTHING
    places = -int(amount.normalize().as_tuple().exponent) if amount else 0
    return amount.quantize(Decimal(1).scaleb(-max(2, places))) or NOTHING


def checked(amount: Decimal) -> Decimal:
    """The finite amount, tidy. Raises ValueError for 10^15 and more, and for more than six decimal places."""
    if amount and amount.adjusted() >= MOST_DIGITS:
        raise ValueError(f"an amount must stay below 10^{MOST_DIGITS}")
    if not amount.same_quantum(CENT):
        micros(amount)
    return tidy(amount)


def _exact(value: object) -> object:
    if isinstance(value, float | bool):
        raise ValueError("money must not pass through a float")  # noqa: TRY004  pydantic reads ValueError
    return value


def _signed(value: object) -> object:
    """The checked amount of a Decimal, int or text; anything else as it is, for pydantic to refuse."""
    if type(value) is str and _PLAIN(value):
        return Decimal(value) or NOTHING
    if type(value) is Decimal and value.same_quantum(CENT) and value.adjusted() < MOST_DIGITS:
        return value or NOTHING
    if isinstance(value, tuple):
        raise ValueError("an amount is a number or its text")  # noqa: TRY004  pydantic reads ValueError
    made = _decimal(_exact(value))
    return value if made is None else checked(made)


def _money(value: object) -> object:
    amount = _signed(value)
    if isinstance(amount, Decimal) and amount.is_finite() and amount < 0:
        raise ValueError("amounts are positive; the kind of the record carries the sign")
    return amount


def _decimal(value: object) -> Decimal | None:
    """The finite number of a Decimal, int or text; None for anything else."""
    try:
        made = Decimal(value) if isinstance(value, Decimal | int | str) else None
    except InvalidOperation:
        return None
    return made if made is not None and made.is_finite() else None


# One call for each amount, before pydantic's own check of the type: most of what a record costs are its amounts.
Signed = Annotated[Decimal, BeforeValidator(_signed)]
Money = Annotated[Decimal, BeforeValidator(_money)]
Rate = Annotated[Decimal, BeforeValidator(_exact)]


class Entity(StrEnum):
    """The kinds of record that connectors read and write."""

    CUSTOMER = "customer"
    INVOICE = "invoice"
    CREDIT_MEMO = "credit_memo"
    PAYMENT = "payment"
    ADJUSTMENT = "adjustment"


class PostingState(StrEnum):
    DRAFT = "draft"
    POSTED = "posted"
    VOIDED = "voided"


class Existence(StrEnum):
    """Whether a record is there: never derived from its status, nor its status from this."""

    LIVE = "live"
    INACTIVE = "inactive"
    DELETED = "deleted"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Method(StrEnum):
    CHECK = "check"
    CARD = "card"
    ACH = "ach"
    WIRE = "wire"
    CASH = "cash"
    OTHER = "other"


class AdjustmentKind(StrEnum):
    """Everything else that moves receivables. `side` of the record says up (debit) or down (credit)."""

    DISCOUNT = "discount"
    WRITE_OFF = "write_off"
    WITHHOLDING = "withholding"
    FINANCE_CHARGE = "finance_charge"
    DEBIT_MEMO = "debit_memo"
    REFUND = "refund"
    RETURNED_PAYMENT = "returned_payment"
    CHARGEBACK = "chargeback"
    DEDUCTION = "deduction"
    DEPOSIT = "deposit"
    JOURNAL = "journal"
    FX_REALIZED = "fx_realized"
    OPENING_BALANCE = "opening_balance"


class Record(BaseModel):
    """A frozen fact. Unknown fields are refused; a changed copy comes from `model_copy(update=…)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ref(Record):
    """Where a record lives. `id` identifies within (connection, entity); number and version do not.

    number: the number people read; None if the system gives none · version: the optimistic-lock token
    """

    connection: str
    id: str
    number: str | None
    version: str | None


class Address(Record):
    """A postal address as its system prints it; systems re-flow lines, so it is shown, not compared."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Customer(Record):
    """Who owes. `reported_balance` is what the system states, or None if it states none; it is verified only."""

    ref: Ref
    name: str
    number: str | None
    email: str | None
    phone: str | None
    billing_address: Address | None
    currency: str | None
    terms: str | None
    tax_id: str | None
    parent: str | None
    active: bool
    reported_balance: Signed | None
    marker: str | None = None

    @property
    def entity(self) -> Entity:
        return Entity.CUSTOMER


class Line(Record):
    """One line of a document. `net` is signed (a discount line is negative), in document currency, without tax."""

    item: str | None
    description: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    net: Signed
    tax_code: str | None
    tax: Signed | None
    revenue_account: str | None


class TaxLine(Record):
    """Tax of one code on one base, both positive, in document currency."""

    code: str
    rate: Rate | None
    base: Money
    amount: Money


class Instalment(Record):
    """What of an invoice falls due on a day. Signed: a deduction may have a day of its own."""

    due: date
    amount: Signed


class Application(Record):
    """Part of a payment or credit memo set against one invoice. It has no effect on total receivables.

    amount: in the payment's currency · amount_invoice: the same in the invoice's currency
    applied_on: counts from then, inclusive · reversed_on: no longer counts from then; None if it stands
    """

    invoice: str
    amount: Money
    amount_invoice: Money
    applied_on: date
    reversed_on: date | None = None


class _Document(Record):
    """What invoices and credit memos share.

    total = subtotal − discount + tax. `entity_code` is the legal entity or company code; None where there is one.
    exchange_rate: home units for one unit of `currency`; None where the system states none.
    marker: our reference as found in the record; None if it carries none.
    """

    ref: Ref
    customer: str
    payer: str | None
    entity_code: str | None
    ar_account: str | None
    number: str | None
    issued: date
    posted: date
    currency: str
    exchange_rate: Rate | None
    lines: tuple[Line, ...]
    tax_lines: tuple[TaxLine, ...]
    subtotal: Money
    discount: Money
    tax: Money
    total: Money
    memo: str | None
    state: PostingState
    voided_on: date | None
    marker: str | None = None


class Invoice(_Document):
    """A bill to a customer. `reported_open` is what the system states as open; verified, never written.

    due: None where the system states none · instalments: due dates that replace `due`, empty for one
    deposit_applied: money already taken off by a deposit
    settled_on: a settlement date that the source states without showing the payment
    """

    due: date | None
    instalments: tuple[Instalment, ...] = ()
    deposit_applied: Money
    po_number: str | None
    disputed: bool
    reported_open: Money | None
    settled_on: date | None = None

    @property
    def entity(self) -> Entity:
        return Entity.INVOICE


class Share(Record):
    """What a group settled of one invoice. Positive, in the invoice's currency."""

    invoice: str
    amount: Money


class Group(Record):
    """A settlement of several sources and several invoices of which nothing says who paid whom.

    id: what the system calls it (a clearing document) · amount: what it used of the record that carries it
    invoices: what it settled, stated by one of its members only, so that nothing counts twice
    """

    id: str
    settled_on: date
    amount: Money
    invoices: tuple[Share, ...] = ()


class CreditMemo(_Document):
    """Reduces what a customer owes. `applications` are those it makes itself, by its own account.

    group: a settlement in which its part is not known, beside its applications
    """

    original_invoice: str | None
    reason: str | None
    applications: tuple[Application, ...]
    reported_open: Money | None
    group: Group | None = None

    @property
    def entity(self) -> Entity:
        return Entity.CREDIT_MEMO


class Credit(Record):
    """A credit memo used up inside a payment that settles invoices with it. Positive, in the payment's currency."""

    credit_memo: str
    amount: Money


class Payment(Record):
    """Money received. Unapplied = amount + Σ credits − Σ standing applications; it is never negative.

    received: the date on the receipt · posted: the accounting date · deposit_to: the account that took it
    credits: credit memos in the same group; `settlements` says what each paid where that is unique
    group: a settlement in which its part is not known, beside its applications
    stated_by_source: the source states only that an invoice was settled, and when; method, reference and memo of such a
    payment are not facts
    A payment of amount 0 with credits is the application of those credits, not cash.
    """

    ref: Ref
    customer: str
    payer: str | None
    entity_code: str | None
    ar_account: str | None
    reference: str | None
    received: date
    posted: date
    method: Method
    amount: Money
    currency: str
    exchange_rate: Rate | None
    applications: tuple[Application, ...]
    credits: tuple[Credit, ...] = ()
    reported_unapplied: Money | None
    deposit_to: str | None
    memo: str | None
    state: PostingState
    voided_on: date | None
    stated_by_source: bool = False
    marker: str | None = None
    group: Group | None = None

    @property
    def entity(self) -> Entity:
        return Entity.PAYMENT


class Adjustment(Record):
    """Anything else that moves receivables. side `debit` raises them, `credit` lowers them.

    document: the id of the invoice it concerns; None if it stands on the account
    """

    ref: Ref
    kind: AdjustmentKind
    side: Literal["debit", "credit"]
    customer: str
    entity_code: str | None
    ar_account: str | None
    number: str | None
    amount: Money
    currency: str
    exchange_rate: Rate | None
    document: str | None
    posted: date
    reason: str | None
    approver: str | None
    state: PostingState
    voided_on: date | None
    marker: str | None = None

    @property
    def entity(self) -> Entity:
        return Entity.ADJUSTMENT


class ControlBalance(Record):
    """What a system's own report or general ledger states for receivables; never computed by us."""

    connection: str
    account: str
    as_of: date
    amount: Signed
    currency: str
    report: str
    parameters: dict[str, str]


class ClosedPeriod(Record):
    """Books closed through a date, inclusive; `entity_code` and `module` None mean all of them."""

    entity_code: str | None
    module: str | None
    through: date


class Company(Record):
    """Whose books a connection holds: read first in every run, so that no run writes into other books.

    other_currencies: whether they take documents in other currencies than the home one; None where they do not say
    applies_credits: whether they set a new credit memo against open invoices by themselves; None where they do not say
    """

    id: str
    name: str
    entity_codes: tuple[str, ...]
    home_currency: str
    closed: tuple[ClosedPeriod, ...]
    time_zone: str | None
    other_currencies: bool | None = None
    applies_credits: bool | None = None

    def closed_through(self, entity_code: str | None = None) -> date | None:
        """The last closed day for receivables of that entity, inclusive; None if nothing is closed."""
        days = [
            c.through
            for c in self.closed
            if c.module in (None, "ar") and (c.entity_code is None or c.entity_code == entity_code)
        ]
        return max(days, default=None)


type_of: dict[Entity, type[Record]] = {
    Entity.CUSTOMER: Customer,
    Entity.INVOICE: Invoice,
    Entity.CREDIT_MEMO: CreditMemo,
    Entity.PAYMENT: Payment,
    Entity.ADJUSTMENT: Adjustment,
}
Document = Invoice | CreditMemo | Payment | Adjustment
AnyRecord = Customer | Invoice | CreditMemo | Payment | Adjustment


@dataclass(frozen=True, slots=True)
class Effect:
    """One dated movement of receivables: positive raises them. In document currency."""

    on: date
    amount: Decimal
    currency: str
    customer: str
    entity: Entity
    document: str


def sign(record: Document) -> int:
    """+1 if the record raises receivables, −1 if it lowers them. The one place that knows."""
    match record:
        case Invoice():
            return 1
        case CreditMemo() | Payment():
            return -1
        case Adjustment(side=side):
            return 1 if side == "debit" else -1


def magnitude(record: Document) -> Decimal:
    """The record's full amount, positive, in document currency."""
    match record:
        case Invoice() | CreditMemo():
            return record.total
        case Payment() | Adjustment():
            return record.amount


def effects(record: AnyRecord) -> tuple[Effect, ...]:
    """The dated signed effects of one record on receivables, oldest first.

    A draft has none. A void cancels from `voided_on`; without that date, from the document's own.
    A customer and an application have none.
    """
    if isinstance(record, Customer) or record.state is PostingState.DRAFT:
        return ()
    amount = sign(record) * magnitude(record)
    if isinstance(record, Invoice) and record.deposit_applied:
        amount -= record.deposit_applied
    first = Effect(record.posted, amount, record.currency, record.customer, record.entity, record.ref.id)
    if record.state is PostingState.VOIDED:
        gone = record.voided_on or record.posted
        back = Effect(max(gone, record.posted), -amount, record.currency, record.customer, record.entity, record.ref.id)
        return (first, back)
    return (first,)


@dataclass(frozen=True, slots=True)
class Settlement:
    """An amount of one payment or credit memo set against one invoice, positive, in the source's currency."""

    source: Entity
    source_id: str
    application: Application


def settlements(record: AnyRecord) -> tuple[Settlement, ...] | None:
    """Which money or credit paid which invoice, as far as the record states it; None if a group leaves it open.

    It is unique without credits, with one invoice, or where one credit alone pays everything.
    """
    if isinstance(record, CreditMemo):
        return tuple(Settlement(Entity.CREDIT_MEMO, record.ref.id, a) for a in record.applications)
    if not isinstance(record, Payment):
        return ()
    own = Entity.PAYMENT, record.ref.id
    if not record.credits:
        return tuple(Settlement(*own, a) for a in record.applications)
    standing = [a for a in record.applications if a.reversed_on is None]
    if not record.amount and len(record.credits) == 1:
        return tuple(Settlement(Entity.CREDIT_MEMO, record.credits[0].credit_memo, a) for a in record.applications)
    if len(standing) != 1 or standing != list(record.applications):
        return None
    only = standing[0]
    used = sum((c.amount for c in record.credits), ZERO)
    if used > only.amount or only.amount != only.amount_invoice:
        return None
    by_credit = [
        Settlement(
            Entity.CREDIT_MEMO,
            c.credit_memo,
            only.model_copy(update={"amount": c.amount, "amount_invoice": c.amount}),
        )
        for c in record.credits
    ]
    cash = only.amount - used
    if cash:
        by_credit.append(Settlement(*own, only.model_copy(update={"amount": cash, "amount_invoice": cash})))
    return tuple(by_credit)


def as_json(record: Record) -> dict[str, Any]:
    """A record as JSON-ready data: money as decimal strings, dates as ISO text."""
    return record.model_dump(mode="json")


def from_json(entity: Entity, data: dict[str, Any]) -> AnyRecord:
    """The record that `as_json` wrote."""
    return type_of[entity].model_validate(data)  # type: ignore[return-value]
