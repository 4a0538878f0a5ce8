"""Days sales outstanding, by the two usual formulas, with the numbers behind them.

Sales are what was billed on credit, tax included: invoices less credit memos by the day they count, less what was
voided later. Receivables are net: unapplied payments and credits are taken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from tieout.model import ZERO, AnyRecord, CreditMemo, Invoice, effects

DAYS = 90  # of sales that the standard formula looks at
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the count-back, or its part up to the day. days: of it that are counted, all where it is used up"""

    first: date
    last: date
    sales: Decimal
    left: Decimal
    days: Decimal


@dataclass(frozen=True, slots=True)
class Dso:
    """One currency. sales: of the last `DAYS` days · None where there are no sales to divide by, or to count back"""

    currency: str
    receivables: Decimal
    sales: Decimal
    standard: Decimal | None
    count_back: Decimal | None
    months: tuple[Month, ...]


def dso(records: Iterable[AnyRecord], as_of: date) -> list[Dso]:
    """The figures of each currency in which something moved, end of day `as_of`."""
    receivables: dict[str, Decimal] = defaultdict(lambda: ZERO)
    sales: dict[str, dict[date, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    for record in records:
        for e in effects(record):
            if e.on <= as_of:
                receivables[e.currency] += e.amount
                if isinstance(record, Invoice | CreditMemo):
                    sales[e.currency][e.on] += e.amount
    return [_one(currency, total, sales[currency], as_of) for currency, total in sorted(receivables.items())]


def _one(currency: str, receivables: Decimal, sales: dict[date, Decimal], as_of: date) -> Dso:
    recent = sum((amount for on, amount in sales.items() if on > as_of - timedelta(days=DAYS)), ZERO)
    standard = _tenth(receivables * DAYS / recent) if recent > 0 and receivables > 0 else None
    months = _back(receivables, sales, as_of)
    whole = bool(months) and (months[-1].left == 0)
    count_back = _tenth(sum((m.days for m in months), ZERO)) if whole else None
    return Dso(currency, receivables, recent, standard, count_back, tuple(months))


def _back(receivables: Decimal, sales: dict[date, Decimal], as_of: date) -> list[Month]:
    """Month after month from the day backwards until the receivables are used up, or the first sale is passed.

    The last month counts in proportion: of its days the part that its sales are still owed.
    """
    months: list[Month] = []
    left, last = receivables, as_of
    while left > 0 and sales and last >= min(sales):
        first = last.replace(day=1)
        sold = sum((amount for on, amount in sales.items() if first <= on <= last), ZERO)
        days = Decimal((last - first).days + 1)
        used = min(left, max(sold, ZERO))
        if used == left:
            days = _tenth(days * left / sold)
        left -= used
        months.append(Month(first, last, sold, left, days))
        last = first - timedelta(days=1)
    return months


def _tenth(days: Decimal) -> Decimal:
    return days.quantize(_TENTH, rounding=ROUND_HALF_UP)
