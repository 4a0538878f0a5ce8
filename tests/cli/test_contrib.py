"""The cron and systemd examples: what they name is run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
SERVICE = CONTRIB / "systemd" / "tieout-sync@.service"
TIMER = CONTRIB / "systemd" / "tieout-sync@.timer"
CONFIG = """
[company]
name = "Example"
[connection.a]
kind = "memory"
[connection.b]
kind = "memory"
[pair.main]
left = "a"
right = "b"
"""


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "tieout.toml").write_text(CONFIG)
    return tmp_path


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, executable="/bin/sh", cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "TIEOUT_CONFIG": str(folder / "tieout.toml")},
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


def test_the_service_runs_its_command(configured: Path) -> None:
    service = unit(SERVICE)["Service"]
    command = service["ExecStart"].replace("%i", "main").replace("/opt/tieout/bin/tieout", str(PROGRAM))
    ran = run(command, configured)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert service["Type"] == "oneshot"
    assert service["SuccessExitStatus"].split() == ["3", "130"], (
        "a busy or unreachable system is no failure of the unit"
    )


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
