"""`compare`: two ledgers, each a file or what the state database holds of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import file_digest
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import DAY
from tieout.cli.output import Out, clean, common
from tieout.cli.provenance import provenance
from tieout.cli.state import clock, config_option
from tieout.cli.writing import write_whole, writing_whole
from tieout.errors import ConfigError
from tieout.jsontext import encode
from tieout.plaintext import counted

if TYPE_CHECKING:
    from tieout.compare import Checks, Result
    from tieout.compare.ledgers import Ledger

_sides = click.Choice(["left", "right", "both"])
_SIDES: dict[str | None, frozenset[str]] = {
    None: frozenset(),
    "left": frozenset({"left"}),
    "right": frozenset({"right"}),
    "both": frozenset({"left", "right"}),
}
_file = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class _State:
    """A side that is what the state database knows of a connection."""

    connection: str

    @property
    def name(self) -> str:
        return self.connection


class _Side(click.Path):
    """A file, or `state:CONNECTION`. A file of such a name is given as `./state:…`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        kind, _, connection = str(value).partition(":")
        return _State(connection) if kind == "state" and connection else super().convert(value, param, ctx)


_ledger = _Side(path_type=Path)


def _once(ctx: click.Context, param: click.Parameter, given: tuple[Any, ...]) -> Any:
    """The one value of an option that a report takes several times: all but the last would be left out unsaid."""
    if len(given) > 1:
        raise click.BadParameter(
            "a ledger is one file here; `tieout report bridge` takes several files of one", ctx, param
        )
    return given[0] if given else None


@click.command()
@click.option(
    "--left",
    required=True,
    type=_ledger,
    multiple=True,
    callback=_once,
    help="The first ledger, A: a file, or state:CONNECTION.",
)
@click.option(
    "--left-profile",
    multiple=True,
    callback=_once,
    help="How to read it: a shipped profile, or the path of your own; not for Parquet.",
)
@click.option("--right", required=True, type=_ledger, multiple=True, callback=_once, help="The second ledger, B.")
@click.option("--right-profile", multiple=True, callback=_once, help="How to read it.")
@config_option
@click.option(
    "--key",
    type=click.Choice(["id", "number"]),
    help="Pair documents by this column alone, where it is known to be right.",
)
@click.option("--as-of", type=DAY, help="Count documents up to this day, inclusive.")
@click.option("--unique-numbers", type=_sides, help="Whose invoice numbers are used only once (INVARIANT_BROKEN).")
@click.option("--gapless-numbers", type=_sides, help="Whose numbers must have no gaps (SEQUENCE_GAP).")
@click.option("--negative-balances", is_flag=True, help="Name customers whose balance is a credit (NEGATIVE_BALANCE).")
@click.option(
    "--unused-credit",
    "unused_credit_days",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Name money and credit left unused for this many days before --as-of, or today (CREDIT_UNUSED).",
)
@click.option("--html", type=_file, help="Also write a self-contained HTML page.")
@click.option("--xlsx", type=_file, help="Also write an Excel workbook: bridges with live formulas, every difference.")
@click.option("--csv", type=_file, help="Also write every difference for a spreadsheet, with FILE.provenance.json.")
@click.option("--parquet", type=_file, help="Also write every difference as Parquet, with FILE.provenance.json.")
@click.option("--matches", type=_file, help="Also write every match, with its rule and evidence, as Parquet.")
@click.option(
    "--memory", metavar="SIZE", help="Use at most this much memory, such as 2GB; beyond it the work goes to disk."
)
@click.option(
    "--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", help="Where the comparison is computed."
)
@click.option(
    "--master", metavar="URL", help="With --engine spark: the cluster, such as spark://host:7077; default local[*]."
)
@click.option(
    "--limit", type=click.IntRange(0), default=200, show_default=True, help="Show at most this many on the screen."
)
@click.option("--fail-on-differences", is_flag=True, help="Exit with 1 if there are any.")
@common
def compare(
    out: Out,
    *,
    left: Path | _State,
    left_profile: str | None,
    right: Path | _State,
    right_profile: str | None,
    config: str | None,
    key: str | None,
    as_of: datetime | None,
    html: Path | None,
    xlsx: Path | None,
    csv: Path | None,
    parquet: Path | None,
    matches: Path | None,
    memory: str | None,
    engine: str,
    master: str | None,
    limit: int,
    fail_on_differences: bool,
    **looked_for: Any,
) -> int:
    """Compare two exported ledgers and bridge their totals.

    Every difference is listed. No set-up is needed, except for state:CONNECTION: the books as tieout last read them.
    """
    from tieout.compare import render
    from tieout.compare.files import compare_files

    if master and engine != "spark":
        raise click.UsageError("--master goes with --engine spark")
    spark = (master or "local[*]") if engine == "spark" else None
    inputs = [Path(p) for p in (left, right, left_profile, right_profile) if p and not isinstance(p, _State)]
    _apart(inputs, (html, xlsx, matches), (csv, parquet))
    with out.progress(f"comparing {left.name} and {right.name}"):
        day = as_of.date() if as_of else None
        sides = [_kept(out, s, config, day) if isinstance(s, _State) else s for s in (left, right)]
        with (
            _no_secrets(config, left, right) if spark else nullcontext(),
            writing_whole(matches) if matches else nullcontext() as under,
        ):
            result = compare_files(
                sides[0],
                left_profile,
                sides[1],
                right_profile,
                day,
                memory=memory,
                key=key,
                matches=under,
                checks=_checks(**looked_for),
                today=clock().date(),
                spark=spark,
            )
    asked = {"key": key, "engine": f"spark {spark}" if spark else None} | looked_for
    given = {name: asked[name] for name in sorted(asked) if asked[name] is not None and asked[name] is not False}
    said = provenance("compare", {"as_of": result.as_of} | given, at=clock()) | {"read": dict(result.provenance)}
    _reports(out, result, said, html=html, xlsx=xlsx)
    _tables(out, result, said | result.beside(), csv=csv, parquet=parquet)
    if out.json:
        out.data(result.as_json() | result.beside() | {"as_of": result.as_of, "provenance": said})
    out.lines(render.to_table(result, most=limit).splitlines())
    _warn_of_left_out(out, result, {"left": left_profile or "", "right": right_profile or ""})
    return 1 if fail_on_differences and result.discrepancies else 0


def _no_secrets(config: str | None, *sides: Path | _State) -> AbstractContextManager[None]:
    """Spark is a program of its own, which inherits what stands in the environment: no secret meanwhile."""
    from tieout.config import load
    from tieout.config.secrets import withheld

    return withheld(load(config).secret_variables if any(isinstance(s, _State) for s in sides) else ())


def _checks(
    *, unique_numbers: str | None, gapless_numbers: str | None, negative_balances: bool, unused_credit_days: int | None
) -> Checks:
    from tieout.compare import Checks

    return Checks(_SIDES[unique_numbers], _SIDES[gapless_numbers], negative_balances, unused_credit_days)


def _kept(out: Out, asked: _State, config: str | None, as_of: date | None) -> Ledger:
    """The books of a connection as the state database holds them now: what was last read, which may be old."""
    from tieout.cli.ledgers import Asked
    from tieout.compare.ledgers import Ledger
    from tieout.sync.review.as_known import linked

    now = clock()
    held = Asked(out, as_of or now.date(), now, config, connection=asked.connection)
    (books,) = held.books()
    with held.store() as store:
        links = linked(store, asked.connection)
    plainly = f"what tieout last read, at {books.source['read_at']}; the system itself was not asked"
    out.warn(clean(f"{books.name}: {plainly}"))
    source = {"state": books.name, **books.source, "means": plainly}
    if books.doubts:
        source["doubts"] = list(books.doubts)
    return Ledger(
        books.name, books.records, links, open_items=books.open_only, rejected=books.unreadable, source=source
    )


def _reports(out: Out, result: Result, said: dict[str, Any], *, html: Path | None, xlsx: Path | None) -> None:
    """Write the comparison as a report, in each form that was asked for."""
    from tieout.reports.forms import page, workbook
    from tieout.reports.reconciliation import comparison

    shown = {k: v for k, v in said.items() if k != "read"}
    if html:
        _write(out, html, page.write(comparison.report(result, said=shown)).encode())
    if xlsx:
        _write(out, xlsx, workbook.write(comparison.report(result, said=shown, keys=True)))


def _tables(out: Out, result: Result, said: dict[str, Any], *, csv: Path | None, parquet: Path | None) -> None:
    """Write all discrepancies to each file that was asked for, and beside it where they came from."""
    from tieout.compare import render

    for path, write in ((csv, render.write_csv), (parquet, render.write_parquet)):
        if path is None:
            continue
        with writing_whole(path) as under:
            write(result, under)
        out.note(f"wrote {path}")
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        sheet = {"path": str(path), "rows": len(result.discrepancies), "sha256": digest}
        _write(out, Path(f"{path}.provenance.json"), f"{encode(sheet | said)}\n".encode())


def _apart(inputs: Sequence[Path], pages: Sequence[Path | None], tables: Sequence[Path | None]) -> None:
    """Raises ConfigError where an output would fall on an input or on another output, or into no folder."""
    read = {f.resolve() for p in inputs for f in (p, *(p.glob("*.parquet") if p.is_dir() else ()))}
    outputs = [*(p for p in pages if p), *(p for t in tables if t for p in (t, Path(f"{t}.provenance.json")))]
    for n, path in enumerate(outputs):
        if path.resolve() in read | {other.resolve() for other in outputs[:n]}:
            raise ConfigError(f"{path} is read or written by this comparison already", hint="name another file")
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent} is not a folder", hint="make it, or name another file")


def _warn_of_left_out(out: Out, result: Result, profiles: dict[str, str]) -> None:
    """Rows that were rejected, and columns of Parquet that no ledger has: one may be misspelt."""
    for side, read in result.provenance.items():
        if read.get("not_compared"):
            named = ", ".join(read["not_compared"])
            out.warn(clean(f"{read['file']}: not compared, as it is not a column of a ledger: {named}"))
        if not read.get("rejected"):
            continue
        if "state" in read:
            name, again = read["state"], f"tieout pull {quote(read['state'])}"
            what = f"{read['rejected']:,} could not be read when last seen; not compared"
        else:
            name, again = read["file"], f"tieout profile check {quote(read['file'])} --profile {quote(profiles[side])}"
            what = f"{counted(read['rejected'], 'row was', 'rows were')} rejected and not compared"
        out.warn(f"{clean(name)}: {what}\n  → {clean(again)}")


def _write(out: Out, path: Path, body: bytes) -> None:
    """Write one output file, for people."""
    write_whole(path, body)
    out.note(f"wrote {path}")


COMMANDS = {"compare": compare}
