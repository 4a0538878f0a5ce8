"""Misbehaviour on purpose: before and after the commit, odd answers, quirks, the licence, the control port."""

from __future__ import annotations

import json
import threading

import pytest
import requests
import zeep
from lxml import etree

from tests.unit.sandbox.sage_x3.conftest import Client, customer, fields, invoice, item, line, texts
from tests.unit.sandbox.sage_x3.wire import envelope
from tieout.sandbox.faults import control, listening
from tieout.sandbox.sage_x3 import Licence, Pool, Publication
from tieout.sandbox.sage_x3 import serve as serve_forever
from tieout.sandbox.sage_x3.server import controls

SALE = json.dumps(
    {"SIH0_1": {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": "C1"}, "SIH4_1": [{"ITMREF": "FREE", "QTY": "1"}]}
)


@pytest.fixture
def live(books, serve):
    customer(books)
    return serve(books)


@pytest.fixture
def client(live):
    return Client(live)


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_has_stored_or_not(books, live, client, when, stored):
    live.faults.arm("drop", when=when, operation="save", entity="WSSIH")
    with pytest.raises(requests.ConnectionError):
        client.call("save", "WSSIH", objectXml=SALE)
    assert len(books.rows("SIH")) == stored
    (lost,) = [call for call in live.faults.log if call.operation == "save"]
    assert (lost.status, lost.fired, lost.entity) == (0, [1], "WSSIH")
    assert client.call("save", "WSSIH", objectXml=SALE).status == 1


@pytest.mark.parametrize("announce", ["whole", "part"])
def test_a_truncated_answer_is_noticed_and_the_work_is_done(books, live, client, announce):
    live.faults.arm("truncate", operation="save", announce=announce)
    with pytest.raises((requests.RequestException, zeep.exceptions.Error)):
        client.call("save", "WSSIH", objectXml=SALE)
    assert len(books.rows("SIH")) == 1


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("form", "status", "sign"),
    [
        ("unauthorized", 401, "Unauthorized"),
        ("no-web-services", 500, "No Web services accepted"),
        ("html", 500, "<html>"),
        ("html-200", 200, "Sign in"),
        ("empty", 200, ""),
        ("pool-stopped", 500, "Pool is stopped"),
    ],
)
def test_an_odd_answer_may_hide_a_stored_document(books, live, when, stored, form, status, sign):
    live.faults.arm("answer", when=when, form=form)
    body = envelope("save", "WSSIH", {"poolAlias": live.pool}, {"objectXml": SALE})
    told = requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=5)
    assert (told.status_code, sign in told.text) == (status, True)
    assert len(books.rows("SIH")) == stored


@pytest.mark.parametrize(("form", "stored"), [("nil", 1), ("nothing", 0)])
def test_no_result_with_status_1_says_nothing_about_what_was_done(books, live, client, form, stored):
    live.faults.arm("quirk", form=form, operation="save")
    told = client.call("save", "WSSIH", objectXml=SALE)
    assert (told.status, told.resultXml, told.messages) == (1, None, [])
    assert len(books.rows("SIH")) == stored


def test_several_messages_come_in_their_order(books, live, client):
    live.faults.arm("quirk", form="messages", operation="save")
    told = client.call("save", "WSSIH", objectXml=SALE)
    assert [(m["type"], m["message"]) for m in told.messages] == [
        ("2", "Control before registration"),
        ("3", "No line entered"),
        ("3", "Error in the program, line 1"),
    ]
    assert (told.status, told.resultXml, books.rows("SIH")) == (0, None, [])


def test_a_locked_record_a_full_pool_a_strange_language(books, live, client, make, serve):
    num = invoice(books, post=False)
    live.faults.arm("quirk", form="locked", operation="modify")
    change = {"objectKeys": {"NUM": num}, "objectXml": '{"SIH0_1":{"INVREF":"x"}}'}
    assert texts(client.call("modify", "WSSIH", **change)) == [f"Record {num} is being modified by another user"]
    assert books.read("SIH", num).get("INVREF", "") == ""
    live.faults.arm("quirk", form="language", operation="read")
    assert 'MENULAB="Fatura"' in client.call("read", "WSSIH", objectKeys={"NUM": num}).resultXml
    assert 'MENULAB="Invoice"' in client.call("read", "WSSIH", objectKeys={"NUM": num}).resultXml
    other = serve(make(pool_full="message"))
    other.faults.arm("quirk", form="pool-full", operation="query")
    assert texts(Client(other).call("query", "WSBPC", objectKeys={}, listSize=1)) == ["No free entry in pool SANDBOX"]


def test_what_a_person_has_open_cannot_be_changed_by_a_call(books, client):
    num = invoice(books, post=False)
    books.open_record("SIH", num)
    locked = [f"Record {num} is being modified by another user"]
    assert texts(client.call("actionObjectKeys", "WSSIH", actionCode="POST", objectKeys={"NUM": num})) == locked
    assert texts(client.call("delete", "WSSIH", objectKeys={"NUM": num})) == locked
    assert client.call("read", "WSSIH", objectKeys={"NUM": num}).status == 1
    books.close_record("SIH", num)
    assert client.call("delete", "WSSIH", objectKeys={"NUM": num}).status == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_gives_up_waiting_does_not_know_that_it_was_stored(books, live, when):
    live.faults.arm("latency", when=when, seconds=0.6, operation="save")
    body = envelope("save", "WSSIH", {"poolAlias": live.pool}, {"objectXml": SALE})
    with pytest.raises(requests.ReadTimeout):
        requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=0.2)
    assert len(books.rows("SIH")) == (1 if when == "after" else 0)
    body = envelope("query", "WSSIH", {"poolAlias": live.pool}, {"listSize": "5"})
    live.faults.arm("latency", seconds=0.7, operation="query")
    assert requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=5).ok
    assert len(books.rows("SIH")) == 1, "late, but done"


def test_a_session_that_cannot_change_users_says_so(books, live, client):
    live.faults.arm("quirk", form="login", operation="save")
    assert texts(client.call("save", "WSSIH", objectXml=SALE)) == ["Change login error"]
    assert books.rows("SIH") == []


def test_a_result_of_more_than_ten_million_characters_is_still_the_object(books, live, client):
    live.faults.arm("quirk", form="huge", operation="read")
    huge = client.call("read", "WSBPC", objectKeys={"BPCNUM": "C1"}).resultXml
    assert len(huge) > 10_000_000
    assert fields(huge)["BPCNUM"] == "C1"
    live.faults.arm("quirk", form="huge", operation="read")
    body = envelope("read", "WSBPC", {"poolAlias": live.pool}, {"objectKeys": {"BPCNUM": "C1"}})
    told = requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=20)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(told.content)


def test_a_host_without_children_accepts_no_web_services(books, serve):
    live = serve(books, pools=(Pool("P", children=0),))
    told = requests.post(live.endpoint, data=b"<x/>", auth=(live.user, live.password), timeout=5)
    assert (told.status_code, told.text) == (500, "No Web services accepted")
    assert requests.get(live.wsdl_url, auth=(live.user, live.password), timeout=5).status_code == 200


@pytest.mark.parametrize("status", ["500", "200"])
def test_a_soap_fault_has_the_status_of_its_switch(make, serve, status):
    live = serve(make(fault_status=status))
    for body in (b"", b"<a>", b"<a/>", envelope("read", "WSBPC", {"poolAlias": "x"}, {})):
        told = requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=5)
        assert (told.status_code, b"<soapenv:Fault>" in told.content) == (int(status), True)


def test_a_licences_volume_is_counted_and_then_there_is_no_answer(books, serve):
    licence = Licence(limit=10_000, grace=20)
    live = serve(books, licence=licence)
    customer(books)
    client = Client(live)
    client.call("read", "WSBPC", objectKeys={"BPCNUM": "C1"})
    assert 3_000 < licence.used < 10_000
    licence.used = 11_000
    assert licence.over and not licence.spent
    assert client.call("read", "WSBPC", objectKeys={"BPCNUM": "C1"}).status == 1
    assert licence.spent
    body = envelope("save", "WSSIH", {"poolAlias": live.pool}, {"objectXml": SALE})
    with pytest.raises(requests.ReadTimeout):
        requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=0.5)
    assert books.rows("SIH") == []


def test_blocks_are_renumbered_while_it_runs(books, live, client):
    live.renumber("WSSIH", {"SIH0_1": "SIH0_2"})
    assert texts(client.call("save", "WSSIH", objectXml=SALE)) == ["Group [SIH0_1] not found into X3 description."]
    done = client.call("save", "WSSIH", objectXml=SALE.replace("SIH0_1", "SIH0_2"))
    assert '<GRP ID="SIH0_2">' in done.resultXml


def test_public_names_are_the_installations_own(books, serve):
    customer(books)
    live = serve(books, publications=(Publication("YWSSIH", "SIH", {"SIH4_1": "SIH9_1"}),))
    done = Client(live).call("save", "YWSSIH", objectXml=SALE.replace("SIH4_1", "SIH9_1"))
    assert '<TAB DIM="300" ID="SIH9_1" SIZE="1">' in done.resultXml


def test_the_control_port_acts_as_a_person_and_tells_the_truth(make, serve):
    books = make(posting_delay=600)
    live = serve(books)
    customer(books)
    with listening(control(live.faults, controls(live))) as port:
        url = f"http://127.0.0.1:{port}/_control/"

        def ask(name, body=None):
            told = (
                requests.get(url + name, timeout=5) if body is None else requests.post(url + name, json=body, timeout=5)
            )
            assert told.status_code == 200, told.text
            return told.json()

        sold = {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": "C1", "lines": [{"ITMREF": "FREE", "QTY": "2"}]}
        made = ask("act", {"operation": "save", "object": "SIH", "payload": sold})
        (num,) = made["key"]
        assert made["object"]["INVATI"] == "20"
        assert ask("act", {"operation": "POST", "object": "SIH", "key": [num]})["object"]["STA"] == "2"
        assert "posted" in ask("act", {"operation": "delete", "object": "SIH", "key": [num]})["refused"]
        assert [t["kind"] for t in ask("tasks")["pending"]] == ["post"]
        ask("tasks", {"stopped": True})
        ask("clock", {"forward": 601})
        assert books.open_items() == []
        ask("tasks", {"stopped": False})
        assert item(books, num)["AMTCUR"] == 20
        assert ask("period", {"closed_through": "2026-01-31"}) == {"closed_through": "2026-01-31"}
        assert ask("pools", {"alias": "SANDBOX", "width": 1})["SANDBOX"]["size"] == 1
        assert [e["op"] for e in ask("effects")][-2:] == ["create", "post"]
        assert ask("check") == {"ok": True}
        wrong = requests.post(url + "act", json={"operation": "save"}, timeout=5)
        assert wrong.status_code == 400


def test_it_serves_until_it_is_told_to_stop():
    told, stop = [], threading.Event()

    def echo(text):
        told.append(text)
        if text.startswith("control"):
            stop.set()

    serve_forever(port=0, echo=echo, stop=stop)
    assert [text.split()[0] for text in told] == ["wsdl", "endpoint", "user", "password", "pool", "services", "control"]


def test_a_task_that_is_refused_waits_as_failed_and_harms_nobody(books):
    customer(books)
    books.stop_tasks()
    num = invoice(books, lines=[line("10")])
    books.tasks.add(books.now(), 0, "validate", ("SIH", num))
    draft = invoice(books, post=False)
    books.tasks.add(books.now(), 0, "validate", ("SIH", draft))
    books.close_through(books.today())
    books.start_tasks()
    assert [(task.kind, why.split(":")[1]) for task, why in books.tasks.failed] == [("validate", " period not open")]
    assert item(books, num)["AMTCUR"] == 10
    books.check()
