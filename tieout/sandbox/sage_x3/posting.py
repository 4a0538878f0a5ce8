"""What a posted document leaves: its journal (GACCENTRY) and its open items (GACCDUDATE), one for each due date."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from .amounts import ZERO, rounded, shares
from .payload import Doc

if TYPE_CHECKING:
    from .books import Books
    from .store import Key

OPEN, CLOSED = 1, 2
DEBIT, CREDIT = 1, -1


def due_dates(books: Books, row: Doc) -> list[tuple[date, Decimal, Decimal]]:
    """(day, amount, amount in company currency) of each due date; both columns add up to the document's totals."""
    parts = books.company.terms[row["PTE"]]
    weights = [part.share for part in parts]
    amounts = shares(row["AMTATI"], weights, books.company.decimals(row["CUR"]))
    locals_ = shares(row["AMTATIL"], weights, books.company.decimals(row["CPYCUR"]))
    days = [_due(row["STRDUDDAT"], part.days, part.month_end) for part in parts]
    return list(zip(days, amounts, locals_, strict=True))


def _due(base: date, days: int, month_end: bool) -> date:
    day = base + timedelta(days=days)
    return day.replace(day=calendar.monthrange(day.year, day.month)[1]) if month_end else day


def post_invoice(books: Books, row: Doc) -> None:
    """Journal and open items of an invoice or credit memo. A total of zero leaves a journal and nothing open."""
    sense = row["SNS"]
    home = books.company.decimals(row["CPYCUR"])
    lines: list[Doc] = []
    for n, (day, amount, local) in enumerate(due_dates(books, row), 1):
        if amount:
            lines.append(line(row["BPRSAC"], sense, amount, local, bpr=row["BPR"], due=n))
            books.write("DUD", "create", (row["GTE"], row["NUM"], str(n)), _item(row, n, day, amount, local))
    sides: dict[tuple[str, str], Decimal] = {}
    for one in row["lines"]:
        net = one["AMTNOTLIN"] if row["PRITYP"] == 2 or row["OBJECT"] == "BIC" else one["AMOUNT"]
        sides[one["ACC"], one["CODE"]] = sides.get((one["ACC"], one["CODE"]), ZERO) + net
    taxes = [(t["TAX"], t["BASTAX"], t["AMTTAX"]) for t in row["taxes"]]
    for code, base, _ in taxes:  # rounding inside the tax belongs to the last account of its code
        accounts = [k for k in sides if k[1] == code]
        sides[accounts[-1]] += base - sum((sides[k] for k in accounts), ZERO)
    against = [(account, amount) for (account, _), amount in sides.items() if amount]
    against += [("445710", tax) for _, _, tax in taxes if tax]
    amounts_local = shares(row["AMTATIL"], [amount for _, amount in against], home) if against else []
    for (account, amount), local in zip(against, amounts_local, strict=True):
        lines.append(line(account, -sense, amount, local))
    number = journal(books, row["GTE"], row["NUM"], row, lines)
    books.write(row["OBJECT"], "post", (row["NUM"],), {**row, "STA": 3, "ACCNUM": number})


def _item(row: Doc, n: int, day: date, amount: Decimal, local: Decimal) -> Doc:
    return {
        "TYP": row["GTE"],
        "NUM": row["NUM"],
        "DUDLIG": n,
        "CPY": row["CPY"],
        "FCY": row["FCY"],
        "CUR": row["CUR"],
        "SAC": row["BPRSAC"],
        "BPR": row["BPR"],
        "DUDDAT": day,
        "PAM": "",
        "SNS": row["SNS"],
        "AMTCUR": amount,
        "AMTLOC": local,
        "PAYCUR": ZERO,
        "PAYLOC": ZERO,
        "TMPCUR": ZERO,
        "FLGCLE": OPEN,
    }


def line(
    account: str, sense: int, amount: Decimal, local: Decimal, *, bpr: str = "", due: int = 0, settles: Key = ()
) -> Doc:
    """A journal line. A negative amount stands on its side with its sign turned.

    due: the open item of this document that the line carries. settles: the open item that it pays.
    """
    if amount < 0 or (not amount and local < 0):
        sense, amount, local = -sense, -amount, -local
    return {
        "ACC": account,
        "BPR": bpr,
        "SNS": sense,
        "AMTCUR": amount,
        "AMTLED": local,
        "DES": "",
        "MTC": "",
        "DUE": due,
        "SETTLES": settles,
    }


def journal(books: Books, type: str, num: str, head: Doc, lines: Iterable[Doc]) -> int:
    """Enters a journal; returns its ACCNUM."""
    number = books.next_number("ACCNUM")
    row = {
        "TYP": type,
        "NUM": num,
        "ACCNUM": number,
        "FCY": head["FCY"],
        "CPY": head["CPY"],
        "JOU": head.get("JOU") or "SAL",
        "ACCDAT": head["ACCDAT"],
        "CUR": head["CUR"],
        "CPYCUR": head["CPYCUR"],
        "DESVCR": head.get("DESVCR", ""),
        "BPRVCR": head.get("BPRVCR") or head.get("REFERENCE", ""),
        "REF": num,
        "lines": list(lines),
    }
    books.write("GAS", "create", (type, num), row)
    return number


def items(books: Books, type: str, num: str) -> list[Doc]:
    """The open items of a document, first due first; type "" finds them by number alone."""
    if not type:
        type = next((r["TYP"] for r in books.store.by("GACCDUDATE", "NUM", num)), "")
    found, n = [], 1
    while (row := books.store.get("GACCDUDATE", type, num, str(n))) is not None:
        found.append(row)
        n += 1
    return found


def key_of(item: Doc) -> Key:
    return (item["TYP"], item["NUM"], str(item["DUDLIG"]))


def left(item: Doc) -> Decimal:
    """What can still be allocated to an open item, in its currency, without sign."""
    return Decimal(item["AMTCUR"] - item["PAYCUR"] - item["TMPCUR"])


def hold(books: Books, key: Key, amount: Decimal) -> None:
    """An entered payment takes (or with a negative amount gives back) so much of an open item."""
    item = books.store.get("GACCDUDATE", *key)
    assert item is not None, f"open item {key} is gone"
    books.write("DUD", "pay", key, {**item, "TMPCUR": item["TMPCUR"] + amount})


def settle(books: Books, key: Key, amount: Decimal, op: str = "pay") -> Decimal:
    """So much of an open item is paid for good (negative: not any more); returns the same in company currency.

    The company's amount is the item's own in proportion, and exactly the rest when it closes.
    """
    item = books.store.get("GACCDUDATE", *key)
    assert item is not None, f"open item {key} is gone"
    paid = item["PAYCUR"] + amount
    decimals = books.company.decimals(books.company.home[item["CPY"]])
    local = item["AMTLOC"] if paid == item["AMTCUR"] else rounded(item["AMTLOC"] * paid / item["AMTCUR"], decimals)
    flag = CLOSED if paid == item["AMTCUR"] else OPEN
    books.write("DUD", op, key, {**item, "PAYCUR": paid, "PAYLOC": local, "FLGCLE": flag})
    return Decimal(local - item["PAYLOC"])


def take_back(books: Books, type: str, num: str) -> None:
    """Deletes a document's journal and open items."""
    for item in items(books, type, num):
        books.write("DUD", "delete", key_of(item), None)
    books.write("GAS", "delete", (type, num), None)
