"""The installation's books: what is stored, and the one way to change it.

Pure Python: no socket, no thread of its own, the clock is an argument. A call either changes everything it should or,
when it is refused, nothing.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from . import audit, customers, exports, invoices, journals, matching, payments, seeds, tasks
from .company import set_up
from .faults import Note, Refused
from .payload import Doc, Given, converted
from .screens import SCREENS
from .store import Key, Store
from .switches import Switches

_SPACE = uuid.UUID("6b1f3a62-90cf-4f0e-9a3a-2f6d41c0a7e5")


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of one object, as it truly happened; `before` is None on create, `after` None on delete.

    object: BPC, SIH, BIC, PAY, GAS or DUD (an open item)
    op: create, modify, delete, post, unpost, pay, match, cancel
    reference: INVREF, BPRVCR or REF, where a caller's marker may stand
    by: who wrote it: `user` (a person at a screen), `api` (a call), `system` (the task server)
    """

    seq: int
    at: datetime
    object: str
    op: str
    key: Key
    reference: str
    by: str
    before: Doc | None
    after: Doc | None


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the change feed, which is this sandbox's own: the object was written (or removed) at this tick."""

    tick: int
    at: datetime
    object: str
    key: Key
    gone: bool


class Books:
    """One installation. `save`, `modify`, `delete`, `action` change it, `read` and `rows` tell; thread-safe.

    seed: `small`, `empty` (no customers), or `generate:CUSTOMERS:INVOICES:SEED`; raises ConfigError for another.
    """

    def __init__(
        self,
        seed: str = "small",
        switches: Switches | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self.switches = switches or Switches()
        self.lock = threading.RLock()
        self.company = set_up(self.switches)
        self.store = Store()
        self.effects: list[Effect] = []
        self.changes: list[Change] = []
        self.closed_through: date | None = None
        self.tasks = tasks.Queue()
        self.requests = exports.Requests()
        self.warnings: list[Note] = []  # what the call that runs wants to be noticed, though it is done
        self.locks: dict[tuple[str, Key], str] = {}  # (object, key) -> the session, or whoever works on it
        self._clock, self._ahead = clock, timedelta(0)
        self._pinned: datetime | None = None
        self._moment: datetime | None = None
        self._by, self._user = "user", "ADMIN"
        seeds.plant(self, seed)
        self.effects.clear()
        self.check()

    # ---- time

    def now(self) -> datetime:
        """The server's time, to the second, UTC; it stands still inside a transaction."""
        if self._moment is not None:
            return self._moment
        return (self._pinned or self._clock() + self._ahead).astimezone(UTC).replace(microsecond=0)

    def today(self) -> date:
        return self.now().date()

    def forward(self, seconds: int) -> None:
        """Moves the books' clock ahead and lets the task server do what is due."""
        with self.lock:
            self._ahead += timedelta(seconds=seconds)
            self.work()

    def pin(self, moment: datetime | None) -> None:
        """Stops the books' clock at a moment; None lets it go again. Seeds use it to write history."""
        self._pinned = moment

    # ---- the task server

    def stop_tasks(self) -> None:
        """The accounting tasks stop: postings and matchings wait."""
        self.tasks.stopped = True

    def start_tasks(self) -> None:
        """The accounting tasks run again, and do what has become due."""
        self.tasks.stopped = False
        self.work()

    def work(self) -> None:
        """Does every task that is due, each in a transaction of its own; one that is refused is kept as failed."""
        with self.lock:
            while (task := self.tasks.due(self.now())) is not None:
                try:
                    with self.changing("system"):
                        tasks.do(self, task)
                except Refused as refused:
                    self.tasks.failed.append((task, str(refused)))

    # ---- reading

    def read(self, object: str, *key: str) -> Doc | None:
        """The stored object as its screen shows it; None where there is none."""
        with self.lock:
            screen = SCREENS[object]
            row = self.store.get(screen.table, *key)
            if row is None or not _is(object, row):
                return None
            return _VIEWS[object](self, row)

    def rows(self, object: str) -> list[Doc]:
        """Every object of the kind as its screen shows it, in the order of entry."""
        with self.lock:
            return [_VIEWS[object](self, row) for row in self.store.rows(SCREENS[object].table) if _is(object, row)]

    def open_items(self, bpr: str = "") -> list[Doc]:
        """The rows of GACCDUDATE, of one customer or all, closed ones too."""
        with self.lock:
            return self.store.by("GACCDUDATE", "BPR", bpr) if bpr else list(self.store.rows("GACCDUDATE"))

    # ---- writing

    def save(self, object: str, given: Given | Mapping[str, Any], *, by: str = "user") -> Key:
        """Enters a new object; returns its key. Raises Refused; then nothing changed."""
        with self.changing(by):
            return _RULES[object].create(self, self.given(object, given))

    def modify(self, object: str, key: Key, given: Given | Mapping[str, Any], *, by: str = "user") -> None:
        """Changes the fields and lines that are given. Raises Refused; then nothing changed."""
        with self.changing(by):
            row = self.existing(object, key)
            done = self.given(object, given)
            stamp = done.fields.pop("WW_MODSTAMP", "")
            if self.switches.modify_stamp == "checked" and stamp and stamp != modstamp(row):
                raise Refused("changed_since", key=key[-1], user=row["UPDUSR"])
            _RULES[object].modify(self, row, done)

    def delete(self, object: str, key: Key, *, by: str = "user") -> None:
        """Deletes an object for good. Raises Refused; then nothing changed."""
        with self.changing(by):
            _RULES[object].delete(self, self.existing(object, key))

    def action(self, object: str, code: str, key: Key, *, by: str = "user") -> None:
        """Presses a button of the object. Raises Refused; then nothing changed."""
        with self.changing(by):
            act = _RULES[object].actions(self).get(code)
            if act is None:
                raise Refused("no_action", code=code)
            act(self, self.existing(object, key))

    def match(self, bpr: str, parts: list[tuple[str, str, Any]], *, by: str = "user") -> None:
        """Matches open items of one customer, each (TYP, NUM, amount in its currency). Raises Refused."""
        with self.changing(by):
            matching.by_hand(self, bpr, parts)

    def given(self, object: str, given: Given | Mapping[str, Any]) -> Given:
        """Values of a mapping, typed; grids are lists of lines under their names, all of them new."""
        if isinstance(given, Given):
            return given
        screen, done = SCREENS[object], Given()
        for name, value in given.items():
            if name in screen.grids:
                known = screen.grids[name]
                done.grids[name] = [
                    (n, {k: converted(known[k], v) for k, v in line.items()}) for n, line in enumerate(value, 1)
                ]
            else:
                known_field = screen.heads[name]
                done.fields[name] = value if isinstance(value, list) else converted(known_field, value)
        return done

    def close_through(self, day: date | None) -> None:
        """Closes the periods through a day (inclusive), or opens all again with None."""
        with self.lock:
            self.closed_through = day

    def open_record(self, object: str, *key: str) -> None:
        """A person has the object open on his screen: calls cannot change it."""
        self.locks[object, key] = "a person"

    def close_record(self, object: str, *key: str) -> None:
        """The person has left."""
        self.locks.pop((object, key), None)

    # ---- what the rules use

    @contextlib.contextmanager
    def changing(self, by: str) -> Iterator[None]:
        """A transaction: what is written inside stands whole or not at all; invariants are checked at its end."""
        with self.lock:
            if by != "system":
                self.work()
                self.warnings = []
            before = self._by
            marks = (len(self.effects), len(self.changes), self.tasks.mark())
            self._by, self._moment = by, self.now()
            try:
                yield
                self.verify()
            except BaseException:
                self.store.back()
                del self.effects[marks[0] :]
                del self.changes[marks[1] :]
                self.tasks.back(marks[2])
                raise
            finally:
                self._by, self._moment = before, None
            self.store.keep()
            if by != "system":
                self.work()

    def existing(self, object: str, key: Key) -> Doc:
        """The stored row. Raises Refused."""
        row = self.store.get(SCREENS[object].table, *key)
        if row is None or not _is(object, row):
            raise Refused("no_record", object=object, key=" ".join(key))
        return row

    def write(self, object: str, op: str, key: Key, row: Doc | None) -> Doc | None:
        """Stores a row with its technical columns (None removes it) and logs the effect."""
        table = "GACCDUDATE" if object == "DUD" else SCREENS[object].table
        before = self.store.get(table, *key)
        after = None if row is None else self._stamped(key, row, before)
        self.store.put(table, key, after)
        shown = after or before or {}
        reference = str(shown.get("REFERENCE") or shown.get("REF") or "")
        at = self.now()
        self.effects.append(Effect(len(self.effects), at, object, op, key, reference, self._by, before, after))
        self.changes.append(Change(len(self.changes) + 1, at, object, key, after is None))
        return after

    def _stamped(self, key: Key, row: Doc, before: Doc | None) -> Doc:
        now, user = self.now(), "TASKS" if self._by == "system" else self._user
        old = before or {
            "CREDATTIM": now,
            "CREUSR": user,
            "AUUID": uuid.uuid5(_SPACE, " ".join((*key, now.isoformat()))).hex.upper(),
            "UPDTICK": 0,
        }
        kept = {"CREDATTIM": old["CREDATTIM"], "CREUSR": old["CREUSR"], "AUUID": old["AUUID"]}
        return {**row, **kept, "UPDDATTIM": now, "UPDUSR": user, "UPDTICK": old["UPDTICK"] + 1}

    def next_number(self, series: str) -> int:
        """The next number of a series, from 1; a refused document gives its number back."""
        row = self.store.get("ACODNUM", series) or {"n": 0}
        self.store.put("ACODNUM", (series,), {"n": row["n"] + 1})
        return int(row["n"]) + 1

    def check_period(self, *days: date) -> None:
        """Raises Refused for a day in a closed period."""
        for day in days:
            if self.closed_through is not None and day <= self.closed_through:
                raise Refused("closed_period", date=day.strftime("%d/%m/%Y"))

    def verify(self) -> None:
        """The cheap invariants, on what the transaction touched. Raises AssertionError."""
        audit.cheap(self)

    def check(self) -> None:
        """Every invariant, recomputed from the documents. Raises AssertionError."""
        with self.lock:
            audit.full(self)


def modstamp(row: Doc) -> str:
    """WW_MODSTAMP of a stored row."""
    return str(row["UPDDATTIM"].strftime("%Y%m%d%H%M%S"))


def _is(object: str, row: Doc) -> bool:
    return bool(row.get("OBJECT", object) == object)


@dataclass(frozen=True, slots=True)
class _Rules:
    create: Callable[[Books, Given], Key]
    modify: Callable[[Books, Doc, Given], None]
    delete: Callable[[Books, Doc], None]
    actions: Callable[[Books], dict[str, Callable[[Books, Doc], None]]]


def _nothing(books: Books) -> dict[str, Callable[[Books, Doc], None]]:
    del books
    return {}


_RULES = {
    "BPC": _Rules(customers.create, customers.modify, customers.delete, _nothing),
    "SIH": _Rules(invoices.create_sales, invoices.modify, invoices.delete, invoices.actions),
    "BIC": _Rules(invoices.create_ledger, invoices.modify, invoices.delete, invoices.actions),
    "PAY": _Rules(payments.create, payments.modify, payments.delete, payments.actions),
    "GAS": _Rules(journals.create, journals.modify, journals.delete, _nothing),
}


def actions(books: Books, object: str) -> tuple[str, ...]:
    """The codes of an object's buttons."""
    return tuple(_RULES[object].actions(books))


def _technical(books: Books, row: Doc) -> Doc:
    del books
    return {"WW_MODSTAMP": modstamp(row), "WW_MODUSER": row["UPDUSR"]}


_VIEWS: dict[str, Callable[[Books, Doc], Doc]] = {
    "BPC": lambda books, row: {**customers.view(books, row), **_technical(books, row)},
    "SIH": lambda books, row: {**invoices.view_sales(books, row), **_technical(books, row)},
    "BIC": lambda books, row: {**invoices.view_ledger(books, row), **_technical(books, row)},
    "PAY": lambda books, row: {**payments.view(books, row), **_technical(books, row)},
    "GAS": lambda books, row: {**journals.view(books, row), **_technical(books, row)},
}
