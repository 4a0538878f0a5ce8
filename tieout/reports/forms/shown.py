"""How cells are read by people: what every form for people shares, so that all of them show the same figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from tieout.compare.result import money
from tieout.model import exponent
from tieout.plaintext import escaped
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table

NUMBERS = frozenset({"money", "count", "days", "percent", "rate"})
_JOINERS = frozenset("\u200c\u200d")  # part of how Persian, Indic scripts and emoji are written
_FIRST_JOINED = "\u0600"
HELD: dict[bool | None, str] = {True: "holds", False: "DOES NOT HOLD", None: "not available"}
ZERO_SIGN = "–"
MANY = 11  # columns: a table of more has no room for sentences beside each other
_SENTENCE = 36  # characters: a column for longer text holds sentences
_LEDGER = Column("ledger", "ledger", width=14)
_UNDATED = date(2000, 1, 1)


def visible(text: str) -> str:
    r"""Text as a person may see it: line ends as they are, whatever else hides or steers as an escape (`\u202e`).

    Text of letters, digits, signs and spaces comes back unchanged.
    """
    return text if text.isprintable() else "".join(_seen(text.replace("\r\n", "\n")))


def _seen(text: str) -> Iterable[str]:
    before = ""
    for c in text:
        yield c if c == "\n" or (c in _JOINERS and before >= _FIRST_JOINED) else escaped(c)
        before = c


def one_line(text: str) -> str:
    """The same where there is room for one line only."""
    return visible(text.replace("\r\n", " ").replace("\n", " "))


def leading(report: Report) -> int:
    """How many of its tables stand before notes and charts: a table of contents does."""
    return int(bool(report.tables) and report.tables[0].key == "contents")


def decimals(amount: Decimal, currency: str) -> int:
    """Places to show an amount with: those of its currency (ISO 4217), more where it has more, 2 without a currency."""
    least = exponent(currency) if currency else 2
    written = f"{amount:f}".partition(".")[2].rstrip("0")  # not normalize(), which rounds to the context's precision
    return max(least, len(written))


def _number(value: Decimal | int) -> str:
    return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"


def currency_of(table: Table) -> Callable[[Row, Column], str]:
    """Which currency the amounts of a row are in, column by column; "" where the table does not say."""
    place = next((n for n, c in enumerate(table.columns) if c.key == "currency"), None)

    def of(row: Row, column: Column) -> str:
        return column.currency or ("" if place is None else str(row.cells[place] or ""))

    return of


def said(cell: Cell, kind: str, currency: str = "") -> str:
    """One cell as people read it; "" for nothing. Text comes back made visible, not escaped for any form."""
    match cell:
        case None:
            return ""
        case str():
            return visible(cell)
        case date():
            return cell.isoformat()
        case Decimal() if kind in ("money", "text"):
            return money(cell, currency)
        case _:
            return _number(cell) + (" %" if kind == "percent" else "")


def cells(table: Table) -> Iterable[tuple[Row, list[str]]]:
    """Every row with its cells as people read them. In a list a zero amount is a dash, so that others stand out."""
    currency = currency_of(table)
    listed = is_list(table)
    for row in table.rows:
        shown = []
        for cell, column in zip(row.cells, table.columns, strict=True):
            zero = listed and cell == 0 and column.kind == "money" and row.style == "detail"
            shown.append(ZERO_SIGN if zero else said(cell, column.kind, currency(row, column)))
        yield row, shown


def is_list(table: Table) -> bool:
    """Whether its rows are things of one kind, rather than the lines of a statement that lead to a figure."""
    return not any(r.formula or r.style in ("opening", "closing") for r in table.rows)


def filled(table: Table, *, told: bool = True) -> Table:
    """The table without columns in which nothing stands: there is little room on a page. told: their names are said"""
    kept = [n for n in range(len(table.columns)) if any(r.cells[n] not in (None, "") for r in table.rows)]
    if not kept or len(kept) == len(table.columns):
        return table
    rows = tuple(replace(r, cells=tuple(r.cells[n] for n in kept)) for r in table.rows)
    empty = [_named(c) for n, c in enumerate(table.columns) if n not in kept and c.title]
    note = f"{table.note} Nothing stands under: {', '.join(empty)}.".strip() if told and empty else table.note
    return replace(table, columns=tuple(table.columns[n] for n in kept), rows=rows, note=note)


def sentences(table: Table) -> tuple[int, ...]:
    """The columns of sentences, and what may stand aside, of a table of many columns: it would be broad, or high.

    They stand on a line beneath their row, each with its column's name.
    """
    if len(table.columns) <= MANY:
        return ()
    return tuple(n for n, c in enumerate(table.columns) if n and c.kind == "text" and (c.aside or _long(table, n)))


def _long(table: Table, n: int) -> bool:
    """Whether a column holds sentences."""
    few = (table.columns[n].width or 0) < _SENTENCE
    return not few and any(isinstance(t := r.cells[n], str) and len(t) > _SENTENCE for r in table.rows)


def _named(column: Column) -> str:
    return f"{column.title} ({column.group})" if column.group else column.title


def title(text: str) -> str:
    """A heading or label with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Headings over columns as (heading, how many columns); empty where there is no such heading at all."""
    if not any(c.group for c in columns):
        return []
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column.group:
            spans[-1] = (column.group, spans[-1][1] + 1)
        else:
            spans.append((column.group, 1))
    return spans


def stacked(table: Table) -> tuple[Table, int]:
    """A table too broad for a page, its groups of columns beneath each other; and how many lines each row became.

    Each group is a line of its own, which names it; what stands before the groups is on the first, but for the
    currency, which is on each; what stands after them is on the last. The table as it is, and 1, where it is not too
    broad, or its groups are not of the same columns.
    """
    names = list(dict.fromkeys(c.group for c in table.columns if c.group))
    places = [[n for n, c in enumerate(table.columns) if c.group == name] for name in names]
    alike = {tuple((table.columns[n].title, table.columns[n].currency) for n in of) for of in places}
    if len(names) < 2 or len(table.columns) <= MANY or len(alike) > 1 or any(r.style == "heading" for r in table.rows):
        return table, 1
    before = [n for n, c in enumerate(table.columns) if not c.group and n < places[0][0]]
    after = [n for n, c in enumerate(table.columns) if not c.group and n > places[0][0]]
    own = [replace(table.columns[n], group="") for n in places[0]]
    columns = (*(table.columns[n] for n in before), _LEDGER, *own, *(table.columns[n] for n in after))

    def line(row: Row, nth: int) -> Row:
        first, last = nth == 0, nth == len(names) - 1
        cells = (
            *(row.cells[n] if first or table.columns[n].key == "currency" else None for n in before),
            names[nth],
            *(row.cells[n] for n in places[nth]),
            *(row.cells[n] if last else None for n in after),
        )
        return Row(cells, row.style)

    rows = tuple(line(row, nth) for row in table.rows for nth in range(len(names)))
    return replace(table, columns=columns, rows=rows), len(names)


def by_group(table: Table) -> list[Table]:
    """The table once for each group of its columns, for where all of them have no room beside each other.

    What stands before the groups comes with each, what stands after them with the last. A row of which a group says
    nothing is not in it.
    """
    names = list(dict.fromkeys(c.group for c in table.columns if c.group))
    if len(names) < 2:
        return [table]
    first = next(n for n, c in enumerate(table.columns) if c.group)
    parts = []
    for name in names:
        last = name == names[-1]
        kept = [n for n, c in enumerate(table.columns) if c.group == name or (not c.group and (n < first or last))]
        own = [n for n in kept if n >= first]
        columns = tuple(replace(table.columns[n], group="") for n in kept)
        rows = tuple(
            replace(r, cells=tuple(r.cells[n] for n in kept))
            for r in table.rows
            if r.style != "detail" or any(r.cells[n] not in (None, "") for n in own)
        )
        parts.append(replace(table, title=f"{table.title}: {name}", columns=columns, rows=rows))
    return parts


def heading(report: Report) -> list[tuple[str, str]]:
    """Of which day, as known when, and what was asked: one fact a line."""
    if report.reference:
        return [("Date", str(report.as_of or "")), *((title(k), v) for k, v in report.parameters.items())]
    known = "now" if report.known_on is None else moment(report.known_on)
    as_of = f"{report.as_of.isoformat()} (inclusive)" if report.as_of else "every document, whatever its date"
    return [("As of", as_of), ("As known on", known), *((title(k), v) for k, v in report.parameters.items())]


def moment(at: datetime) -> str:
    """To the minute, in UTC where it has a zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at.tzinfo else f"{at:%Y-%m-%d %H:%M}"


def made(report: Report) -> datetime:
    """When a file may say it was made (UTC, no zone): as the report itself says, so that no clock gets in."""
    at = report.provenance.get("extracted_at")
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if isinstance(at, datetime):
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return datetime.combine(report.as_of or _UNDATED, time())


def proofs(report: Report) -> list[tuple[Proof, str]]:
    """Every proof with what came of it; those that did not hold first."""
    order = {False: 0, None: 1, True: 2}
    return [(p, HELD[p.held]) for p in sorted(report.proofs, key=lambda p: order[p.held])]


def broken(report: Report) -> str:
    """How many proofs do not hold, in a sentence; "" where none is broken."""
    failed = sum(p.held is False for p in report.proofs)
    return f"{failed} of {len(report.proofs)} proofs {'does' if failed == 1 else 'do'} not hold" if failed else ""


def sound(report: Report) -> str:
    """What became of all proofs where none is broken, in a sentence; "" where there is none, or one is broken."""
    if not report.proofs or broken(report):
        return ""
    held = sum(p.held is True for p in report.proofs)
    rest = len(report.proofs) - held
    other = f"; for {rest:,} the other figure is not available" if rest else ""
    return f"{held:,} {'proof holds' if held == 1 else 'proofs hold'}{other}: see Proofs, beneath the tables."


def proof_cells(proof: Proof) -> tuple[str, str]:
    """Both figures of a proof."""
    one, other = (
        said(c, "money" if isinstance(c, Decimal) else "count", proof.currency) for c in (proof.ours, proof.theirs)
    )
    return one, other


def figures(report: Report) -> bool:
    """Whether its proofs are about figures, which stand flush right, rather than about how things are."""
    return not any(isinstance(c, str) and c for p in report.proofs for c in (p.ours, p.theirs))


def facts(value: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Provenance as (what, value) lines: what is nested under the names that lead to it, nothing as a dash."""
    lines: list[tuple[str, str]] = []
    for key, fact in value.items():
        name = f"{before}{' › ' if before else ''}{str(key).replace('_', ' ')}"
        counts = isinstance(fact, Mapping) and all(type(v) is int for v in fact.values())
        if isinstance(fact, Mapping) and fact and not counts:
            lines += facts(fact, name)
        elif isinstance(fact, (list, tuple)) and fact and all(isinstance(f, Mapping) for f in fact):
            for n, part in enumerate(fact, 1):
                lines += facts(part, name if len(fact) == 1 else f"{name} {n}")
        else:
            lines.append((name, _fact(fact)))
    return lines


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_fact(v)}" for k, v in value.items()) or ZERO_SIGN
    if isinstance(value, (list, tuple)):
        return "; ".join(_fact(v) for v in value) or ZERO_SIGN
    if value is None or value == "":
        return ZERO_SIGN
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return {",": "comma", "\t": "tab", ";": "semicolon"}.get(str(value), str(value))
