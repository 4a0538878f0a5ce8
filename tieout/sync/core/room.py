"""What invoices can still take: the order of a plan in which nothing is applied beyond it, and what must wait.

An operation that needs room which another one of the plan makes (a payment that is unapplied or voided) comes after
it. Where payments change places, one of them is taken back first and applied anew by the next run. What fits in no
order is held: more would be applied than there is, and a person decides which application is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tieout.model import ZERO, Entity, PostingState, tidy
from tieout.sync.core.facts import LEFT, RIGHT, Shared, Which
from tieout.sync.core.operations import WAITS, Finding, Operation, OpKind, Rules, SubjectState, shown

Place = tuple[str, Which]
_APPLYING = frozenset({Entity.PAYMENT, Entity.CREDIT_MEMO})


def arrange(
    operations: Sequence[Operation],
    subjects: Mapping[str, SubjectState],
    rules: Rules,
    rewrite: Callable[[Operation, dict[str, str]], Operation | None],
) -> tuple[list[Operation], list[Finding]]:
    """The operations that can be carried out one after the other, as near to their given order as can be, and what
    is held.

    subjects: those that the operations are on
    rewrite: an operation with other applications {invoice: amount} than it has; None if that may not be written
    """
    rooms = _Rooms(subjects, rules)
    out: list[Operation] = []
    waiting = _take(list(operations), out, rooms)
    while waiting:
        found = _step_back(waiting, rooms, rewrite)
        if found is None:
            break
        whole, step = found
        waiting.remove(whole)
        out.append(rooms.carry(step))
        waiting = _take(waiting, out, rooms)
    return out, [rooms.finding(o, waiting) for o in waiting]


@dataclass(slots=True)
class _Rooms:
    """What each invoice of each side can take after the operations carried so far.

    makers: the operations that made room on an invoice, and how much
    """

    subjects: Mapping[str, SubjectState]
    rules: Rules
    now: dict[Place, Decimal] = field(default_factory=dict)
    makers: dict[Place, list[tuple[str, Decimal]]] = field(default_factory=dict)

    def left(self, place: Place) -> Decimal:
        if place not in self.now:
            self.now[place] = self.rules.room(*place)
        return self.now[place]

    def moves(self, o: Operation) -> dict[Place, Decimal]:
        """What an operation takes of each invoice's room; negative where it makes room."""
        side = self.subjects[o.subject].side(o.target)
        before = side.shared if side is not None and o.op is not OpKind.CREATE else None
        if o.entity is Entity.INVOICE:
            after = ZERO if o.op is OpKind.VOID else _total(o.record)
            return {(o.subject, o.target): _total(before) - after}
        if o.entity not in _APPLYING:
            return {}
        had, gets = _applied(before), {} if o.op is OpKind.VOID else _applied(o.record)
        moved = {i: gets.get(i, ZERO) - had.get(i, ZERO) for i in {*had, *gets}}
        return {(i, o.target): amount for i, amount in moved.items() if amount}

    def short(self, o: Operation) -> list[Place]:
        """The invoices that cannot take what the operation applies to them."""
        if o.entity not in _APPLYING:
            return []
        return sorted(p for p, amount in self.moves(o).items() if amount > 0 and amount > self.left(p))

    def carry(self, o: Operation) -> Operation:
        """Count an operation as carried out. Returns it with the keys of those that make the room it needs."""
        after: dict[str, None] = {}
        for place, amount in self.moves(o).items():
            made = self.makers.setdefault(place, [])
            if amount > self.left(place) - sum((m for _, m in made), ZERO) and o.entity in _APPLYING:
                after.update(dict.fromkeys(key for key, _ in made))
            if amount < 0 and o.op is not OpKind.CREATE:
                made.append((o.key, -amount))
            self.now[place] = self.left(place) - amount
        after.pop(o.key, None)
        return replace(o, after=tuple(after)) if after else o

    def finding(self, o: Operation, held: Sequence[Operation]) -> Finding:
        """Why an operation is held."""
        code, remedy = "OVER_APPLIED", "take back what is applied too much, here or there"
        short = self.short(o)
        if not short:
            first = next(h for h in held if h.subject in o.needs and h.op is OpKind.CREATE)
            cause = f"{WAITS}{first.label}, which would apply more than is open"
        else:
            place = short[0]
            amount, room = tidy(self.moves(o)[place]), tidy(max(self.left(place), ZERO))
            invoice, more = f"invoice {self._label(place)}", f"{amount} more would be applied to it by {o.label}"
            match self.rules.state(*place):
                case PostingState.DRAFT:
                    code, remedy = "SYNC_BLOCKED", f"post the invoice in {o.connection}"
                    cause = f"draft: {invoice} is a draft in {o.connection}, where nothing pays it yet, and {more}"
                case PostingState.VOIDED:
                    remedy = f"apply it to what is owed instead, or enter the invoice in {o.connection} again"
                    cause = f"over_applied: {invoice} is voided in {o.connection}, and {more}"
                case _:
                    cause = f"over_applied: {invoice} has {room} open in {o.connection}, and {more}"
        source: Which = RIGHT if o.target == LEFT else LEFT
        change = next((f for f in o.fields if f.name == "applications"), None)
        values = (change.before, change.after) if change else (None, None)
        return Finding(
            o.subject,
            o.entity,
            code,
            cause,
            f"{remedy}; nothing was written, and it follows by itself then",
            side=source,
            field="applications",
            left_value=shown(values[0] if o.target == LEFT else values[1]),
            right_value=shown(values[1] if o.target == LEFT else values[0]),
            holds=True,
        )

    def _label(self, place: Place) -> str:
        return self.rules.label(*place)


def _take(waiting: list[Operation], out: list[Operation], rooms: _Rooms) -> list[Operation]:
    """Carry out what fits, in order, again and again as room is made. Returns what does not."""
    while True:
        rest: list[Operation] = []
        held: set[Place] = set()
        for o in waiting:
            if rooms.short(o) or any((n, o.target) in held for n in o.needs):
                rest.append(o)
                if o.op is OpKind.CREATE:
                    held.add((o.subject, o.target))
            else:
                out.append(rooms.carry(o))
        if len(rest) in (0, len(waiting)):
            return rest
        waiting = rest


def _step_back(
    waiting: Sequence[Operation], rooms: _Rooms, rewrite: Callable[[Operation, dict[str, str]], Operation | None]
) -> tuple[Operation, Operation] | None:
    """Of operations that fit together but in no order, one and the part of it that only takes back."""
    group = list(waiting)
    while group:
        sums: dict[Place, Decimal] = {}
        for o in group:
            for place, amount in rooms.moves(o).items():
                sums[place] = sums.get(place, ZERO) + amount
        over = {p for p, amount in sums.items() if amount > rooms.left(p)}
        if not over:
            break
        group.remove(next(o for o in reversed(group) if any(rooms.moves(o).get(p, ZERO) > 0 for p in over)))
    for o in group:
        change = next((f for f in o.fields if f.name == "applications"), None)
        back = {i for (i, _), amount in rooms.moves(o).items() if amount < 0}
        if change is None or not back or o.op is OpKind.VOID:
            continue
        wanted: dict[str, str] = {}
        for invoice in sorted({*(change.before or {}), *(change.after or {})}):
            kept = ((change.after if invoice in back else change.before) or {}).get(invoice)
            if kept is not None:
                wanted[invoice] = kept
        step = rewrite(o, wanted)
        if step is not None:
            return o, step
    return None


def _applied(shared: Shared | None) -> dict[str, Decimal]:
    """{invoice: what stands applied to it, in its own currency}."""
    sums: dict[str, Decimal] = {}
    for part in (shared or {}).get("applications", ()):
        if part["reversed_on"] is None:
            sums[part["invoice"]] = sums.get(part["invoice"], ZERO) + Decimal(part["amount_invoice"])
    return sums


def _total(shared: Mapping[str, Any] | None) -> Decimal:
    """What there is of an invoice to be paid."""
    if shared is None:
        return ZERO
    return Decimal(shared.get("total") or "0") - Decimal(shared.get("deposit_applied") or "0")
