"""What a person enters between our write and its read-back is no value of ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.world import D, World, customer, invoice
from tieout.model import Entity

TARGETS = ("idempotency_key", "searchable_marker")  # with versions, and without


def raced(world: World, op: str, entity: Entity, **entered: Any) -> None:
    """Let somebody at the right edit what tieout writes there next, before it is read back."""
    write = getattr(world.right, op)

    def slow(record: Any, **kw: Any) -> Any:
        written = write(record, **kw)
        if record.entity is entity:
            world.r.edit(entity, written.id, **entered)
            setattr(world.right, op, write)
        return written

    setattr(world.right, op, slow)


@pytest.mark.parametrize(("target", "sent"), list(zip(TARGETS, (None, "ours"), strict=True)))
def test_an_edit_between_a_create_and_its_read_back_is_not_overwritten(target: str, sent: str | None) -> None:
    world = World(right=target)
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1", memo=sent))
    raced(world, "create", Entity.INVOICE, memo="entered there")
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="entered here")
    for _ in range(2):
        report = world.run()
        [mirror] = world.r.all(Entity.INVOICE)
        assert (mirror.memo, report.operations) == ("entered there", [])
        [one] = [d for d in report.discrepancies if d.field == "memo"]
        assert (one.left_value, one.right_value) == ("entered here", "entered there")
        assert "conflict" in one.cause
    # Once the two agree, what is changed at home goes there again.
    world.r.edit(Entity.INVOICE, mirror.ref.id, memo="entered here")
    assert world.run().discrepancies == []
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="later")
    world.run()
    assert world.r.all(Entity.INVOICE)[0].memo == "later"
    assert world.run().discrepancies == []


@pytest.mark.parametrize("target", TARGETS)
def test_an_edit_between_an_update_and_its_read_back_is_not_overwritten(target: str) -> None:
    world = World(right=target)
    who = world.l.put(customer(phone="1"))
    world.run()
    world.l.edit(Entity.CUSTOMER, who.ref.id, phone="2")
    raced(world, "update", Entity.CUSTOMER, phone="entered there")
    world.run()
    world.l.edit(Entity.CUSTOMER, who.ref.id, phone="3")
    for _ in range(2):
        report = world.run()
        assert (world.r.all(Entity.CUSTOMER)[0].phone, report.operations) == ("entered there", [])
        [one] = [d for d in report.discrepancies if d.field == "phone"]
        assert "conflict" in one.cause


def test_what_is_entered_there_later_goes_home_as_ever() -> None:
    world = World(policy={(Entity.INVOICE, "memo"): "two_way"})
    world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1"))
    raced(world, "create", Entity.INVOICE, memo="entered there")
    world.run()
    assert world.run().operations == []
    world.r.edit(Entity.INVOICE, world.r.all(Entity.INVOICE)[0].ref.id, memo="and again")
    world.run()
    assert world.l.all(Entity.INVOICE)[0].memo == "and again"
    assert world.run().discrepancies == []


def test_what_the_target_cuts_off_or_computes_is_written_anew_when_home_changes_it() -> None:
    world = World(right_rules={"tax_rate": D("0.09975"), "memo_limit": 20})
    bill = world.l.put(
        invoice(world.l.put(customer()).ref.id, "448.39", tax=D("40.66"), number="T-1", memo="a" * 40, po_number="P")
    )
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="b" * 40)
    assert [f.name for o in world.run().operations for f in o.fields] == ["memo"]
    assert world.r.all(Entity.INVOICE)[0].memo == "b" * 20
    assert world.run().operations == []
    world.l.edit(Entity.INVOICE, bill.ref.id, total=D("224.19"), subtotal=D("203.86"), tax=D("20.33"))
    assert world.run().operations != []
    assert world.run().operations == []
