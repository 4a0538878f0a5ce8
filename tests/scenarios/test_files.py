"""A file ERP on one side: rows are pending until an export shows them, and absence of a row is nobody's deletion."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.world import DAY, WIDE, customer, invoice, payment
from tieout.connectors.memory import ManualClock, open_books
from tieout.connectors.tabular import open_tabular
from tieout.model import Entity
from tieout.sandbox.file_erp import FileErp
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.store import open_store

D = Decimal


class FileWorld:
    """SAP by files on the left, books with keys on the right."""

    def __init__(
        self, folder: Path, layout: str = "sap-fbl5n-en", clock: ManualClock | None = None, **pair: Any
    ) -> None:
        self.clock = clock or ManualClock()
        self.folder = folder
        self.erp = FileErp(folder=folder / "sap", clock=self.clock)
        self.books = open_books("right", clock=self.clock)
        imports: dict[str, Any]
        imports = {e: f"import-{n}" for e, n in (("customer", "customers"), ("invoice", "documents"))}
        imports |= {"credit_memo": "import-documents", "payment": "import-payments"}
        if layout.startswith("sap"):
            posting, clearing, reversal = (f"import-sap-{n}" for n in ("posting", "clearing", "reversal"))
            imports |= dict.fromkeys(("credit_memo", "payment"), (posting, clearing, reversal))
            imports["invoice"] = (posting, reversal)
        exports = [{"glob": "customers_*", "profile": "customers"}]
        if layout.startswith("sap"):
            exports.append({"glob": "fbl5n_*", "profile": layout})
            self.layouts = ("customers", layout)
        else:
            exports += [
                {"glob": "documents_*", "profile": "documents"},
                {"glob": "payments_*", "profile": "payments"},
            ]
            self.layouts = ("customers", "documents", "payments")
        self.settings = settings = {
            "folder": folder / "export",
            "outbox": folder / "outbox",
            "exports": exports,
            "imports": imports,
            "currency": "USD",
            "entity_code": "1000",
        }
        (folder / "outbox").mkdir()
        self.sap = open_tabular("left", settings=settings, clock=self.clock)
        self.store = open_store("sqlite://", clock=self.clock)
        codes = Codes.same()
        options: dict[str, Any] = {"mode": "auto", "codes": codes, "limits": WIDE, **pair}
        self.pair = Pair("books", "left", "right", **options)
        self.day = date(2026, 1, 31)

    def export(self, **kw: Any) -> None:
        self.day += (date(2026, 2, 2) - date(2026, 2, 1)) if kw.pop("next_day", True) else (self.day - self.day)
        self.erp.export(self.folder / "export", self.day, layouts=self.layouts, **kw)

    def load(self) -> None:
        report = self.erp.load_outbox(self.folder / "outbox")
        assert not report.refused, report.refused

    def run(self, **kw: Any) -> Report:
        self.clock.tick(120)
        return sync(self.store, {"left": self.sap, "right": self.books}, self.pair, apply=True, heartbeat=False, **kw)


@pytest.mark.parametrize("layout", ["sap-fbl5n-en", "plain"])
def test_both_ways_and_confirmed_by_the_next_export(tmp_path: Path, layout: str) -> None:
    w = FileWorld(tmp_path, layout)
    ada = w.erp.books.enter_customer("Ada Ltd")
    inv = w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.erp.books.enter_payment(ada, "40.00", on=DAY, applications={inv: "40.00"}, reference="wire 1")
    bob = w.books.books.put(customer("O'Brien Sons"))
    theirs = w.books.books.put(invoice(bob.ref.id, "70.00", number="Q-1"))
    w.books.books.put(payment(bob.ref.id, "70.00", on=((theirs.ref.id, "70.00"),), reference="chk 9"))
    w.export()
    report = w.run()
    assert report.failures == []
    # The invoice and payment of a customer whose row is pending wait for it, and follow by themselves.
    for _ in range(4):
        w.load()
        w.export()
        report = w.run()
    assert [d.as_json() for d in report.discrepancies] == []
    assert report.operations == []
    assert w.erp.books.receivables(date(2026, 12, 31)) == w.books.books.receivables(date(2026, 12, 31))
    assert len(w.erp.books.documents) == 4
    assert len(w.books.books.all(Entity.INVOICE)) == 2


def test_an_export_that_loses_rows_deletes_nothing(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    for n in range(12):
        w.erp.books.enter_invoice(ada, f"{100 + n}.00", on=DAY, reference=f"S-{n}")
    w.export()
    w.run()
    assert len(w.books.books.all(Entity.INVOICE)) == 12
    w.erp.misbehave(silent_partial=3)
    w.export()
    report = w.run()
    assert report.operations == []
    assert len(w.books.books.all(Entity.INVOICE)) == 12
    w.erp.misbehave(silent_partial=0)
    w.export()
    report = w.run()
    assert [d.as_json() for d in report.discrepancies] == []
    assert report.operations == []


def test_a_file_is_never_sent_again_by_itself(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    mirror = w.books.books.all(Entity.CUSTOMER)[0]
    w.books.books.put(invoice(mirror.ref.id, "70.00", number="Q-1"))
    w.run()
    assert len(list((tmp_path / "outbox").glob("*.import.*"))) == 1
    for _ in range(3):
        report = w.run()
    assert len(list((tmp_path / "outbox").glob("*.import.*"))) == 1
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, d.delta) == ("SYNC_IN_FLIGHT", D("70.00"))
    w.load()
    w.export()
    assert w.run().discrepancies == []


def test_a_file_that_the_erp_books_twice_is_listed_and_goes_no_further(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    w.books.books.put(invoice(w.books.books.all(Entity.CUSTOMER)[0].ref.id, "70.00", number="Q-1"))
    w.run()
    w.erp.misbehave(duplicate_delivery=True)
    w.load()
    w.erp.misbehave(duplicate_delivery=False)
    w.export()
    report = w.run()
    assert len(w.books.books.all(Entity.INVOICE)) == 2
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, d.delta) == ("DUPLICATE_WITHIN_LEDGER", D("-70.00"))
    assert report.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    assert w.run().operations == []


def test_a_booking_that_lost_our_reference_is_recognised(tmp_path: Path) -> None:
    w = FileWorld(tmp_path)
    ada = w.erp.books.enter_customer("Ada Ltd")
    w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
    w.export()
    w.run()
    w.books.books.put(invoice(w.books.books.all(Entity.CUSTOMER)[0].ref.id, "70.00", number="Q-1"))
    w.run()
    w.erp.misbehave(lose_reference=True)
    w.load()
    w.export()
    report = w.run()
    assert [d.as_json() for d in report.discrepancies] == []
    assert report.operations == []
    assert len(w.books.books.all(Entity.INVOICE)) == 2
