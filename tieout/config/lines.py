"""Which line of a TOML text each key stands on, so that a problem names its place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]


def locate(text: str) -> dict[Path, int]:
    """The line (from 1) of every table and key of a valid TOML text. An array of tables counts: ("a", "0", "key")."""
    found: dict[Path, int] = {}
    seen: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, array=statement.lstrip().startswith("[["), seen=seen)
            found.setdefault(table, number)
        else:
            for path in _paths(parsed):
                found.setdefault(table + path, number)
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest thing around it; None if nothing of it is written."""
    for end in range(len(path), 0, -1):
        if path[:end] in found:
            return found[path[:end]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or key with its whole value, and the line it starts on."""
    begun: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not begun:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            start = number
        begun.append(line)
        statement = "\n".join(begun)
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        yield start, statement
        begun = []


def _header(parsed: Mapping[str, Any], *, array: bool, seen: dict[Path, int]) -> Path:
    names: list[str] = []
    path: Path = ()
    inner: Any = parsed
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
    for i, name in enumerate(names):
        path += (name,)
        if array and i == len(names) - 1:
            seen[path] = seen.get(path, -1) + 1
        if path in seen:
            path += (str(seen[path]),)
    return path


def _paths(parsed: Mapping[str, Any]) -> Iterator[Path]:
    for name, value in parsed.items():
        yield (name,)
        if isinstance(value, dict):
            for inner in _paths(value):
                yield (name, *inner)
