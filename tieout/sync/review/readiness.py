"""How ready a pair is to be closed: what is left to be done, and which differences stand, as answered.

Sign-offs of the close itself are in `signoffs`; which periods the systems have closed, in `periods`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tieout.plaintext import counted
from tieout.sync import schema
from tieout.sync.review import plans
from tieout.sync.review.differences import OPEN_STATES
from tieout.sync.store import Store, instant, loads

# A write that was begun and is not settled, and how people say it.
_UNSETTLED = {
    "ready": "about to be sent",
    "sending": "being sent",
    "unknown": "with an outcome that is not known",
    "applied": "sent, and not read back",
    "emitted": "in a file that no export shows yet",
    "stuck": "refused or stuck",
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """ran_at: end of the last run (UTC), None if there was none · waiting: what is left to be written, in sentences

    listed: discrepancies that are not closed: body, `pair`, `state`, `owner`, `reason`, `accepted_until`
    """

    ran_at: datetime | None
    waiting: list[str]
    listed: list[dict[str, Any]]


def readiness(store: Store, pair: str) -> Readiness:
    """How ready the pair is now, after its last run."""
    with store.reading():
        run = _last_run(store, pair)
        broken = run is not None and run["status"] != "ok"
        said = (
            [f"the last run ended as {run['status']}: {run['abort_reason'] or 'it was killed'}"]
            if run and broken
            else []
        )
        ran_at = instant(run["finished_at"]) if run else None
        return Readiness(ran_at, [*said, *_waiting(store, pair)], _listed(store, pair))


def last_run(store: Store, pair: str) -> dict[str, Any] | None:
    """The newest run of a pair, also one that is under way (`running`, no `finished_at`); None before the first."""
    r = schema.run
    query = sa.select(r.c.pair, r.c.id.label("run"), r.c.status, r.c.started_at, r.c.finished_at)
    query = query.where(r.c.pair == pair).order_by(r.c.started_at.desc(), r.c.id.desc())
    return next(iter(store.rows(query.limit(1))), None)


def _last_run(store: Store, pair: str) -> dict[str, Any] | None:
    """The last run that ended."""
    r = schema.run
    query = sa.select(r.c.status, r.c.finished_at, r.c.abort_reason)
    query = query.where(r.c.pair == pair, r.c.finished_at.is_not(None)).order_by(r.c.started_at.desc(), r.c.id.desc())
    return next(iter(store.rows(query.limit(1))), None)


def _waiting(store: Store, pair: str) -> list[str]:
    """Open plans, and writes that were begun and are not settled."""
    out = [
        f"plan {p['id']} is {p['status']}, with {counted(len(p['operations']), 'operation')}"
        for p in plans.listed(store, pair)
    ]
    i = schema.intent
    rows = store.rows(sa.select(i.c.state).where(i.c.pair == pair, i.c.state.in_(_UNSETTLED)))
    open_ = Counter(row["state"] for row in rows)
    return [
        *out,
        *(f"{counted(n, 'write')} {_UNSETTLED[state]}" for state, n in sorted(open_.items())),
    ]


def _listed(store: Store, pair: str) -> list[dict[str, Any]]:
    t = schema.discrepancy
    kept = ("pair", "state", "owner", "reason", "accepted_until")
    query = sa.select(t.c.body, *(t.c[k] for k in kept)).where(t.c.pair == pair, t.c.state.in_(OPEN_STATES))
    return [loads(r["body"]) | {k: r[k] for k in kept} for r in store.rows(query.order_by(t.c.id))]
