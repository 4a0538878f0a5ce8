"""What a plan may never do unasked: a pure look at the whole plan, after every operation was decided on its own.

A tripped guard holds the operations that it names; a person lifts it by its name for one plan. Thresholds are
settings; their defaults are judgement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from tieout.model import Entity, exponent
from tieout.plaintext import counted, money
from tieout.sync.core.operations import Operation, OpKind


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of a pair; a share is of the linked records of the entity. Inclusive: the limit itself passes.

    money: per currency, the largest sum of amounts that one plan may write; empty for no cap
    """

    creates: int = 50
    create_share: Decimal = Decimal("0.10")
    voids: int = 3
    void_share: Decimal = Decimal("0.01")
    same_field: int = 10
    same_field_share: Decimal = Decimal("0.20")
    money: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trip:
    """A guard that refuses: its name, why, and the keys of the operations that it holds."""

    name: str
    message: str
    keys: frozenset[str]


def check(
    operations: Sequence[Operation],
    *,
    limits: Limits,
    linked: Mapping[Entity, int],
    empty: Sequence[str] = (),
    config_changed: bool = False,
    unknown_marks: int = 0,
) -> list[Trip]:
    """The guards that a plan trips, in a fixed order; [] if none.

    linked: records linked so far, per entity · empty: what was suspiciously absent in this run, in words
    unknown_marks: records that were written by tieout, as their marks say, and of which the state did not know
    config_changed: whether mapping, policy or codes differ from the last run that wrote
    """
    trips = [
        _many(operations, OpKind.CREATE, "mass_create", limits.creates, linked=linked, share=limits.create_share),
        _many(operations, OpKind.VOID, "mass_void", limits.voids, linked=linked, share=limits.void_share),
        _same_field(operations, limits, linked),
        _money(operations, limits),
        _side_empty(operations, empty),
        _config(operations, config_changed),
        _older(operations, unknown_marks),
    ]
    return [t for t in trips if t is not None]


def held(operations: Sequence[Operation], trips: Sequence[Trip]) -> list[Operation]:
    """The operations, each with the names of the guards that hold it."""
    return [replace(o, guards=tuple(t.name for t in trips if o.key in t.keys)) for o in operations]


def _many(
    operations: Sequence[Operation],
    kind: OpKind,
    name: str,
    floor: int,
    *,
    share: Decimal,
    linked: Mapping[Entity, int],
) -> Trip | None:
    chosen = [o for o in operations if o.op is kind]
    allowed = max(Decimal(floor), share * sum(linked.values()))
    if len(chosen) <= allowed:
        return None
    pass_ = "passes" if allowed == 1 else "pass"
    text = f"{counted(len(chosen), 'document')} would be {_PAST[kind]}; {int(allowed)} {pass_} without a person"
    return Trip(name, text, frozenset(o.key for o in chosen))


_PAST = {OpKind.CREATE: "created", OpKind.VOID: "voided"}


def _same_field(operations: Sequence[Operation], limits: Limits, linked: Mapping[Entity, int]) -> Trip | None:
    """One field changed in many records at once looks like a format, a time zone or a sign gone wrong."""
    counts: Counter[tuple[Entity, str]] = Counter()
    for o in operations:
        if o.op is OpKind.UPDATE:
            counts.update((o.entity, change.name) for change in o.fields)
    for (entity, name), count in counts.most_common():
        allowed = max(Decimal(limits.same_field), limits.same_field_share * linked.get(entity, 0))
        if count > allowed:
            keys = frozenset(
                o.key
                for o in operations
                if o.op is OpKind.UPDATE and o.entity is entity and any(c.name == name for c in o.fields)
            )
            return Trip(
                "mass_change",
                f"{name} would change in {counted(count, 'record')} of {entity} at once",
                keys,
            )
    return None


def _money(operations: Sequence[Operation], limits: Limits) -> Trip | None:
    sums: dict[str, Decimal] = {}
    for o in operations:
        if o.currency:
            sums[o.currency] = sums.get(o.currency, Decimal(0)) + abs(o.delta)
    for currency, total in sorted(sums.items()):
        cap = limits.money.get(currency)
        if cap is not None and total > cap:
            keys = frozenset(o.key for o in operations if o.currency == currency)
            said = [money(amount, exponent(currency)) for amount in (total, cap)]
            return Trip("money_cap", f"{said[0]} {currency} would be written in one plan; the cap is {said[1]}", keys)
    return None


def _side_empty(operations: Sequence[Operation], empty: Sequence[str]) -> Trip | None:
    if not empty or not operations:
        return None
    keys = frozenset(o.key for o in operations)
    return Trip("suspicious_source", "; ".join(empty), keys)


def _config(operations: Sequence[Operation], changed: bool) -> Trip | None:
    if not changed or not operations:
        return None
    keys = frozenset(o.key for o in operations)
    return Trip("config_changed", "mapping, policy or codes changed since the last run that wrote", keys)


def _older(operations: Sequence[Operation], unknown: int) -> Trip | None:
    """What a state does not know of its own writes, it was restored or made anew: a person says that it may go on."""
    if not unknown:
        return None
    many = "1 record carries a mark" if unknown == 1 else f"{unknown} records carry marks"
    text = f"{many} of tieout that the state did not know and has linked now: it is older than the books (a restored "
    text += "backup), or was made anew; nothing is written in this run"
    return Trip("state_older", text, frozenset(o.key for o in operations))
