"""What one run did, and the exit code that follows from it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tieout import compare
from tieout.compare import Discrepancy
from tieout.errors import TieoutError
from tieout.sync.core.facts import UNMAPPED
from tieout.sync.core.operations import INACTIVE, NO_ITEM, WAITS, Operation
from tieout.sync.guard import Trip
from tieout.sync.review import differences

_ALWAYS = (UNMAPPED, NO_ITEM, INACTIVE)  # what is told of a single record, too, as all that comes later waits for it
_REQUEST = re.compile(r" \[\w*id [^\]]*\]")  # the id that a vendor gave one request, in its refusal


@dataclass(slots=True)
class Report:
    """What one run did. `as_json`: see docs/reference/json.md.

    halted: targets that were left alone before everything was sent, with the reason
    refused: records whose write the target refused, now or before, without anybody having answered for it yet
    doubted: why a book, or a kind of record in it, is not taken as it was read, with the code; without an answer yet
    """

    run: str
    pair: str
    mode: str
    fetched: dict[str, dict[str, int]] = field(default_factory=dict)
    plan_id: str | None = None
    plan_hash: str | None = None
    operations: list[Operation] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    written: list[dict[str, Any]] = field(default_factory=list)
    changes: differences.Changes = field(default_factory=lambda: differences.Changes(0, 0, 0))
    requests: dict[str, int] = field(default_factory=dict)
    volume: dict[str, dict[str, int]] = field(default_factory=dict)
    comparison: compare.Result | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    waiting: int = 0
    refused: int = 0
    doubted: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    errors: list[TieoutError] = field(default_factory=list)
    linked: int = 0
    halted: list[str] = field(default_factory=list)

    OUTCOMES = ("done", "pending", "unknown", "blocked", "rejected", "stale", "stuck")

    def failed(self, error: TieoutError, what: str = "") -> None:
        """Note what went wrong, and with what, if not with the whole run."""
        self.failures.append(f"{what}: {error.message}" if what else error.message)
        self.errors.append(error)

    def count_bytes(self, connection: str, volume: tuple[int, int] | None) -> None:
        """volume: (sent, received), where the connection counts them, as its vendor's licence does"""
        if volume is not None:
            self.volume[connection] = dict(zip(("sent", "received"), volume, strict=True))

    @property
    def exit_code(self) -> int:
        """The highest that applies in the order 5, 4, 2, 3; 0 if all is done."""
        codes = {e.exit_code for e in self.errors}
        if self.waiting or self.trips or self.refused or self.doubted or self.applied["stuck"]:
            codes.add(4)
        if self.applied["unknown"] or self.halted:
            codes.add(3)
        return next((c for c in (5, 4, 2, 3) if c in codes), 0)

    def held_back(self) -> Counter[str]:
        """Why records wait, and how many: each cause that is told of one alone, too, and what several share."""
        found = Counter[str]()
        for d in (d for d in self.discrepancies if d.code == "SYNC_BLOCKED"):
            cause = _REQUEST.sub("", d.cause)
            codes = [part for part in cause.split("; ") if UNMAPPED in part or NO_ITEM in part]
            found.update(codes or ["they wait for another record" if cause.startswith(WAITS) else cause])
        return Counter({why: n for why, n in found.items() if n > 1 or any(said in why for said in _ALWAYS)})

    def in_doubt(self) -> list[str]:
        """Why a book, or a kind of record in it, is not taken as it was read, answered or not."""
        found = (d.cause for d in self.discrepancies if d.code in differences.IN_DOUBT)
        return list(dict.fromkeys([*self.doubted, *found]))

    def unreadable(self) -> Counter[str]:
        """Why records cannot be read, by connection and field, and how many: often one line of a profile."""
        names, found = list(self.fetched), Counter[str]()
        # A row that may be of several kinds of records stands under each of them, and is one.
        for d in {d.id: d for d in self.discrepancies if d.code == "PARSE_REJECT"}.values():
            name = names[0 if d.left_label is not None else -1]
            found[f"{name}, {d.field}: {d.cause.partition(f', {d.field}: ')[2]}"] += 1
        return found

    def as_json(self) -> dict[str, Any]:
        bridge = self.comparison.as_json() if self.comparison else {}
        return {
            "run": self.run,
            "pair": self.pair,
            "mode": self.mode,
            "fetched": self.fetched,
            "plan": {
                "id": self.plan_id,
                "hash": self.plan_hash,
                "operations": [o.as_json() for o in self.operations],
            },
            "applied": {name: self.applied.get(name, 0) for name in self.OUTCOMES},
            "discrepancies": self.changes.as_json(),
            "requests": self.requests,
            "bytes": self.volume,
            "linked": self.linked,
            "waiting": self.waiting,
            "refused": self.refused,
            "in_doubt": self.in_doubt(),
            "guards": [{"name": t.name, "message": t.message, "operations": len(t.keys)} for t in self.trips],
            "left": bridge.get("left"),
            "right": bridge.get("right"),
            "by_code": bridge.get("by_code", {}),
            "bridge": bridge.get("bridge", {}),
            "files": self.files,
            "failures": self.failures,
            "halted": self.halted,
        }
