"""Pools of sessions: how many calls run at once, which session serves, what waiting and loading cost.

A session is stateful: it has loaded some services for some user in some language, and may hold record locks. Durations
are measured, in milliseconds; `work` and `cold` make calls take longer, as long as the session is held.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from .faults import Fault, Refused
from .switches import Switches


@dataclass(slots=True)
class Session:
    """One X3 client of a pool. `loaded`: services it has been asked for; empty: a cold session."""

    index: int
    user: str = ""
    language: str = ""
    loaded: set[str] = field(default_factory=set)
    busy: bool = False


@dataclass(slots=True)
class Pool:
    """A pool alias. width: sessions of each child process; children: 0 is a host that accepts no web services.

    work: seconds that every call takes; cold: seconds that a service's first call on a session takes beside.
    peak: the most calls that ever ran at once; waited: how many had to wait.
    """

    alias: str
    width: int = 3
    children: int = 1
    work: float = 0.0
    cold: float = 0.0
    stopped: bool = False
    peak: int = 0
    waited: int = 0
    calls: int = 0
    next_index: int = 14901
    sessions: list[Session] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.width * self.children

    def forget(self) -> None:
        """Every idle session ends: the next calls find cold ones, with other indexes."""
        self.sessions = [s for s in self.sessions if s.busy]

    def _free(self, wanted: str) -> Session | None:
        if wanted:
            return next((s for s in self.sessions if str(s.index) == wanted and not s.busy), None)
        idle = next((s for s in self.sessions if not s.busy), None)
        if idle is None and len(self.sessions) < self.size:
            idle = Session(self.next_index)
            self.next_index += 1
            self.sessions.append(idle)
        return idle

    async def take(self, wanted: str, switches: Switches, *, full: bool = False) -> tuple[Session, Taken]:
        """A session, and what it took to get it. wanted: a poolId, or "". Raises Fault, Refused.

        full: as if every session were busy, unless calls wait for one.
        """
        began = time.perf_counter()
        if self.stopped:
            raise Fault("Server", f"Pool {self.alias} is stopped")
        if wanted and not any(str(s.index) == wanted for s in self.sessions):
            if switches.lost_session == "message":
                raise Refused("lost_session", id=wanted)
            wanted = ""
        cycles, row = 0, None
        full = full and switches.pool_full != "wait"
        while (session := None if full else self._free(wanted)) is None:
            if switches.pool_full == "fault":
                raise Fault("Server", f"No free entry in pool {self.alias}")
            if switches.pool_full == "message":
                raise Refused("pool_full", pool=self.alias)
            if not cycles:
                self.waited += 1
                row = len(self.waiting)
            cycles += 1
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        session.busy = True
        self.calls += 1
        self.peak = max(self.peak, sum(s.busy for s in self.sessions))
        return session, Taken(time.perf_counter() - began, cycles, row)

    def give(self, session: Session) -> None:
        """The session is free again; who waits may try."""
        session.busy = False
        turns, self.waiting = self.waiting, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)


@dataclass(slots=True)
class Taken:
    """What a call took, in seconds, and what it changed on its session."""

    wait: float = 0.0
    cycles: int = 0
    row: int | None = None
    load: float = 0.0
    execute: float = 0.0
    new_user: bool = False
    new_language: bool = False
    loaded: bool = False

    def technical(self, index: int, *, trace: str = "", report: str | None = None) -> dict[str, Any]:
        """The members of technicalInfos."""
        total = self.wait + self.load + self.execute
        return {
            "busy": False,
            "changeLanguage": self.new_language,
            "changeUserId": self.new_user,
            "flushAdx": False,
            "loadWebsDuration": _ms(self.load),
            "nbDistributionCycle": self.cycles,
            "poolDistribDuration": 0,
            "poolEntryIdx": index,
            "poolExecDuration": _ms(self.execute),
            "poolRequestDuration": _ms(self.load + self.execute),
            "poolWaitDuration": _ms(self.wait),
            "processReport": report,
            "processReportSize": -1 if report is None else len(report),
            "reloadWebs": self.loaded,
            "resumitAfterDBOpen": False,
            "rowInDistribStack": self.row,
            "totalDuration": _ms(total),
            "traceRequest": trace,
            "traceRequestSize": len(trace),
        }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
