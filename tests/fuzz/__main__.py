"""`make fuzz`: every parser for its share of the minutes; what breaks a law is kept, with how to see it again."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import tieout.sandbox.quickbooks
import tieout.sandbox.sage_x3  # noqa: F401
from tests.fuzz import one
from tests.fuzz.frame import Target

if one.atheris is not None and "--no-coverage" not in sys.argv and "--replay" not in sys.argv:
    with contextlib.redirect_stderr(io.StringIO()):  # it names each module
        # For good, as some modules are loaded where they are first needed. The stand-ins are loaded before: they make
        # seeds, and are no parsers.
        contextlib.ExitStack().enter_context(one.atheris.instrument_imports(["tieout"], enable_loader_override=False))
        from tests.fuzz.all import every
else:
    from tests.fuzz.all import every

KEPT = Path(".fuzz")
GRACE = 180.0  # seconds in which a process has made its seeds, and ended after its time
BUSY = 10  # times as long as on a machine that does nothing else
SHRINKING = 20.0  # seconds of processor time, of each defect


def folder(name: str) -> Path:
    return KEPT / re.sub(r"\W+", "-", name)


def run(target: Target, seconds: float, seed: int, *, coverage: bool) -> dict[str, object]:
    """Fuzz one parser; its counts. A process that dies, or does not end, is a defect as well."""
    place = folder(target.name)
    place.mkdir(parents=True, exist_ok=True)
    known = [path.read_bytes() for path in sorted(place.glob("*.input"))]
    for old in (*place.glob("*.input"), *place.glob("*.txt"), *place.glob("died-*"), *place.glob("counts.json")):
        old.unlink()
    (place / "current").unlink(missing_ok=True)
    with contextlib.suppress(Exception):  # told by the process that needs them
        _ = target.seeds  # made here, once for all that have the same
    log = place / "log"
    ended = _apart(lambda: one.fuzz(target, place, known, seconds, seed, coverage=coverage), log, seconds + GRACE)
    counts: dict[str, object] = {}
    if (place / "counts.json").exists():
        counts = json.loads((place / "counts.json").read_text())
    defects = list(map(str, counts.get("defects", [])))
    if ended:
        said = f"the process ended with {ended}; see {log}"
        (place / "died.txt").write_text(said + "\n")
        if (place / "current").exists():
            (place / "died.input").write_bytes((place / "current").read_bytes())
        defects.append(said)
    if defects:
        _apart(lambda: one.shrink(target, place, SHRINKING), place / "shrinking", SHRINKING * len(defects) * 10)
    return counts | {"defects": defects, "reached": reached(log.read_text("utf-8", "replace"))}


def _apart(work: Callable[[], object], log: Path, seconds: float) -> int:
    """Do something in a process of its own for so many seconds at the most; how that ended, 0 if well."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        with log.open("wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        failed = 1
        used = int(seconds)  # of processor time: on a busy machine all takes longer, and nothing is wrong
        resource.setrlimit(resource.RLIMIT_CPU, (used, used + 5))
        try:
            work()
            failed = 0
        except BaseException:
            traceback.print_exc()
        os._exit(failed)
    return _wait(child, BUSY * seconds)


def reached(log: str) -> str:
    """What the log of a fuzzer says of the edges of our code that its inputs take; "" without coverage."""
    found = re.findall(
        r"^#[0-9]+\s+(?:INITED|NEW|REDUCE|RELOAD|pulse|DONE)\s+cov: ([0-9]+) .*?corp: ([0-9]+)", log, re.MULTILINE
    )
    if not found:
        return ""
    (first, _), (last, kept) = found[0], found[-1]
    return f", {int(last):,} edges (+{int(last) - int(first):,}), {int(kept):,} kept"


def _wait(child: int, seconds: float) -> int:
    """How a process ended, 0 if well; it is killed when its time is over."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def told(name: str, counts: dict[str, object]) -> str:
    numbers = [int(str(counts.get(key, 0))) for key in ("accepted", "refused", "broken")]
    lines = [
        f"{name}: {sum(numbers):,} inputs, {numbers[0]:,} accepted, {numbers[1]:,} refused, {numbers[2]:,} broken{counts.get('reached', '')}"
    ]
    for told_of in sorted(folder(name).glob("*.txt")):
        first = told_of.read_text("utf-8").splitlines()
        lines += [f"  ## {' | '.join(first[:2])[:300]}"]
        lines += [
            f"     again: {sys.executable} -m tests.fuzz --only {name!r} --replay {told_of.with_suffix('.input')}"
        ]
    return "\n".join(lines)


def replay(target: Target, path: Path) -> int:
    """Judge one input, and show all that is raised."""
    data = path.read_bytes()
    print(f"{target.name}: {len(data):,} bytes: {data[:200]!r}")
    try:
        print(target.judge(data))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """0: every law held · 1: one was broken"""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="of all parsers together")
    parser.add_argument("--only", action="append", default=[], help="parsers whose name has this in it")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--replay", type=Path, help="an input that was kept, of the one parser --only names")
    parser.add_argument("--no-coverage", action="store_true", help="change the seeds alone, even if atheris is there")
    given = parser.parse_args(argv)
    chosen = {n: t for n, t in every().items() if not given.only or any(part in n for part in given.only)}
    if given.replay:
        exact = [t for n, t in chosen.items() if n in given.only] or list(chosen.values())
        return replay(exact[0], given.replay)
    logging.disable(logging.CRITICAL)
    share = given.minutes * 60 / max(1, len(chosen))
    print(f"{len(chosen)} parsers, {share:.0f} s each, seed {given.seed}", flush=True)
    broken = 0
    for name, target in chosen.items():
        counts = run(target, share, given.seed, coverage=not given.no_coverage)
        broken += bool(counts["defects"])
        print(told(name, counts), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
