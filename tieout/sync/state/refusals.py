"""What a target refused for good, and how long that holds: as long as what was sent, and what it names, is the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tieout.model import Customer, Entity, Existence
from tieout.sync import schema
from tieout.sync.core.operations import COLLISIONS, OpKind
from tieout.sync.pair import Pair
from tieout.sync.state.book import Book, Key
from tieout.sync.store import Store, batched, loads

_REFUSED = (
    sa.select(schema.intent)
    .join(schema.run, schema.run.c.id == schema.intent.c.run)
    .where(
        schema.intent.c.pair == sa.bindparam("pair"),
        schema.intent.c.state == "rejected",
        schema.run.c.config_hash == sa.bindparam("config"),
    )
)


def standing_refusals(store: Store, pair: Pair, books: Iterable[Book]) -> dict[tuple[str, str], tuple[str, str]]:
    """Code and reason of what a target refused under this configuration, by key and digest of the source's facts.

    A create is refused as it was made from its source's facts; other keys say themselves what they change.
    """
    rows = store.rows(_REFUSED, pair=pair.name, config=pair.config_hash)
    over = {id for book in books for id in _over(store, book, [r for r in rows if r["connection"] == book.connection])}
    out = {}
    for row in rows:
        if row["id"] in over:
            continue
        source = loads(row["operation"])["expects"]["facts"] if row["op"] == OpKind.CREATE.value else ""
        locked, why = row["error_class"] == "PERIOD_LOCKED", str(row["last_error"])
        if not why.startswith(COLLISIONS):
            why = f"{'closed_period' if locked else 'rejected'}: {why}"
        out[(row["key"], source)] = ("PERIOD_LOCKED" if locked else "SYNC_BLOCKED", why)
    return out


def _over(store: Store, book: Book, refusals: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of those that something speaks against by now.

    Of a create: what it names is gone from there, or is there only since, which may be why it was refused. Of a change:
    the customer is in use only since.
    """
    creates = {r["id"]: loads(r["operation"])["needs"] for r in refusals if r["op"] == OpKind.CREATE.value}
    named = {id: [book.key_of(s) for s in needs] for id, needs in creates.items()}
    named |= {r["id"]: [_customer(book, r["subject"])] for r in refusals if r["id"] not in creates}
    since = _there_since(store, book, {key for keys in named.values() for key in keys if key is not None})
    at: dict[str, str] = {r["id"]: r["updated_at"] for r in refusals}

    def back(id: str, key: Key | None) -> bool:
        absent = _GONE if id in creates else ""
        return (absent if key is None else since.get(key, absent)) > at[id]

    return [id for id, keys in named.items() if any(back(id, key) for key in keys)]


def _customer(book: Book, subject: str) -> Key | None:
    """The customer of the document that a subject is there; None where it has none."""
    key = book.key_of(subject)
    held = book.held.get(key) if key is not None else None
    if held is None or held.record is None or isinstance(held.record, Customer):
        return None
    return Entity.CUSTOMER, held.record.customer


_GONE = "~"  # after any instant
_O = schema.observation.c
_SIGHTS = (
    sa.select(_O.native_id, _O.existence, _O.seen_at)
    .where(schema.of_entity(schema.observation), _O.native_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(_O.seq)
)


def _there_since(store: Store, book: Book, keys: Collection[Key]) -> dict[Key, str]:
    """Since when each record that is there has been in use without a break; "" for one that is out of use now."""
    since: dict[Key, str] = {}
    for entity in {entity for entity, _ in keys}:
        for ids in batched((id for e, id in keys if e is entity), 500):
            for id, existence, at in store.stream(_SIGHTS, connection=book.connection, entity=entity.value, ids=ids):
                if existence == Existence.LIVE.value:
                    since.setdefault((entity, id), at)
                else:
                    since.pop((entity, id), None)
    return {key: since.get(key, "") for key in keys if book.alive_at(key)}
