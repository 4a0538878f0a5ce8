"""A fixed part of the simulation: every action at every boundary once. `make simulate` runs the rest."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from tests.scenarios.world import invoice
from tests.simulation import suites
from tests.simulation.__main__ import Part, added, spelled
from tests.simulation.boundaries import ACTIONS, DEEDS_AT
from tests.simulation.schedule import Schedule, World, carry_out, undisturbed
from tests.simulation.suites import FEW, covering
from tests.simulation.truth import DELETED_UNSEEN, LOADED_OVER, OVER_TYPED, SET_BACK, Truth
from tieout.model import Entity
from tieout.sync import apply
from tieout.sync.store import Tx
from tieout.sync.writing import settle


def test_whatever_happens_at_any_boundary_nothing_is_doubled_lost_or_silent() -> None:
    struck: Counter[tuple[str, str]] = Counter()
    wrong = []
    for outcome in covering():
        struck += outcome.struck
        wrong += [str(outcome)] if outcome.wrong else []
    assert wrong == []
    declared = {(kind, action) for kind, actions in ACTIONS.items() for action in actions}
    assert declared - set(struck) == set()
    assert {deed for deeds in DEEDS_AT.values() for deed in deeds} - {action for _, action in struck} == set()


def test_a_schedule_comes_out_the_same_each_time_with_and_without_what_is_remembered() -> None:
    schedule = Schedule("create", "searchable_marker", seed=7, workers=3)
    first, again = carry_out(schedule), carry_out(schedule, memo=False)
    assert first.struck
    assert (first.points, first.end, first.codes) == (again.points, again.end, again.codes)


def test_what_was_typed_over_is_a_loss_unless_nobody_could_see_it() -> None:
    """Where there are no versions: after the last look it is a limit, counted; before it, a write over it is wrong."""
    story = "update", "searchable_marker"
    points = undisturbed(*story).points
    write = max(p.number for p in points if p.where == "right.update.before")
    look = max(p.number for p in points if p.where == "right.get.before" and p.number < write)
    earlier = max(p.number for p in points if p.where == "commit.after" and p.number < look)
    after, before = (Schedule(*story, ((point, "person"),)) for point in (write, earlier))
    outcome = carry_out(after)
    assert (outcome.wrong, outcome.met) == ([], {OVER_TYPED: 1})
    assert carry_out(before).wrong == []
    with mock.patch.object(apply, "fresh", lambda _work, o, target, native: apply.read(o.entity, native, target)):
        blind = carry_out(before)
    assert ([kind for kind, _ in blind.wrong], blind.met) == (["lost update"], {})


def test_what_home_changes_after_both_said_the_same_is_no_loss_of_what_was_typed_there() -> None:
    """Somebody enters at the mirror what home says already, and home is changed later: home's change is carried."""
    story = "update", "unique_number"
    first = next(p.number for p in undisturbed(*story).points if "same" in p.deeds)
    points = carry_out(Schedule(*story, ((first, "same"),))).points
    last = max(p.number for p in points if p.where == "commit.after")
    schedule = Schedule(*story, ((first, "same"), (last, "home")))
    outcome = carry_out(schedule)
    assert (outcome.wrong, outcome.codes) == ([], {})
    with mock.patch.object(Truth, "_changed_at_home_since", lambda *_: False):
        assert [kind for kind, _ in carry_out(schedule).wrong] == ["lost update"]


def test_a_write_of_what_a_person_typed_already_does_not_hide_when_it_was_typed() -> None:
    """Home is changed between what a person typed at the mirror and the file that was to bring the same."""
    schedule = Schedule("update", "file", seed=15196, workers=2, troubled=3, apart=True, people=True)
    assert carry_out(schedule).wrong == []
    check = Truth.check

    def unasked(truth: Truth, *found: Any) -> None:
        home = truth.world.l
        home.log[-2:] = [replace(e, by="connector") for e in home.log[-2:]]
        check(truth, *found)

    with mock.patch.object(Truth, "check", unasked):
        assert "lost update" in {kind for kind, _ in carry_out(schedule).wrong}, "home was changed by nobody"


def test_what_a_person_applies_by_hand_is_their_entry_and_stands() -> None:
    """They take a credit off an invoice and put it on again: the last of both is what has to be there."""
    story = "credit", "unique_number"
    first = next(p.number for p in undisturbed(*story).points if "undo" in p.deeds)
    points = carry_out(Schedule(*story, ((first, "undo"),)), deeds=True).points
    again = next(p.number for p in points if p.number > first and "same" in p.deeds)
    schedule = Schedule(*story, ((first, "undo"), (again, "same")))
    outcome = carry_out(schedule)
    assert (outcome.wrong, outcome.struck.total()) == ([], 2)
    check = Truth.check

    def taken_off(truth: Truth, *found: Any) -> None:
        truth.world.r.edit(Entity.CREDIT_MEMO, "CRM-1", applications=())
        truth.world.l.edit(Entity.CREDIT_MEMO, "CRM-1", applications=())
        check(truth, *found)

    with mock.patch.object(Truth, "check", taken_off):
        assert "lost update" in {kind for kind, _ in carry_out(schedule).wrong}


@pytest.mark.parametrize("entity", [0, 1], ids=["customer", "invoice"])
def test_a_change_that_a_list_did_not_show_is_named_and_carried_by_the_next_full_read(entity: int) -> None:
    pulls = [p.number for p in undisturbed("update", "unique_number").points if p.where == "left.pull.before"]
    schedule = Schedule("update", "unique_number", ((pulls[entity], "stale_list"),))
    named: set[str] = set()
    run = World.quiet_run

    def noted(world: World, *, sweep: bool) -> Any:
        report = run(world, sweep=sweep)
        named.update(d.code for d in report.discrepancies)
        return report

    with mock.patch.object(World, "quiet_run", noted):
        assert carry_out(schedule).wrong == []
    assert named == {"MISSED_CHANGE"}
    with mock.patch.object(World, "quiet_run", lambda world, **_: run(world)):
        assert {kind for kind, _ in carry_out(schedule).wrong} == {"silent", "confluence"}


def test_a_list_that_went_back_is_named_until_it_has_been_read_as_it_was() -> None:
    pulls = [p.number for p in undisturbed("credit", "file").points if p.where == "left.pull.before"]
    outcome = carry_out(Schedule("credit", "file", ((pulls[6], "stale_list"),)))
    assert (outcome.wrong, outcome.codes, outcome.runs) == ([], {}, 3), "named, gone, and nothing more"


def test_what_a_run_named_as_missed_is_looked_for_again_before_all_is_quiet() -> None:
    """The run of the day was one of those in trouble: none of the others reads everything by itself."""
    outcome = carry_out(Schedule("void", "searchable_marker", seed=3277, workers=3, troubled=3))
    assert (outcome.wrong, set(outcome.codes)) == ([], {"VOID_VS_OPEN"})


@pytest.mark.parametrize(
    ("story", "action", "limit"),
    [("update", "update.after=undo", SET_BACK), ("pay", "create.after=delete", DELETED_UNSEEN)],
)
def test_what_a_person_takes_back_is_a_loss_unless_nobody_could_know_of_the_write(
    story: str, action: str, limit: str
) -> None:
    """Where neither versions nor keys are kept and the answer was lost it is a limit, counted; else it is listed."""
    where, _, deed = action.partition("=")
    for target, fault, met in (
        ("searchable_marker", "+lose_response", {limit: 1}),
        ("searchable_marker", "", {}),
        ("idempotency_key", "+lose_response", {}),
    ):
        point = max(p.number for p in undisturbed(story, target).points if p.kind == where)
        outcome = carry_out(Schedule(story, target, ((point, deed + fault),)))
        assert (outcome.wrong, dict(outcome.met), bool(outcome.codes)) == ([], met, not met), str(outcome.schedule)


def test_what_a_file_was_loaded_over_is_demanded_where_an_export_showed_it() -> None:
    points = undisturbed("update", "file").points
    second = [p.number for p in points if p.where == "left.company.before"][1]
    last = max(p.number for p in points if p.kind == "commit.after" and p.number < second)
    typed = Schedule("update", "file", ((last, "person"),))
    seen = replace(typed, gaps=(20,))  # the second run reads before the file is loaded
    for schedule, named in ((typed, 0), (seen, 1)):
        outcome = carry_out(schedule)
        assert (outcome.wrong, outcome.codes["EDIT_OVERWRITTEN"]) == ([], named)
    with mock.patch.object(settle, "lost", lambda *_: []):
        assert {kind for kind, _ in carry_out(seen).wrong} == {"lost update"}


def test_few_jobs_are_of_every_kind_story_and_target_and_the_next_go_on_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suites, "PLACES", list(FEW))
    kinds = ("singles", "later", "pairs", "random")
    found = list(itertools.islice(suites.jobs(kinds, {}), 16))
    assert [job.kind for job in found] == [*kinds] * 4
    assert {(s.story, s.target) for job in found[::4] for s in job.schedules} == set(FEW)
    kinds_of = [(s.story, s.target, *_struck(s)) for _, s in suites.in_order()]
    every = len(set(kinds_of))
    assert len(set(kinds_of[:every])) == every, "each boundary of each once, before any is struck again"
    assert [s.seed for job in found[3::4] for s in job.schedules] == list(range(1, 81)), "none is left out"
    marks = {job.kind: job.mark for job in found[:8]}
    assert list(itertools.islice(suites.jobs(kinds, marks), 8)) == found[8:]
    every = suites.seconds(found[2].schedules[0])
    some = suites.some_of(every)
    assert (len(every) > 300, len(some), len({at[-1] for at in (s.at for s in some)})) == (True, 20, 20)
    assert suites.some_of(every) == some


def test_what_came_later_is_counted_as_not_run_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own mark: where the other singles go on says nothing of it, and their order is as it was."""
    monkeypatch.setattr(suites, "PLACES", [*FEW, ("not_arrived", "searchable_marker")])
    first, later = suites.in_order(), suites.in_order(suites.later_ones)
    assert {_struck(s)[1] for _, s in first} == {a for actions in ACTIONS.values() for a in actions}
    assert {s.story for _, s in later} == {s.story for _, s in first} | {"not_arrived"}
    assert not {s for _, s in first} & {s for _, s in later}
    part = Part("c0ffee", "run")
    part.take({"kind": "singles", "mark": first[-1][0], "of": 0, "results": []})
    half = added({}, part, seconds=60)
    assert half["singles_in_all"] == len(first) + len(later)
    assert half["share_of_singles_run"] == f"{len(first) / (len(first) + len(later)):.2%}"
    part.take({"kind": "later", "mark": later[-1][0], "of": 0, "results": []})
    assert added(half, part, seconds=60)["share_of_singles_run"] == "100.00%"


def test_a_second_round_runs_all_singles_once_more_and_is_counted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "PLACES", [*FEW, ("not_arrived", "searchable_marker")])
    both = [*suites.in_order(), *suites.in_order(suites.later_ones)]
    again = list(suites.every_again())
    assert sorted(str(s) for job in again for s in job.schedules) == sorted(str(s) for _, s in both)
    part = Part("c0ffee", "run")
    part.take({"kind": "again", "mark": again[-1].mark, "of": 0, "results": [{"wrong": [], "struck": {}, "met": {}}]})
    figures = added({}, part, seconds=60)
    assert (figures["singles"], figures["share_of_singles_run"]) == (1, "0.00%")
    assert figures["share_of_singles_run_a_second_time"] == "100.00%"


def test_every_kind_of_fault_is_followed_by_every_kind_that_can_come_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "PLACES", [("create", "unique_number"), ("void", "unique_number")])
    jobs = list(suites.every_kind())
    for job in jobs:
        assert len({_struck(s) for s in job.schedules}) == 1, "each job is one kind of fault"
    kinds = {_struck(s) for place in suites.PLACES for s in (*suites.singles(*place), *suites.deeds(*place))}
    assert {_struck(job.schedules[0]) for job in jobs} == kinds
    assert [job.mark for job in suites.every_kind(jobs[9].mark)] == [job.mark for job in jobs[10:]]
    crashes = [Schedule(*place, ((100, "crash"),)) for place in suites.PLACES]
    followed = suites.one_of_each(crashes)
    points = {s: carry_out(s).points for s in followed[::60]}
    assert all(points[s][n - 1].action == action for s in points for n, action in s.at), "both of them strike"
    assert len(followed) > 100 and {s.story for s in followed} == {"create", "void"}
    part = Part("c0ffee", "run")
    part.take({"kind": "pairwise", "mark": jobs[9].mark, "of": 0, "results": [{"wrong": [], "struck": {}, "met": {}}]})
    figures = added({}, part, seconds=60)
    assert (figures["pairs"], figures["ordered_pairs_of_kinds_tried"], figures["first_faults_tried"]) == (1, 1, 0)
    assert figures["kinds_followed_by_every_kind_that_can_come_after"] == 10
    assert figures["kinds_of_fault_in_small_stories"] == len(jobs)


def test_what_a_failure_prints_is_what_is_carried_out_again() -> None:
    some = [suites.seeded(n) for n in range(1, 13)]
    assert len({s.people for s in some}) == 2
    some += [
        Schedule("pay", "file", ((17, "crash"), (40, "locked")), gaps=(20, 900)),
        Schedule("void", "unique_number"),
    ]
    assert [spelled(str(one)) for one in some] == some


def _struck(single: Schedule) -> tuple[str, str]:
    [(number, action)] = single.at
    return undisturbed(single.story, single.target).points[number - 1].where, action


def test_figures_of_several_runs_add_up_and_say_what_each_ran_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "PLACES", list(FEW))
    one = {"wrong": [("silent", "L-1")], "words": "replay six\n  silent: L-1"}
    one |= {"struck": {("clock", "forward"): 2}, "met": {OVER_TYPED: 1}}
    found = {"kind": "pairs", "mark": "40000000", "of": 300, "results": [one, one | {"wrong": []}]}
    part = Part("c0ffee", "run")
    part.take(found)
    once = added({}, part, seconds=60)
    later = Part("decade", "run more")
    order = [at for at, _ in suites.in_order()]
    half = order[len(order) // 2 - 1]
    later.take(found | {"kind": "singles", "mark": half, "of": 0})
    twice = added(json.loads(json.dumps(once)), later, seconds=60)
    assert (once["schedules"], twice["schedules"], twice["pairs"], twice["singles"]) == (2, 4, 2, 2)
    assert (twice["silent_differences"], twice["failed"], twice["duplicates"]) == (2, 2, 0)
    assert twice["seeds_of_failures"] == [
        {"seed": "replay six", "commit": c, "holds_on": ""} for c in ("c0ffee", "decade")
    ]
    run = f"{len(order) // 2 / (len(order) + len(suites.in_order(suites.later_ones))):.2%}"
    assert (twice["share_of_singles_run"], twice["pairs_after_those"]) == (run, 300)
    assert twice["goes_on_after"] == {"pairs": "40000000", "singles": half}
    assert twice["struck"] == {"clock.forward": 8}
    none = dict.fromkeys((SET_BACK, DELETED_UNSEEN, LOADED_OVER), 0)
    assert twice["schedules_that_met_a_limit"] == none | {OVER_TYPED: 4}
    assert [run["schedules"] for run in twice["runs"]] == [2, 2]
    assert [(run["commit"], run["command"]) for run in twice["runs"]] == [("c0ffee", "run"), ("decade", "run more")]


def test_a_worker_that_is_not_fenced_is_seen() -> None:
    points = undisturbed("create", "searchable_marker").points
    at = next(p.number for p in points if p.kind == "create.before")
    schedule = Schedule("create", "searchable_marker", ((at, "pause"),))
    assert carry_out(schedule).wrong == []
    with mock.patch.object(Tx, "fence", lambda _self, _lease: None):
        assert "fencing" in {kind for kind, _ in carry_out(schedule).wrong}


def _at_right(world: World) -> str:
    return str(world.r.all(Entity.INVOICE)[0].ref.id)


def _sql(text: str) -> Callable[[World], Any]:
    return lambda world: world.database.outside.execute(text)


# What somebody does behind the checks once both books are at rest, and what they have to say of it.
TAMPERED: dict[str, Callable[[World], Any]] = {
    "doubled": lambda w: w.r.log.append(next(e for e in w.r.log if e.by == "connector" and e.op == "create")),
    "lost": lambda w: w.r.void(Entity.INVOICE, _at_right(w)),
    "cents": lambda w: w.r.put(invoice("CUS-1", "7.77", number="Z-1")),
    "silent": lambda w: w.r.edit(Entity.INVOICE, _at_right(w), memo="otherwise"),
    "lost update": lambda w: w.truth.edits.append(("right", Entity.INVOICE, _at_right(w), "memo", "by hand")),
    "frame": lambda w: w.l.rows(Entity.CUSTOMER)[0].extra.pop("colour"),
    "money": _sql("UPDATE intent SET delta_micros = delta_micros + 10000 WHERE entity = 'invoice'"),
    "unsettled": _sql("UPDATE intent SET state = 'unknown' WHERE op = 'update' AND entity = 'invoice'"),
    "audit": _sql("UPDATE audit_event SET action = 'otherwise' WHERE seq = 3"),
    "phantom": lambda w: w.truth.phantoms(Counter(FIELD_DIFF=1)),
    "transaction": lambda w: (setattr(w.store, "within", True), w.truth.called(None)),
    "fencing": lambda w: w.truth.committed(mock.Mock(epoch=0)),
}


@pytest.mark.parametrize("voided", ["the double", "what is linked"])
def test_a_double_that_a_person_voids_again_is_no_loss_and_hides_none(voided: str) -> None:
    undisturbed("update", "unique_number")
    check = Truth.check

    def entered_twice(truth: Truth, *found: Any) -> None:
        home = truth.world.l
        [first] = home.all(Entity.INVOICE)
        again = home.put(first)
        home.void(Entity.INVOICE, {"the double": again, "what is linked": first}[voided].ref.id)
        check(truth, *found)

    with mock.patch.object(Truth, "check", entered_twice):
        wrong = {kind for kind, _ in carry_out(Schedule("update", "unique_number")).wrong}
    assert ("lost" in wrong) == (voided == "what is linked")


@pytest.mark.parametrize("kind", TAMPERED)
def test_each_check_sees_what_it_is_for(kind: str) -> None:
    undisturbed("update", "unique_number")
    check = Truth.check

    def tampered(truth: Truth, *found: Any) -> None:
        TAMPERED[kind](truth.world)
        check(truth, *found)

    with mock.patch.object(Truth, "check", tampered):
        assert kind in {kind for kind, _ in carry_out(Schedule("update", "unique_number")).wrong}
