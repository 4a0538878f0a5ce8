"""Invoices and credit memos: numbers, taxes, due dates, currencies, posting and what cannot be undone after it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.sage_x3.conftest import allocation, customer, invoice, item, line, memo, pay, refused
from tieout.sandbox.sage_x3.amounts import shares, taxes
from tieout.sandbox.sage_x3.company import Due

D = Decimal


def test_numbers_run_by_type_site_and_year(books):
    customer(books)
    made = [
        invoice(books, post=False),
        invoice(books, post=False),
        memo(books, post=False),
        invoice(books, post=False, SALFCY="HLS02"),
        invoice(books, post=False, INVDAT=date(2025, 12, 31)),
        invoice(books, post=False, SIVTYP="FRN"),
    ]
    assert made == ["INV-26/00001", "INV-26/00002", "CRM-26/00001", "INVN-26/00001", "INV-25/00001", "FRN-26/00001"]


def test_a_refused_document_gives_its_number_back_and_leaves_nothing(books):
    customer(books)
    effects = len(books.effects)
    assert refused(lambda: invoice(books, price="-5")).key == "negative"
    assert refused(lambda: invoice(books, lines=[])).key == "no_lines"
    assert refused(lambda: invoice(books, PTE="NIX")).key == "unknown_value"
    assert len(books.effects) == effects
    assert books.rows("SIH") == []
    assert invoice(books, post=False) == "INV-26/00001"


def test_a_given_number_is_taken_once(books):
    customer(books)
    assert invoice(books, post=False, NUM="X-1") == "X-1"
    assert str(refused(lambda: invoice(books, post=False, NUM="X-1"))) == "SIH X-1: record already exists"


def test_taxes_are_rounded_once_a_code_and_totals_add_up(books):
    customer(books)
    rows = [line("0.33", "NOR"), line("0.33", "NOR"), line("0.33", "RED"), line("10", "EXO", QTY=D("2.5"))]
    doc = books.read("SIH", invoice(books, lines=rows, post=False))
    assert [(t["XVTAX"], t["XVNOT"], t["XVAMT"]) for t in doc["taxes"]] == [
        ("NOR", D("0.66"), D("0.13")),
        ("RED", D("0.33"), D("0.02")),
        ("EXO", D("25.00"), D(0)),
    ]
    assert (doc["INVNOT"], doc["INVATI"]) == (D("25.99"), D("26.14"))


def test_prices_with_tax_keep_the_total(books):
    customer(books)
    doc = books.read("SIH", invoice(books, PRITYP=2, lines=[line("9.99", "NOR"), line("0.01", "NOR")], post=False))
    assert (doc["INVATI"], doc["INVNOT"]) == (D("10.00"), D("8.33"))


def test_an_export_customer_pays_no_tax(books):
    customer(books, VACBPR="EXP")
    assert books.read("SIH", invoice(books, lines=[line("50", "NOR")]))["INVATI"] == 50


def test_discounts_make_the_net_price(books):
    customer(books)
    row = {"ITMREF": "PUMP", "QTY": 2, "GROPRI": D("200"), "DISCRGVAL1": D(10), "DISCRGVAL2": D(5), "VACITM1": "EXO"}
    doc = books.read("SIH", invoice(books, lines=[row], post=False))
    assert (doc["lines"][0]["NETPRI"], doc["INVNOT"]) == (D("171"), D("342.00"))


def test_each_due_date_has_an_open_item_and_they_add_up(books):
    customer(books, PTE="THIRDS")
    num = invoice(books, price="100.01", STRDUDDAT=date(2026, 1, 31))
    rows = [r for r in books.open_items() if r["NUM"] == num]
    assert [(r["DUDDAT"], r["AMTCUR"]) for r in rows] == [
        (date(2026, 3, 2), D("33.33")),
        (date(2026, 4, 1), D("33.33")),
        (date(2026, 5, 1), D("33.35")),
    ]
    books.company.terms["LATER"] = (Due(D(100), 30, month_end=True),)
    assert item(books, invoice(books, PTE="LATER", STRDUDDAT=date(2026, 1, 15)))["DUDDAT"] == date(2026, 2, 28)


def test_documents_in_other_currencies_have_company_amounts(books):
    customer(books, CUR="USD")
    num = invoice(books, price="1000", CUR="USD", INVDAT=date(2026, 1, 5), PTE="HALVES")
    doc = books.read("SIH", num)
    rate = doc["RATMLT"]
    assert (doc["CPYCUR"], doc["AMTATIL"]) == ("EUR", (1000 * rate).quantize(D("0.01")))
    assert sum(r["AMTLOC"] for r in books.open_items("C1")) == doc["AMTATIL"]
    assert invoice(books, CUR="JPY", price="100.4") and books.read("SIH", "INV-26/00002")["INVATI"] == 100
    assert refused(lambda: invoice(books, CUR="USD", INVDAT=date(2010, 1, 1))).key == "no_rate"


def test_a_posted_invoice_is_final(books):
    customer(books)
    num = invoice(books)
    for act in (
        lambda: books.modify("SIH", (num,), {"INVREF": "x"}),
        lambda: books.delete("SIH", (num,)),
        lambda: books.action("SIH", "POST", (num,)),
    ):
        assert refused(act).key == "posted"
    assert books.read("SIH", num)["STA"] == 3


def test_posting_and_matching_take_their_time(make):
    books = make(posting_delay=60, matching_delay=120)
    customer(books)
    num = invoice(books)
    assert (books.read("SIH", num)["STA"], books.open_items()) == (2, [])
    assert refused(lambda: pay(books, "C1", "100", allocation(num, "100"))).key == "not_posted"
    books.stop_tasks()
    books.forward(300)
    assert books.open_items() == []
    books.start_tasks()
    assert (books.read("SIH", num)["STA"], item(books, num)["FLGCLE"]) == (3, 1)
    payment = pay(books, "C1", "100", allocation(num, "100"))
    assert (item(books, num)["TMPCUR"], item(books, num)["PAYCUR"]) == (100, 0)
    books.forward(60)
    assert (item(books, num)["TMPCUR"], item(books, num)["PAYCUR"], item(books, num)["FLGCLE"]) == (0, 100, 2)
    assert letters(books, "INV", num) == [""]
    books.forward(120)
    assert letters(books, "INV", num) == letters(books, "PAY", payment) == ["AAA"]
    books.check()


def letters(books, type, num):
    return [x["MTC"] for x in books.read("GAS", type, num)["lines"] if x["ACC"] == "411000"]


def test_a_credit_memo_pays_its_invoice(books):
    customer(books)
    num = invoice(books)
    credit = memo(books, price="40", SIHORINUM=num)
    assert books.read("SIH", credit)["INVTYP"] == 2
    assert (item(books, num)["PAYCUR"], item(books, credit)["PAYCUR"], item(books, credit)["SNS"]) == (40, 40, -1)
    assert letters(books, "INV", num) == letters(books, "CRM", credit) == ["aaa"]
    rest = memo(books, price="80", SIHORINUM=num)
    assert (item(books, num)["FLGCLE"], item(books, rest)["PAYCUR"]) == (2, 60)
    assert refused(lambda: memo(books, SIHORINUM="NIX")).key == "no_record"
    customer(books, "C2")
    assert refused(lambda: memo(books, "C2", SIHORINUM=num)).key == "other_customer"
    books.check()


def test_an_invoice_may_go_back_to_unposted_until_it_is_paid(books):
    customer(books)
    num = invoice(books)
    books.action("SIH", "UNPOST", (num,))
    assert (books.read("SIH", num)["STA"], books.open_items(), books.rows("GAS")) == (1, [], [])
    books.modify("SIH", (num,), {"INVREF": "x"})
    books.action("SIH", "POST", (num,))
    pay(books, "C1", "10", allocation(num, "10"))
    assert refused(lambda: books.action("SIH", "UNPOST", (num,))).key == "matched"
    books.check()


def test_nothing_is_written_into_a_closed_period(books):
    customer(books)
    num = invoice(books, INVDAT=date(2026, 1, 15), post=False)
    books.close_through(date(2026, 1, 31))
    for act in (
        lambda: invoice(books, INVDAT=date(2026, 1, 31)),
        lambda: books.action("SIH", "POST", (num,)),
        lambda: books.modify("SIH", (num,), {"INVDAT": date(2026, 2, 1)}),
        lambda: books.delete("SIH", (num,)),
        lambda: pay(books, "C1", "5", ACCDAT=date(2026, 1, 31)),
    ):
        assert refused(act).key == "closed_period"
    assert invoice(books, INVDAT=date(2026, 2, 1))


def test_a_customer_in_use_stays(books):
    customer(books)
    customer(books, "C2")
    invoice(books, post=False)
    assert refused(lambda: books.delete("BPC", ("C1",))).key == "in_use"
    books.delete("BPC", ("C2",))
    books.modify("BPC", ("C1",), {"BPCSTA": 1})
    assert refused(lambda: invoice(books)).key == "inactive"


def test_pro_forma_invoices_are_never_posted(books):
    customer(books)
    num = invoice(books, SIVTYP="PRF", post=False)
    assert refused(lambda: books.action("SIH", "POST", (num,))).key == "no_action"


def test_a_journal_by_hand_leaves_open_items(books):
    customer(books)
    rows = [{"ACC": "411000", "BPR": "C1", "SNS": 1, "AMTCUR": "70"}, {"ACC": "471000", "SNS": -1, "AMTCUR": "70"}]
    key = books.save("GAS", {"FCY": "HLS01", "CUR": "EUR", "BPRVCR": "OPENING", "lines": rows})
    assert item(books, key[1])["AMTCUR"] == 70
    pay(books, "C1", "70", allocation(key[1], "70", VCRTYP="GEN"))
    assert item(books, key[1])["FLGCLE"] == 2
    assert refused(lambda: books.save("GAS", {"FCY": "HLS01", "CUR": "EUR", "lines": rows[:1]})).key == "unbalanced"
    books.check()


MONEY = st.integers(-10_000, 1_000_000).map(lambda n: D(n) / 100)


@given(total=MONEY, weights=st.lists(st.integers(1, 1000).map(D), min_size=1, max_size=12), decimals=st.integers(0, 3))
def test_shares_add_up_to_the_cent(total, weights, decimals):
    parts = shares(total, weights, decimals)
    assert sum(parts) == total
    assert len(parts) == len(weights)


@given(lines=st.lists(st.tuples(st.sampled_from("AB"), MONEY), max_size=8), inside=st.booleans())
def test_taxes_inside_or_on_top_never_lose_a_cent(lines, inside):
    found = taxes(lines, {"A": D(20), "B": D("5.5")}, 2, inside=inside)
    whole = sum((amount for _, amount in lines), D(0))
    assert whole == sum((t.base + t.amount if inside else t.base for t in found), D(0))


@pytest.mark.parametrize("text", ["12,5", "1e3", "NaN", "Infinity", "--1", "1" * 40, "0x1"])
def test_what_is_no_number_is_refused(books, text):
    customer(books)
    assert refused(lambda: invoice(books, lines=[{"ITMREF": "SERVICE", "QTY": text}])).key == "not_a_number"
