"""Sage X3's answers: a plain success read by its one shape, anything else by zeep, after a look at what it refers to.

Nearly every answer of a large pull is a plain success, and zeep takes several times longer over it than the parser:
it types nineteen members of `technicalInfos` that nobody looks at. What this reader takes, zeep reads the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

MOST_ELEMENTS = 100_000
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_WSS = "{http://www.adonix.com/WSS}"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_PARTS = frozenset({"messages", "resultXml", "status", "technicalInfos"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What X3 answered: status 1 (done) or 0 (refused), its messages as (type, text), the result's XML or None."""

    status: int
    messages: tuple[tuple[str, str], ...]
    result: str | None


def plain(body: bytes, operation: str) -> Reply | None:
    """A success with a result, without messages and references; None for every other answer."""
    envelope = _parsed(body)
    told = envelope if envelope is not None and envelope.tag == f"{_SOAP}Envelope" else None
    for tag in (f"{_SOAP}Body", f"{_WSS}{operation}Response", f"{operation}Return"):
        told = told[0] if told is not None and len(told) == 1 and told[0].tag == tag else None
    if told is None or told.get("href") is not None:
        return None
    parts = {part.tag: part for part in told if part.get("href") is None and part.get(_NIL) is None}
    if parts.keys() != _PARTS or len(told) != len(_PARTS):
        return None
    messages, result, status = parts["messages"], parts["resultXml"], parts["status"]
    if len(messages) or len(result) or len(status) or status.text != "1" or not (result.text or "").strip():
        return None
    return Reply(1, (), result.text)


def harmless(body: bytes) -> None:
    """Raises ValueError for an answer whose references lead in a circle, or to more than an answer has.

    zeep puts a copy of what is referred to in the place of each reference, and of the references in it again.
    """
    envelope = _parsed(body)
    if envelope is None:
        return
    # What zeep takes for them: the children of the first body; of several of one id, the last.
    ids = {element.get("id"): element for element in envelope.findall(f"{_SOAP}Body[1]/*[@id]")}
    sizes: dict[str, int] = {}

    def size(element: etree._Element, above: frozenset[str]) -> int:
        return sum(1 + referred(part.get("href") or "", above) for part in element.iter())

    def referred(href: str, above: frozenset[str]) -> int:
        id = href[1:]
        if not href.startswith("#") or id not in ids:
            return 0
        if id in above:
            raise ValueError("its references lead in a circle")
        if id not in sizes:
            sizes[id] = size(ids[id], above | {id})
        return sizes[id]

    if size(envelope, frozenset()) > MOST_ELEMENTS:
        raise ValueError(f"its references lead to more than {MOST_ELEMENTS:,} elements")


def _parsed(body: bytes) -> etree._Element | None:
    """The root, read as zeep reads it; None for what is no XML, or has a document type: zeep says what is wrong."""
    parser = etree.XMLParser(remove_comments=True, resolve_entities=False, no_network=True, huge_tree=True)
    try:
        root = etree.fromstring(body, parser)
    except (etree.LxmlError, ValueError, LookupError):
        return None
    return None if root is None or root.getroottree().docinfo.doctype else root
