"""What an installation is set up with: companies, sites, currencies, taxes, terms, items, types. All invented."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from .switches import Switches

# What a client is set up with: the codes of this company, and the public names of its web services, as TOML.
SETTINGS = """\
company = "HLS"
site = "HLS01"
customer_category = "US"
tax_rule = "DOM"
terms = "NET30"
due_term = "CASH"
invoice_type = "INV"
credit_type = "CRM"
bank = "BANK1"
applied_as = "ALLOC"
cancelled = ["5"]
services = { BPC = "WSBPC", SIH = "WSSIH", PAY = "WSPAY", GAS = "WSGAS", open_items = "ZARDUD" }
attributes = { ALLOC = "application", ADVAN = "unapplied" }
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A site of a company. mark: what its document numbers carry after the type's prefix."""

    code: str
    company: str
    name: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """One due date of a payment term: its share in percent, days after the base date, then to the month's end."""

    share: Decimal
    days: int
    month_end: bool = False


@dataclass(frozen=True, slots=True)
class InvoiceType:
    """A SIVTYP. category: INVTYP 1 invoice, 2 credit memo, 3 debit note, 4 credit note, 5 pro-forma."""

    code: str
    category: int
    prefix: str

    @property
    def sense(self) -> int:
        """SNS: +1 what the customer owes, -1 what is owed to him."""
        return -1 if self.category in {2, 4} else 1


@dataclass(frozen=True, slots=True)
class Attribute:
    """A DENCOD. kind: allocation (on an open item) · advance (on none) · discount, charge (reduce the cash)."""

    code: str
    kind: str
    account: str = ""


def _terms() -> dict[str, tuple[Due, ...]]:
    whole = Decimal(100)
    return {
        "CASH": (Due(whole, 0),),
        "NET15": (Due(whole, 15),),
        "NET30": (Due(whole, 30),),
        "NET60": (Due(whole, 60),),
        "EOM30": (Due(whole, 30, month_end=True),),
        "HALVES": (Due(Decimal(50), 30), Due(Decimal(50), 60)),
        "THIRDS": (Due(Decimal("33.33"), 30), Due(Decimal("33.33"), 60), Due(Decimal("33.34"), 90)),
    }


def _titles() -> dict[str, str]:
    return {
        "DOM": "Domestic",
        "EUR": "European Union",
        "EXP": "Export",
        "NT": "No tax",
        "CASH": "On receipt",
        "NET15": "15 days",
        "NET30": "30 days",
        "NET60": "60 days",
        "EOM30": "30 days, end of month",
        "HALVES": "Half in 30, half in 60 days",
        "THIRDS": "Thirds in 30, 60, 90 days",
        "DOMC": "Domestic customers",
        "FORC": "Foreign customers",
        "US": "Customers of North America",
        "ENG": "English",
        "FRA": "French",
        "POR": "Portuguese",
    }


@dataclass
class Company:
    """The set-up; tests may add to it before documents are entered.

    taxes: tax code -> percent. levels: (tax rule, item's tax level) -> tax code.
    items: code -> (description, unit, price, tax level). accounts: code -> title.
    quotes: (currency, from day) -> units of the first company's currency for one unit.
    """

    home: dict[str, str]
    sites: dict[str, Site]
    currencies: dict[str, tuple[str, int]]
    quotes: dict[tuple[str, date], Decimal]
    categories: tuple[str, ...] = ("DOMC", "FORC", "US")
    countries: dict[str, str] = field(
        default_factory=lambda: {
            "FR": "France",
            "DE": "Germany",
            "GB": "United Kingdom",
            "PT": "Portugal",
            "US": "United States",
        }
    )
    rules: tuple[str, ...] = ("DOM", "EUR", "EXP", "NT")
    taxes: dict[str, Decimal] = field(
        default_factory=lambda: {"NOR": Decimal(20), "RED": Decimal("5.5"), "INT": Decimal(10), "EXO": Decimal(0)}
    )
    levels: tuple[str, ...] = ("NOR", "RED", "INT", "EXO")
    terms: dict[str, tuple[Due, ...]] = field(default_factory=_terms)
    titles: dict[str, str] = field(default_factory=_titles)
    types: dict[str, InvoiceType] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(
        default_factory=lambda: {
            a.code: a
            for a in (
                Attribute("ALLOC", "allocation"),
                Attribute("ADVAN", "advance"),
                Attribute("DISCT", "discount", "665000"),
                Attribute("CHARG", "charge", "627000"),
            )
        }
    )
    items: dict[str, tuple[str, str, Decimal, str]] = field(
        default_factory=lambda: {
            "SERVICE": ("Service", "UN", Decimal(100), "NOR"),
            "PUMP": ("Pump", "UN", Decimal("149.9"), "NOR"),
            "BOOK": ("Handbook", "UN", Decimal("24.5"), "RED"),
            "HOUR": ("Hour of work", "HR", Decimal(85), "INT"),
            "FREE": ("Exempt service", "UN", Decimal(10), "EXO"),
        }
    )
    accounts: dict[str, str] = field(
        default_factory=lambda: {
            "411000": "Customers",
            "445710": "Tax collected",
            "512000": "Bank",
            "627000": "Bank charges",
            "654000": "Bad debts",
            "665000": "Discounts granted",
            "666000": "Exchange losses",
            "766000": "Exchange gains",
            "701000": "Sales",
            "706000": "Services",
            "471000": "Suspense",
        }
    )
    control: str = "411000"
    banks: dict[str, str] = field(default_factory=lambda: {"BANK1": "512000"})

    def company_of(self, site: str) -> str:
        return self.sites[site].company

    def currency_of(self, site: str) -> str:
        return self.home[self.sites[site].company]

    def decimals(self, currency: str) -> int:
        return self.currencies[currency][1]

    def tax_code(self, rule: str, level: str) -> str:
        """The tax of a line: the level's own at home, none under every other rule."""
        return level if rule == "DOM" else "EXO"

    def rate(self, currency: str, home: str, on: date) -> Decimal | None:
        """Units of `home` for one unit of `currency` on a day; None when no quote is that old."""
        if currency == home:
            return Decimal(1)
        values = [self._quote(code, on) for code in (currency, home)]
        if values[0] is None or values[1] is None:
            return None
        return (values[0] / values[1]).quantize(Decimal("1.0000000000"))

    def _quote(self, currency: str, on: date) -> Decimal | None:
        if currency == next(iter(self.home.values())):
            return Decimal(1)
        days = [day for code, day in self.quotes if code == currency and day <= on]
        return self.quotes[currency, max(days)] if days else None


_IN_EUR = {"EUR": Decimal(1), "USD": Decimal("0.9216"), "GBP": Decimal("1.1702"), "JPY": Decimal("0.0061")}


def set_up(switches: Switches) -> Company:
    """The installation that every seed starts with: two companies, three sites."""
    home = switches.company_currency
    second = "GBP" if home != "GBP" else "EUR"
    quotes = {
        (code, day): (value / _IN_EUR[home] * factor).quantize(Decimal("1.000000"))
        for code, value in _IN_EUR.items()
        if code != home
        for day, factor in ((date(2019, 1, 1), Decimal(1)), (date(2026, 1, 1), Decimal("1.0125")))
    }
    return Company(
        home={"HLS": home, "TWN": second},
        sites={
            "HLS01": Site("HLS01", "HLS", "Harbor Lane"),
            "HLS02": Site("HLS02", "HLS", "Harbor Lane North", "N"),
            "TWN01": Site("TWN01", "TWN", "Tidewater", "T"),
        },
        currencies={
            "EUR": ("Euro", 2),
            "USD": ("US dollar", 2),
            "GBP": ("Pound sterling", 2),
            "JPY": ("Yen", 0),
        },
        quotes=quotes,
        types={
            t.code: t
            for t in (
                InvoiceType("INV", 1, "INV"),
                InvoiceType("FRN", 1, "FRN"),
                InvoiceType("CRM", int(switches.credit_category), "CRM"),
                InvoiceType("DBN", 3, "DBN"),
                InvoiceType("PRF", 5, "PRF"),
            )
        },
    )
