"""The HTTP face: the WSDL, sign-in, envelopes, pools, messages. State is in Books and the pools."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieout.sandbox.faults import Answer, App, Faults, wrap

from .answer import answer
from .books import Books
from .contract import CALL_PATH, OLD_PATH, WSDL_PATH
from .envelope import asked, fault, rendered
from .faults import Fault
from .pool import Pool
from .publications import Publication, standard
from .wsdl import ENCODING, ENCODING_PATH, wsdl

XML = "text/xml; charset=utf-8"
POOL, USER, PASSWORD = "SANDBOX", "sandbox", "sandbox-password"
NO_SERVICES = "No Web services accepted"


@dataclass(slots=True)
class Licence:
    """The data volume that is paid for: WSSIZELIMIT `limit` bytes, WSGRACELIMIT `grace` percent more.

    Past the limit every answer takes `seconds` longer; past the grace there is none. used: bytes so far, both ways.
    """

    limit: int
    grace: int = 10
    seconds: int = 0
    used: int = 0

    @property
    def over(self) -> bool:
        return self.used > self.limit

    @property
    def spent(self) -> bool:
        return self.used * 100 > self.limit * (100 + self.grace)


@dataclass(frozen=True, slots=True)
class Registration:
    """Whom the host takes, a user by Basic sign-in or with any_client anybody; its pools; what it publishes beside."""

    user: str = USER
    password: str = field(default=PASSWORD, repr=False)
    any_client: bool = False
    pools: tuple[Pool, ...] = ()
    publications: tuple[Publication, ...] = ()
    licence: Licence | None = None


class Site:
    """One host with its pools and publications."""

    def __init__(self, books: Books, registration: Registration) -> None:
        self.books, self.registration = books, registration
        self.pools = {pool.alias: pool for pool in registration.pools or (Pool(POOL),)}
        self.publications = standard() | {p.name: p for p in registration.publications}
        self.user = registration.user
        self.broken: list[AssertionError] = []

    # ---- routes

    async def description(self, request: Request) -> Response:
        """The WSDL; with `offline=1` its import names a schema that this host has."""
        if request.method == "GET" and not self._signed_in(request):
            return _challenge()
        base = f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"
        offline = request.query_params.get("offline", "") in {"1", "true"}
        return Response(wsdl(base + CALL_PATH, base + ENCODING_PATH if offline else ""), 200, media_type=XML)

    async def schema(self, request: Request) -> Response:
        del request
        return Response(ENCODING, 200, media_type=XML)

    async def call(self, request: Request) -> Response:
        if request.method == "GET":
            return await self.description(request)
        if not self._signed_in(request):
            return _challenge()
        if all(pool.size == 0 for pool in self.pools.values()):
            return Response(NO_SERVICES, 500, media_type="text/plain")
        body = await request.body()
        if not await self._licensed(request):
            return Response(status_code=503)
        quirks = {quirk.form: quirk for quirk in request.scope.get("tieout.quirks", ())}
        try:
            one = asked(body, prefixes=self.books.switches.undeclared_prefix == "tolerated")
            told = rendered(one.operation, await answer(self, one, quirks))
            if self.registration.licence is not None:
                self.registration.licence.used += len(body) + len(told)
            return Response(told, 200, media_type=XML)
        except Fault as error:
            return Response(fault(error), int(self.books.switches.fault_status), media_type=XML)
        except AssertionError as error:
            self.broken.append(error)
            raise

    async def _licensed(self, request: Request) -> bool:
        """Slows a call down past the licence's limit; past its grace, waits until the caller gives up: False."""
        licence = self.registration.licence
        if licence is None or not licence.over:
            return True
        if licence.spent:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return False
        await asyncio.sleep(licence.seconds)
        return True

    def _signed_in(self, request: Request) -> bool:
        if self.registration.any_client:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            text = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        wanted = f"{self.registration.user}:{self.registration.password}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(text, wanted)


def _challenge() -> Response:
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="Syracuse"'}, media_type="text/plain")


# ---- under faults


def forms() -> dict[str, Any]:
    """The named answers that `answer` rules may give."""
    plain, page = (("Content-Type", "text/plain"),), (("Content-Type", "text/html"),)
    challenge = (*plain, ("WWW-Authenticate", 'Basic realm="Syracuse"'))
    title = "500 Internal Server Error"
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr></body></html>"
    return {
        "unauthorized": lambda: Answer(401, b"Unauthorized", challenge),
        "no-web-services": lambda: Answer(500, NO_SERVICES.encode(), plain),
        "html": lambda: Answer(500, html.encode(), page),
        "html-200": lambda: Answer(200, html.replace("500 Internal Server Error", "Sign in").encode(), page),
        "empty": lambda: Answer(200, b"", (("Content-Type", XML),)),
        "pool-stopped": lambda: Answer(500, fault(Fault("Server", "Pool is stopped")), (("Content-Type", XML),)),
    }


def classify(method: str, path: str, query: str, body: bytes) -> tuple[str, str, str]:
    """(public name, operation, "") of a call, for fault rules and the log; a WSDL is the operation `wsdl`."""
    del path, query
    if method != "POST":
        return "", "wsdl", ""
    try:
        one = asked(body)
    except Fault:
        return "", "", ""
    return one.name, one.operation, ""


def application(site: Site, faults: Faults) -> App:
    """The ASGI application of a host, under its faults."""
    routes = [Route(path, site.call, methods=["GET", "POST"]) for path in (CALL_PATH, WSDL_PATH)]
    routes += [Route(OLD_PATH, site.description, methods=["GET"]), Route(ENCODING_PATH, site.schema)]
    return wrap(Starlette(routes=routes), faults, classify, forms())


def app(books: Books, faults: Faults, registration: Registration | None = None) -> App:
    """The sandbox as an ASGI application."""
    return application(Site(books, registration or Registration()), faults)


def renumbered(site: Site, name: str, blocks: Mapping[str, str]) -> None:
    """A consultant changes the entry transaction: the publication's blocks have other ids from now on."""
    site.publications[name] = replace(site.publications[name], blocks=dict(blocks))
