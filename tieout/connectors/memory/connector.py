"""The reference connector: books held in memory, in as many shapes as real systems have, and able to fail on purpose.

`open_books(name, profile)` makes one for a test. The profiles are the write strategies of `Strategy`; what differs
besides is a `dataclasses.replace` of `Capabilities` or `Rules` away. `Faults` scripts what goes wrong, and when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from tieout.connectors import Capabilities, Connector, Observation, Op, Pull, Written
from tieout.connectors.memory.books import MemoryBooks
from tieout.connectors.memory.faults import Fault, FaultKind, Faults, SimulatedCrash
from tieout.connectors.memory.gate import cut
from tieout.connectors.memory.profiles import BLANK, DROPPABLE, FIELDS, PROFILES, STATED_ONLY
from tieout.connectors.memory.types import Clock, Request, Stored, date_of
from tieout.errors import (
    AuthError,
    ConfigError,
    FatalError,
    NotFoundError,
    NotProcessed,
    NotSent,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
    SignInRequired,
    UnknownOutcome,
)
from tieout.model import (
    AnyRecord,
    Company,
    ControlBalance,
    Customer,
    Entity,
    Existence,
    Ref,
    as_json,
    finer_than_currency,
    magnitude,
)


class MemoryConnector:
    """A `Connector` on `MemoryBooks`. The marker travels as the last line of the native note, as in QuickBooks."""

    page_size = 100

    def __init__(
        self,
        name: str,
        books: MemoryBooks,
        *,
        capabilities: Capabilities | None = None,
        faults: Faults | None = None,
        company_id: str | None = None,
        token: str = "",
    ) -> None:
        self._name = name
        self.books = books
        self._capabilities = capabilities or PROFILES["idempotency_key"].capabilities
        self.faults = faults or Faults()
        self._company_id = company_id
        self._token = token
        self._buffer: list[Request] = []

    def __repr__(self) -> str:
        return f"MemoryConnector({self._name!r}, company={self.books.company_id!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # --- reading

    def company(self) -> Company:
        self._read("company", None)
        company = self.books.company(periods=self._capabilities.periods_readable)
        if self._company_id is not None and company.id != self._company_id:
            raise AuthError(
                f"connection {self._name}: these are the books of {company.id}, not of {self._company_id}",
                hint=f"tieout connect {self._name}",
            )
        return company

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:
        if entity not in self._capabilities.reads:
            raise ReadOnlyError(f"connection {self._name} does not read {entity}")
        since = self._since(cursor)
        pull = Pull(observations=iter(()), full=since is None)
        pull.observations = self._observations(pull, entity, since)
        return pull

    def _since(self, cursor: str | None) -> datetime | None:
        if cursor is None or not self._capabilities.delta:
            return None
        try:
            since = datetime.fromisoformat(cursor)
        except ValueError as error:
            raise FatalError(f"connection {self._name}: {cursor!r} is not a cursor of this connection") from error
        horizon = timedelta(days=self._capabilities.horizon_days)
        return None if horizon and self.books.now() - since > horizon else since

    def _observations(self, pull: Pull, entity: Entity, since: datetime | None) -> Iterator[Observation]:
        fault = self._read("pull", entity)
        kind = fault.kind if fault else None
        start = self.books.now().replace(microsecond=0)
        seen = 0
        if kind is not FaultKind.EMPTY:
            rows = self._in_scope(entity, since)
            rows = rows[:-1] if kind is FaultKind.SHORT_LIST else rows
            for at, stored in enumerate(rows):
                if kind is FaultKind.TRUNCATE and at * 2 >= len(rows):
                    raise RetriableError(f"connection {self._name}: page {at // self.page_size + 1} of {entity} failed")
                yield self._listed(stored, fault, first=at == 0)
                seen += 1
            if kind is FaultKind.TRUNCATE:
                raise RetriableError(f"connection {self._name}: the last page of {entity} failed")
        counted = len(self._in_scope(entity, since))
        pull.proof = {"read": seen, "counted": counted}
        pull.complete = seen == counted and kind is not FaultKind.EMPTY
        pull.cursor = start.isoformat() if self._capabilities.delta else None
        pull.as_of = None if self._capabilities.synchronous else start.date()
        if kind is FaultKind.CRASH_AFTER:
            raise SimulatedCrash("after reading")

    def _in_scope(self, entity: Entity, since: datetime | None) -> list[Stored]:
        """Live records of the whole books, or all that changed in or after the second of `since`, tombstones too."""
        rows = self.books.rows(entity)
        if since is None:
            return [s for s in rows if s.existence is not Existence.DELETED]
        return [s for s in rows if s.changed.replace(microsecond=0) >= since]

    def _listed(self, stored: Stored, fault: Fault | None, *, first: bool) -> Observation:
        id = stored.record.ref.id
        hit = fault is not None and (fault.id == id or (not fault.id and first))
        if fault and hit and fault.kind is FaultKind.TOMBSTONE_LIE:
            return self._tombstone(stored)
        if fault and hit and fault.kind is FaultKind.BAD_RECORD:
            return self._observe(replace(stored, unreadable="made unreadable by the test"))
        if fault and fault.kind is FaultKind.STALE_LIST and stored.previous is not None:
            return self._observe(stored.previous)
        return self._observe(stored)

    def _tombstone(self, stored: Stored) -> Observation:
        record = stored.record
        raw = {"id": record.ref.id, "status": "Deleted"}
        return Observation(record.entity, record.ref.id, raw, None, None, Existence.DELETED, _stamp(stored))

    def _observe(self, stored: Stored) -> Observation:
        if stored.existence is Existence.DELETED:
            return self._tombstone(stored)
        entity, id = stored.record.entity, stored.record.ref.id
        version = str(stored.version) if self._capabilities.versioned else None
        raw = self._native(stored)
        record: AnyRecord | RecordError
        if stored.unreadable is not None:
            raw["posted"] = raw["name"] = "\ufffd"
            record = RecordError(self._name, "posted", "\ufffd", stored.unreadable, entity=entity.value, ref=id)
        else:
            ref = Ref(connection=self._name, id=id, number=stored.record.ref.number, version=version)
            record = self._reported(stored.record).model_copy(update={"ref": ref})
        return Observation(entity, id, raw, record, version, stored.existence, _stamp(stored))

    def _reported(self, record: AnyRecord) -> AnyRecord:
        return self.books.derived(record) if self._capabilities.derives_open else record

    def _native(self, stored: Stored) -> dict[str, Any]:
        """The payload: canonical names, the marker as the last line of the note, and what nobody maps."""
        raw = as_json(stored.record)
        marker = raw.pop("marker")
        note = [text for text in (raw.pop("memo", None), marker and f"[tieout {marker}]") if text]
        return {**raw, "note": "\n".join(note), **stored.extra}

    def get(self, entity: Entity, id: str) -> Observation:
        if not self._capabilities.by_id:
            raise ReadOnlyError(f"connection {self._name} cannot read one {entity}")
        fault = self._read("get", entity)
        try:
            stored = self.books.stored(entity, id)
        except KeyError:
            raise NotFoundError(f"connection {self._name}: there is no {entity} {id!r}") from None
        if stored.existence is Existence.DELETED:
            raise NotFoundError(f"connection {self._name}: {entity} {id!r} was deleted")
        if fault is not None and fault.kind is FaultKind.BAD_RECORD and fault.id in ("", id):
            stored = replace(stored, unreadable="made unreadable by the test")
        return self._observe(stored)

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        self._read("search", entity)
        latest = self.books.now() - timedelta(seconds=self.books.rules.search_lag)
        return [
            self._observe(stored)
            for stored in self.books.rows(entity)
            if stored.existence is not Existence.DELETED
            and stored.changed <= latest
            and (
                (marker is not None and stored.record.marker == marker)
                or (like is not None and _alike(stored.record, like))
            )
        ]

    def represent(self, record: AnyRecord) -> AnyRecord:
        kept = self._capabilities.fields.get(record.entity, frozenset())
        lost = (DROPPABLE[record.entity] - kept) | (STATED_ONLY & set(type(record).model_fields))
        blank = {name: BLANK.get(name) for name in lost if getattr(record, name) != BLANK.get(name)}
        return cut(self.books.rules, record.model_copy(update=blank) if blank else record)

    def control_balances(self, as_of: date) -> list[ControlBalance]:
        self._read("company", None)
        return [
            ControlBalance(
                connection=self._name,
                account="AR",
                as_of=as_of,
                amount=amount,
                currency=currency,
                report="receivables",
                parameters={"as_of": as_of.isoformat()},
            )
            for currency, amount in sorted(self.books.receivables(as_of).items())
        ]

    def _read(self, op: str, entity: Entity | None) -> Fault | None:
        """Count a read; raises what a fault says, or returns a fault that changes what is read."""
        if self._token != self.books.token:
            raise AuthError(f"connection {self._name}: the credentials are not accepted")
        self.books.settle()
        fault = self.faults.strike(op, entity)
        match fault.kind if fault else None:
            case FaultKind.THROTTLE:
                wait = fault.seconds if fault else None
                raise RetriableError(f"connection {self._name}: too many requests", retry_after=wait)
            case FaultKind.LOSE_REQUEST | FaultKind.LOSE_RESPONSE | FaultKind.LATE | FaultKind.NOT_SENT:
                raise RetriableError(f"connection {self._name}: no answer")
            case FaultKind.SIGNED_OUT:
                raise SignInRequired(f"connection {self._name}: sign in again", hint=f"tieout connect {self._name}")
            case FaultKind.CRASH_BEFORE:
                raise SimulatedCrash(f"before {op}")
            case _:
                return fault

    # --- writing

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:
        sent = self.represent(record)
        if not isinstance(sent, Customer) and finer_than_currency(magnitude(sent), sent.currency):
            raise Rejected(
                f"connection {self._name}: {magnitude(sent)} is finer than {sent.currency} has", code="amount"
            )
        return self._send(Request(Op.CREATE, record.entity, record=sent, key=key, marker=marker))

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:
        if before.record is None or isinstance(before.record, RecordError):
            raise NotSent(
                f"connection {self._name}: {before.entity} {before.id} could not be read, so it is not changed"
            )
        wanted, held = self.represent(record), before.record
        changes = {
            name: getattr(wanted, name)
            for name in sorted(self._capabilities.fields.get(before.entity, frozenset()) & FIELDS[before.entity])
            if getattr(wanted, name) != getattr(held, name)
        }
        return self._send(
            Request(Op.UPDATE, before.entity, before.id, changes=changes, version=before.version, key=key)
        )

    def void(self, before: Observation, *, key: str) -> Written:
        return self._send(Request(Op.VOID, before.entity, before.id, version=before.version, key=key))

    def delete(self, before: Observation, *, key: str) -> Written:
        return self._send(Request(Op.DELETE, before.entity, before.id, version=before.version, key=key))

    def _send(self, request: Request) -> Written:
        if not self._capabilities.can(request.entity, request.op):
            raise ReadOnlyError(f"connection {self._name} cannot {request.op} a {request.entity}")
        if self._token != self.books.token:
            raise NotProcessed(f"connection {self._name}: the credentials are not accepted", code="401")
        self.books.settle()
        fault = self.faults.strike(request.op.value, request.entity)
        self._fail_before(request, fault)
        written = self._deliver(request)
        match fault.kind if fault else None:
            case FaultKind.LOSE_RESPONSE:
                raise UnknownOutcome(f"connection {self._name}: no answer to the {request.op} of a {request.entity}")
            case FaultKind.CRASH_AFTER:
                raise SimulatedCrash(f"after {request.op}")
            case _:
                return written

    def _fail_before(self, request: Request, fault: Fault | None) -> None:
        what = f"connection {self._name}: the {request.op} of a {request.entity}"
        if fault is None:
            return
        match fault.kind:
            case FaultKind.NOT_SENT:
                raise NotSent(f"{what} could not be sent")
            case FaultKind.LOSE_REQUEST:
                raise UnknownOutcome(f"{what} was not answered")
            case FaultKind.LATE:
                self.books.later(request, fault.seconds)
                raise UnknownOutcome(f"{what} was not answered")
            case FaultKind.THROTTLE:
                raise NotProcessed(f"{what}: too many requests", retry_after=fault.seconds, code="429")
            case FaultKind.SIGNED_OUT:
                raise NotProcessed(f"{what}: sign in again", code="401")
            case FaultKind.CRASH_BEFORE:
                raise SimulatedCrash(f"before {request.op}")
            case _:
                return

    def _deliver(self, request: Request) -> Written:
        if not self._capabilities.synchronous:
            handed_over = (r for rows in (*self.books.outbox.values(), self._buffer) for r in rows)
            if not request.key or all(r.key != request.key for r in handed_over):
                self._buffer.append(request)
            return Written(id=request.id, pending=True)
        written = self.books.write(request)
        told = written if self._capabilities.versioned else replace(written, version=None, record=None)
        return replace(told, request_id=f"m{len(self.books.received)}")

    def flush(self, *, run: str) -> list[str]:
        """One file of this run's writes, visible to `books.import_outbox`. A run that wrote nothing leaves none."""
        if not self._buffer:
            return []
        fault = self.faults.strike("flush", None)
        if fault is not None and fault.kind is FaultKind.CRASH_BEFORE:
            raise SimulatedCrash("before flush")
        name = f"{len(self.books.outbox) + 1:06d}-{run}.json"
        self.books.outbox[name] = tuple(self._buffer)
        self._buffer = []
        if fault is not None and fault.kind is FaultKind.CRASH_AFTER:
            raise SimulatedCrash("after flush")
        return [name]

    def handed_over(self) -> frozenset[str]:
        return frozenset(r.key for rows in self.books.outbox.values() for r in rows)

    def close(self) -> None:
        self._buffer = []


def _stamp(stored: Stored) -> str:
    return stored.changed.replace(microsecond=0).isoformat()


def _alike(held: AnyRecord, wanted: AnyRecord) -> bool:
    if isinstance(held, Customer) or isinstance(wanted, Customer):
        return isinstance(held, Customer) and isinstance(wanted, Customer) and held.name == wanted.name
    return (
        held.customer == wanted.customer
        and abs(date_of(held) - date_of(wanted)) <= timedelta(days=1)
        and magnitude(held) == magnitude(wanted)
    )


def open_books(
    name: str = "books",
    profile: str = "idempotency_key",
    *,
    clock: Clock | None = None,
    faults: Faults | None = None,
    company_id: str = "",
    rules: Mapping[str, Any] | None = None,
    **capabilities: Any,
) -> MemoryConnector:
    """A connector on fresh books (`connector.books`). `rules` and `capabilities` replace single ones of the profile."""
    chosen = PROFILES[profile]
    company_id = company_id or name.upper()
    books = MemoryBooks(clock=clock, rules=replace(chosen.rules, **(rules or {})), company_id=company_id, name=name)
    caps = replace(chosen.capabilities, **capabilities)
    return MemoryConnector(name, books, capabilities=caps, faults=faults, company_id=company_id)


def open_memory(
    name: str, *, settings: Mapping[str, Any], secrets: Mapping[str, str] | None = None, clock: Clock | None = None
) -> Connector:
    """Open a connection of kind `memory`.

    settings: `profile` (a key of PROFILES), `company` (the expected company id), `books` (a MemoryBooks to share,
    from code only), `read_only`. secrets: `token`, if the books want one. Raises ConfigError listing every problem.
    """
    known = {"kind", "profile", "company", "books", "read_only"}
    problems = [f"connection {name}: unknown setting {key!r}" for key in sorted(set(settings) - known)]
    profile = settings.get("profile", "idempotency_key")
    if profile not in PROFILES:
        problems.append(f"connection {name}: profile {profile!r} is none of {', '.join(PROFILES)}")
    if problems:
        raise ConfigError(f"connection {name} is not configured right", problems=tuple(problems))
    chosen = PROFILES[profile]
    books = settings.get("books") or MemoryBooks(
        clock=clock, rules=chosen.rules, company_id=settings.get("company", name.upper()), name=name
    )
    caps = replace(chosen.capabilities, writes={}) if settings.get("read_only") else chosen.capabilities
    token = (secrets or {}).get("token", "")
    return MemoryConnector(name, books, capabilities=caps, company_id=settings.get("company"), token=token)
