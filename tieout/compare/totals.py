"""What all documents of a side add up to, by currency: summed from the documents themselves, once, with their dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.compare.inputs.tables import Connection, conditions
from tieout.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sums:
    """All rows of a side in one currency. documents: those that count · billed, open: their signed amounts

    rows: those that count nothing too · first, last: accounting dates of those that count, None if none has one
    """

    currency: str
    documents: int
    billed: Decimal
    open: Decimal
    rows: int
    first: date | None
    last: date | None


def of_all(
    con: Connection, side: str, name: str, *, as_of: date | None, rest: bool = False, stated: Mapping[str, int]
) -> list[Sums]:
    """In order of currency. name: of the ledger, for errors · as_of, rest: as in `tables.every`

    stated: of that side, as in `tables.Parties`. Raises ConfigError where a damaged file holds a day that is none, so
    that the checks of its rows did not see it.
    """
    # Where only some rows were looked at closely, what that changed of them comes on top of all as they are stated.
    sums = _SUMS.format(side=side)
    if rest:
        plain = not as_of and not any(stated[c] for c in ("kind", "state", "settled_on", "ar"))
        holds = {"raises": "b.sign > 0", "lowers": "b.sign < 0", **conditions(as_of)}
        sums = _SUMS_OF_PLAIN.format(side=side) if plain else _SUMS_OF_ALL.format(side=side, **holds)
    rows = con.execute(f"SELECT * FROM ({sums}) AS s ORDER BY currency").fetchall()
    if any(isinstance(day, str) for row in rows for day in row[-2:]):  # so comes what no calendar has
        raise ConfigError(
            f"{name}: a date lies before the year 1 or after the year 9999, and the file denies that",
            hint="write the file again, or fetch it again; nothing was compared",
        )
    return [Sums(*row) for row in rows]


_SUMS = """
SELECT currency, count(CASE WHEN counts THEN 1 END) AS n, sum(billed) AS billed, sum(eff) AS eff, count(*) AS n_rows,
       min(CASE WHEN counts THEN posted END) AS first, max(CASE WHEN counts THEN posted END) AS last
FROM cmp_{side} GROUP BY currency
"""
_CHANGED = """
LEFT JOIN (SELECT currency, sum(eff - stated_eff) AS changed FROM cmp_{side} GROUP BY currency) AS c
  ON c.currency = s.currency
"""
# Amounts are summed as they are stored, by sign, and only the sums are cast: to cast each of them is what costs.
_SUMS_OF_ALL = (
    "SELECT s.currency, n, raised - lowered AS billed, open_raised - open_lowered + ar + coalesce(changed, 0) AS eff, "
    "n_rows, first, last FROM (SELECT coalesce(b.currency, '') AS currency, count(CASE WHEN {counts} THEN 1 END) AS n, "
    + "".join(
        f"coalesce(CAST(sum(CASE WHEN {{counts}}{condition} THEN b.{column} END) AS DECIMAL(38,6)), 0) AS {name}, "
        for name, column, condition in (
            ("raised", "total", " AND {raises}"),
            ("lowered", "total", " AND {lowers}"),
            ("open_raised", "total", " AND {raises} AND b.ar IS NULL AND NOT {settled}"),
            ("open_lowered", "total", " AND {lowers} AND b.ar IS NULL AND NOT {settled}"),
            ("ar", "ar", " AND NOT {settled}"),
        )
    )
    + """count(*) AS n_rows, min(CASE WHEN {counts} THEN b.posted END) AS first,
  max(CASE WHEN {counts} THEN b.posted END) AS last FROM cmp_rows_{side} AS b GROUP BY coalesce(b.currency, '')) AS s
"""
    + _CHANGED
)
# The same where all are posted invoices of which nothing else is stated: each raises by its total, and is open.
_SUMS_OF_PLAIN = (
    """
SELECT s.currency, n, raised AS billed, raised + coalesce(changed, 0) AS eff, n AS n_rows, first, last FROM (
  SELECT coalesce(b.currency, '') AS currency, count(*) AS n,
         coalesce(CAST(sum(b.total) AS DECIMAL(38,6)), 0) AS raised, min(b.posted) AS first, max(b.posted) AS last
  FROM cmp_rows_{side} AS b GROUP BY coalesce(b.currency, '')) AS s
"""
    + _CHANGED
)
