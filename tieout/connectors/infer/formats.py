"""How dates and amounts of a file are written: what reads every value of a column, or what has to be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.connectors.infer.sheet import Sheet
from tieout.mapping import fields
from tieout.mapping.fields import is_day, strip

_DATE_FORMATS = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%Y-%m-%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
)  # fmt: skip
_NUMBERS = ((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"))
_SYMBOLS = "$€£¥"
_SIGNS = ("leading", "trailing", "parentheses", "crdr")
# What ERPs write where there is no date.
NULL_DATES = (
    "00.00.0000", "00/00/0000", "0000-00-00", "00000000", "9999-12-31", "31.12.9999", "12/31/9999", "1900-01-00",
    "NULL", "N/A",
)  # fmt: skip
_DATES = ("issued", "posted", "due", "settled_on", "cleared_on", "voided_on", "applied_on", "reversed_on")
AMOUNTS = (
    "total",
    "debit",
    "credit",
    "open",
    "net",
    "tax",
    "discount",
    "applied",
    "balance",
    "rate",
    "quantity",
    "unit_price",
)


@dataclass(frozen=True, slots=True)
class Format:
    """How a column's dates read. fmt None: it was asked. others: formats that fit as well, the likeliest first"""

    fmt: str | None
    why: str
    others: tuple[str, ...] = ()


def dates_of(sheet: Sheet, roles: Mapping[str, int]) -> dict[str, Format]:
    """One format for each date column, if only one fits all of its values, or cross-checks leave only one."""
    fits: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for column in (c for c in _DATES if c in roles):
        values[column] = [v for v in sheet.column(roles[column]) if v not in NULL_DATES]
        fits[column] = [f for f in _DATE_FORMATS if values[column] and all(is_day(v, f) for v in values[column])]
    found: dict[str, Format] = {}
    settled = {c: f[0] for c, f in fits.items() if len({_order(x) for x in f}) == 1}
    for column, formats in fits.items():
        if not values[column]:
            found[column] = Format(None, "the column is empty")
            continue
        if not formats:
            odd = next((v for v in values[column] if not any(is_day(v, f) for f in _DATE_FORMATS)), values[column][0])
            sheet.questions.append(f"{column}: no date format reads every value; for instance {odd!r}. Which is it?")
            found[column] = Format(None, "no format reads every value", ("…",))
            continue
        if column in settled:
            found[column] = Format(formats[0], _date_evidence(values[column], formats[0]))
            continue
        found[column] = _settle(sheet, roles, column, formats=formats, settled=settled, values=values[column])
    return found


def _order(fmt: str) -> tuple[str, ...]:
    return tuple(t for t in re.findall(r"%(.)", fmt) if t in "Yymdb")


def _date_evidence(values: Sequence[str], fmt: str) -> str:
    if "%b" in fmt or _order(fmt)[:1] == ("Y",):
        return f"all {len(values)} values fit, and no other format does"
    proof = next((v for v in values if any(int(n) > 12 for n in re.findall(r"\d+", v)[:2])), values[0])
    return f"all {len(values)} values fit; {proof!r} fits no other order"


def _settle(
    sheet: Sheet,
    roles: Mapping[str, int],
    column: str,
    *,
    formats: list[str],
    settled: dict[str, str],
    values: list[str],
) -> Format:
    """Day or month first: by another column of the same shape, else by due dates, else by asking."""
    for other, fmt in settled.items():
        if fmt in formats:
            return Format(fmt, f"fits both orders; {other} of the same file is certainly {fmt}")
    if column in ("issued", "due") and {"issued", "due"} <= set(roles):
        kept = [f for f in formats if _due_after_issue(sheet, roles, f, settled)]
        if len(kept) == 1:
            return Format(kept[0], "fits both orders, but only so is no due date before its document's date")
    sample = next((v for v in values if len(set(re.findall(r"\d+", v)[:2])) > 1), values[0])
    readings = " or ".join(f"{f} ({fields.day(sample, f):%d %B %Y})" for f in formats)
    sheet.questions.append(f"{column}: day or month first? {sample!r} is {readings}; nothing in the file decides")
    return Format(None, "day or month first: nothing in the file decides", tuple(formats))


def _due_after_issue(sheet: Sheet, roles: Mapping[str, int], fmt: str, settled: dict[str, str]) -> bool:
    a, b = roles["issued"], roles["due"]
    pairs = [(strip(r[a]), strip(r[b])) for r in sheet.rows if len(r) > max(a, b) and strip(r[a]) and strip(r[b])]

    def read(text: str, column: str) -> date | None:
        chosen = settled.get(column, fmt)
        return fields.day(text, chosen) if is_day(text, chosen) else None

    days = [(read(x, "issued"), read(y, "due")) for x, y in pairs]
    return all(x is not None and y is not None and x <= y for x, y in days)


@dataclass(frozen=True, slots=True)
class Numbers:
    decimal: str | None
    group: str
    signs: tuple[str, ...]
    negatives: int
    why: str
    symbols: tuple[str, ...] = ()


def numbers_of(sheet: Sheet, roles: Mapping[str, int]) -> Numbers:
    """The separators that read every amount; asked for where two fit and some amount would differ."""
    values = [v for c in AMOUNTS if c in roles for v in sheet.column(roles[c])]
    if not values:
        return Numbers(None, "", ("leading",), 0, "no amounts")
    # Totals of groups are no rows, but are written as the amounts are.
    totals = [strip(r[roles[c]]) for r in sheet.totals for c in AMOUNTS if c in roles and roles[c] < len(r)]
    symbols = tuple(s for s in _SYMBOLS if any(s in v for v in (*values, *totals)))
    own = [_without(v, symbols) for v in values if re.search(r"\d", v)]
    amounts = [*own, *(_without(v, symbols) for v in totals if re.search(r"\d", v))]
    if not amounts:
        sheet.questions.append(f"amounts: no value has a digit, such as {values[0]!r}. Which column holds them?")
        return Numbers(None, "", ("leading",), 0, "asked", symbols)
    fits = [(d, g) for d, g in _NUMBERS if all(_number(v, d, g) is not None for v in amounts)]
    signs = tuple(s for s in _SIGNS if any(_SIGN_SHAPES[s](v) for v in amounts)) or ("leading",)
    negatives = sum(1 for v in own if any(_SIGN_SHAPES[s](v) for s in _SIGNS))
    if not fits:
        odd = next((v for v in amounts if not any(_number(v, d, g) is not None for d, g in _NUMBERS)), None)
        shown = f"{odd!r} fits none" if odd else "some values fit one pair, some another"
        sheet.questions.append(f"amounts: no pair of separators reads every value; {shown}. What are they?")
        return Numbers(None, "", signs, negatives, "asked", symbols)
    for v in amounts:
        read = {_number(v, d, g) for d, g in fits}
        if len(read) > 1:
            shown = " or ".join(str(r) for r in sorted(r for r in read if r is not None))
            sheet.questions.append(
                f"amounts: is {v!r} {shown}? No value of the file shows which mark is the decimal one"
            )
            return Numbers(None, "", signs, negatives, "asked", symbols)
    decimal, group = fits[0]
    proof = next((v for v in amounts if re.search(r"[.,' ]\d{1,2}\D*$", v)), amounts[0])
    return Numbers(decimal, group, signs, negatives, f"all {len(amounts)} values fit, such as {proof!r}", symbols)


def _without(text: str, symbols: Sequence[str]) -> str:
    """An amount without its symbol of a currency, as a profile's `symbols` drop it."""
    for symbol in symbols:
        text = text.replace(symbol, "")
    return strip(text)


def amount(text: str, numbers: Numbers) -> Decimal | None:
    """What a cell says as the file writes amounts; None if that is not known, or it is none."""
    if numbers.decimal is None:
        return None
    return _number(_without(text, numbers.symbols), numbers.decimal, numbers.group)


def holds_digits(values: Sequence[str]) -> bool:
    """Whether some value has a digit; or there is none at all."""
    return not values or any(re.search(r"\d", v) for v in values)


def holds_amounts(values: Sequence[str]) -> bool:
    """Whether one pair of separators reads every value of a column, and some value has one: others may be ids."""
    if not any(re.search(r"\d[.,]\d", v) for v in values):
        return False
    return any(all(_number(v, d, g) is not None for v in values) for d, g in _NUMBERS)


def holds_dates(values: Sequence[str]) -> bool:
    """Whether one format of a date reads every value of a column; eight digits alone may be an id."""
    return any(values and all(is_day(v, f) for v in values) for f in _DATE_FORMATS if f != "%Y%m%d")


_SIGN_SHAPES: dict[str, Callable[[str], bool]] = {
    "leading": lambda v: v[:1] in "-−",
    "trailing": lambda v: v[-1:] in "-−",
    "parentheses": lambda v: v.startswith("(") and v.endswith(")"),
    "crdr": lambda v: v.upper().endswith(("CR", "DR")),
}


def _number(text: str, decimal: str, group: str) -> Decimal | None:
    try:
        return fields.decimal(text, decimal_sep=decimal, group_sep=group, sign=_SIGNS, places=12)
    except ValueError:
        return None
