"""Days, moments and amounts as a person types them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import click


class _Day(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A day, as the first moment of it, without a time zone. far: in any year, for one that nothing is counted from"""

    name = "yyyy-mm-dd"

    def __init__(self, *, far: bool = False) -> None:
        self._far = far

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.combine(date.fromisoformat(value), time.min)
        except ValueError:
            self.fail(f"{value!r} is not a day; write it as in 2026-01-31", param, ctx)
        first, last = _years()
        if not self._far and not first <= found.year <= last:
            self.fail(f"{value!r} is outside the years {first} to {last}", param, ctx)
        return found


class _Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A day (all of it, UTC) or a moment (UTC)."""

    name = "day or moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = _moment(value)
        except (ValueError, OverflowError):  # the latter of a moment before the year 1, or after the year 9999
            self.fail(f"{value!r} is neither a day (2026-01-31) nor a moment (2026-01-31T17:30)", param, ctx)
        if found.year < _years()[0]:
            self.fail(f"{value!r} is before the year {_years()[0]}", param, ctx)
        return found


def _years() -> tuple[int, int]:
    """The first and last that a ledger may have dates of: reports count days on from one, within the calendar."""
    from tieout.mapping.fields import YEARS  # with the records, which a command without a day does not load

    return YEARS


def _moment(value: str) -> datetime:
    if on := _day(value):
        return datetime.combine(on, time.max, UTC)
    told = datetime.fromisoformat(value)
    return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)


def _day(value: str) -> date | None:
    """The day that a text is, in any of the ways of ISO 8601 to write one; None for anything else."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def amount(text: str) -> Decimal | None:
    """The amount that a text is, in plain digits: below 10^15, with up to six decimal places; None for any other."""
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?", text) else None


def known_by(until: datetime | None, option: str, now: datetime) -> datetime | None:
    """A moment until which something is to have been known; of today, as far as it has gone.

    Raises UsageError where it lies ahead: nobody knows anything then yet.
    """
    if until is None or until <= now:
        return until
    if until == datetime.combine(now.astimezone(UTC).date(), time.max, UTC):
        return now
    raise click.UsageError(
        f"{option} {until:%Y-%m-%d %H:%M} UTC lies ahead: nothing is known of then yet. "
        "Leave it out for what is known now"
    )


DAY = _Day()
ANY_DAY = _Day(far=True)
MOMENT = _Moment()
