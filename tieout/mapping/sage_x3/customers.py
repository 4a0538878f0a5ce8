"""Sage X3 customer (BPC) <-> canonical customer. The marker lies in the last line of the remarks, BPCREM."""

from __future__ import annotations

from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable, mark, marker_in
from tieout.mapping.sage_x3.native import (
    NO,
    YES,
    Books,
    Native,
    Row,
    cell,
    grid,
    joined,
    made,
    one_line,
    required,
    text,
    texts,
    wrapped,
)
from tieout.model import Address, Customer, Ref

FIELDS = frozenset({"name", "email", "phone", "currency", "terms", "tax_id", "active"})
NAME_WIDTH, NAME_LINES = 35, 2
EMAIL_LENGTH, PHONE_LENGTH, TAX_ID_LENGTH, TERMS_LENGTH = 80, 40, 20, 15
REMARKS = 250
_STREET = ("ADDLIG1", "ADDLIG2", "ADDLIG3")
_OWN_ADDRESS = "MAIN"


def get(native: Native, books: Books) -> Customer:
    """The customer. `number` and id are its code; X3 states no balance here."""
    code = required(native, "BPCNUM")
    address = _address_row(native)
    names = texts(native, "BPRNAM") or texts(native, "BPCNAM")
    name = joined(names)
    if name is None:
        raise Unreadable("BPCNAM", "", "is missing")
    active = text(native, "BPCSTA")
    if active not in (YES, NO):
        raise Unreadable("BPCSTA", active, "should be 1 (no) or 2 (yes)")
    return Customer(
        ref=Ref(connection=books.connection, id=code, number=code, version=text(native, "WW_MODSTAMP")),
        name=name,
        number=code,
        email=one_line(cell(address, "WEB1"), EMAIL_LENGTH),
        phone=one_line(cell(address, "TEL1"), PHONE_LENGTH),
        billing_address=_address(address),
        currency=text(native, "CUR"),
        terms=text(native, "PTE"),
        tax_id=text(native, "EECNUM"),
        parent=None,
        active=active == YES,
        reported_balance=None,
        marker=_split(text(native, "BPCREM"))[1],
    )


def _address_row(native: Native) -> Row:
    """The default address, else the first; empty if the customer has none."""
    rows = grid(native, "CODADR")
    return next((row for row in rows if cell(row, "BPAADDFLG") == YES), rows[0] if rows else {})


def _address(row: Row) -> Address | None:
    lines = tuple(line for name in _STREET if (line := cell(row, name)))
    place = {
        "city": cell(row, "CTY"),
        "region": cell(row, "SAT"),
        "postal_code": cell(row, "POSCOD"),
        "country": cell(row, "BPACRY"),
    }
    return Address(lines=lines, **place) if lines or any(place.values()) else None


def _split(remarks: str | None) -> tuple[str | None, str | None]:
    """(text, marker) of remarks whose last word may be `tieout:<marker>`."""
    body, _, last = (remarks or "").rpartition(" ")
    marker = marker_in(last)
    return (body.strip() or None, marker) if marker else (remarks, None)


def represent(record: Customer, books: Books) -> Customer:
    """The customer as X3 would hold it: its name in two lines of 35, its currency and terms stated, no parent."""
    return record.model_copy(
        update={
            "name": joined(wrapped(record.name, NAME_WIDTH, NAME_LINES)) or "",
            "email": one_line(record.email, EMAIL_LENGTH),
            "phone": one_line(record.phone, PHONE_LENGTH),
            "currency": record.currency or books.home_currency,
            "terms": one_line(record.terms, TERMS_LENGTH) or books.terms or None,
            "tax_id": one_line(record.tax_id, TAX_ID_LENGTH),
            "parent": None,
        }
    )


def create(record: Customer, books: Books) -> dict[str, Any]:
    """The object that creates the customer, under a code that X3 chooses. Raises Unwritable without a name."""
    held = represent(record, books)
    names = wrapped(held.name, NAME_WIDTH, NAME_LINES)
    if not names:
        raise Unwritable("the customer has no name")
    address = record.billing_address
    country = one_line(address.country, 3) if address else None
    fields = {
        "BCGCOD": books.category,
        "BPCNAM": names[0],
        "BPRNAM": names,
        "BPCSTA": YES if held.active else NO,
        "CUR": held.currency,
        "CRY": country,
        "VACBPR": books.tax_rule,
        "PTE": held.terms,
        "EECNUM": held.tax_id,
        "BPCREM": mark(record.marker) if record.marker else None,
    }
    row = _address_fields(held, country)
    return made("BPC", fields, [row] if row else [])


def _address_fields(held: Customer, country: str | None) -> dict[str, str]:
    address = held.billing_address
    lines = [one_line(line, 50) for line in address.lines[:3]] if address else []
    told = dict(zip(_STREET, lines, strict=False)) | {
        "CTY": one_line(address.city, 40) if address else None,
        "SAT": one_line(address.region, 35) if address else None,
        "POSCOD": one_line(address.postal_code, 10) if address else None,
        "BPACRY": country,
        "TEL1": held.phone,
        "WEB1": held.email,
    }
    kept = {name: value for name, value in told.items() if value}
    return {"CODADR": _OWN_ADDRESS, "BPAADDFLG": YES, **kept} if kept else {}


def put(record: Customer, native: Native, books: Books) -> dict[str, Any]:
    """The native customer brought to the canonical one: only mapped fields that differ move."""
    now, held = represent(get(native, books), books), represent(record, books)
    if held.currency != now.currency:
        raise Unwritable(f"a customer's currency cannot change from {now.currency} to {held.currency}")
    fields = dict(native["fields"])
    if held.name != now.name:
        names = wrapped(held.name, NAME_WIDTH, NAME_LINES)
        if not names:
            raise Unwritable("the customer has no name")
        fields |= {"BPCNAM": names[0], "BPRNAM": [*names, ""][:NAME_LINES]}
    if held.active != now.active:
        fields["BPCSTA"] = YES if held.active else NO
    if held.terms != text(native, "PTE"):
        fields["PTE"] = held.terms or ""
    if held.tax_id != now.tax_id:
        fields["EECNUM"] = held.tax_id or ""
    if record.marker and record.marker != now.marker:
        body = _split(text(native, "BPCREM"))[0]
        remarks = " ".join(part for part in (body, mark(record.marker)) if part)
        if len(remarks) > REMARKS:
            raise Unwritable("BPCREM has no room for our reference")
        fields["BPCREM"] = remarks
    return {**native, "fields": fields, "grids": _addresses(native, held, now)}


def _addresses(native: Native, held: Customer, now: Customer) -> list[list[Row]]:
    """The grids with phone and e-mail of the default address moved; a customer without any gets one."""
    moved = {"TEL1": (held.phone, now.phone), "WEB1": (held.email, now.email)}
    changes = {name: after or "" for name, (after, before) in moved.items() if after != before}
    if not changes:
        return list(native["grids"])
    own = _address_row(native)
    if not own:
        return [*native["grids"], [{"CODADR": _OWN_ADDRESS, "BPAADDFLG": YES, **changes}]]
    return [[{**row, **changes} if row is own else row for row in rows] for rows in native["grids"]]
