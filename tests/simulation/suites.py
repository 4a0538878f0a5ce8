"""Which schedules there are: one fault at every point, two faults over the small stories, many at random."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.boundaries import ACTIONS, Point
from tests.simulation.schedule import Schedule, carry_out, undisturbed
from tests.simulation.stories import SMALL, STORIES

FEW = (
    ("create", "searchable_marker"),
    ("update", "idempotency_key"),
    ("void", "unique_number"),
    ("file_out", "file"),
)
PLACES = [(story.name, target) for story in STORIES.values() for target in story.targets]


def singles(story: str, target: str) -> Iterator[Schedule]:
    """Every action at every point of a story."""
    for point in undisturbed(story, target).points:
        for action in ACTIONS[point.kind]:
            yield Schedule(story, target, ((point.number, action),))


def pairs(story: str, target: str, *, of: tuple[str, ...] = ()) -> Iterator[Schedule]:
    """Every action at every point that comes after a first one, whatever that led to. of: kinds, all if empty."""
    for first in singles(story, target):
        [(number, action)] = first.at
        after = carry_out(first).points[number:]
        for point in after:
            if of and point.kind not in of:
                continue
            for second in ACTIONS[point.kind]:
                yield Schedule(story, target, ((number, action), (point.number, second)))


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
