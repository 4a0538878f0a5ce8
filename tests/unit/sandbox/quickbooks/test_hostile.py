"""Whatever shape a client sends, the sandbox answers as QuickBooks would: a fault or an object, never a crash."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sandbox.quickbooks.conftest import customer, invoice
from tieout.sandbox.quickbooks import Books, Refused, Switches, schema

BOOKS = Books("empty", Switches())
WHO = customer(BOOKS)
INVOICE = invoice(BOOKS, WHO)["Id"]

NAMES = sorted({*schema.LINE.split(), *schema.FORM.split(), *schema.TXN.split(), *schema.CUSTOMER.split()})
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**16),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6),
    st.sampled_from(["", "x", "1", "1001", WHO, "TAX", "2026-01-01", "SalesItemLineDetail", "Invoice", "é" * 30]),
)
KEYS = st.sampled_from([*NAMES, "value", "TxnId", "TxnType", "ItemRef", "Qty", "UnitPrice", "Id"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def attempt(entity: str, operation: str, body: dict) -> None:
    try:
        done = BOOKS.apply(entity, operation, body)
    except Refused as fault:
        assert fault.fault()["Error"][0]["code"].isdecimal()
    else:
        assert isinstance(done, dict)


@settings(max_examples=150)
@given(
    st.sampled_from(["Customer", "Invoice", "CreditMemo", "Payment", "Item", "Account", "Term", "SalesReceipt"]),
    st.dictionaries(KEYS, VALUES, max_size=5),
    st.booleans(),
)
def test_any_body(entity, body, valid_start):
    start = {"CustomerRef": {"value": WHO}, "TotalAmt": Decimal(10), "DisplayName": "x", "Name": "y"}
    known = schema.find(entity).properties
    whole = {k: v for k, v in start.items() if k in known} if valid_start else {}
    attempt(entity, "create", whole | {k: v for k, v in body.items() if k in known})
    BOOKS.check()


@settings(max_examples=150)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=3), st.sampled_from(["Invoice", "Payment"]))
def test_any_lines(lines, entity):
    attempt(entity, "create", {"CustomerRef": {"value": WHO}, "TotalAmt": 5, "Line": lines})
    BOOKS.check()


@settings(max_examples=100)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(["update", "void", "delete"]), st.booleans())
def test_any_change(body, operation, sparse):
    known = schema.find("Invoice").properties
    changes = {k: v for k, v in body.items() if k in known}
    current = BOOKS.find("Invoice", INVOICE) or {"SyncToken": "0"}
    head = {"Id": INVOICE, "SyncToken": current["SyncToken"], "sparse": sparse}
    attempt("Invoice", operation, changes | head)
    BOOKS.check()
