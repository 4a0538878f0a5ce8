"""SOAP 1.1 with section-5 encoding, both ways: what clients of every make send, and what X3 answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from .contract import OPERATIONS, SOAPENC, SOAPENV, STRUCTURES, WSS, XSD, XSI
from .faults import Fault
from .xml import Unreadable, cdata, escaped, local, parse

_NIL, _ID, _HREF = f"{{{XSI}}}nil", "id", "href"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as it arrived. An absent or nil text is "". keys: in order; several may have one name.

    given: the parts that were there and not nil.
    """

    operation: str
    name: str = ""
    context: dict[str, str] = field(default_factory=dict)
    has_context: bool = True
    texts: dict[str, str] = field(default_factory=dict)
    keys: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def config(self) -> dict[str, str]:
        """requestConfig, split."""
        parts = self.context.get("requestConfig", "").strip().split("&")
        return {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in parts) if k.strip()}


@dataclass(frozen=True, slots=True)
class Result:
    """What a call returns. result None is nil. messages: (type, text) in order."""

    status: int
    result: str | None
    messages: tuple[tuple[str, str], ...]
    technical: dict[str, Any]


def asked(body: bytes, *, prefixes: bool = True) -> Asked:
    """Reads a request. prefixes: undeclared namespace prefixes are tolerated. Raises Fault."""
    try:
        root = parse(body, recover=prefixes)
    except Unreadable as error:
        raise Fault("Client", f"the envelope cannot be read: {error}") from error
    if root.tag != f"{{{SOAPENV}}}Envelope":
        raise Fault("VersionMismatch", "not a SOAP 1.1 envelope")
    parts = [child for child in root if local(child) == "Body"]
    if not parts or not len(parts[0]):
        raise Fault("Client", "the envelope has no body")
    tree = _Tree(parts[0])
    call = parts[0][0]
    operation = OPERATIONS.get(local(call))
    if operation is None:
        raise Fault("Client", f"no such operation: {local(call)[:80]}")
    given = {local(child): tree.follow(child) for child in call}
    context = given.get("callContext")
    texts: dict[str, str] = {}
    keys: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    for part, kind in operation.parts:
        element = given.get(part)
        if kind.endswith("KeyValue"):
            keys = tree.pairs(element)
        elif kind.endswith("xsd_string"):
            lines = tree.strings(element)
        else:
            texts[part] = tree.text(element)
    return Asked(
        operation.name,
        tree.text(given.get("publicName")).strip(),
        {local(child): tree.text(tree.follow(child)).strip() for child in context} if context is not None else {},
        context is not None and not tree.nil(context),
        texts,
        keys,
        lines,
    )


class _Tree:
    """A SOAP body with its references."""

    def __init__(self, body: etree._Element) -> None:
        self.ids = {e.get(_ID): e for e in body.iter() if isinstance(e.tag, str) and e.get(_ID)}

    def follow(self, element: etree._Element) -> etree._Element:
        """The element that an href leads to, over any number of steps. Raises Fault for a circle or a lost end."""
        seen = set()
        while (href := element.get(_HREF)) is not None:
            target = self.ids.get(href[1:]) if href.startswith("#") else None
            if target is None or href in seen:
                raise Fault("Client", f"the reference {href[:80]} leads nowhere")
            seen.add(href)
            element = target
        return element

    def nil(self, element: etree._Element) -> bool:
        return element.get(_NIL, "").strip() in {"true", "1"}

    def text(self, element: etree._Element | None) -> str:
        """The element's text; XML that stands in it unescaped is given back as text."""
        if element is None or self.nil(element):
            return ""
        if len(element):
            return (element.text or "") + "".join(etree.tostring(child, encoding="unicode") for child in element)
        return element.text or ""

    def pairs(self, array: etree._Element | None) -> tuple[tuple[str, str], ...]:
        """Key and value of every item, whatever the items are called; one item may hold several pairs."""
        found: list[tuple[str, str]] = []
        for item in () if array is None else array:
            key: str | None = None
            for member in self.follow(item):
                text = self.text(self.follow(member))
                if local(member) == "key":
                    key = text.strip()
                elif local(member) == "value" and key is not None:
                    found.append((key, text))
                    key = None
        return tuple(found)

    def strings(self, array: etree._Element | None) -> tuple[str, ...]:
        return () if array is None else tuple(self.text(self.follow(item)).strip() for item in array)


_HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{SOAPENV}" xmlns:xsd="{XSD}" '
    f'xmlns:xsi="{XSI}" xmlns:soapenc="{SOAPENC}" xmlns:wss="{WSS}"><soapenv:Body>'
)
_TAIL = "</soapenv:Body></soapenv:Envelope>"
_STYLE = f'soapenv:encodingStyle="{SOAPENC}"'


def rendered(operation: str, answer: Result) -> bytes:
    """The response: messages as references to elements behind the response element, type before message."""
    refs = "".join(f'<messages href="#id{n}"/>' for n in range(len(answer.messages)))
    array = f'<messages xsi:type="soapenc:Array" {_STYLE} soapenc:arrayType="wss:CAdxMessage[{len(answer.messages)}]"'
    out = [
        _HEAD,
        f"<wss:{operation}Response {_STYLE}>",
        f'<{operation}Return xsi:type="wss:CAdxResultXml">',
        f"{array}>{refs}</messages>" if refs else f"{array}/>",
        '<resultXml xsi:type="xsd:string" xsi:nil="true"/>'
        if answer.result is None
        else f'<resultXml xsi:type="xsd:string">{cdata(answer.result)}</resultXml>',
        f'<status xsi:type="xsd:int">{answer.status}</status>',
        '<technicalInfos xsi:type="wss:CAdxTechnicalInfos">',
        *(_technical(name, kind, answer.technical[name]) for name, kind, _ in STRUCTURES["CAdxTechnicalInfos"]),
        f"</technicalInfos></{operation}Return></wss:{operation}Response>",
    ]
    for n, (level, text) in enumerate(answer.messages):
        out.append(
            f'<multiRef id="id{n}" soapenc:root="0" {_STYLE} xsi:type="wss:CAdxMessage">'
            f"<type>{level}</type><message>{escaped(text)}</message></multiRef>"
        )
    return "".join((*out, _TAIL)).encode()


def _technical(name: str, kind: str, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:type="{kind}" xsi:nil="true"/>'
    if value == "":
        return f'<{name} xsi:type="{kind}"/>'
    shown = str(value).lower() if isinstance(value, bool) else escaped(str(value))
    return f'<{name} xsi:type="{kind}">{shown}</{name}>'


def fault(error: Fault) -> bytes:
    """A SOAP fault."""
    return (
        f"{_HEAD}<soapenv:Fault><faultcode>soapenv:{error.code}</faultcode>"
        f"<faultstring>{escaped(error.text)}</faultstring></soapenv:Fault>{_TAIL}"
    ).encode()
