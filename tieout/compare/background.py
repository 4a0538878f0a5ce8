"""What a caller knows of a ledger beside its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tieout.mapping.invariants import Closing


@dataclass(frozen=True, slots=True)
class Background:
    """What a caller knows of one ledger beside its documents.

    open_items: it lists what is open only; the other side is then compared by what is open of it
    rejected: rows or records that could not be read · source: where it was read from, for provenance
    home: its home currency, None if that is not known
    whole: it holds every document that another one refers to, so that a reference into nothing is a breach
    closings: its closed periods · entered: {(kind, id): when it was first seen, a UTC instant} of the documents that
    may have come after one of them
    applies: of which documents (`payment`, `credit_memo`) its system says what they are applied to, so that where it
    says nothing of any, nothing is; of files that is not known
    """

    name: str
    open_items: bool = False
    rejected: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)
    home: str | None = None
    whole: bool = False
    closings: tuple[Closing, ...] = ()
    entered: Mapping[tuple[str, str], str] = field(default_factory=dict)
    applies: tuple[str, ...] = ()
