"""Calls without a socket: envelopes in, envelopes out, through everything but HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from tieout.sandbox.sage_x3 import Books, Registration
from tieout.sandbox.sage_x3.answer import answer
from tieout.sandbox.sage_x3.app import Site
from tieout.sandbox.sage_x3.contract import OPERATIONS, SOAPENV, WSS
from tieout.sandbox.sage_x3.envelope import asked, fault, rendered
from tieout.sandbox.sage_x3.faults import Fault


class Told:
    """An answer as a client sees it: status (-1 for a SOAP fault), result, messages as (type, text)."""

    def __init__(self, body: bytes) -> None:
        root = etree.fromstring(body, etree.XMLParser(huge_tree=True))
        self.fault = next((e.text or "" for e in root.iter("faultstring")), "")
        self.status = int(next((e.text for e in root.iter("status")), -1))
        self.result = next((e.text for e in root.iter("resultXml")), None)
        self.messages = [(e.findtext("type"), e.findtext("message")) for e in root.iter("multiRef")]
        self.technical = {e.tag: e.text for t in root.iter("technicalInfos") for e in t}


def envelope(operation: str, name: str, context: dict[str, str], parts: dict[str, Any], prefix: str = "") -> bytes:
    out = [f'<s:Envelope xmlns:s="{SOAPENV}" xmlns:w="{WSS}"><s:Body><w:{operation}><callContext>']
    out += [f"<{k}>{escape(v)}</{k}>" for k, v in context.items()]
    out.append(f"</callContext><publicName>{name}</publicName>")
    for part, kind in OPERATIONS[operation].parts:
        value = parts.get(part, "")
        if kind.endswith("KeyValue"):
            items = "".join(f"<i><key>{k}</key><value>{escape(str(v))}</value></i>" for k, v in (value or {}).items())
        elif kind.endswith("xsd_string"):
            items = "".join(f"<i>{v}</i>" for v in value)
        else:
            items = escape(str(value))
        out.append(f"<{prefix}{part}>{items}</{prefix}{part}>")
    return "".join((*out, f"</w:{operation}></s:Body></s:Envelope>")).encode()


class Wire:
    """A host that is called without HTTP."""

    def __init__(self, books: Books, **registration: Any) -> None:
        self.books = books
        self.site = Site(books, Registration(**registration))
        self.context = {"codeLang": "ENG", "poolAlias": next(iter(self.site.pools))}

    def call(self, operation: str, name: str, *, prefix: str = "", context: Any = None, **parts: Any) -> Told:
        return self.send(envelope(operation, name, self.context | (context or {}), parts, prefix))

    def send(self, body: bytes) -> Told:
        prefixes = self.books.switches.undeclared_prefix == "tolerated"
        try:
            one = asked(body, prefixes=prefixes)
            return Told(rendered(one.operation, asyncio.run(answer(self.site, one, {}))))
        except Fault as error:
            return Told(fault(error))
