"""Runs that are killed at a named boundary or at a random moment, while people go on working in both books."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.checks import Losses, doubled, settled
from tests.torture.launcher import Launcher
from tests.torture.world import Ran, World, world
from tieout.sandbox.file_erp import BooksError
from tieout.sandbox.quickbooks import Refused

BEAT = 0.4  # seconds that a lease lives for the thread that renews it: it does so every quarter of that
MOST_RUNS = 14
# What a write passes: where a run that dies could double or lose something.
WRITES = (
    "POST customer",
    "POST invoice",
    "POST payment",
    "POST creditmemo",
    "POST token",
    "intent",
    "base",
    "sync",
    "rename",
)
TRIES = 3  # a boundary that was not passed is tried again so often
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
    fewest = sorted(name for name in reached if used[name] <= least)
    writes = [name for name in fewest if any(word in name for word in WRITES)]
    name = chance.choice(writes if writes and chance.random() < 0.7 else fewest)
    return name, 1 if chance.random() < 0.7 else chance.randint(1, min(reached[name], 3))


def prepare(made: World, name: str) -> None:
    """Give the run something to do that leads it past this boundary."""
    people = made.people
    for word, act in (
        ("POST customer", people.erp_customer),
        ("POST creditmemo", people.erp_credit),
        ("POST payment", people.erp_payment),
        ("POST invoice", people.erp_invoice),
        ("one record", people.erp_invoice),
        ("intent", people.erp_invoice),
        ("base", people.erp_invoice),
        ("outbox", people.qbo_invoice),
        (".csv", people.qbo_invoice),
        (".manifest", people.qbo_invoice),
    ):
        if word in name:
            with suppress(BooksError, Refused):
                act()
    if any(word in name for word in ("token", ".secret", "openid")):
        made.time.pass_(minutes=61)
    made.night()


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
        name, nth, tries = made.target or (*targets(known, used, chance), 0)
        prepare(made, name)
        ran = made.run(point=name, nth=nth if not tries else 1, beat=BEAT)
        made.target = None if ran.killed or tries + 1 >= TRIES else (name, nth, tries + 1)
        used[name] += made.target is None
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
