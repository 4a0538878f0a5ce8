"""The only place that talks HTTP: one request, sent once, within limits of time, size and pace.

A `Transport` never repeats a request, never follows a redirect, knows no proxy and checks every certificate. It tells
apart a request that never left (`Unsent`; `Barred`, if it was not allowed to) from one whose answer was lost (`Lost`);
`Patience` repeats reads, and nothing else may be repeated.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from tieout.connectors.pinned import UNTIL, Barred, PinnedAdapter, Resolve, Unsent, certificates, looked_up
from tieout.connectors.reach import Reach, is_loopback, place_of
from tieout.connectors.redact import leaving, redact
from tieout.errors import ConfigError, RetriableError

log = logging.getLogger("tieout.http")

CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0  # Intuit's own limit is 120 s
TOTAL_SECONDS = 180.0
MOST_BYTES = 64 * 2**20  # unpacked
MOST_RATIO = 200  # an answer of more than a megabyte to what came over the line; JSON and XML of lists pack to a 50th
_FROM_RATIO = 2**20
_CHUNK = 65_536
_ADDRESS = "write it as https://HOST/PATH, without user, password or #"
_ERRNO = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)$")
_NO_TLS = re.compile("CERTIFICATE_VERIFY_FAILED|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|WRONG_VERSION_NUMBER")
Result = TypeVar("Result")


class Lost(Exception):
    """The request left, in whole or in part, and no complete answer came back."""


class Again(Exception):
    """A read failed for now. wait: seconds the remote asked for, None if it did not say; tid: its trace id"""

    def __init__(self, why: str, *, wait: float | None = None, tid: str = "") -> None:
        super().__init__(why)
        self.wait = wait
        self.tid = tid


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `headers` compare names without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    @property
    def elsewhere(self) -> str:
        """For an answer that redirects, in a sentence where it leads; "" for any other."""
        if not 300 <= self.status < 400 or self.status == 304:
            return ""
        parts = urlsplit("".join(c for c in self.headers.get("Location", "") if c.isprintable()))
        place = f" to {redact(parts.netloc.rpartition('@')[2] + parts.path, 120)}" if parts.netloc or parts.path else ""
        return f"a redirect{place} (HTTP {self.status}), which is not followed"

    @property
    def retry_after(self) -> float | None:
        """Seconds of a numeric Retry-After header, at most an hour; None without one."""
        told = self.headers.get("Retry-After", "").strip()
        return min(float(told), 3600.0) if told.isascii() and told.isdigit() else None


@lru_cache(maxsize=64)
def checked_url(url: str, what: str, *, on_premises: bool = False) -> str:
    """The address without a trailing slash. Raises ConfigError unless it is https, or http where that may be.

    on_premises: http to the firm's own network may be, too; else to this machine only
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(f"{what} is not an address: {redact(url)}", hint=_ADDRESS) from None
    if parts.username is not None or parts.password is not None or not host or parts.fragment:
        raise ConfigError(f"{what} is not a plain address: {redact(url)}", hint=_ADDRESS)
    if parts.scheme != "https" and not (parts.scheme == "http" and (on_premises or is_loopback(host))):
        raise ConfigError(f"{what} must be https (http only on this machine): {redact(url)}", hint=_ADDRESS)
    if _is_literal(host) and place_of(host) in ("link-local", "metadata", "reserved"):
        raise ConfigError(
            f"{what} is a {place_of(host)} address: {redact(url)}", hint="name the host of the system that is meant"
        )
    return url.rstrip("/")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Pace:
    """How many requests may begin within a second and within a minute, and be under way at once.

    Shared by the threads of one connection. The windows are a tenth longer than they say, for clocks and networks.
    """

    def __init__(
        self,
        *,
        per_minute: int = 500,
        per_second: int = 10,
        at_once: int = 10,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = ((1.1, per_second), (66.0, per_minute))
        self._begun: deque[float] = deque(maxlen=max(per_second, per_minute))
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._under_way = threading.BoundedSemaphore(at_once)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One request's turn; waits for it."""
        with self._under_way:
            while wait := self._take():
                self._sleep(wait)
            yield

    def _take(self) -> float:
        """Begin now and return 0, or return the seconds until one may begin."""
        with self._lock:
            now = self._clock()
            for window, most in self._limits:
                if len(self._begun) >= most and (left := window - (now - self._begun[-most])) > 0:
                    return max(left, 0.001)
            self._begun.append(now)
            return 0.0


NO_LIMIT = 10**6


class Transport:
    """Sends single requests over one session. `requests` counts those sent.

    reach: how far it may go · resolve: gives the addresses of a name · ca_file: certificates to trust in the place of
    the public ones; that they are checked cannot be switched off
    """

    def __init__(
        self,
        *,
        pace: Pace | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
        ca_file: str | None = None,
        reach: Reach | None = None,
        resolve: Resolve = looked_up,
    ) -> None:
        self._pace = pace or Pace()
        self._timeout = (connect_seconds, read_seconds)
        self._total, self._most, self._clock = total_seconds, most_bytes, clock
        self._reach = reach or Reach()
        self._session = requests.Session()
        self._session.trust_env = False  # neither ~/.netrc nor proxies of the environment touch our credentials
        self._session.headers["Accept-Encoding"] = "gzip"
        self._verify = certificates(ca_file) if ca_file else True
        adapter = PinnedAdapter(self._reach, resolve)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._last: tuple[tuple[object, ...], requests.PreparedRequest] | None = None
        self.requests = 0

    def __repr__(self) -> str:
        return f"Transport(requests={self.requests})"

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer to one request, whatever its status. Raises Unsent or Lost; a redirect is an answer."""
        checked_url(url, "the address", on_premises=bool(self._reach.on_premises))
        leaving(headers, body)
        with self._pace.slot():
            self.requests += 1
            started = self._clock()
            try:
                answer = self._send(method, url, headers, params or {}, body)
            except Exception as error:
                log.warning("%s %s: %s", method, urlsplit(url).path, type(error).__name__)
                raise
            if log.isEnabledFor(logging.INFO):
                tid = answer.headers.get("intuit_tid") or answer.headers.get("Intuit-Tid") or "-"
                took = (self._clock() - started) * 1000
                told = method, urlsplit(url).path, answer.status, took, redact(tid, 80)
                log.info("%s %s %s in %.0f ms, tid %s", *told)
            return answer

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str], body: bytes | None
    ) -> Answer:
        host, started = urlsplit(url).netloc, self._clock()
        until = time.monotonic() + self._total
        known = UNTIL.set(until)
        try:
            with self._session.send(
                self._prepared(method, url, headers, params, body),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
            ) as response:
                return Answer(response.status_code, response.headers, self._read(response, started))
        except (requests.RequestException, HTTPError) as error:
            if _never_left(error):
                raise Unsent(f"no connection to {host}: {_reason(error)}") from None
            if time.monotonic() >= until:
                raise self._late() from None
            raise Lost(f"no answer from {host}: {_reason(error)}") from None
        except (ValueError, HTTPException) as error:  # of an answer that `requests` itself cannot read
            raise Lost(f"no answer from {host} that can be read: {type(error).__name__}") from None
        finally:
            UNTIL.reset(known)

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str], body: bytes | None
    ) -> requests.PreparedRequest:
        """A request of its own. One that differs from the last in nothing but its body is a copy of that one."""
        alike = method, url, tuple(headers.items()), tuple(params.items())
        last = self._last
        if last is None or last[0] != alike:
            made = requests.PreparedRequest()
            made.prepare(method, url, CaseInsensitiveDict({**self._session.headers, **headers}), params=params)
            last = self._last = alike, made
        request = last[1].copy()
        if self._session.cookies:
            request.prepare_cookies(self._session.cookies)
        request.prepare_body(body, None)
        return request

    def _late(self) -> Lost:
        return Lost(f"the answer took more than {self._total:.0f} s")

    def _read(self, response: requests.Response, started: float) -> bytes:
        """The body, unpacked: never more than a chunk at once, and no more of it than there may be."""
        parts, size, came = [], 0, 0

        def coming() -> Iterator[bytes]:
            nonlocal came
            for raw in response.raw.stream(_CHUNK, decode_content=False):
                came += len(raw)
                yield raw

        for part in _unpacked(coming(), response.headers.get("Content-Encoding", "")):
            size += len(part)
            if size > self._most:
                raise Lost(f"the answer is larger than {self._most:,} bytes")
            if size > max(_FROM_RATIO, MOST_RATIO * came):
                raise Lost(f"the answer unpacks to more than {MOST_RATIO} times what came")
            if self._clock() - started > self._total:
                raise self._late()
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._session.close()


def _unpacked(coming: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes of an answer in parts of a chunk at most. Raises Lost where it is cut short or no gzip."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from coming
        return
    if encoding not in ("gzip", "x-gzip"):
        raise Lost(f"the answer is packed as {redact(encoding, 40)}, which was not asked for")
    inflater, begun = zlib.decompressobj(31), False
    try:
        for raw in coming:
            begun = True
            while True:
                if inflater.eof:  # another member follows
                    inflater = zlib.decompressobj(31)
                part = inflater.decompress(raw, _CHUNK)
                yield part
                raw = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                if not raw and (inflater.eof or len(part) < _CHUNK):
                    break
    except zlib.error:
        raise Lost("the answer is not the gzip that it says it is") from None
    if begun and not inflater.eof:
        raise Lost("the answer is cut short")


def _never_left(error: Exception) -> bool:
    """Whether the connection itself failed: refused, not found, no TLS with the right partner."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return True
    return isinstance(error, requests.exceptions.SSLError) and _NO_TLS.search(str(reason)) is not None


def _reason(error: BaseException) -> str:
    """Why in a few words: what the system says of it, where it says anything, else the name of the error."""
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if told := _ERRNO.search(str(reason)):
        return told[1].lower()
    return redact(f"{type(reason or error).__name__}: {reason}", 160)


NOTICED = 2.0  # seconds of silence, from which on a person is told what is waited for


def telling(
    tell: Callable[[str], None], name: str, *, sleep: Callable[[float], None] = time.sleep
) -> Callable[[float], None]:
    """A sleep that says so first, where a person would begin to wonder. name: of the connection that is waited for"""

    def wait(seconds: float) -> None:
        if seconds >= NOTICED:
            tell(f"waiting {seconds:.0f} s for {name}")
        sleep(seconds)
        if seconds >= NOTICED:
            tell(f"asking {name} again")

    return wait


class Patience:
    """Repeats a read while it raises Again. Waits as told; else a minute when throttled, or 1, 2, 4 … seconds.

    jitter: a number from 0 to 1 that lengthens each wait by up to a quarter. Made once for many reads: to make it takes
    longer than to use it.
    """

    def __init__(
        self,
        *,
        attempts: int = 5,
        throttled_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            told = error.wait if isinstance(error, Again) else None
            base = told if told is not None else min(2.0 ** (state.attempt_number - 1), throttled_seconds)
            return base * (1 + jitter() / 4)

        passing = tenacity.retry_if_exception_type((Again, Unsent, Lost))
        self._attempts = attempts
        self._repeat = tenacity.Retrying(
            retry=passing & tenacity.retry_if_not_exception_type(Barred),
            stop=tenacity.stop_after_attempt(attempts),
            wait=wait,
            sleep=sleep,
            reraise=True,
        )

    def __call__(self, read: Callable[[], Result]) -> Result:
        """What the read gives. Raises RetriableError after the last attempt.

        Raises ConfigError at once for an address that may not be spoken to.
        """
        try:
            return self._repeat(read)
        except Again as error:
            raise RetriableError(
                f"{error} ({self._attempts} attempts)", retry_after=error.wait, hint="run again later; nothing was lost"
            ) from None
        except Barred as error:
            raise ConfigError(error.why, hint=error.hint) from None
        except (Unsent, Lost) as error:
            raise RetriableError(
                f"{error} ({self._attempts} attempts)", hint="check the network, then run again; nothing was lost"
            ) from None
