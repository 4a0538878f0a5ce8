"""Reports that print once, in a row above, what their rows have in common: a customer, an age; and a total below them.

QuickBooks and other ledgers export lists by customer in this way. A group in a group (a branch of a customer)
closes before the outer one does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tieout.mapping.fields import strip
from tieout.mapping.tabular_rows import SHOWN, Binding, Problem, Skip, readable_amount
from tieout.model import ZERO

Judged = Sequence[str] | Problem | Skip


@dataclass(slots=True)
class _Group:
    """rows: that stand in it, without those of groups in it · total: of all of them"""

    name: str
    rows: int = 0
    total: Decimal = ZERO


class Groups:
    """The groups that are open where a file has been read to; its rows go through `place`, in order."""

    def __init__(self, binding: Binding, judge: Callable[[Sequence[str]], Judged]) -> None:
        """judge: says of the cells of a row whether they can be read"""
        self._binding, self._judge = binding, judge
        self._open: list[_Group] = []
        self._totals = False

    def place(self, cells: Sequence[str]) -> Judged:
        """The cells of a row and, as the last one, what it stands under; or what else the row is."""
        said = [text for cell in cells if (text := strip(cell))]
        if said and (at := self._closed_by(said[0])) is not None:
            return self._close(at, cells)
        if len(said) == 1:
            self._open.append(_Group(said[0]))
            return Skip("heading of a group")
        judged = self._judge(cells)
        if isinstance(judged, Problem | Skip):
            return judged
        row = self._with(judged, self._open[-1].name if self._open else "")
        if self._open:
            self._open[-1].rows += 1
            self._open[-1].total += readable_amount(self._binding, row) or ZERO
        return row

    def unclosed(self) -> str | None:
        """At the end of the file: a group with rows that has no total, where others have one. None if there is none."""
        return next((g.name for g in reversed(self._open) if g.rows), None) if self._totals else None

    def _with(self, cells: Sequence[str], above: str) -> list[str]:
        return [*cells[: self._binding.read], *([above] if self._binding.grouped else [])]

    def _closed_by(self, text: str) -> int | None:
        at = range(len(self._open) - 1, -1, -1)
        return next((n for n in at if is_total_of(text, self._open[n].name)), None)

    def _close(self, at: int, cells: Sequence[str]) -> Problem | Skip:
        group, *within = self._open[at:]
        del self._open[at:]
        self._totals = True
        total = group.total + sum((g.total for g in within), ZERO)
        if self._open:
            self._open[-1].total += total
        if open_ := next((g.name for g in within if g.rows), None):
            return Problem("row", open_[:SHOWN], f"stands above rows and has no total before that of {group.name}")
        stated = readable_amount(self._binding, self._with(cells, ""))
        if stated is None:
            return Problem(
                "row", " | ".join(cells)[:SHOWN], f"the total of {group.name} has no amount that can be read"
            )
        if stated != total:
            return Problem("row", str(stated), f"the total of {group.name}, whose rows add up to {total}")
        return Skip("total of a group: the sum of its rows")


_SAYS_TOTAL = re.compile(
    r"((grand|report|overall)[ -]?)?tot(a|aa)ls?\b\D*|(gesamt|end)?summe\b\D*|gesamt\b\D*|sum:?", re.IGNORECASE
)


def says_total(text: str) -> bool:
    """Whether a text announces the total of a whole file: `TOTAL`, `Grand total USD`, `Summe:`."""
    return _SAYS_TOTAL.fullmatch(text) is not None


def is_total_of(text: str, name: str) -> bool:
    """Whether a text announces the total of a group: `Total for NAME`, `Total NAME`, `NAME total`."""
    said, named = (" ".join(re.findall(r"[^\W_]+", t.casefold())) for t in (text, name))
    return bool(named) and said in (f"total for {named}", f"total {named}", f"{named} total")
