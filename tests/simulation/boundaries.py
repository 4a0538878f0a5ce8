"""The boundaries of a run, what may happen at each, and the driver that decides: seeded, or by a list.

A point is one passing of a boundary; points are numbered from 1 in the order in which they are passed, and only one
worker moves at a time. So a schedule, which is a list of (number, action) or a seed, always comes out the same.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tieout.connectors.memory import SimulatedCrash

GO = "go"
PAUSE = 300.0  # seconds: a lease (120 s) is over, and whatever was allowed to be sent may be looked for (130 s)
ON_ITS_WAY = 125.0  # a lease is over, and what was allowed to be sent is not looked for yet
JUMP = 7_200.0

_READ = ("crash", "lose_request", "throttle", "signed_out", "pause")
_READ_DONE = ("crash", "pause", "person", "home")
_WRITE = ("crash", "not_sent", "lose_request", "late", "throttle", "signed_out", "pause", "person", "home")
_WRITE_DONE = ("crash", "lose_response", "pause", "person", "home")
_LIST = ("truncate", "short_list", "empty", "tombstone_lie", "stale_list", "bad_record")
_HANDED = ("crash", "pause", "home", "load")

# Every boundary of a run, by what is called and whether it is before or after its effect; and what may happen there.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "company.before": _READ,
    "company.after": ("crash",),
    "control.before": _READ,
    "control.after": ("crash",),
    "pull.before": (*_READ, *_LIST),
    "row.before": _READ_DONE,
    "pull.after": _READ_DONE,
    "get.before": (*_READ, "bad_record"),
    "get.after": _READ_DONE,
    "search.before": _READ,
    "search.after": _READ_DONE,
    "create.before": _WRITE,
    "create.after": _WRITE_DONE,
    "update.before": _WRITE,
    "update.after": _WRITE_DONE,
    "void.before": _WRITE,
    "void.after": _WRITE_DONE,
    "emit.before": ("crash", "pause", "home"),
    "emit.after": ("crash", "pause", "home"),
    "flush.before": ("crash", "pause", "home"),
    "flush.after": _HANDED,
    # Each step of the outbox: the draft, its manifest, its memory, and the renaming of all three.
    "disk.write.before": ("crash", "disk_full", "pause"),
    "disk.write.after": ("crash", "torn", "pause"),
    "disk.rename.before": ("crash", "disk_full", "pause"),
    "disk.rename.after": _HANDED,
    "disk.remove.before": ("crash",),
    "disk.remove.after": ("crash",),
    "commit.before": ("crash", "locked"),
    "commit.after": ("crash", "unanswered", "pause", "person", "home"),
    "clock": ("forward", "backward"),
}

# What people do there besides, and with what fault at the same moment (`deed+fault`). Of its own list: which action a seed
# picks, and where singles go on, depends on the list above.
_IN_BETWEEN = ("same", "undo", "delete", "withdraw")
_BEFORE = ("same", "same+lose_request", "same+late", "withdraw", "withdraw+lose_request", "withdraw+late")
_AFTER = ("undo", "undo+lose_response", "withdraw", "withdraw+lose_response")
DEEDS_AT: Mapping[str, tuple[str, ...]] = {
    "create.before": _BEFORE,
    "create.after": (*_AFTER, "again", "again+lose_response", "delete", "delete+lose_response"),
    "update.before": _BEFORE,
    "update.after": _AFTER,
    "void.before": ("same", "same+lose_request", "same+late"),
    "emit.after": ("same", "withdraw"),
    "flush.after": ("same", "withdraw"),
    "pull.after": _IN_BETWEEN,
    "get.after": _IN_BETWEEN,
    "commit.after": _IN_BETWEEN,
}
EVERY: Mapping[str, tuple[str, ...]] = {kind: (*some, *DEEDS_AT.get(kind, ())) for kind, some in ACTIONS.items()}


@dataclass(frozen=True)
class Point:
    number: int
    where: str  # `right.create.before`, `commit.after`, `clock`
    worker: int
    action: str = GO
    deeds: tuple[str, ...] = ()  # those that had something to do; only where that was asked for

    @property
    def kind(self) -> str:
        return kind_of(self.where)


def kind_of(where: str) -> str:
    return where.split(".", 1)[1] if where.startswith(("left.", "right.")) else where


Decide = Callable[[int, str], str]


def listed(actions: Mapping[int, str]) -> Decide:
    """Do what is listed by the number of the point, and go on elsewhere."""
    return lambda number, _where: actions.get(number, GO)


def seeded(seed: int, *, people: bool = False, often: float = 0.03) -> Decide:
    """Let something happen at every so many-th point. people: what is in DEEDS_AT, too"""
    dice = random.Random(seed)
    actions = EVERY if people else ACTIONS

    def decide(_number: int, where: str) -> str:
        # The draws do not depend on each other's outcome, so that a longer run begins as a shorter one.
        strikes, which = dice.random() < often, dice.random()
        choice = actions[kind_of(where)]
        return choice[int(which * len(choice))] if strikes else GO

    return decide


@dataclass(eq=False)
class Worker:
    """A process that makes one run. `dead`: it was killed, and nothing that it still tries has an effect."""

    number: int
    body: Callable[[Worker], Any]
    dead: bool = False
    done: bool = False
    skew: float = 0.0
    sending: float | None = None
    error: BaseException | None = None
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Driver:
    """Numbers the points and carries out what is decided at them, but for what only the called part can do."""

    def __init__(
        self, world: Any, decide: Decide, *, workers: int = 2, apart: bool = False, deeds: bool = False
    ) -> None:
        """apart: no worker can see whether the process of another one is gone, as on another machine

        deeds: each point tells what people could have done there
        """
        self.world, self.decide, self.most, self.apart, self.deeds = world, decide, workers, apart, deeds
        self.processes: list[Worker] = []
        self.points: list[Point] = []
        self.struck: Counter[tuple[str, str]] = Counter()
        self.passed: Counter[str] = Counter()
        self.calm = True
        self.crew: list[Worker] = []
        self.now: Worker | None = None
        self.main = threading.Semaphore(0)

    # ── points ───────────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, where: str) -> str:
        """Pass a boundary. Returns the action that is left to the caller, GO for none. Raises SimulatedCrash."""
        worker = self.now
        if worker is not None and worker.dead:
            raise SimulatedCrash(where)
        if self.calm or worker is None:
            return GO
        number = len(self.points) + 1
        action = self.decide(number, where)
        kind = kind_of(where)
        if action != GO and action not in EVERY[kind]:
            raise ValueError(f"point {number} is {where}, where nothing like {action} can happen: {EVERY[kind]}")
        self.points.append(Point(number, where, worker.number, action, self._could(kind) if self.deeds else ()))
        self.passed[kind] += 1
        if action in DEEDS_AT.get(kind, ()):
            deed, _, fault = action.partition("+")
            if not self.world.deed(deed):
                return GO
            self.struck[(kind, action)] += 1
            return fault or GO
        if action == GO:
            return GO
        self.struck[(kind, action)] += 1
        match action:
            case "crash":
                worker.dead = True
                raise SimulatedCrash(where)
            case "pause":
                self._pass_time(PAUSE)
                self._switch(worker)
            case "person" | "home":
                self.world.person(home=action == "home")
            case "load":
                self.world.load()
            case "forward":
                worker.skew += JUMP
            case "backward":
                worker.skew -= JUMP
            case _:
                return action
        return GO

    def _could(self, kind: str) -> tuple[str, ...]:
        return tuple(one for one in DEEDS_AT.get(kind, ()) if self.world.could(one.partition("+")[0]))

    def _pass_time(self, seconds: float) -> None:
        """Let time pass; never longer than what was allowed to be sent may still be on its way, where that is bounded."""
        now = self.world.time().timestamp()
        for one in self.crew:
            if one.sending is not None and not one.done and self.world.bounded:
                seconds = min(seconds, one.sending + ON_ITS_WAY - now)
        self.world.time.tick(max(0.0, seconds))

    # ── workers, one at a time ───────────────────────────────────────────────────────────────────────────────────

    def run(self, body: Callable[[Worker], Any]) -> None:
        """Let a worker make a run, in this thread, and others while it pauses, in theirs; ends when all of them have."""
        self.crew = []
        self.body = body
        self._life(self._new())
        self.main.acquire()
        self.now = None
        for worker in self.crew:
            if worker.error is not None:
                raise worker.error

    def process(self) -> str:
        """The name of the process that is at work now; a run in which nothing goes wrong has none that could be gone."""
        return str(self.processes.index(self.now)) if self.now is not None else "calm"

    def is_gone(self, name: str | None) -> bool:
        if self.apart or name is None or name == "calm":
            return False
        worker = self.processes[int(name)]
        return worker.dead or worker.done

    def _new(self) -> Worker:
        worker = Worker(len(self.crew) + 1, self.body)
        self.crew.append(worker)
        self.processes.append(worker)
        self.now = worker
        return worker

    def _life(self, worker: Worker) -> None:
        try:
            worker.body(worker)
        except BaseException as error:
            worker.error = error
        worker.done = True
        rest = [w for w in self.crew if not w.done]
        if rest:
            self.now = rest[-1]
            rest[-1].baton.release()
        else:
            self.main.release()

    def _switch(self, worker: Worker) -> None:
        """Let another worker run: a new one while there may be more, else one that pauses."""
        others = [w for w in self.crew if not w.done and w is not worker]
        if len(self.crew) < self.most:
            new = self._new()
            threading.Thread(target=self._life, args=(new,), name=f"worker-{new.number}", daemon=True).start()
        elif others:
            self.now = others[0]
            others[0].baton.release()
        else:
            return
        worker.baton.acquire()
