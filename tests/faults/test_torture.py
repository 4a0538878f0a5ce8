"""The short form of `make torture`: real processes are killed, and what the books show is what counts."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.torture.checks import Losses, doubled, settled
from tests.torture.kills import torture
from tests.torture.launcher import Launcher
from tests.torture.people import DAY
from tests.torture.scenarios import rest
from tests.torture.world import World, world


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as it:
        yield it


def test_runs_that_are_killed_at_any_boundary_double_and_lose_nothing(tmp_path: Path, launcher: Launcher) -> None:
    outcome = torture(tmp_path, launcher, "short", "sqlite", "sqlite:///tieout.db", 4)
    assert not outcome.bad, (outcome.losses, outcome.log)
    assert sum(outcome.kills.values()) >= 4
    assert outcome.settled >= 1
    assert any(name.startswith("sent POST") for name in outcome.reached), "nothing was written that could be doubled"


def test_a_run_dies_where_it_is_told_to_and_its_lease_is_free_at_once(tmp_path: Path, launcher: Launcher) -> None:
    with world(tmp_path, launcher, "one") as made:
        died = made.run(point="sent POST invoice", nth=1)
        assert (died.code, died.trace[-1]) == (-9, "sent POST invoice")
        made.time.pass_(seconds=1)
        again = made.run()
        assert again.code in (0, 3)
        assert "another run holds" not in again.error
        made.time.pass_(minutes=5)
        rest(made)


def test_two_runs_at_once_and_a_clock_that_is_set_back(tmp_path: Path, launcher: Launcher) -> None:
    with world(tmp_path, launcher, "two") as made:
        both = [made.start("sync", "--apply", "--json"), made.start("sync", "--apply", "--json")]
        ran = [made.end(one) for one in both]
        assert sorted(r.code for r in ran) in ([0, 3], [0, 0])
        made.people.erp_invoice()
        made.night()
        assert made.run(at="2026-01-05T09:00:00+00:00").code in (0, 3, 4)
        rest(made)


@pytest.fixture(scope="module")
def agreed(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("agreed"), launcher, "agreed") as made:
        rest(made)
        yield made


def wrong(made: World) -> Losses:
    """What the checks see of the books as they are now, beside the run before somebody tampered with them."""
    losses = Losses()
    assert made.quiet_run is not None
    settled(made, made.quiet_run, losses)
    return losses


def first(made: World, entity: str, field: str, begins: str) -> dict[str, Any]:
    return next(d for d in made.site.books.all(entity) if str(d.get(field, "")).startswith(begins))


def test_the_checks_see_what_is_lost_doubled_or_differs_in_silence(agreed: World) -> None:
    """Each tampering is seen, and no longer once it is taken back."""
    made, books = agreed, agreed.site.books
    assert not wrong(made)
    mirror = first(made, "Invoice", "DocNumber", "E")
    keep = ("CustomerRef", "Line", "DocNumber", "TxnDate")
    twin = books.apply("Invoice", "create", {k: mirror[k] for k in keep}, allow_duplicate=True)
    assert any(mirror["DocNumber"] in text for text in doubled(made))
    books.apply("Invoice", "delete", {"Id": twin["Id"], "SyncToken": twin["SyncToken"]})
    assert not wrong(made)
    payment = first(made, "Payment", "PaymentRefNum", "E")
    bare = {k: payment[k] for k in ("Id", "SyncToken", "CustomerRef", "TotalAmt", "PaymentRefNum", "TxnDate")}
    books.apply("Payment", "update", {**bare, "Line": []})
    found = wrong(made)
    assert len(found.silent) == 2, "the payment and the invoice that it paid"
    account = next(iter(made.erp.books.customers))
    made.erp.books.enter_invoice(account, Decimal("7.77"), on=DAY, reference="Z-1")
    found = wrong(made)
    assert any(text.startswith("Z-1") for text in found.silent)
    assert found.unexplained == Decimal("7.77")
    payment = books.find("Payment", payment["Id"])
    books.apply("Payment", "delete", {"Id": payment["Id"], "SyncToken": payment["SyncToken"]})
    assert any(payment["PaymentRefNum"] in text for text in wrong(made).lost)
