"""One case per code: what the ledgers show, the code, the delta, and that nothing else is reported."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import duckdb
import pytest

from tests.ledgers import (
    JAN31,
    QUICKBOOKS,
    SAP,
    D,
    adjustment,
    applied,
    codes,
    compared,
    credit,
    customer,
    day,
    invoice,
    payment,
)
from tieout import compare
from tieout.compare.codes import CODES

LEFT = [customer("1", "Acme Ltd", "100"), customer("2", "Beta", "200")]
RIGHT = [customer("a", "ACME LTD.", "0100"), customer("b", "Beta", "200")]
# A plain pair on each side, so that customers are in use and their keys are comparable.
BASE_L = [
    *LEFT,
    invoice("L0", "1", "7", "2026-01-02", number="N0"),
    invoice("L00", "2", "8", "2026-01-02", number="N00"),
]
BASE_R = [
    *RIGHT,
    invoice("R0", "a", "7", "2026-01-02", number="n-0"),
    invoice("R00", "b", "8", "2026-01-02", number="N00"),
]


def inv(side, total="100", on="2026-01-10", **more):
    return invoice(*(("L1", "1") if side == "L" else ("R1", "a")), total, on, **({"number": "INV-1"} | more))


def pay(side, amount="100", on="2026-01-10", **more):
    return payment(*(("LP", "1") if side == "L" else ("RP", "a")), amount, on, **({"reference": "chk 9"} | more))


def adj(kind, amount="5", **more):
    return adjustment("LA", "1", kind, amount, "2026-01-15", **more)


CASES = {
    "MISSING_IN_B": ([inv("L")], [], "MISSING_IN_B", "-100"),
    "MISSING_IN_A": ([], [inv("R")], "MISSING_IN_A", "100"),
    "missing credit memo": ([credit("K", "1", "30", "2026-01-03")], [], "MISSING_IN_B", "30"),
    "PAYMENT_MISSING": ([pay("L")], [], "PAYMENT_MISSING", "100"),
    "PAYMENT_DUPLICATED": ([pay("L")], [pay("R"), payment("RP2", "a", "100", "2026-01-12", reference="CHK9")], "PAYMENT_DUPLICATED", "-100"),
    "DUPLICATE_WITHIN_LEDGER": ([inv("L"), invoice("L2", "1", "100", "2026-01-10", number="INV 1")], [inv("R")], "DUPLICATE_WITHIN_LEDGER", "-100"),
    "AMBIGUOUS_MATCH": (
        [inv("L", "100"), invoice("L2", "1", "110", "2026-01-10", number="INV-1")],
        [inv("R", "120"), invoice("R2", "a", "130", "2026-01-10", number="INV-1")],
        "AMBIGUOUS_MATCH",
        "40",
    ),
    "WRITEOFF_ONE_SIDE": ([adj("write_off")], [], "WRITEOFF_ONE_SIDE", "5"),
    "DISCOUNT_TAKEN_DIFF": ([adj("discount")], [], "DISCOUNT_TAKEN_DIFF", "5"),
    "REFUND_MISMATCH": ([adj("refund")], [], "REFUND_MISMATCH", "-5"),
    "DISCOUNT_TAKEN_DIFF in amount": (
        [adj("discount")],
        [adjustment("RA", "a", "discount", "4", "2026-01-15", number="LA")],
        "DISCOUNT_TAKEN_DIFF",
        "1",
    ),
    "WITHHOLDING_DIFF": ([adj("withholding")], [], "WITHHOLDING_DIFF", "5"),
    "FX_REALIZED": ([adj("fx_realized")], [], "FX_REALIZED", "5"),
    "CHARGEBACK_NSF by adjustment": ([adj("returned_payment")], [], "CHARGEBACK_NSF", "-5"),
    "CHARGEBACK_NSF by memo": ([pay("L", voided_on="2026-01-12", memo="check returned by bank")], [pay("R")], "CHARGEBACK_NSF", "-100"),
    "DRAFT_VS_POSTED": ([inv("L", state="draft")], [inv("R")], "DRAFT_VS_POSTED", "100"),
    "VOID_VS_OPEN": ([inv("L")], [inv("R", voided_on="2026-01-20")], "VOID_VS_OPEN", "-100"),
    "VOID_VS_OPEN, zeroed by the void": ([inv("L")], [inv("R", "0", voided_on="2026-01-20")], "VOID_VS_OPEN", "-100"),
    "VOID_DATE_DIFF, two void dates": ([inv("L", voided_on="2026-01-12")], [inv("R", voided_on="2026-01-20")], "VOID_DATE_DIFF", "0"),
    "VOID_DATE_DIFF, void across the date": ([inv("L", voided_on="2026-01-12")], [inv("R", voided_on="2026-02-20")], "VOID_DATE_DIFF", "100"),
    "VOID_DATE_DIFF, void against credit memo": (
        [inv("L", voided_on="2026-01-10")],
        [inv("R"), credit("RK", "a", "100", "2026-01-25", original_invoice="R1")],
        "VOID_DATE_DIFF",
        "0",
    ),
    "VOID_DATE_DIFF, payment voided against returned": (
        [pay("L", voided_on="2026-01-10")],
        [pay("R"), adjustment("RA", "a", "returned_payment", "100", "2026-01-25")],
        "VOID_DATE_DIFF",
        "0",
    ),
    "PAID_VS_OPEN": ([inv("L")], [inv("R", settled_on=day("2026-01-20"))], "PAID_VS_OPEN", "-100"),
    "AMOUNT_SIGN": ([inv("L")], [credit("R1", "a", "100", "2026-01-10", number="INV-1")], "AMOUNT_SIGN", "-200"),
    "CUTOFF": ([inv("L", on="2026-01-31")], [inv("R", on="2026-02-01")], "CUTOFF", "-100"),
    "CUTOFF far apart": ([inv("L", on="2026-01-11")], [inv("R", on="2026-02-11")], "CUTOFF", "-100"),
    "TAX_AMOUNT": ([inv("L", "108", tax="8")], [inv("R", "108.25", tax="8.25")], "TAX_AMOUNT", "0.25"),
    "TAX_AMOUNT, dropped on one side": ([inv("L", "108", tax="8")], [inv("R", "100")], "TAX_AMOUNT", "-8"),
    "TAX_INCLUSIVE_CONFUSION": ([inv("L", "108", tax="8")], [inv("R", "116.64", tax="8.64")], "TAX_INCLUSIVE_CONFUSION", "8.64"),
    "TAX_INCLUSIVE_CONFUSION, taken as included": (
        [inv("L", "108.25", tax="8.25")],
        [inv("R", "100", tax="7.62")],
        "TAX_INCLUSIVE_CONFUSION",
        "-8.25",
    ),
    "AMOUNT_NET": ([inv("L", "108", tax="8")], [inv("R", "118", tax="8")], "AMOUNT_NET", "10"),
    "AMOUNT_NET, both settled": ([inv("L", settled_on=day("2026-01-20"))], [inv("R", "90", settled_on=day("2026-01-20"))], "AMOUNT_NET", "0"),
    "a difference in the sixth place": ([inv("L", "100.000001")], [inv("R", "100")], "AMOUNT_NET", "-0.000001"),
    "a difference in eighteen digits": ([inv("L", "99999999999999.9999")], [inv("R", "99999999999999.9998")], "AMOUNT_NET", "-0.0001"),
    "PAYMENT_AMOUNT": ([pay("L")], [pay("R", "97.10")], "PAYMENT_AMOUNT", "2.90"),
    "FX_RATE": ([inv("L", exchange_rate=D("1.1"))], [inv("R", exchange_rate=D("1.2"))], "FX_RATE", "0"),
    "FX_RATE_DEFAULTED": ([inv("L", exchange_rate=D("1.1"))], [inv("R", exchange_rate=D(1))], "FX_RATE_DEFAULTED", "0"),
    "SPLIT_OR_MERGED, on one day": (
        [inv("L", "100.10")],
        [inv("R", "60.05", number="INV-76"), invoice("R2", "a", "40.05", "2026-01-10", number="INV-77")],
        "SPLIT_OR_MERGED",
        "0",
    ),
    "SPLIT_OR_MERGED, under one number": (
        [inv("L", "60"), invoice("L2", "1", "40", "2026-01-12", number="INV-1")],
        [inv("R")],
        "SPLIT_OR_MERGED",
        "0",
    ),
    "SPLIT_OR_MERGED, receipts entered together": (
        [pay("L", "75")],
        [pay("R", "50", reference="x"), payment("RP2", "a", "25", "2026-01-10", reference="y")],
        "SPLIT_OR_MERGED",
        "0",
    ),
    "ENTITY_DIFF": (
        [inv("L", entity_code="10"), invoice("L2", "2", "5", "2026-01-10", number="E", entity_code="20"), invoice("L3", "2", "6", "2026-01-11", number="F", entity_code="10")],
        [inv("R", entity_code="20"), invoice("R2", "b", "5", "2026-01-10", number="E", entity_code="20"), invoice("R3", "b", "6", "2026-01-11", number="F", entity_code="10")],
        "ENTITY_DIFF",
        "0",
    ),
    "DISCOUNT_DIFF": (
        [inv("L", discount=D(10), subtotal=D(110)), invoice("L2", "2", "5", "2026-01-10", number="E", discount=D(1), subtotal=D(6))],
        [inv("R"), invoice("R2", "b", "5", "2026-01-10", number="E", discount=D(1), subtotal=D(6))],
        "DISCOUNT_DIFF",
        "0",
    ),
    "CUSTOMER_MISMATCH": ([inv("L")], [invoice("R1", "b", "100", "2026-01-10", number="INV-1")], "CUSTOMER_MISMATCH", "0"),
    "DUE_DATE_DIFF": ([inv("L", due="2026-02-09")], [inv("R", due="2026-02-10")], "DUE_DATE_DIFF", "0"),
    "DATE_DIFF": ([inv("L")], [inv("R", on="2026-01-13")], "DATE_DIFF", "0"),
    "NUMBER_MISMATCH": ([inv("L")], [inv("R", number="INV-9")], "NUMBER_MISMATCH", "0"),
    "STATUS_MISMATCH": ([inv("L", disputed=True)], [inv("R")], "STATUS_MISMATCH", "0"),
    "OVER_APPLIED": (
        [inv("L"), pay("L", "150", apps=[applied("L1", "150", "2026-01-12")])],
        [inv("R"), pay("R", "150", apps=[applied("R1", "150", "2026-01-12")])],
        "OVER_APPLIED",
        "0",
    ),
    "BALANCE_MISMATCH_INTERNAL": (
        [inv("L", reported_open=D(30)), pay("L", "60", apps=[applied("L1", "60", "2026-01-12")])],
        [inv("R"), pay("R", "60", apps=[applied("R1", "60", "2026-01-12")])],
        "BALANCE_MISMATCH_INTERNAL",
        "0",
    ),
}  # fmt: skip


def test_a_void_that_the_other_ledger_credits_counts_from_its_own_day():
    """Not from that of the document: between the two, both ledgers have it open."""
    memo = credit("RK", "a", "100", "2026-01-25", original_invoice="R1")
    [found] = compared(
        [*BASE_L, inv("L", voided_on="2026-01-20")], [*BASE_R, inv("R"), memo], as_of=JAN31
    ).discrepancies
    assert (found.code, found.left_value, found.right_value) == ("VOID_DATE_DIFF", "2026-01-20", "2026-01-25")
    assert "from 2026-01-20 on, undone in" in found.cause


@pytest.mark.parametrize("name", CASES)
def test_code(name):
    left, right, code, delta = CASES[name]
    result = compared([*BASE_L, *left], [*BASE_R, *right], as_of=JAN31)
    expected = 2 if code == "OVER_APPLIED" else 1  # each ledger by itself
    assert codes(result) == {code: expected}
    found = result.discrepancies[0]
    assert (found.delta, found.class_ == "T") == (D(delta), CODES[code].class_ == "T" or D(delta) != 0)
    assert found.cause
    assert found.remedy
    assert (
        found.secondary == ()
        or code in {"CHARGEBACK_NSF", "VOID_DATE_DIFF"}
        or (name, found.secondary) == ("TAX_AMOUNT, dropped on one side", ("TAX_DROPPED",))
        or code.endswith(("ED", "ING", "LEDGER", "_A", "_B", "DIFF", "MISMATCH", "SIDE", "REALIZED"))
    )


SAME = {
    "entities that are named otherwise in each ledger": ([inv("L", entity_code="1000")], [inv("R", entity_code="US")]),
    "discounts that one ledger does not tell": ([inv("L", discount=D(10), subtotal=D(110))], [inv("R")]),
    "leading zeros, case, punctuation": ([inv("L", number="00-123")], [inv("R", number="123")]),
    "payments without reference": (
        [pay("L", reference=None)],
        [pay("R", on="2026-01-11", reference=None)],
        "DATE_DIFF",
    ),
    "identical rows, twice on both sides": (
        [inv("L"), invoice("L2", "1", "100", "2026-01-10", number="INV-1")],
        [inv("R"), invoice("R2", "a", "100", "2026-01-10", number="INV-1")],
    ),
    "drafts nobody else has": ([inv("L", state="draft")], []),
    "a void nobody else has": ([inv("L", voided_on="2026-01-10")], []),
    "a document after the date": ([inv("L", on="2026-02-03")], []),
    "a payment of nothing": ([pay("L", "0")], []),
}


@pytest.mark.parametrize("name", SAME)
def test_no_discrepancy(name):
    left, right, *code = SAME[name]
    assert codes(compared([*BASE_L, *left], [*BASE_R, *right], as_of=JAN31)) == dict.fromkeys(code, 1)


def test_identical_rows_pair_where_their_details_agree():
    left = [inv("L", due="2026-02-01"), invoice("L2", "1", "100", "2026-01-10", number="INV-1", due="2026-03-01")]
    right = [inv("R", due="2026-03-01"), invoice("R2", "a", "100", "2026-01-10", number="INV-1", due="2026-02-01")]
    assert codes(compared([*BASE_L, *left], [*BASE_R, *right])) == {}


def test_repeated_keys_never_multiply_rows():
    left = [invoice(f"L{n}", "1", "10", "2026-01-10", number="X") for n in range(1, 60)]
    right = [invoice(f"R{n}", "a", "10", "2026-01-10", number="X") for n in range(1, 41)]
    result = compared([*BASE_L, *left], [*BASE_R, *right])
    assert result.matched == 42
    assert result.by_code == {"DUPLICATE_WITHIN_LEDGER": {"count": 19, "delta": {"USD": D(-190)}}}


def test_what_was_entered_again_under_its_number_on_another_day_is_supposed_to_be_a_double():
    left, right = [*BASE_L, inv("L")], [*BASE_R, inv("R"), invoice("R2", "a", "100", "2026-01-25", number="INV-1")]
    (found,) = compared(left, right, as_of=JAN31).discrepancies
    assert (found.code, found.right, found.delta, found.confirmed) == ("DUPLICATE_WITHIN_LEDGER", "R2", 100, False)
    assert "equal to INV-1 of 2026-01-10 in the same ledger, which has its counterpart, but for the date" in found.cause
    # A number that recurs tells nothing; one that the other ledger has under another number is no double.
    rent = [invoice(f"R{n}", "a", "100", f"2026-01-{n:02d}", number="RENT") for n in (3, 12, 24)]
    paid = [invoice(f"L{n}", "1", "100", f"2026-01-{n:02d}", number="RENT") for n in (3, 12)]
    assert codes(compared([*BASE_L, *paid], [*BASE_R, *rent], as_of=JAN31)) == {"MISSING_IN_A": 1}
    other = invoice("L2", "1", "100", "2026-01-25", number="INV-2")
    assert codes(compared([*left, other], right, as_of=JAN31)) == {"NUMBER_MISMATCH": 1}
    # What is dated after the day says nothing of it.
    assert codes(compared(left, [*right[:-2], right[-1]], as_of=day("2026-01-12"))) == {"CUTOFF": 1}


def test_what_is_written_on_its_payer_and_on_the_debtor_is_said_to_be_so():
    left = [
        *BASE_L,
        inv("L"),
        payment("LP", "2", "100", "2026-01-12", reference="chk 9", apps=[applied("L1", "100", "2026-01-12")]),
    ]
    right = [
        *BASE_R,
        inv("R"),
        payment("RP", "a", "100", "2026-01-12", reference="chk 9", apps=[applied("R1", "100", "2026-01-12")]),
    ]
    result = compared(left, right, as_of=JAN31)
    assert [(d.code, d.class_, d.left, d.right, d.delta) for d in result.discrepancies] == [
        ("CROSS_CUSTOMER", "Z", "LP", "RP", 0)
    ]


def test_a_day_of_several_on_both_sides_is_not_said_to_be_split():
    left = [*BASE_L, inv("L", "70"), invoice("L2", "1", "30", "2026-01-10", number="B")]
    right = [
        *BASE_R,
        *(invoice(f"R{n}", "a", a, "2026-01-10", number=f"Z{n}") for n, a in enumerate(("50", "20", "30.01"))),
    ]
    found = compared(left, right)
    assert codes(found) == {"MISSING_IN_A": 1, "MISSING_IN_B": 1, "AMBIGUOUS_MATCH": 1}
    (sum_,) = (d for d in found.discrepancies if d.code == "AMBIGUOUS_MATCH")
    assert (sum_.left, sum_.right, sum_.confirmed) == ("L1", "R0, R1", False)
    assert sum_.cause.startswith(
        "L1 = R0 + R1: it adds up, but so it may by chance, among 21 pairs of sets within 31 days"
    )


def test_a_consolidated_invoice_and_a_batch_of_receipts_are_found_by_their_sums():
    left = [*BASE_L, invoice("L1", "1", "150.00", "2026-01-31", number="M")]
    left += [payment("P1", "1", "70.11", "2026-01-09"), payment("P2", "1", "29.89", "2026-01-10")]
    right = [
        *BASE_R,
        invoice("R1", "a", "100.10", "2026-01-20", number="S1"),
        invoice("R2", "a", "49.90", "2026-01-28", number="S2"),
        invoice("R3", "a", "33.00", "2026-01-28", number="S3"),
        payment("Q1", "a", "60", "2026-01-12"),
        payment("Q2", "a", "40", "2026-01-13"),
    ]
    found = compared(left, right)
    assert [(d.code, d.left, d.right, d.delta) for d in found.discrepancies] == [
        ("MISSING_IN_A", None, "R3", 33),
        ("SPLIT_OR_MERGED", "P1, P2", "Q1, Q2", 0),
        ("SPLIT_OR_MERGED", "L1", "R1, R2", 0),
    ]
    assert "L1 = R1 + R2, 150.00 on each side: nothing else of them adds up, among" in found.discrepancies[2].cause
    assert [(d.customer, d.amount) for d in found.discrepancies[1:]] == [("Acme Ltd", 100), ("Acme Ltd", 150)]
    # A second set that adds up as well, and nobody knows which it is.
    more = [invoice(f"R{n}", "a", a, "2026-01-21", number=f"S{n}") for n, a in ((4, "50.10"), (5, "99.90"))]
    (said,) = (d for d in compared(left, [*right, *more]).discrepancies if d.code == "AMBIGUOUS_MATCH")
    assert (said.left, said.right) == ("L1", "R1, R2, R4, R5")
    assert (said.customer, said.amount) == ("Acme Ltd", 150)
    assert said.cause.startswith("L1 = R1 + R2; L1 = R4 + R5: not all can be true")


def test_that_a_document_is_paid_and_its_parts_are_open_is_said():
    """That the totals agree does not explain the delta: what was paid in one ledger is owed in the other."""
    left = [*BASE_L, inv("L", "1000.01", settled_on=day("2026-01-20"))]

    def parts(on):
        return [*BASE_R, inv("R", "633.17", number="S1"), invoice("R2", "a", "366.84", on, number="S2")]

    for ledgers, said, delta in (
        ((left, parts("2026-01-12")), "0.00 is open in SAP and 1,000.01 in QuickBooks", "1000.01"),
        ((parts("2026-01-12"), left), "1,000.01 is open in SAP and 0.00 in QuickBooks", "-1000.01"),
    ):
        (found,) = compared(*ledgers).discrepancies
        assert (found.code, found.delta) == ("SPLIT_OR_MERGED", D(delta))
        assert f"1,000.01 on each side, of which {said}: nothing else" in found.cause
    (by_day,) = compared(left, parts("2026-01-10")).discrepancies
    assert by_day.cause.startswith(
        "1 against 2, 1,000.01 on each side, of which 0.00 is open in SAP and 1,000.01 in QuickBooks; "
    )
    # So it is of what adds up by chance only.
    round_ = [*BASE_R, inv("R", "600", number="S1"), invoice("R2", "a", "400", "2026-01-12", number="S2")]
    (chance,) = compared([*BASE_L, inv("L", "1000", settled_on=day("2026-01-20"))], round_).discrepancies
    assert (chance.code, chance.delta) == ("AMBIGUOUS_MATCH", 1000)
    assert "of which 0.00 is open in SAP and 1,000.00 in QuickBooks: it adds up, but" in chance.cause


def test_currency_mismatch_is_in_both_bridges():
    result = compared([*BASE_L, inv("L")], [*BASE_R, inv("R", currency="EUR")])
    assert result.by_code == {"CURRENCY_MISMATCH": {"count": 2, "delta": {"USD": D(-100), "EUR": D(100)}}}


def test_tax_and_net_split_one_difference():
    result = compared([*BASE_L, inv("L", "108", tax="8")], [*BASE_R, inv("R", "121", tax="11")])
    assert {d.code: d.delta for d in result.discrepancies} == {"TAX_AMOUNT": D(3), "AMOUNT_NET": D(10)}
    assert result.bridge["USD"].unconfirmed == 10


def test_rounding_policy_moves_and_never_hides():
    left = [invoice(f"L{n}", "1", "100", "2026-01-10") for n in range(1, 5)]
    right = [invoice(f"R{n}", "a", "100.01", "2026-01-10", number=f"L{n}") for n in range(1, 4)]
    right.append(invoice("R4", "a", "100.02", "2026-01-10", number="L4"))
    policy = compare.Rounding(per_document=D("0.01"), total=D("0.02"))
    result = compared([*BASE_L, *left], [*BASE_R, *right], rounding=policy)
    assert {c: (v["count"], v["delta"]["USD"]) for c, v in result.by_code.items()} == {
        "ROUNDING": (2, D("0.02")),
        "AMOUNT_NET": (2, D("0.03")),
    }


def test_which_differences_a_rounding_policy_takes_does_not_depend_on_the_sides():
    """The limit of all leaves room for one of two that are equally small."""
    left = [inv("L", "100", number="A"), invoice("L2", "1", "200", "2026-01-10", number="B")]
    right = [inv("R", "200.01", number="B"), invoice("R2", "a", "100.01", "2026-01-10", number="A")]
    policy = compare.Rounding(per_document=D("0.01"), total=D("0.01"))
    forth = compared([*BASE_L, *left], [*BASE_R, *right], rounding=policy)
    back = compared([*BASE_R, *right], [*BASE_L, *left], rounding=policy)
    assert codes(forth) == {"ROUNDING": 1, "AMOUNT_NET": 1}
    assert {(d.code, d.left, d.right) for d in forth.discrepancies} == {
        (d.code, d.right, d.left) for d in back.discrepancies
    }


def test_a_customer_under_two_names_is_said_once():
    left = [customer("9", "Old Name"), *(invoice(f"L{n}", "9", f"{n}0", "2026-01-10") for n in range(1, 4))]
    right = [
        customer("z", "New Name"),
        *(invoice(f"R{n}", "z", f"{n}0", "2026-01-10", number=f"L{n}") for n in range(1, 4)),
    ]
    result = compared([*BASE_L, *left], [*BASE_R, *right])
    assert codes(result) == {"CUSTOMER_UNMAPPED": 1}
    assert (result.discrepancies[0].left, result.discrepancies[0].right) == ("9", "z")


def test_customer_fields_are_compared_once_per_customer():
    left = [customer("9", "Gamma", "900", email="a@x.example", tax_id="GB 123")]
    right = [customer("z", "Gamma GmbH", "900", email="A@X.example", tax_id="gb124")]
    result = compared([*BASE_L, *left], [*BASE_R, *right])
    assert {(d.code, d.field) for d in result.discrepancies} == {
        ("CUSTOMER_FIELD_DIFF", "name"),
        ("TAX_ID_DIFF", "tax_id"),
    }


def test_what_is_missing_names_what_has_its_number_in_the_other_ledger():
    result = compared([*BASE_L, inv("L", number="N-1")], [*BASE_R, credit("R1", "a", "40", "2026-01-12", number="N-1")])
    found = {d.code: d for d in result.discrepancies}
    assert found["MISSING_IN_B"].cause.startswith(
        "QuickBooks has credit memo N-1 over 40.00 USD, for the same customer, which pairs with nothing either; never"
    )
    assert found["MISSING_IN_A"].cause.startswith("SAP has invoice N-1 over 100.00 USD, for the same customer")
    assert all(d.remedy.startswith("look whether what has its number there is this one") for d in found.values())
    other = compared([*BASE_L, inv("L", number="N-1")], [*BASE_R, credit("R1", "b", "40", "2026-01-12", number="N-1")])
    assert {d.code: d.cause for d in other.discrepancies} == {c: CODES[c].cause for c in found}, "another customer's"


def test_two_that_are_missing_and_may_be_one_name_each_other():
    """Entered for another customer and over another amount; or under another number and date."""
    lefts = [inv("L", number="N-1"), invoice("L2", "1", "77.40", "2026-01-10", number="N-2")]
    rights = [
        invoice("R1", "b", "90", "2026-01-12", number="N-1"),
        invoice("R2", "a", "77.40", "2026-02-03", number="M-9"),
    ]
    result = compared([*BASE_L, *lefts], [*BASE_R, *rights])
    assert codes(result) == {"MISSING_IN_A": 2, "MISSING_IN_B": 2}
    said = {d.left or d.right: d.cause for d in result.discrepancies}
    assert said["L1"].startswith("QuickBooks has invoice N-1 of 2026-01-12 over 90.00 USD, for Beta, which pairs with")
    assert said["R1"].startswith("SAP has invoice N-1 of 2026-01-10 over 100.00 USD, for Acme Ltd, which pairs with")
    assert said["L2"].startswith(
        "QuickBooks has invoice M-9 of 2026-02-03 over 77.40 USD, for the same customer, which pairs"
    )
    assert said["R2"].startswith(
        "SAP has invoice N-2 of 2026-01-10 over 77.40 USD, for the same customer, which pairs with"
    )
    assert all(d.remedy.startswith("look whether that one is this one") for d in result.discrepancies)
    unnumbered = [invoice("R2", "a", "77.40", "2026-02-03", number=None)]
    (here, there) = compared([*BASE_L, *lefts[1:]], [*BASE_R, *unnumbered]).discrepancies
    assert "has invoice R2 of 2026-02-03 over 77.40 USD, for the same" in f"{here.cause} {there.cause}"
    for left, right in (
        ([*lefts[1:], invoice("L3", "1", "77.40", "2026-01-10", number="N-3")], rights[1:]),  # two of them may be it
        (lefts[1:], [invoice("R2", "a", "77.40", "2026-05-03", number="M-9")]),  # what recurs
        (lefts[1:], [invoice("R2", "b", "77.40", "2026-02-03", number="M-9")]),
        (lefts[1:], [credit("R2", "a", "77.40", "2026-02-03", number="M-9")]),
        (lefts[:1], [credit("R1", "b", "90", "2026-01-12", number="N-1")]),
    ):
        found = compared([*BASE_L, *left], [*BASE_R, *right]).discrepancies
        assert {d.cause for d in found} <= {CODES["MISSING_IN_A"].cause, CODES["MISSING_IN_B"].cause}


@pytest.mark.parametrize(
    ("left", "right", "more", "said"),
    [
        (
            [invoice("L2", "1", "55", "2026-01-12", number="N-1")],
            [invoice("R1", "a", "54", "2026-01-12", number="N-1")],
            {},
            "invoice N-1 of 2026-01-12 over 54.00 USD, for the same customer, which pairs with invoice N-1 of 2026-01-12 over 55.00 USD",
        ),
        (
            [invoice("L2", "1", "55", "2026-01-12", number="N-1")],
            [invoice("R1", "a", "55", "2026-01-12", number="N-1"), payment("RP", "a", "9", "2026-01-13"), adjustment("RA", "a", "write_off", "1", "2026-01-14", document="R0")],
            {},
            "invoice N-1 of 2026-01-12 over 55.00 USD, for the same customer, which pairs with invoice N-1 of 2026-01-12 over 55.00 USD",
        ),
        (
            [invoice("L2", "1", "55", "2026-01-12", number=None)],
            [invoice("R1", "a", "55", "2026-02-12", number="N-1")],
            {"left_links": {("invoice", "L2"): "k"}, "right_links": {("invoice", "R1"): "k"}},
            "invoice N-1 of 2026-02-12 over 55.00 USD, for the same customer, which pairs with invoice L2 of 2026-01-12 over 55.00 USD",
        ),
    ],
    ids=["another amount", "an equal pair", "linked"],
)  # fmt: skip
def test_what_is_missing_names_what_its_number_is_paired_with(left, right, more, said):
    """A number was used twice, or what has it was linked to another document."""
    result = compared([*BASE_L, inv("L", number="N-1"), *left], [*BASE_R, *right], **more)
    missing = next(d for d in result.discrepancies if d.code == "MISSING_IN_B")
    assert missing.cause.startswith(f"QuickBooks has {said} of SAP; never synced")
    assert missing.remedy.startswith("look whether that pair is right")
    again = compared(
        [*BASE_R, *right],
        [*BASE_L, inv("L", number="N-1"), *left],
        **{"left" + k[5:] if k.startswith("right") else "right" + k[4:]: v for k, v in more.items()},
    )
    assert said in next(d.cause for d in again.discrepancies if d.code == "MISSING_IN_A"), "and so the other way round"


def test_a_reference_that_recurs_names_no_payment():
    result = compared(
        [*BASE_L, pay("L"), payment("LP2", "1", "70", "2026-01-20", reference="chk 9")], [*BASE_R, pay("R")]
    )
    assert [(d.code, d.cause) for d in result.discrepancies] == [("PAYMENT_MISSING", CODES["PAYMENT_MISSING"].cause)]


def test_one_number_on_two_customers_whose_names_say_otherwise():
    left = [customer("x", "Acme", "7"), customer("y", "Zed", "8")]
    right = [customer("p", "Zed", "7"), customer("q", "Acme", "9")]
    bills_l = [invoice("I1", "x", "10", "2026-01-01"), invoice("I2", "y", "20", "2026-01-01")]
    bills_r = [invoice("I1", "q", "10", "2026-01-01"), invoice("I2", "p", "20", "2026-01-01")]
    assert codes(compared([*left, *bills_l], [*right, *bills_r])) == {}


def test_ledgers_whose_customers_share_no_key_still_match_by_number():
    left = [customer("1", "", "100"), inv("L")]
    right = [customer("a", "Acme"), inv("R", "110")]
    assert codes(compared(left, right)) == {"AMOUNT_NET": 1}
    assert not any(m.automatic for m in compare.match(_load(left, right)))


def _load(left, right):
    from tests.ledgers import load

    return load(left, right)


def test_an_open_items_list_is_compared_with_what_is_open_of_a_full_ledger():
    bank = [
        *RIGHT,
        inv("R"),
        invoice("R2", "a", "50", "2026-01-11", number="INV-2"),
        pay("R", "130", apps=[applied("R1", "100", "2026-01-12"), applied("R2", "20", "2026-01-12")]),
        adjustment("RW", "a", "write_off", "5", "2026-01-20", document="R2"),
    ]
    open_list = [*LEFT, invoice("L2", "1", "50", "2026-01-11", number="INV-2"), pay("L", "10", reference="chk 9")]
    con = _load(open_list, bank)
    # What a loader of open items does: such a document counts for what is open of it.
    con.execute("UPDATE left_documents SET ar = sign * 25 WHERE id = 'L2'")
    result = compare.run(con, replace(SAP, open_items=True), QUICKBOOKS, as_of=JAN31)
    assert (result.bridge["USD"].left_total, result.bridge["USD"].right_total) == (D(15), D(15))
    assert codes(result) == {}
    assert result.bridge["USD"].remainder == 0
    con.execute("UPDATE left_documents SET ar = sign * 50 WHERE id = 'L2'")
    still_open = compare.run(con, replace(SAP, open_items=True), QUICKBOOKS, as_of=JAN31)
    assert still_open.by_code == {"PAID_VS_OPEN": {"count": 1, "delta": {"USD": D(-25)}}}


def test_stale_reported_balances_can_be_left_out():
    left = [*BASE_L, inv("L", reported_open=D(3)), pay("L", "60", apps=[applied("L1", "60", "2026-01-12")])]
    right = [*BASE_R, inv("R"), pay("R", "60", apps=[applied("R1", "60", "2026-01-12")])]
    assert codes(compared(left, right)) == {"BALANCE_MISMATCH_INTERNAL": 1}
    assert codes(compared(left, right, reported_balances=False)) == {}


def test_a_customers_reported_balance_is_checked_against_its_documents():
    left = [
        customer("1", "Acme Ltd", "100", reported_balance=Decimal(8)),
        customer("2", "Beta", "200", reported_balance=Decimal(8)),
        *BASE_L[2:],
    ]
    result = compared(left, BASE_R)
    assert [(d.code, d.left, d.left_value, d.delta) for d in result.discrepancies] == [
        ("BALANCE_MISMATCH_INTERNAL", "1", "8.00", 0)
    ]
    assert "give 7.00" in result.discrepancies[0].cause


def test_open_amounts_of_a_ledger_that_applies_nothing_are_checked_by_customer():
    """Such an export states what is open of each document, and not what settled it."""
    left = [*BASE_L[:2], inv("L", reported_open=D(0)), invoice("L2", "1", "100", "2026-01-10", reported_open=D(100))]
    [found] = [d for d in compared(left, left, as_of=JAN31).discrepancies if d.left]
    assert (found.code, found.kind, found.left, found.field) == ("BALANCE_MISMATCH_INTERNAL", "customer", "1", "open")
    assert (found.left_value, found.currency, found.delta) == ("100.00", "USD", 0)
    assert found.left_label == "Acme Ltd"
    assert "open of 2 documents that come to 200.00, and applies nothing" in found.cause
    assert "payments" in found.remedy


@pytest.mark.parametrize(
    ("open_", "unapplied", "broken"),
    [
        ("40", "0", False),  # the payment is in what is open of the invoice
        ("100", "60", False),
        ("40", "60", True),  # it would count twice
        ("0", None, False),  # the payment says nothing of itself: then nothing is known of the invoice
    ],
)
def test_what_is_applied_moves_nothing_in_the_sum_of_what_is_open(open_, unapplied, broken):
    paid = pay("L", "60", reported_unapplied=None if unapplied is None else D(unapplied))
    left = [*BASE_L[:2], inv("L", reported_open=D(open_)), paid]
    found = compared(left, left, as_of=JAN31)
    assert codes(found) == ({"BALANCE_MISMATCH_INTERNAL": 2} if broken else {})


def test_what_a_parent_paid_for_its_branch_is_no_difference_of_either():
    head = customer("1", "Acme Ltd", "100")
    branch = customer("3", "Acme West", "300", parent="1")
    bill = invoice("L1", "3", "100", "2026-01-10", reported_open=D(0))
    left = [head, branch, bill, pay("L", "100", reported_unapplied=D(0))]
    assert codes(compared(left, left, as_of=JAN31)) == {}
    [found] = [d for d in compared(left[:3], left[:3], as_of=JAN31).discrepancies if d.left]
    assert (found.code, found.left, found.left_label) == ("BALANCE_MISMATCH_INTERNAL", "1", "Acme Ltd")


def test_a_recurring_reference_does_not_make_one_payment_of_two():
    left = [*BASE_L, pay("L", "100", "2026-01-03", reference="ACH")]
    right = [*BASE_R, pay("R", "700", "2026-01-28", reference="ACH")]
    assert codes(compared(left, right, as_of=JAN31)) == {"PAYMENT_MISSING": 2}


def test_an_equal_receipt_without_reference_is_only_supposed_to_be_a_double():
    left = [*BASE_L, pay("L", reference=None)]
    right = [*BASE_R, pay("R", reference=None), payment("RP2", "a", "100", "2026-01-11", reference=None)]
    result = compared(left, right, as_of=JAN31)
    assert codes(result) == {"PAYMENT_DUPLICATED": 1}
    assert result.bridge["USD"].unconfirmed == 100
    assert "second one" in result.discrepancies[0].cause


def test_a_receipt_that_both_ledgers_hold_twice_is_named():
    left = [
        *BASE_L,
        inv("L"),
        pay("L", apps=[applied("L1", "100", "2026-01-12")]),
        payment("LP2", "1", "100", "2026-01-11", reference="chk 9"),
    ]
    right = [
        *BASE_R,
        inv("R"),
        pay("R", apps=[applied("R1", "100", "2026-01-12")]),
        payment("RP2", "a", "100", "2026-01-11", reference="chk 9"),
    ]
    result = compared(left, right, as_of=JAN31)
    assert [(d.code, d.left, d.right, d.delta, d.left_value) for d in result.discrepancies] == [
        ("PAYMENT_DUPLICATED", "LP2", "RP2", 0, "100.00")
    ]
    assert not result.discrepancies[0].confirmed


def test_a_reference_to_the_others_id_pairs_documents_of_one_customer_only():
    left = [
        *BASE_L,
        inv("L", "10", number=None, marker="4711"),
        invoice("L2", "1", "20", "2026-01-10", number=None, marker="4712"),
    ]
    right = [
        *BASE_R,
        invoice("4711", "a", "11", "2026-01-29", number="Z"),
        invoice("4712", "b", "99", "2026-01-29", number="Y"),
    ]
    found = {m.left: m for m in compare.match(_load(left, right))}
    assert (found[("L1",)].rung, found[("L1",)].right, found[("L1",)].automatic) == (1, ("4711",), True)
    assert ("L2",) not in found


@pytest.mark.parametrize("number", [True, False], ids=["number", "id"])
def test_references_that_contradict_each_other_pair_the_same_documents_from_either_side(number):
    def four(side, who, markers):
        return [
            invoice(f"{side}{n}", who, f"{n}7", f"2026-01-{n}", number=f"N{side}{n}", marker=marker)
            for n, marker in zip((11, 12), markers, strict=True)
        ]

    # L11 says that it is R11; R12 says that it is L11. What is known of L11 otherwise, its day and amount, decides.
    to = "N" if number else ""
    left, right = four("L", "1", (f"{to}R11", None)), four("R", "a", (None, f"{to}L11"))
    pairs = {m.left + m.right for m in compare.match(_load([*BASE_L, *left], [*BASE_R, *right])) if m.kind == "invoice"}
    turned = {
        m.right + m.left for m in compare.match(_load([*BASE_R, *right], [*BASE_L, *left])) if m.kind == "invoice"
    }
    assert {("L11", "R11"), ("L12", "R12")} <= pairs == turned


def test_our_reference_on_both_sides_pairs_what_else_differs():
    left = [*BASE_L, inv("L", "10", marker="tieout:1")]
    right = [*BASE_R, invoice("R1", "b", "10", "2026-01-10", number="Z", marker="tieout:1")]
    assert codes(compared(left, right)) == {"CUSTOMER_MISMATCH": 1, "NUMBER_MISMATCH": 1}


@pytest.mark.parametrize(
    ("applies", "found"), [(("payment", "credit_memo"), 2), (("payment",), 1), ((), 0)], ids=["both", "payments", "no"]
)
def test_where_one_side_applies_nothing_only_a_system_that_would_say_so_is_held_against_the_other(applies, found):
    left = [
        *BASE_L,
        inv("L"),
        pay("L", apps=[applied("L1", "60", "2026-01-12")]),
        credit("LC", "1", "40", "2026-01-12", apps=[applied("L1", "40", "2026-01-12")]),
    ]
    right = [*BASE_R, inv("R"), pay("R"), credit("RC", "a", "40", "2026-01-12", number="LC")]
    told = replace(SAP, applies=tuple(applies))
    for ledgers in ((SAP, told), (told, told)):
        result = compared(left, right, as_of=JAN31, ledgers=ledgers)
        codes = [d.code for d in result.discrepancies]
        assert codes == ["UNAPPLIED_CASH", "APPLICATION_MISSING"][:found]


def test_of_payments_a_system_that_states_credits_alone_is_asked_nothing():
    """Neither that both ledgers hold one unapplied beside an equal one, nor that a group settled it in one alone."""
    left = [*BASE_L, inv("L"), pay("L", apps=[applied("L1", "100", "2026-01-12")])]
    left += [payment("LP2", "1", "100", "2026-01-11", reference="chk 9")]
    right = [*BASE_R, inv("R"), pay("R"), payment("RP2", "a", "100", "2026-01-11", reference="chk 9")]
    credits_alone = replace(SAP, applies=("credit_memo",))
    assert codes(compared(left, right, as_of=JAN31, ledgers=(credits_alone, credits_alone))) == {}
    payments_too = replace(SAP, applies=("payment",))
    found = compared(left, right, as_of=JAN31, ledgers=(payments_too, payments_too))
    assert codes(found)["PAYMENT_DUPLICATED"] == 1


def test_a_copied_reference_is_nobodys():
    left = [*BASE_L, inv("L", "10", number=None, marker="tieout:1")]
    right = [*BASE_R, *(invoice(f"R{n}", "b", f"{n}", "2026-01-10", number="Z", marker="tieout:1") for n in (1, 2))]
    assert not [m for m in compare.match(_load(left, right)) if m.rung == 1 and m.kind == "invoice"]


def test_a_ledger_that_knows_no_disputes_disagrees_about_none() -> None:
    con = duckdb.connect()
    compare.load_records(con, "left", [inv("L", disputed=True)])
    for disputes, expected in ((True, ["STATUS_MISMATCH"]), (False, [])):
        compare.load_records(con, "right", [inv("R")], disputes=disputes)
        result = compare.run(con, SAP, QUICKBOOKS, as_of=None)
        assert [d.code for d in result.discrepancies] == expected


def test_a_stated_settlement_counts_only_for_what_nothing_shows() -> None:
    stated = inv("L", settled_on=day("2026-01-20"))
    part = [pay("L", "40", apps=[applied("L1", "40", "2026-01-18")])], [pay("R", "40")]
    result = compared([*LEFT, stated, *part[0]], [*RIGHT, inv("R"), *part[1]])
    assert [(d.code, d.delta) for d in result.discrepancies if d.delta] == [("PAID_VS_OPEN", D("60"))]
    assert result.left.totals["USD"].open == 0
    whole = pay("L", "100", on="2026-01-25", apps=[applied("L1", "100", "2026-01-25")])
    early = compared([*LEFT, stated, whole], [*RIGHT, inv("R")], as_of=day("2026-01-22"))
    assert early.left.totals["USD"].open == 100, "the payment says when"


@pytest.mark.parametrize(
    "change", [{"total": "101"}, {"due": "2026-05-05"}, {"tax": "7"}, {"on": "2026-02-09"}, {"currency": "EUR"}]
)
def test_a_document_that_both_ledgers_date_after_the_day_is_of_no_matter_on_it(change: dict[str, str]) -> None:
    later = {"on": "2026-02-02", "due": "2026-03-02"}
    left, right = [*BASE_L, inv("L", **later)], [*BASE_R, inv("R", **(later | change))]
    assert codes(compared(left, right, as_of=JAN31)) == {}
    assert codes(compared(left, right)) != {}
    # Dated before the day in one ledger, it is of the day.
    assert codes(compared([*BASE_L, inv("L")], right, as_of=JAN31)) == {"CUTOFF": 1} or "currency" in change
