"""Charts as inline SVG: places across are per cent, so that a chart fits any width and its letters keep their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from itertools import pairwise

from tieout.compare.result import money
from tieout.model import ZERO
from tieout.reports.forms.shown import one_line
from tieout.reports.frame import Bar, Chart

_LETTERS = 40  # of a label, beside its amount on a telephone
_STEP, _THICK = 40, 11  # pixels from bar to bar, and of a bar
_HIGH, _LINE = 150, 16  # pixels of a trend, and of a line of letters
_SEEN = Decimal("0.3")  # per cent of the width: the least of a bar that is not zero
_NEAR = Decimal("0.4")  # a waterfall that moves by less than this part of its height does not start at zero


@dataclass(frozen=True, slots=True)
class Span:
    """Where a bar lies on the axis. low ≤ high; both are amounts."""

    bar: Bar
    low: Decimal
    high: Decimal


def svg(chart: Chart) -> str:
    """The drawing, with everything it says as text for who cannot see it."""
    if not drawable(chart):
        return ""
    drawn = _trend(chart) if chart.kind == "trend" else _bars(chart)
    name = ", ".join(escape(one_line(part)) for part in caption(chart) if part)
    height = _HIGH + 44 if chart.kind == "trend" else _STEP * len(chart.bars) + 4
    return (
        f'<svg role="img" width="100%" height="{height}"><title>{name}</title><desc>{escape(told(chart))}</desc>'
        f"{''.join(drawn)}</svg>"
    )


def drawable(chart: Chart) -> bool:
    """Whether there is something to see: a trend has more than one point."""
    return len(chart.bars) > (chart.kind == "trend")


def told(chart: Chart) -> str:
    """Everything it shows, for who cannot see it."""
    return "; ".join(f"{one_line(b.label)}: {money(b.amount, chart.currency)}" for b in chart.bars)


def caption(chart: Chart) -> tuple[str, str]:
    """What stands above the drawing: its title, and what a reader has to know of it, "" for nothing."""
    start = axis_start(chart) if chart.kind == "waterfall" else ZERO
    where = f"bars start at {money(start, chart.currency)}, not at zero" if start > 0 else ""
    unit = "" if chart.currency in chart.title else f"in {chart.currency}"
    return chart.title, "; ".join(x for x in (unit, where) if x)


def spans(chart: Chart) -> list[Span]:
    """Every bar from where it starts to where it ends: the ground for bars and totals, the one before for a step."""
    found, ground = [], ZERO
    for bar in chart.bars:
        start = ground if chart.kind == "waterfall" and not bar.total else ZERO
        ground = start + bar.amount
        found.append(Span(bar, min(start, ground), max(start, ground)))
    return found


def axis_start(chart: Chart) -> Decimal:
    """The amount at the left edge of bars and waterfalls: not above zero, but where steps are small beside the totals.

    A reader is told where it is not zero or less.
    """
    found = spans(chart)
    low = min(ZERO, *(s.low for s in found))
    if chart.kind != "waterfall" or low < 0:
        return low
    moves = [s.high for s in found if s.bar.total] + [end for s in found if not s.bar.total for end in (s.low, s.high)]
    least, most = min(moves), max(moves)
    if least == most or most - least > most * _NEAR:
        return ZERO
    unit = Decimal(1).scaleb(max(0, (most - least).adjusted()))
    return max(ZERO, (least - (most - least) / 4) // unit * unit)


@dataclass(frozen=True, slots=True)
class Strip:
    """One bar as it is drawn, everything in per cent of the width.

    ground: zero, or the left edge · end: where the next step begins · kind: whole (a total), up or down
    """

    bar: Bar
    kind: str
    left: Decimal
    width: Decimal
    ground: Decimal
    end: Decimal


def strips(chart: Chart) -> list[Strip]:
    """The bars of a bar chart or waterfall. Whatever is not zero can be seen."""
    found, start = spans(chart), axis_start(chart)
    reach = max((s.high for s in found), default=ZERO) - start

    def across(amount: Decimal) -> Decimal:
        return (max(amount, start) - start) / reach * 100 if reach else ZERO

    made = []
    for span in found:
        left, right, bar = across(span.low), across(span.high), span.bar
        whole = bar.total or (chart.kind == "bars" and bar.amount >= 0)
        kind = "whole" if whole else "up" if bar.amount >= 0 else "down"
        width = max(right - left, _SEEN) if bar.amount else ZERO
        end = right if bar.total or bar.amount >= 0 else left
        made.append(Strip(bar, kind, min(left, 100 - width), width, across(max(ZERO, start)), end))
    return made


def points(chart: Chart) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    """Of a trend, in per cent from left and top: the points, and (amount, from the top) of the lines to mark."""
    amounts = [b.amount for b in chart.bars]
    low, high = min(ZERO, *amounts), max(ZERO, *amounts)
    reach = (high - low) or Decimal(1)
    step = Decimal(96) / max(1, len(amounts) - 1)
    marks = sorted({low, ZERO, high}, reverse=True)
    return (
        [(2 + n * step, (high - a) / reach * 100) for n, a in enumerate(amounts)],
        [(m, (high - m) / reach * 100) for m in marks],
    )


def _bars(chart: Chart) -> Iterator[str]:
    drawn = strips(chart)
    for n, strip in enumerate(drawn):
        top = n * _STEP
        yield (
            f'<text x="0" y="{top + 15}">{escape(_label(strip.bar.label))}</text>'
            f'<text class="end" x="100%" y="{top + 15}">{money(strip.bar.amount, chart.currency)}</text>'
            f'<rect class="{strip.kind}" x="{strip.left:.2f}%" y="{top + 21}" width="{strip.width:.2f}%" '
            f'height="{_THICK}"/>'
            f'<line class="axis" x1="{strip.ground:.2f}%" x2="{strip.ground:.2f}%" y1="{top + 19}" '
            f'y2="{top + 23 + _THICK}"/>'
        )
        if chart.kind == "waterfall" and n + 1 < len(drawn):
            x, down = f"{strip.end:.2f}%", top + 21 + _THICK
            yield f'<line class="step" x1="{x}" x2="{x}" y1="{down}" y2="{top + _STEP + 21}"/>'


def _trend(chart: Chart) -> Iterator[str]:
    places, marks = points(chart)

    def down(part: Decimal) -> Decimal:
        return 18 + part / 100 * _HIGH

    written = None
    for mark, part in marks:
        y = down(part)
        yield f'<line class="axis" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        if written is None or y - written > _LINE:
            yield f'<text class="small" x="0" y="{y - 4:.1f}">{money(mark, chart.currency)}</text>'
            written = y
    for (x1, y1), (x2, y2) in pairwise(places):
        yield f'<line class="trend" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{down(y1):.1f}" y2="{down(y2):.1f}"/>'
    for x, part in places:
        yield f'<circle class="whole" cx="{x:.2f}%" cy="{down(part):.1f}" r="3.5"/>'
    yield from _days(chart.bars)


def _days(bars: Sequence[Bar]) -> Iterator[str]:
    y = _HIGH + 38
    yield f'<text class="small" x="0" y="{y}">{escape(_label(bars[0].label))}</text>'
    if len(bars) > 1:
        last = f"{_label(bars[-1].label)}"
        yield f'<text class="small end" x="100%" y="{y}">{escape(last)}</text>'


def _label(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…"
