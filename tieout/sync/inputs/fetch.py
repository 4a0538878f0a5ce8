"""Read one entity of one connection into the state: what was seen, what is gone, what could not be read.

Absence is not deletion. A record that a complete snapshot does not show is asked for by id, or, where the system has
no reading by id, must be missing from two complete snapshots of different dates. A tombstone is a claim and is read
by id as well. What a list of open items no longer shows is *absent*: neither deleted, nor paid as far as anybody knows.
A snapshot that is suddenly empty, or that lost many records at once, is believed by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tieout.connectors import Connector, Observation, Pull
from tieout.errors import FatalError, NotFoundError, RecordError, RetriableError
from tieout.model import Entity, Existence
from tieout.sync import schema
from tieout.sync.state.saving import Doubt, Reading, save
from tieout.sync.state.seen import GONE, TOGETHER, known_of, news
from tieout.sync.store import Lease, Store, batched, instant, loads

FULL_SWEEP = timedelta(hours=24)
FEW = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one read of one entity brought. `suspicious` says why absences in it are not believed, "" if they are.

    doubt: what stands of the last read of everything, this one or an earlier one; None where that is not known
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
    doubt: Doubt | None = None


def fetch(store: Store, lease: Lease, run: str, connector: Connector, entity: Entity, *, sweep: bool) -> Fetched:
    """Pull an entity (since its cursor, unless a sweep is due) and store the outcome in one transaction.

    Raises what `Connector.pull` raises, and RetriableError for an export older than the last one that was read; then
    nothing is stored and the cursor stays.
    """
    last = _last_cursor(store, connector, entity) if connector.capabilities.delta else None
    cursor = None if sweep else _cursor(store, last)
    pull = connector.pull(entity, cursor)
    reading = Reading(store, connector, entity)
    for some in batched(pull, TOGETHER):
        _take(reading, some)
    _refuse_older(store, connector, entity, pull)
    _confirm_tombstones(reading)
    if pull.full:
        _absences(reading, pull)
    missed = _missed(reading, pull, last) if cursor is None else None
    doubt = loads(last["doubt"]) if last is not None else None
    known = Doubt(**(doubt | {"missed": tuple(doubt["missed"])})) if doubt is not None else None
    if pull.full:
        known = _doubt(reading, pull, missed if missed is not None else known.missed if known else ())
    with store.writing(lease, run=run) as tx:
        save(tx, reading, pull, known)
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
        doubt=known,
    )


def _doubt(reading: Reading, pull: Pull, missed: tuple[str, ...]) -> Doubt:
    # Where the source itself is in doubt, what it lacks is no doubt of its own.
    if not reading.suspicious or pull.proof.get("doubts"):
        return Doubt(missed=missed)
    return Doubt("FALSE_DELETE_SUSPECTED" if pull.complete else "TRUNCATED_EXTRACT", reading.suspicious, missed)


def _missed(reading: Reading, pull: Pull, before: dict[str, Any] | None) -> tuple[str, ...] | None:
    """Records that everything shows changed and the feed, asked from where it was left off, does not; in order.

    None where there is no feed to hold against it: none was read yet, or it reaches back no further.
    """
    connector = reading.connector
    if not pull.full or before is None or before["watermark"] is None:
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


def _cursor(store: Store, last: dict[str, Any] | None) -> str | None:
    """The stored cursor; None if there is none, a full sweep is due, or the feed's horizon has passed."""
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


def _take(reading: Reading, observations: Sequence[Observation]) -> None:
    """Keep of each observation what is new; the observations themselves are let go."""
    here: dict[str, Observation] = {}
    for o in observations:
        id = o.id
        if isinstance(o.record, RecordError):
            reading.rejected.append(o.record)
            if o.record.ref is None:  # it names no record: where it stands in this file says nothing of the next one
                reading.nameless += 1
                continue
            id = o.id or o.record.ref
        # Of several observations of one record the last counts.
        reading.claimed.pop(id, None)
        reading.found.pop(id, None)
        here.pop(id, None)
        if o.existence is Existence.DELETED:
            reading.claimed[id] = replace(o, id=id)
        else:
            here[id] = replace(o, id=id)
    name = reading.connector.name
    known = known_of(reading.store, name, reading.entity, list(here))
    for id, o in here.items():
        reading.found[id] = news(name, o, known.get(id))


def _confirm_tombstones(reading: Reading) -> None:
    known = known_of(reading.store, reading.connector.name, reading.entity, list(reading.claimed))
    for id, claim in reading.claimed.items():
        if id not in known:
            # A record that was never seen may be a new one that the feed is wrong about.
            if reading.connector.capabilities.by_id:
                _ask(reading, id, known=False)
            else:
                _never_seen(reading, claim)
        elif known[id]["existence"] not in GONE:
            _ask(reading, id)


def _never_seen(reading: Reading, claim: Observation) -> None:
    """Take a record that is said to be gone, was never seen and cannot be asked for, as one that cannot be read."""
    name, entity = reading.connector.name, reading.entity
    why = "it is said to be deleted, and was never seen: it may be there"
    error = RecordError(name, "existence", Existence.DELETED.value, why, entity=entity.value, ref=claim.id)
    reading.rejected.append(error)
    reading.found[claim.id] = news(name, replace(claim, record=error, existence=Existence.LIVE), None)


def _ask(reading: Reading, id: str, *, known: bool = True) -> None:
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


def _absences(reading: Reading, pull: Pull) -> None:
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
