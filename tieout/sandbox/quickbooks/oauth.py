"""Intuit's OAuth 2.0 as far as a client sees it: discovery, consent, code exchange, refresh with rotation, revoke."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from . import schema
from .switches import Switches

ACCESS, REFRESH, HARD = 3600, 8640000, 157680000
ROTATION = GRACE = timedelta(hours=24)
CODE_LIFE = timedelta(minutes=10)
SCOPES = schema.words(
    "com.intuit.quickbooks.accounting com.intuit.quickbooks.payment openid profile email phone address"
)


class Denied(Exception):
    """An OAuth error: HTTP status, `error`, `error_description`."""

    def __init__(self, status: int, error: str, description: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error} | ({"error_description": description} if description else {})


@dataclass(slots=True)
class _Grant:
    """One connection of the app to the company: its current and its former refresh tokens."""

    refresh: str = field(repr=False)
    issued: datetime
    expires: datetime
    former: dict[str, datetime] = field(default_factory=dict, repr=False)


class Authority:
    """The authorization server of one app and one company. `clock` yields aware times.

    any_client: every client, company id and token is taken when first seen. A token that was rotated away, revoked
    or signed out stays refused.
    """

    def __init__(
        self,
        switches: Switches,
        clock: Callable[[], datetime],
        realm: str,
        client_id: str,
        client_secret: str,
        *,
        any_client: bool = False,
    ) -> None:
        self.switches, self.clock, self.realm = switches, clock, realm
        self.client_id, self.client_secret, self.any_client = client_id, client_secret, any_client
        self.redirect_uris: set[str] | None = None  # None: any
        self._codes: dict[str, tuple[str, datetime]] = {}
        self._access: dict[str, tuple[datetime, _Grant]] = {}
        self._grants: list[_Grant] = []
        self._ended: set[str] = set()  # tokens that worked once; any_client does not take them again

    # ---- what the tests and the command hold in hand

    def connect(self, refresh_token: str = "") -> str:
        """A refresh token as a finished consent would have given: the given one, else a new one."""
        grant = self._grant()
        grant.refresh = refresh_token or grant.refresh
        return grant.refresh

    def token(self) -> str:
        """A fresh access token."""
        return self._issue(self._grants[0] if self._grants else self._grant())

    def expire_access(self) -> None:
        """Every access token stops working now."""
        self._ended |= self._access.keys()
        self._access.clear()

    def revoke_all(self) -> None:
        """The user disconnects the app: no token works any more."""
        for grant in list(self._grants):
            self._end(grant)

    def known(self, token: str) -> bool:
        """Whether an access token works: issued (or taken from any client) and not expired."""
        if self.any_client and token and token not in self._access and token not in self._ended:
            self._keep(token, self._grant())
        held = self._access.get(token)
        return held is not None and held[0] > self.clock()

    def opens(self, realm: str) -> bool:
        """Whether the company has this id, or takes any."""
        return self.any_client or realm == self.realm

    # ---- endpoints

    def discovery(self, base: str) -> dict[str, Any]:
        return {
            "issuer": "https://oauth.platform.intuit.com/op/v1",
            "authorization_endpoint": f"{base}/connect/oauth2",
            "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{base}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": SCOPES,
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }

    def consent(self, query: Mapping[str, str]) -> str:
        """The consent page (HTML) of an authorize request. Raises Denied for a wrong one."""
        if not self.any_client and query.get("client_id") != self.client_id:
            raise Denied(400, "invalid_client")
        if query.get("response_type") != "code":
            raise Denied(400, "unsupported_response_type")
        if not query.get("redirect_uri") or (
            self.redirect_uris is not None and query["redirect_uri"] not in self.redirect_uris
        ):
            raise Denied(400, "invalid_request", "redirect_uri")
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(query.get(name, ""), quote=True)}">'
            for name in ("client_id", "redirect_uri", "state", "scope", "response_type")
        )
        return (
            "<!doctype html><html><head><title>Connect to the sandbox company</title></head><body>"
            f"<h1>Connect company {escape(self.realm)}?</h1>"
            f"<p>The app asks for: {escape(query.get('scope', ''))}</p>"
            f'<form method="post" action="/connect/oauth2">{fields}'
            '<button name="decision" value="allow">Allow</button> '
            '<button name="decision" value="deny">Deny</button></form></body></html>'
        )

    def decide(self, form: Mapping[str, str]) -> str:
        """Where the browser is sent after the button. Raises Denied for a wrong form."""
        self.consent(form)
        state = {"state": form["state"]} if form.get("state") else {}
        wanted = set(form.get("scope", "").split())
        if form.get("decision") != "allow":
            answer = {"error": "access_denied", **state}
        elif not wanted or wanted - set(SCOPES):
            answer = {"error": "invalid_scope", **state}
        else:
            code = "AB" + secrets.token_urlsafe(30)
            self._codes[code] = (form["redirect_uri"], self.clock())
            answer = {"code": code, **state, "realmId": self.realm}
        join = "&" if "?" in form["redirect_uri"] else "?"
        return f"{form['redirect_uri']}{join}{urlencode(answer)}"

    def tokens(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The token endpoint. Raises Denied."""
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        self._check_client(headers, form)
        kind = form.get("grant_type")
        if kind == "authorization_code":
            grant = self._exchange(form)
        elif kind == "refresh_token":
            grant = self._refresh(form.get("refresh_token", ""))
        else:
            raise Denied(400, "unsupported_grant_type")
        left = int((grant.expires - self.clock()).total_seconds())
        answer = {
            "token_type": "bearer",
            "expires_in": ACCESS,
            "refresh_token": grant.refresh,
            "x_refresh_token_expires_in": left,
            "access_token": self._issue(grant),
        }
        if headers.get("x-include-refresh-token-hard-expires-in", "").lower() == "true":
            answer["x_refresh_token_hard_expires_in"] = HARD
        return answer

    def revoke(self, headers: Mapping[str, str], body: bytes) -> None:
        """Disconnects: the token's whole grant stops working. Raises Denied 400 for an unknown token."""
        form = _json_or_form(body)
        self._check_client(headers, form)
        token = form.get("token", "")
        grant = next((g for g in self._grants if token == g.refresh or token in g.former), None)
        if grant is None and token in self._access:
            grant = self._access[token][1]
        if grant is None:
            raise Denied(400, "invalid_request", "Token invalid")
        self._end(grant)

    # ---- inside

    def _end(self, grant: _Grant) -> None:
        gone = {token for token, held in self._access.items() if held[1] is grant}
        self._ended |= gone | {grant.refresh, *grant.former}
        self._access = {token: held for token, held in self._access.items() if token not in gone}
        self._grants.remove(grant) if grant in self._grants else None

    def _check_client(self, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        given_id, given_secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given_id, _, given_secret = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise Denied(401, "invalid_client") from error
        if self.any_client and given_id:
            return
        same = hmac.compare_digest(given_id.encode(), self.client_id.encode())
        if not (hmac.compare_digest(given_secret.encode(), self.client_secret.encode()) and same):
            raise Denied(401, "invalid_client")

    def _exchange(self, form: Mapping[str, str]) -> _Grant:
        uri, issued = self._codes.pop(form.get("code", ""), ("", None))
        if issued is None or self.clock() - issued > CODE_LIFE:
            raise Denied(400, "invalid_grant", "Token invalid")
        if uri != form.get("redirect_uri"):
            raise Denied(400, "invalid_grant", "redirect_uri mismatch")
        return self._grant()

    def _refresh(self, token: str) -> _Grant:
        now = self.clock()
        if self.any_client and token and not self._seen(token):
            self.connect(token)
        for grant in self._grants:
            if token == grant.refresh or (
                self.switches.refresh_old_token == "valid_24h"  # noqa: S105  (a switch, no secret)
                and token in grant.former
                and now - grant.former[token] < GRACE
            ):
                if now >= grant.expires:
                    break
                self._rotate(grant, now)
                return grant
        raise Denied(400, "invalid_grant", "Incorrect or invalid refresh token")

    def _seen(self, refresh: str) -> bool:
        return refresh in self._ended or any(refresh == g.refresh or refresh in g.former for g in self._grants)

    def _rotate(self, grant: _Grant, now: datetime) -> None:
        policy = self.switches.rotate_refresh
        if policy == "never" or (policy == "every_24h" and now - grant.issued < ROTATION):
            return
        grant.former[grant.refresh] = now
        grant.refresh, grant.issued = _refresh_value(), now
        grant.expires = now + timedelta(seconds=REFRESH)

    def _grant(self) -> _Grant:
        now = self.clock()
        grant = _Grant(_refresh_value(), now, now + timedelta(seconds=REFRESH))
        self._grants.append(grant)
        return grant

    def _issue(self, grant: _Grant) -> str:
        token = "eyJ" + secrets.token_urlsafe(48)
        self._keep(token, grant)
        return token

    def _keep(self, token: str, grant: _Grant) -> None:
        self._access[token] = (self.clock() + timedelta(seconds=ACCESS), grant)


def _refresh_value() -> str:
    return "AB11" + secrets.token_urlsafe(30)


def _json_or_form(body: bytes) -> dict[str, str]:
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return dict(parse_qsl(body.decode("utf-8", "replace")))
    return {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
