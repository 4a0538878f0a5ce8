"""What `make test` leaves to `make deep`: the same tests, over all combinations, more examples and larger ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

from hypothesis import settings

DEEP = settings().max_examples > 500


def examples(few: int) -> settings:
    """So many generated cases, in `make deep` as many as its profile says."""
    return settings() if DEEP else settings(max_examples=few)


def combined(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Every combination of the axes' values under `make deep`; else as few as show every pair of values. In order."""
    every = list(product(*axes))
    return every if DEEP else pairwise(every)


def each(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Every combination of the axes' values under `make deep`; else as few as show every value of each axis."""
    if DEEP:
        return list(product(*axes))
    return [tuple(axis[n % len(axis)] for axis in axes) for n in range(max(map(len, axes)))]


def pairwise(every: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """As few of the rows as show every pair of values that any of them shows: greedy, always the same."""
    left = set().union(*map(_pairs, every))
    chosen: set[tuple[Any, ...]] = set()
    while left:
        row = max(every, key=lambda row: len(_pairs(row) & left))
        chosen.add(row)
        left -= _pairs(row)
    return [row for row in every if row in chosen]


def _pairs(row: tuple[Any, ...]) -> set[Any]:
    return set(combinations(enumerate(row), min(2, len(row))))
