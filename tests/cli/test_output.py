"""What is printed, for people and for programs, and how failures are told."""

from __future__ import annotations

import errno
import json
import logging
import sqlite3
from decimal import Decimal
from itertools import permutations
from typing import Any
from urllib.parse import quote

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tieout.cli.discrepancies import cell
from tieout.cli.failures import explain
from tieout.cli.output import Out, clean, common, gravest, table
from tieout.connectors.redact import secret
from tieout.errors import (
    AuthError,
    ConfigError,
    FatalError,
    LeaseHeldError,
    ProfileError,
    RefusedError,
    RetriableError,
    SignInRequired,
    UnknownOutcome,
)
from tieout.jsontext import encode


def test_the_gravest_exit_code_wins_in_any_order() -> None:
    order = [5, 4, 2, 3, 1, 0]
    for size in (1, 2, 3):
        for codes in permutations(order, size):
            assert gravest(codes) == order[min(order.index(c) for c in codes)]
    assert gravest([]) == 0


@given(st.text(st.characters()))
def test_no_remote_text_can_drive_a_terminal(text: str) -> None:
    shown = clean(text + "\x00\x1b\x9b\r\n\t\u2028\u202e\u200b\ud800")
    assert not set(shown) & set("\x00\x1b\x9b\r\n\t\u2028\u2029\u202e\u202d\u2066\u200b\ud800")
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode("utf-8")


@given(st.text(st.characters()))
def test_json_drives_no_terminal_either_and_is_read_as_it_was(text: str) -> None:
    steering = text + "\x7f\x9b31m\u202e\u2028\u200b\ufeff\U000e0041\ud800é漢👩"
    printed = encode({"name": steering})
    assert json.loads(printed) == {"name": steering}
    assert clean(printed.replace("\n", "")) == printed.replace("\n", "")
    assert "é漢👩" in printed


def test_how_an_error_came_about_steers_no_terminal_and_shows_no_secret() -> None:
    secret("hunter2/é")
    cause = f"Content: {'hunter2/é'.encode()!r} {quote('hunter2/é', safe='')} {json.dumps('hunter2/é')} \x1b[2J\u202e"

    error = RuntimeError(cause)
    error.__cause__ = KeyError("hunter2/é")
    for how in (["--debug"], ["--json"], ["--debug", "--quiet"], []):
        ran = run(error, *how)
        told = ran.stdout + ran.stderr
        assert ran.exit_code == 5
        assert told.count("…") >= 3
        assert not {"\x1b", "\u202e"} & set(told)
        assert "hunter2" not in told


def test_what_is_escaped_stays_readable() -> None:
    assert clean("a\x1b[31mb\r\n\u202ec") == "a\\x1b[31mb\\r\\n\\u202ec"
    assert clean("Müller & Söhne 株式会社") == "Müller & Söhne 株式会社"


def test_tables_align_whatever_the_script() -> None:
    lines = table(("name", "amount"), [("株式会社", "1.00"), ("Ann\x07", "1,000.00"), (None, "")], right=(1,))
    assert lines == [
        "name        amount",
        "────────  ────────",
        "株式会社      1.00",
        "Ann\\x07   1,000.00",
        "",
    ]


def test_only_the_last_column_is_kept_whole() -> None:
    _, _, line = table(("a", "b"), [("x" * 100, "y" * 100)])
    assert "x" * 59 + "…" in line
    assert "y" * 100 in line


def test_json_keeps_money_exact_and_refuses_floats() -> None:
    assert json.loads(encode({"a": Decimal("1E+3"), "b": [Decimal("0.10")]})) == {"a": "1000", "b": ["0.10"]}
    with pytest.raises(TypeError):
        encode({"a": 0.1})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x", problems=("a", "b")), 2),
        (ProfileError("x"), 2),
        (AuthError("x"), 2),
        (RetriableError("x"), 3),
        (LeaseHeldError("x"), 3),
        (RefusedError("x"), 4),
        (SignInRequired("x"), 4),
        (FatalError("x"), 5),
        (UnknownOutcome("x"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 3),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 2),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 3),
        (ModuleNotFoundError("No module named 'openpyxl'", name="openpyxl"), 2),
        (ModuleNotFoundError("No module named 'tieout.x'", name="tieout.x"), 5),
        (ValueError("x"), 5),
    ],
)
def test_each_failure_has_its_exit_code(error: Exception, code: int) -> None:
    assert explain(error).exit == code


def test_a_failed_network_is_temporary() -> None:
    import requests

    assert explain(requests.exceptions.ConnectTimeout("https://user:hunter2@host")).exit == 3
    assert "hunter2" not in explain(requests.exceptions.ConnectTimeout("https://user:hunter2@host")).message


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("database is locked", 3),
        ("database or disk is full", 3),
        ("attempt to write a readonly database", 2),
        ("unable to open database file", 2),
        ("file is not a database", 2),
        ('connection to server at "h", port 5432 failed: Connection refused', 3),
        ('FATAL: password authentication failed for user "u"', 2),
        ("no such column: x", 5),
    ],
)
def test_what_the_state_database_refuses(says: str, code: int) -> None:
    told = explain(sa.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(says)))
    assert told.exit == code
    assert says in told.message or "password" in says


def raising(error: BaseException) -> click.Command:
    @click.command()
    @common
    def command(out: Out) -> int:
        out.line("begun")
        raise error

    return command


def run(error: BaseException, *args: str) -> Any:
    return CliRunner().invoke(raising(error), args)


def test_an_error_says_what_where_and_what_to_type() -> None:
    result = run(
        ConfigError("tieout.toml has 2 problems", problems=("line 1: a", "line 2: b\x1b[2J"), hint="tieout check")
    )
    assert result.exit_code == 2
    assert result.stdout == "begun\n"
    assert result.stderr == (
        "error: tieout.toml has 2 problems\n  - line 1: a\n  - line 2: b\\x1b[2J\n  → tieout check\n"
    )


def test_under_json_stdout_stays_one_document() -> None:
    result = run(RefusedError("a plan waits", hint="tieout plan show P1"), "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout) == {
        "error": {"exit": 4, "message": "a plan waits", "problems": [], "hint": "tieout plan show P1"}
    }
    assert "error: a plan waits" in result.stderr


def test_a_failure_of_the_database_is_told_once_and_not_by_its_driver() -> None:
    @click.command()
    @common
    def command(out: Out) -> int:
        logging.getLogger("tieout.quickbooks").warning("ours")
        logging.getLogger("psycopg").warning("error ignored terminating <psycopg.Pipeline>")
        return 0

    assert CliRunner().invoke(command, []).stderr.strip() == "ours"
    assert "psycopg.Pipeline" in CliRunner().invoke(command, ["--debug"]).stderr


def test_quiet_still_says_what_is_wrong() -> None:
    result = run(RetriableError("the vendor is down"), "--quiet")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "the vendor is down" in result.stderr


@pytest.mark.parametrize(("flag", "shown"), [((), False), (("--debug",), True)])
def test_a_traceback_only_with_debug(flag: tuple[str, ...], shown: bool) -> None:
    result = run(ValueError("x"), *flag)
    assert result.exit_code == 5
    assert ("Traceback" in result.stderr) is shown
    assert "Traceback" not in result.stdout


def test_an_interrupt_is_no_difference_found() -> None:
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr
    assert "interrupted" in result.stderr


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-5+cmd", "'-5+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "\\x0d=1"),
        ("-12480.00", "-12480.00"),
        ("R-2", "R-2"),
        (None, ""),
    ],
)
def test_no_cell_of_an_export_runs_as_a_formula(text: str | None, written: str) -> None:
    assert cell(text) == written
