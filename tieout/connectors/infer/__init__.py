"""Proposing a profile for a file: what its text shows, with the evidence; and questions where it shows nothing.

A proposal never guesses. Where two readings fit every value and differ in any, the setting stands there as a comment
that begins with `# ASK: `, and a profile with such a line does not load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from tieout.connectors.bulk.check import check
from tieout.connectors.infer import filled, proposal
from tieout.connectors.infer.formats import dates_of, numbers_of
from tieout.connectors.infer.roles import headings, roles_of
from tieout.connectors.infer.sheet import Sheet, read
from tieout.errors import ProfileError
from tieout.mapping.tabular import heading_key, list_profiles, load_profile


@dataclass(frozen=True, slots=True)
class InferredProfile:
    """A proposal. toml: the profile, commented with its evidence · questions: what the file does not show

    shipped: the profiles of tieout that read every row of the file as it is
    It loads as it is only if there are no questions.
    """

    toml: str
    questions: tuple[str, ...]
    shipped: tuple[str, ...] = ()


def infer(path: str | Path) -> InferredProfile:
    """Propose a profile for a CSV, text list or workbook. Raises ProfileError if it is not a table at all."""
    sheet = read(Path(path), headings().knows)
    roles = roles_of(sheet)
    filled.look(sheet, roles)
    shipped = _shipped(sheet)
    sheet.notes += [f"the shipped profile {name} reads every row of this file as it is" for name in shipped]
    read_or_asked = {**{column: may[0] for column, may in roles.absent.items() if may}, **roles.columns}
    toml = proposal.write(sheet, roles, dates_of(sheet, read_or_asked), numbers_of(sheet, read_or_asked))
    return InferredProfile(toml, tuple(sheet.questions), shipped)


def _shipped(sheet: Sheet) -> tuple[str, ...]:
    """The shipped profiles whose headings are all there, and which reject no row."""
    there = {heading_key(h) for h in sheet.headings}
    found = []
    for name in list_profiles():
        profile = load_profile(name)
        needed = (c.names for c in profile.columns.values() if c.names and not c.optional)
        if not all(any(heading_key(n) in there for n in names) for names in needed):
            continue
        try:
            with duckdb.connect() as con:
                report = check(con, sheet.path, profile)
        except ProfileError:
            continue  # it does not fit, as most do not
        if report.accepted and not report.rejected:
            found.append(name)
    return tuple(found)
