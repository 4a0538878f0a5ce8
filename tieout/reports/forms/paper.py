"""A report as a PDF for statements and audits: tagged and archivable (PDF/UA-1, PDF/A-2), set by typst.

All of it goes in as data, so no text is markup. The letters are those of typst's own fonts, which have Latin, Greek,
Cyrillic, Hebrew and Arabic among others: what they do not have is printed as its codes, and the report says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from importlib import import_module
from importlib.resources import files
from typing import Any

from tieout.compare.result import money
from tieout.errors import ConfigError, FatalError
from tieout.reports.forms import shown
from tieout.reports.forms.drawing import caption, drawable, points, strips
from tieout.reports.forms.shown import NUMBERS, one_line, visible
from tieout.reports.frame import Chart, Column, Kind, Report, Row, Table

MOST_CELLS = 40_000  # of all tables on paper: typst keeps some 14 KB for each while it sets them
_TEMPLATE = (files(__package__) / "paper.typ").read_bytes()
_STANDARDS = ["a-2a", "ua-1"]
_MISSING = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)
_TRIES = 5
_WORD, _PART = 22, 4  # letters of a word that is not broken, and of the parts of one that may be
_UNBROKEN = re.compile(r"[^\s\u200b]+")
_TALL = 1_500  # characters of a cell that may be broken over two pages
_LINES = 4  # of a text, before its table is set in smaller letters
_LONG = Decimal(13)  # ems: a column that is broader shares what room is left
_SMALL, _CAPITAL, _WIDE = Decimal("0.52"), Decimal("0.72"), Decimal(1)  # ems of a letter
_BROAD, _GAP = frozenset("mwMW@%_&"), 7  # points between columns
_ROOM = {"a4": (504, 751), "us-letter": (521, 701)}  # points for a table: on a page upright, and across
# Points: a statement of figures that is no higher is not broken over two pages, upright and across; a list of a third.
_KEPT = (550, 370)
_LARGEST, _READABLE, _SMALLEST = Decimal("8.5"), Decimal("7.5"), Decimal(4)  # points of letters


def write(report: Report, *, paper: str = "a4", most_cells: int = MOST_CELLS) -> bytes:
    """The PDF, see `compose`."""
    return compose(report, paper=paper, most_cells=most_cells)[0]


def compose(report: Report, *, paper: str = "a4", most_cells: int = MOST_CELLS) -> tuple[bytes, int]:
    """The PDF, and how many of its texts hold letters that its fonts do not have. Equal reports give equal bytes.

    paper: `a4` or `us-letter` · most_cells: where there are more, details are left out, and a note says so
    Raises ConfigError where typst is not installed.
    """
    try:
        typst: Any = import_module("typst")  # an extra: only who writes PDF needs it
    except ImportError:
        raise ConfigError("writing PDF needs the package typst", hint="pip install 'tieout[pdf]'") from None
    lacking: set[str] = set()
    for _ in range(_TRIES):
        data = _data(_fitting(report, most_cells), paper, frozenset(lacking))
        try:
            made: bytes = typst.compile(
                _TEMPLATE,
                format="pdf",
                ignore_system_fonts=True,
                sys_inputs={"report": json.dumps(data, ensure_ascii=False)},
                pdf_standards=_STANDARDS,
            )
        except typst.TypstError as error:
            found = set("".join(map(_read, _MISSING.findall(error.diagnostic))))
            if not found - lacking:
                raise FatalError(f"typst could not set the report: {error.message}") from error
            lacking |= found
        else:
            return made, data["unprinted"]
    raise FatalError("typst could not set the report: it names ever more letters that its fonts do not have")


def _read(quoted: str) -> str:
    """A text as typst's messages quote it."""
    return re.sub(r"\\u\{([0-9a-f]+)\}|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], quoted)


def left_out(report: Report, most_cells: int = MOST_CELLS) -> list[str]:
    """What does not go on paper, in a sentence for each table that is not whole."""
    fitting = _fitting(report, most_cells)
    return [note for note in fitting.notes if note not in report.notes]


def _fitting(report: Report, cells: int) -> Report:
    """The report with no more cells than go on paper: details of long tables are left out at the end, totals never."""
    most = _most(report, cells)
    if most is None:
        return report
    tables, notes = [], []
    for table in report.tables:
        details = _details(table)
        if details > most:
            last = [n for n, r in enumerate(table.rows) if r.style == "detail"][most]
            kept = tuple(r for n, r in enumerate(table.rows) if n < last or r.style != "detail")
            notes.append(
                f"{table.title}: {most:,} of {details:,} rows are printed. The totals are of all of them; "
                "the workbook, the page and the CSV file have every row."
            )
            table = replace(table, rows=kept)
        tables.append(table)
    return replace(report, tables=tuple(tables), notes=(*notes, *report.notes))


def _details(table: Table) -> int:
    return sum(r.style == "detail" for r in table.rows)


def _most(report: Report, cells: int) -> int | None:
    """How many details a table may have, so that all together have so many cells; None where none has too many."""
    left, columns = cells, sum(len(t.columns) for t in report.tables)
    for table in sorted(report.tables, key=_details):
        if _details(table) * columns > left:
            return left // columns
        left -= _details(table) * len(table.columns)
        columns -= len(table.columns)
    return None


class _Letters:
    """Texts as they are printed: long words may be broken, and letters that no font has stand as their codes."""

    def __init__(self, lacking: frozenset[str]) -> None:
        self.lacking = lacking
        self.replaced = 0
        self.runs = re.compile(f"[{re.escape(''.join(sorted(lacking)))}]+") if lacking else None
        self.words = re.compile(rf"\S{{{_WORD + 1},}}")
        self.parts = re.compile(rf"(.{{{_PART}}})(?=.)")
        self.joined = re.compile(r"(?<=[A-Z]_)(?=[A-Z])")  # of a code

    def __call__(self, text: str) -> str:
        seen = visible(text)
        if self.runs and self.runs.search(seen):
            self.replaced += 1
            seen = self.runs.sub(lambda m: "[" + " ".join(f"U+{ord(c):04X}" for c in m[0]) + "]", seen)
        seen = self.joined.sub("\u200b", seen)
        return self.words.sub(lambda m: self.parts.sub("\\1\u200b", m[0]), seen) if len(seen) > _WORD else seen


def _data(report: Report, paper: str, lacking: frozenset[str]) -> dict[str, Any]:
    say = _Letters(lacking)
    upright, across = _ROOM[paper]
    kept = [shown.filled(t, told=not report.reference) for t in report.tables]
    tables = [_table(part, say, upright) for t in kept for part in _parts(t, across)]
    broad = any(t["size"] < _READABLE for t in tables)
    room = across if broad else upright
    for table in tables:
        _set(table, room)
        table["keep"] = _KEPT[broad] // (3 if table["list"] else 1)
    reference = f"reference {report.reference}" if report.reference else ""
    about = (report.company, report.title, report.as_of and f"as of {report.as_of.isoformat()}", reference)
    notes = [say(n) for n in report.notes]
    data: dict[str, Any] = {
        "title": say(one_line(report.title)),
        "company": say(one_line(report.company)),
        "foot": say(" · ".join(one_line(x) for x in about if x)),
        "made": _made(report),
        "paper": paper,
        "broad": broad,
        "room": room,
        "asked": [[say(k), say(v)] for k, v in shown.heading(report)],
        "failed": f"{said}." if (said := shown.broken(report)) else "",
        "sound": shown.sound(report),
        "broken": _proofs(replace(report, proofs=tuple(p for p in report.proofs if p.held is False)), say, room),
        "proofs": _proofs(report, say, room),
        "charts": [_chart(c, say) for c in report.charts if drawable(c)],
        "contents": tables[: shown.leading(report)],
        "tables": tables[shown.leading(report) :],
        "sources": [[say(k), say(v)] for k, v in shown.facts(report.provenance)],
    }
    if say.replaced:
        notes.append(
            f"{say.replaced:,} texts hold letters that the fonts of this PDF do not have: they are printed as their "
            "Unicode numbers. The page and the workbook show them."
        )
    return data | {"notes": notes, "unprinted": say.replaced}


def _parts(table: Table, across: int) -> list[Table]:
    """The table, group by group of its columns where its letters would be too small on the broadest page."""
    fits = _size(_table(table, _Letters(frozenset()), across), across) >= _READABLE
    return [table] if fits else shown.by_group(table)


def _set(table: dict[str, Any], room: int) -> None:
    """Letters as large as the page allows, and the columns' widths as text: a fraction in JSON is a float."""
    size = _size(table, room)
    columns = table["columns"]
    easy = [max(c["ems"], c["heading"]) for c in columns]
    if size * sum(easy, Decimal(0)) + _GAP * len(columns) <= room:  # headings on one line
        for column, ems in zip(columns, easy, strict=True):
            column["ems"] = ems
    wide = _shared(columns, room, size)
    if size > _READABLE and any(c["longest"] > _LINES * ems for c, ems in zip(columns, wide, strict=True)):
        size = _READABLE  # smaller letters, so that long texts have more room and their rows are less tall
        wide = _shared(columns, room, size)
    table["size"] = str(size)
    for column, ems in zip(columns, wide, strict=True):
        column["ems"], column["heading"], column["longest"] = f"{ems:.2f}", "", ""


def _shared(columns: Sequence[dict[str, Any]], room: int, size: Decimal) -> list[Decimal]:
    """The columns' widths in ems once those of long texts have the room that is left."""
    rest = (room - _GAP * len(columns)) / size - sum((c["ems"] for c in columns), Decimal(0))
    shares = sum(c["share"] for c in columns)
    return [c["ems"] + (max(rest, Decimal(0)) * c["share"] / shares if shares else 0) for c in columns]


def _made(report: Report) -> dict[str, int]:
    at = shown.made(report)
    return {part: getattr(at, part) for part in ("year", "month", "day", "hour", "minute", "second")}


def _table(table: Table, say: _Letters, upright: int) -> dict[str, Any]:
    told = shown.sentences(table)
    kept = [n for n in range(len(table.columns)) if n not in told]
    rows: list[dict[str, Any]] = []
    for row, cells in shown.cells(table):
        beneath = [[say(shown.title(table.columns[n].title)), say(cells[n])] for n in told if cells[n]]
        rows.append({"style": "leads" if beneath else row.style, "cells": [say(cells[n]) for n in kept]})
        rows += [{"style": "told", "cells": [], "said": beneath}] if beneath else []
    written = [r["cells"] for r in rows if r["style"] not in ("heading", "told")]
    columns = [_column(table.columns[c], [cells[n] for cells in written], say) for n, c in enumerate(kept)]
    longest = [max((len(cells[n]) for cells in written), default=0) for n in range(len(kept))]
    texts = [c for c in columns if not c["number"]]
    if texts and not any(c["share"] for c in texts):  # the widest takes what room is left, so that tables are as wide
        max(texts, key=lambda c: Decimal(c["ems"]))["share"] = 1
    made: dict[str, Any] = {
        "title": say(table.title), "note": say(table.note), "columns": columns, "rows": rows,
        "groups": [[say(name), width] for name, width in shown.groups([table.columns[n] for n in kept])],
        "tall": max([*longest, *(len(text) for r in rows for _, text in r.get("said", ()))], default=0) > _TALL,
        "list": shown.is_list(table),
    }  # fmt: skip
    return made | {"size": _size(made, upright)}


def _column(column: Column, cells: Sequence[str], say: _Letters) -> dict[str, Any]:
    """ems: as wide as its cells, in heights of a letter, and never less than a word that is not broken

    share: of what room is left, for columns of texts, else 0
    """
    number = column.kind in NUMBERS
    words = (w for text in (*cells, shown.title(column.title)) for w in _UNBROKEN.findall(text))
    word = max(map(_ems, words), default=Decimal(0))
    longest = max(map(_ems, cells), default=Decimal(0))
    share = 0 if number or longest <= _LONG else int(min(longest, _LONG * 3))
    return {
        "title": say(shown.title(column.title)), "number": number, "share": share,
        "longest": longest, "ems": max(min(longest, _LONG), word), "heading": _ems(shown.title(column.title)),
    }  # fmt: skip


def _ems(text: str) -> Decimal:
    """How wide a line of text is, bold, at most."""
    return sum(
        (_WIDE if c > "\u2e7f" else _CAPITAL if c in _BROAD or c.isupper() else _SMALL for c in text), Decimal(0)
    )


def _size(table: dict[str, Any], room: int) -> Decimal:
    """Points of letters with which a table fits."""
    ems: Decimal = sum((c["ems"] for c in table["columns"]), Decimal(0))
    size = (room - _GAP * len(table["columns"])) / max(ems, Decimal(1))
    fitting: Decimal = max(_SMALLEST, min(_LARGEST, size)).quantize(Decimal("0.1"), ROUND_DOWN)
    return fitting


def _proofs(report: Report, say: _Letters, room: int) -> dict[str, Any]:
    kind: Kind = "money" if shown.figures(report) else "text"
    columns = (
        Column("claim", "What"),
        Column("ours", "Here", kind),
        Column("theirs", "There", kind),
        Column("held", "Result"),
    )
    rows = tuple(Row((p.claim, *shown.proof_cells(p), told)) for p, told in shown.proofs(report))
    made = _table(Table("proofs", "Proofs", columns, rows), say, room)
    for row, (proof, _) in zip(made["rows"], shown.proofs(report), strict=True):
        row["style"] = "failed" if proof.held is False else "detail"
    _set(made, room)
    return made


def _chart(chart: Chart, say: _Letters) -> dict[str, Any]:
    title, remark = caption(chart)
    made: dict[str, Any] = {
        "title": say(one_line(title)),
        "where": say(f" {remark}" if remark else ""),
        "kind": chart.kind,
    }
    if chart.kind == "trend":
        places, marks = points(chart)
        return made | {
            "points": [[f"{x:.2f}", f"{y:.2f}"] for x, y in places],
            "marks": [[money(m, chart.currency), f"{y:.2f}"] for m, y in marks if m >= 0],
            "bars": [{"label": say(one_line(b.label))} for b in chart.bars],
        }
    return made | {
        "bars": [
            {
                "label": say(one_line(s.bar.label)),
                "amount": money(s.bar.amount, chart.currency),
                "kind": s.kind,
                **{k: f"{v:.2f}" for k, v in (("left", s.left), ("width", s.width), ("ground", s.ground))},
            }
            for s in strips(chart)
        ]
    }
