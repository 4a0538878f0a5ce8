"""The one door for XML from outside: no DTD, no entities, nothing external, bounded in size and depth."""

from __future__ import annotations

import re

from lxml import etree

MAX_BYTES = 20_000_000
MAX_DEPTH = 60
MAX_ELEMENTS = 500_000
_FORBIDDEN = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Unreadable(ValueError):
    """The XML is refused; says why."""


def parse(data: bytes, *, recover: bool = False) -> etree._Element:
    """The root element. recover: what libxml2 can mend (undeclared prefixes) is mended. Raises Unreadable."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"more than {MAX_BYTES} bytes")
    if b"\0" in data:
        raise Unreadable("not in UTF-8 or a one-byte encoding")
    if _FORBIDDEN.search(data):
        raise Unreadable("a document type is not accepted")
    parser = etree.XMLParser(
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        strip_cdata=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if root is None:
        raise Unreadable("no element")
    if root.getroottree().docinfo.doctype:
        raise Unreadable("a document type is not accepted")
    _bounded(root)
    return root


def _bounded(root: etree._Element) -> None:
    depth = 0
    for count, (event, _) in enumerate(etree.iterwalk(root, events=("start", "end"))):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise Unreadable(f"deeper than {MAX_DEPTH} elements")
        if count > 2 * MAX_ELEMENTS:
            raise Unreadable(f"more than {MAX_ELEMENTS} elements")


def local(element: etree._Element) -> str:
    """The name without its namespace or undeclared prefix."""
    return str(element.tag).rpartition("}")[2].rpartition(":")[2]


def escaped(text: str) -> str:
    """Text for an element: only & < > are replaced; what XML cannot hold is left out."""
    return _INVALID.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def attribute(text: str) -> str:
    """Text for a quoted attribute."""
    return escaped(text).replace('"', "&quot;")


def cdata(text: str) -> str:
    """A CDATA section, split where the text would end it."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"
