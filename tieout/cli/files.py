"""`profile` and `compare`: work on files alone, no set-up needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tieout.cli.output import Out, common, money, table

_SHOWN = 20
_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def profile() -> None:
    """How the files of one ERP are read."""


@profile.command("list")
@common
def list_(out: Out) -> None:
    """List the profiles that ship with tieout."""
    from tieout.mapping.tabular import list_profiles, load_profile

    found = [load_profile(name) for name in list_profiles()]
    out.data({"profiles": [{"name": p.name, "entity": p.entity, "description": p.description} for p in found]})
    out.lines(table(("profile", "holds", "description"), [(p.name, p.entity, p.description) for p in found]))


@profile.command("check")
@click.argument("file", type=_file)
@click.option("--profile", "name", required=True, help="A shipped profile, or the path of your own.")
@common
def check(out: Out, file: Path, name: str) -> None:
    """Read a file and say what became of every row."""
    import duckdb

    from tieout.connectors.files import load
    from tieout.mapping.tabular import load_profile

    wanted = load_profile(name)
    with duckdb.connect(":memory:") as con, out.progress(f"reading {file.name}"):
        report = load(con, file, wanted, side="left").as_json()
    out.data(report)
    _show_report(out, report)


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
    """Propose a profile for a file, with the evidence for each line.

    What the file does not settle (day or month first, 1.234) is asked, not guessed.
    """
    from tieout.connectors.files import infer as propose

    with out.progress(f"reading {file.name}"):
        found = propose(file)
    if output:
        with output.open("x", encoding="utf-8") as target:
            target.write(found.toml)
        out.note(f"wrote {output}\n  → tieout profile check {file} --profile {output}")
    else:
        out.lines(found.toml.splitlines())
    out.data({"toml": found.toml, "questions": list(found.questions), "output": str(output) if output else None})
    for question in found.questions:
        out.warn(f"question: {question}")


COMMANDS = (profile,)
