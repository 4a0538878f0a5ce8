"""Control codes: each where a ledger shows it, and silence where real ledgers show the same and nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.ledgers import (
    JAN31,
    QUICKBOOKS,
    SAP,
    D,
    adjustment,
    applied,
    codes,
    compared,
    credit,
    customer,
    invoice,
    payment,
)
from tieout.compare import Checks
from tieout.compare.codes import CODES, OF_ONE
from tieout.model import AnyRecord, Line, PostingState, TaxLine

LEFT = [customer("1", "Acme Ltd", "100"), customer("2", "Beta", "200")]
RIGHT = [customer("a", "ACME LTD.", "0100"), customer("b", "Beta", "200")]
WHOLE = tuple(replace(ledger, home="USD", whole=True) for ledger in (SAP, QUICKBOOKS))
ASKED = Checks(frozenset({"left", "right"}), frozenset({"left", "right"}), True, 30)


def line(net: str, code: str | None = None) -> Line:
    blank = dict.fromkeys(("item", "description", "quantity", "unit_price", "tax", "revenue_account"))
    return Line(**blank, net=D(net), tax_code=code)


def both(*records: AnyRecord, **right: Any) -> tuple[list[AnyRecord], list[AnyRecord]]:
    """The documents as both ledgers have them. right: what the first one is on the right instead"""
    names = {"1": "a", "2": "b"}
    there = []
    for n, r in enumerate(records):
        ref = r.ref.model_copy(update={"id": f"r{r.ref.id}"})
        moved = {"ref": ref, "customer": names[r.customer]} | (right if n == 0 else {})
        if getattr(r, "document", None):
            moved["document"] = f"r{r.document}"
        if getattr(r, "applications", ()):
            apps = [a.model_copy(update={"invoice": f"r{a.invoice}"}) for a in r.applications]
            moved["applications"] = tuple(apps)
        there.append(r.model_copy(update=moved))
    return [*LEFT, *records], [*RIGHT, *there]


BILL = invoice("I", "1", "100", "2026-01-10", number="N1")
PAID = payment("P", "1", "60", "2026-01-12", apps=[applied("I", "60", "2026-01-12")])


def test_each_breach_is_one_finding_of_its_ledger_and_moves_nothing():
    bad = invoice("X", "1", "10", "2026-01-05", subtotal=D("9.00"), number="N2")
    left, right = both(BILL, bad)
    right[-1] = right[-1].model_copy(update={"subtotal": D(10)})
    result = compared(left, right, as_of=JAN31)
    assert codes(result) == {"INVARIANT_BROKEN": 1}
    found = result.discrepancies[0]
    assert (found.left, found.right, found.field, found.left_value) == ("X", None, "I1 total", "10.00")
    assert (found.left_label, found.currency) == ("N2", "USD")
    assert (found.class_, found.delta, found.confirmed) == ("N", 0, True)
    assert found.cause.startswith("I1: subtotal less discount plus tax is the total; SAP says 10.00, expected 9.00")
    assert found.remedy


TAXED = {"tax": "10", "tax_lines": (TaxLine(code="T", rate=None, base=D(90), amount=D(9)),)}
BROKEN = {
    "I2 subtotal": [invoice("X", "1", "10", "2026-01-05", lines=(line("9"),))],
    "I2 tax": [invoice("X", "1", "100", "2026-01-05", **TAXED)],
    "I7 application": [payment("X", "1", "5", "2026-01-12", apps=[applied("gone", "5", "2026-01-12")])],
    "I7 amount": [
        payment("X", "1", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12").model_copy(update={"amount": D(4)})])
    ],
    "I8 application": [
        payment("X", "1", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")], voided_on="2026-01-13")
    ],
    "I10 exchange_rate": [invoice("X", "1", "10", "2026-01-05", currency="EUR", exchange_rate=D(1))],
    "I10 of the home currency": [invoice("X", "1", "10", "2026-01-05", exchange_rate=D("1.10"))],
    "I9 fx_realized": [
        invoice("X", "1", "10", "2026-01-05", currency="EUR", exchange_rate=D("1.10")),
        payment(
            "XP",
            "1",
            "10",
            "2026-01-08",
            currency="EUR",
            exchange_rate=D("1.20"),
            apps=[applied("X", "10", "2026-01-08")],
        ),
        adjustment("XA", "1", "fx_realized", "0.50", "2026-01-08", document="X", side="debit"),
    ],
}


VOIDED = payment("X", "1", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")], voided_on="2026-02-10")
OVER = payment("X", "1", "60", "2026-01-12", apps=[applied("I", "60", "2026-02-03")])


@pytest.mark.parametrize(("code", "begins", "records"), [
    ("INVARIANT_BROKEN", date(2026, 2, 10), (VOIDED,)),
    ("OVER_APPLIED", date(2026, 2, 3), (PAID, OVER)),
    # Taken back again: it was so in between.
    ("OVER_APPLIED", date(2026, 2, 3), (PAID, OVER.model_copy(update={"applications": (
        applied("I", "60", "2026-02-03").model_copy(update={"reversed_on": date(2026, 2, 20)}),)}))),
    # An invoice that is voided later was over-applied until then.
    ("OVER_APPLIED", date(2026, 2, 3), (PAID, OVER, "void")),
])  # fmt: skip
def test_what_a_later_day_breaks_is_not_said_of_an_earlier_one(code, begins, records):
    bill = BILL
    if records[-1] == "void":
        bill = BILL.model_copy(update={"state": PostingState.VOIDED, "voided_on": date(2026, 3, 1)})
        records = records[:-1]
    for day, said in ((JAN31, 0), (begins - timedelta(days=1), 0), (begins, 2)):
        found = codes(compared(*both(bill, *records), as_of=day, ledgers=WHOLE))
        assert found.get(code, 0) == said, (day, found)


def test_what_is_void_and_applied_leads_to_what_makes_it_known():
    found = compared(*both(BILL, VOIDED), as_of=None).discrepancies
    assert {d.field for d in found} == {"I8 application"}
    assert all("`reversed_on`, `voided_on`" in d.remedy for d in found)


def test_a_rate_that_cannot_be_leads_to_the_currency_of_its_connection():
    bill = BILL.model_copy(update={"exchange_rate": D("1.1")})
    found = compared(*both(bill), as_of=None, ledgers=WHOLE).discrepancies
    assert {d.field for d in found} == {"I10 exchange_rate"}
    assert all("correct the `currency` of that connection" in d.remedy for d in found)


def test_documents_of_a_later_day_make_nothing_ambiguous():
    """What a day shows is the same whether it is asked at once or when more has been entered."""
    early = invoice("A", "1", "120", "2026-01-10", number="N7")
    there = invoice("B", "a", "100", "2026-01-15", number="N7")
    later = invoice("C", "a", "90", "2026-02-15", number="N7")
    alone = compared([*LEFT, early], [*RIGHT, there], as_of=JAN31)
    assert codes(alone) == {"AMOUNT_NET": 1, "DATE_DIFF": 1}
    with_later = compared([*LEFT, early], [*RIGHT, there, later], as_of=JAN31)
    assert codes(with_later) == codes(alone)
    assert codes(compared([*LEFT, early], [*RIGHT, there, later], as_of=None)) == {"AMBIGUOUS_MATCH": 1}
    # Nor is there anything to say of what is all of another time, by number or with a known key.
    for key in (None, "number"):
        both_later = [invoice(f"D{n}", "1", f"{n}", "2026-02-02", number="N8") for n in (3, 5)]
        twice = [invoice(f"E{n}", "a", f"{n}", "2026-02-02", number="N8") for n in (70, 90)]
        assert codes(compared([*LEFT, *both_later], [*RIGHT, *twice], as_of=JAN31, key=key)) == {}
        assert codes(compared([*LEFT, *both_later], [*RIGHT, *twice], as_of=None, key=key)) == {"AMBIGUOUS_MATCH": 1}
    # One that pairs alone is a matter of cut-off still.
    over = invoice("F", "a", "120", "2026-02-01", number="N7")
    assert codes(compared([*LEFT, early], [*RIGHT, over], as_of=JAN31)) == {"CUTOFF": 1}


NAMES = {"I10 of the home currency": "I10 exchange_rate"}


@pytest.mark.parametrize("field", BROKEN)
def test_what_breaks_in_both_ledgers_is_said_of_both(field):
    result = compared(*both(BILL, *BROKEN[field]), as_of=JAN31, ledgers=WHOLE)
    assert {(d.code, d.field) for d in result.discrepancies} == {("INVARIANT_BROKEN", NAMES.get(field, field))}
    assert [(d.left is None, d.right is None) for d in result.discrepancies] in ([(False, True), (True, False)],
                                                                                 [(True, False), (False, True)])  # fmt: skip


def test_a_realised_gain_that_the_rates_give_breaks_nothing():
    bill, cash, gain = BROKEN["I9 fx_realized"]
    right = gain.model_copy(update={"amount": D("1.00")})  # 10 × (1.20 − 1.10)
    assert codes(compared(*both(bill, cash, right), as_of=JAN31, ledgers=WHOLE)) == {}
    # Without rates, or with a gain that concerns no invoice, nothing can be told.
    for other in (
        (bill.model_copy(update={"exchange_rate": None}), cash, gain),
        (bill, cash, gain, adjustment("Y", "1", "fx_realized", "7", "2026-01-08", side="debit")),
    ):
        assert codes(compared(*both(*other), as_of=JAN31, ledgers=WHOLE)) == {}


def test_what_a_ledger_need_not_hold_or_know_is_no_breach():
    """An export of a month refers to invoices of the month before; ledgers without families clear across customers."""
    stranger = payment("X", "2", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")])
    assert codes(compared(*both(BILL, stranger), as_of=JAN31, ledgers=WHOLE)) == {}
    assert codes(compared(*both(BILL, *BROKEN["I7 application"]), as_of=JAN31)) == {}
    assert codes(compared(*both(BILL, *BROKEN["I10 exchange_rate"]), as_of=JAN31)) == {}


def test_families_are_held_to_where_a_ledger_has_them():
    stranger = payment("X", "2", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")])
    left, right = both(BILL, stranger)
    left.append(customer("3", "Acme East", "300", parent="1"))
    result = compared(left, right, as_of=JAN31)
    assert [(d.code, d.field, d.left) for d in result.discrepancies] == [("INVARIANT_BROKEN", "I7 customer", "X")]
    left[1] = left[1].model_copy(update={"parent": "1"})
    assert codes(compared(left, right, as_of=JAN31)) == {}


def test_a_rate_of_one_that_differs_is_said_once():
    other = {"exchange_rate": D("1.1")}
    left, right = both(invoice("X", "1", "10", "2026-01-05", currency="EUR", exchange_rate=D(1)), **other)
    assert codes(compared(left, right, as_of=JAN31, ledgers=WHOLE)) == {"FX_RATE_DEFAULTED": 1}


REUSED = [
    invoice("V", "1", "90", "2026-01-09", number="N-7", voided_on="2026-01-09"),
    invoice("W", "1", "95", "2026-01-10", number="N 7"),
]


def test_a_number_used_again_after_a_void_is_named_where_numbers_are_used_once():
    result = compared(*both(*REUSED), as_of=JAN31, checks=Checks(unique_numbers=frozenset({"left"})))
    assert codes(result) == {"NUMBER_REUSED": 1}
    found = result.discrepancies[0]
    assert (found.left, found.left_value, found.right, found.severity) == ("V, W", "N 7", None, "low")
    assert codes(compared(*both(*REUSED), as_of=JAN31)) == {}


def test_two_that_stand_under_one_number_break_the_rule_that_was_asked_for():
    two = [REUSED[1], invoice("X", "2", "12", "2026-01-11", number="N7")]
    result = compared(*both(*two), as_of=JAN31, checks=ASKED)
    assert {(d.code, d.field) for d in result.discrepancies} == {("INVARIANT_BROKEN", "I11 number")}
    assert len(result.discrepancies) == 2
    assert codes(compared(*both(*two), as_of=JAN31)) == {}


def test_gaps_are_one_finding_for_each_series():
    numbers = ["INV-0098", "INV-0099", "INV-0101", "INV-0105", "CM1", "CM2", "odd", "INV-0106"]
    docs = [invoice(f"S{n}", "1", str(10 + n), "2026-01-05", number=number) for n, number in enumerate(numbers)]
    docs.append(credit("K", "1", "3", "2026-01-06", number="INV-0500"))  # a series of its own
    result = compared(*both(*docs), as_of=JAN31, checks=Checks(gapless_numbers=frozenset({"right"})))
    [found] = result.discrepancies
    assert (found.code, found.right, found.right_value, found.left) == ("SEQUENCE_GAP", "INV-*", "4", None)
    assert found.cause.startswith("missing in QuickBooks: INV-0100, INV-0102 to INV-0104;")
    assert codes(compared(*both(*docs), as_of=JAN31)) == {}


def test_credit_is_one_finding_for_each_customer_and_both_ledgers():
    docs = [
        payment("P1", "1", "50", "2025-12-01", reference="a"),
        credit("K1", "1", "5", "2025-12-05", number="k"),
        payment("P2", "1", "7", "2026-01-20", reference="b"),  # not old yet
        payment("P3", "2", "9", "2025-12-01", reference="c", apps=[applied("I", "9", "2025-12-02")]),
        invoice("I", "2", "9", "2025-12-01", number="N9"),
    ]
    result = compared(*both(*docs), as_of=JAN31, checks=Checks(unused_credit_days=30))
    [found] = result.discrepancies
    assert (found.code, found.left, found.right, found.currency) == ("CREDIT_UNUSED", "1", "a", "USD")
    assert (found.left_value, found.right_value, found.delta) == ("55.00", "55.00", 0)
    assert "2025-12-01" in found.cause
    assert codes(compared(*both(*docs), as_of=JAN31)) == {}
    # Without a day of its own, credit is old from today on.
    late = compared(*both(*docs), today=date(2026, 3, 1), checks=Checks(unused_credit_days=30))
    assert [d.left_value for d in late.discrepancies] == ["62.00"]


def test_a_credit_balance_is_named_where_asked():
    docs = [payment("P1", "1", "50", "2026-01-01", reference="a"), invoice("I", "1", "20", "2026-01-02", number="N"),
            invoice("J", "2", "20", "2026-01-02", number="M")]  # fmt: skip
    result = compared(*both(*docs), as_of=JAN31, checks=Checks(negative_balances=True))
    [found] = result.discrepancies
    assert (found.code, found.left, found.right) == ("NEGATIVE_BALANCE", "1", "a")
    assert (found.left_value, found.right_value) == ("-30.00", "-30.00")
    assert codes(compared(*both(*docs), as_of=JAN31)) == {}


@pytest.mark.parametrize(
    ("code", "first", "second"),
    [
        ("AR_ACCOUNT_DIFF", {"ar_account": "1200"}, {"ar_account": "1210"}),
        ("TAX_CODE", {"lines": (line("10", "S"),)}, {"lines": (line("10", "Z"),)}),
    ],
)
def test_codes_are_compared_where_both_ledgers_use_the_same(code, first, second):
    docs = [invoice("A", "1", "10", "2026-01-02", number="A", **first),
            invoice("B", "1", "10", "2026-01-03", number="B", **first),
            invoice("C", "1", "10", "2026-01-04", number="C", **second)]  # fmt: skip
    result = compared(*both(*docs, **second), as_of=JAN31)
    [found] = result.discrepancies
    assert (found.code, found.left, found.right, found.class_) == (code, "A", "rA", CODES[code].class_)
    # A ledger that calls the same thing otherwise is not accused of every document.
    left, right = both(*docs)
    renamed = {"ar_account": "AR"} if code == "AR_ACCOUNT_DIFF" else {"lines": (line("10", "Sale"),)}
    right[2:] = [r.model_copy(update=renamed) for r in right[2:]]
    assert codes(compared(left, right, as_of=JAN31)) == {}


def test_terms_and_parents_of_customers():
    left = [customer("1", "Acme", "1", terms="30 days", parent="9"), customer("2", "Beta", "2", terms="14 Days"),
            customer("9", "Acme Group", "9"), customer("3", "Gamma", "3", parent="9")]  # fmt: skip
    right = [customer("a", "Acme", "1", terms="14 days"), customer("b", "Beta", "2", terms="30 DAYS"),
             customer("z", "Acme Group", "9"), customer("c", "Gamma", "3", parent="z", terms="n/a")]  # fmt: skip
    result = compared(left, right)
    assert {(d.code, d.left, d.right) for d in result.discrepancies} == {
        ("TERMS_DIFF", "1", "a"),
        ("TERMS_DIFF", "2", "b"),
        ("PARENT_DIFF", "1", "a"),
    }
    [parent] = [d for d in result.discrepancies if d.code == "PARENT_DIFF"]
    assert (parent.left_value, parent.right_value) == ("Acme Group", None)
    # Terms that only one ledger uses, and parents that only one ledger knows, are other words, not differences.
    other = [c.model_copy(update={"terms": f"N{n}", "parent": None}) for n, c in enumerate(right)]
    assert codes(compared(left, other)) == {}


def month(n: int, size: int = 12) -> list[AnyRecord]:
    return [invoice(f"M{n}-{k}", "1", str(100 * n + k), f"2026-{n:02d}-{k + 1:02d}") for k in range(size)]


def test_extracts_of_different_times_are_said_to_be_so():
    left, right = both(*month(1), *month(2))
    result = compared(left, [*RIGHT, *(r for r in right[2:] if r.posted.month == 1)], extracts=True)
    assert codes(result) == {"MISSING_IN_B": 12, "NON_OVERLAP": 1}
    found = next(d for d in result.discrepancies if d.code == "NON_OVERLAP")
    assert (found.left_value, found.right_value) == ("2026-01-01 to 2026-02-12", "2026-01-01 to 2026-01-12")
    nothing = compared([*LEFT, *left[2:14]], [*RIGHT, *right[14:]], extracts=True)
    assert codes(nothing)["NON_OVERLAP"] == 1


def test_a_few_days_and_a_few_documents_more_are_no_other_period():
    left, right = both(*month(1), *month(2, 5))
    fewer = [*RIGHT, *(r for r in right[2:] if r.posted.month == 1)]
    assert "NON_OVERLAP" not in codes(compared(left, fewer, extracts=True))
    # In a sync one side is simply not there yet.
    assert "NON_OVERLAP" not in codes(compared([*LEFT, *left[14:]], [*RIGHT, *right[2:14]]))


def test_documents_that_are_only_dated_otherwise_are_no_other_period():
    """An extract that holds them, under whatever date, left nothing out."""
    left, right = both(*month(1))
    late = [r.model_copy(update={"posted": date(2026, 3, 1), "issued": date(2026, 3, 1)}) for r in right[3:]]
    assert codes(compared(left, [*right[:3], *late], extracts=True)) == {"DATE_DIFF": len(late)}


def test_a_code_of_one_ledger_never_moves_a_total():
    for code in OF_ONE:
        assert CODES[code].class_ in ("N", "Z"), code
    assert Decimal(0) == sum(d.delta for d in compared(*both(*REUSED, PAID), checks=ASKED).discrepancies)
