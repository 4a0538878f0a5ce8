"""Tables that know how to go back: every write of a refused call is undone. Rows are never changed in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Doc = dict[str, Any]
Key = tuple[str, ...]
_REFERENCES = {"SINVOICE": ("BPR", "REFERENCE"), "GACCDUDATE": ("BPR", "NUM"), "PAYMENTH": ("BPR",)}


class Store:
    """Rows by table and key, in the order of entry, with indexes on a few columns."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, dict[Key, Doc]] = defaultdict(dict)
        self._indexes: defaultdict[tuple[str, str, Any], dict[Key, None]] = defaultdict(dict)
        self._undo: list[tuple[str, Key, Doc | None]] = []

    def get(self, table: str, *key: str) -> Doc | None:
        return self.tables[table].get(key)

    def rows(self, table: str) -> Iterator[Doc]:
        return iter(list(self.tables[table].values()))

    def by(self, table: str, column: str, value: Any) -> list[Doc]:
        """Rows whose indexed column has the value, in order of entry."""
        return [self.tables[table][key] for key in self._indexes[table, column, value]]

    def put(self, table: str, key: Key, row: Doc | None) -> None:
        """Writes a row; None removes it."""
        self._undo.append((table, key, self._set(table, key, row)))

    def _set(self, table: str, key: Key, row: Doc | None) -> Doc | None:
        rows = self.tables[table]
        old = rows.pop(key, None) if row is None else rows.get(key)
        if row is not None:
            rows[key] = row
        for column in _REFERENCES.get(table, ()):
            before, after = (r.get(column) if r is not None else None for r in (old, row))
            if before != after or (old is None) != (row is None):
                if old is not None:
                    self._indexes[table, column, before].pop(key, None)
                if row is not None:
                    self._indexes[table, column, after][key] = None
        return old

    def touched(self) -> set[tuple[str, Key]]:
        """Table and key of what was written since the last `keep`."""
        return {(table, key) for table, key, _ in self._undo}

    def keep(self) -> None:
        """What was written is kept for good."""
        self._undo.clear()

    def back(self) -> None:
        """What was written since the last `keep` is undone."""
        while self._undo:
            self._set(*self._undo.pop())
