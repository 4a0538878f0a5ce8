"""Suggestions never spend more than there is, find what is planted, and do not depend on the order of the records."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.deep import examples
from tests.ledgers import JAN31, applied, credit, customer, day, invoice, payment
from tieout.model import ZERO, Entity
from tieout.reports import Books
from tieout.reports.cash.paying import day as day_
from tieout.reports.cash.subsets import Caps
from tieout.reports.cash.suggest import suggest
from tieout.reports.ledger import Subledger

START = day("2026-01-01")
FAMILY = [customer("T", "Top"), customer("A", "A", parent="T", terms="2/10 net 30"), customer("B", "B", parent="T")]
STRANGER = customer("S", "Stranger")
who = st.sampled_from(["T", "T", "T", "A", "B", "S"])
# Few amounts and few days, so that equal ones, sums and numbers shared by documents are common.
cents = st.sampled_from([500, 700, 1000, 1500, 2500, 4000, 9800, 10_000]).map(lambda n: Decimal(n) / 100)
early = st.integers(0, 8).map(lambda n: (START + timedelta(days=n)).isoformat())
days = st.integers(6, 30).map(lambda n: (START + timedelta(days=n)).isoformat())
currency = st.sampled_from(["USD"] * 5 + ["EUR"])
numbers = st.sampled_from(["RE-10001", "RE-10002", "RE-10003", "10004", "88"])
texts = st.none() | st.none() | st.lists(numbers, max_size=3).map(", ".join)
reached: Counter[str] = Counter()


@st.composite
def ledgers(draw):
    bills = [
        invoice(f"I{n}", draw(who), str(draw(cents)), draw(early), number=draw(numbers), currency=draw(currency))
        for n in range(draw(st.integers(1, 8)))
    ]
    memos = [
        credit(f"K{n}", draw(who), str(draw(cents)), draw(days), number=draw(numbers), currency=draw(currency))
        for n in range(draw(st.integers(0, 2)))
    ]
    money = []
    for n in range(draw(st.integers(1, 4))):
        target = draw(st.sampled_from([*bills, None, None, None, None]))
        several = draw(st.lists(st.sampled_from(bills), max_size=3, unique_by=lambda b: b.ref.id))
        amount = sum((b.total for b in several), ZERO) or draw(cents)
        part = min(amount, target.total) / 2 if target else ZERO
        money.append(
            payment(
                f"P{n}",
                target.customer if target else several[0].customer if several else draw(who),
                str(amount),
                draw(days),
                currency=target.currency if target else draw(currency),
                reference=draw(texts),
                memo=draw(texts),
                payer=draw(st.none() | who),
                apps=[applied(target.ref.id, str(part), draw(days))] if target else [],
            )
        )
    return [*FAMILY, STRANGER, *bills, *memos, *money]


def side(records):
    return day_(Subledger(Books(name="erp", records=records, source={})), JAN31)


@examples(180)
@given(ledgers())
def test_nothing_is_suggested_beyond_what_is_open_and_unapplied(records):
    books = side(records)
    used = defaultdict(lambda: ZERO)
    for s in suggest(books, Caps()):
        reached[s.verdict] += 1
        assert s.unapplied == -books.open[Entity.PAYMENT, s.payment.ref.id] > 0
        for fit in s.fits if s.verdict == "suggested" else ():
            reached[fit.rule] += 1
            assert ZERO < fit.amount <= s.unapplied
            assert len({line.document.ref.id for line in fit.lines}) == len(fit.lines)
            for line in fit.lines:
                d = line.document
                assert d.currency == s.payment.currency
                assert d.posted <= JAN31
                used[d.entity, d.ref.id] += line.amount + line.discount
        assert (s.verdict == "suggested") == (not s.why)
    for key, amount in used.items():
        assert ZERO < abs(amount) <= abs(books.open[key])
        assert amount * books.open[key] > 0


def test_every_rule_and_every_verdict_was_reached():
    test_nothing_is_suggested_beyond_what_is_open_and_unapplied()
    assert {"suggested", "ambiguous", "ask", "none", "named", "amount", "subset"} <= set(reached)


@given(ledgers(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_changes_nothing(records, random):
    shuffled = list(records)
    random.shuffle(shuffled)
    assert suggest(side(records), Caps()) == suggest(side(shuffled), Caps())


@given(
    st.lists(st.integers(10_000, 99_999), min_size=3, max_size=14, unique=True),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_a_planted_answer_is_among_what_is_found(amounts, parts, random):
    bills = [invoice(f"I{n}", random.choice("TAB"), str(Decimal(a) / 100), "2026-01-02") for n, a in enumerate(amounts)]
    planted = random.sample(bills, min(parts, len(bills)))
    money = payment("P", "T", str(sum(b.total for b in planted)), "2026-01-30", reference=None)
    strangers = [invoice(f"X{n}", "S", str(b.total), "2026-01-02") for n, b in enumerate(planted)]
    (s,) = suggest(side([*FAMILY, STRANGER, *bills, *strangers, money]), Caps(answers=500))
    found = [{line.document.ref.id for line in f.lines} for f in s.fits]
    if all(b.customer == "T" for b in planted) or not any(f.evidence.count("payment's account") for f in s.fits):
        assert {b.ref.id for b in planted} in found or s.fits[0].rule == "amount"
    assert not any(id.startswith("X") for answer in found for id in answer)
    assert (s.verdict == "suggested") == (len(s.fits) == 1)


@given(st.lists(cents, min_size=1, max_size=8), st.data())
def test_planted_numbers_are_found_among_decoys_of_the_same_amounts(amounts, data):
    bills = [invoice(f"I{n}", "T", str(a), "2026-01-02", number=f"RE-{20001 + n}") for n, a in enumerate(amounts)]
    planted = data.draw(st.lists(st.sampled_from(bills), min_size=1, unique_by=lambda b: b.ref.id))
    text = data.draw(st.sampled_from([", ", " ", " and ", "/", "\n"])).join(b.number for b in planted)
    money = payment("P", "T", str(sum(b.total for b in planted)), "2026-01-30", reference=None, memo=text)
    (s,) = suggest(side([*FAMILY, *bills, money]), Caps())
    assert s.verdict == "suggested"
    assert {line.document.ref.id: line.amount for line in s.fits[0].lines} == {b.ref.id: b.total for b in planted}
