"""Where secrets are: looked up by reference, or kept by `tieout connect` in a keyring or an encrypted file.

A kept secret has two generations, so that a rotated sign-in whose first use fails can fall back to the one before.
Values never appear in a repr, a log line or an error.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

from tieout.config.settings import SecretRef, SecretsSettings
from tieout.connectors.redact import secret as known
from tieout.errors import ConfigError, LeaseHeldError, RetriableError, TieoutError

KEY_VARIABLE = "TIEOUT_SECRET_KEY"
EVIDENCE = "evidence"  # whose name the signing key is kept under, beside those of connections
_SERVICE = "tieout"
_COMMAND_SECONDS = 30
_NEW_KEY = "make a key with: head -c 32 /dev/urandom | base64"


def resolve(
    reference: str | SecretRef, *, environ: Mapping[str, str] | None = None, withhold: Collection[str] = ()
) -> str:
    """The value a reference stands for; plain text as it is. Raises ConfigError, which never holds the value.

    withhold: variables that a command which prints the secret does not get, beside the key of the sign-ins
    """
    if isinstance(reference, str):
        return reference
    value = _looked_up(reference, environ, {KEY_VARIABLE, *withhold})
    known(value)
    return value


@contextlib.contextmanager
def withheld(names: Collection[str] = ()) -> Iterator[None]:
    """Have programs that are started meanwhile not inherit these variables, nor the key of the sign-ins.

    What is in the environment of a process can be read by every program of its user, and stands in its core dumps.
    """
    kept = {name: os.environ.pop(name) for name in {KEY_VARIABLE, *names} if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _looked_up(reference: SecretRef, environ: Mapping[str, str] | None, withhold: Collection[str]) -> str:
    if reference.env is not None:
        value = (os.environ if environ is None else environ).get(reference.env, "")
        if not value:
            raise ConfigError(f"environment variable {reference.env} is not set", hint=f"export {reference.env}=…")
        return value
    if reference.command is not None:
        return _printed(reference.command, withhold)
    service, _, name = (reference.keyring or "").partition("/")
    backend = _keyring()
    value = ""
    if backend is not None:
        with _unlocked('name another place of the secret: { env = "NAME" } or { command = ["…"] }'):
            value = backend.get_password(service, name) or ""
    if not value:
        why = "holds no such entry" if backend else "of this system cannot be used"
        raise ConfigError(f"the keyring {why}: {reference.keyring}", hint=f"keyring set {service} {name}")
    return value


def _printed(command: tuple[str, ...], withhold: Collection[str]) -> str:
    env = {name: value for name, value in os.environ.items() if name not in withhold}
    try:
        ran = subprocess.run(command, capture_output=True, timeout=_COMMAND_SECONDS, check=False, env=env)  # noqa: S603  configured
    except OSError as error:
        raise ConfigError(
            f"secret command {command[0]} cannot be run: {error.strerror}", hint="check its path and its permissions"
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"secret command {command[0]} gave no answer in {_COMMAND_SECONDS} s",
            hint="run it by hand: it may ask for something",
        ) from None
    value = ran.stdout.decode("utf-8", errors="replace").strip("\r\n")
    if ran.returncode or not value:
        raise ConfigError(
            f"secret command {command[0]} printed no secret (exit code {ran.returncode})", hint="run it by hand"
        )
    return value


def _keyring() -> Any:
    """The keyring of the system, or None where there is none that keeps anything."""
    try:
        import keyring  # noqa: PLC0415  optional, and slow to load
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        return None
    backend = keyring.get_keyring()
    try:
        usable = backend.priority > 0
    except (KeyringError, RuntimeError):
        usable = False
    return backend if usable and not type(backend).__module__.endswith(("fail", "null")) else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept secret. generation: counts from 1 · previous: the value before, None at first"""

    generation: int
    current: str = field(repr=False)
    previous: str | None = field(repr=False)


class _Backend(Protocol):
    def get(self, connection: str, name: str) -> str | None: ...
    def set(self, connection: str, name: str, text: str | None) -> None: ...


class SecretStore:
    """Secrets by (connection, name). Writes are durable when they return; `lock` orders processes and threads."""

    def __init__(self, folder: Path, backend: _Backend) -> None:
        self.folder = folder
        self._backend = backend

    def __repr__(self) -> str:
        return f"SecretStore({str(self.folder)!r}, {type(self._backend).__name__.strip('_')})"

    def read(self, connection: str, name: str) -> Kept | None:
        """What is kept under that name; None if nothing is."""
        text = self._backend.get(connection, name)
        if text is None:
            return None
        try:
            found = json.loads(text)
            generation, current, previous = found["generation"], found["current"], found["previous"]
        except (ValueError, KeyError, TypeError, RecursionError):  # from None: the cause repeats what is kept
            raise ConfigError(
                f"what is kept of {connection} is damaged ({name})", hint="restore it from a backup"
            ) from None
        if type(generation) is not int or not isinstance(current, str) or not isinstance(previous, str | None):
            raise ConfigError(f"what is kept of {connection} is damaged ({name})", hint="restore it from a backup")
        return Kept(generation, current, previous)

    def write(self, connection: str, name: str, value: str) -> Kept:
        """Keep a new value; the one before becomes `previous`. On any failure the old ones stay as they were."""
        old = self.read(connection, name)
        if old is not None and old.current == value:
            return old
        new = Kept((old.generation if old else 0) + 1, value, old.current if old else None)
        kept = {"generation": new.generation, "current": new.current, "previous": new.previous}
        self._backend.set(connection, name, json.dumps(kept))
        return new

    def forget(self, connection: str, name: str) -> None:
        """Remove all generations; nothing happens if there are none."""
        self._backend.set(connection, name, None)

    def probe(self) -> None:
        """Prove that a write would succeed now, before a sign-in is rotated. Raises as `write` does."""
        _private_folder(self.folder)
        path = self.folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            _replace(path, b"\0" * 16384)
            path.unlink()
        except ConfigError as error:
            raise ConfigError(
                f"the folder of sign-ins {self.folder} cannot be written to, and a sign-in is renewed into it",
                hint="give this user write access",
            ) from error

    @contextlib.contextmanager
    def lock(
        self,
        connection: str,
        *,
        wait: float = 60,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[None]:
        """Hold the connection's secrets alone, across processes. Raises LeaseHeldError after `wait` seconds."""
        _private_folder(self.folder)
        with _files():
            held = os.open(self.folder / f"{connection}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            until = monotonic() + wait
            while not _locked(held):
                if monotonic() >= until:
                    raise LeaseHeldError(
                        f"another process holds the sign-in of {connection}", hint="run again when it is done"
                    )
                sleep(0.05)
            yield
        finally:
            os.close(held)


def open_store(
    settings: SecretsSettings, *, company: str, was: str | None = None, environ: Mapping[str, str] | None = None
) -> SecretStore:
    """The store that the settings name. `company` binds what is kept to that company's configuration.

    was: the company's name before; what was kept under it is read, and written under the new one
    """
    names = (company, was) if was else (company,)
    backend = _keyring() if settings.store in {"auto", "keyring"} else None
    if settings.store == "keyring" and backend is None:
        raise ConfigError(
            "[secrets] store = keyring, but this system has no keyring that tieout can use",
            hint='pip install "tieout[keyring]", or set store = "file"',
        )
    if backend is not None:
        return SecretStore(settings.folder, _KeyringBackend(backend, names))
    return SecretStore(settings.folder, _FileBackend(settings.folder, settings.key_file, names, environ))


class _KeyringBackend:
    """companies: the name of the company, then the one that it had before"""

    def __init__(self, keyring: Any, companies: tuple[str, ...]) -> None:
        self._keyring = keyring
        self._companies = companies

    def _entries(self, connection: str, name: str) -> list[str]:
        return [f"{company}/{connection}/{name}" for company in self._companies]

    def get(self, connection: str, name: str) -> str | None:
        with _unlocked():
            for entry in self._entries(connection, name):
                found = self._keyring.get_password(_SERVICE, entry)
                if found is not None:
                    return str(found)
        return None

    def set(self, connection: str, name: str, text: str | None) -> None:
        entries = self._entries(connection, name)
        with _unlocked():
            if text is not None:
                self._keyring.set_password(_SERVICE, entries[0], text)
                return
            for entry in entries:
                if self._keyring.get_password(_SERVICE, entry) is not None:
                    self._keyring.delete_password(_SERVICE, entry)


@contextlib.contextmanager
def _unlocked(instead: str = 'set [secrets] store = "file", and sign in again') -> Iterator[None]:
    """Turn what the keyring refuses into what to do about it; what it says may repeat a secret, and is not told.

    instead: what to do for a job that nobody watches
    """
    from keyring.errors import KeyringError  # noqa: PLC0415  optional, and slow to load

    try:
        yield
    except KeyringError as error:
        raise ConfigError(
            f"the keyring of the system cannot be used ({type(error).__name__})",
            hint=f"unlock it; for a job that nobody watches {instead}",
        ) from None


class _FileBackend:
    """One AES-256-GCM file per secret, mode 0600 in a folder 0700, replaced as a whole.

    Company, connection and name are authenticated, so that a file cannot be passed off as another's.
    """

    def __init__(
        self, folder: Path, key_file: Path | None, companies: tuple[str, ...], environ: Mapping[str, str] | None
    ) -> None:
        self._folder = folder
        self._key_file = key_file
        self._companies = companies
        self._environ = os.environ if environ is None else environ

    def get(self, connection: str, name: str) -> str | None:
        path = self._path(connection, name)
        with _files():
            if not path.exists():
                return None
            content = path.read_bytes()
            key = self._key(make=False)
        anew = f"remove {quote(str(self._folder))}/{connection}.*.secret, then: tieout connect {connection}"
        if connection == EVIDENCE:  # what it signed can be verified with its public key only
            anew = f"remove {quote(str(path))}, and name another file in [evidence] anchors"
        try:
            sealed = json.loads(content)
            sealed_with, nonce, text = (
                sealed["key_id"], base64.b64decode(sealed["nonce"]), base64.b64decode(sealed["ciphertext"])
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"{path} is damaged", hint=f"restore it from a backup, or {anew}") from None
        if sealed_with != _key_id(key):
            raise ConfigError(f"{path} was encrypted with another key", hint=f"give back the old key, or {anew}")
        for company in self._companies:
            if (opened := _opened(key, nonce, text, _bound(company, connection, name))) is not None:
                return opened.decode()
        raise ConfigError(
            f"{path} was changed, or belongs to another connection or company than {self._companies[0]!r}",
            hint='if [company] name was changed, say there what it was: was = "OLD NAME"; if the folder is another '
            f"company's, name one of your own in [secrets] folder; else restore the file from a backup, or {anew}",
        )

    def set(self, connection: str, name: str, text: str | None) -> None:
        path = self._path(connection, name)
        if text is None:
            with _files():
                path.unlink(missing_ok=True)
            return
        _private_folder(self._folder)
        with _files():
            key = self._key(make=True)
        nonce = secrets.token_bytes(12)
        sealed = {
            "key_id": _key_id(key),
            "nonce": base64.b64encode(nonce).decode(),
            "ciphertext": base64.b64encode(
                _cipher(key).encrypt(nonce, text.encode(), _bound(self._companies[0], connection, name))
            ).decode(),
        }
        _replace(path, json.dumps(sealed).encode())

    def _path(self, connection: str, name: str) -> Path:
        return self._folder / f"{connection}.{name}.secret"

    def _key(self, *, make: bool) -> bytes:
        if said := self._environ.get(KEY_VARIABLE):
            return _decoded(said, KEY_VARIABLE)
        path = self._key_file or self._folder / "key"
        if not path.exists():
            if not make:
                raise ConfigError(
                    f"the key of the secret store is gone: {path}",
                    hint=f"give it back, or set {KEY_VARIABLE}; if it is lost, remove "
                    f"{quote(str(self._folder))}/*.secret, make a key and sign in again: tieout connect NAME",
                )
            if self._key_file:
                raise ConfigError(f"there is no key file {path}", hint=_NEW_KEY)
            _replace(path, base64.b64encode(secrets.token_bytes(32)) + b"\n")
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others", hint=f"chmod 600 {quote(str(path))}")
        return _decoded(path.read_text(encoding="ascii", errors="replace"), str(path))


def _bound(company: str, connection: str, name: str) -> bytes:
    return json.dumps(["tieout", 1, company, connection, name]).encode()


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  slow to load

    return AESGCM(key)


def _opened(key: bytes, nonce: bytes, text: bytes, bound: bytes) -> bytes | None:
    """What was sealed with the key and bound so; None for anything else."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  slow to load

    try:
        opened: bytes = _cipher(key).decrypt(nonce, text, bound)
    except (InvalidTag, ValueError):  # a ValueError of a nonce that is too short, or too long
        return None
    return opened


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"{where} is not a key of 32 bytes in base64", hint=_NEW_KEY)
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"tieout key id" + key).hexdigest()[:16]


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private_folder(folder: Path) -> None:
    """Make the folder for its owner only, with a .gitignore; refuse one that others can enter."""
    with _files():
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            (folder / ".gitignore").write_text("*\n", encoding="ascii")
        elif folder.stat().st_mode & 0o077:
            raise ConfigError(f"{folder} can be read by others", hint=f"chmod 700 {quote(str(folder))}")


def _replace(path: Path, content: bytes) -> None:
    """Write the whole file or nothing, durable on return."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _files():
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _files() -> Iterator[None]:
    """Turn what the file system refuses into what to do about it."""
    try:
        yield
    except TieoutError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise RetriableError(
                f"the disk is full, so {error.filename or 'the secret store'} was left as it was", hint="make room"
            ) from None
        raise ConfigError(f"{error.filename or 'the secret store'}: {error.strerror}", hint="check its owner") from None
