"""A state with a past worth proving: writes that went well and badly, plans, answers, sign-offs; anchored as it went."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind, SimulatedCrash
from tieout.evidence.anchoring import Anchors, anchor
from tieout.evidence.keys import Signer
from tieout.evidence.verify import Verified, read_journals, verify
from tieout.model import Entity
from tieout.sync.engine import Report
from tieout.sync.review import decisions, differences, plans
from tieout.sync.state import promises
from tieout.sync.state.signoffs import Figure, sign
from tieout.sync.store import Store

SIGNER = Signer(bytes(range(32)))
KEYS = {SIGNER.public.id: SIGNER.public}


@dataclass
class Past:
    """A world whose runs, approvals and answers are anchored in `journal`, as the commands do it."""

    world: World
    journal: Path
    each: Callable[[Past], None] = lambda _past: None
    anchors: Anchors = field(init=False)

    def __post_init__(self) -> None:
        self.anchors = Anchors(SIGNER, (self.journal,))

    @property
    def store(self) -> Store:
        return self.world.store

    def run(self, **kw: Any) -> Report:
        try:
            return self.world.run(anchored=self.anchors.newest(), **kw)
        finally:
            self.anchor()

    def anchor(self) -> None:
        self.each(self)
        assert anchor(self.store, self.anchors) == []

    def verified(self) -> Verified:
        return verify(self.store, read_journals([self.journal], KEYS))


def lived(url: str, folder: Path, each: Callable[[Past], None] = lambda _past: None) -> Past:
    """Some days of two books: every kind of event that the state keeps happens. each: is called before each anchor"""
    w = World(url=url)
    past = Past(w, folder / "journal" / "anchors.jsonl", each)
    for side, books in (("l", w.l), ("r", w.r)):
        who = books.put(customer(f"Born {side}")).ref.id
        for n in range(4):
            books.put(invoice(who, f"{100 + n}.00", number=f"{side}{n}"))
        first = books.all(Entity.INVOICE)[0].ref.id
        books.put(payment(who, "60.00", on=((first, "60.00"),), reference=f"{side}-pay"))
        books.put(credit_memo(who, "20.00", number=f"{side}-cm"))
    past.run()
    past.run()
    who = w.l.all(Entity.CUSTOMER)[0].ref.id
    w.l.put(invoice(who, "77.00", number="lost-answer"))
    w.fail("right", Fault(FaultKind.LOSE_RESPONSE, "write"))
    past.run()
    w.fail("right")
    past.run(tick=900)
    w.l.put(invoice(who, "78.00", number="killed"))
    w.fail("right", Fault(FaultKind.CRASH_AFTER, "write"))
    with contextlib.suppress(SimulatedCrash):
        past.run()
    w.fail("right")
    past.run(tick=900)
    past.run(tick=900)
    w.set(mode="propose")
    w.l.put(invoice(who, "79.00", number="to-approve"))
    report = past.run(apply=False)
    w.approve(report)
    past.anchor()
    past.run()
    w.l.put(invoice(who, "80.00", number="to-reject"))
    report = past.run(apply=False)
    plans.reject(w.store, report.plan_id, by="Grace", reason="not yet")
    past.anchor()
    w.l.all(Entity.INVOICE)
    w.r.put(invoice(w.r.all(Entity.CUSTOMER)[0].ref.id, "55.00", number="only-here", posted=DAY))
    past.run(apply=False)
    open_ = differences.listed(w.store)
    decisions.decide(w.store, open_[0]["id"], action="accept", by="Ada", reason="known to both")
    decisions.decide(w.store, open_[-1]["id"], action="acknowledge", by="Ada", reason="")
    sign(
        w.store,
        "books",
        date(2026, 1, 31),
        [Figure("tie-out", "0.00", "a" * 64, "b" * 64)],
        role="prepared",
        by="Ada",
        note="",
    )
    first = w.l.all(Entity.INVOICE)[1]
    promises.keep(
        w.store, "left", first, Decimal("10.00"), on=date(2026, 3, 1), said=date(2026, 2, 1), by="Ada", note=""
    )
    past.anchor()
    w.set(mode="auto")
    past.run(tick=900)
    past.run(tick=900)
    return past


class Kept:
    """What a past left: the database as bytes at each anchor, and the lines of its journal."""

    def __init__(self, copies: tuple[bytes, ...], lines: tuple[bytes, ...]) -> None:
        self.copies, self.lines = copies, lines

    def __repr__(self) -> str:
        return "kept"

    @property
    def last(self) -> bytes:
        return self.copies[-1]


def raw(store: Store) -> sqlite3.Connection:
    with store.engine.connect() as db:
        found = db.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


def opened(body: bytes) -> tuple[Store, sqlite3.Connection]:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False, "isolation_level": None}
    )
    store = Store(engine, lambda: datetime(2026, 2, 3, tzinfo=UTC))
    db = raw(store)
    db.deserialize(body)
    db.row_factory = None
    return store, db


@cache
def kept_past() -> Kept:
    """One past for all tests of a process: it takes a while to live."""
    copies: list[bytes] = []

    def keep(past: Past) -> None:
        copies.append(raw(past.store).serialize())

    with tempfile.TemporaryDirectory() as folder:
        past = lived("sqlite://", Path(folder), each=keep)
        keep(past)
        return Kept(tuple(copies), tuple(past.journal.read_bytes().splitlines(keepends=True)))
