"""Which record of one side is which of the other: our own marker first, then the comparison's match ladder.

A link joins two subjects into the left one's. It is made from unique evidence only; several candidates, and equal
numbers with different totals, stay unlinked and are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any, Literal

import duckdb
import sqlalchemy as sa

from tieout import compare
from tieout.connectors import Op
from tieout.model import Customer, Document, Entity, Payment
from tieout.sync import schema
from tieout.sync.book import Book, Held, Key
from tieout.sync.facts import LEFT, RIGHT, Which, canonical
from tieout.sync.operations import key_for, marker_for
from tieout.sync.store import Lease, Store, Tx
from tieout.sync.work import OPEN

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Link:
    """Two records found to be one. `born` is the side whose record the other was made from by tieout, if it was."""

    entity: Entity
    left: str
    right: str
    by: str
    evidence: Mapping[str, Any]
    born: Which | None = None


def relation(
    books: Mapping[Which, Book],
    *,
    linked: Mapping[str, str],
    kept: Callable[[Which, Held], bool] | None = None,
    open_items: Collection[Which] = (),
    disputes: Collection[Which] = (LEFT, RIGHT),
    as_of: date | None = None,
) -> duckdb.DuckDBPyConnection:
    """Both books in the canonical relation, in a database of its own, ready for `compare`.

    linked: subject → the one id under which both sides know it; only real links, so that nothing else is rung 0
    open_items: sides that list what is open only; what such a list dropped later than `as_of` was open then
    disputes: sides whose systems say whether an invoice is disputed
    kept: says of a stated settlement whether it is compared as a payment; None for by its invoice's date throughout
    """
    con = duckdb.connect(":memory:")
    for which, book in books.items():
        customers = {o.id: o.record for o in book.live() if isinstance(o.record, Customer)}
        links = {key: linked[s] for key, s in book.subjects.items() if s in linked}
        documents: list[Document] = [
            o.record  # type: ignore[misc]
            for o in book.live()
            if _is_document(o) and (not _is_stated(o) or (kept is not None and kept(which, o)))
        ]
        if as_of is not None:
            documents += [o.record for o in book.open_on(as_of.isoformat())]  # type: ignore[misc]
        compare.load_records(
            con,
            which,
            documents,
            customers=customers.values(),
            links=links,
            open_items=which in open_items,
            disputes=which in disputes,
        )
    return con


def _is_document(one: Held) -> bool:
    return one.record is not None and not isinstance(one.record, Customer)


def _is_stated(one: Held) -> bool:
    return isinstance(one.record, Payment) and one.record.stated_by_source


def joined(books: Mapping[Which, Book]) -> dict[str, str]:
    """The subjects that both books hold, each mapped to itself."""
    both = books[LEFT].natives.keys() & books[RIGHT].natives.keys()
    return {s: s for s in both}


def by_marker(books: Mapping[Which, Book], subjects: Mapping[str, Mapping[str, Any]]) -> list[Link]:
    """Records that carry the marker which a record of the other side would have been written under.

    subjects: rows by id · A record that was itself written from third books is known by its origin there as well.
    """
    links = []
    pairs: tuple[tuple[Which, Which], ...] = ((LEFT, RIGHT), (RIGHT, LEFT))
    for source, target in pairs:
        home, away = books[source], books[target]
        marked: dict[str, list[Held]] = {}
        for one in away.live():
            if one.marker:
                marked.setdefault(one.marker, []).append(one)
        if not marked:
            continue
        for one in home.live():
            subject = home.subjects.get((one.entity, one.id))
            if subject is None or subject in away.natives:
                continue
            row = subjects[subject]
            origins = dict.fromkeys(((row["origin_connection"], row["origin_id"]), (home.connection, one.id)))
            # A rebuilt state knows of no generation yet; documents are made again a few times at most.
            for origin, generation in product(origins, range(row["generation"] + 4)):
                key = key_for(away.connection, one.entity, origin, generation=generation, op=Op.CREATE.value)
                found = [h for h in marked.get(marker_for(key), ()) if h.entity is one.entity]
                if found:
                    first = min(found, key=lambda h: (len(h.id), h.id))
                    ids = {source: one.id, target: first.id}
                    evidence = {"marker": first.marker, "copies": len(found), "generation": generation}
                    links.append(Link(one.entity, ids[LEFT], ids[RIGHT], "our marker", evidence, born=source))
                    break
    return links


def by_ladder(books: Mapping[Which, Book], entities: Iterable[Entity]) -> list[Link]:
    """Unique matches of the comparison's ladder among records that are not linked yet."""
    wanted = {e for e in entities if all(_unlinked(books, which, e) for which in (LEFT, RIGHT))}
    if not wanted:
        return []
    con = relation(books, linked=joined(books))
    links = []
    try:
        for match in compare.match(con):
            kind = Entity(match.kind)
            if kind not in wanted or not match.automatic or match.ambiguous:
                continue
            if len(match.left) != 1 or len(match.right) != 1:
                continue
            left, right = match.left[0], match.right[0]
            if not _free(books, kind, left, right):
                continue
            links.append(Link(kind, left, right, f"rung {match.rung}", dict(match.evidence)))
    finally:
        con.close()
    return links


def _unlinked(books: Mapping[Which, Book], which: Which, entity: Entity) -> bool:
    """Whether a side holds a record of the entity that the other side does not know."""
    other = books[RIGHT if which == LEFT else LEFT]
    return any(
        one.entity is entity
        and not _is_stated(one)
        and books[which].subjects.get((entity, one.id)) not in other.natives
        for one in books[which].live()
    )


def _free(books: Mapping[Which, Book], kind: Entity, left: str, right: str) -> bool:
    subjects = books[LEFT].subjects.get((kind, left)), books[RIGHT].subjects.get((kind, right))
    if subjects[0] is None or subjects[1] is None or subjects[0] == subjects[1]:
        return False
    return subjects[0] not in books[RIGHT].natives and subjects[1] not in books[LEFT].natives


def store_links(store: Store, lease: Lease, run: str, books: Mapping[Which, Book], links: Iterable[Link]) -> int:
    """Join the subjects of each link, in one transaction, and in the books. Returns how many were joined."""
    count = 0
    with store.writing(lease, run=run) as tx:
        for link in links:
            if _free(books, link.entity, link.left, link.right):
                join(tx, books, link)
                count += 1
    return count


def join(tx: Tx, books: Mapping[Which, Book], link: Link) -> str:
    """Join two subjects into the one of the side where the record was born (left if nobody knows). Returns it."""
    keep: Which = link.born or LEFT
    drop: Which = RIGHT if keep == LEFT else LEFT
    ids = {LEFT: link.left, RIGHT: link.right}
    key: dict[Which, Key] = {LEFT: (link.entity, link.left), RIGHT: (link.entity, link.right)}
    subject, gone = books[keep].subjects[key[keep]], books[drop].subjects[key[drop]]
    evidence = dict(link.evidence) | ({"from": books[keep].connection} if link.born else {})
    x = schema.xref
    tx.db.execute(
        x.update()
        .where(x.c.subject == gone, x.c.connection == books[drop].connection, x.c.state == "active")
        .values(subject=subject, matched_by=link.by, evidence=canonical(evidence), run=tx.run)
    )
    _bring_along(tx, gone, subject)
    s = schema.subject
    others = tx.db.execute(sa.select(x.c.id).where(x.c.subject == gone, x.c.state == "active")).first()
    if others is None:
        tx.db.execute(s.update().where(s.c.id == gone).values(state="retired"))
    created_by = "tieout" if link.born else None
    known = {"generation": link.evidence["generation"]} if "generation" in link.evidence else {}
    tx.db.execute(s.update().where(s.c.id == subject).values(created_by=created_by, **known))
    tx.audit(
        "linked",
        "subject",
        subject,
        {"entity": link.entity.value, "left": ids[LEFT], "right": ids[RIGHT], "by": link.by, "retired": gone},
    )
    books[drop].natives.pop(gone, None)
    books[drop].subjects[key[drop]] = subject
    books[drop].natives[subject] = ids[drop]
    if link.born:
        books[drop].came[subject] = books[keep].connection
    return subject


def _bring_along(tx: Tx, gone: str, subject: str) -> None:
    """What other pairs know of a subject that becomes another one goes with it, where that one has none of its own."""
    x, b, i = schema.xref, schema.base, schema.intent
    active = x.c.state == "active"
    there = set(tx.db.execute(sa.select(x.c.connection).where(x.c.subject == subject, active)).scalars())
    tx.db.execute(x.update().where(x.c.subject == gone, active, x.c.connection.not_in(there)).values(subject=subject))
    based = {(r["pair"], r["connection"]) for r in tx.all(sa.select(b).where(b.c.subject == subject))}
    for row in tx.all(sa.select(b.c.pair, b.c.connection).where(b.c.subject == gone)):
        if (row["pair"], row["connection"]) not in based:
            where = b.c.pair == row["pair"], b.c.subject == gone, b.c.connection == row["connection"]
            tx.db.execute(b.update().where(*where).values(subject=subject))
    open_ = i.c.state.in_(OPEN)
    busy = set(tx.db.execute(sa.select(i.c.connection).where(i.c.subject == subject, open_)).scalars())
    tx.db.execute(i.update().where(i.c.subject == gone, open_, i.c.connection.not_in(busy)).values(subject=subject))
