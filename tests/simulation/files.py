"""The file target in simulation: memory books behind the product's own outbox, on a disk each step of which is a boundary."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

from tests.simulation.boundaries import GO
from tieout.connectors import Op, Written
from tieout.connectors.memory import MemoryConnector, SimulatedCrash
from tieout.connectors.tabular.connector import _ORDER
from tieout.connectors.tabular.outbox import Item, Outbox
from tieout.errors import WriteError
from tieout.model import ZERO


class SimulatedDisk:
    """The outbox's disk. What is written is durable when the step returns, or torn, as the schedule has it."""

    def __init__(self, world: Any) -> None:
        self.world = world

    def _before(self, step: str) -> None:
        if self.world.driver.at(f"disk.{step}.before") == "disk_full":
            raise OSError(errno.ENOSPC, "no space left on device")

    def write(self, path: Path, data: bytes) -> None:
        self._before("write")
        path.write_bytes(data)
        action = self.world.driver.at("disk.write.after")
        if action != GO:  # torn: power went before all of it was on the disk
            path.write_bytes(data[: len(data) // 2])
            self.world.driver.now.dead = True
            raise SimulatedCrash("in the middle of a file")

    def rename(self, source: Path, target: Path) -> None:
        self._before("rename")
        if target.exists():
            raise FileExistsError(errno.EEXIST, "an import file is never rewritten", str(target))
        source.rename(target)
        if target.parent.name == "emitted":
            self.world.truth.handed_over(json.loads(target.read_bytes()))
        self.world.driver.at("disk.rename.after")

    claim = rename

    def remove(self, path: Path) -> None:
        self._before("remove")
        path.unlink(missing_ok=True)
        self.world.driver.at("disk.remove.after")


class FileConnector(MemoryConnector):
    """Reads memory books as an export shows them, and hands over through the outbox, as the connector of files does."""

    def __init__(self, name: str, books: Any, *, outbox: Outbox, **kw: Any) -> None:
        super().__init__(name, books, **kw)
        self._outbox, self._known = outbox, None

    def company(self) -> Any:
        self._known = None
        self._handed()
        return super().company()

    def _handed(self) -> set[str]:
        if self._known is None:
            self._outbox.check()
            self._outbox.recover()
            self._known = set(self._outbox.emitted())
        return self._known

    def _deliver(self, request: Any) -> Written:
        if request.key not in self._handed() and all(r.key != request.key for r in self._buffer):
            self._buffer.append(request)
        return Written(id=request.id, pending=True)

    def flush(self, *, run: str) -> list[str]:
        waiting, self._buffer, paths = self._buffer, [], []
        for entity, op in _ORDER:
            mine = [r for r in waiting if r.entity is entity and _op(r) is op]
            if mine:
                known, items = self._handed(), [Item(r.key, r.marker or r.key, "", ZERO) for r in mine]
                about = {"entity": entity.value, "operation": op.value, "run": run}
                data = pickle.dumps(mine)
                stem = f"{entity.value}-{op.value}"
                paths.append(str(self._outbox.emit(stem, data, items, about=about, rows=len(mine), known=known)))
                known |= {item.key for item in items}
        return paths

    def handed_over(self) -> frozenset[str]:
        return frozenset(self._handed())


def _op(request: Any) -> Op:
    return Op.APPLY if request.op is Op.UPDATE and set(request.changes) == {"applications"} else Op(request.op)


def load(world: Any) -> None:
    """The ERP loads what was handed over and not loaded yet, in its order; a file only with its manifest."""
    for path in sorted(world.folder.glob("*.manifest.json"), key=lambda p: p.name.split("-")[1]):
        if path.name in world.r.imported:
            continue
        manifest = json.loads(path.read_bytes())
        data = world.folder / manifest["file"]
        if not data.exists() or hashlib.sha256(data.read_bytes()).hexdigest() != manifest["sha256"]:
            world.truth.say("hand-over", f"{path.name} speaks of a file that is not there, or not whole")
            continue
        if manifest["sequence"] != len(world.r.imported) + 1:
            world.truth.say("hand-over", f"{path.name} comes after {len(world.r.imported)} files")
        world.r.imported.append(path.name)
        for request in pickle.loads(data.read_bytes()):  # our own bytes, of a moment ago
            with contextlib.suppress(WriteError):
                world.r.write(request)


def kept(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def restored(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
