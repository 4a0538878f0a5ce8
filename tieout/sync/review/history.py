"""What the state database keeps of the past, for reports: reads only.

Differences are told by the audit log, whose events cannot be altered unnoticed; writes by their intents and sends;
records by every distinct reading of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.model import Entity, Existence, from_json, from_micros
from tieout.sync import schema
from tieout.sync.core.past import Approval, Interface, PastRun, Revised, Sent, Step, Story, Version
from tieout.sync.review.differences import DECIDED, OPEN_STATES
from tieout.sync.state import names
from tieout.sync.state.seen import GONE
from tieout.sync.store import Store, batched, instant, loads, stamp

_AT_ONCE = 500


# ── differences ──────────────────────────────────────────────────────────────────────────────────────────────────


def stories(store: Store, pair: str, *, until: datetime, books: tuple[str, str] | None = None) -> list[Story]:
    """Every discrepancy of the pair that was seen by then, with what happened to it by then; by id.

    books: the pair's connections, left first, to say of each whose it is and what its document comes to
    """
    t = schema.discrepancy
    rows = {r["id"]: r for r in store.rows(sa.select(t).where(t.c.pair == pair).order_by(t.c.id))}
    steps: dict[str, list[Step]] = defaultdict(list)
    for id, step in _steps(store, pair, until):
        if id in rows:
            steps[id].append(step)
    told = [_story(rows[id], steps[id]) for id in rows if steps[id]]
    return _about(store, told, books) if books else told


def _about(store: Store, told: list[Story], books: tuple[str, str]) -> list[Story]:
    def sides(s: Story) -> list[names.Native]:
        both = zip(books, (s.left, s.right), strict=True)
        return [(connection, s.kind, id) for connection, id in both if id and s.kind]

    known = names.of_records(store, (side for s in told for side in sides(s)))
    return [replace(s, about=names.of_either(known, sides(s))) for s in told]


def _steps(store: Store, pair: str, until: datetime) -> Iterator[tuple[str, Step]]:
    a = schema.audit_event
    names = _names(store, pair)
    decided = _decided(store, pair)
    query = sa.select(a).where(schema.ABOUT_DIFFERENCES, a.c.at <= stamp(until)).order_by(a.c.seq)
    for event in store.stream(query):
        told = loads(event.payload)
        # Decisions of before did not name their pair: the list of decisions does.
        own = told["pair"] in names if "pair" in told else (event.object_id, event.at) in decided
        if own:
            yield event.object_id, _step(event, told)


def _step(event: Any, told: Mapping[str, Any]) -> Step:
    delta, until = told.get("delta"), told.get("until")
    return Step(
        at=instant(event.at),
        happened=event.action,
        by=event.actor,
        run=event.run,
        delta=Decimal(delta) if delta is not None and event.action != DECIDED else None,
        left=told.get("left"),
        right=told.get("right"),
        action=told.get("action", ""),
        reason=told.get("reason") or told.get("why") or "",
        owner=told.get("owner"),
        until=instant(until) if until else None,
    )


def _names(store: Store, pair: str) -> set[str]:
    """The names that the pair had, its present one among them."""
    a = schema.audit_event
    query = sa.select(a.c.object_id, a.c.payload).where(a.c.object_type == "pair", a.c.action == "renamed")
    names = {pair}
    for event in store.rows(query.order_by(a.c.seq.desc())):
        if event["object_id"] in names:
            names.add(loads(event["payload"])["was"])
    return names


def _decided(store: Store, pair: str) -> set[tuple[str, str]]:
    d = schema.decision
    return {(r["discrepancy"], r["at"]) for r in store.rows(sa.select(d.c.discrepancy, d.c.at).where(d.c.pair == pair))}


def _story(row: Mapping[str, Any], steps: list[Step]) -> Story:
    body = loads(row["body"])
    return Story(
        id=row["id"],
        pair=row["pair"],
        code=row["code"],
        class_=row["class"],
        severity=row["severity"],
        kind=body["kind"],
        left=body["left"],
        right=body["right"],
        left_label=body["left_label"],
        right_label=body["right_label"],
        field=body["field"],
        cause=body["cause"],
        remedy=body["remedy"],
        confirmed=body["confirmed"],
        currency=row["currency"],
        delta=from_micros(row["delta_micros"]),
        steps=tuple(steps),
    )


def listed(store: Store, pair: str) -> int:
    """How many discrepancies of the pair the list itself holds unresolved, now."""
    t = schema.discrepancy
    where = t.c.pair == pair, t.c.state.in_(OPEN_STATES)
    [row] = store.rows(sa.select(sa.func.count().label("n")).select_from(t).where(*where))
    return int(row["n"])


def events(store: Store) -> int:
    """How many events the audit log has."""
    [row] = store.rows(sa.select(sa.func.count().label("n")).select_from(schema.audit_event))
    return int(row["n"])


def runs(store: Store, pair: str, *, until: datetime) -> list[PastRun]:
    """The runs of a pair that began by then, oldest first."""
    r = schema.run
    rows = store.rows(sa.select(r).where(r.c.pair == pair, r.c.started_at <= stamp(until)).order_by(r.c.started_at))
    return [
        PastRun(
            id=row["id"],
            pair=row["pair"],
            started=instant(row["started_at"]),
            ended=instant(row["finished_at"]) if row["finished_at"] else None,
            mode=row["mode"],
            status=row["status"],
        )
        for row in rows
    ]


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def interface(store: Store, pair: str, *, since: datetime, until: datetime) -> Interface:
    """Every send of the pair's writes from `since` to `until`, both inclusive, oldest first.

    At the end stand the writes that were wanted in that time and not sent by its end.
    """
    i, t = schema.intent, schema.intent_attempt
    within = t.c.sent_at >= stamp(since), t.c.sent_at <= stamp(until), i.c.pair == pair
    wanted = i.c.pair == pair, i.c.created_at >= stamp(since), i.c.created_at <= stamp(until)
    sends = store.rows(sa.select(t).join(i, i.c.id == t.c.intent).where(*within).order_by(t.c.sent_at, t.c.intent))
    never = sa.select(i.c.id).where(*wanted, ~sa.exists().where(t.c.intent == i.c.id, t.c.sent_at <= stamp(until)))
    waiting = [{"intent": r["id"], "attempt": 0} for r in store.rows(never.order_by(i.c.created_at, i.c.id))]
    intents = {r["id"]: r for r in _intents(store, {s["intent"] for s in [*sends, *waiting]})}
    plans = _Plans(store, pair)
    read_back = _read_back(store, intents)
    sent = [_sent(intents[s["intent"]], s, plans, read_back) for s in [*sends, *waiting]]
    with store.reading() as db:
        n_sends = db.execute(sa.select(sa.func.count()).select_from(t).join(i, i.c.id == t.c.intent).where(*within))
        n_wanted = db.execute(sa.select(sa.func.count()).select_from(i).where(*wanted))
        once = sa.select(t.c.intent).join(i, i.c.id == t.c.intent).where(*within)
        sums = db.execute(
            sa.select(i.c.currency, sa.func.sum(i.c.delta_micros)).where(i.c.id.in_(once)).group_by(i.c.currency)
        )
        delta = {currency: from_micros(int(total)) for currency, total in sums if currency}
        delta_of = dict(sorted(delta.items()))
        counts = int(n_sends.scalar_one()), int(n_wanted.scalar_one())
        return Interface(since, until, tuple(sent), *counts, delta_of)


def _intents(store: Store, ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    i, r = schema.intent, schema.run
    columns = [c for c in i.c if c.name not in ("request", "before")]
    for some in batched(sorted(ids), _AT_ONCE):
        joined = sa.outerjoin(i, r, r.c.id == i.c.run)
        yield from store.rows(sa.select(*columns, r.c.mode).select_from(joined).where(i.c.id.in_(some)))


def _sent(
    intent: Mapping[str, Any],
    send: Mapping[str, Any],
    plans: _Plans,
    read_back: Mapping[str, tuple[str, ...] | None],
) -> Sent:
    operation = loads(intent["operation"])
    sent_at = instant(send["sent_at"]) if send.get("sent_at") else None
    ended_at = instant(send["ended_at"]) if send.get("ended_at") else None
    return Sent(
        intent=intent["id"],
        pair=intent["pair"],
        plan=intent["plan"],
        plan_hash=plans.hashes.get(intent["plan"], ""),
        mode=intent["mode"] or "",
        approvals=plans.approvals(operation["key"], sent_at),
        connection=intent["connection"],
        entity=intent["entity"],
        operation=intent["op"],
        label=operation["label"],
        delta=from_micros(intent["delta_micros"]),
        currency=intent["currency"],
        key=intent["key"],
        wanted_at=instant(intent["created_at"]),
        attempt=send["attempt"],
        sent_at=sent_at,
        ended_at=ended_at,
        outcome=send.get("outcome") or "",
        code=send.get("code") or "",
        reference=send.get("request_id") or "",
        state=intent["state"],
        error=intent["last_error"] or "",
        native_id=intent["native_id"],
        read_back=read_back.get(intent["id"]),
    )


class _Plans:
    """Hashes of a pair's plans, and who approved which operation when: as the audit log has it."""

    def __init__(self, store: Store, pair: str) -> None:
        p, a = schema.plan, schema.audit_event
        self.hashes: dict[str, str] = {}
        self._of_key: dict[str, set[str]] = defaultdict(set)
        holders: dict[str, set[str]] = defaultdict(set)
        for row in store.stream(sa.select(p.c.id, p.c.hash, p.c.body).where(p.c.pair == pair)):
            self.hashes[row.id] = row.hash
            body = loads(row.body)
            for operation, op_hash in zip(body["operations"], body["hashes"], strict=True):
                holders[op_hash].add(row.id)
                self._of_key[operation["key"]].add(op_hash)
        self._holders = holders
        self._said: dict[str, list[tuple[datetime, str, Approval]]] = defaultdict(list)
        query = sa.select(a).where(a.c.object_type == "plan", a.c.action.in_(("approved", "rejected", "superseded")))
        for event in store.stream(query.order_by(a.c.seq)):
            guards = tuple(loads(event.payload).get("guards", ()))
            at = instant(event.at)
            self._said[event.object_id].append((at, event.action, Approval(event.actor, at, guards)))

    def approvals(self, key: str, before: datetime | None) -> tuple[Approval, ...]:
        """Who approved the operation of that key, in whatever plan it stood, before the moment; oldest first."""
        found: list[Approval] = []
        for plan in {p for op_hash in self._of_key[key] for p in self._holders[op_hash]}:
            standing: list[Approval] = []
            for at, action, approval in self._said[plan]:
                if before is None or at <= before:
                    standing = [*standing, approval] if action == "approved" else []
            found += standing
        return tuple(sorted(found, key=lambda a: (a.at, a.by)))


def _read_back(store: Store, ids: Iterable[str]) -> dict[str, tuple[str, ...] | None]:
    """{intent: the fields that were read back otherwise}, for those whose end says so."""
    a = schema.audit_event
    found: dict[str, tuple[str, ...] | None] = {}
    for some in batched(sorted(ids), _AT_ONCE):
        where = a.c.object_type == "intent", a.c.action == "done", a.c.object_id.in_(some)
        for event in store.rows(sa.select(a.c.object_id, a.c.payload).where(*where).order_by(a.c.seq)):
            off = loads(event["payload"]).get("read_back_otherwise")
            found[event["object_id"]] = None if off is None else tuple(off)
    return found


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────


def first_read(store: Store, connection: str) -> dict[Entity, datetime]:
    """When each kind of record was first read completely (UTC): what was seen later may have been there before."""
    t = schema.snapshot
    query = sa.select(t.c.entity, sa.func.min(t.c.read_at).label("at"))
    where = t.c.connection == connection, t.c.complete == 1, t.c.kind == "full"
    return {Entity(r["entity"]): instant(r["at"]) for r in store.rows(query.where(*where).group_by(t.c.entity))}


def revised(store: Store, connection: str, *, since: datetime, until: datetime) -> list[Revised]:
    """Records that were read otherwise after `since` and up to `until`, with how they stood before; by kind and id."""
    o = schema.observation
    late = o.c.connection == connection, o.c.seen_at > stamp(since), o.c.seen_at <= stamp(until)
    after: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in store.stream(sa.select(o).where(*late).order_by(o.c.seq)):
        after[row.entity, row.native_id].append(dict(row._mapping))  # noqa: SLF001  a row's own mapping
    before = _before(store, connection, since, after)
    plans = _plans_of(store, {r["snapshot"] for rows in after.values() for r in rows})
    return [
        Revised(
            Entity(entity),
            id,
            _version(before[entity, id], plans) if (entity, id) in before else None,
            tuple(_version(r, plans) for r in after[entity, id]),
        )
        for entity, id in sorted(after)
    ]


def _before(
    store: Store, connection: str, since: datetime, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The last reading of each of these records up to `since`."""
    o = schema.observation
    found: dict[tuple[str, str], dict[str, Any]] = {}
    wanted: dict[str, list[str]] = defaultdict(list)
    for entity, id in keys:
        wanted[entity].append(id)
    for entity, ids in wanted.items():
        for some in batched(sorted(ids), _AT_ONCE):
            where = o.c.connection == connection, o.c.entity == entity, o.c.native_id.in_(some)
            newest = sa.select(sa.func.max(o.c.seq)).where(*where, o.c.seen_at <= stamp(since)).group_by(o.c.native_id)
            for row in store.rows(sa.select(o).where(o.c.seq.in_(newest))):
                found[entity, row["native_id"]] = row
    return found


def _plans_of(store: Store, snapshots: Iterable[str]) -> dict[str, str]:
    """{intent: its plan} of those snapshots that are a read-back of a write."""
    i = schema.intent
    return {
        row["id"]: row["plan"]
        for some in batched(sorted(snapshots), _AT_ONCE)
        for row in store.rows(sa.select(i.c.id, i.c.plan).where(i.c.id.in_(some)))
    }


def _version(row: Mapping[str, Any], plans: Mapping[str, str]) -> Version:
    existence = Existence(row["existence"])
    there = row["record"] is not None and row["existence"] not in GONE
    return Version(
        seen_at=instant(row["seen_at"]),
        existence=existence,
        record=from_json(Entity(row["entity"]), loads(row["record"])) if there else None,
        readable=row["error"] is None,
        plan=plans.get(row["snapshot"]),
    )
