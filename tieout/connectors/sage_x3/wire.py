"""Sage X3's web service on the wire: zeep over our transport, errors in every form they come in, outcomes classified.

zeep runs strict, offline (WSDL and schema are in the package) and with `xsd_ignore_sequence_order`: X3 sends `type`
before `message`, against its own WSDL. A client serves one call at a time. Source: Sage's online help.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from tieout.connectors.http import Again, Answer, Lost, Pace, Patience, Transport
from tieout.connectors.pinned import Unsent
from tieout.connectors.redact import masked, redact
from tieout.connectors.sage_x3.answer import Reply, harmless, plain
from tieout.errors import (
    AuthError,
    ConfigError,
    NotProcessed,
    NotSent,
    NotServedError,
    Rejected,
    RetriableError,
    UnknownOutcome,
    WriteError,
)

try:
    import zeep
    from lxml import etree
    from zeep.exceptions import Error as ZeepError
    from zeep.exceptions import Fault
    from zeep.transports import Transport as ZeepTransport
except ImportError as missing:
    raise ConfigError("Sage X3 connections need the package zeep", hint="pip install 'tieout[sage]'") from missing

log = logging.getLogger("tieout.sage_x3")
logging.getLogger("zeep").setLevel(logging.CRITICAL)  # it repeats what it cannot read of an answer, as it came

ENCODING = "http://schemas.xmlsoap.org/soap/encoding"
BINDING = "{http://www.adonix.com/WSS}CAdxWebServiceXmlCCSoapBinding"
NO_SERVICES = "No Web services accepted"
READS = frozenset({"read", "query", "run", "getDescription"})
_SETTINGS = {"strict": True, "xsd_ignore_sequence_order": True, "xml_huge_tree": True, "forbid_dtd": True}
_SETTINGS |= {"forbid_external": False, "forbid_entities": True}  # loading refers to the schema in the package


class Refused(Exception):
    """X3 answered status 0: it did nothing, for a reason that its messages tell in the language of the connection."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(redact("; ".join(text for _, text in reply.messages if text)) or "no reason given")
        self.reply = reply


class _ForNow(Again):
    """A refusal in words that the installation names as passing: nothing was done."""


class _Unread(Exception):
    """An answer that does not say what X3 did: a fault, a broken or an empty one."""


# Where a request goes, its envelope and its headers.
_Made = tuple[str, Any, Mapping[str, str]]


class _Faulted(_Unread):
    """A SOAP fault: X3 tells what is wrong with a pool, or with the call, in one."""


@dataclass(slots=True)
class _Reply:
    """An answer as zeep reads it."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    encoding: str = "utf-8"


class _Bridge(ZeepTransport):
    """zeep's transport on ours: one request, sent once, within limits.

    sent: bytes of the last request · last: its answer, None while there is none · made: what zeep made of the call
    """

    def __init__(self, transport: Transport, authorization: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._own, self._authorization = transport, authorization
        self.forget()

    def forget(self) -> None:
        self.sent = 0
        self.last: Answer | None = None
        self.made: _Made | None = None

    def answered(self) -> Answer | None:
        return self.last

    def load(self, url: str) -> bytes:
        if url.rstrip("/") == ENCODING:
            return _packaged("soap_encoding.xsd")
        raise ConfigError(
            f"the WSDL refers to {redact(url)}, which is not in the package",
            hint="the package is damaged: install tieout again",
        )

    def post_xml(self, address: str, envelope: etree._Element, headers: Mapping[str, str]) -> _Reply:
        self.made = address, envelope, headers
        told: _Reply = super().post_xml(address, envelope, headers)  # type: ignore[no-untyped-call]
        return told

    def post(self, address: str, message: bytes | str, headers: Mapping[str, str]) -> _Reply:
        body = message if isinstance(message, bytes) else message.encode()
        told = {**headers, "Authorization": self._authorization}
        try:
            self.sent = len(body)
            self.last = self._own.send("POST", address, headers=told, body=body)
        except Unsent:
            self.sent = 0
            raise
        return _Reply(self.last.status, self.last.body, self.last.headers)


def _packaged(name: str) -> bytes:
    return (files("tieout.connectors.sage_x3") / "wsdl" / name).read_bytes()


# What zeep and lxml raise for answers that are not as the WSDL says, or deeper than Python calls functions.
_BROKEN = (ZeepError, etree.LxmlError, ValueError, AttributeError, TypeError, LookupError, RecursionError)


@dataclass(slots=True)
class _Worker:
    """What one call talks through: zeep makes the request, and reads what is no plain success."""

    transport: Transport
    bridge: _Bridge
    client: Any
    service: Any
    reads: dict[tuple[str, ...], _Made] = field(default_factory=dict)

    def call(self, operation: str, parts: Mapping[str, Any]) -> Reply:
        """Raises Unsent or Lost, or one of _BROKEN for an answer that is none."""
        answer = self._read(parts) if operation == "read" else getattr(self.service, operation)(**parts)
        if answer.status_code == 200 and (reply := plain(answer.content, operation)) is not None:
            return reply
        harmless(answer.content)
        binding = self.client.wsdl.bindings[BINDING]
        return _read(binding.process_reply(self.client, binding.get(operation), answer))

    def _read(self, parts: Mapping[str, Any]) -> Any:
        """One object by its keys. Of many reads in the same words zeep makes the first; then only the values change."""
        keys = parts["objectKeys"]
        words = parts["publicName"], *(pair["key"] for pair in keys)
        if words not in self.reads:
            answer = self.service.read(**parts)
            if self.bridge.made is not None:
                self.reads[words] = self.bridge.made
            return answer
        address, envelope, headers = self.reads[words]
        for element, pair in zip(envelope.iter("value"), keys, strict=True):
            element.text = pair["value"]
        return self.bridge.post_xml(address, envelope, headers)


@dataclass
class Volume:
    """Bytes that went over the line, which X3's licence counts (WSSIZELIMIT)."""

    sent: int = 0
    received: int = 0


@dataclass
class Wire:
    """One pool of one X3 host. `requests` counts calls; at most `width` are under way at once, whoever calls.

    temporary: what X3's messages say, in the connection's language, where it did nothing and may do it later
    """

    endpoint: str
    user: str
    password: str = field(repr=False)
    pool: str
    language: str
    transport: Callable[[Pace], Transport]
    width: int = 2
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = lambda: 0.0
    attempts: int = 5
    temporary: tuple[re.Pattern[str], ...] = ()
    volume: Volume = field(default_factory=Volume)

    def __post_init__(self) -> None:
        self._pace = Pace(per_minute=10**6, per_second=10**6, at_once=self.width, sleep=self.sleep)
        self._patiently = Patience(attempts=self.attempts, sleep=self.sleep, jitter=self.jitter)
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        return sum(worker.transport.requests for worker in self._workers)

    def close(self) -> None:
        for worker in self._workers:
            worker.transport.close()
        log.info("%s: %d bytes sent, %d received", self.pool, self.volume.sent, self.volume.received)

    def read(self, operation: str, **parts: Any) -> Reply:
        """A call that changes nothing, repeated while the line or the host fails.

        Raises Refused for status 0, RetriableError when the host does not come back, AuthError for a wrong sign-in,
        NotServedError where no web service is.
        """
        assert operation in READS, f"{operation} is no read"

        faults: list[_Faulted] = []

        def once() -> Reply:
            faults.clear()
            try:
                return self._call(operation, parts)
            except _Unread as why:
                faults.extend([why] if isinstance(why, _Faulted) else [])
                raise Again(str(why)) from None

        try:
            return self._patiently(once)
        except RetriableError as why:
            if not faults:
                raise
            hint = f"run again later; if it stays so, check `pool` ({self.pool}: upper and lower case matter)"
            raise RetriableError(why.message, hint=hint) from None

    def write(self, operation: str, **parts: Any) -> Reply:
        """A call that changes something, sent once.

        Raises Refused for status 0; NotSent or NotProcessed where it plainly had no effect; else UnknownOutcome.
        """
        try:
            return self._call(operation, parts)
        except Unsent as why:
            raise NotSent(f"not sent: {why}") from None
        except AuthError as why:
            raise NotProcessed(why.message, code="401", hint=why.hint) from None
        except _ForNow as why:
            raise NotProcessed(f"X3 took nothing: {why}", alone=True) from None
        except Again as why:
            raise NotProcessed(f"X3 took nothing: {why}") from None
        except (Lost, _Unread, NotServedError) as why:
            raise UnknownOutcome(f"{operation}: {why}") from None

    def _call(self, operation: str, parts: Mapping[str, Any]) -> Reply:
        """One call. Raises Refused, Unsent, Lost, Again, AuthError, NotServedError, _Unread; else the error is ours."""
        context = {"codeLang": self.language, "poolAlias": self.pool, "poolId": "", "requestConfig": ""}
        with self._worker() as worker:
            bridge = worker.bridge
            bridge.forget()
            try:
                reply = worker.call(operation, {"callContext": context, **parts})
            except _BROKEN as why:
                answer = bridge.answered()
                if answer is None:  # nothing came back, as nothing was sent: an error of the program
                    raise
                self._refused(answer)
                raise self._unread(why, answer) from None
            finally:
                self._count(bridge)
        if reply.status == 0:
            refused = Refused(reply)
            self._for_now(str(refused))
            raise refused
        if reply.status != 1:
            raise _Unread(f"X3 answers with status {reply.status!r}, which is neither 0 nor 1")
        if not (reply.result or "").strip():
            raise _Unread("X3 answers without a result")
        return reply

    def _for_now(self, said: str) -> None:
        """Raises _ForNow where X3 says, in words that the installation names, that it did nothing for now."""
        if any(pattern.search(said) for pattern in self.temporary):
            raise _ForNow(f"X3 refuses it for now: {said}")

    def _unread(self, why: Exception, answer: Answer) -> _Unread:
        if isinstance(why, Fault):
            said = redact(str(why.message))
            self._for_now(said)
            return _Faulted(f"X3 answers with a fault: {said} (HTTP {answer.status})")
        return _Unread(f"an answer that cannot be read (HTTP {answer.status}): {redact(str(why), 120)}")

    def _refused(self, answer: Answer) -> None:
        """Raises what an answer means that the host gave before X3 saw the call."""
        if answer.status in (401, 403):
            raise AuthError(
                f"X3 refuses the sign-in of user {self.user} (HTTP {answer.status})",
                hint="check `user` and `password` of the connection",
            )
        if answer.status >= 500 and NO_SERVICES in answer.text[:200]:
            raise Again(f"the host accepts no web services (HTTP {answer.status})")
        if answer.elsewhere:
            raise NotServedError(f"the host answers with {answer.elsewhere}", hint="check `url`")
        if 300 <= answer.status < 500 and answer.status not in (408, 429):
            raise NotServedError(f"no web service of X3 answers there (HTTP {answer.status})", hint="check `url`")

    def _count(self, bridge: _Bridge) -> None:
        with self._lock:
            self.volume.sent += bridge.sent
            self.volume.received += len(bridge.last.body) if bridge.last is not None else 0

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        """A client that nobody else uses meanwhile; there are never more than calls were under way at once."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = self._opened()
            with self._lock:
                self._workers.append(worker)
        try:
            yield worker
        finally:
            with self._lock:
                self._idle.append(worker)

    def _opened(self) -> _Worker:
        transport = self.transport(self._pace)
        sign_in = b64encode(f"{self.user}:{self.password}".encode()).decode()
        bridge = _Bridge(transport, f"Basic {sign_in}")
        client = zeep.Client(  # type: ignore[no-untyped-call]
            _Document(), transport=bridge, settings=zeep.Settings(**_SETTINGS)
        )
        client.settings.forbid_external = True  # answers refer to nothing
        client.settings.raw_response = True  # the worker reads them
        service = client.create_service(BINDING, self.endpoint)  # type: ignore[no-untyped-call]
        return _Worker(transport, bridge, client, service)


def _read(answer: Any) -> Reply:
    """An answer as zeep reads it. Raises one of _BROKEN for one that is none."""
    messages = tuple((str(m.type or ""), masked(str(m.message or ""))) for m in answer.messages or ())
    return Reply(answer.status, messages, answer.resultXml)


class _Document:
    """The WSDL as the file that zeep wants: read anew for each client, without a look at the network."""

    def read(self) -> bytes:
        return _packaged("sage_x3.wsdl")


def rejected(why: Refused, what: str) -> WriteError:
    """What a refusal of a write becomes."""
    return Rejected(f"X3 refuses {what}: {why}", code=redact(";".join(kind for kind, _ in why.reply.messages), 80))
