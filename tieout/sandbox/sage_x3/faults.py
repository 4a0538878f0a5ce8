"""X3's refusals: functional errors with their texts by language, and faults of the transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .texts import told

INFO, WARNING, ERROR = "1", "2", "3"


@dataclass(frozen=True, slots=True)
class Note:
    """One message: `level` 1 information, 2 warning, 3 error; `key` of its text with what the text names."""

    level: str
    key: str
    facts: tuple[tuple[str, Any], ...] = ()

    def text(self, language: str) -> str:
        return told(self.key, language, dict(self.facts))


def note(level: str, key: str, /, **facts: Any) -> Note:
    return Note(level, key, tuple(facts.items()))


class Refused(Exception):
    """A functional error: HTTP 200, status 0, no result, one message or several. Nothing has changed."""

    def __init__(self, key: str, /, **facts: Any) -> None:
        self.notes: tuple[Note, ...] = (note(ERROR, key, **facts),)
        super().__init__(self.notes[0].text("ENG"))

    @property
    def key(self) -> str:
        return self.notes[-1].key

    def after(self, *before: Note) -> Refused:
        """The same refusal with other messages before it."""
        self.notes = (*before, *self.notes)
        return self


class Fault(Exception):
    """A fault of the transport: a SOAP fault, no functional answer. `code` Client or Server."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)
