"""What one read brought, kept in the state in one transaction: the snapshot, what is news, what is gone, the cursor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from tieout.connectors import Connector, Observation, Pull
from tieout.errors import RecordError
from tieout.model import Entity, Existence
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.state.seen import TOGETHER, News, known_of, mark, observed_as, save_absence, save_news
from tieout.sync.store import Store, Tx, batched, new_id


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a read of everything leaves to be doubted: kept with the cursor, whatever becomes of the run that read.

    code, why: of records that are missing and not believed to be gone, "" where none are
    missed: what had changed and the feed lacks, as of the last read that was held against the feed
    """

    code: str = ""
    why: str = ""
    missed: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """A read on its way into the state; ids are the system's own.

    found: what is new of each record that came, None if nothing is · claimed: those that the feed says are deleted
    nameless: unreadable rows that name no record · gone: confirmed as deleted · missed_once: not shown, nor asked for
    unanswered: asked for by id without an answer · dropped: no longer on a list of open items
    suspicious: why absences are not believed, "" if they are
    """

    store: Store
    connector: Connector
    entity: Entity
    found: dict[str, News | None] = field(default_factory=dict)
    claimed: dict[str, Observation] = field(default_factory=dict)
    rejected: list[RecordError] = field(default_factory=list)
    nameless: int = 0
    gone: list[str] = field(default_factory=list)
    missed_once: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    suspicious: str = ""

    @property
    def rows(self) -> int:
        """How many records came, unreadable ones included: those with a name are among the found."""
        return len(self.found) + self.nameless


def save(tx: Tx, reading: Reading, pull: Pull, doubt: Doubt | None) -> None:
    """Keep what a read brought, and say in the audit log what that was. doubt: kept with the cursor"""
    snapshot = new_id()
    tx.put(
        schema.snapshot,
        {
            "id": snapshot,
            "run": tx.run,
            "connection": reading.connector.name,
            "entity": reading.entity.value,
            "kind": "full" if pull.full else "delta",
            "complete": int(pull.complete),
            "proof": canonical(pull.proof),
            "scope": pull.scope,
            "as_of": pull.as_of.isoformat() if pull.as_of else None,
            "rows": reading.rows,
            "read_at": tx.at,
        },
    )
    fresh = {id: n for id, n in reading.found.items() if n is not None}
    changed = save_news(tx, list(fresh.values()), snapshot)
    back = sorted(id for id, n in fresh.items() if n.back)
    first = [*(id for id, n in fresh.items() if n.first), *back]
    _first_sight(tx, reading.connector.name, reading.entity, first)
    observed = [observed_as(n.columns) for n in fresh.values()]
    observed += _save_gone(tx, reading, pull, snapshot)
    observed += _save_dropped(tx, reading, pull, snapshot)
    if pull.full or pull.cursor is not None:
        _move_cursor(tx, reading, pull, doubt)
    tx.audit(
        "fetched",
        "snapshot",
        snapshot,
        {
            "connection": reading.connector.name,
            "entity": reading.entity.value,
            "rows": len(reading.found),
            "changed": changed,
            "rejected": len(reading.rejected),
            "nameless": reading.nameless,
            "gone": sorted(reading.gone),
            "dropped": sorted(reading.dropped),
            "back": back,
            "unanswered": sorted(reading.unanswered),
            "sources": list(pull.sources),
            "observed": digest(observed),
        },
    )


def _first_sight(tx: Tx, connection: str, entity: Entity, ids: list[str]) -> None:
    """Give every new record a subject of its own; matching may join two later."""
    of = {"connection": connection, "entity": entity.value}
    held = {id for some in batched(ids, TOGETHER) for id in tx.db.execute(_HELD, of | {"ids": some}).scalars()}
    subjects, xrefs = [], []
    for id in ids:
        if id in held:
            continue
        subject = new_id()
        subjects.append(
            {
                "id": subject,
                "entity": entity.value,
                "origin_connection": connection,
                "origin_id": id,
                "created_by": None,
                "generation": 0,
                "state": "active",
                "created_at": tx.at,
            }
        )
        xrefs.append(
            {
                "id": new_id(),
                "subject": subject,
                "connection": connection,
                "entity": entity.value,
                "native_id": id,
                "state": "active",
                "matched_by": "first sight",
                "evidence": "{}",
                "run": tx.run,
            }
        )
    if subjects:
        tx.add(schema.subject, subjects)
        tx.add(schema.xref, xrefs)


_HELD = sa.select(schema.xref.c.native_id).where(
    schema.of_entity(schema.xref), schema.ACTIVE, schema.xref.c.native_id.in_(sa.bindparam("ids", expanding=True))
)


def _move_cursor(tx: Tx, reading: Reading, pull: Pull, doubt: Doubt | None) -> None:
    """Where the next read goes on; it covers everything again if this one was not whole, or left a question open."""
    whole = pull.complete and not reading.unanswered
    tx.put(
        schema.cursor,
        {
            "connection": reading.connector.name,
            "entity": reading.entity.value,
            "watermark": pull.cursor if whole else None,
            "last_full_at": tx.at if whole and pull.full else None,
            "run": tx.run,
            "doubt": canonical(asdict(doubt)) if doubt is not None else None,
        },
        keep=() if pull.full else ("last_full_at", "doubt"),
    )


def _save_gone(tx: Tx, reading: Reading, pull: Pull, snapshot: str) -> list[list[str | None]]:
    """Mark what is gone, or missing for the first time; returns what was observed of what is gone."""
    # The same undated files read again are the same proof.
    undated = digest(list(pull.sources)) if pull.sources else tx.at
    as_of = pull.as_of.isoformat() if pull.as_of else undated
    second = []
    known = known_of(tx.store, reading.connector.name, reading.entity, [*reading.missed_once, *reading.gone])
    for id in reading.missed_once:
        row = known[id]
        if row["absences"] and row["absent_as_of"] != as_of:
            second.append(id)
            continue
        mark(tx, row, {"absences": 1, "absent_as_of": row["absent_as_of"] or as_of})
    reading.gone.extend(second)
    return [save_absence(tx, known[id], Existence.DELETED, snapshot, {}) for id in reading.gone]


def _save_dropped(tx: Tx, reading: Reading, pull: Pull, snapshot: str) -> list[list[str | None]]:
    """Note what a list of open items shows no more, and between which of its days it dropped out: `FROM/TO`.

    Returns what was observed of it.
    """
    if not reading.dropped:
        return []
    t = schema.snapshot
    day = pull.as_of.isoformat() if pull.as_of else tx.at[:10]
    where = t.c.connection == reading.connector.name, t.c.entity == reading.entity.value, t.c.complete == 1
    before = tx.one(sa.select(t).where(*where, t.c.id != snapshot).order_by(t.c.read_at.desc()).limit(1))
    last = (before["as_of"] or before["read_at"][:10]) if before else day
    since = {"absent_as_of": f"{last}/{day}"}
    known = known_of(tx.store, reading.connector.name, reading.entity, reading.dropped)
    return [save_absence(tx, row, Existence.ABSENT, snapshot, since) for row in known.values()]
