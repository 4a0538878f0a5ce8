"""Verify the audit log of a state database: against itself, against its anchors, and the state against the log."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError
from tieout.evidence.anchors import LONGEST, RESTORED
from tieout.evidence.chain import (
    Examined,
    Finding,
    Log,
    Verdict,
    against_anchors,
    agreeing,
    counting,
    examine_journal,
    examine_log,
    exit_code,
    verdict,
)
from tieout.evidence.keys import PublicKey
from tieout.evidence.rows import unlike
from tieout.sync import schema
from tieout.sync.store import Store

MOST = 1_000  # findings that are kept; more say nothing new


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it. notes: what is no fault, and what is not proved · anchored: the last event an anchor holds"""

    log: Log
    journals: tuple[Examined, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    anchored: int

    @property
    def verdict(self) -> Verdict:
        return verdict(self.findings)

    @property
    def exit_code(self) -> int:
        return exit_code(self.findings)

    def as_json(self) -> dict[str, Any]:
        log = self.log
        return {
            "verdict": self.verdict,
            "events": log.events,
            "head": {"event": log.seq, "hash": log.hash, "at": log.last_at or None},
            "database": log.database or None,
            "anchored_through": self.anchored,
            "not_anchored": max(0, log.seq - self.anchored),
            "journals": [{"name": j.name, "anchors": len(j.anchors)} for j in self.journals],
            "findings": [{"verdict": f.verdict, "where": f.where, "says": f.says} for f in self.findings],
            "notes": list(self.notes),
        }


def read_journals(paths: Sequence[Path], keys: Mapping[str, PublicKey]) -> tuple[Examined, ...]:
    """The journals that are there. Raises ConfigError for one that cannot be read."""
    found = []
    for path in paths:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConfigError(f"{path} is not a file", hint="name a file of anchors")
            with path.open("rb") as file:
                # A line that no anchor can be is read in parts, however long it is.
                lines = iter(lambda: file.readline(LONGEST + 1), b"")
                found.append(examine_journal(path.name, lines, keys))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from None
    return tuple(found)


def log_breaks(store: Store) -> list[str]:
    """What is wrong with the audit log by itself, without anchors: [] if every event follows from the one before it."""
    return [f.says for f in examine_log(_events(store)).findings]


def _events(store: Store) -> Iterator[Mapping[str, Any]]:
    a = schema.audit_event
    for row in store.stream(sa.select(a).order_by(a.c.seq)):
        yield row._mapping  # noqa: SLF001  a row's own mapping


def verify(store: Store, journals: Sequence[Examined]) -> Verified:
    """Verify a state. journals: read before, so that the log is at least as new as they are"""
    anchors = [anchor for journal in journals for anchor in journal.anchors]
    with store.reading() as db:
        if db.dialect.name == "postgresql":
            db.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        log = examine_log(_events(store), anchors)
        rows = list(islice(unlike(store), MOST))
    lost = [f for f in rows if f.first < 0]
    findings = [*log.findings, *against_anchors(log, journals, lost), *(f for j in journals for f in j.findings)]
    if not any(f.verdict in ("truncated", "missing") for f in findings):
        findings += rows
    anchored = max((agreeing(log, j) for j in journals), default=0)
    return Verified(log, tuple(journals), tuple(findings), tuple(_notes(log, journals, anchored)), anchored)


def _notes(log: Log, journals: Sequence[Examined], anchored: int) -> list[str]:
    notes = [note for journal in journals for note in journal.notes]
    for journal in journals:
        notes += [
            f"{journal.name}: a state of event {a.seq} was taken for the true one by {a.by} at {a.at} ({a.reason}); "
            f"what was anchored after event {a.agrees} before is given up"
            for a in journal.anchors
            if a.kind == RESTORED
        ]
        if journal.anchors and not counting(journal):
            notes.append(f"{journal.name}: nothing is anchored in it yet")
    if log.seq > anchored:
        which = f"event {log.seq} is" if log.seq == anchored + 1 else f"events {anchored + 1} to {log.seq} are"
        notes.append(f"{which} held by no anchor: that they are as they were first written is not proved")
    return notes
