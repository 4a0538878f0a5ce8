"""A list of open items says what is open, not why: what drops out of it is neither paid nor deleted for anybody else."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.world import DAY, WIDE, credit_memo, payment
from tieout.connectors.memory import ManualClock, open_books
from tieout.connectors.tabular import open_tabular
from tieout.model import Entity
from tieout.sandbox.file_erp import FileErp
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.review import differences
from tieout.sync.store import open_store

D = Decimal


class OpenItems:
    """An ERP that exports customers and what is open, on the left; books in memory on the right."""

    def __init__(self, folder: Path, **pair: Any) -> None:
        self.clock, self.folder, self.day = ManualClock(), folder, date(2026, 1, 31)
        self.erp = FileErp(folder=folder / "erp", clock=self.clock)
        self.books = open_books("right", clock=self.clock)
        exports = [
            {"glob": "customers_*", "profile": "customers"},
            {"glob": "open-items_*", "profile": "open-items"},
        ]
        settings = {"folder": folder / "export", "exports": exports, "currency": "USD", "entity_code": "1000"}
        self.left = open_tabular("left", settings=settings, clock=self.clock)
        self.store = open_store("sqlite://", clock=self.clock)
        self.pair = Pair("books", "left", "right", mode="auto", codes=Codes.same(), limits=WIDE, **pair)
        self.ada = self.erp.books.enter_customer("Ada Ltd")

    def bill(self, amount: str, **kw: Any) -> str:
        return self.erp.books.enter_invoice(self.ada, amount, on=DAY, **kw)

    def again(self, **kw: Any) -> Report:
        self.erp.export(self.folder / "export", self.day, layouts=("customers", "open-items"))
        self.day += timedelta(days=1)
        return self.sync_again(**kw)

    def sync_again(self, **kw: Any) -> Report:
        self.clock.tick(120)
        connectors = {"left": self.left, "right": self.books}
        return sync(self.store, connectors, self.pair, apply=True, heartbeat=False, **kw)

    def pay_here(self, number: str, amount: str) -> None:
        self.erp.books.enter_payment(self.ada, amount, on=DAY, applications={number: amount})

    def pay_there(self, total: str, amount: str) -> None:
        [bill] = [i for i in self.books.books.all(Entity.INVOICE) if i.total == D(total)]
        self.books.books.put(payment(bill.customer, amount, on=((bill.ref.id, amount),)))


@pytest.fixture
def world(tmp_path: Path) -> OpenItems:
    """A over 100.00 and B over 50.00, open in both books."""
    w = OpenItems(tmp_path)
    w.bill("100.00")
    w.bill("50.00")
    assert w.again().discrepancies == []
    return w


def told(report: Report) -> list[tuple[str, Decimal]]:
    assert report.failures == []
    return sorted((d.code, d.delta) for d in report.discrepancies)


def bridge(report: Report) -> tuple[str, str, str]:
    found = report.as_json()["bridge"]["USD"]
    assert found["remainder"] == "0.00"
    return found["left_total"], found["right_total"], found["unconfirmed"]


def first(w: OpenItems) -> str:
    return next(n for n, d in w.erp.books.documents.items() if d.amount == D("100.00"))


def test_what_drops_out_is_named_with_what_was_open_last_and_nothing_is_written(world: OpenItems) -> None:
    world.pay_here(first(world), "100.00")
    report = world.again()
    assert told(report) == [("PAID_INFERRED", D("100.00"))]
    [d] = report.discrepancies
    assert (d.class_, d.confirmed) == ("T", False)
    assert "since 2026-02-01; last listed on 2026-01-31 with 100.00 USD open" in d.cause
    assert bridge(report) == ("50.00", "150.00", "100.00")
    assert (report.operations, report.written) == ([], [])
    assert (world.books.books.all(Entity.PAYMENT), len(world.books.books.all(Entity.INVOICE))) == ([], 2)


def test_it_lasts_as_one_difference_until_the_other_side_shows_the_settlement(world: OpenItems) -> None:
    world.pay_here(first(world), "100.00")
    ids = {d.id for _ in range(3) for d in world.again().discrepancies}
    assert len(ids) == 1
    world.pay_there("100.00", "40.00")
    report = world.again()
    assert told(report) == [("PAID_INFERRED", D("60.00"))]
    world.pay_there("100.00", "60.00")
    report = world.again()
    assert told(report) == []
    assert bridge(report) == ("50.00", "50.00", "0.00")
    assert differences.listed(world.store, "books") == []


def test_a_credit_on_the_other_side_explains_it_as_well(world: OpenItems) -> None:
    world.pay_here(first(world), "100.00")
    world.again()
    [bill] = [i for i in world.books.books.all(Entity.INVOICE) if i.total == D("100.00")]
    memo = credit_memo(bill.customer, "100.00")
    application = payment(bill.customer, "100.00", on=((bill.ref.id, "100.00"),)).applications
    world.books.books.put(memo.model_copy(update={"applications": application}))
    assert "PAID_INFERRED" not in [code for code, _ in told(world.again())]


def test_an_item_that_comes_back_was_only_missing_from_a_list(world: OpenItems) -> None:
    world.erp.misbehave(silent_partial=1)
    assert "PAID_INFERRED" in [code for code, _ in told(world.again())]
    world.erp.misbehave(silent_partial=0)
    assert told(world.again()) == []


def test_before_it_dropped_out_it_was_open(world: OpenItems) -> None:
    world.pay_here(first(world), "100.00")
    world.again()
    before = world.again(as_of=date(2026, 1, 31))
    assert bridge(before) == ("150.00", "150.00", "0.00")
    after = world.again(as_of=date(2026, 2, 1))
    assert bridge(after) == ("50.00", "150.00", "100.00")


def test_what_is_open_in_part_is_compared_by_what_is_open(world: OpenItems) -> None:
    world.pay_here(first(world), "40.00")
    report = world.again()
    assert told(report) == [("PAID_VS_OPEN", D("40.00"))]
    assert bridge(report) == ("110.00", "150.00", "0.00")
    world.pay_there("100.00", "40.00")
    assert told(world.again()) == []


def test_items_that_dropped_out_long_ago_do_not_make_a_list_suspicious(world: OpenItems) -> None:
    for n in range(8):
        number = world.bill(f"{200 + n}.00")
        world.again()
        world.pay_here(number, f"{200 + n}.00")
        world.pay_there(f"{200 + n}.00", f"{200 + n}.00")
        report = world.again()
        assert told(report) == []
        assert report.trips == []


def test_paid_invoices_of_the_other_side_are_not_missing_from_a_list_of_open_ones(world: OpenItems) -> None:
    world.pay_there("50.00", "50.00")
    report = world.again()
    assert told(report) == [("PAID_VS_OPEN", D("-50.00"))]
    assert report.operations == []


def test_an_item_that_the_other_side_never_held_is_named_without_an_amount(tmp_path: Path) -> None:
    w = OpenItems(tmp_path, flows={Entity.INVOICE: "none"})
    number = w.bill("100.00")
    w.again()
    w.pay_here(number, "100.00")
    report = w.again()
    assert told(report) == [("PAID_INFERRED", D("0"))]
    assert number in report.discrepancies[0].cause
