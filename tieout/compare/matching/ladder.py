"""The match ladder: which document of one ledger is which of the other, strongest evidence first.

Before the amounts may differ, a document that the other ledger holds in parts (one number, or one day) is set aside.
Each rung asks for a key that is unique on both sides among the documents still unmatched; only documents that are
equal in everything the rung looks at are paired in order. What several candidates could be is ambiguous, never a match.

 0 link            the sync knows the pair
 1 marker          our reference on both; or the other ledger's id or number in a field of one side, and one customer
 2 identical       kind, number, customer, currency, total and date; or all but the number where neither side has one
 3 near date       the same, dates up to 3 days apart
 4 other date      the same, any date (payments: up to 31 days apart)
 5 other kind      the same, but one is an invoice and the other a credit memo
 6 other amount    kind, number and customer; first on the same date, then on any (payments: the same date only)
 7 other customer  kind, number, currency and total; the same
 8 no number       kind, customer, currency and total on the same or a near date, a number missing on one side
 9 other number    kind, customer, currency, total and date; the numbers differ

What is dated after the day of the comparison is a counterpart where it pairs alone; it makes nothing ambiguous: what is
left by then is tried once more without it.

What is left is looked through for groups whose sums agree, see `sums`; they are never a match either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tieout.compare.causes import clues
from tieout.compare.inputs.tables import Connection, documents, explain, parties
from tieout.compare.matching import several, sums
from tieout.compare.result import Match
from tieout.mapping.relation import SIDES

NEAR_DAYS = 3
MONTH = 31
FEW_PAIRS = 1_000_000  # free rows left × right up to which one look at all pairs is cheaper than a rung
MOST_CANDIDATES = 50  # per key and side in a rung that joins on nearness: more are ambiguous anyway

_NUMBER = ("kk", "number_key", "who", "currency", "total")
_BARE = ("kk", "who", "currency", "total")
# The id of a file's row without the ordinal that tells repeated ids apart.
BASE_ID = "regexp_replace({id}, '#[0-9]+$', '')"
_DETAIL = ("due", "tax", "net", "posted", "settled_on", "state", "open")


@dataclass(frozen=True, slots=True)
class Rung:
    """One pass. key: columns equal and not NULL on both sides · how: `unique`, `ordinal` (equal rows in order), `near`.

    where: condition on each side's rows, or (`on`) on the pair
    """

    no: int
    rule: str
    key: tuple[str, ...]
    how: str = "unique"
    where: str = "TRUE"
    on: str = "TRUE"
    automatic: bool = False


_HAS = "number_key IS NOT NULL"
_LACKS = "number_key IS NULL"
_ONE_LACKS = "(l.number_key IS NULL OR r.number_key IS NULL)"
# What two rows have that most of the rungs by number could pair.
_ALIKE = ("number_key", "currency", "total")
# A payment's reference ("ACH", "RENT") recurs; it identifies only near its date.
_NOT_CASH = "kind <> 'payment'"
_BILL = "kind IN ('invoice', 'credit_memo')"
_NUMBER_SIGNLESS = ("number_key", "who", "currency", "total")
STRONG: tuple[Rung, ...] = (
    Rung(2, "identical", (*_NUMBER, "issued"), automatic=True),
    Rung(2, "identical rows, in order", (*_NUMBER, "issued", "detail"), "ordinal"),
    Rung(2, "identical rows, in order", (*_NUMBER, "issued"), "ordinal"),
    Rung(2, "identical without a number", (*_BARE, "issued"), where=_LACKS),
    Rung(2, "identical rows without a number, in order", (*_BARE, "issued", "detail"), "ordinal", _LACKS),
    Rung(2, "identical rows without a number, in order", (*_BARE, "issued"), "ordinal", _LACKS),
    Rung(3, "near date", _NUMBER, "near", automatic=True),
    Rung(4, "other date", _NUMBER, on=f"(l.kind <> 'payment' OR abs(datediff('day', l.issued, r.issued)) <= {MONTH})"),
    Rung(5, "other kind", (*_NUMBER_SIGNLESS, "issued"), where=_BILL, on="l.sign <> r.sign"),
    Rung(5, "other kind", _NUMBER_SIGNLESS, where=_BILL, on="l.sign <> r.sign"),
    Rung(
        5,
        "other kind, without a number",
        ("who", "currency", "total", "issued"),
        where=f"{_LACKS} AND {_BILL}",
        on="l.sign <> r.sign",
    ),
)
AMOUNT: tuple[Rung, ...] = (
    Rung(6, "other amount", ("kk", "number_key", "who", "issued")),
    Rung(6, "other amount", ("kk", "number_key", "who"), where=_NOT_CASH),
)
WEAK: tuple[Rung, ...] = (
    Rung(7, "other customer", ("kk", "number_key", "currency", "total", "issued")),
    Rung(7, "other customer", ("kk", "number_key", "currency", "total"), where=_NOT_CASH),
    Rung(8, "no number", (*_BARE, "issued"), on=_ONE_LACKS),
    Rung(8, "no number, near date", _BARE, "near", on=_ONE_LACKS),
    Rung(9, "other number", (*_BARE, "issued"), where=_HAS),
)
_KNOWN: tuple[tuple[int, str, tuple[tuple[str, str], ...]], ...] = (
    (0, "link", (("link", "link"),)),
    (1, "marker", (("marker", "marker"),)),
    (1, "marker is the other's id", (("marker", "id"), ("id", "marker"))),
    (1, "marker is the other's number", (("marker", "number"), ("number", "marker"))),
)


def match(con: Connection) -> list[Match]:
    """The ladder alone: customers first, then documents; ordered by kind, rung and left id.

    For the sync's bootstrap. Unmatched records are in no entry; ambiguous groups are entries without a link.
    """
    who = parties(con)
    found = _customers(con)
    rows = documents(con, who, as_of=None)
    explain(con, {})
    ladder(con, rows, who.stated)
    found += [
        Match(
            rung,
            rule,
            kind,
            (left,),
            (right,),
            _evidence(number=number, total=f"{total} {currency}", date=issued, other_total=other, other_date=when),
            bool(auto),
        )
        for rung, rule, kind, left, right, number, total, currency, issued, other, when, auto in con.execute(
            _DOCUMENTS
        ).fetchall()
    ]
    known = {gid: (code, clues(clue)) for gid, code, clue in con.execute("SELECT * FROM cmp_group").fetchall()}
    groups: dict[int, tuple[str, dict[str, list[str]]]] = {}
    for gid, kind, side, id in con.execute(_AMBIGUOUS).fetchall():
        groups.setdefault(gid, (kind, {"left": [], "right": []}))[1][side].append(id)
    for gid, (kind, ids) in groups.items():
        code, evidence = known.get(gid, ("", {}))
        rule = "equal sums" if code == "SPLIT_OR_MERGED" else "ambiguous"
        sides = tuple(ids["left"]), tuple(ids["right"])
        found.append(Match(9, rule, kind, *sides, evidence, automatic=False, ambiguous=True))
    return found


def match_customers(con: Connection) -> list[Match]:
    """What `match` says of customers, without a look at documents beyond whose they are."""
    parties(con)
    return _customers(con)


def _customers(con: Connection) -> list[Match]:
    return [
        Match(rung, rule, "customer", (left,), (right,), _evidence(name=ln, number=lno), bool(auto))
        for rung, rule, left, right, ln, lno, auto in con.execute(_CUSTOMERS).fetchall()
    ]


def _evidence(**stated: object) -> dict[str, str]:
    return {k: str(v) for k, v in stated.items() if v is not None}


# A customer id stands for its link only where the ledger has no second id under the same key.
_CUSTOMERS = """
SELECT m.rung, m.rule, l.id, r.id, l.name, l.number, m.automatic AND l.ids = 1 AND r.ids = 1
FROM cmp_customer_match AS m
JOIN cmp_customer_left AS l ON l.cid = m.left_cid JOIN cmp_customer_right AS r ON r.cid = m.right_cid
ORDER BY m.rung, l.id
"""
_DOCUMENTS = """
SELECT m.rung, m.rule, l.kind, l.id, r.id, l.number, l.total, l.currency, l.issued,
       CASE WHEN r.total <> l.total THEN r.total END, CASE WHEN r.issued <> l.issued THEN r.issued END,
       m.automatic AND (m.rung < 2 OR l.known)
FROM cmp_match AS m JOIN cmp_left AS l ON l.rid = m.left_rid JOIN cmp_right AS r ON r.rid = m.right_rid
ORDER BY l.kind, m.rung, l.id
"""
_AMBIGUOUS = """
SELECT a.gid, coalesce(l.kind, r.kind), a.side, coalesce(l.id, r.id) FROM cmp_ambiguous AS a
LEFT JOIN cmp_left AS l ON a.side = 'left' AND l.rid = a.rid
LEFT JOIN cmp_right AS r ON a.side = 'right' AND r.rid = a.rid
ORDER BY a.gid, a.side, 4
"""


@dataclass(slots=True)
class Free:
    """Rows of each side that no rung has paired or set aside yet: how many, and the table or query that holds them.

    Until something is matched that is `cmp_left`, `cmp_right`; from then on `cmp_free_*`.
    detail: the expression for all else that tells a row · detailed: `cmp_free_*` has it as a column; of many rows it is
    made when a rung asks for it, see `rows`
    barren: what no two of many have, see `_barren`; None where nobody has looked
    crowded: how many of each side were not looked at for groups, see `sums`; with a key, whatever it leaves over
    keyed: a key is known, which alone says which document is which
    matched: pairs so far · settled: those of them that are off the free rows
    """

    left: int
    right: int
    detail: str
    detailed: bool
    table: str = "cmp_{side}"
    doubled: bool = False
    ambiguous: bool = False
    barren: frozenset[str] | None = None
    crowded: tuple[int, int] = (0, 0)
    keyed: bool = False
    matched: int = 0
    settled: int = 0

    def of(self, side: str) -> int:
        return self.left if side == "left" else self.right

    def name(self, side: str) -> str:
        return self.table.format(side=side) if self.of(side) else f"(SELECT * FROM cmp_{side} WHERE FALSE)"

    def rows(self, side: str, rung: Rung) -> str:
        """The table or query of what a rung looks at."""
        if self.detailed or rung.how != "ordinal":
            return self.name(side)
        detail = f"(SELECT rid, {self.detail} AS detail FROM cmp_{side})"
        return f"(SELECT f.*, d.detail FROM {self.name(side)} AS f JOIN {detail} AS d ON d.rid = f.rid) AS r"

    def both(self) -> bool:
        return self.left > 0 and self.right > 0

    @property
    def few(self) -> bool:
        return self.left * self.right <= FEW_PAIRS

    def take(self, con: Connection, side: str, gone: str) -> None:
        """Keep the rows of a side that are not in the query `gone`."""
        source = self.name(side)
        detail = f", {self.detail} AS detail" if self.detailed else ""
        columns = "f.*" if source != f"cmp_{side}" else f"{_FREE}{detail}"
        made = con.execute(
            f"CREATE OR REPLACE TEMP TABLE cmp_free_{side} AS "
            f"SELECT {columns} FROM {source} AS f WHERE f.rid NOT IN ({gone})"
        )
        self.left_over(side, int(made.fetchall()[0][0]))

    def left_over(self, side: str, count: int) -> None:
        if side == "left":
            self.left = count
        else:
            self.right = count


_FREE = "rid, id, kind, kk, sign, number, number_key, who, currency, total, issued, marker, link, concerns"


def ladder(
    con: Connection,
    rows: tuple[int, int],
    stated: Sequence[Mapping[str, int]],
    *,
    same_ids: bool = False,
    key: str | None = None,
    twins: bool = False,
) -> Free:
    """Fill `cmp_match` (left_rid, right_rid, rung, rule, automatic), `cmp_dup` (side, rid, twin) and `cmp_ambiguous`.

    Every row of `cmp_left` and `cmp_right` ends in at most one of the three; what is in none is counted in the answer
    and stays in `cmp_free_*`. Needs `tables.documents` and `explain`.
    rows: of `cmp_left` and `cmp_right` · stated: see `tables.Parties`
    same_ids: both sides are exports of one system, whose ids tell otherwise equal rows apart
    key: the column that alone says which document is which, `id` or `number`; None for the whole ladder
    twins: `cmp_twin` holds pairs that are identical already; see `equal.take_off`
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE cmp_match "
        "(left_rid BIGINT, right_rid BIGINT, rung INTEGER, rule VARCHAR, automatic BOOLEAN)"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_dup (side VARCHAR, rid BIGINT, twin BIGINT)")
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_ambiguous (gid BIGINT, side VARCHAR, rid BIGINT)")
    con.execute("CREATE OR REPLACE TEMP TABLE cmp_group (gid BIGINT, code VARCHAR, clue VARCHAR)")
    told = [*(f"CAST({c} AS VARCHAR)" for c in _DETAIL), *([BASE_ID.format(id="id")] if same_ids else [])]
    detail = ", ".join(f"coalesce({t}, '')" for t in told)
    free = Free(*rows, f"concat_ws('|', {detail})", detailed=rows[0] * rows[1] <= FEW_PAIRS, keyed=bool(key))
    if twins:
        _pairs(con, free, f"SELECT left_rid, right_rid, {STRONG[0].no}, $${STRONG[0].rule}$$, TRUE FROM cmp_twin")
    if key:
        _climb(con, free, _by_key(key)[:1])
        if free.table == "cmp_{side}":
            _settle(con, free)
        _climb(con, free, _by_key(key)[1:])
        _duplicates(con, free)
        if _set_later_aside(con, free):
            _climb(con, free, _by_key(key))
        if free.both():
            _ambiguous(con, free, (((*_BY[key], "kk"), "TRUE"),))
        if free.both():
            free.crowded = free.left, free.right
        return free
    for no, rule, ways in _KNOWN:
        said = [way for way in ways if all(has.get(column, 1) for has, column in zip(stated, way, strict=True))]
        if free.both() and said:
            _known(con, free, f"{no}, $${rule}$$, TRUE", said)
    # The commonest rung needs no copy of the rows.
    _climb(con, free, STRONG[:1])
    if free.table == "cmp_{side}":
        _settle(con, free)
    _weaker(con, free, STRONG[1:])
    if _set_later_aside(con, free):
        _weaker(con, free, STRONG)
    if free.both():
        _ambiguous(con, free, ((("kk", "number_key", "who"), _NOT_CASH), ((*_BARE, "issued"), "TRUE")))
    if free.both():
        some, free.crowded = sums.find(con, {side: free.name(side) for side in SIDES})
        if some:
            _undecided(con, free)
    return free


def _weaker(con: Connection, free: Free, strong: tuple[Rung, ...]) -> None:
    """The rungs from `strong` down, and between them what sets documents aside."""
    _climb(con, free, strong)
    _parts(con, free, several.BY_NUMBER)
    _climb(con, free, AMOUNT)
    _duplicates(con, free)
    if free.doubled:
        _climb(con, free, AMOUNT)
    _climb(con, free, WEAK)
    _duplicates(con, free, on=_ANY_DAY, single=True)
    _parts(con, free, several.BY_DAY)


def _set_later_aside(con: Connection, free: Free) -> bool:
    """Take off the free rows what is dated after the day of the comparison; whether that left anything to pair.

    Such a document may be the counterpart of one that counts (CUTOFF), but never makes another one's ambiguous.
    """
    before = free.left + free.right
    for side in SIDES if free.both() else ():
        later = f"SELECT rid FROM cmp_{side} WHERE NOT due_by"
        if con.execute(f"SELECT count(*) FROM ({later}) AS d").fetchall()[0][0]:
            free.take(con, side, later)
    return free.both() and free.left + free.right < before


_BY = {"id": ("id",), "number": ("number_key",)}


def by_key(key: str) -> str:
    """The rule by which documents pair where a key is known."""
    return f"{key} is the key"


def _by_key(key: str) -> tuple[Rung, ...]:
    """The rungs where a key is known: alone with it on both sides, or equal rows of it in order. Nothing else pairs."""
    column = _BY[key]
    return (
        Rung(0, by_key(key), ("kind", *column), automatic=True),
        Rung(2, "identical rows, in order", (*column, *_BARE, "issued", "detail"), "ordinal"),
        Rung(2, "identical rows, in order", (*column, *_BARE, "issued"), "ordinal"),
    )


def _parts(con: Connection, free: Free, key: tuple[str, ...]) -> None:
    """Set aside each document that the other ledger holds in parts."""
    if free.both() and several.split(con, {side: free.name(side) for side in SIDES}, key, many=not free.few):
        _undecided(con, free)


def _undecided(con: Connection, free: Free) -> None:
    """Take off the free rows what is in a group."""
    free.ambiguous = True
    for side in SIDES:
        free.take(con, side, f"SELECT rid FROM cmp_ambiguous WHERE side = '{side}'")


def _settle(con: Connection, free: Free) -> None:
    """Take off the free rows what is matched. Each pair is one of either side: where all are in one, none is left."""
    for side in SIDES:
        if free.of(side) == free.matched - free.settled:
            free.left_over(side, 0)
        else:
            free.take(con, side, f"SELECT {side}_rid FROM cmp_match")
    free.settled = free.matched
    free.table = "cmp_free_{side}"


def _climb(con: Connection, free: Free, rungs: tuple[Rung, ...]) -> None:
    """Try each rung that could pair something."""
    if not free.both():
        return
    hopeless = set()
    if len(rungs) > 1:
        hopeless = _hopeless(con, free, rungs) if free.few else _barren(con, free, rungs)
    for n, rung in enumerate(rungs):
        if free.both() and n not in hopeless:
            _pairs(con, free, _sql(rung, free))


def _hopeless(con: Connection, free: Free, rungs: tuple[Rung, ...]) -> set[int]:
    """The rungs under which no free row of one side equals one of the other. Rows only go, so none comes later."""
    keys = [[c for c in rung.key if free.detailed or c != "detail"] for rung in rungs]
    asked = ", ".join(
        f"bool_or({' AND '.join(f'l.{c} = r.{c}' for c in key)} AND ({rung.on}))"
        for key, rung in zip(keys, rungs, strict=True)
    )
    left, right = (free.name(side) for side in SIDES)
    found = con.execute(f"SELECT {asked} FROM {left} AS l CROSS JOIN {right} AS r").fetchall()[0]
    return {n for n, some in enumerate(found) if not some}


def _barren(con: Connection, free: Free, rungs: tuple[Rung, ...]) -> set[int]:
    """As `_hopeless`, of many rows: the rungs that need what no two of them have. Asked once, since rows only go."""
    if free.barren is None:
        left, right = (free.name(side) for side in SIDES)
        alike = " AND ".join(f"l.{c} = r.{c}" for c in _ALIKE)
        ask = f"SELECT count(*) - count(number_key) FROM {left}", f"SELECT count(*) - count(number_key) FROM {right}"
        lacking = [con.execute(sql).fetchall()[0][0] for sql in ask]
        some = con.execute(f"SELECT l.rid FROM {left} AS l JOIN {right} AS r ON {alike} LIMIT 1").fetchall()
        free.barren = frozenset(
            need for need, met in (("alike", some), (_LACKS, all(lacking)), (_ONE_LACKS, any(lacking))) if not met
        )
    return {
        n
        for n, rung in enumerate(rungs)
        if (set(_ALIKE) <= set(rung.key) and "alike" in free.barren)
        or (_LACKS in rung.where and _LACKS in free.barren)
        or (rung.on == _ONE_LACKS and _ONE_LACKS in free.barren)
    }


def _pairs(con: Connection, free: Free, sql: str) -> None:
    """Insert the pairs of `sql` and take them off the free rows."""
    if made := int(con.execute(f"INSERT INTO cmp_match {sql}").fetchall()[0][0]):
        free.matched += made
        _settle(con, free)


def _known(con: Connection, free: Free, out: str, ways: Sequence[tuple[str, str]]) -> None:
    """Pairs by a reference. One side's text that merely looks like the other's id or number needs one customer too.

    `ways` are the columns, left and right, that may hold it. A document that is led to two others has no pair here.
    """

    def alone(side: str, column: str) -> str:
        return (
            f"(SELECT kind, {column} AS k, min(rid) AS rid, min(who) AS who, min(currency) AS currency "
            f"FROM {free.name(side)} WHERE {column} IS NOT NULL GROUP BY kind, {column} HAVING count(*) = 1)"
        )

    said = []
    for left, right in ways:
        also = "" if left == right else " AND l.who = r.who AND l.currency = r.currency"
        said.append(
            f"SELECT l.rid AS l, r.rid AS r FROM {alone('left', left)} AS l "
            f"JOIN {alone('right', right)} AS r ON l.kind = r.kind AND l.k = r.k{also}"
        )
    if len(said) == 1:
        pairs = said[0]
    else:
        each = "count(*) OVER (PARTITION BY l) AS of_l, count(*) OVER (PARTITION BY r) AS of_r"
        led = f"SELECT l, r, {each} FROM ({' UNION '.join(said)}) AS s"
        pairs = f"SELECT l, r FROM ({led}) AS t WHERE of_l = 1 AND of_r = 1"
    _pairs(con, free, f"SELECT l, r, {out} FROM ({pairs}) AS p")


def _sql(rung: Rung, free: Free) -> str:
    given = " AND ".join(f"{c} IS NOT NULL" for c in rung.key if c != "detail")
    same = " AND ".join(f"l.{c} = r.{c}" for c in rung.key)
    key = ", ".join(rung.key)
    where = f"{given} AND {rung.where}"
    out = f"{rung.no}, $${rung.rule}$$, {rung.automatic}"
    if rung.how == "unique":
        rest = ", ".join(f"min({c}) AS {c}" for c in ("number_key", "sign", "kind", "issued") if c not in rung.key)
        rest = f", {rest}" if rest else ""
        one = [
            f"(SELECT {key}, min(rid) AS rid{rest} FROM {free.name(side)} WHERE {where} "
            f"GROUP BY {key} HAVING count(*) = 1)"
            for side in SIDES
        ]
        return f"SELECT l.rid, r.rid, {out} FROM {one[0]} AS l JOIN {one[1]} AS r ON {same} WHERE {rung.on}"
    if rung.how == "ordinal":
        rows = [
            f"(SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY detail, id) AS nth "
            f"FROM {free.rows(side, rung)} WHERE {where})"
            for side in SIDES
        ]
        return f"SELECT l.rid, r.rid, {out} FROM {rows[0]} AS l JOIN {rows[1]} AS r ON {same} AND l.nth = r.nth"
    few = [
        f"(SELECT * FROM (SELECT *, count(*) OVER (PARTITION BY {key}) AS n FROM {free.name(side)} WHERE {where}) "
        f"AS f WHERE n <= {MOST_CANDIDATES})"
        for side in SIDES
    ]
    return f"""SELECT left_rid, right_rid, {out} FROM (
            SELECT l.rid AS left_rid, r.rid AS right_rid, count(*) OVER (PARTITION BY l.rid) AS ln,
                   count(*) OVER (PARTITION BY r.rid) AS rn
            FROM {few[0]} AS l JOIN {few[1]} AS r ON {same} AND abs(datediff('day', l.issued, r.issued)) <= {NEAR_DAYS}
            WHERE {rung.on}) AS c WHERE ln = 1 AND rn = 1"""


# A twin of one day, or nearly so: a number on both must be equal; rows without one need the same day, payments only a
# near one. A payment that is only stated is of its own invoice, and nobody's twin.
_NEAR_DAY = f"""abs(datediff('day', t.issued, f.issued)) <= {NEAR_DAYS}
  AND (t.number_key = f.number_key OR (f.number_key IS NULL AND t.number_key IS NULL
                                       AND (t.issued = f.issued OR f.kind = 'payment')
                                       AND (f.kind <> 'payment' OR f.concerns IS NULL)))"""
# One of any day: what was entered again under its number, where that does not recur.
_ANY_DAY = "t.number_key = f.number_key AND f.kind <> 'payment' AND t.due_by"


def _duplicates(con: Connection, free: Free, *, on: str = _NEAR_DAY, single: bool = False) -> None:
    """Set aside each free row whose twin in its own ledger is matched: equal in kind, customer and amount.

    on: what else holds of a twin, the row `t` · single: only where there is one twin
    """
    for side in SIDES:
        if not free.of(side):
            continue
        doubled = con.execute(
            f"""INSERT INTO cmp_dup
                SELECT '{side}', f.rid, min(t.rid) FROM cmp_free_{side} AS f
                JOIN cmp_{side} AS t ON t.kk = f.kk AND t.who = f.who AND t.currency = f.currency AND t.total = f.total
                  AND {on}
                JOIN cmp_match AS m ON m.{side}_rid = t.rid
                GROUP BY f.rid{" HAVING count(*) = 1" if single else ""}"""
        ).fetchall()
        if doubled[0][0]:
            free.take(con, side, f"SELECT rid FROM cmp_dup WHERE side = '{side}'")
            free.doubled = True


def _ambiguous(con: Connection, free: Free, by: tuple[tuple[tuple[str, ...], str], ...]) -> None:
    """Group what is left and could be each other. by: the columns that are equal, and the condition on each row"""
    for key, where in by:
        columns = ", ".join(key)
        given = " AND ".join([*(f"{c} IS NOT NULL" for c in key), where])
        rows = " UNION ALL ".join(
            f"SELECT '{side}' AS side, rid, id, {columns} FROM cmp_free_{side} WHERE {given}" for side in SIDES
        )
        grouped = con.execute(
            f"""INSERT INTO cmp_ambiguous
                SELECT g.gid, f.side, f.rid FROM ({rows}) AS f JOIN (
                  SELECT {columns}, coalesce((SELECT max(gid) FROM cmp_ambiguous), 0)
                         + row_number() OVER (ORDER BY {columns}) AS gid
                  FROM ({rows}) AS u GROUP BY {columns} HAVING count(DISTINCT side) = 2) AS g
                ON {" AND ".join(f"f.{c} = g.{c}" for c in key)}"""
        )
        if grouped.fetchall()[0][0]:
            _undecided(con, free)
