"""What flows: born on either side, changed, part-paid, re-applied, voided; and nothing that should not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment, write_off
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, PostingState
from tieout.sync.review import plans

D = Decimal


def pairs() -> list[str]:
    return ["idempotency_key", "unique_number", "searchable_marker"]


@pytest.fixture(params=pairs())
def world(request: pytest.FixtureRequest) -> World:
    return World(right=request.param)


def quiet(world: World) -> None:
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert report.changes.opened == report.changes.closed == 0
    assert (world.l.fingerprint(), world.r.fingerprint()) == before


def test_documents_born_on_either_side_reach_the_other(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    bob = world.r.put(customer("O'Brien:Sons", number="B7"))
    inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.r.put(invoice(bob.ref.id, "80.00", number="R-1"))
    world.l.put(payment(ada.ref.id, "50.00", on=((inv.ref.id, "50.00"),), reference="chk 1"))
    report = world.run()
    assert report.applied["done"] == 5, report.failures
    assert world.counts(Entity.CUSTOMER) == (2, 2)
    assert world.counts(Entity.INVOICE) == (2, 2)
    assert world.counts(Entity.PAYMENT) == (1, 1)
    [paid] = [i for i in world.r.all(Entity.INVOICE) if i.number == "L-1"]
    assert world.r.open(Entity.INVOICE, paid.ref.id) == D("70.00")
    assert world.l.receivables(date(2026, 12, 31)) == world.r.receivables(date(2026, 12, 31)) == {"USD": D("150.00")}
    assert [d.as_json() for d in report.discrepancies] == []
    quiet(world)


def test_a_change_at_the_origin_flows_and_one_at_the_mirror_does_not(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1", memo="first"))
    world.run()
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="second", total=D("130.00"), subtotal=D("130.00"))
    report = world.run()
    assert report.applied["done"] == 1
    [mirror] = world.r.all(Entity.INVOICE)
    assert (mirror.memo, mirror.total) == ("second", D("130.00"))
    quiet(world)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("99.00"), subtotal=D("99.00"))
    report = world.run()
    assert report.operations == []
    [d] = [d for d in report.discrepancies if d.delta]
    assert d.delta == D("-31.00")
    assert "non_owner_change" in d.cause
    assert world.l.get(Entity.INVOICE, inv.ref.id).total == D("130.00")


def test_an_application_made_later_flows_and_a_reversal_too(world: World) -> None:
    ada = world.l.put(customer())
    one = world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    two = world.l.put(invoice(ada.ref.id, "60.00", number="L-2"))
    pay = world.l.put(payment(ada.ref.id, "90.00", reference="p"))
    world.run()
    world.l.apply(pay.ref.id, one.ref.id, D("60.00"), DAY)
    world.l.apply(pay.ref.id, two.ref.id, D("30.00"), DAY)
    report = world.run()
    assert [o.op.value for o in report.operations] == ["apply"]
    assert report.applied["done"] == 1, world.intents()
    opens = sorted(world.r.open(Entity.INVOICE, i.ref.id) for i in world.r.all(Entity.INVOICE))
    assert opens == [D("0"), D("30.00")]
    quiet(world)
    world.l.unapply(pay.ref.id, one.ref.id, DAY)
    assert world.run().applied["done"] == 1
    opens = sorted(world.r.open(Entity.INVOICE, i.ref.id) for i in world.r.all(Entity.INVOICE))
    assert opens == [D("30.00"), D("60.00")]
    quiet(world)


def test_a_credit_memo_and_its_application_flow(world: World) -> None:
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    memo = world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    world.run()
    world.l.apply(memo.ref.id, inv.ref.id, D("20.00"), DAY)
    assert world.run().applied["done"] == 1
    [mirror] = world.r.all(Entity.INVOICE)
    assert world.r.open(Entity.INVOICE, mirror.ref.id) == D("40.00")
    quiet(world)


def test_a_void_at_the_origin_waits_for_a_person(world: World) -> None:
    world.set(unattended=frozenset())
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    world.run()
    world.l.void(Entity.INVOICE, inv.ref.id, DAY)
    report = world.run()
    assert report.exit_code == 4
    assert [o.op.value for o in report.operations] == ["void"]
    assert world.r.all(Entity.INVOICE)[0].state is PostingState.POSTED
    world.approve(report)
    assert world.run().applied["done"] == 1
    assert world.r.all(Entity.INVOICE)[0].state is PostingState.VOIDED
    quiet(world)


def test_a_write_off_is_listed_never_carried(world: World) -> None:
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    world.run()
    world.l.put(write_off(ada.ref.id, "10.00", inv.ref.id))
    report = world.run()
    assert report.comparison is not None
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    assert world.codes(report) == ["WRITEOFF_ONE_SIDE"] or report.operations


def test_propose_waits_and_applies_what_was_approved(world: World) -> None:
    world.set(mode="propose")
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "60.00", number="L-1"))
    first = world.run()
    assert (first.exit_code, first.waiting, world.counts(Entity.INVOICE)) == (4, 2, (1, 0))
    again = world.run()
    assert again.plan_id == first.plan_id
    plans.approve(world.store, first.plan_id, by="Grace")
    done = world.run()
    assert (done.exit_code, done.applied["done"]) == (0, 2)
    quiet(world)
    assert log_breaks(world.store) == []


def test_history_of_both_books_is_linked_and_nothing_is_created() -> None:
    world = World()
    for books in (world.l, world.r):
        ada = books.put(customer("Ada Ltd"))
        for n in range(20):
            inv = books.put(invoice(ada.ref.id, f"{50 + n}.00", number=f"INV-{n}"))
            if n % 2:
                books.put(payment(ada.ref.id, f"{50 + n}.00", on=((inv.ref.id, f"{50 + n}.00"),), reference=f"P{n}"))
    report = world.run()
    assert (report.linked, report.operations, report.discrepancies) == (31, [], [])
    quiet(world)
