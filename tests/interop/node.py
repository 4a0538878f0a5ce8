"""node-quickbooks as npm delivers it: our script through a month of receivables, and the package's own test files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.interop.parts import Part
from tieout.sandbox.quickbooks import Books, Running, Switches, running

HERE = Path(__file__).resolve().parent
CLIENT = "node-quickbooks 2.0.50"
SCRIPT, OWN = "our script", "its own index.js, batch.js, cdc.js"
PACKAGES = ("node-quickbooks@2.0.50", "mocha@10.1.0", "expect@0.1.1", "async@0.9.0", "moment@2.29.4")
ENTITIES = (  # what the package's test asks for, one find… each; singular as it pluralises them
    "account attachable bill billPayment budget class companyCurrency companyInfo creditMemo customer customerType "
    "department deposit employee estimate exchangeRate invoice item journalCode journalEntry payment paymentMethod "
    "preferences purchase purchaseOrder refundReceipt salesReceipt taxAgency taxCode taxRate term timeActivity "
    "transfer vendor vendorCredit"
)
REPORTS = (
    "BalanceSheet ProfitAndLoss ProfitAndLossDetail TrialBalance CashFlow InventoryValuationSummary CustomerSales "
    "ItemSales CustomerIncome CustomerBalance CustomerBalanceDetail AgedReceivables AgedReceivableDetail "
    "VendorBalance VendorBalanceDetail AgedPayables AgedPayableDetail VendorExpenses TransactionList "
    "GeneralLedgerDetail DepartmentSales ClassSales"
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


def parts(place: Path) -> list[Part]:
    """Both runs, each against fresh books; packages are installed into `place`."""
    tools = {name: shutil.which(name) for name in ("node", "npm")}
    absent = next((name for name, path in tools.items() if path is None), "") or install(str(tools["npm"]), place)
    if absent:
        return [Part(CLIENT, checks, absent=absent) for checks in (SCRIPT, OWN)]
    node = str(tools["node"])
    with running(Books("small", Switches(auto_apply_credit=False))) as site:
        script = drive(node, place, site)
    with running(Books("small")) as site:
        return [script, suite(node, place, site)]


def install(npm: str, place: Path) -> str:
    """Puts the pinned packages into the folder; says what is absent when that cannot be done, else ""."""
    (place / "package.json").write_text('{"name":"interop","private":true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *PACKAGES]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return "the npm registry (no answer in 240 s)"
    return f"npm packages {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}" if done.returncode else ""


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


def drive(node: str, place: Path, site: Running) -> Part:
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
        print(f"{CLIENT}: our script failed:\n{done.stderr}")
        return Part(CLIENT, SCRIPT, failed=len(EXPECTED))
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    wrong = {k: (facts.get(k), v) for k, v in EXPECTED.items() if facts.get(k) != v}
    for name, (got, wanted) in wrong.items():
        print(f"{CLIENT}: {name}: {got!r} instead of {wanted!r}")
    return Part(CLIENT, SCRIPT, len(EXPECTED) - len(wrong), len(wrong))


def suite(node: str, place: Path, site: Running) -> Part:
    """The package's own tests, unmodified."""
    (place / "build").mkdir()
    (place / "build" / "query.txt").write_text("\n".join(ENTITIES.split()))
    (place / "build" / "report.txt").write_text("\n".join(REPORTS.split()) + "\n")
    files = ("index.js", "batch.js", "cdc.js")
    tests = [str(place / "node_modules" / "node-quickbooks" / "test" / name) for name in files]
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
        print(f"{CLIENT}: its own tests did not run:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        return Part(CLIENT, OWN, failed=1)
    for failure in result["failures"]:
        print(f"{CLIENT}: FAILED {failure['fullTitle']}: {failure['err'].get('message', '')[:300]}")
    stats = result["stats"]
    return Part(CLIENT, OWN, stats["passes"], stats["failures"], left_out="charge.js (the payments API, another host)")
