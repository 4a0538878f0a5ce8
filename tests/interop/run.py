"""Runs node-quickbooks, as npm delivers it, against the sandbox: `python -m tests.interop.run`.

Two parts: our own script through a month of receivables (facts compared), and the package's own test files. What is
absent (node, npm, the registry) is named and is no failure; a wrong answer is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tieout.sandbox.quickbooks import Books, Running, Switches, running

HERE = Path(__file__).resolve().parent
PACKAGES = ("node-quickbooks@2.0.50", "mocha@10.1.0", "expect@0.1.1", "async@0.9.0")
ENTITIES = (  # what the package's test asks for, one find… each; singular as it pluralises them
    "account attachable bill billPayment budget class companyCurrency companyInfo creditMemo customer customerType "
    "department deposit employee estimate exchangeRate invoice item journalCode journalEntry payment paymentMethod "
    "preferences purchase purchaseOrder refundReceipt salesReceipt taxAgency taxCode taxRate term timeActivity "
    "transfer vendor vendorCredit"
)
REPORTS = (
    "BalanceSheet ProfitAndLoss ProfitAndLossDetail TrialBalance CashFlow InventoryValuationSummary CustomerSales "
    "ItemSales CustomerIncome CustomerBalance CustomerBalanceDetail AgedReceivables AgedReceivableDetail "
    "VendorBalance VendorBalanceDetail AgedPayables AgedPayableDetail VendorExpenses GeneralLedgerDetail"
)
EXPECTED: dict[str, Any] = {
    "token_type": "bearer",
    "company": "Harbor Lane Supply",
    "found": [True],
    "duplicate": "6240",
    "replayed": True,
    "unapplied": 0,
    "open": 20,
    "balance": 20,
    "stale": "5010",
    "noted": ["x", "2", 100.1],
    "reopened": 100.1,
    "deleted": "Deleted",
    "missing": "610",
    "paged": True,
    "batch": ["a", "610"],
    "changed": ["Deleted"],
    "report": "AgedReceivables",
}


def main() -> int:
    """0 when everything agreed or something needed is absent; 1 on a wrong answer."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print(f"interop: absent: {'node' if node is None else 'npm'}; nothing was run")
        return 0
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        place = Path(folder)
        if not install(npm, place):
            return 0
        with running(Books("small", Switches(auto_apply_credit=False))) as site:
            ok = drive(node, place, site)
        with running(Books("small")) as site:
            ok = suite(node, place, site) and ok
    return 0 if ok else 1


def install(npm: str, place: Path) -> bool:
    """Puts the pinned packages into the folder; says what is absent and returns False when that cannot be done."""
    (place / "package.json").write_text('{"name":"interop","private":true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *PACKAGES]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        print("interop: absent: the npm registry (no answer in 240 s); nothing was run")
        return False
    if done.returncode:
        print(f"interop: absent: npm packages {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
        return False
    return True


def environment(place: Path, site: Running) -> dict[str, str]:
    facts = {
        "base_url": site.base_url,
        "realm": site.realm,
        "client_id": site.client_id,
        "client_secret": site.client_secret,
        "refresh_token": site.refresh_token,
        "token": site.token(),
    }
    return os.environ | {
        "SANDBOX": json.dumps(facts),
        "NODE_PATH": str(place / "node_modules"),
        "NODE_ENV": "production",
    }


def drive(node: str, place: Path, site: Running) -> bool:
    """Our script; its facts must be the expected ones, and the books whole."""
    done = subprocess.run(
        [node, str(HERE / "drive.js")],
        cwd=place,
        env=environment(place, site),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    site.books.check()
    if done.returncode:
        print(f"node-quickbooks: our script failed:\n{done.stderr}")
        return False
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    wrong = {k: (facts.get(k), v) for k, v in EXPECTED.items() if facts.get(k) != v}
    for name, (got, wanted) in wrong.items():
        print(f"node-quickbooks: {name}: {got!r} instead of {wanted!r}")
    print(f"node-quickbooks: our script: {len(EXPECTED) - len(wrong)} of {len(EXPECTED)} facts as expected")
    return not wrong


def suite(node: str, place: Path, site: Running) -> bool:
    """The package's own tests. cdc.js (needs a package it does not declare) and charge.js (payments API) stay out."""
    (place / "build").mkdir()
    (place / "build" / "query.txt").write_text("\n".join(ENTITIES.split()))
    (place / "build" / "report.txt").write_text("\n".join(REPORTS.split()) + "\n")
    tests = [str(place / "node_modules" / "node-quickbooks" / "test" / name) for name in ("index.js", "batch.js")]
    mocha = place / "node_modules" / "mocha" / "bin" / "mocha.js"
    command = [node, str(mocha), "--reporter", "json", "--require", str(HERE / "hook.js"), *tests]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment(place, site),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    site.books.check()
    try:
        result = json.loads(done.stdout[done.stdout.index("{\n") :])
    except ValueError:
        print(f"node-quickbooks: its own tests did not run:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        return False
    for failure in result["failures"]:
        print(f"node-quickbooks: FAILED {failure['fullTitle']}: {failure['err'].get('message', '')[:300]}")
    stats = result["stats"]
    print(f"node-quickbooks: its own tests: {stats['passes']} passed, {stats['failures']} failed")
    print("node-quickbooks: left out: cdc.js (requires moment, undeclared), charge.js (another API)")
    return not result["failures"] and bool(stats["passes"])


if __name__ == "__main__":
    sys.exit(main())
