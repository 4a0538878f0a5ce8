"""QuickBooks Online on the wire: exact JSON, faults in every form they come in, reads and writes classified.

Sources: Intuit's v3 documentation and error table, and recorded answers. What follows from each outcome of a write:
docs/explain/delivery-promise.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tieout.connectors.http import Again, Answer, Lost, Patience, Transport
from tieout.connectors.pinned import Unsent
from tieout.connectors.redact import masked, redact
from tieout.errors import (
    AuthError,
    ConfigError,
    DuplicateNumber,
    FatalError,
    NotFoundError,
    NotProcessed,
    NotSent,
    PeriodClosed,
    RefusedError,
    Rejected,
    RetriableError,
    SignInRequired,
    StaleWrite,
    UnknownOutcome,
    WriteError,
)
from tieout.mapping.quickbooks import payload

try:
    from quickbooks.client import QuickBooks
except ImportError as missing:
    raise ConfigError(
        "QuickBooks connections need the package python-quickbooks", hint="pip install 'tieout[quickbooks]'"
    ) from missing

Native = Mapping[str, Any]
MINOR_VERSION = 75
THROTTLED = "3001"
NOT_FOUND = "610"
UNKNOWN_REFERENCE = "2500"
STALE = "5010"
DENIED = "5020"
BUSINESS = "6000"
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset({THROTTLED, "10000", "6002", "4002"})
_UNKNOWN_CODES = frozenset({"600", "10000", "6002"})
_NO_PERMISSION = (
    "whoever signed in may not use this in QuickBooks: have an administrator of the company allow it, or sign in "
    "(tieout connect)"
)
# What a person does about a refusal before the write is released again.
_NEXT = {
    "6220": "settle the customer's balance in QuickBooks before making the customer inactive",
    "6250": "make the customer active again in QuickBooks, or map another one",
    "6430": "QuickBooks wants another type of account there: map one of the right type",
    "6440": "map an item for each line: [pair.X.codes]",
    "6450": "its money is paid out: refund it in QuickBooks",
    "6480": "undo the match with the bank transaction on QuickBooks' banking page",
    "6540": "take it off its deposit in QuickBooks",
}
_XML_ERROR = re.compile(r'<Error\b[^>]*\bcode="([^"]{1,20})"[^>]*>(.{0,4000}?)</Error>', re.DOTALL)
_XML_PART = re.compile(r"<(Message|Detail)>(.{0,3000}?)</\1>", re.DOTALL)
_TXN_ID = re.compile(r"TxnId\s*=\s*([0-9]{1,20})")
_PERIOD = re.compile(r"period (has |is )?closed|closed period|closing date|account period", re.IGNORECASE)
_DUPLICATE = re.compile(r"duplicate|already been used|already exists", re.IGNORECASE)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def decode(body: bytes, how: Callable[[bytes], Any] = payload.exact) -> Any:
    """Parsed JSON, numbers exact: `int` or `Decimal`, never a float. Raises ValueError.

    how: `payload.page` for the answer to a query
    """
    try:
        return how(body)
    except (msgspec.DecodeError, RecursionError, ArithmeticError) as why:
        raise ValueError(f"not JSON: {why}") from None


def encode(native: Native) -> bytes:
    """JSON with Decimals as numbers in their own spelling."""
    return _encode(native)


@dataclass(frozen=True, slots=True)
class Fault:
    """What QuickBooks refused with. code: its own, as text, "" if it gave none"""

    status: int
    code: str
    message: str
    detail: str
    element: str
    tid: str
    retry_after: float | None = None

    def __str__(self) -> str:
        said = self.message if self.detail in ("", self.message) else f"{self.message}: {self.detail}"
        what = f"QuickBooks says {self.code or f'HTTP {self.status}'} {redact(said)}"
        return (
            what
            + (f" ({redact(self.element, 80)})" if self.element else "")
            + (f" [intuit_tid {self.tid}]" if self.tid else "")
        )


def trace_id(answer: Answer) -> str:
    """`intuit_tid`, which Intuit's support asks for, in either of its spellings."""
    return redact(answer.headers.get("intuit_tid") or answer.headers.get("Intuit-Tid") or "", 80)


def fault_of(answer: Answer, parsed: Any) -> Fault | None:
    """The first fault of an answer, in any form: JSON `Fault`, gateway `fault`, XML, or none of them but a bad status.

    A part of a good answer may be one, too. None for a good answer.
    """
    found: tuple[str, str, str, str] | None = None
    if isinstance(parsed, dict):
        held = next((held for part in _parts(parsed) if (held := part.get("Fault") or part.get("fault"))), None)
        if held:
            found = _json_fault(held)
    elif b"<Fault" in answer.body[:20_000] or b"<Error" in answer.body[:20_000]:
        found = _xml_fault(answer.text[:20_000])
    if found is None:
        if 200 <= answer.status < 300:
            return None
        said = "" if parsed is not None or answer.elsewhere else redact(answer.text[:20_000], 200)
        found = ("", answer.elsewhere or "an answer that cannot be read", said, "")
    code, message, detail, element = map(masked, found)
    return Fault(answer.status, code, message, detail, element, trace_id(answer), answer.retry_after)


def _parts(answer: Native) -> Iterator[Native]:
    """An answer, and the parts of it that QuickBooks' schema lets hold a fault in the place of rows."""
    yield answer
    changes = answer.get("CDCResponse")
    held = [answer.get("QueryResponse"), *(changes if isinstance(changes, list) else ())]
    for part in held:
        if isinstance(part, Mapping):
            yield part
            inner = part.get("QueryResponse")
            yield from (p for p in (inner if isinstance(inner, list) else ()) if isinstance(p, Mapping))


def _json_fault(held: Any) -> tuple[str, str, str, str]:
    errors = (held.get("Error") or held.get("error") or []) if isinstance(held, dict) else []
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    lower = {str(key).lower(): value for key, value in first.items()}

    def part(name: str) -> str:
        return "" if lower.get(name) is None else str(lower[name])

    return redact(part("code").lstrip("0"), 40), part("message"), part("detail"), part("element")


def _xml_fault(text: str) -> tuple[str, str, str, str] | None:
    """By pattern, not by an XML parser: the text is hostile and only three fields are wanted."""
    found = _XML_ERROR.search(text)
    if found is None:
        return None
    parts = dict(_XML_PART.findall(found[2]))
    return redact(found[1].lstrip("0"), 40), parts.get("Message", ""), parts.get("Detail", ""), ""


def read_error(fault: Fault) -> Exception:
    """What a failed read raises; `Again` where it may be repeated."""
    if fault.status in _TRANSIENT_STATUS or fault.code in _TRANSIENT_CODES:
        throttled = fault.status == 429 or fault.code == THROTTLED
        wait = fault.retry_after if fault.retry_after is not None else (60.0 if throttled else None)
        return Again(str(fault), wait=wait, tid=fault.tid)
    if fault.code == NOT_FOUND and fault.status == 400:
        return NotFoundError(str(fault))
    if fault.code == DENIED:
        return AuthError(f"{fault}", hint=_NO_PERMISSION)
    if fault.status == 403:
        return AuthError(
            f"{fault}",
            hint="the sign-in does not open this company: check company_id, or sign in to it: tieout connect NAME",
        )
    if fault.code == "6190":
        return RefusedError(f"{fault}", hint="the QuickBooks subscription has ended")
    if 300 <= fault.status < 400:
        return FatalError(f"{fault}", hint="check api_base, and what stands between here and QuickBooks")
    return FatalError(str(fault))


def write_error(fault: Fault) -> WriteError:
    """The class of a write that QuickBooks answered with a fault; unlisted ones are unknown."""
    told: Any = {"code": fault.code, "request_id": fault.tid}
    text, said = str(fault), f"{fault.message} {fault.detail}"
    if fault.status == 429 or fault.code == THROTTLED:
        wait = 60.0 if fault.retry_after is None else fault.retry_after
        return NotProcessed(text, retry_after=wait, **told)
    if fault.code == DENIED and fault.status in (400, 403):
        return Rejected(f"{text}; {_NO_PERMISSION}", **told)
    if fault.status in (401, 403):
        return NotProcessed(text, **told, hint="sign in again: tieout connect")
    if fault.status not in (200, 400) or not fault.code or fault.code in _UNKNOWN_CODES:
        return UnknownOutcome(text, **told)
    if fault.code == "6140" or (fault.code in ("6200", "6210") and _DUPLICATE.search(said)):
        return DuplicateNumber(text, existing_id=_existing(said), **told)
    if fault.code == "6240":
        return DuplicateNumber(text, **told)
    if fault.code in ("6200", "6210") or (fault.code in (STALE, BUSINESS) and _PERIOD.search(said)):
        return PeriodClosed(text, **told, hint="open the period in QuickBooks, or date the document after it")
    if fault.code == STALE:
        return StaleWrite(text, **told)
    return Rejected(f"{text}; {_NEXT[fault.code]}" if fault.code in _NEXT else text, **told)


def _existing(said: str) -> str:
    found = _TXN_ID.search(said)
    return found[1] if found else ""


class _Client(QuickBooks):
    """python-quickbooks' client for its addresses and verbs; every request goes through our transport."""

    base = ""
    send: Callable[..., Any]

    @property
    def api_url(self) -> str:
        return f"{self.base}/v3"

    def make_request(  # noqa: PLR0917  as in the class above it
        self,
        request_type: str,
        url: str,
        request_body: Any = None,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
        file_path: Any = None,
        file_bytes: Any = None,
        request_id: str | None = None,
    ) -> Any:
        """The parsed answer. Unlike the original: fresh parameters each time, exact numbers, faults told apart."""
        if file_path or file_bytes or request_id:
            raise NotImplementedError("reads only")
        body = request_body.encode() if isinstance(request_body, str) else None
        query = {**(params or {}), "minorversion": str(MINOR_VERSION)}
        return self.send(request_type, url, body=body, content_type=content_type, params=query)


class Wire:
    """One company over one transport: reads that are repeated within bounds, writes that are sent once.

    token: gives the access token; called with the one that was refused, it must give another
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        api_base: str,
        company_id: str,
        token: Callable[[str | None], str],
        sleep: Callable[[float], None],
        jitter: Callable[[], float],
        attempts: int = 5,
    ) -> None:
        self._name, self._transport, self._token = name, transport, token
        self._patiently = Patience(attempts=attempts, sleep=sleep, jitter=jitter)
        made: Any = _Client
        client = made(company_id=company_id, minorversion=MINOR_VERSION)
        client.base, client.send = api_base, self._exchange
        self._client, self.company_id = client, company_id

    def __repr__(self) -> str:
        return f"Wire(company {self.company_id}, {self._transport.requests} requests)"

    @property
    def requests(self) -> int:
        return self._transport.requests

    def read(self, path: str, params: Mapping[str, str] | None = None) -> Native:
        """GET below the company. Raises RetriableError, NotFoundError, AuthError, SignInRequired or FatalError."""
        return self._patient(lambda: self._client.get(self._url(path), params=dict(params or {})))

    def query(self, statement: str) -> Native:
        """The answer to a query, sent by POST: a statement has no limit of length there."""
        return self._patient(lambda: self._client.query(statement))

    def write(
        self, path: str, body: Native, *, key: str, params: Mapping[str, str] | None = None
    ) -> tuple[Native, str]:
        """(answer, trace id) of one POST, sent once. Raises a WriteError, or SignInRequired before anything is sent.

        A 401 is sent again once, with the same key, after the token was renewed: it was refused at the gate.
        """
        token, tid = self._write_token(None), ""
        for last in (False, True):
            answer, parsed = self._send_write(path, encode(body), key, params or {}, token)
            tid = trace_id(answer)
            fault = fault_of(answer, parsed)
            if fault is None:
                break
            if fault.status != 401 or last:
                raise write_error(fault)
            token = self._write_token(token)
        if not isinstance(parsed, dict):
            raise UnknownOutcome("QuickBooks' answer to a write cannot be read", request_id=tid)
        return parsed, tid

    def _write_token(self, refused: str | None) -> str:
        try:
            return self._token(refused)
        except RetriableError as why:
            raise NotSent(f"not sent: {why.message}") from None

    def _send_write(
        self, path: str, body: bytes, key: str, params: Mapping[str, str], token: str
    ) -> tuple[Answer, Any]:
        query = {**params, "minorversion": str(MINOR_VERSION), "requestid": key}
        try:
            answer = self._transport.send(
                "POST", self._url(path), headers=_headers(token, "application/json"), params=query, body=body
            )
        except Unsent as why:
            raise NotSent(str(why)) from None
        except Lost as why:
            raise UnknownOutcome(f"the answer to a write was lost: {why}") from None
        try:
            return answer, decode(answer.body)
        except ValueError:
            return answer, None

    def _url(self, path: str) -> str:
        return f"{self._client.api_url}/company/{self.company_id}/{path}"

    def _patient(self, read: Callable[[], Any]) -> Native:
        answer = self._patiently(read)
        if not isinstance(answer, dict):
            raise FatalError("QuickBooks' answer is not an object")
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None, content_type: str, params: Mapping[str, str]) -> Any:
        """One read. Raises Again, Unsent or Lost where it may be repeated."""
        if urlsplit(url).path.split("/")[2:4] != ["company", self.company_id]:
            raise FatalError(f"a request outside of company {self.company_id}")
        how = payload.page if url.endswith("/query") else payload.exact
        token = self._token(None)
        for last in (False, True):
            answer = self._transport.send(method, url, headers=_headers(token, content_type), params=params, body=body)
            try:
                parsed = decode(answer.body, how)
            except ValueError:
                parsed = None
            fault = fault_of(answer, parsed)
            if fault is None:
                break
            if fault.status != 401:
                raise read_error(fault)
            if last:
                raise SignInRequired(f"{fault}", hint=f"tieout connect {self._name}")
            token = self._token(token)
        if parsed is None:
            raise Again("QuickBooks' answer is cut short or no JSON", tid=trace_id(answer))
        return parsed


def _headers(token: str, content_type: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Content-Type": content_type,
        "User-Agent": "tieout",
    }


def quoted(value: str) -> str:
    """A text as a query literal: everything is quoted, also numbers; quotes and backslashes are escaped."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def query(
    entity: str, *conditions: str, order: str = "Id", start: int = 1, most: int = 1000, count: bool = False
) -> str:
    """A statement of QuickBooks' query language; `count` asks for the number of rows alone."""
    what = "COUNT(*)" if count else "*"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    tail = "" if count else f" ORDERBY {order} STARTPOSITION {start} MAXRESULTS {most}"
    return f"SELECT {what} FROM {entity}{where}{tail}"


__all__ = ["Fault", "Wire", "decode", "encode", "fault_of", "query", "quoted", "read_error"]
__all__ += ["trace_id", "write_error"]
