"""The QuickBooks connector keeps the contract, on the sandbox."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tieout.connectors.quickbooks import capabilities
from tieout.testing import ConnectorContract, skips

from .quickbooks_harness import QuickBooksHarness


class TestQuickBooks(ConnectorContract):
    leaves_out = skips(capabilities())

    @pytest.fixture(autouse=True)
    def _stack(self):
        with ExitStack() as self.stack:
            yield

    def fresh(self):
        return QuickBooksHarness(self.stack)


def test_what_the_contract_leaves_out():
    assert set(skips(capabilities())) == {
        *("refuses_a_number_in_use", "moves_only_what_differs"),
        *("is_pending_until_seen", "changes_are_pending_until_seen"),
    }
