"""What a command says is to be done next: it is there, it is right, and it can be typed as it stands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import IN_MEMORY, PROGRAM

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]

COMPANY = '[company]\nname = "Old Name Ltd"\n[secrets]\nstore = "file"\n'
FILES = """[connection.a]
kind = "tabular"
folder = "in"
outbox = "out"
currency = "USD"
exports = [{ glob = "*.csv", profile = "documents" }]
imports = { invoice = "import-documents" }
"""


def steps(ran: Ran) -> list[str]:
    return [line.strip().removeprefix("→ ") for line in ran.stderr.splitlines() if line.startswith("  → ")]


def test_a_folder_that_lacks_is_made_by_what_is_said_whatever_its_name(tieout: Run, tmp_path: Path) -> None:
    office = tmp_path / "Büro Süd; rm x"
    office.mkdir()
    (office / "tieout.toml").write_text(COMPANY + FILES, "utf-8")
    (office / "in").mkdir()
    ran = tieout("check", "-c", office / "tieout.toml")
    assert ran.returncode == 2
    [step] = steps(ran)
    subprocess.run(["/bin/sh", "-c", step], cwd=tmp_path, check=True)
    assert "does not exist" not in tieout("check", "-c", office / "tieout.toml").stderr, step


def test_the_next_command_names_the_configuration_that_this_one_was_given(tieout: Run, tmp_path: Path) -> None:
    away = tmp_path / "other office"
    away.mkdir()
    (away / "books.toml").write_text(COMPANY + IN_MEMORY + 'mod = "auto"\n')
    ran = tieout("sync", "-c", away / "books.toml")
    assert steps(ran) == [f"mend them, then `tieout check -c {shlex.quote(str(away / 'books.toml'))}`"]
    told = json.loads(tieout("sync", "-c", "other office/books.toml", "--json").stdout)["error"]
    assert told["hint"] == "mend them, then `tieout check -c 'other office/books.toml'`"
    (tmp_path / "tieout.toml").write_text(COMPANY + IN_MEMORY + 'mod = "auto"\n')
    assert steps(tieout("sync")) == ["mend them, then `tieout check`"]


def test_what_a_scheduler_mails_names_the_configuration_of_its_environment(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "books.toml").write_text(COMPANY + IN_MEMORY + 'mod = "auto"\n')
    env = {"TIEOUT_CONFIG": str(tmp_path / "books.toml")}
    assert f"→ mend them, then `tieout check -c {tmp_path}/books.toml`" in tieout("sync", "--quiet", env=env).stderr
    assert "`tieout check`" in tieout("sync", env=env).stderr, "whoever typed it has the variable"


@pytest.mark.parametrize("command", ["sync", "pull"])
def test_a_schedule_with_nothing_to_do_is_not_well(tieout: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY)
    ran = tieout(command, "--quiet")
    assert ran.returncode == 2
    assert "there is nothing to do → add [" in ran.stderr


def test_a_pair_that_is_named_as_a_connection_leads_to_its_connections(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + IN_MEMORY)
    for command in ("pull", "connect"):
        assert steps(tieout(command, "main"))[0].startswith("name one of its connections: a, b")


@pytest.mark.parametrize(
    "url", ["sqlite://tieout.db", "sqlite:tieout.db", "sqlite://", "sqlite:///", "sqlite:///:memory:"]
)
def test_an_address_that_keeps_nothing_is_refused_with_its_line(tieout: Run, tmp_path: Path, url: str) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + f'[state]\nurl = "{url}"\n' + IN_MEMORY)
    ran = tieout("sync")
    assert ran.returncode == 2
    assert "tieout.toml:6: [state] url: should" in ran.stderr


def test_a_company_that_is_renamed_keeps_its_sign_ins_and_its_signing_key(tieout: Run, tmp_path: Path) -> None:
    config = tmp_path / "tieout.toml"
    files = IN_MEMORY.replace(IN_MEMORY[: IN_MEMORY.index("[connection.b]")], FILES)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "d.csv").write_text("kind,number,customer,issued,currency,total\n")
    os.utime(tmp_path / "in" / "d.csv", (0, 0))
    config.write_text(COMPANY + files)
    first = tieout("sync")
    assert first.returncode == 0, first.stderr
    key = tieout("evidence", "key").stdout

    config.write_text((COMPANY + files).replace("Old", "New"))
    told = tieout("sync")
    assert told.returncode == 2
    assert told.stderr.count('if [company] name was changed, say there what it was: was = "OLD NAME"') == 1
    assert "if only [company] name was changed" in told.stderr, "the file ERP's books are another company's, too"
    assert "tieout connect evidence" not in told.stderr
    assert tieout("check").returncode == 2, "what every run says, the check says"

    config.write_text((COMPANY + files).replace('"Old Name Ltd"', '"New Name Ltd"\nwas = "Old Name Ltd"'))
    assert tieout("sync").returncode == 0
    assert tieout("check").returncode == 0
    assert tieout("evidence", "key").stdout == key
    assert tieout("evidence", "verify").returncode == 0


def test_what_goes_wrong_beside_the_runs_stands_in_the_document(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + IN_MEMORY)
    tieout("sync")
    (tmp_path / "evidence" / "anchors.jsonl").unlink()
    (tmp_path / "evidence" / "anchors.jsonl").mkdir()
    ran = tieout("sync", "--json")
    found = json.loads(ran.stdout)
    assert ran.returncode == 2
    assert [e["name"] for e in found["errors"]] == ["evidence"]
    assert len(found["runs"]) == 1


def unwritable(folder: Path, what: str) -> Callable[[], None]:
    path = {"state": folder / "tieout.db", "anchors": folder / "evidence" / "anchors.jsonl"}[what]
    path.chmod(0o400)
    return lambda: path.chmod(0o600)


@pytest.mark.parametrize("what", ["state", "anchors"])
def test_the_check_says_what_every_run_would_say(installed: Run, tmp_path: Path, what: str) -> None:
    """As root nothing is unwritable: a capability less makes it so."""
    (tmp_path / "tieout.toml").write_text(COMPANY + IN_MEMORY)
    assert installed("sync", "--quiet").returncode == 0
    again = unwritable(tmp_path, what)
    lesser = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    ran = subprocess.run(
        [*lesser, PROGRAM, "check", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    again()
    assert ran.returncode == 2, ran.stderr
    failed = [c for c in json.loads(ran.stdout)["checks"] if c["exit"]]
    assert [c["check"] for c in failed] == ["state" if what == "state" else "evidence"]


def test_a_check_leaves_nothing_behind(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + IN_MEMORY)
    assert tieout("check").returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tieout", "tieout.db", "tieout.toml"]
    assert [p.name for p in (tmp_path / ".tieout").iterdir()] == [".gitignore"]


def test_an_unreadable_row_is_counted_once_and_what_reads_it_again_stands_in_a_line_of_its_own(
    tieout: Run, tmp_path: Path
) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + FILES + IN_MEMORY[IN_MEMORY.index("[connection.b]") :])
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    head = "kind,number,customer,issued,currency,total\n"
    (tmp_path / "in" / "d.csv").write_text(head + "invoice,1,C1,2026-01-05,USD,1.00\ninvoice,2,C1,never,USD,1.00\n")
    (tmp_path / "other.csv").write_text(head)
    os.utime(tmp_path / "in" / "d.csv", (0, 0))
    tieout("pull", "a")
    ran = tieout("compare", "--left", "state:a", "--right", "other.csv", "--right-profile", "documents")
    assert "a: 1 could not be read when last seen; not compared\n  → tieout pull a\n" in ran.stderr
    read = tieout("sync")
    assert "read         a: 1 customer, 2 invoices" in read.stdout, "the unreadable one counts once"


def test_a_file_without_a_profile_leads_to_one_and_one_that_is_there_is_not_replaced(
    tieout: Run, tmp_path: Path
) -> None:
    (tmp_path / "my ledger.csv").write_text("Type;No;Client;Date;Amount\nInvoice;R1;C1;05.01.2026;1,00\n")
    ran = tieout("compare", "--left", "my ledger.csv", "--right", "my ledger.csv")
    assert ran.returncode == 2
    [step] = steps(ran)
    assert step.endswith("; tieout profile infer 'my ledger.csv' proposes one")
    assert tieout("profile", "infer", "my ledger.csv", "-o", "mine.toml").returncode == 0
    again = tieout("profile", "infer", "my ledger.csv", "-o", "mine.toml")
    assert (again.returncode, steps(again)) == (2, ["it is not replaced: name another file, or move this one away"])


@pytest.fixture
def differing(tieout: Run, tmp_path: Path) -> str:
    """The id of a difference between two file ERPs, and a plan that waits."""
    text = COMPANY + FILES + FILES.replace(".a]", ".b]").replace('"in"', '"in-b"').replace('"out"', '"out-b"')
    (tmp_path / "tieout.toml").write_text(
        text + '[pair.main]\nleft = "a"\nright = "b"\n[pair.main.limits]\ncreates = 0\n'
    )
    for name in ("in", "out", "in-b", "out-b"):
        (tmp_path / name).mkdir()
    head = "kind,number,customer,issued,currency,total\n"
    (tmp_path / "in" / "d.csv").write_text(head + "invoice,1,C1,2026-01-05,USD,1.00\n")
    (tmp_path / "in-b" / "d.csv").write_text(head + "invoice,1,C1,2026-01-05,USD,1.50\n")
    for name in ("in", "in-b"):
        os.utime(tmp_path / name / "d.csv", (0, 0))
    assert tieout("sync").returncode in (0, 4)
    listed = json.loads(tieout("discrepancies", "list", "--code", "amount_net", "--json").stdout)["discrepancies"]
    return str(listed[0]["id"])


def test_an_answer_that_says_nothing_is_refused(tieout: Run, differing: str) -> None:
    decide = ("discrepancies", "decide", differing, "--by", "Kim")
    assert steps(tieout(*decide, "assign")) == ["add --owner NAME"]
    assert tieout(*decide, "assign", "--owner", "Ana").returncode == 0
    over = tieout(*decide, "accept", "--reason", "fee", "--until", "2020-01-31")
    assert (over.returncode, steps(over)) == (4, ["name a later day, or none"])
    assert "2020-01-31 is over" in over.stderr
    assert tieout(*decide, "accept", "--reason", "fee", "--until", "2999-01-31").returncode == 0


def test_a_code_that_there_is_not_is_no_empty_list(tieout: Run, differing: str) -> None:
    ran = tieout("discrepancies", "list", "--code", "AMOUNT_NETT")
    assert ran.returncode == 2
    assert "there is no code 'AMOUNT_NETT' (did you mean AMOUNT_NET?)" in ran.stderr


def test_a_shipped_profile_is_there_to_copy_from_whatever_it_is_for(tieout: Run, tmp_path: Path) -> None:
    listed = json.loads(tieout("profile", "list", "--json").stdout)
    names = [p["name"] for key in ("profiles", "imports") for p in listed[key]]
    assert {"documents", "import-documents", "import-sap-clearing"} <= set(names)
    for name in names:
        (tmp_path / f"{name}.toml").write_text(tieout("profile", "show", name).stdout, "utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text(tieout("profile", "show", "import-documents").stdout, "utf-8")
    text = FILES.replace('"import-documents"', '"own/mine.toml"').replace(
        'profile = "documents"', 'profile = "documents.toml"'
    )
    (tmp_path / "tieout.toml").write_text(COMPANY + text)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "d.csv").write_text("kind,number,customer,issued,currency,total\n")
    os.utime(tmp_path / "in" / "d.csv", (0, 0))
    assert tieout("check").returncode == 0
    ran = tieout("profile", "show", "import-document")
    assert (ran.returncode, "did you mean import-documents?" in ran.stderr) == (2, True)


def test_a_state_that_the_environment_names_is_one_file_wherever_the_command_is_typed(
    tieout: Run, tmp_path: Path
) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "tieout.toml").write_text(COMPANY + '[state]\nurl = { env = "STATE" }\n' + IN_MEMORY)
    env = {"STATE": "sqlite:///kept.db"}
    assert tieout("sync", "-c", "books/tieout.toml", env=env).returncode == 0
    assert (tmp_path / "books" / "kept.db").exists()
    assert not (tmp_path / "kept.db").exists()
    for wrong in ("sqlite://kept.db", "sqlite:///:memory:", "postgres://u:secret-word@db/tieout", "mysql://db/tieout"):
        ran = tieout("sync", "-c", "books/tieout.toml", env={"STATE": wrong})
        assert ran.returncode == 2, ran.stderr
        assert "environment variable STATE should" in ran.stderr
        assert "secret-word" not in ran.stderr


def test_a_check_says_nothing_of_what_it_could_not_read(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(COMPANY + '[state]\nurl = { env = "STATE" }\n' + IN_MEMORY)
    ran = tieout("check", "--json")
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["runs"]) == (2, [])
    told = {c["check"]: c["detail"] for c in found["checks"]}
    assert told["evidence"] == "not checked: the state failed"
    assert "run" not in told["pair"]
    assert ran.stderr.count("environment variable STATE is not set") == 1


@pytest.mark.parametrize("name", ["100% Büro", "what? now", "50%41 #1"])
def test_the_state_lies_in_the_folder_of_its_configuration_whatever_its_name(
    tieout: Run, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "tieout.toml").write_text(COMPANY + IN_MEMORY)
    assert tieout("sync", "-c", f"{name}/tieout.toml").returncode == 0
    assert (tmp_path / name / "tieout.db").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name], "nothing is anywhere else"
    assert tieout("evidence", "verify", "-c", f"{name}/tieout.toml").returncode == 0
    assert tieout("report", "aging", "a", "--as-of", "2026-01-31", "-c", f"{name}/tieout.toml").returncode == 0
