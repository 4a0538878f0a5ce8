"""Two files and nothing else: shipped profiles, rejected rows counted, provenance kept."""

from __future__ import annotations

from hashlib import sha256

import duckdb
import pytest

from tests.ledgers import JAN31, D
from tieout import compare
from tieout.errors import ProfileError

HEAD = "kind,number,customer,name,date,due,currency,amount,tax\n"
LEFT = (
    HEAD
    + """invoice,1001,C-1,Müller & Söhne,2026-01-05,2026-02-04,EUR,119.00,19.00
invoice,1002,C-1,Müller & Söhne,2026-01-06,2026-02-05,EUR,50.00,0.00
credit memo,1003,C-2,Beta,2026-01-07,,USD,12.50,0.00
invoice,1004,C-2,Beta,2026-01-08,,USD,not money,0.00
"""
)
RIGHT = (
    HEAD
    + """invoice,01001,C1,MÜLLER AND SÖHNE,2026-01-05,2026-02-04,EUR,120.00,20.00
invoice,1002,C1,Müller & Söhne,2026-01-06,2026-02-05,EUR,50.00,0.00
credit memo,1003,C2,Beta,2026-01-07,,USD,12.50,0.00
"""
)


@pytest.fixture
def files(tmp_path):
    for name, text in (("left.csv", LEFT), ("right.csv", RIGHT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "left.csv", tmp_path / "right.csv"


def test_two_files_by_a_shipped_profile(files):
    left, right = files
    result = compare.compare_files(left, "documents", right, "documents", JAN31, memory="200MB")
    assert {d.code: d.delta for d in result.discrepancies} == {"TAX_AMOUNT": D(1)}
    assert (result.matched, result.left.records, result.left.rejected, result.right.rejected) == (3, 3, 1, 0)
    assert result.left.totals["USD"].open == D("-12.5")
    assert {c: b.remainder for c, b in result.bridge.items()} == {"EUR": 0, "USD": 0}
    facts = result.provenance["left"]
    assert facts["sha256"] == sha256(left.read_bytes()).hexdigest()
    assert (facts["profile"], facts["rows"], facts["accepted"], facts["rejected"]) == ("documents", 4, 3, 1)


def test_a_file_that_does_not_fit_its_profile_is_an_error_that_names_it(files, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ProfileError, match=r"other\.csv"):
        compare.compare_files(files[0], "documents", tmp_path / "other.csv", "documents")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_customer_whose_name_was_typed_in_several_ways_stays_one_customer(tmp_path, form):
    """What a number is called is what any of its documents says; that one of them is missing changes nothing of it."""
    rows = [
        "invoice,1,9,Acme systems,2026-01-05,,EUR,10.00,0.00",
        "invoice,2,9,Acme llc,2026-01-06,,EUR,20.00,0.00",
        "invoice,3,9,Acme co,2026-01-07,,EUR,30.00,0.00",
        # Another customer of a name that the first one has, too.
        "invoice,4,8,Acme llc,2026-01-08,,EUR,40.00,0.00",
        "invoice,5,7,Acme systems,2026-01-08,,EUR,50.00,0.00",
    ]
    for name, some in (("left", rows), ("right", rows[1:])):
        (tmp_path / f"{name}.csv").write_text(HEAD + "\n".join(some) + "\n", encoding="utf-8")
        with duckdb.connect() as con:
            con.execute(
                "COPY (SELECT number AS id, kind, number, customer, customer AS customer_number, name AS customer_name, "
                "CAST(date AS DATE) AS issued, currency, "
                f"CAST(amount AS DECIMAL(18,2)) AS total FROM read_csv('{tmp_path / name}.csv', all_varchar=true)) "
                f"TO '{tmp_path / name}.parquet' (FORMAT parquet)"
            )
    by = "documents" if form == "csv" else None
    result = compare.compare_files(tmp_path / f"left.{form}", by, tmp_path / f"right.{form}", by)
    assert [(d.code, d.left) for d in result.discrepancies if d.kind != "customer"] == [("MISSING_IN_B", "1")]
    assert [d.code for d in result.discrepancies if d.kind == "customer"] == []


@pytest.mark.parametrize(
    ("number", "code"),
    [("", "NUMBER_MISMATCH"), ('number = { names = ["Invoice"], null = ["none"] }', "ID_REPLACED")],
)
def test_a_new_id_is_named_where_no_other_number_says_so(tmp_path, number, code):
    """Where a document is known by its number alone, the number that differs is one difference and not two."""
    profile = tmp_path / "jde.toml"
    profile.write_text(f"""
        name = "jde"
        entity = "documents"
        key = ["entity_code", "document"]
        [dates]
        format = "%Y-%m-%d"
        [columns]
        kind = {{ value = "invoice" }}
        entity_code = {{ value = "1000" }}
        document = {{ names = ["Doc"] }}
        {number}
        customer = {{ names = ["Customer"] }}
        issued = {{ names = ["Date"] }}
        currency = {{ value = "GBP" }}
        total = {{ names = ["Amount"] }}
    """)
    for name, document in (("left", 71), ("right", 871)):
        rows = f"{document},I-1,Ada,2026-01-05,10.25\n90,none,Ada,2026-01-06,7.50\n"
        (tmp_path / f"{name}.csv").write_text("Doc,Invoice,Customer,Date,Amount\n" + rows)
    found = compare.compare_files(tmp_path / "left.csv", profile, tmp_path / "right.csv", profile)
    assert {code: entry["count"] for code, entry in found.by_code.items()} == {code: 1}
