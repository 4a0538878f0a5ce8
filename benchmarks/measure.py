"""Contenders in turns, medians of their ratios: what a busy machine slows, it slows on both sides of a ratio."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`what` divided by `over`. limit: the promise, at most (at least, where `least`); None where there is none."""

    what: str
    over: str
    ratio: float
    limit: float | None = None
    least: bool = False
    note: str = ""

    def line(self) -> str:
        held = self.limit is None or (self.ratio >= self.limit if self.least else self.ratio <= self.limit)
        bound = "" if self.limit is None else f"{'≥' if self.least else '≤'} {self.limit:g}{'' if held else '  MISSED'}"
        note = f"   {self.note}" if self.note else ""
        return f"  {self.ratio:8.2f}  {bound:14}{self.what} ÷ {self.over}{note}"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each contender in each round. of: by the clock · cpu: of the processors, those of all threads added"""

    of: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, one: str, other: str) -> float:
        """Median over the rounds of one's time by the other's."""
        return statistics.median(a / b for a, b in zip(self.of[one], self.of[other], strict=True))

    def cpu_ratio(self, one: str, other: str) -> float:
        """The same of processor time."""
        return statistics.median(a / b for a, b in zip(self.cpu[one], self.cpu[other], strict=True))

    def seconds(self, one: str) -> float:
        return statistics.median(self.of[one])


def in_turns(contenders: dict[str, Callable[[], object]], *, rounds: int = 3) -> Times:
    """Run each contender once per round."""
    times = Times({name: [] for name in contenders}, {name: [] for name in contenders})
    for _ in range(rounds):
        for name, work in contenders.items():
            start, used = time.perf_counter(), time.process_time()
            work()
            times.of[name].append(time.perf_counter() - start)
            times.cpu[name].append(time.process_time() - used)
    return times


def resident() -> int:
    """Megabytes that this process holds now; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return int(next(r for r in status.read_text().splitlines() if r.startswith("VmRSS")).split()[1]) // 1024


@contextmanager
def peak() -> Iterator[list[int]]:
    """A list of one number: the most megabytes that the process held during the block, looked at 50 times a second."""
    most = [resident()]
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        stop.set()
        watcher.join()
        most[0] = max(most[0], resident())
