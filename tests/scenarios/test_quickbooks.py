"""QuickBooks over HTTP on the right, books in memory on the left: the real connector, the real engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.world import DAY, WIDE, credit_memo, customer, invoice, payment
from tieout.connectors.http import Pace, Transport
from tieout.connectors.memory import ManualClock, open_books
from tieout.connectors.quickbooks import open_quickbooks
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.model import Entity, Line
from tieout.sandbox import quickbooks as qbo
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.store import open_store

D = Decimal
LATE = date(2026, 12, 31)


class Kept:
    def __init__(self, current: str, previous: str | None) -> None:
        self.current, self.previous = current, previous


class TokensInMemory:
    """A sign-in for the length of a test."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Kept] = {}

    def read(self, connection: str, name: str) -> Kept | None:
        return self.values.get((connection, name))

    def write(self, connection: str, name: str, value: str) -> None:
        before = self.values.get((connection, name))
        self.values[connection, name] = Kept(value, before.current if before else None)

    def probe(self) -> None:
        """Memory takes a write."""

    @contextmanager
    def lock(self, connection: str) -> Iterator[None]:
        yield


class QboWorld:
    def __init__(self, server: qbo.Running, clock: ManualClock) -> None:
        self.server, self.clock = server, clock
        self.left = open_books("left", "idempotency_key", clock=clock)
        store = TokensInMemory()
        now = clock()
        store_tokens(
            "right", Tokens(server.realm, "none", server.refresh_token, now, now.replace(year=2027), now), store
        )
        pace = Pace(clock=lambda: clock().timestamp(), sleep=clock.tick)
        self.right = open_quickbooks(
            "right",
            settings={
                "company_id": server.realm,
                "client_id": server.client_id,
                "api_base": server.base_url,
                "token_url": f"{server.base_url}/oauth2/v1/tokens/bearer",
            },
            secrets={"client_secret": server.client_secret},
            clock=clock,
            store=store,
            sleep=clock.tick,
            transport=Transport(pace=pace),
        )
        self.store = open_store("sqlite://", clock=clock)
        codes = Codes({"": "1"}, {"": "NON"}, None, None, None)
        self.pair = Pair("books", "left", "right", mode="auto", codes=codes, limits=WIDE, unattended=EVERYTHING)

    def run(self, **kw: Any) -> Report:
        self.clock.tick(120)
        connectors = {"left": self.left, "right": self.right}
        return sync(self.store, connectors, self.pair, apply=True, heartbeat=False, **kw)

    def qbo(self, entity: str) -> list[dict[str, Any]]:
        return self.server.books.all(entity)

    def effects(self) -> Counter[tuple[str, str]]:
        return Counter((e.entity, e.requestid) for e in self.server.books.effects if e.op == "create" and e.requestid)


EVERYTHING = frozenset({"credit_memo", "adjustment", "invoice.void", "payment.void", "credit_memo.void"})


@contextmanager
def world(**switches: Any) -> Iterator[QboWorld]:
    clock = ManualClock()
    settings = {"auto_apply_credit": False, "custom_txn_numbers": True, **switches}
    books = qbo.Books("empty", qbo.Switches(**settings), clock)
    with qbo.running(books) as server:
        yield QboWorld(server, clock)


def lines(net: str) -> tuple[Line, ...]:
    blank = dict.fromkeys(("item", "quantity", "unit_price", "tax_code", "revenue_account"))
    return (Line(**blank, description="goods", net=D(net), tax=D(0)),)


def seeded(w: QboWorld) -> dict[str, Any]:
    b = w.left.books
    ada = b.put(customer("Ada Ltd"))
    one = b.put(invoice(ada.ref.id, "100.00", lines=lines("100.00"), number="L-1"))
    two = b.put(invoice(ada.ref.id, "50.00", number="L-2"))
    memo = b.put(credit_memo(ada.ref.id, "30.00", lines=lines("30.00"), number="C-1"))
    b.apply(memo.ref.id, two.ref.id, D("30.00"), DAY)
    pay = b.put(payment(ada.ref.id, "60.00", on=((one.ref.id, "60.00"),), reference="chk 7"))
    return {"ada": ada, "one": one, "two": two, "memo": memo, "pay": pay}


def in_step(w: QboWorld) -> None:
    report = w.run(sweep=True)
    assert report.operations == []
    assert [d.as_json() for d in report.discrepancies] == []
    left = w.left.books.receivables(LATE)["USD"]
    right = sum((D(c["Balance"]) for c in w.qbo("Customer")), D(0))
    assert left == right
    w.server.books.check()


def test_documents_with_applications_and_credits_flow_to_quickbooks() -> None:
    with world() as w:
        seeded(w)
        report = w.run()
        assert report.failures == []
        opens = {i["DocNumber"]: D(i["Balance"]) for i in w.qbo("Invoice")}
        assert opens == {"L-1": D("40.00"), "L-2": D("20.00")}
        [memo] = w.qbo("CreditMemo")
        assert D(memo["RemainingCredit"]) == 0
        cash = [p for p in w.qbo("Payment") if D(p["TotalAmt"])]
        assert len(cash) == 1
        assert len(w.qbo("Payment")) == 2
        in_step(w)


def test_money_is_there_before_quickbooks_sets_new_credits_against_what_is_open() -> None:
    """A company that applies credits by itself takes the oldest open invoice: not one that our payment settles."""
    with world(auto_apply_credit=True) as w:
        b = w.left.books
        ada = b.put(customer("Ada Ltd")).ref.id
        paid = b.put(invoice(ada, "100.00", number="L-1")).ref.id
        open_ = b.put(invoice(ada, "50.00", number="L-2")).ref.id
        b.apply(b.put(credit_memo(ada, "30.00", number="C-1")).ref.id, open_, D("30.00"), DAY)
        b.put(payment(ada, "100.00", on=((paid, "100.00"),), reference="chk 7"))
        report = w.run()
        assert (report.applied["rejected"], report.failures) == (0, [])
        assert {i["DocNumber"]: D(i["Balance"]) for i in w.qbo("Invoice")} == {"L-1": D(0), "L-2": D("20.00")}
        w.run()
        in_step(w)


def test_money_of_a_closed_year_is_applied_once_quickbooks_opens_it_again() -> None:
    """To apply a payment is to change it, which QuickBooks refuses in a closed period: once, and not for good."""
    with world() as w:
        b, year_end = w.left.books, date(2025, 12, 31)
        ada = b.put(customer("Ada Ltd")).ref.id
        bill = b.put(invoice(ada, "100.00", number="L-1")).ref.id
        money = b.put(payment(ada, "100.00", reference="chk 7", when=year_end)).ref.id
        w.run()
        w.server.books.close_through(year_end)
        w.run()
        b.apply(money, bill, D("100.00"), DAY)
        assert [w.run().applied["rejected"] for _ in range(3)] == [1, 0, 0]
        w.server.books.close_through(None)
        w.run()
        assert w.run().applied["done"] == 1
        assert [D(i["Balance"]) for i in w.qbo("Invoice")] == [D(0)]
        in_step(w)


def make_active(w: QboWorld, active: bool) -> None:
    [now] = w.qbo("Customer")
    said = {"Id": now["Id"], "SyncToken": now["SyncToken"], "sparse": True, "Active": active}
    w.server.books.apply("Customer", "update", said)


def test_what_a_customer_that_is_inactive_in_quickbooks_gets_waits_until_it_is_active_again() -> None:
    with world() as w:
        b = w.left.books
        ada = b.put(customer("Ada Ltd")).ref.id
        bill, wrong = (b.put(invoice(ada, "100.00", number=n)).ref.id for n in ("L-1", "L-9"))
        money = b.put(payment(ada, "10.00", reference="chk 1")).ref.id
        credit = b.put(credit_memo(ada, "15.00", lines=lines("15.00"), number="C-1")).ref.id
        w.run()
        make_active(w, False)
        new = [
            b.put(invoice(ada, "20.00", number="L-2")).ref.id,
            b.put(credit_memo(ada, "5.00", lines=lines("5.00"), number="C-2")).ref.id,
            b.put(payment(ada, "30.00", on=((bill, "30.00"),), reference="chk 2")).ref.id,
        ]
        b.apply(money, bill, D("10.00"), DAY)
        b.apply(credit, bill, D("15.00"), DAY)
        b.edit(Entity.INVOICE, bill, memo="as agreed")
        b.void(Entity.INVOICE, wrong, on=DAY)
        report, why = w.run(), "customer Ada Ltd is inactive in right"
        # A form that the customer has is still changed and voided.
        assert (report.applied["done"], report.applied["rejected"], report.exit_code) == (2, 0, 0)
        assert report.held_back() == {why: 4}
        told = {d.left: d for d in report.discrepancies if d.cause.startswith(why)}
        waiting = {money: "UNAPPLIED_CASH", **dict.fromkeys((credit, *new), "SYNC_BLOCKED")}
        assert {id: d.code for id, d in told.items()} == waiting
        assert "make the customer active again in right" in told[money].remedy
        make_active(w, True)
        w.run()
        w.run()
        in_step(w)


def test_a_customer_that_is_made_inactive_while_a_run_writes_costs_no_answer_by_hand() -> None:
    with world() as w:
        b, create = w.left.books, w.right.create
        ada = b.put(customer("Ada Ltd")).ref.id
        w.run()
        b.put(invoice(ada, "20.00", number="L-1"))

        def taken_out_of_use(record: Any, **kw: Any) -> Any:
            make_active(w, False)
            return create(record, **kw)

        w.right.create = taken_out_of_use  # type: ignore[method-assign]
        report = w.run()
        w.right.create = create  # type: ignore[method-assign]
        assert (report.refused, report.applied["rejected"], report.exit_code) == (1, 1, 4)
        report = w.run()
        assert (report.held_back(), report.exit_code) == ({"customer Ada Ltd is inactive in right": 1}, 0)
        make_active(w, True)
        w.run()
        in_step(w)
        assert len(w.qbo("Invoice")) == 1


def test_documents_born_in_quickbooks_flow_back_with_their_credits() -> None:
    with world() as w:
        books = w.server.books
        client = books.apply("Customer", "create", {"DisplayName": "O'Brien Sons"})["Id"]
        line = {
            "Amount": D("80.00"),
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}},
        }
        form = {"CustomerRef": {"value": client}, "TxnDate": "2026-01-10"}
        inv = books.apply("Invoice", "create", {**form, "Line": [line], "DocNumber": "Q-1"})["Id"]
        memo = books.apply(
            "CreditMemo", "create", {**form, "Line": [{**line, "Amount": D("15.00")}], "DocNumber": "Q-2"}
        )
        links = [("Invoice", inv), ("CreditMemo", memo["Id"])]
        lines = [{"Amount": D("15.00"), "LinkedTxn": [{"TxnId": i, "TxnType": t}]} for t, i in links]
        books.apply("Payment", "create", {**form, "TotalAmt": D(0), "Line": lines})
        pay = [{"Amount": D("65.00"), "LinkedTxn": [{"TxnId": inv, "TxnType": "Invoice"}]}]
        books.apply("Payment", "create", {**form, "TotalAmt": D("70.00"), "Line": pay, "PaymentRefNum": "P-1"})
        w.run()
        left = w.left.books
        [mirror] = left.all(Entity.INVOICE)
        assert left.open(Entity.INVOICE, mirror.ref.id) == 0
        assert len(left.all(Entity.PAYMENT)) == 1
        assert left.receivables(LATE) == {"USD": D("-5.00")}
        in_step(w)


@pytest.mark.parametrize("entity", ["Customer", "Invoice", "CreditMemo", "Payment"])
@pytest.mark.parametrize("how", ["drop", "truncate"])
def test_an_answer_lost_after_the_commit_makes_one_document(entity: str, how: str) -> None:
    with world() as w:
        seeded(w)
        w.server.faults.arm(how, when="after", method="POST", entity=entity, operation="create")
        for _ in range(4):
            w.run()
        assert max(w.effects().values()) == 1
        assert Counter(i["DocNumber"] for i in w.qbo("Invoice")) == {"L-1": 1, "L-2": 1}
        assert len(w.qbo("Payment")) == 2
        in_step(w)


def test_a_void_in_quickbooks_of_what_was_born_elsewhere_is_named_and_undone_by_nobody() -> None:
    with world() as w:
        made = seeded(w)
        w.run()
        [inv] = [i for i in w.qbo("Invoice") if i["DocNumber"] == "L-2"]
        free = [p for p in w.qbo("Payment") if not D(p["TotalAmt"])]
        for p in free:
            w.server.books.apply("Payment", "delete", {"Id": p["Id"], "SyncToken": p["SyncToken"]})
        inv = w.server.books.find("Invoice", inv["Id"])
        w.server.books.apply("Invoice", "void", {"Id": inv["Id"], "SyncToken": inv["SyncToken"]})
        report = w.run()
        assert not any(o.op.value == "void" for o in report.operations)
        assert w.left.books.get(Entity.INVOICE, made["two"].ref.id).state.value == "posted"
        [d] = [d for d in report.discrepancies if d.delta]
        assert (d.code, d.delta) == ("VOID_VS_OPEN", D("-50.00"))


@pytest.mark.parametrize(
    "switches",
    [
        {"auto_apply_credit": True},
        {"apply_to_closed_invoice": "drop_line"},
        {"payment_bumps_invoice_token": False},
        {"custom_txn_numbers": False},
        {"refresh_old_token": "invalid", "rotate_refresh": "every_call"},
        {"requestid_changed_payload": "600", "total_count_on_rows": True},
    ],
    ids="+".join,
)
def test_the_unverified_behaviours_change_nothing(switches: dict[str, Any]) -> None:
    with world(**switches) as w:
        seeded(w)
        for _ in range(3):
            w.run()
        assert w.left.books.receivables(LATE) == {"USD": D("60.00")}
        assert sum((D(c["Balance"]) for c in w.qbo("Customer")), D(0)) == D("60.00")
        assert max(w.effects().values()) == 1
        before = len(w.server.books.effects)
        report = w.run()
        assert report.operations == []
        assert len(w.server.books.effects) == before
        assert report.as_json()["bridge"]["USD"]["remainder"] == "0.00"
