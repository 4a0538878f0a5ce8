"""People work in both books while runs come and go, and fail: whatever happened, the books tie out afterwards.

After each example the machine stabilises: faults end, time passes, a few runs. Then every divergence is listed, the
listed differences lead from one ledger to the other to the cent, nothing exists twice, and one more run does nothing.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.deep import DEEP
from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.errors import TieoutError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, PostingState
from tieout.sync import differences
from tieout.sync.store import open_store

END = date(2030, 1, 1)
SIDES = st.sampled_from(["left", "right"])
PICK = st.integers(0, 10_000)
STRATEGIES = ("idempotency_key", "unique_number", "searchable_marker")
FAULTS_OF_A_RUN = [
    None,
    None,
    *(
        (kind, "write")
        for kind in FaultKind
        if kind.value in ("lose_request", "lose_response", "late", "throttle", "crash_before", "crash_after")
    ),
    (FaultKind.TRUNCATE, "pull"),
    (FaultKind.TOMBSTONE_LIE, "pull"),
    (FaultKind.EMPTY, "pull"),
]
FAULTS = st.sampled_from(FAULTS_OF_A_RUN)
ACTS = [
    (what, side)
    for side in ("left", "right")
    for what in (
        *("invoice", "pay", "credit", "apply payment", "apply credit", "unapply", "edit memo", "edit total"),
        *("void invoice", "void payment", "delete invoice", "delete payment"),
    )
]
REACHED: Counter[str] = Counter()


def _called(record: Any) -> str | None:
    """What people call a document in either book."""
    return getattr(record, "number", None) or getattr(record, "reference", None)


class TwoBooks(RuleBasedStateMachine):
    """Unique amounts make every effect attributable to the one entry that caused it."""

    @initialize(strategy=st.sampled_from(STRATEGIES))
    def begin(self, strategy: str) -> None:
        self.world = World(right=strategy)
        self.cents = 10_000
        for side in ("left", "right"):
            self.books(side).put(customer(f"Born {side}"))
            self.new_invoice(side, 0)

    def books(self, side: str) -> Any:
        return self.world.l if side == "left" else self.world.r

    def amount(self) -> str:
        self.cents += 101
        return str(Decimal(self.cents) / 100)

    def some(self, side: str, entity: Entity, pick: int) -> Any:
        live = [r for r in self.books(side).all(entity) if getattr(r, "state", None) in (PostingState.POSTED, None)]
        return live[pick % len(live)] if live else None

    def both_hold(self, side: str, entity: Entity, pick: int) -> Any:
        """Mostly one that was born on this side and is over there by now; any, where there is none."""
        over_there = {_called(r) for r in self.books("right" if side == "left" else "left").all(entity)}
        posted = [r for r in self.books(side).all(entity) if r.state is PostingState.POSTED]
        here = [r for r in posted if str(_called(r)).startswith(side[0]) and _called(r) in over_there]
        return here[pick % len(here)] if here and pick % 3 else self.some(side, entity, pick)

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────

    @rule(side=SIDES, pick=PICK)
    def new_customer(self, side: str, pick: int) -> None:
        self.books(side).put(customer(f"{side} {self.amount()}", parent=None))

    def new_invoice(self, side: str, pick: int) -> None:
        who = self.some(side, Entity.CUSTOMER, pick)
        amount = self.amount()
        self.books(side).put(
            invoice(who.ref.id, amount, number=f"{side[0]}{amount}", posted=DAY + timedelta(days=pick % 9))
        )

    def pay(self, side: str, pick: int, part: str) -> None:
        inv = self.some(side, Entity.INVOICE, pick)
        if inv is None:
            return
        open_ = self.books(side).open(Entity.INVOICE, inv.ref.id)
        applied = round(open_ * Decimal(part), 2)
        amount = self.amount()
        on = ((inv.ref.id, str(min(applied, Decimal(amount)))),) if applied > 0 else ()
        self.books(side).put(payment(inv.customer, amount, on=on, reference=f"{side[0]}p{amount}"))

    def credit(self, side: str, pick: int) -> None:
        who = self.some(side, Entity.CUSTOMER, pick)
        amount = self.amount()
        self.books(side).put(credit_memo(who.ref.id, amount, number=f"{side[0]}c{amount}"))

    def apply_more(self, side: str, pick: int, entity: Entity) -> None:
        money, books = self.both_hold(side, entity, pick), self.books(side)
        theirs = [i for i in books.all(Entity.INVOICE) if money is not None and i.customer == money.customer]
        theirs = [i for i in theirs if i.state is PostingState.POSTED]
        if not theirs:
            return
        inv = theirs[pick // 7 % len(theirs)]
        part = min(books.open(entity, money.ref.id), books.open(Entity.INVOICE, inv.ref.id))
        if part > 0:
            books.apply(money.ref.id, inv.ref.id, part, DAY)

    def unapply(self, side: str, pick: int) -> None:
        money = self.some(side, Entity.PAYMENT, pick)
        if money is not None and money.applications:
            self.books(side).unapply(money.ref.id, money.applications[0].invoice)

    def edit(self, side: str, pick: int, what: str) -> None:
        inv = self.both_hold(side, Entity.INVOICE, pick)
        if inv is None:
            return
        total = inv.total + Decimal("0.01")
        changes = {"memo": f"edited {total} {pick}"} if what == "memo" else {"total": total, "subtotal": total}
        self.books(side).edit(Entity.INVOICE, inv.ref.id, **changes)

    def void_or_delete(self, side: str, pick: int, entity: Entity, gone: bool) -> None:
        one = self.both_hold(side, entity, pick)
        if one is None:
            return
        if gone:
            self.books(side).delete(entity, one.ref.id)
        else:
            self.books(side).void(entity, one.ref.id, DAY)

    @rule(seed=st.integers(0, 2**32), fault=FAULTS, side=SIDES)
    def a_busy_day(self, seed: int, fault: tuple[FaultKind, str] | None, side: str) -> None:
        """Several of the above and a run, so that it finds more than one thing changed since the last."""
        dice = random.Random(seed)
        for act in dice.sample(ACTS, dice.randint(4, 9)):
            self.do(act, dice.randrange(10_000))
        self.run(fault, side, 1, 400)

    def do(self, act: tuple[str, str], pick: int) -> None:
        what, side = act
        match what:
            case "invoice":
                self.new_invoice(side, pick)
            case "pay":
                self.pay(side, pick, "0.5")
            case "credit":
                self.credit(side, pick)
            case "apply payment" | "apply credit":
                self.apply_more(side, pick, Entity.PAYMENT if what == "apply payment" else Entity.CREDIT_MEMO)
            case "unapply":
                self.unapply(side, pick)
            case "edit memo" | "edit total":
                self.edit(side, pick, what.removeprefix("edit "))
            case _:
                how, _, of = what.partition(" ")
                self.void_or_delete(side, pick, Entity(of), how == "delete")

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(fault=FAULTS, side=SIDES, nth=st.integers(1, 3), tick=st.sampled_from([1, 400, 90_000]))
    def a_run(self, fault: tuple[FaultKind, str] | None, side: str, nth: int, tick: int) -> None:
        self.run(fault, side, nth, tick)

    def run(self, fault: tuple[FaultKind, str] | None, side: str, nth: int, tick: int) -> None:
        faults = (self.world.left if side == "left" else self.world.right).faults
        if fault is not None:
            faults.arm(Fault(fault[0], op=fault[1], nth=nth))
        self.once(tick)
        REACHED.update(f.kind.value for f in faults.struck)
        faults.__init__()

    @rule()
    def lose_the_state(self) -> None:
        if self.cents % 5 == 0:
            self.world.store = open_store("sqlite://", clock=self.world.clock)
            REACHED["state lost"] += 1

    def once(self, tick: float) -> Any:
        with contextlib.suppress(SimulatedCrash, TieoutError):
            report = self.world.run(tick=tick)
            REACHED.update(w["operation"]["op"] for w in report.written)
            REACHED.update(d.code for d in report.discrepancies)
            return report
        REACHED["run failed"] += 1
        return None

    @invariant()
    def nothing_is_made_twice(self) -> None:
        if not hasattr(self, "world"):
            return
        for books in (self.world.l, self.world.r):
            made = Counter((e.entity, e.marker) for e in books.log if e.op == "create" and e.by == "connector")
            assert max(made.values(), default=1) == 1, made

    # ── stabilise ────────────────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for _ in range(4):
            self.once(90_000)
        before = self.world.l.fingerprint(), self.world.r.fingerprint()
        report = self.world.run(tick=900)
        assert (self.world.l.fingerprint(), self.world.r.fingerprint()) == before, "a last run still wrote"
        assert (report.changes.opened, report.changes.closed) == (0, 0)
        self.nothing_is_made_twice()
        self.every_cent_is_listed(report)
        self.every_divergence_is_listed(report)
        assert log_breaks(self.world.store) == []

    def every_cent_is_listed(self, report: Any) -> None:
        left, right = (b.receivables(END).get("USD", Decimal(0)) for b in (self.world.l, self.world.r))
        listed = sum((d.delta for d in report.discrepancies), Decimal(0))
        assert left + listed == right, (left, listed, right, [d.as_json() for d in report.discrepancies])
        assert report.comparison.as_json()["bridge"].get("USD", {"remainder": "0.00"})["remainder"] == "0.00"

    def every_divergence_is_listed(self, report: Any) -> None:
        """By ground truth: the same documents, by what no write of ours changes, or the difference is on the list."""
        named = {d["id"] for d in differences.listed(self.world.store)}
        assert named == {d.id for d in report.discrepancies}

        def what(books: Any) -> Counter[Any]:
            return Counter(
                (
                    e,
                    _called(r),
                    r.total if hasattr(r, "total") else r.amount,
                    r.state,
                    books.open(e, r.ref.id),
                )
                for e in (Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
                for r in books.all(e)
                if r.state is PostingState.POSTED
            )

        if what(self.world.l) != what(self.world.r):
            assert named, "the books differ and nothing is listed"


def _quarter(strategy: str, seed: int, faults: Sequence[tuple[FaultKind, str]]) -> None:
    """Days with six acts each, dealt so that each comes up before any does again; on every other day a fault."""
    books, dice = TwoBooks(), random.Random(seed)
    books.begin(strategy)
    books.run(None, "left", 1, 400)
    acts: list[tuple[str, str]] = []
    for day in range(2 * len(faults)):
        for _ in range(6):
            acts = acts or dice.sample(ACTS, len(ACTS))
            books.do(acts.pop(), 3 * dice.randrange(3_000) + 1)  # of what both hold, where there is any
        # A write is to be made on the side where it fails.
        fault, side = (faults[day // 2], dice.choice(["left", "right"])) if day % 2 else (None, "left")
        if fault is not None and fault[1] == "write":
            books.new_invoice("left" if side == "right" else "right", day)
        books.run(fault, side, 1, 400)
        books.nothing_is_made_twice()
    books.teardown()


def test_people_and_runs_in_any_order() -> None:
    run_state_machine_as_test(
        TwoBooks,
        settings=settings(
            max_examples=400 if DEEP else 5,
            stateful_step_count=12 if DEEP else 6,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if DEEP else [Phase.generate],
        ),
    )


def test_a_quarter_of_work_in_which_everything_happens() -> None:
    """What is reached here is dealt, not found: all that people do comes up, and all that goes wrong with a run."""
    REACHED.clear()
    faults = [f for f in FAULTS_OF_A_RUN if f is not None]
    for n, strategy in enumerate(STRATEGIES):
        _quarter(strategy, n, faults if DEEP else faults[n :: len(STRATEGIES)])
    assert {"create", "apply", "void", "update"} <= set(REACHED), REACHED
    assert {kind.value for kind, _ in faults} <= set(REACHED), REACHED
    assert {"DELETED_VS_OPEN", "APPLICATION_MISSING", "UNAPPLIED_CASH", "AMOUNT_NET"} & set(REACHED), REACHED
