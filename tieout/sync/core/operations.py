"""What a plan is made of: the state of a subject on both sides, the operations on it, and what keeps them from it.

Frozen data and small pure functions of it; who decides is `plan`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from tieout.model import Entity, Existence, PostingState, tidy
from tieout.sync.core.facts import LEFT, Facts, Shared, Which, canonical, digest

Owner = Literal["left", "right", "two_way", "compare", "ignore"]


class OpKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    APPLY = "apply"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class SideState:
    """One side of a subject as the last complete reads showed it.

    facts: compared fields now; None where the record is gone or unreadable
    base: the same when last agreed; None if never · seen_as: `facts` as the other side would hold them
    dropped: since when a list of open items does not show it, and how it was last listed; "" unless it is absent
    shared: the whole record in shared form · readable: it can be read now, and all that it refers to is known
    echo: the fields that tieout itself wrote there last through another pair, as they were read back
    unsure: fields that were read back otherwise than tieout wrote them, nobody knows by whom
    unagreed: of these, those that are no spelling of what was written, and that both sides did not agree on since
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
    dropped: str = ""
    echo: Facts | None = None
    unsure: frozenset[str] = frozenset()
    unagreed: frozenset[str] = frozenset()

    def is_echo(self, name: str) -> bool:
        """Whether a field holds what tieout wrote there for another pair: nobody changed it here."""
        return bool(self.echo and name in self.echo and self.facts and self.echo[name] == self.facts.get(name))

    @property
    def touched(self) -> bool:
        """Whether somebody changed it since the two sides last agreed."""
        if self.base is None or self.facts is None:
            return False
        names = self.facts.keys() | self.base.keys()
        return any(self.facts.get(n) != self.base.get(n) and not self.is_echo(n) for n in names)


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
    after: keys of operations of the same plan that make room for it; it runs only if they may
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
    after: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Digest of what a person approves: everything but the guards that hold it and its place in the order."""
        kept = {k: v for k, v in self.as_json().items() if k not in ("guards", "after")}
        return digest(kept | {"record": self.record})

    def as_json(self) -> dict[str, Any]:
        """The keys that other programs rely on, and the ones that apply needs."""
        out = {name: getattr(self, name) for name in _TOLD}
        told = [{"name": f.name, "before": f.before, "after": f.after, "reason": f.reason} for f in self.fields]
        return out | {"op": self.op.value, "entity": self.entity.value, "fields": told, "delta": str(tidy(self.delta))}


_TOLD = tuple(f.name for f in fields(Operation) if f.name != "record")


def kinds_of(op: OpKind, changes: Iterable[FieldChange]) -> frozenset[OpKind]:
    """What is done to a record: an update may apply it, too."""
    applies = op is not OpKind.CREATE and any(c.name == "applications" for c in changes)
    return frozenset({op, OpKind.APPLY}) if applies else frozenset({op})


A_PERSON_LOOKS = "look in the target system"  # how the remedy of a write begins that nothing settles but a person


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the planner will not write: the reason ends up on the discrepancy of that subject.

    code: a discrepancy code, "" to add its cause to whatever the comparison finds for the subject
    side: the side whose record is concerned · holds: True if it keeps the subject from being written at all
    refused: the target said no to a write, now or in an earlier run, and it is not tried again until something changes
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
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pair allows, as plain data.

    owner_of: the configured owner of (entity, field), or None for the default · flows: allowed directions of creates
    cutover: documents before it are never created · closed: last closed day per side, inclusive
    encode: shared form → the target's codes; raises LookupError with a readable message
    creatable: None if a one-sided record is plainly missing on the other side, else the code and the reason why it
    is not carried over, both empty where the comparison says so itself
    can: whether a side takes the operation · fields: what each side holds per entity
    applies_later: whether a credit memo is created bare there and applied by a write of its own
    by_payment: whether payments of amount 0 apply a credit memo there
    linked: whether a subject has a live record on that side · lacks: whether the newest list there does not show it
    connections: the name of each side
    label: what people call a subject, on that side where it is there
    room: what can still be applied to an invoice on that side, 0 for one that is not there
    state: how a document stands on that side, None for one that is not there
    stated: the same as `creatable` where a settlement that a source only states keeps a record where it is
    currency: why a side does not take a one-sided record in its currency, and what to do about it; None if it does
    items: why a side takes no new document that is encoded so, for what its lines sell, and what to do about it
    inactive: why a side does not do that to a document of a customer, who is inactive there, and what to do about it;
    None if it does
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
    room: Callable[[str, Which], Decimal]
    state: Callable[[str, Which], PostingState | None]
    label: Callable[[str, Which], str]
    connections: Mapping[Which, str]
    applies_later: Callable[[Which], bool] = lambda _which: True
    by_payment: Callable[[Which], bool] = lambda _which: False
    refused: Callable[[str, str], tuple[str, str] | None] = lambda _key, _facts: None
    stated: Callable[[SubjectState], tuple[str, str] | None] = lambda _subject: None
    lacks: Callable[[str, Which], bool] = lambda _subject, _which: False
    currency: Callable[[SubjectState, Which], tuple[str, str] | None] = lambda _subject, _which: None
    items: Callable[[Shared, Which], tuple[str, str] | None] = lambda _encoded, _which: None
    inactive: Callable[[Which, Entity, frozenset[OpKind], str | None], tuple[str, str] | None] = (
        lambda _which, _entity, _ops, _customer: None
    )

    def locked(self, which: Which, day: str | None) -> str | None:
        """Through which day the books of a side are closed, if that covers this day; None if it does not."""
        closed = self.closed[which]
        return closed if day and closed and day <= closed else None


@dataclass(slots=True)
class Draft:
    """What planning yields: operations in the order they must run, and what was held back with its reason.

    adopt: per subject the fields whose bases move to what is there now, because the sides agree on them (or are
    linked just now: then all of them); `existence` among them for a record that is gone on both sides
    """

    operations: list[Operation] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    adopt: dict[str, tuple[str, ...]] = field(default_factory=dict)


# How the reason begins for which an operation is left to a later run, after another record's own.
WAITS = "waits for "
# What is said of an item that a new document may not name.
NO_ITEM = "sells no item"
# What is said of a customer for whom a side takes nothing new.
INACTIVE = "is inactive in"
# How the reason begins for which a write was refused as its name, or its number, belongs to something else there.
NAME_TAKEN = "name_collision:"
COLLISIONS = (NAME_TAKEN, "number_collision:")


def after_refusal(why: str) -> str:
    """What to do about a write that the target refused for that reason."""
    if why.startswith(NAME_TAKEN):
        return (
            "rename one of the two: the customer where it was born, and it is tried again by itself; or the one that "
            "has the name, and decide `retry` then. What waits for the customer follows"
        )
    return "mend the cause named by the target, then decide `retry`; it is tried again when the document changes, too"


def day_of(shared: Shared | None) -> str | None:
    if shared is None:
        return None
    value = shared.get("posted") or shared.get("issued")
    return value if isinstance(value, str) else None


def signed(entity: Entity, shared: Shared | None) -> tuple[Decimal, str]:
    """The signed effect of a record in shared form, and its currency."""
    if shared is None:
        return Decimal(0), ""
    if entity is Entity.CUSTOMER or shared.get("state") != PostingState.POSTED.value:
        return Decimal(0), shared.get("currency") or ""
    amount = Decimal(shared.get("amount", shared.get("total", "0")) or "0")
    up = entity is Entity.INVOICE or (entity is Entity.ADJUSTMENT and shared.get("side") == "debit")
    return (amount if up else -amount), shared.get("currency") or ""


def shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical(value)


def key_for(connection: str, entity: Entity, origin: tuple[str, str], *, generation: int, op: str, of: str = "") -> str:
    """The idempotency key of a write: from what is written where, and nothing of this installation.

    of: for updates and voids what it changes from and to; creates leave it empty, so that a rebuilt state
    database derives the same key. 32 characters of base32.
    """
    seed = "\x1f".join((connection, entity.value, *origin, str(generation), op, of))
    return base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode()[:32]


def marker_for(key: str) -> str:
    """Our reference as it is put into the record: short enough for an 18-character field."""
    return "T" + base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:12]


def is_marker(text: str | None) -> bool:
    """Whether a record carries a reference in the form of ours."""
    return text is not None and re.fullmatch(r"T[A-Z2-7]{12}", text) is not None


def key_of(s: SubjectState, connection: str, op: OpKind, of: str) -> str:
    return key_for(connection, s.entity, s.origin, generation=s.generation, op=op.value, of=of)
