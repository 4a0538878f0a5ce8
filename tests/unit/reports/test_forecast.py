"""What open invoices should bring: by each customer's own habit, by the ledger's, by the due date, or no date at all."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.ledgers import JAN31, D, applied, credit, day, invoice, payment
from tieout.model import Instalment
from tieout.reports import Books
from tieout.reports.cash.expected import History, divided, expect, histories
from tieout.reports.cash.forecast import AHEAD, WEEKS, backtest, build, weeks
from tieout.reports.cash.paying import day as end_of
from tieout.reports.cash.promises import Promise
from tieout.reports.ledger import Subledger


def paid(who, *late, total="10", due="2025-11-30"):
    """An invoice and its payment for each of these days late."""
    out = []
    for n, d in enumerate(late):
        on = (day(due) + timedelta(days=d)).isoformat()
        id = f"{who}-{n}"
        out.append(invoice(id, who, total, "2025-11-01", due=due))
        out.append(payment(f"P{id}", who, total, on, apps=[applied(id, total, on)]))
    return out


def ledger(*records):
    return Subledger(Books(name="erp", records=records, source={}))


def expected(*records, less=None):
    side = end_of(ledger(*records), JAN31)
    return expect(side, histories(side), less or {})


def shares(one):
    return {s.on: s.amount for s in one.shares}


def test_own_habit_in_shares_and_a_range():
    due = day("2026-02-10")
    (one,) = expected(*paid("C1", 0, 0, 10, 20, 30), invoice("A", "C1", "100", "2026-01-10", due="2026-02-10"))
    assert (one.basis, one.count) == ("own", 5)
    assert shares(one) == {
        due: D(40),
        due + timedelta(days=10): D(20),
        due + timedelta(days=20): D(20),
        due + timedelta(days=30): D(20),
    }
    assert (one.early, one.late) == (due, due + timedelta(days=20))


def test_what_it_has_outlived_says_nothing_more():
    late = invoice("A", "C1", "100", "2025-12-01", due="2026-01-16")  # 15 days late today
    (one,) = expected(*paid("C1", 0, 0, 10, 20, 20, 20, 20, 40), late)
    assert shares(one) == {day("2026-02-05"): D(80), day("2026-02-25"): D(20)}
    assert all(on > JAN31 for on in shares(one))


def test_with_too_few_of_its_own_the_ledger_counts_then_the_due_date_then_nothing():
    not_due = invoice("A", "C1", "100", "2026-01-10", due="2026-02-10")
    overdue = invoice("B", "C1", "100", "2025-12-10", due="2026-01-10")
    few, others = paid("C1", 1, 1, 1, 1), paid("C2", 30, 30, 30, 30, 30)
    assert [(e.invoice.ref.id, e.basis, e.count) for e in expected(*few, *others, not_due, overdue)] == [
        ("B", "ledger", 5),
        ("A", "ledger", 9),
    ]
    assert [(e.invoice.ref.id, e.basis, shares(e)) for e in expected(*few, not_due, overdue)] == [
        ("B", "none", {None: D(100)}),
        ("A", "due date", {day("2026-02-10"): D(100)}),
    ]


def test_an_invoice_without_a_due_date_has_none_here_and_instalments_have_several():
    undated = invoice("A", "C1", "100", "2026-01-10")
    parts = (Instalment(due=day("2026-02-10"), amount=D(60)), Instalment(due=day("2026-03-10"), amount=D(40)))
    two = invoice("B", "C1", "100", "2026-01-10", instalments=parts)
    assert [(e.due, e.open, e.basis) for e in expected(undated, two)] == [
        (None, 100, "none"),
        (day("2026-02-10"), 60, "due date"),
        (day("2026-03-10"), 40, "due date"),
    ]


@pytest.mark.parametrize(
    ("amount", "weights", "currency", "parts"),
    [
        ("10", [1, 1, 1], "USD", ["3.33", "3.33", "3.34"]),
        ("10", [1, 1, 1], "JPY", ["3", "3", "4"]),
        ("1.001", [1, 1], "KWD", ["0.5", "0.501"]),
        ("0.01", [1, 1, 1], "USD", ["0", "0", "0.01"]),
        ("10.001", [1, 1], "USD", ["5", "5.001"]),
    ],
)
def test_what_does_not_divide_goes_to_the_last_share(amount, weights, currency, parts):
    assert divided(D(amount), weights, currency) == [D(p) for p in parts]


def test_quantiles_are_days_that_happened():
    history = History.of([1, 2, 3, 4, 100])
    assert [history.quantile(q) for q in (20, 50, 80, 100)] == [1, 3, 4, 100]
    assert History.of([7]).quantile(20) == 7


def test_weeks_end_on_sundays():
    assert weeks(day("2026-01-31"))[:2] == [(day("2026-02-01"),) * 2, (day("2026-02-02"), day("2026-02-08"))]
    assert weeks(day("2026-02-01"))[0] == (day("2026-02-02"), day("2026-02-08"))
    assert len(weeks(JAN31)) == WEEKS


def rows(made, key):
    table = next(t for t in made.tables if t.key == key)
    keys = [c.key for c in table.columns]
    return [dict(zip(keys, r.cells, strict=True)) for r in table.rows]


def test_disputed_and_promised_stand_apart_and_everything_adds_up():
    records = [
        *paid("C1", 0, 0, 0, 0, 0),
        invoice("A", "C1", "100", "2026-01-10", due="2026-02-10"),
        invoice("B", "C1", "50", "2026-01-10", due="2026-02-10", disputed=True),
        invoice("C", "C1", "30", "2026-01-10", due="2026-02-10"),
        credit("K", "C1", "5", "2026-01-12"),
    ]
    promises = [
        Promise("C", D(20), day("2026-03-05"), day("2026-01-20"), "kim"),
        Promise("B", D(50), day("2026-03-05"), day("2026-01-20"), "kim"),
    ]
    made = build(Books(name="erp", records=records, source={}), as_of=JAN31, promises=promises)
    lines = {r["what"]: r for r in rows(made, "weeks")}
    assert (lines["week 7, 2026"]["expected"], lines["week 7, 2026"]["promised"]) == (110, 0)
    assert (
        lines["week 10, 2026"]["expected"],
        lines["week 10, 2026"]["promised"],
        lines["week 10, 2026"]["running"],
    ) == (0, 20, 130)
    assert lines["disputed"]["expected"] == 50
    assert (
        lines["open invoices"] | {"expected": 160, "promised": 20, "early": 180, "late": 180} == lines["open invoices"]
    )
    assert lines["open receivables"]["together"] == 175
    assert all(p.held is not False for p in made.proofs)


def test_the_backtest_knows_only_what_was_known():
    habit = paid("C1", 10, 10, 10, 10, 10, due="2025-11-01")
    # Open at the end of November; half of what the habit says comes in time, the rest in January.
    bills = [invoice(f"B{n}", "C1", "100", "2025-11-10", due="2025-12-05") for n in range(2)]
    money = [
        payment("X0", "C1", "100", "2025-12-15", apps=[applied("B0", "100", "2025-12-15")]),
        payment("X1", "C1", "100", "2026-01-20", apps=[applied("B1", "100", "2026-01-20")]),
    ]
    (november,) = [t for t in backtest(ledger(*habit, *bills, *money), JAN31) if t.day == day("2025-11-30")]
    assert (november.open, november.expected, november.received, november.due) == (200, 200, 100, 200)
    assert (november.low, november.high) == (200, 200)
    # The last month end whose days are over: 28 days after 31 December, not after 31 January.
    assert max(t.day for t in backtest(ledger(*habit, *bills, *money), JAN31)) == day("2025-12-31")
    assert AHEAD == 28


def test_a_list_of_open_items_has_no_history_and_says_so():
    books = Books(
        name="erp", records=[invoice("A", "C1", "9", "2026-01-10", due="2026-02-10")], source={}, open_only=True
    )
    made = build(books, as_of=JAN31)
    assert rows(made, "backtest") == []
    assert any("fewer than 5" in n for n in made.notes)
    assert {r["what"]: r for r in rows(made, "weeks")}["week 7, 2026"]["expected"] == Decimal(9)


def test_weeks_over_new_year_have_one_name_each_and_the_chart_says_the_year():
    made = build(
        Books(name="erp", records=[invoice("A", "C1", "9", "2026-11-10", due="2027-01-02")], source={}),
        as_of=day("2026-11-30"),
    )
    names = [r["what"] for r in rows(made, "weeks") if r["last"]]
    assert [*names[4:6], len({*names})] == ["week 53, 2026", "week 1, 2027", WEEKS]
    [chart] = made.charts
    assert [(b.label, b.amount) for b in chart.bars if b.amount] == [("2026-12-28", 9)]
    assert chart.bars[5].label == "2027-01-04"
