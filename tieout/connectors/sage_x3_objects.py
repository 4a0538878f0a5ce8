"""Reading Sage X3's objects: left lists, objects by key with as many calls as the pool is wide, open items, changes.

X3 has no paging, no order and no change feed of its own. A list is believed when it is the same before and after its
objects were read; what changed is told by a sub-program of the site where one is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tieout.connectors.sage_x3_payload import Blocks, Row, Unreadable, native, parsed, program, rows, values
from tieout.connectors.sage_x3_wire import Refused, Wire
from tieout.errors import FatalError, NotFoundError, RetriableError

KEYS = {"BPC": "BPCNUM", "SIH": "NUM", "BIC": "NUM", "PAY": "NUM"}
PASSES = 3
PAGE = 2000
_YES = "2"
_WILD = frozenset("*?%")


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change feed told. gone: keys that were deleted · tick: where the next look begins"""

    keys: tuple[tuple[str, str], ...]
    gone: tuple[tuple[str, str], ...]
    tick: int


@dataclass
class Objects:
    """The published services of one installation. services: object or sub-program → its public name here.

    most: lines that a left list is asked for; one that is as long is not believed to be whole
    """

    wire: Wire
    services: Mapping[str, str]
    most: int = 200_000
    blocks: dict[str, Blocks] = field(default_factory=dict)

    def forget(self) -> None:
        """Learn the blocks anew: an entry transaction may have changed since."""
        self.blocks.clear()

    def published(self, *kinds: str) -> list[str]:
        return [kind for kind in kinds if kind in self.services]

    def listed(self, kind: str, **columns: str) -> list[Row]:
        """The left list, only lines with these column values. Raises RetriableError for one that is cut short."""
        asked = [{"key": name, "value": value} for name, value in columns.items()] or [{"key": KEYS[kind], "value": ""}]
        reply = self._asked("query", kind, objectKeys=asked, listSize=self.most)
        found = rows(reply)
        told = parsed(reply).get("SIZE", "")
        if len(found) >= self.most or (told.isdigit() and int(told) > len(found)):
            raise RetriableError(
                f"the list of {self.services[kind]} is not whole: {len(found)} lines, {told or 'more'} told",
                hint="raise `list_limit` of the connection",
            )
        # Whether X3 heeds a filter on a column is not certain: what does not fit is left out here.
        return [row for row in found if all(row.get(n, v).strip() == v for n, v in columns.items())]

    def read(self, kind: str, key: str) -> dict[str, Any]:
        """The object as it is now. Raises NotFoundError only where the left list does not have it either."""
        if not key or _WILD & set(key) or len(key) > 40:
            raise NotFoundError(f"X3 has no {kind} of the key {key!r}")
        keys = [{"key": KEYS[kind], "value": key}]
        try:
            reply = self._asked("read", kind, objectKeys=keys)
        except Refused as why:
            if not any(row.get(KEYS[kind]) == key for row in self.listed(kind, **{KEYS[kind]: key})):
                raise NotFoundError(f"X3 has no {kind} {key}: {why}") from None
            raise RetriableError(f"{kind} {key} is there, but X3 does not show it: {why}") from None
        found = native(kind, reply, self.blocks.setdefault(kind, Blocks()))
        if found["fields"].get(KEYS[kind], "").strip() != key:
            raise FatalError(f"asked for {kind} {key}, X3 answers {found['fields'].get(KEYS[kind], '')!r:.40}")
        return found

    def each(self, kind: str, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """(key, object) in the order of the keys, None for one that went meanwhile; as many at once as may be."""
        with ThreadPoolExecutor(self.wire.width, "tieout-x3") as pool:
            todo = iter(keys)
            ahead = [(key, pool.submit(self._read_or_none, kind, key)) for key in islice(todo, self.wire.width * 4)]
            while ahead:
                key, first = ahead.pop(0)
                found = first.result()
                ahead += [(k, pool.submit(self._read_or_none, kind, k)) for k in islice(todo, 1)]
                yield key, found

    def _read_or_none(self, kind: str, key: str) -> dict[str, Any] | None:
        try:
            return self.read(kind, key)
        except NotFoundError:
            return None

    def sweep(self, kind: str, wanted: Callable[[Row], bool] = lambda _row: True) -> Iterator[dict[str, Any]]:
        """Every object, each once, proved by the list being the same afterwards; what is new meanwhile is read too.

        Raises RetriableError where it will not settle.
        """
        name, seen = KEYS[kind], set[str]()
        before = {row.get(name, "").strip() for row in self.listed(kind) if wanted(row)}
        for _ in range(PASSES):
            for key, found in self.each(kind, sorted(before - seen)):
                seen.add(key)
                if found is not None:
                    yield found
            after = {row.get(name, "").strip() for row in self.listed(kind) if wanted(row)}
            if after <= seen:
                return
            before = after
        raise RetriableError(
            f"the list of {self.services[kind]} changes while it is read",
            hint="run again when fewer people are at work",
        )

    def letters(self, type: str, number: str) -> set[str]:
        """The lettering codes of a document's journal, in capitals; empty where nothing of it is matched.

        X3 writes a code in small letters while the match is partial (Sage's online help on matching).
        """
        keys = [{"key": "TYP", "value": type}, {"key": "NUM", "value": number}]
        try:
            found = native("GAS", self._asked("read", "GAS", objectKeys=keys))
        except Refused:
            return set()
        return {code for lines in found["grids"] for row in lines if (code := row.get("MTC", "").strip().upper())}

    # ── sub-programs of the site ─────────────────────────────────────────────────────────────────────────────────

    def open_items(self, customer: str = "") -> Iterator[Row]:
        """Rows of GACCDUDATE, of one customer or of all; none where no service shows them."""
        if "open_items" not in self.services:
            return
        after = ""
        while True:
            asked = {"I_BPR": customer, "I_AFTER": after, "I_SIZE": str(PAGE)}
            reply = self._asked("run", "open_items", inputXml=program(GRP1=asked))
            yield from rows(reply)
            told = values(reply)
            last = told.get("O_LAST", "")
            if told.get("O_MORE") != _YES:
                return
            if not last or last == after:
                raise FatalError(f"{self.services['open_items']} does not say where its list goes on")
            after = last

    def changes(self, since: int) -> Changed:
        """What changed after a tick, in the site's change feed."""
        keys: dict[tuple[str, str], bool] = {}
        tick = since
        while True:
            reply = self._asked("run", "changes", inputXml=program(GRP1={"I_TICK": str(tick), "I_SIZE": str(PAGE)}))
            for row in rows(reply):
                keys[(row.get("OBJECT", ""), row.get("KEY", ""))] = row.get("GONE") == _YES
            told = values(reply)
            then = int(told["O_TICK"]) if told.get("O_TICK", "").isdigit() else -1
            if then < tick:
                raise FatalError(f"{self.services['changes']} counts backwards: {then} after {tick}")
            more, tick = told.get("O_MORE") == _YES and then > tick, then
            if not more:
                break
        live = tuple(key for key, gone in keys.items() if not gone)
        return Changed(live, tuple(key for key, gone in keys.items() if gone), tick)

    def _asked(self, operation: str, service: str, **parts: Any) -> str:
        reply = self.wire.read(operation, publicName=self.services[service], **parts)
        try:
            parsed(reply.result or "")
        except Unreadable as why:
            raise RetriableError(f"{self.services[service]}: {why}") from None
        return reply.result or ""
