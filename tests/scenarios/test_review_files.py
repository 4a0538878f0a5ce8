"""An export that goes back in time, one read twice, a row never booked."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.scenarios.test_files import FileWorld
from tests.scenarios.world import DAY, D, World, customer, invoice
from tieout.errors import RefusedError
from tieout.model import Entity
from tieout.sync.review import decisions, differences


def test_an_export_that_goes_back_in_time_is_used_for_nothing(tmp_path: Path) -> None:
    w = FileWorld(tmp_path, "plain")
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.day = DAY
    w.export()
    w.run()
    first = set((tmp_path / "export").iterdir())
    w.erp.books.change_customer(ada, name="Ada & Sons Ltd")
    w.erp.books.enter_invoice(ada, "70.00", on=DAY, reference="S-2")
    w.export()
    w.run()
    [mirror] = w.books.books.all(Entity.CUSTOMER)
    assert mirror.name == "Ada & Sons Ltd"
    for path in set((tmp_path / "export").iterdir()) - first:
        path.unlink()
    report = w.run()
    assert any("2026-01-17" in why for why in report.failures), report.failures
    assert report.exit_code == 4, "in doubt, until somebody answers or a newer export comes"
    assert report.operations == []
    [mirror] = w.books.books.all(Entity.CUSTOMER)
    assert mirror.name == "Ada & Sons Ltd"


def test_one_undated_file_read_twice_is_one_absence() -> None:
    world = World(left="file", left_caps={"delta": False})
    ada = world.l.put(customer())
    gone = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.l.put(invoice(ada.ref.id, "50.00", number="L-2"))
    world.run()
    world.l.delete(Entity.INVOICE, gone.ref.id)
    pull = world.left.pull

    def undated(entity: Entity, cursor: str | None = None):  # type: ignore[no-untyped-def]
        found = pull(entity, cursor)
        seen = list(found.observations)

        def again():  # type: ignore[no-untyped-def]
            yield from seen
            found.as_of, found.sources = None, ("invoices.csv sha256:1",)

        found.observations = again()
        return found

    world.left.pull = undated
    for _ in range(3):
        report = world.run()
    assert not [d for d in report.discrepancies if d.code == "DELETED_VS_OPEN"]


def test_a_row_that_no_export_shows_for_days_is_no_longer_called_in_flight(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    [mirror] = w.books.books.all(Entity.CUSTOMER)
    w.books.books.put(invoice(mirror.ref.id, "70.00", number="Q-1"))
    w.run()
    w.clock.tick(6 * 86400)
    report = w.run()
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, d.delta) == ("UNCERTAIN_WRITE", D("70.00"))
    assert "no_acknowledgement" in d.cause
    assert report.exit_code == 4
    assert len(list((tmp_path / "outbox").glob("*.import.*"))) == 1
    [found] = [x for x in differences.listed(w.store) if x["code"] == "UNCERTAIN_WRITE"]
    with pytest.raises(RefusedError, match="handed over"):
        decisions.decide(w.store, found["id"], action="retry", by="Grace", reason="refused there")
    decisions.decide(w.store, found["id"], action="recreate", by="Grace", reason="refused there")
    w.run()
    assert len(list((tmp_path / "outbox").glob("*.import.*"))) == 2
    w.load()  # it had not been refused after all: both are booked, and the second is listed as a copy
    w.export()
    report = w.run()
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, d.delta) == ("DUPLICATE_WITHIN_LEDGER", D("-70.00"))
    assert len(w.books.books.all(Entity.INVOICE)) == 2


def test_two_of_one_name_with_different_tax_numbers_are_two() -> None:
    world = World()
    world.l.put(customer("John Smith", tax_id="DE111111111"))
    world.r.put(customer("John Smith", tax_id="DE222222222"))
    report = world.run()
    assert report.linked == 0


def test_what_was_buffered_by_a_run_that_died_is_not_handed_over_by_the_next(tmp_path: Path) -> None:
    """The document was changed meanwhile: the file holds it as it is now, and only once."""
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    [mirror] = w.books.books.all(Entity.CUSTOMER)
    bill = w.books.books.put(invoice(mirror.ref.id, "70.00", number="Q-1"))
    flush, create = w.sap.flush, w.sap.create

    def dies(*, run: str) -> list[str]:
        raise KeyboardInterrupt(run)

    def last(*given, **named):  # type: ignore[no-untyped-def]
        w.sap.flush = dies
        return create(*given, **named)

    w.sap.create = last
    with pytest.raises(KeyboardInterrupt):
        w.run()
    w.sap.flush, w.sap.create = flush, create
    w.books.books.edit(Entity.INVOICE, bill.ref.id, total=D("80.00"), subtotal=D("80.00"))
    w.clock.tick(400)
    w.run()
    [path] = (tmp_path / "outbox").glob("*.import.*")
    assert "80.00" in path.read_text("utf-8")
    assert "70.00" not in path.read_text("utf-8")


def test_how_long_an_import_may_take_is_the_pairs_word(tmp_path: Path) -> None:
    """An ERP that loads once a week shows nothing for days, and nobody is asked to look."""
    w = FileWorld(tmp_path, acknowledged_within=timedelta(days=10))
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    [mirror] = w.books.books.all(Entity.CUSTOMER)
    w.books.books.put(invoice(mirror.ref.id, "70.00", number="Q-1"))
    w.run()
    w.clock.tick(9 * 86400)
    w.day += timedelta(days=8)
    w.export()
    report = w.run()
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, report.exit_code) == ("SYNC_IN_FLIGHT", 0)
    w.clock.tick(86400)
    report = w.run()
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, report.exit_code) == ("UNCERTAIN_WRITE", 4)


def test_an_older_export_of_the_same_day_says_by_what_it_is_older(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    w.erp.books.enter_customer("Ada Ltd")
    w.export()
    first = sorted((tmp_path / "export").iterdir())
    kept = {p: p.read_bytes() for p in first}
    w.export(next_day=False)
    w.run()
    for path in (tmp_path / "export").iterdir():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
        past = w.clock().timestamp() - 86400
        os.utime(path, (past, past))
    said = w.run().failures
    assert said
    assert all(f"number 1 of {w.day}, but number 2 of the same day was read already" in text for text in said)
