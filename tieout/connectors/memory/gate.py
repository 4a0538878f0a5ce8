"""What the server of the memory books accepts: the checks of one write, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.connectors.memory.types import Rules, Stored, changed
from tieout.errors import DuplicateNumber, PeriodClosed, Rejected
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Payment,
    PostingState,
    exponent,
    finer_than_currency,
    magnitude,
)


def cut(rules: Rules, record: AnyRecord) -> AnyRecord:
    """The record as these books can hold it: texts cut to their limits. Idempotent."""
    limits = {
        "number": rules.number_limit,
        "reference": rules.number_limit,
        "memo": rules.memo_limit,
        "name": rules.name_limit,
    }
    cuts = {
        name: getattr(record, name)[:limit].rstrip()
        for name, limit in limits.items()
        if limit is not None and getattr(record, name, None) is not None
    }
    return record.model_copy(update=cuts) if cuts else record


@dataclass(frozen=True, slots=True)
class Gate:
    """The books as a write finds them. `open`: the open amount of a document, by entity and id."""

    rules: Rules
    closed_through: date | None
    stored: Mapping[Entity, Mapping[str, Stored]]
    open: Callable[[Entity, str], Decimal]

    def accept(self, record: AnyRecord, before: AnyRecord | None) -> AnyRecord:
        """The record as the server books it, or the refusal."""
        self.check_period(record)
        self._check_unique(record, before)
        if isinstance(record, Customer):
            if record.parent and not self._live(Entity.CUSTOMER, record.parent):
                raise Rejected(f"unknown parent customer {record.parent!r}", code="bad_reference")
            return record
        if not self._live(Entity.CUSTOMER, record.customer):
            raise Rejected(f"unknown customer {record.customer!r}", code="bad_reference")
        if finer_than_currency(magnitude(record), record.currency):
            raise Rejected(f"{magnitude(record)} is finer than {record.currency} has", code="bad_amount")
        if isinstance(record, Adjustment) and record.document and not self._live(Entity.INVOICE, record.document):
            raise Rejected(f"unknown invoice {record.document!r}", code="bad_reference")
        if isinstance(record, Invoice | CreditMemo) and self.rules.tax_rate is not None:
            tax = round(record.subtotal * self.rules.tax_rate, exponent(record.currency))
            total = record.subtotal - record.discount + tax
            record = changed(record, {"tax": tax, "total": total, "tax_lines": ()})
        if isinstance(record, Payment | CreditMemo):
            record = self._with_valid_applications(record, before)
        return record

    def _with_valid_applications(self, record: Payment | CreditMemo, before: AnyRecord | None) -> Payment | CreditMemo:
        already = before.applications if isinstance(before, Payment | CreditMemo) else ()
        kept: list[Application] = []
        for wanted in record.applications:
            if wanted.reversed_on is not None:
                kept.append(wanted)
                continue
            if not self._live(Entity.INVOICE, wanted.invoice):
                raise Rejected(f"unknown invoice {wanted.invoice!r}", code="bad_reference")
            invoice = self.stored[Entity.INVOICE][wanted.invoice].record
            standing = (a.amount_invoice for a in already if a.invoice == wanted.invoice and a.reversed_on is None)
            taken = (a.amount_invoice for a in kept if a.invoice == wanted.invoice and a.reversed_on is None)
            room = self.open(Entity.INVOICE, wanted.invoice) + sum(standing, ZERO) - sum(taken, ZERO)
            assert isinstance(invoice, Invoice)
            if wanted.amount_invoice > room or invoice.state is not PostingState.POSTED:
                if self.rules.over_application == "drop":
                    continue
                raise Rejected(f"{wanted.amount_invoice} is more than {wanted.invoice} has open ({room})", code="over")
            kept.append(wanted)
        there_is = magnitude(record) + self._usable_credits(record, before)
        if sum((a.amount for a in kept if a.reversed_on is None), ZERO) > there_is:
            raise Rejected("more is applied than there is", code="over")
        return record.model_copy(update={"applications": tuple(kept)})

    def _usable_credits(self, record: Payment | CreditMemo, before: AnyRecord | None) -> Decimal:
        if isinstance(record, CreditMemo):
            return ZERO
        already = {c.credit_memo: c.amount for c in before.credits} if isinstance(before, Payment) else {}
        for credit in record.credits:
            if not self._live(Entity.CREDIT_MEMO, credit.credit_memo):
                raise Rejected(f"unknown credit memo {credit.credit_memo!r}", code="bad_reference")
            room = self.open(Entity.CREDIT_MEMO, credit.credit_memo) + already.get(credit.credit_memo, ZERO)
            if credit.amount > room:
                raise Rejected(f"{credit.amount} is more than {credit.credit_memo} has left ({room})", code="over")
        return sum((c.amount for c in record.credits), ZERO)

    def check_period(self, record: AnyRecord) -> None:
        if isinstance(record, Customer) or self.closed_through is None:
            return
        if record.posted <= self.closed_through:
            raise PeriodClosed(f"the books are closed through {self.closed_through}", code="closed")

    def _check_unique(self, record: AnyRecord, before: AnyRecord | None) -> None:
        fields = []
        if self.rules.unique_names and isinstance(record, Customer):
            fields.append("name")
        if self.rules.unique_numbers:
            fields.append("reference" if isinstance(record, Payment) else "number")
        if self.rules.unique_markers:
            fields.append("marker")
        for stored in self.stored[record.entity].values():
            if stored.existence is Existence.DELETED or (before and stored.record.ref.id == before.ref.id):
                continue
            for name in fields:
                value = getattr(record, name)
                if value is not None and getattr(stored.record, name) == value:
                    holder = stored.record.ref.id
                    told = f"{name} {value!r} is taken by {holder}"
                    taken = str(value) if name == "name" else ""
                    raise DuplicateNumber(told, existing_id=holder, name=taken, code=name)

    def _live(self, entity: Entity, id: str) -> bool:
        stored = self.stored[entity].get(id)
        return stored is not None and stored.existence is not Existence.DELETED
