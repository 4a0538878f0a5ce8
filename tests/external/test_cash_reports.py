"""Suggestions, worklist and forecast on real ledgers: what is known of the payments is found again, and all adds up."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest

from tests.deep import DEEP
from tests.ledgers import payment
from tieout.connectors.tabular.export_reading import read_files
from tieout.mapping.tabular import load_profile
from tieout.model import AnyRecord, Invoice, Payment
from tieout.reports import Books, Report
from tieout.reports.cash.forecast import build as forecast
from tieout.reports.cash.paying import day
from tieout.reports.cash.subsets import Caps
from tieout.reports.cash.suggest import Suggestion, suggest
from tieout.reports.cash.worklist import build as worklist
from tieout.reports.ledger import Subledger

PROFILES = Path(__file__).parent / "profiles"
IBM = ("ar/ibm_watson/pthiagu2__WA_AR.csv", "ibm-mdy"), ("ar/ibm_watson/pedroteles__WA_AR.csv", "ibm-dmy")
HIGHRADIUS = "ar/highradius_sap/nooobcoder__nulldata_DD-MM-YYYY.csv", "highradius-dmy"
pytestmark = pytest.mark.external


def books(data_dir: Path, file: str, profile: str) -> Books:
    path = data_dir / file
    if not path.is_file():
        pytest.skip(f"absent: {path}")
    return _read(path, profile)


@cache
def _read(path: Path, profile: str) -> Books:
    records, _, unreadable = read_files([(path, load_profile(PROFILES / f"{profile}.toml"))], path.name)
    return Books(name=path.name, records=records, source={}, unreadable=unreadable)


def found(records: list[AnyRecord], as_of: date) -> list[Suggestion]:
    return suggest(day(Subledger(Books(name="erp", records=records, source={})), as_of), Caps())


def told(suggestions: list[Suggestion], truth: dict[str, set[str]]) -> Counter[str]:
    """How many were suggested rightly and wrongly, and how many were left to a person."""
    counted: Counter[str] = Counter()
    for s in suggestions:
        right = (
            s.verdict == "suggested" and {line.document.ref.id for line in s.fits[0].lines} == truth[s.payment.ref.id]
        )
        counted["left" if s.verdict != "suggested" else "right" if right else "wrong"] += 1
    return counted


@pytest.mark.parametrize(("file", "profile"), IBM)
@pytest.mark.parametrize("as_of", [date(2012, 6, 30), date(2013, 6, 30)])
def test_a_weeks_money_of_a_customer_finds_the_invoices_that_it_settled(
    data_dir: Path, file: str, profile: str, as_of: date
) -> None:
    kept: list[AnyRecord] = []
    weekly: dict[tuple[str, tuple[int, int]], list[Payment]] = defaultdict(list)
    for r in books(data_dir, file, profile).records:
        if isinstance(r, Payment) and as_of - timedelta(days=90) < r.posted <= as_of:
            weekly[r.customer, r.posted.isocalendar()[:2]].append(r)
        else:
            kept.append(r)
    truth = {}
    for (who, _), parts in weekly.items():
        last = max(p.posted for p in parts).isoformat()
        made = payment(f"P{len(truth)}", who, str(sum(p.amount for p in parts)), last, reference=None)
        truth[made.ref.id] = {a.invoice for p in parts for a in p.applications}
        kept.append(made)
    counted = told(found(kept, as_of), truth)
    assert counted["right"] > 250
    assert counted == {"right": len(truth)}


@pytest.mark.parametrize("named", [False, True])
def test_money_for_some_of_many_open_invoices(data_dir: Path, named: bool) -> None:
    as_of = date(2020, 5, 10)
    records = list(books(data_dir, *HIGHRADIUS).records)
    open_: dict[str, list[Invoice]] = defaultdict(list)
    for r in records:
        if isinstance(r, Invoice) and r.posted <= as_of:
            open_[r.customer].append(r)
    chosen, truth = random.Random(1), {}
    for who, bills in sorted(open_.items()):
        paid = chosen.sample(bills, min(chosen.choice([1, 1, 1, 2, 3, 5, 8]), len(bills)))
        memo = "pays " + ", ".join(b.number or "" for b in paid) if named else None
        total = str(sum(b.total for b in paid))
        made = payment(f"P{len(truth)}", who, total, as_of.isoformat(), reference=None, memo=memo)
        truth[made.ref.id] = {b.ref.id for b in paid}
        records.append(made)
    counted = told(found(records, as_of), truth)
    assert len(truth) > 500
    assert counted["wrong"] == 0
    assert counted["right"] >= (len(truth) if named else len(truth) * 9 // 10)


@pytest.mark.parametrize(("file", "profile"), [IBM[0], HIGHRADIUS])
def test_everything_adds_up_on_every_month_end(data_dir: Path, file: str, profile: str) -> None:
    held = books(data_dir, file, profile)
    first = min(r.posted for r in held.records if isinstance(r, Invoice))
    as_of = (first.replace(day=1) + timedelta(days=62)).replace(day=1) - timedelta(days=1)
    for _ in range(3 if DEEP else 1):
        for made in (worklist(held, as_of=as_of), forecast(held, as_of=as_of)):
            assert made.proofs
            assert [p for p in made.proofs if p.held is False] == []
        as_of = (as_of + timedelta(days=100)).replace(day=1) - timedelta(days=1)


@pytest.mark.parametrize(("file", "profile"), IBM)
def test_the_forecast_was_nearer_than_due_dates_and_within_a_tenth(data_dir: Path, file: str, profile: str) -> None:
    made = forecast(books(data_dir, file, profile), as_of=date(2013, 6, 30))
    total = cells(made, "backtest", "total")[-1]
    assert abs(total["percent"]) < 10
    assert abs(total["error"]) < abs(total["due"] - total["received"])
    assert any("In 6 of 6 earlier forecasts" in note for note in made.notes)


def cells(made: Report, key: str, style: str) -> list[dict]:
    [table] = [t for t in made.tables if t.key == key]
    return [dict(zip((c.key for c in table.columns), r.cells, strict=True)) for r in table.rows if r.style == style]
