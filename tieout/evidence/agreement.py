"""What the parts of a pack say of each other: nothing that an event covers is another, and nothing is left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from tieout.evidence import index
from tieout.evidence.anchors import LONGEST, Anchor, parse
from tieout.evidence.gather import same
from tieout.evidence.keys import PublicKey
from tieout.evidence.members import Pack, Wrong, parsed
from tieout.evidence.pack import HOW, PAGE, PROGRAM, how_to_verify
from tieout.evidence.rows import count_of
from tieout.model import micros
from tieout.plaintext import counted
from tieout.sync.core.facts import digest
from tieout.sync.state.seen import observed_as
from tieout.sync.store import GENESIS, event_hash

DIGITS = 40  # of an amount; what has more would be written out on the page
Check = tuple[str, tuple[str, ...], Callable[[Pack, PublicKey], str]]  # a part, what it rests on, what proves it


class NotCompared(Exception):
    """Why a part cannot be held against the others."""


def _events(pack: Pack, key: PublicKey) -> str:
    """Every event follows from the one before it, from an anchor to an anchor."""
    anchors: dict[int, Anchor] = {}
    for line in pack.lines("anchors.jsonl"):
        anchor = parse(line) if len(line) <= LONGEST else None
        if anchor is None or not anchor.is_signed(key):
            raise Wrong("an anchor is not signed with the key")
        anchors[anchor.seq] = anchor
    last, hash_, held = 0, GENESIS, 0
    for event in pack.rows("events.jsonl"):
        if event["seq"] != last + 1:
            if last and held != last:
                raise Wrong(f"event {last} ends a stretch, and no anchor holds it")
            before = anchors.get(event["seq"] - 1)
            if before is None:
                raise Wrong(f"event {event['seq']} follows from no anchor")
            hash_ = before.hash
        if event["prev_hash"] != hash_ or event_hash(event) != event["hash"]:
            raise Wrong(f"event {event['seq']} was altered")
        last, hash_ = event["seq"], event["hash"]
        if last in anchors:
            if anchors[last].hash != hash_:
                raise Wrong(f"event {last} is not the one that was anchored")
            held = last
        pack.events[last] = event
    if not pack.events or held != last:
        raise Wrong("no anchor holds its last event")
    return f"{counted(len(pack.events), 'event')}, each from the one before, held by {counted(len(anchors), 'anchor')}"


def _of(pack: Pack, kind: str, *actions: str, id: str | None = None) -> list[tuple[Mapping[str, Any], Any]]:
    """Events of a kind, with what they say, in order."""
    return [
        (e, parsed(e["payload"].encode()))
        for e in pack.events.values()
        if e["object_type"] == kind and e["action"] in actions and id in (None, e["object_id"])
    ]


def _run(pack: Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    [(_, started)] = _of(pack, "run", "started", id=run["id"])
    [(event, ended)] = _of(pack, "run", "ended", id=run["id"])
    if run["id"] != pack.manifest["run"] or run["pair"] != pack.manifest["pair"]:
        raise Wrong("it is another run than the manifest names")
    if (started["mode"], started.get("config", run["config_hash"])) != (run["mode"], run["config_hash"]):
        raise Wrong("its mode or configuration is not the one of its first event")
    if (
        ended["status"] != run["status"]
        or event["at"] != run["finished_at"]
        or not same(ended.get("report"), run["report"])
    ):
        raise Wrong("its end or its report is not the one that its last event covers")
    return f"{run['status']}, {run['started_at']} to {run['finished_at']}"


def _configuration(pack: Pack, _key: PublicKey) -> str:
    run, body = pack.json("run.json"), pack.bytes_of("configuration.json")
    [(_, started)] = _of(pack, "run", "started", id=run["id"])
    told = started.get("configured")
    if told is None:
        return "none was kept with the run"
    if hashlib.sha256(body).hexdigest() != told:
        raise Wrong("it is not the one that the run was started with")
    return "the one that the run was started with, without secrets"


def _reads(pack: Pack, _key: PublicKey) -> str:
    """What was read: each read has its event, each record is covered by one, each payload is what its hash says."""
    run = pack.json("run.json")
    told = {e["object_id"]: says for e, says in _of(pack, "snapshot", "fetched") if e["run"] == run["id"]}
    reads = {r["id"]: r for r in pack.json("inputs/reads.json")}
    if reads.keys() != told.keys():
        raise Wrong("a read has no event, or an event no read")
    for id, read in reads.items():
        says = told[id]
        known = says["connection"], says["entity"], count_of(says), says["sources"]
        if known != (read["connection"], read["entity"], read["rows"], read["sources"]):
            raise Wrong(f"the read of {read['entity']} from {read['connection']} is not what its event says")
    again = {(e["object_id"], says["observed"]) for e, says in _of(pack, "intent", "done") if says.get("observed")}
    again |= {(e["run"], says["observed"]) for e, says in _of(pack, "record", "read_again")}
    observed: dict[str, list[Any]] = {id: [] for id in reads}
    hashes = set()
    count = 0
    for record in pack.rows("inputs/records.jsonl"):
        count += 1
        hashes.add(record["raw_hash"])
        one = observed_as(record)
        if record["snapshot"] in observed:
            observed[record["snapshot"]].append(one)
        elif (record["snapshot"], digest([one])) not in again:
            raise Wrong(f"no event covers {record['entity']} {record['native_id']}")
    for id, rows in observed.items():
        if not same(told[id].get("observed"), rows):
            raise Wrong(
                f"the records of {reads[id]['entity']} from {reads[id]['connection']} are not those that were read"
            )
    payloads = set()
    for row in pack.rows("inputs/payloads.jsonl"):
        if hashlib.sha256(row["payload"].encode()).hexdigest() != row["hash"]:
            raise Wrong(f"payload {row['hash'][:16]} was altered")
        payloads.add(row["hash"])
    if hashes - {None} != payloads:
        raise Wrong("a payload is missing, or belongs to no record")
    news = counted(count, "record that was news", "records that were news")
    return f"{counted(len(reads), 'read')}, {news}, {counted(len(payloads), 'payload')}"


def _plans(pack: Pack, _key: PublicKey) -> str:
    run, plans = pack.json("run.json"), pack.json("plans.json")
    planned = {e["object_id"]: says for e, says in _of(pack, "plan", "planned")}
    for plan in plans:
        says = planned[plan["id"]]
        if says["hash"] != plan["hash"] or not same(says.get("body"), plan["body"]):
            raise Wrong(f"plan {plan['id']} is not what was planned")
        hashes = parsed(plan["body"].encode())["hashes"]
        if digest({"config": plan["config_hash"], "operations": hashes}) != plan["hash"]:
            raise Wrong(f"the hash of plan {plan['id']} is not that of its operations")
    named = parsed(run["report"].encode())["plan"]["id"]
    if named is not None and named not in {p["id"] for p in plans}:
        raise Wrong("the plan of the run is missing")
    return f"{counted(len(plans), 'plan')}, each with the hash that was approved or waited"


_SAID = ("approved", "rejected", "superseded", "stands_again", "outdated", "decided", "signed_off")


def _decisions(pack: Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    end = max(e["seq"] for e, _ in _of(pack, "run", "ended", id=run["id"]))
    plans = {p["id"] for p in pack.json("plans.json")}
    there = {d["seq"]: d for d in pack.json("decisions.json")}
    for seq, one in there.items():
        event = pack.events[seq]
        if any(one[k] != event[k] for k in ("at", "actor", "action", "object_type", "object_id")):
            raise Wrong(f"event {seq} says otherwise")
        if one["says"] != parsed(event["payload"].encode()):
            raise Wrong(f"event {seq} says otherwise")
    for seq, event in pack.events.items():
        mine = event["object_type"] == "plan" and event["object_id"] in plans and seq <= end
        if event["action"] in _SAID and (mine or event["run"] == run["id"]) and seq not in there:
            raise Wrong(f"event {seq} is left out: {event['action']} by {event['actor']}")
    return f"{counted(len(there), 'decision')}, each by the person that its event names"


def _writes(pack: Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    there = {w["id"]: w for w in pack.json("writes.json")}
    mine = {e["object_id"] for e in pack.events.values() if e["object_type"] == "intent" and e["run"] == run["id"]}
    if mine != there.keys():
        raise Wrong("a write is left out, or has no event")
    for id, write in there.items():
        events = [(pack.events[seq], parsed(pack.events[seq]["payload"].encode())) for seq in write["events"]]
        if any(e["object_id"] != id for e, _ in events) or events[-1][0]["action"] != write["state"]:
            raise Wrong(f"write {write['key']} did not end so")
        wanted = [says for e, says in events if e["action"] == "intended"][-1]
        request, operation = write["request"], write["operation"]
        if (wanted["key"], wanted["op"], wanted.get("plan")) != (write["key"], write["op"], write["plan"]):
            raise Wrong(f"write {write['key']} is not the one that was wanted")
        if request is not None and not same(wanted.get("request_hash"), [request, write["op"]]):
            raise Wrong(f"what write {write['key']} carried is not what was wanted")
        if operation is not None and not same(wanted.get("operation"), operation):
            raise Wrong(f"write {write['key']} is of another operation")
        told = parsed(operation.encode()) if operation is not None else {}
        if told and (told["connection"], told["currency"]) != (write["connection"], write["currency"]):
            raise Wrong(f"write {write['key']} goes elsewhere than its operation says")
        if told and micros(Decimal(told["delta"])) != write["delta_micros"]:
            raise Wrong(f"write {write['key']} moves something else than its operation says")
        native = next((s["native_id"] for _, s in reversed(events) if s.get("native_id")), None)
        otherwise = next((s["read_back_otherwise"] for e, s in reversed(events) if e["action"] == "done"), None)
        if (native, otherwise) != (write["native_id"], write["read_back_otherwise"]):
            raise Wrong(f"write {write['key']} was read back otherwise")
    return f"{counted(len(there), 'write')}, each with its request, its key and what became of it"


def _differences(pack: Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    found = {
        e["seq"]: {"seq": e["seq"], "happened": e["action"], "id": e["object_id"]} | parsed(e["payload"].encode())
        for e in pack.events.values()
        if e["object_type"] == "discrepancy" and e["run"] == run["id"]
    }
    if {d["seq"]: d for d in pack.json("differences.json")} != found:
        raise Wrong("they are not those that the events tell of")
    return f"{len(found)} found, changed or closed"


def _bridge(pack: Pack, _key: PublicKey) -> str:
    report = parsed(pack.json("run.json")["report"].encode())
    bridge = pack.json("bridge.json")
    if bridge != {k: report.get(k) for k in ("left", "right", "by_code", "bridge")}:
        raise Wrong("it is not the one in the report of the run")
    for currency, one in (bridge["bridge"] or {}).items():
        sum_ = Decimal(one["left_total"]) + sum(Decimal(line["delta"]) for line in one["lines"])
        if sum_ + Decimal(one["remainder"]) != Decimal(one["right_total"]):
            raise Wrong(f"it does not add up in {currency}")
    return "it adds up, in " + (", ".join(sorted(bridge["bridge"] or {})) or "no currency: nothing was compared")


def _page(pack: Pack, key: PublicKey) -> str:
    """The page, and what it says of verifying, against what this program makes of the parts that were just proved."""
    made = pack.manifest["program"]
    if made != PROGRAM:
        raise NotCompared(
            f"{made} made it, and this is {PROGRAM}: verify it with that one, or read the files beside it"
        )
    run = pack.json("run.json")
    report, differences = parsed(run["report"].encode()), pack.json("differences.json")
    _printable(report, differences)
    page = index.page(
        company=pack.manifest["company"],
        run=run,
        report=report,
        reads=pack.json("inputs/reads.json"),
        plans=pack.json("plans.json"),
        decisions=pack.json("decisions.json"),
        writes=pack.json("writes.json"),
        differences=differences,
        anchors=[anchor for line in pack.lines("anchors.jsonl") if (anchor := parse(line))],
        configured=pack.bytes_of("configuration.json") != b"null",
        key=key.id,
    )
    if page.encode() != pack.bytes_of(PAGE):
        raise Wrong(f"{PAGE} does not say what the files beside it say")
    if how_to_verify() != pack.bytes_of(HOW):
        raise Wrong(f"{HOW} is another text")
    return f"{PAGE} says what the files beside it say"


def _printable(report: Mapping[str, Any], differences: Iterable[Mapping[str, Any]]) -> None:
    """Refuse an amount that nobody can print: a few characters of it would become gigabytes."""
    amounts = [d["delta"] for d in differences if d.get("delta") is not None]
    for one in (report.get("bridge") or {}).values():
        amounts += [one["left_total"], one["right_total"], one["remainder"], *(line["delta"] for line in one["lines"])]
    if any(not (d := Decimal(a)).is_finite() or abs(d.adjusted()) > DIGITS for a in amounts):
        raise Wrong("it has an amount that no ledger holds")


_TOLD = "configuration", "inputs", "plans", "decisions", "writes", "differences", "bridge"
CHECKS: tuple[Check, ...] = (
    ("events", ("events.jsonl", "anchors.jsonl"), _events),
    ("run", ("run.json", "events"), _run),
    ("configuration", ("configuration.json", "run"), _configuration),
    ("inputs", ("inputs/reads.json", "inputs/records.jsonl", "inputs/payloads.jsonl", "run"), _reads),
    ("plans", ("plans.json", "run"), _plans),
    ("decisions", ("decisions.json", "plans"), _decisions),
    ("writes", ("writes.json", "run"), _writes),
    ("differences", ("differences.json", "run"), _differences),
    ("bridge", ("bridge.json", "run"), _bridge),
    ("page", (PAGE, HOW, *_TOLD), _page),
)
