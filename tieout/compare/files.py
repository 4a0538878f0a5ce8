"""Two exported files compared, with no set-up: load each by its profile, then the same rules as the sync."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import date
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import duckdb

from tieout.compare.background import Background
from tieout.compare.engine import run
from tieout.compare.findings.control import NOTHING, Checks
from tieout.compare.inputs import parquet
from tieout.compare.inputs.tables import PLAIN, Connection, database, plan_plainly
from tieout.compare.ledgers import Ledger, load_ledger
from tieout.compare.result import Result, Rounding
from tieout.connectors import files
from tieout.errors import ConfigError
from tieout.mapping.relation import SIDES
from tieout.mapping.tabular import Profile, load_profile

SPOOL_FROM = 5_000  # discrepancies from which they are kept on disk


def compare_files(
    left: str | Path | Ledger,
    left_profile: Profile | str | Path | None,
    right: str | Path | Ledger,
    right_profile: Profile | str | Path | None,
    as_of: date | None = None,
    *,
    rounding: Rounding | None = None,
    memory: str | None = None,
    key: str | None = None,
    checks: Checks = NOTHING,
    today: date | None = None,
    matches: Path | None = None,
    spark: str | None = None,
) -> Result:
    """Compare two files. A profile may be given by its shipped name or a path; as_of is inclusive.

    A `Ledger` stands for a side that is not a file, and has no profile.
    Parquet has no profile: `inputs.parquet` has its columns. Many discrepancies are kept on disk, see `Result`.
    checks: what to look for beyond what is wrong in any two ledgers · today: from which day on credit is old
    key, matches: as in `run` · memory: limit such as `2GB`; beyond it the work spills to disk
    spark: the master of a Spark cluster (`local[2]`, `spark://host:7077`) that compares instead of DuckDB, which reads
    Raises ProfileError where a file does not fit its profile, ConfigError where one of Parquet is not as it must be, or
    where Spark is asked for and absent, or asked for with `memory`, `checks` or `matches`.
    The provenance of the result names both files with hash, profile, row counts and totals.
    """
    on_spark = _on_spark(spark, memory=memory, checks=checks, matches=matches) if spark else None
    profiles = _profile(left, left_profile), _profile(right, right_profile)
    # The order of rows says nothing in a relation; a file that is read by a profile counts its rows.
    with database(memory, ordered=any(profiles)) as con, ThreadPoolExecutor(max_workers=1) as beside:
        read = [
            _load(con, given, profile, side)
            for given, profile, side in zip((left, right), profiles, SIDES, strict=True)
        ]
        hashes = [(facts, beside.submit(parquet.digest, facts["file"])) for facts in read if _unhashed(facts)]
        if max(map(_rows, (left, right), read)) <= PLAIN:
            plan_plainly(con)
        compared = partial(
            run,
            left=_background(left, profiles[0], read[0]),
            right=_background(right, profiles[1], read[1]),
            as_of=as_of,
            rounding=rounding,
            same_ids=profiles[0] is not None and profiles[0] == profiles[1] and "document" in profiles[0].columns,
            key=key,
            checks=checks,
            today=today,
            extracts=not (isinstance(left, Ledger) or isinstance(right, Ledger)),
        )
        lazily = [Path(given) for given in (left, right) if not isinstance(given, Ledger)]
        with parquet.readable(*(path for path in lazily if parquet.is_parquet(path))):
            if on_spark is None:
                result = compared(con, spool_from=SPOOL_FROM, matches=matches)
            else:
                with on_spark(con) as there:
                    result = compared(there)
        for facts, made in hashes:
            facts["sha256"] = made.result()
        return result


def _unhashed(facts: Mapping[str, Any]) -> bool:
    return "sha256" in facts and facts["sha256"] is None


def _on_spark(
    master: str, *, memory: str | None, checks: Checks, matches: Path | None
) -> Callable[[Connection], AbstractContextManager[Connection]]:
    """`spark.handed_over` to that master. Raises ConfigError where Spark is absent, or cannot do what is asked."""
    for asked, what in (
        (memory, "a limit of memory is DuckDB's: Spark has its own configuration"),
        (matches, "the list of matches is written by DuckDB: Spark lists the differences"),
        (checks != NOTHING, "numbers, balances and unused credit are looked into by DuckDB only"),
    ):
        if asked:
            raise ConfigError(what, hint="leave that away, or compare with --engine duckdb")
    from tieout.compare.inputs.spark import handed_over  # noqa: PLC0415  the extra `spark`: not everybody has it

    return partial(handed_over, master=master)


def _name(given: str | Path | Ledger) -> str:
    return given.name if isinstance(given, Ledger) else Path(given).name


def _rows(given: str | Path | Ledger, read: Mapping[str, Any]) -> int:
    return len(given.records) if isinstance(given, Ledger) else int(read["rows"])


def _background(given: str | Path | Ledger, profile: Profile | None, read: Mapping[str, Any]) -> Background:
    """read: what was read of it, as its provenance says"""
    lists = given.open_items if isinstance(given, Ledger) else profile is not None and profile.entity == "open_items"
    return Background(_name(given), open_items=lists, rejected=read.get("rejected", 0), source=read)


def _load(
    con: duckdb.DuckDBPyConnection, given: str | Path | Ledger, profile: Profile | None, side: str
) -> dict[str, Any]:
    if isinstance(given, Ledger):
        load_ledger(con, side, given)
        return {**given.source, "rejected": given.rejected}
    path = Path(given)
    if profile is None:
        return parquet.attach(con, path, side=side)
    return _provenance(path, profile, files.load(con, path, profile, side=side).as_json())


def _profile(given: str | Path | Ledger, profile: Profile | str | Path | None) -> Profile | None:
    """Raises ConfigError where a file needs a profile and has none, or the other way round."""
    name = _name(given) if isinstance(given, Ledger) else given
    if isinstance(given, Ledger) or parquet.is_parquet(Path(given)):
        if profile is not None:
            what = "is not a file, and" if isinstance(given, Ledger) else "is Parquet, which"
            raise ConfigError(f"{name} {what} needs no profile", hint="leave the profile away")
        return None
    if profile is None and Path(given).is_dir():
        raise ConfigError(f"{name} is a folder without documents.parquet", hint="name a file, or a ledger in Parquet")
    if profile is None:
        raise ConfigError(
            f"{name} needs a profile that says how to read it",
            hint=f"tieout profile list names those that ship; tieout profile infer {quote(str(given))} proposes one",
        )
    return profile if isinstance(profile, Profile) else load_profile(profile)


def _provenance(path: str | Path, profile: Profile, report: Mapping[str, Any]) -> dict[str, Any]:
    """What was read and what became of it; the rejected rows themselves stay in the report of the file."""
    kept = ("rows", "accepted", "totals", "encoding", "delimiter", "header_row", "warnings", "sha256")
    return {"file": str(path), "profile": profile.name, **{k: report[k] for k in kept if k in report}} | {
        "rejected": len(report.get("rejected", ())),
        "skipped": len(report.get("skipped", ())),
    }
