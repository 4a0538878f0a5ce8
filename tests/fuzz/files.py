"""What people and systems drop as files: tables as text, text lists, workbooks, Parquet, manifests, proposals."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import xlsxwriter

from tests.fuzz.frame import Broken, Target
from tests.fuzz.mutation import BINARY, CSV, JSON, XML, Form
from tieout.cli.answers import read as answered
from tieout.compare.files import compare_files
from tieout.connectors import Observation
from tieout.connectors.bulk.check import check
from tieout.connectors.decode import decode, kind
from tieout.connectors.decode import lines as text_lines
from tieout.connectors.files import FileReport, infer, load, records
from tieout.connectors.tabular import export_sets
from tieout.errors import RecordError, TieoutError
from tieout.mapping.tabular import Profile, load_profile
from tieout.model import Customer
from tieout.sync.review.decisions import DECISIONS

_HELD = tempfile.TemporaryDirectory(prefix="tieout-fuzz-")  # until this process ends
FOLDER = Path(_HELD.name)
NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
CON = duckdb.connect(config={"threads": 1})


def put(data: bytes, name: str, folder: Path = FOLDER) -> Path:
    """The input as a file of that name, the same each time: one input at a time is judged."""
    path = folder / name
    path.write_bytes(data)
    return path


# ── tables by their profile ──────────────────────────────────────────────────────────────────────────────────────────

DOCUMENTS = load_profile("documents")
FUZZED = "fuzzed.csv"


def told(found: Sequence[Observation]) -> list[tuple[Any, ...]]:
    """What observations say, without the place that they stand in."""
    return [
        (o.entity, o.id, o.record.reason if isinstance(o.record, RecordError) else o.record.model_dump(exclude={"ref"}))
        for o in found
        if o.record is not None
    ]


def outcome(run: Callable[[], Any]) -> Any:
    """What it gives, or what it refuses with."""
    try:
        return run()
    except TieoutError as error:
        return error


def _comparable(found: Any) -> Any:
    return str(found) if isinstance(found, TieoutError) else found


def counted(report: FileReport, found: Sequence[Observation]) -> None:
    """Nothing lost: every row is accepted, rejected or skipped, and the sums are those of the records."""
    if report.rows != report.accepted + len(report.rejected) + len(report.skipped):
        raise Broken("accepted, rejected and skipped are not the rows")
    sums: dict[str, Decimal] = {}
    for o in found:
        record = o.record
        if isinstance(record, RecordError) or record is None:
            continue
        if isinstance(record, Customer):
            if record.currency and record.reported_balance is not None:
                sums[record.currency] = sums.get(record.currency, Decimal(0)) + record.reported_balance
        else:
            from tieout.mapping.tabular_records import signed_total

            sums[record.currency] = sums.get(record.currency, Decimal(0)) + signed_total(record)
    stated = {c: t["sum"] for c, t in report.totals.items() if t["sum"]}
    if stated != {c: s for c, s in sums.items() if s}:
        raise Broken(f"the report sums to {stated}, its records to {sums}")


def table(profile: Profile, name: str) -> Callable[[bytes], None]:
    """The law of a table: record by record, in bulk, and only checked, it gives the same, or the same refusal."""

    def law(data: bytes) -> None:
        path = put(data, name)
        one = outcome(lambda: records(path, profile, "erp"))
        bulk = outcome(lambda: load(CON, path, profile, side="left").as_json())
        only = outcome(lambda: check(CON, path, profile).as_json())
        said, bulk, only = map(_comparable, (one if isinstance(one, TieoutError) else one[1].as_json(), bulk, only))
        if said != bulk or said != only:
            raise Broken(f"record by record, in bulk and only checked differ: {_first(said, bulk, only)}")
        if isinstance(one, TieoutError):
            raise one
        found, report = one
        counted(report, found)
        if kind(path) == "text" and report.delimiter in {",", ";", "tab", "|"}:
            _alike(path, profile, report, found)

    return law


def _first(*said: Any) -> str:
    if all(isinstance(s, dict) for s in said):
        for key in said[0]:
            if any(s[key] != said[0][key] for s in said):
                return f"{key}: {[s[key] for s in said]}"[:600]
    return str(said)[:600]


def _alike(path: Path, profile: Profile, report: FileReport, found: Sequence[Observation]) -> None:
    """The same cells, written with all cells quoted, another encoding and line ends, and in a workbook, say the same."""
    if profile.file.quote == "" or report.rejected:
        return
    text = decode(path, profile.file.encoding)
    delimiter = "\t" if report.delimiter == "tab" else report.delimiter
    try:
        rows = list(csv.reader(text_lines(text), delimiter=delimiter, strict=True))
    finally:
        if text.temporary:
            text.path.unlink()
    own = rows[: report.header_row + report.rows]
    if len(rows) != len(own):
        raise Broken(f"{len(rows) - report.header_row} rows below the headings, {report.rows} read")
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    again = path.with_name("again.csv")
    again.write_bytes(out.getvalue().encode("utf-16"))
    _same("quoted, as UTF-16", told(found), outcome(lambda: told(records(again, profile, "erp")[0])))
    cells = [c for row in rows for c in row]
    if len(cells) > 500 or any(len(c) > 200 or not c.isprintable() or c.startswith("=") for c in cells):
        return
    book = path.with_name("again.xlsx")
    made = xlsxwriter.Workbook(book)
    sheet = made.add_worksheet()
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write_string(at, column, cell)
    made.close()
    _same("in a workbook", told(found), outcome(lambda: told(records(book, profile, "erp")[0])))


def _same(how: str, one: Any, other: Any) -> None:
    if isinstance(other, TieoutError):
        raise Broken(f"{how} it is refused: {other}"[:800])
    if one != other:
        where = next((p for p in zip(one, other, strict=False) if p[0] != p[1]), (len(one), len(other)))
        raise Broken(f"{how} it says something else: {where}"[:800])


HEADINGS = "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open,memo\n"
ROWS = '''invoice,1,C1,Acme Ltd,2026-01-31,2026-02-28,USD,100.00,8.25,108.25,108.25,first
invoice,2,C2,"Müller, Söhne & Co",2026-01-30,,EUR,0.10,0,0.10,0,"say ""hello"""
credit_memo,3,C1,,2026-01-29,,USD,5.00,,5.00,,
invoice,4,C1,,2026-01-29,,JPY,1000,,1000,,
'''


def _documents() -> list[bytes]:
    plain = HEADINGS + ROWS
    return [
        plain.encode(),
        plain.replace(",", ";").encode("utf-8-sig"),
        plain.encode("utf-16"),
        ("Report of receivables\n\n" + plain.replace("\n", "\r\n")).encode(),
        (HEADINGS + ROWS * 3 + ",,,,,,,,,213.35,,\n").encode(),
        (b"number\tcustomer\tissued\tcurrency\ttotal\tkind\n7\tC\t2026-01-01\tUSD\t1.00\tinvoice\n"),
    ]


def _open_items() -> list[bytes]:
    head = "number;customer;issued;currency;total;open;memo\n"
    return [(head + "1;C1;2026-01-31;USD;100.00;40.00;\n2;C1;2026-01-31;USD;-10.00;-10.00;x\n").encode()]


def _payments() -> list[bytes]:
    head = "payment,customer,date,currency,amount,invoice,applied,method\n"
    rows = "P1,C1,2026-01-31,USD,100.00,1,60.00,\nP1,C1,2026-01-31,USD,100.00,2,40.00,\nP2,C2,2026-01-31,USD,5.00,,,\n"
    return [(head + rows).encode()]


def _customers() -> list[bytes]:
    head = "number,name,email,currency,balance,active\n"
    return [(head + "C1,Acme Ltd,a@example.com,USD,5.00,yes\nC2,Müller,,EUR,,no\n").encode()]


def _line_items() -> list[bytes]:
    head = "CoCd;DocumentNo;Year;Ty;Account;Doc. Date;Pstng Date;Crcy;WRSHB;REBZG;REBZJ;AUGBL;AUGDT\n"
    rows = (
        "1000;1;2026;RV;C1;01/15/2026;01/15/2026;USD;100.00;;;71;01/31/2026\n"
        "1000;2;2026;DZ;C1;01/20/2026;01/20/2026;USD;60.00-;1;2026;71;01/31/2026\n"
        "1000;3;2026;DG;C1;01/20/2026;01/20/2026;USD;1,040.00-;;;71;01/31/2026\n"
    )
    return [(head + rows).encode(), (head + rows).replace(";", "\t").encode("utf-16-le")]


def _lists() -> list[bytes]:
    """A text list as SAP prints it, of the shipped profile."""
    names = ["CoCd", "DocumentNo", "Year", "Ty", "Account", "Doc. Date", "Pstng Date", "Crcy", "WRSHB"]
    rows = [
        ["1000", "1", "2026", "RV", "C1", "01/15/2026", "01/15/2026", "USD", "100.00 "],
        ["1000", "2", "2026", "DZ", "C1", "01/20/2026", "01/20/2026", "USD", "60.00-"],
    ]
    widths = [max(len(r[i]) for r in [names, *rows]) for i in range(len(names))]
    drawn = ["|" + "|".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + "|" for r in [names, *rows]]
    rule = "-" * len(drawn[0])
    return ["\n".join([rule, drawn[0], rule, *drawn[1:], rule, ""]).encode()]


# ── workbooks ────────────────────────────────────────────────────────────────────────────────────────────────────────

WORKBOOK = Form(
    XML.piece,
    (
        *XML.tokens, b'<c r="A2" t="s"><v>99</v></c>', b't="e"', b"<v>#REF!</v>", b't="d"', b't="b"', b't="inlineStr"',
        b"<f>1+1</f>", b'<row r="3">', b'<row r="1048577">', b'r="XFE1"', b'r="A0"', b'<mergeCell ref="A1:C3"/>',
        b'<dimension ref="A1:XFD1048576"/>', b'<dimension ref="B7"/>', b"<v>1E400</v>", b"<v>-1</v>", b"<v>9999999</v>",
        b'date1904="1"', b'state="hidden"', b's="4000"', b'count="999999999"', b'<definedName name="x">#REF!</definedName>',
        b'Target="../../../etc/passwd"', b'TargetMode="External" Target="http://127.0.0.1:1/"', b"<si/>", b"<t/>",
    ),
    XML.nests,
    zipped=True,
    tree=XML.tree,
)  # fmt: skip


def _workbooks() -> list[bytes]:
    rows: list[list[Any]] = [list(row) for row in csv.reader(io.StringIO(HEADINGS + ROWS))]
    for row in rows[1:]:
        row[4] = date.fromisoformat(row[4])
        row[9] = float(row[9])
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    one = io.BytesIO()
    book.save(one)
    other = io.BytesIO()
    with xlsxwriter.Workbook(other, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as made:
        sheet = made.add_worksheet("Items")
        sheet.write("A1", "Report")
        for at, row in enumerate(rows, start=2):
            for column, cell in enumerate(row):
                sheet.write(at, column, cell)
        sheet.write_formula(3, 9, "=1+1", None, 2)
        sheet.merge_range("A9:C9", "end")
    return [one.getvalue(), other.getvalue()]


def _workbook(data: bytes) -> None:
    """Without the rewriting of `table`: what a workbook says is in its cells alone."""
    table(DOCUMENTS, "fuzzed.xlsx")(data)


# ── proposals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _inferred(data: bytes) -> None:
    made = infer(put(data, FUZZED))
    if not made.questions:  # what needs no answer is a profile that reads its own file, or says why not
        path = put(made.toml.encode(), "proposed.toml")
        records(FOLDER / FUZZED, load_profile(path), "erp")


# ── the list of differences, answered ────────────────────────────────────────────────────────────────────────────────


def _answers() -> list[tuple[str, ...]]:
    return [
        ("Id", "Pair", "Action", "Reason", "Accepted until", "Seen"),
        ("D-1", "main", "accept", "=agreed", "2026-06-30", "v0123456789ab"),
        ("D-2", "main", "", "", "", "v1"),
        ("D-3", "main", "acknowledge", "", "", "v2"),
    ]


def _listed() -> list[bytes]:
    out = io.StringIO()
    csv.writer(out).writerows(_answers())
    return [out.getvalue().encode("utf-8-sig"), out.getvalue().replace(",", ";").encode()]


def _listed_in_workbooks() -> list[bytes]:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False}) as book:
        book.add_worksheet("Report").write(0, 0, "Discrepancies")
        sheet = book.add_worksheet("Discrepancies")
        sheet.write(0, 0, "Discrepancies")
        for at, row in enumerate(_answers(), start=4):
            sheet.write_row(at, 0, row)
    return [made.getvalue()]


def _answered(name: str) -> Callable[[bytes], None]:
    """Each row is answered or left alone, and an answer is one that can be given."""

    def law(data: bytes) -> None:
        said = answered(put(data, name))
        if said.left_alone < 0 or any(not (d.id and d.seen and d.action in DECISIONS) for d in said.decisions):
            raise Broken(f"no answers: {said}")

    return law


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _ledger() -> tuple[bytes, ...]:
    con = duckdb.connect()
    path = FOLDER / "seed.parquet"
    plain = (
        "SELECT 'I' || i AS id, 'invoice' AS kind, DATE '2026-01-02' + i::INTEGER AS issued, 'EUR' AS currency, "
        "(i * 1.01)::DECIMAL(9,2) AS total, 'C1' AS customer, 'Acme' AS customer_name, 'N' || i AS number FROM range({n}) r(i)"
    )
    out = []
    for n, how in ((3, "uncompressed"), (200, "uncompressed"), (3, "zstd"), (50, "snappy")):
        con.execute(f"COPY ({plain.format(n=n)}) TO '{path}' (FORMAT parquet, COMPRESSION '{how}')")
        out.append(path.read_bytes())
    return tuple(out)


def _parquet(data: bytes) -> None:
    """Read, and compared with itself: what differs from itself was not read whole."""
    path = put(data, "fuzzed.parquet")
    found = compare_files(path, None, path, None)
    wrong = [d.code for d in found.discrepancies if d.code in {"MISSING_IN_A", "MISSING_IN_B", "AMOUNT_NET"}]
    if wrong:
        raise Broken(f"a ledger differs from itself: {wrong[:5]}")
    if any(b.remainder for b in found.bridge.values()):
        raise Broken("cents that nothing explains between a ledger and itself")


# ── export sets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _manifests() -> list[bytes]:
    import hashlib

    data = (HEADINGS + ROWS).encode()
    entry = {"name": "d.csv", "sha256": hashlib.sha256(data).hexdigest(), "rows": 4, "totals": {"USD": "103.25"}}
    plain = {"as_of": "2026-01-31", "sequence": 2, "exported_at": "2026-01-31T20:00:00Z", "files": [entry]}
    return [
        json.dumps(plain | more).encode()
        for more in ({}, {"company_code": "1000"}, {"files": [{"name": "d.csv"}]}, {"files": [entry | {"sha256": "0"}]})
    ]


def _manifest(data: bytes) -> None:
    from tieout.connectors.tabular.export_reading import Source, read_set

    folder = FOLDER / "exports"
    folder.mkdir(exist_ok=True)
    put((HEADINGS + ROWS).encode(), "d.csv", folder)
    put(data, "d.manifest.json", folder)
    chosen = export_sets.newest(folder, ["*.csv"], now=datetime(2030, 1, 1, tzinfo=UTC), settle_seconds=1)
    reading = read_set(chosen, "erp", [Source("*.csv", DOCUMENTS, None, None, None, "all")], name_customers=True)
    given = {entity.value: len(found) for entity, found in reading.observations.items()}
    if given != {"customer": 2, "invoice": 3, "credit_memo": 1}:
        raise Broken("a manifest changes what the file says")


def targets() -> list[Target]:
    """Every parser of a file that somebody else wrote."""
    made = [
        Target(f"table {name}", seeds, table(load_profile(name), FUZZED), CSV, where=FUZZED, weight=30)
        for name, seeds in (
            ("documents", _documents),
            ("open-items", _open_items),
            ("payments", _payments),
            ("customers", _customers),
            ("sap-fbl5n-en", _line_items),
        )
    ]
    return [
        *made,
        Target("text list", _lists, table(load_profile("sap-fbl5n-en"), "fuzzed.txt"), CSV, "fuzzed.txt", weight=30),
        Target("workbook", _workbooks, _workbook, WORKBOOK, where="fuzzed.xlsx", weight=60),
        Target(
            "proposal", lambda: [*_documents(), *_line_items(), *_lists(), *_workbooks()], _inferred, CSV, weight=20
        ),
        Target("answers", _listed, _answered(FUZZED), CSV, where=FUZZED, weight=4),
        Target(
            "answers in a workbook", _listed_in_workbooks, _answered("fuzzed.xlsx"), WORKBOOK, "fuzzed.xlsx", weight=40
        ),
        Target("Parquet", _ledger, _parquet, BINARY, where="fuzzed.parquet", weight=200),
        Target("manifest of an export", _manifests, _manifest, JSON, weight=10),
    ]
