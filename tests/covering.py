"""Settings of a sandbox's switches that together show each of them, and each pair of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from itertools import combinations
from typing import Any, get_args, get_type_hints

from tests.deep import DEEP

Row = dict[str, Any]


class Covering:
    """apart: switches that a story cannot live with, or that have no settings to go through."""

    def __init__(self, switches: type, apart: Collection[str]) -> None:
        hints = get_type_hints(switches)
        self.space: dict[str, list[Any]] = {
            f.name: [False, True] if hints[f.name] is bool else list(get_args(hints[f.name]))
            for f in fields(switches)
            if f.name not in apart
        }
        self.default = switches()
        self.pairs = self._pairs()

    def singles(self) -> list[Row]:
        return [{n: v} for n, options in self.space.items() for v in options if v != getattr(self.default, n)]

    def rows(self) -> list[Row]:
        """The defaults, and settings that together show every pair; in `make deep` each other setting alone, too."""
        return [{}, *(self.singles() if DEEP else ()), *self.pairs]

    def name(self, row: Row) -> str:
        if not row:
            return "defaults"
        return ",".join(f"{k}={v}" for k, v in row.items()) if len(row) == 1 else f"pairs{self.pairs.index(row)}"

    def missing(self) -> set[tuple[tuple[str, Any], ...]]:
        """Pairs of settings that no row of `pairs` shows."""
        shown = {((a, row[a]), (b, row[b])) for row in self.pairs for a, b in combinations(sorted(row), 2)}
        return self._every() - shown

    def _every(self) -> set[tuple[tuple[str, Any], ...]]:
        names = combinations(sorted(self.space), 2)
        return {((a, x), (b, y)) for a, b in names for x in self.space[a] for y in self.space[b]}

    def _pairs(self) -> list[Row]:
        """Greedy, always the same."""
        left, rows = self._every(), []
        while left:
            row: Row = dict(min(left, key=repr))
            for name in sorted(self.space.keys() - row.keys(), key=lambda n: (-len(self.space[n]), n)):
                row[name] = max(self.space[name], key=lambda v: _gain(left, row, name, v))
            left -= {((a, row[a]), (b, row[b])) for a, b in combinations(sorted(row), 2)}
            rows.append(row)
        return rows


def _gain(left: set[tuple[tuple[str, Any], ...]], row: Row, name: str, value: Any) -> int:
    return sum(tuple(sorted([(name, value), (n, v)], key=lambda p: p[0])) in left for n, v in row.items())
