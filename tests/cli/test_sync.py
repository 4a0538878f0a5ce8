"""`pull`, `sync`, `plan`, `discrepancies`, as installed: two ERPs that speak in files, kept in step."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.cli.conftest import EXAMPLE, Ran, files
from tieout.cli.answers import read as read_answers
from tieout.errors import ConfigError

Run = Callable[..., Ran]
CONFIG = (
    EXAMPLE
    + files("erp", "customers", "documents")
    + files(
        "books",
        "customers",
        "documents",
        imports={"customer": "import-customers", "invoice": "import-documents", "credit_memo": "import-documents"},
    )
    + '[pair.main]\nleft = "erp"\nright = "books"\ncodes = "same"\n'
)
CUSTOMERS = "customer,name,currency\nC1,Ada Ltd,USD\n"
HEAD = "kind,number,customer,issued,due,currency,net,tax,total,memo\n"
SHARED = "invoice,R-1,C1,2026-01-05,2026-02-04,USD,100.00,0.00,100.00,\n"
ONLY_LEFT = "invoice,R-2,C1,2026-01-07,2026-02-06,USD,200.00,0.00,200.00,second\n"
ONLY_RIGHT = "invoice,X-9,C1,2026-01-08,2026-02-07,USD,40.00,0.00,40.00,\n"


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A configured company: R-1 in both books, R-2 in the ERP only, X-9 in the other book only."""
    (tmp_path / "tieout.toml").write_text(CONFIG)
    for name, documents in (("erp", SHARED + ONLY_LEFT), ("books", SHARED + ONLY_RIGHT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "customers-1.csv").write_text(CUSTOMERS)
        (tmp_path / name / "documents-1.csv").write_text(HEAD + documents)
    (tmp_path / "outbox").mkdir()
    return tmp_path


def document(ran: Ran) -> Any:
    return json.loads(ran.stdout)


def test_pull_reads_one_connection_or_all(tieout: Run, company: Path) -> None:
    ran = tieout("pull", "--json")
    assert ran.returncode == 0, ran.stderr
    read = {c["connection"]: c["entities"] for c in document(ran)["connections"]}
    assert read["erp"]["invoice"]["rows"] == 2
    assert read["books"]["customer"]["rows"] == 1
    one = document(tieout("pull", "erp", "--json"))
    assert [c["connection"] for c in one["connections"]] == ["erp"]
    assert tieout("pull", "erpp").returncode == 2


def test_a_record_that_cannot_be_read_is_told_even_in_quiet_mode(tieout: Run, company: Path) -> None:
    with (company / "erp" / "documents-1.csv").open("a") as file:
        file.write("invoice,R-3,C1,yesterday,,USD,1.00,0.00,1.00,\n")
    ran = tieout("pull", "erp", "--quiet")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "yesterday" in ran.stderr


def test_sync_plans_waits_for_a_person_writes_once_and_then_has_nothing_to_do(tieout: Run, company: Path) -> None:
    first = tieout("sync", "--json")
    assert first.returncode == 4, first.stderr
    (run,) = document(first)["runs"]
    assert set(run) >= {"run", "pair", "mode", "fetched", "plan", "applied", "discrepancies", "requests"}
    assert set(run["applied"]) == {"done", "pending", "unknown", "blocked", "rejected", "stale", "stuck"}
    assert set(run["discrepancies"]) == {"opened", "open", "closed"}
    (operation,) = run["plan"]["operations"]
    assert set(operation) >= {"op", "entity", "target", "key", "fields", "delta", "currency"}
    assert (operation["op"], operation["entity"], operation["delta"]) == ("create", "invoice", "200.00")
    plan = run["plan"]["id"]

    again = tieout("sync", "main", "--apply", "--json")
    assert again.returncode == 4
    assert document(again)["runs"][0]["plan"]["id"] == plan, "an identical plan keeps its id"
    assert not list((company / "outbox").glob("*.import.csv")), "nothing is written without approval"

    shown = tieout("plan", "show", plan)
    assert "R-2" in shown.stdout
    assert "issued 2026-01-07, due 2026-02-06" in shown.stdout
    assert "tieout plan approve" in shown.stderr
    assert document(tieout("plan", "show", "--json"))["plans"][0]["id"] == plan
    assert tieout("plan", "approve", plan).returncode == 2, "an approval names a person"
    assert tieout("plan", "approve", "ffff", "--by", "Kim").returncode == 2
    assert tieout("plan", "approve", plan, "--by", "Kim", "--accept-guard", "mass_void").returncode == 2
    approved = tieout("plan", "approve", plan, "--by", "Kim", "--json")
    assert approved.returncode == 0, approved.stderr
    assert document(approved)["approvals"][0]["by"] == "Kim"

    applied = tieout("sync", "--apply", "--json")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert document(applied)["runs"][0]["applied"]["pending"] == 1
    (written,) = (company / "outbox").glob("*.import.csv")
    assert "R-2" in written.read_text()

    last = tieout("sync", "--apply", "--json")
    assert last.returncode == 0, last.stderr
    assert document(last)["runs"][0]["plan"]["operations"] == []
    assert len(list((company / "outbox").glob("*.import.csv"))) == 1


def test_a_rejected_plan_is_not_written(tieout: Run, company: Path) -> None:
    plan = document(tieout("sync", "--json"))["runs"][0]["plan"]["id"]
    assert tieout("plan", "reject", plan, "--by", "Kim").returncode == 2, "a rejection names its reason"
    assert tieout("plan", "reject", plan, "--by", "Kim", "--reason", "wrong customer").returncode == 0
    assert tieout("plan", "approve", plan, "--by", "Kim").returncode == 4
    tieout("sync", "--apply")
    assert not list((company / "outbox").glob("*.import.csv"))


def test_a_guard_is_lifted_by_name(tieout: Run, company: Path) -> None:
    (company / "tieout.toml").write_text(CONFIG + "limits = { creates = 0, creates_percent = 0 }\n")
    ran = tieout("sync", "--json")
    (run,) = document(ran)["runs"]
    assert [g["name"] for g in run["guards"]] == ["mass_create"]
    assert "guard mass_create" in ran.stderr
    plan = run["plan"]["id"]
    refused = tieout("plan", "approve", plan, "--by", "Kim")
    assert refused.returncode == 4
    assert "--accept-guard mass_create" in refused.stderr
    assert tieout("plan", "approve", plan, "--by", "Kim", "--accept-guard", "mass_create").returncode == 0
    assert document(tieout("sync", "--apply", "--json"))["runs"][0]["applied"]["pending"] == 1


def test_differences_exit_with_1_only_when_nothing_graver_applies(tieout: Run, company: Path) -> None:
    (company / "tieout.toml").write_text(CONFIG + 'mode = "observe"\n')
    assert tieout("sync").returncode == 0
    assert tieout("sync", "--fail-on-differences").returncode == 1
    (company / "tieout.toml").write_text(CONFIG)
    assert tieout("sync", "--fail-on-differences").returncode == 4


def test_one_pair_that_fails_does_not_stop_the_others_and_the_gravest_code_wins(tieout: Run, company: Path) -> None:
    more = """
[connection.away]
kind = "tabular"
folder = "no/such/folder"
currency = "USD"
exports = [{ glob = "*.csv", profile = "documents" }]
[pair.broken]
left = "erp"
right = "away"
"""
    (company / "tieout.toml").write_text(CONFIG + 'mode = "observe"\n' + more)
    ran = tieout("sync", "--json")
    found = document(ran)
    assert [r["pair"] for r in found["runs"]] == ["main"]
    (failed,) = found["errors"]
    assert failed["name"] == "broken"
    assert ran.returncode == failed["exit"] != 0
    assert "broken" in ran.stderr


def test_quiet_prints_only_what_a_person_must_do(installed: Run, company: Path) -> None:
    ran = installed("sync", "--quiet")
    assert ran.stdout == ""
    assert "wait" in ran.stderr
    assert "tieout plan show" in ran.stderr
    (company / "tieout.toml").write_text(CONFIG + 'mode = "observe"\n')
    ran = installed("sync", "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_discrepancies_are_listed_shown_decided_and_exported(tieout: Run, company: Path) -> None:
    tieout("sync")
    found = document(tieout("discrepancies", "list", "--json"))["discrepancies"]
    assert found
    assert set(found[0]) >= {
        *("id", "code", "secondary", "class", "severity", "left", "right", "field", "left_value", "right_value"),
        *("delta", "currency", "cause", "remedy", "pair", "state", "owner", "first_seen_at", "last_seen_at"),
    }
    missing = next(d for d in found if d["delta"] == "40.00")
    assert [missing[k] for k in ("left_label", "right_label", "customer", "amount", "amount_currency", "age_days")] == [
        None, "X-9", "Ada Ltd", "40.00", "USD", 0,
    ]  # fmt: skip
    [line] = [x for x in tieout("discrepancies", "list").stdout.splitlines() if missing["id"][:12] in x]
    assert re.search(r"X-9 +Ada Ltd +40\.00 USD +40\.00 +USD +0 ", line), line
    told = tieout("discrepancies", "history", missing["id"]).stdout.splitlines()[0]
    assert told.endswith("X-9  Ada Ltd  40.00 USD")
    shown = tieout("discrepancies", "show", missing["id"])
    assert "X-9" in shown.stdout
    assert tieout("discrepancies", "show", "ffff").returncode == 2

    decide = ("discrepancies", "decide", missing["id"])
    assert tieout(*decide, "accept", "--by", "Kim").returncode == 4, "accepting needs a reason"
    assert tieout(*decide, "forget", "--by", "Kim").returncode == 2
    done = tieout(*decide, "accept", "--by", "Kim", "--reason", "booked next month", "--owner", "Lee", "--json")
    assert (done.returncode, document(done)["state"]) == (0, "accepted")
    accepted = document(tieout("discrepancies", "list", "main", "--state", "accepted", "--json"))["discrepancies"]
    assert [(d["id"], d["owner"], d["reason"]) for d in accepted] == [(missing["id"], "Lee", "booked next month")]
    assert document(done)["earlier"] == "", "nobody else had answered it"
    again = tieout(*decide, "accept", "--by", "Ana", "--reason", "a fee").stdout
    assert re.fullmatch(rf"{missing['id']}: accepted \(before: accept, by Kim at [\d-]+ [\d:]+ UTC\)\n", again)
    tieout(*decide, "accept", "--by", "Kim", "--reason", "booked next month")

    out = tieout("discrepancies", "export", "--output", "d.csv", "--json")
    assert out.returncode == 0, out.stderr
    rows = list(csv.DictReader(io.StringIO((company / "d.csv").read_text("utf-8-sig"))))
    assert len(rows) == document(out)["rows"] == len(found)
    said = json.loads((company / "d.csv.provenance.json").read_text())
    assert set(said) >= {"source", "parameters", "extracted_at", "by", "program", "rows", "delta", "sha256"}
    assert tieout("discrepancies", "export", "--output", "d.csv").returncode == 0, "an earlier export is replaced"
    before = (company / "tieout.toml").read_bytes()
    assert tieout("discrepancies", "export", "--output", "tieout.toml").returncode == 2
    assert (company / "tieout.toml").read_bytes() == before
    screen = tieout("discrepancies", "export")
    assert len(list(csv.reader(io.StringIO(screen.stdout)))) == len(found) + 1
    assert tieout("discrepancies", "export", "--json").returncode == 2
    assert tieout("discrepancies", "export", "--format", "xlsx", "--output", "d.xlsx").returncode == 0
    book = openpyxl.load_workbook(company / "d.xlsx", data_only=True)
    ids = [row[0] for row in book["Discrepancies"].iter_rows(min_row=6, values_only=True)]
    assert ids == [row["id"] for row in csv.DictReader(io.StringIO(screen.stdout))]
    moved = {row[0]: Decimal(repr(row[2])) for row in book["By currency"].iter_rows(min_row=6, values_only=True)}
    assert moved == {
        c: Decimal(v) for c, v in json.loads((company / "d.csv.provenance.json").read_text())["delta"].items()
    }
    assert tieout("discrepancies", "export", "--format", "xlsx").returncode == 2


def answer(
    company: Path, answers: dict[str, dict[str, str]], *, dialect: str = "excel", encoding: str = "utf-8-sig"
) -> Path:
    """The exported list as a person hands it back: by left or right number, what is put into its columns."""
    rows = list(csv.DictReader(io.StringIO((company / "d.csv").read_text("utf-8-sig"))))
    for row in rows:
        row["action"] = ""
        row |= answers.get(row["left_label"] or row["right_label"], {})
    file = company / "answers.csv"
    with file.open("w", encoding=encoding, newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), dialect=dialect, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    return file


def standing(tieout: Run) -> dict[str, tuple[str, str, str, str]]:
    """By its number, how each document that one side lacks stands: state, reason, owner, end of the acceptance."""
    found = document(tieout("discrepancies", "list", "--json"))["discrepancies"]
    return {
        d["left_label"] or d["right_label"]: (d["state"], d["reason"], d["owner"], d["accepted_until"])
        for d in found
        if d["field"] == "existence"
    }


def told(tieout: Run) -> list[str]:
    """The decisions on both documents that one side lacks."""
    ids = [
        d["id"]
        for d in document(tieout("discrepancies", "list", "--json"))["discrepancies"]
        if d["field"] == "existence"
    ]
    stories = [h for id in ids for h in document(tieout("discrepancies", "history", id, "--json"))["histories"]]
    return [e["event"] for h in stories for e in h["events"] if e["by"] != "tieout"]


def test_many_differences_are_decided_from_the_exported_list_or_none(tieout: Run, company: Path) -> None:
    """24: hundreds are worked through in a spreadsheet; what changed meanwhile is decided by nobody."""
    tieout("sync")
    assert tieout("discrepancies", "export", "--output", "d.csv").returncode == 0
    good = {
        "X-9": {"action": "accept", "reason": "=agreed", "owner": "Lee", "accepted_until": "2030-06-30"},
        "R-2": {"action": "acknowledge"},
    }

    before = standing(tieout)
    for wrong, said in (
        ({"R-2": {"action": "forget"}}, "action 'forget' is none of acknowledge, accept"),
        ({"R-2": {"action": "accept"}}, "needs a reason"),
        ({"R-2": {"action": "acknowledge", "seen": "v0123456789ab"}}, "has changed since the list was made"),
        ({"R-2": {"action": "acknowledge", "id": "D-none-such"}}, "no open discrepancies match"),
        ({"R-2": {"action": "accept", "reason": "x", "accepted_until": "30.6.2030"}}, "write YYYY-MM-DD"),
    ):
        ran = tieout("discrepancies", "import", answer(company, good | wrong), "--by", "Kim")
        assert ran.returncode == 2
        assert said in ran.stderr
        assert "row " in ran.stderr
        assert standing(tieout) == before, "all of a list is decided, or nothing"

    given = answer(company, good)
    text = given.read_text("utf-8-sig")
    given.write_text(text + "".join(row for row in text.splitlines(keepends=True)[1:]), "utf-8-sig")
    doubled = tieout("discrepancies", "import", given, "--by", "Kim")
    assert (doubled.returncode, doubled.stderr.count("answered in several rows"), standing(tieout)) == (2, 2, before)
    given = answer(company, good)
    tried = tieout("discrepancies", "import", given, "--by", "Kim", "--dry-run", "--json")
    assert (tried.returncode, len(document(tried)["decided"]), standing(tieout)) == (0, 2, before)
    done = tieout("discrepancies", "import", given, "--by", "Kim")
    assert done.returncode == 0, done.stderr
    assert standing(tieout) == {
        "X-9": ("accepted", "=agreed", "Lee", "2030-06-30T23:59:59.999999Z"),
        "R-2": ("acknowledged", before["R-2"][1], before["R-2"][2], None),
    }
    events = len(told(tieout))
    same = tieout("discrepancies", "import", given, "--by", "Kim")
    assert (same.returncode, len(told(tieout)) - events) == (0, 0), same.stderr
    assert same.stdout.endswith(
        "0 differences decided; 0 rows without an action\n2 rows answered so before, by this list: not decided again\n"
    )
    other = tieout("discrepancies", "import", answer(company, good | {"R-2": {"action": "reopen"}}), "--by", "Ann")
    assert (other.returncode, "was decided since the list was made: acknowledge, by Kim" in other.stderr) == (2, True)
    assert tieout("evidence", "verify").returncode == 0
    # The list that is exported now carries the reason behind an apostrophe, and brings it back without.
    tieout("discrepancies", "export", "--output", "d.csv")
    again = tieout("discrepancies", "import", answer(company, {"X-9": {"action": "accept"}}), "--by", "Kim")
    assert (again.returncode, standing(tieout)["X-9"][1]) == (0, "=agreed"), again.stderr
    assert tieout("discrepancies", "import", company / "tieout.toml", "--by", "Kim").returncode == 2
    assert tieout("discrepancies", "import", company / "none.csv", "--by", "Kim").returncode == 2
    (company / "bare.csv").write_text("id,code\nD-1,X\n", "utf-8")
    bare = tieout("discrepancies", "import", "bare.csv", "--by", "Kim")
    assert (bare.returncode, "no column 'action'" in bare.stderr) == (2, True)


def in_workbook(company: Path, answers: dict[str, dict[str, object]], name: str = "d.xlsx") -> Path:
    """The exported workbook as a person hands it back: by left or right number, what is put under its headings."""
    book = openpyxl.load_workbook(company / name)
    sheet = book["Discrepancies"]
    at = {cell.value: cell.column for cell in sheet[5]}
    for row in range(6, sheet.max_row + 1):
        number = sheet.cell(row, at["Left"]).value or sheet.cell(row, at["Right"]).value
        for heading, value in answers.get(str(number), {}).items():
            cell = sheet.cell(row, at[heading])
            cell.value = value  # type: ignore[assignment]  # what a spreadsheet takes
            if isinstance(value, str) and not value.startswith("=1"):
                cell.data_type = "s"
    book.save(company / "answers.xlsx")
    return company / "answers.xlsx"


def test_many_differences_are_decided_from_the_exported_workbook_or_none(
    tieout: Run, company: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24: the same as from the CSV, with days as days and text as text; a cell that nobody knows stops all of it."""
    tieout("sync")
    assert tieout("discrepancies", "export", "--format", "xlsx", "--output", "d.xlsx").returncode == 0
    good: dict[str, dict[str, object]] = {
        "X-9": {"Action": "accept", "Reason": "=agreed", "Owner": "'Lee", "Accepted until": date(2030, 6, 30)},
        "R-2": {"Action": "acknowledge"},
    }

    before = standing(tieout)
    for wrong, said in (
        ({"R-2": {"Action": "forget"}}, "action 'forget' is none of acknowledge, accept"),
        ({"R-2": {"Action": "acknowledge", "Seen": "v0123456789ab"}}, "has changed since the list was made"),
        ({"R-2": {"Action": "acknowledge", "Seen": None}}, "`id` and `seen` are needed"),
        ({"R-2": {"Action": '=1&""'}}, "a formula without a stored value"),
        ({"R-2": {"Action": "accept", "Reason": "x", "Accepted until": "30.6.2030"}}, "write YYYY-MM-DD"),
    ):
        ran = tieout("discrepancies", "import", in_workbook(company, good | wrong), "--by", "Kim")
        assert ran.returncode == 2, said
        assert said in ran.stderr
        assert "row " in ran.stderr
        assert standing(tieout) == before, "all of a list is decided, or nothing"
    book = openpyxl.load_workbook(company / "d.xlsx")
    book["Discrepancies"].title = "Other"
    book.save(company / "renamed.xlsx")
    ran = tieout("discrepancies", "import", "renamed.xlsx", "--by", "Kim")
    assert (ran.returncode, "no sheet 'Discrepancies'" in ran.stderr) == (2, True)
    untouched = tieout("discrepancies", "import", "d.xlsx", "--by", "Kim", "--json")
    assert (untouched.returncode, document(untouched)["decided"], standing(tieout)) == (0, [], before)

    given = in_workbook(company, good)
    tieout("discrepancies", "export", "--output", "d.csv")
    listed = answer(company, {"X-9": {"action": "acknowledge"}})
    for most, file in ((2, listed), (6, given)):
        with monkeypatch.context() as patch:
            patch.setattr("tieout.connectors.infer.sheet.MOST_ROWS", most)
            ran = tieout("discrepancies", "import", file, "--by", "Kim")
        assert (ran.returncode, f"more rows than the {most}" in ran.stderr) == (2, True), ran.stderr
    tried = tieout("discrepancies", "import", given, "--by", "Kim", "--dry-run", "--json")
    assert (tried.returncode, len(document(tried)["decided"]), standing(tieout)) == (0, 2, before)
    done = tieout("discrepancies", "import", given, "--by", "Kim")
    assert done.returncode == 0, done.stderr
    assert standing(tieout) == {
        "X-9": ("accepted", "=agreed", "'Lee", "2030-06-30T23:59:59.999999Z"),
        "R-2": ("acknowledged", before["R-2"][1], before["R-2"][2], None),
    }
    # Exported again, what was accepted says until when, and comes back as it is.
    tieout("discrepancies", "export", "--format", "xlsx", "--output", "d.xlsx")
    again = tieout("discrepancies", "import", in_workbook(company, {"X-9": {"Action": "accept"}}), "--by", "Kim")
    assert (again.returncode, standing(tieout)["X-9"][1:]) == (0, ("=agreed", "'Lee", "2030-06-30T23:59:59.999999Z"))
    (company / "books" / "documents-1.csv").write_text(HEAD + SHARED + ONLY_RIGHT.replace("40.00", "41.00"))
    assert tieout("sync").returncode in (0, 4)
    stale = tieout("discrepancies", "import", given, "--by", "Kim")
    assert (stale.returncode, "has changed since" in stale.stderr) == (2, True)


def test_a_list_with_two_columns_of_answers_is_refused(tmp_path: Path) -> None:
    """Which of them a person filled is not guessed: an empty one would leave every row alone."""
    (tmp_path / "d.csv").write_text("id,Action,seen,action\nD-1,,v1,accept\n")
    with pytest.raises(ConfigError, match="'action' stands twice"):
        read_answers(tmp_path / "d.csv")


def test_books_of_different_home_currencies_are_refused_by_check_and_by_the_first_run(
    tieout: Run, company: Path
) -> None:
    text = CONFIG.replace('currency = "USD"', 'currency = "EUR"', 1)
    (company / "tieout.toml").write_text(text + 'mode = "auto"\n')
    for words in (("check",), ("sync",), ("sync", "--apply")):
        ran = tieout(*words)
        assert ran.returncode == 2, ran.stdout
        assert "main: home currencies differ: erp in EUR and books in USD" in ran.stderr
        assert "→ pair books of one home currency" in ran.stderr
        assert list((company / "outbox").iterdir()) == []
    (company / "tieout.toml").write_text(CONFIG)
    assert tieout("check").returncode == 0
    assert tieout("sync").returncode == 4, "nothing of the refused books was kept"


def test_a_locked_database_is_temporary_and_loses_nothing(
    tieout: Run, company: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tieout.sync.store.LOCK_SECONDS", 0.2)  # ten seconds show no more
    tieout("sync")
    before = document(tieout("discrepancies", "list", "--json"))
    holder = sqlite3.connect(company / "tieout.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        ran = tieout("sync")
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert ran.returncode == 3, ran.stderr
    assert "Traceback" not in ran.stderr
    assert [d["id"] for d in document(tieout("discrepancies", "list", "--json"))["discrepancies"]] == [
        d["id"] for d in before["discrepancies"]
    ]


def test_something_that_is_no_database_is_a_mistake_to_mend(tieout: Run, company: Path) -> None:
    (company / "tieout.db").write_text("this is a letter to the auditor, not a database " * 100)
    ran = tieout("sync")
    assert ran.returncode in {2, 5}
    assert "Traceback" not in ran.stderr


def test_a_run_under_way_is_temporary(tieout: Run, company: Path) -> None:
    tieout("sync")
    db = sqlite3.connect(company / "tieout.db")
    db.execute("UPDATE lease SET owner = 'other:1:x', expires_at = '2999-01-01T00:00:00.000000Z'")
    db.commit()
    db.close()
    ran = tieout("sync", "--apply", "--quiet")
    assert ran.returncode == 3
    assert "another run holds" in ran.stderr


@pytest.mark.parametrize("wrong", ["outbox", "export", "profile"])
def test_what_cannot_be_used_is_named_and_the_next_run_continues(tieout: Run, company: Path, wrong: str) -> None:
    exports = company / "erp" / "documents-1.csv"
    good = exports.read_bytes()
    if wrong == "outbox":
        (company / "outbox").rmdir()
    elif wrong == "export":
        exports.write_bytes(b"\xff\x00\xfe" + bytes(range(128, 250)))
    else:
        (company / "tieout.toml").write_text(CONFIG.replace('profile = "documents"', 'profile = "docments"'))
    ran = tieout("sync", "--json")
    assert ran.returncode == 2, ran.stderr
    assert {"outbox": "outbox", "export": "documents-1.csv", "profile": "docments"}[wrong] in ran.stderr
    if wrong == "profile":  # known before anything runs, and so told with its line
        assert "tieout.toml:14: " in ran.stderr
        assert "did you mean documents?" in ran.stderr
        assert document(ran)["error"]["exit"] == 2
    else:
        assert document(ran)["runs"] == []
        assert document(ran)["errors"][0]["exit"] == 2
    (company / "outbox").mkdir(exist_ok=True)
    exports.write_bytes(good)
    (company / "tieout.toml").write_text(CONFIG)
    assert document(tieout("sync", "--json"))["runs"][0]["plan"]["operations"] != []


def test_what_is_wrong_with_a_whole_export_is_shown_once_by_the_run(tieout: Run, tmp_path: Path) -> None:
    """Cut off in a row and whole again, then with most of its records gone, then with dates of another form."""
    rows = [f"invoice,I-{n},C-1,2026-01-15,USD,10{n}.00\n" for n in range(8)]
    whole = "kind,number,customer,issued,currency,total\n" + "".join(rows)
    pair = '[pair.main]\nleft = "erp"\nright = "crm"\nmode = "observe"\n'
    (tmp_path / "tieout.toml").write_text(EXAMPLE + files("erp", "documents") + files("crm", "documents") + pair)
    for name in ("erp", "crm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.csv").write_text(whole)
    assert "in doubt" not in tieout("sync").stdout
    export = tmp_path / "erp" / "d.csv"
    export.write_text(whole[: whole.index("I-6") + 9])
    told = tieout("sync").stdout
    assert "  in doubt     erp: d.csv: 1 unreadable row without a readable id\n" in told
    assert "  unreadable   1 record: erp, column row: 4 cells where the headings are 6\n" in told
    # A row that names no record is none that a later export could lack.
    export.write_text(whole)
    assert "differences  0 open" in tieout("sync").stdout
    export.write_text("".join(whole.splitlines(keepends=True)[:3]))
    assert "  in doubt     erp/invoice: 6 of 8 records are missing at once\n" in tieout("sync").stdout
    # A schedule that nobody watches is told in each run, until somebody answers.
    ran = tieout("sync", "--quiet")
    assert (ran.returncode, ran.stdout) == (4, "")
    says = "Example: main: in doubt: erp/invoice: 6 of 8 records are missing at once"
    assert ran.stderr == f"{says} → tieout discrepancies list main --code FALSE_DELETE_SUSPECTED\n"
    [one] = document(tieout(*ran.stderr.split("→ tieout ")[1].split(), "--json"))["discrepancies"]
    tieout("discrepancies", "decide", one["id"], "acknowledge", "--by", "Grace")
    ran = tieout("sync", "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    export.write_text(whole.replace("2026-01-15", "15/01/2026"))
    assert "  unreadable   8 records: erp, column issued: not a date in the format %Y-%m-%d\n" in tieout("sync").stdout
