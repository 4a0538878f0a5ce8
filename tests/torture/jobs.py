"""What a whole run consists of: companies under kills and bad days, each carried out by one of several processes."""

from __future__ import annotations

import atexit
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.torture.kills import torture
from tests.torture.launcher import Launcher
from tests.torture.scenarios import SCENARIOS, play
from tests.torture.world import world

EACH = 10  # kills in one company
ON_BOTH = ("locked", "clock_jumps", "two_schedulers", "restored", "token_rotation")
Job = tuple[str, str, str, int]  # kind, name or seed, database, kills
_launchers: list[Launcher] = []


def launcher() -> Launcher:
    """The one of this process."""
    if not _launchers:
        _launchers.append(Launcher())
        atexit.register(_launchers[0].close)
    return _launchers[0]


@contextmanager
def state(database: str, server: str) -> Iterator[str]:
    """The address of a state database that is empty."""
    if database == "sqlite":
        yield "sqlite:///tieout.db"
        return
    import sqlalchemy as sa

    name = f"torture_{uuid.uuid4().hex[:10]}"
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as db:
            db.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


def work(job: Job, server: str) -> dict[str, Any]:
    """One job, in a process of its own. Its folder is removed; a failure is part of the answer."""
    kind, name, database, kills = job
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture") as folder, state(database, server) as url:
        try:
            if kind == "kills":
                outcome = torture(Path(folder), launcher(), name, database, url, kills)
                return asdict(outcome) | {"kind": kind, "replay": replay(job), "bad": outcome.bad}
            with world(Path(folder), launcher(), f"{name}/{database}", url) as made:
                try:
                    counted = play(made, name)
                except AssertionError:
                    print(*made.log[-40:], sep="\n", file=sys.stderr)
                    raise
            found: dict[str, Any] = {"counted": counted, "bad": False}
        except Exception:
            found = {"error": traceback.format_exc(), "bad": True}
    more = {"kind": kind, "name": name, "database": database, "replay": replay(job)}
    return found | more | {"seconds": round(time.monotonic() - began, 1)}


def replay(job: Job) -> str:
    kind, name, database, kills = job
    said = f"--seed {name} --kills {kills}" if kind == "kills" else f"--scenario {name}"
    return f"python -m tests.torture {said} --database {database}"


def jobs(kills: int, first: int, databases: list[str]) -> list[Job]:
    worlds = -(-kills // (EACH * len(databases)))
    out: list[Job] = [("kills", str(first + n), d, EACH) for n in range(worlds) for d in databases]
    for name in SCENARIOS:
        out += [("scenario", name, d, 0) for d in databases if d == "sqlite" or name in ON_BOTH]
    return out
