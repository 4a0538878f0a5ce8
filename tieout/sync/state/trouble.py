"""What the state database refused, as our own errors: the words are those of SQLite and PostgreSQL."""

from __future__ import annotations

import re

from tieout.errors import ConfigError, FatalError, RetriableError, TieoutError

_ADDRESS = "check [state] url in tieout.toml"
_ROOM = "make room, then run again; nothing was lost"
_LATER = "run again when it is up; nothing was lost"

# Words of the database, what they mean, what to say, what to do next. The first line that fits decides: a wrong
# password, or a database that is not there, comes as "connection failed: …" too, and running again would not help.
_MEANINGS: tuple[tuple[str, type[TieoutError], str, str], ...] = (
    (r"password|authentication|pg_hba|role .* does not exist", ConfigError, "refused the user or password", _ADDRESS),
    (r"database .* does not exist", ConfigError, "is not there", f"create it, or {_ADDRESS}"),
    (
        r"locked|busy|could not obtain lock|lock timeout|deadlock",
        RetriableError,
        "is locked by another program",
        "run again when it is done",
    ),
    (r"\bfull\b|no space left", RetriableError, "has no room left on its disk", _ROOM),
    (
        r"disk i/o error",
        RetriableError,
        "cannot be written to its disk",
        f"check room, quota and health of the disk: {_ROOM}",
    ),
    (
        r"readonly|read-only|permission denied",
        ConfigError,
        "cannot be written",
        "check who owns it, its folder and tables",
    ),
    (
        r"unable to open|no such file .*\.db",
        ConfigError,
        "cannot be opened",
        f"check its folder and permissions, or {_ADDRESS}",
    ),
    (r"not a database|malformed", ConfigError, "is damaged or no database", "restore it from a backup"),
    (
        r"could not decode",
        FatalError,
        "holds text that tieout never wrote",
        "it was damaged or altered: restore it from a backup",
    ),
    (r"terminat|shutting down|starting up|connect|could not", RetriableError, "cannot be reached", _LATER),
)


def explained(error: Exception) -> TieoutError:
    """Whether to wait (RetriableError), to mend the set-up (ConfigError) or to ask us (FatalError)."""
    says = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0].strip()
    for words, kind, what, hint in _MEANINGS:
        if re.search(words, says, re.IGNORECASE):
            told = "" if what.endswith("password") else f": {says}"  # the server repeats whom it refused
            return kind(f"the state database {what}{told}", hint=hint)
    return FatalError(f"the state database failed: {says}", hint="run again with --debug, and report what it shows")
