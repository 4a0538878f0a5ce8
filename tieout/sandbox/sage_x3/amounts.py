"""Amounts: rounding, shares that add up, line prices, taxes by code, totals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal(0)


def rounded(amount: Decimal, decimals: int) -> Decimal:
    """Half away from zero."""
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def shares(total: Decimal, weights: Iterable[Decimal], decimals: int) -> list[Decimal]:
    """The total by weights, each rounded, the last taking what is left: they add up to the total."""
    given = list(weights)
    whole = sum(given, ZERO)
    parts = [rounded(total * w / whole, decimals) if whole else ZERO for w in given[:-1]]
    return [*parts, total - sum(parts, ZERO)]


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax of a document: code, percent, what it is on, and itself; in document currency, positive."""

    code: str
    rate: Decimal
    base: Decimal
    amount: Decimal


def taxes(lines: Iterable[tuple[str, Decimal]], rates: dict[str, Decimal], decimals: int, *, inside: bool) -> list[Tax]:
    """Taxes of lines (code, amount), in order of appearance; rounded once a code. inside: amounts include the tax."""
    sums: dict[str, Decimal] = {}
    for code, amount in lines:
        sums[code] = sums.get(code, ZERO) + amount
    found = []
    for code, amount in sums.items():
        rate = rates[code]
        base = rounded(amount / (1 + rate / 100), decimals) if inside else amount
        tax = amount - base if inside else rounded(amount * rate / 100, decimals)
        found.append(Tax(code, rate, base, tax))
    return found
