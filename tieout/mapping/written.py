"""What survives the way through an import file and back through an export: the fields, and the record that shows.

Pure. An export profile says what can be read, an import profile what can be written; the rest is not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tieout.mapping import clearing
from tieout.mapping.fields import strip
from tieout.mapping.tabular import Profile, heading_key
from tieout.mapping.writing import standing
from tieout.model import (
    ZERO,
    Address,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Method,
    Payment,
    type_of,
)

# Canonical columns of a profile → fields of the record that are read from them.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "customer": ("customer",),
    "customer_name": ("customer",),
    "document": ("number", "reference"),
    "number": ("number", "reference"),
    "issued": ("issued", "received"),
    "total": ("total", "subtotal", "amount"),
    "debit": ("total", "subtotal", "amount"),
    "quantity": ("total", "subtotal", "amount"),
    "rate": ("exchange_rate",),
    "net": ("tax", "subtotal"),
    "tax": ("tax", "subtotal"),
    "invoice": ("applications",),
    "concerns": ("original_invoice", "document"),
    "subkind": ("kind",),
    **dict.fromkeys(("address1", "address2", "address3", "city", "region", "postal_code"), ("billing_address",)),
    "country": ("billing_address",),
}
_NEVER = frozenset(
    {"ref", "marker", "lines", "tax_lines", "instalments", "credits", "deposit_applied", "state", "voided_on", "group"}
)
# What no file can leave out: kept in every representation.
_ALWAYS = frozenset({"ref", "marker", "state", "voided_on", "customer", "name", "currency", "issued", "received"}) | {
    "posted",
    "total",
    "subtotal",
    "tax",
    "discount",
    "amount",
    "kind",
    "side",
    "active",
    "disputed",
    "stated_by_source",
    "method",
}
# What a settlement date states of a payment.
STATED = frozenset({"customer", "received", "posted", "amount", "currency", "applications", "entity_code"})
_EMPTY: Mapping[str, Any] = {
    "lines": (),
    "tax_lines": (),
    "instalments": (),
    "applications": (),
    "deposit_applied": ZERO,
}


def entities(profile: Profile) -> frozenset[Entity]:
    """The kinds of record that files of the profile can hold."""
    if profile.entity == "customers":
        return frozenset({Entity.CUSTOMER})
    column = profile.columns.get("kind")
    if column is None:
        return frozenset({Entity.PAYMENT})
    meanings = [*column.values.values(), *([column.value] if column.value else []), *([column.empty or ""])]
    return _kinds(meanings) or frozenset(Entity) - {Entity.CUSTOMER}


def entities_of(profile: Profile, raw: Mapping[str, Any]) -> frozenset[Entity]:
    """What a row that could not be read may be, by its kind column; all of the profile's, if that says nothing."""
    every = entities(profile)
    column = profile.columns.get("kind")
    if column is None or not column.names:
        return every
    row: Mapping[str, str] = (raw["rows"] or [{}])[0] if "rows" in raw else raw
    wanted = {heading_key(n) for n in column.names}
    printed = next((strip(text) for heading, text in row.items() if heading_key(heading) in wanted), "")
    meaning = column.values.get(printed, printed if not column.values else "")
    return (_kinds([meaning]) & every) or every


def _kinds(meanings: Iterable[str]) -> frozenset[Entity]:
    kinds = {part.partition(":")[0] for meaning in meanings for part in meaning.split("|")}
    return frozenset(Entity(k) for k in kinds & set(Entity))


def fields(profile: Profile, entity: Entity) -> frozenset[str]:
    """Canonical fields of the entity that the profile's files state."""
    found = {f for column in profile.columns for f in _FIELDS.get(column, (column,))}
    if entity is Entity.CUSTOMER:
        found |= {"number"} if "customer" in profile.columns else set()
    elif entity is Entity.CREDIT_MEMO:
        applies = "applied" in profile.columns or clearing.reads(profile)
        found |= {"original_invoice"} if "invoice" in profile.columns and not applies else set()
        found -= set() if applies else {"applications"}
    return frozenset((found & type_of[entity].model_fields.keys()) - _NEVER)


def represent(record: AnyRecord, kept: frozenset[str], *, entity_code: str | None, home: str) -> AnyRecord:
    """The record as an export will show it: fields outside `kept` empty, text without space at its ends. Idempotent.

    home: currency of a customer that names none
    """
    changes: dict[str, Any] = {}
    for name in type(record).model_fields:
        value = getattr(record, name)
        if name not in kept and name not in _ALWAYS:
            changes[name] = _EMPTY.get(name)
        elif isinstance(value, str) and type(value) is str:
            changes[name] = strip(value) or None
    if not isinstance(record, Customer):
        if "entity_code" in kept:
            changes["entity_code"] = record.entity_code or entity_code
    else:
        if "currency" in kept:
            changes["currency"] = record.currency or home
        if record.billing_address and "billing_address" in kept:
            changes["billing_address"] = _one_street(record.billing_address)
    if isinstance(record, Invoice | CreditMemo):
        tax = record.tax if "tax" in kept else ZERO
        changes |= {"tax": tax, "discount": ZERO, "subtotal": record.total - tax}
    if isinstance(record, CreditMemo | Payment) and "applications" in kept:
        # A file dates an application by its document: that is when the ERP books it.
        merged = standing(record)
        changes["applications"] = tuple(
            Application(invoice=invoice, amount=amount, amount_invoice=amount, applied_on=record.posted)
            for invoice, amount in merged.items()
        )
    if isinstance(record, Payment) and "method" not in kept:
        changes["method"] = Method.OTHER
    if isinstance(record, Invoice) and "disputed" not in kept:
        changes["disputed"] = False
    return record.model_copy(update=changes)


def _one_street(address: Address) -> Address | None:
    street = ", ".join(strip(line) for line in address.lines if strip(line))
    place = {k: strip(getattr(address, k) or "") or None for k in ("city", "region", "postal_code", "country")}
    if not street and not any(place.values()):
        return None
    return Address(lines=(street,) if street else (), **place)
