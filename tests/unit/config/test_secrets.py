"""Secrets: looked up by reference, kept encrypted with the generation before, never shown."""

from __future__ import annotations

import base64
import errno
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tieout.config import SecretRef, secrets
from tieout.config.secrets import SecretStore, open_store, resolve
from tieout.config.settings import SecretsSettings
from tieout.errors import ConfigError, LeaseHeldError, RetriableError

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


def store(folder: Path, *, key: str | None = None, company: str = "Example") -> SecretStore:
    environ = {"TIEOUT_SECRET_KEY": key} if key else {}
    return open_store(SecretsSettings(store="file", folder=folder), company=company, environ=environ)


def test_a_reference_is_an_environment_variable_a_command_or_a_keyring_entry() -> None:
    assert resolve("plain") == "plain"
    assert resolve(SecretRef(env="X"), environ={"X": "value"}) == "value"
    assert resolve(SecretRef(command=(sys.executable, "-c", "print('value')"))) == "value"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (SecretRef(env="NOT_SET"), "NOT_SET is not set"),
        (SecretRef(command=(sys.executable, "-c", "import sys; print('hunter2'); sys.exit(3)")), "exit code 3"),
        (SecretRef(command=(sys.executable, "-c", "")), "printed no secret"),
        (SecretRef(command=("/no/such/program",)), "cannot be run"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_mistake_to_mend(reference: SecretRef, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        resolve(reference, environ={})
    assert "hunter2" not in str(caught.value)


def test_a_command_is_not_given_to_a_shell(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        resolve(SecretRef(command=(f"touch {tmp_path}/made",)))
    assert not (tmp_path / "made").exists()


def test_a_command_gets_no_other_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIEOUT_SECRET_KEY", "QBO_SECRET", "PASSWORD_STORE_DIR"):
        monkeypatch.setenv(name, "value")
    got = {line.partition("=")[0] for line in resolve(SecretRef(command=("env",)), withhold=["QBO_SECRET"]).split()}
    assert got & {"TIEOUT_SECRET_KEY", "QBO_SECRET", "PASSWORD_STORE_DIR", "PATH"} == {"PASSWORD_STORE_DIR", "PATH"}


def test_what_is_withheld_from_programs_is_there_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEOUT_SECRET_KEY", KEY)
    with pytest.raises(ZeroDivisionError), secrets.withheld(["NOT_SET"]):
        assert "TIEOUT_SECRET_KEY" not in os.environ
        raise ZeroDivisionError
    assert (os.environ["TIEOUT_SECRET_KEY"], "NOT_SET" in os.environ) == (KEY, False)


def test_the_generation_before_is_kept(tmp_path: Path) -> None:
    kept = store(tmp_path / "s")
    assert kept.read("books", "tokens") is None
    kept.write("books", "tokens", "one")
    kept.write("books", "tokens", "two")
    kept.write("books", "tokens", "two")
    again = store(tmp_path / "s").read("books", "tokens")
    assert again is not None
    assert (again.generation, again.current, again.previous) == (2, "two", "one")
    kept.forget("books", "tokens")
    assert kept.read("books", "tokens") is None


def test_only_the_owner_can_read_and_git_cannot_take_it(tmp_path: Path) -> None:
    store(tmp_path / "s").write("books", "tokens", "hunter2")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    files = {p.name for p in (tmp_path / "s").iterdir()}
    assert files == {".gitignore", "key", "books.tokens.secret"}
    assert all((tmp_path / "s" / f).stat().st_mode & 0o777 == 0o600 for f in files - {".gitignore"})
    assert b"hunter2" not in b"".join(p.read_bytes() for p in (tmp_path / "s").iterdir())


@pytest.mark.parametrize("name", ["", "key"])
def test_a_folder_or_key_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    kept = store(tmp_path / "s")
    kept.write("books", "tokens", "one")
    (tmp_path / "s" / name).chmod(0o755 if not name else 0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        kept.write("books", "tokens", "two")


def test_no_value_is_shown_by_repr() -> None:
    assert "hunter2" not in repr(secrets.Kept(1, "hunter2", "hunter2"))


def test_another_key_company_connection_or_a_changed_file_does_not_open(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    store(folder, key=KEY).write("books", "tokens", "hunter2")
    file = folder / "books.tokens.secret"
    with pytest.raises(ConfigError, match="another key"):
        store(folder, key=OTHER).read("books", "tokens")
    with pytest.raises(ConfigError, match="belongs to another"):
        store(folder, key=KEY, company="Other").read("books", "tokens")
    (folder / "others.tokens.secret").write_bytes(file.read_bytes())
    with pytest.raises(ConfigError, match="belongs to another"):
        store(folder, key=KEY).read("others", "tokens")


@pytest.mark.parametrize("key", ["short", "!" * 44, base64.b64encode(b"x" * 31).decode()])
def test_a_key_of_the_wrong_length_is_named_not_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="TIEOUT_SECRET_KEY is not a key") as caught:
        store(tmp_path / "s", key=key).write("books", "tokens", "x")
    assert key not in str(caught.value)


def test_the_environment_key_leaves_no_key_on_disk(tmp_path: Path) -> None:
    store(tmp_path / "s", key=KEY).write("books", "tokens", "x")
    assert not (tmp_path / "s" / "key").exists()


def test_a_lost_key_is_said_so_and_no_new_one_is_made(tmp_path: Path) -> None:
    kept = store(tmp_path / "s")
    kept.write("books", "tokens", "x")
    (tmp_path / "s" / "key").unlink()
    with pytest.raises(ConfigError, match="is gone"):
        kept.read("books", "tokens")
    assert not (tmp_path / "s" / "key").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    kept = store(tmp_path / "s")
    kept.write("books", "tokens", "one")

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as m:
        m.setattr(os, "fsync", full)
        with pytest.raises(RetriableError, match="disk is full"):
            kept.write("books", "tokens", "two")
        with pytest.raises(RetriableError, match="disk is full"):
            kept.probe()
    found = kept.read("books", "tokens")
    assert found is not None
    assert found.current == "one"
    assert not [p for p in (tmp_path / "s").iterdir() if p.name.startswith(".") and p.name != ".gitignore"]


def test_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    kept = store(tmp_path / "s")
    kept.probe()
    assert {p.name for p in (tmp_path / "s").iterdir()} == {".gitignore"}


def _add_one(folder: Path, times: int) -> None:
    kept = store(folder, key=KEY)
    for _ in range(times):
        with kept.lock("books"):
            found = kept.read("books", "count")
            kept.write("books", "count", str(int(found.current) + 1 if found else 1))


def test_the_lock_orders_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_one, args=(tmp_path / "s", 10)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [w.exitcode for w in workers] == [0, 0, 0]
    found = store(tmp_path / "s", key=KEY).read("books", "count")
    assert found is not None
    assert (found.current, found.previous, found.generation) == ("30", "29", 30)


def test_a_lock_that_is_held_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    kept = store(tmp_path / "s")
    clock = iter(range(100))
    with kept.lock("books"):
        with kept.lock("others"):
            pass
        with (
            pytest.raises(LeaseHeldError, match="books"),
            kept.lock("books", wait=3, monotonic=lambda: next(clock), sleep=lambda _: None),
        ):
            raise AssertionError("two holders")
    with kept.lock("books", wait=0):
        pass


class _Memory:
    """A keyring that keeps; the interface of the `keyring` package."""

    priority = 5

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.entries.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.entries[service, name] = value

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[service, name]


def test_a_usable_keyring_is_preferred_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    ring = _Memory()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    kept = open_store(SecretsSettings(folder=tmp_path / "s"), company="Example")
    kept.write("books", "tokens", "one")
    kept.write("books", "tokens", "two")
    found = kept.read("books", "tokens")
    assert found is not None
    assert (found.current, found.previous) == ("two", "one")
    assert not (tmp_path / "s" / "books.tokens.secret").exists()
    assert resolve(SecretRef(keyring="tieout/Example/books/tokens"))
    kept.forget("books", "tokens")
    assert ring.entries == {}


class _Locked(_Memory):
    """A keyring that nobody unlocked, as a scheduled job finds it."""

    def get_password(self, service: str, name: str) -> str | None:
        from keyring.errors import KeyringLocked

        raise KeyringLocked(f"canary-1d7c of {service}/{name}")

    def set_password(self, service: str, name: str, value: str) -> None:
        from keyring.errors import PasswordSetError

        raise PasswordSetError(f"canary-1d7c {value}")


def test_a_keyring_that_is_locked_or_damaged_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anchors are signed with what lies there: a run that needs no sign-in goes on, and this is what it says."""
    keyring = pytest.importorskip("keyring")
    ring: Any = _Locked()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    kept = open_store(SecretsSettings(folder=tmp_path / "s"), company="Example")
    for use in (
        lambda: kept.read("books", "tokens"),
        lambda: kept.write("books", "tokens", "one"),
        lambda: resolve(SecretRef(keyring="books/password")),
    ):
        with pytest.raises(ConfigError, match="keyring of the system cannot be used") as told:
            use()
        assert "canary" not in f"{told.value}{told.value.hint}"
        assert told.value.__cause__ is None
    ring = _Memory()
    kept = open_store(SecretsSettings(folder=tmp_path / "s"), company="Example")
    kept.write("books", "tokens", "one")
    for damaged in ("canary-1d7c", "[]", '{"current": "canary-1d7c"}'):
        ring.entries = dict.fromkeys(ring.entries, damaged)
        with pytest.raises(ConfigError, match="damaged") as told:
            kept.read("books", "tokens")
        assert "canary" not in str(told.value)


def test_without_a_keyring_a_file_serves_unless_the_keyring_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backends import fail

    backend: Any = fail.Keyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    open_store(SecretsSettings(folder=tmp_path / "s"), company="Example").write("books", "tokens", "one")
    assert (tmp_path / "s" / "books.tokens.secret").exists()
    with pytest.raises(ConfigError, match="no keyring"):
        open_store(SecretsSettings(store="keyring", folder=tmp_path / "s"), company="Example")
    with pytest.raises(ConfigError, match="cannot be used"):
        resolve(SecretRef(keyring="service/name"))
