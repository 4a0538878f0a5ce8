"""Where a run can be killed: the boundaries of a process, named from outside. Nothing in the product knows of them.

A boundary is before or after something that others can see: a commit (named by the tables that it changes), a statement
that changes a table's form, a request (before it leaves, once it left, after its answer), a file that is written, renamed
or removed. `install` patches the libraries of this process, which is thrown away afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CHANGES = re.compile(r'^\s*(?:INSERT (?:OR \w+ )?INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
_FORM = re.compile(r"^\s*(?:CREATE|ALTER|DROP)\s", re.IGNORECASE)
_KINDS = (".manifest.json.memory", ".manifest.json", ".import.csv", ".jsonl", ".secret")


class Points:
    """Counts the boundaries that are passed, writes them to `trace`, and dies at the nth of that name."""

    def __init__(self, name: str, nth: int, trace: int) -> None:
        self.name, self.nth, self.trace = name, nth, trace
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def hit(self, name: str) -> None:
        with self.lock:
            os.write(self.trace, f"{name}\n".encode())
            self.seen[name] += 1
            if name == self.name and self.seen[name] == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)


def install(points: Points) -> None:
    _commits(points)
    _requests(points)
    _files(points)
    _leases(points)


def _around(owner: Any, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    inner = getattr(owner, name)

    def around(*args: Any, **more: Any) -> Any:
        before(*args, **more)
        done = inner(*args, **more)
        after(*args, **more)
        return done

    setattr(owner, name, around)


def _commits(points: Points) -> None:
    import sqlalchemy as sa
    from sqlalchemy.engine.default import DefaultDialect

    mine = threading.local()

    def statement(_db: Any, _cursor: Any, text: str, *_: Any) -> None:
        if found := _CHANGES.match(text):
            mine.tables = {*getattr(mine, "tables", ()), found[1]}
        elif _FORM.match(text):
            points.hit("change of form")
            mine.tables = {*getattr(mine, "tables", ()), "form"}

    def label() -> str:
        tables = getattr(mine, "tables", set())
        return "+".join(sorted(tables - {"audit_event"} or tables))

    def before(*_: Any) -> None:
        if label():
            points.hit(f"before commit of {label()}")

    def after(*_: Any) -> None:
        name, mine.tables = label(), set()
        if name:
            points.hit(f"after commit of {name}")

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.engine.Engine, "rollback", lambda _db: setattr(mine, "tables", set()))
    _around(DefaultDialect, "do_commit", before, after)


def _requests(points: Points) -> None:
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection

    mine = threading.local()

    def before(_adapter: Any, request: Any, *_: Any, **__: Any) -> None:
        path = urlsplit(request.url).path.rstrip("/")
        what = "token" if path.endswith("bearer") else path.rsplit("/", 1)[-1]
        mine.name = f"{request.method} {'one record' if what.isdigit() else what}"
        points.hit(f"before {mine.name}")

    def after(*_: Any, **__: Any) -> None:
        points.hit(f"after {mine.name}")

    def sent(*_: Any, **__: Any) -> None:
        points.hit(f"sent {mine.name}")

    _around(HTTPAdapter, "send", before, after)
    _around(HTTPConnection, "getresponse", sent, lambda *_, **__: None)


def _kind(path: Any) -> str:
    """What sort of file it is; "" for one that no boundary is made of."""
    name, folder = Path(os.fsdecode(path)).name, Path(os.fsdecode(path)).parent.name
    if folder == "emitted":
        return "outbox memory"
    return next((kind for kind in _KINDS if name.endswith(kind) or f"{kind}." in name), "")


def _files(points: Points) -> None:
    def at(word: str) -> Callable[..., None]:
        def note(source: Any, target: Any = None, **_: Any) -> None:
            if kind := _kind(target if target is not None else source):
                points.hit(f"{word} {kind}")

        return note

    for name in ("rename", "replace"):
        _around(os, name, at("before rename of"), at("after rename of"))

    def descriptor(fd: Any) -> str:
        return _kind(Path(f"/proc/self/fd/{fd}").readlink())

    def before(fd: Any) -> None:
        if kind := descriptor(fd):
            points.hit(f"before sync of {kind}")

    def after(fd: Any) -> None:
        if kind := descriptor(fd):
            points.hit(f"after sync of {kind}")

    _around(os, "fsync", before, after)


def _leases(points: Points) -> None:
    from tieout.sync.store import Store

    _around(
        Store,
        "renew",
        lambda *_: points.hit("before renewal of a lease"),
        lambda *_: points.hit("after renewal of a lease"),
    )
