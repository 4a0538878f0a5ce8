"""A script of what goes wrong between a memory connector and its books, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tieout.connectors import Op
from tieout.model import Entity


class SimulatedCrash(BaseException):
    """The process dies here. Not an Exception, so that no handler of ours can survive it."""


class FaultKind(StrEnum):
    """What goes wrong with one call.

    writes: NOT_SENT, LOSE_REQUEST, LOSE_RESPONSE (after the commit), LATE (no answer; committed `seconds` later),
    THROTTLE, SIGNED_OUT, CRASH_BEFORE and CRASH_AFTER the commit
    reads: LOSE_REQUEST, THROTTLE, SIGNED_OUT, CRASH_BEFORE, CRASH_AFTER; pulls also TRUNCATE (raises after half of
    the records), SHORT_LIST (lacks the last record, without error), EMPTY (an empty list that looks like success, not
    proved complete), BAD_RECORD, TOMBSTONE_LIE (a record is said to be deleted that is not), STALE_LIST (records as
    they were one change ago)
    """

    NOT_SENT = "not_sent"
    LOSE_REQUEST = "lose_request"
    LOSE_RESPONSE = "lose_response"
    LATE = "late"
    THROTTLE = "throttle"
    SIGNED_OUT = "signed_out"
    CRASH_BEFORE = "crash_before"
    CRASH_AFTER = "crash_after"
    BAD_RECORD = "bad_record"
    TRUNCATE = "truncate"
    SHORT_LIST = "short_list"
    EMPTY = "empty"
    TOMBSTONE_LIE = "tombstone_lie"
    STALE_LIST = "stale_list"


WRITE_OPS = frozenset(op.value for op in Op)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, for the `nth` matching call (from 1) after it was armed.

    op: `company, pull, get, search, create, update, void, delete, flush`, `write` (any write) or `any`
    entity: None for any · id: the record that BAD_RECORD and TOMBSTONE_LIE mean, "" for the first
    """

    kind: FaultKind
    op: str = "write"
    nth: int = 1
    entity: Entity | None = None
    id: str = ""
    seconds: float = 30.0

    def matches(self, op: str, entity: Entity | None) -> bool:
        named = self.op in (op, "any") or (self.op == "write" and op in WRITE_OPS)
        return named and self.entity in (None, entity)


class Faults:
    """A script of faults, each struck once. `calls` lists every call a connector made, `struck` what hit."""

    def __init__(self, *faults: Fault) -> None:
        self._armed: list[tuple[Fault, int]] = []
        self.calls: list[tuple[str, Entity | None]] = []
        self.struck: list[Fault] = []
        for fault in faults:
            self.arm(fault)

    def arm(self, fault: Fault) -> None:
        self._armed.append((fault, 0))

    @property
    def armed(self) -> list[Fault]:
        return [fault for fault, _ in self._armed]

    def strike(self, op: str, entity: Entity | None) -> Fault | None:
        """Count one call; the fault that is due on it, or None. Two due at once: the one armed first."""
        self.calls.append((op, entity))
        due: Fault | None = None
        left = []
        for fault, seen in self._armed:
            seen += fault.matches(op, entity)
            if due is None and seen >= fault.nth and fault.matches(op, entity):
                due = fault
                self.struck.append(fault)
            else:
                left.append((fault, seen))
        self._armed = left
        return due
