"""The pairs that most documents of two ledgers in step are in: once on each side, and equal in all that is compared.

One hash join finds them before anything is copied, and only what is left goes through the ladder and the rules.
It compares the values themselves, no hash of them. The answer is the same as without it; tests prove that.

Not taken: what another rung may have a stronger claim to (links, markers), what a rule about cash looks at (documents
that an application or an adjustment concerns), and what could be the twin of a document that is left.

Who writes a rule: it sees these pairs neither in `cmp_match` nor in `cmp_left`, `cmp_right`. If it compares one more
column of a pair, add the column to `_SAME`; if it looks at a ledger as a whole, let it read `cmp_every_*`; if neither
will do, let `take_off` answer 0 where the rule has something to look at.
"""

from __future__ import annotations

from collections.abc import Sequence

from tieout.compare.match import BASE_ID, NEAR_DAYS
from tieout.compare.tables import Connection, Parties, told
from tieout.mapping.relation import SIDES

FROM_ROWS = 50_000  # rows of the smaller side from which one pass over both is worth its price
_SAMPLE = 20_000  # rows looked at to tell whether numbers repeat so often that a join on them would grow

# True where a pair needs no further look. `l.x = r.x` over NULL is unknown: an unstated value is not compared.
_SAME = (
    "l.kind = r.kind",
    "l.subkind IS NOT DISTINCT FROM r.subkind",
    "l.sign = r.sign",
    "l.who = r.who",
    "coalesce(l.currency, '') = coalesce(r.currency, '')",
    "l.total = r.total",
    "coalesce(l.ar, l.sign * l.total) = coalesce(r.ar, r.sign * r.total)",
    "coalesce(l.tax = r.tax, TRUE)",
    "l.state = r.state",
    "l.issued = r.issued",
    "l.posted IS NOT DISTINCT FROM r.posted",
    "coalesce(l.due = r.due, TRUE)",
    "l.voided_on IS NOT DISTINCT FROM r.voided_on",
    "l.settled_on IS NOT DISTINCT FROM r.settled_on",
    "coalesce(l.rate = r.rate, TRUE)",
    "coalesce(l.disputed = r.disputed, TRUE)",
)
_PAIRS = """
CREATE OR REPLACE TEMP TABLE cmp_equal AS
SELECT l.rid AS left_rid, r.rid AS right_rid, {same} AS same
FROM ({left}) AS l FULL JOIN ({right}) AS r ON l.k = r.k
"""
# One row per document; `k` is NULL where it is not to be taken.
_KEYED = """
SELECT b.*, {who} AS who, CASE WHEN {quiet} THEN b.{key} END AS k FROM cmp_rows_{side} AS b{party}
"""
_PARTY = " LEFT JOIN cmp_party_{side} AS q ON q.id = coalesce(b.customer, b.customer_name)"
# Rows that may be seen again by a rule of cash, here or in the other ledger.
_UNTOUCHED = """
b.kind = 'invoice' AND (b.open IS NULL OR b.open = abs(coalesce(b.ar, b.sign * b.total)))
AND b.id NOT IN (SELECT invoice FROM {side}_applications WHERE invoice IS NOT NULL)
"""
_UNCONCERNED = """
b.kind = 'invoice' AND b.id NOT IN (SELECT concerns FROM {side}_documents WHERE kind = 'adjustment'
                                    AND concerns IS NOT NULL) OR b.kind <> 'invoice' AND b.concerns IS NULL
"""
_STATED = """
SELECT (SELECT count(*) FROM {side}_documents), (SELECT count(link) + count(marker) FROM {side}_documents),
       (SELECT count(*) FROM {side}_applications)
"""
_COUNTS = "SELECT count(*), count(left_rid), count(right_rid), count(CASE WHEN same THEN 1 END) FROM cmp_equal"
_REST = """
CREATE OR REPLACE TEMP TABLE cmp_rest_{side} AS
SELECT DISTINCT {side}_rid AS rid FROM cmp_equal WHERE {side}_rid IS NOT NULL AND same IS NOT TRUE
"""
# Where one row met several, none of these is the one: all of them are left to the ladder.
_SEVERAL = """
CREATE OR REPLACE TEMP TABLE cmp_equal AS
SELECT left_rid, right_rid,
       same AND left_rid NOT IN (SELECT left_rid FROM cmp_equal WHERE left_rid IS NOT NULL
                                 GROUP BY left_rid HAVING count(*) > 1)
            AND right_rid NOT IN (SELECT right_rid FROM cmp_equal WHERE right_rid IS NOT NULL
                                  GROUP BY right_rid HAVING count(*) > 1) AS same
FROM cmp_equal
"""
# Numbers that stand more than once on a side, where a join on all of them would grow beyond bounds.
_REPEATED = """
CREATE OR REPLACE TEMP TABLE cmp_repeated AS
SELECT {key} AS k FROM cmp_rows_left WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1
UNION SELECT {key} FROM cmp_rows_right WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1
"""
_CROWDED = """
SELECT coalesce(sum(n * (n - 1)), 0) FROM (
  SELECT count(*) AS n FROM cmp_rows_{side} WHERE hash(rid) % {each} = 0 AND {key} IS NOT NULL GROUP BY {key}) AS s
"""
# Pairs of which one row could be what a row that is left was booked twice of: see `match._duplicates`.
_TWINS = """
INSERT INTO cmp_twin
SELECT DISTINCT e.left_rid, e.right_rid FROM (
  SELECT t.rid FROM ({rows}) AS t
  JOIN (SELECT b.kind, b.subkind, b.who, b.currency, b.total, b.issued FROM ({rows}) AS b
        WHERE b.rid IN (SELECT rid FROM cmp_rest_{side})) AS f
    ON t.kind = f.kind AND t.who = f.who AND t.total = f.total AND t.currency IS NOT DISTINCT FROM f.currency
   AND t.subkind IS NOT DISTINCT FROM f.subkind AND abs(datediff('day', t.issued, f.issued)) <= {near}) AS n
JOIN cmp_equal AS e ON e.{side}_rid = n.rid AND e.same
"""
_ROWS = "SELECT b.rid, b.kind, b.subkind, {who} AS who, b.currency, b.total, b.issued FROM cmp_rows_{side} AS b{party}"


def take_off(
    con: Connection, parties: Parties, *, same_ids: bool = False, key: str | None = None, from_rows: int = FROM_ROWS
) -> int:
    """How many pairs need no further look. They are `cmp_equal` (left_rid, right_rid, same), where `same`.

    Otherwise 0, and nothing is made. `cmp_rest_left`, `cmp_rest_right` (rid) are the rows that are left to look at; of
    these `cmp_twin` (left_rid, right_rid) are equal pairs that another row may be a twin of. Needs `tables.parties`.
    key: the column that is known to tell which document is which, `id` or `number`; None where the ladder decides
    same_ids: as in `engine.run` · from_rows: rows of the smaller side below which this is not tried
    """
    stated = [con.execute(_STATED.format(side=side)).fetchall()[0] for side in SIDES]
    rows = [s[0] for s in stated]
    known = any(s[1] for s in stated) and not key
    if min(rows) < max(from_rows, 1) or known:
        return 0
    for column in (key,) if key == "id" else parties.numbers:
        quiet = [_quiet(side, cash=any(s[2] for s in stated)) for side in SIDES]
        if any(_crowded(con, side, column, n) for side, n in zip(SIDES, rows, strict=True)):
            con.execute(_REPEATED.format(key=column))
            quiet = [f"({q}) AND b.{column} NOT IN (SELECT k FROM cmp_repeated)" for q in quiet]
        if pairs := _pair(con, parties, column, quiet, rows, same_ids=same_ids):
            return pairs
    return 0


def _quiet(side: str, *, cash: bool) -> str:
    """The condition on a row that no rule of cash looks at it. cash: a side states applications"""
    conditions = [_UNCONCERNED]
    if cash:
        conditions.append(_UNTOUCHED)
    return " AND ".join(f"({c.format(side=side)})" for c in conditions)


def _crowded(con: Connection, side: str, key: str, rows: int) -> bool:
    """Whether, by a sample, a join of the side with itself on the key would more than double it."""
    each = max(1, rows // _SAMPLE)
    return bool(con.execute(_CROWDED.format(side=side, key=key, each=each)).fetchall()[0][0] * each * each > rows)


def _pair(
    con: Connection, parties: Parties, key: str, quiet: Sequence[str], rows: Sequence[int], *, same_ids: bool
) -> int:
    party = _PARTY if parties.comparable else ""
    keyed = {
        side: _KEYED.format(side=side, who=parties.who("q"), quiet=q, key=key, party=party.format(side=side))
        for side, q in zip(SIDES, quiet, strict=True)
    }
    same = [*_SAME, *(f"coalesce(l.{column} = r.{column}, TRUE)" for column in told(con))]
    if same_ids:
        same.append(f"{BASE_ID.format(id='l.id')} = {BASE_ID.format(id='r.id')}")
    con.execute(_PAIRS.format(same=" AND ".join(same), **keyed))
    _, left, right, pairs = con.execute(_COUNTS).fetchall()[0]
    if (left, right) != tuple(rows):
        con.execute(_SEVERAL)
        pairs = con.execute(_COUNTS).fetchall()[0][3]
    if not pairs:
        return 0
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_twin (left_rid BIGINT, right_rid BIGINT)")
    for side in SIDES:
        con.execute(_REST.format(side=side))
    for side in SIDES:
        each = _ROWS.format(side=side, who=parties.who("q"), party=party.format(side=side))
        con.execute(_TWINS.format(side=side, rows=each, near=NEAR_DAYS))
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_twin AS SELECT DISTINCT left_rid, right_rid FROM cmp_twin")
    return int(pairs) - _keep(con)


def _keep(con: Connection) -> int:
    """Leave the twins among the rows that are left; how many pairs that are."""
    for side in SIDES:
        con.execute(f"INSERT INTO cmp_rest_{side} SELECT {side}_rid FROM cmp_twin")
    return int(con.execute("SELECT count(*) FROM cmp_twin").fetchall()[0][0])
