"""The contract itself is tested: it rejects every connector of the broken set, and accepts the whole ones."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest

from tieout.connectors import Strategy
from tieout.connectors.memory import PROFILES
from tieout.model import Entity
from tieout.testing import CHECKS, violations

from .broken import BROKEN, BROKEN_ELSEWHERE, WHOLE
from .memory_harness import MemoryHarness

_NO_ADJUSTMENTS = {
    e: ops for e, ops in PROFILES["idempotency_key"].capabilities.writes.items() if e is not Entity.ADJUSTMENT
}
ALL_BROKEN = (*BROKEN, *BROKEN_ELSEWHERE)


def _fresh(connector):
    if connector in BROKEN_ELSEWHERE:
        return lambda: MemoryHarness(BROKEN_ELSEWHERE[connector], connector)
    # Adjustments are read-only here, so that refusing what is not declared is exercised, too.
    return lambda: MemoryHarness("idempotency_key", connector, writes=_NO_ADJUSTMENTS)


@cache
def _rejected_by(connector):
    return next(violations(_fresh(connector)), ("", ""))[0]


@pytest.mark.parametrize("connector", ALL_BROKEN, ids=lambda c: c.__name__)
def test_a_broken_connector_is_rejected(connector):
    assert _rejected_by(connector)


@pytest.mark.parametrize("connector", WHOLE, ids=lambda c: c.__name__)
def test_a_whole_connector_is_accepted(connector):
    assert dict(violations(_fresh(connector))) == {}


@pytest.mark.parametrize(
    ("profile", "claimed", "found_by"),
    [
        ("searchable_marker", {"strategy": Strategy.IDEMPOTENCY_KEY, "key_window": 3600}, "writes_once_per_key"),
        ("searchable_marker", {"strategy": Strategy.UNIQUE_NUMBER}, "refuses_a_number_in_use"),
        ("idempotency_key", {"key_window": 7200}, "writes_once_per_key"),
        ("idempotency_key", {"rules": {"search_lag": 600}}, "finds_by_marker"),
        ("idempotency_key", {"rules": {"tax_rate": Decimal("0.07")}}, "creates_what_it_was_given"),
        ("idempotency_key", {"rules": {"number_limit": 4}}, "represents_idempotently"),
        ("idempotency_key", {"derives_open": False, "states_applications": False}, ""),
    ],
)
def test_a_claim_that_is_not_met_fails(profile, claimed, found_by):
    wrong = dict(violations(lambda: MemoryHarness(profile, **claimed)))
    assert found_by in wrong if found_by else wrong == {}


def test_every_check_can_fail():
    """A check that no broken connector fails might be one that cannot."""
    reached = {_rejected_by(connector) for connector in ALL_BROKEN}
    left = [check for check in CHECKS if check.name not in reached]
    never = [c.name for c in left if not any(any(violations(_fresh(x), [c])) for x in ALL_BROKEN)]
    assert never == []
