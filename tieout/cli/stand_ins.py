"""`sandbox`: stand-ins that run on this machine."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from tieout.cli.output import Out, common

_LAYOUTS = ("customers", "sap-fbl5n-en", "sap-fbl5n-de")


@click.group()
def sandbox() -> None:
    """Stand-ins for trying things out: nothing leaves this machine."""


@sandbox.command("file-erp")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--layout", "layouts", multiple=True, type=click.Choice(_LAYOUTS), help="What to export; repeatable.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day exports speak for; default today.")
@click.option("--every", type=click.IntRange(1), default=30, show_default=True, help="Seconds between rounds.")
@click.option("--once", is_flag=True, help="One round: load the outbox, export, stop.")
@common
def file_erp(
    out: Out, *, folder: Path, layouts: tuple[str, ...], as_of: datetime | None, every: int, once: bool
) -> None:
    """Run an ERP that speaks in files.

    It keeps its books in FOLDER, loads FOLDER/outbox, exports to FOLDER/export, and again, until interrupted.
    """
    import time

    from tieout.sandbox.file_erp import serve_folder

    rounds: list[str] = []

    def tell(line: str) -> None:
        rounds.append(line)
        out.line(line)

    folder.mkdir(parents=True, exist_ok=True)
    out.note(f"file ERP in {folder}; stop it with Ctrl-C")
    serve_folder(
        folder,
        as_of=lambda: as_of.date() if as_of else date.today(),
        rounds=1 if once else 0,
        pause=lambda: time.sleep(every),
        layouts=layouts or _LAYOUTS[:2],
        tell=tell,
    )
    out.data({"folder": str(folder), "told": rounds})


COMMANDS = (sandbox,)
