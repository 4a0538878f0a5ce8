"""What only a run can know is named while it lasts: late entries, crossed entries, cut and stale exports, odd writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_open_items import OpenItems
from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.compare import Checks
from tieout.compare.codes import CODES, OF_SYNC, of
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.errors import FatalError, RetriableError, TieoutError
from tieout.model import Entity, Line
from tieout.sync.review import decisions, differences

D = Decimal
WEEK = 7 * 86_400


def found(report: Any, code: str) -> list[Any]:
    return [d for d in report.discrepancies if d.code == code]


def listed(world: Any, code: str) -> list[dict[str, Any]]:
    return [d for d in differences.listed(world.store) if d["code"] == code]


def synced(**more: Any) -> tuple[World, Any]:
    """Two books in step, with one customer and one invoice, and what the left calls the customer."""
    world = World(**more)
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    assert world.run().discrepancies == []
    return world, ada.ref.id


# ── a period that was closed ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_entered_into_a_closed_period_is_named_until_it_is_answered() -> None:
    world, ada = synced()
    world.l.closed_through = DAY
    assert world.run().discrepancies == []  # closed from here on
    world.l.put(invoice(ada, "7.00", number="L-2"))
    report = world.run()
    [one] = found(report, "BACKDATED_AFTER_CLOSE")
    assert (one.left, one.right, one.left_value, one.delta) == (
        world.l.all(Entity.INVOICE)[1].ref.id,
        None,
        str(DAY),
        0,
    )
    assert one.cause.startswith(f"it moves left by 7.00 in a period closed through {DAY}")
    again = world.run()
    assert [d.id for d in found(again, "BACKDATED_AFTER_CLOSE")] == [one.id]
    decisions.decide(world.store, one.id, action="accept", by="Grace", reason="agreed with audit", pair="books")
    assert [d["state"] for d in listed(world, "BACKDATED_AFTER_CLOSE")] == ["accepted"]
    world.run()
    assert [d["state"] for d in listed(world, "BACKDATED_AFTER_CLOSE")] == ["accepted"]


def test_what_was_there_before_the_closing_or_lies_behind_it_is_no_late_entry() -> None:
    world = World()
    ada = world.l.put(customer()).ref.id
    world.l.put(invoice(ada, "100.00", number="L-1"))
    world.l.closed_through = DAY  # closed before tieout read anything: nothing is known of what came when
    for _ in range(2):
        assert found(world.run(), "BACKDATED_AFTER_CLOSE") == []
    world.l.put(invoice(ada, "9.00", number="L-3", posted=DAY + timedelta(days=1)))
    assert found(world.run(), "BACKDATED_AFTER_CLOSE") == []
    # Opened again, entered, closed again: that is how it is done with leave.
    world.l.closed_through = DAY - timedelta(days=30)
    world.run()
    world.l.put(invoice(ada, "8.00", number="L-4"))
    world.run()
    world.l.closed_through = DAY
    for _ in range(2):
        assert found(world.run(), "BACKDATED_AFTER_CLOSE") == []


# ── one event, entered twice ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_receipt_entered_in_both_books_and_carried_over_twice_is_named() -> None:
    world, ada = synced()
    world.l.put(payment(ada, "60.00", reference="ACH 77"))
    world.run()
    [there] = world.r.all(Entity.CUSTOMER)
    world.r.put(payment(there.ref.id, "60.00", reference="77-ACH"))
    for _ in range(3):
        report = world.run()
    assert world.counts(Entity.PAYMENT) == (2, 2)
    [one] = found(report, "DUPLICATE_CROSS_ORIGIN")
    assert (one.left_value, one.right_value, one.delta, one.confirmed) == ("60.00", "60.00", 0, False)
    assert "equal to ACH 77, which was born in left, while this one was born in right" in one.cause
    assert report.operations == []


def test_two_receipts_that_one_book_entered_itself_are_two() -> None:
    world, ada = synced()
    for reference in ("ACH 77", "ACH 78"):
        world.l.put(payment(ada, "60.00", reference=reference))
    world.run()
    [there] = world.r.all(Entity.CUSTOMER)
    world.r.put(payment(there.ref.id, "60.00", reference="x", when=DAY + timedelta(days=9)))  # another day
    world.r.put(payment(there.ref.id, "61.00", reference="y"))  # another amount
    for _ in range(3):
        report = world.run()
    assert world.counts(Entity.PAYMENT) == (4, 4)
    assert found(report, "DUPLICATE_CROSS_ORIGIN") == []


# ── a ledger by itself ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_invariant_is_listed_and_hides_no_other_finding() -> None:
    world, _ = synced(policy={(Entity.INVOICE, "lines"): "ignore"})
    [bill] = world.l.all(Entity.INVOICE)
    blank = dict.fromkeys(("item", "description", "quantity", "unit_price", "tax_code", "tax", "revenue_account"))
    world.l.edit(Entity.INVOICE, bill.ref.id, lines=(Line(**blank, net=D("99.00")),))
    report = world.run()
    [one] = found(report, "INVARIANT_BROKEN")
    assert (one.left, one.field, one.left_value) == (bill.ref.id, "I2 subtotal", "100.00")
    assert "left says 100.00, expected 99.00" in one.cause
    world.l.edit(Entity.INVOICE, bill.ref.id, lines=())
    assert found(world.run(), "INVARIANT_BROKEN") == []


def test_a_pair_is_asked_for_what_most_ledgers_have() -> None:
    world, ada = synced()
    world.l.put(invoice(ada, "5.00", number="L-4"))
    world.l.put(payment(ada, "500.00", reference="p"))
    world.run()
    assert world.run().discrepancies == []
    world.set(checks=Checks(gapless_numbers=frozenset({"left"}), negative_balances=True, unused_credit_days=90))
    report = world.run()
    assert world.codes(report) == ["NEGATIVE_BALANCE", "SEQUENCE_GAP"]
    # Money grows old although nothing moves: what was compared before is not believed over midnight.
    world.clock.tick(91 * 86_400)
    assert world.codes(world.run()) == ["CREDIT_UNUSED", "NEGATIVE_BALANCE", "SEQUENCE_GAP"]


# ── what was read ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_export_that_is_not_renewed_is_named_and_closes_by_a_new_one(tmp_path: Path) -> None:
    world = OpenItems(tmp_path)
    world.bill("100.00")
    world.day = world.clock().date()
    assert world.again().discrepancies == []
    world.clock.tick(WEEK)
    report = world.sync_again()
    assert report.discrepancies == []  # a weekly export is in time
    world.clock.tick(2 * 86_400)
    [one] = world.sync_again().discrepancies
    assert (one.code, one.left, one.right) == ("STALE_SNAPSHOT", "left", None)
    assert one.cause.startswith(f"the newest export of left is of {one.left_value}, 9 days ago")
    pull = world.left.pull

    def refused(*_: Any) -> Any:
        raise RetriableError("the newest export is older than the last one")

    world.left.pull = refused
    assert world.sync_again().failures
    assert [d["id"] for d in listed(world, "STALE_SNAPSHOT")] == [one.id]  # what was not read is no newer
    world.left.pull = pull
    world.pair = replace(world.pair, stale_after=None)
    assert world.sync_again().discrepancies == []
    world.pair = replace(world.pair, stale_after=timedelta(days=8))
    world.day = world.clock().date()
    assert world.again().discrepancies == []


def test_an_export_that_is_cut_short_is_named(tmp_path: Path) -> None:
    world = OpenItems(tmp_path)
    for amount in ("100.00", "50.00", "25.00"):
        world.bill(amount)
    assert world.again().discrepancies == []
    world.erp.misbehave(partial_export=1)
    report = world.again()
    [one] = found(report, "TRUNCATED_EXTRACT")
    assert "its manifest says" in one.cause
    assert found(report, "FALSE_DELETE_SUSPECTED") == []
    world.erp.misbehave(partial_export=0)
    assert world.again().discrepancies == []
    assert listed(world, "TRUNCATED_EXTRACT") == []


def test_much_that_is_gone_at_once_is_named_and_believed_by_nobody() -> None:
    world, ada = synced()
    for n in range(6):
        world.l.put(invoice(ada, "10.00", number=f"M-{n}"))
    world.run()
    assert world.run().discrepancies == []
    world.left.faults.arm(Fault(FaultKind.EMPTY, op="pull", entity=Entity.INVOICE))
    [one] = world.run(sweep=True).discrepancies
    assert (one.code, one.kind) == ("TRUNCATED_EXTRACT", "invoice")
    assert one.cause == "left/invoice: the read is not proved complete"
    assert world.run(sweep=True).discrepancies == []
    for bill in world.l.all(Entity.INVOICE)[:5]:
        world.l.delete(Entity.INVOICE, bill.ref.id)
    report = world.run(sweep=True)
    [one] = found(report, "FALSE_DELETE_SUSPECTED")
    assert one.cause == "left/invoice: 5 of 7 records are missing at once"
    assert report.operations == []
    assert world.run().fetched["left"]["invoice"] < 2  # only what changed, which says nothing of what is gone
    assert [d["id"] for d in listed(world, "FALSE_DELETE_SUSPECTED")] == [one.id]


def test_what_is_doubted_of_a_read_stands_or_falls_with_it_whatever_becomes_of_the_run() -> None:
    world, ada = synced()
    for n in range(6):
        world.l.put(invoice(ada, "10.00", number=f"M-{n}"))
    world.run()
    world.left.faults.arm(Fault(FaultKind.SHORT_LIST, op="pull", entity=Entity.INVOICE))
    assert len(found(world.run(sweep=True), "TRUNCATED_EXTRACT")) == 1
    _dies_after_the_left(world)  # it read the left anew, and whole
    world.run()
    assert listed(world, "TRUNCATED_EXTRACT") == []
    for bill in world.l.all(Entity.INVOICE)[:5]:
        world.l.delete(Entity.INVOICE, bill.ref.id)
    _dies_after_the_left(world, sweep=True)
    report = world.run()  # reads only what changed
    [one] = found(report, "FALSE_DELETE_SUSPECTED")
    assert one.cause == "left/invoice: 5 of 7 records are missing at once"
    assert [d["id"] for d in listed(world, "FALSE_DELETE_SUSPECTED")] == [one.id]


@pytest.mark.parametrize("fault", [FaultKind.LOSE_REQUEST, FaultKind.SHORT_LIST])
def test_what_was_not_read_whole_is_not_held_against_the_balances_that_a_system_states(fault: FaultKind) -> None:
    world, ada = synced()
    [bill] = world.l.all(Entity.INVOICE)
    world.l.put(payment(ada, "40.00", on=((bill.ref.id, "40.00"),)))
    world.left.faults.arm(Fault(fault, op="pull", entity=Entity.PAYMENT))
    report = world.run(sweep=True)
    assert (found(report, "BALANCE_MISMATCH_INTERNAL"), listed(world, "BALANCE_MISMATCH_INTERNAL")) == ([], [])
    assert world.run().applied["done"] == 1
    assert world.run().discrepancies == []


def _dies_after_the_left(world: World, **kw: Any) -> None:
    world.right.faults.arm(Fault(FaultKind.CRASH_BEFORE, op="pull"))
    with pytest.raises(SimulatedCrash):
        world.run(**kw)
    world.clock.tick(300)


def test_a_change_that_the_feed_left_out_is_named_until_the_next_sweep() -> None:
    world, _ = synced()
    stored = world.l.stored(Entity.INVOICE, world.l.all(Entity.INVOICE)[0].ref.id)
    world.clock.tick(WEEK // 14)  # half a day
    world.run()
    long_ago = stored.changed
    world.l.edit(Entity.INVOICE, stored.record.ref.id, memo="quietly")
    stored = world.l.stored(Entity.INVOICE, stored.record.ref.id)
    stored.changed = long_ago  # the feed goes by the time of change
    assert found(world.run(), "MISSED_CHANGE") == []
    report = world.run(sweep=True)
    [one] = found(report, "MISSED_CHANGE")
    assert (one.left_value, one.kind) == ("1", "invoice")
    assert stored.record.ref.id in one.cause
    world.run()
    assert len(listed(world, "MISSED_CHANGE")) == 1  # nothing was looked for, so nothing is taken back
    world.run(sweep=True)
    assert listed(world, "MISSED_CHANGE") == []


def test_a_missed_change_is_settled_by_a_look_at_its_own_connection_only() -> None:
    world, _ = synced()
    stored = world.l.stored(Entity.INVOICE, world.l.all(Entity.INVOICE)[0].ref.id)
    world.clock.tick(WEEK // 14)
    world.run()
    long_ago = stored.changed
    world.l.edit(Entity.INVOICE, stored.record.ref.id, memo="quietly")
    world.l.stored(Entity.INVOICE, stored.record.ref.id).changed = long_ago
    [one] = found(world.run(sweep=True), "MISSED_CHANGE")
    world.left.faults.arm(Fault(FaultKind.LOSE_REQUEST, op="pull", entity=Entity.INVOICE))
    assert world.run(sweep=True).failures
    assert [d["id"] for d in listed(world, "MISSED_CHANGE")] == [one.id]
    world.run(sweep=True)
    assert listed(world, "MISSED_CHANGE") == []


@pytest.mark.parametrize("error", [FatalError("no such cursor"), RetriableError("busy")])
def test_a_feed_that_fails_takes_nothing_from_a_read_of_everything(error: TieoutError) -> None:
    world, ada = synced()
    world.l.put(invoice(ada, "11.00", number="L-9"))
    pull = world.left.pull

    def broken(entity: Entity, cursor: str | None = None) -> Any:
        if cursor is not None:
            raise error
        return pull(entity, cursor)

    world.left.pull = broken
    report = world.run(sweep=True)
    assert (report.failures, report.applied["done"]) == ([], 1)
    world.left.pull = pull
    assert world.run().operations == []


def test_a_change_that_the_feed_shows_too_is_no_missed_one() -> None:
    world, ada = synced()
    world.l.edit(Entity.INVOICE, world.l.all(Entity.INVOICE)[0].ref.id, memo="said")
    world.l.put(invoice(ada, "11.00", number="L-9"))
    assert found(world.run(sweep=True), "MISSED_CHANGE") == []


# ── what was written ─────────────────────────────────────────────────────────────────────────────────────────────────


def taking(world: World, **otherwise: Any) -> None:
    """Let the right take what it is sent, but for these fields, of which it says nothing."""
    create = world.right.create

    def odd(record: Any, **kw: Any) -> Any:
        return create(record.model_copy(update=otherwise), **kw)

    world.right.create = odd


@pytest.mark.parametrize(
    ("code", "held", "said"), [("WRITE_ALTERED", "PO", "holds PO"), ("WRITE_DROPPED_FIELD", None, "holds null")]
)
def test_what_the_target_alters_or_drops_is_named_for_as_long_as_it_stands(code: str, held: str, said: str) -> None:
    world, ada = synced()
    taking(world, po_number=held)
    bill = world.l.put(invoice(ada, "30.00", number="L-2", po_number="PO-1"))
    [one] = found(world.run(), code)
    assert f"po_number: sent PO-1, {said}" in one.cause
    [later] = found(world.run(), code)
    assert (later.field, later.left_value, later.right_value or None) == ("po_number", "PO-1", held)
    world.l.edit(Entity.INVOICE, bill.ref.id, po_number=held)
    for _ in range(2):
        report = world.run()
    assert report.discrepancies == []


def test_what_the_target_alters_is_said_beside_the_difference_of_money() -> None:
    world = World(right_rules={"tax_rate": D("0.09975")})
    world.l.put(invoice(world.l.put(customer()).ref.id, "448.39", tax=D("40.66"), number="T-1"))
    report = world.run()
    [one] = [d for d in report.discrepancies if d.delta]
    assert (one.code, one.secondary) == ("TAX_AMOUNT", ("WRITE_ALTERED",))
    assert found(report, "WRITE_ALTERED") == []


def test_what_lands_after_it_was_taken_for_lost_is_named_so_and_nobody_is_blamed_for_it() -> None:
    world = World(right="searchable_marker")
    bill = world.l.put(invoice(world.l.put(customer()).ref.id, "100.00", number="L-1", memo="one"))
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="two")
    world.fail("right", Fault(FaultKind.LATE, op="update", seconds=7_200))  # longer than any write may take there
    world.run()
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="three")
    assert world.settle(3).discrepancies == []
    report = world.run(tick=7_200)
    [one] = report.discrepancies
    assert (one.code, one.left_value, one.right_value) == ("WRITE_ALTERED", "three", "two")
    assert "landed_late: it holds what tieout sent to right at " in one.cause
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, memo="by hand")
    [one] = world.run().discrepancies
    assert (one.code, one.right_value) == ("UNAUTHORISED_EDIT_AFTER_POST", "by hand")


def test_a_record_that_moved_between_plan_and_write_is_named_once() -> None:
    world, _ = synced()
    [bill], [mirror] = world.l.all(Entity.INVOICE), world.r.all(Entity.INVOICE)
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="new")
    get = world.right.get

    def raced(entity: Entity, id: str) -> Any:
        world.right.get = get
        world.r.edit(Entity.INVOICE, mirror.ref.id, due=DAY)
        return get(entity, id)

    world.right.get = raced
    report = world.run()
    assert report.applied["stale"] == 1
    [one] = found(report, "STALE_VERSION")
    assert (one.severity, one.delta) == ("low", 0)
    assert found(world.run(), "STALE_VERSION") == []


# ── answers that grow old ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_acceptance_that_ran_out_says_so_until_it_is_decided_anew() -> None:
    world, ada = synced()
    world.set(mode="link")
    world.l.put(invoice(ada, "30.00", number="L-2"))
    [one] = world.run().discrepancies
    until = "2026-01-20T00:00:00Z" if world.clock().date() < date(2026, 1, 20) else f"{world.clock().date()}T23:59:59Z"
    decisions.decide(world.store, one.id, action="accept", by="Grace", reason="soon", until=until, pair="books")
    world.run()
    [row] = differences.listed(world.store)
    assert (row["state"], row["secondary"]) == ("accepted", ["MISSING_IN_B"])
    world.clock.tick(20 * 86_400)
    for _ in range(2):
        world.run()
        [row] = differences.listed(world.store)
        assert (row["state"], row["secondary"]) == ("open", ["MISSING_IN_B", "EXPIRED_ACKNOWLEDGEMENT"])
    decisions.decide(world.store, one.id, action="acknowledge", by="Grace", reason="", pair="books")
    world.run()
    [row] = differences.listed(world.store)
    assert (row["state"], row["secondary"]) == ("acknowledged", ["MISSING_IN_B"])


def test_a_difference_of_money_that_nobody_cared_for_is_marked_as_old() -> None:
    world, ada = synced()
    world.set(mode="link")
    world.l.put(invoice(ada, "30.00", number="L-2"))
    world.run()
    world.clock.tick(29 * 86_400)
    world.run()
    assert [d["secondary"] for d in differences.listed(world.store)] == [["MISSING_IN_B"]]
    world.clock.tick(2 * 86_400)
    world.run()
    assert [d["secondary"] for d in differences.listed(world.store)] == [["MISSING_IN_B", "AGED_RECON_ITEM"]]


def test_a_difference_that_was_settled_and_is_there_again_is_as_old_as_its_return() -> None:
    world, _ = synced()
    world.set(mode="link")
    [bill] = world.l.all(Entity.INVOICE)
    for total in ("130.00", "100.00"):
        world.l.edit(Entity.INVOICE, bill.ref.id, subtotal=D(total), total=D(total))
        world.run()
    assert differences.listed(world.store) == []
    world.clock.tick(60 * 86_400)
    world.l.edit(Entity.INVOICE, bill.ref.id, subtotal=D("130.00"), total=D("130.00"))
    for days, aged in ((0, False), (29, False), (2, True)):
        world.clock.tick(days * 86_400)
        world.run()
        [row] = [d for d in differences.listed(world.store) if D(d["delta"])]
        assert ("AGED_RECON_ITEM" in row["secondary"]) is aged, days


def test_money_that_is_applied_in_one_system_alone_is_told_where_the_other_has_applied_none_yet() -> None:
    world, ada = synced()
    world.l.put(payment(ada, "45.00", on=(("INV-1", "45.00"),), reference="EP-1"))
    world.right.faults.arm(Fault(FaultKind.CRASH_BEFORE, op="create", entity=Entity.PAYMENT))
    with pytest.raises(SimulatedCrash):
        world.run()
    world.clock.tick(3 * 86_400)  # the key is no longer known there, and somebody enters what looks like it
    world.r.put(payment(world.r.all(Entity.CUSTOMER)[0].ref.id, "45.00", reference="QP-1"))
    for _ in range(2):
        report = world.run()
        [one] = found(report, "UNAPPLIED_CASH")
        assert (one.left_label, one.right_label, one.left_value, one.right_value) == ("EP-1", "QP-1", "45.00", "0.00")
        assert "L-1" in one.cause


@pytest.mark.parametrize("code", [*OF_SYNC, *CODES])
def test_every_code_says_what_to_do(code: str) -> None:
    assert of(code).cause
    assert of(code).remedy
