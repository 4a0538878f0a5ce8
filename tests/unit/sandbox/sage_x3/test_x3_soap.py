"""The SOAP face, driven by zeep: the twelve operations, errors, sign-in, pools' context, languages."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import requests
import zeep
from lxml import etree

from tests.unit.sandbox.sage_x3.conftest import Client, Offline, customer, fields, invoice, item, line, lines, texts

SALE = (
    '<PARAM><GRP ID="SIH0_1"><FLD NAME="SALFCY">HLS01</FLD><FLD NAME="SIVTYP">INV</FLD><FLD NAME="BPCINV">C1</FLD>'
    '<FLD NAME="INVREF">PO 7 &amp; 8</FLD></GRP><TAB ID="SIH4_1"><LIN><FLD NAME="ITMREF">PUMP</FLD>'
    '<FLD NAME="QTY">2</FLD></LIN></TAB></PARAM>'
)


def test_a_document_goes_in_and_comes_out(books, client):
    customer(books)
    saved = client.call("save", "WSSIH", objectXml=SALE)
    assert (saved.status, saved.messages) == (1, [])
    told = fields(saved.resultXml)
    assert (told["NUM"], told["INVREF"], told["INVNOT"], told["INVATI"]) == (
        "INV-26/00001",
        "PO 7 & 8",
        "299.8",
        "359.76",
    )
    read = client.call("read", "WSSIH", objectKeys={"NUM": told["NUM"]})
    assert read.resultXml == saved.resultXml
    assert books.read("SIH", told["NUM"])["INVREF"] == "PO 7 & 8"
    assert [(e.object, e.op, e.key, e.reference, e.by) for e in books.effects][-1] == (
        ("SIH", "create", ("INV-26/00001",), "PO 7 & 8", "api")
    )


def test_modify_changes_what_is_given_only(books, client):
    customer(books)
    num = invoice(books, post=False, lines=[line("10"), line("20")], INVREF="old")
    change = '<PARAM><GRP ID="SIH0_1"><FLD NAME="INVREF">new</FLD></GRP><TAB ID="SIH4_1"><LIN NUM="2"><FLD NAME="QTY">3</FLD></LIN></TAB></PARAM>'
    done = client.call("modify", "WSSIH", objectKeys={"NUM": num}, objectXml=change)
    assert done.status == 1
    assert [r["QTY"] for r in lines(done.resultXml, "SIH4_1")] == ["1", "3"]
    assert fields(done.resultXml)["INVATI"] == "70"
    added = '<PARAM><TAB ID="SIH4_1"><LIN><FLD NAME="ITMREF">FREE</FLD><FLD NAME="QTY">1</FLD></LIN></TAB></PARAM>'
    more = client.call("insertLines", "WSSIH", objectKeys={"NUM": num}, blocKey="SIH4_1", lineKey="1", lineXml=added)
    assert [r["ITMREF"] for r in lines(more.resultXml, "SIH4_1")] == ["SERVICE", "SERVICE", "FREE"]
    less = client.call("deleteLines", "WSSIH", objectKeys={"NUM": num}, blocKey="SIH4_1", lineKeys=["1", "3"])
    assert [r["QTY"] for r in lines(less.resultXml, "SIH4_1")] == ["3"]
    gone = client.call("delete", "WSSIH", objectKeys={"NUM": num})
    assert gone.status == 1
    assert books.read("SIH", num) is None


def test_an_action_posts_and_a_posted_invoice_stays(books, client):
    customer(books)
    num = invoice(books, post=False)
    code = "POST"
    assert f'<ACTION CODE="{code}"/>' in client.call("getDescription", "WSSIH").resultXml
    done = client.call("actionObjectKeys", "WSSIH", actionCode=code, objectKeys={"NUM": num})
    assert done.status == 1
    assert item(books, num)["AMTCUR"] == 100
    change = '<PARAM><GRP ID="SIH0_1"><FLD NAME="INVREF">x</FLD></GRP></PARAM>'
    assert texts(client.call("modify", "WSSIH", objectKeys={"NUM": num}, objectXml=change)) == [
        f"Invoice {num} is posted: no modification possible"
    ]
    payload = f'<PARAM><GRP ID="SIH0_1"><FLD NAME="NUM">{num}</FLD></GRP></PARAM>'
    assert texts(client.call("actionObject", "WSSIH", actionCode="NONE", objectXml=payload)) == [
        "Action NONE is not available"
    ]


def test_a_left_list_has_keys_and_a_size(books, client):
    for number in ("A1", "A2", "B1"):
        customer(books, number)
    listed = client.call("query", "WSBPC", objectKeys={"BPCNUM": "A*"}, listSize=10)
    assert [r["BPCNUM"] for r in lines(listed.resultXml)] == ["A1", "A2"]
    assert 'SIZE="2"' in listed.resultXml
    assert [r["BPCNUM"] for r in lines(client.call("query", "WSBPC", objectKeys={}, listSize=1).resultXml)] == ["A1"]
    assert texts(client.call("query", "WSBPC", objectKeys={"NIX": "1"}, listSize=1)) == ["Key field NIX is not known"]


def test_payments_allocate(books, client):
    customer(books)
    num = invoice(books)
    payment = {
        "PAY1_1": {"FCY": "HLS01", "BPR": "C1"},
        "PAY1_2": {"CUR": "EUR", "AMTCUR": "60.5", "REF": "R1"},
        "PAY1_4": [{"DENCOD": "ALLOC", "VCRNUM": num, "AMTLIN": "60.5"}],
    }
    done = client.call("save", "WSPAY", objectXml=json.dumps(payment))
    told = fields(done.resultXml)
    assert (told["NUM"], told["TOTIMPUT"], told["RSTIMPUT"], told["VCRTYP"]) == ("PY126000001", "60.5", "0", "INV")
    assert item(books, num)["PAYCUR"] + item(books, num)["TMPCUR"] == Decimal("60.5")
    books.check()


def test_bp_invoices_on_accounts(books, client):
    customer(books)
    given = {
        "BIC0_1": {"FCY": "HLS01", "SIVTYP": "INV", "BPR": "C1", "ACCDAT": "20260115"},
        "BIC1_1": {"BPRVCR": "SRC-1"},
        "BIC2_1": [{"ACC": "706000", "AMTNOTLIN": "200", "VAT": "RED"}, {"ACC": "701000", "AMTNOTLIN": "10"}],
    }
    done = client.call("save", "WSBIC", objectXml=json.dumps(given))
    told = fields(done.resultXml)
    assert (told["AMTNOT"], told["AMTATI"], told["BPRVCR"]) == ("210", "221", "SRC-1")
    assert texts(client.call("read", "WSSIH", objectKeys={"NUM": told["NUM"]})) == [
        f"SIH {told['NUM']}: no such record"
    ]


def test_json_comes_back_as_texts_with_labels(books, serve):
    customer(books)
    client = Client(serve(books), requestConfig="\n adxwss.optreturn=JSON&adxwss.beautify=false ", codeLang="FRA")
    told = json.loads(client.call("read", "WSBPC", objectKeys={"BPCNUM": "C1"}).resultXml)
    assert told["BPC0_1"]["BPCSTA"] == "2"
    assert told["BPC0_1"]["BPCSTA_LBL"] == "Oui"
    assert told["BPRC_1"]["BPRNAM"] == ["Customer C1", ""]
    assert json.loads(client.call("query", "WSBPC", objectKeys={}, listSize=5).resultXml)[0]["BPCNUM"] == "C1"


@pytest.mark.parametrize(
    ("language", "text"), [("ENG", "no such record"), ("FRA", "fiche inexistante"), ("POR", "registo inexistente")]
)
def test_errors_speak_the_callers_language(books, serve, language, text):
    client = Client(serve(books), codeLang=language)
    (told,) = texts(client.call("read", "WSSIH", objectKeys={"NUM": "nix"}))
    assert text in told


def test_without_a_user_nothing_is_answered(books, serve):
    live = serve(books)
    for auth in (None, (live.user, "wrong"), ("x", live.password)):
        answer = requests.post(live.endpoint, data=b"<a/>", auth=auth, timeout=5)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="Syracuse"')
        assert requests.get(live.wsdl_url, auth=auth, timeout=5).status_code == 401
    assert live.password not in repr(live)


def test_what_is_wrong_with_the_call_itself(books, serve):
    live = serve(books)
    with pytest.raises(zeep.exceptions.Fault, match="Pool sandbox not found"):
        Client(live, poolAlias="sandbox").call("read", "WSSIH", objectKeys={"NUM": "1"})
    assert texts(Client(live).call("read", "NIX", objectKeys={"NUM": "1"})) == ["Unknown web service (NIX)"]
    assert texts(Client(live, codeLang="XXX").call("read", "WSSIH", objectKeys={"NUM": "1"})) == [
        "Unknown language XXX"
    ]
    (told,) = texts(Client(live).call("run", "WSSIH", inputXml="<PARAM/>"))
    assert told == "Operation run does not apply to web service WSSIH"


class Watched(zeep.Transport):
    """Loads from this machine only."""

    def load(self, url):
        if "127.0.0.1" not in url:
            raise ConnectionError(url)
        return super().load(url)


def watched(live, kind=Watched):
    session = requests.Session()
    session.auth = (live.user, live.password)
    return kind(session=session, timeout=5)


def test_the_description_leaves_a_schema_to_the_internet_unless_asked_for_a_place(books, serve):
    live = serve(books)
    with pytest.raises(ConnectionError, match=r"schemas\.xmlsoap\.org"):
        zeep.Client(live.wsdl_url, transport=watched(live))
    auth = (live.user, live.password)
    plain, placed = (requests.get(live.wsdl_url + more, auth=auth, timeout=5).text for more in ("", "&offline=1"))
    place = f' schemaLocation="{live.base_url}/schemas/soap-encoding.xsd"'
    assert "schemaLocation" not in plain
    assert placed.replace(place, "") == plain
    schema = etree.XMLSchema(etree.fromstring(requests.get(place.split('"')[1], timeout=5).content))
    assert schema.validate(
        etree.fromstring('<e:Array xmlns:e="http://schemas.xmlsoap.org/soap/encoding/"><x/></e:Array>')
    )
    old = f"{live.base_url}/adxwsvc/services/CAdxWebServiceXmlCC"
    assert requests.get(old + "?wsdl", auth=auth, timeout=5).text == plain
    assert requests.post(old, data=b"<x/>", auth=auth, timeout=5).status_code == 405


def test_zeep_as_it_comes_does_not_read_an_error(books, serve):
    """Why its settings matter: as they come it fails, and with strict=False the text is lost."""
    live = serve(books)
    keys = [{"key": "NUM", "value": "nix"}]
    asked = {"publicName": "WSSIH", "objectKeys": keys, "callContext": {"poolAlias": live.pool}}
    with pytest.raises(zeep.exceptions.XMLParseError, match="Unexpected element 'type'"):
        zeep.Client(live.wsdl_url, transport=watched(live, Offline)).service.read(**asked)
    loose = zeep.Client(live.wsdl_url, transport=watched(live, Offline), settings=zeep.Settings(strict=False))
    assert [m["message"] for m in loose.service.read(**asked).messages] == [None]


def test_a_credit_memo_on_accounts_takes_its_invoice_back(books, client):
    customer(books)
    head = {"FCY": "HLS01", "BPR": "C1", "CUR": "EUR"}
    rows = [{"ACC": "706000", "AMTNOTLIN": "80"}]
    nums = []
    for kind, origin in (("INV", ""), ("CRM", "INV-26/00001")):
        payload = {"BIC0_1": {**head, "SIVTYP": kind}, "BIC1_1": {"INVNUM": origin}, "BIC2_1": rows}
        nums.append(fields(client.call("save", "WSBIC", objectXml=json.dumps(payload)).resultXml)["NUM"])
        assert client.call("actionObjectKeys", "WSBIC", actionCode="POST", objectKeys={"NUM": nums[-1]}).status == 1
    assert [item(books, num)["FLGCLE"] for num in nums] == [2, 2]
    journal = client.call("read", "WSGAS", objectKeys={"TYP": "CRM", "NUM": nums[1]})
    assert {row["MTC"] for row in lines(journal.resultXml, "GAS2_1")} == {"AAA", ""}
    books.check()


def test_the_error_is_outside_the_response_type_before_message(books, serve):
    live = serve(books)
    client = Client(live)
    with client.zeep.settings(raw_response=True):
        raw = client.call("read", "WSSIH", objectKeys={"NUM": "nix"}).text
    head, _, tail = raw.partition("</wss:readResponse>")
    assert '<messages href="#id0"/>' in head
    assert tail.startswith('<multiRef id="id0" soapenc:root="0" ')
    assert "<type>3</type><message>SIH nix: no such record</message></multiRef>" in tail
    assert '<resultXml xsi:type="xsd:string" xsi:nil="true"/><status xsi:type="xsd:int">0</status>' in head


def test_an_answer_has_the_members_of_the_vendors_in_their_order(books, serve):
    live = serve(books)
    client = Client(live)
    with client.zeep.settings(raw_response=True):
        root = etree.fromstring(client.call("query", "WSBPC", objectKeys={}, listSize=1).content)
    envelope_, body = root.tag, root[0]
    assert envelope_ == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
    (response,) = body
    (returned,) = response
    assert (response.tag, returned.tag) == ("{http://www.adonix.com/WSS}queryResponse", "queryReturn")
    assert [e.tag for e in returned] == ["messages", "resultXml", "status", "technicalInfos"]
    kind = "{http://www.w3.org/2001/XMLSchema-instance}type"
    array = "{http://schemas.xmlsoap.org/soap/encoding/}arrayType"
    assert [e.get(kind) for e in (returned, *returned)] == [
        "wss:CAdxResultXml",
        "soapenc:Array",
        "xsd:string",
        "xsd:int",
        "wss:CAdxTechnicalInfos",
    ]
    assert returned[0].get(array) == "wss:CAdxMessage[0]"
    told = {e.tag: e for e in returned[3]}
    assert list(told) == [
        "busy",
        "changeLanguage",
        "changeUserId",
        "flushAdx",
        "loadWebsDuration",
        "nbDistributionCycle",
        "poolDistribDuration",
        "poolEntryIdx",
        "poolExecDuration",
        "poolRequestDuration",
        "poolWaitDuration",
        "processReport",
        "processReportSize",
        "reloadWebs",
        "resumitAfterDBOpen",
        "rowInDistribStack",
        "totalDuration",
        "traceRequest",
        "traceRequestSize",
    ]
    nil = "{http://www.w3.org/2001/XMLSchema-instance}nil"
    assert [name for name, e in told.items() if e.get(nil) == "true"] == ["processReport", "rowInDistribStack"]
    assert (told["processReportSize"].text, told["busy"].text, told["poolEntryIdx"].text) == ("-1", "false", "14901")
