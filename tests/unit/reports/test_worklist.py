"""Whom to call, in which order, and what is not to be called about; DSO by both formulas, counted by hand."""

from __future__ import annotations

from tests.ledgers import JAN31, D, adjustment, applied, credit, customer, day, invoice, payment
from tieout.model import Instalment
from tieout.reports import Books
from tieout.reports.cash.dso import dso
from tieout.reports.cash.paying import day as end_of
from tieout.reports.cash.paying import days_late
from tieout.reports.cash.promises import Promise
from tieout.reports.cash.worklist import accounts, average, build
from tieout.reports.ledger import Subledger, dues


def books(*records, **more):
    return Books(name="erp", records=records, source={}, **more)


def promise(invoice_id, amount, on, said="2026-01-20"):
    return Promise(invoice_id, D(amount), day(on), day(said), "kim")


def late(id, who, amount, due, **more):
    return invoice(id, who, amount, "2025-12-01", due=due, **more)


def called(*records, promises=()):
    return [
        (a.customer, a.to_call, a.of("disputed"), a.of("promised"), a.of("promise broken"), a.credit, a.not_due)
        for a in accounts(end_of(Subledger(books(*records)), JAN31), promises)
        if a.items
    ]


def test_overdue_begins_the_day_after_the_due_date():
    assert called(late("A", "C1", "10", "2026-01-31")) == []
    assert called(late("A", "C1", "10", "2026-01-30"), late("B", "C1", "5", "2026-02-01"))[0][1:] == (10, 0, 0, 0, 0, 5)


def test_disputed_promised_and_money_already_here_are_not_called_about():
    records = [
        late("A", "C1", "100", "2026-01-10"),
        late("B", "C1", "50", "2026-01-10", disputed=True),
        late("C", "C1", "30", "2026-01-10"),
        late("D", "C1", "20", "2026-01-10"),
        payment("P", "C1", "15", "2026-01-20"),
        credit("K", "C1", "5", "2026-01-20"),
    ]
    promises = [promise("C", "30", "2026-02-05"), promise("D", "20", "2026-01-25")]
    # To call about: A and the broken promise, less the 20 that are already here.
    assert called(*records, promises=promises) == [("C1", 100, 50, 30, 20, -20, 0)]


def test_a_promise_of_a_part_one_that_came_in_and_one_taken_back():
    part = [promise("A", "60", "2026-02-05")]
    assert called(late("A", "C1", "100", "2026-01-10"), promises=part)[0][1:5] == (40, 0, 60, 0)
    came = payment("P", "C1", "60", "2026-01-25", apps=[applied("A", "60", "2026-01-25")])
    assert called(late("A", "C1", "100", "2026-01-10"), came, promises=part)[0][1:5] == (40, 0, 0, 0)
    back = [*part, promise("A", "0", "2026-02-05", said="2026-01-22")]
    assert called(late("A", "C1", "100", "2026-01-10"), promises=back)[0][1:5] == (100, 0, 0, 0)
    later = [*part, promise("A", "60", "2026-02-05", said="2026-02-01")]
    assert called(late("A", "C1", "100", "2026-01-10"), promises=later[1:])[0][1:5] == (100, 0, 0, 0)


def test_the_order_of_the_calls():
    records = [
        late("A", "small-old", "10", "2025-12-31"),
        late("B", "big-new", "1000", "2026-01-29"),
        late("C", "promised-once", "5", "2026-01-29"),
        late("D", "covered", "5", "2025-12-31"),
        payment("P", "covered", "9", "2026-01-20"),
        late("E", "disputes", "5000", "2025-12-31", disputed=True),
    ]
    order = [c[0] for c in called(*records, promises=[promise("C", "5", "2026-01-30")])]
    assert order == ["promised-once", "big-new", "small-old", "disputes", "covered"]


def test_what_is_open_of_instalments_lies_on_the_last():
    two = late(
        "A",
        "C1",
        "100",
        None,
        instalments=(Instalment(due=day("2026-01-10"), amount=D(60)), Instalment(due=day("2026-02-10"), amount=D(40))),
    )
    assert dues(two, D(100)) == [(day("2026-01-10"), 60), (day("2026-02-10"), 40)]
    assert dues(two, D(50)) == [(day("2026-01-10"), 10), (day("2026-02-10"), 40)]
    assert called(two)[0][1] == 60


def test_how_late_was_paid_counts_full_payment_in_money_only():
    records = [
        late("A", "C1", "100", "2026-01-10"),
        payment("P1", "C1", "60", "2026-01-05", apps=[applied("A", "60", "2026-01-05")]),
        payment("P2", "C1", "40", "2026-01-15", apps=[applied("A", "40", "2026-01-14")]),
        late("B", "C1", "10", "2026-01-10"),
        payment("P3", "C1", "10", "2026-01-07", apps=[applied("B", "10", "2026-01-07")]),
        late("C", "C1", "10", "2026-01-10"),
        credit("K", "C1", "10", "2026-01-20", apps=[applied("C", "10", "2026-01-20")]),
        late("D", "C1", "10", "2026-01-10"),
        payment("P4", "C1", "9", "2026-01-20", apps=[applied("D", "9", "2026-01-20")]),
        late("E", "C1", "10", "2026-01-10"),
        payment("P5", "C1", "10", "2026-01-20", apps=[applied("E", "10", "2026-01-20", "2026-01-25")]),
    ]
    assert days_late(end_of(Subledger(books(*records)), JAN31)) == {"C1": [-3, 5]}
    assert average([-3, 5, 5]) == D("2.3")


def test_dso_by_hand():
    records = [
        invoice("N", "C1", "300", "2025-11-15"),
        invoice("D", "C1", "620", "2025-12-20"),
        invoice("J", "C1", "310", "2026-01-10"),
        credit("K", "C1", "10", "2026-01-12"),
        payment("P", "C1", "610", "2026-01-20"),
    ]
    (found,) = dso(records, JAN31)
    # 610 owed; sold in 90 days (3 November to 31 January) 300 + 620 + 300.
    assert (found.receivables, found.sales, found.standard) == (610, 1220, D("45.0"))
    # Back: January 300 whole (31 days), of December 310 of 620 (15.5 of 31 days).
    assert found.count_back == D("46.5")
    assert [(m.sales, m.left, m.days) for m in found.months] == [(300, 310, 31), (620, 0, D("15.5"))]


def test_dso_is_not_told_without_sales_or_beyond_them():
    assert [(d.standard, d.count_back) for d in dso([payment("P", "C1", "5", "2026-01-02")], JAN31)] == [(None, None)]
    old = [invoice("A", "C1", "10", "2025-01-05"), adjustment("F", "C1", "finance_charge", "5", "2026-01-02")]
    assert [(d.standard, d.count_back) for d in dso(old, JAN31)] == [(None, None)]


def test_a_debit_on_the_account_is_overdue_and_a_refund_is_money():
    records = [
        adjustment("F", "C1", "finance_charge", "5", "2026-01-10"),
        adjustment("R", "C1", "refund", "3", "2026-01-10"),
        payment("P", "C1", "3", "2026-01-02"),
    ]
    assert called(*records) == [("C1", 5, 0, 0, 0, 0, 0)]


def test_the_report_adds_up_and_says_what_the_source_cannot_tell():
    records = [customer("C1", "One", phone="1", email="a@b", parent="T"), late("A", "C1", "10", "2026-01-10")]
    more = [late("U", "C1", "7", None), late("N", "C2", "1", "2026-03-01"), payment("P", "C1", "3", "2026-01-20")]
    made = build(books(*records, *more), as_of=JAN31)
    first = made.proofs[0]
    assert (first.ours, first.theirs, first.held) == (15, 15, True)
    assert all(p.held is not False for p in made.proofs)
    assert any("1 open invoices state no due date" in n for n in made.notes)
    assert [r.cells[2:4] for r in made.tables[0].rows if r.style == "detail"] == [("", "One")]
    listed = build(books(*records, unreadable=2, open_only=True), as_of=JAN31)
    assert listed.tables[2].rows == ()
    said = " ".join(listed.notes)
    assert "DSO, cannot be told" in said
    assert "2 records or rows could not be read" in said


def test_two_customers_of_one_name_are_told_apart_by_their_numbers():
    same = [customer("C1", "One", "10"), customer("C2", "One", "20")]
    bills = [late("A", "C1", "10", "2026-01-10"), late("B", "C2", "9", "2026-01-10")]
    made = build(books(*same, *bills), as_of=JAN31)
    for table in made.tables[:2]:
        assert [r.cells[2] for r in table.rows if r.style == "detail"] == ["10", "20"]
    assert "The source shows nothing that settles an invoice: how late" in " ".join(made.notes)
    assert "cannot be told" not in " ".join(build(books(), as_of=JAN31).notes), "of an empty ledger there is nothing"
