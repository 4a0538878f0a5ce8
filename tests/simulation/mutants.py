"""Deliberate defects of the product, each of which a schedule or a property test must notice.

A mutant replaces a piece of the text of one function, wherever it is called from. If the piece is not there once, the
product has moved on: planting it raises, so that no mutant passes for killed or for alive unseen.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.contract.memory_harness import MemoryHarness
from tests.simulation.schedule import Schedule, carry_out, undisturbed
from tieout.testing import violations

_SLIPS = (NameError, TypeError, AttributeError)


@dataclass(frozen=True)
class Change:
    """of: `module:function` or `module:Class.function` · old, new: a piece of its text, and what stands there instead"""

    of: str
    old: str
    new: str


@dataclass(frozen=True)
class Killer:
    """A test or a schedule. `run` raises, or says what is wrong; "" if it notices nothing."""

    name: str
    run: Callable[[], str]
    prepare: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Mutant:
    name: str
    breaks: str
    changes: tuple[Change, ...]
    killers: tuple[Killer, ...]


class SlipError(Exception):
    """What a mutant planted cannot run at all: that it is noticed says nothing."""


class NoPlaceError(Exception):
    """The text that a mutant changes is not in the product any more."""


def original(of: str) -> Any:
    module, path = of.split(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return inspect.unwrap(found)


@contextlib.contextmanager
def planted(*changes: Change) -> Iterator[None]:
    """The product with these changes. Raises NoPlaceError if one of them finds no place."""
    with contextlib.ExitStack() as stack:
        for of in dict.fromkeys(change.of for change in changes):
            stack.enter_context(_planted(of, [c for c in changes if c.of == of]))
        yield


@contextlib.contextmanager
def _planted(of: str, changes: list[Change]) -> Iterator[None]:
    function = original(of)
    body = textwrap.dedent(inspect.getsource(function))
    for change in changes:
        if body.count(change.old) != 1:
            raise NoPlaceError(f"{of} holds {body.count(change.old)} times {change.old!r}: plant the mutant anew")
        body = body.replace(change.old, change.new)
    # Decorators are done already; only the code of the function itself is replaced.
    body = body[body.index("def ") :]
    made: dict[str, Any] = {}
    exec(compile(f"from __future__ import annotations\n{body}", of, "exec"), function.__globals__, made)
    kept, function.__code__ = function.__code__, made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = kept


# ── what notices them ────────────────────────────────────────────────────────────────────────────────────────────────


def at(
    story: str,
    target: str,
    *actions: str,
    gaps: tuple[int, ...] = (),
    troubled: int = 2,
    workers: int = 2,
    apart: bool = False,
) -> Killer:
    """A schedule in which each action, `where=action` or `where#nth=action`, strikes at a point after the one before."""
    return Killer(
        f"{story}/{target} {' '.join(actions)}",
        partial(_scheduled, Schedule(story, target, (), 0, workers, troubled, gaps, apart), actions),
        partial(undisturbed, story, target),
    )


def _scheduled(schedule: Schedule, actions: tuple[str, ...]) -> str:
    outcome = carry_out(schedule, scripted=lambda _: script(actions), memo=False)
    return "; ".join(f"{kind}: {words}" for kind, words in outcome.wrong)


def asleep(story: str, target: str, before: str) -> Killer:
    """A worker sleeps after the commit that lets a write leave, until two others have looked for it one after the other."""

    def run() -> str:
        points = undisturbed(story, target).points
        first = next(p.number for p in points if p.where == before)
        number = max(p.number for p in points if p.where == "commit.after" and p.number < first)
        then = script(("right.search.after=go", "commit.after=pause"))

        def decide(at: int, where: str) -> str:
            return "pause" if at == number else then(at, where) if at > number else "go"

        outcome = carry_out(Schedule(story, target, workers=3, troubled=3), scripted=lambda _: decide, memo=False)
        return "; ".join(f"{kind}: {words}" for kind, words in outcome.wrong)

    name = f"{story}/{target} commit.after=pause before {before}, and after right.search.after"
    return Killer(name, run, partial(undisturbed, story, target))


def script(actions: tuple[str, ...]) -> Callable[[int, str], str]:
    """Decides by what is passed, one action after the other."""
    left = list(actions)
    seen = 0

    def decide(_number: int, where: str) -> str:
        nonlocal seen
        if not left:
            return "go"
        place, action = left[0].split("=")
        place, _, nth = place.partition("#")
        if where != place:
            return "go"
        seen += 1
        if seen < int(nth or 1):
            return "go"
        left.pop(0)
        seen = 0
        return action

    return decide


def test(path: str, name: str, *args: Any) -> Killer:
    """A test that needs no fixture but a folder."""

    def run() -> str:
        of = getattr(importlib.import_module(path), name)
        if "tmp_path" in inspect.signature(of).parameters:
            with tempfile.TemporaryDirectory() as folder:
                of(Path(folder), *args)
        else:
            of(*args)
        return ""

    return Killer(f"{path.replace('.', '/')}.py::{name}" + (f"[{'-'.join(map(str, args))}]" if args else ""), run)


def contract(profile: str) -> Killer:
    """The contract of connectors, for defects of the reference connector."""
    return Killer(
        f"tieout.testing, {profile}", lambda: ", ".join(sorted(dict(violations(lambda: MemoryHarness(profile)))))
    )


def law(name: str) -> Killer:
    def run() -> str:
        plan = importlib.import_module("tests.property.test_plan")
        getattr(plan, name)(importlib.import_module("tieout.sync.plan").make)
        return ""

    return Killer(f"tests/property/test_plan.py::{name}", run)


def noticed(mutant: Mutant) -> str:
    """What killed it: the name of the schedule or test and what it said; "" if it lives.

    Every killer holds without the mutant; `test_mutants` sees to that.
    """
    for killer in mutant.killers:
        killer.prepare()
    with planted(*mutant.changes):
        for killer in mutant.killers:
            said = outcome(killer, {change.of for change in mutant.changes})
            if said:
                return f"{killer.name}: {said}"
    return ""


def outcome(killer: Killer, within: Collection[str] = ()) -> str:
    """What a killer says, "" if it notices nothing. Raises SlipError where what is planted `within` a function cannot run."""
    with slips(within) as found:
        try:
            said = killer.run()
        except (Exception, pytest.fail.Exception) as error:
            said = f"{type(error).__name__}: {error}"
    if found:
        raise SlipError(found[0])
    return said


@contextlib.contextmanager
def slips(within: Collection[str]) -> Iterator[list[str]]:
    """What slips while this lasts in what is planted: any program breaks of that. One that the product catches, too."""
    found: list[str] = []

    def look(frame: FrameType, event: str, told: Any) -> Any:
        # Raised in the frame itself, and not by what it calls.
        if event == "exception" and issubclass(told[0], _SLIPS) and told[2].tb_next is None:
            found.append(f"{frame.f_code.co_filename}: {told[0].__name__}: {told[1]}")
        return look

    def called(frame: FrameType, _event: str, _told: Any) -> Any:
        return look if frame.f_code.co_filename in within else None

    before = sys.gettrace()
    if within:
        sys.settrace(called)
        threading.settrace(called)
    try:
        yield found
    finally:
        sys.settrace(before)
        threading.settrace(None)  # type: ignore[arg-type]


# ── the defects of the test plan ─────────────────────────────────────────────────────────────────────────────────────

_APPLY, _SETTLE, _FETCH, _STORE = (
    f"tieout.sync.{name}:" for name in ("apply", "writing.settle", "inputs.fetch", "store")
)
_SENT = "written = _write(target.connector, intent, record, before)"
_RACED = "test_an_edit_between_a_create_and_its_read_back_is_not_overwritten"
_CLOCK = "test_what_may_still_land_is_not_made_again_by_a_clock_that_is_off"
_ROW = "work.store.rows(sa.select(schema.intent.c.send_by).where(schema.intent.c.id == intent['id']))[0]['send_by']"

MUTANTS = (
    Mutant(
        "new key per attempt",
        "a repeated write is another one to the target",
        (
            Change(
                "tieout.sync.core.operations:key_for",
                "str(generation), op, of)",
                "str(generation), op, of, __import__('uuid').uuid4().hex)",
            ),
        ),
        (law("law_of_keys"), at("create", "idempotency_key", "right.create.after=lose_response")),
    ),
    Mutant(
        "no write-ahead row",
        "a write leaves before its intent is durable",
        (
            Change(
                _APPLY + "send",
                "    permit = work.monotonic() + PERMIT_SECONDS\n",
                "    early = _write(target.connector, intent, record, before)\n    permit = work.monotonic() + PERMIT_SECONDS\n",
            ),
            Change(_APPLY + "send", _SENT, "written = early"),
        ),
        (at("create", "searchable_marker"),),
    ),
    Mutant(
        "link before verify",
        "what was answered is linked without being read back",
        (
            Change(
                "tieout.sync.writing.confirm:confirm",
                "now = target.connector.get(entity, native)\n        if unfinished",
                "now = Observation(entity, native, {}, from_json(entity, loads(intent['request'])), None)\n        if unfinished",
            ),
        ),
        (
            test(
                "tests.scenarios.test_pains_writing",
                "test_a_replayed_answer_that_names_a_deleted_document_is_not_believed",
            ),
        ),
    ),
    Mutant(
        "blind retry on timeout",
        "what was not answered is sent again at once",
        (
            Change(
                _APPLY + "send",
                _SENT,
                "try:\n            written = _write(target.connector, intent, record, before)\n        except UnknownOutcome:\n            written = _write(target.connector, intent, record, before)",
            ),
        ),
        (at("create", "searchable_marker", "right.create.after#2=lose_response"),),
    ),
    Mutant(
        "read-back without quiescence",
        "what may still land is looked for too early",
        (
            Change(
                _SETTLE + "too_early",
                "if work.store.clock() >= settled_at:",
                "if work.store.clock() >= instant(intent['send_by']) - timedelta(seconds=60):",
            ),
        ),
        (at("create", "searchable_marker", "right.create.before#2=late", gaps=(5, 5), troubled=3),),
    ),
    Mutant(
        "quiescence from row time",
        "the wait counts from when the intent was stored, not from when it was sent last",
        (Change(_SETTLE + "too_early", "waited_from(intent)", 'instant(intent["created_at"])'),),
        (
            at(
                "create",
                "searchable_marker",
                "right.create.before#2=throttle",
                "right.create.before=late",
                gaps=(900, 5, 5),
                troubled=4,
            ),
        ),
    ),
    Mutant(
        "looked for once",
        "what a clock that is off looks for too early is sent again",
        (Change(_SETTLE + "looked_twice", 'if intent["error_class"] == IN_VAIN:', "if True:"),),
        (test("tests.scenarios.test_pains_writing", _CLOCK, "who looks is ahead"),),
    ),
    Mutant(
        "entered by hand taken for ours",
        "a document that somebody entered counts as the write that was lost",
        (Change(_SETTLE + "settle_create", "if by_hand(intent, target, native):", "if False:"),),
        (at("pay", "unique_number", "right.create.before=same+lose_request"),),
    ),
    Mutant(
        "set back unseen",
        "a change that somebody set back while its answer was lost is made again",
        (Change(_SETTLE + "settle_change", "if _touched(work, intent, (before, now), target):", "if False:"),),
        (at("update", "idempotency_key", "right.update.after=undo+lose_response"),),
    ),
    Mutant(
        "edit taken for agreed",
        "what somebody entered before the read-back counts as agreed, and is written over when home changes it",
        (
            Change(
                "tieout.sync.core.taken:taken",
                "Taken(read | {n: left[n] for n in edited}, edited",
                "Taken(read, edited",
            ),
        ),
        (test("tests.scenarios.test_gap", _RACED, "unique_number", "ours"),),
    ),
    Mutant(
        "one name for the drafts of all",
        "a run that slept takes a draft that another one is writing for its own",
        (Change("tieout.connectors.tabular.outbox:Outbox._publish", "secrets.token_hex(4)", "'draft'"),),
        (
            test(
                "tests.unit.connectors.test_outbox",
                "test_a_run_that_dies_over_the_drafts_of_one_that_sleeps_leaves_no_half_a_memory",
                4,
                1,
            ),
        ),
    ),
    Mutant(
        "permit re-read from row",
        "a worker that slept takes the permit of the one that took over for its own",
        (
            Change(
                _APPLY + "send",
                "if work.monotonic() > permit:",
                f"if work.store.clock() > __import__('tieout.sync.store', fromlist=['instant']).instant({_ROW}):",
            ),
        ),
        (asleep("batch", "searchable_marker", "right.create.before"),),
    ),
    Mutant(
        "no lease",
        "two runs of a pair are at work at the same time",
        (
            Change(
                _STORE + "Store.take",
                'if held["owner"] is not None and held["expires_at"] > now and not is_gone(held["worker"]):',
                "if False:",
            ),
            Change(
                _STORE + "Tx.fence", "if row is None or row.epoch != epoch or row.owner != lease.owner:", "if False:"
            ),
        ),
        (at("create", "searchable_marker", "right.create.before=pause"),),
    ),
    Mutant(
        "lease without epoch check",
        "a worker that lost its lease goes on writing",
        (
            Change(
                _STORE + "Tx.fence", "if row is None or row.epoch != epoch or row.owner != lease.owner:", "if False:"
            ),
        ),
        (at("create", "searchable_marker", "right.create.before=pause"),),
    ),
    Mutant(
        "cursor from end time",
        "what changes while a list is read is never read",
        (
            Change(
                "tieout.connectors.memory:MemoryConnector._observations",
                "pull.cursor = start.isoformat()",
                "pull.cursor = self.books.now().isoformat()",
            ),
        ),
        (contract("idempotency_key"),),
    ),
    Mutant(
        "strict >",
        "what changed in the second of the cursor is never read",
        (Change("tieout.connectors.memory:MemoryConnector._in_scope", ">= since", "> since"),),
        (
            at("update", "idempotency_key", "right.pull.after#2=person"),
            at("pay", "idempotency_key", "right.pull.after#2=person"),
        ),
    ),
    Mutant(
        "status committed at end of run",
        "while a write is under way its intent does not say so",
        (Change(_APPLY + "intend", '"state": "sending"', '"state": "ready"'),),
        (at("create", "searchable_marker"),),
    ),
    Mutant(
        "absence = delete",
        "what one list lacks counts as deleted",
        (
            Change(
                _FETCH + "_absences",
                "        for id in missing:\n            _ask(reading, id)",
                "        reading.gone.extend(missing)",
            ),
            Change(_FETCH + "_absences", "if not pull.complete:", "if False:"),
        ),
        (at("update", "searchable_marker", "right.pull.before#2=short_list"),),
    ),
    Mutant(
        "no completeness check",
        "a list that is not proved whole moves the cursor",
        (
            Change(
                _FETCH + "fetch",
                "    _refuse_older(store, connector, entity, pull)\n",
                "    pull.complete = True\n    _refuse_older(store, connector, entity, pull)\n",
            ),
        ),
        (at("create", "idempotency_key", "left.pull.before#2=short_list"),),
    ),
    Mutant(
        "base not per side",
        "one side's facts are taken for what both agreed on",
        (
            Change(
                "tieout.sync.plan:_Merge.moved",
                "_strayed(right, name)",
                "(right.facts or {})[name] != (left.base or {}).get(name)",
            ),
        ),
        (law("law_of_one_field"),),
    ),
    Mutant(
        "no pre-check",
        "what carries our mark already is made again by a state that does not know it",
        (Change("tieout.sync.inputs.links:by_marker", "                if found:\n", "                if False:\n"),),
        (test("tests.scenarios.test_control", "test_a_restored_backup_is_noticed_said_and_doubles_nothing"),),
    ),
    Mutant(
        "batch replay",
        "what was handed over in a file is handed over again",
        (
            Change(
                "tieout.connectors.tabular.outbox:Outbox.emit",
                "twice = sorted({i.key for i in items} & handed)",
                "twice: list[str] = []",
            ),
        ),
        (test("tests.unit.connectors.test_outbox", "test_a_key_is_never_handed_over_twice"),),
    ),
    Mutant(
        "hand-over forgotten",
        "what a run that died handed over counts as never sent",
        (Change(_SETTLE + "_left", "return keys & ", "return frozenset() and "),),
        (at("update", "file", "right.flush.after=crash", "commit.after=home", gaps=(900,)),),
    ),
    Mutant(
        "trust CDC tombstone",
        "what a feed says is deleted counts as deleted",
        (
            Change(
                _FETCH + "_confirm_tombstones",
                "            _ask(reading, id)\n",
                "            reading.gone.append(id)\n",
            ),
        ),
        (at("update", "searchable_marker", "right.pull.before#2=tombstone_lie"),),
    ),
    Mutant(
        "trust replayed create answer",
        "an answer for a record that was deleted meanwhile is believed",
        (
            Change(
                "tieout.sync.writing.confirm:confirm",
                '    except NotFoundError:\n        work.stuck(intent, f"created_then_missing: {native} was answered, but is not there")\n        return\n',
                "    except NotFoundError:\n        work.end(intent, 'done', 'done', '', native_id=native)\n        return\n",
            ),
        ),
        (
            test(
                "tests.scenarios.test_pains_writing",
                "test_a_replayed_answer_that_names_a_deleted_document_is_not_believed",
            ),
        ),
    ),
    Mutant(
        "lease by any clock",
        "a lease from a clock that was ahead locks all others out until then",
        (Change("tieout.sync.store:Store.take", 'ahead = held["expires_at"] > until', "pass"),),
        (at("create", "unique_number", "clock=forward", "commit.after=crash", troubled=1, apart=True),),
    ),
    Mutant(
        "newest wins",
        "of two changes of a field one is overwritten",
        (Change("tieout.sync.plan:decide", "return Verdict.CONFLICT", "return Verdict.WRITE_RIGHT"),),
        (law("law_of_one_field"),),
    ),
    Mutant(
        "float money",
        "amounts pass through a binary fraction",
        (Change("tieout.model:micros", "return int(scaled)", "return int(float(amount) * 1e6)"),),
        (at("pay", "unique_number"), at("batch", "unique_number")),
    ),
    Mutant(
        "merge without sum check",
        "merged applications exceed what a payment has",
        (Change("tieout.sync.plan:_capacity", ") -> Decimal | None:\n", ") -> Decimal | None:\n    return None\n"),),
        (law("law_of_applications"),),
    ),
    Mutant(
        "no config epoch",
        "a plan of another configuration is carried out unseen",
        (Change("tieout.sync.guard:_config", "if not changed or not operations:", "if True:"),),
        (test("tests.property.test_plan", "test_guards_name_what_they_hold_and_no_more"),),
    ),
    Mutant(
        "duplicate audit off",
        "a second record under our mark counts as a new one of the other books",
        (
            Change(
                "tieout.sync.inputs.permits:Permits._marked",
                "if subjects - {subject}:",
                "if False:",
            ),
        ),
        (
            test(
                "tests.scenarios.test_pains_identity", "test_a_copy_of_what_tieout_wrote_is_named_and_not_carried_back"
            ),
        ),
    ),
)
