"""The audit log held against itself and against its anchors: what is wrong with it, where, and what cannot be told.

The log proves its own order: each event carries the hash of the one before. Who can write to the database can also
write the whole log anew; only anchors, which lie elsewhere and are signed, tell that apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tieout.evidence.anchors import RESTORED, Anchor, parse
from tieout.evidence.keys import PublicKey
from tieout.sync.store import GENESIS, event_hash, loads

# The gravest first. altered, missing: single events · rewritten: the log was made anew, hashes and all (forged)
# truncated: its end was cut off, and the state knows what stood there
# rolled_back: the whole database is an older copy · other_database: it is not the one that was anchored
# rows: the state is not what the log says of it
# anchors_…: what is wrong with the anchors themselves
Verdict = Literal[
    "altered",
    "missing",
    "rewritten",
    "truncated",
    "other_database",
    "rolled_back",
    "rows",
    "anchors_forged",
    "anchors_altered",
    "anchors_cut",
    "anchors_absent",
    "intact",
]
ORDER: tuple[Verdict, ...] = Verdict.__args__  # type: ignore[attr-defined]
BY_PERSON = frozenset({"rolled_back", "other_database", "anchors_absent"})  # may be as it should; a person says so


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. where: an event, a line of a journal, a row · first: the event's number, 0 for none"""

    verdict: Verdict
    where: str
    says: str
    first: int = 0


@dataclass(frozen=True, slots=True)
class Examined:
    """A journal that was read. anchors: its lines that are signed with a known key, in order"""

    name: str
    anchors: tuple[Anchor, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """A journal being read. bad: what is wrong with the lines since the last good one · torn: those that broke off"""

    name: str
    anchors: list[Anchor] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bad: list[Finding] = field(default_factory=list)
    torn: list[Finding] = field(default_factory=list)

    def take(self, where: str, found: Anchor) -> None:
        """A line that is signed: does it follow from the last good one? What stood between them is to blame if not."""
        last = self.anchors[-1] if self.anchors else None
        n, prev = (last.n + 1, last.digest) if last else (0, GENESIS)
        follows = (found.n, found.prev) == (n, prev) and (last is None or found.journal == last.journal)
        self.settle(harmless=follows)
        between, gap = len(self.bad) + len(self.torn), found.n - n
        if not follows and gap > between:
            missing = f"anchor {n} is" if gap == 1 else f"anchors {n} to {found.n - 1} are"
            self.findings.append(Finding("anchors_cut", where, f"{missing} missing before it"))
        elif not follows and (gap <= 0 or (last is not None and found.journal != last.journal)):
            says = f"anchor {found.n} of journal {found.journal} does not belong here"
            self.findings.append(Finding("anchors_altered", where, says))
        self.anchors.append(found)
        self.bad, self.torn = [], []

    def settle(self, *, harmless: bool) -> None:
        """Tell of the lines that are no anchors. harmless: nothing is missing where a write broke off"""
        self.findings += self.bad
        if harmless:
            self.notes += [f"{f.where}: a write broke off here" for f in self.torn]
        else:
            self.findings += self.torn


def examine_journal(name: str, lines: Iterable[bytes], keys: Mapping[str, PublicKey]) -> Examined:
    """Read a journal: each line's signature, and that each follows from the one before. lines: with their newlines"""
    reading = _Reading(name)
    number, ended = 0, True
    for number, whole in enumerate(lines, 1):
        ended = whole.endswith(b"\n")
        line = whole.rstrip(b"\n")
        where = f"{name}, line {number}"
        found = parse(line)
        key = keys.get(found.key) if found is not None else None
        if found is None and not line.endswith(b"}"):
            reading.torn.append(Finding("anchors_altered", where, "it is not an anchor"))
        elif found is None:
            reading.bad.append(Finding("anchors_altered", where, "it is not an anchor"))
        elif key is None:
            reading.bad.append(Finding("anchors_forged", where, f"it is signed with another key ({found.key})"))
        elif not found.is_signed(key):
            reading.bad.append(Finding("anchors_altered", where, "it is not what was signed"))
        else:
            reading.take(where, found)
    reading.settle(harmless=not ended)
    if number and not reading.anchors and not reading.findings and not reading.notes:
        reading.findings.append(Finding("anchors_altered", name, "it holds no anchor"))
    return Examined(name, tuple(reading.anchors), tuple(reading.findings), tuple(reading.notes))


@dataclass(slots=True)
class Log:
    """What a pass over the audit log found. at: {number: (hash, when)} of the events that were asked for

    ended: those of the runs that were asked for that it says ended
    begun: journals that it says were begun · named: digests of the anchors that its runs say they found
    """

    events: int = 0
    database: str = ""
    seq: int = 0
    hash: str = GENESIS
    last_at: str = ""
    at: dict[int, tuple[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    begun: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def examine_log(events: Iterable[Mapping[str, Any]], anchors: Iterable[Anchor] = ()) -> Log:
    """Recompute the log, one event after the other. events: in the order of their numbers"""
    known = list(anchors)
    log, asked, runs = Log(), {a.seq for a in known}, {a.run for a in known if a.run}
    true = GENESIS  # the hash that the last event should have, where that is not the one it has
    suspect = False  # the link to the event before was broken: that one was altered, or this one
    for event in events:
        seq = event["seq"]
        if seq != log.seq + 1:
            which = f"event {log.seq + 1} is" if seq == log.seq + 2 else f"events {log.seq + 1} to {seq - 1} are"
            log.findings.append(Finding("missing", f"event {log.seq + 1}", f"{which} missing", log.seq + 1))
            suspect = False
        elif event["prev_hash"] not in (log.hash, true):
            suspect = _blame(log, event, suspect)
        else:
            suspect = False
        true = _hash(event)
        if true != event["hash"]:
            log.findings.append(_altered(seq))
        log.events += 1
        log.seq, log.hash, log.last_at = seq, event["hash"], event["at"]
        log.database = log.database or event["hash"]
        if seq in asked:
            log.at[seq] = event["hash"], event["at"]
        if event["object_type"] == "journal" and event["action"] == "begun":
            log.begun.setdefault(event["object_id"], seq)
        elif event["object_id"] in runs and event["action"] == "ended":
            log.ended.add(event["object_id"])
        elif event["object_type"] == "run" and event["action"] == "started":
            log.named.setdefault(_anchor_named(event["payload"]), seq)
    log.named.pop("", None)
    log.findings = list({(f.verdict, f.first): f for f in log.findings}.values())
    return log


def _hash(event: Mapping[str, Any]) -> str:
    """What the hash of an event must be; "" for one that holds what no event can."""
    try:
        return event_hash(event)
    except (TypeError, ValueError):
        return ""


def _anchor_named(payload: str) -> str:
    """The digest of the anchor that a run found when it began; "" for none, and in an event that cannot be read."""
    try:
        told = loads(payload)
    except ValueError:
        return ""
    return str(told.get("anchor") or "") if isinstance(told, dict) else ""


def _blame(log: Log, event: Mapping[str, Any], suspect: bool) -> bool:
    """An event does not follow from the one before: which of the two was altered. Returns whether this one may be."""
    seq = event["seq"]
    if _hash(event) != event["hash"]:
        return False  # it is itself altered, as is told
    if seq == 1:
        log.findings.append(_altered(1))
        return False
    if suspect:
        # The link before was broken as well: that event was made anew, and not the one before it.
        log.findings = [f for f in log.findings if f.first != seq - 2 or f.verdict != "altered"]
    log.findings.append(_altered(seq - 1))
    return True


def _altered(seq: int) -> Finding:
    return Finding("altered", f"event {seq}", f"event {seq} was altered", seq)


def against_anchors(log: Log, journals: Sequence[Examined], lost: Sequence[Finding]) -> list[Finding]:
    """Hold a log against its anchors. lost: rows of the state that know of an event which is not in the log"""
    out: list[Finding] = []
    for journal in journals:
        out += _against(log, journal, lost)
    there = {j.anchors[0].journal for j in journals if j.anchors}
    absent = {id: seq for id, seq in log.begun.items() if id not in there}
    for id, seq in absent.items():
        out.append(Finding("anchors_absent", f"event {seq}", f"journal {id}, which was begun then, is not here", seq))
    if not journals and not absent:
        out.append(Finding("anchors_absent", "anchors", "there is none: a log that was made anew would look the same"))
    known = {a.digest for j in journals for a in j.anchors}
    for digest, seq in log.named.items():
        if digest not in known and not absent and journals:
            out.append(Finding("anchors_cut", f"event {seq}", "the anchor that this run found is in no journal", seq))
    return list(dict.fromkeys(out))


def counting(journal: Examined) -> list[Anchor]:
    """The anchors that the log must hold: not those of a past that a person gave up when the state was restored."""
    kept: list[Anchor] = []
    agreed: int | None = None
    for anchor in reversed(journal.anchors):
        if agreed is None or anchor.seq <= agreed:
            kept.append(anchor)
        if anchor.kind == RESTORED:
            agreed = anchor.agrees if agreed is None else min(agreed, anchor.agrees)
    return [a for a in reversed(kept) if a.seq]


def agreeing(log: Log, journal: Examined) -> int:
    """The last anchored event that the log holds as it was anchored; 0 for none."""
    found = 0
    for anchor in counting(journal):
        if log.at.get(anchor.seq, ("", ""))[0] != anchor.hash:
            break
        found = anchor.seq
    return found


def _against(log: Log, journal: Examined, lost: Sequence[Finding]) -> list[Finding]:
    anchors = counting(journal)
    agrees = agreeing(log, journal)
    wrong = [a for a in anchors if a.seq in log.at and log.at[a.seq][0] != a.hash]
    ahead = [a for a in anchors if a.seq > log.seq]
    if any(f.verdict in ("altered", "missing") for f in log.findings):
        wrong = []  # it is told which events they are
        ahead = ahead if lost else []
    if not wrong and not ahead:
        return []
    last = max((*wrong, *ahead), key=lambda a: a.seq)
    until = f"anchor {last.n} of {journal.name} has event {last.seq} of {last.at}"
    anew = any(a.run in log.ended for a in (*wrong, *ahead))
    # What is of a time that no anchor is of, was not written in the place of what was anchored: it happened later, or
    # in a past that a person gave up before.
    newest, past = max(a.at for a in anchors), max((a.at for a in journal.anchors if a not in anchors), default="")
    if anew or any(past < log.at[a.seq][1] <= newest for a in wrong):
        first = f"event {wrong[0].seq} is not the one that was anchored at {wrong[0].at}" if wrong else until
        says = f"it was written anew from somewhere after event {agrees} on: {first}"
        return [Finding("rewritten", f"event {agrees + 1}", says, agrees + 1)]
    if ahead and lost:
        says = f"the log ends with event {log.seq}: {until}; the state knows of what is cut off ({lost[0].says})"
        return [Finding("truncated", f"event {log.seq}", says, log.seq)]
    if last.database != log.database:
        return [Finding("other_database", "event 1", f"it is not the database that was anchored: {until}", 1)]
    if wrong:
        says = f"an older copy, of event {agrees} or somewhat later, was taken and went on: {until}"
        return [Finding("rolled_back", f"event {agrees}", says, agrees)]
    says = f"the state is an older copy, of event {log.seq} ({log.last_at or 'an empty one'}): {until}"
    return [Finding("rolled_back", f"event {log.seq}", says, log.seq)]


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The gravest of them; `intact` if there is none."""
    return min((f.verdict for f in findings), key=ORDER.index, default="intact")


def exit_code(findings: Iterable[Finding]) -> int:
    """0: intact · 4: a person says whether that is as it should be · 5: something is not what it was"""
    found = {f.verdict for f in findings}
    return 5 if found - BY_PERSON else 4 if found else 0
