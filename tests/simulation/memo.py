"""Comparisons made once: thousands of schedules come by the same two ledgers, and a comparison depends on nothing else.

The key is all that a comparison is made from, with subjects by their order: which ones they are, it only passes on. Every fiftieth schedule of `run` does without, so that a key that lacks
something would show.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tieout import compare
from tieout.model import Entity, as_json
from tieout.sync.book import Book
from tieout.sync.links import Relation, joined
from tieout.sync.store import loads

_KNOWN: dict[bytes, bytes] = {}
_PLAIN: dict[str | None, str] = {}
_SUBJECT = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
MOST = 50_000


class _Asked:
    """A relation that is made only if what is asked of it is not known."""

    def __init__(self, relation: Relation, kw: dict[str, Any]) -> None:
        self.relation, self.kw = relation, kw

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
def remembered() -> Iterator[None]:
    """Let comparisons and matches be looked up while this lasts."""
    fresh, run, match = Relation.fresh, compare.run, compare.match

    def asked(self: Relation, **kw: Any) -> Any:
        return _Asked(self, kw)

    def run_once(con: Any, **kw: Any) -> Any:
        plain = {k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in kw.items()}
        return _look(con.key() + repr(sorted(plain.items())), lambda: run(fresh(con.relation, **con.kw), **kw))

    def match_once(con: Any) -> Any:
        return _look("match" + con.key(), lambda: match(fresh(con.relation, **con.kw)))

    with (
        mock.patch.object(Relation, "fresh", asked),
        mock.patch.object(compare, "run", run_once),
        mock.patch.object(compare, "match", match_once),
    ):
        yield


def _look(asked: str, make: Callable[[], Any]) -> Any:
    """What is known of the same question about other subjects in the same order, with these in their places."""
    subjects = sorted(set(_SUBJECT.findall(asked)))
    places = {subject: f"{n:036d}" for n, subject in enumerate(subjects)}
    key = hashlib.sha256(_SUBJECT.sub(lambda found: places[found[0]], asked).encode()).digest()
    if key not in _KNOWN:
        if len(_KNOWN) >= MOST:
            _KNOWN.clear()
            _PLAIN.clear()
        made = pickle.dumps(make())
        for subject, place in places.items():
            made = made.replace(subject.encode(), place.encode())
        assert not _SUBJECT.search(made.decode("latin-1")), "a comparison speaks of a subject that it was not asked of"
        _KNOWN[key] = made
    made = _KNOWN[key]
    for subject, place in places.items():
        made = made.replace(place.encode(), subject.encode())
    return pickle.loads(made)  # our own bytes
