"""Comparisons made once: thousands of schedules come by the same two ledgers, and a comparison depends on nothing else.

The key is all that a comparison is made from. Every fiftieth schedule of `run` does without, so that a key that lacks
something would show.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tieout import compare
from tieout.model import as_json
from tieout.sync.links import Relation, joined

_KNOWN: dict[str, Any] = {}
MOST = 50_000


class _Asked:
    """A relation that is made only if what is asked of it is not known."""

    def __init__(self, relation: Relation, kw: dict[str, Any]) -> None:
        self.relation, self.kw = relation, kw

    def key(self) -> str:
        out = hashlib.sha256()
        both = joined(self.relation.books)
        kept = self.kw.get("kept")
        for which, book in self.relation.books.items():
            told = [key for key in sorted(book.stated) if book.stands(key) and kept and kept(which, book.held[key])]
            out.update(repr((which, told, sorted(book.stated))).encode())
            for key, sight in book.held.sights.items():
                subject = book.subjects.get(key, "")
                link = subject if subject in both else ""
                seen = sight.hash, sight.existence, sight.dropped, sight.error, sight.absences
                out.update(repr((str(key[0]), key[1], seen, link)).encode())
            for key in sorted(book.held.changed):
                held = book.held.changed[key]
                record = as_json(held.record) if held.record is not None else None
                subject = book.subjects.get(key, "")
                link = subject if subject in both else ""
                out.update(repr((str(key[0]), key[1], record, held.existence, held.error, held.dropped, link)).encode())
        rest = {k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in self.kw.items() if k != "kept"}
        out.update(repr(sorted(rest.items())).encode())
        return out.hexdigest()


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


def _look(key: str, make: Any) -> Any:
    if key not in _KNOWN:
        if len(_KNOWN) >= MOST:
            _KNOWN.clear()
        _KNOWN[key] = make()
    return _KNOWN[key]
