"""One side of a report: a ledger's records as they were extracted for it, and what the source says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
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
    home: the currency that the company keeps its books in, None where the source does not say
    dated: the day that the source speaks for (an export's), None where it speaks for now
    doubts: why records may be missing, in sentences; empty where the read is proved complete
    links: for customers and documents, a key that the other side's record of the same thing has too; a record that is
    not there has no counterpart that anybody knows of
    """

    name: str
    records: Sequence[AnyRecord]
    source: Mapping[str, Any]
    unreadable: int = 0
    open_only: bool = False
    controls: Sequence[ControlBalance] = ()
    first_seen: Mapping[Key, datetime] = field(default_factory=dict)
    home: str | None = None
    dated: date | None = None
    doubts: Sequence[str] = ()
    links: Mapping[Key, str] = field(default_factory=dict)
    known: datetime | None = None
