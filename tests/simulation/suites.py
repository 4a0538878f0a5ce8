"""Which schedules there are: one fault at every point, two in the small stories, any number by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.boundaries import ACTIONS, Point
from tests.simulation.schedule import Schedule, carry_out, undisturbed
from tests.simulation.stories import SMALL, STORIES

FEW = (
    ("create", "searchable_marker"),
    ("update", "idempotency_key"),
    ("void", "unique_number"),
    ("file_out", "file"),
)
SECONDS = 20  # that are tried after one first fault
PLACES = [(story.name, target) for story in STORIES.values() for target in story.targets]


def singles(story: str, target: str) -> Iterator[Schedule]:
    """Every action at every point of a story."""
    for point in undisturbed(story, target).points:
        for action in ACTIONS[point.kind]:
            yield Schedule(story, target, ((point.number, action),))


def every_single() -> Iterator[Schedule]:
    """The singles of all stories, mixed: the first hundred of them are of any story, target and point."""
    found = [one for place in PLACES for one in singles(*place)]
    random.Random("singles").shuffle(found)
    yield from found


def any_pair() -> Iterator[Schedule]:
    """Of every first fault in a small story, mixed, a few of the second ones that may come after what it led to."""
    dice = random.Random("pairs")
    firsts = [one for place in small() for one in singles(*place)]
    dice.shuffle(firsts)
    for first in firsts:
        [(number, _)] = first.at
        after = carry_out(first).points[number:]
        seconds = [(point.number, action) for point in after for action in ACTIONS[point.kind]]
        for second in dice.sample(seconds, min(SECONDS, len(seconds))):
            yield replace(first, at=(*first.at, second))


def in_turn(parts: list[Iterator[Schedule]]) -> Iterator[Schedule]:
    """One of each in turn, as long as any of them has more."""
    while parts:
        for part in list(parts):
            one = next(part, None)
            if one is None:
                parts.remove(part)
            else:
                yield one


def at_random(first: int, count: int) -> Iterator[Schedule]:
    """Schedules by seed: each a story, a target, two or three workers, and three runs in trouble."""
    for seed in range(first, first + count):
        story, target = PLACES[seed % len(PLACES)]
        gaps = (20, 20, 20) if seed % 3 == 0 else ()
        yield Schedule(story, target, seed=seed, workers=2 + seed % 2, troubled=3, gaps=gaps)


def covering() -> Iterator[Schedule]:
    """A few schedules in which every action strikes at every boundary once, over a few of the stories and targets."""
    passed = {place: undisturbed(*place).points for place in FEW}
    search = _until_search()
    wanted = [(kind, action) for kind, actions in ACTIONS.items() for action in actions]
    for n, (kind, action) in enumerate(wanted):
        if kind.startswith("search."):
            lost, points = search
            [number] = [p.number for p in points if p.kind == kind][:1]
            yield Schedule("create", "searchable_marker", (lost, (number, action)))
            continue
        fits = [(place, p) for place in FEW for p in passed[place] if p.kind == kind]
        places = sorted({place for place, _ in fits})
        chosen = places[n % len(places)]
        points = [p for place, p in fits if place == chosen]
        yield Schedule(*chosen, ((points[n % len(points)].number, action),))


def _until_search() -> tuple[tuple[int, str], list[Point]]:
    """A target is searched only for what is not known: the answer to a create was lost. That, and the points then."""
    for point in undisturbed("create", "searchable_marker").points:
        if point.kind == "create.before":
            first = (point.number, "lose_request")
            return first, carry_out(Schedule("create", "searchable_marker", (first,))).points
    raise AssertionError("nothing is created")


def small() -> list[tuple[str, str]]:
    return [(s, t) for s, t in PLACES if s in SMALL]
