"""What both sides of a subject were when they were last agreed, and how that is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from tieout.model import Existence
from tieout.sync import schema
from tieout.sync.core.facts import Facts, canonical, digest
from tieout.sync.state.book import Held
from tieout.sync.store import Tx, loads


@dataclass(frozen=True, slots=True)
class Base:
    """What one side of a subject is to be taken for, as agreed.

    unsure: fields that were read back there otherwise than they were written, nobody knows by whom
    """

    subject: str
    connection: str
    facts: Facts
    existence: Existence
    version: str | None
    unsure: frozenset[str] = frozenset()


def agreed(tx: Tx, pair: str, subject: str, connection: str) -> Facts | None:
    """What one side of a subject was when last agreed, None if it never was."""
    known = tx.one(_BASE, pair=pair, subject=subject, connection=connection)
    return loads(known["facts"]) if known else None


_BASE = sa.select(schema.base.c.facts, schema.base.c.unsure).where(
    *(schema.base.c[k] == sa.bindparam(k) for k in ("pair", "subject", "connection"))
)


def moved_base(
    tx: Tx,
    pair: str,
    subject: str,
    connection: str,
    *,
    now: Facts,
    held: Held,
    names: Collection[str] | None,
    unsure: frozenset[str] = frozenset(),
) -> Base:
    """The base of one side of a subject, moved to `now` in the named fields only (None: in all). unsure: of those"""
    known = tx.one(_BASE, pair=pair, subject=subject, connection=connection) if names is not None else None
    if names is None or known is None:
        return Base(subject, connection, now, held.existence, held.version, unsure)
    value = loads(known["facts"]) | {n: now[n] for n in names if n in now}
    kept = frozenset(loads(known["unsure"])) - set(names)
    return Base(subject, connection, value, held.existence, held.version, kept | unsure)


def set_bases(tx: Tx, pair: str, bases: Sequence[Base]) -> None:
    """Store bases, whole; what was quiet of them is so no more."""
    rows = [
        {
            "pair": pair,
            "subject": b.subject,
            "connection": b.connection,
            "facts": canonical(b.facts),
            "existence": b.existence.value,
            "version": b.version,
            "run": tx.run,
            "verified_at": tx.at,
            "quiet_hash": None,
            "unsure": canonical(sorted(b.unsure)),
        }
        for b in bases
    ]
    tx.put_all(schema.base, rows)
    for b in bases:
        told = {"facts": digest(b.facts), "unsure": sorted(b.unsure)}
        tx.audit("agreed", "base", f"{pair}/{b.subject}/{b.connection}", told)
