"""What the state says of a close: what is left to be written, which differences stand; sign-offs and promises kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from tests.scenarios.world import D, World, customer, invoice
from tieout.errors import ConfigError, RefusedError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.review import decisions, differences, plans
from tieout.sync.review.readiness import readiness
from tieout.sync.state import promises, signoffs
from tieout.sync.state.signoffs import Figure

DAY = date(2026, 1, 31)
FIGURE = Figure("bridge", "0.00 USD", "hash-1", "rules-1")


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """On SQLite and on PostgreSQL."""
    world = World(mode="propose", url=url)
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    yield world
    world.store.close()


def test_what_waits_is_said_until_it_is_written(world: World) -> None:
    assert readiness(world.store, "books").ran_at is None
    first = world.run()
    waits = readiness(world.store, "books")
    assert waits.ran_at is not None
    assert [w.split(" is ")[1] for w in waits.waiting] == ["draft, with 2 operations"]
    assert [d["code"] for d in waits.listed if d["kind"] == "invoice"] == ["SYNC_IN_FLIGHT"]
    plans.approve(world.store, first.plan_id, by="Grace")
    world.run()
    world.settle()
    done = readiness(world.store, "books")
    assert (done.waiting, done.listed) == ([], [])


def test_an_acceptance_tells_when_it_ends(world: World) -> None:
    world.run()
    [held] = [d for d in differences.listed(world.store) if d["kind"] == "invoice"]
    until = "2030-01-31T23:59:59.999999Z"
    decisions.decide(world.store, held["id"], action="accept", by="Grace", reason="known", until=until)
    [told] = [d for d in readiness(world.store, "books").listed if d["kind"] == "invoice"]
    assert (told["state"], told["reason"], told["accepted_until"]) == ("accepted", "known", until)


def sign(world: World, *figures: Figure, role: str = "approved", by: str = "Grace") -> list[dict]:
    return signoffs.sign(world.store, "books", DAY, figures, role=role, by=by, note="")


def test_four_eyes_on_a_figure_whatever_the_spelling(world: World) -> None:
    sign(world, FIGURE, role="prepared", by="Ada  Lovelace")
    with pytest.raises(RefusedError, match="was prepared by"):
        sign(world, FIGURE, by="ada lovelace")
    sign(world, FIGURE, by="Grace")
    with pytest.raises(RefusedError, match="was approved by"):
        sign(world, FIGURE, role="prepared", by="GRACE")
    # Another figure is another pair of signatures.
    sign(world, Figure("bridge", "1.00 USD", "hash-2", "rules-1"), by="Ada Lovelace")
    assert [(s["role"], s["by"]) for s in signoffs.signed(world.store, "books", DAY)] == [
        ("prepared", "Ada  Lovelace"),
        ("approved", "Grace"),
        ("approved", "Ada Lovelace"),
    ]
    assert signoffs.signed(world.store, "books", date(2026, 2, 28)) == []


def test_all_are_signed_or_none_and_each_leaves_its_event(world: World) -> None:
    other = Figure("plan", "nothing waits", "hash-3", "rules-1")
    sign(world, FIGURE, role="prepared", by="Ada")
    with pytest.raises(RefusedError):
        sign(world, other, FIGURE, by="Ada")
    with pytest.raises(RefusedError, match="names a person"):
        sign(world, other, by=" - ")
    with pytest.raises(ConfigError, match="unknown role"):
        sign(world, other, role="waved through")
    events = sa.select(schema.audit_event).where(schema.audit_event.c.action == "signed_off")
    assert [(e["actor"], e["object_id"]) for e in world.store.rows(events)] == [("Ada", "books/2026-01-31/bridge")]
    assert log_breaks(world.store) == []


def test_one_step_approved_anew_does_not_hide_what_changed_since_the_others_were(world: World) -> None:
    def approve(step: str, role: str = "approved", by: str = "Grace") -> None:
        world.clock.tick(86400)
        signoffs.sign(world.store, "books", DAY, [replace(FIGURE, step=step)], role=role, by=by, note="")

    def since() -> date | None:
        at = signoffs.closed_since(signoffs.signed(world.store, "books", DAY))
        return at.date() if at else None

    approve("bridge", "prepared", "Ada")
    assert since() is None
    first = world.clock().date()
    approve("bridge")
    approve("unapplied")
    assert since() == first + timedelta(days=1)
    approve("bridge")
    assert since() == first + timedelta(days=2), "the other step is approved since then"
    approve("unapplied")
    assert since() == first + timedelta(days=3)


def test_a_promise_is_of_one_invoice_by_id_or_number_and_is_kept_as_it_was_said(world: World) -> None:
    world.run()
    of = promises.invoice(world.store, world.l.name, "l 1")
    assert of == promises.invoice(world.store, world.l.name, of.ref.id)
    with pytest.raises(ConfigError, match="has no invoice 'L-2'"):
        promises.invoice(world.store, world.l.name, "L-2")
    world.l.put(invoice(of.customer, "7.00", number="L 1"))
    world.run()
    with pytest.raises(ConfigError, match="2 invoices"):
        promises.invoice(world.store, world.l.name, "L1")
    before = world.l.all(Entity.INVOICE)
    told = {"on": date(2026, 2, 5), "said": date(2026, 1, 28), "by": "Kim", "note": "by telephone"}
    promises.keep(world.store, world.l.name, of, D("60.00"), **told)
    promises.keep(world.store, world.l.name, of, D(0), **told)
    rows = promises.kept(world.store, world.l.name)
    assert [(r["invoice"], r["amount_micros"], r["pays_on"]) for r in rows] == [
        (of.ref.id, 60_000_000, "2026-02-05"),
        (of.ref.id, 0, "2026-02-05"),
    ]
    with pytest.raises(RefusedError, match="cannot be promised"):
        promises.keep(world.store, world.l.name, of, D("100.01"), **told)
    assert world.l.all(Entity.INVOICE) == before, "the books know nothing of it"
