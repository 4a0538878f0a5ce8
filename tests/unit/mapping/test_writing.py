"""Record → rows of an import file: exact, or refused with the field and the value."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.errors import ProfileError, Rejected
from tieout.mapping import fields
from tieout.mapping.writing import Change, encode, list_import_profiles, load_import_profile, rows
from tieout.model import Application, Credit, Entity, Line, Method
from tieout.testing import sample

SAP = load_import_profile("import-sap-posting")
DAY = date(2026, 1, 20)


def table(name: str, record, marker: str = "TO1") -> list[dict[str, str]]:
    profile = load_import_profile(name)
    text = encode(profile, [rows(profile, record, marker=marker).cells]).decode("utf-8")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=profile.file.delimiter, strict=True))


def payment(**more):
    shares = [("1000/90000001/2026", "100.00"), ("1000/90000002/2025", "40.00")]
    applied = tuple(
        Application(invoice=i, amount=Decimal(a), amount_invoice=Decimal(a), applied_on=DAY) for i, a in shares
    )
    base = sample(Entity.PAYMENT, 1, customer_id="200001")
    known = {
        "amount": Decimal("150.00"),
        "applications": applied,
        "entity_code": "1000",
        "posted": DAY,
        "received": DAY,
    }
    return base.model_copy(update=known | more)


def test_shipped_profiles_load_and_their_names_are_listed() -> None:
    assert list_import_profiles() == [
        "import-customers",
        "import-documents",
        "import-payments",
        "import-sap-clearing",
        "import-sap-posting",
        "import-sap-reversal",
    ]
    for name in list_import_profiles():
        assert load_import_profile(name).name == name


def test_a_sap_payment_is_a_row_per_invoice_and_one_for_the_rest() -> None:
    lines = table("import-sap-posting", payment())
    shown = [(r["DOC_TYPE"], r["AMT_DOCCUR"], r["INV_REF"], r["INV_REF_FY"], r["ASSIGNMENT"]) for r in lines]
    assert shown == [
        ("DZ", "-100.00", "90000001", "2026", "TO1"),
        ("DZ", "-40.00", "90000002", "2025", "TO1"),
        ("DZ", "-10.00", "", "", "TO1"),
    ]
    assert {(r["COMP_CODE"], r["DOC_DATE"], r["PYMT_METH"], r["CURRENCY"]) for r in lines} == {
        ("1000", "20260120", "C", "USD")
    }


def test_an_invoice_states_its_tax_code_once() -> None:
    record = sample(Entity.INVOICE, 1, customer_id="200001").model_copy(update={"entity_code": "1000"})
    assert [r["tax_code"] for r in table("import-documents", record)] == ["STD"]
    line = Line(item=None, description=None, quantity=None, unit_price=None, net=Decimal(1), tax_code="RED", tax=None, revenue_account=None)  # fmt: skip
    mixed = record.model_copy(update={"tax_lines": (), "lines": (*record.lines, line)})
    with pytest.raises(Rejected, match=r"RED, STD: .* one tax code"):
        table("import-documents", mixed)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"entity_code": None}, r"entity_code \(column COMP_CODE\): '' is missing"),
        ({"amount": Decimal("139.99")}, "applications exceed the amount by 0.01"),
        ({"credits": (Credit(credit_memo="9", amount=Decimal(1)),)}, "settles with credit memos"),
        ({"customer": "12345678901"}, r"customer \(column CUSTOMER\): '12345678901' is longer than 10"),
        ({"applications": (Application(invoice="90", amount=1, amount_invoice=1, applied_on=DAY),)}, "has no part 1"),
        (
            {"applications": (Application(invoice="90", amount=1, amount_invoice=2, applied_on=DAY),)},
            "another currency",
        ),
    ],
)
def test_what_has_no_place_in_the_file_is_refused(wrong, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        rows(SAP, payment(**wrong), marker="TO1")


def test_an_unmapped_code_is_refused_not_guessed() -> None:
    bare = SAP.model_copy(update={"codes": {"type": SAP.codes["type"], "method": {"wire": "T"}}})
    with pytest.raises(Rejected, match=r"'check' is not in the code table \[codes.method\]"):
        rows(bare, payment(method=Method.CHECK), marker="TO1")


def test_adjustments_and_foreign_entities_are_refused() -> None:
    with pytest.raises(Rejected, match="carries no customer"):
        rows(SAP, sample(Entity.CUSTOMER, 1), marker="TO1")
    with pytest.raises(Rejected, match="carries no adjustment"):
        rows(SAP, sample(Entity.ADJUSTMENT, 1), marker="TO1")


@given(st.text(max_size=40))
def test_any_text_arrives_as_it_is_or_is_refused(memo: str) -> None:
    record = sample(Entity.INVOICE, 1, customer_id="200001").model_copy(update={"memo": memo, "entity_code": "1000"})
    try:
        (row,) = table("import-documents", record)
    except Rejected as error:
        assert "memo (column memo)" in error.message
        return
    assert row["memo"] == memo
    assert fields.text(row["memo"]) == fields.strip(memo)
    assert row["memo"].strip()[:1] not in set("=+-@") - {""}


@given(st.decimals("0.00", "99999999.99", places=2))
def test_amounts_are_printed_exactly(total: Decimal) -> None:
    record = sample(Entity.CREDIT_MEMO, 1, customer_id="200001")
    record = record.model_copy(update={"total": total, "subtotal": total, "entity_code": "1000"})
    made = rows(SAP, record, marker="TO1")
    printed = [dict(zip([c.name for c in SAP.columns], cells, strict=True))["AMT_DOCCUR"] for cells in made.cells]
    assert sum(map(Decimal, printed)) == made.effect == -total


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("entities = ['invoice']\ncolumns = [{ name = 'a', source = 'memo' }]", "our reference"),
        ("entities = ['invoice']\ncolumns = [{ name = 'a', source = 'memoo' }]", "unknown source 'memoo'"),
        ("entities = ['x']", "entities.0"),
        ("entities = [", "Invalid value|Unclosed|array"),
        (
            "entities = ['invoice']\nrows = 'applications'\ncolumns = [{ name = 'a', source = 'marker' }]",
            "applied_amount",
        ),
        (
            "entities = ['invoice']\nfile = { delimiter = ',', decimal = ',' }\ncolumns = [{ name = 'a', source = 'marker' }]",
            "cannot be the delimiter",
        ),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=says):
        load_import_profile(path)


def changed(name: str, operation: str, before, after, *fields_: str, id: str = "1000/14000001/2026"):
    profile = load_import_profile(name)
    change = Change(operation, id, before, frozenset(fields_))  # type: ignore[arg-type]
    made = rows(profile, after, marker="CHG1", change=change)
    text = encode(profile, [made.cells]).decode("utf-8")
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=profile.file.delimiter, strict=True)
    return list(table), made.effect


def test_a_clearing_takes_back_and_sets_only_what_differs():
    before = payment()
    [first, second] = before.applications
    third = first.model_copy(update={"invoice": "1000/90000003/2026", "applied_on": date(2026, 2, 3)})
    found, effect = changed(
        "import-sap-clearing", "apply", before, payment(applications=(second, third)), "applications"
    )
    shown = [(r["DOC_NO"], r["FISC_YEAR"], r["ACTION"], r["INV_REF"], r["AMOUNT"], r["PSTNG_DATE"]) for r in found]
    assert shown == [
        ("14000001", "2026", "RESET", "90000001", "-100.00", ""),
        ("14000001", "2026", "APPLY", "90000003", "100.00", "20260203"),
    ]
    assert effect == 0


def test_a_reversal_names_the_document_its_day_and_the_opposite_amount():
    before = payment()
    [row], effect = changed("import-sap-reversal", "void", before, before)
    assert (row["DOC_NO"], row["REASON_REV"]) == ("14000001", "01")
    assert (row["PSTNG_DATE"], row["AMT_DOCCUR"]) == (before.posted.strftime("%Y%m%d"), "150.00")
    assert effect == Decimal("150.00")


def test_a_change_names_the_columns_that_it_is_about():
    before = sample(Entity.INVOICE, 1, customer_id="200001").model_copy(update={"tax_lines": (), "memo": "was"})
    [row], _ = changed("import-documents", "update", before, before.model_copy(update={"memo": "is"}), "memo", id="7")
    assert (row["operation"], row["id"], row["changed"], row["memo"]) == ("update", "7", "memo", "is")
    [row] = table("import-documents", before)
    assert (row["operation"], row["id"], row["changed"], row["void_date"]) == ("create", "", "", "")


def test_a_layout_takes_only_the_operations_that_it_declares():
    with pytest.raises(Rejected, match="carries no payment to void"):
        changed("import-sap-posting", "void", payment(), payment())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('operations = ["update"]', "id"),
        ('operations = ["create", "void"]', "operation"),
        ('operations = ["apply"]', "moves"),
        ("operations = []", "operations"),
        ('operations = ["delete"]', "operations"),
    ],
)
def test_a_layout_that_could_not_say_what_it_changes_is_refused(tmp_path: Path, text: str, why: str):
    path = tmp_path / "own.toml"
    path.write_text(f'entities = ["payment"]\n{text}\n[[columns]]\nname = "ref"\nsource = "marker"\n')
    with pytest.raises(ProfileError) as refused:
        load_import_profile(path)
    assert why in " ".join(refused.value.problems)
