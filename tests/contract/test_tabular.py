"""An ERP that speaks in files keeps the contract, through its exports and its import files."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tieout.connectors.memory import ManualClock
from tieout.connectors.tabular import open_tabular
from tieout.model import Adjustment, AdjustmentKind, CreditMemo, Customer, Entity, Invoice, Payment
from tieout.sandbox.file_erp import Books, FileErp
from tieout.testing import CHECKS, ConnectorContract, Trouble, sample, skips

CODE = "1000"
_TYPES = {
    Entity.INVOICE: {"RV", "DR"},
    Entity.CREDIT_MEMO: {"DG"},
    Entity.PAYMENT: {"DZ"},
    Entity.ADJUSTMENT: {"DA", "WO"},
}


class FileErpHarness:
    """Plain layouts, one export per `exchange`. Numbers of the samples are the ERP's own document numbers."""

    page_size = 3
    canaries = ()
    editable: ClassVar = {
        Entity.CUSTOMER: "phone",
        Entity.INVOICE: "memo",
        Entity.CREDIT_MEMO: "memo",
        Entity.PAYMENT: "memo",
        Entity.ADJUSTMENT: "number",
    }

    voidable = frozenset({Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT, Entity.ADJUSTMENT})
    layouts: ClassVar = {"customers": "customers", "documents": "documents", "payments": "payments"}
    imports: ClassVar = {
        "customer": "import-customers",
        "invoice": "import-documents",
        "credit_memo": "import-documents",
        "payment": "import-payments",
    }

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        root = Path(self._folder.name)
        self.export, self.outbox = root / "export", root / "outbox"
        self.export.mkdir()
        self.outbox.mkdir()
        self.clock = ManualClock()
        self.erp = FileErp(Books(company_code=CODE), clock=self.clock)
        self._corrupt = {}
        self.exchange()

    def open(self, wrong=None):
        settings = {
            "folder": self.export,
            "outbox": self.outbox,
            "exports": [{"glob": f"{stem}_*", "profile": profile} for stem, profile in self.layouts.items()],
            "imports": self.imports,
            "company": {"id": "9999" if wrong == "company" else CODE, "name": "Falke Tools AG"},
            "currency": "USD",
            "entity_code": CODE,
        }
        return open_tabular("erp", settings=settings, secrets={}, clock=self.clock)

    # These layouts have one row a document, with one tax code, and no column for the reason of an adjustment.
    def sample(self, entity, n, *, customer_id="", invoice_id=""):
        record = sample(entity, n, customer_id=customer_id, invoice_id=invoice_id)
        match record:
            case Customer():
                return record
            case Invoice():
                lines = tuple(line.model_copy(update={"tax_code": "V1"}) for line in record.lines)
                return record.model_copy(update={"entity_code": CODE, "lines": lines, "tax_lines": ()})
            case Adjustment():
                return record.model_copy(update={"entity_code": CODE, "reason": None})
            case _:
                return record.model_copy(update={"entity_code": CODE})

    def put(self, record):
        books = self.erp.books
        match record:
            case Customer():
                return books.enter_customer(
                    record.name, currency=record.currency, email=record.email, phone=record.phone
                )
            case Invoice():
                return books.enter_invoice(record.customer, record.total - record.tax, on=record.issued, due=record.due,
                                           tax=record.tax, tax_code="V1", **self._common(record))  # fmt: skip
            case CreditMemo():
                return books.enter_credit_memo(record.customer, record.total, on=record.issued, **self._common(record))
            case Payment():
                shares = {
                    a.invoice.split("/")[-2] if "/" in a.invoice else a.invoice: a.amount for a in record.applications
                }
                more = {"posting_date": record.posted, "currency": record.currency, "text": record.memo or ""}
                return books.enter_payment(record.customer, record.amount, on=record.received, applications=shares,
                                           method=record.method.value, reference=record.reference, **more)  # fmt: skip
            case Adjustment():
                return books.enter_adjustment(record.customer, record.amount, on=record.posted, kind=record.kind.value,
                                              debit=record.side == "debit", invoice=record.document or "",
                                              currency=record.currency, **self._number(record.number))  # fmt: skip
        raise TypeError(record)

    def _common(self, record):
        return {
            "posting_date": record.posted,
            "currency": record.currency,
            "text": record.memo or "",
            "number": record.number,
            "assignment": getattr(record, "po_number", None) or "",
        }

    def _number(self, number):
        return {"number": number}

    def edit(self, entity, id, **changes):
        if entity is Entity.CUSTOMER:
            self.erp.books.change_customer(id, **changes)
        else:
            self.erp.books.change(id, **{"text" if k == "memo" else k: v for k, v in changes.items()})

    def void(self, entity, id):
        self.erp.books.reverse(id, on=self.clock().date())

    def delete(self, entity, id):
        del self.erp.books.documents[id]

    def count(self, entity):
        if entity is Entity.CUSTOMER:
            return len(self.erp.books.customers)
        return sum(d.type in _TYPES[entity] for d in self.erp.books.documents.values())

    def unmapped(self, entity, id):
        """What the ERP knows beyond its layouts: who entered the record."""
        number = id.split("/")[1] if "/" in id else id
        return {"entered": next(e for e in self.erp.books.effects if e["document"] == number)}

    def received(self):
        return sum(json.loads(p.read_text("utf-8"))["records"] for p in self.outbox.glob("*.manifest.json"))

    def corrupt(self, entity, id):
        """A user has typed nonsense into a field that the ERP does not check."""
        if entity is Entity.CUSTOMER:
            self.erp.books.change_customer(id, name="")
        else:
            self.erp.books.document(id).document_date = "31.02.2026"

    def close_books(self, through):
        raise AssertionError("closed periods cannot be read from files")

    @contextmanager
    def trouble(self, kind):
        faults = {Trouble.BROKEN_PAGE: {"half_written": True}, Trouble.SHORT_LIST: {"partial_export": 1}}[kind]
        self.erp.misbehave(**faults)
        self.clock.tick(3600)
        for path in self.export.iterdir():
            path.unlink()
        self.exchange()
        try:
            yield
        finally:
            self.erp.misbehave(**{name: type(value)() for name, value in faults.items()})
            self.exchange()

    def advance(self, seconds):
        self.clock.tick(seconds)

    def exchange(self):
        report = self.erp.load_outbox(self.outbox)
        assert not report.refused and not report.rejected, report
        self.erp.export(self.export, self.clock().date(), layouts=list(self.layouts.values()))


class SapHarness(FileErpHarness):
    """SAP customer line items: SAP numbers each document itself, and the number people read is the reference."""

    layouts: ClassVar = {"customers": "customers", "fbl5n": "sap-fbl5n-en"}
    imports: ClassVar = {
        "customer": "import-customers",
        "invoice": ("import-sap-posting", "import-sap-reversal"),
        **dict.fromkeys(
            ("credit_memo", "payment"), ("import-sap-posting", "import-sap-clearing", "import-sap-reversal")
        ),
    }

    def put(self, record):
        number = super().put(record)
        return number if isinstance(record, Customer) else f"{CODE}/{number}/2026"

    def _common(self, record):
        common = super()._common(record)
        return common | {"reference": common.pop("number"), "assignment": ""}

    def sample(self, entity, n, *, customer_id="", invoice_id=""):
        record = super().sample(entity, n, customer_id=customer_id, invoice_id=invoice_id)
        if isinstance(record, Adjustment):  # a list of line items does not say what a journal is about
            return record.model_copy(update={"kind": AdjustmentKind.JOURNAL, "document": None})
        return record

    def _number(self, number):
        return {"reference": number}

    def void(self, entity, id):
        super().void(entity, id.split("/")[1])

    def delete(self, entity, id):
        super().delete(entity, id.split("/")[1])

    def corrupt(self, entity, id):
        super().corrupt(entity, id if entity is Entity.CUSTOMER else id.split("/")[1])


class TestPlainLayouts(ConnectorContract):
    leaves_out = skips(FileErpHarness().open().capabilities)

    def fresh(self):
        return FileErpHarness()


class TestSapLineItems(ConnectorContract):
    leaves_out = skips(SapHarness().open().capabilities)

    def fresh(self):
        return SapHarness()


def test_what_files_do_not_claim():
    left_out = skips(FileErpHarness().open().capabilities)
    assert len(CHECKS) - len(left_out) == 29
    assert set(left_out.values()) == {
        "no reading by id",
        "no deltas",
        "no versions",
        "no keys",
        "numbers are not unique",
        "writes are not acknowledged",
        "closed periods cannot be read",
        "markers cannot be searched",
        "does not delete",
    }
