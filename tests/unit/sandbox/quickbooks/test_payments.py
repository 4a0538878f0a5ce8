"""Applications, credits, voids and deletes: section 7 of QuickBooks' receivables."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.sandbox.quickbooks.conftest import customer, invoice, memo, pay, refused, to


def test_a_payment_lowers_the_invoice_and_the_customer(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    done = pay(books, who, "120", to("Invoice", inv["Id"], "60"))
    assert done["UnappliedAmt"] == Decimal("60.00")
    assert done["DepositToAccountRef"] == {"value": "4"}
    assert "DocNumber" not in done and "PaymentType" not in done
    after = books.find("Invoice", inv["Id"])
    assert after["Balance"] == Decimal("40.00")
    assert after["LinkedTxn"] == [{"TxnId": done["Id"], "TxnType": "Payment"}]
    assert after["SyncToken"] == "1"
    assert books.find("Customer", who)["Balance"] == Decimal("-20.00")
    assert books.find("Account", "84")["CurrentBalance"] == Decimal("-20.00")
    books.check()


def test_the_line_says_what_was_open_before(books):
    who = customer(books)
    inv = invoice(books, who, "78.60")
    done = pay(books, who, "55", to("Invoice", inv["Id"], "55"))
    facts = {x["value"]["Name"]: x["value"]["Value"] for x in done["Line"][0]["LineEx"]["any"]}
    assert facts == {"txnId": inv["Id"], "txnOpenBalance": "78.60", "txnReferenceNumber": inv["DocNumber"]}


def test_a_payment_is_taken_back_as_it_was_answered(books):
    """Payments know no sparse update: what was read is sent whole, QuickBooks' own facts of each line with it."""
    who = customer(books)
    inv = invoice(books, who, "78.60")
    read = pay(books, who, "55", to("Invoice", inv["Id"], "55"))
    done = books.apply("Payment", "update", {**read, "PrivateNote": "by card"})
    assert (done["PrivateNote"], done["Line"][0]["Amount"]) == ("by card", Decimal("55.00"))
    facts = {x["value"]["Name"]: x["value"]["Value"] for x in done["Line"][0]["LineEx"]["any"]}
    assert facts["txnOpenBalance"] == "78.60"
    books.check()


def test_a_payment_need_not_bump_the_token(make):
    books = make(payment_bumps_invoice_token=False)
    who = customer(books)
    inv = invoice(books, who)
    pay(books, who, "10", to("Invoice", inv["Id"], "10"))
    assert books.find("Invoice", inv["Id"])["SyncToken"] == "0"


def test_a_zero_payment_applies_a_credit(books):
    who = customer(books)
    inv, credit = invoice(books, who, "100"), memo(books, who, "30")
    assert credit["Balance"] == credit["RemainingCredit"] == Decimal("30.00")
    done = pay(books, who, "0", to("Invoice", inv["Id"], "30"), to("CreditMemo", credit["Id"], "30"))
    assert (done["TotalAmt"], done["UnappliedAmt"]) == (0, 0)
    assert books.find("Invoice", inv["Id"])["Balance"] == Decimal("70.00")
    assert books.find("CreditMemo", credit["Id"])["RemainingCredit"] == 0
    books.check()


@pytest.mark.parametrize(
    ("lines", "total", "code"),
    [
        ([("Invoice", "150")], "150", 6000),  # more than is open
        ([("Invoice", "50")], "20", 6000),  # more than was received
        ([("Invoice", "0")], "0", 6000),
        ([("Invoice", "-5")], "10", 6000),
        ([("Invoice", "60"), ("Invoice", "60")], "120", 6000),  # together too much
        ([("Bill", "10")], "10", 620),
        ([], "0", 6000),
        ([], "-5", 2290),
    ],
)
def test_what_a_payment_may_not_do(books, lines, total, code):
    who = customer(books)
    inv = invoice(books, who, "100")
    fault = refused(lambda: pay(books, who, total, *(to(kind, inv["Id"], amount) for kind, amount in lines)))
    assert fault.code == code
    assert books.find("Invoice", inv["Id"])["Balance"] == Decimal("100.00")
    assert not books.all("Payment")
    books.check()


def test_the_message_when_credits_fall_short(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    fault = refused(lambda: pay(books, who, "20", to("Invoice", inv["Id"], "50")))
    assert fault.detail == "Business Validation Error: Amount Received plus credits can't be less than selected charges"


def test_a_strangers_invoice_is_refused_and_a_childs_is_not(books):
    who = customer(books)
    stranger = invoice(books, customer(books, "Birch Row"), "10")
    assert refused(lambda: pay(books, who, "10", to("Invoice", stranger["Id"], "10"))).code == 6000
    child = customer(books, "Sons", ParentRef={"value": who}, Job=True, BillWithParent=True)
    done = pay(books, who, "10", to("Invoice", invoice(books, child, "10")["Id"], "10"))
    assert done["UnappliedAmt"] == 0
    assert books.find("Customer", who)["BalanceWithJobs"] == 0
    books.check()


def test_a_paid_invoice_may_drop_the_line(make):
    books = make(apply_to_closed_invoice="drop_line")
    who = customer(books)
    inv = invoice(books, who, "100")
    pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    again = pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    assert again["Line"] == []
    assert again["UnappliedAmt"] == Decimal("100.00")
    books.check()


def test_lines_are_all_or_nothing_on_update(books):
    who = customer(books)
    first, second = invoice(books, who, "50"), invoice(books, who, "50")
    paid = pay(books, who, "100", to("Invoice", first["Id"], "50"), to("Invoice", second["Id"], "50"))
    head = {"Id": paid["Id"], "SyncToken": "0", "CustomerRef": {"value": who}}
    kept = books.apply("Payment", "update", {**head, "sparse": True, "PrivateNote": "x"})
    assert len(kept["Line"]) == 2
    less = books.apply(
        "Payment", "update", {**head, "SyncToken": "1", "sparse": True, "Line": [to("Invoice", first["Id"], "50")]}
    )
    assert less["UnappliedAmt"] == Decimal("50.00")
    assert books.find("Invoice", second["Id"])["Balance"] == Decimal("50.00")
    none = books.apply("Payment", "update", {**head, "SyncToken": "2", "TotalAmt": 100})
    assert none["Line"] == [] and none["UnappliedAmt"] == Decimal("100.00")
    assert "PrivateNote" not in none
    books.check()


def test_a_sparse_payment_update_needs_its_customer(books):
    who = customer(books)
    paid = pay(books, who, "10")
    body = {"Id": paid["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"}
    assert refused(lambda: books.apply("Payment", "update", body)).code == 2020


def test_voiding_a_payment_reopens_the_invoice(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    paid = pay(books, who, "100", to("Invoice", inv["Id"], "100"), PrivateNote="memo")
    gone = books.apply("Payment", "void", {"Id": paid["Id"], "SyncToken": "0", "sparse": True})
    assert (gone["TotalAmt"], gone["UnappliedAmt"], gone["Line"]) == (0, 0, [])
    assert gone["PrivateNote"] == "Voided memo"
    assert books.find("Invoice", inv["Id"])["Balance"] == Decimal("100.00")
    assert books.find("Customer", who)["Balance"] == Decimal("100.00")
    books.check()


def test_deleting_a_payment_restores_balances(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    paid = pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    stub = books.apply("Payment", "delete", {"Id": paid["Id"], "SyncToken": "0"})
    assert stub == {"domain": "QBO", "status": "Deleted", "Id": paid["Id"]}
    assert books.find("Invoice", inv["Id"])["LinkedTxn"] == []
    fault = refused(lambda: books.apply("Payment", "delete", {"Id": paid["Id"], "SyncToken": "0"}))
    assert (fault.code, "Another user has deleted" in fault.detail) == (610, True)
    books.check()


@pytest.mark.parametrize("operation", ["void", "delete"])
@pytest.mark.parametrize("policy", ["unlink", "reject"])
def test_undoing_a_paid_invoice(make, operation, policy):
    books = make(void_invoice_with_payment=policy, delete_invoice_with_payment=policy)
    who = customer(books)
    inv = invoice(books, who, "100")
    paid = pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    body = {"Id": inv["Id"], "SyncToken": "1"}
    if policy == "reject":
        assert refused(lambda: books.apply("Invoice", operation, body)).code == 6000
        assert books.find("Payment", paid["Id"])["UnappliedAmt"] == 0
    else:
        books.apply("Invoice", operation, body)
        after = books.find("Payment", paid["Id"])
        assert (after["UnappliedAmt"], after["Line"]) == (Decimal("100.00"), [])
        assert books.find("Customer", who)["Balance"] == Decimal("-100.00")
    books.check()


def test_a_void_keeps_number_and_dates_and_zeroes_the_rest(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    gone = books.apply("Invoice", "void", {"Id": inv["Id"], "SyncToken": "0"})
    assert (gone["TotalAmt"], gone["Balance"], gone["PrivateNote"], gone["SyncToken"]) == (0, 0, "Voided", "1")
    assert [x["Amount"] for x in gone["Line"]] == [0, 0]
    assert gone["DocNumber"] == inv["DocNumber"] and gone["DueDate"] == inv["DueDate"]
    again = books.apply("Invoice", "void", {"Id": inv["Id"], "SyncToken": "1"})
    assert again["SyncToken"] == "1"
    assert refused(lambda: books.apply("Invoice", "void", {"Id": inv["Id"], "SyncToken": "0"})).code == 5010
    assert refused(lambda: books.apply("CreditMemo", "void", {"Id": "1", "SyncToken": "0"})).code == 500
    books.check()


def test_credits_meet_charges_at_once(make):
    books = make(auto_apply_credit=True)
    who = customer(books)
    old = invoice(books, who, "40", TxnDate="2026-01-01")
    new = invoice(books, who, "40", TxnDate="2026-01-15")
    credit = memo(books, who, "50")
    assert credit["RemainingCredit"] == 0
    assert books.find("Invoice", old["Id"])["Balance"] == 0
    assert books.find("Invoice", new["Id"])["Balance"] == Decimal("30.00")
    (system,) = books.all("Payment")
    assert system["PrivateNote"] == "Created by QB Online to link credits to charges."
    assert (system["TotalAmt"], len(system["Line"])) == (0, 3)
    assert [e.by for e in books.effects if e.entity == "Payment"] == ["system"]
    books.check()
    token = books.find("CreditMemo", credit["Id"])["SyncToken"]
    books.apply("CreditMemo", "delete", {"Id": credit["Id"], "SyncToken": token})
    assert books.find("Invoice", old["Id"])["Balance"] == Decimal("40.00")
    assert not books.all("Payment")
    books.check()


def test_a_later_invoice_meets_an_open_credit(make):
    books = make(auto_apply_credit=True)
    who = customer(books)
    credit = memo(books, who, "50")
    inv = invoice(books, who, "80")
    assert inv["Balance"] == Decimal("30.00")
    assert books.find("CreditMemo", credit["Id"])["Balance"] == 0
    books.check()


def test_api_payments_may_be_applied_by_themselves(make):
    books = make(auto_apply_payment_api=True)
    who = customer(books)
    inv = invoice(books, who, "30")
    done = pay(books, who, "50")
    assert done["UnappliedAmt"] == Decimal("20.00")
    assert books.find("Invoice", inv["Id"])["Balance"] == 0
    books.check()


def test_an_invoice_made_smaller_gives_the_rest_back(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    paid = pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    body = {"Id": inv["Id"], "SyncToken": "1", "sparse": True, "Line": [{**inv["Line"][0], "Amount": 70}]}
    less = books.apply("Invoice", "update", body)
    assert (less["TotalAmt"], less["Balance"]) == (Decimal("70.00"), 0)
    assert books.find("Payment", paid["Id"])["UnappliedAmt"] == Decimal("30.00")
    books.check()


def test_a_deposited_payment_refuses_change_until_the_deposit_is_gone(books):
    who = customer(books)
    paid = pay(books, who, "100")
    linked = {"Amount": 100, "LinkedTxn": [{"TxnId": paid["Id"], "TxnType": "Payment", "TxnLineId": "0"}]}
    deposit = books.apply("Deposit", "create", {"DepositToAccountRef": {"value": "35"}, "Line": [linked]})
    body = {"Id": paid["Id"], "SyncToken": "0", "CustomerRef": {"value": who}, "sparse": True}
    for operation in ("update", "void", "delete"):
        assert refused(lambda operation=operation: books.apply("Payment", operation, body)).code == 6540
    assert books.find("Account", "35")["CurrentBalance"] == Decimal("100.00")
    books.apply("Deposit", "delete", {"Id": deposit["Id"], "SyncToken": "0"})
    books.apply("Payment", "void", body)
    books.check()


def test_a_matched_payment_stands_until_the_match_is_undone(books):
    who = customer(books)
    paid = pay(books, who, "100")
    books.match("Payment", paid["Id"])
    body = {"Id": paid["Id"], "SyncToken": "0", "CustomerRef": {"value": who}, "sparse": True}
    for operation in ("void", "delete"):
        assert refused(lambda operation=operation: books.apply("Payment", operation, body)).code == 6480
    assert refused(lambda: books.match("Payment", "999999")).code == 610
    assert books.find("Payment", paid["Id"])["TotalAmt"] == Decimal("100.00")
    books.matched.clear()
    books.apply("Payment", "void", body)
    books.check()


def test_a_payment_that_is_paid_out_is_not_voided(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    paid = pay(books, who, "100", to("Invoice", inv["Id"], "100"))
    assert refused(lambda: books.pay_out("999999")).code == 610
    books.pay_out(paid["Id"])
    body = {"Id": paid["Id"], "SyncToken": "0", "CustomerRef": {"value": who}, "sparse": True}
    assert refused(lambda: books.apply("Payment", "void", body)).code == 6450
    assert books.find("Payment", paid["Id"])["TotalAmt"] == Decimal("100.00")
    assert books.find("Invoice", inv["Id"])["Balance"] == 0
    books.apply("Payment", "update", {**books.find("Payment", paid["Id"]), "PrivateNote": "by card"})
    books.check()


def test_money_received_goes_where_money_lies(make):
    for books, code in ((make(), 6430), (make(wrong_deposit_account="accept"), None)):
        who = customer(books)
        body = {"CustomerRef": {"value": who}, "TotalAmt": 5, "DepositToAccountRef": {"value": "1"}}
        if code:
            before = len(books.effects)
            assert refused(lambda books=books, body=body: books.apply("Payment", "create", body)).code == code
            assert len(books.effects) == before
            for good in ("35", "4"):
                books.apply("Payment", "create", body | {"DepositToAccountRef": {"value": good}})
        else:
            assert books.apply("Payment", "create", body)["DepositToAccountRef"] == {"value": "1"}
        books.check()


def test_a_line_without_an_item_is_filled_or_refused(make):
    for books, code in ((make(), None), (make(line_without_item="6440"), 6440)):
        line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
        body = {"CustomerRef": {"value": customer(books)}, "Line": [line]}
        if code:
            assert refused(lambda books=books, body=body: books.apply("Invoice", "create", body)).code == code
            owing = {"DisplayName": "Brought forward", "Balance": 7, "OpenBalanceDate": "2026-01-31"}
            assert books.apply("Customer", "create", owing)["Id"]
        else:
            shown = books.apply("Invoice", "create", body)["Line"][0]["SalesItemLineDetail"]
            assert shown["ItemRef"]["value"] == "1"
        books.check()


def test_a_customer_who_owes_is_not_made_inactive(make):
    for books, code in ((make(inactivate_with_balance="reject"), 6220), (make(), None)):
        who = customer(books)
        invoice(books, who, "10")
        body = {"Id": who, "SyncToken": "0", "sparse": True, "Active": False}
        if code:
            assert refused(lambda books=books, body=body: books.apply("Customer", "update", body)).code == code
        else:
            assert books.apply("Customer", "update", body)["Active"] is False
        books.check()


@pytest.mark.parametrize(("setting", "codes"), [("2500", (2500, 610)), ("6250", (6250, 6250))])
def test_sales_to_a_customer_who_is_unknown_or_inactive(make, setting, codes):
    books = make(unusable_customer=setting)
    who = customer(books)
    books.apply("Customer", "update", {"Id": who, "SyncToken": "0", "sparse": True, "Active": False})
    for buyer, code in zip(("987654", who), codes, strict=True):
        assert refused(lambda buyer=buyer: invoice(books, buyer, "10")).code == code
        assert refused(lambda buyer=buyer: pay(books, buyer, "10")).code == code


def test_a_credit_journal_can_be_applied(books):
    who = customer(books)
    inv = invoice(books, who, "100")
    entry = books.apply(
        "JournalEntry",
        "create",
        {
            "Line": [
                {
                    "Amount": 25,
                    "DetailType": "JournalEntryLineDetail",
                    "JournalEntryLineDetail": {
                        "PostingType": "Credit",
                        "AccountRef": {"value": "84"},
                        "Entity": {"Type": "Customer", "EntityRef": {"value": who}},
                    },
                },
                {
                    "Amount": 25,
                    "DetailType": "JournalEntryLineDetail",
                    "JournalEntryLineDetail": {"PostingType": "Debit", "AccountRef": {"value": "87"}},
                },
            ]
        },
    )
    assert [x["Id"] for x in entry["Line"]] == ["0", "1"]
    assert books.find("Customer", who)["Balance"] == Decimal("75.00")
    pay(books, who, "0", to("Invoice", inv["Id"], "25"), to("JournalEntry", entry["Id"], "25"))
    assert books.find("Invoice", inv["Id"])["Balance"] == Decimal("75.00")
    assert (
        refused(lambda: pay(books, who, "0", to("Invoice", inv["Id"], "1"), to("JournalEntry", entry["Id"], "1"))).code
        == 6000
    )
    books.check()


def test_foreign_payments_post_a_gain(make):
    books = make(multicurrency=True)
    who = customer(books, CurrencyRef={"value": "EUR"})
    inv = invoice(books, who, "100", ExchangeRate=Decimal("1.10"))
    assert (inv["HomeTotalAmt"], inv["HomeBalance"], inv["ExchangeRate"]) == (
        Decimal("110.00"),
        Decimal("110.00"),
        Decimal("1.1"),
    )
    pay(books, who, "100", to("Invoice", inv["Id"], "100"), ExchangeRate=Decimal("1.20"))
    assert books.find("Customer", who)["Balance"] == 0
    assert books.ledger.accounts["88"] == Decimal("-10.00")
    assert books.ledger.accounts["101"] == 0
    books.check()
    home = customer(books, "Birch Row")
    assert refused(lambda: invoice(books, home, "5", CurrencyRef={"value": "EUR"})).code == 6000


@pytest.mark.parametrize(
    ("places", "currency", "total", "part", "kept"),
    [
        ("own", "KWD", "12.345", "2.005", ("12.345", "10.340")),
        ("two", "KWD", "12.345", "2.005", ("12.35", "10.34")),
        ("own", "JPY", "1500.4", "499.5", ("1500.00", "1000.00")),
        ("two", "JPY", "1500.4", "499.5", ("1500.40", "1000.90")),
    ],
)
def test_amounts_are_kept_with_the_decimals_of_their_currency(make, places, currency, total, part, kept):
    books = make(multicurrency=True, currencies="every_exponent", currency_places=places)
    who = customer(books, CurrencyRef={"value": currency})
    inv = invoice(books, who, total)
    assert str(inv["TotalAmt"]) == kept[0]
    pay(books, who, part, to("Invoice", inv["Id"], part))
    assert str(books.find("Invoice", inv["Id"])["Balance"]) == kept[1]
    assert str(books.find("Customer", who)["Balance"]) == kept[1]
    books.check()


def test_a_foreign_currency_needs_the_feature(books):
    assert refused(lambda: customer(books, CurrencyRef={"value": "EUR"})).code == 5030
