"""What a run that may write still asks of people and of the next run."""

from __future__ import annotations

import pytest

from tests.scenarios.world import World, customer, invoice
from tieout.connectors.memory import Fault, FaultKind
from tieout.errors import RefusedError
from tieout.model import Entity
from tieout.sync import plans
from tieout.sync.facts import Codes


def test_a_line_without_an_item_waits_until_the_table_says_what_it_is() -> None:
    world = World(codes=Codes({"A": "B"}, None, None, None, None))
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    report = world.run()
    assert [o.entity for o in report.operations] == [Entity.CUSTOMER]
    [d] = [d for d in report.discrepancies if d.delta]
    assert d.code == "SYNC_BLOCKED"
    assert "codes.items" in d.cause
    world.set(codes=Codes({"A": "B", "": "B"}, None, None, None, None), mode="auto")
    world.run()
    world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_an_unknown_outcome_asks_for_another_run() -> None:
    world = World()
    world.l.put(customer())
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE))
    report = world.run()
    assert (report.applied["unknown"], report.exit_code) == (1, 3)
    assert world.run().exit_code == 0


def test_a_plan_of_another_configuration_cannot_be_approved_any_more() -> None:
    world = World(mode="propose")
    world.l.put(customer())
    old = world.run()
    world.set(linked_owner="left")
    new = world.run()
    assert old.plan_id != new.plan_id
    with pytest.raises(RefusedError, match="superseded"):
        plans.approve(world.store, old.plan_id, by="Grace")
    plans.approve(world.store, new.plan_id, by="Grace")
    assert world.run().applied["done"] == 1
