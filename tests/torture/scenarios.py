"""Bad days of a real process beside being killed. Each is one company, ends in both books agreeing, and asserts its own.

A scenario is a function of a world that was brought to rest; it returns what it counted and raises AssertionError.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from tests.torture.checks import Losses, doubled, settled
from tests.torture.world import Ran, World

MOST_RUNS = 12
Counted = dict[str, int]


def rest(made: World) -> Ran:
    """Runs and nights until nothing is left to do; then both books agree and nothing is doubled or lost."""
    for n in range(MOST_RUNS):
        made.night()
        ran = made.run()
        assert ran.code in (0, 3, 4), ran.error
        assert "Traceback" not in ran.error, ran.error
        if ran.quiet:
            break
        made.time.pass_(minutes=15 if n else 5)
    assert ran.quiet, (ran.code, ran.run, ran.error)
    made.quiet_run = ran
    losses = Losses()
    settled(made, ran, losses)
    assert not losses, losses
    return ran


def work(made: World, acts: int = 4) -> None:
    """People do something that has to be carried over to either side."""
    made.people.erp_invoice()
    made.people.qbo_invoice()
    for _ in range(acts):
        made.people.act()
    made.night()


def disk_full(made: World) -> Counted:
    """No file may grow beyond so many bytes, as on a full disk: state, outbox, sign-ins. RLIMIT_FSIZE; root not needed."""
    temporary = 0
    base = (made.folder / "tieout.db").stat().st_size if (made.folder / "tieout.db").exists() else 0
    for size in (0, 100, 2_000, 20_000, base, base + 4096, base + 20_000):
        work(made)
        ran = made.run(most_bytes=size)
        # What a program prints goes to files here, too: with no byte to print, the exit code is all there is.
        assert ran.code in (0, 3), (size, ran.code, ran.error)
        assert "Traceback" not in ran.error, ran.error
        temporary += ran.code == 3
        assert not doubled(made), doubled(made)
        made.time.pass_(seconds=1)
    assert temporary >= 3, "the limit was never felt"
    rest(made)
    return {"temporary": temporary}


def locked(made: World) -> Counted:
    """Another process holds the database. The run gives up as temporary, or waits until it is free; nothing is lost."""
    work(made)
    if made.state.startswith("postgresql"):
        import psycopg

        with psycopg.connect(made.state.replace("+psycopg", "")) as other:
            other.execute("SELECT pg_advisory_xact_lock(7130252)")
            ran = made.run()
    else:
        other = sqlite3.connect(made.folder / "tieout.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ran = made.run()
        other.execute("ROLLBACK")
        other.close()
    assert ran.code == 3, (ran.code, ran.error)
    assert "Traceback" not in ran.error
    assert ran.error.strip()
    rest(made)
    return {"temporary": 1}


def clock_jumps(made: World) -> Counted:
    """This machine's clock is set forward and back between runs, and runs die meanwhile; QuickBooks' clock goes on."""
    jumps = 0
    for hours in (5, -5, 24 * 40, -24 * 40, -3, 0.5, 0):
        work(made, 2)
        at = (made.time.now + timedelta(hours=hours)).isoformat()
        died = made.run(at=at, point="sent POST invoice", nth=1)
        ran = made.run(at=at)
        assert ran.code in (0, 3, 4), (hours, ran.error)
        assert "another run holds" not in ran.error, "a lease from the future is free once its process is gone"
        assert not doubled(made), (hours, doubled(made))
        jumps += died.killed
        made.time.pass_(minutes=15)
    assert jumps >= 3, "hardly a run died in the middle of a write"
    rest(made)
    return {"jumps": 7, "killed": jumps}


def two_schedulers(made: World) -> Counted:
    """Two runs are started at once, again and again: one works, the other is told so and ends as temporary."""
    refused = 0
    for _ in range(6):
        work(made, 1)
        both = [made.start("sync", "--apply", "--json"), made.start("sync", "--apply", "--json")]
        ran = [made.end(one) for one in both]
        for one in ran:
            assert one.code in (0, 3), one.error
            if one.code == 3:
                assert "another run holds" in one.error, one.error
                refused += 1
        assert any(one.code == 0 for one in ran)
        assert not doubled(made), doubled(made)
        made.time.pass_(minutes=15)
    assert refused, "the two never met"
    rest(made)
    return {"refused": refused}


@contextmanager
def copied(made: World) -> Iterator[Callable[[], None]]:
    """A copy of the state database as it is now; calling what is given puts it back."""
    if made.state.startswith("postgresql"):
        import sqlalchemy as sa

        url = sa.engine.make_url(made.state)
        admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

        def copy(source: str, target: str) -> None:
            with admin.connect() as db:
                db.exec_driver_sql(f"DROP DATABASE IF EXISTS {target}")
                db.exec_driver_sql(f"CREATE DATABASE {target} TEMPLATE {source}")

        own, kept = str(url.database), f"{url.database}_kept"
        copy(own, kept)
        yield lambda: copy(kept, own)
        with admin.connect() as db:
            db.exec_driver_sql(f"DROP DATABASE {kept}")
        admin.dispose()
        return
    db_file, backup = made.folder / "tieout.db", made.folder / "backup.db"
    with closing(sqlite3.connect(db_file)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)

    def back() -> None:
        for leftover in ("-journal", "-wal", "-shm"):
            Path(f"{db_file}{leftover}").unlink(missing_ok=True)
        shutil.copy(backup, db_file)

    yield back


def restored(made: World) -> Counted:
    """The state database is put back to an older copy after more was written: it is noticed, nothing is written
    until a person confirms it, and nothing is made twice after."""
    times = told = 0
    for _ in range(3):
        with copied(made) as back:
            for _ in range(2):
                work(made)
                made.run()
                made.night()
                made.time.pass_(minutes=15)
            back()
        times += 1
        writes = len(made.site.books.effects)
        for _ in range(2):
            ran = made.run()
            assert ran.code == 4, (ran.code, ran.error)
            made.night()
            made.time.pass_(minutes=15)
        assert len(made.site.books.effects) == writes, "written before a person confirmed"
        told += 1
        confirmed = made.run("evidence", "confirm", "--by", "Kim", "--reason", "restored from the backup", "--json")
        assert confirmed.code == 0, confirmed.error
        rest(made)
    return {"restored": times, "noticed": told}


def token_rotation(made: World) -> Counted:
    """Two processes at the end of an access token, and kills between Intuit's answer and its keeping.

    The sandbox gives a new refresh token at every call, and takes the one before it for a day, as Intuit does. The
    sign-in has to work at the end, and the newest refresh token that was given has to be the one that is kept or to
    follow from one that still works.
    """
    rotations = died = 0
    for _ in range(5):
        made.time.pass_(minutes=61)
        ran = [made.end(one) for one in [made.start("check", "--json"), made.start("check", "--json")]]
        assert [r.code for r in ran] == [0, 0], [r.error for r in ran]
        assert sum(r.trace.count("after POST token") for r in ran) == 1, "one asks, the other takes what it got"
        rotations += 1
    boundaries = [f"{when} {what} of .secret" for what in ("rename", "sync") for when in ("before", "after")]
    for name in [*boundaries, "before POST token", "sent POST token", "after POST token"]:
        for nth in (1, 2) if "secret" in name else (1,):
            for _ in range(4):  # the other process may be the one that asks
                made.time.pass_(minutes=61)
                pair = [made.start("check", "--json", point=name, nth=nth), made.start("check", "--json")]
                ran = [made.end(one) for one in pair]
                assert ran[1].code in (0, 3), (name, nth, ran[1].code, ran[1].error)
                after = made.run("check", "--json")
                assert after.code == 0, (name, nth, after.error, after.said)
                rotations += sum(r.trace.count("after POST token") for r in (*ran, after))
                if ran[0].killed:
                    died += 1
                    break
    assert died >= 8, died
    made.time.pass_(hours=30)  # the grace for tokens of before is over: only the newest one works now
    assert made.run("check", "--json").code == 0
    for _ in range(3):
        made.time.pass_(minutes=61)
        started = made.start("check", "--json")
        time.sleep(made.random.random() * made.took)
        os.kill(started[0], signal.SIGKILL)
        made.end(started)
        assert made.run("check", "--json").code == 0
    rest(made)
    return {"rotations": rotations, "killed": died}


SCENARIOS: dict[str, Callable[[World], Counted]] = {
    f.__name__: f for f in (disk_full, locked, clock_jumps, two_schedulers, restored, token_rotation)
}


def play(made: World, name: str) -> Counted:
    rest(made)
    return SCENARIOS[name](made)
