"""Which schedules there are: one fault at every point, two in the small stories, any number by seed.

Two faults in the small stories are millions of schedules. Of them `pairwise` has every kind of fault after every other
kind once, and `pairs` any number of the rest.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from tests.simulation.boundaries import ACTIONS, DEEDS_AT, EVERY, GO, Decide, kind_of
from tests.simulation.schedule import Outcome, Schedule, World, carry_out, undisturbed
from tests.simulation.stories import LATER, SMALL, STORIES

FEW = (
    ("create", "searchable_marker"),
    ("update", "idempotency_key"),
    ("void", "unique_number"),
    ("file_out", "file"),
)
FURTHER = 23  # points between two faults of the few
# Where people do by hand what a run does, a payment and a credit come up, too.
OF_PEOPLE = (*FEW, ("pay", "unique_number"), ("credit", "searchable_marker"))
MOST = 80  # schedules, in which the few strike with everything
CHUNK = 20  # schedules that are one job
SECONDS = 20  # that are tried after one first fault
PLACES = [(story.name, target) for story in STORIES.values() for target in story.targets]


def singles(story: str, target: str) -> Iterator[Schedule]:
    """Every action at every point of a story."""
    for point in undisturbed(story, target).points:
        for action in ACTIONS[point.kind]:
            yield Schedule(story, target, ((point.number, action),))


def deeds(story: str, target: str) -> Iterator[Schedule]:
    """Everything that people could do besides, at every point of a story."""
    for point in undisturbed(story, target).points:
        for action in point.deeds:
            yield Schedule(story, target, ((point.number, action),))


def first_ones(story: str, target: str) -> Iterator[Schedule]:
    """The singles that there were from the beginning: their order, and where they go on, stays."""
    return iter(()) if story in LATER else singles(story, target)


def later_ones(story: str, target: str) -> Iterator[Schedule]:
    """Those that came later: what people do besides, and stories."""
    if story in LATER:
        yield from singles(story, target)
    yield from deeds(story, target)


def all_ones(story: str, target: str) -> Iterator[Schedule]:
    """Every single there is: for a second round, on later code than the first one."""
    yield from singles(story, target)
    yield from deeds(story, target)


@dataclass(frozen=True)
class Job:
    """Some schedules of a kind; of two faults the first one, since the second one may come wherever that leads to.

    mark: where to go on after it, as text: a seed, or the place of a schedule in the order of its kind
    """

    kind: str
    mark: str
    schedules: tuple[Schedule, ...]


def place_of(schedule: Schedule) -> str:
    """Where a schedule comes in an order that mixes stories, targets and points."""
    return hashlib.sha256(str(schedule).encode()).hexdigest()[:8]


def in_order(of: Callable[[str, str], Iterator[Schedule]] = first_ones) -> list[tuple[str, Schedule]]:
    """All single faults, each with its place: first one of each story, target, boundary and action, then a second one."""
    kinds: dict[tuple[str, ...], list[tuple[str, Schedule]]] = {}
    for place in PLACES:
        points = undisturbed(*place).points
        for one in of(*place):
            [(number, action)] = one.at
            kinds.setdefault((*place, points[number - 1].where, action), []).append((place_of(one), one))
    return sorted((f"{n:04x}{at}", one) for found in kinds.values() for n, (at, one) in enumerate(sorted(found)))


def jobs(kinds: Iterable[str], after: Mapping[str, str]) -> Iterator[Job]:
    """The jobs of all kinds, one of each in turn as long as any has more; each kind after the mark that is given for it."""
    made = {
        "singles": every_single,
        "later": every_later,
        "again": every_again,
        "pairwise": every_kind,
        "pairs": any_pair,
        "random": at_random,
    }
    parts = [made[kind](after.get(kind, "")) for kind in kinds]
    while parts:
        for part in list(parts):
            if (one := next(part, None)) is None:
                parts.remove(part)
            else:
                yield one


def every_single(after: str = "") -> Iterator[Job]:
    """One fault, at every point of every story; at every boundary of each once before any of them is struck again."""
    return _chunks("singles", in_order(), after)


def every_later(after: str = "") -> Iterator[Job]:
    """The singles that came later, in the same kind of order, with a mark of their own."""
    return _chunks("later", in_order(later_ones), after)


def every_again(after: str = "") -> Iterator[Job]:
    """All singles a second time, in the same kind of order, with a mark of their own."""
    return _chunks("again", in_order(all_ones), after)


def _chunks(kind: str, order: list[tuple[str, Schedule]], after: str) -> Iterator[Job]:
    rest = [(at, s) for at, s in order if at > after]
    for n in range(0, len(rest), CHUNK):
        some = rest[n : n + CHUNK]
        yield Job(kind, some[-1][0], tuple(s for _, s in some))


def any_pair(after: str = "") -> Iterator[Job]:
    """Of every first fault in a small story, mixed, a few of the second ones that may come after what it led to."""
    for at, first in firsts():
        if at > after:
            yield Job("pairs", at, (first,))


def firsts() -> list[tuple[str, Schedule]]:
    """First faults in small stories, each with its place; what people do besides comes after all others."""
    faults = [(place_of(s), s) for place in small() for s in singles(*place)]
    return sorted([*faults, *(("p" + place_of(s), s) for place in small() for s in deeds(*place))])


def every_kind(after: str = "") -> Iterator[Job]:
    """Pairwise: every kind of fault in the small stories, to be followed by every other kind once."""
    for at, examples in first_kinds():
        if at > after:
            yield Job("pairwise", at, examples)


def first_kinds() -> list[tuple[str, tuple[Schedule, ...]]]:
    """Kinds of fault (a boundary of one side, an action) in small stories, mixed: each with its place and some examples.

    Of each story and target that has the kind, the earliest, since most comes after it, and one of the others.
    """
    found: dict[tuple[str, str], dict[Schedule, None]] = {}
    for place in small():
        points = undisturbed(*place).points
        here: dict[tuple[str, str], list[Schedule]] = {}
        for one in itertools.chain(singles(*place), deeds(*place)):
            [(number, action)] = one.at
            here.setdefault((points[number - 1].where, action), []).append(one)
        for kind, some in here.items():
            earliest = min(some, key=lambda one: one.at)
            found.setdefault(kind, {}).update(dict.fromkeys((earliest, min(some, key=place_of))))
    return sorted(
        (hashlib.sha256(".".join(kind).encode()).hexdigest()[:8], tuple(some)) for kind, some in found.items()
    )


def at_random(after: str = "") -> Iterator[Job]:
    """Schedules by seed, without end: each a story, a target, two or three workers, and three runs in trouble."""
    for first in itertools.count(int(after or 0) + 1, CHUNK):
        yield Job("random", str(first + CHUNK - 1), tuple(map(seeded, range(first, first + CHUNK))))


def seeded(seed: int) -> Schedule:
    story, target = PLACES[seed % len(PLACES)]
    gaps = (20, 20, 20) if seed % 3 == 0 else ()
    workers, apart, people = 2 + seed % 2, seed % 4 == 0, seed % 5 == 1
    return Schedule(story, target, seed=seed, workers=workers, troubled=3, gaps=gaps, apart=apart, people=people)


def seconds(first: Schedule) -> list[Schedule]:
    """Every schedule in which a second fault comes after this first one."""
    return [both for _, both in _followed(first)]


def one_of_each(examples: Iterable[Schedule]) -> list[Schedule]:
    """Of every kind of fault that may come after one of these, one schedule."""
    found: dict[tuple[str, str], list[Schedule]] = {}
    for first in examples:
        for kind, both in _followed(first):
            found.setdefault(kind, []).append(both)
    return [min(some, key=place_of) for some in found.values()]


def _followed(first: Schedule) -> Iterator[tuple[tuple[str, str], Schedule]]:
    [(number, _)] = first.at
    for p in carry_out(first, deeds=True).points[number:]:
        for action in (*ACTIONS[p.kind], *p.deeds):
            yield (p.where, action), replace(first, at=(*first.at, (p.number, action)))


def some_of(every: list[Schedule]) -> list[Schedule]:
    return random.Random(str(every[:1])).sample(every, min(SECONDS, len(every)))


def covering() -> Iterator[Outcome]:
    """A few schedules in which every action strikes at every boundary once, several in each; what people do besides, once.

    Those of people come in schedules of their own: where somebody edits, less is known of how it has to end.
    """
    everything = [(kind, action) for kind, actions in EVERY.items() for action in actions]
    for few, of_people in ((FEW, False), (OF_PEOPLE, True)):
        wanted = {one for one in everything if _of_people(*one) == of_people}
        for n in range(MOST):
            if not wanted:
                break
            place = few[n % len(few)]
            passed = undisturbed(*place).passed
            if not any(kind in passed or _lead(kind) in passed for kind, _ in wanted):
                continue
            how = {"first": FURTHER * (n // len(few) % 5), "further": 60 if of_people else FURTHER}

            def decides(world: World, how: Mapping[str, int] = how, wanted: set[tuple[str, str]] = wanted) -> Decide:
                return Greedy(wanted, world, **how).decide

            yield carry_out(Schedule(*place, troubled=3), scripted=decides)
        else:
            raise AssertionError(f"never struck: {sorted(wanted)}")


def _of_people(kind: str, action: str) -> bool:
    return action in ("person", "home") or action in DEEDS_AT.get(kind, ())


# A target is searched only for what is not known, and a draft is taken away only if its run died: what leads to that.
LEADS = {"search": ("create.before", "lose_request"), "disk.remove": ("disk.write.after", "crash")}


def _lead(kind: str) -> str:
    return LEADS.get(kind.rpartition(".")[0], ("",))[0]


@dataclass
class Greedy:
    """Strikes with what is still wanted as soon as it can, some points apart; what struck is not wanted any more."""

    wanted: set[tuple[str, str]]
    world: World
    first: int
    further: int = FURTHER
    led: bool = False

    def decide(self, number: int, where: str) -> str:
        kind = kind_of(where)
        if number < self.first:
            return GO
        fits = sorted(action for of, action in self.wanted if of == kind and self._can(kind, action))
        if fits:
            self.first = number + self.further
            done = {(kind, fits[0])}
            if fits[0] in DEEDS_AT.get(kind, ()):
                done = {one for one in self.wanted if one[1] == fits[0]}
            self.wanted.difference_update(done)
            return fits[0]
        for of, (at, action) in LEADS.items():
            if at == kind and not self.led and any(kind.startswith(of) for kind, _ in self.wanted):
                self.led = True
                return action
        return GO

    def _can(self, kind: str, action: str) -> bool:
        return action not in DEEDS_AT.get(kind, ()) or self.world.could(action.partition("+")[0])


def small() -> list[tuple[str, str]]:
    return [(s, t) for s, t in PLACES if s in SMALL]
