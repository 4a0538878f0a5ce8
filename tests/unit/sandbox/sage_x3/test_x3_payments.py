"""Payments: what they hold and pay, what is refused, exchange differences, reversal, lettering."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.unit.sandbox.sage_x3.conftest import allocation, customer, invoice, item, memo, pay, refused

D = Decimal


def open_of(row):
    return (row["AMTCUR"] - (row["PAYCUR"] + row["TMPCUR"])) * row["SNS"]


def test_what_is_not_allocated_stays_on_account(books):
    customer(books)
    num = invoice(books)
    payment = pay(books, "C1", "150", allocation(num, "100"))
    assert (item(books, num)["FLGCLE"], open_of(item(books, payment))) == (2, -50)
    later = invoice(books, price="70")
    books.match("C1", [("INV", later, D(50)), ("PAY", payment, D(50))])
    assert (open_of(item(books, later)), item(books, payment)["FLGCLE"]) == (20, 2)
    books.check()


def test_one_payment_takes_invoices_and_credit_memos(books):
    customer(books)
    num, credit = invoice(books), memo(books, price="30")
    payment = pay(books, "C1", "70", allocation(num, "100"), allocation(credit, "-30"))
    assert (item(books, num)["FLGCLE"], item(books, credit)["FLGCLE"]) == (2, 2)
    assert books.read("PAY", payment)["RSTIMPUT"] == 0
    books.check()


def test_a_discount_pays_without_cash(books):
    customer(books)
    num = invoice(books)
    pay(books, "C1", "98", allocation(num, "100"), {"DENCOD": "DISCT", "AMTLIN": D(2)})
    assert item(books, num)["FLGCLE"] == 2
    books.check()


def test_due_dates_are_paid_in_order(books):
    customer(books, PTE="HALVES")
    num = invoice(books)
    pay(books, "C1", "60", allocation(num, "60"))
    rows = [r for r in books.open_items() if r["NUM"] == num]
    assert [r["PAYCUR"] for r in rows] == [50, 10]


@pytest.mark.parametrize(
    ("lines", "amount", "key"),
    [
        ([("inv", "100.01")], "200", "over_allocated"),
        ([("inv", "60"), ("inv", "60")], "200", "over_allocated"),
        ([("inv", "-10")], "10", "wrong_sign"),
        ([("credit", "10")], "10", "wrong_sign"),
        ([("inv", "50")], "40", "over_total"),
        ([("other", "10")], "10", "other_customer"),
        ([("usd", "10")], "10", "other_currency"),
        ([("elsewhere", "10")], "10", "other_company"),
        ([("draft", "10")], "10", "not_posted"),
        ([("nix", "10")], "10", "no_record"),
        ([("inv", "10.001")], "10", "precision"),
        ([], "0", "no_amount"),
        ([("inv", "0")], "10", "no_amount"),
    ],
)
def test_an_allocation_that_is_wrong_is_refused_and_holds_nothing(books, lines, amount, key):
    customer(books)
    customer(books, "C2")
    nums = {
        "inv": invoice(books),
        "credit": memo(books, price="50"),
        "other": invoice(books, "C2"),
        "usd": invoice(books, CUR="USD"),
        "elsewhere": invoice(books, SALFCY="TWN01", CUR="EUR"),
        "draft": invoice(books, post=False),
        "nix": "NIX",
    }
    before = books.open_items()
    told = refused(lambda: pay(books, "C1", amount, *(allocation(nums[name], part) for name, part in lines)))
    assert told.key == key
    assert books.open_items() == before
    assert books.rows("PAY") == []


def test_an_entered_payment_can_be_changed_a_posted_one_only_cancelled(make):
    books = make(payment_posting="manual")
    customer(books)
    num = invoice(books)
    payment = pay(books, "C1", "60", allocation(num, "60"))
    books.modify("PAY", (payment,), {"AMTCUR": 80, "lines": [{"AMTLIN": "80"}]})
    assert (item(books, num)["TMPCUR"], item(books, num)["PAYCUR"]) == (80, 0)
    books.action("PAY", "POST", (payment,))
    assert (item(books, num)["TMPCUR"], item(books, num)["PAYCUR"]) == (0, 80)
    for act in (lambda: books.modify("PAY", (payment,), {"REF": "x"}), lambda: books.delete("PAY", (payment,))):
        assert refused(act).key == "posted"
    books.action("PAY", "CANCEL", (payment,))
    assert (item(books, num)["PAYCUR"], books.read("PAY", payment)["STA2"]) == (0, 5)
    assert refused(lambda: books.action("PAY", "CANCEL", (payment,))).key == "not_posted"
    draft = pay(books, "C1", "10", allocation(num, "10"))
    books.delete("PAY", (draft,))
    assert (item(books, num)["TMPCUR"], books.read("PAY", draft)) == (0, None)
    books.check()


def test_a_payment_whose_rest_is_used_is_not_cancelled(books):
    customer(books)
    payment = pay(books, "C1", "50")
    num = invoice(books)
    books.match("C1", [("PAY", payment, D(50)), ("INV", num, D(50))])
    assert refused(lambda: books.action("PAY", "CANCEL", (payment,))).key == "matched"


def test_exchange_differences_are_booked_and_nothing_is_left(books):
    customer(books, CUR="USD")
    num = invoice(books, CUR="USD", price="1000.01", INVDAT=date(2025, 12, 1), PTE="THIRDS")
    first = pay(books, "C1", "400", allocation(num, "400"), CUR="USD", ACCDAT=date(2026, 1, 15))
    pay(books, "C1", "600.01", allocation(num, "600.01"), CUR="USD", ACCDAT=date(2026, 1, 16))
    rows = [r for r in books.open_items() if r["NUM"] == num]
    assert all(r["FLGCLE"] == 2 and r["PAYLOC"] == r["AMTLOC"] for r in rows)
    accounts = {x["ACC"] for x in books.read("GAS", "PAY", first)["lines"]}
    assert "766000" in accounts
    books.action("PAY", "CANCEL", (first,))
    books.check()


def test_matching_across_rates_books_the_difference(books):
    customer(books, CUR="USD")
    num = invoice(books, CUR="USD", price="500", INVDAT=date(2025, 12, 1))
    payment = pay(books, "C1", "500", CUR="USD", ACCDAT=date(2026, 1, 15))
    books.match("C1", [("INV", num, D(500)), ("PAY", payment, D(500))])
    assert any(row["TYP"] == "EXD" for row in books.rows("GAS"))
    books.check()


def letters(books, type, num):
    return [x["MTC"] for x in books.read("GAS", type, num)["lines"] if x["ACC"] == "411000"]


@pytest.mark.parametrize(("setting", "first"), [("replaced", "AAA"), ("remain", "aaa")])
def test_codes_are_lower_case_until_all_is_paid(make, setting, first):
    books = make(partial_codes=setting)
    customer(books)
    num = invoice(books)
    one = pay(books, "C1", "60", allocation(num, "60"))
    assert letters(books, "INV", num) == letters(books, "PAY", one) == ["aaa"]
    two = pay(books, "C1", "40", allocation(num, "40"))
    assert letters(books, "PAY", two) == ["AAA"]
    assert letters(books, "PAY", one) == [first]
    other = invoice(books)
    assert letters(books, "INV", other) == [""]
    books.action("PAY", "CANCEL", (two,))
    assert letters(books, "PAY", two) == [""]
    assert letters(books, "PAY", one) == ["aaa"]
    books.check()


def test_a_refund_takes_a_credit(books):
    customer(books)
    credit = memo(books, price="30")
    pay(books, "C1", "-30", allocation(credit, "-30"))
    assert item(books, credit)["FLGCLE"] == 2
    books.check()
