"""The payload inside a Sage X3 call: RESULT to native objects and lists, native objects to PARAM.

Blocks are named by the entry transaction and change with it, so they are read for what they are called now (`Blocks`)
and never known beforehand. Grammar: Sage's online help of the X3 web services.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

Native = Mapping[str, Any]
Row = dict[str, str]


class Unreadable(ValueError):
    """A resultXml that is no RESULT."""


@dataclass(slots=True)
class Blocks:
    """Where a publication's fields stand now. heads: field → its group · grids: column → its grid."""

    heads: dict[str, str] = field(default_factory=dict)
    grids: dict[str, str] = field(default_factory=dict)

    def grid_of(self, row: Mapping[str, str]) -> str | None:
        """The grid that has the most of a row's columns; None if none has any."""
        ids = Counter(self.grids[column] for column in row if column in self.grids)
        return ids.most_common(1)[0][0] if ids else None


def parsed(text: str) -> etree._Element:
    """The root of a resultXml, read without entities, network or DTD. Raises Unreadable."""
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as why:
        raise Unreadable(f"not XML: {why}") from None
    if root is None or root.tag != "RESULT":
        raise Unreadable(f"RESULT expected, {root.tag if root is not None else 'nothing'!s:.40} found")
    if root.getroottree().docinfo.doctype:
        raise Unreadable("a document type, which no answer of X3 has")
    return root


def native(kind: str, result: etree._Element, blocks: Blocks | None = None) -> dict[str, Any]:
    """The native object of a `read`: {object, fields, grids}. blocks: learns where fields stood."""
    fields: dict[str, Any] = {}
    grids: list[list[Row]] = []
    for group in result:
        id = group.get("ID", "")
        if group.tag == "TAB":
            lines = [_row(line) for line in group.iterchildren("LIN")]
            grids.append(lines)
            if blocks is not None:
                blocks.grids |= {column: id for row in lines for column in row}
            continue
        held = {child.get("NAME", ""): _value(child) for child in group.iterchildren("FLD", "LST")}
        fields |= held
        if blocks is not None:
            blocks.heads |= dict.fromkeys(held, id)
    return {"object": kind, "fields": fields, "grids": grids}


def rows(result: etree._Element) -> Iterator[Row]:
    """The lines of a left list, or of the grids of a sub-program's answer."""
    return (_row(line) for line in result.iter("LIN"))


def values(result: etree._Element) -> dict[str, str]:
    """The single fields of a sub-program's answer."""
    return {child.get("NAME", ""): _text(child) for group in result.iterchildren("GRP") for child in group}


def count_of(text: str) -> int | None:
    """The number that a text of digits counts to; None for any other text, and for one that nobody counts to."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def described(text: str) -> Blocks:
    """What a description says of blocks: any element with an ID, and the named fields below it.

    Its form is not documented; what it does not tell is learned from objects.
    """
    found = Blocks()
    for group in parsed(text).iter():
        id = group.get("ID")
        if id is None or not isinstance(group.tag, str):
            continue
        grid = (group.get("DIM") or "1") not in {"", "1"} or group.tag == "TAB"
        names = [child.get("NAME", "") for child in group.iterdescendants("FLD")]
        (found.grids if grid else found.heads).update(dict.fromkeys(names, id))
    return found


def _row(line: etree._Element) -> Row:
    return {child.get("NAME", ""): _text(child) for child in line}


def _value(element: etree._Element) -> str | list[str]:
    return [_text(item) for item in element] if element.tag == "LST" else _text(element)


def _text(element: etree._Element) -> str:
    """All of an element's text. Nearly none has anything in it but text, which is found three times as fast."""
    return "".join(element.itertext()) if len(element) else element.text or ""


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Unplaced(LookupError):
    """A grid's block is not known, so that its lines cannot be sent."""


def param(fields: Mapping[str, Any], grids: Iterable[Iterable[Mapping[str, str]]], blocks: Blocks) -> str:
    """PARAM with each field in its block. A field whose block is unknown stands under the root, where X3 finds it.

    Raises Unplaced for lines of a grid that is not known.
    """
    root = etree.Element("PARAM")
    groups: dict[str | None, etree._Element] = {None: root}
    for name, value in fields.items():
        id = blocks.heads.get(name)
        if id not in groups:
            groups[id] = etree.SubElement(root, "GRP", ID=id or "")
        _put(groups[id], name, value)
    for lines in grids:
        told = list(lines)
        if not told:
            continue
        id = blocks.grid_of(told[0])
        if id is None:
            raise Unplaced(f"no block of the publication has the columns {', '.join(sorted(told[0]))}")
        tab = etree.SubElement(root, "TAB", ID=id)
        for n, row in enumerate(told, 1):
            line = etree.SubElement(tab, "LIN", NUM=str(n))
            for name, value in row.items():
                _put(line, name, value)
    return parameters(root)


def program(**groups: Mapping[str, str] | list[Mapping[str, str]]) -> str:
    """PARAM of a sub-program: groups of single parameters, or of lines."""
    root = etree.Element("PARAM")
    for id, content in groups.items():
        if isinstance(content, list):
            tab = etree.SubElement(root, "TAB", ID=id)
            for n, row in enumerate(content, 1):
                line = etree.SubElement(tab, "LIN", NUM=str(n))
                for name, value in row.items():
                    _put(line, name, value)
        else:
            group = etree.SubElement(root, "GRP", ID=id)
            for name, value in content.items():
                _put(group, name, value)
    return parameters(root)


def parameters(root: etree._Element) -> str:
    told: str = etree.tostring(root, encoding="unicode")
    return told


def _put(parent: etree._Element, name: str, value: Any) -> None:
    if isinstance(value, list):
        held = etree.SubElement(parent, "LST", NAME=name)
        for item in value:
            etree.SubElement(held, "ITM").text = item
    else:
        etree.SubElement(parent, "FLD", NAME=name).text = value
