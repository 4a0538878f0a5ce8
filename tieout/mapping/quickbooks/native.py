"""Reading typed values out of QuickBooks payloads, and the texts that QuickBooks can hold.

A payload is the parsed JSON of one object with numbers as `int` or `Decimal`; a float is refused.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel

from tieout.mapping.lens import Unreadable, Unwritable, mark, marker_in
from tieout.model import CENT, Method, Record, checked, exponent

Native = Mapping[str, Any]
Made = TypeVar("Made", bound=Record)

NUMBER_LENGTH = 21  # DocNumber and PaymentRefNum (code 2050)
NAME_LENGTH = 500
MEMO_LENGTH = 3900  # PrivateNote holds 4000; the rest is for the marker's line
DESCRIPTION_LENGTH = 4000
NOTES_LENGTH = 2000
EMAIL_LENGTH = 100
PHONE_LENGTH = 30

_ONE = Decimal(1)
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")
_VOIDED = re.compile(r"Voided\b[\s:.–—-]*")
# C0 and C1 controls but newline, and lone surrogates, which no JSON text can carry.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")


@dataclass(frozen=True, slots=True)
class Books:
    """What reading and writing need to know of the company's books.

    methods: PaymentMethod id → method, the preferred id of each method first
    sales_tax: `us` (TAX or NON per line, one code per document) or `other`, which is read but not written
    """

    connection: str
    home_currency: str
    methods: Mapping[str, Method] = field(default_factory=dict)
    sales_tax: str = "us"

    def method_id(self, method: Method) -> str | None:
        """The PaymentMethod to write for a method; None for `other` and for one the books do not have."""
        if method is Method.OTHER:
            return None
        return next((id for id, known in self.methods.items() if known is method), None)


def child(node: Native, key: str, path: str) -> Native | None:
    """The object under a key; None if absent, null or empty text."""
    value = node.get(key)
    if type(value) is dict:
        return value
    if value is None or value == "":
        return None
    if not isinstance(value, Mapping):
        raise Unreadable(path + key, value, "should be an object")
    return value


def items(node: Native, key: str, path: str) -> list[Native]:
    """The objects of an array; empty if absent or null."""
    value = node.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
        raise Unreadable(path + key, value, "should be an array of objects")
    return list(value)


def text(node: Native, key: str, path: str = "") -> str | None:
    """A text as it stands; None if absent, null or empty. Whole numbers are read as their digits."""
    value = node.get(key)
    if value is None or value == "":
        return None
    if type(value) is str:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(path + key, value, "should be text")


def ref(node: Native, key: str, path: str = "") -> str | None:
    """The id that a reference holds; None if it is absent."""
    held = child(node, key, path)
    return None if held is None else text(held, "value", f"{path}{key}.")


def required(value: Any, path: str, native: Native) -> Any:
    if value is None:
        raise Unreadable(path, native.get(path.rpartition(".")[2]), "is missing")
    return value


def amount(node: Native, key: str, path: str = "") -> Decimal | None:
    """An exact number; None if absent, null or empty. Numbers written as JSON strings count."""
    value = node.get(key)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Unreadable(path + key, value, "should be a finite number")
        return value
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, float):
        raise Unreadable(path + key, value, "passed through a float")
    raise Unreadable(path + key, value, "should be a number")


def set_or_drop(out: dict[str, Any], key: str, value: Any) -> None:
    """Give the key the value; None takes it away."""
    if value is None:
        out.pop(key, None)
    else:
        out[key] = value


def tidied(value: Decimal, path: str) -> Decimal:
    """The amount as records hold it: at least two places, at most six, below 10^15. Raises Unreadable."""
    try:
        return checked(value)
    except ValueError as why:
        raise Unreadable(path, value, str(why)) from None


_values, _given, _extra, _private = (
    BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def maker(kind: type[Made]) -> Callable[[dict[str, Any]], Made]:
    """Makes records of values that are checked, complete and in the model's order: what validation gives, but faster.

    The record owns the values from then on.
    """
    fields = set(kind.model_fields)  # one for all: a frozen record never changes it, and a copy of one has its own
    new = object.__new__

    def made(values: dict[str, Any]) -> Made:
        record = new(kind)
        _values(record, values)
        _given(record, fields)
        _extra(record, None)
        _private(record, None)
        return record

    return made


def day(node: Native, key: str, path: str = "") -> date | None:
    """A plain date, `YYYY-MM-DD`; a time zone or time behind it is refused."""
    value = node.get(key)
    if value is None or value == "":
        return None
    refusal = Unreadable(path + key, value, "should be a date as YYYY-MM-DD")
    if not isinstance(value, str) or len(value) != 10:
        raise refusal
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise refusal from None


def _simple(value: str, limit: int) -> bool:
    """Whether a text is printable ASCII without spaces at its ends, so that cleaning leaves it as it is."""
    return len(value) <= limit and value.isascii() and value.isprintable() and value[0] != " " != value[-1]


def one_line(value: str | None, limit: int) -> str | None:
    """Text on one line: NFC, controls and runs of spaces become one space, trimmed, cut; None if nothing is left."""
    if not value:
        return None
    spaced = " ".join(_CONTROL.sub(" ", unicodedata.normalize("NFC", value)).split())
    return spaced[:limit].rstrip() or None


def identifying(value: str | None, limit: int) -> str | None:
    """As `one_line`, but a longer text keeps a hash of itself at its end, so that two stay two."""
    if value and _simple(value, limit) and "  " not in value:
        return value
    full = one_line(value, 10**6)
    if full is None or len(full) <= limit:
        return full
    return f"{full[: limit - 7].rstrip()}~{hashlib.sha256(full.encode()).hexdigest()[:6]}"


def name(value: str) -> str:
    """A DisplayName: no colon (QuickBooks' separator of levels), tab or newline, at most 500 characters."""
    return identifying(value.replace(":", "-"), NAME_LENGTH) or ""


def email(value: str | None) -> str | None:
    """Addresses separated by commas, at most 100 characters; None for what QuickBooks refuses as an address (2210)."""
    if not value:
        return None
    parts = [p.strip() for p in value.split(",")]
    joined = ",".join(parts)
    return joined if all(_EMAIL.fullmatch(p) for p in parts) and len(joined) <= EMAIL_LENGTH else None


def paragraphs(value: str | None, limit: int) -> str | None:
    """Text of several lines: LF endings, other controls become spaces, trimmed, cut; None if nothing is left."""
    if not value:
        return None
    if _simple(value, limit):
        return value
    clean = unicodedata.normalize("NFC", value).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(" ", clean).strip()[:limit].rstrip() or None


def memo(value: str | None, *, empty: bool = False) -> str | None:
    """A memo as PrivateNote can hold it; a last line that reads as a marker is ours, never part of a memo.

    empty: the record has no amounts; then a memo that begins with `Voided` would void it, and loses that word
    """
    if empty and says_voided(value):
        value = without_voided(value or "")
    clean = paragraphs(value, MEMO_LENGTH)
    while clean is not None:
        body, _ = split_note(clean)
        if body == clean:
            return clean
        clean = body
    return None


def split_note(note: str | None) -> tuple[str | None, str | None]:
    """(text, marker) of a note whose last line may be `tieout:<marker>`."""
    if not note:
        return None, None
    body, _, last = note.rstrip().rpartition("\n")
    marker = marker_in(last)
    return (body.rstrip() or None, marker) if marker else (note, None)


def join_note(body: str | None, marker: str | None) -> str:
    """The note of a text and a marker, the marker in the last line."""
    return "\n".join(part for part in (body, mark(marker) if marker else None) if part)


def says_voided(note: str | None) -> bool:
    return note is not None and _VOIDED.match(note) is not None


def without_voided(note: str) -> str:
    """The note as it was before QuickBooks put `Voided` before it; the separator is not documented."""
    return _VOIDED.sub("", note, count=1)


def cents(value: Decimal, currency: str) -> Decimal:
    """The amount at its currency's minor unit. Raises Unwritable where that would change it."""
    rounded = round(value, exponent(currency))
    if rounded != value:
        raise Unwritable(f"{value} is finer than {currency} is counted")
    return rounded


def _five(value: Decimal) -> bool:
    """Whether the number has at most five decimal places."""
    return value.same_quantum(CENT) or value.same_quantum(_ONE) or round(value, 5) == value


def same_product(quantity: Decimal, unit_price: Decimal, net: Decimal, currency: str) -> bool:
    """Whether QuickBooks takes the amount for quantity × unit price (else code 6070)."""
    if not (_five(quantity) and _five(unit_price)):
        return False
    product = quantity * unit_price
    return product == net or product.quantize(Decimal(1).scaleb(-exponent(currency)), "ROUND_HALF_UP") == net
