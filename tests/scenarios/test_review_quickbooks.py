"""Credits that users of QuickBooks group with our payments stay where they are."""

from __future__ import annotations

from typing import Any

from tests.scenarios.test_quickbooks import D, QboWorld, lines, world
from tests.scenarios.world import customer, invoice, payment
from tieout.model import Entity


def grouped(w: QboWorld) -> dict[str, Any]:
    """Our payment of 70 on an invoice of 100, which somebody in QuickBooks grouped with a credit of 30."""
    b, books = w.left.books, w.server.books
    ada = b.put(customer("Ada Ltd"))
    inv = b.put(invoice(ada.ref.id, "100.00", lines=lines("100.00"), number="L-1"))
    pay = b.put(payment(ada.ref.id, "70.00", on=((inv.ref.id, "70.00"),), reference="chk 7"))
    w.run()
    [theirs], [bill] = w.qbo("Payment"), w.qbo("Invoice")
    line = {
        "Amount": D("30.00"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}},
    }
    form = {"CustomerRef": theirs["CustomerRef"], "TxnDate": theirs["TxnDate"]}
    credit = books.apply("CreditMemo", "create", {**form, "Line": [line], "DocNumber": "Q-2"})
    links = [("Invoice", bill["Id"], "100.00"), ("CreditMemo", credit["Id"], "30.00")]
    body = {
        k: v for k, v in theirs.items() if k in ("Id", "SyncToken", "TotalAmt", "CustomerRef", "TxnDate", "PrivateNote")
    }
    books.apply(
        "Payment",
        "update",
        {**body, "Line": [{"Amount": D(a), "LinkedTxn": [{"TxnId": i, "TxnType": t}]} for t, i, a in links]},
    )
    for _ in range(2):
        w.run()
    return {"inv": inv, "pay": pay}


def test_a_new_memo_does_not_take_a_credit_out_of_its_group() -> None:
    with world() as w:
        made = grouped(w)
        assert w.left.books.open(Entity.INVOICE, made["inv"].ref.id) == 0
        w.left.books.edit(Entity.PAYMENT, made["pay"].ref.id, memo="banked on Monday")
        w.run()
        [theirs] = w.qbo("Payment")
        assert theirs["PrivateNote"].startswith("banked on Monday")
        assert sorted(str(x["Amount"]) for x in theirs["Line"]) == ["100.00", "30.00"]
        [bill] = w.qbo("Invoice")
        assert D(bill["Balance"]) == 0
        assert w.run().operations == []
        w.server.books.check()
