"""`tieout connect` against a QuickBooks stand-in: the redirect, the refresh token, and what goes wrong."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.cli.conftest import PROGRAM, Ran
from tests.cli.office import quickbooks
from tieout.sandbox.quickbooks import Books, Running, running

Run = Callable[..., Ran]
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture(scope="module")
def live() -> Iterator[Running]:
    with running(Books("small")) as site:
        yield site


@pytest.fixture
def env(live: Running) -> dict[str, str]:
    return {"QBO_SECRET": live.client_secret}


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, live: Running) -> None:
    write(tmp_path, live, live.realm)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def write(folder: Path, live: Running, realm: str) -> None:
    (folder / "tieout.toml").write_text(
        f"""
[company]
name = "Example"
[secrets]
store = "file"
{quickbooks(live, "books", realm=realm)}
redirect_uri = "http://localhost:{free_port()}/callback"
"""
    )


def test_a_refresh_token_from_standard_input_is_tried_and_kept(
    tieout: Run, tmp_path: Path, live: Running, env: dict[str, str]
) -> None:
    token = live.authority.connect()
    ran = tieout("connect", "books", "--token-stdin", "--json", stdin=token + "\n", env=env)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["company"]["id"] == live.realm
    assert token not in ran.stdout + ran.stderr
    kept = b"".join(p.read_bytes() for p in (tmp_path / ".tieout").iterdir())
    assert token.encode() not in kept
    checked = tieout("check", "--json", env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    pulled = tieout("pull", "--json", env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["connections"][0]["entities"]["invoice"]["rows"] > 0


def test_the_redirect_comes_back_and_the_sign_in_is_kept(
    tieout: Run, tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser gets the address, and no secret of the environment."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/opened"\nenv >> "{tmp_path}/opened"\n')
    browser.chmod(0o700)
    for name, value in (env | {"TIEOUT_SECRET_KEY": KEY, "BROWSER": f"{browser} %s"}).items():
        monkeypatch.setenv(name, value)
    program = subprocess.Popen(
        [PROGRAM, "connect", "books", "--json"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert program.stderr is not None
        address = next(line.strip() for line in program.stderr if "connect/oauth2" in line)
        query = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
        page = requests.get(address, timeout=10)
        assert page.status_code == 200
        allowed = requests.post(address.split("?")[0], data=query | {"decision": "allow"}, timeout=10)
        assert "back to tieout" in allowed.text
        out, _ = program.communicate(timeout=30)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == 0
    assert json.loads(out)["connection"] == "books"
    assert tieout("check", env=env).returncode == 0
    opened = (tmp_path / "opened").read_text()
    assert opened.startswith(address)
    assert "BROWSER=" in opened
    assert not [secret for secret in (env["QBO_SECRET"], KEY) if secret in opened]


def test_without_a_sign_in_a_person_must_act(tieout: Run, env: dict[str, str]) -> None:
    ran = tieout("pull", env=env)
    assert ran.returncode == 4
    assert "tieout connect books" in ran.stderr
    assert tieout("check", env=env).returncode == 4


@pytest.mark.parametrize("what", ["secret", "company", "token"])
def test_what_is_wrong_is_named_with_its_exit_code(
    tieout: Run, tmp_path: Path, live: Running, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("QBO_SECRET", "hunter2" if what == "secret" else live.client_secret)
    if what == "company":
        write(tmp_path, live, "999")
    token = "AB11wrongwrongwrong" if what == "token" else live.authority.connect()
    ran = tieout("connect", "books", "--token-stdin", stdin=token)
    assert ran.returncode == (4 if what == "token" else 2), ran.stderr
    assert re.search(r"client_secret|company|sign in", ran.stderr)
    assert token not in ran.stderr
    assert "hunter2" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_empty_token_is_refused_before_anything_is_kept(tieout: Run, tmp_path: Path, env: dict[str, str]) -> None:
    assert tieout("connect", "books", "--token-stdin", env=env).returncode == 2
    assert not (tmp_path / ".tieout").exists()


@pytest.mark.parametrize(("minutes", "says"), [(-10, "ahead"), (10, "behind"), (2, "")])
def test_a_clock_that_is_off_is_named(
    tieout: Run, tmp_path: Path, env: dict[str, str], minutes: int, says: str
) -> None:
    books = Books("empty", clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    with running(books) as site:
        write(tmp_path, site, site.realm)
        connected = tieout("connect", "books", "--token-stdin", stdin=site.authority.connect(), env=env)
        assert connected.returncode == 0, connected.stderr
        ran = tieout("check", "--json", env=env)
    (found,) = [c for c in json.loads(ran.stdout)["checks"] if c["name"] == "books"]
    assert found["exit"] == (2 if says else 0)
    assert says in found["detail"]
    assert ("clock" in found["detail"]) is bool(says)


def cursors(folder: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "tieout.db")) as db:
        return db.execute("SELECT * FROM cursor ORDER BY connection, entity").fetchall()


def test_a_revoked_sign_in_parks_the_connection_and_alerts_once(
    tieout: Run, tmp_path: Path, env: dict[str, str]
) -> None:
    with running(Books("small")) as site:
        write(tmp_path, site, site.realm)
        assert tieout("connect", "books", "--token-stdin", stdin=site.authority.connect(), env=env).returncode == 0
        told = tieout("check", env=env).stdout
        assert "signed in until" in told
        assert "applies new credit memos by itself" in told
        assert tieout("pull", "-q", env=env).returncode == 0
        before = cursors(tmp_path)
        site.books.apply("Customer", "create", {"DisplayName": "Came while nobody was signed in"})
        site.authority.revoke_all()

        def asked() -> int:
            return sum("tokens" in c.path for c in site.faults.log)

        first = tieout("pull", "-q", env=env)
        tried = asked()
        again = [tieout("pull", "-q", env=env) for _ in range(3)]
        assert [r.returncode for r in (first, *again)] == [4] * 4
        assert "tieout connect books" in first.stderr
        assert [r.stderr for r in again] == [""] * 3
        assert asked() == tried
        shown = tieout("pull", env=env)
        assert shown.returncode == 4
        assert "is signed out since" in shown.stderr
        assert json.loads(tieout("pull", "-q", "--json", env=env).stdout)["errors"][0]["exit"] == 4
        assert cursors(tmp_path) == before

        assert tieout("connect", "books", "--token-stdin", stdin=site.authority.connect(), env=env).returncode == 0
        pulled = tieout("pull", "--json", env=env)
        assert pulled.returncode == 0, pulled.stderr
        assert json.loads(pulled.stdout)["connections"][0]["entities"]["customer"]["rows"] == 1
        assert cursors(tmp_path) != before
