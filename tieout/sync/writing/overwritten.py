"""What was typed at a file ERP between the export that a plan was made from and the loading of the plan's file.

An import knows no versions: what it brings stands, whatever was there. What an export showed in between is named, and
stays named until a person accepts it. What was typed and loaded over between two exports no export shows: of that
nothing can be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tieout.compare import Discrepancy
from tieout.compare.codes import of
from tieout.connectors import Observation
from tieout.errors import RecordError
from tieout.model import ZERO, Entity, Existence, from_json
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, UnknownReferenceError, Which, canonical, facts, share
from tieout.sync.core.operations import shown
from tieout.sync.review.differences import id_of
from tieout.sync.store import Store, loads
from tieout.sync.work import Target, Work, own

CODE = "EDIT_OVERWRITTEN"
MOST = 50  # sights of one record between a hand-over and its confirmation

_O, _D = schema.observation.c, schema.discrepancy.c
_SIGHTS = (
    sa.select(_O.record, _O.seen_at)
    .where(*(_O[k] == sa.bindparam(k) for k in ("connection", "entity", "native_id")))
    .where(_O.record.is_not(None), _O.error.is_(None))
    .order_by(_O.seq.desc())
    .limit(MOST)
)
_LISTED = sa.select(_D.body).where(_D.pair == sa.bindparam("pair"), _D.code == CODE)
_NOT_ACCEPTED = _LISTED.where(_D.state.in_(("open", "acknowledged")))
_OPEN = _LISTED.where(_D.state.in_(("open", "acknowledged", "accepted")))


def known(work: Work, observation: Observation | None, target: Target) -> dict[str, Any]:
    """The compared fields of a record as it was read; empty if it cannot be told."""
    record = observation.record if observation is not None else None
    if record is None or isinstance(record, RecordError):
        return {}
    try:
        shared = share(own(record), target.book.subject_of)
    except UnknownReferenceError:
        return {}
    return facts(record.entity, shared, work.common(record.entity))


def lost(
    work: Work, intent: Mapping[str, Any], target: Target, before: Observation | None, now: Observation
) -> list[Discrepancy]:
    """Of the fields that a file brought, those that an export showed in between, neither as planned from nor as now."""
    entity, operation = now.entity, loads(intent["operation"])
    was, is_ = known(work, before, target), known(work, now, target)
    # What a credit memo is applied to may lie in other records: an observation of it alone does not say.
    apart = {"applications"} if entity is Entity.CREDIT_MEMO else set()
    names = sorted({f["name"] for f in operation["fields"]} & was.keys() & is_.keys() - apart)
    which = {"connection": target.connector.name, "entity": entity.value, "native_id": now.id}
    gone: dict[str, tuple[Any, str]] = {}
    # Back to the sight that the plan was made from, in the order of reading: a clock may have been off meanwhile.
    for row in work.store.rows(_SIGHTS, **which) if names else ():
        record = from_json(entity, loads(row["record"]))
        then = known(work, Observation(entity, now.id, {}, record, None, Existence.LIVE), target)
        if not then:
            continue
        if all(then.get(n) == was[n] for n in names):
            break
        for name in names:
            if then.get(name) not in (was[name], is_[name]):
                gone.setdefault(name, (then.get(name), row["seen_at"]))
    other = work.other(target)
    ids = {target.which: now.id, other.which: other.book.natives.get(intent["subject"])}
    name_there, label = target.connector.name, operation["label"]
    out = []
    for name, (then, at) in sorted(gone.items()):
        values = {target.which: shown(then), other.which: shown(is_[name])}
        cause = (
            f"overwritten: {name_there} showed {name} as {canonical(then)} at {at}; the file that was handed over at "
            f"{intent['first_sent_at']} made it {canonical(is_[name])}"
        )
        about = _About(name_there, intent["subject"], entity, label, name)
        out.append(_discrepancy(about, ids, values, cause))
    return out


@dataclass(frozen=True, slots=True)
class _About:
    connection: str
    subject: str
    entity: Entity
    label: str
    field: str


def _discrepancy(
    about: _About, ids: Mapping[Which, str | None], values: Mapping[Which, str], cause: str
) -> Discrepancy:
    entry = of(CODE)
    return Discrepancy(
        id=id_of(CODE, about.connection, about.subject, about.field),
        code=CODE,
        secondary=(),
        class_=entry.class_,
        severity=entry.severity,
        kind=about.entity.value,
        left=ids[LEFT],
        right=ids[RIGHT],
        left_label=about.label,
        right_label=about.label,
        field=about.field,
        left_value=values[LEFT] or None,
        right_value=values[RIGHT] or None,
        delta=ZERO,
        currency=None,
        cause=cause,
        remedy=entry.remedy,
        confirmed=entry.confirmed,
        links=(about.subject,),
    )


def listed(work: Work, found: Sequence[Discrepancy]) -> bool:
    """Whether all of these are on the lasting list, with these words."""
    kept = {(b["id"], b["cause"]) for b in _bodies(work.store, _OPEN, work.pair)}
    return kept.issuperset((d.id, d.cause) for d in found)


def carried(store: Store, pair: str, found: Sequence[Discrepancy]) -> list[Discrepancy]:
    """What was found now, and what was found before and is not accepted by anybody yet."""
    named = {d.id for d in found}
    return [*found, *(_from(b) for b in _bodies(store, _NOT_ACCEPTED, pair) if b["id"] not in named)]


def _bodies(store: Store, query: sa.Select[Any], pair: str) -> list[dict[str, Any]]:
    return [loads(row["body"]) for row in store.rows(query, pair=pair)]


def _from(body: Mapping[str, Any]) -> Discrepancy:
    kept = {name: body[name] for name in _KEPT}
    return Discrepancy(**kept, secondary=(), class_=body["class"], delta=ZERO, links=tuple(body["links"]))


_KEPT = (
    *("id", "code", "severity", "kind", "left", "right", "left_label", "right_label", "field"),
    *("left_value", "right_value", "currency", "cause", "remedy", "confirmed"),
)
