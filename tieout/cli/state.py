"""What commands on the state database share: the configuration option and an open store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tieout.cli.output import Out
    from tieout.config import Settings
    from tieout.sync.state.rewound import Anchored
    from tieout.sync.store import Store

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False),
    help="The configuration; default TIEOUT_CONFIG, else tieout.toml.",
)
by_option = click.option("--by", required=True, metavar="NAME", help="Who decides; kept in the audit log.")


def clock() -> datetime:
    """This machine's time, in UTC: the one place where the command line asks for it."""
    return datetime.now(UTC)


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The state database of a configuration, closed at the end."""
    from tieout.config.opening import state_url
    from tieout.sync.store import open_store

    store = open_store(state_url(settings), clock=clock)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def writing(out: Out, settings: Settings) -> Iterator[Store]:
    """The same, for a command that writes to it: what it added to the audit log is anchored at its end."""
    from tieout.evidence.anchoring import head_of

    with opened(settings) as store:
        before = head_of(store)
        try:
            yield store
        finally:
            if head_of(store) != before:
                anchor(out, settings, store)


def anchor(out: Out, settings: Settings, store: Store) -> None:
    """Anchor the audit log outside of the database; what prevents it is told loudly, and undoes nothing."""
    from tieout.cli.output import tell
    from tieout.config.evidence import anchors_of
    from tieout.errors import TieoutError
    from tieout.evidence import anchoring

    try:
        wrong = anchoring.anchor(store, anchors_of(settings, log=log_anchor))
    except TieoutError as error:  # the signing key
        wrong = [error]
    out.late += [tell(out, one, where="evidence") for one in wrong]


def anchored(out: Out, settings: Settings) -> Anchored | None:
    """The newest anchor; None where there is none yet, or where it cannot be read, which is told."""
    from tieout.cli.output import tell
    from tieout.config.evidence import anchors_of
    from tieout.errors import TieoutError

    try:
        return anchors_of(settings).newest()
    except TieoutError as error:
        out.late.append(tell(out, error, where="evidence"))
        return None


def log_anchor(line: str) -> None:
    """One anchor as a line for the log of the system, which keeps what goes to stderr."""
    click.echo(f"tieout anchor {line}", err=True)
