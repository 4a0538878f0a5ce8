"""`tieout report`, on files and on connections: the right books, the right day, the right form."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from click import UsageError

from tests.cli.conftest import Ran
from tieout.cli.days import known_by
from tieout.mapping.tabular import load_profile

Run = Callable[..., Ran]
HEAD = "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open\n"
BILLS = HEAD + (
    "invoice,R-1,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,0.00,100.00,\n"
    "invoice,R-2,C1,Ada Ltd,2026-02-10,2026-03-12,USD,200.00,0.00,200.00,\n"
    "credit_memo,R-3,C2,\"=cmd|'/C calc'!A1\",2026-02-20,,USD,50.00,0.00,50.00,\n"
)
CASH = (
    "payment,customer,customer_name,date,currency,amount,invoice,applied\n"
    "P-1,C1,Ada Ltd,2026-03-01,USD,130.00,R-1,100.00\n"
    "P-1,C1,Ada Ltd,2026-03-01,USD,130.00,,30.00\n"
)
FILES = ("--left", "bills.csv", "--left-profile", "documents", "--left", "cash.csv", "--left-profile", "payments")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "cash.csv").write_text(CASH)
    return tmp_path


def rows(found: dict, table: str, style: str = "detail") -> list[dict]:
    [held] = [t for t in found["tables"] if t["key"] == table]
    return [r for r in held["rows"] if r["style"] == style]


@pytest.mark.parametrize(("as_of", "total"), [("2026-01-04", None), ("2026-02-28", "250.00"), ("2026-03-01", "120.00")])
def test_as_of_is_inclusive(tieout: Run, books: Path, as_of: str, total: str | None) -> None:
    ran = tieout("report", "aging", *FILES, "--as-of", as_of, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [r["total"] for r in rows(found, "customers", "total")] == ([total] if total else [])
    assert all(p["held"] is not False for p in found["proofs"])


def test_unapplied_money_is_in_no_bucket(tieout: Run, books: Path) -> None:
    found = json.loads(tieout("report", "aging", *FILES, "--as-of", "2026-03-31", "--json").stdout)
    [ada] = [r for r in rows(found, "customers") if r["customer"] == "Ada Ltd"]
    assert (ada["days_1_30"], ada["unapplied"], ada["total"]) == ("200.00", "-30.00", "170.00")
    assert [r["unapplied"] for r in rows(found, "customers") if r["customer"] != "Ada Ltd"] == ["-50.00"]


def test_a_report_says_where_it_came_from(tieout: Run, books: Path) -> None:
    found = json.loads(tieout("report", "open-items", *FILES, "--as-of", "2026-03-31", "--json").stdout)
    said = found["provenance"]
    assert set(said) >= {"source", "parameters", "extracted_at", "by", "program", "read", "rows"}
    [read] = said["read"].values()
    assert [f["sha256"] for f in read["files"]] == [
        sha256((books / n).read_bytes()).hexdigest() for n in ("bills.csv", "cash.csv")
    ]
    profiles = [load_profile(name).identified for name in ("documents", "payments")]
    assert [f["profile"] for f in read["files"]] == profiles, "and how they were read"
    assert said["parameters"]["as_of"] == "2026-03-31"
    assert found["parameters"]["ledger"] == "bills.csv, cash.csv"


def test_a_ledger_of_several_files_is_called_what_it_is_said_to_be(tieout: Run, books: Path) -> None:
    day = ("--as-of", "2026-03-31")
    ran = tieout("report", "aging", *FILES, "--left-name", " SAP ", *day, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["parameters"]["ledger"] == "SAP (bills.csv, cash.csv)"
    assert [*found["provenance"]["read"]] == ["SAP"]
    assert all(p["claim"].startswith("SAP: ") for p in found["proofs"])
    right = ("--right", "bills.csv", "--right-profile", "documents", "--right-name", "Package")
    both = json.loads(tieout("report", "bridge", *FILES, "--left-name", "SAP", *right, *day, "--json").stdout)
    assert both["title"] == "Bridge from SAP (A) to Package (B)"
    for wrong in (("--right-name", "P"), ("--left-name", " ")):
        ran = tieout("report", "aging", *FILES, *wrong, *day)
        assert ran.returncode == 2
        assert f"{wrong[0]} is what to call" in ran.stderr


def test_hostile_text_runs_nowhere(tieout: Run, books: Path) -> None:
    (books / "bills.csv").write_text(BILLS.replace("Ada Ltd", "Ada\x1b[2J"))
    out = tieout("report", "open-items", *FILES, "--as-of", "2026-03-31").stdout
    assert "\x1b" not in out
    ran = tieout("report", "open-items", *FILES, "--as-of", "2026-03-31", "--format", "csv", "--out", "o.csv")
    assert ran.returncode == 0, ran.stderr
    cells = list(csv.DictReader(io.StringIO((books / "o.csv").read_text("utf-8-sig"))))
    assert {c["customer"] for c in cells if c["number"] == "C2"} == {"'=cmd|'/C calc'!A1"}
    assert Decimal(next(c["open"] for c in cells if c["number"] == "C2")) == -50
    said = json.loads((books / "o.csv.provenance.json").read_text())
    assert [c["key"] for c in said["columns"]] == list(cells[0])[1:]
    assert said["proofs"]
    assert any("what customers owe is positive" in note for note in said["notes"])
    assert said["sha256"] == sha256((books / "o.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("erp", *FILES),
        ("--left", "bills.csv"),
        ("--right", "bills.csv", "--right-profile", "documents"),
        (*FILES, "--table", "ages"),
        (*FILES, "--format", "csv", "--json"),
    ],
)
def test_a_question_that_is_not_one_is_refused(tieout: Run, books: Path, words: tuple[str, ...]) -> None:
    ran = tieout("report", "aging", *words, "--as-of", "2026-03-31")
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("aging", "--known-on", "2999-01-01"),
        ("open-items", "--known-on", "2999-01-01T08:00"),
        ("roll-forward", "--opening-known-on", "2999-01-01"),
    ],
)
def test_what_will_be_known_later_is_not_known(tieout: Run, words: tuple[str, ...]) -> None:
    ran = tieout("report", *words, *FILES, "--as-of", "2026-03-31")
    assert ran.returncode == 2
    assert f"{words[1]} 2999-01-01" in ran.stderr
    assert "lies ahead" in ran.stderr


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_report_that_others_may_not_read_stays_so_when_it_is_written_anew(
    tieout: Run, books: Path, form: str
) -> None:
    """A scheduled report opened what its owner had closed."""
    path = books / f"aging.{form}"
    for mode in (0o600, 0o640, 0o444):
        path.write_bytes(b"of last month")
        path.chmod(mode)
        ran = tieout("report", "aging", *FILES, "--as-of", "2026-03-31", "--format", form, "-o", path)
        assert (ran.returncode, path.stat().st_mode & 0o777) == (0, mode | 0o600), ran.stderr
        assert path.read_bytes() != b"of last month"
        path.chmod(0o600)


def test_today_is_known_as_far_as_it_has_gone() -> None:
    now = datetime(2026, 2, 4, 9, 30, tzinfo=UTC)
    assert known_by(None, "--known-on", now) is None
    assert known_by(now, "--known-on", now) == now
    assert known_by(datetime(2026, 2, 4, 23, 59, 59, 999999, UTC), "--known-on", now) == now
    assert known_by(datetime(2026, 2, 3, 23, 59, 59, 999999, UTC), "--known-on", now) < now
    for ahead in (now + timedelta(seconds=1), datetime(2026, 2, 5, tzinfo=UTC)):
        with pytest.raises(UsageError, match="lies ahead"):
            known_by(ahead, "--known-on", now)


def test_what_cannot_be_read_is_counted_and_said(tieout: Run, books: Path) -> None:
    (books / "bills.csv").write_text(BILLS + "invoice,R-4,C1,Ada Ltd,2026-02-30,,USD,9.00,0.00,9.00,\n")
    for name in ("aging", "open-items", "roll-forward", "unapplied", "credits", "cut-off", "subsequent-receipts"):
        found = json.loads(tieout("report", name, *FILES, "--as-of", "2026-03-31", "--json").stdout)
        assert any("1 record or row could not be read" in note for note in found["notes"]), name
    [first, *_] = json.loads(tieout("report", "statement", *FILES, "--as-of", "2026-03-31", "--json").stdout)
    assert any("1 record or row could not be read" in note for note in first["notes"])


def test_each_table_is_a_file_of_its_own(tieout: Run, books: Path) -> None:
    words = ("report", "aging", *FILES, "--as-of", "2026-03-31", "--format", "csv")
    ran = tieout(*words, "--out", "a.csv")
    assert ran.returncode == 0, ran.stderr
    assert {p.name for p in books.glob("a*.csv")} == {"a.csv", "a-customers.csv", "a-documents.csv"}
    on_screen = tieout(*words, "--table", "customers")
    assert on_screen.stdout.replace("\r", "") == (books / "a-customers.csv").read_text("utf-8-sig").replace("\r", "")
    ran = tieout(*words, "--table", "none")
    assert ran.returncode == 2
    assert "customers" in ran.stderr


def test_customers_become_no_paths(tieout: Run, books: Path) -> None:
    (books / "bills.csv").write_text(BILLS.replace("Ada Ltd", "../../../Ada/../x"))
    ran = tieout("report", "statement", *FILES, "--as-of", "2026-03-31", "--out", "s", "--from", "2026-01-01")
    assert ran.returncode == 0, ran.stderr
    made = sorted((books / "s").iterdir())
    assert len(made) == 2
    assert all(p.suffix == ".txt" and ".." not in p.name for p in made)
    assert {p.name for p in books.iterdir()} == {"bills.csv", "cash.csv", "s"}


def test_wide_tables_of_two_sides_come_side_by_side_or_one_after_the_other(tieout: Run, books: Path) -> None:
    right = tuple(w.replace("--left", "--right") for w in FILES)
    out = tieout("report", "aging", *FILES, *right, "--as-of", "2026-03-31").stdout
    assert max(map(len, out.splitlines())) < 250
    assert out.count("By customer") == 2
    assert "Total USD" in out


def test_the_screen_shows_so_many_rows_and_the_totals_of_all(tieout: Run, books: Path) -> None:
    words = ("report", "open-items", *FILES, "--as-of", "2026-03-31")
    out = tieout(*words, "--limit", "1").stdout
    assert "… 2 more rows" in out
    assert "Total USD" in out
    assert "120.00" in out
    assert ("R-3" in out, "R-2" in out) == (True, False)
    assert "… 1 more row;" in tieout(*words, "--limit", "2").stdout
    tieout(*words, "--limit", "1", "--out", "whole.txt")
    assert "more row" not in (books / "whole.txt").read_text()


def test_files_know_nothing_of_what_was_known_when(tieout: Run, books: Path) -> None:
    ran = tieout("report", "aging", *FILES, "--as-of", "2026-03-31", "--known-on", "2026-03-31")
    assert ran.returncode == 2
    assert "state database" in ran.stderr


def test_files_need_no_state_database(books: Path) -> None:
    """Neither the database nor what speaks to it is loaded for a report that is made of files alone."""
    asked = ["report", "aging", *FILES, "--as-of", "2026-03-01"]
    loads = f"""
import sys
from click.testing import CliRunner
from tieout.cli import cli
ran = CliRunner().invoke(cli, {asked!r})
assert ran.exit_code == 0, ran.output
print("sqlalchemy" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", loads], cwd=books, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.strip() == "False", ran.stdout + ran.stderr
