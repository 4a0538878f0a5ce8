"""What became of every row of a file: accepted, skipped or rejected; and the reading of rows in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from tieout.connectors.groups import says_total
from tieout.connectors.tables import Table
from tieout.errors import ProfileError
from tieout.mapping import fields
from tieout.mapping.fields import strip
from tieout.mapping.tabular import Profile, footer_columns
from tieout.mapping.tabular_documents import Rejected
from tieout.mapping.tabular_rows import (
    Binding,
    Problem,
    Row,
    Skip,
    left_out,
    read_row,
    readable_amount,
)
from tieout.model import ZERO, exponent, tidy


@dataclass(slots=True)
class FileReport:
    """What a reading found. rows = accepted + rejected + skipped; rows are numbered in the file from 1.

    totals: per currency, rows accepted and the signed sum of their effect on receivables; of customers, balances
    documents: how many documents the accepted rows make · header_row: of the last heading row
    """

    path: Path
    profile: str
    sha256: str
    encoding: str
    delimiter: str
    header_row: int
    rows: int = 0
    accepted: int = 0
    documents: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The keys of `profile check`; sums as decimal text."""
        return {
            "file": str(self.path),
            "profile": self.profile,
            "sha256": self.sha256,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "header_row": self.header_row,
            "rows": self.rows,
            "accepted": self.accepted,
            "documents": self.documents,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "totals": {
                currency: {"count": t["count"], "sum": str(t["sum"])} for currency, t in sorted(self.totals.items())
            },
            "warnings": self.warnings,
        }

    def reject(self, rejected: Iterable[Rejected]) -> None:
        for r in rejected:
            p = r.problem
            self.rejected.append({"row": r.row, "column": p.column, "value": p.value, "reason": p.reason})

    def skip(self, row: int, reason: str) -> None:
        self.skipped.append({"row": row, "reason": reason})

    def add_total(self, currency: str, count: int, amount: Decimal) -> None:
        had = self.totals.setdefault(currency, {"count": 0, "sum": Decimal("0.00")})
        had["count"] += count
        had["sum"] = tidy(had["sum"] + amount)

    def warn_of_finer(self, currency: str, documents: int) -> None:
        """Say how many documents of a currency have an amount below its minor unit: kept exactly, never written."""
        if documents:
            were = "document has an amount" if documents == 1 else "documents have amounts"
            self.warnings.append(
                f"{documents:,} {were} finer than {currency} is counted ({exponent(currency)} decimal places): "
                "compared exactly, never rounded, and never written to another system"
            )

    def finish(self) -> None:
        """Put rows in order and check that they add up."""
        self.rejected.sort(key=lambda r: r["row"])
        self.skipped.sort(key=lambda r: r["row"])
        if self.rows != self.accepted + len(self.rejected) + len(self.skipped):
            raise AssertionError(
                f"{self.path}: {self.rows} rows are not {self.accepted} accepted, {len(self.rejected)} rejected "
                f"and {len(self.skipped)} skipped"
            )


def report_of(table: Table) -> FileReport:
    return FileReport(
        path=table.path,
        profile=table.profile.name,
        sha256=table.sha256,
        encoding=table.encoding,
        delimiter="tab" if table.delimiter == "\t" else table.delimiter,
        header_row=table.header_row,
        warnings=[*table.warnings, *table.binding.warnings],
    )


def read_rows(table: Table) -> Iterator[tuple[int, Row | Problem | Skip, Sequence[str]]]:
    """(number, what it is, its cells) of every row, totals told from rows by the sum so far."""
    running = Decimal(0)
    for number, cells in table.rows():
        if isinstance(cells, Problem | Skip):
            yield number, cells, ()
            continue
        if (why := left_out(table.binding, cells)) is not None:
            running += readable_amount(table.binding, cells) or ZERO
            yield number, Skip(why), cells
            continue
        found = read_row(table.binding, number, cells)
        if isinstance(found, Problem) and is_footer(table.binding, cells, partial(Decimal, running)):
            yield number, Skip("footer: the sum of the rows above"), cells
            continue
        running += found.amount if isinstance(found, Row) else readable_amount(table.binding, cells) or ZERO
        yield number, found, cells


def is_footer(binding: Binding, cells: Sequence[str], running: Callable[[], Decimal]) -> bool:
    """Whether a row is a total: its amount is the sum of the rows before it, and its footer columns say no more."""
    columns = footer_columns(binding.profile)
    said = (strip(binding.cell(cells, c)) for c in columns)
    if not columns or any(text and not says_total(text) for text in said):
        return False
    amount = readable_amount(binding, cells)
    return amount is not None and amount == running()


def check_date_orders(
    profile: Profile, rejected: Iterable[Rejected], proven: Callable[[str], bool], report: FileReport
) -> None:
    """Judge each date column as a whole: values refused for their order make the others doubtful.

    proven: whether an accepted value of the column has a day beyond 12, so that its order is certain
    Raises ProfileError where every value fits the other order and none proves the declared one; warns where a
    column mixes both.
    """
    refused: dict[str, list[str]] = {}
    for r in rejected:
        refused.setdefault(r.problem.column, []).append(r.problem.value)
    for column, values in refused.items():
        if column not in profile.columns or profile.type_of(column) != "date":
            continue
        declared = profile.date_format(column)
        other = declared.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")
        fits = [v for v in values if fields.is_day(v, other)] if other != declared and "%m" in declared else []
        if fits and len(fits) == len(values) and not proven(column):
            raise ProfileError(
                f"{report.path}: [columns.{column}] is not {declared} but {other}: {len(values)} values, such as "
                f"{values[0]!r}, fit only that, and no value proves the other",
                hint=f'say format = "{other}" in profile {profile.name}, if that is what the file means',
            )
        if fits:
            report.warnings.append(
                f"{column}: rejected values ({len(fits)}), such as {fits[0]!r}, fit only {other}: the column mixes day "
                "and month first, and accepted values with days up to 12 may be wrong"
            )
