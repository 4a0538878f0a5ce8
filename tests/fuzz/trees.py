"""Mutation that keeps an input well formed: a value, a key or an element of it changes, and what is around it stays.

Bytes that are changed blindly are refused for their form, before what they say is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

BETWEEN = b"\n%%%%\n"  # what stands between two answers of one input
_LEAF = re.compile(rb"(<|&lt;)(\w+)((?:\s[^<>&]*)?)(?:>|&gt;)([^<>&]*)(?:</|&lt;/)\2(?:>|&gt;)")
_ATTRIBUTE = re.compile(rb'\s[\w:]+="([^"<>&]*)"')
_MANY = (2, 2, 3, 40)


class _Pairs(list[Any]):
    """An object as its pairs, in order: a key may stand in it twice."""


class _Raw(str):
    """A number as it is spelled."""

    __slots__ = ()


def documents(choose: Random, data: bytes, tokens: Sequence[bytes], deep: int = 60) -> bytes:
    """The input with another value, key or row in one of its JSON documents; unchanged where there is none.

    deep: documents that nest deeper are left alone
    """
    parts = data.split(BETWEEN)
    at = choose.randrange(len(parts))
    head, _, body = parts[at].rpartition(b"\n") if parts[at][:1].isdigit() else (b"", b"", parts[at])
    try:
        tree = json.loads(body, object_pairs_hook=_Pairs, parse_float=_Raw, parse_int=_Raw, parse_constant=_Raw)
    except (ValueError, RecursionError):
        return data
    if _depth(tree) > deep:
        return data
    holder = [tree]
    _edit(choose, holder, tokens)
    parts[at] = (head + b"\n" if head else b"") + _dumped(holder[0]).encode("utf-8", "surrogatepass")
    return BETWEEN.join(parts)


def _depth(tree: Any) -> int:
    level, depth = [tree], 0
    while level and depth < 1000:
        level, depth = [child for node in level if isinstance(node, list) for child in _children(node)], depth + 1
    return depth


def _children(node: list[Any]) -> Iterator[Any]:
    return (value for _, value in node) if isinstance(node, _Pairs) else iter(node)


def _places(node: list[Any]) -> Iterator[tuple[list[Any], int]]:
    """Every place in which a value stands."""
    for at, value in enumerate(node):
        yield node, at
        inner = value[1] if isinstance(node, _Pairs) else value
        if isinstance(inner, list):
            yield from _places(inner)


def _edit(choose: Random, holder: list[Any], tokens: Sequence[bytes]) -> None:
    places = list(_places(holder))
    node, at = choose.choice(places)
    keyed = isinstance(node, _Pairs)
    other, beside = choose.choice(places)
    theirs = deepcopy(other[beside][1] if isinstance(other, _Pairs) else other[beside])
    old = node[at][1] if keyed else node[at]

    def put(value: Any) -> None:
        node[at] = (node[at][0], value) if keyed else value

    def drop() -> None:
        if node is not holder:
            del node[at]

    def rename() -> None:
        keys = [n[a][0] for n, a in places if isinstance(n, _Pairs)]
        if keyed:
            node[at] = (choose.choice(keys), old)

    edits: tuple[Callable[[], None], ...] = (
        lambda: put(_thing(choose, tokens)),
        lambda: put(_thing(choose, tokens)),
        lambda: put(_thing(choose, tokens)),
        lambda: put(theirs if _depth(theirs) < 8 else None),
        drop,
        drop,
        rename,
        lambda: node.extend([node[at]] * choose.choice(_MANY)) if node is not holder else None,
        lambda: put([old]),
        lambda: put(_Pairs([("value", old)])),
        lambda: put(old[:-1] if isinstance(old, list) else str(old)),
    )
    choose.choice(edits)()


def _thing(choose: Random, tokens: Sequence[bytes]) -> Any:
    token = choose.choice(tokens)
    text = token.decode("utf-8", "replace")
    if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", text) and choose.random() < 0.6:
        return _Raw(text)
    return choose.choice((text, text, text, text.strip('"'), None, True, False, [], _Pairs()))


def _dumped(value: Any) -> str:
    match value:
        case _Raw():
            return str(value)
        case _Pairs():
            return "{" + ",".join(f"{json.dumps(key)}:{_dumped(inner)}" for key, inner in value) + "}"
        case list():
            return "[" + ",".join(map(_dumped, value)) + "]"
    return json.dumps(value)


def elements(choose: Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    """The input with one of its XML elements changed, dropped, doubled or exchanged; elements within text count too."""
    start = choose.randint(0, max(0, len(data) - 8192)) if len(data) > 8192 else 0
    found = list(_LEAF.finditer(data, start, start + 8192))
    if not found:
        return data
    one, other = choose.choice(found), choose.choice(found)
    word = choose.choice(tokens).decode("utf-8", "ignore")
    thing = "".join(c for c in word if c.isprintable() and c not in '<>&"').encode()
    match choose.choice(("text", "text", "text", "text", "attribute", "drop", "double", "other", "theirs")):
        case "drop":
            span, new = one.span(), b""
        case "double":
            span, new = one.span(), one[0] * choose.choice(_MANY)
        case "other":
            span, new = one.span(), other[0]
        case "theirs":
            span, new = one.span(4), other[4]
        case "attribute" if held := list(_ATTRIBUTE.finditer(data, *one.span(3))):
            span, new = choose.choice(held).span(1), choose.choice((thing, *(h[1] for h in held)))
        case _:
            span, new = one.span(4), thing
    return data[: span[0]] + new + data[span[1] :]
