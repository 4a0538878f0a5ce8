"""Whether a side takes anything for a customer that is inactive there: known before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from tieout.connectors import Op
from tieout.model import Customer, Entity
from tieout.sync.core.facts import Which
from tieout.sync.core.operations import INACTIVE, OpKind
from tieout.sync.inputs.sides import Sides

OPS = {OpKind.CREATE: Op.CREATE, OpKind.UPDATE: Op.UPDATE, OpKind.APPLY: Op.APPLY, OpKind.VOID: Op.VOID}


@dataclass(frozen=True)
class Customers:
    """The customers of a pair, as both books show them."""

    sides: Sides

    def why_not(
        self, target: Which, entity: Entity, ops: frozenset[OpKind], customer: str | None
    ) -> tuple[str, str] | None:
        """Why the target would refuse to do this to a document of the customer, and what to do; None if it does it."""
        refuses = self.sides.connectors[target].capabilities.active_only.get(entity, frozenset())
        if customer is None or not any(OPS[op] in refuses for op in ops):
            return None
        book = self.sides.books[target]
        held = book.held.get((Entity.CUSTOMER, book.natives.get(customer, "")))
        record = held.record if held is not None else None
        if not isinstance(record, Customer) or record.active:
            return None
        name = self.sides.names[target]
        remedy = f"make the customer active again in {name}: what waits for it follows by itself"
        return (
            f"customer {record.name} {INACTIVE} {name}",
            f"{remedy}; if it was merged into another there, bill that one",
        )
