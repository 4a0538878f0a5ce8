"""What the reads of a connection covered so far: all of its records, or only what is open, and since which day."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.store import Store


def lists_open_items(store: Store, connection: str) -> bool:
    """Whether the connection's invoices were last read from a list of open items, which shows no settled ones."""
    last = store.rows(_LAST_SCOPE, connection=connection, entity=Entity.INVOICE.value)
    return bool(last) and last[0]["scope"] == "open"


_COMPLETE = schema.snapshot.c.complete == 1
_LAST_SCOPE = (
    sa.select(schema.snapshot.c.scope)
    .where(schema.of_entity(schema.snapshot), _COMPLETE)
    .order_by(schema.snapshot.c.read_at.desc())
    .limit(1)
)
_LAST_FULL = _LAST_SCOPE.where(schema.snapshot.c.kind == "full")


def reads_whole(store: Store, connection: str, entities: Sequence[Entity]) -> bool:
    """Whether each entity of a connection was last read whole from something that shows all of it."""
    last = (store.rows(_LAST_FULL, connection=connection, entity=entity.value) for entity in entities)
    return all(bool(row) and row[0]["scope"] == "all" for row in last)


def first_listed(store: Store, connection: str) -> str:
    """The day of the first complete list of a connection's invoices, as ISO text."""
    t = schema.snapshot
    where = t.c.connection == connection, t.c.entity == Entity.INVOICE.value, t.c.complete == 1
    [first] = store.rows(sa.select(t.c.as_of, t.c.read_at).where(*where).order_by(t.c.read_at).limit(1))
    return str(first["as_of"] or first["read_at"][:10])
