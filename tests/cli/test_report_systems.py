"""`tieout report` on systems: read anew, both of a pair beside each other, and as they were known on a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.office import DAY, Office, office
from tests.sage_x3_bench import bench
from tieout.cli.ledgers import anew
from tieout.reports.receivables import open_items


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as found:
        yield found


def asked(it: Office, *words: str, as_of: str = str(DAY), code: int = 0) -> Any:
    ran = it.run("report", *words, "--as-of", as_of, "--json")
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout)


def rows(found: Any, table: str, style: str = "detail") -> list[Any]:
    [held] = [t for t in found["tables"] if t["key"] == table]
    return [r for r in held["rows"] if r["style"] == style]


def total(found: Any, table: str, column: str) -> Decimal:
    [row] = rows(found, table, "total")
    return Decimal(row[column])


def deleted(it: Office, before: str = "9999") -> Any:
    """An invoice of QuickBooks on which nothing was paid; it is not there any more."""
    held = [row.doc for row in it.site.books.tables["Invoice"].values()]
    doc = next(d for d in held if d["Balance"] == d["TotalAmt"] and d["TxnDate"] < before)
    it.site.books.apply("Invoice", "delete", {"Id": doc["Id"], "SyncToken": doc["SyncToken"]})
    return doc


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_system_is_read_anew_and_agrees_with_its_own_report(it: Office) -> None:
    found = asked(it, "aging", "quickbooks")
    claims = {p["claim"]: p["held"] for p in found["proofs"]}
    assert [held for claim, held in claims.items() if "AgedReceivables" in claim] == [True]
    assert False not in claims.values()
    assert found["company"] == "Example Trading Ltd"
    assert not (it.folder / "tieout.db").exists(), "a report makes no state database"
    before = total(found, "customers", "total")
    gone = Decimal(str(deleted(it)["TotalAmt"]))
    assert total(asked(it, "aging", "quickbooks"), "customers", "total") == before - gone


def test_sage_x3_agrees_with_its_own_open_items() -> None:
    with bench(seed="small") as x3:
        for day, totals in ((date(2026, 2, 2), 2), (date(2026, 1, 15), 0)):
            books = anew(x3.open(), day)
            report = open_items.build([books], as_of=day)
            held = [p.held for p in report.proofs]
            assert held.count(True) == totals + 2, report.proofs
            assert held.count(None) == (1 if totals else 2), (
                "its figures are those of now; of a customer it states none"
            )
            assert False not in held
            assert {c.currency for t in report.tables for c in t.columns} == {"", "USD"}


def test_both_of_a_pair_stand_beside_each_other(it: Office) -> None:
    it.settled()
    found = asked(it, "open-items", "--pair", "main")
    columns = {c["key"]: c["title"] for t in found["tables"] if t["key"] == "balances" for c in t["columns"]}
    assert {"left.open", "right.open", "difference"} <= columns.keys()
    both = [r for r in rows(found, "balances") if r["left.open"] and r["right.open"]]
    assert both, "a customer that both have is one line"
    assert {r["difference"] for r in both} == {"0.00"}
    assert set(found["provenance"]["read"]) == {"left erp", "right quickbooks"}


def test_known_on_shows_what_was_known_then(it: Office) -> None:
    ran = it.run("report", "aging", "quickbooks", "--as-of", str(DAY), "--known-on", str(DAY))
    assert ran.returncode == 2
    assert "no state database" in ran.stderr
    assert it.run("pull", "quickbooks").returncode == 0
    first = now()
    then = asked(it, "open-items", "quickbooks", "--known-on", first)
    deleted(it)
    assert it.run("pull", "quickbooks", "--full").returncode == 0
    again = asked(it, "open-items", "quickbooks", "--known-on", first)
    assert then["tables"] == again["tables"]
    later = asked(it, "open-items", "quickbooks", "--known-on", now())
    of_now = asked(it, "open-items", "quickbooks")["tables"]
    assert [t["key"] for t in of_now] == ["items", "stated"], (
        "a balance that the state kept may be older than documents"
    )
    assert later["tables"] == of_now[:1]
    assert len(rows(later, "items")) == len(rows(then, "items")) - 1
    ran = it.run("report", "aging", "quickbooks", "--as-of", str(DAY), "--known-on", "2020-01-01")
    assert ran.returncode == 2
    assert "nothing of quickbooks was read" in ran.stderr


def test_what_was_dated_back_into_a_closed_period_is_listed(it: Office) -> None:
    assert it.run("pull", "quickbooks").returncode == 0
    signed = now()
    words = ("roll-forward", "quickbooks", "--from", "2026-11-01", "--opening-known-on")
    assert rows(asked(it, *words, signed), "back_dated") == []
    doc = deleted(it, before="2026-10-31")
    number, gone = doc["DocNumber"], Decimal(str(doc["TotalAmt"]))
    found = asked(it, *words, signed)
    assert [(r["document"], Decimal(r["change"])) for r in rows(found, "back_dated")] == [(number, -gone)]
    [opening], [change], [now_] = (rows(found, "opening", style) for style in ("opening", "detail", "closing"))
    assert Decimal(opening["amount"]) + Decimal(change["amount"]) == Decimal(now_["amount"])
    assert False not in [p["held"] for p in found["proofs"]]


def test_each_customer_gets_a_document_of_its_own(it: Office) -> None:
    ran = it.run("report", "statement", "quickbooks", "--as-of", str(DAY), "--out", "statements", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    made = [json.loads(p.read_text()) for p in sorted((it.folder / "statements").iterdir())]
    aged = asked(it, "aging", "quickbooks")
    owing = {r["customer"] for r in rows(aged, "customers")}
    assert owing <= {m["title"].removeprefix("Statement of account: ") for m in made}
    closing = sum(Decimal(r["balance"]) for m in made for r in rows(m, "movements", "closing"))
    assert closing == total(aged, "customers", "total")
    ran = it.run("report", "statement", "quickbooks", "--as-of", str(DAY), "--customer", "Nobody")
    assert ran.returncode == 2
    assert "Nobody" in ran.stderr
