"""The packaged WSDL beside the vendor's own, and real answers of an X3 read by the connector's own code."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from tieout.connectors.sage_x3 import open_sage_x3
from tieout.connectors.sage_x3.payload import native, parsed
from tieout.connectors.sage_x3.wire import Refused, _packaged
from tieout.sandbox import faults as sandbox_faults

pytestmark = pytest.mark.external
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"


def local(value):
    return (value or "").rpartition(":")[2]


def contract(root):
    """What a client needs of a WSDL: operations with their parts, types with their elements, all in order."""
    messages = {
        m.get("name"): [(p.get("name"), local(p.get("type"))) for p in m.iterchildren(f"{WSDL}part")]
        for m in root.iter(f"{WSDL}message")
    }
    operations = {
        o.get("name"): [
            messages[local(o.find(f"{WSDL}{way}").get("message"))] for way in ("input", "output")
        ]
        for o in root.find(f"{WSDL}portType").iterchildren(f"{WSDL}operation")
    }  # fmt: skip
    types = {
        t.get("name"): [(e.get("name"), local(e.get("type"))) for e in t.iter(f"{XSD}element")]
        for t in root.iter(f"{XSD}complexType")
    }
    return root.get("targetNamespace"), operations, types


def test_the_packaged_wsdl_says_what_the_vendors_says(data_dir):
    theirs = contract(etree.parse(data_dir / "sage" / "x3_wsdl" / "CAdxWebServiceXmlCC.wsdl").getroot())
    ours = contract(etree.fromstring(_packaged("sage_x3.wsdl")))
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert len(ours[1]) == 12
    assert ours[2] == theirs[2]


def answer(data_dir, kind):
    """A recorded answer of `save`, with the number that stands in its template."""
    folder = data_dir / "sage" / "x3_samples" / "fccn"
    found = sorted(folder.glob(f"*{kind}*.xml"))
    if not found:
        pytest.skip(f"test data absent: {folder}/*{kind}*.xml")
    return found[0].read_bytes().strip()


def served(body):
    """A `save` whose answer are these bytes."""
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/xml")]})
        await send({"type": "http.response.body", "body": body})

    with sandbox_faults.listening(app) as port:
        settings = {
            "url": f"http://127.0.0.1:{port}/x3", "user": "u", "pool": "P", "company": "C", "currency": "EUR",
            "services": {"SIH": "YWSSIH"},
        }  # fmt: skip
        connector = open_sage_x3("x3", settings=settings, secrets={"password": "p"}, clock=lambda: None)
        try:
            return connector._wire.write("save", publicName="YWSSIH", objectXml="<PARAM/>")
        finally:
            connector.close()


def test_a_real_answer_to_a_save_is_read(data_dir):
    reply = served(answer(data_dir, "success"))
    assert (reply.status, reply.messages) == (1, ())
    found = native("SIH", parsed(reply.result))
    assert found["fields"]["SALFCY"] == "SED"
    assert re.fullmatch(r"\S+-23/\S+", found["fields"]["NUM"])
    assert any("ITMREF" in row for grid in found["grids"] for row in grid)


def test_a_real_refusal_of_a_second_document_names_the_first(data_dir):
    with pytest.raises(Refused) as why:
        served(answer(data_dir, "error"))
    [(kind, text)] = why.value.reply.messages
    assert kind == "3"
    assert re.search(r"registada no documento: \S+-23/\S+", text)
