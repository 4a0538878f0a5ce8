"""What a payment's text and a customer's terms say: the documents that it names, and the discount that may be taken."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from tieout.mapping.keys import number_key
from tieout.model import CreditMemo, Invoice, Method, Payment, exponent

SHORTEST = 3  # shorter numbers are in every text
SURE = 5  # a bare number with fewer digits may be a year, a day or a count
_TAIL = 4  # the last digits of a longer number, as people shorten it
_LONGEST_RUN = 4  # parts that one number is written in: RE 2026 / 04 711
_WORD = re.compile(r"[^\W_]+")
_DIVIDES = re.compile(r"[,;\n]")
# What takes one document off another, in the words of some countries; a dash is as often a mere divider.
_LESS = re.compile(r"\./\.|\b(?:less|minus|abzgl|abzüglich|abz|moins|menos|meno)\b\.?", re.IGNORECASE)
_PERCENT = r"([0-9]{1,2}(?:[.,][0-9]{1,2})?)"
# Of a text with single spaces: it can be divided in one way only, so that a long one costs no more than its reading.
_WITHIN = r" ?(?:/|% ?/?| ) ?([0-9]{1,3})\b"
_TERMS = re.compile(rf"{_PERCENT}{_WITHIN}[ ,]*(?:days?[ ,]*)?(?:net|n\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """documents: open or not, all of one number where it has several · said: the text that names them

    sure: enough by itself; otherwise it counts only where the amounts agree to the last unit
    together: all of them are meant, as the invoices of one purchase order
    """

    documents: tuple[Invoice | CreditMemo, ...]
    said: str
    sure: bool
    together: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of some documents: whole, of any length, and last digits; and the customer's own orders they bill."""

    whole: Mapping[str, tuple[Invoice | CreditMemo, ...]]
    tails: Mapping[str, tuple[Invoice | CreditMemo, ...]]
    orders: Mapping[str, tuple[Invoice | CreditMemo, ...]]


def numbers(documents: Iterable[Invoice | CreditMemo]) -> Numbers:
    """An index of the documents by number; a document without one cannot be named."""
    whole: dict[str, list[Invoice | CreditMemo]] = defaultdict(list)
    tails: dict[str, list[Invoice | CreditMemo]] = defaultdict(list)
    orders: dict[str, list[Invoice | CreditMemo]] = defaultdict(list)
    for d in documents:
        order = number_key(d.po_number or "") if isinstance(d, Invoice) else ""
        if len(order) >= _TAIL:
            orders[order].append(d)
        printed = d.number or d.ref.number or ""
        key = number_key(printed)
        if key:
            whole[key].append(d)
        last = re.search(r"[0-9]+$", printed.strip())
        tail = number_key(last.group()) if last else ""
        if tail == key:
            continue
        if len(tail) >= _TAIL:
            tails[tail].append(d)
    return Numbers(*({k: tuple(v) for k, v in index.items()} for index in (whole, tails, orders)))


def named(payment: Payment, known: Numbers) -> list[Named]:
    """The documents that the payment's reference and memo name, in the order of the text, each number once.

    The reference of a check is the check's own number: it is never sure. Where one document is taken off another, as in
    `I-3 less K-1`, short numbers count, too, as the first or last words of each part of the text.
    """
    found: dict[tuple[str, ...], Named] = {}
    for text, sure in ((payment.memo, True), (payment.reference, payment.method is not Method.CHECK)):
        less = bool(_LESS.search(text or ""))
        for part in (piece for line in _DIVIDES.split(text or "") for piece in _LESS.split(line)):
            for n in _in(part, known, sure=sure, short=less):
                key = tuple(sorted(d.ref.id for d in n.documents))
                if key not in found or n.sure:
                    found[key] = n
    return list(found.values())


def _in(text: str, known: Numbers, *, sure: bool, short: bool) -> list[Named]:
    """From the left, always the longest run of words that is a number; a word is used once.

    short: numbers of few characters count at either end of the text, though they are not sure
    """
    words = list(_WORD.finditer(text))
    out: list[Named] = []
    at = 0
    while at < len(words):
        step = 1
        for n in range(min(_LONGEST_RUN, len(words) - at), 0, -1):
            said = text[words[at].start() : words[at + n - 1].end()]
            key = number_key(said)
            few = len(key) < SHORTEST
            if few and not (short and (at == 0 or at + n == len(words))):
                continue
            if hit := known.whole.get(key):
                out.append(Named(hit, said, sure and not few and not (key.isdecimal() and len(key) < SURE)))
                step = n
                break
            if hit := known.orders.get(key):
                out.append(Named(hit, said, sure=False, together=True))
                step = n
                break
            if n == 1 and (hit := known.tails.get(key)):
                out.append(Named(hit, said, sure=False))
        at += step
    return out


@dataclass(frozen=True, slots=True)
class Discount:
    """percent: of the invoice's total · last: the last day on which it may be taken, inclusive"""

    percent: Decimal
    last: date

    def of(self, amount: Decimal, currency: str) -> Decimal:
        """The discount on an amount, half a minor unit up."""
        unit = Decimal(1).scaleb(-exponent(currency))
        return (amount * self.percent / 100).quantize(unit, rounding=ROUND_HALF_UP)


def discount(terms: str | None, invoice: Invoice) -> Discount | None:
    """The discount that a customer's terms grant on an invoice, read from `2/10 net 30`, `2% 10, net 30` and the like.

    None where the text says nothing of the kind: a code of the system's own is not interpreted.
    """
    match = _TERMS.match(" ".join((terms or "").split()))
    if match is None:
        return None
    percent = Decimal(match.group(1).replace(",", "."))
    return Discount(percent, invoice.issued + timedelta(days=int(match.group(2)))) if percent else None
