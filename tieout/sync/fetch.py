"""Read one entity of one connection into the state: what was seen, what is gone, what could not be read.

Absence is not deletion. A record that a complete snapshot does not show is asked for by id, or, where the system has
no reading by id, must be missing from two complete snapshots of different dates. A tombstone is a claim and is read
by id as well. What a list of open items no longer shows is *absent*: neither deleted, nor paid as far as anybody knows.
A snapshot that is suddenly empty, or that lost many records at once, is believed by nobody.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Connector, Observation, Pull
from tieout.errors import FatalError, NotFoundError, RecordError, RetriableError
from tieout.model import AnyRecord, Customer, Entity, Existence, as_json, from_json
from tieout.sync import schema
from tieout.sync.facts import canonical, digest
from tieout.sync.store import Lease, Store, Tx, batched, instant, loads, new_id

FULL_SWEEP = timedelta(hours=24)
FEW = 3
TOGETHER = 500  # records that are looked up and stored at a time
GONE = (Existence.DELETED.value, Existence.ABSENT.value)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one read of one entity brought. `suspicious` says why absences in it are not believed, "" if they are.

    census: everything was read and held against the feed of changes · missed: what had changed, and the feed lacks
    """

    connection: str
    entity: Entity
    rows: int
    full: bool
    complete: bool
    scope: str
    as_of: str | None
    proof: dict[str, Any]
    rejected: tuple[RecordError, ...] = ()
    gone: tuple[str, ...] = ()
    suspicious: str = ""
    census: bool = False
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What an observation says that was not known: the columns of its row, and its payload, packed.

    first: whether the record could be read for the first time · back: whether it was taken for gone
    """

    columns: dict[str, Any]
    payload: bytes
    first: bool
    back: bool


@dataclass(slots=True)
class _Reading:
    """A read on its way into the state. `found`: what is new of each record that came, None if nothing is."""

    store: Store
    connector: Connector
    entity: Entity
    found: dict[str, News | None] = field(default_factory=dict)
    claimed: dict[str, None] = field(default_factory=dict)
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


def fetch(store: Store, lease: Lease, run: str, connector: Connector, entity: Entity, *, sweep: bool) -> Fetched:
    """Pull an entity (since its cursor, unless a sweep is due) and store the outcome in one transaction.

    Raises what `Connector.pull` raises, and RetriableError for an export older than the last one that was read; then
    nothing is stored and the cursor stays.
    """
    cursor = _cursor(store, connector, entity, sweep=sweep)
    pull = connector.pull(entity, cursor)
    reading = _Reading(store, connector, entity)
    for some in batched(pull, TOGETHER):
        _take(reading, some)
    _refuse_older(store, connector, entity, pull)
    _confirm_tombstones(reading)
    if pull.full:
        _absences(reading, pull)
    missed = _missed(reading, pull) if cursor is None else None
    with store.writing(lease, run=run) as tx:
        _save(tx, reading, pull)
    return Fetched(
        connector.name,
        entity,
        rows=reading.rows,
        full=pull.full,
        complete=pull.complete,
        scope=pull.scope,
        as_of=pull.as_of.isoformat() if pull.as_of else None,
        proof=pull.proof,
        rejected=tuple(reading.rejected),
        gone=tuple(reading.gone),
        suspicious=reading.suspicious,
        census=missed is not None,
        missed=missed or (),
    )


def _missed(reading: _Reading, pull: Pull) -> tuple[str, ...] | None:
    """Records that everything shows changed and the feed, asked from where it was left off, does not; in order.

    None where there is no feed to hold against it: none was read yet, or it reaches back no further.
    """
    connector = reading.connector
    asked = connector.capabilities.delta and pull.full
    before = _last_cursor(reading.store, connector, reading.entity) if asked else None
    if before is None or before["watermark"] is None:
        return None
    found = {id: news.columns["version"] for id, news in reading.found.items() if news is not None}
    known = known_of(reading.store, connector.name, reading.entity, list(found))
    changed = sorted(id for id, version in found.items() if id not in known or known[id]["version"] != version)
    if not changed:
        return ()
    try:
        feed = connector.pull(reading.entity, before["watermark"])
        shown = {o.id for o in feed} if not feed.full else None
    except (RetriableError, FatalError):
        # The feed is no part of this read, which may be what mends its cursor; it is held against it another time.
        return None
    return None if shown is None else tuple(id for id in changed if id not in shown)


def _refuse_older(store: Store, connector: Connector, entity: Entity, pull: Pull) -> None:
    """A dated export may not go back in time: what it lacks or shows otherwise is no news.

    Raises RetriableError. One that was dated in the future says nothing of those that follow.
    """
    if pull.as_of is None:
        return
    believed = (store.clock() + timedelta(days=1)).date().isoformat()
    last = store.rows(_LAST_EXPORT, connection=connector.name, entity=entity.value, believed=believed)
    if not last:
        return
    known = last[0]["as_of"], loads(last[0]["proof"]).get("sequence") or 0
    newest = pull.as_of.isoformat(), pull.proof.get("sequence") or 0
    if newest < known:
        by = f"of {newest[0]}, but one of {known[0]}"
        if newest[0] == known[0]:
            by = f"number {newest[1]} of {newest[0]}, but number {known[1]} of the same day"
        raise RetriableError(
            f"the newest export is {by} was read already: it is used for nothing",
            hint="export again, or put the newer file back",
        )


_SNAPSHOT = schema.snapshot.c
# The newest whole export; none that is dated after the day that is `believed`.
_LAST_EXPORT = (
    sa.select(schema.snapshot)
    .where(schema.of_entity(schema.snapshot), _SNAPSHOT.complete == 1, _SNAPSHOT.as_of <= sa.bindparam("believed"))
    .order_by(_SNAPSHOT.as_of.desc(), _SNAPSHOT.read_at.desc())
    .limit(1)
)


def _cursor(store: Store, connector: Connector, entity: Entity, *, sweep: bool) -> str | None:
    """The stored cursor; None if the system has none, a full sweep is due, or the feed's horizon has passed."""
    if sweep or not connector.capabilities.delta:
        return None
    last = _last_cursor(store, connector, entity)
    if last is None or last["watermark"] is None or last["last_full_at"] is None:
        return None
    if not timedelta(0) <= store.clock() - instant(last["last_full_at"]) < FULL_SWEEP:
        return None
    watermark: str = last["watermark"]
    return watermark


_CURSOR = sa.select(schema.cursor).where(schema.of_entity(schema.cursor))


def _last_cursor(store: Store, connector: Connector, entity: Entity) -> dict[str, Any] | None:
    rows = store.rows(_CURSOR, connection=connector.name, entity=entity.value)
    return rows[0] if rows else None


def _take(reading: _Reading, observations: Sequence[Observation]) -> None:
    """Keep of each observation what is new; the observations themselves are let go."""
    here: dict[str, Observation] = {}
    for o in observations:
        id = o.id
        if isinstance(o.record, RecordError):
            reading.rejected.append(o.record)
            id = o.id or o.record.ref or ""
            if not id:
                reading.nameless += 1
                continue
        # Of several observations of one record the last counts.
        reading.claimed.pop(id, None)
        reading.found.pop(id, None)
        here.pop(id, None)
        if o.existence is Existence.DELETED:
            reading.claimed[id] = None
        else:
            here[id] = replace(o, id=id)
    name = reading.connector.name
    known = known_of(reading.store, name, reading.entity, list(here))
    for id, o in here.items():
        reading.found[id] = news(name, o, known.get(id))


def known_of(store: Store, connection: str, entity: Entity, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of `seen` with these native ids, by id."""
    rows = (
        row
        for some in batched(ids, TOGETHER)
        for row in store.rows(_SEEN, connection=connection, entity=entity.value, ids=some)
    )
    return {row["native_id"]: row for row in rows}


# The records of these native `ids`.
_SEEN = sa.select(schema.seen).where(
    schema.of_entity(schema.seen), schema.seen.c.native_id.in_(sa.bindparam("ids", expanding=True))
)


def _confirm_tombstones(reading: _Reading) -> None:
    known = known_of(reading.store, reading.connector.name, reading.entity, list(reading.claimed))
    for id in reading.claimed:
        if id not in known:
            # A record that was never seen may be a new one that the feed is wrong about.
            if reading.connector.capabilities.by_id:
                _ask(reading, id, known=False)
        elif known[id]["existence"] not in GONE:
            _ask(reading, id)


def _ask(reading: _Reading, id: str, *, known: bool = True) -> None:
    """Read one record by id: gone only on a definite answer; any other trouble leaves it as it was.

    known: whether it was seen before; what never was is not gone either
    """
    if not reading.connector.capabilities.by_id:
        reading.missed_once.append(id)
        return
    try:
        observation = reading.connector.get(reading.entity, id)
    except NotFoundError:
        if known:
            reading.gone.append(id)
        return
    except RetriableError:
        # No answer is no deletion: it stays as it was, and the next read covers everything again.
        reading.unanswered.append(id)
        return
    if observation.existence is not Existence.DELETED:
        name = reading.connector.name
        before = known_of(reading.store, name, reading.entity, [id])
        reading.found[id] = news(name, observation, before.get(id))
    elif known:
        reading.gone.append(id)


def _absences(reading: _Reading, pull: Pull) -> None:
    of = {"connection": reading.connector.name, "entity": reading.entity.value}
    live = [id for (id,) in reading.store.stream(_LIVE, **of)]
    missing = [id for id in live if id not in reading.found]
    if not missing:
        return
    if not pull.complete:
        reading.suspicious = "the read is not proved complete"
    elif reading.nameless:
        reading.suspicious = "an unreadable row names no record, so that any of the missing ones may be it"
    elif not reading.found and len(missing) > FEW:
        reading.suspicious = "the source is suddenly empty"
    elif len(missing) > max(FEW, len(live) // 100) and len(missing) * 2 > len(live):
        reading.suspicious = f"{len(missing)} of {len(live)} records are missing at once"
    elif pull.scope == "open":
        reading.dropped = missing
    elif pull.scope != "all":
        reading.suspicious = ""
    else:
        for id in missing:
            _ask(reading, id)


_LIVE = (
    sa.select(schema.seen.c.native_id)
    .where(schema.of_entity(schema.seen), schema.seen.c.existence.not_in(GONE))
    .order_by(schema.seen.c.native_id)
)


def _save(tx: Tx, reading: _Reading, pull: Pull) -> None:
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
            "rows": len(reading.found) + len(reading.rejected),
            "read_at": tx.at,
        },
    )
    fresh = {id: n for id, n in reading.found.items() if n is not None}
    changed = _save_news(tx, list(fresh.values()), snapshot)
    back = sorted(id for id, n in fresh.items() if n.back)
    first = [*(id for id, n in fresh.items() if n.first), *back]
    _first_sight(tx, reading.connector.name, reading.entity, first)
    observed = [observed_as(n.columns) for n in fresh.values()]
    observed += _save_gone(tx, reading, pull, snapshot)
    observed += _save_dropped(tx, reading, pull, snapshot)
    full_at = tx.at if pull.full else None
    if pull.full or pull.cursor is not None:
        tx.put(
            schema.cursor,
            {
                "connection": reading.connector.name,
                "entity": reading.entity.value,
                "watermark": pull.cursor if pull.complete and not reading.unanswered else None,
                "last_full_at": full_at if pull.complete and not reading.unanswered else None,
                "run": tx.run,
            },
            keep=() if pull.full else ("last_full_at",),
        )
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
            "gone": sorted(reading.gone),
            "dropped": sorted(reading.dropped),
            "back": back,
            "unanswered": sorted(reading.unanswered),
            "sources": list(pull.sources),
            "observed": digest(observed),
        },
    )


def save_seen(
    tx: Tx,
    connection: str,
    observations: Iterable[Observation],
    snapshot: str,
    known: Mapping[str, dict[str, Any]],
) -> list[list[str | None]]:
    """Store what observations show, where it differs from what is known (rows of `seen`).

    Returns what differed, for the audit event of the caller (`observed_as`).
    """
    found = [n for o in observations if (n := news(connection, o, known.get(o.id))) is not None]
    _save_news(tx, found, snapshot)
    return [observed_as(n.columns) for n in found]


def _save_news(tx: Tx, found: Sequence[News], snapshot: str) -> int:
    """Store what is new, with the history of it and the payloads."""
    seen = {"first_seen_at": tx.at, "changed_at": tx.at, "snapshot": snapshot, "absences": 0, "absent_as_of": None}
    past = {"snapshot": snapshot, "seen_at": tx.at}
    for some in batched(found, TOGETHER):
        tx.put_all(schema.seen, [n.columns | seen for n in some], keep=("first_seen_at",))
        tx.add(schema.observation, [{k: n.columns[k] for k in _HISTORY} | past for n in some])
        packed = {n.columns["raw_hash"]: n.payload for n in some}
        tx.put_new(schema.blob, [{"hash": h, "body": body, "created_at": tx.at} for h, body in packed.items()])
    return len(found)


_HISTORY = ("connection", "entity", "native_id", "version", "existence", "record", "raw_hash", "error")


def news(connection: str, o: Observation, before: Mapping[str, Any] | None) -> News | None:
    """What an observation says beyond the row of `seen` before it; None if it says nothing new."""
    error = canonical(asdict(o.record)) if isinstance(o.record, RecordError) else None
    if isinstance(o.record, RecordError):
        record = before["record"] if before else None
        record_hash = before["record_hash"] if before else None
        marker = before["marker"] if before else None
    else:
        record = canonical(as_json(o.record)) if o.record is not None else None
        record_hash = digest(record) if record is not None else None
        marker = o.record.marker if o.record is not None else None
    existence = o.existence
    if isinstance(o.record, Customer) and not o.record.active:
        existence = Existence.INACTIVE
    same = before is not None and (
        (before["version"], before["existence"], before["record_hash"], before["error"])
        == (o.version, existence.value, record_hash, error)
    )
    if same and before is not None and not before["absences"]:
        return None
    body = canonical(o.raw).encode()
    columns = {
        "connection": connection,
        "entity": o.entity.value,
        "native_id": o.id,
        "version": o.version,
        "existence": existence.value,
        "record": record,
        "record_hash": record_hash,
        "raw_hash": hashlib.sha256(body).hexdigest(),
        "error": error,
        "marker": marker,
    }
    unread = before is None or (before["record"] is None and before["error"] is not None)
    back = before is not None and before["existence"] == Existence.DELETED.value and existence.value not in GONE
    return News(columns, zlib.compress(body, 6), first=error is None and unread, back=back)


_HELD = sa.select(schema.xref.c.native_id).where(
    schema.of_entity(schema.xref), schema.ACTIVE, schema.xref.c.native_id.in_(sa.bindparam("ids", expanding=True))
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


def observed_as(row: Mapping[str, Any]) -> list[str | None]:
    """What the audit log covers of an observation; record: its canonical text, None if it never could be read."""
    record = digest(row["record"]) if row["record"] is not None else None
    return [row["native_id"], row["existence"], row["raw_hash"], record]


def _save_gone(tx: Tx, reading: _Reading, pull: Pull, snapshot: str) -> list[list[str | None]]:
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
        _mark(tx, row, {"absences": 1, "absent_as_of": row["absent_as_of"] or as_of})
    reading.gone.extend(second)
    observed = []
    for id in reading.gone:
        row = known[id]
        _mark(tx, row, {"existence": Existence.DELETED.value, "changed_at": tx.at, "snapshot": snapshot})
        history = {k: row[k] for k in ("connection", "entity", "native_id", "version", "record", "raw_hash", "error")}
        history |= {"existence": Existence.DELETED.value, "snapshot": snapshot, "seen_at": tx.at}
        tx.add(schema.observation, [history])
        observed.append(observed_as(history))
    return observed


def _save_dropped(tx: Tx, reading: _Reading, pull: Pull, snapshot: str) -> list[list[str | None]]:
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
    observed = []
    for row in known_of(tx.store, reading.connector.name, reading.entity, reading.dropped).values():
        values = {"existence": Existence.ABSENT.value, "absent_as_of": f"{last}/{day}"}
        _mark(tx, row, values | {"changed_at": tx.at, "snapshot": snapshot})
        history = {k: row[k] for k in ("connection", "entity", "native_id", "version", "record", "raw_hash", "error")}
        history |= {"existence": Existence.ABSENT.value, "snapshot": snapshot, "seen_at": tx.at}
        tx.add(schema.observation, [history])
        observed.append(observed_as(history))
    return observed


def _mark(tx: Tx, row: dict[str, Any], values: dict[str, Any]) -> None:
    tx.change(schema.seen, {k: row[k] for k in ("connection", "entity", "native_id")}, values)


def lists_open_items(store: Store, connection: str) -> bool:
    """Whether the connection's invoices were last read from a list of open items, which shows no settled ones."""
    last = store.rows(_LAST_SCOPE, connection=connection, entity=Entity.INVOICE.value)
    return bool(last) and last[0]["scope"] == "open"


_COMPLETE = schema.snapshot.c.complete == 1
_LAST_SCOPE = (
    sa.select(schema.snapshot.c.scope)
    .where(schema.of_entity(schema.snapshot), _COMPLETE)
    .order_by(schema.snapshot.c.read_at.desc())
    .limit(1)
)
_LAST_FULL = (
    sa.select(schema.snapshot.c.entity, schema.snapshot.c.scope, sa.func.max(schema.snapshot.c.read_at))
    .where(schema.snapshot.c.connection == sa.bindparam("connection"), _COMPLETE, schema.snapshot.c.kind == "full")
    .group_by(schema.snapshot.c.entity, schema.snapshot.c.scope)
)


def reads_whole(store: Store, connection: str, entities: Sequence[Entity]) -> bool:
    """Whether each entity of a connection was last read whole from something that shows all of it."""
    last: dict[str, tuple[str, str]] = {}
    for entity, scope, at in store.stream(_LAST_FULL, connection=connection):
        last[entity] = max(last.get(entity, ("", "")), (at, scope))
    return all(last.get(e.value, ("", ""))[1] == "all" for e in entities)


def first_listed(store: Store, connection: str) -> str:
    """The day of the first complete list of a connection's invoices, as ISO text."""
    t = schema.snapshot
    where = t.c.connection == connection, t.c.entity == Entity.INVOICE.value, t.c.complete == 1
    [first] = store.rows(sa.select(t.c.as_of, t.c.read_at).where(*where).order_by(t.c.read_at).limit(1))
    return str(first["as_of"] or first["read_at"][:10])


def record_of(row: dict[str, Any]) -> AnyRecord | None:
    """The canonical record of a row of `seen`, None if it never could be read."""
    data = loads(row["record"])
    return None if data is None else from_json(Entity(row["entity"]), data)
