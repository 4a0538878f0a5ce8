"""A little of the fuzzing in every `make test`: each parser keeps its law for its seeds, and for some that were changed."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from lxml import etree

from tests.deep import DEEP
from tests.fuzz.all import every
from tests.fuzz.frame import ACCEPTED, REFUSED, Broken, Target
from tests.fuzz.mutation import JSON, XML, unzipped, zipped
from tests.fuzz.one import broken, shrunk
from tests.fuzz.trees import documents, elements

LATER = (
    frozenset() if DEEP else frozenset({"anchors", "evidence pack", "state under proof"})
)  # property/test_tampering and test_pack have them
TARGETS = {name: target for name, target in every().items() if name not in LATER}
FOUND: Counter[tuple[str, str]] = Counter()
MANY = 2000 if DEEP else 24


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_keeps_its_law(name: str) -> None:
    target: Target = TARGETS[name]
    for seed in dict.fromkeys(target.seeds):
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
            assert REFUSED in {target.judge(data) for data in (*junk, *target.seeds)}, f"{name} refuses nothing"


@pytest.mark.parametrize("packed", [False, True])
def test_what_breaks_a_law_is_made_small_and_still_breaks_it(packed: bool) -> None:
    def law(data: bytes) -> None:
        if b"<!" in (dict(unzipped(data)).get("a", b"") if packed else data):
            raise Broken("a declaration")
        if not data:
            raise ValueError("another defect")

    form = replace(XML, zipped=packed)
    target = Target("toy", list, law, form)
    body = b"<x>" * 50 + b"<!DOCTYPE x>" + b"</x>" * 50
    small = shrunk(target, zipped([("a", body), ("b", b"1")]) if packed else body, seconds=5)
    assert (dict(unzipped(small))["a"] if packed else small) == b"<!"
    assert broken(target, small) == "Broken: a declaration"


def test_what_is_well_formed_stays_so() -> None:
    """Whatever is changed in a document, or in an element of one; each kind of change happens."""
    choose, seen = Random(1), set()
    body = b'{"a": [1.10, {"b": null}], "c": "x"}'
    for _ in range(300):
        head, _, changed = documents(choose, b"200\n" + body, JSON.words).partition(b"\n")
        assert head == b"200"
        json.loads(changed)
        seen.add(changed)
        etree.fromstring(elements(choose, b'<r><f n="1">x</f><g>y</g></r>', XML.words))
    assert len(seen) > 100
