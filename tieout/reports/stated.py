"""What a side's system states itself for a day, beside what its documents add up to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from tieout.mapping.control import of_now, own_documents
from tieout.model import ZERO, ControlBalance, tidy
from tieout.reports.frame import Proof

if TYPE_CHECKING:
    from tieout.reports.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Tie:
    """A figure that the system states itself.

    documents: what its documents add up to; None where it cannot be told which they are
    on_day: the same, of what is dated up to the day; another sum where the figure is of now and counts later documents
    """

    balance: ControlBalance
    documents: Decimal | None
    on_day: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """What the documents do not show of the stated figure: stated − documents."""
        return None if self.documents is None else self.balance.amount - self.documents


def ties(side: Ledger, as_of: date) -> list[Tie]:
    """Each figure that the side's system states for the day, with its documents; by currency, account, report."""
    stated = [b for b in side.books.controls if b.as_of == as_of]
    found = []
    for b in sorted(stated, key=lambda b: (b.currency, b.account, b.report)):
        own = own_documents(b, stated, side.documents)
        if own is None:
            found.append(Tie(b, None, None))
            continue
        moves = [e for r in own for e in side.moves(r)]
        on_day, whole = (tidy(sum((e.amount for e in moves if e.on <= day), ZERO)) for day in (as_of, date.max))
        found.append(Tie(b, whole if of_now(b, on_day, whole) else on_day, on_day))
    return found


def proofs(side: Ledger, as_of: date) -> Iterator[Proof]:
    """The documents of an account against what the system's own report states for it."""
    found = ties(side, as_of)
    if not found:
        yield Proof(f"{side.name}: no total of its own is to be had for {as_of}", None, None, None)
    for tie in found:
        b, later = tie.balance, tie.documents != tie.on_day
        claim = f"{side.name}: documents add up to {b.report}, account {b.account}, {b.currency}"
        if tie.documents is None:
            yield Proof(f"{claim} (which documents it is about cannot be told)", None, b.amount, None, b.currency)
        else:
            claim += ", whatever their date" if later else ""
            yield Proof(claim, tie.documents, tidy(b.amount), not tie.difference, b.currency)
