"""The short form of `make torture`: real processes are killed, and what the books show is what counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.torture import page
from tests.torture.checks import Losses, doubled, settled
from tests.torture.kills import torture
from tests.torture.launcher import Launcher
from tests.torture.people import DAY
from tests.torture.scenarios import rest
from tests.torture.world import Ran, World, world


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as it:
        yield it


def test_runs_that_are_killed_at_any_boundary_double_and_lose_nothing(tmp_path: Path, launcher: Launcher) -> None:
    outcome = torture(tmp_path, launcher, "short", "sqlite", "sqlite:///tieout.db", 3)
    assert not outcome.bad, (outcome.losses, outcome.log)
    assert sum(outcome.kills.values()) >= 3
    assert outcome.settled >= 1
    assert any(name.startswith("sent POST") for name in outcome.reached), "nothing was written that could be doubled"


@dataclass
class Begun:
    """Books that agree by now, and how the first runs went: one died, one followed, then two at once."""

    made: World
    died: Ran
    again: Ran
    both: list[Ran]


@pytest.fixture(scope="module")
def begun(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    with world(tmp_path_factory.mktemp("agreed"), launcher, "agreed") as made:
        died = made.run(point="sent POST invoice", nth=1)
        made.time.pass_(seconds=1)
        again = made.run()
        made.people.erp_invoice()
        made.night()
        started = [made.start("sync", "--apply", "--json"), made.start("sync", "--apply", "--json")]
        both = [made.end(one) for one in started]
        made.time.pass_(minutes=5)
        rest(made)
        yield Begun(made, died, again, both)


def test_a_run_dies_where_it_is_told_to_and_its_lease_is_free_at_once(begun: Begun) -> None:
    assert (begun.died.code, begun.died.trace[-1]) == (-9, "sent POST invoice")
    assert begun.again.code in (0, 3)
    assert "another run holds" not in begun.again.error


def test_of_two_runs_at_once_one_works_and_the_other_is_told(begun: Begun) -> None:
    assert sorted(r.code for r in begun.both) in ([0, 3], [0, 0])
    assert all("another run holds" in r.error for r in begun.both if r.code == 3)


def wrong(made: World) -> Losses:
    """What the checks see of the books as they are now, beside the run before somebody tampered with them."""
    losses = Losses()
    assert made.quiet_run is not None
    settled(made, made.quiet_run, losses)
    return losses


def first(made: World, entity: str, field: str, begins: str) -> dict[str, Any]:
    return next(d for d in made.site.books.all(entity) if str(d.get(field, "")).startswith(begins))


def test_the_checks_see_what_is_lost_doubled_or_differs_in_silence(begun: Begun) -> None:
    """Each tampering is seen, and no longer once it is taken back."""
    made, books = begun.made, begun.made.site.books
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


def test_figures_of_others_have_their_sections_on_the_page(tmp_path: Path) -> None:
    page.keep(tmp_path / "torture.json", [], took=60, command="torture")
    told = {"title": "Fault schedules", "command": "simulate seven", "silent_differences": 1, "missed": ["locked"]}
    told |= {"runs": [{"commit": "c0ffee", "schedules": 7}], "struck": {"clock.forward": 3}}
    (tmp_path / "simulation.json").write_text(json.dumps(told), "utf-8")
    text = page.render(tmp_path)
    for shown in (
        "## Fault schedules",
        "`simulate seven`",
        "| silent differences | 1 |",
        "- `locked`",
        "| commit | schedules |",
        "| c0ffee | 7 |",
        "| `clock.forward` | 3 |",
    ):
        assert shown in text


def test_the_page_of_figures_is_what_they_say_and_a_loss_is_shown_with_its_command(tmp_path: Path) -> None:
    assert page.PAGE.read_text("utf-8") == page.render(page.FIGURES), "make it again: python -m tests.torture --write"
    lost = {key: [] for key in page.COLUMNS} | {"doubled": ["erp EI-0007: 2"], "unexplained": "7.77"}
    one: dict[str, Any] = {"kind": "kills", "seed": "5", "database": "sqlite", "bad": True, "replay": "replay five"}
    one |= {"kills": {"sent POST invoice": 2}, "timed": 0, "runs": 9, "settled": 1, "people": 3, "documents": 4}
    one |= {"recovery": [1.5], "reached": ["sent POST invoice", "after POST invoice"], "losses": lost}
    page.keep(tmp_path / "torture.json", [one], took=60, command="torture")
    assert page.killed([one]) == 2
    text = page.render(tmp_path)
    for shown in (
        f"on commit {page.commit()}",
        "| created twice | 1 |",
        "| unexplained amounts | 7.77 |",
        "replay five",
        "| `after POST invoice` | 0 |",
    ):
        assert shown in text
