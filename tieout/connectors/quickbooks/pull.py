"""Reading whole lists from QuickBooks: pages checked against counts, and what changed since a cursor.

A cursor is the server's own time at the first request less an overlap, so nothing between two pulls is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tieout.connectors import Observation, Pull
from tieout.connectors.quickbooks.wire import Native, Wire, query, quoted
from tieout.errors import FatalError, RetriableError
from tieout.mapping.quickbooks.payload import head

PAGE = 1000  # QuickBooks' own limit of a page and of a CDC answer
PASSES = 3
OVERLAP = timedelta(minutes=5)
WINDOW = timedelta(days=25)  # CDC looks 30 days back; beyond our window everything is read
ALL = "Active IN (true,false)"
Observe = Callable[[Native], Observation]


def server_time(answer: Native) -> datetime | None:
    """The time an answer was begun, by the server's clock; None if it does not say."""
    told = answer.get("time")
    if not isinstance(told, str):
        return None
    try:
        found = datetime.fromisoformat(told)
    except ValueError:
        return None
    return found if found.tzinfo else None


def cursor_of(answer: Native) -> str | None:
    """Where the next pull begins; None if the answer tells no time, or one that no clock shows."""
    began = server_time(answer)
    try:
        return None if began is None else (began - OVERLAP).isoformat(timespec="seconds")
    except OverflowError:
        return None


def rows(answer: Native, entity: str) -> list[Native]:
    """The rows of a query's answer. Raises FatalError if it is none."""
    held = answer.get("QueryResponse")
    found = held.get(entity, []) if isinstance(held, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise FatalError(f"QuickBooks' answer holds no rows of {entity}")
    return found


def count(wire: Wire, entity: str, conditions: tuple[str, ...]) -> tuple[int, Native]:
    """(number of rows the server counts, its answer)."""
    answer = wire.query(query(entity, *conditions, count=True))
    held = answer.get("QueryResponse")
    told = held.get("totalCount") if isinstance(held, dict) else None
    if not isinstance(told, int) or isinstance(told, bool):
        raise FatalError(f"QuickBooks does not count {entity}")
    return told, answer


def pages(wire: Wire, entity: str, *conditions: str, size: int = PAGE, enough: int | None = None) -> Iterator[Any]:
    """Every row, ordered by Id, page by page; stops at a short page, or when `enough` rows came in full pages."""
    start = 1
    while True:
        page = rows(wire.query(query(entity, *conditions, start=start, most=size)), entity)
        yield from page
        start += len(page)
        if len(page) < size or (enough is not None and start > enough):
            return


class Sweep:
    """A full list, or all rows that meet conditions, proved by counts before and after.

    Rows that come or go meanwhile make the counts differ; then the list is read again, and only rows not yet seen are
    given, up to three times. Raises RetriableError where it will not settle.
    """

    def __init__(self, wire: Wire, entity: str, *conditions: str, size: int = PAGE) -> None:
        self._wire, self._entity, self._conditions, self._size = wire, entity, conditions, size
        self.cursor: str | None = None
        self.proof: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Native]:
        seen: set[str] = set()
        before, first = count(self._wire, self._entity, self._conditions)
        self.cursor = cursor_of(first)
        for number in range(1, PASSES + 1):
            here: set[str] = set()
            for row in pages(self._wire, self._entity, *self._conditions, size=self._size, enough=before):
                id = str(head(row).Id)
                here.add(id)
                if id not in seen:
                    seen.add(id)
                    yield row
            after, _ = count(self._wire, self._entity, self._conditions)
            if before == after == len(here):
                self.proof = {"counted": after, "read": len(here), "passes": number}
                return
            before = after
        raise RetriableError(
            f"the list of {self._entity} changes while it is read: {len(here)} rows, {after} counted",
            hint="run again when fewer people are at work",
        )


def full(wire: Wire, entity: str, observe: Observe, *, size: int = PAGE) -> Pull:
    """Every record, inactive customers too."""
    conditions = (ALL,) if entity == "Customer" else ()
    sweep = Sweep(wire, entity, *conditions, size=size)
    pull = Pull(iter(()), full=True)

    def observed() -> Iterator[Observation]:
        for row in sweep:
            yield observe(row)
        pull.proof, pull.cursor, pull.complete = sweep.proof, sweep.cursor, True

    pull.observations = observed()
    return pull


def since(wire: Wire, entity: str, cursor: str, observe: Observe, now: datetime, *, size: int = PAGE) -> Pull:
    """What changed since the cursor: from CDC inside its window; where it is full, by query; beyond it, everything.

    A query sees no deletions, and `proof` then says so: only a full list shows them.
    """
    began = _parsed(cursor)
    if began is None or now - began > WINDOW:
        return full(wire, entity, observe, size=size)
    pull = Pull(iter(()), full=False)

    def observed() -> Iterator[Observation]:
        answer = wire.read("cdc", {"entities": entity, "changedSince": cursor})
        changed = _cdc_rows(answer, entity)
        pull.cursor = cursor_of(answer)
        latest: dict[str, Native] = {str(head(row).Id): row for row in changed}
        stubs = {id: row for id, row in latest.items() if row.get("status") == "Deleted"}
        if len(changed) < PAGE:
            for row in latest.values():
                yield observe(row)
            pull.proof, pull.complete = {"source": "cdc", "changed": len(latest)}, True
            return
        for row in stubs.values():
            yield observe(row)
        conditions = [f"MetaData.LastUpdatedTime >= {quoted(cursor)}"]
        if entity == "Customer":
            conditions.append(ALL)
        sweep = Sweep(wire, entity, *conditions, size=size)
        for row in sweep:
            if str(head(row).Id) not in stubs:
                yield observe(row)
        pull.proof, pull.complete = {**sweep.proof, "source": "query", "deletions": "not all seen"}, True

    pull.observations = observed()
    return pull


def _parsed(cursor: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(cursor)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _cdc_rows(answer: Native, entity: str) -> list[Native]:
    """The rows of the one entity asked for. Raises FatalError for an answer of another shape."""
    held = answer.get("CDCResponse")
    parts = (
        [part.get("QueryResponse", []) for part in held if isinstance(part, Mapping)] if isinstance(held, list) else []
    )
    if not parts or not all(isinstance(part, list) for part in parts):
        raise FatalError("QuickBooks' answer holds no changes")
    return [row for part in parts for response in part for row in rows({"QueryResponse": response}, entity)]
