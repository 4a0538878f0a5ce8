"""Every fault by itself and every two together: a document is stored once or not at all, as they say, and the next call works."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import requests

from tests.unit.sandbox.sage_x3.conftest import customer
from tests.unit.sandbox.sage_x3.wire import Told, envelope
from tieout.sandbox.sage_x3 import Books, Switches, running

SALE = json.dumps(
    {"SIH0_1": {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": "C1"}, "SIH4_1": [{"ITMREF": "FREE", "QTY": "1"}]}
)
# name -> the rule; and whether the document is not stored because of it
FAULTS: dict[str, tuple[dict[str, Any], bool]] = {
    "slow": ({"kind": "latency", "seconds": 0.01}, False),
    "slow after": ({"kind": "latency", "when": "after", "seconds": 0.01}, False),
    "held": ({"kind": "quirk", "form": "slow", "seconds": 0.01}, False),
    "lost before": ({"kind": "drop"}, True),
    "lost after": ({"kind": "drop", "when": "after"}, False),
    "cut": ({"kind": "truncate"}, False),
    "cut short": ({"kind": "truncate", "announce": "part", "keep": 0.9}, False),
    "signed out": ({"kind": "answer", "form": "unauthorized"}, True),
    "no services": ({"kind": "answer", "form": "no-web-services"}, True),
    "no services after": ({"kind": "answer", "when": "after", "form": "no-web-services"}, False),
    "a page": ({"kind": "answer", "form": "html"}, True),
    "a page after": ({"kind": "answer", "when": "after", "form": "html"}, False),
    "empty after": ({"kind": "answer", "when": "after", "form": "empty"}, False),
    "pool stopped": ({"kind": "answer", "form": "pool-stopped"}, True),
    "pool full": ({"kind": "quirk", "form": "pool-full"}, True),
    "no result": ({"kind": "quirk", "form": "nil"}, False),
    "nothing done": ({"kind": "quirk", "form": "nothing"}, True),
    "messages": ({"kind": "quirk", "form": "messages"}, True),
    "locked": ({"kind": "quirk", "form": "locked"}, True),
    "login": ({"kind": "quirk", "form": "login"}, True),
    "language": ({"kind": "quirk", "form": "language"}, False),
}
CASES = [*((name,) for name in FAULTS), *combinations(FAULTS, 2)]


@pytest.fixture(scope="module")
def live():
    with running(Books("empty", Switches(pool_full="message"))) as running_:
        customer(running_.books)
        yield running_


def save(live):
    body = envelope("save", "WSSIH", {"poolAlias": live.pool}, {"objectXml": SALE})
    return requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=10)


@pytest.mark.parametrize("names", CASES, ids=" and ".join)
def test_a_document_is_stored_once_or_not_at_all(live, names):
    books, before, effects = live.books, len(live.books.rows("SIH")), len(live.books.effects)
    for name in names:
        live.faults.arm(**FAULTS[name][0], operation="save")
    try:
        answer = save(live)
    except requests.RequestException:
        answer = None
    live.faults.disarm()
    stored = 0 if any(FAULTS[name][1] for name in names) else 1
    assert len(books.rows("SIH")) - before == stored
    assert [e.op for e in books.effects[effects:]] == ["create"] * stored
    if answer is not None and answer.status_code == 200 and answer.content.endswith(b"Envelope>"):
        told = Told(answer.content)
        assert told.status in {0, 1}
        assert not (told.status == 0 and stored), "an error that hides a document"
        assert not (told.result is not None and not stored), "a document that is not there"
    assert Told(save(live).content).status == 1
    books.check()


def test_no_fault_is_the_same_as_no_fault_at_all(live):
    """Each fault shows: the answer is another one, or it is late, or it is cut."""
    plain = Told(save(live).content)
    for name, (rule, _) in FAULTS.items():
        rule_ = live.faults.arm(**rule, operation="save")
        try:
            answer = save(live)
        except requests.RequestException:
            answer = None
        assert live.faults.log[-1].fired == [rule_.id], name
        if answer is not None and answer.content.endswith(b"Envelope>") and rule.get("seconds") is None:
            told = Told(answer.content)
            shown = (
                told.status,
                told.fault,
                told.messages,
                told.result is None,
                'MENULAB="Fatura"' in (told.result or ""),
            )
            assert shown != (plain.status, plain.fault, plain.messages, False, False), name
        live.faults.disarm()
