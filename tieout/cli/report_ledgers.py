"""The reports on what is open and what moved: aging, open items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tieout.cli.report import reporting

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
            self.fail(f"{value!r} are no rising numbers of days, such as 30,60,90", param, ctx)
        return days


@click.command()
@click.option("--buckets", type=_Buckets(), default="30,60,90,120", show_default=True, help="Last day of each bucket.")
@click.option(
    "--by", type=click.Choice(["due", "document"]), default="due", show_default=True, help="Age from this date."
)
@click.option("--detail/--no-detail", default=None, help="Each document; default: in files, not on the screen.")
@reporting
def aging(asked: Asked, *, buckets: tuple[int, ...], by: Any, detail: bool | None) -> Report:
    """What is owed, by how long it has been due: in total, by customer, by document.

    Unapplied money and credits stand in a column of their own.
    """
    from tieout.reports.aging import build

    shown = asked.in_full if detail is None else detail
    return build(asked.books(), as_of=asked.as_of, buckets=buckets, by=by, detail=shown)


@click.command("open-items")
@reporting
def open_items(asked: Asked) -> Report:
    """Every document that is not settled: invoices, credits, payments on account, adjustments."""
    from tieout.reports.open_items import build

    return build(asked.books(), as_of=asked.as_of)


COMMANDS = {"aging": aging, "open-items": open_items}
