"""What was gone or void and stands again: noticed, named, and never written on its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.world import DAY, World, customer, invoice
from tieout.model import Entity, PostingState
from tieout.sync.engine import Report
from tieout.sync.review import decisions

INVOICE = Entity.INVOICE
D = Decimal


def made(**kw: Any) -> tuple[World, Any, Any]:
    """A world with one invoice born on the left, and its mirror."""
    world = World(**kw)
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(INVOICE)
    return world, inv.ref.id, mirror.ref.id


def named(report: Report) -> Any:
    """The one discrepancy that says so; nothing is planned."""
    assert report.operations == []
    [d] = [d for d in report.discrepancies if "RESURRECTED" in (d.code, *d.secondary)]
    assert "resurrected: " in d.cause
    assert "retry" in d.remedy
    assert report.comparison.bridge["USD"].remainder == 0
    return d


def quiet(world: World) -> None:
    before = len(world.l.received), len(world.r.received)
    report = world.run()
    assert (report.operations, report.changes.opened, report.changes.closed) == ([], 0, 0)
    assert (len(world.l.received), len(world.r.received)) == before


def test_removed_on_one_side_and_restored_as_it_was_both_agree_again() -> None:
    world, _, mirror = made()
    world.r.delete(INVOICE, mirror)
    assert "DELETED_VS_OPEN" in world.codes(world.run())
    world.r.restore(INVOICE, mirror)
    report = world.run()
    assert (report.operations, report.discrepancies) == ([], [])
    quiet(world)


@pytest.mark.parametrize("side", ["origin", "mirror"])
def test_removed_on_one_side_and_restored_otherwise_waits_for_a_person(side: str) -> None:
    """The same id, another amount: it may be another document altogether."""
    world, here, there = made()
    books, id = (world.l, here) if side == "origin" else (world.r, there)
    books.delete(INVOICE, id)
    world.run()
    books.restore(INVOICE, id, subtotal=D("70.00"), total=D("70.00"))
    d = named(world.run())
    quiet(world)
    decisions.decide(world.store, d.id, action="retry", by="Grace", reason="it is the same one")
    report = world.run()
    if side == "origin":
        assert (report.applied["done"], world.r.all(INVOICE)[0].total) == (1, D("70.00"))
    else:
        assert [x for x in report.discrepancies if "non_owner" in x.cause]
    quiet(world)


@pytest.mark.parametrize("side", ["origin", "mirror"])
def test_gone_on_both_sides_and_back_on_one(side: str) -> None:
    world, here, there = made()
    world.l.delete(INVOICE, here)
    world.r.delete(INVOICE, there)
    assert world.run().discrepancies == []
    books, id = (world.l, here) if side == "origin" else (world.r, there)
    books.restore(INVOICE, id)
    d = named(world.run())
    assert (d.code, d.delta) == ("RESURRECTED", D("-100.00") if side == "origin" else D("100.00"))
    quiet(world)
    books.delete(INVOICE, id)
    assert world.run().discrepancies == []
    books.restore(INVOICE, id)
    d = named(world.run())
    if side == "origin":
        decisions.decide(world.store, d.id, action="recreate", by="Grace", reason="it stands, and is owed")
        world.run()
        assert [i.total for i in world.r.all(INVOICE)] == [D("100.00")]
        quiet(world)


@pytest.mark.parametrize("side", ["origin", "mirror"])
def test_void_on_both_sides_and_posted_again_on_one(side: str) -> None:
    world, here, there = made()
    world.l.void(INVOICE, here, DAY)
    world.run()
    assert world.r.get(INVOICE, there).state is PostingState.VOIDED
    books, id = (world.l, here) if side == "origin" else (world.r, there)
    books.restore(INVOICE, id)
    d = named(world.run())
    assert d.delta
    quiet(world)
    decisions.decide(world.store, d.id, action="retry", by="Grace", reason="go on")
    report = world.run()
    if side == "mirror":
        assert world.r.get(INVOICE, there).state is PostingState.VOIDED, "the owner's void is carried out again"
    else:
        assert [x for x in report.discrepancies if "the origin still stands" in x.cause]
    quiet(world)


@pytest.mark.parametrize("how", ["delete", "void"])
def test_what_never_had_a_counterpart_is_not_made_over_there_when_it_comes_back(how: str) -> None:
    world = World(mode="propose")
    ada = world.l.put(customer())
    world.approve(world.run())
    world.run()
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    getattr(world.l, how)(INVOICE, inv.ref.id)
    world.run()
    world.l.restore(INVOICE, inv.ref.id)
    d = named(world.run())
    assert (d.code, d.delta) == ("RESURRECTED", D("-100.00"))
    decisions.decide(world.store, d.id, action="retry", by="Grace", reason="it stands")
    report = world.run()
    assert [o.label for o in report.operations] == ["L-1"]
    world.approve(report)
    world.run()
    assert world.counts(INVOICE) == (1, 1)


def test_the_removed_mirror_of_one_that_was_made_again_comes_back() -> None:
    world, _, mirror = made()
    world.r.delete(INVOICE, mirror)
    [d] = [d for d in world.run().discrepancies if d.delta]
    decisions.decide(world.store, d.id, action="recreate", by="Grace", reason="removed by mistake")
    world.run()
    assert world.counts(INVOICE) == (1, 1)
    world.r.restore(INVOICE, mirror)
    report = world.run()
    assert (report.operations, world.counts(INVOICE)) == ([], (1, 2))
    assert [x.delta for x in report.discrepancies if x.delta] == [D("100.00")]
    assert [x for x in report.discrepancies if x.code in ("RESURRECTED", "DUPLICATE_WITHIN_LEDGER")]
    quiet(world)
