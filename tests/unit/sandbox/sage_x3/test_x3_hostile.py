"""Whatever a client sends, the sandbox answers in SOAP: a result, an error or a fault; never a crash, never a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.sandbox.sage_x3.conftest import customer, fields, invoice
from tests.unit.sandbox.sage_x3.wire import Wire, envelope
from tieout.sandbox.sage_x3 import Books
from tieout.sandbox.sage_x3.contract import OPERATIONS
from tieout.sandbox.sage_x3.envelope import Result, rendered
from tieout.sandbox.sage_x3.pool import Taken
from tieout.sandbox.sage_x3.screens import INVOICE, PAYMENT
from tieout.sandbox.sage_x3.templates import quoted, split
from tieout.sandbox.sage_x3.xml import MAX_DEPTH, Unreadable, parse

BOOKS = Books("empty")
WHO = customer(BOOKS)
NUM = invoice(BOOKS, post=False)
WIRE = Wire(BOOKS)
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


def read(**context):
    return envelope(
        "read", "WSSIH", {"poolAlias": "SANDBOX", "codeLang": "ENG"} | context, {"objectKeys": {"NUM": NUM}}
    )


@pytest.mark.parametrize("head", [BOMB, FILE, '<!doctype x SYSTEM "http://127.0.0.1:1/x.dtd">', "<!ENTITY a 'b'>"])
def test_a_document_type_is_refused_outside_and_inside(head):
    assert "document type" in WIRE.send(head.encode() + read()).fault
    inner = f'<?xml version="1.0"?>{head}<PARAM><GRP ID="SIH0_1"><FLD NAME="INVREF">&f;&b;</FLD></GRP></PARAM>'
    told = WIRE.call("save", "WSSIH", objectXml=inner)
    assert told.status == 0
    assert "document type" in told.messages[0][1]
    assert WIRE.send((head + read().decode()).encode("utf-16")).fault


def test_depth_size_and_circles_are_bounded():
    with pytest.raises(Unreadable, match="deeper"):
        parse(b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1))
    with pytest.raises(Unreadable, match="bytes"):
        parse(b"<a>" + b" " * 20_000_000 + b"</a>")
    body = read().decode().replace("<callContext>", '<callContext href="#x" id="x">')
    assert "leads nowhere" in WIRE.send(body.encode()).fault
    assert "leads nowhere" in WIRE.send(body.replace('id="x"', 'id="y"').encode()).fault
    assert WIRE.call("save", "WSSIH", objectXml='{"a":' * 3000).status == 0


def test_an_undeclared_prefix_and_unescaped_xml_are_read():
    body = read().decode().replace("<objectKeys>", "<zz:objectKeys>").replace("</objectKeys>", "</zz:objectKeys>")
    assert WIRE.send(body.encode()).status == 1
    plain = (
        read()
        .decode()
        .replace("read", "save")
        .replace("<objectKeys>", "<objectXml>")
        .replace("</objectKeys>", "</objectXml>")
    )
    start, end = plain.index("<objectXml>") + 11, plain.index("</objectXml>")
    payload = '<PARAM><GRP ID="SIH0_1"><FLD NAME="SALFCY">HLS01</FLD></GRP></PARAM>'
    told = WIRE.send((plain[:start] + payload + plain[end:]).encode())
    assert told.messages == [("3", "SIVTYP: mandatory field")]


TEXTS = st.text(max_size=30) | st.sampled_from(
    ["]]>", "<", "&amp;", "\x00\x01", "é€😀", "'\"", "20260101", "HLS01", WHO]
)
NAMES = st.sampled_from(
    [*INVOICE.heads, *PAYMENT.heads, "ITMREF", "QTY", "NETPRI", "DENCOD", "AMTLIN", "VCRNUM", "NIX"]
)
BLOCKS = st.sampled_from([*(b.id for b in (*INVOICE.blocks, *PAYMENT.blocks)), "NIX"])
MEMBERS = st.dictionaries(NAMES, TEXTS | st.lists(TEXTS, max_size=2), max_size=4)
PAYLOADS = st.dictionaries(BLOCKS, MEMBERS | st.lists(MEMBERS, max_size=2) | TEXTS, max_size=4)


@settings(max_examples=200)
@given(
    st.sampled_from(["WSSIH", "WSPAY", "WSBIC", "AOWSEXPORT", "ZARDUD", "AOWSIMPORT"]),
    st.sampled_from(sorted(OPERATIONS)),
    PAYLOADS | TEXTS,
    TEXTS,
)
def test_any_call_is_answered(name, operation, payload, text):
    parts = {
        part: json.dumps(payload) if part.endswith("Xml") else text
        for part, kind in OPERATIONS[operation].parts
        if kind == "xsd:string"
    }
    parts |= {"objectKeys": {"NUM": _clean(text)}, "lineKeys": [_clean(text)], "listSize": "5"}
    told = WIRE.call(operation, name, **{k: _clean(v) if isinstance(v, str) else v for k, v in parts.items()})
    assert told.fault or told.status in {0, 1}
    assert (told.status == 1) == (told.result is not None)
    BOOKS.check()


def _clean(text):
    """What XML can carry at all."""
    return (
        "".join(c for c in text if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff")
        .replace("&", "")
        .replace("<", "")
    )


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode), st.integers(0, 400))
def test_any_bytes_are_answered(junk, at):
    whole = read()
    for body in (junk, whole[:at] + junk + whole[at:], whole[:at]):
        told = WIRE.send(body)
        assert told.fault or told.status in {0, 1}


@given(st.text(max_size=60))
def test_any_text_comes_back_as_it_was(text):
    told = WIRE.call("modify", "WSSIH", objectKeys={"NUM": NUM}, objectXml=json.dumps({"SIH2_3": {"DES": [text[:30]]}}))
    assert told.status == 1, told.messages
    stored = BOOKS.read("SIH", NUM)["DES"][0]
    back = etree.fromstring(told.result.encode())
    shown = next(e for e in back.iter("LST") if e.get("NAME") == "DES")[0].text or ""
    assert shown.split() == _clean_inner(stored).split()


def _clean_inner(text):
    return "".join(
        c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )


@given(
    st.lists(
        st.lists(st.text(max_size=12), min_size=1, max_size=4).filter(lambda r: r not in (["END"], [""])), max_size=5
    ),
    st.sampled_from("|#\n"),
)
def test_any_record_is_read_as_it_was_written(records, separator):
    text = separator.join([*(";".join(quoted(v, separator) for v in r) for r in records), "END"])
    assert split(text, separator) == records


@given(st.text(max_size=50).map(_clean_inner))
def test_a_result_never_breaks_out_of_its_section(text):
    body = rendered("run", Result(1, text + "]]>" + text, (), _technical()))
    assert next(etree.fromstring(body).iter("resultXml")).text == (text + "]]>" + text).replace("\r\n", "\n").replace(
        "\r", "\n"
    )


def _technical():
    return Taken().technical(1)


def test_a_control_character_does_not_break_the_answer():
    told = WIRE.call(
        "save", "WSBPC", objectXml=json.dumps({"BPC0_1": {"BCGCOD": "DOMC", "BPCNUM": "H1", "BPCNAM": "a\x01b"}})
    )
    assert fields(told.result)["BPCNAM"] == "ab"
