"""A sign-in that changes while runs use it: scenario 5 of the pains, with processes of their own and a live sandbox."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.test_quickbooks import in_step, seeded, world
from tests.scenarios.world import WIDE
from tieout.config.secrets import Kept, SecretStore, open_store
from tieout.config.settings import SecretsSettings
from tieout.connectors.memory import open_books
from tieout.connectors.quickbooks import open_quickbooks
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.errors import SignInRequired
from tieout.model import Entity
from tieout.sandbox import quickbooks as qbo
from tieout.sync import store as state
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, sync

SPAWN = multiprocessing.get_context("spawn")
SECONDS = 120  # that a process may take to come to where the other is
INVOICES = 5


@dataclass
class Site:
    """What a process needs to know to work with the sandbox."""

    folder: Path
    settings: dict[str, Any]
    secret: str

    def secrets(self) -> SecretStore:
        return open_store(SecretsSettings(store="file", folder=self.folder / "secrets"), company="Example")


def run(site: Site, name: str, *, step: Callable[[str], None], secrets: SecretStore, minutes: int = 0) -> Any:
    """One run of empty books and QuickBooks, with a state database of its own.

    minutes: how far its clock is ahead, so that the lease of a dead process is over
    """

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=minutes)

    held = state.open_store(f"sqlite:///{site.folder}/{name}.db", clock=clock)
    left = open_books("left", "idempotency_key", clock=clock)
    right = open_quickbooks(
        "right", settings=site.settings, secrets={"client_secret": site.secret}, clock=clock, store=secrets
    )
    pair = Pair("books", "left", "right", mode="auto", codes=Codes.same(), limits=WIDE)
    try:
        report = sync(held, {"left": left, "right": right}, pair, apply=True, progress=step)
        return report.exit_code, report.failures, len(left.books.all(Entity.INVOICE))
    finally:
        right.close()
        held.close()


def nothing(_: str) -> None:
    """A run that nobody watches."""


def meeting(site: Site, name: str, met: Any, go: Any, out: Any) -> None:
    """A process that stops in the middle of its reading until the other is there too."""

    def step(text: str) -> None:
        if text == "reading invoice from right":
            met.wait(SECONDS)
            go.wait(SECONDS)

    out.put(run(site, name, step=step, secrets=site.secrets()))


class Dies(SecretStore):
    """The process is gone before its n-th write of a sign-in."""

    left = 0

    def write(self, connection: str, name: str, value: str) -> Kept:
        self.left -= 1
        if not self.left:
            os._exit(9)
        return super().write(connection, name, value)


def dying(site: Site, name: str, nth: int) -> None:
    real = site.secrets()
    store = Dies(real.folder, real._backend)
    store.left = nth
    run(site, name, step=nothing, secrets=store)


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[qbo.Running]:
    switches = qbo.Switches(**{"rotate_refresh": "every_call", "refresh_old_token": "invalid"} | request.param)
    books = qbo.Books("empty", switches)
    line = {
        "Amount": Decimal("80.00"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}},
    }
    client = books.apply("Customer", "create", {"DisplayName": "Ada Ltd"})["Id"]
    for _ in range(INVOICES):
        books.apply("Invoice", "create", {"CustomerRef": {"value": client}, "Line": [line]})
    with qbo.running(books) as site:
        yield site


@pytest.fixture
def site(live: qbo.Running, tmp_path: Path) -> Site:
    settings = {
        "company_id": live.realm,
        "client_id": live.client_id,
        "api_base": live.base_url,
        "token_url": f"{live.base_url}/oauth2/v1/tokens/bearer",
    }
    site = Site(tmp_path, settings, live.client_secret)
    sign_in(site, live)
    return site


def sign_in(site: Site, live: qbo.Running) -> None:
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    tokens = Tokens(live.realm, live.token(), live.authority._grants[0].refresh, until, now + timedelta(days=100), now)
    store_tokens("right", tokens, site.secrets())


def asked(live: qbo.Running) -> list[int]:
    """The statuses of what Intuit's token service was asked."""
    return [c.status for c in live.faults.log if "oauth2" in c.path]


def works(live: qbo.Running, site: Site) -> bool:
    """Whether what is kept is what Intuit holds: whoever lost a new value would have to sign in again."""
    kept = site.secrets().read("right", "tokens")
    assert kept is not None
    return Tokens.from_text(kept.current).refresh == live.authority._grants[0].refresh


@pytest.mark.parametrize("live", [{}], indirect=True)
def test_two_runs_whose_token_expires_at_once_renew_it_once_and_go_on(live: qbo.Running, site: Site) -> None:
    met, go, out = SPAWN.Barrier(3), SPAWN.Barrier(3), SPAWN.Queue()
    workers = [SPAWN.Process(target=meeting, args=(site, name, met, go, out)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    met.wait(SECONDS)
    assert asked(live) == []
    live.authority.expire_access()
    go.wait(SECONDS)
    found = [out.get(timeout=SECONDS) for _ in workers]
    for worker in workers:
        worker.join(SECONDS)
    assert found == [(0, [], INVOICES)] * 2
    assert asked(live) == [200]
    assert sum(c.status == 401 for c in live.faults.log) == 2  # both were refused
    assert works(live, site)


@pytest.mark.parametrize(
    ("live", "nth", "calls"),
    [({"refresh_old_token": "valid_24h"}, 1, 2), ({}, 2, 1)],
    indirect=["live"],
    ids=["before it is kept, the old value works on", "after it is rescued"],
)
def test_a_run_that_dies_while_it_renews_the_sign_in_loses_nothing(
    live: qbo.Running, site: Site, nth: int, calls: int
) -> None:
    """nth: the write of the renewal that the process does not live to see · calls: how often Intuit is asked in all"""
    live.authority.expire_access()
    worker = SPAWN.Process(target=dying, args=(site, "one", nth))
    worker.start()
    worker.join(SECONDS)
    assert worker.exitcode == 9
    assert run(site, "one", step=nothing, secrets=site.secrets(), minutes=5) == (0, [], INVOICES)
    assert asked(live) == [200] * calls
    assert works(live, site)


@pytest.mark.parametrize("live", [{}], indirect=True)
def test_a_new_value_that_died_with_its_process_asks_for_a_person_who_mends_it(live: qbo.Running, site: Site) -> None:
    """Where the old value is worth nothing any more, nothing but a new sign-in helps; then all is read."""
    live.authority.expire_access()
    worker = SPAWN.Process(target=dying, args=(site, "one", 1))
    worker.start()
    worker.join(SECONDS)
    assert worker.exitcode == 9
    for told in (False, True):
        with pytest.raises(SignInRequired, match="signed out") as caught:
            run(site, "one", step=nothing, secrets=site.secrets(), minutes=5)
        assert caught.value.told is told
        assert caught.value.exit_code == 4
    assert set(asked(live)) == {200, 400}
    refused = len(asked(live))
    sign_in(site, live)
    assert run(site, "one", step=nothing, secrets=site.secrets(), minutes=5) == (0, [], INVOICES)
    assert len(asked(live)) == refused


@pytest.mark.parametrize("when", ["reading payment from right", "planning", "writing 2 of"])
def test_a_token_that_expires_anywhere_in_a_run_costs_no_document(when: str) -> None:
    with world(rotate_refresh="every_call", refresh_old_token="invalid") as w:
        seeded(w)
        expired = []

        def step(text: str) -> None:
            if text.startswith(when):
                expired.append(text)
                w.server.authority.expire_access()

        report = w.run(progress=step)
        assert expired
        assert report.failures == []
        assert max(w.effects().values()) == 1
        in_step(w)
