"""Which totals and sums of a table can be live formulas, and what a spreadsheet would make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal

from tieout.reports.frame import Cell, Row, Table

_DIGITS = 15
_MOST_RANGES = 200  # a function takes 255 arguments
_MOST_LETTERS = 8_000  # of a formula; a spreadsheet takes 8,192
Place = Callable[[int, int, int], list[str]]


def fits(amount: Decimal) -> bool:
    """Whether a spreadsheet, which keeps 15 digits, keeps this amount to the last one."""
    digits = f"{abs(amount):f}".replace(".", "").strip("0")
    return len(digits) <= _DIGITS


class Live:
    """The totals of one table, and its sums across a row.

    Formulas are made only where a spreadsheet's arithmetic gives the report's own figure.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.detail = [r.style == "detail" for r in table.rows]
        self.currency = next((n for n, c in enumerate(table.columns) if c.key == "currency"), None)
        at = {c.key: n for n, c in enumerate(table.columns)}
        self.across = {
            n: tuple((-1, at[k[1:]]) if k.startswith("-") else (1, at[k]) for k in c.adds)
            for n, c in enumerate(table.columns)
            if c.adds
        }

    def formula(self, at: int, column: int, places: int, place: Place) -> str:
        """The formula of a cell, "" where it is to be a plain value.

        place: the ranges in the workbook of rows (first, last: half-open) of a column
        """
        row = self.table.rows[at]
        cell = row.cells[column]
        if signed := row.formula.get(self.table.columns[column].key):
            return self._signed(signed, column, cell, places, place)
        if row.sums and self.table.columns[column].kind in ("money", "count"):
            return self._sum(row, column, cell, places, place)
        return self._across(at, column, places, place) if column in self.across else ""

    def _across(self, at: int, column: int, places: int, place: Place) -> str:
        """The sum of cells of its own row; of neighbours as one range."""
        cells, refs = self.table.rows[at].cells, self.across[column]
        if not agrees([(sign, cells[n]) for sign, n in refs if cells[n] is not None], cells[column], places):
            return ""
        names = [place(at, at + 1, n)[0].rpartition("!")[2] for _, n in refs]
        first = refs[0][1]
        if len(refs) > 1 and refs == tuple((1, first + n) for n in range(len(refs))):
            return f"=ROUND(SUM({names[0]}:{names[-1]}),{places})"
        terms = "".join(f"{'-' if sign < 0 else '+'}{name}" for (sign, _), name in zip(refs, names, strict=True))
        return f"=ROUND({terms.removeprefix('+')},{places})"

    def _signed(self, refs: Sequence[tuple[int, int]], column: int, cell: Cell, places: int, place: Place) -> str:
        parts = [(sign, self.table.rows[n].cells[column]) for sign, n in refs]
        if not agrees([(sign, v) for sign, v in parts if v is not None], cell, places):
            return ""
        terms = "".join(f"{'-' if sign < 0 else '+'}{place(n, n + 1, column)[0]}" for sign, n in refs)
        made = f"=ROUND({terms.removeprefix('+')},{places})"
        return made if len(made) <= _MOST_LETTERS else ""

    def _sum(self, row: Row, column: int, cell: Cell, places: int, place: Place) -> str:
        runs = list(self._runs(row.sums))
        values = [self.table.rows[n].cells[column] for first, last in runs for n in range(first, last)]
        if not agrees([(1, v) for v in values if v is not None], cell, places):
            return ""
        if len(runs) <= _MOST_RANGES:
            ranges = [r for first, last in runs for r in place(first, last, column)]
            made = f"=ROUND(SUM({','.join(ranges)}),{places})"
            if len(ranges) <= _MOST_RANGES and len(made) <= _MOST_LETTERS:
                return made
        return self._by_currency(row, runs, column, places, place)

    def _runs(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The detail rows of the ranges, as half-open runs."""
        for first, last in ranges:
            start = None
            for n in range(first, last):
                if self.detail[n] and start is None:
                    start = n
                elif not self.detail[n] and start is not None:
                    yield start, n
                    start = None
            if start is not None:
                yield start, last

    def _by_currency(self, row: Row, runs: Sequence[tuple[int, int]], column: int, places: int, place: Place) -> str:
        """Rows too scattered to name, where they are those of one currency: SUMIF over all of them."""
        if self.currency is None or not runs:
            return ""
        code = row.cells[self.currency]
        if not (isinstance(code, str) and len(code) == 3 and code.isascii() and code.isalpha()):
            return ""
        first, last = runs[0][0], runs[-1][1]
        meant = {n for low, high in runs for n in range(low, high)}
        if meant != {
            n for n in range(first, last) if str(self.table.rows[n].cells[self.currency]).upper() == code.upper()
        }:
            return ""
        keys, amounts = place(first, last, self.currency), place(first, last, column)
        terms = "+".join(f'SUMIF({k},"{code}",{a})' for k, a in zip(keys, amounts, strict=True))
        return f"=ROUND({terms},{places})"


def agrees(parts: Sequence[tuple[int, Cell]], cell: Cell, places: int) -> bool:
    """Whether a spreadsheet that adds up these cells in binary fractions, and rounds, gets to exactly this figure."""
    if not isinstance(cell, (Decimal, int)):
        return False
    total = 0.0
    for sign, value in parts:
        if not isinstance(value, (Decimal, int)) or not fits(Decimal(value)):
            return False
        total += sign * float(value)
    unit = Decimal(1).scaleb(-places)
    return Decimal(f"{total:.15g}").quantize(unit, ROUND_HALF_UP) == Decimal(cell)
