"""Reading Sage X3's objects: left lists, objects by key with as many calls as the pool is wide, open items, changes.

X3 has no paging, no order and no change feed of its own. A list is believed when it is the same before and after its
objects were read; what changed is told by a sub-program of the site where one is published.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lxml import etree

from tieout.connectors.redact import redact
from tieout.connectors.sage_x3.payload import (
    Blocks,
    Row,
    Unreadable,
    count_of,
    described,
    native,
    parsed,
    program,
    rows,
    values,
)
from tieout.connectors.sage_x3.wire import Refused, Wire
from tieout.errors import FatalError, NotFoundError, NotServedError, RetriableError

log = logging.getLogger("tieout.sage_x3")
JOURNALS = "GAS"
KEYS = {"BPC": "BPCNUM", "SIH": "NUM", "BIC": "NUM", "PAY": "NUM"}
PASSES = 3
PAGE = 2000
_NO, _YES = "1", "2"
_SET_UP = "publish it with the columns and parameters that the how-to on Sage names"
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

    def listed(self, kind: str, key: str = "") -> list[Row]:
        """The left list, or its lines of a key. Raises RetriableError for one that is cut short.

        Raises FatalError for a line without its key: each site sets up what its left lists show.
        Only the key is asked for: whether X3 heeds a condition on another column is not certain, and a document that a
        list leaves out would be taken for lost.
        """
        asked = [{"key": KEYS[kind], "value": key}]
        result = self._asked("query", kind, objectKeys=asked, listSize=self.most)
        found = list(rows(result))
        told = redact(result.get("SIZE", ""), 20)
        if len(found) >= self.most or (count_of(told) or 0) > len(found):
            raise RetriableError(
                f"the list of {self.services[kind]} is not whole: {len(found)} lines, {told or 'more'} told",
                hint="raise `list_limit` of the connection",
            )
        self._complete(kind, found, KEYS[kind])
        return found

    def refused(self) -> Iterator[str]:
        """Services that X3 does not give us, each with what X3 says: a line is asked of each that can be read."""
        first = {"open_items": {"I_BPR": "", "I_AFTER": "", "I_SIZE": "1"}, "changes": {"I_TICK": "0", "I_SIZE": "1"}}
        for service, name in self.services.items():
            try:
                if service in first:
                    self.wire.read("run", publicName=name, inputXml=program(GRP1=first[service]))
                elif service in KEYS:
                    asked = [{"key": KEYS[service], "value": ""}]
                    self.wire.read("query", publicName=name, objectKeys=asked, listSize=1)
                elif service == JOURNALS:
                    self.wire.read("getDescription", publicName=name)
            except Refused as why:
                yield f"services.{service}: X3 refuses {name}: {why}"

    def first(self, kind: str) -> dict[str, Any] | None:
        """The first object of the left list; None where it is empty, or X3 does not show it."""
        try:
            result = self._parsed("query", kind, objectKeys=[{"key": KEYS[kind], "value": ""}], listSize=1)
            key = next((row.get(KEYS[kind], "").strip() for row in rows(result)), "")
            return self.read(kind, key) if key else None
        except (Refused, NotFoundError):
            return None

    def keys(self, kind: str, wanted: Callable[[Row], bool] = lambda _row: True) -> set[str]:
        """The keys of the left list."""
        return {row.get(KEYS[kind], "").strip() for row in self.listed(kind) if wanted(row)}

    def read(self, kind: str, key: str) -> dict[str, Any]:
        """The object as it is now. Raises NotFoundError only where the whole left list does not have it either.

        One that X3 lists and does not show comes back with `hidden`, the reason that X3 gives.
        """
        if not key or _WILD & set(key) or len(key) > 40 or not key.isprintable():
            raise NotFoundError(f"X3 has no {kind} of the key {key!r}")
        keys = [{"key": KEYS[kind], "value": key}]
        try:
            result = self._parsed("read", kind, objectKeys=keys)
        except Refused as why:
            if not self.lists(kind, key):
                raise NotFoundError(f"X3 has no {kind} {key}: {why}") from None
            return {"object": kind, "fields": {KEYS[kind]: key}, "grids": [], "hidden": str(why)}
        found = native(kind, result, self.blocks.setdefault(kind, Blocks()))
        if found["fields"].get(KEYS[kind], "").strip() != key:
            other = redact(found["fields"].get(KEYS[kind], ""), 40)
            raise FatalError(f"asked for {kind} {redact(key)}, X3 answers {other!r}")
        return found

    def lists(self, kind: str, key: str) -> bool:
        """Whether the left list has a key: asked for by it, and in the whole list where that shows nothing."""
        return any(row.get(KEYS[kind], "").strip() == key for row in self.listed(kind, key)) or key in self.keys(kind)

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
        seen = set[str]()
        before = self.keys(kind, wanted)
        for _ in range(PASSES):
            for key, found in self.each(kind, sorted(before - seen)):
                seen.add(key)
                if found is not None:
                    yield found
            after = self.keys(kind, wanted)
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
            found = native(JOURNALS, self._parsed("read", JOURNALS, objectKeys=keys))
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
            result = self._asked("run", "open_items", inputXml=program(GRP1=asked))
            items, told = list(rows(result)), values(result)
            self._complete("open_items", items, "TYP", "NUM")
            yield from items
            last = told.get("O_LAST", "")
            if not self._goes_on("open_items", told):
                return
            if not last or last == after:
                raise FatalError(f"{self.services['open_items']} does not say where its list goes on")
            after = last

    def changes(self, since: int) -> Changed:
        """What changed after a tick, in the site's change feed."""
        keys: dict[tuple[str, str], bool] = {}
        tick = since
        for result, tick in self._feed(since):  # noqa: B007  the last one counts
            named = list(rows(result))
            self._complete("changes", named, "OBJECT", "KEY", "GONE")
            keys |= {(row["OBJECT"], row["KEY"]): row["GONE"] == _YES for row in named}
        live = tuple(key for key, gone in keys.items() if not gone)
        return Changed(live, tuple(key for key, gone in keys.items() if gone), tick)

    def tick(self) -> int:
        """The change feed's last tick."""
        tick = 0
        for _, tick in self._feed(0):  # noqa: B007  the last one counts
            pass
        return tick

    def _feed(self, since: int) -> Iterator[tuple[etree._Element, int]]:
        """The pages of the change feed with the tick after each."""
        more = True
        while more:
            asked = {"I_TICK": str(since), "I_SIZE": str(PAGE)}
            result = self._asked("run", "changes", inputXml=program(GRP1=asked))
            told = values(result)
            counted = count_of(told.get("O_TICK", ""))
            then = -1 if counted is None else counted
            if then < since:
                raise FatalError(
                    f"{self.services['changes']} counts backwards: {then} after {since}",
                    hint="if X3 was restored from a backup, read everything anew: tieout sync --full",
                )
            yield result, then
            more, since = self._goes_on("changes", told) and then > since, then

    def _goes_on(self, service: str, told: Mapping[str, str]) -> bool:
        """Whether a list has another page. An answer that does not say so may be of another program, or of none."""
        more = told.get("O_MORE", "")
        if more not in (_YES, _NO):
            raise FatalError(
                f"{self.services[service]} does not say in O_MORE whether its list goes on: {redact(more, 40)!r}",
                hint=_SET_UP,
            )
        return more == _YES

    def _complete(self, service: str, found: Iterable[Row], *columns: str) -> None:
        for row in found:
            for column in columns:
                if not row.get(column, "").strip():
                    raise FatalError(f"{self.services[service]} shows a line without {column}", hint=_SET_UP)

    def called(self, service: str, inputs: str) -> dict[str, str]:
        """The single fields of what a sub-program answers."""
        return values(self._asked("run", service, inputXml=inputs))

    def described(self, kind: str) -> Blocks:
        """What X3 says of a publication's blocks; nothing where it does not say it."""
        try:
            return described(self.wire.read("getDescription", publicName=self.services[kind]).result or "")
        except (Refused, Unreadable) as why:
            log.info("no description of %s: %s", self.services[kind], why)
            return Blocks()

    def _asked(self, operation: str, service: str, **parts: Any) -> etree._Element:
        """The RESULT of a call that X3 has no reason to refuse. Raises NotServedError if it does."""
        try:
            return self._parsed(operation, service, **parts)
        except Refused as why:
            raise NotServedError(
                f"X3 refuses {operation} of {self.services[service]}: {why}",
                hint="check `services`, `pool` and the rights of `user`; what passes by itself goes into `temporary`",
            ) from None

    def _parsed(self, operation: str, service: str, **parts: Any) -> etree._Element:
        reply = self.wire.read(operation, publicName=self.services[service], **parts)
        try:
            return parsed(reply.result or "")
        except Unreadable as why:
            raise RetriableError(f"{self.services[service]}: {why}") from None
