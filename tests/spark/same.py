"""One comparison on both engines: on Spark it finds what it finds on DuckDB, to the letter. Run by `make spark`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from tests.ledgers import A, B, adjustment, applied, credit, customer, invoice, load, payment
from tieout import compare
from tieout.compare import Explained, Rounding
from tieout.compare.inputs import spark
from tieout.model import PostingState

START = date(2026, 1, 1)
AS_OF = date(2026, 1, 20)

KNOWN = Explained("left", "invoice", "I1", "OUT_OF_SCOPE", "before the first day", "confirm the rule")


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    # A few hundred rows: compiling each query would take longer than running it.
    small = {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
    }
    with spark.session("local[2]", settings=small.items()) as live:
        yield live


def ledgers(n: int, seed: int):
    """A left ledger, and a right one that is its copy, damaged in every way that a comparison tells apart."""
    r = random.Random(seed)
    people = [customer(f"C{i}", name, f"{i}") for i, name in enumerate(("O'Brien:Sons", "Ünal & Söhne", "=1+1|\\n"))]
    left, right = list(people), list(people)
    for i in range(n):
        who = r.choice(people).ref.id
        on = (START + timedelta(days=r.randrange(30))).isoformat()
        number = r.choice([f"N{i}", f"N{i}", "N0", "N1", None])
        amount = str(r.choice([Decimal(10), Decimal("12.34"), Decimal(r.randrange(1, 99_999)) / 100]))
        kind = r.choice(["invoice", "invoice", "credit", "payment", "adjustment"])
        bills = [d for d in left if d.entity == "invoice" and d.customer == who]
        apps = [applied(r.choice(bills).ref.id, "1", on)] if bills and r.random() < 0.5 else ()
        if kind == "invoice":
            doc = invoice(f"I{i}", who, amount, on, number=number, tax="1" if Decimal(amount) > 1 else "0")
        elif kind == "credit":
            doc = credit(f"K{i}", who, amount, on, number=number, apps=apps)
        elif kind == "payment":
            doc = payment(f"P{i}", who, amount, on, reference=number, apps=apps)
        else:
            about = r.choice(bills).ref.id if bills else None
            doc = adjustment(f"A{i}", who, r.choice(["write_off", "discount"]), amount, on, document=about)
        left.append(doc)
        right += damaged(doc, r)
    # A number that has another kind there, and one that is used twice here.
    left += [invoice("S1", "C1", "701.01", "2026-01-05", number="S1")]
    right += [credit("S1", "C1", "702.02", "2026-01-06", number="S1")]
    left += [invoice(f"T{n}", "C1", f"80{n}.03", f"2026-01-1{n}", number="T1") for n in (1, 2)]
    right += [invoice("T1", "C1", "801.03", "2026-01-11", number="T1")]
    r.shuffle(right)
    return left, right


def damaged(doc, r):
    late = doc.posted + timedelta(days=r.randrange(1, 20))
    twin = doc.model_copy(update={"ref": doc.ref.model_copy(update={"id": doc.ref.id + "d"})})
    match r.randrange(12):
        case 0:
            return []
        case 1:
            return [doc, twin]
        case 2:
            return [doc.model_copy(update={"posted": late})]
        case 3:
            return [doc.model_copy(update={"state": PostingState.VOIDED, "voided_on": r.choice([doc.posted, late])})]
        case 4:
            return [doc.model_copy(update={"currency": "EUR"})]
        case 5:
            return [doc.model_copy(update={"customer": "C0"})]
        case 6 if doc.entity in ("invoice", "credit_memo"):
            return [doc.model_copy(update={"total": doc.total + Decimal("0.01"), "tax": doc.tax + Decimal("0.01")})]
        case 7 if doc.entity == "invoice":
            return [doc.model_copy(update={"total": doc.total + 5})]
        case 8 if doc.entity == "invoice":
            return [doc.model_copy(update={"settled_on": late})]
        case 9 if doc.entity == "payment":
            return [doc.model_copy(update={"applications": ()})]
        case _:
            return [doc]


def on_spark(session: SparkSession, con, folder: Path) -> spark.Spark:
    """The two ledgers that are loaded into DuckDB, on Spark."""
    there = spark.Spark(session)
    for side in ("left", "right"):
        spark.export(con, side, folder)
        there.load(side, str(folder))
    return there


@pytest.mark.parametrize(
    ("n", "seed", "more"),
    [
        (120, 1, {"as_of": AS_OF}),
        (120, 4, {"as_of": AS_OF, "bulk_from": 1}),
        (120, 2, {"as_of": None, "rounding": Rounding(Decimal("0.02"), Decimal(1)), "same_ids": True}),
        (120, 3, {"as_of": AS_OF, "right": replace(B, open_items=True), "explained": [KNOWN]}),
    ],
    ids=["as of", "equal pairs taken off", "rounding", "open items"],
)
def test_spark_finds_what_duckdb_finds(session, tmp_path: Path, n, seed, more) -> None:
    con = load(*ledgers(n, seed))
    asked = {"left": A, "right": B} | more
    there = on_spark(session, con, tmp_path)
    ours = compare.run(con, **asked).as_json()
    assert compare.run(there, **asked).as_json() == ours
    assert len(ours["by_code"]) >= 8, ours["by_code"]
    told = " ".join(d["cause"] for d in ours["discrepancies"])
    assert "which pairs with nothing either" in told
    assert "which pairs with invoice T1" in told
    con.close()


def test_a_difference_of_the_last_of_eighteen_digits_is_found(session, tmp_path: Path) -> None:
    who = customer("C1", "Alder", "1")
    big = "999999999999.999999"
    con = load(
        [who, invoice("I1", "C1", big, "2026-01-05", number="1")],
        [who, invoice("I1", "C1", "999999999999.999998", "2026-01-05", number="1")],
    )
    there = on_spark(session, con, tmp_path)
    found = compare.run(there, A, B, as_of=None)
    assert [(d.code, d.delta) for d in found.discrepancies] == [("AMOUNT_NET", Decimal("-0.000001"))]
    con.close()


def test_groups_by_their_sums_are_the_same(session, tmp_path: Path) -> None:
    """The rows come from one statement on both engines; what is grouped of them is one function's."""
    who = [customer("C1", "Alder", "1"), customer("C2", "Birch", "2")]
    one = [("I1", "C1", "150.00", 20), ("I2", "C2", "700.00", 9), ("I3", "C2", "55.55", 3)]
    other = [
        ("J1", "C1", "100.10", 5),
        ("J2", "C1", "49.90", 12),
        ("J3", "C2", "299.99", 9),
        ("J4", "C2", "400.01", 10),
    ]
    other += [("J5", "C2", "350.50", 11), ("J6", "C2", "349.50", 12), ("J7", "C1", "9", 30)]
    sides = [
        [invoice(id, c, amount, (START + timedelta(days=day)).isoformat(), number=id) for id, c, amount, day in some]
        for some in (one, other)
    ]
    cash = [
        [payment(id, "C1", amount, (START + timedelta(days=7)).isoformat()) for id, amount in some]
        for some in ((("P1", "70.11"), ("P2", "29.89"), ("P3", "8.01")), (("Q1", "60"), ("Q2", "40")))
    ]
    con = load([*who, *sides[0], *cash[0]], [*who, *sides[1], *cash[1]])
    there = on_spark(session, con, tmp_path)
    found = compare.run(con, A, B, as_of=None)
    assert compare.run(there, A, B, as_of=None).as_json() == found.as_json()
    assert {(d.code, d.left, d.right) for d in found.discrepancies if "," in f"{d.left}{d.right}"} == {
        ("SPLIT_OR_MERGED", "I1", "J1, J2"),
        ("SPLIT_OR_MERGED", "P1, P2", "Q1, Q2"),
        ("AMBIGUOUS_MATCH", "I2", "J3, J4, J5, J6"),
    }
    con.close()


def test_what_a_ledger_that_applies_nothing_states_as_open_is_the_same(session, tmp_path: Path) -> None:
    who = [customer("C1", "O'Brien:Sons", "1"), customer("C2", "Birch", "2")]
    day = START.isoformat()
    left = [
        *who,
        invoice("I1", "C1", "150.00", day, number="1", reported_open=Decimal(0)),
        invoice("I2", "C1", "49.90", day, number="2", reported_open=Decimal("49.90")),
        payment("P1", "C1", "60.00", day, reported_unapplied=Decimal("60.00")),
        invoice("I3", "C2", "70.00", day, number="3", reported_open=Decimal("70.00")),
    ]
    con = load(left, left)
    there = on_spark(session, con, tmp_path)
    found = compare.run(con, A, B, as_of=None)
    assert compare.run(there, A, B, as_of=None).as_json() == found.as_json()
    assert [(d.code, d.left, d.right, d.left_value, d.right_value) for d in found.discrepancies] == [
        ("BALANCE_MISMATCH_INTERNAL", "C1", None, "-10.10", None),
        ("BALANCE_MISMATCH_INTERNAL", None, "C1", None, "-10.10"),
    ]
    con.close()


def test_the_program_says_the_same_with_either_engine(tmp_path: Path) -> None:
    for name, edit in (("left", ""), ("right", "WHERE id <> '7'")):
        with duckdb.connect() as con:
            con.execute(
                f"""COPY (SELECT CAST(n AS VARCHAR) AS id, 'invoice' AS kind, '9' AS customer, '9' AS customer_number,
                          CASE WHEN n = 7 THEN 'Zett' WHEN n = 8 THEN 'Unal co' ELSE 'Ünal & Söhne' END AS customer_name,
                          CASE WHEN n = 3 THEN 'ÄB-3' ELSE 'N-' || n // 2 END AS number, DATE '2026-01-05' AS issued,
                          'USD' AS currency, CAST(n AS DECIMAL(18,2)) AS total
                    FROM (SELECT greatest(n, 2) AS n, CAST(greatest(n, 2) AS VARCHAR) AS id FROM range(1, 20) AS t(n)) AS g
                    {edit}) TO '{tmp_path / name}.parquet' (FORMAT parquet)"""
            )
    said = []
    for more in ([], ["--engine", "spark", "--master", "local[2]"]):
        args = ["compare", "--left", tmp_path / "left.parquet", "--right", tmp_path / "right.parquet", "--json", *more]
        ran = subprocess.run([sys.executable, "-m", "tieout", *args], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        said.append({k: v for k, v in json.loads(ran.stdout).items() if k != "provenance"})
    assert said[0] == said[1]
    assert [d["code"] for d in said[0]["discrepancies"]] == ["MISSING_IN_B"]
