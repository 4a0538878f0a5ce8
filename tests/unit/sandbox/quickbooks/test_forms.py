"""Sales forms: defaults, lines, totals, numbers, tax, periods, updates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.unit.sandbox.quickbooks.conftest import customer, invoice, line, memo, refused


def test_defaults_of_an_invoice(books):
    who = customer(books)
    done = invoice(books, who)
    assert done["DocNumber"] == "1001"
    assert (done["TxnDate"], done["DueDate"]) == ("2026-02-02", "2026-03-04")
    assert done["Line"][1] == {
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
        "Amount": Decimal("100.00"),
    }
    assert done["Line"][0]["SalesItemLineDetail"] == {
        "ItemRef": {"value": "1", "name": "Services"},
        "TaxCodeRef": {"value": "NON"},
    }
    assert "UnitPrice" not in done["Line"][0]["SalesItemLineDetail"]
    assert done["TxnTaxDetail"] == {"TotalTax": 0}
    assert memo(books, who)["DocNumber"] == "1002"


@pytest.mark.parametrize(
    ("term", "issued", "due"),
    [("2", "2026-02-02", "2026-02-17"), ("6", "2026-02-02", "2026-02-15"), ("6", "2026-02-12", "2026-03-15")],
)
def test_terms_make_the_due_date(books, term, issued, due):
    who = customer(books)
    assert invoice(books, who, SalesTermRef={"value": term}, TxnDate=issued)["DueDate"] == due


def test_an_explicit_due_date_wins_even_in_the_past(books):
    assert invoice(books, customer(books), DueDate="2020-01-10")["DueDate"] == "2020-01-10"


def test_discounts_stand_after_the_subtotal_and_percentages_are_computed(books):
    off = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    body = {"CustomerRef": {"value": customer(books)}, "Line": [off, line("35"), line("15")]}
    done = books.apply("Invoice", "create", body)
    assert [x["DetailType"] for x in done["Line"]] == [
        *["SalesItemLineDetail"] * 2,
        "SubTotalLineDetail",
        "DiscountLineDetail",
    ]
    assert (done["Line"][3]["Amount"], done["TotalAmt"]) == (Decimal("5.00"), Decimal("45.00"))
    books.check()


@pytest.mark.parametrize(("after", "tax", "total"), [(False, "8.00", "98.00"), (True, "7.20", "97.20")])
def test_legacy_tax_before_or_after_discount(books, after, tax, total):
    off = {"Amount": 10, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": False}}
    body = {
        "CustomerRef": {"value": customer(books)},
        "Line": [line("100", TaxCodeRef={"value": "TAX"}), off],
        "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": 99},
        "ApplyTaxAfterDiscount": after,
    }
    done = books.apply("Invoice", "create", body)
    assert done["TxnTaxDetail"]["TotalTax"] == Decimal(tax)
    assert done["TxnTaxDetail"]["TaxLine"][0]["TaxLineDetail"]["TaxPercent"] == 8
    assert done["TotalAmt"] == Decimal(total)
    books.check()


def test_automated_tax_replaces_the_code_and_honours_an_override(make):
    books = make(ast=True)
    where = {"Line1": "1 Road", "CountrySubDivisionCode": "TX"}
    who = customer(books, BillAddr=where)
    body = {
        "CustomerRef": {"value": who},
        "Line": [line("100", item="13")],
        "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "3"}},
    }
    done = books.apply("Invoice", "create", body)
    assert (done["TxnTaxDetail"]["TotalTax"], done["TxnTaxDetail"]["TxnTaxCodeRef"]["value"]) == (Decimal("8.25"), "2")
    body["TxnTaxDetail"]["TotalTax"] = 7
    assert books.apply("Invoice", "create", body)["TotalAmt"] == Decimal("107.00")


def test_tax_inclusive_amounts_abroad(make):
    books = make(country="FR")
    body = {
        "CustomerRef": {"value": customer(books)},
        "GlobalTaxCalculation": "TaxInclusive",
        "Line": [line("120", TaxCodeRef={"value": "2"})],
    }
    done = books.apply("Invoice", "create", body)
    assert (done["TotalAmt"], done["TxnTaxDetail"]["TotalTax"]) == (Decimal("120.00"), Decimal("20.00"))
    assert done["Line"][0]["Amount"] == Decimal("100.00")
    del body["GlobalTaxCalculation"]
    assert refused(lambda: books.apply("Invoice", "create", body)).code == 2020
    books.check()


@pytest.mark.parametrize(
    ("patch", "code", "element"),
    [
        ({"BadJson": True}, 2010, None),
        ({"Line": []}, 2020, "Line"),
        ({"Line": [{"Amount": 1, "DetailType": "SubTotalLineDetail"}]}, 2020, "Line"),
        ({"DocNumber": "x" * 22}, 2050, "DocNumber"),
        ({"PrivateNote": "x" * 4001}, 2050, "PrivateNote"),
        ({"CustomerRef": {"value": "999"}}, 2500, ""),
        ({"Line": [line(item="999")]}, 2500, ""),
        ({"Line": [line("10", UnitPrice=3, Qty=4)]}, 6070, "Line.Amount"),
        ({"Line": [line(TaxCodeRef={"value": "2"})]}, 6100, "TaxCodeRef"),
        ({"TxnDate": "31/12/2025"}, 2060, "TxnDate"),
        ({"BillEmail": {"Address": "nobody"}}, 2210, "Address"),
        ({"EmailStatus": "NeedToSend"}, 6420, "BillEmail"),
        ({"EmailStatus": "Later"}, 2170, "EmailStatus"),
        ({"Line": [line("-5")]}, 6000, ""),
    ],
)
def test_what_an_invoice_may_not_say(books, patch, code, element):
    body = {"CustomerRef": {"value": customer(books)}, "Line": [line()]} | patch
    fault = refused(lambda: books.apply("Invoice", "create", body))
    assert (fault.code, fault.element) == (code, element)
    assert not books.all("Invoice")


def test_what_clients_send_and_quickbooks_forgives(books):
    body = {
        "Id": "",
        "SyncToken": 0,
        "CustomerRef": {"value": int(customer(books)), "name": "", "type": ""},
        "Line": [{**line(), "Amount": "10.10"}],
        "TxnDate": "",
        "DueDate": "",
        "TotalAmt": "",
        "InvoiceLink": "",
        "DepartmentRef": {"value": ""},
        "GlobalTaxCalculation": "TaxExcluded",
        "Balance": 7,
        "PrivateNote": "",
    }
    done = books.apply("Invoice", "create", body)
    assert (done["TotalAmt"], done["Balance"]) == (Decimal("10.10"), Decimal("10.10"))
    assert done.keys().isdisjoint({"GlobalTaxCalculation", "PrivateNote", "DepartmentRef", "InvoiceLink"})


def test_sparse_keeps_and_full_clears(books):
    who = customer(books)
    inv = invoice(books, who, PrivateNote="keep", DueDate="2026-05-05")
    sparse = books.apply("Invoice", "update", {"Id": inv["Id"], "SyncToken": "0", "sparse": True, "TrackingNum": "T"})
    assert (sparse["PrivateNote"], sparse["TrackingNum"], sparse["SyncToken"]) == ("keep", "T", "1")
    cleared = books.apply("Invoice", "update", {"Id": inv["Id"], "SyncToken": 1, "sparse": True, "TrackingNum": ""})
    assert "TrackingNum" not in cleared
    full = books.apply(
        "Invoice", "update", {"Id": inv["Id"], "SyncToken": "2", "CustomerRef": {"value": who}, "Line": [line("5")]}
    )
    assert "PrivateNote" not in full
    assert (full["DocNumber"], full["DueDate"]) == (inv["DocNumber"], "2026-03-04")
    assert full["Line"][0]["Id"] == "2"  # a line without its Id is a new line
    kept = books.apply("Invoice", "update", {**full, "sparse": True, "PrivateNote": "n"})
    assert kept["Line"][0]["Id"] == "2"


def test_an_update_that_changes_nothing_is_no_version(books, clock):
    inv = invoice(books, customer(books), PrivateNote="same")
    clock.forward(hours=1)
    body = {"Id": inv["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "same"}
    assert books.apply("Invoice", "update", body) == inv
    stale = refused(lambda: books.apply("Invoice", "update", {**body, "SyncToken": "1"}))
    assert stale.code == 5010


def test_numbers_clash_only_where_the_company_cares(make):
    loose = make()
    who = customer(loose)
    invoice(loose, who, DocNumber="A1")
    invoice(loose, who, DocNumber="A1")
    strict = make(custom_txn_numbers=True)
    who = customer(strict)
    first = invoice(strict, who, DocNumber="A1")
    assert "DocNumber" not in invoice(strict, who)
    fault = refused(lambda: invoice(strict, who, DocNumber="A1"))
    assert fault.code == 6140
    assert fault.detail.endswith(f"DocNumber=A1 is assigned to TxnType=Invoice with TxnId={first['Id']}")
    memo(strict, who, DocNumber="A1")
    strict.apply(
        "Invoice", "create", {"CustomerRef": {"value": who}, "Line": [line()], "DocNumber": "A1"}, allow_duplicate=True
    )
    silent = make(custom_txn_numbers=True, warn_duplicates=False)
    who = customer(silent)
    assert invoice(silent, who, DocNumber="A1") and invoice(silent, who, DocNumber="A1")


@pytest.mark.parametrize("code", ["6200", "6210"])
def test_a_closed_period_refuses_every_write(make, code):
    books = make(book_close_code=code)
    who = customer(books)
    old = invoice(books, who, TxnDate="2025-12-31")
    new = invoice(books, who, TxnDate="2026-01-02")
    books.close_through(date(2025, 12, 31))
    head = {"SyncToken": "0", "sparse": True}
    for act in (
        lambda: invoice(books, who, TxnDate="2025-12-31"),
        lambda: books.apply("Invoice", "update", {"Id": old["Id"], "PrivateNote": "x", **head}),
        lambda: books.apply("Invoice", "update", {"Id": new["Id"], "TxnDate": "2025-12-30", **head}),
        lambda: books.apply("Invoice", "void", {"Id": old["Id"], **head}),
        lambda: books.apply("Invoice", "delete", {"Id": old["Id"], **head}),
    ):
        assert refused(act).code == int(code)
    books.apply("Invoice", "void", {"Id": new["Id"], **head})
    books.close_through(None)
    books.apply("Invoice", "delete", {"Id": old["Id"], **head})


def test_an_expired_subscription_only_reads(make):
    books = make(subscription="expired")
    assert refused(lambda: customer(books)).code == 6190


def test_an_inactive_customer_takes_no_new_invoice_but_keeps_the_old(books):
    who = customer(books)
    inv = invoice(books, who)
    books.apply("Customer", "update", {"Id": who, "SyncToken": "0", "sparse": True, "Active": False})
    fault = refused(lambda: invoice(books, who))
    assert (fault.code, "made inactive" in fault.detail) == (610, True)
    done = books.apply("Invoice", "update", {"Id": inv["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"})
    assert done["CustomerRef"]["name"] == "Alder & Finch (deleted)"


def test_effects_tell_the_truth(books):
    who = customer(books)
    inv = books.apply(
        "Invoice",
        "create",
        {"CustomerRef": {"value": who}, "Line": [line()], "PrivateNote": "a\ntieout:XYZ"},
        requestid="r1",
        by="api",
    )
    books.apply("Invoice", "delete", {"Id": inv["Id"], "SyncToken": "0"})
    made, gone = books.effects[-2:]
    assert (made.op, made.requestid, made.by, made.note, made.before) == ("create", "r1", "api", "a\ntieout:XYZ", None)
    assert (gone.op, gone.by, gone.after, gone.before) == ("delete", "user", None, made.after)
    with pytest.raises(AttributeError):
        made.op = "x"
