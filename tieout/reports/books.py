"""One side of a report: a ledger's records as they were extracted for it, and what the source says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tieout.mapping.balances import Key
from tieout.model import AnyRecord, ControlBalance


@dataclass(frozen=True, slots=True)
class Books:
    """name: of the connection, or of the file, as people know it

    records: in no order, every kind; at most one per (entity, id)
    unreadable: how many records or rows could not be read; they are in no figure, and every report says so
    open_only: the source lists open items only, so that history, payments and settled documents are not there
    controls: what the source's own reports and accounts say · source: provenance (system, query or file, hash, …)
    first_seen: when tieout first saw a record (UTC); empty where no state database was asked
    """

    name: str
    records: Sequence[AnyRecord]
    source: Mapping[str, Any]
    unreadable: int = 0
    open_only: bool = False
    controls: Sequence[ControlBalance] = ()
    first_seen: Mapping[Key, datetime] = field(default_factory=dict)
