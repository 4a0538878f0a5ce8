"""What of the configuration is kept with a run, and the key that signs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tieout.config import loads
from tieout.config.evidence import anchors_of, signing_key, told, without_userinfo
from tieout.errors import ConfigError

CANARY = "canary-3f9a"
CONFIG = f"""
[company]
name = "Example"
[state]
url = {{ env = "{CANARY}_NAME" }}
[secrets]
store = "file"
[evidence]
anchors = ["anchors.jsonl", "/elsewhere/anchors.jsonl"]
[connection.a]
kind = "memory"
address = "https://host.example/path?sig={CANARY}"
nested = {{ address = "ftp://user@host.example/{CANARY.upper()}" }}
credentials = {{ command = ["pass", "show", "{CANARY}"] }}
[connection.b]
kind = "memory"
[pair.main]
left = "a"
right = "b"
"""


def test_the_configuration_that_is_kept_holds_no_secret(tmp_path: Path) -> None:
    settings = loads(CONFIG, tmp_path / "tieout.toml")
    kept = told(settings)
    text = json.dumps(kept)
    assert CANARY not in text.replace(f"{CANARY}_NAME", "")
    assert "user@" not in text
    assert kept["connections"]["a"]["options"]["address"] == "https://host.example/path"
    assert kept["connections"]["a"]["options"]["credentials"] == "(secret: command pass)"
    assert kept["evidence"]["anchors"] == ["anchors.jsonl", "/elsewhere/anchors.jsonl"]
    assert kept["pairs"]["main"]["limits"]["creates"] == 50


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ana:secret@db/books?password=x", "postgresql://db/books"),
        ("https://u@h.example:8443/a#t", "https://h.example:8443/a"),
        ("http://[::1", "(withheld)"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("sqlite:///books.db", "sqlite:///books.db"),
        ("sqlite:////var/books.db", "sqlite:////var/books.db"),
        ("postgresql://ana:se/cret@db/books", "(withheld)"),
        ("postgresql://ana:se#cret@db/books", "(withheld)"),
        ("postgresql://ana:se?cret@db/books", "(withheld)"),
        ("the books of https://ana:secret@h.example", "(withheld)"),
        ("host=db dbname=books password=secret", "(withheld)"),
        ("Server=db;Pwd = secret", "(withheld)"),
        ("no address, a@b", "no address, a@b"),
    ],
)
def test_addresses_are_kept_without_who_and_with_what_password(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown


def test_the_signing_key_is_made_once_and_kept_encrypted(tmp_path: Path) -> None:
    settings = loads(CONFIG, tmp_path / "tieout.toml")
    first = signing_key(settings)
    assert signing_key(settings) == first
    assert anchors_of(settings).paths == (tmp_path / "anchors.jsonl", Path("/elsewhere/anchors.jsonl"))
    kept = [p.read_bytes() for p in (tmp_path / ".tieout").iterdir() if p.is_file()]
    assert all(first.seed not in body for body in kept)


def test_a_configuration_without_any_place_for_anchors_is_refused() -> None:
    with pytest.raises(ConfigError, match="anchors: is empty"):
        loads(CONFIG.replace('["anchors.jsonl", "/elsewhere/anchors.jsonl"]', "[]"), Path("/books/tieout.toml"))
