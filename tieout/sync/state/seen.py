"""What was seen of each record last: what an observation says beyond that, and how it is stored with its history."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Observation
from tieout.errors import RecordError
from tieout.model import AnyRecord, Customer, Entity, Existence, as_json, from_json
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.store import Store, Tx, batched, loads

TOGETHER = 500  # records that are looked up and stored at a time
GONE = (Existence.DELETED.value, Existence.ABSENT.value)


@dataclass(frozen=True, slots=True)
class News:
    """What an observation says that was not known: the columns of its row, and its payload, packed.

    first: whether the record could be read for the first time · back: whether it was taken for gone
    """

    columns: dict[str, Any]
    payload: bytes
    first: bool
    back: bool


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


def record_of(row: dict[str, Any]) -> AnyRecord | None:
    """The canonical record of a row of `seen`, None if it never could be read."""
    data = loads(row["record"])
    return None if data is None else from_json(Entity(row["entity"]), data)


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
    save_news(tx, found, snapshot)
    return [observed_as(n.columns) for n in found]


def save_news(tx: Tx, found: Sequence[News], snapshot: str) -> int:
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


def save_absence(
    tx: Tx, row: Mapping[str, Any], existence: Existence, snapshot: str, values: Mapping[str, Any]
) -> list[str | None]:
    """Store that a record is there no more, or listed no more. values: more columns of its row of `seen`

    Returns what was observed, for the audit event of the caller (`observed_as`).
    """
    mark(tx, row, {**values, "existence": existence.value, "changed_at": tx.at, "snapshot": snapshot})
    past = {k: row[k] for k in _HISTORY} | {"existence": existence.value, "snapshot": snapshot, "seen_at": tx.at}
    tx.add(schema.observation, [past])
    return observed_as(past)


def mark(tx: Tx, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Change columns of a row of `seen`."""
    tx.change(schema.seen, {k: row[k] for k in ("connection", "entity", "native_id")}, values)


def observed_as(row: Mapping[str, Any]) -> list[str | None]:
    """What the audit log covers of an observation; record: its canonical text, None if it never could be read."""
    record = digest(row["record"]) if row["record"] is not None else None
    return [row["native_id"], row["existence"], row["raw_hash"], record]
