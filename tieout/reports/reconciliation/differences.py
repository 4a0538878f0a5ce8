"""The discrepancies of a pair through their days: new, open, resolved, opened again, how old, and who decided what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from tieout.model import ZERO, tidy
from tieout.reports import layout
from tieout.reports.frame import Bar, Chart, Column, Report, Row, Table
from tieout.reports.reconciliation.past import (
    DELTA,
    WHAT,
    Past,
    before,
    by_currency,
    last_of,
    moment,
    proofs,
    state_of,
    what,
)
from tieout.sync.core.past import UNRESOLVED, Standing, Story, standing

AGED = "AGED_RECON_ITEM"
ON_ITS_WAY = "SYNC_IN_FLIGHT"
_AGES = ((7, "0–7 days"), (30, "8–30 days"), (90, "31–90 days"), (None, "over 90 days"))


def build(
    past: Past,
    *,
    as_of: date,
    since: date,
    aged_after: int = 30,
    by_run: bool = False,
    in_flight: bool = False,
    later: int = 0,
) -> Report:
    """The history of a pair's discrepancies from `since` to the moment of `past`, both inclusive (UTC).

    aged_after: days after which one that is not resolved is an aged reconciling item
    by_run: the trend has a point for each run rather than for each day
    in_flight: what was on its way and has arrived is listed, too, and not only counted
    later: events after that moment that are known
    """
    unresolved = past.unresolved()
    aged = [(s, now) for s, now in unresolved if _age(now, past.at) > aged_after]
    first = datetime.combine(since, time.min, UTC)
    return Report(
        name="discrepancy-history",
        title=f"History of differences: {past.left} (A) and {past.right} (B)",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _summary(past, first),
            _trend_table(past, first, by_run=by_run),
            _ages(past, unresolved),
            _unresolved(past, unresolved, aged_after),
            _accepted(past, unresolved),
            _resolved(past, first, in_flight=in_flight),
            decisions(past, first),
            _events(past, first, in_flight=in_flight),
        ),
        charts=tuple(_charts(past, first, by_run=by_run)),
        proofs=tuple(proofs(past)),
        notes=(*_notes(past, first, aged, aged_after, in_flight=in_flight), *_later(past, later)),
        parameters={
            "from": since.isoformat(),
            "to": last_of(past.at),
            "aged after": f"{aged_after} days",
            "pair": past.pair,
        },
    )


def _age(now: Standing, at: datetime) -> int:
    """Days since it last opened."""
    return (at - now.open_since).days


def _largest(some: Iterable[tuple[Story, Standing]]) -> list[tuple[Story, Standing]]:
    return sorted(some, key=lambda x: (x[0].currency or "~", -abs(x[1].delta), x[0].code, x[0].id))


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _arrived(past: Past, story: Story) -> bool:
    """Whether it was a document on its way to the other side, and is no longer: nobody had to work on it."""
    now = standing(story, past.at)
    return story.code == ON_ITS_WAY and now is not None and now.state == "closed"


def _summary(past: Past, first: datetime) -> Table:
    """How many there were, what happened since, and how many there are; what was on its way is counted by itself."""
    earlier = past.unresolved(first - timedelta(microseconds=1))
    happened = [(story, step) for story in past.stories for step in story.steps if step.at >= first]
    sent = [step.happened for s, step in happened if s.code == ON_ITS_WAY]
    own = [(s, step) for s, step in happened if s.code != ON_ITS_WAY]
    new = [step for _, step in own if step.happened == "opened"]
    again = [s for s, step in own if step.happened == "re-opened" and before(s, step) == "closed"]
    lapsed = [s for s, step in own if step.happened == "re-opened" and before(s, step) != "closed"]
    closed = [s for s, step in own if step.happened == "closed"]
    # A run that only looks lists nothing: the first list is that of the first run that did.
    start = min((story.steps[0] for story in past.stories), key=lambda step: step.at, default=None)
    at_first = sum(step.run == start.run for step in new) if start else 0
    now = past.unresolved()
    states = [sum(n.state == state for _, n in now) for state in UNRESOLVED]
    rows = (
        ("unresolved before", len(earlier), "opening"),
        ("new", len(new), "detail"),
        ("there again after they were resolved", len(again), "detail"),
        ("resolved", -len(closed), "detail"),
        ("documents put on their way to the other side", sent.count("opened") + sent.count("re-opened"), "detail"),
        ("of these arrived, held up or given up", -sent.count("closed"), "detail"),
        ("unresolved now", len(now), "closing"),
        ("of these open", states[0], "detail"),
        ("of these acknowledged", states[1], "detail"),
        ("of these accepted", states[2], "detail"),
        ("of these on their way to the other side", sum(s.code == ON_ITS_WAY for s, _ in now), "detail"),
        ("of the new, on the first list of all", at_first, "detail"),
        ("accepted, then opened again", len(lapsed), "detail"),
    )
    columns = (Column("what", "what", width=48), Column("count", "differences", "count"))
    formula = {"count": tuple((1, n) for n in range(6))}
    made = tuple(
        Row((label, n), style, formula=formula if style == "closing" else {})  # type: ignore[arg-type]
        for label, n, style in rows
    )
    return Table("summary", "What became of them", columns, made)


def _points(past: Past, first: datetime, *, by_run: bool) -> list[tuple[str, datetime, datetime]]:
    """Each point of the trend: its label, and the moments it begins (exclusive) and ends."""
    ends: list[tuple[str, datetime]]
    if by_run:
        ends = [(f"{r.started:%m-%d %H:%M}", r.ended) for r in past.runs if r.ended and r.ended >= first]
    else:
        days = sorted({(r.ended or r.started).date() for r in past.runs if (r.ended or r.started) >= first})
        ends = [(f"{d:%Y-%m-%d}", min(datetime.combine(d, time.max, UTC), past.at)) for d in days]
    starts = [first - timedelta(microseconds=1), *(e for _, e in ends)]
    return [(label, start, end) for (label, end), start in zip(ends, starts, strict=False)]


def _trend_table(past: Past, first: datetime, *, by_run: bool) -> Table:
    columns = (
        Column("point", "run" if by_run else "day", width=16),
        Column("new", "new", "count"),
        Column("reopened", "opened again", "count"),
        Column("changed", "changed", "count"),
        Column("decided", "decided", "count"),
        Column("resolved", "resolved", "count"),
        Column("unresolved", "unresolved at its end", "count"),
        Column("in_flight", "of these on their way", "count"),
    )
    rows = []
    own = [step for story in past.stories if story.code != ON_ITS_WAY for step in story.steps]
    for label, start, end in _points(past, first, by_run=by_run):
        steps = [step.happened for step in own if start < step.at <= end]
        counts = [steps.count(h) for h in ("opened", "re-opened", "changed", "decided", "closed")]
        left = past.unresolved(end)
        rows.append(Row((label, *counts, len(left), sum(s.code == ON_ITS_WAY for s, _ in left))))
    return Table("trend", "By run" if by_run else "By day", columns, tuple(rows))


def _charts(past: Past, first: datetime, *, by_run: bool) -> Iterator[Chart]:
    """For each currency what is unresolved, without regard to sign, at each point."""
    points = [(label, past.unresolved(end)) for label, _, end in _points(past, first, by_run=by_run)]
    for currency in sorted({s.currency for s in past.stories if s.currency}):
        bars = tuple(
            Bar(label, sum((abs(now.delta) for s, now in some if s.currency == currency), ZERO))
            for label, some in points
        )
        yield Chart(f"unresolved_{currency}", f"Unresolved differences in {currency}", "trend", currency, bars)


def _ages(past: Past, unresolved: Sequence[tuple[Story, Standing]]) -> Table:
    columns = (
        Column("age", "open since", width=16),
        layout.CURRENCY,
        Column("count", "differences", "count"),
        Column("net", "net", "money"),
        Column("gross", "gross", "money"),
    )
    details = []
    for currency in sorted({s.currency for s, _ in unresolved}):
        own = [(now, _age(now, past.at)) for s, now in unresolved if s.currency == currency]
        first = 0
        for last, title in _AGES:
            here = [now.delta for now, days in own if first <= days and (last is None or days <= last)]
            first = (last or 0) + 1
            sums = (tidy(sum(here, ZERO)), tidy(sum(map(abs, here), ZERO))) if currency else (None, None)
            details.append((title, currency, len(here), *sums))
    return Table("ages", "How old they are", columns, by_currency(columns, details), "Without a currency: no amount.")


def _unresolved(past: Past, unresolved: Sequence[tuple[Story, Standing]], aged_after: int) -> Table:
    columns = (
        *WHAT,
        layout.CURRENCY,
        DELTA,
        Column("state", "state", width=12),
        Column("opened", "first seen", "date"),
        Column("since", "open since", "date"),
        Column("days_open", "days open", "days"),
        Column("aged", "aged", width=16),
        Column("reopened", "opened again", "count"),
        Column("owner", "owner", width=14),
        Column("cause", "cause", width=50),
    )
    details = []
    for s, now in _largest(unresolved):
        days = _age(now, past.at)
        details.append(
            (
                *what(s),
                s.currency,
                tidy(now.delta) if s.currency else None,
                state_of(now),
                now.opened.date(),
                now.open_since.date(),
                days,
                AGED if days > aged_after else "",
                now.reopened or None,
                now.owner,
                s.cause,
            )
        )
    return Table("unresolved", "Not resolved", columns, by_currency(columns, details))


def _accepted(past: Past, unresolved: Sequence[tuple[Story, Standing]]) -> Table:
    columns = (
        *WHAT,
        layout.CURRENCY,
        DELTA,
        Column("by", "accepted by", width=16),
        Column("at", "at (UTC)", width=19),
        Column("reason", "why", width=40, aside=True),
        Column("until", "until, inclusive", "date"),
        Column("left", "days left", "days"),
        Column("state", "state", width=16),
    )
    details = [
        (
            *what(s),
            s.currency,
            tidy(now.delta) if s.currency else None,
            now.decided_by,
            moment(now.decided_at),
            now.reason,
            now.until.date() if now.until else None,
            (now.until.date() - past.at.date()).days if now.until else None,
            state_of(now),
        )
        for s, now in _largest(unresolved)
        if now.state == "accepted"
    ]
    note = "Without an end an acceptance holds until a value on either side changes."
    return Table("accepted", "Accepted", columns, by_currency(columns, details), note)


def _resolved(past: Past, first: datetime, *, in_flight: bool) -> Table:
    columns = (
        *WHAT,
        layout.CURRENCY,
        Column("delta", "moved A to B by", "money"),
        Column("opened", "first seen", "date"),
        Column("closed", "resolved", "date"),
        Column("days_open", "days open", "days"),
        Column("reopened", "opened again", "count"),
    )
    details = [
        (
            *what(s),
            s.currency,
            tidy(now.delta) if s.currency else None,
            now.opened.date(),
            now.closed.date(),
            (now.closed - now.open_since).days,
            now.reopened or None,
        )
        for s, now in _largest(past.standings())
        if now.state == "closed" and now.closed and now.closed >= first and (in_flight or s.code != ON_ITS_WAY)
    ]
    return Table("resolved", "Resolved", columns, by_currency(columns, details))


def decisions(past: Past, first: datetime) -> Table:
    """Who decided what and why, in order of time; with what the difference moved at that moment."""
    columns = (
        Column("at", "at (UTC)", width=19),
        Column("by", "by", width=16),
        Column("action", "decided", width=14),
        *WHAT,
        Column("reason", "why", width=40, aside=True),
        Column("owner", "to", width=14),
        Column("until", "until, inclusive", "date"),
        layout.CURRENCY,
        DELTA,
    )
    found = [(step, s) for s in past.stories for step in s.steps if step.happened == "decided" and step.at >= first]
    rows = []
    for step, s in sorted(found, key=lambda f: (f[0].at, f[1].id)):
        then = standing(s, step.at)
        delta = tidy(then.delta) if then and s.currency else None
        until = step.until.date() if step.until else None
        told = (moment(step.at), step.by, step.action, *what(s), step.reason, step.owner, until)
        rows.append(Row((*told, s.currency, delta)))
    return Table("decisions", "Decisions", columns, tuple(rows))


def _events(past: Past, first: datetime, *, in_flight: bool) -> Table:
    columns = (
        Column("at", "at (UTC)", width=19),
        Column("event", "what happened", width=12),
        *WHAT,
        layout.CURRENCY,
        DELTA,
        Column("left_value", "A says", width=18, aside=True),
        Column("right_value", "B says", width=18, aside=True),
        Column("by", "by", width=14),
        Column("run", "run", width=36, aside=True),
        Column("why", "why", width=40, aside=True),
    )
    told = [s for s in past.stories if in_flight or not _arrived(past, s)]
    found = [(step, s) for s in told for step in s.steps if step.at >= first]
    rows = [
        Row(
            (
                moment(step.at),
                step.action or step.happened,
                *what(s),
                s.currency,
                tidy(step.delta) if step.delta is not None and s.currency else None,
                layout.says(s.field, step.left),
                layout.says(s.field, step.right),
                step.by,
                step.run,
                step.reason,
            )
        )
        for step, s in sorted(found, key=lambda f: (f[0].at, f[1].id))
    ]
    return Table("events", "Everything that happened to them", columns, tuple(rows))


def _later(past: Past, events: int) -> Iterator[str]:
    if events:
        happened = "thing has happened" if events == 1 else "things have happened"
        yield f"{events:,} {happened} to differences after {last_of(past.at)}: --until tells them, too."


def _notes(
    past: Past, first: datetime, aged: Sequence[tuple[Story, Standing]], aged_after: int, *, in_flight: bool
) -> Iterator[str]:
    yield (
        "A difference keeps its name as long as it lasts. Its words (documents, cause) are those of its last sight; "
        "amounts, states and decisions are those of each day."
    )
    if aged:
        have = "difference has" if len(aged) == 1 else "differences have"
        yield f"{len(aged):,} {have} not been resolved for more than {aged_after} days ({AGED})."
    gone = sum(_arrived(past, s) for s in past.stories if s.steps[-1].at >= first)
    if gone and not in_flight:
        were = "document was on its way and is" if gone == 1 else "documents were on their way and are"
        yield f"{gone:,} {were} counted, not listed: --in-flight lists what arrived, too ({ON_ITS_WAY})."
    ended = sum(now.expired for _, now in past.unresolved())
    if ended:
        yield f"{ended:,} accepted beyond the end of their acceptance: the next run opens them again."
    if not past.runs:
        yield f"no run of {past.pair} by {moment(past.at)} UTC: nothing was compared"
    yield from past.breaks
