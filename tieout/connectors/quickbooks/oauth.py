"""Signing in to QuickBooks: the redirect, the exchange, and access tokens that stay fresh.

Intuit changes the refresh token about once a day, and whoever loses the new value must sign in again. So a new value
is written durably to a rescue entry first, then to the token entry, and only then used. One refresh happens at a time
across processes; nothing is ever deleted on failure, and the value before the last one is kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from tieout.connectors.http import Answer, Lost, Transport, checked_url
from tieout.connectors.pinned import Barred, Unsent
from tieout.connectors.quickbooks.landing import REDIRECT_URI, Landing
from tieout.connectors.quickbooks.watch import Watch
from tieout.connectors.reach import Reach, near
from tieout.connectors.redact import redact
from tieout.errors import AuthError, ConfigError, RefusedError, RetriableError, SignInRequired

log = logging.getLogger("tieout.quickbooks")

Clock = Callable[[], datetime]
TOKENS, RESCUE = "tokens", "tokens.rescue"
FRESH = timedelta(minutes=15)  # less than this left of an hour: renew
SCOPE = "com.intuit.quickbooks.accounting"
AUTHORIZE_URL = "https://appcenter.intuit.com/connect/oauth2"
TOKEN_URL = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105  an address
IDLE_DAYS = 100
_OWN = "intuit.com"  # addresses that a discovery document names are there, or where it is itself
_LONGEST = 10**9  # seconds; more is no life of a token that a clock can add


class Kept(Protocol):
    """What a store holds under one name. `previous` is the value before `current`."""

    @property
    def current(self) -> str: ...
    @property
    def previous(self) -> str | None: ...


class TokenStore(Protocol):
    """Where sign-ins are kept: encrypted, durable when `write` returns, locked across processes by `lock`."""

    def read(self, connection: str, name: str) -> Kept | None: ...
    def write(self, connection: str, name: str, value: str) -> object: ...
    def probe(self) -> None: ...
    def lock(self, connection: str) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """A sign-in to one company. serial: counts refreshes · times are UTC"""

    realm: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_until: datetime
    refresh_until: datetime
    obtained: datetime
    serial: int = 1

    def as_text(self) -> str:
        data = asdict(self)
        return json.dumps({k: v.isoformat() if isinstance(v, datetime) else v for k, v in data.items()})

    @classmethod
    def from_text(cls, text: str) -> Tokens:
        """Raises ValueError, which repeats nothing of the text, for one that `as_text` does not write."""
        try:
            data = json.loads(text)
            times = {k: datetime.fromisoformat(data[k]) for k in ("access_until", "refresh_until", "obtained")}
            made = cls(**{**data, **times})
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError("no sign-in") from None
        words = all(isinstance(word, str) for word in (made.realm, made.access, made.refresh))
        if not words or type(made.serial) is not int or any(t.tzinfo is None for t in times.values()):
            raise ValueError("no sign-in")
        return made


@dataclass(frozen=True, slots=True)
class App:
    """Our registration with Intuit, and where it is used."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str = TOKEN_URL
    authorize_url: str = AUTHORIZE_URL

    @property
    def basic(self) -> str:
        return "Basic " + b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()


def app_of(settings: Mapping[str, Any], secret: Mapping[str, str], transport: Transport, *, sign_in: bool) -> App:
    """The registration that the settings name. sign_in: the consent page is needed too. Raises ConfigError.

    A discovery document, if one is configured, gives the addresses that are not configured themselves.
    """
    given = {**settings, **secret}
    missing = [key for key in ("client_id", "client_secret") if not given.get(key)]
    if missing:
        raise ConfigError("the connection lacks secrets", problems=tuple(f"{key} is not given" for key in missing))
    token_url, authorize_url = settings.get("token_url"), AUTHORIZE_URL
    if settings.get("discovery_url") and (sign_in or not token_url):
        found = _discovered(str(settings["discovery_url"]), transport)
        token_url = token_url or found["token_endpoint"]
        authorize_url = found["authorization_endpoint"]
    return App(
        given["client_id"],
        given["client_secret"],
        checked_url(token_url or TOKEN_URL, "token_url"),
        checked_url(authorize_url, "the consent page"),
    )


def _discovered(url: str, transport: Transport) -> dict[str, str]:
    try:
        answer = transport.send("GET", checked_url(url, "discovery_url"), headers={"Accept": "application/json"})
    except Barred as why:
        raise ConfigError(f"discovery_url: {why.why}", hint=why.hint) from None
    except (Unsent, Lost) as why:
        raise RetriableError(
            f"the discovery document cannot be read: {why}", hint="check the network, then run again; nothing was lost"
        ) from None
    found = _json(answer)
    if answer.status != 200 or not all(
        isinstance(found.get(key), str) for key in ("token_endpoint", "authorization_endpoint")
    ):
        what = answer.elsewhere or f"HTTP {answer.status}"
        raise ConfigError(f"no discovery document at {redact(url)}: {what}", hint="check discovery_url")
    for key in ("token_endpoint", "authorization_endpoint"):
        if not near(checked_url(found[key], f"{key} of the discovery document"), url, _OWN):
            raise ConfigError(
                f"the discovery document at {redact(url)} names another host as {key}: {redact(found[key])}",
                hint="the app's secret is not sent there; check discovery_url, or set token_url",
            )
    return found


def _json(answer: Answer) -> dict[str, Any]:
    try:
        parsed = json.loads(answer.text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


class _Refused(Exception):
    """Intuit refused a grant. `error` is OAuth's word for it."""

    def __init__(self, error: str, status: int) -> None:
        super().__init__(error)
        self.error, self.status = error, status


def _request(app: App, transport: Transport, form: Mapping[str, str]) -> dict[str, Any]:
    """The token endpoint's answer. Raises _Refused for a definite no, RetriableError for anything else."""
    headers = {
        "Authorization": app.basic,
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "x-include-refresh-token-hard-expires-in": "true",
    }
    try:
        answer = transport.send("POST", app.token_url, headers=headers, body=urlencode(form).encode())
    except Barred as why:
        raise ConfigError(f"token_url: {why.why}", hint=why.hint) from None
    except (Unsent, Lost) as why:
        raise RetriableError(f"Intuit's token service: {why}", hint="run again later") from None
    found = _json(answer)
    if answer.elsewhere:
        raise ConfigError(f"Intuit's token service answers with {answer.elsewhere}", hint="check token_url")
    if answer.status in (400, 401, 403):
        said = redact(str(found.get("error") or ""), 60).strip()
        raise _Refused(said or f"HTTP {answer.status}", answer.status)
    if answer.status != 200 or not all(_is_token(found.get(k)) for k in ("access_token", "refresh_token")):
        raise RetriableError(f"Intuit's token service answered HTTP {answer.status}", hint="run again later")
    return found


def _is_token(value: object) -> bool:
    """Whether it can be one: what a header carries, without spaces (RFC 6750)."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value) and " " not in value


def _tokens(found: Mapping[str, Any], realm: str, serial: int, now: datetime) -> Tokens:
    """The sign-in of an answer. It ends when it was idle for too long or, whatever is done, at its hard limit."""

    def seconds(key: str, otherwise: int) -> timedelta:
        value = found.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            value = otherwise
        return timedelta(seconds=min(value, _LONGEST))

    idle = seconds("x_refresh_token_expires_in", IDLE_DAYS * 86400)
    hard = seconds("x_refresh_token_hard_expires_in", int(idle.total_seconds()))
    return Tokens(
        realm=realm,
        access=found["access_token"],
        refresh=found["refresh_token"],
        access_until=now + seconds("expires_in", 3600),
        refresh_until=now + min(idle, hard),
        obtained=now,
        serial=serial,
    )


class TokenManager:
    """Access tokens of one connection, renewed when due. Thread-safe; processes are ordered by the store's lock."""

    def __init__(
        self,
        connection: str,
        *,
        company_id: str,
        app: Callable[[], App],
        store: TokenStore,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._connection, self._company = connection, company_id
        self._app, self._store = app, store
        self._transport, self._clock = transport, clock
        self._watch = Watch(connection, store, clock)
        self._held: Tokens | None = None
        self._unkept: Tokens | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenManager({self._connection!r})"

    def access(self, refused: str | None = None) -> str:
        """An access token. refused: one that Intuit just refused; another is given.

        Raises SignInRequired, AuthError (wrong client or company), or RetriableError where a later run may succeed.
        """
        with self._lock:
            if self._held and self._usable(self._held, refused, FRESH):
                return self._held.access
            with self._store.lock(self._connection):
                held = self._adopted()
                if not self._usable(held, refused, FRESH):
                    held = self._renewed(held, refused)
                self._watch.warn(held)
            self._held = held
            return held.access

    def signed_in(self) -> Tokens:
        """The sign-in as kept, without using it. Raises SignInRequired if there is none."""
        with self._lock:
            return self._newest()

    def _usable(self, tokens: Tokens, refused: str | None, left: timedelta) -> bool:
        life = tokens.access_until - tokens.obtained
        return tokens.access != refused and tokens.access_until - self._clock() > min(left, life / 4)

    def _known(self) -> list[Tokens]:
        """Every sign-in that is kept, newest first: rescued, current, previous."""
        found: list[Tokens] = []
        for name in (RESCUE, TOKENS):
            kept = self._store.read(self._connection, name)
            texts = (kept.current, kept.previous) if kept else ()
            found.extend(self._read(text) for text in texts if text)
        if self._unkept:
            found.append(self._unkept)
        return sorted(found, key=lambda t: (t.serial, t.obtained), reverse=True)

    def _read(self, text: str) -> Tokens:
        try:
            return Tokens.from_text(text)
        except ValueError:
            raise self._sign_in("has a sign-in that is damaged") from None

    def _newest(self) -> Tokens:
        known = self._known()
        if not known:
            raise self._sign_in("is not signed in")
        return known[0]

    def _adopted(self) -> Tokens:
        """The newest sign-in; one that only the rescue entry holds is moved to where it belongs."""
        newest = self._newest()
        if newest.realm != self._company:
            raise AuthError(
                f"connection {self._connection} is signed in to company {redact(newest.realm, 40)}, "
                f"not to {self._company}",
                hint=f"mend company_id, or: tieout connect {self._connection}",
            )
        kept = self._store.read(self._connection, TOKENS)
        if kept is None or self._read(kept.current).serial < newest.serial:
            log.warning("connection %s: a renewed sign-in was rescued", self._connection)
            self._keep(newest)
        return newest

    def _renewed(self, held: Tokens, refused: str | None) -> Tokens:
        """Ask for a new sign-in; the old one goes on as long as it works if that fails for now."""
        try:
            self._store.probe()
            return self._asked(held)
        except RetriableError as why:
            if self._usable(held, refused, timedelta(seconds=30)):
                log.warning("connection %s: sign-in not renewed yet: %s", self._connection, why.message)
                return held
            raise

    def _asked(self, held: Tokens) -> Tokens:
        """A new sign-in. One that Intuit refused is parked: the next runs do not ask, only once a day."""
        since = self._watch.parked(self._newest())
        if since is not None:
            raise self._sign_in(f"is signed out since {since:%Y-%m-%d %H:%M} UTC", told=True)
        tried: set[str] = set()
        app = self._app()
        while True:
            others = [t for t in self._known() if t.refresh not in tried]  # read again: another may have renewed it
            if not others:
                self._watch.park(self._newest())
                raise self._sign_in("was signed out, or its sign-in expired")
            tried.add(others[0].refresh)
            form = {"grant_type": "refresh_token", "refresh_token": others[0].refresh}
            try:
                found = _request(app, self._transport, form)
            except _Refused as why:
                if why.error != "invalid_grant":
                    raise AuthError(
                        f"connection {self._connection}: Intuit refuses our app ({why.error})",
                        hint="check client_id and client_secret",
                    ) from None
                log.warning("connection %s: a refresh token was refused", self._connection)
                continue
            new = _tokens(found, held.realm, max(t.serial for t in self._known()) + 1, self._clock())
            self._keep(new)
            return new

    def _keep(self, tokens: Tokens) -> None:
        """Rescue entry first, token entry second; both durable. What cannot be kept stays in memory for next time."""
        self._unkept = tokens
        self._store.write(self._connection, RESCUE, tokens.as_text())
        self._store.write(self._connection, TOKENS, tokens.as_text())
        self._unkept = None

    def _sign_in(self, why: str, *, told: bool = False) -> SignInRequired:
        hint = f"sign in: tieout connect {self._connection}"
        return SignInRequired(f"connection {self._connection} {why}", hint=hint, told=told)


def store_tokens(connection: str, tokens: Tokens, store: TokenStore) -> None:
    """Keep a new sign-in, as the newest one there is."""
    with store.lock(connection):
        store.probe()
        newest = 0
        for name in (RESCUE, TOKENS):
            kept = store.read(connection, name)
            with contextlib.suppress(ValueError):  # a damaged one is what signing in anew mends
                newest = max(newest, Tokens.from_text(kept.current).serial if kept else 0)
        text = replace(tokens, serial=newest + 1).as_text()
        store.write(connection, RESCUE, text)
        store.write(connection, TOKENS, text)


def authorize(
    name: str,
    *,
    settings: Mapping[str, Any],
    secrets_: Mapping[str, str],
    store: TokenStore,
    open_browser: Callable[[str], object],
    say: Callable[[str], object] = print,
    clock: Clock = lambda: datetime.now(UTC),
    transport: Transport | None = None,
    seconds: float = 300,
) -> Tokens:
    """Sign in through the browser, and keep the sign-in. Returns the tokens.

    Waits at the redirect address, on this machine only. Raises AuthError for another company than the configured one,
    RefusedError when the person says no or does nothing within `seconds`.
    """
    transport = transport or Transport(reach=Reach(name))
    store.probe()
    app = app_of(settings, secrets_, transport, sign_in=True)
    redirect = str(settings.get("redirect_uri") or REDIRECT_URI)
    state = secrets.token_urlsafe(32)
    with Landing(redirect, state) as landing:
        query = {"client_id": app.client_id, "response_type": "code", "scope": SCOPE}
        url = f"{app.authorize_url}?{urlencode({**query, 'redirect_uri': landing.redirect_uri, 'state': state})}"
        say(f"Sign in to QuickBooks for connection {name}:\n  {url}")
        open_browser(url)
        found = landing.wait(seconds)
    if found.get("error"):
        said = redact(found["error"], 60).strip() or "refused"
        raise RefusedError(f"QuickBooks: {said}", hint=f"try again: tieout connect {name}")
    realm, wanted = found.get("realmId", ""), str(settings["company_id"])
    if realm != wanted:
        raise AuthError(
            f"signed in to company {redact(realm, 40)}, but connection {name} is for company {wanted}",
            hint="choose the other company on Intuit's page, or mend company_id",
        )
    form = {"grant_type": "authorization_code", "code": found.get("code", ""), "redirect_uri": landing.redirect_uri}
    try:
        answer = _request(app, transport, form)
    except _Refused as why:
        raise AuthError(f"Intuit refuses the sign-in ({why.error})", hint="check client_id and client_secret") from None
    tokens = _tokens(answer, realm, 1, clock())
    store_tokens(name, tokens, store)
    return tokens


__all__ = ["App", "TokenManager", "TokenStore", "Tokens", "app_of", "authorize", "store_tokens"]
