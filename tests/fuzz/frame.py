"""A parser under its law, and how one input is judged."""

from __future__ import annotations

import re
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

from tests.fuzz.mutation import MOST, TEXT, Form, Mutator
from tieout.errors import TieoutError

ACCEPTED, REFUSED = "accepted", "refused"
SECONDS = 5.0  # of processor time that one input may take: a hundred times what the slowest honest one does
MEGABYTES = 512  # that one input may take beyond the most that was ever taken before it
LONGEST = 20_000  # characters of what an error says beside what it repeats of its input


class Broken(AssertionError):
    """What a parser did with its input is against its law."""


@dataclass(frozen=True)
class Target:
    """A parser under its law.

    make: its seeds, made by our own writers · law: reads an input. It raises TieoutError for a refusal, and anything
    else, `Broken` among them, where the law does not hold · where: what an error has to name
    weight: how many inputs of a plain parser cost as much as one of it · most: bytes of an input
    refuses: whether it refuses anything; what is damaged may be given up instead
    """

    name: str
    make: Callable[[], Sequence[bytes]]
    law: Callable[[bytes], object]
    form: Form = TEXT
    where: str = ""
    weight: int = 1
    most: int = MOST
    refuses: bool = True
    refusals: tuple[type[BaseException], ...] = field(default=(TieoutError,))

    @cached_property
    def seeds(self) -> tuple[bytes, ...]:
        return tuple(self.make())

    def changed(self, choose: Random, data: bytes) -> bytes:
        """An input made of this one. choose: the source of every choice"""
        return Mutator(choose, self.form, self.seeds, self.most).made(data)

    def mixed(self, choose: Random, data: bytes, other: bytes) -> bytes:
        """An input made of two."""
        return Mutator(choose, self.form, self.seeds, self.most).mixed(data, other)

    def judge(self, data: bytes) -> str:
        """`ACCEPTED` or `REFUSED`. Raises whatever shows that the law is broken."""
        data = data[: self.most]
        started, most = time.process_time(), _used()
        try:
            self.law(data)
            said = ACCEPTED
        except self.refusals as error:
            self._said(error, len(data))
            said = REFUSED
        took = time.process_time() - started
        if took > SECONDS:
            raise Broken(f"too long: {len(data):,} bytes took {took:.1f} s")
        if (used := _used() - most) > MEGABYTES:
            raise Broken(f"too large: {len(data):,} bytes took {used:,} MB")
        return said

    def _said(self, error: BaseException, size: int) -> None:
        text = str(error)
        if not text.strip() or len(text) > LONGEST + 8 * size:
            raise Broken(f"an error of {len(text):,} characters: {text[:80]!r}") from error
        if self.where not in text:
            raise Broken(f"an error that does not name {self.where}: {text[:200]!r}") from error


def _used() -> int:
    """Megabytes that this process took at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def signature(error: BaseException) -> str:
    """What one defect has in common over the inputs that show it: the kind of error, and where it was raised."""
    if isinstance(error, Broken):
        return "Broken: " + re.sub(r"[0-9].*", "", str(error), flags=re.DOTALL)[:60]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/tieout/" in f.filename]
    at = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {at.filename.rpartition('/tieout/')[2]}:{at.name}"
