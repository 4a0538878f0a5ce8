"""What a system's own reports and accounts state, and which of its documents a stated figure is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

from tieout.model import AnyRecord, ControlBalance, effects

Record = TypeVar("Record", bound=AnyRecord)


def own_documents(
    balance: ControlBalance, balances: Sequence[ControlBalance], records: Iterable[Record]
) -> list[Record] | None:
    """The documents that a stated balance is about; None where that cannot be told.

    It cannot with another account of its currency beside it and documents that name none, or with documents in a
    currency for which the report states nothing.
    """
    own = [r for r in records if _account(r) in (None, *_accounts(balance))]
    if not _tellable(balance, balances, own):
        return None
    return [r for r in own if getattr(r, "currency", None) == balance.currency]


def of_now(balance: ControlBalance, on_day: Decimal, whole: Decimal) -> bool:
    """Whether a stated balance is the system's of now, which counts what is dated after its day, too.

    on_day, whole: what its documents add up to by its day, and in all. A report that was asked for a day is of it.
    """
    return on_day != balance.amount == whole and balance.as_of.isoformat() not in balance.parameters.values()


def _tellable(balance: ControlBalance, balances: Sequence[ControlBalance], own: Iterable[AnyRecord]) -> bool:
    same = [b for b in balances if b.report == balance.report]
    covered = {b.currency for b in same}
    rivals = [b for b in same if b.currency == balance.currency and b.account != balance.account]
    return not any(
        getattr(r, "currency", None) not in covered or (rivals and _account(r) is None)
        for r in own
        if any(e.amount for e in effects(r))
    )


def _account(record: AnyRecord) -> str | None:
    return getattr(record, "ar_account", None)


def _accounts(balance: ControlBalance) -> list[str]:
    """A report over several accounts names them with commas between."""
    return balance.account.split(",")
