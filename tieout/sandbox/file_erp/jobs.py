"""What an import file asks of the file ERP: one job for each record."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tieout.sandbox.file_erp.books import ZERO


@dataclass(frozen=True, slots=True)
class Job:
    """One record of an import file, as the ERP understands it. parts: (invoice or "", amount) per row.

    operation: create, update, void, or apply · id: the ERP's own number of what is changed
    changed: headings of the columns that an update is about
    """

    kind: str
    our_reference: str
    fields: dict[str, Any]
    parts: tuple[tuple[str, Decimal], ...] = ()
    operation: str = "create"
    id: str = ""
    changed: frozenset[str] = frozenset()

    @property
    def effect(self) -> Decimal:
        """What the control total counts: its effect on receivables, of a void the opposite, of a clearing its sum."""
        amount: Decimal = self.fields.get("amount", ZERO)
        signed = amount if self.kind in ("invoice", "clearing", "reversal") else -amount
        return -signed if self.operation == "void" and self.kind != "reversal" else signed
