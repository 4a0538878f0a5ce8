"""TOML from anybody: its tables, or one kind of error that names a line, whatever is wrong with it."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import Any

DEEPEST = 40  # tables and lists within each other; ours have six
_MOST_DOTS = 500  # of one line: a key of as many parts takes Python the square of them


def loads(text: str) -> dict[str, Any]:
    """The tables of a text, numbers exact. Raises TOMLDecodeError, also for what Python cannot hold or nest."""
    for number, row in enumerate(text.split("\n"), start=1):
        if row.count(".") > _MOST_DOTS and not row.lstrip().startswith("#"):
            raise tomllib.TOMLDecodeError(f"Nested too deeply (at line {number}, column 1)")
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError(_placed(text, "Nested too deeply")) from None
    except (ValueError, ArithmeticError):
        raise tomllib.TOMLDecodeError(_placed(text, "A number that is too large")) from None
    if _deeper(found, DEEPEST):
        raise tomllib.TOMLDecodeError("Nested too deeply")
    return found


def _placed(text: str, says: str) -> str:
    """What is wrong, with the line in the words of `tomllib`: the first one with which it is wrong in this way."""
    rows = text.replace("\r\n", "\n").split("\n")
    low, high = 0, len(rows)  # it is not wrong with so many rows, and wrong with so many
    while high - low > 1:
        middle = (low + high) // 2
        try:
            tomllib.loads("\n".join(rows[:middle]), parse_float=Decimal)
        except tomllib.TOMLDecodeError:
            low = middle
        except (ValueError, ArithmeticError, RecursionError):
            high = middle
        else:
            low = middle
    return f"{says} (at line {high}, column 1)"


def _deeper(value: Any, most: int) -> bool:
    """Whether a value holds others more than so many levels deep; looked at without a call for each level."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
