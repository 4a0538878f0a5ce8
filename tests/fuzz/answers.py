"""What the other side of a line answers: HTTP itself, QuickBooks' JSON and faults, Sage X3's envelopes and results."""

from __future__ import annotations

import gzip
import json
import re
import socket
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.frame import Broken, Target
from tests.fuzz.mutation import JSON, XML, Form
from tests.fuzz.trees import BETWEEN
from tests.quickbooks_bench import bench as quickbooks_bench
from tests.quickbooks_bench import customer as qb_customer
from tests.quickbooks_bench import document as qb_document
from tests.quickbooks_bench import line as qb_line
from tests.sage_x3_bench import bench as sage_bench
from tieout.connectors import Observation, Written
from tieout.connectors.http import NO_LIMIT, Answer, Lost, Pace, Transport, Unsent
from tieout.connectors.quickbooks import QuickBooksConnector
from tieout.connectors.quickbooks.landing import Landing
from tieout.connectors.quickbooks.oauth import App, _request, _tokens, app_of
from tieout.connectors.quickbooks.wire import Wire, decode
from tieout.connectors.redact import leaving
from tieout.connectors.sage_x3 import SageX3Connector
from tieout.connectors.sage_x3.payload import described
from tieout.connectors.sage_x3.settings import SageX3Settings
from tieout.connectors.sage_x3.wire import Wire as SageWire
from tieout.errors import RecordError, TieoutError, WriteError
from tieout.mapping.quickbooks import payload
from tieout.model import AnyRecord, ControlBalance, Customer, Entity, Invoice
from tieout.testing.samples import customer, invoice, line, payment

_CHANGES = re.compile(rb"<[\w:]*(?:save|modify|actionObject\w*)[ >]")
NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)


def reply(status: int, body: bytes, kind: str = "application/json") -> Answer:
    return Answer(status, {"Content-Type": kind}, body)


TOKEN = "kept-from-all-7f3a/+"  # the sign-in of every fuzzed connection: an answer may repeat it, no error may


class Line(Transport):
    """A line that gives these answers in their order, and the last one from then on.

    sent: what each request asked for, its parameters and body
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__(pace=Pace(per_minute=NO_LIMIT, per_second=NO_LIMIT))
        self.answers = list(answers)
        self.sent: list[tuple[Mapping[str, str], bytes]] = []

    def send(self, method: str, url: str, *, headers: Mapping[str, str], **more: Any) -> Answer:
        self.requests += 1
        leaving(headers, more.get("body"))
        self.sent.append((more.get("params") or {}, more.get("body") or b""))
        if self.requests > 200:
            raise Broken("more than 200 requests for one thing")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Recording(Transport):
    """A line to a stand-in that keeps what it answers."""

    def __init__(self) -> None:
        super().__init__(pace=Pace(per_minute=NO_LIMIT, per_second=NO_LIMIT), connect_seconds=5, read_seconds=20)
        self.heard: list[Answer] = []

    def send(self, *args: Any, **more: Any) -> Answer:
        self.heard.append(super().send(*args, **more))
        return self.heard[-1]


def transcript(answers: Sequence[Answer]) -> bytes:
    """Answers as one input: of each its status in a line of its own, then its body."""
    return BETWEEN.join(b"%d\n%s" % (a.status, a.body) for a in answers)


def heard(data: bytes) -> list[Answer]:
    out = []
    for part in data.split(BETWEEN):
        status, _, body = part.partition(b"\n")
        told = int(status) if status.isdigit() and len(status) == 3 else 200
        out.append(reply(told, body))
    return out


def observed(found: Sequence[Observation | ControlBalance]) -> None:
    """What a reader gives: records, or why one cannot be read; each with an id that is text. Nothing is a float."""
    for o in found:
        if isinstance(o, ControlBalance):
            continue
        record = o.record if o.record is None or isinstance(o.record, RecordError) else o.record.model_dump()
        if (bad := _float([o.raw, record])) is not None:
            raise Broken(f"a float: {bad!r}")
        if not isinstance(o.id, str) or not (o.record is None or isinstance(o.record, AnyRecord | RecordError)):
            raise Broken(f"an observation of {type(o.id).__name__} {type(o.record).__name__}")


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Host:
    """A host on this machine that gives raw bytes to whoever asks."""

    def __init__(self) -> None:
        self.says = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            line, _ = self._listening.accept()
            with line:
                try:
                    line.settimeout(5)
                    line.recv(65_536)
                    line.sendall(self.says)
                    line.shutdown(socket.SHUT_WR)
                except OSError:
                    continue


@cache
def _host() -> _Host:
    return _Host()


def _http(data: bytes) -> None:
    """A whole answer, or one of the two errors that tell what is known of the request."""
    host = _host()
    host.says = data
    line = Transport(pace=Pace(per_minute=NO_LIMIT, per_second=NO_LIMIT), read_seconds=5, most_bytes=1 << 20)
    try:
        answer = line.send("GET", host.url, headers={"Accept": "*/*"})
    finally:
        line.close()
    if len(answer.body) > 1 << 20:
        raise Broken("an answer beyond the limit")
    _ = answer.text, answer.retry_after


def _raw() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    packed = gzip.compress(b'{"a":1}')
    bomb = gzip.compress(b"0" * (8 << 20))
    return [
        head + b"Content-Length: 7\r\n\r\n" + b'{"a":1}',
        head + b"Transfer-Encoding: chunked\r\n\r\n7\r\n" + b'{"a":1}' + b"\r\n0\r\n\r\n",
        head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
        head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb,
        b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"Content-Encoding: deflate, gzip\r\n\r\nxxx",
    ]


# ── QuickBooks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _connector(line: Line) -> QuickBooksConnector:
    wire = Wire(
        line, name="qbo", api_base="http://127.0.0.1", company_id="1", token=lambda _refused: TOKEN, sleep=lambda _s: None,
        jitter=lambda: 0.0, attempts=2,
    )  # fmt: skip
    return QuickBooksConnector("qbo", wire, clock=lambda: NOW)


def _qb_bill(who: str) -> Invoice:
    made = qb_document(Invoice, who, qb_line("100.00"))
    assert isinstance(made, Invoice)
    return made


@cache
def _quickbooks() -> Mapping[str, bytes]:
    """What the stand-in answers to each thing that the connector asks."""
    told: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, quickbooks_bench(Path(folder)) as live:

        def ask(name: str, what: Callable[[QuickBooksConnector], Any]) -> Any:
            line = Recording()
            made = live.open(transport=line)
            found = what(made)
            told[name] = transcript(line.heard)
            made.close()
            return found

        who = ask("create customer", lambda c: c.create(qb_customer(), key="k1", marker="TM1")).id
        bill = ask("create invoice", lambda c: c.create(_qb_bill(who), key="k2", marker="TM2")).id
        ask("company", lambda c: c.company())
        for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT):
            ask(f"pull {entity.value}", lambda c, e=entity: list(c.pull(e).observations))
        ask("changes", lambda c: list(c.pull(Entity.INVOICE, "2026-02-01T00:00:00+00:00").observations))
        ask("get", lambda c: c.get(Entity.INVOICE, bill))
        ask("balances", lambda c: c.control_balances(date(2026, 1, 31)))
    return told


FAULTS = [
    b'401\n{"fault":{"error":[{"message":"x","detail":"Token expired","code":"3200"}],"type":"AUTHENTICATION"}}',
    b'400\n{"Fault":{"Error":[{"Message":"Stale","Detail":"d","code":"5010","element":"e"}],"type":"ValidationFault"}}',
    b'400\n<IntuitResponse><Fault type="x"><Error code="610"><Message>m</Message><Detail>d</Detail></Error></Fault></IntuitResponse>',
    b"503\n<html>down</html>",
    b'429\n{"Fault":{"Error":[{"code":"3001"}]}}',
]


def _pulled(entity: Entity, cursor: str | None = None) -> Callable[[bytes], None]:
    """Each row once, proved by the count, or a refusal of the whole list."""

    def law(data: bytes) -> None:
        pull = _connector(Line(heard(data))).pull(entity, cursor)
        found = list(pull.observations)
        observed(found)
        if pull.complete and cursor is None and pull.proof["counted"] != len(found):
            raise Broken(f"{pull.proof['counted']} rows are counted, and {len(found)} given")

    return kept(law)


def asked(what: Callable[[QuickBooksConnector], Any]) -> Callable[[bytes], None]:
    def law(data: bytes) -> None:
        found = what(_connector(Line(heard(data))))
        observed(found if isinstance(found, list) else [found] if isinstance(found, Observation) else [])

    return kept(law)


def kept(law: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """The law, and that no error repeats the sign-in, whatever the answer does."""

    def both(data: bytes) -> None:
        try:
            law(data)
        except TieoutError as error:
            if any(told in f"{error} {error!r}" for told in (TOKEN, b64encode(f"u:{TOKEN}".encode()).decode())):
                raise Broken("an error tells the sign-in") from error
            raise

    return both


def written(write: Callable[[], Written], wrote: Callable[[], bool]) -> None:
    """A write that was sent is known by its answer, or its outcome is unknown: no other error may come of it."""
    try:
        done = write()
    except WriteError:
        raise
    except TieoutError as error:
        if wrote():
            raise Broken(f"of a write that was sent comes a {type(error).__name__}") from error
        raise
    if not (isinstance(done.id, str) and done.id):
        raise Broken("something was made that has no id")


def _written(record: Callable[[], Any]) -> Callable[[bytes], None]:
    return changing(lambda c: c.create(record(), key="k", marker="TM9"))


def changing(change: Callable[[QuickBooksConnector], Written]) -> Callable[[bytes], None]:
    def law(data: bytes) -> None:
        line = Line(heard(data))
        made = _connector(line)
        written(lambda: change(made), lambda: any("requestid" in params for params, _ in line.sent))

    return kept(law)


def _json(data: bytes) -> None:
    """Exact JSON: what the standard library reads with exact numbers, page by page too; nothing is a float."""
    try:
        found = decode(data)
    except ValueError as error:
        raise TieoutError(str(error)) from None
    if (bad := _float(found)) is not None:
        raise Broken(f"a float: {bad!r}")
    same = json.loads(data, parse_float=Decimal)
    if found != same:
        raise Broken("another JSON reader reads something else")
    if isinstance(found, dict):
        try:
            page = decode(data, payload.page)
        except ValueError:
            return
        rows = page.get("QueryResponse") if isinstance(page, dict) else None
        if isinstance(rows, Mapping):
            again = {
                k: [dict(r) if isinstance(r, Mapping) else r for r in v] if isinstance(v, list) else v
                for k, v in rows.items()
            }
            if json.dumps(again, default=str) != json.dumps(found["QueryResponse"], default=str):
                raise Broken("a page reads otherwise than its whole")


def _float(value: Any) -> float | None:
    match value:
        case float():
            return value
        case Mapping():
            return next((f for v in value.values() if (f := _float(v)) is not None), None)
        case list() | tuple():
            return next((f for v in value if (f := _float(v)) is not None), None)
    return None


def _signed_in(data: bytes) -> None:
    """The token endpoint's answer: a whole sign-in, or a refusal. The refusal of a grant is the caller's to tell."""
    from tieout.connectors.quickbooks.oauth import _Refused

    try:
        found = _request(App("id", "secret"), Line(heard(data)), {"grant_type": "refresh_token"})
    except _Refused as error:
        raise TieoutError(str(error) or "refused") from None
    made = _tokens(found, "1", 1, NOW)
    if not (made.access and made.refresh) or type(made).from_text(made.as_text()) != made:
        raise Broken("a sign-in that cannot be kept")


def _discovered(data: bytes) -> None:
    own = {"client_id": "a", "client_secret": "b", "discovery_url": "http://127.0.0.1/x"}
    app_of(own, {}, Line(heard(data)), sign_in=True)


def _sign_ins() -> list[bytes]:
    good = {"access_token": "a", "refresh_token": "r", "expires_in": 3600, "x_refresh_token_expires_in": 8726400}
    return [b"200\n" + json.dumps(good).encode(), b'400\n{"error":"invalid_grant"}']


@cache
def _landing() -> Landing:
    return Landing("http://127.0.0.1:0/callback", "STATE")


def _landed(data: bytes) -> None:
    """What a browser asks for where a sign-in comes back to: only what has our state ends the wait."""
    landing = _landing()
    landing._found = {}
    landing._done.clear()
    status, text = landing.land(data.decode("latin-1"))
    if (status == 200) != landing._done.is_set() or (status == 200 and landing._found["state"] != "STATE"):
        raise Broken("an answer that is not ours ends the wait")
    if status != 200:
        raise TieoutError(text)


def _comings() -> list[bytes]:
    return [
        b"/callback?code=c&state=STATE&realmId=1",
        b"/callback?error=access_denied&state=STATE",
        b"//[::1]/callback",
    ]


def _documents() -> list[bytes]:
    return [
        b'200\n{"token_endpoint":"https://oauth.platform.intuit.com/t","authorization_endpoint":"https://appcenter.intuit.com/a"}'
    ]


# ── Sage X3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def bill(who: str, n: int) -> Invoice:
    one = invoice(n, customer=who, taxed=False)
    net = line(one.total, "Consulting", tax_code="EXO").model_copy(update={"item": "SERVICE"})
    return one.model_copy(update={"lines": (net,)})


@dataclass(frozen=True)
class Sage:
    """A stand-in: the settings of its connection, what it answered to each thing asked, and the records it showed."""

    settings: Mapping[str, Any]
    told: Mapping[str, bytes]
    customer: Observation
    invoice: Observation


@cache
def sage() -> Sage:
    told: dict[str, bytes] = {}
    with sage_bench() as live:
        settings = live.settings | {"strategy": "subprogram", "width": 1}

        def ask(name: str, what: Callable[[SageX3Connector], Any]) -> Any:
            line = Recording()
            made = SageX3Connector(
                "x3",
                SageX3Settings.model_validate(settings),
                SageWire(
                    settings["url"],
                    settings["user"],
                    live.live.password,
                    settings["pool"],
                    "ENG",
                    lambda _p: line,
                    width=1,
                ),
                clock=lambda: NOW,
                settle=0,
            )
            try:
                return what(made)
            except WriteError as error:
                return error
            finally:
                told[name] = transcript(line.heard)

        ask("company", lambda c: c.company())
        who = ask("create", lambda c: c.create(customer(1), key="K", marker="TM1")).id
        number = ask("create invoice", lambda c: c.create(bill(who, 1), key="K2", marker="TM2")).id
        ask("create payment", lambda c: c.create(payment(1, customer=who, invoice=number), key="K3", marker="TM3"))
        ask("refused", lambda c: c.create(bill("NOBODY", 2), key="K4", marker="TM4"))
        seen = ask("get customer", lambda c: c.get(Entity.CUSTOMER, who))
        ask("update customer", lambda c: c.update(again(seen), before=seen, key="K5"))
        shown = ask("get invoice", lambda c: c.get(Entity.INVOICE, number))
        ask("search", lambda c: c.search(Entity.INVOICE, marker="TM2", like=shown.record))
        ask("balances", lambda c: c.control_balances(NOW.date()))
        for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT):
            ask(f"pull {entity.value}", lambda c, e=entity: list(c.pull(e).observations))
        ask("changes", lambda c: list(c.pull(Entity.CUSTOMER, json.dumps({"tick": 0})).observations))
    return Sage(settings, told, seen, shown)


def again(seen: Observation) -> Any:
    """The customer as it was seen, under another number of telephone."""
    assert isinstance(seen.record, Customer)
    return seen.record.model_copy(update={"phone": "555 0199"})


@cache
def _sage_wire() -> tuple[SageWire, Line]:
    """One wire for all inputs: to read the WSDL takes longer than most of them."""
    settings, line = sage().settings, Line([reply(200, b"")])
    made = SageWire(
        settings["url"], "u", TOKEN, "POOL", "ENG", lambda _pace: line, width=1, sleep=lambda _s: None, attempts=2
    )
    return made, line


def _sage_connector(data: bytes) -> SageX3Connector:
    wire, line = _sage_wire()
    line.answers, line.requests, line.sent = heard(data), 0, []
    return SageX3Connector("x3", SageX3Settings.model_validate(sage().settings), wire, clock=lambda: NOW, settle=0)


def sage_asked(what: Callable[[SageX3Connector], Any]) -> Callable[[bytes], None]:
    def law(data: bytes) -> None:
        found = what(_sage_connector(data))
        observed(found if isinstance(found, list) else [found] if isinstance(found, Observation) else [])

    return kept(law)


def sage_changing(change: Callable[[SageX3Connector], Written]) -> Callable[[bytes], None]:
    def law(data: bytes) -> None:
        made, line = _sage_connector(data), _sage_wire()[1]
        written(lambda: change(made), lambda: any(_CHANGES.search(body) for _, body in line.sent))

    return kept(law)


def _described(data: bytes) -> None:
    try:
        described(data.decode("utf-8", "replace"))
    except ValueError as error:  # `Unreadable`, which the connector tells as what it is
        raise TieoutError(str(error)) from None


def _descriptions() -> list[bytes]:
    return [
        b'<?xml version="1.0" encoding="UTF-8"?><RESULT><GRP ID="A" DIM="1"><FLD NAME="N"/></GRP><TAB ID="B" DIM="9"><FLD NAME="M"/></TAB></RESULT>'
    ]


BOTH = Form(
    re.compile(rb"&lt;[^&]*&gt;|" + XML.piece.pattern),
    (*XML.tokens, b'&lt;FLD NAME="NUM"&gt;', b"&lt;!DOCTYPE x&gt;", b"&amp;#0;", b'"O_TICK"', b"&lt;LIN&gt;", b"1\n", b"500\n", BETWEEN, TOKEN.encode(), b"0", b"1"),
    (*XML.nests, (b"&lt;a&gt;", b"&lt;/a&gt;")),
    tree=XML.tree,
)  # fmt: skip
ANSWERS = replace(
    JSON,
    tokens=(
        *JSON.tokens, b'"Fault":{"Error":[{"code":"610"}]}', b'"time"', b'"totalCount":1', BETWEEN, b"401\n", b"500\n", TOKEN.encode(), b"6000", b"6140", b"6240", b"5010", b"Deleted",
    ),
)  # fmt: skip


def sage_seeds(name: str) -> Callable[[], list[bytes]]:
    """What the stand-in answered, and a refusal."""
    return lambda: [sage().told[name], sage().told["refused"]]


def targets() -> list[Target]:
    """Every parser of an answer."""

    def quickbooks(name: str) -> Callable[[], list[bytes]]:
        return lambda: [*[_quickbooks()[name]] * 5, *FAULTS]

    pulls = [
        Target(f"QuickBooks pull {e.value}", quickbooks(f"pull {e.value}"), _pulled(e), ANSWERS, weight=4)
        for e in (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
    ]
    made: list[Target] = [
        Target("HTTP answer", _raw, _http, Form(re.compile(rb"[^\s:;,=]+|[\s:;,=]+"), (b"\r\n", b"Content-Encoding: gzip\r\n", b"br", b"zstd", b"deflate", b"chunked", b"ffffffff\r\n")), refusals=(Lost, Unsent), weight=8),
        Target("exact JSON", lambda: [_quickbooks()["pull invoice"].split(b"\n")[-1], b'{"a":[1.10,1E5,"x"]}'], _json, JSON),
        *pulls,
        Target("QuickBooks changes", quickbooks("changes"), _pulled(Entity.INVOICE, "2026-02-01T00:00:00+00:00"), ANSWERS, weight=4),
        Target("QuickBooks company", quickbooks("company"), asked(lambda c: c.company()), ANSWERS, weight=2),
        Target("QuickBooks get", quickbooks("get"), asked(lambda c: c.get(Entity.INVOICE, "1")), ANSWERS, weight=2),
        Target("QuickBooks balances", quickbooks("balances"), asked(lambda c: c.control_balances(date(2026, 1, 31))), ANSWERS, weight=2),
        Target("QuickBooks create customer", quickbooks("create customer"), _written(qb_customer), ANSWERS, weight=2),
        Target("QuickBooks create invoice", quickbooks("create invoice"), _written(lambda: _qb_bill("1")), ANSWERS, weight=2),
        Target("QuickBooks sign-in", _sign_ins, _signed_in, ANSWERS),
        Target("QuickBooks discovery", _documents, _discovered, ANSWERS),
        Target("return of a sign-in", _comings, _landed, Form(re.compile(rb"\w+|\W"), (b"http://[", b"/callback?", b"state=STATE", b"&", b"%00", b"%C3", b";"))),
        Target("Sage X3 company", sage_seeds("company"), sage_asked(lambda c: c.company()), BOTH, weight=10),
        Target("Sage X3 create", sage_seeds("create"), sage_changing(lambda c: c.create(customer(1), key="K", marker="TM1")), BOTH, weight=10),
        Target("Sage X3 description", _descriptions, _described, XML),
    ]  # fmt: skip
    for entity in (Entity.CUSTOMER, Entity.INVOICE, Entity.PAYMENT):
        reads = sage_asked(lambda c, e=entity: list(c.pull(e).observations))  # type: ignore[misc]
        made.append(Target(f"Sage X3 pull {entity.value}", sage_seeds(f"pull {entity.value}"), reads, BOTH, weight=10))
    changed = sage_asked(lambda c: list(c.pull(Entity.CUSTOMER, json.dumps({"tick": 0})).observations))
    return [*made, Target("Sage X3 changes", sage_seeds("changes"), changed, BOTH, weight=10)]
