"""Names, hierarchy, (de)activation, balances of list objects."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.sandbox.quickbooks.conftest import customer, invoice, refused
from tieout.errors import ConfigError
from tieout.sandbox.quickbooks import Books, Switches, generate


def test_names_are_one_list_whatever_the_case(books):
    customer(books, "Alder")
    for entity in ("Customer", "Vendor", "Employee"):
        fault = refused(lambda entity=entity: books.apply(entity, "create", {"DisplayName": "ALDER"}))
        assert (fault.code, fault.detail) == (6240, "The name supplied already exists. : null")


def test_a_display_name_comes_from_the_parts_or_not_at_all(books):
    done = books.apply("Customer", "create", {"GivenName": "Ada", "FamilyName": "Byron"})
    assert (done["DisplayName"], done["FullyQualifiedName"]) == ("Ada Byron", "Ada Byron")
    assert refused(lambda: books.apply("Customer", "create", {"CompanyName": "X"})).code == 6080


@pytest.mark.parametrize(("name", "code"), [("a:b", 2040), ("a\tb", 2040), ("x" * 501, 2050)])
def test_names_quickbooks_does_not_take(books, name, code):
    assert refused(lambda: customer(books, name)).code == code


def test_an_inactive_customer_frees_its_name(books):
    who = customer(books, "Alder")
    off = books.apply("Customer", "update", {"Id": who, "SyncToken": "0", "sparse": True, "Active": False})
    assert (off["DisplayName"], off["PrintOnCheckName"]) == ("Alder (deleted)", "Alder")
    other = customer(books, "Alder")
    on = {"Id": who, "SyncToken": "1", "sparse": True, "Active": True}
    assert refused(lambda: books.apply("Customer", "update", on)).code == 6240
    books.apply("Customer", "update", {"Id": other, "SyncToken": "0", "sparse": True, "DisplayName": "Birch"})
    assert books.apply("Customer", "update", on)["DisplayName"] == "Alder"


def test_children_show_their_path_and_parents_their_sum(books):
    top = customer(books, "O'Brien")
    child = books.apply("Customer", "create", {"DisplayName": "Sons", "ParentRef": {"value": top}, "Job": True})
    assert (child["FullyQualifiedName"], child["Level"]) == ("O'Brien:Sons", 1)
    inv = invoice(books, child["Id"], "85")
    assert inv["CustomerRef"]["name"] == "O'Brien:Sons"
    parent = books.find("Customer", top)
    assert (parent["Balance"], parent["BalanceWithJobs"]) == (0, Decimal("85.00"))
    books.apply("Customer", "update", {"Id": top, "SyncToken": "0", "sparse": True, "DisplayName": "Brian"})
    assert books.find("Invoice", inv["Id"])["CustomerRef"]["name"] == "Brian:Sons"
    assert books.find("Invoice", inv["Id"])["SyncToken"] == "0"


def test_five_levels_and_no_more(books):
    parent = customer(books, "L0")
    for n in range(1, 5):
        parent = customer(books, f"L{n}", ParentRef={"value": parent}, Job=True)
    assert refused(lambda: customer(books, "L5", ParentRef={"value": parent}, Job=True)).code == 6180


def test_a_full_update_clears_text_and_keeps_flags(books):
    who = customer(books, "Doe2, Jane", Notes="n", Taxable=False)
    body = {"Id": who, "SyncToken": "0", "DisplayName": "Jack Moe", "PrimaryPhone": {"FreeFormNumber": "(415) 444"}}
    done = books.apply("Customer", "update", body)
    assert (done["PrintOnCheckName"], done["FullyQualifiedName"], done["Taxable"]) == ("Jack Moe", "Jack Moe", False)
    assert "Notes" not in done


def test_an_opening_balance_is_an_invoice(books):
    who = customer(books, Balance=50, OpenBalanceDate="2025-01-01")
    assert books.find("Customer", who)["Balance"] == Decimal("50.00")
    (opened,) = books.all("Invoice")
    assert opened["TxnDate"] == "2025-01-01"


def test_list_objects_are_never_deleted(books):
    assert refused(lambda: books.apply("Customer", "delete", {"Id": customer(books), "SyncToken": "0"})).code == 500


def test_auto_apply_is_read_only_and_multicurrency_stays(make):
    books = make(multicurrency=True)
    body = {
        "SalesFormsPrefs": {"AutoApplyCredit": True},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False},
        "SyncToken": "0",
    }
    done = books.apply("Preferences", "update", {**body, "Id": "1", "sparse": True})
    assert done["SalesFormsPrefs"]["AutoApplyCredit"] is False
    assert done["CurrencyPrefs"]["MultiCurrencyEnabled"] is True
    assert done["EmailMessagesPrefs"]["EstimateMessage"]["Subject"]


def test_a_social_security_number_is_never_shown_again(books):
    made = books.apply("Employee", "create", {"GivenName": "Ana", "FamilyName": "Reyes", "SSN": "444-55-6666"})
    again = books.apply("Employee", "update", {**made, "FamilyName": "Reyes Soto"})
    assert made["SSN"] == again["SSN"] == "XXX-XX-XXXX"
    assert "444-55-6666" not in str(books.effects)
    assert "SSN" not in books.apply("Employee", "create", {"GivenName": "No", "FamilyName": "Number"})


def test_the_small_company_serves_the_suites_that_name_its_ids():
    books = Books()
    books.check()
    for id in ("1", "33", "35", "36", "42", "84", "86"):
        assert books.find("Account", id)["Active"]
    assert books.find("Item", "10")["Name"] == "Pest Control"
    assert len(books.all("Customer")) >= 6 and len(books.all("Payment")) >= 5
    assert any("'" in c["DisplayName"] for c in books.all("Customer"))
    assert any(i["Type"] == "Inventory" for i in books.all("Item"))
    assert sum(a["AccountType"] == "Bank" for a in books.all("Account")) >= 2


def test_generated_books_repeat_and_balance(clock):
    first, second = (generate(30, 400, 7, clock=clock) for _ in range(2))
    assert first.all("Invoice") == second.all("Invoice")
    assert len(first.all("Invoice")) == 400
    assert generate(30, 400, 8, clock=clock).all("Invoice") != first.all("Invoice")
    first.check()


@pytest.mark.parametrize("switches", [{"country": "CA"}, {"multicurrency": True}, {"ast": True}])
def test_every_seed_stands_in_every_kind_of_company(clock, switches):
    for seed in ("small", "empty", "bare", "generate:5:60:1"):
        Books(seed, Switches(**switches), clock).check()


def test_wrong_seeds_and_switches_are_named():
    with pytest.raises(ConfigError, match="big"):
        Books("big")
    with pytest.raises(ConfigError) as caught:
        Switches.parse(["rotate_refresh=sometimes", "nonsense=1", "ast=maybe"])
    assert len(caught.value.problems) == 3
    made = Switches.parse(["book_close_date=2025-12-31", "ast=true", "cdc-over-30-days=clamp"])
    assert (made.ast, made.cdc_over_30_days, str(made.book_close_date)) == (True, "clamp", "2025-12-31")
