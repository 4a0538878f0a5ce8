"""A stand-in for an ERP that only exports and imports files: its own books, its own numbers, its own mistakes.

A folder holds everything: `books.json`, `effects.jsonl` (the ground truth), `export/` (what it drops),
`outbox/` (what tieout hands over), `rejected/` (rows it refused). It shares no code with the connector.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tieout.errors import ConfigError
from tieout.sandbox.file_erp.books import ZERO, Application, Books, BooksError, Customer, Document
from tieout.sandbox.file_erp.inbox import LoadReport, book, read, totals, waiting
from tieout.sandbox.file_erp.jobs import Job
from tieout.sandbox.file_erp.layouts import (
    CSV,
    CSV_DE,
    LAYOUTS,
    SAP_XLS_DE,
    SAP_XLS_EN,
    XLSX,
    Layout,
    Row,
    Style,
    render,
)
from tieout.sandbox.file_erp.seeds import generate

__all__ = [
    "CSV",
    "CSV_DE",
    "LAYOUTS",
    "SAP_XLS_DE",
    "SAP_XLS_EN",
    "XLSX",
    "Application",
    "Books",
    "BooksError",
    "Customer",
    "Document",
    "Faults",
    "FileErp",
    "LoadReport",
    "Style",
    "generate",
    "serve_folder",
]

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Faults:
    """How it misbehaves. All off by default.

    partial_export: this many last rows are missing, though the manifest counts them
    silent_partial: the same, and the manifest agrees with the short file
    late_export: the next export speaks for so many days earlier than asked
    half_written: the last file breaks off in the middle, and no manifest follows
    no_manifest: files without a manifest
    reject: our references, or every nth record if a number · renumber: our document number is replaced by its own
    lose_reference: our reference is dropped · duplicate_delivery: each file is booked twice
    change_amount: added to every booked amount · ignore_outbox: nothing is loaded
    """

    partial_export: int = 0
    silent_partial: int = 0
    late_export: int = 0
    half_written: bool = False
    no_manifest: bool = False
    reject: frozenset[str] | int = 0
    renumber: bool = False
    lose_reference: bool = False
    duplicate_delivery: bool = False
    change_amount: Decimal = ZERO
    ignore_outbox: bool = False

    @classmethod
    def parse(cls, words: Sequence[str]) -> Faults:
        """Faults from `name` or `name=value`, as a command line gives them. Raises ConfigError naming the wrong one."""
        found: dict[str, Any] = {}
        for word in words:
            name, _, value = word.partition("=")
            match {f.name: f.default for f in fields(cls)}.get(name):
                case bool():
                    found[name] = value.lower() not in ("0", "no", "off", "false")
                case int() if value.isdigit():
                    found[name] = int(value)
                case Decimal() if value:
                    found[name] = Decimal(value)
                case _:
                    known = ", ".join(f.name for f in fields(cls))
                    raise ConfigError(f"no such fault: {word!r}", hint=f"use name or name=number of: {known}")
        return cls(**found)


class FileErp:
    """The ERP over its books. With a folder it keeps them there; without, in memory only."""

    def __init__(self, books: Books | None = None, *, folder: Path | None = None, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock = clock or (lambda: datetime.now(UTC))
        self.faults = Faults()
        stored = folder / "books.json" if folder else None
        if books is None and stored and stored.is_file():
            books = Books.from_json(json.loads(stored.read_text("utf-8")))
        self.books = books or Books()

    def misbehave(self, **faults: Any) -> None:
        """Switch faults on (or off) by name, until changed again."""
        self.faults = replace(self.faults, **faults)

    def save(self) -> None:
        """Keep the books, and the ground truth as `effects.jsonl`, in the folder; nothing without one."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        effects = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in self.books.effects)
        (self.folder / "effects.jsonl").write_text(effects, "utf-8")
        draft = self.folder / "books.json.new"
        draft.write_text(json.dumps(self.books.as_json(), ensure_ascii=False, indent=1), "utf-8")
        draft.replace(self.folder / "books.json")

    # -- import

    def load_outbox(self, outbox: Path, *, rejected: Path | None = None) -> LoadReport:
        """Load what waits in the outbox, each file once, in sequence; write refused rows to a reject file.

        A file whose manifest, hash, counts or control totals disagree is not touched, nor is anything behind it.
        """
        report = LoadReport()
        if self.faults.ignore_outbox:
            return report
        files, report.refused = waiting(self.books, outbox)
        for path, manifest in files:
            jobs = read(path.read_bytes())
            stated = {c: Decimal(v) for c, v in manifest["control_totals"].items()}
            if len(jobs) != manifest["records"] or totals(jobs) != stated:
                report.refused.append(f"{path.name}: counts or control totals are not those of the manifest")
                break
            self.books.loaded[path.name] = manifest["sha256"]
            self.books.last_sequence = int(manifest["sequence"])
            report.files.append(path.name)
            for again in range(2 if self.faults.duplicate_delivery else 1):
                self._book_all(path.name, jobs, report, again=bool(again))
            self._write_rejects(path.name, report, rejected)
        self.save()
        return report

    def _book_all(
        self, name: str, jobs: Sequence[Job | tuple[dict[str, str], str]], report: LoadReport, *, again: bool
    ) -> None:
        for number, job in enumerate(jobs, start=1):
            if not isinstance(job, Job):
                report.rejected.append({"file": name, "record": str(number), "reference": "", "reason": job[1]})
                continue
            try:
                self._maybe_reject(number, job)
                report.booked[job.our_reference] = book(
                    self.books,
                    job,
                    renumber=self.faults.renumber or again,
                    keep_reference=not self.faults.lose_reference,
                    change=self.faults.change_amount if job.kind != "customer" else ZERO,
                )
            except BooksError as error:
                line = {"file": name, "record": str(number), "reference": job.our_reference, "reason": error.message}
                report.rejected.append(line)

    def _maybe_reject(self, number: int, job: Job) -> None:
        chosen = self.faults.reject
        if (
            number % chosen == 0
            if isinstance(chosen, int) and chosen
            else not isinstance(chosen, int) and (job.our_reference in chosen)
        ):
            raise BooksError("rejected by the import program")

    def _write_rejects(self, name: str, report: LoadReport, folder: Path | None) -> None:
        rows = [r for r in report.rejected if r["file"] == name]
        folder = folder or (self.folder / "rejected" if self.folder else None)
        if not rows or folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.rejects.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, fieldnames=["file", "record", "reference", "reason"])
            writer.writeheader()
            writer.writerows(rows)

    # -- export

    def export(
        self,
        folder: Path,
        as_of: date,
        *,
        layouts: Sequence[str] = ("customers", "sap-fbl5n-en"),
        scope: str = "all",
        styles: dict[str, Style] | None = None,
    ) -> list[Path]:
        """Write one export set as of a day, manifest last; returns the paths. scope: `all` or `open` (items)."""
        folder.mkdir(parents=True, exist_ok=True)
        as_of -= timedelta(days=self.faults.late_export)
        self.books.exports += 1
        sequence = self.books.exports
        written: list[Path] = []
        listed: list[dict[str, Any]] = []
        for name in layouts:
            layout = LAYOUTS[name]
            style = (styles or {}).get(name, layout.style)
            path = folder / f"{layout.stem}_{as_of:%Y-%m-%d}_{sequence:04}.{style.suffix}"
            listed.append(self._write(path, layout, style, as_of, scope))
            written.append(path)
        if self.faults.half_written:
            broken = written[-1].read_bytes()
            written[-1].write_bytes(broken[: len(broken) // 2])
        elif not self.faults.no_manifest:
            manifest = {
                "company_code": self.books.company_code,
                "as_of": as_of.isoformat(),
                "sequence": sequence,
                "exported_at": self.clock().isoformat(timespec="seconds"),
                "scope": scope,
                "files": listed,
            }
            path = folder / f"export_{as_of:%Y-%m-%d}_{sequence:04}.manifest.json"
            path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
            written.append(path)
        self.save()
        return written

    def _write(self, path: Path, layout: Layout, style: Style, as_of: date, scope: str) -> dict[str, Any]:
        table = list(layout.rows(self.books, as_of, scope))
        count, sums = len(table), _sums(table)
        short = self.faults.partial_export or self.faults.silent_partial
        if short:
            table = table[:-short]
            if self.faults.silent_partial:
                count, sums = len(table), _sums(table)
        data = render(layout.headings, [row.cells for row in table], style)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return {"name": path.name, "entity": layout.entity, "rows": count, "totals": sums, "sha256": digest}


def _sums(table: Sequence[Row]) -> dict[str, str]:
    """What the rows add to receivables, per currency, as text."""
    sums: dict[str, Decimal] = {}
    for row in table:
        if row.currency:
            sums[row.currency] = sums.get(row.currency, ZERO) + row.effect
    return {currency: str(value) for currency, value in sorted(sums.items())}


def serve_folder(
    folder: Path,
    *,
    as_of: Callable[[], date],
    rounds: int = 0,
    pause: Callable[[], None] = lambda: None,
    layouts: Sequence[str] = ("customers", "sap-fbl5n-en"),
    tell: Callable[[str], None] = lambda _: None,
    faults: Faults | None = None,
    clock: Clock | None = None,
    sample: int = 0,
    write_off: str | None = None,
) -> None:
    """Load `folder/outbox`, export to `folder/export`, again and again: `rounds` times, or for ever if 0.

    `pause` waits between rounds; KeyboardInterrupt ends it. Books are kept in the folder; new ones begin with
    `sample` invoices of `generate`, and an empty outbox. write_off: so much of the oldest open invoice is written off
    before the first export. Raises ConfigError where no invoice has so much open.
    """
    if sample and not (folder / "books.json").exists():
        fresh = FileErp(folder=folder, clock=clock)
        generate(fresh.books, customers=max(3, sample // 8), invoices=sample, through=as_of())
        fresh.save()
    done = 0
    while not rounds or done < rounds:
        if done:
            pause()
        erp = FileErp(folder=folder, clock=clock)
        erp.faults = faults or Faults()
        (folder / "outbox").mkdir(parents=True, exist_ok=True)
        report = erp.load_outbox(folder / "outbox")
        if write_off is not None and not done:
            tell(_write_off(erp, write_off, as_of()))
        paths = erp.export(folder / "export", as_of(), layouts=layouts)
        for line in [
            *(f"refused {r}" for r in report.refused),
            *(f"rejected {r['reference']}: {r['reason']}" for r in report.rejected),
        ]:
            tell(line)
        tell(f"files loaded: {len(report.files)}, documents booked: {len(report.booked)}, files exported: {len(paths)}")
        done += 1


def _write_off(erp: FileErp, amount: str, on: date) -> str:
    """Somebody writes off a part of the oldest invoice that has so much open."""
    try:
        part = Decimal(amount)
    except ArithmeticError:
        raise ConfigError(f"{amount!r} is not an amount to write off", hint="such as --write-off 5.00") from None
    invoices = (d for d in erp.books.documents.values() if d.type in ("RV", "DR"))
    open_ = [d for d in invoices if erp.books.open(d.number, on) >= part > 0]
    if not open_:
        raise ConfigError(f"no invoice has {amount} open on {on}", hint="write off less")
    first = min(open_, key=lambda d: (d.posting_date, d.number))
    erp.books.write_off(first.number, part, on=on)
    erp.save()
    return f"wrote off {part} of invoice {first.number}"
