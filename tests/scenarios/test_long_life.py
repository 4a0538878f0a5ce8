"""A state that has seen many runs: one more run asks nothing that takes the longer the more there were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.scenarios.test_files import FileWorld
from tests.scenarios.test_open_items import OpenItems
from tests.scenarios.world import DAY, World, customer, invoice
from tieout.sync.store import Store

# What gets a row for each run, or each difference that ever was.
HISTORY = {"run", "snapshot", "plan", "discrepancy", "observation", "blob", "intent_attempt", "control_total"}
# Looked through in an index that holds one line for each run, and nothing else of it.
ALLOWED = {"SCAN run USING COVERING INDEX run_started"}


@contextmanager
def asked(store: Store) -> Iterator[dict[str, Any]]:
    """The statements that go to a state database during the block, with one set of values for each."""
    found: dict[str, Any] = {}

    def note(_db: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("BEGIN", "INSERT", "SAVEPOINT", "PRAGMA")):
            found.setdefault(statement, values[0] if many else values)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)


def looked_through(store: Store, statements: dict[str, Any]) -> set[str]:
    """The tables of history that SQLite goes through from one end to the other for any of them."""
    with store.engine.connect() as db:
        plans = [
            str(row[3])
            for statement, values in statements.items()
            for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert any(plan.startswith("SEARCH snapshot USING INDEX") for plan in plans), "it looks at earlier reads"
    return {p for p in plans if p.startswith("SCAN") and p.split()[1] in HISTORY} - ALLOWED


def books(_folder: Path) -> tuple[Store, Callable[[], Any]]:
    world = World()
    world.l.put(invoice(world.l.put(customer("Ada Ltd")).ref.id, "100.00", number="L-1"))
    return world.store, world.run


def exports(folder: Path) -> tuple[Store, Callable[[], Any]]:
    world = FileWorld(folder)
    world.erp.books.enter_invoice(world.erp.books.enter_customer("Ada Ltd"), "100.00", on=DAY, reference="S-1")
    world.export()
    return world.store, world.run


def open_items(folder: Path) -> tuple[Store, Callable[[], Any]]:
    """Of which one drops out of the list each time."""
    world = OpenItems(folder)
    bills = [world.bill(f"{n}.00") for n in range(10, 14)]

    def again() -> None:
        world.again()
        world.pay_here(bills.pop(0), "10.00" if len(bills) == 3 else "11.00")

    return world.store, again


@pytest.mark.parametrize("made", [books, exports, open_items])
def test_a_run_goes_through_no_history(tmp_path: Path, made: Callable[[Path], tuple[Store, Callable[[], Any]]]) -> None:
    store, run = made(tmp_path)
    run()
    run()
    with asked(store) as statements:
        run()
    assert looked_through(store, statements) == set()
