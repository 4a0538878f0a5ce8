"""Anchors: signed lines outside of the database that say where its audit log stood, each chained to the one before.

A file of anchors is a *journal*: JSON lines, only appended to. It begins with a line of its own (n = 0), and holds an
anchor for every run, decision, approval and sign-off. A line is the canonical JSON of its fields with its signature.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tieout.errors import ConfigError, RefusedError, RetriableError
from tieout.evidence.keys import PublicKey, Signer
from tieout.sync.core.facts import canonical
from tieout.sync.state.rewound import Anchored
from tieout.sync.store import GENESIS, new_id

BEGUN, ANCHOR, RESTORED = "begun", "anchor", "restored"
_DOMAIN = b"tieout anchor 1\n"
_TAIL = 1 << 20  # bytes in which the last line of a journal is looked for
LONGEST = 1 << 16  # bytes of a line; a longer one is no anchor


@dataclass(frozen=True, slots=True)
class Anchor:
    """One line of a journal.

    kind: `begun` (n = 0: the journal's first line), `anchor`, or `restored`: a person said that the state is older on
    purpose · n: counts the lines · database: hash of the first event, which names the database
    seq, hash: the last event of the log and its hash · run: whose end that event is, None for anything else
    key: the signing key's id · prev: sha256 of the line before
    by, reason: of `restored` · agrees: of `restored`, the last anchored event that the restored log still holds
    """

    kind: str
    journal: str
    n: int
    at: str
    database: str
    seq: int
    hash: str
    run: str | None
    key: str
    prev: str
    by: str = ""
    reason: str = ""
    agrees: int = 0
    sig: str = ""

    @property
    def line(self) -> str:
        return canonical(asdict(self))

    @property
    def digest(self) -> str:
        """sha256 of the line, in hex."""
        return hashlib.sha256(self.line.encode()).hexdigest()

    def _message(self) -> bytes:
        return _DOMAIN + canonical({k: v for k, v in asdict(self).items() if k != "sig"}).encode()

    def signed_by(self, signer: Signer) -> Anchor:
        return replace(self, sig=base64.b64encode(signer.sign(self._message())).decode())

    def is_signed(self, key: PublicKey) -> bool:
        try:
            signature = base64.b64decode(self.sig, validate=True)
        except ValueError:
            return False
        return self.key == key.id and key.signed(self._message(), signature)

    def as_anchored(self) -> Anchored:
        return Anchored(self.seq, self.hash, self.at, self.digest)


_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        ("kind", "journal", "at", "database", "hash", "key", "prev", "by", "reason", "sig"), str
    ),
    **dict.fromkeys(("n", "seq", "agrees"), int),
    "run": (str, type(None)),
}  # fmt: skip


def parse(line: bytes) -> Anchor | None:
    """The anchor that a line is, in exactly its one spelling; None for anything else."""
    if len(line) > LONGEST:
        return None
    try:
        found = json.loads(line.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys() != _TYPES.keys():
        return None
    if any(not isinstance(found[k], t) or isinstance(found[k], bool) for k, t in _TYPES.items()):
        return None
    anchor = Anchor(**found)
    return anchor if anchor.line.encode(errors="replace") == line else None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of an audit log, and what names its database: the hash of its first event.

    run: whose end the last event is, None if it is anything else
    """

    database: str
    seq: int
    hash: str
    run: str | None


class Journal:
    """A file of anchors that is open and held alone; `last` is its last line that is signed with the key."""

    def __init__(self, path: Path, file: int, last: Anchor | None) -> None:
        self.path = path
        self.last = last
        self._file = file

    def append(self, anchor: Anchor) -> None:
        """Add a line, durable on return; a line that only went in part is taken back. Raises RetriableError if full."""
        size = os.fstat(self._file).st_size
        # What a write that broke off left behind stays, and is told by the verifier; a line begins on a line.
        fresh = size == 0 or os.pread(self._file, 1, size - 1) == b"\n"
        body = (b"" if fresh else b"\n") + anchor.line.encode() + b"\n"
        try:
            if os.write(self._file, body) != len(body):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))  # noqa: TRY301  one way to fail
            os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise
        self.last = anchor


@contextlib.contextmanager
def journal(path: Path, key: PublicKey) -> Iterator[Journal]:
    """Open a journal for appending, made where there is none, and hold it alone.

    Raises ConfigError if its folder is not there or cannot be written to, and for a file that holds no line that is
    signed with the key; RetriableError for a full disk.
    """
    with _files(path):
        made = not path.exists()
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if made:
                _sync_folder(path.parent)
            yield Journal(path, file, _last(path, file, key))
        finally:
            os.close(file)


def probe(path: Path) -> None:
    """Prove that a journal can be appended to, or begun; nothing is made. Raises ConfigError."""
    with _files(path):
        if path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC))
            return
        folder = path.parent if path.parent.exists() else path.parent.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            lacking = errno.EACCES if folder.is_dir() else errno.ENOENT
            raise OSError(lacking, os.strerror(lacking))


def newest(path: Path, key: PublicKey) -> Anchor | None:
    """The last anchor of a journal that is signed with the key; None if there is no file, or nothing in it yet."""
    with _files(path):
        if not path.exists():
            return None
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return _last(path, file, key)
        finally:
            os.close(file)


def _last(path: Path, file: int, key: PublicKey) -> Anchor | None:
    size = os.fstat(file).st_size
    if not size:
        return None
    first = parse(os.pread(file, LONGEST, 0).partition(b"\n")[0])
    tail = os.pread(file, _TAIL, max(0, size - _TAIL))
    found = [anchor for line in tail.split(b"\n") if (anchor := parse(line)) is not None]
    # The one with the highest number, not the one that stands last: anybody can put an older line there once more.
    for anchor in sorted(found, key=lambda a: a.n, reverse=True):
        if anchor.is_signed(key) and (first is None or anchor.journal == first.journal):
            return anchor
    raise ConfigError(
        f"{path} holds no anchor that is signed with the key of this configuration",
        hint="give back the signing key, or name another file in [evidence] anchors; tieout evidence verify tells more",
    )


def begin(signer: Signer, at: str) -> Anchor:
    """The first line of a new journal."""
    return Anchor(BEGUN, new_id(), 0, at, "", 0, GENESIS, None, signer.public.id, GENESIS).signed_by(signer)


def following(last: Anchor, head: Head, signer: Signer, *, at: str, kind: str = ANCHOR, **more: Any) -> Anchor:
    """The next line after `last`."""
    n = last.n + 1
    key = signer.public.id
    return Anchor(
        kind, last.journal, n, at, head.database, head.seq, head.hash, head.run, key, last.digest, **more
    ).signed_by(signer)


def refused(path: Path) -> RefusedError:
    return RefusedError(
        f"nothing is anchored in {path}: the state database does not hold what was anchored there last",
        hint="tieout evidence verify tells what happened; if it was restored: tieout evidence confirm --by NAME …",
    )


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _files(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise RetriableError(f"no anchor could be written to {path}: the disk is full", hint="make room") from None
        raise ConfigError(
            f"the anchors in {path} cannot be read or written: {error.strerror}",
            hint="mount the volume, give this user write access, or name another file in [evidence] anchors",
        ) from None
