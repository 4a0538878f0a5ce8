"""The sandbox running: in a thread for tests and demos, or in the foreground for the command line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from tieout.sandbox.faults import Faults, control, listening

from .app import Registration, Site, application, renumbered
from .books import Books
from .contract import CALL_PATH, WSDL_PATH
from .faults import Refused
from .payload import shown
from .pool import Pool
from .switches import Switches


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers. `wsdl_url` and `endpoint` are what a client is given; the rest is for the test."""

    base_url: str
    user: str
    password: str = field(repr=False)
    pool: str
    books: Books
    faults: Faults
    site: Site = field(repr=False)

    @property
    def wsdl_url(self) -> str:
        return f"{self.base_url}{WSDL_PATH}?wsdl"

    @property
    def endpoint(self) -> str:
        return f"{self.base_url}{CALL_PATH}"

    @property
    def pools(self) -> dict[str, Pool]:
        return self.site.pools

    def renumber(self, name: str, blocks: Mapping[str, str]) -> None:
        """Gives blocks of a publication other ids, as a change of its entry transaction does."""
        renumbered(self.site, name, blocks)


@contextlib.contextmanager
def running(
    books: Books, *, faults: Faults | None = None, port: int = 0, registration: Registration | None = None
) -> Iterator[Running]:
    """Serves the books on 127.0.0.1 until the `with` ends; port 0 takes a free one.

    A broken invariant answers 500 to its request and is raised (AssertionError) when the `with` ends.
    """
    faults, told = faults or Faults(), registration or Registration()
    site = Site(books, told)
    with listening(application(site, faults), port=port) as bound:
        alias = next(iter(site.pools))
        yield Running(f"http://127.0.0.1:{bound}", told.user, told.password, alias, books, faults, site)
    if site.broken:
        raise site.broken[0]


def controls(running: Running) -> dict[str, Callable[[Any], Any]]:
    """What the control port offers beside faults and log: act as a person, read the truth, move the clock."""
    return {name: partial(answer, running) for name, answer in _CONTROLS.items()}


def _act(running: Running, body: Any) -> Any:
    operation, object = body["operation"], body["object"]
    key = tuple(body.get("key", ()))
    try:
        if operation == "save":
            key = running.books.save(object, body["payload"])
        elif operation == "modify":
            running.books.modify(object, key, body["payload"])
        elif operation == "delete":
            running.books.delete(object, key)
            return {"key": key}
        else:
            running.books.action(object, operation, key)
    except Refused as refused:
        return {"refused": str(refused)}
    return {"key": key, "object": _plain(running.books.read(object, *key))}


def _effects(running: Running, _: Any) -> Any:
    return [
        {"seq": e.seq, "at": e.at.isoformat(), "object": e.object, "op": e.op, "key": e.key}
        | {"reference": e.reference, "by": e.by}
        for e in running.books.effects
    ]


def _check(running: Running, _: Any) -> Any:
    running.books.check()
    return {"ok": True}


def _clock(running: Running, body: Any) -> Any:
    if body:
        running.books.forward(int(body["forward"]))
    return {"now": running.books.now().isoformat()}


def _tasks(running: Running, body: Any) -> Any:
    if body:
        (running.books.stop_tasks if body["stopped"] else running.books.start_tasks)()
    return {
        "stopped": running.books.tasks.stopped,
        "pending": [{"due": t.due.isoformat(), "kind": t.kind, "what": t.what} for t in running.books.tasks.pending],
        "failed": [{"kind": t.kind, "what": t.what, "why": why} for t, why in running.books.tasks.failed],
    }


def _period(running: Running, body: Any) -> Any:
    if body is not None:
        running.books.close_through(date.fromisoformat(body["closed_through"]) if body["closed_through"] else None)
    return {"closed_through": running.books.closed_through}


def _pools(running: Running, body: Any) -> Any:
    if body:
        pool = running.pools[body["alias"]]
        pool.width = int(body.get("width", pool.width))
        pool.children = int(body.get("children", pool.children))
        pool.stopped = bool(body.get("stopped", pool.stopped))
    return {p.alias: {"size": p.size, "peak": p.peak, "waited": p.waited} for p in running.pools.values()}


_CONTROLS: dict[str, Callable[[Running, Any], Any]] = {
    "act": _act,
    "effects": _effects,
    "check": _check,
    "clock": _clock,
    "tasks": _tasks,
    "period": _period,
    "pools": _pools,
}


def _plain(doc: Any) -> Any:
    if isinstance(doc, dict):
        return {k: _plain(v) for k, v in doc.items() if not k.isupper() or k not in {"PARTS", "REST"}}
    return [_plain(v) for v in doc] if isinstance(doc, (list, tuple)) else shown(doc)


def serve(
    *,
    port: int = 8124,
    control_port: int = 0,
    seed: str = "small",
    switches: tuple[str, ...] = (),
    registration: Registration | None = None,
    echo: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serves until `stop` is set or the process is interrupted; says where, through `echo`. Raises ConfigError."""
    books = Books(seed, Switches.parse(switches))
    stop = stop or threading.Event()
    with (
        running(books, port=port, registration=registration) as live,
        listening(control(live.faults, controls(live)), port=control_port) as at,
    ):
        echo(f"wsdl           {live.wsdl_url}")
        echo(f"endpoint       {live.endpoint}")
        echo(f"user           {live.user}")
        echo(f"password       {live.password}")
        echo(f"pool           {live.pool}")
        echo(f"services       {','.join(live.site.publications)}")
        echo(f"control        http://127.0.0.1:{at}/_control/")
        with contextlib.suppress(KeyboardInterrupt):
            stop.wait()
