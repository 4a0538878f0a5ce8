"""A file that was handed over counts as handed over, whatever became of the run that did it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.world import World, customer, invoice
from tieout.connectors.memory import Fault, FaultKind, MemoryConnector, SimulatedCrash
from tieout.errors import LeaseHeldError
from tieout.model import Entity
from tieout.sync.engine import sync


def agreed() -> World:
    """A file ERP on the right that holds one invoice, with a memo that was changed at home since."""
    world = World(right="file")
    world.l.put(customer("Ada Ltd"))
    world.l.put(invoice("CUS-1", number="L-1", memo="first"))
    for _ in range(3):
        world.run()
        world.r.import_outbox()
    assert world.run().operations == []
    world.l.edit(Entity.INVOICE, "INV-1", memo="second")
    return world


def memos(world: World) -> tuple[Any, Any]:
    return tuple(books.all(Entity.INVOICE)[0].memo for books in (world.l, world.r))


@pytest.mark.parametrize("fails", [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER])
def test_what_is_taken_back_after_a_crash_at_the_hand_over_stays_taken_back(fails: FaultKind) -> None:
    world = agreed()
    world.fail("right", Fault(fails, op="flush"))
    with pytest.raises(SimulatedCrash):
        world.run()
    world.right.close()
    world.l.edit(Entity.INVOICE, "INV-1", memo="first")
    report = world.run(tick=900)
    for _ in range(3):
        world.r.import_outbox()
        report = world.run()
    assert memos(world) == ("first", "first")
    assert (report.operations, world.codes(report)) == ([], [])


def test_a_run_that_slept_before_its_hand_over_hands_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    world = agreed()
    update = MemoryConnector.update

    def sleepy(connector: MemoryConnector, *a: Any, **kw: Any) -> Any:
        monkeypatch.setattr(MemoryConnector, "update", update)
        written = update(connector, *a, **kw)
        world.l.edit(Entity.INVOICE, "INV-1", memo="third")
        world.clock.tick(600)
        other = MemoryConnector("right", world.r, capabilities=connector.capabilities, company_id="RIGHT")
        sync(world.store, {"left": world.left, "right": other}, world.pair, apply=True, heartbeat=False)
        return written

    monkeypatch.setattr(MemoryConnector, "update", sleepy)
    with pytest.raises(LeaseHeldError):
        world.run()
    for _ in range(3):
        world.r.import_outbox()
        world.run()
    assert memos(world) == ("third", "third")


def test_a_file_of_a_run_that_slept_while_handing_it_over_is_known_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    world = agreed()
    flush = MemoryConnector.flush

    def sleepy(connector: MemoryConnector, *, run: str) -> list[str]:
        monkeypatch.setattr(MemoryConnector, "flush", flush)
        world.l.edit(Entity.INVOICE, "INV-1", memo="first")
        world.clock.tick(600)
        other = MemoryConnector("right", world.r, capabilities=connector.capabilities, company_id="RIGHT")
        sync(world.store, {"left": world.left, "right": other}, world.pair, apply=True, heartbeat=False)
        return flush(connector, run=run)

    monkeypatch.setattr(MemoryConnector, "flush", sleepy)
    with pytest.raises(LeaseHeldError):
        world.run()
    for _ in range(3):
        world.r.import_outbox()
        report = world.run()
    assert memos(world) == ("first", "first")
    assert (report.operations, world.codes(report)) == ([], [])
