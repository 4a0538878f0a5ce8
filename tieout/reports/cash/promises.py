"""Promises to pay, as somebody was given them: they are facts of people, not of the books, and change no balance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from tieout.model import ZERO
from tieout.reports.cash.paying import Day


@dataclass(frozen=True, slots=True)
class Promise:
    """A customer will pay `amount` of an invoice by the day `on`, inclusive; it said so on the day `said`.

    invoice: its id in its connection · amount: positive, in the invoice's currency; 0 takes an earlier promise back
    by: who was told
    """

    invoice: str
    amount: Decimal
    on: date
    said: date
    by: str


def standing(promises: Iterable[Promise], side: Day) -> dict[str, Promise]:
    """invoice: its last promise of those said by then, with the amount of it that has not come since; none kept."""
    last: dict[str, Promise] = {}
    for p in promises:
        if p.said <= side.as_of and (p.invoice not in last or last[p.invoice].said <= p.said):
            last[p.invoice] = p
    for paid in side.paid:
        given = last.get(paid.invoice.ref.id)
        if given is not None and paid.on >= given.said:
            last[given.invoice] = replace(given, amount=given.amount - paid.amount)
    return {invoice: p for invoice, p in sorted(last.items()) if p.amount > ZERO}
