"""An export that its ERP goes on writing while tieout reads it is read as it was, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tieout.connectors.tabular import open_tabular
from tieout.errors import RetriableError
from tieout.model import Entity

HEAD = ["kind", "number", "customer", "customer_name", "issued", "due", "currency", "net", "tax", "total", "open"]


def row(n: int) -> list[str]:
    return [
        "invoice",
        f"R-{n}",
        f"C-{n}",
        f"Ada {n}",
        "2026-01-05",
        "2026-02-04",
        "USD",
        "10.00",
        "0.00",
        "10.00",
        "10.00",
    ]


def text(encoding: str) -> Callable[[Path, int], None]:
    def write(path: Path, rows: int) -> None:
        lines = [HEAD, *(row(n) for n in range(rows))]
        path.write_bytes("".join(",".join(cells) + "\n" for cells in lines).encode(encoding))

    return write


def workbook(path: Path, rows: int) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for cells in (HEAD, *(row(n) for n in range(rows))):
        sheet.append(cells)
    with path.open("wb") as file:
        book.save(file)


@dataclass
class Opened:
    """Counts how often a file is opened for reading, and does something right before one of these times."""

    path: Path
    at: int = 0
    then: Callable[[], None] | None = None
    count: int = 0


_watched: list[Opened] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or not _watched or str(args[0]) != str(_watched[0].path):
        return
    [watched] = _watched
    watched.count += 1
    if watched.count == watched.at and watched.then is not None:
        _watched.clear()
        watched.then()


@contextmanager
def watching(opened: Opened) -> Iterator[Opened]:
    if not getattr(sys, "_growing_hooked", False):
        sys.addaudithook(_hook)
        sys._growing_hooked = True  # type: ignore[attr-defined]
    _watched.append(opened)
    try:
        yield opened
    finally:
        _watched.clear()


def read(folder: Path) -> tuple[list[str], list[str]]:
    """(customers of the invoices, customers), in order, of what is read anew."""
    settings = {"folder": folder, "exports": [{"glob": "d_*", "profile": "documents"}], "currency": "USD"}
    settings |= {"entity_code": "1", "settle_seconds": 0}
    connector = open_tabular("erp", settings=settings, clock=lambda: datetime.now(UTC))
    bills = [o.record.customer for o in connector.pull(Entity.INVOICE)]  # type: ignore[union-attr]
    return sorted(bills), sorted(o.id for o in connector.pull(Entity.CUSTOMER))


FORMS = {"utf-8.csv": text("utf-8"), "utf-16.csv": text("utf-16"), "book.xlsx": workbook}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_grows_while_it_is_read_is_read_as_it_was_or_not_at_all(form: str, tmp_path: Path) -> None:
    write, path = FORMS[form], tmp_path / f"d_{form}"
    write(path, 3)
    before = ["C-0", "C-1", "C-2"]
    with watching(Opened(path)) as opened:
        assert read(tmp_path) == (before, before)
    assert opened.count > 2
    refused = 0
    for at in range(1, opened.count + 1):
        write(path, 3)
        with watching(Opened(path, at, lambda: write(path, 5))):
            try:
                found = read(tmp_path)
            except RetriableError as error:
                assert "changed while it was read" in error.message
                refused += 1
            else:
                assert found in ((before, before), ([*before, "C-3", "C-4"],) * 2), f"at opening {at}"
    assert refused
