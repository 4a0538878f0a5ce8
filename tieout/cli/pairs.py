"""What the reports on a pair share: its ledgers compared as the sync compares them, and what is known of its past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from tieout.cli.ledgers import has_state
from tieout.cli.state import clock

if TYPE_CHECKING:
    from tieout.cli.ledgers import Asked
    from tieout.compare import Rounding
    from tieout.compare.ledgers import Compared
    from tieout.reports import Books
    from tieout.reports.reconciliation.past import Past
    from tieout.sync.core.past import Story


def pair_of(asked: Asked) -> str:
    """The pair that is asked of. Raises UsageError where it is something else."""
    if asked.pair is None:
        raise click.UsageError("this report is of a pair: --pair NAME")
    return asked.pair


def known_until(asked: Asked) -> datetime:
    """The last moment of which anything may be known."""
    return asked.known_on or clock()


def past(asked: Asked, until: datetime) -> Past:
    """What the state database kept of the pair up to a moment, inclusive."""
    from tieout.evidence.verify import log_breaks
    from tieout.reports.reconciliation.past import Past
    from tieout.sync.review import history

    pair = pair_of(asked)
    left, right = asked.names
    # A moment before now has no list of its own to be held against.
    now = asked.known_on is None and asked.as_of >= clock().date()
    with asked.store() as store:
        return Past(
            pair=pair,
            left=left,
            right=right,
            at=until,
            stories=history.stories(store, pair, until=until, books=(left, right)),
            runs=history.runs(store, pair, until=until),
            listed=history.listed(store, pair) if now else None,
            breaks=log_breaks(store),
            events=history.events(store),
        )


def earlier(asked: Asked, past: Past, until: datetime) -> Past:
    """The same at an earlier moment; the audit log is not gone through again."""
    from tieout.sync.review import history

    if until >= past.at:
        return past
    with asked.store() as store:
        return replace(
            past,
            at=until,
            stories=history.stories(store, past.pair, until=until, books=(past.left, past.right)),
            runs=history.runs(store, past.pair, until=until),
            listed=None,
        )


class Known(NamedTuple):
    """What became of each difference of a pair. at: up to when, inclusive"""

    stories: Sequence[Story]
    at: datetime


def known(asked: Asked) -> Known | None:
    """All that is known of a pair, where there is a state database: also what the sync learned after the day."""
    from tieout.sync.review import history

    if asked.pair is None or not has_state(asked.settings()):
        return None
    until = known_until(asked)
    with asked.store() as store:
        return Known(history.stories(store, asked.pair, until=until), until)


def compared(asked: Asked, books: Sequence[Books], known: Known | None) -> Compared:
    """Both ledgers compared as of the day. known: the reasons that the sync knows are those of the differences."""
    from tieout.compare.ledgers import Ledger, compare_ledgers
    from tieout.sync.core.past import explained

    # Files are matched by their own keys, as `tieout compare` does; of a pair the sync knows what belongs together.
    left, right = (
        Ledger(b.name, b.records, {} if asked.files else b.links, b.open_only, _disputes(b), b.unreadable)
        for b in books
    )
    return compare_ledgers(
        left,
        right,
        as_of=asked.as_of,
        rounding=_rounding(asked),
        explained=explained(known.stories, known.at) if known else (),
        same_ids=_one_layout(asked),
    )


def _one_layout(asked: Asked) -> bool:
    """Whether both ledgers are exports of one layout that names its documents, so that an id tells them apart."""
    from tieout.mapping.tabular import load_profile

    profiles = [[profile for _, profile in side] for side in asked.files]
    if len(profiles) != 2 or profiles[0] != profiles[1]:
        return False
    return all("document" in load_profile(p).columns for p in profiles[0])


def _disputes(books: Books) -> bool:
    """Whether the ledger says of an invoice that it is disputed: one that never does is not held against it."""
    return any(getattr(r, "disputed", False) for r in books.records)


def _rounding(asked: Asked) -> Rounding | None:
    from tieout.config.opening import to_pair

    return to_pair(asked.settings(), asked.pair).rounding if asked.pair else None
