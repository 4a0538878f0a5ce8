"""Exports that date a settlement and show no payment: compared as stated, created only by policy, never twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_files import FileWorld
from tests.scenarios.world import DAY, customer, invoice, payment
from tieout.model import Entity, Method, Payment
from tieout.sync.engine import Report

D = Decimal
SETTLED = DAY + timedelta(days=9)


class World(FileWorld):
    """The ERP states settlements; `S-1` of Ada over 100.00 is settled, `S-2` over 50.00 is open."""

    def __init__(self, folder: Path, policy: str = "create", **pair: Any) -> None:
        super().__init__(folder, "plain", stated_settlements=policy, **pair)
        erp = self.erp.books
        self.ada = erp.enter_customer("Ada Ltd")
        self.paid = erp.enter_invoice(self.ada, "100.00", on=DAY, reference="S-1", settled_on=SETTLED)
        self.open = erp.enter_invoice(self.ada, "50.00", on=DAY, reference="S-2")

    def again(self, runs: int = 1, **kw: Any) -> Report:
        for _ in range(runs):
            self.load()
            self.export()
            report = self.run(**kw)
        return report

    def theirs(self) -> list[Payment]:
        return self.books.books.all(Entity.PAYMENT)

    def pay(self, amount: str, *applied: str, **kw: Any) -> Payment:
        """Somebody enters a payment in the other books; `applied` to S-1."""
        [bill] = [i for i in self.books.books.all(Entity.INVOICE) if i.total == D("100.00")]
        return self.books.books.put(payment(bill.customer, amount, on=tuple((bill.ref.id, a) for a in applied), **kw))


def told(report: Report) -> list[tuple[str, Decimal]]:
    return sorted((d.code, d.delta) for d in report.discrepancies)


def bridge(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report.as_json()["bridge"]["USD"]
    assert found["remainder"] == "0.00"
    return found


def test_by_policy_it_becomes_a_payment_that_says_so(tmp_path: Path) -> None:
    w = World(tmp_path)
    report = w.again()
    assert report.failures == []
    [made] = w.theirs()
    [a] = made.applications
    assert (made.amount, made.posted, made.received, made.method) == (D("100.00"), SETTLED, SETTLED, Method.OTHER)
    assert (a.amount, made.reference, made.stated_by_source) == (D("100.00"), None, False)
    assert "stated by left" in (made.memo or "")
    assert told(report) == []
    assert bridge(report)["left_total"] == bridge(report)["right_total"] == "50.00"
    assert w.again(3).operations == []
    assert len(w.theirs()) == 1


def test_it_waits_for_approval_as_any_payment_does(tmp_path: Path) -> None:
    w = World(tmp_path, mode="propose")
    report = w.again()
    assert sorted((o.op, o.entity, o.delta) for o in report.operations if o.entity is Entity.PAYMENT) == [
        ("create", Entity.PAYMENT, D("-100.00"))
    ]
    assert {d.code for d in report.discrepancies if d.delta} == {"SYNC_IN_FLIGHT"}
    assert w.theirs() == []


def test_by_default_it_is_compared_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    w = World(tmp_path, policy="compare")
    report = w.again(2)
    assert w.theirs() == []
    assert report.operations == []
    assert told(report) == [("PAID_VS_OPEN", D("100.00"))]
    assert f"left says that it was settled on {SETTLED}; right shows it open" in report.discrepancies[0].cause
    assert (bridge(report)["left_total"], bridge(report)["right_total"]) == ("50.00", "150.00")


@pytest.mark.parametrize("policy", ["compare", "create"])
def test_a_payment_entered_by_hand_is_the_one_that_was_stated(tmp_path: Path, policy: str) -> None:
    w = World(tmp_path, policy="compare")
    w.again()
    w.pair = replace(w.pair, stated_settlements=policy)
    w.pay("100.00", "100.00", when=SETTLED, reference="chk 7")
    report = w.again()
    assert told(report) == []
    assert report.operations == []
    assert len(w.theirs()) == 1
    assert [d for d in w.erp.books.documents.values() if d.type == "DZ"] == []
    assert w.again(2).operations == []


@pytest.mark.parametrize("policy", ["compare", "create"])
def test_parts_of_it_are_the_difference_and_flow_nowhere(tmp_path: Path, policy: str) -> None:
    w = World(tmp_path, policy="compare")
    w.again()
    w.pair = replace(w.pair, stated_settlements=policy)
    w.pay("40.00", "40.00")
    report = w.again()
    assert {d.code for d in report.discrepancies} == {"PAID_VS_OPEN"}
    assert sum(d.delta for d in report.discrepancies) == D("60.00")
    assert any("stated_settlement" in d.cause and "S-1" not in d.cause for d in report.discrepancies)
    bridge(report)
    w.pay("60.00", "60.00")
    report = w.again(2)
    assert sum(d.delta for d in report.discrepancies) == 0
    assert bridge(report)["left_total"] == bridge(report)["right_total"] == "50.00"
    assert report.operations == []
    assert (len(w.theirs()), [d for d in w.erp.books.documents.values() if d.type == "DZ"]) == (2, [])


def test_money_on_account_that_may_be_it_holds_both(tmp_path: Path) -> None:
    w = World(tmp_path, policy="compare")
    w.again()
    w.pay("100.00", when=SETTLED + timedelta(days=12), reference="wire 3")
    w.pair = replace(w.pair, stated_settlements="create")
    report = w.again(2)
    assert report.operations == []
    assert {d.code for d in report.discrepancies} == {"PAID_VS_OPEN"}
    assert sum(d.delta for d in report.discrepancies) == 0
    assert len(w.theirs()) == 1


def test_the_real_payment_entered_beside_the_created_one_is_named_and_goes_no_further(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.pay("100.00", when=SETTLED + timedelta(days=2), reference="chk 7")
    report = w.again(2)
    [d] = report.discrepancies
    assert (d.code, d.delta) == ("PAYMENT_DUPLICATED", D("-100.00"))
    assert "settled on" in d.cause
    assert [d for d in w.erp.books.documents.values() if d.type == "DZ"] == []
    assert report.operations == []


def test_the_erps_own_payment_takes_the_place_of_its_statement(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.erp.books.change(w.paid, settled_on=None)
    w.erp.books.enter_payment(
        w.ada, "100.00", on=SETTLED, applications={w.paid: "100.00"}, method="check", reference="chk 7", text="lockbox"
    )
    w.erp.books.change(w.paid, settled_on=SETTLED)
    report = w.again(2)
    [made] = w.theirs()
    assert (made.reference, made.memo) == ("chk 7", "lockbox")
    assert told(report) == []
    assert report.operations == []
    assert len(w.theirs()) == 1


def test_the_erps_payments_in_parts_are_not_paid_again(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.erp.books.change(w.paid, settled_on=None)
    for part in ("40.00", "60.00"):
        w.erp.books.enter_payment(w.ada, part, on=SETTLED, applications={w.paid: part})
    report = w.again(3)
    assert len(w.theirs()) == 1
    assert sum(d.delta for d in report.discrepancies) == 0
    assert bridge(report)["left_total"] == bridge(report)["right_total"] == "50.00"
    assert w.again().applied["done"] == 0


def test_a_settlement_taken_back_voids_nothing_by_itself(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.erp.books.change(w.paid, settled_on=None)
    report = w.again(3)
    assert [p.state.value for p in w.theirs()] == ["posted"]
    assert report.operations == []
    assert {d.code for d in report.discrepancies} <= {"DELETED_VS_OPEN", "PAYMENT_MISSING"}
    assert sum(d.delta for d in report.discrepancies) == D("-100.00")


def test_another_date_of_the_same_settlement_moves_the_payment(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.erp.books.change(w.paid, settled_on=SETTLED + timedelta(days=1))
    report = w.again()
    assert [p.posted for p in w.theirs()] == [SETTLED + timedelta(days=1)]
    assert told(report) == []


def test_what_was_settled_before_the_cutover_is_never_created(tmp_path: Path) -> None:
    w = World(tmp_path, cutover=date(2026, 2, 1))
    report = w.again(2)
    assert (w.theirs(), report.operations) == ([], [])
    bridge(report)


def test_a_part_paid_invoice_that_the_erp_calls_settled_differs_by_the_rest(tmp_path: Path) -> None:
    w = World(tmp_path)
    w.again()
    w.erp.books.enter_payment(w.ada, "20.00", on=SETTLED, applications={w.open: "20.00"}, reference="chk 8")
    assert told(w.again()) == []
    w.erp.books.change(w.open, settled_on=SETTLED)
    report = w.again(2)
    assert told(report) == [("PAID_VS_OPEN", D("30.00"))]
    assert (bridge(report)["left_total"], bridge(report)["right_total"]) == ("0.00", "30.00")
    assert report.operations == []
    assert len(w.theirs()) == 2


def test_a_lost_state_database_finds_what_it_made(tmp_path: Path) -> None:
    from tieout.sync.store import open_store

    w = World(tmp_path)
    w.again()
    w.store = open_store("sqlite://", clock=w.clock)
    report = w.again(2)
    assert told(report) == []
    assert (report.operations, len(w.theirs())) == ([], 1)


def test_customers_who_owe_the_same_are_not_mixed_up(tmp_path: Path) -> None:
    w = World(tmp_path)
    bea = w.erp.books.enter_customer("Bea Inc")
    for who in (w.ada, bea):
        w.erp.books.enter_invoice(who, "100.00", on=DAY, settled_on=SETTLED)
    report = w.again()
    assert told(report) == []
    assert len(w.theirs()) == 3
    assert w.again(2).operations == []


def test_what_is_born_on_the_other_side_flows_as_ever(tmp_path: Path) -> None:
    w = World(tmp_path)
    bob = w.books.books.put(customer("Bob"))
    bill = w.books.books.put(invoice(bob.ref.id, "70.00", number="Q-1"))
    w.books.books.put(payment(bob.ref.id, "70.00", on=((bill.ref.id, "70.00"),), reference="chk 9"))
    report = w.again(5)
    assert told(report) == []
    assert report.operations == []
    assert len([d for d in w.erp.books.documents.values() if d.type == "DZ"]) == 1
