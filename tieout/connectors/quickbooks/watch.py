"""What was already said of a sign-in, kept beside it: a dead one is not tried at every run, its end is named in time.

Read and written under the sign-in's lock, so that of several processes one speaks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from tieout.errors import TieoutError

log = logging.getLogger("tieout.quickbooks")

ENTRY = "watch"
BANDS = (2, 7, 14)  # days before its end at which a sign-in is warned of, each once; the nearest first
ASK_AGAIN = timedelta(days=1)


class SignIn(Protocol):
    """serial: counts what was kept; a new sign-in has a higher one · times are UTC"""

    @property
    def serial(self) -> int: ...
    @property
    def obtained(self) -> datetime: ...
    @property
    def refresh_until(self) -> datetime: ...


class Store(Protocol):
    def read(self, connection: str, name: str) -> Any: ...
    def write(self, connection: str, name: str, value: str) -> object: ...


class Watch:
    """The watch over the sign-in of one connection."""

    def __init__(self, connection: str, store: Store, clock: Callable[[], datetime]) -> None:
        self._connection, self._store, self._clock = connection, store, clock

    def parked(self, tokens: SignIn) -> datetime | None:
        """Since when this sign-in is refused; None if it is not, or if it is time to ask once more."""
        known = self._known()
        if known.get("refused") != tokens.serial:
            return None
        asked = datetime.fromisoformat(known["asked"])
        return None if self._clock() - asked >= ASK_AGAIN else datetime.fromisoformat(known["since"])

    def park(self, tokens: SignIn) -> None:
        """Note that every value of this sign-in was refused just now."""
        known, now = self._known(), self._clock().isoformat()
        since = known["since"] if known.get("refused") == tokens.serial else now
        self._keep({**known, "refused": tokens.serial, "since": since, "asked": now})

    def warn(self, tokens: SignIn) -> None:
        """Say, once for each band, that the sign-in will end."""
        band = due(tokens, self._clock())
        known = self._known()
        if known.get("warned") == band:
            return
        self._keep({**known, "warned": band})
        if band is not None:
            log.warning(
                "connection %s: the sign-in to QuickBooks ends on %s, within %d days; sign in again: tieout connect %s",
                self._connection,
                tokens.refresh_until.date(),
                band,
                self._connection,
            )

    def _known(self) -> dict[str, Any]:
        kept = self._store.read(self._connection, ENTRY)
        try:
            known = {} if kept is None else json.loads(kept.current)
            if "refused" in known:
                told = [datetime.fromisoformat(known[key]) for key in ("since", "asked")]
                if not all(at.tzinfo for at in told):
                    return {}
            return known if isinstance(known, dict) else {}
        except (ValueError, TypeError, KeyError, RecursionError):  # a note that is damaged is made again
            return {}

    def _keep(self, known: dict[str, Any]) -> None:
        """A note that cannot be kept is said again by the next run: better twice than never."""
        try:
            self._store.write(self._connection, ENTRY, json.dumps(known))
        except TieoutError as why:
            log.warning("connection %s: not noted: %s", self._connection, why.message)


def due(tokens: SignIn, now: datetime) -> int | None:
    """The nearest band that the end of a sign-in lies in; None if it is further off, or not known yet."""
    if tokens.refresh_until <= tokens.obtained:
        return None
    left = tokens.refresh_until - now
    return next((band for band in BANDS if left <= timedelta(days=band)), None)
