"""What follows from the records of the memory books: open amounts, and what each customer owes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Payment,
    PostingState,
    effects,
    magnitude,
)

Key = tuple[Entity, str]


@dataclass(slots=True)
class Balances:
    """open: positive, by entity and id of a document · owed: signed, by customer and currency, over all dates"""

    open: dict[Key, Decimal] = field(default_factory=dict)
    owed: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    def _move(self, key: Key, amount: Decimal) -> None:
        if key in self.open:
            self.open[key] += amount

    def _set_against(self, record: AnyRecord) -> None:
        """Take off what this document settles, from itself and from the other."""
        if isinstance(record, Payment | CreditMemo):
            for application in record.applications:
                if application.reversed_on is None:
                    self._move((record.entity, record.ref.id), -application.amount)
                    self._move((Entity.INVOICE, application.invoice), -application.amount_invoice)
        if isinstance(record, Payment):
            for credit in record.credits:
                self._move((Entity.PAYMENT, record.ref.id), credit.amount)
                self._move((Entity.CREDIT_MEMO, credit.credit_memo), -credit.amount)
        if isinstance(record, Adjustment) and (Entity.INVOICE, record.document or "") in self.open:
            signed = record.amount if record.side == "debit" else -record.amount
            self._move((Entity.INVOICE, record.document or ""), signed)
            self.open[Entity.ADJUSTMENT, record.ref.id] = ZERO


def balances(records: Iterable[AnyRecord]) -> Balances:
    """Of all these records together; drafts and voided documents have nothing open and settle nothing."""
    result, posted = Balances(), []
    for record in records:
        for effect in effects(record):
            key = (effect.customer, effect.currency)
            result.owed[key] = result.owed.get(key, ZERO) + effect.amount
        if isinstance(record, Customer):
            continue
        counts = record.state is PostingState.POSTED
        paid_before = record.deposit_applied if isinstance(record, Invoice) else ZERO
        result.open[record.entity, record.ref.id] = magnitude(record) - paid_before if counts else ZERO
        if counts:
            posted.append(record)
    for record in posted:
        result._set_against(record)  # noqa: SLF001  its own builder
    return result
