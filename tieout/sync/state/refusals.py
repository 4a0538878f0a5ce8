"""What a target refused for good, and how long that holds: as long as what was sent, and what it names, is the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tieout.model import Existence
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
    """The ids of refused creates that name what is gone from there by now, or is there only since: that may be why."""
    creates = [r for r in refusals if r["op"] == OpKind.CREATE.value]
    named = {r["id"]: [book.key_of(s) for s in loads(r["operation"])["needs"]] for r in creates}
    since = _there_since(store, book, {key for keys in named.values() for key in keys if key is not None})
    return [r["id"] for r in creates if any(k is None or since.get(k, _GONE) > r["updated_at"] for k in named[r["id"]])]


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
