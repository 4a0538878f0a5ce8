"""Which of several amounts add up to a sum: every answer within stated bounds, or the word that there may be more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of a search, inclusive. amounts: given · parts: of one answer · steps: of the search · answers: kept"""

    amounts: int = 60
    parts: int = 6
    steps: int = 50_000
    answers: int = 5


@dataclass(frozen=True, slots=True)
class Found:
    """answers: positions as given, ascending, fewest first · whole: no further answer exists within `parts`"""

    answers: tuple[tuple[int, ...], ...]
    whole: bool


def subsets(amounts: Sequence[Decimal], target: Decimal, caps: Caps) -> Found:
    """Every set of two or more of the positive amounts that adds up to the target, each position once.

    The same answers for the same amounts in the same order. More than `caps.amounts` are not searched at all.
    """
    if len(amounts) > caps.amounts:
        return Found((), whole=False)
    order = sorted((i for i, a in enumerate(amounts) if 0 < a <= target), key=lambda i: (-amounts[i], i))
    search = _Search([amounts[i] for i in order], caps)
    answers = []
    for answer in search.run(target):
        answers.append(tuple(sorted(order[i] for i in answer)))
        if len(answers) > caps.answers:
            break
    kept = sorted(answers, key=lambda a: (len(a), a))[: caps.answers]
    return Found(tuple(kept), whole=search.steps < caps.steps and len(answers) <= caps.answers)


class _Search:
    """Depth first over amounts in falling order, cut where what is left cannot reach the rest."""

    def __init__(self, amounts: Sequence[Decimal], caps: Caps) -> None:
        self.amounts = amounts
        self.caps = caps
        self.steps = 0
        # after[i]: the sum of amounts[i:]
        self.after = [*reversed(list(accumulate(reversed(amounts), initial=Decimal(0))))]

    def run(self, rest: Decimal, start: int = 0, taken: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        left = self.caps.parts - len(taken)
        for i in range(start, len(self.amounts)):
            if self.steps >= self.caps.steps or self.after[i] < rest or self.amounts[i] * left < rest:
                return
            self.steps += 1
            if self.amounts[i] == rest and taken:
                yield (*taken, i)
            elif self.amounts[i] < rest and left > 1:
                yield from self.run(rest - self.amounts[i], i + 1, (*taken, i))
