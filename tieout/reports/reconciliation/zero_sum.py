"""What two ledgers differ by without moving the total: each line goes from one place to another and adds up to zero.

Applications move what is open between documents; a document on another customer, account or due date moves it between
customers, accounts, buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.compare.ledgers import Compared, Placed
from tieout.model import ZERO, Document, Entity, Invoice, magnitude, sign, tidy
from tieout.reports import layout, ledger
from tieout.reports.frame import Cell, Column, Table
from tieout.reports.receivables import aging

Place = str | None


@dataclass(frozen=True, slots=True)
class Move:
    """What B has more in one place than A, and elsewhere less. documents: how many pairs cause it"""

    title: str
    currency: str
    documents: int
    more: Decimal
    less: Decimal


def table(sides: Sequence[ledger.Subledger], compared: Compared, as_of: date) -> Table:
    """One row for each currency and kind of move that there is."""
    columns = (
        Column("what", "what moves", width=44),
        layout.CURRENCY,
        Column("documents", "documents", "count"),
        Column("more", "more in B", "money"),
        Column("less", "less in B", "money"),
        Column("total", "total (must be 0)", "money", adds=("more", "less")),
    )
    found = [m for m in moves(sides, compared, as_of) if m.more or m.less]
    details: list[tuple[Cell, ...]] = [
        (m.title, m.currency, m.documents, tidy(m.more), tidy(m.less), tidy(m.more + m.less))
        for m in sorted(found, key=lambda m: m.currency)
    ]
    note = "Each line leaves one place for another: the total of receivables is the same with it."
    return Table(
        "zero_sum",
        "What moves between documents, customers, accounts and dates",
        columns,
        layout.totalled(columns, details),
        note,
    )


def moves(sides: Sequence[ledger.Subledger], compared: Compared, as_of: date) -> Iterator[Move]:
    """Each kind of move: of what is open by applications, then of the pairs by customer, account and bucket."""
    yield from _applications(sides, compared, as_of)
    pairs = [
        (a, b)
        for left, right in _pairs(compared)
        if (a := _document(sides[0], left)) and (b := _document(sides[1], right)) and left.effect and right.effect
    ]
    basis = aging.Basis("due", aging.BUCKETS)
    kinds: tuple[tuple[str, Callable[[ledger.Subledger, Document], Place]], ...] = (
        ("documents on another customer", lambda s, d: s.books.links.get((Entity.CUSTOMER, d.customer))),
        ("documents on another receivables account", lambda _s, d: d.ar_account),
        ("invoices in another aging bucket", lambda _s, d: _bucket(basis, d, as_of)),
    )
    for title, place in kinds:
        yield from _between(title, pairs, sides, place)


def _pairs(compared: Compared) -> Iterator[tuple[Placed, Placed]]:
    for cluster in compared.clusters:
        left, right = cluster.side("left"), cluster.side("right")
        if cluster.how == "matched" and len(left) == len(right) == 1:
            yield left[0], right[0]


def _document(side: ledger.Subledger, placed: Placed) -> Document | None:
    return side.by_key.get((Entity(placed.kind), placed.id))


def _bucket(basis: aging.Basis, document: Document, as_of: date) -> Place:
    if not isinstance(document, Invoice) or document.due is None:
        return None
    return basis.place((as_of - document.due).days)


def _between(
    title: str,
    pairs: Sequence[tuple[Document, Document]],
    sides: Sequence[ledger.Subledger],
    place: Callable[[ledger.Subledger, Document], Place],
) -> Iterator[Move]:
    """Pairs that stand in another place in B, for what both ledgers have of each; none where either does not say."""
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    counts: dict[str, int] = defaultdict(int)
    for a, b in pairs:
        here, there = place(sides[0], a), place(sides[1], b)
        if here is None or there is None or here == there or a.currency != b.currency:
            continue
        amount = _common(a, b)
        sums[a.currency][here] -= amount
        sums[a.currency][there] += amount
        counts[a.currency] += 1
    for currency, by_place in sums.items():
        more = sum((v for v in by_place.values() if v > 0), ZERO)
        less = sum((v for v in by_place.values() if v < 0), ZERO)
        yield Move(title, currency, counts[currency], more, less)


def _common(a: Document, b: Document) -> Decimal:
    """What both have of it, signed: the smaller of two amounts of one sign. What one has more is in the bridge."""
    first, second = sign(a) * magnitude(a), sign(b) * magnitude(b)
    if first * second < 0:
        return ZERO
    return first if abs(first) <= abs(second) else second


def _applications(sides: Sequence[ledger.Subledger], compared: Compared, as_of: date) -> Iterator[Move]:
    """What applications move between documents: open amount less effect, B against A, over all documents."""
    if any(side.books.open_only for side in sides):
        return
    shifted: list[dict[tuple[Entity, str], Decimal]] = []
    for side in sides:
        amounts = side.amounts(as_of)
        shifted.append({
            key: amount - sum((e.amount for e in side.moves(side.by_key[key]) if e.on <= as_of), ZERO)
            for key, amount in amounts.items()
        })  # fmt: skip
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for cluster in compared.clusters:
        of: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for d in cluster.documents:
            right = d.side == "right"
            moved = shifted[right].get((Entity(d.kind), d.id), ZERO)
            of[d.currency] += moved if right else -moved
        for currency, amount in of.items():
            sums[currency].append(amount)
    for currency, parts in sums.items():
        more, less = sum((p for p in parts if p > 0), ZERO), sum((p for p in parts if p < 0), ZERO)
        yield Move("applications: what is open of documents", currency, sum(map(bool, parts)), more, less)
