"""How many records a read brought, in the state, in its event and in the pack: each once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.scenarios.world import World, customer, invoice
from tests.unit.evidence.past import KEYS, SIGNER, Past
from tieout.connectors import Observation
from tieout.errors import RecordError
from tieout.evidence import pack, unpack
from tieout.evidence.verify import read_journals
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.state.saving import Reading
from tieout.sync.store import Tx


def counted(folder: Path) -> tuple[int, Any, bool]:
    """Read three invoices: one is whole, one has no more than its id, one not even that.

    Returns how many the state says were read, the verdict on the state, and whether the pack of the run proves itself.
    """
    world = World()
    who = world.l.put(customer("Ada Ltd")).ref.id
    ids = [world.l.put(invoice(who, "10.00", number=f"L-{n}")).ref.id for n in range(3)]
    world.l.corrupt(Entity.INVOICE, ids[1])
    read = world.left._listed

    def listed(*stored: Any, **more: Any) -> Observation:
        shown = read(*stored, **more)
        error = RecordError("books", "row 3", "?", "no number")
        return shown if shown.id != ids[2] else Observation(shown.entity, "", {}, error, None)

    world.left._listed = listed  # type: ignore[method-assign]
    past = Past(world, folder / "journal" / "anchors.jsonl")
    report = past.run()
    s = schema.snapshot
    where = s.c.connection == "left", s.c.entity == Entity.INVOICE
    [read_rows] = past.store.rows(sa.select(s.c.rows).where(*where))
    target = io.BytesIO()
    journals = read_journals([past.journal], KEYS)
    pack.write(target, past.store, journals, SIGNER, run=report.run, company="Example Ltd")
    proved = unpack.verify(io.BytesIO(target.getvalue()), name="pack", keys=[SIGNER.public])
    return read_rows["rows"], past.verified().findings, not proved.exit_code


def test_a_record_that_cannot_be_read_counts_once_in_what_was_read(tmp_path: Path) -> None:
    assert counted(tmp_path) == (3, (), True)


def test_what_an_earlier_version_counted_is_still_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Tx.audit

    def as_before(tx: Tx, action: str, kind: str, id: str, payload: Any, *more: Any, **named: Any) -> Any:
        told = {k: v for k, v in payload.items() if k != "nameless"} if action == "fetched" else payload
        return audit(tx, action, kind, id, told, *more, **named)

    monkeypatch.setattr(Tx, "audit", as_before)
    monkeypatch.setattr(Reading, "rows", property(lambda reading: len(reading.found) + len(reading.rejected)))
    assert counted(tmp_path) == (4, (), True)
