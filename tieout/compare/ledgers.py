"""Two ledgers compared for a report: forth and back, and where every single document ended.

Every document is in exactly one cluster, so that what the clusters differ by adds up to the difference of the ledgers,
in any currency into which a document can be converted.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from tieout.compare.background import Background
from tieout.compare.engine import run
from tieout.compare.inputs.tables import Connection, load_records, tables_for
from tieout.compare.result import Explained, Result, Rounding
from tieout.mapping.relation import SIDES
from tieout.model import AnyRecord, Entity, tidy

Which = Literal["left", "right"]
How = Literal["matched", "undecided", "alone"]
_WHICH: tuple[Which, Which] = ("left", "right")


@dataclass(frozen=True, slots=True)
class Ledger:
    """One side of a comparison.

    links: a key by (entity, native id) that the other side's record of the same thing has too
    open_items: it lists what is open only · disputes: it says of an invoice whether it is disputed
    rejected: rows or records that could not be read · source: where it was read from, for provenance
    """

    name: str
    records: Sequence[AnyRecord]
    links: Mapping[tuple[Entity, str], str] = field(default_factory=dict)
    open_items: bool = False
    disputes: bool = True
    rejected: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A document as the comparison saw it. effect: signed, on open receivables as of the day, 0 where it does not count

    kind, id: as in `mapping.relation` · customer: its name, else its id · rate: home units for one of `currency`, None
    where none is stated · counts: whether it is posted, dated and not void on the day
    """

    side: Which
    kind: str
    id: str
    label: str
    customer: str
    posted: date
    currency: str
    rate: Decimal | None
    effect: Decimal
    counts: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """Documents that are one thing (`matched`, with what undid it beside), could be (`undecided`), or one `alone`."""

    how: How
    documents: tuple[Placed, ...]

    def side(self, which: Which) -> tuple[Placed, ...]:
        return tuple(d for d in self.documents if d.side == which)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison with its clusters, and the same one with the sides swapped, made anew."""

    result: Result
    clusters: tuple[Cluster, ...]
    swapped: Result


def compare_ledgers(
    left: Ledger,
    right: Ledger,
    *,
    as_of: date | None,
    rounding: Rounding | None = None,
    explained: Iterable[Explained] = (),
    same_ids: bool = False,
    memory: str | None = None,
) -> Compared:
    """Compare two ledgers twice, once with their sides swapped. The parameters are those of `run`.

    memory: limit such as `2GB`; beyond it the work spills to disk
    """
    known = tuple(explained)
    other = {"left": "right", "right": "left"}
    forth, clusters = _once(left, right, known, as_of=as_of, rounding=rounding, same_ids=same_ids, memory=memory)
    turned = tuple(replace(x, side=other[x.side]) for x in known)
    back, _ = _once(right, left, turned, as_of=as_of, rounding=rounding, same_ids=same_ids, memory=memory)
    return Compared(forth, clusters, back)


def _once(
    left: Ledger,
    right: Ledger,
    explained: tuple[Explained, ...],
    *,
    as_of: date | None,
    rounding: Rounding | None,
    same_ids: bool,
    memory: str | None,
) -> tuple[Result, tuple[Cluster, ...]]:
    with tables_for(max(len(left.records), len(right.records)), memory) as con:
        for side, ledger in zip(SIDES, (left, right), strict=True):
            load_ledger(con, side, ledger)
        result = run(
            con,
            _background(left),
            _background(right),
            as_of=as_of,
            rounding=rounding,
            explained=explained,
            same_ids=same_ids,
            bulk_from=sys.maxsize,  # every document is asked for, the equal ones too
        )
        return result, clusters(con)


def _background(ledger: Ledger) -> Background:
    return Background(ledger.name, open_items=ledger.open_items, rejected=ledger.rejected)


def load_ledger(con: Connection, side: str, ledger: Ledger) -> None:
    """Fill the tables of one side from it."""
    load_records(
        con,
        side,
        ledger.records,
        links=dict(ledger.links),
        open_items=ledger.open_items,
        disputes=ledger.disputes,
    )


def clusters(con: Connection) -> tuple[Cluster, ...]:
    """Where every document of both sides ended. Needs `run` on the same connection."""
    documents = {(side, rid): placed for side in _WHICH for rid, placed in _documents(con, side)}
    together: dict[tuple[str, int], list[Placed]] = defaultdict(list)
    hows: dict[tuple[str, int], How] = {}
    free = dict(documents)

    def put(key: tuple[str, int], how: How, side: Which, rid: int) -> None:
        hows[key] = how
        together[key].append(free.pop((side, rid)))

    for left, right in con.execute("SELECT left_rid, right_rid FROM cmp_match ORDER BY 1").fetchall():
        put(("pair", left), "matched", "left", left)
        put(("pair", left), "matched", "right", right)
    for side, rid, left in con.execute("SELECT side, rid, l_rid FROM cmp_offset ORDER BY 1, 2").fetchall():
        put(("pair", left), "matched", side, rid)
    for gid, side, rid in con.execute("SELECT gid, side, rid FROM cmp_ambiguous ORDER BY 1, 2, 3").fetchall():
        put(("group", gid), "undecided", side, rid)
    found = [Cluster(hows[key], tuple(some)) for key, some in together.items()]
    return (*found, *(Cluster("alone", (d,)) for d in free.values()))


def _documents(con: Connection, side: Which) -> Iterable[tuple[int, Placed]]:
    rows = con.execute(
        "SELECT rid, kind, id, coalesce(number, id), coalesce(customer_name, customer, ''), posted, currency, rate, "
        f"eff, counts FROM cmp_{side} ORDER BY kind, id"
    ).fetchall()
    for rid, kind, id, label, customer, posted, currency, rate, effect, counts in rows:
        yield rid, Placed(side, kind, id, label, customer, posted, currency, rate, tidy(effect), counts)
