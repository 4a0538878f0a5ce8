"""The first page of a pack: what the run was, did and found, for people, and what the pack cannot prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tieout.evidence.anchors import Anchor
from tieout.model import from_micros
from tieout.reports.forms import page as form
from tieout.reports.frame import Column, Proof, Report, Row, Table
from tieout.sync.store import instant, loads

_ANCHOR = (Column("event", "event", "count"), Column("at", "anchored at", width=24), Column("hash", "hash", width=64))


def page(
    *,
    company: str,
    run: Mapping[str, Any],
    report: Mapping[str, Any],
    reads: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    writes: Sequence[Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    anchors: Sequence[Anchor],
    configured: bool,
    key: str,
) -> str:
    """The page as HTML; the same for the same run. All that it says is in the other files of the pack."""
    shown = Report(
        name="pack",
        title=f"Evidence of run {run['id']}",
        company=company,
        as_of=None,
        known_on=instant(run["finished_at"]),
        tables=(
            _reads(reads, report),
            _plans(plans),
            _decisions(decisions),
            _writes(writes),
            _differences(differences),
            *_bridges(report),
            _anchors(anchors),
        ),
        proofs=tuple(_proofs(report)),
        notes=tuple(_notes(configured=configured, writes=writes)),
        parameters={
            "pair": str(run["pair"]),
            "mode": str(run["mode"]),
            "began": str(run["started_at"]),
            "ended": f"{run['finished_at']}, {run['status']}",
        },
        provenance={
            "program of the run": f"tieout {run['version']}",
            "configuration": f"digest {run['config_hash']}",
            "signing key": key,
        },
    )
    return form.write(shown)


def _notes(*, configured: bool, writes: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = [
        "This page is for reading; what is proved is proved by the files beside it. HOW-TO-VERIFY.txt says how.",
        (
            "Records and payloads are those that were news to this run: what it read again unchanged was kept by the "
            "run that first read it, and is not repeated here."
        ),
        "Files that were read are named with their hash; their size was not recorded.",
        (
            "No event covers the times and answers of single sends (attempts); the number of requests stands in the "
            "report of the run, which an event covers."
        ),
        "Differences are those that changed in this run; those that stood as before are counted in its report only.",
    ]
    if not configured:
        notes.append("The run did not keep its configuration: only the digest of what decides writes is here.")
    if any(w["request"] is None for w in writes):
        notes.append("Some writes were wanted anew since, under the same key: what they carried then is not kept.")
    return notes


def _reads(reads: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> Table:
    columns = (
        Column("connection", "connection"),
        Column("entity", "what"),
        Column("kind", "read"),
        Column("complete", "complete"),
        Column("rows", "records", "count"),
        Column("read_at", "at", width=24),
        Column("sources", "files", width=40),
    )
    rows = tuple(
        Row(
            (
                r["connection"],
                r["entity"],
                r["kind"],
                "yes" if r["complete"] else "no",
                r["rows"],
                r["read_at"],
                ", ".join(r["sources"]),
            )
        )
        for r in reads
    )
    asked = ", ".join(f"{name} {n}" for name, n in sorted(report.get("requests", {}).items()) if n)
    return Table("reads", "What was read", columns, rows, f"Requests: {asked}." if asked else "")


def _plans(plans: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("id", "plan"),
        Column("operations", "operations", "count"),
        Column("hash", "hash", width=64),
        Column("created_at", "made at", width=24),
    )
    rows = tuple(Row((p["id"], len(loads(p["body"])["operations"]), p["hash"], p["created_at"])) for p in plans)
    return Table("plans", "Plans", columns, rows)


def _decisions(decisions: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("event", "event", "count"),
        Column("at", "at", width=24),
        Column("by", "by"),
        Column("what", "what"),
        Column("of", "of"),
        Column("says", "says", width=40),
    )

    def said(one: Mapping[str, Any]) -> str:
        told = one["says"]
        guards = ", ".join(told.get("guards", ()))
        parts = (told.get("action"), told.get("reason"), f"accepting {guards}" if guards else "")
        return "; ".join(str(p) for p in parts if p)

    rows = tuple(
        Row((d["seq"], d["at"], d["actor"], d["action"], f"{d['object_type']} {d['object_id']}", said(d)))
        for d in decisions
    )
    return Table("decisions", "Who approved and decided", columns, rows)


def _writes(writes: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("connection", "to"),
        Column("op", "do"),
        Column("entity", "what"),
        Column("key", "key", width=32),
        Column("native_id", "id there"),
        Column("delta", "moves", "money"),
        Column("currency", "currency"),
        Column("state", "became"),
        Column("read_back", "read back"),
    )

    def one(w: Mapping[str, Any]) -> Row:
        off = w["read_back_otherwise"]
        read = "not known" if off is None else "as sent" if not off else f"otherwise: {', '.join(off)}"
        return Row(
            (
                *(w[k] for k in ("connection", "op", "entity", "key", "native_id")),
                Decimal(from_micros(w["delta_micros"])),
                *(w[k] for k in ("currency", "state")),
                read if w["state"] == "done" else "",
            )
        )

    return Table("writes", "What was written", columns, tuple(map(one, writes)))


def _differences(differences: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("happened", "happened"),
        Column("code", "code"),
        Column("id", "id"),
        Column("about", "about", width=30),
        Column("left", "left"),
        Column("right", "right"),
        Column("delta", "delta", "money"),
        Column("currency", "currency"),
        Column("why", "why", width=40),
    )

    def one(d: Mapping[str, Any]) -> Row:
        delta = Decimal(d["delta"]) if d.get("delta") is not None else None
        shown = (str(d.get(k) or "") for k in ("left", "right"))
        why = d.get("why") or d.get("reason") or ""
        about = _about(d.get("about") or {})
        return Row((d["happened"], d.get("code", ""), d["id"], about, *shown, delta, d.get("currency", ""), why))

    return Table("differences", "Differences found, changed and closed", columns, tuple(map(one, differences)))


def _about(told: Mapping[str, Any]) -> str:
    """Of which record a difference is, as its event has it; "" in one of an earlier version."""
    ids = dict.fromkeys(id for id in (told.get("left"), told.get("right")) if id and id != told.get("number"))
    words = [told.get("kind"), told.get("number"), f"({', '.join(ids)})" if ids else "", told.get("field")]
    return " ".join(str(word) for word in words if word)


def _bridges(report: Mapping[str, Any]) -> list[Table]:
    columns = (Column("line", "line"), Column("count", "documents", "count"), Column("delta", "amount", "money"))
    out = []
    for currency, bridge in sorted((report.get("bridge") or {}).items()):
        columns = (*columns[:2], Column("delta", "amount", "money", currency=currency))
        rows = (
            Row(("left", None, Decimal(bridge["left_total"])), "opening"),
            *(Row((line["code"], line["count"], Decimal(line["delta"]))) for line in bridge["lines"]),
            Row(("right", None, Decimal(bridge["right_total"])), "closing"),
            Row(("remainder", None, Decimal(bridge["remainder"]))),
        )
        out.append(Table(f"bridge-{currency}", f"Bridge in {currency}", columns, rows))
    return out


def _proofs(report: Mapping[str, Any]) -> list[Proof]:
    return [
        Proof(
            f"the bridge in {currency} leaves nothing over",
            Decimal(b["remainder"]),
            Decimal(0),
            not Decimal(b["remainder"]),
        )
        for currency, b in sorted((report.get("bridge") or {}).items())
    ]


def _anchors(anchors: Sequence[Anchor]) -> Table:
    rows = tuple(Row((a.seq, a.at, a.hash)) for a in anchors)
    return Table("anchors", "Anchors around the events", _ANCHOR, rows)
