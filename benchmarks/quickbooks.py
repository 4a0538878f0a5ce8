"""1,000 QuickBooks invoices from bytes to records, and the requests of a first pull."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from quickbooks.objects.invoice import Invoice as TheirInvoice

from benchmarks.measure import Figure, in_turns
from tieout.config.secrets import open_store
from tieout.config.settings import SecretsSettings
from tieout.connectors.quickbooks import open_quickbooks, wire
from tieout.connectors.quickbooks import pull as pulling
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.errors import RecordError
from tieout.mapping import quickbooks
from tieout.mapping.quickbooks import payload
from tieout.model import Entity
from tieout.sandbox import quickbooks as sandbox

COUNT = 1_000
SIZES = (0, 1, 1_000, 1_001, 10_001)
NAME = "qbo"


def page() -> bytes:
    """An answer to a query for invoices, written as Intuit writes it: amounts as numbers, two lines each."""
    return json.dumps({"QueryResponse": {"Invoice": [_invoice(n) for n in range(1, COUNT + 1)]}}).encode()


def _invoice(n: int) -> dict[str, object]:
    net = [round(100 + n * 1.37, 2), round(20 + n * 0.11, 2)]
    lines: list[dict[str, object]] = [
        {
            "Id": str(i),
            "LineNum": i,
            "Description": f"Service {n}-{i}",
            "Amount": amount,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {
                "ItemRef": {"value": "1", "name": "Services"},
                "UnitPrice": amount,
                "Qty": 1,
                "TaxCodeRef": {"value": "NON"},
            },
        }
        for i, amount in enumerate(net, 1)
    ]
    total = round(sum(net), 2)
    lines.append({"Amount": total, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}})
    return {
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "domain": "QBO",
        "sparse": False,
        "Id": str(n),
        "SyncToken": "0",
        "MetaData": {"CreateTime": "2026-01-05T10:00:00-08:00", "LastUpdatedTime": "2026-01-05T10:00:00-08:00"},
        "CustomField": [],
        "DocNumber": f"INV-{n:06d}",
        "TxnDate": "2026-01-05",
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "LinkedTxn": [],
        "Line": lines,
        "TxnTaxDetail": {"TotalTax": 0},
        "CustomerRef": {"value": str(n % 50 + 1), "name": f"Customer {n % 50 + 1}"},
        "CustomerMemo": {"value": "Thank you"},
        "BillAddr": {"Id": "2", "Line1": "1 Main Street", "City": "Springfield", "PostalCode": "01101"},
        "SalesTermRef": {"value": "3"},
        "DueDate": "2026-02-04",
        "TotalAmt": total,
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
        "Balance": total,
        "Deposit": 0,
    }


def run(folder: Path) -> list[Figure]:
    return [*_decoding(), *(_asking(n, folder) for n in SIZES)]


def _asking(n: int, folder: Path) -> Figure:
    """Requests of a first pull of n invoices, and of what belongs to them, from the sandbox over HTTP."""
    with sandbox.running(sandbox.generate(min(n, 50), n, 7) if n else sandbox.Books("empty")) as live:
        store = open_store(SecretsSettings(store="file", folder=folder / str(n)), company="bench")
        now = datetime.now(UTC)
        access, refresh = now + timedelta(hours=1), now + timedelta(days=100)
        store_tokens(NAME, Tokens(live.realm, live.token(), live.refresh_token, access, refresh, now), store)
        connector = open_quickbooks(
            NAME,
            settings={"company_id": live.realm, "client_id": live.client_id, "api_base": live.base_url},
            secrets={"client_secret": live.client_secret},
            clock=lambda: datetime.now(UTC),
            store=store,
        )
        connector.company()
        connector.pull(Entity.CUSTOMER)  # unread: asks what is asked once per run, company and payment methods
        worst, told = 0.0, []
        for entity in sorted(connector.capabilities.reads):
            before, pull = connector.requests, connector.pull(entity)
            rows = sum(1 for _ in pull)
            if not pull.complete or rows != len(live.books.all(quickbooks.NAMES[entity])):
                raise RuntimeError(f"{entity}: {rows} rows read")
            asked, most = connector.requests - before, -(-rows // 1000) + 3
            worst = max(worst, asked / most)
            told.append(f"{rows:,} {entity}: {asked}")
        connector.close()
    return Figure(f"requests per entity, first pull of {n:,} invoices", "⌈N/1000⌉+3", worst, 1, note="; ".join(told))


def _decoding() -> list[Figure]:
    body = page()
    books = quickbooks.Books("qbo", "USD")

    def ours() -> list[object]:
        found = [
            quickbooks.read(Entity.INVOICE, native, books)
            for native in pulling.rows(wire.decode(body, payload.page), "Invoice")
        ]
        if any(isinstance(r, RecordError) for r in found):
            raise RuntimeError(f"not read: {next(r for r in found if isinstance(r, RecordError))}")
        return found

    def theirs() -> list[object]:
        answer = json.loads(body, parse_float=Decimal)
        return [TheirInvoice.from_json(i) for i in answer["QueryResponse"]["Invoice"]]

    times = in_turns({"loads": lambda: json.loads(body), "theirs": theirs, "ours": ours}, rounds=21)
    return [
        Figure(
            "python-quickbooks Invoice.from_json, exact decimals",
            "our canonical records",
            times.ratio("theirs", "ours"),
            3,
            least=True,
        ),
        Figure("our canonical records", "json.loads with floats, no records", times.ratio("ours", "loads")),
    ]
