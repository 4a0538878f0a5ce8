"""Laws of the bridge in base currency over generated ledgers in several currencies, with rates that differ or lack."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_compare_bridge import AS_OF, ledger_pair

from tests.deep import DEEP, examples
from tests.ledgers import credit, customer, invoice, payment
from tieout.compare.base import ONE_RATE, ROUNDED, in_base
from tieout.compare.ledgers import Ledger, compare_ledgers
from tieout.mapping.balances import effect
from tieout.model import ZERO
from tieout.reports import Books
from tieout.reports.reconciliation.bridge import build

D = Decimal
CURRENCIES = ("USD", "USD", "EUR", "JPY", "KWD")
RATES = {"USD": (None, D(1)), "EUR": (D("1.0837"), D("1.09"), D(1), None), "JPY": (D("0.0067"), D("0.00671")),
         "KWD": (D("3.2541"), D("3.2541"), None)}  # fmt: skip
MIRROR = {"MISSING_IN_A": "MISSING_IN_B", "MISSING_IN_B": "MISSING_IN_A"}


@st.composite
def rated_pair(draw):
    """A pair of ledgers as of the comparison's own tests, in several currencies, each document with a rate or none."""
    left, right = draw(ledger_pair())
    of = {r.ref.id.rstrip("d"): draw(st.sampled_from(CURRENCIES)) for r in left if r.entity != "customer"}

    def rated(record):
        if record.entity == "customer":
            return record
        # A generated fault of the currency stays one.
        moved = record.currency if record.currency == "EUR" else of[record.ref.id.rstrip("d")]
        rate = draw(st.sampled_from(RATES[moved]))
        return type(record).model_validate(record.model_dump() | {"currency": moved, "exchange_rate": rate})

    return [rated(r) for r in left], [rated(r) for r in right]


def compared(left, right, as_of):
    return compare_ledgers(Ledger("A", left), Ledger("B", right), as_of=as_of)


@examples(6)
@given(rated_pair(), st.sampled_from([None, AS_OF]))
def test_the_bridge_in_base_currency_closes_and_swapping_negates_it(pair, as_of):
    left, right = pair
    forth = compared(left, right, as_of)
    based = in_base(forth, "USD")
    for side, records in (("left", left), ("right", right)):
        expected: dict[str, Decimal] = {}
        for r in records:
            moved = effect(r, as_of or date.max) if r.entity != "customer" else ZERO
            if (paid := getattr(r, "settled_on", None)) and paid <= (as_of or date.max):
                moved = ZERO  # settled, by the source's own statement
            rate = D(1) if r.entity != "customer" and r.currency == "USD" else getattr(r, "exchange_rate", None)
            if moved and rate is not None:
                amount = (moved * rate).quantize(D("0.01"), rounding=ROUND_HALF_UP)
                expected[r.currency] = expected.get(r.currency, ZERO) + amount
        got = getattr(based, side)
        assert {c: v for c, v in got.items() if v} == {c: v for c, v in expected.items() if v}
    for currency in {*based.left, *based.right}:
        assert based.remainder(currency) == 0, (currency, based.parts)
    back = in_base(compared(right, left, as_of), "USD")
    assert Counter((p.code, p.currency, p.amount) for p in based.parts) == Counter(
        (MIRROR.get(p.code, p.code), p.currency, -p.amount) for p in back.parts
    )
    if as_of:
        listed_to_the_cent(left, right, forth, as_of)
    listed = {d.id for d in forth.result.discrepancies}
    assert all(p.discrepancy in listed for p in based.parts if p.code not in (ONE_RATE, ROUNDED, "FX_RATE"))


def listed_to_the_cent(left, right, forth, as_of):
    """The list of differences adds up, in base currency, to what the bridge says is listed."""
    made = build([Books("A", left, {}), Books("B", right, {})], forth, as_of=as_of, base="USD")
    tables = {t.key: t for t in made.tables}
    [told] = [r.cells[-1] for r in tables["base"].rows if r.cells[1] == "listed differences"]
    base = [c.key for c in tables["differences"].columns].index("base")
    alone = [r for r in tables["differences"].rows if r.style == "detail" and not r.cells[1]]
    assert sum(r.cells[base] for r in tables["differences"].rows if r.style == "detail") == told
    assert bool(tables["differences"].note) == bool(alone)
    if alone:
        assert {r.cells[2] for r in alone} <= {ONE_RATE, ROUNDED, "FX_RATE"}
        SAID.update(r.cells[2] for r in alone)


def test_the_list_of_differences_has_what_rounding_leaves():
    """Before, the list was a cent beside the line of the bridge, and nothing said why."""
    bill = {"currency": "EUR", "exchange_rate": D("1.0837")}
    left = [customer("C", "Ada"), invoice("1", "C", "100.33", "2026-01-05", **bill)]
    right = [customer("C", "Ada"), invoice("1", "C", "101.37", "2026-01-05", **bill | {"exchange_rate": D("1.0901")})]
    SAID.clear()
    listed_to_the_cent(left, right, compared(left, right, AS_OF), AS_OF)
    assert SAID[ROUNDED] == 1


SAID: Counter[str] = Counter()


@examples(4)
@given(rated_pair(), st.sampled_from([None, AS_OF]))
def test_every_document_is_in_one_cluster_and_the_second_comparison_mirrors_the_first(pair, as_of):
    left, right = pair
    both = compared(left, right, as_of)
    placed = Counter((d.side, d.kind, d.id) for c in both.clusters for d in c.documents)
    assert placed == Counter(
        (side, r.entity.value, r.ref.id)
        for side, records in (("left", left), ("right", right))
        for r in records
        if r.entity != "customer"
    )
    assert sum(c.how == "matched" for c in both.clusters) == both.result.matched == both.swapped.matched
    for c in both.clusters:
        assert c.how != "alone" or len(c.documents) == 1
        assert c.how != "matched" or (c.side("left") and c.side("right"))
    assert Counter((d.code, d.delta, d.currency) for d in both.result.discrepancies) == Counter(
        (MIRROR.get(d.code, d.code), -d.delta, d.currency) for d in both.swapped.discrepancies
    )


@pytest.mark.parametrize("seed", range(50 if DEEP else 1))
def test_the_bridge_in_base_currency_closes_over_thousands_of_documents_and_every_kind_of_difference(seed):
    """Each kind of fault many times, five currencies, rates that differ or lack; a million documents in `make deep`."""
    chance = random.Random(20260131 + seed)
    left, right = drawn(chance, 10_000 if DEEP else 5_000)
    day = None if seed % 3 == 1 else date(2026, 1, 20)
    both = compared(left, right, day)
    based = in_base(both, "USD")
    assert {*RATE_OF} < {*both.result.bridge}
    for currency, bridge in both.result.bridge.items():
        assert based.remainder(currency) == 0
        assert bridge.remainder == 0
    assert Counter((d.code, d.delta, d.currency) for d in both.result.discrepancies) == Counter(
        (MIRROR.get(d.code, d.code), -d.delta, d.currency) for d in both.swapped.discrepancies
    )
    codes = {p.code for p in based.parts} | {*both.result.by_code}
    assert codes >= {
        "MISSING_IN_A", "MISSING_IN_B", "PAYMENT_MISSING", "DUPLICATE_WITHIN_LEDGER", "PAYMENT_DUPLICATED",
        "VOID_VS_OPEN", "AMOUNT_NET", "PAYMENT_AMOUNT", "CURRENCY_MISMATCH", "FX_RATE", ONE_RATE, ROUNDED,
        "DRAFT_VS_POSTED", "TAX_AMOUNT", "AMOUNT_SIGN", "NUMBER_MISMATCH", "CUSTOMER_MISMATCH", "PAID_VS_OPEN",
        "CUTOFF" if day else "DATE_DIFF",
    }, codes  # fmt: skip
    assert based.unrated


RATE_OF = {"USD": "1", "EUR": "1.0837", "GBP": "1.2911", "JPY": "0.00671", "KWD": "3.2541"}


def drawn(chance, many):
    """Two ledgers of so many documents, the right one a damaged copy. Some numbers and amounts are not used once only."""
    people = [customer(f"C{n}", f"Name {n}", f"{n}") for n in range(50)]
    left, right = list(people), list(people)
    for n in range(many):
        currency = chance.choice([*RATE_OF])
        kind = chance.choice([invoice, invoice, credit, payment])
        number = f"N{n}" if chance.random() < 0.7 else chance.choice([f"N{n // 200}", None])
        on = f"2026-01-{chance.randint(1, 28):02}"
        rate = D(RATE_OF[currency]) if chance.random() < 0.97 else None
        amount = D(chance.randint(1, 999_999)) if chance.random() < 0.9 else D(chance.randint(1, 9)) * 10_000
        amount = amount / {"JPY": 1, "KWD": 1000}.get(currency, 100)
        more = {"reference": number} if kind is payment else {"number": number}
        more |= {"currency": currency, "exchange_rate": rate}
        doc = kind(f"I{n}", f"C{n % 50}", str(amount), on, **more)
        left.append(doc)
        right += broken(doc, chance)
    chance.shuffle(right)
    return left, right


def broken(doc, chance):
    """The document as the other ledger has it: mostly the same, else with one or two faults."""
    cash = hasattr(doc, "amount")
    new: dict[str, Any] = {}
    if (luck := chance.random()) < 0.7:
        return [doc]
    if luck < 0.73:
        return []
    if luck < 0.76:
        return [doc, doc.model_copy(update={"ref": doc.ref.model_copy(update={"id": doc.ref.id + "d"})})]
    faults = chance.sample(FAULTS, chance.choice([1, 1, 2]))
    if "sign" in faults and doc.entity == "invoice":
        more = {"number": doc.number, "currency": doc.currency, "exchange_rate": doc.exchange_rate}
        doc = credit(doc.ref.id, doc.customer, str(doc.total), doc.posted.isoformat(), **more)
    for fault in faults:
        amount = "amount" if cash else "total"
        if fault == "amount":
            new |= {amount: getattr(doc, amount) + chance.choice([1, 5, 250])}
        if fault == "tax" and not cash:
            new |= {"total": new.get("total", doc.total) + 2, "tax": doc.tax + 2}
        if fault == "settled" and doc.entity == "invoice":
            new |= {"settled_on": doc.posted}
        new |= {
            "rate": {"exchange_rate": doc.exchange_rate and doc.exchange_rate + D("0.01")},
            "no rate": {"exchange_rate": None},
            "void": {"state": "voided", "voided_on": doc.posted},
            "draft": {"state": "draft"},
            "late": {"posted": date(2026, 2, 3)},
            "currency": {"currency": "CHF"},
            "number": {"reference" if cash else "number": f"X{chance.randint(1, 999_999)}"},
            "customer": {"customer": f"C{chance.randrange(50)}"},
        }.get(fault, {})
    return [type(doc).model_validate(doc.model_dump() | new)]


FAULTS = (
    "amount", "tax", "sign", "rate", "no rate", "void", "draft", "late", "currency", "number", "customer", "settled",
)  # fmt: skip


def test_an_amount_and_a_rate_that_differ_on_one_document_are_split_without_preferring_a_side():
    people = [customer("1", "Ada", "1")]
    left = [*people, invoice("I1", "1", "100", "2026-01-02", currency="EUR", exchange_rate=D("1.10"))]
    right = [*people, invoice("I1", "1", "90.01", "2026-01-02", currency="EUR", exchange_rate=D("1.20"))]
    based = in_base(compared(left, right, None), "USD")
    assert (based.left, based.right) == ({"EUR": D("110.00")}, {"EUR": D("108.01")})
    # −9.99 at the mean rate 1.15; 95.005 at a rate that is 0.10 higher; a cent that rounding leaves over.
    assert {p.code: p.amount for p in based.parts} == {
        "AMOUNT_NET": D("-11.49"),
        "FX_RATE": D("9.50"),
    }
    assert based.remainder("EUR") == 0


def test_a_voided_document_takes_its_whole_base_amount_whatever_its_rate():
    people = [customer("1", "Ada", "1")]
    bill = invoice("I1", "1", "100", "2026-01-02", currency="EUR", exchange_rate=D("1.10"))
    void = invoice("I1", "1", "100", "2026-01-02", currency="EUR", exchange_rate=D("1.20"), voided_on=date(2026, 1, 2))
    [part] = in_base(compared([*people, bill], [*people, void], None), "USD").parts
    assert (part.code, part.amount) == ("VOID_VS_OPEN", D("-110.00"))


def test_a_pair_of_which_one_side_states_no_rate_is_said_to_be_one():
    people = [customer("1", "Ada", "1")]
    bill = invoice("I1", "1", "100", "2026-01-02", currency="EUR", exchange_rate=D("1.10"))
    bare = invoice("I1", "1", "100", "2026-01-02", currency="EUR")
    based = in_base(compared([*people, bill], [*people, bare], None), "USD")
    [part] = based.parts
    assert (part.code, part.amount, [d.side for d in based.unrated]) == (ONE_RATE, D("-110.00"), ["right"])
    assert based.remainder("EUR") == 0


def test_documents_of_two_currencies_that_could_be_each_other_are_in_the_base_bridge_of_both():
    people = [customer("1", "Ada", "1")]

    def bills(side, *some):
        more = {"number": "N", "exchange_rate": D("1.10")}
        return [
            *people,
            *(invoice(f"{side}{n}", "1", a, "2026-01-02", currency=c, **more) for n, (a, c) in enumerate(some)),
        ]

    left, right = bills("L", ("100", "EUR"), ("110", "EUR")), bills("R", ("120", "EUR"), ("130", "CHF"))
    both = compared(left, right, None)
    assert {d.code for d in both.result.discrepancies} == {"AMBIGUOUS_MATCH"}
    based = in_base(both, "USD")
    assert {(p.code, p.currency, p.amount) for p in based.parts} == {
        ("AMBIGUOUS_MATCH", "EUR", D("-99.00")),
        ("AMBIGUOUS_MATCH", "CHF", D("143.00")),
    }
    assert (based.remainder("EUR"), based.remainder("CHF")) == (0, 0)
