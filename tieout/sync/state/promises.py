"""Promises to pay: what customers told somebody. Kept beside the books, appended, never sent anywhere."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.compare.result import money
from tieout.errors import ConfigError, RefusedError
from tieout.mapping.keys import number_key
from tieout.model import Entity, Invoice, finer_than_currency, from_json, micros
from tieout.sync import schema
from tieout.sync.state.seen import GONE
from tieout.sync.store import Store, loads, stamp


def invoice(store: Store, connection: str, name: str) -> Invoice:
    """The invoice that a person means by its id or number, as it was last read. Raises ConfigError unless it is one."""
    t = schema.seen
    query = sa.select(t.c.existence, t.c.record).where(
        t.c.connection == connection, t.c.entity == Entity.INVOICE.value, t.c.record.is_not(None)
    )
    found: list[Invoice] = []
    for existence, text in store.stream(query):
        record = from_json(Entity.INVOICE, loads(text)) if existence not in GONE else None
        if isinstance(record, Invoice):
            if record.ref.id == name:
                return record
            if number_key(record.number or record.ref.number or "") == number_key(name) != "":
                found.append(record)
    if len(found) != 1:
        ids = ", ".join(sorted(i.ref.id for i in found)[:5])
        raise ConfigError(
            f"{connection} has {len(found) or 'no'} invoice{'s' if found else ''} {name!r}"
            + (f" (ids {ids})" if ids else ""),
            hint="name it by its id" if found else f"tieout pull {connection} reads what is new",
        )
    return found[0]


def keep(
    store: Store, connection: str, of: Invoice, amount: Decimal, *, on: date, said: date, by: str, note: str
) -> dict[str, Any]:
    """Keep what was promised; amount 0 takes back what was promised before. Raises RefusedError for what cannot be.

    on: pays by then, inclusive · said: the day it was said · by: to whom
    """
    if not by.strip():
        raise RefusedError("a promise names the person who was told", hint="add --by NAME")
    if amount < 0 or amount > of.total or finer_than_currency(amount, of.currency):
        raise RefusedError(
            f"{amount} {of.currency} cannot be promised of an invoice over "
            f"{money(of.total, of.currency)} {of.currency}",
            hint="name an amount up to the invoice's, in whole minor units",
        )
    if on < said:
        raise RefusedError(f"a promise of {said} cannot be for {on}, before it", hint="--said DAY, --on DAY")
    with store.writing(None, actor=by) as tx:
        row = {
            "connection": connection,
            "invoice": of.ref.id,
            "amount_micros": micros(amount),
            "currency": of.currency,
            "pays_on": on.isoformat(),
            "said_on": said.isoformat(),
            "by": by.strip(),
            "at": tx.at,
            "note": note.strip(),
        }
        tx.db.execute(schema.promise.insert().values(**row))
        what = {k: row[k] for k in ("amount_micros", "currency", "pays_on", "said_on", "note")}
        tx.audit("promised", "invoice", f"{connection}:{of.ref.id}", what)
    return row


def kept(store: Store, connection: str, *, known_on: datetime | None = None) -> list[dict[str, Any]]:
    """The promises on record for a connection, first kept first; those kept up to `known_on` (UTC) if it is named."""
    t = schema.promise
    query = sa.select(t).where(t.c.connection == connection).order_by(t.c.seq)
    return store.rows(query if known_on is None else query.where(t.c.at <= stamp(known_on)))
