"""From settings to what the engine and the connectors take."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tieout.compare import Checks
from tieout.config import loads
from tieout.config.opening import open_connection, options_of, state_url, to_pair
from tieout.errors import ConfigError
from tieout.model import Entity
from tieout.sync.engine import Pair
from tieout.sync.guard import Limits

BASE = """
[company]
name = "Example"
[connection.a]
kind = "memory"
company = "A1"
[connection.b]
kind = "memory"
token = { env = "B_TOKEN" }
[pair.main]
left = "a"
right = "b"
"""
FILE = Path("/books/tieout.toml")


def test_a_bare_pair_has_the_defaults_of_the_engine() -> None:
    pair = to_pair(loads(BASE, FILE), "main")
    plain = Pair("main", "a", "b", flows=pair.flows)
    assert pair == plain
    assert pair.limits == Limits()
    assert set(pair.flows) == set(Entity)


def test_a_whole_pair_reaches_the_engine() -> None:
    pair = to_pair(
        loads(
            BASE
            + """
mode = "auto"
cutover = 2026-01-01
linked_owner = "right"
unattended = ["credit_memo", "invoice.void"]
policy = { invoice.memo = "two_way", invoice.due = "origin" }
codes = { taxes = { A1 = "TAX", "" = "NON" }, items = "same" }
limits = { creates = 1, creates_percent = "2.5", voids = 0, voids_percent = 0, same_field = 4, money.USD = 5 }
flows = { adjustment = "none" }
acknowledged_within_days = 10
rounding = { per_document = "0.02", total = "1.00" }
report = { as_of = 2026-01-31 }
checks = { unique_numbers = ["left"], gapless_numbers = ["right"], negative_balances = true, unused_credit_days = 7, stale_after_days = "never", aged_after_days = 14 }
""",
            FILE,
        ),
        "main",
    )
    assert (pair.mode, pair.cutover, pair.linked_owner) == ("auto", date(2026, 1, 1), "right")
    assert pair.policy == {(Entity.INVOICE, "memo"): "two_way"}
    assert (pair.codes.taxes, pair.codes.items) == ({"A1": "TAX", "": "NON"}, None)
    assert pair.codes.terms == {}
    assert pair.limits == Limits(
        creates=1,
        create_share=Decimal("0.025"),
        voids=0,
        void_share=Decimal(0),
        same_field=4,
        money={"USD": Decimal("5.00")},
    )
    assert pair.flows[Entity.ADJUSTMENT] == "none"
    assert pair.acknowledged_within == timedelta(days=10)
    assert pair.rounding is not None
    assert pair.rounding.total == Decimal("1.00")
    assert pair.checks == Checks(frozenset({"left"}), frozenset({"right"}), True, 7)
    assert (pair.stale_after, pair.aged_after) == (None, timedelta(days=14))
    assert pair.as_of == date(2026, 1, 31)
    assert pair.unattended == {"credit_memo", "invoice.void"}


def test_secrets_are_looked_up_only_when_a_connection_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loads(BASE, FILE)
    assert options_of(settings, "a") == ({"company": "A1"}, {})
    with pytest.raises(ConfigError, match="B_TOKEN is not set"):
        options_of(settings, "b")
    monkeypatch.setenv("B_TOKEN", "value")
    assert options_of(settings, "b") == ({}, {"token": "value"})
    connector = open_connection(settings, "a", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    assert (connector.name, connector.company().id) == ("a", "A1")
    connector.close()


def test_the_state_address_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loads(BASE + '[state]\nurl = { env = "STATE" }', FILE)
    monkeypatch.setenv("STATE", "postgresql://u:p@h/db")
    assert state_url(settings) == "postgresql://u:p@h/db"
