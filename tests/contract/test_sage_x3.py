"""The Sage X3 connector keeps the contract, on the sandbox, with and without a change feed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar

import pytest

from tieout.testing import CHECKS, ConnectorContract, delta, skips

from .sage_x3_harness import SageX3Harness

DELTA = {check.name for check in CHECKS if check.name in vars(delta)}
NOT_CLAIMED = {
    "writes_once_per_key",
    "refuses_a_number_in_use",
    "tells_closed_periods",
    "keeps_closed_periods",
    "gives_a_new_version_to_each_change",
    "answers_with_what_it_left",
    "refuses_stale_versions",
    "voids_and_keeps_the_number",
    "frees_money_when_voiding",
    "deletes_one_record",
    "is_pending_until_seen",
    "changes_are_pending_until_seen",
    "re_applies_money",
}


class _OnX3(ConnectorContract):
    leaves_out = NOT_CLAIMED | DELTA
    settings: ClassVar[dict] = {}
    switches: ClassVar[dict] = {}

    @pytest.fixture(autouse=True)
    def _stack(self):
        with ExitStack() as self.stack:
            yield

    def fresh(self):
        return SageX3Harness(self.stack, settings=self.settings, **self.switches)


class TestKeySweep(_OnX3):
    pass


class _Changes(_OnX3):
    """What a strategy is about: the rest is the same code, and passes above."""

    leaves_out = NOT_CLAIMED
    checks = tuple(check for check in CHECKS if check.name in DELTA)


class TestChangeFeed(_Changes):
    settings: ClassVar[dict] = {"strategy": "subprogram"}


class TestExports(_Changes):
    settings: ClassVar[dict] = {"strategy": "export_template"}


class TestExportsInBatches(_Changes):
    settings: ClassVar[dict] = {"strategy": "export_template", "export_mode": "BATCH"}
    switches: ClassVar[dict] = {"batch_delay": 12, "update_time": "day", "null_dates": "17530101"}


class TestCustomerInvoices(_OnX3):
    settings: ClassVar[dict] = {"enter_as": "BIC"}


def test_what_the_contract_leaves_out():
    with ExitStack() as stack:
        told = skips(SageX3Harness(stack).open().capabilities)
    assert set(told) == NOT_CLAIMED | DELTA
