"""Open receivables by effects equal open receivables by items, as of any date; and what breaks in one ledger is said."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deep import examples
from tests.ledgers import D, adjustment, applied, compared, credit, customer, day, invoice, open_items, payment
from tieout import compare
from tieout.compare.findings import applied as applications
from tieout.compare.findings.cash import reduce_to_open
from tieout.compare.inputs.tables import documents, parties
from tieout.mapping.balances import effect, open_amounts, open_receivables
from tieout.mapping.invariants import broken
from tieout.model import ZERO, Credit, Entity, Group, Line, Payment, Share, TaxLine

START = date(2026, 1, 1)
offsets = st.integers(0, 60)
amounts = st.integers(1, 50_000).map(lambda n: Decimal(n) / 100)


def on(n):
    return (START + timedelta(days=n)).isoformat()


def voided(draw, record):
    """The record, sometimes voided, at any day from its posting on or from an unstated one."""
    if not draw(st.booleans()):
        return record
    when = draw(st.none() | st.integers(0, 30).map(lambda n: record.posted + timedelta(days=n)))
    return type(record).model_validate(record.model_dump() | {"state": "voided", "voided_on": when})


@st.composite
def ledgers(draw):
    who = customer("C1", "One", "1")
    bills = [
        voided(draw, invoice(f"I{n}", draw(st.sampled_from(["C1", "C2"])), str(draw(amounts)), on(draw(offsets))))
        for n in range(draw(st.integers(1, 4)))
    ]
    records = [who, customer("C2", "Two", "2"), *bills]
    targets = st.sampled_from([*(b.ref.id for b in bills), "gone"])
    for n in range(draw(st.integers(0, 5))):
        # Applied, taken back, applied again elsewhere: any dates, any amounts, over-applied ones too.
        apps = [
            applied(
                draw(targets),
                str(draw(amounts)),
                on(start := draw(offsets)),
                draw(st.none() | st.integers(0, 20).map(lambda k, s=start: on(s + k))),
            )
            for _ in range(draw(st.integers(0, 3)))
        ]
        make, id = draw(st.sampled_from([(payment, "P"), (credit, "K")]))
        records.append(voided(draw, make(f"{id}{n}", "C1", str(draw(amounts)), on(draw(offsets)), apps=apps)))
    kinds = st.sampled_from(
        ["discount", "write_off", "refund", "returned_payment", "withholding", "finance_charge", "journal"]
    )
    for n in range(draw(st.integers(0, 4))):
        concerned = draw(st.none() | targets)
        made = adjustment(f"A{n}", "C1", draw(kinds), str(draw(amounts)), on(draw(offsets)), document=concerned)
        records.append(voided(draw, made))
    return records


def part(draw, whole):
    """Between a cent and the whole."""
    return Decimal(draw(st.integers(1, int(whole * 100)))) / 100


@st.composite
def settled_together(draw, tag, who):
    """Invoices settled at once, wholly or in part, by money and credits: one payment that links them, or a group.

    Any of them may be voided, dated after the settlement, or not in the ledger.
    """
    bills = [invoice(f"I{tag}{n}", who, str(draw(amounts)), on(draw(offsets))) for n in range(draw(st.integers(2, 3)))]
    shares = tuple(Share(invoice=b.ref.id, amount=part(draw, b.total)) for b in bills)
    whole = sum((s.amount for s in shares), ZERO)
    used = part(draw, whole - Decimal("0.01"))
    more = draw(st.sampled_from([ZERO, Decimal("0.01"), Decimal(7)]))
    note = credit(f"K{tag}", who, str(used + more), on(draw(offsets)))
    about = {"amount": str(whole - used + more), "on": on(draw(offsets))}
    if draw(st.booleans()):
        ends = st.none() | st.integers(0, 20)
        apps = [
            applied(s.invoice, str(s.amount), on(start), None if length is None else on(start + length))
            for s in shares
            for start, length in [(draw(offsets), draw(ends))]
        ]
        cash = payment(f"P{tag}", who, **about, apps=apps, credits=(Credit(credit_memo=note.ref.id, amount=used),))
    else:
        when = day(on(draw(offsets)))
        cash = payment(
            f"P{tag}", who, **about, group=Group(id="1", settled_on=when, amount=whole - used, invoices=shares)
        )
        note = note.model_copy(update={"group": Group(id="1", settled_on=when, amount=used)})
    return [voided(draw, r) for r in (*bills, note, cash) if draw(st.integers(0, 9))]


@examples(120)
@given(settled_together("a", "C1"), settled_together("b", "C2"), st.integers(-1, 95))
def test_what_was_settled_together_is_neutral_for_each_customer(one, two, n):
    as_of = START + timedelta(days=n)
    for ledger, other in ((one, two), (two, one)):
        found = open_amounts([*ledger, *other], as_of)
        own = {(r.entity, r.ref.id): r for r in ledger}
        left = {key: amount for key, amount in found.items() if key in own}
        assert open_receivables(ledger, as_of).get("USD", ZERO) == sum(left.values())
        for key, amount in left.items():
            whole = effect(own[key], as_of)
            # Only a payment may show more applied than it has: where a credit that it links does not count.
            unlinked = isinstance(own[key], Payment) and any(
                (Entity.CREDIT_MEMO, c.credit_memo) not in found for c in own[key].credits
            )
            assert unlinked or min(ZERO, whole) <= amount <= max(ZERO, whole)


def test_what_was_settled_together_is_open_on_neither_end():
    bills = [invoice("I1", "C1", "60", "2026-01-05"), invoice("I2", "C1", "50", "2026-01-06")]
    apps = [applied("I1", "60", "2026-01-20"), applied("I2", "50", "2026-01-20")]
    mixed = payment("P", "C1", "80", "2026-01-20", apps=apps, credits=(Credit(credit_memo="K", amount=D(30)),))
    grouped = payment(
        "P",
        "C1",
        "80",
        "2026-01-15",
        group=Group(
            id="9",
            settled_on=day("2026-01-20"),
            amount=D(80),
            invoices=(Share(invoice="I1", amount=D(60)), Share(invoice="I2", amount=D(50))),
        ),
    )
    for cash, group in ((mixed, None), (grouped, Group(id="9", settled_on=day("2026-01-20"), amount=D(30)))):
        ledger = [customer("C1", "One"), *bills, credit("K", "C1", "30", "2026-01-10", group=group), cash]
        assert [i.document.ref.id for i in open_items(ledger, day("2026-01-20"))] == []
        before = open_amounts(ledger, day("2026-01-19"))
        assert (before[Entity.INVOICE, "I1"], before[Entity.CREDIT_MEMO, "K"]) == (60, -30)
    # One that is missing unmakes the whole group: what is left does not balance.
    without = [r for r in ledger if r.ref.id != "K"]
    assert sorted(i.amount for i in open_items(without, day("2026-01-20"))) == [D(-80), D(50), D(60)]


@examples(120)
@given(ledgers(), st.integers(-1, 95))
def test_open_by_effects_is_open_by_items(ledger, n):
    as_of = START + timedelta(days=n)
    by_items = sum((i.amount for i in open_items(ledger, as_of)), ZERO)
    assert open_receivables(ledger, as_of).get("USD", ZERO) == by_items
    assert not [b for b in broken(ledger, as_of) if b.invariant == "I13"]


@st.composite
def paid_with_credits(draw):
    """Invoices paid on one day by money and a credit memo in one payment, or by the credit alone; a draft, or voided."""
    bills = [
        invoice(f"I{n}", "C1", str(draw(amounts)), on(draw(st.integers(0, 20)))) for n in range(draw(st.integers(1, 3)))
    ]
    total = sum(b.total for b in bills)
    used = total if draw(st.booleans()) else draw(st.integers(1, int(total * 100))) / Decimal(100)
    note = credit("K", "C1", str(used + draw(st.sampled_from([ZERO, D(5)]))), on(draw(st.integers(0, 20))))
    when = on(draw(st.integers(20, 40)))
    apps = [applied(b.ref.id, str(b.total), draw(st.sampled_from([when, on(19)]))) for b in bills]
    both = (Credit(credit_memo="K", amount=used),)
    state = draw(st.sampled_from(["posted", "draft"]))
    money = payment("P", "C1", str(total - used), when, apps=apps, credits=both, state=state)
    return [customer("C1", "One"), *bills, note, voided(draw, money) if state == "posted" else money]


def open_by_sql(ledger, as_of):
    """The open amount of each document that has one, as the comparison reckons it."""
    with duckdb.connect(config={"threads": 1}) as con:
        compare.load_records(con, "left", ledger)
        compare.load_records(con, "right", [])
        documents(con, parties(con), as_of=as_of)
        applications.make(con, ("left",), as_of=as_of)
        reduce_to_open(con, "left", as_of=as_of)
        found = con.execute("SELECT kind, id, eff FROM cmp_left WHERE eff <> 0").fetchall()
    return {(Entity(kind), id): amount for kind, id, amount in found}


@examples(40)
@given(ledgers() | paid_with_credits(), st.integers(-1, 95))
def test_the_comparison_leaves_open_what_is_open(ledger, n):
    as_of = START + timedelta(days=n)
    assert open_by_sql(ledger, as_of) == {key: a for key, a in open_amounts(ledger, as_of).items() if a}


@pytest.mark.parametrize("more", [{"voided_on": "2026-01-25"}, {"state": "draft"}])
@pytest.mark.parametrize(("money", "sums"), [("0", ("60",)), ("30", ("90",)), ("30", ("60", "30"))])
def test_a_credit_is_free_again_once_the_payment_that_used_it_is_voided(money, sums, more):
    bills = [invoice(f"I{n}", "C1", total, "2026-01-05") for n, total in enumerate(sums)]
    apps = [applied(f"I{n}", total, "2026-01-20") for n, total in enumerate(sums)]
    memo = credit("K", "C1", "60", "2026-01-10", reported_open=D(60))
    used = (Credit(credit_memo="K", amount=D(60)),)
    carrier = payment("P", "C1", money, "2026-01-20", apps=apps, credits=used, **more)
    ledger = [customer("C1", "One"), *bills, memo, carrier]
    for when, free in (("2026-01-24", "state" in more), ("2026-01-25", True)):
        found = open_by_sql(ledger, day(when))
        assert (found.get((Entity.CREDIT_MEMO, "K")) == -60) is free, when
        assert sum(found.values(), ZERO) == open_receivables(ledger, day(when))["USD"]
    # The ledger is right to report the credit as free; that cash of its own still stands applied is another matter.
    assert {d.code for d in compared(ledger, ledger).discrepancies} <= {"INVARIANT_BROKEN"}


@given(ledgers(), st.integers(0, 95))
def test_before_the_first_document_and_after_a_void_nothing_is_open(ledger, n):
    assert open_receivables(ledger, START - timedelta(days=1)) == {}
    as_of = START + timedelta(days=n)
    for r in ledger:
        gone = getattr(r, "state", None) == "voided" and max(r.voided_on or r.posted, r.posted) <= as_of
        if gone:
            assert not open_amounts(ledger, as_of).get((r.entity, r.ref.id))


def test_each_movement_moves_the_invoice_on_its_day():
    ledger = [
        customer("C1", "One"),
        invoice("I", "C1", "100", "2026-01-10"),
        # Paid early: counts from the invoice's day; taken back on the 20th and given again on the 25th.
        payment(
            "P",
            "C1",
            "60",
            "2026-01-05",
            apps=[applied("I", "60", "2026-01-05", "2026-01-20"), applied("I", "50", "2026-01-25")],
        ),
        adjustment("D", "C1", "discount", "2", "2026-01-25", document="I"),
        adjustment("W", "C1", "write_off", "8", "2026-02-01", document="I"),
        adjustment("R", "C1", "refund", "10", "2026-02-02"),
        credit("K", "C1", "40", "2026-02-03", apps=[applied("I", "40", "2026-02-03")], voided_on="2026-02-10"),
    ]
    expected = {
        "2026-01-09": (ZERO, D(-60)),
        "2026-01-10": (D(40), ZERO),
        "2026-01-19": (D(40), ZERO),
        "2026-01-20": (D(100), D(-60)),
        "2026-01-25": (D(48), D(-10)),
        "2026-02-01": (D(40), D(-10)),
        "2026-02-03": (ZERO, D(-10)),
        "2026-02-10": (D(40), D(-10)),
    }
    for when, (bill, cash) in expected.items():
        amounts_ = open_amounts(ledger, day(when))
        assert amounts_.get((Entity.INVOICE, "I"), ZERO) == bill, when
        assert amounts_.get((Entity.PAYMENT, "P"), ZERO) == cash, when
    assert open_receivables(ledger, day("2026-02-10")) == {"USD": D(40)}  # 100 − 60 − 2 − 8 + 10


def line(net):
    return Line(
        item=None,
        description=None,
        quantity=None,
        unit_price=None,
        net=D(net),
        tax_code=None,
        tax=None,
        revenue_account=None,
    )


GOOD = [
    customer("C1", "One"),
    customer("C2", "Child", parent="C1"),
    invoice(
        "I",
        "C2",
        "110",
        "2026-01-10",
        tax="10",
        lines=(line("70"), line("30")),
        tax_lines=(TaxLine(code="T", rate=None, base=D(100), amount=D(10)),),
        reported_open=D(50),
    ),
    payment("P", "C1", "60", "2026-01-12", apps=[applied("I", "60", "2026-01-12")], reported_unapplied=D(0)),
]


def test_a_sound_ledger_breaks_nothing():
    assert broken(GOOD, day("2026-01-31"), home_currency="USD") == []


@pytest.mark.parametrize(
    ("invariant", "change"),
    [
        ("I1", [invoice("X", "C1", "10", "2026-01-01", subtotal=D(9))]),
        ("I2", [invoice("X", "C1", "10", "2026-01-01", lines=(line("9"),))]),
        ("I2", [invoice("X", "C1", "10", "2026-01-01", tax="1", tax_lines=(TaxLine(code="T", rate=None, base=D(9), amount=D(2)),))]),
        ("I4", [payment("X", "C1", "5", "2026-01-12", apps=[applied("I", "6", "2026-01-12")])]),
        ("I5", [invoice("X", "C1", "10", "2026-01-01", reported_open=D(9))]),
        ("I6", [payment("X", "C1", "90", "2026-01-12", apps=[applied("I", "90", "2026-01-12")])]),
        ("I7", [payment("X", "C1", "5", "2026-01-12", apps=[applied("absent", "5", "2026-01-12")])]),
        ("I7", [customer("C3", "Stranger"), payment("X", "C3", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")])]),
        ("I8", [payment("X", "C1", "5", "2026-01-12", apps=[applied("I", "5", "2026-01-12")], voided_on="2026-01-13")]),
        ("I10", [invoice("X", "C1", "10", "2026-01-01", currency="EUR", exchange_rate=D(1))]),
        ("I10", [invoice("X", "C1", "10", "2026-01-01", currency="EUR", exchange_rate=D(0))]),
        ("I10", [invoice("X", "C1", "10", "2026-01-01", exchange_rate=D("1.10"))]),
        ("I11", [invoice("X", "C1", "10", "2026-01-01", number="7"), invoice("Y", "C1", "10", "2026-01-01", number="007")]),
    ],
)  # fmt: skip
def test_each_breach_is_named(invariant, change):
    found = {b.invariant for b in broken([*GOOD, *change], day("2026-01-31"), home_currency="USD")}
    assert invariant in found
    assert found <= {invariant, "I5"}  # a wrong application also makes the reported balance wrong
