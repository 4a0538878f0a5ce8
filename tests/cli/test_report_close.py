"""The month-end checklist, its sign-offs with four eyes, and promises, as they are asked for on the command line."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import EXAMPLE, Ran, files
from tieout.cli.discrepancies import _ended
from tieout.cli.report_close import _in_force

Run = Callable[..., Ran]
_PAIR = '\n[pair.main]\nleft = "erp"\nright = "books"\nmode = "observe"\ncodes = "same"\n'
BILLS = (
    "kind,number,customer,customer_name,issued,due,currency,net,tax,total,memo\n"
    "invoice,R-10001,C1,Ada Ltd,2026-01-05,2026-01-20,USD,100.00,0.00,100.00,\n"
    "invoice,R-10002,C1,Ada Ltd,2026-01-10,2026-02-09,USD,30.00,0.00,30.00,\n"
)
CASH = "payment,customer,customer_name,date,currency,amount,invoice,applied\nP-1,C1,Ada Ltd,2026-01-25,USD,30.00,,\n"
WHEN = ("--pair", "main", "--as-of", "2026-01-31")


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """Two books that hold the same, the ERP closed through January, the other through December."""
    configure(tmp_path)
    for name in ("erp", "books"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "customers-1.csv").write_text("customer,name,currency\nC1,Ada Ltd,USD\n")
        (tmp_path / name / "documents-1.csv").write_text(BILLS)
        (tmp_path / name / "payments-1.csv").write_text(CASH)
    return tmp_path


def configure(folder: Path, *, books_closed: str = "2025-12-31", more: str = "") -> None:
    days = {"erp": "2026-01-31", "books": books_closed}
    sides = (files(n, "customers", "documents", "payments", more=f"closed_through = {d}\n") for n, d in days.items())
    (folder / "tieout.toml").write_text(EXAMPLE + "".join(sides) + _PAIR + more)


def steps(tieout: Run, *more: str) -> dict[str, dict[str, Any]]:
    ran = tieout("report", "checklist", *WHEN, *more, "--json")
    assert ran.returncode == 0, ran.stderr
    [table] = [t for t in json.loads(ran.stdout)["tables"] if t["key"] == "steps"]
    return {r["step"]: r for r in table["rows"]}


def sign(tieout: Run, *words: str) -> Ran:
    return tieout("report", "sign-off", *words, *WHEN)


@pytest.fixture
def synced(tieout: Run, company: Path) -> Path:
    ran = tieout("sync", "main", "--as-of", "2026-01-31")
    assert ran.returncode == 0, ran.stderr
    return company


def test_each_step_says_how_it_stands(tieout: Run, synced: Path) -> None:
    found = steps(tieout)
    states = {key: row["state"] for key, row in found.items()}
    assert states == {
        "read": "met",
        "unreadable": "met",
        "control": "not known",
        "bridge": "met",
        "unconfirmed": "met",
        "unapplied": "to review",
        "cut_off": "to review",
        "blocking": "met",
        "accepted": "met",
        "plan": "met",
        "closed": "not met",
    }
    assert found["bridge"]["figure"] == "0.00 USD"
    assert found["unapplied"]["figure"] == "-30.00 USD in books; -30.00 USD in erp"
    assert found["closed"]["figure"] == "books: 2025-12-31; erp: 2026-01-31"
    assert found["unapplied"]["next"] == "tieout report cash-suggestions, then sign unapplied off"
    assert found["closed"]["next"] == "close the books through 2026-01-31 in books"
    # The settings say otherwise by now: what was closed then is what the run of then saw.
    configure(synced, books_closed="2026-02-28")
    then = steps(tieout, "--known-on", datetime.now(UTC).date().isoformat())
    assert then["closed"]["figure"] == "books: 2025-12-31; erp: 2026-01-31"


@pytest.mark.parametrize(
    ("state", "until", "counts", "said"),
    [
        ("accepted", "2020-01-31T23:59:59.999999Z", "open", "is over; the next run opens it again; "),
        ("open", "2020-01-31T23:59:59.999999Z", "open", "accepted until 2020-01-31 23:59 UTC, which is over; "),
        ("accepted", "2999-01-31T23:59:59.999999Z", "accepted", ""),
        ("accepted", None, "accepted", ""),
        ("acknowledged", "2020-01-31T23:59:59.999999Z", "acknowledged", ""),
    ],
)
def test_an_acceptance_that_is_over_counts_no_more_also_before_the_next_run(
    state: str, until: str | None, counts: str, said: str
) -> None:
    one = {"state": state, "accepted_until": until}
    assert _in_force(one, now=datetime.now(UTC))["state"] == counts
    told = _ended(one)
    assert told.endswith(said)
    assert bool(told) is bool(said)


def test_what_differs_is_not_met_and_an_unreadable_row_neither(tieout: Run, synced: Path) -> None:
    extra = "invoice,R-10003,C1,Ada Ltd,2026-01-12,2026-02-09,USD,7.00,0.00,7.00,\ninvoice,R-4,C1,Ada Ltd,soon,,USD,1,0,1,\n"
    (synced / "books" / "documents-1.csv").write_text(BILLS + extra)
    found = steps(tieout)
    assert (found["unreadable"]["state"], found["unreadable"]["figure"]) == ("not met", "1 unreadable")
    assert (found["unconfirmed"]["state"], found["unconfirmed"]["figure"]) == ("to review", "7.00 USD")
    assert found["bridge"]["state"] == "met"
    ran = tieout("report", "checklist", *WHEN, "--fail-on-differences", "--quiet")
    assert ran.returncode == 1
    assert "No unreadable records" in ran.stderr


def test_what_the_sync_knows_is_no_difference_without_a_cause_here_nor_in_the_bridge(
    tieout: Run, company: Path
) -> None:
    """An invoice that waits for approval: the checklist and the bridge are of one comparison."""
    (company / "erp" / "documents-1.csv").write_text(
        BILLS + "invoice,R-10003,C1,Ada Ltd,2026-01-12,2026-02-09,USD,7.00,0.00,7.00,\n"
    )
    (company / "out").mkdir()
    config = (company / "tieout.toml").read_text().replace('mode = "observe"', 'mode = "propose"')
    outbox = 'outbox = "out"\nimports = { invoice = "import-documents" }\n'
    (company / "tieout.toml").write_text(config.replace('folder = "books"\n', f'folder = "books"\n{outbox}'))
    tieout("sync", "main")
    found = steps(tieout)["unconfirmed"]
    ran = tieout("report", "bridge", *WHEN, "--json")
    [bridge] = [t["rows"] for t in json.loads(ran.stdout)["tables"] if t["key"] == "bridge"]
    [line] = [r for r in bridge if r["line"] and r["style"] == "detail"]
    assert (line["code"], line["amount"], line["unconfirmed"]) == ("SYNC_IN_FLIGHT", "-7.00", "0.00")
    assert (found["state"], found["figure"]) == ("met", "none")


def test_four_eyes(tieout: Run, synced: Path) -> None:
    assert sign(tieout, "bridge", "unapplied", "--role", "prepared", "--by", "Ada").returncode == 0
    ran = sign(tieout, "bridge", "--by", " ADA ")
    assert ran.returncode == 4
    assert "was prepared by Ada" in ran.stderr
    assert sign(tieout, "bridge", "--by", "Grace").returncode == 0
    assert sign(tieout, "bridge", "--role", "prepared", "--by", "grace").returncode == 4
    found = steps(tieout)
    assert (found["bridge"]["sign_off"], found["unapplied"]["sign_off"]) == (
        "signed off",
        "prepared; waits for approval",
    )
    assert found["bridge"]["prepared"].startswith("Ada, ")
    assert found["read"]["sign_off"] is None


def test_what_is_not_met_or_not_known_is_not_waved_through(tieout: Run, synced: Path) -> None:
    listed = tieout("report", "checklist", "--pair", "main", "--as-of", "2026-01-31")
    assert re.search("does not hold: .*(closed).*", listed.stderr)
    assert "None" not in listed.stderr, "a step has no second figure"
    ran = sign(tieout, "bridge", "closed", "--by", "Grace")
    assert (ran.returncode, "closed is not met" in ran.stderr) == (4, True)
    assert steps(tieout)["bridge"]["sign_off"] is None, "all or none"
    assert sign(tieout, "control", "--by", "Grace").returncode == 4
    assert sign(tieout, "control", "--by", "Grace", "--note", "held against the printed trial balance").returncode == 0
    assert sign(tieout, "bridge", "--by", " ").returncode == 4
    assert sign(tieout, "brigde", "--by", "Grace").returncode == 2


def test_a_figure_that_changes_makes_its_sign_off_void_and_the_same_figure_holds(tieout: Run, synced: Path) -> None:
    assert sign(tieout, "bridge", "unapplied", "plan", "--by", "Grace").returncode == 0
    # Another payment of the same sum: the total is the same, and not what was looked at.
    for name in ("erp", "books"):
        changed = CASH.replace("P-1", "P-2")
        (synced / name / "payments-1.csv").write_text(changed)
    found = steps(tieout)
    assert found["unapplied"]["sign_off"] == (
        "void (BACKDATED_AFTER_CLOSE): approved by Grace for -30.00 USD in books; -30.00 USD in erp"
    )
    assert found["bridge"]["sign_off"] == "approved; nobody is named who prepared it"
    configure(synced, more='[pair.main.rounding]\nper_document = "0.01"\ntotal = "1.00"\n')
    assert steps(tieout)["unapplied"]["sign_off"].startswith("void (RULE_CHANGED)")
    # Signing again holds again, and the old one stays on record.
    assert sign(tieout, "unapplied", "--by", "Grace").returncode == 0
    assert "void" not in steps(tieout)["unapplied"]["sign_off"]
    with sqlite3.connect(synced / "tieout.db") as db:
        assert db.execute("SELECT count(*) FROM sign_off WHERE step = 'unapplied'").fetchone() == (2,)
        events = db.execute("SELECT actor, object_id FROM audit_event WHERE action = 'signed_off'").fetchall()
    assert ("Grace", "main/2026-01-31/bridge") in events
    assert len(events) == 4


def test_a_checklist_is_of_a_pair_with_a_state(tieout: Run, company: Path) -> None:
    assert tieout("report", "checklist", "erp", "--as-of", "2026-01-31").returncode == 2
    ran = tieout("report", "checklist", *WHEN)
    assert (ran.returncode, "no state database" in ran.stderr) == (2, True)


def called(tieout: Run) -> dict[str, Any]:
    ran = tieout("report", "collections", "erp", "--as-of", "2026-01-31", "--json")
    assert ran.returncode == 0, ran.stderr
    [table] = [t for t in json.loads(ran.stdout)["tables"] if t["key"] == "customers"]
    return dict(table["rows"][0])


def test_a_promise_stands_apart_until_its_day_and_can_be_taken_back(tieout: Run, synced: Path) -> None:
    said = ("--said", "2026-01-28", "--by", "Kim")
    ran = tieout("report", "promise", "erp", "r 10001", "--amount", "60", "--on", "2026-02-05", *said)
    assert ran.returncode == 0, ran.stderr
    assert "60.00 USD by 2026-02-05" in ran.stdout
    row = called(tieout)
    assert (row["overdue"], row["promised"], row["to_call"]) == ("100.00", "60.00", "10.00")
    tieout("report", "promise", "erp", "R-10001", "--amount", "60", "--on", "2026-01-30", *said)
    assert (called(tieout)["promised"], called(tieout)["broken"]) == (None, "60.00")
    tieout("report", "promise", "erp", "R-10001", "--withdraw", *said)
    assert (called(tieout)["broken"], called(tieout)["to_call"]) == (None, "70.00")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("R-10001", "--amount", "100.01", "--on", "2026-02-05"), 4),
        (("R-10001", "--amount", "0.001", "--on", "2026-02-05"), 4),
        (("R-10001", "--amount", "1", "--on", "2026-01-05"), 4),
        (("R-77", "--amount", "1", "--on", "2026-02-05"), 2),
        (("R-10001", "--amount", "NaN", "--on", "2026-02-05"), 2),
        (("R-10001", "--on", "2026-02-05"), 2),
        (("R-10001", "--withdraw", "--amount", "5", "--on", "2026-02-05"), 2),
    ],
)
def test_a_promise_that_cannot_be_is_refused(tieout: Run, synced: Path, words: tuple[str, ...], code: int) -> None:
    ran = tieout("report", "promise", "erp", *words, "--said", "2026-01-28", "--by", "Kim")
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stderr
    with sqlite3.connect(synced / "tieout.db") as db:
        assert db.execute("SELECT count(*) FROM promise").fetchone() == (0,)
