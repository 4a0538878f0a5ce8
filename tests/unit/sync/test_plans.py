"""Approvals: by whom, of what, for how long; and the guards that only a name lifts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.world import D, World, customer, invoice
from tieout.connectors.memory import Fault, FaultKind
from tieout.errors import ConfigError, RefusedError
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.guard import Limits
from tieout.sync.review import differences, plans

DAY_LONG = 25 * 3600


@pytest.fixture
def world() -> World:
    world = World(mode="propose")
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    return world


def test_an_approval_names_a_person_and_survives_an_identical_plan(world: World) -> None:
    first = world.run()
    with pytest.raises(RefusedError, match="names a person"):
        plans.approve(world.store, first.plan_id, by=" ")
    with pytest.raises(ConfigError, match="no plans match"):
        plans.approve(world.store, "nothing-of-it", by="Grace")
    plans.approve(world.store, first.plan_id[:30], by="Grace")
    assert world.run(apply=False).plan_id == first.plan_id
    [kept] = plans.listed(world.store, "books")
    assert (kept["status"], [a["by"] for a in kept["approvals"]]) == ("approved", ["Grace"])
    done = world.run()
    assert (done.applied["done"], done.exit_code) == (2, 0)
    assert plans.listed(world.store, "books") == []
    with pytest.raises(RefusedError, match="applied"):
        plans.approve(world.store, first.plan_id, by="Grace")


def test_only_what_was_approved_is_written_and_the_rest_waits(world: World) -> None:
    plans.approve(world.store, world.run().plan_id, by="Grace")
    world.l.put(invoice("CUS-1", "7.00", number="L-2"))
    report = world.run()
    assert (report.applied["done"], report.waiting, report.exit_code) == (2, 1, 4)
    assert [i.number for i in world.r.all(Entity.INVOICE)] == ["L-1"]
    [waiting] = [d for d in differences.listed(world.store) if d["delta"] != "0.00"]
    assert (waiting["code"], waiting["cause"].split(";")[0]) == ("SYNC_IN_FLIGHT", "planned")


@pytest.mark.parametrize("mode", ["propose", "auto"])
def test_a_rejection_stops_the_run_that_carries_the_plan_out(mode: str) -> None:
    world = World(mode=mode)
    ada = world.l.put(customer("Ada Ltd")).ref.id
    for n in range(4):
        world.l.put(invoice(ada, f"{100 + n}.00", number=f"L-{n}"))
    plan = world.run(apply=False)
    if mode == "propose":
        world.approve(plan)
    create, sent = world.right.create, []

    def rejected_meanwhile(record: Any, **kw: Any) -> Any:
        sent.append(record)
        if len(sent) == 2:
            plans.reject(world.store, plan.plan_id or "", by="Kim", reason="wrong customer")
        return create(record, **kw)

    world.right.create = rejected_meanwhile  # type: ignore[method-assign]
    report = world.run()
    assert (len(sent), report.applied["done"], report.applied["blocked"]) == (2, 2, 3)
    assert plans.show(world.store, plan.plan_id or "")["status"] == "rejected"
    if mode == "propose":
        assert (world.run().exit_code, len(sent)) == (4, 2)


def test_a_rejection_ends_every_approval_of_what_it_rejects(world: World) -> None:
    first = world.run()
    plans.approve(world.store, first.plan_id, by="Grace")
    world.l.put(invoice("CUS-1", "7.00", number="L-2"))
    second = world.run(apply=False)
    with pytest.raises(RefusedError, match="names a person and a reason"):
        plans.reject(world.store, second.plan_id, by="Bob", reason="")
    plans.reject(world.store, second.plan_id, by="Bob", reason="wrong customer")
    report = world.run()
    assert (report.applied["done"], report.waiting) == (0, 3)
    assert report.plan_id != second.plan_id
    assert world.counts(Entity.INVOICE) == (2, 0)
    with pytest.raises(RefusedError, match="rejected"):
        plans.approve(world.store, second.plan_id, by="Grace")


def test_a_plan_that_nobody_decides_any_more_is_said_to_be_that_before_its_guards_are() -> None:
    world = World(mode="propose", limits=Limits(creates=0))
    world.l.put(customer())
    held = world.run()
    with pytest.raises(RefusedError, match="a guard holds this plan"):
        plans.approve(world.store, held.plan_id, by="Grace")
    plans.reject(world.store, held.plan_id, by="Bob", reason="wrong customer")
    with pytest.raises(RefusedError, match="is rejected"):
        plans.approve(world.store, held.plan_id, by="Grace")


def test_an_approval_expires_with_its_plan(world: World) -> None:
    first = world.run()
    plans.approve(world.store, first.plan_id, by="Grace")
    report = world.run(tick=DAY_LONG)
    assert (report.applied["done"], report.waiting) == (0, 2)
    assert report.plan_id != first.plan_id
    with pytest.raises(RefusedError, match="expired"):
        plans.approve(world.store, first.plan_id, by="Grace")


def test_a_changed_record_is_a_changed_plan(world: World) -> None:
    plans.approve(world.store, world.run().plan_id, by="Grace")
    world.l.edit(Entity.INVOICE, "INV-1", total=D("999.00"), subtotal=D("999.00"))
    report = world.run()
    assert (report.applied["done"], report.waiting) == (1, 1), "the customer was approved, the new amount was not"
    assert world.counts(Entity.INVOICE) == (1, 0)


def test_a_changed_configuration_asks_again(world: World) -> None:
    plans.approve(world.store, world.run().plan_id, by="Grace")
    world.set(codes=Codes(items={"A": "B", "": ""}, taxes=None, accounts=None, terms=None))
    report = world.run()
    assert (report.applied["done"], report.waiting) == (0, 2)


def test_in_auto_a_changed_configuration_holds_writes_for_a_run() -> None:
    world = World()
    world.l.put(customer())
    world.run()
    world.set(policy={(Entity.INVOICE, "memo"): "two_way"})
    world.l.put(invoice("CUS-1", "7.00", number="L-2"))
    held = world.run()
    assert [t.name for t in held.trips] == ["config_changed"]
    assert (held.applied["done"], held.exit_code, world.counts(Entity.INVOICE)) == (0, 4, (1, 0))
    world.approve(held, "config_changed")
    assert world.run().applied["done"] == 1


def test_a_guard_is_lifted_by_its_name_and_for_one_plan_only() -> None:
    world = World(limits=Limits(creates=2, create_share=D(0)))
    ada = world.l.put(customer())
    for n in range(2):
        world.l.put(invoice(ada.ref.id, f"{n + 1}.00", number=f"L-{n}"))
    held = world.run()
    assert [t.name for t in held.trips] == ["mass_create"]
    assert (held.applied["done"], held.exit_code) == (0, 4)
    assert "MASS_CHANGE_GUARD" in world.codes(held)
    with pytest.raises(RefusedError, match="3 documents would be created") as refused:
        world.approve(held)
    assert "--accept-guard mass_create" in str(refused.value)
    with pytest.raises(ConfigError, match="trips no guard named mass_void"):
        world.approve(held, "mass_create", "mass_void")
    world.approve(held, "mass_create")
    done = world.run()
    assert (done.applied["done"], done.exit_code) == (3, 0)
    assert world.run().discrepancies == []
    for n in range(3):
        world.l.put(invoice(ada.ref.id, f"{n + 10}.00", number=f"M-{n}"))
    assert world.run().applied["done"] == 0, "the approval was for the other plan"


def test_credit_memos_and_voids_wait_for_a_person_in_auto() -> None:
    world = World(unattended=frozenset())
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    world.l.void(Entity.INVOICE, "INV-1")
    world.l.put(invoice(ada.ref.id, "5.00", number="L-2"))
    report = world.run()
    assert (report.applied["done"], report.waiting, report.exit_code) == (1, 1, 4)
    assert [o.op.value for o in report.operations if o.person] == ["void"]


def test_observing_and_linking_write_nothing() -> None:
    for mode in ("observe", "link"):
        world = World(mode=mode)
        for books in (world.l, world.r):
            who = books.put(customer("Ada Ltd"))
            books.put(invoice(who.ref.id, "100.00", number="X-1"))
        world.l.put(invoice("CUS-1", "5.00", number="L-2"))
        report = world.run()
        assert (report.applied["done"], report.exit_code, report.linked) == (0, 0, 2 if mode == "link" else 0)
        assert world.counts(Entity.INVOICE) == (2, 1)
        assert "MISSING_IN_B" in world.codes(report) or "SYNC_IN_FLIGHT" in world.codes(report)
        assert world.l.received == world.r.received == []


def waiting_for_approval() -> World:
    """In step but for one invoice, which waits in a plan."""
    world = World(mode="propose")
    ada = world.l.put(customer())
    world.approve(world.run())
    world.run()
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    return world


SHORT = {
    "truncated": Fault(FaultKind.TRUNCATE, op="pull", entity=Entity.INVOICE),
    "down": Fault(FaultKind.LOSE_REQUEST, op="pull", entity=Entity.INVOICE),
}


@pytest.mark.parametrize("fault", SHORT)
def test_a_source_that_could_not_be_read_for_one_run_costs_no_approval(fault: str) -> None:
    world = waiting_for_approval()
    first = world.run()
    world.approve(first)
    world.fail("left", SHORT[fault])
    short = world.run()
    assert short.failures
    assert (short.operations, short.applied["done"]) == ([], 0)
    world.fail("left")
    assert plans.show(world.store, first.plan_id)["status"] == "approved"
    report = world.run()
    assert (report.applied["done"], report.waiting, report.exit_code) == (1, 0, 0)
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_a_draft_can_still_be_approved_after_a_source_could_not_be_read() -> None:
    world = waiting_for_approval()
    first = world.run()
    world.fail("left", SHORT["truncated"])
    world.l.put(customer("Bob Ltd"))
    world.run()
    world.approve(first)
    world.fail("left")
    assert world.run().applied["done"] == 1
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_a_plan_that_comes_back_has_its_approval_unless_somebody_rejected_it() -> None:
    """What was to be written is gone for one run, and the very same again in the next."""
    world = waiting_for_approval()
    first = world.run()
    world.approve(first)
    world.set(flows={Entity.INVOICE: "none"})
    assert world.run().operations == []
    world.set(flows={})
    [kept] = [world.run(apply=False)]
    assert kept.plan_id == first.plan_id
    plans.reject(world.store, first.plan_id, by="Bob", reason="not this one")
    again = world.run()
    assert (again.applied["done"], again.waiting) == (0, 1)
    assert again.plan_id != first.plan_id


def test_a_superseded_approval_of_what_was_rejected_since_does_not_come_back() -> None:
    world = waiting_for_approval()
    first = world.run()
    world.approve(first)
    world.set(flows={Entity.INVOICE: "none"})
    world.run()
    world.set(flows={})
    bob = world.l.put(customer("Bob Ltd"))
    both = world.run(apply=False)
    plans.reject(world.store, both.plan_id, by="Bob", reason="neither of them")
    world.l.delete(Entity.CUSTOMER, bob.ref.id)
    report = world.run()
    assert (report.applied["done"], report.waiting) == (0, 1)


def test_a_superseded_plan_that_expired_does_not_come_back() -> None:
    world = waiting_for_approval()
    first = world.run()
    world.approve(first)
    world.set(flows={Entity.INVOICE: "none"})
    world.run()
    world.set(flows={})
    report = world.run(tick=DAY_LONG)
    assert (report.applied["done"], report.waiting) == (0, 1)
    assert report.plan_id != first.plan_id
