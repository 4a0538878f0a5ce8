"""Pain 21: one record that cannot be read or is always refused, among 1,000 (in `make deep`; fewer in `make test`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from tests.deep import DEEP
from tests.scenarios.test_pains_writing import quiet
from tests.scenarios.test_quickbooks import in_step, lines, world
from tests.scenarios.world import World, customer, invoice, payment
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.review import differences

D = Decimal
MANY = 1_000 if DEEP else 100


def test_two_poison_records_hold_up_only_what_hangs_on_them() -> None:
    """Refused or unreadable, it is reported once and the others arrive; what refers to it waits quietly."""
    world = World()
    ada = world.l.put(customer())
    for n in range(MANY):
        world.l.put(invoice(ada.ref.id, "10.00", number=f"L-{n}"))
    world.l.edit(Entity.INVOICE, "INV-60", total=D("10.005"), subtotal=D("10.005"))
    paid = world.l.put(payment(ada.ref.id, "10.00", on=(("INV-50", "10.00"),), reference="waits"))
    world.l.corrupt(Entity.INVOICE, "INV-50")
    report = world.run()
    assert report.applied["done"] == 1 + MANY - 2
    assert report.applied["rejected"] <= 1
    assert world.counts(Entity.PAYMENT) == (1, 0)
    codes = Counter(d.code for d in report.discrepancies)
    assert codes["PARSE_REJECT"] == 1
    refused = len(world.r.received)
    report = world.run()
    assert report.operations == []
    assert len(world.r.received) == refused
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    world.l.edit(Entity.INVOICE, "INV-50", memo="mended")
    world.l.edit(Entity.INVOICE, "INV-60", total=D("10.00"), subtotal=D("10.00"))
    world.run()
    assert world.counts(Entity.INVOICE) == (MANY, MANY)
    assert world.counts(Entity.PAYMENT) == (1, 1)
    assert world.l.get(Entity.PAYMENT, paid.ref.id).amount == D("10.00")
    world.run()  # what the systems report is held against the documents where nothing was written
    quiet(world)


def test_what_quickbooks_refuses_is_sent_once_and_named_at_once_and_its_children_wait() -> None:
    """An invoice with a tax code that QuickBooks lacks, and one that cannot be read, with payments on both."""
    many = 1_000 if DEEP else 30
    with world() as w:
        w.pair = replace(w.pair, codes=Codes({"": "1"}, {"": "NON", "gone": "9999"}, None, None, None))
        books, bad = w.left.books, {}
        ada = books.put(customer("Ada Ltd"))
        for n in range(many):
            line = lines("10.00")[0].model_copy(update={"tax_code": "gone" if n == 10 else None})
            inv = books.put(invoice(ada.ref.id, "10.00", lines=(line,), number=f"L-{n}"))
            if n in (10, 20, 25):
                bad[n] = inv
                books.put(payment(ada.ref.id, "4.00", on=((inv.ref.id, "4.00"),), reference=f"p{n}"))
        books.corrupt(Entity.INVOICE, bad[20].ref.id)

        report = w.run()
        assert (report.failures, report.applied["rejected"]) == ([], 1)
        assert len(w.qbo("Invoice")) == many - 2
        assert [p["PaymentRefNum"] for p in w.qbo("Payment")] == ["p25"]
        found = {d["left_label"]: d for d in differences.listed(w.store) if d["code"] == "SYNC_BLOCKED"}
        assert "6160" in found["L-10"]["cause"]
        assert [d.code for d in report.discrepancies if d.code == "PARSE_REJECT"] == ["PARSE_REJECT"]

        before = len(w.server.faults.log)
        for _ in range(2):
            assert w.run().applied["done"] == 0
        assert not [c for c in w.server.faults.log[before:] if c.operation in {"create", "update"}], (
            "refused is refused"
        )

        line = lines("10.00")[0].model_copy(update={"tax_code": None})
        books.edit(Entity.INVOICE, bad[10].ref.id, lines=(line,))
        books.edit(Entity.INVOICE, bad[20].ref.id, memo="mended")
        w.run()
        w.run()
        assert len(w.qbo("Invoice")) == many
        assert sorted(p["PaymentRefNum"] for p in w.qbo("Payment")) == ["p10", "p20", "p25"]
        assert max(w.effects().values()) == 1
        in_step(w)
