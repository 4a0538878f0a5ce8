"""`report`: the books as people take them into a review or an audit, with where each figure came from.

The registry of reports, and what all of them share: which books, as of when, in which form, where to. A report is one
command: a function that is given an `Asked` and its own options, and returns a `Report` (or several, one a document).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import wraps
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import DAY, MOMENT, known_by
from tieout.cli.ledgers import Asked
from tieout.cli.output import Out, clean, common, output_option
from tieout.cli.provenance import provenance
from tieout.cli.state import clock, config_option
from tieout.cli.writing import write_whole
from tieout.errors import ConfigError
from tieout.jsontext import encode
from tieout.plaintext import counted

if TYPE_CHECKING:
    from tieout.reports import Report

# name: (module of `tieout.cli`, what `tieout report --help` says of it)
REPORTS = {
    "aging": ("report_ledgers", "What is owed, by how long it has been due."),
    "open-items": ("report_ledgers", "Every document that is not settled."),
    "statement": ("report_ledgers", "Each customer's account: opening, movements, closing."),
    "roll-forward": ("report_ledgers", "Opening, movements by kind, closing; what was dated back."),
    "unapplied": ("report_ledgers", "Unapplied cash and credit balances."),
    "credits": ("report_ledgers", "Credits and write-offs, with their approvers."),
    "cut-off": ("report_ledgers", "Documents around a day, in both ledgers."),
    "subsequent-receipts": ("report_ledgers", "What came in later against what was open."),
    "cash-suggestions": ("report_cash", "Which open invoices unapplied payments settle."),
    "collections": ("report_cash", "Whom to call about overdue invoices, in which order."),
    "cash-forecast": ("report_cash", "What open invoices should bring, week by week."),
    "bridge": ("report_audit", "From ledger A to B by every difference, remainder zero."),
    "tie-out": ("report_audit", "Documents beside the systems' own reports and accounts."),
    "discrepancy-history": ("report_audit", "Differences across runs, and what was decided."),
    "unadjusted": ("report_audit", "Differences that nobody corrected, against a threshold."),
    "interface-log": ("report_audit", "Every write of a period: approval, outcome, read-back."),
    "post-close": ("report_audit", "What changed in a period after it was closed or signed off."),
    "audit": ("report_audit", "All the lists of a period that an auditor requests, in one."),
    "promise": ("report_close", "Record what a customer promised to pay."),
    "checklist": ("report_close", "The steps of a month end, and who signed them off."),
    "sign-off": ("report_close", "Sign steps of a month end off."),
}
# form: (module of `tieout.reports.forms`, its function from a report to text or bytes)
FORMATS = {
    "text": ("text", "write"),
    "json": ("plain", "write_json"),
    "csv": ("plain", "write_csv"),
    "xlsx": ("workbook", "write"),
    "html": ("page", "write"),
    "pdf": ("paper", "write"),
}
_ON_SCREEN = ("text", "json", "csv")
_SUFFIX = {"text": "txt"}
_LETTERS = ("html", "pdf")  # forms in which a report goes to a customer, where it may
_INSIDE = "inside"  # the folder beside them of what stays
_REFERENCE = 12  # digits of the SHA-256 of the file inside
_file = click.Path(path_type=Path, dir_okay=False)


class _Reports(click.Group):
    """The reports above; a module is imported when one of its reports is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(REPORTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in REPORTS:
            return None
        module, told = REPORTS[cmd_name]
        found: click.Command = import_module(f"tieout.cli.{module}").COMMANDS[cmd_name]
        found.short_help = told
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        with formatter.section("Reports"):
            formatter.write_dl([(name, text) for name, (_, text) in REPORTS.items()])


@click.group(cls=_Reports)
def report() -> None:
    """Reports on receivables, cash, the month end, an audit.

    Of one connection of tieout.toml, of both of a pair side by side, or of exported files.
    """


SINCE = click.option(
    "--from", "since", type=DAY, help="First day of the period; default: the first of the month of --as-of."
)
_OPTIONS = (
    click.argument("connection", required=False),
    click.option("--pair", metavar="NAME", help="Both connections of a pair, side by side."),
    click.option("--left", multiple=True, type=_file, help="An exported file instead; repeatable, one ledger in all."),
    click.option("--left-profile", multiple=True, help="How to read it; one for each --left, in the same order."),
    click.option("--right", multiple=True, type=_file, help="The files of a second ledger, beside the first."),
    click.option("--right-profile", multiple=True, help="How to read it; one for each --right."),
    click.option("--left-name", metavar="NAME", help="What to call the ledger of --left; default: its files."),
    click.option("--right-name", metavar="NAME", help="What to call that of --right."),
    click.option("--as-of", required=True, type=DAY, help="What counts is dated up to this day, inclusive."),
    click.option("--known-on", type=MOMENT, help="Only what tieout had read by then, as it was then (UTC)."),
    click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Default: text; json with --json."),
    output_option(type=click.Path(path_type=Path)),
    click.option("--table", "only", metavar="KEY", help="With --format csv: only this table."),
    click.option(
        "--limit", type=click.IntRange(0), default=200, show_default=True, help="Rows of a table on the screen."
    ),
    click.option("--fail-on-differences", is_flag=True, help="Exit with 1 if a proof of the report does not hold."),
    config_option,
)


def first_day(asked: Asked, since: datetime | None) -> date:
    """The first day of a period that ends with --as-of. Raises ConfigError where it is after the last."""
    first = since.date() if since else asked.as_of.replace(day=1)
    if first > asked.as_of:
        raise ConfigError(f"the period would begin on {first}, after it ends on {asked.as_of}", hint="see --from")
    return first


def reporting(function: Callable[..., Report | Sequence[Report]], of: str = "any") -> Callable[..., None]:
    """Make a report's command out of `function(asked, **its own options)`: choose the books, write what it returns.

    of: `any` books; `pair`, a pair of tieout.toml only; `two`, a pair, or files on both sides
    """

    @wraps(function)
    def run(
        out: Out,
        *,
        form: str | None,
        output: Path | None,
        only: str | None,
        limit: int,
        fail_on_differences: bool,
        **given: Any,
    ) -> int:
        asked, own = _asked(out, given, of)
        form = form or ("json" if out.json else "text")
        if only and form != "csv":
            raise click.UsageError("--table goes with --format csv")
        if form not in _ON_SCREEN and output is None:
            raise click.UsageError(f"--format {form} needs --output FILE")
        if out.json and form != "json" and output is None:
            raise click.UsageError("--json needs --output FILE: both would go to the screen")
        asked.in_full = form != "text" or output is not None
        made = function(asked, **own)
        several = list(made) if isinstance(made, Sequence) else [made]
        said = _said(asked, own)
        stamped = [_stamped(r, asked, said) for r in several]
        _write(out, stamped, form, output, only=only, limit=limit, together=not isinstance(made, Sequence))
        return _tell(out, stamped, fail=fail_on_differences)

    wrapped: Callable[..., Any] = common(run)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def of_pair(function: Callable[..., Report | Sequence[Report]]) -> Callable[..., None]:
    """The same for a report that only a pair has. Where tieout.toml has one pair only, it need not be named."""
    return reporting(function, "pair")


def of_two(function: Callable[..., Report | Sequence[Report]]) -> Callable[..., None]:
    """The same for a report on two ledgers: a pair, or files on both sides."""
    return reporting(function, "two")


def _asked(out: Out, given: dict[str, Any], of: str) -> tuple[Asked, dict[str, Any]]:
    """The books that are asked of, and the report's own options. Raises UsageError where they are not one thing."""
    sides, called = [], []
    for side in ("left", "right"):
        files, profiles, name = given.pop(side), given.pop(f"{side}_profile"), given.pop(f"{side}_name")
        if len(files) != len(profiles):
            raise click.UsageError(f"each --{side} needs its --{side}-profile")
        if name is not None and not (files and name.strip()):
            raise click.UsageError(f"--{side}-name is what to call the ledger of --{side}")
        sides.append(tuple(zip(files, profiles, strict=True)))
        called.append((name or "").strip())
    if sides[1] and not sides[0]:
        raise click.UsageError("--right stands beside a --left")
    connection, pair = given.pop("connection"), given.pop("pair")
    named = sum(map(bool, (connection, pair, sides[0])))
    if of != "any" and (not named or connection or (sides[0] and (of == "pair" or not sides[1]))):
        pair = _pair(out, given["config"], connection, of, alone=not named)
    elif named != 1:
        raise click.UsageError(f"name one of these: {_names(given['config'])}")
    asked = Asked(
        out=out,
        as_of=given.pop("as_of").date(),
        known_on=known_by(given.pop("known_on"), "--known-on", clock()),
        config=given.pop("config"),
        connection=connection,
        pair=pair,
        files=tuple(side for side in sides if side),
        called=tuple(called),
    )
    return asked, given


def _pair(out: Out, config: str | None, connection: str | None, of: str, *, alone: bool) -> str:
    """The only pair of tieout.toml, where nothing was named. Raises UsageError with the pairs that there are."""
    from tieout.config import load

    also = ", or files with --left and --right" if of == "two" else ""
    try:
        found = load(config).pairs
    except ConfigError:
        raise click.UsageError(f"this report is of two ledgers: --pair NAME of tieout.toml{also}") from None
    if alone and len(found) == 1:
        [name] = found
        out.note(f"of the pair {name}, the only one of tieout.toml")
        return name
    fitting = [name for name, p in found.items() if connection in (None, name, p.left, p.right)]
    told = " or ".join(f"--pair {name}" for name in fitting or found) or "--pair NAME (tieout.toml has no pair yet)"
    raise click.UsageError(f"this report is of two ledgers: {told}{also}")


def _names(config: str | None) -> str:
    """What a report may be asked of, with the names that tieout.toml has."""
    from tieout.config import load

    try:
        settings = load(config)
    except ConfigError:
        return "a connection or --pair of tieout.toml, or files with --left and --left-profile"
    connections, pairs = (", ".join(names) or "none yet" for names in (settings.connections, settings.pairs))
    return f"a connection ({connections}); --pair ({pairs}); files with --left and --left-profile"


def _stamped(made: Report, asked: Asked, said: dict[str, Any]) -> Report:
    """The report with whose it is, what was known, and where it came from."""
    rows = {t.key: sum(r.style == "detail" for r in t.rows) for t in made.tables}
    of = [_files(side, name) for side, name in zip(asked.files, asked.called, strict=False)] or [*asked.names]
    books = {} if asked.pair and "pair" in made.parameters else {"ledger" if len(of) == 1 else "ledgers": ", ".join(of)}
    return replace(
        made,
        company=made.company or asked.company,
        known_on=asked.known_on,
        parameters=books | dict(made.parameters),
        provenance=said | {"read": dict(asked.read), "rows": rows} | dict(made.provenance),
    )


def _files(side: Sequence[tuple[Path, str]], name: str) -> str:
    """The files of a ledger, with what it is called where somebody said."""
    files = ", ".join(path.name for path, _ in side)
    return f"{name} ({files})" if name else files


def _said(asked: Asked, own: dict[str, Any]) -> dict[str, Any]:
    of = [str(path) for side in asked.files for path, _ in side] or [*asked.names]
    parameters = {"as_of": asked.as_of, "known_on": asked.known_on} | {k: _plain(v) for k, v in own.items()}
    return provenance(", ".join(of), parameters, at=clock())


def _plain(value: Any) -> Any:
    return value.date() if isinstance(value, datetime) and not value.tzinfo else value


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(
    out: Out, reports: Sequence[Report], form: str, output: Path | None, *, only: str | None, limit: int, together: bool
) -> None:
    """To the screen; or to the file, and for several documents into the folder, one file each."""
    if not reports:
        out.note("nothing to report: no customer has a balance on the day, or a movement in the period")
        if form == "csv":
            return None
    module, name = FORMATS[form]
    writer = getattr(import_module(f"tieout.reports.forms.{module}"), name)
    if form == "csv":
        return _write_csv(out, reports, output, only, writer)
    if output is None:
        if form == "json":
            texts = [writer(r) for r in reports]
            out.raw(texts[0] if together else "[" + ",\n".join(t.rstrip() for t in texts) + "]\n")
        else:
            wide = {"wide": get_terminal_size().columns} if sys.stdout.isatty() else {}
            out.lines("\n".join(writer(r, limit, **wide) for r in reports).splitlines())
        return None
    if together:
        _file_of(out, output, writer(reports[0]))
        return _tell_left_out(out, reports, form)
    _write_folder(out, reports, form, output, writer)
    return _tell_left_out(out, reports, form)


def _write_folder(
    out: Out, reports: Sequence[Report], form: str, folder: Path, writer: Callable[[Report], str | bytes]
) -> None:
    """One file for each document, and in the folder inside what of it does not go to a customer."""
    folder.mkdir(parents=True, exist_ok=True)
    unprinted = []
    for r in reports:
        path = folder / f"{_stem(r)}.{_SUFFIX.get(form, form)}"
        letter = r.outward and form in _LETTERS
        shown = _sent(r, folder) if letter else r
        if form == "pdf":
            body, lacking = import_module("tieout.reports.forms.paper").compose(shown)
            unprinted += [path] * bool(lacking and letter)
        else:
            body = writer(shown)
        _file_of(out, path, body)
    sent = sum(r.outward for r in reports) if form in _LETTERS else 0
    if sent:
        out.note(f"wrote {folder / _INSIDE}, which stays: by its reference each leads there to its proofs and sources")
    doubted = len(reports) - sent
    if form in _LETTERS and doubted:
        were = "is" if doubted == 1 else "are"
        why = "see the proofs and notes in them, or they show both ledgers"
        out.warn(f"{doubted:,} of {len(reports):,} {were} not for customers: {why}")
    if unprinted:
        files = "\n".join(f"  - {clean(path)}" for path in unprinted)
        some = counted(len(unprinted), "statement")
        out.warn(
            f"{some} not for customers: the fonts of a PDF lack letters of their names:\n{files}\n  → --format html"
        )


def _tell_left_out(out: Out, reports: Sequence[Report], form: str) -> None:
    """Say what a PDF has not in full, so that nobody takes it for the whole."""
    if form == "pdf":
        from tieout.reports.forms.paper import left_out

        for told in (told for r in reports for told in left_out(r)):
            out.warn(clean(told) + "\n  → --format xlsx, or html")


def _sent(made: Report, folder: Path) -> Report:
    """The report as a customer gets it; all of it goes into a file that stays inside, named by its own hash."""
    from tieout.reports.forms.plain import write_json
    from tieout.reports.frame import letter

    body = write_json(made).encode()
    reference = sha256(body).hexdigest()[:_REFERENCE]
    (folder / _INSIDE).mkdir(exist_ok=True)
    write_whole(folder / _INSIDE / f"{_stem(made)}-{reference}.json", body)
    return letter(made, reference)


def _write_csv(
    out: Out, reports: Sequence[Report], output: Path | None, only: str | None, writer: Callable[[Report], Any]
) -> None:
    """One file for each table, FILE for the first; beside it FILE.provenance.json."""
    from tieout.reports.forms.plain import told

    sheets = [(r, key, text) for r in reports for key, text in writer(r).items() if only in (None, key)]
    if not sheets:
        held = ", ".join(sorted({t.key for r in reports for t in r.tables}))
        raise ConfigError(f"there is no table {only!r} in this report", hint=f"use one of: {held}")
    if output is None:
        out.raw(sheets[0][2])
        for _, key, _ in sheets[1:]:
            out.note(f"not shown: table {key}\n  → --table {key}, or --output FILE for all of them")
        return
    first = True
    for r, key, text in sheets:
        path = output if first else output.with_name(f"{output.stem}-{key}{output.suffix}")
        if len(reports) > 1:
            output.mkdir(parents=True, exist_ok=True)
            path = output / f"{_stem(r)}-{key}.csv"
        body = text.encode("utf-8-sig")
        _file_of(out, path, body)
        sheet = {"path": str(path), "table": key, "sha256": sha256(body).hexdigest()} | told(r, key)
        write_whole(Path(f"{path}.provenance.json"), (encode(sheet | dict(r.provenance)) + "\n").encode())
        first = False


def _stem(made: Report) -> str:
    """A file name of our own making: what a remote system calls a customer never becomes a path."""
    told = made.parameters.get("customer") or made.title
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in told)[:60].strip("-")
    return f"{made.name}-{made.as_of}-{kept}-{sha256(told.encode()).hexdigest()[:6]}"


def _file_of(out: Out, path: Path, body: str | bytes) -> None:
    write_whole(path, body.encode() if isinstance(body, str) else body)
    out.note(f"wrote {path}")


def _tell(out: Out, reports: Sequence[Report], *, fail: bool) -> int:
    """Say on stderr what does not hold, so that nobody has to find it in the report."""
    from tieout.reports.forms.shown import proof_cells

    broken = [p for r in reports for p in r.proofs if p.held is False]
    for p in broken[:20]:
        ours, theirs = proof_cells(p)
        out.warn(clean(f"does not hold: {p.claim}: {ours}" + (f" against {theirs}" if theirs else "")))
    if len(broken) > 20:
        out.warn(f"… and {counted(len(broken) - 20, 'more proof')} that do not hold")
    return 1 if fail and broken else 0


COMMANDS = {"report": report}
