"""Strict text to value: one typed field from the text of one cell, or ValueError with the reason.

Nothing is guessed: separators, sign styles and date formats are declared, and text that does not fit is refused.
tests/fixtures/hostile holds a file for each trap that its rules are for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from tieout.model import PLACES, tidy

LONGEST = 32_767  # characters of one cell; what a spreadsheet cell can hold
_MINUS = "−‒–﹣-"
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
_BIDI = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+|[0-9][.,][0-9]+[eE][0-9]+")
_TAIL = re.compile(r"([0-9]+)\.0+")
_MANGLED_DATE = re.compile(r"[0-9]{1,2}:[0-9]{2}\.[0-9]")
_ERROR_CELLS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})
YEARS = (1900, 2199)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar jän januari janv janvier ene enero",
            "feb february februar févr février febrero",
            "mar march mär märz mrz mars marzo",
            "apr april avr avril abr abril",
            "may mai mayo",
            "jun june juni juin junio",
            "jul july juli juil juillet julio",
            "aug august août ago agosto",
            "sep sept september septembre septiembre",
            "oct october okt oktober octobre octubre",
            "nov november novembre noviembre",
            "dec december dez dezember déc décembre dic diciembre",
        ),
        start=1,
    )
    for name in names.split()
}


def strip(text: str) -> str:
    """Without spaces of any kind, zero-width characters and byte-order marks at either end."""
    return text.strip().strip(_ZERO_WIDTH).strip()


def _guard(text: str, *, free: bool = False) -> None:
    if len(text) > LONGEST:
        raise ValueError(f"{len(text):,} characters, more than the {LONGEST:,} of a cell")
    for c in text:
        # Free text may break lines, and may hold C1 controls: what is left of a code page that someone misread.
        if unicodedata.category(c) == "Cc" and not (free and (c in "\t\n\r" or c >= "\x80")):
            raise ValueError(f"a control character (U+{ord(c):04X})")
    if found := _BIDI.search(text):
        raise ValueError(f"a character that reverses text (U+{ord(found[0]):04X})")


def text(raw: str) -> str:
    """Free text: names, memos. Kept as printed but for space at the ends; line breaks and tabs become one space.

    Refuses other control characters, bidirectional overrides, error cells and text beyond `LONGEST`.
    """
    if raw.isascii() and raw.isprintable() and len(raw) <= LONGEST:
        found = raw.strip()
    else:
        _guard(raw, free=True)
        found = strip(re.sub(r"[\t\r\n]+", " ", raw))
    if found in _ERROR_CELLS:
        raise ValueError("an error cell of a spreadsheet")
    return found


def identifier(raw: str) -> str:
    """A number or code that identifies: kept as printed, leading zeros too, but without space around it.

    A `.0` tail of digits is dropped (`17850.0`). Refuses what a spreadsheet shortened (`1.93E+09`), formulas,
    error cells and control characters.
    """
    _guard(raw)
    found = strip(raw)
    if found in _ERROR_CELLS:
        raise ValueError("an error cell of a spreadsheet")
    if _SHORTENED.fullmatch(found):
        raise ValueError("a number that a spreadsheet has shortened; its last digits are lost")
    if found.startswith("="):
        raise ValueError("a formula, not an identifier")
    whole = _TAIL.fullmatch(found)
    return whole.group(1) if whole else found


def decimal(
    raw: str,
    *,
    decimal_sep: str = ".",
    group_sep: str = "",
    sign: Iterable[str] = ("leading", "trailing", "parentheses"),
    drop: Iterable[str] = (),
    places: int = PLACES,
) -> Decimal:
    """An exact signed amount. Separators are those given and no others; at most `places` places, below 10^15.

    sign: accepted styles: leading `-x`, trailing `x-`, parentheses `(x)`, crdr `x CR`/`x DR`, hs `x H`/`x S`
    drop: currency codes or symbols that may stand before or after the digits
    Both `-0` and `0` are zero. Raises ValueError: exponents, wrong groups, two signs, unknown characters.
    """
    _guard(raw)
    styles = frozenset(sign)
    rest = unicodedata.normalize("NFKC", strip(raw)).strip()
    for dash in _MINUS:
        rest = rest.replace(dash, "-")
    rest = rest.replace("’", "'")
    if rest.startswith("="):
        raise ValueError("a formula, not a number")
    if rest in _ERROR_CELLS:
        raise ValueError("an error cell of a spreadsheet")
    symbols = tuple(unicodedata.normalize("NFKC", symbol) for symbol in drop)
    negative, rest = _signed(_without(rest, symbols), styles)
    rest = _without(rest, symbols)
    whole, fraction = _digits(rest, decimal_sep, group_sep)
    if len(whole.lstrip("0")) > 15:
        raise ValueError("beyond 10^15")
    if len(fraction.rstrip("0")) > places:
        raise ValueError(f"more than {places} decimal places")
    amount = Decimal(f"{whole}.{fraction or '0'}")
    return tidy(-amount if negative and amount else amount)


def _without(rest: str, symbols: tuple[str, ...]) -> str:
    for symbol in symbols:
        rest = rest.removeprefix(symbol).removesuffix(symbol).strip()
    return rest


def _signed(rest: str, styles: frozenset[str]) -> tuple[bool, str]:
    """Whether the text carries a minus, and the text without it. Raises ValueError for a style not declared."""
    marks: list[str] = []
    upper = rest.upper()
    negative = False
    if upper.endswith(("CR", "DR")) and "crdr" in styles:
        negative, rest = upper.endswith("CR"), rest[:-2].rstrip()
        marks.append("crdr")
    elif upper.endswith(("H", "S")) and "hs" in styles:
        negative, rest = upper.endswith("H"), rest[:-1].rstrip()
        marks.append("hs")
    if rest.startswith("(") and rest.endswith(")"):
        negative, rest = True, rest[1:-1].strip()
        marks.append("parentheses")
    if rest.startswith("-"):
        negative, rest = True, rest[1:].lstrip()
        marks.append("leading")
    elif rest.startswith("+"):
        rest = rest[1:].lstrip()
    if rest.endswith("-"):
        negative, rest = True, rest[:-1].rstrip()
        marks.append("trailing")
    if len(marks) > 1:
        raise ValueError("two signs")
    if marks and marks[0] not in styles:
        raise ValueError(f"a {marks[0]} sign, which the profile does not declare")
    return negative, rest


@lru_cache(maxsize=64)
def _number(decimal_sep: str, group_sep: str) -> re.Pattern[str]:
    d = re.escape(decimal_sep)
    tail = rf"(?:{d}([0-9]+))?"
    if not group_sep:
        return re.compile(rf"([0-9]+){tail}")
    g = re.escape(unicodedata.normalize("NFKC", group_sep))
    return re.compile(rf"([0-9]{{1,3}}(?:{g}[0-9]{{3}})+|[0-9]+){tail}")


def _digits(rest: str, decimal_sep: str, group_sep: str) -> tuple[str, str]:
    found = _number(decimal_sep, group_sep).fullmatch(rest)
    if found is None:
        if re.fullmatch(r"[0-9.,]+[eE][-+]?[0-9]+", rest):
            raise ValueError("a number with an exponent; its last digits may be lost")
        raise ValueError(f"not a number with decimal separator {decimal_sep!r} and group separator {group_sep!r}")
    whole, fraction = found.group(1), found.group(2) or ""
    return re.sub("[^0-9]", "", whole), fraction


_TOKENS = {
    "%Y": r"(?P<Y>[0-9]{4})",
    "%y": r"(?P<y>[0-9]{2})",
    "%m": r"(?P<m>[0-9]{1,2})",
    "%d": r"(?P<d>[0-9]{1,2})",
    "%b": r"(?P<b>[^\W\d_]+)\.?",
    "%H": "[0-9]{1,2}",
    "%M": "[0-9]{2}",
    "%S": r"[0-9]{2}(?:[.,][0-9]+)?",
}


@lru_cache(maxsize=64)
def date_pattern(fmt: str) -> re.Pattern[str]:
    """The pattern of a date format. Tokens: %Y %y %m %d %b (month name) %H %M %S; `%%` is not one.

    Day and month may lack a leading zero, but not where tokens touch (`%Y%m%d`). Raises ValueError for a format
    without day, month and year, or with another token.
    """
    parts = re.split(r"(%.)", fmt)
    tight = re.search(r"%[Yymd]%[Yymd]", fmt) is not None
    pattern = ""
    for part in parts:
        if part.startswith("%"):
            if part not in _TOKENS:
                raise ValueError(f"{part} is not a token of a date format")
            token = _TOKENS[part]
            pattern += token.replace("{1,2}", "{2}") if tight else token
        else:
            pattern += re.escape(part)
    has = set(re.findall(r"%(.)", fmt))
    if not (has & {"Y", "y"} and has & {"m", "b"} and "d" in has):
        raise ValueError("a date format needs a year, a month and a day")
    return re.compile(pattern)


def is_day(raw: str, fmt: str) -> bool:
    """Whether `day` reads it."""
    try:
        day(raw, fmt)
    except ValueError:
        return False
    return True


def day(raw: str, fmt: str) -> date:
    """A calendar date in exactly this format; a time of day in it is checked and dropped.

    fmt: see `date_pattern`; or `excel` / `excel1904` for spreadsheet serials. Two-digit years: 00–68 are 20xx.
    Raises ValueError: another format, no such day, a year outside 1900–2199.
    """
    _guard(raw)
    found = unicodedata.normalize("NFKC", strip(raw))
    if fmt in ("excel", "excel1904"):
        return serial(found, since_1904=fmt == "excel1904")
    match = date_pattern(fmt).fullmatch(found)
    if match is None:
        if _MANGLED_DATE.fullmatch(found):
            raise ValueError("a time of day: a spreadsheet has destroyed this date")
        if found in _ERROR_CELLS:
            raise ValueError("an error cell of a spreadsheet")
        raise ValueError(f"not a date in the format {fmt}")
    part = match.groupdict()
    year = int(part["Y"]) if part.get("Y") else _full_year(int(part["y"]))
    month = _month(part["b"]) if part.get("b") else int(part["m"])
    return _date(year, month, int(part["d"]))


def _full_year(two: int) -> int:
    return 2000 + two if two < 69 else 1900 + two


def _month(name: str) -> int:
    found = _MONTHS.get(name.casefold())
    if found is None:
        raise ValueError(f"{name!r} is not the name of a month")
    return found


def _date(year: int, month: int, number: int) -> date:
    if not YEARS[0] <= year <= YEARS[1]:
        raise ValueError(f"the year {year} is outside {YEARS[0]} to {YEARS[1]}")
    try:
        return date(year, month, number)
    except ValueError:
        raise ValueError(f"there is no day {number} in month {month} of {year}") from None


def serial(raw: str, *, since_1904: bool) -> date:
    """The date of a spreadsheet serial number; a fraction (time of day) is dropped.

    Serials 1 to 60 of the 1900 system are refused: they lie around a leap day that never was.
    """
    found = re.fullmatch(r"([0-9]{1,6})(?:\.[0-9]+)?", raw)
    if found is None:
        raise ValueError("not a serial number of a date")
    number = int(found.group(1))
    if since_1904:
        return _checked(date(1904, 1, 1) + timedelta(days=number))
    if number <= 60:
        raise ValueError("a serial number below 61 has no certain date")
    return _checked(date(1899, 12, 30) + timedelta(days=number))


def _checked(found: date) -> date:
    return _date(found.year, found.month, found.day)


def currency(raw: str) -> str:
    """An ISO 4217 code in capitals. A symbol is refused: `$` is the sign of twenty currencies."""
    _guard(raw)
    found = strip(raw).upper()
    if not re.fullmatch("[A-Z]{3}", found):
        raise ValueError("not a currency code of three letters")
    return found


def choice(raw: str, values: Mapping[str, str]) -> str:
    """The declared meaning of a code; upper and lower case and outer spaces do not matter."""
    _guard(raw)
    found = strip(raw)
    meaning = values.get(found)
    if meaning is None:
        folded = {k.casefold(): v for k, v in values.items()}
        meaning = folded.get(found.casefold())
    if meaning is None:
        raise ValueError(f"not one of {', '.join(sorted(values)) or 'no declared values'}")
    return meaning


_FLAGS = {
    "yes": True, "y": True, "true": True, "1": True, "x": True, "ja": True, "j": True,
    "no": False, "n": False, "false": False, "0": False, "nein": False,
}  # fmt: skip


def flag(raw: str) -> bool:
    """Yes or no, by its usual spellings."""
    _guard(raw)
    found = _FLAGS.get(strip(raw).casefold())
    if found is None:
        raise ValueError("neither yes nor no")
    return found
