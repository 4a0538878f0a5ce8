"""A state restored from a backup: its anchors tell, runs only look until a person confirms, and nothing is doubled."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.scenarios.world import World, customer, invoice, payment
from tests.unit.evidence.past import KEYS, Past
from tieout.connectors.memory import Fault, FaultKind
from tieout.errors import RefusedError
from tieout.evidence.anchoring import anchor, confirm
from tieout.evidence.chain import agreeing
from tieout.evidence.verify import read_journals, verify
from tieout.model import Entity


def raw(past: Past) -> sqlite3.Connection:
    with past.store.engine.connect() as db:
        found = db.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found


def lived(strategy: str, folder: Path) -> tuple[Past, list[bytes]]:
    """Three days with a lost answer; and the database as it was after each of its commits."""
    w = World(strategy, strategy)
    past = Past(w, folder / "anchors.jsonl")
    copies: list[bytes] = []
    sa.event.listen(w.store.engine, "commit", lambda db: copies.append(db.connection.driver_connection.serialize()))
    for side, books in (("l", w.l), ("r", w.r)):
        who = books.put(customer(f"Born {side}")).ref.id
        for n in range(2):
            books.put(invoice(who, f"{100 + n}.00", number=f"{side}{n}"))
    past.run()
    copies.clear()  # the first anchor: before it, nothing tells
    who = w.l.all(Entity.CUSTOMER)[0].ref.id
    born = w.l.put(invoice(who, "77.00", number="lost-answer"))
    w.fail("right", Fault(FaultKind.LOSE_RESPONSE, "write"))
    past.run()
    w.fail("right")
    past.run(tick=900)
    w.l.put(payment(who, "77.00", on=((born.ref.id, "77.00"),), reference="pays"))
    past.run(tick=900)
    past.run(tick=900)
    return past, copies


def books(w: World) -> dict[str, Any]:
    """What there is on both sides: numbers and references, each as often as it is there."""
    return {
        f"{side}/{e}": sorted(getattr(r, "number", None) or getattr(r, "reference", None) or r.ref.id for r in b.all(e))
        for side, b in (("l", w.l), ("r", w.r))
        for e in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT)
    }


def confirmed(past: Past) -> None:
    journals = read_journals([past.journal], KEYS)
    known = agreeing(verify(past.store, journals).log, journals[0])
    confirm(past.store, past.anchors, agrees=[known], by="Grace", reason="the disk died; restored on purpose")


@pytest.mark.parametrize("strategy", ["idempotency_key", "unique_number", "searchable_marker"])
def test_a_restored_state_is_noticed_every_time_and_doubles_nothing(strategy: str, tmp_path: Path) -> None:
    past, copies = lived(strategy, tmp_path)
    w, head = past.world, past.verified().log.seq
    before = books(w)
    assert all(len(v) == len(set(v)) for v in before.values())
    older = [c for c in copies if _events(c) < head]
    assert len(older) > 20
    for copy in random.Random(7).sample(older, 3):
        raw(past).deserialize(copy)
        report = w.run(anchored=past.anchors.newest(), tick=900)
        assert report.exit_code == 4
        assert "older than its newest anchor" in report.failures[0]
        assert books(w) == before  # what it found out about is read back, and nothing is sent
        kinds = w.store.rows(
            sa.text("SELECT kind FROM snapshot WHERE run = :r").bindparams(r=report.run).columns(kind=sa.Text)
        )
        assert {r["kind"] for r in kinds} == {"full"}
        assert past.verified().verdict in ("rolled_back", "truncated")
        with pytest.raises(RefusedError, match="name and a reason"):
            confirm(past.store, past.anchors, agrees=[0], by=" ", reason="x")
        confirmed(past)
        assert past.verified().verdict == "intact"
        for _ in range(3):
            report = past.run(tick=900)
        assert report.failures == []
        assert report.operations == []
        assert books(w) == before
        found = past.verified()
        assert (found.verdict, found.findings) == ("intact", ())
        assert "taken for the true one by Grace" in " ".join(found.notes)


def _events(copy: bytes) -> int:
    db = sqlite3.connect(":memory:")
    db.deserialize(copy)
    [(n,)] = db.execute("SELECT count(*) FROM audit_event")
    db.close()
    return int(n)


def test_nothing_is_anchored_over_a_restored_state_before_it_is_confirmed(tmp_path: Path) -> None:
    past, copies = lived("idempotency_key", tmp_path)
    lines = past.journal.read_bytes()
    raw(past).deserialize(next(c for c in copies if _events(c) < past.verified().log.seq))
    [wrong] = anchor(past.store, past.anchors)
    assert "does not hold what was anchored" in wrong.message
    assert past.journal.read_bytes() == lines


def test_a_state_that_holds_its_anchors_has_nothing_to_confirm(tmp_path: Path) -> None:
    past, _ = lived("idempotency_key", tmp_path)
    with pytest.raises(RefusedError, match="nothing to confirm"):
        confirmed(past)
