"""Real ledgers, and a copy that is damaged in known ways, as a bridge report: the same findings, and every proof holds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from test_compare_ledgers import LEDGERS, PROFILES, damage, found, profile

from tests.deep import DEEP
from tieout.cli.ledgers import linked, of_files
from tieout.compare.ledgers import Ledger, compare_ledgers
from tieout.reports.reconciliation import bridge

pytestmark = pytest.mark.external


# The largest three take most of a minute: `make deep` runs them too.
RUN = [x for x in LEDGERS if DEEP or x.profile not in ("sheffield", "tfl", "leeds-2010-12")]


@pytest.mark.parametrize("ledger", RUN, ids=lambda x: x.profile)
def test_the_bridge_of_a_real_ledger_to_its_damaged_copy_names_each_damage_and_proves_itself(
    data_dir: Path, tmp_path: Path, ledger
) -> None:
    file, kept = found(data_dir / ledger.file, profile(ledger.profile)), tmp_path / "profile.toml"
    # As in the comparison's own test: a doubled document is to be found, not refused at the door.
    text = (PROFILES / f"{ledger.profile}.toml").read_text("utf-8")
    kept.write_text(text if "unique = " in text else f"unique = false\n{text}", "utf-8")
    copy = tmp_path / "damaged.csv"
    expected, money = damage(ledger, file, copy, random.Random(3))
    books = linked([of_files([(path, str(kept))]) for path in (file, copy)])
    ids = "document" in profile(ledger.profile).columns
    both = compare_ledgers(*(Ledger(b.name, b.records, rejected=b.unreadable) for b in books), as_of=None, same_ids=ids)
    assert {code: entry["count"] for code, entry in both.result.by_code.items()} == expected
    last = max(r.posted for b in books for r in b.records if r.entity != "customer")
    report = bridge.build(books, both, as_of=last, base="GBP")
    assert [p.claim for p in report.proofs if p.held is False] == []
    moved: Counter[str] = Counter()
    lines = next(t for t in report.tables if t.key == "bridge")
    for row in lines.rows:
        if row.cells[2]:
            moved[row.cells[2]] += row.cells[5]
    assert {code: amount for code, amount in moved.items() if amount} == {c: m for c, m in money.items() if m}
