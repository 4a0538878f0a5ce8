"""Import files: whole or not at all, once, numbered without gaps, whatever breaks between two steps."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tieout.connectors.tabular.outbox import Disk, Item, Outbox
from tieout.errors import ConfigError, RetriableError

NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
DATA = b"our_reference,total\r\nTO-A,10.00\r\nTO-B,5.00\r\n"


class Died(BaseException):
    """The process ends here."""


class Dying(Disk):
    """A disk whose process dies before, in the middle of, or after the nth step."""

    def __init__(self, step: int, how: str) -> None:
        self.left, self.how = step, how

    def _strike(self) -> bool:
        self.left -= 1
        return self.left == 0

    def write(self, path: Path, data: bytes) -> None:
        if not self._strike():
            super().write(path, data)
            return
        if self.how != "before":
            super().write(path, data if self.how == "after" else data[: len(data) // 2])
        raise Died

    def rename(self, source: Path, target: Path) -> None:
        self._do(super().rename, source, target)

    def claim(self, source: Path, target: Path) -> None:
        self._do(super().claim, source, target)

    def _do(self, move: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        struck = self._strike()
        if not (struck and self.how == "before"):
            move(source, target)
        if struck:
            raise Died


def outbox(folder: Path, files: Disk | None = None) -> Outbox:
    folder.mkdir(exist_ok=True)
    return Outbox(folder, clock=lambda: NOW, files=files)


def items(*keys: str) -> list[Item]:
    return [Item(k, f"TO-{k}", "USD", Decimal("7.50")) for k in keys]


def emit(box: Outbox, *keys: str, stem: str = "invoices") -> Path:
    return box.emit(stem, DATA, items(*keys), about={"entity": "invoice", "layout": "x"}, rows=2)


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file())


def test_a_file_lands_with_its_manifest(tmp_path: Path) -> None:
    path = emit(outbox(tmp_path), "A", "B")
    assert path.name == "20260202T090000Z-000001-invoices.import.csv"
    assert path.read_bytes() == DATA
    manifest = json.loads((tmp_path / "20260202T090000Z-000001-invoices.manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (manifest["records"], manifest["rows"], manifest["sequence"]) == (2, 2, 1)
    assert manifest["control_totals"] == {"USD": "15.00"}
    assert manifest["markers"] == ["TO-A", "TO-B"]
    assert manifest["entity"] == "invoice"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_sequence_numbers_have_no_gap_even_when_the_erp_takes_the_files_away(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    emit(box, "A")
    for name in visible(tmp_path):
        (tmp_path / name).unlink()
    emit(box, "B", stem="payments")
    assert [m["sequence"] for m in box.manifests()] == [1, 2]
    assert box.emitted()["A"].file == "20260202T090000Z-000001-invoices.import.csv"


def test_a_key_is_never_handed_over_twice(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    emit(box, "A")
    before = visible(tmp_path)
    with pytest.raises(ConfigError, match="twice"):
        emit(box, "A", "B")
    with pytest.raises(ConfigError, match="twice"):
        emit(box, "C", "C")
    assert visible(tmp_path) == before


@pytest.mark.parametrize("how", ["before", "torn", "after"])
@pytest.mark.parametrize("step", range(1, 8))
def test_a_crash_at_any_step_leaves_one_whole_file_or_none(tmp_path: Path, step: int, how: str) -> None:
    emit(outbox(tmp_path), "Z")
    dying = Dying(step, how)
    try:
        emit(outbox(tmp_path, dying), "A", "B")
        crashed = False
    except Died:
        crashed = True
    assert crashed == (step <= 6), "the hand-over has six steps"
    # What an ERP sees meanwhile: never a manifest without its whole file.
    for path in tmp_path.glob("*.manifest.json"):
        manifest = json.loads(path.read_text())
        assert hashlib.sha256((tmp_path / manifest["file"]).read_bytes()).hexdigest() == manifest["sha256"]
    box = outbox(tmp_path)
    box.recover()
    assert list((tmp_path / "tmp").iterdir()) == []
    done = "A" in box.emitted()
    assert done == (step > 2 or (step == 2 and how == "after"))
    assert len(visible(tmp_path)) == (4 if done else 2)
    if not done:
        emit(box, "A", "B")
    assert [m["sequence"] for m in box.manifests()] == [1, 2]
    assert sorted(box.emitted()) == ["A", "B", "Z"]
    assert outbox(tmp_path).recover() == []


def test_a_crash_during_recovery_is_recovered_too(tmp_path: Path) -> None:
    for step in range(1, 20):
        folder = tmp_path / str(step)
        with pytest.raises(Died):
            emit(outbox(folder, Dying(3, "torn")), "A")
        try:
            outbox(folder, Dying(step, "torn")).recover()
        except Died:
            outbox(folder).recover()
            assert list(outbox(folder).emitted()) == ["A"]
            assert len(visible(folder)) == 2
        else:
            return
    pytest.fail("recovery never ended")


def test_a_file_is_never_rewritten(tmp_path: Path) -> None:
    (tmp_path / "20260202T090000Z-000001-invoices.import.csv").write_bytes(b"someone else's")
    with pytest.raises(RetriableError, match="never rewritten"):
        emit(outbox(tmp_path), "A")
    assert (tmp_path / "20260202T090000Z-000001-invoices.import.csv").read_bytes() == b"someone else's"


def test_a_full_disk_is_temporary_and_loses_nothing(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, path: Path, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RetriableError, match="full disk"):
        emit(outbox(tmp_path, Full()), "A")
    assert visible(tmp_path) == []
    emit(outbox(tmp_path), "A")
    assert len(visible(tmp_path)) == 2


def test_a_read_only_or_missing_outbox_is_said_so(tmp_path: Path) -> None:
    class ReadOnly(Disk):
        def write(self, path: Path, data: bytes) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(ConfigError, match="cannot be written"):
        emit(outbox(tmp_path, ReadOnly()), "A")
    with pytest.raises(ConfigError, match="does not exist"):
        Outbox(tmp_path / "none", clock=lambda: NOW).check()


def test_an_unreadable_memory_stops_writing(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    emit(box, "A")
    (tmp_path / "emitted" / "000001.manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="not a readable manifest"):
        emit(box, "B")


def test_a_hand_over_decided_before_another_one_is_not_done(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    emit(box, "A")
    before = box.emitted().keys()
    emit(outbox(tmp_path), "B")
    about = {"entity": "invoice", "layout": "x"}
    with pytest.raises(RetriableError, match="another run handed files over meanwhile"):
        box.emit("invoices", DATA, items("C"), about=about, rows=2, known=before)
    assert box.emitted().keys() == {"A", "B"}
    assert box.emit("invoices", DATA, items("C"), about=about, rows=2, known=box.emitted().keys()).exists()


class Sleepy(Disk):
    """A disk whose process sleeps before the nth step, while another one does something."""

    def __init__(self, step: int, meanwhile: Callable[[], object]) -> None:
        self.left, self.meanwhile = step, meanwhile

    def _sleep(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.meanwhile()

    def write(self, path: Path, data: bytes) -> None:
        self._sleep()
        super().write(path, data)

    def rename(self, source: Path, target: Path) -> None:
        self._sleep()
        super().rename(source, target)

    def claim(self, source: Path, target: Path) -> None:
        self._sleep()
        super().claim(source, target)


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("more", [True, False], ids=["goes on", "only looks"])
def test_a_run_that_sleeps_at_any_step_hands_over_once_or_not_at_all(tmp_path: Path, step: int, more: bool) -> None:
    def other() -> None:
        box = Outbox(tmp_path, clock=lambda: NOW + timedelta(minutes=5))
        box.recover()
        if more and "A" not in box.emitted():
            emit(box, "A")

    with contextlib.suppress(RetriableError):
        emit(Outbox(tmp_path, clock=lambda: NOW, files=Sleepy(step, other)), "A")
    box = outbox(tmp_path)
    box.recover()
    if not box.emitted():
        emit(box, "A")
    manifests = [json.loads(p.read_text()) for p in tmp_path.glob("*.manifest.json")]
    assert [m["markers"] for m in manifests] == [["TO-A"]]
    assert visible(tmp_path) == sorted(
        [manifests[0]["file"], manifests[0]["file"].replace("import.csv", "manifest.json")]
    )
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("step", range(1, 7))
def test_two_runs_that_hand_over_in_one_second_mix_no_file_with_the_list_of_the_other(
    tmp_path: Path, step: int
) -> None:
    def hand_over(key: str, files: Disk | None = None) -> None:
        data = f"our_reference,total\r\nTO-{key},7.50\r\n".encode()
        with contextlib.suppress(RetriableError):
            outbox(tmp_path, files).emit("invoices", data, items(key), about={"entity": "invoice"}, rows=1)

    hand_over("A", Sleepy(step, lambda: hand_over("B")))
    box = outbox(tmp_path)
    box.recover()
    handed = {m["items"][0]["key"]: (tmp_path / m["file"]).read_text() for m in box.manifests()}
    assert handed
    assert all(f"TO-{key}," in text for key, text in handed.items())
    assert len(list(tmp_path.glob("*.import.csv"))) == len(list(tmp_path.glob("*.manifest.json"))) == len(handed)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("dies", range(1, 5))
def test_a_run_that_dies_over_the_drafts_of_one_that_sleeps_leaves_no_half_a_memory(
    tmp_path: Path, step: int, dies: int
) -> None:
    def other() -> None:
        box = Outbox(tmp_path, clock=lambda: NOW + timedelta(minutes=5), files=Dying(dies, "within"))
        with contextlib.suppress(Died):
            box.recover()
            if "A" not in box.emitted():
                emit(box, "A")

    with contextlib.suppress(RetriableError):
        emit(Outbox(tmp_path, clock=lambda: NOW, files=Sleepy(step, other)), "A")
    box = outbox(tmp_path)
    box.recover()
    if not box.emitted():
        emit(box, "A")
    assert [m["markers"] for m in box.manifests()] == [["TO-A"]]
    assert len(list(tmp_path.glob("*.import.csv"))) == len(list(tmp_path.glob("*.manifest.json"))) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_number_that_another_run_takes_at_the_last_moment_stays_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call gives the name: the other run is there right before it."""
    link, rename, other = os.link, Path.rename, b"of another run"

    def late(move: Callable[[Path, Path], object], source: Path, target: Path) -> None:
        if target.parent.name == "emitted":
            target.write_bytes(other)
        move(source, target)

    monkeypatch.setattr(os, "link", lambda source, target: late(link, source, target))
    monkeypatch.setattr(Path, "rename", lambda source, target: late(rename, source, target))
    with pytest.raises(RetriableError):
        emit(outbox(tmp_path), "A")
    assert (tmp_path / "emitted" / "000001.manifest.json").read_bytes() == other
    assert visible(tmp_path) == []


def test_a_share_without_hard_links_is_written_to_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, f"no hard link from {source} to {target}")

    monkeypatch.setattr(os, "link", refused)
    box = outbox(tmp_path)
    emit(box, "A")
    assert box.emitted().keys() == {"A"}
    assert list((tmp_path / "tmp").iterdir()) == []
