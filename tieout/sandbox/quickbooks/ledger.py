"""Double entry behind the documents: every document posts lines that sum to zero, and leaves open items.

The two views of receivables are kept apart on purpose, so that each can convict the other: the A/R account from
postings, the customers' balances from open items. `DoubleEntry.verify` compares them after every write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from .encode import ZERO

Key = tuple[str, str]  # (entity, id)


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of a journal, debit positive. `amount` in `currency`, `home` in the company's currency."""

    account: str
    home: Decimal
    amount: Decimal
    currency: str
    receivable: bool = False


class DoubleEntry:
    """Balances of accounts and customers, kept by differences."""

    def __init__(self) -> None:
        self.journal: dict[Key, tuple[Posting, ...]] = {}
        self.accounts: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.receivable: defaultdict[str, Decimal] = defaultdict(Decimal)  # by currency
        self.items: dict[Key, dict[str, Decimal]] = {}  # open amount by customer, signed
        self.customers: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.open: defaultdict[tuple[str, str], dict[Key, Decimal]] = defaultdict(dict)  # (customer, entity)
        self.totals: defaultdict[str, Decimal] = defaultdict(Decimal)  # open items by currency

    def post(self, key: Key, postings: Iterable[Posting]) -> set[str]:
        """Replaces what the document posted; the accounts touched."""
        lines = tuple(postings)
        touched = set()
        for line, sign in [*((p, -1) for p in self.journal.pop(key, ())), *((p, 1) for p in lines)]:
            touched.add(line.account)
            self.accounts[line.account] += sign * line.home
            if line.receivable:
                self.receivable[line.currency] += sign * line.amount
        if lines:
            self.journal[key] = lines
        assert sum((p.home for p in lines), ZERO) == 0, f"{key} does not balance: {lines}"
        return touched

    def hold(self, key: Key, amounts: Mapping[str, Decimal], currency: str) -> set[str]:
        """Replaces the document's open amounts by customer (charges positive); the customers touched."""
        before = self.items.pop(key, {})
        after = {customer: amount for customer, amount in amounts.items() if amount}
        for customer in {*before, *after}:
            change = after.get(customer, ZERO) - before.get(customer, ZERO)
            self.customers[customer] += change
            self.totals[currency] += change
            if customer in after:
                self.open[customer, key[0]][key] = after[customer]
            else:
                self.open[customer, key[0]].pop(key, None)
        if after:
            self.items[key] = after
        return {*before, *after}

    def verify(self) -> None:
        """Raises AssertionError when open items and the A/R account differ in any currency."""
        for currency in {*self.totals, *self.receivable}:
            items, account = self.totals[currency], self.receivable[currency]
            assert items == account, f"open items {items} and the A/R account {account} differ in {currency}"
