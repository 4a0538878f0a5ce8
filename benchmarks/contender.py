"""One contender of `benchmarks.compare`, in a process of its own: `python contender.py NAME LEFT RIGHT OUT [MEMORY]`.

Prints seconds, processor seconds, peak megabytes and what it found, as JSON. Imports are not timed. It runs in
an environment without tieout, too, and imports nothing but what the contender needs.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

FIELDS = ("kind", "customer", "issued", "due", "currency", "total", "tax", "state")
Found = dict[str, object]


def join(left: str, right: str, _out: str, memory: str | None) -> Found:
    """DuckDB's full outer join with a hash of each row."""
    import duckdb

    con = duckdb.connect(config={"preserve_insertion_order": False, **({"memory_limit": memory} if memory else {})})
    columns = "id, kind, customer, customer_number, customer_name, number, issued, due, currency, total, tax, state"
    sides = [f"(SELECT number, hash({columns}) AS h FROM read_parquet('{path}'))" for path in (left, right)]
    ask = (
        "SELECT count(CASE WHEN l.h <> r.h THEN 1 END), count(CASE WHEN l.h IS NULL THEN 1 END), "
        f"count(CASE WHEN r.h IS NULL THEN 1 END) FROM {sides[0]} AS l FULL JOIN {sides[1]} AS r ON l.number = r.number"
    )
    differ, only_right, only_left = con.execute(ask).fetchall()[0]
    return {"differ": differ, "only_left": only_left, "only_right": only_right}


def _tieout(left: str, right: str, out: str, memory: str | None, key: str | None) -> Found:
    from tieout import compare
    from tieout.compare import render

    evidence = None if key else Path(out).with_suffix(".matches.parquet")
    result = compare.compare_files(left, None, right, None, key=key, memory=memory, matches=evidence)
    render.write_parquet(result, Path(out))
    if any(b.remainder for b in result.bridge.values()):
        raise RuntimeError("the bridge does not close")
    return {"matched": result.matched} | {code: entry["count"] for code, entry in result.by_code.items()}


def key(left: str, right: str, out: str, memory: str | None) -> Found:
    """tieout, documents known by their number; every discrepancy written."""
    return _tieout(left, right, out, memory, "number")


def ladder(left: str, right: str, out: str, memory: str | None) -> Found:
    """tieout with the whole ladder; every discrepancy and every match with its evidence written."""
    return _tieout(left, right, out, memory, None)


def pandas(left: str, right: str, out: str, _memory: str | None) -> Found:
    """pandas on exact decimals (Arrow): join, compare, write what differs."""
    import pandas as pd

    a, b = (pd.read_parquet(path, dtype_backend="pyarrow") for path in (left, right))
    both = a.merge(b, on="number", how="outer", suffixes=("_l", "_r"), indicator=True)
    paired = both["_merge"] == "both"
    differ = paired & False
    for name in FIELDS:
        differ |= paired & (both[f"{name}_l"] != both[f"{name}_r"]).fillna(value=False)
    both[differ | ~paired].astype({"_merge": "str"}).to_parquet(out)
    return {"differ": int(differ.sum()), "missing": int((~paired).sum())}


def polars(left: str, right: str, out: str, _memory: str | None) -> Found:
    """Polars, lazy, its streaming engine: join, compare, write what differs."""
    import polars as pl

    a, b = (pl.scan_parquet(path).with_columns(pl.lit(value=True).alias("there")) for path in (left, right))
    both = a.join(b, on="number", how="full", suffix="_r", coalesce=True)
    missing = pl.col("there").is_null() | pl.col("there_r").is_null()
    differ = pl.any_horizontal([(pl.col(n) != pl.col(f"{n}_r")).fill_null(value=False) for n in FIELDS])
    found = both.with_columns(differ.alias("differ")).filter(missing | pl.col("differ"))
    found.sink_parquet(out, engine="streaming")
    counts = pl.read_parquet(out, columns=["differ"])["differ"]
    return {"differ": int(counts.sum()), "missing": len(counts) - int(counts.sum())}


def datacompy(left: str, right: str, out: str, _memory: str | None) -> Found:
    """datacompy on Polars, its fastest: join, compare, list what differs."""
    import polars as pl
    from datacompy import PolarsCompare

    a, b = (pl.read_parquet(path) for path in (left, right))
    made = PolarsCompare(a, b, join_columns="number", abs_tol=0, rel_tol=0)
    found = made.all_mismatch()
    found.write_parquet(out)
    return {"differ": len(found), "missing": len(made.df1_unq_rows) + len(made.df2_unq_rows)}


CONTENDERS: dict[str, tuple[Callable[..., Found], tuple[str, ...]]] = {
    "join": (join, ("duckdb",)),
    "key": (key, ("tieout.compare", "duckdb")),
    "ladder": (ladder, ("tieout.compare", "duckdb")),
    "pandas": (pandas, ("pandas", "pyarrow")),
    "polars": (polars, ("polars",)),
    "datacompy": (datacompy, ("datacompy",)),
}


def main(name: str, left: str, right: str, out: str, memory: str | None = None) -> None:
    work, imports = CONTENDERS[name]
    for module in imports:
        importlib.import_module(module)
    start, used = time.perf_counter(), time.process_time()
    found = work(left, right, out, memory)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = int(next(row for row in status if row.startswith("VmHWM")).split()[1]) // 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
