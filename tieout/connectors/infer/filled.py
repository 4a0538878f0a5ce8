"""Customers that a report prints once, in the first of their rows, and totals below; a person says whether it is so."""

from __future__ import annotations

from itertools import groupby

from tieout.connectors.groups import is_total_of, says_total
from tieout.connectors.infer.roles import Roles
from tieout.connectors.infer.sheet import Sheet

_TELL = ("document", "number", "issued", "posted")  # what a row has of its own


def look(sheet: Sheet, roles: Roles) -> None:
    """Note such columns in `sheet.filled`, and set the rows of totals apart. What fits only in part is not noted."""
    tell = [roles.columns[c] for c in _TELL if c in roles.columns]
    named = [c for c in ("customer", "customer_name") if c in roles.columns]
    if roles.entity != "documents" or sheet.group or not tell or not named:
        return
    columns = [sheet.cells(roles.columns[c]) for c in named]
    own = list(zip(*map(sheet.cells, tell), strict=True))
    names = {text for column in columns for text in column if text and not says_total(text)}

    def is_row(at: int) -> bool:
        said = [text for text in own[at] if text]
        return any(not says_total(text) and not any(is_total_of(text, n) for n in names) for text in said)

    rows = [at for at in range(len(own)) if is_row(at)]
    empty = [tuple(not column[at] for at in rows) for column in columns]
    if not any(empty[0]) or empty[0][0] or any(other != empty[0] for other in empty[1:]):
        return
    groups = [said for said, _ in groupby(tuple(c[at] for c in columns) for at in rows if columns[0][at])]
    if len(set(groups)) < len(groups):
        return
    sheet.filled = dict.fromkeys(named, sum(empty[0]))
    sheet.totals += [row for at, row in enumerate(sheet.rows) if at not in set(rows)]
    sheet.rows = [sheet.rows[at] for at in rows]
