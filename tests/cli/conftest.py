"""The program, run as a user runs it: `installed` starts it, `tieout` does the same without a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieout.cli import cli

Ran = subprocess.CompletedProcess[str]
PROGRAM = Path(sys.executable).with_name("tieout")
EXAMPLE = '[company]\nname = "Example"\n'
# Two books in memory, and the pair of them.
IN_MEMORY = '[connection.a]\nkind = "memory"\n[connection.b]\nkind = "memory"\n[pair.main]\nleft = "a"\nright = "b"\n'


def files(name: str, *profiles: str, imports: Mapping[str, str] | None = None, more: str = "") -> str:
    """The section of a connection to the exports in the folder of its name, in USD.

    profiles: an export of profile `documents` is any CSV file whose name begins with d, and so on
    imports: profiles of the files for the ERP, by kind, if it takes any; they are left in `outbox`
    """
    exports = ", ".join(f'{{ glob = "{p[0]}*.csv", profile = "{p}" }}' for p in profiles)
    text = f'[connection.{name}]\nkind = "tabular"\nfolder = "{name}"\ncurrency = "USD"\nsettle_seconds = 0\n'
    text += f"exports = [{exports}]\n{more}"
    if imports:
        table = ", ".join(f'{kind} = "{profile}"' for kind, profile in imports.items())
        text += f'outbox = "outbox"\nimports = {{ {table} }}\n'
    return text


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Ran]:
    """Run the installed `tieout ARGS` in a fresh folder; `env` adds variables."""

    def run(*args: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> Ran:
        return subprocess.run(
            [PROGRAM, *map(str, args)],
            cwd=tmp_path,
            env=os.environ | (env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def here(folder: Path, *args: str | Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """`tieout ARGS` in this process, as from `folder`; `env` adds variables. What is no exit of the program is raised."""
    words = [str(a) for a in args]
    with chdir(folder):
        result = CliRunner().invoke(cli, words, env=env, input=stdin, prog_name="tieout")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(words, result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def tieout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run `tieout ARGS` in this process, in a fresh folder; `env` adds variables."""
    monkeypatch.chdir(tmp_path)
    return partial(here, tmp_path)
