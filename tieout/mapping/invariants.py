"""What one ledger's records must satisfy by themselves; a breach is a discrepancy, never a crash.

The numbers are those of the canonical model: I1 document sums · I2 lines and tax lines · I3 open amount by
applications · I4 nothing applied twice · I5 reported equals derived · I6 no over-application · I7 both ends of an
application · I8 voided means unapplied · I10 exchange rate · I11 unique numbers · I13 applications are neutral.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.mapping.balances import Key, ended, open_amounts, open_receivables, standing
from tieout.mapping.keys import number_key
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    CreditMemo,
    Customer,
    Document,
    Entity,
    Invoice,
    Payment,
    PostingState,
    settlements,
)


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
    families = _families(records)
    found: list[Broken] = []
    for r in documents:
        found += sums(r)
        found += ends(r, by_key, families)
        found += rate(r, home_currency)
        found += balance(r, amounts.get((r.entity, r.ref.id)))
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


def _families(records: Iterable[AnyRecord]) -> dict[str, str]:
    """The topmost customer of each customer; a loop of parents ends where it closes."""
    parents = {c.ref.id: c.parent for c in records if isinstance(c, Customer)}
    tops = {}
    for start in parents:
        seen, at = {start}, start
        while (up := parents.get(at)) is not None and up not in seen:
            seen.add(up)
            at = up
        tops[start] = at
    return tops


def ends(r: Document, ledger: Mapping[Key, Document], families: Mapping[str, str]) -> Iterator[Broken]:
    """I7: both ends exist, are posted, belong to one customer family and agree on the amount. I8: neither is voided."""
    for s in settlements(r) or ():
        a = s.application
        source = ledger.get((s.source, s.source_id))
        target = ledger.get((Entity.INVOICE, a.invoice))
        for end, name in ((source, s.source_id), (target, a.invoice)):
            if end is None:
                yield _off("I7", r, "application", f"{name} in the ledger", "absent")
            elif end.state is PostingState.DRAFT:
                yield _off("I7", r, "application", f"{name} posted", "draft")
            elif (gone := ended(end)) and (a.reversed_on is None or a.reversed_on > gone):
                yield _off("I8", end, "application", f"reversed by {gone}", a.reversed_on or "standing")
        if source is None or target is None:
            continue
        if source.currency == target.currency and a.amount != a.amount_invoice:
            yield _off("I7", r, "application", a.amount, a.amount_invoice)
        payer, owner = (families.get(d.customer, d.customer) for d in (source, target))
        if payer != owner:
            yield _off("I7", r, "customer", owner, payer)


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
    """I10: a foreign document does not have the rate 1; that is a default, not a rate."""
    if home_currency and r.currency != home_currency and r.exchange_rate == 1:
        yield _off("I10", r, "exchange_rate", "a rate of the day", r.exchange_rate)


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
