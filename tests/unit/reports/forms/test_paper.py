"""The PDF, read back by pypdf: everything is on it, nothing said is markup, and what cannot be printed is named."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from decimal import Decimal

import pypdf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.reports.forms import samples
from tieout.errors import ConfigError
from tieout.reports import Column, Report, Row, Table
from tieout.reports.forms import page as html
from tieout.reports.forms import paper, shown

D = Decimal
NOTE = re.compile(r"(\d+) texts hold letters that the fonts of this PDF do not have")


def pages(report: Report, **more) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(paper.write(report, **more))).pages]


def squeezed(text: str) -> str:
    """Without the spaces and line ends that a layout adds and takes."""
    return re.sub(r"[\s\u200b]+", "", text)


def text_of(report: Report) -> str:
    return squeezed("".join(pages(report)))


def one(text: str) -> Report:
    """The text wherever a report holds text."""
    table = Table(text, text, (Column("a", text), Column("b", text, group=text)), (Row((text, text)),), text)
    return Report("x", text, text, samples.AS_OF, None, (table,), (), (), (text,), {text: text}, {text: {text: [text]}})


PRINTED = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F, categories=("L", "N", "P", "S")), min_size=1, max_size=30
)


@settings(max_examples=20, deadline=None)
@given(PRINTED)
def test_no_text_is_markup_and_every_text_is_printed(text):
    written = text_of(one(text))
    assert NOTE.search("".join(pages(one(text)))) is None, "Latin letters are all there"
    assert written.count(squeezed(text)) >= 8


@pytest.mark.parametrize("text", [
    '#panic("x")', "$x$", "*b*", "_i_", "@ref", "<label>", "\\ ", "= Heading", "- item", "/ term: x", "`raw`", "//c", "/* c */",
    '#import "@preview/x:1.0.0"', "https://example.com", "~", "--", "...", '"q"', "'q'", samples.EVIL,
])  # fmt: skip
def test_what_typst_reads_as_markup_stands_as_it_is(text):
    reader = pypdf.PdfReader(io.BytesIO(paper.write(one(text))))
    assert squeezed(shown.visible(text)) in squeezed("".join(p.extract_text() for p in reader.pages))
    assert not any("/Annots" in page for page in reader.pages), "a link"


@pytest.mark.parametrize("make", samples.EVERY)
def test_every_figure_is_printed(make):
    report = make()
    written = text_of(report)
    for table in report.tables:
        for _, cells in shown.cells(table):
            for column, cell in zip(table.columns, cells, strict=True):
                if column.kind in shown.NUMBERS | {"date"}:
                    assert cell.replace("-", "\u2212") in written or cell in written


@settings(max_examples=13, deadline=None)
@given(st.lists(st.decimals(-(10**20), 10**20, places=3), min_size=1, max_size=8))
@example([D(-(10**16))])
def test_money_in_is_money_out(amounts):
    columns = (Column("currency", "Currency"), Column("amount", "Amount", "money"))
    table = Table("t", "T", columns, tuple(Row(("KWD", a)) for a in amounts))
    written = "\n".join(pages(Report("x", "X", "", samples.AS_OF, None, (table,))))
    figures = re.findall(r"KWD\s+(\S+)", written.replace("–", "0"))
    read = [D(re.sub("[,\u200b]", "", m.replace("\u2212", "-"))) for m in figures]  # a very long one may be broken
    assert read == amounts


def test_letters_that_no_font_has_are_named_not_boxed():
    written = "".join(pages(one("株式会社")))
    assert squeezed("[U+682A U+5F0F U+4F1A U+793E]") in squeezed(written)
    assert int(NOTE.search(written)[1]) > 0
    assert "株" not in written


@settings(max_examples=8, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_any_text_at_all_can_be_printed(text):
    assert paper.write(one(text)).startswith(b"%PDF")


def test_scripts_that_the_fonts_have_are_printed():
    for name in ("Ελληνική Εταιρεία", "ООО «Ромашка»", "שלום", "العربية", "Łódź Žižkov İstanbul"):
        assert NOTE.search("".join(pages(one(name)))) is None, name


def test_a_statement_has_numbered_pages_with_its_headings_on_each():
    written = pages(samples.big(300))
    assert len(written) > 2
    for n, page in enumerate(written, 1):
        assert f"Page {n} of {len(written)}" in page
        assert "Golden Trading Ltd · Open items · as of 2026-01-31" in page
    assert all("Issued" in page for page in written), "the headings come again"
    assert "Where this comes from" in "".join(pages(samples.statement()))


def test_what_does_not_fit_on_paper_is_said_and_totals_stay():
    report = samples.big(50)
    width = len(report.tables[0].columns)
    written = "".join(pages(report, most_cells=20 * width))
    assert "20 of 50 rows are printed" in written
    assert "D-00000019" in squeezed(written)
    assert "D-00000020" not in squeezed(written)
    assert shown.money(report.tables[0].rows[-1].cells[4]) in squeezed(written)
    assert "rows are printed" not in "".join(pages(samples.big(20), most_cells=20 * width))


def test_many_rows_of_one_table_leave_the_others_whole():
    """A PDF of 10,000 rows of 13 columns took 1.7 GB."""
    long, short = samples.big(50), samples.big(5)
    both = replace(long, tables=(*long.tables, replace(short.tables[0], title="Short")))
    width = len(long.tables[0].columns)
    [said] = paper.left_out(both, 25 * width)
    assert said.startswith(f"{long.tables[0].title}: 20 of 50 rows are printed")
    assert paper.left_out(both, 55 * width) == []


def test_equal_reports_give_equal_bytes_and_nothing_of_the_machine():
    one_, two = paper.write(samples.aging()), paper.write(samples.aging())
    assert one_ == two
    said = pypdf.PdfReader(io.BytesIO(one_)).metadata
    assert said["/CreationDate"] == "D:20260202093000Z"
    assert set(said) <= {"/Title", "/Creator", "/Producer", "/CreationDate", "/ModDate"}


def test_it_can_be_read_aloud_and_kept():
    root = pypdf.PdfReader(io.BytesIO(paper.write(samples.bridge()))).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    told = root["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in told
    assert "<pdfuaid:part>1</pdfuaid:part>" in told


def test_only_fonts_that_come_with_typst_are_used():
    reader = pypdf.PdfReader(io.BytesIO(paper.write(samples.aging())))
    fonts = {str(f.get_object()["/BaseFont"]) for p in reader.pages for f in p["/Resources"]["/Font"].values()}
    assert {re.sub(r"^/[A-Z]{6}\+", "", f).split("-")[0] for f in fonts} <= {
        "LibertinusSerif",
        "DejaVuSansMono",
        "NewCMMath",
        "NewCM10",
    }


@pytest.mark.parametrize(("name", "size"), [("a4", (595, 842)), ("us-letter", (612, 792))])
def test_paper_of_either_size(name, size):
    box = pypdf.PdfReader(io.BytesIO(paper.write(samples.statement(), paper=name))).pages[0].mediabox
    assert (round(box.width), round(box.height)) == size


def test_a_broad_table_is_printed_across_and_its_rows_are_whole():
    columns = tuple(Column(f"c{n}", f"Amount {n}", "money") for n in range(14))
    table = Table("t", "T", columns, tuple(Row(tuple(D(n * 1_234_567) for n in range(14))) for _ in range(3)))
    page = pypdf.PdfReader(io.BytesIO(paper.write(Report("x", "X", "", samples.AS_OF, None, (table,))))).pages[0]
    assert page.mediabox.width > page.mediabox.height


def test_sentences_of_a_table_of_many_columns_are_printed_beneath_their_row():
    cause = "changed on the side that does not own it, and never agreed on"
    columns = (*(Column(f"c{n}", f"C{n}") for n in range(11)), Column("cause", "cause", width=50))
    rows = (Row((*"abcdefghijk", cause)), Row((*"ABCDEFGHIJK", "")), Row(("Total", *[None] * 11), "total"))
    report = Report("x", "X", "", samples.AS_OF, None, (Table("t", "T", columns, rows),))
    made = paper._table(report.tables[0], paper._Letters(frozenset()), 500)
    assert [r["style"] for r in made["rows"]] == ["leads", "told", "detail", "total"]
    assert (len(made["columns"]), made["rows"][1]["said"]) == (11, [["Cause", cause]])
    assert f"Cause{cause}".replace(" ", "") in text_of(report)


def test_a_page_never_ends_between_a_row_and_the_sentences_beneath_it():
    """The cause of a difference stood at the head of the next page, under no document."""
    columns = (*(Column(f"c{n}", f"C{n}") for n in range(11)), Column("cause", "cause", width=50))
    rows = tuple(
        Row((f"AR{n:03}", *"bcdefghijk", f"because{n:03} of what was entered on {'one side ' * (n % 40)}only"))
        for n in range(120)
    )
    printed = pages(Report("x", "X", "", samples.AS_OF, None, (Table("t", "T", columns, rows),)))
    assert len(printed) > 3
    for page in printed:
        assert re.findall(r"AR(\d{3})", page) == re.findall(r"because(\d{3})", page)


def test_no_text_is_printed_over_the_next_column():
    """A long code beside short columns and one of long sentences."""
    columns = (Column("code", "Code"), Column("kind", "What"), *(Column(f"c{n}", f"C{n}") for n in range(8)),
               Column("cause", "Cause"))  # fmt: skip
    cause = "entered with a date of a period that was closed already: the books were opened for it " * 2
    rows = tuple(Row(("BACKDATED_AFTER_CLOSE", "invoice", *["2026-01-31"] * 8, cause)) for _ in range(3))
    found: list[tuple[str, float, float]] = []

    def seen(text, at, place, _, size):
        found.append((text.strip(), at[4] + at[0] * place[4], size))

    written = paper.write(Report("x", "X", "", samples.AS_OF, None, (Table("t", "T", columns, rows),)))
    for page in pypdf.PdfReader(io.BytesIO(written)).pages:
        page.extract_text(visitor_text=seen)
    kinds = [x for text, x, _ in found if text == "invoice"]
    codes = [(x, size) for text, x, size in found if text.replace("\u200b", "").startswith("BACK")]
    assert len(kinds) == len(codes) == 3
    for x, size in codes:
        assert x + 0.6 * size * len("BACKDATED_AFTER_CLOSE") <= min(kinds)


def test_a_table_of_contents_stands_before_notes_and_charts():
    """An auditor opens the binder at what is in it."""
    table = Table("contents", "What is inside", (Column("r", "Report"),), (Row(("bridge",)),))
    made = samples.bridge()
    bound = replace(made, tables=(table, *made.tables), notes=("A note of the binder",))
    parts = ("What is inside", "A note of the binder", made.charts[0].title, made.tables[0].title)
    for told in (text_of(bound), squeezed(html.write(bound).partition("<body")[2])):
        at = [told.rindex(squeezed(part)) for part in parts]  # paper names the tables' pages before
        assert at == sorted(at)


def test_what_has_contents_says_on_which_page_each_table_begins():
    """A binder is handed over on paper, where no list is found by clicking."""
    contents = Table("contents", "What is inside", (Column("r", "Report"),), (Row(("bridge",)),))
    columns = (Column("a", "A"), Column("b", "B", "count"))
    long = [Table(f"t{n}", f"List {n}", columns, tuple(Row((f"x{k}", k)) for k in range(90))) for n in range(4)]
    first, *rest = pages(Report("x", "X", "", samples.AS_OF, None, (contents, *long)))
    told = dict(re.findall(r"(List \d)[ .]+(\d+)\n", first + "\n"))
    begins = {
        f"List {n}": next(k for k, page in enumerate([first, *rest], 1) if f"List {n}\nA B" in page) for n in range(4)
    }
    assert {name: int(page) for name, page in told.items()} == begins


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigError, match="typst") as caught:
        paper.write(samples.empty())
    assert caught.value.hint == "pip install 'tieout[pdf]'"


def test_two_sides_that_have_no_room_beside_each_other_come_one_after_the_other():
    """An aging of two ledgers by customer: set beside each other, its letters had four points."""
    ages = [("due", "Not due"), *((f"d{n}", f"{n}–{n + 29} days") for n in range(1, 180, 30)), ("total", "Total")]
    columns = (
        Column("customer", "Customer"), Column("currency", "Currency"),
        *(Column(f"{side}_{key}", title, "money", group=side) for side in ("sap", "quickbooks") for key, title in ages),
        Column("difference", "Difference", "money"),
    )  # fmt: skip
    amounts = [Decimal(n * 1_234_567) / 100 for n in range(len(columns) - 2)]
    table = Table("customers", "By customer", columns, (Row(("Acme Ltd", "USD", *amounts)),))
    report = replace(samples.aging(), tables=(table,), charts=())
    data = paper._data(report, "a4", frozenset())
    assert [t["title"] for t in data["tables"]] == ["By customer: sap", "By customer: quickbooks"]
    assert all(Decimal(t["size"]) >= Decimal("7.5") for t in data["tables"])
    heads = [[c["title"] for c in t["columns"]] for t in data["tables"]]
    assert [h[:2] for h in heads] == [["Customer", "Currency"]] * 2, "the customer stands on each"
    assert [h[-1] for h in heads] == ["Total", "Difference"]
    assert [len(h) for h in heads] == [10, 11]
    said = [r["cells"] for t in data["tables"] for r in t["rows"]]
    assert [c for cells in said for c in cells[2:]] == [shown.money(a) if a else shown.ZERO_SIGN for a in amounts]


def test_what_one_side_alone_has_is_no_empty_line_of_the_other():
    """Where two sides come one after the other, a line without a document stood for each that only the other has."""
    columns = (
        Column("customer", "Customer"),
        *(Column(f"{side}_{n}", f"C{n}", group=side) for side in ("sap", "quickbooks") for n in range(3)),
        Column("look", "To look at"),
    )
    rows = (
        Row(("Acme", "i1", "i2", "i3", "i1", "i2", "i3", "")),
        Row(("Bolt", "j1", "j2", "j3", None, "", None, "")),
        Row(("Cole", None, None, None, "k1", "k2", "k3", "only in quickbooks")),
        Row(("Dyer", "l1", "l2", "l3", None, None, None, "only in sap")),
        Row(("Total", *[None] * 7), "total"),
    )
    left, right = shown.by_group(Table("t", "T", columns, rows))
    assert [r.cells[0] for r in left.rows] == ["Acme", "Bolt", "Dyer", "Total"]
    assert [r.cells[0] for r in right.rows] == ["Acme", "Cole", "Dyer", "Total"], "and what is said of it stays"
