"""Sales forms: Invoice, CreditMemo, Estimate, SalesReceipt, RefundReceipt. Lines, totals, defaults, voiding."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import lists, schema, tax
from .encode import ZERO, Doc, cents, money, short
from .faults import Refused, business, missing, too_long
from .schema import Entity

if TYPE_CHECKING:
    from .books import Books

DEFAULT_ITEM = "1"
DISCOUNTS = "86"
UNDEPOSITED = "4"
ORDER = schema.words(
    "AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment InvoiceLink domain "
    "sparse Id SyncToken MetaData CustomField DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote "
    "TxnStatus LinkedTxn Line TxnTaxDetail CustomerRef CustomerMemo BillAddr ShipAddr FreeFormAddress ShipFromAddr "
    "ClassRef SalesTermRef DueDate ShipMethodRef ShipDate TrackingNum GlobalTaxCalculation TotalAmt HomeTotalAmt "
    "ApplyTaxAfterDiscount PrintStatus EmailStatus BillEmail BillEmailCc BillEmailBcc Balance HomeBalance "
    "RemainingCredit PaymentMethodRef PaymentRefNum DepositToAccountRef Deposit DeliveryInfo"
)
_DERIVED = frozenset(
    schema.words("TotalAmt HomeTotalAmt Balance HomeBalance RemainingCredit InvoiceLink AutoDocNumber")
)
_ONLINE = ("AllowIPNPayment", "AllowOnlinePayment", "AllowOnlineCreditCardPayment", "AllowOnlineACHPayment")
_REFS = {
    "SalesTermRef": "Term",
    "PaymentMethodRef": "PaymentMethod",
    "ClassRef": "Class",
    "DepartmentRef": "Department",
}


def complete(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """The form as answered: checked, defaulted, totalled. Raises Refused."""
    done = {k: v for k, v in doc.items() if k not in _DERIVED}
    _parties(books, spec, done, old)
    _dates(books, spec, done)
    done["CurrencyRef"], rate = currency_of(books, done, old)
    if "Deposit" in done:
        done["Deposit"] = money(Decimal(done["Deposit"]), lists.places(books, done["CurrencyRef"]))
    if spec.name != "Estimate" or "Line" in done:
        _lines(books, spec, done, old)
    _totals(books, spec, done, rate)
    _defaults(books, spec, done)
    if spec.name in {"Invoice", "CreditMemo", "Estimate"}:
        own = done.get("LinkedTxn", []) if spec.name != "CreditMemo" else []
        done["LinkedTxn"] = [link for link in own if link.get("TxnType") != "Payment"]
    if spec.name == "CreditMemo":
        done.pop("DueDate", None)
    return {k: done[k] for k in ORDER if k in done} | done


def _parties(books: Books, spec: Entity, done: Doc, old: Doc | None) -> None:
    ref = done.get("CustomerRef")
    if ref is None:
        if spec.name in {"Invoice", "CreditMemo", "Estimate"}:
            raise missing("CustomerRef")
        done.pop("BillAddr", None)
        return
    if (
        old is not None
        and books.applied.get((spec.name, old["Id"]))
        and ref.get("value") != old["CustomerRef"]["value"]
    ):
        raise business("The customer cannot be changed while payments or credits are linked.")
    kept = old is not None and old.get("CustomerRef", {}).get("value") == str(ref.get("value"))
    customer = books.doc("Customer", str(ref.get("value"))) if kept else None
    if customer is not None:  # an inactive customer keeps the forms it has
        done["CustomerRef"] = {"value": customer["Id"], "name": lists.title(customer)}
    else:
        done["CustomerRef"] = lists.buyer(books, ref)
        customer = books.doc("Customer", str(ref["value"])) or {}
    for field in ("BillAddr", "ShipAddr"):
        if field not in done and field in customer:
            done[field] = customer[field]
        elif field in done and "Id" not in done[field]:
            done[field] = {"Id": books.next_id("address", 200), **done[field]}
    if spec.name == "Invoice" and "SalesTermRef" not in done and old is None and "SalesTermRef" in customer:
        done["SalesTermRef"] = customer["SalesTermRef"]


def _dates(books: Books, spec: Entity, done: Doc) -> None:
    done.setdefault("TxnDate", books.today().isoformat())
    for field, entity in _REFS.items():
        if field in done:
            done[field] = lists.reference(books, entity, done[field], named=field != "SalesTermRef")
    if spec.name == "Invoice" and "DueDate" not in done:
        term = books.doc("Term", done.get("SalesTermRef", {}).get("value", ""))
        done["DueDate"] = due(date.fromisoformat(done["TxnDate"]), term).isoformat()


def due(issued: date, term: Doc | None) -> date:
    """By the term: days after issue, or a day of the month; 30 days without a term."""
    if term is None:
        return issued + timedelta(days=30)
    if "DayOfMonthDue" not in term:
        return issued + timedelta(days=int(term.get("DueDays", 0)))
    day = int(term["DayOfMonthDue"])
    months = 0 if issued.day + int(term.get("DueNextMonthDays", 0)) <= day else 1
    year, month = divmod(issued.year * 12 + issued.month - 1 + months, 12)
    return date(year, month + 1, min(day, calendar.monthrange(year, month + 1)[1]))


def currency_of(books: Books, done: Doc, old: Doc | None) -> tuple[Doc, Decimal]:
    """The document's currency and rate (home units per unit); sets `ExchangeRate` where several are in use."""
    customer = books.doc("Customer", done.get("CustomerRef", {}).get("value", "")) or {}
    home = lists.home(books)
    own = customer.get("CurrencyRef", {}).get("value", home)
    code = (old or done).get("CurrencyRef", {}).get("value", own)
    if code not in {own, home}:
        raise Refused(6000, f"Business Validation Error: The currency {code} is not the customer's.", element="")
    if not books.prefs("CurrencyPrefs").get("MultiCurrencyEnabled"):
        if code != home:
            raise Refused(5030, "Feature Not Supported Error : Multi currency is not enabled", element="CurrencyRef")
        done.pop("ExchangeRate", None)
        return lists.currency(books, code), Decimal(1)
    rate = Decimal(1) if code == home else Decimal(done.get("ExchangeRate") or books.rate(code, done["TxnDate"]))
    done["ExchangeRate"] = short(rate)
    return lists.currency(books, code), rate


def _lines(books: Books, spec: Entity, done: Doc, old: Doc | None) -> None:
    """Lines with amounts, ids and references; sub-total after the items, then discounts."""
    given = [line for line in done.get("Line", []) if line.get("DetailType") != "SubTotalLineDetail"]
    if not any(line.get("DetailType") != "DiscountLineDetail" for line in given):
        raise missing("Line")
    row = books.row(spec.name, old["Id"]) if old else None
    held = {line["Id"] for line in (old or {}).get("Line", ()) if "Id" in line}
    highest = row.lines if row else 0
    lines: list[Doc] = []
    customer = books.doc("Customer", done.get("CustomerRef", {}).get("value", "")) or {}
    places = lists.places(books, done["CurrencyRef"])
    for line in given:
        if line.get("Id") not in held:
            highest += 1
            line = {**line, "Id": str(highest)}
        lines.append(_line(books, line, customer, places))
    items = [line for line in lines if line["DetailType"] != "DiscountLineDetail" and not _shipping(line)]
    for n, line in enumerate(items, 1):
        line["LineNum"] = n
    subtotal: Doc = {"DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    rest = [{k: v for k, v in line.items() if k not in {"Id", "LineNum"}} for line in lines if line not in items]
    done["Line"] = [*items, subtotal, *rest]


def _shipping(line: Doc) -> bool:
    return bool((line.get("SalesItemLineDetail") or {}).get("ItemRef", {}).get("value") == "SHIPPING_ITEM_ID")


def _line(books: Books, line: Doc, customer: Doc, places: int) -> Doc:
    kind = line.get("DetailType")
    if kind is None:
        raise missing("DetailType")
    shown: Doc = {k: line[k] for k in ("Id", "LineNum", "Description") if k in line}
    if kind == "SalesItemLineDetail":
        amount, detail = _item(books, line, customer, places)
        shown |= {"Amount": money(amount, places), "DetailType": kind, kind: detail}
    elif kind == "DescriptionOnly":
        shown |= {"DetailType": kind, "DescriptionLineDetail": line.get("DescriptionLineDetail", {})}
        shown["Amount"] = money(Decimal(line.get("Amount", 0)), places)
    elif kind == "GroupLineDetail":
        inner = [_line(books, part, customer, places) for part in line.get(kind, {}).get("Line", [])]
        amount = sum((Decimal(part["Amount"]) for part in inner), ZERO)
        shown |= {"Amount": money(amount, places), "DetailType": kind, kind: {**line.get(kind, {}), "Line": inner}}
    elif kind == "DiscountLineDetail":
        detail = {"PercentBased": False, **line.get(kind, {})}
        account = detail.get("DiscountAccountRef", {"value": DISCOUNTS})
        detail["DiscountAccountRef"] = lists.reference(books, "Account", account)
        shown |= {"Amount": money(Decimal(line.get("Amount", 0)), places), "DetailType": kind, kind: detail}
    else:
        shown |= {**line, "Amount": money(Decimal(line.get("Amount", 0)), places)}
    extras: Doc = {k: v for k, v in line.items() if k in {"LinkedTxn", "CustomField"}}
    return shown | extras


def _item(books: Books, line: Doc, customer: Doc, places: int) -> tuple[Decimal, Doc]:
    detail: Doc = dict(line.get("SalesItemLineDetail", {}))
    if "ItemRef" not in detail and line.get("Amount") and books.switches.line_without_item == "6440":
        said = "You must select a product or service or an account for each split line that has an amount"
        raise Refused(6440, f"{said} or a billable customer.", element="Line")
    ref = detail.get("ItemRef", {"value": DEFAULT_ITEM})
    if ref.get("value") != "SHIPPING_ITEM_ID":
        detail["ItemRef"] = lists.reference(books, "Item", ref)
    amount = line.get("Amount")
    if amount and detail.get("UnitPrice") == 0 and detail.get("Qty") == 0:
        del detail["UnitPrice"], detail["Qty"]  # python-quickbooks says 0 for "not given", and is understood
    if "UnitPrice" in detail and "Qty" in detail:
        product = cents(Decimal(detail["UnitPrice"]) * Decimal(detail["Qty"]), places)
        if amount is not None and cents(Decimal(amount), places) != product:
            text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{amount}"
            raise Refused(6070, f"Amount calculation incorrect in the request : {text}", element="Line.Amount")
        amount = product
    if amount is None:
        raise missing("Amount")
    code = detail.get("TaxCodeRef", {}).get("value")
    tax.check_line_code(books.switches, code)
    if code is None and books.switches.country == "US":
        item = books.doc("Item", ref.get("value", "")) or {}
        taxable = item.get("Taxable") and customer.get("Taxable", True)
        using = books.prefs("TaxPrefs").get("UsingSalesTax")
        detail["TaxCodeRef"] = {"value": "TAX" if taxable and using else "NON"}
    return cents(Decimal(amount), places), detail


def _totals(books: Books, spec: Entity, done: Doc, rate: Decimal) -> None:
    lines, places = done.get("Line", []), lists.places(books, done["CurrencyRef"])
    subtotal = sum((Decimal(x["Amount"]) for x in lines if x["DetailType"] in _ADDED), ZERO)
    discount = ZERO
    for line in lines:
        if line["DetailType"] == "DiscountLineDetail":
            detail = line["DiscountLineDetail"]
            if detail["PercentBased"]:
                line["Amount"] = money(subtotal * Decimal(detail.get("DiscountPercent", 0)) / 100, places)
            discount += Decimal(line["Amount"])
    ship = done.get("ShipAddr") or done.get("BillAddr") or {}
    detail, taxed = tax.compute(
        books.switches,
        done,
        lines,
        discount=discount,
        places=places,
        state=str(ship.get("CountrySubDivisionCode", "")),
        rates=books.rates,
        using=bool(books.prefs("TaxPrefs").get("UsingSalesTax")),
    )
    net = sum((Decimal(x["Amount"]) for x in lines if x["DetailType"] in _ADDED), ZERO)
    for line in lines:
        if line["DetailType"] == "SubTotalLineDetail":
            line["Amount"] = money(net - sum((Decimal(x["Amount"]) for x in lines if _shipping(x)), ZERO), places)
    total = net - discount + taxed
    if total < 0:
        raise business("Transaction amount must be 0 or greater.")
    done["TxnTaxDetail"], done["TotalAmt"] = detail, money(total, places)
    if "ExchangeRate" in done:
        done["HomeTotalAmt"] = money(total * rate)
    if spec.name in {"SalesReceipt", "RefundReceipt"}:
        done["Balance"] = 0


_ADDED = frozenset(("SalesItemLineDetail", "GroupLineDetail", "DescriptionOnly"))


def _defaults(books: Books, spec: Entity, done: Doc) -> None:
    done.setdefault("ApplyTaxAfterDiscount", False)
    memo = str(done.get("CustomerMemo", {}).get("value", ""))
    if len(memo) > 1000:
        raise too_long("CustomerMemo", 1000, len(memo))
    done.setdefault("PrintStatus", "NeedToPrint")
    done.setdefault("EmailStatus", "NotSet")
    if done["EmailStatus"] == "NeedToSend" and "BillEmail" not in done:
        raise Refused(6420, "Email address is required", element="BillEmail")
    definitions = books.custom_fields()
    if definitions:
        values = {f.get("DefinitionId"): f for f in done.get("CustomField", [])}
        done["CustomField"] = [d | _string(values.get(d["DefinitionId"], {})) for d in definitions]
    else:
        done.pop("CustomField", None)
    if books.switches.country == "US":
        done.pop("GlobalTaxCalculation", None)
    if spec.name == "Invoice":
        done.update({flag: bool(done.get(flag, False)) for flag in _ONLINE})
    if spec.name == "Estimate":
        done.setdefault("TxnStatus", "Pending")
    if spec.name in {"SalesReceipt", "RefundReceipt"}:
        account = done.get("DepositToAccountRef", {"value": UNDEPOSITED})
        done["DepositToAccountRef"] = lists.deposit_account(books, account)


def _string(field: Doc) -> Doc:
    return {"StringValue": field["StringValue"]} if "StringValue" in field else {}


SEPARATORS = {"space": " ", "newline": "\n", "dash": " - "}


def voided(doc: Doc, separator: str) -> Doc:
    """The same document at zero: amounts gone, number and dates kept, the note begins with "Voided"."""
    done = dict(doc)
    note = doc.get("PrivateNote", "")
    done["PrivateNote"] = f"Voided{SEPARATORS[separator]}{note}" if note else "Voided"
    for field in ("TotalAmt", "Balance", "HomeTotalAmt", "HomeBalance", "UnappliedAmt", "RemainingCredit", "Deposit"):
        if field in done:
            done[field] = 0
    if "UnappliedAmt" in done or "PayType" in done:
        done["Line"] = []
        return done
    if "LinkedTxn" in done:
        done["LinkedTxn"] = []
    if "TxnTaxDetail" in done:
        done["TxnTaxDetail"] = {"TotalTax": 0}
    done["Line"] = [_zeroed(line) for line in doc.get("Line", [])]
    return done


def _zeroed(line: Doc) -> Doc:
    kind: Any = line.get("DetailType")
    detail = {k: v for k, v in line.get(kind, {}).items() if k not in {"UnitPrice", "Qty", "TaxInclusiveAmt"}}
    return {**line, "Amount": 0} | ({kind: detail} if kind in line else {})


def opening_invoice(books: Books, customer: str, given: Doc) -> None:
    """A customer created with Balance and OpenBalanceDate owes it on an invoice of that date."""
    spec = schema.ENTITIES["invoice"]
    line = {
        "Amount": Decimal(given["Balance"]),
        "Description": "Opening Balance",
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": DEFAULT_ITEM}},
    }
    with books.as_system():
        books.create(
            spec, {"CustomerRef": {"value": customer}, "TxnDate": given["OpenBalanceDate"], "Line": [line]}, True
        )
