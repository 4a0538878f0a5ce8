"""What happened to differences and to writes, as the state database kept it: frozen facts, and what stood on a moment.

Nothing here reads anything; `history` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from tieout.compare import Explained
from tieout.compare.codes import EXPLAINING
from tieout.model import ZERO, AnyRecord, Entity, Existence

Happened = Literal["opened", "re-opened", "changed", "closed", "decided"]
State = Literal["open", "acknowledged", "accepted", "closed"]
UNRESOLVED: tuple[State, ...] = ("open", "acknowledged", "accepted")
_STATE_AFTER: Mapping[str, State] = {"acknowledge": "acknowledged", "accept": "accepted", "reopen": "open"}


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a discrepancy. at: UTC · by: who, or `tieout` for a run.

    delta: what it moved from then on; None where the event does not say (of a decision, or of an older version)
    left, right: the compared values from then on · action, owner, until: of a decision
    reason: a person's, or why it opened again
    """

    at: datetime
    happened: Happened
    by: str
    run: str | None
    delta: Decimal | None = None
    left: str | None = None
    right: str | None = None
    action: str = ""
    reason: str = ""
    owner: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class About:
    """Of a record as last read. customer: whose it is, or itself, "" where that one was never read.

    amount: of the document, unsigned, as text; "" of a customer · currency: of that amount
    """

    customer: str
    amount: str = ""
    currency: str = ""


NOBODY = About("")


@dataclass(frozen=True, slots=True)
class Story:
    """A discrepancy with all that happened to it, oldest first. The words are those of its last sight.

    delta: as last seen, for events that do not say theirs · currency: "" for one that has none
    about: whose it is, and what the document comes to, as last read; where nobody asked, nothing
    """

    id: str
    pair: str
    code: str
    class_: str
    severity: str
    kind: str
    left: str | None
    right: str | None
    left_label: str | None
    right_label: str | None
    field: str | None
    cause: str
    remedy: str
    confirmed: bool
    currency: str
    delta: Decimal
    steps: tuple[Step, ...]
    about: About = NOBODY


@dataclass(frozen=True, slots=True)
class Standing:
    """How a discrepancy stood at a moment.

    opened: first of all · open_since: since it last opened · reopened: how often it did again
    decided_by, decided_at, reason: of the last decision that changed its state, None and "" for none since it opened
    until: the end of an acceptance · expired: that end has passed, and no run has looked since
    """

    state: State
    delta: Decimal
    left: str | None
    right: str | None
    opened: datetime
    open_since: datetime
    reopened: int = 0
    closed: datetime | None = None
    owner: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str = ""
    until: datetime | None = None
    expired: bool = False


def standing(story: Story, at: datetime) -> Standing | None:
    """How it stood at that moment, inclusive; None if it had not been seen by then."""
    now: Standing | None = None
    for step in story.steps:
        if step.at <= at:
            now = _after(now, step, story)
    if now is not None and now.state == "accepted" and now.until is not None:
        return replace(now, expired=now.until < at)
    return now


def _after(now: Standing | None, step: Step, story: Story) -> Standing:
    delta = step.delta if step.delta is not None else now.delta if now else story.delta
    if now is None:
        return Standing("open", delta, step.left, step.right, step.at, step.at)
    match step.happened:
        case "opened" | "re-opened":
            return replace(
                now, state="open", delta=delta, left=step.left, right=step.right, open_since=step.at,
                reopened=now.reopened + 1, closed=None, decided_by=None, decided_at=None, reason="", until=None,
            )  # fmt: skip
        case "changed":
            return replace(now, delta=delta, left=step.left, right=step.right)
        case "closed":
            return replace(now, state="closed", closed=step.at)
        case "decided":
            kept = replace(now, owner=step.owner if step.owner is not None else now.owner)
            if step.action not in _STATE_AFTER:
                return kept
            return replace(
                kept, state=_STATE_AFTER[step.action], decided_by=step.by, decided_at=step.at, reason=step.reason,
                until=step.until,
            )  # fmt: skip


def totals(standings: Iterable[tuple[Story, Standing]]) -> dict[str, Decimal]:
    """Signed sums of what they move, per currency, in its order."""
    sums: dict[str, Decimal] = {}
    for story, now in standings:
        if story.currency:
            sums[story.currency] = sums.get(story.currency, ZERO) + now.delta
    return dict(sorted(sums.items()))


def explained(stories: Iterable[Story], at: datetime) -> list[Explained]:
    """The one-sided documents whose reason the sync knew at that moment, for a comparison to name."""
    found = []
    for s in stories:
        one_sided = s.kind != Entity.CUSTOMER and (s.left is None) != (s.right is None)
        now = standing(s, at) if s.code in EXPLAINING and one_sided else None
        if now is not None and now.state in UNRESOLVED:
            side, id = ("left", s.left) if s.left is not None else ("right", s.right)
            assert id is not None
            found.append(Explained(side, s.kind, id, s.code, s.cause, s.remedy, s.confirmed))
    return found


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of a pair. ended: None where it did not; times are UTC."""

    id: str
    pair: str
    started: datetime
    ended: datetime | None
    mode: str
    status: str


@dataclass(frozen=True, slots=True)
class Approval:
    """by: who · at: when (UTC) · guards: the ones that were lifted with it"""

    by: str
    at: datetime
    guards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One send of one write, or a write that was wanted and never sent (attempt 0).

    delta: signed effect on receivables of the target · native_id: what the vendor calls the record, None if unknown
    approvals: of the operation, given before it was sent, oldest first · mode: of its run
    plan_hash: "" where the plan is not kept any more
    outcome: of this send, "" while nobody knows · state: of the write as a whole, now
    read_back: fields that came back otherwise than sent; () for equal, None where nothing was read back or kept
    reference: the vendor's own id of the request, "" for none
    """

    intent: str
    pair: str
    plan: str
    plan_hash: str
    mode: str
    approvals: tuple[Approval, ...]
    connection: str
    entity: str
    operation: str
    label: str
    delta: Decimal
    currency: str
    key: str
    wanted_at: datetime
    attempt: int
    sent_at: datetime | None
    ended_at: datetime | None
    outcome: str
    code: str
    reference: str
    state: str
    error: str
    native_id: str | None
    read_back: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Interface:
    """All that was sent from `first` to `last`, inclusive. The counts are the tables' own.

    sent: at its end what was wanted in that time and not sent by `last`
    sends: sends in the period · wanted: intents stored in the period
    delta: per currency the sum over the writes that were sent in the period, each once
    """

    first: datetime
    last: datetime
    sent: tuple[Sent, ...]
    sends: int
    wanted: int
    delta: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it was read at `seen_at` (UTC). record: None where it is gone, or never could be read.

    readable: False where this reading failed, so that nothing is known of it from then on
    plan: of the write of tieout that was read back; None where the system shows it by itself
    """

    seen_at: datetime
    existence: Existence
    record: AnyRecord | None
    readable: bool
    plan: str | None


@dataclass(frozen=True, slots=True)
class Revised:
    """What became of one record after a moment. before: as it stood then, None if nobody had seen it."""

    entity: Entity
    id: str
    before: Version | None
    after: tuple[Version, ...]
