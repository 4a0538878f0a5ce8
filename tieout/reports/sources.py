"""What every report of receivables says of the ledgers it was made from: proofs, notes, whether to doubt them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from tieout.model import ZERO, CreditMemo, Entity, Payment
from tieout.plaintext import counted
from tieout.reports import stated
from tieout.reports.frame import Proof
from tieout.reports.ledger import Subledger, summed


def proofs(sides: Sequence[Subledger], as_of: date) -> tuple[Proof, ...]:
    """Of each side and currency: items add up to effects; and the source's own figures for the day, if any."""
    found: list[Proof] = []
    for side in sides:
        by_items = summed((i.currency, i.amount) for i in side.items(as_of))
        by_effects = side.totals(as_of)
        found += [
            Proof(
                f"{side.name}: open items in {c} add up to the effects of all documents",
                ours := by_items.get(c, ZERO),
                theirs := by_effects.get(c, ZERO),
                ours == theirs,
                c,
            )
            for c in sorted({*by_items, *by_effects})
        ]
        found += stated.proofs(side, as_of)
        found += stated.customer_proofs(side, stated.owed(side, as_of))
    return tuple(found)


def notes(sides: Sequence[Subledger], as_of: date) -> tuple[str, ...]:
    """What a reader must know of the sources: what they cannot tell, what could not be read, what is missing."""
    return tuple(note for side in sides for note in _notes(side, as_of))


def _notes(side: Subledger, as_of: date) -> Iterator[str]:
    books = side.books
    if books.unreadable:
        were = (
            "record or row could not be read, and is"
            if books.unreadable == 1
            else "records or rows could not be read, and are"
        )
        yield f"{side.name}: {books.unreadable:,} {were} in no figure."
    yield from (f"{side.name}: records may be missing: {doubt}." for doubt in books.doubts)
    if books.open_only:
        yield f"{side.name} lists open items only: receipts, history and what was settled before are not in it."
    if books.dated and books.dated < as_of:
        yield f"{side.name} speaks for {books.dated}: what happened from then to {as_of} is not in it."
    if books.dated and books.dated > as_of and books.open_only:
        yield f"{side.name} was listed on {books.dated}: what was open on {as_of} and settled since is not in it."
    told = sum(isinstance(r, Payment) and r.stated_by_source for r in side.documents)
    if told:
        yield (
            f"{side.name} states of {counted(told, 'invoice')} only that and when they were "
            "settled: they count as paid in full from that day; who paid, and how, it does not say."
        )
    kinds = {r.entity for r in side.documents}
    if Entity.INVOICE in kinds and Entity.PAYMENT not in kinds and not books.open_only:
        yield f"{side.name} shows no payments at all: an invoice is open here unless something else settled it."
    bare = sum(r.currency != side.home and r.exchange_rate is None for r in side.documents) if side.home else 0
    if bare:
        were = "document has" if bare == 1 else "documents have"
        yield f"{side.name}: {bare:,} foreign {were} no rate: no amount in {side.home} is made up for them."
    lost = _lost(side)
    if lost:
        yield (
            f"{side.name}: {lost:,} {'application names' if lost == 1 else 'applications name'} a document that is not "
            "in the books: they settle nothing, and the money stands as unapplied."
        )


def doubtful(side: Subledger, as_of: date) -> bool:
    """Whether records may be missing or wrong as of the day, so that no figure of the side is one to tell others."""
    books = side.books
    ends = books.dated is not None and books.dated != as_of and (books.dated < as_of or books.open_only)
    return bool(books.unreadable or books.doubts or books.known or ends)


def _lost(side: Subledger) -> int:
    return sum(
        (Entity.INVOICE, a.invoice) not in side.by_key
        for r in side.documents
        if isinstance(r, Payment | CreditMemo)
        for a in r.applications
        if a.reversed_on is None
    )
