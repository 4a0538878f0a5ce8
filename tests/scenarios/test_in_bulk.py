"""Books of few records are loaded one by one, large ones in bulk: what a run makes of them is the same."""

from __future__ import annotations

import contextlib
import multiprocessing
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.world import World, credit_memo, customer, invoice, payment, write_off
from tieout.compare.inputs.tables import Shared
from tieout.model import Entity
from tieout.sync.engine import Report
from tieout.sync.inputs import links

# One of each kind of difference that people make by hand afterwards.
EXPECTED = {"AMOUNT_NET", "PAYMENT_MISSING", "UNAPPLIED_CASH", "DUE_DATE_DIFF", "CUSTOMER_FIELD_DIFF"}


def _told(report: Report) -> Any:
    """What a run says, without the ids that it gives to runs and subjects."""
    result = report.comparison
    assert result is not None
    listed = sorted((d.id, d.code, d.left_value, d.right_value, d.delta, d.secondary) for d in report.discrepancies)
    moved = sorted((o.op.value, o.entity.value, o.target) for o in report.operations)
    return listed, moved, result.matched, result.left, result.right, result.bridge, report.linked, dict(report.applied)


def _story() -> list[Any]:
    """Books that already hold the same and more, a first run that carries over, edits by hand, and runs after them."""
    w = World()
    told = []
    for books in (w.l, w.r):
        ada = books.put(customer("Ada Ltd", number="7")).ref.id
        books.put(invoice(ada, "100.00", number="INV-1"))
    bea = w.l.put(customer("Bea & S\u00f6hne", email="bea@example.com")).ref.id
    bills = [w.l.put(invoice(bea, f"{n}0.00", number=f"A-{n}")).ref.id for n in range(2, 6)]
    w.l.put(payment(bea, "20.00", on=((bills[0], "20.00"),), reference="P1"))
    w.l.put(payment(bea, "30.00", on=((bills[1], "30.00"),), reference="P2"))
    w.l.put(credit_memo(bea, "5.00", number="C-1"))
    w.l.put(write_off(bea, "1.00", bills[2]))
    told += [_told(w.run()), _told(w.run())]
    there = {r.number: r.ref.id for r in w.r.all(Entity.INVOICE)}
    w.r.edit(Entity.INVOICE, there["A-4"], subtotal=Decimal("41.00"), total=Decimal("41.00"))
    w.r.edit(Entity.INVOICE, there["A-5"], due=w.clock().date())
    paid = {r.reference: r.ref.id for r in w.r.all(Entity.PAYMENT)}
    w.r.unapply(paid["P2"], there["A-3"])
    w.r.put(payment(w.r.all(Entity.CUSTOMER)[0].ref.id, "3.00", reference="P9"))
    w.r.edit(Entity.CUSTOMER, w.r.all(Entity.CUSTOMER)[-1].ref.id, email="other@example.com")
    w.set(mode="observe")
    told += [_told(w.run()), _told(w.run(sweep=True))]
    codes = {d.code for d in w.run().discrepancies}
    assert codes >= EXPECTED, codes
    return told


def test_books_loaded_in_bulk_lead_to_the_same_as_those_loaded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    few = _story()
    monkeypatch.setattr(links, "FEW", 0)
    assert _story() == few


def test_a_process_that_was_forked_off_compares_with_an_engine_of_its_own() -> None:
    """Its parent's engine has threads that are not there: to close it would take for ever."""

    def compared() -> list[tuple[int, ...]]:
        with contextlib.closing(Shared()) as con:
            return con.execute("SELECT 42").fetchall()

    assert compared() == [(42,)]
    child = multiprocessing.get_context("fork").Process(target=compared)
    child.start()
    child.join(60)
    ended = child.exitcode
    child.kill()
    assert ended == 0
