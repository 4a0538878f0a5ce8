"""A report's charts as native ones of a workbook: each stands beside the cells that it is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from tieout.model import ZERO
from tieout.reports.forms import shown, sums
from tieout.reports.forms.drawing import axis_start, caption, drawable, spans, told
from tieout.reports.frame import Chart, Report

_LABEL, _AMOUNT, _FIRST = 0, 1, 2  # columns: what, how much, the parts of a waterfall; then the drawing
_LETTERS = 32  # of a label: with more of them the drawing has no room left; the tables have all of it
_LEAST = 18  # rows of the drawing, whatever the number of bars
_ROW, _WIDE = 20, 720  # pixels
_LABELS, _AMOUNTS = 285, 131  # pixels of a column
_PAPER = (920, 640)  # pixels across and down that a page has room for, A4 or Letter on its side
_BLUE, _UP, _DOWN, _QUIET = "#2A5D8F", "#1B7A6E", "#B4530A", "#55606E"
_PARTS = (("total", _BLUE), ("rise", _UP), ("fall", _DOWN))


class Writes(Protocol):
    """What a sheet is written with: text that is never a formula, and looks of cells."""

    def text(self, sheet: Any, row: int, column: int, value: str, look: Any) -> None: ...
    def format(self, **asked: Any) -> Any: ...


def of(report: Report) -> list[Chart]:
    """The charts that a spreadsheet can draw: those whose amounts it keeps to the last digit."""
    kept = [c for c in report.charts if drawable(c)]
    return [c for c in kept if all(sums.fits(a) for s in spans(c) for a in (s.bar.amount, s.low, s.high))]


def write(book: Any, sheet: Any, name: str, charts: Sequence[Chart], to: Writes) -> None:
    """All charts below each other on a sheet of their own, whose name is given."""
    sheet.set_column_pixels(_LABEL, _LABEL, _LABELS)
    sheet.set_column_pixels(_AMOUNT, _FIRST + 2 * len(_PARTS), _AMOUNTS)
    blocks: list[_Block] = []
    at = 0
    for chart in charts:
        blocks.append(_Block(book, sheet, name, chart, to, at))
        blocks[-1].cells()
        blocks[-1].draw()
        at += blocks[-1].high
    sheet.write_blank(at, _LABEL, None, to.format())  # what is printed ends below the last drawing
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    wide = max(_PAPER[0], *(b.wide for b in blocks))
    sheet.set_h_pagebreaks(_breaks(blocks, _PAPER[1] * wide // _PAPER[0] // _ROW))


def _breaks(blocks: Sequence[_Block], room: int) -> list[int]:
    """The rows before which a page begins, so that none ends within a drawing. room: rows of a page

    LibreOffice breaks there. Excel has no breaks of ours on a sheet that is fitted to the breadth of a page; without
    that, a drawing would be cut from top to bottom where columns are broader than here, as they are in other fonts.
    """
    found, first = [], 0
    for block in blocks:
        if block.top > first and block.top + block.high - first > room:
            found.append(block.top)
            first = block.top
    return found


@dataclass(frozen=True, slots=True)
class _Block:
    """One chart. top: the row of its title; its headings and its bars stand beneath"""

    book: Any
    sheet: Any
    name: str
    chart: Chart
    to: Writes
    top: int

    @property
    def high(self) -> int:
        """Rows that it takes, the drawing beside its cells."""
        return max(len(self.chart.bars) + 3, _LEAST + 1)

    @property
    def beside(self) -> int:
        """The column in which the drawing begins."""
        return _FIRST + len(self._stacked()) + 1

    @property
    def wide(self) -> int:
        """Pixels that it takes."""
        return _LABELS + _AMOUNTS * (self.beside - 1) + _WIDE

    def cells(self) -> None:
        """What is drawn, bar by bar: a waterfall also by the parts that are stacked, and the empty one beneath."""
        title, remark = caption(self.chart)
        self.to.text(self.sheet, self.top, 0, " · ".join(x for x in (title, remark) if x), self.to.format(bold=True))
        titles = ["what", "amount", *(t for t, _, _ in self._stacked())]
        for n, told_ in enumerate(titles):
            right = {"align": "right"} if n else {}
            look = self.to.format(font_color=_QUIET, bottom=1, **right)
            self.to.text(self.sheet, self.top + 1, n, shown.title(told_), look)
        stacked = [values for _, _, values in self._stacked()]
        for n, bar in enumerate(self.chart.bars):
            label = bar.label if len(bar.label) <= _LETTERS else f"{bar.label[: _LETTERS - 1]}…"
            self.to.text(self.sheet, self.top + 2 + n, _LABEL, label, self.to.format(num_format="@"))
            for column, amount in enumerate((bar.amount, *(values[n] for values in stacked)), _AMOUNT):
                self._number(self.top + 2 + n, column, amount)

    def _number(self, row: int, column: int, amount: Decimal) -> None:
        places = shown.decimals(amount, self.chart.currency)
        digits = "#,##0" + ("." + "0" * places if places else "")
        look = self.to.format(num_format=f"{digits}_ ;[Red]-{digits}_ ", align="right")
        self.sheet.write_number(row, column, amount, look)

    def _stacked(self) -> list[tuple[str, str, list[Decimal]]]:
        """Of a waterfall: name, colour ("" for none) and values of each part; what crosses zero has two."""
        if self.chart.kind != "waterfall":
            return []
        found = spans(self.chart)
        made = [("from", "", [s.low if s.low > 0 else min(s.high, ZERO) for s in found])]
        for part, colour in _PARTS:
            own = [("total" if s.bar.total else "rise" if s.bar.amount >= 0 else "fall") == part for s in found]
            above = [s.high - max(s.low, ZERO) if o and s.high > 0 else ZERO for s, o in zip(found, own, strict=True)]
            below = [s.low - min(s.high, ZERO) if o and s.low < 0 else ZERO for s, o in zip(found, own, strict=True)]
            made += [(part, colour, above), (f"{part} below zero", colour, below)]
        return [m for m in made if m[1] == "" or any(m[2])]

    def _range(self, column: int) -> list[Any]:
        return [self.name, self.top + 2, column, self.top + 1 + len(self.chart.bars), column]

    def draw(self) -> None:
        kind = {
            "bars": {"type": "bar"},
            "waterfall": {"type": "column", "subtype": "stacked"},
            "trend": {"type": "line"},
        }[self.chart.kind]
        drawn = self.book.add_chart(kind)
        for series in self._series():
            drawn.add_series({"categories": self._range(_LABEL)} | series)
        name = shown.one_line(self.chart.title)
        name = f" {name}" if name.startswith("=") else name  # which would be a reference
        drawn.set_title({"name": name, "name_font": {"size": 11, "bold": True}, "overlay": False})
        drawn.set_legend({"none": True})
        least: dict[str, Any] = {}
        if self.chart.kind == "waterfall" and (start := axis_start(self.chart)) > 0:
            least = {"min": int(start)}
        names: dict[str, Any] = {"label_position": "low", "num_font": {"size": 9}}
        amounts = {"num_format": "#,##0", "num_font": {"size": 9}, "major_gridlines": {"visible": True}} | least
        if self.chart.kind == "bars":  # which lie: the first on top
            drawn.set_y_axis(names | {"reverse": True})
            drawn.set_x_axis(amounts)
        else:
            drawn.set_x_axis(names)
            drawn.set_y_axis(amounts)
        drawn.set_size({"width": _WIDE, "height": _ROW * max(len(self.chart.bars) + 2, _LEAST)})
        self.sheet.insert_chart(self.top, self.beside, drawn, {"description": shown.one_line(told(self.chart))})

    def _series(self) -> list[dict[str, Any]]:
        fill = {"fill": {"color": _BLUE}, "gap": 60}
        match self.chart.kind:
            case "bars":
                turned = {"invert_if_negative": True, "invert_if_negative_color": _DOWN}
                label = {"value": True, "num_format": "#,##0", "font": {"size": 9}}
                return [{"values": self._range(_AMOUNT), "data_labels": label} | fill | turned]
            case "trend":
                mark = {"type": "circle", "size": 5, "fill": {"color": _BLUE}, "border": {"color": _BLUE}}
                return [{"values": self._range(_AMOUNT), "line": {"color": _BLUE, "width": 2}, "marker": mark}]
            case _:
                return [
                    {"values": self._range(n), "gap": 40, "fill": {"color": colour} if colour else {"none": True}}
                    for n, (_, colour, _) in enumerate(self._stacked(), _FIRST)
                ]
