"""The ports of a run in simulation: connectors, books, state database, clock and ids, each of which passes its points.

Nothing of the product is another one here: the engine, the store and the connectors are those that ship. What differs
is what they are given: a clock, a connector that wraps a connector, an engine on a database in memory.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import sqlalchemy as sa

from tests.simulation.boundaries import GO, Driver, Worker
from tests.simulation.statements import SHARED, Quick
from tieout.connectors import Written
from tieout.connectors.memory import Fault, FaultKind, ManualClock, MemoryBooks, MemoryConnector, SimulatedCrash
from tieout.errors import NotProcessed, NotSent, RetriableError, SignInRequired, UnknownOutcome
from tieout.sync import engine as engine_
from tieout.sync import store as store_
from tieout.sync.apply import PERMIT_SECONDS
from tieout.sync.store import Store, open_store

LATE = 30.0
ROWS = 2  # of a list, before which something may happen
_NAMES = itertools.count(1)
_ARMED = {k.value: k for k in FaultKind if k.value not in ("crash_before", "crash_after")}


# ── the state database ───────────────────────────────────────────────────────────────────────────────────────────────


class Database:
    """A state database in memory that several workers share, and one connection more to look into it from outside."""

    def __init__(self, template: sqlite3.Connection | None) -> None:
        self.address = f"file:/simulated-{next(_NAMES)}?vfs=memdb"
        self.outside = self.connect()
        if template is not None:
            template.backup(self.outside)

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.address, uri=True, isolation_level=None, check_same_thread=False, timeout=0)

    def copy(self) -> sqlite3.Connection:
        kept = sqlite3.connect(":memory:", check_same_thread=False)
        self.outside.backup(kept)
        return kept

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What is committed at this moment, through no connection of a worker."""
        return self.outside.execute(sql, values).fetchall()


def empty() -> sqlite3.Connection:
    """The tables of a new state database, by the product's own migrations."""
    store = open_store("sqlite://", clock=ManualClock())
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    with store.engine.connect() as db:
        db.connection.driver_connection.backup(kept)
    store.close()
    return kept


def engine_on(database: Database, store: SimulatedStore) -> sa.Engine:
    """An engine as `open_store` makes one, on this database; statements are compiled once for all of them."""
    engine = _Engine(sa.pool.StaticPool(database.connect), SHARED.dialect, sa.make_url("sqlite://"))
    engine._compiled_cache = SHARED._compiled_cache
    engine.store = store
    return engine


class _Connection(Quick):
    """One that begins as those of `open_store` do, and passes its boundaries itself: events cost at every statement."""

    def _begin_impl(self, transaction: Any) -> None:
        store = self.engine.store
        if store.worker is not None and store.worker.dead:
            raise SimulatedCrash("a dead process begins nothing")
        super()._begin_impl(transaction)
        self.connection.dbapi_connection.execute("BEGIN IMMEDIATE")

    def _commit_impl(self) -> None:
        if self.engine.store.driver.at("commit.before") == "locked":
            raise sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))
        super()._commit_impl()


class _Engine(sa.Engine):
    _connection_cls = _Connection
    store: Any = None

    @property
    def quick(self) -> bool:
        return bool(self.store.world.quick)


class SimulatedStore(Store):
    """The store of one worker: every durable commit is a boundary, before it and after."""

    def __init__(self, world: Any, worker: Worker | None) -> None:
        self.world, self.driver, self.worker = world, world.driver, worker
        self.within = False
        super().__init__(engine_on(world.database, self), self._clock)

    def _clock(self) -> datetime:
        self.driver.at("clock")
        return self.world.time() + timedelta(seconds=self.worker.skew if self.worker else 0.0)

    def _committed(self) -> None:
        if self.driver.at("commit.after") == "unanswered":
            with store_._database_errors():
                raise sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    @contextlib.contextmanager
    def writing(self, lease: Any, **kw: Any) -> Iterator[Any]:
        with super().writing(lease, **kw) as tx:
            self.within = True
            try:
                yield tx
            finally:
                self.within = False
        if lease is not None:
            self.world.truth.committed(lease)
        self._committed()

    def take(self, resources: list[str]) -> Any:
        lease = super().take(resources)
        self._committed()
        return lease

    def release(self, lease: Any) -> None:
        super().release(lease)
        self._committed()


# ── the books and the connector ──────────────────────────────────────────────────────────────────────────────────────


class SimulatedBooks(MemoryBooks):
    """Memory books that have each request witnessed as it arrives."""

    world: Any = None

    def write(self, request: Any) -> Written:
        if self.world is not None:
            self.world.truth.arrived(self, request, late=self._due is not None)
        return super().write(request)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("world", "clock")}


def copied(books: MemoryBooks, clock: ManualClock) -> Any:
    again = pickle.loads(pickle.dumps(books))  # our own bytes, of a moment ago
    again.clock = clock
    return again


class SimulatedConnector:
    """A connector of which every call is a boundary, before it and after."""

    def __init__(self, inner: MemoryConnector, side: str, world: Any, worker: Worker | None) -> None:
        self.inner, self.side, self.world, self.worker = inner, side, world, worker
        self.driver: Driver = world.driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _at(self, op: str, when: str) -> str:
        return self.driver.at(f"{self.side}.{op}.{when}")

    # ── reading

    def _ask(self, op: str) -> None:
        """The boundary before a read. What the memory connector can do wrong itself, it does."""
        self.world.truth.called(self.worker)
        action = self._at(op, "before")
        match action:
            case "lose_request":
                raise RetriableError(f"connection {self.inner.name}: no answer")
            case "throttle":
                raise RetriableError(f"connection {self.inner.name}: too many requests", retry_after=30.0)
            case "signed_out":
                raise SignInRequired(f"connection {self.inner.name}: sign in again", hint="tieout connect")
            case _ if action != GO:
                self.inner.faults.arm(Fault(_ARMED[action], op=op))

    def company(self) -> Any:
        self._ask("company")
        found = self.inner.company()
        self._at("company", "after")
        return found

    def control_balances(self, as_of: Any) -> Any:
        self._ask("control")
        found = self.inner.control_balances(as_of)
        self._at("control", "after")
        return found

    def pull(self, entity: Any, cursor: str | None = None) -> Any:
        self._ask("pull")
        pull = self.inner.pull(entity, cursor)
        inner = pull.observations

        def listing() -> Iterator[Any]:
            for n, one in enumerate(inner):
                if n < ROWS:
                    self._at("row", "before")
                self.world.truth.showed(self.side, one)
                yield one
            self._at("pull", "after")

        pull.observations = listing()
        return pull

    def get(self, entity: Any, id: str) -> Any:
        self._ask("get")
        found = self.inner.get(entity, id)
        self.world.truth.showed(self.side, found)
        self._at("get", "after")
        return found

    def search(self, entity: Any, **kw: Any) -> Any:
        self._ask("search")
        found = list(self.inner.search(entity, **kw))
        for one in found:
            self.world.truth.showed(self.side, one)
        self._at("search", "after")
        return found

    # ── writing

    def create(self, record: Any, **kw: Any) -> Written:
        return self._write("create", lambda: self.inner.create(record, **kw))

    def update(self, record: Any, **kw: Any) -> Written:
        return self._write("update", lambda: self.inner.update(record, **kw))

    def void(self, before: Any, **kw: Any) -> Written:
        return self._write("void", lambda: self.inner.void(before, **kw))

    def _write(self, op: str, send: Any) -> Written:
        self.world.truth.called(self.worker)
        if not self.inner.capabilities.synchronous:
            self._at("emit", "before")
            written = send()
            self._at("emit", "after")
            return written
        if self.worker is not None:
            self.worker.sending = self.world.time().timestamp()
        try:
            action = self._at(op, "before")
            self._fail(op, action)
            if action == "late":
                self.inner.faults.arm(Fault(FaultKind.LATE, op=op, seconds=LATE))
            written = send()
        finally:
            if self.worker is not None:
                self.worker.sending = None
        if self._at(op, "after") == "lose_response":
            raise UnknownOutcome(f"connection {self.inner.name}: no answer to the {op}")
        return written

    def _fail(self, op: str, action: str) -> None:
        what = f"connection {self.inner.name}: the {op}"
        match action:
            case "not_sent":
                raise NotSent(f"{what} could not be sent")
            case "lose_request":
                raise UnknownOutcome(f"{what} was not answered")
            case "throttle":
                raise NotProcessed(f"{what}: too many requests", retry_after=30.0, code="429")
            case "signed_out":
                raise NotProcessed(f"{what}: sign in again", code="401")

    def flush(self, *, run: str) -> list[str]:
        self.world.truth.called(self.worker)
        self._at("flush", "before")
        files = self.inner.flush(run=run)
        self._at("flush", "after")
        return files

    def handed_over(self) -> Any:
        return self.inner.handed_over()


# ── time and ids ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Ids:
    """Ids in the order of their making, the same in every run of a schedule."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.UUID = store_.uuid.UUID

    def uuid4(self) -> Any:
        self.next += 1
        number = self.next
        return type("Id", (), {"int": number, "hex": f"{number:032x}"[::-1]})


class _Instants(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2026, 2, 2, tzinfo=tz or UTC)


@contextlib.contextmanager
def same_every_time(world: Any, *, first: int = 0) -> Iterator[None]:
    """Ids (from `first`), the monotonic clock and which process is gone come from the schedule while this lasts."""
    work = engine_.Work

    def timed(*a: Any, **kw: Any) -> Any:
        return work(*a, monotonic=lambda: world.time().timestamp(), **kw)

    with (
        mock.patch.object(store_, "uuid", _Ids(first)),
        mock.patch.object(store_, "datetime", _Instants),
        mock.patch.object(store_, "this_worker", lambda: world.driver.process()),  # noqa: PLW0108  as it is by then
        mock.patch.object(store_, "is_gone", lambda name: world.driver.is_gone(name)),  # noqa: PLW0108
        mock.patch.object(engine_, "Work", timed),
    ):
        yield


assert PERMIT_SECONDS == 10.0, "how long a pause may last is reckoned from it (boundaries.ON_ITS_WAY)"
