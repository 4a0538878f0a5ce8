"""The sandbox running: in a thread for tests and demos, or in the foreground for the command line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tieout.sandbox.faults import Faults, control, listening

from .app import CLIENT, REALM, SECRET, Site, application
from .books import Books
from .encode import dumps
from .faults import Refused
from .oauth import Authority
from .switches import Switches


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers. `refresh_token` is one already consented to; `token()` a fresh access token."""

    base_url: str
    realm: str
    books: Books
    faults: Faults
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    authority: Authority = field(repr=False)

    def token(self) -> str:
        return self.authority.token()


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client has to present. refresh_token: one that is consented to already; "" for a random one.

    any_client: whatever a client brings is taken: its id and secret, its company id, its tokens.
    """

    realm: str = REALM
    client_id: str = CLIENT
    client_secret: str = field(default=SECRET, repr=False)
    refresh_token: str = field(default="", repr=False)
    any_client: bool = field(default=False, kw_only=True)


@contextlib.contextmanager
def running(
    books: Books, *, faults: Faults | None = None, port: int = 0, registration: Registration | None = None
) -> Iterator[Running]:
    """Serves the books on 127.0.0.1 until the `with` ends; port 0 takes a free one.

    registration: for clients that bring their own realm, client and token.
    A broken invariant answers 500 to its request and is raised (AssertionError) when the `with` ends.
    """
    faults = faults or Faults()
    told = registration or Registration()
    authority = Authority(
        books.switches, books.now, told.realm, told.client_id, told.client_secret, any_client=told.any_client
    )
    refresh = authority.connect(told.refresh_token)
    site = Site(books, authority)
    with listening(application(site, faults), port=port) as bound:
        url = f"http://127.0.0.1:{bound}"
        yield Running(url, told.realm, books, faults, told.client_id, told.client_secret, refresh, authority)
    if site.broken:
        raise site.broken[0]


def controls(running: Running) -> dict[str, Callable[[Any], Any]]:
    """What the control port offers beside faults and log: act as a person, match a bank transaction, pay out a
    payment, read the truth, sign out.
    """

    def act(body: Any) -> Any:
        if body is None:
            return {"entities": sorted(running.books.tables)}
        try:
            done = running.books.apply(body["entity"], body["operation"], body["payload"])
        except Refused as refused:
            return {"Fault": refused.fault()}
        return _plain(done)

    def effects(_: Any) -> Any:
        return [
            {"seq": e.seq, "at": e.at.isoformat(), "entity": e.entity, "op": e.op, "id": e.id}
            | {"requestid": e.requestid, "note": e.note, "by": e.by}
            for e in running.books.effects
        ]

    def match(body: Any) -> Any:
        try:
            running.books.match(body["entity"], body["id"])
        except Refused as refused:
            return {"Fault": refused.fault()}
        return {"ok": True}

    def pay_out(body: Any) -> Any:
        try:
            running.books.pay_out(body["id"])
        except Refused as refused:
            return {"Fault": refused.fault()}
        return {"ok": True}

    def check(_: Any) -> Any:
        running.books.check()
        return {"ok": True}

    def sign_out(body: Any) -> Any:
        running.authority.revoke_all() if (body or {}).get("revoke") else running.authority.expire_access()
        return {"ok": True}

    return {
        "act": act,
        "match": match,
        "pay-out": pay_out,
        "effects": effects,
        "check": check,
        "sign-out": sign_out,
    }


def _plain(doc: Any) -> Any:
    import json  # noqa: PLC0415  (numbers become floats here: only for people at the control port)

    return json.loads(dumps(doc))


def serve(
    *,
    port: int = 8765,
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
        echo(f"base_url       {live.base_url}")
        echo(f"discovery      {live.base_url}/.well-known/openid_sandbox_configuration")
        echo(f"realm          {live.realm}")
        echo(f"client_id      {live.client_id}")
        echo(f"client_secret  {live.client_secret}")
        echo(f"refresh_token  {live.refresh_token}")
        echo(f"control        http://127.0.0.1:{at}/_control/")
        with contextlib.suppress(KeyboardInterrupt):
            stop.wait()
