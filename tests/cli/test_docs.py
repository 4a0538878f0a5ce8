"""The reference pages say what the program does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tieout.cli import cli
from tieout.config import loads
from tieout.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def blocks(language: str) -> Iterator[tuple[str, list[str]]]:
    """(page, lines) of every block of that language in the pages that people write and the README."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        inside: list[str] | None = None
        named = ""
        for line in page.read_text("utf-8").splitlines():
            if not line.strip().startswith("```"):
                if inside is not None:
                    inside.append(line.strip())
            elif inside is None:
                named, inside = line.strip().removeprefix("```"), []
            else:
                if named == language:
                    yield page.relative_to(ROOT).as_posix(), inside
                inside = None


def code_blocks(language: str) -> Iterator[tuple[str, str]]:
    return ((page, line) for page, lines in blocks(language) for line in lines)


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


EXPORTS = 'exports = [{ glob = "*.csv", profile = "documents" }]'
# What the pages' parts of a configuration leave out, by table.
REST = {
    "[company]": ['name = "Example"'],
    "[connection.erp]": ['kind = "tabular"', 'folder = "erp"', 'currency = "EUR"', EXPORTS],
    "[connection.sap]": ['kind = "tabular"', 'folder = "sap"', 'outbox = "to-sap"', 'currency = "EUR"', EXPORTS],
    "[connection.x3]": [
        'kind = "sage-x3"',
        'url = "https://x3.example.com/soap"',
        'user = "T"',
        'password = { env = "X3" }',
        'pool = "T"',
        'company = "C"',
        'currency = "EUR"',
        'services = { BPC = "YBPC" }',
    ],
    "[pair.main]": ['left = "erp"', 'right = "sap"'],
}  # fmt: skip


def completed(lines: list[str]) -> str:
    """A part of a configuration with what it leaves out, so that the loader reads all of it."""
    tables: dict[str, list[str]] = {"": []}
    for line in lines:
        table = next(reversed(tables))
        if re.fullmatch(r"\[[\w.-]+\]( *#.*)?", line):
            tables[line.partition("#")[0].strip()] = []
        else:
            tables[table].append(line)
    for name, rest in REST.items():
        said = tables.setdefault(name, [])
        known = {line.partition("=")[0].strip() for line in said}
        known |= {t[len(name) :].partition("]")[0] for t in tables if t.startswith(name[:-1] + ".")}
        said += [line for line in rest if line.partition("=")[0].strip() not in known]
    return "\n".join(line for name, said in tables.items() for line in (name, *said))


@pytest.mark.parametrize(("page", "lines"), [pytest.param(*b, id=f"{b[0]}-{b[1][0]}") for b in blocks("toml")])
def test_every_configuration_in_the_pages_loads(page: str, lines: list[str]) -> None:
    loads(completed(lines), ROOT / "tieout.toml")


def test_a_setting_that_is_none_is_found_in_the_pages() -> None:
    with pytest.raises(ConfigError, match=r"\[pair.main\] as_of: is not a known key"):
        loads(completed(["[pair.main]", "as_of = 2026-01-31"]), ROOT / "tieout.toml")
