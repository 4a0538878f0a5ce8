"""A report as one self-contained HTML page: no script, nothing fetched, every text escaped; for screens and paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files

from tieout.reports.forms import shown
from tieout.reports.forms.drawing import caption, svg
from tieout.reports.forms.shown import NUMBERS, visible
from tieout.reports.frame import Chart, Column, Report, Row, Table

_STYLE = (files(__package__) / "page.css").read_text("utf-8")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'"
)
_SHORT = 22  # characters: a date, a code, a document number: on one line
_LONG = 28  # characters: a name or a sentence: in a column of some width
_BROAD = 8  # columns: more are printed across
_DENSE, _DENSER = 11, 14  # columns: more are in smaller print


def write(report: Report) -> str:
    """The whole page; all rows of all tables are on it."""
    title = _text(report.title)
    letter = bool(report.reference)  # printed upright, as its PDF is
    stacked = [shown.stacked(t) for t in report.tables]
    filled = [(shown.filled(t, told=not letter), lines) for t, lines in stacked]
    looks = ["broad"] * (not letter and any(len(t.columns) >= _BROAD for t in report.tables))
    looks += ["spread"] * any(_wide(t) for t, _ in filled)
    tables = ["\n".join(_table(table, f"t{n}", lines)) for n, (table, lines) in enumerate(filled)]
    first = shown.leading(report)
    body = [
        _header(report),
        *_broken(report),
        *tables[:first],
        _notes(report),
        _charts(report.charts),
        *tables[first:],
        _proofs(report) if report.proofs else "",
        _sources(report),
    ]
    of = "".join(f" · {_text(x)}" for x in (report.company, report.as_of and report.as_of.isoformat()) if x)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{title}{of}</title><style>{_STYLE}</style></head>\n"
        f"<body{_attribute(' '.join(looks))}>\n" + "\n".join(part for part in body if part) + "\n</body></html>\n"
    )


def _text(value: str) -> str:
    return escape(visible(value))


def _header(report: Report) -> str:
    asked = "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in shown.heading(report))
    company = f'<p class="company" dir="auto">{_text(report.company)}</p>' if report.company else ""
    return f'<header>{company}<h1 dir="auto">{_text(report.title)}</h1><dl class="asked">{asked}</dl></header>'


def _broken(report: Report) -> Iterator[str]:
    """What stands before all figures: the proofs that do not hold, or that none is broken."""
    if said := shown.broken(report):
        yield f'<p class="alert">{said}.</p>'
        yield _proofs(replace(report, proofs=tuple(p for p in report.proofs if p.held is False)), "What does not hold")
    elif said := shown.sound(report):
        yield f'<p class="quiet">{said}</p>'


def _proofs(report: Report, title: str = "Proofs") -> str:
    kind = ' class="n"' if shown.figures(report) else ""
    rows = "".join(
        f'<tr><th scope="row" class="l">{_text(p.claim)}</th>'
        + "".join(f"<td{kind}>{_text(c)}</td>" for c in shown.proof_cells(p))
        + f'<td class="s{" bad" if p.held is False else ""}">{said}</td></tr>\n'
        for p, said in shown.proofs(report)
    )
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table class="of"><thead><tr><th scope="col">What</th>'
        f'<th scope="col"{kind}>Here</th><th scope="col"{kind}>There</th>'
        f'<th scope="col">Result</th></tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _notes(report: Report) -> str:
    return f'<ul class="notes">{"".join(f"<li>{_text(n)}</li>" for n in report.notes)}</ul>' if report.notes else ""


def _charts(charts: Iterable[Chart]) -> str:
    return f'<div class="charts">{drawn}</div>' if (drawn := "".join(map(_figure, charts))) else ""


def _figure(chart: Chart) -> str:
    drawn = svg(chart)
    if not drawn:
        return ""
    title, remark = map(_text, caption(chart))
    return f"<figure><figcaption>{title} <span>{remark}</span></figcaption>{drawn}</figure>"


def _table(table: Table, anchor: str, lines: int = 1) -> Iterator[str]:
    """lines: how many rows of it are one, see `shown.stacked`"""
    told = shown.sentences(table)
    kept = [n for n in range(len(table.columns)) if n not in told]
    columns = [table.columns[n] for n in kept]
    wide = (" wide" if _wide(table) else "") + " dense" * (len(kept) > _DENSE) + " denser" * (len(kept) > _DENSER)
    yield f'<section class="page{wide}"><h2 id="{anchor}" dir="auto">{_text(table.title)}</h2>'
    if table.note:
        yield f'<p class="note">{_text(table.note)}</p>'
    if table.rows:
        classes = [_class(table.columns[n], n, table.rows) for n in kept]
        yield f'<div class="scroll" role="region" aria-labelledby="{anchor}" tabindex="0"><table>'
        yield _head(columns, classes)
        yield "<tbody>"
        for n, (row, cells) in enumerate(shown.cells(table), 1):
            beneath = _beneath(cells, table.columns, told, len(kept))
            leads = bool(beneath) or n % lines > 0
            yield _row(row, [cells[n] for n in kept], columns, classes, leads=leads) + beneath
        yield "</tbody></table></div>"
    else:
        yield "<p>Nothing to list.</p>"
    yield "</section>"


def _wide(table: Table) -> bool:
    return len(table.columns) - len(shown.sentences(table)) > shown.MANY


def _beneath(cells: Sequence[str], columns: Sequence[Column], told: Sequence[int], across: int) -> str:
    """The sentences of a row on a line beneath it, each with its column's name; "" where it has none."""
    said = "".join(
        f'<span dir="auto"><span class="k">{_text(shown.title(columns[n].title))}</span> {escape(cells[n])}</span>'
        for n in told
        if cells[n]
    )
    return f'<tr class="told"><td colspan="{across}"><div>{said}</div></td></tr>\n' if said else ""


def _class(column: Column, place: int, rows: Sequence[Row]) -> str:
    """n: numbers, flush right · s: short, on one line · m: of some length · l: long, in a column of some width"""
    if column.kind in NUMBERS:
        return "n"
    longest = max(
        (len(visible(c)) for r in rows if isinstance(c := r.cells[place], str) and r.style != "heading"), default=0
    )
    return "s" if longest <= _SHORT else "l" if longest > _LONG else "m"


def _attribute(name: str) -> str:
    return f' class="{name}"' if name else ""


def _head(columns: Sequence[Column], classes: Sequence[str]) -> str:
    over = "".join(
        f'<th scope="colgroup" class="g" colspan="{n}">{_text(name)}</th>' if name else f'<td colspan="{n}"></td>'
        for name, n in shown.groups(columns)
    )
    names = "".join(
        f'<th scope="col"{_attribute(k)}>{_text(shown.title(c.title))}</th>'
        for c, k in zip(columns, classes, strict=True)
    )
    return f"<thead>{f'<tr>{over}</tr>' if over else ''}<tr>{names}</tr></thead>"


def _row(
    row: Row, cells: Sequence[str], columns: Sequence[Column], classes: Sequence[str], *, leads: bool = False
) -> str:
    """leads: a line that belongs to it follows"""
    out = []
    for n, (cell, column, kind) in enumerate(zip(cells, columns, classes, strict=True)):
        if column.kind in NUMBERS:
            below = cell[:1] == "-" and column.kind != "days"  # a day that is still to come is no bad news
            out.append(f'<td class="{"n neg" if below else "n"}">{escape(cell)}</td>')
        elif n == 0:
            out.append(f'<th scope="row" dir="auto"{_attribute(kind)}>{escape(cell)}</th>')
        else:
            out.append(f'<td dir="auto"{_attribute(kind)}>{escape(cell)}</td>')
    kind = " ".join(["leads"] * leads + [row.style] * (row.style != "detail"))
    return f"<tr{_attribute(kind)}>{''.join(out)}</tr>\n"


def _sources(report: Report) -> str:
    if report.reference:
        return f'<footer><p class="quiet">Reference {_text(report.reference)}</p></footer>'
    rows = "".join(
        f'<tr><th scope="row">{_text(k)}</th><td>{_text(v)}</td></tr>\n' for k, v in shown.facts(report.provenance)
    )
    table = f'<div class="scroll"><table class="of"><tbody>{rows}</tbody></table></div>' if rows else ""
    return f"<footer><h2>Where this comes from</h2>{table}</footer>" if table else ""
