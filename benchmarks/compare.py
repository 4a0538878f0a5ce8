"""Two ledgers of a million and of ten million invoices in Parquet: 1 % missing on each side, 1 % of the amounts other.

Every contender runs in a process of its own, in turns. pandas, Polars and datacompy come into an environment of their
own (`.venv-bench`) if the package registry can be reached; what is absent is said.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measure import Figure

SMALL, BIG = 1_000_000, 10_000_000
ROUNDS = {SMALL: 3, BIG: 1}
ROOT = Path(__file__).resolve().parents[1]
OTHERS = ROOT / ".venv-bench"
# Versions that read what DuckDB writes and fit each other; they are measured, never depended on.
WANTED = ("datacompy>=1.1,<2", "pandas>=2.3", "polars>=1.33", "pyarrow>=20")

_ROWS = """
SELECT i, 'I' || i AS id, 'invoice' AS kind, 'C' || lpad(CAST(i * 7919 % 5000 AS VARCHAR), 5, '0') AS customer,
       'C' || lpad(CAST(i * 7919 % 5000 AS VARCHAR), 5, '0') AS customer_number,
       'Customer ' || (i * 7919 % 5000) AS customer_name, 'INV-' || lpad(CAST(i AS VARCHAR), 8, '0') AS number,
       DATE '2026-01-01' + CAST(hash(i) % 300 AS INTEGER) AS issued,
       DATE '2026-01-31' + CAST(hash(i) % 300 AS INTEGER) AS due,
       CASE i % 3 WHEN 0 THEN 'EUR' ELSE 'USD' END AS currency,
       CAST(((10000 + i * 104729) % 9000000 + 100) * CAST(0.01 AS DECIMAL(3,2)) AS DECIMAL(18,2)) AS total,
       CAST(((10000 + i * 104729) % 9000000 + 100) * CAST(0.001 AS DECIMAL(4,3)) AS DECIMAL(18,2)) AS tax,
       'posted' AS state
FROM range({count}) AS r(i)
"""
_SIDES = {
    "left": "SELECT * FROM ({rows}) WHERE i % 100 <> 1",
    "right": "SELECT * REPLACE (CASE WHEN i % 100 = 3 THEN total + 1 ELSE total END AS total) FROM ({rows}) "
    "WHERE i % 100 <> 2",
}
# One document in a thousand is booked a second time, on each side other ones.
_AGAIN = "SELECT * FROM ({rows}) UNION ALL SELECT * REPLACE (id || 'd' AS id) FROM ({rows}) WHERE i % 1000 = {nth}"
_WRITE = "COPY (SELECT * EXCLUDE (i) FROM ({rows}) ORDER BY {order}) TO '{path}' (FORMAT parquet)"


@dataclass(frozen=True, slots=True)
class Ran:
    """Medians over the rounds. peak: the most megabytes of any round"""

    seconds: list[float]
    cpu: list[float]
    peak: int
    found: dict[str, Any]

    def ratio(self, other: Ran) -> float:
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=False))

    def cpu_ratio(self, other: Ran) -> float:
        return statistics.median(a / b for a, b in zip(self.cpu, other.cpu, strict=False))


def write(folder: Path, count: int, *, repeated: bool) -> tuple[Path, Path]:
    """Both ledgers; the right one in another order."""
    paths = []
    with duckdb.connect() as con:
        for n, (side, query) in enumerate(_SIDES.items()):
            rows = query.format(rows=_ROWS.format(count=count))
            if repeated:
                rows = _AGAIN.format(rows=rows, nth=5 + n)
            path = folder / f"{side}-{count}{'-repeated' if repeated else ''}.parquet"
            con.execute(_WRITE.format(rows=rows, order="hash(i)" if n else "i", path=path))
            paths.append(path)
    return paths[0], paths[1]


def once(name: str, paths: tuple[Path, Path], *, memory: str | None = None) -> dict[str, Any]:
    """One contender in a process of its own. Raises RuntimeError with what it said where it fails."""
    python = OTHERS / "bin" / "python" if name in {"pandas", "polars", "datacompy"} else Path(sys.executable)
    out = paths[0].with_name(f"{name}.parquet")
    command = [str(python), str(ROOT / "benchmarks" / "contender.py"), name, *map(str, paths), str(out)]
    ran = subprocess.run(
        [*command, *([memory] if memory else [])],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if ran.returncode:
        raise RuntimeError(f"{name}: {ran.stderr.strip().splitlines()[-1] if ran.stderr else ran.returncode}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def in_turns(names: tuple[str, ...], paths: tuple[Path, Path], rounds: int) -> dict[str, Ran]:
    all_of: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, done in all_of.items():
            done.append(once(name, paths))
    return {
        name: Ran(
            [d["seconds"] for d in done], [d["cpu"] for d in done], max(d["peak"] for d in done), done[0]["found"]
        )
        for name, done in all_of.items()
    }


def others() -> str:
    """Make the environment of the other contenders; what kept it from being made, or ''."""
    try:
        if not (OTHERS / "bin" / "python").exists():
            venv.create(OTHERS, with_pip=True)
        pip = [
            str(OTHERS / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *WANTED,
        ]
        made = subprocess.run(pip, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return made.stderr.strip().splitlines()[-1] if made.returncode else ""


def check(found: dict[str, Any], count: int, *, repeated: bool) -> None:
    """Raises RuntimeError where tieout did not find what was put in, and nothing else."""
    each = count // 100
    expected = {"matched": count - 2 * each, "AMOUNT_NET": each, "MISSING_IN_A": each, "MISSING_IN_B": each}
    if repeated:
        expected["DUPLICATE_WITHIN_LEDGER"] = 2 * (count // 1000)
    if found != expected:
        raise RuntimeError(f"{found}, not {expected}")


def run(folder: Path) -> list[Figure]:
    figures: list[Figure] = []
    over = "DuckDB's full outer join with a row hash of the same Parquet"
    absent = others()
    if absent:
        print(f"\nnot measured: pandas, Polars, datacompy ({absent})", flush=True)
    ours: dict[int, Ran] = {}
    for count, repeated in ((SMALL, False), (SMALL, True), (BIG, False), (BIG, True)):
        paths = write(folder, count, repeated=repeated)
        ran = in_turns(("join", "key", "ladder"), paths, ROUNDS[count])
        plain = ran["join"]
        for name, said, limit in (
            ("key", "by a known key", 2.6 if repeated else 1.5),
            ("ladder", "by the whole ladder, with its evidence", 4.0),
        ):
            check(ran[name].found, count, repeated=repeated)
            what = f"{count:,} × {count:,}{', 0.1 % twice' if repeated else ''}, {said}"
            note = f"{statistics.median(ran[name].seconds):.1f} s, {ran[name].peak} MB; the join {plain.peak}"
            figures += [
                Figure(what, over, ran[name].ratio(plain), limit, note=note),
                Figure(f"processor time of {what}", "the join's", ran[name].cpu_ratio(plain)),
            ]
        if not repeated:
            ours[count] = ran["key"]
            figures += _beside(paths, count, absent)
        if repeated and count == BIG:
            figures.append(_limited(paths))
        for path in paths:
            path.unlink()
    growth = ours[BIG].ratio(ours[SMALL])
    return [
        *figures,
        Figure(f"{BIG:,} × {BIG:,} by a known key", f"{SMALL:,} × {SMALL:,}", growth, 12),
        _memory(ours[BIG]),
        exact(folder, absent),
    ]


def _beside(paths: tuple[Path, Path], count: int, absent: str) -> list[Figure]:
    """The others, where they are promised to be slower."""
    promised = {SMALL: (("datacompy", 10), ("pandas", 5)), BIG: (("polars", 1.5),)}
    figures = []
    for name, least in () if absent else promised[count]:
        try:
            ran = in_turns((name, "key"), paths, 1)
        except RuntimeError as error:
            print(f"\nnot measured: {error}", flush=True)
            continue
        note = f"{ran[name].seconds[0]:.1f} s, {ran[name].peak} MB; found {ran[name].found}"
        what = f"{name} on {count:,} × {count:,}"
        figures.append(Figure(what, "tieout by a known key", ran[name].ratio(ran["key"]), least, least=True, note=note))
    return figures


def _limited(paths: tuple[Path, Path]) -> Figure:
    """The whole ladder within a gigabyte."""
    free, held = once("key", paths), once("key", paths, memory="1GB")
    check(held["found"], BIG, repeated=True)
    note = f"{held['seconds']:.1f} s, {held['peak']} MB"
    return Figure(
        f"{BIG:,} × {BIG:,} within a limit of 1 GB", "without a limit", held["seconds"] / free["seconds"], note=note
    )


def _memory(ran: Ran) -> Figure:
    return Figure(f"megabytes at the peak of {BIG:,} × {BIG:,}", "2,000", ran.peak / 2000, 1)


def exact(folder: Path, absent: str) -> Figure:
    """A difference of 0.0001 in 18 digits: how many discrepancies tieout finds, of one."""
    with duckdb.connect() as con:
        rows = _ROWS.format(count=10)
        for side, places in (("left", "9998"), ("right", "9999")):
            total = f"CAST('99999999999999.{places}' AS DECIMAL(18,4)) AS total"
            con.execute(_WRITE.format(rows=f"SELECT * REPLACE ({total}) FROM ({rows})", order="i", path=folder / side))
    paths = folder / "left.parquet", folder / "right.parquet"
    for path in paths:
        path.with_suffix("").rename(path)
    found = once("key", paths)["found"]
    theirs = "datacompy is absent" if absent else f"datacompy finds {once('datacompy', paths)['found']['differ']}"
    return Figure(
        "differences of 0.0001 in 18 digits found", "those put in", found["AMOUNT_NET"] / 10, 1, least=True, note=theirs
    )
