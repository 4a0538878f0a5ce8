"""What it takes to judge one ledger by itself: its closed periods, and which customers belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Closing:
    """Books closed through a day, inclusive, as known since a UTC instant (text). entity_code: None means all."""

    through: date
    since: str
    entity_code: str | None = None


def families(parents: Mapping[str, str | None]) -> dict[str, str]:
    """The topmost customer of each customer of whom the parent is given; a loop of parents ends where it closes."""
    tops = {}
    for start in parents:
        seen, at = {start}, start
        while (up := parents.get(at)) is not None and up not in seen:
            seen.add(up)
            at = up
        tops[start] = at
    return tops
