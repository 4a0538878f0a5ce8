"""The same stories over every kind of target: memory, QuickBooks, a file ERP and Sage X3.

What a target cannot do is read from its capabilities, and then the difference must be listed by name: no story is left
out. The systems are those of the contract, with their users at the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.memory_harness import MemoryHarness
from tests.contract.quickbooks_harness import QuickBooksHarness
from tests.contract.sage_x3_harness import SageX3Harness
from tests.contract.test_tabular import FileErpHarness
from tests.deep import DEEP, each
from tests.scenarios.world import WIDE, credit_memo, customer, invoice, payment
from tieout.connectors import Op
from tieout.connectors.memory import open_books
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.store import open_store
from tieout.testing import Trouble

D = Decimal
LATE = date(2026, 12, 31)
DAY = date(2026, 1, 15)
THEIRS = date(2026, 3, 2)
EVERYTHING = frozenset({"credit_memo", "adjustment", "invoice.void", "payment.void", "credit_memo.void"})


@dataclass(frozen=True)
class Kind:
    """A kind of target: its system, the codes that go with it, and what its receivables are in truth."""

    harness: Callable[[ExitStack], Any]
    codes: Codes
    receivables: Callable[[Any], Decimal]


def _owed_x3(h: Any) -> Decimal:
    items = h.bench.books.open_items()
    return sum((i["SNS"] * (i["AMTCUR"] - i["PAYCUR"] - i["TMPCUR"]) for i in items), D(0))


KINDS = {
    "memory": Kind(
        lambda _: MemoryHarness(), Codes.same(), lambda h: h.books.receivables(LATE).get("USD", D(0))
    ),
    "quickbooks": Kind(
        lambda stack: QuickBooksHarness(stack, custom_txn_numbers=True),
        Codes({"": "1"}, {"": "NON"}, {"": "4"}, None, None),
        lambda h: sum((D(c["Balance"]) for c in h.bench.books.all("Customer")), D(0)),
    ),
    "file": Kind(
        lambda _: FileErpHarness(), Codes.same(), lambda h: h.erp.books.receivables(LATE).get("USD", D(0))
    ),
    "sage-x3": Kind(
        lambda stack: SageX3Harness(stack, payment_posting="auto"),
        Codes({"": "SERVICE"}, {"": "EXO"}, {"": "BANK1", "AR": "411000"}, {"": "NET30"}, None),
        _owed_x3,
    ),
}  # fmt: skip


class World:
    """Books in memory on the left, the target on the right."""

    def __init__(self, kind: Kind, stack: ExitStack) -> None:
        self.kind, self.h = kind, kind.harness(stack)
        self.clock = getattr(self.h, "clock", None) or self.h.bench.time
        self.left = open_books("left", clock=self.clock)
        self.right = self.h.open()
        self.caps = self.right.capabilities
        self.store = open_store("sqlite://", clock=self.clock)
        self.pair = Pair(
            "books", "left", self.right.name, mode="auto", codes=kind.codes, limits=WIDE, unattended=EVERYTHING
        )

    @property
    def l(self) -> Any:  # noqa: E743
        return self.left.books

    def run(self) -> Report:
        self.h.advance(900)
        connectors = {"left": self.left, self.right.name: self.right}
        return sync(self.store, connectors, self.pair, apply=True, heartbeat=False)

    def settle(self) -> Report:
        """Runs until nothing is left to do; a file ERP loads and exports in between, on days of its own."""
        for _ in range(8):
            report = self.run()
            self.h.advance(0 if self.caps.synchronous else 86_400)
            self.h.exchange()
            if not report.operations and not report.applied["pending"] and not report.applied["done"]:
                return report
        raise AssertionError(f"it does not come to rest: {report.as_json()}")

    def counts(self) -> dict[Entity, tuple[int, int]]:
        entities = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
        return {e: (len(self.l.all(e)), self.h.count(e)) for e in entities}

    def owed(self) -> tuple[Decimal, Decimal]:
        return self.l.receivables(LATE).get("USD", D(0)), self.kind.receivables(self.h)

    def quiet(self) -> None:
        """A second run plans nothing and writes nothing."""
        before = self.l.fingerprint(), self.h.received(), self.counts()
        assert self.run().operations == []
        assert (self.l.fingerprint(), self.h.received(), self.counts()) == before


# Each kind of record once, at the targets in turn that answer over HTTP; under `make deep` each at every target.
LOST = each(
    [Entity.INVOICE, Entity.PAYMENT, Entity.CREDIT_MEMO, Entity.CUSTOMER],
    list(KINDS) if DEEP else ["quickbooks", "sage-x3"],
)


# Books in memory are the target in all other scenarios.
@pytest.fixture(params=[kind for kind in KINDS if DEEP or kind != "memory"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(KINDS[request.param], stack)


def untaxed(bill: Any, h: Any) -> Any:
    """The invoice without tax; how a system calls the code of no tax is seen in its credit memos."""
    codes = {line.tax_code for line in h.sample(Entity.CREDIT_MEMO, 1).lines}
    lines = tuple(x.model_copy(update={"tax_code": next(iter(codes)), "tax": x.tax and D(0)}) for x in bill.lines)
    return bill.model_copy(update={"lines": lines, "tax_lines": (), "tax": D(0), "total": bill.subtotal})


def test_what_is_born_elsewhere_reaches_the_target_once(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    world.l.put(payment(ada.ref.id, "50.00", on=((bill.ref.id, "50.00"),), reference="chk 1"))
    world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    report = world.settle()
    assert report.failures == []
    assert set(world.counts().values()) == {(1, 1)}
    assert world.owed() == (D(50), D(50))
    assert [d.as_json() for d in report.discrepancies] == []
    world.quiet()


def test_what_is_born_at_the_target_reaches_the_others_once(world: World) -> None:
    h = world.h
    who = h.put(h.sample(Entity.CUSTOMER, 1))
    bill = h.put(untaxed(h.sample(Entity.INVOICE, 1, customer_id=who), h))
    h.exchange()
    h.put(h.sample(Entity.PAYMENT, 1, customer_id=who, invoice_id=bill))
    h.put(h.sample(Entity.CREDIT_MEMO, 1, customer_id=who))
    h.exchange()
    report = world.settle()
    assert report.failures == []
    assert set(world.counts().values()) == {(1, 1)}, [d.as_json() for d in report.discrepancies]
    left, right = world.owed()
    assert left == right
    assert [d.as_json() for d in report.discrepancies] == []
    world.quiet()


def test_a_part_paid_invoice_is_paid_in_full_later(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    for amount, left_open in (("50.00", 70), ("70.00", 0)):
        world.l.put(payment(ada.ref.id, amount, on=((bill.ref.id, amount),), reference=f"chk {amount}"))
        report = world.settle()
        assert world.owed() == (D(left_open), D(left_open))
        assert [d.as_json() for d in report.discrepancies] == []
    world.quiet()


def test_a_change_flows_where_the_target_takes_it_and_is_a_named_difference_where_not(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd", phone="555 1"))
    bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1", memo="first"))
    world.settle()
    world.l.edit(Entity.CUSTOMER, ada.ref.id, phone="555 2")
    world.l.edit(Entity.INVOICE, bill.ref.id, memo="second")
    report = world.settle()
    takes = {"phone": world.caps.can(Entity.CUSTOMER, Op.UPDATE), "memo": world.caps.can(Entity.INVOICE, Op.UPDATE)}
    told = {(d.field, d.code, d.cause.replace("no such", "no")) for d in report.discrepancies}
    why = f"{world.right.name} takes no change of this record"
    assert told == {(name, "SYNC_BLOCKED", why) for name, taken in takes.items() if not taken}
    assert all(d.delta == 0 for d in report.discrepancies)
    assert report.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    world.quiet()


def test_a_credit_memo_that_is_applied_flows_or_is_a_named_difference(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    memo = world.l.put(credit_memo(ada.ref.id, "20.00", number="C-1"))
    world.settle()
    world.l.apply(memo.ref.id, bill.ref.id, D("20.00"), DAY)
    report = world.settle()
    applies = world.caps.credits_by_payment or world.caps.can(Entity.CREDIT_MEMO, Op.UPDATE)
    assert world.owed() == (D(100), D(100))
    told = [(d.code, d.cause.replace("no such", "no").split(";")[0]) for d in report.discrepancies]
    code = "APPLICATION_MISSING" if "applications" in world.caps.fields[Entity.CREDIT_MEMO] else "SYNC_BLOCKED"
    assert told == ([] if applies else [(code, f"{world.right.name} takes no change of this record")])
    assert report.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    world.quiet()


@pytest.mark.parametrize(("entity", "world"), LOST, indirect=["world"])
def test_an_answer_that_is_lost_makes_one_record(world: World, entity: Entity) -> None:
    if not world.caps.synchronous:
        # Files have no answers to lose: what is handed over is pending until an export shows it, as in every test here.
        assert not world.caps.by_id
        return
    ada = world.l.put(customer("Ada Ltd"))
    bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    born = {
        Entity.PAYMENT: lambda: payment(ada.ref.id, "50.00", on=((bill.ref.id, "50.00"),), reference="chk 1"),
        Entity.CREDIT_MEMO: lambda: credit_memo(ada.ref.id, "20.00", number="C-1"),
        Entity.INVOICE: lambda: invoice(ada.ref.id, "30.00", number="L-2"),
    }
    if entity is not Entity.CUSTOMER:
        world.settle()
        world.l.put(born[entity]())
    with world.h.trouble(Trouble.LOST_ANSWER):
        report = world.run()
    assert report.applied["unknown"] >= 1
    report = world.settle()
    assert all(left == right for left, right in world.counts().values())
    left, right = world.owed()
    assert left == right
    assert [d.as_json() for d in report.discrepancies] == []
    world.quiet()


def test_a_document_in_a_closed_period_is_refused_and_named(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd"))
    world.settle()
    world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    if not world.caps.synchronous:
        # Files do not tell which periods are closed: the ERP refuses the row when it loads it.
        assert not world.caps.periods_readable
        return
    world.h.close_books(date(2026, 1, 31))
    report = world.settle()
    assert world.counts()[Entity.INVOICE] == (1, 0)
    [d] = [d for d in report.discrepancies if d.delta]
    assert d.code == ("PERIOD_LOCKED" if world.caps.periods_readable else "SYNC_BLOCKED")
    assert report.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    world.quiet()


def entered_there(h: Any) -> None:
    """Somebody at the screen of the target changes what tieout wrote last: an invoice's due date, or, since those of X3
    are its own, a customer's telephone number.
    """
    match h:
        case MemoryHarness():
            [one] = h.books.all(Entity.INVOICE)
            h.books.edit(Entity.INVOICE, one.ref.id, due=THEIRS)
        case QuickBooksHarness():
            [doc] = h.bench.books.all("Invoice")
            moved = {"Id": doc["Id"], "SyncToken": doc["SyncToken"], "sparse": True, "DueDate": THEIRS.isoformat()}
            h.bench.books.apply("Invoice", "update", moved)
        case FileErpHarness():
            [one] = h.erp.books.documents
            h.erp.books.change(one, due=THEIRS)
        case SageX3Harness():
            [row] = h.bench.books.rows("BPC")
            h.edit(Entity.CUSTOMER, row["BPCNUM"], phone="555 8")


def test_what_somebody_changes_before_it_is_read_back_stands_and_is_named(world: World) -> None:
    ada = world.l.put(customer("Ada Ltd", phone="555 1"))
    entity = Entity.CUSTOMER if isinstance(world.h, SageX3Harness) else Entity.INVOICE
    if entity is Entity.INVOICE:
        world.settle()
        bill = world.l.put(invoice(ada.ref.id, "120.00", number="L-1"))
    create = world.right.create

    def raced(record: Any, **kw: Any) -> Any:
        written = create(record, **kw)
        entered_there(world.h)
        return written

    if world.caps.synchronous:
        world.right.create = raced  # type: ignore[method-assign]
    world.run()
    world.right.create = create  # type: ignore[method-assign]
    if not world.caps.synchronous:
        world.h.advance(86_400)
        world.h.erp.load_outbox(world.h.outbox)
        entered_there(world.h)
        world.h.exchange()
    world.run()
    if entity is Entity.INVOICE:
        world.l.edit(entity, bill.ref.id, due=date(2026, 3, 3))
    else:
        world.l.edit(entity, ada.ref.id, phone="555 9")
    report = world.settle()
    field, theirs = ("due", THEIRS) if entity is Entity.INVOICE else ("phone", "555 8")
    [held] = [o.record for o in world.right.pull(entity)]
    [d] = [d for d in report.discrepancies if d.field == field]
    assert getattr(held, field) == theirs
    assert ("takes no" in d.cause) is not ("conflict" in d.cause), d.cause
    assert ("conflict" in d.cause) is (world.caps.can(entity, Op.UPDATE)), d.cause
    assert {money["remainder"] for money in report.as_json()["bridge"].values()} <= {"0.00"}
    world.quiet()
