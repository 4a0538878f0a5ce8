"""What counts as an amount: exact, in one spelling, and refused rather than rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tieout.model import Money, Signed, tidy

SIGNED, MONEY = TypeAdapter(Signed), TypeAdapter(Money)
amounts = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17),
    st.integers(-(10**17), 10**17).map(lambda n: Decimal(n).scaleb(-2)),
    st.integers(-(10**9), 10**9).map(lambda n: Decimal(n).scaleb(-6)),
    st.integers(-(10**17), 10**17).map(Decimal),
)


def refused(value: Decimal) -> bool:
    """Whether the number is too long for an amount, told by its digits."""
    whole, _, places = f"{abs(value):f}".partition(".")
    return len(whole.lstrip("0")) > 15 or len(places.rstrip("0")) > 6


@given(amounts, st.sampled_from([lambda d: d, str, lambda d: f"{d:f}", lambda d: f" {d:f}"]))
def test_an_amount_is_kept_exactly_in_one_spelling_or_refused(value, spelled):
    if refused(value):
        with pytest.raises(ValidationError):
            SIGNED.validate_python(spelled(value))
        return
    found = SIGNED.validate_python(spelled(value))
    assert found == value
    places = len(f"{abs(value):f}".partition(".")[2].rstrip("0"))
    assert str(found) == (f"{value:.{max(2, places)}f}" if value else "0.00")
    assert str(tidy(value)) == str(found)
    assert SIGNED.validate_python(str(found)) == found
    if value < 0:
        with pytest.raises(ValidationError, match="amounts are positive"):
            MONEY.validate_python(spelled(value))
    else:
        assert str(MONEY.validate_python(spelled(value))) == str(found)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "must not pass through a float"),
        (True, "must not pass through a float"),
        ("NaN", "should be a finite number"),
        (Decimal("-Infinity"), "should be a finite number"),
        (Decimal("sNaN"), "should be a finite number"),
        ("12,50", "valid decimal"),
        ("", "valid decimal"),
        (None, "Decimal input"),
        ((0, (1,), 2), "a number or its text"),
        (10**15, "below 10"),
        ("1.0000001", "more than 6 decimal places"),
    ],
    ids=repr,
)
def test_what_is_no_amount_is_named(value, reason):
    for kind in (SIGNED, MONEY):
        with pytest.raises(ValidationError, match=reason):
            kind.validate_python(value)
