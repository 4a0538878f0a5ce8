"""Workbooks as other programs write them: no row is lost, and what cannot be trusted is refused, not half read."""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import xlsxwriter
from openpyxl.chart import BarChart
from openpyxl.worksheet.formula import ArrayFormula

from tieout.connectors import workbook
from tieout.connectors.files import check, load, records
from tieout.errors import ProfileError
from tieout.mapping.tabular import load_profile

HEADINGS = ["kind", "number", "customer", "issued", "due", "currency", "total", "memo"]
SHEET = "xl/worksheets/sheet1.xml"


def _row(number: str, total: Any = 100.10, memo: Any = None, due: Any = None) -> list[Any]:
    return ["invoice", number, "C1", date(2026, 1, 5), due, "USD", total, memo]


def _book(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in (HEADINGS, *rows):
        book.active.append(row)
    book.save(path)
    return path


def _edited(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """The workbook with one of its parts changed."""
    with zipfile.ZipFile(path) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()}
    changed = change(parts[part])
    assert changed != parts[part]
    with zipfile.ZipFile(path, "w") as new:
        for name, content in (parts | {part: changed}).items():
            new.writestr(name, content)
    return path


def _read(path: Path) -> dict[str, Any]:
    """What became of the rows of a file: the same whichever way it is read."""
    profile = load_profile("documents")
    _, single = records(path, profile, "erp")
    assert load(duckdb.connect(), path, profile, side="left").as_json() == single.as_json()
    assert check(duckdb.connect(), path, profile).as_json() == single.as_json()
    return single.as_json()


@pytest.mark.parametrize("stated", [b"A1", b"A1:H2", b"A1:C3", b"A1:XFD1048576", b""])
def test_a_sheet_is_read_to_its_end_whatever_size_it_states(tmp_path: Path, stated: bytes) -> None:
    """Programs that export state the size before they know it; the rows beyond it were lost without a word."""
    path = _edited(
        _book(tmp_path / "f.xlsx", _row("1"), _row("2"), _row("3")),
        SHEET,
        lambda xml: re.sub(rb'<dimension ref="[^"]*"/>', b'<dimension ref="%s"/>' % stated if stated else b"", xml),
    )
    found = _read(path)
    assert (found["rows"], found["accepted"], found["totals"]["USD"]["sum"]) == (3, 3, "300.30")


@pytest.mark.parametrize("text", ["Acme\r\nLtd", "a\rb", "\r\n", "a\n\rb"])
def test_breaks_of_any_kind_in_a_cell_are_text(tmp_path: Path, text: str) -> None:
    found = _read(_book(tmp_path / "f.xlsx", _row("1", memo=text), _row("2")))
    assert found["accepted"] == 2


def test_a_workbook_under_another_name_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = shutil.copy(_book(tmp_path / "f.xlsx", _row("1")), tmp_path / "export.csv")
    assert _read(path)["accepted"] == 1


def test_another_archive_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    for files in ({"export.csv": "kind,number\n"}, {}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        with pytest.raises(ProfileError, match="an archive, but not an Excel workbook"):
            _read(path)


@pytest.mark.parametrize(
    "damage",
    {
        "cut off": lambda xml: xml[: len(xml) // 2],
        "a number that is none": lambda xml: xml.replace(b"<v>100.1</v>", b"<v>NaN</v>"),
        "text that is not there": lambda xml: xml.replace(b't="n"><v>100.1</v>', b't="s"><v>999</v>'),
        "a row beyond the last": lambda xml: xml.replace(b'<row r="3"', b'<row r="99999999999"'),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_damaged_sheet_is_refused_whole(
    tmp_path: Path, damage: tuple[str, Callable[[bytes], bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "_MOST_ROWS", 1 << 12)  # a million empty rows take six seconds
    path = _edited(_book(tmp_path / "f.xlsx", _row("1"), _row("2")), SHEET, damage[1])
    with pytest.raises(ProfileError, match="not a readable workbook"):
        _read(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA], ids=["deflate", "lzma"])
@pytest.mark.parametrize("part", ["[Content_Types].xml", SHEET])
def test_a_workbook_of_which_a_byte_was_lost_is_refused(tmp_path: Path, part: str, packing: int) -> None:
    path = _book(tmp_path / "f.xlsx", *(_row(str(n)) for n in range(50)))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "g.xlsx", "w", packing) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        begins = new.getinfo(part).header_offset + 30 + len(part)
    whole = (tmp_path / "g.xlsx").read_bytes()
    assert _read(tmp_path / "g.xlsx")["accepted"] == 50
    for at in range(begins + 9, begins + 29):  # behind the head that LZMA has
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(ProfileError, match="not a readable workbook"):
            _read(path)


@pytest.mark.parametrize("number", [b"1E400", b"-1E400"])
def test_a_number_beyond_all_is_one_rejected_row(tmp_path: Path, number: bytes) -> None:
    path = _book(tmp_path / "f.xlsx", _row("1"), _row("2", total=7))
    found = _read(_edited(path, SHEET, lambda xml: xml.replace(b"<v>7</v>", b"<v>%s</v>" % number)))
    assert found["accepted"] == 1
    assert [(r["row"], r["column"]) for r in found["rejected"]] == [(3, "total")]
    assert "too large" in found["rejected"][0]["reason"]


def test_a_chart_on_a_sheet_of_its_own_is_no_second_table(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(_book(tmp_path / "f.xlsx", _row("1")))
    book.create_chartsheet("Chart").add_chart(BarChart())
    book.save(tmp_path / "f.xlsx")
    assert _read(tmp_path / "f.xlsx")["accepted"] == 1


@pytest.mark.parametrize("column", ["G2", "E2"])
def test_a_formula_of_a_range_without_a_value_is_not_nothing(tmp_path: Path, column: str) -> None:
    book = openpyxl.load_workbook(_book(tmp_path / "f.xlsx", _row("1"), _row("2")))
    book.active[column] = ArrayFormula(column, "=SUM(A1:A9)")
    book.save(tmp_path / "f.xlsx")
    found = _read(tmp_path / "f.xlsx")
    assert [(r["row"], r["value"], r["reason"][:32]) for r in found["rejected"]] == [
        (2, "=SUM(A1:A9)", "a formula without a stored value")
    ]


def test_a_formula_that_its_writer_left_to_be_calculated_is_no_zero(tmp_path: Path) -> None:
    """Programs store 0 for a formula and ask whoever opens the workbook to calculate: an invoice of 0.00."""
    path = tmp_path / "f.xlsx"
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet()
    for at, row in enumerate((HEADINGS, _row("1"), _row("2"))):
        sheet.write_row(at, 0, [c.isoformat() if isinstance(c, date) else c for c in row])
    sheet.write_formula("G3", "=G2*2")
    book.close()
    found = _read(path)
    assert [(r["row"], r["column"], r["value"]) for r in found["rejected"]] == [(3, "total", "=G2*2")]
    assert found["totals"]["USD"] == {"count": 1, "sum": "100.10"}


def test_a_formula_that_came_to_no_text_is_none(tmp_path: Path) -> None:
    path = _book(tmp_path / "f.xlsx", _row("1"), _row("2"))
    cell = b'<c r="H2" t="str"><f>IF(G2&gt;500,"large","")</f><v></v></c></row>'
    _edited(path, SHEET, lambda xml: xml.replace(b"</row>", cell, 2).replace(cell, b"</row>", 1))
    _edited(path, "xl/workbook.xml", lambda xml: xml.replace(b' fullCalcOnLoad="1"', b""))  # as Excel saves it
    assert _read(path)["accepted"] == 2


def test_a_day_that_is_none_rejects_its_row_and_nothing_else_is_printed(tmp_path: Path) -> None:
    path = _edited(
        _book(tmp_path / "f.xlsx", _row("1"), _row("2")), SHEET, lambda x: x.replace(b">46027<", b">9999999<", 1)
    )
    with warnings.catch_warnings(record=True) as printed:
        warnings.simplefilter("always")
        found = _read(path)
    assert [(r["row"], r["column"]) for r in found["rejected"]] == [(2, "issued")]
    assert printed == []


def test_an_amount_that_a_spreadsheet_cannot_hold_to_the_cent_is_refused(tmp_path: Path) -> None:
    kept = [D("0.30"), D("1234567890123.45"), D(99999999999999)]
    found = _read(
        _book(
            tmp_path / "f.xlsx",
            *(_row(str(n), total) for n, total in enumerate((0.1 + 0.2, 1234567890123.45, 99999999999999), start=1)),
            _row("9", 12345678901234.56),
        )
    )
    assert [(r["row"], r["column"]) for r in found["rejected"]] == [(5, "total")]
    assert "15 digits" in found["rejected"][0]["reason"]
    assert D(found["totals"]["USD"]["sum"]) == sum(kept)
