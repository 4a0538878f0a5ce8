"""People work in both books while runs come and go, and fail: whatever happened, the books tie out afterwards.

After every step the invariants of `office` hold. At the end the office stabilises: faults end, nights pass, a person
lets plans go. Then every divergence is listed, the listed differences lead from one ledger to the other to the cent,
nothing exists twice, and one more run does nothing.

What must be reached is dealt or set out, never found by luck: `test_every_row_of_the_table` leads a document into each
of them, `test_a_quarter_of_work` deals what people do, what is configured and what goes wrong like cards. Hypothesis
looks for the rest.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.deep import DEEP
from tests.property.office import (
    LEFT,
    NIGHT,
    OPERATIONS,
    OTHER,
    OWNERS,
    RIGHT,
    TABLE,
    THERE,
    D,
    Office,
    rows_noted,
)
from tests.scenarios.world import DAY, credit_memo, customer, invoice, payment, write_off
from tieout.connectors.memory import FaultKind
from tieout.model import Entity

SIDES = (LEFT, RIGHT)
TARGETS = ("idempotency_key", "unique_number", "searchable_marker", "file")
ACTS = [
    (what, side)
    for side in SIDES
    for what in (
        *("customer", "invoice", "pay 0.5", "pay 1", "credit", "write-off", "merge", "reuse", "twice", "spoil"),
        *("apply payment", "apply credit_memo", "unapply payment", "unapply credit_memo"),
        *("edit memo", "edit total", *(f"edit {name}" for name in OWNERS)),
        *(f"{how} {of}" for how in ("void", "delete", "restore") for of in ("invoice", "payment", "credit_memo")),
        *(f"decide {answer}" for answer in ("accept", "reopen", "retry", "recreate", "acknowledge", "release")),
    )
]
FAULTS = [
    *((kind, "write") for kind in FaultKind if kind.value in (
        "not_sent", "lose_request", "lose_response", "late", "throttle", "signed_out", "crash_before", "crash_after")),
    *((kind, "pull") for kind in FaultKind if kind.value in (
        "truncate", "short_list", "empty", "bad_record", "tombstone_lie", "stale_list", "crash_after")),
    (FaultKind.LOSE_REQUEST, "get"),
]  # fmt: skip
CONFIGURED = (
    *("owners", "owners born", "memo compare", "memo two_way", "memo left", "flows none", "flows both", "renamed"),
    *("attended", "unattended", "narrow", "wide", "cutover", "no cutover", "closed", "open", "adjustments"),
    *("mode observe", "mode link", "mode propose", "mode auto"),
)


def _begin(target: str, **kw: Any) -> Office:
    office = Office(target, **kw)
    for side in SIDES:
        office.put(side, customer(f"{side} born"))
        office.new_invoice(side, 0)
    return office


# ── whatever order ───────────────────────────────────────────────────────────────────────────────────────────────────


class TwoBooks(RuleBasedStateMachine):
    @initialize(at=st.sampled_from(TARGETS), auto=st.booleans())
    def begin(self, at: str, auto: bool) -> None:
        self.office = _begin(at, right_rules={"auto_apply_credits": auto})

    @rule(act=st.sampled_from(ACTS), pick=st.integers(0, 10_000))
    def somebody_does(self, act: tuple[str, str], pick: int) -> None:
        self.office.do(act, pick)

    @rule(what=st.sampled_from(CONFIGURED))
    def somebody_configures(self, what: str) -> None:
        self.office.configure(what)

    @rule(
        seed=st.integers(0, 2**32),
        fault=st.none() | st.sampled_from(FAULTS),
        side=st.sampled_from(SIDES),
        nth=st.integers(1, 3),
        tick=st.sampled_from([1, 400, 90_000]),
        acts=st.integers(0, 9),
    )
    def a_day(
        self, seed: int, fault: tuple[FaultKind, str] | None, side: str, nth: int, tick: float, acts: int
    ) -> None:
        """Several of what people do and a run, so that it finds more than one thing changed since the last."""
        dice = random.Random(seed)
        for act in dice.sample(ACTS, acts):
            self.office.do(act, dice.randrange(10_000))
        self.office.once(tick, fault, side, nth)

    @rule()
    def the_erp_loads(self) -> None:
        if self.office.file:
            self.office.load()

    @rule()
    def lose_the_state(self) -> None:
        if self.office.cents % 5 == 0 and not self.office.file:
            self.office.lose_the_state()

    @invariant()
    def all_holds(self) -> None:
        if hasattr(self, "office"):
            self.office.check()

    def teardown(self) -> None:
        if hasattr(self, "office"):
            self.office.stabilise()


def test_people_and_runs_in_any_order() -> None:
    run_state_machine_as_test(
        TwoBooks,
        settings=settings(
            max_examples=400 if DEEP else 3,
            stateful_step_count=12 if DEEP else 5,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if DEEP else [Phase.generate],
        ),
    )


# ── dealt ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _dealt(cards: Sequence[Any], dice: random.Random) -> Iterator[Any]:
    """Each card once before any comes again."""
    while True:
        yield from dice.sample(cards, len(cards))


Spoiled = tuple[FaultKind, str] | None


def _quarter(
    target: str, dice: random.Random, acts: Iterator[Any], days: Sequence[tuple[Spoiled, Sequence[str]]]
) -> Any:
    """Days of six acts each. days: what goes wrong with the run of each, and what is configured before it."""
    office = _begin(target, right_rules={"auto_apply_credits": True})
    office.once(400)
    for n, (fault, configured) in enumerate(days):
        for _ in range(6):
            office.do(next(acts), 3 * dice.randrange(3_000) + 1)  # of what both hold, where there is any
            office.check()
        for what in configured:
            office.configure(what)
        reads = fault is not None and fault[1] == "pull"
        if reads and not office.lost and not office.file:
            office.lose_the_state()  # nothing is written in the run after it
        # What fails is a write that is due: to a file ERP none is sent.
        side = LEFT if office.file else dice.choice(SIDES)
        if fault is not None and not reads:
            office.do(("customer", OTHER[side]), n)
            office.new_invoice(OTHER[side], n)
            office.do(("edit memo", OTHER[side]), 1)
        office.once(400, fault, side)
        office.check()
        if office.file and n % 3:
            office.load()
    office.stabilise()
    return office


def _days(dice: random.Random) -> list[tuple[Spoiled, Sequence[str]]]:
    """Writes that fail, then reads that fail while runs are configured otherwise; in `make deep`, all at once.

    A run that is configured otherwise may have nothing to write, and reads whatever is configured.
    """
    wrong, configured = _dealt(FAULTS, dice), _dealt(CONFIGURED, dice)
    if DEEP:
        return [(next(wrong), [next(configured)] if n % 2 else []) for n in range(200)]
    faults = sorted((next(wrong) for _ in FAULTS), key=lambda f: f[1] == "pull")
    each = -(-len(CONFIGURED) // sum(op == "pull" for _, op in faults))
    return [(fault, [next(configured) for _ in range(each)] if fault[1] == "pull" else []) for fault in faults]


def test_a_quarter_of_work() -> None:
    """What people do, what is configured, what goes wrong with a run: each at least once."""
    dice, reached = random.Random(5), Counter[str]()
    acts, days = _dealt(ACTS, dice), _days(dice)
    for n, target in enumerate(TARGETS):
        reached += _quarter(target, dice, acts, days[n :: len(TARGETS)]).reached
    assert {what for what, _ in ACTS} - set(reached) == set()
    assert {f"{kind.value} of {op}" for kind, op in FAULTS} - set(reached) == set()
    assert {"state lost", *(f"configured: {what}" for what in CONFIGURED)} - set(reached) == set()


# ── set out ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _owned_fields(office: Office) -> Iterator[None]:
    """Customers that lead each owned field through each row: `quiet`, both edited alike, one, the other, both apart."""
    office.configure("owners")
    moves = {"quiet": "", "alike": "=", "here": "l", "there": "r", "apart": "lr"}
    for name in moves:
        office.put(LEFT, customer(f"left {name}", **dict.fromkeys(OWNERS, "as it was")))
    for side in SIDES:
        office.put(side, customer("never agreed", **{name: f"as in {side}" for name in OWNERS if name != "tax_id"}))
    yield
    for name, moved in moves.items():
        for side in SIDES:
            if side[0] in moved or moved == "=":
                who = office.named(side, Entity.CUSTOMER, f"left {name}")
                value = "alike" if moved == "=" else f"new in {side}"
                office.books(side).edit(Entity.CUSTOMER, who, **dict.fromkeys(OWNERS, value))
    yield


_ENDS = {
    # what happens at the origin, at the mirror; then, after a run, at the origin
    "a1": ("void", "", ""),
    "a2": ("", "void", ""),
    "a3": ("void", "void", ""),
    "a4": ("delete", "", "restore"),
    "a5": ("", "delete", ""),
    "a6": ("delete", "delete", "restore"),
    "a7": ("void", "delete", ""),
    "a8": ("delete", "void", ""),
    "a9": ("void", "edit", "restore"),
}
_ALONE = {"b1": "", "b2": "void", "b3": "delete"}


def _ends(office: Office) -> Iterator[None]:
    """Invoices that end here, there or on both sides, and come back; and some that the other side never had."""
    for side in SIDES:
        who = office.named(side, Entity.CUSTOMER, f"{side} born")
        for name in _ENDS:
            office.put(side, invoice(who, office.amount(), number=f"{side[0]}{name}"))
    yield
    for side in SIDES:
        for name, (here, there, _) in _ENDS.items():
            for where, how in ((side, here), (OTHER[side], there)):
                _do(office, where, Entity.INVOICE, f"{side[0]}{name}", how)
    office.configure("flows none")
    for side in SIDES:
        who = office.named(side, Entity.CUSTOMER, f"{side} born")
        for name in _ALONE:
            office.put(side, invoice(who, office.amount(), number=f"{side[0]}{name}"))
    yield
    for side in SIDES:
        for name, how in _ALONE.items():
            _do(office, side, Entity.INVOICE, f"{side[0]}{name}", how)
        for name, (*_, later) in _ENDS.items():
            _do(office, side, Entity.INVOICE, f"{side[0]}{name}", later)
    yield
    office.configure("flows both")
    yield


def _do(office: Office, side: str, entity: Entity, name: str, how: str) -> None:
    books = office.books(side)
    rows = {s.record.number: s.record.ref.id for s in books.rows(entity)}
    match how:
        case "void":
            books.void(entity, rows[name], DAY)
        case "delete":
            books.delete(entity, rows[name])
        case "restore":
            books.restore(entity, rows[name])
        case "edit":
            books.edit(entity, rows[name], memo="changed meanwhile")


def _operations(office: Office) -> Iterator[None]:
    """Each kind of record, born on either side: made, changed, applied and voided on the other."""
    ids: dict[str, dict[str, str]] = {}
    for side in SIDES:
        who = office.put(side, customer(f"{side} works")).ref.id
        n = side[0]
        inv = office.put(side, invoice(who, "100.00", number=f"{n}100")).ref.id
        pay = office.put(side, payment(who, "30.00", reference=f"{n}30")).ref.id
        memo = office.put(side, credit_memo(who, "20.00", number=f"{n}20")).ref.id
        extra = office.put(side, invoice(who, "11.00", number=f"{n}11")).ref.id
        ids[side] = {"customer": who, "invoice": inv, "payment": pay, "credit_memo": memo, "extra": extra}
    yield
    office.set(flows={Entity.ADJUSTMENT: "both"})
    for side, one in ids.items():
        books = office.books(side)
        books.apply(one["payment"], one["invoice"], D("30.00"), DAY)
        books.apply(one["credit_memo"], one["invoice"], D("20.00"), DAY)
        books.edit(Entity.INVOICE, one["extra"], memo="another note")
        books.edit(Entity.CUSTOMER, one["customer"], name=f"{side} works on")
        office.put(side, write_off(one["customer"], "1.00", one["extra"]))
    office.quicker = (RIGHT, "po_number")
    yield
    for side, one in ids.items():
        for entity in (Entity.PAYMENT, Entity.CREDIT_MEMO):
            office.books(side).edit(entity, one[entity.value], memo="another note")
    yield
    for side, one in ids.items():
        for entity in (Entity.PAYMENT, Entity.CREDIT_MEMO):
            office.books(side).void(entity, one[entity.value], DAY)
        office.books(side).void(Entity.INVOICE, one["extra"], DAY)
    yield


def test_every_row_of_the_table() -> None:
    """Every row, every way in which a record is there or not, and every operation: the whole, for each target."""
    for target in TARGETS[: len(TARGETS) if DEEP else 1]:
        with rows_noted() as seen:
            office, nights = _begin(target), 4 if target == "file" else 2
            parts = [_operations(office), _owned_fields(office), _ends(office)]
            while parts:
                parts = [part for part in parts if next(part, "end") is None]
                for _ in range(nights if parts else 1):
                    office.load()
                    office.once(NIGHT)
                    office.check()
            office.stabilise()
        assert TABLE - set(seen) == set()
        assert THERE - set(seen) == set()
        assert OPERATIONS - set(office.reached) == set()
