"""What a comparison yields: matches, discrepancies, totals and the bridge, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from tieout.model import exponent, tidy
from tieout.plaintext import money as grouped


@dataclass(frozen=True, slots=True)
class Rounding:
    """A policy that moves small amount differences to `ROUNDING`; both limits inclusive, in document currency."""

    per_document: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Explained:
    """A document that the sync already accounts for: its code replaces `MISSING_IN_A` and its like.

    confirmed: whether the sync knows the cause, rather than supposes it
    side: `left` or `right`, the ledger that holds it · kind, id: as in `mapping.relation`
    """

    side: str
    kind: str
    id: str
    code: str
    cause: str
    remedy: str
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """Records of both sides that are the same thing, or, if `ambiguous`, that could be in more than one way.

    rung: the place in the ladder, 0 the strongest · rule: its name · kind: `customer` or a kind of document
    left, right: ids, one each unless ambiguous · evidence: what was equal, by field
    automatic: strong enough to be linked without a person
    """

    rung: int
    rule: str
    kind: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    evidence: Mapping[str, str]
    automatic: bool
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One named difference. A = left, B = right.

    id: the same in every run for the same code, documents, field and currency
    class_: T moves the total, Z moves between documents, G subledger against ledger, N no ledger effect
    left, right: document (or customer) ids, None where there is none · left_label, right_label: for people
    delta: right − left effect on open receivables as of the comparison date, in `currency`; 0 for Z and N
    confirmed: whether the cause is known rather than supposed · links: subject ids of the sync
    customer, amount: of the document, in A where it is there; the name, or the id of a customer without one; the whole
    document in `currency`. Of a group: the customer that all have, and the amount of the one that stands against
    several, of each where all are equal, or of what is the same in all; else None, as where it is about no document
    """

    id: str
    code: str
    secondary: tuple[str, ...]
    class_: str
    severity: str
    kind: str
    left: str | None
    right: str | None
    left_label: str | None
    right_label: str | None
    field: str | None
    left_value: str | None
    right_value: str | None
    delta: Decimal
    currency: str | None
    cause: str
    remedy: str
    confirmed: bool
    links: tuple[str, ...] = ()
    customer: str | None = None
    amount: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """The keys that programs rely on; money as text."""
        return {
            "id": self.id,
            "code": self.code,
            "secondary": list(self.secondary),
            "class": self.class_,
            "severity": self.severity,
            "left": self.left,
            "right": self.right,
            "field": self.field,
            "left_value": self.left_value,
            "right_value": self.right_value,
            "delta": text(self.delta),
            "currency": self.currency,
            "cause": self.cause,
            "remedy": self.remedy,
            "customer": self.customer,
            "amount": None if self.amount is None else text(self.amount),
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one side in one currency: number of documents that count, their signed amounts, and what is open of them."""

    documents: int
    total: Decimal
    open: Decimal


@dataclass(frozen=True, slots=True)
class Side:
    """One ledger as it was read. records: rows compared · rejected: rows set aside as unreadable."""

    name: str
    records: int
    rejected: int
    totals: Mapping[str, Totals]

    def as_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "rejected": self.rejected,
            "totals": {
                c: {"documents": t.documents, "total": text(t.total), "open": text(t.open)}
                for c, t in sorted(self.totals.items())
            },
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bridge: all discrepancies of one code."""

    code: str
    delta: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class Bridge:
    """From the left open receivables to the right ones, in one currency.

    remainder = right_total − left_total − Σ line deltas, each summed on its own; zero or tieout is wrong
    unconfirmed: Σ |delta| of the discrepancies whose cause is only supposed (amounts that differ, missing and
    ambiguous documents): listing them is not knowing why
    """

    left_total: Decimal
    lines: tuple[Line, ...]
    right_total: Decimal
    remainder: Decimal
    unconfirmed: Decimal

    def as_json(self) -> dict[str, Any]:
        return {
            "left_total": text(self.left_total),
            "lines": [{"code": n.code, "delta": text(n.delta), "count": n.count} for n in self.lines],
            "right_total": text(self.right_total),
            "remainder": text(self.remainder),
            "unconfirmed": text(self.unconfirmed),
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """All discrepancies of one code and currency: how many, their deltas, and Σ |delta| of those not confirmed."""

    code: str
    currency: str | None
    count: int
    delta: Decimal
    unconfirmed: Decimal


@dataclass(frozen=True, slots=True)
class Stated:
    """What a side states of its customers itself, in one currency, beside their documents of all dates.

    customers: of whom it states a balance, beside documents of one currency · differ: how many of these do not agree
    """

    side: str
    currency: str
    customers: int
    stated: Decimal
    documents: Decimal
    differ: int

    def as_json(self) -> dict[str, Any]:
        amounts = {"stated": text(self.stated), "documents": text(self.documents)}
        whose = {"side": self.side, "currency": self.currency or None, "customers": self.customers}
        return whose | amounts | {"differ": self.differ}


@dataclass(frozen=True, slots=True)
class Result:
    """A whole comparison. `discrepancies` are ordered by class, size of delta (largest first), code and id.

    discrepancies: a tuple; where they are many, and the caller of `run` said so, a sequence that reads them from disk
    tally: what they add up to
    crowded: unmatched documents of each side that were not looked at for groups whose sums agree: too many lie around,
    or documents were paired by a key alone
    paired_by: that key; None where the ladder decided
    stated: the customers' balances that the sides state themselves, in total
    """

    left: Side
    right: Side
    matched: int
    discrepancies: Sequence[Discrepancy]
    bridge: Mapping[str, Bridge]
    as_of: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tally: tuple[Tally, ...] = ()
    crowded: tuple[int, int] = (0, 0)
    paired_by: str | None = None
    stated: tuple[Stated, ...] = ()

    @property
    def by_code(self) -> dict[str, dict[str, Any]]:
        """Count and delta per currency of each code, largest count first."""
        out: dict[str, dict[str, Any]] = {}
        for t in self.tally:
            entry = out.setdefault(t.code, {"count": 0, "delta": {}})
            entry["count"] += t.count
            if t.currency:
                entry["delta"][t.currency] = t.delta
        return dict(sorted(out.items(), key=lambda kv: (-kv[1]["count"], kv[0])))

    def as_json(self) -> dict[str, Any]:
        """The keys that programs rely on in `tieout compare --json`; money as text."""
        return {
            "left": self.left.as_json(),
            "right": self.right.as_json(),
            "matched": self.matched,
            "discrepancies": [d.as_json() for d in self.discrepancies],
            "by_code": {
                code: {"count": v["count"], "delta": {c: text(m) for c, m in sorted(v["delta"].items())}}
                for code, v in self.by_code.items()
            },
            "bridge": {c: b.as_json() for c, b in sorted(self.bridge.items())},
        }

    def beside(self) -> dict[str, Any]:
        """What a program is told beside that: how far was looked, and what the sides state of their customers."""
        return {
            "not_looked_at_for_groups": dict(zip(("left", "right"), self.crowded, strict=True)),
            "stated_balances": [s.as_json() for s in self.stated],
        }


def money(raw: Decimal | str | None, currency: str | None = None) -> str:
    """An amount with the places of its currency, two without one."""
    return grouped(raw, exponent(currency) if currency else 2)


def text(amount: Decimal) -> str:
    """Money as text: plain digits, two places at least, no needless zeros beyond."""
    value = f"{tidy(amount):f}"
    return "0.00" if value == "-0.00" else value


def identity(*parts: object) -> str:
    """A stable id of a discrepancy from what it is about."""
    joined = "\x1f".join("" if p is None else str(p) for p in parts)
    return "D-" + sha256(joined.encode()).hexdigest()[:16]
