"""The contract for reading what changed: across a cursor nothing is missed; some things may come twice."""

from __future__ import annotations

from tieout.model import Entity, Existence
from tieout.testing.bench import Bench, expect

LONG = 900  # seconds: longer than the overlap that any connector should need


def _cursor(b: Bench, entity: Entity) -> str:
    _, pull = b.pull(entity)
    expect(pull.cursor is not None, f"deltas are claimed, but a full read of {entity} gives no cursor")
    return pull.cursor or ""


def misses_nothing_across_the_cursor(b: Bench) -> None:
    """Entered, edited, voided or deleted after the cursor: in the delta. Again from the delta's own cursor."""
    for entity in b.readable():
        kept, edited, gone, voided = (b.put(entity, n) for n in (1, 2, 3, 4))
        b.harness.advance(LONG)
        cursor = _cursor(b, entity)
        for text in ("first", "second"):
            b.harness.advance(LONG)
            new = b.put(entity, 5 if text == "first" else 6)
            b.edit(entity, edited, text)
            wanted = {new, edited}
            if text == "first" and entity is not Entity.CUSTOMER:
                b.harness.delete(entity, gone)
                wanted |= {gone} if b.caps.tells_removals else set()
                if entity in b.harness.voidable:
                    b.harness.void(entity, voided)
                    wanted.add(voided)
            b.harness.advance(LONG)
            found, pull = b.pull(entity, cursor)
            missed = sorted(wanted - set(found))
            expect(pull.full or not missed, f"changes of {entity} {missed} are missing from the delta")
            for id, seen in found.items():
                dead = seen.existence is Existence.DELETED
                expect(dead is (id == gone and entity is not Entity.CUSTOMER), f"{entity} {id!r} is {seen.existence}")
            expect(kept in found or not pull.full, f"{entity} {kept!r} is missing from what is called a full read")
            expect(pull.cursor is not None, f"the delta of {entity} gives no new cursor")
            cursor = pull.cursor or ""


def misses_nothing_within_a_second(b: Bench) -> None:
    """A change in the very second of the cursor is in the delta."""
    for entity in b.readable():
        id = b.put(entity, 1)
        b.harness.advance(LONG)
        cursor = _cursor(b, entity)
        b.edit(entity, id, "same second")
        new = b.put(entity, 2)
        b.harness.advance(LONG)
        found, _ = b.pull(entity, cursor)
        expect({id, new} <= set(found), f"a change of a {entity} in the second of the cursor is missed")


def misses_nothing_during_a_pull(b: Bench) -> None:
    """A change made while a list is being read, to a record already passed, is in the next delta."""
    for entity in b.readable():
        for n in range(2 * b.harness.page_size + 1):
            b.put(entity, n)
        b.harness.advance(LONG)
        pull = b.connector.pull(entity)
        first = next(iter(pull)).id
        b.harness.advance(1)
        b.edit(entity, first, "while reading")
        b.harness.advance(LONG)
        list(pull)
        cursor = pull.cursor
        expect(cursor is not None, f"a full read of {entity} gives no cursor")
        found, _ = b.pull(entity, cursor)
        expect(first in found, f"{entity} {first!r} changed during the read, and the next delta misses it")


def calls_nothing_deleted_that_did_not_change(b: Bench) -> None:
    """Not being in a delta means nothing: no tombstone for records that did not change."""
    for entity in b.readable():
        ids = {b.put(entity, n) for n in (1, 2)}
        b.harness.advance(LONG)
        cursor = _cursor(b, entity)
        b.harness.advance(LONG)
        found, pull = b.pull(entity, cursor)
        dead = sorted(id for id in ids if id in found and found[id].existence is Existence.DELETED)
        expect(not dead, f"{entity} {dead} did not change and are called deleted")
        expect(not pull.full or ids <= set(found), f"a delta of {entity} without changes is called full")
