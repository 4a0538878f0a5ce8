"""From a comparison to the list that people work through: what the sync knows about each difference it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from tieout import compare
from tieout.compare import Discrepancy, Explained
from tieout.errors import NotFoundError, RecordError, RetriableError
from tieout.model import ControlBalance, Entity, Existence, micros
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, digest
from tieout.sync.core.operations import Finding, Operation, OpKind
from tieout.sync.inputs.sides import Sides, other
from tieout.sync.run import Run
from tieout.sync.state.seen import save_seen
from tieout.sync.store import Store, Tx

READ_AGAIN = 200
_AT_ONCE = 500
_REPORTED = {Entity.CUSTOMER: "reported_balance", Entity.PAYMENT: "reported_unapplied"}
UNDER_WAY = frozenset({"sending", "unknown", "applied", "emitted", "stuck", "done"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Explains one run's differences."""

    run: Run
    sides: Sides

    def subjects_of(self, d: Discrepancy) -> set[str]:
        """The subjects that a discrepancy of the comparison is about."""
        kinds = {e.value: e for e in Entity}
        found = set(d.links)
        for which, id in ((LEFT, d.left), (RIGHT, d.right)):
            if id is not None and d.kind in kinds:
                book, entity = self.sides.books[which], kinds[d.kind]
                found.update(book.subject_of(entity, one) or "" for one in book.ids_in(entity, id))
        return found - {""}

    def places_of(self, f: Finding) -> dict[Which, tuple[str, str]]:
        """Where a finding's record is: per side its id and what people call it; where it was, if it is nowhere now."""
        found: dict[Which, tuple[str, str]] = {}
        gone: dict[Which, tuple[str, str]] = {}
        for which, book in self.sides.books.items():
            key = (f.entity, book.natives.get(f.subject, ""))
            held = book.held.get(key) if book.subjects.get(key) == f.subject else None
            if held is not None:
                there = held.existence not in (Existence.DELETED, Existence.ABSENT)
                (found if there else gone)[which] = held.id, held.number or held.id
        return found or gone

    def read_again(self, result: compare.Result) -> bool:
        """Read by id what seems to contradict itself: one half may have been read before a change and one after."""
        torn = [d for d in result.discrepancies if d.code == "BALANCE_MISMATCH_INTERNAL"][:READ_AGAIN]
        moved = False
        for d in torn:
            for which, id in ((LEFT, d.left), (RIGHT, d.right)):
                entity = Entity(d.kind) if d.kind in set(Entity) else None
                if id is not None and entity is not None and self.sides.connectors[which].capabilities.by_id:
                    moved = self._reread(which, entity, id) or moved
        return moved

    def _reread(self, which: Which, entity: Entity, id: str) -> bool:
        connector, book = self.sides.connectors[which], self.sides.books[which]
        held = book.held.get((entity, id))
        try:
            now = connector.get(entity, id)
        except (NotFoundError, RetriableError):
            return False
        if held is None or now.record is None or isinstance(now.record, RecordError):
            return False
        t = schema.seen
        where = t.c.connection == connector.name, t.c.entity == entity.value, t.c.native_id == id
        with self.run.writing() as tx:
            known = tx.one(sa.select(t).where(*where))
            observed = save_seen(tx, connector.name, [now], self.run.id, {id: known} if known else {})
            if not observed:
                return False
            told = {"run": self.run.id, "observed": digest(observed)}
            tx.audit("read_again", "record", f"{connector.name}/{entity.value}/{id}", told)
        name = _REPORTED.get(entity, "reported_open")
        if held.record is not None and hasattr(now.record, name):
            record = held.record.model_copy(update={name: getattr(now.record, name)})
            book.held[(entity, id)] = replace(held, record=record, version=now.version)
        return True

    def explained(self, findings: Sequence[Finding]) -> list[Explained]:
        """One-sided documents whose reason the sync knows, for the comparison to name."""
        out = []
        for f in findings:
            if not f.code or f.side is None or f.entity is Entity.CUSTOMER:
                continue
            for which in (LEFT, RIGHT):
                native = self.sides.books[which].natives.get(f.subject)
                if native is not None and self._stands(which, f) and not self._stands(other(which), f):
                    known = f.code != "PAID_INFERRED"
                    out.append(Explained(which, f.entity.value, native, f.code, f.cause, f.remedy, known))
        return _first_each(out)

    def _stands(self, which: Which, f: Finding) -> bool:
        native = self.sides.books[which].natives.get(f.subject)
        held = self.sides.books[which].held.get((f.entity, native)) if native is not None else None
        return held is not None and held.existence in (Existence.LIVE, Existence.INACTIVE)

    def in_flight(self, waiting: Sequence[Operation], findings: Sequence[Finding]) -> list[Explained]:
        blamed = {f.subject for f in findings if f.code}
        out = []
        sent = among(self.run.store, waiting, UNDER_WAY)
        for o in waiting:
            side = other(o.target)
            native = self.sides.books[side].natives.get(o.subject)
            if o.op is OpKind.CREATE and native and o.entity is not Entity.CUSTOMER and o.subject not in blamed:
                why, remedy = "planned; waits for approval", "tieout plan show, then tieout plan approve"
                if o.key in sent:
                    why, remedy = "handed over in a file; not seen in an export yet", "none; it follows"
                out.append(Explained(side, o.entity.value, native, "SYNC_IN_FLIGHT", why, remedy))
        return out


def _first_each(rows: Sequence[Explained]) -> list[Explained]:
    return list({(r.side, r.kind, r.id): r for r in reversed(rows)}.values())


def among(store: Store, operations: Iterable[Operation], states: frozenset[str]) -> set[str]:
    """Keys of those operations whose intents are in one of the states."""
    i, keys = schema.intent, [o.key for o in operations]
    found: set[str] = set()
    for at in range(0, len(keys), _AT_ONCE):
        where = i.c.key.in_(keys[at : at + _AT_ONCE]), i.c.state.in_(states)
        found.update(r["key"] for r in store.rows(sa.select(i.c.key).where(*where)))
    return found


def control_totals(tx: Tx, run: str, stated: Mapping[Which, Sequence[ControlBalance]]) -> None:
    """Keep what each system's own reports say."""
    for balance in (b for balances in stated.values() for b in balances):
        tx.put(
            schema.control_total,
            {
                "run": run,
                "connection": balance.connection,
                "account": balance.account,
                "currency": balance.currency,
                "as_of": balance.as_of.isoformat(),
                "amount_micros": micros(balance.amount),
                "report": balance.report,
            },
        )
