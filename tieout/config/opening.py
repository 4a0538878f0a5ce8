"""From settings to live things: a connection by name, with its secrets looked up at the last moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tieout.config.secrets import SecretStore, open_store, resolve
from tieout.config.settings import SecretRef, Settings
from tieout.connectors import Connector, opener
from tieout.errors import ConfigError

Clock = Callable[[], datetime]


def secret_store(settings: Settings) -> SecretStore:
    """Where the sign-ins of this configuration are kept."""
    return open_store(settings.secrets, company=settings.company.name)


def options_of(settings: Settings, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The plain settings of a connection, and its secrets, looked up. Raises ConfigError for one that is not there."""
    plain: dict[str, Any] = {}
    secret: dict[str, str] = {}
    connection = settings.connection(name)
    problems: list[str] = []
    for key, value in connection.options.items():
        if not isinstance(value, SecretRef):
            plain[key] = value
            continue
        try:
            secret[key] = resolve(value)
        except ConfigError as error:
            problems.append(f"{key}: {error.message}")
    if problems:
        raise ConfigError(
            f"connection {name} lacks secrets", problems=tuple(problems), hint="provide them, then: tieout check"
        )
    if connection.kind == "tabular":
        plain.setdefault("company", settings.company.name)
    return plain, secret


def open_connection(
    settings: Settings, name: str, *, clock: Clock, extra: Mapping[str, Any] | None = None
) -> Connector:
    """The connector of a connection, ready to read. Raises ConfigError; nothing is sent yet."""
    plain, secret = options_of(settings, name)
    return opener(settings.connection(name).kind)(name, settings=plain, secrets=secret, clock=clock, **(extra or {}))


def state_url(settings: Settings) -> str:
    """The address of the state database, looked up if it is a reference."""
    return resolve(settings.state.url)
