"""An ERP that speaks in files: it is read from the exports it drops, and written to through import files.

Nothing is confirmed by the ERP: what was handed over is *pending* until a later export shows it. The ERP's own files
are never moved, changed or deleted. The state of what was read belongs to the engine; a pull's `proof` names it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tieout.connectors import Capabilities, Observation, Op, Pull, Strategy, Written
from tieout.connectors.tabular import export_sets
from tieout.connectors.tabular.export_reading import Reading, Source, read_set
from tieout.connectors.tabular.outbox import Files, Item, Outbox
from tieout.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
)
from tieout.mapping import written
from tieout.mapping.home_currency import contradicted
from tieout.mapping.tabular import load_profile
from tieout.mapping.writing import Change, ImportProfile, Rows, encode, load_import_profile, rows
from tieout.model import (
    AnyRecord,
    ClosedPeriod,
    Company,
    ControlBalance,
    Customer,
    Document,
    Entity,
    PostingState,
    magnitude,
)
from tieout.plaintext import counted

Clock = Callable[[], datetime]
_LOG = logging.getLogger("tieout.tabular")
_STEMS = {
    Entity.CUSTOMER: "customers",
    Entity.INVOICE: "invoices",
    Entity.CREDIT_MEMO: "credit-memos",
    Entity.PAYMENT: "payments",
}
_DOCUMENTS = (Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
# The order of files in a hand-over: what others refer to first, what frees an invoice before the invoice is voided.
_ORDER: tuple[tuple[Entity, Op], ...] = (
    *((entity, Op.CREATE) for entity in _STEMS),
    *((entity, Op.UPDATE) for entity in _STEMS),
    *((entity, Op.APPLY) for entity in _DOCUMENTS),
    *((entity, Op.VOID) for entity in reversed(_DOCUMENTS)),
)
_SUFFIXES = {Op.CREATE: "", Op.UPDATE: "-changes", Op.APPLY: "-applications", Op.VOID: "-voids"}
Profiles = Mapping[Op, ImportProfile]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Export(_Settings):
    """Files that the ERP drops. entity: what all rows are, where the profile leaves it open; others are left out."""

    glob: str
    profile: str
    entity: Entity | None = None
    entity_code: str | None = None
    scope: Literal["all", "open", "period"] | None = None


class TabularSettings(_Settings):
    """One connection. company: a name, or `{id, name}`; with an id, exports of another company are refused.

    imports: profiles of the import files per entity; several, where they take different operations
    settle_seconds: rest after which a file without manifest counts as finished
    entity_code: legal entity of records that name none, read or written; default the only one of `exports`
    closed_through: the ERP's last closed day, inclusive
    """

    folder: Path
    exports: tuple[Export, ...] = Field(min_length=1)
    outbox: Path | None = None
    imports: dict[Entity, str | tuple[str, ...]] = {}
    company: str | dict[str, str] | None = None
    currency: str
    settle_seconds: int = Field(default=60, ge=0)
    entity_code: str | None = None
    closed_through: date | None = None
    time_zone: str | None = None


def open_tabular(
    name: str,
    *,
    settings: Mapping[str, Any],
    secrets: object = None,  # noqa: ARG001  every opener takes them; files need none
    clock: Clock | None = None,
    files: Files | None = None,
) -> TabularConnector:
    """A connection to an ERP's files. Raises ConfigError (ProfileError) with every problem; reads no export yet."""
    try:
        parsed = TabularSettings.model_validate(dict(settings))
    except ValidationError as error:
        found = tuple(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"[connection.{name}] is wrong", problems=found) from error
    return TabularConnector(name, parsed, clock=clock or (lambda: datetime.now(UTC)), files=files)


class TabularConnector:
    """See the module. `company()` starts a round: what is pulled after it comes from one and the same export set."""

    def __init__(self, name: str, settings: TabularSettings, *, clock: Clock, files: Files | None = None) -> None:
        if settings.imports and settings.outbox is None:
            raise ConfigError(
                f"[connection.{name}] has `imports` but no `outbox`", hint="name the folder from which the ERP imports"
            )
        self._name, self._settings, self._clock = name, settings, clock
        self._sources = tuple(self._source(e) for e in settings.exports)
        self._imports = {entity: self._profiles(entity, given) for entity, given in settings.imports.items()}
        self._name_customers = not any(Entity.CUSTOMER in s.entities for s in self._sources)
        codes = {s.code for s in self._sources if s.code}
        self._entity_code = settings.entity_code or (codes.pop() if len(codes) == 1 else None)
        self._outbox = Outbox(settings.outbox, clock=clock, files=files) if settings.outbox else None
        self._capabilities = self._declare()
        self._reading: Reading | None = None
        self._pulled: set[Entity] = set()
        self._emitted: set[str] | None = None
        self._buffer: dict[tuple[Entity, Op], list[tuple[Item, Rows]]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def _declare(self) -> Capabilities:
        reads: dict[Entity, frozenset[str]] = {}
        for source in self._sources:
            for entity in source.entities:
                fields = written.fields(source.profile, entity) | ({"entity_code"} if source.code else set())
                reads[entity] = reads.get(entity, fields) & fields
        if self._name_customers:
            reads[Entity.CUSTOMER] = frozenset({"name"})
        if any(s.states_settlements for s in self._sources):
            reads.setdefault(Entity.PAYMENT, written.STATED)
        kept = {e: f & _carried(e, self._imports[e]) if e in self._imports else f for e, f in reads.items()}
        return Capabilities(
            reads=frozenset(reads),
            writes={e: ops for e in self._imports if (ops := self._confirmed(e, kept))},
            fields=kept,
            strategy=Strategy.FILE,
            by_id=False,
            synchronous=False,
            periods_readable=self._settings.closed_through is not None,
            derives_open=any("open" in s.profile.columns for s in self._sources),
            states_applications="applications" in reads.get(Entity.PAYMENT, frozenset()),
        )

    def _profiles(self, entity: Entity, given: str | tuple[str, ...]) -> Profiles:
        """The profile of each operation on an entity. Raises ConfigError where two take one, or none fits."""
        found: dict[Op, ImportProfile] = {}
        for profile in map(load_import_profile, (given,) if isinstance(given, str) else given):
            where = f"[connection.{self._name}] imports: profile {profile.name}"
            if entity not in profile.entities or entity not in _STEMS:
                raise ConfigError(f"{where} writes no {entity.value}", hint=f"it writes {', '.join(profile.entities)}")
            for op in map(Op, profile.operations):
                if (other := found.setdefault(op, profile)) is not profile:
                    raise ConfigError(
                        f"{where} takes {op.value} of {entity.value}, which {other.name} takes already",
                        hint="leave one of the two away",
                    )
        return found

    def _confirmed(self, entity: Entity, kept: Mapping[Entity, frozenset[str]]) -> frozenset[Op]:
        """The operations that a profile takes and a later export can show: nothing else is ever settled."""
        if entity not in self._returning():
            return frozenset()
        mine = [s.profile.columns for s in self._sources if entity in s.entities]
        shown = {
            Op.CREATE: True,
            Op.UPDATE: bool(kept[entity]),
            Op.APPLY: "applications" in kept[entity],
            Op.VOID: all("state" in columns for columns in mine),
        }
        return frozenset(op for op in self._imports[entity] if shown[op])

    def _returning(self) -> set[Entity]:
        """Entities whose exports carry our reference: a record that cannot be known again is not written."""
        shown = {e for s in self._sources for e in s.entities}
        blind = {e for s in self._sources if "marker" not in s.profile.columns for e in s.entities}
        return shown - blind

    def _source(self, export: Export) -> Source:
        profile = load_profile(export.profile)
        if not profile.key:
            raise ConfigError(
                f"[connection.{self._name}] exports: profile {profile.name} has no `key`: a record would be known by "
                "its place in the file, which the next export changes",
                hint="name in `key` the columns that identify a record; without, it is for `tieout compare` only",
            )
        code = export.entity_code or self._settings.entity_code
        return Source(export.glob, profile, export.entity, export.entity_code, code, export.scope or profile.scope)

    # -- reading

    def company(self) -> Company:
        """Starts a round: the newest finished set is chosen, and leftovers of a crashed hand-over are finished.
        What an earlier round did not flush was never handed over, and is forgotten.

        Raises ConfigError if the outbox cannot be written to, or does not say what was handed over before; and where
        the rates of the documents are those of another home currency.
        """
        self._emitted, self._buffer = None, {}
        self._known()
        self._reading, self._pulled = None, set()
        company = self._settings.company
        given = company if isinstance(company, dict) else {"name": company or self._name}
        stated = self._read().set.company
        theirs = stated.get("company_code")
        if theirs and given.get("id") and theirs != given["id"]:
            raise AuthError(
                f"{self._name}: the export is of company {theirs}, not {given['id']}",
                hint="check `folder` and `company` of the connection",
            )
        self._expect_home_currency()
        codes = {s.code for s in self._sources if s.code}
        through = self._settings.closed_through
        return Company(
            id=given.get("id") or given.get("name") or self._name,
            name=given.get("name") or given.get("id") or self._name,
            entity_codes=tuple(sorted(codes)),
            home_currency=self._settings.currency,
            closed=(ClosedPeriod(entity_code=None, module=None, through=through),) if through else (),
            time_zone=self._settings.time_zone,
        )

    def _expect_home_currency(self) -> None:
        """Raises ConfigError where the documents are plainly of books in another home currency: each would break I10.

        It is one wrong setting, and would be listed once for each document.
        """
        home = self._settings.currency
        seen = (o.record for entity in Entity for o in self._read().observations.get(entity, ()))
        told = contradicted((r for r in seen if isinstance(r, Document)), home)
        if told is not None:
            have = counted(told[1], "document in it has", "documents in it have")
            raise ConfigError(
                f"{self._name}: its books are kept in {told[0]}: {have} an exchange rate of 1, and none in {home} has, "
                "which is the `currency` of the connection",
                hint=f'set currency = "{told[0]}" in [connection.{self._name}]; if the books really are in {home}, '
                "have the export state the rates of the day, or take `rate` out of its profile",
            )

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:  # noqa: ARG002  files know no delta
        """Every record of the entity in the newest finished set; `complete` as far as manifest and rows prove it."""
        if entity not in self._capabilities.reads:
            raise ReadOnlyError(f"{self._name} exports no {entity.value}")
        if entity in self._pulled:
            self._reading, self._pulled = None, set()
        reading = self._read()
        self._pulled.add(entity)
        pull = Pull(iter(()), full=True, as_of=reading.set.as_of, scope=self._scope(entity))
        pull.observations = self._yield(reading, entity, pull)
        return pull

    def _yield(self, reading: Reading, entity: Entity, pull: Pull) -> Iterator[Observation]:
        found = reading.observations.get(entity, ())
        yield from found
        files = self._files_of(reading, entity)
        pull.sources = tuple(f"{f.path.name} sha256:{f.sha256}" for f in files)
        pull.proof = {
            "set": reading.set.id,
            "as_of": reading.set.as_of.isoformat() if reading.set.as_of else None,
            "sequence": reading.set.sequence,
            "by": sorted({f.manifest or "no manifest: untouched for a while, and declared whole" for f in files}),
            "files": {f.path.name: f.sha256 for f in files},
            "profiles": {f.path.name: self._sources[f.export].profile.identified for f in files},
            "records": len(found),
            "left_out": reading.left_out,
            "doubts": list(reading.doubts),
            "passed_over": list(reading.set.passed_over),
        }
        pull.complete = not reading.doubts

    def _files_of(self, reading: Reading, entity: Entity) -> list[export_sets.ExportFile]:
        everywhere = entity is Entity.CUSTOMER and self._name_customers
        mine = {at for at, s in enumerate(self._sources) if everywhere or self._holds(s, entity)}
        return [f for f in reading.set.files if f.export in mine]

    @staticmethod
    def _holds(source: Source, entity: Entity) -> bool:
        """Whether its files say something of the entity, be it only that an invoice was paid."""
        return entity in source.entities or (entity is Entity.PAYMENT and source.states_settlements)

    def _scope(self, entity: Entity) -> str:
        """What the entity's files hold; customers known only from documents may drop out with these."""
        if entity is Entity.CUSTOMER and self._name_customers:
            return "period"
        scopes = {s.scope for s in self._sources if self._holds(s, entity)}
        return next((s for s in ("open", "period") if s in scopes), "all")

    def _read(self) -> Reading:
        """The newest set, read once for all entities of a round."""
        if self._reading is None:
            chosen = export_sets.newest(
                self._settings.folder,
                [s.glob for s in self._sources],
                now=self._clock(),
                settle_seconds=self._settings.settle_seconds,
            )
            self._reading = read_set(chosen, self._name, self._sources, name_customers=self._name_customers)
        return self._reading

    def get(self, entity: Entity, id: str) -> Observation:
        """The record as the newest set has it. NotFoundError only if that set is complete and holds everything."""
        reading = self._read()
        for seen in reading.observations.get(entity, ()):
            if seen.id == id:
                return seen
        if reading.doubts or self._scope(entity) != "all":
            raise RetriableError(f"{self._name}: {entity.value} {id} is not in the export, which is not complete")
        raise NotFoundError(f"{self._name}: no {entity.value} {id} in export {reading.set.id}")

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        """Records of the newest set that carry the marker, or could be `like`; none there proves nothing."""
        found = []
        for seen in self._read().observations.get(entity, ()):
            record = seen.record
            if record is None or isinstance(record, RecordError):
                continue
            if marker is not None:
                found += [seen] if record.marker == marker else []
            elif like is not None:
                found += [seen] if _alike(record, like) else []
        return found

    def control_balances(self, as_of: date) -> list[ControlBalance]:  # noqa: ARG002  exports carry none
        return []

    # -- writing

    def represent(self, record: AnyRecord) -> AnyRecord:
        """What an export will show of the record once the ERP has booked its import row."""
        fields = self._capabilities.fields.get(record.entity)
        if not fields:
            return record
        own = self._settings
        return written.represent(record, fields, entity_code=self._entity_code, home=own.currency)

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:
        """Check the record and keep it for `flush`. A key that was handed over before is pending already.

        Raises Rejected naming field and value, PeriodClosed, or ReadOnlyError; then nothing will be written.
        """
        profile = self._import(record.entity, Op.CREATE)
        if key in self._known():
            return Written("", pending=True)
        if not isinstance(record, Customer):
            self._open_period(record.posted)
        if isinstance(record, Customer):
            record = record.model_copy(update={"currency": record.currency or self._settings.currency})
        elif record.entity_code is None and self._entity_code:
            record = record.model_copy(update={"entity_code": self._entity_code})
        ready = rows(profile, record, marker=marker)
        return self._keep(record.entity, Op.CREATE, Item(key, marker, ready.currency, ready.effect), ready)

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:
        """Keep a change of an exported record for `flush`: the columns that differ, or what it is set against.

        Raises as `create` does; ReadOnlyError for fields that no import profile changes.
        """
        if before.record is None or isinstance(before.record, RecordError):
            raise NotSent(f"{self._name}: {before.entity} {before.id} could not be read, so it is not changed")
        entity, held = before.entity, before.record
        wanted, now = self.represent(record), self.represent(held)
        kept = self._capabilities.fields.get(entity, frozenset())
        changed = frozenset(f for f in kept if getattr(wanted, f) != getattr(now, f))
        applies = changed == {"applications"} and Op.APPLY in self._capabilities.writes.get(entity, ())
        op = Op.APPLY if applies else Op.UPDATE
        try:
            profile = self._import(entity, op)
        except ReadOnlyError as error:
            raise ReadOnlyError(f"{error.message}; what changes is {', '.join(sorted(changed)) or 'nothing'}") from None
        if key in self._known():
            return Written(before.id, pending=True)
        if not changed:  # a row that names no column might be taken for one that replaces them all
            raise Rejected(f"import profile {profile.name} has no column for what changes", code="import")
        if lost := changed - profile.carries(entity) - {"applications"}:
            raise Rejected(f"import profile {profile.name} has no column for {', '.join(sorted(lost))}", code="import")
        self._open_period(*_days(record, held, changed))
        about = Change("apply" if op is Op.APPLY else "update", before.id, held, changed)
        return self._change(profile, op, record, about, key)

    def void(self, before: Observation, *, key: str) -> Written:
        """Keep a reversal of an exported document for `flush`, as of the day it was posted. Raises as `create` does."""
        profile = self._import(before.entity, Op.VOID)
        held = before.record
        if held is None or isinstance(held, RecordError | Customer):
            raise NotSent(f"{self._name}: {before.entity} {before.id} could not be read, so it is not voided")
        if key in self._known():
            return Written(before.id, pending=True)
        if held.state is PostingState.VOIDED:
            raise Rejected(f"{before.entity} {before.id} is voided already", code="import")
        self._open_period(held.posted)
        return self._change(profile, Op.VOID, held, Change("void", before.id, held), key)

    def delete(self, before: Observation, *, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"{self._name}: no import file deletes; {before.id} cannot be deleted")

    def _change(self, profile: ImportProfile, op: Op, record: AnyRecord, about: Change, key: str) -> Written:
        mark = _reference(key)
        ready = rows(profile, record, marker=mark, change=about)
        self._keep(record.entity, op, Item(key, mark, ready.currency, ready.effect), ready)
        return Written(about.id, pending=True)

    def _keep(self, entity: Entity, op: Op, item: Item, ready: Rows) -> Written:
        waiting = self._buffer.setdefault((entity, op), [])
        if all(other.key != item.key for other, _ in waiting):
            waiting.append((item, ready))
        return Written("", pending=True)

    def _open_period(self, *days: date) -> None:
        through = self._settings.closed_through
        for day in days:
            if through and day <= through:
                raise PeriodClosed(f"{self._name}: {day} lies in a closed period (closed through {through})")

    def flush(self, *, run: str) -> list[str]:
        """One import file per entity and operation with something to hand over, in the order in which the ERP has to
        load them; returns their paths.
        """
        paths: list[str] = []
        for entity, op in _ORDER:
            waiting = self._buffer.get((entity, op), [])
            if not waiting or self._outbox is None:
                continue
            profile = self._imports[entity][op]
            data = encode(profile, [ready.cells for _, ready in waiting])
            about = {"entity": entity.value, "operation": op.value, "layout": profile.name}
            about |= {"run": run, "connection": self._name}
            count = sum(len(ready.cells) for _, ready in waiting)
            stem = f"{_STEMS[entity]}{_SUFFIXES[op]}"
            known = self._known()
            path = self._outbox.emit(stem, data, [item for item, _ in waiting], about=about, rows=count, known=known)
            known |= {item.key for item, _ in waiting}
            self._buffer[entity, op] = []
            paths.append(str(path))
        return paths

    def handed_over(self) -> frozenset[str]:
        """Keys of all writes in files that were handed over, those included whose hand-over a later run finished."""
        return frozenset(self._known())

    def close(self) -> None:
        """Forget what was read. What was never flushed was never handed over."""
        self._reading, self._buffer = None, {}

    def _import(self, entity: Entity, op: Op) -> ImportProfile:
        able = self._capabilities.writes.get(entity, frozenset())
        if op not in able or self._outbox is None:
            what = f"takes a {op.value} of a {entity.value}" if able else f"for a {entity.value}: it is read-only"
            raise ReadOnlyError(f"{self._name} has no import profile {'that ' if able else ''}{what}")
        return self._imports[entity][op]

    def _known(self) -> set[str]:
        """Keys handed over so far, after recovery."""
        if self._emitted is None:
            self._recover()
            self._emitted = set(self._outbox.emitted()) if self._outbox else set()
        return self._emitted

    def _recover(self) -> None:
        if self._outbox is None:
            return
        self._outbox.check()
        for line in self._outbox.recover():
            _LOG.info("%s: outbox: %s", self._name, line)


def _carried(entity: Entity, profiles: Profiles) -> frozenset[str]:
    """The fields that go into a new record; of an entity that is only changed, those that a change carries."""
    if Op.CREATE in profiles:
        return profiles[Op.CREATE].carries(entity)
    fields = {f for profile in profiles.values() for f in profile.carries(entity)}
    return frozenset(fields | ({"applications"} if Op.APPLY in profiles else set()))


def _days(wanted: AnyRecord, held: AnyRecord, changed: frozenset[str]) -> list[date]:
    """The accounting days that a change touches: the document's own, and those on which something is set against it."""
    if isinstance(wanted, Customer) or isinstance(held, Customer):
        return []
    days = [held.posted, wanted.posted] if changed & _MONEY else []
    if "applications" in changed:
        known = {(a.invoice, a.amount) for a in getattr(held, "applications", ())}
        fresh = [a for a in getattr(wanted, "applications", ()) if (a.invoice, a.amount) not in known]
        days += [max(a.applied_on, wanted.posted) for a in fresh]
    return days


_MONEY = frozenset(
    {"customer", "currency", "issued", "posted", "received", "subtotal", "discount", "tax", "total", "amount"}
)


def _reference(key: str) -> str:
    """What a change is called in the file and in the ERP's list of rejects: short, and the same for the same change."""
    return "C" + base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:12]


def _alike(record: AnyRecord, like: AnyRecord) -> bool:
    if isinstance(record, Customer) or isinstance(like, Customer):
        return isinstance(record, Customer) and isinstance(like, Customer) and record.name == like.name
    near = abs(record.posted - like.posted) <= timedelta(days=1)
    same = record.customer == like.customer and record.currency == like.currency
    return near and same and magnitude(record) == magnitude(like)
