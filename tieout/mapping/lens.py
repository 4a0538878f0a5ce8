"""What the lenses of all vendors share: our mark, how a record cannot be read, and how it cannot be written."""

from __future__ import annotations

import re

from pydantic import ValidationError

_MARK = re.compile(r"tieout:([A-Za-z0-9._-]{1,64})")


class Unreadable(ValueError):
    """A native record that cannot be read: `path`, `value` and `reason` of the `RecordError` it becomes."""

    def __init__(self, path: str, value: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason
        self.value = str(value)[:200]


class Unwritable(ValueError):
    """A canonical record that the vendor cannot be told without changing what it means; nothing is sent."""


def mark(marker: str) -> str:
    """Our reference as it stands in a text of the vendor's."""
    return f"tieout:{marker}"


def marker_in(text: str) -> str | None:
    """The reference of a text that is a mark and nothing else; None for any other."""
    found = _MARK.fullmatch(text.strip())
    return found[1] if found else None


def refused(why: ValidationError) -> Unreadable:
    """What the model refused first, as the reason why the native record cannot be read."""
    first = why.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return Unreadable(path, first.get("input", ""), str(first["msg"]))
