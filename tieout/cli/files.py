"""`profile` and `compare`: work on files alone, no set-up needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import file_digest
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import DAY
from tieout.cli.output import Out, clean, common, encode, money, table, words
from tieout.cli.provenance import provenance
from tieout.cli.state import clock, config_option
from tieout.cli.writing import write_new, write_whole, writing_whole
from tieout.errors import ConfigError

if TYPE_CHECKING:
    from tieout.compare import Result
    from tieout.compare.ledgers import Ledger

_SHOWN = 20
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


@click.group()
def profile() -> None:
    """How the files of one ERP are read."""


@profile.command("list")
@common
def list_(out: Out) -> None:
    """List the profiles that ship with tieout: of exports, and of the import files that it writes."""
    from tieout.mapping.tabular import list_profiles, load_profile
    from tieout.mapping.writing import list_import_profiles, load_import_profile

    found = [load_profile(name) for name in list_profiles()]
    written = [load_import_profile(name) for name in list_import_profiles()]
    out.data(
        {
            "profiles": [{"name": p.name, "entity": p.entity, "description": p.description} for p in found],
            "imports": [
                {
                    "name": p.name,
                    "entities": list(p.entities),
                    "operations": list(p.operations),
                    "description": p.description,
                }
                for p in written
            ],
        }
    )
    out.lines(table(("profile", "holds", "description"), [(p.name, p.entity, p.description) for p in found]))
    out.line()
    rows = [(p.name, words(", ".join(p.entities)), ", ".join(p.operations), p.description) for p in written]
    out.lines(table(("import profile", "takes", "to", "description"), rows))
    out.note("  → tieout profile show NAME prints one, to copy from")


@profile.command("show")
@click.argument("name")
@common
def show(out: Out, name: str) -> None:
    """Print a profile that ships with tieout, to copy from."""
    from tieout.config.settings import suggestion
    from tieout.errors import ProfileError
    from tieout.mapping.tabular import list_profiles, shipped_text
    from tieout.mapping.writing import list_import_profiles, shipped_import_text

    known = [*list_profiles(), *list_import_profiles()]
    if name not in known:
        raise ProfileError(
            f"no profile {name!r} ships{suggestion(name, known)}", hint=f"use one of: {', '.join(known)}"
        )
    text = shipped_text(name) if name in list_profiles() else shipped_import_text(name)
    out.data({"name": name, "toml": text})
    out.lines(text.splitlines())


@profile.command("check")
@click.argument("file", type=_file)
@click.option("--profile", "name", required=True, help="A shipped profile, or the path of your own.")
@common
def check(out: Out, file: Path, name: str) -> int:
    """Read a file and say what became of every row.

    Exits with 4 if rows were rejected.
    """
    import duckdb

    from tieout.connectors.files import check as read
    from tieout.mapping.tabular import load_profile

    wanted = load_profile(name)
    with duckdb.connect(":memory:") as con, out.progress(f"reading {file.name}"):
        report = read(con, file, wanted).as_json()
    out.data(report)
    _show_report(out, report)
    return 4 if report["rejected"] else 0


def _show_report(out: Out, report: dict[str, Any]) -> None:
    out.line(f"{report['file']}: {report['encoding']}, headings in row {report['header_row']}")
    counts = [
        (k, f"{n:,}")
        for k, n in (
            ("rows", report["rows"]),
            ("accepted", report["accepted"]),
            ("skipped", len(report["skipped"])),
            ("rejected", len(report["rejected"])),
        )
    ]
    out.lines(table(("", "rows"), counts, right=(1,)))
    if report["totals"]:
        sums = [(c, f"{t['count']:,}", money(t["sum"])) for c, t in report["totals"].items()]
        out.line()
        out.lines(table(("currency", "rows", "sum"), sums, right=(1, 2)))
    for title, rows, headers in (
        ("rejected", report["rejected"], ("row", "column", "value", "reason")),
        ("skipped", report["skipped"], ("row", "reason")),
    ):
        if rows:
            out.line()
            out.line(f"{title}:")
            out.lines(table(headers, [[r[h] for h in headers] for r in rows[:_SHOWN]], right=(0,)))
            if len(rows) > _SHOWN:
                out.line(f"… and {len(rows) - _SHOWN:,} more (--json lists all)")
    for warning in report["warnings"]:
        out.warn(f"warning: {warning}")


@profile.command("infer")
@click.argument("file", type=_file)
@click.option("-o", "--output", type=_file, help="Write the profile to this file instead of the screen.")
@common
def infer(out: Out, file: Path, output: Path | None) -> None:
    """Propose a profile for a file, with evidence.

    What the file does not settle (day or month first, 1.234) is asked, not guessed.
    """
    from tieout.connectors.files import infer as propose

    with out.progress(f"reading {file.name}"):
        found = propose(file)
    if output:
        write_new(output, found.toml.encode())
        first = f"answer its lines that begin with # ASK: in {quote(str(output))}, then: " if found.questions else ""
        again = f"tieout profile check {quote(str(file))} --profile {quote(str(output))}"
        out.note(f"wrote {output}")
    else:
        out.lines(found.toml.splitlines())
    said = {"toml": found.toml, "questions": list(found.questions), "shipped": list(found.shipped)}
    out.data(said | {"output": str(output) if output else None})
    for name in found.shipped:
        used = f"tieout profile check {quote(str(file))} --profile {name}"
        out.note(f"the shipped profile {name} reads every row as it is: {used}")
    for question in found.questions:
        out.warn(f"question: {clean(question)}")
    if output:
        out.note(f"  → {first}{again}")


@click.command()
@click.option("--left", required=True, type=_ledger, help="The first ledger, A: a file, or state:CONNECTION.")
@click.option("--left-profile", help="How to read it: a shipped profile, or the path of your own. None for Parquet.")
@click.option("--right", required=True, type=_ledger, help="The second ledger, B.")
@click.option("--right-profile", help="How to read it.")
@config_option
@click.option(
    "--key", type=click.Choice(["id", "number"]), help="Pair documents by this alone: it is known to be right."
)
@click.option("--as-of", type=DAY, help="Count documents up to this day, inclusive.")
@click.option("--unique-numbers", type=_sides, help="Where an invoice number is used once (INVARIANT_BROKEN).")
@click.option("--gapless-numbers", type=_sides, help="Where numbers may have no gap (SEQUENCE_GAP).")
@click.option("--negative-balances", is_flag=True, help="Name customers whose balance is a credit (NEGATIVE_BALANCE).")
@click.option(
    "--unused-credit",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Name money and credit that nobody used for so many days before --as-of, or today (CREDIT_UNUSED).",
)
@click.option("--html", type=_file, help="Also write a page that needs nothing else.")
@click.option("--xlsx", type=_file, help="Also write an Excel workbook: bridges with live formulas, every difference.")
@click.option("--csv", type=_file, help="Also write every difference for a spreadsheet, with FILE.provenance.json.")
@click.option("--parquet", type=_file, help="Also write every difference as Parquet, with FILE.provenance.json.")
@click.option("--matches", type=_file, help="Also write every match, with its rule and evidence, as Parquet.")
@click.option("--memory", metavar="SIZE", help="Use this much memory at most, as 2GB; beyond it the work goes to disk.")
@click.option(
    "--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", help="Where the comparison is computed."
)
@click.option(
    "--master", metavar="URL", help="With --engine spark: the cluster, as spark://host:7077; default local[*]."
)
@click.option("--limit", type=click.IntRange(0), default=200, show_default=True, help="How many a person is shown.")
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
    unique_numbers: str | None,
    gapless_numbers: str | None,
    negative_balances: bool,
    unused_credit: int | None,
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
) -> int:
    """Compare two exported ledgers and bridge their totals.

    Every difference is listed. No set-up is needed, but for state:CONNECTION: the books as tieout last read them.
    """
    from tieout.compare import Checks, render
    from tieout.compare.files import compare_files

    if master and engine != "spark":
        raise click.UsageError("--master goes with --engine spark")
    spark = (master or "local[*]") if engine == "spark" else None
    asked = {
        name: value
        for name, value in (
            ("key", key),
            ("unique_numbers", unique_numbers),
            ("gapless_numbers", gapless_numbers),
            ("negative_balances", negative_balances or None),
            ("unused_credit_days", unused_credit),
            ("engine", f"spark {spark}" if spark else None),
        )
        if value is not None
    }
    checks = Checks(_SIDES[unique_numbers], _SIDES[gapless_numbers], negative_balances, unused_credit)
    inputs = [Path(p) for p in (left, right, left_profile, right_profile) if p and not isinstance(p, _State)]
    _apart(inputs, (html, xlsx, matches), (csv, parquet))
    with out.progress(f"comparing {left.name} and {right.name}"):
        day = as_of.date() if as_of else None
        sides = [_kept(out, s, config, day) if isinstance(s, _State) else s for s in (left, right)]
        with writing_whole(matches) if matches else nullcontext() as under:
            result = compare_files(
                sides[0],
                left_profile,
                sides[1],
                right_profile,
                day,
                memory=memory,
                key=key,
                matches=under,
                checks=checks,
                today=clock().date(),
                spark=spark,
            )
    said = provenance("compare", {"as_of": result.as_of} | asked, at=clock()) | {"read": dict(result.provenance)}
    _reports(out, result, said, html=html, xlsx=xlsx)
    _tables(out, result, said | result.beside(), csv=csv, parquet=parquet)
    if out.json:
        out.data(result.as_json() | result.beside() | {"as_of": result.as_of, "provenance": said})
    out.lines(render.to_table(result, most=limit).splitlines())
    _warn_of_left_out(out, result, {"left": left_profile or "", "right": right_profile or ""})
    return 1 if fail_on_differences and result.discrepancies else 0


def _kept(out: Out, asked: _State, config: str | None, as_of: date | None) -> Ledger:
    """The books of a connection as the state database holds them now: what was last read, which may be old."""
    from tieout.cli.ledgers import Asked
    from tieout.compare.ledgers import Ledger
    from tieout.sync.as_known import linked

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
            raise ConfigError(f"{path.parent} is no folder", hint="make it, or name another file")


def _warn_of_left_out(out: Out, result: Result, profiles: dict[str, str]) -> None:
    """Rows that were rejected, and columns of Parquet that no ledger has: one may be misspelt."""
    for side, read in result.provenance.items():
        if isinstance(read, dict) and read.get("not_compared"):
            named = ", ".join(read["not_compared"])
            out.warn(clean(f"{read['file']}: not compared, as it is no column of a ledger: {named}"))
        if isinstance(read, dict) and read.get("rejected") and "state" in read:
            again = f"tieout pull {quote(read['state'])}"
            says = f"{read['state']}: {read['rejected']:,} could not be read when last seen; not compared"
            out.warn(f"{clean(says)}\n  → {clean(again)}")
        elif isinstance(read, dict) and read.get("rejected"):
            again = f"tieout profile check {quote(str(read['file']))} --profile {quote(profiles[side])}"
            were = "row was" if read["rejected"] == 1 else "rows were"
            out.warn(
                f"{clean(read['file'])}: {read['rejected']:,} {were} rejected and not compared\n  → {clean(again)}"
            )


def _write(out: Out, path: Path, body: bytes) -> None:
    """Write one output file, for people."""
    write_whole(path, body)
    out.note(f"wrote {path}")


COMMANDS = {"profile": profile, "compare": compare}
