"""The customer of a document is gone from the other books, or out of use there, by the time of the first document."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.world import DAY, D, World, customer, invoice, payment
from tieout.connectors import Op
from tieout.errors import Rejected
from tieout.model import Entity
from tieout.sync.engine import Report
from tieout.sync.review import decisions

A_DAY = 90_000


def of(report: Report, id: str) -> Any:
    """The one difference that is about a record of the left side."""
    [found] = [d for d in report.discrepancies if d.left == id]
    return found


def agreed(world: World) -> tuple[str, str]:
    """Ada on both sides, by her ids."""
    ada = world.l.put(customer("Ada Ltd")).ref.id
    world.run()
    if world.right.capabilities.synchronous:
        return ada, world.r.all(Entity.CUSTOMER)[0].ref.id
    world.r.import_outbox()
    world.run(tick=A_DAY)
    return ada, world.r.all(Entity.CUSTOMER)[0].ref.id


def decide(world: World, report: Report, id: str, action: str) -> None:
    decisions.decide(world.store, of(report, id).id, action=action, by="Grace", reason="looked at it")


def test_a_document_on_its_way_in_a_file_says_that_its_customer_is_not_there_any_more() -> None:
    world = World(right="file")
    ada, mirror = agreed(world)
    bill = world.l.put(invoice(ada, "100.00", number="L-1")).ref.id
    world.run()
    world.r.delete(Entity.CUSTOMER, mirror)
    assert len(world.r.import_outbox()) == 1  # the ERP refuses the row, and says so to nobody but its users
    first = world.run(tick=A_DAY)
    assert "customer Ada Ltd is not in the newest export of right" in of(first, bill).cause
    assert "restore" in of(first, bill).remedy
    second = world.run(tick=A_DAY)
    assert of(second, ada).code == "CUSTOMER_INACTIVE"
    assert "void" not in of(second, ada).remedy
    assert "customer Ada Ltd is not in the newest export of right" in of(second, bill).cause
    report = world.settle(3, tick=A_DAY)
    assert of(report, bill).code == "UNCERTAIN_WRITE"
    assert "customer Ada Ltd is not in the newest export of right" in of(report, bill).cause
    assert "restore customer Ada Ltd" in of(report, bill).remedy
    world.r.restore(Entity.CUSTOMER, mirror)
    decide(world, report, bill, "recreate")
    world.run(tick=A_DAY)
    assert world.r.import_outbox() == []
    assert world.settle(2, tick=A_DAY).discrepancies == []
    assert world.counts(Entity.INVOICE) == (1, 1)


@pytest.mark.parametrize("returns", [True, False])
def test_nothing_is_handed_over_for_a_customer_that_the_newest_export_does_not_show(returns: bool) -> None:
    world = World(right="file")
    ada, mirror = agreed(world)
    world.r.delete(Entity.CUSTOMER, mirror)
    bill = world.l.put(invoice(ada, "100.00", number="L-1")).ref.id
    paid = world.l.put(payment(ada, "40.00", on=((bill, "40.00"),), reference="chk 1")).ref.id
    files = len(world.r.outbox)
    report = world.run(tick=A_DAY)
    assert report.operations == []
    for id in (bill, paid):
        assert of(report, id).code == "SYNC_BLOCKED"
        assert "waits for customer Ada Ltd" in of(report, id).cause
    assert "not in the newest export of right" in of(report, bill).cause
    if not returns:
        report = world.settle(2, tick=A_DAY)
        assert of(report, ada).code == "CUSTOMER_INACTIVE"
        assert "waits for customer Ada Ltd: not on the other side" in of(report, bill).cause
        assert len(world.r.outbox) == files
        decide(world, report, ada, "recreate")
    else:
        world.r.restore(Entity.CUSTOMER, mirror)
    for _ in range(4):
        report = world.run(tick=A_DAY)
        assert world.r.import_outbox() == []
    assert world.run(tick=A_DAY).discrepancies == []
    assert {world.counts(e) for e in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT)} == {(1, 1)}


def test_no_change_is_handed_over_of_a_record_that_the_newest_export_does_not_show() -> None:
    world = World(right="file")
    ada, mirror = agreed(world)
    files = len(world.r.outbox)
    world.r.delete(Entity.CUSTOMER, mirror)
    world.l.edit(Entity.CUSTOMER, ada, email="ada@ada.example")
    report = world.run(tick=A_DAY)
    assert (report.operations, len(world.r.outbox)) == ([], files)
    assert of(report, ada).code == "SYNC_BLOCKED"
    assert "waits for customer Ada Ltd: not in the newest export of right" in of(report, ada).cause
    world.r.restore(Entity.CUSTOMER, mirror)
    world.run(tick=A_DAY)
    assert world.r.import_outbox() == []
    assert world.settle(2, tick=A_DAY).discrepancies == []
    assert world.r.all(Entity.CUSTOMER)[0].email == "ada@ada.example"


@pytest.mark.parametrize("how", ["deleted", "recreated", "inactive"])
def test_what_was_refused_for_its_customer_follows_once_the_customer_is_back(how: str) -> None:
    world = World()
    ada, mirror = agreed(world)
    create = world.right.create

    def taken_out_of_use(record: Any, **kw: Any) -> Any:
        """Somebody does that to the customer right before the write arrives."""
        world.right.create = create  # type: ignore[method-assign]
        if how == "inactive":
            world.r.edit(Entity.CUSTOMER, mirror, active=False)
            raise Rejected("the customer is not active")
        world.r.delete(Entity.CUSTOMER, mirror)
        return create(record, **kw)

    world.right.create = taken_out_of_use  # type: ignore[method-assign]
    bill = world.l.put(invoice(ada, "100.00", number="L-1")).ref.id
    report = world.run()
    assert (of(report, bill).code, report.applied["rejected"]) == ("SYNC_BLOCKED", 1)
    sent = len(world.r.received)
    for _ in range(2):
        report = world.run()
        assert (of(report, bill).code, len(world.r.received)) == ("SYNC_BLOCKED", sent)
    if how != "inactive":
        assert "waits for customer Ada Ltd: not on the other side" in of(report, bill).cause
    match how:
        case "deleted":
            world.r.restore(Entity.CUSTOMER, mirror)
        case "recreated":
            decide(world, report, ada, "recreate")
        case "inactive":
            world.r.edit(Entity.CUSTOMER, mirror, active=True)
    world.run()
    assert world.run().discrepancies == []
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_a_change_that_was_refused_for_its_customer_follows_once_the_customer_is_back() -> None:
    """An application of money, say, which QuickBooks takes for no customer that is inactive."""
    world = World()
    ada, mirror = agreed(world)
    bill = world.l.put(invoice(ada, "100.00", number="L-1")).ref.id
    money = world.l.put(payment(ada, "40.00", reference="chk 1")).ref.id
    world.run()
    update, asked = world.right.update, []

    def only_of_active_ones(record: Any, **kw: Any) -> Any:
        asked.append(record)
        if not world.r.get(Entity.CUSTOMER, mirror).active:
            raise Rejected("the customer is not active")
        return update(record, **kw)

    world.right.update = only_of_active_ones  # type: ignore[method-assign]
    world.r.edit(Entity.CUSTOMER, mirror, active=False)
    world.l.apply(money, bill, D("40.00"), DAY)
    for _ in range(3):
        report = world.run()
    assert (len(asked), report.refused) == (1, 1)
    world.r.edit(Entity.CUSTOMER, mirror, active=True)
    world.run()
    assert (len(asked), world.run().discrepancies) == (2, [])
    [there] = world.r.all(Entity.PAYMENT)
    assert [a.amount for a in there.applications] == [D("40.00")]


def test_what_is_billed_to_a_customer_as_it_is_made_active_again_goes_out_in_that_run() -> None:
    world = World(right_caps={"active_only": {Entity.INVOICE: frozenset({Op.CREATE})}})
    ada, _ = agreed(world)
    world.l.edit(Entity.CUSTOMER, ada, active=False)
    world.run()
    world.l.put(invoice(ada, "10.00", number="L-1"))
    assert world.run().held_back() == {"customer Ada Ltd is inactive in right": 1}
    world.l.edit(Entity.CUSTOMER, ada, active=True)
    world.l.put(invoice(ada, "20.00", number="L-2"))
    assert world.run().applied["done"] == 3
    assert world.run().discrepancies == []


def test_what_was_refused_for_anything_else_is_not_sent_again_for_a_customer_that_changes() -> None:
    world = World()
    ada, mirror = agreed(world)
    create = world.right.create

    def refused(_record: Any, **_kw: Any) -> Any:
        raise Rejected("no such thing here")

    world.right.create = refused  # type: ignore[method-assign]
    bill = world.l.put(invoice(ada, "100.00", number="L-1")).ref.id
    world.run()
    world.right.create = create  # type: ignore[method-assign]
    world.r.edit(Entity.CUSTOMER, mirror, phone="555 9")
    for _ in range(2):
        report = world.run()
        assert "rejected: no such thing here" in of(report, bill).cause
        assert "`retry`" in of(report, bill).remedy
    decide(world, report, bill, "retry")
    world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)
