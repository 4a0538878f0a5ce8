"""From both sides and their bases to an ordered plan: a pure function, and the only place that decides.

Per field, with l, r the values now, bl, br the values when the two were last agreed (one base per side), and the
owner of the field:

    l = r   moved      owner left      owner right     two-way        compare
    ─────   ───────    ────────────    ────────────    ───────────    ──────────
    yes     none       noop            noop            noop           noop
    yes     any        adopt           adopt           adopt          adopt
    no      none       standing        standing        standing       standing
    no      l          write right     non-owner       write right    standing
    no      r          non-owner       write left      write left     standing
    no      l and r    conflict        conflict        conflict       standing

`=` is equality up to what either side can hold. Existence is decided before any field: nothing is voided, deleted or
made again because it could not be read, and only the owner's confirmed void is proposed to the other side.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from tieout.model import Entity, Existence, PostingState, tidy
from tieout.sync.facts import (
    COMPARED,
    GUARDED_FIELDS,
    LEFT,
    RIGHT,
    Facts,
    Shared,
    Which,
    applications,
    canonical,
    digest,
    needs,
    same_lines,
)

Owner = Literal["left", "right", "two_way", "compare", "ignore"]


class Verdict(StrEnum):
    NOOP = "noop"
    ADOPT = "adopt"
    WRITE_LEFT = "write_left"
    WRITE_RIGHT = "write_right"
    STANDING = "standing"
    NON_OWNER = "non_owner_change"
    CONFLICT = "conflict"


class OpKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    APPLY = "apply"
    VOID = "void"


def decide(*, equal: bool, left_moved: bool, right_moved: bool, owner: Owner) -> Verdict:
    """The table above, for one field. `ignore` is never asked."""
    if equal:
        return Verdict.ADOPT if left_moved or right_moved else Verdict.NOOP
    if owner == "compare" or not (left_moved or right_moved):
        return Verdict.STANDING
    if left_moved and right_moved:
        return Verdict.CONFLICT
    if left_moved:
        return Verdict.NON_OWNER if owner == "right" else Verdict.WRITE_RIGHT
    return Verdict.NON_OWNER if owner == "left" else Verdict.WRITE_LEFT


@dataclass(frozen=True, slots=True)
class SideState:
    """One side of a subject as the last complete reads showed it.

    facts: compared fields now; None where the record is gone or unreadable
    base: the same when last agreed; None if never · seen_as: `facts` as the other side would hold them
    shared: the whole record in shared form · open: nothing of it is known to be wrong (not quarantined)
    """

    connection: str
    id: str
    version: str | None
    existence: Existence
    facts: Facts | None
    base: Facts | None
    base_existence: Existence | None
    seen_as: Facts | None
    shared: Shared | None
    number: str | None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class SubjectState:
    """Everything known of one real-world record. `owner` decides its fields; None means compare only."""

    id: str
    entity: Entity
    origin: tuple[str, str]
    owner: Which | None
    left: SideState | None
    right: SideState | None
    generation: int = 0
    busy: bool = False

    def side(self, which: Which) -> SideState | None:
        return self.left if which == LEFT else self.right


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an operation: what the target holds, what it would hold, and why."""

    name: str
    before: Any
    after: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One write to one record of one side.

    record: the wanted record in shared form, with the target's codes · delta: signed effect on receivables
    expects: the version and the digest of the facts that the target must still show · needs: subjects written before
    person: it may not run in mode `auto` without a person
    """

    op: OpKind
    entity: Entity
    subject: str
    target: Which
    connection: str
    key: str
    label: str
    fields: tuple[FieldChange, ...]
    record: Shared
    delta: Decimal
    currency: str
    expects: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    generation: int = 0
    person: bool = False
    guards: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Digest of what a person approves: everything but the guards that hold it."""
        return digest({k: v for k, v in self.as_json().items() if k != "guards"} | {"record": self.record})

    def as_json(self) -> dict[str, Any]:
        """The keys that other programs rely on, and the ones that apply needs (design.md §5)."""
        out = asdict(self)
        out["delta"] = str(tidy(self.delta))
        for name in ("record",):
            out.pop(name)
        out["op"], out["entity"] = self.op.value, self.entity.value
        out["fields"] = [asdict(f) for f in self.fields]
        return out


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the planner will not write: the reason ends up on the discrepancy of that subject.

    code: a discrepancy code, "" to add its cause to whatever the comparison finds for the subject
    side: the side whose record is concerned · holds: True if it keeps the subject from being written at all
    """

    subject: str
    entity: Entity
    code: str
    cause: str
    remedy: str
    side: Which | None = None
    field: str = ""
    left_value: str = ""
    right_value: str = ""
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pair allows, as plain data.

    owner_of: the configured owner of (entity, field), or None for the default · flows: allowed directions of creates
    cutover: documents before it are never created · closed: last closed day per side, inclusive
    encode: shared form → the target's codes; raises LookupError with a readable message
    creatable: None if a one-sided record is plainly missing on the other side, else the code and the reason why it
    is not carried over, both empty where the comparison says so itself
    can: whether a side takes the operation · fields: what each side holds per entity
    linked: whether a subject has a live record on that side · connections: the name of each side
    refused: code and reason if the target refused for good what this key stands for, made from these source facts
    """

    owner_of: Callable[[Entity, str], str | None]
    flows: Callable[[Entity, Which], bool]
    cutover: str | None
    closed: Mapping[Which, str | None]
    encode: Callable[[Entity, Shared, Which], Shared]
    creatable: Callable[[SubjectState], tuple[str, str] | None]
    can: Callable[[Which, Entity, OpKind], bool]
    fields: Callable[[Which, Entity], frozenset[str]]
    linked: Callable[[str, Which], bool]
    connections: Mapping[Which, str]
    refused: Callable[[str, str], tuple[str, str] | None] = lambda _key, _facts: None


@dataclass(slots=True)
class Draft:
    """What planning yields: operations in the order they must run, and what was held back with its reason.

    adopt: per subject the fields whose bases move to what is there now, because the sides agree on them (or are
    linked just now: then all of them); `existence` among them for a record that is gone on both sides
    """

    operations: list[Operation] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    adopt: dict[str, tuple[str, ...]] = field(default_factory=dict)


_ORDER = {
    Entity.CUSTOMER: 0,
    Entity.INVOICE: 1,
    Entity.CREDIT_MEMO: 2,
    Entity.PAYMENT: 3,
    Entity.ADJUSTMENT: 4,
}
_KIND_ORDER = {OpKind.CREATE: 0, OpKind.UPDATE: 1, OpKind.APPLY: 2, OpKind.VOID: 3}


def make(subjects: Iterable[SubjectState], rules: Rules) -> Draft:
    """The plan for all subjects of a pair. Depends on nothing but its arguments; order of subjects is irrelevant."""
    draft = Draft()
    for subject in subjects:
        if subject.busy:
            continue
        _plan_one(subject, rules, draft)
    creating = {(o.subject, o.target) for o in draft.operations if o.op is OpKind.CREATE}
    draft.operations = _ordered(_with_parents(draft, rules, creating))
    draft.findings.sort(key=lambda f: (f.entity, f.subject, f.field, f.code))
    return draft


def _plan_one(subject: SubjectState, rules: Rules, draft: Draft) -> None:
    left, right = subject.left, subject.right
    if any(side is not None and not side.readable for side in (left, right)):
        return
    if left is not None and right is not None:
        if _existence(subject, left, right, rules, draft):
            _fields(subject, left, right, rules, draft)
        return
    only = left or right
    if only is not None:
        _one_sided(subject, only, RIGHT if right is None else LEFT, rules, draft)


# ── existence ────────────────────────────────────────────────────────────────────────────────────────────────────


def _gone(side: SideState) -> bool:
    return side.existence in (Existence.DELETED, Existence.ABSENT)


def _voided(facts: Facts | None) -> bool:
    return facts is not None and facts.get("state") == PostingState.VOIDED.value


def _existence(s: SubjectState, left: SideState, right: SideState, rules: Rules, draft: Draft) -> bool:
    """Settle existence; True if both are there and their fields are to be compared."""
    if Existence.UNKNOWN in (left.existence, right.existence):
        return False
    gone = _gone(left), _gone(right)
    if all(gone):
        if (left.base_existence, right.base_existence) != (left.existence, right.existence):
            draft.adopt[s.id] = ("existence",)
        return False
    if any(gone):
        which: Which = LEFT if gone[0] else RIGHT
        _removed(s, which, draft)
        return False
    if s.entity is Entity.CUSTOMER:
        return True
    void = _voided(left.facts), _voided(right.facts)
    if all(void):
        # Some systems keep a void document's amounts and others do not; it counts for nothing on either side.
        if any(side.facts != side.base for side in (left, right)):
            draft.adopt[s.id] = tuple((left.facts or {}).keys() | (right.facts or {}).keys())
        return False
    if not any(void):
        return True
    which = LEFT if void[0] else RIGHT
    _void(s, which, left if which == RIGHT else right, rules, draft)
    return False


def _removed(s: SubjectState, which: Which, draft: Draft) -> None:
    other = s.side(RIGHT if which == LEFT else LEFT)
    assert other is not None
    changed = other.base is not None and other.facts != other.base
    origin = s.owner == which
    cause = "deleted at its origin" if origin else "removed at the mirror"
    if changed:
        cause += "; the other side was changed meanwhile"
    draft.findings.append(
        Finding(
            s.id,
            s.entity,
            "DELETED_VS_OPEN" if s.entity is not Entity.CUSTOMER else "CUSTOMER_INACTIVE",
            cause,
            "restore it there, or void the other one; tieout neither deletes nor makes it again by itself",
            side=which,
            holds=True,
        )
    )


def _void(s: SubjectState, voided: Which, live: SideState, rules: Rules, draft: Draft) -> None:
    target: Which = RIGHT if voided == LEFT else LEFT
    if s.owner == voided and live.base is not None and live.facts != live.base:
        draft.findings.append(
            Finding(
                s.id,
                s.entity,
                "VOID_VS_OPEN",
                "voided at its origin, changed on the other side since: a person decides",
                "look at the change, then void the other one by hand or accept the difference",
                side=voided,
                holds=True,
            )
        )
        return
    day = _day(live.shared)
    closed = rules.closed[target]
    key = _key(s, live.connection, OpKind.VOID, live.version or digest(live.facts))
    refusal = rules.refused(key, "")
    if (
        s.owner == voided
        and refusal is None
        and rules.can(target, s.entity, OpKind.VOID)
        and not (closed and day and day <= closed)
    ):
        amount = _signed(s.entity, live.shared)
        op = Operation(
            op=OpKind.VOID,
            entity=s.entity,
            subject=s.id,
            target=target,
            connection=live.connection,
            key=key,
            label=live.number or live.id,
            fields=(FieldChange("state", "posted", "voided", f"voided in {_name(s, voided)}"),),
            record=live.shared or {},
            delta=-amount[0],
            currency=amount[1],
            expects={"version": live.version, "facts": digest(live.facts)},
            person=True,
        )
        draft.operations.append(op)
        return
    why = "voided at its origin" if s.owner == voided else "voided at the mirror; the origin still stands"
    if s.owner is None:
        why = "voided on one side only"
    if s.owner == voided and closed and day and day <= closed:
        why += f"; the other books are closed through {closed}"
    elif refusal is not None:
        why += f"; {refusal[1]}"
    draft.findings.append(
        Finding(
            s.id,
            s.entity,
            "",
            why,
            "void the other one, or credit it in an open period",
            side=voided,
            holds=True,
        )
    )


def _name(s: SubjectState, which: Which) -> str:
    side = s.side(which)
    return side.connection if side else which


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────


def equal(name: str, left: SideState, right: SideState) -> bool:
    """Whether a field agrees up to what either side can hold."""
    assert left.facts is not None
    assert right.facts is not None
    l, r = left.facts.get(name), right.facts.get(name)  # noqa: E741  the table's own letters
    as_right = left.seen_as.get(name) if left.seen_as else l
    as_left = right.seen_as.get(name) if right.seen_as else r
    if name == "lines":
        return any(same_lines(a or [], b or []) for a, b in ((l, r), (as_right, r), (l, as_left)))
    return bool(l == r or as_right == r or as_left == l)  # noqa: PLR1714  dictionaries are not hashable


def owner(s: SubjectState, name: str, rules: Rules) -> Owner:
    """Who may change a field: the pair's policy first, else the side where the document was born."""
    configured = rules.owner_of(s.entity, name)
    if configured in ("left", "right", "two_way", "compare", "ignore"):
        return configured  # type: ignore[return-value]
    return s.owner if s.owner is not None else "compare"


@dataclass(slots=True)
class _Merge:
    """The fields of one subject on their way to a decision."""

    subject: SubjectState
    left: SideState
    right: SideState
    draft: Draft
    writes: dict[Which, list[FieldChange]] = field(default_factory=lambda: {LEFT: [], RIGHT: []})
    agreed: list[str] = field(default_factory=list)

    @property
    def based(self) -> bool:
        return self.left.base is not None and self.right.base is not None

    def moved(self, name: str) -> tuple[bool, bool]:
        sides = (self.left, self.right)
        left, right = ((s.facts or {})[name] != (s.base or {}).get(name, (s.facts or {})[name]) for s in sides)
        return left, right


def _fields(s: SubjectState, left: SideState, right: SideState, rules: Rules, draft: Draft) -> None:
    if left.facts is None or right.facts is None:
        return
    merge = _Merge(s, left, right, draft)
    for name in COMPARED[s.entity]:
        if name not in left.facts or name not in right.facts:
            continue
        who = owner(s, name, rules)
        if who == "ignore" or (name == "lines" and not (left.facts[name] and right.facts[name])):
            # A side without lines says nothing about them; its amounts are compared like any other.
            continue
        if name == "applications":
            if left.facts[name] != right.facts[name] and _grouped(left, right):
                draft.findings.append(_group(s, left.facts[name], right.facts[name]))
            else:
                _applications(merge, who)
            continue
        moved = merge.moved(name)
        verdict = decide(
            equal=equal(name, left, right),
            left_moved=moved[0],
            right_moved=moved[1],
            owner=who if merge.based else "compare",
        )
        _act(merge, name, verdict)
    if not merge.based:
        draft.adopt[s.id] = tuple(left.facts.keys() | right.facts.keys())
        return
    stale = [n for n in merge.agreed if any(merge.moved(n))]
    if stale:
        draft.adopt[s.id] = tuple(stale)
    if _writable(merge, rules):
        for which in (LEFT, RIGHT):
            if merge.writes[which]:
                _update(s, which, tuple(merge.writes[which]), rules, draft)


def _grouped(*sides: SideState) -> bool:
    """Whether a payment is grouped with credits in a way that leaves open which of them paid what."""
    return any((side.shared or {}).get("credits") for side in sides)


def _group(s: SubjectState, left: Mapping[str, str], right: Mapping[str, str]) -> Finding:
    return Finding(
        s.id,
        s.entity,
        "",
        "group: which credit paid which invoice is not stated uniquely",
        "apply it by hand on the other side, or part the group where it was made",
        field="applications",
        left_value=_show(left),
        right_value=_show(right),
    )


def _act(merge: _Merge, name: str, verdict: Verdict) -> None:
    """Carry out one verdict on one field."""
    l, r = (merge.left.facts or {})[name], (merge.right.facts or {})[name]  # noqa: E741  the table's own letters
    if verdict is Verdict.WRITE_RIGHT:
        merge.writes[RIGHT].append(FieldChange(name, r, l, f"changed in {merge.left.connection}"))
    elif verdict is Verdict.WRITE_LEFT:
        merge.writes[LEFT].append(FieldChange(name, l, r, f"changed in {merge.right.connection}"))
    elif verdict in (Verdict.NOOP, Verdict.ADOPT):
        merge.agreed.append(name)
    else:
        merge.draft.findings.append(_disagreement(merge.subject, name, verdict, (l, r)))


_CAUSES = {
    Verdict.STANDING: "the two never agreed on it, or the difference is left as it is",
    Verdict.NON_OWNER: "changed on the side that does not own it",
    Verdict.CONFLICT: "changed on both sides since they last agreed",
}


def _disagreement(s: SubjectState, name: str, verdict: Verdict, values: tuple[Any, Any]) -> Finding:
    return Finding(
        s.id,
        s.entity,
        "",
        f"{verdict.value}: {_CAUSES[verdict]}",
        "decide which is right; correct the other side, or accept the difference with a reason",
        field=name,
        left_value=_show(values[0]),
        right_value=_show(values[1]),
        holds=verdict is Verdict.CONFLICT,
    )


def _show(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical(value)


def _applications(merge: _Merge, who: Owner) -> None:
    """Merge applications element by element; a merge that would over-apply writes nothing."""
    now: dict[Which, dict[str, str]] = {
        LEFT: (merge.left.facts or {})["applications"],
        RIGHT: (merge.right.facts or {})["applications"],
    }
    base = {which: (side.base or {}).get("applications") for which, side in ((LEFT, merge.left), (RIGHT, merge.right))}
    based = base[LEFT] is not None and base[RIGHT] is not None
    wanted: dict[Which, dict[str, str]] = {LEFT: dict(now[LEFT]), RIGHT: dict(now[RIGHT])}
    agreed = True
    for invoice in sorted({*now[LEFT], *now[RIGHT]}):
        amount = {which: now[which].get(invoice) for which in (LEFT, RIGHT)}
        verdict = decide(
            equal=amount[LEFT] == amount[RIGHT],
            left_moved=based and amount[LEFT] != (base[LEFT] or {}).get(invoice),
            right_moved=based and amount[RIGHT] != (base[RIGHT] or {}).get(invoice),
            owner=who if based else "compare",
        )
        if verdict is Verdict.WRITE_RIGHT:
            _set(wanted[RIGHT], invoice, amount[LEFT])
        elif verdict is Verdict.WRITE_LEFT:
            _set(wanted[LEFT], invoice, amount[RIGHT])
        elif verdict not in (Verdict.NOOP, Verdict.ADOPT):
            agreed = False
            values = (amount[LEFT], amount[RIGHT])
            merge.draft.findings.append(_disagreement(merge.subject, f"applications[{invoice}]", verdict, values))
    for which in (LEFT, RIGHT):
        if wanted[which] != now[which]:
            agreed = False
            _apply_or_hold(merge, which, now, wanted[which])
    if agreed:
        merge.agreed.append("applications")


def _apply_or_hold(merge: _Merge, which: Which, now: dict[Which, dict[str, str]], wanted: dict[str, str]) -> None:
    total = _capacity(merge.subject, which)
    if total is None or sum((Decimal(v) for v in wanted.values()), Decimal(0)) <= total:
        other = RIGHT if which == LEFT else LEFT
        why = f"applied in {_name(merge.subject, other)}"
        merge.writes[which].append(FieldChange("applications", now[which], wanted, why))
        return
    merge.draft.findings.append(
        Finding(
            merge.subject.id,
            merge.subject.entity,
            "OVER_APPLIED",
            "merge_invalid: both sides applied it, and together they apply more than there is",
            "unapply on one side; nothing was written",
            side=which,
            field="applications",
            left_value=_show(now[LEFT]),
            right_value=_show(now[RIGHT]),
            holds=True,
        )
    )


def _set(target: dict[str, str], invoice: str, amount: str | None) -> None:
    if amount is None:
        target.pop(invoice, None)
    else:
        target[invoice] = amount


def _capacity(s: SubjectState, which: Which) -> Decimal | None:
    side = s.side(which)
    if side is None or side.shared is None:
        return None
    amount = side.shared.get("amount", side.shared.get("total"))
    credits = sum((Decimal(c["amount"]) for c in side.shared.get("credits", ())), Decimal(0))
    return Decimal(amount) + credits if amount is not None else None


def _writable(merge: _Merge, rules: Rules) -> bool:
    """Whether everything that is to be written may be; a refusal becomes a finding and writes nothing."""
    held = False
    for which, side in ((LEFT, merge.left), (RIGHT, merge.right)):
        changes = merge.writes[which]
        if not changes:
            continue
        money = any(c.name in GUARDED_FIELDS and c.name != "applications" for c in changes)
        day, closed = _day(side.shared), rules.closed[which]
        if not rules.can(which, merge.subject.entity, OpKind.UPDATE):
            why = f"{side.connection} takes no change of this record"
            merge.draft.findings.append(_refusal(merge.subject, which, changes, "SYNC_BLOCKED", why))
            held = True
        elif money and closed and day and day <= closed:
            why = f"closed_period: the books of {side.connection} are closed through {closed}; the document is of {day}"
            merge.draft.findings.append(_refusal(merge.subject, which, changes, "PERIOD_LOCKED", why))
            held = True
    return not held


def _refusal(s: SubjectState, which: Which, changes: Sequence[FieldChange], code: str, why: str) -> Finding:
    first = changes[0]
    values = (first.before, first.after) if which == LEFT else (first.after, first.before)
    return Finding(
        s.id,
        s.entity,
        code,
        why,
        "make the change there by hand, or correct it with a document in an open period",
        side=which,
        field=", ".join(c.name for c in changes),
        left_value=_show(values[0]),
        right_value=_show(values[1]),
    )


_AMOUNTS = frozenset({"subtotal", "discount", "tax", "total"})


def _update(s: SubjectState, which: Which, changes: tuple[FieldChange, ...], rules: Rules, draft: Draft) -> None:
    side, source = s.side(which), s.side(RIGHT if which == LEFT else LEFT)
    assert side is not None
    assert source is not None
    assert side.shared is not None
    assert source.shared is not None
    try:
        encoded = rules.encode(s.entity, source.shared, which)
    except LookupError as error:
        draft.findings.append(_refusal(s, which, changes, "SYNC_BLOCKED", str(error.args[0])))
        return
    record = dict(side.shared)
    for change in changes:
        if change.name == "applications":
            record["applications"] = _applied(side.shared, encoded, change.after)
        else:
            record[change.name] = encoded.get(change.name)
            if change.name == "lines":
                record["tax_lines"] = encoded.get("tax_lines", [])
    if side.shared.get("lines") and not source.shared.get("lines") and any(c.name in _AMOUNTS for c in changes):
        # The target adds up its lines: a new amount from a side without lines goes there as one line.
        record |= {"lines": encoded.get("lines", []), "tax_lines": encoded.get("tax_lines", [])}
    only_applied = all(change.name == "applications" for change in changes)
    wanted = canonical([[c.name, c.after] for c in changes])
    key = _key(s, side.connection, OpKind.UPDATE, f"{side.version}|{digest(side.facts)}|{wanted}")
    if (refusal := rules.refused(key, digest(source.facts))) is not None:
        draft.findings.append(_refusal(s, which, changes, *refusal))
        return
    before, after = _signed(s.entity, side.shared), _signed(s.entity, record)
    draft.operations.append(
        Operation(
            op=OpKind.APPLY if only_applied else OpKind.UPDATE,
            entity=s.entity,
            subject=s.id,
            target=which,
            connection=side.connection,
            key=key,
            label=side.number or side.id,
            fields=changes,
            record=record,
            delta=after[0] - before[0],
            currency=after[1],
            expects={"version": side.version, "facts": digest(side.facts)},
            needs=tuple(k for c in changes if c.name == "applications" for k in c.after),
        )
    )


def _applied(target: Shared, source: Shared, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    """The target's applications brought to {invoice: amount}: those that stay, and reversed ones, as they are."""
    own, theirs = target.get("applications", ()), source.get("applications", ())
    out = [a for a in own if a["reversed_on"] is not None]
    for invoice, amount in sorted(wanted.items()):
        for side in (own, theirs):
            standing = [a for a in side if a["invoice"] == invoice and a["reversed_on"] is None]
            if standing and sum((Decimal(a["amount"]) for a in standing), Decimal(0)) == Decimal(amount):
                out.extend(standing)
                break
        else:
            raise AssertionError("a merged application is one side's or the other's")
    return out


# ── one side only ────────────────────────────────────────────────────────────────────────────────────────────────


def _one_sided(s: SubjectState, only: SideState, target: Which, rules: Rules, draft: Draft) -> None:
    if _gone(only) or only.existence is not Existence.LIVE or only.shared is None or only.facts is None:
        return
    if only.facts.get("state", PostingState.POSTED.value) != PostingState.POSTED.value:
        return
    blocked = _why_not(s, only, target, rules)
    if blocked is not None:
        if blocked.code or blocked.cause:
            draft.findings.append(blocked)
        return
    record = rules.encode(s.entity, only.shared, target)
    amount = _signed(s.entity, record)
    held = rules.fields(target, s.entity)
    later: list[dict[str, Any]] = []
    if s.entity is Entity.CREDIT_MEMO and rules.can(target, s.entity, OpKind.APPLY):
        later, record = record["applications"], record | {"applications": []}
    fields = tuple(
        FieldChange(name, None, only.facts[name], f"born in {only.connection}")
        for name in COMPARED[s.entity]
        if name in held and only.facts.get(name) not in (None, [], {}, "")
    )
    draft.operations.append(
        Operation(
            op=OpKind.CREATE,
            entity=s.entity,
            subject=s.id,
            target=target,
            connection=rules.connections[target],
            key=_key(s, rules.connections[target], OpKind.CREATE, ""),
            label=only.number or only.id,
            fields=fields,
            record=record,
            delta=amount[0],
            currency=amount[1],
            expects={"absent": True, "facts": digest(only.facts)},
            needs=_needed(s.entity, record),
            generation=s.generation,
        )
    )
    if later:
        _apply_later(s, record | {"applications": later}, target, rules, draft)


def _apply_later(s: SubjectState, record: Shared, target: Which, rules: Rules, draft: Draft) -> None:
    """The applications of a credit memo that this plan creates: a write of their own, after it."""
    wanted = applications(record["applications"])
    connection = rules.connections[target]
    draft.operations.append(
        Operation(
            op=OpKind.APPLY,
            entity=s.entity,
            subject=s.id,
            target=target,
            connection=connection,
            key=_key(s, connection, OpKind.APPLY, canonical(wanted)),
            label=(s.left or s.right).number or s.id,  # type: ignore[union-attr]
            fields=(FieldChange("applications", {}, wanted, "applied where it was born"),),
            record=record,
            delta=Decimal(0),
            currency=record["currency"],
            expects={"absent": True},
            needs=(s.id, *wanted),
            generation=s.generation,
        )
    )


def _why_not(s: SubjectState, only: SideState, target: Which, rules: Rules) -> Finding | None:
    """Why a one-sided record is not created on the other side; None if it may be."""

    def because(code: str, cause: str, remedy: str) -> Finding:
        return Finding(s.id, s.entity, code, cause, remedy, side=RIGHT if target == LEFT else LEFT)

    if not rules.can(target, s.entity, OpKind.CREATE) or not rules.flows(s.entity, target):
        return because("", "", "")
    refusal = rules.creatable(s)
    if refusal is not None:
        return because(*refusal, "mend the cause; it is tried again when the document or the cause changes")
    shared = only.shared or {}
    day = _day(shared)
    if day and rules.cutover and day < rules.cutover:
        return because(
            "",
            f"historic_unmatched: dated {day}, before the cut-over {rules.cutover}; never created",
            "link it by hand if it has a counterpart, or carry it in the opening balance",
        )
    if s.entity is Entity.PAYMENT and not Decimal(shared.get("amount", "0")) and shared.get("credits"):
        return because("", "", "")
    try:
        rules.encode(s.entity, shared, target)
    except LookupError as error:
        return because("SYNC_BLOCKED", str(error.args[0]), "map the code in tieout.toml, then run again")
    key = _key(s, rules.connections[target], OpKind.CREATE, "")
    if (refusal := rules.refused(key, digest(only.facts))) is not None:
        return because(*refusal, "mend the cause named by the target; it is tried again when the document changes")
    closed = rules.closed[target]
    if day and closed and day <= closed:
        return because(
            "PERIOD_LOCKED",
            f"closed_period: dated {day}, the books there are closed through {closed}",
            "re-date it at its origin, or enter it in an open period; tieout never re-dates by itself",
        )
    return None


def _needed(entity: Entity, record: Shared) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for _, id in needs(entity, record)))


def _with_parents(draft: Draft, rules: Rules, creating: set[tuple[str, Which]]) -> list[Operation]:
    """Drop operations whose references neither exist on the target nor are created by this plan, to a fixpoint."""
    kept = list(draft.operations)
    while True:
        dropped: list[Operation] = []
        for o in kept:
            missing = [n for n in o.needs if not rules.linked(n, o.target) and (n, o.target) not in creating]
            if missing:
                dropped.append(o)
        if not dropped:
            return kept
        for o in dropped:
            kept.remove(o)
            creating.discard((o.subject, o.target))
            draft.findings.append(
                Finding(
                    o.subject,
                    o.entity,
                    "SYNC_BLOCKED",
                    "waits for a record that it refers to (customer or invoice) and that is not on the other side",
                    "settle that record's own discrepancy first; this one follows by itself",
                    side=RIGHT if o.target == LEFT else LEFT,
                )
            )


def _ordered(operations: Sequence[Operation]) -> list[Operation]:
    """Customers (parents first), invoices, credit memos, payments; then applications; then voids. Stable by label."""
    depth: dict[str, int] = {}
    by_subject = {o.subject: o for o in operations if o.entity is Entity.CUSTOMER}

    def level(subject: str, seen: frozenset[str] = frozenset()) -> int:
        if subject in depth or subject not in by_subject or subject in seen:
            return depth.get(subject, 0)
        parents = [level(n, seen | {subject}) + 1 for n in by_subject[subject].needs if n in by_subject]
        depth[subject] = max(parents, default=0)
        return depth[subject]

    def rank(o: Operation) -> tuple[Any, ...]:
        late = 0 if o.op in (OpKind.CREATE, OpKind.UPDATE) else _KIND_ORDER[o.op]
        return late, _ORDER[o.entity], level(o.subject), o.target, _day(o.record) or "", o.label, o.subject

    return sorted(operations, key=rank)


def _day(shared: Shared | None) -> str | None:
    if shared is None:
        return None
    value = shared.get("posted") or shared.get("issued")
    return value if isinstance(value, str) else None


def _signed(entity: Entity, shared: Shared | None) -> tuple[Decimal, str]:
    """The signed effect of a record in shared form, and its currency."""
    if shared is None:
        return Decimal(0), ""
    if entity is Entity.CUSTOMER or shared.get("state") != PostingState.POSTED.value:
        return Decimal(0), shared.get("currency") or ""
    amount = Decimal(shared.get("amount", shared.get("total", "0")) or "0")
    up = entity is Entity.INVOICE or (entity is Entity.ADJUSTMENT and shared.get("side") == "debit")
    return (amount if up else -amount), shared.get("currency") or ""


def key_for(connection: str, entity: Entity, origin: tuple[str, str], *, generation: int, op: str, of: str = "") -> str:
    """The idempotency key of a write: from what is written where, and nothing of this installation (sync.md §4.13.2).

    of: for updates and voids what it changes from and to; creates leave it empty, so that a rebuilt state
    database derives the same key. 32 characters of base32.
    """
    seed = "\x1f".join((connection, entity.value, *origin, str(generation), op, of))
    return base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode()[:32]


def marker_for(key: str) -> str:
    """Our reference as it is put into the record: short enough for an 18-character field."""
    return "T" + base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:12]


def _key(s: SubjectState, connection: str, op: OpKind, of: str) -> str:
    return key_for(connection, s.entity, s.origin, generation=s.generation, op=op.value, of=of)
