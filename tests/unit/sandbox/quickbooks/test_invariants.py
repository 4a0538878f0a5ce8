"""Whatever people and programs do, the books balance, and a refused write leaves no trace."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.unit.sandbox.quickbooks.conftest import line, to
from tieout.sandbox.quickbooks import Books, Refused, Switches, reports

REACHED: set[Any] = set()
AMOUNTS = st.integers(-5, 300).map(lambda n: Decimal(n) / 4)


class Company(RuleBasedStateMachine):
    """Random creates, edits, applications, voids and deletes on three customers."""

    @initialize(
        auto=st.booleans(),
        closed=st.sampled_from(["reject", "drop_line"]),
        undo=st.sampled_from(["reject", "unlink"]),
        bump=st.booleans(),
    )
    def open(self, auto: bool, closed: Any, undo: Any, bump: bool) -> None:
        switches = Switches(
            auto_apply_credit=auto,
            auto_apply_payment_api=bump,
            apply_to_closed_invoice=closed,
            delete_invoice_with_payment=undo,
            void_invoice_with_payment=undo,
            payment_bumps_invoice_token=bump,
        )
        self.books = Books("empty", switches, lambda: datetime(2026, 2, 2, 20, tzinfo=UTC))
        self.people = []
        for name in ("A", "B"):
            self.people.append(self.books.apply("Customer", "create", {"DisplayName": name})["Id"])
        child = {"DisplayName": "C", "ParentRef": {"value": self.people[0]}}
        self.people.append(self.books.apply("Customer", "create", child)["Id"])

    def attempt(self, entity: str, operation: str, body: dict[str, Any]) -> None:
        before = {e: self.books.all(e) for e in ("Invoice", "CreditMemo", "Payment", "Customer")}
        effects = len(self.books.effects)
        try:
            self.books.apply(entity, operation, body)
        except Refused:
            REACHED.add((entity, operation, False))
            assert {e: self.books.all(e) for e in before} == before
            assert len(self.books.effects) == effects
        else:
            REACHED.add((entity, operation, True))
            if any(self.books.applied.values()):
                REACHED.add("applied")

    def some(self, data: st.DataObject, entity: str) -> dict[str, Any] | None:
        found = self.books.all(entity)
        return data.draw(st.sampled_from(found)) if found else None

    @rule(
        who=st.integers(0, 2), entity=st.sampled_from(["Invoice", "CreditMemo"]), amounts=st.lists(AMOUNTS, max_size=3)
    )
    def form(self, who: int, entity: str, amounts: list[Decimal]) -> None:
        lines = [line(a) for a in amounts]
        self.attempt(entity, "create", {"CustomerRef": {"value": self.people[who]}, "Line": lines})

    @rule(who=st.integers(0, 2), total=AMOUNTS, parts=st.lists(AMOUNTS, max_size=3), data=st.data())
    def pay(self, who: int, total: Decimal, parts: list[Decimal], data: st.DataObject) -> None:
        lines = []
        for part in parts:
            entity = data.draw(st.sampled_from(["Invoice", "CreditMemo"]))
            target = self.some(data, entity)
            if target:
                whole = data.draw(st.booleans())
                lines.append(to(entity, target["Id"], str(target["Balance"] if whole else part)))
        self.attempt(
            "Payment", "create", {"CustomerRef": {"value": self.people[who]}, "TotalAmt": total, "Line": lines}
        )

    @rule(entity=st.sampled_from(["Invoice", "CreditMemo"]), amount=AMOUNTS, data=st.data())
    def resize(self, entity: str, amount: Decimal, data: st.DataObject) -> None:
        doc = self.some(data, entity)
        if doc:
            head = {"Id": doc["Id"], "SyncToken": doc["SyncToken"], "sparse": True}
            self.attempt(entity, "update", {**head, "Line": [line(amount)]})

    @rule(total=AMOUNTS, keep=st.integers(0, 2), data=st.data())
    def reapply(self, total: Decimal, keep: int, data: st.DataObject) -> None:
        doc = self.some(data, "Payment")
        if doc:
            head = {"Id": doc["Id"], "SyncToken": doc["SyncToken"], "CustomerRef": doc["CustomerRef"]}
            self.attempt("Payment", "update", {**head, "TotalAmt": total, "Line": doc["Line"][:keep]})

    @rule(
        entity=st.sampled_from(["Invoice", "CreditMemo", "Payment"]),
        operation=st.sampled_from(["void", "delete"]),
        data=st.data(),
    )
    def undo(self, entity: str, operation: str, data: st.DataObject) -> None:
        doc = self.some(data, entity)
        if doc:
            self.attempt(entity, operation, {"Id": doc["Id"], "SyncToken": doc["SyncToken"]})

    @invariant()
    def balances(self) -> None:
        self.books.check()
        account = self.books.ledger.accounts["84"]
        customers = sum((Decimal(c["Balance"]) for c in self.books.all("Customer")), Decimal(0))
        assert customers == account
        for name in ("AgedReceivables", "CustomerBalance"):
            rows = reports.report(self.books, name, {})["Rows"].get("Row", [])
            total = Decimal(rows[-1]["Summary"]["ColData"][-1]["value"]) if rows else Decimal(0)
            assert total == account


def test_random_companies_balance() -> None:
    REACHED.clear()
    run_state_machine_as_test(
        Company, settings=settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
    )
    assert {
        ("Invoice", "create", True),
        ("Invoice", "create", False),
        ("Payment", "create", True),
        ("Payment", "create", False),
        ("Payment", "update", True),
        ("CreditMemo", "update", True),
        "applied",
    } <= REACHED
