"""A million rows of a messy European export into the canonical relation."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import duckdb
from pydantic import BaseModel, BeforeValidator, ValidationError

from benchmarks.measure import Figure, in_turns, peak, resident
from tieout.connectors import files
from tieout.mapping.tabular import Profile, load_profile

ROWS = 1_000_000
SAMPLE = 50_000
BROKEN = 500  # one row in so many cannot be read
_PROFILE = """
name = "messy"
description = "Semicolons, decimal commas, days first, debits positive, names with spaces around them"
entity = "documents"
key = ["number"]

[dates]
format = "%d.%m.%Y"

[amounts]
decimal = ","
group = "."
direction = "debit_positive"

[columns]
kind = { value = "invoice|credit_memo" }
number = { names = ["Belegnummer"], required = true }
customer = { names = ["Konto"], required = true }
customer_name = { names = ["Name"], required = true }
issued = { names = ["Belegdatum"], required = true }
due = { names = ["Faellig"], required = true }
currency = { names = ["Waehrung"], required = true }
total = { names = ["Betrag"], required = true }
memo = { names = ["Text"], optional = true }
"""
Reader = Callable[[duckdb.DuckDBPyConnection, Path, Profile], files.FileReport]
_HEAD = "Belegnummer;Konto;Name;Belegdatum;Faellig;Waehrung;Betrag;Text\n"


def write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(_HEAD)
        for n in range(rows):
            cents = (n * 104_729) % 9_000_000 + 100
            whole = f"{cents // 100:,}".replace(",", ".")
            amount = "n/a" if n % BROKEN == 7 else f"{'-' if n % 40 == 0 else ''}{whole},{cents % 100:02d}"
            name = f" Müller & Söhne {n % 5000} GmbH " if n % 3 else f'"Meyer; {n % 5000} ""Nord"""'
            out.write(
                f"RE{n:08d};{n * 7919 % 5000:05d};{name};{n % 28 + 1:02d}.{n % 12 + 1:02d}.2026;"
                f"{n % 27 + 1:02d}.{n % 12 + 1:02d}.2027;{'EUR' if n % 9 else 'CHF'};{amount};Lieferung {n}\n"
            )


def _amount(text: str) -> Decimal:
    return Decimal(text.strip().replace(".", "").replace(",", "."))


def _day(text: str) -> date:
    return datetime.strptime(text.strip(), "%d.%m.%Y").date()


class _Row(BaseModel):
    number: str
    customer: str
    name: Annotated[str, BeforeValidator(str.strip)]
    issued: Annotated[date, BeforeValidator(_day)]
    due: Annotated[date, BeforeValidator(_day)]
    currency: str
    total: Annotated[Decimal, BeforeValidator(_amount)]
    memo: str


def _by_row(path: Path) -> int:
    kept = []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter=";")
        next(reader)
        for cells in reader:
            try:
                kept.append(_Row(**dict(zip(_Row.model_fields, cells, strict=True))))
            except (ValidationError, ArithmeticError):
                continue
    return len(kept)


def _split(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as stream:
        return sum(1 for _ in csv.reader(stream, delimiter=";"))


def run(folder: Path) -> list[Figure]:
    big, small, text = folder / "big.csv", folder / "small.csv", folder / "messy.toml"
    write(big, ROWS)
    write(small, SAMPLE)
    text.write_text(_PROFILE)
    profile = load_profile(text)

    def accept(path: Path, rows: int, read: Reader) -> None:
        con = duckdb.connect()
        report = read(con, path, profile)
        lost = len(range(7, rows, BROKEN))
        if (report.accepted, len(report.rejected)) != (rows - lost, lost):
            raise RuntimeError(f"{report.accepted} accepted, {len(report.rejected)} rejected of {rows}")
        con.close()

    def whole(con: duckdb.DuckDBPyConnection, path: Path, profile: Profile) -> files.FileReport:
        return files.load(con, path, profile, side="left")

    def raw() -> None:
        con = duckdb.connect()
        con.execute(
            "CREATE TABLE raw AS SELECT * FROM read_csv(?, all_varchar=true, delim=';', header=true, quote='\"')",
            [str(big)],
        )
        con.close()

    before = resident()
    with peak() as most:
        accept(big, ROWS, whole)
    times = in_turns(
        {
            "raw": raw,
            "split": lambda: _split(big),
            "ours": lambda: accept(big, ROWS, files.check),
            "whole": lambda: accept(big, ROWS, whole),
        },
        rounds=5,
    )
    few = in_turns({"pydantic": lambda: _by_row(small)}, rounds=3)
    each = few.seconds("pydantic") / SAMPLE, times.seconds("whole") / ROWS
    # What `profile check` does of a file, and what `compare` does: the same, and the relation with its keys.
    what, whole_ = f"{ROWS:,} rows to accepted columns", "… and to the relation that is compared"
    over, cpu = "csv.reader splitting the same file", "processor time: "
    note = f"{times.seconds('ours'):.1f} s on {len(os.sched_getaffinity(0))} processors"
    memory = f"{most[0] - before} MB more at the peak"
    return [
        Figure(what, over, times.ratio("ours", "split"), 2, note=note),
        Figure(cpu + what, "that of csv.reader", times.cpu_ratio("ours", "split")),
        Figure(whole_, over, times.ratio("whole", "split"), note=memory),
        Figure(cpu + whole_, "that of csv.reader", times.cpu_ratio("whole", "split")),
        Figure(what, "DuckDB reading it as text", times.ratio("ours", "raw")),
        Figure(f"a row through pydantic, of {SAMPLE:,}", "a row in the relation", each[0] / each[1], 10, least=True),
    ]
