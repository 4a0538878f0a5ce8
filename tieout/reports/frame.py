"""What every report is made of: tables of typed cells, charts, proofs, and where the figures came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

# text: of people or of a system, hostile · money: signed, major units of the row's currency · date · count: a number of
# things · days · percent: in percent, not a fraction · rate: an exchange rate
Kind = Literal["text", "money", "date", "count", "days", "percent", "rate"]
Cell = str | Decimal | date | int | None
# total: closes its group, given as sums of rows above it · opening, closing: of a roll-forward · heading: text only
Style = Literal["detail", "heading", "subtotal", "total", "opening", "closing"]


@dataclass(frozen=True, slots=True)
class Column:
    """key: stable, for programs · title: for people · width: in characters, None for its kind's own

    currency: of every amount in it, where that is not the one of the row's `currency` cell (base currency)
    group: a heading over neighbouring columns that share it, such as the name of a side
    aside: it may stand beneath its row, with its name, where a page has no room for all columns beside each other
    adds: keys of the columns of which its cell is the sum in every row that has them, `-key` for one that is taken
    off: a workbook writes a live formula, and a test adds them up again
    """

    key: str
    title: str
    kind: Kind = "text"
    width: int | None = None
    currency: str = ""
    group: str = ""
    adds: tuple[str, ...] = ()
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line. cells: in the columns' order.

    sums: for a subtotal or total, the half-open ranges of row numbers of its table whose detail rows it adds up: a
    workbook writes them as live formulas, and a test adds them up again
    formula: per column key, signed references `((sign, row number), …)` where a cell is not a plain sum
    """

    cells: tuple[Cell, ...]
    style: Style = "detail"
    sums: tuple[tuple[int, int], ...] = ()
    formula: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """key: stable, for programs · note: what the reader must know of it, in a sentence or two"""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, or one step of a waterfall. amount: signed; `total` stands on the ground, a step on the one before."""

    label: str
    amount: Decimal
    total: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart by its numbers, all of one currency. trend: the bars are points in time order."""

    key: str
    title: str
    kind: Literal["bars", "waterfall", "trend"]
    currency: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """One check of the report against something independent of it, e.g. the source's own total.

    held: None where the other figure is not available; a proof that did not hold is shown first
    currency: of both figures, where they are amounts of one
    """

    claim: str
    ours: Cell
    theirs: Cell
    held: bool | None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """name: as on the command line · parameters: what was asked, as people say it · known_on: None for now

    company: "" where no one company is meant · as_of: inclusive; None for every document, whatever its date
    outward: it may go to a customer, and then as `letter` makes it
    reference: of one that does: it leads to the file that is kept inside, with proofs, notes and provenance
    """

    name: str
    title: str
    company: str
    as_of: date | None
    known_on: datetime | None
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    proofs: tuple[Proof, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    outward: bool = False
    reference: str = ""


def letter(report: Report, reference: str) -> Report:
    """What of an outward report is a customer's business: its tables, and a reference to all that is kept inside."""
    asked = {k: v for k, v in report.parameters.items() if k not in ("ledger", "ledgers")}
    return replace(report, proofs=(), notes=(), provenance={}, parameters=asked, reference=reference)
