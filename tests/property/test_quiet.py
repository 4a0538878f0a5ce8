"""A run that leaves alone what is quiet says and does the same as one that looks at everything, whatever happened."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

import sqlalchemy as sa

from tests.deep import DEEP
from tests.property.office import Office
from tests.property.test_machine import ACTS
from tests.scenarios.world import DAY, World, customer
from tieout.compare import Rounding
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.errors import TieoutError
from tieout.model import Customer, Entity, Invoice, PostingState, effects
from tieout.sync import schema
from tieout.sync.core.facts import canonical
from tieout.sync.engine import sync
from tieout.sync.inputs.fetch import fetch
from tieout.sync.review import decisions, differences
from tieout.sync.state.book import load
from tieout.sync.store import Store, open_store
from tieout.sync.work import OPEN

REACHED: Counter[str] = Counter()
TURNS = cycle(["corrupt", "decide", "policy", "none", "customer", "owner", "decide", "cutover", "mend", "rounding"])
FAULTS = (FaultKind.LOSE_RESPONSE, FaultKind.LOSE_REQUEST, FaultKind.CRASH_AFTER)


def copied(world: World) -> Store:
    """Another state database with the same content."""
    copy = open_store("sqlite://", clock=world.clock)
    source, target = world.store.engine.raw_connection(), copy.engine.raw_connection()
    source.driver_connection.backup(target.driver_connection)
    source.close()
    target.close()
    return copy


def told(store: Store, report: Any) -> dict[str, Any]:
    """Everything that a run says and leaves behind, but for the run's own name and the plan's."""
    b, x = schema.base, schema.xref
    bases = store.rows(sa.select(b.c.subject, b.c.connection, b.c.facts, b.c.existence, b.c.version))
    links = store.rows(sa.select(x.c.connection, x.c.entity, x.c.native_id, x.c.subject, x.c.state))
    return {
        "plan": report.plan_hash,
        "operations": [o.as_json() | {"record": o.record} for o in report.operations],
        "discrepancies": report.discrepancies,
        "listed": differences.listed(store),
        "bases": sorted(map(canonical, bases)),
        "links": sorted(map(canonical, links)),
        "trips": report.trips,
        "rest": [report.changes, report.waiting, report.applied, report.exit_code, report.linked],
        "compared": report.comparison,
    }


def read(world: World) -> None:
    """Read both books into the state, and no more: so that new records have the same subject in every copy of it."""
    lease = world.store.take(["connection:left", "connection:right", "pair:books"])
    for connector in (world.left, world.right):
        connector.company()
        for entity in connector.capabilities.reads:
            fetch(world.store, lease, "read", connector, entity, sweep=False)
    world.store.release(lease)


def sums(world: World) -> None:
    """What is added up from the text of the state is what the records themselves give."""
    for name in ("left", "right"):
        book = load(world.store, name)
        documents = [one.record for one in book.live() if not isinstance(one.record, Customer | None)]
        assert sorted(map(repr, map(effects, book.moving()))) == sorted(map(repr, map(effects, documents)))
        room = {
            r.ref.id: r.total - r.deposit_applied
            for r in documents
            if isinstance(r, Invoice) and r.state is PostingState.POSTED
        }
        for r in documents:
            posted = r.state is PostingState.POSTED
            for a in getattr(r, "applications", ()) if posted else ():
                if a.reversed_on is None and a.invoice in room:
                    room[a.invoice] -= a.amount_invoice
        assert book.room() == room


def check(world: World, **asked: Any) -> None:
    """Run on two copies of the state; one of them does not know what is quiet."""
    read(world)
    sums(world)
    quick, whole = copied(world), copied(world)
    with whole.writing(None) as tx:
        tx.db.execute(schema.base.update().values(quiet_hash=None))
        tx.db.execute(schema.comparison.delete())
    quiet = quick.rows(sa.select(sa.func.count().label("n")).where(schema.base.c.quiet_hash.is_not(None)))[0]["n"]
    connectors = {"left": world.left, "right": world.right}
    results = []
    for store in (quick, whole):
        try:
            report = sync(store, connectors, world.pair, apply=False, heartbeat=False, **asked)
        except TieoutError as error:
            results.append({"error": type(error).__name__})
            continue
        results.append(told(store, report))
        made = {r["purpose"]: r["run"] for r in store.rows(sa.select(schema.comparison))}
        assert store is quick or made.get("list", report.run) == report.run, "it was to look at everything"
        settling = store.rows(sa.select(schema.intent.c.id).where(schema.intent.c.state.in_(OPEN)))
        if store is quick and not settling and quiet:
            REACHED["compared anew" if made["list"] == report.run else "comparison taken again"] += 1
        REACHED["open intents"] += bool(settling)
        REACHED.update(d.code for d in report.discrepancies)
        REACHED["planned beside quiet ones"] += store is quick and quiet > 0 and bool(report.operations)
    assert results[0] == results[1]
    REACHED["quiet"] += quiet > 0
    quick.close()
    whole.close()


class Days:
    """The people of the state machine, with more that they do between runs."""

    def start(self, dice: random.Random) -> None:
        strategy = dice.choice(["idempotency_key", "unique_number", "searchable_marker"])
        self.world = Office(strategy, linked_owner=dice.choice(["left", "right", "none"]))
        for side in ("left", "right"):
            self.world.put(side, customer(f"{side} born"))
            for n in range(3):
                self.world.new_invoice(side, n)

    def between(self, dice: random.Random) -> None:
        world, side = self.world, dice.choice(["left", "right"])
        what = next(TURNS)
        if what == "decide":
            listed = differences.listed(world.store)
            if listed:
                one, action = dice.choice(listed)["id"], dice.choice(decisions.DECISIONS)
                with contextlib.suppress(TieoutError):
                    decisions.decide(world.store, one, action=action, by="Grace", reason="seen", pair="books")
                    REACHED[action] += 1
        elif what == "policy":
            name = dice.choice(["memo", "due", "customer", "number"])
            owner = dice.choice(["ignore", "compare", "left", "right"])
            world.set(policy={(Entity.INVOICE, name): owner})
        elif what == "owner":
            world.set(linked_owner=dice.choice(["left", "right", "none"]))
        elif what == "cutover":
            world.set(cutover=dice.choice([None, DAY - timedelta(days=99), DAY + timedelta(days=5)]))
        elif what == "rounding":
            world.set(rounding=dice.choice([None, Rounding(Decimal("0.05"), Decimal("1.00"))]))
        elif what in ("corrupt", "mend"):
            entity = dice.choice([Entity.INVOICE, Entity.PAYMENT, Entity.CUSTOMER])
            one = self.world.some(side, entity, dice.randrange(10_000))
            if one is not None and what == "corrupt":
                self.world.books(side).corrupt(entity, one.ref.id)
            elif one is not None and entity is Entity.INVOICE:
                self.world.books(side).edit(entity, one.ref.id, memo="mended")
        elif what == "customer":
            one = self.world.some(side, Entity.CUSTOMER, dice.randrange(10_000))
            if one is not None:
                self.world.books(side).edit(Entity.CUSTOMER, one.ref.id, email=f"m{dice.randrange(99)}@example.com")
        REACHED[what] += 1

    def live(self, dice: random.Random, days: int) -> None:
        for _ in range(days):
            for _ in range(dice.randint(0, 3)):
                self.world.do(dice.choice(ACTS), dice.randrange(10_000))
            self.between(dice)
            day = dice.choice([None, None, DAY + timedelta(days=3)])
            check(self.world, **({"as_of": day} if day else {}))
            if dice.random() < 0.7:
                for side in ("left", "right"):
                    self.world.fail(side, Fault(dice.choice(FAULTS), op="write"))
            with contextlib.suppress(SimulatedCrash, TieoutError):
                self.world.run(tick=dice.choice([60, 400, 90_000]), apply=dice.random() < 0.9)
            # An open intent stays open, or a night without work follows: then everything is read and nothing happens.
            if dice.random() < 0.5:
                for side in ("left", "right"):
                    self.world.fail(side)
                for _ in range(3):
                    with contextlib.suppress(TieoutError):
                        self.world.run(tick=400)
                check(self.world)


def test_what_is_quiet_changes_no_plan_no_finding_and_no_list() -> None:
    REACHED.clear()
    for seed in range(300 if DEEP else 3):
        dice = random.Random(seed)
        days = Days()
        days.start(dice)
        try:
            days.live(dice, 4)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    wanted = {
        *("quiet", "comparison taken again", "compared anew", "planned beside quiet ones", "open intents"),
        *("decide", "policy", "owner", "cutover", "corrupt", "rounding", "PARSE_REJECT"),
    }
    assert all(REACHED[name] for name in wanted), REACHED
