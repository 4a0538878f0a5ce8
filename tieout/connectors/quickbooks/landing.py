"""Where the browser comes back to after a sign-in at Intuit: one address on this machine, for as long as it takes."""

from __future__ import annotations

import hmac
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tieout.connectors.reach import is_loopback
from tieout.connectors.redact import redact
from tieout.errors import ConfigError, RefusedError, RetriableError

REDIRECT_URI = "http://localhost:8765/callback"
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'",
    "Connection": "close",
}


class Landing:
    """The redirect address, listening on loopback until one browser comes back with our state."""

    def __init__(self, redirect_uri: str, state: str) -> None:
        parts = urlsplit(redirect_uri)
        if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
            raise ConfigError(
                f"redirect_uri {redact(redirect_uri)} is not on this machine",
                hint=f"register {REDIRECT_URI} with your app, or sign in where the redirect leads",
            )
        self._path, self._state = parts.path or "/", state
        self._found: dict[str, str] = {}
        self._done = threading.Event()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", 80 if parts.port is None else parts.port), self._handler())
        except OSError as why:
            raise RetriableError(
                f"port {parts.port} of redirect_uri cannot be used: {why.strerror}",
                hint="end the program that uses it, or register another redirect_uri",
            ) from None
        port = self._server.server_address[1]
        self.redirect_uri = redirect_uri if parts.port else f"http://{parts.hostname}:{port}{self._path}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait(self, seconds: float) -> dict[str, str]:
        """What the browser brought: the code and the company, or an error. Raises RefusedError after that time."""
        if not self._done.wait(seconds):
            raise RefusedError("nobody finished signing in", hint="run the command again")
        return self._found

    def land(self, target: str) -> tuple[int, str]:
        """(status, text) for one request; an answer with our state ends the wait, any other changes nothing."""
        try:
            parts = urlsplit(target)
        except ValueError:  # such as "http://[": any page of the browser may ask for anything here
            return 404, "Nothing is here."
        if parts.path != self._path:
            return 404, "Nothing is here."
        given = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if not hmac.compare_digest(given.get("state", "").encode(), self._state.encode()):
            return 400, "This answer does not belong to the sign-in that tieout waits for."
        if not self._done.is_set():
            self._found = given
            self._done.set()
        return 200, "Signed in, back to tieout." if "code" in given else "Not signed in."

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        landing = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, text = landing.land(self.path)
                body = f"<!doctype html><title>tieout</title><p>{escape(text)}</p>".encode()
                self.send_response(status)
                for key, value in _PAGE_HEADERS.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the request line carries the code."""

        return Handler
