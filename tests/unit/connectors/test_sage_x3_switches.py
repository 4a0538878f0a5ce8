"""One story under every setting of what nobody has verified about Sage X3, singly and in pairs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.covering import Covering
from tests.sage_x3_bench import bench
from tieout.errors import DuplicateNumber, RecordError, Rejected, UnknownOutcome
from tieout.model import Application, Entity, PostingState
from tieout.sandbox.sage_x3 import Switches
from tieout.testing.samples import credit_memo, customer, invoice, line, payment

D = Decimal
# Delays and texts are no two settings; their own scenarios show them. The company's currency is only its name here.
_APART = {"posting_delay", "matching_delay", "batch_delay", "duplicate_message", "company_currency"}
ENTITIES = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)


COVERING = Covering(Switches, _APART)


def test_the_settings_show_every_pair():
    assert COVERING.missing() == set()
    assert len(COVERING.pairs) < 40


@pytest.mark.parametrize("switches", COVERING.rows(), ids=COVERING.name)
def test_the_story(switches):
    strategy = "subprogram" if len(repr(switches)) % 2 else "key_sweep"
    with bench(**switches) as x3:
        Story(x3, x3.open(strategy=strategy)).run()
        x3.books.check()


class Story:
    def __init__(self, x3, connector):
        self.x3, self.connector, self.n = x3, connector, 0
        self.connector.company()

    def make(self, record):
        self.n += 1
        self.marker = f"TMARKER{self.n:06d}"
        written = self.connector.create(record, key=f"K{self.n}", marker=self.marker)
        self.x3.books.forward(1)
        seen = self.connector.get(record.entity, written.id)
        assert seen.record.marker == self.marker
        return seen

    def bill(self, n):
        record = invoice(n, customer=self.who, taxed=False)
        net = line(record.total, "Consulting", tax_code="EXO").model_copy(update={"item": "SERVICE"})
        return record.model_copy(update={"lines": (net,)})

    def run(self):
        self.who = self.make(customer(1)).id
        self.bills = [self.make(self.bill(n)) for n in range(3)]
        assert {b.record.state for b in self.bills} == {PostingState.POSTED}
        self.a_payment_settles_a_part()
        self.a_credit_memo_lowers_what_is_owed()
        self.a_lost_answer_is_found_once()
        self.what_is_refused_makes_nothing()
        self.a_customer_changes_in_one_field()
        self.everything_is_listed_once()
        self.the_change_feed_shows_it_all()

    def a_payment_settles_a_part(self):
        bill = self.bills[0]
        paid = payment(1, customer=self.who, invoice=bill.id).model_copy(update={"deposit_to": "BANK1"})
        seen = self.make(paid)
        assert {a.invoice: a.amount for a in seen.record.applications} == {bill.id: D("321.04")}
        assert seen.record.amount == D("501.05")
        self.x3.books.forward(10)
        [item] = [i for i in self.x3.books.open_items() if i["NUM"] == bill.id]
        told = self.connector.get(Entity.INVOICE, bill.id).record.reported_open
        assert told == item["AMTCUR"] - item["PAYCUR"] - item["TMPCUR"]

    def a_credit_memo_lowers_what_is_owed(self):
        record = credit_memo(1, customer=self.who)
        net = line(record.total, "Returned", tax_code="EXO").model_copy(update={"item": "SERVICE"})
        linked = record.model_copy(update={"lines": (net,), "original_invoice": self.bills[1].id})
        seen = self.make(linked)
        self.x3.books.forward(10)
        assert seen.record.original_invoice == self.bills[1].id
        now = self.connector.get(Entity.CREDIT_MEMO, seen.id).record
        if self.x3.books.switches.credit_matching == "auto":
            assert now.applications == (
                Application(
                    invoice=self.bills[1].id, amount=now.total, amount_invoice=now.total, applied_on=now.posted
                ),
            )
        else:
            assert now.applications == ()
        assert now.reported_open == now.total - sum((a.amount for a in now.applications), D(0))

    def a_lost_answer_is_found_once(self):
        record = self.bill(7)
        self.x3.live.faults.arm("drop", when="after", operation="save")
        with pytest.raises(UnknownOutcome):
            self.connector.create(record, key="LOST", marker="TLOST00000001")
        found = self.connector.search(Entity.INVOICE, marker="TLOST00000001", like=record)
        assert len(found) == 1
        self.lost = found[0].id
        if self.x3.books.switches.duplicate_reference == "reject":
            with pytest.raises(DuplicateNumber) as why:
                self.connector.create(record, key="LOST", marker="TLOST00000001")
            assert why.value.existing_id == self.lost

    def what_is_refused_makes_nothing(self):
        before = len(self.x3.books.rows("SIH"))
        with pytest.raises(Rejected):
            self.connector.create(
                self.bill(8).model_copy(update={"customer": "NOBODY"}), key="K", marker="TREFUSED00001"
            )
        assert len(self.x3.books.rows("SIH")) == before

    def a_customer_changes_in_one_field(self):
        seen = self.connector.get(Entity.CUSTOMER, self.who)
        moved = seen.record.model_copy(update={"phone": "555 9999"})
        self.connector.update(moved, before=seen, key="U1")
        now = self.connector.get(Entity.CUSTOMER, self.who).record
        assert now.model_copy(update={"ref": seen.record.ref}) == moved

    def everything_is_listed_once(self):
        self.connector.company()
        self.seen = {}
        for entity in ENTITIES:
            pull = self.connector.pull(entity)
            found = [o for o in pull if not isinstance(o.record, RecordError)]
            assert pull.complete
            self.seen[entity] = ({o.id for o in found}, pull.cursor)
            assert len(found) == len(self.seen[entity][0])
        assert {e: len(ids) for e, (ids, _) in self.seen.items()} == {
            Entity.CUSTOMER: 1, Entity.INVOICE: 4, Entity.CREDIT_MEMO: 1, Entity.PAYMENT: 1,
        }  # fmt: skip

    def the_change_feed_shows_it_all(self):
        if not self.connector.capabilities.delta:
            return
        new = self.make(self.bill(9)).id
        self.connector.company()
        pull = self.connector.pull(Entity.INVOICE, self.seen[Entity.INVOICE][1])
        assert new in {o.id for o in pull}
        assert not pull.full
