"""Anchors: appended, signed, private, held alone; and what happens where they cannot be written."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.unit.evidence.past import KEYS, SIGNER, lived
from tieout.connectors.memory import ManualClock
from tieout.errors import ConfigError, RefusedError, RetriableError
from tieout.evidence.anchoring import Anchors, anchor
from tieout.evidence.anchors import parse
from tieout.evidence.keys import Signer, public_key
from tieout.evidence.verify import read_journals, verify
from tieout.sync.state.rewound import older
from tieout.sync.store import Store, open_store


@pytest.fixture
def store() -> Store:
    return open_store("sqlite://", clock=ManualClock())


def happens(store: Store, *what: str) -> None:
    for one in what:
        with store.writing(None) as tx:
            tx.audit("noted", "thing", one)


def test_an_anchor_is_one_signed_line_that_its_owner_alone_may_read(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "evidence" / "anchors.jsonl"
    said: list[str] = []
    happens(store, "a", "b")
    assert anchor(store, Anchors(SIGNER, (path,), said.append)) == []
    first, last = path.read_bytes().splitlines()
    found = parse(last)
    assert found is not None
    assert (found.n, found.seq, found.is_signed(SIGNER.public)) == (1, 3, True)  # the log says that a journal was begun
    assert found.prev == parse(first).digest  # type: ignore[union-attr]
    assert said == [last.decode()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert anchor(store, Anchors(SIGNER, (path,))) == []
    assert len(path.read_bytes().splitlines()) == 2, "nothing happened since"


def test_the_same_in_every_journal_and_each_failure_is_named(store: Store, tmp_path: Path) -> None:
    happens(store, "a")
    nowhere = tmp_path / "not" / "mounted" / "anchors.jsonl"
    good = tmp_path / "anchors.jsonl"
    [wrong] = anchor(store, Anchors(SIGNER, (nowhere, good)))
    assert isinstance(wrong, ConfigError)
    assert str(nowhere) in wrong.message
    assert "mount the volume" in wrong.hint
    assert len(good.read_bytes().splitlines()) == 2


def test_a_full_disk_leaves_whole_lines(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "anchors.jsonl"
    anchors = Anchors(SIGNER, (path,))
    happens(store, "a")
    anchor(store, anchors)
    before, write = path.read_bytes(), os.write
    happens(store, "b")

    def half(file: int, body: bytes) -> int:
        write(file, body[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    [wrong] = anchor(store, anchors)
    monkeypatch.undo()
    assert isinstance(wrong, RetriableError)
    assert path.read_bytes() == before
    assert anchor(store, anchors) == []
    assert verify(store, read_journals([path], KEYS)).verdict == "intact"


def test_a_line_that_broke_off_is_followed_by_whole_ones(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    anchors = Anchors(SIGNER, (path,))
    happens(store, "a")
    anchor(store, anchors)
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines()[1][:70])
    happens(store, "b")
    assert anchor(store, anchors) == []
    found = verify(store, read_journals([path], KEYS))
    assert (found.verdict, len(found.journals[0].anchors)) == ("intact", 3)
    assert "broke off" in found.notes[0]


def test_anchors_that_were_taken_away_are_missed_at_once_and_ever_after(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    anchors = Anchors(SIGNER, (path,))
    happens(store, "a")
    anchor(store, anchors)
    path.unlink()
    happens(store, "b")
    [wrong] = anchor(store, anchors)
    assert isinstance(wrong, RefusedError)
    assert "begun anew" in wrong.message
    assert anchor(store, anchors) == []
    found = verify(store, read_journals([path], KEYS))
    assert (found.verdict, found.exit_code) == ("anchors_absent", 4)


def test_a_journal_of_another_key_is_not_gone_on_with(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    happens(store, "a")
    anchor(store, Anchors(Signer(bytes(32)), (path,)))
    happens(store, "b")
    [wrong] = anchor(store, Anchors(SIGNER, (path,)))
    assert "no anchor that is signed with the key" in wrong.message
    assert verify(store, read_journals([path], KEYS)).verdict == "anchors_forged"


def test_a_symlink_is_no_journal(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.touch()
    (tmp_path / "anchors.jsonl").symlink_to(target)
    happens(store, "a")
    [wrong] = anchor(store, Anchors(SIGNER, (tmp_path / "anchors.jsonl",)))
    assert isinstance(wrong, ConfigError)
    assert target.read_bytes() == b""


def test_what_stands_in_the_place_of_a_journal_is_told_and_never_read_without_end(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for other in (path, tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ConfigError, match="is not a file"):
            read_journals([other], KEYS)
    path.rmdir()
    happens(store, "a")
    anchor(store, Anchors(SIGNER, (path,)))
    os.truncate(path, 16 << 20)  # one line of that length, of which nothing is on the disk
    tracemalloc.start()
    [found] = read_journals([path], KEYS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.anchors) == 2
    assert most < 4 << 20


def test_the_public_key_is_one_that_other_programs_read(tmp_path: Path) -> None:
    pem = tmp_path / "public.pem"
    pem.write_text(SIGNER.public.pem())
    assert public_key(pem.read_bytes(), "here") == SIGNER.public
    told = subprocess.run(["openssl", "pkey", "-pubin", "-in", pem, "-noout", "-text"], capture_output=True, check=True)
    assert b"ED25519" in told.stdout.upper()
    with pytest.raises(ConfigError, match="no public key"):
        public_key(b"-----BEGIN NOTHING-----", "here")
    assert "seed" not in repr(SIGNER)


def test_the_same_verdicts_on_postgresql(pg_url: str, tmp_path: Path) -> None:
    store = open_store(pg_url, clock=ManualClock())
    path = tmp_path / "anchors.jsonl"
    happens(store, *"abcdef")
    assert anchor(store, Anchors(SIGNER, (path,))) == []

    def verdict(sql: str = "") -> Any:
        with store.engine.connect() as db:
            if sql:
                db.exec_driver_sql(sql)
            db.commit()
        return verify(store, read_journals([path], KEYS)).verdict

    assert verdict() == "intact"
    assert verdict("UPDATE audit_event SET actor = 'Mallory' WHERE seq = 3") == "altered"
    assert verdict("UPDATE audit_event SET actor = 'tieout' WHERE seq = 3") == "intact"
    assert verdict("INSERT INTO run SELECT 'r','p',1,'auto','2026','2026','ok','h','v',NULL,NULL") == "rows"
    assert verdict("DELETE FROM audit_event WHERE seq > 5") == "truncated"
    assert verdict("DELETE FROM run") == "rolled_back"
    assert verdict("DELETE FROM audit_event WHERE seq = 2") == "missing"
    store.close()


def test_an_older_line_that_is_put_at_the_end_once_more_is_not_taken_for_the_newest(tmp_path: Path) -> None:
    """Whoever may append to a journal cannot make an older copy of the state pass: its line is signed, and old."""
    path, state = tmp_path / "anchors.jsonl", tmp_path / "tieout.db"
    anchors = Anchors(SIGNER, (path,))
    store = open_store(f"sqlite:///{state}", clock=ManualClock())
    happens(store, "a")
    assert anchor(store, anchors) == []
    store.close()
    backup, old = state.read_bytes(), path.read_bytes().splitlines(keepends=True)[-1]
    store = open_store(f"sqlite:///{state}", clock=ManualClock())
    happens(store, "b", "c")
    assert anchor(store, anchors) == []
    store.close()
    state.write_bytes(backup)
    with path.open("ab") as file:
        file.write(old)
    store = open_store(f"sqlite:///{state}", clock=ManualClock())
    assert older(store, anchors.newest())
    happens(store, "d")
    [wrong] = anchor(store, anchors)
    assert isinstance(wrong, RefusedError)


def test_a_line_of_another_journal_with_the_same_key_is_not_taken_for_the_newest(tmp_path: Path) -> None:
    mine, other = tmp_path / "anchors.jsonl", tmp_path / "other.jsonl"
    for path, many in ((mine, 1), (other, 3)):
        store = open_store("sqlite://", clock=ManualClock())
        for n in range(many):
            happens(store, str(n))
            assert anchor(store, Anchors(SIGNER, (path,))) == []
    before = Anchors(SIGNER, (mine,)).newest()
    with mine.open("ab") as file:
        file.write(other.read_bytes().splitlines(keepends=True)[-1])
    assert Anchors(SIGNER, (mine,)).newest() == before


def test_a_whole_past_on_postgresql_is_intact_and_an_amount_altered_in_it_is_found(pg_url: str, tmp_path: Path) -> None:
    past = lived(pg_url, tmp_path)
    found = past.verified()
    assert (found.verdict, found.findings) == ("intact", ())
    for sql in (
        "UPDATE discrepancy SET delta_micros = delta_micros + 1",
        "UPDATE intent SET delta_micros = delta_micros + 1",
        "UPDATE promise SET amount_micros = amount_micros + 1",
    ):
        with past.store.engine.connect() as db:
            db.exec_driver_sql(sql)
            db.commit()
        assert past.verified().verdict == "rows", sql
        with past.store.engine.connect() as db:
            db.exec_driver_sql(sql.replace("+ 1", "- 1"))
            db.commit()
    assert past.verified().verdict == "intact"
