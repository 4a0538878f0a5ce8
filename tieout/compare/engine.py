"""One comparison from beginning to end: prepare, match, find, and the bridge that proves that nothing was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

from tieout.compare import codes, listed, totals
from tieout.compare.background import Background
from tieout.compare.causes import cause, clues, remedy, value
from tieout.compare.findings import applied, cash, control, rules
from tieout.compare.findings.control import NOTHING, Checks
from tieout.compare.inputs import tables
from tieout.compare.inputs.tables import Connection, explain
from tieout.compare.matching.equal import FROM_ROWS, take_off
from tieout.compare.matching.ladder import STRONG, by_key, ladder
from tieout.compare.result import (
    Bridge,
    Discrepancy,
    Explained,
    Line,
    Result,
    Rounding,
    Side,
    Tally,
    Totals,
    identity,
)
from tieout.compare.totals import Sums
from tieout.mapping.relation import SIDES
from tieout.model import ZERO, tidy


def run(
    con: Connection,
    left: Background,
    right: Background,
    *,
    as_of: date | None,
    rounding: Rounding | None = None,
    explained: Iterable[Explained] = (),
    reported_balances: bool = True,
    same_ids: bool = False,
    checks: Checks = NOTHING,
    today: date | None = None,
    extracts: bool = False,
    in_step: bool = False,
    key: str | None = None,
    bulk_from: int = FROM_ROWS,
    spool_from: int | None = None,
    matches: Path | None = None,
) -> Result:
    """Compare the two sides that were loaded into `con`.

    left, right: what is known of each beside its documents
    as_of: what counts is dated up to then, inclusive; None counts everything
    explained: documents the caller already accounts for; their code replaces that of a missing document
    reported_balances: False where some were read before the last write, so that they may be stale
    same_ids: both sides are exports of one system, so that an id that changed is a difference
    checks: what to look for beyond what is wrong in any two ledgers · today: from which day on credit is old
    extracts: both are files, each of a range of dates of its own
    in_step: what one side has of the other carries our mark, so that it shows where a document was born
    key: the column that is known to tell which document is which, `id` or `number`; None where the ladder decides
    bulk_from: rows of the smaller side from which equal pairs are taken off first; the answer is the same
    spool_from: number of discrepancies from which they are kept on disk, as `listed.Spooled`; None for a tuple always
    matches: a file that gets every match with its rule and evidence, as Parquet
    """
    ledgers = left, right
    reasons = {(x.side, x.kind, x.id): x for x in explained}
    known = tables.parties(con)
    told = tables.told(con, known)
    equal = take_off(con, known, told, same_ids=same_ids, key=key, from_rows=bulk_from, listed=matches is not None)
    rest = equal > 0
    rows = _documents(con, known, ledgers, as_of=as_of, rest=rest)
    explain(con, {document: x.code for document, x in reasons.items()})
    free = ladder(con, rows, known.stated, same_ids=same_ids, key=key, twins=rest)
    by_open = left.open_items != right.open_items
    rules.find(
        con, free, told, known=known, explained=bool(reasons), rounding=rounding, by_open=by_open, same_ids=same_ids
    )
    applying = left.applies, right.applies
    stated = cash.find(con, known.stated, as_of=as_of, reported_balances=reported_balances, applying=applying)
    sums = [
        totals.of_all(con, side, ledger.name, as_of=as_of, rest=rest, stated=has)
        for side, ledger, has in zip(SIDES, ledgers, known.stated, strict=True)
    ]
    ranges = sums if extracts else None
    control.find(
        con,
        known.stated,
        checks,
        as_of=as_of,
        today=today,
        ledgers=ledgers,
        extracts=ranges,
        in_step=in_step,
        taken_off=rest,
    )
    if matches:
        rule = (0, by_key(key)) if key else (STRONG[0].no, STRONG[0].rule)
        listed.write_matches(con, matches, taken_off=rule if equal else None, invoices=not known.stated[0]["kind"])
    found, tally = _listed(con, ledgers, reasons, spool_from)
    sides = _side(left, sums[0]), _side(right, sums[1])
    return Result(
        left=sides[0],
        right=sides[1],
        matched=free.matched + equal,
        discrepancies=found,
        bridge=_bridge(*sides, tally),
        as_of=as_of.isoformat() if as_of else None,
        provenance=dict(zip(SIDES, (left.source, right.source), strict=True)) if left.source or right.source else {},
        tally=tally,
        crowded=free.crowded,
        paired_by=key,
        stated=stated,
    )


def _documents(
    con: Connection, known: tables.Parties, ledgers: tuple[Background, Background], *, as_of: date | None, rest: bool
) -> tuple[int, int]:
    """Build the tables of documents and of what is applied; how many documents each side has to look at.

    Where one side lists open items only, the other is reduced to what is open.
    """
    rows = tables.documents(con, known, as_of=as_of, rest=rest)
    applying = [side for side, has in zip(SIDES, known.stated, strict=True) if has["applications"]]
    by_open = any(ledger.open_items for ledger in ledgers)
    applied.make(con, SIDES if by_open else applying, as_of=as_of)
    if by_open:
        for side, ledger in zip(SIDES, ledgers, strict=True):
            if not ledger.open_items:
                cash.reduce_to_open(con, side, as_of=as_of)
    tables.every(con, known, as_of=as_of, rest=rest)
    return rows


def _listed(
    con: Connection,
    ledgers: tuple[Background, Background],
    reasons: Mapping[tuple[str, str, str], Explained],
    spool_from: int | None,
) -> tuple[Sequence[Discrepancy], tuple[Tally, ...]]:
    """The findings as discrepancies, on disk from `spool_from` of them, and what they add up to."""
    names, rejected = (ledgers[0].name, ledgers[1].name), (ledgers[0].rejected, ledgers[1].rejected)
    make = partial(_discrepancy, names=names, reasons=reasons, rejected=rejected)
    many = con.execute("SELECT count(*) FROM cmp_found").fetchall()[0][0]
    if spool_from is not None and many >= spool_from:
        return listed.spool(con, make, partial(_unread, rejected=rejected))
    found = listed.few(make(row) for row in con.execute(listed.FOUND).fetchall()) if many else ()
    return found, listed.tallied(found)


def _side(ledger: Background, sums: list[Sums]) -> Side:
    of = {s.currency: Totals(s.documents, tidy(s.billed), tidy(s.open)) for s in sums}
    return Side(ledger.name, sum(s.rows for s in sums), ledger.rejected, of)


def _discrepancy(
    row: tuple[object, ...],
    names: tuple[str, str],
    reasons: Mapping[tuple[str, str, str], Explained],
    rejected: tuple[int, int],
) -> Discrepancy:
    code, second, kind, left, right, llabel, rlabel, llink, rlink, field, lraw, rraw, delta, currency, packed, *of = row
    assert isinstance(code, str)
    assert isinstance(delta, Decimal)
    customer, amount = of
    entry = codes.of(code)
    clue = clues(_text(packed))
    total = _text(amount) or clue.get("total")
    shown = _text(field)
    lv, rv = value(shown, _text(lraw)), value(shown, _text(rraw))
    said = reasons.get(("left", str(kind), str(left))) if right is None else None
    said = said or (reasons.get(("right", str(kind), str(right))) if left is None else None)
    said = said if said and said.code == code else None
    made = Discrepancy(
        id=identity(code, kind, left, right, field, currency),
        code=code,
        secondary=tuple(s for s in str(second or "").split(",") if s),
        class_="T" if delta and entry.class_ in ("N", "Z") else entry.class_,
        severity=entry.severity,
        kind=str(kind),
        left=_text(left),
        right=_text(right),
        left_label=_text(llabel) or clue.get("left_name") or _text(left),
        right_label=_text(rlabel) or clue.get("right_name") or _text(right),
        field=shown,
        left_value=lv,
        right_value=rv,
        delta=tidy(delta),
        currency=_text(currency),
        cause=said.cause if said else cause(code, clue, lv, rv, names, currency=_text(currency)),
        remedy=said.remedy if said else remedy(code, clue),
        confirmed=said.confirmed if said else entry.confirmed and "unsure" not in clue,
        links=tuple(sorted({str(x) for x in (llink, rlink, clue.get("link")) if x})),
        customer=_text(customer) or clue.get("customer"),
        amount=None if total is None else tidy(Decimal(total)),
    )
    return _unread(made, rejected)


def _unread(d: Discrepancy, rejected: tuple[int, int]) -> Discrepancy:
    """What one ledger lacks while rows of that ledger could not be read may be one of those rows: not confirmed."""
    rows = rejected[0] if d.code == "MISSING_IN_A" else rejected[1] if d.code == "MISSING_IN_B" else 0
    if not rows:
        return d
    letter = d.code[-1]
    were = "row of {} was" if rows == 1 else "rows of {} were"
    return replace(
        d,
        cause=f"{rows:,} {were.format(letter)} rejected, and this may be among them; {d.cause}",
        remedy=f"mend the rejected rows of {letter} and compare again; only then {d.remedy}",
        confirmed=False,
    )


def _text(raw: object) -> str | None:
    return None if raw is None else str(raw)


def _bridge(left: Side, right: Side, tally: Iterable[Tally]) -> dict[str, Bridge]:
    """Per currency: totals summed from documents, lines from discrepancies, and what neither explains."""
    of: dict[str, list[Tally]] = {}
    for t in tally:
        if t.currency is not None:
            of.setdefault(t.currency, []).append(t)
    out = {}
    none = Totals(0, ZERO, ZERO)
    for currency in sorted({*left.totals, *right.totals}):
        a, b = left.totals.get(currency, none).open, right.totals.get(currency, none).open
        found = sorted(of.get(currency, ()), key=lambda t: (codes.ORDER.get(t.code, 99), t.code))
        steps = tuple(Line(t.code, tidy(t.delta), t.count) for t in found)
        rest = b - a - sum((s.delta for s in steps), ZERO)
        loose = sum((t.unconfirmed for t in found), ZERO)
        out[currency] = Bridge(a, steps, b, tidy(rest), tidy(loose))
    return out
