"""Which home currency the documents of a ledger speak for: the one that has a rate of 1 in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tieout.model import Document

_FEWEST = 2  # documents: one alone may be wrong itself


def contradicted(documents: Iterable[Document], home: str) -> tuple[str, int] | None:
    """Another currency that is plainly the home one, and in how many documents it is; None where nothing says so.

    Every stated rate of that currency, and of no other one, is 1, and no document in `home` has a rate of 1 or states
    none. A rate of 0 is none.
    """
    one, more = Counter[str](), Counter[str]()
    for document in documents:
        rate, currency = document.exchange_rate, document.currency
        if currency == home and (not rate or rate == 1):
            return None
        if rate:
            (one if rate == 1 else more)[currency] += 1
    found = [currency for currency in one if not more[currency]]
    if len(found) != 1 or one[found[0]] + more[home] < _FEWEST:
        return None
    return found[0], one[found[0]]
