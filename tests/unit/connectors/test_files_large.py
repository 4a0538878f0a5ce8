"""Files that are read in several parts at once: each row keeps its number, and a row too long for a part is read too."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tieout.connectors.bulk import stage
from tieout.connectors.files import load, records
from tieout.mapping.tabular import load_profile

HEAD = "kind,number,customer,issued,currency,total,memo\n"
LONG = "x" * 250
ROWS = 80_000
BAD = 9_973  # every row of this number is broken


def row(n: int, memo: str = LONG) -> str:
    amount = "n/a" if n % BAD == 0 else f"{n}.25"
    return f"invoice,N{n},C{n % 50},2026-01-31,USD,{amount},{memo}\n"


@pytest.mark.parametrize("part", [stage.BUFFER, 11_740_903, 7_827_269, 23_481_605])
def test_every_row_keeps_its_number_and_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """In parts of some sizes DuckDB refuses this file, of the last it loses a row: then it is read in one."""
    monkeypatch.setattr(stage, "BUFFER", part)
    path = tmp_path / "large.csv"
    path.write_text(HEAD + "".join(row(n) for n in range(2, ROWS + 2)))
    assert path.stat().st_size > part
    con = duckdb.connect()
    report = load(con, path, load_profile("documents"), side="left")

    broken = list(range(BAD, ROWS + 2, BAD))
    assert [r["row"] for r in report.as_json()["rejected"]] == broken
    assert (report.rows, report.accepted) == (ROWS, ROWS - len(broken))
    wrong = con.execute("""
        SELECT count(*) FROM left_documents
        WHERE source <> 'large.csv:' || substr(number, 2) OR total <> CAST(substr(number, 2) || '.25' AS DECIMAL(24,6))""")
    assert wrong.fetchall() == [(0,)]
    assert con.execute("SELECT count(DISTINCT number), count(DISTINCT source) FROM left_documents").fetchall() == [
        (ROWS - len(broken), ROWS - len(broken))
    ]


def test_rows_that_stand_in_a_cell_are_no_rows(tmp_path: Path) -> None:
    """Where a part of the file begins in such a cell, each of its lines could pass for a row."""
    path = tmp_path / "cells.csv"
    inner = "".join(row(n, "inner") for n in range(900_000, 912_000))
    rows = 60
    path.write_text(HEAD + "".join(row(n, f'"{inner}"') for n in range(2, rows + 2)))
    assert path.stat().st_size > 4 * stage.BUFFER
    con = duckdb.connect()
    profile = load_profile("documents")
    report = load(con, path, profile, side="left")
    _, single = records(path, profile, "erp")
    assert report.as_json() == single.as_json()
    assert [r["row"] for r in report.as_json()["rejected"]] == list(range(2, rows + 2))  # no cell is that long


def test_breaks_in_cells_are_read_as_python_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "breaks.csv"
    memo = '"first line\n' + '""second""\n' * 150 + ',,,,\n"'
    path.write_text(HEAD + "".join(row(n, memo) for n in range(2, 12_000)))
    assert path.stat().st_size > 2 * stage.BUFFER
    con = duckdb.connect()
    report = load(con, path, load_profile("documents"), side="left")
    broken = len(range(BAD, 12_000, BAD))
    assert (report.rows, report.accepted, len(report.rejected)) == (11_998, 11_998 - broken, broken)
    wrong = con.execute("SELECT count(*) FROM left_documents WHERE source <> 'breaks.csv:' || substr(number, 2)")
    assert wrong.fetchall() == [(0,)]


def test_a_row_longer_than_a_part_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    memo = "y" * 30_000
    wide = ",".join("z" * 100_000 for _ in range(12))
    head = HEAD.rstrip("\n") + "".join(f",extra{i}" for i in range(12)) + "\n"
    narrow = "," * 12 + "\n"
    rows = [row(n).rstrip("\n") + narrow for n in range(2, 5)]
    path.write_text(head + rows[0] + row(3, memo).rstrip("\n") + "," + wide + "\n" + rows[2])
    assert len(wide) > stage.PLAIN_ROW_LIMIT
    con = duckdb.connect()
    report = load(con, path, load_profile("documents"), side="left")
    assert (report.rows, report.accepted, report.rejected) == (3, 3, [])
    found = con.execute("SELECT number, source, length(memo) FROM left_documents ORDER BY number").fetchall()
    assert found == [("N2", "long.csv:2", 250), ("N3", "long.csv:3", 30_000), ("N4", "long.csv:4", 250)]
