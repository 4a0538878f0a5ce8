"""One run of one pair: what stands from its first step to its last, how it begins and ends, and its lease lives on."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from tieout import __version__
from tieout.connectors import Connector
from tieout.errors import RefusedError, RetriableError, TieoutError
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, canonical, digest
from tieout.sync.pair import Pair
from tieout.sync.report import Report
from tieout.sync.state.rewound import OLDER_HINT, Anchored
from tieout.sync.store import LEASE_SECONDS, Lease, Store, Tx

ORDER = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT, Entity.ADJUSTMENT)
_RUN = schema.run.c
_RUNNING = sa.select(_RUN.id).where(_RUN.pair == sa.bindparam("pair"), schema.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """What every step of a run is given. `report` is filled on the way.

    as_of: the day of the comparison, inclusive; None for everything
    sweep: read everything, and believe nothing that an earlier run found · writes: whether anything may be sent
    """

    id: str
    store: Store
    lease: Lease
    pair: Pair
    connectors: Mapping[Which, Connector]
    report: Report
    as_of: date | None
    sweep: bool
    writes: bool
    progress: Callable[[str], None]

    @property
    def names(self) -> dict[Which, str]:
        return {LEFT: self.pair.left, RIGHT: self.pair.right}

    def entities(self, which: Which) -> list[Entity]:
        """What is read of a side, in order."""
        return [e for e in ORDER if e in self.connectors[which].capabilities.reads]

    def writing(self) -> contextlib.AbstractContextManager[Tx]:
        return self.store.writing(self.lease, run=self.id)


def begin(run: Run, *, behind: str, anchored: Anchored | None, configured: Mapping[str, object]) -> None:
    """Note the run, and those that never ended as crashed. behind: why the state is an older one, "" if it is not"""
    pair = run.pair
    with run.writing() as tx:
        for row in tx.all(_RUNNING, pair=pair.name):
            tx.change(schema.run, {"id": row["id"]}, {"status": "crashed", "finished_at": tx.at})
            tx.audit("crashed", "run", row["id"])
        begun = {"id": run.id, "pair": pair.name, "epoch": run.lease.epoch, "mode": pair.mode}
        begun |= {"started_at": tx.at, "status": "running", "config_hash": pair.config_hash}
        tx.add(schema.run, [begun | {"version": __version__}])
        told: dict[str, object] = {"pair": pair.name, "mode": pair.mode, "version": __version__}
        told |= {"config": pair.config_hash, "configured": tx.keep_blob(canonical(configured).encode())}
        tx.audit("started", "run", run.id, told | {"anchor": anchored.line if anchored else None})
        if behind:
            tx.audit("found_older", "state", run.id, {"why": behind})
    if behind:
        run.report.failed(RefusedError(behind, hint=OLDER_HINT))


@contextlib.contextmanager
def ending(run: Run) -> Iterator[None]:
    """However the block ends, count what was asked of the connections and note the end; not of a run that crashes."""
    status = "crashed"
    try:
        yield
        status = "partial" if run.report.failures else "ok"
    except TieoutError as error:
        status = "aborted"
        run.report.failed(error)
        raise
    finally:
        for which, name in run.names.items():
            run.report.requests[name] = int(getattr(run.connectors[which], "requests", 0))
            run.report.count_bytes(name, getattr(run.connectors[which], "volume", None))
        if status != "crashed":
            _end(run, status)


def _end(run: Run, status: str) -> None:
    with run.writing() as tx:
        report = run.report.as_json()
        report["plan"] = {"id": run.report.plan_id, "hash": run.report.plan_hash}
        text = canonical(report)
        reason = "; ".join(run.report.failures) or None
        ended = {"status": status, "finished_at": tx.at, "report": text, "abort_reason": reason}
        tx.change(schema.run, {"id": run.id}, ended)
        tx.audit("ended", "run", run.id, {"status": status, "applied": report["applied"], "report": digest(text)})


@contextlib.contextmanager
def beating(store: Store, lease: Lease, wanted: bool) -> Iterator[None]:
    """Renew the lease every quarter of its life, until the block ends or the lease is lost."""
    if not wanted:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(LEASE_SECONDS / 4):
            try:
                store.renew(lease)
            except RetriableError:
                # Lost, or the database is busy: every write checks the lease itself and stops there.
                continue

    thread = threading.Thread(target=beat, name="tieout-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def rare_gc() -> Iterator[None]:
    """Let the cycle collector look seldom: a run holds many records without cycles, and looking took a third of it."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
