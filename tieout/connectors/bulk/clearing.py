"""What the clearings of a file of line items say of its documents: `mapping.clearing` on the drafts of `bulk`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from tieout.connectors.bulk import draft as sql
from tieout.connectors.bulk.stage import Staged, insert
from tieout.mapping import clearing, relation
from tieout.mapping import tabular_documents as docs
from tieout.mapping.clearing import Item, Key, Outcome
from tieout.mapping.tabular_documents import Doc
from tieout.model import tidy

Connection = Any
APPLIED = (("first_row", "BIGINT"), *relation.APPLICATIONS)


def settle(con: Connection, staged: Staged, draft: str, table: str, applied: str, *, made: Sequence[Doc]) -> None:
    """Amend the applications and drafts of every document of which its clearings say more than its rows.

    draft: view of the drafts' columns · table: where they are written
    made: the documents that Python assembled; the others are in SQL alone
    """
    known = "SELECT entity_code, document, number, fiscal_year, id FROM {} WHERE kind = 'invoice'"
    target = docs.targets(con.execute(known.format(draft)).fetchall())
    found = sorted([*_plain(con, staged, draft, made), *_made(con, draft, made)], key=lambda part: part[0])
    items = (replace(i, ref=target(i.entity_code, i.ref)) if i.ref else i for _, i in found)
    said = clearing.settle(items)
    if said:
        _amend(con, table, applied, said)


def _plain(con: Connection, staged: Staged, draft: str, made: Sequence[Doc]) -> Iterator[tuple[tuple[int, int], Item]]:
    """Place and item of each row of the documents that SQL assembled."""
    profile = staged.table.profile
    theirs = f"{draft}_made"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {theirs} (first_row BIGINT)")
    insert(con, theirs, (("first_row", "BIGINT"),), ((d.rows[0].number,) for d in made))
    # Without a key all lines are of one document.
    same = "d.first_row = t.n" if profile.rows == "documents" else "d.id = t.key" if profile.key else "true"
    ref = sql.named(profile)
    rows = con.execute(f"""
        SELECT d.first_row, t.n, d.kind, d.id, d.entity_code, d.customer, d.currency, t.effect,
            t.v_clearing, t.v_cleared_on, {ref}
        FROM {staged.typed} t JOIN {draft} d ON {same}
        WHERE d.state = 'posted' AND d.first_row NOT IN (FROM {theirs})
            AND (d.kind = 'invoice' OR t.v_clearing IS NOT NULL OR {ref} IS NOT NULL)""").fetchall()
    for first, n, kind, id, code, customer, currency, effect, cleared, on, named in rows:
        yield (first, n), Item(kind, id, code, customer, currency, tidy(effect), cleared, on, named)


def _made(con: Connection, draft: str, made: Sequence[Doc]) -> Iterator[tuple[tuple[int, int], Item]]:
    """The same of the documents that Python assembled, under the ids that they got since."""
    ids: dict[int, str] = dict(con.execute(f"SELECT first_row, id FROM {draft}").fetchall()) if made else {}
    for doc in made:
        first = doc.rows[0].number
        if first in ids:
            for at, item in enumerate(docs.items([replace(doc, id=ids[first])])):
                yield (first, at), item


def _amend(con: Connection, draft: str, applied: str, said: dict[Key, Outcome]) -> None:
    table, columns = f"{draft}_said", (("kind", "VARCHAR"), ("id", "VARCHAR"), ("concerns", "VARCHAR"))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({', '.join(f'{n} {t}' for n, t in columns)})")
    insert(con, table, columns, ((kind, id, s.concerns) for (kind, id), s in said.items()))
    same = f"{table}.kind = d.kind AND {table}.id = d.id"
    places = con.execute(f"SELECT d.first_row, d.kind, d.id, d.posted FROM {draft} d JOIN {table} ON {same}").fetchall()
    gone = f"SELECT d.first_row FROM {draft} d JOIN {table} ON {same}"
    con.execute(f"DELETE FROM {applied} WHERE first_row IN ({gone})")
    insert(con, applied, APPLIED, (row for place in places for row in _rows(*place, said=said)))
    con.execute(
        f"UPDATE {draft} SET concerns = s.concerns FROM {table} s "
        f"WHERE s.concerns IS NOT NULL AND s.kind = {draft}.kind AND s.id = {draft}.id"
    )
    con.execute(f"DROP TABLE {table}")


def _rows(first: int, kind: str, id: str, posted: date, *, said: dict[Key, Outcome]) -> Iterator[relation.Row]:
    outcome = said[kind, id]
    for invoice, amount, on in outcome.applied:
        yield (first, kind, id, invoice, amount, amount, on or posted, None)
    for row in relation.group_rows(kind, id, outcome.group):
        yield (first, *row)
