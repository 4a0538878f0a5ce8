"""A little of the fuzzing in every `make test`: each parser keeps its law for its seeds, and for some that were changed."""

from __future__ import annotations

import logging
from collections import Counter
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.deep import DEEP
from tests.fuzz.all import every
from tests.fuzz.frame import ACCEPTED, REFUSED, Target

LATER = (
    frozenset() if DEEP else frozenset({"anchors", "evidence pack", "state under proof"})
)  # property/test_tampering and test_pack have them
TARGETS = {name: target for name, target in every().items() if name not in LATER}
FOUND: Counter[tuple[str, str]] = Counter()
MANY = 2000 if DEEP else 40


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_keeps_its_law(name: str) -> None:
    target: Target = TARGETS[name]
    for seed in target.seeds:
        FOUND[name, target.judge(seed)] += 1

    @settings(
        max_examples=max(4, MANY // target.weight),
        phases=(Phase.generate, Phase.shrink) if DEEP else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(range(len(target.seeds))), st.randoms(use_true_random=False))
    def changed(at: int, choose: Random) -> None:
        FOUND[name, target.judge(target.changed(choose, target.seeds[at]))] += 1

    changed()


def test_every_parser_accepts_and_refuses() -> None:
    """A law that never sees the one or the other says nothing of it."""
    for name, target in TARGETS.items():
        if not FOUND[name, ACCEPTED]:
            assert ACCEPTED in {target.judge(seed) for seed in target.seeds}, f"{name} accepts nothing"
        if target.refuses and not FOUND[name, REFUSED]:
            junk = (b'\0\xff<{["', b"")
            assert REFUSED in {target.judge(data) for data in junk}, f"{name} refuses nothing"
