"""A comparison as JSON, CSV or a table on a terminal. What ledgers say in text is hostile until it is made plain."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TextIO

from tieout.compare import listed
from tieout.compare.codes import is_amount
from tieout.compare.matching.sums import UNSEARCHED
from tieout.compare.result import Bridge, Discrepancy, Result, Side, Stated, money, text
from tieout.jsontext import encode
from tieout.plaintext import counted, grid, neutral, plain

COLUMNS = (
    "id", "code", "secondary", "class", "severity", "kind", "left", "left_label", "right", "right_label", "field",
    "left_value", "right_value", "delta", "currency", "cause", "remedy", "customer", "amount",
)  # fmt: skip
_SHOWN = 200


def to_json(result: Result) -> str:
    """As `Result.as_json`, indented; money as text."""
    return encode(result.as_json())


def to_csv(result: Result) -> str:
    """One row per discrepancy, with a heading; amounts exact, text neutral; comma, quotes where needed, CRLF."""
    out = io.StringIO()
    _write_csv(result, out)
    return out.getvalue()


def write_csv(result: Result, path: Path) -> None:
    """The same into a file, UTF-8 with a mark at its head as spreadsheets want it; one row at a time."""
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        _write_csv(result, out)


def write_parquet(result: Result, path: Path) -> None:
    """All discrepancies in columns: those of `listed.COLUMNS`, in order. Text stands as the ledgers say it."""
    listed.write(result.discrepancies, path)


def _write_csv(result: Result, out: TextIO) -> None:
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for d in result.discrepancies:
        exact = is_amount(d.field)
        values = [(v or "") if exact else neutral(v) for v in (d.left_value, d.right_value)]
        marks = (d.id, d.code, " ".join(d.secondary), d.class_, d.severity, d.kind)
        who = (neutral(x) for x in (d.left, d.left_label, d.right, d.right_label, d.field))
        of = (neutral(d.customer), "" if d.amount is None else text(d.amount))
        writer.writerow(
            [*marks, *who, *values, text(d.delta), d.currency or "", neutral(d.cause), neutral(d.remedy), *of]
        )


def said(field: str | None, value: str | None, currency: str | None = None) -> str:
    """What a ledger says of a field, for people: an amount in groups of three, anything else as it stands."""
    return money(value, currency) if value and is_amount(field) else value or ""


def to_table(result: Result, *, most: int = _SHOWN) -> str:
    """The comparison for a terminal: both sides, the discrepancies (at most `most`), the bridge."""
    out = ["A = left, B = right" + (f", as of {result.as_of}" if result.as_of else ""), ""]
    out += grid(_sides(result), frozenset({2, 3, 4, 6, 7}))
    out += ["", f"{result.matched:,} matched, {counted(len(result.discrepancies), 'discrepancy', 'discrepancies')}"]
    out += [s for s in (unsearched(result), *map(agreement, result.stated)) if s]
    shown = result.discrepancies[:most]
    if shown:
        out += [
            "",
            *grid(
                [
                    (*("code", "A", "B", "customer", "amount", "what", "A says", "B says", "delta"), ""),
                    *map(_row, shown),
                ],
                frozenset({4, 6, 7, 8}),
            ),
        ]
    if len(result.discrepancies) > len(shown):
        out.append(f"… {len(result.discrepancies) - len(shown):,} more; --json, --csv or --parquet has them all")
    for currency, bridge in sorted(result.bridge.items()):
        out += ["", *grid(bridge_rows(currency, bridge, result), frozenset({1, 2}))]
    return "\n".join(out) + "\n"


def unsearched(result: Result) -> str:
    """How many documents were not looked at for groups whose sums agree, in a sentence; "" where all were."""
    held = [(n, letter) for letter, n in zip("AB", result.crowded, strict=True) if n]
    if not held:
        return ""
    (first, letter), *rest = held
    whose = f"{counted(first, 'document')} of {letter}"
    whose += "".join(f" and {n:,} of {other}" for n, other in rest)
    were = "was" if sum(result.crowded) == 1 else "were"
    why = f"documents are paired by their {result.paired_by} alone (--key)" if result.paired_by else UNSEARCHED
    return f"{whose} {were} not looked at for groups whose sums agree: {why}."


def agreement(s: Stated) -> str:
    """What a side states of its customers in total, and what their documents add up to, in a sentence."""
    amounts = f"{money(text(s.stated), s.currency)} {plain(s.currency)}".rstrip(), money(text(s.documents), s.currency)
    how = f"{s.differ:,} {'differs' if s.differ == 1 else 'differ'}" if s.differ else "each agrees"
    whose = f"{'A' if s.side == 'left' else 'B'} states of {counted(s.customers, 'customer')}"
    return f"{whose} a balance of {amounts[0]} in all; their documents add up to {amounts[1]}: {how}"


def _sides(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "ledger", "records", "rejected", "documents", "", "total", "open")]
    for letter, side in (("A", result.left), ("B", result.right)):
        first = (letter, plain(side.name), f"{side.records:,}", f"{side.rejected:,}")
        rows += _totals(first, side)
    return rows


def _totals(first: tuple[str, ...], side: Side) -> list[tuple[str, ...]]:
    rows = [
        (f"{t.documents:,}", plain(currency), money(text(t.total), currency), money(text(t.open), currency))
        for currency, t in sorted(side.totals.items())
    ] or [("0", "", "", "")]
    return [(*(first if not n else ("", "", "", "")), *row) for n, row in enumerate(rows)]


def _row(d: Discrepancy) -> tuple[str, ...]:
    return (
        d.code,
        plain(d.left_label),
        plain(d.right_label),
        plain(d.customer, 24),
        money(text(d.amount), d.currency) if d.amount is not None else "",
        plain(d.field),
        plain(said(d.field, d.left_value, d.currency), 24),
        plain(said(d.field, d.right_value, d.currency), 24),
        money(text(d.delta), d.currency),
        plain(d.currency),
    )


def bridge_rows(currency: str, bridge: Bridge, result: Result) -> list[tuple[str, str, str]]:
    """The bridge as rows of (label, count, amount), A first."""
    return [
        (f"A  {plain(result.left.name)}, open {plain(currency)}", "", money(text(bridge.left_total), currency)),
        *((f"   {line.code}", f"{line.count:,}", money(text(line.delta), currency)) for line in bridge.lines),
        ("   remainder", "", money(text(bridge.remainder), currency)),
        (f"B  {plain(result.right.name)}, open {plain(currency)}", "", money(text(bridge.right_total), currency)),
        ("   of this without confirmed cause", "", money(text(bridge.unconfirmed), currency)),
    ]
