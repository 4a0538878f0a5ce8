"""The books of the file ERP: accounts receivable as an SAP-like system keeps them, and what its users do to them.

Amounts are positive `Decimal`s in document currency; the document type carries the sign. Every act lands in
`effects`, the ground truth that tests read and no connector sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tieout.errors import TieoutError

ZERO = Decimal(0)
# First number of each document type's range.
RANGES = {
    "RV": 90000000,
    "DR": 1800000000,
    "DG": 1600000000,
    "DZ": 1400000000,
    "DA": 1200000000,
    "WO": 1300000000,
    "AB": 100000000,
}
DEBIT_TYPES = frozenset({"RV", "DR"})


class BooksError(TieoutError):
    """The ERP refuses: closed period, unknown customer, more applied than open …"""


@dataclass
class Customer:
    account: str
    name: str
    currency: str
    email: str = ""
    phone: str = ""
    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    terms: str = ""
    tax_id: str = ""
    our_reference: str = ""
    active: bool = True


@dataclass
class Application:
    """Part of a credit-side document set against an invoice. Counts from `on`, no longer from `reversed_on`."""

    invoice: str
    amount: Decimal
    on: date
    reversed_on: date | None = None

    def stands(self, as_of: date) -> bool:
        return self.on <= as_of and (self.reversed_on is None or self.reversed_on > as_of)


@dataclass
class Document:
    """type: RV, DR invoices · DG credit memos · DZ payments · WO write-offs · DA other adjustments.

    kind: of an adjustment · debit: it raises receivables
    reference: the number people read (XBLNR) · assignment: free sort key (ZUONR) · our_reference: the importer's own
    settled_on: a settlement that the books state without a payment · reversed_on: no effect from then
    """

    number: str
    type: str
    customer: str
    amount: Decimal
    currency: str
    document_date: date
    posting_date: date
    company_code: str
    debit: bool
    due: date | None = None
    reference: str = ""
    assignment: str = ""
    our_reference: str = ""
    text: str = ""
    kind: str = ""
    tax: Decimal = ZERO
    tax_code: str = ""
    concerns: str = ""
    method: str = ""
    disputed: bool = False
    settled_on: date | None = None
    reversed_on: date | None = None
    reversed_with: str = ""
    applications: list[Application] = field(default_factory=list)

    @property
    def fiscal_year(self) -> int:
        return self.posting_date.year

    @property
    def is_invoice(self) -> bool:
        return self.type in DEBIT_TYPES

    def signed(self) -> Decimal:
        """What it does to receivables: positive raises them."""
        return self.amount if self.debit else -self.amount

    def applied(self, as_of: date) -> Decimal:
        return sum((a.amount for a in self.applications if a.stands(as_of)), ZERO)


class Books:
    """One company code's receivables. Methods are what a clerk does; each returns the number it made or changed."""

    def __init__(self, *, company_code: str = "1000", name: str = "Falke Tools AG", currency: str = "USD") -> None:
        self.company_code, self.name, self.currency = company_code, name, currency
        self.customers: dict[str, Customer] = {}
        self.documents: dict[str, Document] = {}
        self.closed_through: date | None = None
        self.effects: list[dict[str, str]] = []
        self.loaded: dict[str, str] = {}
        self.last_sequence = 0
        self.exports = 0
        self._next = dict(RANGES) | {"account": 100001}

    # -- customers

    def enter_customer(
        self, name: str, *, account: str | None = None, currency: str | None = None, by: str = "user", **more: Any
    ) -> str:
        """A new customer; the account number is the ERP's own unless given. `more`: fields of `Customer`."""
        account = account or self._take("account")
        if account in self.customers:
            raise BooksError(f"account {account} already exists")
        self.customers[account] = Customer(account, name, currency or self.currency, **more)
        self._log("customer entered", account, by=by, our_reference=self.customers[account].our_reference)
        return account

    def change_customer(self, account: str, *, by: str = "user", **changes: Any) -> str:
        customer = self._customer(account)
        for key, value in changes.items():
            setattr(customer, key, value)
        self._log("customer changed", account, by=by, fields=",".join(changes))
        return account

    # -- documents

    def enter_invoice(
        self,
        customer: str,
        net: Decimal | str,
        *,
        on: date,
        due: date | None = None,
        tax: Decimal | str = ZERO,
        type: str = "RV",
        terms_days: int = 30,
        **more: Any,
    ) -> str:
        """An invoice of net + tax. `more`: posting_date, number, reference, text, tax_code, currency, assignment …"""
        tax = Decimal(tax)
        due = due or on + timedelta(days=terms_days)
        return self._enter(type, customer, Decimal(net) + tax, on, debit=True, due=due, tax=tax, **more)

    def enter_credit_memo(
        self,
        customer: str,
        net: Decimal | str,
        *,
        on: date,
        tax: Decimal | str = ZERO,
        applications: Mapping[str, Decimal | str] | None = None,
        **more: Any,
    ) -> str:
        """A credit memo of net + tax. `applications`: invoice number → amount."""
        tax = Decimal(tax)
        return self._enter(
            "DG", customer, Decimal(net) + tax, on, debit=False, tax=tax, applications=applications, **more
        )

    def enter_payment(
        self,
        customer: str,
        amount: Decimal | str,
        *,
        on: date,
        applications: Mapping[str, Decimal | str] | None = None,
        method: str = "wire",
        **more: Any,
    ) -> str:
        """Money received; what `applications` (invoice number → amount) leave over stays on account."""
        return self._enter(
            "DZ", customer, Decimal(amount), on, debit=False, applications=applications, method=method, **more
        )

    def enter_adjustment(
        self,
        customer: str,
        amount: Decimal | str,
        *,
        on: date,
        kind: str,
        debit: bool = False,
        invoice: str = "",
        **more: Any,
    ) -> str:
        """Anything else that moves receivables; `invoice` is the number of the document it concerns, if one."""
        if invoice:
            self._room(invoice, Decimal(amount), on, debit=debit)
        type = "WO" if kind == "write_off" else "DA"
        return self._enter(type, customer, Decimal(amount), on, debit=debit, kind=kind, concerns=invoice, **more)

    def write_off(self, invoice: str, amount: Decimal | str | None = None, *, on: date, text: str = "Write-off") -> str:
        """Give up an invoice's open amount, or part of it."""
        doc = self.document(invoice)
        value = self.open(invoice, on) if amount is None else Decimal(amount)
        return self.enter_adjustment(
            doc.customer, value, on=on, kind="write_off", invoice=invoice, text=text, currency=doc.currency
        )

    def apply(self, source: str, invoice: str, amount: Decimal | str, *, on: date, by: str = "user") -> str:
        """Set part of a payment or credit memo against an invoice."""
        doc, value = self.document(source), Decimal(amount)
        self.require_open(on)
        if value <= 0 or value > doc.amount - self._standing(doc):
            raise BooksError(f"{source} has not {value} left to apply")
        self._room(invoice, value, on)
        doc.applications.append(Application(invoice, value, on))
        self._log("applied", source, by=by, invoice=invoice, amount=str(value), our_reference=doc.our_reference)
        return source

    def unapply(self, source: str, invoice: str, *, on: date) -> str:
        """Take back every standing application of the document to that invoice, from `on`."""
        self.require_open(on)
        found = [a for a in self.document(source).applications if a.invoice == invoice and a.reversed_on is None]
        if not found:
            raise BooksError(f"{source} is not applied to {invoice}")
        for application in found:
            application.reversed_on = on
        self._log("unapplied", source, invoice=invoice)
        return source

    def reset(self, source: str, invoice: str, amount: Decimal | str, *, by: str = "user") -> str:
        """Undo the clearing of that amount as if it had never been; all that stands between the two, or nothing."""
        found = [a for a in self.document(source).applications if a.invoice == invoice and a.reversed_on is None]
        stands = sum((a.amount for a in found), ZERO)
        if not found or stands != Decimal(amount):
            raise BooksError(f"{source} is applied to {invoice} with {stands}, not {amount}")
        for application in found:
            self.require_open(application.on)
            application.reversed_on = application.on
        self._log("reset", source, by=by, invoice=invoice, amount=str(amount))
        return source

    def reverse(self, number: str, *, on: date, by: str = "user") -> str:
        """Cancel a document from `on`; its own applications fall, an invoice must be free of others'."""
        doc = self.document(number)
        self.require_open(on)
        if doc.reversed_on:
            raise BooksError(f"{number} is already reversed")
        others = (a for d in self.documents.values() if not d.reversed_on for a in d.applications)
        if any(a.invoice == number and a.reversed_on is None for a in others):
            raise BooksError(f"{number} has payments; unapply them first")
        for application in doc.applications:
            application.reversed_on = application.reversed_on or on
        doc.reversed_on, doc.reversed_with = on, self._take("AB")
        self._log("reversed", number, by=by, amount=str(doc.amount), with_=doc.reversed_with)
        return number

    def change(self, number: str, *, by: str = "user", **changes: Any) -> str:
        """Change fields of a document in place (text, due, amount, tax …), as a careless user would."""
        doc = self.document(number)
        for key, value in changes.items():
            if key not in {f.name for f in fields(Document)}:
                raise BooksError(f"a document has no {key}")
            setattr(doc, key, value)
        self._log("changed", number, by=by, fields=",".join(changes))
        return number

    def close(self, through: date) -> None:
        """Close the books through that day, inclusive."""
        self.closed_through = through

    # -- questions

    def document(self, number: str) -> Document:
        if number not in self.documents:
            raise BooksError(f"no document {number}")
        return self.documents[number]

    def open(self, number: str, as_of: date) -> Decimal:
        """What is open of one document as of a day; zero if it has no effect by then."""
        self.document(number)
        return self.balances(as_of).get(number, ZERO)

    def unpaid(self, number: str) -> Decimal:
        """What is open of one document when everything posted so far counts."""
        return self.open(number, max(d.posting_date for d in self.documents.values()))

    def balances(self, as_of: date) -> dict[str, Decimal]:
        """Open amount by document number, positive: an invoice's balance, the unapplied rest of a credit.

        Documents without effect as of the day (not yet posted, reversed, settled) are absent. An adjustment that
        concerns a document moves that document's balance and has none of its own. What was applied to an invoice
        before somebody called it settled is used up.
        """
        live = {d.number: d for d in self.documents.values() if self.counts(d, as_of)}
        left = {number: ZERO if d.concerns else d.amount for number, d in live.items()}
        for doc in live.values():
            if doc.concerns in left:
                left[doc.concerns] += doc.signed()
            for application in doc.applications:
                if not application.stands(as_of):
                    continue
                if application.invoice in left:
                    left[application.invoice] -= application.amount
                if application.invoice in left or self._settled(application.invoice, as_of):
                    left[doc.number] -= application.amount
        return left

    def _settled(self, number: str, as_of: date) -> bool:
        doc = self.documents.get(number)
        return doc is not None and doc.settled_on is not None and doc.settled_on <= as_of

    @staticmethod
    def counts(doc: Document, as_of: date) -> bool:
        """Whether the document moves receivables as of the day."""
        gone = (doc.reversed_on and doc.reversed_on <= as_of) or (doc.settled_on and doc.settled_on <= as_of)
        return doc.posting_date <= as_of and not gone

    def receivables(self, as_of: date) -> dict[str, Decimal]:
        """Open receivables per currency: the control account."""
        totals: dict[str, Decimal] = {}
        for doc in self.documents.values():
            if self.counts(doc, as_of):
                totals[doc.currency] = totals.get(doc.currency, ZERO) + doc.signed()
                used = (a for a in doc.applications if a.stands(as_of) and self._settled(a.invoice, as_of))
                totals[doc.currency] += sum((a.amount for a in used), ZERO)
        return totals

    def with_reference(self, our_reference: str) -> list[str]:
        """Numbers and accounts that carry the importer's reference: two of them are a duplicate."""
        documents = [d.number for d in self.documents.values() if d.our_reference == our_reference]
        return documents + [c.account for c in self.customers.values() if c.our_reference == our_reference]

    # -- inside

    def _enter(
        self,
        type: str,
        customer: str,
        amount: Decimal,
        on: date,
        *,
        posting_date: date | None = None,
        number: str | None = None,
        currency: str | None = None,
        applications: Mapping[str, Decimal | str] | None = None,
        by: str = "user",
        **more: Any,
    ) -> str:
        known = self._customer(customer)
        posted = posting_date or on
        self.require_open(posted)
        if amount < 0:
            raise BooksError("amounts are positive; the document type carries the sign")
        shares = {invoice: Decimal(value) for invoice, value in (applications or {}).items()}
        if sum(shares.values(), ZERO) > amount:
            raise BooksError(f"applications exceed the amount {amount}")
        for invoice, value in shares.items():
            self._room(invoice, value, posted)
        if number in self.documents:
            raise BooksError(f"number {number} already exists")
        number = number or self._take(type)
        doc = Document(
            number, type, customer, amount, currency or known.currency, on, posted, self.company_code, **more
        )
        doc.reference = doc.reference or number
        doc.applications = [Application(invoice, value, posted) for invoice, value in shares.items()]
        self.documents[number] = doc
        self._log(f"{type} entered", number, by=by, amount=str(amount), our_reference=doc.our_reference)
        return number

    def _customer(self, account: str) -> Customer:
        if account not in self.customers:
            raise BooksError(f"no customer {account}")
        return self.customers[account]

    def require_open(self, day: date) -> None:
        """Raises BooksError for a day in a closed period."""
        if self.closed_through and day <= self.closed_through:
            raise BooksError(f"posting date {day} lies in a closed period (closed through {self.closed_through})")

    def _room(self, invoice: str, amount: Decimal, on: date, *, debit: bool = False) -> None:
        doc = self.document(invoice)
        if not doc.is_invoice:
            raise BooksError(f"{invoice} is no invoice")
        latest = max([on, doc.posting_date, *(d.posting_date for d in self.documents.values())])
        if not debit and amount > self.open(invoice, latest):
            raise BooksError(f"{amount} exceeds the open amount {self.open(invoice, latest)} of {invoice}")

    @staticmethod
    def _standing(doc: Document) -> Decimal:
        return sum((a.amount for a in doc.applications if a.reversed_on is None), ZERO)

    def _take(self, range_: str) -> str:
        while True:
            number = str(self._next[range_])
            self._next[range_] += 1
            if number not in self.documents and number not in self.customers:
                return number

    def _log(self, what: str, document: str, *, by: str = "user", **more: str) -> None:
        entry = {"n": str(len(self.effects) + 1), "what": what, "document": document, "by": by}
        self.effects.append(entry | {k.rstrip("_"): v for k, v in more.items() if v})

    # -- keeping

    def as_json(self) -> dict[str, Any]:
        """The books as JSON-ready data: dates as ISO text, amounts as decimal text."""
        own = {k: v for k, v in vars(self).items() if k not in {"customers", "documents"}}
        kept = own | {
            "customers": [asdict(c) for c in self.customers.values()],
            "documents": [asdict(d) for d in self.documents.values()],
        }
        return _plain(kept)  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Books:
        """The books that `as_json` wrote."""
        books = cls()
        for key in ("company_code", "name", "currency", "effects", "loaded", "last_sequence", "exports", "_next"):
            setattr(books, key, data[key])
        books.closed_through = _day(data["closed_through"])
        books.customers = {c["account"]: Customer(**c) for c in data["customers"]}
        for raw in data["documents"]:
            more = {k: Decimal(raw[k]) for k in ("amount", "tax")}
            days = ("document_date", "posting_date", "due", "settled_on", "reversed_on")
            more |= {k: _day(raw[k]) for k in days}  # type: ignore[misc]
            applied = [
                Application(a["invoice"], Decimal(a["amount"]), date.fromisoformat(a["on"]), _day(a["reversed_on"]))
                for a in raw["applications"]
            ]
            books.documents[raw["number"]] = Document(**(raw | more | {"applications": applied}))
        return books


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
