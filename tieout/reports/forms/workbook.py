"""A report as an Excel workbook: typed cells, filters, frozen headings, totals and bridges as live formulas.

Amounts: a spreadsheet keeps 15 digits. An amount within them is a number, written digit by digit and never through a
float, so what is read back is what was written; one beyond them is text, exact, and the cover says how many there are.
A total is a formula only where a spreadsheet's own arithmetic gives what the report says, to the last digit; its value
is written beside it, for viewers that do not calculate. Text is always text: nothing of it is a formula, markup or a
link.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any

from tieout.errors import ConfigError
from tieout.plaintext import counted
from tieout.reports.forms import charted, shown, sums
from tieout.reports.forms.shown import NUMBERS, one_line, visible
from tieout.reports.frame import Column, Report, Row, Table

MOST_ROWS = 1_048_576  # of a sheet
DIGITS = 15  # that a spreadsheet keeps of a number
_AS_TEXT = (
    f"amounts have more digits than the {DIGITS} that a spreadsheet keeps: they stand as text, exact, and no formula "
    "adds them"
)
_LETTERS = 32_767  # of a cell
_NAME = 31  # letters of a sheet's name
_REPORT = 8  # letters of a report's name at the beginning of one that is too long
_SIDE = 12  # letters of a ledger's name at the end of it
_UNNAMEABLE = str.maketrans(dict.fromkeys("[]:*?/\\'", "-"))
_FIRST_DAY = date(1900, 3, 1)  # earlier days are counted differently by Excel and by everybody else
_SAMPLE = 2_000  # rows looked at for widths
_WIDEST, _NARROWEST = 48, 8  # characters
_FROZEN = 80  # characters of columns that stay where they are, at most
_WRAPPED = 5_000  # rows of a table whose long texts are wrapped; beyond, they are cut at the edge of their cell
_PAGE = 85  # characters across a page
_HEAD = 4  # rows above a table's headings
_COVER = (38, 20, 20, 26)  # widths of its columns
_INK, _QUIET, _SOFT, _LINE, _RED = "#1B2530", "#55606E", "#F2F5F8", "#8B96A3", "#A3161F"
_LINE_HIGH = 15  # points
_BOLD = frozenset({"subtotal", "total", "opening", "closing", "heading"})


def write(report: Report, *, most_rows: int = MOST_ROWS) -> bytes:
    """The workbook: a cover, then a sheet for each table, more where a table is longer than a sheet.

    most_rows: of a sheet, headings and all. Equal reports give equal bytes. Raises ConfigError where XlsxWriter is not
    installed.
    """
    try:
        xlsxwriter: Any = import_module("xlsxwriter")  # an extra: only who writes Excel needs it
    except ImportError:
        raise ConfigError("writing Excel needs the package XlsxWriter", hint="pip install 'tieout[excel]'") from None
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out,
        {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "default_date_format": ""},
    )
    book.set_properties(
        {
            "title": one_line(report.title),
            "company": one_line(report.company),
            "author": "",
            "created": shown.made(report),
        }
    )
    sheets = _Sheets(book, report, most_rows)
    cover = book.add_worksheet(sheets.name("Report"))
    for table in report.tables:
        sheets.table(table)
    sheets.charts()
    sheets.cover(cover)
    book.close()
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of a table's columns: characters, and whether long texts go over several lines."""

    widths: tuple[int, ...]
    wraps: tuple[bool, ...]

    def lines(self, row: Row) -> int:
        """Lines of text that a row takes."""
        texts = zip(row.cells, self.widths, self.wraps, strict=True)
        return max((_lines(visible(c), width) for c, width, wraps in texts if wraps and isinstance(c, str)), default=1)


@dataclass(slots=True)
class _Part:
    """One sheet of a table. first, last: half-open row numbers of the table · top: the sheet's row of the first"""

    sheet: Any
    name: str
    first: int
    last: int
    top: int


@dataclass(slots=True)
class _Sheets:
    """A workbook in the making: its names, its formats, and what the cover has to say of it."""

    book: Any
    report: Report
    most_rows: int
    names: set[str] = field(default_factory=set)
    formats: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    listed: list[tuple[str, str, int]] = field(default_factory=list)  # sheet, title, rows
    said: dict[str, int] = field(default_factory=dict)  # what a reader must know, and of how many cells

    def name(self, wanted: str) -> str:
        """A name that every spreadsheet takes, and no other sheet has (they do not tell capitals apart)."""
        base = one_line(wanted).translate(_UNNAMEABLE).strip() or "Table"
        base = "History " if base.casefold() == "history" else base  # Excel keeps that name to itself
        head, _, side = base.rpartition("- ")
        report, _, title = head.partition("- ")
        # A binder says of which report a table is, which the table's own title needs less.
        if title and len(base) > _NAME:
            head = f"{report if len(report) <= _REPORT else report[: _REPORT - 1] + '…'}- {title}"
        # Of which ledger it is, is not cut.
        end = f"… {side}" if head and len(base) > _NAME and len(side) <= _SIDE else ""
        for n in range(1, 10_000):
            mark = end if n == 1 else f"{end} ({n})"
            made = _cut(head if end else base, _NAME - len(mark)).rstrip() + mark
            if made.casefold() not in self.names:
                self.names.add(made.casefold())
                return made
        raise AssertionError("ten thousand sheets of one name")

    def format(self, **asked: Any) -> Any:
        key = tuple(sorted(asked.items()))
        if key not in self.formats:
            self.formats[key] = self.book.add_format({"valign": "top", "font_color": _INK} | asked)
        return self.formats[key]

    def text(self, sheet: Any, row: int, column: int, value: str, look: Any) -> None:
        """One text cell. XlsxWriter writes `<r>…</r>` as the markup of rich text, unless it comes in runs as here."""
        seen = visible(value)
        if len(seen) > _LETTERS // 2 and len(seen.encode("utf-16-le")) > 2 * _LETTERS:
            seen = _cut(seen, _LETTERS - 1) + "…"
            self.note("texts are longer than a cell takes, and end in …")
        if seen.startswith("<r>"):
            sheet.write_rich_string(row, column, "<", "r", seen[2:], look)
        elif seen:
            sheet.write_string(row, column, seen, look)

    def note(self, what: str) -> None:
        self.said[what] = self.said.get(what, 0) + 1

    # ── a table ──────────────────────────────────────────────────────────────────────────────────────────────────

    def table(self, table: Table) -> None:
        top = _HEAD + bool(shown.groups(table.columns)) + 1
        room = self.most_rows - top - 1  # one row for a pointer to the next sheet
        firsts = range(0, max(1, len(table.rows)), room)
        parts = [
            _Part(self.book.add_worksheet(name), name, first, min(first + room, len(table.rows)), top)
            for first, name in ((first, self.name(table.title)) for first in firsts)
        ]
        sizes = _sizes(table)
        for n, part in enumerate(parts):
            self.listed.append((part.name, table.title, part.last - part.first))
            self._frame(table, part, sizes, (n, len(parts)))
        cells = _Cells(self, table, parts, sizes)
        for n, part in enumerate(parts):
            for at in range(part.first, part.last):
                cells.row(part, at)
            if n + 1 < len(parts):
                after = self.format(italic=True, font_color=_QUIET)
                self.text(part.sheet, top + part.last - part.first, 0, f"continued on sheet {parts[n + 1].name}", after)

    def _frame(self, table: Table, part: _Part, sizes: _Sizes, which: tuple[int, int]) -> None:
        """What stands around the rows: title, note, headings, widths, filter, and how it is printed."""
        sheet, columns, head, widths = part.sheet, table.columns, part.top - 1, sizes.widths
        more = f" (sheet {which[0] + 1} of {which[1]})" if which[1] > 1 else ""
        for n, width in enumerate(widths):
            sheet.set_column(n, n, width)
        self.text(sheet, 0, 0, table.title + more, self.format(bold=True, font_size=14))
        about = " · ".join(x for x in (self.report.company, self.report.title, _as_of(self.report)) if x)
        self.text(sheet, 1, 0, about, self.format(font_color=_QUIET))
        self._remark(sheet, one_line(table.note), widths)
        self._groups(table, sheet, widths)
        high = max(_lines(column.title, width - 2) for column, width in zip(columns, widths, strict=True))
        sheet.set_row(head, _LINE_HIGH * high)
        for n, column in enumerate(columns):
            side = {"align": "right"} if column.kind in NUMBERS else _aside(columns, n)
            look = self.format(bold=True, bg_color=_SOFT, bottom=2, bottom_color=_LINE, text_wrap=True, **side)
            self.text(sheet, head, n, shown.title(column.title), look) if column.title else sheet.write_blank(
                head, n, None, look
            )
        # A row is known by its customer, where that stands among the first, and else by what stands first.
        first = next((n for n, c in enumerate(columns[:4], 1) if c.key == "customer"), 1)
        sheet.freeze_panes(part.top, first if len(columns) > 4 and sum(widths[:first]) <= _FROZEN else 0)
        if (last := _filtered(table, part)) > head:
            sheet.autofilter(head, 0, last, len(columns) - 1)
        if part.last > part.first:
            end = part.top + part.last - part.first
            sheet.ignore_errors({"number_stored_as_text": f"A1:{_letters(len(columns) - 1)}{end}"})
        if not table.rows:
            self.text(sheet, part.top, 0, "Nothing to list.", self.format(italic=True, font_color=_QUIET))
        if sum(widths) > _PAGE:
            sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(_HEAD, head)  # with the headings over groups of columns, where there are any
        _printed(sheet, self.report)

    def _remark(self, sheet: Any, note: str, widths: Sequence[int]) -> None:
        """The table's note, over as many columns as a page has room for: beyond them a printer would cut it off."""
        look, across, room = self.format(font_color=_QUIET, italic=True), 0, 0
        while room < _PAGE:
            room += widths[across] if across < len(widths) else _NARROWEST
            across += 1
        lines = _lines(note, room)
        if lines > 1:
            look = self.format(font_color=_QUIET, italic=True, text_wrap=True)
            sheet.set_row(2, _LINE_HIGH * lines)
            if across > 1:
                sheet.merge_range(2, 0, 2, across - 1, "", look)
        self.text(sheet, 2, 0, note, look)

    def _groups(self, table: Table, sheet: Any, widths: Sequence[int]) -> None:
        at, high = 0, 1
        for name, width in shown.groups(table.columns):
            look = self.format(bold=True, bg_color=_SOFT, align="center", bottom=1, bottom_color=_LINE, text_wrap=True)
            high = max(high, _lines(one_line(name), sum(widths[at : at + width]) * 3 // 4))  # words stay whole
            if name and width > 1:
                sheet.merge_range(_HEAD, at, _HEAD, at + width - 1, "", look)
            if name:
                self.text(sheet, _HEAD, at, name, look)
            at += width
        if at:
            sheet.set_row(_HEAD, _LINE_HIGH * high)

    # ── charts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def charts(self) -> None:
        """On a sheet of their own, behind the tables."""
        if not (charts := charted.of(self.report)):
            return
        name = self.name("Charts")
        sheet = self.book.add_worksheet(name)
        charted.write(self.book, sheet, name, charts, self)
        _printed(sheet, self.report)
        self.listed.append((name, "Charts, and what they are drawn from", sum(len(c.bars) for c in charts)))

    # ── the cover ────────────────────────────────────────────────────────────────────────────────────────────────

    def cover(self, sheet: Any) -> None:
        """Written last, as it tells what became of the tables; it is the first sheet nevertheless."""
        report = self.report
        for n, width in enumerate(_COVER):
            sheet.set_column(n, n, width)
        sheet.hide_gridlines(2)
        self.text(sheet, 0, 0, report.company, self.format(font_color=_QUIET, bold=True))
        self.text(sheet, 1, 0, report.title, self.format(bold=True, font_size=16))
        at = self._facts(sheet, 3, "", shown.heading(report))
        at = self._proofs(sheet, at)
        notes = [*report.notes, *(f"{n:,} {what}" for what, n in self.said.items())]
        at = self._notes(sheet, at, notes)
        at = self._sheets(sheet, at)
        self._facts(sheet, at, "Where this comes from", shown.facts(report.provenance))
        sheet.fit_to_pages(1, 0)
        _printed(sheet, report)

    def _title(self, sheet: Any, at: int, *titles: str) -> int:
        for n in range(len(_COVER)):
            right: dict[str, Any] = {"align": "right"} if n in (1, 2) else {"align": "left", "indent": 1} if n else {}
            look = self.format(bold=True, bottom=1, bottom_color=_LINE, **right)
            sheet.write_blank(at + 1, n, None, look)
            self.text(sheet, at + 1, n, titles[n] if n < len(titles) else "", look)
        return at + 2

    def _broad(self, sheet: Any, at: int, first: int, text: str) -> None:
        """A text over the columns from `first` to the last, on as many lines as it takes."""
        look = self.format(text_wrap=True, align="left")
        sheet.set_row(at, _LINE_HIGH * _lines(visible(text), sum(_COVER[first:])))
        sheet.merge_range(at, first, at, len(_COVER) - 1, "", look)
        self.text(sheet, at, first, text, look)

    def _facts(self, sheet: Any, at: int, title: str, lines: Sequence[tuple[str, str]]) -> int:
        if title and lines:
            at = self._title(sheet, at, title)
        for key, value in lines:
            self._broad(sheet, at, 1, value)
            self.text(sheet, at, 0, key, self.format(font_color=_QUIET))
            at += 1
        return at

    def _notes(self, sheet: Any, at: int, notes: Sequence[str]) -> int:
        at = self._title(sheet, at, "Notes") if notes else at
        for note in notes:
            self._broad(sheet, at, 0, note)
            at += 1
        return at

    def _proofs(self, sheet: Any, at: int) -> int:
        at = self._title(sheet, at, "Proofs", "Here", "There", "Result") if self.report.proofs else at
        for proof, result in shown.proofs(self.report):
            texts = (visible(proof.claim), *shown.proof_cells(proof))
            sheet.set_row(at, _LINE_HIGH * max(map(_lines, texts, _COVER)))
            red = {"font_color": _RED, "bold": True} if proof.held is False else {}
            self.text(sheet, at, 0, proof.claim, self.format(text_wrap=True))
            for n, said in enumerate(shown.proof_cells(proof), 1):
                self.text(sheet, at, n, said, self.format(align="right", text_wrap=True))
            self.text(sheet, at, 3, result, self.format(align="left", indent=1, **red))
            at += 1
        return at

    def _sheets(self, sheet: Any, at: int) -> int:
        at = self._title(sheet, at, "Sheets")
        for name, title, rows in self.listed:
            self._broad(sheet, at, 1, f"{one_line(title)}: {counted(rows, 'row')}")
            link = self.format(font_color="#2A5D8F", underline=1)
            sheet.write_url(at, 0, f"internal:'{name}'!A1", link, string=name)
            at += 1
        return at


class _Cells:
    """The rows of one table, cell by cell."""

    def __init__(self, to: _Sheets, table: Table, parts: Sequence[_Part], sizes: _Sizes) -> None:
        self.to, self.table, self.parts, self.sizes = to, table, parts, sizes
        self.currency, self.listed = shown.currency_of(table), shown.is_list(table)
        self.looks: dict[tuple[str, int, int], Any] = {}
        self.kinds = [c.kind for c in table.columns]
        self.live = sums.Live(table)

    def row(self, part: _Part, at: int) -> None:
        """Writes one row, its totals and sums as formulas where a spreadsheet reckons as the report does."""
        row, sheet, line = self.table.rows[at], part.sheet, part.top + at - part.first
        style = row.style
        if any(self.sizes.wraps) and (lines := self.sizes.lines(row)) > 1:
            sheet.set_row(line, _LINE_HIGH * lines)
        for n, cell in enumerate(row.cells):
            if isinstance(cell, str) and cell:
                self.to.text(sheet, line, n, cell, self.look(style, n, -1))
            elif isinstance(cell, Decimal) and self.kinds[n] in ("money", "text"):
                self.amount(sheet, line, n, cell, at)
            elif isinstance(cell, datetime):
                self.to.text(sheet, line, n, shown.moment(cell), self.look(style, n, -1))
            elif isinstance(cell, date):
                self.day(sheet, line, n, cell, style)
            elif cell is not None and cell != "":
                self.number(sheet, line, n, cell, at)
            elif style != "detail":
                sheet.write_blank(line, n, None, self.look(style, n, -1))

    def amount(self, sheet: Any, line: int, n: int, cell: Decimal, at: int) -> None:
        row = self.table.rows[at]
        places = shown.decimals(cell, self.currency(row, self.table.columns[n]))
        look = self.look(row.style, n, places)
        if len(cell.as_tuple().digits) > DIGITS and not sums.fits(cell):
            self.to.note(_AS_TEXT)
            self.to.text(sheet, line, n, f"{cell:f}", look)
        elif formula := self._formula(at, n, places):
            sheet.write_formula(line, n, formula, look, cell)
        else:
            sheet.write_number(line, n, cell, look)

    def number(self, sheet: Any, line: int, n: int, cell: Decimal | int, at: int) -> None:
        """A count, days, per cent, a rate: the digits as they are."""
        value = Decimal(cell)
        # As many as the report says, so that an average of 11.0 stands beneath one of 2.5 as in its other forms.
        least = int(self.table.columns[n].kind == "percent")
        places = -1 if isinstance(cell, int) else max(least, -int(value.as_tuple().exponent))
        look = self.look(self.table.rows[at].style, n, max(0, places))
        if not sums.fits(value):
            self.to.text(sheet, line, n, f"{value:f}", look)
        elif isinstance(cell, int) and (formula := self._formula(at, n, 0)):
            sheet.write_formula(line, n, formula, look, cell)
        else:
            sheet.write_number(line, n, value, look)

    def day(self, sheet: Any, line: int, n: int, cell: date, style: str) -> None:
        if cell < _FIRST_DAY:
            self.to.text(sheet, line, n, cell.isoformat(), self.look(style, n, -1))
        else:
            sheet.write_datetime(line, n, cell, self.look(style, n, -2))

    def _formula(self, at: int, n: int, places: int) -> str:
        plain = self.table.rows[at].style == "detail" and n not in self.live.across
        return "" if plain else self.live.formula(at, n, places, self.place)

    def place(self, first: int, last: int, column: int) -> list[str]:
        """Rows `first` up to and without `last` of a column, as ranges of the workbook."""
        found = []
        for part in self.parts:
            low, high = max(first, part.first), min(last, part.last)
            if low >= high:
                continue
            sheet = "" if len(self.parts) == 1 else f"'{part.name}'!"
            letters, top = _letters(column), part.top - part.first + 1
            one = f"{letters}{low + top}"
            found.append(f"{sheet}{one}" if high == low + 1 else f"{sheet}{one}:{letters}{high - 1 + top}")
        return found

    def look(self, style: str, n: int, places: int) -> Any:
        """How a cell looks. places: of an amount or number; -1 for text, -2 for a date"""
        key = (style, n, places)
        if key not in self.looks:
            self.looks[key] = self.to.format(**self._look(style, n, places))
        return self.looks[key]

    def _look(self, style: str, n: int, places: int) -> dict[str, Any]:
        kind = self.kinds[n]
        asked: dict[str, Any] = {}
        if kind in NUMBERS:
            asked["align"] = "right"
        else:
            # Also text from right to left: columns stay straight.
            asked |= {"align": "left"} | _aside(self.table.columns, n)
            if self.sizes.wraps[n]:
                asked["text_wrap"] = True
        if places == -2:
            asked["num_format"] = "yyyy-mm-dd"
        elif places >= 0:
            digits = "#,##0" + ("." + "0" * places if places else "")
            zero = ';"–"' if kind == "money" and style == "detail" and self.listed else ""
            percent = '" %"' if kind == "percent" else ""
            red = "" if kind == "days" else "[Red]"  # a day that is still to come is no bad news
            asked["num_format"] = f"{digits}{percent}_ ;{red}-{digits}{percent}_ {zero}"
        else:
            asked["num_format"] = "@"
        if style in _BOLD:
            asked["bold"] = True
        if style in _BOLD and style != "heading":
            asked["bg_color"] = _SOFT
        if style == "total":
            asked |= {"top": 1, "top_color": _LINE, "bottom": 6, "bottom_color": _LINE}
        return asked


# ── sizes and names ──────────────────────────────────────────────────────────────────────────────────────────────────


def _cut(text: str, most: int) -> str:
    """At most so many letters as spreadsheets count them: those beyond U+FFFF count twice and are not cut in two."""
    raw = text.encode("utf-16-le")[: 2 * most]
    return raw.decode("utf-16-le", "ignore")


def _letters(column: int) -> str:
    """The name of a column: 0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def _as_of(report: Report) -> str:
    return f"as of {report.as_of.isoformat()}" if report.as_of else ""


def _printed(sheet: Any, report: Report) -> None:
    """A foot with whose it is, of which day, and the page. The printer's own paper is used, A4 or Letter."""
    left = " · ".join(x for x in (report.company, report.title, _as_of(report)) if x)
    safe = _cut(one_line(left), 100).replace("&", "&&")
    sheet.set_footer(f"&L&8 {safe}&R&8 Page &P of &N")


def _filtered(table: Table, part: _Part) -> int:
    """The sheet's last row that a filter may hide, -1 for none: lists are filtered, statements of figures are not."""
    if not shown.is_list(table):
        return -1
    last = next((n for n in range(part.last - 1, part.first - 1, -1) if table.rows[n].style == "detail"), -1)
    return -1 if last <= part.first else part.top + last - part.first


def _sizes(table: Table) -> _Sizes:
    """What cells and headings need, within reason; of very many rows, the first and the totals are asked."""
    few = len(table.rows) <= _WRAPPED
    some = [*table.rows[:_SAMPLE], *(r for r in table.rows[_SAMPLE:] if r.style != "detail")]
    currency = shown.currency_of(table)
    widths, wraps = [], []
    for n, column in enumerate(table.columns):
        numbers = column.kind in NUMBERS
        rows = table.rows if few else some
        longest = max(
            (
                len(shown.said(r.cells[n], column.kind, currency(r, column)))
                for r in rows
                if numbers or r.style != "heading"
            ),
            default=0,
        )
        word = max(map(len, column.title.split()), default=0) + 3  # room for the filter's button
        needed = max(longest + 2, word, _NARROWEST)
        most = max(min(column.width or _WIDEST, _WIDEST), word)  # a heading's words stay whole
        widths.append(needed if numbers else min(needed, most) + bool(_aside(table.columns, n)))
        wraps.append(few and not numbers and longest > widths[-1])
    return _Sizes(tuple(widths), tuple(wraps))


def _lines(text: str, width: int) -> int:
    """Lines that a text takes in a column; words stay whole where they fit, so that no line is cut."""
    room = max(1, width - 1)
    return sum(_broken(line, room) for line in text.split("\n"))


def _broken(line: str, room: int) -> int:
    """Lines that one line of text takes; broad letters count for more."""
    lines, used = 1, 0
    for word in line.split(" "):
        letters = len(word) + sum(c in "WMwm@%" or ord(c) > 0x2E7F for c in word) // 2
        if used and used + 1 + letters <= room:
            used += 1 + letters
            continue
        lines += bool(used) + max(0, letters - 1) // room
        used = letters % room or min(letters, room)
    return lines


def _aside(columns: Sequence[Column], n: int) -> dict[str, Any]:
    """What keeps a text off the figure before it: that stands flush right, the text flush left."""
    after = n > 0 and columns[n - 1].kind in NUMBERS and columns[n].kind not in NUMBERS
    return {"align": "left", "indent": 1} if after else {}
