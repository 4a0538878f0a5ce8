"""QuickBooks Online v3 objects <-> canonical records: pure functions, one lens per entity.

For every readable native n and record c: `put(get(n), n) = n`; over `FIELDS`, `get(put(c, n)) = represent(c)` and
`get(create(c)) = represent(c)`; `represent` is idempotent; `put` changes mapped paths only, all others stay as they are
to the byte. References, items, terms and tax codes are QuickBooks' own ids. Field rules: Intuit's v3 documentation, and
recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from tieout.errors import RecordError
from tieout.mapping.lens import Unreadable, Unwritable, refused
from tieout.mapping.quickbooks import customers, documents, payments, plain
from tieout.mapping.quickbooks.native import Books, Native
from tieout.mapping.quickbooks.payload import Payload
from tieout.model import AnyRecord, CreditMemo, Customer, Entity, Invoice, Payment

__all__ = ["FIELDS", "NAMES", "Books", "Unreadable", "Unwritable", "create", "get", "put", "read", "represent"]

NAMES: Mapping[Entity, str] = {
    Entity.CUSTOMER: "Customer",
    Entity.INVOICE: "Invoice",
    Entity.CREDIT_MEMO: "CreditMemo",
    Entity.PAYMENT: "Payment",
}
FIELDS: Mapping[Entity, frozenset[str]] = {
    Entity.CUSTOMER: customers.FIELDS,
    Entity.INVOICE: documents.INVOICE_FIELDS,
    Entity.CREDIT_MEMO: documents.FIELDS,
    Entity.PAYMENT: payments.FIELDS,
}
_PLAIN: Mapping[Entity, type[Invoice | CreditMemo]] = {Entity.INVOICE: Invoice, Entity.CREDIT_MEMO: CreditMemo}
_GET: Mapping[Entity, Callable[[Native, Books], AnyRecord]] = {
    Entity.CUSTOMER: customers.get,
    Entity.INVOICE: documents.get_invoice,
    Entity.CREDIT_MEMO: documents.get_credit_memo,
    Entity.PAYMENT: payments.get,
}


def get(entity: Entity, native: Native, books: Books) -> AnyRecord:
    """The canonical record of a native one. Raises Unreadable with path, value and reason."""
    if type(native) is Payload and native.shape is not None and entity in _PLAIN:
        usual = plain.read(_PLAIN[entity], native.shape, books)
        if usual is not None:
            return usual
    try:
        return _GET[entity](native, books)
    except ValidationError as why:
        raise refused(why) from None


def read(entity: Entity, native: Native, books: Books) -> AnyRecord | RecordError:
    """As `get`, but a record that cannot be read comes back as the `RecordError` that says why."""
    try:
        return get(entity, native, books)
    except Unreadable as why:
        id = native.get("Id")
        told = id if isinstance(id, str) else None
        return RecordError(books.connection, why.path, why.value, why.reason, entity=entity.value, ref=told)


def represent(record: AnyRecord, books: Books) -> AnyRecord:
    """What QuickBooks would hold of the record: texts it can hold, one date, no dropped fields. Idempotent."""
    match record:
        case Customer():
            return customers.represent(record, books)
        case Invoice() | CreditMemo():
            return documents.represent(record, books)
        case Payment():
            return payments.represent(record, books)
    raise Unwritable(f"QuickBooks takes no {record.entity} from us")


def create(record: AnyRecord, books: Books) -> dict[str, Any]:
    """The body that creates the record, its marker included. Raises Unwritable rather than change its meaning."""
    match record:
        case Customer():
            return customers.create(record, books)
        case Invoice() | CreditMemo():
            return documents.create(record, books)
        case Payment():
            return payments.create(record, books)
    raise Unwritable(f"QuickBooks takes no {record.entity} from us")


def put(record: AnyRecord, native: Native, books: Books) -> dict[str, Any]:
    """The native record brought to the canonical one; equal to `native` where nothing mapped differs.

    A marker is written if the record carries one and never taken away. Raises Unreadable or Unwritable.
    """
    now, held = get(record.entity, native, books), represent(record, books)
    same = all(getattr(now, name) == getattr(held, name) for name in FIELDS[record.entity])
    if same and record.marker in (None, now.marker):
        return dict(native)
    match record:
        case Customer():
            return customers.put(record, native, books)
        case Invoice() | CreditMemo():
            return documents.put(record, native, books)
        case Payment():
            return payments.put(record, native, books)
    raise Unwritable(f"QuickBooks takes no {record.entity} from us")
