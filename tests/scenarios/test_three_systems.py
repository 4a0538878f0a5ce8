"""Three systems and two pairs that share a connection: Sage X3 between QuickBooks and a file ERP. Nothing echoes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.sage_x3_bench import bench
from tests.scenarios.test_quickbooks import LATE, QboWorld
from tests.scenarios.world import WIDE
from tieout.connectors.memory import ManualClock
from tieout.connectors.tabular import open_tabular
from tieout.sandbox import quickbooks as qbo
from tieout.sandbox.file_erp import FileErp
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync

D = Decimal
DAY = date(2026, 1, 15)


class Three:
    """X3 on the left of both pairs; QuickBooks and the file ERP on the right of one each."""

    def __init__(self, x3: Any, server: qbo.Running, clock: ManualClock, folder: Path) -> None:
        self.x3, self.clock, self.folder = x3, clock, folder
        x3.books._clock = clock
        there = QboWorld(server, clock)
        self.qbo, self.store = server.books, there.store
        self.erp = FileErp(folder=folder / "erp", clock=clock)
        (folder / "outbox").mkdir()
        names = (("customer", "customers"), ("invoice", "documents"), ("credit_memo", "documents"))
        settings = {
            "folder": folder / "export",
            "outbox": folder / "outbox",
            "exports": [{"glob": f"{n}_*", "profile": n} for n in ("customers", "documents", "payments")],
            "imports": {e: f"import-{n}" for e, n in (*names, ("payment", "payments"))},
            "currency": "USD",
            "entity_code": "1000",
        }
        self.connectors = {
            "x3": x3.open(),
            "right": there.right,
            "erp": open_tabular("erp", settings=settings, clock=clock),
        }
        to_qbo = Codes({"SERVICE": "1"}, {"EXO": "NON"}, {"BANK1": "4"}, {"NET30": "3"}, None)
        to_erp = Codes({"SERVICE": ""}, {"EXO": ""}, None, None, None)
        rest: dict[str, Any] = {"mode": "auto", "limits": WIDE, "unattended": frozenset({"credit_memo"})}
        self.pairs = (
            Pair("cloud", "x3", "right", codes=to_qbo, **rest),
            Pair("files", "x3", "erp", codes=to_erp, **rest),
        )
        self.day = date(2026, 1, 31)

    def round(self) -> list[Report]:
        """The file ERP exports, both pairs run, and it loads what was handed over."""
        self.day = date.fromordinal(self.day.toordinal() + 1)
        self.erp.export(self.folder / "export", self.day, layouts=("customers", "documents", "payments"))
        reports = []
        for pair in self.pairs:
            self.clock.tick(300)
            self.x3.books.work()
            connectors = {name: self.connectors[name] for name in (pair.left, pair.right)}
            reports.append(sync(self.store, connectors, pair, apply=True, heartbeat=False))
        self.erp.load_outbox(self.folder / "outbox")
        return reports

    def open(self) -> tuple[Decimal, Decimal, Decimal]:
        """Receivables of X3, QuickBooks and the file ERP, in truth."""
        items = self.x3.books.open_items()
        x3 = sum((i["SNS"] * (i["AMTCUR"] - i["PAYCUR"] - i["TMPCUR"]) for i in items), D(0))
        cloud = sum((D(c["Balance"]) for c in self.qbo.all("Customer")), D(0))
        return x3, cloud, self.erp.books.receivables(LATE).get("USD", D(0))


@contextmanager
def three(folder: Path) -> Iterator[Three]:
    clock = ManualClock()
    switches = qbo.Switches(auto_apply_credit=False, custom_txn_numbers=True)
    with bench() as x3, qbo.running(qbo.Books("empty", switches, clock)) as server:
        made = Three(x3, server, clock, folder)
        yield made
        x3.books.check()
        server.books.check()


def test_what_is_born_in_one_of_three_systems_is_in_each_of_them_once(tmp_path: Path) -> None:
    with three(tmp_path) as w:
        brew = w.x3.books.save("BPC", {
            "BPCNUM": "BREW", "BCGCOD": "US", "BPCNAM": "Brook & Brew", "BPCSTA": "2", "CUR": "USD",
            "VACBPR": "DOM", "PTE": "NET30",
        })[0]  # fmt: skip
        w.x3.posted("SIH", {
            "SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": brew, "INVDAT": "20260115", "CUR": "USD",
            "lines": [{"ITMREF": "SERVICE", "QTY": "1", "GROPRI": "300", "VACITM1": "EXO"}],
        })  # fmt: skip
        cloud = w.qbo.apply("Customer", "create", {"DisplayName": "O'Brien Sons"})["Id"]
        w.qbo.apply("Invoice", "create", {
            "CustomerRef": {"value": cloud}, "DocNumber": "Q-1", "TxnDate": "2026-01-15", "DueDate": "2026-02-14",
            "Line": [{"Amount": D(70), "DetailType": "SalesItemLineDetail",
                      "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}}],
        })  # fmt: skip
        ada = w.erp.books.enter_customer("Ada Ltd")
        bill = w.erp.books.enter_invoice(ada, "100.00", on=DAY, reference="S-1")
        w.erp.books.enter_payment(ada, "40.00", on=DAY, applications={bill: "40.00"}, reference="wire 1")
        for _ in range(7):
            reports = w.round()
        assert [r.failures for r in reports] == [[], []]
        assert [[o.label for o in r.operations] for r in reports] == [[], []]
        assert [[d.as_json() for d in r.discrepancies] for r in reports] == [[], []]
        assert w.open() == (D(430), D(430), D(430))
        assert Counter(r["SIVTYP"] for r in w.x3.books.rows("SIH")) == {"INV": 3}
        assert (len(w.qbo.all("Invoice")), len(w.qbo.all("Payment")), len(w.qbo.all("Customer"))) == (3, 1, 3)
        assert len(w.erp.books.documents) == 4
