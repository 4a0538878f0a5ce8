"""JSON that is printed: exact for programs, and nothing in it steers the terminal of who looks at it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from os import PathLike, fspath
from typing import Any

_BEYOND = re.compile("[^\x00-\x7e]")


def encode(value: Any) -> str:
    """Indented JSON with money and dates as text. Raises TypeError for a float, which is a mistake."""
    return inert(json.dumps(ready(value), ensure_ascii=False, indent=2, allow_nan=False))


def ready(value: Any) -> Any:
    """JSON-ready data: amounts, dates and paths as text. Raises TypeError for a float or another type."""
    match value:
        case None | bool() | str() | int():
            return value
        case Decimal():
            return format(value, "f")
        case date():
            return value.isoformat()
        case Mapping():
            return {str(k): ready(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [ready(v) for v in value]
        case PathLike():
            return fspath(value)
        case _:
            raise TypeError(f"{type(value).__name__} does not belong in JSON")


def inert(text: str) -> str:
    r"""JSON in which whatever is not seen, or steers, is an escape (`\u202e`): what reads it reads the same.

    JSON itself escapes only the oldest controls; an escape sequence may begin with a later one.
    """
    return text if text.replace("\n", "").isprintable() else _BEYOND.sub(_seen, text)


def _seen(found: re.Match[str]) -> str:
    c = found[0]
    return c if c.isprintable() or unicodedata.category(c) == "Zs" else json.dumps(c)[1:-1]
