"""Normalised keys: what makes two printed numbers or names the same for matching. The raw text is always kept beside.

Each key has a twin in SQL for text of printable ASCII (`*_sql`); any other text goes through the Python function.
"""

from __future__ import annotations

import re
import unicodedata

_TRAILING_ZERO_DECIMALS = re.compile(r"([0-9]+)\.0+")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_ASCII = "[ -~]*"


def number_key(text: str) -> str:
    """Key of a document number: NFKC, lower case, letters and digits only, no `.0` tail, no leading zeros.

    Zeros are stripped where the whole key is digits (`0000611365`, `611365.0` and `611-365` are one number);
    `INV-007` keeps its zeros. `''` where nothing identifies.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().strip()
    whole = _TRAILING_ZERO_DECIMALS.fullmatch(folded)
    bare = whole.group(1) if whole else _NOT_ALPHANUMERIC.sub("", folded)
    return (bare.lstrip("0") or "0") if bare.isdecimal() else bare


def customer_number_key(text: str) -> str:
    """Key of a customer's number: the same rule, so `0140105686` and `140105686` are one customer."""
    return number_key(text)


def name_key(text: str) -> str:
    """Key of a name: NFKC, lower case, `&` as `and`, words joined by one space, no punctuation.

    Legal forms and abbreviations stay: `Acme Ltd` and `Acme` may be two companies.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("&", " and ")
    apart = folded.replace("'", "").replace("’", "")
    return _NOT_ALPHANUMERIC.sub(" ", apart).strip()


def plain_sql(expression: str) -> str:
    """SQL condition under which the twins below hold: printable ASCII only."""
    return f"regexp_full_match({expression}, '{_ASCII}')"


def number_key_sql(expression: str) -> str:
    """`number_key` as DuckDB SQL, for printable ASCII text. Letters, digits and dashes are only lowered."""
    dashed = f"replace(replace({expression}, '-', ''), '/', '')"
    whole = f"regexp_replace(trim({expression}), '^([0-9]+)\\.0+$', '\\1')"
    bare = f"regexp_replace(lower({whole}), '[^a-z0-9]+', '', 'g')"
    return (
        f"CASE WHEN regexp_full_match({dashed}, '[A-Za-z][A-Za-z0-9]*') THEN lower({dashed}) "
        f"ELSE regexp_replace({bare}, '^0+([0-9]+)$', '\\1') END"
    )


def name_key_sql(expression: str) -> str:
    """`name_key` as DuckDB SQL, for printable ASCII text."""
    apart = f"replace(replace(lower({expression}), '&', ' and '), '''', '')"
    return f"trim(regexp_replace({apart}, '[^a-z0-9]+', ' ', 'g'))"
