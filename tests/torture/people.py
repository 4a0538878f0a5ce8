"""What people do in both sets of books while tieout runs and dies: seeded, and written down, so that nothing is missed.

They pay an invoice in one of the two only, and cancel none that the others took money for: what people do against each
other is a conflict, which is listed for them and the business of other tests.

Every document has a reference and an amount of its own, so that each effect on either side can be told from any other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.sandbox.file_erp import BooksError, FileErp
from tieout.sandbox.quickbooks import Books, Refused

D = Decimal
DAY = date(2026, 1, 15)
SALE = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}


@dataclass
class People:
    """The clerks of both companies. `born`: reference → (kind, amount) of everything that stands."""

    random: random.Random
    erp: FileErp
    books: Books
    born: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    paid_there: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    count: int = 0
    tell: Callable[[str], None] = print

    def begin(self) -> None:
        for _ in range(2):
            self.erp_customer()
            self.qbo_customer()
        for act in (self.erp_invoice, self.erp_invoice, self.erp_payment, self.qbo_invoice, self.qbo_payment):
            act()

    def act(self) -> str:
        """One of them does one thing, or finds that it cannot be done and has a coffee."""
        common = [self.erp_invoice, self.qbo_invoice, self.erp_payment, self.qbo_payment]
        rare = [
            self.erp_customer, self.qbo_customer, self.erp_credit, self.qbo_credit, self.erp_apply, self.qbo_apply,
            self.erp_reverse, self.qbo_void, self.qbo_pays_theirs,
        ]  # fmt: skip
        chosen = self.random.choice(common * 2 + rare)
        try:
            done = f"{chosen.__name__}: {chosen()}"
        except (BooksError, Refused) as refused:
            done = f"{chosen.__name__}: refused, {refused}"
        self.done.append(done)
        self.tell(done)
        return done

    def _new(self, side: str, kind: str) -> tuple[str, Decimal]:
        """A reference and an amount that nothing else has."""
        self.count += 1
        number = f"{side}{kind[0].upper()}-{self.count:04}"
        amount = D(self.random.randrange(40, 900)) + D(self.count % 100) / 100
        self.born[number] = (kind, amount)
        return number, amount

    def _any(self, found: list[Any]) -> Any:
        if not found:
            raise BooksError("nothing to do")
        return self.random.choice(found)

    # ── the ERP ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _own(self, *types: str) -> list[Any]:
        """The ERP's own standing documents of these types."""
        mine = (d for d in self.erp.books.documents.values() if d.reference.startswith("E"))
        return [d for d in mine if d.type in types and not d.reversed_on]

    def erp_customer(self) -> str:
        self.count += 1
        name = f"Kunde {self.count} GmbH"
        self.names.add(name)
        account = self.erp.books.enter_customer(name)
        self.erp.save()
        return account

    def _account(self) -> str:
        return str(self._any([a for a, c in self.erp.books.customers.items() if c.name.startswith("Kunde")]))

    def erp_invoice(self) -> str:
        account = self._account()
        number, amount = self._new("E", "invoice")
        self.erp.books.enter_invoice(account, amount, on=DAY, tax_code="O0", reference=number)
        self.erp.save()
        return number

    def _open(self) -> Any:
        balances = self.erp.books.balances(date(2026, 12, 31))
        mine = [d for d in self._own("RV") if d.reference not in self.paid_there]
        return self._any([(d, balances[d.number]) for d in mine if balances.get(d.number, D(0)) > 1])

    def _part(self, whole: Decimal) -> Decimal:
        return whole if self.random.random() < 0.4 else (whole / self.random.choice((2, 3))).quantize(D("0.01"))

    def erp_payment(self) -> str:
        invoice, left = self._open()
        part = self._part(left)
        number, _ = self._new("E", "payment")
        amount = part + self.random.choice((0, 0, 5))
        self.born[number] = ("payment", amount)
        self.erp.books.enter_payment(
            invoice.customer, amount, on=DAY, applications={invoice.number: part}, reference=number
        )
        self.erp.save()
        return number

    def erp_credit(self) -> str:
        account = self._account()
        number, amount = self._new("E", "credit")
        self.erp.books.enter_credit_memo(account, amount, on=DAY, tax_code="O0", reference=number)
        self.erp.save()
        return number

    def erp_apply(self) -> str:
        """An amount on account is applied to an open invoice of the same customer."""
        invoice, left = self._open()
        balances = self.erp.books.balances(date(2026, 12, 31))
        sources = [
            d for d in self._own("DZ", "DG") if d.customer == invoice.customer and balances.get(d.number, D(0)) > 1
        ]
        source = self._any([s for s in sources if all(a.invoice != invoice.number for a in s.applications)])
        amount = min(left, balances[source.number])
        self.erp.books.apply(source.number, invoice.number, amount, on=DAY)
        self.erp.save()
        return f"{source.reference} to {invoice.reference}"

    def erp_reverse(self) -> str:
        used = {a.invoice for d in self.erp.books.documents.values() for a in d.applications if not a.reversed_on}
        free = [d for d in self._own("RV") if d.number not in used and d.reference not in self.paid_there]
        invoice = self._any(free)
        self.erp.books.reverse(invoice.number, on=DAY)
        self.born.pop(invoice.reference, None)
        self.erp.save()
        return str(invoice.reference)

    # ── QuickBooks ───────────────────────────────────────────────────────────────────────────────────────────────

    def _make(self, entity: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self.books.apply(entity, "create", body)
        return made

    def _theirs(self, entity: str, field: str = "DocNumber") -> list[dict[str, Any]]:
        """QuickBooks' own standing documents."""
        found = [d for d in self.books.all(entity) if str(d.get(field, "")).startswith("Q")]
        return [d for d in found if D(d["TotalAmt"]) > 0]

    def qbo_customer(self) -> str:
        self.count += 1
        name = f"Client {self.count} Ltd"
        self.names.add(name)
        return str(self._make("Customer", {"DisplayName": name})["Id"])

    def _client(self) -> str:
        return str(self._any([c["Id"] for c in self.books.all("Customer") if c["DisplayName"].startswith("Client")]))

    def _sale(self, entity: str, kind: str) -> str:
        client = self._client()
        number, amount = self._new("Q", kind)
        line = {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": SALE}
        body = {"CustomerRef": {"value": client}, "Line": [line], "DocNumber": number, "TxnDate": str(DAY)}
        self._make(entity, body)
        return number

    def qbo_invoice(self) -> str:
        return self._sale("Invoice", "invoice")

    def qbo_credit(self) -> str:
        return self._sale("CreditMemo", "credit")

    def _pay(self, invoice: dict[str, Any], prefix: str) -> str:
        part = self._part(D(invoice["Balance"]))
        number, _ = self._new(prefix, "payment")
        self.born[number] = ("payment", part)
        link = {"Amount": part, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        body = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": part, "TxnDate": str(DAY), "Line": [link]}
        self._make("Payment", body | {"PaymentRefNum": number})
        return number

    def qbo_payment(self) -> str:
        return self._pay(self._any([d for d in self._theirs("Invoice") if D(d["Balance"]) > 1]), "Q")

    def qbo_pays_theirs(self) -> str:
        """A clerk of QuickBooks enters money for an invoice that the ERP made, where nothing was paid yet."""
        paid = {a.invoice for d in self.erp.books.documents.values() for a in d.applications if a.reversed_on is None}
        free = {d.reference for d in self._own("RV") if d.number not in paid}
        mirrors = [d for d in self.books.all("Invoice") if d.get("DocNumber") in free]
        mirror = self._any([d for d in mirrors if D(d["Balance"]) == D(d["TotalAmt"]) > 1])
        self.paid_there.add(mirror["DocNumber"])
        return self._pay(mirror, "QX")

    def qbo_apply(self) -> str:
        """A payment is moved to another invoice of the same customer."""
        payments = self._theirs("Payment", "PaymentRefNum")
        payment = self._any([p for p in payments if not str(p["PaymentRefNum"]).startswith("QX")])
        client, amount = payment["CustomerRef"], D(payment["TotalAmt"])
        fitting = [d for d in self._theirs("Invoice") if d["CustomerRef"] == client and D(d["Balance"]) >= amount]
        invoice = self._any(fitting)
        line = {"Amount": amount, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        kept = {k: payment[k] for k in ("Id", "SyncToken", "CustomerRef", "TotalAmt", "TxnDate", "PaymentRefNum")}
        self.books.apply("Payment", "update", kept | {"Line": [line]})
        return f"{payment['PaymentRefNum']} to {invoice['DocNumber']}"

    def qbo_void(self) -> str:
        unpaid = [d for d in self._theirs("Invoice") if D(d["Balance"]) == D(d["TotalAmt"])]
        invoice = self._any(unpaid)
        self.books.apply("Invoice", "void", {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"]})
        self.born.pop(invoice["DocNumber"], None)
        return str(invoice["DocNumber"])
