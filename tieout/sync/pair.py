"""A pair: two connections to keep in step, and what is allowed between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from tieout.compare import Checks, Rounding
from tieout.compare.findings.control import NOTHING
from tieout.model import Entity
from tieout.sync.core.facts import Codes, digest
from tieout.sync.guard import Limits

Mode = Literal["observe", "link", "propose", "auto"]
Flow = Literal["both", "left_to_right", "right_to_left", "none"]
StatedSettlements = Literal["compare", "create"]

STALE_AFTER = timedelta(days=8)  # a weekly export, and a day
AGED_AFTER = timedelta(days=30)
ACKNOWLEDGED_WITHIN = timedelta(days=5)  # three working days and a weekend, in which an export shows an import


@dataclass(frozen=True, slots=True)
class Pair:
    """Two connections to keep in step, and what is allowed between them; plain data from the configuration.

    cutover: documents before it are linked, never created · linked_owner: who owns records that were matched
    policy: (entity, field) → owner
    flows: entity → direction of creates; an entity left out flows both ways, but for adjustments, which no side takes
    stated_settlements: `create` makes a payment on the other side of a settlement that a source only states
    acknowledged_within: how long an export may take to show what was handed over in a file, before a person looks
    checks: what to look for beyond what is wrong in any two ledgers
    stale_after: how old a dated export may be · aged_after: how long a difference of money may stand; None for ever
    was: the name that it had before, under which the state may still know it
    unattended: `entity` or `entity.void` that mode `auto` may write without a person, beside the harmless ones
    """

    name: str
    left: str
    right: str
    mode: Mode = "propose"
    cutover: date | None = None
    linked_owner: Literal["left", "right", "none"] = "none"
    flows: Mapping[Entity, Flow] = field(default_factory=dict)
    policy: Mapping[tuple[Entity, str], str] = field(default_factory=dict)
    codes: Codes = field(default_factory=Codes)
    limits: Limits = field(default_factory=Limits)
    unattended: frozenset[str] = frozenset()
    stated_settlements: StatedSettlements = "compare"
    rounding: Rounding | None = None
    checks: Checks = NOTHING
    stale_after: timedelta | None = STALE_AFTER
    aged_after: timedelta | None = AGED_AFTER
    as_of: date | None = None
    was: str | None = None
    acknowledged_within: timedelta = ACKNOWLEDGED_WITHIN

    @property
    def creates_stated(self) -> bool:
        """Whether a settlement that is only stated may become a payment on the other side."""
        return self.mode != "observe" and self.stated_settlements == "create"

    @property
    def config_hash(self) -> str:
        """Digest of what decides writes; a plan made under another one is stale."""
        return digest(
            [
                *(self.left, self.right, self.cutover.isoformat() if self.cutover else None, self.linked_owner),
                self.stated_settlements,
                sorted((e.value, f) for e, f in self.flows.items()),
                sorted((e.value, n, o) for (e, n), o in self.policy.items()),
                [sorted(t.items()) if t is not None else None for t in self._tables()],
            ]
        )

    def _tables(self) -> tuple[Mapping[str, str] | None, ...]:
        c = self.codes
        return c.items, c.taxes, c.accounts, c.terms, c.methods, c.entities
