"""One fault at every call of a reference run: whatever fails, nothing is doubled and nothing is lost.

`make test` shows every pair of target, kind of fault and call, `make deep` all of them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from tests.deep import combined
from tests.scenarios.world import World, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.errors import TieoutError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.sync.store import open_store

D = Decimal
WRITES = (
    FaultKind.NOT_SENT,
    FaultKind.LOSE_REQUEST,
    FaultKind.LOSE_RESPONSE,
    FaultKind.LATE,
    FaultKind.THROTTLE,
    FaultKind.SIGNED_OUT,
    FaultKind.CRASH_BEFORE,
    FaultKind.CRASH_AFTER,
)
READS = (FaultKind.LOSE_REQUEST, FaultKind.THROTTLE, FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER)
TARGETS = ("idempotency_key", "unique_number", "searchable_marker")


def books(target: str) -> World:
    world = World(right=target)
    ada = world.l.put(customer("Ada Ltd"))
    one = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.l.put(payment(ada.ref.id, "60.00", on=((one.ref.id, "60.00"),), reference="chk 7"))
    return world


def run(world: World) -> None:
    """A run as the scheduler sees it: it may die, or fail, and the next one starts over."""
    with contextlib.suppress(SimulatedCrash, TieoutError):
        world.run(tick=900)


def check(world: World) -> None:
    effects = Counter((e.entity, e.marker) for e in world.r.log if e.op == "create" and e.by == "connector")
    assert max(effects.values()) == 1, f"doubled: {effects}"
    assert world.counts(Entity.CUSTOMER) == world.counts(Entity.INVOICE) == world.counts(Entity.PAYMENT) == (1, 1)
    assert world.r.receivables(date(2026, 12, 31)) == {"USD": D("40.00")}
    [mirror] = world.r.all(Entity.INVOICE)
    assert world.r.open(Entity.INVOICE, mirror.ref.id) == D("40.00")
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert report.discrepancies == []
    assert (world.l.fingerprint(), world.r.fingerprint()) == before
    assert log_breaks(world.store) == []


@pytest.mark.parametrize(("nth", "kind", "target"), combined((1, 2, 3), WRITES, TARGETS))
def test_a_write_that_fails_is_settled_once(target: str, kind: FaultKind, nth: int) -> None:
    world = books(target)
    world.fail("right", Fault(kind, op="write", nth=nth))
    for _ in range(5):
        run(world)
    check(world)


@pytest.mark.parametrize(("nth", "kind", "target"), combined((1, 2, 3), READS, TARGETS))
def test_a_read_that_fails_loses_nothing(target: str, kind: FaultKind, nth: int) -> None:
    world = books(target)
    for op in ("get", "pull"):
        world.right.faults.arm(Fault(kind, op=op, nth=nth))
    for _ in range(5):
        run(world)
    check(world)


def test_every_fault_struck(subtests: pytest.Subtests) -> None:
    for kind in WRITES:
        world = books("idempotency_key")
        world.fail("right", Fault(kind, op="write", nth=2))
        run(world)
        with subtests.test(kind=kind):
            assert [f.kind for f in world.right.faults.struck] == [kind]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("kind", [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER])
def test_a_new_process_on_the_same_file_goes_on(tmp_path, kind: FaultKind, nth: int) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    world = books("searchable_marker")
    world.store = open_store(url, clock=world.clock)
    world.fail("right", Fault(kind, op="write", nth=nth))
    with contextlib.suppress(SimulatedCrash):
        world.run(tick=900)
    world.store.close()
    world.store = open_store(url, clock=world.clock)
    world.settle()
    check(world)


@pytest.mark.parametrize("target", TARGETS)
def test_a_lost_state_database_is_rebuilt_without_doubling(target: str) -> None:
    world = books(target)
    world.run()
    world.store = open_store("sqlite://", clock=world.clock)
    world.settle()
    assert world.counts(Entity.INVOICE) == (1, 1)
    check(world)
