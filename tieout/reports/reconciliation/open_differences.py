"""The list of differences that people work through, as a report: who has which, in what state, since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.model import ZERO
from tieout.reports import layout
from tieout.reports.frame import Cell, Column, Report, Row, Table

_COLUMNS = (
    Column("id", "Id"), Column("pair", "Pair"), Column("state", "State"), Column("owner", "Owner"),
    Column("code", "Code"), Column("kind", "Kind"), Column("customer", "Customer"), Column("left_label", "Left"),
    Column("right_label", "Right"), Column("amount", "Amount", "money"), Column("amount_currency", "Amount in"),
    Column("field", "What"), Column("left_value", "Left says"),
    Column("right_value", "Right says"), Column("delta", "Delta", "money"), Column("currency", "Currency"),
    Column("cause", "Likely cause", width=36), Column("remedy", "Next", width=36), Column("action", "Action"),
    Column("reason", "Reason"), Column("accepted_until", "Accepted until"),
    Column("severity", "Severity"), Column("class", "Class"), Column("secondary", "Further codes"),
    Column("first_seen_at", "First seen"), Column("age_days", "Age (days)", "days"),
    Column("last_seen_at", "Last seen"), Column("closed_at", "Closed"),
    Column("seen", "Seen"),
)  # fmt: skip


def report(
    found: Sequence[Mapping[str, Any]], *, company: str, parameters: Mapping[str, str], said: Mapping[str, Any]
) -> Report:
    """One row a difference, in the order given, sorted by nothing else; and what each currency moves in all.

    `action` is for people to fill; with `id` and `seen` beside it the list is what `cli.answers` reads.

    found: as `sync.review.differences.listed` gives them, with `customer`, `amount`, `amount_currency` and `age_days`
    as of: the day that `said` was extracted at
    """
    rows = tuple(Row(tuple(_cell(c.key, d) for c in _COLUMNS)) for d in found)
    return Report(
        "discrepancies", "Discrepancies", company, date.fromisoformat(str(said["extracted_at"])[:10]), None,
        (Table("discrepancies", "Discrepancies", _COLUMNS, rows), _moved(found)),
        parameters=parameters, provenance=said,
    )  # fmt: skip


def _cell(key: str, d: Mapping[str, Any]) -> Cell:
    value = d.get(key)
    if value is None or value == "":
        return None
    if key == "age_days":
        return int(value)
    if key in ("delta", "amount"):
        return Decimal(value)
    if key in ("left_value", "right_value"):
        return layout.says(d.get("field"), value)
    if key == "secondary":
        return ", ".join(value)
    if key == "accepted_until":
        return str(value)[:10]
    if key in ("kind", "field"):
        return str(value).replace("_", " ")
    return f"{value[:10]} {value[11:16]} UTC" if key.endswith("_at") else str(value)


def _moved(found: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("currency", "Currency"),
        Column("count", "Differences", "count"),
        Column("delta", "Delta", "money"),
    )
    sums: dict[str, list[Decimal]] = {}
    for d in found:
        if d["currency"]:
            sums.setdefault(d["currency"], []).append(Decimal(d["delta"]))
    rows = tuple(Row((currency, len(found), sum(found, ZERO))) for currency, found in sorted(sums.items()))
    return Table("moved", "By currency", columns, rows, "By how much open receivables would move, right less left.")
