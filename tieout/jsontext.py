"""JSON that is printed: exact for programs, and nothing in it steers the terminal of who looks at it."""

from __future__ import annotations

import json
import re
import unicodedata

_BEYOND = re.compile("[^\x00-\x7e]")


def inert(text: str) -> str:
    r"""JSON in which whatever is not seen, or steers, is an escape (`\u202e`): what reads it reads the same.

    JSON itself escapes only the oldest controls; an escape sequence may begin with a later one.
    """
    return text if text.replace("\n", "").isprintable() else _BEYOND.sub(_seen, text)


def _seen(found: re.Match[str]) -> str:
    c = found[0]
    return c if c.isprintable() or unicodedata.category(c) == "Zs" else json.dumps(c)[1:-1]
