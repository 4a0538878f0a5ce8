"""Whether a record is there at all: voids, removals and records of one side only, decided before any field.

Nothing is voided, deleted or made again because it could not be read; only the owner's confirmed void is proposed to
the other side, and only a record that is plainly missing there is created (`creates`).
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from tieout.model import Entity, Existence, PostingState
from tieout.sync.core.creates import create
from tieout.sync.core.facts import (
    FREE_TEXT,
    LEFT,
    RIGHT,
    Facts,
    Which,
    applications,
    digest,
)
from tieout.sync.core.operations import (
    Draft,
    FieldChange,
    Finding,
    Operation,
    OpKind,
    Rules,
    SideState,
    SubjectState,
    day_of,
    key_of,
    shown,
    signed,
)


def is_gone(side: SideState) -> bool:
    return side.existence is Existence.DELETED


def came_back(side: SideState) -> bool:
    """Whether a record lives that was gone, or stands that was void, when the state last took note of it."""
    if is_gone(side) or side.existence in (Existence.ABSENT, Existence.UNKNOWN):
        return False
    return side.base_existence is Existence.DELETED or (
        _voided(side.base) and side.facts is not None and not _voided(side.facts)
    )


def _voided(facts: Facts | None) -> bool:
    return facts is not None and facts.get("state") == PostingState.VOIDED.value


def settled(s: SubjectState, left: SideState, right: SideState, rules: Rules, draft: Draft) -> bool:
    """Settle existence; True if both are there and their fields are to be compared."""
    if Existence.UNKNOWN in (left.existence, right.existence):
        return False
    gone = is_gone(left), is_gone(right)
    if came_back(left) or came_back(right):
        if any(gone) or not _same(left, right):
            _resurrected(s, LEFT if came_back(left) else RIGHT, draft)
        else:
            draft.adopt[s.id] = ("existence", *((left.facts or {}).keys() | (right.facts or {}).keys()))
        return False
    if all(gone):
        if (left.base_existence, right.base_existence) != (left.existence, right.existence):
            draft.adopt[s.id] = ("existence",)
        return False
    if any(gone):
        which: Which = LEFT if gone[0] else RIGHT
        _removed(s, which, draft)
        return False
    absent = left.existence is Existence.ABSENT, right.existence is Existence.ABSENT
    if any(absent):
        if not all(absent):
            _no_longer_open(s, LEFT if absent[0] else RIGHT, rules, draft)
        return False
    if s.entity is Entity.CUSTOMER:
        return True
    void = _voided(left.facts), _voided(right.facts)
    if all(void):
        # Some systems keep a void document's amounts and others do not; it counts for nothing on either side.
        both = left.facts or {}, right.facts or {}
        for each, side in zip((LEFT, RIGHT), (left, right), strict=True):
            draft.findings += entered_before_void(s.id, s.entity, (each, side.connection), side.unsure, both)
        if any(side.facts != side.base for side in (left, right)):
            draft.adopt[s.id] = tuple((left.facts or {}).keys() | (right.facts or {}).keys())
        return False
    if not any(void):
        return True
    which = LEFT if void[0] else RIGHT
    _void(s, which, left if which == RIGHT else right, rules, draft)
    return False


def entered_before_void(
    subject: str, entity: Entity, side: tuple[Which, str], unsure: Collection[str], sides: tuple[Facts, Facts]
) -> list[Finding]:
    """The texts that somebody may have entered right before tieout voided a record, in a system where no version tells.

    side: where it was voided, and the connection's name · unsure: fields that it showed otherwise before
    sides: what left and right hold now
    """
    (which, connection), (left, right) = side, sides
    cause = f"{connection} showed another text when it was last looked at before it was voided there"
    return [
        Finding(
            subject,
            entity,
            "WRITE_ALTERED",
            f"voided_over: {cause}; somebody may have entered it",
            "see whether it speaks against the void; correct the other side, or accept the difference with a reason",
            side=which,
            field=name,
            left_value=shown(left.get(name)),
            right_value=shown(right.get(name)),
        )
        for name in sorted(unsure)
        if name in FREE_TEXT and left.get(name) != right.get(name)
    ]


def _no_longer_open(s: SubjectState, which: Which, rules: Rules, draft: Draft) -> None:
    """A list of open items shows it no more: settled by something unseen, unless the other side shows it settled."""
    side, other = s.side(which), s.side(RIGHT if which == LEFT else LEFT)
    assert side is not None
    if other is not None and _settled_there(s, RIGHT if which == LEFT else LEFT, other, rules):
        return
    cause = f"paid_inferred: {side.number or side.id} is not among the open items of {side.connection} {side.dropped}"
    draft.findings.append(
        Finding(
            s.id,
            s.entity,
            "PAID_INFERRED",
            f"{cause}; what settled it is not shown",
            f"find in {side.connection} what settled it (payment, credit, write-off); enter that on the other side",
            side=which,
            holds=True,
        )
    )


def _settled_there(s: SubjectState, which: Which, side: SideState, rules: Rules) -> bool:
    """Whether the side itself shows that nothing of the record is open any more, or that it is gone or void."""
    if is_gone(side) or _voided(side.facts):
        return True
    shared = side.shared or {}
    if s.entity is Entity.INVOICE:
        return bool(shared.get("settled_on")) or rules.room(s.id, which) <= 0
    used = sum((Decimal(a) for a in applications(shared.get("applications", [])).values()), Decimal(0))
    return used >= Decimal(str(shared["total"] if "total" in shared else shared["amount"]))


def _same(left: SideState, right: SideState) -> bool:
    """Whether both say the same, up to what either side can hold."""
    if left.facts is None or right.facts is None:
        return False
    return right.facts in (left.facts, left.seen_as) or right.seen_as == left.facts


def _resurrected(s: SubjectState, which: Which, draft: Draft) -> None:
    side = s.side(which)
    assert side is not None
    was = "void" if _voided(side.base) else "gone"
    draft.findings.append(
        Finding(
            s.id,
            s.entity,
            "RESURRECTED",
            f"resurrected: it was {was} in {side.connection}, and stands again",
            "if it is to stand, decide `retry`; else remove or void it again. Nothing is written until then",
            side=which,
            holds=True,
        )
    )


def _removed(s: SubjectState, which: Which, draft: Draft) -> None:
    side, other = s.side(which), s.side(RIGHT if which == LEFT else LEFT)
    assert side is not None
    assert other is not None
    if side.base is not None and other.base is not None and side.base_existence is not side.existence:
        draft.adopt[s.id] = ("existence",)
    code = "DELETED_VS_OPEN" if s.entity is not Entity.CUSTOMER else "CUSTOMER_INACTIVE"
    cause = "deleted at its origin" if s.owner == which else "removed at the mirror"
    away = "void" if s.entity is not Entity.CUSTOMER else "deactivate"
    remedy = f"restore it there, or {away} the other one; tieout neither deletes nor makes it again by itself"
    if _voided(other.facts):
        code = "VOID_VS_DELETED"
        cause = "voided in one ledger and deleted from the other, so that nothing is owed in either"
        remedy = "a control exception: find out who deleted it and why, and keep the evidence"
    elif other.touched:
        cause += "; the other side was changed meanwhile"
    draft.findings.append(Finding(s.id, s.entity, code, cause, remedy, side=which, holds=True))


def _void(s: SubjectState, voided: Which, live: SideState, rules: Rules, draft: Draft) -> None:
    """Void on one side only: carried over from its owner where the other side takes it, else a person decides."""
    target: Which = RIGHT if voided == LEFT else LEFT
    ours = s.owner == voided
    if ours and live.touched:
        why = "voided at its origin, changed on the other side since: a person decides"
        remedy = "look at the change, then void the other one by hand or accept the difference"
        draft.findings.append(Finding(s.id, s.entity, "VOID_VS_OPEN", why, remedy, side=voided, holds=True))
        return
    closed = rules.locked(target, day_of(live.shared)) if ours else None
    key = key_of(s, live.connection, OpKind.VOID, live.version or digest(live.facts))
    refusal = rules.refused(key, "")
    if ours and refusal is None and closed is None and rules.can(target, s.entity, OpKind.VOID):
        draft.operations.append(_voiding(s, voided, target, live, key))
        return
    why = "voided at its origin" if ours else "voided at the mirror; the origin still stands"
    if s.owner is None:
        why = "voided on one side only"
    if closed is not None:
        why += f"; the other books are closed through {closed}"
    elif refusal is not None:
        why += f"; {refusal[1]}"
    remedy = "void the other one, or credit it in an open period"
    refused = refusal is not None
    draft.findings.append(Finding(s.id, s.entity, "", why, remedy, side=voided, holds=True, refused=refused))


def _voiding(s: SubjectState, voided: Which, target: Which, live: SideState, key: str) -> Operation:
    """The operation that voids on the target what was voided at its origin; never without a person."""
    amount, currency = signed(s.entity, live.shared)
    return Operation(
        op=OpKind.VOID,
        entity=s.entity,
        subject=s.id,
        target=target,
        connection=live.connection,
        key=key,
        label=live.number or live.id,
        fields=(FieldChange("state", "posted", "voided", f"voided in {name_of(s, voided)}"),),
        record=live.shared or {},
        delta=-amount,
        currency=currency,
        expects={"version": live.version, "facts": digest(live.facts)},
        person=True,
    )


def name_of(s: SubjectState, which: Which) -> str:
    side = s.side(which)
    return side.connection if side else which


def one_sided(s: SubjectState, only: SideState, target: Which, rules: Rules, draft: Draft) -> None:
    """Decide on a record that the target never held: created there if it lives, is posted and did not come back."""
    if only.existence is Existence.ABSENT:
        _no_longer_open(s, RIGHT if target == LEFT else LEFT, rules, draft)
    if (is_gone(only) and only.base_existence is not only.existence) or (
        _voided(only.facts) and not _voided(only.base)
    ):
        # Remembered, so that it is noticed when it stands again.
        draft.adopt[s.id] = ("existence", "state")
    if is_gone(only) or only.existence is not Existence.LIVE or only.shared is None or only.facts is None:
        return
    if came_back(only):
        _resurrected(s, RIGHT if target == LEFT else LEFT, draft)
        return
    if only.facts.get("state", PostingState.POSTED.value) != PostingState.POSTED.value:
        return
    create(s, only, target, rules, draft)
