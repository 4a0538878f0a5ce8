"""The cron and systemd examples: what they name is run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import EXAMPLE, IN_MEMORY, PROGRAM, files

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
SERVICE = CONTRIB / "systemd" / "tieout-sync@.service"
TIMER = CONTRIB / "systemd" / "tieout-sync@.timer"


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "tieout.toml").write_text(EXAMPLE + IN_MEMORY)
    return tmp_path


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, executable="/bin/sh", cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "TIEOUT_CONFIG": str(folder / "tieout.toml")}
        | {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
    )  # fmt: skip


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def test_the_crontab_line_runs_and_says_nothing_on_a_good_day(configured: Path) -> None:
    lines = [line for line in (CONTRIB / "crontab").read_text().splitlines() if line and line[0] in "*0123456789"]
    assert lines
    for line in lines:
        fields = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[-*/,0-9]+", f) for f in fields[:5])
        ran = run(fields[5].replace("/etc/tieout", str(configured)), configured)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        assert "--quiet" in fields[5]


def test_the_page_shows_the_crontab_that_there_is() -> None:
    page = (CONTRIB.parent / "docs" / "howto" / "schedule.md").read_text("utf-8")
    shown = page.partition("`contrib/crontab`")[2].split("```")[1].strip().splitlines()
    lines = (CONTRIB / "crontab").read_text().splitlines()
    assert shown == [line for line in lines if not line.startswith(("#", "MAILTO"))]


def test_the_service_runs_its_command(configured: Path) -> None:
    service = unit(SERVICE)["Service"]
    command = service["ExecStart"].replace("%i", "main").replace("/opt/tieout/bin/tieout", str(PROGRAM))
    ran = run(command, configured)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert service["Type"] == "oneshot"
    assert service["SuccessExitStatus"].split() == ["3", "130"], (
        "a busy or unreachable system is no failure of the unit"
    )


FILES = (
    EXAMPLE
    + files("a", "customers")
    + files("b", "customers", imports={"customer": "import-customers"})
    + '[pair.main]\nleft = "a"\nright = "b"\nmode = "auto"\n'
)


def test_what_the_service_hands_over_can_be_read_by_the_group_and_the_rest_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(FILES)
    for folder, rows in (("a", "1,Example Buyer\n"), ("b", ""), ("outbox", None)):
        (tmp_path / folder).mkdir()
        if rows is not None:
            (tmp_path / folder / "customers.csv").write_text("customer,name\n" + rows)
    service = unit(SERVICE)["Service"]
    command = service["ExecStart"].replace("%i", "main").replace("/opt/tieout/bin/tieout", str(PROGRAM))
    ran = run(f"umask {service['UMask']}; {command}", tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    handed = list((tmp_path / "outbox").glob("*customers*"))
    assert len(handed) == 2
    assert {p.stat().st_mode & 0o777 for p in handed} == {0o640}
    kept = [p for d in (".", ".tieout", "evidence") for p in (tmp_path / d).glob("*") if p.is_file()]
    mine = [p for p in kept if p.name not in {"tieout.toml", ".gitignore"}]
    assert len(mine) >= 4
    assert {p.stat().st_mode & 0o777 for p in mine} == {0o600}


def test_the_daily_line_says_what_is_open_for_cron_mails_only_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(FILES)
    for folder, rows in (("a", "1,Example Buyer,NT30\n"), ("b", ""), ("outbox", None)):
        (tmp_path / folder).mkdir()
        if rows is not None:
            (tmp_path / folder / "customers.csv").write_text("customer,name,terms\n" + rows)
    lines = [line for line in (CONTRIB / "crontab").read_text().splitlines() if line and line[0] in "*0123456789"]
    often, daily = (line.split(maxsplit=5)[5].replace("/etc/tieout", str(tmp_path)) for line in lines)
    quarter = run(often, tmp_path)
    assert (quarter.returncode, quarter.stderr) == (0, "")
    day = run(daily, tmp_path)
    config = tmp_path / "tieout.toml"
    assert day.returncode == 1
    assert day.stderr == f"Example: main: 1 difference is open → tieout discrepancies list -c {config} main\n"


def test_the_service_may_write_where_its_state_is() -> None:
    service = unit(SERVICE)["Service"]
    assert service["ReadWritePaths"] == service["WorkingDirectory"]
    assert service["Environment"].endswith(f"{service['WorkingDirectory']}/tieout.toml")


def test_systemd_accepts_the_units(configured: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    for path in (SERVICE, TIMER):
        text = path.read_text().replace("/opt/tieout/bin/tieout", str(PROGRAM))
        (configured / path.name).write_text(text)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", configured / "tieout-sync@.service", configured / "tieout-sync@.timer"],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "tieout" not in ran.stderr, ran.stderr
