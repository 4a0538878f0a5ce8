"""The month-end checklist, signing its steps off, and the promises that the worklist and the forecast know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from tieout.cli import pairs
from tieout.cli.days import DAY, amount
from tieout.cli.ledgers import Asked, has_state
from tieout.cli.output import Out, common, in_currency
from tieout.cli.report import of_pair
from tieout.cli.state import by_option, clock, config_option, writing
from tieout.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    from tieout.reports import Books, Report
    from tieout.reports.review.checklist import Close

_note = click.option("--note", default="", help="What a reader should know of it.")


@click.command()
@of_pair
def checklist(asked: Asked) -> Report:
    """The steps of a month end of a pair: how each stands now, and who signed it off with which figure.

    Both sides are read anew. A sign-off whose figure has changed since is void, and says so.
    """
    from tieout.reports.review.checklist import build

    books = asked.books()
    made = build(books, as_of=asked.as_of, close=_close(asked, books), detail=asked.in_full)
    told = (
        "The books, the closings and the sign-offs are those known then; what waits and what differs is told as it "
        "stands now."
    )
    return replace(made, notes=(told, *made.notes)) if asked.known_on else made


@click.command("sign-off")
@click.argument("steps", nargs=-1, required=True, metavar="STEP…")
@click.option("--pair", required=True, metavar="NAME", help="The pair that is closed.")
@click.option("--as-of", required=True, type=DAY, help="The last day of the period.")
@click.option(
    "--role",
    type=click.Choice(["prepared", "approved"]),
    default="approved",
    show_default=True,
    help="What was done: one person prepares a step, another approves it.",
)
@by_option
@_note
@config_option
@common
def sign_off(
    out: Out,
    *,
    steps: tuple[str, ...],
    pair: str,
    as_of: datetime,
    role: str,
    by: str,
    note: str,
    config: str | None,
) -> None:
    """Sign steps of the checklist off, with their figures as they are now.

    Both sides are read anew for it. A step that is not met cannot be signed off; one that nothing tells needs a
    --note. Who prepared a step does not approve it.
    """
    from tieout.reports.review.checklist import steps as listed
    from tieout.sync.state.signoffs import Figure, sign

    asked = Asked(out=out, as_of=as_of.date(), known_on=None, config=config, pair=pair)
    with asked.store():  # a state database there must be, before anything is read
        pass
    books = asked.books()
    close = _close(asked, books)
    known = {s.key: s for s in listed(books, close, asked.as_of)}
    chosen = []
    for key in dict.fromkeys(steps):
        if key not in known:
            raise ConfigError(f"there is no step {key!r}", hint=f"use one of: {', '.join(known)}")
        step = known[key]
        if step.state == "not met":
            raise RefusedError(f"{key} is not met: {step.figure}", hint=step.next)
        if step.state == "not known" and not note.strip():
            raise RefusedError(
                f"nothing tells whether {key} is met: {step.figure}", hint="say with --note how you know"
            )
        chosen.append(Figure(key, step.figure, step.hash, close.rules))
    with writing(out, asked.settings()) as store:
        rows = sign(store, close.pair, asked.as_of, chosen, role=role, by=by, note=note)
    out.data({"signed": rows})
    for row in rows:
        out.line(f"{row['step']}: {row['role']} by {row['by']}, {row['figure']}")


def _close(asked: Asked, books: Sequence[Books]) -> Close:
    """What a close rests on beside the books: their comparison, the state, and what the systems say is closed."""
    from tieout import __version__
    from tieout.config.opening import to_pair
    from tieout.reports.review.checklist import Close, Signature
    from tieout.sync.core.facts import digest
    from tieout.sync.review.readiness import readiness
    from tieout.sync.state.periods import closed_through
    from tieout.sync.state.signoffs import signed
    from tieout.sync.store import instant

    settings = asked.settings()
    pair = to_pair(settings, settings.pair(str(asked.pair)).name)
    with asked.store() as store:
        state = readiness(store, pair.name)
        rows = signed(store, pair.name, asked.as_of, known_on=asked.known_on)
        closed = {n: closed_through(store, n, asked.known_on) for n in asked.names} if asked.known_on else None
    fields = ("step", "role", "by", "note")
    small = pair.rounding
    rounding = [small.per_document, small.total] if small else []
    return Close(
        pair=pair.name,
        comparison=pairs.compared(asked, books, pairs.known(asked)).result,
        listed=[_in_force(d, now=clock()) for d in state.listed],
        ran_at=state.ran_at,
        waiting=state.waiting,
        closed={name: _closed_through(asked, name) for name in asked.names} if closed is None else closed,
        then=closed is not None,
        signed=[
            Signature(
                **{k: row[k] for k in fields},
                at=instant(row["at"]),
                figure=row["figure"],
                hash=row["figure_hash"],
                rules=row["rules_hash"],
            )
            for row in rows
        ],
        rules=digest([pair.config_hash, [str(limit) for limit in rounding], __version__]),
    )


def _in_force(d: Mapping[str, Any], *, now: datetime) -> Mapping[str, Any]:
    """A difference as it counts now: one whose acceptance is over is open, also before the next run."""
    from tieout.sync.review.differences import lapsed
    from tieout.sync.store import stamp

    return {**d, "state": "open"} if d["state"] == "accepted" and lapsed(d, stamp(now)) else d


def _closed_through(asked: Asked, name: str) -> date | None:
    """The last day that a system says its books are closed through; None where it says none."""
    from tieout.config.opening import open_connection

    connector = open_connection(asked.settings(), name, clock=clock, tell=lambda _: None)
    try:
        return connector.company().closed_through()
    finally:
        connector.close()


# ── promises ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Amount(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A plain amount, never through a float."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        found = value if isinstance(value, Decimal) else amount(str(value))
        if found is None:
            self.fail(f"{value!r} is not an amount, such as 1250.00", param, ctx)
        return found


@click.command()
@click.argument("connection")
@click.argument("invoice")
@click.option("--amount", type=_Amount(), help="How much of it, in its currency.")
@click.option("--on", "day", type=DAY, help="Pays by this day, inclusive.")
@click.option("--said", type=DAY, help="When it was promised; default: today.")
@click.option("--withdraw", is_flag=True, help="Withdraw an earlier promise.")
@by_option
@_note
@config_option
@common
def promise(
    out: Out,
    *,
    connection: str,
    invoice: str,
    amount: Decimal | None,
    day: datetime | None,
    said: datetime | None,
    withdraw: bool,
    by: str,
    note: str,
    config: str | None,
) -> None:
    """Record what a customer promised to pay on INVOICE (a number, or an id), for the worklist and the forecast.

    It changes no balance and goes to no system. The last promise of an invoice counts. --by is who was told.
    """
    from tieout.config import load
    from tieout.model import from_micros
    from tieout.sync.state import promises

    if withdraw == (amount is not None) or (day is None and not withdraw):
        raise click.UsageError("give --amount and --on, or --withdraw")
    settings = load(config)
    name = settings.connection(connection).name
    today = said.date() if said else clock().date()
    with writing(out, settings) as store:
        of = promises.invoice(store, name, invoice)
        row = promises.keep(
            store,
            name,
            of,
            Decimal(0) if amount is None else amount,
            on=day.date() if day else today,
            said=today,
            by=by,
            note=note,
        )
    told = {"connection": row["connection"], "invoice": row["invoice"], "amount": from_micros(row["amount_micros"])}
    out.data(told | {k: v for k, v in row.items() if k != "amount_micros"})
    what = (
        "nothing any more"
        if amount is None
        else f"{in_currency(amount, of.currency)} {of.currency} by {row['pays_on']}"
    )
    out.line(f"{of.number or of.ref.id}: promised {what}")


def promised(asked: Asked, name: str) -> list[Any]:
    """The promises on record for a connection, as the reports take them; none for files, and none without a state."""
    from tieout.model import from_micros
    from tieout.reports.cash.promises import Promise
    from tieout.sync.state.promises import kept

    if asked.files or not has_state(asked.settings()):
        return []
    with asked.store() as store:
        rows = kept(store, name, known_on=asked.known_on)

    def one(row: Mapping[str, Any]) -> Promise:
        on, said = (date.fromisoformat(row[k]) for k in ("pays_on", "said_on"))
        return Promise(row["invoice"], from_micros(row["amount_micros"]), on, said, row["by"])

    return [one(row) for row in rows]


COMMANDS = {"checklist": checklist, "sign-off": sign_off, "promise": promise}
