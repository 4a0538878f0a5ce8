"""What a comparison looks like to people and programs, with ledgers that try to misuse either."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest

from tests.ledgers import D, applied, compared, customer, invoice, misusing, payment
from tieout.compare import render

EVIL = '=HYPERLINK("http://x")<script>alert(1)</script>\x1b[2J\u202e"\''


@pytest.fixture(scope="module")
def result():
    return misusing(EVIL)


def test_json_is_the_result_with_money_as_text(result):
    data = json.loads(render.to_json(result), parse_float=lambda x: pytest.fail(f"a float: {x}"))
    assert data == result.as_json()
    missing = next(d for d in data["discrepancies"] if d["left"] == "L1")
    assert (missing["delta"], missing["left_value"]) == ("-1234567.891", "1234567.891")
    assert data["bridge"]["EUR"] == {
        "left_total": "0.00",
        "lines": [{"code": "MISSING_IN_A", "delta": "1.00", "count": 1}],
        "right_total": "1.00",
        "remainder": "0.00",
        "unconfirmed": "1.00",
    }


def test_csv_keeps_amounts_exact_and_text_harmless(result):
    rows = list(csv.DictReader(io.StringIO(render.to_csv(result))))
    assert len(rows) == len(result.discrepancies)
    assert sorted(Decimal(r["delta"]) for r in rows) == sorted(d.delta for d in result.discrepancies)
    by_left = {r["left"]: r for r in rows}
    assert by_left["L1"]["left_label"] == "'" + EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert by_left["P1"]["left_label"] == "'-1+2"
    assert by_left["L1"]["delta"] == "-1234567.891"  # a number, not text
    for row in rows:
        for column in set(render.COLUMNS) - {"delta", "left_value", "right_value"}:
            assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_terminal_table_cannot_steer_the_terminal(result):
    shown = render.to_table(result)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "remainder" in shown
    lines = [line for line in shown.splitlines() if line.startswith("MISSING_IN_B")]
    assert len(lines) == 1


def test_people_read_amounts_in_groups(result):
    assert "1,234,567.891" in render.to_table(result)
    assert "1234567.891" not in render.to_table(result)


def test_terminal_table_says_what_it_leaves_out(result):
    assert "more; --json" in render.to_table(result, most=1)


def test_what_the_ledgers_say_is_shown_as_amounts_are(result):
    lines = render.to_table(result).splitlines()
    row = next(line for line in lines if line.startswith("MISSING_IN_B"))
    head = next(line for line in lines if line.startswith("code "))
    assert " 1,234,567.891 " in row
    says = row.index("1,234,567.891 ", row.index("existence"))
    assert says + len("1,234,567.891") == head.index("A says") + len("A says"), "flush right"


def test_money_has_the_places_of_its_currency():
    assert [render.money("1563215.00", c) for c in ("JPY", "USD", "KWD")] == [
        "1,563,215",
        "1,563,215.00",
        "1,563,215.000",
    ]
    assert render.money("-7.5", "JPY") == "-7.5", "more than the currency has is shown"


def test_by_code_sums_per_currency(result):
    assert result.by_code["MISSING_IN_B"] == {"count": 1, "delta": {"USD": D("-1234567.891")}}


def test_people_see_whose_document_it_is_and_its_amount():
    left = [
        customer("C1", "Acme Ltd", "1"),
        customer("C2", "Ōsaka Trading", "2"),
        invoice("A", "C1", "12480", "2026-01-05"),
    ]
    right = [customer("a", "Acme Ltd", "1"), customer("b", "Ōsaka Trading", "2")]
    yen = invoice("J", "C2", "5500", "2026-01-06", currency="JPY")
    more = yen.model_copy(update={"customer": "b", "subtotal": D(5600), "total": D(5600)})
    result = compared([*left, yen], [*right, more])
    assert [(d.customer, d.amount, d.currency) for d in result.discrepancies] == [
        ("Acme Ltd", 12480, "USD"), ("Ōsaka Trading", 5500, "JPY"),
    ]  # fmt: skip
    table = render.to_table(result)
    assert "0 matched" not in table
    assert "1 matched, 2 discrepancies" in table
    rows = [line.split() for line in table.splitlines() if line.startswith(("MISSING_IN_B", "AMOUNT_NET"))]
    assert rows == [
        ["MISSING_IN_B", "A", "Acme", "Ltd", "12,480.00", "existence", "12,480.00", "-12,480.00", "USD"],
        ["AMOUNT_NET", "J", "J", "Ōsaka", "Trading", "5,500", "total", "5,500", "5,600", "100", "JPY"],
    ]
    by_left = {r["left"]: r for r in csv.DictReader(io.StringIO(render.to_csv(result)))}
    assert (by_left["J"]["customer"], by_left["J"]["amount"]) == ("Ōsaka Trading", "5500.00")
    assert [d["customer"] for d in result.as_json()["discrepancies"]] == ["Acme Ltd", "Ōsaka Trading"]
    one = compared(left, right)
    assert "0 matched, 1 discrepancy\n" in render.to_table(one)


def test_a_sentence_has_the_places_of_the_currency():
    cash = payment("P", "C", "5", "2026-01-06", currency="JPY", apps=[applied("J", "500", "2026-01-06")])
    cash = cash.model_copy(update={"amount": D(400)})
    found = compared([invoice("J", "C", "500", "2026-01-05", currency="JPY"), cash], []).discrepancies
    [over] = [d for d in found if d.code == "OVER_APPLIED"]
    assert over.cause.startswith("applied or adjusted beyond its amount of 400 in ")
