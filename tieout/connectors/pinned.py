"""Sockets beneath the transport: they connect to the address that was checked, and end when their time is over.

A name is looked up once for each connection, and what is connected to is what was looked at: a name that leads
elsewhere a moment later changes nothing. A socket waits no longer than the whole request may take, however little
arrives at a time.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from tieout.connectors.reach import Reach
from tieout.errors import ConfigError

Resolve = Callable[[str, int], Sequence[str]]
UNTIL: ContextVar[float | None] = ContextVar("until", default=None)  # of time.monotonic, of the request under way


class Unsent(Exception):
    """No byte of the request left this machine."""


def certificates(file: str) -> str:
    """The same, once it is known that certificates are in it. Raises ConfigError."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:  # an SSLError is an OSError, with words of its own
        why = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"ca_file {file}: {why}", hint="name a file of certificates in PEM") from None
    return file


class Barred(Unsent):
    """The address may not be spoken to. hint: what to do, and which setting it concerns"""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(f"{why}; {hint}")
        self.why, self.hint = why, hint


def looked_up(host: str, port: int) -> Sequence[str]:
    """Every address that a name leads to, as the system says, in its order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _shorten(sock: Any) -> None:
    """Let a socket wait no longer than the request has left. Raises TimeoutError."""
    until = UNTIL.get()
    if until is None:
        return
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    given = sock.gettimeout()
    if given is None or left < given:
        sock.settimeout(left)


class _Socket(socket.socket):
    def recv_into(self, *args: Any, **more: Any) -> int:
        _shorten(self)
        return super().recv_into(*args, **more)


class _EncryptedSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **more: Any) -> int:
        _shorten(self)
        return super().recv_into(*args, **more)


class PinnedAdapter(HTTPAdapter):
    """requests' adapter over sockets of ours: no retries, no proxies, TLS 1.2 or newer.

    resolve: gives the addresses of a name
    """

    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        self._reach, self._resolve = reach, resolve
        super().__init__(max_retries=0, pool_maxsize=10)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        context = create_urllib3_context(ssl_minimum_version=ssl.TLSVersion.TLSv1_2)
        context.sslsocket_class = _EncryptedSocket
        super().init_poolmanager(*args, ssl_context=context, **more)
        self.poolmanager.pool_classes_by_scheme = {
            "http": self._pinned(HTTPConnectionPool, encrypted=False),
            "https": self._pinned(HTTPSConnectionPool, encrypted=True),
        }

    def _pinned(self, pool: Any, *, encrypted: bool) -> Any:
        def connect(connection: Any) -> socket.socket:
            return self._connected(connection, encrypted=encrypted)

        class Pinned(pool):  # type: ignore[misc]
            def _new_conn(self) -> Any:
                connection = super()._new_conn()
                connection._new_conn = lambda: connect(connection)  # noqa: SLF001  the hook that urllib3 has for it
                return connection

        return Pinned

    def _connected(self, connection: Any, *, encrypted: bool) -> socket.socket:
        """A socket to the first address of the host that may be spoken to and answers. Raises Barred."""
        host, port = connection.host.strip("[]"), connection.port
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(connection, f"Failed to resolve '{host}' ({error})") from error
        refused: list[tuple[str, str]] = []
        failed: OSError | None = None
        for address in addresses:
            if refusal := self._reach.refusal(host, address, encrypted=encrypted):
                refused.append(refusal)
                continue
            try:
                return _opened(address, port, connection.timeout, connection.socket_options)
            except OSError as error:
                failed = error
        if isinstance(failed, TimeoutError):
            raise ConnectTimeoutError(connection, f"Connection to {host} timed out") from failed
        if failed is None and refused:
            raise Barred(*refused[0])
        raise NewConnectionError(connection, f"Failed to establish a new connection: {failed}") from failed


def _opened(address: str, port: int, timeout: Any, options: Any) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        sock.settimeout(timeout)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock
