"""The audit binder: the lists that an auditor requests for a period, in one report with what each of them proves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from tieout.reports.frame import Column, Proof, Report, Row, Table


def bind(reports: Sequence[Report], *, title: str, as_of: date) -> Report:
    """The reports as one, in their order: a table of contents first, then every table under its report's name.

    A note is said once, with the names of the reports that it is of. Parameters and sources stand in the contents and
    the provenance.
    """
    return Report(
        name="audit",
        title=title,
        company=next((r.company for r in reports if r.company), ""),
        as_of=as_of,
        known_on=next((r.known_on for r in reports if r.known_on), None),
        tables=(_contents(reports), *(t for r in reports for t in _named(r))),
        charts=tuple(replace(c, key=f"{r.name}.{c.key}") for r in reports for c in r.charts),
        proofs=tuple(dict.fromkeys(_said_by(r, p) for r in reports for p in r.proofs)),
        notes=tuple(_notes(reports)),
        parameters={},
        provenance={"parts": {r.name: dict(r.provenance) for r in reports if r.provenance}},
    )


def _notes(reports: Sequence[Report]) -> Iterator[str]:
    of: dict[str, list[str]] = {}
    for r in reports:
        for note in r.notes:
            of.setdefault(note, []).append(r.name)
    yield from (f"{', '.join(names)}: {note}" for note, names in of.items())


def _said_by(report: Report, proof: Proof) -> Proof:
    return replace(proof, claim=f"{report.name}: {proof.claim}")


def _named(report: Report) -> list[Table]:
    return [replace(t, key=f"{report.name}.{t.key}", title=f"{report.name}: {t.title}") for t in report.tables]


def _contents(reports: Sequence[Report]) -> Table:
    columns = (
        Column("report", "report", width=20),
        Column("title", "what it is", width=60),
        Column("parameters", "asked with", width=50),
        Column("lines", "lines", "count"),
        Column("held", "proofs that hold", "count"),
        Column("broken", "that do not", "count"),
        Column("open", "not available", "count"),
    )
    rows = []
    for r in reports:
        asked = ", ".join(f"{k} {v}" for k, v in r.parameters.items())
        lines = sum(row.style == "detail" for t in r.tables for row in t.rows)
        held = [sum(p.held is wanted for p in r.proofs) for wanted in (True, False, None)]
        rows.append(Row((r.name, r.title, asked, lines, *held)))
    note = "A proof that does not hold is to be explained before the period is signed off."
    return Table("contents", "Contents", columns, tuple(rows), note)
