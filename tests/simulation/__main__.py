"""Simulated fault schedules from the command line: replay one, run many.

python -m tests.simulation replay --scenario create --target file --at 17:crash --at 40:locked
python -m tests.simulation replay --scenario pay --target unique_number --seed 4711 --workers 3
python -m tests.simulation run --schedules 100000 --minutes 60 --json figures.json
python -m tests.simulation mutants
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.simulation.boundaries import ACTIONS, GO
from tests.simulation.mutants import MUTANTS, noticed, outcome
from tests.simulation.schedule import TROUBLED, Outcome, Schedule, carry_out, undisturbed
from tests.simulation.stories import STORIES, TARGETS
from tests.simulation.suites import PLACES, any_pair, at_random, every_single, in_turn

# How the kinds of what can be wrong are counted in the figures; what is in no column is in `other`.
COLUMNS = {
    "doubled": "duplicates",
    "lost": "lost",
    "lost update": "lost_updates",
    "silent": "silent_differences",
    "confluence": "silent_differences",
    "cents": "unexplained_cents",
    "money": "unexplained_cents",
    "second plan": "second_plans_not_empty",
    "unsettled": "unsettled",
    "phantom": "differences_without_reason",
    "no intent": "writes_without_intent",
    "fencing": "writes_of_two_epochs",
}
CHUNK = 20


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("replay", help="carry out one schedule and print its points")
    one.add_argument("--scenario", choices=STORIES, required=True)
    one.add_argument("--target", choices=TARGETS, required=True)
    one.add_argument("--at", action="append", default=[], metavar="POINT:ACTION")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--workers", type=int, default=2)
    one.add_argument("--troubled", type=int, default=None)
    one.add_argument("--gap", action="append", type=int, default=[])
    one.add_argument("--apart", action="store_true", help="no worker sees whether another's process is gone")
    one.add_argument("--points", action="store_true", help="print every point, not only where something happened")
    many = commands.add_parser(
        "run", help="single faults at every point, pairs over the small stories, several at random"
    )
    many.add_argument("--schedules", type=int, default=2_000)
    many.add_argument("--minutes", type=float, default=None, help="stop after so long, however many there were")
    many.add_argument("--kinds", default="singles,pairs,random", help="of what, each in turn: singles, pairs, random")
    many.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    many.add_argument("--first-seed", type=int, default=1)
    many.add_argument("--json", type=Path, default=None)
    planted = commands.add_parser("mutants", help="plant each deliberate defect and say what notices it")
    planted.add_argument("--json", type=Path, default=None)
    args = parser.parse_args(argv)
    return {"replay": replay, "run": run, "mutants": plant}[args.command](args)


def plant(args: argparse.Namespace) -> int:
    """Plant every mutant, after its killers were seen to hold without it."""
    killers = {k.name: k for m in MUTANTS for k in m.killers}
    false = [name for name, killer in killers.items() if outcome(killer)]
    found = {m.name: noticed(m) for m in MUTANTS}
    for name, said in found.items():
        print(f"{'killed' if said else 'ALIVE':8}{name:34}{said.splitlines()[0][:160] if said else ''}")
    killed = sum(map(bool, found.values()))
    print(f"{killed} of {len(found)} mutants killed" + (f"; these fail without a mutant: {false}" if false else ""))
    if args.json:
        args.json.write_text(
            json.dumps({"mutants": len(found), "killed": killed, "by": found}, indent=1) + "\n", "utf-8"
        )
    return 1 if false or killed < len(found) else 0


def replay(args: argparse.Namespace) -> int:
    at = tuple((int(n), action) for n, action in (text.split(":", 1) for text in args.at))
    troubled = args.troubled or TROUBLED
    schedule = Schedule(args.scenario, args.target, at, args.seed, args.workers, troubled, tuple(args.gap), args.apart)
    outcome = carry_out(schedule)
    for point in outcome.points:
        if args.points or point.action != GO:
            print(f"{point.number:6}  worker {point.worker}  {point.where:22}  {point.action}")
    print(f"at rest after {outcome.runs} more runs; listed: {dict(outcome.codes) or 'nothing'}")
    print(outcome if outcome.wrong else f"{schedule}\n  nothing is wrong")
    return 1 if outcome.wrong else 0


def chosen(args: argparse.Namespace) -> Iterator[Schedule]:
    """The schedules of a run, in order: of each kind in turn, so that few of them are not all of one story."""
    kinds = {"singles": every_single, "pairs": any_pair, "random": lambda: at_random(args.first_seed, args.schedules)}
    parts = [kinds[kind]() for kind in args.kinds.split(",")]
    return itertools.islice(in_turn(parts), args.schedules)


def several(schedules: list[Schedule]) -> list[dict[str, Any]]:
    return [briefly(schedule) for schedule in schedules]


def briefly(schedule: Schedule) -> dict[str, Any]:
    try:
        outcome: Outcome = carry_out(schedule, memo=zlib.crc32(str(schedule).encode()) % 50 != 0)
    except Exception as error:
        return {
            "wrong": [("raised", f"{type(error).__name__}: {error}")],
            "words": f"{schedule}\n  {error!r}",
            "struck": {},
        }
    return {"wrong": outcome.wrong, "words": str(outcome), "struck": dict(outcome.struck)}


def run(args: argparse.Namespace) -> int:
    began, done, wrong = time.monotonic(), 0, Counter[str]()
    struck: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    stops = began + args.minutes * 60 if args.minutes else None
    todo = chosen(args)
    chunks = iter(lambda: list(itertools.islice(todo, CHUNK)), [])
    for story, target in PLACES:
        undisturbed(story, target)
    with multiprocessing.get_context("fork").Pool(args.processes) as pool:
        for results in pool.imap_unordered(several, chunks):
            for result in results:
                done += 1
                struck.update(result["struck"])
                wrong.update({COLUMNS.get(kind, "other") for kind, _ in result["wrong"]})
                if result["wrong"]:
                    failures.append(result["words"])
                    print("\n" + result["words"], flush=True)
            rate = done / (time.monotonic() - began)
            line = f"{done} of {args.schedules} schedules, {rate:.1f} a second, {len(failures)} failed"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            if stops is not None and time.monotonic() >= stops:
                break  # here: the pool takes in all that there is to do long before it is done
    print(file=sys.stderr)
    command = " ".join(["python -m tests.simulation", *sys.argv[1:]])
    figures = {"command": command} | as_figures(done, time.monotonic() - began, wrong, struck, failures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in figures.items() if k != "seeds_of_failures"}, indent=1))
    return 1 if failures else 0


def as_figures(
    done: int, seconds: float, wrong: Counter[str], struck: Counter[tuple[str, str]], failures: list[str]
) -> dict[str, Any]:
    declared = [(kind, action) for kind, actions in ACTIONS.items() for action in actions]
    return {
        "schedules": done,
        "schedules_per_second": round(done / seconds, 2),
        "boundaries_declared": len(ACTIONS),
        "boundaries_covered": len({kind for kind, _ in struck}),
        "actions_declared": len(declared),
        "actions_covered": sum(1 for one in declared if struck[one]),
        "actions_not_struck": [".".join(one) for one in declared if not struck[one]],
        "failed": len(failures),
        **{name: wrong[name] for name in dict.fromkeys([*COLUMNS.values(), "other"])},
        "seeds_of_failures": [f.splitlines()[0] for f in failures],
    }


if __name__ == "__main__":
    sys.exit(main())
