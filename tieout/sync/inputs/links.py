"""Which record of one side is which of the other: our own marker first, then the comparison's match ladder.

A link joins two subjects into the left one's. It is made from unique evidence only; several candidates, and equal
numbers with different totals, stay unlinked and are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any

import sqlalchemy as sa

from tieout import compare
from tieout.compare.inputs import stored
from tieout.compare.inputs.tables import Connection, Shared, engine
from tieout.connectors import Op
from tieout.model import AnyRecord, Customer, Document, Entity, from_json
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, canonical
from tieout.sync.core.operations import key_for, marker_for
from tieout.sync.run import Run
from tieout.sync.state.book import STATED, Book, Held, Key
from tieout.sync.store import Tx, batched, loads
from tieout.sync.work import OPEN

TOGETHER = 500  # links that are stored in one transaction
# Records of both books up to which they are loaded one by one: to have an engine read them in bulk is dear to begin.
FEW = 400


@dataclass(frozen=True, slots=True)
class Link:
    """Two records found to be one. `born` is the side whose record the other was made from by tieout, if it was."""

    entity: Entity
    left: str
    right: str
    by: str
    evidence: Mapping[str, Any]
    born: Which | None = None


class Relation:
    """Both books in the canonical relation, in a database of its own, to be compared; made anew when they moved."""

    def __init__(self, books: Mapping[Which, Book]) -> None:
        self.books = books
        self._con: Connection | None = None
        self._made: object = None
        self._linked: set[str] = set()

    def fresh(
        self,
        *,
        kept: Callable[[Which, Held], bool] | None = None,
        open_items: Collection[Which] = (),
        disputes: Collection[Which] = (LEFT, RIGHT),
        as_of: date | None = None,
    ) -> Connection:
        """The relation of the books as they are now, with what is linked. Not to be closed by the caller.

        kept: says of a stated settlement whether it is compared as a payment; None for by its invoice's date throughout
        open_items: sides that list what is open only; what such a list dropped later than `as_of` was open then
        disputes: sides whose systems say whether an invoice is disputed
        """
        made = {}
        for which, book in self.books.items():
            told = [key for key in sorted(book.stated) if book.stands(key) and kept and kept(which, book.held[key])]
            made[which] = book.held.edits, told, as_of, which in open_items, which in disputes
        linked = joined(self.books)
        sizes = [len(book.subjects) for book in self.books.values()]
        few = sum(sizes) <= FEW
        if self._con is None or made != self._made or (few and linked != self._linked):
            self.close()
            self._con = Shared() if few else engine(max(sizes))
            for which, book in self.books.items():
                _, told, day, listed, disputed = made[which]
                apart = [book.held[key] for key in told] + (list(book.open_on(day.isoformat())) if day else [])
                if few:
                    records, links = _records(book, apart), _links(book, linked)
                    compare.load_records(self._con, which, records, links=links, open_items=listed, disputes=disputed)
                else:
                    customers = _fill(self._con, which, book, apart)
                    stored.complete(self._con, which, customers, open_items=listed, disputes=disputed)
            self._made, self._linked = made, linked if few else set()
        if linked != self._linked:
            for which, book in self.books.items():
                stored.relink(self._con, which, _links(book, linked))
            self._linked = linked
        return self._con

    def close(self) -> None:
        if self._con is not None:
            self._con.close()
            self._con = None


def _links(book: Book, linked: Collection[str]) -> dict[Key, str]:
    return {key: subject for key, subject in book.subjects.items() if subject in linked}


def _records(book: Book, apart: Iterable[Held]) -> list[AnyRecord]:
    """All records of one side. apart: records that count beside those that stand"""
    grouped: list[Document] = []
    out: list[AnyRecord] = []
    for entity in Entity:
        lines = book.lines(entity) if entity is Entity.CUSTOMER else _plain(book, entity, grouped)
        out += [from_json(entity, loads(line)) for line in lines]
    return [*out, *(o.record for o in (*_own(book), *apart) if o.record is not None), *grouped]


def _fill(con: Connection, which: Which, book: Book, apart: Iterable[Held]) -> list[Customer]:
    """The documents of one side, and its customers. What the state holds as it is comes in bulk, the rest by record.

    apart: as in `_records`
    """
    stored.begin(con, which)
    grouped: list[Document] = []
    for entity in Entity:
        if entity is not Entity.CUSTOMER:
            stored.add_lines(con, which, entity, _plain(book, entity, grouped))
    own = _own(book)
    documents: list[Document] = [o.record for o in (*own, *apart) if not isinstance(o.record, Customer | None)]
    stored.add_records(con, which, [*documents, *grouped])
    customers = [Customer.model_validate(loads(line)) for line in book.lines(Entity.CUSTOMER)]
    return customers + [o.record for o in (*own, *apart) if isinstance(o.record, Customer)]


def _own(book: Book) -> list[Held]:
    """The records that stand and that the state does not hold as this run knows them, but for those only stated."""
    return [book.held.changed[k] for k in book.standing() if k in book.held.changed and k not in book.stated]


def _plain(book: Book, entity: Entity, grouped: list[Document]) -> Iterator[str]:
    """The lines of a kind; records that were settled in a group are put into `grouped` instead, stated ones nowhere."""
    for line in book.lines(entity):
        if STATED in line:
            continue
        if '"group":{' in line:
            grouped.append(from_json(entity, loads(line)))  # type: ignore[arg-type]
        else:
            yield line


def joined(books: Mapping[Which, Book]) -> set[str]:
    """The subjects that both books hold: only these are links, so that nothing else is rung 0 of the ladder."""
    return books[LEFT].natives.keys() & books[RIGHT].natives.keys()


def by_marker(
    books: Mapping[Which, Book], rows: Callable[[Iterable[str]], Mapping[str, Mapping[str, Any]]]
) -> list[Link]:
    """Records that carry the marker which a record of the other side would have been written under.

    rows: the rows of subjects by id · A record that was itself written from third books is known by its origin there
    as well.
    """
    links = []
    pairs: tuple[tuple[Which, Which], ...] = ((LEFT, RIGHT), (RIGHT, LEFT))
    for source, target in pairs:
        home, away = books[source], books[target]
        marked: dict[str, list[Key]] = {}
        for there in away.standing():
            if mark := away.marker_of(there):
                marked.setdefault(mark, []).append(there)
        if not marked:
            continue
        alone = {k: s for k in home.standing() if (s := home.subjects.get(k)) is not None and s not in away.natives}
        known = rows(alone.values())
        for (entity, id), subject in alone.items():
            row = known[subject]
            origins = dict.fromkeys(((row["origin_connection"], row["origin_id"]), (home.connection, id)))
            # A rebuilt state knows of no generation yet; documents are made again a few times at most.
            for origin, generation in product(origins, range(row["generation"] + 4)):
                key = key_for(away.connection, entity, origin, generation=generation, op=Op.CREATE.value)
                marker = marker_for(key)
                found = [other for kind, other in marked.get(marker, ()) if kind is entity]
                if found:
                    ids = {source: id, target: min(found, key=lambda other: (len(other), other))}
                    evidence = {"marker": marker, "copies": len(found), "generation": generation}
                    links.append(Link(entity, ids[LEFT], ids[RIGHT], "our marker", evidence, born=source))
                    break
    return links


def by_ladder(relation: Relation, entities: Iterable[Entity]) -> list[Link]:
    """Unique matches of the comparison's ladder among records that are not linked yet."""
    books = relation.books
    wanted = {e for e in entities if all(_unlinked(books, which, e) for which in (LEFT, RIGHT))}
    if not wanted:
        return []
    links = []
    find = compare.match_customers if wanted == {Entity.CUSTOMER} else compare.match
    for match in find(relation.fresh()):
        kind = Entity(match.kind)
        if kind not in wanted or not match.automatic or match.ambiguous:
            continue
        if len(match.left) != 1 or len(match.right) != 1:
            continue
        left, right = match.left[0], match.right[0]
        if _free(books, kind, left, right):
            links.append(Link(kind, left, right, f"rung {match.rung}", dict(match.evidence)))
    return links


def _unlinked(books: Mapping[Which, Book], which: Which, entity: Entity) -> bool:
    """Whether a side holds a record of the entity that the other side does not know."""
    mine, other = books[which], books[RIGHT if which == LEFT else LEFT]
    return any(
        key[0] is entity and key not in mine.stated and mine.subjects.get(key) not in other.natives
        for key in mine.standing()
    )


def _free(books: Mapping[Which, Book], kind: Entity, left: str, right: str) -> bool:
    subjects = books[LEFT].subjects.get((kind, left)), books[RIGHT].subjects.get((kind, right))
    if subjects[0] is None or subjects[1] is None or subjects[0] == subjects[1]:
        return False
    return subjects[0] not in books[RIGHT].natives and subjects[1] not in books[LEFT].natives


def store_links(run: Run, books: Mapping[Which, Book], links: Iterable[Link]) -> int:
    """Join the subjects of each link, and in the books, some in one transaction. Returns how many were joined."""
    count = 0
    for some in batched(links, TOGETHER):
        with run.writing() as tx:
            joints = [_joint(books, link) for link in some if _free(books, link.entity, link.left, link.right)]
            _save_joints(tx, books, joints)
            count += len(joints)
    return count


@dataclass(frozen=True, slots=True)
class _Joint:
    """Two subjects that become one: `subject` stays, `gone` goes. `drop`: the side whose record changes hands."""

    link: Link
    subject: str
    gone: str
    drop: Which

    @property
    def keep(self) -> Which:
        return RIGHT if self.drop == LEFT else LEFT


def join(tx: Tx, books: Mapping[Which, Book], link: Link) -> str:
    """Join two subjects into the one of the side where the record was born (left if nobody knows). Returns it."""
    joint = _joint(books, link)
    _save_joints(tx, books, [joint])
    return joint.subject


def _joint(books: Mapping[Which, Book], link: Link) -> _Joint:
    """What a link joins; it is joined in the books already."""
    keep: Which = link.born or LEFT
    drop: Which = RIGHT if keep == LEFT else LEFT
    ids = {LEFT: link.left, RIGHT: link.right}
    key: dict[Which, Key] = {LEFT: (link.entity, link.left), RIGHT: (link.entity, link.right)}
    subject, gone = books[keep].subjects[key[keep]], books[drop].subjects[key[drop]]
    books[drop].natives.pop(gone, None)
    books[drop].subjects[key[drop]] = subject
    books[drop].natives[subject] = ids[drop]
    if link.born:
        books[drop].came[subject] = books[keep].connection
    return _Joint(link, subject, gone, drop)


def _save_joints(tx: Tx, books: Mapping[Which, Book], joints: Sequence[_Joint]) -> None:
    if not joints:
        return
    x, s = schema.xref, schema.subject
    tx.db.execute(
        x.update()
        .where(x.c.subject == sa.bindparam("of"), x.c.connection == sa.bindparam("at"), schema.ACTIVE)
        .values(subject=sa.bindparam("to"), matched_by=sa.bindparam("by"), evidence=sa.bindparam("why"), run=tx.run),
        [
            {
                "of": j.gone,
                "at": books[j.drop].connection,
                "to": j.subject,
                "by": j.link.by,
                "why": canonical(dict(j.link.evidence) | ({"from": books[j.keep].connection} if j.link.born else {})),
            }
            for j in joints
        ],
    )
    gone = [j.gone for j in joints]
    elsewhere = _known_elsewhere(tx, gone)
    for j in joints:
        if j.gone in elsewhere:
            _bring_along(tx, j.gone, j.subject)
    held = set(tx.db.execute(sa.select(x.c.subject).where(x.c.subject.in_(gone), schema.ACTIVE)).scalars())
    tx.db.execute(s.update().where(s.c.id.in_([g for g in gone if g not in held])).values(state="retired"))
    tx.db.execute(
        s.update()
        .where(s.c.id == sa.bindparam("of"))
        .values(created_by=sa.bindparam("by"), generation=sa.func.coalesce(sa.bindparam("nth"), s.c.generation)),
        [
            {"of": j.subject, "by": "tieout" if j.link.born else None, "nth": j.link.evidence.get("generation")}
            for j in joints
        ],
    )
    for j in joints:
        of = {"entity": j.link.entity.value, "left": j.link.left, "right": j.link.right, "by": j.link.by}
        tx.audit("linked", "subject", j.subject, of | {"retired": j.gone})


def _known_elsewhere(tx: Tx, subjects: Sequence[str]) -> set[str]:
    """Which of the subjects something is still known of, by another pair or from before."""
    x, b, i = schema.xref, schema.base, schema.intent
    queries = (
        sa.select(x.c.subject).where(x.c.subject.in_(subjects), schema.ACTIVE),
        sa.select(b.c.subject).where(b.c.subject.in_(subjects)),
        sa.select(i.c.subject).where(i.c.subject.in_(subjects), i.c.state.in_(OPEN)),
    )
    return {id for query in queries for id in tx.db.execute(query).scalars()}


def _bring_along(tx: Tx, gone: str, subject: str) -> None:
    """What other pairs know of a subject that becomes another one goes with it, where that one has none of its own."""
    x, b, i = schema.xref, schema.base, schema.intent
    tx.look_again()
    there = set(tx.db.execute(sa.select(x.c.connection).where(x.c.subject == subject, schema.ACTIVE)).scalars())
    mine = x.c.subject == gone, schema.ACTIVE
    tx.db.execute(x.update().where(*mine, x.c.connection.not_in(there)).values(subject=subject))
    based = {(r["pair"], r["connection"]) for r in tx.all(sa.select(b).where(b.c.subject == subject))}
    for row in tx.all(sa.select(b.c.pair, b.c.connection).where(b.c.subject == gone)):
        if (row["pair"], row["connection"]) not in based:
            where = b.c.pair == row["pair"], b.c.subject == gone, b.c.connection == row["connection"]
            tx.db.execute(b.update().where(*where).values(subject=subject))
            moved = f"{row['pair']}/{gone}/{row['connection']}"
            tx.audit("moved", "base", f"{row['pair']}/{subject}/{row['connection']}", {"from": moved})
    open_ = i.c.state.in_(OPEN)
    busy = set(tx.db.execute(sa.select(i.c.connection).where(i.c.subject == subject, open_)).scalars())
    tx.db.execute(i.update().where(i.c.subject == gone, open_, i.c.connection.not_in(busy)).values(subject=subject))
