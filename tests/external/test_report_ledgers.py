"""Reports on real ledgers: right figures by a second reckoning, and plain words where the source cannot tell."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.deep import DEEP
from tieout.cli import cli
from tieout.cli.ledgers import of_files
from tieout.reports.forms import plain, text
from tieout.reports.receivables import (
    aging,
    cut_off,
    open_items,
    roll_forward,
    statement,
    subsequent,
    unapplied,
    write_offs,
)

pytestmark = pytest.mark.external
PROFILES = Path(__file__).parent / "profiles"
UK = "ar/uk_public_payments/"


@dataclass(frozen=True)
class Family:
    """total: of all documents · open: what is open in the end, where the source says that something was settled"""

    profile: str
    file: str
    total: str
    currency: str = "GBP"
    open: str | None = None


FAMILIES = (
    Family("ibm-mdy", "ar/ibm_watson/pthiagu2__WA_AR.csv", "147703.18", "USD", open="0"),
    Family("highradius-dmy", "ar/highradius_sap/nooobcoder__nulldata_DD-MM-YYYY.csv", "310427858.974", "USD"),
    Family("leeds-2010-12", UK + "leeds_raw_2010-12.csv", "77179009.24"),
    Family("london-2013", UK + "london_clean_2013-P01.csv", "224678915.00"),
    Family("salford-2018", UK + "salford_clean_2018-04.csv", "16774197.82"),
    Family("sheffield", UK + "sheffield_clean_2011-07.csv", "183338393.13"),
    Family("northtyneside", UK + "northtyneside_clean_2019-09_p.csv", "91961.50"),
    Family("calderdale", UK + "calderdale_clean_2017-06.csv", "14573386.04"),
    Family("cabinetoffice", UK + "cabinetoffice_clean_2019-06.csv", "48558342.20"),
    Family("tfl", UK + "tfl_clean_2022-P05.csv", "404543376.37"),
    Family("networkrail", UK + "networkrail_clean_2019-01.csv", "509792606.90"),
)


# Three of them here; `make deep` runs all.
FEW = ("ibm-mdy", "salford-2018", "london-2013")
RUN = [f for f in FAMILIES if DEEP or f.profile in FEW]


def found(data_dir: Path, file: str) -> Path:
    path = data_dir / file
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    return path


def asked(*words: str | Path) -> dict:
    ran = CliRunner().invoke(cli, ["report", *map(str, words), "--json"], prog_name="tieout")
    assert ran.exit_code == 0, ran.stderr
    return json.loads(ran.stdout)


def totals(report: dict, table: str, column: str) -> dict[str, Decimal]:
    [held] = [t for t in report["tables"] if t["key"] == table]
    return {r["currency"]: Decimal(r[column]) for r in held["rows"] if r["style"] == "total" and r["currency"]}


@pytest.mark.parametrize("family", RUN, ids=lambda f: f.profile)
def test_every_family_gives_every_report_or_says_what_it_cannot_tell(family: Family, data_dir: Path) -> None:
    path = found(data_dir, family.file)
    profile = str(PROFILES / f"{family.profile}.toml")
    last = date(2030, 12, 31)
    aged = asked("aging", "--left", path, "--left-profile", profile, "--as-of", last)
    assert totals(aged, "customers", "total").get(family.currency, 0) == Decimal(family.open or family.total)
    assert aged["provenance"]["read"][path.name]["files"][0]["rejected"] == 0
    says = " ".join(aged["notes"])
    assert ("states of" in says) == (family.open is not None)
    assert ("shows no payments at all" in says) == (family.open is None)

    books = [of_files([(path, profile)])]
    middle = sorted(r.posted for r in books[0].records if hasattr(r, "posted"))[len(books[0].records) // 2]
    who = next(r for r in books[0].records if hasattr(r, "posted") and r.posted == middle).customer
    first = middle - timedelta(days=30)
    made = [
        aging.build(books, as_of=middle),
        aging.build(books, as_of=middle, by="document"),
        open_items.build(books, as_of=middle),
        *statement.build(books, as_of=middle, since=first, customers=[who]),
        roll_forward.build(books, as_of=middle, since=first),
        unapplied.build(books, as_of=middle),
        write_offs.build(books, as_of=middle, since=first),
        cut_off.build(books, as_of=middle),
        subsequent.build(books, as_of=middle, until=last),
    ]
    for report in made:
        assert not [p for p in report.proofs if p.held is False], report.name
        assert text.write(report)
        assert plain.write_json(report)


def by_bucket(rows: list[tuple[date, date, Decimal]], as_of: date) -> dict[str, Decimal]:
    """(issued, due, amount) of what is open, reckoned again."""
    sums: Counter[str] = Counter()
    for issued, due, amount in rows:
        if issued <= as_of:
            days = (as_of - due).days
            place = "not_due" if days <= 0 else "days_1_30" if days <= 30 else "days_31_60" if days <= 60 else "later"
            sums[place] += amount
    return {k: v for k, v in sums.items() if v}


def aged_by_bucket(path: Path, profile: str, as_of: date, currency: str) -> dict[str, Decimal]:
    words = ("--left", path, "--left-profile", PROFILES / f"{profile}.toml", "--as-of", as_of, "--no-detail")
    aged = asked("aging", *words, "--buckets", "30,60,90")
    keys = {"not_due": "not_due", "days_1_30": "days_1_30", "days_31_60": "days_31_60"}
    sums = {k: totals(aged, "customers", column).get(currency, Decimal(0)) for k, column in keys.items()}
    later = [totals(aged, "customers", c).get(currency, Decimal(0)) for c in ("days_61_90", "days_over_90")]
    return {k: v for k, v in (sums | {"later": sum(later)}).items() if v}


@pytest.mark.parametrize("as_of", [date(2012, 3, 31), date(2013, 6, 30)])
def test_ibms_aging_as_of_a_day_is_what_its_rows_say(data_dir: Path, as_of: date) -> None:
    path = found(data_dir, "ar/ibm_watson/pthiagu2__WA_AR.csv")

    def day(told: str) -> date:
        return datetime.strptime(told, "%m/%d/%Y").date()

    with path.open(newline="") as file:
        rows = [
            (day(r["InvoiceDate"]), day(r["DueDate"]), Decimal(r["InvoiceAmount"]))
            for r in csv.DictReader(file)
            if day(r["SettledDate"]) > as_of
        ]
    assert aged_by_bucket(path, "ibm-mdy", as_of, "USD") == by_bucket(rows, as_of)
    assert by_bucket(rows, as_of)


def test_highradius_aging_as_of_a_day_is_what_its_rows_say(data_dir: Path) -> None:
    path = found(data_dir, "ar/highradius_sap/nooobcoder__nulldata_DD-MM-YYYY.csv")

    def day(told: str) -> date:
        return datetime.strptime(told, "%d-%m-%Y").date()

    with path.open(newline="") as file:
        rows = [
            (day(r["posting_date"]), day(r["due_in_date"]), Decimal(r["converted_usd"]))
            for r in csv.DictReader(file)
            if not r["clear_date"]
        ]
    as_of = date(2020, 4, 30)
    assert aged_by_bucket(path, "highradius-dmy", as_of, "USD") == by_bucket(rows, as_of)


def test_a_shops_cancellations_are_its_credits(data_dir: Path) -> None:
    path = found(data_dir, "ar/uci_online_retail_by_day/2010-12-09.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    given = {r["InvoiceNo"] for r in lines if r["InvoiceNo"].startswith("C")}
    amount = sum(Decimal(r["Quantity"]) * Decimal(r["UnitPrice"]) for r in lines if r["InvoiceNo"] in given)
    words = ("--left", path, "--left-profile", PROFILES / "uci-retail.toml", "--as-of", "2010-12-31")
    report = asked("credits", *words)
    assert totals(report, "kinds", "amount") == {"GBP": amount}
    assert any("names no approver" in note for note in report["notes"])


def test_xeros_sales_are_open_as_xero_says_and_its_bills_are_left_out(data_dir: Path) -> None:
    source = found(data_dir, "ar/fivetran_seeds/dbt_xero/xero_invoice_data.csv")
    with source.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["type"] == "ACCREC"]
    due: Counter[str] = Counter()
    for r in rows:
        due[r["currency_code"]] += Decimal(r["amount_due"])
    report = asked("open-items", "--left", source, "--left-profile", PROFILES / "xero.toml", "--as-of", "2030-12-31")
    assert totals(report, "items", "open") == {c: a for c, a in due.items() if a}
    assert any("only that and when they were settled" in note for note in report["notes"])


def test_a_list_without_amounts_is_refused_and_says_what_is_missing(data_dir: Path) -> None:
    path = found(data_dir, "ar/sap_list_format/Sample_SAP_Format.txt")
    words = ["report", "aging", "--left", str(path), "--left-profile", "sap-fbl5n-en", "--as-of", "2026-01-31"]
    ran = CliRunner().invoke(cli, words, prog_name="tieout")
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert "Amount" in ran.stderr or "heading" in ran.stderr


def test_two_copies_of_one_ledger_stand_beside_each_other_without_a_difference(data_dir: Path) -> None:
    folder = "ar/ibm_watson/"
    left, right = found(data_dir, folder + "pthiagu2__WA_AR.csv"), found(data_dir, folder + "pedroteles__WA_AR.csv")
    words = ("--left", left, "--left-profile", PROFILES / "ibm-mdy.toml", "--right", right)
    more = ("--right-profile", PROFILES / "ibm-dmy.toml", "--as-of", "2013-06-30")
    report = asked("aging", *words, *more)
    [by_customer] = [t for t in report["tables"] if t["key"] == "customers"]
    details = [r for r in by_customer["rows"] if r["style"] == "detail"]
    assert len(details) == len({r["customer"] for r in details}) > 50
    assert {r["difference"] for r in by_customer["rows"]} == {"0.00"}
    near = asked("cut-off", *words, *more)
    [documents] = [t for t in near["tables"] if t["key"] == "documents"]
    assert {r["finding"] for r in documents["rows"] if r["style"] == "detail"} == {""}
