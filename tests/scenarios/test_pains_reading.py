"""What users of other syncs suffer from: what was deleted, what only seemed to be, and what a cursor or a page would lose."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.scenarios.world import DAY, D, World, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind
from tieout.model import Entity, PostingState
from tieout.sync.review import differences

THREE_DAYS = 3 * 24 * 3600
MONTHS = 70 * 24 * 3600


def settled(n: int = 6, **kw) -> World:
    """Two books in step, with `n` invoices born on the left and a payment on the first."""
    world = World(**kw)
    ada = world.l.put(customer())
    for i in range(n):
        world.l.put(invoice(ada.ref.id, f"{10 + i}.00", number=f"L-{i}"))
    if n:
        world.l.put(payment(ada.ref.id, "10.00", on=(("INV-1", "10.00"),), reference="p"))
    world.run()
    return world


@pytest.mark.parametrize("away", [60, THREE_DAYS, MONTHS])
def test_deletions_and_voids_are_found_within_and_beyond_the_window_of_the_feed(away: int) -> None:
    """By the feed, or by the sweep that is due by then; a void is no edit to zero, and neither flows unasked."""
    world = settled(unattended=frozenset())
    gone, void = (i for i in world.r.all(Entity.INVOICE) if i.number in ("L-3", "L-4"))
    world.l.delete(Entity.INVOICE, "INV-3")
    world.l.void(Entity.INVOICE, "INV-5", DAY)
    world.l.edit(Entity.INVOICE, "INV-6", total=D("0.00"), subtotal=D("0.00"))
    report = world.run(tick=away)
    assert sorted((o.op.value, o.label) for o in report.operations) == [("update", "L-5"), ("void", "L-4")]
    assert report.exit_code == 4
    assert gone is not None
    assert world.r.get(Entity.INVOICE, void.ref.id).state is PostingState.POSTED
    found = {d["code"]: d for d in differences.listed(world.store)}
    assert "deleted at its origin" in found["DELETED_VS_OPEN"]["cause"]
    assert world.counts(Entity.INVOICE) == (5, 6)
    assert world.r.all(Entity.INVOICE)[5].total == 0
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"


def test_voided_here_and_deleted_there_is_a_control_exception_not_a_missing_document() -> None:
    """Nothing is owed in either ledger, and nothing is written; that a posted document was deleted is to explain."""
    world = settled(unattended=frozenset())
    there = next(i for i in world.r.all(Entity.INVOICE) if i.number == "L-2")
    world.l.void(Entity.INVOICE, "INV-3", DAY)
    world.r.delete(Entity.INVOICE, there.ref.id)
    report = world.run()
    assert report.operations == []
    (found,) = differences.listed(world.store)
    assert (found["code"], found["class"], found["delta"]) == ("VOID_VS_DELETED", "N", "0.00")
    assert "evidence" in found["remedy"]
    assert [d["code"] for d in differences.listed(world.store) if world.run(tick=THREE_DAYS)] == ["VOID_VS_DELETED"]


@pytest.mark.parametrize("kind", [FaultKind.TOMBSTONE_LIE, FaultKind.EMPTY, FaultKind.SHORT_LIST, FaultKind.TRUNCATE])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_source_that_lies_or_fails_never_deletes_anything(kind: FaultKind, side: str) -> None:
    """A tombstone that is none, an empty or short list, a page that fails: nothing is voided, made or closed."""
    world = settled()
    before = world.l.fingerprint(), world.r.fingerprint()
    for entity in (Entity.INVOICE, Entity.CUSTOMER):
        getattr(world, side).faults.arm(Fault(kind, op="pull", entity=entity))
    report = world.run(tick=THREE_DAYS)
    assert getattr(world, side).faults.struck
    assert report.operations == []
    assert [d for d in report.discrepancies if d.delta] == []
    report = world.run()
    assert (report.operations, report.discrepancies) == ([], [])
    assert (world.l.fingerprint(), world.r.fingerprint()) == before


def test_no_answer_to_a_question_about_one_record_is_no_deletion() -> None:
    """The tombstone is right, but reading by id fails: it waits, and the next run finds out."""
    world = settled()
    world.l.delete(Entity.INVOICE, "INV-3")
    world.fail("left", Fault(FaultKind.LOSE_REQUEST, op="get"))
    report = world.run()
    assert (report.failures, report.operations) == ([], [])
    # The books' own total lacks it already.
    assert [d["code"] for d in differences.listed(world.store)] == ["UNTRACED_TIE_OUT"]
    world.run()
    assert [d["code"] for d in differences.listed(world.store)] == ["DELETED_VS_OPEN"]


def test_a_file_that_lacks_a_record_once_deletes_nothing() -> None:
    """Without reading by id, two complete exports of different days have to agree."""
    world = settled(left="file", right="idempotency_key")
    world.l.import_outbox()
    world.run()
    world.l.delete(Entity.INVOICE, "INV-2")
    assert world.run(tick=60).operations == []
    # The books' own total lacks it already.
    assert [d["code"] for d in differences.listed(world.store) if d["class"] != "N"] == ["UNTRACED_TIE_OUT"]
    report = world.run(tick=THREE_DAYS)
    assert report.operations == []
    assert "DELETED_VS_OPEN" in [d["code"] for d in differences.listed(world.store)]
    assert world.counts(Entity.INVOICE) == (5, 6)


def test_what_was_removed_at_the_mirror_is_never_made_again_by_itself() -> None:
    """Not on the next run, not after its origin changes, not after months."""
    world = settled()
    world.r.delete(Entity.INVOICE, "INV-2")
    world.run()
    world.l.edit(Entity.INVOICE, "INV-2", memo="touched")
    for tick in (60, THREE_DAYS, MONTHS):
        assert world.run(tick=tick).operations == []
    assert world.counts(Entity.INVOICE) == (6, 5)
    found = {d["code"]: d for d in differences.listed(world.store)}
    assert "changed meanwhile" in found["DELETED_VS_OPEN"]["cause"]


@pytest.mark.parametrize("n", [0, 1, 100, 101])
def test_as_many_are_read_as_there_are(n: int) -> None:
    """None, one, exactly a page, one more; and again with one added and one gone."""
    world = World()
    ada = world.l.put(customer())
    for i in range(n):
        world.l.put(invoice(ada.ref.id, "1.00", number=f"L-{i}"))
    report = world.run()
    assert report.fetched["left"] == {"customer": 1, "invoice": n, "credit_memo": 0, "payment": 0, "adjustment": 0}
    assert world.counts(Entity.INVOICE) == (n, n)
    if n != 101:
        return
    world.l.put(invoice(ada.ref.id, "2.00", number="late"))
    world.l.delete(Entity.INVOICE, "INV-1")
    report = world.run(sweep=True)
    assert report.fetched["left"]["invoice"] == n
    assert world.counts(Entity.INVOICE) == (n, n + 1)


def test_nothing_falls_between_two_cursors() -> None:
    """Within one second of the last read, with a clock that runs apart, and after an outage beyond the feed."""
    world = World()
    ada = world.l.put(customer())
    world.run()
    world.l.put(invoice(ada.ref.id, "1.00", number="same second"))
    world.run(tick=0)
    world.l.put(invoice(ada.ref.id, "2.00", number="the same again"))
    world.run(tick=0)
    assert world.counts(Entity.INVOICE) == (2, 2)
    for skew in (-7200, 7200):
        world.l.skew(skew)
        world.l.put(invoice(ada.ref.id, f"{9000 + skew}.00", number=f"skewed {skew}"))
        world.run(tick=THREE_DAYS if skew < 0 else 1)
    assert world.counts(Entity.INVOICE) == (4, 4)
    world.l.put(invoice(ada.ref.id, "4.00", number="before the outage"))
    world.run(tick=MONTHS)
    assert world.counts(Entity.INVOICE) == (5, 5)


def test_a_failed_read_does_not_move_the_cursor() -> None:
    """What a broken page hid is there in the next run, without a sweep."""
    world = settled()
    world.l.put(invoice("CUS-1", "5.00", number="hidden", posted=DAY + timedelta(days=1)))
    world.fail("left", Fault(FaultKind.TRUNCATE, op="pull", entity=Entity.INVOICE))
    assert world.run().exit_code == 3
    assert world.counts(Entity.INVOICE) == (7, 6)
    world.run()
    assert world.counts(Entity.INVOICE) == (7, 7)


def test_a_record_that_is_said_to_be_deleted_before_it_was_ever_seen_is_asked_for_by_id() -> None:
    """A feed that lies about a new record must not hide it until the next full read, a day later."""
    world = World()
    world.run()
    world.l.put(customer("Ada Ltd"))
    world.fail("left", Fault(FaultKind.TOMBSTONE_LIE, op="pull", entity=Entity.CUSTOMER))
    world.run()
    assert [f.kind for f in world.left.faults.struck] == [FaultKind.TOMBSTONE_LIE]
    assert world.counts(Entity.CUSTOMER) == (1, 1)
    gone = world.l.put(customer("Bob Ltd"))
    world.l.delete(Entity.CUSTOMER, gone.ref.id)
    assert world.run().failures == []
    assert world.counts(Entity.CUSTOMER) == (1, 1)
