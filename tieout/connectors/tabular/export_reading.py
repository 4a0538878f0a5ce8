"""From one finished export set to observations by entity, and whether the files prove that none is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from tieout.connectors import Observation
from tieout.connectors.files import FileReport, customers, records
from tieout.connectors.tabular.export_sets import ExportFile, ExportSet, still
from tieout.errors import RecordError, RetriableError
from tieout.mapping import written
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_records import stated_id, stated_payment
from tieout.model import AnyRecord, CreditMemo, Customer, Entity, Existence, Invoice, Payment, PostingState
from tieout.plaintext import counted


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of file that is read.

    entity: leave out every other kind · only: leave out other entity codes · code: of records that name none
    """

    glob: str
    profile: Profile
    entity: Entity | None
    only: str | None
    code: str | None
    scope: str

    @property
    def entities(self) -> frozenset[Entity]:
        found = written.entities(self.profile)
        return found if self.entity is None else found & {self.entity}

    @property
    def states_settlements(self) -> bool:
        """Whether its invoices say when they were settled, without showing the payment."""
        return "settled_on" in self.profile.columns and Entity.INVOICE in self.entities


@dataclass(frozen=True, slots=True)
class Reading:
    """What one set holds. doubts: why records may be missing; empty if the set is complete · left_out: not ours"""

    set: ExportSet
    observations: Mapping[Entity, tuple[Observation, ...]]
    doubts: tuple[str, ...]
    left_out: int


def read_set(chosen: ExportSet, connection: str, sources: Sequence[Source], *, name_customers: bool) -> Reading:
    """Read every file of the set. name_customers: no file lists them, so the documents do.

    Raises RetriableError if a file changes meanwhile, ProfileError if one does not fit its profile.
    """
    found: dict[Entity, list[Observation]] = {}
    doubts: list[str] = []
    stating: list[Observation] = []
    left_out = 0
    for file in chosen.files:
        source = sources[file.export]
        observations, report = records(file.path, source.profile, connection)
        if report.sha256 != file.sha256:
            raise RetriableError(f"{file.path.name} changed while it was read", hint="run again")
        doubts += _doubts(file, report, observations)
        for seen in _spread(source.profile, observations):
            kept = _own(seen, source)
            if kept is None:
                left_out += 1
            else:
                found.setdefault(kept.entity, []).append(kept)
                if source.states_settlements and kept.entity is Entity.INVOICE:
                    stating.append(kept)
        if name_customers:
            found.setdefault(Entity.CUSTOMER, []).extend(_named(file.path, source.profile, connection))
    still(chosen)  # some of it is read more than once
    if stated := _stated(stating, found):
        found.setdefault(Entity.PAYMENT, []).extend(stated)
    unique = {entity: _apart(entity, same) for entity, same in found.items()}
    return Reading(chosen, unique, tuple(doubts), left_out)


def read_files(files: Sequence[tuple[Path, Profile]], name: str) -> tuple[list[AnyRecord], list[FileReport], int]:
    """The records of one ledger that lies in these files, what became of each file, and how many could not be read.

    Customers that no file lists are named by the documents; settlement dates state payments, as in `read_set`.
    """
    found: dict[Entity, list[Observation]] = {}
    stating: list[Observation] = []
    reports: list[FileReport] = []
    for path, profile in files:
        observations, report = records(path, profile, name)
        reports.append(report)
        for seen in observations:
            if not isinstance(seen.record, RecordError):
                found.setdefault(seen.entity, []).append(seen)
                if isinstance(seen.record, Invoice) and seen.record.settled_on:
                    stating.append(seen)
    if stated := _stated(stating, found):
        found.setdefault(Entity.PAYMENT, []).extend(stated)
    listed = {o.id for o in found.get(Entity.CUSTOMER, ())}
    for path, profile in files:
        if profile.entity != "customers":
            named = [o for o in _named(path, profile, name) if o.id not in listed]
            found.setdefault(Entity.CUSTOMER, []).extend(named)
            listed |= {o.id for o in named}
    kept = [o.record for entity, same in found.items() for o in _apart(entity, same)]
    good = [r for r in kept if r is not None and not isinstance(r, RecordError)]
    return good, reports, len(kept) - len(good) + sum(len(r.rejected) for r in reports)


def _own(seen: Observation, source: Source) -> Observation | None:
    """The observation as the connection holds it, or None if it belongs to another kind or entity code."""
    if source.entity not in (None, seen.entity):
        return None
    record = seen.record
    if record is None or isinstance(record, RecordError):
        return seen
    if isinstance(record, Customer):
        return seen if record.active else replace(seen, existence=Existence.INACTIVE)
    if isinstance(record, Payment) and record.reference in seen.id.split("/"):
        record = record.model_copy(update={"reference": None})  # its own number, where the file gives no reference
    if source.code is not None and record.entity_code is None:
        record = record.model_copy(update={"entity_code": source.code})
    if source.only is not None and record.entity_code != source.only:
        return None
    return replace(seen, record=record)


def _stated(invoices: Sequence[Observation], found: Mapping[Entity, Sequence[Observation]]) -> list[Observation]:
    """The payments that settlement dates state, for invoices to which nothing in the set is applied.

    An invoice that cannot be read may state one: then that one cannot be read either, and why says what it is of.
    """
    credits = [o.record for e in (Entity.PAYMENT, Entity.CREDIT_MEMO) for o in found.get(e, ())]
    shown = {
        a.invoice
        for record in credits
        if isinstance(record, Payment | CreditMemo) and record.state is PostingState.POSTED
        for a in record.applications
        if a.reversed_on is None
    }
    out = []
    for seen in invoices:
        record: AnyRecord | RecordError | None = seen.record
        if isinstance(record, Invoice):
            record = stated_payment(record) if record.ref.id not in shown else None
        if record is not None:
            out.append(replace(seen, entity=Entity.PAYMENT, id=stated_id(seen.id), record=record))
    return out


def _doubts(file: ExportFile, report: FileReport, observations: list[Observation]) -> list[str]:
    """Why the file may lack records: its manifest disagrees, or a row was rejected and nothing says which it was."""
    found = []
    read = report.accepted + len(report.rejected)
    if file.rows is not None and read != file.rows:
        found.append(f"{file.path.name} has {counted(read, 'row')}, its manifest says {file.rows:,}")
    if file.totals and not report.rejected:
        sums = {currency: Decimal(str(t["sum"])) for currency, t in report.totals.items()}
        for currency in sorted(file.totals.keys() | sums.keys()):
            stated, summed = file.totals.get(currency, Decimal(0)), sums.get(currency, Decimal(0))
            if stated != summed:
                found.append(f"{file.path.name} sums to {summed} {currency}, its manifest says {stated}")
    nameless = sum(1 for o in observations if isinstance(o.record, RecordError) and o.record.ref is None)
    if nameless:
        found.append(f"{file.path.name}: {counted(nameless, 'unreadable row')} without a readable id")
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
