"""`tieout evidence` as it is typed, on an office with QuickBooks and a file ERP."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path

from tests.cli.office import Office, office


def verify(it: Office, *words: str | Path) -> tuple[int, dict[str, object], str]:
    ran = it.run("evidence", "verify", "--json", *words)
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def test_the_life_of_the_evidence_of_an_office(tmp_path: Path) -> None:
    with office(tmp_path, seed="empty", sample=2) as it:
        state, journal = it.folder / "tieout.db", it.folder / "evidence" / "anchors.jsonl"
        it.settled()
        code, found, _ = verify(it)
        assert (code, found["verdict"], found["findings"]) == (0, "intact", [])
        assert found["not_anchored"] == 0
        shutil.copy(state, it.folder / "backup.db")
        it.erp(sample=3)
        there = it.settled()

        # Every command that decides is anchored as well.
        lines = len(journal.read_bytes().splitlines())
        listed = json.loads(it.run("discrepancies", "list", "--json").stdout)["discrepancies"]
        if listed:
            assert it.run("discrepancies", "decide", listed[0]["id"], "acknowledge", "--by", "Ada").returncode == 0
            assert len(journal.read_bytes().splitlines()) == lines + 1

        # Altered: named, and its place.
        shutil.copy(state, it.folder / "whole.db")
        with sqlite3.connect(state) as db:
            db.execute("UPDATE audit_event SET actor = 'Mallory' WHERE seq = 7")
        code, found, _ = verify(it)
        assert (code, found["verdict"]) == (5, "altered")
        assert found["findings"][0]["where"] == "event 7"  # type: ignore[index]
        shown = it.run("evidence", "verify")
        assert "ALTERED" in shown.stdout
        assert "event 7 was altered" in shown.stderr

        # Restored: noticed, only looked with, confirmed, nothing doubled.
        shutil.copy(it.folder / "backup.db", state)
        assert verify(it)[:2][0] == 4
        assert it.run("check").returncode == 4
        ran = it.run("sync", "--apply")
        assert ran.returncode == 4
        assert "older than its newest anchor" in ran.stderr
        assert "tieout evidence confirm --by NAME --reason TEXT" in ran.stderr
        ran = it.run("evidence", "confirm", "--by", "Grace", "--reason", "restored on purpose")
        assert ran.returncode == 0, ran.stderr
        assert it.settled() == there
        code, found, _ = verify(it)
        assert (code, found["verdict"]) == (0, "intact")

        # The key is for the auditor; with another one nothing of it counts.
        assert it.run("evidence", "key", "-o", "public.pem").returncode == 0
        assert verify(it, "--key", it.folder / "public.pem")[0] == 0
        shutil.rmtree(it.folder / ".tieout")
        (it.folder / ".tieout").mkdir(mode=0o700)
        assert verify(it)[1]["verdict"] == "anchors_forged"


def test_an_anchor_that_cannot_be_written_is_loud_and_undoes_nothing(tmp_path: Path) -> None:
    with office(tmp_path, seed="empty", sample=1) as it:
        text = (it.folder / "tieout.toml").read_text("utf-8")
        (it.folder / "tieout.toml").write_text(
            text + '\n[evidence]\nanchors = ["not/mounted/anchors.jsonl", "kept.jsonl"]\nlog = true\n', "utf-8"
        )
        ran = it.run("sync", "--apply", "--json")
        assert ran.returncode == 2
        run = json.loads(ran.stdout)["runs"][0]
        assert run["applied"]["done"] or run["applied"]["pending"]
        assert "not/mounted/anchors.jsonl cannot be read or written" in ran.stderr
        assert "tieout anchor {" in ran.stderr
        assert len((it.folder / "kept.jsonl").read_bytes().splitlines()) >= 2


def test_a_pack_is_verified_elsewhere_with_nothing_but_the_key_and_holds_no_secret(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    with office(home, seed="empty", sample=2) as it:
        run = it.sync()["run"]
        ran = it.run("evidence", "pack", run[:13], "-o", away / "run.zip")
        assert ran.returncode == 0, ran.stderr
        assert it.run("evidence", "key", "-o", away / "auditor.pem").returncode == 0
        canaries = [it.site.client_secret, it.site.refresh_token, (home / ".tieout" / "key").read_text().strip()]
    assert (away / "run.zip").stat().st_mode & 0o077 == 0, "it holds what the books hold"
    with zipfile.ZipFile(away / "run.zip") as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
        assert json.loads(archive.read("configuration.json"))["connections"]["quickbooks"]["options"][
            "client_secret"
        ] == ("(secret: environment variable QBO_SECRET)")
        assert json.loads(archive.read("writes.json"))
        assert "sha256:" in archive.read("inputs/reads.json").decode()
    assert all(len(c) > 8 and c.encode() not in whole for c in canaries)

    elsewhere = Office(away, it.site)
    ran = elsewhere.run("evidence", "verify", "run.zip", "--key", "auditor.pem", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["verdict"], found["run"], found["key_known"]) == ("proves", run, True)
    assert {p["verdict"] for p in found["parts"]} == {"proves"}
    ones = {one for p in found["parts"] for one in re.findall(r"\b1 [a-z]+", p["says"])}
    assert ones
    assert not [one for one in ones if one.endswith("s")], "one is no plural"
    ran = elsewhere.run("evidence", "verify", "run.zip")
    assert "with the key that you were given: --key" in ran.stderr
    ran = elsewhere.run("evidence", "verify", "run.zip", "--anchors", "anchors.jsonl")
    assert ran.returncode == 2
    assert "a pack is held against the anchors inside it" in ran.stderr
    cut = (away / "run.zip").read_bytes()[:-100]
    (away / "run.zip").write_bytes(cut)
    ran = elsewhere.run("evidence", "verify", "run.zip")
    assert ran.returncode == 2
    assert "is not a pack" in ran.stderr
