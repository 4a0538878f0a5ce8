"""Text that people see: what a terminal or a spreadsheet might run is an escape, columns stand beneath each other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tieout.plaintext import grid, money, neutral, plain


@pytest.mark.parametrize("start", ["=1", "+1", "-1", "@x", "\t=1", "\n=1", " =1", "\u00a0=1", "\uff1d1", "\u22121"])
def test_every_start_a_spreadsheet_runs_is_neutral(start):
    assert neutral(start) == "'" + start


def test_what_hides_or_steers_in_a_cell_is_an_escape():
    assert neutral("a\r\nb\tc\r\x1b\x9b\u202ed\ufeff") == "a\nb\tc\\x0d\\x1b\\x9b\\u202ed\\ufeff"
    assert neutral("\r=1") == "\\x0d=1"
    assert neutral("Müller & Söhne 株式会社") == "Müller & Söhne 株式会社"


def test_what_steers_a_terminal_is_an_escape() -> None:
    assert plain("a\x1b[2J\n\u202eb") == "a\\x1b[2J\\x0a\\u202eb"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
    assert plain("漢" * 50, 10) == "漢" * 4 + "…"


def test_columns_align_whatever_the_script() -> None:
    assert grid([("a", "1.00"), ("漢字", "10.00")], frozenset({1})) == ["a      1.00", "漢字  10.00"]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Decimal("482310.55"), "482,310.55"),
        (Decimal(-12480), "-12,480.00"),
        (Decimal("0.125"), "0.125"),
        ("1000", "1,000.00"),
        (Decimal("1E+6"), "1,000,000.00"),
        ("-1234567.891", "-1,234,567.891"),
        ("0.00", "0.00"),
        (None, ""),
    ],
)
def test_amounts_for_people(amount: Decimal | str | None, shown: str) -> None:
    assert money(amount) == shown
