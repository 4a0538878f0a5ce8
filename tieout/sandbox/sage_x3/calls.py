"""What each operation does to the books, and what it answers. Transport, pools and messages are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import descriptions, invoices, payments, subprograms
from .books import Books, actions
from .envelope import Asked
from .faults import INFO, Note, Refused, note
from .payload import Doc, Given, as_json, as_xml, list_json, list_xml, read
from .payload import shown as written
from .publications import Publication
from .screens import Screen
from .store import Key

DEFAULT_LIST = 100


@dataclass(slots=True)
class Call:
    """One call on a session: what is asked of which publication, in which language, and the notes it gathers."""

    books: Books
    asked: Asked
    publication: Publication
    language: str
    session: str
    pinned: bool = False
    notes: list[Note] = field(default_factory=list)

    @property
    def screen(self) -> Screen:
        return self.publication.screen(self.books.switches)

    @property
    def as_json(self) -> bool:
        return self.asked.config.get("adxwss.optreturn", "XML").upper() == "JSON"

    @property
    def pretty(self) -> bool:
        return self.asked.config.get("adxwss.beautify", "").lower() == "true"

    def key(self) -> Key:
        """The object's key among objectKeys. Raises Refused."""
        given = {name.upper(): value.strip() for name, value in self.asked.keys}
        unknown = next((name for name in given if name not in self.screen.keys), None)
        if unknown is not None:
            raise Refused("unknown_key", name=unknown)
        missing = next((name for name in self.screen.keys if not given.get(name)), None)
        if missing is not None:
            raise Refused("no_key", name=missing)
        return tuple(given[name] for name in self.screen.keys)

    def payload(self, text: str) -> Given:
        given = read(text, self.screen, self.books.switches)
        self.notes += given.notes
        return given

    def shown(self, key: Key) -> str:
        """The object after the call, in the form asked for. Raises Refused."""
        doc = self.books.read(self.publication.target, *key)
        if doc is None:
            raise Refused("no_record", object=self.publication.target, key=" ".join(key))
        if self.as_json:
            return as_json(self.screen, doc, self.language)
        return as_xml(self.screen, doc, self.language, pretty=self.pretty)

    def free(self, key: Key) -> Key:
        """The key, when no other session holds the record. Raises Refused."""
        holder = self.books.locks.get((self.publication.target, key), self.session)
        if holder != self.session:
            raise Refused("locked", key=" ".join(key))
        return key

    def done(self, key: Key) -> None:
        """Gathers the messages of a write that went well."""
        self.notes += self.books.warnings
        if self.books.switches.notes_on_success:
            self.notes.append(note(INFO, "done", key=" ".join(key)))


def perform(call: Call) -> str:
    """Does the call; returns resultXml. Raises Refused."""
    operation, target = call.asked.operation, call.publication
    if (operation == "run") != (target.kind == "subprogram") and not operation.startswith("get"):
        raise Refused("wrong_kind", operation=operation, name=target.name)
    return _OPERATIONS[operation](call)


def _save(call: Call) -> str:
    key = call.books.save(call.publication.target, call.payload(call.asked.texts["objectXml"]), by="api")
    call.done(key)
    return call.shown(key)


def _read(call: Call) -> str:
    key = call.key()
    text = call.shown(key)
    if call.books.switches.read_locks and call.pinned:
        call.books.locks = {k: s for k, s in call.books.locks.items() if s != call.session}
        call.books.locks.setdefault((call.publication.target, key), call.session)
    return text


def _modify(call: Call) -> str:
    key = call.free(call.key())
    call.books.modify(call.publication.target, key, call.payload(call.asked.texts["objectXml"]), by="api")
    call.books.locks.pop((call.publication.target, key), None)
    call.done(key)
    return call.shown(key)


def _delete(call: Call) -> str:
    key = call.free(call.key())
    call.books.delete(call.publication.target, key, by="api")
    call.books.locks.pop((call.publication.target, key), None)
    call.done(key)
    named = dict(zip(call.screen.keys, key, strict=True))
    first = replace(call.screen, blocks=(replace(call.screen.blocks[0], fields=_key_fields(call.screen)),))
    return as_json(first, named, call.language) if call.as_json else as_xml(first, named, call.language)


def _key_fields(screen: Screen) -> tuple[Any, ...]:
    return tuple(screen.heads[name] for name in screen.keys)


def _query(call: Call) -> str:
    switches, screen = call.books.switches, call.screen
    size = call.asked.texts["listSize"].strip() or "0"
    if not re.fullmatch(r"-?\d{1,9}", size):
        raise Refused("not_a_number", name="listSize", value=size[:40])
    limit = int(size)
    tests = [_test(screen, name, value.strip(), switches.wildcards == "star") for name, value in call.asked.keys]
    rows = [row for row in call.books.rows(call.publication.target) if all(test(row) for test in tests)]
    if switches.list_order == "key":
        rows.sort(key=lambda row: tuple(row[name] for name in screen.keys))
    if limit > 0:
        rows = rows[:limit]
    elif switches.list_zero != "all":
        rows = rows[:DEFAULT_LIST] if switches.list_zero == "default" else []
    columns = [screen.heads[name] for name in screen.left]
    if call.as_json:
        return list_json(columns, rows, call.language)
    return list_xml(columns, rows, call.language, sizes=switches.list_sizes == "shown", pretty=call.pretty)


def _test(screen: Screen, name: str, wanted: str, wildcards: bool) -> Callable[[Doc], bool]:
    """Whether a row fits a key of a query. Raises Refused for a field that is not on the left list."""
    name = screen.columns.get(name.upper(), name.upper())
    if name not in {*screen.left, *screen.keys, *screen.columns.values()}:
        raise Refused("unknown_key", name=name)
    if not wanted:
        return bool  # every row is something
    if wildcards and "*" in wanted:
        pattern = re.compile(".*".join(map(re.escape, wanted.split("*"))), re.DOTALL)
        return lambda row: pattern.fullmatch(written(row.get(name))) is not None
    return lambda row: written(row.get(name)) == wanted


def _action(call: Call, key: Key) -> str:
    code = call.asked.texts["actionCode"].strip()
    call.books.action(call.publication.target, code, call.free(key), by="api")
    call.done(key)
    return call.shown(key)


def _action_object(call: Call) -> str:
    given = call.payload(call.asked.texts["objectXml"]).fields
    missing = next((name for name in call.screen.keys if not given.get(name)), None)
    if missing is not None:
        raise Refused("no_key", name=missing)
    return _action(call, tuple(str(given[name]) for name in call.screen.keys))


def _action_keys(call: Call) -> str:
    return _action(call, call.key())


def _insert_lines(call: Call) -> str:
    key, block = call.free(call.key()), call.asked.texts["blocKey"].strip()
    grid = call.screen.block(block)
    if grid is None or grid.dim == 1:
        raise Refused("unknown_group", id=block)
    given = call.payload(call.asked.texts["lineXml"])
    lines = [(0, fields) for _, fields in given.grids.get(grid.grid, [])]
    if not lines:
        raise Refused("no_lines")
    call.books.modify(call.publication.target, key, Given(grids={grid.grid: lines}), by="api")
    call.done(key)
    return call.shown(key)


def _delete_lines(call: Call) -> str:
    key, block = call.free(call.key()), call.asked.texts["blocKey"].strip()
    grid, books, target = call.screen.block(block), call.books, call.publication.target
    if grid is None or grid.grid != "lines" or target not in {"SIH", "BIC", "PAY"}:
        raise Refused("unknown_group", id=block)
    if not call.asked.lines or not all(n.isdecimal() for n in call.asked.lines):
        raise Refused("not_a_number", name="lineKeys", value=",".join(call.asked.lines)[:40])
    numbers = {int(n) for n in call.asked.lines}
    with books.changing("api"):
        row = books.existing(target, key)
        remove = payments.remove_lines if target == "PAY" else invoices.remove_lines
        remove(books, row, numbers)
    call.done(key)
    return call.shown(key)


def _run(call: Call) -> str:
    text, name = call.asked.texts["inputXml"], call.publication.target
    call.books.work()
    told = subprograms.run(call.books, name, text, as_json=call.as_json, language=call.language)
    call.books.work()
    return told


def _describe(call: Call) -> str:
    codes = actions(call.books, call.publication.target) if call.publication.kind == "object" else ()
    return descriptions.described(call.publication, call.books.switches, codes)


def _schema(call: Call) -> str:
    return descriptions.schema(call.publication, call.books.switches)


_OPERATIONS: dict[str, Callable[[Call], str]] = {
    "run": _run,
    "save": _save,
    "read": _read,
    "query": _query,
    "modify": _modify,
    "delete": _delete,
    "actionObject": _action_object,
    "actionObjectKeys": _action_keys,
    "insertLines": _insert_lines,
    "deleteLines": _delete_lines,
    "getDescription": _describe,
    "getDataXmlSchema": _schema,
}
