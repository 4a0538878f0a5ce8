"""What a connector is: it reads and writes the native records of one kind of system, and decides nothing.

A connector yields observations (native payload plus canonical record, or a `RecordError`) and performs single
writes that it never repeats. Every write it performs was made durable as an intent by its caller before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from tieout.errors import ConfigError, RecordError
from tieout.model import AnyRecord, Company, ControlBalance, Entity, Existence

Native = Mapping[str, Any]


class Strategy(StrEnum):
    """How a create is kept single; from the strongest promise of the target to the weakest."""

    IDEMPOTENCY_KEY = "idempotency_key"
    UNIQUE_NUMBER = "unique_number"
    SEARCHABLE_MARKER = "searchable_marker"
    FILE = "file"


class Op(StrEnum):
    """What can be done to a record. APPLY: change what a payment or credit memo is set against, and nothing else of it;
    where UPDATE is possible, so is this.
    """

    CREATE = "create"
    UPDATE = "update"
    APPLY = "apply"
    VOID = "void"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connection can do, declared; the contract tests hold it to each claim.

    reads: entities it can pull · writes: operations per entity (absent = read-only)
    fields: canonical field names per entity that survive writing (what `represent` keeps); the others are not compared
    by_id: `get` works · delta: `pull` honours a cursor · tells_removals: and shows what was deleted
    versioned: an update with an old version is refused
    strategy: for creates · key_window: seconds in which a repeated key replays; 0 without keys
    settle: seconds after `send_by` until an unknown outcome may be read back (timeout + late commit + search lag)
    searchable: `search` finds a marker reliably · synchronous: False for files, whose writes are pending until seen
    periods_readable: `company().closed` is authoritative
    derives_open: the system reports open balances · states_applications: payments carry their applications
    credits_by_payment: a credit memo is applied by a payment of amount 0 that links it, as in QuickBooks
    one_currency: a customer is kept in one currency for good, and takes documents in it and in the home currency alone
    active_only: what is refused where the customer is inactive, by kind of document; the rest it takes all the same
    horizon_days: how far back its changes reach; 0 without an end
    """

    reads: frozenset[Entity]
    writes: Mapping[Entity, frozenset[Op]]
    fields: Mapping[Entity, frozenset[str]]
    strategy: Strategy
    by_id: bool = True
    delta: bool = False
    tells_removals: bool = True
    versioned: bool = False
    key_window: int = 0
    settle: int = 0
    searchable: bool = False
    synchronous: bool = True
    periods_readable: bool = False
    derives_open: bool = False
    states_applications: bool = True
    credits_by_payment: bool = False
    one_currency: bool = False
    active_only: Mapping[Entity, frozenset[Op]] = field(default_factory=dict)
    horizon_days: int = 0

    def can(self, entity: Entity, op: Op) -> bool:
        takes = self.writes.get(entity, frozenset())
        return op in takes or (op is Op.APPLY and Op.UPDATE in takes)


@dataclass(frozen=True, slots=True)
class Observation:
    """One read of one native record.

    record: the canonical record; a RecordError if it could not be read; None for a bare tombstone
    version: the vendor's optimistic-lock token, None without one · changed_at: the remote's own stamp, as text
    existence: LIVE, INACTIVE, or DELETED for a tombstone (a claim, until read by id) · raw: payload as received
    """

    entity: Entity
    id: str
    raw: Native
    record: AnyRecord | RecordError | None
    version: str | None
    existence: Existence = Existence.LIVE
    changed_at: str | None = None


@dataclass(slots=True)
class Pull:
    """An iterator of observations; `complete`, `proof` and `cursor` are valid only once it is exhausted.

    complete: every live record in scope was read, and `proof` says how that is known (counts, manifest)
    full: the pull covers the whole scope, so that a missing record means absence, if complete
    cursor: opaque text for the next delta, None if there is none; never later than the first request's server time
    as_of: the date the snapshot speaks for, if it is a dated one (files)
    scope: `all`, `open` (open items only: absence is not deletion) or `period`
    sources: names (files with hash) that were read
    """

    observations: Iterator[Observation]
    full: bool
    complete: bool = False
    proof: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    as_of: date | None = None
    scope: str = "all"
    sources: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Observation]:
        return self.observations


@dataclass(frozen=True, slots=True)
class Written:
    """What a write's answer said: not proof (read it back), but where to look.

    version: the record's version as this write left it; of a record that was read back with the same one, nobody
    changed anything since. None where the target has none, or the answer does not tell
    pending: a file was handed over; only a later export confirms it
    record: the whole record as the answer shows it, in which what the target altered can be told from what somebody
    changes afterwards; None if the answer does not show it whole
    """

    id: str
    version: str | None = None
    raw: Native | None = None
    pending: bool = False
    request_id: str = ""
    record: AnyRecord | None = None


@runtime_checkable
class Connector(Protocol):
    """Speaks to one system over one connection. Reads may be retried inside; writes are sent exactly once.

    Reads raise RetriableError, SignInRequired, AuthError or FatalError; a failed page raises, it never shortens.
    Writes raise a WriteError (see errors.py): NotSent, NotProcessed, Rejected, PeriodClosed, DuplicateNumber,
    StaleWrite, or UnknownOutcome for anything that is not plainly one of the others; ReadOnlyError before sending.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def company(self) -> Company:
        """Whose books these are. Read before anything else; raises AuthError if they are not the configured ones."""
        ...

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:
        """Every record (no cursor), or those that changed since the cursor, with overlap. One observation per id."""
        ...

    def get(self, entity: Entity, id: str) -> Observation:
        """One record as it is now, voided and inactive ones too. Raises NotFoundError only on a definite answer."""
        ...

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        """Records that carry the marker, or could be `like` (same customer, date ± 1, amount); for recovery."""
        ...

    def represent(self, record: AnyRecord) -> AnyRecord:
        """What this system would hold of the record: truncations and dropped fields. Idempotent."""
        ...

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:
        """Write a new record. `ref.id` of the given record is ignored; references are ids of this connection."""
        ...

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:
        """Bring the record `before` to `record`; only fields that differ move, unmapped ones survive."""
        ...

    def void(self, before: Observation, *, key: str) -> Written:
        """Cancel the record, keeping its number."""
        ...

    def delete(self, before: Observation, *, key: str) -> Written:
        """Remove the record. No caller does so unasked."""
        ...

    def control_balances(self, as_of: date) -> list[ControlBalance]:
        """What the system's own reports say receivables are; empty if it has none."""
        ...

    def flush(self, *, run: str) -> list[str]:
        """Hand over what was written to a buffer (files) and return the paths; [] where writes are immediate."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Finishing(Protocol):
    """A connector whose create takes a second step, such as posting what was entered, that may be missing."""

    def finish(self, entity: Entity, id: str) -> None:
        """Take the step for a record that lacks it; harmless where it was taken. A lasting refusal leaves it as it is.

        Raises a WriteError, as `create` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """What a system sells under a code. active: whether a new document may name it"""

    name: str
    active: bool


@runtime_checkable
class Selling(Protocol):
    """A connector whose system refuses a new document that names an item which is not there, or out of use."""

    def items(self) -> Mapping[str, Item]:
        """Every item by its code, as it is now. Raises as other reads do."""
        ...


@runtime_checkable
class Dealing(Protocol):
    """A connector whose system refuses what is in a currency that it does not list."""

    def currencies(self) -> Collection[str]:
        """The codes of those that it lists beside the home one, as it is now. Raises as other reads do."""
        ...


@runtime_checkable
class HandingOver(Protocol):
    """A connector whose writes leave in files. Which of them did, it knows even where the run died that wrote them."""

    def handed_over(self) -> Collection[str]:
        """The keys of all writes that were ever handed over; none of those that only wait in a buffer."""
        ...


Opener = Callable[..., Connector]
_BUILT_IN = {
    "memory": "tieout.connectors.memory:open_memory",
    "quickbooks": "tieout.connectors.quickbooks:open_quickbooks",
    "tabular": "tieout.connectors.tabular:open_tabular",
    "sage-x3": "tieout.connectors.sage_x3:open_sage_x3",
}


def opener(kind: str) -> Opener:
    """The function that opens connections of a kind: built in, or from entry point group `tieout.connectors`."""
    if kind in _BUILT_IN:
        module, _, attribute = _BUILT_IN[kind].partition(":")
        loaded: Opener = getattr(import_module(module), attribute)
        return loaded
    for point in entry_points(group="tieout.connectors"):
        if point.name == kind:
            plugged: Opener = point.load()
            return plugged
    known = ", ".join(sorted([*_BUILT_IN, *(p.name for p in entry_points(group="tieout.connectors"))]))
    raise ConfigError(f"unknown kind of connection {kind!r}", hint=f"use one of: {known}")
