"""Every parser under its law, by its name."""

from __future__ import annotations

from tests.fuzz import answers, files, own, writes
from tests.fuzz.frame import Target


def every() -> dict[str, Target]:
    """By name, in a fixed order."""
    return {target.name: target for part in (files, answers, writes, own) for target in part.targets()}
