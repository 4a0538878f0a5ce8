"""What one ledger's records must satisfy by themselves; a breach is a discrepancy, never a crash.

The numbers are those of the canonical model: I1 document sums · I2 lines and tax lines · I3 open amount by
applications · I4 nothing applied twice · I5 reported equals derived · I6 no over-application · I7 both ends of an
application · I8 voided means unapplied · I9 realised exchange gain · I10 exchange rate · I11 unique numbers ·
I12 nothing is posted into a period that was closed already · I13 applications are neutral.
`compare.findings.invariants` names the same breaches by SQL; a property test holds the two to each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.mapping.balances import Key, counts, ended, open_amounts, open_receivables, standing, told
from tieout.mapping.keys import number_key
from tieout.model import (
    ZERO,
    Adjustment,
    AdjustmentKind,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Invoice,
    Payment,
    PostingState,
    exponent,
    settlements,
    sign,
)

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Closing:
    """Books closed through a day, inclusive, as known since a UTC instant (text). entity_code: None means all."""

    through: date
    since: str
    entity_code: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """One breach: which invariant, on which record (or currency, for I13), what was expected and what was found."""

    invariant: str
    entity: Entity | None
    id: str
    field: str
    expected: str
    found: str


def broken(ledger: Iterable[AnyRecord], as_of: date, *, home_currency: str | None = None) -> list[Broken]:
    """Every breach in one ledger, end of day `as_of`, by invariant and id. Reported balances speak for `as_of`."""
    records = list(ledger)
    documents = [r for r in records if not isinstance(r, Customer)]
    by_key: dict[Key, Document] = {(r.entity, r.ref.id): r for r in documents}
    amounts = open_amounts(records, as_of)
    tops = families({c.ref.id: c.parent for c in records if isinstance(c, Customer)})
    found: list[Broken] = []
    for r in documents:
        found += sums(r)
        found += ends(r, by_key, tops, as_of)
        found += rate(r, home_currency)
        found += balance(r, amounts.get((r.entity, r.ref.id)))
    found += realised(documents, as_of, home_currency)
    found += numbers(documents)
    found += neutrality(records, as_of)
    return sorted(found, key=lambda b: (int(b.invariant[1:]), b.entity or "", b.id, b.field))


def _off(invariant: str, r: Document, field: str, expected: object, found: object) -> Broken:
    return Broken(invariant, r.entity, r.ref.id, field, str(expected), str(found))


def sums(r: Document) -> Iterator[Broken]:
    """I1: total = subtotal − discount + tax. I2: lines add up to the subtotal, tax lines to the tax, if there are any.

    Where the discount is a negative line of its own, the lines may add up to subtotal − discount.
    """
    if not isinstance(r, Invoice | CreditMemo) or r.state is PostingState.VOIDED:
        return
    if r.subtotal - r.discount + r.tax != r.total:
        yield _off("I1", r, "total", r.subtotal - r.discount + r.tax, r.total)
    lines = sum((line.net for line in r.lines), ZERO)
    if r.lines and lines not in (r.subtotal, r.subtotal - r.discount):
        yield _off("I2", r, "subtotal", lines, r.subtotal)
    tax = sum((t.amount for t in r.tax_lines), ZERO)
    if r.tax_lines and tax != r.tax:
        yield _off("I2", r, "tax", tax, r.tax)


def families(parents: Mapping[str, str | None]) -> dict[str, str]:
    """The topmost customer of each customer of whom the parent is given; a loop of parents ends where it closes."""
    tops = {}
    for start in parents:
        seen, at = {start}, start
        while (up := parents.get(at)) is not None and up not in seen:
            seen.add(up)
            at = up
        tops[start] = at
    return tops


def ends(r: Document, ledger: Mapping[Key, Document], tops: Mapping[str, str], as_of: date) -> Iterator[Broken]:
    """I7: both ends exist, are posted, belong to one customer family and agree on the amount. I8: neither is voided.

    I7 is said of the payment or credit memo that is applied, I8 of the end that is voided.
    """
    for s in told(r) or ():
        a = s.application
        source = ledger.get((s.source, s.source_id))
        target = ledger.get((Entity.INVOICE, a.invoice))
        for end, name in ((source, s.source_id), (target, a.invoice)):
            if end is None:
                yield Broken("I7", s.source, s.source_id, "application", f"{name} in the ledger", "absent")
            elif end.state is PostingState.DRAFT:
                yield Broken("I7", s.source, s.source_id, "application", f"{name} posted", "draft")
            elif (gone := ended(end)) and gone <= as_of and (a.reversed_on is None or a.reversed_on > gone):
                yield _off("I8", end, "application", f"reversed by {gone}", a.reversed_on or "standing")
        if source is None or target is None:
            continue
        if source.currency == target.currency and a.amount != a.amount_invoice:
            yield Broken("I7", s.source, s.source_id, "amount", str(a.amount), str(a.amount_invoice))
        payer, owner = (tops.get(d.customer, d.customer) for d in (source, target))
        if payer != owner:
            yield Broken("I7", s.source, s.source_id, "customer", owner, payer)


def balance(r: Document, left: Decimal | None) -> Iterator[Broken]:
    """I3, I5: the reported open or unapplied amount is the derived one. I4, I6: nothing is settled beyond itself.

    left: signed open amount; None for a document that does not count
    """
    if left is None or isinstance(r, Adjustment):
        return
    way = 1 if isinstance(r, Invoice) else -1
    if left * way < 0:
        yield _off("I6" if isinstance(r, Invoice) else "I4", r, "open", "not below 0", left * way)
    reported = r.reported_unapplied if isinstance(r, Payment) else r.reported_open
    if isinstance(r, Payment) and settlements(r) is None:
        return
    if reported is not None and reported != left * way:
        yield _off("I5", r, "open", left * way, reported)


def rate(r: Document, home_currency: str | None) -> Iterator[Broken]:
    """I10: a document in home currency has the rate 1, a foreign one does not: that is a default, not a rate.

    No record holds its amount in home currency, so that amount times rate make it is not looked at. A rate of 0 is how
    fixed layouts leave it out, in home currency only; what states no rate breaks nothing.
    """
    if home_currency is None or r.exchange_rate is None:
        return
    if r.currency != home_currency:
        if r.exchange_rate <= 0 or r.exchange_rate == 1:
            yield _off("I10", r, "exchange_rate", "a rate of the day", r.exchange_rate)
    elif r.exchange_rate not in (0, 1):
        yield _off("I10", r, "exchange_rate", 1, r.exchange_rate)


def realised(documents: Iterable[Document], as_of: date, home_currency: str | None) -> Iterator[Broken]:
    """I9: what applications gain or lose in home currency, by the rates of both ends, is what was posted as realised.

    Said of the invoice, positive for a gain, within one minor unit for each application. Nothing is said in a ledger
    that keeps no realised gains, or keeps one that concerns no invoice; nor of an invoice with a rate missing.
    """
    kept = list(documents)
    gains = [r for r in kept if isinstance(r, Adjustment) and r.kind is AdjustmentKind.FX_REALIZED]
    gains = [r for r in gains if counts(r, as_of)]
    if home_currency is None or not gains or any(r.document is None or r.currency != home_currency for r in gains):
        return
    live = {(r.entity, r.ref.id): r for r in kept if counts(r, as_of)}
    expected: dict[str, Decimal | None] = {}
    parts: dict[str, int] = defaultdict(int)
    for s in (s for r in live.values() for s in standing(r, as_of)):
        source, target = live.get((s.source, s.source_id)), live.get((Entity.INVOICE, s.application.invoice))
        if source is not None and target is not None:
            parts[target.ref.id] += 1
            more, so_far = _gain(s.application, source, target, home_currency), expected.get(target.ref.id, ZERO)
            expected[target.ref.id] = None if more is None or so_far is None else so_far + more
    posted: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for gain in gains:
        posted[gain.document or ""] += sign(gain) * gain.amount
    unit = Decimal(1).scaleb(-exponent(home_currency))
    for r in live.values():
        due = expected.get(r.ref.id, ZERO) if r.entity is Entity.INVOICE else None
        if due is not None and abs(due - posted[r.ref.id]) > unit * max(parts[r.ref.id], 1):
            yield _off("I9", r, "fx_realized", due, posted[r.ref.id])


def _gain(a: Application, source: Document, target: Document, home: str) -> Decimal | None:
    """What one application gains in home currency; None where a rate is missing."""
    rates = [ONE if d.currency == home else d.exchange_rate for d in (source, target)]
    if rates[0] is None or rates[1] is None:
        return None
    return a.amount * rates[0] - a.amount_invoice * rates[1]


def into_closed(
    documents: Iterable[Document], closings: Iterable[Closing], first_seen: Mapping[Key, str]
) -> Iterator[Broken]:
    """I12: no posted document of a closed period came after the closing was known.

    first_seen: when each document was first seen, a UTC instant as text; what is not in it was there before
    """
    known = list(closings)
    for r in documents:
        seen = first_seen.get((r.entity, r.ref.id))
        if seen is None or r.state is PostingState.DRAFT:
            continue
        late = [c for c in known if r.posted <= c.through and c.entity_code in (None, r.entity_code) and seen > c.since]
        if late:
            last = max(sorted(late, key=lambda c: c.since), key=lambda c: c.through)
            yield _off("I12", r, "posted", f"after {last.through}, closed since {last.since}", r.posted)


def numbers(documents: Iterable[Document]) -> Iterator[Broken]:
    """I11: an invoice's or credit memo's number is used once per entity code and kind. Drafts and voids keep theirs."""
    held: dict[tuple[Entity, str | None, str], list[Invoice | CreditMemo]] = defaultdict(list)
    for r in documents:
        if isinstance(r, Invoice | CreditMemo) and r.number and (key := number_key(r.number)):
            held[r.entity, r.entity_code, key].append(r)
    for same in held.values():
        for r in same if len(same) > 1 else ():
            yield _off("I11", r, "number", "unique", f"{r.number} on {len(same)} documents")


def neutrality(ledger: Iterable[AnyRecord], as_of: date) -> Iterator[Broken]:
    """I13: open items add up to the effects, per currency. Only payments across currencies may differ."""
    records = list(ledger)
    currency = {(r.entity, r.ref.id): r.currency for r in records if not isinstance(r, Customer)}
    crossing: set[str | None] = set()
    for r in records:
        for s in standing(r, as_of) if not isinstance(r, Customer) else ():
            two = {currency.get((s.source, s.source_id)), currency.get((Entity.INVOICE, s.application.invoice))}
            crossing |= two if len(two) > 1 else set()
    items: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for key, amount in open_amounts(records, as_of).items():
        items[currency[key]] += amount
    totals = open_receivables(records, as_of)
    for code in sorted({*totals, *items} - crossing):
        if totals.get(code, ZERO) != items[code]:
            yield Broken("I13", None, code, "open", str(totals.get(code, ZERO)), str(items[code]))
