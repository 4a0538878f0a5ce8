"""`tieout report --format xlsx|html|pdf`, as installed: each form holds the same figures, and says where they came from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import openpyxl
import pypdf
import pytest

from tests.cli.conftest import Ran
from tests.cli.test_report import BILLS, CASH, FILES, rows

Run = Callable[..., Ran]
ASKED = ("report", "aging", *FILES, "--as-of", "2026-03-31")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "cash.csv").write_text(CASH)
    return tmp_path


def test_every_form_holds_the_same_total(tieout: Run, books: Path) -> None:
    [total] = rows(json.loads(tieout(*ASKED, "--json").stdout), "customers", "total")
    for form in ("xlsx", "html", "pdf"):
        ran = tieout(*ASKED, "--format", form, "--out", f"aging.{form}")
        assert ran.returncode == 0, ran.stderr
    book = openpyxl.load_workbook(books / "aging.xlsx", data_only=True)
    numbers = [
        c for sheet in book for row in sheet.iter_rows(values_only=True) for c in row if isinstance(c, int | float)
    ]
    assert Decimal(total["total"]) in map(Decimal, map(repr, numbers))
    said = " ".join(str(c) for row in book.worksheets[0].iter_rows(values_only=True) for c in row if c is not None)
    paper = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO((books / "aging.pdf").read_bytes())).pages)
    page = (books / "aging.html").read_text()
    for form in (page, paper):
        assert total["total"] in form
    for form in (said, page, paper):
        assert "bills.csv" in form
        assert "2026-03-31" in form


def test_a_hostile_name_is_text_in_every_form(tieout: Run, books: Path) -> None:
    for form in ("xlsx", "html"):
        assert tieout(*ASKED, "--format", form, "--out", f"aging.{form}").returncode == 0
    live = openpyxl.load_workbook(books / "aging.xlsx")
    found = [c for sheet in live for row in sheet.iter_rows() for c in row if str(c.value).startswith("=cmd|")]
    assert found
    assert all(c.data_type == "s" or c.data_type == "inlineStr" for c in found)
    assert "=cmd|&#x27;/C calc&#x27;!A1" in (books / "aging.html").read_text()


def test_a_form_for_files_needs_a_file(tieout: Run, books: Path) -> None:
    assert (books / "bills.csv").exists()
    ran = tieout(*ASKED, "--format", "pdf")
    assert ran.returncode == 2
    assert "--out" in ran.stderr
