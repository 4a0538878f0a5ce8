"""A file ERP between a hand-over and the next export: what its balances say, and what somebody types meanwhile."""

from __future__ import annotations

import pytest

from tests.scenarios.world import World, customer, invoice, payment
from tieout.model import Entity
from tieout.sync.engine import Report
from tieout.sync.review import decisions, differences


def agreed() -> World:
    world = World(right="file")
    world.l.put(customer("Ada Ltd", phone="555 1"))
    world.l.put(invoice("CUS-1", number="L-1", memo="first"))
    for _ in range(3):
        world.run()
        world.r.import_outbox()
    assert world.run().operations == []
    return world


def test_reported_balances_are_looked_at_in_a_run_that_confirms_what_an_export_shows() -> None:
    world = agreed()
    world.l.put(payment("CUS-1", "60.00", on=(("INV-1", "45.00"),), reference="chk 7"))
    world.run()
    world.r.import_outbox()
    in_scope = world.right._in_scope
    world.right._in_scope = lambda entity, since: in_scope(entity, since) if entity is not Entity.PAYMENT else []
    assert "BALANCE_MISMATCH_INTERNAL" in world.codes(world.run())
    world.right._in_scope = in_scope
    for memo in ("second", "third"):  # every run confirms what the one before handed over
        world.l.edit(Entity.INVOICE, "INV-1", memo=memo)
        report = world.run()
        world.r.import_outbox()
        assert (report.applied["done"], report.discrepancies) == (1, [])
        assert differences.listed(world.store) == []


def typed_between(world: World, *, seen: bool) -> Report:
    """A telephone number that is typed at the ERP while another one is on its way there; the run after the loading."""
    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 2")
    assert len(world.run().files) == 1
    world.r.edit(Entity.CUSTOMER, "CUS-1", phone="555 9")
    if seen:
        assert world.codes(world.run()) == ["UNCERTAIN_WRITE"]
    world.r.import_outbox()
    assert world.r.get(Entity.CUSTOMER, "CUS-1").phone == "555 2"
    return world.run()


def test_what_an_export_showed_before_a_file_was_loaded_over_it_is_named_until_a_person_accepts_it() -> None:
    world = agreed()
    report = typed_between(world, seen=True)
    for _ in range(3):
        [one] = report.discrepancies
        assert (one.code, one.field, one.left_value, one.right_value) == ("EDIT_OVERWRITTEN", "phone", "555 2", "555 9")
        assert [d["id"] for d in differences.listed(world.store)] == [one.id]
        report = world.run()
    assert {i["state"] for i in world.intents()} == {"done"}
    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 3")  # and the record goes on
    world.run()
    world.r.import_outbox()
    assert world.codes(world.run()) == ["EDIT_OVERWRITTEN"]
    assert world.r.get(Entity.CUSTOMER, "CUS-1").phone == "555 3"
    decisions.decide(world.store, one.id, action="accept", by="Grace", reason="the new number is right")
    for _ in range(2):
        assert world.run().discrepancies == []
    assert differences.listed(world.store) == []
    assert world.codes(typed_between_again(world)) == ["EDIT_OVERWRITTEN"]


def typed_between_again(world: World) -> Report:
    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 4")
    world.run()
    world.r.edit(Entity.CUSTOMER, "CUS-1", phone="555 8")
    world.run()
    world.r.import_outbox()
    return world.run()


def test_what_was_loaded_over_is_named_though_the_clock_that_handed_the_file_over_was_ahead() -> None:
    world = agreed()
    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 2")
    world.clock.tick(7200)
    assert len(world.run().files) == 1
    world.clock.tick(-7200)
    world.r.edit(Entity.CUSTOMER, "CUS-1", phone="555 9")
    world.run()
    world.r.import_outbox()
    assert world.codes(world.run()) == ["EDIT_OVERWRITTEN"]


def test_a_run_that_dies_before_its_list_loses_no_overwritten_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    world = agreed()
    record = differences.record

    def dies(*_a: object, **_kw: object) -> None:
        raise KeyboardInterrupt

    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 2")
    world.run()
    world.r.edit(Entity.CUSTOMER, "CUS-1", phone="555 9")
    world.run()
    world.r.import_outbox()
    monkeypatch.setattr(differences, "record", dies)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    monkeypatch.setattr(differences, "record", record)
    for _ in range(2):
        assert world.codes(world.run()) == ["EDIT_OVERWRITTEN"]


def test_what_was_typed_and_loaded_over_between_two_exports_nobody_can_know() -> None:
    world = agreed()
    assert typed_between(world, seen=False).discrepancies == []
    assert world.run().discrepancies == []
