"""The state database: leases, fencing, the audit chain, migrations; on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from tests.deep import DEEP
from tests.scenarios import test_flows
from tests.scenarios.world import World, customer, invoice
from tieout.connectors.memory import Fault, FaultKind, ManualClock
from tieout.errors import ConfigError, FatalError, LeaseHeldError, RetriableError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.state.worker import is_gone, this_worker
from tieout.sync.store import LEASE_SECONDS, Store, open_store, upgrade

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(url: str, clock: ManualClock) -> Iterator[Store]:
    store = open_store(url, clock=clock)
    yield store
    store.close()


def test_a_probe_writes_and_leaves_nothing_behind(store: Store) -> None:
    with store.holding(["a"]):
        before = [row["resource"] for row in store.rows(schema.lease.select())]
        store.probe()
        store.probe()
        assert [row["resource"] for row in store.rows(schema.lease.select())] == before == ["a"]


def test_a_lease_has_one_holder_until_it_is_given_back_or_expires(store: Store, clock: ManualClock) -> None:
    first = store.take(["b", "a"])
    with pytest.raises(LeaseHeldError, match=r"holds a "):
        store.take(["a"])
    with pytest.raises(LeaseHeldError):
        store.take(["b", "0"])
    assert store.take(["0"]).epoch == 1, "a lease that was not got whole is not held in part"
    store.release(first)
    second = store.take(["a", "b"])
    assert second.epochs == {"a": 2, "b": 2}
    clock.tick(LEASE_SECONDS / 2)
    store.renew(second)
    clock.tick(LEASE_SECONDS - 1)
    with pytest.raises(LeaseHeldError):
        store.take(["a"])
    clock.tick(2)
    assert store.take(["a", "b"]).epochs == {"a": 3, "b": 3}


def test_a_lease_of_a_clock_that_was_ahead_lasts_no_longer_than_any_other(store: Store, clock: ManualClock) -> None:
    """A machine began with its clock a year ahead and was switched off in its first run, which nobody here can see."""
    clock.tick(365 * 86_400)
    dead = store.take(["a", "b"])
    clock.tick(-365 * 86_400)
    with pytest.raises(LeaseHeldError, match=r"holds a .* the clock there was ahead") as told:
        store.take(["b", "a", "c"])
    assert told.value.hint is not None and "2026-02-02T09:02" in told.value.hint, "and when it ends"
    clock.tick(LEASE_SECONDS - 1)
    with pytest.raises(LeaseHeldError, match=r"until 2026-02-02T09:02[^,]*$"):
        store.take(["b", "a"])
    clock.tick(2)
    assert store.take(["b", "a"]).epochs == {"a": 2, "b": 2}
    with pytest.raises(LeaseHeldError, match="passed to another run"):
        store.renew(dead)


def test_a_lease_of_a_clock_that_is_ahead_is_kept_by_renewing_it(store: Store, clock: ManualClock) -> None:
    def ahead(act):
        clock.tick(7_200)
        done = act()
        clock.tick(-7_200)
        return done

    alive = ahead(lambda: store.take(["a"]))
    for _ in range(6):
        with pytest.raises(LeaseHeldError, match="the clock there was ahead"):
            store.take(["a"])
        clock.tick(LEASE_SECONDS / 4)
        ahead(lambda: store.renew(alive))
    ahead(lambda: store.release(alive))
    assert store.take(["a"]).epochs == {"a": 2}


def test_a_worker_that_lost_its_lease_can_write_nothing_more(store: Store, clock: ManualClock) -> None:
    zombie = store.take(["pair:p"])
    clock.tick(LEASE_SECONDS + 1)
    holder = store.take(["pair:p"])
    for act in (lambda: store.renew(zombie), lambda: _event(store, zombie)):
        with pytest.raises(LeaseHeldError, match="passed to another run"):
            act()
    assert store.rows(sa.select(schema.audit_event)) == []
    store.release(zombie)
    with pytest.raises(LeaseHeldError):
        store.take(["pair:p"])
    _event(store, holder)
    assert len(store.rows(sa.select(schema.audit_event))) == 1


def _event(store: Store, lease=None) -> None:
    with store.writing(lease, actor="Grace") as tx:
        tx.audit("decided", "discrepancy", "d1", {"why": "é"})


def test_a_failed_transaction_leaves_neither_change_nor_event(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writing(None) as tx:
        tx.audit("decided", "discrepancy", "d1")
        tx.put(schema.cursor, {"connection": "c", "entity": "e", "watermark": "w", "last_full_at": None, "run": "r"})
        raise ZeroDivisionError
    assert store.rows(sa.select(schema.audit_event)) == store.rows(sa.select(schema.cursor)) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE audit_event SET payload = '{}' WHERE seq = 2", "event 2 was altered"),
        ("UPDATE audit_event SET actor = 'Mallory' WHERE seq = 3", "event 3 was altered"),
        ("DELETE FROM audit_event WHERE seq = 2", "event 2 is missing"),
        ("DELETE FROM audit_event WHERE seq = 1", "event 1 is missing"),
        ("UPDATE audit_event SET hash = prev_hash WHERE seq = 1", "event 1 was altered"),
    ],
)
def test_the_audit_chain_shows_what_was_altered(store: Store, sql: str, said: str) -> None:
    for _ in range(3):
        _event(store)
    assert log_breaks(store) == []
    with store.engine.begin() as db:
        db.exec_driver_sql(sql)
    assert said in log_breaks(store)


def test_many_writers_at_once_make_one_chain(store: Store) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                _event(store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.rows(sa.select(schema.audit_event))) == 20
    assert log_breaks(store) == []


def test_many_takers_at_once_get_one_lease(store: Store) -> None:
    got: list[str] = []
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        try:
            got.append(store.take(["pair:p", "connection:c"]).owner)
        except LeaseHeldError:
            got.append("")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert sum(bool(owner) for owner in got) == 1


@pytest.mark.parametrize("at", [40, 80, 120])
def test_who_stops_a_run_is_told_that_and_no_trouble_with_its_lease(at: int) -> None:
    """A statement that is broken off takes a state in memory with it: the lease cannot be given back."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, number="L-1"))
    nth = count()

    def stop(*_: Any) -> None:
        if next(nth) == at:
            raise KeyboardInterrupt

    sa.event.listen(world.store.engine, "before_cursor_execute", stop)
    with pytest.raises(KeyboardInterrupt) as caught:
        world.run()
    assert any("its lease was not given back" in note for note in caught.value.__notes__)


def test_many_threads_at_once_open_states_of_their_own(tmp_path: Path, clock: ManualClock) -> None:
    """Three new databases by name and three in memory: each gets its tables, none another one's."""
    urls = [f"sqlite:///{tmp_path / str(n)}" for n in range(3)] + ["sqlite://"] * 3
    got: list[Any] = []
    gate = threading.Barrier(len(urls))

    def work(url: str) -> None:
        gate.wait()
        try:
            store = open_store(url, clock=clock)
            got.append(store.take(["pair:p"]).epoch)
            store.close()
        except BaseException as error:
            got.append(error)

    threads = [threading.Thread(target=work, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [1] * len(urls)


def test_the_migrations_make_the_very_tables_of_the_schema(store: Store) -> None:
    with store.engine.connect() as db:
        differences = compare_metadata(MigrationContext.configure(db), schema.metadata)
    assert differences == []
    upgrade(store.engine)


def test_a_state_of_this_version_is_opened_without_alembic_and_an_older_one_with_it(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(url, clock=clock).close()
    brought: list[sa.Engine] = []
    monkeypatch.setattr("tieout.sync.store.upgrade", brought.append)
    again = open_store(url, clock=clock)
    assert brought == []
    with again.engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    again.close()
    open_store(url, clock=clock).close()
    assert len(brought) == 1


def _back_to(engine: sa.Engine, revision: str) -> None:
    """Take the tables of a state back to what they were under an older revision."""
    with engine.begin() as db:
        if revision < "0010":
            read = ("run_started", "run_running", "snapshot_read", "snapshot_dated")
            for name in (*read, "plan_status", "discrepancy_state"):
                db.exec_driver_sql(f"DROP INDEX {name}")
        if revision < "0009":
            db.exec_driver_sql("ALTER TABLE cursor DROP COLUMN doubt")
        if revision < "0008":
            db.exec_driver_sql("ALTER TABLE intent DROP COLUMN answer")
            db.exec_driver_sql("ALTER TABLE base DROP COLUMN unsure")
        if revision < "0007":
            db.exec_driver_sql("DROP TABLE closing")
        if revision < "0006":
            for name in ("sign_off", "promise"):
                db.exec_driver_sql(f"DROP TABLE {name}")
        if revision < "0005":
            for name in ("audit_discrepancy", "attempt_sent"):
                db.exec_driver_sql(f"DROP INDEX {name}")
        if revision < "0003":
            db.exec_driver_sql("DROP TABLE comparison")
            for name in ("intent_state", "intent_marker", "audit_opened"):
                db.exec_driver_sql(f"DROP INDEX {name}")
            for name in ("quiet_hash", "quiet_rules", "quiet_at"):
                db.exec_driver_sql(f"ALTER TABLE base DROP COLUMN {name}")
        if revision < "0002":
            db.exec_driver_sql("ALTER TABLE lease DROP COLUMN worker")
        db.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_state_of_an_older_tieout_goes_on_where_it_was(revision: str, url: str) -> None:
    world = World(url=url)
    ada = world.l.put(customer())
    invoices = [world.l.put(invoice(ada.ref.id, f"{n}.00", number=f"L-{n}")) for n in (1, 2)]
    world.run()
    world.settle()
    _back_to(world.store.engine, revision)
    world.store.close()
    world.store = open_store(url, clock=world.clock)
    with world.store.engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), schema.metadata) == []
    unsure = {(r["connection"], r["unsure"]) for r in world.store.rows(sa.select(schema.base))}
    # What the older one did not note of the records that it made there: any text may be somebody's.
    texts = '["email","memo","name","phone","po_number","reference"]'
    assert unsure == {("left", "[]"), ("right", texts)}
    world.l.edit(Entity.INVOICE, invoices[0].ref.id, memo="changed under the older one")
    report = world.run()
    assert [o.op.value for o in report.operations] == ["update"]
    assert world.run().operations == []
    assert world.counts(Entity.INVOICE) == (2, 2)
    assert log_breaks(world.store) == []
    world.store.close()


def test_figures_of_two_reports_on_one_account_are_both_kept_from_the_migration_on(
    url: str, clock: ManualClock
) -> None:
    """A state of before keeps what it held; afterwards the second report no longer writes over the first."""
    row = {"run": "r", "connection": "qb", "account": "1100", "currency": "USD", "as_of": "2026-01-31"}
    store = open_store(url, clock=clock)
    schema.metadata.drop_all(store.engine)
    config = Config()
    config.set_main_option("script_location", str(ROOT / "tieout" / "sync" / "migrations"))
    with store.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE alembic_version")
        config.attributes["connection"] = db
        command.upgrade(config, "0002")
        db.exec_driver_sql(
            "INSERT INTO control_total (run, connection, account, currency, as_of, amount_micros, report) "
            "VALUES ('r', 'qb', '1100', 'USD', '2026-01-31', 9007199254740993001, 'BalanceSheet')"
        )
    upgrade(store.engine)
    with store.writing(None) as tx:
        tx.put(schema.control_total, row | {"report": "ARAgingSummary", "amount_micros": 1})
        tx.put(schema.control_total, row | {"report": "ARAgingSummary", "amount_micros": 2})
    kept = {r["report"]: r["amount_micros"] for r in store.rows(sa.select(schema.control_total))}
    assert kept == {"BalanceSheet": 9007199254740993001, "ARAgingSummary": 2}
    store.close()


def test_a_state_of_a_newer_tieout_is_left_alone(store: Store) -> None:
    with store.engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer tieout"):
        upgrade(store.engine)


def test_a_locked_database_is_a_matter_of_time(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    one, two = (open_store(url, clock=clock) for _ in range(2))
    two.engine.dispose()
    sa.event.listen(two.engine, "connect", lambda db, _: db.execute("PRAGMA busy_timeout=50"))
    with one.writing(None), pytest.raises(RetriableError, match="locked"):
        _event(two)
    _event(two)


def test_a_damaged_database_ends_the_run(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database, whatever its name says" * 40)
    with pytest.raises((FatalError, sa.exc.DatabaseError)):
        open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=clock)


def test_an_unknown_database_is_a_matter_of_configuration(clock: ManualClock) -> None:
    with pytest.raises(ConfigError):
        open_store("no url at all", clock=clock)


# ── the engine on PostgreSQL ─────────────────────────────────────────────────────────────────────────────────────


def _flows() -> list[str]:
    return sorted(n for n in dir(test_flows) if n.startswith("test_") and "history" not in n)


@pytest.mark.parametrize("name", _flows() if DEEP else _flows()[::2])
def test_flows_on_postgresql(name: str, pg_url: str) -> None:
    world = World(right="unique_number", url=pg_url)
    try:
        getattr(test_flows, name)(world)
    finally:
        world.store.close()


def test_a_crash_on_postgresql_is_recovered(pg_url: str) -> None:
    world = World(url=pg_url)
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", nth=2))
    assert world.run().applied["unknown"] == 1
    world.store.close()
    world.store = open_store(pg_url, clock=world.clock)
    world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)
    assert log_breaks(world.store) == []
    world.store.close()


_PROCESS = """
import sys
from tests.scenarios.world import World, customer
from tieout.errors import LeaseHeldError
world = World(url=sys.argv[1])
world.l.put(customer())
company = world.left.company
def slow():
    print("holding", flush=True)
    sys.stdin.readline()
    return company()
world.left.company = slow
try:
    world.run(tick=0)
except LeaseHeldError as error:
    print("held", error.exit_code, flush=True)
else:
    print("done", flush=True)
"""


def test_a_killed_run_is_followed_at_once_by_the_next_on_the_same_machine(url: str, clock: ManualClock) -> None:
    """Killed in the middle of a run, not even waited for by its parent: nobody waits for its lease to run out."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env, "cwd": ROOT}
    first = subprocess.Popen([sys.executable, "-c", _PROCESS, url], **pipes)
    try:
        assert first.stdout.readline() == "holding\n"
        store = open_store(url, clock=clock)
        with pytest.raises(LeaseHeldError):
            store.take(["pair:books"])
        first.kill()
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        taken = store.take(["pair:books"])
        assert taken.epochs == {"pair:books": 2}, "not reaped by its parent, it is gone all the same"
        store.release(taken)
        first.wait()
        store.take(["pair:books", "connection:left", "connection:right"])
        store.close()
    finally:
        first.kill()
        first.wait()
        first.stdin.close()
        first.stdout.close()


def test_only_a_worker_that_is_certainly_gone_counts_as_gone() -> None:
    me = this_worker()
    assert me is not None
    machine, pid, started = me.rsplit(" ", 2)
    assert not is_gone(me)
    assert is_gone(f"{machine} {pid} {int(started) - 1}"), "the number was given to another process"
    assert not is_gone(f"{machine} {os.getppid()} {_started(os.getppid())}")
    for doubtful in (None, "", "nonsense", f"another-boot pid:[1] {2**22 + 1} 1", f"{machine} x {started}"):
        assert not is_gone(doubtful), doubtful
    assert is_gone(f"{machine} {2**22 + 1} 1"), "no process has a number beyond the kernel's last"


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_of_two_processes_one_runs_and_the_other_is_told(url: str) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env, "cwd": ROOT}
    first = subprocess.Popen([sys.executable, "-c", _PROCESS, url], **pipes)
    try:
        assert first.stdout.readline() == "holding\n"
        second = subprocess.run(
            [sys.executable, "-c", _PROCESS, url],
            input="\n",
            capture_output=True,
            text=True,
            env=env,
            cwd=ROOT,
            timeout=60,
            check=True,
        )
        assert second.stdout == "held 3\n"
        out, _ = first.communicate("\n", timeout=60)
        assert out == "done\n"
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("nth", range(1, 4))
def test_a_database_that_goes_away_at_a_write_is_a_matter_of_time_and_the_next_run_goes_on(
    pg_url: str, nth: int
) -> None:
    """PostgreSQL ends every session when the books have taken a document, and takes no other until the run has ended."""
    world = World(url=pg_url)
    ada = world.l.put(customer())
    for n in range(3):
        world.l.put(invoice(ada.ref.id, f"{n + 1}.00", number=f"L-{n}"))
    create, calls = world.right.create, []
    address = sa.engine.make_url(pg_url)
    admin = sa.create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT")
    lets = f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS"

    def cut(*args: Any, **kw: Any) -> Any:
        written = create(*args, **kw)
        calls.append(written)
        if len(calls) == nth:
            ended = sa.text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name")
            with admin.connect() as db:
                db.exec_driver_sql(f"{lets} false")
                assert db.execute(ended, {"name": address.database}).scalar_one() > 0
        return written

    world.right.create = cut  # type: ignore[method-assign]
    with pytest.raises(RetriableError) as gone:
        world.run()
    assert (gone.value.exit_code, len(calls)) == (3, nth)
    with admin.connect() as db:
        db.exec_driver_sql(f"{lets} true")
    world.right.create = create  # type: ignore[method-assign]
    world.clock.tick(LEASE_SECONDS)
    report = world.settle()
    assert (report.operations, report.exit_code) == ([], 0)
    assert world.counts(Entity.INVOICE) == (3, 3)
    assert world.counts(Entity.CUSTOMER) == (1, 1)
    assert log_breaks(world.store) == []
    admin.dispose()
    world.store.close()
