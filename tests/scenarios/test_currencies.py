"""Yen, which have no smaller unit, and dinars, which have thousandths, between a file ERP and QuickBooks, both ways."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_file_quickbooks import LATE, SapAndQuickBooks, both
from tests.scenarios.world import DAY

D = Decimal
EVERY = {"multicurrency": True, "currencies": "every_exponent"}
# currency: an invoice of the ERP with a part payment; one of QuickBooks with a part payment
AMOUNTS = {"JPY": (("150001", "50000"), ("98765", "1")), "KWD": (("12.345", "2.005"), ("7.001", "0.999"))}


def theirs(w: SapAndQuickBooks, currency: str) -> str:
    name = f"Q in {currency}"
    return str(w.make("Customer", {"DisplayName": name, "CurrencyRef": {"value": currency}})["Id"])


def bill(w: SapAndQuickBooks, who: str, number: str, total: str, currency: str) -> str:
    sale = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}
    line = {"Amount": D(total), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sale}
    body = {"CustomerRef": {"value": who}, "Line": [line], "DocNumber": number, "TxnDate": "2026-01-15"}
    return str(w.make("Invoice", body | {"CurrencyRef": {"value": currency}})["Id"])


def pay(w: SapAndQuickBooks, who: str, total: str, invoice: str, currency: str) -> None:
    links = [{"Amount": D(total), "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]
    body = {"CustomerRef": {"value": who}, "TotalAmt": D(total), "TxnDate": "2026-01-20", "Line": links}
    w.make("Payment", body | {"CurrencyRef": {"value": currency}, "PaymentRefNum": f"chk {currency}"})


def held(w: SapAndQuickBooks, entity: str) -> dict[str, dict[str, Any]]:
    """QuickBooks' documents by number or reference."""
    return {str(d.get("DocNumber", d.get("PaymentRefNum"))): d for d in w.q.qbo(entity)}


def in_step(w: SapAndQuickBooks) -> None:
    """A run plans and lists nothing, and each currency's receivables are the same on both sides to the last digit."""
    report = w.run()
    assert report.operations == []
    assert [d.as_json() for d in report.discrepancies] == []
    assert report.comparison is not None
    bridges = report.comparison.as_json()["bridge"]
    assert {c: D(b["remainder"]) for c, b in bridges.items()} == dict.fromkeys(bridges, D(0))
    owed: dict[str, Decimal] = {}
    for customer in w.q.qbo("Customer"):
        code = customer["CurrencyRef"]["value"]
        owed[code] = owed.get(code, D(0)) + D(customer["Balance"])
    books = w.erp.books.receivables(LATE)
    assert {c: a for c, a in books.items() if a} == {c: a for c, a in owed.items() if a}


@pytest.mark.parametrize("currency", AMOUNTS)
def test_documents_and_part_payments_flow_both_ways_exactly(tmp_path: Path, currency: str) -> None:
    (total, part), (their_total, their_part) = AMOUNTS[currency]
    with both(tmp_path, **EVERY) as w:
        sap = w.erp.books
        ours = sap.enter_customer(f"S in {currency}", currency=currency)
        one = sap.enter_invoice(ours, total, on=DAY, tax_code="O0", reference="S-1", currency=currency)
        sap.enter_payment(ours, part, on=DAY, applications={one: part}, reference="wire 1", currency=currency)
        sap.enter_credit_memo(ours, part, on=DAY, tax_code="O0", reference="SC-1", currency=currency)
        who = theirs(w, currency)
        two = bill(w, who, "Q-1", their_total, currency)
        pay(w, who, their_part, two, currency)
        w.begin()

        invoices, payments = held(w, "Invoice"), held(w, "Payment")
        assert {n: (D(i["TotalAmt"]), i["CurrencyRef"]["value"]) for n, i in invoices.items()} == {
            "S-1": (D(total), currency),
            "Q-1": (D(their_total), currency),
        }
        assert D(invoices["S-1"]["Balance"]) == D(total) - D(part)
        assert D(payments["wire 1"]["TotalAmt"]) == D(part)
        assert D(held(w, "CreditMemo")["SC-1"]["Balance"]) == D(part)
        mirror = w.sap_of("Q-1")
        assert (mirror.amount, mirror.currency) == (D(their_total), currency)
        assert w.open("Q-1") == D(their_total) - D(their_part)
        in_step(w)

        # The rest is paid, each in the books where the document was not born.
        rest = D(total) - D(part)
        pay(w, invoices["S-1"]["CustomerRef"]["value"], str(rest), invoices["S-1"]["Id"], currency)
        sap.enter_payment(
            mirror.customer,
            w.open("Q-1"),
            on=DAY,
            applications={mirror.number: w.open("Q-1")},
            reference="wire 2",
            currency=currency,
        )
        w.export()
        for _ in range(3):
            w.night()
        assert (w.open("S-1"), w.open("Q-1")) == (0, 0)
        assert {D(i["Balance"]) for i in held(w, "Invoice").values()} == {D(0)}
        in_step(w)


@pytest.mark.parametrize(("currency", "total"), [("JPY", "100.50"), ("KWD", "0.0005")])
def test_what_is_finer_than_its_currency_is_refused_by_name_on_the_way_to_quickbooks(
    tmp_path: Path, currency: str, total: str
) -> None:
    with both(tmp_path, **EVERY) as w:
        ours = w.erp.books.enter_customer(f"S in {currency}", currency=currency)
        w.erp.books.enter_invoice(ours, total, on=DAY, tax_code="O0", reference="S-1", currency=currency)
        w.begin()
        report = w.run()
        assert held(w, "Invoice") == {}
        [found] = report.discrepancies
        assert (found.code, found.delta, found.currency) == ("SYNC_BLOCKED", -D(total), currency)
        assert f"finer than {currency}" in found.cause


def test_what_is_finer_than_its_currency_is_refused_by_name_on_the_way_to_the_erp(tmp_path: Path) -> None:
    """QuickBooks may keep half a yen; the ERP's import file gets neither it nor a rounded yen."""
    with both(tmp_path, **EVERY, currency_places="two") as w:
        bill(w, theirs(w, "JPY"), "Q-1", "100.50", "JPY")
        w.begin()
        report = w.run()
        assert [d for d in w.erp.books.documents.values() if d.reference == "Q-1"] == []
        [found] = report.discrepancies
        assert (found.code, found.delta, found.currency) == ("SYNC_BLOCKED", D("100.50"), "JPY")
        assert "finer than JPY" in found.cause


def test_a_quickbooks_that_keeps_two_decimals_of_a_dinar_is_told_of(tmp_path: Path) -> None:
    """What came back is not what was sent: the thousandth is listed, the document is not sent again, nothing agrees."""
    with both(tmp_path, **EVERY, currency_places="two") as w:
        ours = w.erp.books.enter_customer("S in KWD", currency="KWD")
        w.erp.books.enter_invoice(ours, "12.345", on=DAY, tax_code="O0", reference="S-1", currency="KWD")
        w.erp.books.enter_invoice(ours, "12.34", on=DAY, tax_code="O0", reference="S-2", currency="KWD")
        w.begin()
        report = w.run()
        assert {n: D(i["TotalAmt"]) for n, i in held(w, "Invoice").items()} == {"S-1": D("12.35"), "S-2": D("12.34")}
        assert [(d.delta, d.currency) for d in report.discrepancies if d.delta] == [(D("0.005"), "KWD")]
        assert report.comparison is not None
        assert report.comparison.as_json()["bridge"]["KWD"]["remainder"] == "0.00"


def test_a_customer_of_quickbooks_has_one_currency_and_that_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    """What is in another one is held back, with one cause for the customer; under a customer of its own it follows."""
    with both(tmp_path, **EVERY) as w:
        sap = w.erp.books
        ada = sap.enter_customer("Ada Ltd", currency="USD")
        sap.enter_invoice(ada, "10.00", on=DAY, tax_code="O0", reference="S-1")
        wrong = [
            sap.enter_invoice(ada, "20.00", on=DAY, tax_code="O0", reference="S-2", currency="EUR"),
            sap.enter_credit_memo(ada, "5.00", on=DAY, tax_code="O0", reference="S-3", currency="EUR"),
            sap.enter_payment(ada, "7.00", on=DAY, reference="wire 1", currency="EUR"),
        ]
        w.export()
        report = w.run()
        assert list(held(w, "Invoice")) == ["S-1"]
        assert (report.refused, w.q.server.books.tables["CreditMemo"], held(w, "Payment")) == (0, {}, {})
        assert report.held_back() == {
            "Ada Ltd is kept in USD in right, where a customer has one currency, and this is in EUR": 3
        }
        assert {d.code for d in report.discrepancies} == {"SYNC_BLOCKED"}
        assert all("bill EUR to a customer of its own" in d.remedy for d in report.discrepancies)
        # The way out that is named.
        for number in wrong:
            sap.reverse(number, on=DAY)
        abroad = sap.enter_customer("Ada Ltd (EUR)", currency="EUR")
        sap.enter_invoice(abroad, "20.00", on=DAY, tax_code="O0", reference="S-2", currency="EUR")
        w.export()
        w.run()
        assert {n: i["CurrencyRef"]["value"] for n, i in held(w, "Invoice").items()} == {"S-1": "USD", "S-2": "EUR"}


def test_a_quickbooks_without_other_currencies_is_sent_nothing_in_one(tmp_path: Path) -> None:
    with both(tmp_path) as w:
        sap = w.erp.books
        for name in ("Bob Ltd", "Cem Ltd"):
            who = sap.enter_customer(name, currency="EUR")
            sap.enter_invoice(who, "20.00", on=DAY, tax_code="O0", reference=f"S-{name}", currency="EUR")
        w.export()
        report = w.run()
        assert (held(w, "Invoice"), report.refused, len(w.q.qbo("Customer"))) == ({}, 0, 1)
        assert report.held_back() == {"right keeps its books in USD alone, and this is in EUR": 4}


def test_a_customer_without_a_currency_is_not_created_in_one_that_it_cannot_leave(tmp_path: Path) -> None:
    """QuickBooks would keep it in dollars for good, and refuse all its documents."""
    with both(tmp_path, **EVERY) as w:
        who = w.erp.books.enter_customer("Bob Ltd")
        w.erp.books.change_customer(who, currency="")
        w.erp.books.enter_invoice(who, "20.00", on=DAY, tax_code="O0", reference="S-1", currency="EUR")
        w.export()
        report = w.run()
        assert [c["DisplayName"] for c in w.q.qbo("Customer")] == ["Ada Ltd"]
        [why] = [d.cause for d in report.discrepancies if d.kind == "customer"]
        assert why.startswith("left does not say in which currency the customer is kept; right would keep it in USD")
        assert report.held_back() == {why: 2}, "the invoice waits for the same"
        # The way out that is named: entered there in the right currency, the two are matched.
        w.make("Customer", {"DisplayName": "Bob Ltd", "CurrencyRef": {"value": "EUR"}})
        report = w.run()
        assert held(w, "Invoice")["S-1"]["CurrencyRef"]["value"] == "EUR"
        # What the ERP leaves blank is still named.
        assert ("CUSTOMER_FIELD_DIFF", "currency") in {(d.code, d.field) for d in report.discrepancies}


def test_a_currency_that_quickbooks_does_not_list_yet_is_told_once_and_follows_once_it_does(tmp_path: Path) -> None:
    with both(tmp_path, **EVERY) as w:
        sap = w.erp.books
        who = sap.enter_customer("Bao Ltd", currency="CNY")
        bill = sap.enter_invoice(who, "20.00", on=DAY, tax_code="O0", reference="S-1", currency="CNY")
        sap.enter_payment(who, "5.00", on=DAY, applications={bill: "5.00"}, reference="wire 1", currency="CNY")
        w.export()
        report = w.run()
        assert (report.refused, report.applied["rejected"], len(w.q.qbo("Customer"))) == (0, 0, 1)
        assert report.held_back() == {"right does not list the currency CNY": 3}
        w.make("CompanyCurrency", {"Code": "CNY", "Name": "Chinese Yuan"})
        w.make("ExchangeRate", {"SourceCurrencyCode": "CNY", "Rate": "0.14", "AsOfDate": DAY.isoformat()})
        w.night()
        in_step(w)
        assert {n: i["CurrencyRef"]["value"] for n, i in held(w, "Invoice").items()} == {"S-1": "CNY"}
