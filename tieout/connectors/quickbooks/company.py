"""What QuickBooks says of the company as a whole: whose books, closed through when, what it reports as receivable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from tieout.connectors.quickbooks.pull import rows, server_time
from tieout.connectors.quickbooks.wire import Native, Wire, query
from tieout.errors import FatalError
from tieout.mapping.quickbooks import Books
from tieout.model import ClosedPeriod, Company, ControlBalance, Method

# Words in the name of a PaymentMethod, the first that fits; QuickBooks knows only card or not.
_WORDS: tuple[tuple[str, Method], ...] = (
    ("check", Method.CHECK),
    ("cheque", Method.CHECK),
    ("cash", Method.CASH),
    ("wire", Method.WIRE),
    ("ach", Method.ACH),
    ("eft", Method.ACH),
    ("bank transfer", Method.ACH),
    ("direct deposit", Method.ACH),
)
_GENERIC_CARD = ("credit card", "card")


def _preferences(wire: Wire) -> Native:
    found = wire.read("preferences").get("Preferences")
    if not isinstance(found, Mapping):
        raise FatalError("QuickBooks' answer holds no preferences")
    return found


def _part(native: Native, key: str) -> Native:
    held = native.get(key)
    return held if isinstance(held, Mapping) else {}


def _home_currency(preferences: Native) -> str:
    told = _part(_part(preferences, "CurrencyPrefs"), "HomeCurrency").get("value")
    if not isinstance(told, str) or len(told) != 3:
        raise FatalError("QuickBooks does not say its home currency")
    return told


def company_of(wire: Wire) -> Company:
    """Whose books these are. The id is the realm's: CompanyInfo does not state it, the address does."""
    info = wire.read(f"companyinfo/{wire.company_id}").get("CompanyInfo")
    if not isinstance(info, Mapping) or not isinstance(info.get("CompanyName"), str):
        raise FatalError("QuickBooks does not say whose books these are")
    preferences = _preferences(wire)
    closed = _part(preferences, "AccountingInfoPrefs").get("BookCloseDate")
    several = _part(preferences, "CurrencyPrefs").get("MultiCurrencyEnabled")
    credits_ = _part(preferences, "SalesFormsPrefs").get("AutoApplyCredit")
    return Company(
        id=wire.company_id,
        name=info["CompanyName"],
        entity_codes=(),
        home_currency=_home_currency(preferences),
        closed=(ClosedPeriod(entity_code=None, module=None, through=_day(closed)),) if closed else (),
        time_zone=None,
        other_currencies=several if isinstance(several, bool) else None,
        applies_credits=credits_ if isinstance(credits_, bool) else None,
    )


def _day(told: Any) -> date:
    try:
        return date.fromisoformat(str(told)[:10])
    except ValueError:
        raise FatalError(f"QuickBooks states no date: {str(told)[:40]!r}") from None


def books_of(wire: Wire, connection: str) -> Books:
    """What the mapping needs to know: home currency, kind of sales tax, payment methods."""
    preferences = _preferences(wire)
    info = wire.read(f"companyinfo/{wire.company_id}").get("CompanyInfo")
    country = info.get("Country") if isinstance(info, Mapping) else None
    listed = rows(wire.query(query("PaymentMethod", "Active IN (true,false)")), "PaymentMethod")
    return Books(
        connection=connection,
        home_currency=_home_currency(preferences),
        methods=dict(_methods(listed)),
        sales_tax="us" if country in (None, "US", "USA") else "other",
    )


def _methods(listed: Iterable[Native]) -> Iterator[tuple[str, Method]]:
    """PaymentMethod id → method; of several for one method, active ones and plainly named ones first."""

    def first(row: Native) -> tuple[bool, bool, int]:
        name = str(row.get("Name", "")).casefold()
        return row.get("Active") is False, name not in _GENERIC_CARD, int(str(row.get("Id", "0")))

    for row in sorted((r for r in listed if re.fullmatch("[0-9]{1,30}", str(r.get("Id", "")))), key=first):
        yield str(row["Id"]), _method(row)


def _method(row: Native) -> Method:
    if row.get("Type") == "CREDIT_CARD":
        return Method.CARD
    name = f" {str(row.get('Name', '')).casefold()} "
    for word, method in _WORDS:
        if f" {word} " in name or (len(word) > 3 and word in name):
            return method
    return Method.CARD if "card" in name else Method.OTHER


def control_balances_of(wire: Wire, connection: str, as_of: date) -> list[ControlBalance]:
    """The total of AgedReceivables as of that date, in home currency; for today also the balances of the A/R accounts.

    Accounts in another currency are left out: Intuit does not say in which currency their balance stands.
    """
    accounts_answer = wire.query(query("Account", "AccountType = 'Accounts Receivable'"))
    accounts = rows(accounts_answer, "Account")
    parameters = {"report_date": as_of.isoformat(), "aging_method": "Report_Date"}
    report = wire.read("reports/AgedReceivables", parameters)
    header = _part(report, "Header")
    ids = ",".join(str(a.get("Id", "")) for a in accounts)
    found = [
        ControlBalance(
            connection=connection,
            account=ids,
            as_of=as_of,
            amount=_grand_total(report),
            currency=str(header.get("Currency") or _home_currency(_preferences(wire))),
            report="AgedReceivables",
            parameters=parameters,
        )
    ]
    began = server_time(accounts_answer)
    today = began is not None and began.date() == as_of
    home = _home_currency(_preferences(wire))
    own = [a for a in accounts if str(_part(a, "CurrencyRef").get("value") or home) == home]
    return found + [_account_balance(connection, account, as_of, home) for account in own if today]


def _account_balance(connection: str, account: Native, today: date, home: str) -> ControlBalance:
    return ControlBalance(
        connection=connection,
        account=str(account.get("Id", "")),
        as_of=today,
        amount=_decimal(account.get("CurrentBalance")),
        currency=home,
        report="Account.CurrentBalance",
        parameters={"name": str(account.get("FullyQualifiedName") or account.get("Name") or "")},
    )


def _grand_total(report: Native) -> Decimal:
    """The last cell of the report's grand total; 0 for a report that says it has no data."""
    held = _part(report, "Rows").get("Row")
    for row in held if isinstance(held, list) else []:
        if isinstance(row, Mapping) and row.get("group") == "GrandTotal":
            cells = _part(row, "Summary").get("ColData") or row.get("ColData")
            if isinstance(cells, list) and cells and isinstance(cells[-1], Mapping):
                return _decimal(cells[-1].get("value") or "0")
    options = _part(report, "Header").get("Option")
    if {"Name": "NoReportData", "Value": "true"} in (options if isinstance(options, list) else []):
        return Decimal(0)
    raise FatalError("QuickBooks' aging report has no grand total")


def _decimal(told: Any) -> Decimal:
    refusal = FatalError(f"QuickBooks states no amount: {str(told)[:40]!r}")
    if isinstance(told, bool) or not isinstance(told, str | int | Decimal):
        raise refusal
    try:
        return Decimal(told)
    except InvalidOperation:
        raise refusal from None
