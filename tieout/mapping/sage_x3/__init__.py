"""Sage X3 objects <-> canonical records: pure functions, one lens per entity.

For every readable native n and record c: `put(get(n), n) = n`; over `FIELDS`, `get(put(c, n)) = represent(c)` and, of
what X3 made of it, `get(create(c)) = represent(c)`; `represent` is idempotent; `put` changes mapped paths only.
Ids are X3's own codes and numbers: BPCNUM, and NUM of a table that sales and ledger invoices share. Field rules: Sage's
online help, and what integrators observed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from tieout.errors import RecordError
from tieout.mapping.lens import Unreadable, Unwritable, refused
from tieout.mapping.sage_x3 import customers, documents, payments
from tieout.mapping.sage_x3.documents import is_accounted, is_credit, is_unposted, origin_of, owed_of, paid_of
from tieout.mapping.sage_x3.native import Books, Native, text
from tieout.mapping.sage_x3.payments import adjustments, taken_by
from tieout.model import AnyRecord, CreditMemo, Customer, Entity, Invoice, Payment

__all__ = ["FIELDS", "Books", "Unreadable", "Unwritable", "adjustments", "carries", "create", "fields_of"]
__all__ += ["foreign_books", "foreign_site", "get"]
__all__ += ["is_accounted", "is_credit", "is_unposted", "origin_of", "owed_of", "paid_of", "put", "read", "represent"]
__all__ += ["taken_by"]

FIELDS: Mapping[Entity, frozenset[str]] = {
    Entity.CUSTOMER: customers.FIELDS,
    Entity.INVOICE: documents.FIELDS,
    Entity.CREDIT_MEMO: documents.FIELDS | {"original_invoice"},
    Entity.PAYMENT: payments.FIELDS,
}
_GET: Mapping[Entity, Callable[[Native, Books], AnyRecord]] = {
    Entity.CUSTOMER: customers.get,
    Entity.INVOICE: documents.get_invoice,
    Entity.CREDIT_MEMO: documents.get_credit_memo,
    Entity.PAYMENT: payments.get,
}
_KEYS = {"BPC": "BPCNUM"}


def fields_of(entity: Entity, books: Books) -> frozenset[str]:
    """The canonical fields that this installation holds: with a term of no days, due dates as well."""
    held = FIELDS[entity]
    return held | {"due"} if entity is Entity.INVOICE and books.due_term else held


def get(entity: Entity, native: Native, books: Books) -> AnyRecord:
    """The canonical record of a native one. Raises Unreadable with path, value and reason."""
    try:
        return _GET[entity](native, books)
    except ValidationError as why:
        raise refused(why) from None


def read(entity: Entity, native: Native, books: Books) -> AnyRecord | RecordError:
    """As `get`, but a record that cannot be read comes back as the `RecordError` that says why."""
    try:
        return get(entity, native, books)
    except Unreadable as why:
        told = text(native, _KEYS.get(native["object"], "NUM"))
        return RecordError(books.connection, why.path, why.value, why.reason, entity=entity.value, ref=told)


def represent(record: AnyRecord, books: Books) -> AnyRecord:
    """What X3 would hold of the record: its texts shortened, no fields that it gives itself. Idempotent."""
    match record:
        case Customer():
            return customers.represent(record, books)
        case Invoice() | CreditMemo():
            return documents.represent(record, books)
        case Payment():
            return payments.represent(record, books)
    raise Unwritable(f"X3 takes no {record.entity} from us")


def create(record: AnyRecord, books: Books) -> dict[str, Any]:
    """The object that creates the record, its marker included. Raises Unwritable rather than change its meaning."""
    match record:
        case Customer():
            return customers.create(record, books)
        case Invoice() | CreditMemo():
            return documents.create(record, books)
        case Payment():
            return payments.create(record, books)
    raise Unwritable(f"X3 takes no {record.entity} from us")


_SITES = {"SIH": "SALFCY", "BIC": "FCY", "PAY": "FCY"}
_REFERENCES = {"SIH": "INVREF", "BIC": "BPRVCR", "PAY": "REF", "BPC": "BPCREM"}


def foreign_site(native: Native, books: Books) -> str | None:
    """The site of a document that belongs to none of ours; None for one that is ours.

    Raises Unreadable where it is not shown.
    """
    if not books.sites:
        return None
    site = text(native, _SITES[native["object"]])
    if site is None:
        raise Unreadable(_SITES[native["object"]], "", "is missing: publish it, or whose document it is stays unknown")
    return site if site not in books.sites else None


def foreign_books(native: Native, books: Books) -> str | None:
    """The home currency of the company that an object belongs to, where it is another than ours; None if it is ours.

    None, too, where the publication does not show it (CPYCUR).
    """
    told = text(native, "CPYCUR")
    return told if told != books.home_currency else None


def carries(native: Native, marker: str) -> bool:
    """Whether our reference stands in an object, readable or not."""
    return marker in (text(native, _REFERENCES[native["object"]]) or "")


def put(record: AnyRecord, native: Native, books: Books) -> dict[str, Any]:
    """The native object brought to the record; equal to `native` where nothing mapped differs.

    A marker is written if the record carries one and never taken away. Raises Unreadable or Unwritable.
    """
    now, held = represent(get(record.entity, native, books), books), represent(record, books)
    same = all(getattr(now, name) == getattr(held, name) for name in fields_of(record.entity, books))
    if same and record.marker in (None, now.marker):
        return dict(native)
    match record:
        case Customer():
            return customers.put(record, native, books)
        case Invoice() | CreditMemo():
            return documents.put(record, native, books)
        case Payment():
            return payments.put(record, native, books)
    raise Unwritable(f"X3 takes no {record.entity} from us")
