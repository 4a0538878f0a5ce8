"""The only place that talks HTTP: one request, sent once, within limits of time, size and pace.

A `Transport` never repeats a request and never follows a redirect. It tells apart a request that never left
(`Unsent`) from one whose answer was lost (`Lost`); `patiently` repeats reads, and nothing else may be repeated.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from tieout.errors import ConfigError, RetriableError

log = logging.getLogger("tieout.http")

CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0  # Intuit's own limit is 120 s
TOTAL_SECONDS = 180.0
MOST_BYTES = 64 * 2**20
_CHUNK = 65_536
_SECRETS = re.compile(
    r"(?i)(bearer\s+|basic\s+|(?<![a-z])(?:access_token|refresh_token|id_token|client_secret|code|password|token)"
    r"[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9._~+/=-]+"
)
_ERRNO = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)$")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
Result = TypeVar("Result")


class Unsent(Exception):
    """No byte of the request left this machine."""


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
    def retry_after(self) -> float | None:
        """Seconds of a numeric Retry-After header, at most an hour; None without one."""
        told = self.headers.get("Retry-After", "").strip()
        return min(float(told), 3600.0) if told.isascii() and told.isdigit() else None


def redact(text: str, limit: int = 300) -> str:
    """Remote text fit for a log or an error: no tokens, no control characters, cut."""
    clean = _CONTROL.sub(" ", _SECRETS.sub(r"\1…", text))
    return clean if len(clean) <= limit else clean[:limit] + "…"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def checked_url(url: str, what: str) -> str:
    """The address without a trailing slash. Raises ConfigError unless it is https, or http on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.username or parts.password or not host or parts.fragment:
        raise ConfigError(f"{what} is not a plain address: {redact(url)}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigError(f"{what} must be https (http only on this machine): {redact(url)}")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_link_local:
        raise ConfigError(f"{what} is a link-local address: {redact(url)}")
    return url.rstrip("/")


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
    """Sends single requests over one session. `requests` counts those sent."""

    def __init__(
        self,
        *,
        pace: Pace | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
        ca_bundle: str | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._timeout = (connect_seconds, read_seconds)
        self._total, self._most, self._clock = total_seconds, most_bytes, clock
        self._session = requests.Session()
        self._session.trust_env = False  # neither ~/.netrc nor proxies of the environment touch our credentials
        self._session.verify = ca_bundle or True
        adapter = HTTPAdapter(max_retries=0, pool_maxsize=10)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self.requests = 0

    def __repr__(self) -> str:
        return f"Transport(requests={self.requests})"

    @property
    def session(self) -> requests.Session:
        return self._session

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
        checked_url(url, "the address")
        with self._pace.slot():
            self.requests += 1
            started = self._clock()
            try:
                answer = self._send(requests.Request(method, url, dict(headers), params=dict(params or {}), data=body))
            except Exception as error:
                log.warning("%s %s: %s", method, urlsplit(url).path, type(error).__name__)
                raise
            if log.isEnabledFor(logging.INFO):
                tid = answer.headers.get("intuit_tid") or answer.headers.get("Intuit-Tid") or "-"
                took = (self._clock() - started) * 1000
                told = method, urlsplit(url).path, answer.status, took, redact(tid, 80)
                log.info("%s %s %s in %.0f ms, tid %s", *told)
            return answer

    def _send(self, request: requests.Request) -> Answer:
        host, started = urlsplit(request.url).netloc, self._clock()
        try:
            with self._session.send(
                self._session.prepare_request(request),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                verify=self._session.verify,
            ) as response:
                return Answer(response.status_code, response.headers, self._read(response, started))
        except requests.RequestException as error:
            if _never_left(error):
                raise Unsent(f"no connection to {host}: {_reason(error)}") from None
            raise Lost(f"no answer from {host}: {_reason(error)}") from None

    def _read(self, response: requests.Response, started: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            if size > self._most:
                raise Lost(f"the answer is larger than {self._most:,} bytes")
            if self._clock() - started > self._total:
                raise Lost(f"the answer took more than {self._total:.0f} s")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._session.close()


def _never_left(error: requests.RequestException) -> bool:
    """Whether the connection itself failed: refused, not found, no TLS with the right partner."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return True
    return isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)


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


def patiently(
    read: Callable[[], Result],
    *,
    attempts: int = 5,
    throttled_seconds: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = lambda: 0.0,
) -> Result:
    """A read, repeated while it raises Again. Waits as told; else a minute when throttled, or 1, 2, 4 … seconds.

    jitter: a number from 0 to 1 that lengthens each wait by up to a quarter. Raises RetriableError after the last.
    """

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.wait if isinstance(error, Again) else None
        base = told if told is not None else min(2.0 ** (state.attempt_number - 1), throttled_seconds)
        return base * (1 + jitter() / 4)

    repeat = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((Again, Unsent, Lost)),
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        sleep=sleep,
        reraise=True,
    )
    try:
        return repeat(read)
    except Again as error:
        raise RetriableError(
            f"{error} ({attempts} attempts)", retry_after=error.wait, hint="run again later; nothing was lost"
        ) from None
    except (Unsent, Lost) as error:
        raise RetriableError(
            f"{error} ({attempts} attempts)", hint="check the network, then run again; nothing was lost"
        ) from None
