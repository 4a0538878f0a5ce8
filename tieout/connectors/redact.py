"""What others say, fit for a log or an error: without secrets, whatever form they are repeated in.

A vendor's error may repeat what it was sent: a header, a form, a token in a sentence. So every secret that is looked up
or leaves in a request is known here from then on, and cut out of whatever is told, beside what looks like one.
"""

from __future__ import annotations

import binascii
import html
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from urllib.parse import parse_qsl, quote, quote_plus

_LOOKS_SECRET = re.compile(
    r"(?i)(bearer\s+|basic\s+|(?<![a-z])(?:access_token|refresh_token|id_token|client_secret|code|password|token)"
    r"[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9._~+/=-]+"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELDS = ("refresh_token", "access_token", "client_secret", "code", "token")
_SHORTEST = 4  # a shorter one would cut words apart, and is none
_MOST = 1024  # values: tokens are renewed once an hour
_GUESSED = 8  # characters: a shorter value has spellings that stand in any text
_ESCAPE = re.compile(
    rb"%(?:25)*(?P<byte>[0-9A-Fa-f]{2})|\\+x(?P<hex>[0-9A-Fa-f]{2})|\\+u(?P<unit>[0-9A-Fa-f]{4})|\\+[nrt]"
    rb"|&(?:amp;)*#[xX]0*(?P<code>[0-9A-Fa-f]{1,5});|&(?:amp;)*#0*(?P<number>[0-9]{1,6});"
    rb"|&(?:amp;)*(?P<name>quot|apos|lt|gt);|&(?:amp;)+"
)
_NAMES = {b"quot": b'"', b"apos": b"'", b"lt": b"<", b"gt": b">"}
_LOOSE = b" \t\r\n\v\f+\\"  # what wrapping and quoting put in or take away


class Secrets:
    """Values that are told to nobody, each in every spelling; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._spellings: dict[str, None] = {}
        self._disguises: dict[bytes, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._spellings))  # another thread may add one meanwhile

    def disguises(self) -> tuple[bytes, ...]:
        """The same as `_bared` shows them, and packed in base64 and hexadecimal."""
        return tuple(self._disguises)

    def add(self, value: str) -> None:
        if value in self._spellings or len(value) < _SHORTEST:
            return
        quoted = quote(value, safe=""), quote_plus(value), html.escape(value)
        programs = json.dumps(value)[1:-1], repr(value)[1:-1], repr(value.encode())[2:-1]
        self._spellings.update(dict.fromkeys((value, *quoted, *programs)))
        while len(self._spellings) > _MOST:
            del self._spellings[next(iter(self._spellings))]
        if len(value) >= _GUESSED:
            self._disguises.update((one, None) for one in _spelled(value) if len(one) >= _GUESSED)
        while len(self._disguises) > 2 * _MOST:
            del self._disguises[next(iter(self._disguises))]


SECRETS = Secrets()  # of this process


def redact(text: str, limit: int = 300) -> str:
    """Remote text without secrets and control characters, cut."""
    clean = _CONTROL.sub(" ", _LOOKS_SECRET.sub(r"\1…", masked(text)))
    return clean if len(clean) <= limit else clean[:limit] + "…"


def masked(text: str) -> str:
    """The text without the secrets that are known, also where they are quoted, encoded or split over lines.

    All of them are looked for in the text as it came: what is cut out of one secret would hide the rest of it.
    """
    spans = [
        (found.start(), found.start() + len(one))
        for one in SECRETS
        if one in text
        for found in re.finditer(f"(?={re.escape(one)})", text)  # it may overlap itself
    ]
    told, shown = "", 0
    for start, end in sorted([*spans, *_disguises(text)]):
        if start >= shown:
            told += text[shown:start] + "…"
        shown = max(shown, end)
    return told + text[shown:]


def _disguises(text: str) -> list[tuple[int, int]]:
    """Where a secret stands in another form than that in which it was given."""
    raw = text.encode("utf-8", "surrogatepass")
    bare = _bared(raw)
    found = [one for one in SECRETS.disguises() if one in bare]
    if not found:
        return []
    places = [(start, end) for byte, start, end in _pieces(raw) if byte not in _LOOSE]
    begun = list(accumulate(byte & 0xC0 != 0x80 for byte in raw))  # characters of the text, up to each byte
    spans = [(m.start(), m.start() + len(one)) for one in found for m in re.finditer(re.escape(one), bare)]
    return [(begun[places[start][0]] - 1, begun[places[end - 1][1] - 1]) for start, end in spans]


def _bared(raw: bytes) -> bytes:
    """Text without its quoting: %XX, entities and escapes are what they stand for, what wraps lines is gone."""
    return _ESCAPE.sub(_meant, raw).translate(None, _LOOSE)


def _pieces(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Each byte that a text means, and from where to where it is written."""
    at = 0
    for found in _ESCAPE.finditer(raw):
        yield from ((raw[n], n, n + 1) for n in range(at, found.start()))
        yield from ((byte, found.start(), found.end()) for byte in _meant(found))
        at = found.end()
    yield from ((raw[n], n, n + 1) for n in range(at, len(raw)))


def _meant(found: re.Match[bytes]) -> bytes:
    byte, code = found["byte"] or found["hex"], found["unit"] or found["code"]
    if byte:
        return bytes([int(byte, 16)])
    if code or found["number"]:
        return chr(min(int(code, 16) if code else int(found["number"]), 0x10FFFF)).encode("utf-8", "surrogatepass")
    if found["name"]:
        return _NAMES[found["name"]]
    return b"&" if found[0].startswith(b"&") else b""


def _spelled(value: str) -> Iterator[bytes]:
    """How `_bared` shows a value: as it is, in hexadecimal, and in base64 wherever it begins within it."""
    raw = value.encode("utf-8", "surrogatepass")
    yield _bared(raw)
    yield _bared(raw.decode("latin-1").encode())  # as it is read by who takes it for Latin-1
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for before in range(3):  # the first and last characters depend on what stands around it
        after = -(before + len(raw)) % 3
        packed = b64encode(bytes(before) + raw + bytes(after))
        inner = packed[(before * 8 + 5) // 6 : len(packed) - (after + 1 if after else 0)]
        yield from (_bared(inner), _bared(inner.translate(bytes.maketrans(b"+/", b"-_"))))


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
