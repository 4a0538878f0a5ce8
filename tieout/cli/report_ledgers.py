"""The reports on what is open and what moved: aging, open items, statements, roll-forward, and an auditor's lists."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import DAY, MOMENT, known_by
from tieout.cli.report import SINCE, first_day, reporting
from tieout.cli.state import clock
from tieout.errors import ConfigError

if TYPE_CHECKING:
    from tieout.cli.ledgers import Asked
    from tieout.reports import Report


class _Buckets(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """Rising numbers of days."""

    name = "days,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            days = tuple(int(part) for part in value.split(","))
        except ValueError:
            days = ()
        if not days or days[0] < 1 or [*days] != sorted({*days}):
            self.fail(f"{value!r} are not rising numbers of days, such as 30,60,90", param, ctx)
        return days


@click.command()
@click.option("--buckets", type=_Buckets(), default="30,60,90", show_default=True, help="Last day of each bucket.")
@click.option(
    "--by", type=click.Choice(["due", "document"]), default="due", show_default=True, help="Age from this date."
)
@click.option("--detail/--no-detail", default=None, help="Each document; default: in files, not on the screen.")
@reporting
def aging(asked: Asked, *, buckets: tuple[int, ...], by: Any, detail: bool | None) -> Report:
    """What is owed, by how long it has been due: in total, by customer, by document.

    Unapplied money and credits stand in a column of their own.
    """
    from tieout.reports.receivables.aging import build

    shown = asked.in_full if detail is None else detail
    return build(asked.books(), as_of=asked.as_of, buckets=buckets, by=by, detail=shown)


@click.command("open-items")
@reporting
def open_items(asked: Asked) -> Report:
    """Every document that is not settled: invoices, credits, payments on account, adjustments."""
    from tieout.reports.receivables.open_items import build

    return build(asked.books(), as_of=asked.as_of)


@click.command()
@SINCE
@click.option("--customer", "customers", multiple=True, help="Only this one, by number, name or id; repeatable.")
@reporting
def statement(asked: Asked, *, since: datetime | None, customers: tuple[str, ...]) -> list[Report]:
    """What each customer owed, what moved, what is owed and for how long; one document a customer.

    With --output, a folder.
    """
    from tieout.reports.receivables.statement import build

    first = first_day(asked, since)
    try:
        return build(asked.books(), as_of=asked.as_of, since=first, customers=customers)
    except LookupError as unknown:
        raise ConfigError(
            f"no customer has the number, name or id {unknown.args[0]!r}",
            hint="tieout report aging … lists the customers that owe anything",
        ) from None


@click.command("roll-forward")
@SINCE
@click.option(
    "--opening-known-on",
    type=MOMENT,
    help="When the opening was signed off (UTC): shows what was dated back since.",
)
@reporting
def roll_forward(asked: Asked, *, since: datetime | None, opening_known_on: datetime | None) -> Report:
    """Opening, invoices, credits, payments and all else that moved, closing."""
    from tieout.reports.receivables.roll_forward import build

    first = first_day(asked, since)
    opening_known_on = known_by(opening_known_on, "--opening-known-on", clock())
    then = asked.books(opening_known_on) if opening_known_on else ()
    return build(asked.books(), as_of=asked.as_of, since=first, then=then, then_known_on=opening_known_on)


@click.command()
@reporting
def unapplied(asked: Asked) -> Report:
    """Money and credit that stand against no invoice, and customers whose balance is a credit."""
    from tieout.reports.receivables.unapplied import build

    return build(asked.books(), as_of=asked.as_of)


@click.command()
@SINCE
@reporting
def credits_(asked: Asked, *, since: datetime | None) -> Report:
    """Credit memos, write-offs, discounts and the like of a period, with reason and approver."""
    from tieout.reports.receivables.write_offs import build

    return build(asked.books(), as_of=asked.as_of, since=first_day(asked, since))


@click.command("cut-off")
@click.option("--days", type=click.IntRange(1, 366), default=10, show_default=True, help="On either side of the date.")
@reporting
def cut_off(asked: Asked, *, days: int) -> Report:
    """The documents posted around a day, both ledgers beside each other."""
    from tieout.reports.receivables.cut_off import build

    return build(asked.books(), as_of=asked.as_of, days=days)


@click.command("subsequent-receipts")
@click.option("--until", type=DAY, help="The last day of payments that count; default: today, or that of --known-on.")
@reporting
def subsequent(asked: Asked, *, until: datetime | None) -> Report:
    """What came in after a day against what was open on it."""
    from tieout.reports.receivables.subsequent import build

    last = until.date() if until else max((asked.known_on or clock()).date(), asked.as_of)
    if last < asked.as_of:
        raise ConfigError(f"--until {last} is before --as-of {asked.as_of}", hint="name a later day")
    return build(asked.books(), as_of=asked.as_of, until=last)


COMMANDS = {
    "aging": aging,
    "open-items": open_items,
    "statement": statement,
    "roll-forward": roll_forward,
    "unapplied": unapplied,
    "credits": credits_,
    "cut-off": cut_off,
    "subsequent-receipts": subsequent,
}
