"""Groups by their sums: several documents of one ledger that are one, or several, of the other.

Consolidated invoices and batch payments share neither number nor amount; that a sum agrees is all there is. So the
search is bounded, looks at everything within its bounds, and says so: what adds up in two ways, or could by chance, is
ambiguous. Nothing is within a tolerance here: a sum that is a cent off is no sum.

Documents could be one where they are of one kind, sign, customer and currency, and at most `WINDOW` days apart.
A document around which more than `MOST` of a ledger are unmatched is in no group: among so many, something adds up. How
many such documents there are is part of the result.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, combinations, groupby, product
from math import comb, gcd

from tieout.compare.causes import SEPARATOR
from tieout.compare.inputs.tables import Connection
from tieout.compare.matching import several
from tieout.mapping.relation import SIDES
from tieout.model import micros

WINDOW = 31  # days between the first and the last document of a group, inclusive
MOST = 10  # unmatched documents of a ledger within WINDOW of a document
PARTS = 6  # against one document
EACH = 3  # on either side, where both sides are several
# Pairs of sets that were held against each other, for each step in which the sum could have been another (of round
# amounts there are few): above it, chance explains an agreement.
CHANCE = Decimal(1) / 20
UNSEARCHED = (
    f"more than {MOST} of one ledger lie unmatched within {WINDOW} days of each, of its customer, currency and kind"
)
NAMED = 4  # answers that an ambiguous group is shown with


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A document that nothing paired. amount: positive, in micro-units · day: any count of days

    whole: so few lie around it that every set with it was looked at
    """

    day: int
    id: str
    rid: int
    side: str
    amount: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Documents whose sums agree, each side by day and id, and none of its own parts does. looked: pairs of sets"""

    left: tuple[Part, ...]
    right: tuple[Part, ...]
    looked: int

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.left + self.right

    @property
    def steps(self) -> int:
        """The sum, in the largest unit of which all its amounts are multiples."""
        return sum(p.amount for p in self.left) // gcd(*(p.amount for p in self.parts))


@dataclass(frozen=True, slots=True)
class Found:
    """Answers that share documents, directly or by others; one alone if it is `sure`."""

    answers: tuple[Answer, ...]
    sure: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(sorted({p for a in self.answers for p in a.parts}))


def groups(parts: Sequence[Part]) -> list[Found]:
    """All groups among the unmatched documents of one customer, kind, sign and currency, in no order of sides.

    That a document equals one of the other ledger is an answer too, but no group: where nothing else is, none is given.
    """
    found = []
    for some in _linked(list(_answers(parts))):
        if all(len(a.parts) == 2 for a in some):
            continue
        only = some[0]
        if len(some) == 1 and not all(p.whole for p in only.parts):
            continue
        sure = len(some) == 1 and only.looked <= CHANCE * only.steps
        found.append(Found(tuple(sorted(some, key=_place)), sure))
    return sorted(found, key=lambda f: _place(f.answers[0]))


def _place(answer: Answer) -> tuple[int, list[tuple[int, str]]]:
    """An order that does not depend on which ledger is the left one."""
    return len(answer.parts), sorted((p.day, p.id) for p in answer.parts)


def _answers(parts: Sequence[Part]) -> Iterator[Answer]:
    """Each answer once: in the window that begins on the day of its first document."""
    ordered = sorted(parts)
    days = [p.day for p in ordered]
    for first in sorted(set(days)):
        within = ordered[bisect_left(days, first) : bisect_right(days, first + WINDOW)]
        left, right = ([p for p in within if p.side == side] for side in SIDES)
        if left and right and max(len(left), len(right)) <= MOST:
            yield from (a for a in _equal(left, right) if first in {p.day for p in a.parts})


def _equal(left: Sequence[Part], right: Sequence[Part]) -> Iterator[Answer]:
    looked = _looked(len(left), len(right))
    sums, others = _sums(left), _sums(right)
    for part in left:
        yield from (Answer((part,), some, looked) for some in others.get(part.amount, ()))
    for part in right:
        yield from (Answer(some, (part,), looked) for some in sums.get(part.amount, ()) if len(some) > 1)
    for amount in sums.keys() & others.keys():
        for (one, some), (other, more) in product(_several(sums[amount]), _several(others[amount])):
            if not _made_of_smaller(one, other):
                yield from (Answer(a, b, looked) for a, b in product(some, more))


def _sums(parts: Sequence[Part]) -> dict[int, list[tuple[Part, ...]]]:
    """Every set of up to `PARTS`, by its sum."""
    found: dict[int, list[tuple[Part, ...]]] = defaultdict(list)
    for some in chain.from_iterable(combinations(parts, n) for n in range(1, PARTS + 1)):
        found[sum(p.amount for p in some)].append(some)
    return found


def _several(sets: Sequence[tuple[Part, ...]]) -> list[tuple[tuple[int, ...], list[tuple[Part, ...]]]]:
    """Those of two up to `EACH` parts, by their amounts: where many are equal, these are few."""
    found: dict[tuple[int, ...], list[tuple[Part, ...]]] = defaultdict(list)
    for some in sets:
        if 1 < len(some) <= EACH:
            found[tuple(sorted(p.amount for p in some))].append(some)
    return list(found.items())


def _looked(left: int, right: int) -> int:
    """How many pairs of sets `_equal` holds against each other, of so many documents."""
    alone = sum(comb(right, n) for n in range(1, PARTS + 1)) * left
    alone += sum(comb(left, n) for n in range(2, PARTS + 1)) * right
    several_ = [sum(comb(n, k) for k in range(2, EACH + 1)) for n in (left, right)]
    return alone + several_[0] * several_[1]


def _made_of_smaller(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one or two amounts of the one make one or two of the other: then the rest make each other, too."""
    pairs = [{a + b for a, b in combinations(some, 2)} for some in (one, other)]
    return bool(set(one) & {*other, *pairs[1]} or set(other) & pairs[0])


def _linked(answers: Sequence[Answer]) -> list[list[Answer]]:
    """The answers, together where they share a document."""
    top: dict[Part, Part] = {}

    def of(part: Part) -> Part:
        while top.setdefault(part, part) != part:
            part = top[part]
        return part

    for answer in answers:
        for part in answer.parts[1:]:
            top[of(part)] = of(answer.left[0])
    found: dict[Part, list[Answer]] = defaultdict(list)
    for answer in answers:
        found[of(answer.left[0])].append(answer)
    return list(found.values())


# Documents near which both ledgers have unmatched ones, and not too many; and beside them what they could be grouped
# with. `day` is a number: both engines count a range of those alike. Only where both ledgers have any, and one of them
# two, is looked for what lies near: that costs much more than to see where that is.
_AROUND = """
CREATE OR REPLACE TEMP TABLE cmp_around AS
SELECT f.*, count(CASE WHEN side = 'left' THEN 1 END) OVER ({near}) AS ln,
       count(CASE WHEN side = 'right' THEN 1 END) OVER ({near}) AS rn
FROM (WITH u AS ({rows})
      SELECT u.* FROM u JOIN (SELECT kk, sign, who, currency FROM u GROUP BY kk, sign, who, currency
                              HAVING min(side) <> max(side) AND count(*) > 2) AS g
        ON g.kk = u.kk AND g.sign IS NOT DISTINCT FROM u.sign AND g.who = u.who AND g.currency = u.currency) AS f
"""
_FEW = f"""
SELECT kk, sign, who, currency, side, rid, id, total, day, few FROM (
  SELECT t.*, max(CASE WHEN few THEN 1 ELSE 0 END) OVER ({{near}}) AS beside FROM (
    SELECT s.*, ln BETWEEN 1 AND {MOST} AND rn BETWEEN 1 AND {MOST} AND ln + rn > 2 AS few
    FROM cmp_around AS s) AS t) AS u
WHERE beside = 1 ORDER BY kk, sign, who, currency, side, rid
"""
_CROWDED = f"""
SELECT count(CASE WHEN side = 'left' THEN 1 END), count(CASE WHEN side = 'right' THEN 1 END) FROM cmp_around AS c
WHERE ln > 0 AND rn > 0 AND (ln > {MOST} OR rn > {MOST})
  AND NOT EXISTS (SELECT 1 FROM cmp_ambiguous AS a WHERE a.side = c.side AND a.rid = c.rid)
"""
_NEAR = f"PARTITION BY kk, sign, who, currency ORDER BY day RANGE BETWEEN {WINDOW} PRECEDING AND {WINDOW} FOLLOWING"
_KEY = "f.kk, f.sign, f.who, f.currency, f.id, datediff('day', DATE '1970-01-01', f.issued) AS day"
_AT_ONCE = 500


def find(con: Connection, tables: dict[str, str]) -> tuple[bool, tuple[int, int]]:
    """Add the groups among the free rows to `cmp_ambiguous`, and what is known of each to `cmp_group`.

    Returns whether there is any, and the documents of each side in none that too many others lie around.
    tables: the rows that are free, by side. Needs `cmp_explained`. Customers that tell nothing apart have no groups.
    """
    rows = several.free_rows(tables, _KEY, "f.who <> '-' AND f.issued IS NOT NULL")
    con.execute(_AROUND.format(rows=rows, near=_NEAR))
    few = con.execute(_FEW.format(near=_NEAR)).fetchall()
    gid = con.execute("SELECT coalesce(max(gid), 0) FROM cmp_ambiguous").fetchall()[0][0]
    members: list[tuple[object, ...]] = []
    about: list[tuple[object, ...]] = []
    for _, some in groupby(few, key=lambda row: row[:4]):
        parts = [Part(day, id, rid, side, micros(total), whole) for *_, side, rid, id, total, day, whole in some]
        for group in groups(parts):
            gid += 1
            members += [(gid, p.side, p.rid) for p in group.parts]
            about.append((gid, "SPLIT_OR_MERGED" if group.sure else "AMBIGUOUS_MATCH", _clue(group)))
    _insert(con, "cmp_ambiguous", members)
    _insert(con, "cmp_group", about)
    left, right = con.execute(_CROWDED).fetchall()[0]
    return bool(about), (left, right)


def _insert(con: Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    for n in range(0, len(rows), _AT_ONCE):
        some = rows[n : n + _AT_ONCE]
        places = ", ".join(f"({', '.join('?' for _ in row)})" for row in some)
        con.execute(f"INSERT INTO {table} VALUES {places}", [value for row in some for value in row])


def _clue(group: Found) -> str:
    """What is known of a group, as in `cmp_found`: the answers, and how far was looked."""
    more = len(group.answers) - NAMED
    shown = [_said(a) for a in group.answers[:NAMED]] + ([f"{more} more"] if more > 0 else [])
    among = (
        f"{max(a.looked for a in group.answers):,} pairs of sets within {WINDOW} days (one against up to {PARTS}, or "
        f"up to {EACH} on each side, of at most {MOST} that a ledger has unmatched)"
    )
    told = {"answers": "; ".join(shown), "ways": str(len(group.answers)), "among": among}
    return SEPARATOR.join(f"{k}={v.replace(SEPARATOR, ' ')}" for k, v in told.items())


def _said(answer: Answer) -> str:
    return " = ".join(" + ".join(p.id for p in side) for side in (answer.left, answer.right))
