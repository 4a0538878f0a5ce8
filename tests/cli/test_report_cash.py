"""The reports on money that comes in, as they are asked for on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]
BILLS = (
    "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open\n"
    "invoice,R-10001,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,0.00,100.00,\n"
    "invoice,R-10002,C1,Ada Ltd,2026-01-10,2026-02-09,USD,30.00,0.00,30.00,\n"
    "invoice,R-10003,C1,Ada Ltd,2026-02-20,2026-03-22,USD,70.00,0.00,70.00,\n"
)
CASH = (
    "payment,customer,customer_name,date,currency,amount,invoice,applied,memo\n"
    "P-1,C1,Ada Ltd,2026-02-01,USD,30.00,,,for r 10002\n"
)
FILES = ("--left", "bills.csv", "--left-profile", "documents", "--left", "cash.csv", "--left-profile", "payments")


@pytest.fixture(autouse=True)
def books(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "cash.csv").write_text(CASH)
    return tmp_path


def asked(tieout: Run, name: str, *more: str) -> dict:
    ran = tieout("report", name, *FILES, "--as-of", "2026-02-28", "--json", *more)
    assert ran.returncode == 0, ran.stderr
    found: dict = json.loads(ran.stdout)
    assert [p for p in found["proofs"] if p["held"] is False] == []
    return found


def rows(found: dict, table: str, style: str = "detail") -> list[dict]:
    [held] = [t for t in found["tables"] if t["key"] == table]
    return [r for r in held["rows"] if r["style"] == style]


def test_a_payment_that_names_its_invoice(tieout: Run, books: Path) -> None:
    [one] = rows(asked(tieout, "cash-suggestions"), "suggested")
    assert (one["payment"], one["document"], one["amount"], one["rule"]) == ("P-1", "R-10002", "30.00", "named")
    assert "names r 10002; exactly the money" in one["evidence"]
    # Nothing was applied by asking.
    [called] = rows(asked(tieout, "collections"), "customers")
    assert (called["overdue"], called["unapplied"], called["to_call"]) == ("130.00", "-30.00", "100.00")


def test_overdue_items_and_the_weeks_ahead(tieout: Run) -> None:
    assert [(r["document"], r["days"]) for r in rows(asked(tieout, "collections"), "items")] == [
        ("R-10001", 24),
        ("R-10002", 19),
    ]
    weekly = asked(tieout, "cash-forecast")
    assert [r["together"] for r in rows(weekly, "weeks", "closing")] == ["170.00"]
    assert {r["what"]: r["expected"] for r in rows(weekly, "weeks")}["no date to be told"] == "130.00"


@pytest.mark.parametrize("name", ["cash-suggestions", "collections", "cash-forecast"])
def test_two_ledgers_stand_beside_each_other_in_one_file(tieout: Run, books: Path, name: str) -> None:
    (books / "copy.csv").write_text(BILLS)
    right = ("--right", "copy.csv", "--right-profile", "documents")
    ran = tieout("report", name, *FILES, *right, "--as-of", "2026-02-28", "--format", "html", "--output", "made.html")
    assert (ran.returncode, ran.stderr) == (0, "wrote made.html\n"), "one file; nobody takes it for a letter"
    both = asked(tieout, name, *right)
    assert both["title"].endswith(": bills.csv, cash.csv, copy.csv")
    left, other = (
        asked(tieout, name),
        json.loads(
            tieout(
                "report",
                name,
                *right,
                "--left",
                "copy.csv",
                "--left-profile",
                "documents",
                "--as-of",
                "2026-02-28",
                "--json",
            ).stdout
        ),
    )
    keys = [t["key"] for t in left["tables"]]
    assert [t["key"] for t in both["tables"]] == [f"{key}_{side}" for key in keys for side in ("left", "right")]
    for key in keys:
        assert rows(both, f"{key}_left") == rows(left, key)
        assert rows(both, f"{key}_right") == rows(other, f"{key}_right")
    assert {p["claim"].partition(": ")[0] for p in both["proofs"]} == {"bills.csv, cash.csv", "copy.csv"}


def test_hostile_text_of_a_payment_runs_nowhere(tieout: Run, books: Path) -> None:
    (books / "cash.csv").write_text(CASH.replace("for r 10002", "=cmd|x \x1b[2J"))
    out = tieout("report", "cash-suggestions", *FILES, "--as-of", "2026-02-28").stdout
    assert "\x1b" not in out
    sheet = ("--format", "csv", "--table", "suggested")
    out = tieout("report", "cash-suggestions", *FILES, "--as-of", "2026-02-28", *sheet).stdout
    assert ",=cmd" not in out
