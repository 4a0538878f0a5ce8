"""Structured mutation: bytes, pieces of a format and members of an archive are changed, cut, doubled and mixed.

The source of choice is a `random.Random`: of Hypothesis in a test, so that a failing input shrinks; of a seed else.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzz.trees import documents, elements

MOST = 1 << 16  # bytes of an input
_NUMBERS = (
    b"0", b"-0", b"-1", b"00", b"1e400", b"1E-400", b"-1e9999999999999999999", b"2147483648", b"9223372036854775808",
    b"99999999999999999999999999999999", b"0.1", b"0.000000001", b"1.005", b"999999999999999.99", b"NaN", b"Infinity",
    b"-Infinity", b"9" * 400, b"9" * 5000, b"1" + b"0" * 19, b"0x1F", b"1_000", b"+1", b".5", b"5.",
)  # fmt: skip
_DATES = (
    b"0000-00-00", b"0001-01-01", b"9999-12-31", b"2026-02-30", b"10000-01-01", b"0001-01-01T00:00:00+14:00",
    b"9999-12-31T23:59:59-14:00", b"00000000", b"99991231", b"2026-W05-1", b"60", b"2958466",
)  # fmt: skip
_TEXTS = (
    b"", b" ", b"\0", b"\x01", b"\x1b[2J", b"\r", b"\n", b"\r\n", b"\x85", "\u2028".encode(), "\u202e".encode(),
    "\ufeff".encode(), "é".encode(), "é".encode("latin-1"), b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f\x99\x82", b"../../x",
    "²".encode(),
    b"=1+1", b"<script>", b"%s%n", b"\\", b"'", b'"', b"null", b"true", b"\\u0000", b"\\ud800", b"A" * 3000,
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What a format is made of. piece: one of its tokens · tokens: what it knows of its own

    nests: what opens one thing within another · zipped: an archive whose members have the form
    fixed: its parts are found by their place, so that nearly every change keeps the length
    tree: changes one that is well formed into another
    """

    piece: re.Pattern[bytes]
    tokens: tuple[bytes, ...] = ()
    nests: tuple[tuple[bytes, bytes], ...] = ()
    zipped: bool = False
    fixed: bool = False
    tree: Callable[[Random, bytes, Sequence[bytes]], bytes] | None = None

    @property
    def words(self) -> tuple[bytes, ...]:
        """What may stand in the place of any piece."""
        return (*_NUMBERS, *_DATES, *_TEXTS, *self.tokens)


TEXT = Form(re.compile(rb"[^\s,;|=]+|\s+"))
JSON = Form(
    re.compile(rb'"(?:\\.|[^"\\])*"|[-+.0-9eE]+|\w+|[{}\[\]:,]'),
    (b"{}", b"[]", b'""', b"null", b"true", b"false", b"[null]", b'{"a":1}', b",", b":", b'"Fault"', b'"code"'),
    ((b"[", b"]"), (b'{"a":', b"}")),
    tree=documents,
)
XML = Form(
    re.compile(rb"<[^>]*>|[^<]+|<"),
    (
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>", b"&b;", b"&#0;", b"&amp;", b"<![CDATA[", b"]]>", b"<!--",
        b"<?xml version='1.0' encoding='utf-7'?>", b"<a/>", b"<a>", b"</a>", b' href="#id0"', b' id="id0"',
        b"<?xml version='1.0' encoding='UTF-16'?>", b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x'>",
    ),
    ((b"<a>", b"</a>"),),
    tree=elements,
)  # fmt: skip
CSV = Form(
    re.compile(rb'"(?:[^"]|"")*"|[^,;|\t\r\n]+|[\r\n]+|[,;|\t]'),
    (b",", b";", b"\t", b"|", b'"', b'""', b"\n", b"\n\n", b"sep=;\n", b"USD", b"EUR", b"XXX", b",,,,,,", b"(5.00)", b"5-", b"-5,00"),
)  # fmt: skip
TOML = Form(
    re.compile(rb"\"\"\"|'''|\"[^\"\n]*\"|[\w.-]+|[\[\]{}=,#\n]| +"),
    (b"[", b"]", b"[[", b"{ }", b"=", b'"', b'"""', b"'''", b"#", b"\n", b"[company]", b"a.b.c = 1", b"1979-05-27", b"inf", b"nan"),
    ((b"[", b"]"), (b"{a=", b"}")),
)  # fmt: skip


BINARY = Form(re.compile(rb"[\w.:+-]{3,}"), fixed=True)


class Mutator:
    """Makes an input from others. choose: the source of every choice"""

    def __init__(self, choose: Random, form: Form, seeds: Sequence[bytes], most: int = MOST) -> None:
        self._r, self._form, self._seeds, self._most = choose, form, seeds, most

    def made(self, data: bytes) -> bytes:
        """The input, changed in one place, or in several."""
        for _ in range(self._r.choice((1, 1, 1, 2, 3, 6))):
            data = self._once(data)[: self._most]
        return data

    def mixed(self, data: bytes, other: bytes) -> bytes:
        """The input with a part of another one in it; of an archive, with one of its members."""
        members, theirs = (unzipped(data), unzipped(other)) if self._form.zipped else ([], [])
        if members and theirs:
            name, body = self._r.choice(theirs)
            return zipped([(n, body if n == name else b) for n, b in members])[: self._most]
        start, end = sorted((self._r.randint(0, len(other)), self._r.randint(0, len(other))))
        at, to = sorted((self._r.randint(0, len(data)), self._r.randint(0, len(data))))
        return (data[:at] + other[start:end] + data[to:])[: self._most]

    def _once(self, data: bytes) -> bytes:
        if self._form.zipped and self._r.random() < 0.85 and (members := unzipped(data)):
            return self._archive(members)
        if self._form.fixed and self._r.random() < 0.85:
            return self._r.choice((self._flip, self._over))(data)
        return self._plain(data)

    def _plain(self, data: bytes) -> bytes:
        if self._form.tree is not None and self._r.random() < 0.75:
            return self._form.tree(self._r, data, self._form.words)
        edits: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._cut, self._double, self._insert, self._splice, self._piece, self._piece, self._value,
            self._value, self._value, self._value, self._swap, self._nest, self._end,
        )  # fmt: skip
        return self._r.choice(edits)(data)

    # ── bytes ──

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._r.randint(0, len(data))
        return start, min(len(data), start + self._r.choice((1, 1, 2, 4, 16, 64, 1024)))

    def _flip(self, data: bytes) -> bytes:
        start, end = self._span(data)
        changed = bytearray(data)
        for at in range(start, min(end, start + 4)):
            changed[at] = self._r.choice((changed[at] ^ (1 << self._r.randint(0, 7)), 0, 255, self._r.randint(0, 255)))
        return bytes(changed)

    def _over(self, data: bytes) -> bytes:
        """Bytes of a piece of it, or of a token, in the place of others."""
        start, end = self._span(data)
        from_, _ = self._span(data)
        new = self._r.choice((self._thing(), data[from_ : from_ + end - start]))[: len(data) - start]
        return data[:start] + new + data[start + len(new) :]

    def _cut(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _double(self, data: bytes) -> bytes:
        start, end = self._span(data)
        times = self._r.choice((2, 2, 3, 50, 2000))
        return data[:start] + data[start:end] * min(times, 1 + MOST // (4 * max(1, end - start))) + data[end:]

    def _insert(self, data: bytes) -> bytes:
        at = self._r.randint(0, len(data))
        return data[:at] + self._thing() + data[at:]

    def _splice(self, data: bytes) -> bytes:
        other = self._r.choice(self._seeds) if self._seeds else data
        start, end = self._span(other)
        at, to = self._span(data)
        return data[:at] + other[start : self._r.choice((end, len(other)))] + data[self._r.choice((at, to)) :]

    def _end(self, data: bytes) -> bytes:
        return data[: self._r.randint(0, len(data))]

    # ── pieces ──

    def _thing(self) -> bytes:
        return self._r.choice(self._r.choice((_NUMBERS, _DATES, _TEXTS, self._form.tokens or _TEXTS)))

    def _found(self, data: bytes) -> list[tuple[int, int]]:
        """Where pieces are: some of them, for a large input has too many."""
        start = self._r.randint(0, max(0, len(data) - 4096)) if len(data) > 8192 else 0
        return [m.span() for m in self._form.piece.finditer(data, start, start + 8192) if m.end() > m.start()]

    def _piece(self, data: bytes) -> bytes:
        found = self._found(data)
        if not found:
            return data + self._thing()
        start, end = self._r.choice(found)
        old = data[start:end]
        match self._r.choice(("thing", "thing", "inside", "drop", "double", "other", "many", "bare")):
            case "inside" if len(old) > 1 and old[:1] in b"\"'<":  # within its quotation marks
                new = old[:1] + self._thing() + old[-1:]
            case "drop":
                new = b""
            case "double":
                new = old + old
            case "other":
                a, b = self._r.choice(found)
                new = data[a:b]
            case "many":
                new = old * min(self._r.choice((10, 300, 5_000)), 1 + MOST // (2 * len(old)))
            case "bare":
                new = old.strip(b"\"'")
            case _:
                new = self._thing()
        return data[:start] + new + data[end:]

    def _value(self, data: bytes) -> bytes:
        """Another value where one stands, within its quotation marks: what is around it stays well formed."""
        found = [(a, b) for a, b in self._found(data) if data[a : a + 1].isalnum() or data[a : a + 1] in b"\"'"]
        if not found:
            return self._piece(data)
        start, end = self._r.choice(found)
        quote = data[start : start + 1] if data[start : start + 1] in b"\"'" else b""
        a, b = self._r.choice(found)
        new = self._r.choice((self._thing(), self._thing(), data[a:b])).strip(b"\"'\\{}[]<>\n,;:")
        return data[:start] + quote + new + quote + data[end:]

    def _swap(self, data: bytes) -> bytes:
        found = self._found(data)
        if len(found) < 2:
            return data
        (a, b), (c, d) = sorted((self._r.choice(found), self._r.choice(found)))
        return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]

    def _nest(self, data: bytes) -> bytes:
        if not self._form.nests:
            return self._piece(data)
        opens, closes = self._r.choice(self._form.nests)
        deep = self._r.choice((1, 5, 120, 1100, 20_000))
        deep = min(deep, MOST // (4 * len(opens + closes)))
        found = self._found(data)
        start, end = self._r.choice(found) if found else (len(data), len(data))
        closed = closes * (deep if self._r.random() < 0.8 else 0)
        return data[:start] + opens * deep + data[start:end] + closed + data[end:]

    # ── archives ──

    def _archive(self, members: list[tuple[str, bytes]]) -> bytes:
        at = self._r.randrange(len(members))
        name, body = members[at]
        match self._r.choice(("body", "body", "body", "body", "body", "drop", "double", "name", "swap", "large")):
            case "drop":
                del members[at]
            case "double":
                members.append((name, self._plain(body)))
            case "name":
                members[at] = (self._r.choice((name.upper(), "../" + name, "a" * 300, name + "/", "")), body)
            case "swap":
                members[at] = (name, self._r.choice(members)[1])
            case "large":
                members[at] = (name, body + b" " * self._r.choice((1 << 16, 60 << 20 if self._r.random() < 0.1 else 1)))
            case _:
                members[at] = (name, self._plain(body))
        return zipped(members, self._r.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED)))


def unzipped(data: bytes) -> list[tuple[str, bytes]]:
    """The members of an archive; none if it is no archive that can be read, or a large one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(i.file_size for i in archive.infolist()) > 8 << 20:
                return []
            return [(i.filename, archive.read(i)) for i in archive.infolist()]
    except Exception:
        return []


def zipped(members: Sequence[tuple[str, bytes]], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these members, doubled names and all; always the same bytes."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as archive:
        warnings.simplefilter("ignore")
        for name, body in members:
            info = zipfile.ZipInfo(name or "x", (2026, 1, 31, 0, 0, 0))
            info.compress_type = how
            archive.writestr(info, body)
    return out.getvalue()
