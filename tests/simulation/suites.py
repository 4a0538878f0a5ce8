"""Which schedules there are: one fault at every point, two in the small stories, any number by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.simulation.boundaries import ACTIONS, GO, kind_of
from tests.simulation.schedule import Outcome, Schedule, carry_out, undisturbed
from tests.simulation.stories import SMALL, STORIES

FEW = (
    ("create", "searchable_marker"),
    ("update", "idempotency_key"),
    ("void", "unique_number"),
    ("file_out", "file"),
)
FURTHER = 23  # points between two faults of the few
MOST = 80  # schedules, in which the few strike with everything
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
        yield Schedule(story, target, seed=seed, workers=2 + seed % 2, troubled=3, gaps=gaps, apart=seed % 4 == 0)


def covering() -> Iterator[Outcome]:
    """A few schedules in which every action strikes at every boundary once, several in each.

    Those of people come in schedules of their own: where somebody edits, less is known of how it has to end.
    """
    everything = [(kind, action) for kind, actions in ACTIONS.items() for action in actions]
    for of_people in (False, True):
        wanted = {one for one in everything if (one[1] in ("person", "home")) == of_people}
        for n in range(MOST):
            if not wanted:
                break
            place = FEW[n % len(FEW)]
            passed = undisturbed(*place).passed
            if not any(kind in passed or _lead(kind) in passed for kind, _ in wanted):
                continue
            greedy = Greedy(wanted, first=FURTHER * (n // len(FEW) % 5), further=60 if of_people else FURTHER)
            yield carry_out(Schedule(*place, troubled=3), scripted=greedy.decide)
        else:
            raise AssertionError(f"never struck: {sorted(wanted)}")


# A target is searched only for what is not known, and a draft is taken away only if its run died: what leads to that.
LEADS = {"search": ("create.before", "lose_request"), "disk.remove": ("disk.write.after", "crash")}


def _lead(kind: str) -> str:
    return LEADS.get(kind.rpartition(".")[0], ("",))[0]


@dataclass
class Greedy:
    """Strikes with what is still wanted as soon as it can, some points apart; what struck is not wanted any more."""

    wanted: set[tuple[str, str]]
    first: int
    further: int = FURTHER
    led: bool = False

    def decide(self, number: int, where: str) -> str:
        kind = kind_of(where)
        if number < self.first:
            return GO
        fits = sorted(action for of, action in self.wanted if of == kind)
        if fits:
            self.first = number + self.further
            self.wanted.discard((kind, fits[0]))
            return fits[0]
        for of, (at, action) in LEADS.items():
            if at == kind and not self.led and any(kind.startswith(of) for kind, _ in self.wanted):
                self.led = True
                return action
        return GO


def small() -> list[tuple[str, str]]:
    return [(s, t) for s, t in PLACES if s in SMALL]
