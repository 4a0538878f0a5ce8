"""Files that a command leaves behind: whole or not at all, so that a full disk costs neither the new nor the old."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write the file, replacing an earlier one once all of it is on the disk. Raises OSError that names the file."""
    with writing_whole(path) as at:
        _write(at, "wb", content, path)


@contextmanager
def writing_whole(path: Path) -> Iterator[Path]:
    """The path to write to during the block; what was written replaces an earlier file once all is on the disk.

    It has the permissions of the earlier file; its owner may write it in any case. Raises OSError that names the file
    where it cannot be written, before the block begins.
    """
    if path.exists() and not path.is_file():  # a device or a pipe, such as /dev/stdout: nothing to replace
        yield path
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write(temporary, "xb", b"", path)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777 | 0o600)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet; nothing of it stays where that fails. Raises FileExistsError or OSError."""
    with path.open("xb"):
        pass
    try:
        write_whole(path, content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(at: Path, mode: str, content: bytes, named: Path) -> None:
    """Errors name the file that was asked for: those of a write name none, those of opening a temporary one."""
    try:
        with at.open(mode) as file:
            file.write(content)
            file.flush()
            if at.is_file():
                os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(named)
        raise
