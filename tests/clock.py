"""A clock for tests: it stands until somebody moves it, or waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Aware, UTC."""

    def __init__(self, at: datetime = datetime(2026, 2, 2, 20, 0, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)

    def sleep(self, seconds: float) -> None:
        self.forward(seconds=seconds)
