"""`tieout compare` and `tieout profile`, as installed, on files."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.cli.conftest import Ran
from tieout.mapping.tabular import list_profiles

Run = Callable[..., Ran]
PROFILES = Path(__file__).resolve().parents[1] / "external" / "profiles"
HEAD = "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open\n"
LEFT = HEAD + (
    "invoice,R-1,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,8.00,108.00,108.00\n"
    "invoice,R-2,C1,Ada Ltd,2026-01-07,2026-02-06,USD,200.00,0.00,200.00,200.00\n"
    "credit_memo,R-3,C1,Ada Ltd,2026-01-09,,USD,50.00,0.00,50.00,50.00\n"
)
RIGHT = HEAD + (
    "invoice,R-1,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,8.25,108.25,108.25\n"
    "credit_memo,R-3,C1,Ada Ltd,2026-01-09,,USD,50.00,0.00,50.00,50.00\n"
)


@pytest.fixture
def ledgers(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "left.csv").write_text(LEFT)
    (tmp_path / "right.csv").write_text(RIGHT)
    return ("--left", "left.csv", "--left-profile", "documents", "--right", "right.csv", "--right-profile", "documents")


def test_a_second_file_of_a_ledger_is_refused_and_not_compared_in_place_of_the_first(
    tieout: Run, ledgers: tuple[str, ...]
) -> None:
    """Of two --left, the last alone was compared, and nothing said so."""
    ran = tieout("compare", *ledgers, "--left", "right.csv", "--left-profile", "documents")
    assert ran.returncode == 2
    assert "`tieout report bridge` takes several files" in ran.stderr


def test_compare_prints_the_keys_that_programs_rely_on(tieout: Run, ledgers: tuple[str, ...]) -> None:
    ran = tieout("compare", *ledgers, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) >= {"left", "right", "matched", "discrepancies", "by_code", "bridge"}
    assert found["left"]["totals"]["USD"] == {"documents": 3, "total": "258.00", "open": "258.00"}
    assert found["matched"] == 2
    for d in found["discrepancies"]:
        assert list(d) == [
            *("id", "code", "secondary", "class", "severity", "left", "right", "field", "left_value", "right_value"),
            *("delta", "currency", "cause", "remedy", "customer", "amount"),
        ]
    assert {d["code"]: d["delta"] for d in found["discrepancies"] if Decimal(d["delta"])} == {
        "TAX_AMOUNT": "0.25",
        "MISSING_IN_B": "-200.00",
    }
    bridge = found["bridge"]["USD"]
    assert (bridge["left_total"], bridge["right_total"], bridge["remainder"]) == ("258.00", "58.25", "0.00")


def test_differences_are_an_error_only_when_asked(installed: Run, ledgers: tuple[str, ...]) -> None:
    assert installed("compare", *ledgers).returncode == 0
    assert installed("compare", *ledgers, "--fail-on-differences").returncode == 1
    same = ("--left", "left.csv", "--left-profile", "documents", "--right", "left.csv", "--right-profile", "documents")
    assert installed("compare", *same, "--fail-on-differences").returncode == 0


def test_compare_for_people_shows_totals_differences_and_the_bridge(tieout: Run, ledgers: tuple[str, ...]) -> None:
    ran = tieout("compare", *ledgers)
    assert "MISSING_IN_B" in ran.stdout
    assert "-200.00" in ran.stdout
    assert "remainder" in ran.stdout
    assert tieout("compare", *ledgers, "--quiet").stdout == ""


def test_compare_writes_a_page_and_a_sheet_with_their_provenance(
    tieout: Run, ledgers: tuple[str, ...], tmp_path: Path
) -> None:
    ran = tieout("compare", *ledgers, "--html", "c.html", "--csv", "c.csv", "--json")
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "c.html").read_text()
    assert "MISSING_IN_B" in page
    assert "<script" not in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text("utf-8-sig"))))
    said = json.loads((tmp_path / "c.csv.provenance.json").read_text())
    assert len(rows) == said["rows"] == len(json.loads(ran.stdout)["discrepancies"])
    assert said["sha256"] == sha256((tmp_path / "c.csv").read_bytes()).hexdigest()
    assert said["read"]["left"]["sha256"] == sha256((tmp_path / "left.csv").read_bytes()).hexdigest()
    assert set(said) >= {"source", "parameters", "extracted_at", "by", "program"}


def test_compare_writes_a_workbook_with_a_live_bridge(tieout: Run, ledgers: tuple[str, ...], tmp_path: Path) -> None:
    ran = tieout("compare", *ledgers, "--xlsx", "c.xlsx", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    values = openpyxl.load_workbook(tmp_path / "c.xlsx", data_only=True)
    assert values.sheetnames == ["Report", "Both ledgers", "From A to B in USD", "Discrepancies", "Charts"]
    lines = {row[0]: row[3] for row in values["From A to B in USD"].iter_rows(min_row=6, values_only=True)}
    assert lines["A  left.csv, open"] == float(told["bridge"]["USD"]["left_total"])
    assert lines["Remainder"] == 0
    assert openpyxl.load_workbook(tmp_path / "c.xlsx")["From A to B in USD"]["D6"].data_type == "n"
    sheet = openpyxl.load_workbook(tmp_path / "c.xlsx")["From A to B in USD"]
    assert sheet.cell(sheet.max_row, 4).value.startswith("=ROUND(")
    found = [row[0] for row in values["Discrepancies"].iter_rows(min_row=6, values_only=True)]
    assert found == [d["code"] for d in told["discrepancies"]]
    assert tieout("compare", *ledgers, "--xlsx", "left.csv").returncode == 2


def test_as_of_is_inclusive(tieout: Run, ledgers: tuple[str, ...]) -> None:
    on = json.loads(tieout("compare", *ledgers, "--as-of", "2026-01-07", "--json").stdout)
    before = json.loads(tieout("compare", *ledgers, "--as-of", "2026-01-06", "--json").stdout)
    assert on["bridge"]["USD"]["left_total"] == "308.00"
    assert before["bridge"]["USD"]["left_total"] == "108.00"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--left": "none.csv"}, "none.csv"),
        ({"--left-profile": "no-such-profile"}, "no-such-profile"),
        ({"--left-profile": "none.toml"}, "none.toml"),
        ({"--as-of": "31.01.2026"}, "31.01.2026"),
    ],
)
def test_what_cannot_be_read_is_a_mistake_to_mend(
    tieout: Run, ledgers: tuple[str, ...], change: dict[str, str], says: str
) -> None:
    arguments = dict(zip(ledgers[::2], ledgers[1::2], strict=True)) | change
    ran = tieout("compare", *(a for pair in arguments.items() for a in pair))
    assert ran.returncode == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_profile_check_accounts_for_every_row(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(LEFT + "invoice,R-4,C1,Ada Ltd,2026-02-30,,USD,1.00,0.00,1.00,1.00\n\n")
    ran = tieout("profile", "check", "x.csv", "--profile", "documents", "--json")
    assert ran.returncode == 4, "a script that goes on if it is 0 must not go on"
    found = json.loads(ran.stdout)
    assert set(found) >= {
        *("rows", "accepted", "rejected", "skipped", "totals", "encoding", "delimiter", "header_row", "warnings"),
    }
    assert found["rows"] == found["accepted"] + len(found["rejected"]) + len(found["skipped"])
    assert found["accepted"] == 3
    (rejected,) = found["rejected"]
    assert (rejected["row"], rejected["value"]) == (5, "2026-02-30")
    assert found["totals"] == {"USD": {"count": 3, "sum": "258.00"}}
    shown = tieout("profile", "check", "x.csv", "--profile", "documents").stdout
    assert "2026-02-30" in shown
    assert "258.00" in shown


def test_hostile_text_does_not_reach_the_terminal(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEAD + "invoice,R-1,C1,Ada,2026-02-30\x1b]0;owned\x07,,USD,1.00,0.00,1.00,1.00\n")
    ran = tieout("profile", "check", "x.csv", "--profile", "documents")
    assert "\x1b" not in ran.stdout + ran.stderr


def test_profiles_that_ship_are_listed(tieout: Run) -> None:
    ran = tieout("profile", "list", "--json")
    assert ran.returncode == 0, ran.stderr
    assert [p["name"] for p in json.loads(ran.stdout)["profiles"]] == list_profiles()


def test_infer_proposes_a_profile_that_reads_the_file(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(LEFT)
    ran = tieout("profile", "infer", "x.csv", "--output", "x.toml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert set(json.loads(ran.stdout)) == {"toml", "questions", "shipped", "output"}
    assert (tmp_path / "x.toml").read_text() == json.loads(ran.stdout)["toml"]
    assert tieout("profile", "infer", "x.csv", "--output", "x.toml").returncode == 2
    assert "[columns" in tieout("profile", "infer", "x.csv").stdout


@pytest.mark.external
def test_two_copies_of_one_real_ledger_agree(tieout: Run, data_dir: Path) -> None:
    folder = data_dir / "ar" / "ibm_watson"
    arguments = (
        *("--left", folder / "pthiagu2__WA_AR.csv", "--left-profile", PROFILES / "ibm-mdy.toml"),
        *("--right", folder / "pedroteles__WA_AR.csv", "--right-profile", PROFILES / "ibm-dmy.toml"),
    )
    ran = tieout("compare", *arguments, "--json", "--fail-on-differences")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["discrepancies"] == []
    assert found["left"]["totals"]["USD"]["total"] == found["right"]["totals"]["USD"]["total"] == "147703.18"


def test_what_a_file_does_not_settle_is_asked(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "kind,number,customer,issued,currency,total\ninvoice,R-1,C1,01/05/2026,USD,1.00\ninvoice,R-2,C1,02/04/2026,USD,1.00\n"
    )
    ran = tieout("profile", "infer", "x.csv", "--output", "x.toml", "--json")
    assert ran.returncode == 0, ran.stderr
    questions = json.loads(ran.stdout)["questions"]
    assert any("01/05/2026" in q for q in questions)
    assert "question: " in ran.stderr
    assert tieout("profile", "check", "x.csv", "--profile", "x.toml").returncode == 2, "unanswered, it does not load"


def test_ledgers_in_parquet_need_no_profile(tieout: Run, tmp_path: Path) -> None:
    row = "SELECT 'I' || i AS id, 'N' || i AS number, 'invoice' AS kind, DATE '2026-01-02' AS issued, 'EUR' AS currency"
    for side, total in (("left", "1.5000"), ("right", "1.5001")):
        query = f"{row}, CASE i WHEN 1 THEN {total} ELSE 7 END::DECIMAL(9,4) AS total FROM range(3) AS r(i)"
        duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/{side}.parquet' (FORMAT parquet)")
    args = ("--left", "left.parquet", "--right", "right.parquet", "--key", "id", "--memory", "500MB")
    ran = tieout("compare", *args, "--parquet", "out.parquet", "--matches", "pairs.parquet")
    assert ran.returncode == 0, ran.stderr
    assert "AMOUNT_NET" in ran.stdout
    pairs = duckdb.connect().execute(f'SELECT rule, "left", "right" FROM \'{tmp_path}/pairs.parquet\' ORDER BY 2')
    assert pairs.fetchall() == [("id is the key", f"I{n}", f"I{n}") for n in range(3)]
    rows = duckdb.connect().execute(f"SELECT code, delta, left_value FROM '{tmp_path}/out.parquet'").fetchall()
    assert rows == [("AMOUNT_NET", Decimal("0.0001"), "1.50")]
    said = json.loads((tmp_path / "out.parquet.provenance.json").read_text())
    assert said["sha256"] == sha256((tmp_path / "out.parquet").read_bytes()).hexdigest()
    assert said["read"]["left"]["sha256"] == sha256((tmp_path / "left.parquet").read_bytes()).hexdigest()
    again = tieout("compare", *args, "--parquet", "left.parquet")
    assert again.returncode == 2
    assert "read or written by this comparison already" in again.stderr
    assert "needs no profile" in tieout("compare", *args, "--left-profile", "documents").stderr


def test_a_column_that_no_ledger_has_is_said_not_to_be_compared(tieout: Run, tmp_path: Path) -> None:
    """It may be a misspelt one."""
    row = (
        "SELECT 'I' AS id, 'invoice' AS kind, DATE '2026-01-02' AS issued, 'EUR' AS currency, 7::DECIMAL(9,2) AS total"
    )
    duckdb.connect().execute(f"COPY ({row}, 'N-1' AS numer) TO '{tmp_path}/a.parquet' (FORMAT parquet)")
    ran = tieout("compare", "--left", "a.parquet", "--right", "a.parquet")
    assert ran.returncode == 0
    assert ran.stderr.count("a.parquet: not compared, as it is not a column of a ledger: numer\n") == 2


def test_an_output_never_replaces_a_ledger(tieout: Run, ledgers: tuple[str, ...], tmp_path: Path) -> None:
    for option, name in (("--csv", "left.csv"), ("--html", "./right.csv")):
        ran = tieout("compare", *ledgers, option, name)
        assert ran.returncode == 2
        assert "name another file" in ran.stderr
    assert tieout("compare", *ledgers, "--csv", "out", "--html", "out").returncode == 2
    assert (tmp_path / "left.csv").read_text() == LEFT
    assert (tmp_path / "right.csv").read_text() == RIGHT


def test_what_a_ledger_lacks_may_be_a_row_that_could_not_be_read(
    tieout: Run, ledgers: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "left; touch x.csv").write_text(LEFT.replace("200.00,0.00,200.00,200.00", "1e2,0,1e2,1e2"))
    (tmp_path / "right.csv").write_text(LEFT)
    asked = ("compare", "--left", "left; touch x.csv", *ledgers[2:])
    found = json.loads((ran := tieout(*asked, "--json", "--html", "page.html")).stdout)
    [missing] = [d for d in found["discrepancies"] if d["code"] == "MISSING_IN_A"]
    assert missing["cause"].startswith("1 row of A was rejected, and this may be among them")
    assert missing["remedy"].startswith("mend the rejected rows of A")
    assert (found["bridge"]["USD"]["remainder"], found["bridge"]["USD"]["unconfirmed"]) == ("0.00", "200.00")
    assert "tieout profile check 'left; touch x.csv' --profile documents" in ran.stderr
    page = (tmp_path / "page.html").read_text()
    assert "1 of A&#x27;s rows" in page or "1 of A's rows" in page
    for fact in ("extracted at", "program", "totals › USD › count</th><td>2<", "totals › USD › sum"):
        assert fact in page


def one(folder: Path, name: str, id: str) -> None:
    """A ledger of one document in Parquet, written under any name."""
    row = f"SELECT '{id}' AS id, 'invoice' AS kind, DATE '2026-01-02' AS issued, 'EUR' AS currency, 1::DECIMAL(9,2) AS total"
    duckdb.connect().execute(f"COPY ({row}) TO '{folder}/made.parquet' (FORMAT parquet)")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "made.parquet").rename(folder / name)


def test_a_file_is_read_by_its_own_name_whatever_it_is(tieout: Run, tmp_path: Path) -> None:
    """Brackets and stars are no pattern that finds other files; `id=7` in a path is no value of a column."""
    for name in ("ledger[1].parquet", "ledger1.parquet", "l*.parquet", "id=7/currency=USD.parquet"):
        one(tmp_path, name, name)
    for name in ("ledger[1].parquet", "l*.parquet", "id=7/currency=USD.parquet"):
        ran = tieout("compare", "--left", name, "--right", "ledger1.parquet", "--json", "--key", "id")
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        assert [d["left"] for d in found["discrepancies"] if d["code"] == "MISSING_IN_B"] == [name]
        assert found["left"]["totals"] == {"EUR": {"documents": 1, "total": "1.00", "open": "1.00"}}
        assert found["provenance"]["parameters"]["key"] == "id"
    (tmp_path / "l[1].csv").write_text(LEFT)
    (tmp_path / "l1.csv").write_text(RIGHT)
    ran = tieout("profile", "check", "l[1].csv", "--profile", "documents", "--json")
    assert json.loads(ran.stdout)["totals"] == {"USD": {"count": 3, "sum": "258.00"}}


def test_an_output_never_replaces_a_part_of_a_ledger(tieout: Run, tmp_path: Path) -> None:
    one(tmp_path, "books/documents.parquet", "I1")
    before = (tmp_path / "books/documents.parquet").read_bytes()
    for option in ("--matches", "--parquet"):
        asked = ("compare", "--left", "books", "--right", "books", option, "books/documents.parquet")
        assert "name another file" in tieout(*asked).stderr
    assert (tmp_path / "books/documents.parquet").read_bytes() == before


def test_what_cannot_be_written_or_does_not_fit_is_a_mistake_to_mend(tieout: Run, tmp_path: Path) -> None:
    one(tmp_path, "a.parquet", "I1")
    asked = ("compare", "--left", "a.parquet", "--right", "a.parquet")
    for more, says in (
        (("--matches", "nowhere/m.parquet"), "nowhere is not a folder"),
        (("--parquet", "nowhere/m.parquet"), "nowhere is not a folder"),
        (("--memory", "plenty"), "'plenty' is not a size of memory"),
        (("--memory", "1MB"), "the work does not fit into 1MB of memory"),
    ):
        ran = tieout(*asked, *more)
        assert (ran.returncode, says in ran.stderr) == (2, True), ran.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]  # nothing that went to disk stays, least of all here


@pytest.mark.parametrize(
    "more",
    [
        ("--memory", "2GB"),
        ("--matches", "m.parquet"),
        ("--unique-numbers", "left"),
        ("--gapless-numbers", "both"),
        ("--negative-balances",),
        ("--unused-credit", "30"),
    ],
)
def test_what_spark_cannot_do_is_refused_before_anything_is_read(
    tieout: Run, tmp_path: Path, more: tuple[str, ...]
) -> None:
    asked = ("compare", "--left", "absent.parquet", "--right", "absent.parquet", "--engine", "spark")
    ran = tieout(*asked, *more)
    assert ran.returncode == 2
    assert "or compare with --engine duckdb" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_spark_it_is_said_how_to_get_it(tieout: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "tieout.compare.inputs.spark", raising=False)
    asked = ("compare", "--left", "absent.parquet", "--right", "absent.parquet")
    ran = tieout(*asked, "--engine", "spark")
    assert ran.returncode == 2
    assert "pip install 'tieout[spark]', and Java 17 or newer" in ran.stderr
    assert "--master goes with --engine spark" in tieout(*asked, "--master", "local[2]").stderr


CONTROLLED = HEAD + (
    "invoice,INV-098,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,0.00,100.00,\n"
    "invoice,INV-101,C1,Ada Ltd,2026-01-06,2026-02-05,USD,20.00,0.00,20.00,\n"
    "invoice,Inv-101,C1,Ada Ltd,2026-01-07,2026-02-05,USD,30.00,0.00,30.00,\n"
    "credit_memo,K-1,C2,Bo Ltd,2026-01-09,,USD,50.00,0.00,50.00,50.00\n"
)


def test_what_most_ledgers_have_is_looked_for_where_asked(tieout: Run, tmp_path: Path) -> None:
    for name in ("left.csv", "right.csv"):
        (tmp_path / name).write_text(CONTROLLED)
    files = (
        "--left",
        "left.csv",
        "--left-profile",
        "documents",
        "--right",
        "right.csv",
        "--right-profile",
        "documents",
    )
    plain = json.loads(tieout("compare", *files, "--json").stdout)
    assert plain["discrepancies"] == []
    asked = ("--unique-numbers", "both", "--gapless-numbers", "right", "--negative-balances", "--unused-credit", "10")
    ran = tieout("compare", *files, "--as-of", "2026-01-31", *asked, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    said = {(d["code"], d["left"], d["right"], d["left_value"], d["right_value"]) for d in found["discrepancies"]}
    assert said == {
        ("INVARIANT_BROKEN", "INV-101, Inv-101", None, "INV-101", None),
        ("INVARIANT_BROKEN", None, "INV-101, Inv-101", None, "INV-101"),
        ("SEQUENCE_GAP", None, "INV-*", None, "2"),
        ("NEGATIVE_BALANCE", "C2", "C2", "-50.00", "-50.00"),
        ("CREDIT_UNUSED", "C2", "C2", "50.00", "50.00"),
    }
    assert found["provenance"]["parameters"]["unused_credit_days"] == 10


def test_two_extracts_of_different_months_are_said_to_be_so(tieout: Run, tmp_path: Path) -> None:
    for name, month in (("left.csv", "01"), ("right.csv", "03")):
        rows = (f"invoice,{month}-{n},C1,Ada Ltd,2026-{month}-{n:02d},,USD,{n}.00,0.00,{n}.00,\n" for n in range(1, 13))
        (tmp_path / name).write_text(HEAD + "".join(rows))
    files = (
        "--left",
        "left.csv",
        "--left-profile",
        "documents",
        "--right",
        "right.csv",
        "--right-profile",
        "documents",
    )
    found = json.loads(tieout("compare", *files, "--json").stdout)
    [one] = [d for d in found["discrepancies"] if d["code"] == "NON_OVERLAP"]
    assert (one["left_value"], one["right_value"]) == ("2026-01-01 to 2026-01-12", "2026-03-01 to 2026-03-12")


def test_which_of_two_files_does_not_fit_its_profile_is_said(tieout: Run, ledgers: tuple[str, ...]) -> None:
    Path("short.csv").write_text("kind,number,customer,issued,due,currency\ninvoice,1,C1,2026-01-05,,USD\n", "utf-8")
    ran = tieout("compare", *ledgers[:4], "--right", "short.csv", "--right-profile", "documents")
    assert (ran.returncode, "error: short.csv does not fit profile documents\n" in ran.stderr) == (2, True), ran.stderr
