"""Reports that print once what rows have in common (a customer, an age), and may total them below.

It stands in a row above (`Groups`), as QuickBooks and other ledgers export lists by customer: a group in a group, such
as a branch of a customer, closes before the outer one does. Or it stands in the first of the rows alone (`Filled`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tieout.mapping.fields import strip
from tieout.mapping.tabular import footer_columns
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


class Filled:
    """Columns that say something in the first row of a group alone; the rows of a file go through `place`, in order.

    An empty cell says what the row above said only where nothing stands between that ends the group: a total, an empty
    row, a row that cannot be cut, or a group of the same name further above, as in a file that somebody sorted.
    """

    def __init__(self, binding: Binding, judge: Callable[[Sequence[str]], Judged]) -> None:
        """judge: says of the cells of a row whether they can be read"""
        self._binding, self._judge = binding, judge
        filled = [name for name, column in binding.profile.columns.items() if column.fill_down]
        self._first, self._at = filled[0], [binding.index[name] for name in filled]
        self._own = [c for c in footer_columns(binding.profile) if c not in filled]
        self._group: _Group | None = None
        self._says: tuple[str, ...] = ()
        self._ended = "no row above says it"
        self._seen: set[tuple[str, ...]] = set()

    def end(self, why: str) -> None:
        """End the group: of the rows below, none is of it that does not say so."""
        self._group, self._ended = None, why

    def place(self, cells: Sequence[str]) -> Judged:
        """The cells of a row, with what they leave to the row above; or what else the row is."""
        judged = self._judge(cells)
        if isinstance(judged, Problem | Skip):
            self.end("a row that is none stands between it and the row that says it")
            return judged
        if self._is_none(judged):
            return self._total(judged)
        says = tuple(strip(judged[at]) for at in self._at)
        if not any(says):
            if self._group is None:
                return Problem(self._first, "", f"empty, and {self._ended}")
            judged = [*judged]
            for at, text in zip(self._at, self._says, strict=True):
                judged[at] = text
        elif self._group is None or says != self._says:
            self._begin(says)
        if self._group is not None:
            self._group.total += readable_amount(self._binding, judged) or ZERO
        return judged

    def _begin(self, says: tuple[str, ...]) -> None:
        name = " ".join(filter(None, says))
        self._group = _Group(name)
        if says in self._seen:
            self.end(f"{name[:SHOWN]} stands above other rows, too: was the file sorted?")
        self._seen.add(says)
        self._says = says

    def _is_none(self, cells: Sequence[str]) -> bool:
        """Whether a row says nothing that identifies or dates it, as a total does."""
        said = (strip(self._binding.cell(cells, c)) for c in self._own)
        return all(not text or says_total(text) or self._is_total_of(text) for text in said)

    def _is_total_of(self, text: str) -> bool:
        return self._group is not None and any(is_total_of(text, name) for name in (self._group.name, *self._says))

    def _total(self, cells: Sequence[str]) -> Judged:
        """A row that is none: the total of its group, or one that the file's other rules judge; it ends the group."""
        group, named = self._group, any(self._is_total_of(strip(cell)) for cell in cells)
        self.end("a total or a note stands between it and the row that says it")
        stated = readable_amount(self._binding, cells)
        if group is not None and stated == group.total:
            return Skip("total of a group: the sum of its rows")
        if group is not None and named:
            shown = "" if stated is None else str(stated)
            return Problem("row", shown, f"the total of {group.name}, whose rows add up to {group.total}")
        return cells


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
