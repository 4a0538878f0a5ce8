"""Rows of an Excel workbook as text, cell by cell without loss, or a problem where a cell cannot be trusted."""

from __future__ import annotations

import lzma
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from importlib import import_module
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from tieout.errors import ProfileError
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_rows import Binding, Problem

MOST_BYTES = 2 << 30  # unpacked size of a workbook
MOST_PARTS = 10_000
_AS_CSV = "save the sheet as CSV, or export the list again"
MOST_RATIO = 200  # unpacked to packed, for parts beyond 50 MB
_LARGEST_ID = 10**15  # a spreadsheet keeps 15 digits
_FINEST = Decimal("0.000001")  # what amounts are read to
_MOST_ROWS = 1 << 20  # of a sheet
# What a damaged workbook raises: SyntaxError is that of XML, LookupError an encoding that nobody knows, RuntimeError a
# password or an unknown way of packing; the others where openpyxl takes for granted what is not there.
_UNREADABLE = (
    AttributeError,
    ArithmeticError,
    AssertionError,
    struct.error,
    LookupError,
    ValueError,
    OSError,
    TypeError,
    SyntaxError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def _refuse_bombs(path: Path) -> None:
    """Raise ProfileError for archives that unpack beyond reason, or whose XML declares entities."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS or sum(p.file_size for p in parts) > MOST_BYTES:
                raise ProfileError(f"{path}: the workbook unpacks to more than {MOST_BYTES >> 30} GiB", hint=_AS_CSV)
            for part in parts:
                if part.file_size > 50 << 20 and part.file_size > MOST_RATIO * max(1, part.compress_size):
                    raise ProfileError(
                        f"{path}: {part.filename} unpacks to {part.file_size:,} bytes: refused", hint=_AS_CSV
                    )
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as f:
                        if _declares_a_type(f):
                            raise ProfileError(
                                f"{path}: {part.filename} declares a document type: refused", hint=_AS_CSV
                            )
            if "[Content_Types].xml" not in archive.namelist():
                raise ProfileError(f"{path}: an archive, but not an Excel workbook", hint="unpack it first")
    except _UNREADABLE as error:
        raise _damaged(path, error) from None


def _declares_a_type(part: IO[bytes]) -> bool:
    """Whether XML declares a document type before its root, however long what stands before it, in any encoding.

    Raises ValueError where that cannot be told.
    """
    found: list[bool] = []
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: found.append(True)
    parser.StartElementHandler = lambda *_: found.append(False)
    try:
        while not found and (chunk := part.read(4096)):
            parser.Parse(chunk, False)
    except expat.ExpatError as error:
        if not found:
            raise ValueError(str(error)) from None
    return found[:1] == [True]


@contextmanager
def _opened(path: Path, wanted: str | None, *, values: bool) -> Iterator[Any]:
    """The sheet of a workbook. values: with what its formulas came to, instead of the formulas"""
    try:
        openpyxl: Any = import_module("openpyxl")  # an extra: only who reads Excel needs it
    except ImportError:
        raise ProfileError(f"{path}: reading Excel needs openpyxl", hint="pip install 'tieout[excel]'") from None
    # It warns of what a reader of exports need not know: a missing style, or a date that becomes an error cell here.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    with path.open("rb") as file:  # opened here, for openpyxl refuses a workbook by its name
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=values)
        except _UNREADABLE as error:
            raise _damaged(path, error) from None
        with closing(book):
            yield _sheet(path, book, wanted)


def _damaged(path: Path, error: Exception) -> ProfileError:
    return ProfileError(f"{path}: not a readable workbook: {error}", hint=_AS_CSV)


def _rows(path: Path, sheet: Any, *, values_only: bool) -> Iterator[Sequence[Any]]:
    """Every row of a sheet. Raises ProfileError where the sheet is damaged."""
    sheet.reset_dimensions()  # the size that a sheet states is what some programs guessed: rows beyond it are real
    try:
        for number, row in enumerate(sheet.iter_rows(values_only=values_only), start=1):
            if number > _MOST_ROWS:
                raise ValueError(f"more than {_MOST_ROWS:,} rows")
            yield row
    except _UNREADABLE as error:
        raise _damaged(path, error) from None


def _uncalculated(path: Path) -> bool:
    """Whether the program that wrote the workbook left its formulas to be calculated, with 0 for what they come to."""
    with zipfile.ZipFile(path) as archive:
        try:
            book = archive.read("xl/workbook.xml")
        except KeyError:
            return False
    return re.search(rb"<(?:\w+:)?calcPr\b[^>]*\bfullCalcOnLoad\s*=\s*[\"'](?:1|true)[\"']", book) is not None


def _sheet(path: Path, book: Any, wanted: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]  # a chart may be a sheet, too
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
    with _opened(path, sheet_name, values=True) as sheet:
        first = islice(_rows(path, sheet, values_only=True), count)
        return [["" if c is None else str(c) for c in row] for row in first]


def shown(path: Path, sheet_name: str, count: int) -> list[list[str]]:
    """The first rows as people see them: days as YYYY-MM-DD, of a formula what it came to.

    Raises ProfileError for a formula of which nobody knows what it comes to.
    """
    _refuse_bombs(path)
    uncalculated, rows = _uncalculated(path), list[list[str]]()
    with _opened(path, sheet_name, values=True) as values, _opened(path, sheet_name, values=False) as formulas:
        both = zip(_rows(path, values, values_only=False), _rows(path, formulas, values_only=True), strict=True)
        for number, (row, raw) in enumerate(islice(both, count), start=1):
            every = {at: str(at) for at in range(len(row))}
            for problem in _formulas(every, row, raw, uncalculated=uncalculated):
                raise ProfileError(
                    f"{path}: {sheet_name}, row {number}: {problem.reason}",
                    hint="save it once in Excel, which calculates it",
                )
            rows.append([_shown(cell.value) for cell in row])
    return rows


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case float():
            return format(Decimal(format(value, ".15g")), "f")
        case _:
            return str(value)


def records(path: Path, profile: Profile, binding: Binding) -> Iterator[tuple[int, Sequence[str] | Problem]]:
    """(row number, cells) of every row of the sheet. Numbers come in the profile's separators, dates in its format.

    A formula without a stored value, a number of more digits than a spreadsheet keeps: a problem, for the row cannot
    be trusted.
    """
    wanted, uncalculated = profile.file.sheet, _uncalculated(path)
    columns = {at: name for name, at in binding.index.items()}
    with _opened(path, wanted, values=True) as values, _opened(path, wanted, values=False) as formulas:
        both = zip_longest(
            _rows(path, values, values_only=False), _rows(path, formulas, values_only=True), fillvalue=()
        )
        for number, (row, raw) in enumerate(both, start=1):
            formula = next((p for p in _formulas(columns, row, raw, uncalculated=uncalculated)), None)
            yield number, formula or _row(profile, columns, binding.width, row)


def _formulas(
    columns: Mapping[int, str], row: Sequence[Any], raw: Sequence[Any], *, uncalculated: bool
) -> Iterator[Problem]:
    """The formulas of a row of which nobody knows what they come to. raw: its values, with formulas as they are"""
    for at, formula in enumerate(raw):
        cell = row[at] if at < len(row) else None
        if at not in columns or formula is None or cell is None:
            continue
        text = formula if isinstance(formula, str) else str(getattr(formula, "text", "") or "a formula")
        if cell.value is None and cell.data_type != "str":  # `str`: text, and an empty one
            yield Problem(columns[at], text[:80], "a formula without a stored value: open and save the file in Excel")
        elif uncalculated and cell.value != formula:
            yield Problem(columns[at], text[:80], "a formula never calculated: open and save the file in Excel")


def _row(profile: Profile, columns: Mapping[int, str], width: int, row: Sequence[Any]) -> list[str] | Problem:
    cells: list[str] = []
    for at, cell in enumerate(row):
        name = columns.get(at)
        try:
            cells.append(_text(profile, name, cell.value))
        except ValueError as error:
            return Problem(str(name), str(cell.value)[:80], str(error))
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
    if type_ == "text":
        return plain
    if not exact.is_finite():
        raise ValueError("a number too large for a spreadsheet")
    lost = abs(Decimal(repr(value)) - exact) >= _FINEST if type_ == "decimal" else False
    if lost or (type_ == "id" and abs(exact) >= _LARGEST_ID):
        raise ValueError("a number of more than 15 digits: the spreadsheet has lost the others; store it as text")
    return plain.replace(".", profile.amounts.decimal) if type_ == "decimal" else plain
