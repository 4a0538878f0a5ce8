"""Misbehaviour on purpose, for any HTTP sandbox: slow, refusing, lying and broken answers, and a log of requests.

A rule fires on the n-th request that matches it, before or after the application has done its work; "after" with
`drop` is the answer that never arrives although the work is stored. Rules are armed in process (`Faults.arm`) or
over the control port (`control`), as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from tieout.errors import ConfigError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Kind = Literal["latency", "answer", "drop", "truncate", "quirk"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A ready answer for an `answer` rule: status, headers (name, value), body."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)


@dataclass(frozen=True, slots=True)
class Rule:
    """When to misbehave and how. Empty texts match everything.

    kind: latency (wait `seconds`) · answer (say `form`, or `status` with `body`) · drop (close without an answer) ·
    truncate (send `keep` of the body: announcing the whole and closing, or, with `announce` part, as if it were all) ·
    quirk (the application itself misbehaves as `form` says, where its sandbox knows how)
    when: before or after the application has worked; truncate is always after
    method, path (regular expression, searched), entity, operation, contains (in the body): what it matches
    nth: the first matching request it fires on, from 1 · times: for how many of them, 0 for ever
    every: from the nth on, only each so-manieth (with times 0: for ever)
    form: a named answer or quirk of the sandbox, such as `throttle` · keep: share of the body, 0 to 1
    """

    kind: Kind
    when: Literal["before", "after"] = "before"
    method: str = ""
    path: str = ""
    entity: str = ""
    operation: str = ""
    contains: str = ""
    nth: int = 1
    times: int = 1
    every: int = 1
    seconds: float = 0.0
    form: str = ""
    status: int = 503
    body: str = ""
    content_type: str = "text/html"
    keep: float = 0.5
    announce: Literal["whole", "part"] = "whole"
    id: int = 0

    def matches(self, call: Call, body: bytes) -> bool:
        return (
            (not self.method or self.method.upper() == call.method)
            and (not self.path or re.search(self.path, call.path) is not None)
            and (not self.entity or self.entity.lower() == call.entity.lower())
            and (not self.operation or self.operation.lower() == call.operation.lower())
            and (not self.contains or self.contains.encode() in body)
        )


@dataclass(slots=True)
class Call:
    """One request as the log keeps it. `status` 0: none was sent. `fired`: ids of the rules that acted."""

    seq: int
    at: datetime
    method: str
    path: str
    query: str
    entity: str = ""
    operation: str = ""
    requestid: str = ""
    status: int = 0
    fired: list[int] = field(default_factory=list)


Classify = Callable[[str, str, str, bytes], tuple[str, str, str]]


class Faults:
    """The rules of one sandbox and the log of what was asked of it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}
        self._seen: dict[int, int] = {}
        self._log: list[Call] = []
        self._next = 1

    def arm(self, kind: Kind, **how: Any) -> Rule:
        """Adds a rule (fields of Rule); returns it with its id. Raises ConfigError for a field there is not."""
        known = {f.name for f in fields(Rule)} - {"id", "kind"}
        if kind not in get_args(Kind) or set(how) - known:
            wrong = ", ".join(sorted(set(how) - known)) or kind
            raise ConfigError(f"no such fault: {wrong}", hint=f"fields: {', '.join(sorted(known))}")
        with self._lock:
            rule = Rule(kind, **how, id=self._next)
            self._next += 1
            self._rules[rule.id] = rule
            self._seen[rule.id] = 0
            return rule

    def disarm(self, id: int | None = None) -> None:
        """Removes one rule, or all of them."""
        with self._lock:
            for gone in [id] if id is not None else list(self._rules):
                self._rules.pop(gone, None)

    @property
    def rules(self) -> tuple[Rule, ...]:
        with self._lock:
            return tuple(self._rules.values())

    @property
    def log(self) -> tuple[Call, ...]:
        """Every request so far, in order."""
        with self._lock:
            return tuple(self._log)

    def forget(self) -> None:
        """Empties the log."""
        with self._lock:
            self._log.clear()

    def enter(self, method: str, path: str, query: str, kind: tuple[str, str, str]) -> Call:
        with self._lock:
            call = Call(len(self._log) + 1, datetime.now(UTC), method, path, query, *kind)
            self._log.append(call)
            return call

    def firing(self, call: Call, body: bytes) -> list[Rule]:
        """The rules that act on this request; counts it for every rule it matches."""
        with self._lock:
            acting = []
            for rule in self._rules.values():
                if not rule.matches(call, body):
                    continue
                self._seen[rule.id] += 1
                n, off = divmod(self._seen[rule.id] - rule.nth, rule.every)
                if n >= 0 and not off and (rule.times == 0 or n < rule.times):
                    acting.append(rule)
                    call.fired.append(rule.id)
            return acting


def wrap(app: App, faults: Faults, classify: Classify, forms: Mapping[str, Callable[[], Answer]]) -> App:
    """The application under its faults. `forms` makes the named answers; a name without one answers 500."""

    async def under_faults(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        body = await _body(receive)
        call = faults.enter(method, path, query, classify(method, path, query, body))
        rules = faults.firing(call, body)
        scope["tieout.quirks"] = [r for r in rules if r.kind == "quirk"]
        rules = [r for r in rules if r.kind != "quirk"]
        if await _act([r for r in rules if r.when == "before" and r.kind != "truncate"], forms, call, scope, send):
            return
        replay = _replay(body, receive)
        if not any(r.when == "after" or r.kind == "truncate" for r in rules):
            await app(scope, replay, _watched(call, send))
            return
        sent: list[Message] = []

        async def hold(message: Message) -> None:
            sent.append(message)

        await app(scope, replay, hold)
        late = [r for r in rules if r.when == "after" and r.kind != "truncate"]
        if await _act(late, forms, call, scope, send):
            return
        call.status = next((m["status"] for m in sent if m["type"] == "http.response.start"), 0)
        cut = next((r for r in rules if r.kind == "truncate"), None)
        if cut is None:
            for message in sent:
                await send(message)
        else:
            await _truncated(sent, cut, scope, receive, send)

    return under_faults


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _watched(call: Call, send: Send) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            call.status = message["status"]
        await send(message)

    return watched


async def _act(
    rules: list[Rule],
    forms: Mapping[str, Callable[[], Answer]],
    call: Call,
    scope: MutableMapping[str, Any],
    send: Send,
) -> bool:
    """Carries the rules out in order; True when one of them has answered or closed."""
    for rule in rules:
        if rule.kind == "latency":
            await asyncio.sleep(rule.seconds)
        elif rule.kind == "drop":
            scope["tieout.transport"].abort()
            return True
        else:
            made = _made(rule, forms)
            call.status = made.status
            headers = [(k.lower().encode(), v.encode()) for k, v in made.headers]
            headers.append((b"content-length", str(len(made.body)).encode()))
            await send({"type": "http.response.start", "status": made.status, "headers": headers})
            await send({"type": "http.response.body", "body": made.body})
            return True
    return False


def _made(rule: Rule, forms: Mapping[str, Callable[[], Answer]]) -> Answer:
    if not rule.form:
        return Answer(rule.status, rule.body.encode(), (("Content-Type", rule.content_type),))
    make = forms.get(rule.form)
    return make() if make else Answer(500, f"no such form: {rule.form}".encode())


async def _truncated(
    sent: list[Message], cut: Rule, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    start = next(m for m in sent if m["type"] == "http.response.start")
    body = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    headers = [h for h in start["headers"] if h[0].lower() not in {b"content-length", b"transfer-encoding"}]
    part = body[: int(len(body) * cut.keep)]
    whole = cut.announce == "whole"
    headers.append((b"content-length", str(len(body if whole else part)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": part, "more_body": whole})
    if not whole:
        return
    scope["tieout.transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol that lets a fault reach the connection, as scope["tieout.transport"]."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner: Any = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["tieout.transport"] = transport
            await inner(scope, receive, send)
            if transport.is_closing():  # dropped on purpose: nothing may be answered into it
                self.cycle.response_started = self.cycle.response_complete = True

        self.app = app


class Server(uvicorn.Server):
    """A uvicorn server for a thread: no signal handlers, and an end that waits for nothing but answers under way.

    uvicorn itself looks every tenth of a second whether to end, and then waits as long again.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        """From another thread: take no more requests, drop what is not answered within a tenth of a second."""
        self.should_exit = self.force_exit = True
        if self._loop is not None:  # else it is about to look
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._asked.set)

    async def main_loop(self) -> None:
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # which sets the date of answers
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for taking in (*self.servers, *(sockets or ())):
            taking.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=0.1)


@contextlib.contextmanager
def listening(app: App, *, port: int = 0) -> Iterator[int]:
    """Runs an application on 127.0.0.1 in a thread of its own; yields the port. Port 0 takes a free one.

    Raises ConfigError for a port that is taken.
    """
    try:
        sock = socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(
            f"port {port} of 127.0.0.1 cannot be used: {why}",
            hint="end what uses it, or choose another --port; 0 takes a free one",
        ) from error
    # Head and body of an answer go out as two packets; without this the second waits 40 ms for the first one's receipt.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="sandbox", daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.end()
        thread.join(timeout=10)
        sock.close()


def control(faults: Faults, extra: Mapping[str, Callable[[Any], Any]] | None = None) -> Starlette:
    """The control application: `/_control/faults` (GET, POST, DELETE), `/_control/log` (GET, DELETE).

    `extra` adds `/_control/NAME`: its function gets the JSON body (None on GET) and returns JSON.
    """

    async def rules(request: Request) -> Response:
        if request.method == "POST":
            try:
                given = json.loads(await request.body())
                armed = [faults.arm(**one) for one in (given if isinstance(given, list) else [given])]
            except (ValueError, TypeError, ConfigError) as error:
                return JSONResponse({"error": str(error)}, 400)
            return JSONResponse([asdict(rule) for rule in armed], 201)
        if request.method == "DELETE":
            faults.disarm(int(request.query_params["id"]) if "id" in request.query_params else None)
        return JSONResponse([asdict(rule) for rule in faults.rules])

    async def log(request: Request) -> Response:
        if request.method == "DELETE":
            faults.forget()
        return JSONResponse([asdict(call) | {"at": call.at.isoformat()} for call in faults.log])

    def other(act: Callable[[Any], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                body = json.loads(await request.body()) if request.method == "POST" else None
                return Response(json.dumps(act(body), default=str), media_type="application/json")
            except (ValueError, TypeError, KeyError, ConfigError) as error:
                return JSONResponse({"error": str(error)}, 400)

        return answer

    routes = [
        Route("/_control/faults", rules, methods=["GET", "POST", "DELETE"]),
        Route("/_control/log", log, methods=["GET", "DELETE"]),
    ]
    routes += [Route(f"/_control/{n}", other(act), methods=["GET", "POST"]) for n, act in (extra or {}).items()]
    return Starlette(routes=routes)
