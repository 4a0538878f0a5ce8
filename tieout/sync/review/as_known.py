"""What the state knew on a day: each record as it was last read by then, and what was read beside the records.

How records, differences and writes came to be what they are is in `history`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError
from tieout.model import AnyRecord, ControlBalance, Entity, from_json, from_micros
from tieout.sync import schema
from tieout.sync.state.book import Key
from tieout.sync.state.seen import GONE
from tieout.sync.store import Store, instant, loads, stamp


@dataclass(slots=True)
class AsKnown:
    """The books of one connection as known then.

    records: in no order; deleted ones, and those that a list of open items showed no more, are not among them
    unreadable: records or rows whose last reading by then failed
    scopes: `all`, `open` or `period`, by entity as last read
    read_at: of the last reading (UTC) · dated: the day that it speaks for, None for its own
    """

    records: list[AnyRecord] = field(default_factory=list)
    unreadable: int = 0
    scopes: dict[Entity, str] = field(default_factory=dict)
    read_at: datetime | None = None
    dated: date | None = None
    incomplete: list[str] = field(default_factory=list)


def as_known(store: Store, connection: str, at: datetime) -> AsKnown:
    """The connection's records, each in the version last read up to `at`, inclusive.

    Raises ConfigError where nothing had been read by then.
    """
    found = AsKnown()
    broken: set[str] = set()  # a row that may be of several kinds is told under each, and is one
    _snapshots(store, connection, at, found)
    for row in _last(store, connection, at):
        if row["error"] is not None:
            broken.add(row["error"])
        elif row["existence"] not in GONE and row["record"] is not None:
            found.records.append(from_json(Entity(row["entity"]), loads(row["record"])))
    found.unreadable = len(broken)
    return found


def _snapshots(store: Store, connection: str, at: datetime, found: AsKnown) -> None:
    t = schema.snapshot
    query = sa.select(t).where(t.c.connection == connection, t.c.read_at <= stamp(at)).order_by(t.c.read_at, t.c.id)
    last = {row["entity"]: row for row in store.rows(query)}
    if not last:
        raise ConfigError(
            f"nothing of {connection} was read by {at:%Y-%m-%d %H:%M} UTC",
            hint="name a later time; what tieout reads, it keeps from the first `tieout pull` or `tieout sync` on",
        )
    for entity, row in last.items():
        found.scopes[Entity(entity)] = row["scope"]
        if not row["complete"]:
            found.incomplete.append(f"the last reading of {entity} by then is not proved complete")
    found.read_at = max(instant(row["read_at"]) for row in last.values())
    days = {date.fromisoformat(row["as_of"]) for row in last.values() if row["as_of"]}
    found.dated = max(days, default=None)


_READ = ("entity", "existence", "record", "error")


def _last(store: Store, connection: str, at: datetime) -> Iterator[dict[str, Any]]:
    """The last reading of each record by then."""
    t = schema.observation
    upto = t.c.connection == connection, t.c.seen_at <= stamp(at)
    newest = sa.select(sa.func.max(t.c.seq)).where(*upto).group_by(t.c.entity, t.c.native_id)
    query = sa.select(*(t.c[name] for name in _READ)).where(t.c.seq.in_(newest))
    for row in store.stream(query):
        yield dict(zip(_READ, row, strict=True))


def home_currency(store: Store, connection: str) -> str | None:
    """The currency of the company whose books the connection was opened on; None before its first run."""
    t = schema.audit_event
    where = schema.OPENED, t.c.object_id == connection
    rows = store.rows(sa.select(t.c.payload).where(*where).order_by(t.c.seq.desc()).limit(1))
    told = loads(rows[0]["payload"]).get("home_currency") if rows else None
    return str(told) if told else None


def first_seen(store: Store, connection: str) -> dict[Key, datetime]:
    """When each record of the connection was first seen (UTC)."""
    t = schema.seen
    query = sa.select(t.c.entity, t.c.native_id, t.c.first_seen_at).where(t.c.connection == connection)
    return {(Entity(e), id): instant(at) for e, id, at in store.stream(query)}


def linked(store: Store, connection: str) -> dict[Key, str]:
    """The subject that each record of the connection belongs to: the same for the other side's record of it."""
    x = schema.xref
    query = sa.select(x.c.entity, x.c.native_id, x.c.subject).where(x.c.connection == connection, schema.ACTIVE)
    return {(Entity(e), id): subject for e, id, subject in store.stream(query)}


def controls(store: Store, connection: str, as_of: date, at: datetime) -> list[ControlBalance]:
    """What the connection's own reports stated for that day, as last read up to `at`.

    Nothing where the records known then are not those that the figures were read with: a later reading changed some, or
    the run that read the figures wrote.
    """
    t, r = schema.control_total, schema.run
    query = (
        sa.select(t, r.c.started_at)
        .join(r, r.c.id == t.c.run)
        .where(t.c.connection == connection, t.c.as_of == as_of.isoformat(), r.c.started_at <= stamp(at))
        .order_by(r.c.started_at)
    )
    found = store.rows(query)
    own = [row for row in found if row["run"] == found[-1]["run"]]
    if not own or _moved_since(store, connection, own[0]["run"], own[0]["started_at"], at):
        return []
    return [
        ControlBalance(
            connection=connection,
            account=row["account"],
            as_of=as_of,
            amount=from_micros(row["amount_micros"]),
            currency=row["currency"],
            report=row["report"],
            parameters={},
        )
        for row in own
    ]


def _moved_since(store: Store, connection: str, run: str, started: str, at: datetime) -> bool:
    """Whether a record of the connection was read otherwise than by the run's own reading: after a write, or later."""
    o, s = schema.observation, schema.snapshot
    own = sa.select(s.c.id).where(s.c.run == run)
    since = o.c.connection == connection, o.c.seen_at >= started, o.c.seen_at <= stamp(at)
    other = sa.select(o.c.seq).where(*since, o.c.snapshot.not_in(own), o.c.snapshot != run).limit(1)
    return bool(store.rows(other))
