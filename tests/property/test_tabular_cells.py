"""What SQL reads in a cell is what the Python converters read in it, or SQL leaves the row to them."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.deep import examples
from tieout.connectors.bulk import sql
from tieout.connectors.decode import Survey
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_rows import Binding, bind, convert, is_null

MANY = 250
CON = duckdb.connect()
DATES = (
    "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y", "%m/%d/%y", "%d-%b-%y", "%d %b %Y",
    "%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M", "excel", "excel1904",
)  # fmt: skip
CODED = {
    "state": [{"values": {"Open": "posted", "draft": "draft"}}],
    "currency": [{}, {"values": {"EURO": "EUR", "$": "USD", "EUR": "EUR"}}],
}
COLUMNS = ("number", "memo", "total", "rate", "issued", "currency", "disputed", "state")


def bound(name: str, *, fmt: str = "%d.%m.%Y", amounts: dict[str, Any] | None = None, **column: Any) -> Binding:
    """A profile of a file that has this one column, and constants for all that it needs beside."""
    columns = {
        "kind": {"value": "invoice"}, "customer": {"value": "C1"}, "issued": {"value": "2026-01-31", "format": "%Y-%m-%d"},
        "currency": {"value": "EUR"}, "total": {"value": "1"}, "number": {"value": "N1"},
    }  # fmt: skip
    columns[name] = {"names": ["Cell"], **column}
    settings = {
        "dates": {"format": fmt},
        "amounts": amounts or {},
        "file": {"null": ["NULL", "00.00.0000", "31.12.9999"]},
    }
    profile = Profile.model_validate(
        {"name": "p", "entity": "documents", "key": ["number"], "columns": columns, **settings}
    )
    return bind(profile, ["Cell"])


def read(binding: Binding, name: str, texts: list[str], empty: str | None, known: sql.Known) -> list[tuple[Any, bool]]:
    """(value, whether SQL vouches for it) of each text."""
    cell = sql.cell(binding, name, 0, empty, known)
    found = CON.execute(
        f"SELECT v_{name}, coalesce({cell.fit}, false) FROM (SELECT *, {cell.value} AS v_{name} FROM "
        f"(SELECT *, {sql.trimmed('c0')} AS t0 FROM (SELECT unnest(?) AS c0)))",
        [texts],
    )
    return found.fetchall()


def in_python(binding: Binding, name: str, text: str, empty: str | None) -> Any:
    column = binding.profile.columns[name]
    if is_null(binding.profile, column, text):
        if empty is None:
            raise ValueError("empty, but needed")
        return None
    return convert(binding, name, text)


DAYS = st.dates(date(1890, 1, 1), date(2210, 1, 1))
DIGITS = st.text("0123456789", min_size=1, max_size=17)
SPACES = st.sampled_from(["", "", "", " ", "  ", "\t", "\u00a0", "\u200b", "\n", "\u3000", "\ufeff"])
NUMBERS = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["", "", "", "-", "+", "(", "−", "- ", "--", "$", "EUR "]),
    st.one_of(DIGITS, st.integers(0, 10**16).map("{:,}".format), st.integers(0, 10**9).map("{:,}".format)),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from([".", ","]), st.text("0123456789", max_size=8))),
    st.sampled_from(["", "", "", "-", ")", " CR", " DR", "e3", "E+05", "%", " H"]),
)
ODD = st.sampled_from(
    ["", " ", "NULL", "00.00.0000", "31.12.9999", "1e3", "1_000", "1.234,56", "1,234.56", "-5", "5-", "(5)", "-5-", "(5)-", "−5", "5 CR", "1 234",
     "1\u00a0234", "1'234'567", "+5", "#N/A", "#1", "=1+1", "٣", "１２", "1.0", "17850.0", "0.0", "1.00E", "1.93E+09", "1E5", "1,5e3", "E5", "0", "-0",
     ".5", "5.", ",5", "inf", "infinity", "nan", "epoch", "0x1F", "é", "\x07", "a\tb", "x\u200b", "\u202eevil", "Müller", "AT&T", '"', "'", "EUR", "eur",
     "EURO", "ÉUR", "1", "yes", "No", "TRUE", "x", "draft", "Open", "29.02.2025", "29.02.2024", "1.1.2026", "01.01.26", "2026-1-5", "20260105",
     "2026-02-30", "45000", "60", "61", "100000", "1:02.3", "01-Mär-26", "01 Jan 2026", "1 jan 2026", "+1.01.2026", "1.01.+2026"]
)  # fmt: skip
STAMPS = st.builds(
    lambda d, fmt, pad: d.strftime(fmt) + pad,
    DAYS,
    st.sampled_from([*(f for f in DATES if f.startswith("%")), "%-d.%-m.%Y", "%-m/%-d/%Y", "%d.%m.%Y %H:%M"]),
    st.sampled_from(["", "", "", "Z", ".0", ":00", "0"]),
)
CELLS = st.builds(
    "{}{}{}".format,
    SPACES,
    st.one_of(ODD, NUMBERS, STAMPS, DIGITS, st.text("0123456789.,-/ ():eE#=%Y\t' \u00a0aZ", max_size=12)),
    SPACES,
)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Binding, str, list[str], str | None]:
    name = draw(st.sampled_from(COLUMNS))
    decimal = draw(st.sampled_from([".", ","]))
    group = draw(st.sampled_from([g for g in ("", ".", ",", " ", "'") if g != decimal]))
    signs = draw(
        st.sampled_from([("leading",), ("leading", "trailing", "parentheses"), ("trailing",), ("parentheses", "crdr")])
    )
    column = draw(st.sampled_from(CODED.get(name, [{}])))
    amounts = {"decimal": decimal, "group": group, "signs": signs}
    binding = bound(name, fmt=draw(st.sampled_from(DATES)), amounts=amounts, **column)
    return binding, name, draw(st.lists(CELLS, min_size=1, max_size=60)), draw(st.sampled_from(["NULL", None]))


def _known(texts: list[str]) -> list[sql.Known]:
    """All that may be known of a file that has these cells."""
    survey = Survey()
    survey.feed("".join(f"x{t}" for t in texts).encode())  # a mark at the very beginning is no cell
    if survey.controls or survey.tabs or survey.breaks or not survey.plain:
        return ["nothing"]
    return ["nothing", "clean", "usual"] if survey.usual else ["nothing", "clean"]


@examples(MANY)
@given(cells())
def test_sql_reads_in_a_cell_what_python_reads(case: tuple[Binding, str, list[str], str | None]) -> None:
    binding, name, texts, empty = case
    clean = [t for t in texts if "clean" in _known([t])]
    usual = [t for t in texts if "usual" in _known([t])]
    given: tuple[tuple[sql.Known, list[str]], ...] = (("nothing", texts), ("clean", clean), ("usual", usual))
    for known, some in given:
        for text, (value, fit) in zip(some, read(binding, name, some, empty, known) if some else (), strict=True):
            if fit:
                event(f"{name} read")
                assert value == in_python(binding, name, text, empty), (known, text)


@pytest.mark.parametrize("fmt", [f for f in DATES if f.startswith("%")])
def test_every_century_is_read_as_python_reads_it(fmt: str) -> None:
    binding = bound("issued", fmt=fmt)
    texts = [date(year, 2, 28).strftime(fmt) for year in range(1850, 2250)]
    found = read(binding, "issued", texts, None, "usual")
    for text, (value, fit) in zip(texts, found, strict=True):
        try:
            expected = in_python(binding, "issued", text, None)
        except ValueError:
            assert not fit, text
        else:
            assert (value, fit) == (expected, True), text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "INV-007"), ("number", "0000611365"), ("number", "17850.0"), ("number", " RE 1/26 "), ("number", "Ä7"),
        ("memo", "  Müller & Söhne, 5 % "), ("memo", ""), ("memo", "NULL"), ("rate", "1,234567"), ("total", "1.234.567,89"),
        ("total", "-1.234,5"), ("total", "(12,50)"), ("total", "12,50- "), ("total", " 0 "), ("issued", "1.2.2026"),
        ("issued", " 31.12.2199"), ("currency", " EUR "), ("currency", "EURO"), ("disputed", "yes"), ("state", "Open"), ("total", ""), ("issued", "00.00.0000"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", ["nothing", "clean", "usual"])
def test_usual_spellings_are_not_left_to_python(name: str, text: str, known: sql.Known) -> None:
    """For that would be right, and a hundred times slower."""
    column = CODED[name][-1] if name == "state" or text == "EURO" else {}
    binding = bound(name, amounts={"decimal": ",", "group": "."}, **column)
    value, fit = read(binding, name, [text], "NULL", known)[0]
    assert fit
    assert value == in_python(binding, name, text, "NULL")
