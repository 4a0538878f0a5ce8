"""Whether a zip is of one reading: every program that unpacks it, from its end or from its beginning, finds the same.

A zip is described twice, before each member and in the directory at its end, and whatever lies between is skipped by
some programs and unpacked by others (APPNOTE.TXT 4.3, 4.5). What a signature was held against must be what people see.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from typing import IO

_LOCAL = struct.Struct("<4sHHHHHIIIHH")  # signature, version, flags, method, time, day, crc, sizes, lengths
_END = 22  # bytes of the record at the very end, if nothing follows
_UTF8 = 0x800
_ZIP64, _IN_EXTRA = 1, 0xFFFFFFFF
_EXTRA = struct.Struct("<HH")


def loose(file: IO[bytes], archive: zipfile.ZipFile) -> str:
    """What is in the file that belongs to no member, or is said twice and differs, in words; "" for a tight one."""
    if archive.comment:
        return "it has a comment"
    at = 0
    for info in sorted(archive.infolist(), key=lambda i: i.header_offset):
        if info.header_offset != at:
            return f"bytes that belong to no member lie before {info.filename!a}"
        wrong, size = _local(file, info)
        if wrong:
            return f"{info.filename!a} {wrong}"
        at += size
    if archive.start_dir != at:
        return "bytes that belong to no member lie before its directory"
    file.seek(at)
    directory = file.read()
    # The end record names the directory's bytes; what is neither is not told of anywhere.
    size = int.from_bytes(directory[-_END:][12:16], "little")
    if directory[-_END:][:4] != b"PK\x05\x06" or (size != _IN_EXTRA and size + _END not in _ends(directory)):
        return "bytes that belong to no member follow its directory"
    return ""


def _ends(directory: bytes) -> tuple[int, ...]:
    """How long a directory with its end may be: with the two records of zip64 before it, where it has them."""
    whole = len(directory)
    return (whole, whole - 76) if directory[-_END - 20 :][:4] == b"PK\x06\x07" else (whole,)


def _local(file: IO[bytes], info: zipfile.ZipInfo) -> tuple[str, int]:
    """What the header before a member says otherwise than the directory; and the bytes of header and member."""
    if info.comment:
        return "has a comment", 0
    if info.is_dir() or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is not a file", 0
    file.seek(info.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) != _LOCAL.size:
        return "is cut off", 0
    _, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(head)
    file.seek(name, 1)  # held against the directory by zipfile
    more = file.read(extra)
    told = _zip64(more)
    if told is None or _zip64(info.extra) is None:
        return "says more than a member of a pack does", 0
    if size == packed == _IN_EXTRA and len(told) == 16:  # two numbers
        size, packed = struct.unpack("<QQ", told)
    elif told:
        return "is described otherwise before it than in the directory", 0
    known = info.flag_bits & ~_UTF8, info.compress_type, info.CRC, info.file_size, info.compress_size
    if (flags & ~_UTF8, method, crc, size, packed) != known or flags & ~_UTF8:
        return "is described otherwise before it than in the directory", 0
    return "", _LOCAL.size + name + extra + packed


def _zip64(extra: bytes) -> bytes | None:
    """The one extra field that a member may have: its sizes; b"" for none, None for any other."""
    if not extra:
        return b""
    if len(extra) < _EXTRA.size:
        return None
    kind, size = _EXTRA.unpack_from(extra)
    return extra[_EXTRA.size :] if kind == _ZIP64 and size == len(extra) - _EXTRA.size else None
