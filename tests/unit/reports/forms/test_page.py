"""The page: what is said is on it, nothing said can steer it, and it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledgers import misusing
from tests.unit.reports.forms import samples
from tieout.reports import Bar, Chart, Column, Proof, Report, Row, Table
from tieout.reports.forms import page, shown
from tieout.reports.forms.drawing import axis_start, spans, svg
from tieout.reports.reconciliation import comparison

D = Decimal


class Read(HTMLParser):
    """Tags, attributes, and the text of every cell of every table, row by row."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.rows, self.within = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.within = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.within = self.within and tag not in ("td", "th")

    def handle_data(self, data):
        if self.within:
            self.rows[-1][-1] += data


def one(text: str) -> Report:
    """The text wherever a report holds text."""
    table = Table(text, text, (Column("a", text), Column("b", text, group=text)), (Row((text, text)),), text)
    chart = Chart(text, text, "bars", text, (Bar(text, D(1)),))
    return Report(
        text, text, text, samples.AS_OF, None, (table,), (chart,), (), (text,), {text: text}, {text: {text: [text]}}
    )


@given(st.text(min_size=1, max_size=60))
def test_no_text_becomes_markup_and_every_text_is_shown(text):
    plain, hostile = Read(page.write(one("x" * len(shown.visible(text))))), Read(page.write(one(text)))
    assert hostile.tags == plain.tags, "text made or unmade an element"
    assert [a for a, _ in hostile.attributes] == [a for a, _ in plain.attributes]
    shown_there = [cell for row in hostile.rows for cell in row]
    assert shown_there.count(shown.visible(text)) >= 3 or not text.strip()


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_what_can_be_seen_is_shown_as_it_is(text):
    assert shown.visible(text) == text


@given(st.text())
def test_nothing_steers_a_reader(text):
    seen = shown.visible(text)
    assert not {"\u202e", "\u202d", "\u2066", "\u200f", "\x1b", "\x00", "\r", "\ufeff"} & set(seen)
    assert (
        (seen + "\n").replace("\n", "").isprintable() or {"\u200c", "\u200d"} & set(seen) or re.search(r"[^\S ]", seen)
    )


def test_joiners_stay_where_a_script_needs_them_and_nowhere_else():
    assert shown.visible("نیم\u200cفاصله") == "نیم\u200cفاصله"
    assert shown.visible("Ac\u200dme") == "Ac\\u200dme"


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    st.sampled_from(("EUR", "JPY", "KWD", "")),
)
def test_money_in_is_money_out(amount, currency):
    said = shown.money(amount, currency)
    assert D(said.replace(",", "")) == amount
    assert len(said.partition(".")[2]) >= {"JPY": 0, "KWD": 3}.get(currency, 2)


@pytest.mark.parametrize("make", samples.EVERY)
def test_a_page_needs_nothing_else(make):
    written = page.write(make())
    read = Read(written)
    assert not {"script", "img", "link", "iframe", "a", "form", "object"} & set(read.tags)
    assert not [a for a, _ in read.attributes if a.startswith("on") or a in ("src", "href", "style")]
    assert not re.search(r"url\(|@import", written)
    style = re.search(r"<style>(.*?)</style>", written, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in written


@pytest.mark.parametrize("make", samples.EVERY)
def test_every_figure_of_every_row_is_on_the_page(make):
    report = make()
    rows = Read(page.write(report)).rows
    for table in report.tables:
        for _, cells in shown.cells(shown.stacked(table)[0]):
            assert cells in rows


def broad(rows: int) -> Table:
    """A table of two ledgers beside each other, too broad for a page."""
    own = [Column(f"{side}.{n}", f"bucket {n}", "money", group=side) for side in "ab" for n in range(6)]
    columns = (Column("customer", "customer"), Column("currency", "currency"), *own, Column("d", "difference", "money"))
    cells = [("Acme", ("JPY", "USD")[r % 2], *(D(100 * r + n) for n in range(12)), D(-r - 1)) for r in range(rows)]
    return Table("t", "T", columns, tuple(Row(c) for c in cells))


def test_two_ledgers_too_broad_to_stand_beside_each_other_stand_beneath_each_other():
    table, lines = shown.stacked(broad(3))
    assert (len(table.columns), len(table.rows), lines) == (10, 6, 2)
    assert [r.cells[:3] for r in table.rows[:2]] == [("Acme", "JPY", "a"), (None, "JPY", "b")]
    kept = [c for r in table.rows for c in r.cells if isinstance(c, D)]
    assert sorted(kept) == sorted(c for r in broad(3).rows for c in r.cells if isinstance(c, D)), "each figure once"
    written = Read(page.write(replace(samples.aging(), tables=(broad(3),)))).rows
    assert ["", "JPY", "b", *(f"{n}" if n else "–" for n in range(6, 12)), "-1"] in written


def test_groups_of_other_columns_or_another_currency_stay_beside_each_other():
    one = broad(1)
    odd = replace(one, columns=(*one.columns[:-2], replace(one.columns[-2], currency="EUR"), one.columns[-1]))
    assert shown.stacked(odd) == (odd, 1)
    small = replace(one, columns=one.columns[:9], rows=tuple(Row(r.cells[:9]) for r in one.rows))
    assert shown.stacked(small) == (small, 1)


def test_a_proof_that_does_not_hold_comes_first_and_is_said_at_the_top():
    written = page.write(samples.aging())
    assert written.index("1 of 3 proofs does not hold") < written.index("<table")
    said = [row[-1] for row in Read(written).rows if len(row) == 4 and row[-1] != "Result"]
    assert said == ["DOES NOT HOLD", "DOES NOT HOLD", "not available", "holds"]
    assert written.index("What does not hold") < written.index("Aging by customer") < written.index("<h2>Proofs")


def test_figures_come_before_proofs_that_hold_and_the_top_says_so():
    written = page.write(samples.bridge())
    assert written.index("1 proof holds: see Proofs") < written.index("From SAP to QuickBooks in USD")
    assert written.index("From SAP to QuickBooks in USD") < written.index("<h2>Proofs")
    assert "What does not hold" not in written


def test_a_proof_shows_amounts_as_their_currency_has_them_and_words_where_it_is_of_none():
    yen = Proof("open in JPY", D(1200), D(1200), held=True, currency="JPY")
    assert Read(page.write(replace(samples.empty(), proofs=(yen,)))).rows[-1] == [
        "open in JPY",
        "1,200",
        "1,200",
        "holds",
    ]
    told = page.write(
        replace(samples.empty(), proofs=(Proof("books are closed", "erp: 2026-01-31", None, held=False),))
    )
    assert "<td>erp: 2026-01-31</td>" in told, "words stand flush left"


def test_sentences_of_a_table_of_many_columns_stand_beneath_their_row_and_make_it_no_higher():
    long = "changed on the side that does not own it, and never agreed on"
    columns = (
        *(Column(f"c{n}", f"column {n}") for n in range(11)),
        Column("cause", "cause", width=50),
        Column("why", "why", width=40),
    )
    rows = (
        Row((*"abcdefghijk", long, long.upper())),
        Row((*"ABCDEFGHIJK", "short", "")),
        Row(("Total", *[None] * 12), "total"),
    )
    written = page.write(replace(samples.empty(), tables=(Table("t", "T", columns, rows),)))
    assert Read(written).rows[:6] == [
        [f"Column {n}" for n in range(11)],
        [*"abcdefghijk"],
        [f"Cause {long}Why {long.upper()}"],
        [*"ABCDEFGHIJK"],
        ["Cause short"],
        ["Total", *[""] * 10],
    ]
    assert ' class="page wide"' not in written, "eleven columns have room"
    # A table of few columns has room for a sentence in a column of its own.
    few = Table("t", "T", columns[-3:], (Row(("k", long, "x")),))
    assert ["k", long, "x"] in Read(page.write(replace(samples.empty(), tables=(few,)))).rows


def test_a_trend_of_one_point_is_not_drawn():
    one = Chart("t", "Trend", "trend", "EUR", (Bar("2026-01-31", D(1)),))
    assert "<figure>" not in page.write(replace(samples.empty(), charts=(one,)))
    assert "<figure>" in page.write(replace(samples.empty(), charts=(replace(one, bars=one.bars * 2),)))


def test_a_screen_reader_hears_every_chart_and_heading():
    written = page.write(samples.bridge())
    assert written.count('<svg role="img"') == 2
    assert "<desc>SAP: 482,917.33; On its way to B: -1,250.00;" in written
    headings = re.findall(r"<thead>.*?</thead>", written, re.DOTALL)
    assert headings
    assert all('scope="col"' in h for h in headings)
    assert '<th scope="row"' in written
    regions = re.findall(r'role="region" aria-labelledby="(\w+)" tabindex="0"', written)
    assert all(f'id="{anchor}"' in written for anchor in regions)


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read():
    """WCAG 2.1 AA: 4.5 for text on either ground, 3 for bars and lines of charts."""
    style = page.write(samples.empty())
    named = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", style))
    for text in ("ink", "quiet", "red"):
        assert _contrast(named[text], "#ffffff") >= 4.5
        assert _contrast(named[text], named["soft"]) >= 4.5
    for bar in ("blue", "up", "down"):
        assert _contrast(named[bar], "#ffffff") >= 3


def test_nothing_to_list_is_said():
    assert "Nothing to list." in page.write(samples.empty())


def test_a_column_in_which_nothing_stands_is_left_out_and_named():
    columns = (
        Column("currency", "currency"), Column("disputed", "disputed"), Column("amount", "amount", "money", group="erp"),
        Column("open", "still open", "money", group="erp"),
    )  # fmt: skip
    table = Table("t", "T", columns, (Row(("USD", "", D(1), None)),), "As listed.")
    made = page.write(replace(samples.empty(), tables=(table,)))
    assert "As listed. Nothing stands under: disputed, still open (erp).</p>" in made
    assert Read(made).rows[-1] == ["USD", "1.00"]
    assert "Nothing stands under" not in page.write(samples.empty())


def test_an_amount_has_the_places_of_its_currency_and_a_zero_stands_back():
    rows = Read(page.write(samples.aging())).rows
    yen = next(row for row in rows if "Total JPY" in row)
    assert not any("." in cell for cell in yen)
    assert any(cell == "–" for row in rows for cell in row)
    assert "0.00" in next(row for row in Read(page.write(samples.bridge())).rows if row[0] == "Remainder")


def test_a_negative_amount_is_marked_and_days_to_come_are_not():
    columns = (Column("of", "Of"), Column("d", "Days past due", "days"), Column("a", "Amount", "money"))
    report = replace(samples.aging(), tables=(Table("t", "T", columns, (Row(("x", -8, D("-5"))),)),))
    marked = {text: kind for kind, text in re.findall(r'<td class="(n|n neg)">([^<]*)</td>', page.write(report))}
    assert (marked["-8"], marked["-5.00"]) == ("n", "n neg")


@given(st.lists(st.tuples(st.decimals(-(10**9), 10**9, places=2), st.booleans()), min_size=1, max_size=12))
def test_a_bar_lies_where_its_amount_says(steps):
    bars = tuple(Bar("x", a, total) for a, total in steps)
    chart = Chart("c", "c", "waterfall", "EUR", bars)
    ground = D(0)
    for span in spans(chart):
        start = D(0) if span.bar.total else ground
        assert {span.low, span.high} == {start, start + span.bar.amount} or span.low == span.high == start
        ground = start + span.bar.amount
    start = axis_start(chart)
    assert all(start <= s.low for s in spans(chart) if not s.bar.total)
    for part in re.findall(r'(?:x|width)="(-?[\d.]+)%"', svg(chart)):
        assert 0 <= float(part) <= 100


def test_a_waterfall_that_does_not_start_at_zero_says_so():
    written = page.write(samples.bridge())
    assert "bars start at 450,000.00, not at zero" in written
    small = replace(samples.bridge().charts[0], bars=(Bar("A", D(5), True), Bar("x", D(4)), Bar("B", D(9), True)))
    assert axis_start(small) == 0
    still = replace(small, bars=(Bar("A", D(5), True), Bar("B", D(5), True)))
    assert axis_start(still) == 0, "where nothing moves, both ends are whole bars"


EVIL = samples.EVIL + "\"'"


@pytest.fixture(scope="module")
def result():
    return misusing(EVIL)


def test_a_comparison_is_shown_whole(result):
    report = comparison.report(result, said={"by": "eve\u202e\x07", "nothing": None})
    written = page.write(report)
    rows = Read(written).rows
    assert not {"\u202e", "\x1b", "\x07"} & set(written)
    assert "eve\\u202e\\x07" in written
    listed = shown.filled(report.tables[-1])
    codes = [row[0].split(" ")[0] for row in rows if len(row) == len(listed.columns) - 2][1:]
    assert codes == [d.code for d in result.discrepancies]
    assert '<td dir="auto" class="s">1,234,567.891</td>' in written, "what a ledger says, in groups, on one line"
    assert ".s,th.s{white-space:nowrap" in written
    assert "1234567.891" not in written


def test_the_bridge_of_a_comparison_adds_up_by_its_own_formulas(result):
    for currency, bridge in result.bridge.items():
        table = comparison.bridge(currency, bridge, result)
        amounts = [row.cells[3] for row in table.rows]
        for row in table.rows:
            for refs in row.formula.values():
                assert row.cells[3] == sum((sign * amounts[n] for sign, n in refs), D(0))
        assert amounts[-1] == bridge.remainder == 0
