"""Which line of the bridge a difference stands in, and what it moves there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tieout.compare import Discrepancy
from tieout.compare.base import ONE_RATE, ROUNDED, Based
from tieout.compare.codes import ORDER
from tieout.compare.ledgers import Compared
from tieout.model import ZERO, tidy

# Where each code stands: section and line. A code that is not named stands at the end, never nowhere.
_ALONE = {
    "SYNC_IN_FLIGHT": ("1", "in flight"),
    "SYNC_BLOCKED": ("2", "blocked"),
    "PERIOD_LOCKED": ("2", "blocked"),
    "OUT_OF_SCOPE": ("3", "out of scope"),
    "MISSING_IN_A": ("4", "missing"),
    "MISSING_IN_B": ("4", "missing"),
    "PAYMENT_MISSING": ("4", "missing"),
    "DUPLICATE_WITHIN_LEDGER": ("5", "duplicate"),
    "DUPLICATE_CROSS_ORIGIN": ("5", "duplicate"),
    "PAYMENT_DUPLICATED": ("5", "duplicate"),
}
_SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("3", "void, deleted or draft in one ledger only",
     ("VOID_VS_OPEN", "VOID_DATE_DIFF", "DELETED_VS_OPEN", "DRAFT_VS_POSTED", "RESURRECTED")),
    ("4", "cut-off: reverses in the next period", ("CUTOFF",)),
    ("5", "net amounts", ("AMOUNT_NET",)),
    ("6", "tax", ("TAX_AMOUNT", "TAX_INCLUSIVE_CONFUSION")),
    ("7", "payments, discounts, fees, withholding, write-offs, refunds, returns",
     ("PAYMENT_AMOUNT", "DISCOUNT_TAKEN_DIFF", "WITHHOLDING_DIFF", "WRITEOFF_ONE_SIDE", "REFUND_MISMATCH",
      "CHARGEBACK_NSF")),
    ("8", "currency and exchange rates",
     ("CURRENCY_MISMATCH", "FX_RATE", "FX_RATE_DEFAULTED", "FX_REALIZED", ONE_RATE)),
    ("9", "rounding", ("ROUNDING", ROUNDED)),
    ("10", "sign and kind of document", ("AMOUNT_SIGN",)),
    ("11", "settled in one ledger only", ("PAID_VS_OPEN", "PAID_INFERRED")),
    ("12", "not decided: which documents belong together", ("AMBIGUOUS_MATCH", "SPLIT_OR_MERGED")),
)  # fmt: skip
_OF_CODE = {code: (number, title) for number, title, codes in _SECTIONS for code in codes}
_OTHER = ("13", "anything else")
_BELOW = ("14", "below the reporting threshold")


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """Where a difference stands. order: of the lines · number: as printed · title: what it is"""

    order: tuple[int, int, int]
    number: str
    title: str
    code: str


@dataclass(frozen=True, slots=True)
class Step:
    """One difference in one line. amount, base: from A to B; base None where no base currency is asked or it has none.

    difference: None for what only base currency has
    """

    line: Line
    currency: str
    amount: Decimal
    base: Decimal | None
    difference: Discrepancy | None


@dataclass(frozen=True, slots=True)
class Bridged:
    """A comparison laid out as a bridge. A is the left ledger, B the right one.

    based: None where no base currency is asked · below: the reporting threshold per currency
    steps: every difference that moves a total, and what only base currency has; by currency and line
    """

    compared: Compared
    based: Based | None
    below: Mapping[str, Decimal]
    steps: tuple[Step, ...]

    @property
    def base(self) -> str | None:
        return self.based.base if self.based else None

    @property
    def currencies(self) -> list[str]:
        totals = self.compared.result.left.totals, self.compared.result.right.totals
        return sorted({*totals[0], *totals[1], *(s.currency for s in self.steps)})

    def of(self, currency: str) -> list[Step]:
        return [s for s in self.steps if s.currency == currency]

    def ends(self, currency: str) -> tuple[Amounts, Amounts]:
        """Open receivables of A and of B in that currency, each with what they are in base currency (or None)."""
        result = self.compared.result
        held = [side.totals.get(currency) for side in (result.left, result.right)]
        own = [tidy(h.open) if h else tidy(ZERO) for h in held]
        if self.based is None:
            return (own[0], None), (own[1], None)
        rated = [tidy(side.get(currency, ZERO)) for side in (self.based.left, self.based.right)]
        return (own[0], rated[0]), (own[1], rated[1])

    def remainder(self, currency: str) -> Amounts:
        """What the steps do not explain of the way from A to B: zero, or tieout is wrong."""
        (left, left_base), (right, right_base) = self.ends(currency)
        own = self.of(currency)
        rest = tidy(right - left - sum((s.amount for s in own), ZERO))
        if left_base is None or right_base is None:
            return rest, None
        return rest, tidy(right_base - left_base - sum((s.base or ZERO for s in own), ZERO))


Amounts = tuple[Decimal, Decimal | None]


def bridged(compared: Compared, based: Based | None, below: Mapping[str, Decimal]) -> Bridged:
    """The bridge of a comparison; see `Bridged`."""
    return Bridged(compared, based, below, tuple(_steps(compared, based, below)))


def line_of(d: Discrepancy) -> Line:
    """The line of a difference: what only one ledger holds by its reason, a pair by its code."""
    return _line(d.code, alone=None if d.left and d.right else "A" if d.left else "B")


def _line(code: str, *, alone: str | None = None) -> Line:
    place = ORDER.get(code, len(ORDER))
    if alone and code in _ALONE:
        section = 1 if alone == "A" else 2
        sub, title = _ALONE[code]
        return Line((section, int(sub), place), f"{section}.{sub}", f"only in {alone}: {title}", code)
    number, title = _OF_CODE.get(code, _OTHER)
    if alone:
        title = f"only in {alone}: {title}"
    return Line((int(number), 0, place), number, title, code)


def _steps(compared: Compared, based: Based | None, below: Mapping[str, Decimal]) -> list[Step]:
    """Every difference that moves a total, and what base currency has beside them; by currency and line."""
    parts: dict[tuple[str, str | None, str], Decimal] = defaultdict(lambda: ZERO)
    for p in based.parts if based else ():
        parts[p.currency, p.discrepancy, p.code] += p.amount
    out = []
    for d in compared.result.discrepancies:
        if d.currency is None:
            continue
        own = parts.pop((d.currency, d.id, d.code), None)
        if d.delta or own:
            line = line_of(d)
            if below.get(d.currency) and abs(d.delta) < below[d.currency] and d.delta:
                line = Line((int(_BELOW[0]), 0, 0), *_BELOW, "")
            out.append(Step(line, d.currency, d.delta, (own or ZERO) if based else None, d))
    of_id = {d.id: d for d in compared.result.discrepancies}
    for (currency, id, code), amount in parts.items():
        out.append(Step(_line(code), currency, ZERO, amount, of_id.get(id or "")))
    return sorted(out, key=lambda s: (s.currency, s.line, -abs(s.amount), s.difference.id if s.difference else ""))
