"""Sales tax on a form: US by hand (one code, its rates), US automated (AST), and codes per line elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .encode import ZERO, Doc, cents, money, short
from .faults import Refused
from .switches import Switches

# what the emulator's automated sales tax knows: ship-to state -> (rate id, percent)
STATES: dict[str, tuple[str, Decimal]] = {
    "CA": ("3", Decimal(8)),
    "AZ": ("1", Decimal("7.1")),
    "NY": ("4", Decimal("8.875")),
    "TX": ("5", Decimal("8.25")),
}


@dataclass(frozen=True, slots=True)
class Share:
    """One rate's part of a form: what it applies to and what it yields, in the form's currency."""

    rate: str
    percent: Decimal
    base: Decimal
    amount: Decimal


Rates = Callable[[str], list[tuple[str, Decimal]]]


def check_line_code(switches: Switches, code: str | None) -> None:
    """US lines say TAX or NON; elsewhere a code is a number. Raises Refused 6100."""
    if code is None:
        return
    if (switches.country == "US") != (code in {"TAX", "NON"}):
        raise Refused(6100, f"Invalid tax code : {code}", element="TaxCodeRef")


def compute(
    switches: Switches,
    doc: Doc,
    lines: list[Doc],
    *,
    discount: Decimal,
    places: int,
    state: str,
    rates: Rates,
    using: bool,
) -> tuple[Doc, Decimal]:
    """The answered TxnTaxDetail and the tax (0 or more) of a form whose lines have their amounts.

    places: decimals of the form's currency
    """
    given: Doc = doc.get("TxnTaxDetail") or {}
    if switches.country != "US":
        return _global(doc, lines, rates, places)
    base = _taxable(lines, discount if doc.get("ApplyTaxAfterDiscount") else ZERO, places)
    code = _value(given.get("TxnTaxCodeRef"))
    if not using:
        return {"TotalTax": 0}, ZERO
    if switches.ast:
        rate, percent = STATES.get(state, ("0", ZERO))
        shares = [Share(rate, percent, base, cents(base * percent / 100, places))] if base and percent else []
        shares = _override(shares, given, places)
        return _detail(shares, "2" if shares else None, places)
    if code is None:
        return {"TotalTax": 0}, ZERO
    found = rates(code)
    if not found and code not in {"NON", "TAX"}:
        raise Refused(6160, f"Invalid tax rate : {code}", element="TxnTaxCodeRef")
    taxed = found if base else []
    shares = [Share(rate, percent, base, cents(base * percent / 100, places)) for rate, percent in taxed]
    if switches.legacy_tax_override == "honour":
        shares = _override(shares, given, places)
    return _detail(shares, code, places)


def _taxable(lines: list[Doc], discount: Decimal, places: int) -> Decimal:
    """The taxable base; a discount before tax lowers it in proportion."""
    sales = [(line["Amount"], _code(line)) for line in lines if line["DetailType"] in SALES]
    total = sum((Decimal(amount) for amount, _ in sales), ZERO)
    base = sum((Decimal(amount) for amount, code in sales if code != "NON"), ZERO)
    return cents(base - discount * base / total, places) if total else base


SALES = frozenset({"SalesItemLineDetail", "GroupLineDetail"})


def _code(line: Doc) -> str:
    return _value((line.get("SalesItemLineDetail") or {}).get("TaxCodeRef")) or "NON"


def _value(ref: Doc | None) -> str | None:
    return None if ref is None else ref.get("value")


def _override(shares: list[Share], given: Doc, places: int) -> list[Share]:
    """A supplied TotalTax wins, spread over the rates in proportion, the last taking the cents left."""
    if "TotalTax" not in given or not shares:
        return shares
    wanted, computed = cents(Decimal(given["TotalTax"]), places), sum((s.amount for s in shares), ZERO)
    spread, left = [], wanted
    for n, share in enumerate(shares):
        last = n == len(shares) - 1
        part = left if last or not computed else cents(wanted * share.amount / computed, places)
        left -= part
        spread.append(Share(share.rate, share.percent, share.base, part))
    return spread


def _detail(shares: list[Share], code: str | None, places: int) -> tuple[Doc, Decimal]:
    total = sum((s.amount for s in shares), ZERO)
    detail: Doc = {} if code is None else {"TxnTaxCodeRef": {"value": code}}
    detail["TotalTax"] = money(total, places)
    if shares:
        detail["TaxLine"] = [_line(share, places) for share in shares]
    return detail, total


def _line(share: Share, places: int) -> dict[str, Any]:
    return {
        "Amount": money(share.amount, places),
        "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": {"value": share.rate},
            "PercentBased": True,
            "TaxPercent": short(share.percent),
            "NetAmountTaxable": money(share.base, places),
        },
    }


def _global(doc: Doc, lines: list[Doc], rates: Rates, places: int) -> tuple[Doc, Decimal]:
    """Outside the US: the code of each line; `TaxInclusive` amounts are brought to net first (in place)."""
    mode = doc.get("GlobalTaxCalculation")
    if mode == "NotApplicable":
        if doc.get("TxnTaxDetail", {}).get("TotalTax"):
            raise Refused(6170, "Invalid tax detail : NotApplicable", element="TxnTaxDetail")
        return {"TotalTax": 0}, ZERO
    if mode is None:
        raise Refused(2020, "Required parameter GlobalTaxCalculation is missing in the request")
    bases: dict[tuple[str, Decimal], Decimal] = {}
    for line in lines:
        if line["DetailType"] not in SALES:
            continue
        found = rates(_code(line))
        if mode == "TaxInclusive":
            gross = Decimal(line["SalesItemLineDetail"].get("TaxInclusiveAmt", line["Amount"]))
            percent = sum((p for _, p in found), ZERO)
            line["SalesItemLineDetail"] = {**line["SalesItemLineDetail"], "TaxInclusiveAmt": money(gross, places)}
            line["Amount"] = money(gross / (1 + percent / 100), places)
        for rate in found:
            bases[rate] = bases.get(rate, ZERO) + Decimal(line["Amount"])
    shares = [Share(rate, pct, base, cents(base * pct / 100, places)) for (rate, pct), base in bases.items()]
    return _detail(shares, None, places)
