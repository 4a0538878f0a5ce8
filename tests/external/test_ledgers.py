"""Real ledgers read by their profiles, in bulk and record by record, to the figures that are known of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tieout.connectors.files import load, records
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
    Ledger("networkrail", UK + "networkrail_clean_2019-01.csv", 2_372, "509792606.90", skipped=("footer",)),
)


@pytest.fixture(scope="module", autouse=True)
def _how_many(request: pytest.FixtureRequest):
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nreal ledgers read: {len(_ran)} of {len(LEDGERS)}")


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda ledger: ledger.profile)
def test_ledger_reads_to_its_known_figures(ledger: Ledger, data_dir: Path) -> None:
    path = data_dir / ledger.file
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    profile = load_profile(PROFILES / f"{ledger.profile}.toml")
    con = duckdb.connect()
    bulk = load(con, path, profile, side="left")
    observations, single = records(path, profile, "erp")
    _ran.append(ledger.profile)

    assert bulk.as_json() == single.as_json()
    assert bulk.rejected == []
    assert bulk.accepted == ledger.accepted
    assert bulk.totals == {ledger.currency: {"count": ledger.accepted, "sum": Decimal(ledger.total)}}
    assert tuple(s["reason"].split(":")[0] for s in bulk.skipped) == ledger.skipped
    assert bulk.rows == bulk.accepted + len(bulk.skipped)
    documents = ledger.documents or ledger.accepted
    assert bulk.documents == documents == len(observations)
    found = con.execute("SELECT count(*), count(DISTINCT (kind, id)), sum(ar) FROM left_documents").fetchall()
    assert found == [(documents, documents, Decimal(ledger.total))]
