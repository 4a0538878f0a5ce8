"""The reports on money that comes in: cash-application suggestions, collections worklist, cash forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tieout.cli.report import reporting

if TYPE_CHECKING:
    from tieout.cli.ledgers import Asked
    from tieout.reports import Report


@click.command("cash-suggestions")
@click.option(
    "--largest-set", type=click.IntRange(2, 12), default=6, show_default=True, help="Most invoices of one payment."
)
@reporting
def cash_suggestions(asked: Asked, *, largest_set: int) -> Report:
    """Which open invoices the unapplied money of each payment settles, with the evidence.

    By the numbers that the payment names, by amount, less a discount of the terms, by sets of invoices. What fits in
    several ways is listed as such. Nothing is applied.
    """
    from tieout.reports.cash.both import beside
    from tieout.reports.cash.subsets import Caps
    from tieout.reports.cash.suggestions import build

    books, caps = asked.books(), Caps(parts=largest_set)
    return beside([build(b, as_of=asked.as_of, caps=caps) for b in books], [b.name for b in books])


@click.command("collections")
@reporting
def worklist(asked: Asked) -> Report:
    """Whom to call about overdue invoices, in which order, and what to know before the call.

    Disputed and promised amounts and money that is already here stand apart; with DSO by two formulas.
    """
    from tieout.cli.report_close import promised
    from tieout.reports.cash.both import beside
    from tieout.reports.cash.worklist import build

    books = asked.books()
    made = [build(b, as_of=asked.as_of, promises=promised(asked, b.name)) for b in books]
    return beside(made, [b.name for b in books])


@click.command("cash-forecast")
@reporting
def cash_forecast(asked: Asked) -> Report:
    """What open invoices should bring, week by week, by due dates and how late each customer paid before.

    Shows how the same method did at the last month ends.
    """
    from tieout.cli.report_close import promised
    from tieout.reports.cash.both import beside
    from tieout.reports.cash.forecast import build

    books = asked.books()
    made = [build(b, as_of=asked.as_of, promises=promised(asked, b.name)) for b in books]
    return beside(made, [b.name for b in books])


COMMANDS = {"cash-suggestions": cash_suggestions, "collections": worklist, "cash-forecast": cash_forecast}
