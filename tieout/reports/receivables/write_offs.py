"""Credits and write-offs of a period, with who approved them: what lowered receivables without money coming in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from tieout.mapping.balances import effect, ended
from tieout.model import ZERO, Adjustment, AdjustmentKind, CreditMemo, Document, Entity, PostingState, magnitude, tidy
from tieout.reports import layout, ledger, sources
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Report, Table
from tieout.reports.ledger import Subledger

_MONEY = (AdjustmentKind.DEPOSIT, AdjustmentKind.FX_REALIZED)


def build(books: Sequence[Books], *, as_of: date, since: date) -> Report:
    """Credit memos and credit adjustments posted from `since` to `as_of`, both inclusive; voided ones at nothing."""
    if since > as_of:
        raise ValueError(f"the period begins on {since}, after it ends on {as_of}")
    sides = ledger.ledgers(books)
    held = [_credits(side, since, as_of) for side in sides]
    return Report(
        name="credits",
        title="Credits and write-offs",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _kinds(sides, held, as_of),
            *(_documents(n, side, sides, own, as_of) for n, (side, own) in enumerate(zip(sides, held, strict=True))),
        ),
        proofs=sources.proofs(sides, as_of),
        notes=(*sources.notes(sides, as_of), *_notes(sides, held), layout.signs(sides)),
        parameters={"from": since.isoformat()},
    )


def _credits(side: Subledger, since: date, as_of: date) -> list[Document]:
    found = [
        r for r in side.documents if since <= r.posted <= as_of and r.state is not PostingState.DRAFT and _is_credit(r)
    ]
    return sorted(found, key=lambda r: (r.currency, r.posted, ledger.kind_of(r), r.ref.id))


def _is_credit(r: Document) -> bool:
    return isinstance(r, CreditMemo) or (isinstance(r, Adjustment) and r.side == "credit" and r.kind not in _MONEY)


def _approver(r: Document) -> str:
    return (r.approver or "") if isinstance(r, Adjustment) else ""


def _kinds(sides: Sequence[Subledger], held: Sequence[Sequence[Document]], as_of: date) -> Table:
    """By currency and kind: how many, how much, and how many of them name nobody who approved them."""
    group = (
        Column("count", "documents", "count"),
        Column("amount", "amount", "money"),
        Column("unapproved", "without approver", "count"),
    )
    columns = (Column("kind", "kind", width=20), layout.CURRENCY, *layout.beside(group, sides))
    lines: dict[tuple[str, str], list[list[Document]]] = defaultdict(lambda: [[] for _ in sides])
    for n, own in enumerate(held):
        for r in own:
            lines[r.currency, ledger.kind_of(r)][n].append(r)
    details: list[tuple[Cell, ...]] = []
    for (currency, kind), both in sorted(lines.items()):
        cells: list[Cell] = []
        for own in both:
            total = sum((effect(r, as_of) for r in own), ZERO)
            cells += [len(own), tidy(total), sum(not _approver(r) for r in own)]
        details.append((kind, currency, *cells))
    return Table("kinds", "By kind", columns, layout.totalled(columns, details))


def _documents(number: int, side: Subledger, sides: Sequence[Subledger], own: Sequence[Document], as_of: date) -> Table:
    columns = (
        *layout.PARTY,
        Column("kind", "kind", width=16),
        Column("document", "document", width=18),
        Column("posted", "posted", "date"),
        Column("full", "full amount", "money"),
        Column("amount", "counts for", "money"),
        *((layout.base(side.home),) if side.foreign else ()),
        Column("concerns", "concerns", width=18),
        Column("reason", "reason", width=40),
        Column("approver", "approver", width=20),
        Column("voided", "voided on", "date"),
    )
    details: list[tuple[Cell, ...]] = []
    for r in own:
        party = side.party(r.customer)
        amount = effect(r, as_of)
        details.append(
            (
                party.number,
                party.name,
                r.currency,
                ledger.kind_of(r),
                ledger.number_of(r),
                r.posted,
                tidy(-magnitude(r)),
                tidy(amount),
                *([side.base(amount, r)] if side.foreign else []),
                _concerns(side, r),
                _reason(r),
                _approver(r),
                ended(r),
            )
        )
    title = layout.titled("Credits and write-offs", side, sides)
    return Table(layout.keyed("documents", number, sides), title, columns, layout.totalled(columns, details))


def _concerns(side: Subledger, r: Document) -> str:
    """The number of the invoice that it concerns; its id where the books do not hold it."""
    told = r.document if isinstance(r, Adjustment) else r.original_invoice if isinstance(r, CreditMemo) else None
    if told is None:
        return ""
    known = side.by_key.get((Entity.INVOICE, told))
    return ledger.number_of(known) if known else told


def _reason(r: Document) -> str:
    if isinstance(r, Adjustment):
        return r.reason or ""
    return (r.reason or r.memo or "") if isinstance(r, CreditMemo) else ""


def _notes(sides: Sequence[Subledger], held: Sequence[Sequence[Document]]) -> Iterator[str]:
    for side, own in zip(sides, held, strict=True):
        silent = sum(not _approver(r) for r in own)
        if silent:
            yield f"{side.name} names no approver for {silent:,} of {len(own):,}: ask for the approvals outside of it."
        if not any(isinstance(r, Adjustment) for r in side.documents):
            yield f"{side.name} shows no adjustments: what was written off otherwise than by credit memo is not in it."
