"""Comparisons made once: thousands of schedules come by the same two ledgers, and a comparison depends on nothing else.

It is looked up twice. First by the books, which takes no time; then by the rows that they become in the tables of the
comparison, which are all that it is made from: much of what books say differs without a trace there. Subjects count by
their order, and so do texts that people enter: which ones they are, a comparison only passes on. Every fiftieth schedule
of `run` does without, so that a key that lacks something would show. The processes of a `run` share what they know (`shared`).

The other tests look it up by the rows alone, in their order, and every twentieth of them does without (`tests/conftest.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from tieout import compare
from tieout.compare.inputs import tables
from tieout.model import Entity, as_json
from tieout.sync.inputs.links import Relation, joined
from tieout.sync.state.book import Book
from tieout.sync.store import loads

_KNOWN: dict[bytes, bytes] = {}
_OF_ROWS: dict[bytes, bytes] = {}
_PLAIN: dict[str | None, str] = {}
_SUBJECT = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_ENTERED = re.compile(r"\bby hand \d+")
MOST = 50_000
_SHARED: list[Path] = []
_FRESH = Relation.fresh
_INSERT = tables.insert
_NOTING = threading.local()  # rows: where this thread notes what it would insert; None while it inserts


class _Asked:
    """A relation that is made only if what is asked of it is not known."""

    def __init__(self, relation: Relation, kw: dict[str, Any], loaded: dict[tuple[str, str], Any]) -> None:
        """loaded: the rows of the tables of this relation, as it was made last, by side and table"""
        self.relation, self.kw, self.loaded = relation, kw, loaded

    def key(self) -> str:
        """All that the relation is made from: but not the versions of records, of which it holds none."""
        said: list[Any] = []
        both = joined(self.relation.books)
        kept = self.kw.get("kept")
        for which, book in self.relation.books.items():
            told = [key for key in sorted(book.stated) if book.stands(key) and kept and kept(which, book.held[key])]
            said.append((which, told, sorted(book.stated)))
            plain = _plain(book)
            for key, sight in book.held.sights.items():
                subject = book.subjects.get(key, "")
                link = subject if subject in both else ""
                seen = plain.get(sight.hash, sight.hash), sight.existence, sight.dropped, sight.error, sight.absences
                said.append((str(key[0]), key[1], seen, link))
            for key in sorted(book.held.changed):
                held = book.held.changed[key]
                record = _without_version(as_json(held.record)) if held.record is not None else None
                subject = book.subjects.get(key, "")
                link = subject if subject in both else ""
                said.append((str(key[0]), key[1], record, held.existence, held.error, held.dropped, link))
        rest = {k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in self.kw.items() if k != "kept"}
        return repr((said, sorted(rest.items())))

    def made(self, *, ordered: bool = False) -> tuple[Any, str]:
        """The relation, of which nothing is in the database yet, and what will be in its tables.

        A large one, which is not filled by record, is in the database, and of its tables nothing is told.
        """
        _NOTING.rows = self.loaded
        try:
            con = _FRESH(self.relation, **self.kw)
        finally:
            _NOTING.rows = None
        if not isinstance(con, tables.Shared):
            return con, ""
        rows = ((table, map(repr, rows)) for table, rows in sorted(self.loaded.items()))
        return con, repr([(table, list(texts) if ordered else sorted(texts)) for table, texts in rows])

    def filled(self, con: Any) -> Any:
        for (side, table), rows in self.loaded.items():
            _INSERT(con, side, table, rows)
        return con


def _noted_or_inserted(con: Any, side: str, table: str, rows: Any) -> None:
    noted = getattr(_NOTING, "rows", None)
    if noted is None:
        _INSERT(con, side, table, rows)
    else:
        noted[(side, table)] = rows


def _without_version(record: dict[str, Any]) -> str:
    return repr(record | {"ref": {k: v for k, v in record["ref"].items() if k != "version"}})


def _plain(book: Book) -> dict[str | None, str]:
    """What records are but for their versions, by the hash that the state has of them."""
    if any(s.hash not in _PLAIN for s in book.held.sights.values()):
        for entity in Entity:
            for record in map(loads, book.lines(entity)):
                _PLAIN[book.held.sights[(entity, record["ref"]["id"])].hash] = _without_version(record)
    return _PLAIN


@contextlib.contextmanager
def remembered(*, by_books: bool = True) -> Iterator[None]:
    """Let comparisons and matches be looked up while this lasts. by_books: by these, too, and by rows in any order"""
    run, match, match_customers = compare.run, compare.match, compare.match_customers
    loaded: dict[int, tuple[Relation, dict[tuple[str, str], Any]]] = {}
    look = _by_books if by_books else _by_rows

    def asked(self: Relation, **kw: Any) -> Any:
        return _Asked(self, kw, loaded.setdefault(id(self), (self, {}))[1])

    def run_once(con: _Asked, *ledgers: Any, **kw: Any) -> Any:
        plain = {k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in kw.items()}
        return look(con, repr((ledgers, sorted(plain.items()))), lambda made: run(made, *ledgers, **kw))

    def match_once(con: _Asked) -> Any:
        return look(con, "match", match)

    def match_customers_once(con: _Asked) -> Any:
        return look(con, "match customers", match_customers)

    with (
        mock.patch.object(Relation, "fresh", asked),
        mock.patch.object(tables, "insert", _noted_or_inserted),
        mock.patch.object(compare, "run", run_once),
        mock.patch.object(compare, "match", match_once),
        mock.patch.object(compare, "match_customers", match_customers_once),
    ):
        yield


def _by_books(con: _Asked, how: str, make: Callable[[Any], Any]) -> Any:
    """What is known of the same question about the same books, or else about the same rows."""
    return _known(_KNOWN, con.key() + how, lambda: _by_rows(con, how, make, ordered=False))


def _by_rows(con: Any, how: str, make: Callable[[Any], Any], *, ordered: bool = True) -> Any:
    """What is known of the same question about the same rows. con: a database of its own (of a command, say) is asked"""
    made, rows = con.made(ordered=ordered) if isinstance(con, _Asked) else (con, "")
    return _known(_OF_ROWS, rows + how, lambda: make(con.filled(made))) if rows else make(made)


def _known(known: dict[bytes, bytes], asked: str, make: Callable[[], Any]) -> Any:
    """What is known of the same question about other subjects in the same order, with these in their places."""
    places = {subject: f"{n:036d}" for n, subject in enumerate(sorted(set(_SUBJECT.findall(asked))))}
    entered = sorted(set(_ENTERED.findall(asked)))
    if all(len(text) == len("by hand 1") for text in entered):
        places |= {text: f"by hand {chr(ord('A') + n)}" for n, text in enumerate(entered)}
    plain = _ENTERED.sub(lambda found: places.get(found[0], found[0]), asked)
    key = hashlib.sha256(_SUBJECT.sub(lambda found: places[found[0]], plain).encode()).digest()
    if key not in known:
        if len(known) >= MOST:
            known.clear()
            _PLAIN.clear()
        made = _of_others(_which(known), key)
        if made is None:
            made = pickle.dumps(make())
            for subject, place in places.items():
                made = made.replace(subject.encode(), place.encode())
            assert not _SUBJECT.search(made.decode("latin-1")), "a comparison speaks of a subject it was not asked of"
            _told(_which(known), key, made)
        known[key] = made
    made = known[key]
    for subject, place in places.items():
        made = made.replace(place.encode(), subject.encode())
    return pickle.loads(made)  # our own bytes


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Let this process and those that it forks look up what any of them knows, while this lasts."""
    with tempfile.TemporaryDirectory() as folder:
        _SHARED.append(Path(folder) / "known.sqlite")
        try:
            yield
        finally:
            _SHARED.pop()


@cache
def _shelf(path: Path, _process: int) -> sqlite3.Connection:
    """Of each process one: a connection is not carried over a fork. What a crash of the machine loses is made anew."""
    db = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = OFF",
        "CREATE TABLE IF NOT EXISTS known (of_what TEXT, key BLOB, made BLOB, PRIMARY KEY (of_what, key)) WITHOUT ROWID",
    ):
        db.execute(statement)
    return db


def _which(known: dict[bytes, bytes]) -> str:
    return "rows" if known is _OF_ROWS else "books"


def _of_others(of_what: str, key: bytes) -> bytes | None:
    if not _SHARED:
        return None
    row = _shelf(_SHARED[-1], os.getpid()).execute(
        "SELECT made FROM known WHERE of_what = ? AND key = ?", (of_what, key)
    )
    found = row.fetchone()
    return found[0] if found else None


def _told(of_what: str, key: bytes, made: bytes) -> None:
    if _SHARED:
        _shelf(_SHARED[-1], os.getpid()).execute("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", (of_what, key, made))
