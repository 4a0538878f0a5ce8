"""The pairs that most documents of two ledgers in step are in: once on each side, and equal in all that is compared.

One hash join finds them before anything is copied, and only what is left goes through the ladder and the rules.
It compares the values themselves, no hash of them. The answer is the same as without it; tests prove that.

Not taken: what another rung may have a stronger claim to (links, markers), what a rule about cash looks at (documents
that an application or an adjustment concerns), and what could be the twin of a document that is left.

Who writes a rule: it sees these pairs neither in `cmp_match` nor in `cmp_left`, `cmp_right`. If it compares one more
column of a pair, let `_same` ask for it; if it looks at a ledger as a whole, let it read `cmp_every_*`; if neither
will do, let `take_off` answer 0 where the rule has something to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tieout.compare.inputs.tables import Connection, Parties, by_name
from tieout.compare.matching.ladder import BASE_ID, NEAR_DAYS
from tieout.mapping.relation import SIDES

FROM_ROWS = 50_000  # rows of the smaller side from which one pass over both is worth its price
MOST_PAIRS = 3  # times the rows of both sides: more means numbers that repeat very often

# True where a pair needs no further look, by the column. A column is left out where no row says anything in it.
_ALWAYS = ("l.total = r.total", "l.issued = r.issued", "coalesce(l.currency, '') = coalesce(r.currency, '')")
# A difference of these counts even where one side says nothing.
_STRICT = ("subkind", "voided_on", "settled_on")
# `l.x = r.x` over NULL is unknown: an unstated value is not compared.
_LENIENT = ("tax", "due", "rate", "disputed")
_SAME_EFFECT = "coalesce(l.ar, l.sign * l.total) = coalesce(r.ar, r.sign * r.total)"
# The join is given up beyond `most` rows: numbers repeat so often that it would grow without bounds.
_PAIRS = """
CREATE OR REPLACE TEMP TABLE cmp_equal AS
SELECT l.rid AS left_rid, r.rid AS right_rid, {same} AS same{more}
FROM ({left}) AS l FULL JOIN ({right}) AS r ON l.k = r.k LIMIT {most}
"""
# One row per document; `k` is NULL where it is not to be taken. `pair` is one number on both sides for one customer.
_KEYED = "SELECT b.*{pair}, {key} AS k FROM cmp_rows_{side} AS b{party}"
_PARTY = " LEFT JOIN cmp_party_{side} AS q ON q.id = {party}"
_NUMBERED = " LEFT JOIN cmp_numbered_{side} AS q ON q.id = {party}"
_NUMBERS = """
CREATE OR REPLACE TEMP TABLE cmp_numbered_{side} AS
SELECT q.id, m.pair FROM cmp_party_{side} AS q JOIN (
  SELECT {side}_cid AS cid, row_number() OVER (ORDER BY left_cid) AS pair FROM cmp_customer_match) AS m ON m.cid = q.cid
"""
# Rows that may be seen again by a rule of cash, here or in the other ledger.
_UNTOUCHED = """
b.kind = 'invoice' AND (b.open IS NULL OR b.open = abs(coalesce(b.ar, b.sign * b.total)))
AND b.id NOT IN (SELECT invoice FROM {side}_applications WHERE invoice IS NOT NULL)
"""
_UNCONCERNED = "b.concerns IS NULL"
_NOT_CONCERNED = """
b.id NOT IN (SELECT concerns FROM {side}_documents WHERE kind = 'adjustment' AND concerns IS NOT NULL)
"""
_COUNTS = "SELECT count(*), count(left_rid), count(right_rid), count(CASE WHEN same THEN 1 END) FROM cmp_equal"
_REST = """
CREATE OR REPLACE TEMP TABLE cmp_rest_{side} AS
SELECT DISTINCT {side}_rid AS rid FROM cmp_equal WHERE {side}_rid IS NOT NULL AND same IS NOT TRUE
"""
# Where one row met several, none of these is the one: all of them are left to the ladder.
_SEVERAL = """
UPDATE cmp_equal AS e SET same = FALSE
FROM (SELECT {side}_rid AS rid FROM cmp_equal WHERE {side}_rid IS NOT NULL{among} GROUP BY {side}_rid
      HAVING count(*) > 1) AS s
WHERE e.{side}_rid = s.rid
"""
# Looked for among those of 64 neighbours that are more than 64: true where the numbers of rows have no gaps.
_AMONG = """ AND {side}_rid - {side}_rid % 64 IN (
  SELECT {side}_rid - {side}_rid % 64 AS nth FROM cmp_equal WHERE {side}_rid IS NOT NULL GROUP BY 1
  HAVING count(*) > max({side}_rid) - min({side}_rid) + 1)"""
_SPAN = "SELECT max({side}_rid) - min({side}_rid) + 1 FROM cmp_equal"
# What the list of matches says of the other row: taken along, for to find that row again would cost a join.
_RIGHT_ID = ", r.id AS right_id"
_RIGHT_NUMBER = ", CASE WHEN r.number <> l.number THEN r.number END AS right_number"
# Numbers that stand more than once on a side, where a join on all of them would grow beyond bounds.
_REPEATED = """
CREATE OR REPLACE TEMP TABLE cmp_repeated AS
SELECT {key} AS k FROM cmp_rows_left WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1
UNION SELECT {key} FROM cmp_rows_right WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1
"""
# Pairs of which one row could be what a row that is left was booked twice of: see `match._duplicates`. Few rows have
# the total of one that is left; only of these is more read than that.
_LEFT_OVER = """
CREATE OR REPLACE TEMP TABLE cmp_left_over AS
SELECT b.rid, b.kind, b.subkind, {who} AS who, b.currency, b.total, b.issued
FROM (SELECT * FROM cmp_rows_{side} WHERE rid IN (SELECT rid FROM cmp_rest_{side})) AS b{party}
"""
_TWINS = """
INSERT INTO cmp_twin
SELECT DISTINCT e.left_rid, e.right_rid FROM (
  SELECT t.rid FROM (
    SELECT b.rid, b.kind, b.subkind, {who} AS who, b.currency, b.total, b.issued
    FROM (SELECT * FROM cmp_rows_{side} WHERE total IN (SELECT total FROM cmp_left_over)
           AND rid NOT IN (SELECT rid FROM cmp_left_over)) AS b{party}) AS t
  JOIN cmp_left_over AS f
    ON t.kind = f.kind AND t.who = f.who AND t.total = f.total AND t.currency IS NOT DISTINCT FROM f.currency
   AND t.subkind IS NOT DISTINCT FROM f.subkind AND abs(datediff('day', t.issued, f.issued)) <= {near}) AS n
JOIN cmp_equal AS e ON e.{side}_rid = n.rid AND e.same
"""
# Pairs of which one row has the number of one that is left: of that, it is said what its number pairs with.
_NAMESAKES = """
INSERT INTO cmp_twin
SELECT e.left_rid, e.right_rid FROM cmp_equal AS e WHERE e.same AND e.{side}_rid IN (
  SELECT rid FROM cmp_rows_{side} WHERE number IN (
    SELECT number FROM cmp_rows_{side} WHERE rid IN (SELECT rid FROM cmp_rest_{side}) AND number IS NOT NULL))
"""


def take_off(
    con: Connection,
    parties: Parties,
    told: Sequence[str],
    *,
    same_ids: bool = False,
    key: str | None = None,
    from_rows: int = FROM_ROWS,
    listed: bool = False,
) -> int:
    """How many pairs need no further look. They are `cmp_equal` (left_rid, right_rid, same), where `same`.

    Otherwise 0, and nothing is made. `cmp_rest_left`, `cmp_rest_right` (rid) are the rows that are left to look at; of
    these `cmp_twin` (left_rid, right_rid) are equal pairs that another row may be a twin of. Needs `tables.parties`.
    told: see `tables.told`
    key: the column that is known to tell which document is which, `id` or `number`; None where the ladder decides
    same_ids: as in `engine.run` · from_rows: rows of the smaller side below which this is not tried
    listed: `cmp_equal` says what `listed.write_matches` needs of the right row, too
    """
    left, right = parties.stated
    claimed = not key and any(s["link"] or s["marker"] for s in (left, right))
    if min(left["n"], right["n"]) < max(from_rows, 1) or claimed:
        return 0
    for side in SIDES:
        con.execute(f"CREATE OR REPLACE TEMP VIEW cmp_rows_{side} AS SELECT * FROM {parties.rows(side)} AS d")
    named = by_name(con, parties)
    cash = bool(left["applications"] or right["applications"])
    quiet = [_quiet(side, cash=cash, concerned=s["concerns"] > 0) for side, s in zip(SIDES, (left, right), strict=True)]
    same = _same(left, right, told)
    by_pair = parties.comparable and not named
    for side in SIDES if by_pair else ():
        con.execute(_NUMBERS.format(side=side))
    if parties.comparable:
        same.append("l.customer = r.customer" if named else "l.pair = r.pair")
    if same_ids:
        same.append(f"{BASE_ID.format(id='l.id')} = {BASE_ID.format(id='r.id')}")
    rows = left["n"], right["n"]
    for column in (key,) if key == "id" else parties.numbers:
        more = _RIGHT_ID + ("" if column == "number" else _RIGHT_NUMBER) if listed else ""
        keyed = [f"CASE WHEN {' AND '.join(q)} THEN b.{column} END" if q else f"b.{column}" for q in quiet]
        pairs = _join(con, parties, same, keyed, rows, more=more, by_pair=by_pair)
        if pairs is None:
            con.execute(_REPEATED.format(key=column))
            keyed = [f"CASE WHEN b.{column} NOT IN (SELECT k FROM cmp_repeated) THEN {k} END" for k in keyed]
            pairs = _join(con, parties, same, keyed, rows, more=more, by_pair=by_pair)
        if pairs:
            for side in SIDES:
                con.execute(_REST.format(side=side))
            con.execute("CREATE OR REPLACE TEMP TABLE cmp_twin (left_rid BIGINT, right_rid BIGINT)")
            # Where no other row of a side has the number that documents are known by, nothing taken off has a twin.
            twins = column == "id" or (column == "number" and not key) or any(quiet)
            return pairs - (_twins(con, parties, numbers=any(quiet) and not key) if twins else 0)
    return 0


def _same(left: Mapping[str, int], right: Mapping[str, int], told: Sequence[str]) -> list[str]:
    """What must hold of a pair. left, right: how many rows say something in each column"""
    either = {c for c in left if left[c] or right[c]}
    both = {c for c in left if left[c] and right[c]}
    return [
        *_ALWAYS,
        *(f"l.{c} = r.{c}" for c in ("kind", "state") if c in either),
        *(["(l.kind <> 'adjustment' OR l.sign = r.sign)"] if "kind" in either else []),
        *(["l.posted IS NOT DISTINCT FROM r.posted"] if "posted" in either else []),
        *(f"l.{c} IS NOT DISTINCT FROM r.{c}" for c in _STRICT if c in either),
        *(f"coalesce(l.{c} = r.{c}, TRUE)" for c in (*_LENIENT,) if c in both),
        *(f"coalesce(l.{c} = r.{c}, TRUE)" for c in told),
        *([_SAME_EFFECT] if "ar" in either else []),
    ]


def _quiet(side: str, *, cash: bool, concerned: bool) -> list[str]:
    """Conditions on a row that no rule of cash looks at it.

    cash: a side states applications · concerned: there are documents here that concern others
    """
    conditions = [_UNTOUCHED.format(side=side)] if cash else []
    if concerned:
        conditions += [f"(b.kind <> 'adjustment' OR {_UNCONCERNED})", _NOT_CONCERNED.format(side=side)]
    return [f"({c})" for c in conditions]


def _join(
    con: Connection,
    parties: Parties,
    same: Sequence[str],
    keyed: Sequence[str],
    rows: tuple[int, int],
    *,
    more: str,
    by_pair: bool,
) -> int | None:
    """Fill `cmp_equal`; how many pairs are the same, None where numbers repeat so often that it was given up.

    more: further columns of it · by_pair: customers are compared by the number of their pair
    """
    sides = {
        side: _KEYED.format(
            side=side,
            key=key,
            pair=", q.pair" if by_pair else "",
            party=_NUMBERED.format(side=side, party=parties.id_of(side, "b")) if by_pair else "",
        )
        for side, key in zip(SIDES, keyed, strict=True)
    }
    most = MOST_PAIRS * sum(rows)
    con.execute(_PAIRS.format(same=" AND ".join(same), more=more, most=most + 1, **sides))
    every, left, right, pairs = con.execute(_COUNTS).fetchall()[0]
    if every > most:
        return None
    for side, met, has in zip(SIDES, (left, right), rows, strict=True):
        if met != has:
            gapless = con.execute(_SPAN.format(side=side)).fetchall()[0][0] == has
            con.execute(_SEVERAL.format(side=side, among=_AMONG.format(side=side) if gapless else ""))
    return int(pairs if (left, right) == rows else con.execute(_COUNTS).fetchall()[0][3])


def _twins(con: Connection, parties: Parties, *, numbers: bool) -> int:
    """Leave among the rows that are left what these could be twins of; how many pairs that are.

    numbers: and what has a number of theirs, which otherwise the join by numbers has left
    """
    for side in SIDES:
        party = _PARTY.format(side=side, party=parties.id_of(side, "b")) if parties.comparable else ""
        asked = {"side": side, "who": parties.who("q"), "party": party}
        con.execute(_LEFT_OVER.format(**asked))
        con.execute(_TWINS.format(near=NEAR_DAYS, **asked))
        if numbers:
            con.execute(_NAMESAKES.format(side=side))
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_twin AS SELECT DISTINCT left_rid, right_rid FROM cmp_twin")
    for side in SIDES:
        con.execute(f"INSERT INTO cmp_rest_{side} SELECT {side}_rid FROM cmp_twin")
    return int(con.execute("SELECT count(*) FROM cmp_twin").fetchall()[0][0])
