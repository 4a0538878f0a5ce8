"""What a sync stores and loads: 100,000 seen records into SQLite, and records out of their text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from benchmarks.measure import Figure, in_turns
from benchmarks.quickbooks import page
from tieout.mapping import quickbooks
from tieout.model import Entity, as_json
from tieout.sync import schema
from tieout.sync.core.facts import canonical
from tieout.sync.state.seen import record_of
from tieout.sync.store import open_store

COUNT = 100_000


def rows(version: int) -> list[dict[str, object]]:
    body = '{"number":"INV-%06d","total":"1234.56","memo":"' + "x" * 220 + '"}'
    return [
        {
            "connection": "books",
            "entity": "invoice",
            "native_id": str(n),
            "version": str(version),
            "existence": "live",
            "record": body % n,
            "record_hash": f"{version:02d}{n:062d}",
            "raw_hash": f"{n:064d}",
            "error": None,
            "marker": None,
            "first_seen_at": "2026-01-05T10:00:00Z",
            "changed_at": "2026-01-05T10:00:00Z",
            "snapshot": "s1",
            "absences": 0,
            "absent_as_of": None,
        }
        for n in range(COUNT)
    ]


def stored() -> list[str]:
    """2,000 invoices of two lines each, as `seen.record` holds them."""
    books = quickbooks.Books("books", "USD")
    natives = json.loads(page(), parse_float=Decimal)["QueryResponse"]["Invoice"]
    return [canonical(as_json(quickbooks.get(Entity.INVOICE, native, books))) for native in natives] * 2


def run(folder: Path) -> list[Figure]:
    first, again = rows(1), rows(2)
    names = list(first[0])
    keys = [c.name for c in schema.seen.primary_key.columns]
    changed = ", ".join(f"{n} = excluded.{n}" for n in names if n not in keys and n != "first_seen_at")
    upsert = (
        f"INSERT INTO seen ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
    )
    made = [0]

    def path() -> Path:
        made[0] += 1
        return folder / f"state{made[0]}.db"

    def plain() -> None:
        at = path()
        open_store(f"sqlite:///{at}", clock=lambda: datetime(2026, 1, 5, tzinfo=UTC)).close()
        db = sqlite3.connect(at, isolation_level=None)
        for batch in (first, again):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(upsert, [tuple(r.values()) for r in batch])
            db.execute("COMMIT")
        if db.execute("SELECT count(*) FROM seen").fetchone()[0] != COUNT:
            raise RuntimeError("rows are missing")
        db.close()
        at.unlink()

    def ours() -> None:
        at = path()
        store = open_store(f"sqlite:///{at}", clock=lambda: datetime(2026, 1, 5, tzinfo=UTC))
        for batch in (first, again):
            with store.writing(None) as tx:
                tx.put_all(schema.seen, batch, keep=("first_seen_at",))
        if store.rows(sa.select(sa.func.count().label("n")).select_from(schema.seen))[0]["n"] != COUNT:
            raise RuntimeError("rows are missing")
        store.close()
        at.unlink()

    contenders: dict[str, Callable[[], object]] = {"plain": plain, "ours": ours}
    times = in_turns(contenders, rounds=3)
    texts = stored()
    loading = in_turns(
        {
            "parsed": lambda: [json.loads(t) for t in texts],
            "records": lambda: [record_of({"entity": "invoice", "record": t}) for t in texts],
        },
        rounds=9,
    )
    return [
        Figure(
            f"{COUNT:,} records stored and stored again, changed",
            "the same upserts by sqlite3 executemany",
            times.ratio("ours", "plain"),
            1.25,
        ),
        Figure(
            f"{len(texts):,} invoices of two lines loaded from the state",
            "json.loads of the same texts, no records",
            loading.ratio("records", "parsed"),
        ),
    ]
