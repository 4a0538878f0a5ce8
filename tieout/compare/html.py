"""A comparison as one self-contained HTML page: no script, nothing fetched, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape as _escape

from tieout.compare.codes import of
from tieout.compare.render import bridge_rows, money, plain
from tieout.compare.render import said as told
from tieout.compare.result import Discrepancy, Result, text

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#1c2430;margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.2rem 0}
table{border-collapse:collapse;width:100%;margin:.3rem 0}caption{text-align:left;color:#5a6472;padding:.2rem 0}
th,td{padding:.3rem .5rem;border-bottom:1px solid #dfe3e8;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f3f5f7;font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.found td:nth-child(1),.found td:nth-child(4){overflow-wrap:normal}td.w{white-space:nowrap;overflow-wrap:normal}
tr.total td{font-weight:600;border-top:2px solid #8a94a2}.bridge{max-width:40rem}.quiet{color:#5a6472}
@media print{body{margin:0;max-width:none;font-size:10pt}tr{break-inside:avoid}thead{display:table-header-group}}
"""
_SHORT = 14  # characters: a date, a document number, an amount


def escape(value: str) -> str:
    """Text for the page; what would steer its direction or is no character to see, as an escape."""
    return _escape(plain(value, 10**9))


def to_html(result: Result, *, title: str = "Ledger comparison", said: Mapping[str, object] | None = None) -> str:
    """The whole page. A comparison may list very many discrepancies; all of them are in it.

    said: what made the page (when, by whom, with which program, parameters), shown with its sources.
    """
    as_of = f", as of {escape(result.as_of)}" if result.as_of else ""
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>A = {escape(result.left.name)} · B = {escape(result.right.name)}{as_of}</p>",
        f"<p>{result.matched:,} matched, {len(result.discrepancies):,} discrepancies</p>",
        _sides(result),
        *_rejected(result),
        *(_bridge(c, result) for c in sorted(result.bridge)),
        "<h2>Discrepancies</h2>",
        _discrepancies(result.discrepancies) if result.discrepancies else "<p>None.</p>",
        _provenance(result, said or {}),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _table(head: Sequence[str], rows: Iterable[str], numeric: frozenset[int] = frozenset(), kind: str = "") -> str:
    cells = "".join(f'<th{" class=n" if n in numeric else ""} scope="col">{h}</th>' for n, h in enumerate(head))
    return f'<table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>\n{"".join(rows)}</tbody></table>'


def _cells(values: Sequence[str], numeric: frozenset[int] = frozenset(), kind: str = "") -> str:
    """A row; what is short stands on one line, so that no number or date is broken in two."""
    cells = "".join(
        f"<td{' class=n' if n in numeric else ' class=w' if len(v) <= _SHORT else ''}>{escape(v)}</td>"
        for n, v in enumerate(values)
    )
    return f"<tr{f' class={kind}' if kind else ''}>{cells}</tr>\n"


def _sides(result: Result) -> str:
    numbers = frozenset({2, 3, 4, 6, 7})
    rows = [
        _cells(
            (letter, side.name, f"{side.records:,}", f"{side.rejected:,}", f"{t.documents:,}", currency,
             money(text(t.total)), money(text(t.open))),
            numbers,
        )
        for letter, side in (("A", result.left), ("B", result.right))
        for currency, t in sorted(side.totals.items())
    ]  # fmt: skip
    return _table(("", "Ledger", "Records", "Rejected", "Documents", "", "Total", "Open"), rows, numbers)


def _rejected(result: Result) -> list[str]:
    return [
        f"<p><strong>{side.rejected:,} of {letter}'s rows could not be read and are in no figure "
        "on this page.</strong> The bridge holds for what was read.</p>"
        for letter, side in (("A", result.left), ("B", result.right))
        if side.rejected
    ]


def _bridge(currency: str, result: Result) -> str:
    lines = bridge_rows(currency, result.bridge[currency], result)
    numbers = frozenset({1, 2})
    rows = [_cells(r, numbers, "total" if n in (0, len(lines) - 2) else "") for n, r in enumerate(lines)]
    return f"<h2>From A to B in {escape(currency)}</h2>" + _table(("", "Count", "Amount"), rows, numbers, "bridge")


def _discrepancies(found: Iterable[Discrepancy]) -> str:
    numbers = frozenset({6})
    rows = [
        _cells(
            (
                " ".join((d.code, *(f"+{s}" for s in d.secondary))),
                d.left_label or "",
                d.right_label or "",
                d.field or "",
                told(d.field, d.left_value),
                told(d.field, d.right_value),
                f"{money(text(d.delta))} {d.currency or ''}".rstrip(),
                d.cause,
                d.remedy,
            ),
            numbers,
        )
        for d in found
    ]
    head = ("Code", "A", "B", "What", "A says", "B says", "Delta", "Likely cause", "Next")
    return _table(head, rows, numbers, "found")


def _provenance(result: Result, said: Mapping[str, object]) -> str:
    rows = [_cells(("page", key, _fact(value))) for key, value in said.items()]
    rows += [
        _cells((side, str(key), _fact(value)))
        for side, facts in result.provenance.items()
        for key, value in (facts.items() if isinstance(facts, dict) else ((side, facts),))
    ]
    known = sorted({(d.code, of(d.code).class_) for d in result.discrepancies})
    letters = {"T": "changes the total", "Z": "moves between documents", "G": "subledger to ledger", "N": "no effect"}
    legend = " · ".join(f"{escape(code)}: {letters[c]}" for code, c in known)
    out = f'<p class="quiet">{legend}</p>' if legend else ""
    return out + ("<h2>Sources</h2>" + _table(("Of", "", ""), rows) if rows else "")


def _fact(value: object) -> str:
    """One fact of the provenance as a reader takes it: amounts by currency, lists joined, nothing as a dash."""
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_fact(v)}" for k, v in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return "; ".join(_fact(v) for v in value) or "–"
    if value is None:
        return "–"
    return {",": "comma", "\t": "tab", ";": "semicolon"}.get(str(value), str(value))
