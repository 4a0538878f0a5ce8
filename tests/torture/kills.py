"""Runs that are killed at a named boundary or at a random moment, while people go on working in both books."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.checks import Losses, doubled, settled
from tests.torture.launcher import Launcher
from tests.torture.world import Ran, World, world

BEAT = 0.4  # seconds that a lease lives for the thread that renews it: it does so every quarter of that
MOST_RUNS = 14
FIRST = (
    "change of form",
    "before commit of alembic_version+control_total+form",
    "after commit of alembic_version+control_total+form",
)


@dataclass
class Outcome:
    """What one world went through. kills: where → how often · reached: boundaries that were passed"""

    seed: str
    database: str
    kills: dict[str, int] = field(default_factory=dict)
    timed: int = 0
    reached: list[str] = field(default_factory=list)
    runs: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    recovery: list[float] = field(default_factory=list)
    settled: int = 0
    listed: dict[str, int] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)
    people: int = 0
    documents: int = 0
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        return any(self.losses.values())


def targets(reached: Counter[str], used: Counter[str], chance: random.Random) -> tuple[str, int]:
    """A boundary that was passed before, of those that killed least so far, and which passing of it."""
    least = min((used[name] for name in reached), default=0)
    name = chance.choice(sorted(name for name in reached if used[name] <= least))
    used[name] += 1
    return name, 1 if chance.random() < 0.7 else chance.randint(1, min(reached[name], 3))


def recover(made: World, losses: Losses, outcome: Outcome) -> None:
    """Scheduled runs until one is quiet; what it took from the restart on is the recovery time."""
    made.night()
    since = time.monotonic()
    for n in range(MOST_RUNS):
        ran = made.run(beat=BEAT)
        _judge(made, ran, losses)
        if ran.quiet:
            break
        made.night()
        made.time.pass_(minutes=15 if n else 5)
    else:
        losses.other.append(f"not quiet after {MOST_RUNS} runs: {_told(ran)}")
        return
    outcome.recovery.append(round(time.monotonic() - since, 3))
    outcome.settled += 1
    before = len(made.site.books.effects), len(list((made.folder / "erp" / "outbox").glob("*.manifest.json")))
    made.night()
    again = made.run(beat=BEAT)
    _judge(made, again, losses)
    after = len(made.site.books.effects), len(list((made.folder / "erp" / "outbox").glob("*.manifest.json")))
    if not again.quiet or before != after:
        losses.noisy.append(_told(again))
    settled(made, again, losses)


def _told(ran: Ran) -> str:
    run = ran.run
    plan = [f"{o['op']} {o['entity']} {o['target']}" for o in run.get("plan", {}).get("operations", [])]
    return f"exit {ran.code}, {run.get('applied')}, plan {plan}, {run.get('failures')}, {ran.error.strip()[-400:]}"


def _judge(made: World, ran: Ran, losses: Losses) -> None:
    """What a run that was left alone may never say."""
    if "another run holds" in ran.error:
        losses.leased.append(ran.error.strip())
    if ran.code not in (0, 3, 4) or "Traceback" in ran.error:
        losses.other.append(f"run {made.runs} ended with {ran.code}: {ran.error.strip()[-600:]}")


def kill(made: World, used: Counter[str], outcome: Outcome, losses: Losses, *, timed: bool) -> bool:
    """One run that is to die. True if it did."""
    chance = made.random
    if timed:
        started = made.start("sync", "--apply", "--json", beat=BEAT)
        time.sleep(chance.random() * made.took)
        os.kill(started[0], signal.SIGKILL)
        ran = made.end(started)
        outcome.timed += ran.killed
    else:
        known = made.reached or Counter({name: 20 if name == FIRST[0] else 1 for name in FIRST})
        name, nth = targets(known, used, chance)
        ran = made.run(point=name, nth=nth, beat=BEAT)
        made.log.append(f"armed {name} {nth}: {ran.code}")
    if not ran.killed:
        _judge(made, ran, losses)
    losses.doubled += doubled(made)
    return ran.killed


def torture(folder: Path, launcher: Launcher, seed: str, database: str, state: str, kills: int) -> Outcome:
    """A world in which at least so many runs are killed, and what it lost."""
    outcome, losses, used = Outcome(seed, database), Losses(), Counter[str]()
    began = time.monotonic()
    with world(folder, launcher, f"{database}/{seed}", state) as made:
        done = tried = 0
        while done < kills and tried < 4 * kills and not losses:
            tried += 1
            for _ in range(made.random.randint(1, 3)):
                made.people.act()
            if made.random.random() < 0.7:
                made.night()
            done += kill(made, used, outcome, losses, timed=tried > 4 and made.random.random() < 0.2)
            made.time.pass_(seconds=1)
            while made.random.random() < 0.6:  # it dies again while it recovers
                done += kill(made, used, outcome, losses, timed=made.random.random() < 0.2)
                made.time.pass_(seconds=1)
            if tried % 4 == 0 or done >= kills:
                recover(made, losses, outcome)
            else:
                _judge(made, made.run(beat=BEAT), losses)
                made.time.pass_(minutes=15)
        outcome.kills, outcome.runs = dict(made.kills), made.runs
        outcome.reached = sorted(made.reached)
        outcome.listed = dict(made.listed)
        outcome.codes = {str(code): n for code, n in made.codes.items()}
        outcome.people, outcome.documents = len(made.people.done), len(made.people.born)
        outcome.log = made.log if losses else []
    outcome.losses = asdict(losses) | {"unexplained": str(losses.unexplained) if losses.unexplained else ""}
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome
