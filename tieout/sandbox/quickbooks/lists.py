"""The rules of list objects: names, defaults, hierarchy, (de)activation, balances shown."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import schema
from .encode import ZERO, Doc, money
from .faults import INACTIVE, Refused, gone, missing
from .schema import Entity

if TYPE_CHECKING:
    from .books import Books

REMOVED = " (deleted)"
CURRENCIES = {
    "USD": "United States Dollar",
    "EUR": "Euro",
    "CAD": "Canadian Dollar",
    "GBP": "British Pound Sterling",
    "MXN": "Mexican Peso",
    "JPY": "Japanese Yen",
    "KWD": "Kuwaiti Dinar",
}
_PLACES = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3, "JOD": 3, "TND": 3}
ELEMENTS = {  # what the 2500 fault calls each list
    "Customer": "Names",
    "Vendor": "Names",
    "Employee": "Names",
    "Item": "Items",
    "Account": "Accounts",
    "Class": "Klasses",
    "Department": "Depts",
    "Term": "Terms",
    "PaymentMethod": "PaymentMethods",
}
KEPT = {  # what a full update keeps when it does not say it
    "list": schema.words(
        "Active Taxable Job BillWithParent CurrencyRef PreferredDeliveryMethod DefaultTaxCodeRef Vendor1099 "
        "BillableTime SubAccount AccountType AccountSubType Classification Type TrackQtyOnHand ParentRef"
    ),
    "txn": ("DocNumber", "CurrencyRef", "ExchangeRate", "CustomField"),
    "single": (),
    "other": (),
}
INCOME = {"Income": "Revenue", "Other Income": "Revenue"}
CLASSES = {
    "Bank": "Asset",
    "Accounts Receivable": "Asset",
    "Other Current Asset": "Asset",
    "Fixed Asset": "Asset",
    "Other Asset": "Asset",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
    "Equity": "Equity",
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Cost of Goods Sold": "Expense",
    "Expense": "Expense",
    "Other Expense": "Expense",
}
SUBTYPES = {  # sub-type -> type, where only the sub-type is given
    "Checking": "Bank",
    "Savings": "Bank",
    "CashOnHand": "Bank",
    "AccountsReceivable": "Accounts Receivable",
    "AccountsPayable": "Accounts Payable",
    "UndepositedFunds": "Other Current Asset",
    "Inventory": "Other Current Asset",
    "CreditCard": "Credit Card",
    "SalesOfProductIncome": "Income",
    "ServiceFeeIncome": "Income",
    "SuppliesMaterialsCogs": "Cost of Goods Sold",
    "Travel": "Expense",
    "OpeningBalanceEquity": "Equity",
}


def kept(spec: Entity, old: Doc) -> Doc:
    """What survives a full update by itself."""
    return {name: old[name] for name in KEPT[spec.kind] if name in old}


def refuse_unwritable(spec: Entity) -> None:
    if spec.name in {"TaxCode", "TaxRate", "JournalCode"}:
        raise Refused(500, f"Operation on {spec.name} is not supported.")


def reference(books: Books, entity: str, ref: Doc | None, *, named: bool = True) -> Doc | None:
    """The reference as answered. Raises Refused 2500 for an unknown object, 610 for an inactive one."""
    if ref is None:
        return None
    id = str(ref.get("value", ""))
    doc = books.doc(entity, id)
    if doc is None:
        raise Refused(
            2500, f"Invalid Reference Id : {ELEMENTS.get(entity, entity)} element id {id} not found", element=""
        )
    if doc.get("Active") is False:
        raise gone(INACTIVE)
    return {"value": id, "name": title(doc)} if named else {"value": id}


def buyer(books: Books, ref: Doc) -> Doc | None:
    """The customer of a sales form or payment, as `reference` has it; by a switch, Refused 6250 if it cannot be."""
    if books.switches.unusable_customer == "6250":
        doc = books.doc("Customer", str(ref.get("value", "")))
        if doc is None or doc.get("Active") is False:
            said = f"The specified customer (identified by {ref.get('value', '')}) doesn't exist, or is inactive."
            raise Refused(6250, f"InvalidSalesCustomer : {said}", element="")
    return reference(books, "Customer", ref)


def deposit_account(books: Books, ref: Doc, *, named: bool = True) -> Doc | None:
    """Where money received goes, as `reference` has it; by a switch, Refused 6430 where no money can lie."""
    done = reference(books, "Account", ref, named=named)
    kind = (books.doc("Account", str(ref.get("value", ""))) or {}).get("AccountType")
    if kind not in {"Bank", "Other Current Asset"} and books.switches.wrong_deposit_account == "6430":
        raise Refused(6430, f"Invalid account type: {kind}", element="DepositToAccountRef")
    return done


def title(doc: Doc) -> str:
    """The name other documents show for a list object."""
    if "DisplayName" in doc:
        return str(doc.get("FullyQualifiedName", doc["DisplayName"]))
    return str(doc.get("Name", doc.get("Code", "")))


def currency(books: Books, code: str) -> Doc:
    row = next((r.doc for r in books.tables["CompanyCurrency"].values() if r.doc["Code"] == code), None)
    return {"value": code, "name": row["Name"] if row else CURRENCIES.get(code, code)}


def places(books: Books, ref: Doc | None) -> int:
    """How many decimals amounts of a `CurrencyRef` are kept with (a switch)."""
    own = books.switches.currency_places == "own"
    return _PLACES.get(str((ref or {}).get("value", "")), 2) if own else 2


def home(books: Books) -> str:
    return str(books.prefs("CurrencyPrefs").get("HomeCurrency", {}).get("value", "USD"))


def active_name(doc: Doc, old: Doc | None, field: str) -> str:
    """The name with or without the suffix that an inactive holder carries."""
    name = str(doc.get(field, ""))
    if doc.get("Active") is False:
        return name if name.endswith(REMOVED) else name + REMOVED
    if old is not None and old.get("Active") is False and name.endswith(REMOVED):
        return name.removesuffix(REMOVED)
    return name


def person(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """Customer, Vendor, Employee: one name list, no two alike."""
    parts = [doc[p] for p in ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix") if p in doc]
    if "DisplayName" not in doc and not parts:
        raise Refused(6080, "Required name is missing : DisplayName", element="DisplayName")
    done = {**doc, "DisplayName": doc.get("DisplayName", " ".join(parts))}
    done["Active"] = doc.get("Active", True)
    done["DisplayName"] = active_name(done, old, "DisplayName")
    if any(c in done["DisplayName"] for c in ":\t\n"):
        raise Refused(2040, "Invalid name : colon, tab and newline are not allowed", element="DisplayName")
    renamed = old is not None and old["DisplayName"] != done["DisplayName"]
    if not doc.get("PrintOnCheckName") or (renamed and doc["PrintOnCheckName"] == old["PrintOnCheckName"]):  # type: ignore[index]  # renamed implies old
        plain = done["DisplayName"].removesuffix(REMOVED)
        done["PrintOnCheckName"] = plain
    done = _DEFAULTS[spec.name](books, done, old)
    if spec.name == "Customer":
        done = _customer(books, done, old)
    holder = books.names.get(title(done).lower())
    if holder is not None and (old is None or holder != (spec.name, old["Id"])):
        raise Refused(6240, "The name supplied already exists. : null")
    if renamed:
        _rename(books, spec.name, old or {}, done)
    return {k: v for k, v in done.items() if k not in {"Balance", "BalanceWithJobs"}}


def _customer_defaults(books: Books, doc: Doc, old: Doc | None) -> Doc:
    code = doc.get("CurrencyRef", {}).get("value", home(books))
    if old is not None:
        code = old.get("CurrencyRef", {}).get("value", code)
    _known_currency(books, code)
    start: Doc = {"Taxable": True, "Job": False, "BillWithParent": False}
    done = start | doc | {"CurrencyRef": currency(books, code)}
    done.setdefault("PreferredDeliveryMethod", "Print")
    if books.prefs("TaxPrefs").get("UsingSalesTax"):
        done.setdefault("DefaultTaxCodeRef", {"value": "2"})
    for field, entity in (("SalesTermRef", "Term"), ("PaymentMethodRef", "PaymentMethod")):
        if field in doc:
            done[field] = reference(books, entity, doc[field], named=False)
    for n, field in enumerate(("BillAddr", "ShipAddr")):
        if field in doc and "Id" not in doc[field]:
            done[field] = {"Id": books.next_id("address", 200 + n), **doc[field]}
    return done


def _vendor_defaults(books: Books, doc: Doc, _: Doc | None) -> Doc:
    return {
        "Vendor1099": False,
        "CurrencyRef": currency(books, home(books)),
        **doc,
    }


def _employee_defaults(_: Books, doc: Doc, __: Doc | None) -> Doc:
    hidden = {"SSN": "XXX-XX-XXXX"} if doc.get("SSN") else {}  # QuickBooks never shows it again
    return {"BillableTime": False, **doc, **hidden}


_DEFAULTS = {"Customer": _customer_defaults, "Vendor": _vendor_defaults, "Employee": _employee_defaults}


def _known_currency(books: Books, code: str) -> None:
    if code == home(books):
        return
    if not books.prefs("CurrencyPrefs").get("MultiCurrencyEnabled"):
        raise Refused(5030, "Feature Not Supported Error : Multi currency is not enabled", element="CurrencyRef")
    codes = {r.doc["Code"] for r in books.tables["CompanyCurrency"].values() if r.doc.get("Active", True)}
    if code not in codes:
        raise Refused(2500, f"Invalid Reference Id : Currency element id {code} not found", element="CurrencyRef")


def _customer(books: Books, done: Doc, old: Doc | None) -> Doc:
    parent = done.get("ParentRef")
    done.pop("Level", None)
    if parent is None:
        return {**done, "FullyQualifiedName": done["DisplayName"]}
    above = books.doc("Customer", str(parent["value"]))
    if above is None or (old is not None and above["Id"] == old["Id"]):
        raise Refused(2500, f"Invalid Reference Id : Names element id {parent['value']} not found", element="")
    if above.get("Active") is False and (old is None or old.get("ParentRef") != parent):
        raise gone(INACTIVE)
    level = int(above.get("Level", 0)) + 1
    if level > 4:
        raise Refused(6180, "Sub-level limit reached : 5", element="ParentRef")
    full = f"{above['FullyQualifiedName']}:{done['DisplayName']}"
    return {**done, "ParentRef": {"value": above["Id"]}, "Level": level, "FullyQualifiedName": full}


def _rename(books: Books, entity: str, old: Doc, new: Doc) -> None:
    """References show current names: documents of a renamed customer and its children follow, versions untouched."""
    id, shown = old["Id"], title(new)
    for table in books.tables.values():
        for row in table.values():
            ref = row.doc.get(f"{entity}Ref")
            if isinstance(ref, dict) and ref.get("value") == id and "name" in ref:
                row.doc, row.text = {**row.doc, f"{entity}Ref": {"value": id, "name": shown}}, None
    for row in books.tables[entity].values():
        if row.doc.get("ParentRef", {}).get("value") == id:
            child = {**row.doc, "FullyQualifiedName": f"{shown}:{row.doc['DisplayName']}"}
            before, row.doc, row.text = row.doc, child, None
            _rename(books, entity, before, child)


def account(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    if "AccountType" not in doc and "AccountSubType" not in doc:
        raise Refused(6010, "Account type or subtype is required", element="AccountType")
    done = named(books, spec, doc, old)
    sub = str(done.get("AccountSubType", ""))
    kind = str(done.get("AccountType") or SUBTYPES.get(sub, "Expense"))
    if any(c in done["Name"] for c in ':"'):
        raise Refused(2040, "Invalid account name", element="Name")
    done |= {"AccountType": kind, "Classification": CLASSES.get(kind, "Expense")}
    done.setdefault("AccountSubType", kind.replace(" ", ""))
    done["SubAccount"] = "ParentRef" in done
    done["CurrencyRef"] = currency(books, done.get("CurrencyRef", {}).get("value", home(books)))
    for derived in ("CurrentBalance", "CurrentBalanceWithSubAccounts"):
        done.pop(derived, None)
    return done


def item(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    done = named(books, spec, doc, old)
    done.setdefault("Type", "Service")
    for field in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
        if field in doc:
            done[field] = reference(books, "Account", doc[field])
    if done["Type"] in {"Service", "Inventory", "NonInventory"} and "IncomeAccountRef" not in done:
        raise missing("IncomeAccountRef")
    start: Doc = {"Taxable": False, "UnitPrice": 0, "PurchaseCost": 0, "TrackQtyOnHand": done["Type"] == "Inventory"}
    return start | done


def term(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    done = named(books, spec, doc, old)
    done["Type"] = "DATE_DRIVEN" if "DayOfMonthDue" in done else "STANDARD"
    if done["Type"] == "STANDARD":
        done.setdefault("DueDays", 0)
    return done


def named(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """An object with a Name (DisplayName for a tax agency, Code for a currency), unique in its list and parent."""
    field = {"TaxAgency": "DisplayName", "CompanyCurrency": "Code"}.get(spec.name, "Name")
    if not doc.get(field):
        raise missing(field)
    done = {"Active": True, **doc}
    if spec.name == "CompanyCurrency":
        done.setdefault("Name", CURRENCIES.get(done["Code"], done["Code"]))
    elif spec.name != "TaxAgency":
        done["Name"] = active_name(done, old, "Name")
    parent = done.get("ParentRef", {}).get("value")
    for id, row in books.tables[spec.name].items():
        same = str(row.doc.get(field, "")).lower() == str(done[field]).lower()
        if same and row.doc.get("ParentRef", {}).get("value") == parent and (old is None or old["Id"] != id):
            raise Refused(6240, "The name supplied already exists. : null")
    if spec.name in {"Account", "Item", "Class", "Department"}:
        above = books.doc(spec.name, str(parent)) if parent else None
        done["FullyQualifiedName"] = f"{above['FullyQualifiedName']}:{done['Name']}" if above else done["Name"]
    return done


def preferences(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """AutoApply settings are read-only through the API; multi-currency, once on, stays on."""
    del spec
    before = old or {}
    forms = {**doc.get("SalesFormsPrefs", {})}
    for field in ("AutoApplyCredit", "AutoApplyPayments"):
        if field in before.get("SalesFormsPrefs", {}):
            forms[field] = before["SalesFormsPrefs"][field]
    money_prefs = {**doc.get("CurrencyPrefs", {})}
    if before.get("CurrencyPrefs", {}).get("MultiCurrencyEnabled"):
        money_prefs["MultiCurrencyEnabled"] = True
    books.stale("Preferences", "1")
    return {**doc, "SalesFormsPrefs": forms, "CurrencyPrefs": money_prefs}


def with_balances(books: Books, entity: str, doc: Doc) -> Doc:
    """List objects with the balances the ledger knows."""
    if entity == "Customer":
        own = books.ledger.customers.get(doc["Id"], ZERO)
        kept = places(books, doc.get("CurrencyRef"))
        whole = own + _children(books, doc["Id"])
        return {**doc, "Balance": money(own, kept), "BalanceWithJobs": money(whole, kept)}
    if entity == "Vendor":
        return doc if "Balance" in doc else {**doc, "Balance": money(_payable(books, doc["Id"]))}
    if entity == "Account":
        balance = money(books.ledger.accounts.get(doc["Id"], ZERO))
        if doc.get("Classification") in {"Revenue", "Expense"}:
            balance = 0
        balances: dict[str, Any] = {"CurrentBalance": balance, "CurrentBalanceWithSubAccounts": balance}
        return {**doc, **balances}
    return doc


def _children(books: Books, id: str) -> Decimal:
    return sum(
        (books.ledger.customers.get(child, ZERO) + _children(books, child) for child in books.children.get(id, ())),
        ZERO,
    )


def _payable(books: Books, id: str) -> Decimal:
    total = ZERO
    for row in books.tables["Bill"].values():
        if row.doc.get("VendorRef", {}).get("value") == id:
            total += Decimal(row.doc.get("Balance", 0))
    return total
