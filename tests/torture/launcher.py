"""Starts `tieout` as processes of their own, without the second that Python takes to load it each time.

`python -m tests.torture.launcher` loads the program, then forks one child per run that it is told of; the child is the
command line with its own number, files and end. The launcher has one thread and does nothing else. It ends with its
parent, and its children with it.

In, one JSON line each: {"start": WORDS, "folder", "env", "out", "point", "nth", "at", "beat", "most_bytes"} answers
{"pid"}; {"wait": PID} answers {"code"}, negative for a signal.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.torture.points import Points, install

ROOT = Path(__file__).resolve().parent.parent.parent
_LOADED = ("books", "setup", "discrepancies", "evidence", "output", "state")


def load() -> None:
    """Import what a run imports, so that a child has it."""
    from importlib import import_module

    for name in _LOADED:
        import_module(f"tieout.cli.{name}")
    for name in (
        "alembic.command", "alembic.runtime.migration", "tieout.config.opening", "tieout.connectors.quickbooks",
        "tieout.connectors.tabular", "tieout.config.evidence", "tieout.evidence.anchoring",
        "tieout.sync.engine", "tieout.sync.store", "psycopg", "sqlalchemy.dialects.sqlite",
        "sqlalchemy.dialects.postgresql.psycopg", "cryptography.hazmat.primitives.ciphers.aead", "duckdb",
    ):  # fmt: skip
        import_module(name)


class Clock:
    """Stands for `datetime` where the command line asks for the time: it began at `at`, and goes on from there."""

    def __init__(self, at: str) -> None:
        self.ahead = datetime.fromisoformat(at) - datetime.now().astimezone()

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + self.ahead


def child(told: dict[str, Any]) -> int:
    """The command line, in a process that was just forked."""
    _die_with_parent()
    os.chdir(told["folder"])
    os.environ.update(told.get("env", {}))
    for number, name in ((1, "out"), (2, "err")):
        opened = os.open(f"{told['out']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    trace = os.open(f"{told['out']}.trace", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    _patch(told, trace)
    sys.argv = ["tieout", *told["start"]]
    from tieout.cli import main

    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _patch(told: dict[str, Any], trace: int) -> None:
    from tieout.cli import state
    from tieout.sync import engine

    install(Points(told.get("point", ""), told.get("nth", 1), trace))
    if told.get("at"):
        state.datetime = Clock(told["at"])  # type: ignore[attr-defined,misc]
    if told.get("beat"):
        engine.LEASE_SECONDS = told["beat"]
    if told.get("most_bytes") is not None:
        sys.dont_write_bytecode = True  # a module compiled only in part would end every later process
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["most_bytes"],) * 2)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def serve() -> None:
    _die_with_parent()
    load()
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    answer = os.fdopen(os.dup(1), "w")
    print(json.dumps({"ready": threads}), file=answer, flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        if "wait" in told:
            _, status = os.waitpid(told["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answer, flush=True)
            continue
        pid = os.fork()
        if not pid:
            code = 70
            try:
                code = child(told)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), file=answer, flush=True)


class Launcher:
    """The other end: starts runs, waits for them."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.launcher"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = json.loads(self._line())
        assert ready["ready"] == 1, "a fork takes one thread only with it"

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the launcher ended"
        return line

    def _ask(self, told: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def start(self, *words: str, folder: Path, out: Path, **more: Any) -> int:
        """The number of a new process `tieout WORDS`. Its output, errors and boundaries go to `out`.*"""
        pid: int = self._ask({"start": words, "folder": str(folder), "out": str(out), **more})["pid"]
        return pid

    def wait(self, pid: int) -> int:
        """Its exit code; negative: the signal that ended it."""
        code: int = self._ask({"wait": pid})["code"]
        return code

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


if __name__ == "__main__":
    serve()
