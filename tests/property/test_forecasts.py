"""A forecast divides exactly what is open: over the weeks, whatever the habits, instalments, promises and disputes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.ledgers import JAN31, applied, credit, invoice, payment
from tieout.model import ZERO, Instalment, exponent, from_micros
from tieout.reports import Books
from tieout.reports.cash.expected import divided
from tieout.reports.cash.forecast import build
from tieout.reports.cash.promises import Promise

reached: Counter[str] = Counter()
amounts = st.integers(1, 10**9).map(lambda n: from_micros(n * 10))
offsets = st.integers(-90, 60).map(lambda n: JAN31 + timedelta(days=n))


@st.composite
def books(draw):
    records, promises = [], []
    for n in range(draw(st.integers(0, 14))):
        who, currency, total = draw(st.sampled_from("AB")), draw(st.sampled_from(["USD", "JPY", "KWD"])), draw(amounts)
        issued, due = JAN31 - timedelta(days=100), draw(st.none() | offsets)
        more = {}
        if draw(st.integers(0, 4)) == 0:
            first = draw(amounts)
            more["instalments"] = tuple(Instalment(due=draw(offsets), amount=a) for a in (first, draw(amounts)))
        id = f"I{n}"
        records.append(
            invoice(
                id,
                who,
                str(total),
                issued.isoformat(),
                due=due,
                currency=currency,
                disputed=draw(st.booleans()),
                **more,
            )
        )
        if draw(st.booleans()):
            on = min(draw(offsets), JAN31).isoformat()
            part = draw(st.sampled_from([total, total, total / 2]))
            records.append(payment(f"P{n}", who, str(part), on, currency=currency, apps=[applied(id, str(part), on)]))
        if draw(st.integers(0, 3)) == 0:
            promises.append(Promise(id, draw(amounts), draw(offsets), JAN31 - timedelta(days=3), "kim"))
    if draw(st.booleans()):
        records.append(credit("K", "A", str(draw(amounts)), "2026-01-20", currency="USD"))
    return Books(name="erp", records=records, source={}), promises


@given(books())
def test_the_weeks_add_up_to_what_is_open(given_):
    side, promises = given_
    made = build(side, as_of=JAN31, promises=promises)
    assert all(p.held is not False for p in made.proofs)
    weekly, customers, _ = made.tables
    keys = [c.key for c in weekly.columns]
    for at, row in enumerate(weekly.rows):
        if row.style != "total":
            continue
        ((first, last),) = row.sums
        assert last == at
        parts = weekly.rows[first:last]
        total = {
            k: sum((r.cells[keys.index(k)] for r in parts), ZERO)
            for k in ("expected", "promised", "together", "early", "late")
        }
        assert total["together"] == total["expected"] + total["promised"] == total["early"] == total["late"]
        assert {k: row.cells[keys.index(k)] for k in total} == total
        assert all(r.cells[keys.index(k)] >= 0 for r in parts for k in total)
        currency = row.cells[0]
        opened = [r.cells[3] for r in customers.rows if r.style == "total" and r.cells[0] == currency]
        assert [c.key for c in customers.columns][:4:3] == ["currency", "open"]
        assert total["together"] == sum(opened)
        reached["promised"] += bool(total["promised"])
        reached["disputed"] += bool(parts[-1].cells[keys.index("expected")])
        reached["undated"] += bool(parts[-2].cells[keys.index("expected")])
        reached["dated"] += any(r.cells[keys.index("expected")] for r in parts[:-2])


def test_every_line_was_reached():
    test_the_weeks_add_up_to_what_is_open()
    assert set(+reached) == {"promised", "disputed", "undated", "dated"}


@given(amounts, st.lists(st.integers(1, 50), min_size=1, max_size=30), st.sampled_from(["USD", "JPY", "KWD"]))
def test_shares_are_the_whole_in_minor_units_and_near_their_part(amount, weights, currency):
    parts = divided(amount, weights, currency)
    unit = Decimal(1).scaleb(-exponent(currency))
    assert sum(parts) == amount
    assert all(p % unit == 0 for p in parts[:-1])
    assert all(p >= 0 for p in parts)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - amount * weight / sum(weights)) < unit + (unit if part is parts[-1] else 0)
