"""The command line: parse, call one function, print. Commands are loaded when they are called: `--help` stays fast."""

from __future__ import annotations

import signal
from importlib import import_module

import click

from tieout import __version__

# name: (module, what `tieout --help` says of it)
_COMMANDS = {
    "check": ("setup", "Check configuration, connections, flows, locks."),
    "compare": ("files", "Compare two exported ledgers and bridge their totals."),
    "connect": ("setup", "Sign in to a connection, or test its credentials."),
    "demo": ("stand_ins", "Play a month end between SAP and QuickBooks."),
    "discrepancies": ("discrepancies", "Work through the differences between the books."),
    "init": ("setup", "Write a commented tieout.toml."),
    "plan": ("books", "Look at a plan, approve it or reject it."),
    "profile": ("files", "How the files of one ERP are read."),
    "pull": ("books", "Fetch and normalise the records of a connection, or of all."),
    "sandbox": ("stand_ins", "Stand-ins for trying things out."),
    "sync": ("books", "Keep one pair in step, or all of them."),
}
_EXIT_CODES = """\b
Exit codes, the gravest that applies:
  0  done
  1  differences found (only with --fail-on-differences)
  2  configuration, credentials, wrong company, profile: mend it
  3  temporary: leased, locked, disk full, vendor down: run again
  4  a person must act: approval, guard, sign-in expired
  5  failed
"""


class _Commands(click.Group):
    """The commands above; a module is imported when one of its commands is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"tieout.cli.{_COMMANDS[cmd_name][0]}")
        found: click.Command = module.COMMANDS[cmd_name]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tieout")
def cli() -> None:
    """Keep an accounting package in step with a company's other books, and list every cent of difference."""


def main() -> None:
    """Entry point of the `tieout` program. A request to end (SIGTERM) is met as Ctrl-C is: leases are given back."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli(prog_name="tieout")
