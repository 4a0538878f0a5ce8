"""The entities outside receivables, kept with sane defaults; exchange rates, tax service, loading of backups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import lists, schema, seeds
from .encode import ZERO, Doc, cents, money, parse_time, short, stamp
from .faults import Refused, business, missing
from .schema import Entity

if TYPE_CHECKING:
    from .books import Books

_NAMES = {
    "VendorRef": "Vendor",
    "EmployeeRef": "Employee",
    "CustomerRef": "Customer",
    "DepositToAccountRef": "Account",
    "FromAccountRef": "Account",
    "ToAccountRef": "Account",
    "BankAccountRef": "Account",
    "CreditCardAccountRef": "Account",
}
_SUMMED = frozenset(
    ("Bill", "Purchase", "PurchaseOrder", "VendorCredit", "Deposit", "JournalEntry", "BillPayment", "Estimate")
)


def complete(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """Defaults of an entity without rules of its own: dates, currency, named references, line ids, totals."""
    if spec.name == "RecurringTransaction":
        return _recurring(doc)
    if spec.kind != "txn":
        if spec.kind == "list":
            return {"Active": True, **doc}
        if spec.name == "Attachable" and "AttachableRef" in doc:
            refs = [{"IncludeOnSend": False, **ref} for ref in doc["AttachableRef"]]
            return {**doc, "AttachableRef": refs}
        return doc
    done = dict(doc)
    done.setdefault("TxnDate", books.today().isoformat())
    done.setdefault("CurrencyRef", lists.currency(books, lists.home(books)))
    for field, entity in _NAMES.items():
        if field in done:
            done[field] = lists.reference(books, entity, done[field])
    if "Line" in done:
        done["Line"] = _lines(books, spec, done["Line"], old)
    if spec.name in _SUMMED:
        done["TotalAmt"] = money(_total(spec, done))
    for field in ("TotalAmt", "Amount"):
        if field in done:
            done[field] = money(Decimal(done[field]))
    return _SPECIAL.get(spec.name, _same)(books, done, old)


def _lines(books: Books, spec: Entity, lines: list[Doc], old: Doc | None) -> list[Doc]:
    row = books.row(spec.name, old["Id"]) if old else None
    first = -1 if spec.name == "JournalEntry" else 0
    highest = max(first, row.lines) if row else first
    held = {line["Id"] for line in (old or {}).get("Line", ()) if "Id" in line}
    done = []
    for line in lines:
        line = {**line, "Amount": money(Decimal(line.get("Amount", 0)))}
        if "LinkedTxn" not in line and line.get("Id") not in held:
            highest += 1
            line["Id"] = str(highest)
        done.append(line)
    return done


def _total(spec: Entity, doc: Doc) -> Decimal:
    if spec.name == "JournalEntry":
        return sum(
            (
                Decimal(line["Amount"])
                for line in doc.get("Line", ())
                if line.get("JournalEntryLineDetail", {}).get("PostingType") == "Debit"
            ),
            ZERO,
        )
    if spec.name == "BillPayment":
        return Decimal(doc.get("TotalAmt", 0))
    cash = Decimal(doc.get("CashBack", {}).get("Amount", 0))
    return sum((Decimal(line["Amount"]) for line in doc.get("Line", ())), ZERO) - cash


def _same(_: Books, doc: Doc, __: Doc | None) -> Doc:
    return doc


def _journal(books: Books, doc: Doc, _: Doc | None) -> Doc:
    balance = ZERO
    for line in doc.get("Line", ()):
        detail = line.get("JournalEntryLineDetail", {})
        account = lists.reference(books, "Account", detail.get("AccountRef")) if detail else None
        if detail and account is None:
            raise missing("AccountRef")
        balance += Decimal(line["Amount"]) * (1 if detail.get("PostingType") == "Debit" else -1) if detail else 0
        kind = (books.doc("Account", account["value"]) or {}).get("AccountType") if account else ""
        entity = detail.get("Entity", {})
        if kind == "Accounts Receivable":
            if entity.get("Type") != "Customer" or not entity.get("EntityRef"):
                raise business("When you use Accounts Receivable, you must choose a customer in the Name field.")
            lists.reference(books, "Customer", entity["EntityRef"])
    if balance:
        raise Refused(2300, "Total debits do not equal total credits", element="")
    return {"Adjustment": False, **doc}


def _deposit(books: Books, doc: Doc, old: Doc | None) -> Doc:
    if "DepositToAccountRef" not in doc:
        raise missing("DepositToAccountRef")
    for line in doc.get("Line", ()):
        for link in line.get("LinkedTxn", ()):
            key = (link.get("TxnType", ""), str(link.get("TxnId", "")))
            if books.doc(*key) is None:
                raise Refused(2500, f"Invalid Reference Id : Txn {key[1]} not found", element="")
            if books.deposited.get(key, old["Id"] if old else "") != (old["Id"] if old else ""):
                raise business("The transaction is already on another deposit.")
        detail = line.get("DepositLineDetail", {})
        account = books.doc("Account", detail.get("AccountRef", {}).get("value", "")) or {}
        if account.get("AccountType") == "Accounts Receivable" and not detail.get("Entity", {}).get("value"):
            raise business("When you use Accounts Receivable, you must choose a customer in the Name field.")
    return doc


def _bill(books: Books, doc: Doc, old: Doc | None) -> Doc:
    if "VendorRef" not in doc:
        raise missing("VendorRef")
    paid = ZERO
    for row in books.tables["BillPayment"].values():
        for line in row.doc.get("Line", ()):
            if old and {"TxnId": old["Id"], "TxnType": "Bill"} in line.get("LinkedTxn", ()):
                paid += Decimal(line["Amount"])
    doc.setdefault("DueDate", doc["TxnDate"])
    doc.setdefault("APAccountRef", lists.reference(books, "Account", {"value": "33"}))
    return {**doc, "Balance": money(Decimal(doc["TotalAmt"]) - paid)}


def _purchase(_: Books, doc: Doc, __: Doc | None) -> Doc:
    if "AccountRef" not in doc:
        raise missing("AccountRef")
    for line in doc.get("Line", ()):
        detail = line.get(line.get("DetailType", ""), {})
        detail.setdefault("TaxCodeRef", {"value": "NON"})
        detail.setdefault("BillableStatus", "NotBillable")
    return doc


def _activity(_: Books, doc: Doc, __: Doc | None) -> Doc:
    return {"BillableStatus": "NotBillable", "Taxable": False, "HourlyRate": 0, **doc}


_SPECIAL = {
    "JournalEntry": _journal,
    "Deposit": _deposit,
    "Bill": _bill,
    "Purchase": _purchase,
    "TimeActivity": _activity,
}


def template(doc: Doc) -> str:
    """The kind of transaction that a recurring one wraps, "" where none."""
    return next((name for name in doc if name in _TEMPLATES), "")


_TEMPLATES = frozenset(
    (
        "Bill",
        "Purchase",
        "CreditMemo",
        "Deposit",
        "Estimate",
        "Invoice",
        "JournalEntry",
        "RefundReceipt",
        "SalesReceipt",
        "Transfer",
        "VendorCredit",
        "PurchaseOrder",
    )
)
_OUTER = ("domain", "sparse", "Id", "SyncToken", "MetaData")


def lift(given: Mapping[str, Any]) -> Doc:
    """`{"Invoice": {"Id": …, …}}` as a recurring transaction arrives, with its system fields outside."""
    kind = template(dict(given))
    if not kind:
        return dict(given)
    inner = dict(given[kind])
    return {k: inner.pop(k) for k in _OUTER if k in inner} | {kind: inner}


def sink(doc: Doc) -> Doc:
    """The same as it is answered: the system fields inside."""
    kind = template(doc)
    return {kind: {k: doc[k] for k in _OUTER if k in doc} | doc[kind]}


def _recurring(doc: Doc) -> Doc:
    kind = template(doc)
    if not kind or "RecurringInfo" not in doc[kind]:
        raise missing("RecurringInfo")
    inner = dict(doc[kind])
    lines = [{**line, "Amount": money(Decimal(line.get("Amount", 0)))} for line in inner.get("Line", ())]
    if lines:
        inner |= {"Line": lines, "TotalAmt": money(sum((Decimal(x["Amount"]) for x in lines), ZERO))}
    return {kind: inner}


# ---- exchange rates and the tax service


def set_rate(books: Books, given: Doc) -> Doc:
    """Creates or replaces the rate of a currency on a day; keyed by the two, not by Id."""
    if "SourceCurrencyCode" not in given or "Rate" not in given:
        raise missing("SourceCurrencyCode" if "Rate" in given else "Rate")
    code, on = given["SourceCurrencyCode"], given.get("AsOfDate", books.today().isoformat())
    spec = schema.ENTITIES["exchangerate"]
    id = f"{code}-{on}"
    row = books.row(spec.name, id)
    doc = {
        "SourceCurrencyCode": code,
        "TargetCurrencyCode": given.get("TargetCurrencyCode", lists.home(books)),
        "Rate": short(Decimal(given["Rate"])),
        "AsOfDate": on,
    }
    sealed = books.seal(id, doc, row.doc if row else None)
    return books.view(spec.name, books.store(spec.name, id, sealed, "update" if row else "create"))


def rate_on(books: Books, code: str, on: str) -> Decimal:
    found = [
        (row.doc["AsOfDate"], Decimal(row.doc["Rate"]))
        for row in books.tables["ExchangeRate"].values()
        if row.doc["SourceCurrencyCode"] == code and row.doc["AsOfDate"] <= on
    ]
    return max(found)[1] if found else Decimal(1)


def tax_service(books: Books, given: Doc) -> Doc:
    """`POST /taxservice/taxcode`: makes a code with its rates; the answer is not wrapped. Raises Refused 6240."""
    with books.lock:
        name, details = str(given.get("TaxCode", "")), given.get("TaxRateDetails", [])
        if not name or not details:
            raise missing("TaxCode" if not name else "TaxRateDetails")
        taken = {str(row.doc["Name"]).lower() for row in books.tables["TaxCode"].values()}
        rates = {str(row.doc["Name"]).lower() for row in books.tables["TaxRate"].values()}
        if name.lower() in taken or any(str(d.get("TaxRateName", "")).lower() in rates for d in details):
            raise Refused(6240, "Another tax rate is already using this \nname.")
        shown, ids = [], []
        for detail in details:
            agency = str(detail.get("TaxAgencyId", "1"))
            if books.doc("TaxAgency", agency) is None:
                raise Refused(2500, f"Invalid Reference Id : TaxAgency element id {agency} not found")
            id = books.next_id("TaxRate")
            rate = Decimal(str(detail.get("RateValue", 0)))
            seeds.put(books, "TaxRate", id, seeds.tax_rate(str(detail["TaxRateName"]), rate, agency))
            ids.append(id)
            shown.append({**detail, "TaxRateId": id, "TaxAgencyId": agency, "RateValue": short(rate)})
        code = books.next_id("TaxCode")
        seeds.put(books, "TaxCode", code, seeds.tax_code(name, ids))
        return {"TaxCode": name, "TaxCodeId": code, "TaxRateDetails": shown}


# ---- backups


def load(books: Books, spec: Entity, docs: list[Doc]) -> None:
    from .books import Row  # noqa: PLC0415  (books imports this module)

    derived = ("Balance", "BalanceWithJobs", "CurrentBalance", "CurrentBalanceWithSubAccounts")
    for doc in docs:
        id = str(doc["Id"])
        if spec.name == "Customer":
            books.stated[id] = cents(Decimal(doc.get("Balance", 0)))
        if spec.name in {"Customer", "Account"}:
            doc = {k: v for k, v in doc.items() if k not in derived}
        moment = parse_time(str(doc.get("MetaData", {}).get("LastUpdatedTime", "")))
        before = books.doc(spec.name, id)
        lines = max((int(line["Id"]) for line in doc.get("Line", ()) if "Id" in line), default=0)
        books.tables[spec.name][id] = Row(doc, moment or datetime.fromtimestamp(0, UTC), None, lines)
        books.index(spec.name, id, before, doc)
        if id.isdecimal():
            books.reserve(spec.sequence or spec.name, int(id))
        number = str(doc.get("DocNumber", ""))
        if spec.name in schema.NUMBERED and number.isdecimal():
            books.series["sales"] = max(books.series["sales"], int(number))
        if spec.name != "Customer":
            books.repost(spec.name, id)
    for id, stated in books.stated.items():
        books.opening[id] = stated - (books.ledger.customers[id] - books.opening.get(id, ZERO))
        books.repost("Customer", id)


def quote(books: Books, params: Mapping[str, str]) -> Doc:
    """`GET /exchangerate?sourcecurrencycode=EUR&asofdate=…`: the rate in force, 1 where none is known."""
    code = params.get("sourcecurrencycode", "").upper()
    if not code:
        raise missing("sourcecurrencycode")
    on = params.get("asofdate", "") or books.today().isoformat()
    doc: Doc = {
        "SourceCurrencyCode": code,
        "TargetCurrencyCode": lists.home(books),
        "Rate": short(rate_on(books, code, on)),
        "AsOfDate": on,
    }
    return doc | {"domain": "QBO", "sparse": False, "MetaData": {"LastUpdatedTime": stamp(books.now())}}
