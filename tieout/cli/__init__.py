"""The command line: parse, call one function, print. Commands are loaded when they are called: `--help` stays fast."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from tieout import __version__
from tieout.cli.exits import CODES, INTERRUPTED, STOPPED

# name: (module, what `tieout --help` says of it)
_COMMANDS = {
    "check": ("setup", "Check configuration, connections, flows, locks."),
    "compare": ("compare", "Compare two exported ledgers and bridge their totals."),
    "connect": ("setup", "Sign in to a connection, or test its credentials."),
    "demo": ("stand_ins", "Play a month end between SAP and QuickBooks."),
    "discrepancies": ("discrepancies", "Work through the differences between the books."),
    "evidence": ("evidence", "Prove what was done: verify the log, pack a run."),
    "init": ("setup", "Write a commented tieout.toml."),
    "plan": ("plans", "Look at a plan, approve it or reject it."),
    "profile": ("profile", "Describe how the exported files of an ERP are read."),
    "pull": ("books", "Fetch and normalise the records of a connection, or of all."),
    "report": ("report", "Reports on receivables, cash, the month end, an audit."),
    "sandbox": ("stand_ins", "Stand-ins for trying things out."),
    "sync": ("books", "Keep one pair in step, or all of them."),
}


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

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Runs a command and ends the process with its exit code; a wrong command line is told as JSON where asked."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, *more, **extra | {"standalone_mode": False})
        except click.ClickException as error:
            error.show()
            code = error.exit_code
            if "--json" in words:
                _tell_json(error)
        except click.Abort as error:
            # click takes any EOFError for the end of a person's input; this one was never asked for.
            code = _fail(error.__cause__) if isinstance(error.__cause__, EOFError) else _interrupted()
        except SystemExit:  # click's end where the reader of --help went away: nothing is wrong
            code = 0
        except OSError as error:  # the disk behind stdout, while help was printed
            code = _fail(error)
        sys.exit(code)


def _tell_json(error: click.ClickException) -> None:
    from tieout.cli.output import Out, document

    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context else "tieout --help"
    out = Out(json=True, quiet=False, debug=False)
    out.data({"error": document(error.exit_code, error.format_message(), (), hint)})


def _interrupted() -> int:
    """Ctrl-C before a command had begun, or while it was loaded; click has ended the line that it was typed on."""
    sys.stderr.write(f"{STOPPED}\n")
    return INTERRUPTED


def _fail(error: Exception) -> int:
    from tieout.cli.output import Out, fail

    return fail(Out(json=False, quiet=False, debug=False), error)


@click.group(cls=_Commands, epilog=CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tieout")
def cli() -> None:
    """Keep an accounting package in step with a company's other books, and list every cent of difference."""


def main() -> None:
    """Entry point of the `tieout` program. A request to end is met as Ctrl-C is: leases are given back.

    Such a request is SIGTERM, and SIGHUP where the terminal went away; not under `nohup`, which ignores it.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, signal.default_int_handler)
    cli(prog_name="tieout")
