"""Two ledgers of a million documents: 1 % missing on each side, 1 % of the amounts different; loading left out."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import duckdb

from benchmarks.measure import Figure, peak, resident
from tieout import compare
from tieout.compare import Background
from tieout.mapping.relation import DOCUMENTS, SIDES, TABLES, create_table

COUNT = 1_000_000
ROUNDS = 3

_ROWS = """
SELECT i, 'INV-' || lpad(CAST(i AS VARCHAR), 8, '0') AS number, 'C' || (i * 7919 % 5000) AS customer,
       DATE '2026-01-01' + CAST(i % 300 AS INTEGER) AS issued,
       CAST(10000 + (i * 104729) % 9000000 AS DECIMAL(24,6)) * CAST(0.01 AS DECIMAL(3,2)) AS total,
       CASE i % 3 WHEN 0 THEN 'EUR' ELSE 'USD' END AS currency
FROM range({count}) AS r(i)
"""
_SIDES = {
    "left": "SELECT *, total AS amount FROM ({rows}) WHERE i % 100 <> 1",
    "right": "SELECT *, CASE WHEN i % 100 = 3 THEN total + 1 ELSE total END AS amount FROM ({rows}) "
    "WHERE i % 100 <> 2 ORDER BY hash(i)",
}
_FILL = """
INSERT INTO {side}_documents BY NAME
SELECT number || '/' || i AS id, 'invoice' AS kind, 1 AS sign, customer, 'Customer ' || customer AS customer_name,
       'customer' || lower(customer) AS customer_name_key, lower(customer) AS customer_key, number,
       lower(replace(number, '-', '')) AS number_key, issued, issued AS posted, issued + 30 AS due, currency,
       CAST(amount AS DECIMAL(24,6)) AS total, CAST(amount AS DECIMAL(24,6)) AS open,
       CAST(amount AS DECIMAL(24,6)) AS ar, 'posted' AS state, '{side}:' || i AS source
FROM ({rows})
"""
_HASHED = ", ".join(name for name, _ in DOCUMENTS if name not in ("id", "source"))
_JOIN = "CREATE OR REPLACE TEMP TABLE plain AS SELECT coalesce(l.number, r.number) AS number, l.h = r.h AS same FROM {}"
_PLAIN = _JOIN.format(
    " FULL JOIN ".join(f"(SELECT number, hash({_HASHED}) AS h FROM {s}_documents) AS {s[0]}" for s in SIDES)
    + " ON l.number = r.number"
)


def fill(con: duckdb.DuckDBPyConnection, *, repeated: bool, count: int = COUNT) -> None:
    """Both sides; `repeated`: one document in a thousand is there twice on each side."""
    for side in SIDES:
        for table in TABLES:
            con.execute(create_table(side, table))
        rows = _SIDES[side].format(rows=_ROWS.format(count=count))
        if repeated:
            again = f"SELECT i + {count} AS i, * EXCLUDE (i) FROM ({rows}) WHERE i % 1000 = 5"
            rows = f"SELECT * FROM ({rows}) UNION ALL {again}"
        con.execute(_FILL.format(side=side, rows=rows))


def _measured(*, repeated: bool) -> tuple[float, float, int, int, float]:
    """Ratio of the times, of processor times, MB of the plain join, MB of ours, both beyond the loaded tables; s."""
    con = duckdb.connect()
    fill(con, repeated=repeated)
    wall, cpu, seconds, most = [], [], [], [0, 0]
    for _ in range(ROUNDS):
        spent = []
        for n, work in enumerate((lambda: con.execute(_PLAIN), lambda: _ours(con))):
            before = resident()
            start, used = time.perf_counter(), time.process_time()
            with peak() as held:
                work()
            spent.append((time.perf_counter() - start, time.process_time() - used))
            most[n] = max(most[n], held[0] - before)
        wall.append(spent[1][0] / spent[0][0])
        cpu.append(spent[1][1] / spent[0][1])
        seconds.append(spent[1][0])
    con.close()
    return statistics.median(wall), statistics.median(cpu), most[0], most[1], statistics.median(seconds)


def _ours(con: duckdb.DuckDBPyConnection) -> None:
    result = compare.run(con, Background("left"), Background("right"), as_of=None)
    found = {code: entry["count"] for code, entry in result.by_code.items()}
    each = COUNT // 100
    if (found["AMOUNT_NET"], found["MISSING_IN_A"], found["MISSING_IN_B"]) != (each, each, each):
        raise RuntimeError(f"not what was put in: {found}")
    if any(bridge.remainder for bridge in result.bridge.values()):
        raise RuntimeError("the bridge does not close")


def run(_folder: Path) -> list[Figure]:
    figures = []
    for repeated in (False, True):
        wall, cpu, plain, ours, seconds = _measured(repeated=repeated)
        name = f"comparison of {COUNT:,} × {COUNT:,}{', 0.1 % twice' if repeated else ''}"
        over = "DuckDB's full outer join with a row hash of the same tables"
        figures += [
            Figure(name, over, wall, 4, note=f"{seconds:.1f} s; {ours} MB more at the peak, the join {plain}"),
            Figure(f"processor time of the {name}", "the join's", cpu),
        ]
    return figures
