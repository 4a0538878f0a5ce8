"""A Sage X3 sandbox with a connector on it, for tests."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from tests.clock import Clock
from tieout.connectors.sage_x3 import open_sage_x3
from tieout.sandbox import sage_x3 as sandbox
from tieout.sandbox.sage_x3.templates import EXPORTS

NAME = "x3"
SERVICES = {
    "BPC": "WSBPC",
    "SIH": "WSSIH",
    "BIC": "WSBIC",
    "PAY": "WSPAY",
    "GAS": "WSGAS",
    "open_items": "ZARDUD",
    "changes": "ZARDELTA",
    "export": "AOWSEXPORT",
    "batch": "AOWSBATGET",
}


def place(template: str, name: str) -> int:
    """Where a field stands in the first record of an export, from 1 behind its indicator."""
    return EXPORTS[template].records[0].fields.index(name) + 1


def export(template: str, key: str) -> dict:
    mark = EXPORTS[template].records[0].mark
    return {"template": template, "mark": mark, "key": place(template, key), "changed": place(template, "UPDDATTIM")}


TEMPLATES = {"BPC": export("BPC", "BPCNUM")} | {kind: export(kind, "NUM") for kind in ("SIH", "BIC", "PAY", "DUD")}
TEMPLATES["DUD"]["type"] = place("DUD", "TYP")


@dataclass
class Bench:
    live: sandbox.Running
    time: Clock
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
    time = Clock(datetime(2026, 2, 2, 9, 0, tzinfo=UTC))
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
            "exports": TEMPLATES,
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
