"""Reports computed from the documents, not from the ledger: an independent control total.

AgedReceivables, AgedReceivableDetail, CustomerBalance, CustomerBalanceDetail; those on accounts are made in
`ledger_reports`. Other names that QuickBooks knows are answered empty, with `NoReportData` true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import ledger_reports, lists, payments, posting, schema
from .encode import ZERO, Doc, cents, stamp
from .faults import Refused

if TYPE_CHECKING:
    from .books import Books

KNOWN = frozenset(
    schema.words(
        "AccountList AccountListDetail AgedPayableDetail AgedPayables AgedReceivableDetail AgedReceivables "
        "BalanceSheet CashFlow CustomerBalance CustomerBalanceDetail CustomerIncome CustomerSales DepartmentSales "
        "ClassSales GeneralLedger GeneralLedgerDetail InventoryValuationSummary ItemSales JournalReport "
        "TrialBalanceFR ProfitAndLoss ProfitAndLossDetail SalesByProduct TaxSummary TransactionList "
        "TransactionListByCustomer TransactionListByVendor TransactionListWithSplits TrialBalance "
        "VendorBalance VendorBalanceDetail VendorExpenses"
    )
)


@dataclass(frozen=True, slots=True)
class Open:
    """One document's part in receivables as of a day. `amount` signed: charges positive; `due` ages it."""

    entity: str
    id: str
    customer: str
    issued: date
    due: date
    number: str
    total: Decimal
    amount: Decimal


def open_items(books: Books, as_of: date, currency: str) -> Iterator[Open]:
    """Every document of the currency that is not settled as of a day (inclusive), from documents alone.

    An application counts from the date of its payment. An opening balance counts always.
    """
    limit = as_of.isoformat()
    applied: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in books.tables["Payment"].values():
        if row.doc["TxnDate"] <= limit:
            for key, amount in payments.applications(row.doc).items():
                applied[key] += amount
    for customer, amount in books.opening.items():
        if amount:
            yield Open("Customer", customer, customer, date.min, date.min, "", amount, amount)
    for entity, sign in (("Invoice", 1), ("CreditMemo", -1), ("Payment", -1)):
        for id, row in books.tables[entity].items():
            doc = row.doc
            if doc["TxnDate"] > limit or doc["CurrencyRef"]["value"] != currency:
                continue
            whole = _whole(entity, doc) - (applied[entity, id] if entity != "Payment" else ZERO)
            if whole:
                issued, due = (
                    date.fromisoformat(doc["TxnDate"]),
                    date.fromisoformat(str(doc.get("DueDate", doc["TxnDate"]))),
                )
                number = str(doc.get("DocNumber", doc.get("PaymentRefNum", "")))
                total = sign * Decimal(doc["TotalAmt"])
                yield Open(entity, id, doc["CustomerRef"]["value"], issued, due, number, total, sign * whole)
    yield from _journals(books, limit, applied)


def _whole(entity: str, doc: Doc) -> Decimal:
    if entity == "Payment":
        return Decimal(doc["UnappliedAmt"])
    return Decimal(doc["TotalAmt"]) - Decimal(doc.get("Deposit", 0))


def _journals(books: Books, limit: str, applied: Mapping[tuple[str, str], Decimal]) -> Iterator[Open]:
    for id, row in books.tables["JournalEntry"].items():
        if row.doc["TxnDate"] > limit:
            continue
        used = applied.get(("JournalEntry", id), ZERO)
        for customer, net in posting.journal_receivable(row.doc, books).items():
            left = net - (used if net > 0 else -used)
            if left:
                on = date.fromisoformat(row.doc["TxnDate"])
                yield Open("JournalEntry", id, customer, on, on, row.doc.get("DocNumber", ""), net, left)
    for id, row in books.tables["Deposit"].items():
        if row.doc["TxnDate"] > limit:
            continue
        for line in row.doc.get("Line", ()):
            detail = line.get("DepositLineDetail", {})
            account = books.doc("Account", detail.get("AccountRef", {}).get("value", "")) or {}
            if account.get("AccountType") == "Accounts Receivable":
                on, amount = date.fromisoformat(row.doc["TxnDate"]), -Decimal(line["Amount"])
                yield Open("Deposit", id, detail["Entity"]["value"], on, on, "", amount, amount)


def report(books: Books, name: str, params: Mapping[str, str]) -> Doc:
    """The report as answered (no envelope). Raises Refused 500 for an unknown name."""
    known = {n.lower(): n for n in KNOWN}
    if name.lower() not in known:
        raise Refused(500, f"Operation Could not find resource for report {name} is not supported.")
    name = known[name.lower()]
    as_of = _date(books, params)
    made = _MADE.get(name)
    with books.lock:
        if made is None:
            columns: list[tuple[str, str]] = [("", "Account"), ("Total", "Money")]
            rows: list[Doc] = []
        else:
            columns, rows = made(books, as_of, params)
    header = {
        "Time": stamp(books.now()),
        "ReportName": name,
        "DateMacro": params.get("date_macro", "all" if name.startswith("CustomerBalance") else "today"),
        "StartPeriod": params.get("start_date", as_of.isoformat()),
        "EndPeriod": as_of.isoformat(),
        "Currency": lists.home(books),
        "Option": [
            {"Name": "report_date", "Value": as_of.isoformat()},
            {"Name": "NoReportData", "Value": "false" if rows else "true"},
        ],
    }
    shown = [{"ColTitle": title, "ColType": kind} for title, kind in columns]
    return {"Header": header, "Columns": {"Column": shown}, "Rows": {"Row": rows} if rows else {}}


def _date(books: Books, params: Mapping[str, str]) -> date:
    text = params.get("report_date") or params.get("end_date") or ""
    try:
        return date.fromisoformat(text) if text else books.today()
    except ValueError as error:
        raise Refused(2060, f"Invalid Date : {text}", element="report_date") from error


def _value(amount: Decimal, *, blank: bool = True) -> Doc:
    return {"value": "" if blank and not amount else f"{cents(amount)}"}


def _buckets(period: int, count: int) -> list[tuple[str, int]]:
    """Titles and the last day overdue of each bucket; the last has no end."""
    middle = [(f"{n * period + 1} - {(n + 1) * period}", (n + 1) * period) for n in range(count - 1)]
    return [("Current", 0), *middle, (f"{(count - 1) * period + 1} and over", 10**6)]


def _aged(books: Books, as_of: date, params: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[Doc]]:
    buckets = _buckets(int(params.get("aging_period", 30)), int(params.get("num_periods", 4)))
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO] * len(buckets))
    for item in open_items(books, as_of, lists.home(books)):
        sums[item.customer][_bucket(item, as_of, buckets)] += item.amount
    titles = [("", "Customer"), *((title, "Money") for title, _ in buckets), ("Total", "Money")]
    return titles, _by_customer(books, dict(sums), params, len(buckets), total=True)


def _bucket(item: Open, as_of: date, buckets: list[tuple[str, int]]) -> int:
    overdue = (as_of - item.due).days if item.entity == "Invoice" else (as_of - item.issued).days
    return next(n for n, (_, last) in enumerate(buckets) if overdue <= last or n == len(buckets) - 1)


def _balances(books: Books, as_of: date, params: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[Doc]]:
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO])
    for item in open_items(books, as_of, lists.home(books)):
        sums[item.customer][0] += item.amount
    return [("", "Customer"), ("Total", "Money")], _by_customer(books, dict(sums), params, 1, total=False)


def _by_customer(
    books: Books, sums: dict[str, list[Decimal]], params: Mapping[str, str], width: int, *, total: bool
) -> list[Doc]:
    """Rows per customer, children inside their parents' sections, a grand total last."""
    wanted = {c for c in params.get("customer", "").split(",") if c}
    sums = {c: amounts for c, amounts in sums.items() if any(amounts) and (not wanted or c in wanted)}
    if not sums:
        return []
    tops = sorted({_top(books, c) for c in sums}, key=lambda c: lists.title(books.doc("Customer", c) or {}))
    rows = [row for top in tops if (row := _family(books, top, sums, width, total=total))]
    grand = [sum((amounts[n] for amounts in sums.values()), ZERO) for n in range(width)]
    summary = [{"value": "TOTAL"}, *(_value(a, blank=False) for a in _with_total(grand, total))]
    return [*rows, {"Summary": {"ColData": summary}, "type": "Section", "group": "GrandTotal"}]


def _with_total(amounts: list[Decimal], total: bool) -> list[Decimal]:
    return [*amounts, sum(amounts, ZERO)] if total else amounts


def _top(books: Books, customer: str) -> str:
    return payments.root(books, customer)


def _family(books: Books, id: str, sums: dict[str, list[Decimal]], width: int, *, total: bool) -> Doc | None:
    name = (books.doc("Customer", id) or {}).get("DisplayName", "")
    own = sums.get(id, [ZERO] * width)
    inner = [row for c in books.children.get(id, ()) if (row := _family(books, c, sums, width, total=total))]
    cells = [{"value": name, "id": id}, *(_value(a) for a in _with_total(own, total))]
    if not inner:
        return {"ColData": cells} if any(own) else None
    whole = [sum((sums[c][n] for c in _tree(books, id) if c in sums), ZERO) for n in range(width)]
    summary = [{"value": f"Total {name}"}, *(_value(a) for a in _with_total(whole, total))]
    return {
        "Header": {"ColData": cells},
        "Rows": {"Row": inner},
        "Summary": {"ColData": summary},
        "type": "Section",
    }


def _tree(books: Books, id: str) -> Iterator[str]:
    yield id
    for child in books.children.get(id, ()):
        yield from _tree(books, child)


_DETAIL = [
    ("Date", "tx_date"),
    ("Transaction Type", "txn_type"),
    ("Num", "doc_num"),
    ("Customer", "cust_name"),
    ("Due Date", "due_date"),
    ("Amount", "subt_amount"),
    ("Open Balance", "subt_open_bal"),
]


def _detail_row(books: Books, item: Open) -> Doc:
    name = lists.title(books.doc("Customer", item.customer) or {})
    cells: list[Doc] = [
        {"value": item.issued.isoformat()},
        {"value": item.entity, "id": item.id},
        {"value": item.number},
        {"value": name, "id": item.customer},
        {"value": item.due.isoformat()},
        _value(item.total),
        _value(item.amount),
    ]
    return {"ColData": cells, "type": "Data"}


def _sections(books: Books, groups: Mapping[str, list[Open]]) -> tuple[list[tuple[str, str]], list[Doc]]:
    rows: list[Doc] = []
    blank = [{"value": ""}] * 4
    for title, items in groups.items():
        if items:
            items.sort(key=lambda i: (i.issued, i.id))
            totals = [_value(sum((i.total for i in items), ZERO)), _value(sum((i.amount for i in items), ZERO))]
            rows.append(
                {
                    "Header": {"ColData": [{"value": title}, *blank, {"value": ""}, {"value": ""}]},
                    "Rows": {"Row": [_detail_row(books, item) for item in items]},
                    "Summary": {"ColData": [{"value": f"Total for {title}"}, *blank, *totals]},
                    "type": "Section",
                }
            )
    return [(title, key) for title, key in _DETAIL], rows


def _aged_detail(books: Books, as_of: date, params: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[Doc]]:
    buckets = _buckets(int(params.get("aging_period", 30)), int(params.get("num_periods", 4)))
    names = ["Current", *(f"{title} days past due" for title, _ in buckets[1:])]
    groups: dict[str, list[Open]] = {name: [] for name in reversed(names)}
    for item in open_items(books, as_of, lists.home(books)):
        groups[names[_bucket(item, as_of, buckets)]].append(item)
    return _sections(books, groups)


def _balance_detail(books: Books, as_of: date, _: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[Doc]]:
    groups: defaultdict[str, list[Open]] = defaultdict(list)
    for item in open_items(books, as_of, lists.home(books)):
        groups[lists.title(books.doc("Customer", item.customer) or {})].append(item)
    return _sections(books, dict(sorted(groups.items())))


_MADE: dict[str, Any] = {
    "AgedReceivables": _aged,
    "AgedReceivableDetail": _aged_detail,
    "CustomerBalance": _balances,
    "CustomerBalanceDetail": _balance_detail,
    **ledger_reports.MADE,
}
