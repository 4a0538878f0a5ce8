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

`=` is equality up to what either side can hold. What was read back otherwise than tieout wrote it, and may be what a
person entered in between (`taken`), is not written over: a change of it at home is a conflict. Existence is decided
before any field: nothing is voided, deleted or made again because it could not be read, and only the owner's confirmed
void is proposed to the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tieout.model import Entity
from tieout.sync.core.existence import name_of, one_sided, settled
from tieout.sync.core.facts import (
    COMPARED,
    GUARDED_FIELDS,
    LEFT,
    RIGHT,
    Shared,
    Which,
    canonical,
    digest,
    needs,
    same_lines,
)
from tieout.sync.core.operations import (
    NAME_TAKEN,
    WAITS,
    Draft,
    FieldChange,
    Finding,
    Operation,
    OpKind,
    Owner,
    Rules,
    SideState,
    SubjectState,
    after_refusal,
    day_of,
    key_of,
    kinds_of,
    shown,
    signed,
)
from tieout.sync.core.room import arrange


class Verdict(StrEnum):
    NOOP = "noop"
    ADOPT = "adopt"
    WRITE_LEFT = "write_left"
    WRITE_RIGHT = "write_right"
    STANDING = "standing"
    NON_OWNER = "non_owner_change"
    CONFLICT = "conflict"


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


# A payment that uses a credit comes after the credit memos, at _USES_CREDIT. All others come before them: a system
# that sets a new credit memo against the oldest open invoice by itself is to find what payments of the plan settle.
_ORDER = {
    Entity.CUSTOMER: 0,
    Entity.INVOICE: 1,
    Entity.PAYMENT: 2,
    Entity.CREDIT_MEMO: 3,
    Entity.ADJUSTMENT: 5,
}
_USES_CREDIT = 4
_KIND_ORDER = {OpKind.CREATE: 0, OpKind.UPDATE: 1, OpKind.APPLY: 2, OpKind.VOID: 3}


def make(subjects: Iterable[SubjectState], rules: Rules) -> Draft:
    """The plan for all subjects of a pair. Depends on nothing but its arguments; order of subjects is irrelevant."""
    draft = Draft()
    known: dict[str, SubjectState] = {}
    for subject in subjects:
        before = len(draft.operations)
        if not subject.busy:
            _plan_one(subject, rules, draft)
        if len(draft.operations) > before:
            known[subject.id] = subject
    _wait_for_active_customers(draft, rules)
    creating = {(o.subject, o.target) for o in draft.operations if o.op is OpKind.CREATE}
    ordered = _ordered(_with_parents(draft, rules, creating))
    draft.operations, held = arrange(ordered, known, rules, _rewriter(known, rules))
    draft.findings += held
    draft.findings.sort(key=lambda f: (f.entity, f.subject, f.field, f.code))
    return draft


def _rewriter(
    known: Mapping[str, SubjectState], rules: Rules
) -> Callable[[Operation, dict[str, str]], Operation | None]:
    def rewrite(o: Operation, applied: dict[str, str]) -> Operation | None:
        """The operation as a change of its applications alone, to these."""
        before = next(f.before for f in o.fields if f.name == "applications")
        change = FieldChange("applications", before, applied, "taken back first, applied anew in the next run")
        alone = Draft()
        _update(known[o.subject], o.target, (change,), rules, alone)
        return alone.operations[0] if alone.operations else None

    return rewrite


def _plan_one(subject: SubjectState, rules: Rules, draft: Draft) -> None:
    left, right = subject.left, subject.right
    if any(side is not None and not side.readable for side in (left, right)):
        return
    if left is not None and right is not None:
        if settled(subject, left, right, rules, draft):
            _fields(subject, left, right, rules, draft)
        return
    only = left or right
    if only is not None:
        one_sided(subject, only, RIGHT if right is None else LEFT, rules, draft)


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
    conflicts: set[str] = field(default_factory=set)

    @property
    def based(self) -> bool:
        return self.left.base is not None and self.right.base is not None

    def moved(self, name: str, who: Owner) -> tuple[bool, bool]:
        """Which sides moved since they last agreed, without what tieout wrote for another pair against the flow."""
        left, right = self.left, self.right
        moved = _strayed(left, name), _strayed(right, name)
        return _without_echoes(moved, (left.is_echo(name), right.is_echo(name)), who)

    def strayed(self, name: str) -> bool:
        return any(_strayed(s, name) for s in (self.left, self.right))


def _without_echoes(moved: tuple[bool, bool], echo: tuple[bool, bool], who: Owner) -> tuple[bool, bool]:
    """Of what moved on both sides, what is to be taken for a change.

    On the owner's side a write of another pair is how its changes come this way; on the other side it is one of these
    changes that came by another way, and no edit of anybody there.
    """
    left, right = moved
    if who == "two_way" and all(moved) and any(echo) and not all(echo):
        return not echo[0], not echo[1]
    return left and not (who == "right" and echo[0]), right and not (who == "left" and echo[1])


def _strayed(side: SideState, name: str) -> bool:
    now = (side.facts or {})[name]
    return bool(now != (side.base or {}).get(name, now))


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
        moved = merge.moved(name, who)
        verdict = decide(
            equal=equal(name, left, right),
            left_moved=moved[0],
            right_moved=moved[1],
            owner=who if merge.based else "compare",
        )
        _act(merge, name, verdict)
    _together(merge)
    if not merge.based:
        draft.adopt[s.id] = tuple(left.facts.keys() | right.facts.keys())
        return
    stale = [n for n in merge.agreed if merge.strayed(n)]
    if stale:
        draft.adopt[s.id] = tuple(stale)
    if _writable(merge, rules):
        for which in (LEFT, RIGHT):
            if merge.writes[which]:
                _update(s, which, tuple(merge.writes[which]), rules, draft)


def _grouped(*sides: SideState) -> bool:
    """Whether it is grouped in a way that leaves open who paid what: with credits, or by what cleared it."""
    return any((side.shared or {}).get(name) for side in sides for name in ("credits", "group"))


def _group(s: SubjectState, left: Mapping[str, str], right: Mapping[str, str]) -> Finding:
    return Finding(
        s.id,
        s.entity,
        "",
        "group: who paid which invoice is not stated uniquely",
        "apply it by hand on the other side, or part the group where it was made",
        field="applications",
        left_value=shown(left),
        right_value=shown(right),
    )


def _act(merge: _Merge, name: str, verdict: Verdict) -> None:
    """Carry out one verdict on one field."""
    l, r = (merge.left.facts or {})[name], (merge.right.facts or {})[name]  # noqa: E741  the table's own letters
    target = _target(merge, verdict)
    if target is not None and name in target.unagreed:
        merge.conflicts.add(name)
        merge.draft.findings.append(_disagreement(merge.subject, name, Verdict.CONFLICT, (l, r), _TAKEN))
    elif verdict is Verdict.WRITE_RIGHT:
        merge.writes[RIGHT].append(FieldChange(name, r, l, f"changed in {merge.left.connection}"))
    elif verdict is Verdict.WRITE_LEFT:
        merge.writes[LEFT].append(FieldChange(name, l, r, f"changed in {merge.right.connection}"))
    elif verdict in (Verdict.NOOP, Verdict.ADOPT):
        merge.agreed.append(name)
    else:
        merge.conflicts.update({name} if verdict is Verdict.CONFLICT else ())
        merge.draft.findings.append(_disagreement(merge.subject, name, verdict, (l, r)))


def _together(merge: _Merge) -> None:
    """Amounts of a document are one change: where one of them is a conflict, none is written, since systems work out
    the others from what they are given.
    """
    if not merge.conflicts & _MONEY:
        return
    for which in (LEFT, RIGHT):
        for change in [c for c in merge.writes[which] if c.name in _MONEY]:
            merge.writes[which].remove(change)
            values = (change.before, change.after) if which == LEFT else (change.after, change.before)
            cause = (
                f"changed on one side; nothing is written of it without {', '.join(sorted(merge.conflicts & _MONEY))}"
            )
            merge.draft.findings.append(_disagreement(merge.subject, change.name, Verdict.CONFLICT, values, cause))


def _target(merge: _Merge, verdict: Verdict) -> SideState | None:
    """The side that a verdict writes to."""
    return {Verdict.WRITE_RIGHT: merge.right, Verdict.WRITE_LEFT: merge.left}.get(verdict)


_CAUSES = {
    Verdict.STANDING: "the two never agreed on it, or the difference is left as it is",
    Verdict.NON_OWNER: "changed on the side that does not own it",
    Verdict.CONFLICT: "changed on both sides since they last agreed",
}
_TAKEN = "changed on one side, and what the other one showed right after a write is not what was written"


def _disagreement(
    s: SubjectState, name: str, verdict: Verdict, values: tuple[Any, Any], cause: str | None = None
) -> Finding:
    return Finding(
        s.id,
        s.entity,
        "",
        f"{verdict.value}: {cause or _CAUSES[verdict]}",
        "decide which is right; correct the other side, or accept the difference with a reason",
        field=name,
        left_value=shown(values[0]),
        right_value=shown(values[1]),
        holds=verdict is Verdict.CONFLICT,
    )


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
        anew = tuple(based and amount[w] != (base[w] or {}).get(invoice) for w in (LEFT, RIGHT))
        echo = tuple(_is_echo(side, invoice) for side in (merge.left, merge.right))
        moved = _without_echoes((anew[0], anew[1]), (echo[0], echo[1]), who)
        verdict = decide(
            equal=amount[LEFT] == amount[RIGHT],
            left_moved=moved[0],
            right_moved=moved[1],
            owner=who if based else "compare",
        )
        target, cause = _target(merge, verdict), None
        apart = len({(b or {}).get(invoice) for b in base.values()}) > 1
        if target is not None and apart and "applications" in target.unagreed:
            verdict, cause = Verdict.CONFLICT, _TAKEN
        if verdict is Verdict.WRITE_RIGHT:
            _set(wanted[RIGHT], invoice, amount[LEFT])
        elif verdict is Verdict.WRITE_LEFT:
            _set(wanted[LEFT], invoice, amount[RIGHT])
        elif verdict not in (Verdict.NOOP, Verdict.ADOPT):
            agreed = False
            values = (amount[LEFT], amount[RIGHT])
            field = f"applications[{invoice}]"
            merge.draft.findings.append(_disagreement(merge.subject, field, verdict, values, cause))
    for which in (LEFT, RIGHT):
        if wanted[which] != now[which]:
            agreed = False
            _apply_or_hold(merge, which, now, wanted[which])
    if agreed:
        merge.agreed.append("applications")


def _is_echo(side: SideState, invoice: str) -> bool:
    """Whether what is applied to an invoice is what tieout wrote there for another pair."""
    ours = (side.echo or {}).get("applications")
    return ours is not None and ours.get(invoice) == (side.facts or {})["applications"].get(invoice)


def _apply_or_hold(merge: _Merge, which: Which, now: dict[Which, dict[str, str]], wanted: dict[str, str]) -> None:
    total = _capacity(merge.subject, which)
    if total is None or sum((Decimal(v) for v in wanted.values()), Decimal(0)) <= total:
        other = RIGHT if which == LEFT else LEFT
        why = f"applied in {name_of(merge.subject, other)}"
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
            left_value=shown(now[LEFT]),
            right_value=shown(now[RIGHT]),
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
        for why, test in _TAKES_NOT.items():
            refused = [c for c in changes if test(rules, which, merge.subject.entity, c)]
            if refused:
                says = why.format(side.connection)
                merge.draft.findings.append(_refusal(merge.subject, which, refused, "SYNC_BLOCKED", says))
                # What it does take goes on: an application does not wait for a memo.
                changes = merge.writes[which] = [c for c in changes if c not in refused]
        money = any(c.name in GUARDED_FIELDS and c.name != "applications" for c in changes)
        day = day_of(side.shared)
        if not changes:
            held = True
        elif money and (closed := rules.locked(which, day)):
            why = f"closed_period: the books of {side.connection} are closed through {closed}; the document is of {day}"
            merge.draft.findings.append(_refusal(merge.subject, which, changes, "PERIOD_LOCKED", why))
            held = True
    return not held


def _kind_of(change: FieldChange) -> OpKind:
    return OpKind.APPLY if change.name == "applications" else OpKind.UPDATE


def _not_taken(rules: Rules, which: Which, entity: Entity, change: FieldChange) -> bool:
    # Whether a customer is active is compared even where a side cannot be told of it.
    unknown = change.name == "active" and change.name not in rules.fields(which, entity)
    return unknown or not rules.can(which, entity, _kind_of(change))


def _taken_back(rules: Rules, which: Which, entity: Entity, change: FieldChange) -> bool:
    """Whether less of a credit is to be applied where only payments apply it: those are left to a person."""
    if entity is not Entity.CREDIT_MEMO or change.name != "applications" or not rules.by_payment(which):
        return False
    return any(Decimal(amount) > Decimal(change.after.get(invoice, 0)) for invoice, amount in change.before.items())


_TAKES_NOT: Mapping[str, Callable[[Rules, Which, Entity, FieldChange], bool]] = {
    "{} takes no such change of this record": _not_taken,
    "part of the credit is to be taken back in {}: do it by hand": _taken_back,
}


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
        left_value=shown(values[0]),
        right_value=shown(values[1]),
    )


_AMOUNTS = frozenset({"subtotal", "discount", "tax", "total"})
_MONEY = _AMOUNTS | {"lines"}


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
    stated = (source.facts or {}).get("lines")
    if side.shared.get("lines") and not stated and any(c.name in _AMOUNTS for c in changes):
        # The target adds up its lines: a new amount from a side without lines, or with no more of them than how the
        # whole is taxed, goes there as one line.
        record |= {"lines": encoded.get("lines", []), "tax_lines": encoded.get("tax_lines", [])}
    op = OpKind.APPLY if all(change.name == "applications" for change in changes) else OpKind.UPDATE
    wanted = canonical([[c.name, c.after] for c in changes])
    key = key_of(s, side.connection, OpKind.UPDATE, f"{side.version}|{digest(side.facts)}|{wanted}")
    held = rules.inactive(which, s.entity, kinds_of(op, changes), side.shared.get("customer")) is not None
    if not held and (refusal := rules.refused(key, digest(source.facts))) is not None:
        finding = replace(_refusal(s, which, changes, *refusal), refused=True)
        taken = refusal[1].startswith(NAME_TAKEN)
        draft.findings.append(replace(finding, remedy=after_refusal(refusal[1])) if taken else finding)
        return
    before, after = signed(s.entity, side.shared), signed(s.entity, record)
    draft.operations.append(
        Operation(
            op=op,
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


# ── the whole plan ────────────────────────────────────────────────────────────────────────────────────────────────


def _wait_for_active_customers(draft: Draft, rules: Rules) -> None:
    """Drop operations that the target refuses as the customer is inactive there, unless this plan makes it active."""
    back = {(o.subject, o.target) for o in draft.operations for f in o.fields if f.name == "active" and f.after is True}
    kept, waiting = [], dict[Finding, None]()
    for o in draft.operations:
        customer = o.record.get("customer")
        why = rules.inactive(o.target, o.entity, kinds_of(o.op, o.fields), customer)
        if why is None or (customer, o.target) in back:
            kept.append(o)
        else:
            side = RIGHT if o.target == LEFT else LEFT
            waiting[Finding(o.subject, o.entity, "SYNC_BLOCKED", *why, side=side)] = None
    draft.operations = kept
    draft.findings += waiting


def _with_parents(draft: Draft, rules: Rules, creating: set[tuple[str, Which]]) -> list[Operation]:
    """Drop operations whose references neither exist on the target nor are created by this plan, to a fixpoint; and
    those that change what the target's newest list does not show.
    """
    kept = list(draft.operations)
    while True:
        dropped: list[tuple[Operation, list[str]]] = []
        for o in kept:
            missing = [n for n in o.needs if not _is_there(n, o.target, rules) and (n, o.target) not in creating]
            if o.op is not OpKind.CREATE and rules.lacks(o.subject, o.target):
                missing.append(o.subject)
            if missing:
                dropped.append((o, missing))
        if not dropped:
            return kept
        for o, missing in dropped:
            kept.remove(o)
            creating.discard((o.subject, o.target))
            draft.findings.append(_waits(o, missing, rules))


def _is_there(subject: str, target: Which, rules: Rules) -> bool:
    return rules.linked(subject, target) and not rules.lacks(subject, target)


def _waits(o: Operation, missing: Sequence[str], rules: Rules) -> Finding:
    """What an operation waits for: records that are not there, or that the newest list does not show any more."""
    unseen = [n for n in missing if rules.linked(n, o.target)]
    gone = [n for n in missing if n not in unseen]
    newest = f"the newest export of {rules.connections[o.target]}"
    causes = [f"{WAITS}{_named(o, gone, rules)}: not on the other side"] if gone else []
    causes += [f"{WAITS}{_named(o, unseen, rules)}: not in {newest}"] if unseen else []
    remedy = "settle that record's own discrepancy first; this one follows by itself"
    if not gone:
        remedy = "none if the next export shows it; else see whether it was deleted there. This one follows by itself"
    side = RIGHT if o.target == LEFT else LEFT
    return Finding(o.subject, o.entity, "SYNC_BLOCKED", "; ".join(causes), remedy, side=side)


def _named(o: Operation, missing: Sequence[str], rules: Rules) -> str:
    """What people call the records that an operation refers to, each with its kind; in field order."""
    source: Which = RIGHT if o.target == LEFT else LEFT
    of = {subject: entity for entity, subject in needs(o.entity, o.record)} | {o.subject: o.entity}
    kinds = {subject: entity.value.replace("_", " ") for subject, entity in of.items()}
    return ", ".join(f"{kinds.get(n, 'record')} {rules.label(n, source)}" for n in missing)


def _ordered(operations: Sequence[Operation]) -> list[Operation]:
    """Customers (parents first), invoices, payments, credit memos; then applications; then voids. Stable by label."""
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
        turn = _USES_CREDIT if o.record.get("credits") else _ORDER[o.entity]
        return late, turn, level(o.subject), o.target, day_of(o.record) or "", o.label, o.subject

    return sorted(operations, key=rank)
