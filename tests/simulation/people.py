"""What people do in either book while runs go wrong: they edit, and they do by hand what a run does, or undo it.

A deed is found before it is done: where there is nothing to do it for, it is none, and no schedule counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tieout.connectors.memory.types import applications_of
from tieout.model import CreditMemo, Customer, Entity, Payment, PostingState

ORDER = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
TYPED: Mapping[Entity, str] = {Entity.INVOICE: "memo", Entity.CUSTOMER: "phone"}
# What a person at home enters who takes back what the story changed.
TAKEN_BACK = {"second": "first", "555 2": "555 1"}

Deed = Callable[[], None]


def edits(world: Any, *, home: bool = False) -> None:
    """Somebody edits a record by hand just now, at the target where there is one, else at home.

    home: at home in any case, where all that the story changed is taken back, if there is such.
    """
    found = [
        (side, books, entity, live[0], name)
        for side, books in (("right", world.r), ("left", world.l))
        for entity, name in TYPED.items()
        if (live := [r for r in books.all(entity) if getattr(r, "state", "posted") == "posted"])
        and not (home and side == "right")
    ]
    back = [one for one in found if home and getattr(one[3], one[4]) in TAKEN_BACK]
    for side, books, entity, record, name in back or found[:1]:
        value = TAKEN_BACK[getattr(record, name)] if back else f"by hand {len(world.truth.edits) + 1}"
        books.edit(entity, record.ref.id, **{name: value})
        world.time.tick(2)
        world.truth.edits.append((side, entity, record.ref.id, name, value))


def found(world: Any, name: str) -> Deed | None:
    """What somebody would do just now who does `name` (a key of DEEDS); None if there is nothing to do it for."""
    deed = DEEDS[name](world)
    if deed is None:
        return None

    def done() -> None:
        deed()
        world.time.tick(2)
        world.truth.by_hand.append(name)

    return done


def _same(world: Any) -> Deed | None:
    """By hand in one book what the other one has more: the next thing that a run carries over, or is carrying over."""
    for side, here, there in (("right", world.l, world.r), ("left", world.r, world.l)):
        for entity in ORDER:
            mates = {_called(r): r for r in there.all(entity)}
            for one in here.all(entity):
                deed = _carried(world, side, there, one, mates.get(_called(one)))
                if deed is not None:
                    return deed
    return None


def _carried(world: Any, side: str, there: Any, one: Any, mate: Any) -> Deed | None:
    """What makes `mate`, or a new record of the books `there`, like `one` of the others; None if nothing is to be done."""
    ids = _ids(world.r if there is world.l else world.l, there)
    posted = getattr(one, "state", PostingState.POSTED) is PostingState.POSTED
    if mate is None:
        if not posted or (not isinstance(one, Customer) and one.customer not in ids):
            return None
        return lambda: there.put(_translated(one, ids))
    if getattr(mate, "state", PostingState.POSTED) is not PostingState.POSTED:
        return None
    if not posted:
        return lambda: there.void(mate.entity, mate.ref.id)
    name = TYPED.get(one.entity)
    if name and getattr(one, name) != getattr(mate, name):
        return lambda: _typed(world, side, there, mate, {name: getattr(one, name)})
    set_there = {a.invoice for a in applications_of(mate)}
    more = [a for a in applications_of(one) if ids.get(a.invoice) and ids[a.invoice] not in set_there]
    if more:
        return lambda: _applied(world, side, there, mate, (ids[more[0].invoice], more[0].amount, more[0].applied_on))
    return None


def _again(world: Any) -> Deed | None:
    """The document that was just created in one book is entered there by hand as well, by somebody who did not see it."""
    for _side, books, entry in _written(world, "create"):
        record = entry.after
        if not isinstance(record, Customer):
            bare = {"applications": ()} if isinstance(record, Payment | CreditMemo) else {}
            copy = record.model_copy(update={"marker": None, **bare})
            return lambda books=books, copy=copy: books.put(copy)
    return None


def _undo(world: Any) -> Deed | None:
    """What was written last is taken back there: a new document voided, a changed field set to what it was."""
    for side, books, entry in _written(world, "create", "update"):
        now = books.get(entry.entity, entry.id)
        if entry.op == "create" and not isinstance(now, Customer):
            if now.state is PostingState.POSTED:
                return lambda books=books, e=entry: books.void(e.entity, e.id)
        elif entry.op == "update":
            names = [n for n in (TYPED.get(entry.entity), "applications") if n and hasattr(now, n)]
            back = {
                n: getattr(entry.before, n)
                for n in names
                if getattr(entry.before, n) != getattr(entry.after, n) == getattr(now, n)
            }
            if back and getattr(now, "state", PostingState.POSTED) is PostingState.POSTED:
                return lambda side=side, books=books, now=now, back=back: _typed(world, side, books, now, back)
    return None


def _delete(world: Any) -> Deed | None:
    """What was created last is deleted there."""
    for _side, books, entry in _written(world, "create"):
        used = [r for e in ORDER[1:] for r in books.all(e) if getattr(r, "customer", None) == entry.id]
        if not used:
            return lambda books=books, e=entry: books.delete(e.entity, e.id)
    return None


def _withdraw(world: Any) -> Deed | None:
    """The newest document of home is voided there."""
    for entry in reversed(world.l.log):
        if entry.op == "create" and entry.entity is not Entity.CUSTOMER and entry.by == "person":
            id, live = entry.id, {r.ref.id: r for r in world.l.all(entry.entity)}
            if id in live and live[id].state is PostingState.POSTED:
                return lambda e=entry: world.l.void(e.entity, e.id)
            return None
    return None


DEEDS: Mapping[str, Callable[[Any], Deed | None]] = {
    "same": _same,
    "again": _again,
    "undo": _undo,
    "delete": _delete,
    "withdraw": _withdraw,
}


def _written(world: Any, *ops: str) -> list[tuple[str, Any, Any]]:
    """What runs wrote since the story began and is still there, the last first: side, books, entry of their log."""
    entries = [
        (side, books, entry)
        for side, books, began in (("left", world.l, world.began[0]), ("right", world.r, world.began[1]))
        for entry in books.log[began:]
        if entry.by == "connector" and entry.op in ops
    ]
    live = {
        (side, e): {r.ref.id for r in books.all(e)}
        for side, books in (("left", world.l), ("right", world.r))
        for e in ORDER
    }
    entries = [one for one in entries if one[2].id in live[(one[0], one[2].entity)]]
    return sorted(entries, key=lambda one: (one[2].at, one[0], one[2].seq), reverse=True)


def _typed(world: Any, side: str, books: Any, record: Any, values: Mapping[str, Any]) -> None:
    books.edit(record.entity, record.ref.id, **values)
    world.truth.edits += [(side, record.entity, record.ref.id, name, value) for name, value in values.items()]


def _applied(world: Any, side: str, books: Any, record: Any, one: tuple[str, Any, Any]) -> None:
    """Somebody applies a payment or credit by hand: as much an entry of theirs as a text that they type."""
    now = books.apply(record.ref.id, *one)
    world.truth.edits.append((side, record.entity, record.ref.id, "applications", now.applications))


def _called(record: Any) -> str:
    return getattr(record, "reference", None) or getattr(record, "number", None) or getattr(record, "name", "") or "?"


def _ids(here: Any, there: Any) -> dict[str, str]:
    """The ids of the same customers and invoices in the other book, by their names."""
    out = {}
    for entity in (Entity.CUSTOMER, Entity.INVOICE):
        mates = {_called(r): r.ref.id for r in there.all(entity)}
        out |= {r.ref.id: mates[_called(r)] for r in here.all(entity) if _called(r) in mates}
    return out


def _translated(record: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(record, Customer):
        return record
    update: dict[str, Any] = {"customer": ids[record.customer], "marker": None}
    if isinstance(record, Payment | CreditMemo):
        update["applications"] = tuple(
            a.model_copy(update={"invoice": ids[a.invoice]}) for a in record.applications if a.invoice in ids
        )
    return record.model_copy(update=update)
