"""Nothing dropped in silence, nothing sent unasked, nothing sent twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.world import DAY, D, World, credit_memo, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind
from tieout.model import Application, Credit, Entity, PostingState
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, sync
from tieout.sync.review import differences
from tieout.sync.store import open_store


def one_invoice(**kw: Any) -> tuple[World, Any]:
    world = World(**kw)
    ada = world.l.put(customer())
    return world, world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))


def test_an_approved_write_that_could_not_be_sent_is_sent_by_the_next_run() -> None:
    world, _ = one_invoice(mode="propose")
    world.approve(world.run())
    world.fail("right", Fault(FaultKind.NOT_SENT, op="create", entity=Entity.INVOICE))
    world.run()
    world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_a_write_that_waits_for_a_person_again_says_so() -> None:
    """Its approval expired after it could not be sent: nobody handed anything over, and the run is not done."""
    world, _ = one_invoice(mode="propose")
    world.approve(world.run())
    world.fail("right", Fault(FaultKind.NOT_SENT, op="create", entity=Entity.INVOICE))
    world.run()
    report = world.run(tick=25 * 3600)
    assert world.counts(Entity.INVOICE) == (1, 0)
    assert report.waiting == 1
    assert report.exit_code == 4
    assert "handed over" not in " ".join(d.cause for d in report.discrepancies)


@pytest.mark.parametrize("how", ["plan only", "observe"])
def test_nothing_is_sent_by_a_run_that_may_not_write(how: str) -> None:
    world, _ = one_invoice()
    world.fail("right", Fault(FaultKind.LOSE_REQUEST, op="create", entity=Entity.INVOICE))
    world.run()
    before = len(world.r.received)
    if how == "observe":
        world.set(mode="observe")
    world.run(apply=how == "observe")
    assert len(world.r.received) == before
    world.set(mode="auto")
    world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)


def test_what_got_stuck_is_never_sent_again_by_itself() -> None:
    """Written, then deleted by a person before it was read back: only a person has it made again."""
    world, _ = one_invoice()
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.delete(Entity.INVOICE, mirror.ref.id)
    world.store = open_store("sqlite://", clock=world.clock)
    # A state made anew is said first, and writes nothing.
    assert world.codes(world.run()) == ["MASS_CHANGE_GUARD", "SYNC_IN_FLIGHT"]
    assert world.run().applied["stuck"] == 1
    for _ in range(3):
        report = world.run(tick=5000)
        assert report.exit_code == 4
    assert world.counts(Entity.INVOICE) == (1, 0)


def test_a_repeat_that_could_not_be_sent_stays_unknown() -> None:
    """The first attempt may still land: its repeat being refused at the gate does not make it `never sent`."""
    world, _ = one_invoice()
    world.fail(
        "right",
        Fault(FaultKind.LATE, op="create", entity=Entity.INVOICE, seconds=3000),
        Fault(FaultKind.NOT_SENT, op="create", entity=Entity.INVOICE),
    )
    world.run()
    world.run()
    [intent] = [i for i in world.intents() if i["entity"] == "invoice"]
    assert intent["state"] == "unknown"


def test_three_lost_answers_in_a_row_and_the_target_is_left_alone() -> None:
    world = World()
    ada = world.l.put(customer())
    world.run()
    for n in range(8):
        world.l.put(invoice(ada.ref.id, f"{n + 1}.00", number=f"L-{n}"))
    lost = [Fault(FaultKind.LOSE_REQUEST, op="create", entity=Entity.INVOICE) for _ in range(8)]
    world.fail("right", *lost)
    report = world.run()
    assert report.applied["unknown"] == 3
    assert report.applied["blocked"] == 5
    world.fail("right")
    for _ in range(3):
        world.run(tick=900)
    assert world.counts(Entity.INVOICE) == (8, 8)


def test_a_clock_set_back_does_not_stretch_the_life_of_a_key() -> None:
    world, _ = one_invoice()
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", entity=Entity.INVOICE))
    world.run()
    world.l.edit(Entity.INVOICE, world.l.all(Entity.INVOICE)[0].ref.id, memo="x")
    # Two days later by the books, a day earlier by the machine that runs tieout; the feed lags.
    world.r.delete(Entity.INVOICE, world.r.all(Entity.INVOICE)[0].ref.id)
    sent = len(world.r.received)
    world.store.clock = lambda: world.clock() - timedelta(days=3)
    world.run(tick=48 * 3600)
    assert len(world.r.received) == sent


@pytest.mark.parametrize("by_payment", [False, True])
def test_a_credit_applied_to_one_invoice_in_parts_arrives_whole(by_payment: bool) -> None:
    world = World(right_caps={"credits_by_payment": by_payment})
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="I-1"))
    memo = world.l.put(credit_memo(ada.ref.id, "60.00", number="C-1"))

    def apply(*amounts: str) -> None:
        parts = tuple(
            Application(invoice=inv.ref.id, amount=D(a), amount_invoice=D(a), applied_on=DAY + timedelta(days=n))
            for n, a in enumerate(amounts)
        )
        world.l.edit(Entity.CREDIT_MEMO, memo.ref.id, applications=parts)
        for _ in range(2):
            world.run()
        [mirror] = world.r.all(Entity.INVOICE)
        wanted = D("100.00") - sum(map(D, amounts))
        assert world.l.open(Entity.INVOICE, inv.ref.id) == wanted
        assert world.r.open(Entity.INVOICE, mirror.ref.id) == wanted

    apply("10.00", "15.00")
    apply("10.00", "15.00", "5.00")
    apply("10.00", "15.00", "5.00", "20.00")


def test_applications_to_one_invoice_are_added_up_before_they_are_written() -> None:
    world = World(right_rules={"over_application": "drop"})
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "120.00", number="I-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("100.00"), subtotal=D("100.00"))
    world.run()
    sent = len(world.r.received)
    on = ((inv.ref.id, "60.00"), (inv.ref.id, "60.00"))
    world.l.put(payment(ada.ref.id, "120.00", on=on, reference="p"))
    report = world.run()
    assert len(world.r.received) == sent
    assert "OVER_APPLIED" in world.codes(report)


def test_a_payment_is_not_applied_to_an_invoice_that_is_void_over_there() -> None:
    world, inv = one_invoice()
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.void(Entity.INVOICE, mirror.ref.id)
    world.run()
    sent = len(world.r.received)
    world.l.put(payment(inv.customer, "100.00", on=((inv.ref.id, "100.00"),), reference="p"))
    report = world.run()
    assert len(world.r.received) == sent
    held = next(d for d in report.discrepancies if d.code == "OVER_APPLIED")
    assert "invoice L-1 is voided in right, and 100.00 more would be applied to it" in held.cause
    assert "take back" not in held.remedy


def test_a_payment_on_what_is_a_draft_over_there_waits_until_it_is_posted() -> None:
    world, inv = one_invoice()
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, state=PostingState.DRAFT)
    world.l.put(payment(inv.customer, "100.00", on=((inv.ref.id, "100.00"),), reference="p"))
    sent = len(world.r.received)
    report = world.run()
    assert (len(world.r.received), world.counts(Entity.PAYMENT)) == (sent, (1, 0))
    [held] = [d for d in report.discrepancies if d.kind == "payment"]
    assert "invoice L-1 is a draft in right, where nothing pays it yet, and 100.00 more would be" in held.cause
    assert held.remedy.startswith("post the invoice in right; nothing was written, and it follows by itself then")
    assert "OVER_APPLIED" not in world.codes(report)
    world.r.edit(Entity.INVOICE, mirror.ref.id, state=PostingState.POSTED)
    world.run()
    assert world.counts(Entity.PAYMENT) == (1, 1)


def test_a_change_of_a_payment_leaves_the_credit_in_its_group_alone() -> None:
    """Over there the payment was grouped with a credit; a new memo flows, and the credit stays used."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="I-1"))
    memo = world.l.put(credit_memo(ada.ref.id, "30.00", number="C-1"))
    pay = world.l.put(payment(ada.ref.id, "70.00", on=((inv.ref.id, "70.00"),), reference="p"))
    world.l.apply(memo.ref.id, inv.ref.id, D("30.00"), DAY)
    world.run()
    [theirs] = world.r.all(Entity.PAYMENT)
    [bill], [credit] = world.r.all(Entity.INVOICE), world.r.all(Entity.CREDIT_MEMO)
    world.r.edit(Entity.CREDIT_MEMO, credit.ref.id, applications=())
    grouped = (Application(invoice=bill.ref.id, amount=D(100), amount_invoice=D(100), applied_on=theirs.posted),)
    world.r.edit(
        Entity.PAYMENT,
        theirs.ref.id,
        applications=grouped,
        credits=(Credit(credit_memo=credit.ref.id, amount=D("30.00")),),
    )
    world.run()
    assert world.run().operations == []
    world.l.edit(Entity.PAYMENT, pay.ref.id, memo="deposited")
    world.run()
    [theirs] = world.r.all(Entity.PAYMENT)
    assert theirs.memo == "deposited"
    assert [c.amount for c in theirs.credits] == [D("30.00")]
    assert world.r.open(Entity.INVOICE, bill.ref.id) == 0


def test_which_credit_of_a_group_paid_which_invoice_is_not_guessed() -> None:
    """A payment of ours is grouped over there with a credit and two invoices: its applications are a person's."""
    world = World()
    ada = world.r.put(customer())
    a, b = (world.r.put(invoice(ada.ref.id, "60.00", number=f"I-{n}")) for n in (1, 2))
    credit = world.r.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    pay = world.r.put(payment(ada.ref.id, "100.00", on=((a.ref.id, "60.00"),), reference="p"))
    world.run()
    parts = tuple(
        Application(invoice=i, amount=D(x), amount_invoice=D(x), applied_on=pay.posted)
        for i, x in ((a.ref.id, "60.00"), (b.ref.id, "40.00"))
    )
    group = (Credit(credit_memo=credit.ref.id, amount=D("20.00")),)
    world.r.edit(Entity.PAYMENT, pay.ref.id, applications=parts, credits=group)
    before = len(world.l.received)
    report = world.run()
    assert len(world.l.received) == before
    assert any("group" in d.cause for d in report.discrepancies)


def test_more_applied_than_paid_is_not_carried_over() -> None:
    """A group whose credit is a journal entry reads as a payment of nothing that pays an invoice."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "50.00", number="I-1"))
    world.run()
    pay = world.l.put(payment(ada.ref.id, "50.00", reference="je"))
    stored = world.l.stored(Entity.PAYMENT, pay.ref.id)
    on = (Application(invoice=inv.ref.id, amount=D(50), amount_invoice=D(50), applied_on=DAY),)
    record = stored.record.model_copy(update={"amount": D("0.00"), "applications": on})
    object.__setattr__(stored, "record", record)
    report = world.run()
    assert world.counts(Entity.PAYMENT) == (1, 0)
    assert report.operations == []
    assert "OVER_APPLIED" in world.codes(report)


def test_a_credit_memo_that_grows_needs_a_person_too() -> None:
    world = World(unattended=frozenset())
    ada = world.l.put(customer())
    memo = world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    world.approve(world.run())
    world.run()
    world.l.edit(Entity.CREDIT_MEMO, memo.ref.id, total=D("2000.00"), subtotal=D("2000.00"))
    report = world.run()
    assert report.waiting == 1
    assert world.r.all(Entity.CREDIT_MEMO)[0].total == D("20.00")


def test_books_that_belong_to_two_pairs_pass_documents_on() -> None:
    """Born in the first, mirrored in the second, mirrored on into the third: none of them is a copy."""
    world, _ = one_invoice()
    third = open_third(world)
    world.run()
    on = Pair("onward", "right", "third", mode="auto", codes=Codes.same(), limits=world.pair.limits)

    def onward() -> Any:
        world.clock.tick(60)
        return sync(world.store, {"right": world.right, "third": third}, on, apply=True, heartbeat=False)

    report = onward()
    assert len(third.books.all(Entity.INVOICE)) == 1
    assert world.codes(report) == []
    assert onward().operations == []
    world.store = open_store("sqlite://", clock=world.clock)
    world.run()
    report = onward()
    assert report.operations == []
    assert len(third.books.all(Entity.INVOICE)) == 1


def test_a_rebuilt_state_doubles_nothing_along_a_chain_of_books() -> None:
    """Payments without a reference, passed on, then the state is lost: our marks are known again."""
    world, inv = one_invoice()
    for _ in range(2):
        world.l.put(payment(inv.customer, "10.00", reference=None))
    third = open_third(world)
    on = Pair("onward", "right", "third", mode="auto", codes=Codes.same(), limits=world.pair.limits)

    def both(first: bool = True) -> None:
        runs = [
            world.run,
            lambda: sync(world.store, {"right": world.right, "third": third}, on, apply=True, heartbeat=False),
        ]
        for run in runs if first else reversed(runs):
            world.clock.tick(4000)
            run()

    both()
    assert len(third.books.all(Entity.PAYMENT)) == 2
    world.store = open_store("sqlite://", clock=world.clock)
    both()
    assert len(third.books.all(Entity.PAYMENT)) == 2


def open_third(world: World) -> Any:
    from tieout.connectors.memory import open_books

    return open_books("third", clock=world.clock)


def test_an_invoice_void_on_both_sides_is_left_alone() -> None:
    world = World()
    ada = world.r.put(customer())
    inv = world.r.put(invoice(ada.ref.id, "100.00", number="R-1"))
    world.run()
    [mirror] = world.l.all(Entity.INVOICE)
    world.l.void(Entity.INVOICE, mirror.ref.id)
    world.r.edit(Entity.INVOICE, inv.ref.id, total=D(0), subtotal=D(0))
    world.r.void(Entity.INVOICE, inv.ref.id)
    report = world.run()
    assert report.operations == []
    assert differences.listed(world.store) == [] or all(d["delta"] == "0.00" for d in differences.listed(world.store))


def test_a_target_that_keeps_numbers_unique_says_nothing_of_what_has_none() -> None:
    """A payment without a reference whose write lands late: sending it again at once would book it twice."""
    world, inv = one_invoice(right="unique_number", right_rules={"unique_markers": False})
    world.run()
    world.l.put(payment(inv.customer, "40.00", reference=None))
    world.fail("right", Fault(FaultKind.LATE, op="create", entity=Entity.PAYMENT, seconds=100))
    world.run()
    for _ in range(3):
        world.run(tick=60)
    world.run(tick=900)
    assert world.counts(Entity.PAYMENT) == (1, 1)


def test_a_payment_that_someone_entered_by_hand_over_there_is_not_entered_again() -> None:
    """Same customer, day and amount, but no reference and not applied: a person says whether they are one."""
    world, inv = one_invoice()
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.put(payment(mirror.customer, "100.00", reference=None))
    world.l.put(payment(inv.customer, "100.00", on=((inv.ref.id, "100.00"),), reference="CHK 77"))
    for _ in range(2):
        world.run()
    assert world.counts(Entity.PAYMENT) == (1, 1)


def test_a_parent_pays_for_its_child_on_both_sides() -> None:
    world = World()
    parent = world.l.put(customer("Group"))
    child = world.l.put(customer("Group North", parent=parent.ref.id))
    inv = world.l.put(invoice(child.ref.id, "100.00", number="I-1"))
    world.l.put(payment(parent.ref.id, "100.00", on=((inv.ref.id, "100.00"),), reference="p"))
    for _ in range(2):
        world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    assert world.r.open(Entity.INVOICE, mirror.ref.id) == 0
    assert world.run().operations == []


def test_a_payment_moved_to_another_invoice_at_its_origin_is_moved_over_there() -> None:
    world, first = one_invoice()
    second = world.l.put(invoice(first.customer, "100.00", number="L-2"))
    pay = world.l.put(payment(first.customer, "100.00", on=((first.ref.id, "100.00"),), reference="p"))
    world.run()
    moved = Application(invoice=second.ref.id, amount=D(100), amount_invoice=D(100), applied_on=DAY)
    world.l.edit(Entity.PAYMENT, pay.ref.id, applications=(moved,))
    world.run()
    open_ = {i.number: world.r.open(Entity.INVOICE, i.ref.id) for i in world.r.all(Entity.INVOICE)}
    assert open_ == {"L-1": D(100), "L-2": 0}
    assert world.run().operations == []


def test_a_state_from_an_old_backup_doubles_nothing(tmp_path: Path) -> None:
    """Documents without numbers, also with the answer to one lost when the newer state was."""
    at = tmp_path / "state.db"
    world = World(right="searchable_marker", url=f"sqlite:///{at}")
    ada = world.l.put(customer())
    world.run()
    world.store.close()
    kept = at.read_bytes()
    world.store = open_store(world.url, clock=world.clock)
    world.l.put(invoice(ada.ref.id, "100.00", number=None))
    world.l.put(payment(ada.ref.id, "40.00", reference=None))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", entity=Entity.PAYMENT))
    world.run()
    world.store.close()
    at.write_bytes(kept)
    world.store = open_store(world.url, clock=world.clock)
    for _ in range(2):
        world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)
    assert world.counts(Entity.PAYMENT) == (1, 1)


def test_a_change_answered_by_silence_and_then_by_a_person_is_the_persons() -> None:
    world, inv = one_invoice()
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="ours")
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="update", entity=Entity.INVOICE))
    world.run()
    world.r.edit(Entity.INVOICE, mirror.ref.id, memo="typed by Bob")
    for _ in range(3):
        report = world.run(tick=900)
    assert world.r.get(Entity.INVOICE, mirror.ref.id).memo == "typed by Bob"
    assert world.l.get(Entity.INVOICE, inv.ref.id).memo == "ours"
    assert any(d.cause.startswith("conflict") for d in report.discrepancies)
