"""What every export says of itself, so that a reader can tell what it shows and repeat it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from tieout import __version__


def provenance(source: str, parameters: dict[str, Any], *, at: datetime, by: str) -> dict[str, Any]:
    """Source, parameters, time (UTC), who asked for it, and the program's version."""
    return {
        "source": source,
        "parameters": parameters,
        "extracted_at": at.isoformat(timespec="seconds"),
        "by": by,
        "program": f"tieout {__version__}",
    }


def beside(path: Path) -> Path:
    """Where the provenance of an export stands."""
    return Path(f"{path}.provenance.json")


def sheet(path: Path, body: bytes, rows: int, **more: Any) -> dict[str, Any]:
    """What ties a provenance to its file: name, number of rows without the heading, hash of its bytes."""
    return {"path": str(path), "rows": rows, **more, "sha256": hashlib.sha256(body).hexdigest()}
