"""What commands on the state database share: the configuration option and an open store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tieout.config import Settings
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
