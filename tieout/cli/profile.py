"""`profile`: how the files of one ERP are read. Works on files alone, no set-up needed."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from tieout.cli.output import Out, clean, common, in_currency, output_option, table, words
from tieout.cli.writing import write_new

_SHOWN = 20
_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def profile() -> None:
    """Describe how the exported files of an ERP are read."""


@profile.command("list")
@common
def list_(out: Out) -> None:
    """List the profiles that ship with tieout.

    Those of exports, and those of the import files that it writes.
    """
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
        sums = [(c, f"{t['count']:,}", in_currency(t["sum"], c)) for c, t in report["totals"].items()]
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
@output_option("Write the profile to this file instead of the screen.")
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


COMMANDS = {"profile": profile}
