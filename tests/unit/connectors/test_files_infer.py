"""A proposed profile reads the file, says why, and asks where the file decides nothing."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import openpyxl
import pytest

from tieout.connectors.files import infer, records
from tieout.connectors.tabular import open_tabular
from tieout.errors import ConfigError, ProfileError
from tieout.mapping.tabular import parse_profile

HEAD = "Invoice No;Customer;Invoice Date;Due Date;Amount\n"


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "ledger.csv"
    path.write_bytes(text.encode(encoding))
    return path


def answered(toml: str, **answers: str) -> str:
    for old, new in {"# ASK: currency =": "currency =", **answers}.items():
        assert old in toml
        toml = toml.replace(old, new)
    return toml


def as_asked(toml: str) -> str:
    """Answered with what each question proposes."""
    return toml.replace("# ASK: ", "")


def test_what_the_file_shows_is_proposed_with_its_evidence(tmp_path: Path) -> None:
    path = write(
        tmp_path, "Ledger\n\n" + HEAD + "A1;C1;03.02.2026;31.03.2026;1.234,56\nA2;C1;25.02.2026;31.03.2026;-10,00\n"
    )
    found = infer(path)
    with pytest.raises(ProfileError, match=r"still asks.*\n.*credit_memo") as refused:
        parse_profile(answered(found.toml), source="p", name="p")
    assert len(refused.value.problems) == 1, "the negative amounts may be payments too: a person says"
    profile = parse_profile(answered(found.toml, **{"# ASK: kind =": "kind ="}), source="p", name="p")
    assert (profile.amounts.decimal, profile.amounts.group, profile.file.delimiter) == (",", ".", ";")
    assert profile.date_format("issued") == "%d.%m.%Y"
    assert "'25.02.2026' fits no other order" in found.toml
    _, report = records(path, profile, "erp")
    assert (report.accepted, report.totals["USD"]["sum"]) == (2, D("1224.56"))
    assert any(q.startswith("currency") for q in found.questions)


def test_day_or_month_is_asked_where_nothing_decides(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;01/02/2026;03/04/2026;5.00\nA2;C1;02/02/2026;04/04/2026;6.50\n"))
    asked = [q for q in found.questions if "day or month first" in q]
    assert len(asked) == 2
    assert "'01/02/2026' is %d/%m/%Y (01 February 2026) or %m/%d/%Y (02 January 2026)" in asked[0]
    with pytest.raises(ProfileError, match="format"):
        parse_profile(answered(found.toml), source="p", name="p")


def test_a_certain_column_decides_for_one_that_fits_both_orders(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;01/02/2026;25/04/2026;5.00\n"))
    profile = parse_profile(answered(found.toml), source="p", name="p")
    assert profile.date_format("issued") == profile.date_format("due") == "%d/%m/%Y"
    assert "due of the same file is certainly %d/%m/%Y" in found.toml


def test_due_dates_decide_where_only_one_order_puts_them_after_the_invoice(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;01/02/2026;02/01/2026;5.00\n"))
    profile = parse_profile(answered(found.toml), source="p", name="p")
    assert profile.date_format("issued") == "%m/%d/%Y"
    assert "no due date before" in found.toml


def test_a_thousand_or_one_and_a_bit_is_asked(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;2026-01-31;2026-02-28;1.234\nA2;C1;2026-01-31;2026-02-28;5\n"))
    assert any("is '1.234' 1.234 or 1234" in q for q in found.questions)
    with pytest.raises(ProfileError, match=r"decimal = "):
        parse_profile(answered(found.toml), source="p", name="p")


def test_one_value_with_cents_decides_the_separators(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;2026-01-31;2026-02-28;1.234\nA2;C1;2026-01-31;2026-02-28;5,50\n"))
    profile = parse_profile(answered(found.toml), source="p", name="p")
    assert (profile.amounts.decimal, profile.amounts.group) == (",", ".")


def test_the_code_page_is_asked_with_how_each_would_read(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;Mü – Co;2026-01-31;2026-02-28;5.00\n", "cp1252"))
    asked = next(q for q in found.questions if q.startswith("encoding"))
    assert "cp1252" in asked
    assert "cp850" in asked
    assert "Mü – Co" in asked
    assert "\nencoding" not in found.toml


def test_codes_of_unknown_meaning_are_asked_and_keep_the_profile_from_loading(tmp_path: Path) -> None:
    head = "Type,Number,Customer,Date,Currency,Amount,Method\n"
    path = write(tmp_path, head + "INV,1,C,2026-01-31,USD,5.00,T\nXQ,2,C,2026-01-31,USD,5.00,card\n")
    found = infer(path)
    assert [q.partition(":")[0] for q in found.questions] == ["kind", "method"]
    with pytest.raises(ProfileError, match="still asks") as refused:
        parse_profile(found.toml, source="p", name="p")
    assert ["'XQ'" in p or '"XQ" = "…"' in p for p in refused.value.problems] == [True, False]
    kind = found.toml.replace("# ASK: ", "")
    with pytest.raises(ProfileError, match="a kind is"):
        parse_profile(kind, source="p", name="p")
    profile = parse_profile(
        kind.replace('"XQ" = "…"', '"XQ" = "credit_memo"').replace("…", "wire"), source="p", name="p"
    )
    assert records(path, profile, "erp")[1].totals == {"USD": {"count": 2, "sum": D(0)}}


def test_repeated_numbers_are_asked_about(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;2026-01-31;2026-02-28;5.00\nA1;C1;2026-01-31;2026-02-28;6.00\n"))
    assert any(q.startswith("rows") for q in found.questions)
    with pytest.raises(ProfileError, match="rows = "):
        parse_profile(answered(found.toml), source="p", name="p")
    lines = parse_profile(answered(found.toml, **{"# ASK: rows =": "rows ="}), source="p", name="p")
    assert lines.rows == "lines"


def test_a_column_that_no_heading_names_is_asked_with_a_line_to_fill_in(tmp_path: Path) -> None:
    path = write(tmp_path, "Ref;Who;When;How much;Currency\nA1;C1;2026-01-31;5.00;USD\n")
    found = infer(path)
    with pytest.raises(ProfileError, match="total = "):
        parse_profile(found.toml, source="p", name="p")
    toml = found.toml.replace("# ASK: ", "")
    assert 'total = { names = ["How much"]' in toml
    assert 'issued = { names = ["When"], required = true, format = "%Y-%m-%d" }' in toml
    toml = toml.replace('customer = { names = ["…"]', 'customer = { names = ["Who"]')
    _, report = records(path, parse_profile(toml, source="p", name="p"), "erp")
    assert report.totals == {"USD": {"count": 1, "sum": D("5.00")}}


def test_mangled_dates_are_asked_about(tmp_path: Path) -> None:
    found = infer(write(tmp_path, HEAD + "A1;C1;05:23.4;2026-02-28;5.00\n"))
    assert any(q.startswith("issued") and "05:23.4" in q for q in found.questions)


def test_hostile_text_cannot_leave_its_comment_or_string(tmp_path: Path) -> None:
    path = write(tmp_path, 'Invoice Number,Customer,Date,Currency,Amount,"x\ny = 1 #"\n1,C,2026-01-31,USD,5.00,\n')
    assert "y" not in parse_profile(infer(path).toml, source="p", name="p").model_dump()


def test_a_workbook(tmp_path: Path) -> None:
    from datetime import date

    book = openpyxl.Workbook()
    book.active.append(["Invoice Number", "Customer", "Date", "Currency", "Amount"])
    book.active.append(["0001", "C1", date(2026, 1, 31), "USD", 12.5])
    path = tmp_path / "ledger.xlsx"
    book.save(path)
    profile = parse_profile(infer(path).toml, source="p", name="p")
    _, report = records(path, profile, "erp")
    assert report.totals == {"USD": {"count": 1, "sum": D("12.50")}}


@pytest.mark.parametrize("content", [b"", b"just some prose\nwithout columns\n", b"%PDF-1.7 ..."])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        infer(path)


AUDIT_TRAIL = """Type,Account Ref,Date,Reference,Details,Net Amount,Tax Code,Tax Amount
SI,ABC001,15/01/2026,1001,Consulting,100.00,T1,20.00
SC,ABC001,18/01/2026,1003,Returned,10.00,T1,2.00
SR,ABC001,22/01/2026,R2,Receipt,96.00,T9,0.00
"""


def test_a_net_amount_beside_a_tax_is_not_taken_for_the_total(tmp_path: Path) -> None:
    path = write(tmp_path, AUDIT_TRAIL)
    profile = parse_profile(answered(infer(path).toml.replace("USD", "GBP")), source="p", name="p")
    read, report = records(path, profile, "erp")
    assert report.totals == {"GBP": {"count": 3, "sum": D(12)}}
    invoice, memo, receipt = (seen.record for seen in read)
    assert (invoice.total, invoice.tax, memo.total, memo.tax, receipt.amount) == (D(120), D(20), D(12), D(2), D(96))


@pytest.mark.parametrize("more", ["unsigned = true", 'per = "document"'])
def test_net_and_tax_that_make_the_total_do_so_row_by_row(tmp_path: Path, more: str) -> None:
    toml = answered(infer(write(tmp_path, AUDIT_TRAIL)).toml)
    line = next(line for line in toml.splitlines() if line.startswith("tax = "))
    with pytest.raises(ProfileError, match="row by row"):
        parse_profile(toml.replace(line, line.replace("{", "{ " + more + ",", 1)), source="p", name="p")


def test_amounts_of_which_none_is_a_number_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "number,customer,date,currency,total\n1,C1,2026-01-31,USD,n/a\n2,C1,2026-01-31,USD,open\n")
    assert any(q.startswith("amounts") and "'n/a'" in q for q in infer(path).questions)


@pytest.mark.parametrize("heading", ["Invoice", "Doc", "Receipt", "Beleg", "Ref #"])
def test_a_file_whose_number_is_not_known_is_asked_for_it(tmp_path: Path, heading: str) -> None:
    """Without a key a row is known by its place in the file: one more row on top, and each is taken for another."""
    path = write(
        tmp_path, f"{heading};Customer;Invoice Date;Currency;Amount\n7;A;2026-01-31;EUR;1,50\n8;A;2026-01-31;EUR;2,75\n"
    )
    found = infer(path)
    assert any(q.startswith("number") and repr(heading) in q for q in found.questions)
    with pytest.raises(ProfileError, match=r"(?s)key = .*number = "):
        parse_profile(found.toml, source="p", name="p")
    profile = parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")
    assert [seen.id for seen in records(path, profile, "erp")[0]] == ["7", "8"]


def test_no_connection_takes_a_profile_without_a_key(tmp_path: Path) -> None:
    toml = infer(write(tmp_path, "What;Customer;Invoice Date;Currency;Amount\nx;A;2026-01-31;EUR;1,50\n")).toml
    without = "\n".join(line for line in toml.splitlines() if not line.startswith("# ASK: "))
    (tmp_path / "keyless.toml").write_text(without, "utf-8")
    settings = {
        "folder": tmp_path,
        "currency": "EUR",
        "exports": [{"glob": "*.csv", "profile": str(tmp_path / "keyless.toml")}],
    }
    with pytest.raises(ConfigError, match="profile ledger has no `key`"):
        open_tabular("erp", settings=settings)


@pytest.mark.parametrize(
    ("headings", "asked"),
    [
        ("Number,Customer,Date,Amount,Currency", True),
        ("Receipt,Customer,Payment Date,Amount,Currency", True),
        ("Invoice No,Customer,Date Paid,Amount,Currency", True),
        ("Invoice No,Customer,Date,Amount,Currency", False),
    ],
)
def test_what_the_rows_are_is_asked_unless_the_headings_say_so(tmp_path: Path, headings: str, asked: bool) -> None:
    found = infer(write(tmp_path, headings + "\nR1,Acme,2026-03-14,100.00,USD\nR2,Acme,2026-03-15,20.50,USD\n"))
    assert any(q.startswith("kind") for q in found.questions) is asked
    assert ('\nkind = { value = "invoice" }' in found.toml) is not asked


def test_customers_are_proposed_as_customers(tmp_path: Path) -> None:
    path = write(tmp_path, "Customer No,Name,Email,Balance\n001,Acme,a@example.com,10.50\n002,Beta,,0.00\n")
    found = infer(path)
    assert found.questions == ()
    profile = parse_profile(found.toml, source="p", name="p")
    assert [(s.id, s.record.name) for s in records(path, profile, "erp")[0]] == [("001", "Acme"), ("002", "Beta")]
    twice = infer(write(tmp_path, "Name,Email\nAcme,a@example.com\nAcme,b@example.com\n"))
    assert [q.partition(":")[0] for q in twice.questions] == ["key"]


def test_two_headings_for_one_column_are_asked_where_they_differ(tmp_path: Path) -> None:
    head = "Invoice No,Customer,Invoice Date,GL Date,Amount,Value,Currency\n"
    path = write(tmp_path, head + "1,A,2026-01-31,2026-01-31,5.00,5.00,USD\n2,A,2026-01-31,2026-02-01,6.00,6.00,USD\n")
    found = infer(path)
    assert found.questions == ("issued: 'Invoice Date' or 'GL Date'? Either heading may stand for it, and they differ",)
    assert "'Value' says what 'Amount' says, in every row" in found.toml
    with pytest.raises(ProfileError, match=r'issued = .*or the heading "GL Date"'):
        parse_profile(found.toml, source="p", name="p")
    parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")


def test_a_shipped_profile_that_reads_every_row_is_named(tmp_path: Path) -> None:
    rows = "invoice,1,C,2026-01-31,USD,5.00\ninvoice,2,C,2026-01-31,USD,6.50\n"
    found = infer(write(tmp_path, "kind,number,customer,issued,currency,total\n" + rows))
    assert found.shipped == ("documents",)
    assert "# the shipped profile documents reads every row of this file as it is" in found.toml
    assert (
        infer(write(tmp_path, "kind,number,customer,issued,currency,total\nbill,1,C,2026-01-31,USD,5.00\n")).shipped
        == ()
    )


def test_a_list_of_netsuite_is_read_as_it_is_exported(tmp_path: Path) -> None:
    """Labels, names of currencies and the total row are those of a saved search."""
    path = write(
        tmp_path,
        '"Internal ID","Type","Document Number","Name","Date","Due Date","Currency","Amount (Foreign Currency)",'
        '"Amount Remaining (Foreign Currency)","Status"\n'
        '"51","Invoice","INV1","C1 O\'Brien:Sons","9/14/2026","10/14/2026","USA","1,200.50","1,200.50","Open"\n'
        '"52","Credit Memo","CM1","C2 ""Best"" Tools, Inc.","9/15/2026","","Euro","-99.50","0.00","Paid"\n'
        '"Overall Total","","","","","","","1,101.00","1,200.50",""\n',
        "utf-8-sig",
    )
    found = infer(path)
    assert found.questions == ()
    sights, report = records(path, parse_profile(found.toml, source="p", name="p"), "erp")
    assert (report.accepted, len(report.skipped), report.rejected) == (2, 1, [])
    assert [(s.record.ref.number, s.record.currency, s.record.total) for s in sights] == [
        ("INV1", "USD", D("1200.50")),
        ("CM1", "EUR", D("99.50")),
    ]


def test_a_currency_that_its_name_does_not_tell_is_asked(tmp_path: Path) -> None:
    head = "Invoice No,Customer,Invoice Date,Amount,Currency\n"
    found = infer(write(tmp_path, head + "1,A,2026-01-31,5.00,Dollar\n2,A,2026-01-31,6.00,Euro\n"))
    assert found.questions == ("currency: what are 'Dollar'?",)
    with pytest.raises(ProfileError, match=r'currency = .*"Dollar" = "…", "Euro" = "EUR"'):
        parse_profile(found.toml, source="p", name="p")
    profile = parse_profile(found.toml.replace("# ASK: ", "").replace("…", "CAD"), source="p", name="p")
    assert [s.record.currency for s in records(tmp_path / "ledger.csv", profile, "erp")[0]] == ["CAD", "EUR"]


def test_an_unknown_heading_is_asked_with_the_columns_that_hold_such_values(tmp_path: Path) -> None:
    head = "Invoice No,Customer,Kontoref,Fakturadatum,Belopp,Rest,Currency\n"
    path = write(tmp_path, head + "1,A,10234,2026-01-31,1 250.50,0.00,SEK\n2,A,10235,2026-02-01,-6.00,6.00,SEK\n")
    found = infer(path)
    assert any(q.startswith("total: ") and "perhaps 'Belopp' or 'Rest'." in q for q in found.questions)
    assert any(q.startswith("issued: ") and "perhaps 'Fakturadatum'." in q for q in found.questions)
    assert '# ASK: total = { names = ["Belopp"], required = true }  # which heading: this one or "Rest"?' in found.toml
    profile = parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")
    assert records(path, profile, "erp")[1].totals["SEK"]["sum"] == D("1244.50")


def test_what_stands_for_no_date_is_told_from_dates(tmp_path: Path) -> None:
    head = "Invoice No,Customer,Invoice Date,Due Date,Amount,Currency\n"
    path = write(tmp_path, head + "1,A,31.01.2026,00.00.0000,5.00,EUR\n2,A,01.02.2026,28.02.2026,6.00,EUR\n")
    found = infer(path)
    assert found.questions == ()
    assert 'null = ["00.00.0000"]' in found.toml
    profile = parse_profile(found.toml, source="p", name="p")
    assert [s.record.due is None for s in records(path, profile, "erp")[0]] == [True, False]


def test_a_list_of_dynamics_leaves_the_currency_of_the_company_empty(tmp_path: Path) -> None:
    head = (
        "Posting Date,Document Type,Document No.,Customer No.,Description,Currency Code,Amount,Remaining Amount,Open\n"
    )
    rows = "10/01/2026,Invoice,I1,C1,Order 1,,1250.50,0.00,No\n10/13/2026,Invoice,I2,C2,Order 2,EUR,900.00,900.00,Yes\n"
    path = write(tmp_path, head + rows)
    found = infer(path)
    assert found.questions == ("currency: 1 row names none; which is meant? Often that of the company itself",)
    profile = parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")
    assert profile.columns["open"].names == ("Remaining Amount",), "a column of Yes and No holds no amount"
    assert not profile.columns["description"].required, "the next export may have a row without"
    assert [s.record.currency for s in records(path, profile, "erp")[0]] == ["USD", "EUR"]


def test_a_currency_in_words_that_a_row_leaves_out_is_asked_in_those_words(tmp_path: Path) -> None:
    head = "Invoice No,Customer,Invoice Date,Amount,Currency\n"
    found = infer(write(tmp_path, head + "1,A,2026-01-31,5.00,US Dollar\n2,A,2026-01-31,6.00,\n"))
    profile = parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")
    assert [s.record.currency for s in records(tmp_path / "ledger.csv", profile, "erp")[0]] == ["USD", "USD"]


@pytest.mark.parametrize("heading", ["Doc. No", "DocumentNo", "document_nr.", "Doc #", "Inv Nbr", "Invoice Num."])
def test_a_heading_is_known_by_its_words_however_they_are_written(tmp_path: Path, heading: str) -> None:
    path = write(tmp_path, f"{heading};Cust. Name;Invoice-Date;Amt;Curr.\nA1;Ada Ltd;2026-01-31;5.50;USD\n")
    assert f'names = ["{heading}"]' in infer(path).toml
    profile = parse_profile(as_asked(infer(path).toml), source="p", name="p")
    assert {c.names for c in profile.columns.values() if c.names} == {
        (heading,), ("Cust. Name",), ("Invoice-Date",), ("Amt",), ("Curr.",)
    }  # fmt: skip
    assert records(path, profile, "erp")[1].totals == {"USD": {"count": 1, "sum": D("5.50")}}


def test_what_would_be_read_as_something_near_is_asked_where_nothing_else_is_there(tmp_path: Path) -> None:
    path = write(tmp_path, "Number;Payer (name);Clearing Date;Net amount\nA1;Ada Ltd;31.01.2026;5.50\n")
    found = infer(path)
    for asked in ("perhaps 'Net amount'", "perhaps 'Clearing Date'", "perhaps 'Payer (name)'"):
        assert any(asked in q for q in found.questions)
    assert "not read" not in found.toml
    profile = parse_profile(as_asked(found.toml), source="p", name="p")
    assert records(path, profile, "erp")[1].totals == {"USD": {"count": 1, "sum": D("5.50")}}


@pytest.mark.parametrize(
    ("open_", "asked"), [(("3.00", "-1.00"), True), (("5.00", "-1.00"), False), (("3.00", "0.00"), False)]
)
def test_whether_what_is_settled_is_left_out_is_asked_where_all_rows_are_open(
    tmp_path: Path, open_: tuple[str, str], asked: bool
) -> None:
    first, second = open_
    path = write(
        tmp_path,
        "Invoice No;Customer;Invoice Date;Amount;Open balance;Currency\n"
        f"A1;C1;2026-01-31;5.00;{first};USD\nA2;C1;2026-01-31;-1.00;{second};USD\n",
    )
    found = infer(path)
    assert any(q.startswith("scope") for q in found.questions) is asked
    assert parse_profile(as_asked(found.toml), source="p", name="p").scope == ("open" if asked else "all")


def test_headings_in_two_rows_are_told_from_a_row_of_data(tmp_path: Path) -> None:
    head = "Number;Customer;Invoice Date;Amount;;\n;;;Gross;VAT;Net\n"
    path = write(tmp_path, head + "A1;C1;2026-01-31;12.00;2.00;10.00\n")
    profile = parse_profile(as_asked(infer(path).toml), source="p", name="p")
    assert (profile.file.header_rows, profile.columns["total"].names) == (2, ("Amount Gross",))
    assert records(path, profile, "erp")[1].totals == {"USD": {"count": 1, "sum": D("12.00")}}
    one = write(tmp_path, "Number;Customer;Invoice Date;Amount;\nA;C;2026-01-31;12.00;note\nB;C;2026-01-31;1.00;\n")
    assert "header_rows" not in infer(one).toml


def test_a_report_by_customer_is_read_with_the_customers_above_its_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Customer Balance Detail,,,,,\n,Date,Transaction type,Num,Amount,Open balance\nO'Brien:Sons,,,,,\n"
        ',01/25/2026,Invoice,7,"1,459.00",239.00\n,01/26/2026,Credit Memo,8,-1.00,0.00\n'
        'Total for O\'Brien:Sons,,,,"$1,458.00",$239.00\nBo,,,,,\n,01/27/2026,Invoice,9,5.00,5.00\n'
        'Total for Bo,,,,$5.00,$5.00\nTOTAL,,,,"$1,463.00",$244.00\n,,,,,\nAccrual basis,,,,,\n',
    )
    found = infer(path)
    assert [q.partition(":")[0] for q in found.questions] == ["currency"]
    profile = parse_profile(answered(found.toml), source="p", name="p")
    observed, report = records(path, profile, "erp")
    assert (report.rejected, report.totals) == ([], {"USD": {"count": 3, "sum": D("1463.00")}})
    documents = [o for o in observed if o.raw]
    assert (
        [o.record.customer for o in documents] == [o.raw["(above)"] for o in documents] == ["O'Brien:Sons"] * 2 + ["Bo"]
    )


def test_a_customer_that_is_printed_once_is_asked_about(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Customer,Date,Number,Amount,Currency\nC1,2026-01-25,7,10.00,USD\n,2026-01-26,8,5.00,USD\nTotal C1,,,15.00,\n"
        "C2,2026-01-27,9,5.00,USD\n,2026-01-28,10,1.00,USD\n,,Total C2,6.00,\nTOTAL,,,21.00,\n",
    )
    found = infer(path)
    assert [q.partition(":")[0] for q in found.questions] == ["kind", "customer"]
    assert "2 rows are empty under 'Customer'" in found.questions[1]
    profile = parse_profile(found.toml.replace("# ASK: ", ""), source="p", name="p")
    observed, report = records(path, profile, "erp")
    assert (report.rejected, report.totals) == ([], {"USD": {"count": 4, "sum": D("21.00")}})
    assert [o.record.customer for o in observed if o.raw] == ["C1", "C1", "C2", "C2"]


@pytest.mark.parametrize("third", ["C1,2026-01-27,9,5.00", ",2026-01-27,9,5.00\nC1,2026-01-28,10,5.00"])
def test_a_customer_that_some_rows_do_not_name_is_not_taken_for_one_that_is_printed_once(
    tmp_path: Path, third: str
) -> None:
    head = "Customer,Date,Number,Amount\nC1,2026-01-25,7,10.00\nC2,2026-01-26,8,5.00\n"
    assert "fill_down" not in infer(write(tmp_path, f"{head}{third}\n")).toml
    assert "fill_down" not in infer(write(tmp_path, f"{head.replace('C1', '')}{third}\n")).toml
