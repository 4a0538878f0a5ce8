"""What users of other syncs suffer from: what goes wrong while one system is written to."""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.deep import each
from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.errors import TieoutError
from tieout.model import Entity, PostingState
from tieout.sync.review import decisions, differences
from tieout.sync.store import open_store

D = Decimal


def quiet(world: World) -> None:
    """Nothing changed: nothing is planned, written, opened or closed."""
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert (report.changes.opened, report.changes.closed) == (0, 0)
    assert (world.l.fingerprint(), world.r.fingerprint()) == before


def one(world: World, code: str) -> dict[str, Any]:
    """The one open discrepancy of a code."""
    found = [d for d in differences.listed(world.store) if d["code"] == code]
    assert len(found) == 1, [(d["code"], d["cause"]) for d in differences.listed(world.store)]
    return found[0]


def sent(world: World) -> int:
    return len(world.l.received) + len(world.r.received)


@pytest.mark.parametrize("target", ["idempotency_key", "unique_number", "searchable_marker"])
def test_a_lost_answer_never_makes_a_second_document(target: str) -> None:
    """Killed after the server committed, for each kind of record."""
    for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT):
        world = World(right=target)
        ada = world.l.put(customer())
        inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
        memo = world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
        world.l.apply(memo.ref.id, inv.ref.id, D("20.00"), DAY)
        world.l.put(payment(ada.ref.id, "60.00", on=((inv.ref.id, "60.00"),), reference="p1"))
        world.fail("right", Fault(FaultKind.CRASH_AFTER, op="create", entity=entity))
        with contextlib.suppress(SimulatedCrash):
            world.run()
        assert world.right.faults.struck, entity
        for _ in range(2):
            world.run(tick=900)
        made = Counter((e.entity, e.marker) for e in world.r.log if e.op == "create")
        assert set(made.values()) == {1}, (entity, made)
        assert [world.counts(e)[1] for e in (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)] == [
            1
        ] * 4
        [mirror] = world.r.all(Entity.INVOICE)
        assert world.r.open(Entity.INVOICE, mirror.ref.id) == D("20.00"), entity


def test_a_replayed_answer_that_names_a_deleted_document_is_not_believed() -> None:
    """The target replays the first answer although a person deleted the document since."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.delete(Entity.INVOICE, mirror.ref.id)
    world.store = open_store("sqlite://", clock=world.clock)
    first = world.run()
    assert (first.exit_code, world.codes(first).count("MASS_CHANGE_GUARD")) == (
        4,
        1,
    )  # older than the books: said first
    report = world.run()
    assert report.applied["done"] == 0
    assert report.applied["stuck"] == 1
    assert report.exit_code == 4
    assert "created_then_missing" in one(world, "UNCERTAIN_WRITE")["cause"]
    assert world.counts(Entity.INVOICE) == (1, 0)


def test_a_deleted_mirror_is_made_again_only_by_a_person_and_under_a_new_key() -> None:
    """2 and 7: the key carries a generation; the new document has a new id."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [first] = world.r.all(Entity.INVOICE)
    world.r.delete(Entity.INVOICE, first.ref.id)
    report = world.run()
    assert report.operations == []
    found = one(world, "DELETED_VS_OPEN")
    assert "removed at the mirror" in found["cause"]
    quiet(world)
    decisions.decide(world.store, found["id"], action="recreate", by="Grace", reason="deleted by mistake")
    report = world.run()
    assert [(o.op.value, o.generation) for o in report.operations] == [("create", 1)]
    assert report.applied["done"] == 1
    [second] = world.r.all(Entity.INVOICE)
    assert second.ref.id != first.ref.id
    keys = [i["key"] for i in world.intents() if i["entity"] == "invoice"]
    assert len(set(keys)) == 2
    assert differences.listed(world.store) == []
    quiet(world)
    world.store = open_store("sqlite://", clock=world.clock)
    world.run()
    assert len(world.r.all(Entity.INVOICE)) == 1


def test_a_version_moved_by_a_payment_is_not_a_conflict_but_changed_content_is() -> None:
    """Paying bumps the invoice's token; the update reads again, and never overwrites what someone typed."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="a"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.put(payment(mirror.customer, "40.00", on=((mirror.ref.id, "40.00"),), reference="r1"))
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="b")
    report = world.run()
    assert report.applied["done"] == 2
    assert world.r.get(Entity.INVOICE, mirror.ref.id).memo == "b"
    quiet(world)
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="c")
    world.r.edit(Entity.INVOICE, mirror.ref.id, memo="typed by Bob")
    report = world.run()
    assert report.operations == []
    [d] = report.discrepancies
    assert d.cause.startswith("conflict")
    assert world.r.get(Entity.INVOICE, mirror.ref.id).memo == "typed by Bob"


def test_a_record_that_moves_between_plan_and_write_is_left_alone() -> None:
    """What someone changed after the plan was made is not overwritten; it is planned again."""
    world = World()
    world.set(mode="propose")
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="a"))
    world.approve(world.run())
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="b")
    planned = world.run()
    world.approve(planned)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("90.00"), subtotal=D("90.00"))
    report = world.run()
    assert report.applied["done"] == 0
    assert report.plan_id != planned.plan_id
    held = world.r.get(Entity.INVOICE, mirror.ref.id)
    assert (held.memo, held.total) == ("a", D("90.00"))


@pytest.mark.parametrize("target", ["idempotency_key", "searchable_marker"])
def test_a_closed_period_is_named_never_redated_and_never_retried_in_a_loop(target: str) -> None:
    """Whether the lock can be read before or only shows as a refusal."""
    world = World(right=target)
    ada = world.l.put(customer())
    old = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", posted=date(2025, 12, 31)))
    new = world.l.put(invoice(ada.ref.id, "50.00", number="L-2", memo="a"))
    world.r.closed_through = date(2025, 12, 31)
    for _ in range(4):
        report = world.run()
    tried = [r for r in world.r.received if r.request.entity is Entity.INVOICE and r.outcome != "done"]
    assert len(tried) == (0 if target == "idempotency_key" else 1)
    found = one(world, "PERIOD_LOCKED")
    assert "closed_period" in found["cause"]
    assert "2025-12-31" in found["cause"]
    assert [i.number for i in world.r.all(Entity.INVOICE)] == ["L-2"]
    assert world.l.get(Entity.INVOICE, old.ref.id).posted == date(2025, 12, 31)
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    quiet(world)
    # A change of a document whose period closed meanwhile: refused once, then left to a person.
    world.r.closed_through = date(2026, 1, 31)
    world.l.edit(Entity.INVOICE, new.ref.id, total=D("55.00"), subtotal=D("55.00"))
    before = len(world.r.received)
    for _ in range(4):
        report = world.run()
    assert len(world.r.received) - before == (0 if target == "idempotency_key" else 1)
    assert [d for d in report.discrepancies if d.delta == D("-5.00") and "closed_period" in d.cause]
    assert world.r.all(Entity.INVOICE)[0].total == D("50.00")
    quiet(world)
    # The period opens again: what it held back follows, in its own time or when a person says so.
    world.r.closed_through = None
    if target == "searchable_marker":
        for d in differences.listed(world.store):
            decisions.decide(world.store, d["id"], action="retry", by="Grace", reason="the period is open again")
    world.settle(1)
    assert world.r.receivables(date(2026, 12, 31)) == {"USD": D("155.00")}
    quiet(world)


@pytest.mark.parametrize("reopened", [None, date(2025, 11, 30)])
def test_what_was_refused_because_a_period_closed_under_it_follows_when_the_period_opens_again(reopened: Any) -> None:
    """Closed between the read and the write, which shows as a refusal; later runs read it."""
    world = World()
    ada = world.l.put(customer()).ref.id
    world.run()
    create = world.right.create

    def closing(record: Any, **kw: Any) -> Any:
        world.right.create = create  # type: ignore[method-assign]
        world.r.closed_through = date(2025, 12, 31)
        return create(record, **kw)

    world.right.create = closing  # type: ignore[method-assign]
    world.l.put(invoice(ada, "100.00", number="L-1", posted=date(2025, 12, 31)))
    report = world.run()
    assert (report.applied["rejected"], world.codes(report)) == (1, ["PERIOD_LOCKED"])
    sent = len(world.r.received)
    for _ in range(3):
        assert world.codes(world.run()) == ["PERIOD_LOCKED"]
    assert len(world.r.received) == sent
    world.l.put(invoice(ada, "50.00", number="L-2", posted=date(2025, 12, 31)))
    assert world.codes(world.run()) == ["PERIOD_LOCKED"] * 2
    world.r.closed_through = reopened
    assert world.codes(world.run()) == ["PERIOD_LOCKED"], "and what was held follows at once, into an open period"
    world.run()
    assert {i.number for i in world.r.all(Entity.INVOICE)} == {"L-1", "L-2"}
    quiet(world)


def test_twenty_runs_without_a_change_write_nothing() -> None:
    """An own entry that comes back is known; with the state lost it is adopted by its mark."""
    world = World()
    ada = world.l.put(customer())
    bob = world.r.put(customer("Bob"))
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.r.put(invoice(bob.ref.id, "10.00", number=None))
    world.l.put(payment(ada.ref.id, "60.00", on=((inv.ref.id, "60.00"),)))
    world.run()
    writes, prints = sent(world), (world.l.fingerprint(), world.r.fingerprint())
    for n in range(20):
        assert world.run(tick=3600 * (1 + n)).operations == []
    assert (sent(world), (world.l.fingerprint(), world.r.fingerprint())) == (writes, prints)
    world.store = open_store("sqlite://", clock=world.clock)
    first = world.run()
    assert first.operations == []
    assert [(d.code, d.field) for d in first.discrepancies] == [("MASS_CHANGE_GUARD", "state_older")]
    report = world.run()
    assert (report.operations, report.discrepancies) == ([], [])
    assert sent(world) == writes
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="still owned by the left")
    assert world.run().applied["done"] == 1


def test_a_throttled_target_is_left_alone_and_the_rest_follows() -> None:
    """One refusal stops the writing of this run; nothing is hammered, nothing is lost, reads stay few."""
    world = World()
    ada = world.l.put(customer())
    for n in range(5):
        world.l.put(invoice(ada.ref.id, f"{10 + n}.00", number=f"L-{n}"))
    world.fail("right", Fault(FaultKind.THROTTLE, op="create", nth=3))
    report = world.run()
    assert (report.applied["done"], report.applied["blocked"]) == (2, 4)
    creates = [c for c in world.right.faults.calls if c[0] == "create"]
    assert len(creates) == 3
    assert world.run().applied["done"] == 4
    assert world.counts(Entity.INVOICE) == (5, 5)
    quiet(world)
    world.right.faults.calls.clear()
    quiet(world)
    reads = Counter(op for op, _ in world.right.faults.calls)
    assert reads["pull"] == len(Entity)
    assert reads["get"] == 0


def test_a_write_that_raises_something_unforeseen_does_not_stop_the_others() -> None:
    """An entity that cannot be read does not stop the run, and its absence is not believed."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    world.run()
    world.l.put(invoice(ada.ref.id, "20.00", number="L-2"))
    world.fail("right", Fault(FaultKind.TRUNCATE, op="pull", entity=Entity.PAYMENT))
    report = world.run()
    assert report.exit_code == 3
    assert report.failures
    assert world.counts(Entity.INVOICE) == (2, 2)


def test_an_update_leaves_everything_else_as_it_was() -> None:
    """Unmapped fields, the memo, another one's allocation and reversed history survive."""
    world = World()
    ada = world.l.put(customer())
    one_ = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="a"))
    two = world.l.put(invoice(ada.ref.id, "100.00", number="L-2"))
    pay = world.l.put(payment(ada.ref.id, "90.00", on=((one_.ref.id, "30.00"),), reference="p"))
    world.run()
    [mirror, second] = world.r.all(Entity.INVOICE)
    [paid] = world.r.all(Entity.PAYMENT)
    for entity, id in ((Entity.INVOICE, mirror.ref.id), (Entity.PAYMENT, paid.ref.id)):
        world.r.annotate(entity, id, custom={"Sales Rep": "Ann", "n": 3})
    world.r.apply(paid.ref.id, mirror.ref.id, D("5.00"), DAY + timedelta(days=1))
    world.r.unapply(paid.ref.id, mirror.ref.id, DAY + timedelta(days=2))
    world.r.apply(paid.ref.id, mirror.ref.id, D("10.00"), DAY + timedelta(days=3))
    world.r.apply(paid.ref.id, mirror.ref.id, D("20.00"), DAY + timedelta(days=4))
    world.run()
    before = world.r.fingerprint()
    world.l.edit(Entity.INVOICE, one_.ref.id, memo="b")
    world.l.apply(pay.ref.id, two.ref.id, D("40.00"), DAY)
    assert world.run().applied["done"] == 2
    after = world.r.fingerprint()
    expected = before[f"invoice:{mirror.ref.id}"]
    expected[1]["memo"] = "b"
    assert after[f"invoice:{mirror.ref.id}"] == expected
    was, now = before[f"payment:{paid.ref.id}"], after[f"payment:{paid.ref.id}"]
    assert now[2] == {"custom": {"Sales Rep": "Ann", "n": 3}}
    kept = [a for a in now[1]["applications"] if a["invoice"] != second.ref.id]
    assert sorted(map(str, kept)) == sorted(map(str, was[1]["applications"]))
    assert world.r.open(Entity.INVOICE, second.ref.id) == D("60.00")
    quiet(world)


def test_an_edit_made_while_an_answer_is_missing_still_arrives() -> None:
    """1 and 3: the outcome of a write is settled against what was sent, not against what the origin says by then."""
    world = World(right="searchable_marker")
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="a"))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", entity=Entity.INVOICE))
    assert world.run().applied["unknown"] == 1
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="b")
    world.settle(2)
    assert [i.memo for i in world.r.all(Entity.INVOICE)] == ["b"]
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="update"))
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="c")
    assert world.run().applied["unknown"] == 1
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="d")
    world.settle(2)
    assert [i.memo for i in world.r.all(Entity.INVOICE)] == ["d"]
    quiet(world)


def test_a_void_lost_on_the_way_is_carried_out_once() -> None:
    """1 and 6: an unanswered void is read back, then sent again only if it was not done."""
    for kind in (FaultKind.LOSE_RESPONSE, FaultKind.LOSE_REQUEST):
        world = World()
        ada = world.l.put(customer())
        inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
        world.run()
        world.l.void(Entity.INVOICE, inv.ref.id, DAY)
        world.fail("right", Fault(kind, op="void"))
        with contextlib.suppress(TieoutError):
            world.run()
        world.settle(2)
        [mirror] = world.r.all(Entity.INVOICE)
        assert mirror.state is PostingState.VOIDED
        assert sum(e.op == "void" for e in world.r.log) == 1
        quiet(world)


def test_what_was_handed_over_in_a_file_counts_only_when_an_export_shows_it() -> None:
    """Creates and changes alike are pending until then, are never handed over twice, and lose no later edit."""
    world = World(right="file")
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="a"))
    assert world.run().applied["pending"] == 1
    for _ in range(2):
        assert world.run(tick=900).applied["done"] == 0
    world.r.import_outbox()
    for _ in range(2):
        world.run(tick=900)
        world.r.import_outbox()
    assert world.run(tick=900).discrepancies == []
    files = len(world.r.outbox)
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="b")
    assert world.run().applied["pending"] == 1
    for _ in range(2):
        report = world.run(tick=900)
        assert (report.applied["done"], report.operations) == (0, [])
    assert len(world.r.outbox) == files + 1
    assert [d for d in report.discrepancies if "no export shows the change yet" in d.cause]
    world.l.edit(Entity.INVOICE, inv.ref.id, memo="c")
    world.r.import_outbox()
    world.settle(2)
    world.r.import_outbox()
    world.settle(2)
    assert [i.memo for i in world.r.all(Entity.INVOICE)] == ["c"]
    assert len(world.r.outbox) == files + 2
    quiet(world)


@pytest.mark.parametrize(
    ("at", "kind"), each(range(4), [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER, FaultKind.LOSE_RESPONSE])
)
def test_a_change_that_is_made_again_and_again_is_handed_over_once_each_time(at: int, kind: FaultKind) -> None:
    """A to B, back to A, and so on: each is a write of its own, and a run that died in one of them makes no other."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, number="L-1", memo="A"))
    world.run()
    for n, memo in enumerate("BABA"):
        world.l.edit(Entity.INVOICE, inv.ref.id, memo=memo)
        if n == at:
            world.fail("right", Fault(kind, op="update", entity=Entity.INVOICE))
            with contextlib.suppress(SimulatedCrash):
                world.run()
            world.fail("right")
        world.settle()
        [mirror] = world.r.all(Entity.INVOICE)
        assert mirror.memo == memo
        updates = [i for i in world.intents() if i["op"] == "update" and i["state"] == "done"]
        assert len({i["key"] for i in updates}) == len(updates) == n + 1
    assert world.run().operations == []
    assert world.counts(Entity.INVOICE) == (1, 1)


@pytest.mark.parametrize("which", ["who sends is behind", "who looks is ahead"])
def test_what_may_still_land_is_not_made_again_by_a_clock_that_is_off(which: str) -> None:
    world = World(right="searchable_marker")
    ada = world.l.put(customer("Ada Ltd"))
    bill = world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="first"))
    world.run()
    off = timedelta(hours=2)
    right_time = world.store.clock
    wrong_time = {"who sends is behind": lambda: right_time() - off, "who looks is ahead": lambda: right_time() + off}
    world.l.put(payment(ada.ref.id, "60.00", on=((bill.ref.id, "45.00"),), reference="chk 7"))
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="second")
    world.fail(
        "right",
        Fault(FaultKind.LATE, op="create", seconds=60),
        Fault(FaultKind.LATE, op="update", seconds=60),
    )
    if which == "who sends is behind":
        world.store.clock = wrong_time[which]
    world.run()
    assert world.counts(Entity.PAYMENT) == (1, 0)
    world.store.clock = right_time if which == "who sends is behind" else wrong_time[which]
    world.run(tick=20)
    world.store.clock = right_time
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="third")
    report = world.settle(12)  # what was noted by a clock that is ahead is waited for by that clock
    assert world.counts(Entity.PAYMENT) == (1, 1)
    assert [i.memo for i in world.r.all(Entity.INVOICE)] == ["third"]
    assert [e.op for e in world.r.log if e.entity is Entity.PAYMENT] == ["create"]
    assert (report.discrepancies, differences.listed(world.store)) == ([], [])


@pytest.mark.parametrize("target", ["idempotency_key", "unique_number", "searchable_marker"])
def test_a_document_entered_by_hand_is_not_said_to_be_the_write_that_was_lost(target: str) -> None:
    """Our payment never arrived, and somebody entered it: nothing is sent again, and no write is said to be done."""
    world = World(right=target)
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    paid = payment(ada.ref.id, "60.00", on=((inv.ref.id, "45.00"),), reference="p1")
    world.l.put(paid)
    world.fail("right", Fault(FaultKind.LOSE_REQUEST, op="create", entity=Entity.PAYMENT))
    world.run()
    [there], [bill] = world.r.all(Entity.CUSTOMER), world.r.all(Entity.INVOICE)
    world.r.put(payment(there.ref.id, "60.00", on=((bill.ref.id, "45.00"),), reference="p1"))
    one(world, "UNCERTAIN_WRITE")
    report = world.settle()
    [intent] = [i for i in world.intents() if i["entity"] == "payment"]
    assert (intent["state"], "entered by hand" in intent["last_error"]) == ("stale", True)
    assert (world.counts(Entity.PAYMENT), world.codes(report)) == ((1, 1), [])
    quiet(world)


def test_a_document_entered_by_hand_beside_one_that_landed_late_waits_for_a_person() -> None:
    world = World(right="searchable_marker")
    ada = world.l.put(customer())
    world.run()
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.fail("right", Fault(FaultKind.LATE, op="create", entity=Entity.INVOICE, seconds=90))
    world.run()
    [there] = world.r.all(Entity.CUSTOMER)
    by_hand = world.r.put(invoice(there.ref.id, "100.00", number="L-1"))
    world.run(tick=30)
    assert world.codes(world.settle()) == ["DUPLICATE_WITHIN_LEDGER", "UNCERTAIN_WRITE"]
    [ours] = [r for r in world.r.all(Entity.INVOICE) if r.ref.id != by_hand.ref.id]
    assert f"our {ours.ref.id} landed, too; void {ours.ref.id}" in one(world, "UNCERTAIN_WRITE")["cause"]
    world.r.void(Entity.INVOICE, ours.ref.id)
    assert world.codes(world.settle()) == []
    assert (world.l.open(Entity.INVOICE, "INV-1"), world.r.open(Entity.INVOICE, by_hand.ref.id)) == (D(100), D(100))
    quiet(world)
