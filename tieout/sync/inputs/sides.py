"""Both sides of every subject, in the terms that both share: what the planner is given to decide on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa

from tieout.compare.result import money
from tieout.connectors import Capabilities, Connector
from tieout.errors import FatalError, RetriableError
from tieout.model import Customer, Entity, Existence, magnitude
from tieout.sync import schema
from tieout.sync.core.facts import FREE_TEXT, LEFT, RIGHT, Facts, Shared, Which, facts, realise, recode, share
from tieout.sync.core.operations import SideState, SubjectState
from tieout.sync.pair import Pair
from tieout.sync.state.book import Book, Held, groups
from tieout.sync.store import Store, batched, loads

TOGETHER = 400  # subjects that are read at a time
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sides:
    """Both books of a pair and their connectors."""

    store: Store
    pair: Pair
    names: Mapping[Which, str]
    connectors: Mapping[Which, Connector]
    books: dict[Which, Book]

    def common(self, entity: Entity) -> frozenset[str]:
        left, right = (_fields(c.capabilities, entity) for c in self.connectors.values())
        return left & right

    def all(self) -> list[str]:
        """The subjects of either side, in order."""
        return sorted({*self.books[LEFT].natives, *self.books[RIGHT].natives})

    def one_sided(self) -> bool:
        """Whether a record is there on one side only, as far as that is known without looking at its fields."""
        left, right = (
            {s for key, s in book.subjects.items() if book.alive_at(key)}
            for book in (self.books[LEFT], self.books[RIGHT])
        )
        return left != right

    def rows(self, subjects: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows of these subjects, by id."""
        return {
            row["id"]: row for some in batched(subjects, TOGETHER) for row in self.store.rows(_SUBJECTS, subjects=some)
        }

    def states(self, subjects: Iterable[str]) -> Iterator[SubjectState]:
        """Both sides of these subjects, in their order, read some at a time; those without a subject are left out."""
        for some in batched(subjects, TOGETHER):
            yield from self._states(some)

    def _states(self, subjects: Sequence[str]) -> Iterator[SubjectState]:
        rows = {id: row for id, row in self.rows(subjects).items() if row["state"] == "active"}
        bases = {
            (r["subject"], r["connection"]): r
            for r in self.store.rows(_BASES, pair=self.pair.name, subjects=list(subjects))
        }
        names = list(self.names.values())
        busy = {r["subject"] for r in self.store.rows(_BUSY, connections=names, subjects=list(subjects))}
        for which in (LEFT, RIGHT):
            book = self.books[which]
            keys = ((Entity(row["entity"]), book.natives.get(id, "")) for id, row in rows.items())
            book.held.bring(list(keys))
        out: list[SubjectState] = []
        for subject in subjects:
            row = rows.get(subject)
            if row is None:
                continue
            entity = Entity(row["entity"])
            sides = {w: self._side(w, entity, subject, bases) for w in (LEFT, RIGHT)}
            one = SubjectState(
                id=subject,
                entity=entity,
                origin=(row["origin_connection"], row["origin_id"]),
                owner=self._home(row, sides) or (None if self.pair.linked_owner == "none" else self.pair.linked_owner),
                left=sides[LEFT],
                right=sides[RIGHT],
                generation=row["generation"],
                busy=subject in busy,
            )
            out.append(self._held_as(one))
        yield from self._with_echoes(out)

    def _with_echoes(self, subjects: list[SubjectState]) -> list[SubjectState]:
        """Where the sides differ, what tieout wrote there last through other pairs."""
        differ = [s.id for s in subjects if s.left and s.right and s.left.facts != s.right.facts]
        echoes: dict[tuple[str, str], Facts] = {}
        names = list(self.names.values())
        for some in batched(differ, TOGETHER):
            for row in self.store.rows(_ECHOES, pair=self.pair.name, connections=names, subjects=some):
                written = {f["name"] for f in loads(row["operation"])["fields"]}
                held = {n: v for n, v in loads(row["facts"]).items() if n in written}
                echoes.setdefault((row["subject"], row["connection"]), {}).update(held)

        def heard(s: SubjectState, side: SideState | None) -> SideState | None:
            echo = echoes.get((s.id, side.connection)) if side else None
            return replace(side, echo=echo) if side and echo else side

        if not echoes:
            return subjects
        return [replace(s, left=heard(s, s.left), right=heard(s, s.right)) for s in subjects]

    def _home(self, row: Mapping[str, Any], sides: Mapping[Which, SideState | None]) -> Which | None:
        """The side where it was born; of one born in third books the side through which it came to the other one.

        None where both sides had it before.
        """
        for which in (LEFT, RIGHT):
            if row["origin_connection"] == self.names[which] and (row["created_by"] or sides[other(which)] is None):
                return which
        for which in (LEFT, RIGHT):
            if self.books[other(which)].came.get(row["id"]) == self.names[which]:
                return which
        return None

    def _side(
        self, which: Which, entity: Entity, subject: str, bases: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> SideState | None:
        book = self.books[which]
        native = book.natives.get(subject)
        held = book.held.get((entity, native)) if native is not None else None
        if held is None or groups(held):
            return None
        base = bases.get((subject, book.connection))
        shared = book.shared(held)
        readable = held.error is None and (shared is not None or held.existence is Existence.DELETED)
        return SideState(
            connection=book.connection,
            id=held.id,
            version=held.version,
            existence=held.existence,
            facts=facts(entity, shared, self.common(entity)) if shared is not None else None,
            base=loads(base["facts"]) if base else None,
            base_existence=Existence(base["existence"]) if base else None,
            seen_as=None,
            shared=shared,
            number=held.number,
            readable=readable,
            dropped=_dropped(held),
            unsure=frozenset(loads(base["unsure"])) if base else frozenset(),
        )

    def _held_as(self, s: SubjectState) -> SubjectState:
        """Where the sides differ, what each would look like on the other, and what somebody may have entered there."""
        if s.left is None or s.right is None or s.left.facts is None or s.right.facts is None:
            return s
        if s.left.facts == s.right.facts:
            return s
        left = replace(s.left, seen_as=self._as_held_by(RIGHT, s.entity, s.left.shared))
        right = replace(s.right, seen_as=self._as_held_by(LEFT, s.entity, s.right.shared))
        return replace(
            s,
            left=replace(left, unagreed=self._unagreed(LEFT, s.entity, right, left)),
            right=replace(right, unagreed=self._unagreed(RIGHT, s.entity, left, right)),
        )

    def _unagreed(self, which: Which, entity: Entity, source: SideState, target: SideState) -> frozenset[str]:
        """The unsure fields that are neither what tieout wrote nor, as far as it knows, what the system makes of it."""
        sent, taken = source.base or {}, target.base or {}
        apart = {n for n in target.unsure & sent.keys() & taken.keys() if taken[n] != sent[n]}
        apart -= {n for n in apart & FREE_TEXT if not taken[n]}
        if not apart or source.shared is None:
            return frozenset()
        words = {n for n in apart & FREE_TEXT if sent[n]}
        held = self._as_held_by(which, entity, source.shared | {n: sent[n] for n in words}) or {} if words else {}
        made_of = {n for n in words if taken[n] == held.get(n) or _made_of(taken[n], sent[n])}
        return frozenset(apart - made_of)

    def _as_held_by(self, which: Which, entity: Entity, shared: Shared | None) -> Facts | None:
        if shared is None:
            return None
        connector = self.connectors[which]
        try:
            encoded = self.encode(entity, shared, which)
        except LookupError:
            encoded = shared
        ref = {"connection": connector.name, "id": "", "number": None, "version": None}
        record = connector.represent(realise(entity, encoded, _same, ref=ref))
        return facts(entity, share(record, _same), self.common(entity))

    def encode(self, entity: Entity, shared: Shared, to: Which) -> Shared:
        held = self.connectors[to].capabilities.fields.get(entity, frozenset())
        return recode(entity, shared, self.pair.codes, to, held)


def _any(column: sa.ColumnElement[str], names: str) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam(names, expanding=True))


_BASE, _INTENT = schema.base.c, schema.intent.c
_SUBJECTS = sa.select(schema.subject).where(_any(schema.subject.c.id, "subjects"))
_BASES = sa.select(schema.base).where(_BASE.pair == sa.bindparam("pair"), _any(_BASE.subject, "subjects"))
_BUSY = sa.select(_INTENT.subject, _INTENT.connection).where(
    _any(_INTENT.connection, "connections"),
    _any(_INTENT.subject, "subjects"),
    _INTENT.state.in_(("unknown", "applied", "emitted", "stuck", "sending")),
)
# What was written through other pairs. A write and the base that it left behind are of one transaction.
_ECHOES = (
    sa.select(_INTENT.subject, _INTENT.connection, _INTENT.operation, _BASE.facts)
    .join(
        schema.base,
        sa.and_(
            _BASE.pair == _INTENT.pair,
            _BASE.subject == _INTENT.subject,
            _BASE.connection == _INTENT.connection,
            _BASE.verified_at == _INTENT.updated_at,
        ),
    )
    .where(
        _INTENT.state == "done",
        _INTENT.pair != sa.bindparam("pair"),
        _any(_INTENT.connection, "connections"),
        _any(_INTENT.subject, "subjects"),
    )
    .order_by(_INTENT.updated_at)
)


def _made_of(taken: str, sent: str) -> bool:
    """Whether a text is the other one cut off, or in other case, with other blanks or other punctuation."""
    made, of = ("".join(c for c in text.casefold() if c.isalnum()) for text in (taken, sent))
    return bool(made) and of.startswith(made)


def _dropped(held: Held) -> str:
    """Since when a list of open items does not show the record, and how it did before."""
    if held.existence is not Existence.ABSENT or held.record is None or isinstance(held.record, Customer):
        return ""
    last, _, since = (held.dropped or "").partition("/")
    left = getattr(held.record, "reported_open", None)
    amount = magnitude(held.record) if left is None else left
    currency = held.record.currency
    return f"since {since}; last listed on {last} with {money(amount, currency)} {currency} open"


def adopted(s: SubjectState, names: Sequence[str]) -> SubjectState:
    """The subject with its bases moved to what is there now: in the named fields, in all where there was none."""

    def moved(side: SideState | None) -> SideState | None:
        if side is None:
            return None
        now = side.facts or {}
        base = now if side.base is None else side.base | {n: now[n] for n in names if n in now}
        return replace(side, base=base, base_existence=side.existence, unsure=side.unsure - set(names))

    return replace(s, left=moved(s.left), right=moved(s.right))


def _fields(capabilities: Capabilities, entity: Entity) -> frozenset[str]:
    """What a connection holds of an entity, a credit's applications through the payments that link it included."""
    fields = capabilities.fields.get(entity, frozenset())
    if entity is Entity.CREDIT_MEMO and capabilities.credits_by_payment:
        return fields | {"applications"}
    return fields


def _same(_entity: Entity, id: str) -> str:
    return id


def other(which: Which) -> Which:
    return RIGHT if which == LEFT else LEFT


def foretold(read: Callable[[], _T]) -> _T | None:
    """What only foretells what a system would say of each record itself; None where that cannot be read."""
    try:
        return read()
    except (RetriableError, FatalError):
        return None
