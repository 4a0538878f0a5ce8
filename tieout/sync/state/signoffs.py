"""Sign-offs of a close: who prepared or approved which step, and with which figure. Appended, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from tieout.errors import ConfigError, RefusedError
from tieout.mapping.keys import name_key
from tieout.sync import schema
from tieout.sync.store import Store, instant, stamp

ROLES = ("prepared", "approved")


@dataclass(frozen=True, slots=True)
class Figure:
    """What a step showed when it was signed. said: for people · hash: of all that it rests on · rules: of the rules"""

    step: str
    said: str
    hash: str
    rules: str


def sign(
    store: Store, pair: str, as_of: date, figures: Sequence[Figure], *, role: str, by: str, note: str
) -> list[dict[str, Any]]:
    """Sign the steps in a person's name, all or none, each with its audit event in the same transaction.

    Four eyes: who prepared a figure does not approve it, nor the other way round, under whatever spelling of the name.
    Raises RefusedError, without a name too; ConfigError for an unknown role.
    """
    if role not in ROLES:
        raise ConfigError(f"unknown role {role!r}", hint=f"use one of: {', '.join(ROLES)}")
    if not name_key(by):
        raise RefusedError("a sign-off names a person", hint="add --by NAME")
    t = schema.sign_off
    rows = []
    with store.writing(None, actor=by) as tx:
        for figure in figures:
            where = t.c.pair == pair, t.c.as_of == as_of.isoformat(), t.c.step == figure.step
            same = t.c.figure_hash == figure.hash
            for other in tx.all(sa.select(t).where(*where, same, t.c.role != role)):
                if name_key(other["by"]) == name_key(by):
                    raise RefusedError(
                        f"{figure.step} was {other['role']} by {other['by']}, who cannot have {role} it, too",
                        hint="another person signs, with --by NAME",
                    )
            row = {
                "pair": pair,
                "step": figure.step,
                "as_of": as_of.isoformat(),
                "role": role,
                "by": by.strip(),
                "at": tx.at,
                "figure": figure.said,
                "figure_hash": figure.hash,
                "rules_hash": figure.rules,
                "note": note.strip(),
            }
            tx.db.execute(t.insert().values(**row))
            object_id = f"{pair}/{as_of.isoformat()}/{figure.step}"
            tx.audit(
                "signed_off", "close_step", object_id, {k: row[k] for k in ("role", "figure", "figure_hash", "note")}
            )
            rows.append(row)
    return rows


def signed(store: Store, pair: str, as_of: date, *, known_on: Any = None) -> list[dict[str, Any]]:
    """The sign-offs of a close, oldest first; those given up to `known_on` (UTC), inclusive, where it is named."""
    t = schema.sign_off
    query = sa.select(t).where(t.c.pair == pair, t.c.as_of == as_of.isoformat()).order_by(t.c.seq)
    return store.rows(query if known_on is None else query.where(t.c.at <= stamp(known_on)))


def closed_since(rows: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Since when a close is approved as it stands, of its sign-offs: of the last approvals of the steps, the first.

    That one step was approved anew later says nothing of the others: nobody looked at what changed for them in between.
    None where nobody approved anything.
    """
    last: dict[str, datetime] = {}
    for r in rows:
        if r["role"] == "approved":
            last[r["step"]] = max(instant(r["at"]), last.get(r["step"], instant(r["at"])))
    return min(last.values(), default=None)
