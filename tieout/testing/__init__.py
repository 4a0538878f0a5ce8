"""The connector contract, for everyone who writes a connector.

Write a `Harness` for a stand-in of your system, then in a test file:

    class TestAcme(ConnectorContract):
        def fresh(self) -> Harness:
            return AcmeHarness()

Each check gets a fresh company. A check is left out only where the connector's own `Capabilities` say that it does not
claim the thing (`skips` lists which); what is claimed and not met fails. Name these in `leaves_out`, and they are no
tests; those that are not named there are skipped. `violations` runs the same without pytest.

Not covered, because the protocol does not show it: that no socket is opened outside the transport (block the network
in your tests), and equality with recorded answers of the real system (compare those in tests of your mapping).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest

from tieout.connectors import Capabilities, Connector, Op, Strategy
from tieout.model import Entity
from tieout.testing import changing, delta, reading, writing
from tieout.testing.bench import Bench, ContractBroken, Harness, Trouble, expect
from tieout.testing.samples import sample

__all__ = [
    "CHECKS",
    "Check",
    "ConnectorContract",
    "ContractBroken",
    "Harness",
    "Trouble",
    "run",
    "sample",
    "skips",
    "violations",
]


@dataclass(frozen=True, slots=True)
class Check:
    """One item of the contract. `needs` gives "" if the capabilities claim it, else what they do not claim."""

    run: Callable[[Bench], None]
    needs: Callable[[Capabilities], str]

    @property
    def name(self) -> str:
        return self.run.__name__


def _always(_: Capabilities) -> str:
    return ""


def _by_id(c: Capabilities) -> str:
    return "" if c.by_id else "no reading by id"


def _delta(c: Capabilities) -> str:
    return "" if c.delta else "no deltas"


def _versioned(c: Capabilities) -> str:
    return "" if c.versioned else "no versions"


def _writes(*ops: Op) -> Callable[[Capabilities], str]:
    def needs(c: Capabilities) -> str:
        able = any(set(ops) <= c.writes.get(e, frozenset()) for e in c.reads)
        return "" if able else f"does not {' and '.join(ops)}"

    return needs


def _synchronous(c: Capabilities) -> str:
    return "" if c.synchronous else "writes are not acknowledged"


def _both(*needs: Callable[[Capabilities], str]) -> Callable[[Capabilities], str]:
    return lambda c: next((reason for need in needs if (reason := need(c))), "")


def _claims(held: Callable[[Capabilities], bool], reason: str) -> Callable[[Capabilities], str]:
    return lambda c: "" if held(c) else reason


def _applies(c: Capabilities) -> str:
    able = c.states_applications and c.can(Entity.PAYMENT, Op.CREATE) and c.can(Entity.PAYMENT, Op.APPLY)
    return "" if able else "does not apply payments"


_CREATE, _UPDATE, _VOID = _writes(Op.CREATE), _writes(Op.UPDATE), _writes(Op.VOID)
_RESOLVES = _claims(lambda c: c.searchable or c.strategy is not Strategy.FILE, "writes are not acknowledged")

CHECKS: tuple[Check, ...] = (
    Check(reading.names_its_company, _always),
    Check(reading.refuses_wrong_credentials, _always),
    Check(reading.declares_what_it_can_keep, _always),
    Check(reading.lists_every_record_once, _always),
    Check(reading.lists_the_same_twice, _always),
    Check(reading.reads_what_was_entered, _always),
    Check(reading.adds_up, _always),
    Check(reading.reads_by_id_what_it_lists, _by_id),
    Check(reading.knows_what_is_not_there, _by_id),
    Check(reading.drops_deleted_records_only, _always),
    Check(reading.lists_inactive_customers, _always),
    Check(reading.shows_voids, _always),
    Check(reading.sets_bad_records_aside, _always),
    Check(reading.raises_when_a_page_fails, _always),
    Check(reading.notices_a_short_list, _always),
    Check(reading.raises_when_the_system_is_down, _synchronous),
    Check(reading.tells_closed_periods, _claims(lambda c: c.periods_readable, "closed periods cannot be read")),
    Check(reading.states_control_balances, _always),
    Check(delta.misses_nothing_across_the_cursor, _delta),
    Check(delta.misses_nothing_within_a_second, _delta),
    Check(delta.misses_nothing_during_a_pull, _delta),
    Check(delta.calls_nothing_deleted_that_did_not_change, _delta),
    Check(writing.represents_idempotently, _CREATE),
    Check(writing.refuses_what_it_cannot_write, _always),
    Check(writing.creates_what_it_was_given, _CREATE),
    Check(writing.takes_money_applied, _both(_CREATE, _claims(lambda c: c.derives_open, "open amounts are not told"))),
    Check(writing.keeps_its_marker_out_of_the_memo, _CREATE),
    Check(
        writing.writes_once_per_key,
        _both(_CREATE, _claims(lambda c: c.strategy is Strategy.IDEMPOTENCY_KEY, "no keys")),
    ),
    Check(
        writing.refuses_a_number_in_use,
        _both(_CREATE, _claims(lambda c: c.strategy is Strategy.UNIQUE_NUMBER, "numbers are not unique")),
    ),
    Check(writing.says_unknown_when_an_answer_is_lost, _both(_CREATE, _synchronous, _RESOLVES)),
    Check(changing.says_unknown_when_an_update_is_lost, _both(_CREATE, _UPDATE, _synchronous)),
    Check(writing.does_nothing_when_throttled, _both(_CREATE, _synchronous)),
    Check(writing.rejects_unknown_references, _both(_CREATE, _synchronous)),
    Check(writing.refuses_fractions_of_a_cent, _CREATE),
    Check(
        writing.keeps_closed_periods,
        _both(_CREATE, _synchronous, _claims(lambda c: c.periods_readable, "closed periods cannot be read")),
    ),
    Check(changing.updates_in_place, _UPDATE),
    Check(changing.re_applies_money, _applies),
    Check(changing.gives_a_new_version_to_each_change, _versioned),
    Check(changing.answers_with_what_it_left, _both(_CREATE, _versioned, _synchronous)),
    Check(changing.refuses_stale_versions, _both(_UPDATE, _versioned, _synchronous)),
    Check(changing.moves_only_what_differs, _both(_UPDATE, _claims(lambda c: not c.versioned, "versions protect it"))),
    Check(changing.voids_and_keeps_the_number, _both(_CREATE, _VOID)),
    Check(changing.frees_money_when_voiding, _both(_CREATE, _VOID)),
    Check(changing.deletes_one_record, _both(_CREATE, _writes(Op.DELETE))),
    Check(writing.finds_by_marker, _both(_CREATE, _claims(lambda c: c.searchable, "markers cannot be searched"))),
    Check(writing.is_pending_until_seen, _both(_CREATE, _claims(lambda c: not c.synchronous, "writes are immediate"))),
    Check(
        changing.changes_are_pending_until_seen,
        _both(_VOID, _claims(lambda c: not c.synchronous, "writes are immediate")),
    ),
    Check(writing.hands_over_nothing_by_itself, _synchronous),
    Check(writing.keeps_its_secrets, _always),
    Check(writing.closes_quietly, _always),
)


def skips(capabilities: Capabilities) -> Mapping[str, str]:
    """The checks that these capabilities leave out, with the reason."""
    return {check.name: reason for check in CHECKS if (reason := check.needs(capabilities))}


def run(check: Check, harness: Harness) -> None:
    """One check on one fresh company. Raises ContractBroken (or whatever the connector raised) if it fails."""
    bench = Bench(harness)
    expect(isinstance(bench.connector, Connector), f"{type(bench.connector).__name__} lacks methods of a Connector")
    with _logged() as lines:
        try:
            check.run(bench)
        except Exception as error:
            _expect_no_secret(harness, [str(error)], "an error")
            raise
        finally:
            bench.connector.close()
    _expect_no_secret(harness, lines, "the log")


def violations(fresh: Callable[[], Harness], checks: Iterable[Check] = CHECKS) -> Iterator[tuple[str, str]]:
    """Each of the checks that apply, on a fresh company: check, what is wrong. Nothing if the contract holds."""
    left_out = skips(fresh().open().capabilities)
    for check in checks:
        if check.name in left_out:
            continue
        try:
            run(check, fresh())
        except Exception as error:  # noqa: BLE001  every kind of failure is a violation
            yield check.name, f"{type(error).__name__}: {error}"


def _expect_no_secret(harness: Harness, texts: list[str], where: str) -> None:
    for secret in harness.canaries:
        expect(not any(secret in text for text in texts), f"a secret shows in {where}")


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Every line that anything logs, at any level."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, handler = logging.getLogger(), Keep(logging.DEBUG)
    found = (root, *(logger for logger in root.manager.loggerDict.values() if isinstance(logger, logging.Logger)))
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in found]
    # Whatever a program in this process made quieter is heard here all the same.
    for logger in found:
        logger.setLevel(logging.DEBUG if logger is root else logging.NOTSET)
        logger.propagate, logger.disabled = True, False
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        for logger, level, propagate, disabled in before:
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled


class ConnectorContract:
    """Subclass it as `Test…` and give `fresh`: one test per check, and one that `leaves_out` is what is not claimed."""

    checks: ClassVar[Sequence[Check]] = CHECKS
    leaves_out: ClassVar[Collection[str]] = ()

    def fresh(self) -> Harness:
        """A harness on a new, empty company."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Called by pytest while it collects: no system can be asked yet what it claims."""
        if "check" in metafunc.fixturenames:
            checks = [check for check in self.checks if check.name not in self.leaves_out]
            metafunc.parametrize("check", checks, ids=lambda check: check.name)

    def test_what_is_left_out_is_not_claimed(self) -> None:
        left_out = skips(self.fresh().open().capabilities)
        claimed = sorted(set(self.leaves_out) - left_out.keys())
        expect(not claimed, f"left out, but claimed: {', '.join(claimed)}")

    def test_contract(self, check: Check) -> None:
        harness = self.fresh()
        reason = check.needs(harness.open().capabilities)
        if reason:
            pytest.skip(f"not claimed: {reason}")
        run(check, harness)
