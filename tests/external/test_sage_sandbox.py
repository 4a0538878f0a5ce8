"""What other people's SOAP stacks really sent, and the vendor's own description and payloads, against the X3 sandbox.

Everything is read at test time: requests as eight stacks wrote them, the vendor's WSDL, the parameter files of its tester.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from lxml import etree

from tests.conftest import data_root
from tests.unit.sandbox.sage_x3.conftest import customer, fields, invoice, lines
from tests.unit.sandbox.sage_x3.wire import Told, Wire
from tieout.sandbox.sage_x3 import Books, Pool, Publication, Registration, Switches, running
from tieout.sandbox.sage_x3.payload import read
from tieout.sandbox.sage_x3.screens import Block, Field, Screen
from tieout.sandbox.sage_x3.wsdl import wsdl

pytestmark = pytest.mark.external
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"
AT = datetime(2026, 2, 2, 20, tzinfo=UTC)


def folder(*names: str) -> Path:
    return data_root().joinpath("sage", *names)


def there(files: Iterable[Path], kept: Path) -> list[Any]:
    """The files, or one case that is skipped by the name of the folder that should hold them."""
    absent = pytest.mark.skip(f"test data absent: {kept} (set TIEOUT_DATA)")
    return sorted(files) or [pytest.param(kept, marks=absent)]


CAPTURED = there(folder("x3_client_wire").glob("*.xml"), folder("x3_client_wire"))
PAYLOADS = folder("x3_samples", "soap-tester-client")
SAMPLES = there(PAYLOADS.glob("*.XML"), PAYLOADS)


def test_the_data_is_there() -> None:
    if not folder().is_dir():
        pytest.skip(f"test data absent: {folder()} (set TIEOUT_DATA)")
    assert len(CAPTURED) == 8
    assert len(SAMPLES) == 10
    print(f"\n{len(CAPTURED)} captured requests, {len(SAMPLES)} payloads in two forms")


# ---- requests of other stacks

LISTED = ["A-1", "A-2"]
EXPECTED: dict[str, Any] = {
    "dotnet-framework": LISTED,
    "java-axis": LISTED,
    "node-soap": LISTED,
    "php": LISTED,
    "zeep": LISTED,
    "suds": [],  # asks for "A" itself
    "perl": "The call context is missing",  # its arguments became nil on the way
    "gsoap": "Pool  not found",  # a template that nobody has filled in
}


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_a_captured_request_is_answered_as_its_stack_expects(path: Path) -> None:
    books = Books("empty", clock=lambda: AT)
    customer(books)
    customer(books, "C2")
    for num in ("A-1", "B-1", "A-2"):
        invoice(books, NUM=num, post=False)
    registration = Registration(pools=(Pool("SEED"),), publications=(Publication("YWSSIH", "SIH"),))
    with running(books, registration=registration) as live:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"query"'}
        answer = requests.post(
            live.endpoint + "?wsdl",
            data=path.read_bytes(),
            headers=headers,
            auth=(live.user, live.password),
            timeout=10,
        )
    told = Told(answer.content)
    expected = next(value for name, value in EXPECTED.items() if path.stem.startswith(name))
    if isinstance(expected, list):
        assert (answer.status_code, told.status, told.messages) == (200, 1, [])
        assert [row["NUM"] for row in lines(told.result or "")] == expected
    else:
        assert expected in (told.fault, *(text for _, text in told.messages))
        assert answer.status_code == (500 if told.fault else 200)


# ---- the description


def described(text: bytes) -> dict[str, Any]:
    """What a WSDL says, without its order where order means nothing, its prefixes and its address."""
    root = etree.fromstring(text)

    def plain(name: str | None, scope: Any) -> str:
        prefix, _, local = (name or "").rpartition(":")
        return f"{scope.nsmap.get(prefix or None, '')}#{local}"

    types: dict[str, Any] = {}
    for made in root.iter(f"{XSD}complexType"):
        array = next(iter(made.iter(f"{XSD}attribute")), None)
        types[made.get("name")] = (
            [(e.get("name"), plain(e.get("type"), e), e.get("nillable", "false")) for e in made.iter(f"{XSD}element")]
            if array is None
            else re.sub(r"^\w+:", "", array.get(f"{WSDL}arrayType"))
        )
    messages = {
        m.get("name"): [(p.get("name"), plain(p.get("type"), p)) for p in m.findall(f"{WSDL}part")]
        for m in root.findall(f"{WSDL}message")
    }
    port = root.find(f"{WSDL}portType")
    binding = root.find(f"{WSDL}binding")
    service = root.find(f"{WSDL}service")
    imported = next(root.iter(f"{XSD}import"))
    schema = next(root.iter(f"{XSD}schema"))
    return {
        "namespace": root.get("targetNamespace"),
        "types": types,
        "messages": messages,
        "port": port.get("name"),
        "operations": {
            o.get("name"): (
                o.get("parameterOrder"),
                [
                    (e.tag, e.get("name"), plain(e.get("message"), e))
                    for e in o
                    if e.tag in {f"{WSDL}input", f"{WSDL}output"}
                ],
            )
            for o in port.findall(f"{WSDL}operation")
        },
        "binding": (
            binding.get("name"),
            plain(binding.get("type"), binding),
            dict(binding.find(f"{SOAP}binding").attrib).get("style"),
        ),
        "bodies": {
            o.get("name"): [dict(sorted(b.attrib.items())) for b in o.iter(f"{SOAP}body")]
            for o in binding.findall(f"{WSDL}operation")
        },
        "actions": {o.get("soapAction") for o in binding.iter(f"{SOAP}operation")},
        "service": (service.get("name"), [p.get("name") for p in service]),
        "import": dict(imported.attrib),
        "form": schema.get("elementFormDefault"),
    }


def test_our_description_says_what_the_vendors_says() -> None:
    path = folder("x3_wsdl", "CAdxWebServiceXmlCC.wsdl")
    if not path.is_file():
        pytest.skip(f"description absent: {path} (set TIEOUT_DATA)")
    ours, theirs = described(wsdl("http://127.0.0.1/").encode()), described(path.read_bytes())
    assert ours == theirs
    assert len(ours["operations"]) == 12


# ---- payloads of the vendor's tester


def screen_of(root: Any) -> Screen:
    """A screen with just the fields that a payload names."""
    blocks = []
    for part in root:
        names = dict.fromkeys(f.get("NAME") for f in part.iter("FLD", "LST"))
        sized = {f.get("NAME"): int(f.get("SIZE")) for f in part.iter("LST")}
        known = tuple(Field(name, length=100, size=sized.get(name, 1)) for name in names)
        grid = part.tag == "TAB"
        blocks.append(Block(part.get("ID"), known, 300 if grid else 1, f"grid {part.get('ID')}" if grid else ""))
    return Screen("ANY", "", (), (), tuple(blocks))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_payload_means_the_same_in_both_forms(path: Path) -> None:
    screen = screen_of(etree.fromstring(path.read_bytes()))
    one = read(path.read_text("utf-8-sig"), screen, Switches())
    two = read(path.with_suffix(".JSON").read_text("utf-8-sig"), screen, Switches(unknown_field="ignore"))
    shared = one.fields.keys() & two.fields.keys()
    assert len(shared) >= min(len(one.fields), len(two.fields)) - 1
    if "MODIFY" not in path.stem:
        assert {k: one.fields[k] for k in shared} == {k: two.fields[k] for k in shared}
    for grid, rows in one.grids.items():
        if "SAVE" in path.stem:
            assert len(two.grids[grid]) == len(rows)


@pytest.mark.parametrize("suffix", ["XML", "JSON"])
def test_the_testers_customer_is_saved_read_and_changed(suffix: str) -> None:
    save = folder("x3_samples", "soap-tester-client", f"WSBPC_SAVE.{suffix}")
    if not save.is_file():
        pytest.skip(f"payload absent: {save} (set TIEOUT_DATA)")
    w = Wire(Books("empty", clock=lambda: AT))
    saved = w.call("save", "WSBPC", objectXml=save.read_text("utf-8-sig"))
    assert saved.messages == []
    doc = w.books.read("BPC", "WSBPC")
    assert doc is not None
    assert (doc["CUR"], doc["VACBPR"], [a["CODADR"] for a in doc["addresses"]]) == ("USD", "NT", ["MAIN", "ALTE"])
    change = save.with_name(f"WSBPC_MODIFY.{suffix}").read_text("utf-8-sig")
    done = w.call("modify", "WSBPC", objectKeys={"BPCNUM": "WSBPC"}, objectXml=change)
    assert done.messages == []
    told = lines(done.result or "", "BPAC_1")
    assert len(told) == 2
    assert told[0]["ADDLIG1"] == "Main address 1 modified by WS"
    assert (told[0]["CODADR"], told[0]["CTY"], told[1]["CTY"]) == ("MAIN", "Santa Rosa", "San Ramon")
    assert fields(done.result or "")["CUR"] == "USD"


def test_our_result_has_the_shape_of_the_vendors_payload() -> None:
    """Blocks, their dimension, fields in order, types and local menus of a customer."""
    path = folder("x3_samples", "soap-tester-client", "WSBPC_SAVE.XML")
    if not path.is_file():
        pytest.skip(f"payload absent: {path} (set TIEOUT_DATA)")
    w = Wire(Books("empty", clock=lambda: AT))
    ours = etree.fromstring((w.call("save", "WSBPC", objectXml=path.read_text("utf-8-sig")).result or "").encode())
    theirs = etree.fromstring(path.read_bytes())
    blocks = {part.get("ID"): part for part in ours}
    compared = 0
    for part in theirs:
        mine = blocks[part.get("ID")]
        assert (mine.tag, mine.get("DIM"), mine.get("SIZE")) == (part.tag, part.get("DIM"), part.get("SIZE"))
        for own, other in zip(mine.iter("LIN"), part.iter("LIN"), strict=True):
            compared += shape(own, other)
        if part.tag == "GRP":
            compared += shape(mine, part)
    assert compared > 60
    assert (
        json.loads(
            path.with_suffix(".JSON").read_text("utf-8-sig").replace(",\n  }", "\n  }").replace(",\n}", "\n}")
        ).keys()
        <= blocks.keys()
    )


def shape(own: Any, other: Any) -> int:
    """Fields of a group or line that both have: attributes in the vendor's order, and values; ours may have more."""
    mine = {f.get("NAME"): f for f in own}
    order = [f.get("NAME") for f in own if f.get("NAME") in {o.get("NAME") for o in other}]
    assert order == [f.get("NAME") for f in other]
    for f in other:
        m = mine[f.get("NAME")]
        assert (m.tag, list(m.attrib), m.get("TYPE"), m.get("MENULOCAL")) == (
            f.tag,
            list(f.attrib),
            f.get("TYPE"),
            f.get("MENULOCAL"),
        )
    return len(order)
