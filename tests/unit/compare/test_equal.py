"""Equal pairs taken off before the ladder: which are, which must stay, and that the answer is the same either way."""

from __future__ import annotations

import pytest

from tests.ledgers import A, B, adjustment, applied, credit, customer, invoice, load, payment
from tieout import compare
from tieout.compare.inputs import tables
from tieout.compare.matching import equal
from tieout.model import Entity

WHO = [customer("1", "A", "1"), customer("2", "B", "2")]
BILLS = [invoice(f"I{n}", "12"[n % 2], f"{n + 1}00", "2026-01-02") for n in range(4)]


def taken(left, right, *, key=None, **links):
    con = load([*WHO, *left], [*WHO, *right], **links)
    known = tables.parties(con)
    return equal.take_off(con, known, tables.told(con, known), key=key, from_rows=1), con


def changed(doc, **new):
    return type(doc).model_validate(doc.model_dump() | new)


def test_what_is_equal_on_both_sides_needs_no_further_look():
    pairs, con = taken([*BILLS, payment("P", "1", "5", "2026-01-03")], [*BILLS, payment("P", "1", "5", "2026-01-03")])
    assert pairs == 5
    assert con.execute("SELECT count(*) FROM cmp_rest_left").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "new",
    [
        {"total": "100.0001", "subtotal": "100.0001"},
        {"issued": "2026-01-03"},
        {"posted": "2026-01-03"},
        {"due": "2026-02-01", "customer": "2"},
        {"currency": "EUR"},
        {"customer": "2"},
        {"state": "draft"},
        {"settled_on": "2026-01-09"},
        {"tax": "1", "subtotal": "99"},
        {"disputed": True},
        {"deposit_applied": "1"},
        {"number": "X"},
    ],
)
def test_one_compared_value_that_differs_keeps_the_pair(new):
    pairs, _ = taken(BILLS, [changed(BILLS[0], **new), *BILLS[1:]])
    assert pairs == len(BILLS) - 1


def test_a_difference_of_a_ten_thousandth_in_18_digits_is_found():
    huge = [invoice(f"H{n}", "1", "99999999999999.9999", "2026-01-02") for n in range(2)]
    other = [huge[0], changed(huge[1], total="99999999999999.9998", subtotal="99999999999999.9998")]
    result = compare.run(load([*WHO, *huge], [*WHO, *other]), A, B, as_of=None, bulk_from=1)
    assert [(d.code, str(d.delta)) for d in result.discrepancies] == [("AMOUNT_NET", "-0.0001")]


def test_a_number_that_repeats_is_left_to_the_ladder_and_multiplies_nothing():
    twice = invoice("J", "1", "100", "2026-01-02", number="I0")
    pairs, con = taken([*BILLS, twice], BILLS)
    assert pairs == 3
    rest = [con.execute(f"SELECT count(*) FROM cmp_rest_{side}").fetchall()[0][0] for side in ("left", "right")]
    assert rest == [2, 1]


def test_what_repeats_among_many_is_found_whether_or_not_the_rows_are_numbered_without_gaps():
    many = [invoice(f"I{n}", "12"[n % 2], f"{n + 1}00", "2026-01-02", number=f"N{n}") for n in range(200)]
    again = [changed(many[n], ref=many[n].ref.model_copy(update={"id": f"I{n}d"})) for n in (3, 63, 64, 199)]
    for gone in ([], [0, 70, 71, 150]):
        con = load([*WHO, *many, again[0]], [*WHO, *again[1:], *many])
        for n in gone:
            con.execute("DELETE FROM left_documents WHERE id = ?", [f"I{n}"])
        known = tables.parties(con)
        pairs = equal.take_off(con, known, tables.told(con, known), from_rows=1)
        kept = [id for (id,) in con.execute("SELECT id FROM left_documents ORDER BY id").fetchall()]
        assert pairs == len(kept) - len({"I3", "I3d", "I63", "I64", "I199"} & set(kept))
        rest = con.execute(
            "SELECT d.id FROM cmp_rest_left AS x JOIN left_documents AS d ON d.rowid = x.rid ORDER BY d.id"
        ).fetchall()
        assert [id for (id,) in rest] == ["I199", "I3", "I3d", "I63", "I64"]


def test_numbers_that_repeat_very_often_are_not_joined():
    many = [invoice(f"M{n}", "1", "77", "2026-01-02", number="SAME") for n in range(20)]
    pairs, con = taken([*BILLS, *many], [*BILLS, *many])
    assert pairs == len(BILLS)
    assert con.execute("SELECT k FROM cmp_repeated").fetchall() == [("same",)]
    assert con.execute("SELECT count(*) FROM cmp_equal").fetchall()[0][0] == len(BILLS) + 2 * len(many)


def test_a_pair_that_a_row_may_be_the_double_of_stays():
    double = invoice("D", "1", "100", "2026-01-04", number="I0")
    pairs, con = taken([*BILLS, double], BILLS, key="id")
    assert pairs == 3
    assert con.execute("SELECT count(*) FROM cmp_twin").fetchall() == [(1,)]


def test_what_cash_or_an_adjustment_concerns_stays_on_both_sides():
    paid = payment("P", "1", "100", "2026-01-03", apps=[applied("I0", "100", "2026-01-03")])
    # Payments stay too once a ledger states applications.
    assert taken([*BILLS, paid], [*BILLS, paid])[0] == 3
    off = adjustment("W", "1", "write_off", "100", "2026-01-03", document="I0")
    assert taken([*BILLS, off], BILLS)[0] == 3
    memo = credit("K", "2", "1", "2026-01-03")
    assert taken([*BILLS, memo], [*BILLS, memo])[0] == 5


def test_a_link_has_a_stronger_claim():
    links = {(Entity.INVOICE, "I0"): "T1"}
    assert taken(BILLS, BILLS, left_links=links)[0] == 0
    assert taken(BILLS, BILLS, left_links=links, key="number")[0] == 4


def test_few_rows_are_not_worth_it():
    con = load([*WHO, *BILLS], [*WHO, *BILLS])
    known = tables.parties(con)
    assert equal.take_off(con, known, tables.told(con, known)) == 0
