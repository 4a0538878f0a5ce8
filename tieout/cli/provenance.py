"""What an export of the command line says of itself: `reports.provenance`, asked for by whoever runs the program."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Any


def provenance(source: str, parameters: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """Source, parameters, time (UTC), user and program version."""
    from tieout.reports import provenance as reports

    return reports.provenance(source, parameters, at=at, by=_user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
