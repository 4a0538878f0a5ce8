"""Charts as inline SVG: places across are per cent, so that a chart fits any width and its letters keep their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from itertools import pairwise

from tieout.model import ZERO
from tieout.reports.frame import Bar, Chart
from tieout.reports.shown import money, one_line

_LETTERS = 34  # of a label, beside its amount on a telephone
_STEP, _THICK = 40, 11  # pixels from bar to bar, and of a bar
_HIGH, _LINE = 150, 16  # pixels of a trend, and of a line of letters
_NEAR = Decimal("0.4")  # a waterfall that moves by less than this part of its height does not start at zero


@dataclass(frozen=True, slots=True)
class Span:
    """Where a bar lies on the axis. low ≤ high; both are amounts."""

    bar: Bar
    low: Decimal
    high: Decimal


def svg(chart: Chart) -> str:
    """The drawing, with everything it says as text for who cannot see it."""
    if not chart.bars:
        return ""
    drawn = _trend(chart) if chart.kind == "trend" else _bars(chart)
    name = f"{escape(one_line(chart.title))}, {escape(one_line(chart.currency))}"
    told = "; ".join(f"{one_line(b.label)}: {money(b.amount, chart.currency)}" for b in chart.bars)
    height = _HIGH + 44 if chart.kind == "trend" else _STEP * len(chart.bars) + 4
    return (
        f'<svg role="img" width="100%" height="{height}"><title>{name}</title><desc>{escape(told)}</desc>'
        f"{''.join(drawn)}</svg>"
    )


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
    if most - least > most * _NEAR:
        return ZERO
    unit = Decimal(1).scaleb(max(0, (most - least).adjusted()))
    return max(ZERO, (least - (most - least) / 4) // unit * unit)


def _bars(chart: Chart) -> Iterator[str]:
    found, start = spans(chart), axis_start(chart)
    reach = max((s.high for s in found), default=ZERO) - start

    def across(amount: Decimal) -> Decimal:
        return (max(amount, start) - start) / reach * 100 if reach else ZERO

    ground = across(max(ZERO, start))
    for n, span in enumerate(found):
        top = n * _STEP
        left, right = across(span.low), across(span.high)
        kind = "whole" if span.bar.total or chart.kind == "bars" else "up" if span.bar.amount >= 0 else "down"
        less = " less" if chart.kind == "bars" and span.bar.amount < 0 else ""
        width = max(right - left, Decimal("0.3")) if span.bar.amount else ZERO
        yield (
            f'<text x="0" y="{top + 15}">{escape(_label(span.bar.label))}</text>'
            f'<text class="end" x="100%" y="{top + 15}">{money(span.bar.amount, chart.currency)}</text>'
            f'<rect class="{kind}{less}" x="{min(left, 100 - width):.2f}%" y="{top + 21}" width="{width:.2f}%" '
            f'height="{_THICK}"/>'
            f'<line class="axis" x1="{ground:.2f}%" x2="{ground:.2f}%" y1="{top + 19}" y2="{top + 23 + _THICK}"/>'
        )
        if chart.kind == "waterfall" and n + 1 < len(found):
            end = across(span.high if span.bar.total or span.bar.amount >= 0 else span.low)
            down = top + 21 + _THICK
            yield f'<line class="step" x1="{end:.2f}%" x2="{end:.2f}%" y1="{down}" y2="{top + _STEP + 21}"/>'


def _trend(chart: Chart) -> Iterator[str]:
    amounts = [b.amount for b in chart.bars]
    low, high = min(ZERO, *amounts), max(ZERO, *amounts)
    reach = (high - low) or Decimal(1)
    places = [(Decimal(n * 96) / max(1, len(amounts) - 1) + 2) for n in range(len(amounts))]

    def down(amount: Decimal) -> Decimal:
        return 18 + (high - amount) / reach * _HIGH

    for mark in sorted({low, ZERO, high}):
        y = down(mark)
        yield f'<line class="axis" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        if mark in (ZERO, high) or down(mark) - down(ZERO) > _LINE:
            yield f'<text class="small" x="0" y="{y - 4:.1f}">{money(mark, chart.currency)}</text>'
    for (x1, a1), (x2, a2) in pairwise(zip(places, amounts, strict=True)):
        yield f'<line class="trend" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{down(a1):.1f}" y2="{down(a2):.1f}"/>'
    for x, amount in zip(places, amounts, strict=True):
        yield f'<circle class="whole" cx="{x:.2f}%" cy="{down(amount):.1f}" r="3.5"/>'
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
