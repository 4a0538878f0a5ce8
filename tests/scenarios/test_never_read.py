"""What a book holds and nobody could ever read may be the very document that the other book has: it is not made again."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.connectors import Observation
from tieout.connectors.memory import Fault, FaultKind
from tieout.model import Entity, Existence
from tieout.sync.review import decisions, differences


def both(*, target: str) -> tuple[World, str, str]:
    """Both books hold L-1 and its payment since long; in the right one the invoice cannot be read at first."""
    world = World(right=target)
    ids = []
    for books in (world.l, world.r):
        ada = books.put(customer("Ada Ltd"))
        one = books.put(invoice(ada.ref.id, "100.00", number="L-1"))
        books.put(payment(ada.ref.id, "60.00", on=((one.ref.id, "60.00"),), reference="P-1"))
        ids.append(one.ref.id)
    world.r.corrupt(Entity.INVOICE, ids[1])
    return world, *ids


TARGETS = ("idempotency_key", "unique_number", "searchable_marker", "file")


def tidied(world: World) -> None:
    """Runs, with what a file ERP loads between them."""
    for _ in range(4):
        world.run(tick=90_000)
        if world.r.outbox:
            world.r.import_outbox()


@pytest.mark.parametrize("target", TARGETS)
def test_a_document_is_not_made_where_one_was_never_readable_and_is_linked_once_it_is(target: str) -> None:
    world, _, there = both(target=target)
    world.l.put(invoice("CUS-1", "7.77", number="L-2", posted=DAY))
    tidied(world)
    assert world.counts(Entity.INVOICE) == (2, 1)
    assert world.counts(Entity.PAYMENT) == (1, 1)
    listed = {d["left_label"] or d["right_label"]: d for d in differences.listed(world.store)}
    for number in ("L-1", "L-2"):
        assert listed[number]["code"] == "SYNC_BLOCKED"
        assert f"never_read: invoice {there} of right could never be read" in listed[number]["cause"]
    assert {d["code"] for d in differences.listed(world.store)} >= {"PARSE_REJECT"}
    world.r.edit(Entity.INVOICE, there, memo="mended")
    tidied(world)
    assert world.counts(Entity.INVOICE) == (2, 2)
    assert world.counts(Entity.PAYMENT) == (1, 1)
    assert sorted(i.number for i in world.r.all(Entity.INVOICE)) == ["L-1", "L-2"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_person_who_looked_lets_a_document_go_on(target: str) -> None:
    world, *_ = both(target=target)
    world.l.put(invoice("CUS-1", "7.77", number="L-2", posted=DAY))
    tidied(world)
    held = {d["left_label"]: d for d in differences.listed(world.store) if d["code"] == "SYNC_BLOCKED"}
    decisions.decide(world.store, held["L-2"]["id"], action="release", by="Grace", reason="looked; it is not there")
    tidied(world)
    assert [i.total for i in world.r.all(Entity.INVOICE) if i.number == "L-2"] == [D("7.77")]
    assert world.counts(Entity.INVOICE) == (2, 2), "L-1 waits"


@pytest.mark.parametrize("entity", [Entity.INVOICE, Entity.PAYMENT])
def test_what_is_said_to_be_deleted_before_it_was_ever_seen_is_not_made_where_it_cannot_be_asked_for(
    entity: Entity,
) -> None:
    world, _, there = both(target="file")
    world.r.stored(Entity.INVOICE, there).unreadable = None
    world.fail("right", Fault(FaultKind.TOMBSTONE_LIE, op="pull", entity=entity))
    world.run()
    [told] = [d for d in differences.listed(world.store) if d["code"] == "PARSE_REJECT"]
    assert (told["kind"], told["right"]) == (entity.value, world.r.all(entity)[0].ref.id)
    assert "it is said to be deleted, and was never seen" in told["cause"]
    tidied(world)
    assert world.counts(entity) == (1, 1)
    assert differences.listed(world.store) == []


def test_what_is_said_to_be_deleted_time_and_again_is_believed_though_it_was_never_seen() -> None:
    world, _, there = both(target="file")
    observations = world.right._observations

    def with_one_more(pull: Any, entity: Entity, since: Any) -> Any:
        yield from observations(pull, entity, since)
        if entity is Entity.INVOICE:
            yield Observation(entity, "INV-77", {}, None, None, Existence.DELETED)

    world.right._observations = with_one_more
    world.r.stored(Entity.INVOICE, there).unreadable = None
    world.l.put(invoice("CUS-1", "7.77", number="L-2", posted=DAY))
    tidied(world)
    assert (differences.listed(world.store), world.counts(Entity.INVOICE)) == ([], (2, 2))


def test_what_could_be_read_once_holds_up_nothing() -> None:
    world = World()
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.corrupt(Entity.INVOICE, mirror.ref.id)
    world.l.put(invoice(ada.ref.id, "7.77", number="L-2"))
    world.run()
    assert sorted(i.number for i in world.r.all(Entity.INVOICE)) == ["L-1", "L-2"]
