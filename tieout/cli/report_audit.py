"""The reports on how two ledgers differ, what became of it, and what an auditor asks for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from tieout.cli import pairs
from tieout.cli.days import MOMENT, amount
from tieout.cli.report import SINCE, first_day, of_pair, of_two, reporting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tieout.cli.ledgers import Asked
    from tieout.compare.ledgers import Compared
    from tieout.reports import Books, Report
    from tieout.reports.reconciliation.past import Past


class _Amounts(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """An amount of a currency."""

    name = "currency=amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Decimal]:
        if isinstance(value, tuple):
            return value
        currency, _, told = value.partition("=")
        found = amount(told)
        if found is None or found < 0 or not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
            self.fail(f"{value!r} is not an amount in a currency, such as USD=1000.00", param, ctx)
        return currency.upper(), found


_threshold = click.option(
    "--threshold", "thresholds", type=_Amounts(), multiple=True, help="Per currency, e.g. USD=1000; repeatable."
)
_base = click.option(
    "--base-currency", "base", metavar="CUR", help="Default: the one that both ledgers say they are kept in."
)
_aged = click.option(
    "--aged-after", type=click.IntRange(0), default=30, show_default=True, metavar="DAYS", help="Days until it is aged."
)
_last = click.option(
    "--until", type=MOMENT, help="Last day or moment (UTC) of what happened, inclusive; default: that of --as-of."
)
_closed = click.option(
    "--closed-at",
    type=MOMENT,
    help="When the period was closed (UTC); default: the first of its steps' last approvals.",
)


@click.command()
@_threshold
@_base
@of_two
def bridge(asked: Asked, *, thresholds: Sequence[tuple[str, Decimal]], base: str | None) -> Report:
    """From ledger A's open receivables to ledger B's, by every difference: remainder zero.

    --threshold: differences below it are summed in one line of the bridge, and still listed one by one.
    """
    if len(asked.files) == 1 or asked.connection:
        raise click.UsageError("a bridge leads from one ledger to another: --pair, or --left and --right")
    books, known = asked.books(), pairs.known(asked)
    compared = pairs.compared(asked, books, known)
    return _bridge(asked, books, compared, known, thresholds=dict(thresholds), base=base)


@click.command("tie-out")
@reporting
def tie_out(asked: Asked) -> Report:
    """The documents beside what each system's own reports and control account state."""
    from tieout.reports.reconciliation.tie_out import build

    return build(asked.books(), as_of=asked.as_of)


@click.command("discrepancy-history")
@SINCE
@_last
@_aged
@click.option("--by-run", is_flag=True, help="A point of the trend for each run, rather than for each day.")
@click.option("--in-flight", is_flag=True, help="Also list what was on its way and arrived; else it is counted.")
@of_pair
def discrepancy_history(
    asked: Asked, *, since: datetime | None, until: datetime | None, aged_after: int, by_run: bool, in_flight: bool
) -> Report:
    """Differences across runs: new, open, resolved, opened again; decisions; what is accepted, and until when.

    Give --pair, unless there is but one.
    """
    from tieout.reports.reconciliation.differences import build

    first = first_day(asked, since)
    now = pairs.past(asked, pairs.known_until(asked))
    past = pairs.earlier(asked, now, _until(asked, first, until))
    return build(
        past,
        as_of=asked.as_of,
        since=first,
        aged_after=aged_after,
        by_run=by_run,
        in_flight=in_flight,
        later=_later(now, past),
    )


@click.command()
@_threshold
@of_pair
def unadjusted(asked: Asked, *, thresholds: Sequence[tuple[str, Decimal]]) -> Report:
    """Differences that nobody corrected: why, who decided, until when, and their sum against a threshold.

    Both sides are read anew and compared as of the day; what was decided after it is told, too.

    Give --pair, unless there is but one.
    """
    from tieout.reports.reconciliation.unadjusted import build

    past, books = pairs.past(asked, pairs.known_until(asked)), asked.books()
    compared = pairs.compared(asked, books, pairs.known(asked))
    return build(past, compared, as_of=asked.as_of, thresholds=dict(thresholds))


@click.command("interface-log")
@SINCE
@_last
@of_pair
def interface_log(asked: Asked, *, since: datetime | None, until: datetime | None) -> Report:
    """Every write of a period: plan, approval, outcome, the vendor's id, and what was read back.

    Give --pair, unless there is but one.
    """
    first = first_day(asked, since)
    return _interface(asked, first, _until(asked, first, until))


@click.command("post-close")
@_closed
@reporting
def post_close(asked: Asked, *, closed_at: datetime | None) -> Report:
    """What changed in the period up to --as-of after it was closed or signed off.

    Of a pair, or with --closed-at of one connection; files say nothing of when something became known.
    """
    since = closed_at or _signed_off(asked)
    if since is None:
        raise click.UsageError("nobody signed this period off in tieout: say when it was closed, with --closed-at")
    return _post_close(asked, since)


@click.command()
@SINCE
@_threshold
@_base
@_aged
@_closed
@of_pair
def audit(
    asked: Asked,
    *,
    since: datetime | None,
    thresholds: Sequence[tuple[str, Decimal]],
    base: str | None,
    aged_after: int,
    closed_at: datetime | None,
) -> Report:
    """All the lists of a period that an auditor requests, of a pair, in one report.

    Give --pair, unless there is but one. With what changed since the period was closed, where it was. What became of
    differences, and what was written, is told until then; else until now. The books are read once for all of them.
    """
    from tieout.reports.reconciliation import differences, tie_out, unadjusted
    from tieout.reports.review.audit import bind

    pairs.pair_of(asked)
    closed_at = closed_at or _signed_off(asked)

    first = first_day(asked, since)
    now = pairs.past(asked, pairs.known_until(asked))
    last = min(closed_at or now.at, now.at)
    past = pairs.earlier(asked, now, last)
    then = asked.books(known_on=closed_at) if closed_at else ()
    books, known = asked.books(), pairs.known(asked)
    compared = pairs.compared(asked, books, known)
    made = [
        tie_out.build(books, as_of=asked.as_of),
        _bridge(asked, books, compared, known, thresholds=dict(thresholds), base=base),
        *_of_books(asked, books, first, closed=(then, closed_at)),
        differences.build(past, as_of=asked.as_of, since=first, aged_after=aged_after, later=_later(now, past)),
        unadjusted.build(now, compared, as_of=asked.as_of, thresholds=dict(thresholds)),
        _interface(asked, first, last),
        *([_post_close(asked, closed_at, then)] if closed_at else []),
    ]
    return bind(made, title=f"Audit lists of {past.pair}, {first} to {asked.as_of}", as_of=asked.as_of)


def _of_books(
    asked: Asked, books: Sequence[Books], first: date, *, closed: tuple[Sequence[Books], datetime | None]
) -> list[Report]:
    """The lists that are made of each ledger alone, all of one reading. closed: the books at the close, and when"""
    from tieout.reports.receivables import aging, cut_off, open_items, roll_forward, subsequent, unapplied, write_offs

    as_of, (then, closed_at) = asked.as_of, closed
    last = max(pairs.known_until(asked).date(), as_of)
    return [
        aging.build(books, as_of=as_of, detail=False, customers=False),
        open_items.build(books, as_of=as_of, customers=False),
        roll_forward.build(books, as_of=as_of, since=first, then=then, then_known_on=closed_at),
        subsequent.build(books, as_of=as_of, until=last),
        write_offs.build(books, as_of=as_of, since=first),
        cut_off.build(books, as_of=as_of),
        unapplied.build(books, as_of=as_of),
    ]


# ── what they are made of ────────────────────────────────────────────────────────────────────────────────────────


def _until(asked: Asked, first: date, until: datetime | None) -> datetime:
    """The last moment of which something is told: the end of the day, or earlier, if that is all that may be known.

    Raises UsageError where `until` is before the period begins.
    """
    if until and until.date() < first:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before the period begins, on {first}: see --from")
    return min(until or datetime.combine(asked.as_of, time.max, UTC), pairs.known_until(asked))


def _later(now: Past, then: Past) -> int:
    """How much happened to differences after what is told of them."""
    return sum(step.at > then.at for story in now.stories for step in story.steps)


def _signed_off(asked: Asked) -> datetime | None:
    """Since when the close of the pair as of the day is approved as it stands; None where nobody approved it."""
    from tieout.sync.state.signoffs import closed_since, signed

    if not asked.pair:
        return None
    with asked.store() as store:
        rows = signed(store, asked.pair, asked.as_of, known_on=asked.known_on)
    return closed_since(rows)


def _bridge(
    asked: Asked,
    books: Sequence[Books],
    compared: Compared,
    known: pairs.Known | None,
    *,
    thresholds: Mapping[str, Decimal],
    base: str | None,
) -> Report:
    from tieout.reports.reconciliation.bridge import build
    from tieout.sync.core.past import standing

    return build(
        books,
        compared,
        as_of=asked.as_of,
        base=base or _common_base(books),
        threshold=thresholds,
        known={s.id: now for s in known.stories if (now := standing(s, known.at))} if known else {},
        at=known.at if known else None,
    )


def _common_base(books: Sequence[Books]) -> str | None:
    """The currency that both ledgers are kept in; None where they differ, do not say, or hold nothing else."""
    homes = {b.home for b in books}
    home = homes.pop() if len(homes) == 1 else None
    foreign = any(getattr(r, "currency", None) not in (home, None) for b in books for r in b.records)
    return home if foreign else None


def _interface(asked: Asked, first: date, last: datetime) -> Report:
    from tieout.reports.review.interface import build
    from tieout.sync.review import history

    pair, now = pairs.pair_of(asked), pairs.known_until(asked)
    with asked.store() as store:
        log = history.interface(store, pair, since=datetime.combine(first, time.min, UTC), until=last)
        later = (
            history.interface(store, pair, since=last + timedelta(microseconds=1), until=now).sends if last < now else 0
        )
    return build(log, pair=pair, as_of=asked.as_of, later=later)


def _post_close(asked: Asked, closed_at: datetime, then: Sequence[Books] = ()) -> Report:
    from tieout.reports.review.post_close import After, build
    from tieout.sync.review import history

    if asked.files:
        raise click.UsageError("files say nothing of when something became known: name a connection, or --pair")
    until = pairs.known_until(asked)
    if closed_at > until:
        raise click.UsageError("--closed-at lies after what is known")
    before, after = then or asked.books(known_on=closed_at), asked.books(known_on=until)
    with asked.store() as store:
        sides = [
            After(
                then=was,
                now=now,
                revised=history.revised(store, now.name, since=closed_at, until=until),
                first_read=history.first_read(store, now.name),
            )
            for was, now in zip(before, after, strict=True)
        ]
    return build(sides, through=asked.as_of, closed_at=closed_at)


COMMANDS = {
    "bridge": bridge,
    "tie-out": tie_out,
    "discrepancy-history": discrepancy_history,
    "unadjusted": unadjusted,
    "interface-log": interface_log,
    "post-close": post_close,
    "audit": audit,
}
