"""The entities QuickBooks knows: their properties, kinds, lengths and enumerations (Finance.xsd, Intuit's docs).

Only names are stated here; behaviour is in `lists`, `sales`, `payments` and `others`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


def words(text: str) -> tuple[str, ...]:
    """The names in a text, in order."""
    return tuple(text.split())


BASE = "Id SyncToken MetaData CustomField AttachableRef domain status sparse"
PERSON = (
    "IntuitId Organization Title GivenName MiddleName FamilyName Suffix FullyQualifiedName CompanyName "
    "DisplayName PrintOnCheckName UserId Active V4IDPseudonym PrimaryPhone AlternatePhone Mobile Fax "
    "PrimaryEmailAddr WebAddr OtherContactInfo DefaultTaxCodeRef Notes Source"
)
CUSTOMER = (
    "Taxable BillAddr ShipAddr OtherAddr ContactName AltContactName Job BillWithParent RootCustomerRef "
    "ParentRef Level CustomerTypeRef SalesTermRef SalesRepRef TaxGroupCodeRef TaxRateRef PaymentMethodRef "
    "CCDetail PriceLevelRef Balance OpenBalanceDate BalanceWithJobs CreditLimit AcctNum CurrencyRef "
    "OverDueBalance TotalRevenue TotalExpense PreferredDeliveryMethod ResaleNum JobInfo TDSEnabled "
    "CustomerEx SecondaryTaxIdentifier ARAccountRef PrimaryTaxIdentifier TaxExemptionReasonId IsProject "
    "BusinessNumber GSTIN GSTRegistrationType IsCISContractor ClientCompanyId ClientEntityId TaxRegime"
)
TXN = (
    "DocNumber TxnDate TxnSubType DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn "
    "Line TxnTaxDetail TxnSource TaxFormType TaxFormNum TransactionLocationType Tag TxnApprovalInfo "
    "RecurDataRef RecurringInfo ProjectRef TotalCostAmount HomeTotalCostAmount TotalAmt"
)
FORM = (
    "AutoDocNumber CustomerRef CustomerMemo BillAddr ShipAddr FreeFormAddress ShipFromAddr RemitToRef "
    "ClassRef SalesTermRef DueDate SalesRepRef PONumber FOB ShipMethodRef ShipDate TrackingNum "
    "GlobalTaxCalculation HomeTotalAmt ApplyTaxAfterDiscount ShippingTaxIncludedInTotalTax TemplateRef "
    "PrintStatus EmailStatus BillEmail BillEmailCc BillEmailBcc ARAccountRef Balance HomeBalance "
    "FinanceCharge PaymentMethodRef PaymentRefNum PaymentType CheckPayment CreditCardPayment "
    "DepositToAccountRef DeliveryInfo DiscountRate DiscountAmt GovtTxnRefIdentifier TaxExemptionRef"
)
INVOICE = (
    "Deposit AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment "
    "AllowOnlinePayPalPayment AllowOnlineAffirmPayment EInvoiceStatus ECloudStatusTimeStamp CfdiUse "
    "Exportation GlobalInfo invoiceStatus callToAction invoiceStatusLog InvoiceEx LessCIS InvoiceLink "
    "PaymentDetailsMessage ConvenienceFeeDetail EnabledSurchargeInfo InvoiceLinkSecurityCode "
    "InvoiceLinkExpiryDate AutoPayEligible SchedulePayEligible ScheduledPaymentId GratuityEnabled "
    "FinancingProductType SubscriptionPaymentsSetting TxnRetainageDetail"
)
PAYMENT = (
    "CustomerRef RemitToRef ARAccountRef DepositToAccountRef PaymentMethodRef PaymentRefNum PaymentType "
    "CheckPayment CreditCardPayment UnappliedAmt ProcessPayment PaymentExtendedType PaymentEx"
)
ITEM = (
    "Name Sku Description Active SubItem ParentRef Level FullyQualifiedName Taxable SalesTaxIncluded "
    "PercentBased UnitPrice RatePercent Type PaymentMethodRef UOMSetRef IncomeAccountRef PurchaseDesc "
    "PurchaseTaxIncluded PurchaseCost ExpenseAccountRef COGSAccountRef AssetAccountRef PrefVendorRef AvgCost "
    "TrackQtyOnHand QtyOnHand QtyOnPurchaseOrder QtyOnSalesOrder ReorderPoint ManPartNum DepositToAccountRef "
    "SalesTaxCodeRef PurchaseTaxCodeRef InvStartDate BuildPoint PrintGroupedItems SpecialItem SpecialItemType "
    "ItemGroupDetail ItemAssemblyDetail AbatementRate ReverseChargeRate ServiceType ItemCategoryType ItemEx "
    "TaxClassificationRef UQCDisplayText UQCId ClassRef Source DeferredRevenue CustomExtensions"
)
ACCOUNT = (
    "Name SubAccount ParentRef Description FullyQualifiedName AccountAlias TxnLocationType Active "
    "Classification AccountType AccountSubType AccountPurposes AcctNum AcctNumExtn BankNum OpeningBalance "
    "OpeningBalanceDate CurrentBalance CurrentBalanceWithSubAccounts CurrencyRef TaxAccount TaxCodeRef "
    "OnlineBankingEnabled FIName JournalCodeRef AccountEx"
)
TERM = (
    "Name Active Type DiscountPercent DueDays DiscountDays DayOfMonthDue DueNextMonthDays "
    "DiscountDayOfMonth SalesTermEx"
)
COMPANY = (
    "CompanyName LegalName CompanyAddr CustomerCommunicationAddr LegalAddr CompanyEmailAddr "
    "CustomerCommunicationEmailAddr CompanyURL PrimaryPhone OtherContactInfo CompanyFileName FlavorStratum "
    "SampleFile CompanyUserId CompanyUserAdminEmail CompanyStartDate EmployerId FiscalYearStartMonth "
    "TaxYearStartMonth QBVersion Country ShipAddr OtherAddr Mobile Fax Email WebAddr LastImportedTime "
    "LastSyncTime SupportedLanguages DefaultTimeZone MultiByteCharsSupported NameValue "
    "FifoCalculationStatus CompanyInfoEx"
)
PREFERENCES = (
    "AccountingInfoPrefs AdvancedInventoryPrefs ProductAndServicesPrefs SalesFormsPrefs EmailMessagesPrefs "
    "PrintDocumentPrefs VendorAndPurchasesPrefs TimeTrackingPrefs TaxPrefs FinanceChargesPrefs CurrencyPrefs "
    "ReportPrefs OtherPrefs"
)
LINE = (
    "Id LineNum Description Amount Received LinkedTxn DetailType PaymentLineDetail DiscountLineDetail "
    "TaxLineDetail SalesItemLineDetail DescriptionLineDetail ItemBasedExpenseLineDetail "
    "AccountBasedExpenseLineDetail ReimburseLineDetail DepositLineDetail PurchaseOrderItemLineDetail "
    "SalesOrderItemLineDetail ItemReceiptLineDetail JournalEntryLineDetail GroupLineDetail "
    "SubTotalLineDetail TDSLineDetail ItemAdjustmentLineDetail CustomField LineEx ProjectRef CostAmount "
    "HomeCostAmount CustomExtensions"
)
SALES_ITEM = (
    "ItemRef ClassRef UnitPrice UnitCostPrice RatePercent PriceLevelRef MarkupInfo Qty UOMRef "
    "ItemAccountRef InventorySiteRef TaxCodeRef TaxClassificationRef ServiceDate TaxInclusiveAmt "
    "DiscountRate DiscountAmt DeferredRevenue RetainageAmount SalesItemLineDetailEx"
)
DISCOUNT = (
    "DiscountRef PercentBased DiscountPercent DiscountAccountRef ServiceDate ClassRef TaxCodeRef DiscountLineDetailEx"
)
TAX_DETAIL = "DefaultTaxCodeRef TxnTaxCodeRef TotalTax TaxReviewStatus TaxLine UseAutomatedSalesTax"

NESTED: Mapping[str, frozenset[str]] = {
    "Line": frozenset(LINE.split()),
    "SalesItemLineDetail": frozenset(SALES_ITEM.split()),
    "DiscountLineDetail": frozenset(DISCOUNT.split()),
    "TxnTaxDetail": frozenset(TAX_DETAIL.split()),
    "LinkedTxn": frozenset(("TxnId", "TxnType", "TxnLineId")),
}

MONEY = frozenset(
    words(
        "Amount TotalAmt Balance BalanceWithJobs HomeBalance HomeTotalAmt UnappliedAmt TotalTax NetAmountTaxable "
        "RemainingCredit CurrentBalance CurrentBalanceWithSubAccounts DiscountAmt Deposit TaxInclusiveAmt TaxAmount "
        "OpeningBalance TaxInclusiveAmount OverrideDeltaAmount CreditLimit"
    )
)
NUMBERS = frozenset(
    words(
        "UnitPrice Qty RateValue Rate ExchangeRate DiscountPercent TaxPercent PurchaseCost QtyOnHand CostRate BillRate "
        "HourlyRate DiscountRate Percent AvgCost DueDays DiscountDays DayOfMonthDue DueNextMonthDays "
        "DiscountDayOfMonth Level Hours Minutes LineNum TaxOrder RatePercent ReorderPoint Size"
    )
)
DATES = frozenset(
    words(
        "TxnDate DueDate ShipDate ServiceDate AsOfDate OpenBalanceDate InvStartDate ExpirationDate AcceptedDate "
        "OpeningBalanceDate HiredDate ReleasedDate BirthDate BookCloseDate"
    )
)
BOOLEANS = frozenset(
    words(
        "Active Taxable Job BillWithParent sparse PercentBased ApplyTaxAfterDiscount ProcessPayment SubAccount "
        "AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment TrackQtyOnHand "
        "SubItem BillableTime Vendor1099 Adjustment TaxGroup"
    )
)
LISTS = frozenset(("Line", "LinkedTxn", "TaxLine", "CustomField", "AttachableRef", "NameValue", "OtherAddr"))
OBJECTS = frozenset(
    words(
        "MetaData BillAddr ShipAddr ShipFromAddr BillEmail BillEmailCc BillEmailBcc CustomerMemo TxnTaxDetail "
        "PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr DeliveryInfo CheckPayment "
        "CreditCardPayment CashBack EntityRef Entity LineEx "
    )
) | frozenset(n for n in LINE.split() if n.endswith("Detail"))
ENUMS: Mapping[str, frozenset[str]] = {
    "PrintStatus": frozenset(("NotSet", "NeedToPrint", "PrintComplete")),
    "EmailStatus": frozenset(("NotSet", "NeedToSend", "EmailSent")),
    "PreferredDeliveryMethod": frozenset(("Print", "Email", "None")),
    "GlobalTaxCalculation": frozenset(("TaxExcluded", "TaxInclusive", "NotApplicable")),
    "PostingType": frozenset(("Debit", "Credit")),
    "DetailType": frozenset(n for n in LINE.split() if n.endswith("Detail")) | {"DescriptionOnly"},
}
LENGTHS: Mapping[str, int] = {
    "DocNumber": 21,
    "PaymentRefNum": 21,
    "PrivateNote": 4000,
    "DisplayName": 500,
    "GivenName": 100,
    "MiddleName": 100,
    "FamilyName": 100,
    "Title": 16,
    "Suffix": 16,
    "CompanyName": 100,
    "PrintOnCheckName": 110,
    "Notes": 2000,
    "FreeFormNumber": 30,
    "URI": 1000,
    "Address": 100,
    "Line1": 500,
    "Line2": 500,
    "Line3": 500,
    "Line4": 500,
    "Line5": 500,
    "City": 255,
    "Country": 255,
    "CountrySubDivisionCode": 255,
    "PostalCode": 30,
    "Sku": 100,
    "Description": 4000,
    "StringValue": 31,
}

Kind = Literal["list", "txn", "single", "other"]


@dataclass(frozen=True, slots=True)
class Entity:
    """One resource.

    name: as in answers · path: as in the URL · sequence: which id counter it draws from
    properties: what an input may carry, None where anything goes · order: (property, descending) of a query
    voidable: `operation=void` or `include=void` · names: in the shared name list · cdc: change data capture knows it
    """

    name: str
    kind: Kind
    properties: frozenset[str] | None = None
    sequence: str = ""
    path: str = ""
    key: str = ""
    order: tuple[str, bool] = ("Id", False)
    voidable: bool = False
    names: bool = False
    cdc: bool = True
    lengths: Mapping[str, int] = field(default_factory=dict)


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join((BASE, *texts)).split())


CHANGED = ("MetaData.LastUpdatedTime", True)
SALES = ("Invoice", "CreditMemo", "Estimate", "SalesReceipt", "RefundReceipt")
NUMBERED = ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")


def _list(name: str, properties: frozenset[str] | None, order: str = "Name", **more: object) -> Entity:
    return Entity(name, "list", properties, order=(order, False), **more)  # type: ignore[arg-type]


def _txn(name: str, properties: frozenset[str] | None = None, **more: object) -> Entity:
    return Entity(name, "txn", properties, "txn", order=CHANGED, **more)  # type: ignore[arg-type]


_ENTITIES = (
    _list("Customer", _words(PERSON, CUSTOMER), "FullyQualifiedName", sequence="names", names=True),
    _list("Vendor", None, "DisplayName", sequence="names", names=True),
    _list("Employee", None, "DisplayName", sequence="names", names=True),
    _list("Item", _words(ITEM), "FullyQualifiedName", lengths={"Name": 100}),
    _list("Account", _words(ACCOUNT), "Name", lengths={"Name": 100}),
    _list("Term", _words(TERM), lengths={"Name": 31}),
    _list("PaymentMethod", _words("Name Active Type PaymentMethodEx"), lengths={"Name": 31}),
    _list("Class", _words("Name SubClass ParentRef FullyQualifiedName Active ClassEx"), "FullyQualifiedName"),
    _list(
        "Department",
        _words("Name SubDepartment ParentRef FullyQualifiedName Active DepartmentEx Address"),
        "FullyQualifiedName",
    ),
    _list("CustomerType", None),
    _list("CompanyCurrency", _words("Code Name Active CompanyCurrencyEx"), "Code"),
    _list("TaxAgency", None, "DisplayName", cdc=False),
    Entity("TaxCode", "list", None, order=("Id", False), cdc=False),
    Entity("TaxRate", "list", None, order=("Id", False), cdc=False),
    Entity("CompanyInfo", "single", _words(COMPANY)),
    Entity("Preferences", "single", _words(PREFERENCES)),
    Entity(
        "ExchangeRate",
        "other",
        _words("SourceCurrencyCode TargetCurrencyCode Rate AsOfDate ExchangeRateEx"),
        order=("SourceCurrencyCode", False),
    ),
    _txn("Invoice", _words(TXN, FORM, INVOICE), voidable=True),
    _txn("CreditMemo", _words(TXN, FORM, "RemainingCredit InvoiceRef CreditMemoEx")),
    _txn("Payment", _words(TXN, PAYMENT), voidable=True),
    _txn("Estimate", _words(TXN, FORM, "ExpirationDate AcceptedBy AcceptedDate EstimateEx")),
    _txn("SalesReceipt", _words(TXN, FORM, "SalesReceiptEx LessCIS"), voidable=True),
    _txn("RefundReceipt", _words(TXN, FORM, "RemainingCredit RefundReceiptEx")),
    _txn("Deposit"),
    _txn("JournalEntry"),
    _txn("Bill"),
    _txn("BillPayment", voidable=True),
    _txn("VendorCredit"),
    _txn("Purchase"),
    _txn("PurchaseOrder"),
    _txn("Transfer"),
    _txn("CreditCardPayment", key="CreditCardPaymentTxn"),
    _txn("TimeActivity"),
    _txn("InventoryAdjustment"),
    _txn("ReimburseCharge"),
    _txn("StatementCharge"),
    Entity("RecurringTransaction", "txn", None, "recurring", order=("Id", False)),
    Entity("Attachable", "other", None, "attachable", order=CHANGED),
    Entity("Budget", "list", None, order=("Name", False)),
    Entity("JournalCode", "list", None, order=("Name", False), cdc=False),
    Entity("TaxPayment", "txn", None, "txn", order=CHANGED),
)
ENTITIES: Mapping[str, Entity] = {e.name.lower(): e for e in _ENTITIES} | {e.key.lower(): e for e in _ENTITIES if e.key}


def find(name: str) -> Entity | None:
    """The entity of that name, in any case; None where there is none."""
    return ENTITIES.get(name.lower())


def key(entity: Entity) -> str:
    """The name its objects stand under in an answer."""
    return entity.key or entity.name
