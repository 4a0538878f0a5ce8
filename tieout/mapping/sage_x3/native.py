"""Reading typed values out of a Sage X3 object, wherever its entry transaction put them, and the texts that X3 holds.

A *native object* is what one `read` showed, free of block numbers, which change with the publication:

    {"object": "SIH", "fields": {NAME: text | [texts]}, "grids": [[{NAME: text}, …], …]}

with two keys more where the connector knows more: `open_items`, its rows of GACCDUDATE (one for each due date), and
`applications`, what a credit memo was matched with. Fields are found by name alone; a grid by a column it has.
Formats: dates YYYYMMDD, decimals with a point and no exponent, menus as their number (Sage's online help).
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.model import exponent

Native = Mapping[str, Any]
Row = Mapping[str, str]

YES, NO = "2", "1"
# What stands for "no date": empty, or the least date that the database can hold.
_NO_DATES = frozenset({"", "00000000", "17530101"})
_DAY = re.compile(r"[0-9]{8}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,13})?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff￾￿]")
CREDITS = frozenset({"2", "4"})  # INVTYP of what lowers receivables
PRO_FORMA = "5"


@dataclass(frozen=True, slots=True)
class Books:
    """What reading and writing need to know of an installation; all of it is set up there, nothing is X3's own.

    site: where documents of ours are entered · sites: whose documents are read, empty for all
    category, tax_rule, terms: of customers that we create
    invoice_type, credit_type: SIVTYP of documents of ours · ledger_invoices: enter them as BIC (on accounts), not SIH
    revenue_accounts: item ("" for none) → account of a line of such a document that states none
    due_term: a payment term without days; with it a document's due date is given as its base date, else terms decide
    types: SIVTYP → INVTYP, for publications that do not show INVTYP
    attributes: DENCOD → what a payment line is: application, unapplied, or the kind of adjustment that it takes off
    applied_as: the DENCOD of our applications · bank: BAN of ours · cancelled: STA2 of payments that were taken back
    """

    connection: str
    home_currency: str
    site: str = ""
    sites: frozenset[str] = frozenset()
    category: str = ""
    tax_rule: str = ""
    terms: str = ""
    invoice_type: str = ""
    credit_type: str = ""
    ledger_invoices: bool = False
    revenue_accounts: Mapping[str, str] = field(default_factory=dict)
    due_term: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    applied_as: str = ""
    bank: str = ""
    cancelled: frozenset[str] = frozenset()


def site_for(entity_code: str | None, books: Books) -> str:
    """The site where a document of a legal entity is entered. Raises Unwritable for one that is not ours."""
    if entity_code and books.sites and entity_code not in books.sites:
        raise Unwritable(
            f"{entity_code} is none of the sites {', '.join(sorted(books.sites))}; map it in codes.entities"
        )
    return entity_code or books.site


def made(kind: str, fields: Mapping[str, Any], *grids: Iterable[Row]) -> dict[str, Any]:
    """A native object of our own; empty fields are left out."""
    told = {name: value for name, value in fields.items() if value not in (None, "", [])}
    return {"object": kind, "fields": told, "grids": [list(g) for g in grids]}


def text(native: Native, name: str) -> str | None:
    """A field's text, trimmed; None if it is absent or empty. Of a dimensioned field the first."""
    return _trimmed(native["fields"].get(name))


def texts(native: Native, name: str) -> list[str]:
    """The texts of a dimensioned field that are not empty, in order."""
    value = native["fields"].get(name)
    parts = value if isinstance(value, list) else [value]
    return [told for part in parts if (told := _trimmed(part))]


def cell(row: Row, name: str) -> str | None:
    return _trimmed(row.get(name))


def _trimmed(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    return (value.strip() or None) if isinstance(value, str) else None


def required(native: Native, name: str) -> str:
    found = text(native, name)
    if found is None:
        raise Unreadable(name, native["fields"].get(name, ""), "is missing")
    return found


def grid(native: Native, column: str) -> list[Row]:
    """The lines of the grid that has a column; empty if there is none."""
    return next((lines for lines in native["grids"] if any(column in line for line in lines)), [])


def number(raw: str | None, path: str) -> Decimal | None:
    """An exact number; None if absent."""
    if raw is None:
        return None
    if not _NUMBER.fullmatch(raw):
        raise Unreadable(path, raw, "should be a number with a decimal point")
    return Decimal(raw)


def amount(native: Native, name: str) -> Decimal | None:
    return number(text(native, name), name)


def cell_amount(row: Row, name: str, path: str) -> Decimal | None:
    return number(cell(row, name), f"{path}.{name}")


def day(raw: str | None, path: str) -> date | None:
    """A plain date, YYYYMMDD; None where X3 has none."""
    if raw is None or raw in _NO_DATES:
        return None
    with contextlib.suppress(ValueError):
        if _DAY.fullmatch(raw):
            return date.fromisoformat(raw)
    raise Unreadable(path, raw, "should be a date as YYYYMMDD")


def stamped(value: date) -> str:
    """The date as X3 takes it."""
    return f"{value:%Y%m%d}"


def printed(value: Decimal) -> str:
    """The number as X3 prints it: a point, no exponent, no trailing zeros."""
    told = f"{value:f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def cents(value: Decimal, currency: str) -> str:
    """An amount of money to be written. Raises Unwritable where its currency counts no such fraction."""
    if round(value, exponent(currency)) != value:
        raise Unwritable(f"{value} is finer than {currency} is counted")
    return printed(value)


def one_line(value: str | None, limit: int) -> str | None:
    """Text on one line: NFC, controls and runs of spaces become one space, trimmed, cut; None if nothing is left."""
    if not value:
        return None
    spaced = " ".join(_CONTROL.sub(" ", unicodedata.normalize("NFC", value)).split())
    return spaced[:limit].rstrip() or None


def wrapped(value: str | None, width: int, most: int) -> list[str]:
    """Text in at most so many lines of a width, broken between words where it can be."""
    clean = one_line(value, 10**6)
    return textwrap.wrap(clean, width, break_on_hyphens=False)[:most] if clean else []


def joined(parts: Iterable[str]) -> str | None:
    """What `wrapped` took apart, as one line."""
    return one_line(" ".join(parts), 10**6)
