"""The reference scenarios: what people did before, what was agreed by then, and what they do that a run has to carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.scenarios.world import DAY, D, credit_memo, customer, invoice, payment
from tieout.model import Entity

TARGETS = ("idempotency_key", "unique_number", "searchable_marker", "file")
# Stories that came later: their singles go on after a mark of their own, as does what people do besides.
LATER = ("not_arrived",)
SMALL = ("create", "pay", "void", "file_out")


@dataclass(frozen=True)
class Story:
    """before: what both books have agreed on, after runs without trouble · then: what the runs in trouble carry

    lost: (boundary, fault) of the last create of a run that was made by then, so that those in trouble have to settle it
    """

    name: str
    before: Callable[[Any], None]
    then: Callable[[Any], None]
    targets: tuple[str, ...] = TARGETS
    lost: tuple[str, str] | None = None


def _nothing(_world: Any) -> None:
    return


def _ada(world: Any) -> None:
    world.l.put(customer("Ada Ltd", phone="555 1"), colour="green")


def _billed(world: Any) -> None:
    _ada(world)
    world.l.put(invoice("CUS-1", "100.00", number="L-1", memo="first"), colour="green")


def _credited(world: Any) -> None:
    _billed(world)
    world.l.put(credit_memo("CUS-1", "20.00", number="C-1"))


def _create(world: Any) -> None:
    world.l.put(customer("Ada Ltd"))
    world.l.put(invoice("CUS-1", "100.00", number="L-1"))


def _update(world: Any) -> None:
    world.l.edit(Entity.CUSTOMER, "CUS-1", phone="555 2")
    world.l.edit(Entity.INVOICE, "INV-1", memo="second")


def _pay(world: Any) -> None:
    world.l.put(payment("CUS-1", "60.00", on=(("INV-1", "45.00"),), reference="chk 7"))


def _void(world: Any) -> None:
    world.l.void(Entity.INVOICE, "INV-1")


def _credit(world: Any) -> None:
    world.l.apply("CRM-1", "INV-1", D("20.00"), DAY)


def _one_more(world: Any) -> None:
    world.l.put(invoice("CUS-1", "40.10", number="L-2"))


def _batch(world: Any) -> None:
    # Amounts that no binary fraction holds, and that come out otherwise when one is cut off.
    for n, amount in enumerate(("16.06", "32.05", "16.13", "16.31", "50.05"), 1):
        world.l.put(invoice("CUS-1", amount, number=f"B-{n}"))


def _both(world: Any) -> None:
    for books in (world.l, world.r):
        books.put(customer("Ada Ltd", phone="555 1"), colour="green")
        books.put(invoice("CUS-1", "100.00", number="L-1"), colour="green")
    world.l.put(payment("CUS-1", "30.00", on=(("INV-1", "30.00"),), reference="chk 1"))


def _born_there(world: Any) -> None:
    world.r.put(payment("CUS-1", "25.50", on=(("INV-1", "25.50"),), reference="wire 3"))


STORIES: Mapping[str, Story] = {
    s.name: s
    for s in (
        Story("create", _nothing, _create, TARGETS[:3]),
        Story("update", _billed, _update),
        Story("pay", _billed, _pay),
        Story("void", _billed, _void),
        Story("credit", _credited, _credit),
        Story("batch", _ada, _batch),
        Story("bootstrap", _nothing, _both),
        Story("file_out", _nothing, _create, ("file",)),
        Story("file_in", _billed, _born_there),
        Story("not_arrived", _billed, _one_more, TARGETS[:3], ("right.create.before", "lose_request")),
    )
}
