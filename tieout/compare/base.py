"""The difference of two ledgers in base currency, by the rates of the records themselves: pure arithmetic, exact.

Each document's base amount is its effect times its rate, rounded half away from zero to the base currency's unit.
What a matched pair differs by is split symmetrically, so that swapping the sides negates every part: amounts at the
mean of the two rates, the rate at the mean of the two amounts, and what rounding leaves over stands by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from tieout.compare.codes import ORDER
from tieout.compare.ledgers import Cluster, Compared, Placed
from tieout.compare.result import Discrepancy
from tieout.mapping.relation import SIDES
from tieout.model import ZERO, exponent

# Kinds of difference that only base currency has.
ROUNDED = "BASE_ROUNDING"
ONE_RATE = "RATE_ON_ONE_SIDE"
RATES = ("FX_RATE", "FX_RATE_DEFAULTED")
# The codes that share the difference of one pair; any other takes all of it.
_SHARING = frozenset({
    "TAX_AMOUNT", "AMOUNT_NET", "PAYMENT_AMOUNT", "DISCOUNT_TAKEN_DIFF", "REFUND_MISMATCH", "WITHHOLDING_DIFF",
    "FX_REALIZED", "PAID_VS_OPEN", "ROUNDING", "TAX_INCLUSIVE_CONFUSION", *RATES,
})  # fmt: skip
_EXACT = Context(prec=100)
Group = tuple[str | None, str | None, str | None]  # the ids of each side, and their currency


@dataclass(frozen=True, slots=True)
class Part:
    """A step from left to right in base currency. code: of the discrepancy, or one of this module's own

    currency: of the documents · discrepancy: its id, None where no single one is the reason
    """

    code: str
    currency: str
    amount: Decimal
    discrepancy: str | None


@dataclass(frozen=True, slots=True)
class Based:
    """Both totals and the parts between them, by document currency.

    left, right: base amounts of all documents that have a rate, summed by themselves
    unrated: documents that count and state no rate; they are in no figure of this
    """

    base: str
    left: Mapping[str, Decimal]
    right: Mapping[str, Decimal]
    parts: tuple[Part, ...]
    unrated: tuple[Placed, ...]

    def remainder(self, currency: str) -> Decimal:
        """What the parts of that currency do not explain; zero or tieout is wrong."""
        moved = sum((p.amount for p in self.parts if p.currency == currency), ZERO)
        return self.right.get(currency, ZERO) - self.left.get(currency, ZERO) - moved


def in_base(compared: Compared, base: str) -> Based:
    """The comparison in base currency. A document in that currency has the rate 1, whatever it states."""
    with localcontext(_EXACT):
        return _in_base(compared, base)


def _in_base(compared: Compared, base: str) -> Based:
    unit = Decimal(1).scaleb(-exponent(base))
    of_document: dict[tuple[str, str, str], list[Discrepancy]] = defaultdict(list)
    of_group: dict[Group, list[Discrepancy]] = defaultdict(list)
    for d in compared.result.discrepancies:
        if d.field in ("parts", "candidates"):
            of_group[d.left, d.right, d.currency].append(d)
        elif d.left is not None:
            of_document["left", d.kind, d.left].append(d)
        elif d.right is not None:
            of_document["right", d.kind, d.right].append(d)
    totals: dict[str, dict[str, Decimal]] = {"left": {}, "right": {}}
    parts: list[Part] = []
    unrated: list[Placed] = []
    for cluster in compared.clusters:
        amounts = {d: _converted(d, base, unit) for d in cluster.documents}
        for placed, amount in amounts.items():
            if amount is None:
                unrated.append(placed)
            else:
                side = totals[placed.side]
                side[placed.currency] = side.get(placed.currency, ZERO) + amount
        if any(amounts.values()):
            parts += _parts(cluster, _listed(cluster, of_document, of_group), amounts, base, unit)
    return Based(base, totals["left"], totals["right"], tuple(parts), tuple(unrated))


def _converted(d: Placed, base: str, unit: Decimal) -> Decimal | None:
    """Its base amount; zero where it moves nothing, None where it states no rate."""
    if not d.effect:
        return ZERO
    rate = _rate(d, base)
    return None if rate is None else _rounded(d.effect * rate, unit)


def _rate(d: Placed, base: str) -> Decimal | None:
    return Decimal(1) if d.currency == base else d.rate


def _rounded(amount: Decimal, unit: Decimal) -> Decimal:
    return amount.quantize(unit, rounding=ROUND_HALF_UP)


def _listed(
    cluster: Cluster,
    of_document: Mapping[tuple[str, str, str], list[Discrepancy]],
    of_group: Mapping[Group, list[Discrepancy]],
) -> list[Discrepancy]:
    """The discrepancies of a cluster, in the order of precedence."""
    if cluster.how == "undecided":
        found = [d for group in _groups(cluster) for d in of_group.get(group, ())]
    else:
        found = [d for p in cluster.documents for d in of_document.get((p.side, p.kind, p.id), ())]
    return sorted({d.id: d for d in found}.values(), key=lambda d: (ORDER.get(d.code, len(ORDER)), d.id))


def _groups(cluster: Cluster) -> Iterable[Group]:
    """As what documents that are not decided are listed: once for each of their currencies."""
    for currency in dict.fromkeys(d.currency for d in cluster.documents):
        left, right = (_joined(d for d in cluster.documents if (d.side, d.currency) == (s, currency)) for s in SIDES)
        yield left, right, currency


def _joined(documents: Iterable[Placed]) -> str | None:
    return ", ".join(sorted(d.id for d in documents)) or None


def _parts(
    cluster: Cluster, listed: list[Discrepancy], amounts: Mapping[Placed, Decimal | None], base: str, unit: Decimal
) -> list[Part]:
    moving = [d for d in listed if d.delta]
    pair = cluster.side("left") + cluster.side("right")
    if cluster.how == "matched" and len(pair) == 2 and pair[0].currency == pair[1].currency:
        if None in amounts.values():
            known = sum((_signed(p, a) for p, a in amounts.items() if a is not None), ZERO)
            return [Part(ONE_RATE, pair[0].currency, known, moving[0].id if moving else None)]
        if all(d.code in _SHARING for d in moving):
            return _shared(listed, amounts, base, unit)
    out = []
    for currency in dict.fromkeys(p.currency for p in pair):
        moved = sum((_signed(p, a) for p, a in amounts.items() if p.currency == currency and a is not None), ZERO)
        owner = next((d for d in moving or listed if d.currency == currency), None)
        owner = owner or next((d for d in listed if d.currency == currency), None)
        if moved and owner is not None:
            out.append(Part(owner.code, currency, moved, owner.id))
    return out


def _signed(d: Placed, amount: Decimal) -> Decimal:
    return amount if d.side == "right" else -amount


def _shared(
    listed: list[Discrepancy], amounts: Mapping[Placed, Decimal | None], base: str, unit: Decimal
) -> list[Part]:
    """The parts of one pair: each difference of amounts, the difference of rates, and what rounding leaves over."""
    left, right = sorted(amounts, key=lambda d: d.side)
    stated = _rate(left, base), _rate(right, base)
    # A document without effect may state no rate; its amount is nothing at any.
    known = [r for r in stated if r is not None]
    first, second = (known[0], known[-1]) if known else (ZERO, ZERO)
    out = [Part(d.code, left.currency, _rounded(d.delta * (first + second) / 2, unit), d.id) for d in listed if d.delta]
    if first != second:
        said = next((d for d in listed if d.code in RATES), None)
        moved = _rounded((left.effect + right.effect) / 2 * (second - first), unit)
        out.append(Part(said.code if said else RATES[0], left.currency, moved, said.id if said else None))
    rest = sum((_signed(p, a) for p, a in amounts.items() if a is not None), ZERO) - sum((p.amount for p in out), ZERO)
    if rest:
        out.append(Part(ROUNDED, left.currency, rest, None))
    return [p for p in out if p.amount]
