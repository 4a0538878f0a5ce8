"""What became of a write: what the target made of it, and what somebody did there before it was read back.

A write is answered, and read back afterwards; in between, anybody may edit the record. The version in the answer tells:
while the record still has it, nobody touched it, and what differs from what was sent is the target's doing. A later
version was touched: what differs from the answer is somebody's edit, and the answer is what the two sides agreed on.
Without a version and without an answer (it was lost; a file; a system without versions) nobody can tell the two apart:
such fields are *unsure*, and nothing is written over them until both sides agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tieout.sync.core.facts import FREE_TEXT, GUARDED_FIELDS, Facts, same_lines

# Whether a record stands or is in use is decided before any field, and never by what was read back of one.
_APART = frozenset({"state", "active"})
EDITED = "edited_meanwhile"  # how the cause begins of a field that somebody changed before it was read back


@dataclass(frozen=True, slots=True)
class Answer:
    """What the answer to a write said of the record. otherwise: the fields that it shows otherwise than they were sent

    version: the record's version as the write left it, None where the answer names none
    """

    version: str | None
    otherwise: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"version": self.version, "otherwise": dict(self.otherwise)}

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> Answer | None:
        """From its JSON; None where nothing is known of an answer."""
        return None if told is None else cls(told["version"], told["otherwise"])


@dataclass(frozen=True, slots=True)
class Taken:
    """How the fields of a write came out.

    agreed: what was read back, with what somebody edited since as the write had left it · edited: those fields
    altered: what the target holds otherwise than it was sent · unsure: of these, what somebody may have edited
    """

    agreed: Facts
    edited: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()


def differing(sent: Facts, held: Facts, names: Collection[str]) -> frozenset[str]:
    """Of these fields, those that are held otherwise than they were sent."""
    return frozenset(n for n in names if n in sent and n in held and not _same(n, sent[n], held[n]))


def answer(sent: Facts, told: Facts | None, version: str | None) -> Answer | None:
    """What an answer says. told: the record as the answer shows it, None if it does not"""
    if told is None and version is None:
        return None
    return Answer(version, {n: told[n] for n in sorted(differing(sent, told, sent))} if told is not None else {})


def taken(sent: Facts, read: Facts, names: Collection[str], *, said: Answer | None, version: str | None) -> Taken:
    """Hold what was read back, of these fields, against what was sent. version: the record's, as it was read back"""
    off = differing(sent, read, names) - _APART
    if said is None:
        may_be = {n for n in off if n in GUARDED_FIELDS or (n in FREE_TEXT and read[n])}
        return Taken(read, altered=off, unsure=frozenset(may_be))
    if said.version is not None and said.version == version:
        return Taken(read, altered=off)
    left = {n: said.otherwise.get(n, sent[n]) for n in off}
    edited = frozenset(n for n in off if not _same(n, left[n], read[n]))
    return Taken(read | {n: left[n] for n in edited}, edited=edited, altered=off - edited)


def _same(name: str, one: Any, other: Any) -> bool:
    if name == "lines":
        return same_lines(one or [], other or [])
    return bool(one == other)
