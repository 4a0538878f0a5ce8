"""When open invoices will be paid, by how late invoices were paid before: exact shares of exact amounts.

The pattern of an invoice is its customer's own paid invoices, where enough of them were paid later than it is late
today (what it has already outlived says nothing more of it); else the whole ledger's; else, where it is not due yet,
its due date; else no date. Shares are counts out of counts; amounts are divided in the currency's minor unit, and what
does not divide goes to the last share, so that the parts are always the whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Literal

from tieout.model import ZERO, Invoice, exponent, from_micros, micros
from tieout.reports.cash.paying import Day, Paid, days_late
from tieout.reports.ledger import dues

ENOUGH = 5  # paid invoices that a pattern needs, inclusive
EARLY, LATE = 20, 80  # the quantiles of the range, in percent, by nearest rank
Basis = Literal["own", "ledger", "due date", "none"]


@dataclass(frozen=True, slots=True)
class History:
    """How late invoices were paid. days: distinct, ascending, early is negative · counts: invoices paid on each"""

    days: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, late: Iterable[int]) -> History:
        found = sorted(Counter(late).items())
        return cls(tuple(d for d, _ in found), tuple(n for _, n in found))

    @property
    def count(self) -> int:
        return sum(self.counts)

    def after(self, late_now: int) -> History:
        """The part of it that was paid later than so many days past due."""
        at = bisect_right(self.days, late_now)
        return History(self.days[at:], self.counts[at:])

    def quantile(self, percent: int) -> int:
        """The nearest-rank quantile; 50 is the lower median. Raises IndexError of an empty history."""
        rank = max(-(-self.count * percent // 100), 1)
        return self.days[bisect_left(list(accumulate(self.counts)), rank)]


_NEVER = History((), ())


@dataclass(frozen=True, slots=True)
class Histories:
    """own: by customer · every: of the whole ledger"""

    own: Mapping[str, History]
    every: History

    def pattern(self, customer: str, late_now: int) -> tuple[Basis, History]:
        """What an invoice may be expected by. late_now: days past due, negative before the due date"""
        ways: tuple[tuple[Basis, History], ...] = (("own", self.own.get(customer, _NEVER)), ("ledger", self.every))
        for basis, history in ways:
            rest = history.after(late_now)
            if rest.count >= ENOUGH:
                return basis, rest
        return ("due date", History((0,), (1,))) if late_now < 0 else ("none", _NEVER)


def histories(side: Day) -> Histories:
    """What the ledger knows by its day, inclusive."""
    late = days_late(side)
    return Histories(
        {c: History.of(days) for c, days in late.items()}, History.of(d for own in late.values() for d in own)
    )


@dataclass(frozen=True, slots=True)
class Share:
    """Part of an invoice. on: the day it is expected, None where nothing says one"""

    on: date | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Expected:
    """One due part of an open invoice. shares: its expectation, adding up to `open`; early, late: all of it on one day

    basis, count: what the expectation rests on, and on how many paid invoices
    """

    invoice: Invoice
    due: date | None
    open: Decimal
    basis: Basis
    count: int
    shares: tuple[Share, ...]
    early: date | None
    late: date | None


def expect(side: Day, known: Histories, less: Mapping[str, Decimal]) -> list[Expected]:
    """Each due part of each open invoice, by due date and id; nothing is expected on or before the day itself.

    less: by invoice, what is not to be expected by history (promised for a day); taken off the earliest parts
    """
    found = []
    for invoice, whole in side.invoices():
        rest = less.get(invoice.ref.id, ZERO)
        for due, open in dues(invoice, whole):
            off = min(rest, open)
            rest -= off
            if open > off:
                found.append(_expected(side.as_of, known, invoice, due, open - off))
    return found


def _expected(as_of: date, known: Histories, invoice: Invoice, due: date | None, open: Decimal) -> Expected:
    basis, rest = known.pattern(invoice.customer, (as_of - due).days) if due else ("none", _NEVER)
    if due is None or not rest.days:
        return Expected(invoice, due, open, "none", 0, (Share(None, open),), None, None)
    parts = divided(open, rest.counts, invoice.currency)
    shares = tuple(Share(due + timedelta(days=d), a) for d, a in zip(rest.days, parts, strict=True) if a)
    early, late = (due + timedelta(days=rest.quantile(q)) for q in (EARLY, LATE))
    return Expected(invoice, due, open, basis, 0 if basis == "due date" else rest.count, shares, early, late)


def divided(amount: Decimal, weights: Sequence[int], currency: str) -> list[Decimal]:
    """The amount in proportion to the weights, each sum of the first parts rounded down to the minor unit.

    The last part takes what is left, also what is finer than the currency's minor unit.
    """
    step: int = 10 ** (6 - exponent(currency))
    whole, total = micros(amount), sum(weights)
    parts: list[Decimal] = []
    given = seen = 0
    for weight in weights[:-1]:
        seen += weight
        upto = whole * seen // total // step * step
        parts.append(from_micros(upto - given))
        given = upto
    return [*parts, from_micros(whole - given)] if weights else []


def paid_within(money: Iterable[Paid], invoices: Mapping[str, Invoice], first: date, last: date) -> dict[str, Decimal]:
    """currency: what of the money reached those invoices from `first` to `last`, both inclusive."""
    found: dict[str, Decimal] = {}
    for p in money:
        if p.invoice.ref.id in invoices and first <= p.on <= last:
            found[p.invoice.currency] = found.get(p.invoice.currency, ZERO) + p.amount
    return found
