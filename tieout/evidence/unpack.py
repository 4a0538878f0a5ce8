"""Verify a pack without anything else: no database, no configuration, no network. It is hostile until it is proved.

Three things are asked of each part: is it the one that was packed (hash, signed manifest), do events say the same, and
are those events held by anchors. What people read first, the page, is made anew of the other parts and compared.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, Any, Literal

from tieout.errors import ConfigError
from tieout.evidence import index
from tieout.evidence.anchors import LONGEST, Anchor, parse
from tieout.evidence.gather import same
from tieout.evidence.keys import SIGNATURE_BYTES, PublicKey, public_key
from tieout.evidence.pack import DOMAIN, FORMAT, HOW, MANIFEST, MEMBERS, PAGE, PROGRAM, SIGNATURE, how_to_verify
from tieout.evidence.rows import count_of
from tieout.evidence.tight import loose
from tieout.model import micros
from tieout.plaintext import counted
from tieout.sync.core.facts import digest
from tieout.sync.state.seen import observed_as
from tieout.sync.store import GENESIS, event_hash

LARGEST = 4 << 30  # bytes of all members together
SMALL = 256 << 20  # bytes of a member that is read as a whole
RATIO = 200  # how much a member may be packed; ours are far below
LINE = 64 << 20
DIGITS = 40  # of an amount; what has more would be written out on the page
_Check = tuple[str, tuple[str, ...], Callable[["_Pack", PublicKey], str]]  # a part, what it rests on, what proves it
Says = Literal["proves", "altered", "missing", "not proved", "not compared"]
_HOLDS = ("proves", "not compared")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pack. says: what it proves, or what is wrong with it"""

    name: str
    verdict: Says
    says: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a pack proves. key: that it is signed with · trusted: whether that key was known from elsewhere"""

    run: str
    pair: str
    company: str
    key: str
    trusted: bool
    parts: tuple[Part, ...]

    @property
    def exit_code(self) -> int:
        """0: every part proves what it says · 5: something is altered, missing, or not proved

        A page of another version cannot be made anew here, and is no reason to doubt the parts that it tells of.
        """
        return 0 if all(p.verdict in _HOLDS for p in self.parts) else 5

    def as_json(self) -> dict[str, Any]:
        kept = {k: getattr(self, k) for k in ("run", "pair", "company", "key")}
        parts = [{"part": p.name, "verdict": p.verdict, "says": p.says} for p in self.parts]
        return (
            {"verdict": "proves" if not self.exit_code else "altered"}
            | kept
            | {"key_known": self.trusted, "parts": parts}
        )


class _Wrong(Exception):
    """Why a part does not prove what it says."""


class _NotCompared(Exception):
    """Why a part cannot be held against the others."""


@dataclass(slots=True)
class _Pack:
    """An open pack. manifest, events: empty until they are proved; events by their number"""

    archive: zipfile.ZipFile
    manifest: Mapping[str, Any] = field(default_factory=dict)
    events: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def bytes_of(self, name: str) -> bytes:
        return b"".join(self.chunks(name, SMALL))

    def chunks(self, name: str, most: int = LARGEST) -> Iterator[bytes]:
        read = 0
        try:
            with self.archive.open(name) as member:
                while part := member.read(1 << 20):
                    read += len(part)
                    if read > most:
                        raise _Wrong("it is larger than such a part can be")
                    yield part
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise _Wrong(f"it cannot be unpacked ({type(error).__name__})") from None

    def lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE:
                raise _Wrong("a line of it is longer than such a line can be")
            yield from whole
        if rest:
            raise _Wrong("its last line is cut off")

    def json(self, name: str) -> Any:
        return _json(self.bytes_of(name))

    def rows(self, name: str) -> Iterator[Any]:
        return (_json(line) for line in self.lines(name))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _Wrong("it is not what such a part holds") from None


def _refuse(_text: str) -> Any:
    raise ValueError("a float")


def verify(file: IO[bytes], *, name: str, keys: Iterable[PublicKey] = ()) -> Unpacked:
    """Verify a pack. keys: that are known from elsewhere; with none, the pack's own, which proves no origin.

    Raises ConfigError for a file that is no pack, or that no honest program packed (paths, bombs, doubled members).
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, IndexError) as error:
        raise ConfigError(f"{name} is not a pack: {error}", hint="it may be cut off; fetch it again") from None
    with archive:
        _refuse_tricks(file, archive, name)
        pack = _Pack(archive)
        given = list(keys)
        parts, key, trusted = _manifest(pack, given)
        parts += _members(pack)
        sound = {p.name for p in parts if p.verdict == "proves"}
        parts += [_checked(pack, check, sound, key) for check in _CHECKS]
        told = pack.manifest
    run, pair, company = (str(told.get(k, "")) for k in ("run", "pair", "company"))
    return Unpacked(run, pair, company, key.id if key else "", trusted, tuple(parts))


def _refuse_tricks(file: IO[bytes], archive: zipfile.ZipFile, name: str) -> None:
    """Refuse what a pack of ours never is, before anything of it is unpacked."""
    infos = archive.infolist()
    names = [i.filename for i in infos]
    strange = [n for n in names if n not in MEMBERS]
    total = sum(i.file_size for i in infos)
    why = ""
    if strange:
        why = f"it holds {strange[0]!a}, which no pack does"
    elif len(set(names)) != len(names):
        why = "it holds a member twice"
    elif any(i.flag_bits & 1 for i in infos):
        why = "it is encrypted"
    elif total > LARGEST or any(i.file_size > RATIO * (i.compress_size + 64) for i in infos):
        why = "it unpacks to more than a pack can hold"
    else:
        why = loose(file, archive)
    if why:
        raise ConfigError(f"{name} is not a pack of tieout: {why}", hint="nothing of it was unpacked")


def _manifest(pack: _Pack, given: list[PublicKey]) -> tuple[list[Part], PublicKey | None, bool]:
    """The signature, and the key that it is held against."""
    try:
        body, signature = pack.bytes_of(MANIFEST), pack.bytes_of(SIGNATURE)
        own = public_key(pack.bytes_of("public-key.pem"), "the pack")
        manifest = _json(body)
    except KeyError as error:
        return [Part(MANIFEST, "missing", str(error.args[0]))], None, False
    except (_Wrong, ConfigError) as error:
        return [Part(MANIFEST, "altered", str(error))], None, False
    if not isinstance(manifest, dict) or not isinstance(manifest.get("members"), dict):
        return [Part(MANIFEST, "altered", "it is not what a manifest holds")], None, False
    signers = given or [own]
    key = next((k for k in signers if len(signature) == SIGNATURE_BYTES and k.signed(DOMAIN + body, signature)), None)
    if key is None or manifest.get("key") != key.id or manifest.get("format") != FORMAT:
        which = "the key that was given" if given else "the key in it"
        return [Part(MANIFEST, "altered", f"it is not signed with {which}")], None, False
    pack.manifest = manifest
    if own != key:
        return [Part(MANIFEST, "altered", "the key in the pack is another one")], key, bool(given)
    said = (
        "signed with the key that was given" if given else "of one piece; whose it is, only a key known before can tell"
    )
    return [Part(MANIFEST, "proves", said)], key, bool(given)


def _members(pack: _Pack) -> list[Part]:
    """Each member against its hash."""
    told = pack.manifest.get("members", {})
    there = set(pack.archive.namelist())
    parts = []
    for name in MEMBERS:
        if name in (MANIFEST, SIGNATURE):
            continue
        if name not in there:
            parts.append(Part(name, "missing", "it is not in the pack"))
            continue
        if name not in told:
            parts.append(Part(name, "not proved" if not told else "altered", "the manifest does not name it"))
            continue
        parts.append(_member(pack, name, told[name]))
    return parts


def _member(pack: _Pack, name: str, told: Any) -> Part:
    hash_, size = hashlib.sha256(), 0
    try:
        for chunk in pack.chunks(name):
            hash_.update(chunk)
            size += len(chunk)
    except _Wrong as error:
        return Part(name, "altered", str(error))
    if told != {"sha256": hash_.hexdigest(), "size": size}:
        return Part(name, "altered", "it is not what was packed")
    return Part(name, "proves", f"{counted(size, 'byte')}, as packed")


# ── what the parts say of each other ─────────────────────────────────────────────────────────────────────────────────


def _checked(pack: _Pack, check: _Check, sound: set[str], key: PublicKey | None) -> Part:
    """One check; what rests on something that does not hold is not proved."""
    part, needs, run = check
    lacking = [n for n in needs if n not in sound]
    if key is None or lacking:
        return Part(part, "not proved", f"for want of {', '.join(lacking) or 'a signature'}")
    try:
        says = run(pack, key)
    except _NotCompared as error:
        return Part(part, "not compared", str(error))
    except _Wrong as error:
        return Part(part, "altered", str(error))
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        return Part(part, "altered", f"it is not what such a part holds ({type(error).__name__})")
    sound.add(part)
    return Part(part, "proves", says)


def _events(pack: _Pack, key: PublicKey) -> str:
    """Every event follows from the one before it, from an anchor to an anchor."""
    anchors: dict[int, Anchor] = {}
    for line in pack.lines("anchors.jsonl"):
        anchor = parse(line) if len(line) <= LONGEST else None
        if anchor is None or not anchor.is_signed(key):
            raise _Wrong("an anchor is not signed with the key")
        anchors[anchor.seq] = anchor
    last, hash_, held = 0, GENESIS, 0
    for event in pack.rows("events.jsonl"):
        if event["seq"] != last + 1:
            if last and held != last:
                raise _Wrong(f"event {last} ends a stretch, and no anchor holds it")
            before = anchors.get(event["seq"] - 1)
            if before is None:
                raise _Wrong(f"event {event['seq']} follows from no anchor")
            hash_ = before.hash
        if event["prev_hash"] != hash_ or event_hash(event) != event["hash"]:
            raise _Wrong(f"event {event['seq']} was altered")
        last, hash_ = event["seq"], event["hash"]
        if last in anchors:
            if anchors[last].hash != hash_:
                raise _Wrong(f"event {last} is not the one that was anchored")
            held = last
        pack.events[last] = event
    if not pack.events or held != last:
        raise _Wrong("no anchor holds its last event")
    return f"{counted(len(pack.events), 'event')}, each from the one before, held by {counted(len(anchors), 'anchor')}"


def _of(pack: _Pack, kind: str, *actions: str, id: str | None = None) -> list[tuple[Mapping[str, Any], Any]]:
    """Events of a kind, with what they say, in order."""
    return [
        (e, _json(e["payload"].encode()))
        for e in pack.events.values()
        if e["object_type"] == kind and e["action"] in actions and id in (None, e["object_id"])
    ]


def _run(pack: _Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    [(_, started)] = _of(pack, "run", "started", id=run["id"])
    [(event, ended)] = _of(pack, "run", "ended", id=run["id"])
    if run["id"] != pack.manifest["run"] or run["pair"] != pack.manifest["pair"]:
        raise _Wrong("it is another run than the manifest names")
    if (started["mode"], started.get("config", run["config_hash"])) != (run["mode"], run["config_hash"]):
        raise _Wrong("its mode or configuration is not the one of its first event")
    if (
        ended["status"] != run["status"]
        or event["at"] != run["finished_at"]
        or not same(ended.get("report"), run["report"])
    ):
        raise _Wrong("its end or its report is not the one that its last event covers")
    return f"{run['status']}, {run['started_at']} to {run['finished_at']}"


def _configuration(pack: _Pack, _key: PublicKey) -> str:
    run, body = pack.json("run.json"), pack.bytes_of("configuration.json")
    [(_, started)] = _of(pack, "run", "started", id=run["id"])
    told = started.get("configured")
    if told is None:
        return "none was kept with the run"
    if hashlib.sha256(body).hexdigest() != told:
        raise _Wrong("it is not the one that the run was started with")
    return "the one that the run was started with, without secrets"


def _reads(pack: _Pack, _key: PublicKey) -> str:
    """What was read: each read has its event, each record is covered by one, each payload is what its hash says."""
    run = pack.json("run.json")
    told = {e["object_id"]: says for e, says in _of(pack, "snapshot", "fetched") if e["run"] == run["id"]}
    reads = {r["id"]: r for r in pack.json("inputs/reads.json")}
    if reads.keys() != told.keys():
        raise _Wrong("a read has no event, or an event no read")
    for id, read in reads.items():
        says = told[id]
        known = says["connection"], says["entity"], count_of(says), says["sources"]
        if known != (read["connection"], read["entity"], read["rows"], read["sources"]):
            raise _Wrong(f"the read of {read['entity']} from {read['connection']} is not what its event says")
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
            raise _Wrong(f"no event covers {record['entity']} {record['native_id']}")
    for id, rows in observed.items():
        if not same(told[id].get("observed"), rows):
            raise _Wrong(
                f"the records of {reads[id]['entity']} from {reads[id]['connection']} are not those that were read"
            )
    payloads = set()
    for row in pack.rows("inputs/payloads.jsonl"):
        if hashlib.sha256(row["payload"].encode()).hexdigest() != row["hash"]:
            raise _Wrong(f"payload {row['hash'][:16]} was altered")
        payloads.add(row["hash"])
    if hashes - {None} != payloads:
        raise _Wrong("a payload is missing, or belongs to no record")
    news = counted(count, "record that was news", "records that were news")
    return f"{counted(len(reads), 'read')}, {news}, {counted(len(payloads), 'payload')}"


def _plans(pack: _Pack, _key: PublicKey) -> str:
    run, plans = pack.json("run.json"), pack.json("plans.json")
    planned = {e["object_id"]: says for e, says in _of(pack, "plan", "planned")}
    for plan in plans:
        says = planned[plan["id"]]
        if says["hash"] != plan["hash"] or not same(says.get("body"), plan["body"]):
            raise _Wrong(f"plan {plan['id']} is not what was planned")
        hashes = _json(plan["body"].encode())["hashes"]
        if digest({"config": plan["config_hash"], "operations": hashes}) != plan["hash"]:
            raise _Wrong(f"the hash of plan {plan['id']} is not that of its operations")
    named = _json(run["report"].encode())["plan"]["id"]
    if named is not None and named not in {p["id"] for p in plans}:
        raise _Wrong("the plan of the run is missing")
    return f"{counted(len(plans), 'plan')}, each with the hash that was approved or waited"


_SAID = ("approved", "rejected", "superseded", "stands_again", "outdated", "decided", "signed_off")


def _decisions(pack: _Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    end = max(e["seq"] for e, _ in _of(pack, "run", "ended", id=run["id"]))
    plans = {p["id"] for p in pack.json("plans.json")}
    there = {d["seq"]: d for d in pack.json("decisions.json")}
    for seq, one in there.items():
        event = pack.events[seq]
        if any(one[k] != event[k] for k in ("at", "actor", "action", "object_type", "object_id")):
            raise _Wrong(f"event {seq} says otherwise")
        if one["says"] != _json(event["payload"].encode()):
            raise _Wrong(f"event {seq} says otherwise")
    for seq, event in pack.events.items():
        mine = event["object_type"] == "plan" and event["object_id"] in plans and seq <= end
        if event["action"] in _SAID and (mine or event["run"] == run["id"]) and seq not in there:
            raise _Wrong(f"event {seq} is left out: {event['action']} by {event['actor']}")
    return f"{counted(len(there), 'decision')}, each by the person that its event names"


def _writes(pack: _Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    there = {w["id"]: w for w in pack.json("writes.json")}
    mine = {e["object_id"] for e in pack.events.values() if e["object_type"] == "intent" and e["run"] == run["id"]}
    if mine != there.keys():
        raise _Wrong("a write is left out, or has no event")
    for id, write in there.items():
        events = [(pack.events[seq], _json(pack.events[seq]["payload"].encode())) for seq in write["events"]]
        if any(e["object_id"] != id for e, _ in events) or events[-1][0]["action"] != write["state"]:
            raise _Wrong(f"write {write['key']} did not end so")
        wanted = [says for e, says in events if e["action"] == "intended"][-1]
        request, operation = write["request"], write["operation"]
        if (wanted["key"], wanted["op"], wanted.get("plan")) != (write["key"], write["op"], write["plan"]):
            raise _Wrong(f"write {write['key']} is not the one that was wanted")
        if request is not None and not same(wanted.get("request_hash"), [request, write["op"]]):
            raise _Wrong(f"what write {write['key']} carried is not what was wanted")
        if operation is not None and not same(wanted.get("operation"), operation):
            raise _Wrong(f"write {write['key']} is of another operation")
        told = _json(operation.encode()) if operation is not None else {}
        if told and (told["connection"], told["currency"]) != (write["connection"], write["currency"]):
            raise _Wrong(f"write {write['key']} goes elsewhere than its operation says")
        if told and micros(Decimal(told["delta"])) != write["delta_micros"]:
            raise _Wrong(f"write {write['key']} moves something else than its operation says")
        native = next((s["native_id"] for _, s in reversed(events) if s.get("native_id")), None)
        otherwise = next((s["read_back_otherwise"] for e, s in reversed(events) if e["action"] == "done"), None)
        if (native, otherwise) != (write["native_id"], write["read_back_otherwise"]):
            raise _Wrong(f"write {write['key']} was read back otherwise")
    return f"{counted(len(there), 'write')}, each with its request, its key and what became of it"


def _differences(pack: _Pack, _key: PublicKey) -> str:
    run = pack.json("run.json")
    found = {
        e["seq"]: {"seq": e["seq"], "happened": e["action"], "id": e["object_id"]} | _json(e["payload"].encode())
        for e in pack.events.values()
        if e["object_type"] == "discrepancy" and e["run"] == run["id"]
    }
    if {d["seq"]: d for d in pack.json("differences.json")} != found:
        raise _Wrong("they are not those that the events tell of")
    return f"{len(found)} found, changed or closed"


def _bridge(pack: _Pack, _key: PublicKey) -> str:
    report = _json(pack.json("run.json")["report"].encode())
    bridge = pack.json("bridge.json")
    if bridge != {k: report.get(k) for k in ("left", "right", "by_code", "bridge")}:
        raise _Wrong("it is not the one in the report of the run")
    for currency, one in (bridge["bridge"] or {}).items():
        sum_ = Decimal(one["left_total"]) + sum(Decimal(line["delta"]) for line in one["lines"])
        if sum_ + Decimal(one["remainder"]) != Decimal(one["right_total"]):
            raise _Wrong(f"it does not add up in {currency}")
    return "it adds up, in " + (", ".join(sorted(bridge["bridge"] or {})) or "no currency: nothing was compared")


def _page(pack: _Pack, key: PublicKey) -> str:
    """The page, and what it says of verifying, against what this program makes of the parts that were just proved."""
    made = pack.manifest["program"]
    if made != PROGRAM:
        raise _NotCompared(
            f"{made} made it, and this is {PROGRAM}: verify it with that one, or read the files beside it"
        )
    run = pack.json("run.json")
    report, differences = _json(run["report"].encode()), pack.json("differences.json")
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
        raise _Wrong(f"{PAGE} does not say what the files beside it say")
    if how_to_verify() != pack.bytes_of(HOW):
        raise _Wrong(f"{HOW} is another text")
    return f"{PAGE} says what the files beside it say"


def _printable(report: Mapping[str, Any], differences: Iterable[Mapping[str, Any]]) -> None:
    """Refuse an amount that nobody can print: a few characters of it would become gigabytes."""
    amounts = [d["delta"] for d in differences if d.get("delta") is not None]
    for one in (report.get("bridge") or {}).values():
        amounts += [one["left_total"], one["right_total"], one["remainder"], *(line["delta"] for line in one["lines"])]
    if any(not (d := Decimal(a)).is_finite() or abs(d.adjusted()) > DIGITS for a in amounts):
        raise _Wrong("it has an amount that no ledger holds")


_TOLD = "configuration", "inputs", "plans", "decisions", "writes", "differences", "bridge"
_CHECKS: tuple[_Check, ...] = (
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
