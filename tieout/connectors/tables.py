"""One exported file as rows of text under bound headings: CSV, text lists, Excel. No value is interpreted here."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Self

from tieout.connectors import decode, saplist, workbook
from tieout.connectors.groups import Filled, Groups
from tieout.errors import ProfileError
from tieout.mapping.fields import strip
from tieout.mapping.tabular import Profile, footer_columns
from tieout.mapping.tabular_rows import (
    SHOWN,
    Binding,
    Problem,
    Skip,
    bind,
    headers_found,
    headers_needed,
)

FIELD_LIMIT = 2_000_000  # characters in one cell, beyond which a quote was surely never closed
DELIMITERS = (",", ";", "\t", "|")
Record = tuple[int, Sequence[str]]


@dataclass(slots=True)
class Table:
    """An opened file. header_row: 1-based number of the last heading row · lines: physical lines up to it, inclusive

    plain: DuckDB can split the file itself. Close it to remove a transcoded copy.
    """

    path: Path
    binding: Binding
    sha256: str
    encoding: str
    delimiter: str
    header_row: int
    lines: int = 0
    text: decode.Text | None = None
    plain: bool = False
    raw_width: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def profile(self) -> Profile:
        """The profile, without the optional columns that this file lacks."""
        return self.binding.profile

    def rows(self) -> Iterator[tuple[int, Sequence[str] | Problem | Skip]]:
        """Every row after the headings: (number, its cells), a problem if it cannot be cut, or a skip.

        Raises ProfileError where groups end in totals and the last one does not: the end of the file is missing.
        """
        judge = partial(self.judge, width=self.binding.read)
        groups = Groups(self.binding, judge) if self.profile.file.grouped else None
        filled = Filled(self.binding, judge) if self.binding.filled else None
        place = groups.place if groups else filled.place if filled else judge
        for number, cells in islice(_records(self), self.header_row, None):
            if isinstance(cells, Problem):
                if filled:
                    filled.end("a row that cannot be read stands between it and the row that says it")
                yield number, cells
            else:
                yield number, place(cells)
        if groups and (name := groups.unclosed()) is not None:
            raise ProfileError(
                f"{self.path}: the rows below {name!r} have no total, as those of other groups do",
                hint="the end of the file is missing: export it again",
            )

    def judge(self, cells: Sequence[str], width: int | None = None) -> Sequence[str] | Problem | Skip:
        """The cells of a row, unless it is blank, a subtotal, or does not stand under the headings.

        width: cells that it must have, if it is not one of `rows`
        """
        width = self.binding.width if width is None else width
        if not any(strip(c) for c in cells):
            return Skip("blank")
        mark = self.profile.file.subtotal
        if mark and not strip(cells[0]).strip(mark) and strip(cells[0]) and self._keyless(cells):
            return Skip("subtotal")
        if len(cells) < width or any(strip(c) for c in cells[width:]):
            counted = (
                max((i + 1 for i, c in enumerate(cells) if strip(c)), default=0) if len(cells) > width else len(cells)
            )
            shown = " | ".join(cells)[:SHOWN]
            return Problem("row", shown, f"{counted} cells where the headings are {width}")
        if any("\0" in c for c in cells):
            return Problem("row", " | ".join(cells).replace("\0", "␀")[:SHOWN], "a NUL character")
        return cells

    def _keyless(self, cells: Sequence[str]) -> bool:
        """Whether the columns that date and identify a row are empty, but for the one that holds the mark."""
        index = self.binding.index
        named = (c for c in footer_columns(self.profile) if index.get(c, 0) != 0)
        return all(not strip(self.binding.cell(cells, c)) for c in named)

    def close(self) -> None:
        if self.text is not None and self.text.temporary:
            with suppress(FileNotFoundError):
                self.text.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_table(path: Path, profile: Profile) -> Table:
    """Open a file by its profile: decode it, find the headings, bind the columns.

    Raises ProfileError where the file is unreadable or does not fit.
    """
    kind = decode.kind(path)
    wanted = profile.file.format
    if kind == "xlsx" or wanted == "xlsx":
        if kind != "xlsx" or wanted in ("csv", "sap-list"):
            raise ProfileError(
                f"{path}: the profile {profile.name} says {wanted}, but the file is {kind}",
                hint=f"correct [file] format of the profile, or export the file as {wanted}",
            )
        return _open_workbook(path, profile)
    text = decode.decode(path, profile.file.encoding)
    try:
        if wanted == "sap-list" or (wanted == "auto" and saplist.looks_like(decode.lines(text))):
            return _open_list(path, profile, text)
        return _open_csv(path, profile, text)
    except BaseException:
        if text.temporary:
            text.path.unlink()
        raise


def _open_csv(path: Path, profile: Profile, text: decode.Text) -> Table:
    asked = profile.file.delimiter
    tried: list[tuple[int, str, int, list[str]]] = []
    unclosed: ProfileError | None = None
    for delimiter in DELIMITERS if asked == "auto" else (asked,):
        try:
            rows = _split(path, decode.lines(text), delimiter, profile.file.quote)
            head = list(islice(rows, profile.file.max_preamble + 2))
        except ProfileError as error:  # what is well quoted at one delimiter is not at another
            unclosed = unclosed or error
            continue
        found = _find_header(profile, [c if isinstance(c, list) else [] for _, c in head])
        if found is not None:
            at, headings = found
            tried.append((headers_found(profile, headings), delimiter, at, headings))
    if not tried and unclosed is not None:
        raise unclosed
    if not tried:
        raise _no_header(path, profile, list(islice(decode.lines(text), 3)))
    _, delimiter, at, headings = max(tried, key=lambda t: t[0])
    table = Table(
        path=path,
        binding=bind(profile, headings, path),
        sha256=text.sha256,
        encoding=text.encoding,
        delimiter=delimiter,
        header_row=at,
        text=text,
        raw_width=len(headings),
    )
    reader = csv.reader(decode.lines(text), dialect(delimiter, profile.file.quote))
    for _ in range(at):
        next(reader)
    table.lines = reader.line_num
    own = not (profile.file.grouped or table.binding.filled)
    table.plain = text.plain and table.lines == at and own
    return table


def _find_header(profile: Profile, head: Sequence[Sequence[str]]) -> tuple[int, list[str]] | None:
    """(1-based number of the last heading row, the headings, merged if there are two) of the first row that fits."""
    need = headers_needed(profile)
    two = profile.file.header_rows == 2
    for at, cells in enumerate(head[: profile.file.max_preamble + 1]):
        headings = list(cells)
        if two:
            if at + 1 >= len(head):
                break
            headings = merge(cells, head[at + 1])
        if headers_found(profile, headings) >= need:
            return at + (2 if two else 1), headings
    return None


def merge(parents: Sequence[str], children: Sequence[str]) -> list[str]:
    """Headings of two rows: a parent stands over the children to its right until the next parent."""
    merged, parent = [], ""
    for i in range(max(len(parents), len(children))):
        own = strip(parents[i]) if i < len(parents) else ""
        child = strip(children[i]) if i < len(children) else ""
        parent = own or (parent if child else "")
        merged.append(f"{parent} {child}".strip() if child else own)
    return merged


def _no_header(path: Path, profile: Profile, first: Sequence[str]) -> ProfileError:
    wanted = ", ".join(repr(c.names[0]) for c in profile.columns.values() if c.names)
    return ProfileError(
        f"{path}: no row has the headings of profile {profile.name}",
        problems=(
            f"looked for {headers_needed(profile)} of: {wanted}",
            *(f"line {i}: {line.strip()[:120]!r}" for i, line in enumerate(first, start=1)),
        ),
        hint=f"propose a profile for this file: tieout profile infer {quote(str(path))}",
    )


def dialect(delimiter: str, quote: str) -> type[csv.Dialect]:
    """How cells are cut: quotes are doubled inside quotes, and nothing may follow a closing one."""

    class Cut(csv.Dialect):
        lineterminator = "\n"
        quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        quotechar = quote or None
        doublequote = True
        strict = True

    Cut.delimiter = delimiter
    return Cut


def _split(path: Path, source: Iterator[str], delimiter: str, quote: str) -> Iterator[tuple[int, list[str] | Problem]]:
    """(number, cells) of each record. Raises ProfileError where a quote is never closed: the rest cannot be read."""
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(source, dialect(delimiter, quote))
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error) or "field larger" in str(error):
                raise ProfileError(
                    f"{path}: row {number}: a quotation mark is never closed, so the rest of the file cannot be read",
                    hint='mend the row, or say quote = "" in [file] if the file quotes nothing',
                ) from None
            yield number, Problem("row", "", f"text after a closing quotation mark (line {reader.line_num})")
        else:
            yield number, cells


def _records(table: Table) -> Iterator[tuple[int, Sequence[str] | Problem]]:
    if table.text is None:
        yield from workbook.records(table.path, table.profile, table.binding)
    elif table.delimiter == saplist.NAME:
        yield from saplist.records(decode.lines(table.text))
    else:
        yield from _split(table.path, decode.lines(table.text), table.delimiter, table.profile.file.quote)


def _open_list(path: Path, profile: Profile, text: decode.Text) -> Table:
    first = islice(saplist.records(decode.lines(text)), profile.file.max_preamble + 2)
    head = [c if isinstance(c, list) else [] for _, c in first]
    found = _find_header(profile, head)
    if found is None:
        raise _no_header(path, profile, list(islice(decode.lines(text), 6)))
    at, headings = found
    return Table(
        path=path,
        binding=bind(profile, headings, path),
        sha256=text.sha256,
        encoding=text.encoding,
        delimiter=saplist.NAME,
        header_row=at,
        text=text,
        raw_width=len(headings),
    )


def _open_workbook(path: Path, profile: Profile) -> Table:
    head = workbook.head(path, profile.file.sheet, profile.file.max_preamble + 2)
    found = _find_header(profile, head)
    if found is None:
        raise _no_header(path, profile, [" | ".join(r) for r in head[:3]])
    at, headings = found
    return Table(
        path=path,
        binding=bind(profile, headings, path),
        sha256=decode.digest(path),
        encoding="xlsx",
        delimiter="",
        header_row=at,
        raw_width=len(headings),
    )
