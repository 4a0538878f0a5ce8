"""The state held against its audit log: every change of a row has its event, and the row is what its last event says.

What no event covers is not proved, whatever stands in it: cursors, closings, cached comparisons, leases, control
balances, the times and answers of single sends, and what is quiet. Rows are streamed; what is held in memory is one
entry for each read of an entity, and what people decided.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from tieout.evidence.chain import Finding
from tieout.model import from_micros, micros
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.review.decisions import ACTIONS
from tieout.sync.review.differences import CHANGED, CLOSED, DECIDED, OPENED, REOPENED, shown_hash
from tieout.sync.state.seen import observed_as
from tieout.sync.store import Store, batched, loads

_A = schema.audit_event
_TOGETHER = 500
_PLAN_STATES = {
    "planned": "draft",
    "approved": "approved",
    "rejected": "rejected",
    "superseded": "superseded",
    "outdated": "superseded",
    "applied": "applied",
}
_SIGNED = "role", "figure", "figure_hash", "note"
_PROMISED = "currency", "pays_on", "said_on", "note"
_INTENT_STATES = {"intended": "sending", "sent_again": "sending", "searched": "unknown"}


def unlike(store: Store) -> Iterator[Finding]:
    """Rows that are not what the log says of them, events whose rows are gone, and rows that no event speaks of.

    The last have `first` = -1: the log has lost their events, or never had them.
    """
    for check in (_runs, _plans, _intents, _discrepancies, _by_people, _bases, _links, _reads, _payloads):
        try:
            yield from check(store)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            # An altered event or row need not even be readable.
            name = check.__name__.strip("_").replace("_", " ")
            yield Finding("rows", name, f"{name}: an event or a row cannot be read ({type(error).__name__})")


def _finding(table: str, id: str, says: str, *, lost: bool = False) -> Finding:
    return Finding("rows", f"{table} {id}", f"{table} {id}: {says}", -1 if lost else 0)


def _last(kind: str, *actions: str) -> sa.Subquery:
    """The last event of each object of a kind, of those actions; of any, where none is named."""
    where = [_A.c.object_type == kind, *([_A.c.action.in_(actions)] if actions else [])]
    newest = sa.select(sa.func.max(_A.c.seq).label("seq")).where(*where).group_by(_A.c.object_id).subquery()
    columns = _A.c.object_id, _A.c.action, _A.c.at, _A.c.run, _A.c.payload
    return sa.select(*columns).join(newest, newest.c.seq == _A.c.seq).subquery()


def _beside(store: Store, table: sa.Table, events: sa.Subquery, id: sa.ColumnElement[str]) -> Iterator[Any]:
    """Each row of a table with its event: `action`, `told_at`, `told_run`, `payload`, None where it has none."""
    named = {"action": "action", "at": "told_at", "run": "told_run", "payload": "payload"}
    told = [events.c[column].label(name) for column, name in named.items()]
    query = sa.select(table, *told).select_from(table.outerjoin(events, events.c.object_id == id))
    for row in store.stream(query):
        yield row._mapping  # noqa: SLF001  a row's own mapping


def _gone(store: Store, table: sa.Table, events: sa.Subquery, id: sa.ColumnElement[str]) -> Iterator[str]:
    """Objects that events speak of and that are not in the table."""
    query = sa.select(events.c.object_id).select_from(events.outerjoin(table, events.c.object_id == id))
    for row in store.stream(query.where(next(iter(table.primary_key)).is_(None))):
        yield row.object_id


# ── runs, plans, writes ──────────────────────────────────────────────────────────────────────────────────────────────


def _runs(store: Store) -> Iterator[Finding]:
    r = schema.run
    started, was = _last("run", "started"), _renamed(store)
    for row in _beside(store, r, started, r.c.id):
        if row["action"] is None:
            yield _finding("run", row["id"], "no event says that it began", lost=True)
            continue
        told = loads(row["payload"])
        if told["mode"] != row["mode"] or told.get("config", row["config_hash"]) != row["config_hash"]:
            yield _finding("run", row["id"], "its mode or configuration is not the one of its first event")
        known = _now(told["pair"], was), row["told_at"], told.get("version", row["version"])
        if known != (row["pair"], row["started_at"], row["version"]):
            yield _finding("run", row["id"], "its pair, start or version is not the one of its first event")
    for id in _gone(store, r, started, r.c.id):
        yield _finding("run", id, "the row is gone")
    for row in _beside(store, r, _last("run", "ended", "crashed"), r.c.id):
        if row["action"] is None:
            if row["status"] != "running":
                yield _finding("run", row["id"], f"no event says that it is {row['status']}", lost=True)
            continue
        told = loads(row["payload"])
        status = "crashed" if row["action"] == "crashed" else told["status"]
        if row["status"] != status:
            yield _finding("run", row["id"], f"it ended as {status}, and is {row['status']}")
        elif row["finished_at"] != row["told_at"]:
            yield _finding("run", row["id"], "it did not end when its last event says")
        elif "report" in told:
            yield from _report(row, told["report"])


def _report(row: Mapping[str, Any], told: str) -> Iterator[Finding]:
    if row["report"] is None or digest(row["report"]) != told:
        yield _finding("run", row["id"], "its report is not the one that its last event covers")
    elif row["abort_reason"] != ("; ".join(loads(row["report"])["failures"]) or None):
        yield _finding("run", row["id"], "what went wrong in it is not what its report says")


def _plans(store: Store) -> Iterator[Finding]:
    p = schema.plan
    planned = _last("plan", "planned")
    whole = {}
    for row in _beside(store, p, planned, p.c.id):
        if row["action"] is None:
            yield _finding("plan", row["id"], "no event says that it was made", lost=True)
            continue
        told = loads(row["payload"])
        whole[row["id"]] = "body" in told  # else it is of a version that told of fewer changes
        if told["hash"] != row["hash"] or told.get("body", digest(row["body"])) != digest(row["body"]):
            yield _finding("plan", row["id"], "its operations are not the ones that its event covers")
        elif row["hash"] != digest({"config": row["config_hash"], "operations": loads(row["body"])["hashes"]}):
            yield _finding("plan", row["id"], "its hash is not that of its operations and configuration")
        elif (row["run"], row["created_at"]) != (row["told_run"], row["told_at"]):
            yield _finding("plan", row["id"], "it was made in another run than its event says")
    for id in _gone(store, p, planned, p.c.id):
        yield _finding("plan", id, "the row is gone")
    approved = _approvals(store)
    for row in _beside(store, p, _last("plan"), p.c.id):
        given = {(a["by"], a["at"], tuple(a["guards"])) for a in loads(row["approvals"])}
        if given - approved.get(row["id"], set()):
            yield _finding("plan", row["id"], "no event says who approved it", lost=True)
        if row["action"] is None or not whole.get(row["id"]):
            continue
        state = _PLAN_STATES.get(row["action"]) or ("approved" if given else "draft")
        if row["status"] != state:
            yield _finding("plan", row["id"], f"it is {row['status']}, and {state} by its last event", lost=True)


def _approvals(store: Store) -> dict[str, set[tuple[str, str, tuple[str, ...]]]]:
    found: dict[str, set[tuple[str, str, tuple[str, ...]]]] = {}
    for event in store.stream(sa.select(_A).where(_A.c.object_type == "plan", _A.c.action == "approved")):
        guards = tuple(loads(event.payload).get("guards", ()))
        found.setdefault(event.object_id, set()).add((event.actor, event.at, guards))
    return found


def _intents(store: Store) -> Iterator[Finding]:
    i = schema.intent
    intended = _last("intent", "intended")
    for row in _beside(store, i, intended, i.c.id):
        if row["action"] is None:
            yield _finding("intent", row["id"], "no event says that it was wanted", lost=True)
            continue
        told = loads(row["payload"])
        known = told.get("request_hash", row["request_hash"]), told.get("operation", digest(row["operation"]))
        found = digest([row["request"], row["op"]]), digest(row["operation"])
        if (told["key"], told["op"], *known) != (row["key"], row["op"], *found) or row["request_hash"] != found[0]:
            yield _finding("intent", row["id"], "what was to be written is not what its event covers")
        elif told.get("plan", row["plan"]) != row["plan"]:
            yield _finding("intent", row["id"], "it stands in another plan than its event says")
        elif _moves(row) != _moves_by(loads(row["operation"])):
            yield _finding("intent", row["id"], "it moves something else than its operation says")
    for id in _gone(store, i, intended, i.c.id):
        yield _finding("intent", id, "the row is gone")
    for row in _beside(store, i, _last("intent"), i.c.id):
        if row["action"] is None:
            continue
        state = _INTENT_STATES.get(row["action"], row["action"])
        told = loads(row["payload"])
        if row["state"] != state:
            yield _finding("intent", row["id"], f"it is {row['state']}, and {state} by its last event", lost=True)
        elif told.get("native_id", row["native_id"]) != row["native_id"]:
            yield _finding("intent", row["id"], "it stands for another record than its last event says")


def _moves(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["connection"], row["currency"], row["delta_micros"]


def _moves_by(operation: Mapping[str, Any]) -> tuple[Any, ...]:
    return operation["connection"], operation["currency"], micros(Decimal(operation["delta"]))


# ── differences, and what people said ────────────────────────────────────────────────────────────────────────────────


def _discrepancies(store: Store) -> Iterator[Finding]:
    d = schema.discrepancy
    was = _renamed(store)
    query = sa.select(_A).where(schema.ABOUT_DIFFERENCES).order_by(_A.c.object_id, _A.c.seq)
    by_id = ((id, list(events)) for id, events in groupby(store.stream(query), key=lambda e: e.object_id))
    for some in batched(by_id, _TOGETHER):
        rows: dict[str, list[Any]] = {}
        for row in store.rows(sa.select(d).where(d.c.id.in_([id for id, _ in some]))):
            rows.setdefault(row["id"], []).append(row)
        for id, events in some:
            if id not in rows:
                yield _finding("discrepancy", id, "the row is gone")
            for row in rows.get(id, ()):
                yield from _discrepancy(row, [(e.action, loads(e.payload)) for e in events], was)
    known = sa.select(_A.c.object_id).where(schema.ABOUT_DIFFERENCES, _A.c.action == OPENED).distinct().subquery()
    lost = sa.select(d.c.id).select_from(d.outerjoin(known, known.c.object_id == d.c.id))
    for row in store.stream(lost.where(known.c.object_id.is_(None))):
        yield _finding("discrepancy", row.id, "no event says that it was found", lost=True)


def _discrepancy(row: Any, events: list[tuple[str, Any]], was: Mapping[str, str]) -> Iterator[Finding]:
    state = None
    values: dict[str, Any] = {}  # what the last event that names them says, each
    answer: dict[str, Any] = {"owner": None, "reason": None}
    accepted: dict[str, Any] = {}
    for action, told in events:
        if _now(told.get("pair", row["pair"]), was) != row["pair"]:
            continue
        if action == DECIDED:
            state = ACTIONS.get(told["action"], state)
            accepted = told if told["action"] == "accept" else accepted
            answer |= {"owner": told["owner"]} if told.get("owner") is not None else {}
            answer |= {"reason": told["reason"]} if told["reason"] else {}
        else:
            state = {OPENED: "open", REOPENED: "open", CLOSED: "closed", CHANGED: state}[action]
            values |= {k: told[k] for k in ("code", "values", "currency", "left", "right", "shown") if k in told}
            values |= {"delta": Decimal(told["delta"])} if "delta" in told else {}
    if state is None:
        yield _finding("discrepancy", row["id"], "no event says that it was found", lost=True)
    elif row["state"] != state:
        says = f"it is {row['state']}, and {state} by its last event"
        yield _finding("discrepancy", row["id"], says, lost=True)
    elif any(shown != values.get(name, shown) for name, shown in _shown(row)) or _shown_otherwise(row):
        yield _finding("discrepancy", row["id"], "its values are not the ones that its last event says", lost=True)
    elif answer != {k: row[k] for k in answer}:
        yield _finding("discrepancy", row["id"], "its owner or reason is not the one of its last decision", lost=True)
    elif state == "accepted" and (row["accepted_hash"], row["accepted_until"]) != (
        accepted.get("values", row["accepted_hash"]),
        accepted.get("until", row["accepted_until"]),
    ):
        yield _finding("discrepancy", row["id"], "it was accepted otherwise: of other values, or until another day")


def _shown_otherwise(row: Any) -> bool:
    """Whether a column is not what the body has that people are shown."""
    body = loads(row["body"])
    return any(row[name] != body[name] for name in ("class", "severity"))


def _shown(row: Any) -> Iterator[tuple[str, Any]]:
    """What a row says of the difference, in its columns and in the body that people are shown; named as events do."""
    body = loads(row["body"])
    yield "values", row["values_hash"]
    yield "shown", shown_hash(row["body"])
    for name, column in (("code", "code"), ("currency", "currency")):
        yield name, row[column]
        yield name, body[column] or ""
    yield "left", body["left_value"]
    yield "right", body["right_value"]
    yield "delta", from_micros(row["delta_micros"])
    yield "delta", Decimal(body["delta"])


def _renamed(store: Store) -> dict[str, str]:
    """{a name that a pair had: the name that came after it}."""
    where = _A.c.object_type == "pair", _A.c.action == "renamed"
    rows = store.rows(sa.select(_A.c.object_id, _A.c.payload).where(*where).order_by(_A.c.seq))
    return {loads(r["payload"])["was"]: r["object_id"] for r in rows}


def _now(pair: str, was: Mapping[str, str]) -> str:
    seen = set()
    while pair in was and pair not in seen:
        seen.add(pair)
        pair = was[pair]
    return pair


def _by_people(store: Store) -> Iterator[Finding]:
    """Decisions, sign-offs and promises: each row has its event, each event its row."""
    d, s, p = schema.decision, schema.sign_off, schema.promise
    told: dict[str, set[tuple[str, ...]]] = {
        "decision": {
            (r["discrepancy"], r["at"], r["actor"], r["action"], r["reason"], r["values_hash"])
            for r in store.rows(sa.select(d))
        },
        "sign_off": {
            (f"{r['pair']}/{r['as_of']}/{r['step']}", r["at"], r["by"], *(r[k] for k in _SIGNED))
            for r in store.rows(sa.select(s))
        },
        "promise": {
            (f"{r['connection']}:{r['invoice']}", r["at"], r["by"], str(r["amount_micros"]), *(r[k] for k in _PROMISED))
            for r in store.rows(sa.select(p))
        },
    }
    keys = {
        "decision": ("discrepancy", DECIDED, ("action", "reason", "values")),
        "sign_off": ("close_step", "signed_off", _SIGNED),
        "promise": ("invoice", "promised", ("amount_micros", *_PROMISED)),
    }
    for table, (kind, action, names) in keys.items():
        events = set()
        for e in store.stream(sa.select(_A).where(_A.c.object_type == kind, _A.c.action == action)):
            payload = loads(e.payload)
            events.add((e.object_id, e.at, e.actor.strip(), *(str(payload[n]) for n in names)))
        rows = {(id, at, by.strip(), *more) for id, at, by, *more in told[table]}
        for id, *_ in sorted(rows - events):
            yield _finding(table, id, "no event says it", lost=True)
        for id, *_ in sorted(events - rows):
            yield _finding(table, id, "the row is gone")


# ── what was agreed, what is linked ──────────────────────────────────────────────────────────────────────────────────


def _bases(store: Store) -> Iterator[Finding]:
    b = schema.base
    id = b.c.pair + "/" + b.c.subject + "/" + b.c.connection
    events = _last("base", "agreed", "stands_again")
    moved = {
        r["object_id"]: loads(r["payload"])["from"]
        for r in store.rows(sa.select(_A).where(_A.c.object_type == "base", _A.c.action == "moved"))
    }
    was = {now: before for before, now in _renamed(store).items()}
    for row in _beside(store, b, events, id):
        payload = row["payload"]
        if payload is None:
            payload = _agreed(store, f"{row['pair']}/{row['subject']}/{row['connection']}", moved, was)
        name = f"{row['subject']} at {row['connection']}"
        if payload is None:
            yield _finding("base", name, "no event says that it was agreed on", lost=True)
        elif loads(payload)["facts"] != hashlib.sha256(row["facts"].encode()).hexdigest():
            yield _finding("base", name, "it is not what was agreed on last", lost=True)
        elif "unsure" in (told := loads(payload)) and canonical(told["unsure"]) != row["unsure"]:
            yield _finding("base", name, "what of it nobody was sure of is not what its event says", lost=True)
    given_up = set(moved.values())
    for gone in _gone(store, b, events, id):
        pair, subject, connection = gone.split("/", 2)
        if gone not in given_up and pair not in was.values() and not _unlinked(store, subject, connection):
            yield _finding("base", f"{subject} at {connection}", "the row is gone")


def _agreed(store: Store, id: str, moved: Mapping[str, str], was: Mapping[str, str]) -> str | None:
    """The last event of a base that stands under another name by now: of a subject, or of a pair."""
    seen = set()
    names = [id]
    while names:
        one = names.pop()
        if one in seen:
            continue
        seen.add(one)
        where = _A.c.object_type == "base", _A.c.object_id == one, _A.c.action.in_(("agreed", "stands_again"))
        found = store.rows(sa.select(_A.c.payload).where(*where).order_by(_A.c.seq.desc()).limit(1))
        if found:
            return str(found[0]["payload"])
        pair, rest = one.split("/", 1)
        names += [n for n in (moved.get(one), f"{was[pair]}/{rest}" if pair in was else None) if n]
    return None


def _unlinked(store: Store, subject: str, connection: str) -> bool:
    where = _A.c.object_type == "subject", _A.c.object_id == subject, _A.c.action == "unlinked"
    return any(
        loads(r["payload"])["connection"] == connection for r in store.rows(sa.select(_A.c.payload).where(*where))
    )


def _links(store: Store) -> Iterator[Finding]:
    """Every reference that is not simply the first sight of a record was linked, and to that record."""
    x = schema.xref
    linked = sa.and_(_A.c.object_type == "subject", _A.c.object_id == x.c.subject, _A.c.action == "linked")
    query = sa.select(x.c.id, x.c.subject, x.c.native_id, x.c.connection, _A.c.payload)
    query = query.select_from(x.outerjoin(_A, linked)).where(schema.ACTIVE, x.c.matched_by != "first sight")
    for _, rows in groupby(store.stream(query.order_by(x.c.id)), key=lambda r: r.id):
        some = list(rows)
        row = some[0]
        told = [loads(r.payload) for r in some if r.payload is not None]
        name = f"{row.connection} {row.native_id}"
        if not told:
            yield _finding("xref", name, "no event says that it was linked", lost=True)
        elif not _mentions(store, told, row.native_id, {row.subject}):
            yield _finding("xref", name, "it was linked to another record", lost=True)


def _mentions(store: Store, told: list[Any], id: str, seen: set[str]) -> bool:
    if any(id in (t.get("left"), t.get("right"), t.get("native_id"), t.get("real"), t.get("stated")) for t in told):
        return True
    for retired in {t["retired"] for t in told if t.get("retired")} - seen:
        seen.add(retired)
        where = _A.c.object_type == "subject", _A.c.object_id == retired, _A.c.action == "linked"
        before = [loads(r["payload"]) for r in store.rows(sa.select(_A.c.payload).where(*where))]
        first = store.rows(
            sa.select(schema.subject.c.id).where(schema.subject.c.id == retired, schema.subject.c.origin_id == id)
        )
        if first or _mentions(store, before, id, seen):
            return True
    return False


# ── what was read ────────────────────────────────────────────────────────────────────────────────────────────────────


def count_of(told: Mapping[str, Any]) -> int:
    """How many records a read brought, by its event. One of before counted an unreadable record with a name twice."""
    count: int = told["rows"] + (told["nameless"] if "nameless" in told else told["rejected"])
    return count


def _reads(store: Store) -> Iterator[Finding]:
    s = schema.snapshot
    fetched = _last("snapshot", "fetched")
    covered: dict[str, str | None] = {}
    for row in _beside(store, s, fetched, s.c.id):
        if row["action"] is None:
            yield _finding("snapshot", row["id"], "no event says that it was read", lost=True)
            continue
        told = loads(row["payload"])
        known = told["connection"], told["entity"], count_of(told)
        if known != (row["connection"], row["entity"], row["rows"]):
            yield _finding("snapshot", row["id"], "it is not what its event says")
        covered[row["id"]] = told.get("observed")
    for id in _gone(store, s, fetched, s.c.id):
        yield _finding("snapshot", id, "the row is gone")
    yield from _observed(store, covered)
    yield from _current(store)


def _observed(store: Store, covered: dict[str, str | None]) -> Iterator[Finding]:
    """What each read brought, held against the digest in its event; reads of one transaction stand together."""
    o = schema.observation
    nothing = digest([])
    single: dict[str, set[str]] = {}  # by write or run: what was read of single records
    where = _A.c.action.in_(("done", "read_again"))
    for event in store.stream(sa.select(_A.c.object_id, _A.c.run, _A.c.action, _A.c.payload).where(where)):
        told = loads(event.payload).get("observed")
        if told is not None:
            single.setdefault(event.object_id if event.action == "done" else event.run, set()).add(told)
    unseen = {(id, told) for id, told in covered.items() if told not in (None, nothing)}
    unseen |= {(id, told) for id, some in single.items() for told in some if told != nothing}
    query = sa.select(o.c.snapshot, o.c.native_id, o.c.existence, o.c.raw_hash, o.c.record).order_by(o.c.seq)
    for snapshot, rows in groupby(store.stream(query), key=lambda r: r.snapshot):
        told = [observed_as(r._mapping) for r in rows]  # noqa: SLF001  a row's own mapping
        found = {digest(told)} if snapshot in covered else {digest([one]) for one in told}
        unseen -= {(snapshot, one) for one in found}
        if snapshot in covered:
            known = covered[snapshot] is None or found == {covered[snapshot]}
        elif snapshot in single:
            known = found <= single[snapshot]
        else:
            known = _known(store, snapshot)
        if not known:
            yield _finding("observation", f"of {snapshot}", "what was read is not what its event covers", lost=True)
    for snapshot, _ in sorted(unseen):
        yield _finding("observation", f"of {snapshot}", "what was read then is gone")


def _known(store: Store, snapshot: str) -> bool:
    """Whether an event of an earlier version, which did not cover what was read, speaks of the read."""
    where = _A.c.object_id == snapshot, _A.c.action.in_(("done", "fetched", "started"))
    return bool(store.rows(sa.select(_A.c.seq).where(*where).limit(1)))


def _current(store: Store) -> Iterator[Finding]:
    """What a record is now is what was read of it last."""
    n, o = schema.seen, schema.observation
    key = o.c.connection, o.c.entity, o.c.native_id
    newest = sa.select(sa.func.max(o.c.seq).label("seq")).group_by(*key).subquery()
    last = sa.select(o).join(newest, newest.c.seq == o.c.seq).subquery()
    same = sa.and_(*(last.c[c.name] == n.c[c.name] for c in key))
    names = ("existence", "record", "raw_hash")
    query = sa.select(
        n.c.connection,
        n.c.native_id,
        last.c.seq,
        *(n.c[k] for k in names),
        *(last.c[k].label(f"last_{k}") for k in names),
    ).select_from(n.outerjoin(last, same))
    for row in store.stream(query):
        now = row._mapping  # noqa: SLF001  a row's own mapping
        if row.seq is None or any(now[k] != now[f"last_{k}"] for k in names):
            name = f"{row.connection} {row.native_id}"
            yield _finding("seen", name, "it is not what was read of it last", lost=row.seq is None)
    left = sa.select(last.c.connection, last.c.native_id).select_from(last.outerjoin(n, same))
    for row in store.stream(left.where(n.c.native_id.is_(None))):
        yield _finding("seen", f"{row.connection} {row.native_id}", "the row is gone")


def _payloads(store: Store) -> Iterator[Finding]:
    """Every payload is what its hash says, and none that an observation names is gone."""
    b, o = schema.blob, schema.observation
    for row in store.stream(sa.select(b.c.hash, b.c.body)):
        try:
            whole = _hash_of(row.body) == row.hash
        except zlib.error:
            whole = False
        if not whole:
            yield _finding("blob", row.hash[:16], "it is not what its hash says")
    query = sa.select(o.c.raw_hash).distinct().select_from(o.outerjoin(b, b.c.hash == o.c.raw_hash))
    for row in store.stream(query.where(b.c.hash.is_(None), o.c.raw_hash.is_not(None))):
        yield _finding("blob", row.raw_hash[:16], "the payload is gone")


def _hash_of(packed: bytes) -> str:
    """The hash of what is packed, which is never unpacked as a whole: somebody may have put a bomb in its place."""
    hash_, box = hashlib.sha256(), zlib.decompressobj()
    while packed and not box.eof:
        hash_.update(box.decompress(packed, 1 << 20))
        packed = box.unconsumed_tail
    return hash_.hexdigest() if box.eof else ""
