"""Defects that are planted into the product are noticed; `python -m tests.simulation mutants` plants all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulation.__main__ import defects
from tests.simulation.mutants import MUTANTS, Change, NoPlaceError, SlipError, noticed, outcome, planted

# Of each kind of defect one that takes little time.
SOME = ("no write-ahead row", "blind retry on timeout", "lease without epoch check", "newest wins")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_every_mutant_finds_its_place(mutant) -> None:
    with planted(*mutant.changes):
        assert mutant.killers


def test_a_mutant_whose_place_is_gone_says_so() -> None:
    with pytest.raises(NoPlaceError), planted(Change("tieout.sync.plan:decide", "no such text", "")):
        pass


@pytest.mark.parametrize("slip", ["not_there", "None.there", "1 + ''"])
@pytest.mark.parametrize("caught", [False, True])
def test_a_mutant_that_cannot_run_is_not_taken_for_noticed(slip: str, caught: bool) -> None:
    [mutant] = [m for m in MUTANTS if m.name == "newest wins"]
    killer = replace(mutant.killers[0], run=lambda: caught_by(mutant.killers[0].run)) if caught else mutant.killers[0]
    changes = tuple(replace(c, new=f"return {slip}") for c in mutant.changes)
    with pytest.raises(SlipError, match=r"tieout\.sync\.plan:decide: (Name|Attribute|Type)Error"):
        noticed(replace(mutant, changes=changes, killers=(killer,)))


def caught_by(run: Callable[[], str]) -> str:
    try:
        return run()
    except (NameError, TypeError, AttributeError):
        return "noticed"


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in SOME], ids=lambda m: m.name)
def test_a_mutant_is_noticed_and_the_product_is_not(mutant) -> None:
    assert [outcome(killer) for killer in mutant.killers] == [""] * len(mutant.killers)
    assert noticed(mutant)


def test_a_defect_that_nothing_notices_is_said_in_the_figures() -> None:
    first, second = MUTANTS[:2]
    found = {first.name: "pay/file commit.after=crash: doubled: 2 payment: under K", second.name: ""}
    figures = defects(found, commit="c0ffee", command="run")
    assert (figures["defects planted into the product"], figures["noticed"], figures["commit"]) == (2, 1, "c0ffee")
    noticed_by = {row["defect"]: row["noticed by"] for row in figures["what notices them"]}
    assert noticed_by == {first.name: "`pay/file commit.after=crash`", second.name: "nothing"}
