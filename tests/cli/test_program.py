"""The program as installed: start, help, set-up, usage errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.conftest import EXAMPLE, IN_MEMORY, PROGRAM, Ran, files
from tieout.cli import _COMMANDS, cli

Run = Callable[..., Ran]
HEAVY = (
    "duckdb",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "requests",
    "zeep",
    "lxml",
    "cryptography",
    "keyring",
    "openpyxl",
)


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


COMMANDS = commands()


def test_help_loads_nothing_heavy() -> None:
    loads = f"""
import sys
from click.testing import CliRunner
from tieout.cli import _COMMANDS, cli
for args in {[["--help"], *([*path, "--help"] for path, _ in COMMANDS)]!r}:
    assert CliRunner().invoke(cli, args).exit_code == 0, args
print(sorted(m for m in {HEAVY!r} if m in sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert _COMMANDS[name][1] == command.get_short_help_str(limit=200)
    assert list(_COMMANDS) == sorted(_COMMANDS)
    assert cli.get_command(context, "no-such") is None


def test_the_installed_program_and_the_module_are_one(installed: Run) -> None:
    assert installed("--help").stdout == installed("-h").stdout
    module = subprocess.run([sys.executable, "-m", "tieout", "--help"], capture_output=True, text=True, check=True)
    assert module.stdout == installed("--help").stdout
    assert installed("--version").stdout.startswith("tieout, version ")


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_every_command_takes_json_quiet_and_debug(path: tuple[str, ...], command: click.Command) -> None:
    options = {o for p in command.params for o in p.opts}
    assert {"--json", "--quiet", "--debug"} <= options
    assert command.help, path
    assert len(command.get_short_help_str(limit=200)) <= 60, path


def test_a_wrong_option_is_a_mistake_to_mend_not_a_difference(installed: Run) -> None:
    ran = installed("check", "--no-such-option")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--no-such-option" in ran.stderr


def test_init_writes_what_check_reads(installed: Run, tmp_path: Path) -> None:
    made = installed("init", "--json")
    assert (made.returncode, json.loads(made.stdout)) == (0, {"path": "tieout.toml"})
    before = (tmp_path / "tieout.toml").read_bytes()
    again = installed("init")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert (tmp_path / "tieout.toml").read_bytes() == before
    checked = installed("check", "--json")
    found = json.loads(checked.stdout)
    by_name = {c["name"]: c for c in found["checks"]}
    assert checked.returncode == 2
    assert found["ok"] is False
    assert by_name["tieout.toml"]["exit"] == 0
    assert "QBO_CLIENT_ID is not set" in by_name["quickbooks"]["detail"]
    assert "QBO_CLIENT_SECRET is not set" in by_name["quickbooks"]["detail"]


def test_check_lists_every_mistake_of_the_file_at_once(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text('[compny]\nname = "x"\n[connection.a]\nkind = "memry"\n')
    ran = tieout("check", "--json")
    error = json.loads(ran.stdout)["error"]
    assert ran.returncode == 2
    assert len(error["problems"]) == 3
    assert "tieout.toml:1: compny" in "".join(error["problems"])
    assert "tieout.toml:4: [connection.a] kind" in "".join(error["problems"])
    assert "did you mean memory?" in ran.stderr


def test_check_of_two_memory_books_passes(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(EXAMPLE + IN_MEMORY)
    ran = tieout("check")
    assert ran.returncode == 0, ran.stderr
    assert "pair           main" in ran.stdout
    assert tieout("check", "--quiet").stdout == ""
    assert (tmp_path / "tieout.db").exists()


def test_the_check_says_in_one_word_that_a_pair_writes_nothing(tieout: Run, tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text(
        EXAMPLE + files("a", "documents", imports={"invoice": "import-documents"}) + files("b", "documents")
        + '[pair.main]\nleft = "a"\nright = "b"\n'
    )  # fmt: skip
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.csv").write_text("kind,number,customer,issued,currency,total\n")
    (tmp_path / "outbox").mkdir()
    said = tieout("check").stdout
    assert "1 flow; nothing can be written to b; no customer, credit memo, payment, adjustment can be" in said


def test_no_configuration_names_the_command_that_makes_one(tieout: Run) -> None:
    ran = tieout("check")
    assert ran.returncode == 2
    assert "tieout init" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_reader_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text('[company]\nname = "x"\n')
    ran = subprocess.run(
        f"set -o pipefail; {PROGRAM} check | true", shell=True, executable="/bin/bash", cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_a_full_disk_behind_stdout_is_temporary(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    ran = subprocess.run(
        f"{PROGRAM} init --json > /dev/full", shell=True, executable="/bin/bash", cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 3
    assert "full" in ran.stderr


def test_what_fails_takes_one_line_of_the_check_and_its_reasons_one_line_each(tieout: Run, tmp_path: Path) -> None:
    """A table as wide as the longest reason is not to be read."""
    tieout("init")
    ran = tieout("check", env={"QBO_CLIENT_ID": "", "QBO_CLIENT_SECRET": ""})
    assert "connection quickbooks lacks secrets\n" in ran.stdout
    assert ran.stderr.count("\n  - client_") == 2


def test_a_day_is_asked_for_and_refused_in_words(tieout: Run) -> None:
    assert "--as-of YYYY-MM-DD" in tieout("compare", "--help").stdout
    ran = tieout("report", "aging", "books", "--as-of", "31.01.2026")
    assert (ran.returncode, "'31.01.2026' is not a day; write it as in 2026-01-31" in ran.stderr) == (2, True)


def test_a_module_that_was_compiled_only_in_part_is_told_and_not_taken_for_an_interruption(tmp_path: Path) -> None:
    """As a full disk leaves it: Python reads its own cache of the module, and comes to an end too soon."""
    env = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    asked = [str(PROGRAM), "plan", "--help"]
    assert subprocess.run(asked, env=env, capture_output=True, timeout=60, check=False).returncode == 0
    [compiled] = tmp_path.rglob("cli/plans.*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:40])
    ran = subprocess.run(asked, env=env, capture_output=True, timeout=60, check=False)
    assert (ran.returncode, b"marshal data too short" in ran.stderr) == (5, True)


WRITING = [(path, c) for path, c in COMMANDS if any("-o" in p.opts for p in c.params)]


def test_the_file_of_a_result_is_named_alike_everywhere() -> None:
    assert len(WRITING) > 20
    for path, command in WRITING:
        [option] = [p for p in command.params if "-o" in p.opts]
        assert option.opts == ["-o", "--output"], path
        context = click.Context(command)
        assert "--out " not in command.get_help(context), path
        values, _, _ = command.make_parser(context).parse_args(["--out", "x"])
        assert values["output"] == "x", f"{path}: what was written for --out goes on"


def test_an_interrupt_while_the_program_loads_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    ran = subprocess.run(
        [sys.executable, "-m", "tieout", "--help"], env=env, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "\ninterrupted; nothing had begun\n")


def test_an_interrupt_while_a_command_loads_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tieout.cli.import_module", load)
    result = CliRunner().invoke(cli, ["compare"], prog_name="tieout")
    assert result.exit_code == 130
    assert result.stderr.strip().splitlines() == ["interrupted; nothing is half done: the next run goes on from here"]
