"""A Sage X3 sandbox with a connector on it, for tests."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tieout.connectors.sage_x3 import open_sage_x3
from tieout.sandbox import sage_x3 as sandbox

NAME = "x3"
SERVICES = {
    "BPC": "WSBPC",
    "SIH": "WSSIH",
    "BIC": "WSBIC",
    "PAY": "WSPAY",
    "GAS": "WSGAS",
    "open_items": "ZARDUD",
    "changes": "ZARDELTA",
}


class Time:
    """The one clock of the books and of the connector; it moves when somebody waits."""

    def __init__(self) -> None:
        self.at = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Bench:
    live: sandbox.Running
    time: Time
    settings: dict
    opened: list = field(default_factory=list)

    @property
    def books(self):
        return self.live.books

    def open(self, *, password=None, **more):
        connector = open_sage_x3(
            NAME,
            settings=self.settings | more,
            secrets={"password": password or self.live.password},
            clock=self.time,
            sleep=self.time.sleep,
            jitter=lambda: 0.0,
        )
        self.opened.append(connector)
        return connector

    def posted(self, kind, given):
        """A document entered and validated at the screen; returns its number."""
        key = self.books.save(kind, given)
        self.books.action(kind, self.books.switches.post_action, key)
        return key[0]


@contextlib.contextmanager
def bench(*, seed="empty", pool_width=3, **switches):
    time = Time()
    books = sandbox.Books(seed, sandbox.Switches(**{"company_currency": "USD"} | switches), time)
    books.company.taxes["STD"] = Decimal("8.25")
    books.company.levels = (*books.company.levels, "STD")
    pool = sandbox.Pool("TIEOUT", width=pool_width)
    with sandbox.running(books, registration=sandbox.Registration(pools=(pool,))) as live:
        settings = {
            "url": live.endpoint,
            "user": live.user,
            "pool": live.pool,
            "width": pool_width,
            "company": "HLS",
            "currency": books.switches.company_currency,
            "services": SERVICES,
            "site": "HLS01",
            "customer_category": "US",
            "tax_rule": "DOM",
            "terms": "NET30",
            "due_term": "CASH",
            "invoice_type": "INV",
            "credit_type": "CRM",
            "post_action": books.switches.post_action,
            "bank": "BANK1",
            "applied_as": "ALLOC",
            "attributes": {"ALLOC": "application", "ADVAN": "unapplied"},
            "cancelled": ("5",),
        }
        made = Bench(live, time, settings)
        try:
            yield made
        finally:
            for connector in made.opened:
                connector.close()
