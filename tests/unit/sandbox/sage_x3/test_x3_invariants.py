"""Whatever people, programs and the task server do, the books balance, and a refused write leaves no trace."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.unit.sandbox.sage_x3.conftest import allocation, customer, line
from tieout.sandbox.sage_x3 import Books, Refused, Switches

REACHED: set[Any] = set()
AMOUNTS = st.integers(-60, 400).map(lambda n: Decimal(n) / 4)
TABLES = ("SINVOICE", "PAYMENTH", "GACCDUDATE", "GACCENTRY", "BPCUSTOMER", "MATCH", "LINK", "ACODNUM")


class Installation(RuleBasedStateMachine):
    """Random documents, payments, credit memos, matchings and reversals of two customers, on slow and fast servers."""

    @initialize(
        delay=st.sampled_from([0, 60]),
        matching=st.sampled_from([0, 60]),
        hold=st.sampled_from(["at_entry", "at_posting"]),
        auto=st.sampled_from(["auto", "manual"]),
        payments=st.sampled_from(["auto", "manual"]),
        codes=st.sampled_from(["replaced", "remain"]),
        posting=st.sampled_from(["manual", "batch"]),
    )
    def open(self, delay, matching, hold, auto, payments, codes, posting) -> None:
        switches = Switches(
            posting_delay=delay,
            matching_delay=matching,
            payment_hold=hold,
            credit_matching=auto,
            payment_posting=payments,
            partial_codes=codes,
            posting=posting,
        )
        self.books = Books("empty", switches, lambda: datetime(2026, 2, 2, 20, tzinfo=UTC))
        customer(self.books, "A", PTE="HALVES")
        customer(self.books, "B", CUR="USD")

    def attempt(self, name: str, act: Any) -> None:
        self.books.work()
        before = {table: dict(self.books.store.tables[table]) for table in TABLES}
        effects, pending = len(self.books.effects), len(self.books.tasks.pending)
        try:
            act()
        except Refused as told:
            REACHED.add((name, told.key))
            assert {table: dict(self.books.store.tables[table]) for table in TABLES} == before
            assert (len(self.books.effects), len(self.books.tasks.pending)) == (effects, pending)
        else:
            REACHED.add(name)

    def some(self, data: st.DataObject, object: str) -> Any:
        found = [row["NUM"] for row in self.books.rows(object)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(
        who=st.sampled_from("AB"),
        kind=st.sampled_from(["INV", "INV", "CRM"]),
        amounts=st.lists(AMOUNTS, max_size=2),
        level=st.sampled_from(["NOR", "EXO"]),
        month=st.sampled_from([11, 12]),
        post=st.sampled_from([True, True, True, False]),
        data=st.data(),
    )
    def document(self, who, kind, amounts, level, month, post, data) -> None:
        origin = self.some(data, "SIH") if kind == "CRM" and data.draw(st.booleans()) else None
        fields = {"SALFCY": "HLS01", "SIVTYP": kind, "BPCINV": who, "INVDAT": date(2025, month, 5)}
        fields["lines"] = [line(str(a), level) for a in amounts]
        fields |= {"SIHORINUM": origin} if origin else {}
        known = len(self.books.rows("SIH"))
        self.attempt(f"save {kind}", lambda: self.books.save("SIH", fields))
        if post and len(self.books.rows("SIH")) > known:
            num = self.books.rows("SIH")[-1]["NUM"]
            self.attempt("POST", lambda: self.books.action("SIH", "POST", (num,)))

    @rule(code=st.sampled_from(["POST", "UNPOST"]), data=st.data())
    def press(self, code, data) -> None:
        num = self.some(data, "SIH")
        if num:
            self.attempt(code, lambda: self.books.action("SIH", code, (num,)))

    @rule(amount=AMOUNTS, data=st.data())
    def change(self, amount, data) -> None:
        num = self.some(data, "SIH")
        if num:
            self.attempt("modify", lambda: self.books.modify("SIH", (num,), {"lines": [{"NETPRI": amount}]}))

    @rule(data=st.data(), object=st.sampled_from(["SIH", "PAY"]))
    def remove(self, data, object) -> None:
        num = self.some(data, object)
        if num:
            self.attempt(f"delete {object}", lambda: self.books.delete(object, (num,)))

    @rule(who=st.sampled_from("AB"), total=AMOUNTS, parts=st.lists(AMOUNTS, max_size=3), data=st.data())
    def pay(self, who, total, parts, data) -> None:
        open_ = [row for row in self.books.open_items(who) if row["FLGCLE"] == 1]
        rows = []
        for part in parts:
            if open_:
                target = data.draw(st.sampled_from(open_))
                left = (target["AMTCUR"] - target["PAYCUR"] - target["TMPCUR"]) * target["SNS"]
                whole = data.draw(st.booleans())
                rows.append(allocation(target["NUM"], str(left if whole else part)))
        if data.draw(st.booleans()):
            total = sum((row["AMTLIN"] for row in rows), Decimal(0))
        fields = {"FCY": "HLS01", "BPR": who, "AMTCUR": total, "ACCDAT": date(2026, 1, 15), "lines": rows}
        self.attempt("pay", lambda: self.books.save("PAY", fields))

    @rule(who=st.sampled_from("AB"), more=st.sampled_from([0, 50, -5]), share=st.sampled_from([1, 2]), data=st.data())
    def pay_one(self, who, more, share, data) -> None:
        rows = [row for row in self.books.open_items(who) if row["AMTCUR"] - row["PAYCUR"] - row["TMPCUR"] > 0]
        if rows:
            row = data.draw(st.sampled_from(rows))
            left = ((row["AMTCUR"] - row["PAYCUR"] - row["TMPCUR"]) * row["SNS"] / share).quantize(Decimal("0.01"))
            fields = {"FCY": "HLS01", "BPR": who, "AMTCUR": left + more, "ACCDAT": date(2026, 1, 15)}
            fields["lines"] = [allocation(row["NUM"], str(left))]
            self.attempt("pay", lambda: self.books.save("PAY", fields))

    @rule(code=st.sampled_from(["POST", "CANCEL"]), data=st.data())
    def treat(self, code, data) -> None:
        num = self.some(data, "PAY")
        if num:
            self.attempt(f"{code} PAY", lambda: self.books.action("PAY", code, (num,)))

    @rule(who=st.sampled_from("AB"), data=st.data())
    def match(self, who, data) -> None:
        rows = [row for row in self.books.open_items(who) if row["FLGCLE"] == 1 and row["DUDLIG"] == 1]
        sides = [[row for row in rows if row["SNS"] == sense] for sense in (1, -1)]
        if all(sides):
            pair = [data.draw(st.sampled_from(side)) for side in sides]
            amount = min(row["AMTCUR"] - row["PAYCUR"] - row["TMPCUR"] for row in pair)
            parts = [(row["TYP"], row["NUM"], amount) for row in pair]
            self.attempt("match", lambda: self.books.match(who, parts))

    @rule(seconds=st.sampled_from([30, 60, 600]))
    def wait(self, seconds) -> None:
        self.books.forward(seconds)

    @rule(stopped=st.booleans())
    def tasks(self, stopped) -> None:
        if stopped:
            self.books.stop_tasks()
        else:
            self.books.start_tasks()

    @invariant()
    def whole(self) -> None:
        self.books.check()


@pytest.fixture(scope="module")
def reached() -> set[Any]:
    """What random installations went through; their books were whole after each step."""
    REACHED.clear()
    run_state_machine_as_test(
        Installation, settings=settings(max_examples=200, stateful_step_count=40, deadline=None, derandomize=True)
    )
    return set(REACHED)


def test_random_installations_balance(reached: set[Any]) -> None:
    assert reached


def test_every_kind_of_write_is_done_and_refused(reached: set[Any]) -> None:
    assert {
        "save INV",
        "save CRM",
        ("save INV", "negative"),
        "POST",
        ("POST", "posted"),
        "UNPOST",
        ("UNPOST", "matched"),
        "modify",
        "delete SIH",
        "delete PAY",
        "pay",
        ("pay", "over_allocated"),
        ("pay", "over_total"),
        "POST PAY",
        "CANCEL PAY",
        "match",
    } <= reached, sorted(map(str, reached))
