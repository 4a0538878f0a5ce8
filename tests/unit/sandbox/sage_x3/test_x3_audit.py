"""Each invariant of the books can fail, and a broken one does not stay a secret."""

from __future__ import annotations

from decimal import Decimal

import pytest
import requests

from tests.unit.sandbox.sage_x3.conftest import allocation, customer, invoice, item, pay
from tests.unit.sandbox.sage_x3.wire import envelope
from tieout.sandbox.sage_x3 import running

D = Decimal


@pytest.fixture
def paid(books):
    """A paid invoice, one that is open, and a payment on account."""
    customer(books)
    whole = invoice(books)
    pay(books, "C1", "100", allocation(whole, "100"))
    invoice(books, price="50")
    pay(books, "C1", "7")
    books.check()
    return books


def broken(books, table, key, **changes):
    row = books.store.get(table, *key)
    books.store.put(table, key, {**row, **changes} if changes else None)
    books.store.keep()


def line(books, table, key, n, **changes):
    rows = list(books.store.get(table, *key)["lines"])
    rows[n] = {**rows[n], **changes}
    broken(books, table, key, lines=rows)


WHOLE, OPEN = ("INV", "INV-26/00001", "1"), ("INV", "INV-26/00002", "1")


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        (lambda b: broken(b, "GACCDUDATE", WHOLE, PAYCUR=D(101)), "paid more than it is"),
        (lambda b: broken(b, "GACCDUDATE", OPEN, TMPCUR=D(-1)), "being paid"),
        (lambda b: broken(b, "GACCDUDATE", OPEN, FLGCLE=2), "FLGCLE"),
        (lambda b: broken(b, "GACCDUDATE", WHOLE, PAYLOC=D(99)), "company amount left over"),
        (lambda b: broken(b, "GACCDUDATE", OPEN, AMTCUR=D(51), AMTLOC=D(51)), "of its open items"),
        (lambda b: broken(b, "GACCDUDATE", OPEN, PAYCUR=D(5), PAYLOC=D(5)), "PAYCUR"),
        (lambda b: broken(b, "GACCDUDATE", OPEN, TMPCUR=D(5)), "TMPCUR"),
        (lambda b: broken(b, "GACCDUDATE", ("PAY", "PY126000002", "1")), "control account and open items"),
        (lambda b: line(b, "GACCENTRY", WHOLE[:2], 0, AMTLED=D(99)), "not balanced in company currency"),
        (lambda b: line(b, "GACCENTRY", WHOLE[:2], 0, AMTCUR=D(99)), "not balanced"),
        (lambda b: line(b, "GACCENTRY", OPEN[:2], 0, MTC="ZZZ"), "upper-case codes"),
        (lambda b: broken(b, "GACCENTRY", OPEN[:2]), "no journal"),
        (lambda b: broken(b, "GACCENTRY", OPEN[:2], ACCNUM=1), "number twice"),
        (lambda b: broken(b, "SINVOICE", (OPEN[1],), AMTATI=D(51)), "total is not net and tax"),
        (lambda b: broken(b, "SINVOICE", (OPEN[1],), AMTATI=D(51), AMTNOT=D(51)), "bases"),
    ],
)
def test_an_invariant_that_is_broken_is_named(paid, breaking, said):
    breaking(paid)
    with pytest.raises(AssertionError, match=said):
        paid.check()


def test_a_document_that_was_never_posted_has_neither_journal_nor_open_items(paid):
    row = {k: v for k, v in paid.store.get("SINVOICE", OPEN[1]).items() if k not in {"ACCNUM", "VALIDATED"}}
    paid.store.put("SINVOICE", (OPEN[1],), row)
    with pytest.raises(AssertionError, match="before posting"):
        paid.check()


def test_a_call_that_breaks_an_invariant_is_undone_and_raised_at_the_end(paid):
    broken(paid, "GACCDUDATE", OPEN, TMPCUR=D(-50))
    payload = '{"PAY1_1":{"FCY":"HLS01","BPR":"C1"},"PAY1_2":{"AMTCUR":"10"},"PAY1_4":[{"DENCOD":"ALLOC","VCRNUM":"INV-26/00002","AMTLIN":"10"}]}'
    with pytest.raises(AssertionError, match="being paid"), running(paid) as live:
        body = envelope("save", "WSPAY", {"poolAlias": live.pool}, {"objectXml": payload})
        told = requests.post(live.endpoint, data=body, auth=(live.user, live.password), timeout=5)
        assert told.status_code == 500
        assert len(paid.rows("PAY")) == 2
        assert item(paid, OPEN[1])["TMPCUR"] == -50
