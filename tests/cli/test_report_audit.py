"""The reports on differences and the audit lists, as a user asks for them: on files, and on QuickBooks and a file ERP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Ran
from tests.cli.office import Office, office
from tests.cli.test_report import BILLS, FILES, rows

Run = Callable[..., Ran]
RIGHT = ("--right", "copy.csv", "--right-profile", "documents")
LEFT = ("--left", "bills.csv", "--left-profile", "documents")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "copy.csv").write_text(BILLS.replace("200.00", "198.50").replace("R-1,C1", "R-1,C1", 1))
    return tmp_path


def test_two_files_have_a_bridge_without_any_set_up(tieout: Run, copies: Path) -> None:
    ran = tieout("report", "bridge", *LEFT, *RIGHT, "--as-of", "2026-03-31", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [(r["line"], r["amount"]) for r in rows(found, "bridge")] == [("5", "-1.50")]
    assert [r["amount"] for style in ("opening", "closing") for r in rows(found, "bridge", style)] == [
        "250.00",
        "248.50",
    ]
    assert {p["held"] for p in found["proofs"]} <= {True, None}
    assert set(found["provenance"]["hashes"]) == {"records of A", "records of B", "differences"}
    # --threshold: the line is one sum, the document is still listed.
    ran = tieout("report", "bridge", *LEFT, *RIGHT, "--as-of", "2026-03-31", "--threshold", "USD=2", "--json")
    found = json.loads(ran.stdout)
    assert [(r["line"], r["amount"]) for r in rows(found, "bridge")] == [("14", "-1.50")]
    assert [r["left"] for r in rows(found, "differences")] == ["R-2"]


@pytest.mark.parametrize(
    "words",
    [
        ("bridge", *LEFT),
        ("bridge", *LEFT, *RIGHT, "--threshold", "USD"),
        ("bridge", *LEFT, *RIGHT, "--threshold", "USD=-1"),
        ("unadjusted", *LEFT, *RIGHT),
        ("discrepancy-history", *FILES),
        ("post-close", *LEFT, "--closed-at", "2026-02-01"),
        ("post-close", *LEFT),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(tieout: Run, copies: Path, words: tuple[str, ...]) -> None:
    ran = tieout("report", *words, "--as-of", "2026-03-31")
    assert ran.returncode == 2
    assert re.search(r"--pair|--threshold|--closed-at", ran.stderr)
    assert "Traceback" not in ran.stderr


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, str, str]]:
    """Both books in step; then a due date moved in QuickBooks, found by a run, accepted by Grace.

    With the office: the moment before the change, and the difference's id.
    """
    with office(tmp_path_factory.mktemp("office")) as it:
        it.settled()
        closed = datetime.now(UTC).isoformat(timespec="microseconds")
        row = next(r for r in it.site.books.tables["Invoice"].values() if str(r.doc["DocNumber"]).startswith("1"))
        change = {"Id": row.doc["Id"], "SyncToken": row.doc["SyncToken"], "sparse": True, "DueDate": "2031-01-31"}
        it.site.books.apply("Invoice", "update", change)
        it.sync()
        found = json.loads(it.run("discrepancies", "list", "--json").stdout)["discrepancies"]
        [d] = [d for d in found if d["field"] == "due"]
        it.run(
            "discrepancies",
            "decide",
            d["id"],
            "accept",
            "--by",
            "Grace",
            "--reason",
            "agreed by phone",
            "--until",
            "2999-12-31",
        )
        yield it, closed, d["id"]


def report(it: Office, *words: str) -> dict:
    ran = it.run("report", *words, "--pair", "main", "--as-of", today(), "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [p for p in found["proofs"] if p["held"] is False and "threshold" not in p["claim"]] == []
    return found


def test_the_bridge_of_a_pair_reads_both_systems_anew(kept: tuple[Office, str, str]) -> None:
    it, _, id = kept
    found = report(it, "bridge")
    ends = [Decimal(r["amount"]) for style in ("opening", "closing") for r in rows(found, "bridge", style)]
    assert all(ends)
    assert {"erp", "quickbooks"} <= {word for key in found["provenance"]["read"] for word in key.split()}
    [due] = [r for r in rows(found, "others") if r["field"] == "due"]
    assert (due["id"], due["state"], due["days_open"]) == (id, "accepted", 0)
    tied = report(it, "tie-out")
    assert {(r["books"], r["report"]) for r in rows(tied, "stated")} >= {("quickbooks", "AgedReceivables")}


def test_every_write_of_the_pair_is_in_its_interface_log(kept: tuple[Office, str, str]) -> None:
    found = report(kept[0], "interface-log", "--from", "2026-01-01")
    sent = rows(found, "log")
    assert {r["to"] for r in sent} == {"erp", "quickbooks"}
    assert {r["approved_by"] for r in sent} == {"unattended (mode auto)"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", r["plan_hash"]) for r in sent)
    assert {r["read_back"] for r in sent if r["to"] == "quickbooks"} == {"equal"}


def test_who_accepted_what_is_told_as_it_was_known_on_a_moment(kept: tuple[Office, str, str]) -> None:
    it, closed, id = kept
    [d] = [r for r in rows(report(it, "discrepancy-history"), "accepted") if r["id"] == id]
    assert (d["by"], d["reason"], d["code"]) == ("Grace", "agreed by phone", "DUE_DATE_DIFF")
    then = report(it, "discrepancy-history", "--known-on", closed)
    assert id not in [r["id"] for r in rows(then, "unresolved")]
    assert [r["by"] for r in rows(report(it, "unadjusted"), "others") if r["id"] == id] == ["Grace"]


def test_one_difference_has_its_history_on_the_screen_and_for_programs(kept: tuple[Office, str, str]) -> None:
    it, _, id = kept
    [told] = json.loads(it.run("discrepancies", "history", id[:12], "--json").stdout)["histories"]
    assert [(e["event"], e["reason"]) for e in told["events"]] == [("opened", ""), ("accept", "agreed by phone")]
    assert told["events"][0]["right_value"] == "2031-01-31"
    assert re.search(r"accepted until +2999-12-31", it.run("discrepancies", "show", id[:12]).stdout)
    shown = it.run("discrepancies", "history", id[:12]).stdout
    assert "agreed by phone" in shown
    assert "Grace" in shown
    assert it.run("discrepancies", "history", id[:3]).returncode == 2


def test_what_changed_since_the_close_is_listed_with_its_fields(kept: tuple[Office, str, str]) -> None:
    it, closed, _ = kept
    found = report(it, "post-close", "--closed-at", closed)
    changed = [r["fields"] for r in rows(found, "others_right")]
    assert len(changed) == 1
    assert "→ 2031-01-31" in changed[0]
    assert rows(found, "moving_left") == rows(found, "moving_right") == []


def test_without_a_moment_the_last_approval_of_the_close_counts(kept: tuple[Office, str, str]) -> None:
    it = kept[0]
    day = "2026-11-30"
    ran = it.run("report", "post-close", "--pair", "main", "--as-of", day)
    assert (ran.returncode, "--closed-at" in ran.stderr) == (2, True)
    ran = it.run("report", "sign-off", "bridge", "--pair", "main", "--as-of", day, "--by", "Grace")
    assert ran.returncode == 0, ran.stderr
    ran = it.run("report", "post-close", "--pair", "main", "--as-of", day, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["parameters"]["closed at"].startswith(today())
    assert rows(found, "others_right") == []


def test_the_audit_binder_of_a_pair_holds_all_lists(kept: tuple[Office, str, str]) -> None:
    it, closed, _ = kept
    found = report(it, "audit", "--from", "2026-01-01", "--closed-at", closed, "--threshold", "USD=0")
    parts = [r["report"] for r in rows(found, "contents")]
    assert parts[:2] == ["tie-out", "bridge"]
    assert {"discrepancy-history", "unadjusted", "interface-log", "post-close", "aging", "open-items"} <= set(parts)
    assert {t["key"].split(".")[0] for t in found["tables"]} == {"contents", *parts}
    assert set(found["provenance"]["parts"]) <= set(parts)


def test_what_was_done_for_a_period_after_its_last_day_is_told(kept: tuple[Office, str, str]) -> None:
    """Differences of a month are found, and decided, in the days after it; so are the writes that mend them."""
    it, closed, id = kept
    past = ("--pair", "main", "--as-of", "2026-01-31", "--json")

    def asked(*words: str) -> dict[str, Any]:
        ran = it.run("report", *words, *past)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    found = asked("audit", "--closed-at", closed)
    of = {r["report"]: r["parameters"] for r in rows(found, "contents")}
    assert all(f"to {closed[:10]}" in of[name] for name in ("discrepancy-history", "interface-log"))
    assert rows(found, "interface-log.log")
    assert rows(found, "discrepancy-history.events")
    log = asked("interface-log")
    assert rows(log, "log") == []
    [note] = [n for n in log["notes"] if "--until" in n]
    later = asked("interface-log", "--until", today())
    assert note.startswith(
        f"{len([r for r in rows(later, 'log') if r['sent'] != 'not sent']):,} sends after 2026-01-31"
    )
    assert id in [r["id"] for r in rows(asked("discrepancy-history", "--until", today()), "accepted")]
    ran = it.run("report", "interface-log", *past, "--until", "2025-12-31")
    assert (ran.returncode, "before the period begins" in ran.stderr) == (2, True)


def test_nothing_is_told_of_a_day_before_anything_was_known(kept: tuple[Office, str, str]) -> None:
    it = kept[0]
    ran = it.run("report", "discrepancy-history", "--pair", "main", "--as-of", "2020-01-31", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert rows(found, "unresolved") == []
    assert any("no run of main" in note for note in found["notes"])
    assert any(re.match(r"\d+ things have happened to differences after 2020-01-31", note) for note in found["notes"])
    ran = it.run("report", "post-close", "--pair", "main", "--as-of", "2020-01-31", "--closed-at", "2020-02-03")
    assert (ran.returncode, "nothing of erp was read by" in ran.stderr) == (2, True)
