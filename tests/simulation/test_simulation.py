"""A fixed part of the simulation: every action at every boundary once. `make simulate` runs the rest."""

from __future__ import annotations

from collections import Counter
from unittest import mock

from tests.simulation.boundaries import ACTIONS
from tests.simulation.schedule import Schedule, carry_out, undisturbed
from tests.simulation.suites import covering
from tieout.sync.store import Tx


def test_whatever_happens_at_any_boundary_nothing_is_doubled_lost_or_silent() -> None:
    struck: Counter[tuple[str, str]] = Counter()
    wrong = []
    for schedule in covering():
        outcome = carry_out(schedule)
        struck += outcome.struck
        wrong += [str(outcome)] if outcome.wrong else []
    assert wrong == []
    declared = {(kind, action) for kind, actions in ACTIONS.items() for action in actions}
    assert declared - set(struck) == set()


def test_a_schedule_comes_out_the_same_each_time_with_and_without_what_is_remembered() -> None:
    schedule = Schedule("create", "searchable_marker", seed=7, workers=3)
    first, again = carry_out(schedule), carry_out(schedule, memo=False)
    assert first.struck
    assert (first.points, first.end, first.codes) == (again.points, again.end, again.codes)


def test_a_worker_that_is_not_fenced_is_seen() -> None:
    points = undisturbed("create", "searchable_marker").points
    at = next(p.number for p in points if p.kind == "create.before")
    schedule = Schedule("create", "searchable_marker", ((at, "pause"),))
    assert carry_out(schedule).wrong == []
    with mock.patch.object(Tx, "fence", lambda _self, _lease: None):
        assert "fencing" in {kind for kind, _ in carry_out(schedule).wrong}
