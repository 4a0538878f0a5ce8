"""What every export says of itself, so that a reader can tell what it shows and repeat it."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Any

from tieout import __version__


def provenance(source: str, parameters: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """Source, parameters, time (UTC), user and program version."""
    return {
        "source": source,
        "parameters": parameters,
        "extracted_at": at.isoformat(timespec="seconds"),
        "by": _user(),
        "program": f"tieout {__version__}",
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
