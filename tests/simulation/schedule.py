"""One schedule: a story on a target, what goes wrong at which point, and what was found when all was quiet again."""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from tests.scenarios.world import WIDE
from tests.simulation import people
from tests.simulation.boundaries import GO, Decide, Driver, Point, Worker, listed, seeded
from tests.simulation.files import FileConnector, SimulatedDisk, kept, load, restored
from tests.simulation.memo import remembered
from tests.simulation.simulated import (
    Database,
    SimulatedBooks,
    SimulatedConnector,
    SimulatedStore,
    copied,
    empty,
    same_every_time,
)
from tests.simulation.stories import STORIES
from tests.simulation.truth import Truth, state_of
from tieout.connectors.memory import PROFILES, ManualClock, MemoryConnector, SimulatedCrash
from tieout.connectors.tabular.outbox import Outbox
from tieout.errors import LeaseHeldError, TieoutError
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, sync

EVERYTHING = frozenset({"credit_memo", "adjustment", "invoice.void", "payment.void", "credit_memo.void"})
TROUBLED = 2  # runs in which something may go wrong
MOST_RUNS = 16  # until both ledgers are at rest
GAP = 900  # seconds between two runs


@dataclass(frozen=True)
class Schedule:
    """seed: decides at every point; 0 for what is listed in `at` alone. workers: how many may be at work at once.

    troubled: how many runs may go wrong · apart: workers cannot see each other's processes · gaps: seconds after each of them, a quarter of an hour (or a day) if not said
    people: the seed may let people do all that they do (DEEDS_AT), not only edit a field
    """

    story: str
    target: str
    at: tuple[tuple[int, str], ...] = ()
    seed: int = 0
    workers: int = 2
    troubled: int = TROUBLED
    gaps: tuple[int, ...] = ()
    apart: bool = False
    people: bool = False

    def __str__(self) -> str:
        what = (
            f"--seed {self.seed} --workers {self.workers}"
            if self.seed
            else " ".join(f"--at {n}:{a}" for n, a in self.at)
        )
        if self.troubled != TROUBLED:
            what += f" --troubled {self.troubled}"
        what += "".join(f" --gap {n}" for n in self.gaps) + " --apart" * self.apart + " --people" * self.people
        return f"python -m tests.simulation replay --scenario {self.story} --target {self.target} {what}".rstrip()


@dataclass
class Outcome:
    schedule: Schedule
    points: list[Point]
    wrong: list[tuple[str, str]]
    struck: Counter[tuple[str, str]]
    passed: Counter[str]
    end: list[Any] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return "\n".join([str(self.schedule), *(f"  {kind}: {words}" for kind, words in self.wrong)])


class World:
    """Two sets of books, a state database that several workers may open, and the time that passes for all."""

    def __init__(self, target: str, *, folder: Path, start: Start | None = None, quick: bool = True) -> None:
        """quick: what is known of statements and comparisons is used"""
        self.quick = quick
        self.target, self.file, self.folder = target, target == "file", folder
        # Where the target promises nothing, a write is safe only as long as it lands within a known time.
        self.bounded = target == "searchable_marker"
        self.time = ManualClock(start.now) if start else ManualClock()
        self.database = Database(start.database if start else _tables())
        if start is None:
            self.l, self.r = (
                SimulatedBooks(clock=self.time, rules=PROFILES[p].rules, company_id=n.upper(), name=n)
                for p, n in (("idempotency_key", "left"), (target, "right"))
            )
        else:
            self.l, self.r = (copied(b, self.time) for b in pickle.loads(start.books))  # our own bytes
            restored(folder, start.files)
        self.l.world = self.r.world = self
        self.driver = Driver(self, listed({}))
        self.truth = Truth(self)
        self.stores: dict[int, SimulatedStore] = {}
        self.pair = Pair("books", "left", "right", mode="auto", codes=Codes.same(), limits=WIDE, unattended=EVERYTHING)
        self.store = SimulatedStore(self, None)
        self.stores[0] = self.store
        self.report: Any = None
        self.coloured = self.colours()
        self.began = len(self.l.log), len(self.r.log)
        self._could: dict[tuple[str, int, int], bool] = {}

    def colours(self) -> int:
        return sum("colour" in s.extra for b in (self.l, self.r) for e in Entity for s in b.rows(e))

    def connectors(self, worker: Worker | None) -> dict[str, Any]:
        found = {}
        for side, books, profile in (("left", self.l, "idempotency_key"), ("right", self.r, self.target)):
            kind, more = MemoryConnector, {}
            if profile == "file":
                kind, more = FileConnector, {"outbox": Outbox(self.folder, clock=self.time, files=SimulatedDisk(self))}
            capabilities = PROFILES[profile].capabilities
            inner = kind(side, books, capabilities=capabilities, company_id=side.upper(), **more)
            found[side] = SimulatedConnector(inner, side, self, worker)
        return found

    def work(self, worker: Worker) -> None:
        """One run, as a process of its own makes it."""
        store = self.stores[worker.number] = SimulatedStore(self, worker)
        try:
            with contextlib.suppress(SimulatedCrash, TieoutError):
                sync(store, self.connectors(worker), self.pair, apply=True, heartbeat=False)
        finally:
            store.close()

    def quiet_run(self, *, sweep: bool = False) -> Any:
        """One run in which nothing goes wrong. sweep: it reads everything, as a run of every day does."""
        return sync(self.store, self.connectors(None), self.pair, apply=True, heartbeat=False, sweep=sweep)

    def between(self, gap: int | None = None) -> None:
        """What happens between two runs: time passes, and if that was long enough a file ERP loads what it was given."""
        self.time.tick(gap or (90_000 if self.file else GAP))
        if self.file and gap is None:
            self.load()

    def load(self) -> None:
        if self.file:
            load(self)

    def rest(self) -> int:
        """Runs until one changes nothing; how many it took. What is wrong with that is said.

        A change that a list did not show is not asked for again: it is found, and named, by the run of the day that reads
        everything; so is a record that could not be read of a list, or when it was asked for because a feed called it
        deleted, which is listed until then. Then these runs do.
        """
        self.driver.calm = True
        struck = self.driver.struck
        unread = struck[("pull.before", "bad_record")] + struck[("get.before", "bad_record")]
        behind = struck[("pull.before", "stale_list")] + unread > 0
        for n in range(1, self.most_runs() + 1):
            self.between()
            before = self._done()
            try:
                self.report = self.quiet_run(sweep=behind or self._missed())
            except LeaseHeldError as error:
                if n > 1:  # what died holds it no longer than a lease lasts, by whatever clock it was taken
                    self.truth.say("lease", f"still held before run {n}: {error.message}")
                continue
            moved = self.report.changes.opened or self.report.changes.closed
            moved = moved or self._missed()
            if (
                not self.report.operations
                and before == self._done()
                and not moved
                and not self.report.failures
                and not self.truth.unsettled()
                and not self._awaited()
            ):
                return n
        self.truth.say("second plan", f"not at rest after {n} runs: {self.report and self.report.as_json()}")
        return n

    def _awaited(self) -> bool:
        """Whether an export lacks a record that another one has to lack, too, before it is taken for gone and named."""
        gone = "existence IN ('deleted', 'absent')"
        return bool(self.database.ask(f"SELECT 1 FROM seen WHERE absences > 0 AND NOT {gone}"))

    def _missed(self) -> bool:
        return bool(self.database.ask("SELECT 1 FROM discrepancy WHERE code = 'MISSED_CHANGE' AND state = 'open'"))

    def most_runs(self) -> int:
        """What a clock that was ahead let be sent is looked for when that time has come: until then, nothing settles."""
        ahead = max((worker.skew for worker in self.driver.processes), default=0.0)
        return MOST_RUNS + max(0, ceil(ahead / GAP))

    def _done(self) -> tuple[int, ...]:
        files = len(list(self.folder.glob("*.manifest.json")))
        return len(self.l.log), len(self.r.log), len(self.l.received), len(self.r.received), files

    def person(self, *, home: bool = False) -> None:
        people.edits(self, home=home)

    def could(self, deed: str) -> bool:
        """Whether somebody would find something to do it for; that changes only with the books."""
        asked = deed, len(self.l.log), len(self.r.log)
        if asked not in self._could:
            self._could[asked] = people.found(self, deed) is not None
        return self._could[asked]

    def deed(self, name: str) -> bool:
        """Whether somebody found something to do it for, and did it."""
        deed = people.found(self, name)
        if deed is not None:
            deed()
        return deed is not None


@dataclass(frozen=True)
class Start:
    """A story up to where the trouble begins, to be copied for each schedule."""

    database: sqlite3.Connection
    books: bytes
    now: Any
    files: dict[str, bytes]


@cache
def _tables() -> sqlite3.Connection:
    return empty()


@contextlib.contextmanager
def _world(target: str, start: Start | None = None, *, quick: bool = True) -> Iterator[World]:
    with tempfile.TemporaryDirectory() if target == "file" else contextlib.nullcontext("nowhere") as folder:
        world = World(target, folder=Path(folder), start=start, quick=quick)
        try:
            yield world
        finally:
            world.store.close()
            world.database.outside.close()


@cache
def _start(story: str, target: str) -> Start:
    with _world(target) as world, same_every_time(world):
        STORIES[story].before(world)
        if world.l.log:
            world.rest()
        world.time.tick(900)
        STORIES[story].then(world)
        world.time.tick(60)
        if lost := STORIES[story].lost:
            world.driver = driver = Driver(world, lambda _, where: lost[1] if where == lost[0] else GO, workers=1)
            driver.calm = False
            driver.run(world.work)
            world.time.tick(900)
        return Start(world.database.copy(), pickle.dumps((world.l, world.r)), world.time(), kept(world.folder))


@cache
def undisturbed(story: str, target: str) -> Outcome:
    """How a story goes when nothing goes wrong: its points, and how it ends."""
    outcome = _carry_out(Schedule(story, target), lambda _: listed({}), deeds=True)
    if outcome.wrong:
        raise AssertionError(f"wrong without any trouble:\n{outcome}")
    return outcome


def carry_out(
    schedule: Schedule, *, memo: bool = True, deeds: bool = False, scripted: Callable[[World], Decide] | None = None
) -> Outcome:
    """Carry out a schedule and check what came of it. scripted: decides in its place.

    deeds: each point tells what people could have done there
    """
    plain = undisturbed(schedule.story, schedule.target)

    def decides(_world: World) -> Decide:
        return seeded(schedule.seed, people=schedule.people) if schedule.seed else listed(dict(schedule.at))

    return _carry_out(schedule, scripted or decides, plain, memo=memo, deeds=deeds)


def _carry_out(
    schedule: Schedule,
    decides: Callable[[World], Decide],
    plain: Outcome | None = None,
    *,
    memo: bool = True,
    deeds: bool = False,
) -> Outcome:
    start = _start(schedule.story, schedule.target)
    known = remembered() if memo else contextlib.nullcontext()
    with _world(schedule.target, start, quick=memo) as world, same_every_time(world, first=1_000_000), known:
        how = {"workers": schedule.workers, "apart": schedule.apart, "deeds": deeds}
        world.driver = driver = Driver(world, decides(world), **how)
        world.store.driver = driver
        for n in range(schedule.troubled):
            driver.calm = False
            driver.run(world.work)
            driver.calm = True
            world.between(schedule.gaps[n] if n < len(schedule.gaps) else None)
        runs = world.rest()
        codes = Counter(d.code for d in world.report.discrepancies)
        same = plain is not None and not (world.truth.edits or world.truth.by_hand) and codes == plain.codes
        if plain is not None:
            world.truth.phantoms(codes - plain.codes)
        world.truth.check(world.report, plain.end if same and plain else None)
        end = state_of(world)
    if not schedule.seed:
        schedule = replace(schedule, at=tuple((p.number, p.action) for p in driver.points if p.action != GO))
    truth = world.truth
    return Outcome(schedule, driver.points, truth.wrong, driver.struck, driver.passed, end, codes, runs, truth.met)
