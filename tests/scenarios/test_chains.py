"""Several pairs that share connections: three sets of books in a row, and in a triangle, in any order of runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.deep import DEEP
from tests.scenarios.world import _EVERYTHING, DAY, WIDE, credit_memo, customer, invoice, payment
from tieout.connectors.memory import ManualClock, open_books
from tieout.model import Entity, PostingState
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.store import open_store

D = Decimal
ROW = (("a", "b"), ("b", "c"))
TRIANGLE = (*ROW, ("a", "c"))


class Company:
    """Books a, b and c and pairs between them, in one state."""

    def __init__(self, pairs: Sequence[tuple[str, str]], **pair: Any) -> None:
        self.clock = ManualClock()
        self.live = {n: open_books(n, "idempotency_key", clock=self.clock) for n in "abc"}
        self.store = open_store("sqlite://", clock=self.clock)
        settings: dict[str, Any] = {
            "mode": "auto", "codes": Codes.same(), "limits": WIDE, "unattended": _EVERYTHING, **pair
        }  # fmt: skip
        self.pairs = [Pair(f"{left}-{right}", left, right, **settings) for left, right in pairs]

    def books(self, name: str) -> Any:
        return self.live[name].books

    def run(self, pair: Pair) -> Report:
        self.clock.tick(60)
        live = {n: self.live[n] for n in (pair.left, pair.right)}
        return sync(self.store, live, pair, apply=True, heartbeat=False)

    def rounds(self, count: int = 2) -> list[Report]:
        return [self.run(pair) for _ in range(count) for pair in self.pairs][-len(self.pairs) :]

    def writes(self) -> int:
        return sum(len(self.books(n).received) for n in "abc")

    def holds(self, name: str) -> dict[str, Any]:
        """What the books say, without their own ids."""
        books = self.books(name)
        numbers = {i.ref.id: i.number for i in books.all(Entity.INVOICE)}
        money = [*books.all(Entity.PAYMENT), *books.all(Entity.CREDIT_MEMO)]
        return {
            "customers": sorted(c.name for c in books.all(Entity.CUSTOMER)),
            "invoices": sorted((i.number, i.total, i.memo, i.state) for i in books.all(Entity.INVOICE)),
            "money": sorted(
                (
                    getattr(m, "reference", None) or m.number,
                    m.state,
                    sorted((numbers[x.invoice], x.amount) for x in m.applications if x.reversed_on is None),
                )
                for m in money
                if m.state is not PostingState.VOIDED or not getattr(m, "credits", ())
            ),
            "open": sorted((i.number, books.open(Entity.INVOICE, i.ref.id)) for i in books.all(Entity.INVOICE)),
        }

    def agree(self) -> None:
        """All three say the same, nothing is listed, and another round writes nothing."""
        reports = self.rounds()
        assert self.holds("a") == self.holds("b") == self.holds("c")
        assert [d for r in reports for d in r.discrepancies if d.code != "APPLICATION_DATE"] == []
        writes = self.writes()
        assert all(r.operations == [] for r in self.rounds(1))
        assert self.writes() == writes


IN_A_ROW = list(itertools.permutations(ROW))
IN_A_TRIANGLE = list(itertools.permutations(TRIANGLE))
name_of = lambda pairs: " ".join(map("".join, pairs))  # noqa: E731  an id of a parameter


# Against the order of the runs in a row, and out of the middle of a triangle; `make deep` goes through all.
BORN = (
    list(itertools.product([*IN_A_ROW, *IN_A_TRIANGLE], "abc"))
    if DEEP
    else [(IN_A_ROW[1], "a"), (IN_A_TRIANGLE[4], "b")]
)


@pytest.mark.parametrize(("pairs", "born"), BORN, ids=lambda given: given if isinstance(given, str) else name_of(given))
def test_what_happens_in_one_set_of_books_reaches_the_others_once(pairs: Sequence[tuple[str, str]], born: str) -> None:
    """Created, changed, part-paid, re-applied, credited and voided where it was born."""
    company = Company(pairs)
    home = company.books(born)
    ada = home.put(customer())
    one, two = (home.put(invoice(ada.ref.id, "100.00", number=n)) for n in ("I-1", "I-2"))
    company.rounds()
    home.edit(Entity.INVOICE, one.ref.id, memo="changed", subtotal=D("120.00"), total=D("120.00"))
    pay = home.put(payment(ada.ref.id, "80.00", on=((one.ref.id, "80.00"),), reference="P-1"))
    company.rounds()
    home.edit(Entity.PAYMENT, pay.ref.id, applications=())
    home.apply(pay.ref.id, two.ref.id, D("50.00"), DAY)
    memo = home.put(credit_memo(ada.ref.id, "30.00", number="C-1"))
    home.apply(memo.ref.id, one.ref.id, D("30.00"), DAY)
    company.agree()
    home.void(Entity.PAYMENT, pay.ref.id)
    company.agree()
    assert dict(company.holds("c")["open"]) == {"I-1": D("90.00"), "I-2": D("100.00")}
    for name in "abc":
        counts = [len(company.books(name).all(e)) for e in (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO)]
        assert counts == [1, 2, 1]


@pytest.mark.parametrize("pairs", IN_A_TRIANGLE if DEEP else IN_A_TRIANGLE[5:], ids=name_of)
def test_our_own_write_for_another_pair_is_no_edit_by_hand(pairs: Sequence[tuple[str, str]]) -> None:
    """A changes twice while only some pairs run: nobody is accused, nothing conflicts, the last word of A arrives."""
    company = Company(pairs)
    home = company.books("a")
    ada = home.put(customer())
    one = home.put(invoice(ada.ref.id, "100.00", number="I-1"))
    company.rounds()
    for text, ran in (("first", company.pairs[:2]), ("second", company.pairs[2:]), ("third", company.pairs[1:])):
        home.edit(Entity.INVOICE, one.ref.id, memo=text)
        for pair in ran:
            report = company.run(pair)
            assert not [d for d in report.discrepancies if "non_owner" in d.cause or "conflict" in d.cause], (
                text,
                pair,
            )
    company.agree()
    assert company.holds("c")["invoices"][0][2] == "third"


def test_an_edit_by_hand_at_the_end_of_a_chain_is_named_and_not_overwritten() -> None:
    company = Company(TRIANGLE)
    home = company.books("a")
    ada = home.put(customer())
    one = home.put(invoice(ada.ref.id, "100.00", number="I-1"))
    company.rounds(1)
    [mirror] = company.books("c").all(Entity.INVOICE)
    company.books("c").edit(Entity.INVOICE, mirror.ref.id, memo="by hand")
    home.edit(Entity.INVOICE, one.ref.id, memo="at home")
    for _ in range(2):
        reports = {r.pair: r for r in company.rounds(1)}
    assert [d for d in reports["a-c"].discrepancies if "conflict" in d.cause]
    assert company.holds("c")["invoices"][0][2] == "by hand"
    assert company.holds("b")["invoices"][0][2] == "at home"


@pytest.mark.parametrize("pairs", [IN_A_ROW[0], IN_A_TRIANGLE[3]], ids=name_of)
def test_a_chain_survives_the_loss_of_its_state(pairs: Sequence[tuple[str, str]]) -> None:
    """Over a new state nothing is made again, and changes still reach the end."""
    company = Company(pairs)
    home = company.books("a")
    ada = home.put(customer())
    one = home.put(invoice(ada.ref.id, "100.00", number="I-1"))
    home.put(payment(ada.ref.id, "40.00", on=((one.ref.id, "40.00"),), reference="P-1"))
    company.rounds()
    company.store = open_store("sqlite://", clock=company.clock)
    company.agree()
    home.edit(Entity.INVOICE, one.ref.id, memo="after the loss")
    company.agree()
    assert company.holds("c")["invoices"] == [("I-1", D("100.00"), "after the loss", PostingState.POSTED)]
    assert [len(company.books(n).all(Entity.INVOICE)) for n in "abc"] == [1, 1, 1]
