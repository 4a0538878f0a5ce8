"""Every public error, grouped by what the caller does next.

TieoutError
├── ConfigError            the user mends the configuration; lists every problem        exit 2
│   ├── ProfileError       the same, for the profile of a file                          exit 2
│   └── HomeCurrencyError  the books of a pair are kept in different home currencies    exit 2
├── RetriableError         wait, then run again                                         exit 3
│   └── LeaseHeldError     another run of this pair is under way                        exit 3
├── RefusedError           a person decides                                             exit 4
│   └── SignInRequired     the stored sign-in no longer works                           exit 4
└── FatalError             this run stops                                               exit 5
    ├── AuthError          credentials or company are wrong (exit 2: the user mends it)
    ├── NotServedError     the remote does not serve what is asked of it (exit 2)
    ├── NotFoundError      the remote says there is no such record
    └── ReadOnlyError      this connector cannot write that
RecordError                one unreadable record: a value that is passed on, never raised across a run

Writes raise one of the `WriteError`s; its class says what is known of the effect (docs/explain/delivery-promise.md):
    NotSent · NotProcessed · Rejected · PeriodClosed · DuplicateNumber · StaleWrite · UnknownOutcome
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


class TieoutError(Exception):
    """Base of every error tieout raises on purpose. `hint` is the next thing to do, if there is one."""

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class ConfigError(TieoutError):
    """The configuration is wrong. `problems`: every one, with its place; of one file the first hundred."""

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        self.problems = problems or (message,)
        text = message if not problems else message + "".join(f"\n  - {p}" for p in problems)
        super().__init__(text, hint=hint)


class ProfileError(ConfigError):
    """A file and its profile do not fit, or the profile itself is wrong."""


class HomeCurrencyError(ConfigError):
    """The books of a pair have different home currencies: a rate of one means nothing in the other. Nothing is written.

    homes: by connection, left first
    """

    def __init__(self, pair: str, homes: Mapping[str, str]) -> None:
        self.homes = dict(homes)
        kept = " and ".join(f"{connection} in {currency}" for connection, currency in homes.items())
        super().__init__(
            f"{pair}: home currencies differ: {kept}; an exchange rate of one book means nothing in the other",
            hint="pair books of one home currency (for files it is `currency` of the connection); tieout compare shows "
            "exports of both beside each other, currency by currency",
        )


class RetriableError(TieoutError):
    """A temporary condition. `retry_after` is in seconds; None when nobody said."""

    exit_code = 3

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class LeaseHeldError(RetriableError):
    """Another run holds the lease of this pair or connection."""


class RefusedError(TieoutError):
    """Only a person may decide this."""

    exit_code = 4


class SignInRequired(RefusedError):
    """The stored sign-in expired or was revoked; the cursor stays where it is.

    told: an earlier run said so already, and nothing was asked since
    """

    def __init__(self, message: str, *, hint: str = "", told: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.told = told


class FatalError(TieoutError):
    """This run cannot go on."""

    exit_code = 5


class AuthError(FatalError):
    """Credentials are wrong, or they open another company than the configured one."""

    exit_code = 2


class NotServedError(FatalError):
    """The remote does not serve what the configuration asks it for: another address, or nothing published there."""

    exit_code = 2


class NotFoundError(FatalError):
    """The remote answered that there is no such record (or that it was deleted)."""


class ReadOnlyError(FatalError):
    """The connector, or this connection, cannot make that change; nothing was sent."""


class WriteError(TieoutError):
    """A write that did not plainly succeed. The class says what is known about its effect.

    code: the remote's own code, "" if none · request_id: the remote's trace id, "" if none
    """

    exit_code = 5

    def __init__(self, message: str, *, code: str = "", request_id: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.request_id = request_id


class NotSent(WriteError):
    """No byte of the request left this machine: it has no effect."""


class NotProcessed(WriteError):
    """The remote said that it did nothing (throttled, signed out): it has no effect.

    alone: it is about this record only (somebody has it open), and the remote may well take others
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        alone: bool = False,
        code: str = "",
        request_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, request_id=request_id, hint=hint)
        self.retry_after = retry_after
        self.alone = alone


class Rejected(WriteError):
    """The remote refused it for a lasting reason: no effect, and none until the inputs change."""


class PeriodClosed(Rejected):
    """The remote's books are closed for that date."""


class DuplicateNumber(WriteError):
    """The remote already holds that number or name. `existing_id` names the holder, "" if not told.

    name: the name that is taken, "" where it is a number
    """

    def __init__(
        self,
        message: str,
        *,
        existing_id: str = "",
        name: str = "",
        code: str = "",
        request_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, request_id=request_id, hint=hint)
        self.existing_id, self.name = existing_id, name


class StaleWrite(WriteError):
    """The record moved since it was read: no effect."""


class UnknownOutcome(WriteError):
    """The write may or may not have happened; only reading back can tell."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """One record that cannot be read, set aside and reported; it never counts as absent.

    source: connection, or file and row · path: field, or column · value: the raw text, shortened
    ref: the native id if it could be read, else None (then nothing on that side counts as absent)
    """

    source: str
    path: str
    value: str
    reason: str
    entity: str = ""
    ref: str | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.path}: {self.value!r}: {self.reason}"
