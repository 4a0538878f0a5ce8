"""From settings to live things: a connection by name, with its secrets looked up at the last moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from inspect import signature
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from tieout.compare import Checks, Rounding
from tieout.config.secrets import SecretStore, open_store, resolve
from tieout.config.settings import SecretRef, Settings, checked_state_url, sqlite_from
from tieout.connectors import Connector, opener
from tieout.connectors.redact import secret as known
from tieout.errors import ConfigError
from tieout.model import Entity
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair
from tieout.sync.guard import Limits

Clock = Callable[[], datetime]


def secret_store(settings: Settings) -> SecretStore:
    """Where the sign-ins of this configuration are kept."""
    return open_store(settings.secrets, company=settings.company.name, was=settings.company.was)


def options_of(settings: Settings, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The plain settings of a connection, and its secrets, looked up. Raises ConfigError for one that is not there."""
    plain: dict[str, Any] = {}
    secret: dict[str, str] = {}
    connection = settings.connection(name)
    problems: list[str] = []
    hints: list[str] = []
    for key, value in connection.options.items():
        if not isinstance(value, SecretRef):
            plain[key] = value
            continue
        try:
            secret[key] = resolve(value, withhold=settings.secret_variables)
        except ConfigError as error:
            problems.append(f"{key}: {error.message}")
            hints += [error.hint] if error.hint else []
    if problems:
        raise ConfigError(
            f"connection {name} lacks secrets", problems=tuple(problems), hint="; ".join([*hints, "then: tieout check"])
        )
    if connection.kind == "tabular":
        plain.setdefault("company", settings.company.was or settings.company.name)
    return plain, secret


def open_connection(
    settings: Settings, name: str, *, clock: Clock, tell: Callable[[str], None] | None = None, **more: Any
) -> Connector:
    """The connector of a connection, ready to read. Raises ConfigError; nothing is sent yet.

    An opener that takes a `store` gets the one of sign-ins; `more` is handed to the opener as it is.
    tell: is told before the connector waits for its system, how long
    """
    plain, secret = options_of(settings, name)
    open_one = opener(settings.connection(name).kind)
    takes = signature(open_one).parameters
    if tell is not None and "sleep" in takes:
        from tieout.connectors.http import telling  # noqa: PLC0415  slow to import, and most connectors need none

        more = {"sleep": telling(tell, name)} | more
    if "store" in takes:
        more = {"store": secret_store(settings)} | more
    return open_one(name, settings=plain, secrets=secret, clock=clock, **more)


def state_url(settings: Settings) -> str:
    """The address of the state database, looked up if it is a reference; a file starts at the folder of tieout.toml.

    Raises ConfigError for one that is none, or keeps nothing.
    """
    url = resolve(settings.state.url, withhold=settings.secret_variables)
    if isinstance(settings.state.url, SecretRef):
        try:
            checked_state_url(url)
        except ValueError as error:  # from None: it may hold a password
            raise ConfigError(f"[state] url: {settings.state.url} {error}", hint="mend it where it is set") from None
        if url.startswith("sqlite:"):
            url = sqlite_from(settings.path.resolve().parent, url)
    with contextlib.suppress(ValueError):  # what is no address is refused where it is opened
        known(unquote(urlsplit(url).password or ""))
    return url


def to_pair(settings: Settings, name: str) -> Pair:
    """The pair of that name as plain data for the engine. Raises ConfigError for an unknown one."""
    pair = settings.pair(name)
    limits = pair.limits
    return Pair(
        name=name,
        left=pair.left,
        right=pair.right,
        mode=pair.mode,
        cutover=pair.cutover,
        linked_owner=pair.linked_owner,
        was=pair.was,
        flows={Entity(entity): flow for entity, flow in pair.flows.items()},
        policy={(Entity(e), field): owner for (e, field), owner in pair.policy.items() if owner != "origin"},
        codes=Codes(**pair.codes),
        limits=Limits(
            creates=limits.creates,
            create_share=limits.creates_percent / 100,
            voids=limits.voids,
            void_share=limits.voids_percent / 100,
            same_field=limits.same_field,
            same_field_share=limits.same_field_percent / 100,
            money=dict(limits.money),
        ),
        stated_settlements=pair.stated_settlements,
        acknowledged_within=timedelta(days=pair.acknowledged_within_days),
        unattended=frozenset(pair.unattended),
        rounding=Rounding(pair.rounding.per_document, pair.rounding.total) if pair.rounding else None,
        checks=Checks(
            unique_numbers=frozenset(pair.checks.unique_numbers),
            gapless_numbers=frozenset(pair.checks.gapless_numbers),
            negative_balances=pair.checks.negative_balances,
            unused_credit_days=pair.checks.unused_credit_days,
        ),
        stale_after=_days(pair.checks.stale_after_days),
        aged_after=_days(pair.checks.aged_after_days),
        as_of=pair.as_of,
    )


def _days(said: int | Literal["never"]) -> timedelta | None:
    return None if said == "never" else timedelta(days=said)
