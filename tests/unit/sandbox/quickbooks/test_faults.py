"""Misbehaviour on purpose: before and after the commit, by rule and by control port."""

from __future__ import annotations

import json
import threading

import pytest
import requests

from tests.unit.sandbox.quickbooks.conftest import customer
from tests.unit.sandbox.quickbooks.test_http import Client
from tieout.errors import ConfigError
from tieout.sandbox.faults import Faults, control, listening
from tieout.sandbox.quickbooks import serve as serve_forever
from tieout.sandbox.quickbooks.server import controls


@pytest.fixture
def site(books, serve):
    return serve(books)


@pytest.fixture
def client(site):
    return Client(site)


def test_a_connection_dropped_after_the_commit_leaves_the_work_done(client, books, site):
    site.faults.arm("drop", when="after", entity="Customer", method="POST")
    with pytest.raises(requests.ConnectionError):
        client.post("customer", {"DisplayName": "A"}, requestid="r1")
    assert len(books.all("Customer")) == 1
    again = client.post("customer", {"DisplayName": "A"}, requestid="r1")
    assert again.status_code == 200 and len(books.all("Customer")) == 1
    lost, answered = site.faults.log
    assert (lost.status, lost.fired, lost.requestid, lost.operation) == (0, [1], "r1", "write")
    assert (answered.status, answered.fired) == (200, [])


def test_a_connection_dropped_before_the_commit_does_nothing(client, books, site):
    site.faults.arm("drop", entity="Customer")
    with pytest.raises(requests.ConnectionError):
        client.post("customer", {"DisplayName": "A"})
    assert not books.all("Customer")


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("form", "status", "sign"),
    [
        ("system", 500, '"code":"10000"'),
        ("gateway-timeout", 504, "errorCode=006002"),
        ("html", 503, "<html>"),
        ("throttle", 429, "errorCode=003001"),
        ("unauthorized", 401, "003200"),
        ("forbidden", 403, "003100"),
    ],
)
def test_an_error_answer_may_hide_a_stored_object(client, books, site, when, stored, form, status, sign):
    site.faults.arm("answer", form=form, when=when)
    answer = client.post("customer", {"DisplayName": "A"})
    assert answer.status_code == status and sign in answer.text
    assert len(books.all("Customer")) == stored


@pytest.mark.parametrize(
    ("form", "kind", "status"),
    [
        ("xml-429", "application/xml", 429),
        ("json-429", "application/json", 429),
        ("lower-json-429", "application/json", 429),
        ("html-503", "text/html", 503),
    ],
)
def test_every_form_of_throttling(make, serve, form, kind, status):
    site = serve(make(throttle_format=form, retry_after="60"))
    site.faults.arm("answer", form="throttle")
    answer = Client(site).get("preferences")
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Retry-After"]) == (status, kind, "60")


def test_a_truncated_body_announces_more_than_it_sends(client, books, site):
    site.faults.arm("truncate", keep=0.3)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.post("customer", {"DisplayName": "A"})
    assert len(books.all("Customer")) == 1


def test_a_body_may_be_cut_without_saying_so(client, site):
    site.faults.arm("truncate", keep=0.3, announce="part")
    answer = client.post("customer", {"DisplayName": "A"})
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_every_third_request(client, site):
    site.faults.arm("answer", form="throttle", nth=2, every=3, times=0)
    assert [client.get("preferences").status_code for _ in range(7)] == [200, 429, 200, 200, 429, 200, 200]


def test_rules_count_their_own_requests(client, books, site):
    site.faults.arm("answer", status=418, body="tea", path=r"/customer$", nth=2, times=2)
    statuses = []
    for name in "ABCD":
        statuses.append(client.post("customer", {"DisplayName": name}).status_code)
        client.get("preferences")
    assert statuses == [200, 418, 418, 200]


def test_rules_match_what_they_say(client, site):
    site.faults.arm("answer", status=418, contains="needle", operation="write", times=0)
    assert client.post("customer", {"DisplayName": "hay"}).status_code == 200
    assert client.post("customer", {"DisplayName": "needle"}).status_code == 418
    assert client.get("query", query="select * from Customer where DisplayName = 'needle'").status_code == 200
    site.faults.disarm()
    assert client.post("customer", {"DisplayName": "needle"}).status_code == 200


def test_latency_waits(client, site):
    site.faults.arm("latency", seconds=0.15)
    assert client.get("preferences").elapsed.total_seconds() >= 0.15


def test_wrong_rules_are_refused():
    with pytest.raises(ConfigError, match="colour"):
        Faults().arm("drop", colour="red")
    with pytest.raises(ConfigError, match="explode"):
        Faults().arm("explode")


def test_the_control_port(client, books, site):
    who = customer(books)
    with listening(control(site.faults, controls(site))) as port:
        base = f"http://127.0.0.1:{port}/_control"
        armed = requests.post(f"{base}/faults", json=[{"kind": "drop", "entity": "Invoice"}], timeout=10)
        assert armed.status_code == 201 and armed.json()[0]["id"] == 1
        assert len(requests.get(f"{base}/faults", timeout=10).json()) == 1
        assert requests.post(f"{base}/faults", json={"kind": "x"}, timeout=10).status_code == 400
        assert requests.delete(f"{base}/faults", timeout=10).json() == []
        act = {"entity": "Payment", "operation": "create", "payload": {"CustomerRef": {"value": who}, "TotalAmt": 5}}
        assert requests.post(f"{base}/act", json=act, timeout=10).json()["UnappliedAmt"] == 5
        act["payload"]["TotalAmt"] = -5
        assert requests.post(f"{base}/act", json=act, timeout=10).json()["Fault"]["Error"][0]["code"] == "2290"
        truth = requests.get(f"{base}/effects", timeout=10).json()
        assert [(e["entity"], e["by"]) for e in truth] == [("Customer", "user"), ("Payment", "user")]
        assert requests.get(f"{base}/check", timeout=10).json() == {"ok": True}
        client.get("preferences")
        assert requests.get(f"{base}/log", timeout=10).json()[-1]["entity"] == "Preferences"
        requests.post(f"{base}/sign-out", json={}, timeout=10)
        assert client.get("preferences").status_code == 401


def test_a_broken_invariant_fails_loudly(books):
    from tieout.sandbox.quickbooks import running

    with pytest.raises(AssertionError, match="differ in USD"), running(books) as site:
        books.ledger.totals["USD"] += 1
        answer = Client(site).post("customer", {"DisplayName": "A"})
        assert answer.status_code == 500


def test_serve_says_where_it_is_and_stops():
    said: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=serve_forever,
        kwargs={"port": 0, "seed": "empty", "switches": ("ast=true",), "echo": said.append, "stop": stop},
    )
    thread.start()
    for _ in range(500):
        if len(said) == 7:
            break
        thread.join(0.02)
    facts = dict(text.split() for text in said)
    try:
        form = {"grant_type": "refresh_token", "refresh_token": facts["refresh_token"]}
        made = requests.post(
            f"{facts['base_url']}/oauth2/v1/tokens/bearer",
            data=form,
            auth=(facts["client_id"], facts["client_secret"]),
            timeout=10,
        ).json()
        url = f"{facts['base_url']}/v3/company/{facts['realm']}/preferences"
        answer = requests.get(url, headers={"Authorization": f"Bearer {made['access_token']}"}, timeout=10)
        assert json.loads(answer.text)["Preferences"]["TaxPrefs"]["PartnerTaxEnabled"] is True
        assert requests.get(facts["control"] + "log", timeout=10).status_code == 200
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_taken_port_is_named(books, site):
    from tieout.sandbox.quickbooks import running

    taken = int(site.base_url.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match="port"), running(books, port=taken):
        pass
