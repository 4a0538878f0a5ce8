"""Documents in their usual shape are read in one pass: to the very records, and errors, of the long way."""

from __future__ import annotations

import copy
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_quickbooks_lens import BOOKS, ENCODE, native_documents

from tieout.errors import RecordError
from tieout.mapping import quickbooks as qb
from tieout.mapping.quickbooks import documents, plain
from tieout.mapping.quickbooks.payload import Payload, exact, head, page
from tieout.model import Entity, Invoice

KINDS = {Entity.INVOICE: "Invoice", Entity.CREDIT_MEMO: "CreditMemo"}
LONG = {Entity.INVOICE: documents.get_invoice, Entity.CREDIT_MEMO: documents.get_credit_memo}
texts = ["", "x", " padded ", "a  b", "Voided", "tieout:abc", "a\r\nb", "é", "é", "TaxInclusive", "TAX", "2026-02-30"]
numbers = ["1.00", "1e3", "NaN", 0, 1, -1, 10**15, Decimal("0.005"), Decimal("-0.00"), Decimal("1E+20"), Decimal("9.1")]
ODD = [None, True, False, [], {}, [{}], {"value": 5}, {"value": ""}, {"value": "7"}, "2026-W01-1", *texts, *numbers]


def places(node, path=()):
    """The path of every value in a native object."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def odd_documents(draw, entity):
    """A native document, some of its values replaced, left out or joined by others."""
    native = copy.deepcopy(draw(native_documents(entity)))
    for _ in range(draw(st.integers(0, 2))):
        *way, last = draw(st.sampled_from(sorted(places(native), key=str)))
        node = native
        for key in way:
            node = node[key]
        if isinstance(node, dict) and draw(st.integers(0, 4)) == 0:
            del node[last]
        else:
            node[last] = draw(st.sampled_from(ODD))
    more = st.sampled_from(
        ["MetaData", "status", "GlobalTaxCalculation", "Balance", "RemainingCredit", "ARAccountRef", "Deposit", "Id"]
    )
    return native | draw(st.dictionaries(more, st.sampled_from(ODD), max_size=1))


documents_of = st.sampled_from(list(KINDS)).flatmap(lambda e: st.tuples(st.just(e), odd_documents(e)))


def received(entity, native):
    """The object as a query's answer brings it."""
    body = b'{"QueryResponse":{"%s":[%s],"maxResults":1}}' % (KINDS[entity].encode(), ENCODE(native))
    return page(body)["QueryResponse"][KINDS[entity]][0]


def told(found):
    return found if isinstance(found, RecordError) else (repr(found), hash(found), found.model_dump_json())


@given(documents_of)
def test_the_short_way_reads_what_the_long_way_reads(case):
    entity, native = case
    payload, whole = received(entity, native), exact(ENCODE(native))
    assert told(qb.read(entity, payload, BOOKS)) == told(qb.read(entity, whole, BOOKS))
    assert (payload, len(payload), list(payload)) == (whole, len(whole), list(whole))
    one, other = head(payload), head(whole)
    assert (one.Id, one.SyncToken, one.status, one.changed) == (other.Id, other.SyncToken, other.status, other.changed)


@given(st.data(), st.sampled_from(list(KINDS)), st.lists(st.booleans(), min_size=2, max_size=4))
def test_each_document_of_a_page_is_itself(data, entity, odd):
    """Whether all of the page has its usual shape, or one has not; in whatever order they are looked at."""
    natives = [
        {**data.draw(odd_documents(entity) if o else native_documents(entity)), "N": n} for n, o in enumerate(odd)
    ]
    body = ENCODE({"QueryResponse": {KINDS[entity]: natives, "startPosition": 1, "maxResults": len(natives)}})
    found, whole = page(body)["QueryResponse"], exact(body)["QueryResponse"]
    for n in data.draw(st.permutations(range(len(natives)))):
        one, other = found[KINDS[entity]][n], whole[KINDS[entity]][n]
        assert told(qb.read(entity, one, BOOKS)) == told(qb.read(entity, other, BOOKS))
        assert (one["N"], dict(one)) == (n, other)
    assert found == whole


@given(st.sampled_from(list(KINDS)).flatmap(lambda e: st.tuples(st.just(e), native_documents(e))))
def test_what_the_short_way_reads_is_what_validation_gives(case):
    entity, native = case
    shape = received(entity, native).shape
    found = plain.read(type(LONG[entity](native, BOOKS)), shape, BOOKS)
    assert found is None or repr(type(found).model_validate(found.model_dump())) == repr(found)


USUAL = {
    "Id": "7",
    "SyncToken": "0",
    "TxnDate": "2026-01-05",
    "CustomerRef": {"value": "3", "name": "Northwind"},
    "Line": [
        {
            "Amount": 100.25,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "TAX"}, "Qty": 1},
        },
        {"Amount": 0.25, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {}},
        {"Amount": 100.25, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
    ],
    "TxnTaxDetail": {"TotalTax": 8, "TxnTaxCodeRef": {"value": "2"}},
    "TotalAmt": 108,
}


@pytest.mark.parametrize(
    ("change", "short"),
    [
        ({}, True),
        ({"PrivateNote": "paid by check\ntieout:abc", "DueDate": "2026-02-04", "Balance": 8.5}, True),
        ({"TxnTaxDetail": {"TotalTax": 0}, "TotalAmt": 100}, True),
        ({"TotalAmt": "108"}, False),
        ({"TotalAmt": 109}, False),
        ({"Id": 7}, False),
        ({"CustomerRef": None}, False),
        ({"Line": [{"DetailType": "GroupLineDetail"}]}, False),
        ({"TxnTaxDetail": 0}, False),
    ],
    ids=str,
)
def test_which_documents_take_the_short_way(change, short):
    shape = received(Entity.INVOICE, USUAL | change).shape
    assert (shape is not None and plain.read(Invoice, shape, BOOKS) is not None) is short


@pytest.mark.parametrize("number", ["1.5e999999999999999999999", "7" * 5000])
def test_a_number_that_nothing_can_hold_stays_text_and_spoils_no_other_record(number):
    text = ENCODE(USUAL)[:-1] + b',"Unmapped":' + number.encode() + b"}"
    found = page(b'{"QueryResponse":{"Invoice":[' + text + b"," + ENCODE(USUAL) + b"]}}")["QueryResponse"]["Invoice"]
    assert found[0]["Unmapped"] == number
    assert qb.get(Entity.INVOICE, found[0], BOOKS) == qb.get(Entity.INVOICE, found[1], BOOKS)


@pytest.mark.parametrize(
    "body",
    [
        b'{"QueryResponse":{"Invoice":[{"Id":"1","X":"\xff"}]}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1","X":"\\ud800"}]}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1","X":01}]}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1"',
        b"<html>",
        b"",
    ],
)
def test_what_is_not_json_is_refused_whole_also_where_nobody_looks(body):
    with pytest.raises((ValueError, msgspec.DecodeError)):
        page(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[1]",
        b"null",
        b'{"QueryResponse":{}}',
        b'{"QueryResponse":[{}]}',
        b'{"QueryResponse":{"Invoice":{"Id":"1"}}}',
        b'{"QueryResponse":{"Invoice":[1,null,[2.50]]}}',
        b'{"QueryResponse":{"Invoice":null}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1"}],"maxResults":null}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1"}],"CreditMemo":[],"startPosition":1,"maxResults":1,"totalCount":1}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1"}],"Invoice":[{"Id":"2"},{"Id":"3"}],"maxResults":2}}',
        b'{"QueryResponse":{"Invoice":[{"Id":"1"}]},"QueryResponse":{"CreditMemo":[{"Id":"2"}]},"time":"x"}',
        b'{"QueryResponse":{"Customer":[{"Balance":2.50}],"totalCount":1},"time":"2026-01-05T10:00:00-08:00"}',
        b'{"Fault":{"Error":[{"code":"610"}]},"time":"x"}',
        b'{"fault":{"error":[]}}',
    ],
)
def test_any_other_answer_is_as_it_was_decoded(body):
    found, whole = page(body), exact(body)
    assert found == whole or {k: v for k, v in found.items() if v is not None} == whole


def test_a_payload_holds_its_text_or_the_whole_never_both():
    one = received(Entity.INVOICE, USUAL)
    record = qb.get(Entity.INVOICE, one, BOOKS)
    assert one._texts is not None
    assert one["Id"] == head(one).Id == "7"
    assert one._texts is one.shape is None
    assert qb.get(Entity.INVOICE, one, BOOKS) == record


def test_a_payload_shows_nothing_of_what_it_holds():
    assert "Northwind" not in repr(received(Entity.INVOICE, USUAL))
    assert isinstance(received(Entity.INVOICE, USUAL), Payload)
