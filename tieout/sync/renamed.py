"""A pair, or a connection of it, under a new name: what the state holds under the old one is not forgotten.

Bases, open writes, approvals and answers stand under the name of their pair. A pair that is renamed in the
configuration would start anew beside them: what was sent and not answered would belong to nobody. They go with the
pair, or the run is refused. A connection under a new name is another system: it is refused as long as a write to the
old one is not settled, since that would be planned once more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from tieout.errors import ConfigError
from tieout.plaintext import counted
from tieout.sync import schema
from tieout.sync.store import Lease, Store
from tieout.sync.work import OPEN

_TABLES = (schema.run, schema.plan, schema.intent, schema.base, schema.discrepancy, schema.decision)


@dataclass(frozen=True, slots=True)
class Orphan:
    """Open writes to one connection under the name of a pair that is not configured: no run settles them."""

    pair: str
    connection: str
    writes: int

    def __str__(self) -> str:
        return (
            f"pair {self.pair!r} is not configured any more and has {counted(self.writes, 'unsettled write')} "
            f"to {self.connection}"
        )


ORPHAN_HINT = 'name the old pair in the one that takes its place (was = "OLD"), or bring it back until they are settled'


def orphans(store: Store, pairs: Collection[str]) -> list[Orphan]:
    """Open writes that belong to none of these pairs, by pair and connection."""
    i = schema.intent
    query = (
        sa.select(i.c.pair, i.c.connection, sa.func.count().label("writes"))
        .where(i.c.state.in_(OPEN), i.c.pair.not_in(pairs))
        .group_by(i.c.pair, i.c.connection)
        .order_by(i.c.pair, i.c.connection)
    )
    return [Orphan(r["pair"], r["connection"], r["writes"]) for r in store.rows(query)]


def settle_name(store: Store, lease: Lease, name: str, was: str | None, connections: tuple[str, str]) -> None:
    """Take over what the state holds under the name that the pair had.

    Raises ConfigError, naming the key to set, if another name kept these very two connections in step.
    """
    if was is not None and was != name and _known(store, was):
        _take_over(store, lease, was, name)
    for other in _others(store, name):
        if _kept(store, other, connections):
            raise ConfigError(
                f"the state knows these two connections as pair {other!r}, not as {name!r}: what they agreed on, and "
                "writes that are not settled, stand under that name",
                hint=f'if it was renamed, add to [pair.{name}]: was = "{other}"',
            )


def settle_connections(store: Store, name: str, connections: tuple[str, str]) -> None:
    """Raises ConfigError if the pair has an unsettled write to a connection that is none of its own any more."""
    i = schema.intent
    query = (
        sa.select(i.c.connection, sa.func.count().label("writes"))
        .where(i.c.pair == name, i.c.state.in_(OPEN), i.c.connection.not_in(connections))
        .group_by(i.c.connection)
        .order_by(i.c.connection)
    )
    lost = store.rows(query)
    if lost:
        writes = ", ".join(f"{counted(r['writes'], 'unsettled write')} to {r['connection']!r}" for r in lost)
        raise ConfigError(
            f"pair {name!r} has {writes}, which is no connection of it any more: under another name they "
            "would be made again",
            hint=f"call the connection {lost[0]['connection']!r} until they are settled, and rename it then; "
            "if it is another system now, give the pair another name, too",
        )


def _known(store: Store, pair: str) -> bool:
    return bool(store.rows(sa.select(schema.run.c.id).where(schema.run.c.pair == pair).limit(1)))


def _others(store: Store, name: str) -> list[str]:
    r = schema.run
    return [
        row["pair"] for row in store.rows(sa.select(r.c.pair).where(r.c.pair != name).distinct().order_by(r.c.pair))
    ]


def _kept(store: Store, pair: str, connections: tuple[str, str]) -> bool:
    """Whether a pair of that name has bases on both connections, or an open write from one of them to the other."""
    b, i, s = schema.base, schema.intent, schema.subject
    if all(
        store.rows(sa.select(b.c.subject).where(b.c.pair == pair, b.c.connection == c).limit(1)) for c in connections
    ):
        return True
    between = (
        sa.select(i.c.id)
        .join(s, s.c.id == i.c.subject)
        .where(
            i.c.pair == pair,
            i.c.state.in_(OPEN),
            i.c.connection.in_(connections),
            s.c.origin_connection.in_(connections),
        )
    )
    return bool(store.rows(between.limit(1)))


def _take_over(store: Store, lease: Lease, was: str, name: str) -> None:
    """Everything of the old name under the new one; what stands under the new one already is kept as it is."""
    b, d = schema.base, schema.discrepancy
    with store.writing(lease) as tx:
        for table, keys in ((b, ("subject", "connection")), (d, ("id",))):
            newer = table.alias()
            same = [newer.c[k] == table.c[k] for k in keys]
            known = sa.select(sa.literal(1)).select_from(newer).where(newer.c.pair == name, *same)
            tx.db.execute(table.delete().where(table.c.pair == was, sa.exists(known.correlate(table))))
        for table in _TABLES:
            tx.db.execute(table.update().where(table.c.pair == was).values(pair=name))
        tx.audit("renamed", "pair", name, {"was": was})
