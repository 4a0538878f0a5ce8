"""The query language."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.quickbooks.conftest import customer, invoice, pay, refused, to
from tieout.sandbox.quickbooks import Books, Refused, Switches, query

NAMES = ["Alder", "birch", "O'Brien", "100% Timber", "under_score", "Back\\slash", "Łódź", "PG&E", "Pam"]


@pytest.fixture
def full(books):
    for n, name in enumerate(NAMES):
        who = customer(books, name)
        inv = invoice(books, who, str(100 + n), DocNumber=f"N{n}", TxnDate=f"2026-01-{n + 1:02d}")
        if n % 2:
            pay(books, who, "50", to("Invoice", inv["Id"], "50"))
    return books


def rows(books: Books, text: str) -> list[dict]:
    answer = json.loads(query.answer(books, text), parse_float=Decimal)
    return next((v for v in answer.values() if isinstance(v, list)), [])


def numbers(books: Books, text: str) -> list[str]:
    return [r["DocNumber"] for r in rows(books, text)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("DocNumber = 'n3'", ["N3"]),
        ("DocNumber != 'N3'", ["N0", "N1", "N2", "N4", "N5", "N6", "N7", "N8"]),
        ("DocNumber IN ('N1', 'N2','N9')", ["N1", "N2"]),
        ("DocNumber LIKE '%3'", ["N3"]),
        ("TxnDate >= '2026-01-07' AND TxnDate < '2026-01-09'", ["N6", "N7"]),
        ("Balance = '0'", []),
        ("Balance < '60.00'", ["N1", "N3", "N5", "N7"]),
        ("balance > 104", ["N6", "N8"]),
        ("TotalAmt > '106.00' and docnumber like 'n%'", ["N7", "N8"]),
        ("MetaData.LastUpdatedTime >= '2026-02-02T12:00:00-08:00'", [f"N{n}" for n in range(9)]),
        ("MetaData.LastUpdatedTime > '2026-02-02T12:00:00-08:00'", []),
    ],
)
def test_conditions(full, where, expected):
    assert numbers(full, f"select * from Invoice where {where} orderby Id") == expected


@pytest.mark.parametrize("name", NAMES)
def test_every_legal_name_can_be_asked_for(full, name):
    literal = name.replace("\\", "\\\\").replace("'", "\\'")
    (row,) = rows(full, f"SELECT * FROM Customer WHERE DisplayName = '{literal}'")
    assert row["DisplayName"] == name


def test_like_takes_percent_alone_as_wildcard(full):
    assert len(rows(full, "select * from customer where DisplayName like 'under%score'")) == 1
    assert len(rows(full, "select * from customer where DisplayName like '%b%'")) == 4
    assert not rows(full, "select * from customer where DisplayName like 'under-score'")


def test_customers_come_by_name_in_ascii_and_forms_newest_first(full, clock):
    names = [r["DisplayName"] for r in rows(full, "select * from Customer")]
    assert names == sorted(NAMES)
    clock.forward(minutes=5)
    first = full.all("Invoice")[0]
    full.apply(
        "Invoice", "update", {"Id": first["Id"], "SyncToken": first["SyncToken"], "sparse": True, "PrivateNote": "x"}
    )
    assert numbers(full, "select * from Invoice")[0] == "N0"


def test_pages_and_counts(full):
    answer = json.loads(query.answer(full, "SELECT * FROM Invoice ORDERBY DocNumber DESC MAXRESULTS 4 STARTPOSITION 3"))
    assert [r["DocNumber"] for r in answer["Invoice"]] == ["N6", "N5", "N4", "N3"]
    assert (answer["startPosition"], answer["maxResults"], "totalCount" in answer) == (3, 4, False)
    assert query.answer(full, "select * from Invoice startposition 99") == b"{}"
    assert query.answer(full, "select count(*) from Invoice where Balance < '60'") == b'{"totalCount":4}'
    assert full.switches.total_count_on_rows is False


def test_a_hundred_is_a_page(make):
    books = make("generate:3:120:1", total_count_on_rows=True)
    answer = json.loads(query.answer(books, "select * from invoice"))
    assert (answer["maxResults"], answer["totalCount"]) == (100, 120)


def test_only_active_list_objects_unless_asked(full):
    who = rows(full, "select * from Customer where DisplayName = 'Pam'")[0]
    full.apply("Customer", "update", {"Id": who["Id"], "SyncToken": "0", "sparse": True, "Active": False})
    assert len(rows(full, "select * from Customer")) == 8
    assert len(rows(full, "select * from Customer where Active IN (true, false)")) == 9
    assert [r["Id"] for r in rows(full, "select * from Customer where Active = false")] == [who["Id"]]
    assert query.answer(full, "select count(*) from Customer where Active in ('true','false')") == b'{"totalCount":9}'


def test_columns_narrow_the_answer(full):
    row = rows(full, "select DocNumber, TotalAmt from Invoice maxresults 1")[0]
    assert set(row) == {"Id", "domain", "sparse", "DocNumber", "TotalAmt"}
    assert "Sku" not in rows(full, "SELECT *, Sku FROM Item")[0] and "Name" in rows(full, "SELECT *, Sku FROM Item")[0]


def test_tax_codes_begin_with_three_that_are_none(full):
    assert [r["Name"] for r in rows(full, "select * from TaxCode maxresults 1")][:3] == ["TAX", "NON", "CustomSalesTax"]
    assert len(rows(full, "select * from TaxCode maxresults 1")) == 4
    assert len(rows(full, "select * from TaxRate maxresults 1")) == 1


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("select * from Custmoer", 4001, "QueryValidationError: invalid context declaration: Custmoer"),
        (
            "select * from Invoice where NoSuchField = '1'",
            4001,
            "QueryValidationError: Property NoSuchField not found for Entity Invoice",
        ),
        ("select * from Invoice where Line = '1'", 4001, None),
        ("select * from Invoice where Id > '5'", 4001, None),
        (
            "select * from Invoice maxresults 0",
            4001,
            "QueryValidationError: value 0 is too small. Min allowed value is 1",
        ),
        ("select * from Invoice startposition 0", 4001, None),
        ("select * from Invoice where TxnDate", 4000, None),
        ("select * from Invoice where DocNumber = '1' or DocNumber = '2'", 4000, None),
        ("select * Invoice", 4000, 'QueryParserError: Encountered " <IDENTIFIER> "Invoice "" at line 1, column 10.'),
        ("select", 4000, None),
        ("", 4000, None),
        ("delete from Invoice", 4000, None),
        ("select * from Invoice where DocNumber = 'unclosed", 4000, None),
        ("select sum(Balance) from Invoice", 4000, None),
    ],
)
def test_what_cannot_be_asked(full, text, code, detail):
    fault = refused(lambda: query.answer(full, text))
    assert fault.code == code
    if detail:
        assert fault.detail == detail


def test_bare_numbers_and_notes_by_switch(make):
    books = make(numeric_filter_unquoted="4000", filter_private_note="4001")
    assert refused(lambda: query.answer(books, "select * from Invoice where Balance > 0")).code == 4000
    assert query.answer(books, "select * from Invoice where Balance > '0' maxresults 5") == b"{}"
    assert refused(lambda: query.answer(books, "select * from Invoice where PrivateNote like '%x%'")).code == 4001


_STEADY = Books("generate:4:40:3", Switches())


@given(
    st.lists(
        st.sampled_from(
            [
                "select",
                "*",
                "from",
                "Invoice",
                "where",
                "Id",
                "=",
                "'1'",
                "and",
                "in",
                "(",
                ")",
                ",",
                "orderby",
                "maxresults",
                "2",
                "Balance",
                ">",
                "count",
                "true",
                "%",
                "like",
                "\\'",
                "'",
            ]
        ),
        max_size=14,
    )
)
def test_any_text_is_answered_or_refused(words):
    try:
        answer = json.loads(query.answer(_STEADY, " ".join(words)))
    except Refused as fault:
        assert fault.code in {4000, 4001}
    else:
        assert isinstance(answer, dict)


@given(st.integers(1, 45))
def test_pages_in_order_of_id_lose_and_double_nothing(size):
    seen: list[str] = []
    position = 1
    while page := rows(_STEADY, f"select * from Invoice orderby Id startposition {position} maxresults {size}"):
        seen += [r["Id"] for r in page]
        position += len(page)
    assert seen == sorted((d["Id"] for d in _STEADY.all("Invoice")), key=int)
