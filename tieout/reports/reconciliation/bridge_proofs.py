"""What proves a bridge: where every document ended, totals found another way, the comparison turned round, hashes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from tieout.compare.base import RATES
from tieout.compare.ledgers import Compared, Placed
from tieout.compare.render import unsearched
from tieout.compare.result import money
from tieout.model import ZERO, as_json, tidy
from tieout.reports import layout, ledger, stated
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Table
from tieout.reports.reconciliation.bridge_lines import Bridged

# How one matched pair is classified, as it is printed.
PRECEDENCE = (
    "Precedence for one pair of documents, the first that applies takes the whole difference: existence, lifecycle "
    "(draft, void), currency, sign, cut-off, settlement; else it is split into tax and net, and in base currency into "
    "the rate and rounding."
)
ATTRIBUTION = (
    "Where amount and rate of a pair differ both, the amount counts at the mean of the two rates and the rate at the "
    "mean of the two amounts, so that no side is preferred."
)
_MIRRORED = {"MISSING_IN_A": "MISSING_IN_B", "MISSING_IN_B": "MISSING_IN_A"}


def records(compared: Compared, sides: Sequence[ledger.Subledger]) -> Table:
    """Where every document ended: the proof box."""
    own = (Column("documents", "documents", "count"), Column("amount", "open receivables", "money"))
    columns = (
        Column("place", "where its documents are", width=44),
        layout.CURRENCY,
        *layout.beside(own, sides),
        layout.gap("amount"),
    )
    groups: dict[tuple[str, str], dict[str, list[Placed]]] = defaultdict(lambda: {"left": [], "right": []})
    for d, place in _places(compared):
        groups[d.currency, place][d.side].append(d)
    details: list[tuple[Cell, ...]] = []
    for (currency, place), by_side in sorted(groups.items()):
        sums = [sum((d.effect for d in some), ZERO) for some in by_side.values()]
        cells = [c for some, total in zip(by_side.values(), sums, strict=True) for c in (len(some), tidy(total))]
        details.append((_PLACES[place], currency, *cells, tidy(sums[1] - sums[0])))
    note = (
        "Documents that do not count on the day: drafts, dated later, void by then, or settled by their source's word."
    )
    return Table("records", "Where every document is", columns, layout.totalled(columns, details), note)


_PLACES = {
    "1": "in both, and they belong together",
    "2": "not decided which belong together",
    "3": "only there",
    "4": "only there, and does not count on the day",
}


def _places(compared: Compared) -> Iterator[tuple[Placed, str]]:
    for cluster in compared.clusters:
        for d in cluster.documents:
            place = {"matched": "1", "undecided": "2"}.get(cluster.how) or ("3" if d.counts else "4")
            yield d, place


def proofs(bridge: Bridged, sides: Sequence[ledger.Subledger], as_of: date) -> Iterator[Proof]:
    """That nothing is left out and nothing counted twice, that no side is preferred, and what the sources state."""
    for currency in bridge.currencies:
        rest, rest_base = bridge.remainder(currency)
        claim = "the listed differences lead from A to B in"
        yield Proof(f"{claim} {currency}: remainder", rest, tidy(ZERO), not rest, currency)
        if rest_base is not None and bridge.base:
            claim = f"{claim} {currency}, in {bridge.base}: remainder"
            yield Proof(claim, rest_base, tidy(ZERO), not rest_base, bridge.base)
    yield from _counted(bridge.compared, sides)
    yield from _valued(bridge, sides, as_of)
    yield _turned(bridge.compared)
    yield from (p for side in sides for p in stated.proofs(side, as_of))


def _counted(compared: Compared, sides: Sequence[ledger.Subledger]) -> Iterator[Proof]:
    """Every document of the books is in exactly one place, and nothing else is."""
    placed = Counter((d.side, d.kind, d.id) for d, _ in _places(compared))
    for which, side in zip(("left", "right"), sides, strict=True):
        held = {(which, r.entity.value, r.ref.id) for r in side.documents}
        ours = [n for key, n in placed.items() if key[0] == which]
        same = held == {key for key in placed if key[0] == which} and all(n == 1 for n in ours)
        claim = f"{side.name}: documents = in both + not decided + only there + not counting"
        yield Proof(claim, len(side.documents), sum(ours), same)


def _valued(bridge: Bridged, sides: Sequence[ledger.Subledger], as_of: date) -> Iterator[Proof]:
    """The comparison's totals against the effects of the documents, found without it."""
    result = bridge.compared.result
    for which, side in zip((result.left, result.right), sides, strict=True):
        by_effects = side.by_effects(as_of)
        for c in bridge.currencies:
            ours = tidy(which.totals[c].open if c in which.totals else ZERO)
            theirs = tidy(by_effects.get(c, ZERO))
            claim = f"{side.name}: the bridge's end in {c} is the sum of the documents' effects"
            yield Proof(claim, ours, theirs, ours == theirs, c)


def _turned(compared: Compared) -> Proof:
    """The comparison made again with the sides swapped: every difference is there with the other sign."""
    forth = Counter((d.code, d.currency, d.delta) for d in compared.result.discrepancies)
    back = Counter((_MIRRORED.get(d.code, d.code), d.currency, -d.delta) for d in compared.swapped.discrepancies)
    same = sum((forth & back).values())
    claim = "compared again with the sides swapped, every difference has the other sign: differences"
    return Proof(claim, len(compared.result.discrepancies), same, forth == back)


def hashes(books: Sequence[Books], compared: Compared) -> dict[str, str]:
    """SHA-256 of each side's records and of the differences: equal inputs and findings, equal hashes."""
    out = {}
    for letter, b in zip("AB", books, strict=True):
        lines = sorted(json.dumps(as_json(r), sort_keys=True) for r in b.records)
        out[f"records of {letter}"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    listed = sorted(json.dumps(d.as_json(), sort_keys=True) for d in compared.result.discrepancies)
    return out | {"differences": hashlib.sha256("\n".join(listed).encode()).hexdigest()}


def notes(sides: Sequence[ledger.Subledger], bridge: Bridged, as_of: date) -> Iterator[str]:
    """What the reader of a bridge must know."""
    compared, based = bridge.compared, bridge.based
    yield (
        "That the remainder is zero proves that every difference is listed, not that its cause is known: the amount "
        "without confirmed cause stands beside each line."
    )
    yield PRECEDENCE
    if told := unsearched(compared.result):
        yield told
    if based:
        yield ATTRIBUTION
    for currency, most in sorted(bridge.below.items()):
        small = [d for d in compared.result.discrepancies if d.currency == currency and 0 < abs(d.delta) < most]
        if small:
            below = f"{len(small):,} below {money(most, currency)} {currency}"
            yield f"{below} stand in one line; the table of differences has each."
    yield from _of_base(sides, bridge)
    yield from _beside_items(sides, bridge, as_of)
    for side in sides:
        if side.crossing(as_of):
            yield (
                f"{side.name} sets money of one currency against invoices of another: its open items count that, the "
                "bridge does not."
            )
    if based is None and any(d.code in RATES for d in compared.result.discrepancies):
        yield "Exchange rates differ; without a base currency that moves nothing here."


def _beside_items(sides: Sequence[ledger.Subledger], bridge: Bridged, as_of: date) -> Iterator[str]:
    """Where the ends in base currency are not what agings and open items show of the same day, by how much and why."""
    if bridge.based is None:
        return
    base = bridge.based.base
    for side, ends in zip(sides, (bridge.based.left, bridge.based.right), strict=True):
        items, documents = (
            sum(amounts, ZERO) for amounts in ((i.base or ZERO for i in side.items(as_of)), ends.values())
        )
        if side.home == base and items != documents:
            lacking = ", by documents without a rate" if bridge.based.unrated else ""
            yield (
                f"{side.name}: in {base} its open items come to {money(items, base)} (in its aging, which takes what "
                f"is open at the rate of its document) and its documents to {money(documents, base)} (here, each whole "
                f"at its own rate). Between them are {money(documents - items, base)}: what was settled at another "
                f"rate or in another currency{lacking}, and rounding."
            )


def _of_base(sides: Sequence[ledger.Subledger], bridge: Bridged) -> Iterator[str]:
    homes = [side.home for side in sides]
    if bridge.based is None and None not in homes and homes[0] != homes[1]:
        yield (
            f"The books are kept in {homes[0]} and in {homes[1]}: their rates lead to different currencies, so there "
            "is no bridge in base currency."
        )
    elif bridge.based is None:
        yield "No base currency is stated for both ledgers: there is no bridge in base currency."
    elif bridge.based.unrated:
        bare = Counter(d.side for d in bridge.based.unrated)
        yield (
            f"No rate is stated for {bare['left']:,} documents of A and {bare['right']:,} of B that count: they are in "
            f"no figure in {bridge.base}, and no rate is guessed."
        )
