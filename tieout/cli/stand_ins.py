"""`sandbox` and `demo`: stand-ins that run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from tieout.cli import sections
from tieout.cli.days import DAY
from tieout.cli.output import Out, common

_LAYOUTS = ("customers", "sap-fbl5n-en", "sap-fbl5n-de")


def _switched(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a stand-in that has switches."""
    listed = click.option("--switches", "listed", is_flag=True, help="List the switches with their settings, and stop.")
    chosen = click.option(
        "--switch",
        "switches",
        multiple=True,
        metavar="NAME=VALUE",
        help="Choose how a behaviour that nobody verified is played.",
    )
    return chosen(listed(command))


@click.group()
def sandbox() -> None:
    """Stand-ins for trying things out.

    Nothing leaves this machine.
    """


@sandbox.command("file-erp")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--layout", "layouts", multiple=True, type=click.Choice(_LAYOUTS), help="What to export; repeatable.")
@click.option("--as-of", type=DAY, help="The day exports speak for; default today.")
@click.option("--every", type=click.IntRange(1), default=30, show_default=True, help="Seconds between rounds.")
@click.option("--once", is_flag=True, help="One round: load the outbox, export, stop.")
@click.option("--sample", type=click.IntRange(0), default=0, help="Begin new books with this many sample invoices.")
@click.option(
    "--write-off", metavar="AMOUNT", help="Before it exports, somebody there writes off this much of an invoice."
)
@common
def file_erp(
    out: Out,
    *,
    folder: Path,
    layouts: tuple[str, ...],
    as_of: datetime | None,
    every: int,
    once: bool,
    sample: int,
    write_off: str | None,
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
    if not once:
        out.note(f"{sections.file_erp(folder, layouts or _LAYOUTS[:2])}\nfile ERP in {folder}; stop it with Ctrl-C")
    serve_folder(
        folder,
        as_of=lambda: as_of.date() if as_of else date.today(),
        rounds=1 if once else 0,
        pause=lambda: time.sleep(every),
        layouts=layouts or _LAYOUTS[:2],
        tell=tell,
        sample=sample,
        write_off=write_off,
    )
    out.data({"folder": str(folder), "told": rounds})


@sandbox.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, help="Where faults are armed; default: free.")
@click.option(
    "--seed", default="small", show_default=True, help="small, empty, bare or generate:CUSTOMERS:INVOICES:SEED."
)
@_switched
@click.option("--realm", help="The company id; for clients that bring their own, like the next three.")
@click.option("--client-id", help="The app's client id.")
@click.option("--client-secret", help="The app's client secret (of a stand-in: no secret of yours).")
@click.option("--refresh-token", help="A refresh token that works from the start.")
@click.option(
    "--any-client", is_flag=True, help="Take whatever a client brings: id, secret, company id, tokens; for test suites."
)
@common
def quickbooks(
    out: Out,
    *,
    port: int,
    control_port: int,
    seed: str,
    switches: tuple[str, ...],
    listed: bool,
    any_client: bool,
    **registered: str | None,
) -> None:
    """Run a QuickBooks Online on 127.0.0.1 until interrupted.

    It prints the address, the client and a refresh token that the connector takes.
    """
    from tieout.sandbox.quickbooks import Registration, Switches, serve

    if listed:
        _list(out, Switches.choices())
        return
    own: dict[str, Any] = {name: value for name, value in registered.items() if value}
    registration = Registration(any_client=any_client, **own)

    serve(
        port=port,
        control_port=control_port,
        seed=seed,
        switches=switches,
        registration=registration,
        echo=_echo(out, sections.quickbooks),
    )


def _list(out: Out, choices: Mapping[str, Sequence[Any]]) -> None:
    """Every switch with its settings, the default first."""
    for name, settings in choices.items():
        out.line(f"{name}: {', '.join(str(s).lower() if isinstance(s, bool) else str(s) for s in settings)}")
    out.data({name: list(settings) for name, settings in choices.items()})


@sandbox.command("sage-x3")
@click.option("--port", type=click.IntRange(0, 65535), default=8124, show_default=True, help="0 takes a free one.")
@click.option("--control-port", type=click.IntRange(0, 65535), default=0, help="Where faults are armed; default: free.")
@click.option("--seed", default="small", show_default=True, help="small, empty or generate:CUSTOMERS:INVOICES:SEED.")
@_switched
@click.option("--publish", multiple=True, metavar="NAME=OBJECT", help="A public name of your own, such as YWSSIH=SIH.")
@click.option("--pool", default="SANDBOX", show_default=True, help="The pool's alias.")
@click.option("--width", type=click.IntRange(1), default=3, show_default=True, help="Calls that the pool runs at once.")
@click.option("--any-client", is_flag=True, help="Take every user and password.")
@common
def sage_x3(
    out: Out,
    *,
    port: int,
    control_port: int,
    seed: str,
    switches: tuple[str, ...],
    listed: bool,
    publish: tuple[str, ...],
    pool: str,
    width: int,
    any_client: bool,
) -> None:
    """Run the SOAP service of a Sage X3 on 127.0.0.1.

    It prints the WSDL, the endpoint, the user and the pool that a client needs, and runs until interrupted.
    """
    from tieout.sandbox.sage_x3 import SETTINGS, Pool, Publication, Registration, Switches, serve

    if listed:
        _list(out, Switches.choices())
        return
    published = tuple(Publication(name, target) for name, _, target in (p.partition("=") for p in publish))
    registration = Registration(any_client=any_client, pools=(Pool(pool, width),), publications=published)
    played = Switches.parse(switches)
    section = partial(
        sections.sage_x3, currency=played.company_currency, post_action=played.post_action, settings=SETTINGS
    )
    serve(
        port=port,
        control_port=control_port,
        seed=seed,
        switches=switches,
        registration=registration,
        echo=_echo(out, section),
    )


def _echo(out: Out, section: Callable[[Mapping[str, str]], str]) -> Callable[[str], None]:
    """What takes the lines in which a stand-in says where it serves; after the last, `control`, programs get them.

    section: what connects to it, for a person to paste
    """
    told: dict[str, str] = {}

    def echo(line: str) -> None:
        name, _, value = line.partition(" ")
        told[name] = value.strip()
        out.line(line)
        if name == "control":
            out.data(told)
            out.note(f"\n{section(told)}\nstop it with Ctrl-C")

    return echo


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Where books, configuration and reports are left; an earlier demo there is replaced.",
)
@common
def demo(out: Out, folder: Path) -> None:
    """Play a month end between SAP and QuickBooks.

    The stand-ins, the connectors and the sync are the real ones; nothing leaves this machine.
    """
    from tieout.demo import run

    out.data(run(folder, say=out.line))


COMMANDS = {"sandbox": sandbox, "demo": demo}
