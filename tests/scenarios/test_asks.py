"""What a run that may write still asks of people and of the next run."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind
from tieout.errors import RefusedError
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.review import decisions, plans


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


def test_a_refused_write_asks_a_person_in_every_run_until_somebody_answers() -> None:
    world = World(right_caps={"periods_readable": False})
    world.r.closed_through = date(2026, 1, 31)
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    first = world.run()
    assert (first.applied["rejected"], first.refused, first.exit_code) == (1, 1, 4)
    second = world.run()
    assert (second.applied["rejected"], second.operations, second.refused, second.exit_code) == (0, [], 1, 4)
    assert second.as_json()["refused"] == 1
    [d] = [d for d in second.discrepancies if d.code == "PERIOD_LOCKED"]
    decisions.decide(world.store, d.id, action="acknowledge", by="Grace", reason="the auditor is asked")
    third = world.run()
    assert (third.refused, third.exit_code) == (0, 0), "somebody is on it"
    decisions.decide(world.store, d.id, action="reopen", by="Grace", reason="")
    assert world.run().exit_code == 4
    world.r.closed_through = None
    decisions.decide(world.store, d.id, action="retry", by="Grace", reason="")
    done = world.run()
    assert (done.applied["done"], done.refused, done.exit_code) == (1, 0, 0)


def test_a_refused_change_and_a_refused_void_ask_as_well() -> None:
    world = World(right_caps={"periods_readable": False})
    ada = world.l.put(customer())
    changed, gone = (world.l.put(invoice(ada.ref.id, "10.00", number=n)) for n in ("A", "B"))
    world.run()
    world.r.closed_through = date(2026, 1, 31)
    world.l.edit(Entity.INVOICE, changed.ref.id, subtotal=Decimal(12), total=Decimal(12))
    world.l.void(Entity.INVOICE, gone.ref.id, DAY)
    for _ in range(2):
        report = world.run()
        assert (report.refused, report.exit_code) == (2, 4)


def test_what_a_rule_of_the_pair_leaves_out_is_out_of_scope_and_not_missing() -> None:
    """Before the cut-over, or of a kind that flows the other way only; a duplicate keeps its own name."""
    world = World(cutover=DAY, flows={Entity.PAYMENT: "left_to_right"})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "40.00", number="OLD", posted=DAY - timedelta(days=1)))
    new = world.l.put(invoice(ada.ref.id, "60.00", number="NEW"))
    world.l.put(payment(ada.ref.id, "10.00", on=((new.ref.id, "10.00"),), reference="P-1"))
    world.run()
    [there] = world.r.all(Entity.INVOICE)
    world.r.put(payment(there.customer, "10.00", on=((there.ref.id, "10.00"),), reference="P-1"))
    world.r.put(payment(there.customer, "20.00", on=((there.ref.id, "20.00"),), reference="P-2"))
    report = world.run()
    found = {(d.code, d.delta, d.confirmed, d.class_) for d in report.discrepancies if d.delta}
    assert found == {
        ("OUT_OF_SCOPE", Decimal("-40.00"), True, "T"),
        ("OUT_OF_SCOPE", Decimal("-20.00"), True, "T"),
        ("PAYMENT_DUPLICATED", Decimal("-10.00"), True, "T"),
    }
    assert report.comparison.bridge["USD"].remainder == 0
    assert {"the pair carries no payment over to left"} == {
        d.cause for d in report.discrepancies if d.code == "OUT_OF_SCOPE" and d.kind == "payment"
    }


def test_what_a_document_waits_for_is_named() -> None:
    """A record that is refused over there holds those that refer to it: each says which one it is."""
    world = World()
    ada = world.l.put(customer("Ada Ltd", number="C-7"))
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    world.fail("right", Fault(FaultKind.LOSE_REQUEST, op="create", entity=Entity.CUSTOMER))
    report = world.run()
    [d] = [d for d in report.discrepancies if d.delta]
    assert "waits for customer Ada Ltd (C-7), which is not there yet" in d.cause


def test_a_document_whose_customer_flows_nowhere_names_the_customer() -> None:
    world = World(flows={Entity.CUSTOMER: "none"})
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    [d] = [d for d in world.run().discrepancies if d.delta]
    assert "waits for customer Ada Ltd: not on the other side" in d.cause
