"""A whole run between two books of 10,000 linked documents: nothing changed, then 200 changes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Figure
from tieout.connectors.memory import ManualClock, MemoryConnector, open_books
from tieout.model import Entity
from tieout.sync.engine import Pair, Report, _Run, sync
from tieout.sync.facts import Codes
from tieout.sync.guard import Limits
from tieout.sync.store import Store, open_store
from tieout.testing import samples

COUNT = 10_000
CHANGES = 200
CUSTOMERS = 50
# Timed apart: what the books of the benchmark need for a write grows with their size, as no vendor's does here.
BOOKS = "_send"
PHASES = (
    "_canary",
    "_recover",
    "_fetch",
    "_match",
    "_settle",
    "_plan",
    "_guard",
    "_freeze",
    "_apply",
    "_discrepancies",
)


@contextmanager
def _watched(spent: dict[str, float]) -> Iterator[None]:
    """Time the phases of a run by wrapping them for the block."""
    kept = [(_Run, name, getattr(_Run, name)) for name in PHASES]
    kept.append((MemoryConnector, BOOKS, getattr(MemoryConnector, BOOKS)))

    def timed(name, method):
        def call(self, *args, **kw):
            start = time.perf_counter()
            try:
                return method(self, *args, **kw)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

        return call

    for owner, name, method in kept:
        setattr(owner, name, timed(name, method))
    try:
        yield
    finally:
        for owner, name, method in kept:
            setattr(owner, name, method)


def _fill(books: MemoryConnector, order: range) -> list[str]:
    """The same documents in both books, in another order and under other ids."""
    b = books.books
    who = [b.put(samples.customer(n)).ref.id for n in range(CUSTOMERS)]
    ids = []
    for n in order:
        one = samples.invoice(n, customer=who[n % CUSTOMERS], taxed=False)
        ids.append(b.put(one.model_copy(update={"memo": f"order {n}"})).ref.id)
    return ids


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.left, self.right = (open_books(name, clock=self.clock) for name in ("left", "right"))
        self.ids = _fill(self.left, range(COUNT))
        _fill(self.right, range(COUNT - 1, -1, -1))
        self.store: Store = open_store(f"sqlite:///{folder / 'state.db'}", clock=self.clock)
        limits = Limits(creates=COUNT, voids=COUNT, same_field=COUNT)
        self.pair = Pair("books", "left", "right", mode="auto", codes=Codes.same(), limits=limits, linked_owner="left")

    def run(self, spent: dict[str, float] | None = None) -> tuple[Report, float]:
        self.clock.tick(3600)
        connectors = {"left": self.left, "right": self.right}
        start = time.perf_counter()
        with _watched({} if spent is None else spent):
            report = sync(self.store, connectors, self.pair, apply=True, heartbeat=False)
        return report, time.perf_counter() - start

    def read(self) -> float:
        """Seconds to read both books once, with nothing kept."""
        start = time.perf_counter()
        for books in (self.left, self.right):
            for entity in (Entity.CUSTOMER, Entity.INVOICE):
                for _ in books.pull(entity):
                    pass
        return time.perf_counter() - start


def _shares(spent: dict[str, float], whole: float) -> str:
    books = spent.pop(BOOKS, 0.0)
    if books:
        spent = spent | {"_apply": spent["_apply"] - books, "the books' own writes": books}
    parts = sorted(spent.items(), key=lambda p: -p[1])
    return ", ".join(f"{name.lstrip('_')} {100 * s / whole:.0f} %" for name, s in parts if s > whole / 100)


def run(folder: Path) -> list[Figure]:
    world = World(folder)
    first, linking = world.run()
    if first.linked < COUNT:
        raise RuntimeError(f"only {first.linked} of {COUNT} were linked")
    quiet, spent = [], {}
    reading = statistics.median(world.read() for _ in range(3))
    for _ in range(3):
        spent = {}
        report, seconds = world.run(spent)
        if report.operations or report.discrepancies:
            raise RuntimeError("a run over unchanged books plans something")
        quiet.append(seconds)
    for n in range(CHANGES):
        world.left.books.edit(Entity.INVOICE, world.ids[n * 7], due=samples.FIRST_DAY + timedelta(days=90 + n % 9))
    busy_spent: dict[str, float] = {}
    report, busy = world.run(busy_spent)
    if report.applied["done"] != CHANGES:
        raise RuntimeError(f"{report.applied} of {CHANGES} changes were written")
    still = statistics.median(quiet)
    return [
        Figure(
            f"run over {COUNT:,} linked documents, nothing changed",
            "reading both books whole once",
            still / reading,
            note=f"{still:.2f} s: {_shares(spent, quiet[-1])}",
        ),
        Figure(
            f"run with {CHANGES} changes to carry over",
            "the run with none",
            busy / still,
            note=f"{busy:.2f} s: {_shares(busy_spent, busy)}",
        ),
        Figure(
            f"first run, which links {COUNT:,} documents",
            "the run with nothing changed",
            linking / still,
            note=f"{linking:.1f} s",
        ),
    ]
