"""Rows of an Excel workbook as text, cell by cell without loss, or a problem where a cell cannot be trusted."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from importlib import import_module
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from tieout.errors import ProfileError
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_rows import Binding, Problem

MOST_BYTES = 2 << 30  # unpacked size of a workbook
MOST_PARTS = 10_000
MOST_RATIO = 200  # unpacked to packed, for parts beyond 50 MB
_LARGEST_ID = 10**15  # a spreadsheet keeps 15 digits


def _refuse_bombs(path: Path) -> None:
    """Raise ProfileError for archives that unpack beyond reason, or whose XML declares entities."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS or sum(p.file_size for p in parts) > MOST_BYTES:
                raise ProfileError(f"{path}: the workbook unpacks to more than {MOST_BYTES >> 30} GiB")
            for part in parts:
                if part.file_size > 50 << 20 and part.file_size > MOST_RATIO * max(1, part.compress_size):
                    raise ProfileError(f"{path}: {part.filename} unpacks to {part.file_size:,} bytes: refused")
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as f:
                        if b"<!DOCTYPE" in f.read(4096):
                            raise ProfileError(f"{path}: {part.filename} declares a document type: refused")
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ProfileError(f"{path}: not a readable workbook: {error}") from None


def _open(path: Path, *, values: bool) -> Any:
    try:
        openpyxl: Any = import_module("openpyxl")  # an extra: only who reads Excel needs it
    except ImportError:
        raise ProfileError(f"{path}: reading Excel needs openpyxl", hint="pip install 'tieout[excel]'") from None
    try:
        return openpyxl.load_workbook(path, read_only=True, data_only=values)
    except (KeyError, ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise ProfileError(f"{path}: not a readable workbook: {error}") from None


def _sheet(path: Path, book: Any, wanted: str | None) -> Any:
    names = list(book.sheetnames)
    if wanted is not None:
        if wanted not in names:
            raise ProfileError(f"{path}: there is no sheet {wanted!r}", hint=f"sheets: {', '.join(names)}")
        return book[wanted]
    visible = [n for n in names if book[n].sheet_state == "visible"]
    if len(visible) != 1:
        raise ProfileError(
            f"{path}: the workbook has {len(visible)} sheets: {', '.join(visible)}",
            hint='name one in the profile: [file] sheet = "…"',
        )
    return book[visible[0]]


def head(path: Path, sheet_name: str | None, count: int) -> list[list[str]]:
    """The first rows, for finding the headings."""
    _refuse_bombs(path)
    book = _open(path, values=True)
    try:
        sheet = _sheet(path, book, sheet_name)
        return [["" if c is None else str(c) for c in row] for row in islice(sheet.iter_rows(values_only=True), count)]
    finally:
        book.close()


def records(path: Path, profile: Profile, binding: Binding) -> Iterator[tuple[int, Sequence[str] | Problem]]:
    """(row number, cells) of every row of the sheet. Numbers come in the profile's separators, dates in its format.

    A formula without a stored value, a number too long for an identifier: a problem, for the row cannot be trusted.
    """
    values, formulas = _open(path, values=True), _open(path, values=False)
    try:
        sheets = [_sheet(path, b, profile.file.sheet) for b in (values, formulas)]
        columns = {at: name for name, at in binding.index.items()}
        both = zip_longest(*(s.iter_rows(values_only=True) for s in sheets), fillvalue=())
        for number, (row, raw) in enumerate(both, start=1):
            yield number, _row(profile, columns, binding.width, row, raw)
    finally:
        values.close()
        formulas.close()


def _row(
    profile: Profile, columns: dict[int, str], width: int, row: Sequence[Any], raw: Sequence[Any]
) -> list[str] | Problem:
    cells: list[str] = []
    for at, value in enumerate(row):
        formula = raw[at] if at < len(raw) else None
        name = columns.get(at)
        if value is None and isinstance(formula, str) and formula.startswith("=") and name is not None:
            return Problem(name, formula[:80], "a formula without a stored value: open and save the file in Excel")
        try:
            cells.append(_text(profile, name, value))
        except ValueError as error:
            return Problem(str(name), str(value)[:80], str(error))
    return cells + [""] * (width - len(cells))


def _text(profile: Profile, name: str | None, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case datetime() | date():
            return _day_text(profile, name, value)
        case time():
            return value.isoformat()
        case int() | float():
            return _number_text(profile, name, value)
        case _:
            return str(value)


def _day_text(profile: Profile, name: str | None, value: date) -> str:
    if name is None or profile.type_of(name) != "date":
        return value.isoformat()
    fmt = profile.date_format(name)
    if fmt in ("excel", "excel1904"):
        start = datetime(1904, 1, 1) if fmt == "excel1904" else datetime(1899, 12, 30)
        return str((datetime(value.year, value.month, value.day) - start).days)
    return value.strftime(re.sub("%[HMS]", "00", fmt))


def _number_text(profile: Profile, name: str | None, value: float) -> str:
    """A numeric cell as text, to the 15 digits that a spreadsheet keeps."""
    type_ = profile.type_of(name) if name else "text"
    exact = Decimal(value) if isinstance(value, int) else Decimal(format(value, ".15g"))
    plain = format(exact, "f")
    if type_ == "id":
        if abs(exact) >= _LARGEST_ID:
            raise ValueError("a number of more than 15 digits: the spreadsheet has lost the others; store it as text")
        return plain
    return plain.replace(".", profile.amounts.decimal) if type_ == "decimal" else plain
