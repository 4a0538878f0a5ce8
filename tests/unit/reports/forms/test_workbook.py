"""The workbook, read back by openpyxl: what is typed stays what it is, and what is formula reckons as the report does."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils import range_boundaries
from openpyxl.utils.escape import unescape

from tests.unit.reports.forms import samples
from tieout.reports import Bar, Chart, Column, Proof, Report, Row, Table
from tieout.reports.forms import shown, sums, workbook
from tieout.reports.forms.drawing import spans

D = Decimal
MONEY = (Column("name", "Name"), Column("currency", "Currency"), Column("amount", "Amount", "money"))


def read(body: bytes, *, values: bool = True):
    return openpyxl.load_workbook(io.BytesIO(body), data_only=values)


def of(*tables: Table, **more) -> Report:
    return Report("x", "X", "Golden Trading Ltd", samples.AS_OF, None, tables, **more)


def money(*rows: Row) -> Report:
    return of(Table("t", "Table", MONEY, rows))


def exact(cell) -> D:
    """A number cell as it is written in the file: openpyxl reads floats, whose shortest digits are those of the file."""
    return D(repr(cell.value)) if isinstance(cell.value, float) else D(cell.value)


HEAD = 5  # title, about, note, blank, headings


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12))
def test_any_text_comes_back_and_none_is_a_formula(texts):
    rows = tuple(Row((text, "EUR", D(1))) for text in texts)
    sheet = read(workbook.write(money(*rows)), values=False).worksheets[1]
    for n, text in enumerate(texts):
        cell = sheet.cell(HEAD + 1 + n, 1)
        assert (cell.value or "") == shown.visible(text)
        assert cell.data_type != "f"
        assert cell.hyperlink is None


@pytest.mark.parametrize(
    "text", [*samples.NAMES, "=1+1", "@SUM(A1)", "{=1}", "http://x", "internal:A1", "_x0041_", "<r>a</r>", "<r>", " x "]
)
def test_what_spreadsheets_run_stands_as_it_is(text):
    report = of(Table(text, text, (Column("a", text, group=text), Column("b", text, group=text)), (Row((text, text)),), text),
                notes=(text,), parameters={text: text}, provenance={text: text})  # fmt: skip
    body = workbook.write(report)
    book = read(body, values=False)
    assert unescape(book.worksheets[1].cell(7, 1).value) == shown.visible(text)  # openpyxl leaves that to its caller
    assert not any(c.data_type == "f" for sheet in book for row in sheet.iter_rows() for c in row)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert not [n for n in archive.namelist() if "externalLink" in n or "vba" in n.lower()]
        rels = [archive.read(n).decode() for n in archive.namelist() if n.endswith("sheet2.xml.rels")]
        assert not any('TargetMode="External"' in r for r in rels)


def test_a_text_longer_than_a_cell_is_cut_and_the_cover_says_so():
    book = read(workbook.write(money(Row(("x" * 40_000, "EUR", D(1))))))
    assert len(book.worksheets[1]["A6"].value) == 32_767
    assert "1 texts are longer than a cell takes, and end in …" in cover(book)


def cover(book) -> list[str]:
    return [str(c.value) for row in book.worksheets[0].iter_rows() for c in row if c.value is not None]


# ── money and dates ──────────────────────────────────────────────────────────────────────────────────────────────────


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**24), max_value=10**24, places=4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(("EUR", "JPY", "KWD", ""))), min_size=1, max_size=20))
def test_money_in_is_money_out(amounts):
    rows = tuple(Row(("x", currency, amount)) for amount, currency in amounts)
    sheet = read(workbook.write(money(*rows))).worksheets[1]
    for n, (amount, _) in enumerate(amounts):
        cell = sheet.cell(HEAD + 1 + n, 3)
        assert exact(cell) == amount
        assert (cell.data_type == "n") == sums.fits(amount), "a number where a spreadsheet keeps it, else text"


def test_an_amount_beyond_what_a_spreadsheet_keeps_is_text_and_the_cover_says_so():
    book = read(workbook.write(money(Row(("x", "EUR", D("1234567890123456.78"))), Row(("y", "EUR", D("0.10"))))))
    assert book.worksheets[1]["C6"].value == "1234567890123456.78"
    assert book.worksheets[1]["C7"].value == 0.1
    assert any(line.startswith("1 amounts have more digits than the 15") for line in cover(book))


@pytest.mark.parametrize(("currency", "amount", "form"), [
    ("EUR", D(5), "#,##0.00"), ("JPY", D(5), "#,##0"), ("KWD", D(5), "#,##0.000"), ("EUR", D("0.0001"), "#,##0.0000"),
    ("", D(5), "#,##0.00"),
])  # fmt: skip
def test_an_amount_has_the_places_of_its_currency_and_never_fewer_than_its_own(currency, amount, form):
    cell = read(workbook.write(money(Row(("x", currency, amount))))).worksheets[1]["C6"]
    assert cell.number_format.split("_")[0] == form
    assert cell.alignment.horizontal == "right"


@given(st.dates(date(1900, 3, 1), date(9999, 12, 31)))
@settings(max_examples=15, deadline=None)
def test_a_date_is_a_date(day):
    report = of(Table("t", "T", (Column("d", "Day", "date"),), (Row((day,)),)))
    cell = read(workbook.write(report)).worksheets[1]["A6"]
    assert cell.is_date
    assert cell.value.date() == day
    assert cell.number_format == "yyyy-mm-dd"


def test_a_day_that_spreadsheets_disagree_on_is_text():
    report = of(Table("t", "T", (Column("d", "Day", "date"),), (Row((date(1900, 2, 28),)), Row((date(1850, 1, 1),)))))
    sheet = read(workbook.write(report)).worksheets[1]
    assert (sheet["A6"].value, sheet["A7"].value) == ("1900-02-28", "1850-01-01")


def test_numbers_of_every_kind_are_numbers():
    columns = (
        Column("c", "Count", "count"),
        Column("d", "Days", "days"),
        Column("p", "Part", "percent"),
        Column("r", "Rate", "rate"),
    )
    rows = tuple(Row((1234567, -3, part, D("1.085432"))) for part in (D("12.5"), D("24.0")))
    sheet = read(workbook.write(of(Table("t", "T", columns, rows)))).worksheets[1]
    assert [c.value for c in sheet[6]] == [1234567, -3, 12.5, 1.085432]
    assert [c.number_format.split("_")[0] for c in sheet[6]] == ["#,##0", "#,##0", '#,##0.0" %"', "#,##0.000000"]
    assert sheet["C7"].number_format.split("_")[0] == '#,##0.0" %"', "beneath each other, all have a place"
    assert ["[Red]" in c.number_format for c in sheet[6]] == [True, False, True, True], "a day to come is no bad news"
    days = tuple(Row((1, 2, None, average)) for average in (D("2.5"), D("11.0")))
    sheet = read(workbook.write(of(Table("t", "T", columns, days)))).worksheets[1]
    assert {sheet[at].number_format.split("_")[0] for at in ("D6", "D7")} == {"#,##0.0"}


# ── formulas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def reckon(book, sheet, formula: str) -> D:
    """What a spreadsheet makes of one of our formulas, in binary fractions as it does, rounded as it says."""
    inner, places = re.fullmatch(r"=ROUND\((.*),(\d+)\)", formula).groups()

    def values(reference: str) -> list[float]:
        name, _, area = reference.rpartition("!")
        where = book[name.strip("'")] if name else sheet
        left, top, right, bottom = range_boundaries(area)
        return [c for row in where.iter_rows(top, bottom, left, right, values_only=True) for c in row]

    total = 0.0
    for sign, term in re.findall(r"([+-]?)((?:SUM|SUMIF)\((?:'[^']*'|[^')])*\)|(?:'[^']*'!)?[A-Z]+\d+)", inner):
        if term.startswith("SUMIF("):
            keys, code, amounts = term[6:-1].split(",")
            found = sum(a for k, a in zip(values(keys), values(amounts), strict=True) if k == code.strip('"'))
        elif term.startswith("SUM("):
            found = sum(v for r in term[4:-1].split(",") for v in values(r) if isinstance(v, int | float))
        else:
            found = values(term)[0] or 0
        total += -found if sign == "-" else found
    return D(f"{total:.15g}").quantize(D(1).scaleb(-int(places)), ROUND_HALF_UP)


def formulas(body: bytes):
    """(sheet, cell, formula, what it reckons to, the value that is written beside it)"""
    live, cached = read(body, values=False), read(body)
    for sheet in live:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    kept = cached[sheet.title][cell.coordinate]
                    yield (
                        sheet.title,
                        cell.coordinate,
                        cell.value,
                        reckon(cached, cached[sheet.title], cell.value),
                        exact(kept),
                    )


@pytest.mark.parametrize(
    ("make", "count"), [(samples.aging, 37), (samples.bridge, 3), (samples.statement, 1), (samples.empty, 0)]
)
def test_totals_and_bridges_are_live_and_their_values_stand_beside_them(make, count):
    found = list(formulas(workbook.write(make())))
    assert len(found) == count
    for sheet, where, formula, reckoned, kept in found:
        assert reckoned == kept, (sheet, where, formula)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("EUR", "USD", "JPY")), st.decimals(-(10**11), 10**11, places=2)), min_size=1, max_size=60),
       st.integers(12, 30))  # fmt: skip
def test_every_total_reckons_to_the_reports_own_figure_over_any_sheets(lines, most_rows):
    rows = [Row(("x", c, a)) for c, a in lines]
    for currency in sorted({c for c, _ in lines}):
        own = [n for n, (c, _) in enumerate(lines) if c == currency]
        rows.append(
            Row(("Total", currency, sum((lines[n][1] for n in own), D(0))), "total", tuple((n, n + 1) for n in own))
        )
    body = workbook.write(money(*rows), most_rows=most_rows)
    found = list(formulas(body))
    assert len(found) == len({c for c, _ in lines})
    for *_, reckoned, kept in found:
        assert reckoned == kept
    assert sorted(kept for *_, kept in found) == sorted(r.cells[2] for r in rows if r.style == "total")


def test_a_total_of_very_many_scattered_rows_is_a_sum_by_currency():
    lines = [(("EUR", "USD")[n % 2], D(n) / 100) for n in range(1000)]
    rows = [Row(("x", c, a)) for c, a in lines]
    for k, currency in enumerate(("EUR", "USD")):
        rows.append(
            Row(
                ("Total", currency, sum((a for c, a in lines if c == currency), D(0))),
                "total",
                tuple((n, n + 1) for n in range(k, 1000, 2)),
            )
        )
    found = list(formulas(workbook.write(money(*rows))))
    assert [f.split("(")[1] for _, _, f, _, _ in found] == ["SUMIF", "SUMIF"]
    assert all(reckoned == kept for *_, reckoned, kept in found)


def test_what_a_spreadsheet_would_reckon_otherwise_is_a_value():
    wrong = money(Row(("x", "EUR", D("1.00"))), Row(("Total", "EUR", D("1.01")), "total", ((0, 1),)))
    large = money(*(Row(("x", "EUR", D("123456789012.34"))) for _ in range(3)), Row(("y", "EUR", D("1234567890123456.78"))),
                  Row(("Total", "EUR", D("1234938260160493.80")), "total", ((0, 4),)))  # fmt: skip
    for report in (wrong, large):
        body = workbook.write(report)
        assert list(formulas(body)) == []
        assert (
            exact(read(body).worksheets[1].cell(HEAD + len(report.tables[0].rows), 3))
            == report.tables[0].rows[-1].cells[2]
        )


@pytest.mark.parametrize("most_rows", [workbook.MOST_ROWS, 9])
def test_a_sum_across_a_row_is_live_over_neighbours_and_over_what_is_taken_off(most_rows):
    columns = (
        Column("line", "Line"), Column("currency", "Currency"), Column("then", "Then", "money"),
        Column("now", "Now", "money"), Column("sum", "Sum", "money", adds=("then", "now")),
        Column("gap", "Difference", "money", adds=("now", "-then")),
    )  # fmt: skip
    lines = [(D("1.10"), D("2.20")), (None, D("3.30")), (D("9.99"), None), (D("123456789012345.67"), D(0))]
    rows = [Row(("x", "EUR", a, b, (a or 0) + (b or 0), (b or 0) - (a or 0))) for a, b in lines]
    rows.append(Row(("wrong", "EUR", D(1), D(1), D(3), None)))
    found = list(formulas(workbook.write(of(Table("t", "T", columns, tuple(rows))), most_rows=most_rows)))
    assert [f for _, where, f, _, _ in found if where[1:] == "6"][:2] == ["=ROUND(SUM(C6:D6),2)", "=ROUND(D6-C6,2)"]
    assert len(found) == 6, "none of more digits than a spreadsheet keeps, none that does not add up"
    assert all(reckoned == kept for *_, reckoned, kept in found)


def test_subtotals_are_not_added_twice():
    report = money(
        Row(("a", "EUR", D(1))), Row(("b", "EUR", D(2))), Row(("Sub", "EUR", D(3)), "subtotal", ((0, 2),)),
        Row(("c", "EUR", D(4))), Row(("Total", "EUR", D(7)), "total", ((0, 4),)),
    )  # fmt: skip
    found = list(formulas(workbook.write(report)))
    assert [(f, str(k)) for _, _, f, _, k in found] == [
        ("=ROUND(SUM(C6:C7),2)", "3"),
        ("=ROUND(SUM(C6:C7,C9:C9),2)".replace("C9:C9", "C9"), "7"),
    ]
    assert all(reckoned == kept for *_, reckoned, kept in found)


# ── sheets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_table_goes_on_in_further_sheets_and_says_where():
    rows = tuple(Row((str(n), "EUR", D(n))) for n in range(50))
    book = read(workbook.write(money(*rows), most_rows=26))
    assert book.sheetnames == ["Report", "Table", "Table (2)", "Table (3)"]
    seen = [c.value for sheet in book.worksheets[1:] for c in sheet["A"][HEAD:] if c.value]
    assert [s for s in seen if s.isdigit()] == [str(n) for n in range(50)]
    assert [s for s in seen if not s.isdigit()] == ["continued on sheet Table (2)", "continued on sheet Table (3)"]
    assert book["Table (2)"]["A1"].value == "Table (sheet 2 of 3)"
    assert max(sheet.max_row for sheet in book.worksheets[1:]) <= 26


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=50), min_size=1, max_size=8))
def test_names_of_sheets_are_safe_and_their_own(titles):
    report = of(*(Table(f"t{n}", title, MONEY, ()) for n, title in enumerate(titles)))
    names = read(workbook.write(report)).sheetnames
    assert len(names) == len({n.casefold() for n in names}) == len(titles) + 1
    for name in names:
        assert 0 < len(name.encode("utf-16-le")) <= 62
        assert not set(name) & set("[]:*?/\\'")


def test_lists_are_filtered_headings_stay_and_print_again():
    book = read(workbook.write(samples.aging()))
    sheet = book.worksheets[1]
    assert sheet.auto_filter.ref == "A5:I26", "the last total is not sorted among the customers"
    assert sheet.freeze_panes == "B6"
    assert sheet.print_title_rows == "$5:$5"
    assert sheet.page_setup.orientation == "landscape"
    assert (sheet.page_setup.fitToWidth or 1, sheet.page_setup.fitToHeight) == (1, 0)
    assert "Page &P of &N" in sheet.oddFooter.right.text
    assert read(workbook.write(samples.bridge())).worksheets[1].auto_filter.ref is None, "a bridge is no list"


steps = st.lists(st.integers(-10_000_000, 10_000_000).map(lambda n: D(n) / 100), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.integers(-10_000_000, 10_000_000).map(lambda n: D(n) / 100), steps)
def test_what_a_waterfall_stacks_ends_where_the_bar_does(opening, moved):
    bars = (
        Bar("A", opening, total=True), *(Bar("=1+1", m) for m in moved), Bar("B", opening + sum(moved), total=True)
    )  # fmt: skip
    chart = Chart("w", "=1+1", "waterfall", "EUR", bars)
    book = read(workbook.write(replace(samples.empty(), charts=(chart,))))
    sheet = book["Charts"]
    [drawn] = sheet._charts
    assert len(drawn.series) == sheet.max_column - 2
    for (label, amount, start, *parts), span in zip(
        sheet.iter_rows(min_row=3, max_row=2 + len(bars), values_only=True), spans(chart), strict=True
    ):
        assert (label, D(str(amount))) == (span.bar.label, span.bar.amount)
        up = sum((D(str(p)) for p in (start, *parts) if p and p > 0), D(0))
        down = sum((D(str(p)) for p in (start, *parts) if p and p < 0), D(0))
        assert round(up, 6) == max(span.high, D(0))
        assert round(down, 6) == min(span.low, D(0))


def test_charts_of_every_kind_are_drawn_but_none_of_amounts_that_a_spreadsheet_would_round():
    drawn = read(workbook.write(samples.bridge()))["Charts"]._charts
    assert [type(c).__name__ for c in drawn] == ["BarChart", "LineChart"]
    huge = Chart("h", "Huge", "bars", "EUR", (Bar("a", D("1234567890123456.78")),))
    assert "Charts" not in read(workbook.write(replace(samples.empty(), charts=(huge,)))).sheetnames


def test_the_cover_says_what_it_is_what_holds_and_where_it_comes_from():
    said = cover(read(workbook.write(samples.aging())))
    for fact in ("Golden Trading Ltd", "Aged receivables", "2026-01-31 (inclusive)", "0, 30, 60, 90", "FBL5N.xls",
                 "3 rows of SAP could not be read and are in no figure.", "Aging by customer", "a.controller"):  # fmt: skip
        assert fact in said
    assert said.index("DOES NOT HOLD") < said.index("not available") < said.index("holds")


def test_equal_reports_give_equal_bytes_and_nothing_of_the_machine():
    one, two = workbook.write(samples.aging()), workbook.write(samples.aging())
    assert one == two
    properties = read(one).properties
    assert (properties.creator or "", properties.lastModifiedBy or "") == ("", "")
    assert properties.created.isoformat() == "2026-02-02T09:30:00"


def test_nothing_to_list_is_said_and_columns_are_wide_enough():
    assert read(workbook.write(samples.empty())).worksheets[1]["A6"].value == "Nothing to list."
    sheet = read(workbook.write(samples.aging())).worksheets[1]
    table = samples.aging().tables[0]
    longest = [max(len(cells[n]) for _, cells in shown.cells(table)) for n in range(3, 9)]
    widths = [sheet.column_dimensions[letter].width for letter in "DEFGHI"]
    assert all(width > most for width, most in zip(widths, longest, strict=True))


def test_a_sheet_says_which_ledger_it_is_of_and_a_row_whose_it_is():
    columns = (
        Column("number", "customer no."),
        Column("customer", "customer"),
        *(Column(f"c{n}", f"C{n}") for n in range(9)),
    )
    titles = [
        f"subsequent-receipts: {what}: {side}"
        for what in ("Open on the date", "Payments")
        for side in ("sap", "quickbooks")
    ]
    tables = tuple(Table(f"t{n}", title, columns, (Row(("1", "Ada", *"abcdefghi")),)) for n, title in enumerate(titles))
    book = read(workbook.write(replace(samples.empty(), tables=tables)))
    names = book.sheetnames[1:]
    assert names == [
        "subsequ…- Open on the date… sap", "subsequ…- Open on t… quickbooks",
        "subsequ…- Payments… sap", "subsequ…- Payments… quickbooks",
    ]  # fmt: skip
    assert {book[name].freeze_panes for name in names} == {"C6"}, "number and customer stay in sight"
    ranked = Table("t", "T", (Column("rank", "no.", "count"), *columns), (Row((1, "1", "Ada", *"abcdefghi")),))
    assert read(workbook.write(of(ranked))).worksheets[1].freeze_panes == "D6", "also behind a rank"


def test_what_is_long_has_room_on_the_page_and_a_text_keeps_off_the_figure_before_it():
    claim, told = "the books agree", "a sentence of some length about both figures " * 2
    note = "What a reader must know of this table. " * 5
    columns = (Column("n", "amount", "money"), Column("kind", "kind"), Column("currency", "currency", width=3))
    report = of(Table("t", "T", columns, (Row((D(1), "abc", "EUR")),), note), proofs=(Proof(claim, told, None, None),))
    book = read(workbook.write(replace(report, provenance={"files": "a.csv sha256:" + "f" * 64 + "; b.csv"})))
    first, sheet = book.worksheets
    heights = {c.value: first.row_dimensions[c.row].height for row in first.iter_rows() for c in row}
    assert heights[told] >= 15 * 5, "a row is as high as its longest cell"
    assert heights["a.csv sha256:" + "f" * 64 + "; b.csv"] == 15 * 3, "a word that does not fit begins a line"
    [merged] = sheet.merged_cells.ranges
    assert (merged.min_row, merged.max_row, sheet["A3"].alignment.wrap_text) == (3, 3, True)
    assert sheet.row_dimensions[3].height >= 15 * 3
    assert [(sheet[at].alignment.horizontal, sheet[at].alignment.indent) for at in ("A6", "B5", "B6", "C6")] == [
        ("right", 0), ("left", 1), ("left", 1), ("left", 0),
    ]  # fmt: skip
    assert sheet.column_dimensions["C"].width > len("currency"), "a heading's word is not broken"


def test_no_page_of_charts_ends_within_a_drawing():
    bars = tuple(Bar(f"2026-01-{n + 1:02}", D(n)) for n in range(13))
    charts = tuple(Chart(f"c{n}", f"C{n}", "bars", "EUR", bars) for n in range(5))
    sheet = read(workbook.write(replace(samples.empty(), charts=charts)))["Charts"]
    tops = {drawn.anchor._from.row for drawn in sheet._charts}
    breaks = [b.id for b in sheet.row_breaks.brk]
    assert breaks
    assert {*breaks} <= tops - {0}


def test_the_names_of_two_ledgers_are_whole_and_printed_on_every_page():
    """Of a ledger of several files, half of its name was cut at both ends, and the second page did not say whose it was."""
    files = [f"{side}documents.csv, {side}payments.csv, {side}customers.csv" for side in ("", "r_")]
    columns = (Column("what", "what"), *(Column(f"{f}{n}", f"C{n}", "count", group=f) for f in files for n in range(2)))
    table = Table("t", "T", columns, (Row(("a", 1, 2, 3, 4)),))
    sheet = read(workbook.write(replace(samples.empty(), tables=(table,)))).worksheets[1]
    assert [sheet["B5"].value, sheet["D5"].value] == files
    assert sheet["B5"].alignment.wrap_text
    wide = sum(sheet.column_dimensions[c].width for c in "DE")
    assert sheet.row_dimensions[5].height >= 15 * len(files[1]) / wide
    assert sheet.print_title_rows == "$5:$6"


def test_very_many_rows_are_all_there():
    report = samples.big(20_000)
    book = openpyxl.load_workbook(io.BytesIO(workbook.write(report)), read_only=True, data_only=True)
    rows = book.worksheets[1].iter_rows(min_row=HEAD + 1, values_only=True)
    total = D(0)
    for row, told in zip(rows, report.tables[0].rows, strict=True):
        assert D(repr(row[4])) == told.cells[4]
        total += D(repr(row[4])) if told.style == "detail" else 0
    assert total == report.tables[0].rows[-1].cells[4]


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(Exception, match=r"pip install 'tieout\[excel\]'"):
        workbook.write(samples.empty())


def test_groups_of_columns_stand_under_one_heading():
    columns = (
        Column("a", "A"),
        Column("x", "X", "money", group="SAP"),
        Column("y", "Y", "money", group="SAP"),
        Column("z", "Z", "money", group="Shop"),
    )
    sheet = read(workbook.write(of(Table("t", "T", columns, (Row(("a", D(1), D(2), D(3))),))))).worksheets[1]
    assert (sheet["B5"].value, sheet["D5"].value) == ("SAP", "Shop")
    assert [str(r) for r in sheet.merged_cells.ranges] == ["B5:C5"]
    assert sheet["B7"].value == 1


def test_amounts_of_a_column_with_its_own_currency_have_its_places():
    columns = (*MONEY, Column("base", "In JPY", "money", currency="JPY"))
    sheet = read(workbook.write(of(Table("t", "T", columns, (Row(("a", "EUR", D("1.50"), D(240))),))))).worksheets[1]
    assert [c.number_format.split("_")[0] for c in sheet[6][2:]] == ["#,##0.00", "#,##0"]
    assert replace(columns[-1], currency="").currency == ""
    assert sheet["A6"].value == "a"


def test_days_of_a_calendar_are_kept_in_order():
    days = [samples.AS_OF + timedelta(n) for n in range(100)]
    report = of(Table("t", "T", (Column("d", "Day", "date"),), tuple(Row((d,)) for d in days)))
    sheet = read(workbook.write(report)).worksheets[1]
    assert [sheet.cell(HEAD + 1 + n, 1).value.date() for n in range(100)] == days
