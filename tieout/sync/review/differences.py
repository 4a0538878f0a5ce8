"""The lasting list of differences: what the comparison finds, with what the sync knows of its cause.

A discrepancy keeps its id as long as it lasts, with first and last seen. A decision holds until a side changes: an
accepted difference opens again when its values do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.compare import Discrepancy
from tieout.compare.codes import OF_ONE, of
from tieout.errors import RecordError
from tieout.model import ZERO, Entity, from_micros, micros
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, canonical, digest
from tieout.sync.core.operations import A_PERSON_LOOKS, Finding, shown
from tieout.sync.core.taken import EDITED
from tieout.sync.guard import Trip
from tieout.sync.store import Store, Tx, batched, loads

# What is said beside another code of the same document, and never instead of it.
_BESIDE = frozenset({"RESURRECTED", "WRITE_ALTERED", "WRITE_DROPPED_FIELD", "STALE_VERSION", "UNCERTAIN_WRITE"})
_TAKEN_OTHERWISE = ("WRITE_ALTERED", "WRITE_DROPPED_FIELD")
_GONE = ("DELETED_VS_OPEN", "VOID_VS_DELETED")
# How the causes begin for which a record waits until a person says that it is not on the other side.
UNKNOWN_MARK, NEVER_READ = "unknown_mark", "never_read"
# Documents of which the comparison says that they could be one: they wait until a person tells them apart.
_SEVERAL = frozenset({"AMBIGUOUS_MATCH", "SPLIT_OR_MERGED"})
COULD_BE_ONE = _SEVERAL | {"DUPLICATE_WITHIN_LEDGER", "PAYMENT_DUPLICATED"}
# Fields that the comparison does not look at, or not always: where it is silent, each is a difference of its own.
_BY_THEMSELVES: Mapping[Entity, frozenset[str]] = {
    Entity.CUSTOMER: frozenset({"phone", "terms", "parent", "active"}),
    Entity.INVOICE: frozenset({"po_number", "memo"}),
    Entity.CREDIT_MEMO: frozenset({"memo"}),
    Entity.PAYMENT: frozenset({"method", "memo"}),
}
APART = "if each is a document of its own, decide `release`: the sync may carry it over then"
OPEN_STATES = ("open", "acknowledged", "accepted")
# A whole book, or a kind of record in it, is not taken as it was read.
IN_DOUBT = frozenset({"STALE_SNAPSHOT", "TRUNCATED_EXTRACT", "FALSE_DELETE_SUSPECTED"})
_SEEN = 12  # digits of what tells whether a difference is still what somebody looked at
OPENED, REOPENED, CHANGED, CLOSED, DECIDED = "opened", "re-opened", "changed", "closed", "decided"
THERE_AGAIN = "it is there again"


@dataclass(frozen=True, slots=True)
class Changes:
    """How a run moved the list: newly opened or re-opened, open now, closed."""

    opened: int
    open: int
    closed: int

    def as_json(self) -> dict[str, int]:
        return {"opened": self.opened, "open": self.open, "closed": self.closed}


# Where a subject's record is: per side its native id there and what people call it.
Places = Mapping[Which, tuple[str, str]]


def explain(
    found: Iterable[Discrepancy],
    findings: Iterable[Finding],
    subjects: Callable[[Discrepancy], set[str]],
    places: Callable[[Finding], Places],
) -> list[Discrepancy]:
    """The comparison's discrepancies with the sync's causes, and the findings that it cannot see as their own.

    subjects: the subjects that a discrepancy is about · places: where the record of a finding is
    """
    concerning = [(d, sorted(subjects(d))) for d in found]
    named = {(subject, d.field) for d, about in concerning for subject in about}
    by_subject: dict[str, list[Finding]] = {}
    out: list[Discrepancy] = []
    for finding in findings:
        if _by_itself(finding) and (finding.subject, finding.field) not in named:
            out.append(_own(finding, places(finding)))
        else:
            by_subject.setdefault(finding.subject, []).append(finding)
    used: set[str] = set()
    for d, about in concerning:
        if d.code in OF_ONE:
            out.append(replace(d, links=tuple(about)))
            continue
        known = [f for s in about for f in by_subject.get(s, ()) if f.cause]
        used.update(s for s in about if s in by_subject)
        causes = dict.fromkeys(f.cause for f in known if f.cause not in d.cause)
        if causes:
            remedy = next((f.remedy for f in known if f.remedy), d.remedy)
            if remedy.startswith(A_PERSON_LOOKS) and d.code != "UNCERTAIN_WRITE" and d.remedy:
                remedy = f"{remedy}; or {d.remedy}"
            d = replace(d, cause="; ".join([*causes, d.cause]) if d.cause else "; ".join(causes), remedy=remedy)
        gone = next((f for f in known if f.code in _GONE and f.side is not None), None)
        if gone is not None and None not in (d.left, d.right) and d.left_label == d.right_label:
            d = _reused(d, gone, [f.cause for f in known if f is not gone])
        if d.code in COULD_BE_ONE and not known and (d.code in _SEVERAL or None in (d.left, d.right)):
            d = replace(d, remedy=f"{d.remedy}; {APART}")
        more = {f.code for f in known if f.code in _BESIDE} - {d.code, *d.secondary}
        if more:
            d = replace(d, secondary=(*d.secondary, *sorted(more)))
        out.append(replace(d, links=tuple(about)))
    for subject, rest in by_subject.items():
        if subject not in used:
            # A rule of scope explains what the comparison misses; where it misses nothing, the rule is no difference.
            out.extend(_own(f, places(f)) for f in rest if f.cause and f.code != "OUT_OF_SCOPE")
    return out


def _reused(d: Discrepancy, gone: Finding, besides: Sequence[str]) -> Discrepancy:
    """The difference of two documents of one number, of which one is the copy of a document that was deleted.

    besides: what else is known of the two
    """
    new, old = (d.left, d.right) if gone.side == LEFT else (d.right, d.left)
    kind = d.kind.replace("_", " ")
    void = ", void" if gone.code == "VOID_VS_DELETED" else ""
    cause = f"number_reused: {d.left_label} was deleted, and {new} is another {kind} there with its number"
    cause = f"{cause}; the other ledger still has the copy of the deleted one ({old}{void})"
    remedy = f"find out why it was deleted; give {new} another number" + ("" if void else f", or void {old}")
    return replace(d, cause="; ".join([cause, *besides]), remedy=f"{remedy}: then {new} is carried over")


def _by_itself(f: Finding) -> bool:
    return f.code in ("", *_TAKEN_OTHERWISE) and f.field in _BY_THEMSELVES.get(f.entity, ())


def as_altered(store: Store, connections: Sequence[str], pair: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with those named of which what tieout wrote is the cause, and no person.

    That is what the target took otherwise than it was last sent, and what landed after it was taken for lost.
    connections: of the left and of the right
    """
    i = schema.intent
    asked = {f.subject for f in findings if not f.code and f.field and f.cause.startswith(_ASKED)}
    last: dict[str, dict[str, Any]] = {}
    lost: dict[str, list[dict[str, Any]]] = {}
    ended = sa.or_(i.c.state == "done", sa.and_(i.c.state == "stale", i.c.error_class == "not_applied"))
    for some in batched(sorted(asked), 500):
        where = i.c.connection.in_(connections), i.c.subject.in_(some), i.c.pair == pair, ended
        for row in store.rows(sa.select(i).where(*where).order_by(i.c.updated_at)):
            if row["state"] == "done":
                last[row["subject"]] = row
            else:
                lost.setdefault(row["subject"], []).append(row)
    found = (_landed(f, lost.get(f.subject, ()), connections[0]) for f in findings)
    return [_altered(f, last[f.subject]) if f.subject in last else f for f in found]


_STANDING, _BY_A_PERSON = "standing", ("non_owner", "conflict")
_ASKED = (_STANDING, *_BY_A_PERSON)


def _altered(f: Finding, intent: Mapping[str, Any]) -> Finding:
    code = intent["error_class"]
    known = code in _TAKEN_OTHERWISE and f"{f.field}: sent " in intent["last_error"]
    return replace(f, code=code) if known and not f.code and f.cause.startswith(_STANDING) else f


def _landed(f: Finding, lost: Sequence[Mapping[str, Any]], left: str) -> Finding:
    """lost: writes of the subject that were read back as not carried out, and not waited for any longer"""
    if f.code or not f.cause.startswith(_BY_A_PERSON):
        return f
    for intent in lost:
        sent = [c["after"] for c in loads(intent["operation"])["fields"] if c["name"] == f.field]
        if sent and shown(sent[0]) == (f.left_value if intent["connection"] == left else f.right_value):
            at = f"what tieout sent to {intent['connection']} at {intent['first_sent_at']}, and took for lost"
            return replace(f, code="WRITE_ALTERED", cause=f"landed_late: it holds {at}; {f.cause}")
    return f


def _own(f: Finding, places: Places) -> Discrepancy:
    """A finding that the comparison does not show: a field that it does not look at, or a refused write.

    Its id and its values are those of the subject: what people call the record may change beside them.
    """
    code = f.code or ("CUSTOMER_FIELD_DIFF" if f.entity is Entity.CUSTOMER else _code_of(f))
    class_, severity = of(code).class_, of(code).severity
    if len(places) != 1:
        # Both have it: it differs, or a change of it waits. What one of them lacks is as grave as its code.
        severity = "medium" if f.holds or f.refused else "low"
    (left, left_label), (right, right_label) = (places.get(which, (None, None)) for which in (LEFT, RIGHT))
    return Discrepancy(
        id=id_of(code, f.subject, f.field),
        code=code,
        secondary=(),
        # Were a total of receivables moved, the comparison would list it.
        class_="N" if class_ == "T" else class_,
        severity=severity,
        kind=f.entity.value,
        left=left,
        right=right,
        left_label=left_label,
        right_label=right_label,
        field=f.field or None,
        left_value=f.left_value or None,
        right_value=f.right_value or None,
        delta=ZERO,
        currency=None,
        cause=f.cause,
        remedy=f.remedy,
        confirmed=True,
        links=(f.subject,),
    )


def _code_of(f: Finding) -> str:
    if f.field == "lines":
        return "LINE_STRUCTURE"
    if f.cause.startswith(("non_owner", "conflict", EDITED)):
        return "UNAUTHORISED_EDIT_AFTER_POST"
    return "STATUS_MISMATCH"


def unreadable(
    connection: str,
    which: Which,
    errors: Sequence[RecordError],
    label: Callable[[RecordError], str | None] = lambda e: e.ref,
) -> list[Discrepancy]:
    """One discrepancy for each record that could not be read, on the side where it is kept.

    label: what people call it; None where nothing is known of it but the connection that it is in
    """
    left = which == LEFT
    kinds: dict[str, set[str]] = {}
    made: dict[str, RecordError] = {}
    for e in errors:
        # The same record in another export, at another row, is the same difference.
        id = id_of("PARSE_REJECT", connection, connection if e.ref else e.source, e.path, e.ref or e.value)
        made.setdefault(id, e)
        kinds.setdefault(id, set()).add(e.entity)
    return [
        Discrepancy(
            id=id,
            code="PARSE_REJECT",
            secondary=(),
            class_="N",
            severity="high",
            # A row that may be of several kinds stands under each of them, and is one row.
            kind=(len(kinds[id]) == 1 and e.entity) or "record",
            left=e.ref if left else None,
            right=None if left else e.ref,
            left_label=(label(e) or connection) if left else None,
            right_label=None if left else (label(e) or connection),
            field=e.path,
            left_value=e.value if left else None,
            right_value=None if left else e.value,
            delta=ZERO,
            currency=None,
            cause=f"bad_record: {e.source}, {e.path}: {e.reason}",
            remedy="mend the record where it is kept; until then nothing is written to it, and it is not taken as gone",
            confirmed=True,
        )
        for id, e in made.items()
    ]


def held_by_guards(trips: Iterable[Trip]) -> list[Discrepancy]:
    """One discrepancy for each guard that holds operations."""
    return [
        Discrepancy(
            id=id_of("MASS_CHANGE_GUARD", t.name),
            code="MASS_CHANGE_GUARD",
            secondary=(),
            class_="N",
            severity="high",
            kind="plan",
            left=None,
            right=None,
            left_label=None,
            right_label=None,
            field=t.name,
            left_value=str(len(t.keys)),
            right_value=None,
            delta=ZERO,
            currency=None,
            cause=f"{t.name}: {t.message}",
            remedy=f"look at the plan; lift it with: tieout plan approve ID --accept-guard {t.name}",
            confirmed=True,
        )
        for t in trips
    ]


def noted(code: str, about: str, *, which: Which, kind: str, field: str, value: str | None, cause: str) -> Discrepancy:
    """One discrepancy about a connection, or a kind of its records, that only a run can know.

    about: the connection, or connection/entity, which makes its id
    """
    entry, left = of(code), which == LEFT
    return Discrepancy(
        id=id_of(code, about, field),
        code=code,
        secondary=(),
        class_=entry.class_,
        severity=entry.severity,
        kind=kind,
        left=about if left else None,
        right=None if left else about,
        left_label=about if left else None,
        right_label=None if left else about,
        field=field,
        left_value=value if left else None,
        right_value=None if left else value,
        delta=ZERO,
        currency=None,
        cause=cause,
        remedy=entry.remedy,
        confirmed=entry.confirmed,
    )


def id_of(*parts: str) -> str:
    """The id of a discrepancy: from what it is about, and nothing of the run."""
    return "d" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _values(d: Discrepancy) -> str:
    says = d.left_value, d.right_value
    if d.code == "PARSE_REJECT":
        # On whichever side it is listed, a decision on it holds.
        says = d.left_value if d.left_value is not None else d.right_value, None
    return digest([d.code, *says, str(d.delta), d.currency])


def _changed_sides(before: Mapping[str, Any], d: Discrepancy) -> bool:
    """Whether the same value was listed on the other side so far."""
    return d.code == "PARSE_REJECT" and loads(before["body"])["left_value"] != d.left_value


def _body(d: Discrepancy) -> dict[str, Any]:
    return d.as_json() | {
        "kind": d.kind,
        "left_label": d.left_label,
        "right_label": d.right_label,
        "confirmed": d.confirmed,
        "links": list(d.links),
    }


def shown_hash(body: str) -> str:
    """What an event holds of all that the row of a difference shows to people."""
    return hashlib.sha256(body.encode()).hexdigest()


def record(
    tx: Tx,
    pair: str,
    run: str,
    found: Sequence[Discrepancy],
    *,
    unseen: frozenset[str] = frozenset(),
    aged_before: str = "",
) -> Changes:
    """Bring the pair's list to what was found: open, re-open, carry on, close. Part of the caller's transaction.

    unseen: codes, and ids, that this run did not look for; what is listed under them stays as it is
    aged_before: differences of money that have stood since before this instant are marked as old
    """
    t = schema.discrepancy
    current: dict[str, Discrepancy] = {d.id: d for d in found}
    known = _known(tx, pair, current)
    opened = closed = still = 0
    returned = _returned(tx, pair, (id for id in current if id in known and known[id]["first_seen_at"] < aged_before))
    rows = []
    for d in current.values():
        before = known.get(d.id)
        values = _values(d)
        state, event, why = _next_state(before, values, tx.at)
        if before is not None and not event and _changed_sides(before, d):
            event = CHANGED
        opened += event in (OPENED, REOPENED)
        still += state != "accepted"
        row = _row(d, pair, run, tx.at, before=before, state=state, values=values)
        if state == "open" and lapsed(row, tx.at):
            d = replace(d, secondary=(*d.secondary, "EXPIRED_ACKNOWLEDGEMENT"))
        stands_since = tx.at if why == THERE_AGAIN else returned.get(d.id, row["first_seen_at"])
        if d.delta and state != "accepted" and stands_since < aged_before:
            d = replace(d, secondary=(*d.secondary, "AGED_RECON_ITEM"))
        body = canonical(_body(d))
        rows.append(row | {"body": body})
        if before is not None and not event and before["body"] != body:
            event, why = CHANGED, _otherwise(loads(before["body"]), loads(body))
        if event:
            tx.audit(event, "discrepancy", d.id, _told(d, pair, values, why, body))
    tx.put_all(t, rows)
    for id, row in known.items():
        if id not in current and row["state"] in OPEN_STATES and not unseen.isdisjoint((id, row["code"])):
            still += row["state"] != "accepted"
        elif id not in current and row["state"] in OPEN_STATES:
            tx.db.execute(
                t.update().where(t.c.id == id, t.c.pair == pair).values(state="closed", closed_at=tx.at, last_run=run)
            )
            moved = {"delta": str(from_micros(row["delta_micros"])), "currency": row["currency"]}
            about = _about(loads(row["body"]))
            tx.audit(CLOSED, "discrepancy", id, {"code": row["code"], "pair": pair, "about": about} | moved)
            closed += 1
    return Changes(opened, still, closed)


def _known(tx: Tx, pair: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is listed of a pair by id, as it was: all that is open, and of what is closed those with these ids."""
    t = schema.discrepancy
    rows = tx.all(sa.select(t).where(t.c.pair == pair, t.c.state.in_(OPEN_STATES)))
    for some in batched(ids, 500):
        rows += tx.all(sa.select(t).where(t.c.pair == pair, t.c.id.in_(some)))
    return {row["id"]: row for row in rows}


def _returned(tx: Tx, pair: str, ids: Iterable[str]) -> dict[str, str]:
    """When those of the discrepancies that had been closed were there again, the last time, by id."""
    a = schema.audit_event
    found: dict[str, str] = {}
    for some in batched(ids, 500):
        query = sa.select(a.c.object_id, a.c.at, a.c.payload).where(
            schema.ABOUT_DIFFERENCES, a.c.object_id.in_(some), a.c.action == REOPENED
        )
        for event in tx.all(query.order_by(a.c.seq)):
            told = loads(event["payload"])
            if told.get("pair") == pair and told.get("why") == THERE_AGAIN:
                found[event["object_id"]] = event["at"]
    return found


def _next_state(before: Mapping[str, Any] | None, values: str, now: str) -> tuple[str, str, str]:
    """The state a discrepancy has now, the event that brought it there and why ("" for no event)."""
    if before is None:
        return "open", OPENED, ""
    if before["state"] == "closed":
        return "open", REOPENED, THERE_AGAIN
    if before["state"] == "accepted" and before["accepted_hash"] != values:
        return "open", REOPENED, "a value changed since it was accepted"
    if before["state"] == "accepted" and lapsed(before, now):
        return "open", REOPENED, f"accepted until {before['accepted_until'][:16].replace('T', ' ')} UTC, which is over"
    return before["state"], CHANGED if before["values_hash"] != values else "", ""


def _otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What people are shown of a difference otherwise than before."""
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return f"told otherwise: {', '.join(names)}"


def _told(d: Discrepancy, pair: str, values: str, why: str, body: str) -> dict[str, Any]:
    """What an event says of its discrepancy: enough to tell later what was known on that day.

    shown: the hash of all that people are shown of it
    """
    told = {
        "code": d.code,
        "pair": pair,
        "delta": str(d.delta),
        "currency": d.currency or "",
        "left": d.left_value,
        "right": d.right_value,
        "values": values,
        "about": _about(loads(body)),
        "shown": shown_hash(body),
    }
    return told | ({"why": why} if why else {})


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    """Which records a difference is of: their ids, and the number of the document; a customer's name is not kept."""
    number = None if body["kind"] == "customer" else body["left_label"] or body["right_label"]
    return {"number": number} | {name: body[name] for name in ("kind", "left", "right", "field")}


def lapsed(row: Mapping[str, Any], now: str) -> bool:
    """Whether a difference was accepted until a moment that is over. now: as `stamp` writes it"""
    return row["accepted_until"] is not None and row["accepted_until"] < now


def _row(
    d: Discrepancy,
    pair: str,
    run: str,
    at: str,
    *,
    before: Mapping[str, Any] | None,
    state: str,
    values: str,
) -> dict[str, Any]:
    kept = before or {}
    over = state == "open" and kept.get("state") in ("accepted", "open") and lapsed(kept, at)
    return {
        "id": d.id,
        "pair": pair,
        "code": d.code,
        "class": d.class_,
        "severity": d.severity,
        "values_hash": values,
        "delta_micros": micros(d.delta),
        "currency": d.currency or "",
        "state": state,
        "owner": kept.get("owner"),
        "reason": kept.get("reason"),
        "accepted_hash": kept.get("accepted_hash") if state == "accepted" else None,
        # What lapsed keeps its day, until somebody decides it anew.
        "accepted_until": kept.get("accepted_until") if state == "accepted" or over else None,
        "first_seen_at": kept.get("first_seen_at", at),
        "last_seen_at": at,
        "first_run": kept.get("first_run", run),
        "last_run": run,
        "closed_at": None,
    }


def unanswered(tx: Tx, pair: str, subjects: Collection[str]) -> int:
    """How many of the subjects nobody has answered for: no discrepancy of theirs is acknowledged or accepted."""
    if not subjects:
        return 0
    t = schema.discrepancy
    rows = tx.all(sa.select(t.c.body).where(t.c.pair == pair, t.c.state.in_(("acknowledged", "accepted"))))
    answered = {link for row in rows for link in loads(row["body"])["links"]}
    return sum(1 for subject in subjects if subject not in answered)


def in_doubt(tx: Tx, pair: str) -> dict[str, str]:
    """Why a book, or a kind of record in it, is not taken as it was read, with the code, where nobody answered yet."""
    t = schema.discrepancy
    rows = tx.all(sa.select(t.c.code, t.c.body).where(t.c.pair == pair, t.c.state == "open", t.c.code.in_(IN_DOUBT)))
    return {loads(row["body"])["cause"]: row["code"] for row in rows}


def seen(difference: Mapping[str, Any], decided: int = 0) -> str:
    """What changes with a value of either side and with each decision; a letter first, as spreadsheets change numbers.

    decided: how often it was decided so far
    """
    values = f"v{difference['values_hash'].removeprefix('sha256:')[:_SEEN]}"
    return f"{values}-{decided}" if decided else values


_OF = schema.decision.c.pair, schema.decision.c.discrepancy
_DECIDED = sa.select(*_OF, sa.func.count()).group_by(*_OF)


def listed(store: Store, pair: str | None = None, *, states: Sequence[str] = OPEN_STATES) -> list[dict[str, Any]]:
    """The discrepancies in the given states, largest movement first, with their history."""
    t = schema.discrepancy
    query = sa.select(t).where(t.c.state.in_(states))
    if pair is not None:
        query = query.where(t.c.pair == pair)
    rows = store.rows(query)
    decided = {(of, id): n for of, id, n in store.stream(_DECIDED)}
    out = [
        loads(r["body"])
        | {
            k: r[k]
            for k in (
                "pair",
                "state",
                "owner",
                "reason",
                "accepted_until",
                "first_seen_at",
                "last_seen_at",
                "closed_at",
            )
        }
        | {"seen": seen(r, decided.get((r["pair"], r["id"]), 0))}
        for r in rows
    ]
    return sorted(out, key=lambda d: (-abs(Decimal(d["delta"])), d["code"], d["id"]))


def released(store: Store, pair: str) -> frozenset[str]:
    """The subjects that a person let go on."""
    return _let_go(store, pair)


def told_apart(store: Store, pair: str) -> frozenset[str]:
    """Those of them of which it was said that they are documents of their own, though they could be one with others."""
    return _let_go(store, pair, schema.discrepancy.c.code.in_(COULD_BE_ONE))


def _let_go(store: Store, pair: str, *where: sa.ColumnElement[bool]) -> frozenset[str]:
    t, d = schema.discrepancy, schema.decision
    same = sa.and_(d.c.discrepancy == t.c.id, d.c.pair == t.c.pair)
    query = sa.select(t.c.body).join(d, same).where(d.c.pair == pair, d.c.action == "release", *where)
    return frozenset(link for row in store.rows(query) for link in loads(row["body"])["links"])
