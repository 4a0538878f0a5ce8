"""The IBM sample as an ERP that speaks in files and states settlements, kept in step with QuickBooks by the program.

Everything goes through the command line: `connect`, `sync --apply`, `plan approve … --accept-guard`; the QuickBooks
sandbox answers over HTTP, the file ERP loads and exports files. The figures are those of the ledger itself.
"""

from __future__ import annotations

import csv
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.deep import DEEP
from tieout.cli import cli
from tieout.sandbox import quickbooks as qbo
from tieout.sandbox.file_erp import Books, FileErp

pytestmark = pytest.mark.external
D = Decimal
PROFILE = Path(__file__).parent / "profiles" / "ibm-mdy.toml"
LAST_STATED = date(2013, 6, 30)
FIRST_EXPORT = date(2014, 3, 31)
CONFIG = """
[company]
name = "IBM sample"
[secrets]
store = "file"
folder = "secrets"
[connection.erp]
kind = "tabular"
folder = "export"
outbox = "import"
currency = "USD"
entity_code = "1000"
settle_seconds = 0
exports = [{{ glob = "invoices_*", profile = "{profile}" }}, {{ glob = "payments_*", profile = "payments" }}]
imports = {{ payment = "import-payments" }}
[connection.quickbooks]
kind = "quickbooks"
company_id = "{realm}"
client_id = "{client}"
client_secret = {{ command = ["cat", "{folder}/client-secret"] }}
api_base = "{url}"
discovery_url = "{url}/.well-known/openid_sandbox_configuration"
redirect_uri = "http://localhost:{port}/callback"
[pair.books]
left = "erp"
right = "quickbooks"
mode = "propose"
cutover = 2012-01-01
stated_settlements = "create"
[pair.books.codes.items]
"" = "1"
[pair.books.checks]
stale_after_days = "never"
"""


@dataclass(frozen=True)
class Bill:
    number: str
    customer: str
    issued: date
    due: date
    amount: Decimal
    disputed: bool
    settled: date


def day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()


def ledger(file: Path) -> list[Bill]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return [
            Bill(
                r["invoiceNumber"],
                r["customerID"],
                day(r["InvoiceDate"]),
                day(r["DueDate"]),
                D(r["InvoiceAmount"]),
                r["Disputed"] == "Yes",
                day(r["SettledDate"]),
            )
            for r in csv.DictReader(lines)
        ]


class Company:
    """The ERP, QuickBooks and tieout between them; every step of tieout is a command."""

    def __init__(self, folder: Path, bills: list[Bill], server: qbo.Running) -> None:
        self.folder, self.server, self.day = folder, server, FIRST_EXPORT
        self.erp = FileErp(Books(company_code="1000", name="IBM sample"), folder=folder / "erp")
        for name in sorted({b.customer for b in bills}):
            self.erp.books.enter_customer(name, account=name)
        for b in bills:
            stated = b.settled if b.settled <= LAST_STATED else None
            self.erp.books.enter_invoice(
                b.customer, b.amount, on=b.issued, due=b.due, number=b.number, disputed=b.disputed, settled_on=stated
            )
        for name in ("export", "import"):
            (folder / name).mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        told = {"profile": PROFILE, "folder": folder, "realm": server.realm, "client": server.client_id}
        (folder / "tieout.toml").write_text(CONFIG.format(**told, url=server.base_url, port=port), "utf-8")
        (folder / "client-secret").write_text(server.client_secret, "utf-8")
        (folder / "client-secret").chmod(0o600)

    def tieout(self, *words: str, stdin: str = "") -> tuple[int, str]:
        ran = CliRunner().invoke(cli, [*words, "-c", str(self.folder / "tieout.toml")], input=stdin)
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code in (0, 4), ran.output
        return ran.exit_code, ran.stdout

    def sync(self) -> dict[str, Any]:
        [run] = json.loads(self.tieout("sync", "--apply", "--json")[1])["runs"]
        for bridge in run["bridge"].values():
            assert bridge["remainder"] == "0.00"
        return dict(run)

    def approve(self, run: dict[str, Any], *guards: str) -> None:
        lifted = [word for g in guards for word in ("--accept-guard", g)]
        self.tieout("plan", "approve", run["plan"]["id"], "--by", "A. Controller", *lifted)

    def listed(self) -> list[dict[str, Any]]:
        return list(json.loads(self.tieout("discrepancies", "list", "--json")[1])["discrepancies"])

    def export(self) -> None:
        self.erp.export(self.folder / "export", self.day, layouts=("settlements", "payments"))
        self.day += timedelta(days=1)

    def load(self) -> int:
        report = self.erp.load_outbox(self.folder / "import")
        assert (report.refused, report.rejected) == ([], [])
        return len(report.booked)

    def pay(self, bill: Bill, amount: Decimal, reference: str, *, applied: bool = True) -> None:
        """Somebody enters a payment in QuickBooks, on the day on which the customer really settled."""
        invoice = self.invoices[bill.number]
        line = {"Amount": amount, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        self.server.books.apply(
            "Payment",
            "create",
            {
                "CustomerRef": invoice["CustomerRef"],
                "TotalAmt": amount,
                "TxnDate": bill.settled.isoformat(),
                "PaymentRefNum": reference,
                "Line": [line] if applied else [],
            },
        )

    def read_invoices(self) -> None:
        self.invoices = {i["DocNumber"]: i for i in self.server.books.all("Invoice")}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[list[Bill]], Company]]:
    switches = qbo.Switches(auto_apply_credit=False, custom_txn_numbers=True)
    with qbo.running(qbo.Books("empty", switches)) as server:
        yield lambda bills: Company(tmp_path, bills, server)


def codes(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(d["code"] for d in found)


# `make deep` writes 4,412 records over HTTP, each with its intent, its answer and its reading back; `make test` a twelfth.
@pytest.mark.timeout(900)
def test_stated_settlements_and_payments_go_round(data_dir: Path, start: Callable[[list[Bill]], Company]) -> None:
    file = data_dir / "ar" / "ibm_watson" / "pthiagu2__WA_AR.csv"
    if not file.is_file():
        pytest.skip(f"test data absent: {file}")
    bills = ledger(file)
    open_ = [b for b in bills if b.settled > LAST_STATED]
    assert (len(bills), len(open_), sum(b.amount for b in open_)) == (2466, 620, D("37378.44"))
    if not DEEP:
        bills = bills[::12]
        open_ = [b for b in bills if b.settled > LAST_STATED]
        assert len(open_) > 40

    company = start(bills)
    company.tieout("connect", "quickbooks", "--token-stdin", stdin=company.server.refresh_token)
    company.export()
    run = company.sync()
    kinds = Counter((o["op"], o["entity"], o["target"]) for o in run["plan"]["operations"])
    customers = len({b.customer for b in bills})
    settled = len(bills) - len(open_)
    assert kinds == {
        ("create", "customer", "right"): customers,
        ("create", "invoice", "right"): len(bills),
        ("create", "payment", "right"): settled,
    }
    assert run["applied"]["done"] == 0, "the guard holds"
    company.approve(run, "mass_create")
    run = company.sync()
    assert run["applied"]["done"] == customers + len(bills) + settled
    owed = sum(b.amount for b in open_)
    assert D(run["bridge"]["USD"]["left_total"]) == D(run["bridge"]["USD"]["right_total"]) == owed
    assert company.listed() == []
    balances = [D(str(i["Balance"])) for i in company.server.books.all("Invoice")]
    assert (sum(1 for b in balances if b), sum(balances)) == (len(open_), owed)
    assert all("stated by erp" in p["PrivateNote"] for p in company.server.books.all("Payment"))
    assert company.sync()["plan"]["operations"] == []

    company.read_invoices()
    twice, in_part = open_[::10], open_[5::10]
    for n, bill in enumerate(open_):
        amount = (bill.amount / 2).quantize(D("0.01")) if bill in in_part else bill.amount
        company.pay(bill, amount, f"chk {n}")
        if bill in twice:
            company.pay(bill, amount, f"chk {n}", applied=False)
    run = company.sync()
    assert Counter((o["op"], o["entity"], o["target"]) for o in run["plan"]["operations"]) == {
        ("create", "payment", "left"): len(open_) + len(twice)
    }
    company.approve(run, "mass_create")
    assert company.sync()["applied"]["pending"] == len(open_) + len(twice)
    assert company.load() == len(open_) + len(twice)
    company.export()
    run = company.sync()
    left = sum(b.amount - (b.amount / 2).quantize(D("0.01")) for b in in_part) - sum(b.amount for b in twice)
    assert D(run["bridge"]["USD"]["left_total"]) == D(run["bridge"]["USD"]["right_total"]) == left
    named = company.listed()
    assert codes(named) == {"PAYMENT_DUPLICATED": len(twice)}
    assert company.sync()["plan"]["operations"] == []

    for bill in in_part:
        company.erp.books.change(bill.number, settled_on=bill.settled)
    company.export()
    run = company.sync()
    assert run["plan"]["operations"] == []
    named = [d for d in company.listed() if d["code"] != "PAYMENT_DUPLICATED"]
    assert codes(named) == {"PAID_VS_OPEN": len(in_part)}
    rest = {b.number: b.amount - (b.amount / 2).quantize(D("0.01")) for b in in_part}
    assert {d["left_label"]: D(d["delta"]) for d in named} == rest
    assert company.sync()["plan"]["operations"] == []
