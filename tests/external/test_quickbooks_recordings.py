"""The mapping on recorded payloads of a real QuickBooks sandbox: all are read, and writing them back changes no byte."""

from __future__ import annotations

import json
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from tieout.connectors.quickbooks.wire import decode, encode, fault_of
from tieout.errors import RecordError
from tieout.mapping import quickbooks as qb
from tieout.model import Entity, Invoice, Payment, PostingState

pytestmark = pytest.mark.external
BOOKS = qb.Books("qbo", "USD")
NATIVE = {name: entity for entity, name in qb.NAMES.items()}


def recorded(data_dir, *names):
    """Every object of these kinds in the recorded answers, with the name of its recording."""
    for path in sorted((data_dir / "quickbooks" / "vcr_minimul_qbo_api").glob("*.json")):
        for exchange in json.loads(path.read_text()):
            text = exchange["response"].get("body_text") or ""
            try:
                body = decode(text.encode())
            except ValueError:
                continue
            yield from ((path.stem, name, found) for name, found in objects(body) if name in names)


def objects(node):
    if isinstance(node, dict):
        for key, value in node.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and "Id" in item and item.get("status") != "Deleted":
                    yield key, item
                yield from objects(item)
    elif isinstance(node, list):
        for item in node:
            yield from objects(item)


def test_every_recorded_object_is_read_and_survives(data_dir):
    seen = dict.fromkeys(NATIVE, 0)
    for path, name, native in recorded(data_dir, *NATIVE):
        found = qb.read(NATIVE[name], native, BOOKS)
        assert not isinstance(found, RecordError), f"{path}: {found}"
        assert encode(qb.put(found, native, BOOKS)) == encode(native), path
        seen[name] += 1
    assert seen["Customer"] >= 40
    assert seen["Invoice"] >= 3


def test_the_recorded_void(data_dir):
    states = [
        qb.get(Entity.INVOICE, native, BOOKS)
        for path, _, native in recorded(data_dir, "Invoice")
        if path == "void__invoice"
    ]
    assert [s.state for s in states] == [PostingState.POSTED, PostingState.VOIDED]
    assert states[1].number == states[0].number
    assert states[1].total == 0


def test_recorded_faults_are_understood(data_dir):
    from tieout.connectors.http import Answer

    codes = {}
    for path in sorted((data_dir / "quickbooks" / "vcr_minimul_qbo_api").glob("error*.json")):
        for exchange in json.loads(path.read_text()):
            answer = exchange["response"]
            body = (answer.get("body_text") or "").encode()
            try:
                parsed = decode(body)
            except ValueError:
                parsed = None
            fault = fault_of(Answer(answer["status"], answer["headers"], body), parsed)
            if fault:
                codes.setdefault(path.stem, set()).add(fault.code)
                assert fault.tid
    assert "3200" in codes["error__401"]
    assert codes["error__validation"] & {"2010", "6000", "6240", "2030"}


LISTS = {"Line", "LinkedTxn", "TaxLine", "CustomField"}


def as_json(element):
    """An XML fixture in the shape of the JSON API; numbers stay text, which reads the same."""
    if not len(element):
        text = element.text or ""
        name = element.get("name")
        if name is not None or element.tag.endswith("Ref"):
            return {"value": text, "name": name}
        return {"true": True, "false": False}.get(text, text)
    out = {}
    for child in element:
        key = child.tag.rpartition("}")[2]
        value = as_json(child)
        out.setdefault(key, []).append(value) if key in LISTS else out.update({key: value})
    return out


def fixtures(data_dir, entity):
    name = qb.NAMES[entity]
    for path in sorted((data_dir / "quickbooks" / "xml_quickbooks_ruby").glob("*.xml")):
        try:
            root = ET.fromstring(path.read_bytes())
        except ET.ParseError:
            continue  # one fixture is no XML
        for element in root.iter(f"{{http://schema.intuit.com/finance/v3}}{name}"):
            if (
                element.get("status") != "Deleted"
                and element.find("{http://schema.intuit.com/finance/v3}Id") is not None
            ):
                yield path.stem, as_json(element)


@pytest.mark.parametrize("entity", [Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT])
def test_fixtures_of_another_client_are_read_or_refused_with_a_reason(data_dir, entity):
    good, bad = [], []
    for path, native in fixtures(data_dir, entity):
        found = qb.read(entity, native, BOOKS)
        if isinstance(found, RecordError):
            bad.append((path, found))
            continue
        good.append(path)
        assert qb.put(found, native, BOOKS) == native, path
    assert good, bad
    for path, error in bad:
        assert error.path, (path, error)
        assert error.reason, (path, error)
    print(f"{entity}: {len(good)} read, refused: {[(p, e.path, e.reason) for p, e in bad]}")


def test_a_real_discount_and_a_real_application(data_dir):
    (found,) = [
        qb.get(Entity.INVOICE, n, BOOKS)
        for p, n in fixtures(data_dir, Entity.INVOICE)
        if p == "invoice_with_discount_line_item_response"
    ]
    assert isinstance(found, Invoice)
    assert (found.discount, found.total) == (Decimal(5), Decimal(45))
    applied = [
        qb.get(Entity.PAYMENT, n, BOOKS)
        for p, n in fixtures(data_dir, Entity.PAYMENT)
        if p == "payment_with_line_extras"
    ]
    assert all(isinstance(p, Payment) and p.applications for p in applied)
