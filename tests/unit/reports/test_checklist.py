"""The steps of a close by their facts, and which sign-offs still hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from tests.ledgers import JAN31, D, adjustment, applied, compared, customer, day, invoice, payment
from tieout.model import ControlBalance
from tieout.reports import Books
from tieout.reports.receivables import unapplied
from tieout.reports.review.checklist import Close, Signature, build, signed, steps

BILL = invoice("A", "C1", "100", "2026-01-10")
AT = datetime(2026, 2, 1, 9, tzinfo=UTC)


def control(name: str, amount: str) -> ControlBalance:
    return ControlBalance(
        connection=name, account="1100", as_of=JAN31, amount=D(amount), currency="USD", report="tb", parameters={}
    )


def books(name, *records, amount="100", **more):
    return Books(name=name, records=records, source={}, **({"controls": [control(name, amount)]} | more))


def close(left, right, **more):
    result = compared(list(left.records), list(right.records), as_of=JAN31)
    given = {"listed": (), "ran_at": AT, "waiting": (), "signed": (), "rules": "r1"}
    given["closed"] = {left.name: JAN31, right.name: date(2026, 2, 28)}
    return Close(pair="main", comparison=result, **(given | more))


def stands(left=None, right=None, **more):
    left, right = left or books("l", BILL), right or books("r", BILL)
    return {s.key: s for s in steps((left, right), close(left, right, **more), JAN31)}


def test_a_whole_close_is_met_but_for_what_a_person_looks_at():
    assert {k: s.state for k, s in stands().items() if s.state != "met"} == {}
    made = build(
        (books("l", BILL), books("r", BILL)), as_of=JAN31, close=close(books("l", BILL), books("r", BILL)), detail=True
    )
    assert all(p.held for p in made.proofs)


@pytest.mark.parametrize(
    ("step", "state", "left", "more"),
    [
        ("read", "not met", books("l", BILL, doubts=["a page failed"]), {}),
        ("read", "not met", books("l", BILL, dated=date(2026, 1, 30)), {}),
        ("unreadable", "not met", books("l", BILL, unreadable=1), {}),
        ("control", "not met", books("l", BILL, amount="99.99"), {}),
        ("control", "not known", books("l", BILL, controls=()), {}),
        ("unconfirmed", "to review", books("l", BILL, invoice("B", "C1", "7", "2026-01-11"), amount="107"), {}),
        ("unapplied", "to review", books("l", BILL, payment("P", "C1", "7", "2026-01-11"), amount="93"), {}),
        ("cut_off", "to review", books("l", BILL, invoice("B", "C1", "7", "2026-02-10")), {}),
        ("plan", "not met", None, {"waiting": ["plan 1 is draft"]}),
        ("plan", "not known", None, {"ran_at": None}),
        ("closed", "not met", None, {"closed": {"l": date(2025, 12, 31), "r": None}}),
        ("closed", "not known", None, {"closed": {"l": JAN31, "r": None}}),
        ("closed", "not known", None, {"closed": {"l": JAN31, "r": None}, "then": True}),
    ],
)
def test_each_step_by_its_fact(step, state, left, more):
    assert stands(left, **more)[step].state == state


def test_the_control_step_says_what_the_balances_of_customers_say():
    """A ledger without a figure of the day may still state what each customer owes."""
    owes = {amount: customer("C1", "One", currency="USD", reported_balance=D(amount)) for amount in ("100", "95")}
    silent = books("l", BILL, owes["100"], controls=())
    step = stands(silent)["control"]
    assert (step.state, step.figure) == (
        "not known", "l: no figure of the day that can be held against it; the balances of the customers agree in l",
    )  # fmt: skip
    for controls in ((), [control("l", "100")]):
        step = stands(books("l", BILL, owes["95"], controls=controls))["control"]
        assert step.state == "not met"
        assert "l: the documents of 1 customer in USD" in step.figure
        assert "100.00 against 95.00" in step.figure
    told = stands(books("l", BILL, owes["100"]))["control"]
    assert (told.state, told.figure) == ("met", "3 stated figures tie out"), "what tieout reckons twice is no figure"


def listed(**more):
    base = {"id": "D-1", "code": "AMOUNT_DIFF", "delta": "5.00", "currency": "USD", "severity": "high", "state": "open"}
    return [base | {"reason": None, "accepted_until": None} | more]


def test_grave_differences_block_until_they_are_accepted_and_acceptances_end():
    assert stands(listed=listed())["blocking"].state == "not met"
    assert stands(listed=listed(severity="low"))["blocking"].state == "met"
    told = stands(listed=listed(state="accepted", reason="agreed", accepted_until="2026-02-15T23:59:59.999999Z"))
    assert told["blocking"].state == "met"
    assert told["accepted"].figure == "1 accepted, 1 of them end by 2026-03-03"
    assert told["accepted"].evidence == ("D-1 AMOUNT_DIFF 5.00 USD, until 2026-02-15: agreed",)
    named = listed(kind="invoice", left_label="R-7", currency="JPY", delta="-1234567")
    assert stands(listed=named)["blocking"].evidence == ("D-1 AMOUNT_DIFF R-7 -1,234,567 JPY, open",)
    [customer_] = stands(listed=listed(kind="customer", left_label="Ada", delta="0", currency=None))[
        "blocking"
    ].evidence
    assert "Ada" not in customer_, "who is called otherwise tomorrow voids no sign-off"


def test_evidence_names_documents_as_people_know_them_and_amounts_as_they_read_them():
    other = books("r", BILL, payment("Q", "C1", "7", "2026-01-11"))
    told = stands(right=other)
    assert told["bridge"].evidence == ("SAP 100.00 USD, listed differences -7.00 USD, QuickBooks 93.00 USD",)
    assert told["unapplied"].evidence == ("r: payment Q -7.00 USD",)
    [open_] = told["unconfirmed"].evidence
    assert open_.split(" ", 1)[1] == "PAYMENT_MISSING Q -7.00 USD"
    assert "r: payment Q 2026-01-11 -7.00 USD" not in told["cut_off"].evidence, "that is before the ten days"


def sign(step, role="approved", by="Grace", rules="r1", **more):
    given = {"step": step.key, "role": role, "by": by, "at": AT, "figure": step.figure, "hash": step.hash}
    return Signature(**(given | {"rules": rules, "note": ""} | more))


def test_a_signature_holds_for_its_figure_and_all_behind_it():
    left = books("l", BILL, payment("P", "C1", "7", "2026-01-11"), amount="93")
    other = books("l", BILL, payment("Q", "C1", "7", "2026-01-11"), amount="93")
    was, now = stands(left)["unapplied"], stands(other)["unapplied"]
    assert was.figure == now.figure
    assert signed(was, [sign(was, "prepared", "Ada"), sign(was)], "r1").said == "signed off"
    assert signed(was, [sign(was, "prepared", "Ada")], "r1").said == "prepared; waits for approval"
    assert signed(now, [sign(was)], "r1").said.startswith("void (BACKDATED_AFTER_CLOSE)")
    assert signed(now, [sign(was)], "r2").said.startswith("void (RULE_CHANGED)")
    # Other rules and the same figure: nothing that anybody signed has changed.
    assert signed(was, [sign(was)], "r2").whole
    assert not signed(now, [sign(was)], "r1").whole
    assert signed(now, [sign(was), sign(now)], "r1").whole


def test_the_order_of_the_records_changes_no_figure():
    records = [BILL, *(payment(f"P{n}", "C1", "7", "2026-01-25") for n in range(5))]
    one, two = books("l", *records), books("l", *reversed(records))
    assert {k: s.hash for k, s in stands(one).items()} == {k: s.hash for k, s in stands(two).items()}


def test_a_step_that_was_met_and_no_longer_is_is_void():
    was = stands()["closed"]
    now = stands(closed={"l": day("2025-12-31"), "r": JAN31})["closed"]
    assert (
        signed(now, [sign(was)], "r1").said
        == "void (the figure changed): approved by Grace for l: 2026-01-31; r: 2026-02-28"
    )
    assert replace(was, next="else").hash == was.hash


def test_what_is_to_be_reviewed_as_unapplied_is_what_the_report_on_it_lists():
    """Money and credit of every kind: also a deposit, a refund beyond it, and an invoice settled beyond its amount."""
    side = books(
        "l",
        invoice("A", "C1", "100", "2026-01-10"),
        payment("P", "C1", "130", "2026-01-11", apps=[applied("A", "120", "2026-01-11")]),
        adjustment("D", "C1", "deposit", "7", "2026-01-12"),
        adjustment("W", "C1", "write_off", "2", "2026-01-12"),
        adjustment("R", "C1", "refund", "5", "2026-01-13"),
    )
    listed = unapplied.build([side, books("r")], as_of=JAN31)
    [total] = [r for t in listed.tables if t.key == "customers" for r in t.rows if r.style == "total"]
    cash, credits = total.cells[4:6]
    step = stands(left=side)["unapplied"]
    assert step.figure == f"{cash + credits:,f} USD in l"
    assert len(step.evidence) == 5


def about(code="MISSING_IN_B", **more):
    return {"id": "D-1", "code": code, "kind": "invoice", "left": None, "right": None, "field": "existence", "state": "open",
            "severity": "high", "delta": "7", "currency": "USD"} | more  # fmt: skip


LATER = invoice("L", "C1", "7", "2026-02-03")
VOID = invoice("V", "C1", "7", "2026-01-11", voided_on="2026-02-03")


@pytest.mark.parametrize(
    ("left", "right", "difference", "state"),
    [
        ((LATER,), (), about(left="L"), "met"),
        ((invoice("B", "C1", "7", "2026-01-11"),), (), about(left="B"), "not met"),
        ((VOID,), (invoice("V", "C1", "7", "2026-01-11"),), about("VOID_VS_OPEN", left="V", right="V"), "met"),
        ((VOID,), (), about("INVARIANT_BROKEN", left="V", field="I8 application"), "not met"),  # missing on the right
        ((VOID,), (VOID,), about("INVARIANT_BROKEN", left="V", field="I8 application"), "met"),
        ((VOID,), (VOID,), about("INVARIANT_BROKEN", left="V", field="I1 total"), "not met"),
        ((LATER,), (), about(left="L, B"), "not met"),  # of several, or of nobody that is there: in doubt
        ((LATER,), (), about("PARSE_REJECT", left=None), "not met"),
    ],
)
def test_what_a_later_day_brings_holds_up_no_earlier_close(left, right, difference, state):
    sides = books("l", BILL, *left), books("r", BILL, *right)
    given = close(*sides, listed=[difference])
    found = {s.key: s for s in steps(sides, given, JAN31)}["blocking"]
    assert found.state == state
    said = build(sides, as_of=JAN31, close=given, detail=False).notes
    assert ("1 grave difference is of what was posted or voided after 2026-01-31" in " ".join(said)) == (state == "met")
