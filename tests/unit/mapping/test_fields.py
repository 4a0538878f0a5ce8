"""Text to amounts, dates and ids, by declared format only."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.mapping import fields


@pytest.mark.parametrize(
    ("text", "how", "amount"),
    [
        ("1234.56", {}, "1234.56"),
        ("-1234.56", {}, "-1234.56"),
        ("1234.56-", {}, "-1234.56"),
        ("(1234.56)", {}, "-1234.56"),
        ("−5", {}, "-5.00"),
        ("+5", {}, "5.00"),
        ("-0", {}, "0.00"),
        ("0.000001", {}, "0.000001"),
        ("1.234,56", {"decimal_sep": ",", "group_sep": "."}, "1234.56"),
        ("1234,56", {"decimal_sep": ",", "group_sep": "."}, "1234.56"),
        ("1\u202f234,56", {"decimal_sep": ",", "group_sep": " "}, "1234.56"),
        ("1’234.56", {"group_sep": "'"}, "1234.56"),
        ("100.00 CR", {"sign": ("crdr",)}, "-100.00"),
        ("100.00 dr", {"sign": ("crdr",)}, "100.00"),
        ("100.00H", {"sign": ("hs",)}, "-100.00"),
        ("€ 5.00", {"drop": ("€",)}, "5.00"),
        ("-€5.00", {"drop": ("€",)}, "-5.00"),
        ("5.00- EUR", {"drop": ("EUR",)}, "-5.00"),
        ("１２.50", {}, "12.50"),
        ("999999999999999.999999", {}, "999999999999999.999999"),
    ],
)
def test_amounts(text: str, how: dict, amount: str) -> None:
    assert fields.decimal(text, **how) == D(amount)


@pytest.mark.parametrize(
    ("text", "how", "reason"),
    [
        ("", {}, "not a number"),
        ("1e3", {}, "exponent"),
        ("1.5e3", {}, "exponent"),
        ("1_000", {}, "not a number"),
        ("1,234.56", {}, "not a number"),
        ("1234.56", {"decimal_sep": ","}, "not a number"),
        ("12,34.5", {"group_sep": ","}, "not a number"),
        ("1,2345", {"group_sep": ","}, "not a number"),
        ("1234,567", {"group_sep": ","}, "not a number"),
        ("-(5)", {}, "not a number"),
        ("(-5)", {}, "two signs"),
        ("-5-", {}, "two signs"),
        ("5-", {"sign": ("leading",)}, "trailing sign"),
        ("(5)", {"sign": ("leading",)}, "parentheses sign"),
        ("-5", {"sign": ("trailing",)}, "leading sign"),
        ("5 CR", {}, "not a number"),
        ("$5", {}, "not a number"),
        ("=5", {}, "formula"),
        ("#N/A", {}, "error cell"),
        ("1.0000001", {}, "6 decimal places"),
        ("1000000000000000", {}, "10^15"),
        ("5\x00", {}, "control character"),
        ("NaN", {}, "not a number"),
        ("Infinity", {}, "not a number"),
        ("٣", {}, "not a number"),
    ],
)
def test_what_is_no_amount(text: str, how: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as refused:
        fields.decimal(text, **how)
    assert reason in str(refused.value)


@given(
    cents=st.integers(-(10**14), 10**14),
    shape=st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", "")]),
    style=st.sampled_from(["leading", "trailing", "parentheses", "crdr"]),
)
def test_what_is_printed_is_read_back(cents: int, shape: tuple[str, str], style: str) -> None:
    decimal, group = shape
    bare = f"{abs(cents) // 100:,}".replace(",", group) + f"{decimal}{abs(cents) % 100:02d}"
    printed = {"leading": f"-{bare}", "trailing": f"{bare}-", "parentheses": f"({bare})", "crdr": f"{bare} CR"}[style]
    read = fields.decimal(printed if cents < 0 else bare, decimal_sep=decimal, group_sep=group, sign=(style,))
    assert read == D(cents) / 100


@given(st.text(alphabet="0123456789.,-()' eE+CR", max_size=12))
def test_an_accepted_amount_has_one_reading(text: str) -> None:
    """Whatever is accepted under one pair of separators holds those digits in that order, and no others."""
    try:
        amount = fields.decimal(text, group_sep=",")
    except ValueError:
        return
    digits = "".join(c for c in text if c.isdigit())
    whole, _, fraction = text.partition(".")
    assert abs(amount) == D(digits).scaleb(-sum(c.isdigit() for c in fraction))
    assert any(c.isdigit() for c in whole)


@pytest.mark.parametrize(
    ("text", "fmt", "day"),
    [
        ("2026-01-31", "%Y-%m-%d", date(2026, 1, 31)),
        ("1/2/2026", "%m/%d/%Y", date(2026, 1, 2)),
        ("1/2/2026", "%d/%m/%Y", date(2026, 2, 1)),
        ("31.12.2025", "%d.%m.%Y", date(2025, 12, 31)),
        ("20260131", "%Y%m%d", date(2026, 1, 31)),
        ("31-Jan-2026", "%d-%b-%Y", date(2026, 1, 31)),
        ("31 januar 2026", "%d %b %Y", date(2026, 1, 31)),
        ("5 févr. 2026", "%d %b %Y", date(2026, 2, 5)),
        ("01.02.68", "%d.%m.%y", date(2068, 2, 1)),
        ("01.02.69", "%d.%m.%y", date(1969, 2, 1)),
        ("2010-12-01 08:26:00", "%Y-%m-%d %H:%M:%S", date(2010, 12, 1)),
        ("44927", "excel", date(2023, 1, 1)),
        ("44927.75", "excel", date(2023, 1, 1)),
        ("43465", "excel1904", date(2023, 1, 1)),
        (" 2026-01-31\u00a0", "%Y-%m-%d", date(2026, 1, 31)),
    ],
)
def test_dates(text: str, fmt: str, day: date) -> None:
    assert fields.day(text, fmt) == day


@pytest.mark.parametrize(
    ("text", "fmt", "reason"),
    [
        ("31/12/2025", "%m/%d/%Y", "no day 12 in month 31"),
        ("2023-02-29", "%Y-%m-%d", "no day 29 in month 2"),
        ("20260131", "%Y-%m-%d", "not a date"),
        ("2026111", "%Y%m%d", "not a date"),
        ("1.2.25", "%d.%m.%Y", "not a date"),
        ("01.02.0025", "%d.%m.%Y", "outside"),
        ("05:23.4", "%Y-%m-%d", "destroyed"),
        ("00.00.0000", "%d.%m.%Y", "outside"),
        ("60", "excel", "below 61"),
        ("2026-01-31T00:00:00Z", "%Y-%m-%d", "not a date"),
        ("5 foo 2026", "%d %b %Y", "not the name of a month"),
    ],
)
def test_what_is_no_date(text: str, fmt: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as refused:
        fields.day(text, fmt)
    assert reason in str(refused.value)


@pytest.mark.parametrize("fmt", ["%d.%m", "%Y", "%d/%m/%Q", "31.12.2025"])
def test_formats_without_a_whole_date_are_refused(fmt: str) -> None:
    with pytest.raises(ValueError, match="date format"):
        fields.date_pattern(fmt)


@given(st.dates(date(1900, 3, 1), date(2199, 12, 31)))
def test_serials_and_formats_agree(day: date) -> None:
    assert fields.day(str((day - date(1899, 12, 30)).days), "excel") == day
    for fmt in ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d-%b-%Y"):
        assert fields.day(day.strftime(fmt), fmt) == day
    assert (
        fields.serial(str((day + timedelta(1) - date(1904, 1, 2)).days), since_1904=True) == day
        if day.year > 1904
        else True
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0007", "0007"),
        (" A 1 ", "A 1"),
        ("17850.0", "17850"),
        ("14-000415-", "14-000415-"),
        ("1E5", "1E5"),
        ("\ufeffX", "X"),
        ("1.50", "1.50"),
    ],
)
def test_identifiers(text: str, found: str) -> None:
    assert fields.identifier(text) == found


@pytest.mark.parametrize(
    "text", ["1.93E+09", "1E+10", "1,9e5", "=1", "#REF!", "a\nb", "a\x00", "\u202ea", "x" * 40_000]
)
def test_what_is_no_identifier(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.identifier(text)


def test_text_keeps_what_it_can_and_refuses_what_misleads() -> None:
    assert fields.text(" Müller\r\n& Co ") == "Müller & Co"
    assert fields.text("RÃ\x96CHLING") == "RÃ\x96CHLING"
    for bad in ("a\x1b[2J", "\u202eemcA", "#NAME?"):
        with pytest.raises(ValueError, match=r"."):
            fields.text(bad)


def test_codes_currencies_and_flags() -> None:
    assert fields.choice(" rv ", {"RV": "invoice"}) == "invoice"
    assert fields.currency("eur") == "EUR"
    assert (fields.flag("Yes"), fields.flag("0")) == (True, False)
    for read in (
        lambda: fields.choice("X", {"RV": "invoice"}),
        lambda: fields.currency("$"),
        lambda: fields.flag("maybe"),
    ):
        with pytest.raises(ValueError, match=r"."):
            read()
