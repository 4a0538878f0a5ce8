"""What is remembered of a comparison is what it says, and is told of the same books only."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

from tests.scenarios.world import World, customer
from tests.simulation import memo
from tieout import compare
from tieout.model import Entity


def listed(name: str, *, remembered: bool = True) -> tuple[list[Any], int]:
    """What is listed of a customer who is called otherwise over there, and how many comparisons were made for it."""
    run, made = compare.run, []

    def counted(con: Any, *ledgers: Any, **kw: Any) -> Any:
        made.append(con)
        return run(con, *ledgers, **kw)

    known = memo.remembered(by_books=False) if remembered else contextlib.nullcontext()
    with mock.patch.object(compare, "run", counted), known:
        world = World()
        world.l.put(customer("Ada Ltd"))
        world.run()
        world.r.edit(Entity.CUSTOMER, world.r.all(Entity.CUSTOMER)[0].ref.id, name=name)
        found = world.run().discrepancies
    return [(d.code, d.left, d.right, d.field, d.left_value, d.right_value) for d in found], len(made)


def test_the_same_books_are_compared_once_and_books_that_differ_in_a_letter_anew() -> None:
    with mock.patch.object(memo, "_OF_ROWS", {}):
        said, made = listed("Ada B")
        assert listed("Ada B") == (said, 0)
        other, anew = listed("Ada C")
    assert said != other
    assert made > 0 < anew
    assert listed("Ada B", remembered=False)[0] == said
