"""Unadjusted differences: what is known to differ on a day and was not corrected, against a threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from tieout.model import ZERO, tidy
from tieout.reports import layout
from tieout.reports.frame import Column, Proof, Report, Table
from tieout.reports.reconciliation.past import DELTA, WHAT, Past, by_currency, moment, proofs, state_of, what
from tieout.sync.past import Standing, Story


def build(past: Past, *, as_of: date, thresholds: Mapping[str, Decimal]) -> Report:
    """Every difference that nobody corrected by then, with who decided what; A is the left ledger, B the right one.

    thresholds: per currency, in major units: up to it, inclusive, the sum is said to be within
    """
    held = sorted(past.unresolved(), key=lambda x: (-abs(x[1].delta), x[0].code, x[0].id))
    moving = [(s, now) for s, now in held if s.currency and now.delta]
    return Report(
        name="unadjusted",
        title=f"Unadjusted differences: {past.left} (A) and {past.right} (B)",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_sums(moving, thresholds), _listed("amounts", "Differences of amount", moving), _others(held)),
        proofs=(*_within(moving, thresholds), *proofs(past)),
        notes=(
            (
                "Net: what they move A to B by, with its sign; gross: without regard to sign. A threshold is held "
                "against the gross sum: differences that cancel each other are still differences."
            ),
            "Corrected is what a run no longer found. Accepted is not corrected: it is listed here until it is.",
        ),
        parameters={"pair": past.pair}
        | {f"threshold {c}": format(tidy(v), "f") for c, v in sorted(thresholds.items())},
    )


def _sums(moving: Sequence[tuple[Story, Standing]], thresholds: Mapping[str, Decimal]) -> Table:
    """Per currency what is open and what is accepted, net and gross, and the threshold."""
    columns = (
        Column("state", "state", width=16),
        layout.CURRENCY,
        Column("count", "differences", "count"),
        Column("net", "net", "money"),
        Column("gross", "gross", "money"),
        Column("unconfirmed", "of it without confirmed cause", "money"),
    )
    details = []
    for currency in _currencies(moving):
        for title, states in (("not accepted", ("open", "acknowledged")), ("accepted", ("accepted",))):
            own = [(s, now.delta) for s, now in moving if s.currency == currency and now.state in states]
            net, gross = sum((d for _, d in own), ZERO), sum((abs(d) for _, d in own), ZERO)
            loose = sum((abs(d) for s, d in own if not s.confirmed), ZERO)
            details.append((title, currency, len(own), tidy(net), tidy(gross), tidy(loose)))
    note = "" if thresholds else "No threshold was given."
    return Table("sums", "In total", columns, layout.totalled(columns, details), note)


def _currencies(moving: Sequence[tuple[Story, Standing]]) -> list[str]:
    return sorted({s.currency for s, _ in moving})


def _listed(key: str, title: str, held: Sequence[tuple[Story, Standing]]) -> Table:
    columns = (
        *WHAT,
        layout.CURRENCY,
        DELTA,
        Column("state", "state", width=14),
        Column("since", "open since", "date"),
        Column("confirmed", "cause confirmed", width=10),
        Column("cause", "cause", width=50),
        Column("by", "decided by", width=16),
        Column("at", "at (UTC)", width=19),
        Column("reason", "why", width=40),
        Column("until", "until, inclusive", "date"),
    )
    details = [
        (
            *what(s),
            s.currency,
            tidy(now.delta) if s.currency else None,
            state_of(now),
            now.open_since.date(),
            "yes" if s.confirmed else "no",
            s.cause,
            now.decided_by,
            moment(now.decided_at),
            now.reason,
            now.until.date() if now.until else None,
        )
        for s, now in held
    ]
    return Table(key, title, columns, by_currency(columns, details))


def _others(held: Sequence[tuple[Story, Standing]]) -> Table:
    """What moves no total, or has no amount at all: an auditor asks for it too."""
    rest = [(s, now) for s, now in held if not (s.currency and now.delta)]
    return _listed("others", "Differences that move no total", rest)


def _within(moving: Sequence[tuple[Story, Standing]], thresholds: Mapping[str, Decimal]) -> Iterator[Proof]:
    for currency in sorted({*_currencies(moving), *thresholds}):
        own = [now.delta for s, now in moving if s.currency == currency]
        gross = tidy(sum(map(abs, own), ZERO))
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
