"""The command line: parse, call one function, print. Heavy imports stand inside the commands: `--help` stays fast."""

from __future__ import annotations

import click

from tieout import __version__
from tieout.cli import books, discrepancies, files, setup, stand_ins

_EXIT_CODES = """\b
Exit codes, the gravest that applies:
  0  done
  1  differences found (only with --fail-on-differences)
  2  configuration, credentials, wrong company, profile: mend it
  3  temporary: leased, locked, disk full, vendor down: run again
  4  a person must act: approval, guard, sign-in expired
  5  failed
"""


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tieout")
def cli() -> None:
    """Keep an accounting package in step with a company's other books, and list every cent of difference."""


for _module in (setup, books, discrepancies, files, stand_ins):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """Entry point of the `tieout` program."""
    cli(prog_name="tieout")
