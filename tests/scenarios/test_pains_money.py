"""What users of other syncs suffer from: money that is inferred, moved, over-applied, rounded, converted or re-dated."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment, write_off
from tieout.connectors.memory import Fault, FaultKind
from tieout.errors import HomeCurrencyError
from tieout.model import Application, Credit, Entity, PostingState, exponent
from tieout.sync.review import differences

D = Decimal
LATER = DAY + timedelta(days=9)


def quiet(world: World) -> None:
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert (report.changes.opened, report.changes.closed) == (0, 0)
    assert (world.l.fingerprint(), world.r.fingerprint()) == before


def opens(books) -> dict[str, Decimal]:
    """Open amount of each invoice, by number."""
    return {i.number: books.open(Entity.INVOICE, i.ref.id) for i in books.all(Entity.INVOICE)}


def test_no_payment_is_ever_inferred_from_a_balance() -> None:
    """Settled by a credit memo, by a write-off, by two payments: each is what it is, and nothing is made up."""
    world = World()
    ada = world.l.put(customer())
    by_credit, by_write_off, by_two = (world.l.put(invoice(ada.ref.id, "90.00", number=n)) for n in "CWT")
    world.run()
    memo = world.l.put(credit_memo(ada.ref.id, "90.00", number="CM"))
    world.l.apply(memo.ref.id, by_credit.ref.id, D("90.00"), DAY)
    world.l.put(write_off(ada.ref.id, "90.00", by_write_off.ref.id))
    for ref in ("p1", "p2"):
        world.l.put(payment(ada.ref.id, "45.00", on=((by_two.ref.id, "45.00"),), reference=ref))
    report = world.run()
    assert opens(world.r) == {"C": 0, "W": D("90.00"), "T": 0}
    assert world.counts(Entity.PAYMENT) == (2, 2)
    assert world.counts(Entity.ADJUSTMENT) == (1, 0)
    assert world.codes(report) == ["WRITEOFF_ONE_SIDE"]
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    quiet(world)


def test_allocations_end_equal_whatever_was_done_to_them() -> None:
    """Over three invoices, edited, moved, unapplied, voided; the target equals the source each time."""
    world = World()
    ada = world.l.put(customer())
    a, b, c = (world.l.put(invoice(ada.ref.id, "50.00", number=n)).ref.id for n in "ABC")
    pay = world.l.put(payment(ada.ref.id, "90.00", on=((a, "50.00"), (b, "30.00"), (c, "10.00")), reference="p"))
    world.run()
    assert opens(world.r) == {"A": 0, "B": D("20.00"), "C": D("40.00")}
    # Edit one, move another, in one step.
    on = {b: D("5.00"), c: D("50.00"), a: D("35.00")}
    world.l.edit(
        Entity.PAYMENT,
        pay.ref.id,
        applications=tuple(Application(invoice=i, amount=x, amount_invoice=x, applied_on=LATER) for i, x in on.items()),
    )
    world.run()
    assert opens(world.r) == opens(world.l) == {"A": D("15.00"), "B": D("45.00"), "C": 0}
    world.l.edit(Entity.PAYMENT, pay.ref.id, applications=())
    world.run()
    assert opens(world.r) == {"A": D("50.00"), "B": D("50.00"), "C": D("50.00")}
    world.l.apply(pay.ref.id, c, D("50.00"), LATER)
    world.run()
    world.l.void(Entity.PAYMENT, pay.ref.id, LATER)
    world.run()
    assert opens(world.r) == opens(world.l) == {"A": D("50.00"), "B": D("50.00"), "C": D("50.00")}
    assert world.r.all(Entity.PAYMENT)[0].state is PostingState.VOIDED
    quiet(world)


def test_a_merge_that_would_apply_more_than_there_is_writes_nothing() -> None:
    """Each side applied the rest of one payment to another invoice; together they would apply it twice."""
    world = World(policy={(Entity.PAYMENT, "applications"): "two_way"})
    ada = world.l.put(customer())
    a, b = (world.l.put(invoice(ada.ref.id, "50.00", number=n)).ref.id for n in "AB")
    pay = world.l.put(payment(ada.ref.id, "50.00", reference="p"))
    world.run()
    [mirror] = world.r.all(Entity.PAYMENT)
    [right_b] = [i.ref.id for i in world.r.all(Entity.INVOICE) if i.number == "B"]
    world.l.apply(pay.ref.id, a, D("50.00"), LATER)
    world.r.apply(mirror.ref.id, right_b, D("50.00"), LATER)
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert (world.l.fingerprint(), world.r.fingerprint()) == before
    assert [d for d in report.discrepancies if "merge_invalid" in d.cause]
    quiet(world)
    # Someone takes it off on one side: the merge is valid now, and flows.
    world.r.unapply(mirror.ref.id, right_b)
    world.run()
    assert opens(world.r) == opens(world.l) == {"A": 0, "B": D("50.00")}
    assert b in {i.ref.id for i in world.l.all(Entity.INVOICE)}
    quiet(world)


def test_a_payment_for_which_there_is_no_room_is_held_and_named_and_planned_once_there_is() -> None:
    """Paid over there meanwhile: nothing is planned in any run, the amounts are said, and it follows by itself."""
    world = World(flows={Entity.PAYMENT: "left_to_right"})
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    theirs = world.r.put(payment(mirror.customer, "80.00", on=((mirror.ref.id, "80.00"),), reference="r"))
    world.run()
    world.l.put(payment(ada.ref.id, "100.00", on=((inv.ref.id, "100.00"),), reference="l"))
    for _ in range(2):
        report = world.run()
        assert (report.operations, report.applied["blocked"]) == ([], 0)
        [d] = [d for d in report.discrepancies if d.code == "OVER_APPLIED"]
        assert (d.delta, d.confirmed, d.class_) == (D("100.00"), True, "T")
        assert "invoice L-1 has 20.00 open in right, and 100.00 more would be applied to it" in d.cause
        assert "take back" in d.remedy
        assert report.comparison.bridge["USD"].remainder == 0
    quiet(world)
    world.r.void(Entity.PAYMENT, theirs.ref.id, LATER)
    report = world.run()
    assert report.applied["done"] == 1
    assert opens(world.r) == opens(world.l) == {"L-1": 0}
    world.run()  # what a book says against itself is closed where nothing was written
    quiet(world)


def test_a_plan_makes_the_room_first_that_it_needs() -> None:
    """9 and 10: one payment voided, one moved, and new ones in their place; two change places; all ends as it is here."""
    world = World()
    ada = world.l.put(customer())
    a, b, c = (world.l.put(invoice(ada.ref.id, "50.00", number=n)).ref.id for n in "ABC")
    gone, moved, other = (
        world.l.put(payment(ada.ref.id, "50.00", on=((i, "50.00"),), reference=r)).ref.id
        for i, r in ((a, "z-gone"), (b, "y-moved"), (c, "x-other"))
    )
    world.run()
    world.l.void(Entity.PAYMENT, gone, LATER)
    world.l.put(payment(ada.ref.id, "50.00", on=((a, "50.00"),), reference="a-new"))
    for one in (moved, other):
        world.l.edit(Entity.PAYMENT, one, applications=())
    world.l.apply(moved, c, D("50.00"), LATER)
    world.l.apply(other, b, D("50.00"), LATER)
    first = world.run()
    assert first.applied["blocked"] == 0
    assert [o.label for o in first.operations].index("z-gone") < [o.label for o in first.operations].index("a-new")
    world.run()
    wanted = {"a-new": {"A": "50.00"}, "x-other": {"B": "50.00"}, "y-moved": {"C": "50.00"}, "z-gone": {}}
    for books in (world.l, world.r):
        numbers = {i.ref.id: i.number for i in books.all(Entity.INVOICE)}
        assert {
            p.reference: {numbers[x.invoice]: str(x.amount) for x in p.applications if x.reversed_on is None}
            for p in books.all(Entity.PAYMENT)
        } == wanted
    assert opens(world.r) == opens(world.l) == {"A": 0, "B": 0, "C": 0}
    quiet(world)


def test_what_needs_the_room_of_a_void_waits_for_the_person_with_it() -> None:
    """The void is a person's to approve; the payment in its place is not sent ahead, and is not called blocked."""
    world = World(unattended=frozenset())
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "50.00", number="A"))
    gone = world.l.put(payment(ada.ref.id, "50.00", on=((inv.ref.id, "50.00"),), reference="gone"))
    world.run()
    world.l.void(Entity.PAYMENT, gone.ref.id, LATER)
    world.l.put(payment(ada.ref.id, "50.00", on=((inv.ref.id, "50.00"),), reference="new"))
    report = world.run()
    assert (report.applied["blocked"], report.applied["done"], report.waiting, report.exit_code) == (0, 0, 2, 4)
    world.approve(report)
    assert world.run().applied["done"] == 2
    assert opens(world.r) == {"A": 0}
    quiet(world)


def test_a_write_off_and_what_is_on_its_way_leave_less_room() -> None:
    """An invoice that is written off in part over there, and one whose payment is sent and not answered for yet."""
    world = World(flows={Entity.PAYMENT: "left_to_right"})
    ada = world.l.put(customer())
    a, b = (world.l.put(invoice(ada.ref.id, "100.00", number=n)) for n in "AB")
    world.run()
    there = {i.number: i for i in world.r.all(Entity.INVOICE)}
    world.r.put(write_off(there["A"].customer, "30.00", there["A"].ref.id))
    world.l.put(payment(ada.ref.id, "80.00", on=((a.ref.id, "80.00"),), reference="on A"))
    world.l.put(payment(ada.ref.id, "60.00", on=((b.ref.id, "60.00"),), reference="on B"))
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create"))
    report = world.run()
    assert [o.label for o in report.operations] == ["on B"]
    assert [d for d in report.discrepancies if "invoice A has 70.00 open in right, and 80.00 more" in d.cause]
    world.l.put(payment(ada.ref.id, "50.00", on=((b.ref.id, "50.00"),), reference="more on B"))
    assert len(world.r.all(Entity.PAYMENT)) == 1
    world.fail("right")
    report = world.run()
    assert opens(world.r)["B"] == D("40.00")
    assert [d for d in report.discrepancies if "invoice B has 40.00 open in right, and 50.00 more" in d.cause]


@pytest.mark.parametrize("server", ["reject", "drop"])
def test_an_overpayment_is_named_and_never_silently_becomes_a_credit(server: str) -> None:
    """The invoice was paid over there meanwhile; what was wanted and what was booked are compared."""
    world = World(right_rules={"over_application": server})
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.put(payment(mirror.customer, "80.00", on=((mirror.ref.id, "80.00"),), reference="r"))
    world.set(flows={Entity.PAYMENT: "left_to_right"})
    world.run()
    world.l.put(payment(ada.ref.id, "100.00", on=((inv.ref.id, "100.00"),), reference="l"))
    report = world.run()
    assert len(world.r.all(Entity.PAYMENT)) == 1
    assert [d for d in report.discrepancies if d.code == "OVER_APPLIED" or "open there" in d.cause]
    bridge = report.comparison.as_json()["bridge"]["USD"]
    assert bridge["remainder"] == "0.00"


def test_an_application_that_the_server_drops_is_noticed() -> None:
    """The invoice is settled in the second between reading and writing; the read-back tells."""
    world = World(right_rules={"over_application": "drop"}, flows={Entity.PAYMENT: "left_to_right"})
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.l.put(payment(ada.ref.id, "30.00", on=((inv.ref.id, "30.00"),), reference="l"))
    create = world.right.create

    def raced(record, **kw):
        world.r.put(payment(mirror.customer, "100.00", on=((mirror.ref.id, "100.00"),), reference="r"))
        return create(record, **kw)

    world.right.create = raced
    report = world.run()
    world.right.create = create
    assert report.applied["done"] == 1
    assert [d for d in report.discrepancies if "readback_mismatch" in d.cause]
    again = world.run()
    assert [
        d for d in again.discrepancies if d.kind == "payment" or d.code in ("UNAPPLIED_CASH", "APPLICATION_MISSING")
    ]
    quiet(world)


@pytest.mark.parametrize("auto", [False, True])
def test_two_credits_on_one_invoice_are_used_once_each(auto: bool) -> None:
    """With automatic application on and off, and a credit that was partly consumed before."""
    world = World(right_rules={"auto_apply_credits": auto})
    ada = world.l.put(customer())
    first = world.l.put(invoice(ada.ref.id, "10.00", number="I-0"))
    memos = [world.l.put(credit_memo(ada.ref.id, "30.00", number=f"C-{n}")).ref.id for n in (1, 2)]
    world.l.apply(memos[0], first.ref.id, D("10.00"), DAY)
    world.run()
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="I-1"))
    for memo, amount in zip(memos, ("20.00", "30.00"), strict=True):
        world.l.apply(memo, inv.ref.id, D(amount), DAY)
    for _ in range(3):
        report = world.run()
    assert world.counts(Entity.PAYMENT) == (0, 0)
    assert opens(world.l) == opens(world.r) == {"I-0": 0, "I-1": D("50.00")}
    for books in (world.l, world.r):
        assert [books.open(Entity.CREDIT_MEMO, m.ref.id) for m in books.all(Entity.CREDIT_MEMO)] == [0, 0]
    # The server applies on its own day; no amount differs.
    assert set(world.codes(report)) <= {"APPLICATION_DATE"}
    quiet(world)


def test_credits_inside_a_payment_group_are_no_cash() -> None:
    """A zero-amount payment that links a credit to an invoice carries the credit over, and no payment."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="I-1"))
    memo = world.l.put(credit_memo(ada.ref.id, "30.00", number="C-1"))
    world.l.put(
        payment(
            ada.ref.id,
            "0.00",
            on=((inv.ref.id, "30.00"),),
            credits=(Credit(credit_memo=memo.ref.id, amount=D("30.00")),),
        )
    )
    world.run()
    world.run()
    assert world.counts(Entity.PAYMENT) == (1, 0)
    assert opens(world.r) == {"I-1": D("70.00")}
    quiet(world)


def test_tax_that_the_server_recomputes_is_a_named_difference_and_no_loop() -> None:
    """9.975 % on the other side; the document stays as the server booked it, the cents are named."""
    world = World(right_rules={"tax_rate": D("0.09975")})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "448.39", tax=D("40.66"), number="T-1"))
    report = world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    assert mirror.total == D("407.73") + D("40.67")
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.delta, d.currency) == (D("0.01"), "USD")
    assert "readback_mismatch" in d.cause
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"
    writes = len(world.r.received)
    for _ in range(3):
        report = world.run()
    assert (len(world.r.received), report.operations) == (writes, [])
    assert [(x.id, x.delta) for x in report.discrepancies if x.delta] == [(d.id, D("0.01"))]
    assert world.l.all(Entity.INVOICE)[0].total == D("448.39")


def test_each_currency_is_kept_in_itself_down_to_its_own_smallest_unit() -> None:
    """Yen have no cents and dinars have three; nothing is converted."""
    world = World()
    amounts = {"JPY": "12345", "KWD": "10.125", "EUR": "99.99"}
    for currency, amount in amounts.items():
        who = world.l.put(customer(f"In {currency}", currency=currency))
        inv = world.l.put(invoice(who.ref.id, amount, number=currency, currency=currency, exchange_rate=D("0.5")))
        world.l.put(
            payment(who.ref.id, amount, on=((inv.ref.id, amount),), currency=currency, reference=f"p{currency}")
        )
    report = world.run()
    assert report.applied["done"] == 9
    for books in (world.l, world.r):
        assert {i.currency: i.total for i in books.all(Entity.INVOICE)} == {c: D(a) for c, a in amounts.items()}
        assert {i.exchange_rate for i in books.all(Entity.INVOICE)} == {D("0.5")}
    assert {c: b["remainder"] for c, b in report.comparison.as_json()["bridge"].items()} == dict.fromkeys(
        amounts, "0.00"
    )
    assert report.discrepancies == []
    quiet(world)


@pytest.mark.parametrize("mode", ["observe", "link", "propose", "auto"])
def test_books_of_different_home_currencies_are_refused_before_anything_is_written(mode: str) -> None:
    """A rate of 1.10 home units means another thing over there; which books were opened is not kept either."""
    world = World(mode=mode)
    ada = world.l.put(customer(currency="GBP"))
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1", currency="GBP", exchange_rate=D("1.10")))
    world.r.home_currency = "EUR"
    with pytest.raises(HomeCurrencyError, match="left in USD and right in EUR") as caught:
        world.run()
    assert (caught.value.exit_code, caught.value.homes) == (2, {"left": "USD", "right": "EUR"})
    assert "pair books of one home currency" in caught.value.hint
    assert (world.counts(Entity.INVOICE), world.counts(Entity.CUSTOMER)) == ((1, 0), (1, 0))
    assert not [op for op, _ in world.right.faults.calls if op != "company"]
    world.r.home_currency = "USD"  # the right books, after all
    world.run()
    assert world.counts(Entity.INVOICE) == ((1, 1) if mode == "auto" else (1, 0))


def test_an_amount_finer_than_its_currency_is_named_not_rounded() -> None:
    """Half a yen is refused, and nothing near it is written instead."""
    world = World()
    ada = world.l.put(customer(currency="JPY"))
    world.l.put(invoice(ada.ref.id, "100.50", number="half", currency="JPY"))
    world.run()
    report = world.run()
    assert world.counts(Entity.INVOICE) == (1, 0)
    assert exponent("JPY") == 0
    [d] = [d for d in report.discrepancies if d.delta]
    assert (d.code, d.delta) == ("SYNC_BLOCKED", D("-100.50"))
    assert "finer" in d.cause


def test_a_document_in_another_currency_over_there_is_not_the_same_amount() -> None:
    """The same number and the same figures, pounds here and dollars there: named, never netted, never written."""
    world = World()
    for books, currency in ((world.l, "USD"), (world.r, "GBP")):
        who = books.put(customer("Ada Ltd", currency=currency))
        books.put(invoice(who.ref.id, "100.00", number="X-1", currency=currency))
    report = world.run()
    assert [o for o in report.operations if o.entity is Entity.INVOICE] == []
    assert "CURRENCY_MISMATCH" in world.codes(report)
    bridge = report.comparison.as_json()["bridge"]
    assert {b["remainder"] for b in bridge.values()} == {"0.00"}


def test_dates_are_dates_in_every_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Kiritimati (+14) to Pago Pago (-11), over a month end and a change to summer time."""
    import time

    days = [date(2026, 1, 31), date(2026, 3, 29), date(2026, 2, 28), date(2026, 12, 31)]
    worlds = []
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        world = World()
        ada = world.l.put(customer())
        for n, day in enumerate(days):
            world.l.put(invoice(ada.ref.id, "10.00", number=f"D-{n}", posted=day, issued=day, due=day))
        world.run()
        world.l.edit(Entity.INVOICE, "INV-1", memo="an edit must not move a day")
        world.run()
        held = sorted((i.issued, i.posted, i.due) for i in world.r.all(Entity.INVOICE))
        assert held == [(d, d, d) for d in sorted(days)]
        assert world.l.receivables(date(2026, 1, 31)) == world.r.receivables(date(2026, 1, 31)) == {"USD": D("10.00")}
        worlds.append([i.model_dump(mode="json", exclude={"ref", "marker"}) for i in world.r.all(Entity.INVOICE)])
    monkeypatch.delenv("TZ")
    time.tzset()
    assert worlds[0] == worlds[1]


def test_a_comparison_as_of_a_day_counts_that_day_and_no_later_one() -> None:
    """The month end belongs to the month."""
    world = World(flows={Entity.INVOICE: "none"})
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="last", posted=date(2026, 1, 31)))
    world.l.put(invoice(ada.ref.id, "5.00", number="next", posted=date(2026, 2, 1)))
    world.run()
    listed = differences.listed(world.store)
    report = world.run(as_of=date(2026, 1, 31))
    assert report.comparison.as_json()["left"]["totals"]["USD"]["open"] == "10.00"
    assert [d.delta for d in report.discrepancies] == [D("-10.00")]
    kept = [{k: v for k, v in d.items() if k != "last_seen_at"} for d in differences.listed(world.store)]
    assert kept == [{k: v for k, v in d.items() if k != "last_seen_at"} for d in listed]
    world.set(as_of=date(2026, 1, 31))
    world.run()
    assert [d["delta"] for d in differences.listed(world.store)] == ["-10.00"]


def test_a_new_amount_from_books_without_lines_arrives_with_its_line() -> None:
    """9 and 22: an export states no lines; the target adds up its own, so they change with the amount."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    world.l.edit(Entity.INVOICE, inv.ref.id, subtotal=D("130.00"), total=D("130.00"))
    report = world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    assert (mirror.total, [line.net for line in mirror.lines]) == (D("130.00"), [D("130.00")])
    assert (report.applied["done"], report.discrepancies) == (1, [])
    quiet(world)
