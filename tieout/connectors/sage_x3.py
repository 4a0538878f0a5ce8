"""The Sage X3 connector: customers, invoices, credit memos and payments of one site, over its SOAP web services.

X3 keeps no idempotency key: our reference stands in the document, and a lost answer is settled by looking for it. What
was refused is searched for as well, since an installation may control references and refuse a second one.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tieout.connectors import Capabilities, Observation, Op, Pull, Strategy, Written
from tieout.connectors.http import Pace, Transport, checked_url
from tieout.connectors.sage_x3_objects import KEYS, Objects
from tieout.connectors.sage_x3_payload import Blocks, Unplaced, Unreadable, described, native, param
from tieout.connectors.sage_x3_wire import Refused, Reply, Wire, rejected
from tieout.errors import (
    AuthError,
    ConfigError,
    DuplicateNumber,
    NotFoundError,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    TieoutError,
    UnknownOutcome,
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
    magnitude,
)

log = logging.getLogger("tieout.sage_x3")
Native = Mapping[str, Any]
Clock = Callable[[], datetime]
SETTLE = 120 + 120 + 30  # our timeout, a late commit, the look afterwards
DOCUMENTS = (Entity.INVOICE, Entity.CREDIT_MEMO)
_KINDS: Mapping[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: ("BPC",),
    Entity.INVOICE: ("SIH", "BIC"),
    Entity.CREDIT_MEMO: ("SIH", "BIC"),
    Entity.PAYMENT: ("PAY",),
    Entity.ADJUSTMENT: ("PAY",),
}
_PARTNER = {"SIH": "BPCINV", "BIC": "BPR", "PAY": "BPR"}
_DAY = {"SIH": "INVDAT", "BIC": "ACCDAT", "PAY": "ACCDAT"}
_TAKEN_OFF = frozenset({"discount", "write_off", "withholding", "deduction"})


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownCustomer(_Settings):
    """A customer by whom the company is known: another name under its code is another company's books."""

    code: str
    name: str


class SageX3Settings(_Settings):
    """One connection; see docs/reference/config.md for each key."""

    url: str
    user: str
    pool: str
    language: str = "ENG"
    width: int = Field(default=2, ge=1, le=30)
    timeout_seconds: int = Field(default=120, ge=5)
    list_limit: int = Field(default=200_000, ge=1)
    company: str
    known_customer: KnownCustomer | None = None
    currency: str
    closed_through: date | None = None
    time_zone: str | None = None
    services: dict[str, str]
    strategy: Literal["key_sweep", "subprogram"] = "key_sweep"
    site: str = ""
    customer_category: str = ""
    tax_rule: str = ""
    terms: str = ""
    due_term: str | None = None
    invoice_type: str = ""
    credit_type: str = ""
    invoice_types: dict[str, str] = {}
    enter_as: Literal["SIH", "BIC"] = "SIH"
    post_action: str | None = None
    bank: str = ""
    applied_as: str = ""
    attributes: dict[str, str] = {}
    cancelled: tuple[str, ...] = ()
    payment_entries: tuple[str, ...] = ("PAY",)
    invoice_entries: tuple[str, ...] = ()


class SageX3Connector:
    """One connection. Made by `open_sage_x3`. `company()` starts a round: blocks and open items are read anew."""

    def __init__(self, name: str, settings: SageX3Settings, wire: Wire, *, clock: Clock, settle: int = SETTLE) -> None:
        self._name, self._settings, self._wire, self._clock = name, settings, wire, clock
        self._objects = Objects(wire, settings.services, most=settings.list_limit)
        self._books = _books(name, settings)
        self._capabilities = self._declare(settle)
        self._items: dict[tuple[bool, str], list[Mapping[str, str]]] | None = None
        self._stash: dict[Entity, list[Observation]] = {}

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
            delta=own.strategy != "key_sweep",
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
        self._items, self._stash = None, {}
        own, known = self._settings, self._settings.known_customer
        if known is not None:
            self._expect(known)
        else:
            self._objects.listed("BPC" if "BPC" in own.services else next(iter(self._objects.published(*KEYS))))
        through = own.closed_through
        return Company(
            id=own.company,
            name=own.company,
            entity_codes=(own.site,) if own.site else (),
            home_currency=own.currency,
            closed=(ClosedPeriod(entity_code=None, module=None, through=through),) if through else (),
            time_zone=own.time_zone,
        )

    def _expect(self, known: KnownCustomer) -> None:
        wrong = f"{self._name}: X3 does not know customer {known.code} as {known.name!r}: other books than configured"
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
        since = _tick(cursor) if cursor is not None and self._settings.strategy == "subprogram" else None
        pull = Pull(iter(()), full=since is None)
        pull.observations = self._all(entity, pull) if since is None else self._since(entity, since, pull)
        return pull

    def _all(self, entity: Entity, pull: Pull) -> Iterator[Observation]:
        tick = self._objects.changes(0).tick if self._settings.strategy == "subprogram" else None
        read = 0
        if entity in self._stash:
            found: Iterable[Observation] = self._stash.pop(entity)
        else:
            found = self._swept(entity)
        for seen in found:
            read += 1
            yield seen
        pull.proof = {"read": read, "by": "the left list was the same before and after"}
        pull.cursor = None if tick is None else json.dumps({"tick": tick})
        pull.complete = True

    def _swept(self, entity: Entity) -> Iterator[Observation]:
        """Every object of an entity; what else the same objects hold is kept for the pull that asks for it."""
        kept: dict[Entity, list[Observation]] = {}
        for kind in self._objects.published(*_KINDS[entity]):
            for told in self._objects.sweep(kind):
                for seen in self._observed(told):
                    if seen.entity is entity:
                        yield seen
                    else:
                        kept.setdefault(seen.entity, []).append(seen)
        others = DOCUMENTS if entity in DOCUMENTS else (Entity.PAYMENT, Entity.ADJUSTMENT)
        if entity is not Entity.CUSTOMER:
            self._stash |= {e: kept.get(e, []) for e in others if e is not entity}

    def _since(self, entity: Entity, tick: int, pull: Pull) -> Iterator[Observation]:
        changed = self._objects.changes(tick)
        kinds = self._objects.published(*_KINDS[entity])
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
        pull.proof = {"source": self._settings.services["changes"], "changed": count, "gone": len(gone)}
        pull.cursor, pull.complete = json.dumps({"tick": changed.tick}), True

    def get(self, entity: Entity, id: str) -> Observation:
        """The record as it is now; NotFoundError only if no left list has it."""
        key = id.rpartition("/")[0] if entity is Entity.ADJUSTMENT else id
        for kind in self._objects.published(*_KINDS.get(entity, ())):
            try:
                told = self._objects.read(kind, key)
            except NotFoundError:
                continue
            for seen in self._observed(told, alone=True):
                if seen.entity is entity and seen.id == id:
                    return seen
        raise NotFoundError(f"{self._name}: X3 has no {entity} {id}")

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        """Records that carry the marker, or could be `like`. X3 cannot search for a reference: candidates are read.

        With `like`, its customer's documents of that day (of the days around without a marker), or customers of the
        name; without, everything.
        """
        wanted = self.represent(like) if like is not None else None
        return [seen for seen in self._read_candidates(entity, marker, like) if _fits(seen, marker, wanted)]

    def _read_candidates(self, entity: Entity, marker: str | None, like: AnyRecord | None) -> Iterator[Observation]:
        for kind in self._objects.published(*_KINDS.get(entity, ())):
            for _, told in self._objects.each(kind, self._candidates(kind, marker, like)):
                if told is not None:
                    yield from (seen for seen in self._observed(told, alone=True) if seen.entity is entity)

    def _candidates(self, kind: str, marker: str | None, like: AnyRecord | None) -> list[str]:
        if like is None:
            rows = self._objects.listed(kind)
        elif isinstance(like, Customer):
            head = mapping.create(like, self._books)["fields"]["BPCNAM"]
            rows = [r for r in self._objects.listed(kind) if r.get("BPCNAM", head).casefold() == head.casefold()]
        else:
            near = range(-1, 2) if marker is None else range(1)
            days = {f"{like.posted + timedelta(days=n):%Y%m%d}" for n in near}
            rows = [
                r
                for r in self._objects.listed(kind, **{_PARTNER[kind]: like.customer})
                if r.get(_DAY[kind], next(iter(days))) in days
            ]
        return sorted({row.get(KEYS[kind], "").strip() for row in rows})

    def control_balances(self, as_of: date) -> list[ControlBalance]:
        """What the open items of each control account add up to now; X3 shows them as of today only."""
        if as_of < self._clock().date():
            return []
        sums: dict[tuple[str, str], Decimal] = {}
        for row in self._objects.open_items():
            key = row.get("SAC", ""), row.get("CUR", "")
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row.get("SNS") or 1) * mapping.open_of(row)
        report = self._settings.services.get("open_items", "")
        return [
            ControlBalance(
                connection=self._name,
                account=account,
                as_of=as_of,
                amount=amount,
                currency=currency,
                report=f"open items (GACCDUDATE) by {report}",
                parameters={"account": account, "currency": currency},
            )
            for (account, currency), amount in sorted(sums.items())
        ]

    def _observed(self, told: Native, *, alone: bool = False) -> Iterator[Observation]:
        """What one object says: a customer, a document unless it is pro-forma, a payment and what it takes off.

        alone: look up the open items of its customer only
        """
        kind = told["object"]
        id = str(told["fields"].get(KEYS[kind], "")).strip()
        if kind == "BPC":
            yield self._made(Entity.CUSTOMER, id, told)
            return
        told = self._with_items(told, id, alone=alone)
        if kind == "PAY":
            yield self._made(Entity.PAYMENT, id, told)
            if Entity.ADJUSTMENT in self._capabilities.reads:
                yield from self._taken_off(told)
            return
        try:
            if not mapping.is_accounted(told, self._books):
                return
            entity = Entity.CREDIT_MEMO if mapping.is_credit(told, self._books) else Entity.INVOICE
        except mapping.Unreadable:
            entity = Entity.INVOICE
        yield self._made(entity, id, told)

    def _taken_off(self, told: Native) -> Iterator[Observation]:
        try:
            found = list(mapping.adjustments(told, self._books))
        except mapping.Unreadable:
            return  # the payment itself says why it cannot be read
        for one in found:
            yield Observation(Entity.ADJUSTMENT, one.ref.id, told, one, None)

    def _made(self, entity: Entity, id: str, told: Native) -> Observation:
        record = mapping.read(entity, told, self._books)
        version = str(told["fields"].get("WW_MODSTAMP") or "") or None
        gone = isinstance(record, Customer) and not record.active
        existence = Existence.INACTIVE if gone else Existence.LIVE
        return Observation(entity, id, told, record, version, existence, version)

    def _with_items(self, told: Native, id: str, *, alone: bool) -> Native:
        if "open_items" not in self._settings.services:
            return told
        paid = told["object"] == "PAY"
        partner = str(told["fields"].get(_PARTNER[told["object"]], "")).strip()
        if alone and partner:
            items = self._sorted(self._objects.open_items(partner))
        else:
            if self._items is None:
                self._items = self._sorted(self._objects.open_items())
            items = self._items
        own = items.get((paid, id), [])
        told = {**told, "open_items": own}
        return {**told, "applications": self._matched(told, own)} if "GAS" in self._settings.services else told

    def _matched(self, told: Native, own: list[Mapping[str, str]]) -> list[dict[str, str]]:
        """What a credit memo was matched with, where that is plain: the invoice that it names, under the same code."""
        origin = mapping.origin_of(told)
        paid = sum((mapping.paid_of(row) for row in own), Decimal(0))
        if origin is None or not paid or not own:
            return []
        entry = own[0].get("TYP", "")
        mine = self._objects.letters(entry, own[0].get("NUM", "").strip())
        for type_ in self._settings.invoice_entries or (self._settings.invoice_type,):
            if mine & self._objects.letters(type_, origin):
                on = str(told["fields"].get(_DAY[told["object"]], ""))
                return [{"NUM": origin, "AMTCUR": f"{paid:f}", "ON": on}]
        return []

    def _sorted(self, rows: Iterable[Mapping[str, str]]) -> dict[tuple[bool, str], list[Mapping[str, str]]]:
        """Open items by document; a payment's number and an invoice's are told apart by the entry type."""
        found: dict[tuple[bool, str], list[Mapping[str, str]]] = {}
        for row in rows:
            paid = row.get("TYP", "") in self._settings.payment_entries
            found.setdefault((paid, row.get("NUM", "").strip()), []).append(row)
        return found

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
            self._post(made["object"], id)
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
        try:
            told = self._wire.read("getDescription", publicName=self._settings.services[kind]).result or ""
            found = described(told)
        except (Refused, Unreadable) as why:
            log.info("%s: no description of %s: %s", self._name, kind, why)
            found = Blocks()
        key = like or next((row[KEYS[kind]] for row in self._objects.listed(kind)), "")
        if key:
            self._objects.read(kind, key)
            seen = self._objects.blocks[kind]
            found = Blocks(found.heads | seen.heads, found.grids | seen.grids)
        self._objects.blocks[kind] = found
        return found

    def _sent(self, operation: str, kind: str, record: AnyRecord, marker: str | None, **parts: Any) -> Reply:
        """Send once. After a refusal of a create, whether the document is there already is looked up."""
        try:
            return self._wire.write(operation, publicName=self._settings.services[kind], **parts)
        except Refused as why:
            if marker is not None:
                there = self._there(record, marker, why)
                if there:
                    raise DuplicateNumber(f"X3 refuses it, and has it: {why}", existing_id=there) from None
            raise rejected(why, f"a {record.entity}") from None

    def _there(self, record: AnyRecord, marker: str, why: Refused) -> str:
        """The id of a document that carries our reference, "" if there is none. In doubt the outcome is unknown."""
        try:
            found = self.search(record.entity, marker=marker, like=record)
        except TieoutError as error:
            raise UnknownOutcome(f"X3 refuses it ({why}), and what it has could not be read: {error.message}") from None
        return found[0].id if found else ""

    def _key_of(self, kind: str, reply: Reply) -> str:
        try:
            told = native(kind, reply.result or "", self._objects.blocks.setdefault(kind, Blocks()))
        except Unreadable as why:
            raise UnknownOutcome(f"X3's answer cannot be read: {why}") from None
        id = str(told["fields"].get(KEYS[kind], "")).strip()
        if not id:
            raise UnknownOutcome(f"X3's answer names no {KEYS[kind]}")
        return id

    def _post(self, kind: str, id: str) -> None:
        """Validate a document. Whatever comes of it, the document is there, and is read back as what it is."""
        keys = [{"key": KEYS[kind], "value": id}]
        service, action = self._settings.services[kind], self._settings.post_action
        try:
            self._wire.write("actionObjectKeys", publicName=service, actionCode=action, objectKeys=keys)
        except (Refused, TieoutError) as why:
            log.warning("%s: %s %s is entered, not posted: %s", self._name, kind, id, why)


def _books(name: str, own: SageX3Settings) -> mapping.Books:
    return mapping.Books(
        name,
        own.currency,
        site=own.site,
        category=own.customer_category,
        tax_rule=own.tax_rule,
        terms=own.terms,
        invoice_type=own.invoice_type,
        credit_type=own.credit_type,
        ledger_invoices=own.enter_as == "BIC",
        due_term=own.due_term if "open_items" in own.services else None,
        types=own.invoice_types,
        attributes=own.attributes,
        applied_as=own.applied_as,
        bank=own.bank,
        cancelled=frozenset(own.cancelled),
    )


def _tick(cursor: str) -> int | None:
    try:
        told = json.loads(cursor, parse_float=Decimal)["tick"]
    except (ValueError, KeyError, TypeError):
        return None
    return told if isinstance(told, int) and told >= 0 else None


def _at(grids: Any, at: int) -> Any:
    return grids[at] if at < len(grids) else None


def _fits(seen: Observation, marker: str | None, like: AnyRecord | None) -> bool:
    record = seen.record
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
    settle: int = SETTLE,
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
    if own.strategy == "subprogram" and "changes" not in own.services:
        raise ConfigError(f"[connection.{name}] strategy: `subprogram` needs the service `changes`")
    timeout = own.timeout_seconds

    def transport(pace: Pace) -> Transport:
        return Transport(pace=pace, read_seconds=timeout, total_seconds=timeout * 2)

    wire = Wire(
        checked_url(own.url, "url"),
        own.user,
        secrets["password"],
        own.pool,
        own.language,
        transport,
        width=own.width,
        sleep=sleep,
        jitter=jitter,
        attempts=attempts,
    )
    return SageX3Connector(name, own, wire, clock=clock, settle=settle)
