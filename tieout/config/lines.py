"""Which line of a TOML text each key stands on, and which lines are no TOML, so that a problem names its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from tieout.mapping import toml

Path = tuple[str, ...]
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|'  # text over several lines, in either kind of quotes, which it may end with
    r"'''.*?'''(?:'{0,2})|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)
_BEGINS = re.compile(r"\s*(\[|[\w\"'.-][\w\"'. -]*=)")  # a header or a key
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_MOST, _TRIES = 20, 60  # mistakes that are named; times that the text is read for them


def locate(text: str) -> dict[Path, int]:
    """The line (from 1) of every table and key of a valid TOML text. An array of tables counts: ("a", "0", "key")."""
    found: dict[Path, int] = {}
    seen: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, array=statement.lstrip().startswith("[["), seen=seen)
            for end in range(1, len(table) + 1):  # `[a.b]` is where `a` stands too, if nothing before it is
                found.setdefault(table[:end], number)
        else:
            for path in _paths(parsed):
                found.setdefault(table + path, number)
            for name, value in parsed.items():
                if isinstance(value, list):
                    for i, line in enumerate(_inner_tables(statement)):
                        found.setdefault((*table, name, str(i)), number + line)
    return found


def mistakes(text: str) -> list[tuple[int | None, str]]:
    """Where the text is no TOML: (line, what is wrong), in order; the lines after the first as far as they are sure."""
    found: list[tuple[int | None, str]] = []
    rows = _rows(text)
    for _ in range(_TRIES):
        if len(found) == _MOST:
            break
        try:
            toml.loads("\n".join(rows) + "\n")
        except tomllib.TOMLDecodeError as error:
            at = _AT_LINE.search(str(error))
            line = int(at[1]) if at else None
            says = _AT_LINE.sub("", str(error))
            if line is None or line > len(rows) or not rows[line - 1]:
                return found or [(None, says)]
            if not found or _BEGINS.match(rows[line - 1]):  # else it may only follow from what stands before it
                found.append((line, says + _advice(rows[line - 1], says)))
            if says.startswith("Cannot declare"):
                return found
            rows[line - 1] = ""
        else:
            break
    return found


def _advice(row: str, says: str) -> str:
    """What to do about it, where the line shows it. The line itself is not repeated: it may hold a secret."""
    if set(row) & set("“”„«»‘’"):
        return ": write straight quotes, \" or '"
    if "\\" in row:
        return ": in double quotes a backslash begins an escape; write paths with / or in single quotes: 'C:\\export'"
    if says.startswith("Cannot"):
        return ": it stands there twice"
    if row.lstrip().startswith("["):
        return ": a name with spaces or other signs does not fit; use letters, digits, - and _"
    return ": text stands in double quotes" if says.startswith("Invalid value") else ""


def _inner_tables(statement: str) -> Iterator[int]:
    """For each `{ … }` directly inside the array that a statement gives its key, how many lines below the key it is."""
    line, open_ = 0, ""
    for sign in _TOKEN.findall(statement):
        if sign == "{":
            if open_ == "[":
                yield line
            open_ += sign
        elif sign == "[":
            open_ += sign
        elif sign in ("]", "}"):
            open_ = open_[:-1]
        line += sign.count("\n")


def line_of(found: Mapping[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest thing around it; None if nothing of it is written."""
    for end in range(len(path), 0, -1):
        if path[:end] in found:
            return found[path[:end]]
    return None


def _rows(text: str) -> list[str]:
    """The lines as TOML counts them: other characters that break a line elsewhere may stand in a text or a comment."""
    return text.replace("\r\n", "\n").split("\n")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or key of a valid TOML text with its whole value, and the line it starts on."""
    whole = "\n".join(_rows(text)) + "\n"
    line, begun, start, depth = 1, 1, 0, 0
    for token in _TOKEN.finditer(whole):
        sign = token[0]
        line += sign.count("\n")
        depth += (sign in ("[", "{")) - (sign in ("]", "}"))
        if sign == "\n" and not depth:
            statement = whole[start : token.start()]
            if statement.strip() and not statement.lstrip().startswith("#"):
                yield begun, statement
            start, begun = token.end(), line


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
