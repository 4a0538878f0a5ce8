"""The contract's harness on the Sage X3 sandbox: its users act on the books, the connector over SOAP."""

from __future__ import annotations

from base64 import b64encode
from contextlib import contextmanager
from typing import ClassVar

from tests.sage_x3_bench import bench
from tieout.model import CreditMemo, Customer, Entity, Invoice, Method, Payment
from tieout.testing import Trouble, sample

_SERVICE, _TAX, _NONE = "SERVICE", "STD", "EXO"
_OBJECTS = {Entity.CUSTOMER: "BPC", Entity.INVOICE: "SIH", Entity.CREDIT_MEMO: "SIH", Entity.PAYMENT: "PAY"}
_WRITES = frozenset({"save", "modify", "delete", "actionobject", "actionobjectkeys", "insertlines", "deletelines"})
_UNMAPPED = {
    Entity.CUSTOMER: {"NAF": "4711Z", "BPRLOG": "Northwind of the north"},
    Entity.INVOICE: {"PAYBAN": "BANK OF HARBOR"},
    Entity.CREDIT_MEMO: {"PAYBAN": "BANK OF HARBOR"},
    Entity.PAYMENT: {"BPAINV": "MAIN"},
}
_ON_ACCOUNTS = {"GTE": "CUSIN"}
_ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:wss="http://www.adonix.com/WSS"><soapenv:Body><wss:queryResponse><queryReturn>'
    "<messages/><resultXml>&lt;RESULT DIM=&quot;9&quot; SIZE=&quot;9&quot;/&gt;</resultXml><status>1</status>"
    "<technicalInfos/></queryReturn></wss:queryResponse></soapenv:Body></soapenv:Envelope>"
)
_ANSWERS = {
    Trouble.LOST_ANSWER: [{"kind": "drop", "when": "after", "operation": op} for op in ("save", "modify")],
    Trouble.THROTTLED: [{"kind": "answer", "form": "no-web-services"}],
    Trouble.BROKEN: [{"kind": "answer", "form": "html"}],
    Trouble.BROKEN_PAGE: [{"kind": "answer", "form": "html", "operation": "read", "nth": 3}],
    Trouble.SHORT_LIST: [
        {"kind": "answer", "operation": "query", "status": 200, "body": _ENVELOPE, "content_type": "text/xml"}
    ],
}


def _customer(record):
    return {
        "BPCNUM": f"C{abs(hash(record.name)) % 10**8}",
        "BCGCOD": "US",
        "BPCNAM": record.name,
        "BPRNAM": [record.name],
        "BPCSTA": "2",
        "CUR": record.currency,
        "VACBPR": "DOM",
        "PTE": record.terms,
        "addresses": [{"CODADR": "A1", "BPAADDFLG": "2", "TEL1": record.phone, "WEB1": record.email}],
    }


def _sale(record):
    return {
        "SALFCY": "HLS01",
        "SIVTYP": "CRM" if isinstance(record, CreditMemo) else "INV",
        "BPCINV": record.customer,
        "INVDAT": f"{record.posted:%Y%m%d}",
        "CUR": record.currency,
        "DES": [record.memo],
        "lines": [
            {
                "ITMREF": line.item,
                "ITMDES": line.description,
                "QTY": str(line.quantity),
                "GROPRI": str(line.unit_price),
                "VACITM1": line.tax_code,
            }
            for line in record.lines
        ],
    }


def _bill(record):
    """The same as a customer invoice on accounts (BIC)."""
    given = {
        "FCY": "HLS01",
        "SIVTYP": "CRM" if isinstance(record, CreditMemo) else "INV",
        "BPR": record.customer,
        "BPRDAT": f"{record.issued:%Y%m%d}",
        "ACCDAT": f"{record.posted:%Y%m%d}",
        "CUR": record.currency,
        "DES": [record.memo],
        "lines": [
            {"ACC": line.revenue_account, "DES": line.description, "AMTNOTLIN": str(line.net), "VAT": line.tax_code}
            for line in record.lines
        ],
    }
    due = {"PTE": "CASH", "STRDUDDAT": f"{record.due:%Y%m%d}"} if isinstance(record, Invoice) else {}
    return given | due


def _invoice(record):
    return {**_sale(record), "PTE": "CASH", "STRDUDDAT": f"{record.due:%Y%m%d}"}


def _payment(record):
    return {
        "FCY": "HLS01",
        "BPR": record.customer,
        "ACCDAT": f"{record.posted:%Y%m%d}",
        "CUR": record.currency,
        "AMTCUR": str(record.amount),
        "CHQNUM": record.reference,
        "DES": record.memo,
        "BAN": record.deposit_to,
        "lines": [{"DENCOD": "ALLOC", "VCRNUM": a.invoice, "AMTLIN": str(a.amount)} for a in record.applications],
    }


_NATIVE = {
    Entity.CUSTOMER: _customer,
    Entity.INVOICE: _invoice,
    Entity.CREDIT_MEMO: _sale,
    Entity.PAYMENT: _payment,
}


class SageX3Harness:
    page_size = 3
    editable: ClassVar = {
        Entity.CUSTOMER: "phone",
        Entity.INVOICE: "memo",
        Entity.CREDIT_MEMO: "memo",
        Entity.PAYMENT: "memo",
    }
    voidable: ClassVar = frozenset()

    def __init__(self, stack, *, settings=None, **switches) -> None:
        # Payments stay entered, as a user may delete them only then.
        self.bench = stack.enter_context(bench(**{"payment_posting": "manual"} | switches))
        self.bench.settings |= settings or {}
        live = self.bench.live
        self.canaries = (live.password, b64encode(f"{live.user}:{live.password}".encode()).decode())
        self._objects, self._native, self._unmapped = dict(_OBJECTS), dict(_NATIVE), dict(_UNMAPPED)
        if self.bench.settings.get("enter_as") == "BIC":
            for entity in (Entity.INVOICE, Entity.CREDIT_MEMO):
                self._objects[entity], self._native[entity], self._unmapped[entity] = "BIC", _bill, _ON_ACCOUNTS
        self._numbers = 0

    def open(self, wrong=None):
        if wrong == "company":
            return self.bench.open(known_customer={"code": "C0001", "name": "Another company's customer"})
        return self.bench.open(password="not-the-password" if wrong == "credentials" else None)

    def sample(self, entity, n, *, customer_id="", invoice_id=""):
        record = sample(entity, n, customer_id=customer_id, invoice_id=invoice_id)
        if isinstance(record, Customer):
            return record.model_copy(update={"terms": "NET30"})
        if isinstance(record, Payment):
            update = {"deposit_to": "BANK1", "received": record.posted, "method": Method.OTHER}
            return record.model_copy(update=update)
        if isinstance(record, Invoice | CreditMemo):
            code = _TAX if record.tax else _NONE
            update = {"item": _SERVICE, "tax_code": code, "tax": record.tax}
            if self._objects[entity] == "BIC":
                blank = dict.fromkeys(("item", "quantity", "unit_price"))
                update |= {**blank, "revenue_account": "706000"}
            lines = tuple(line.model_copy(update=update) for line in record.lines)
            return record.model_copy(update={"lines": lines, "tax_lines": (), "number": record.number})
        return record

    # Users' entries are spelled out here, without the mapping: an error in it must not cancel itself out.
    def put(self, record):
        given = {k: v for k, v in {**self._native[record.entity](record), **self._unmapped[record.entity]}.items() if v}
        kind = self._objects[record.entity]
        if kind in ("SIH", "BIC"):
            return self.bench.posted(kind, given)
        if kind == "BPC":
            self._numbers += 1
            given["BPCNUM"] = f"C{self._numbers:04d}"
        return self.bench.books.save(kind, given)[0]

    def edit(self, entity, id, **changes):
        books, kind = self.bench.books, self._objects[entity]
        row = books.existing(kind, (id,))
        for field, value in changes.items():
            if field == "active":
                books.modify(kind, (id,), {"BPCSTA": "2" if value else "1"})
            elif field == "phone":
                books.modify(kind, (id,), {"addresses": [{**row["addresses"][0], "TEL1": value}]})
            else:
                with books.changing("user"):
                    books.write(kind, "modify", (id,), {**row, "DES": value if kind == "PAY" else [value]})

    def void(self, entity, id):
        raise AssertionError("X3 voids nothing")

    def delete(self, entity, id):
        books, kind = self.bench.books, self._objects[entity]
        if kind in ("SIH", "BIC"):
            books.action(kind, "UNPOST", (id,))
        books.delete(kind, (id,))

    def count(self, entity):
        rows = self.bench.books.rows(self._objects[entity])
        if entity in (Entity.INVOICE, Entity.CREDIT_MEMO):
            credit = entity is Entity.CREDIT_MEMO
            return sum((row["SIVTYP"] == "CRM") is credit for row in rows)
        return len(rows)

    def unmapped(self, entity, id):
        row = self.bench.books.read(self._objects[entity], id)
        return {name: row[name] for name in self._unmapped[entity]}

    def received(self):
        return sum(call.operation.lower() in _WRITES for call in self.bench.live.faults.log)

    def corrupt(self, entity, id):
        books = self.bench.books
        with books.lock:
            table = {"BPC": "BPCUSTOMER", "SIH": "SINVOICE", "BIC": "SINVOICE", "PAY": "PAYMENTH"}[
                self._objects[entity]
            ]
            row = books.store.get(table, id)
            wrong = {"BPCNAM": "", "BPRNAM": ["", ""]} if table == "BPCUSTOMER" else {"ACCDAT": None}
            books.store.put(table, (id,), {**row, **wrong})
            books.store.keep()

    def close_books(self, through):
        self.bench.books.close_through(through)

    @contextmanager
    def trouble(self, kind):
        faults = self.bench.live.faults
        rules = [
            faults.arm(how["kind"], times=0, **{k: v for k, v in how.items() if k != "kind"}) for how in _ANSWERS[kind]
        ]
        try:
            yield
        finally:
            for rule in rules:
                faults.disarm(rule.id)

    def advance(self, seconds):
        self.bench.time.sleep(seconds)

    def exchange(self):
        """Nothing: X3 answers at once."""
