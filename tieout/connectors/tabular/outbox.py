"""Import files handed to an ERP: written once, whole or not at all, never rewritten, each record at most once.

    outbox/20260202T090000Z-000017-invoices.import.csv      the file
    outbox/20260202T090000Z-000017-invoices.manifest.json   what it holds; the ERP loads a file only with its manifest
    outbox/tmp/                                             drafts; recovery finishes or deletes them
    outbox/emitted/000017.manifest.json                     our memory, whatever the ERP does with the files above

Order of a hand-over: draft file, draft manifest (from here on it is decided), memory, file, manifest; each made
durable before the next.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

from tieout.errors import ConfigError, RetriableError, TieoutError

Clock = Callable[[], datetime]
FORMAT = "tieout-import-1"


class Files(Protocol):
    """The few things an outbox does to a disk; tests make them fail. Every one is durable when it returns."""

    def write(self, path: Path, data: bytes) -> None:
        """A new or replaced file of these bytes, fsynced."""

    def rename(self, source: Path, target: Path) -> None:
        """Move within the file system and fsync both directories. Never over an existing file."""

    def claim(self, source: Path, target: Path) -> None:
        """The same, where another writer may want that very name: FileExistsError if it was first, at any moment."""

    def remove(self, path: Path) -> None:
        """Delete, if it is there, and fsync the directory."""


class Disk:
    """The real file system. Files are readable by owner and group only; symbolic links are not followed."""

    def write(self, path: Path, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o640), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        _sync(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        if target.exists():
            raise FileExistsError(errno.EEXIST, "an import file is never rewritten", str(target))
        source.rename(target)
        _sync(target.parent)
        _sync(source.parent)

    def claim(self, source: Path, target: Path) -> None:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self.rename(source, target)
            return
        _sync(target.parent)
        self.remove(source)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        _sync(path.parent)


# File systems without hard links, such as many a network share: there a name is looked at, then taken.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


def _sync(folder: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there; the file's own fsync is all there is
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a file. effect: signed effect on receivables in `currency`; "" and zero for a customer."""

    key: str
    marker: str
    currency: str
    effect: Decimal


@dataclass(frozen=True, slots=True)
class Emitted:
    """A record that was handed over before: when, and in which file."""

    key: str
    marker: str
    file: str
    sequence: int
    created_at: str


class Outbox:
    """One folder of import files. Opening it changes nothing; `recover` and `emit` do."""

    def __init__(self, folder: Path, *, clock: Clock, files: Files | None = None) -> None:
        self.folder = folder
        self._clock = clock
        self._files: Files = files or Disk()
        self._tmp = folder / "tmp"
        self._memory = folder / "emitted"

    def check(self) -> None:
        """Raises ConfigError unless the folder is there and can be written to."""
        if not self.folder.is_dir():
            raise ConfigError(f"the outbox {self.folder} does not exist", hint=f"mkdir -p {quote(str(self.folder))}")
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise ConfigError(f"the outbox {self.folder} cannot be written to", hint="give this user write access")

    def recover(self) -> list[str]:
        """Finish or delete what a crash left in `tmp/`; says what it did, oldest first."""
        if not self._tmp.is_dir():
            return []
        done: list[str] = []
        with _readable_errors(self.folder):
            for draft in sorted(self._tmp.glob("*.manifest.json")):
                manifest = _complete(draft, self.folder)
                if manifest is None:
                    self._files.remove(draft)
                    done.append(f"deleted {draft.name}: it was not complete")
                else:
                    self._publish(manifest, draft)
                    done.append(f"finished {manifest['file']}")
            for draft in sorted(p for p in self._tmp.iterdir() if p.is_file()):
                self._files.remove(draft)
                done.append(f"deleted {draft.name}: it had no manifest, nothing of it was handed over")
        return done

    def emitted(self) -> dict[str, Emitted]:
        """Every record ever handed over, by key. Raises ConfigError if the memory cannot be read."""
        found: dict[str, Emitted] = {}
        for manifest in self.manifests():
            for entry in manifest["items"]:
                at = Emitted(
                    entry["key"], entry["marker"], manifest["file"], manifest["sequence"], manifest["created_at"]
                )
                found.setdefault(at.key, at)
        return found

    def manifests(self) -> list[dict[str, Any]]:
        """What was handed over so far, by sequence number; from our memory, and from manifests still in the folder."""
        by_sequence: dict[int, dict[str, Any]] = {}
        for path in [*sorted(self._memory.glob("*.manifest.json")), *sorted(self.folder.glob("*.manifest.json"))]:
            manifest = _readable(path)
            by_sequence.setdefault(manifest["sequence"], manifest)
        return [by_sequence[n] for n in sorted(by_sequence)]

    def emit(
        self,
        stem: str,
        data: bytes,
        items: Sequence[Item],
        *,
        about: Mapping[str, Any],
        rows: int,
        known: Collection[str] | None = None,
    ) -> Path:
        """Hand over one file; returns its path. `about` goes into the manifest (entity, layout, run).

        known: keys that were handed over when the caller decided; None to take what is there now. Raises
        RetriableError (disk full, or more was handed over since) or ConfigError (not writable, or a key was handed over
        before). What was decided by then is finished by the next `recover`; the rest was not handed over.
        """
        self.check()
        self.recover()
        handed = self.emitted().keys()
        if known is not None and handed - set(known):
            # Whoever slept meanwhile decided by what is not so any more; from here on the number of the file decides.
            raise RetriableError(
                f"outbox {self.folder}: another run handed files over meanwhile; nothing was written",
                hint="run it again",
            )
        twice = sorted({i.key for i in items} & handed)
        if twice or len({i.key for i in items}) != len(items):
            raise ConfigError(
                f"outbox {self.folder}: {twice or 'a key'} would be handed over twice; nothing was written",
                hint="tieout evidence verify says whether the state is an older copy",
            )
        sequence = max((m["sequence"] for m in self.manifests()), default=0) + 1
        now = self._clock().astimezone(UTC)
        name = f"{now:%Y%m%dT%H%M%SZ}-{sequence:06}-{stem}"
        manifest = dict(about) | {
            "format": FORMAT,
            "file": f"{name}.import.csv",
            "sequence": sequence,
            "created_at": now.isoformat(timespec="seconds"),
            "records": len(items),
            "rows": rows,
            "control_totals": _totals(items),
            "sha256": hashlib.sha256(data).hexdigest(),
            "markers": [i.marker for i in items],
            "items": [
                {"key": i.key, "marker": i.marker, "currency": i.currency, "effect": str(i.effect)} for i in items
            ],
        }
        draft = self._tmp / f"{name}.manifest.json"
        with _readable_errors(self.folder):
            self._tmp.mkdir(mode=0o750, exist_ok=True)
            self._memory.mkdir(mode=0o750, exist_ok=True)
            self._files.write(self._tmp / manifest["file"], data)
            self._files.write(draft, _text(manifest))
            self._publish(manifest, draft)
        return self.folder / str(manifest["file"])

    def _publish(self, manifest: Mapping[str, Any], draft: Path) -> None:
        """From a complete draft to its place; every step may already have been done by a run that died."""
        memory = self._memory / f"{manifest['sequence']:06}.manifest.json"
        if memory.exists():
            if not _same(_readable(memory), manifest):
                raise FileExistsError(errno.EEXIST, "another run took its number meanwhile", str(memory))
        else:
            # Two runs may write drafts of one name in the same second.
            if not _holds(self._tmp / manifest["file"], manifest["sha256"]):
                raise FileNotFoundError(errno.ENOENT, "another run took its draft away meanwhile", manifest["file"])
            # A name of its own for each writer: one that sleeps here must not wake to what another one is writing.
            beside = self._tmp / f"{manifest['sequence']:06}.{secrets.token_hex(4)}.manifest.json.memory"
            self._files.write(beside, _text(manifest))
            self._files.claim(beside, memory)
        if (self._tmp / manifest["file"]).exists():
            self._files.rename(self._tmp / manifest["file"], self.folder / manifest["file"])
        self._files.rename(draft, self.folder / draft.name)


def _readable(path: Path) -> dict[str, Any]:
    """A manifest of what was handed over. Raises ConfigError if it cannot be read."""
    try:
        return _checked(json.loads(path.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not a readable manifest ({error!s:.200}); what was handed over is not known",
            hint="restore the file from a backup; nothing is written until then",
        ) from error


def _complete(draft: Path, folder: Path) -> dict[str, Any] | None:
    """The manifest, if it is whole and so is its file, in `tmp/` or already in its place."""
    try:
        manifest = _checked(json.loads(draft.read_text("utf-8")))
        data = draft.parent / manifest["file"]
        digest = manifest["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    memory = folder / "emitted" / f"{manifest['sequence']:06}.manifest.json"
    if memory.exists():
        # Under a number that another file has by now, this one was not handed over.
        return manifest if _same(_readable(memory), manifest) else None
    return manifest if _holds(data, digest) else None


def _same(kept: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Whether they are of one hand-over: not only of one file name, which another run may give in the same second."""
    return all(kept.get(part) == manifest[part] for part in ("file", "sha256", "items"))


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _checked(manifest: Any) -> dict[str, Any]:
    """A manifest that holds what we write into each. Raises ValueError, KeyError or TypeError for any other."""
    texts = [manifest["file"], manifest["created_at"]]
    texts += [part for item in manifest["items"] for part in (item["key"], item["marker"])]
    if not isinstance(manifest, dict) or not all(isinstance(text, str) for text in texts):
        raise TypeError("what should be text is none")
    if type(manifest["sequence"]) is not int or manifest["sequence"] < 1:
        raise ValueError("its sequence is not a number")
    if manifest["file"] != Path(manifest["file"]).name or "\0" in manifest["file"]:
        raise ValueError("its file is not the name of one")
    return manifest


def _totals(items: Sequence[Item]) -> dict[str, str]:
    sums: dict[str, Decimal] = {}
    for item in items:
        if item.currency:
            sums[item.currency] = sums.get(item.currency, Decimal(0)) + item.effect
    return {currency: f"{value:f}" for currency, value in sorted(sums.items())}


def _text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


class _readable_errors:  # noqa: N801  reads as the statement it is
    """What the disk refuses, as an error that says what to do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        raised: TieoutError
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raised = RetriableError(f"the outbox {self._folder} is on a full disk", hint="free space, then run again")
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raised = ConfigError(
                f"the outbox {self._folder} cannot be written to: {error.strerror}", hint="give this user write access"
            )
        else:
            raised = RetriableError(f"the outbox {self._folder}: {error}", hint="run it again")
        raise raised from error
