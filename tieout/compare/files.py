"""Two exported files compared, with no set-up: load each by its profile, then the same rules as the sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tieout.compare.engine import run
from tieout.compare.result import Result, Rounding
from tieout.connectors import files
from tieout.mapping.tabular import Profile, load_profile


def compare_files(
    left: str | Path,
    left_profile: Profile | str | Path,
    right: str | Path,
    right_profile: Profile | str | Path,
    as_of: date | None = None,
    *,
    rounding: Rounding | None = None,
    memory: str | None = None,
) -> Result:
    """Compare two files. A profile may be given by its shipped name or a path; as_of is inclusive.

    memory: limit such as `2GB`; beyond it the work spills to disk. Raises ProfileError where a file does not fit.
    The provenance of the result names both files with hash, profile, row counts and totals.
    """
    profiles = _profile(left_profile), _profile(right_profile)
    con = duckdb.connect(config={"memory_limit": memory} if memory else {})
    try:
        reports = [
            files.load(con, Path(path), profile, side=side)
            for path, profile, side in ((left, profiles[0], "left"), (right, profiles[1], "right"))
        ]
        result = run(
            con,
            as_of=as_of,
            left_name=Path(left).name,
            right_name=Path(right).name,
            rounding=rounding,
            scopes=(
                "open" if profiles[0].entity == "open_items" else "all",
                "open" if profiles[1].entity == "open_items" else "all",
            ),
            same_ids=profiles[0] == profiles[1] and "document" in profiles[0].columns,
            rejected=(len(reports[0].rejected), len(reports[1].rejected)),
            provenance={
                side: _provenance(path, profile, report.as_json())
                for side, path, profile, report in zip(("left", "right"), (left, right), profiles, reports, strict=True)
            },
        )
    finally:
        con.close()
    return result


def _profile(profile: Profile | str | Path) -> Profile:
    return profile if isinstance(profile, Profile) else load_profile(profile)


def _provenance(path: str | Path, profile: Profile, report: Mapping[str, Any]) -> dict[str, Any]:
    """What was read and what became of it; the rejected rows themselves stay in the report of the file."""
    kept = ("rows", "accepted", "totals", "encoding", "delimiter", "header_row", "warnings", "sha256")
    return {"file": str(path), "profile": profile.name, **{k: report[k] for k in kept if k in report}} | {
        "rejected": len(report.get("rejected", ())),
        "skipped": len(report.get("skipped", ())),
    }
