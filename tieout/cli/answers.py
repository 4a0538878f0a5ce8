"""The list of differences as people hand it back: what they answered in each row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tieout.connectors import decode
from tieout.connectors.infer import sheet
from tieout.errors import ConfigError
from tieout.mapping.tabular import heading_key
from tieout.plaintext import neutral
from tieout.sync.review.decisions import DECISIONS, Decision

_NEEDED = ("id", "action", "seen")
_MORE = ("pair", "reason", "owner", "accepted until")
_SHEET = "Discrepancies"


@dataclass(frozen=True, slots=True)
class Answers:
    """left_alone: rows without an action"""

    decisions: tuple[Decision, ...]
    left_alone: int


def _known(heading: str) -> bool:
    return heading_key(heading) in _NEEDED


def read(file: Path) -> Answers:
    """What a list says, CSV or workbook. Raises ConfigError naming every row that cannot be read."""
    try:
        workbook = decode.kind(file) == "xlsx"
        table = sheet.seen(file, _known, _SHEET) if workbook else sheet.read(file, _known)
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None
    keys = [heading_key(heading) for heading in table.headings]
    at = {key: n for n, key in enumerate(keys)}
    if table.questions:
        raise ConfigError(f"{file}: the text is not UTF-8", hint="save it as CSV UTF-8")
    if missing := [name for name in _NEEDED if name not in at]:
        raise ConfigError(
            f"{file}: there is no column {' and no column '.join(map(repr, missing))}",
            hint="export the list (tieout discrepancies export -o FILE), and fill a column `action`",
        )
    if twice := [name for name in (*_NEEDED, *_MORE) if keys.count(name) > 1]:
        raise ConfigError(f"{file}: the heading {twice[0]!r} stands twice", hint="leave the column with the answers")
    if table.cut:
        raise ConfigError(f"{file}: more rows than the {sheet.MOST_ROWS:,} that a list may have", hint="divide it")
    cells = {name: table.cells(n) for name, n in at.items()}
    found: list[Decision] = []
    problems: list[str] = []
    for n in range(len(table.rows)):
        row = {name: column[n] if workbook else _plain(column[n]) for name, column in cells.items()}
        if not row["action"]:
            continue
        place = f"row {n + 1} below the headings, {row['id'] or 'no id'}"
        try:
            found.append(_decision(row, place))
        except ValueError as error:
            problems.append(f"{place}: {error}")
    times = Counter((d.pair or "", d.id) for d in found)
    problems += [f"{id}: answered in several rows" for (_, id), n in sorted(times.items()) if n > 1]
    if problems:
        raise ConfigError(f"{file}: nothing was decided", problems=tuple(problems), hint="mend these rows")
    return Answers(tuple(found), len(table.rows) - len(found))


def _decision(row: dict[str, str], place: str) -> Decision:
    if row["action"] not in DECISIONS:
        raise ValueError(f"action {row['action']!r} is none of {', '.join(DECISIONS)}")
    if not row["id"] or not row["seen"]:
        raise ValueError("`id` and `seen` are needed as they were exported")
    until = row.get("accepted until", "") if row["action"] == "accept" else ""
    return Decision(
        row["id"],
        row["action"],
        row.get("reason") or None,
        row.get("owner") or None,
        _end_of(until) if until else None,
        row.get("pair") or None,
        row["seen"],
        place,
    )


def _end_of(day: str) -> str:
    """The last instant of a day, UTC; an instant as `export` writes it is of a day, too."""
    try:
        return f"{date.fromisoformat(day.partition('T')[0]):%Y-%m-%d}T23:59:59.999999Z"
    except ValueError:
        raise ValueError(f"accepted_until {day!r} is not a day: write YYYY-MM-DD") from None


def _plain(text: str) -> str:
    """A cell of a CSV without the apostrophe by which `export` keeps spreadsheets from running it."""
    return text[1:] if text.startswith("'") and neutral(text[1:]) == text else text
