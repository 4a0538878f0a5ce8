"""What the state database kept of a pair's differences, as reports ask for it, and how they name and list them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from tieout.model import tidy
from tieout.reports import layout
from tieout.reports.frame import Cell, Column, Proof, Row
from tieout.sync.core.past import UNRESOLVED, About, PastRun, Standing, Step, Story, standing

ID, CODE = Column("id", "difference", width=18), Column("code", "code", width=24)
_DOCUMENT = "amount"  # no total has it: several differences may be of one document
DELTA = Column("delta", "moves A to B by", "money")
WHAT = (
    ID,
    CODE,
    Column("kind", "what", width=14, aside=True),
    Column("left", "in A", width=18),
    Column("right", "in B", width=18),
    Column("customer", "customer", width=26),
    Column(_DOCUMENT, "document comes to", "money"),
    Column("amount_currency", "in", width=6),
)


@dataclass(frozen=True, slots=True)
class Past:
    """What the state database kept of a pair up to a moment.

    left, right: names of the connections · stories: of every discrepancy seen by then · runs: oldest first
    at: the moment, inclusive · listed: how many the list itself holds unresolved; None if the moment is not now
    breaks: what is wrong with the audit log, empty if nothing · events: how many it has in all
    """

    pair: str
    left: str
    right: str
    at: datetime
    stories: Sequence[Story]
    runs: Sequence[PastRun]
    listed: int | None
    breaks: Sequence[str]
    events: int

    def standings(self, at: datetime | None = None) -> list[tuple[Story, Standing]]:
        """How each stood at that moment (default: the last), those seen by then."""
        found = ((story, standing(story, at or self.at)) for story in self.stories)
        return [(story, now) for story, now in found if now is not None]

    def unresolved(self, at: datetime | None = None) -> list[tuple[Story, Standing]]:
        return [(s, now) for s, now in self.standings(at) if now.state in UNRESOLVED]


def moment(at: datetime | None) -> str | None:
    """A UTC instant for people, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else None


def last_of(at: datetime) -> str:
    """The last moment of a time, inclusive: as a day where it is all of one."""
    return at.date().isoformat() if at.time() >= time(23, 59, 59) else f"{moment(at)} UTC"


def what(story: Story) -> tuple[Cell, ...]:
    """Its id, code, kind, what the two ledgers call it, whose it is, and what the document comes to."""
    left, right = story.left_label or story.left, story.right_label or story.right
    return story.id, story.code, story.kind.replace("_", " "), left, right, *whose(story.about)


def whose(about: About) -> tuple[Cell, ...]:
    """Its customer, and the amount of its document with its currency."""
    return about.customer, tidy(Decimal(about.amount)) if about.amount else None, about.currency


def by_currency(columns: Sequence[Column], details: Iterable[tuple[Cell, ...]]) -> tuple[Row, ...]:
    """The rows with a total for each currency; those without any amount at the end."""
    at = next(n for n, c in enumerate(columns) if c.key == "currency")
    kept = list(details)
    priced = sorted((d for d in kept if d[at]), key=lambda d: str(d[at]))
    summed = {c.key for c in columns} - {_DOCUMENT}
    return (*layout.totalled(columns, priced, summed), *(Row(d) for d in kept if not d[at]))


def state_of(now: Standing) -> str:
    """In people's words."""
    return "acceptance ended" if now.expired else now.state


def before(story: Story, step: Step) -> str:
    """The state before a step; "" where it was not seen before."""
    then = standing(story, step.at - timedelta(microseconds=1))
    return then.state if then else ""


def proofs(past: Past) -> Iterator[Proof]:
    """The events against the list, and against being altered."""
    came = sum(step.happened == "opened" for s in past.stories for step in s.steps)
    came += sum(step.happened == "re-opened" and before(s, step) == "closed" for s in past.stories for step in s.steps)
    went = sum(step.happened == "closed" for s in past.stories for step in s.steps)
    now = len(past.unresolved())
    yield Proof(
        "differences that came, less those that were resolved, are the unresolved ones",
        now,
        came - went,
        now == came - went,
    )
    if past.listed is not None:
        yield Proof("the log of events gives the list as it stands", now, past.listed, now == past.listed)
    broken = len(past.breaks)
    yield Proof(f"the audit log of {past.events:,} events is whole: breaks found", broken, 0, not broken)
