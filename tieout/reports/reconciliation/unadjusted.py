"""Unadjusted differences: what differs between both ledgers on a day and was not corrected, against a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.compare import Result
from tieout.compare.codes import OF_SYNC
from tieout.compare.ledgers import Compared, Placed, Which
from tieout.compare.result import Discrepancy, money
from tieout.model import ZERO, Entity, tidy
from tieout.reports import layout
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.reconciliation.past import DELTA, WHAT, Past, by_currency, moment, proofs, state_of, what, whose
from tieout.sync.core.past import About, Standing, Story

_OPEN, _ACCEPTED, _SINCE = "not accepted", "accepted", "resolved after the day"


@dataclass(frozen=True, slots=True)
class _Held:
    """A difference of the day. now: how it stands in the pair's list; None where no run has listed it

    about: whose its document is, and by how much it counts on the day
    """

    d: Discrepancy
    now: Standing | None
    about: About

    @property
    def moves(self) -> bool:
        """Whether it moves a total."""
        return bool(self.d.currency and self.d.delta)

    @property
    def state(self) -> str:
        """Where its amount is summed."""
        if self.now is None or self.now.expired:
            return _OPEN
        return {"accepted": _ACCEPTED, "closed": _SINCE}.get(self.now.state, _OPEN)


def build(past: Past, compared: Compared, *, as_of: date, thresholds: Mapping[str, Decimal]) -> Report:
    """Every difference that both ledgers have as of the day, with who decided what; A is the left ledger, B the right.

    past: what is known of the pair's list, also what was decided after the day
    thresholds: per currency, in major units: up to it, inclusive, the sum is said to be within
    """
    stories = {s.id: (s, now) for s, now in past.standings()}
    result = compared.result
    placed = {(d.side, d.kind, d.id): d for c in compared.clusters for d in c.documents}
    held = [_Held(d, stories[d.id][1] if d.id in stories else None, _about(placed, d)) for d in result.discrepancies]
    held.sort(key=lambda h: (-abs(h.d.delta), h.d.code, h.d.id))
    moving = [h for h in held if h.moves]
    found = {d.id for d in result.discrepancies}
    told = [(s, now) for s, now in past.unresolved() if s.code in OF_SYNC and s.id not in found]
    return Report(
        name="unadjusted",
        title=f"Unadjusted differences: {past.left} (A) and {past.right} (B)",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _sums(moving, thresholds),
            _listed("amounts", "Differences of amount", moving),
            _listed("others", "Differences that move no total", [h for h in held if not h.moves]),
            *([_of_sync(told)] if told else []),
        ),
        proofs=(*_net(moving, result), *_within(moving, thresholds), *proofs(past)),
        notes=(
            (
                "Net: what they move A to B by, with its sign; gross: without regard to sign. A threshold is held "
                "against the gross sum: differences that cancel each other are still differences."
            ),
            (
                f"Both ledgers compared as of {as_of}; decisions are those known by {moment(past.at)} UTC. Accepted is "
                "not corrected: it is listed here. What was corrected with a later date is listed, too, as "
                f"{_SINCE}: on the day it stood."
            ),
            *_notes(past, held),
        ),
        parameters={"pair": past.pair} | {f"threshold {c}": money(v, c) for c, v in sorted(thresholds.items())},
    )


def _about(placed: Mapping[tuple[Which, str, str], Placed], d: Discrepancy) -> About:
    """Of the left book, where it has the document; of a group what all of it share."""
    found = placed.get(("left", d.kind, d.left or "")) or placed.get(("right", d.kind, d.right or ""))
    if found is None:
        money = (str(d.amount), d.currency or "") if d.amount is not None else ()
        return About((d.left_label or d.right_label or "") if d.kind == Entity.CUSTOMER else d.customer or "", *money)
    return About(found.customer, str(abs(found.effect)), found.currency)


def _notes(past: Past, held: Sequence[_Held]) -> Iterator[str]:
    if not past.runs:
        yield f"No run of {past.pair} by {moment(past.at)} UTC: nothing of this is on its list, and nobody decided."
    elif new := sum(h.now is None for h in held):
        are = "difference is" if new == 1 else "differences are"
        yield f"{new:,} {are} not on the list of {past.pair}: no run compared as of this day, or none since the change."


def _sums(moving: Sequence[_Held], thresholds: Mapping[str, Decimal]) -> Table:
    """Per currency what is open, accepted, and resolved since, net and gross, and the threshold."""
    columns = (
        Column("state", "state", width=22),
        layout.CURRENCY,
        Column("count", "differences", "count"),
        Column("net", "net", "money"),
        Column("gross", "gross", "money"),
        Column("unconfirmed", "of it without confirmed cause", "money"),
    )
    details: list[tuple[Cell, ...]] = []
    for currency in _currencies(moving):
        for state in (_OPEN, _ACCEPTED, _SINCE):
            own = [h.d for h in moving if h.d.currency == currency and h.state == state]
            if own or state != _SINCE:
                loose = sum((abs(d.delta) for d in own if not d.confirmed), ZERO)
                details.append((state, currency, len(own), _sum(own), _gross(own), tidy(loose)))
    note = "" if thresholds else "No threshold was given."
    return Table("sums", "In total", columns, layout.totalled(columns, details), note)


def _sum(some: Iterable[Discrepancy]) -> Decimal:
    return tidy(sum((d.delta for d in some), ZERO))


def _gross(some: Iterable[Discrepancy]) -> Decimal:
    return tidy(sum((abs(d.delta) for d in some), ZERO))


def _currencies(moving: Sequence[_Held]) -> list[str]:
    return sorted({h.d.currency for h in moving if h.d.currency})


_STANDS = (
    Column("state", "state", width=16),
    Column("since", "open since", "date"),
    Column("confirmed", "cause confirmed", width=10, aside=True),
    Column("cause", "cause", width=50),
    Column("by", "decided by", width=16, aside=True),
    Column("at", "at (UTC)", width=19, aside=True),
    Column("reason", "why", width=40, aside=True),
    Column("until", "until, inclusive", "date"),
)


def _listed(key: str, title: str, held: Sequence[_Held]) -> Table:
    columns = (*WHAT, layout.CURRENCY, DELTA, *_STANDS)
    details = [
        (
            h.d.id,
            h.d.code,
            h.d.kind.replace("_", " "),
            h.d.left_label or h.d.left,
            h.d.right_label or h.d.right,
            *whose(h.about),
            h.d.currency,
            tidy(h.d.delta) if h.d.currency else None,
            *_stands(h.now, h.d.cause, confirmed=h.d.confirmed),
        )
        for h in held
    ]
    return Table(key, title, columns, by_currency(columns, details))


def _stands(now: Standing | None, cause: str, *, confirmed: bool) -> tuple[Cell, ...]:
    sure = "yes" if confirmed else "no"
    if now is None:
        return ("not listed", None, sure, cause, None, None, "", None)
    return (
        _SINCE if now.state == "closed" else state_of(now),
        now.open_since.date(),
        sure,
        cause,
        now.decided_by,
        moment(now.decided_at),
        now.reason,
        now.until.date() if now.until else None,
    )


def _of_sync(told: Sequence[tuple[Story, Standing]]) -> Table:
    """What two ledgers beside each other do not show; its amounts are in no sum."""
    columns = (*WHAT, layout.CURRENCY, DELTA, *_STANDS)
    rows = tuple(
        Row(
            (
                *what(s),
                s.currency,
                tidy(now.delta) if s.currency else None,
                *_stands(now, s.cause, confirmed=s.confirmed),
            )
        )
        for s, now in sorted(told, key=lambda x: (x[0].code, x[0].id))
    )
    note = "Of writes, edits and closed periods, whatever their date. No sum has their amounts."
    return Table("sync", "What only the sync can tell", columns, rows, note)


def _net(moving: Sequence[_Held], compared: Result) -> Iterator[Proof]:
    """That nothing is left out: together they lead from A to B."""
    for currency, bridge in sorted(compared.bridge.items()):
        ours = _sum(h.d for h in moving if h.d.currency == currency)
        theirs = tidy(bridge.right_total - bridge.left_total)
        claim = f"unadjusted differences in {currency}, net, are what B's open receivables are more than A's"
        yield Proof(claim, ours, theirs, ours == theirs, currency)


def _within(moving: Sequence[_Held], thresholds: Mapping[str, Decimal]) -> Iterator[Proof]:
    for currency in sorted({*_currencies(moving), *thresholds}):
        gross = _gross(h.d for h in moving if h.d.currency == currency)
        most = thresholds.get(currency)
        if most is not None:
            yield Proof(
                f"unadjusted differences in {currency}, gross, within the threshold",
                gross,
                most,
                gross <= most,
                currency,
            )
        elif thresholds:
            yield Proof(f"unadjusted differences in {currency} have no threshold", gross, None, None, currency)
