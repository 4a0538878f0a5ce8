"""Tables of ledgers beside each other, with a total for each currency."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from tieout.compare.codes import is_amount
from tieout.mapping.relation import SIDES
from tieout.model import ZERO, tidy
from tieout.reports.frame import Cell, Column, Row

CURRENCY = Column("currency", "currency", width=8)
PARTY = (Column("number", "customer no.", width=16), Column("customer", "customer", width=30), CURRENCY)
_BASE = "base"


class Side(Protocol):
    """One of the ledgers of a report. home: its home currency, None where it does not say which"""

    @property
    def name(self) -> str: ...

    @property
    def home(self) -> str | None: ...


def keys(sides: Sequence[Side]) -> tuple[str, ...]:
    """What tells the sides apart in a key: nothing for one, `left` and `right` for two."""
    return SIDES if len(sides) == 2 else ("",)


def beside(columns: Sequence[Column], sides: Sequence[Side]) -> tuple[Column, ...]:
    """The columns once for each side: `left.total`, under the side's name; for one side as they are.

    A column of amounts in home currency (see `base`) is in each side's own.
    """
    if len(sides) == 1:
        return tuple(columns)
    return tuple(
        replace(
            base(ledger.home) if c.key == _BASE else c,
            key=f"{side}.{c.key}",
            group=ledger.name,
            adds=tuple(f"-{side}.{k[1:]}" if k.startswith("-") else f"{side}.{k}" for k in c.adds),
        )
        for side, ledger in zip(SIDES, sides, strict=True)
        for c in columns
    )


def gap(of: str, *, currency: str = "") -> Column:
    """The column of what the right has more than the left in the column `of` of each."""
    return Column("difference", "difference", "money", currency=currency, adds=(f"right.{of}", f"-left.{of}"))


def signs(sides: Sequence[Side]) -> str:
    """Which way amounts count, and with two ledgers what their difference is, as a note."""
    said = "Amounts: what customers owe is positive; payments, credits and write-offs are negative."
    return f"{said} Difference: {sides[1].name} less {sides[0].name}." if len(sides) == 2 else said


def titled(title: str, side: Side, sides: Sequence[Side]) -> str:
    """The title of a table of one side."""
    return title if len(sides) == 1 else f"{title}: {side.name}"


def base(home: str | None, title: str = "in") -> Column:
    """The column of amounts in home currency; a side that does not say which has none."""
    return Column(_BASE, f"{title} {home or 'home currency'}", "money", currency=home or "")


def says(field: str | None, value: str | None) -> Cell:
    """What a ledger says of a compared field: an amount as an amount, anything else as it stands."""
    return Decimal(value) if value and is_amount(field) else value


def keyed(key: str, number: int, sides: Sequence[Side]) -> str:
    """The key of a table of one side."""
    return key if len(sides) == 1 else f"{key}_{SIDES[number]}"


def totalled(
    columns: Sequence[Column],
    details: Sequence[tuple[Cell, ...]],
    summed: Collection[str] | None = None,
) -> tuple[Row, ...]:
    """The details, sorted by currency by the caller, with a total of every amount and number after each currency.

    Columns in home currency (see `base`) have a total over all currencies, where there are several.
    The total of a column with a cell that is not known is not known.
    summed: the keys of the columns to total, where not every amount and number of a row is one to add up
    """
    at = next(n for n, c in enumerate(columns) if c.key == CURRENCY.key)
    rows: list[Row] = []
    ranges: list[tuple[int, int]] = []
    pending: list[tuple[Cell, ...]] = []

    def close() -> None:
        if pending:
            first = len(rows) - len(pending)
            ranges.append((first, len(rows)))
            currency = pending[0][at]
            made = _total(columns, pending, f"Total {currency}".rstrip(), {at: currency}, (ranges[-1],))
            kept = zip(columns, made.cells, strict=True)
            rows.append(replace(made, cells=tuple(cell if _totals(c, summed) else None for c, cell in kept)))
            pending.clear()

    for cells in details:
        if pending and pending[-1][at] != cells[at]:
            close()
        rows.append(Row(cells))
        pending.append(cells)
    close()
    based = [n for n, c in enumerate(columns) if c.currency]
    if based and len(ranges) > 1:
        homes = dict.fromkeys(columns[n].currency for n in based)
        made = _total(columns, details, f"Total in {' and '.join(homes)}", {}, tuple(ranges))
        kept = tuple(c if n in based or isinstance(c, str) else None for n, c in enumerate(made.cells))
        rows.append(replace(made, cells=kept))
    return tuple(rows)


def flat(groups: Mapping[str, Sequence[tuple[Cell, ...]]]) -> list[tuple[Cell, ...]]:
    """Rows that were gathered by currency, in the order of the codes, as `totalled` takes them."""
    return [cells for _, rows in sorted(groups.items()) for cells in rows]


def _totals(column: Column, summed: Collection[str] | None) -> bool:
    return summed is None or column.kind not in ("money", "count") or column.key in summed


def _total(
    columns: Sequence[Column],
    details: Sequence[tuple[Cell, ...]],
    label: str,
    fixed: dict[int, Cell],
    ranges: tuple[tuple[int, int], ...],
) -> Row:
    cells: list[Cell] = []
    for n, c in enumerate(columns):
        held = [row[n] for row in details]
        if n in fixed:
            cells.append(fixed[n])
        elif c.kind == "money":
            cells.append(total(held, whole=bool(c.currency)))
        elif c.kind == "count":
            cells.append(sum(h for h in held if isinstance(h, int)))
        else:
            cells.append(None)
    first = next(n for n, c in enumerate(columns) if c.kind == "text" and n not in fixed)
    cells[first] = label
    return Row(tuple(cells), "total", ranges)


def total(cells: Sequence[Cell], *, whole: bool = False) -> Decimal | None:
    """The sum of the amounts; None if there are none, or, if `whole` is asked for, where one is not known."""
    amounts = [c for c in cells if isinstance(c, Decimal)]
    if not amounts or (whole and len(amounts) < len(cells)):
        return None
    return tidy(sum(amounts, ZERO))


def plain(details: Sequence[tuple[Cell, ...]]) -> list[Row]:
    """Rows that need no total."""
    return [Row(cells) for cells in details]
