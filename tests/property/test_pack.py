"""The pack of a run: the same bytes every time, and no byte of it can be changed unseen."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.deep import DEEP
from tests.unit.evidence.past import KEYS, SIGNER, Kept, kept_past, opened
from tieout.errors import ConfigError, FatalError, RefusedError
from tieout.evidence import index, pack, unpack
from tieout.evidence.anchors import parse
from tieout.evidence.chain import Examined, examine_journal
from tieout.evidence.keys import Signer
from tieout.evidence.unpack import Unpacked
from tieout.sync import schema
from tieout.sync.core.facts import canonical, digest
from tieout.sync.store import GENESIS, Store, event_hash, loads

PICK = st.integers(0, 1_000_000)
PHASES = (Phase.explicit, Phase.generate)
MALLORY = Signer(bytes(32))
RUNS = 9  # of the past, that ended


@pytest.fixture(scope="module")
def kept() -> Kept:
    return kept_past()


def state(kept: Kept) -> tuple[Store, list[Examined]]:
    return opened(kept.last)[0], [examine_journal("journal", kept.lines, KEYS)]


@cache
def packed(nth: int = 0) -> bytes:
    """The pack of the nth run of that past that ended."""
    store, journals = state(kept_past())
    runs = store.rows(sa.select(schema.run.c.id).where(schema.run.c.status == "ok").order_by(schema.run.c.started_at))
    target = io.BytesIO()
    pack.write(target, store, journals, SIGNER, run=runs[nth]["id"], company="Example Ltd")
    return target.getvalue()


def members(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return out.getvalue()


def verified(body: bytes, *keys: Signer) -> Unpacked:
    return unpack.verify(io.BytesIO(body), name="x.zip", keys=[k.public for k in keys])


def signed(parts: dict[str, bytes], signer: Signer) -> dict[str, bytes]:
    """The parts with a manifest that fits them, signed: what somebody with a key of their own can make of it."""
    import hashlib

    manifest = json.loads(parts["manifest.json"])
    parts["public-key.pem"] = signer.public.pem().encode()
    for name, body in parts.items():
        if name in manifest["members"]:
            manifest["members"][name] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    manifest["key"] = signer.public.id
    parts["manifest.json"] = pack.text(manifest)
    parts["manifest.sig"] = signer.sign(pack.DOMAIN + parts["manifest.json"])
    return parts


def test_every_run_gives_the_same_bytes_and_every_part_proves(kept: Kept) -> None:
    store, journals = state(kept)
    for row in store.rows(sa.select(schema.run).where(schema.run.c.status == "ok")):
        twice = []
        for _ in range(2):
            target = io.BytesIO()
            pack.write(target, store, journals, SIGNER, run=row["id"], company="Example Ltd")
            twice.append(target.getvalue())
        assert twice[0] == twice[1]
        found = verified(twice[0], SIGNER)
        assert [p for p in found.parts if p.verdict != "proves"] == []
        assert (found.exit_code, found.trusted, found.run) == (0, True, row["id"])


def test_the_pack_of_a_run_is_the_same_after_later_runs(kept: Kept) -> None:
    """Made when the run had ended, and made after everything that came later."""
    store, journals = state(kept)
    first = store.rows(sa.select(schema.run.c.id).order_by(schema.run.c.started_at))[1]["id"]
    early, _ = opened(kept.copies[3])
    made = []
    for one in (early, store):
        target = io.BytesIO()
        pack.write(target, one, journals, SIGNER, run=first, company="Example Ltd")
        made.append(members(target.getvalue()))
    assert made[0] == made[1]


def test_the_pack_holds_what_an_auditor_asks_for() -> None:
    seen: set[str] = set()
    for nth in range(RUNS):
        parts = members(packed(nth))
        assert tuple(parts) == pack.MEMBERS
        writes = json.loads(parts["writes.json"])
        seen |= {f"write {w['state']}" for w in writes}
        seen |= {"lost answer" for w in writes if w["attempts"] and w["attempts"][0]["outcome"] == "unknown"}
        seen |= {d["action"] for d in json.loads(parts["decisions.json"])}
        seen |= {d["happened"] for d in json.loads(parts["differences.json"])}
        seen |= {"payload"} if parts["inputs/payloads.jsonl"] else set()
        seen |= {"bridge"} if json.loads(parts["bridge.json"])["bridge"] else set()
        for w in writes:
            assert w["key"] and loads(w["operation"])["key"]
            assert w["native_id"] or w["state"] != "done"
    assert {"write done", "approved", "opened", "payload", "bridge"} <= seen


@given(where=PICK, bit=st.integers(0, 7), name=st.sampled_from(pack.MEMBERS))
@settings(max_examples=120 if DEEP else 50, phases=PHASES)
def test_a_changed_byte_of_any_member_is_found(where: int, bit: int, name: str) -> None:
    parts = members(packed(0))
    body = bytearray(parts[name])
    body[where % len(body)] ^= 1 << bit
    parts[name] = bytes(body)
    found = verified(zipped(parts), SIGNER)
    assert found.exit_code == 5
    blamed = {p.name for p in found.parts if p.verdict in ("altered", "missing")}
    assert blamed & {name, "manifest.json"}


# What events cover of each part: nobody without the anchors makes these say something else, whoever signs the pack.
COVERED = {
    "run.json": ("mode", "status", "config_hash", "report", "finished_at", "pair"),
    "inputs/reads.json": ("connection", "entity", "rows", "id"),
    "inputs/records.jsonl": ("record", "raw_hash", "existence", "native_id"),
    "inputs/payloads.jsonl": ("payload", "hash"),
    "plans.json": ("hash", "body", "config_hash", "id"),
    "decisions.json": ("at", "actor", "action", "object_type", "object_id", "seq"),
    "writes.json": ("key", "op", "request", "operation", "state", "native_id", "plan", "connection", "currency", "id"),
    "differences.json": ("happened", "id", "code", "delta", "values", "left"),
    "events.jsonl": ("at", "actor", "action", "object_type", "object_id", "run", "payload", "prev_hash", "hash", "seq"),
    "anchors.jsonl": ("at", "seq", "hash", "sig", "key", "database", "prev", "n"),
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in COVERED.items() for key in keys])
def test_a_changed_value_is_found_by_the_events_even_if_the_pack_is_signed_anew(name: str, key: str) -> None:
    tried = 0
    for nth in range(RUNS):
        parts = members(packed(nth))
        whole = name.endswith(".jsonl")
        rows = [json.loads(line) for line in parts[name].splitlines()] if whole else json.loads(parts[name])
        held = [r for r in ([rows] if isinstance(rows, dict) else rows) if r.get(key) not in (None, "")]
        if not held:
            continue
        row = held[nth % len(held)]
        value = row[key]
        row[key] = value + 1 if isinstance(value, int) else altered(value, 7 * nth)
        parts[name] = b"".join(pack.lines(rows)) if whole else pack.text(rows)
        found = verified(zipped(signed(parts, SIGNER)), SIGNER)
        assert found.exit_code == 5, (nth, value)
        tried += 1
        if tried == 3:
            break
    assert tried


def altered(value: str, where: int) -> str:
    at = where % len(value)
    return value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]


def verdicts(found: Unpacked) -> dict[str, str]:
    return {p.name: p.verdict for p in found.parts if p.verdict != "proves"}


@pytest.mark.parametrize("name", ["index.html", "HOW-TO-VERIFY.txt"])
def test_a_page_of_something_else_is_found_even_if_the_pack_is_signed_anew(name: str) -> None:
    """Who has the key puts in what people read of another run, or another word on how to verify."""
    other = {"index.html": members(packed(1))["index.html"], "HOW-TO-VERIFY.txt": b"Nothing is to be verified.\n"}
    found = verified(zipped(signed(members(packed(0)) | {name: other[name]}, SIGNER)), SIGNER)
    assert (found.exit_code, verdicts(found)) == (5, {"page": "altered"})


def test_a_page_of_another_version_is_not_compared_and_that_is_said() -> None:
    parts = members(packed(0))
    manifest = json.loads(parts["manifest.json"]) | {"program": "tieout 0.0.9"}
    parts |= {"manifest.json": pack.text(manifest), "index.html": b"<h1>as it was then</h1>"}
    found = verified(zipped(signed(parts, SIGNER)), SIGNER)
    assert (found.exit_code, verdicts(found)) == (0, {"page": "not compared"})
    assert "tieout 0.0.9 made it, and this is tieout " in found.parts[-1].says


def reckoned_anew(parts: dict[str, bytes], report: dict[str, Any], signer: Signer) -> dict[str, bytes]:
    """Another report of the run, and all events and anchors made to fit it: what somebody with a key can make of it."""
    run, events = json.loads(parts["run.json"]), [json.loads(e) for e in parts["events.jsonl"].splitlines()]
    run["report"] = canonical(report)
    hashes = {0: GENESIS}
    anchors = [a for line in parts["anchors.jsonl"].splitlines() if (a := parse(line))]
    for event in events:
        if (event["object_type"], event["action"], event["object_id"]) == ("run", "ended", run["id"]):
            event["payload"] = canonical(json.loads(event["payload"]) | {"report": digest(run["report"])})
        event["prev_hash"] = hashes.get(event["seq"] - 1, event["prev_hash"])
        event["hash"] = hashes[event["seq"]] = event_hash(event)
    anchors = [replace(a, hash=hashes.get(a.seq, a.hash), key=signer.public.id).signed_by(signer) for a in anchors]
    made = {
        "run.json": pack.text(run),
        "bridge.json": pack.text({k: report.get(k) for k in ("left", "right", "by_code", "bridge")}),
        "events.jsonl": b"".join(pack.lines(events)),
        "anchors.jsonl": b"".join(a.line.encode() + b"\n" for a in anchors),
    }
    return signed(parts | made, signer)


@pytest.mark.parametrize(("amount", "said"), [("7.00", "does not say what"), ("1E+999999", "no ledger holds")])
def test_a_pack_that_is_made_up_as_a_whole_is_judged_without_writing_out_what_no_ledger_holds(
    amount: str, said: str
) -> None:
    """Nobody's key is known, and the parts fit each other: the page alone does not."""
    parts = members(next(p for n in range(RUNS) if json.loads(members(p := packed(n))["bridge.json"])["bridge"]))
    report = json.loads(json.loads(parts["run.json"])["report"])
    report["bridge"]["USD"] = {"left_total": amount, "lines": [], "remainder": "0", "right_total": amount}
    found = verified(zipped(reckoned_anew(parts, report, MALLORY)))
    assert verdicts(found) == {"page": "altered"}
    assert said in found.parts[-1].says


def test_another_key_proves_nothing() -> None:
    parts = signed(members(packed(0)), MALLORY)
    alone = verified(zipped(parts))
    assert {p.name: p.verdict for p in alone.parts}["events"] == "altered", "its anchors are of another key"
    found = verified(zipped(parts), SIGNER)
    assert found.exit_code == 5
    assert found.parts[0].verdict == "altered"
    assert "not signed with the key that was given" in found.parts[0].says
    good = verified(packed(0))
    assert (good.exit_code, good.trusted) == (0, False)


@pytest.mark.parametrize("name", pack.MEMBERS)
def test_a_missing_member_is_named(name: str) -> None:
    parts = members(packed(0))
    del parts[name]
    found = verified(zipped(parts), SIGNER)
    assert found.exit_code == 5
    if name not in ("manifest.json", "manifest.sig", "public-key.pem"):
        assert ("missing", name) in {(p.verdict, p.name) for p in found.parts}


@pytest.mark.parametrize(
    ("strange", "says"),
    [
        ("../../etc/passwd", "which no pack does"),
        ("/etc/passwd", "which no pack does"),
        ("run.json/", "which no pack does"),
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_unpacked(strange: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        verified(zipped(members(packed(0)) | {strange: b"x"}))


def test_bombs_doubles_and_what_is_no_zip_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than a pack can hold"):
        verified(zipped(members(packed(0)) | {"index.html": b"\0" * 50_000_000}))
    doubled = io.BytesIO(packed(0))
    with zipfile.ZipFile(doubled, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("run.json", b"{}")
    with pytest.raises(ConfigError, match="a member twice"):
        verified(doubled.getvalue())
    for body in (b"", b"PK", packed(0)[:-40], b"no zip at all"):
        with pytest.raises(ConfigError, match="is not a pack"):
            verified(body)


@given(body=st.binary(max_size=200), at=PICK)
@settings(max_examples=60 if DEEP else 25, phases=PHASES)
def test_whatever_bytes_a_pack_is_of_it_is_judged_or_refused(body: bytes, at: int) -> None:
    whole = packed(0)
    cut = at % len(whole)
    mixed = whole[:cut] + body + whole[cut + len(body) :]
    try:
        found = verified(mixed, SIGNER)
    except ConfigError:
        return
    assert found.exit_code in (0, 5)
    if found.exit_code == 0:
        assert members(mixed) == members(whole)


def test_what_openssl_says_of_the_signature(tmp_path: Path) -> None:
    parts = members(packed(0))
    (tmp_path / "key.pem").write_bytes(SIGNER.public.pem().encode())
    (tmp_path / "signed").write_bytes(b"tieout pack 1\n" + parts["manifest.json"])
    (tmp_path / "sig").write_bytes(parts["manifest.sig"])
    words = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "signed",
        "-sigfile",
        "sig",
    ]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "signed").write_bytes(b"tieout pack 2\n" + parts["manifest.json"])
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_run_that_is_not_there_has_not_ended_or_is_not_anchored_has_no_pack(kept: Kept) -> None:
    store, journals = state(kept)
    killed = store.rows(sa.select(schema.run.c.id).where(schema.run.c.status == "crashed"))[0]["id"]

    def made(run: str, held: list[Any] = journals) -> None:
        pack.write(io.BytesIO(), store, held, SIGNER, run=run, company="Example Ltd")

    with pytest.raises(ConfigError, match="too short"):
        made("01a2")
    with pytest.raises(ConfigError, match="no runs match"):
        made("ffffffff-0000")
    with pytest.raises(RefusedError, match="has not ended"):
        made(killed)
    last = store.rows(sa.select(schema.run.c.id).order_by(schema.run.c.started_at.desc()))[0]["id"]
    with pytest.raises(RefusedError, match="held by no anchor"):
        made(last, [examine_journal("journal", kept.lines[:-1], KEYS)])


@pytest.mark.parametrize(
    "spoilt", ["UPDATE run SET report = NULL", "UPDATE blob SET body = x'00'", "UPDATE plan SET body = '{'"]
)
def test_of_a_state_that_was_altered_no_pack_is_made_and_it_is_said_why(kept: Kept, spoilt: str) -> None:
    store, journals = state(kept)
    planned = sa.select(schema.run.c.id).join(schema.plan, schema.plan.c.run == schema.run.c.id)
    run = store.rows(planned.where(schema.run.c.status == "ok").order_by(schema.run.c.started_at))[0]["id"]
    with store.writing(None) as tx:
        tx.db.exec_driver_sql(spoilt)
    with pytest.raises(FatalError, match="the state was altered: "):
        pack.write(io.BytesIO(), store, journals, SIGNER, run=run, company="Example Ltd")


def test_a_defect_of_ours_or_a_full_disk_is_not_told_as_an_altered_state(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, journals = state(kept)
    run = store.rows(sa.select(schema.run.c.id).where(schema.run.c.status == "ok"))[0]["id"]

    class Full(io.BytesIO):
        room = 0

        def write(self, data: Any) -> int:
            if self.tell() + len(data) > self.room:
                raise OSError(errno.ENOSPC, "no space left on device")
            return super().write(data)

    for room in (0, 40, 4_000, len(packed()) - 30):
        full = Full()
        full.room = room
        with pytest.raises(OSError, match="no space left"):
            pack.write(full, store, journals, SIGNER, run=run, company="Example Ltd")
    monkeypatch.setattr(index, "page", lambda **_: {}["no such key"])
    with pytest.raises(KeyError, match="no such key"):
        pack.write(io.BytesIO(), store, journals, SIGNER, run=run, company="Example Ltd")


def raw(parts: dict[str, bytes], **of: Any) -> bytes:
    """A zip of the parts; comment, and each member's, extra field and mode as given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = of.get("comment", b"")
        for name, body in parts.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment, info.extra = (
                zipfile.ZIP_DEFLATED,
                of.get("said", b""),
                of.get("extra", b""),
            )
            info.external_attr = of.get("mode", 0o600) << 16
            archive.writestr(info, body)
    return out.getvalue()


def hidden(body: bytes, at: int, more: bytes) -> bytes:
    """The same zip with bytes put in before `at`, and its directory, and all that it names behind them, moved along."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        start, infos = archive.start_dir, archive.infolist()
    out = bytearray(body[:at] + more + body[at:])
    entry = start + len(more)
    for info in infos:
        if info.header_offset >= at:
            out[entry + 42 : entry + 46] = (info.header_offset + len(more)).to_bytes(4, "little")
        entry += 46 + len(info.filename) + len(info.extra) + len(info.comment)
    out[-6:-2] = (start + len(more)).to_bytes(4, "little")
    return bytes(out)


def tricks() -> dict[str, bytes]:
    """Packs whose members are all what was signed, and which other programs read as something else, or show more of."""
    body = packed(0)
    parts = members(body)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        second, directory = archive.infolist()[1].header_offset, archive.start_dir
    forged = raw({"index.html": b"<h1>all is well</h1>"})
    forged = forged[: forged.index(b"PK\x01\x02")]  # its header and its bytes: read by what unpacks from the beginning
    size = bytearray(body)
    size[22:26] = b"\1\0\0\0"
    method = bytearray(body)
    method[8:10] = b"\0\0"  # stored, says the header before the member
    return {
        "before": forged + body,
        "before, moved along": hidden(body, 0, forged),
        "between": hidden(body, second, forged),
        "before the directory": hidden(body, directory, forged),
        "after": body + forged,
        "after, as a comment": body[:-2] + len(forged).to_bytes(2, "little") + forged,
        "comment": raw(parts, comment=b"see attachment"),
        "comment of a member": raw(parts, said=b"see attachment"),
        "another name in a field of its own": raw(parts, extra=b"up\x09\0\1\0\0\0\0evil"),
        "link": raw(parts, mode=0o120777),
        "folder": raw(parts, mode=0o040700),
        "size": bytes(size),
        "method": bytes(method),
    }


TRICKS = (
    "before",
    "before, moved along",
    "between",
    "before the directory",
    "after",
    "after, as a comment",
    "comment",
    "comment of a member",
    "another name in a field of its own",
    "link",
    "folder",
    "size",
    "method",
)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_zip_that_other_programs_read_otherwise_is_no_pack(trick: str) -> None:
    """Every member is the one that was signed; the zip around them is not of one reading."""
    with pytest.raises(ConfigError, match="is not a pack"):
        verified(tricks()[trick], SIGNER)


def test_the_tricks_are_tricks_for_programs_that_do_not_look() -> None:
    """Each still opens, and what it names in its directory is all there: nothing but its form is wrong."""
    assert set(tricks()) == set(TRICKS)
    for name, body in tricks().items():
        if name not in ("after", "method", "size"):
            assert members(body) == members(packed(0)), name


def test_a_pack_that_somebody_put_together_anew_proves_as_well() -> None:
    assert verified(raw(members(packed(0))), SIGNER).exit_code == 0
