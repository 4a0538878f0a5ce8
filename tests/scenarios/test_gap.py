"""What a person enters between our write and its read-back is no value of ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.scenarios.world import DAY, D, World, credit_memo, customer, invoice
from tieout.connectors.memory import Fault, FaultKind
from tieout.model import Entity, PostingState

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


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_entered_there_later_goes_home_as_ever(target: str) -> None:
    """And what was entered in between goes home too, where versions tell that somebody did."""
    world = World(right=target, policy={(Entity.INVOICE, "memo"): "two_way"})
    world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1"))
    raced(world, "create", Entity.INVOICE, memo="entered there")
    world.run()
    told = world.right.capabilities.versioned
    assert [(o.target, f.name) for o in world.run().operations for f in o.fields] == [("left", "memo")] * told
    assert world.run().operations == []
    world.r.edit(Entity.INVOICE, world.r.all(Entity.INVOICE)[0].ref.id, memo="and again")
    world.run()
    assert world.l.all(Entity.INVOICE)[0].memo == "and again"
    assert world.run().discrepancies == []


def test_what_somebody_edits_is_told_from_what_the_target_makes_of_it() -> None:
    """Both, on one document: its tax is the target's doing, and goes on; its due date is somebody's, and stands."""
    world = World(right_rules={"tax_rate": D("0.09975")})
    bill = world.l.put(
        invoice(world.l.put(customer()).ref.id, "448.39", tax=D("40.66"), number="T-1", due=date(2026, 3, 1))
    )
    raced(world, "create", Entity.INVOICE, due=date(2026, 3, 2))
    report = world.run()
    assert sorted(d.code for d in report.discrepancies) == ["DUE_DATE_DIFF", "TAX_AMOUNT"]
    [tax] = [d for d in report.discrepancies if d.code == "TAX_AMOUNT"]
    assert "readback_mismatch: tax: sent 40.66" in tax.cause
    [due] = [d for d in report.discrepancies if d.code == "DUE_DATE_DIFF"]
    assert "edited_meanwhile: tieout wrote 2026-03-01, and 2026-03-02 was there" in due.cause
    [due] = [d for d in world.run().discrepancies if d.code == "DUE_DATE_DIFF"]
    assert "non_owner_change" in due.cause
    money = {"total": D("224.19"), "subtotal": D("203.86"), "tax": D("20.33")}
    world.l.edit(Entity.INVOICE, bill.ref.id, due=date(2026, 3, 3), **money)
    assert {f.name for o in world.run().operations for f in o.fields} == {"subtotal", "tax", "total"}
    [due] = [d for d in world.run().discrepancies if d.code == "DUE_DATE_DIFF"]
    assert ("conflict" in due.cause, world.r.all(Entity.INVOICE)[0].due) == (True, date(2026, 3, 2))


def test_where_nobody_can_tell_who_made_it_so_it_is_named_and_left_alone() -> None:
    """A system without versions that works out the tax anew: its doing, or somebody's? A person says."""
    world = World(right="searchable_marker", right_rules={"tax_rate": D("0.09975")})
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "448.39", tax=D("40.66"), number="T-1"))
    for _ in range(2):
        [one] = [d for d in world.run().discrepancies if d.delta]
        assert (one.code, one.secondary) == ("TAX_AMOUNT", ("WRITE_ALTERED",))
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="what it took as it was sent goes on")
    assert [f.name for o in world.run().operations for f in o.fields] == ["memo"]
    held = world.r.all(Entity.INVOICE)[0].total
    money = {"total": D("224.19"), "subtotal": D("203.86"), "tax": D("20.33")}
    world.l.edit(Entity.INVOICE, bill.ref.id, **money)
    for _ in range(2):
        report = world.run()
        assert world.r.all(Entity.INVOICE)[0].total == held
        assert "total" not in {f.name for o in report.operations for f in o.fields}
        assert any("conflict" in d.cause for d in report.discrepancies)


@pytest.mark.parametrize("op", ["create", "update"])
def test_what_somebody_enters_in_a_file_erp_before_the_first_export_that_shows_ours_is_not_overwritten(op: str) -> None:
    """An export has no versions, and the import is never acknowledged otherwise."""
    world = World(right="file")
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1"))
    for _ in range(2):
        world.run()
        world.r.import_outbox()
    if op == "update":
        world.run()
        world.l.edit(Entity.INVOICE, bill.ref.id, total=D("31.00"), subtotal=D("31.00"))
        world.run()
        world.r.import_outbox()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("25.00"), subtotal=D("25.00"))
    assert [d.delta for d in world.run().discrepancies] != []
    world.l.edit(Entity.INVOICE, bill.ref.id, total=D("40.00"), subtotal=D("40.00"))
    for _ in range(3):
        report = world.run()
        world.r.import_outbox()
        assert world.r.all(Entity.INVOICE)[0].total == D("25.00")
        assert sum(d.delta for d in report.discrepancies) == D("-15.00")
    assert world.run().operations == []


def test_the_answer_to_a_request_that_was_sent_again_tells_nothing() -> None:
    """It may show the record as it is by now, with what somebody entered since the first one."""
    world = World()
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1"))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, entity=Entity.INVOICE))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, due=date(2026, 3, 2))
    world.r._answers = {k: (at, replace(a, version="2")) for k, (at, a) in world.r._answers.items()}
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, due=date(2026, 3, 3))
    assert world.run().operations == []
    assert world.r.all(Entity.INVOICE)[0].due == date(2026, 3, 2)


def test_a_credit_that_somebody_applies_otherwise_before_it_is_read_back_stands() -> None:
    """Where a credit memo is applied by a payment of its own."""
    world = World(right_caps={"credits_by_payment": True})
    who = world.l.put(customer()).ref.id
    bill = world.l.put(invoice(who, "90.00", number="L-1"))
    memo = world.l.put(credit_memo(who, "30.00", number="C-1"))
    world.run()
    world.l.apply(memo.ref.id, bill.ref.id, D("20.00"), DAY)
    write = world.right.create

    def slow(record: Any, **kw: Any) -> Any:
        written = write(record, **kw)
        world.right.create = write
        [one] = world.r.get(Entity.PAYMENT, written.id).applications
        less = one.model_copy(update={"amount": D("15.00"), "amount_invoice": D("15.00")})
        linked = [c.model_copy(update={"amount": D("15.00")}) for c in record.credits]
        world.r.edit(Entity.PAYMENT, written.id, applications=(less,), credits=tuple(linked))
        return written

    world.right.create = slow
    world.run()
    world.l.unapply(memo.ref.id, bill.ref.id)
    world.l.apply(memo.ref.id, bill.ref.id, D("25.00"), DAY)
    for _ in range(2):
        report = world.run()
        assert report.operations == []
        assert sum(a.amount for p in world.r.all(Entity.PAYMENT) for a in p.applications) == D("15.00")
        assert any("conflict" in d.cause for d in report.discrepancies)


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


@pytest.mark.parametrize("field", ["memo", "total"])
def test_what_somebody_sets_back_after_a_write_whose_answer_was_lost_is_not_written_over(field: str) -> None:
    """The version tells that the record was touched, if not what became of the write."""
    values = {"memo": ("first", "second", "third"), "total": (D("30.00"), D("31.00"), D("32.00"))}[field]

    def as_(value: Any) -> dict[str, Any]:
        return {field: value} | ({"subtotal": value} if field == "total" else {})

    world = World()
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1", memo="first"))
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, **as_(values[1]))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="update", entity=Entity.INVOICE))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, **as_(values[0]))
    report = world.run(tick=900)
    assert any("set back by somebody, or never carried out" in d.cause for d in report.discrepancies)
    for conflict in (False, True):
        for _ in range(2):
            report = world.run()
            assert report.operations == []
            assert conflict == any("conflict" in d.cause for d in report.discrepancies)
            assert any(d.delta or d.field == "memo" for d in report.discrepancies)
        world.l.edit(Entity.INVOICE, bill.ref.id, **as_(values[2]))
    assert getattr(world.r.all(Entity.INVOICE)[0], field) == values[0]
    # Once both agree, what is changed at home goes there again.
    world.l.edit(Entity.INVOICE, bill.ref.id, **as_(values[0]))
    assert world.run().discrepancies == []
    world.l.edit(Entity.INVOICE, bill.ref.id, **as_(values[1]))
    world.run()
    assert getattr(world.r.all(Entity.INVOICE)[0], field) == values[1]


def test_what_is_sent_again_after_a_lost_request_is_no_conflict() -> None:
    world = World()
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1", memo="first"))
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="second")
    world.fail("right", Fault(FaultKind.LOSE_REQUEST, op="update", entity=Entity.INVOICE))
    world.run()
    report = world.settle(2)
    assert (world.r.all(Entity.INVOICE)[0].memo, report.discrepancies) == ("second", [])


@pytest.mark.parametrize("target", TARGETS)
def test_a_text_that_somebody_enters_right_before_a_void_is_named(target: str) -> None:
    world = World(right=target)
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "30.00", number="L-1", memo="ours"))
    world.run()
    world.l.void(Entity.INVOICE, bill.ref.id)
    write = world.right.void

    def slow(before: Any, **kw: Any) -> Any:
        world.right.void = write
        world.r.edit(Entity.INVOICE, before.id, memo="do not void: she will pay")
        return write(before, **kw)

    world.right.void = slow
    for _ in range(3):
        report = world.run()
        [mirror] = world.r.all(Entity.INVOICE)
        assert mirror.memo == "do not void: she will pay"
        # Where versions tell of the edit, nothing is voided over it.
        assert (mirror.state is PostingState.VOIDED) == (target == "searchable_marker")
        [one] = report.discrepancies
        assert one.code == ("WRITE_ALTERED" if target == "searchable_marker" else "VOID_VS_OPEN")
    assert report.operations == []
