"""An ERP that speaks in files: it is read from the exports it drops, and written to through import files.

Nothing is confirmed by the ERP: what was handed over is *pending* until a later export shows it. The ERP's own files
are never moved, changed or deleted. The state of what was read belongs to the engine; a pull's `proof` names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tieout.connectors import Capabilities, Observation, Op, Pull, Strategy, Written, export_sets
from tieout.connectors.export_sets import ExportSet
from tieout.connectors.files import FileReport, customers, records
from tieout.connectors.outbox import Files, Item, Outbox
from tieout.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    RetriableError,
)
from tieout.mapping import written
from tieout.mapping.tabular import Profile, load_profile
from tieout.mapping.writing import ImportProfile, Rows, encode, load_import_profile, rows
from tieout.model import (
    AnyRecord,
    ClosedPeriod,
    Company,
    ControlBalance,
    Customer,
    Entity,
    Existence,
    Payment,
    magnitude,
)

Clock = Callable[[], datetime]
_LOG = logging.getLogger(__name__)
_STEMS = {
    Entity.CUSTOMER: "customers",
    Entity.INVOICE: "invoices",
    Entity.CREDIT_MEMO: "credit-memos",
    Entity.PAYMENT: "payments",
}


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

    settle_seconds: rest after which a file without manifest counts as finished · entity_code: the legal entity of
    records that name none · closed_through: the ERP's last closed day, inclusive
    """

    folder: Path
    exports: tuple[Export, ...] = Field(min_length=1)
    outbox: Path | None = None
    imports: dict[Entity, str] = {}
    company: str | dict[str, str] | None = None
    currency: str
    settle_seconds: int = Field(default=60, ge=0)
    entity_code: str | None = None
    closed_through: date | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one set holds: observations by entity, and whether the files prove that they are all there."""

    set: ExportSet
    observations: Mapping[Entity, tuple[Observation, ...]]
    reports: tuple[FileReport, ...]
    doubts: tuple[str, ...]
    left_out: int


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
            raise ConfigError(f"[connection.{name}] has `imports` but no `outbox`")
        self._name, self._settings, self._clock = name, settings, clock
        self._exports = tuple((e, load_profile(e.profile)) for e in settings.exports)
        self._imports = {entity: load_import_profile(p) for entity, p in settings.imports.items()}
        for entity, profile in self._imports.items():
            if entity not in profile.entities or entity not in _STEMS:
                raise ConfigError(f"[connection.{name}] imports: profile {profile.name} writes no {entity.value}")
        self._customers_from_documents = not any(p.entity == "customers" for _, p in self._exports)
        self._outbox = Outbox(settings.outbox, clock=clock, files=files) if settings.outbox else None
        self._capabilities = self._declare()
        self._reading: _Reading | None = None
        self._pulled: set[Entity] = set()
        self._emitted: set[str] | None = None
        self._buffer: dict[Entity, list[tuple[Item, Rows]]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def _declare(self) -> Capabilities:
        reads: dict[Entity, frozenset[str]] = {}
        for export, profile in self._exports:
            for entity in written.entities(profile):
                if export.entity in (None, entity):
                    fields = written.fields(profile, entity) | ({"entity_code"} if self._code(export) else set())
                    reads[entity] = reads.get(entity, fields) & fields
        if self._customers_from_documents:
            reads[Entity.CUSTOMER] = frozenset({"name"})
        kept = {e: f & self._imports[e].carries(e) if e in self._imports else f for e, f in reads.items()}
        return Capabilities(
            reads=frozenset(reads),
            writes={e: frozenset({Op.CREATE}) for e in self._imports if e in self._returning(reads)},
            fields=kept,
            strategy=Strategy.FILE,
            by_id=False,
            synchronous=False,
            periods_readable=self._settings.closed_through is not None,
            derives_open=any("open" in profile.columns for _, profile in self._exports),
            states_applications="applications" in reads.get(Entity.PAYMENT, frozenset()),
        )

    def _returning(self, reads: Mapping[Entity, object]) -> set[Entity]:
        """Entities whose exports carry our reference: a record that cannot be known again is not written."""
        blind = {e for _, p in self._exports if "marker" not in p.columns for e in written.entities(p)}
        return set(reads) - blind - ({Entity.CUSTOMER} if self._customers_from_documents else set())

    def _code(self, export: Export) -> str | None:
        return export.entity_code or self._settings.entity_code

    # -- reading

    def company(self) -> Company:
        """Starts a round: the newest finished set is chosen, and leftovers of a crashed hand-over are finished."""
        self._recover()
        self._reading, self._pulled = None, set()
        company = self._settings.company
        given = company if isinstance(company, dict) else {"name": company or self._name}
        stated = self._read().set.company
        for theirs in (stated.get("company_code"),):
            if theirs and given.get("id") and theirs != given["id"]:
                raise AuthError(
                    f"{self._name}: the export is of company {theirs}, not {given['id']}",
                    hint="check `folder` and `company` of the connection",
                )
        codes = {c for e, _ in self._exports if (c := self._code(e))}
        through = self._settings.closed_through
        return Company(
            id=given.get("id") or given.get("name") or self._name,
            name=given.get("name") or given.get("id") or self._name,
            entity_codes=tuple(sorted(codes)),
            home_currency=self._settings.currency,
            closed=(ClosedPeriod(entity_code=None, module=None, through=through),) if through else (),
            time_zone=self._settings.time_zone,
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

    def _yield(self, reading: _Reading, entity: Entity, pull: Pull) -> Iterator[Observation]:
        found = reading.observations.get(entity, ())
        yield from found
        files = self._files_of(reading, entity)
        pull.sources = tuple(f"{f.path.name} sha256:{f.sha256}" for f in files)
        pull.proof = {
            "set": reading.set.id,
            "as_of": reading.set.as_of.isoformat() if reading.set.as_of else None,
            "by": sorted({f.manifest or "no manifest: untouched for a while, and declared whole" for f in files}),
            "files": {f.path.name: f.sha256 for f in files},
            "records": len(found),
            "left_out": reading.left_out,
            "doubts": list(reading.doubts),
            "passed_over": list(reading.set.passed_over),
        }
        pull.complete = not reading.doubts

    def _files_of(self, reading: _Reading, entity: Entity) -> list[export_sets.ExportFile]:
        mine = {at for at, (_, p) in enumerate(self._exports) if entity in written.entities(p)}
        if entity is Entity.CUSTOMER and self._customers_from_documents:
            mine = set(range(len(self._exports)))
        return [f for f in reading.set.files if f.export in mine]

    def _scope(self, entity: Entity) -> str:
        """What the entity's files hold; customers known only from documents may drop out with these."""
        if entity is Entity.CUSTOMER and self._customers_from_documents:
            return "period"
        scopes = {e.scope or p.scope for e, p in self._exports if entity in written.entities(p)}
        return next((s for s in ("open", "period") if s in scopes), "all")

    def _read(self) -> _Reading:
        """The newest set, read once for all entities of a round."""
        if self._reading is None:
            chosen = export_sets.newest(
                self._settings.folder,
                [e.glob for e, _ in self._exports],
                now=self._clock(),
                settle_seconds=self._settings.settle_seconds,
            )
            self._reading = self._parse(chosen)
        return self._reading

    def _parse(self, chosen: ExportSet) -> _Reading:
        found: dict[Entity, list[Observation]] = {}
        reports: list[FileReport] = []
        doubts: list[str] = []
        left_out = 0
        for file in chosen.files:
            export, profile = self._exports[file.export]
            observations, report = records(file.path, profile, self._name)
            if report.sha256 != file.sha256:
                raise RetriableError(f"{file.path.name} changed while it was read", hint="run again")
            reports.append(report)
            doubts += _doubts(file, report, observations)
            for seen in _spread(profile, observations):
                kept = self._own(seen, export)
                if kept is None:
                    left_out += 1
                else:
                    found.setdefault(kept.entity, []).append(kept)
            if self._customers_from_documents:
                found.setdefault(Entity.CUSTOMER, []).extend(_named(file.path, profile, self._name))
        unique = {entity: _apart(entity, list_) for entity, list_ in found.items()}
        return _Reading(chosen, unique, tuple(reports), tuple(doubts), left_out)

    def _own(self, seen: Observation, export: Export) -> Observation | None:
        """The observation as this connection holds it, or None if it belongs to another kind or entity code."""
        if export.entity not in (None, seen.entity):
            return None
        code, record = self._code(export), seen.record
        if record is None or isinstance(record, RecordError):
            return seen
        if isinstance(record, Customer):
            return seen if record.active else replace(seen, existence=Existence.INACTIVE)
        if isinstance(record, Payment) and record.reference in seen.id.split("/"):
            record = record.model_copy(update={"reference": None})  # its own number, where the file gives no reference
        if code is not None and record.entity_code is None:
            record = record.model_copy(update={"entity_code": code})
        if export.entity_code is not None and record.entity_code != export.entity_code:
            return None
        return replace(seen, record=record)

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
        return written.represent(record, fields, entity_code=own.entity_code, home=own.currency)

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:
        """Check the record and keep it for `flush`. A key that was handed over before is pending already.

        Raises Rejected naming field and value, PeriodClosed, or ReadOnlyError; then nothing will be written.
        """
        profile = self._import(record.entity)
        if key in self._known():
            return Written("", pending=True)
        through = self._settings.closed_through
        if through and not isinstance(record, Customer) and record.posted <= through:
            raise PeriodClosed(f"{self._name}: {record.posted} lies in a closed period (closed through {through})")
        if isinstance(record, Customer):
            record = record.model_copy(update={"currency": record.currency or self._settings.currency})
        elif record.entity_code is None and self._settings.entity_code:
            record = record.model_copy(update={"entity_code": self._settings.entity_code})
        ready = rows(profile, record, marker=marker)
        waiting = self._buffer.setdefault(record.entity, [])
        if all(item.key != key for item, _ in waiting):
            waiting.append((Item(key, marker, ready.currency, ready.effect), ready))
        return Written("", pending=True)

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"{self._name}: import files only create; a change of {before.id} is a person's work")

    def void(self, before: Observation, *, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"{self._name}: import files only create; voiding {before.id} is a person's work")

    def delete(self, before: Observation, *, key: str) -> Written:  # noqa: ARG002
        raise ReadOnlyError(f"{self._name}: import files only create; {before.id} cannot be deleted")

    def flush(self, *, run: str) -> list[str]:
        """One import file per entity with something to hand over, customers first; returns their paths."""
        paths: list[str] = []
        for entity, stem in _STEMS.items():
            waiting = self._buffer.get(entity, [])
            if not waiting or self._outbox is None:
                continue
            profile = self._imports[entity]
            data = encode(profile, [ready.cells for _, ready in waiting])
            about = {"entity": entity.value, "layout": profile.name, "run": run, "connection": self._name}
            count = sum(len(ready.cells) for _, ready in waiting)
            path = self._outbox.emit(stem, data, [item for item, _ in waiting], about=about, rows=count)
            if self._emitted is not None:
                self._emitted |= {item.key for item, _ in waiting}
            self._buffer[entity] = []
            paths.append(str(path))
        return paths

    def close(self) -> None:
        """Forget what was read. What was never flushed was never handed over."""
        self._reading, self._buffer = None, {}

    def _import(self, entity: Entity) -> ImportProfile:
        if entity not in self._capabilities.writes or self._outbox is None:
            raise ReadOnlyError(f"{self._name} has no import profile for a {entity.value}: it is read-only")
        return self._imports[entity]

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


def _doubts(file: export_sets.ExportFile, report: FileReport, observations: list[Observation]) -> list[str]:
    """Why the file may lack records: its manifest disagrees, or a row was rejected and nothing says which it was."""
    found = []
    read = report.accepted + len({r["row"] for r in report.as_json()["rejected"]})
    if file.rows is not None and read != file.rows:
        found.append(f"{file.path.name} has {read} rows, its manifest says {file.rows}")
    if file.totals and not report.rejected:
        sums = {currency: Decimal(str(t["sum"])) for currency, t in report.as_json()["totals"].items()}
        for currency in sorted(file.totals.keys() | sums.keys()):
            stated, summed = file.totals.get(currency, Decimal(0)), sums.get(currency, Decimal(0))
            if stated != summed:
                found.append(f"{file.path.name} sums to {summed} {currency}, its manifest says {stated}")
    nameless = sum(1 for o in observations if isinstance(o.record, RecordError) and o.record.ref is None)
    if nameless:
        found.append(f"{file.path.name}: {nameless} unreadable rows without a readable id")
    return found


def _spread(profile: Profile, observations: list[Observation]) -> Iterator[Observation]:
    """The observations; an unreadable row of a file of several kinds stands under each kind that it may be of."""
    for seen in observations:
        if isinstance(seen.record, RecordError):
            for entity in sorted(written.entities_of(profile, seen.raw)):
                yield replace(seen, entity=entity, record=replace(seen.record, entity=entity.value))
        else:
            yield seen


def _named(path: Path, profile: Profile, connection: str) -> list[Observation]:
    """The customers that a file of documents names, where no file lists them."""
    return [
        Observation(Entity.CUSTOMER, c.ref.id, {"number": c.number, "name": c.name}, c, None)
        for c in customers(path, profile, connection)
    ]


def _apart(entity: Entity, observations: list[Observation]) -> tuple[Observation, ...]:
    """One observation per id: different records of one id in several files are unreadable, not merged."""
    by_id: dict[str, list[Observation]] = {}
    for seen in observations:
        by_id.setdefault(seen.id, []).append(seen)
    out = []
    for id, same in by_id.items():
        first = next((o for o in same if isinstance(o.record, RecordError)), same[0])
        if isinstance(first.record, RecordError) or all(o.record == first.record for o in same):
            out.append(first)
        else:
            why = f"the export set holds it {len(same)} times"
            out.append(replace(first, record=RecordError("export set", "id", id, why, entity.value, id)))
    return tuple(out)


def _alike(record: AnyRecord, like: AnyRecord) -> bool:
    if isinstance(record, Customer) or isinstance(like, Customer):
        return isinstance(record, Customer) and isinstance(like, Customer) and record.name == like.name
    near = abs(record.posted - like.posted) <= timedelta(days=1)
    same = record.customer == like.customer and record.currency == like.currency
    return near and same and magnitude(record) == magnitude(like)
