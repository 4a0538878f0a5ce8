"""What evidence needs of a configuration: the signing key, the journals, and the settings themselves, no secret."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tieout.config.opening import secret_store
from tieout.config.reading import holds_secret, is_secret
from tieout.config.secrets import EVIDENCE
from tieout.config.settings import SecretRef, Settings
from tieout.connectors.redact import secret as known
from tieout.evidence.anchoring import Anchors
from tieout.evidence.keys import Signer, signer

_NAME = "signing-key"
_WITHHELD = "(withheld)"
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^/?#]*@)?"
    r"(?P<host>(?:\[[0-9a-f:.%]+\])?[^/?#@\[\]]*)(?P<path>(?:/[^?#@]*)?)(?P<more>(?:[?#@].*)?)",
    re.IGNORECASE | re.DOTALL,
)


def signing_key(settings: Settings) -> Signer:
    """The key that signs anchors and packs, made when it is first asked for; it is kept with the sign-ins."""
    store = secret_store(settings)
    kept = store.read(EVIDENCE, _NAME)
    if kept is None:
        with store.lock(EVIDENCE):
            kept = store.read(EVIDENCE, _NAME) or store.write(
                EVIDENCE, _NAME, base64.b64encode(secrets.token_bytes(32)).decode()
            )
    known(kept.current)
    return signer(kept.current)


def has_signing_key(settings: Settings) -> bool:
    """Whether there is one already; if not, it is proved that one could be kept. Raises as `signing_key`."""
    store = secret_store(settings)
    if store.read(EVIDENCE, _NAME) is not None:
        return True
    store.probe()
    return False


def anchors_of(settings: Settings, *, log: Callable[[str], None] | None = None) -> Anchors:
    """Where this configuration anchors. log: what prints a line, used if [evidence] log is set"""
    return Anchors(signing_key(settings), settings.evidence.anchors, log if settings.evidence.log else None)


def told(settings: Settings) -> dict[str, Any]:
    """The whole configuration as plain data, secrets and passwords in addresses left out."""
    found: dict[str, Any] = _plain(settings.model_dump(), settings.path.resolve().parent)
    return found


def _plain(value: Any, base: Path) -> Any:
    match value:
        case SecretRef():
            return f"(secret: {value})"
        case BaseModel():
            return _plain(value.model_dump(), base)
        case {"env": _, "command": _, "keyring": _}:  # a reference, dumped
            return f"(secret: {SecretRef(**value)})"
        case Mapping():
            return {_key(k): _WITHHELD if _is_named(k, v) else _plain(v, base) for k, v in value.items()}
        case Path():
            return str(value.relative_to(base)) if value.is_relative_to(base) else str(value)
        case str():
            return without_userinfo(value)
        case tuple() | list() | set() | frozenset():
            return [_plain(v, base) for v in value]
        case None | bool() | int():
            return value
        case _:
            return str(value)


def _is_named(key: Any, value: Any) -> bool:
    """Whether a value is a secret by its name; in a table each key says so for itself, and a reference may be told."""
    return not isinstance(value, Mapping | SecretRef) and is_secret(str(key))


def _key(key: Any) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)


def without_userinfo(text: str) -> str:
    """An address without user, password and query, which may hold secrets; any other text that holds none as it is."""
    address = _ADDRESS.fullmatch(text)
    plain = address["scheme"] + address["host"] + address["path"] if address else text
    # An @ behind the host may belong to a password with a slash or a question mark in it.
    unsure = "@" in address["more"] if address else "://" in text
    return _WITHHELD if unsure or holds_secret(plain) else plain
