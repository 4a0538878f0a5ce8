"""The unconverted SAP list: a text table drawn with pipes and dashes.

Columns are cut at the offsets of the heading's pipes, because data may hold pipes; a row broken by a line break
inside a cell is joined again; rulers and repeated page headings are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from tieout.mapping.tabular_rows import SHOWN, Problem

NAME = "sap-list"
_RULER = re.compile(r"\s*\|?[-=]{3}[-|+=]*\s*")  # one way to match: a long line costs no more than its reading
_LONGEST_ROW = 20  # lines that one row may be broken into


def looks_like(lines: Iterator[str]) -> bool:
    """Whether the text begins as such a list: a ruler, then a line between pipes, then a ruler."""
    head = [line.rstrip("\r\n") for line in islice(lines, 60)]
    return any(
        _RULER.fullmatch(a) and _is_row(b) and _RULER.fullmatch(c)
        for a, b, c in zip(head, head[1:], head[2:], strict=False)
    )


def _is_row(line: str) -> bool:
    line = line.rstrip()
    return len(line) > 2 and line.startswith("|") and line.endswith("|")


def records(lines: Iterator[str]) -> Iterator[tuple[int, list[str] | Problem]]:
    """(number, cells) of each row; what stands before the headings comes as rows of one cell.

    Rows are numbered by their first line, 1-based. Rulers, page headings and the list's empty lines yield nothing
    after the headings.
    """
    heading: str | None = None
    cuts: list[int] = []
    source = enumerate((line.rstrip("\r\n") for line in lines), start=1)
    row = 0
    for _, line in source:
        if _RULER.fullmatch(line):
            continue
        if heading is None:
            row += 1
            if _is_row(line):
                heading = line.rstrip()
                cuts = [i for i, c in enumerate(heading) if c == "|"]
                yield row, _slice(heading, cuts)
            else:
                yield row, [line]
            continue
        if line.rstrip() == heading or not line.strip() or not line.startswith("|"):
            if line.startswith("|") or not line.strip() or _page_heading(line):
                continue
            row += 1
            yield row, Problem("row", line[:SHOWN], "a line outside the list")
            continue
        row += 1
        yield row, _complete(line, heading, cuts, source)


def _page_heading(line: str) -> bool:
    return line.rstrip()[-1:].isdecimal() and "  " in line.strip()


def _complete(line: str, heading: str, cuts: list[int], source: Iterator[tuple[int, str]]) -> list[str] | Problem:
    """The cells of a row, joined with the lines it was broken into; a line break counts as one character."""
    whole = line
    for _ in range(_LONGEST_ROW):
        if len(whole.rstrip()) >= len(heading):
            break
        following = next(source, None)
        if following is None or _RULER.fullmatch(following[1]):
            break
        whole = f"{whole}\n{following[1]}"
    whole = whole.rstrip()
    if len(whole) != len(heading) or any(whole[c] != "|" for c in cuts):
        return Problem("row", line[:SHOWN], "the row does not stand under its headings")
    return _slice(whole, cuts)


def _slice(line: str, cuts: list[int]) -> list[str]:
    return [line[a + 1 : b].strip() for a, b in pairwise(cuts)]
