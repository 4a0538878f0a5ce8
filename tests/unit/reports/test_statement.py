"""What a statement tells its customer beside the account: that an invoice is in dispute, and nothing else."""

from __future__ import annotations

from tests.ledgers import JAN31, adjustment, customer, day, invoice, payment
from tieout.reports import Books
from tieout.reports.forms import page
from tieout.reports.frame import letter
from tieout.reports.receivables import statement

RECORDS = (
    customer("C1", "Ada Ltd", "1"),
    invoice("A", "C1", "100", "2026-01-05", due="2026-01-20", disputed=True, memo="CANARY bad payer", po_number="7"),
    invoice("B", "C1", "40", "2026-01-06", due="2026-02-20", memo="CANARY"),
    payment("P", "C1", "10", "2026-01-07", memo="CANARY"),
    adjustment("W", "C1", "write_off", "1", "2026-01-08", document="B", reason="CANARY", approver="CANARY"),
)


def made(*records):
    [one] = statement.build([Books("erp", records, {})], as_of=JAN31, since=day("2026-01-01"))
    return one


def rows(report, key):
    table = next(t for t in report.tables if t.key == key)
    keys = [c.key for c in table.columns]
    return [dict(zip(keys, r.cells, strict=True)) for r in table.rows if r.style == "detail"]


def test_an_invoice_in_dispute_is_marked_and_how_much_that_is_stands_beside_the_total():
    one = made(*RECORDS)
    assert {r["document"]: r["remark"] for r in rows(one, "open")} == {"A": "in dispute", "B": "", "P": ""}
    [ages] = rows(one, "ages")
    assert (ages["total"], ages["disputed"]) == (129, 100)
    sent = page.write(letter(one, "ref"))
    assert sent.count("in dispute") == 2
    assert "CANARY" not in sent


def test_an_account_without_a_dispute_does_not_speak_of_one():
    sent = page.write(letter(made(*RECORDS[:1], *RECORDS[2:]), "ref"))
    assert "dispute" not in sent
    assert "emark" not in sent
