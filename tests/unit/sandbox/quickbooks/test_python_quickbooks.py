"""python-quickbooks, unmodified, against the sandbox."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import intuitlib.config
import pytest
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import ObjectNotFoundException, QuickbooksException
from quickbooks.objects.account import Account
from quickbooks.objects.attachable import Attachable
from quickbooks.objects.base import Address, AttachableRef, CustomerMemo, EmailAddress, PhoneNumber, Ref
from quickbooks.objects.bill import Bill
from quickbooks.objects.billpayment import BillPayment, BillPaymentLine, CheckPayment
from quickbooks.objects.company_info import CompanyInfo
from quickbooks.objects.companycurrency import CompanyCurrency
from quickbooks.objects.creditcardpayment_entity import CreditCardPayment
from quickbooks.objects.creditmemo import CreditMemo
from quickbooks.objects.customer import Customer
from quickbooks.objects.department import Department
from quickbooks.objects.deposit import Deposit, DepositLine, DepositLineDetail
from quickbooks.objects.detailline import (
    AccountBasedExpenseLine,
    AccountBasedExpenseLineDetail,
    DetailLine,
    DiscountLineDetail,
    ItemBasedExpenseLine,
    ItemBasedExpenseLineDetail,
    SalesItemLine,
    SalesItemLineDetail,
)
from quickbooks.objects.employee import Employee
from quickbooks.objects.estimate import Estimate
from quickbooks.objects.exchangerate import ExchangeRate
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item
from quickbooks.objects.journalentry import Entity, JournalEntry, JournalEntryLine, JournalEntryLineDetail
from quickbooks.objects.payment import Payment, PaymentLine
from quickbooks.objects.preferences import Preferences
from quickbooks.objects.purchase import Purchase
from quickbooks.objects.purchaseorder import PurchaseOrder
from quickbooks.objects.recurringtransaction import RecurringInfo, RecurringInvoice, RecurringTransaction, ScheduleInfo
from quickbooks.objects.refundreceipt import RefundReceipt, RefundReceiptCheckPayment
from quickbooks.objects.salesreceipt import SalesReceipt
from quickbooks.objects.taxagency import TaxAgency
from quickbooks.objects.taxcode import TaxCode
from quickbooks.objects.taxrate import TaxRate
from quickbooks.objects.taxservice import TaxRateDetails, TaxService
from quickbooks.objects.term import Term
from quickbooks.objects.timeactivity import TimeActivity
from quickbooks.objects.trackingclass import Class
from quickbooks.objects.transfer import Transfer
from quickbooks.objects.vendor import Vendor

from tieout.sandbox.quickbooks import Books, Switches, running


@pytest.fixture(scope="module")
def site():
    with running(Books("small", Switches(rotate_refresh="never", auto_apply_credit=False))) as site:
        yield site
        site.books.check()


@pytest.fixture
def qb(site, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setitem(
        intuitlib.config.DISCOVERY_URL, "sandbox", site.base_url + "/.well-known/openid_sandbox_configuration/"
    )
    monkeypatch.setattr(QuickBooks, "sandbox_api_url_v3", site.base_url + "/v3")
    monkeypatch.setattr(QuickBooks, "api_url_v3", site.base_url + "/v3")
    auth = AuthClient(
        client_id=site.client_id,
        client_secret=site.client_secret,
        environment="sandbox",
        redirect_uri="http://127.0.0.1:9/callback",
    )
    return QuickBooks(auth_client=auth, refresh_token=site.refresh_token, company_id=site.realm, minorversion=75)


@pytest.fixture
def name():
    return f"Z{uuid.uuid4().hex[:12]}"  # after the seeded names in every listing


@pytest.fixture
def customer(qb):
    return Customer.all(max_results=1, qb=qb)[0]


def sales_line(qb, amount=100):
    line = SalesItemLine()
    line.LineNum, line.Description, line.Amount = 1, "description", amount
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = Item.all(max_results=1, qb=qb)[0].to_ref()
    return line


def new_invoice(qb, customer, amount=100, **save):
    invoice = Invoice()
    invoice.Line.append(sales_line(qb, amount))
    invoice.CustomerRef = customer.to_ref()
    invoice.CustomerMemo = CustomerMemo()
    invoice.CustomerMemo.value = "Customer Memo"
    invoice.save(qb=qb, **save)
    return invoice


def payment_line(doc, amount):
    line = PaymentLine()
    line.Amount = amount
    line.LinkedTxn.append(doc.to_linked_txn())
    return line


# ---- receivables


def test_customer_round_trip(qb, name):
    customer = Customer()
    customer.Title, customer.GivenName, customer.FamilyName, customer.Suffix = "Ms.", "Ada", name, "Jr"
    customer.DisplayName = customer.FullyQualifiedName = name
    customer.CompanyName = "Company"
    customer.PrimaryPhone = PhoneNumber()
    customer.PrimaryPhone.FreeFormNumber = "555-555-5555"
    customer.PrimaryEmailAddr = EmailAddress()
    customer.PrimaryEmailAddr.Address = "test@email.com"
    customer.BillAddr = Address()
    customer.BillAddr.Line1, customer.BillAddr.City = "123 Main", "Anywhere"
    customer.save(qb=qb)
    found = Customer.get(customer.Id, qb=qb)
    assert (found.DisplayName, found.PrimaryPhone.FreeFormNumber) == (name, "555-555-5555")
    assert (found.BillAddr.Line1, found.PrimaryEmailAddr.Address) == ("123 Main", "test@email.com")
    found.Title = "Dr."
    saved = found.save(qb=qb)
    assert Customer.get(customer.Id, qb=qb).Title == "Dr." and saved.SyncToken == "1"
    assert Customer.filter(DisplayName=name, qb=qb)[0].Id == customer.Id
    assert Customer.count(f"DisplayName = '{name}'", qb=qb) == 1
    assert [c.Id for c in Customer.choose([name], field="DisplayName", qb=qb)] == [customer.Id]


def test_invoice_create_replay_void_delete(qb, customer):
    rid = str(uuid.uuid4())
    first = new_invoice(qb, customer, request_id=rid)
    assert new_invoice(qb, customer, request_id=rid).Id == first.Id
    found = Invoice.get(first.Id, qb=qb)
    assert found.CustomerRef.name == customer.DisplayName
    assert (found.Line[0].Description, found.Line[0].Amount, found.Line[0].LineNum) == ("description", 100.0, 1)
    assert found.CustomerMemo.value == "Customer Memo"
    found.void(qb=qb)
    voided = Invoice.get(first.Id, qb=qb)
    assert (voided.Balance, voided.TotalAmt) == (0, 0) and "Voided" in voided.PrivateNote
    other = new_invoice(qb, customer)
    other.delete(qb=qb)
    assert Invoice.filter(Id=other.Id, qb=qb) == []
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(other.Id, qb=qb)


def test_the_first_customer_owns_an_invoice_with_a_number(qb, customer):
    (invoice,) = Invoice.query(
        f"select * from Invoice where CustomerRef = '{customer.Id}' orderby Id maxresults 1", qb=qb
    )
    assert invoice.Line[0].LineNum == 1 and invoice.Line[0].Amount
    assert Invoice.where(f"CustomerRef = '{customer.Id}'", qb=qb)


def test_invoice_link(qb, customer):
    invoice = new_invoice(qb, customer)
    invoice = Invoice.get(invoice.Id, qb=qb)
    invoice.AllowOnlineCreditCardPayment = True
    invoice.BillEmail = EmailAddress()
    invoice.BillEmail.Address = "test@email.com"
    invoice.save(qb=qb)
    assert "https" in Invoice.get(invoice.Id, qb=qb, params={"include": "invoiceLink"}).InvoiceLink


def test_send_and_pdf(qb, customer):
    invoice = new_invoice(qb, customer)
    assert Invoice.get(invoice.Id, qb=qb).download_pdf(qb=qb).startswith(b"%PDF")
    invoice.send(qb=qb, send_to="a@b.example")
    assert Invoice.get(invoice.Id, qb=qb).EmailStatus == "EmailSent"


def test_payment_applies_a_credit_and_is_voided(qb, customer):
    invoice = new_invoice(qb, customer)
    memo = CreditMemo()
    memo.CustomerRef = customer.to_ref()
    memo.Line.append(sales_line(qb, 30))
    memo.save(qb=qb)
    payment = Payment()
    payment.CustomerRef, payment.TotalAmt, payment.PrivateNote = customer.to_ref(), 50, "note"
    payment.Line = [payment_line(invoice, 80)]
    credit = PaymentLine()
    credit.Amount = 30
    credit.LinkedTxn.append(type(invoice.to_linked_txn())())
    credit.LinkedTxn[0].TxnId, credit.LinkedTxn[0].TxnType = memo.Id, "CreditMemo"
    payment.Line.append(credit)
    payment.save(qb=qb)
    assert (payment.UnappliedAmt or 0) == 0
    assert Invoice.get(invoice.Id, qb=qb).Balance == 20.0
    assert CreditMemo.get(memo.Id, qb=qb).RemainingCredit == 0
    Payment.get(payment.Id, qb=qb).void(qb=qb)
    voided = Payment.get(payment.Id, qb=qb)
    assert voided.TotalAmt == 0 and "Voided" in voided.PrivateNote
    assert Invoice.get(invoice.Id, qb=qb).Balance == 100.0


def test_five_payments_of_many(qb):
    assert len(Payment.all(max_results=5, qb=qb)) == 5


def test_a_credit_memo_read_by_query_can_be_saved_whole(qb):
    memo = CreditMemo.all(max_results=1, qb=qb)[0]
    memo.PrivateNote = "Test"
    memo.save(qb=qb)
    assert CreditMemo.get(memo.Id, qb=qb).PrivateNote == "Test"


def test_a_stale_save_is_refused(qb, customer):
    invoice = Invoice.get(new_invoice(qb, customer).Id, qb=qb)
    invoice.save(qb=qb)
    with pytest.raises(QuickbooksException) as caught:
        invoice.save(qb=qb)
    assert caught.value.error_code == 5010


def test_batch(qb, name):
    people = []
    for n in range(35):
        person = Customer()
        person.DisplayName = f"{name} {n}"
        people.append(person)
    made = batch_create([*people, people[0]], qb=qb)
    assert (len(made.successes), len(made.faults)) == (35, 0)  # the library drops the doubled object itself
    for person in made.successes:
        person.Notes = "x"
    done = batch_update(made.successes, qb=qb)
    assert {p.Notes for p in done.successes} == {"x"}
    invoices = [new_invoice(qb, done.successes[0]) for _ in range(2)]
    gone = batch_delete([Invoice.get(i.Id, qb=qb) for i in invoices], qb=qb)
    assert len(gone.successes) == 2
    assert len(batch_create([people[0]], qb=qb).faults) == 1


def test_change_data_capture(qb, customer):
    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="seconds")
    kept, gone = new_invoice(qb, customer), new_invoice(qb, customer)
    gone.delete(qb=qb)
    found = change_data_capture([Invoice], since, qb=qb).Invoice
    by_id = {i.Id: i for i in found}
    assert kept.Id in by_id and by_id[gone.Id].to_dict().get("status") == "Deleted"


def test_exact_decimals_survive(site, qb, customer):
    invoice = Invoice()
    invoice.Line.append(sales_line(qb, Decimal("10.10")))
    invoice.CustomerRef = customer.to_ref()
    invoice.save(qb=qb)
    assert site.books.find("Invoice", invoice.Id)["TotalAmt"] == Decimal("10.10")


# ---- the rest of the library's world


def test_accounts(qb, name):
    account = Account()
    account.Name, account.AccountSubType, account.AcctNum = f"Account {name}", "CashOnHand", "1234"
    account.save(qb=qb)
    found = Account.get(account.Id, qb=qb)
    assert (found.Name, found.AccountSubType) == (account.Name, "CashOnHand")
    found.Name = f"Updated {name}"
    found.save(qb=qb)
    assert Account.get(account.Id, qb=qb).Name == f"Updated {name}"
    assert Account.where("Name = 'checking'", max_results=1, qb=qb)[0].Id == "35"
    asset = Account.where("Classification = 'Asset' AND FullyQualifiedName != 'Accounts Receivable (A/R)'", qb=qb)
    assert asset and all(a.Id != "84" for a in asset)


def test_lists(qb, name):
    for cls in (Department, Class, Term):
        thing = cls()
        thing.Name = name
        if cls is Term:
            thing.Type, thing.DueDays = "STANDARD", 10
        thing.save(qb=qb)
        found = cls.get(thing.Id, qb=qb)
        found.Name = f"{name} 2"
        found.save(qb=qb)
        assert cls.get(thing.Id, qb=qb).Name == f"{name} 2"
    for cls in (Vendor, Employee):
        person = cls()
        person.GivenName, person.FamilyName, person.DisplayName = "A", name, f"{cls.__name__} {name}"
        person.save(qb=qb)
        assert cls.get(person.Id, qb=qb).FamilyName == name


def test_items(qb, name):
    item = Item()
    item.Name, item.Type, item.TrackQtyOnHand, item.QtyOnHand = name, "Inventory", True, 10
    item.Sku, item.InvStartDate = "SKU123123", "2015-01-01"
    where = "AccountType = 'Income' and AccountSubType = 'SalesOfProductIncome'"
    item.IncomeAccountRef = Account.where(where, max_results=1, qb=qb)[0].to_ref()
    item.ExpenseAccountRef = Account.where("AccountSubType = 'SuppliesMaterialsCogs'", qb=qb)[0].to_ref()
    item.AssetAccountRef = Account.where("AccountSubType = 'Inventory'", qb=qb)[0].to_ref()
    item.save(qb=qb)
    found = Item.get(item.Id, qb=qb)
    assert (found.Type, found.QtyOnHand, found.TrackQtyOnHand, found.Sku) == ("Inventory", 10, True, "SKU123123")
    assert any(i.Sku == "SKU123123" for i in Item.all(max_results=100, qb=qb))


def test_bills_and_their_payments(qb):
    vendor = Vendor.all(max_results=1, qb=qb)[0]
    bill = Bill()
    line = AccountBasedExpenseLine()
    line.Amount, line.DetailType = 200, "AccountBasedExpenseLineDetail"
    line.AccountBasedExpenseLineDetail = AccountBasedExpenseLineDetail()
    line.AccountBasedExpenseLineDetail.AccountRef = Ref()
    line.AccountBasedExpenseLineDetail.AccountRef.value = 1
    bill.Line.append(line)
    bill.VendorRef = vendor.to_ref()
    bill.save(qb=qb)
    found = Bill.get(bill.Id, qb=qb)
    assert found.Line[0].Amount == 200.0 and found.Balance == 200.0
    payment = BillPayment()
    payment.PayType, payment.TotalAmt, payment.PrivateNote = "Check", 200, "Private Note"
    payment.VendorRef = vendor.to_ref()
    payment.CheckPayment = CheckPayment()
    payment.CheckPayment.BankAccountRef = Account.where("AccountSubType = 'Checking'", qb=qb)[0].to_ref()
    payment.APAccountRef = Account.where("AccountSubType = 'AccountsPayable'", qb=qb)[0].to_ref()
    line = BillPaymentLine()
    line.LinkedTxn.append(bill.to_linked_txn())
    line.Amount = 200
    payment.Line.append(line)
    payment.save(qb=qb)
    found = BillPayment.get(payment.Id, qb=qb)
    assert (found.TotalAmt, len(found.Line), found.Line[0].Amount) == (200.0, 1, 200.0)
    assert "Voided" not in found.PrivateNote
    payment.void(qb=qb)
    found = BillPayment.get(payment.Id, qb=qb)
    assert found.TotalAmt == 0 and "Voided" in found.PrivateNote


def test_money_between_accounts(qb, name):
    one, two = Account.filter(AccountType="Bank", max_results=2, qb=qb)
    deposit = Deposit()
    line = DepositLine()
    line.Amount, line.DetailType, line.DepositLineDetail = 20.0, "DepositLineDetail", DepositLineDetail()
    line.DepositLineDetail.AccountRef = one.to_ref()
    deposit.DepositToAccountRef = two.to_ref()
    deposit.Line.append(line)
    deposit.save(qb=qb)
    assert Deposit.get(deposit.Id, qb=qb).Id == deposit.Id
    transfer = Transfer()
    transfer.Amount, transfer.FromAccountRef, transfer.ToAccountRef = 100, one.to_ref(), two.to_ref()
    transfer.save(qb=qb)
    found = Transfer.get(transfer.Id, qb=qb)
    found.Amount += 1
    found.save(qb=qb)
    assert Transfer.get(transfer.Id, qb=qb).Amount == 101
    card = Account()
    card.Name, card.AccountType, card.AccountSubType = f"Card {name}", "Credit Card", "CreditCard"
    card.save(qb=qb)
    paid = CreditCardPayment()
    paid.Amount, paid.BankAccountRef, paid.CreditCardAccountRef = 100, one.to_ref(), card.to_ref()
    paid.save(qb=qb)
    found = CreditCardPayment.all(max_results=1, qb=qb)[0]
    assert (found.Id, found.Amount, found.BankAccountRef.value) == (paid.Id, 100, one.Id)
    found.Amount += 1
    found.save(qb=qb)
    assert Transfer.get(paid.Id, qb=qb).Amount == 101


def test_other_sales_forms(qb, customer):
    estimate = Estimate()
    estimate.TotalAmt, estimate.CustomerRef = 31.5, customer.to_ref()
    estimate.BillAddr = Address()
    estimate.BillAddr.Line1, estimate.BillAddr.Lat = "65 Ocean Dr.", "37.4300318"
    line = SalesItemLine()
    line.Amount, line.SalesItemLineDetail = 35.0, SalesItemLineDetail()
    line.SalesItemLineDetail.UnitPrice, line.SalesItemLineDetail.Qty = 35, 1
    line.SalesItemLineDetail.ItemRef = Ref()
    line.SalesItemLineDetail.ItemRef.value = "10"
    off = DetailLine()
    off.Amount, off.DetailType, off.DiscountLineDetail = 3.5, "DiscountLineDetail", DiscountLineDetail()
    off.DiscountLineDetail.PercentBased, off.DiscountLineDetail.DiscountPercent = True, 10
    estimate.Line = [line, off]
    estimate.save(qb=qb)
    found = Estimate.get(estimate.Id, qb=qb)
    assert (found.TotalAmt, found.Line[2].Amount, found.BillAddr.Line1) == (31.5, 3.5, "65 Ocean Dr.")
    assert found.Line[2].DiscountLineDetail.DiscountAccountRef.name == "Discounts given"

    receipt = SalesReceipt()
    receipt.Line.append(sales_line(qb))
    receipt.CustomerRef = customer.to_ref()
    receipt.save(qb=qb)
    SalesReceipt.get(receipt.Id, qb=qb).void(qb=qb)
    assert "Voided" in SalesReceipt.get(receipt.Id, qb=qb).PrivateNote

    refund = RefundReceipt()
    refund.DocNumber, refund.TotalAmt, refund.Balance, refund.PaymentType = "DocNum123", 100, 100, "Check"
    refund.CheckPayment = RefundReceiptCheckPayment()
    refund.CheckPayment.CheckNum, refund.CheckPayment.BankName = "1001", "Bank"
    refund.Line.append(sales_line(qb, 200))
    refund.DepositToAccountRef = Account.where("Name = 'checking'", max_results=1, qb=qb)[0].to_ref()
    refund.save(qb=qb)
    found = RefundReceipt.get(refund.Id, qb=qb)
    assert (found.DocNumber, found.Line[0].Amount, found.TotalAmt, found.Balance) == ("DocNum123", 200, 200, 0)


@pytest.mark.parametrize("cls", [Purchase, PurchaseOrder])
def test_purchases(qb, customer, cls):
    code = TaxCode.all(max_results=1, qb=qb)
    assert len(code) == 4
    doc = cls()
    line = ItemBasedExpenseLine()
    line.Amount, line.ItemBasedExpenseLineDetail = 100, ItemBasedExpenseLineDetail()
    detail = line.ItemBasedExpenseLineDetail
    detail.BillableStatus, detail.UnitPrice, detail.Qty = "NotBillable", 100, 1
    detail.CustomerRef, detail.TaxCodeRef = customer.to_ref(), code[0].to_ref()
    detail.ItemRef = Item.filter(Type="Inventory", max_results=1, qb=qb)[0].to_ref()
    doc.Line.append(line)
    doc.TotalAmt, doc.DocNumber = 100, "Doc123"
    if cls is Purchase:
        account = Account()
        account.FullyQualifiedName, account.Id = "Visa", "42"
        doc.PaymentType, doc.AccountRef = "CreditCard", account.to_ref()
    else:
        doc.VendorRef = Vendor.all(max_results=1, qb=qb)[0].to_ref()
        doc.APAccountRef = Account.all(max_results=1, qb=qb)[0].to_ref()
    doc.save(qb=qb, params={"include": "allowduplicatedocnum"})
    found = cls.get(doc.Id, qb=qb)
    assert (found.TotalAmt, found.DocNumber) == (100, "Doc123")
    assert found.Line[0].ItemBasedExpenseLineDetail.TaxCodeRef.value == code[0].Name


def test_journal_entry_on_receivables(qb, customer):
    entry = JournalEntry()
    for side, account in (("Debit", "84"), ("Credit", "1")):
        line = JournalEntryLine()
        line.Amount, line.JournalEntryLineDetail = 20.0, JournalEntryLineDetail()
        line.JournalEntryLineDetail.PostingType = side
        line.JournalEntryLineDetail.AccountRef = Account.get(account, qb=qb).to_ref()
        if account == "84":
            line.JournalEntryLineDetail.Entity = Entity()
            line.JournalEntryLineDetail.Entity.Type = "Customer"
            line.JournalEntryLineDetail.Entity.EntityRef = customer.to_ref()
        entry.Line.append(line)
    before = Customer.get(customer.Id, qb=qb).Balance
    entry.save(qb=qb)
    assert len(JournalEntry.get(entry.Id, qb=qb).Line) == 2
    assert Customer.get(customer.Id, qb=qb).Balance == before + 20


def test_recurring(qb, customer):
    invoice = RecurringInvoice()
    invoice.Line.append(sales_line(qb))
    invoice.CustomerRef = customer.to_ref()
    invoice.RecurringInfo = RecurringInfo()
    invoice.RecurringInfo.Name, invoice.RecurringInfo.Active = "monthly", True
    invoice.RecurringInfo.ScheduleInfo = ScheduleInfo()
    invoice.RecurringInfo.ScheduleInfo.DayOfMonth = 1
    template = RecurringTransaction()
    template.Invoice = invoice
    saved = template.save(qb=qb)
    found = RecurringTransaction.get(saved.Invoice.Id, qb=qb)
    found.Invoice.RecurringInfo.ScheduleInfo.DayOfMonth = 15
    found.Invoice.Line[0].Amount = 250
    found.save(qb=qb)
    found = RecurringTransaction.get(saved.Invoice.Id, qb=qb)
    assert found.Invoice.RecurringInfo.ScheduleInfo.DayOfMonth == 15 and found.Invoice.Line[0].Amount == 250
    assert [r.Invoice.Id for r in RecurringTransaction.where("Type = 'Invoice'", qb=qb)] == [saved.Invoice.Id]
    assert RecurringTransaction.where("Type = 'Bill'", qb=qb) == []
    found.delete(qb=qb)
    assert RecurringTransaction.all(qb=qb) == []


def test_time(qb):
    activity = TimeActivity()
    activity.NameOf, activity.Description, activity.CostRate = "Employee", "Test description", 50.0
    activity.EmployeeRef = Employee.all(max_results=1, qb=qb)[0].to_ref()
    activity.save(qb=qb)
    found = TimeActivity.get(activity.Id, qb=qb)
    found.CostRate = 75.0
    found.save(qb=qb)
    assert TimeActivity.get(activity.Id, qb=qb).CostRate == 75.0


def test_attachables(qb, tmp_path):
    vendor = Vendor.all(max_results=1, qb=qb)[0]
    for source in ("note", "path", "bytes"):
        thing, ref = Attachable(), AttachableRef()
        ref.EntityRef = vendor.to_ref()
        thing.AttachableRef.append(ref)
        if source == "note":
            thing.Note = "Test note"
        else:
            (tmp_path / "x.txt").write_bytes(b"content")
            thing.FileName, thing.ContentType = "x.txt", "text/plain"
            if source == "path":
                thing._FilePath = str(tmp_path / "x.txt")
            else:
                thing._FileBytes = b"content"
        thing.save(qb=qb)
        found = Attachable.get(thing.Id, qb=qb)
        assert found.AttachableRef[0].EntityRef.value == vendor.Id
        found.Note = "Note updated"
        found._FilePath, found._FileBytes = "", None
        if source == "note":
            found.save(qb=qb)
            assert Attachable.get(thing.Id, qb=qb).Note == "Note updated"


def test_taxes_currencies_and_the_company(qb, name):
    assert len(TaxRate.all(max_results=1, qb=qb)) == 1
    assert TaxAgency.get(1, qb=qb).Id == "1"
    agency = TaxAgency()
    agency.DisplayName = name
    agency.save(qb=qb)
    assert TaxAgency.get(agency.Id, qb=qb).DisplayName == name
    service, detail = TaxService(), TaxRateDetails()
    service.TaxCode, detail.TaxRateName, detail.RateValue, detail.TaxAgencyId = name, f"{name} rate", 10, "1"
    service.TaxRateDetails.append(detail)
    made = service.save(qb=qb)
    assert (made.TaxCode, made.TaxRateDetails[0].TaxAgencyId, made.TaxRateDetails[0].RateValue) == (name, "1", 10)
    assert CompanyCurrency.get(1, qb=qb).Name == "Canadian Dollar"
    rate = ExchangeRate.where("SourceCurrencyCode = 'EUR'", qb=qb)[0]
    rate.Rate = Decimal("1.5") if isinstance(rate.Rate, Decimal) else 1.5
    assert rate.save(qb=qb).Rate == 1.5
    assert CompanyInfo.get(qb.company_id, qb=qb).Country == "US"
    prefs = Preferences.get(qb=qb)
    assert (prefs.Id, prefs.AccountingInfoPrefs.TaxYearMonth) == ("1", "January")
    assert prefs.ProductAndServicesPrefs.ForPurchase is True
    assert prefs.OtherPrefs.NameValue[0].Name == "SalesFormsPrefs.DefaultCustomerMessage"
    prefs.EmailMessagesPrefs.EstimateMessage.Subject = name
    prefs.save(qb=qb)
    assert Preferences.get(qb=qb).EmailMessagesPrefs.EstimateMessage.Subject == name
