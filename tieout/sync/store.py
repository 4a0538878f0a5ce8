"""The state database: one writer, every change and its audit event in one transaction, fenced by a lease.

`Store.writing(lease)` opens the only kind of transaction that changes anything; it rolls back with `LeaseHeldError`
when another worker took the lease meanwhile. Nothing here talks to a remote: no transaction is open across a call.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection as Db
from sqlalchemy.engine import Engine, make_url

from tieout.errors import ConfigError, LeaseHeldError, TieoutError
from tieout.sync import schema
from tieout.sync.core.facts import canonical
from tieout.sync.state.rows import add, add_new, change, replace
from tieout.sync.state.trouble import explained
from tieout.sync.state.worker import is_gone, this_worker

T = TypeVar("T")
Clock = Callable[[], datetime]
GENESIS = "0" * 64
LEASE_SECONDS = 120
LOCK_SECONDS = 10.0  # for which another's hold on the database is waited out
STREAMED = 2_000  # rows that `Store.stream` holds at a time


def stamp(at: datetime) -> str:
    """A UTC instant as text that sorts: 2026-02-02T09:00:00.000000Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """The instant that `stamp` wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write, held on several resources under one owner; `epochs` fence a worker that lost it."""

    owner: str
    epochs: Mapping[str, int]

    @property
    def epoch(self) -> int:
        return max(self.epochs.values())


class Store:
    """The state of all pairs of one company."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self._open = threading.local()

    def now(self) -> str:
        return stamp(self.clock())

    def close(self) -> None:
        self.engine.dispose()

    def probe(self) -> None:
        """Prove that a run could write here, and leave nothing behind. Raises as `writing` does."""
        row = {"resource": f"probe:{new_id()}", "epoch": 0, "owner": None, "expires_at": None}
        with _database_errors(), self.engine.connect() as db, db.begin() as tx:
            add_new(db, schema.lease, [row])
            tx.rollback()

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def reading(self) -> Iterator[Db]:
        """A connection to read with: within a transaction of this thread that one's, so that it shows what it wrote."""
        inside: Db | None = getattr(self._open, "db", None)
        if inside is not None:
            yield inside
            return
        with _database_errors(), self.engine.connect() as db, self._opened(db):
            yield db

    @contextlib.contextmanager
    def _opened(self, db: Db) -> Iterator[None]:
        """Let what this thread reads within the block go through this connection."""
        self._open.db = db
        try:
            yield
        finally:
            self._open.db = None

    @contextlib.contextmanager
    def writing(self, lease: Lease | None, *, run: str | None = None, actor: str = "tieout") -> Iterator[Tx]:
        """A transaction. With a lease it is fenced; without one (decisions, approvals) it only serialises."""
        with _database_errors(), self.engine.begin() as db:
            if db.dialect.name == "postgresql":
                # One writer at a time, as in SQLite: the audit chain has one next event.
                db.exec_driver_sql("SELECT pg_advisory_xact_lock(7130252)")
            tx = Tx(db, self, run, actor)
            if lease is not None:
                tx.fence(lease)
            with self._opened(db):
                yield tx
            tx.flush()

    def rows(self, query: sa.Select[Any], **values: Any) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries. values: of its parameters

        What every run asks is best made once, with parameters: to make a query takes longer than to ask a small table.
        """
        with self.reading() as db:
            return [dict(r) for r in db.execute(query, values).mappings()]

    def stream(self, query: sa.Select[Any], **values: Any) -> Iterator[Any]:
        """The rows of a query one after the other, without holding them all. Nothing may be written meanwhile."""
        with self.reading() as db:
            yield from db.execution_options(yield_per=STREAMED).execute(query, values)

    # ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, resources: list[str]) -> Lease:
        """Take all resources, in order of their names, or none. Raises LeaseHeldError naming the holder.

        A lease ends by its time, or at once when its worker is known to be gone (a process of this machine that ended).
        One that was taken by a clock ahead of this one's ends as one that is taken now would, if nobody renews it.
        """
        owner = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        now, until = self.now(), stamp(self.clock() + timedelta(seconds=LEASE_SECONDS))
        epochs: dict[str, int] = {}
        t, ahead = schema.lease, False
        try:
            with _database_errors(), self.engine.begin() as db:
                for resource in sorted(resources):
                    free = {"resource": resource, "epoch": 0, "owner": None, "expires_at": None}
                    add_new(db, t, [free])
                    held = db.execute(_LEASE, {"resource": resource}).mappings().one()
                    if held["owner"] is not None and held["expires_at"] > now and not is_gone(held["worker"]):
                        ahead = held["expires_at"] > until
                        raise _held(dict(held), until)
                    epochs[resource] = held["epoch"] + 1
                    ours = {"epoch": epochs[resource], "owner": owner, "worker": this_worker(), "expires_at": until}
                    change(db, t, {"resource": resource}, ours)
        except LeaseHeldError:
            if not ahead:
                raise
            with _database_errors(), self.engine.begin() as db:
                db.execute(_SHORTENED, {"of": resources, "until": until})
            raise
        return Lease(owner, epochs)

    def renew(self, lease: Lease) -> None:
        """Extend a lease that is still ours. Raises LeaseHeldError if it is not."""
        until = stamp(self.clock() + timedelta(seconds=LEASE_SECONDS))
        with self.writing(lease) as tx:
            for resource in lease.epochs:
                tx.change(schema.lease, {"resource": resource}, {"expires_at": until})

    @contextlib.contextmanager
    def holding(self, resources: list[str]) -> Iterator[Lease]:
        """Hold the lease on the resources for a block; raises as `take`.

        What ended the block is told, and no trouble in giving the lease back: that ends by itself.
        """
        lease = self.take(resources)
        try:
            yield lease
        except BaseException as error:
            try:
                self.release(lease)
            except TieoutError as more:
                error.add_note(f"its lease was not given back: {more.message}")
            raise
        self.release(lease)

    def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost meanwhile is left to its new holder."""
        free = {"owner": None, "worker": None, "expires_at": None}
        with _database_errors(), self.engine.begin() as db:
            for resource, epoch in lease.epochs.items():
                change(db, schema.lease, {"resource": resource, "epoch": epoch}, free)


class Tx:
    """One transaction of the store. Every change goes through `change`, which also writes its audit event."""

    def __init__(self, db: Db, store: Store, run: str | None, actor: str) -> None:
        self.db = db
        self.store = store
        self.run = run
        self.actor = actor
        self.at = store.now()
        self._events: list[dict[str, Any]] = []

    def fence(self, lease: Lease) -> None:
        """Go on only while every resource of the lease is still its own. Raises LeaseHeldError."""
        wanted = {f"r{n}": resource for n, resource in enumerate(lease.epochs)}
        held = {row.resource: row for row in self.db.execute(_leases(len(wanted)), wanted)}
        for resource, epoch in lease.epochs.items():
            row = held.get(resource)
            if row is None or row.epoch != epoch or row.owner != lease.owner:
                raise LeaseHeldError(
                    f"the lease on {resource} passed to another run; nothing more is written by this one",
                    hint="run it again; what was sent is settled first",
                )

    def look_again(self) -> None:
        """Let every pair look at everything in its next run: what a reference stands for may have changed."""
        b = schema.base
        self.db.execute(b.update().where(b.c.quiet_hash.is_not(None)).values(quiet_hash=None))

    def one(self, query: sa.Select[Any], **values: Any) -> dict[str, Any] | None:
        """The first row of a query, None if there is none. values: of its parameters."""
        row = self.db.execute(query, values).mappings().first()
        return dict(row) if row is not None else None

    def all(self, query: sa.Select[Any], **values: Any) -> list[dict[str, Any]]:
        """The rows of a query. values: of its parameters"""
        return [dict(r) for r in self.db.execute(query, values).mappings()]

    def put(self, table: sa.Table, values: Mapping[str, Any], *, keep: tuple[str, ...] = ()) -> None:
        """Insert a row, or replace the one with the same primary key; columns in `keep` stay as they were."""
        self.put_all(table, [values], keep=keep)

    def put_all(self, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: tuple[str, ...] = ()) -> None:
        """`put` for many rows of the same columns."""
        replace(self.db, table, rows, keep=keep)

    def put_new(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows whose primary key is not there yet."""
        add_new(self.db, table, rows)

    def add(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of the same columns."""
        add(self.db, table, rows)

    def change(self, table: sa.Table, where: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Set the values in the rows whose columns equal those of `where`."""
        change(self.db, table, where, values)

    def keep_blob(self, body: bytes) -> str:
        """Keep bytes under their sha256, once; returns it."""
        hash_ = hashlib.sha256(body).hexdigest()
        self.put_new(schema.blob, [{"hash": hash_, "body": zlib.compress(body, 6), "created_at": self.at}])
        return hash_

    def audit(self, action: str, kind: str, id: str, payload: Mapping[str, Any] | None = None) -> None:
        """Append one event to the chain; part of this transaction, at the end of which events are written."""
        last = self._events[-1] if self._events else self.one(_LAST_EVENT) or {}
        event: dict[str, Any] = {
            "seq": last.get("seq", 0) + 1,
            "at": self.at,
            "actor": self.actor,
            "action": action,
            "object_type": kind,
            "object_id": id,
            "run": self.run,
            "payload": canonical(payload or {}),
            "prev_hash": last.get("hash", GENESIS),
        }
        event["hash"] = event_hash(event)
        self._events.append(event)

    def flush(self) -> None:
        """Write the events of the transaction."""
        self.add(schema.audit_event, self._events)
        self._events = []


_LAST_EVENT = (
    sa.select(schema.audit_event.c.seq, schema.audit_event.c.hash).order_by(schema.audit_event.c.seq.desc()).limit(1)
)
_LEASE = sa.select(schema.lease).where(schema.lease.c.resource == sa.bindparam("resource")).with_for_update()


_SHORTENED = (
    schema.lease.update()
    .where(
        schema.lease.c.resource.in_(sa.bindparam("of", expanding=True)),
        schema.lease.c.expires_at > sa.bindparam("until"),
    )
    .values(expires_at=sa.bindparam("until"))
)


def _held(lease: Mapping[str, Any], until: str) -> LeaseHeldError:
    """What is told of a lease that another run holds. until: when one that is taken now would end"""
    text = f"another run holds {lease['resource']} ({lease['owner']}, until {lease['expires_at']})"
    hint = "wait for it to end; a run that was killed gives way by itself"
    if lease["expires_at"] > until:
        text += ", longer than any run may: the clock there was ahead of this one, or this one is behind"
        hint = f"set both clocks; if that run is gone, its lease ends at {until} by this clock"
    return LeaseHeldError(text, hint=hint, retry_after=float(LEASE_SECONDS))


@lru_cache(maxsize=8)
def _leases(count: int) -> sa.Select[Any]:
    """The leases on so many resources, `r0` and so on."""
    t = schema.lease
    where = t.c.resource.in_([sa.bindparam(f"r{n}") for n in range(count)])
    return sa.select(t.c.resource, t.c.epoch, t.c.owner).where(where).order_by(t.c.resource).with_for_update()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`, in order."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def new_id() -> str:
    """An id that sorts by time of making (UUID version 7)."""
    ms = int(datetime.now(UTC).timestamp() * 1000)
    value = (ms << 80) | (0x7 << 76) | (uuid.uuid4().int & ((1 << 76) - 1))
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def event_hash(event: Mapping[str, Any]) -> str:
    """What the hash of an event must be: it covers everything that the event says, and the event before it."""
    body = {k: event[k] for k in ("seq", "at", "actor", "action", "object_type", "object_id", "run", "payload")}
    return hashlib.sha256((canonical(body) + event["prev_hash"]).encode()).hexdigest()


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    """Database trouble as our own errors: what passes, what the user mends, what ends the run."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        raise explained(error) from error


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────


def open_store(url: str, *, clock: Clock) -> Store:
    """Open a state database, make or upgrade its tables. `sqlite:///path`, `sqlite://` (in memory) or PostgreSQL."""
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # from None: an address may hold a password, and the cause repeats it
        raise ConfigError(
            "[state] url is no database address", hint="use sqlite:///tieout.db or postgresql://HOST/DATABASE"
        ) from None
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    store = Store(engine, clock)
    with _database_errors():
        if not _is_of_this_version(engine):
            upgrade(engine)
    return store


def _is_of_this_version(engine: Engine) -> bool:
    """Whether the tables are the newest, without Alembic: to load it takes longer than many a command."""
    newest = max(path.name for path in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py"))
    with engine.connect() as db:
        if not sa.inspect(db).has_table("alembic_version"):
            return False
        return db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [newest.split("_")[0]]


def _sqlite(url: sa.URL) -> Engine:
    memory = not url.database or url.database == ":memory:"
    if not memory:
        path = Path(url.database or "").absolute()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.StaticPool if memory else None,
        # The pool hands a connection to one thread at a time: the run's own, or the one that renews its lease.
        connect_args={"timeout": LOCK_SECONDS, "check_same_thread": False, "isolation_level": None},
    )

    def pragmas(connection: Any, _record: Any) -> None:
        import sqlite3  # noqa: PLC0415  only to ask for its version

        def run(pragma: str) -> None:
            try:
                connection.execute(pragma)
            except UnicodeDecodeError:  # of what SQLite says of a damaged file, which repeats what is in it
                raise sqlite3.DatabaseError("malformed, and its text is none") from None

        # WAL loses commits in a race before 3.51.3 (and its two backports): rollback journal there.
        safe_wal = sqlite3.sqlite_version_info >= (3, 51, 3) or sqlite3.sqlite_version in ("3.44.6", "3.50.7")
        run("PRAGMA journal_mode=WAL" if safe_wal else "PRAGMA journal_mode=DELETE")
        run("PRAGMA synchronous=FULL" if safe_wal else "PRAGMA synchronous=EXTRA")
        for pragma in ("foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
            run(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", pragmas)
    sa.event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _postgresql(url: sa.URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    wait = int(LOCK_SECONDS * 1000)
    try:
        engine = sa.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"options": f"-c synchronous_commit=on -c lock_timeout={wait} -c statement_timeout=600000"},
        )
    except ModuleNotFoundError as error:
        raise ConfigError("PostgreSQL needs its driver", hint="pip install 'tieout[postgres]'") from error
    return engine


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version with Alembic. Two processes at once wait for each other, and two threads.

    Raises ConfigError for the state of a newer tieout.
    """
    with _UPGRADING:
        migrate(engine)


# Alembic hands the database to its migrations through names of its own module: one at a time.
_UPGRADING = threading.Lock()


def migrate(engine: Engine) -> None:
    """Run the migrations that the database lacks. Not for two threads at once: `upgrade` sees to that."""
    from alembic import command  # noqa: PLC0415  slow to import, needed once
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as db:
        current = MigrationContext.configure(db).get_current_revision()
        db.rollback()
        if current == head:
            return
        known = {s.revision for s in ScriptDirectory.from_config(config).walk_revisions()}
        if current is not None and current not in known:
            raise ConfigError(
                f"the state database was written by a newer tieout (revision {current})",
                hint="upgrade tieout, or use another state database",
            )
    with engine.begin() as db:
        if db.dialect.name == "postgresql":
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(7130251)")
        config.attributes["connection"] = db
        command.upgrade(config, "head")


def loads(text: str | None) -> Any:
    """JSON of a column, None for NULL."""
    return None if text is None else json.loads(text)
