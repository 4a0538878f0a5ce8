"""What belongs to one run, out of the state and as it was when the run ended: the parts of its pack, in plain data.

Rows that later runs may have moved on are told as the events of the log have them, so that the same run gives the same
pack at any time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError, RefusedError
from tieout.evidence.anchors import Anchor
from tieout.evidence.chain import Examined, counting
from tieout.sync import schema
from tieout.sync.core.facts import digest
from tieout.sync.store import Store, batched, loads

_A = schema.audit_event
EVENT = ("seq", "at", "actor", "action", "object_type", "object_id", "run", "payload", "prev_hash", "hash")
_TOGETHER = 500
_SHORTEST = 8
_ATTEMPT = ("attempt", "epoch", "sent_at", "send_by", "ended_at", "outcome", "code", "request_id")


@dataclass(frozen=True, slots=True)
class Slice:
    """Events from one anchor to another. before: None where the slice begins with the first event of all"""

    before: Anchor | None
    until: Anchor

    @property
    def first(self) -> int:
        return self.before.seq + 1 if self.before else 1


class Gathered:
    """One run that ended, with the events that it made and those that it stands on, and the anchors around them.

    Raises ConfigError for a run that is not there, RefusedError for one that has not ended or is held by no anchor.
    """

    def __init__(self, store: Store, journals: Sequence[Examined], run: str) -> None:
        self.store = store
        self.row = _run(store, run)
        self.id: str = self.row["id"]
        self.own = self._events(_A.c.run == self.id)
        ended = next((e for e in self.own if (e["object_type"], e["action"]) == ("run", "ended")), None)
        if ended is None:
            raise RefusedError(
                f"run {self.id} has not ended", hint="one that was killed is told by the next: pack that"
            )
        self.end: int = ended["seq"]
        self.started = loads(self._only("run", "started")["payload"])
        self.report: dict[str, Any] = loads(self.row["report"])
        self.of_writes = self._about("intent", self._touched())
        self.of_plans = self._about("plan", self._plan_ids())
        needed = {e["seq"] for e in (*self.own, *self.of_writes, *self.of_plans)}
        self.slices = _slices(journals, needed, self.id)

    def _only(self, kind: str, action: str) -> dict[str, Any]:
        return next(e for e in self.own if (e["object_type"], e["action"]) == (kind, action))

    def _events(self, *where: Any) -> list[dict[str, Any]]:
        return self.store.rows(sa.select(_A).where(*where).order_by(_A.c.seq))

    def _about(self, kind: str, ids: Iterable[str]) -> list[dict[str, Any]]:
        """The events of these objects until the run ended."""
        found = []
        for some in batched(sorted(ids), _TOGETHER):
            found += self._events(_A.c.object_type == kind, _A.c.object_id.in_(some), _A.c.seq <= self.end)
        return sorted(found, key=lambda e: e["seq"])

    def _touched(self) -> set[str]:
        return {e["object_id"] for e in self.own if e["object_type"] == "intent"}

    def _plan_ids(self) -> set[str]:
        ids = {e["object_id"] for e in self.own if e["object_type"] == "plan"}
        ids |= {loads(e["payload"]).get("plan") for e in self.of_writes if e["action"] == "intended"}
        return {id for id in {*ids, self.report["plan"].get("id")} if id}

    # ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> dict[str, Any]:
        """The run's row; `report` as the very text that its last event covers."""
        kept = ("id", "pair", "mode", "started_at", "finished_at", "status", "config_hash", "version", "abort_reason")
        return {k: self.row[k] for k in kept} | {
            "report": self.row["report"],
            "anchor_found": self.started.get("anchor"),
        }

    def configuration(self) -> str | None:
        """The configuration without secrets that the run kept, as its very text; None for a run of before."""
        hash_ = self.started.get("configured")
        body = self.store.rows(sa.select(schema.blob.c.body).where(schema.blob.c.hash == hash_)) if hash_ else []
        return zlib.decompress(body[0]["body"]).decode() if body else None

    def reads(self) -> list[dict[str, Any]]:
        """What was read: each entity of each connection, with its files by hash where it was files."""
        told = {e["object_id"]: loads(e["payload"]) for e in self.own if e["action"] == "fetched"}
        s = schema.snapshot
        rows = self.store.rows(sa.select(s).where(s.c.run == self.id).order_by(s.c.read_at, s.c.id))
        return [
            {k: row[k] for k in ("id", "connection", "entity", "kind", "complete", "scope", "as_of", "rows", "read_at")}
            | {"proof": loads(row["proof"]), "sources": told.get(row["id"], {}).get("sources", [])}
            for row in rows
        ]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record that was news to this run, as read and as understood; by read, in the order of reading."""
        o = schema.observation
        names = ("snapshot", "connection", "entity", "native_id", "version", "existence", "raw_hash", "record", "error")
        reads = [e["object_id"] for e in self.own if e["action"] == "fetched"]
        for some in batched([*reads, self.id, *sorted(self._touched())], _TOGETHER):
            where = (
                o.c.snapshot.in_(some),
                o.c.seen_at >= self.row["started_at"],
                o.c.seen_at <= self.row["finished_at"],
            )
            for row in self.store.stream(sa.select(*(o.c[n] for n in names)).where(*where).order_by(o.c.seq)):
                yield dict(row._mapping)  # noqa: SLF001  a row's own mapping

    def payloads(self, hashes: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The raw payloads with these hashes, as text."""
        b = schema.blob
        for some in batched(sorted(set(hashes)), _TOGETHER):
            for row in self.store.rows(sa.select(b.c.hash, b.c.body).where(b.c.hash.in_(some)).order_by(b.c.hash)):
                yield {"hash": row["hash"], "payload": zlib.decompress(row["body"]).decode()}

    def plans(self) -> list[dict[str, Any]]:
        """The plans of the run, and those that its writes stand in; `body` as the very text that its event covers."""
        p = schema.plan
        rows = self.store.rows(sa.select(p).where(p.c.id.in_(self._plan_ids())).order_by(p.c.created_at, p.c.id))
        kept = ("id", "pair", "run", "hash", "config_hash", "created_at", "expires_at", "body")
        return [{k: row[k] for k in kept} for row in rows]

    def decisions(self) -> list[dict[str, Any]]:
        """What people said of its plans and in its time: approvals, rejections, with their names; by event."""
        named = ("approved", "rejected", "superseded", "stands_again", "outdated", "decided", "signed_off")
        events = {e["seq"]: e for e in (*self.of_plans, *self.own) if e["action"] in named}
        return [
            {k: e[k] for k in ("seq", "at", "actor", "action", "object_type", "object_id")}
            | {"says": loads(e["payload"])}
            for _, e in sorted(events.items())
        ]

    def writes(self) -> list[dict[str, Any]]:
        """What was to be written and what became of it by the end of the run, as its events have it."""
        i, t = schema.intent, schema.intent_attempt
        by_id: dict[str, list[dict[str, Any]]] = {}
        for event in self.of_writes:
            by_id.setdefault(event["object_id"], []).append(event)
        out = []
        for some in batched(sorted(by_id), _TOGETHER):
            rows = {r["id"]: r for r in self.store.rows(sa.select(i).where(i.c.id.in_(some)))}
            sends: dict[str, list[dict[str, Any]]] = {}
            for send in self.store.rows(sa.select(t).where(t.c.intent.in_(some)).order_by(t.c.intent, t.c.attempt)):
                if send["sent_at"] <= self.row["finished_at"]:
                    sends.setdefault(send["intent"], []).append(self._send(send))
            out += [self._write(rows[id], by_id[id], sends.get(id, [])) for id in some if id in rows]
        return sorted(out, key=lambda w: (w["events"][0], w["id"]))

    def _send(self, send: Mapping[str, Any]) -> dict[str, Any]:
        later = send["ended_at"] is not None and send["ended_at"] > self.row["finished_at"]
        return {k: None if later and k in ("ended_at", "outcome", "code", "request_id") else send[k] for k in _ATTEMPT}

    def _write(
        self, row: Mapping[str, Any], events: Sequence[Mapping[str, Any]], sends: list[dict[str, Any]]
    ) -> dict[str, Any]:
        told = [(e["action"], loads(e["payload"])) for e in events]
        wanted = next(t for action, t in reversed(told) if action == "intended")
        # A write that was wanted anew since under the same key has another request by now.
        same = wanted.get("request_hash", row["request_hash"]) == row["request_hash"]
        return {
            **{k: row[k] for k in ("id", "connection", "entity", "op", "key", "marker", "currency", "delta_micros")},
            "plan": wanted.get("plan"),
            "request": row["request"] if same else None,
            "operation": row["operation"] if same else None,
            "state": events[-1]["action"],
            "native_id": next((t["native_id"] for _, t in reversed(told) if t.get("native_id")), None),
            "read_back_otherwise": next((t["read_back_otherwise"] for a, t in reversed(told) if a == "done"), None),
            "attempts": sends,
            "events": [e["seq"] for e in events],
        }

    def differences(self) -> list[dict[str, Any]]:
        """Differences that this run found, saw changed or closed, as its events have them."""
        return [
            {"seq": e["seq"], "happened": e["action"], "id": e["object_id"]} | loads(e["payload"])
            for e in self.own
            if e["object_type"] == "discrepancy"
        ]

    def bridge(self) -> dict[str, Any]:
        """From one ledger's total to the other's, as the report of the run has it."""
        return {k: self.report.get(k) for k in ("left", "right", "by_code", "bridge")}

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event of every slice, in order."""
        for one in self.slices:
            where = _A.c.seq >= one.first, _A.c.seq <= one.until.seq
            for row in self.store.stream(sa.select(*(_A.c[n] for n in EVENT)).where(*where).order_by(_A.c.seq)):
                yield dict(row._mapping)  # noqa: SLF001  a row's own mapping

    def anchors(self) -> list[Anchor]:
        """The anchors at both ends of each slice, in order."""
        found = {a.n: a for one in self.slices for a in (one.before, one.until) if a is not None}
        return [found[n] for n in sorted(found)]


def _run(store: Store, id: str) -> dict[str, Any]:
    r = schema.run
    if len(id) < _SHORTEST:
        raise ConfigError(f"{id!r} is too short to name a run", hint=f"give at least {_SHORTEST} characters")
    rows = store.rows(sa.select(r).where(r.c.id.startswith(id, autoescape=True)).limit(2))
    if len(rows) != 1:
        raise ConfigError(f"{len(rows) or 'no'} runs match {id!r}", hint="tieout sync --json names its runs")
    return rows[0]


def _slices(journals: Sequence[Examined], needed: set[int], run: str) -> list[Slice]:
    """The shortest stretches from anchor to anchor that hold all of the events, in order, each once."""
    held = [counting(j) for j in journals]
    usable = [anchors for anchors in held if anchors and anchors[-1].seq >= max(needed)]
    if not usable:
        raise RefusedError(f"run {run} is held by no anchor", hint="tieout evidence verify tells what is anchored")
    ends: list[Anchor] = sorted({a.seq: a for a in usable[0]}.values(), key=lambda a: a.seq)
    found: dict[int, Slice] = {}
    for n, anchor in enumerate(ends):
        before = ends[n - 1] if n else None
        first = before.seq + 1 if before else 1
        if any(first <= seq <= anchor.seq for seq in needed):
            found[anchor.seq] = Slice(before, anchor)
    return [found[seq] for seq in sorted(found)]


def text(value: Any) -> bytes:
    """Plain data as JSON that people can read, in one spelling."""
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def same(told: str | None, value: Any) -> bool:
    """Whether a digest in an event is that of the value; an event of before that has none says nothing against it."""
    return told is None or told == digest(value)
