"""The reference pages say what the program does."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tieout.cli import cli
from tieout.config import loads

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_up_to_date() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def code_blocks(language: str) -> Iterator[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        inside = None
        for line in page.read_text("utf-8").splitlines():
            if line.strip().startswith("```"):
                inside = None if inside is not None else line.strip().removeprefix("```")
            elif inside == language:
                yield page.relative_to(ROOT).as_posix(), line.strip()


COMMANDS = [(page, line) for page, line in code_blocks("") if line.startswith("tieout ") and "reference" not in page]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_in_the_pages_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"{page}: {line}"
        command = found
    assert not isinstance(command, click.Group) or words == ["--help"], f"{page}: {line}"
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    assert {w for w in words if w.startswith("--")} <= known, f"{page}: {line}"


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) >= 5


def test_the_connection_that_the_page_shows_loads() -> None:
    lines = [line for page, line in code_blocks("toml") if page.endswith("connect-quickbooks.md")]
    settings = loads('[company]\nname = "x"\n' + "\n".join(lines), ROOT / "tieout.toml")
    assert settings.connection("quickbooks").options["company_id"] == "1234567890"
