"""Our own invented books: `small`, `empty` (no customers), `bare` (nobody at all), and generated ones of any size."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tieout.errors import ConfigError

from . import company, schema
from .encode import Doc, cents, short
from .switches import Switches

if TYPE_CHECKING:
    from .books import Books

SEEDS = "small, empty, bare, generate:CUSTOMERS:INVOICES:SEED"


def plant(books: Books, seed: str) -> None:
    """Fills fresh books. Raises ConfigError for a seed that is none of SEEDS."""
    kind, *sizes = seed.split(":")
    known = kind in {"small", "empty", "bare", "generate"} and len(sizes) == (3 if kind == "generate" else 0)
    if not known or not all(size.isascii() and size.isdecimal() for size in sizes):
        raise ConfigError(f"there are no books {seed!r}", hint=f"one of: {SEEDS}")
    now = books.now()
    books.pin(now - timedelta(days=500))
    books.reserve("attachable", 5 * 10**18)
    _company(books, people=kind != "bare")
    if kind == "small":
        _small(books, now)
    elif kind == "generate":
        generate_into(books, *map(int, sizes))
    books.pin(None)
    books.effects.clear()


def put(books: Books, entity: str, id: str, doc: Doc) -> None:
    """Stores a document under a given id, past the rules that a caller meets."""
    spec = schema.ENTITIES[entity.lower()]
    if id.isdecimal():
        books.reserve(spec.sequence or spec.name, int(id))
    books.store(entity, id, books.seal(id, {"Active": True, **doc} if spec.kind == "list" else doc, None), "create")


def tax_rate(name: str, percent: Decimal, agency: str) -> Doc:
    return {
        "Name": name,
        "Description": name,
        "RateValue": short(percent),
        "AgencyRef": {"value": agency},
        "SpecialTaxType": "NONE",
        "DisplayType": "ReadOnly",
    }


def tax_code(name: str, rates: list[str]) -> Doc:
    details = [{"TaxRateRef": {"value": r}, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0} for r in rates]
    return {
        "Name": name,
        "Description": name,
        "Taxable": True,
        "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": details},
        "PurchaseTaxRateList": {"TaxRateDetail": []},
    }


def _company(books: Books, *, people: bool) -> None:
    """Accounts first (nothing else can be referred to before), then the lists and the two singletons."""
    switches = books.switches
    put(books, "Preferences", "1", company.preferences(switches))
    put(books, "CompanyInfo", "1", company.info(switches))
    for id, code, name in company.currencies(switches):
        put(books, "CompanyCurrency", str(id), {"Code": code, "Name": name})
    spec = schema.ENTITIES["account"]
    from . import lists  # noqa: PLC0415  (lists needs Books, which imports this module)

    for id, name, kind, sub in company.ACCOUNTS:
        put(books, "Account", str(id), lists.account(books, spec, company.account(name, kind, sub), None))
    if switches.multicurrency:
        for n, (code, _) in enumerate(company.quotes(switches), 101):
            doc = company.account(f"Accounts Receivable (A/R) - {code}", "Accounts Receivable", "AccountsReceivable")
            doc["CurrencyRef"] = {"value": code}
            put(books, "Account", str(n), lists.account(books, spec, doc, None))
    for number, item_name, item_kind, price, taxable, income in company.ITEMS:
        doc = company.item(item_name, item_kind, price, taxable, income)
        put(books, "Item", str(number), lists.item(books, schema.ENTITIES["item"], doc, None))
    for id, name, fields in company.TERMS:
        put(
            books,
            "Term",
            str(id),
            {"Name": name, "Type": "DATE_DRIVEN" if "DayOfMonthDue" in fields else "STANDARD", **fields},
        )
    for id, name, kind in company.METHODS:
        put(books, "PaymentMethod", str(id), {"Name": name, "Type": kind})
    for id, name in company.AGENCIES:
        put(
            books,
            "TaxAgency",
            str(id),
            {"DisplayName": name, "TaxTrackedOnPurchases": False, "TaxTrackedOnSales": True},
        )
    _taxes(books, switches)
    put(books, "CustomerType", "1", {"Name": "General"})
    for name in ("Tidewater Nursery", "Quarry & Sons", "Lumen Electric") if people else ():
        books.create(schema.ENTITIES["vendor"], {"DisplayName": name, "CompanyName": name})
    for given, family in (("Emil", "Hart"), ("Jona", "Platt")) if people else ():
        books.create(schema.ENTITIES["employee"], {"GivenName": given, "FamilyName": family})
    put(books, "Class", "1", {"Name": "North", "FullyQualifiedName": "North"})
    put(books, "Department", "1", {"Name": "Main", "FullyQualifiedName": "Main"})
    for code, rate in company.quotes(switches):
        on = books.today().isoformat()
        doc = {"SourceCurrencyCode": code, "TargetCurrencyCode": company.HOME[switches.country], "AsOfDate": on}
        put(books, "ExchangeRate", f"{code}-{on}", {**doc, "Rate": Decimal(rate)})


def _taxes(books: Books, switches: Switches) -> None:
    if switches.country == "US":
        for id, name, percent, agency in company.RATES:
            put(books, "TaxRate", str(id), tax_rate(name, Decimal(percent), agency))
        for id, name, rates in company.CODES:
            put(books, "TaxCode", str(id), tax_code(name, list(rates)))
        return
    for id, name, percent in company.FOREIGN[switches.country]:
        put(books, "TaxRate", str(id), tax_rate(name, Decimal(percent), "1"))
        put(books, "TaxCode", str(id), tax_code(name, [str(id)]))


# The first by name begins with a mark, so that it stays first whatever a suite adds, and it owns invoices.
PEOPLE: tuple[tuple[str, str, str, str, str], ...] = (  # display name, street, city, state, zip
    ("Alder & Finch", "18 Reed Street", "Bayview", "CA", "94326"),
    ("Birch Row Bakery", "7 Mill Lane", "Half Moon Bay", "CA", "94213"),
    ("O'Brien", "220 Canal Road", "Tucson", "AZ", "85719"),
    ('"Quill" Press', "3 Press Court", "Brooklyn", "NY", "11201"),
    ("100% Timber", "51 Sawmill Way", "Austin", "TX", "73301"),
    ("Łódź Glas GmbH", "9 Kilnhouse Yard", "Bayview", "CA", "94326"),
    ("Under_score & Co", "12 Dash Street", "Bayview", "CA", "94327"),
    ("Zephyr Kites #2", "88 Cliff Road", "Pacifica", "CA", "94044"),
)


def _person(name: str, street: str, city: str, state: str, postal: str) -> Doc:
    address = {"Line1": street, "City": city, "CountrySubDivisionCode": state, "PostalCode": postal}
    word = "".join(c for c in name.lower() if c.isascii() and c.isalnum()) or "customer"
    return {
        "DisplayName": name,
        "CompanyName": name,
        "BillAddr": address,
        "ShipAddr": address,
        "PrimaryEmailAddr": {"Address": f"billing@{word}.example"},
        "PrimaryPhone": {"FreeFormNumber": "(555) 010-0100"},
        "SalesTermRef": {"value": "3"},
    }


def _line(item: str, quantity: str, price: str) -> Doc:
    detail = {"ItemRef": {"value": item}, "Qty": Decimal(quantity), "UnitPrice": Decimal(price)}
    return {"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def _pay(*targets: tuple[str, str, Decimal]) -> list[Doc]:
    return [{"Amount": amount, "LinkedTxn": [{"TxnType": kind, "TxnId": id}]} for kind, id, amount in targets]


def _maker(books: Books) -> Callable[[str, date | None, Doc], str]:
    def make(entity: str, on: date | None, doc: Doc) -> str:
        if on is not None:
            moment = datetime(on.year, on.month, on.day, 17, tzinfo=books.now().tzinfo)
            books.pin(moment)
            doc = {**doc, "TxnDate": on.isoformat()}
        return str(books.create(schema.ENTITIES[entity.lower()], doc)["Id"])

    return make


def _small(books: Books, now: datetime) -> None:
    """Nine customers, 16 invoices of the last half year, payments whole, in part, ahead and none, two credits."""
    make = _maker(books)
    today = (now - timedelta(days=1)).date()
    customers = [make("Customer", None, _person(*who)) for who in PEOPLE]
    parent = customers[2]
    child = make(
        "Customer", None, {"DisplayName": "Sons", "ParentRef": {"value": parent}, "Job": True, "BillWithParent": True}
    )
    everyone = [*customers, child]
    ids = []
    for n in range(16):
        lines = [_line("4", str(2 + n % 3), "75"), _line("7", "1.5", "50")][: 1 + n % 2]
        doc: Doc = {"CustomerRef": {"value": everyone[n % len(everyone)]}, "Line": lines}
        if n % 5 == 4 and books.switches.country == "US":
            doc["Line"] = [*lines, _line("13", "8", "22.5")]
            doc["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": "2"}}
        if books.switches.country != "US":
            for line in lines:
                line["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "2"}
            doc["GlobalTaxCalculation"] = "TaxExcluded"
        ids.append(make("Invoice", today - timedelta(days=160 - 10 * n), doc))
    for n, part in ((0, "1"), (1, "1"), (2, "0.5"), (3, "1"), (5, "0.25"), (6, "1")):
        invoice = books.doc("Invoice", ids[n]) or {}
        amount = cents(Decimal(invoice["TotalAmt"]) * Decimal(part))
        pay: Doc = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": amount, "PaymentRefNum": str(1100 + n)}
        pay |= {"PaymentMethodRef": {"value": "2"}, "Line": _pay(("Invoice", ids[n], amount))}
        make("Payment", today - timedelta(days=140 - 10 * n), pay)
    ahead: Doc = {"CustomerRef": {"value": customers[7]}, "TotalAmt": Decimal("40.00"), "PaymentRefNum": "ACH-7"}
    make("Payment", today - timedelta(days=20), ahead)
    credit: Doc = {"CustomerRef": {"value": customers[1]}, "Line": [_line("4", "1", "75")]}
    if books.switches.country != "US":
        credit["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "4"}
        credit["GlobalTaxCalculation"] = "TaxExcluded"
    make("CreditMemo", today - timedelta(days=15), credit)


FIRST = schema.words("Amber Basalt Cedar Delta Ember Fjord Garnet Hazel Indigo Juniper Kestrel Larch Maple Nimbus Onyx")
SECOND = schema.words(
    "Foods Tools Freight Optics Press Farms Labs Motors Textiles Marine Paper Glass Energy Media Dairy"
)


def generate_into(books: Books, n_customers: int, n_invoices: int, seed: int) -> None:
    """Adds customers and invoices over 400 days: some paid, some in part, a credit memo for one in fifty."""
    draw = random.Random(seed)  # noqa: S311  (invented books, the same for the same seed)
    make = _maker(books)
    start = books.today() + timedelta(days=90)
    customers = []
    for n in range(n_customers):
        name = f"{draw.choice(FIRST)} {draw.choice(SECOND)} {n + 1:05d}"
        customers.append(make("Customer", None, _person(name, f"{n + 1} Low Road", "Bayview", "CA", "94326")))
    for n in range(n_invoices if customers else 0):
        on = start + timedelta(days=400 * n // max(n_invoices, 1))
        customer = {"value": draw.choice(customers)}
        price = Decimal(draw.randrange(500, 250000)) / 100
        extra: dict[str, Any] = {}
        line = _line("4", str(draw.randrange(1, 9)), str(price))
        if books.switches.country != "US":
            line["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "2"}
            extra["GlobalTaxCalculation"] = "TaxExcluded"
        id = make("Invoice", on, {"CustomerRef": customer, "Line": [line], **extra})
        balance = Decimal((books.doc("Invoice", id) or {})["Balance"])
        luck = draw.random()
        if luck < 0.6 and balance:
            part = balance if luck < 0.5 else cents(balance / 3)
            pay = {"CustomerRef": customer, "TotalAmt": part, "PaymentRefNum": f"{n + 1:06d}"}
            make("Payment", on, {**pay, "Line": _pay(("Invoice", id, part))})
        if n % 50 == 49:
            refund = _line("4", "1", str(cents(price / 4)))
            if books.switches.country != "US":
                refund["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "4"}
            make("CreditMemo", on, {"CustomerRef": customer, "Line": [refund], **extra})
