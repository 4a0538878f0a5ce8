"""QuickBooks objects one by one: what they mean, and what is refused rather than misread."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.quickbooks_bench import credit_memo, customer, invoice, line, payment
from tieout.errors import RecordError
from tieout.mapping import quickbooks as qb
from tieout.model import (
    Credit,
    Entity,
    Instalment,
    Method,
    PostingState,
    Settlement,
    TaxLine,
    effects,
    settlements,
)

BOOKS = qb.Books("qbo", "USD", {"2": Method.CHECK, "3": Method.CARD, "4": Method.CARD})
D = Decimal


def sales(amount, item="1", mark="NON", **detail):
    inner = {"ItemRef": {"value": item, "name": "Services"}, "TaxCodeRef": {"value": mark}, **detail}
    return {"Id": "1", "Amount": D(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": inner}


def native_invoice(*lines, total, tax="0", **more):
    return {
        "Id": "130",
        "SyncToken": "0",
        "DocNumber": "1037",
        "TxnDate": "2026-01-15",
        "DueDate": "2026-02-14",
        "CustomerRef": {"value": "24", "name": "Sonnenschein Family Store"},
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "Line": [*lines, {"Amount": D(total), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}],
        "TxnTaxDetail": {"TotalTax": D(tax)},
        "TotalAmt": D(total),
        "Balance": D(total),
        **more,
    }


def native_payment(*lines, total, **more):
    linked = [{"Amount": D(a), "LinkedTxn": [{"TxnId": i, "TxnType": kind}]} for kind, i, a in lines]
    return {
        "Id": "163",
        "SyncToken": "1",
        "TxnDate": "2026-01-20",
        "CustomerRef": {"value": "24"},
        "TotalAmt": D(total),
        "UnappliedAmt": 0,
        "CurrencyRef": {"value": "USD"},
        "Line": linked,
        **more,
    }


def read(entity, native):
    found = qb.read(entity, native, BOOKS)
    assert not isinstance(found, RecordError), found
    return found


def refused(entity, native):
    found = qb.read(entity, native, BOOKS)
    assert isinstance(found, RecordError), found
    return found


# ---- documents


def test_a_discount_and_a_tax_code():
    found = read(
        Entity.INVOICE,
        native_invoice(
            sales("50.00", mark="TAX"),
            {
                "Amount": D("5.00"),
                "DetailType": "DiscountLineDetail",
                "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
            },
            total="48.60",
            TxnTaxDetail={
                "TxnTaxCodeRef": {"value": "2"},
                "TotalTax": D("3.60"),
                "TaxLine": [
                    {
                        "Amount": D("3.60"),
                        "DetailType": "TaxLineDetail",
                        "TaxLineDetail": {"TaxRateRef": {"value": "3"}, "TaxPercent": 8, "NetAmountTaxable": 45},
                    }
                ],
            },
        ),
    )
    assert (found.subtotal, found.discount, found.tax, found.total) == (D(50), D(5), D("3.60"), D("48.60"))
    assert [(x.net, x.tax_code) for x in found.lines] == [(D(50), "2")]
    assert found.tax_lines == (TaxLine(code="2", rate=D("0.08"), base=D(45), amount=D("3.60")),)


def test_a_group_carries_its_lines():
    group = {
        "Id": "7",
        "DetailType": "GroupLineDetail",
        "GroupLineDetail": {"GroupItemRef": {"value": "77"}, "Line": [sales("10.00"), sales("5.00", item="3")]},
    }
    native = native_invoice(sales("1.00"), group, total="16.00")
    found = read(Entity.INVOICE, native)
    assert [(x.item, x.net) for x in found.lines] == [("1", D(1)), ("1", D(10)), ("3", D(5))]
    more = found.model_copy(
        update={"lines": (*found.lines, line("4.00", "9", tax_code="NON")), "subtotal": D(20), "total": D(20)}
    )
    after = qb.put(more, native, BOOKS)
    assert after["Line"][1] is group
    fewer = found.model_copy(update={"lines": found.lines[:2], "subtotal": D(11), "total": D(11)})
    after = qb.put(fewer, native, BOOKS)
    assert [x["DetailType"] for x in after["Line"]] == ["SalesItemLineDetail"] * 2
    assert read(Entity.INVOICE, after).lines == found.lines[:2]


def test_a_deposit_is_money_already_taken_off():
    found = read(
        Entity.INVOICE, native_invoice(sales("100.00"), total="100.00", Deposit=D("30.00"), Balance=D("70.00"))
    )
    assert found.deposit_applied == D(30)
    assert sum(e.amount for e in effects(found)) == found.reported_open == D(70)


def test_amounts_that_include_tax_are_refused_by_name():
    found = refused(
        Entity.INVOICE, native_invoice(sales("100.00"), total="100.00", GlobalTaxCalculation="TaxInclusive")
    )
    assert (found.source, found.path, found.ref) == ("qbo", "GlobalTaxCalculation", "130")
    found = refused(Entity.INVOICE, native_invoice(sales("100.00", TaxInclusiveAmt=D(119)), total="100.00"))
    assert found.path == "Line[0].SalesItemLineDetail.TaxInclusiveAmt"
    assert (
        read(Entity.INVOICE, native_invoice(sales("1.00"), total="1.00", GlobalTaxCalculation="TaxExcluded")).total == 1
    )


def test_parts_that_do_not_make_the_total_are_refused():
    found = refused(Entity.INVOICE, native_invoice(sales("100.00"), total="119.00"))
    assert found.path == "TotalAmt"
    assert "do not make the total" in found.reason


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"TxnDate": "2026-02-30"}, "TxnDate"),
        ({"TxnDate": "2026-01-15T00:00:00Z"}, "TxnDate"),
        ({"TxnDate": None}, "TxnDate"),
        ({"TotalAmt": 100.0}, "TotalAmt"),
        ({"TotalAmt": "1,00"}, "TotalAmt"),
        ({"TotalAmt": None}, "TotalAmt"),
        ({"TotalAmt": D("NaN")}, "TotalAmt"),
        ({"CustomerRef": {}}, "CustomerRef"),
        ({"CustomerRef": "24"}, "CustomerRef"),
        ({"Line": {"Amount": 1}}, "Line"),
        ({"Line": [{"DetailType": "SalesItemLineDetail"}]}, "Line[0].Amount"),
        ({"DocNumber": ["x"]}, "DocNumber"),
        ({"Deposit": D("-5")}, "deposit_applied"),
    ],
)
def test_what_cannot_be_read_says_where(change, path):
    native = {**native_invoice(sales("100.00"), total="100.00"), **change}
    assert refused(Entity.INVOICE, {k: v for k, v in native.items() if v is not None}).path == path


def test_a_void_is_not_an_edit_to_zero():
    zero = native_invoice(sales("0"), total="0")
    assert read(Entity.INVOICE, zero).state is PostingState.POSTED
    void = read(Entity.INVOICE, {**zero, "PrivateNote": "Voided"})
    assert (void.state, void.voided_on, void.memo) == (PostingState.VOIDED, date(2026, 1, 15), None)
    assert sum(e.amount for e in effects(void)) == 0
    assert read(Entity.INVOICE, native_invoice(sales("5.00"), total="5.00", PrivateNote="Voided?")).memo == "Voided?"


@pytest.mark.parametrize("between", [" ", "\n", " - ", ": ", "–"])
def test_a_void_keeps_note_and_marker_whatever_stands_between(between):
    zero = native_invoice(sales("0"), total="0")
    found = read(Entity.INVOICE, {**zero, "PrivateNote": f"Voided{between}order 7\ntieout:m1"})
    assert (found.memo, found.marker) == ("order 7", "m1")
    found = read(Entity.INVOICE, {**zero, "PrivateNote": f"Voided{between}tieout:m1"})
    assert (found.memo, found.marker) == (None, "m1")


def test_a_voided_record_is_not_written():
    zero = {**native_invoice(sales("0"), total="0"), "PrivateNote": "Voided"}
    now = read(Entity.INVOICE, zero)
    assert qb.put(now, zero, BOOKS) == zero
    with pytest.raises(qb.Unwritable, match="voided"):
        qb.put(now.model_copy(update={"memo": "again", "state": PostingState.POSTED}), zero, BOOKS)


def test_foreign_money_keeps_its_rate_and_home_money_has_none():
    native = native_invoice(sales("10.00"), total="10.00", CurrencyRef={"value": "EUR"}, ExchangeRate=D("1.2345"))
    found = read(Entity.INVOICE, native)
    assert (found.currency, found.exchange_rate) == ("EUR", D("1.2345"))
    found = read(Entity.INVOICE, native_invoice(sales("10.00"), total="10.00", ExchangeRate=1))
    assert (found.currency, found.exchange_rate) == ("USD", None)
    without = native_invoice(sales("10.00"), total="10.00")
    del without["CurrencyRef"]
    assert read(Entity.INVOICE, without).currency == "USD"


def test_a_new_invoice_on_the_wire():
    record = invoice(
        "24",
        lines=(
            line("100.00", quantity=D(4), unit_price=D(25), tax_code="2"),
            line("7.00", item="3", description=None),
            line("0", item=None, description="By hand"),
        ),
        tax="8.00",
        tax_lines=(TaxLine(code="2", rate=D("0.08"), base=D(100), amount=D(8)),),
        memo="order 7",
        marker="M1",
    )
    assert qb.create(record, BOOKS) == {
        "CustomerRef": {"value": "24"},
        "TxnDate": "2026-01-15",
        "DueDate": "2026-02-14",
        "CurrencyRef": {"value": "USD"},
        "DocNumber": "S1001",
        "TotalAmt": D("115.00"),
        "PrivateNote": "order 7\ntieout:M1",
        "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": D("8.00")},
        "Line": [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": D("100.00"),
                "Description": "Consulting",
                "SalesItemLineDetail": {
                    "ItemRef": {"value": "1"},
                    "Qty": D(4),
                    "UnitPrice": D(25),
                    "TaxCodeRef": {"value": "TAX"},
                },
            },
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": D("7.00"),
                "SalesItemLineDetail": {"ItemRef": {"value": "3"}, "TaxCodeRef": {"value": "NON"}},
            },
            {"DetailType": "DescriptionOnly", "DescriptionLineDetail": {}, "Description": "By hand"},
        ],
    }


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (invoice("1", lines=(line("5.00", item=None),)), "no item"),
        (invoice("1", lines=()), "no lines"),
        (invoice("1", tax="1.00", lines=(line("5.00", tax_code="NON"),)), "no line is taxed"),
        (invoice("1", lines=(line("5.00", tax_code="2"), line("5.00", tax_code="3"))), "2 and 3"),
        (invoice("1", lines=(line("5.001"),)), "finer"),
        (invoice("1").model_copy(update={"total": D(99)}), "do not agree"),
        (invoice("1").model_copy(update={"subtotal": D(99), "total": D(99)}), "do not agree"),
        (invoice("1").model_copy(update={"state": PostingState.DRAFT}), "draft"),
        (credit_memo("1").model_copy(update={"state": PostingState.VOIDED}), "voided"),
        (payment("1", "10.00", ("7", "10.01")), "more is applied"),
        (payment("1", "10.00", ("7", "0")), "of zero"),
        (payment("1", "10.005"), "finer"),
        (customer(" \t "), "no name"),
    ],
)
def test_what_would_change_its_meaning_is_not_written(record, why):
    with pytest.raises(qb.Unwritable, match=why):
        qb.create(record, BOOKS)


def test_sales_tax_elsewhere_is_read_but_not_written():
    abroad = qb.Books("qbo", "CAD", sales_tax="other")
    with pytest.raises(qb.Unwritable, match="outside the US"):
        qb.create(invoice("1"), abroad)
    native = native_invoice(sales("10.00", mark="5"), total="11.30", tax="1.30", GlobalTaxCalculation="TaxExcluded")
    found = read(Entity.INVOICE, native)
    assert (found.tax, found.lines[0].tax_code) == (D("1.30"), "5")
    with pytest.raises(qb.Unwritable, match="outside the US"):
        qb.put(found.model_copy(update={"lines": (line("10.00", "9", tax_code="5"),)}), native, BOOKS)
    assert qb.put(found.model_copy(update={"memo": "fine"}), native, BOOKS)["PrivateNote"] == "fine"


def test_a_percentage_that_no_longer_fits_its_lines_becomes_an_amount():
    native = native_invoice(
        sales("50.00"),
        {
            "Amount": D("5.00"),
            "DetailType": "DiscountLineDetail",
            "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10, "DiscountAccountRef": {"value": "86"}},
        },
        total="45.00",
    )
    now = read(Entity.INVOICE, native)
    wanted = now.model_copy(
        update={"lines": (*now.lines, line("50.00", tax_code="NON")), "subtotal": D(100), "total": D(95)}
    )
    discount = qb.put(wanted, native, BOOKS)["Line"][-1]
    assert discount["DiscountLineDetail"] == {"PercentBased": False, "DiscountAccountRef": {"value": "86"}}
    assert discount["Amount"] == D(5)


def test_one_date_and_one_due_date():
    record = invoice("1").model_copy(
        update={
            "issued": date(2026, 1, 1),
            "due": None,
            "instalments": (
                Instalment(due=date(2026, 3, 1), amount=D(50)),
                Instalment(due=date(2026, 2, 1), amount=D(50)),
            ),
        }
    )
    held = qb.represent(record, BOOKS)
    assert (held.issued, held.posted, held.due) == (date(2026, 1, 15), date(2026, 1, 15), date(2026, 3, 1))


# ---- texts


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ("Smith: Sons", "Smith- Sons"),
        ("a\tb\nc", "a b c"),
        ("  O'Brien  & Co ", "O'Brien & Co"),
        ("Cafe\u0301", "Café"),
        ("a\x00b", "a b"),
    ],
)
def test_names_that_quickbooks_can_hold(given, held):
    assert qb.represent(customer(given), BOOKS).name == held


def test_long_texts_stay_apart():
    one, two = (qb.represent(customer("x" * 600 + end), BOOKS).name for end in "ab")
    assert one != two
    assert len(one) == len(two) == 500
    one, two = (qb.represent(invoice("1", number="INV-2026-000000000" + end), BOOKS).number for end in ("0001", "0002"))
    assert one != two
    assert len(one) == len(two) == 21
    assert qb.represent(invoice("1", number="123456789012345678901"), BOOKS).number == "123456789012345678901"


def test_a_memo_that_looks_like_our_marker_is_not_one():
    held = qb.represent(invoice("1", memo="hello\ntieout:abc"), BOOKS)
    assert held.memo == "hello"
    assert len(qb.create(invoice("1", memo="x" * 5000, marker="M" * 40), BOOKS)["PrivateNote"]) <= 4000


def test_an_inactive_customer_has_its_name_without_the_suffix():
    native = {"Id": "5", "SyncToken": "2", "DisplayName": "Acme (deleted)", "Active": False, "Balance": 0}
    assert read(Entity.CUSTOMER, native).name == "Acme"
    back = qb.put(read(Entity.CUSTOMER, native).model_copy(update={"active": True}), native, BOOKS)
    assert (back["DisplayName"], back["Active"]) == ("Acme", True)


def test_a_sub_customer_names_its_parent_and_itself():
    native = {
        "Id": "9",
        "DisplayName": "55 Twin Lane",
        "FullyQualifiedName": "Freeman Sporting Goods:55 Twin Lane",
        "ParentRef": {"value": "8"},
        "Job": True,
        "Active": True,
        "Balance": D("85.00"),
        "BalanceWithJobs": D("85.00"),
    }
    found = read(Entity.CUSTOMER, native)
    assert (found.name, found.parent, found.reported_balance) == ("55 Twin Lane", "8", D(85))
    assert qb.create(customer(parent="8"), BOOKS)["ParentRef"] == {"value": "8"}
    assert qb.create(customer(parent="8"), BOOKS)["Job"] is True


def test_a_customers_notes_survive_the_marker():
    native = {"Id": "5", "DisplayName": "Acme", "Active": True, "Notes": "pays late\nalways"}
    after = qb.put(read(Entity.CUSTOMER, native).model_copy(update={"marker": "M1"}), native, BOOKS)
    assert after["Notes"] == "pays late\nalways\ntieout:M1"
    assert read(Entity.CUSTOMER, after).marker == "M1"


# ---- payments


def test_a_payment_that_mixes_credits_keeps_its_group():
    native = native_payment(
        ("Invoice", "1", "100.00"), ("Invoice", "2", "50.00"), ("CreditMemo", "9", "100.00"), total="50.00"
    )
    found = read(Entity.PAYMENT, native)
    assert [(a.invoice, a.amount) for a in found.applications] == [("1", D(100)), ("2", D(50))]
    assert found.credits == (Credit(credit_memo="9", amount=D(100)),)
    assert settlements(found) is None  # the credit may have paid either


def test_which_credit_paid_which_invoice_is_told_where_there_is_one_way():
    found = read(Entity.PAYMENT, native_payment(("Invoice", "1", "40.00"), ("CreditMemo", "9", "40.00"), total="0"))
    (only,) = settlements(found)
    assert isinstance(only, Settlement)
    assert (only.source, only.source_id, only.application.invoice) == (Entity.CREDIT_MEMO, "9", "1")
    found = read(Entity.PAYMENT, native_payment(("Invoice", "1", "50.00"), ("CreditMemo", "9", "40.00"), total="10"))
    assert {(s.source_id, s.application.amount) for s in settlements(found)} == {("9", D(40)), ("163", D(10))}


def test_allocations_of_others_survive_and_are_no_application():
    native = native_payment(("JournalEntry", "40", "20.00"), ("Invoice", "1", "100.00"), total="80.00")
    found = read(Entity.PAYMENT, native)
    assert [a.invoice for a in found.applications] == ["1"]
    moved = found.model_copy(update={"applications": (found.applications[0].model_copy(update={"invoice": "2"}),)})
    after = qb.put(moved, native, BOOKS)
    assert after["Line"][0] is native["Line"][0]
    assert after["Line"][1:] == [{"Amount": D(100), "LinkedTxn": [{"TxnId": "2", "TxnType": "Invoice"}]}]


def test_a_voided_payment():
    found = read(Entity.PAYMENT, native_payment(total="0", PrivateNote="Voided thanks\ntieout:m1"))
    assert (found.state, found.memo, found.marker) == (PostingState.VOIDED, "thanks", "m1")
    applied = native_payment(("Invoice", "1", "4.00"), ("CreditMemo", "9", "4.00"), total="0", PrivateNote="Voided?")
    assert read(Entity.PAYMENT, applied).state is PostingState.POSTED


@pytest.mark.parametrize("links", [[], [{"TxnId": "1", "TxnType": "Invoice"}] * 2, [{"TxnId": "1"}]])
def test_a_payment_line_links_one_document(links):
    native = {**native_payment(total="5.00"), "Line": [{"Amount": D(5), "LinkedTxn": links}]}
    assert refused(Entity.PAYMENT, native).path == "Line[0].LinkedTxn"


def test_methods_are_those_of_the_books():
    native = native_payment(total="5.00", PaymentMethodRef={"value": "4"})
    assert read(Entity.PAYMENT, native).method is Method.CARD
    assert qb.put(read(Entity.PAYMENT, native).model_copy(update={"memo": "x"}), native, BOOKS)["PaymentMethodRef"] == {
        "value": "4"
    }
    assert qb.create(payment("1"), BOOKS)["PaymentMethodRef"] == {"value": "2"}
    wired = payment("1").model_copy(update={"method": Method.WIRE})
    assert qb.represent(wired, BOOKS).method is Method.OTHER
    assert "PaymentMethodRef" not in qb.create(wired, BOOKS)
