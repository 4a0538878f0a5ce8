"""A file of unknown layout, cut into headings and rows, with what is known of how it is written."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tieout.connectors import decode, saplist, workbook
from tieout.connectors.groups import is_total_of, says_total
from tieout.connectors.tables import DELIMITERS, FIELD_LIMIT, merge
from tieout.errors import ProfileError
from tieout.mapping.fields import strip

MOST_ROWS = 200_000  # rows looked at
_CODE_PAGES = ("cp1252", "cp1250", "cp850", "cp1251")


@dataclass(slots=True)
class Sheet:
    """What is known of the file so far. two: its headings stand in two rows

    group: what stands above some of its rows, which have a total; "" if nothing does · totals: the rows of totals then
    filled: columns that seem to be printed in the first row of a group alone, with the rows that leave them empty
    cut: not all rows are looked at
    """

    path: Path
    encoding: str | None
    delimiter: str
    quote: str = '"'
    header_row: int = 1
    two: bool = False
    group: str = ""
    filled: dict[str, int] = field(default_factory=dict)
    totals: list[list[str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    cut: bool = False

    def column(self, at: int) -> list[str]:
        """What is not empty in a column."""
        return [v for v in self.cells(at) if v]

    def cells(self, at: int) -> list[str]:
        """A column of all rows, empty where a row is shorter."""
        return [strip(r[at]) if at < len(r) else "" for r in self.rows]


def seen(path: Path, known: Callable[[str], bool], sheet_name: str) -> Sheet:
    """A sheet of a workbook as people see it: `workbook.shown`. Raises ProfileError if it is no table."""
    sheet = Sheet(path, None, "")
    _find_headings(sheet, workbook.shown(path, sheet_name, MOST_ROWS), known)
    return sheet


def read(path: Path, known: Callable[[str], bool]) -> Sheet:
    """known: whether a heading is known, which tells a row of headings. Raises ProfileError if it is no table."""
    if decode.kind(path) == "xlsx":
        records: list[list[str]] = workbook.head(path, None, MOST_ROWS)
        sheet = Sheet(path, None, "")
    else:
        text, encoding, notes, questions = _text(path)
        sheet = Sheet(path, encoding, "", notes=notes, questions=questions)
        lines = text.splitlines(keepends=True)
        if saplist.looks_like(iter(lines)):
            records = [c for _, c in saplist.records(iter(lines)) if isinstance(c, list)]
            sheet.delimiter = saplist.NAME
            sheet.notes.append("an unconverted SAP list: columns are cut under the pipes of the headings")
        else:
            sheet.delimiter, records = _cut(path, lines)
    _find_headings(sheet, records, known)
    return sheet


def _text(path: Path) -> tuple[str, str | None, list[str], list[str]]:
    """(text, encoding to declare or None, notes, questions)."""
    try:
        found = decode.decode(path, None)
    except ProfileError:
        raw = path.read_bytes()
        if not raw:
            raise
        number, _ = decode.first_bad_line(path)
        line = raw.splitlines()[number - 1] if number else raw[:80]
        bad = re.search(rb"[^\x00-\x7f]", line)
        at = max(0, (bad.start() if bad else 0) - 15)
        shown = [f"{page}: {line[at : at + 40].decode(page)!r}" for page in _CODE_PAGES if _decodes(line, page)]
        question = f"encoding: the text is not UTF-8. Which of these reads right in line {number}? " + " · ".join(shown)
        return raw.decode("latin-1"), None, [], [question]
    text = "".join(decode.lines(found))
    if found.temporary:
        found.path.unlink()
    return text, None, [f"encoding: {found.encoding}, certain"], []


def _decodes(raw: bytes, page: str) -> bool:
    try:
        raw.decode(page)
    except UnicodeDecodeError:
        return False
    return True


def _cut(path: Path, lines: list[str]) -> tuple[str, list[list[str]]]:
    """The delimiter that cuts most rows into the same number of cells, and the rows."""
    best: tuple[int, str] = (0, "")
    for delimiter in DELIMITERS:
        widths = Counter(len(r) for r in _split(islice(lines, 500), delimiter) if len(r) > 1)
        if widths:
            width, count = widths.most_common(1)[0]
            best = max(best, (count * width, delimiter))
    if not best[1]:
        raise ProfileError(f"{path}: no delimiter cuts this file into columns", hint="is it a table?")
    return best[1], list(islice(_split(lines, best[1]), MOST_ROWS))


def _split(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue


def _find_headings(sheet: Sheet, records: list[list[str]], known: Callable[[str], bool]) -> None:
    """The first row as wide as the table that holds words, not values; its data follow."""
    sheet.cut = len(records) >= MOST_ROWS
    widths = Counter(len(r) for r in records if len(r) > 1)
    if not widths:
        raise ProfileError(f"{sheet.path}: no rows of several columns", hint="is it a table?")
    width = widths.most_common(1)[0][0]
    for at, row in enumerate(records[:60]):
        words = [strip(c) for c in row]
        texts = [w for w in words if w and not re.fullmatch(r"[-+(]?[\d.,/: ]+[-)]?", w)]
        enough = len(row) >= width - 1 and len(texts) >= max(2, sum(map(bool, words)) * 0.8)
        if enough and (any(map(known, words)) or at == 0):
            sheet.header_row, sheet.headings = at + 1, row
            sheet.two = _stands_below(row, records[at + 1 : at + 3])
            if sheet.two:
                sheet.headings = merge(row, records[at + 1])
            rows = [r for r in records[at + 1 + sheet.two :] if any(strip(c) for c in r)]
            sheet.rows = _below_groups(sheet, rows)
            if at:
                sheet.notes.append(f"the headings stand in row {at + 1}, below {at} other rows")
            return
    raise ProfileError(f"{sheet.path}: no row looks like headings", hint="the file needs a row of column names")


def _stands_below(headings: list[str], below: list[list[str]]) -> bool:
    """Whether a second row of headings follows: it names what the first one leaves empty, and the next row has values.

    below: the rows that follow
    """
    if len(below) < 2 or not any(re.search(r"\d", c) for c in below[1]):
        return False
    unnamed = [strip(c) for at, c in enumerate(below[0]) if at >= len(headings) or not strip(headings[at])]
    alone = sum(1 for c in below[0] if strip(c)) < 2  # the heading of a group
    return any(unnamed) and not alone and not any(re.search(r"\d", c) for c in below[0])


def _below_groups(sheet: Sheet, rows: list[list[str]]) -> list[list[str]]:
    """The rows without those that head a group or total it, if there is a group with its total."""
    above: list[str] = []
    kept: list[list[str]] = []
    totals: list[list[str]] = []
    for row in rows:
        said = [text for cell in row if (text := strip(cell))]
        group = next((name for name in reversed(above) if is_total_of(said[0], name)), "")
        sheet.group = sheet.group or group
        if group or says_total(said[0]):
            totals.append(row)
        elif len(said) == 1:
            above.append(said[0])
        else:
            kept.append(row)
    if not sheet.group:
        return rows
    sheet.totals = totals
    sheet.notes.append(f"its rows stand in groups, such as {sheet.group!r}, that have a total each")
    return kept
