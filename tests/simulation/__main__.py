"""Simulated fault schedules from the command line: replay one, run many.

python -m tests.simulation replay --scenario create --target file --at 17:crash --at 40:locked
python -m tests.simulation replay --scenario pay --target unique_number --seed 4711 --workers 3
python -m tests.simulation run --schedules 100000 --minutes 60 --json figures.json
python -m tests.simulation mutants
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.boundaries import EVERY, GO
from tests.simulation.memo import shared
from tests.simulation.mutants import MUTANTS, noticed, outcome
from tests.simulation.schedule import TROUBLED, Outcome, Schedule, carry_out, undisturbed
from tests.simulation.stories import STORIES, TARGETS
from tests.simulation.suites import (
    PLACES,
    Job,
    all_ones,
    first_kinds,
    firsts,
    in_order,
    jobs,
    later_ones,
    one_of_each,
    seconds,
    some_of,
)
from tests.simulation.truth import DELETED_UNSEEN, LOADED_OVER, OVER_TYPED, SET_BACK

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

COUNTED_AS = {"later": "singles", "again": "singles", "pairwise": "pairs"}
LIMITS = (OVER_TYPED, SET_BACK, DELETED_UNSEEN, LOADED_OVER)


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return {"replay": replay, "run": run, "mutants": plant}[args.command](args)


def _parser() -> argparse.ArgumentParser:
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
    one.add_argument("--people", action="store_true", help="a seed lets people do what runs do, and undo it, too")
    one.add_argument("--points", action="store_true", help="print every point, not only where something happened")
    many = commands.add_parser(
        "run", help="single faults at every point, pairs over the small stories, several at random"
    )
    many.add_argument("--schedules", type=int, default=2_000)
    many.add_argument("--minutes", type=float, default=None, help="stop after so long, however many there were")
    kinds = "singles,later,again,pairwise,pairs,random"
    many.add_argument("--kinds", default=kinds, help=f"of what, each in turn: {kinds.replace(',', ', ')}")
    many.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    many.add_argument("--json", type=Path, default=None, help="figures to go on from, and to add to")
    planted = commands.add_parser("mutants", help="plant each deliberate defect and say what notices it")
    planted.add_argument("--json", type=Path, default=None)
    return parser


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
        command = " ".join(["python -m tests.simulation", *sys.argv[1:]])
        figures = defects(found, commit=_commit(), command=command)
        args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 1 if false or killed < len(found) else 0


def defects(found: Mapping[str, str], *, commit: str, command: str) -> dict[str, Any]:
    """The figures of planted mutants. found: what noticed each, by its name, and what that said; "" if nothing did"""
    by = {name: f"`{said.partition(': ')[0].strip()}`" if said else "nothing" for name, said in found.items()}
    return {
        "title": "Deliberate defects",
        "command": command,
        "commit": commit,
        "defects planted into the product": len(found),
        "noticed": sum(map(bool, found.values())),
        "what notices them": [
            {"defect": m.name, "what it does": m.breaks, "noticed by": by[m.name]} for m in MUTANTS if m.name in found
        ],
    }


def _schedule(args: argparse.Namespace) -> Schedule:
    at = tuple((int(n), action) for n, action in (text.split(":", 1) for text in args.at))
    troubled = args.troubled or TROUBLED
    how = args.workers, troubled, tuple(args.gap), args.apart, args.people
    return Schedule(args.scenario, args.target, at, args.seed, *how)


def spelled(command: str) -> Schedule:
    """The schedule that a command replays."""
    return _schedule(_parser().parse_args(command.split()[3:]))


def replay(args: argparse.Namespace) -> int:
    schedule = _schedule(args)
    outcome = carry_out(schedule)
    for point in outcome.points:
        if args.points or point.action != GO:
            print(f"{point.number:6}  worker {point.worker}  {point.where:22}  {point.action}")
    print(f"at rest after {outcome.runs} more runs; listed: {dict(outcome.codes) or 'nothing'}")
    for limit, times in outcome.met.items():
        print(f"nobody can notice: {limit}: {times}")
    print(outcome if outcome.wrong else f"{schedule}\n  nothing is wrong")
    return 1 if outcome.wrong else 0


def carried(job: Job) -> dict[str, Any]:
    """What came of the schedules of a job, counted."""
    found: dict[str, Any] = {"kind": job.kind, "mark": job.mark, "of": 0}
    schedules = list(job.schedules)
    if job.kind == "pairs":
        every = seconds(schedules[0])
        found["of"], schedules = len(every), some_of(every)
    elif job.kind == "pairwise":
        schedules = one_of_each(schedules)
    return found | {"results": [briefly(schedule) for schedule in schedules]}


def briefly(schedule: Schedule) -> dict[str, Any]:
    try:
        outcome: Outcome = carry_out(schedule, memo=zlib.crc32(str(schedule).encode()) % 50 != 0)
    except Exception as error:
        words = f"{schedule}\n  raised: {error!r}"
        return {"wrong": [("raised", f"{type(error).__name__}: {error}")], "words": words, "struck": {}, "met": {}}
    said = {"wrong": outcome.wrong, "words": str(outcome)}
    return said | {"struck": dict(outcome.struck), "met": dict(outcome.met)}


def run(args: argparse.Namespace) -> int:
    """Run until there were enough, or the time is over; go on after what the figures know, and add to them.

    What failed before is carried out again first: the figures say on which commit it holds.
    """
    began = time.monotonic()
    before = json.loads(args.json.read_text("utf-8")) if args.json and args.json.exists() else {}
    part = Part(_commit(), " ".join(["python -m tests.simulation", *sys.argv[1:]]))
    stops = began + args.minutes * 60 if args.minutes else None
    for story, target in PLACES:
        undisturbed(story, target)
    for failure in before.get("seeds_of_failures", []):
        failure["holds_on"] = "" if briefly(spelled(failure["seed"]))["wrong"] else part.commit
    given, over = threading.Semaphore(2 * args.processes), threading.Event()

    def handed_out() -> Iterator[Job]:
        for job in jobs(args.kinds.split(","), before.get("goes_on_after", {})):
            given.acquire()
            if over.is_set():
                return
            yield job

    with shared(), multiprocessing.get_context("fork").Pool(args.processes) as pool:
        # In order, so that what is done ends at one place; and no more of it than is worked on.
        for found in pool.imap(carried, handed_out()):
            given.release()
            part.take(found)
            done, rate = part.schedules, part.schedules / (time.monotonic() - began)
            line = f"{done} of {args.schedules} schedules, {rate:.1f} a second, {len(part.failures)} failed"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            if done >= args.schedules or (stops is not None and time.monotonic() >= stops):
                break
        over.set()
        given.release()
    print(file=sys.stderr)
    figures = added(before, part, seconds=time.monotonic() - began)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in figures.items() if k != "struck"}, indent=1))
    return 1 if part.failures else 0


@dataclass
class Part:
    """What one start of `run` found.

    firsts: the first faults of which some pairs were tried · pairs: how many there were of them
    pairwise: pairs of kinds that were tried, each once
    """

    commit: str
    command: str
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    firsts: int = 0
    pairs: int = 0
    pairwise: int = 0

    @property
    def schedules(self) -> int:
        return self.kinds.total()

    def take(self, found: Mapping[str, Any]) -> None:
        self.marks[found["kind"]] = found["mark"]
        self.kinds[COUNTED_AS.get(found["kind"], found["kind"])] += len(found["results"])
        self.pairwise += len(found["results"]) if found["kind"] == "pairwise" else 0
        self.firsts += found["kind"] == "pairs"
        self.pairs += found["of"]
        for result in found["results"]:
            self.struck.update({".".join(where): n for where, n in result["struck"].items()})
            self.met.update(result["met"])
            self.wrong.update({COLUMNS.get(kind, "other") for kind, _ in result["wrong"]})
            if result["wrong"]:
                self.failures.append(result["words"].splitlines()[0])
                print("\n" + result["words"], flush=True)


def added(before: Mapping[str, Any], part: Part, *, seconds: float) -> dict[str, Any]:
    """The figures of all starts so far, each with the commit that it ran on: later code was not tried by earlier ones."""
    failures = [{"seed": words, "commit": part.commit, "holds_on": ""} for words in part.failures]
    struck = Counter(before.get("struck", {})) + part.struck
    declared = [f"{kind}.{action}" for kind, actions in EVERY.items() for action in actions]
    row = {"commit": part.commit, "schedules": part.schedules}
    row |= {kind: part.kinds[kind] for kind in ("singles", "pairs", "random")}
    row |= {"failed": len(part.failures), "minutes": round(seconds / 60, 1)}
    row |= {"a second": round(part.schedules / max(seconds, 1e-9), 2), "command": part.command}
    kinds = {kind: before.get(kind, 0) + part.kinds[kind] for kind in ("singles", "pairs", "random")}
    marks = before.get("goes_on_after", {}) | part.marks
    # Whether each of them was run: those that came later go on after a mark of their own.
    order = [(at, at <= marks.get("singles", "")) for at, _ in in_order()]
    order += [(at, at <= marks.get("later", "")) for at, _ in in_order(later_ones)]
    again = [at <= marks.get("again", "") for at, _ in in_order(all_ones)]
    first = [ran for at, ran in order if at.startswith("0000")]
    pairs = len(firsts())
    followed = [at <= marks.get("pairwise", "") for at, _ in first_kinds()]
    tried, of = before.get("first_faults_tried", 0) + part.firsts, before.get("pairs_after_those", 0) + part.pairs
    return {
        "title": "Fault schedules in simulation",
        "command": "make simulate",
        "about": "each run goes on where the one before ended; the file of these figures says where",
        "schedules": before.get("schedules", 0) + part.schedules,
        **kinds,
        "singles_in_all": len(order),
        "share_of_singles_run": f"{sum(ran for _, ran in order) / len(order):.2%}",
        "share_of_singles_run_a_second_time": f"{sum(again) / len(again):.2%}",
        "faults_at_boundaries_of_stories": len(first),
        "of_those_tried_at_one_point_or_more": sum(first),
        "kinds_of_fault_in_small_stories": len(followed),
        "kinds_followed_by_every_kind_that_can_come_after": sum(followed),
        "ordered_pairs_of_kinds_tried": before.get("ordered_pairs_of_kinds_tried", 0) + part.pairwise,
        "first_faults_in_small_stories": pairs,
        "first_faults_tried": tried,
        "pairs_after_those": of,
        "pairs_in_all_reckoned_from_those": round(of / tried * pairs) if tried else 0,
        "boundaries_declared": len(EVERY),
        "boundaries_covered": len({name.rpartition(".")[0] for name in struck}),
        "actions_declared": len(declared),
        "actions_covered": sum(1 for one in declared if struck[one]),
        "failed": before.get("failed", 0) + len(part.failures),
        **{n: before.get(n, 0) + part.wrong[n] for n in dict.fromkeys([*COLUMNS.values(), "other"])},
        "schedules_that_met_a_limit": dict.fromkeys(LIMITS, 0)
        | before.get("schedules_that_met_a_limit", {})
        | dict(Counter(before.get("schedules_that_met_a_limit", {})) + part.met),
        "runs": [*before.get("runs", []), row],
        "seeds_of_failures": [*before.get("seeds_of_failures", []), *failures],
        "actions_not_struck": [one for one in declared if not struck[one]],
        "goes_on_after": marks,
        "struck": dict(sorted(struck.items())),
    }


def _commit() -> str:
    """The commit that is run, with a mark if something of it was changed."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "tieout", "tests") else "")


if __name__ == "__main__":
    sys.exit(main())
