"""The demo's books: what two clerks entered before the story begins, and what they did in it.

All names and amounts are invented. SAP is where most documents are born; the web shop's are born in QuickBooks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tieout.demo.stage import MONTH_END, Stage

TARGET = Decimal("482310.55")
D = Decimal
_SEED = 20260131
_SAP_CUSTOMERS = (
    "Aldous & Finch Interiors", "Bracken Hill Schools", "Brightwater Clinics", "Canal Street Hotels",
    "Copperline HVAC",
    "Dune Road Surf Co.", "Eastgate Dental Group", "Ferro & Sons Ironworks", "Glenn Park Library",
    "Harbor View Housing",
    "Ives Laboratory", "Juniper Catering", "Kestrel Aviation Services", "Lindqvist Architects", "Marlow Textiles",
    "Northfield Growers", "O'Brien & Daughters", "Pilgrim Coffee Roasters", "Quayside Marine", "Redfern Logistics",
)  # fmt: skip
_SHOP_CUSTOMERS = ("Sable Studio", "Tamarack Bikes", "Umbra Lighting", "Vesper Books", "Wren & Wolfe", "Yarrow Farm")


class Cast:
    """Who entered what. `sap` maps a role of the story to SAP's document number, `shop` to QuickBooks' id."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.books = stage.sap.books
        self.random = random.Random(_SEED)  # noqa: S311  invented amounts
        self.sap: dict[str, str] = {}
        self.shop: dict[str, str] = {}
        self.entered = {"sap": 0, "quickbooks": 0}

    # ── before the story ─────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> None:
        """Two months of ordinary business on both sides, and the documents that the story is about."""
        accounts = [self.books.enter_customer(name, terms="NT30") for name in _SAP_CUSTOMERS]
        clients = [self._qbo("Customer", {"DisplayName": n, "SalesTermRef": {"value": "3"}}) for n in _SHOP_CUSTOMERS]
        self._ordinary_sap(accounts)
        self._ordinary_shop(clients)
        self._roles(accounts, clients)
        self._balance(accounts)

    def _day(self, first: date, last: date) -> date:
        return first + timedelta(days=self.random.randrange((last - first).days + 1))

    def _amount(self, low: int, high: int) -> Decimal:
        return D(self.random.randrange(low * 100, high * 100)) / 100

    def _ordinary_sap(self, accounts: list[str]) -> None:
        b = self.books
        for n in range(150):
            account = accounts[n % len(accounts)]
            day = self._day(date(2025, 12, 1), date(2026, 1, 26))
            net = self._amount(300, 7_400)
            taxed = n % 3 == 0
            tax = (net * D("0.08")).quantize(D("0.01")) if taxed else D(0)
            invoice = b.enter_invoice(
                account, net, on=day, tax=tax, tax_code="I1" if taxed else "O0", reference=f"AR{26000 + n}"
            )
            self.entered["sap"] += 1
            self._settle_sap(n, account, invoice, day)

    def _settle_sap(self, n: int, account: str, invoice: str, day: date) -> None:
        b = self.books
        total = b.document(invoice).amount
        paid = min(day + timedelta(days=self.random.randrange(3, 40)), MONTH_END)
        match n % 10:
            case 0 | 3 | 6:
                b.enter_payment(account, total, on=paid, applications={invoice: total}, reference=f"WIRE {4400 + n}")
            case 4:
                part = (total / 2).quantize(D("0.01"))
                b.enter_payment(account, part, on=paid, applications={invoice: part}, reference=f"ACH {7100 + n}")
            case 8 if n % 20 == 8:
                credit = (total / 5).quantize(D("0.01"))
                b.enter_credit_memo(
                    account, credit, on=paid, tax_code="O0", applications={invoice: credit}, reference=f"CM{900 + n}"
                )
            case _:
                return
        self.entered["sap"] += 1

    def _ordinary_shop(self, clients: list[str]) -> None:
        for n in range(60):
            client = clients[n % len(clients)]
            day = self._day(date(2025, 12, 5), date(2026, 1, 28))
            amount = self._amount(60, 1_900)
            invoice = self._invoice(client, amount, day, f"WEB-{2100 + n}")
            if n % 2 == 0:
                paid = min(day + timedelta(days=self.random.randrange(1, 20)), MONTH_END)
                self._payment(client, amount, paid, f"SHOP {n:03}", (("Invoice", invoice, amount),))

    def _roles(self, accounts: list[str], clients: list[str]) -> None:
        """The documents that will differ; all of them agree until somebody does something."""
        b = self.books
        day = date(2026, 1, 12)
        twice = b.enter_invoice(accounts[2], "3250.00", on=day, tax_code="O0", reference="AR26201")
        self.sap["ach"] = b.enter_payment(
            accounts[2], "3250.00", on=date(2026, 1, 22), applications={twice: "3250.00"}, reference="ACH 558120"
        )
        self.sap["ach_customer"] = accounts[2]
        self.sap["tax"] = b.enter_invoice(
            accounts[4], "6400.00", on=day, tax="512.00", tax_code="I2", reference="AR26202"
        )
        self.sap["write_off"] = b.enter_invoice(accounts[6], "940.00", on=day, tax_code="O0", reference="AR26203")
        self.sap["cutoff"] = b.enter_invoice(accounts[8], "7600.00", on=MONTH_END, tax_code="O0", reference="AR26204")
        applied = b.enter_invoice(accounts[10], "4200.00", on=day, tax_code="O0", reference="AR26205")
        self.sap["applied"] = b.enter_payment(
            accounts[10], "4200.00", on=date(2026, 1, 27), applications={applied: "4200.00"}, reference="WIRE 90311"
        )
        self.sap["december"] = b.enter_invoice(
            accounts[12], "2150.00", on=date(2025, 12, 18), tax_code="O0", reference="AR26206"
        )
        self.entered["sap"] += 8
        check = self._invoice(clients[1], D("1875.00"), date(2026, 1, 8), "WEB-2170")
        self.shop["check"] = self._payment(
            clients[1], D("1875.00"), date(2026, 1, 15), "CHECK 2207", (("Invoice", check, D("1875.00")),)
        )

    def _balance(self, accounts: list[str]) -> None:
        """Ordinary invoices that bring SAP to the story's figure once everything has flowed and happened."""
        coming = D("12480.00") + D("1150.00") + D("2040.00") - D("940.00") - D("2150.00")
        rest = TARGET - coming - self.books.receivables(MONTH_END)["USD"] - self._shop_total()
        n = 0
        while rest > 0:
            part = min(rest, self._amount(2_000, 6_500))
            part = rest if rest - part < 500 else part
            day = self._day(date(2026, 1, 5), date(2026, 1, 29))
            self.books.enter_invoice(accounts[n % 20], part, on=day, tax_code="O0", reference=f"AR{26300 + n}")
            self.entered["sap"] += 1
            rest -= part
            n += 1
        assert rest == 0, f"the invented business is {-rest} too large for the story"

    def _shop_total(self) -> Decimal:
        total = D(0)
        for doc in self.stage.quickbooks.all("Invoice"):
            total += D(doc["TotalAmt"])
        for doc in self.stage.quickbooks.all("Payment"):
            total -= D(doc["TotalAmt"])
        return total

    # ── what people did ──────────────────────────────────────────────────────────────────────────────────────────

    def events(self) -> Iterator[str]:
        """The eight things that make the books differ, each as a line for the programme."""
        b = self.books
        account = b.document(self.sap["december"]).customer
        self.sap["blocked"] = b.enter_invoice(
            self.sap["ach_customer"], "12480.00", on=date(2026, 1, 28), tax_code="R9", reference="AR26401"
        )
        yield "SAP bills 12,480.00 under tax code R9, which nobody mapped"
        self._payment(
            self._mirror("Customer", self.sap["ach_customer"]), D("3250.00"), date(2026, 1, 23), "ACH 558120", ()
        )
        yield "the QuickBooks clerk enters ACH 558120 over 3,250.00 a second time"
        self._returned_check()
        yield "check 2207 over 1,875.00 comes back unpaid; QuickBooks voids it, SAP is not told"
        yield "QuickBooks taxed the 6,400.00 invoice at 8.25 %, SAP at 8.00 % (since it was created)"
        b.write_off(self.sap["write_off"], on=date(2026, 1, 30), text="uncollectable, approved R. Okafor")
        yield "SAP writes off 940.00"
        self._edit("Invoice", self._mirror_doc("Invoice", "AR26204"), {"TxnDate": "2026-02-01"})
        yield "the 7,600.00 invoice of 31 January is re-dated to 1 February in QuickBooks"
        payment = self._find("Payment", "PaymentRefNum", "WIRE 90311")
        self._edit("Payment", payment, {"Line": []})
        yield "the 4,200.00 receipt is unapplied in QuickBooks"
        invoice = self._mirror_doc("Invoice", "AR26206")
        self.stage.quickbooks.apply("Invoice", "void", {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"]})
        b.enter_credit_memo(
            account,
            "2150.00",
            on=date(2026, 1, 20),
            tax_code="O0",
            applications={self.sap["december"]: "2150.00"},
            reference="CM1201",
            text="cancels AR26206",
        )
        yield "the 2,150.00 December invoice is voided in QuickBooks and credited in January in SAP"

    def _returned_check(self) -> None:
        payment = self.stage.quickbooks.find("Payment", self.shop["check"])
        assert payment is not None
        edited = self._edit("Payment", payment, {"PrivateNote": "Check 2207 returned NSF by the bank"})
        self.stage.quickbooks.apply(
            "Payment", "void", {"Id": edited["Id"], "SyncToken": edited["SyncToken"], "sparse": True}
        )

    def late(self) -> None:
        """One more invoice, whose answer will be lost on its way."""
        account = self.sap["ach_customer"]
        self.books.enter_invoice(account, "1150.00", on=date(2026, 1, 29), tax_code="O0", reference="AR26402")

    def backdated(self) -> None:
        """December is closed in QuickBooks; the SAP clerk posts into it all the same."""
        self.stage.quickbooks.close_through(date(2025, 12, 31))
        account = self.sap["ach_customer"]
        self.sap["closed"] = self.books.enter_invoice(
            account, "2040.00", on=date(2025, 12, 30), tax_code="O0", reference="AR26403"
        )

    def corrected(self) -> None:
        """The clerk reverses it and enters it in January."""
        self.books.reverse(self.sap["closed"], on=date(2026, 1, 30))
        account = self.sap["ach_customer"]
        self.books.enter_invoice(account, "2040.00", on=date(2026, 1, 30), tax_code="O0", reference="AR26404")

    def february(self) -> None:
        """One invoice more on either side, after the month end."""
        client = next(d["Id"] for d in self.stage.quickbooks.all("Customer") if d["DisplayName"] == "Vesper Books")
        self._invoice(client, D("640.00"), date(2026, 2, 2), "WEB-2301")
        account = self.sap["ach_customer"]
        self.books.enter_invoice(account, "3300.00", on=date(2026, 2, 3), tax_code="O0", reference="AR26501")

    # ── QuickBooks as a person uses it ───────────────────────────────────────────────────────────────────────────

    def _qbo(self, entity: str, doc: dict[str, Any]) -> str:
        made: str = self.stage.quickbooks.apply(entity, "create", doc)["Id"]
        return made

    def _invoice(self, client: str, amount: Decimal, day: date, number: str) -> str:
        self.entered["quickbooks"] += 1
        return self._qbo(
            "Invoice",
            {
                "CustomerRef": {"value": client},
                "TxnDate": day.isoformat(),
                "DueDate": (day + timedelta(days=30)).isoformat(),
                "DocNumber": number,
                "Line": [
                    {
                        "Amount": amount,
                        "Description": "web order",
                        "DetailType": "SalesItemLineDetail",
                        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}},
                    }
                ],
            },
        )

    def _payment(
        self, client: str, amount: Decimal, day: date, number: str, pays: tuple[tuple[str, str, Decimal], ...]
    ) -> str:
        self.entered["quickbooks"] += 1
        return self._qbo(
            "Payment",
            {
                "CustomerRef": {"value": client},
                "TxnDate": day.isoformat(),
                "TotalAmt": amount,
                "PaymentRefNum": number,
                "PaymentMethodRef": {"value": "2"},
                "Line": [{"Amount": a, "LinkedTxn": [{"TxnId": i, "TxnType": t}]} for t, i, a in pays],
            },
        )

    def _edit(self, entity: str, doc: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        body = {"Id": doc["Id"], "SyncToken": doc["SyncToken"], "sparse": True, **changes}
        if entity == "Payment":
            body |= {"CustomerRef": doc["CustomerRef"], "TotalAmt": doc["TotalAmt"]}
        return self.stage.quickbooks.apply(entity, "update", body)

    def _find(self, entity: str, field: str, value: str) -> dict[str, Any]:
        found = [d for d in self.stage.quickbooks.all(entity) if d.get(field) == value]
        assert len(found) == 1, f"{entity} {field}={value}: {len(found)}"
        return found[0]

    def _mirror_doc(self, entity: str, number: str) -> dict[str, Any]:
        return self._find(entity, "DocNumber", number)

    def _mirror(self, entity: str, account: str) -> str:
        name = self.books.customers[account].name
        id_: str = self._find(entity, "DisplayName", name)["Id"]
        return id_
