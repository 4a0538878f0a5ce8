"""The contract's harness on the QuickBooks sandbox: its users act on the books, the connector over HTTP."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

from tests.quickbooks_bench import NAME, FileStore, bench
from tieout.connectors.quickbooks.oauth import store_tokens
from tieout.mapping import quickbooks as mapping
from tieout.model import CreditMemo, Entity, Invoice, Payment
from tieout.testing import Trouble, sample

_ITEM, _TAX, _UNDEPOSITED = "1", "5", "4"
_UNMAPPED = {
    Entity.CUSTOMER: {"WebAddr": {"URI": "https://northwind.example"}, "CompanyName": "Northwind"},
    Entity.INVOICE: {"CustomerMemo": {"value": "Thank you"}, "TrackingNum": "1Z 999"},
    Entity.CREDIT_MEMO: {"CustomerMemo": {"value": "Sorry"}},
    Entity.PAYMENT: {"TransactionLocationType": "WithinFrance"},
}
_WRITE = r"/(customer|invoice|creditmemo|payment)$"
_ANSWERS = {
    Trouble.LOST_ANSWER: {"kind": "drop", "when": "after", "method": "POST", "path": _WRITE},
    Trouble.THROTTLED: {"kind": "answer", "form": "throttle", "path": "^/v3/"},
    Trouble.BROKEN: {"kind": "answer", "form": "system", "path": "^/v3/"},
    Trouble.BROKEN_PAGE: {"kind": "answer", "form": "html", "contains": "STARTPOSITION 4"},
    Trouble.SHORT_LIST: {
        "kind": "answer",
        "status": 200,
        "content_type": "application/json",
        "body": '{"QueryResponse":{},"time":"2026-02-02T01:00:00.000-08:00"}',
        "contains": "STARTPOSITION",
    },
}


def _customer(record):
    return {
        "DisplayName": record.name,
        "PrimaryEmailAddr": {"Address": record.email},
        "PrimaryPhone": {"FreeFormNumber": record.phone},
    }


def _sale(record):
    lines = [
        {
            "Amount": line.net,
            "Description": line.description,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {
                "ItemRef": {"value": line.item},
                "Qty": line.quantity,
                "UnitPrice": line.unit_price,
                "TaxCodeRef": {"value": "TAX" if record.tax else "NON"},
            },
        }
        for line in record.lines
    ]
    doc = {
        "CustomerRef": {"value": record.customer},
        "DocNumber": record.number,
        "TxnDate": record.issued.isoformat(),
        "PrivateNote": record.memo,
        "Line": lines,
    }
    return doc | ({"TxnTaxDetail": {"TxnTaxCodeRef": {"value": _TAX}}} if record.tax else {})


def _invoice(record):
    return {**_sale(record), "DueDate": record.due.isoformat()}


def _payment(record):
    return {
        "CustomerRef": {"value": record.customer},
        "TotalAmt": record.amount,
        "TxnDate": record.posted.isoformat(),
        "PaymentRefNum": record.reference,
        "PaymentMethodRef": {"value": "2"},
        "DepositToAccountRef": {"value": record.deposit_to},
        "PrivateNote": record.memo,
        "Line": [
            {"Amount": a.amount, "LinkedTxn": [{"TxnId": a.invoice, "TxnType": "Invoice"}]} for a in record.applications
        ],
    }


_NATIVE = {
    Entity.CUSTOMER: _customer,
    Entity.INVOICE: _invoice,
    Entity.CREDIT_MEMO: _sale,
    Entity.PAYMENT: _payment,
}


class QuickBooksHarness:
    page_size = 3
    editable: ClassVar = {
        Entity.CUSTOMER: "phone",
        Entity.INVOICE: "memo",
        Entity.CREDIT_MEMO: "memo",
        Entity.PAYMENT: "memo",
    }
    voidable = frozenset({Entity.INVOICE, Entity.PAYMENT})

    def __init__(self, stack: ExitStack, **switches) -> None:
        folder = Path(stack.enter_context(_folder()))
        self.bench = stack.enter_context(bench(folder, seed="empty", **{"auto_apply_credit": False} | switches))
        self.other = FileStore(Path(stack.enter_context(_folder())))
        live = self.bench.live
        self.canaries = (live.client_secret, live.refresh_token, self._kept().access)
        self._stack = stack

    def _kept(self):
        from tieout.connectors.quickbooks.oauth import Tokens

        return Tokens.from_text(self.bench.store.read(NAME, "tokens").current)

    def open(self, wrong=None):
        more = {}
        if wrong == "company":
            more = {"settings": {**self.bench.settings, "company_id": "123"}}
        if wrong == "credentials":
            from dataclasses import replace

            store_tokens(NAME, replace(self._kept(), access="not-a-token", refresh="nor-this"), self.other)
            more = {"store": self.other}
        opened = self.bench.open(page_size=self.page_size, **more)
        self._stack.callback(opened.close)
        return opened

    def sample(self, entity, n, *, customer_id="", invoice_id=""):
        record = sample(entity, n, customer_id=customer_id, invoice_id=invoice_id)
        if isinstance(record, Payment):
            return record.model_copy(update={"deposit_to": _UNDEPOSITED, "received": record.posted})
        if isinstance(record, Invoice | CreditMemo):
            code = _TAX if record.tax else "NON"
            lines = tuple(x.model_copy(update={"item": _ITEM, "tax_code": code}) for x in record.lines)
            taxes = tuple(x.model_copy(update={"code": _TAX}) for x in record.tax_lines)
            return record.model_copy(update={"lines": lines, "tax_lines": taxes})
        return record

    # Users' entries are spelled out here, without the mapping: an error in it must not cancel itself out.
    def put(self, record):
        doc = {**_NATIVE[record.entity](record), **_UNMAPPED[record.entity]}
        return self.bench.books.apply(mapping.NAMES[record.entity], "create", doc)["Id"]

    def edit(self, entity, id, **changes):
        name = mapping.NAMES[entity]
        doc = self.bench.books.find(name, id)
        moved = {"Id": id, "SyncToken": doc["SyncToken"], "sparse": True}
        for field, value in changes.items():
            moved |= {"phone": {"PrimaryPhone": {"FreeFormNumber": value}}, "memo": {"PrivateNote": value}}.get(
                field
            ) or {"Active": value}
        if entity is Entity.PAYMENT:
            moved["CustomerRef"] = doc["CustomerRef"]
        self.bench.books.apply(name, "update", moved)

    def void(self, entity, id):
        self._do(entity, id, "void")

    def delete(self, entity, id):
        self._do(entity, id, "delete")

    def _do(self, entity, id, operation):
        name = mapping.NAMES[entity]
        doc = self.bench.books.find(name, id)
        self.bench.books.apply(name, operation, {"Id": id, "SyncToken": doc["SyncToken"]})

    def count(self, entity):
        return len(self.bench.books.all(mapping.NAMES[entity]))

    def unmapped(self, entity, id):
        doc = self.bench.books.find(mapping.NAMES[entity], id)
        return {key: doc[key] for key in _UNMAPPED[entity]}

    def received(self):
        return sum(c.operation in ("write", "void", "delete") for c in self.bench.live.faults.log)

    def corrupt(self, entity, id):
        name = mapping.NAMES[entity]
        field, value = ("PrimaryEmailAddr", 5) if entity is Entity.CUSTOMER else ("TxnDate", "2026-02-30")
        self.bench.books.row(name, id).doc[field] = value
        self.bench.books.stale(name, id)

    def close_books(self, through):
        prefs = self.bench.books.find("Preferences", "1")
        info = {**prefs["AccountingInfoPrefs"], "BookCloseDate": through.isoformat()}
        change = {"Id": "1", "SyncToken": prefs["SyncToken"], "sparse": True, "AccountingInfoPrefs": info}
        self.bench.books.apply("Preferences", "update", change)

    @contextmanager
    def trouble(self, kind):
        how = dict(_ANSWERS[kind])
        rule = self.bench.live.faults.arm(how.pop("kind"), times=0, **how)
        try:
            yield
        finally:
            self.bench.live.faults.disarm(rule.id)

    def advance(self, seconds):
        self.bench.time.sleep(seconds)

    def exchange(self):
        """Nothing: QuickBooks answers at once."""


@contextmanager
def _folder():
    import shutil

    path = mkdtemp()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
