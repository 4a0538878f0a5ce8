"""Text that people see on a terminal or in a spreadsheet: aligned, amounts in groups of three, and harmless.

What remote systems say in text is hostile until it is made plain here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal

# What a spreadsheet takes for the beginning of a formula.
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\u2212", "\uff0b", "\uff0d", "\uff1d", "\uff20")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WIDEST = 40


def hides(c: str) -> bool:
    """Whether a character is not seen, breaks a line, or steers what shows it."""
    return unicodedata.category(c) in _HIDDEN


def escaped(c: str) -> str:
    r"""A character that hides or steers as an escape (`\x1b`, `\u202e`); any other as it is."""
    if not hides(c):
        return c
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}"


def plain(value: str | None, most: int = _WIDEST) -> str:
    """Text for a terminal: what hides or steers as escapes, line breaks too, cut to `most` columns."""
    made = "".join(map(escaped, value or ""))
    if width(made) <= most:
        return made
    while width(made) > most - 1:
        made = made[:-1]
    return made + "…"


def neutral(value: str | None) -> str:
    """Text for a cell: an apostrophe before whatever a spreadsheet might run; what hides or steers as an escape.

    Amounts do not go through here.
    """
    if not value:
        return ""
    seen = value
    if not value.isprintable():
        seen = "".join(c if c in "\t\n" else escaped(c) for c in value.replace("\r\n", "\n"))
    return f"'{seen}" if seen.lstrip(" \u00a0").startswith(_RUNS) or seen.startswith(_RUNS) else seen


def counted(n: int, one: str, many: str = "") -> str:
    """`1 pair`, `2 pairs`: the number with its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def money(amount: Decimal | str | None, places: int = 2) -> str:
    """Digits in groups of three, never rounded; "" for no amount.

    places: at least so many, more where it has more
    """
    if amount is None or amount == "":
        return ""
    value = Decimal(amount)
    written = f"{value:f}".partition(".")[2].rstrip("0")
    text = f"{value:,.{max(places, len(written))}f}"
    return text[1:] if not value and text.startswith("-") else text


def width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def grid(rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines of aligned columns, two spaces apart; `right` names the columns set flush right."""
    kept = [list(r) for r in rows]
    widths = [max(map(width, column)) for column in zip(*kept, strict=True)]
    lines = []
    for row in kept:
        cells = []
        for n, cell in enumerate(row):
            gap = " " * (widths[n] - width(cell))
            cells.append(gap + cell if n in right else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return lines
