"""Who and what a plan or a difference is about: names and numbers, for people who read ids last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import sqlalchemy as sa

from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.core.past import NOBODY, About
from tieout.sync.store import Store, loads

_AT_ONCE = 500
_NAMED = ("name", "number", "reference")  # of a customer, of a document, of a payment
Native = tuple[str, str, str]  # connection, entity, native id


def of_subjects(store: Store, ids: Iterable[str]) -> dict[str, str]:
    """Subject -> a customer's name, a document's number, in the book where it was born; without what was never read."""
    s, n = schema.subject, schema.seen
    born = sa.and_(n.c.connection == s.c.origin_connection, n.c.entity == s.c.entity, n.c.native_id == s.c.origin_id)
    found: dict[str, str] = {}
    for some in _parts(sorted(set(ids))):
        query = sa.select(s.c.id, n.c.record).join(n, born).where(s.c.id.in_(some))
        for row in store.rows(query):
            record = loads(row["record"]) or {}
            found[row["id"]] = str(next((record[k] for k in _NAMED if record.get(k)), ""))
    return {id: name for id, name in found.items() if name}


def of_either(known: Mapping[Native, About], sides: Iterable[Native]) -> About:
    """What both books' records of one thing say of it; amount and customer each of the first that has one.

    Of a group (ids joined by a comma): the customer that all have, and the amount of the one document that stands
    against several, or of each where all are equal.
    """
    about = [[known[one] for one in _members(side) if one in known] for side in sides]
    whole = [one for some in about for one in some if len(some) == 1] or [one for some in about for one in some]
    if any(len(some) > 1 for some in about):
        customers = {one.customer for some in about for one in some}
        amounts = {(Decimal(one.amount), one.currency) for one in whole if one.amount}
        priced = whole[0] if len(amounts) == 1 else NOBODY
        return About(customers.pop() if len(customers) == 1 else "", priced.amount, priced.currency)
    priced = next((a for a in whole if a.amount), NOBODY)
    return About(next((a.customer for a in whole if a.customer), ""), priced.amount, priced.currency)


def _members(side: Native) -> list[Native]:
    """The record of one side of a difference; those of a group."""
    connection, kind, id = side
    return [side] if ", " not in id else [side, *((connection, kind, one) for one in id.split(", "))]


def of_records(store: Store, wanted: Iterable[Native]) -> dict[Native, About]:
    """What people know a record by, beside its number; without those that were never read."""
    found = _records(store, sorted({one for side in wanted for one in _members(side)}))
    owner = {
        key: (key[0], Entity.CUSTOMER.value, str(record["customer"]))
        for key, record in found.items()
        if record.get("customer")
    }
    customers = _records(store, sorted(set(owner.values())))
    out: dict[Native, About] = {}
    for key, record in found.items():
        named = record if key[1] == Entity.CUSTOMER.value else customers.get(owner.get(key, ("", "", "")), {})
        amount = record.get("total", record.get("amount"))
        money = (str(amount), str(record.get("currency") or "")) if amount is not None else ("", "")
        out[key] = About(str(named.get("name") or ""), *money)
    return out


def _records(store: Store, keys: list[Native]) -> dict[Native, dict[str, object]]:
    """The records of those keys as last read."""
    n = schema.seen
    found: dict[Native, dict[str, object]] = {}
    books = {(connection, entity) for connection, entity, _ in keys}
    for connection, entity in sorted(books):
        ids = [id for c, e, id in keys if (c, e) == (connection, entity)]
        for some in _parts(ids):
            where = n.c.connection == connection, n.c.entity == entity, n.c.native_id.in_(some)
            for row in store.rows(sa.select(n.c.native_id, n.c.record).where(*where)):
                found[connection, entity, row["native_id"]] = loads(row["record"]) or {}
    return found


def _parts(ids: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(ids), _AT_ONCE):
        yield ids[at : at + _AT_ONCE]
