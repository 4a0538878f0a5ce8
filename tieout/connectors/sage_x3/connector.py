"""The Sage X3 connector: customers, invoices, credit memos and payments of one site, over its SOAP web services.

X3 keeps no idempotency key: our reference stands in the document, and a lost answer is settled by looking for it. What
was refused is searched for as well, since an installation may control references and refuse a second one.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from tieout.connectors import Capabilities, Observation, Op, Pull, Strategy, Written
from tieout.connectors.http import Pace, Transport, checked_url
from tieout.connectors.reach import Reach
from tieout.connectors.sage_x3.answer import Reply
from tieout.connectors.sage_x3.changes import Exports, Feed, Ticks
from tieout.connectors.sage_x3.objects import KEYS, Objects
from tieout.connectors.sage_x3.open_items import DAY, PARTNER, OpenItems
from tieout.connectors.sage_x3.payload import Blocks, Unplaced, Unreadable, native, param, parsed
from tieout.connectors.sage_x3.settings import KnownCustomer, SageX3Settings, books_of
from tieout.connectors.sage_x3.wire import Refused, Wire, rejected
from tieout.errors import (
    AuthError,
    ConfigError,
    DuplicateNumber,
    NotFoundError,
    NotProcessed,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    TieoutError,
    UnknownOutcome,
    WriteError,
)
from tieout.mapping import sage_x3 as mapping
from tieout.model import (
    AnyRecord,
    ClosedPeriod,
    Company,
    ControlBalance,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Payment,
    magnitude,
)

log = logging.getLogger("tieout.sage_x3")
Native = Mapping[str, Any]
Clock = Callable[[], datetime]
Row = Mapping[str, str]
_KINDS: Mapping[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: ("BPC",),
    Entity.INVOICE: ("SIH", "BIC"),
    Entity.CREDIT_MEMO: ("SIH", "BIC"),
    Entity.PAYMENT: ("PAY",),
    Entity.ADJUSTMENT: ("PAY",),
}
_HELD: Mapping[str, tuple[Entity, ...]] = {
    kind: tuple(entity for entity, kinds in _KINDS.items() if kind in kinds) for kind in KEYS
}
# The fewer records that stand in the same objects; a run asks for them afterwards.
_BESIDE = {Entity.INVOICE: Entity.CREDIT_MEMO, Entity.PAYMENT: Entity.ADJUSTMENT}
_DAY_AROUND, _MONTH = timedelta(days=1), timedelta(days=31)
_TAKEN_OFF = frozenset({"discount", "write_off", "withholding", "deduction"})


_HOME = "CPYCUR"
_OWN_CURRENCY = 'set currency = "{}" in [connection.{}], or name in `sites` the sites of the company that you mean'


@dataclass
class _Kept:
    """Records that were read on the way, and the cursor of that read."""

    seen: list[Observation]
    cursor: str | None


class SageX3Connector:
    """One connection. Made by `open_sage_x3`. `company()` starts a round: blocks and open items are read anew."""

    def __init__(self, name: str, settings: SageX3Settings, wire: Wire, *, clock: Clock, settle: int) -> None:
        self._name, self._settings, self._wire, self._clock = name, settings, wire, clock
        self._objects = Objects(wire, settings.services, most=settings.list_limit)
        self._books = books_of(name, settings)
        self._items = OpenItems(name, self._objects, settings, self._books)
        self._feed = _feed(self._objects, settings, clock)
        self._capabilities = self._declare(settle)
        self._kept: dict[Entity, _Kept] = {}

    def __repr__(self) -> str:
        return f"SageX3Connector({self._name!r}, {self._wire!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def requests(self) -> int:
        """SOAP calls sent so far."""
        return self._wire.requests

    @property
    def volume(self) -> tuple[int, int]:
        """Bytes (sent, received) so far: X3's licence limits them (WSSIZELIMIT)."""
        return self._wire.volume.sent, self._wire.volume.received

    def _declare(self, settle: int) -> Capabilities:
        own, there = self._settings, self._objects.published
        reads: set[Entity] = {e for e, kinds in _KINDS.items() if there(*kinds)} - {Entity.ADJUSTMENT}
        if "PAY" in own.services and _TAKEN_OFF & set(own.attributes.values()):
            reads.add(Entity.ADJUSTMENT)
        writes: dict[Entity, frozenset[Op]] = {}
        if "BPC" in own.services and own.customer_category and own.tax_rule:
            writes[Entity.CUSTOMER] = frozenset({Op.CREATE, Op.UPDATE})
        if own.enter_as in own.services and own.site:
            writes |= {Entity.INVOICE: frozenset({Op.CREATE})} if own.invoice_type else {}
            writes |= {Entity.CREDIT_MEMO: frozenset({Op.CREATE})} if own.credit_type else {}
        if "PAY" in own.services and own.site and own.applied_as:
            writes[Entity.PAYMENT] = frozenset({Op.CREATE})
        fields = {e: mapping.fields_of(e, self._books) for e in reads - {Entity.ADJUSTMENT}}
        if Entity.CREDIT_MEMO in fields and {"GAS", "open_items"} <= own.services.keys():
            fields[Entity.CREDIT_MEMO] |= {"applications"}
        return Capabilities(
            reads=frozenset(reads),
            writes=writes,
            fields=fields,
            strategy=Strategy.SEARCHABLE_MARKER,
            by_id=True,
            delta=self._feed is not None,
            tells_removals=self._feed is None or self._feed.removals,
            versioned=False,
            settle=settle,
            searchable=True,
            periods_readable=own.closed_through is not None,
            derives_open="open_items" in own.services,
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def company(self) -> Company:
        """The company as configured. X3 does not name itself to web services; a known customer tells it apart.

        Raises AuthError for another name under that customer's code, or none.
        """
        self._objects.forget()
        self._items.forget()
        self._kept = {}
        own, known = self._settings, self._settings.known_customer
        if known is not None:
            self._expect(known)
        else:
            self._objects.listed("BPC" if "BPC" in own.services else next(iter(self._objects.published(*KEYS))))
        through = own.closed_through
        return Company(
            id=own.company,
            name=own.company,
            entity_codes=own.own_sites,
            home_currency=own.currency,
            closed=(ClosedPeriod(entity_code=None, module=None, through=through),) if through else (),
            time_zone=own.time_zone,
        )

    def missing(self) -> tuple[str, ...]:
        """What this connection is set up to use and X3 does not give, each in a sentence, for `tieout check`."""
        feed = self._feed.refused() if self._feed is not None else ()
        return (*self._objects.refused(), *feed, *self._misnamed_currency())

    def _misnamed_currency(self) -> Iterator[str]:
        """That X3 keeps the books in another currency than the connection says, where the first document shows it."""
        for kind in self._objects.published("SIH", "BIC", "PAY"):
            for seen in self._observed(told) if (told := self._objects.first(kind)) is not None else ():
                if other := _other_books(seen):
                    yield self._books_in(other)
                return

    def _books_in(self, currency: str) -> str:
        said = f"`currency` of the connection says {self._settings.currency}"
        return f"X3 keeps the company of these documents in {currency} ({_HOME}), {said}"

    def _expect(self, known: KnownCustomer) -> None:
        wrong = f"X3 does not know customer {known.code} as {known.name!r}: other books than configured"
        try:
            told = self._objects.read("BPC", known.code)
        except NotFoundError:
            raise AuthError(wrong, hint="check `pool` and `known_customer` of the connection") from None
        found = mapping.read(Entity.CUSTOMER, told, self._books)
        if not isinstance(found, Customer) or found.name != known.name:
            raise AuthError(wrong, hint="check `pool` and `known_customer` of the connection")

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:
        """Every object, or with a change feed those that it names since the cursor; see `Connector.pull`."""
        if entity not in self._capabilities.reads:
            raise ReadOnlyError(f"{self._name} publishes no service for a {entity}")
        feed = self._feed
        pull = Pull(iter(()), full=feed is None or cursor is None or not feed.knows(cursor))
        if feed is None or cursor is None or pull.full:
            pull.observations = self._all(entity, pull)
        else:
            pull.observations = self._since(entity, cursor, feed, pull)
        return pull

    def _all(self, entity: Entity, pull: Pull) -> Iterator[Observation]:
        kept = self._kept.pop(entity, None)
        if kept is None:
            kept = _Kept([], None)
            found = self._swept(entity, kept)
        else:
            found = iter(kept.seen)
        read = 0
        for seen in found:
            read += 1
            yield seen
        pull.proof = {"read": read, "by": "the left list was the same before and after"}
        pull.cursor, pull.complete = kept.cursor, True

    def _swept(self, entity: Entity, done: _Kept) -> Iterator[Observation]:
        """Every object of an entity. done: gets the cursor for the next look.

        What else the same objects hold is kept for the pull that asks for it, with the same cursor.
        """
        beside = _BESIDE.get(entity)
        aside = _Kept([], None)
        start, newest = (self._feed.start(), "") if self._feed else (None, "")
        ours, other = 0, ""
        for kind in self._objects.published(*_KINDS[entity]):
            for told in self._objects.sweep(kind, self._may_be_ours):
                newest = max(newest, str(told["fields"].get("WW_MODSTAMP") or ""))
                for seen in self._observed(told):
                    if seen.entity is entity:
                        books = _other_books(seen)
                        ours, other = ours + (not books), other or books
                        yield seen
                    elif seen.entity is beside:
                        aside.seen.append(seen)
        if other and not ours:
            raise ConfigError(f"{self._name}: {self._books_in(other)}", hint=_OWN_CURRENCY.format(other, self._name))
        done.cursor = aside.cursor = self._feed.cursor(start, newest) if self._feed else None
        if beside in self._capabilities.reads:
            self._kept[beside] = aside

    def _since(self, entity: Entity, cursor: str, feed: Feed, pull: Pull) -> Iterator[Observation]:
        kinds = self._objects.published(*_KINDS[entity])
        changed, then = feed.since(cursor, kinds)
        live = {(kind, key) for kind, key in changed.keys if kind in kinds}
        for kind, key in (*changed.keys, *changed.gone):
            if kind == "DUD":
                entry, _, rest = key.partition("~")
                number, paid = rest.partition("~")[0], entry in self._settings.payment_entries
                live |= {(k, number) for k in kinds if (k == "PAY") == paid}
        count = 0
        for kind in kinds:
            for _, told in self._objects.each(kind, sorted(key for k, key in live if k == kind)):
                for seen in self._observed(told) if told is not None else ():
                    if seen.entity is entity:
                        count += 1
                        yield seen
        gone = {key for kind, key in changed.gone if kind in kinds}
        for key in sorted(gone):
            yield Observation(entity, key, {"object": kinds[0], "key": key}, None, None, Existence.DELETED)
        pull.proof = {"by": self._settings.strategy, "changed": count, "gone": len(gone)}
        pull.cursor, pull.complete = then, True

    def get(self, entity: Entity, id: str) -> Observation:
        """The record as it is now; NotFoundError only if no left list has it."""
        key = id.rpartition("/")[0] if entity is Entity.ADJUSTMENT else id
        for kind in self._objects.published(*_KINDS.get(entity, ())):
            try:
                told = self._objects.read(kind, key)
            except NotFoundError:
                continue
            for seen in self._observed(told, alone=True):
                if seen.entity is entity and (seen.id == id or isinstance(seen.record, RecordError)):
                    return replace(seen, id=id)
        raise NotFoundError(f"{self._name}: X3 has no {entity} {id}")

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        """Records that carry the marker, or could be `like`. X3 cannot search for a reference: candidates are read.

        With `like`, its customer's documents of the days around, or customers of the name; without, everything. Beside
        a marker the days are a month, as X3 may have dated a document otherwise, and what cannot be read but may be it
        is named too.
        """
        wanted = self.represent(like) if like is not None else None
        return [seen for seen in self._read_candidates(entity, marker, like) if _fits(seen, marker, wanted)]

    def _read_candidates(self, entity: Entity, marker: str | None, like: AnyRecord | None) -> Iterator[Observation]:
        for kind in self._objects.published(*_KINDS.get(entity, ())):
            wanted = [row for row in self._objects.listed(kind) if self._may_be(row, kind, marker, like)]
            for _, told in self._objects.each(kind, sorted({row.get(KEYS[kind], "").strip() for row in wanted})):
                if told is not None:
                    yield from (seen for seen in self._observed(told, alone=True) if seen.entity is entity)

    def _may_be(self, row: Row, kind: str, marker: str | None, like: AnyRecord | None) -> bool:
        """Whether a line of the left list could be `like`; a column that it does not show tells nothing."""
        if like is None or not self._may_be_ours(row):
            return like is None
        if isinstance(like, Customer):
            head: str = mapping.create(like, self._books)["fields"]["BPCNAM"]
            return row.get("BPCNAM", head).casefold() == head.casefold()
        if row.get(PARTNER[kind], like.customer).strip() != like.customer:
            return False
        try:
            on = datetime.strptime(row.get(DAY[kind], "").strip(), "%Y%m%d").date()
        except ValueError:
            return True
        return abs(on - like.posted) <= (_MONTH if marker is not None else _DAY_AROUND)

    def _may_be_ours(self, row: Row) -> bool:
        """Whether a line of the left list says no site that another connection has to do with."""
        site = (row.get("SALFCY") or row.get("FCY") or "").strip()
        return not site or not self._books.sites or site in self._books.sites

    def control_balances(self, as_of: date) -> list[ControlBalance]:
        """What the open items of each control account add up to now; X3 shows them as of today only."""
        return [] if as_of < self._clock().date() else self._items.balances(as_of)

    def _observed(self, told: Native, *, alone: bool = False) -> Iterator[Observation]:
        """What one object says: a customer, a document unless it is pro-forma, a payment and what it takes off.

        alone: look up the open items of its customer only, and name a document of another site, as it was asked for
        """
        kind, said = told["object"], False
        id = str(told["fields"].get(KEYS[kind], "")).strip()
        try:
            if "hidden" in told:
                raise mapping.Unreadable("", "", f"X3 lists it and does not show it: {told['hidden']}")  # noqa: TRY301
            if kind == "BPC":
                yield self._made(Entity.CUSTOMER, id, told)
                return
            if (site := mapping.foreign_site(told, self._books)) is not None:
                if not alone:
                    return
                raise mapping.Unreadable("FCY", site, "is a site that `sites` of the connection does not name")  # noqa: TRY301
            if (currency := mapping.foreign_books(told, self._books)) is not None:
                raise mapping.Unreadable(_HOME, currency, "is the currency of another company")  # noqa: TRY301
            told = self._items.beside(told, id, alone=alone)
            if kind == "PAY":
                yield self._made(Entity.PAYMENT, id, told)
                said = True
                if Entity.ADJUSTMENT in self._capabilities.reads:
                    for one in list(mapping.adjustments(told, self._books)):
                        yield Observation(Entity.ADJUSTMENT, one.ref.id, told, one, None)
            elif mapping.is_accounted(told, self._books):
                credit = mapping.is_credit(told, self._books)
                yield self._made(Entity.CREDIT_MEMO if credit else Entity.INVOICE, id, told)
        except mapping.Unreadable as why:
            for entity in _HELD[kind]:
                if entity in self._capabilities.reads and not (said and entity is Entity.PAYMENT):
                    yield self._unreadable(entity, id, told, why)

    def _unreadable(self, entity: Entity, id: str, told: Native, why: mapping.Unreadable) -> Observation:
        """An object that does not say what it is may be a record of each of its entities: none counts as gone."""
        known = f"{id}/" if entity is Entity.ADJUSTMENT else id
        error = RecordError(self._name, why.path, why.value, why.reason, entity=entity.value, ref=known)
        return Observation(entity, known, told, error, None)

    def _made(self, entity: Entity, id: str, told: Native) -> Observation:
        record = mapping.read(entity, told, self._books)
        version = str(told["fields"].get("WW_MODSTAMP") or "") or None
        gone = isinstance(record, Customer) and not record.active
        existence = Existence.INACTIVE if gone else Existence.LIVE
        return Observation(entity, id, told, record, version, existence, version)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def represent(self, record: AnyRecord) -> AnyRecord:
        return mapping.represent(record, self._books)

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:  # noqa: ARG002  there is no key in X3
        """Enter the record and, where an action is configured for it, post it. Sent once each.

        A refusal to post leaves the document entered: it is read back as a draft, and shows as one.
        """
        self._allowed(record.entity, Op.CREATE)
        self._open_period(record)
        made = self._told(mapping.create, record.model_copy(update={"marker": marker}))
        body = self._placed(made)
        reply = self._sent("save", made["object"], record, marker, objectXml=body)
        id = self._key_of(made["object"], reply)
        if isinstance(record, Invoice | CreditMemo) and self._settings.post_action:
            try:
                self._post(made["object"], id, self._settings.post_action)
            except WriteError as why:  # the document is there: it is read back, and what is missing is done by `finish`
                log.warning("%s: whether %s %s is posted is not known: %s", self._name, made["object"], id, why)
        return Written(id, raw=None)

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:  # noqa: ARG002
        self._allowed(record.entity, Op.UPDATE)
        merged = self._told(mapping.put, record, before.raw)
        fields = {n: v for n, v in merged["fields"].items() if v != before.raw["fields"].get(n)}
        grids = [rows for at, rows in enumerate(merged["grids"]) if rows != _at(before.raw["grids"], at)]
        if not fields and not grids:
            return Written(before.id, before.version)
        if before.version is not None:
            fields["WW_MODSTAMP"] = before.version
        kind = merged["object"]
        body = self._placed({"object": kind, "fields": fields, "grids": grids}, like=before.id)
        keys = [{"key": KEYS[kind], "value": before.id}]
        self._sent("modify", kind, record, None, objectKeys=keys, objectXml=body)
        return Written(before.id)

    def void(self, before: Observation, *, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"X3 voids nothing: take {before.entity} {before.id} back there with a document of its own")

    def delete(self, before: Observation, *, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"tieout deletes nothing in X3: {before.entity} {before.id} is a person's work")

    def flush(self, *, run: str) -> list[str]:  # noqa: ARG002  nothing is buffered
        return []

    def close(self) -> None:
        self._wire.close()

    def _allowed(self, entity: Entity, op: Op) -> None:
        if not self._capabilities.can(entity, op):
            raise ReadOnlyError(
                f"{self._name} cannot {op} a {entity} in X3, or lacks the settings that it needs for it"
            )

    def _open_period(self, record: AnyRecord) -> None:
        through = self._settings.closed_through
        if through and not isinstance(record, Customer) and record.posted <= through:
            raise PeriodClosed(f"{self._name}: {record.posted} lies in a closed period (closed through {through})")

    def _told(self, translate: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
        try:
            return translate(*given, self._books)
        except (mapping.Unwritable, mapping.Unreadable) as why:
            raise Rejected(f"not sent to X3: {why}") from None

    def _placed(self, made: Native, like: str = "") -> str:
        """The object as PARAM, its fields in the blocks of today. Nothing is sent where a grid has no known block."""
        try:
            return param(made["fields"], made["grids"], self._learned(made["object"], like))
        except Unplaced as why:
            raise Rejected(f"not sent to X3: {why}", hint="publish its columns, or enter one document there") from None
        except TieoutError as why:
            raise NotSent(f"not sent: {why.message}") from None

    def _learned(self, kind: str, like: str) -> Blocks:
        """Where a publication's fields stand: from an object if there is one, else from its description."""
        known = self._objects.blocks.get(kind)
        if known is not None and known.heads and known.grids:
            return known
        found = self._objects.described(kind)
        key = like or next((row[KEYS[kind]] for row in self._objects.listed(kind)), "")
        if key and "hidden" not in self._objects.read(kind, key):
            seen = self._objects.blocks[kind]
            found = Blocks(found.heads | seen.heads, found.grids | seen.grids)
        self._objects.blocks[kind] = found
        return found

    def _sent(self, operation: str, kind: str, record: AnyRecord, marker: str | None, **parts: Any) -> Reply:
        """Send once. After a refusal of a create, whether the document is there already is looked up.

        Where X3 has not posted yet what the document is to settle, the refusal is one for now.
        """
        try:
            return self._wire.write(operation, publicName=self._settings.services[kind], **parts)
        except Refused as why:
            if marker is not None:
                there = self._there(record, marker, why)
                if there:
                    raise DuplicateNumber(f"X3 refuses it, and has it: {why}", existing_id=there) from None
                if waits := self._waits_for(record):
                    raise NotProcessed(f"X3 has not posted {waits} yet, and refuses it: {why}", alone=True) from None
            raise rejected(why, f"the {record.entity.value.replace('_', ' ')}") from None

    def _waits_for(self, record: AnyRecord) -> str:
        """The invoice that a refused document is to settle and that X3 has not posted; "" for none, or not known."""
        numbers: list[str] = []
        if isinstance(record, Payment):
            numbers += [one.invoice for one in record.applications if one.invoice]
        elif isinstance(record, CreditMemo) and record.original_invoice:
            numbers.append(record.original_invoice)
        try:
            return self._items.not_posted(dict.fromkeys(numbers))
        except TieoutError as error:
            log.warning("%s: whether X3 has posted %s is not known: %s", self._name, ", ".join(numbers), error.message)
            return ""

    def _there(self, record: AnyRecord, marker: str, why: Refused) -> str:
        """The id of a document that carries our reference, "" if there is none. In doubt the outcome is unknown."""
        try:
            found = self.search(record.entity, marker=marker, like=record)
        except TieoutError as error:
            raise UnknownOutcome(f"X3 refuses it ({why}), and what it has could not be read: {error.message}") from None
        ours = [seen.id for seen in found if not isinstance(seen.record, RecordError)]
        if found and not ours:
            raise UnknownOutcome(f"X3 refuses it ({why}), and has {found[0].id}, which cannot be read") from None
        return ours[0] if ours else ""

    def _key_of(self, kind: str, reply: Reply) -> str:
        try:
            told = native(kind, parsed(reply.result or ""), self._objects.blocks.setdefault(kind, Blocks()))
        except Unreadable as why:
            raise UnknownOutcome(f"X3's answer cannot be read: {why}") from None
        id = str(told["fields"].get(KEYS[kind], "")).strip()
        if not id:
            raise UnknownOutcome(f"X3's answer names no {KEYS[kind]}")
        return id

    def finish(self, entity: Entity, id: str) -> None:
        """Validate a document that was entered only, as its answer was lost before it could be validated."""
        action = self._settings.post_action
        if entity not in (Entity.INVOICE, Entity.CREDIT_MEMO) or not action:
            return
        for kind in self._objects.published("SIH", "BIC"):
            if self._objects.lists(kind, id):
                self._post(kind, id, action, logging.INFO)  # what stays a draft is a difference of its own
                return

    def _post(self, kind: str, id: str, action: str, level: int = logging.WARNING) -> None:
        """Validate a document. A refusal leaves it entered, and is logged at this level."""
        keys = [{"key": KEYS[kind], "value": id}]
        try:
            self._wire.write(
                "actionObjectKeys", publicName=self._settings.services[kind], actionCode=action, objectKeys=keys
            )
        except Refused as why:
            log.log(level, "%s: %s %s is entered, not posted: %s", self._name, kind, id, why)


def _other_books(seen: Observation) -> str:
    """The home currency of another company, where that is why a document cannot be read; else ""."""
    error = seen.record
    return error.value if isinstance(error, RecordError) and error.path == _HOME else ""


def _feed(objects: Objects, own: SageX3Settings, clock: Clock) -> Feed | None:
    if own.strategy == "subprogram":
        return Ticks(objects)
    return Exports(objects, own, clock) if own.strategy == "export_template" else None


def _at(grids: Any, at: int) -> Any:
    return grids[at] if at < len(grids) else None


def _fits(seen: Observation, marker: str | None, like: AnyRecord | None) -> bool:
    record = seen.record
    if isinstance(record, RecordError) and marker is not None:
        return "hidden" in seen.raw or mapping.carries(seen.raw, marker)
    if record is None or isinstance(record, RecordError):
        return False
    if marker is not None:
        return record.marker == marker
    if isinstance(like, Customer):
        return isinstance(record, Customer) and record.name.casefold() == like.name.casefold()
    if like is None or isinstance(record, Customer):
        return False
    near = abs(record.posted - like.posted) <= timedelta(days=1)
    return near and record.customer == like.customer and magnitude(record) == magnitude(like)


def open_sage_x3(
    name: str,
    *,
    settings: Mapping[str, Any],
    secrets: Mapping[str, str],
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    settle: int | None = None,
    attempts: int = 5,
) -> SageX3Connector:
    """A connector for one company of one X3 host; nothing is sent yet. Raises ConfigError with every problem.

    settings: as `SageX3Settings` · secrets: `password`
    """
    try:
        own = SageX3Settings.model_validate(dict(settings))
    except ValidationError as error:
        found = tuple(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"[connection.{name}] is wrong", problems=found) from error
    if not secrets.get("password"):
        raise ConfigError(f"connection {name} has no password", hint="give `password` by reference")
    if problems := tuple(own.problems()):
        raise ConfigError(f"[connection.{name}] is wrong", problems=problems)
    timeout = own.timeout_seconds
    if settle is None:  # as long as we wait, as long again for a commit that comes late, and for the look afterwards
        settle = timeout * 2 + max(timeout, 120) + 30

    def transport(pace: Pace) -> Transport:
        return Transport(
            pace=pace,
            read_seconds=timeout,
            total_seconds=timeout * 2,
            ca_file=str(own.ca_file) if own.ca_file else None,
            reach=Reach(name, own.on_premises),
        )

    wire = Wire(
        checked_url(own.url, "url", on_premises=own.on_premises),
        own.user,
        secrets["password"],
        own.pool,
        own.language,
        transport,
        width=own.width,
        sleep=sleep,
        jitter=jitter,
        attempts=attempts,
        temporary=tuple(re.compile(pattern, re.IGNORECASE) for pattern in own.temporary),
    )
    return SageX3Connector(name, own, wire, clock=clock, settle=settle)
