"""What others say, fit for a log or an error: without secrets, whatever form they are repeated in.

A vendor's error may repeat what it was sent: a header, a form, a token in a sentence. So every secret that is looked up
or leaves in a request is known here from then on, and cut out of whatever is told, beside what looks like one.
"""

from __future__ import annotations

import binascii
import html
import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, quote_plus

_LOOKS_SECRET = re.compile(
    r"(?i)(bearer\s+|basic\s+|(?<![a-z])(?:access_token|refresh_token|id_token|client_secret|code|password|token)"
    r"[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9._~+/=-]+"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELDS = ("refresh_token", "access_token", "client_secret", "code", "token")
_SHORTEST = 4  # a shorter one would cut words apart, and is none
_MOST = 1024  # values: tokens are renewed once an hour


class Secrets:
    """Values that are told to nobody, each in every spelling; the oldest are forgotten first."""

    def __init__(self, spellings: Iterable[str] = ()) -> None:
        self._spellings = dict.fromkeys(spellings)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._spellings))  # another thread may add one meanwhile

    def add(self, value: str) -> None:
        if value in self._spellings or len(value) < _SHORTEST:
            return
        quoted = quote(value, safe=""), quote_plus(value), html.escape(value)
        programs = json.dumps(value)[1:-1], repr(value)[1:-1], repr(value.encode())[2:-1]
        self._spellings.update(dict.fromkeys((value, *quoted, *programs)))
        while len(self._spellings) > _MOST:
            del self._spellings[next(iter(self._spellings))]


SECRETS = Secrets()  # of this process


def redact(text: str, limit: int = 300) -> str:
    """Remote text without secrets and control characters, cut."""
    clean = _CONTROL.sub(" ", _LOOKS_SECRET.sub(r"\1…", masked(text)))
    return clean if len(clean) <= limit else clean[:limit] + "…"


def masked(text: str) -> str:
    """The text without the secrets that are known.

    All of them are looked for in the text as it came: what is cut out of one secret would hide the rest of it.
    """
    spans = [
        (found.start(), found.start() + len(one))
        for one in SECRETS
        if one in text
        for found in re.finditer(f"(?={re.escape(one)})", text)  # it may overlap itself
    ]
    told, shown = "", 0
    for start, end in sorted(spans):
        if start >= shown:
            told += text[shown:start] + "…"
        shown = max(shown, end)
    return told + text[shown:]


def leaving(headers: Mapping[str, str], body: bytes | None) -> None:
    """Remember the secrets of a request: its sign-in, and those of a form that asks for tokens."""
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    found = _of_header(scheme.lower(), credential)
    if headers.get("Content-Type") == "application/x-www-form-urlencoded" and body:
        found += tuple(value for name, value in parse_qsl(body.decode("utf-8", "replace")) if name in _FIELDS)
    for one in found:
        secret(one)


def secret(value: str) -> None:
    """Remember one secret: from now on it is told to nobody."""
    SECRETS.add(value)


@lru_cache(maxsize=8)
def _of_header(scheme: str, credential: str) -> tuple[str, ...]:
    """The credential, and the password inside it."""
    if scheme != "basic":
        return (credential,)
    try:
        return credential, b64decode(credential).decode("utf-8").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return (credential,)
