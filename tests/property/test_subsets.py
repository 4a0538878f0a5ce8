"""A bounded search for amounts that add up: what brute force finds, or the word that it did not look at everything."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tieout.reports.cash.subsets import Caps, subsets

# Few distinct amounts, so that several answers are common.
some = st.lists(st.integers(1, 12).map(Decimal), max_size=9)


def brute(amounts, target, parts):
    found = [
        c
        for n in range(2, parts + 1)
        for c in combinations(range(len(amounts)), n)
        if sum(amounts[i] for i in c) == target
    ]
    return sorted(found, key=lambda a: (len(a), a))


@given(some, st.integers(1, 40).map(Decimal), st.integers(2, 5))
def test_every_answer_is_found_and_no_other(amounts, target, parts):
    caps = Caps(parts=parts, answers=10_000)
    found = subsets(amounts, target, caps)
    assert list(found.answers) == brute(amounts, target, parts)
    assert found.whole


@given(some, st.integers(1, 40).map(Decimal), st.integers(1, 30), st.integers(1, 3))
def test_a_search_that_was_cut_short_never_says_that_it_is_whole(amounts, target, steps, answers):
    caps = Caps(steps=steps, answers=answers, parts=5)
    every = brute(amounts, target, caps.parts)
    found = subsets(amounts, target, caps)
    assert set(found.answers) <= set(every)
    assert len(found.answers) <= answers
    if found.whole:
        assert list(found.answers) == every


def test_the_bounds_are_reached():
    amounts = [Decimal(n) for n in range(1, 41)]
    assert not subsets(amounts, Decimal(200), Caps(steps=100)).whole
    assert subsets(amounts, Decimal(200), Caps(amounts=39)) == subsets([], Decimal(200), Caps(amounts=-1))
    assert len(subsets(amounts, Decimal(200), Caps(answers=3)).answers) == 3
    assert subsets([Decimal("0.1")] * 3, Decimal("0.3"), Caps()).answers == ((0, 1, 2),)
