"""A pair that gets another name, or whose sides change places: what was sent is settled once, and nobody is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.scenarios.world import World, customer, invoice
from tieout.connectors.memory import Fault, FaultKind, MemoryConnector
from tieout.errors import ConfigError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.engine import sync
from tieout.sync.renamed import orphans
from tieout.sync.review import decisions, differences


def lost_answer() -> World:
    """An invoice whose answer never came: it is at the target, and the state does not know yet."""
    world = World()
    ada = world.l.put(customer())
    world.run()
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create"))
    assert world.run().applied["unknown"] == 1
    world.fail("right")
    return world


def test_a_renamed_pair_is_refused_until_it_says_what_it_was_and_then_goes_on() -> None:
    world = lost_answer()
    writes = len(world.r.received)
    world.pair = replace(world.pair, name="renamed")
    for _ in range(2):
        with pytest.raises(ConfigError, match="as pair 'books', not as 'renamed'") as refused:
            world.run()
        assert 'was = "books"' in refused.value.hint
    assert len(world.r.received) == writes, "nothing was written meanwhile"
    assert [(o.pair, o.connection, o.writes) for o in orphans(world.store, ["renamed"])] == [("books", "right", 1)]
    world.set(was="books")
    report = world.run()
    assert (world.counts(Entity.INVOICE), report.operations, orphans(world.store, ["renamed"])) == ((1, 1), [], [])
    assert {i["state"] for i in world.intents()} == {"done"}
    for table in (schema.base, schema.run, schema.plan, schema.discrepancy, schema.intent):
        assert {r["pair"] for r in world.store.rows(sa.select(table.c.pair))} <= {"renamed"}
    assert log_breaks(world.store) == []
    # The owner is known as before: a change still flows.
    world.l.edit(Entity.INVOICE, "INV-1", memo="after the new name")
    world.run()
    assert world.r.all(Entity.INVOICE)[0].memo == "after the new name"


def test_the_first_write_of_all_is_not_forgotten_either() -> None:
    """Nothing was agreed on yet under the old name: only the write without an answer tells of it."""
    world = World()
    world.l.put(customer())
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create"))
    world.run()
    world.fail("right")
    world.pair = replace(world.pair, name="renamed")
    with pytest.raises(ConfigError, match="books"):
        world.run()
    world.set(was="books")
    world.run()
    assert world.counts(Entity.CUSTOMER) == (1, 1)


def test_what_people_decided_goes_with_the_pair() -> None:
    world = World(flows={Entity.INVOICE: "none"})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    [d] = [d for d in world.run().discrepancies if d.delta]
    decisions.decide(world.store, d.id, action="accept", by="Grace", reason="it stays here")
    world.pair = replace(world.pair, name="renamed", was="books")
    world.run()
    [kept] = differences.listed(world.store, "renamed")
    assert (kept["id"], kept["state"], kept["reason"]) == (d.id, "accepted", "it stays here")


def test_a_connection_is_not_renamed_while_a_write_to_it_is_not_settled() -> None:
    """Under another name it is another system, to which the write would be planned once more."""
    world = lost_answer()
    writes, pair = len(world.r.received), world.pair
    world.pair = replace(pair, right="sap")
    with pytest.raises(ConfigError, match="1 unsettled write to 'right', which is no connection of it any more") as no:
        sync(world.store, {"left": world.left, "sap": world.right}, world.pair, apply=True, heartbeat=False)
    assert "call the connection 'right' until they are settled" in no.value.hint
    assert len(world.r.received) == writes
    world.pair = pair
    world.run()
    same = MemoryConnector("sap", world.r, capabilities=world.right.capabilities)
    pair = replace(pair, right="sap")
    report = sync(world.store, {"left": world.left, "sap": same}, pair, apply=True, heartbeat=False)
    assert (world.counts(Entity.INVOICE), report.operations) == ((1, 1), [])


def test_sides_that_change_places_keep_their_writes() -> None:
    world = lost_answer()
    world.left, world.right = world.right, world.left
    world.pair = replace(world.pair, left="right", right="left")
    world.clock.tick(900)
    live = {"left": world.right, "right": world.left}
    for _ in range(2):
        report = sync(world.store, live, world.pair, apply=True, heartbeat=False)
    assert (world.counts(Entity.INVOICE), report.operations) == ((1, 1), [])
    assert {i["state"] for i in world.intents()} == {"done"}
