"""The tutorial, followed to the letter: its files are written, its commands run, and what it promises comes true."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieout.cli import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
PROGRAMS = Path(sys.executable).parent
Ran = subprocess.CompletedProcess[str]


def steps() -> Iterator[tuple[str, str, str]]:
    """(what to do: `save`, `run`, `serve` or `read`; file name; text) for each block, in order."""
    before = ""
    for part in re.split(r"(^```.*?^```$)", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL):
        if not part.startswith("```"):
            before = part
            continue
        language, _, body = part.removesuffix("```").removeprefix("```").partition("\n")
        saved = re.search(r"`([\w.]+)`[^`]*:\s*\Z", before) if language in ("csv", "toml") else None
        if saved:
            yield "save", saved[1], body
        elif language == "text":
            yield "read", "", body
        else:
            yield ("serve" if "second terminal" in before.split("\n\n")[-2] else "run"), "", body


class Reader:
    """Somebody with an empty folder and a terminal; `env` is what they exported."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.env: dict[str, str] = {}

    def words(self, text: str) -> str:
        return text.replace("8765", str(self.port)).replace(
            "quickbooks --realm", f"quickbooks --port {self.port} --realm"
        )

    def run(self, line: str) -> Ran:
        """One line: what the shell does in a shell, `tieout` (fed by `echo`, maybe) in this process."""
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value
        fed, _, program = line.rpartition(" | ")
        if not program.startswith("tieout "):
            return subprocess.run(
                ["/bin/sh", "-c", line], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
            )
        words = shlex.split(self.words(program))[1:]
        done = CliRunner().invoke(cli, words, env=self.env, input=fed.removeprefix("echo "), prog_name="tieout")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(words, done.exit_code, done.stdout, done.stderr)

    def plan(self) -> str:
        return str(json.loads(self.run("tieout plan show --json").stdout)["plans"][0]["id"])

    def waiting(self) -> bool:
        return bool(json.loads(self.run("tieout plan show --json").stdout)["plans"])

    def difference(self) -> str:
        return str(json.loads(self.run("tieout discrepancies list --json").stdout)["discrepancies"][0]["id"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(reader: Reader, line: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [PROGRAMS / "tieout", *shlex.split(reader.words(line))[1:]], cwd=reader.folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    for told in program.stdout:
        if told.startswith("control"):
            return program
    raise AssertionError(f"it did not start: {line}")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return Reader(tmp_path, free_port())


def said(ran: Ran) -> str:
    return ran.stdout + ran.stderr


def test_the_tutorial(reader: Reader) -> None:
    server: subprocess.Popen[str] | None = None
    answers: list[Ran] = []
    rounds = 0
    try:
        for action, name, body in steps():
            if action == "save":
                (reader.folder / name).write_text(reader.words(body), "utf-8")
            elif action == "serve":
                server = serve(reader, body)
            elif action == "read":
                expect(body, answers)
            elif "--once\n" in body:
                rounds = go_round(reader, body, answers)
            else:
                answers += run_block(reader, body)
    finally:
        if server is not None:
            server.kill()
            server.wait(10)
            assert server.stdout is not None
            server.stdout.close()
    assert 2 <= rounds <= 5
    [plan] = [a.stdout for a in answers if "apply   credit memo" in a.stdout]
    assert re.search(r"applications: nothing → 2,160\.36 to \d+$", plan, re.MULTILINE), "money goes to a number"
    assert re.search(r"create  payment .*, applications 150\.00 to 1001$", plan, re.MULTILINE)
    assert "accepted" in answers[-1].stdout
    totals = [set(re.findall(r"^ +[AB]  .* ([\d,.]+)$", a.stdout, re.MULTILINE)) for a in answers]
    told = [t for t in totals if t]
    assert len(told[-2]) == 1, "before the write-off both books have the same total"
    low, high = sorted(Decimal(t.replace(",", "")) for t in told[-1])
    assert high - low == 5, "the last bridge leads over the write-off alone"


def run_block(reader: Reader, body: str) -> list[Ran]:
    """Run each line, ID and D filled in from what the program lists; every command must go well or ask for a person."""
    out = []
    for line in body.strip().splitlines():
        if " ID" in line:
            line = line.replace(" ID", f" {reader.plan()}")
        if " D" in line.split('"')[0] and line.startswith("tieout discrepancies"):
            line = line.replace(" D", f" {reader.difference()}", 1)
        ran = reader.run(line)
        assert ran.returncode in (0, 4), f"{line}\n{said(ran)}"
        if ran.returncode == 4:
            assert "wait for a person" in ran.stderr, f"{line}\n{said(ran)}"
        out.append(ran)
    return out


def go_round(reader: Reader, body: str, answers: list[Ran]) -> int:
    """The ERP's rounds, with approvals in between, until a run has nothing to write; returns how many it took."""
    for rounds in range(1, 7):
        answers += run_block(reader, body)
        if "nothing to write" in answers[-1].stdout:
            return rounds
        if reader.waiting():
            answers += run_block(reader, 'tieout plan approve ID --by "Your Name"')
    raise AssertionError(said(answers[-1]))


def expect(block: str, answers: list[Ran]) -> None:
    """The lines that the page shows are what one of the last answers said."""
    wanted = [line.rstrip() for line in block.splitlines() if line.strip()]
    assert any(all(line in said(a) for line in wanted) for a in answers[-3:]), f"{wanted}\n{said(answers[-1])}"
