"""The reference connector keeps the contract in every shape it can take."""

from __future__ import annotations

import pytest

from tieout.connectors import Op
from tieout.connectors.memory import FIELDS, PROFILES
from tieout.model import Entity
from tieout.testing import CHECKS, ConnectorContract, skips

from .memory_harness import MemoryHarness


class TestIdempotencyKey(ConnectorContract):
    leaves_out = skips(PROFILES["idempotency_key"].capabilities)

    def fresh(self):
        return MemoryHarness("idempotency_key")


class TestUniqueNumber(ConnectorContract):
    leaves_out = skips(PROFILES["unique_number"].capabilities)

    def fresh(self):
        return MemoryHarness("unique_number")


class TestSearchableMarker(ConnectorContract):
    leaves_out = skips(PROFILES["searchable_marker"].capabilities)

    def fresh(self):
        return MemoryHarness("searchable_marker")


class TestFile(ConnectorContract):
    leaves_out = skips(PROFILES["file"].capabilities)

    def fresh(self):
        return MemoryHarness("file")


class TestReadOnly(ConnectorContract):
    leaves_out = skips(MemoryHarness("searchable_marker", writes={}).capabilities)

    def fresh(self):
        return MemoryHarness("searchable_marker", writes={})


FEW = {
    Entity.CUSTOMER: frozenset({"name", "phone"}),
    Entity.INVOICE: frozenset(
        {"customer", "number", "issued", "posted", "currency", "subtotal", "tax", "total", "memo"}
    ),
}


def few_fields():
    writes = dict.fromkeys(FEW, frozenset({Op.CREATE, Op.UPDATE}))
    return MemoryHarness("idempotency_key", reads=frozenset(FEW), writes=writes, fields=FEW)


class TestFewFields(ConnectorContract):
    """Invoices and customers only, a few fields, no voids: the smallest system worth connecting."""

    leaves_out = skips(few_fields().capabilities)

    def fresh(self):
        return few_fields()


# What each profile leaves out: a skip more is a hole, a skip fewer a claim that nobody noted.
@pytest.mark.parametrize(
    ("profile", "left_out"),
    [
        (
            "idempotency_key",
            {"refuses_a_number_in_use", "moves_only_what_differs", "is_pending_until_seen"}
            | {"changes_are_pending_until_seen"},
        ),
        (
            "unique_number",
            {"misses_nothing_across_the_cursor", "misses_nothing_within_a_second", "misses_nothing_during_a_pull"}
            | {"calls_nothing_deleted_that_did_not_change", "writes_once_per_key", "moves_only_what_differs"}
            | {"is_pending_until_seen", "changes_are_pending_until_seen"},
        ),
    ],
)
def test_skips_follow_from_the_capabilities(profile, left_out):
    assert set(skips(PROFILES[profile].capabilities)) == left_out


def test_every_check_runs_in_some_profile():
    ran = {c.name for c in CHECKS for p in PROFILES.values() if not c.needs(p.capabilities)}
    assert ran == {c.name for c in CHECKS}
    assert set(FIELDS) == set(Entity)
