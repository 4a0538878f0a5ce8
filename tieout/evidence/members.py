"""An open pack: its members, read one after the other and within bounds. It is hostile until it is proved."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST = 4 << 30  # bytes of all members together
SMALL = 256 << 20  # bytes of a member that is read as a whole
LINE = 64 << 20


class Wrong(Exception):
    """Why a part does not prove what it says."""


@dataclass(slots=True)
class Pack:
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
                        raise Wrong("it is larger than such a part can be")
                    yield part
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise Wrong(f"it cannot be unpacked ({type(error).__name__})") from None

    def lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE:
                raise Wrong("a line of it is longer than such a line can be")
            yield from whole
        if rest:
            raise Wrong("its last line is cut off")

    def json(self, name: str) -> Any:
        return parsed(self.bytes_of(name))

    def rows(self, name: str) -> Iterator[Any]:
        return (parsed(line) for line in self.lines(name))


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Wrong("it is not what such a part holds") from None


def _refuse(_text: str) -> Any:
    raise ValueError("a float")
