"""Bytes of a file to text, without guessing and without silent replacement.

Order: byte-order mark, NUL pattern of UTF-16, strict UTF-8, the declared code page, else refusal with a sample.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tieout.errors import ProfileError

_CHUNK = 1 << 19  # bytes: what fits the processor's own memory is looked at many times in the time of a few
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    (b"PK\x03\x04", "xlsx"),
    (b"PK\x05\x06", "xlsx"),
    (b"\xd0\xcf\x11\xe0", "xls"),
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "gzip"),
    (b"<?xml", "xml"),
    (b"<html", "html"),
    (b"<!DOCTYPE html", "html"),
)
_NOT_TABLES = {
    "xls": ("an old Excel workbook, or one with a password", "save it as .xlsx without a password, or as CSV"),
    "pdf": ("a PDF", "export the list as CSV or .xlsx"),
    "gzip": ("compressed", "unpack it first"),
    "xml": ("XML", "export the list as CSV or .xlsx"),
    "html": ("a web page, not a table", "export the list as CSV or .xlsx"),
}
# What UTF-8 writes a character with that is stripped, folded or refused on reading: NBSP, soft hyphen, those beside
# them, and all that are invisible. Most files of Latin text have none of these bytes.
_RARE = (0xC2, 0xD8, 0xE1, 0xE2, 0xE3, 0xEF)
_CONTROLS = tuple(bytes([n]) for n in (*range(9), 11, 12, *range(14, 32), 127))


@dataclass(frozen=True, slots=True)
class Text:
    """A file as UTF-8 text. path: the file itself, or a transcoded copy · plain: DuckDB may split it as it is

    plain means: no control characters, and one kind of line end · usual: no character that is invisible, or a space
    other than the plain one · tabs: how many
    """

    path: Path
    encoding: str
    sha256: str
    plain: bool
    usual: bool
    tabs: int
    lines: int
    temporary: bool


def kind(path: Path) -> str:
    """`xlsx` or `text` by the first bytes. Raises ProfileError for anything that is no table, or no regular file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ProfileError(
            f"{path}: cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None
    if not stat.S_ISREG(mode):
        raise ProfileError(f"{path}: not a regular file", hint="save what it gives in a file, and name that")
    try:
        with path.open("rb") as f:
            head = f.read(64)
    except OSError as error:
        raise ProfileError(
            f"{path}: cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None
    found = next((name for magic, name in _MAGIC if head.lstrip().startswith(magic)), "text")
    if found in _NOT_TABLES:
        what, hint = _NOT_TABLES[found]
        raise ProfileError(f"{path}: {what}", hint=hint)
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def decode(path: Path, declared: str | None) -> Text:
    """The text of a file. Raises ProfileError, with a sample, where the encoding is not certain."""
    with path.open("rb") as f:
        head = f.read(4096)
    if not head.strip(b"\0 \r\n\t"):
        raise ProfileError(f"{path}: the file {'holds no text' if head else 'is empty'}", hint="export it again")
    marked = next((name for mark, name in _BOMS if head.startswith(mark)), None) or _utf16_by_nul(head)
    if marked and marked != "utf-8-sig":
        return _transcode(path, marked)
    found = _scan(path)
    if found is not None:
        return _text(path, marked or "utf-8", *found, temporary=False)
    if marked is None and declared is not None:
        return _transcode(path, declared)
    number, sample = first_bad_line(path)
    raise ProfileError(
        f"{path}: not UTF-8 (line {number}: {sample!r})",
        hint='name the code page in the profile, for instance [file] encoding = "cp1252"; '
        "`tieout profile infer` shows how the text would read",
    )


def _text(path: Path, encoding: str, sha256: str, survey: Survey, *, temporary: bool) -> Text:
    return Text(path, encoding, sha256, survey.plain, survey.usual, survey.tabs, survey.lines, temporary)


def _utf16_by_nul(head: bytes) -> str | None:
    """UTF-16 without a mark: nearly every other byte is NUL, always on the same side."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.6 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


class Survey:
    """What the bytes of a UTF-8 text are like, chunk by chunk."""

    def __init__(self) -> None:
        self.breaks = self.tabs = self._returns = self._pairs = 0
        self.controls = False
        self.usual = True
        self._mark = codecs.BOM_UTF8  # the only rare character that means nothing, at the very beginning
        self._last = b"\n"

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        self.breaks += chunk.count(b"\n")
        if b"\r" in chunk:  # to look for what is not there takes a thirtieth of counting it
            self._returns += chunk.count(b"\r")
            self._pairs += chunk.count(b"\r\n")
        self._pairs += self._last == b"\r" and chunk.startswith(b"\n")
        if b"\t" in chunk:
            self.tabs += chunk.count(b"\t")
        self.controls = self.controls or any(c in chunk for c in _CONTROLS)
        text, self._mark = chunk.removeprefix(self._mark), b""
        self.usual = self.usual and not any(c in text for c in _RARE)
        self._last = chunk[-1:]

    @property
    def plain(self) -> bool:
        """No control characters, and one kind of line end throughout."""
        return not self.controls and self._returns == self._pairs and self._pairs in (0, self.breaks)

    @property
    def lines(self) -> int:
        return self.breaks + (self._last != b"\n")


def _scan(path: Path) -> tuple[str, Survey] | None:
    """(sha256, survey) of a UTF-8 file in one pass; None if it is not UTF-8."""
    sha, survey = hashlib.sha256(), Survey()
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as f, ThreadPoolExecutor(max_workers=1) as beside:
            hashed = beside.submit(sha.update, b"")
            while chunk := f.read(_CHUNK):
                hashed.result()
                hashed = beside.submit(sha.update, chunk)
                survey.feed(chunk)
                if not chunk.isascii() or decoder.getstate()[0]:
                    decoder.decode(chunk)
            hashed.result()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return sha.hexdigest(), survey


def has_blank_lines(text: Text) -> bool:
    """Whether any line is empty but for its end."""
    with text.path.open("rb") as f:
        return any(not line.strip(b"\r\n") for line in f)


def _transcode(path: Path, encoding: str) -> Text:
    """A UTF-8 copy. Raises ProfileError at the first byte that the encoding does not have."""
    sha = hashlib.sha256()
    decoder = codecs.getincrementaldecoder(encoding)()
    handle, name = tempfile.mkstemp(prefix="tieout-", suffix=".txt")
    survey = Survey()
    try:
        with path.open("rb") as source, os.fdopen(handle, "wb") as target:
            while True:
                chunk = source.read(_CHUNK)
                sha.update(chunk)
                out = decoder.decode(chunk, final=not chunk).encode()
                target.write(out)
                survey.feed(out)
                if not chunk:
                    break
    except UnicodeError as error:
        Path(name).unlink()
        number, sample = first_bad_line(path, encoding)
        raise ProfileError(
            f"{path}: not {encoding} (line {number}: {sample!r}): {getattr(error, 'reason', error)}",
            hint="the file has another encoding than its profile says",
        ) from None
    return _text(Path(name), encoding, sha.hexdigest(), survey, temporary=True)


def first_bad_line(path: Path, encoding: str = "utf-8") -> tuple[int, str]:
    """(1-based number, beginning as latin-1) of the first line that does not decode."""
    with path.open("rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                line.decode(encoding)
            except UnicodeError:
                bad = re.search(rb"[^\x00-\x7f]", line)
                start = max(0, (bad.start() if bad else 0) - 20)
                return number, line[start : start + 60].decode("latin-1").strip()
    return 0, ""


def lines(text: Text) -> Iterator[str]:
    """The file's lines with their ends as they are, as the csv module wants them."""
    with text.path.open(encoding="utf-8-sig", newline="") as f:
        yield from f
