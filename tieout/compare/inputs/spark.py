"""The comparison's statements on Apache Spark: the same SQL, transpiled, over the same relation.

`Spark` stands where a DuckDB connection stands: `execute`, `executemany`, `fetchall`. Tables of a comparison become
checkpointed views, since a Spark session has no tables of its own that can be changed: an INSERT appends a frame, an
UPDATE makes the view anew. What DuckDB and Spark do not read in the same way is put into one form that both read alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tieout.compare.inputs.tables import complete_numbers
from tieout.errors import ConfigError
from tieout.mapping.relation import SIDES, TABLES

try:
    import sqlglot
    from pyspark.sql import DataFrame, SparkSession
    from sqlglot import exp
except ImportError as error:
    raise ConfigError(
        "the comparison on Spark needs pyspark and sqlglot", hint="pip install 'tieout[spark]', and Java 17 or newer"
    ) from error

Tree = Any  # of sqlglot, whose classes for a statement and for a part of one changed between its releases
FEW = 100_000  # rows that one task holds: more tasks would cost more than they share


@contextmanager
def session(master: str, *, settings: Iterable[tuple[str, str]] = ()) -> Iterator[SparkSession]:
    """A Spark session that ends with the block. master: `local[2]`, `spark://host:7077`, `yarn`, …"""
    builder = SparkSession.builder.master(master).appName("tieout compare")
    own = {
        "spark.sql.ansi.enabled": "true",  # an overflow is an error, never a NULL
        "spark.sql.session.timeZone": "UTC",
        # A union of checkpointed frames fails in the optimiser over their constraints ("key not found", Spark 4.0-4.3).
        "spark.sql.constraintPropagation.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **({"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"} if _local(master) else {}),
        **({"spark.sql.shuffle.partitions": "4"} if _local(master) else {}),
    }
    for key, value in (own | dict(settings)).items():
        builder = builder.config(key, value)
    try:
        live = builder.getOrCreate()
    except Exception as error:
        raise ConfigError(
            f"no Spark session at {master}: {str(error).splitlines()[0]}",
            hint="is Java 17 or newer on this machine (java -version), and the master there?",
        ) from error
    try:
        yield live
    finally:
        live.stop()


def _local(master: str) -> bool:
    return master.startswith("local")


class Spark:
    """One comparison in a Spark session, with the calls of a DuckDB connection that `compare` makes."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._tables: dict[str, DataFrame] = {}
        self._answer: list[tuple[Any, ...]] = []
        self.description: list[tuple[str]] = []  # the names of the columns of the last query

    def load(self, side: str, folder: str) -> None:
        """Take one side from `{folder}/{side}_{table}.parquet`, as `export` wrote it."""
        for table in TABLES:
            name = f"{side}_{table}"
            self._hold(name, self._spark.read.parquet(f"{folder}/{name}.parquet"))

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Spark:
        """Run one statement of the comparison; its rows, or how many it inserted or made, are then in `fetchall`."""
        tree = sqlglot.parse_one(bound(sql, parameters), read="duckdb")
        match tree:
            case exp.Create(kind="VIEW"):
                self._hold(tree.this.name, self._spark.sql(spoken(tree.expression)))
                self._answer = []
            case exp.Create() if tree.expression:
                made, count = self._made(self._spark.sql(spoken(tree.expression)))
                self._hold(tree.this.name, made)
                self._answer = [(count,)]
            case exp.Create():
                columns = [(c.name, c.kind) for c in tree.this.expressions]
                shape = ", ".join(f"`{name}` {kind.sql(dialect='spark')}" for name, kind in columns)
                self._hold(tree.this.this.name, self._spark.createDataFrame([], shape))
                self._answer = []
            case exp.Insert():
                self._answer = [(self._insert(tree),)]
            case exp.Update():
                self._update(tree)
                self._answer = []
            case exp.Query():
                rows = self._spark.sql(spoken(tree))
                self.description = [(name,) for name in rows.columns]
                self._answer = [tuple(row) for row in rows.collect()]
            case _:
                raise NotImplementedError(f"no comparison says {type(tree).__name__}")
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        for row in rows:
            self.execute(sql, row)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._answer

    def _made(self, rows: DataFrame) -> tuple[DataFrame, int]:
        """The rows, computed once, and how many: a view over a view over a view would be computed again each time."""
        kept = rows.localCheckpoint(eager=True)
        count = kept.count()
        return (kept.coalesce(1) if count <= FEW else kept), count

    def _hold(self, name: str, rows: DataFrame) -> None:
        self._tables[name.lower()] = rows
        rows.createOrReplaceTempView(name)

    def _insert(self, tree: exp.Insert) -> int:
        """Append by name where columns are named, by position else; types are the table's. How many rows."""
        into = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        held = self._tables[into.name.lower()]
        named = [c.name for c in tree.this.expressions] if isinstance(tree.this, exp.Schema) else held.columns
        rows = self._spark.sql(spoken(tree.expression)).toDF(*named)
        kinds = dict(held.dtypes)
        shaped, count = self._made(
            rows.selectExpr(
                *(f"CAST({f'`{c}`' if c in named else 'NULL'} AS {kinds[c]}) AS `{c}`" for c in held.columns)
            )
        )
        if count:
            self._hold(into.name, held.unionAll(shaped))
        return count

    def _update(self, tree: exp.Update) -> None:
        """`UPDATE t AS d SET … FROM (…) AS s WHERE …`, at most one row of `s` for each of `d`, as a new view."""
        table, other = tree.this, (tree.args.get("from_") or tree.args["from"]).this.copy()
        name, alias, given = table.name, table.alias_or_name, other.alias_or_name
        changed = {e.this.name: e.expression for e in tree.expressions}
        where = tree.args["where"].this
        columns = [
            f"CASE WHEN {given}.found__ THEN {spoken(changed[c])} ELSE {alias}.{c} END AS {c}"
            if c in changed
            else f"{alias}.{c}"
            for c in self._tables[name.lower()].columns
        ]
        other.set("alias", exp.TableAlias(this=exp.to_identifier("u__")))
        source = f"(SELECT u__.*, TRUE AS found__ FROM {spoken(other)}) AS {given}"
        made, _ = self._made(
            self._spark.sql(f"SELECT {', '.join(columns)} FROM {name} AS {alias} LEFT JOIN {source} ON {spoken(where)}")
        )
        self._hold(name, made)


@contextmanager
def handed_over(con: Any, master: str) -> Iterator[Spark]:
    """Both sides, loaded into DuckDB, in a Spark session of their own. The workers must see this machine's folder."""
    with tempfile.TemporaryDirectory(prefix="tieout-") as folder, session(master) as live:
        there = Spark(live)
        for side in SIDES:
            export(con, side, Path(folder))
            there.load(side, folder)
        yield there


def export(con: Any, side: str, folder: Path) -> None:
    """Write one side's tables from DuckDB for `Spark.load`, each row with the number that DuckDB gave it."""
    in_place = "rid" in {c[0] for c in con.execute(f"SELECT * FROM {side}_documents LIMIT 0").description}
    if in_place:
        con.execute(_WHOLE.format(side=side))
        complete_numbers(con, f"{side}_whole")
    for table in TABLES:
        name = f"{side}_{table}"
        path = str(folder / name).replace("'", "''")
        rows = f"* FROM {side}_whole" if in_place and table == "documents" else f"rowid, * FROM {name}"
        con.execute(f"COPY (SELECT {rows}) TO '{path}.parquet' (FORMAT parquet)")


# Documents that are read where they lie, with the keys of their customers and an id for each, as when loaded.
_WHOLE = """
CREATE OR REPLACE TEMP TABLE {side}_whole AS
SELECT d.rid AS rowid, d.* EXCLUDE (rid, nth, customer_name_key, customer_key)
       REPLACE (CASE WHEN d.nth > 1 THEN d.id || '#' || d.nth ELSE d.id END AS id),
       p.name_key AS customer_name_key, p.number_key AS customer_key
FROM (SELECT *, row_number() OVER (PARTITION BY kind, id ORDER BY rid) AS nth FROM {side}_documents) AS d
LEFT JOIN (SELECT id, name, max(name_key) AS name_key, max(number_key) AS number_key FROM {side}_parties
           GROUP BY id, name) AS p
  ON p.id = coalesce(d.customer, d.customer_name) AND p.name IS NOT DISTINCT FROM d.customer_name
"""


def bound(sql: str, parameters: Sequence[object]) -> str:
    """The statement with its `?` replaced, in their order, by literals of the values."""
    marks = [t for t in sqlglot.tokenize(sql, read="duckdb") if t.token_type is sqlglot.TokenType.PLACEHOLDER]
    if len(marks) != len(parameters):
        raise ValueError(f"{len(marks)} places and {len(parameters)} values")
    for mark, value in reversed(list(zip(marks, parameters, strict=True))):
        sql = sql[: mark.start] + _literal(value) + sql[mark.end + 1 :]
    return sql


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() | Decimal():
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        case date():
            return f"CAST('{value.isoformat()}' AS DATE)"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            raise TypeError(f"no literal for {type(value).__name__}")


def spoken(tree: Tree) -> str:
    """One statement or part of one, as Spark says it."""
    return str(tree.copy().transform(_put).sql(dialect="spark"))


def _put(node: Tree) -> Tree:
    """What Spark reads in another way, or slowly, in a form that means the same to both."""
    match node:
        # NOT IN over rows that are never NULL: an anti join, where NOT IN would send all rows to every worker.
        case exp.Not(this=exp.In() as within) if within.args.get("query"):
            inner = exp.alias_(within.args["query"].copy(), "n__", table=["v__"])
            same = exp.EQ(this=exp.column("v__", "n__"), expression=within.this.copy())
            return exp.Not(this=exp.Exists(this=exp.select("1").from_(inner).where(same)))
        case _:
            return node
