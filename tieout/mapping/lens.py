"""What the lenses of all vendors share: how a record cannot be read, and how it cannot be written."""

from __future__ import annotations

from pydantic import ValidationError


class Unreadable(ValueError):
    """A native record that cannot be read: `path`, `value` and `reason` of the `RecordError` it becomes."""

    def __init__(self, path: str, value: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason
        self.value = str(value)[:200]


class Unwritable(ValueError):
    """A canonical record that the vendor cannot be told without changing what it means; nothing is sent."""


def refused(why: ValidationError) -> Unreadable:
    """What the model refused first, as the reason why the native record cannot be read."""
    first = why.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return Unreadable(path, first.get("input", ""), str(first["msg"]))
