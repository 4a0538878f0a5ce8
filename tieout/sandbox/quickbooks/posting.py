"""What each document posts: journal lines that sum to zero, and the open items it leaves on customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from . import lists, payments
from .encode import ZERO, Doc, cents
from .ledger import DoubleEntry, Key, Posting

if TYPE_CHECKING:
    from .books import Books

Opens = dict[str, Decimal]
INCOME, TAX_PAYABLE, DISCOUNTS, UNDEPOSITED, EQUITY = "1", "89", "86", "4", "2"
PAYABLE, EXPENSE, EXCHANGE, BANK = "33", "7", "88", "35"


def of(books: Books, entity: str, id: str) -> tuple[list[Posting], Opens, str]:
    """The document's postings, its open amounts by customer (charges positive), and its currency."""
    home = lists.home(books)
    if entity == "Customer":
        amount = books.opening.get(id, ZERO)
        lines = _pair(books, receivable_account(books, home), EQUITY, amount, home) if amount else []
        return lines, {id: amount}, home
    doc = books.doc(entity, id)
    rule = _RULES.get(entity)
    if doc is None or rule is None:
        return [], {}, home
    currency = doc.get("CurrencyRef", {}).get("value", home)
    journal = _Journal(books, currency, Decimal(doc.get("ExchangeRate", 1)))
    opens = rule(journal, doc)
    return journal.balanced(), opens, currency


class _Journal:
    """Collects lines in the document's currency; what rounding leaves goes to the exchange account."""

    def __init__(self, books: Books, currency: str, rate: Decimal) -> None:
        self.books, self.currency, self.rate = books, currency, rate
        self.lines: list[Posting] = []

    def add(self, account: str, amount: Decimal, home: Decimal | None = None) -> None:
        """A line, debit positive; `home` where it is not the amount at the document's rate."""
        if amount or home:
            value = cents(amount * self.rate) if home is None else home
            self.lines.append(Posting(account, value, amount, self.currency))

    def receivable(self, amount: Decimal, home: Decimal | None = None) -> None:
        account = receivable_account(self.books, self.currency)
        value = cents(amount * self.rate) if home is None else home
        if amount or value:
            self.lines.append(Posting(account, value, amount, self.currency, receivable=True))

    def balanced(self) -> list[Posting]:
        left = sum((line.home for line in self.lines), ZERO)
        if left:
            self.lines.append(Posting(EXCHANGE, -left, ZERO, self.currency))
        return self.lines


def receivable_account(books: Books, currency: str) -> str:
    """The A/R account of a currency."""
    for id, row in books.tables["Account"].items():
        if row.doc.get("AccountType") == "Accounts Receivable":
            code = row.doc.get("CurrencyRef", {}).get("value", "USD")
            if code == currency and row.doc.get("Active", True):
                return id
    return "84"


def _pair(books: Books, debit: str, credit: str, amount: Decimal, currency: str) -> list[Posting]:
    del books
    return [
        Posting(debit, amount, amount, currency, receivable=True),
        Posting(credit, -amount, -amount, currency),
    ]


def _number(doc: Doc, field: str) -> Decimal:
    return Decimal(doc.get(field, 0))


def _ref(doc: Doc, field: str, otherwise: str) -> str:
    return str(doc.get(field, {}).get("value", otherwise))


def _form(journal: _Journal, doc: Doc, sign: int) -> None:
    """The income, discount and tax side of a sales form; sign 1 where it earns."""
    books = journal.books
    for line in doc.get("Line", ()):
        kind = line["DetailType"]
        if kind == "DiscountLineDetail":
            journal.add(_ref(line[kind], "DiscountAccountRef", DISCOUNTS), sign * _number(line, "Amount"))
        elif kind != "SubTotalLineDetail":
            item = books.doc("Item", _ref(line.get(kind, {}), "ItemRef", "1")) or {}
            journal.add(_ref(item, "IncomeAccountRef", INCOME), -sign * _number(line, "Amount"))
    journal.add(TAX_PAYABLE, -sign * _number(doc.get("TxnTaxDetail", {}), "TotalTax"))


def _invoice(journal: _Journal, doc: Doc) -> Opens:
    deposit, total = _number(doc, "Deposit"), _number(doc, "TotalAmt")
    journal.receivable(total - deposit)
    journal.add(_ref(doc, "DepositToAccountRef", UNDEPOSITED), deposit)
    _form(journal, doc, 1)
    return {doc["CustomerRef"]["value"]: _number(doc, "Balance")}


def _credit(journal: _Journal, doc: Doc) -> Opens:
    journal.receivable(-_number(doc, "TotalAmt"))
    _form(journal, doc, -1)
    return {doc["CustomerRef"]["value"]: -_number(doc, "Balance")}


def _payment(journal: _Journal, doc: Doc) -> Opens:
    """Applied parts leave A/R at the rate they entered it; the difference is a realised gain or loss."""
    total, customer = _number(doc, "TotalAmt"), doc["CustomerRef"]["value"]
    home = cents(_number(doc, "UnappliedAmt") * journal.rate)
    for key, amount in payments.applications(doc).items():
        rate = Decimal((journal.books.doc(*key) or {}).get("ExchangeRate", 1))
        home += cents(amount * rate) * (-1 if payments.is_credit(journal.books, key, customer) else 1)
    journal.receivable(-total, -home)
    journal.add(_ref(doc, "DepositToAccountRef", UNDEPOSITED), total)
    return {customer: -_number(doc, "UnappliedAmt")}


def _sale(journal: _Journal, doc: Doc) -> Opens:
    journal.add(_ref(doc, "DepositToAccountRef", UNDEPOSITED), _number(doc, "TotalAmt"))
    _form(journal, doc, 1)
    return {}


def _refund(journal: _Journal, doc: Doc) -> Opens:
    journal.add(_ref(doc, "DepositToAccountRef", BANK), -_number(doc, "TotalAmt"))
    _form(journal, doc, -1)
    return {}


def journal_receivable(doc: Doc, books: Books) -> Opens:
    """What the lines of a journal entry post to A/R, by customer, debits positive."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in doc.get("Line", ()):
        detail = line.get("JournalEntryLineDetail", {})
        account = books.doc("Account", _ref(detail, "AccountRef", "")) or {}
        if account.get("AccountType") == "Accounts Receivable":
            sign = 1 if detail.get("PostingType") == "Debit" else -1
            sums[detail.get("Entity", {}).get("EntityRef", {}).get("value", "")] += sign * _number(line, "Amount")
    return dict(sums)


def _entry(journal: _Journal, doc: Doc) -> Opens:
    books = journal.books
    for line in doc.get("Line", ()):
        detail = line.get("JournalEntryLineDetail", {})
        amount = _number(line, "Amount") * (1 if detail.get("PostingType") == "Debit" else -1)
        account = books.doc("Account", _ref(detail, "AccountRef", "")) or {}
        if account.get("AccountType") == "Accounts Receivable":
            journal.receivable(amount)
        elif detail:
            journal.add(_ref(detail, "AccountRef", EXPENSE), amount)
    opens = journal_receivable(doc, books)
    used = books.applied.get(("JournalEntry", doc["Id"]), {})
    for id, amount in used.items():
        customer = books.tables["Payment"][id].doc["CustomerRef"]["value"]
        opens[customer] = opens.get(customer, ZERO) - (amount if opens.get(customer, ZERO) > 0 else -amount)
    return opens


def _deposit(journal: _Journal, doc: Doc) -> Opens:
    opens: defaultdict[str, Decimal] = defaultdict(Decimal)
    books = journal.books
    for line in doc.get("Line", ()):
        amount, detail = _number(line, "Amount"), line.get("DepositLineDetail", {})
        account = _ref(detail, "AccountRef", UNDEPOSITED)
        if (books.doc("Account", account) or {}).get("AccountType") == "Accounts Receivable":
            journal.receivable(-amount)
            opens[_ref(detail, "Entity", "")] -= amount
        else:
            journal.add(account, -amount)
    cash = doc.get("CashBack", {})
    journal.add(_ref(cash, "AccountRef", BANK), _number(cash, "Amount"))
    journal.add(_ref(doc, "DepositToAccountRef", BANK), _number(doc, "TotalAmt"))
    return dict(opens)


def _expense_lines(journal: _Journal, doc: Doc, sign: int) -> None:
    for line in doc.get("Line", ()):
        detail = line.get(line.get("DetailType", ""), {})
        if isinstance(detail, dict) and "LinkedTxn" not in line:
            journal.add(_ref(detail, "AccountRef", EXPENSE), sign * cents(_number(line, "Amount")))


def _bill(journal: _Journal, doc: Doc) -> Opens:
    _expense_lines(journal, doc, 1)
    journal.add(_ref(doc, "APAccountRef", PAYABLE), -_number(doc, "TotalAmt"))
    return {}


def _purchase(journal: _Journal, doc: Doc) -> Opens:
    _expense_lines(journal, doc, 1)
    journal.add(_ref(doc, "AccountRef", BANK), -_number(doc, "TotalAmt"))
    return {}


def _bill_payment(journal: _Journal, doc: Doc) -> Opens:
    check = doc.get("CheckPayment", {})
    journal.add(PAYABLE, _number(doc, "TotalAmt"))
    journal.add(_ref(check, "BankAccountRef", BANK), -_number(doc, "TotalAmt"))
    return {}


def _transfer(journal: _Journal, doc: Doc) -> Opens:
    journal.add(_ref(doc, "ToAccountRef", BANK), cents(_number(doc, "Amount")))
    journal.add(_ref(doc, "FromAccountRef", BANK), -cents(_number(doc, "Amount")))
    return {}


_RULES = {
    "Invoice": _invoice,
    "CreditMemo": _credit,
    "Payment": _payment,
    "SalesReceipt": _sale,
    "RefundReceipt": _refund,
    "JournalEntry": _entry,
    "Deposit": _deposit,
    "Bill": _bill,
    "Purchase": _purchase,
    "BillPayment": _bill_payment,
    "Transfer": _transfer,
}


def audit(books: Books) -> None:
    """Recomputes everything from the documents and compares it with what is kept. Raises AssertionError."""
    books.verify()
    fresh = DoubleEntry()
    applied: defaultdict[Key, dict[str, Decimal]] = defaultdict(dict)
    for id, row in books.tables["Payment"].items():
        for key, amount in payments.applications(row.doc).items():
            applied[key][id] = amount
    assert {k: v for k, v in books.applied.items() if v} == dict(applied), "applications and payments differ"
    for entity in ("Customer", *_RULES):
        for id, row in books.tables[entity].items():
            assert payments.settle(books, (entity, id), row.doc) is row.doc, f"{entity} {id}: balance or links"
            postings, opens, currency = of(books, entity, id)
            fresh.post((entity, id), postings)
            fresh.hold((entity, id), opens, currency)
    fresh.verify()
    _same("account", fresh.accounts.items(), books.ledger.accounts.items())
    _same("customer", fresh.customers.items(), books.ledger.customers.items())
    assert sum(fresh.accounts.values(), ZERO) == 0, "the trial balance is not zero"
    for id, row in books.tables["Invoice"].items():
        assert Decimal(row.doc["Balance"]) >= 0, f"Invoice {id}: negative balance"


def _same(what: str, left: Iterable[tuple[str, Decimal]], right: Iterable[tuple[str, Decimal]]) -> None:
    a, b = {k: v for k, v in left if v}, {k: v for k, v in right if v}
    assert a == b, f"{what} balances: recomputed {a}, kept {b}"
