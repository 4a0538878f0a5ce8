"""Whole runs between two books of 100,000 linked documents, and the requests of one with QuickBooks.

The books make their records as they are read, so that a run's own time and memory are measured; each run is a process.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure
from tieout.config.secrets import open_store as open_secrets
from tieout.config.settings import SecretsSettings
from tieout.connectors import Observation, Pull
from tieout.connectors.memory import ManualClock, open_books
from tieout.connectors.memory.profiles import PROFILES
from tieout.connectors.quickbooks import open_quickbooks
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.mapping import quickbooks
from tieout.model import AnyRecord, Company, Customer, Entity, Invoice, Ref
from tieout.sandbox import quickbooks as sandbox
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, sync
from tieout.sync.guard import Limits
from tieout.sync.store import open_store
from tieout.testing import samples

COUNT = 100_000
CHANGES = 200
CUSTOMERS = 500
INVOICES = 1_000  # in QuickBooks, whose requests are counted
MOST_SECONDS, MOST_MB, MOST_REQUESTS = 10, 500, 5
SHAPE = PROFILES["idempotency_key"].capabilities


class Generated:
    """Books of `count` invoices, the first `changed` of which were edited since the cursor "0"; nobody writes here."""

    def __init__(self, name: str, count: int, *, backwards: bool, changed: int) -> None:
        self.name, self.count, self.backwards, self.changed = name, count, backwards, changed
        self.capabilities = replace(SHAPE, reads=frozenset({Entity.CUSTOMER, Entity.INVOICE}))
        self.requests = 0

    def company(self) -> Company:
        return Company(id=self.name, name=self.name, entity_codes=(), home_currency="USD", closed=(), time_zone=None)

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:
        count = CUSTOMERS if entity is Entity.CUSTOMER else self.count
        if cursor is not None:
            count = 0 if entity is Entity.CUSTOMER else self.changed
        order = range(count - 1, -1, -1) if self.backwards else range(count)
        pull = Pull((self._seen(entity, n) for n in order), full=cursor is None)
        pull.complete, pull.proof, pull.cursor = True, {"count": count}, "0"
        return pull

    def _seen(self, entity: Entity, n: int) -> Observation:
        record = self._record(entity, n)
        return Observation(entity, record.ref.id, {"id": record.ref.id, "n": n}, record, record.ref.version)

    def _record(self, entity: Entity, n: int) -> AnyRecord:
        edited = entity is Entity.INVOICE and n < self.changed
        ref = Ref(connection=self.name, id=f"{self.name}{n}", number=None, version="2" if edited else "1")
        if entity is Entity.CUSTOMER:
            return samples.customer(n).model_copy(update={"ref": ref})
        one = samples.invoice(n, customer=f"{self.name}{n % CUSTOMERS}")
        due = one.issued + timedelta(days=90 if edited else 30)
        return one.model_copy(update={"ref": ref, "memo": f"order {n}", "due": due})

    def get(self, entity: Entity, id: str) -> Observation:
        return self._seen(entity, int(id.removeprefix(self.name)))

    def search(self, _entity: Entity, **_wanted: Any) -> list[Observation]:
        return []

    def represent(self, record: AnyRecord) -> AnyRecord:
        return record

    def control_balances(self, _as_of: Any) -> list[Any]:
        return []

    def flush(self, **_run: Any) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took: processor seconds, seconds, megabytes of the process at its peak; and what it did."""

    cpu: float
    wall: float
    peak: int
    linked: int
    planned: int
    listed: int


def one_run(folder: str, nth: int, count: int, changed: int) -> Spent:
    """The nth run of the pair on the state in a folder, to be called in a process of its own."""
    clock = ManualClock()
    clock.tick(3600 * nth)
    store = open_store(f"sqlite:///{folder}/state.db", clock=clock)
    books = {
        "left": Generated("left", count, backwards=False, changed=changed),
        "right": Generated("right", count, backwards=True, changed=0),
    }
    limits = Limits(creates=count, voids=count, same_field=count)
    pair = Pair("books", "left", "right", mode="propose", codes=Codes.same(), limits=limits, linked_owner="left")
    start, used = time.perf_counter(), time.process_time()
    report = sync(store, books, pair, heartbeat=False)  # type: ignore[arg-type]
    return Spent(
        time.process_time() - used,
        time.perf_counter() - start,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        report.linked,
        len(report.operations),
        len(report.discrepancies),
    )


def runs(folder: Path, count: int) -> Iterator[tuple[str, Spent]]:
    """Runs one after the other on one state: the first one, two quiet ones, one with changes."""
    plan = (("first", 0), ("settling", 0), ("quiet", 0), ("changes", CHANGES))
    for nth, (name, changed) in enumerate(plan):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield name, pool.submit(one_run, str(folder), nth, count, changed).result()


def run(folder: Path) -> list[Figure]:
    spent = dict(runs(folder, COUNT))
    first, quiet, changes = spent["first"], spent["quiet"], spent["changes"]
    if first.linked != COUNT + CUSTOMERS or (quiet.planned, quiet.listed) != (0, 0) or changes.planned != CHANGES:
        raise RuntimeError(f"not what was put in: {spent}")
    what = f"run over {COUNT:,} linked documents"
    return [
        Figure(
            f"quiet {what}: processor seconds",
            f"{MOST_SECONDS} s",
            quiet.cpu / MOST_SECONDS,
            1,
            note=f"{quiet.cpu:.1f} s of CPU, {quiet.wall:.1f} s in all",
        ),
        Figure(f"quiet {what}: memory", f"{MOST_MB} MB", quiet.peak / MOST_MB, 1, note=f"{quiet.peak} MB at the peak"),
        Figure(
            f"{what} that plans {CHANGES} changes: processor seconds",
            "the quiet one's",
            changes.cpu / quiet.cpu,
            note=f"{changes.cpu:.1f} s of CPU, {changes.peak} MB at the peak",
        ),
        Figure(
            f"first run, which links {COUNT:,} documents: processor seconds",
            "the quiet one's",
            first.cpu / quiet.cpu,
            note=f"{first.cpu:.0f} s of CPU, {first.peak} MB at the peak",
        ),
        _requests(folder),
    ]


def _requests(folder: Path) -> Figure:
    """Requests to QuickBooks of a run in which nothing changed, its documents linked to other books."""
    with sandbox.running(sandbox.generate(50, INVOICES, 7)) as live:
        secrets = open_secrets(SecretsSettings(store="file", folder=folder / "secrets"), company="bench")
        now = datetime.now(UTC)
        until = now + timedelta(days=1)
        store_tokens("qbo", Tokens(live.realm, live.token(), live.refresh_token, until, until, now), secrets)
        connector = open_quickbooks(
            "qbo",
            settings={"company_id": live.realm, "client_id": live.client_id, "api_base": live.base_url},
            secrets={"client_secret": live.client_secret},
            clock=lambda: datetime.now(UTC),
            store=secrets,
        )
        connector.company()
        books = open_books("books", clock=ManualClock())
        _copy(connector, books)
        store = open_store(f"sqlite:///{folder}/requests.db", clock=lambda: datetime.now(UTC))
        pair = Pair("pair", "qbo", "books", mode="link", codes=Codes.same())
        first = sync(store, {"qbo": connector, "books": books}, pair, heartbeat=False)
        if first.linked < INVOICES:
            raise RuntimeError(f"only {first.linked} were linked")
        before = connector.requests
        sync(store, {"qbo": connector, "books": books}, pair, heartbeat=False)
        asked, entities = connector.requests - before, len(connector.capabilities.reads)
        connector.close()
    return Figure(
        "requests of a quiet run to QuickBooks per entity",
        f"{MOST_REQUESTS}",
        asked / entities / MOST_REQUESTS,
        1,
        note=f"{asked} requests for {entities} entities, the company and the reports",
    )


def _copy(connector: Any, books: Any) -> None:
    """Put QuickBooks' customers and invoices into other books, too."""
    ids: dict[str, str] = {}
    for entity in (Entity.CUSTOMER, Entity.INVOICE):
        for seen in connector.pull(entity):
            record = seen.record
            if isinstance(record, Customer):
                ids[seen.id] = books.books.put(record.model_copy(update={"parent": None})).ref.id
            elif isinstance(record, Invoice):
                own = {"customer": ids[record.customer], "payer": None, "deposit_applied": Decimal(0)}
                books.books.put(record.model_copy(update=own))
        if len(ids) == 0:
            raise RuntimeError(f"nothing read of {quickbooks.NAMES[entity]}")
