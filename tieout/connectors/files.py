"""Reading one exported file: in bulk into the canonical relation, or record by record for the sync.

Both ways read the same rows to the same values; a property test holds them to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tieout.connectors import Observation
from tieout.connectors.bulk.check import check
from tieout.connectors.bulk.load import load
from tieout.connectors.infer import InferredProfile, infer
from tieout.connectors.reading import FileReport, check_date_orders, read_rows, report_of
from tieout.connectors.tables import Table, open_table
from tieout.errors import RecordError
from tieout.mapping import tabular_documents as docs
from tieout.mapping import tabular_records
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Rejected
from tieout.mapping.tabular_rows import Problem, Row, Skip
from tieout.model import ZERO, Customer, Entity, Existence, Ref, finer_than_currency, magnitude

__all__ = ["FileReport", "InferredProfile", "Table", "check", "customers", "infer", "load", "open_table", "records"]


def records(path: str | Path, profile: Profile, connection: str) -> tuple[list[Observation], FileReport]:
    """Every record of a file, in file order, rejected ones as RecordError, and what became of each row.

    raw: heading to text of the record's rows. Raises ProfileError where the file does not fit its profile.
    """
    with open_table(Path(path), profile) as table:
        report = report_of(table)
        rows, rejected, cells = _read(table, report)
        if profile.entity == "customers":
            found = _customers(table, connection, rows, rejected, cells)
        else:
            found = _documents(table, connection, rows, rejected, cells)
        accepted = [o for o in found if not isinstance(o.record, RecordError)]
        report.documents = len(accepted)
        _count(report, accepted, rows, rejected)
        report.reject(rejected)
        report.finish()
        return found, report


Cells = dict[int, Sequence[str]]


def _read(table: Table, report: FileReport) -> tuple[list[Row], list[Rejected], Cells]:
    rows: list[Row] = []
    rejected: list[Rejected] = []
    kept: Cells = {}
    for number, found, cells in read_rows(table):
        report.rows += 1
        kept[number] = cells
        match found:
            case Row():
                rows.append(found)
            case Problem():
                rejected.append(Rejected(number, found, _readable_key(table, cells)))
            case Skip():
                report.skip(number, found.reason)
    check_date_orders(table.profile, rejected, lambda column: _beyond_12(rows, column), report)
    return rows, rejected, kept


def _beyond_12(rows: list[Row], column: str) -> bool:
    return any(isinstance(d := r.values.get(column), date) and d.day > 12 for r in rows)


def _readable_key(table: Table, cells: Sequence[str]) -> str | None:
    """The key of a rejected row, if its first part can be read: it names the document that the row belongs to."""
    return docs.readable_key(table.binding, cells) if cells else None


def _documents(
    table: Table, connection: str, rows: list[Row], rejected: list[Rejected], cells: Cells
) -> list[Observation]:
    profile = table.profile
    broken = {r.key: r.row for r in reversed(rejected) if r.key}
    made, failed = docs.documents(profile, rows, broken)
    rejected += failed
    found: list[tuple[int, Observation]] = []
    for doc in made:
        record = tabular_records.record(doc, connection)
        if isinstance(record, Problem):
            rejected += [Rejected(r.number, record, doc.id) for r in doc.rows]
            continue
        raw = _raw(table, [cells[r.number] for r in doc.rows])
        found.append((doc.rows[0].number, Observation(Entity(doc.kind), doc.id, raw, record, None)))
    found += _errors(table, rejected, cells)
    return [o for _, o in sorted(found, key=lambda pair: pair[0])]


def _customers(
    table: Table, connection: str, rows: list[Row], rejected: list[Rejected], cells: Cells
) -> list[Observation]:
    found: list[tuple[int, Observation]] = []
    for row, problem in docs.customers(rows):
        if problem is None:
            try:
                record = tabular_records.customer_record(row, connection)
            except ValidationError as error:
                problem = Problem("row", row.key[:80], str(error.errors()[0]["msg"]))
            else:
                raw = _raw(table, [cells[row.number]])
                existence = Existence.LIVE if record.active else Existence.INACTIVE
                found.append((row.number, Observation(Entity.CUSTOMER, row.key, raw, record, None, existence)))
        if problem is not None:
            rejected.append(Rejected(row.number, problem, row.key))
    found += _errors(table, rejected, cells)
    return [o for _, o in sorted(found, key=lambda pair: pair[0])]


def _errors(table: Table, rejected: list[Rejected], cells: Cells) -> list[tuple[int, Observation]]:
    """One observation for each row set aside; its entity is the file's main one, for its kind may be what is wrong."""
    entity = {"customers": Entity.CUSTOMER, "payments": Entity.PAYMENT}.get(table.profile.entity, Entity.INVOICE)
    out = []
    for r in rejected:
        error = RecordError(
            source=f"{table.path.name}, row {r.row}",
            path=f"column {r.problem.column}",
            value=r.problem.value,
            reason=r.problem.reason,
            entity=entity.value,
            ref=r.key,
        )
        raw = _raw(table, [cells.get(r.row, ())])
        out.append((r.row, Observation(entity, r.key or f"row-{r.row}", raw, error, None)))
    return out


def _raw(table: Table, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    headings = table.binding.headings
    as_dicts = [dict(zip(headings, r, strict=False)) for r in rows]
    return as_dicts[0] if table.profile.rows == "documents" else {"rows": as_dicts}


def _count(report: FileReport, accepted: list[Observation], rows: list[Row], rejected: list[Rejected]) -> None:
    gone = {r.row for r in rejected}
    report.accepted = sum(1 for r in rows if r.number not in gone)
    by_currency = {
        r.number: str(r.values["currency"]) for r in rows if r.number not in gone and r.values.get("currency")
    }
    for currency in by_currency.values():
        report.add_total(currency, 1, ZERO)
    finer: Counter[str] = Counter()
    for o in accepted:
        record = o.record
        if isinstance(record, Customer):
            if record.currency and record.reported_balance is not None:
                report.add_total(record.currency, 0, record.reported_balance)
        elif record is not None and not isinstance(record, RecordError):
            report.add_total(record.currency, 0, tabular_records.signed_total(record))
            finer[record.currency] += finer_than_currency(magnitude(record), record.currency)
    for currency, documents in sorted(finer.items()):
        report.warn_of_finer(currency, documents)


def customers(path: str | Path, profile: Profile, connection: str) -> list[Customer]:
    """The customers that a file of documents names, each once, in the order of their first row.

    The name is the first that the file gives; nothing but number and name is known of them.
    """
    with open_table(Path(path), profile) as table:
        rows, _, _ = _read(table, report_of(table))
    seen: dict[str, Customer] = {}
    for row in rows:
        number, name = row.values.get("customer"), row.values.get("customer_name")
        id = str(number or name)
        if id not in seen:
            seen[id] = Customer(
                ref=Ref(connection=connection, id=id, number=str(number) if number else None, version=None),
                name=str(name or number),
                number=str(number) if number else None,
                email=None,
                phone=None,
                billing_address=None,
                currency=None,
                terms=None,
                tax_id=None,
                parent=None,
                active=True,
                reported_balance=None,
            )
    return list(seen.values())
