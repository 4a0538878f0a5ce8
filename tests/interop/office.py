"""LibreOffice opens our workbooks, reckons every formula anew, and gets to the figures that stand beside them."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl

from tests.interop.parts import Part
from tests.unit.reports.forms import samples
from tieout.reports.forms import workbook

_ALWAYS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value>
</prop></item></oor:items>
"""
# A report, and the rows of a sheet: all in one, or over many with formulas across them.
_BOOKS = (
    (samples.aging, workbook.MOST_ROWS), (samples.aging, 20), (samples.bridge, workbook.MOST_ROWS), (samples.bridge, 12),
    (samples.statement, workbook.MOST_ROWS), (samples.statement, 20), (lambda: samples.big(5_000), 2_000),
)  # fmt: skip


def part(place: Path) -> Part:
    """Every workbook with its kept values made wrong, opened, reckoned and saved by LibreOffice."""
    program = shutil.which("soffice")
    if program is None:
        return Part("LibreOffice", "workbooks", absent="soffice")
    profile = place / "office"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_ALWAYS)
    passed = failed = 0
    for n, (make, rows) in enumerate(_BOOKS):
        body = workbook.write(make(), most_rows=rows)
        path = place / f"{n}.xlsx"
        path.write_bytes(spoilt(body))
        subprocess.run(
            [program, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "xlsx",
             "--outdir", str(place / "reckoned"), str(path)],
            capture_output=True, timeout=240, check=True,
        )  # fmt: skip
        good, bad = compared(body, (place / "reckoned" / path.name).read_bytes())
        passed, failed = passed + good, failed + bad
    return Part("LibreOffice", "workbooks", passed, failed)


def spoilt(body: bytes) -> bytes:
    """The workbook with every value beside a formula made wrong: only who reckons gets to the right one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as one, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as other:
        for name in one.namelist():
            other.writestr(name, re.sub(rb"(</f><v>)[^<]*(</v>)", rb"\g<1>-77777\g<2>", one.read(name)))
    return out.getvalue()


def compared(kept: bytes, reckoned: bytes) -> tuple[int, int]:
    """How many cells of all sheets are as they were, formulas by their value, and how many are not."""
    good = bad = 0
    for one, other in zip(_cells(kept), _cells(reckoned), strict=True):
        good, bad = (good + 1, bad) if one == other else (good, bad + 1)
        if one != other:
            print(f"LibreOffice: {one} became {other}")
    return good, bad


def _cells(body: bytes) -> Iterator[tuple[object, ...]]:
    live, values = (openpyxl.load_workbook(io.BytesIO(body), data_only=v) for v in (False, True))
    for sheet in live:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type in ("f", "n", "d") and cell.value is not None:
                    yield sheet.title, cell.coordinate, values[sheet.title][cell.coordinate].value
