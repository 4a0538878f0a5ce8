"""A comparison says of itself what it did not look at, what belongs together in parts, and what the ledgers state."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.resources import files

import duckdb
import pytest

from tests.ledgers import A, B, D, customer, invoice, load
from tieout import compare
from tieout.compare import render
from tieout.compare.files import compare_files
from tieout.reports.reconciliation import comparison

START = date(2026, 1, 5)
WHO = [customer("C1", "One", "1"), customer("C2", "Two", "2"), customer("C3", "Three", "3")]


def bill(id, amount, after, who="C1"):
    return invoice(id, who, amount, str(START + timedelta(days=after)))


# One bill of the left is three of the right; of C2 one number is in two parts; of C3 too many lie about.
LEFT = [
    bill("L1", "1000.37", 0),
    invoice("L2", "C2", "30.00", "2026-01-05", number="N-7"),
    *(bill(f"X{n}", f"{n}.10", n, "C3") for n in range(1, 13)),
]
RIGHT = [
    bill("R1", "400.21", 1), bill("R2", "333.09", 2), bill("R3", "267.07", 3),
    *(invoice(f"S{n}", "C2", amount, "2026-01-05", number="N-7") for n, amount in enumerate(("10.00", "20.00"))),
    *(bill(f"Y{n}", f"{n}.70", n, "C3") for n in range(1, 4)),
]  # fmt: skip


def run(left=WHO, right=WHO, **more):
    return compare.run(load([*left, *LEFT], [*right, *RIGHT]), A, B, as_of=None, **more)


def test_documents_that_are_one_in_parts_are_among_the_matches_with_rule_and_evidence(tmp_path):
    path = tmp_path / "matches.parquet"
    result = run(matches=path)
    columns = 'rule, "left", "right", coalesce(total, right_total), automatic, evidence, "group"'
    rows = duckdb.connect().execute(f"SELECT {columns} FROM '{path}' ORDER BY 7, 2, 3").fetchall()
    assert [r[:5] for r in rows] == [
        ("parts of one number", "L2", None, 30, False), ("parts of one number", None, "S0", 10, False),
        ("parts of one number", None, "S1", 20, False), ("equal sums", "L1", None, D("1000.37"), False),
        ("equal sums", None, "R1", D("400.21"), False), ("equal sums", None, "R2", D("333.09"), False),
        ("equal sums", None, "R3", D("267.07"), False),
    ]  # fmt: skip
    said = {r[0]: r[5] for r in rows}
    assert said["parts of one number"] == "sum=30.000000"
    assert "sum=1000.370000; answers=L1 = R1 + R2 + R3; ways=1; among=" in said["equal sums"]
    assert len({r[6] for r in rows}) == result.by_code["SPLIT_OR_MERGED"]["count"] == 2


def test_what_is_too_crowded_to_be_looked_at_is_counted_in_every_form():
    result = run()
    assert result.crowded == (12, 3)
    assert run(left=WHO[:2]).crowded == (0, 0), "of a customer that only one ledger has nothing could be a group"
    told = "12 documents of A and 3 of B were not looked at for groups whose sums agree: more than 10 of one ledger"
    assert told in render.to_table(result)
    assert result.beside()["not_looked_at_for_groups"] == {"left": 12, "right": 3}
    report = comparison.report(result)
    assert report.notes[0].startswith(told)
    assert report.provenance["not looked at for groups"] == {"A": 12, "B": 3}


@pytest.mark.parametrize("from_rows", [1, 1 << 30])
def test_with_a_key_it_is_said_that_no_groups_were_looked_for(from_rows):
    """An invoice that the other ledger has in three parts: with --key it is missing, and why is said."""
    result = run(key="number", bulk_from=from_rows)
    assert result.by_code["SPLIT_OR_MERGED"]["count"] == 1, "the parts of one number"
    missing = [d for d in result.discrepancies if d.code.startswith("MISSING_IN")]
    assert sum(result.crowded) == len(missing) > 3
    told = "not looked at for groups whose sums agree: documents are paired by their number alone (--key)."
    assert told in render.to_table(result)
    assert comparison.report(result).notes[0].endswith(told)
    assert sum(result.beside()["not_looked_at_for_groups"].values()) == len(missing)


@pytest.mark.parametrize("from_rows", [1, 1 << 30])
def test_what_a_ledger_states_of_its_customers_is_added_up_and_held_against_their_documents(from_rows):
    stating = [
        customer("C1", "One", "1", reported_balance=D("1000.37")),
        customer("C2", "Two", "2", currency="USD", reported_balance=D("31.00")),
        customer("C3", "Three", "3", currency="EUR", reported_balance=D("5")),
    ]
    result = run(left=stating, bulk_from=from_rows)
    [one] = result.stated
    assert one.as_json() == {
        "side": "left", "currency": "USD", "customers": 2, "stated": "1031.37", "documents": "1030.37", "differ": 1,
    }  # fmt: skip
    assert [d.left for d in result.discrepancies if d.code == "BALANCE_MISMATCH_INTERNAL"] == ["C2"]
    [proof] = [p for p in comparison.report(result).proofs if "states of each" in p.claim]
    assert (proof.ours, proof.theirs, proof.held) == (D("1030.37"), D("1031.37"), False)
    assert (
        "A states of 2 customers a balance of 1,031.37 USD in all; their documents add up to 1,030.37: 1 differs"
        in (render.to_table(result))
    )


ROWS = "kind,number,customer,customer_name,issued,currency,item,net,total\n"


def rows_of(factor):
    lines = [(n, line, D(100 * n + 10 * line) * factor) for n in (1, 2) for line in (1, 2, 3)]
    return ROWS + "".join(f"invoice,R-{n},C1,Ada Ltd,2026-01-0{n},USD,X{i},{a:.2f},{a:.2f}\n" for n, i, a in lines)


def test_rows_all_of_whose_amounts_differ_are_one_document_where_the_profile_says_so(tmp_path):
    """Which row is which nobody can tell; of one document in lines there is nothing to tell."""
    for name, factor in (("left", D(1)), ("right", D("1.1"))):
        (tmp_path / f"{name}.csv").write_text(rows_of(factor))
    shipped = (files("tieout.mapping") / "profiles" / "documents.toml").read_text()
    lined = tmp_path / "lined.toml"
    lined.write_text(shipped.replace('key = ["number"]', 'rows = "lines"\nkey = ["number"]'))
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    result = compare_files(left, "documents", right, "documents", None)
    assert [d.code for d in result.discrepancies] == ["AMBIGUOUS_MATCH", "AMBIGUOUS_MATCH"]
    for d in result.discrepancies:
        assert "candidates for number R-" in d.cause
        assert 'rows = "lines"' in d.remedy
    told = compare_files(left, str(lined), right, str(lined), None)
    assert [(d.code, d.left_label, d.left_value, d.right_value, d.delta) for d in told.discrepancies] == [
        ("AMOUNT_NET", "R-2", "660.00", "726.00", 66), ("AMOUNT_NET", "R-1", "360.00", "396.00", 36),
    ]  # fmt: skip


def test_documents_of_several_numbers_are_not_said_to_have_one():
    left = [*WHO, *(invoice(f"A{n}", "C1", "50", "2026-01-05", number=f"L{n}") for n in range(2))]
    right = [*WHO, *(invoice(f"B{n}", "C1", "50", "2026-01-05", number=f"R{n}") for n in range(2))]
    [found] = compare.run(load(left, right), A, B, as_of=None).discrepancies
    assert found.code == "AMBIGUOUS_MATCH"
    assert "for number" not in found.cause
    assert "lines" not in found.remedy
