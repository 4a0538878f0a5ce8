"""What a command prints: for a person or as JSON, never both; and what it says when it fails.

stdout carries the result, stderr everything else. Text from outside is escaped before a terminal sees it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TextIO

import click

from tieout.cli.exits import INTERRUPTED, STOPPED
from tieout.jsontext import encode
from tieout.plaintext import grid, hides, width

if TYPE_CHECKING:
    from tieout.cli.failures import Told

# Exit codes, the gravest first: failed, a person must act, mend the set-up, temporary, differences.
PRECEDENCE = (5, 4, 2, 3, 1, 0)
# Our own signs where a stream cannot carry them (a terminal or a log that is not UTF-8).
_PLAIN = str.maketrans({"─": "-", "→": ">", "✓": "+", "✗": "x", "–": "-", "…": "...", "×": "x", "·": "-"})
_CELL = 60
# A command that takes --config, where a next step names it.
_TAKES_CONFIG = re.compile(
    r"\btieout (?:check|connect|pull|sync|(?:plan|discrepancies|report) [a-z-]+|evidence (?:confirm|key|pack|verify))\b"
    r"(?! -c )"
)


def gravest(codes: Iterable[int]) -> int:
    """The one exit code of several outcomes; 0 if there are none."""
    return min(codes, key=PRECEDENCE.index, default=0)


def clean(text: object) -> str:
    """The text with control, bidirectional and line-breaking characters escaped: safe on a terminal and in a log."""
    return "".join(c.encode("unicode_escape").decode() if hides(c) else c for c in str(text))


def when(stamp: str) -> str:
    """A moment as it is kept (UTC, to the microsecond), for people: to the minute."""
    return f"{stamp[:10]} {stamp[11:16]} UTC" if len(stamp) > 16 and stamp.endswith("Z") else stamp


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> list[str]:
    """Aligned lines: headers, a rule, the rows; no line without rows.

    right: the columns set flush right (amounts, counts) · long cells are cut, except in the last column
    """
    last = len(headers) - 1
    cells = [[_cell("" if c is None else c, whole=i == last) for i, c in enumerate(row)] for row in rows]
    if not cells:
        return []
    rule = ["─" * max(map(width, column)) for column in zip(headers, *cells, strict=True)]
    return grid([headers, rule, *cells], frozenset(right))


def words(name: str) -> str:
    """A name of the model's as people write it: `credit memo`."""
    return name.replace("_", " ")


def _cell(value: object, *, whole: bool) -> str:
    text = clean(value)
    return text if whole or len(text) <= _CELL else text[: _CELL - 1] + "…"


@dataclass(slots=True)
class Out:
    """Where a command prints.

    quiet: nothing for a person unless something is wrong, and that on one line that says whose books they are: for the
    mails and logs of schedulers that run many · company: whose books they are, once it is known
    config: the configuration, where the next command has to name it as this one did
    """

    json: bool
    quiet: bool
    debug: bool
    company: str = ""
    config: str = ""
    broken: OSError | None = None  # why stdout could not take all that was said; the work went on
    late: list[Told] = field(default_factory=list)  # what went wrong beside the work, and was told
    said: set[str] = field(default_factory=set)  # what went wrong and was told, without where

    def data(self, value: Any) -> None:
        """The result for programs, under --json only."""
        if self.json:
            self.raw(encode(value) + "\n")

    def raw(self, text: str) -> None:
        """Text for stdout as it is, whatever --quiet says."""
        self._print(text, sys.stdout, end="")

    def line(self, text: str = "") -> None:
        """The result for people."""
        if not self.json and not self.quiet:
            self._print(text, sys.stdout)

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def note(self, text: str) -> None:
        """What goes on beside the result: progress, the next step."""
        if not self.quiet and not self.json:
            self._print(self._steps(text), sys.stderr)

    def warn(self, text: str) -> None:
        """What is wrong, and on lines of their own (`  - `, `  → `) its parts and the next step."""
        text = self._steps(masked(text))
        if self.quiet:
            lines = [line.strip() for line in text.strip().splitlines()]
            text = " ".join([f"{clean(self.company)}:"] * bool(self.company) + lines)
        self._print(text, sys.stderr)

    def step(self, hint: str) -> str:
        """What to type next, with the configuration that this command was given: without it, it would read another."""
        return _TAKES_CONFIG.sub(lambda found: f"{found[0]} -c {quote(self.config)}", hint) if self.config else hint

    def _steps(self, text: str) -> str:
        """The text, its lines that begin with → made complete."""
        return "\n".join(self.step(line) if line.startswith("  → ") else line for line in text.split("\n"))

    def trace(self, text: str) -> None:
        """How an error came about, on as many lines as it takes."""
        self._print("\n".join(map(clean, masked(text.rstrip()).split("\n"))), sys.stderr)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[str], None]]:
        """One line on a terminal that is rewritten, and gone at the end; nothing anywhere else."""
        shown = sys.stderr is not None and sys.stderr.isatty() and not self.quiet and not self.json

        def step(text: str) -> None:
            if shown:
                self._print(f"\r\x1b[2K{label}: {clean(text)}", sys.stderr, end="")

        try:
            step("…")
            yield step
        finally:
            if shown:
                self._print("\r\x1b[2K", sys.stderr, end="")

    def _print(self, text: str, stream: TextIO | None, end: str = "\n") -> None:
        """A reader that went away (`| head`) or a full disk behind the stream ends the output, not the work."""
        if stream is None:  # closed before we began (`>&-`)
            return
        try:
            stream.write(fit(text, stream.encoding or "utf-8") + end)
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is buffered has nowhere to go
            if not isinstance(error, BrokenPipeError):
                self.broken = self.broken or error


def masked(text: str) -> str:
    """The text without any secret that this program looked up or sent: the last line before it is told."""
    redact = sys.modules.get("tieout.connectors.redact")  # not loaded: none was
    return text if redact is None else str(redact.masked(text))


def fit(text: str, encoding: str) -> str:
    """The text as a stream of that encoding can carry it: our signs made plain, other letters escaped."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


class _Output(click.Option):
    """Where the result goes. `--out`, as it was called in some commands, is understood and not shown."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        self.opts.append("--out")
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts.remove("--out")


def output_option(told: str = "The file; default: the screen.", **more: Any) -> Callable[[Any], Any]:
    """`-o`, `--output`: the one name of the file that a command writes its result to."""
    kind = more.pop("type", click.Path(path_type=Path, dir_okay=False))
    return click.option("-o", "--output", "output", cls=_Output, type=kind, help=told, **more)


def in_currency(value: Decimal | str | None, currency: str | None) -> str:
    """An amount for people, with the places of its currency: none of yen, three of dinars; two without one."""
    from tieout.compare.result import money

    return money(value, currency)


def common(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command --json, --quiet and --debug, an `Out` as first argument, and one way to fail.

    The function returns its exit code, None for 0.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, money as text.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing unless something is wrong; for schedulers.")
    @click.option("--debug", is_flag=True, help="Show where an error came from.")
    @wraps(function)
    def run(*args: Any, as_json: bool, quiet: bool, debug: bool, **kwargs: Any) -> None:
        out = Out(json=as_json, quiet=quiet, debug=debug, config=_named_config(quiet=quiet))
        _log(out)
        try:
            code = function(out, *args, **kwargs) or 0
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            out.warn(f"\n{STOPPED}")
            out.data({"error": document(INTERRUPTED, STOPPED)})
            code = INTERRUPTED
        except Exception as error:  # noqa: BLE001  the last line: every failure gets its exit code
            code = fail(out, error)
        if out.late and code in PRECEDENCE:
            code = gravest([*(told.exit for told in out.late), code])
        if out.broken:
            told = tell(out, out.broken, where="what was to be printed is lost")
            code = gravest([told.exit, code]) if code in PRECEDENCE else code
        raise click.exceptions.Exit(code)

    return run


def _named_config(*, quiet: bool) -> str:
    """The configuration that the next command has to name; "" where it finds the same one by itself.

    What a scheduler's command prints is read by somebody who has not its environment.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("config") is click.core.ParameterSource.COMMANDLINE
    named = context.params.get("config") if given else os.environ.get("TIEOUT_CONFIG") if quiet else None
    return clean(named or "")


def _log(out: Out) -> None:
    """Warnings of what runs beneath are said as the command's own; requests are logged with --debug only."""
    import logging

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if out.debug:
                out.trace(clean(f"{record.name}: {record.getMessage()}"))
            elif record.levelno >= logging.WARNING and record.name not in ("tieout.http", "psycopg"):  # both raise it
                out.warn(clean(record.getMessage()))

    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, "of_tieout", False)]:  # of a command before, in one process
        root.removeHandler(handler)
    said = Said()
    said.of_tieout = True  # type: ignore[attr-defined]
    root.addHandler(said)
    logging.getLogger("tieout").setLevel(logging.INFO if out.debug else logging.NOTSET)


def fail(out: Out, error: Exception) -> int:
    """Say what went wrong on stderr, under --json as a document on stdout too, and return the exit code."""
    told = tell(out, error)
    out.data({"error": document(told.exit, told.message, told.problems, told.hint)})
    return told.exit


def document(exit_code: int, message: str, problems: Sequence[str] = (), hint: str = "") -> dict[str, Any]:
    """A failure as programs read it, everywhere the same."""
    told = {"message": masked(message), "problems": [masked(p) for p in problems], "hint": masked(hint)}
    return {"exit": exit_code, **told}


def tell(out: Out, error: Exception, *, where: str = "") -> Told:
    """Say on stderr what went wrong, where and what to type next; with --debug also how it came about.

    One trouble in several places is told once, where it was first met. In quiet mode, what an earlier run said already
    is left to the exit code: a scheduler alerts once.
    """
    from tieout.cli.failures import explain

    told = explain(error)
    told = replace(told, hint=out.step(told.hint))
    what = "\n".join((told.message, *told.problems))
    if (what in out.said or (told.again and out.quiet)) and not out.debug:
        return told
    out.said.add(what)
    if out.debug:
        import traceback

        out.trace("".join(traceback.format_exception(error)))
    lines = [f"error: {where}: {told.message}" if where else f"error: {told.message}"]
    lines += [f"  - {problem}" for problem in told.problems] + ([f"  → {told.hint}"] if told.hint else [])
    out.warn("\n".join(map(clean, lines)))
    return told
