"""Sage X3 over SOAP on the right, books in memory on the left: the real connector, the real engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.sage_x3_bench import Bench, bench
from tests.scenarios.world import DAY, WIDE, credit_memo, customer, invoice, payment
from tieout.connectors.memory import ManualClock, open_books
from tieout.model import Entity, Line, PostingState
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.store import open_store

D = Decimal
CODES = Codes({"": "SERVICE"}, {"": "EXO"}, {"": "BANK1", "AR": "411000"}, None, None)


class X3World:
    def __init__(self, x3: Bench, **pair: Any) -> None:
        self.x3, self.clock = x3, ManualClock()
        x3.books._clock = self.clock
        self.left = open_books("left", "idempotency_key", clock=self.clock)
        self.right = x3.open()
        self.store = open_store("sqlite://", clock=self.clock)
        settings = {"mode": "auto", "codes": CODES, "limits": WIDE, "unattended": frozenset({"credit_memo"}), **pair}
        self.pair = Pair("books", "left", "x3", **settings)

    @property
    def l(self) -> Any:  # noqa: E743
        return self.left.books

    @property
    def books(self) -> Any:
        return self.x3.books

    def run(self, *, tick: float = 600, **kw: Any) -> Report:
        self.clock.tick(tick)
        self.books.work()  # what the task server has become due to do
        connectors = {"left": self.left, "x3": self.right}
        return sync(self.store, connectors, self.pair, apply=True, heartbeat=False, **kw)

    def made(self, *objects: str) -> Counter[str]:
        """What calls created, in truth."""
        return Counter(e.object for e in self.books.effects if e.by == "api" and e.op == "create")

    def open(self, number: str) -> Decimal:
        items = [i for i in self.books.open_items() if i["NUM"] == number]
        return sum((i["AMTCUR"] - i["PAYCUR"] - i["TMPCUR"] for i in items), D(0))


@pytest.fixture
def world() -> Iterator[X3World]:
    with bench() as x3:
        made = X3World(x3)
        yield made
        x3.books.check()


def quiet(world: X3World) -> None:
    before = len(world.books.effects)
    report = world.run()
    assert report.operations == []
    assert len(world.books.effects) == before


def test_documents_born_elsewhere_reach_x3_once_and_posted(world: X3World) -> None:
    ada = world.l.put(customer("Ada & Söhne, O'Brien Ltd"))
    inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1", due=date(2026, 3, 3), memo="order 7"))
    world.l.put(payment(ada.ref.id, "150.00", on=((inv.ref.id, "50.00"),), reference="chk 1"))
    world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    report = world.run()
    assert report.failures == []
    assert report.applied["done"] == 4, report.as_json()
    assert all(report.as_json()["bytes"]["x3"][way] > 10_000 for way in ("sent", "received"))
    assert "left" not in report.as_json()["bytes"]
    assert world.made() == {"BPC": 1, "SIH": 2, "PAY": 1}
    [mirror] = [r for r in world.books.rows("SIH") if r["SIVTYP"] == "INV"]
    assert (mirror["STA"], mirror["ORIDOCNUM"], mirror["INVATI"]) == (3, "L-1", D(120))
    assert world.open(mirror["NUM"]) == D(70)
    assert [d.as_json() for d in report.discrepancies] == []
    quiet(world)


def test_a_line_that_came_without_a_text_gets_that_of_its_item_and_is_no_difference(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    blank = dict.fromkeys(("description", "quantity", "unit_price", "tax_code", "revenue_account"))
    line = Line(**blank, item=None, net=D("120.00"), tax=D(0))
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1", lines=(line,)))
    report = world.run()
    [mirror] = world.books.rows("SIH")
    assert mirror["lines"][0]["ITMDES"] == "Service"
    assert [d.as_json() for d in report.discrepancies] == []
    quiet(world)


def test_documents_born_in_x3_flow_when_they_are_posted(world: X3World) -> None:
    code = world.books.save("BPC", {
        "BPCNUM": "BREW", "BCGCOD": "US", "BPCNAM": "Brook & Brew", "BPCSTA": "2", "CUR": "USD", "VACBPR": "DOM",
        "PTE": "NET30",
    })[0]  # fmt: skip
    given = {
        "SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": code, "INVDAT": "20260115", "CUR": "USD",
        "lines": [{"ITMREF": "SERVICE", "QTY": "2", "GROPRI": "40", "VACITM1": "EXO"}],
    }  # fmt: skip
    key = world.books.save("SIH", given)
    assert world.run().applied["done"] == 1  # the customer; a draft counts for nothing yet
    assert world.l.all(Entity.INVOICE) == []
    world.books.action("SIH", "POST", key)
    world.books.save("PAY", {
        "FCY": "HLS01", "BPR": code, "ACCDAT": "20260120", "CUR": "USD", "AMTCUR": "30", "BAN": "BANK1",
        "lines": [{"DENCOD": "ALLOC", "VCRNUM": key[0], "AMTLIN": "30"}],
    })  # fmt: skip
    report = world.run()
    assert report.applied["done"] == 2, report.as_json()
    [mirror] = world.l.all(Entity.INVOICE)
    assert (mirror.number, mirror.total, mirror.state) == (key[0], D(80), PostingState.POSTED)
    assert world.l.open(Entity.INVOICE, mirror.ref.id) == D(50)
    assert [d.as_json() for d in report.discrepancies] == []
    quiet(world)


def test_a_credit_memo_that_x3_matches_by_itself_keeps_its_invoice_settled_elsewhere(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.run()
    [mirror] = world.books.rows("SIH")
    memo = world.x3.posted("SIH", {
        "SALFCY": "HLS01", "SIVTYP": "CRM", "BPCINV": mirror["BPCINV"], "INVDAT": "20260120", "CUR": "USD",
        "SIHORINUM": mirror["NUM"],
        "lines": [{"ITMREF": "SERVICE", "QTY": "1", "GROPRI": "20", "VACITM1": "EXO"}],
    })  # fmt: skip
    assert world.open(mirror["NUM"]) == D(100)
    report = world.run()
    assert report.applied["done"] == 2, report.as_json()  # the memo, and its application
    [credit] = world.l.all(Entity.CREDIT_MEMO)
    assert (credit.number, credit.total) == (memo, D(20))
    assert "BALANCE_MISMATCH_INTERNAL" not in [d.code for d in report.discrepancies]
    quiet(world)


def test_a_credit_memo_that_was_matched_with_more_than_the_invoice_it_names_applies_nothing_on_a_guess() -> None:
    with bench(credit_matching="manual") as x3:
        world = X3World(x3)
        ada = world.l.put(customer("Ada Ltd"))
        for number, total in (("L-1", "120.00"), ("L-2", "80.00")):
            world.l.put(invoice(ada.ref.id, total, number=number))
        world.run()
        one, two = sorted(world.books.rows("SIH"), key=lambda row: row["ORIDOCNUM"])
        memo = world.x3.posted("SIH", {
            "SALFCY": "HLS01", "SIVTYP": "CRM", "BPCINV": one["BPCINV"], "INVDAT": "20260120", "CUR": "USD",
            "SIHORINUM": one["NUM"],
            "lines": [{"ITMREF": "SERVICE", "QTY": "1", "GROPRI": "150", "VACITM1": "EXO"}],
        })  # fmt: skip
        world.books.match(
            one["BPCINV"], [("CRM", memo, D(150)), ("INV", one["NUM"], D(120)), ("INV", two["NUM"], D(30))]
        )
        world.books.work()
        found = world.right.get(Entity.CREDIT_MEMO, memo).record
        assert (found.total, found.reported_open, found.applications) == (D(150), D(0), ())


@pytest.mark.parametrize("lost", ["save", "actionObjectKeys"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_makes_one_document(world: X3World, lost: str, when: str) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.run()
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.x3.live.faults.arm("drop", when=when, operation=lost)
    world.run()
    for _ in range(4):
        world.run(tick=900)
    [bill] = world.books.rows("SIH")
    assert world.made()["SIH"] == 1
    assert bill["STA"] == 3
    assert world.open(bill["NUM"]) == D(120)
    quiet(world)


def test_a_result_that_is_empty_is_no_second_document(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.run()
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.x3.live.faults.arm("quirk", form="nil", entity="WSSIH", operation="save")
    world.run()
    for _ in range(3):
        world.run(tick=900)
    assert world.made()["SIH"] == 1
    quiet(world)


def test_a_second_document_that_x3_refuses_is_found_and_adopted() -> None:
    with bench(duplicate_reference="reject", duplicate_message="N. Fatura ja registada no documento: {num}") as x3:
        world = X3World(x3)
        ada = world.l.put(customer("Ada Ltd"))
        world.run()
        world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
        world.x3.live.faults.arm("drop", when="after", operation="save")
        world.run()
        world.run(tick=900)
        assert world.made()["SIH"] == 1
        quiet(world)


def test_books_that_post_late_show_a_draft_and_no_second_document() -> None:
    with bench(posting_delay=7200) as x3:
        world = X3World(x3)
        ada = world.l.put(customer("Ada Ltd"))
        world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
        world.run()
        world.run()
        assert world.made() == {"BPC": 1, "SIH": 1}
        world.run(tick=8000)
        report = world.run()
        assert [d.as_json() for d in report.discrepancies] == []
        quiet(world)


def test_documents_born_elsewhere_reach_x3_as_invoices_on_accounts() -> None:
    """BIC, over a pool of one, in French, with blocks of another entry transaction: the other system has items only."""
    with bench(pool_width=1, blocks="later", credit_matching="manual") as x3:
        x3.settings |= {"enter_as": "BIC", "revenue_accounts": {"SERVICE": "706000"}, "language": "FRA"}
        world = X3World(x3)
        ada = world.l.put(customer("Ada & Söhne"))
        inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1", due=date(2026, 3, 3), memo="order 7"))
        world.l.put(payment(ada.ref.id, "150.00", on=((inv.ref.id, "50.00"),), reference="chk 1"))
        world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
        report = world.run()
        assert report.applied["done"] == 4, report.as_json()
        assert world.made() == {"BPC": 1, "BIC": 2, "PAY": 1}
        assert {line["ACC"] for row in world.books.rows("BIC") for line in row["lines"]} == {"706000"}
        assert world.open("INV-26/00001") == D(70)
        assert [d.as_json() for d in world.run().discrepancies] == []
        quiet(world)


POSTED_YET = "has not posted INV-26/00001 yet"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("late", POSTED_YET),
        ("stopped", POSTED_YET),
        ("by batch", "invoice L-1 is a draft in x3"),
        ("without open items", POSTED_YET),
    ],
)
def test_a_payment_on_an_invoice_that_x3_has_not_posted_yet_follows_by_itself(how: str, said: str) -> None:
    """Its accounting tasks are late, or stopped: X3 refuses the payment until the invoice has its open items."""
    switches: dict[str, Any] = {"posting": "batch"} if how == "by batch" else {}
    with bench(posting_delay=0 if how == "stopped" else 7200, **switches) as x3:
        if how == "by batch":
            x3.settings["post_action"] = None
        if how == "without open items":  # then STA of the invoice is all there is
            x3.settings["services"] = {k: v for k, v in x3.settings["services"].items() if k != "open_items"}
        world = X3World(x3)
        world.books.tasks.stopped = how == "stopped"
        ada = world.l.put(customer("Ada Ltd"))
        inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
        world.l.put(payment(ada.ref.id, "50.00", on=((inv.ref.id, "50.00"),), reference="chk 1"))
        world.run()
        report = world.run()
        assert world.made() == {"BPC": 1, "SIH": 1}
        assert report.applied["rejected"] == 0
        assert said in str([d.cause for d in report.discrepancies])
        world.books.tasks.stopped = False
        for _ in range(3):  # a batch validates first, then posts
            report = world.run(tick=8000)
        assert world.made() == {"BPC": 1, "SIH": 1, "PAY": 1}
        assert world.open("INV-26/00001") == D(70)
        assert [d.as_json() for d in report.discrepancies] == []
        quiet(world)


def test_a_payment_that_x3_refuses_for_another_reason_is_not_sent_again(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    inv = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.run()
    world.l.put(payment(ada.ref.id, "50.00", on=((inv.ref.id, "50.00"),), reference="chk 1"))
    world.x3.live.faults.arm("quirk", form="messages", operation="save", entity="WSPAY", times=0)
    assert world.run().applied["rejected"] == 1
    before = len(world.x3.live.faults.log)
    world.run()
    assert not [c for c in world.x3.live.faults.log[before:] if c.operation == "save"]


def test_a_change_of_the_entry_transaction_between_runs_is_learned(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.run()
    world.x3.live.renumber("WSSIH", {"SIH4_1": "SIH4_9", "SIH2_2": "SIH2_7"})
    world.l.put(invoice(ada.ref.id, "80.00", number="L-2", posted=DAY))
    assert world.run().applied["done"] == 1
    assert len(world.books.rows("SIH")) == 2


def test_a_document_in_a_closed_period_is_refused_and_named(world: X3World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.run()
    world.books.close_through(date(2026, 1, 31))
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    report = world.run()
    assert report.applied["rejected"] == 1
    assert "31/01" in str([d.cause for d in report.discrepancies]) or "period" in str(
        [d.cause for d in report.discrepancies]
    )
    before = world.x3.live.faults.log
    world.run()
    assert not [c for c in world.x3.live.faults.log[len(before) :] if c.operation == "save"]


def test_a_discount_taken_in_x3_is_a_difference_by_name_and_not_a_cent_is_left_over() -> None:
    with bench() as x3:
        x3.settings["attributes"] = {"ALLOC": "application", "ADVAN": "unapplied", "DISCT": "discount"}
        world = X3World(x3)
        ada = world.l.put(customer("Ada Ltd"))
        world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
        world.run()
        [mirror] = world.books.rows("SIH")
        world.books.save("PAY", {
            "FCY": "HLS01", "BPR": mirror["BPCINV"], "ACCDAT": "20260120", "CUR": "USD", "AMTCUR": "95",
            "BAN": "BANK1",
            "lines": [{"DENCOD": "ALLOC", "VCRNUM": mirror["NUM"], "AMTLIN": "100"},
                      {"DENCOD": "DISCT", "AMTLIN": "5"}],
        })  # fmt: skip
        report = world.run()
        assert report.applied["done"] == 1, report.as_json()
        report = world.run()
        assert [(d.code, d.delta) for d in report.discrepancies] == [("DISCOUNT_TAKEN_DIFF", D(-5))]
        assert report.as_json()["bridge"]["USD"] == {
            "left_total": "5.00",
            "lines": [{"code": "DISCOUNT_TAKEN_DIFF", "delta": "-5.00", "count": 1}],
            "right_total": "0.00",
            "remainder": "0.00",
            "unconfirmed": "0.00",
        }
        quiet(world)


def test_a_record_that_somebody_has_open_holds_up_no_other() -> None:
    with bench() as x3:
        x3.settings["temporary"] = ["modified by another user"]
        world = X3World(x3)
        people = [world.l.put(customer(name, phone="1")) for name in ("Ada Ltd", "Bea Ltd", "Cas Ltd")]
        world.run()
        for one in people:
            world.l.edit(Entity.CUSTOMER, one.ref.id, phone="2")
        x3.live.faults.arm("quirk", form="locked", operation="modify")
        report = world.run()
        assert (report.applied["done"], report.applied["blocked"], report.halted) == (2, 1, [])
        assert world.run().applied["done"] == 1
        assert {row["addresses"][0]["TEL1"] for row in world.books.rows("BPC")} == {"2"}
        quiet(world)
