"""The HTTP face: routes, tokens, envelopes, headers, replays, limits. All state is in Books and Authority."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tieout.sandbox.faults import Answer as FaultAnswer
from tieout.sandbox.faults import App, Faults, wrap

from . import bulk, guards, others, query, reports, schema, upload
from .books import Books
from .encode import Doc, dumps, loads, stamp
from .faults import Answer, Refused, gateway, gone, html, throttled, too_long, xml_fault
from .oauth import Authority, Denied

JSON = "application/json;charset=utf-8"
REALM, CLIENT, SECRET = "9130350000000001", "sandbox-client-id", "sandbox-client-secret"
_HEX = re.compile(r"/v3/company/[^/]+/([A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class _Reply:
    """A remembered answer: what was asked, what was answered."""

    asked: str
    body: bytes


class Site:
    """One company behind HTTP: books, authority, the memory of request ids and of recent calls."""

    def __init__(self, books: Books, authority: Authority) -> None:
        self.books, self.authority = books, authority
        self.replies: dict[str, _Reply] = {}
        self.recent: deque[float] = deque()
        self.batches: deque[float] = deque()
        self.uploads: dict[str, bytes] = {}
        self.broken: list[AssertionError] = []

    # ---- the company's resources

    async def company(self, request: Request) -> Response:
        began = self.books.now()
        refused = self._gate(request)
        if refused is not None:
            return _raw(refused)
        body = await request.body()
        try:
            answer = self._route(request, body)
        except Refused as fault:
            return self._fault(fault, began)
        except AssertionError as error:
            self.broken.append(error)
            raise
        if isinstance(answer, Response):
            return answer
        time_ = b',"time":' + dumps(stamp(began, "milliseconds"))
        return _respond(200, b"{" + answer + time_ + b"}", JSON, success=True)

    def _fault(self, fault: Refused, began: datetime) -> Response:
        envelope: Doc = {"Fault": fault.fault()}
        if fault.timed:
            envelope["time"] = stamp(began, "milliseconds")
        return _respond(fault.status, dumps(envelope), "application/json")

    def _gate(self, request: Request) -> Answer | None:
        """401 and 403 of the gateway, and its limits."""
        at_ms = int(self.books.now().timestamp() * 1000)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return gateway(
                401,
                3200,
                "AuthenticationFailed",
                "Token is missing",
                kind="AUTHENTICATION",
                at_ms=at_ms,
                challenge=True,
            )
        if not self.authority.known(token):
            short = len(token) < 20 or len(token) > 4096
            detail = "Malformed bearer token: too short or too long" if short else f"Token expired: {token[:6]}…"
            return gateway(
                401, 3200, "AuthenticationFailed", detail, kind="AUTHENTICATION", at_ms=at_ms, challenge=True
            )
        if not self.authority.opens(request.path_params["realm"]):
            return gateway(403, 3100, "ApplicationAuthorizationFailed", None, kind="SERVICE", at_ms=at_ms)
        return self._limit(request.path_params["rest"])

    def _limit(self, rest: str) -> Answer | None:
        """500 requests a minute, 10 a second, 40 batches a minute, when the switch says so (real time)."""
        if self.books.switches.rate_limits == "off":
            return None
        now = time.monotonic()
        for calls in (self.recent, self.batches):
            while calls and now - calls[0] > 60:
                calls.popleft()
        second = sum(1 for t in self.recent if now - t < 1)
        is_batch = rest == "batch"
        if len(self.recent) >= 500 or second >= 10 or (is_batch and len(self.batches) >= 40):
            return self.throttle()
        self.recent.append(now)
        if is_batch:
            self.batches.append(now)
        return None

    def throttle(self) -> Answer:
        now, switches = self.books.now(), self.books.switches
        return throttled(
            switches.throttle_format, switches.retry_after, stamp(now, "milliseconds"), int(now.timestamp() * 1000)
        )

    def _route(self, request: Request, body: bytes) -> bytes | Response:
        parts = [p for p in request.path_params["rest"].split("/") if p]
        params = {k.lower(): v for k, v in request.query_params.items()}
        head = parts[0].lower() if parts else ""
        if head == "query" and len(parts) == 1:
            statement = params.get("query", "") if request.method == "GET" else _statement(request, body)
            return b'"QueryResponse":' + query.answer(self.books, statement)
        if head == "cdc" and len(parts) == 1:
            return bulk.changes(
                self.books, params.get("entities", ""), params.get("changedsince", "").replace(" ", "+")
            )
        if head == "reports" and len(parts) == 2:
            return _respond(200, dumps(reports.report(self.books, parts[1], params)), JSON, success=True)
        if head in {"upload", "download"}:
            return self._attachment(request, parts, body)
        if request.method == "POST" and head == "batch":
            return self._once(params, body, lambda rid: bulk.batch(self.books, loads(body), rid))
        if request.method == "POST" and [p.lower() for p in parts] == ["taxservice", "taxcode"]:
            return dumps(others.tax_service(self.books, loads(body)))[1:-1]
        return self._entity(request, parts, params, body)

    def _attachment(self, request: Request, parts: list[str], body: bytes) -> bytes | Response:
        if request.method == "POST" and len(parts) == 1:
            return upload.store(
                self.books, self.authority.realm, request.headers.get("content-type", ""), body, self.uploads
            )
        if request.method == "GET" and len(parts) == 2 and parts[1] in self.uploads:
            return _respond(200, self.uploads[parts[1]], "text/plain")
        raise gone()

    def _entity(self, request: Request, parts: list[str], params: Mapping[str, str], body: bytes) -> bytes | Response:
        spec = schema.find(parts[0]) if parts else None
        if spec is None or len(parts) > 3 or (len(parts) == 3 and parts[2] not in {"pdf", "send"}):
            raise self._unsupported(request)
        if request.method == "GET":
            return self._read(request, spec, parts, params)
        if len(parts) == 3 and parts[2] == "send":
            return _wrapped(spec, upload.send(self.books, spec, parts[1], params.get("sendto", "")))
        if len(parts) > 1 and not (spec.kind == "single" and len(parts) == 2):
            raise self._unsupported(request)
        payload = loads(body)
        if not isinstance(payload, dict):
            raise Refused(2010, "Property Name:Unexpected value specified is unsupported or invalid")
        operation = _operation(params, others.lift(payload) if spec.name == "RecurringTransaction" else payload)
        inner = payload.get(spec.key or spec.name) if set(payload) == {spec.key or spec.name} else None
        payload = inner if isinstance(inner, dict) and spec.name != "RecurringTransaction" else payload
        doubles = "allowduplicatedocnum" in params.get("include", "").lower()

        def act(requestid: str) -> bytes:
            done = self.books.apply(
                spec.name, operation, payload, requestid=requestid, allow_duplicate=doubles, by="api"
            )
            return _wrapped(spec, done)

        return self._once(params, body + operation.encode(), act)

    def _read(
        self, request: Request, spec: schema.Entity, parts: list[str], params: Mapping[str, str]
    ) -> bytes | Response:
        guards.permitted(self.books, spec, writes=False)
        if spec.name == "ExchangeRate":
            return _wrapped(spec, others.quote(self.books, params))
        id = "1" if spec.kind == "single" else parts[1] if len(parts) > 1 else ""
        if not id:
            raise self._unsupported(request)
        if spec.name == "TaxCode" and id in {"TAX", "NON", "CustomSalesTax"}:
            return b'"TaxCode":' + dumps({"Id": id, "Name": id, "Description": id, "Active": True})
        if not re.fullmatch(r"-?\d+", id):
            detail = f"Id should be a valid number. Supplied value:{id}"
            raise Refused(2030, detail, element="Id", timed=False)
        with self.books.lock:
            row = self.books.row(spec.name, id)
            if row is None and spec.name == "Transfer":  # QuickBooks keeps card payments as transfers
                row = self.books.row("CreditCardPayment", id)
            if row is None:
                raise gone(_deleted_text(self.books, spec, id))
            if len(parts) == 3:
                return _respond(200, upload.pdf(self.books.view(spec.name, row)), "application/pdf", success=True)
            if "invoicelink" in params.get("include", "").lower():
                return _wrapped(spec, upload.with_link(self.books.view(spec.name, row)))
            return b'"' + schema.key(spec).encode() + b'":' + self.books.text(spec.name, row)

    def _once(self, params: Mapping[str, str], body: bytes, act: Any) -> bytes | Response:
        """Runs a write, or replays the answer its request id already had. Failures are not remembered."""
        requestid = params.get("requestid", "")
        if not requestid:
            return act("")  # type: ignore[no-any-return]
        if len(requestid) > 50:
            raise too_long("requestid", 50, len(requestid))
        asked = hashlib.sha256(body).hexdigest()
        with self.books.lock:
            known = self.replies.get(requestid)
            if known is not None:
                if known.asked != asked and self.books.switches.requestid_changed_payload == "600":
                    raise Refused(600, f"Duplicate Request ID : {requestid}", element="")
                return known.body
            answer: bytes = act(requestid)
            self.replies[requestid] = _Reply(asked, answer)
            return answer

    def _unsupported(self, request: Request) -> Refused:
        path = request.url.path
        return Refused(
            500,
            f"Operation Could not find resource for relative : {path} of full path: "
            f"https://sandbox.invalid/qbo{path} is not supported.",
        )

    # ---- sign-in

    async def discovery(self, request: Request) -> Response:
        return _respond(200, msgspec.json.encode(self.authority.discovery(_base(request))), JSON)

    async def consent(self, request: Request) -> Response:
        try:
            if request.method == "POST":
                form = {k: v[0] for k, v in parse_qs((await request.body()).decode(), keep_blank_values=True).items()}
                return RedirectResponse(self.authority.decide(form), 302)
            return HTMLResponse(self.authority.consent(dict(request.query_params)))
        except Denied as denied:
            return HTMLResponse(f"<h1>Sorry</h1><p>{denied.body['error']}</p>", denied.status)

    async def tokens(self, request: Request) -> Response:
        try:
            made = self.authority.tokens(dict(request.headers), await request.body())
        except Denied as denied:
            return _respond(denied.status, msgspec.json.encode(denied.body), JSON)
        return _respond(200, msgspec.json.encode(made), JSON)

    async def revoke(self, request: Request) -> Response:
        try:
            self.authority.revoke(dict(request.headers), await request.body())
        except Denied as denied:
            return _respond(denied.status, msgspec.json.encode(denied.body), JSON)
        return _respond(200, b"", JSON)

    async def userinfo(self, request: Request) -> Response:
        _, _, token = request.headers.get("authorization", "").partition(" ")
        if not self.authority.known(token):
            return _respond(401, b'{"error":"invalid_token"}', JSON)
        who = {
            "sub": "1c0ffee0-0000-4000-8000-000000000001",
            "email": "owner@harborlane.example",
            "emailVerified": True,
        }
        return _respond(200, msgspec.json.encode(who), JSON)

    async def nowhere(self, request: Request) -> Response:
        return self._fault(self._unsupported(request), self.books.now())

    # ---- ready-made misbehaviour

    def forms(self) -> dict[str, Any]:
        """The named answers that fault rules may give."""

        def system() -> Answer:
            refused = Refused(10000, "System Failure Error: An unexpected error occurred", kind="SystemFault")
            body = {"Fault": refused.fault(), "time": stamp(self.books.now(), "milliseconds")}
            return Answer(500, dumps(body))

        def at() -> str:
            return stamp(self.books.now(), "milliseconds")

        made = {
            "throttle": self.throttle,
            "system": system,
            "gateway-timeout": lambda: xml_fault(504, 6002, "GatewayTimeout", "The request timed out", at()),
            "html": lambda: html(503, "Service Unavailable"),
            "unauthorized": lambda: gateway(
                401, 3200, "AuthenticationFailed", "Token expired: …", kind="AUTHENTICATION", at_ms=0, challenge=True
            ),
            "forbidden": lambda: gateway(403, 3100, "ApplicationAuthorizationFailed", None, kind="SERVICE", at_ms=0),
        }
        return {name: _as_fault(make) for name, make in made.items()}


def _as_fault(make: Any) -> Any:
    def made() -> FaultAnswer:
        answer: Answer = make()
        headers = (("Content-Type", answer.content_type), *answer.headers, ("intuit_tid", _trace()))
        return FaultAnswer(answer.status, answer.body, headers)

    return made


def application(site: Site, faults: Faults) -> App:
    """The ASGI application of a site, under its faults."""
    routes = [
        Route(path, site.discovery)
        for name in ("openid_sandbox_configuration", "openid_configuration")
        for path in (f"/.well-known/{name}", f"/.well-known/{name}/")
    ]
    routes += [
        Route("/connect/oauth2", site.consent, methods=["GET", "POST"]),
        Route("/oauth2/v1/tokens/bearer", site.tokens, methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", site.revoke, methods=["POST"]),
        Route("/v1/openid_connect/userinfo", site.userinfo),
        Route("/v3/company/{realm}/{rest:path}", site.company, methods=["GET", "POST"]),
        Route("/{rest:path}", site.nowhere, methods=["GET", "POST"]),
    ]
    star = Starlette(routes=routes)
    return wrap(star, faults, classify, site.forms())


def app(books: Books, faults: Faults) -> App:
    """The sandbox as an ASGI application, with a fixed realm and client."""
    return application(Site(books, Authority(books.switches, books.now, REALM, CLIENT, SECRET)), faults)


def classify(method: str, path: str, query_string: str, body: bytes) -> tuple[str, str, str]:
    """(entity, operation, request id) of a request, for fault rules and the log."""
    del body
    params = {k.lower(): v[0] for k, v in parse_qs(query_string).items()}
    found = _HEX.match(path)
    if found is None:
        return "", "oauth" if "oauth" in path or "well-known" in path else "", params.get("requestid", "")
    head = found[1].lower()
    spec = schema.find(head)
    if spec is None:
        return "", head, params.get("requestid", "")
    operation = "read" if method == "GET" else "write"
    if method == "POST" and "void" in (params.get("operation"), params.get("include")):
        operation = "void"
    elif method == "POST" and params.get("operation") == "delete":
        operation = "delete"
    return spec.name, operation, params.get("requestid", "")


def _operation(params: Mapping[str, str], payload: Doc) -> str:
    wanted = params.get("operation", "").lower()
    if "void" in {wanted, *params.get("include", "").lower().split(",")}:
        return "void"
    if wanted == "delete":
        return "delete"
    return "update" if str(payload.get("Id", "") or "0") not in {"", "0"} else "create"


def _statement(request: Request, body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded") and "=" in text[:7]:
        return parse_qs(text).get("query", [text])[0]
    return text


def _wrapped(spec: schema.Entity, doc: Doc) -> bytes:
    return b'"' + schema.key(spec).encode() + b'":' + dumps(doc)


def _deleted_text(books: Books, spec: schema.Entity, id: str) -> str:
    from .faults import DELETED, INACTIVE  # noqa: PLC0415  (only ever needed on this path)

    return DELETED if id in books.deleted[spec.name] else INACTIVE


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _trace() -> str:
    return f"1-{int(datetime.now(UTC).timestamp()):08x}-{uuid.uuid4().hex[:24]}"


def _raw(answer: Answer) -> Response:
    return _respond(answer.status, answer.body, answer.content_type, extra=answer.headers)


def _respond(
    status: int,
    body: bytes,
    content_type: str,
    *,
    success: bool = False,
    extra: tuple[tuple[str, str], ...] = (),
) -> Response:
    trace = _trace()
    headers = {
        "Content-Type": content_type,
        "intuit_tid": trace,
        "X-Spanid": str(uuid.uuid4()),
        "X-Amzn-Trace-Id": f"Root={trace}",
        "Strict-Transport-Security": "max-age=31536000",
        "Server": "envoy",
    }
    if success:
        headers |= {
            "qbo-version": "1999.100",
            "service-time": "total=12, db=5",
            "Expires": "0",
            "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
        }
    return Response(body, status, headers | dict(extra))
