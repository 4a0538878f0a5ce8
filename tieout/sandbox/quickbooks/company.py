"""What every seeded company starts with: accounts, items, terms, methods, taxes, currencies, preferences.

Ids of accounts, items, terms and methods are those that third-party suites name.
"""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal

from .encode import Doc
from .switches import Switches

ACCOUNTS = (  # id, name, type, sub-type
    (1, "Services", "Income", "ServiceFeeIncome"),
    (2, "Opening Balance Equity", "Equity", "OpeningBalanceEquity"),
    (3, "Retained Earnings", "Equity", "RetainedEarnings"),
    (4, "Undeposited Funds", "Other Current Asset", "UndepositedFunds"),
    (7, "Advertising", "Expense", "AdvertisingPromotional"),
    (8, "Automobile", "Expense", "Auto"),
    (9, "Bank Charges", "Expense", "BankCharges"),
    (11, "Insurance", "Expense", "Insurance"),
    (13, "Meals", "Expense", "EntertainmentMeals"),
    (15, "Office Expenses", "Expense", "OfficeGeneralAdministrativeExpenses"),
    (17, "Rent or Lease", "Expense", "RentOrLeaseOfBuildings"),
    (20, "Supplies", "Expense", "SuppliesMaterials"),
    (22, "Travel", "Expense", "Travel"),
    (24, "Utilities", "Expense", "Utilities"),
    (27, "Interest Earned", "Other Income", "InterestEarned"),
    (33, "Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable"),
    (35, "Checking", "Bank", "Checking"),
    (36, "Savings", "Bank", "Savings"),
    (37, "Truck", "Fixed Asset", "Vehicles"),
    (41, "Mastercard", "Credit Card", "CreditCard"),
    (42, "Visa", "Credit Card", "CreditCard"),
    (44, "Notes Payable", "Long Term Liability", "OtherLongTermLiabilities"),
    (79, "Sales of Product Income", "Income", "SalesOfProductIncome"),
    (80, "Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    (81, "Inventory Asset", "Other Current Asset", "Inventory"),
    (84, "Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable"),
    (86, "Discounts given", "Income", "DiscountsRefundsGiven"),
    (87, "Bad Debts", "Expense", "BadDebts"),
    (88, "Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss"),
    (89, "State Sales Tax Payable", "Other Current Liability", "SalesTaxPayable"),
    (90, "City Sales Tax Payable", "Other Current Liability", "SalesTaxPayable"),
)
ITEMS = (  # id, name, type, price, taxable, income account
    (1, "Services", "Service", "0", False, "1"),
    (2, "Hours", "Service", "60", False, "1"),
    (4, "Design", "Service", "75", False, "1"),
    (5, "Rock Fountain", "Inventory", "275", True, "79"),
    (7, "Installation", "Service", "50", False, "1"),
    (10, "Pest Control", "Service", "35", False, "1"),
    (11, "Pump", "Inventory", "15", True, "79"),
    (13, "Rocks", "NonInventory", "22.5", True, "79"),
    (14, "Sod", "NonInventory", "10", True, "79"),
)
TERMS: tuple[tuple[int, str, dict[str, int]], ...] = (
    (1, "Due on receipt", {"DueDays": 0}),
    (2, "Net 15", {"DueDays": 15}),
    (3, "Net 30", {"DueDays": 30}),
    (4, "Net 60", {"DueDays": 60}),
    (5, "2% 10 Net 30", {"DueDays": 30, "DiscountPercent": 2, "DiscountDays": 10}),
    (6, "15th of the month", {"DayOfMonthDue": 15, "DueNextMonthDays": 5}),
)
METHODS = (
    (1, "Cash", "NON_CREDIT_CARD"),
    (2, "Check", "NON_CREDIT_CARD"),
    (3, "Visa", "CREDIT_CARD"),
    (4, "MasterCard", "CREDIT_CARD"),
    (5, "Discover", "CREDIT_CARD"),
    (6, "American Express", "CREDIT_CARD"),
    (7, "Diners Club", "CREDIT_CARD"),
)
AGENCIES = ((1, "State Tax Agency"), (2, "City Tax Agency"))
RATES = (  # id, name, percent, agency
    (1, "AZ State tax", "7.1", "1"),
    (2, "Tucson City", "2", "2"),
    (3, "California", "8", "1"),
    (4, "New York", "8.875", "1"),
    (5, "Texas", "8.25", "1"),
)
CODES = ((2, "California", ("3",)), (3, "Tucson", ("1", "2")), (4, "New York", ("4",)), (5, "Texas", ("5",)))
FOREIGN = {  # outside the US: codes are numbers, one rate each
    "CA": ((2, "HST ON", "13"), (3, "GST", "5"), (4, "Exempt", "0")),
    "FR": ((2, "TVA 20", "20"), (3, "TVA 10", "10"), (4, "Exonere", "0")),
}
CURRENCIES = ((1, "CAD", "Canadian Dollar"), (2, "EUR", "Euro"), (3, "GBP", "British Pound Sterling"))
QUOTES = (("EUR", "1.0875"), ("CAD", "0.7312"), ("GBP", "1.2745"))
# Beside them, where a switch says so: currencies without decimals and with three.
ODD_CURRENCIES = ((4, "JPY", "Japanese Yen"), (5, "KWD", "Kuwaiti Dinar"))
ODD_QUOTES = (("JPY", "0.006712"), ("KWD", "3.2571"))
HOME = {"US": "USD", "CA": "CAD", "FR": "EUR"}


def currencies(switches: Switches) -> tuple[tuple[int, str, str], ...]:
    """Id, code and name of the foreign currencies."""
    return (*CURRENCIES, *ODD_CURRENCIES) if switches.currencies == "every_exponent" else CURRENCIES


def quotes(switches: Switches) -> tuple[tuple[str, str], ...]:
    """Code and rate to the home currency of each of them."""
    return (*QUOTES, *ODD_QUOTES) if switches.currencies == "every_exponent" else QUOTES


def account(name: str, kind: str, sub: str) -> Doc:
    return {"Name": name, "AccountType": kind, "AccountSubType": sub}


def item(name: str, kind: str, price: str, taxable: bool, income: str) -> Doc:
    doc: Doc = {
        "Name": name,
        "Description": name,
        "Type": kind,
        "UnitPrice": Decimal(price),
        "Taxable": taxable,
        "IncomeAccountRef": {"value": income},
    }
    if kind == "Inventory":
        doc |= {
            "ExpenseAccountRef": {"value": "80"},
            "AssetAccountRef": {"value": "81"},
            "TrackQtyOnHand": True,
            "QtyOnHand": 25,
            "InvStartDate": "2020-01-01",
        }
    return doc


def info(switches: Switches) -> Doc:
    address = {
        "Id": "1",
        "Line1": "44 Tidewater Road",
        "City": "San Pablo",
        "Country": "USA" if switches.country == "US" else switches.country,
        "CountrySubDivisionCode": "CA",
        "PostalCode": "94806",
    }
    values = {
        "NeoEnabled": "true",
        "IndustryType": "Landscaping Services",
        "CompanyType": "Other",
        "SubscriptionStatus": "PAID" if switches.subscription == "active" else "EXPIRED",
        "OfferingSku": "QuickBooks Online Plus",
        "PayrollFeature": "false",
        "AccountantFeature": "false",
    }
    return {
        "CompanyName": "Harbor Lane Supply",
        "LegalName": "Harbor Lane Supply LLC",
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "CompanyStartDate": "2019-01-01",
        "FiscalYearStartMonth": "January",
        "Country": switches.country,
        "Email": {"Address": "office@harborlane.example"},
        "WebAddr": {"URI": "https://harborlane.example"},
        "SupportedLanguages": "en",
        "NameValue": [{"Name": k, "Value": v} for k, v in values.items()],
    }


def preferences(switches: Switches) -> Doc:
    prefs: Doc = deepcopy(_PREFERENCES)
    if switches.book_close_date is not None:
        prefs["AccountingInfoPrefs"]["BookCloseDate"] = switches.book_close_date.isoformat()
    if switches.ast:
        prefs["TaxPrefs"]["PartnerTaxEnabled"] = True
    prefs["SalesFormsPrefs"]["CustomTxnNumbers"] = switches.custom_txn_numbers
    prefs["SalesFormsPrefs"]["AutoApplyCredit"] = switches.auto_apply_credit
    prefs["CurrencyPrefs"] = {
        "MultiCurrencyEnabled": switches.multicurrency,
        "HomeCurrency": {"value": HOME[switches.country]},
    }
    return prefs


_MESSAGE = "Thank you for your business and have a great day!"
_PREFERENCES: Doc = {
    "AccountingInfoPrefs": {
        "UseAccountNumbers": False,
        "TrackDepartments": True,
        "ClassTrackingPerTxn": False,
        "ClassTrackingPerTxnLine": True,
        "FirstMonthOfFiscalYear": "January",
        "TaxYearMonth": "January",
        "TaxForm": "6",
        "CustomerTerminology": "Customers",
    },
    "ProductAndServicesPrefs": {
        "ForSales": True,
        "ForPurchase": True,
        "QuantityWithPriceAndRate": True,
        "QuantityOnHand": True,
    },
    "SalesFormsPrefs": {
        "CustomField": [
            {"CustomField": [{"Name": "SalesFormsPrefs.UseSalesCustom1", "Type": "BooleanType", "BooleanValue": True}]}
        ],
        "EmailCopyToCompany": False,
        "AllowDeposit": True,
        "AllowDiscount": True,
        "DefaultDiscountAccount": "86",
        "AllowEstimates": True,
        "ETransactionEnabledStatus": "NotApplicable",
        "ETransactionAttachPDF": False,
        "ETransactionPaymentEnabled": False,
        "IPNSupportEnabled": False,
        "AllowServiceDate": False,
        "AllowShipping": False,
        "AutoApplyPayments": True,
        "UsingPriceLevels": False,
        "DefaultTerms": {"value": "3"},
        "DefaultCustomerMessage": _MESSAGE,
    },
    "EmailMessagesPrefs": {
        f"{form}Message": {"Subject": f"{form} from Harbor Lane Supply", "Message": "Please see the attachment."}
        for form in ("Invoice", "Estimate", "SalesReceipt", "Statement")
    },
    "VendorAndPurchasesPrefs": {"TrackingByCustomer": True, "BillableExpenseTracking": True},
    "TimeTrackingPrefs": {
        "UseServices": True,
        "BillCustomers": True,
        "ShowBillRateToAll": False,
        "WorkWeekStartDate": "Monday",
        "MarkTimeEntriesBillable": True,
    },
    "TaxPrefs": {"UsingSalesTax": True, "TaxGroupCodeRef": {"value": "2"}},
    "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
    "OtherPrefs": {
        "NameValue": [
            {"Name": "SalesFormsPrefs.DefaultCustomerMessage", "Value": _MESSAGE},
            {"Name": "SalesFormsPrefs.DefaultItem", "Value": "1"},
            {"Name": "DTXCopyMemo", "Value": "false"},
        ]
    },
}
