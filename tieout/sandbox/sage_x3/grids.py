"""Lines of a grid after a write: numbered lines change, others are added."""

from __future__ import annotations

from .payload import Doc, Line


def merged(old: list[Doc], given: list[Line]) -> list[Doc]:
    """The lines after the write. A line of a number that exists keeps the fields that are not given."""
    lines = list(old)
    for number, fields in given:
        if 1 <= number <= len(old):
            lines[number - 1] = {**lines[number - 1], **fields}
        else:
            lines.append(dict(fields))
    return lines
