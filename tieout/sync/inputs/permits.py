"""What a pair allows in this run: flows, closed periods, refusals that still hold, and what is plainly missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import sqlalchemy as sa

from tieout import compare
from tieout.connectors import Op
from tieout.model import ZERO, Company, Customer, Entity, PostingState, magnitude
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which
from tieout.sync.core.operations import Rules, SubjectState, is_marker, key_for, marker_for
from tieout.sync.inputs.currencies import Currencies
from tieout.sync.inputs.customers import OPS, Customers
from tieout.sync.inputs.items import Items
from tieout.sync.inputs.sides import Sides, other
from tieout.sync.inputs.stated import Stated
from tieout.sync.review.differences import COULD_BE_ONE, NEVER_READ, UNKNOWN_MARK, released, told_apart
from tieout.sync.state.book import Held, groups
from tieout.sync.state.covered import first_listed, lists_open_items
from tieout.sync.state.refusals import standing_refusals
from tieout.sync.work import on_its_way

_TOLD = 5  # ids of one sentence
_MISSING = frozenset({"MISSING_IN_A", "MISSING_IN_B", "PAYMENT_MISSING", "CUSTOMER_UNMAPPED"})
_RECORD = schema.xref.c
_WRITTEN = sa.select(schema.intent.c.subject).where(schema.intent.c.marker == sa.bindparam("marker"))
_GIVEN_UP = sa.select(_RECORD.connection, _RECORD.entity, _RECORD.native_id).where(_RECORD.state == "tombstone")


@dataclass(frozen=True)
class Permits:
    """Answers the planner's questions. comparison: of both books before planning, None if nothing is one-sided.

    stated: settlements that a source states without showing the payment
    broken: what could not be read whole in this run
    """

    sides: Sides
    companies: Mapping[Which, Company]
    comparison: compare.Result | None
    stated: Stated
    broken: frozenset[tuple[Which, Entity]]

    def rules(self) -> Rules:
        """What the planner may ask of this run, as functions of subjects and sides."""
        pair, connectors = self.sides.pair, self.sides.connectors
        return Rules(
            owner_of=lambda entity, name: pair.policy.get((entity, name)),
            flows=self._flows,
            cutover=pair.cutover.isoformat() if pair.cutover else None,
            closed={which: self._closed(which) for which in self.companies},
            encode=self.sides.encode,
            creatable=self._creatable,
            stated=lambda s: self.stated.why_not(*self._alone(s)),
            can=lambda which, entity, op: connectors[which].capabilities.can(entity, OPS[op]),
            fields=lambda which, entity: connectors[which].capabilities.fields.get(entity, frozenset()),
            linked=lambda subject, which: self.sides.books[which].alive(subject),
            lacks=lambda subject, which: self.sides.books[which].lacks(subject),
            room=self._room(),
            state=self._state,
            label=self._label,
            connections=self.sides.names,
            applies_later=lambda which: connectors[which].capabilities.synchronous,
            by_payment=lambda which: connectors[which].capabilities.credits_by_payment,
            currency=Currencies(self.sides, self.companies).why_not,
            items=Items(self.sides.connectors, self.sides.names, self.sides.pair.name).why_not,
            inactive=Customers(self.sides).why_not,
            refused=lambda key, source: self._refused.get((key, source)) or self._refused.get((key, "")),
        )

    def _flows(self, entity: Entity, target: Which) -> bool:
        flow = self.sides.pair.flows.get(entity, "none" if entity is Entity.ADJUSTMENT else "both")
        return flow in {"both", "left_to_right" if target == RIGHT else "right_to_left"}

    def _closed(self, which: Which) -> str | None:
        """The last closed day of a side, None if there is none or if the side does not say."""
        day = self.companies[which].closed_through()
        return day.isoformat() if day and self.sides.connectors[which].capabilities.periods_readable else None

    def _alone(self, s: SubjectState) -> tuple[Which, Held]:
        """Where a one-sided record is, and the record."""
        only, which = (s.left, LEFT) if s.left is not None else (s.right, RIGHT)
        assert only is not None
        return which, self.sides.books[which].held[(s.entity, only.id)]

    def _creatable(self, s: SubjectState) -> tuple[str, str] | None:
        which, held = self._alone(s)
        there = other(which)
        if (which, s.entity) in self.broken or (there, s.entity) in self.broken:
            return "SYNC_BLOCKED", "waits: not everything could be read in this run"
        if (early := self._before_first_list(there, held)) is not None:
            return early
        if s.id not in self._released and (never := self._never_read.get((there, s.entity))):
            return "SYNC_BLOCKED", f"{NEVER_READ}: {never}, so that it may be there already"
        if getattr(held.record, "credits", ()):
            return "SYNC_BLOCKED", "group: which credit paid which invoice is not stated uniquely"
        if (self.sides.names[which], s.entity.value, held.id) in self._given_up:
            return "RESURRECTED", "resurrected: it was removed and made again as another record, and stands again"
        if held.marker and (marked := self._marked(s.id, held.marker)) is not None:
            return marked
        return ("", "") if self._more_than_missing(which, held) else None

    def _marked(self, subject: str, marker: str) -> tuple[str, str] | None:
        """Why a record that carries this mark is not carried over; None if the mark does not speak against it."""
        subjects = self._under(marker)
        if subjects - {subject}:
            return "DUPLICATE_WITHIN_LEDGER", f"duplicate_at_target: a copy of {marker}, which tieout wrote once"
        if is_marker(marker) and not subjects and subject not in self._released:
            why = f"{UNKNOWN_MARK}: it carries {marker}, a mark of tieout of which this state knows nothing"
            return "SYNC_BLOCKED", f"{why}, so that it may be a copy of what is there already"
        return None

    def _room(self) -> Callable[[str, Which], Decimal]:
        """What invoices can still take by subject, what is on its way to them taken off; looked up when first asked."""
        known: dict[Which, dict[str, Decimal]] = {}

        def room(subject: str, which: Which) -> Decimal:
            book = self.sides.books[which]
            if which not in known:
                known[which] = book.room()
                for invoice, amount in on_its_way(self.sides.store, book).items():
                    if invoice in known[which]:
                        known[which][invoice] -= amount
            return known[which].get(book.natives.get(subject, ""), ZERO)

        return room

    def _state(self, subject: str, which: Which) -> PostingState | None:
        """How the subject's document stands on that side, None if it is not there or cannot be read."""
        book = self.sides.books[which]
        key = book.key_of(subject)
        held = book.held.get(key) if key is not None else None
        return getattr(held.record, "state", None) if held is not None else None

    @cached_property
    def _never_read(self) -> dict[tuple[Which, Entity], str]:
        """By side and kind, in a sentence, what it holds that could never be read."""
        ids: dict[tuple[Which, Entity], list[str]] = {}
        for which, book in self.sides.books.items():
            for entity, id in sorted(book.never_read()):
                ids.setdefault((which, entity), []).append(id)
        return {(w, e): _unread(self.sides.names[w], e, found) for (w, e), found in ids.items()}

    def _before_first_list(self, target: Which, held: Held) -> tuple[str, str] | None:
        """A list of open items does not show what was settled before it: what is older may have been there."""
        first = self._first_lists.get(target)
        if first is None or isinstance(held.record, Customer | None) or held.record.posted.isoformat() >= first:
            return None
        name = self.sides.names[target]
        why = f"dated {held.record.posted}, before the first list of open items of {name} ({first})"
        return "", f"historic_unmatched: {why}; it may have been settled there by then, and is never created"

    @cached_property
    def _first_lists(self) -> dict[Which, str]:
        """The day of the first list, of the sides that list open items."""
        store = self.sides.store
        return {w: first_listed(store, name) for w, name in self.sides.names.items() if lists_open_items(store, name)}

    def _label(self, subject: str, which: Which) -> str:
        """What people call a record: its number (or id) on that side, else on the one that has it."""
        for side in (which, LEFT, RIGHT):
            book = self.sides.books[side]
            key = book.key_of(subject)
            held = book.held.get(key) if key is not None else None
            if held is not None and not groups(held):
                return held.number or held.id
        return subject

    @cached_property
    def _released(self) -> frozenset[str]:
        return released(self.sides.store, self.sides.pair.name)

    def _told_apart(self, d: compare.Discrepancy) -> set[tuple[str, str, str]]:
        """The documents of a group, by side, kind and id, if a person said that each of them is one of its own."""
        several: set[tuple[str, str, str]] = set()
        for which, told in ((LEFT, d.left), (RIGHT, d.right)):
            book, entity = self.sides.books[which], Entity(d.kind)
            for id in book.ids_in(entity, told) if told else ():
                if book.subject_of(entity, id) not in self._apart:
                    return set()
                several.add((which, d.kind, id))
        return several

    def _took_its_number(self, d: compare.Discrepancy) -> bool:
        """Whether a document stands beside the void copy of another one, which was deleted where it is."""
        if d.code != "VOID_VS_OPEN" or d.left is None or d.right is None:
            return False
        for which, id in ((LEFT, d.left), (RIGHT, d.right)):
            subject = self.sides.books[which].subject_of(Entity(d.kind), id) or ""
            if self._state(subject, which) is PostingState.VOIDED and self.sides.books[other(which)].gone(subject):
                return True
        return False

    @cached_property
    def _apart(self) -> frozenset[str]:
        return told_apart(self.sides.store, self.sides.pair.name)

    def _under(self, marker: str) -> set[str]:
        """The subjects that were written under a mark, or would have been."""
        written = {r["subject"] for r in self.sides.store.rows(_WRITTEN, marker=marker)}
        return written | self._linked_under.get(marker, set())

    @cached_property
    def _linked_under(self) -> dict[str, set[str]]:
        """Mark → the linked subjects that would have been written under it."""
        left, right = (self.sides.books[w] for w in (LEFT, RIGHT))
        both = [s for s in left.natives if s in right.natives and left.key_of(s) and right.key_of(s)]
        markers: dict[str, set[str]] = {}
        for id, row in self.sides.rows(both).items():
            origin = row["origin_connection"], row["origin_id"]
            for name in self.sides.names.values():
                key = key_for(name, Entity(row["entity"]), origin, generation=row["generation"], op=Op.CREATE.value)
                markers.setdefault(marker_for(key), set()).add(id)
        return markers

    @cached_property
    def _given_up(self) -> set[tuple[str, str, str]]:
        """Connection, entity and id of records that a person had made again as others."""
        rows = self.sides.store.rows(_GIVEN_UP)
        return {(r["connection"], r["entity"], r["native_id"]) for r in rows}

    @cached_property
    def _refused(self) -> dict[tuple[str, str], tuple[str, str]]:
        return standing_refusals(self.sides.store, self.sides.pair, self.sides.books.values())

    def _more_than_missing(self, which: Which, held: Held) -> bool:
        """Whether the comparison says anything else of a one-sided record than that it is missing over there.

        A document that it does not call missing at all belongs to another one's difference (a credit memo that
        undoes a void, say); only one without amount may go unmentioned.
        """
        missing, otherwise = self._named
        key = (which, held.entity.value, held.id)
        if key in otherwise or isinstance(held.record, Customer) or held.record is None:
            return key in otherwise
        return key not in missing and bool(magnitude(held.record))

    @cached_property
    def _named(self) -> tuple[set[tuple[str, str, str]], set[tuple[str, str, str]]]:
        """What the comparison calls missing on the other side, and what it says anything else of: side, kind, id."""
        missing: set[tuple[str, str, str]] = set()
        otherwise: set[tuple[str, str, str]] = set()
        for d in self.comparison.discrepancies if self.comparison else ():
            if d.class_ == "N" and d.code not in {"AMBIGUOUS_MATCH", "CUSTOMER_DUPLICATE", *_MISSING}:
                continue
            if d.code in COULD_BE_ONE and (several := self._told_apart(d)):
                missing |= several
                continue
            alone = d.code in _MISSING or self._took_its_number(d)
            for which, id in ((LEFT, d.left), (RIGHT, d.right)):
                if id is not None:
                    (missing if alone else otherwise).add((which, d.kind, id))
        return missing, otherwise


def _unread(name: str, entity: Entity, ids: list[str]) -> str:
    more = f" and {len(ids) - _TOLD} more" if len(ids) > _TOLD else ""
    return f"{entity.value.replace('_', ' ')} {', '.join(ids[:_TOLD])}{more} of {name} could never be read"
