"""A file ERP and QuickBooks over HTTP: what is done in one is done in the other after the next hand-over and export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.scenarios.test_file_changes import Changing
from tests.scenarios.test_files import FileWorld
from tests.scenarios.test_quickbooks import EVERYTHING, world
from tieout.errors import FatalError
from tieout.model import Invoice
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Report, sync

D = Decimal
LATE = date(2026, 12, 31)


class SapAndQuickBooks(Changing):
    """SAP by files on the left, QuickBooks on the right."""

    def __init__(self, folder: Path, q: Any) -> None:
        codes = Codes({"": "1"}, {"": "NON", "O0": "NON"}, None, None, None)
        FileWorld.__init__(self, folder, clock=q.clock, codes=codes, unattended=EVERYTHING)
        self.q, self.right, self.handed = q, q.right, 0
        self.ada = self.make("Customer", {"DisplayName": "Ada Ltd"})["Id"]

    def run(self, **kw: Any) -> Report:
        self.clock.tick(120)
        connectors = {"left": self.sap, "right": self.right}
        return sync(self.store, connectors, self.pair, apply=True, heartbeat=False, **kw)

    def make(self, entity: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self.q.server.books.apply(entity, "create", body)
        return made

    def change(self, entity: str, op: str, id: str, body: dict[str, Any]) -> None:
        now = self.q.server.books.find(entity, id)
        self.q.server.books.apply(entity, op, body | {"Id": id, "SyncToken": now["SyncToken"]})

    def bill(self, number: str, total: str) -> str:
        sale = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}
        line = {"Amount": D(total), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sale}
        body = {"CustomerRef": {"value": self.ada}, "Line": [line], "DocNumber": number, "TxnDate": "2026-01-15"}
        return str(self.make("Invoice", body)["Id"])

    def memo(self, number: str, total: str) -> str:
        sale = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}
        line = {"Amount": D(total), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sale}
        body = {"CustomerRef": {"value": self.ada}, "Line": [line], "DocNumber": number, "TxnDate": "2026-01-15"}
        return str(self.make("CreditMemo", body)["Id"])

    def paid(self, total: str, *links: tuple[str, str, str], id: str = "") -> str:
        lines = [{"Amount": D(a), "LinkedTxn": [{"TxnId": i, "TxnType": kind}]} for kind, i, a in links]
        # A credit of SAP counts from its own day, for a list of line items says no other.
        day = "2026-01-20" if D(total) else "2026-01-15"
        body = {"CustomerRef": {"value": self.ada}, "TotalAmt": D(total), "TxnDate": day, "Line": lines}
        if id:
            self.change("Payment", "update", id, body | {"PaymentRefNum": "chk 9"})
            return id
        return str(self.make("Payment", body | ({"PaymentRefNum": "chk 9"} if D(total) else {}))["Id"])

    def quiet(self) -> None:
        files, effects = self.files(), len(self.q.server.books.effects)
        report = self.run()
        assert report.operations == []
        assert [d.as_json() for d in report.discrepancies] == []
        assert (self.files(), len(self.q.server.books.effects)) == (files, effects)
        left = sum((D(c["Balance"]) for c in self.q.qbo("Customer")), D(0))
        assert self.erp.books.receivables(LATE).get("USD", D(0)) == left


@contextmanager
def both(folder: Path, **switches: Any) -> Iterator[SapAndQuickBooks]:
    with world(**switches) as q:
        yield SapAndQuickBooks(folder, q)


def test_an_invoice_born_in_quickbooks_part_paid_re_applied_and_voided_there(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        one, two = w.bill("Q-1", "100.00"), w.bill("Q-2", "80.00")
        pay = w.paid("40.00", ("Invoice", one, "40.00"))
        w.begin()
        assert (w.open("Q-1"), w.open("Q-2"), w.open("chk 9")) == (60, 80, 0)
        w.quiet()
        w.paid("40.00", ("Invoice", two, "40.00"), id=pay)
        w.night()
        assert (w.open("Q-1"), w.open("Q-2"), w.open("chk 9")) == (100, 40, 0)
        w.quiet()
        w.change("Invoice", "void", one, {})
        w.night()
        assert w.sap_of("Q-1").reversed_on == date(2026, 1, 15)
        assert w.erp.books.receivables(LATE) == {"USD": D("40.00")}
        w.quiet()
        assert w.files() == w.handed + 2


def test_a_credit_memo_and_a_payment_of_quickbooks_that_are_applied_later(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        one = w.bill("Q-1", "100.00")
        pay, memo = w.paid("40.00"), w.memo("C-1", "30.00")
        w.begin()
        assert (w.open("Q-1"), w.open("chk 9"), w.open("C-1")) == (100, 40, 30)
        w.paid("40.00", ("Invoice", one, "40.00"), id=pay)
        w.paid("0.00", ("Invoice", one, "30.00"), ("CreditMemo", memo, "30.00"))
        w.night()
        assert (w.open("Q-1"), w.open("chk 9"), w.open("C-1")) == (30, 0, 0)
        w.quiet()


def test_what_sap_applies_later_is_applied_in_quickbooks(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        day = date(2026, 1, 15)
        eve = w.erp.books.enter_customer("Eve AG")
        one = w.erp.books.enter_invoice(eve, "60.00", on=day, tax_code="O0", reference="S-1")
        memo = w.erp.books.enter_credit_memo(eve, "20.00", on=day, tax_code="O0", reference="SC-1")
        pay = w.erp.books.enter_payment(eve, "50.00", on=day, reference="wire 1")
        w.begin()
        w.erp.books.apply(pay, one, "40.00", on=day)
        w.erp.books.apply(memo, one, "20.00", on=day)
        w.export()
        for _ in range(3):
            w.run()
        [mirror] = [i for i in w.q.qbo("Invoice") if i["DocNumber"] == "S-1"]
        assert D(mirror["Balance"]) == 0
        w.quiet()
        assert len(w.q.qbo("CreditMemo")) == 1


def test_an_amount_changed_in_sap_reaches_quickbooks_though_its_list_states_a_tax_code(tmp_path: Path) -> None:
    """SAP lists what an invoice is taxed by, and no lines: what QuickBooks adds up is made of the new amount."""
    with both(tmp_path) as w:
        day = date(2026, 1, 15)
        eve = w.erp.books.enter_customer("Eve AG")
        one = w.erp.books.enter_invoice(eve, "106.00", on=day, tax_code="O0", reference="S-1")
        memo = w.erp.books.enter_credit_memo(eve, "20.00", on=day, tax_code="O0", reference="SC-1")
        w.erp.books.enter_payment(eve, "106.00", on=day, reference="wire 1", applications={one: "106.00"})
        w.begin()
        w.erp.books.change(one, amount=D("116.00"))
        w.erp.books.change(memo, amount=D("15.00"))
        w.export()
        report = w.run()
        assert (report.applied["done"], report.applied["rejected"]) == (2, 0)
        [mirror] = [i for i in w.q.qbo("Invoice") if i["DocNumber"] == "S-1"]
        [credit] = w.q.qbo("CreditMemo")
        assert [D(d["TotalAmt"]) for d in (mirror, credit)] == [D("116.00"), D("15.00")]
        assert D(mirror["Balance"]) == 10
        w.quiet()


def test_a_customer_made_inactive_in_quickbooks_is_told_where_the_file_has_no_column_for_it(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        w.begin()
        w.change("Customer", "update", w.ada, {"sparse": True, "Active": False})
        files = w.files()
        report = w.run()
        assert (report.operations, w.files()) == ([], files)
        [told] = [d for d in report.discrepancies if d.field == "active"]
        assert (told.code, told.left_value, told.right_value) == ("SYNC_BLOCKED", "true", "false")
        assert "takes no such change" in told.cause


def test_a_credit_that_sap_takes_back_is_left_to_a_person_and_planned_no_more(tmp_path: Path) -> None:
    """QuickBooks' payments of zero are not undone by tieout; a plan that can never be carried out is none."""
    with both(tmp_path) as w:
        day = date(2026, 1, 15)
        eve = w.erp.books.enter_customer("Eve AG")
        one = w.erp.books.enter_invoice(eve, "60.00", on=day, tax_code="O0", reference="S-1")
        memo = w.erp.books.enter_credit_memo(
            eve, "20.00", on=day, tax_code="O0", reference="SC-1", applications={one: "20.00"}
        )
        w.begin()
        w.erp.books.unapply(memo, one, on=day)
        w.export()
        for _ in range(2):
            report = w.run()
            assert report.operations == []
            [told] = report.discrepancies
            assert told.code == "APPLICATION_MISSING"
            assert "part of the credit is to be taken back in right: do it by hand" in told.cause
        [zero] = [p for p in w.q.qbo("Payment") if not D(p["TotalAmt"])]
        w.change("Payment", "delete", zero["Id"], {})
        w.quiet()


def two_bills(w: SapAndQuickBooks) -> None:
    eve = w.erp.books.enter_customer("Eve AG")
    for number in ("S-1", "S-2"):
        w.erp.books.enter_invoice(eve, "60.00", on=date(2026, 1, 15), tax_code="O0", reference=number)
    w.export()


def test_an_inactive_item_holds_back_what_names_it_until_it_is_active_again(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        w.change("Item", "update", "1", {"sparse": True, "Active": False})
        two_bills(w)
        for _ in range(2):
            report = w.run()
            assert (report.refused, report.applied["rejected"], report.exit_code) == (0, 0, 0)
            [(why, count)] = report.held_back().items()
            assert (why, count) == ("right sells no item '1' any more: Services is inactive", 2)
        w.change("Item", "update", "1", {"sparse": True, "Active": True})
        report = w.run()
        assert (report.applied["done"], report.held_back()) == (2, {})
        assert sorted(i["DocNumber"] for i in w.q.qbo("Invoice")) == ["S-1", "S-2"]


def test_an_item_that_is_mapped_to_none_is_one_cause_of_the_run(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        w.pair = replace(w.pair, codes=replace(w.pair.codes, items={"": "77"}))
        two_bills(w)
        report = w.run()
        assert (report.held_back(), report.exit_code) == ({"right sells no item '77'": 2}, 0)


def test_an_item_that_is_made_inactive_while_a_run_writes_costs_no_answer_by_hand(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        create = w.right.create

        def taken_out_of_use(record: Any, **kw: Any) -> Any:
            if isinstance(record, Invoice):
                w.change("Item", "update", "1", {"sparse": True, "Active": False})
            return create(record, **kw)

        two_bills(w)
        w.right.create = taken_out_of_use
        report = w.run()
        w.right.create = create
        assert (report.refused, report.applied["blocked"]) == (0, 2)
        assert w.run().held_back().total() == 2
        w.change("Item", "update", "1", {"sparse": True, "Active": True})
        w.run()
        assert sorted(i["DocNumber"] for i in w.q.qbo("Invoice")) == ["S-1", "S-2"]


def test_where_the_items_cannot_be_read_what_is_refused_is_one_cause_of_the_run(tmp_path: Path) -> None:
    def unreadable() -> Any:
        raise FatalError("may not be read")

    with both(tmp_path) as w:
        w.change("Item", "update", "1", {"sparse": True, "Active": False})
        w.right.items = unreadable
        two_bills(w)
        report = w.run()
        assert report.refused == 2
        [(why, count)] = report.held_back().items()
        assert (why.startswith("rejected: QuickBooks says 610 "), count) == (True, 2)
