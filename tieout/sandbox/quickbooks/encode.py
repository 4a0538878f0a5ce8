"""Values as QuickBooks writes them: money with two decimals but zero as `0`, other numbers as short as they go.

A document is a plain dict of str, bool, int, Decimal, dict and list; numbers get their written form when they are
stored, so that encoding is one pass of msgspec.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from . import schema
from .faults import Refused, too_long, unknown_property

PACIFIC = ZoneInfo("America/Los_Angeles")
CENT = Decimal("0.01")
# Amounts of a form, which is rounded as its currency is: where it is completed, for only there the currency is known.
_OF_FORMS = frozenset(schema.words("Amount TotalAmt Deposit TotalTax TaxInclusiveAmt"))
ZERO = Decimal(0)
Doc = dict[str, Any]
_TEXTS = frozenset(schema.ENUMS) | frozenset(
    schema.words("value Id SyncToken TxnId TxnType TxnLineId Name Value AcctNum CheckNum Type type")
)
_SCALARS = (
    (_TEXTS | schema.MONEY | schema.NUMBERS | schema.DATES | schema.BOOLEANS | frozenset(schema.LENGTHS))
    - {"Address", "Title"}  # an object in some entities
)
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def dumps(value: Any) -> bytes:
    return _encoder.encode(value)


def loads(body: bytes | str) -> Any:
    """Numbers with a fraction come as Decimal. Raises Refused 2010 for what is not JSON."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation) as error:
        raise Refused(
            2010, f"Property Name:Unexpected character : {error} specified is unsupported or invalid"
        ) from error


def cents(value: Decimal | int, places: int = 2) -> Decimal:
    """Rounded to a currency's decimals, halves up; written with at least two."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return rounded if places >= 2 else rounded.quantize(CENT)


def money(value: Decimal | int, places: int = 2) -> Decimal | int:
    """As written: `100.00`, and `0` for zero."""
    rounded = cents(value, places)
    return rounded or 0


def short(value: Decimal | int) -> Decimal | int:
    """As written: `75`, `22.5`."""
    number = Decimal(value)
    if number == number.to_integral_value():
        return int(number)
    return number.normalize()


def stamp(moment: datetime, timespec: str = "seconds") -> str:
    """In the company's time zone, with offset: `2020-09-29T05:58:07-07:00`."""
    return moment.astimezone(PACIFIC).isoformat(timespec=timespec)


def today(moment: datetime) -> date:
    return moment.astimezone(PACIFIC).date()


def parse_time(text: str) -> datetime | None:
    """A date or date-time with or without offset (then Pacific); None where it is neither."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=PACIFIC)).astimezone(UTC)


def copied(value: Any) -> Any:
    """A document's own copy; its leaves are immutable and shared."""
    if isinstance(value, dict):
        return {k: copied(v) if isinstance(v, (dict, list)) else v for k, v in value.items()}
    return [copied(v) for v in value] if isinstance(value, list) else value


def clean(doc: Doc, entity: schema.Entity) -> Doc:
    """An input brought to stored form.

    Numbers and booleans may come as text, ids and refs as numbers; an empty text stands for "absent" in numbers,
    dates and refs and is kept elsewhere, where a sparse update means "clear". None is dropped.
    Raises Refused 2010 (unknown property, wrong type), 2050 (length), 2060 (date), 2170 (enumeration).
    """
    known = entity.properties
    if known is not None:
        for name in doc:
            if name not in known:
                raise unknown(name, entity.name, known)
    lengths = {**schema.LENGTHS, **entity.lengths}
    return _object(doc, lengths)


def unknown(name: str, owner: str, known: Iterable[str]) -> Refused:
    return unknown_property(name, owner, tuple(sorted(known)))


def _object(doc: Doc, lengths: dict[str, int]) -> Doc:
    kept: Doc = {}
    for name, value in doc.items():
        cleaned = _value(name, value, lengths)
        if cleaned is not None:
            kept[name] = cleaned
    return kept


def _value(name: str, value: Any, lengths: dict[str, int]) -> Any:
    if value is None:
        return None
    _shape(name, value)
    if name == "LineEx":  # QuickBooks' own, handed back as it was answered
        return value
    if isinstance(value, dict):
        return _nested(name, value, lengths)
    if isinstance(value, list):
        return [_value(name, item, lengths) for item in value if item is not None and item != ""]
    if name in schema.MONEY:
        number = _number(name, value)
        return number if number is None or name in _OF_FORMS else money(number)
    if name in schema.NUMBERS:
        number = _number(name, value)
        return None if number is None else short(number)
    if name in schema.BOOLEANS and isinstance(value, str):
        return None if value == "" else value.lower() == "true"
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        if name not in _TEXTS and name not in lengths:
            return short(value)
        value = str(value)
    if isinstance(value, str):
        return _text(name, value, lengths)
    return value


def _shape(name: str, value: Any) -> None:
    """Raises Refused 2010 for a text where an object belongs, and the like. Lists reach here item by item too."""
    if value == "":
        return
    container = isinstance(value, (dict, list))
    if name in schema.LISTS:
        wrong = not container
    elif name in schema.OBJECTS or name.endswith("Ref"):
        wrong = not isinstance(value, dict)
    else:
        wrong = container and name in _SCALARS
    if name in schema.BOOLEANS and not isinstance(value, (bool, str)):
        wrong = True
    if wrong or (isinstance(value, list) and any(isinstance(item, list) for item in value)):
        raise Refused(2010, f"Property Name:Can not deserialize {name} specified is unsupported or invalid")


def _nested(name: str, value: Doc, lengths: dict[str, int]) -> Doc | None:
    known = schema.NESTED.get(name)
    if known is not None:
        for inner in value:
            if inner not in known:
                raise unknown(inner, name, known)
    if name.endswith("Ref") and not str(value.get("value", "-")):
        return None
    return _object(value, lengths)


def _text(name: str, value: str, lengths: dict[str, int]) -> str | None:
    if name in schema.DATES:
        return _date(name, value)
    limit = lengths.get(name)
    if limit is not None and len(value) > limit:
        raise too_long(name, limit, len(value))
    if name == "Address" and value and not all("@" in one and "." in one for one in value.split(",")):
        detail = f"The email address doesn't conform to RFC 822 syntax rules. Supplied value: {value}."
        raise Refused(2210, detail, element=name)
    allowed = schema.ENUMS.get(name)
    if allowed is not None and value and value not in allowed:
        raise Refused(2170, f"Invalid Enumeration : {value}", element=name)
    return value


def _number(name: str, value: Any) -> Decimal | None:
    if isinstance(value, bool):
        raise Refused(2040, f"Invalid Number : {value}", element=name)
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = Decimal(value.strip())
        except InvalidOperation as error:
            raise Refused(2040, f"Invalid Number : {value}", element=name) from error
    number = Decimal(value)
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise Refused(2040, f"Invalid Number : {value}", element=name)
    return number


def _date(name: str, value: str) -> str | None:
    text = value.strip()[:10]
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise Refused(2060, f"Invalid Date : {value}", element=name) from error


def bare(doc: Any) -> Any:
    """Without empty texts and the objects that held nothing else (`SubTotalLineDetail` and lists stay)."""
    if not isinstance(doc, dict):
        return [bare(item) for item in doc] if isinstance(doc, list) else doc
    kept = {}
    for name, value in doc.items():
        inner = bare(value) if isinstance(value, (dict, list)) else value
        if inner == "" or (inner == {} and name != "SubTotalLineDetail"):
            continue
        kept[name] = inner
    return kept
