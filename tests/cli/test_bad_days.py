"""Bad days: what goes wrong is named with its exit code, nothing is lost, the next run goes on."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pty
import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Ran, here
from tests.cli.office import Office, office
from tests.deep import DEEP

EMPTY = {"seed": "empty", "sample": 3}


def mortal() -> None:
    """File modes count for root too: it gives up the right to pass over them, before the program begins."""
    if os.geteuid() == 0:
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP


def files_up_to(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path, **EMPTY) as it:
        yield it


def told(ran: Ran) -> None:
    """What every failure owes: words on stderr, no traceback, no secret."""
    assert ran.stderr.strip()
    assert "Traceback" not in ran.stderr
    assert "hunter2" not in ran.stdout + ran.stderr


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda p: p.name)


FILES = {
    "outbox": (lambda d: d / "erp" / "outbox", 0o555, 2, "cannot be written to"),
    "export": (lambda d: _newest(d / "erp" / "export", "fbl5n*"), 0, 2, "Permission denied"),
    "exports": (lambda d: d / "erp" / "export", 0, 2, "cannot be read"),
    "configuration": (lambda d: d / "tieout.toml", 0, 2, "cannot be read"),
    "state": (lambda d: d / "tieout.db", 0o444, 2, "the state database cannot be written"),
    "secrets": (lambda d: d / ".tieout", 0o755, 2, "chmod 700"),
}


def test_a_file_that_may_not_be_used_is_named_and_the_next_run_goes_on(desk: Office) -> None:
    """One after the other: a run that what went before still held up would name that."""
    assert desk.run("check").returncode == 0, "the state database is there"
    for what, (find, mode, code, says) in FILES.items():
        path = find(desk.folder)
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            ran = desk.process("sync", "--apply", "--quiet", limits=mortal)
        finally:
            path.chmod(before)
        told(ran)
        assert (ran.returncode, ran.stdout) == (code, ""), (what, ran.stderr)
        assert says in ran.stderr, what
        assert len(ran.stderr.splitlines()) == 1, "a scheduler mails one line"
    assert desk.sync()["applied"]["done"] > 0
    assert desk.settled()[0] == 3


def test_a_disk_that_fills_while_the_state_is_written_is_temporary_and_nothing_is_written_twice(desk: Office) -> None:
    codes = []
    for size in (0, 200_000, 300_000, 400_000):
        ran = desk.process("sync", "--apply", "--quiet", limits=files_up_to(size))
        if ran.returncode:
            told(ran)
            assert "nothing was lost" in ran.stderr
        codes.append(ran.returncode)
    assert set(codes) <= {0, 3}
    assert codes.count(3) >= 2
    assert desk.settled()[0] == 3


def test_a_disk_that_fills_while_a_report_is_written_costs_no_earlier_report(desk: Office) -> None:
    ledger = desk.folder / "ledger.csv"
    head = "kind,number,customer,issued,currency,total\n"
    ledger.write_text(head + "".join(f"invoice,R-{n},C1,2026-01-05,USD,1.00\n" for n in range(200)))
    (desk.folder / "other.csv").write_text(head + "invoice,X,C1,2026-01-05,USD,1.00\n")
    asked = ("compare", "--left", "ledger.csv", "--left-profile", "documents", "--right", "other.csv")
    asked += ("--right-profile", "documents", "--csv", "c.csv", "--html", "c.html")
    assert desk.run(*asked).returncode == 0
    before = {p.name: p.read_bytes() for p in desk.folder.glob("c.*")}
    ran = desk.process(*asked, limits=files_up_to(1000))
    told(ran)
    assert ran.returncode == 3
    assert "c.html" in ran.stderr
    assert {p.name: p.read_bytes() for p in desk.folder.glob("c.*")} == before
    assert not [p for p in desk.folder.iterdir() if p.name.endswith(".tmp")]
    proposed = ("profile", "infer", "ledger.csv", "--output", "p.toml")
    assert desk.process(*proposed, limits=files_up_to(10)).returncode == 3
    assert desk.run(*proposed).returncode == 0, "nothing is left that would be in the way"


@pytest.mark.parametrize("damage", ["half", "key"])
def test_a_sign_in_that_cannot_be_opened_is_named_with_the_way_out(desk: Office, damage: str) -> None:
    kept = desk.folder / ".tieout"
    path = kept / ("key" if damage == "key" else "quickbooks.tokens.secret")
    content = path.read_bytes()
    if damage == "key":
        path.unlink()
    else:
        path.write_bytes(content[:20])
    ran = desk.run("sync", "--apply", "--quiet")
    told(ran)
    assert ran.returncode == 2
    assert "tieout connect" in ran.stderr
    for sealed in kept.glob("quickbooks.*.secret"):  # as it says
        sealed.unlink()
    signed = desk.run("connect", "quickbooks", "--token-stdin", stdin=desk.site.authority.connect())
    assert signed.returncode == 0, signed.stderr
    assert desk.sync()["applied"]["done"] > 0


# ── the vendor ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_vendor_that_is_down_is_temporary_and_said_in_one_line(desk: Office) -> None:
    desk.configure(base="http://127.0.0.1:1")
    ran = desk.run("connect", "quickbooks", "--no-browser")
    told(ran)
    assert ran.returncode == 3
    assert "no connection to 127.0.0.1:1: connection refused" in ran.stderr
    assert "HTTPConnection" not in ran.stderr
    desk.configure()
    assert desk.sync()["applied"]["done"] > 0


def test_answers_that_are_lost_in_mid_run_are_settled_by_the_next(desk: Office) -> None:
    write = {"method": "POST", "path": "/(customer|invoice|payment)$"}
    desk.site.faults.arm("drop", when="after", nth=2, **write)
    ran = desk.run("sync", "--apply", "--quiet")
    told(ran)
    assert ran.returncode == 3
    assert ran.stderr.startswith("Example Trading Ltd: main: 1 outcome is not known yet")
    assert len(ran.stderr.splitlines()) == 1, "no line of a log beside it"
    desk.site.faults.disarm()
    desk.site.faults.arm("answer", status=401, **write)
    assert desk.run("sync", "--apply", "--quiet").returncode in (0, 3, 4)
    desk.site.faults.disarm()
    assert desk.settled()[0] == 3


def test_a_sign_in_that_ended_is_for_a_person_and_signing_in_again_goes_on(desk: Office) -> None:
    desk.site.authority.revoke_all()
    ran = desk.run("sync", "--apply", "--quiet", "--json")
    told(ran)
    assert ran.returncode == 4
    assert "tieout connect quickbooks" in ran.stderr
    [error] = json.loads(ran.stdout)["errors"]
    assert set(error) == {"name", "exit", "message", "problems", "hint"}
    signed = desk.run("connect", "quickbooks", "--token-stdin", stdin=desk.site.authority.connect())
    assert signed.returncode == 0, signed.stderr
    assert desk.settled()[0] == 3


def test_a_token_that_does_not_work_leaves_the_sign_in_before_it(desk: Office) -> None:
    ran = desk.run("connect", "quickbooks", "--token-stdin", stdin="AB11hunter2hunter2")
    told(ran)
    assert ran.returncode == 4
    assert desk.run("check").returncode == 0, "the sign-in of before still works"
    desk.configure(realm="999")
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin=desk.site.authority.connect()).returncode == 2
    wrong = desk.run("sync", "--quiet")
    told(wrong)
    assert wrong.returncode == 2
    assert "999" in wrong.stderr
    desk.configure()
    assert desk.run("check").returncode == 0
    fresh = [p for p in (desk.folder / ".tieout").iterdir() if p.name.startswith("quickbooks.tokens")]
    for path in fresh:
        path.unlink()
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin="AB11wrong").returncode == 4
    assert "not signed in" in desk.run("sync", "--quiet").stderr, "what never worked is not kept"


def test_a_run_that_waits_for_a_system_says_so_on_a_terminal(desk: Office) -> None:
    """A minute without a word looks like a program that hangs; it can be stopped meanwhile."""
    desk.site.faults.arm("answer", form="throttle", path="companyinfo")
    terminal, theirs = pty.openpty()
    program = subprocess.Popen(
        [PROGRAM, "sync"], cwd=desk.folder, env=os.environ | desk.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown, stopped = b"", False
    try:
        with contextlib.suppress(OSError):  # how the end of a terminal reads
            while more := os.read(terminal, 4096):
                shown += more
                if b" s for quickbooks" in shown and not stopped:
                    program.send_signal(signal.SIGINT)
                    stopped = True  # a second one would find it ending, and end it without a word
        assert program.wait(60) == 130
    finally:
        program.kill()
        program.wait()
        os.close(terminal)
    assert re.search(rb"main: waiting (6\d|7[0-5]) s for quickbooks", shown)


# ── stopped ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if DEEP else [])])
def test_a_run_that_is_stopped_in_the_middle_of_a_write_loses_and_doubles_nothing(
    desk: Office, ending: signal.Signals
) -> None:
    reached = threading.Event()
    write = "/(customer|invoice)$"
    desk.site.faults.arm("latency", when="after", method="POST", path=write, nth=2, seconds=5)
    program = desk.start("sync", "--apply", "--json")

    def wait_for_the_write() -> None:
        while program.poll() is None and not reached.is_set():
            if sum(c.method == "POST" and c.entity in ("Customer", "Invoice") for c in desk.site.faults.log) > 1:
                reached.set()
            time.sleep(0.05)

    watcher = threading.Thread(target=wait_for_the_write)
    watcher.start()
    try:
        assert reached.wait(60)
        program.send_signal(ending)
        out, err = program.communicate(timeout=60)
    finally:
        program.kill()
        program.wait()
        watcher.join()
    assert program.returncode == 130
    assert "the next run goes on" in err
    assert "Traceback" not in err
    assert json.loads(out)["error"]["exit"] == 130
    desk.site.faults.disarm()
    assert desk.settled()[0] == 3


def test_nohup_is_honoured(desk: Office) -> None:
    ran = desk.process("check", limits=lambda: (signal.signal(signal.SIGHUP, signal.SIG_IGN), None)[1])
    assert ran.returncode == 0


# ── where the words go ───────────────────────────────────────────────────────────────────────────────────────────────

TWO_PAIRS = """
[company]
name = "Zwölf & Söhne"
[connection.a]
kind = "memory"
[connection.b]
kind = "memory"
[connection.c]
kind = "memory"
[pair.one]
left = "a"
right = "b"
[pair.two]
left = "b"
right = "c"
"""


def shell(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        f"set -o pipefail; {command}", shell=True, executable="/bin/bash", cwd=folder, capture_output=True, check=False,
        timeout=120, env=os.environ | {"T": str(PROGRAM)} | env,
    )  # fmt: skip


NOBODY = [(">&-", 0), (">/dev/full", 3), ("2>&-", 0), ("| true", 0)]


@pytest.mark.parametrize(("where", "code"), NOBODY if DEEP else NOBODY[:2])
def test_output_that_nobody_takes_ends_no_run(tmp_path: Path, where: str, code: int) -> None:
    if "/dev/full" in where and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "tieout.toml").write_text(TWO_PAIRS, "utf-8")
    ran = shell(f"$T sync {where}", tmp_path)
    assert ran.returncode == code, ran.stderr
    assert b"Traceback" not in ran.stderr
    if code:
        assert b"what was to be printed is lost" in ran.stderr
    listed = json.loads(here(tmp_path, "sync", "--json").stdout)
    assert [r["pair"] for r in listed["runs"]] == ["one", "two"]
    assert shell(f"$T discrepancies export {where}", tmp_path).returncode == code
    assert shell(f"$T --help {where}", tmp_path).returncode == code


def test_a_terminal_that_is_not_utf_8_gets_plain_signs_and_escaped_names(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(TWO_PAIRS, "utf-8")
    ran = shell("$T check", tmp_path, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert b"+  configuration" in ran.stdout
    assert b"\\u2500" not in ran.stdout
    (tmp_path / "tieout.toml").write_text(TWO_PAIRS.replace('kind = "memory"', 'kind = "mémory"', 1), "utf-8")
    assert b"'m\\xe9mory'" in shell("$T check", tmp_path, PYTHONIOENCODING="ascii").stderr


def test_a_wrong_command_line_is_told_as_json_too(tmp_path: Path) -> None:
    ran = shell("$T sync --json --aply", tmp_path)
    assert ran.returncode == 2
    error = json.loads(ran.stdout)["error"]
    assert set(error) == {"exit", "message", "problems", "hint"}
    assert "--aply" in error["message"]
    assert error["hint"] == "tieout sync --help"


def test_an_address_of_the_state_that_is_none_does_not_show_its_password(tmp_path: Path) -> None:
    for address in ("postgres//me:hunter2@host/db", "postgresql://me:hunter2@host:port/db"):
        (tmp_path / "tieout.toml").write_text(TWO_PAIRS + '[state]\nurl = { env = "STATE" }\n', "utf-8")
        ran = shell("$T sync --json", tmp_path, STATE=address)
        assert ran.returncode == 2, ran.stderr
        assert b"hunter2" not in ran.stdout + ran.stderr


def test_another_folder_and_a_second_configuration(tmp_path: Path) -> None:
    here, there = tmp_path / "hier & dort", tmp_path / "elsewhere"
    here.mkdir()
    there.mkdir()
    (here / "tieout.toml").write_text(TWO_PAIRS, "utf-8")
    (here / "second.toml").write_bytes(b"\xef\xbb\xbf" + TWO_PAIRS.replace("\n", "\r\n").encode())
    assert shell("$T sync --quiet", there, TIEOUT_CONFIG=str(here / "tieout.toml")).returncode == 0
    assert shell(f'$T sync --quiet -c "{here}/second.toml"', there, TIEOUT_CONFIG="/nowhere").returncode == 0
    assert list(there.iterdir()) == []
    assert (here / "tieout.db").exists()


# ── what a person reads ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_and_the_list_name_customers_and_sums_and_ids_too_short_decide_nothing(tmp_path: Path) -> None:
    with office(tmp_path, mode="propose") as desk:
        waits = desk.run("sync", "--quiet")
        assert waits.returncode == 4
        assert len(waits.stderr.splitlines()) == 1
        assert waits.stderr.startswith("Example Trading Ltd: main: ")
        [plan] = json.loads(desk.run("plan", "show", "--json").stdout)["plans"]
        shown = desk.run("plan", "show", plan["id"]).stdout
        assert "O'Brien" in next(line for line in shown.splitlines() if " 1003 " in line and "invoice" in line)
        assert "in erp, open receivables move by 3,524.45 USD" in shown
        rows = desk.run("discrepancies", "list").stdout
        assert "erp" in rows.splitlines()[0]
        assert "Łódź Glas GmbH" in rows
        for short in ("", plan["id"][:6]):
            for words in (("approve", short), ("reject", short, "--reason", "x")):
                assert desk.run("plan", words[0], words[1], "--by", "Kim", *words[2:]).returncode == 2
        assert desk.run("discrepancies", "decide", "", "accept", "--by", "Kim", "--reason", "x").returncode == 2
        [plan] = json.loads(desk.run("plan", "show", "--json").stdout)["plans"]
        assert plan["status"] == "draft"
        assert desk.run("plan", "approve", plan["id"][:13], "--by", "Kim").returncode == 0
