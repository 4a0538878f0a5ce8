"""What a system's own report states, and a state that is older than the books."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, customer, invoice, payment, write_off
from tieout.errors import RefusedError
from tieout.model import Entity
from tieout.sync.review import decisions, differences
from tieout.sync.store import open_store

D = Decimal


def test_a_control_balance_that_no_document_explains_is_listed_with_its_report() -> None:
    """The right books hold an adjustment of a kind that is not read: their receivables say more than their documents."""
    reads = frozenset({Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT})
    world = World(right_caps={"reads": reads})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    assert world.run().discrepancies == []
    [mirror] = world.r.all(Entity.CUSTOMER)
    unseen = world.r.put(write_off(mirror.ref.id, "30.00"))
    [d] = [d for d in world.run().discrepancies if d.code == "UNTRACED_TIE_OUT"]
    assert (d.class_, d.right, d.right_value, d.delta, d.currency) == ("G", "AR", "70.00", D("-30.00"), "USD")
    assert "receivables (as_of 2026-" in d.cause
    assert "states 70.00 USD on account AR" in d.cause
    assert "its documents add up to 100.00" in d.cause
    # A run that writes has moved the books since the report was read: it neither lists anew nor closes.
    world.l.put(invoice(ada.ref.id, "5.00", number="L-2"))
    report = world.run()
    assert (report.applied["done"], report.changes.closed) == (1, 0)
    [kept] = [x for x in differences.listed(world.store) if x["code"] == "UNTRACED_TIE_OUT"]
    assert kept["id"] == d.id
    world.r.void(Entity.ADJUSTMENT, unseen.ref.id, DAY)
    assert "UNTRACED_TIE_OUT" not in world.codes(world.run())
    assert differences.listed(world.store) == []


def test_a_figure_that_moves_while_the_documents_are_read_accuses_nobody() -> None:
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    pull = world.right.pull

    def busy(entity, cursor=None):
        """A clerk books an invoice after the report was read, and voids it after the invoices were."""
        if entity is Entity.CUSTOMER and not late:
            [there] = world.r.all(Entity.CUSTOMER)
            late.append(world.r.put(invoice(there.ref.id, "9.00", number="R-9")))
        return pull(entity, cursor)

    late: list = []
    world.right.pull = busy
    report = world.run(apply=False)
    world.right.pull = pull
    assert late
    assert "UNTRACED_TIE_OUT" not in world.codes(report)


def test_a_restored_backup_is_noticed_said_and_doubles_nothing(tmp_path) -> None:
    """Yesterday's state over today's books: what was written since carries marks that it does not know."""
    file = tmp_path / "state.db"
    world = World(url=f"sqlite:///{file}")
    ada = world.l.put(customer())
    world.run()
    world.store.close()
    backup = file.read_bytes()
    world.store = open_store(world.url, clock=world.clock)
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.l.put(payment(ada.ref.id, "60.00", on=((inv.ref.id, "60.00"),), reference="p"))
    world.run()
    world.store.close()
    file.write_bytes(backup)
    world.store = open_store(world.url, clock=world.clock)
    world.l.put(invoice(ada.ref.id, "7.00", number="L-2"))
    writes = len(world.r.received)
    report = world.run()
    [trip] = report.trips
    assert trip.name == "state_older"
    assert "2 records carry marks" in trip.message
    assert (report.exit_code, len(world.r.received)) == (4, writes), "nothing is written before a person has seen it"
    report = world.run()
    assert (world.counts(Entity.INVOICE), world.counts(Entity.PAYMENT)) == ((2, 2), (1, 1))
    assert (report.trips, report.exit_code) == ([], 0)
    assert world.run().discrepancies == []
    world.store.close()


def test_a_marked_record_of_which_nothing_is_known_is_not_carried_over_as_new() -> None:
    """Its origin was removed since the backup: the mirror would come back as a document of its own."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    world.l.delete(Entity.INVOICE, inv.ref.id)
    world.store = open_store("sqlite://", clock=world.clock)
    world.run()
    for _ in range(2):
        report = world.run()
        assert [o for o in report.operations if o.entity is Entity.INVOICE] == []
        [d] = [d for d in report.discrepancies if d.delta]
        assert (d.code, d.delta) == ("SYNC_BLOCKED", D("100.00"))
        assert "unknown_mark" in d.cause


def test_a_person_releases_a_record_whose_mark_nobody_knows_and_it_is_carried_over_once() -> None:
    """Two installations keep one connection in step: what the other one made carries marks that this one never wrote."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.l.put(invoice(ada.ref.id, "5.00", number="L-2"))
    world.run()
    for one in world.l.all(Entity.INVOICE):
        world.l.delete(Entity.INVOICE, one.ref.id)
    world.store = open_store("sqlite://", clock=world.clock)
    world.settle()
    held = {d["right_label"]: d for d in differences.listed(world.store)}
    assert {d["code"] for d in held.values()} == {"SYNC_BLOCKED"}
    with pytest.raises(RefusedError, match="needs a reason"):
        decisions.decide(world.store, held["L-1"]["id"], action="release", by="Grace", reason=" ")
    done = {"action": "release", "by": "Grace", "reason": "from the other office; looked, not there"}
    decisions.decide(world.store, held["L-1"]["id"], **done)
    for _ in range(3):
        report = world.run()
    assert [i.number for i in world.l.all(Entity.INVOICE)] == ["L-1"], "the other one still waits for a person"
    [still] = differences.listed(world.store)
    assert (still["id"], report.operations) == (held["L-2"]["id"], [])
    assert inv.ref.id not in {i.ref.id for i in world.l.all(Entity.INVOICE)}
    assert world.counts(Entity.INVOICE) == (1, 2)


@pytest.mark.parametrize(
    ("right", "in_all"), [(["60.00", "40.00"], 3), (["100.00", "100.00"], 2)], ids=["they add up", "two are equal"]
)
def test_a_person_tells_apart_what_could_be_one_and_each_is_carried_over_once(right: list[str], in_all: int) -> None:
    world = World()
    ada = world.l.put(customer())
    world.run()
    [mirror] = world.r.all(Entity.CUSTOMER)
    world.l.put(invoice(ada.ref.id, "100.00"))
    for amount in right:
        world.r.put(invoice(mirror.ref.id, amount))
    for _ in range(2):
        report = world.run()
        assert report.operations == []
        [held] = [d for d in report.discrepancies if d.code in differences.COULD_BE_ONE]
        assert "release" in held.remedy
    decisions.decide(world.store, held.id, action="release", by="Grace", reason="three orders")
    world.settle()
    assert world.counts(Entity.INVOICE) == (in_all, in_all)
    assert differences.listed(world.store) == []
    # One more that could be any of them waits again: a decision is about what it was made of.
    world.l.put(invoice(ada.ref.id, "70.00"))
    world.r.put(invoice(mirror.ref.id, "50.00"))
    world.r.put(invoice(mirror.ref.id, "20.00"))
    assert world.run().operations == []


def test_there_is_nothing_to_release_where_no_mark_is_unknown() -> None:
    world = World(flows={Entity.INVOICE: "none"})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [d] = differences.listed(world.store)
    with pytest.raises(RefusedError, match="unknown_mark"):
        decisions.decide(world.store, d["id"], action="release", by="Grace", reason="please")


def test_a_reported_balance_that_is_wrong_stays_listed_through_a_run_that_writes() -> None:
    """A run that wrote cannot hold reported balances against documents: it neither closes nor opens that they differ."""
    reads = frozenset({Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT})
    world = World(right_caps={"reads": reads})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.put(write_off(mirror.customer, "30.00", mirror.ref.id))
    world.run()
    wrong = {d["id"] for d in differences.listed(world.store) if d["code"] == "BALANCE_MISMATCH_INTERNAL"}
    assert wrong
    world.l.put(invoice(ada.ref.id, "5.00", number="L-2"))
    report = world.run()
    assert (report.applied["done"], report.changes.closed, report.changes.opened) == (1, 0, 0)
    assert wrong <= {d["id"] for d in differences.listed(world.store)}
    assert (world.run().changes.opened, world.run().changes.closed) == (0, 0)
    now = {d["id"] for d in differences.listed(world.store) if d["code"] == "BALANCE_MISMATCH_INTERNAL"}
    assert now == wrong
