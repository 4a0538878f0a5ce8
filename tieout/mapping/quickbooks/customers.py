"""QuickBooks Customer <-> canonical customer. The marker lies in the last line of Notes."""

from __future__ import annotations

from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.quickbooks.native import (
    NOTES_LENGTH,
    NUMBER_LENGTH,
    PHONE_LENGTH,
    Books,
    Native,
    child,
    email,
    identifying,
    join_note,
    name,
    one_line,
    ref,
    split_note,
    text,
)
from tieout.mapping.quickbooks.native import amount as number
from tieout.model import Address, Customer, Ref, tidy

FIELDS = frozenset({"name", "number", "email", "phone", "currency", "terms", "parent", "active"})
_INACTIVE = " (deleted)"  # QuickBooks' suffix of a deactivated name, which becomes free again
_STREET = ("Line1", "Line2", "Line3", "Line4", "Line5")


def _part(native: Native, key: str, inner: str) -> str | None:
    held = child(native, key, "")
    return None if held is None else text(held, inner, f"{key}.")


def get(native: Native, books: Books) -> Customer:
    """The customer; `name` is its own name without its parents', and without the suffix of inactive ones."""
    active = native.get("Active", True)
    if not isinstance(active, bool):
        raise Unreadable("Active", active, "should be true or false")
    shown = _name(native, active=active)
    if not shown:
        raise Unreadable("DisplayName", native.get("DisplayName"), "is missing")
    own = number(native, "Balance")
    return Customer(
        ref=Ref(
            connection=books.connection,
            id=text(native, "Id") or "",
            number=text(native, "AcctNum"),
            version=text(native, "SyncToken"),
        ),
        name=shown,
        number=identifying(text(native, "AcctNum"), NUMBER_LENGTH),
        email=email(_part(native, "PrimaryEmailAddr", "Address")),
        phone=one_line(_part(native, "PrimaryPhone", "FreeFormNumber"), PHONE_LENGTH),
        billing_address=_address(native),
        currency=ref(native, "CurrencyRef") or books.home_currency,
        terms=ref(native, "SalesTermRef"),
        tax_id=None,
        parent=ref(native, "ParentRef"),
        active=active,
        reported_balance=None if own is None else tidy(own),
        marker=split_note(text(native, "Notes"))[1],
    )


def _name(native: Native, *, active: bool) -> str:
    shown = text(native, "DisplayName") or (text(native, "FullyQualifiedName") or "").rpartition(":")[2]
    return name(shown if active else shown.removesuffix(_INACTIVE))


def _address(native: Native) -> Address | None:
    held = child(native, "BillAddr", "")
    if held is None:
        return None
    return Address(
        lines=tuple(line for key in _STREET if (line := text(held, key, "BillAddr."))),
        city=text(held, "City", "BillAddr."),
        region=text(held, "CountrySubDivisionCode", "BillAddr."),
        postal_code=text(held, "PostalCode", "BillAddr."),
        country=text(held, "Country", "BillAddr."),
    )


def represent(record: Customer, books: Books) -> Customer:
    """The customer as QuickBooks would hold it: its name without colons, its currency stated, no tax id."""
    shown = record.name if record.active else record.name.removesuffix(_INACTIVE)
    return record.model_copy(
        update={
            "name": name(shown),
            "number": identifying(record.number, NUMBER_LENGTH),
            "email": email(record.email),
            "phone": one_line(record.phone, PHONE_LENGTH),
            "currency": record.currency or books.home_currency,
            "tax_id": None,
        }
    )


def create(record: Customer, books: Books) -> dict[str, Any]:
    """The body that creates the customer. Raises Unwritable without a name."""
    held = represent(record, books)
    if not held.name:
        raise Unwritable("the customer has no name")
    native: dict[str, Any] = {"DisplayName": held.name, "CurrencyRef": {"value": held.currency}}
    if not held.active:
        native["Active"] = False
    _fill(native, held, Customer.model_construct(**dict.fromkeys(("number", "email", "phone", "terms", "parent"))))
    if record.marker:
        native["Notes"] = join_note(None, record.marker)
    if held.billing_address and (address := _native_address(held.billing_address)):
        native["BillAddr"] = address
    return native


def _native_address(address: Address) -> dict[str, str]:
    lines = [*address.lines[:4], ", ".join(address.lines[4:])] if len(address.lines) > 5 else address.lines
    parts = dict(zip(_STREET, lines, strict=False)) | {
        "City": address.city,
        "CountrySubDivisionCode": address.region,
        "PostalCode": address.postal_code,
        "Country": address.country,
    }
    return {key: clean for key, value in parts.items() if (clean := one_line(value, 255))}


def put(record: Customer, native: Native, books: Books) -> dict[str, Any]:
    """The native record brought to the canonical one: only mapped fields that differ move."""
    now, held = get(native, books), represent(record, books)
    if held.currency != now.currency:
        raise Unwritable(f"a customer's currency cannot change from {now.currency} to {held.currency}")
    if not held.name:
        raise Unwritable("the customer has no name")
    out = dict(native)
    if held.name != _name(native, active=held.active):
        out["DisplayName"] = held.name
    if held.active != now.active:
        out["Active"] = held.active
    _fill(out, held, now)
    if record.marker and record.marker != now.marker:
        note = join_note(split_note(text(native, "Notes"))[0], record.marker)
        if len(note) > NOTES_LENGTH:
            raise Unwritable("Notes has no room for our reference")
        out["Notes"] = note
    return out


def _fill(out: dict[str, Any], held: Customer, now: Customer) -> None:
    if held.number != now.number:
        _set(out, "AcctNum", held.number)
    if held.email != now.email:
        _set(out, "PrimaryEmailAddr", held.email, inner="Address")
    if held.phone != now.phone:
        _set(out, "PrimaryPhone", held.phone, inner="FreeFormNumber")
    if held.terms != now.terms:
        _set(out, "SalesTermRef", held.terms, inner="value")
    if held.parent != now.parent:
        _set(out, "ParentRef", held.parent, inner="value")
        out["Job"] = held.parent is not None


def _set(out: dict[str, Any], key: str, value: str | None, *, inner: str = "") -> None:
    """Write a field; None takes it away. Of an object only `inner` moves (a new id drops its old name)."""
    if value is None:
        out.pop(key, None)
    elif not inner:
        out[key] = value
    elif inner == "value":
        out[key] = {"value": value}
    else:
        out[key] = {**out.get(key, {}), inner: value}
