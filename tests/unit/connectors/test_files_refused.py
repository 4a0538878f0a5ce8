"""Files that are refused as a whole: clear errors, and nothing left behind."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import duckdb
import pytest

from tieout.connectors import decode, workbook
from tieout.connectors.files import load, open_table, records
from tieout.errors import ProfileError
from tieout.mapping.tabular import load_profile

GOOD = "kind,number,customer,issued,currency,total\ninvoice,1,C1,2026-01-31,USD,5.00\n"


@pytest.fixture(autouse=True)
def _scratch_is_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert list(scratch.iterdir()) == []


def refusal(path: Path) -> str:
    profile = load_profile("documents")
    with pytest.raises(ProfileError) as one:
        records(path, profile, "erp")
    with pytest.raises(ProfileError) as other:
        load(duckdb.connect(), path, profile, side="left")
    assert str(one.value) == str(other.value)
    assert one.value.exit_code == 2
    return str(one.value)


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.csv")
    assert "not a regular file" in refusal(tmp_path)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert "not a regular file" in refusal(pipe)


def test_a_name_with_quotes_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "o'neill'); DROP TABLE x; --.csv"
    path.write_text(GOOD)
    con = duckdb.connect()
    assert load(con, path, load_profile("documents"), side="left").accepted == 1
    assert con.execute("SELECT source FROM left_documents").fetchall() == [(f"{path.name}:2",)]


def test_a_transcoded_copy_is_removed_even_where_the_file_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("Zahl;Kunde\n1;Müller\n".encode("utf-16"))
    assert "no row has the headings" in refusal(path)
    path.write_bytes(GOOD.encode("utf-16"))
    with open_table(path, load_profile("documents")) as table:
        assert table.encoding == "utf-16"


def test_a_byte_outside_the_code_page_deep_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(
        GOOD.encode() + b"invoice,2,C1,2026-01-31,USD,5.00\n" * 3 + b"invoice,3,M\xfcller,2026-01-31,USD,5.00\n"
    )
    assert "line 6" in refusal(path)


def test_a_workbook_that_unpacks_beyond_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (2 << 20))
    assert "unpacks to more than" in refusal(path)


def test_a_workbook_that_declares_entities(tmp_path: Path) -> None:
    path = tmp_path / "entities.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>')
    assert "document type" in refusal(path)


def test_large_text_is_surveyed_alike_in_any_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD + "\r",
        GOOD.replace("C1", "Mü\u20acller"),
        GOOD + "\x07",
        GOOD.replace(",", "\t"),
    ]
    for text in samples:
        path = tmp_path / "f.csv"
        path.write_bytes(text.encode())
        whole = decode.decode(path, None)
        for size in (1, 2, 3, 7):
            monkeypatch.setattr(decode, "_CHUNK", size)
            assert decode.decode(path, None) == whole
        monkeypatch.setattr(decode, "_CHUNK", 4 << 20)
