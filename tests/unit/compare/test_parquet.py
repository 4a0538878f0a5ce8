"""Ledgers in Parquet: the same answer as from records, columns checked, keys that are known, lists kept on disk."""

from __future__ import annotations

import duckdb
import pytest

from tests.ledgers import QUICKBOOKS, SAP, A, B, applied, compared, customer, invoice, load, payment
from tieout import compare
from tieout.compare import listed, render
from tieout.compare.files import SPOOL_FROM
from tieout.compare.inputs import parquet
from tieout.errors import ConfigError
from tieout.mapping.relation import TABLES

WHO = [customer("1", "Acme", "100"), customer("2", "Bétà & Co", "200")]
LEFT = [
    invoice("L1", "1", "100", "2026-01-02", number="INV-1", tax="19"),
    invoice("L2", "2", "50.123456", "2026-01-03", number="№ 2"),
    invoice("L3", "2", "7", "2026-01-04", number="3"),
    invoice("L4", "1", "100", "2026-01-02", number="INV1", tax="19"),
    payment("P1", "1", "30", "2026-01-09", reference="ACH", apps=[applied("L1", "30", "2026-01-09")]),
]
RIGHT = [
    invoice("R1", "1", "100", "2026-01-02", number="INV-1", tax="19"),
    invoice("R2", "2", "50.123455", "2026-01-03", number="№ 2"),
    payment("Q1", "1", "30", "2026-01-09", reference="ACH", apps=[applied("R1", "20", "2026-01-09")]),
]
BARE = (
    "SELECT 'I1' AS id, 'invoice' AS kind, DATE '2026-01-02' AS issued, 'EUR' AS currency, 1.50::DECIMAL(9,2) AS total"
)


def folder(con, side, path):
    """The canonical relation of one side as files, with the columns that a stranger's export would have."""
    path.mkdir()
    made = {"customer_name_key", "customer_key", "number_key", "link", "customer_link", "ar", "source"}
    columns = ", ".join(c for c, _ in TABLES["documents"] if c not in made)
    con.execute(f"COPY (SELECT {columns} FROM {side}_documents) TO '{path}/documents.parquet' (FORMAT parquet)")
    columns = ", ".join(c for c, _ in TABLES["customers"] if c not in {"name_key", "number_key", "link"})
    con.execute(f"COPY (SELECT {columns} FROM {side}_customers) TO '{path}/customers.parquet' (FORMAT parquet)")
    con.execute(f"COPY {side}_applications TO '{path}/applications.parquet' (FORMAT parquet)")
    return path


def of_files(left, right, tmp_path, **more):
    con = duckdb.connect(config={"threads": 2})
    loaded = load(left, right)
    for side in ("left", "right"):
        parquet.attach(con, folder(loaded, side, tmp_path / side), side=side)
    return compare.run(con, SAP, QUICKBOOKS, as_of=None, **more)


@pytest.mark.parametrize("from_rows", [1, 1 << 30])
def test_a_ledger_in_parquet_is_compared_as_its_records_are(tmp_path, from_rows):
    found = of_files([*WHO, *LEFT], [*WHO, *RIGHT], tmp_path, bulk_from=from_rows)
    usual = compared([*WHO, *LEFT], [*WHO, *RIGHT])
    assert found.discrepancies == usual.discrepancies
    assert {d.code for d in found.discrepancies} == {
        "AMOUNT_NET", "MISSING_IN_B", "DUPLICATE_WITHIN_LEDGER", "APPLICATION_AMOUNT",
    }  # fmt: skip
    assert (found.matched, found.bridge, found.left) == (usual.matched, usual.bridge, usual.left)


def written(tmp_path, query, name="a.parquet"):
    path = tmp_path / name
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (f"SELECT * EXCLUDE (issued) FROM ({BARE})", "no column issued"),
        (f"SELECT * REPLACE (total::DOUBLE AS total) FROM ({BARE})", "total is DOUBLE"),
        (f"SELECT * REPLACE (total::DECIMAL(20,7) AS total) FROM ({BARE})", "total is DECIMAL"),
        (f"SELECT * REPLACE (issued::TIMESTAMP AS issued) FROM ({BARE})", "issued is TIMESTAMP"),
        (f"SELECT * REPLACE (-total AS total) FROM ({BARE})", "total below zero"),
        (f"SELECT * REPLACE ('Invoice' AS kind) FROM ({BARE})", "of a kind"),
        (f"SELECT * REPLACE (NULL::DATE AS issued) FROM ({BARE})", "have no date"),
        (f"SELECT *, 'paid' AS state FROM ({BARE})", "in a state"),
        (f"SELECT * REPLACE ('adjustment' AS kind) FROM ({BARE})", "without a sign"),
        # A settlement on a day that never comes would count as one.
        (f"SELECT *, 'infinity'::DATE AS settled_on FROM ({BARE})", "date in settled_on before the year 1 or after"),
        (f"SELECT * REPLACE ('0044-03-15 (BC)'::DATE AS issued) FROM ({BARE})", "date in issued before the year 1"),
        (f"SELECT *, '10000-01-01'::DATE AS due FROM ({BARE})", "date in due before .*row 1, id 'I1'"),
        (f"SELECT * REPLACE (1000000000000000000 AS total) FROM ({BARE})", "a total beyond 18 digits"),
        (f"SELECT *, 1000000000000 AS rate FROM ({BARE})", "a rate beyond 12 digits"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_refused_with_the_place(tmp_path, query, says):
    with pytest.raises(ConfigError, match=says):
        parquet.attach(duckdb.connect(), written(tmp_path, query), side="left")


APPLIED = (
    "SELECT 'payment' AS source_kind, 'P' AS source_id, 'I' AS invoice, 1.00 AS amount, DATE '2026-01-02' AS applied_on"
)
DETAIL = "SELECT 'invoice' AS kind, 'I' AS id, 1.00 AS subtotal"
ONE = "SELECT 'C' AS id, 'Ada' AS name"


@pytest.mark.parametrize(
    ("table", "query", "says"),
    [
        (
            "applications",
            f"SELECT * REPLACE ('Payment' AS source_kind) FROM ({APPLIED})",
            "a source_kind that is none of",
        ),
        ("applications", f"SELECT * REPLACE ('' AS source_id) FROM ({APPLIED})", "no source_id"),
        ("applications", f"SELECT * REPLACE (NULL::VARCHAR AS invoice) FROM ({APPLIED})", "no invoice; .*row 1,.*'P'"),
        ("applications", f"SELECT *, NULL::DECIMAL(9,2) AS amount_invoice FROM ({APPLIED})", "have no amount"),
        ("applications", f"SELECT * REPLACE (-amount AS amount) FROM ({APPLIED})", "below zero"),
        ("applications", f"SELECT * REPLACE (NULL::DATE AS applied_on) FROM ({APPLIED})", "no applied_on"),
        ("applications", f"SELECT *, 'infinity'::DATE AS reversed_on FROM ({APPLIED})", "date in reversed_on before"),
        ("applications", f"SELECT * REPLACE (-1000000000000000000 AS amount) FROM ({APPLIED})", "beyond 18 digits"),
        ("details", f"SELECT * REPLACE ('bill' AS kind) FROM ({DETAIL})", "of a kind"),
        ("details", f"SELECT * REPLACE (NULL::VARCHAR AS id) FROM ({DETAIL})", "have no id"),
        ("details", f"{DETAIL} UNION ALL {DETAIL}", "2 of 2 rows are of a document that stands more than once"),
        ("customers", f"SELECT * REPLACE ('' AS id) FROM ({ONE})", "have no id"),
        (
            "customers",
            f"SELECT 'D' AS id, 'Bo' AS name UNION ALL {ONE} UNION ALL {ONE}",
            "more than once; .*row 2, id 'C'",
        ),
    ],
)
def test_what_lies_beside_the_documents_is_held_to_its_form_too(tmp_path, table, query, says):
    """An application of no known kind would pay nothing, one that stands twice would be two: neither is said by chance."""
    written(tmp_path, BARE, "documents.parquet")
    written(tmp_path, query, f"{table}.parquet")
    with pytest.raises(ConfigError, match=f"{table}.parquet: .*{says}"):
        parquet.attach(duckdb.connect(), tmp_path, side="left")


def test_the_largest_amount_and_the_last_day_are_read(tmp_path):
    query = f"SELECT * REPLACE (999999999999999999 AS total), DATE '9999-12-31' AS due FROM ({BARE})"
    path = written(tmp_path, query)
    result = compare.compare_files(path, None, path, None)
    assert (result.matched, result.left.totals["EUR"].open) == (1, 999_999_999_999_999_999)


def test_a_group_need_not_say_what_it_paid(tmp_path):
    written(tmp_path, BARE, "documents.parquet")
    group = f"SELECT * REPLACE ('group:payment' AS source_kind, NULL::VARCHAR AS invoice) FROM ({APPLIED})"
    written(tmp_path, f"{APPLIED} UNION ALL {APPLIED} UNION ALL {group}", "applications.parquet")
    assert parquet.attach(duckdb.connect(), tmp_path, side="left")["applications"] == 3


def test_what_is_no_parquet_and_what_is_not_known_is_said(tmp_path):
    (tmp_path / "b.parquet").write_text("id,total\n")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        parquet.attach(duckdb.connect(), tmp_path / "b.parquet", side="left")
    facts = parquet.attach(duckdb.connect(), written(tmp_path, f"SELECT *, 1 AS colour FROM ({BARE})"), side="left")
    assert facts["not_compared"] == ["colour"]


def test_profiles_are_for_files_that_need_one(tmp_path):
    path = written(tmp_path, BARE)
    with pytest.raises(ConfigError, match="needs no profile"):
        compare.compare_files(path, "documents", path, None)
    with pytest.raises(ConfigError, match="needs a profile"):
        compare.compare_files(path, None, tmp_path / "x.csv", None)
    (tmp_path / "ledger").mkdir()
    with pytest.raises(ConfigError, match=r"a folder without documents\.parquet"):
        compare.compare_files(path, None, tmp_path / "ledger", None)
    result = compare.compare_files(path, None, path, None)
    assert (result.matched, result.discrepancies) == (1, ())


def test_an_id_that_stands_twice_is_two_documents(tmp_path):
    path = written(tmp_path, f"{BARE} UNION ALL {BARE}")
    result = compare.compare_files(path, None, written(tmp_path, BARE, "b.parquet"), None)
    assert [(d.code, str(d.delta)) for d in result.discrepancies] == [("DUPLICATE_WITHIN_LEDGER", "-1.50")]
    assert result.bridge["EUR"].remainder == 0


@pytest.mark.parametrize("from_rows", [1, 1 << 30])
def test_a_known_key_pairs_and_nothing_else_does(from_rows):
    left = [invoice(f"A{n}", "1", f"{n}0", "2026-01-02", number=f"N{n}") for n in range(1, 5)]
    right = [
        *left[:1],
        invoice("A2", "1", "21", "2026-01-05", number="N2"),  # another amount and date: the key says it is the same
        invoice("A3", "1", "30", "2026-01-02", number="X3"),  # equal in all but the key
        invoice("B4", "1", "40", "2026-01-02", number="N4"),
        invoice("C4", "1", "40", "2026-01-02", number="N4"),
    ]
    con = load([*WHO, *left], [*WHO, *right])
    made = {}
    for key in ("number", "id"):
        result = compare.run(con, A, B, as_of=None, key=key, bulk_from=from_rows)
        assert result.bridge["USD"].remainder == 0
        made[key] = sorted((d.code, d.left, d.right) for d in result.discrepancies)
    assert made["number"] == [
        ("AMOUNT_NET", "A2", "A2"), ("DATE_DIFF", "A2", "A2"), ("DUPLICATE_WITHIN_LEDGER", None, "C4"),
        ("MISSING_IN_A", None, "A3"), ("MISSING_IN_B", "A3", None),
    ]  # fmt: skip
    assert [x for x in made["id"] if x[0].startswith("MISSING")] == [
        ("MISSING_IN_A", None, "B4"), ("MISSING_IN_A", None, "C4"), ("MISSING_IN_B", "A4", None),
    ]  # fmt: skip


def test_many_discrepancies_are_read_from_disk_and_are_the_same(tmp_path):
    many = f"SELECT * REPLACE ('I' || i AS id), 'N' || i AS number FROM ({BARE}), range({SPOOL_FROM + 3}) AS r(i)"
    left = written(tmp_path, many)
    right = written(tmp_path, f"SELECT * FROM ({many}) WHERE id = 'I1'", "b.parquet")
    result = compare.compare_files(left, None, right, None)
    found = result.discrepancies
    assert isinstance(found, listed.Spooled)
    assert len(found) == SPOOL_FROM + 2 == len(list(found)) == len({d.id for d in found})
    assert found[0] == next(iter(found)) == found[:1][0]
    assert found[-1] == list(found)[-1] == found[::-1][0]
    with pytest.raises(IndexError):
        found[len(found)]
    assert result.by_code == {"MISSING_IN_B": {"count": len(found), "delta": {"EUR": len(found) * found[0].delta}}}
    render.write_parquet(result, tmp_path / "out.parquet")
    again = duckdb.connect().execute(
        "SELECT count(*), sum(delta) FROM read_parquet(?)", [str(tmp_path / "out.parquet")]
    )
    assert again.fetchall() == [(len(found), result.bridge["EUR"].right_total - result.bridge["EUR"].left_total)]
    render.write_csv(result, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text("utf-8-sig").count("MISSING_IN_B") == len(found)


def test_few_are_written_as_many_are(tmp_path):
    result = compared([*WHO, *LEFT], [*WHO, *RIGHT])
    render.write_parquet(result, tmp_path / "few.parquet")
    rows = duckdb.connect().execute("SELECT id, delta FROM read_parquet(?)", [str(tmp_path / "few.parquet")]).fetchall()
    assert rows == [(d.id, d.delta) for d in result.discrepancies]


@pytest.mark.parametrize("from_rows", [1, 1 << 30])
def test_every_match_is_written_with_its_rule_and_evidence(tmp_path, from_rows):
    con = load([*WHO, *LEFT], [*WHO, *RIGHT])
    path = tmp_path / "matches.parquet"
    result = compare.run(con, A, B, as_of=None, bulk_from=from_rows, matches=path)
    rows = (
        duckdb.connect()
        .execute(f'SELECT "left", "right", rung, rule, total, right_total FROM \'{path}\' ORDER BY 1')
        .fetchall()
    )
    assert len(rows) == result.matched
    assert [r[:4] for r in rows] == [
        ("L1", "R1", 2, "identical rows, in order"), ("L2", "R2", 6, "other amount"), ("P1", "Q1", 2, "identical"),
    ]  # fmt: skip
    assert [r[5] for r in rows] == [None, RIGHT[1].total, None]


@pytest.mark.parametrize("more", [(), (payment("P1", "1", "2", "2026-01-05"),)], ids=["invoices only", "a payment too"])
def test_matches_state_kind_and_rule_as_text_whatever_the_kinds_of_the_left_ledger(tmp_path, more):
    left = [invoice(f"L{n}", "1", f"{n}.00", "2026-01-05", number=f"N{n}") for n in range(1, 4)]
    right = [invoice(f"R{n}", "1", f"{n}.00", "2026-01-05", number=f"N{n}") for n in range(1, 4)]
    con = load([*WHO, *left, *more], [*WHO, *right, *more])
    path = tmp_path / "matches.parquet"
    compare.run(con, A, B, as_of=None, bulk_from=1, matches=path)
    with duckdb.connect() as read:
        kinds = read.execute(
            f"SELECT typeof(kind), kind, typeof(rule), rule, count(*) FROM '{path}' GROUP BY ALL ORDER BY 2"
        )
        assert kinds.fetchall() == [
            ("VARCHAR", "invoice", "VARCHAR", "identical", 3),
            *[("VARCHAR", "payment", "VARCHAR", "identical", 1) for _ in more],
        ]
