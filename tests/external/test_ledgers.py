"""Real ledgers read by their profiles, in bulk and record by record, to the figures that are known of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.deep import DEEP
from tieout.connectors.files import check, load, records
from tieout.mapping.tabular import load_profile

PROFILES = Path(__file__).parent / "profiles"
pytestmark = pytest.mark.external
_ran: list[str] = []


@dataclass(frozen=True)
class Ledger:
    profile: str
    file: str
    accepted: int
    total: str
    currency: str = "GBP"
    skipped: tuple[str, ...] = ()
    documents: int | None = None


UK = "ar/uk_public_payments/"
LEDGERS = (
    Ledger("ibm-mdy", "ar/ibm_watson/pthiagu2__WA_AR.csv", 2466, "147703.18", "USD"),
    Ledger("ibm-dmy", "ar/ibm_watson/pedroteles__WA_AR.csv", 2466, "147703.18", "USD"),
    Ledger("leeds-2010-12", UK + "leeds_raw_2010-12.csv", 10_303, "77179009.24", skipped=("blank",) * 3),
    Ledger("leeds-2011-01", UK + "leeds_raw_2011-01.csv", 8_837, "65483945.63"),
    Ledger("london-2013", UK + "london_clean_2013-P01.csv", 1_202, "224678915.00"),
    Ledger("salford-2018", UK + "salford_clean_2018-04.csv", 1_248, "16774197.82"),
    Ledger("sheffield", UK + "sheffield_clean_2011-07.csv", 14_548, "183338393.13"),
    Ledger("northtyneside", UK + "northtyneside_clean_2019-09_p.csv", 3_687, "91961.50"),
    Ledger("calderdale", UK + "calderdale_clean_2017-06.csv", 1_874, "14573386.04"),
    Ledger("cabinetoffice", UK + "cabinetoffice_clean_2019-06.csv", 342, "48558342.20"),
    Ledger("tfl", UK + "tfl_clean_2022-P05.csv", 10_380, "404543376.37"),
    Ledger("highradius-dmy", "ar/highradius_sap/nooobcoder__nulldata_DD-MM-YYYY.csv", 9_681, "310427858.974", "USD"),
    Ledger("networkrail", UK + "networkrail_clean_2019-01.csv", 2_372, "509792606.90", skipped=("footer",)),
)


@pytest.fixture(scope="module", autouse=True)
def _how_many(request: pytest.FixtureRequest):
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nreal ledgers read: {len(_ran)} of {len(RUN) + 1} profiles")


# These are compared with damaged copies, and paid, in the tests beside this one; `make deep` reads them here too.
ELSEWHERE = ("sheffield", "tfl", "leeds-2010-12", "highradius-dmy")
RUN = [x for x in LEDGERS if DEEP or x.profile not in ELSEWHERE]


@pytest.mark.parametrize("ledger", RUN, ids=lambda ledger: ledger.profile)
def test_ledger_reads_to_its_known_figures(ledger: Ledger, data_dir: Path) -> None:
    path = data_dir / ledger.file
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    profile = load_profile(PROFILES / f"{ledger.profile}.toml")
    con = duckdb.connect()
    bulk = load(con, path, profile, side="left")
    observations, single = records(path, profile, "erp")
    _ran.append(ledger.profile)

    assert bulk.as_json() == single.as_json() == check(duckdb.connect(), path, profile).as_json()
    assert bulk.rejected == []
    assert bulk.accepted == ledger.accepted
    assert bulk.totals == {ledger.currency: {"count": ledger.accepted, "sum": Decimal(ledger.total)}}
    assert tuple(s["reason"].split(":")[0] for s in bulk.skipped) == ledger.skipped
    assert bulk.rows == bulk.accepted + len(bulk.skipped)
    documents = ledger.documents or ledger.accepted
    assert bulk.documents == documents == len(observations)
    found = con.execute("SELECT count(*), count(DISTINCT (kind, id)), sum(ar) FROM left_documents").fetchall()
    assert found == [(documents, documents, Decimal(ledger.total))]


def test_northtyneside_keeps_1811_identical_rows(data_dir: Path) -> None:
    path = data_dir / (UK + "northtyneside_clean_2019-09_p.csv")
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    observations, report = records(path, load_profile(PROFILES / "northtyneside.toml"), "erp")
    rows = [tuple(o.raw.values()) for o in observations]
    assert (report.accepted, len(rows) - len(set(rows))) == (3_687, 1_811)


def test_uci_lines_make_invoices_and_cancellations(data_dir: Path) -> None:
    paths = sorted((data_dir / "ar/uci_online_retail_by_day").glob("*.csv"))
    if not paths:
        pytest.skip("absent: ar/uci_online_retail_by_day")
    profile = load_profile(PROFILES / "uci-retail.toml")
    con = duckdb.connect()
    for path in paths:
        with path.open(encoding="utf-8", newline="") as f:
            lines = list(csv.DictReader(f))
        total = sum(Decimal(r["Quantity"]) * Decimal(r["UnitPrice"]) for r in lines)
        numbers = {r["InvoiceNo"] for r in lines}
        report = load(con, path, profile, side="left")
        assert report.rejected == []
        assert report.accepted == len(lines)
        assert report.documents == len(numbers)
        assert report.totals["GBP"]["sum"] == total
        found = con.execute("SELECT count(*) FROM left_documents WHERE kind = 'credit_memo'").fetchall()
        assert found[0][0] == sum(n.startswith("C") for n in numbers)
    _ran.append("uci-retail")
