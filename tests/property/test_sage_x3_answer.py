"""What the short way reads of Sage X3's answers is what zeep reads, and what it asks for is what zeep would ask."""

from __future__ import annotations

import copy

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from lxml import etree

from tests.sage_x3_bench import bench
from tieout.connectors.http import Answer, Transport
from tieout.connectors.sage_x3 import wire as wires
from tieout.connectors.sage_x3.answer import Reply, plain
from tieout.model import Entity
from tieout.sandbox.sage_x3.envelope import Result, rendered
from tieout.sandbox.sage_x3.pool import Taken
from tieout.testing.samples import customer

TECHNICAL = Taken().technical(7)
RESULT = '<?xml version="1.0" encoding="UTF-8"?><RESULT><GRP ID="A"><FLD NAME="N">é &amp; €</FLD></GRP></RESULT>'
ANSWER = rendered("read", Result(1, RESULT, (), TECHNICAL))
CONTEXT = {"codeLang": "ENG", "poolAlias": "POOL", "poolId": "", "requestConfig": ""}
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


class Line(Transport):
    """A line that keeps what is sent, and always has the same answer."""

    sent: bytes = b""

    def send(self, method, url, *, headers, params=None, body=None):
        self.sent = repr((url, sorted(headers.items()))).encode() + body
        return Answer(200, {"Content-Type": "text/xml"}, ANSWER)


def opened():
    line = Line()
    wire = wires.Wire("http://127.0.0.1/x3", "u", "p", "POOL", "ENG", lambda _pace: line)
    with wire._worker() as worker:
        return line, worker


LINE, WORKER = opened()


def by_zeep(body):
    """What zeep reads; None where that is no answer."""
    binding = WORKER.client.wsdl.bindings[wires.BINDING]
    answer = wires._Reply(200, body, {"Content-Type": "text/xml"})
    try:
        return wires._read(binding.process_reply(WORKER.client, binding.get("read"), answer))
    except wires._BROKEN:
        return None


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ("messages", "resultXml", "status", "technicalInfos", "readReturn", "multiRef", "x")
ATTRIBUTES = ({"href": "#id0"}, {f"{XSI}nil": "true"}, {f"{XSI}nil": "false"}, {"id": "id0"}, {"any": "thing"})
TEXTS = ("1", "0", "2", " 1", "1 ", "01", "", "  ", RESULT, "<RESULT/>", "no")


def places(root):
    """Elements that an edit may touch: all but what is in technicalInfos, which nobody reads."""
    return [e for e in root.iter("*") if not any(a.tag == "technicalInfos" for a in e.iterancestors())]


def edited(data, root):
    spot = data.draw(st.sampled_from(places(root)))
    match data.draw(st.sampled_from(["text", "attribute", "drop", "double", "add", "swap", "name", "note"])):
        case "text":
            spot.text = data.draw(st.sampled_from(TEXTS))
        case "attribute":
            spot.attrib.update(data.draw(st.sampled_from(ATTRIBUTES)))
        case "drop" if spot.getparent() is not None:
            spot.getparent().remove(spot)
        case "double" if spot.getparent() is not None:
            spot.getparent().insert(data.draw(st.integers(0, 5)), copy.deepcopy(spot))
        case "add":
            made = etree.SubElement(spot, data.draw(st.sampled_from(NAMES)))
            made.text = data.draw(st.sampled_from(TEXTS))
        case "swap":
            spot[:] = data.draw(st.permutations(list(spot)))
        case "name":
            spot.tag = data.draw(st.sampled_from(NAMES))
        case "note":
            spot.append(data.draw(st.sampled_from([etree.Comment("1"), etree.ProcessingInstruction("a", "b")])))


@given(st.data())
def test_what_is_read_by_shape_is_what_zeep_reads(data):
    root = etree.fromstring(ANSWER)
    whole = copy.deepcopy(next(root.iter("technicalInfos")))
    for _ in range(data.draw(st.integers(0, 3))):
        edited(data, root)
    found = plain(etree.tostring(root), "read")
    event("read by shape" if found else "left to zeep")
    if found is not None:
        for broken in list(root.iter("technicalInfos")):
            broken.getparent().replace(broken, copy.deepcopy(whole))
        assert by_zeep(etree.tostring(root)) == found


@given(st.integers(0, len(ANSWER) - 1))
def test_half_an_answer_is_none(kept):
    assert plain(ANSWER[:kept], "read") is None


@pytest.mark.parametrize("text", [RESULT, " <RESULT/>\n", "é漢🙂 <![CDATA[ < ]] ", "x" * 12_000_000], ids=len)
def test_a_plain_answer_is_read_by_shape(text):
    body = rendered("read", Result(1, text, (), TECHNICAL))
    assert plain(body, "read") == by_zeep(body) == Reply(1, (), text)


@pytest.mark.parametrize(
    "body",
    [
        rendered("read", Result(1, None, (), TECHNICAL)),
        rendered("read", Result(1, " ", (), TECHNICAL)),
        rendered("read", Result(0, None, (("3", "no"),), TECHNICAL)),
        rendered("read", Result(1, RESULT, (("1", "note"),), TECHNICAL)),
        rendered("query", Result(1, RESULT, (), TECHNICAL)),
        ANSWER.replace(b'<?xml version="1.0" encoding="UTF-8"?>', b"<!DOCTYPE x>"),
        ANSWER.replace(b'encoding="UTF-8"', b'encoding="no-such"'),
        b"",
        b"Internal error",
    ],
    ids=["nil", "blank", "refused", "note", "another operation", "document type", "encoding", "empty", "text"],
)
def test_anything_else_is_left_to_zeep(body):
    assert plain(body, "read") is None


def test_every_answer_of_a_quiet_day_is_read_by_shape(monkeypatch):
    left = []

    def seen(body, operation):
        found = plain(body, operation)
        left.extend([] if found else [operation])
        return found

    monkeypatch.setattr(wires, "plain", seen)
    with bench() as x3:
        connector = x3.open(strategy="subprogram")
        connector.company()
        connector.create(customer(1), key="K", marker="TM1")
        assert [o.record.marker for o in connector.pull(Entity.CUSTOMER)] == ["TM1"]
    assert left == []


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

printable = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30)


def asked(name, keys):
    pairs = [{"key": key, "value": value} for key, value in keys]
    WORKER.call("read", {"callContext": CONTEXT, "publicName": name, "objectKeys": pairs})
    return LINE.sent


@given(
    st.lists(st.tuples(st.sampled_from(["WSSIH", "WSGAS"]), st.lists(printable, min_size=1, max_size=2)), max_size=6)
)
def test_a_read_is_asked_for_as_zeep_would(reads):
    WORKER.reads.clear()
    for name, values in reads:
        keys = [*zip(("TYP", "NUM"), values, strict=False)]
        event("in the words of another" if (name, *dict(keys)) in WORKER.reads else "by zeep")
        short = asked(name, keys)
        kept, WORKER.reads = WORKER.reads, {}
        assert asked(name, keys) == short
        WORKER.reads = kept
