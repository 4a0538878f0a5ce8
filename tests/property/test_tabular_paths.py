"""The bulk path and the record path read the same rows of a file to the same values, and refuse the same others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from hypothesis import event, given
from hypothesis import strategies as st

from tests.deep import examples
from tieout.connectors import Observation, reading
from tieout.connectors.files import FileReport, check, load, records
from tieout.connectors.tables import open_table
from tieout.errors import ProfileError, RecordError
from tieout.mapping import relation, tabular_records
from tieout.mapping import tabular_documents as docs
from tieout.mapping.tabular import Profile, load_profile
from tieout.mapping.tabular_rows import Problem, Row
from tieout.model import CreditMemo, Customer, Invoice, Line, Payment

MANY = 12
HEADINGS = (
    "Kind",
    "Number",
    "Customer",
    "Name",
    "Date",
    "Due",
    "Cur",
    "Amount",
    "Net",
    "Tax",
    "Open",
    "Invoice",
    "Applied",
    "Memo",
    "Side",
    "Cleared by",
    "Cleared on",
    "Account",
    "Tax code",
    "Line net",
    "Discount",
)
COLUMNS = {
    "number": "Number", "customer": "Customer", "customer_name": "Name", "issued": "Date", "due": "Due", "currency": "Cur",
    "total": "Amount", "net": "Net", "tax": "Tax", "open": "Open", "invoice": "Invoice", "memo": "Memo",
}  # fmt: skip
KINDS = {
    "I": "invoice|credit_memo",
    "C": "credit_memo",
    "P": "payment|adjustment:refund",
    "W": "adjustment:write_off",
    "J": "adjustment:journal",
}


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    decimal = draw(st.sampled_from([".", ","]))
    group = draw(st.sampled_from([g for g in ("", ".", ",", " ", "'") if g != decimal]))
    columns: dict[str, dict[str, object]] = {c: {"names": [h]} for c, h in COLUMNS.items()}
    if draw(st.booleans()):
        columns["applied"] = {"names": ["Applied"]}
    if draw(st.booleans()):
        columns["side"] = {"names": ["Side"], "values": {"S": "debit", "H": "credit"}}
    if draw(st.booleans()):
        columns |= {"clearing": {"names": ["Cleared by"]}, "cleared_on": {"names": ["Cleared on"]}}
    said = {"ar_account": "Account", "tax_code": "Tax code", "line_net": "Line net"}
    columns |= {name: {"names": [h]} for name, h in said.items() if draw(st.booleans())}
    summed = draw(st.booleans())  # the total is net and tax together
    if summed:
        del columns["total"]
    elif draw(st.booleans()):
        columns["tax"]["unsigned"] = True
    if draw(st.booleans()):
        columns["discount"] = {"names": ["Discount"], "unsigned": draw(st.booleans())}
    if draw(st.integers(0, 3)) == 0:
        columns["due"]["per"] = "document"
    if "line_net" in columns and draw(st.booleans()):
        columns["line_net"]["unsigned"] = True
    rows = draw(st.sampled_from(["documents", "lines"]))
    columns["kind"] = {"names": ["Kind"], "values": KINDS} if draw(st.booleans()) else {"value": "invoice|credit_memo"}
    if "values" in columns["kind"] and rows == "documents" and draw(st.booleans()):
        columns["kind"] |= {"values": {k: v for k, v in KINDS.items() if k not in "JP"}, "left_out": [" j", "P"]}
    if not summed and draw(st.booleans()):
        columns["total"]["per"] = "document"
    grouped = draw(st.integers(0, 3)) == 0
    if grouped and draw(st.booleans()):
        columns[draw(st.sampled_from(["memo", "customer_name"]))] = {"group": True}
    if not grouped and draw(st.integers(0, 3)) == 0:
        for name in draw(st.sampled_from([["customer"], ["customer", "customer_name"], ["issued"]])):
            columns[name]["fill_down"] = True
    return Profile.model_validate(
        {
            "name": "p",
            "entity": "documents",
            "rows": rows,
            "scope": draw(st.sampled_from(["all", "open"])),
            "key": ["number"],
            "unique": draw(st.booleans()),
            "file": {
                "null": ["NULL", "00.00.0000"],
                "min_headers": 5,
                "delimiter": draw(st.sampled_from([",", ";", "tab"])),
                "grouped": grouped,
            },
            "dates": {
                "format": draw(
                    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d-%b-%y", "%d %b %Y", "excel"])
                )
            },
            "amounts": {
                "decimal": decimal,
                "group": group,
                "signs": draw(
                    st.sampled_from([("leading",), ("leading", "trailing", "parentheses"), ("crdr", "trailing")])
                ),
                "direction": draw(st.sampled_from(["magnitude", "debit_positive", "credit_positive"])),
            },
            "columns": columns,
        }
    )


ODD = st.sampled_from(
    ["", " ", "NULL", "1e3", "1_000", "12.5", "12,5", "1.234,56", "1,234.56", "-5", "5-", "(5)", "−5", "5 CR", "1 234", "1\u00a0234",
     "+5", "--5", "#N/A", "=1+1", "٣", "１２", "1.0", "17850.0", "1.93E+09", "1E5", "0", "-0", "999999999999999", "1000000000000000",
     "0.0000001", "a\tb", "a\nb", "a\r\nb", "a\rb", "x\u200b", "\u202eevil", "Müller", "AT&T", "O'Brien", "é", "\x07", '"', 'a"b', "\u00a0", "\ufeff", "é\u0085x"]
)  # fmt: skip


def _print(p: Profile, cents: int) -> str:
    """An amount as the profile's files print it."""
    d, g, signs = p.amounts.decimal, p.amounts.group, p.amounts.signs
    bare = f"{abs(cents) // 100:,}".replace(",", g) + f"{d}{abs(cents) % 100:02d}"
    if cents >= 0:
        return bare
    style = signs[abs(cents) // 100 % len(signs)]
    return {"leading": f"-{bare}", "trailing": f"{bare}-", "parentheses": f"({bare})", "crdr": f"{bare} CR"}[style]


def _day(p: Profile, d: date) -> str:
    return str((d - date(1899, 12, 30)).days) if p.dates.format == "excel" else d.strftime(str(p.dates.format))


@st.composite
def _clearing(draw: st.DrawFn, p: Profile) -> list[str]:
    """A clearing document and its day; one of two, so that rows meet."""
    if draw(st.integers(0, 2)) == 0:
        return ["", ""]
    return [draw(st.sampled_from(["K1", "K1", "K1", "K2"])), _day(p, date(2020, 1, 31))]


@st.composite
def _rows(draw: st.DrawFn, p: Profile) -> list[list[str]]:
    """The rows of one document: as its profile wants them, but for a cell here and there."""
    side = draw(st.sampled_from(["S", "H"])) if "side" in p.columns and draw(st.booleans()) else ""
    kind = draw(st.sampled_from(["I", "I", "C", "P", "P", "W", "J"]))
    number = draw(st.sampled_from(["1", "2", "3", "INV-7", "007", "1.0", "N4", "N5"]))
    when = draw(st.dates(date(1990, 1, 1), date(2068, 12, 31)))
    header = [
        kind,
        number,
        draw(st.sampled_from(["C1", "0002", "2"])),
        draw(st.sampled_from(["Acme Ltd", "Müller & Söhne", ""])),
    ]
    bare = p.amounts.direction == "magnitude" or side
    way = 1 if bare or (kind in "IWJ" and draw(st.booleans())) else -1
    if p.amounts.direction == "credit_positive":
        way = -way
    rows = []
    repeat = "total" in p.columns and p.columns["total"].per == "document"
    total = draw(st.sampled_from([0, 100, 50_00, 1_234_567_89]))
    account = draw(st.sampled_from(["", "1200", "1210"]))
    due = st.sampled_from([_day(p, date(2020, 1, 31))] * 5 + [_day(p, date(2020, 3, 31)), ""])
    for _ in range(draw(st.integers(1, 3)) if p.rows == "lines" else 1):
        cents = total if repeat else draw(st.sampled_from([0, 100, 50_00, 100_00, 1_234_567_89]))
        tax = draw(st.sampled_from([0, cents // 10]))
        split = draw(st.integers(0, 3))
        unsigned = p.columns["tax"].unsigned
        invoice = draw(st.sampled_from(["", "", "1", "INV-7", "99"]))
        rows.append([
            *header, _day(p, when), draw(due), "USD", _print(p, way * cents),
            _print(p, way * (cents - tax)) if split == 1 else "", _print(p, (1 if unsigned else way) * tax) if split else "",
            _print(p, way * (cents // 2)) if split == 2 else "", invoice, _print(p, cents // 2) if invoice and not repeat else "",
            draw(st.sampled_from(["", "text", "long, text"])), side, *draw(_clearing(p)),
            account, draw(st.sampled_from(["", "S", "Z"])), draw(st.sampled_from(["", _print(p, 100), _print(p, way * 100), _print(p, -way * 100)])),
            draw(st.sampled_from(["", _print(p, 5), _print(p, way * 5)])),
        ])  # fmt: skip
    for row in rows:
        if draw(st.integers(0, 5)) == 0:
            row[draw(st.integers(0, len(row) - 1))] = draw(ODD)
    return rows


@st.composite
def _grouped(draw: st.DrawFn, p: Profile) -> list[list[str]]:
    """The rows of one document, below a heading of their group or above its total, or both."""
    empty = [""] * len(HEADINGS)
    group = draw(st.sampled_from(["Ada Ltd", "O'Brien:Sons", "100"]))
    total = [f"Total for {group}", *empty[1:]]
    for column in ("Amount", "Net"):
        total[HEADINGS.index(column)] = draw(st.sampled_from([_print(p, n) for n in (50_00, 100, 0)] + ["", "x"]))
    heads, ends = draw(st.sampled_from([(1, 1), (1, 1), (1, 0), (0, 0), (0, 1)]))
    return [*[[group, *empty[1:]]] * heads, *draw(_rows(p)), *[total] * ends]


@st.composite
def _filled(draw: st.DrawFn, p: Profile) -> list[list[str]]:
    """The rows of one document, which leave to the row above what they may; at times a total after them."""
    rows = draw(_rows(p))
    for row in rows:
        if draw(st.booleans()):
            for column in p.columns.values():
                if column.fill_down:
                    row[HEADINGS.index(column.names[0])] = ""
    total = [""] * len(HEADINGS)
    total[HEADINGS.index("Customer")] = draw(st.sampled_from(["", "", "Total", "Total C1"]))
    total[HEADINGS.index("Amount")] = draw(st.sampled_from([_print(p, n) for n in (50_00, 100, 0)] + ["x"]))
    return [*rows, *[total] * draw(st.sampled_from([0, 0, 1]))]


@st.composite
def files(draw: st.DrawFn) -> tuple[Profile, str]:
    profile = draw(profiles())
    filled = any(c.fill_down for c in profile.columns.values())
    below = _grouped(profile) if profile.file.grouped else _filled(profile) if filled else _rows(profile)
    rows = [row for document in draw(st.lists(below, max_size=6)) for row in document]
    if draw(st.integers(0, 9)) == 0:
        rows = draw(st.permutations(rows))
    out = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, delimiter=profile.file.delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(HEADINGS)
    for row in rows:
        shape = draw(st.integers(0, 60))
        writer.writerow({0: row[:-1], 1: [*row, ""], 2: [*row, "x"], 3: [""] * len(row), 4: []}.get(shape, row))
        if shape == 5:
            out.write(f'"bad"tail{profile.file.delimiter}x{end}')
    return profile, out.getvalue()


@examples(MANY)
@given(files())
def test_both_paths_read_the_same(case: tuple[Profile, str]) -> None:
    profile, text = case
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(text.encode())
        try:
            observations, single = records(path, profile, "erp")
        except ProfileError as refused:
            event("refused")
            try:
                load(duckdb.connect(), path, profile, side="left")
            except ProfileError as again:
                assert str(again) == str(refused)
                return
            raise AssertionError("the bulk path read what the other refused") from refused
        _same(path, profile, observations, single)


def _same(path: Path, profile: Profile, observations: list[Observation], single: FileReport) -> None:
    con = duckdb.connect()
    bulk = load(con, path, profile, side="left")
    assert bulk.as_json() == single.as_json()
    assert check(duckdb.connect(), path, profile).as_json() == single.as_json()
    event("accepted" if bulk.accepted else "nothing accepted")
    event("rejected" if bulk.rejected else "nothing rejected")
    for reason in {s["reason"] for s in bulk.skipped if "group" in s["reason"]}:
        event(reason)
    event("left out" if any("left out" in s["reason"] for s in bulk.skipped) else "nothing left out")

    made = _by_python(path, profile)
    expected = sorted((tabular_records.relation_row(profile, d, path.name) for d in made), key=repr)
    columns = ", ".join(f'"{name}"' for name in relation.names(relation.DOCUMENTS))
    loaded = con.execute(f"SELECT {columns} FROM left_documents").fetchall()
    assert sorted(loaded, key=repr) == _typed(con, relation.DOCUMENTS, expected)
    applied = [a for d in made for a in tabular_records.application_rows(d)]
    if any(a[0].startswith("group:") for a in applied):
        event("grouped")
    if any(a[5] in (date(2020, 1, 31), date(2026, 1, 31)) for a in applied):
        event("cleared")
    found = con.execute("FROM left_applications").fetchall()
    assert sorted(found, key=repr) == _typed(con, relation.APPLICATIONS, applied)
    if applied:
        event("applied")
    details = [row for d in made if (row := tabular_records.detail_row(d)) is not None]
    assert sorted(con.execute("FROM left_details").fetchall(), key=repr) == _typed(con, relation.DETAILS, details)
    event("detailed" if details else "no details")
    if len(made) < bulk.accepted:
        event("lines grouped")
    good = [o for o in observations if not isinstance(o.record, RecordError)]
    assert {(o.entity.value, o.id) for o in good} == {(d.kind, d.id) for d in made}
    for o, d in zip(good, made, strict=True):
        assert tabular_records.signed_total(o.record) == d.sign * d.total
        if isinstance(o.record, Invoice | CreditMemo) and o.record.lines:
            _held_to(o.record.lines, d)


def _held_to(lines: Sequence[Line], doc: docs.Doc) -> None:
    """Lines of which the file states only the document's amounts make these; stated ones are those of its columns."""
    if not any(part.stated for part in doc.parts):
        assert sum(line.net for line in lines) == doc.total - (doc.tax or 0) + (doc.discount or 0)
        event("lines left over")
    else:
        event("lines stated")


@st.composite
def line_items(draw: st.DrawFn) -> str:
    """A list of SAP line items: clearings that add up or nearly do, references, residual items, odd cells."""
    rows = []
    number = 0
    for clearing in draw(st.lists(st.sampled_from(["71", "72", ""]), min_size=1, max_size=3)):
        bills = {}
        left = 0
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            bills[str(number)] = amount = draw(st.integers(1, 9))
            left += amount
            rows.append([str(number), "RV", f"{amount}.00", "", clearing])
        for _ in range(draw(st.integers(0, 3))):
            amount = min(left, draw(st.integers(1, 9))) if draw(st.booleans()) else left
            if amount <= 0:
                break
            left -= amount
            number += 1
            kind = draw(st.sampled_from(["DZ", "DZ", "DG", "WO", "AB"]))
            rows.append([str(number), kind, f"{amount}.00-", draw(st.sampled_from(["", "", *bills])), clearing])
            if draw(st.integers(0, 4)) == 0:
                rows.append([str(number), kind, f"{draw(st.integers(1, amount))}.00", next(iter(bills)), ""])
    for row in rows:
        if draw(st.integers(0, 15)) == 0:
            row[draw(st.integers(2, 4))] = draw(st.sampled_from(["", "71", "x", "1", "1.00", "2.00-"]))
    if draw(st.integers(0, 3)) == 0:
        rows = draw(st.permutations(rows))
    again = draw(st.sampled_from([1000, 1000, 4]))  # after how many documents the numbers begin again, in another year
    head = "CoCd;DocumentNo;Year;Ty;Account;Doc. Date;Pstng Date;Crcy;WRSHB;REBZG;REBZJ;AUGBL;AUGDT"
    whole = []
    for n, kind, amount, ref, by in rows:
        at, year = int(n) % again, 2020 + int(n) // again
        to, of = (str(int(ref) % again), str(2020 + int(ref) // again)) if ref.isdigit() else (ref, "")
        of = draw(st.sampled_from([of, of, of, "", "0000", "2019"]))
        said = f"{amount};{to};{of};{by};{'01/31/2026' if by else ''}"
        whole.append(f"1000;{at};{year};{kind};C1;01/15/2026;01/15/2026;USD;{said}")
    return "\n".join([head, *whole]) + "\n"


YEARS = """CoCd;DocumentNo;Year;Ty;Account;Doc. Date;Crcy;WRSHB;REBZG;REBZJ
1000;900001;2025;RV;C1;01/15/2025;USD;100.00;;
1000;900001;2026;RV;C1;01/15/2026;USD;300.00;;
1000;900002;2026;RV;C1;01/16/2026;USD;500.00;;
1000;140001;2026;DZ;C1;01/20/2026;USD;40.00-;900001;2025
1000;140002;2026;DZ;C1;01/20/2026;USD;50.00-;900001;2026
1000;140003;2026;DZ;C1;01/20/2026;USD;60.00-;900001;
1000;140004;2026;DZ;C1;01/20/2026;USD;70.00-;900001;0000
1000;140005;2026;DZ;C1;01/20/2026;USD;80.00-;900002;2025
1000;140006;2026;DZ;C1;01/20/2026;USD;90.00-;900002;0000
1000;160001;2026;DG;C1;01/20/2026;USD;10.00-;900001;2025
"""


def test_a_reference_that_names_a_year_means_the_document_of_that_year(tmp_path: Path) -> None:
    """SAP counts anew each fiscal year: without the year the payment would stand on no invoice, or on a wrong one."""
    profile, path = load_profile("sap-fbl5n-en"), tmp_path / "fbl5n.csv"
    path.write_text(YEARS, "utf-8")
    observations, _ = records(path, profile, "erp")
    con = duckdb.connect()
    load(con, path, profile, side="left")
    paid = {a.amount: a.invoice for o in observations if isinstance(o.record, Payment) for a in o.record.applications}
    bills = {o.record.total: o.id for o in observations if isinstance(o.record, Invoice)}
    assert paid == {
        40: bills[100],
        50: bills[300],
        60: "900001",  # of two, and no year: nobody's
        70: "900001",
        80: "900002",  # there is one of that number, but of another year
        90: bills[500],
    }
    [memo] = [o.record for o in observations if isinstance(o.record, CreditMemo)]
    assert memo.original_invoice == bills[100]
    assert dict(con.execute("SELECT amount, invoice FROM left_applications").fetchall()) == paid
    assert con.execute("SELECT concerns FROM left_documents WHERE kind = 'credit_memo'").fetchall() == [(bills[100],)]


VOIDED = """payment;customer;date;currency;amount;invoice;applied;reversed_on;state;voided_on
P-1;C1;2026-01-20;USD;30.00;R-1;30.00;;voided;2026-02-10
P-2;C1;2026-01-20;USD;30.00;R-2;30.00;2026-02-01;voided;2026-02-10
P-3;C1;2026-01-20;USD;30.00;R-3;30.00;;voided;
P-4;C1;2026-01-20;USD;30.00;R-4;30.00;;voided;2026-01-02
P-5;C1;2026-01-20;USD;30.00;R-5;30.00;;posted;
"""


def test_a_void_takes_back_what_the_payment_paid_where_the_file_states_no_day_of_its_own(tmp_path: Path) -> None:
    profile, path = load_profile("payments"), tmp_path / "payments.csv"
    path.write_text(VOIDED.replace(";", ","), "utf-8")
    observations, _ = records(path, profile, "erp")
    taken_back = {o.id: a.reversed_on for o in observations for a in o.record.applications}
    assert taken_back == {
        "P-1": date(2026, 2, 10),
        "P-2": date(2026, 2, 1),
        "P-3": None,  # nobody knows when it was voided
        "P-4": date(2026, 1, 20),
        "P-5": None,
    }
    con = duckdb.connect()
    load(con, path, profile, side="left")
    assert dict(con.execute("SELECT source_id, reversed_on FROM left_applications").fetchall()) == taken_back


@examples(MANY)
@given(line_items())
def test_both_paths_know_the_same_clearings(text: str) -> None:
    profile = load_profile("sap-fbl5n-en")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fbl5n.csv"
        path.write_text(text, "utf-8")
        observations, single = records(path, profile, "erp")
        _same(path, profile, observations, single)


def _by_python(path: Path, profile: Profile) -> list[docs.Doc]:
    with open_table(path, profile) as table:
        found = list(reading.read_rows(table))
        rows = [r for _, r, _ in found if isinstance(r, Row)]
        broken: dict[str, int] = {}
        for number, r, cells in found:
            if isinstance(r, Problem) and cells and (key := docs.readable_key(table.binding, cells)):
                broken.setdefault(key, number)
    return docs.documents(profile, rows, broken)[0]


def _typed(con: duckdb.DuckDBPyConnection, columns: relation.Columns, rows: list[relation.Row]) -> list[relation.Row]:
    """The rows as DuckDB gives them back: decimals to the scale of their column."""
    if not rows:
        return []
    one = ", ".join(f"CAST(? AS {kind})" for _, kind in columns)
    return sorted((con.execute(f"SELECT {one}", list(row)).fetchall()[0] for row in rows), key=repr)


@st.composite
def customer_files(draw: st.DrawFn) -> tuple[Profile, str]:
    columns = {"number": "Number", "name": "Name", "email": "Email", "balance": "Balance", "currency": "Cur"}
    keys = draw(st.sampled_from([(), ("number",), ("name", "number")]))
    profile = Profile.model_validate(
        {
            "name": "p",
            "entity": "customers",
            "key": keys,
            "file": {"null": ["NULL"], "min_headers": 4},
            "columns": {c: {"names": [h]} for c, h in columns.items()},
        }
    )
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns.values())
    plain = st.tuples(
        st.integers(1, 9).map("C{}".format),
        st.sampled_from(["Acme Ltd", "Müller & Söhne", ""]),
        st.just("a@example.com"),
        st.sampled_from(["", "-5.00", "1234.5"]),
        st.sampled_from(["USD", "", "EUR"]),
    )
    for row in draw(st.lists(plain.map(list), max_size=8)):
        if draw(st.integers(0, 3)) == 0:
            row[draw(st.integers(0, len(row) - 1))] = draw(ODD)
        writer.writerow(row)
    return profile, out.getvalue()


@examples(MANY)
@given(customer_files())
def test_both_paths_read_the_same_customers(case: tuple[Profile, str]) -> None:
    profile, text = case
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(text.encode())
        observations, single = records(path, profile, "erp")
        con = duckdb.connect()
        bulk = load(con, path, profile, side="left")
        assert bulk.as_json() == single.as_json()
        event("accepted" if bulk.accepted else "nothing accepted")
        found = con.execute("SELECT id, name, number, currency, balance FROM left_customers").fetchall()
        expected = [
            (r.ref.id, r.name, r.number, r.currency, r.reported_balance)
            for o in observations
            if isinstance(r := o.record, Customer)
        ]
        assert found == expected
