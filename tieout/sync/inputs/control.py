"""What a system's own report states for receivables, beside what its documents add up to.

A figure that the documents do not give is listed, once per account and currency: something moved the account that no
document shows (a journal on the control account, a kind of document that is not read). It is compared as of the day of
the report, and only with documents that were read while the figure stood still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.compare import Discrepancy
from tieout.compare.codes import UNTRACED, of
from tieout.compare.result import money
from tieout.mapping.control import of_now, own_documents
from tieout.model import ZERO, AnyRecord, ControlBalance, effects, tidy
from tieout.plaintext import counted
from tieout.sync.core.facts import LEFT, Which
from tieout.sync.review.differences import id_of


@dataclass(frozen=True, slots=True)
class Untied:
    """A stated balance and what the documents of its account add up to instead, as of its day."""

    balance: ControlBalance
    documents: Decimal


def untied(balances: Sequence[ControlBalance], records: Sequence[AnyRecord]) -> list[Untied]:
    """The balances that the documents do not add up to; first report first, one per account and currency.

    A balance of which it cannot be told which documents are its own (see `mapping.control`) is left out.
    """
    found: dict[tuple[str, str], Untied] = {}
    for balance in balances:
        held = own_documents(balance, balances, records)
        if held is None:
            continue
        total = _sum(held, balance.as_of)
        if balance.amount != total and not of_now(balance, total, _sum(held, date.max)):
            found.setdefault((balance.account, balance.currency), Untied(balance, tidy(total)))
    return list(found.values())


def _sum(records: Iterable[AnyRecord], until: date) -> Decimal:
    return sum((e.amount for r in records for e in effects(r) if e.on <= until), ZERO)


def as_discrepancy(found: Untied, which: Which, unread: int) -> Discrepancy:
    """The difference as it is listed. Its delta leads from the left account to the left documents, or from the right
    documents to the right account: the way of the bridge.

    unread: how many records of the system could not be read, which may be all of it
    """
    b, entry = found.balance, of(UNTRACED)
    rest = b.amount - found.documents
    asked = ", ".join(f"{name} {value}" for name, value in sorted(b.parameters.items()))
    stated, own = (money(amount, b.currency) for amount in (b.amount, found.documents))
    cause = f"{b.report}{f' ({asked})' if asked else ''} of {b.connection} states {stated} {b.currency} on"
    cause += f" account {b.account} as of {b.as_of}; its documents add up to {own}"
    if unread:
        cause += f"; {counted(unread, 'record')} of it could not be read"
    left = which == LEFT
    return Discrepancy(
        id=id_of(UNTRACED, b.connection, b.account, b.currency),
        code=UNTRACED,
        secondary=(),
        class_=entry.class_,
        severity=entry.severity,
        kind="control_account",
        left=b.account if left else None,
        right=None if left else b.account,
        left_label=b.connection if left else None,
        right_label=None if left else b.connection,
        field="balance",
        left_value=str(tidy(b.amount)) if left else None,
        right_value=None if left else str(tidy(b.amount)),
        delta=tidy(-rest if left else rest),
        currency=b.currency,
        cause=cause,
        remedy=entry.remedy,
        confirmed=False,
    )
