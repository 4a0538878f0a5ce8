"""Tie-out: what the documents add up to, beside what the source's own reports and its control account say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from tieout.compare.codes import UNTRACED
from tieout.compare.result import money
from tieout.model import ZERO, tidy
from tieout.reports import layout, ledger, sources, stated
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.receivables import aging


def build(books: Sequence[Books], *, as_of: date) -> Report:
    """For each side and currency: effects, open items and aging beside each other, and each stated figure."""
    sides = ledger.ledgers(books)
    return Report(
        name="tie-out",
        title="Tie-out of receivables to the sources' own reports and control accounts",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_subledger(sides, as_of), _stated(sides, as_of), *stated.tables(sides, as_of, key="customers")),
        proofs=(*sources.proofs(sides, as_of), *(p for side in sides for p in _aged(side, as_of))),
        notes=(*_notes(sides, as_of), *sources.notes(sides, as_of)),
    )


def _aged_totals(side: ledger.Subledger, as_of: date) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    basis = aging.Basis("due", aging.BUCKETS)
    for part in aging.parts(side.items(as_of), basis, as_of):
        sums[part.item.currency] = sums.get(part.item.currency, ZERO) + part.amount
    return sums


def _aged(side: ledger.Subledger, as_of: date) -> Iterator[Proof]:
    by_effects = side.totals(as_of)
    for currency, ours in sorted(_aged_totals(side, as_of).items()):
        theirs = by_effects.get(currency, ZERO)
        yield Proof(
            f"{side.name}: the aging in {currency} adds up to the subledger",
            tidy(ours),
            tidy(theirs),
            ours == theirs,
            currency,
        )


def _subledger(sides: Sequence[ledger.Subledger], as_of: date) -> Table:
    """The same total found three ways."""
    columns = (
        Column("books", "books", width=20),
        layout.CURRENCY,
        Column("documents", "open items", "count"),
        Column("effects", "by effects of all documents", "money"),
        Column("items", "by open items", "money"),
        Column("aged", "by aging", "money"),
    )
    details: list[tuple[Cell, ...]] = []
    for side in sides:
        items, by_effects, aged = side.items(as_of), side.totals(as_of), _aged_totals(side, as_of)
        for c in sorted({*by_effects, *(i.currency for i in items)}):
            own = [i.amount for i in items if i.currency == c]
            sums = (by_effects.get(c, ZERO), sum(own, ZERO), aged.get(c, ZERO))
            details.append((side.name, c, len(own), *map(tidy, sums)))
    details.sort(key=lambda d: str(d[1]))
    # Two ledgers are not added up: their rows stand beside each other.
    rows = tuple(layout.totalled(columns, details)) if len(sides) == 1 else tuple(map(Row, details))
    return Table("subledger", "The subledger, found three ways", columns, rows)


def _stated(sides: Sequence[ledger.Subledger], as_of: date) -> Table:
    columns = (
        Column("books", "books", width=20),
        Column("report", "stated by", width=36),
        Column("parameters", "with", width=36),
        Column("account", "account", width=14),
        layout.CURRENCY,
        Column("stated", "stated", "money"),
        Column("documents", "documents add up to", "money"),
        Column("difference", "difference", "money", adds=("stated", "-documents")),
        Column("code", "", width=18),
    )
    rows = []
    for side in sides:
        for tie in stated.ties(side, as_of):
            b, gap = tie.balance, tie.difference
            asked = ", ".join(f"{k} {v}" for k, v in sorted(b.parameters.items()))
            code = "cannot be told" if gap is None else UNTRACED if gap else "ties out"
            amounts = (tidy(b.amount), tie.documents, None if gap is None else tidy(gap))
            rows.append(Row((side.name, b.report, asked, b.account, b.currency, *amounts, code)))
    note = "Difference: what is stated less what the documents show. It must be nothing before a period is signed off."
    return Table("stated", "What the systems state themselves", columns, tuple(rows), note)


def _notes(sides: Sequence[ledger.Subledger], as_of: date) -> Iterator[str]:
    for side in sides:
        if not any(b.as_of == as_of for b in side.books.controls):
            yield f"{side.name} states no figure of its own for {as_of}: there is nothing to tie its documents to."
        for tie in stated.ties(side, as_of):
            b = tie.balance
            if tie.documents is None:
                yield (
                    f"{side.name}: which documents {b.report} of account {b.account} is about cannot be told: another "
                    "account of the currency stands beside it and documents name none, or it covers other currencies."
                )
            elif tie.difference:
                more = f"{money(tie.difference, b.currency)} {b.currency} more"
                yield (
                    f"{side.name}: {b.report} of account {b.account} states {more} "
                    "than its documents show: a journal on the account, a kind of document that is not read, or a "
                    "filter on what is read. Find what moved it without a document."
                )
