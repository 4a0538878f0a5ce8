"""What a command prints: for a person or as JSON, never both; and what it says when it fails.

stdout carries the result, stderr everything else. Text from outside is escaped before a terminal sees it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from tieout.cli.failures import Told

# Exit codes, the gravest first (design.md §5): failed, a person must act, mend the set-up, temporary, differences.
PRECEDENCE = (5, 4, 2, 3, 1, 0)
INTERRUPTED = 130
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_CELL = 60


def gravest(codes: Iterable[int]) -> int:
    """The one exit code of several outcomes; 0 if there are none."""
    return min(codes, key=PRECEDENCE.index, default=0)


def clean(text: object) -> str:
    """The text with control, bidirectional and line-breaking characters escaped: safe on a terminal and in a log."""
    return "".join(
        c if unicodedata.category(c) not in _HIDDEN else c.encode("unicode_escape").decode() for c in str(text)
    )


def money(amount: Decimal | str | None) -> str:
    """An amount for people: thousands separated, at least two places; "" if there is none."""
    if amount is None or amount == "":
        return ""
    value = Decimal(amount)
    places = max(2, -int(value.as_tuple().exponent))
    return f"{value:,.{places}f}"


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> list[str]:
    """Aligned lines: headers, a rule, the rows; no line without rows.

    right: the columns set flush right (amounts, counts) · long cells are cut, except in the last column
    """
    last = len(headers) - 1
    cells = [[_cell("" if c is None else c, whole=i == last) for i, c in enumerate(row)] for row in rows]
    if not cells:
        return []
    widths = [max(_width(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    flush = set(right)

    def line(row: Sequence[str]) -> str:
        padded = [
            " " * (w - _width(c)) + c if i in flush else c + " " * (w - _width(c))
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [line(headers), line(["─" * w for w in widths]), *(line(row) for row in cells)]


def count(n: int, one: str, many: str = "") -> str:
    """`1 pair`, `2 pairs`: the number with its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _cell(value: object, *, whole: bool) -> str:
    text = clean(value)
    return text if whole or len(text) <= _CELL else text[: _CELL - 1] + "…"


def encode(value: Any) -> str:
    """JSON with money and dates as text; a float is a mistake and raises TypeError."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | str() | int():
            return value
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(v) for v in value]
        case os.PathLike():
            return os.fspath(value)
        case _:
            raise TypeError(f"{type(value).__name__} does not belong into JSON output")


@dataclass(slots=True)
class Out:
    """Where a command prints. quiet: nothing for a person unless something is wrong"""

    json: bool
    quiet: bool
    debug: bool

    def data(self, value: Any) -> None:
        """The result for programs, under --json only."""
        if self.json:
            self._print(encode(value), sys.stdout)

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
            self._print(text, sys.stderr)

    def warn(self, text: str) -> None:
        """What is wrong; printed in quiet mode too."""
        self._print(text, sys.stderr)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[str], None]]:
        """One line on a terminal that is rewritten, and gone at the end; nothing anywhere else."""
        shown = sys.stderr.isatty() and not self.quiet and not self.json

        def step(text: str) -> None:
            if shown:
                self._print(f"\r\x1b[2K{label}: {clean(text)}", sys.stderr, end="")

        try:
            step("…")
            yield step
        finally:
            if shown:
                self._print("\r\x1b[2K", sys.stderr, end="")

    @staticmethod
    def _print(text: str, stream: TextIO, end: str = "\n") -> None:
        """A reader that went away (`| head`) ends the output, not the work."""
        try:
            stream.write(text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8"))
            stream.write(end)
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is buffered has nowhere to go
            if not isinstance(error, BrokenPipeError):
                raise


def common(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command --json, --quiet and --debug, an `Out` as first argument, and one way to fail.

    The function returns its exit code, None for 0.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, money as text.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing unless something is wrong; for schedulers.")
    @click.option("--debug", is_flag=True, help="Show where an error came from.")
    @wraps(function)
    def run(*args: Any, as_json: bool, quiet: bool, debug: bool, **kwargs: Any) -> None:
        out = Out(json=as_json, quiet=quiet, debug=debug)
        try:
            code = function(out, *args, **kwargs) or 0
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            out.warn("\ninterrupted; nothing is half done: the next run goes on from here")
            code = INTERRUPTED
        except Exception as error:  # noqa: BLE001  the last line: every failure gets its exit code
            code = fail(out, error)
        raise click.exceptions.Exit(code)

    return run


def fail(out: Out, error: Exception) -> int:
    """Say what went wrong on stderr, under --json as a document on stdout too, and return the exit code."""
    told = tell(out, error)
    out.data({"error": {"exit": told.exit, "message": told.message, "problems": told.problems, "hint": told.hint}})
    return told.exit


def tell(out: Out, error: Exception, *, where: str = "") -> Told:
    """Say on stderr what went wrong, where and what to type next; with --debug also how it came about.

    In quiet mode, what an earlier run said already is left to the exit code: a scheduler alerts once.
    """
    from tieout.cli.failures import explain

    told = explain(error)
    if told.again and out.quiet and not out.debug:
        return told
    if out.debug:
        import traceback

        out.warn("".join(traceback.format_exception(error)).rstrip())
    out.warn(clean(f"error: {where}: {told.message}" if where else f"error: {told.message}"))
    for problem in told.problems:
        out.warn("  - " + clean(problem))
    if told.hint:
        out.warn("  → " + clean(told.hint))
    return told
