"""Days and moments as a person types them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import click


class _Day(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A day, as the first moment of it, without a time zone."""

    name = "yyyy-mm-dd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.combine(date.fromisoformat(value), time.min)
        except ValueError:
            self.fail(f"{value!r} is no day; write it as in 2026-01-31", param, ctx)


class _Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A day (all of it, UTC) or a moment (UTC)."""

    name = "day or moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if len(value) == len("2026-01-31"):
                return datetime.combine(date.fromisoformat(value), time.max, UTC)
            told = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a day (2026-01-31) nor a moment (2026-01-31T17:30)", param, ctx)
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)


DAY = _Day()
MOMENT = _Moment()
