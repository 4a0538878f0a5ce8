"""Reports on accounts, from the journal: TrialBalance, BalanceSheet, ProfitAndLoss, GeneralLedger, TransactionList."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import lists
from .encode import ZERO, Doc, cents
from .ledger import Posting

if TYPE_CHECKING:
    from .books import Books

Columns = list[tuple[str, str]]
Made = tuple[Columns, list[Doc]]


@dataclass(frozen=True, slots=True)
class Entry:
    """The postings of one document on one day (None: before any day)."""

    entity: str
    id: str
    on: str | None
    doc: Doc
    lines: tuple[Posting, ...]


def entries(books: Books) -> Iterator[Entry]:
    """Every document that posts, by date, then id."""
    found = []
    for (entity, id), lines in books.ledger.journal.items():
        doc = books.doc(entity, id) or {}
        found.append(Entry(entity, id, doc.get("TxnDate"), doc, lines))
    return iter(sorted(found, key=lambda e: (e.on or "", int(e.id))))


def balances(books: Books, start: str | None, end: str) -> dict[str, Decimal]:
    """Home-currency movement of each account from `start` (None: ever) to `end`, both inclusive; debit positive."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in entries(books):
        if (entry.on or "") <= end and (start is None or (entry.on or "") >= start):
            for line in entry.lines:
                sums[line.account] += line.home
    return {account: amount for account, amount in sums.items() if amount}


def _money(amount: Decimal) -> Doc:
    return {"value": f"{cents(amount)}" if amount else ""}


def _account(books: Books, id: str) -> Doc:
    return books.doc("Account", id) or {}


def trial(books: Books, as_of: date, _: Mapping[str, str]) -> Made:
    """Debit and credit balances as of a day."""
    rows: list[Doc] = []
    debit = credit = ZERO
    for id, amount in balances(books, None, as_of.isoformat()).items():
        debit, credit = debit + max(amount, ZERO), credit - min(amount, ZERO)
        name = _account(books, id)["FullyQualifiedName"]
        rows.append({"ColData": [{"value": name, "id": id}, _money(max(amount, ZERO)), _money(-min(amount, ZERO))]})
    if rows:
        summary = [{"value": "TOTAL"}, _money(debit), _money(credit)]
        rows.append({"Summary": {"ColData": summary}, "type": "Section", "group": "GrandTotal"})
    return [("", "Account"), ("Debit", "Money"), ("Credit", "Money")], rows


def _section(books: Books, title: str, amounts: Iterable[tuple[str, Decimal]], group: str) -> tuple[Doc, Decimal]:
    rows, total = [], ZERO
    for id, amount in amounts:
        total += amount
        rows.append({"ColData": [{"value": _account(books, id)["Name"], "id": id}, _money(amount)], "type": "Data"})
    section: Doc = {"Header": {"ColData": [{"value": title}, {"value": ""}]}, "Rows": {"Row": rows}}
    section |= {"Summary": {"ColData": [{"value": f"Total {title}"}, _money(total)]}, "type": "Section", "group": group}
    return section, total


def balance_sheet(books: Books, as_of: date, _: Mapping[str, str]) -> Made:
    """Assets against liabilities and equity as of a day; earnings so far stand in equity as Net Income."""
    found = balances(books, None, as_of.isoformat())
    parts = defaultdict[str, list[tuple[str, Decimal]]](list)
    earned = ZERO
    for id, amount in found.items():
        kind = _account(books, id)["Classification"]
        if kind in {"Revenue", "Expense"}:
            earned -= amount
        else:
            parts[kind].append((id, amount if kind == "Asset" else -amount))
    assets, _total = _section(books, "ASSETS", parts["Asset"], "TotalAssets")
    debts, owed = _section(books, "Liabilities", parts["Liability"], "Liabilities")
    equity, own = _section(books, "Equity", parts["Equity"], "Equity")
    equity["Rows"]["Row"].append({"ColData": [{"value": "Net Income"}, _money(earned)], "type": "Data"})
    equity["Summary"]["ColData"][1] = _money(own + earned)
    other: Doc = {"Header": {"ColData": [{"value": "LIABILITIES AND EQUITY"}, {"value": ""}]}}
    total = [{"value": "TOTAL LIABILITIES AND EQUITY"}, _money(owed + own + earned)]
    other |= {"Rows": {"Row": [debts, equity]}, "Summary": {"ColData": total}, "type": "Section"}
    return [("", "Account"), ("Total", "Money")], [assets, other] if found else []


def profit_and_loss(books: Books, end: date, params: Mapping[str, str]) -> Made:
    """Income and expenses from start_date (else the first of the year) to end_date, both inclusive."""
    start = params.get("start_date") or f"{end.year}-01-01"
    found = balances(books, start, end.isoformat())
    kinds = {id: _account(books, id)["Classification"] for id in found}
    income, gross = _section(books, "Income", [(i, -a) for i, a in found.items() if kinds[i] == "Revenue"], "Income")
    costs, spent = _section(books, "Expenses", [(i, a) for i, a in found.items() if kinds[i] == "Expense"], "Expenses")
    net = {"ColData": [{"value": "Net Income"}, _money(gross - spent)]}
    rows: list[Doc] = [income, costs, {"Summary": net, "type": "Section", "group": "NetIncome"}]
    return [("", "Account"), ("Total", "Money")], rows if {"Revenue", "Expense"} & {*kinds.values()} else []


_LEDGER = [
    ("Date", "tx_date"),
    ("Transaction Type", "txn_type"),
    ("Num", "doc_num"),
    ("Name", "name"),
    ("Memo/Description", "memo"),
    ("Split", "split_acc"),
    ("Amount", "subt_nat_amount"),
    ("Balance", "rbal_nat_amount"),
]


def _who(books: Books, doc: Doc) -> Doc:
    ref = doc.get("CustomerRef") or doc.get("VendorRef")
    customer = books.doc("Customer", ref["value"]) if ref else None
    if ref is None:
        return {"value": ""}
    return {"value": lists.title(customer) if customer else ref.get("name", ""), "id": ref["value"]}


def _facts(books: Books, entry: Entry) -> list[Doc]:
    number = str(entry.doc.get("DocNumber", entry.doc.get("PaymentRefNum", "")))
    memo = {"value": str(entry.doc.get("PrivateNote", ""))}
    kind = {"value": entry.entity, "id": entry.id}
    return [{"value": entry.on or ""}, kind, {"value": number}, _who(books, entry.doc), memo]


def _split(books: Books, entry: Entry, account: str) -> Doc:
    others = {line.account for line in entry.lines if line.account != account}
    if len(others) != 1:
        return {"value": "-Split-"}
    (other,) = others
    return {"value": _account(books, other)["Name"], "id": other}


def general_ledger(books: Books, end: date, params: Mapping[str, str]) -> Made:
    """Per account: beginning balance, each posting with the running balance, total. Default: this month to date."""
    start, last = params.get("start_date") or end.replace(day=1).isoformat(), end.isoformat()
    rows: list[Doc] = []
    everything = [e for e in entries(books) if (e.on or "") <= last]
    for id, row in books.tables["Account"].items():
        sign = -1 if row.doc["Classification"] in {"Liability", "Equity", "Revenue"} else 1
        own = [(e, sign * sum((x.home for x in e.lines if x.account == id), ZERO)) for e in everything]
        own = [(e, amount) for e, amount in own if amount]
        if own:
            rows.append(_ledger_section(books, id, row.doc["Name"], own, start))
    return _LEDGER, rows


def _ledger_section(books: Books, id: str, name: str, own: list[tuple[Entry, Decimal]], start: str) -> Doc:
    blank: list[Doc] = [{"value": ""}] * 6
    running = sum((amount for entry, amount in own if (entry.on or "") < start), ZERO)
    rows: list[Doc] = []
    if running:
        rows.append({"ColData": [{"value": "Beginning Balance"}, *blank, _money(running)], "type": "Data"})
    total = ZERO
    for entry, amount in own:
        if (entry.on or "") >= start:
            running, total = running + amount, total + amount
            cells = [*_facts(books, entry), _split(books, entry, id), _money(amount), _money(running)]
            rows.append({"ColData": cells, "type": "Data"})
    return {
        "Header": {"ColData": [{"value": name, "id": id}, *blank, {"value": ""}]},
        "Rows": {"Row": rows},
        "Summary": {"ColData": [{"value": f"Total for {name}"}, *blank[:5], _money(total), {"value": ""}]},
        "type": "Section",
    }


def transactions(books: Books, end: date, params: Mapping[str, str]) -> Made:
    """Every document that posts, from start_date (else the first of the month) to end_date, both inclusive."""
    start, last = params.get("start_date") or end.replace(day=1).isoformat(), end.isoformat()
    rows = [
        {"ColData": [*_facts(books, e), _money(Decimal(e.doc.get("TotalAmt", 0)))], "type": "Data"}
        for e in entries(books)
        if e.on is not None and start <= e.on <= last
    ]
    return [*_LEDGER[:5], ("Amount", "subt_nat_amount")], rows


MADE: dict[str, Any] = {
    "TrialBalance": trial,
    "BalanceSheet": balance_sheet,
    "ProfitAndLoss": profit_and_loss,
    "GeneralLedger": general_ledger,
    "TransactionList": transactions,
}
