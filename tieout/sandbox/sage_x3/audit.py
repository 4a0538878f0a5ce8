"""The invariants of the books: cheap ones after each write, all of them on demand. A breach is an AssertionError."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from . import posting
from .amounts import ZERO
from .payload import Doc

if TYPE_CHECKING:
    from .books import Books
    from .store import Key


def cheap(books: Books) -> None:
    """What the rows just written must be by themselves."""
    for table, key in books.store.touched():
        row = books.store.get(table, *key)
        if row is None:
            continue
        if table == "GACCDUDATE":
            open_item(row)
        elif table == "GACCENTRY":
            journal(row)
        elif table == "SINVOICE":
            invoice(row)


def open_item(row: Doc) -> None:
    name = posting.key_of(row)
    assert row["AMTCUR"] > 0, f"{name}: amount {row['AMTCUR']}"
    assert row["PAYCUR"] >= 0, f"{name}: paid {row['PAYCUR']}"
    assert row["TMPCUR"] >= 0, f"{name}: being paid {row['TMPCUR']}"
    assert row["PAYCUR"] + row["TMPCUR"] <= row["AMTCUR"], f"{name}: paid more than it is"
    assert (row["FLGCLE"] == posting.CLOSED) == (row["PAYCUR"] == row["AMTCUR"]), f"{name}: FLGCLE"
    assert row["FLGCLE"] == posting.OPEN or row["PAYLOC"] == row["AMTLOC"], f"{name}: company amount left over"


def journal(row: Doc) -> None:
    name = f"{row['TYP']} {row['NUM']}"
    assert not sum((x["SNS"] * x["AMTLED"] for x in row["lines"]), ZERO), f"{name}: not balanced in company currency"
    assert not sum((x["SNS"] * x["AMTCUR"] for x in row["lines"]), ZERO), f"{name}: not balanced"


def invoice(row: Doc) -> None:
    taxes = sum((t["AMTTAX"] for t in row["taxes"]), ZERO)
    assert row["AMTATI"] == row["AMTNOT"] + taxes, f"{row['NUM']}: total is not net and tax"
    assert sum((t["BASTAX"] for t in row["taxes"]), ZERO) == row["AMTNOT"], f"{row['NUM']}: bases"


def full(books: Books) -> None:
    """Everything, recomputed from the documents."""
    store = books.store
    for row in store.rows("GACCDUDATE"):
        open_item(row)
    for row in store.rows("GACCENTRY"):
        journal(row)
    for row in store.rows("SINVOICE"):
        invoice(row)
        _posted(books, row)
    _paid(books)
    _control(books)
    _lettered(books)
    numbers = [row["ACCNUM"] for row in store.rows("GACCENTRY")]
    assert len(set(numbers)) == len(numbers), "a journal's number twice"


def _posted(books: Books, row: Doc) -> None:
    """A posted document has its journal, and open items that add up to its total; another has neither."""
    items = posting.items(books, row["GTE"], row["NUM"])
    entry = books.store.get("GACCENTRY", row["GTE"], row["NUM"])
    if "ACCNUM" not in row:
        assert not items, f"{row['NUM']}: open items before posting"
        assert entry is None, f"{row['NUM']}: a journal before posting"
        return
    assert entry is not None, f"{row['NUM']}: no journal"
    assert row.get("VALIDATED"), f"{row['NUM']}: posted, not validated"
    for column, total in (("AMTCUR", "AMTATI"), ("AMTLOC", "AMTATIL")):
        assert sum((i[column] for i in items), ZERO) == row[total], f"{row['NUM']}: {column} of its open items"


def _paid(books: Books) -> None:
    """PAYCUR is what posted payments and matchings have taken, TMPCUR what entered payments hold."""
    paid: defaultdict[Key, Decimal] = defaultdict(Decimal)
    held: defaultdict[Key, Decimal] = defaultdict(Decimal)
    for row in books.store.rows("PAYMENTH"):
        entered = row["STA2"] == 1
        for key, amount in row["PARTS"]:
            (held if entered else paid)[key] += amount
    for match in books.store.rows("MATCH"):
        for key, amount in match["PARTS"]:
            paid[key] += amount
    if books.switches.payment_hold == "at_posting":
        held.clear()
    for item in books.store.rows("GACCDUDATE"):
        key = posting.key_of(item)
        assert item["PAYCUR"] == paid.pop(key, ZERO), f"{key}: PAYCUR"
        assert item["TMPCUR"] == held.pop(key, ZERO), f"{key}: TMPCUR"
    assert not any(paid.values()), f"paid, but not there: {dict(paid)}"
    assert not any(held.values()), f"held, but not there: {dict(held)}"


def _control(books: Books) -> None:
    """The control account's balance of each customer and currency is the sum of his open items."""
    kinds = ("AMTCUR", "PAYCUR", "AMTCUR"), ("AMTLOC", "PAYLOC", "AMTLED")
    for amount, paid, line_amount in kinds:
        balance: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for entry in books.store.rows("GACCENTRY"):
            for line in entry["lines"]:
                if line["ACC"] == books.company.control:
                    balance[line["BPR"], entry["CPY"], entry["CUR"]] += line["SNS"] * line[line_amount]
        for item in books.store.rows("GACCDUDATE"):
            balance[item["BPR"], item["CPY"], item["CUR"]] -= item["SNS"] * (item[amount] - item[paid])
        wrong = {k: v for k, v in balance.items() if v}
        assert not wrong, f"control account and open items differ in {amount}: {wrong}"


def _lettered(books: Books) -> None:
    """Lines under one upper-case code of a customer add up to zero."""
    if books.switches.partial_codes == "remain":
        return
    sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for entry in books.store.rows("GACCENTRY"):
        for line in entry["lines"]:
            if line["MTC"].isupper():
                sums[line["BPR"], entry["CUR"], line["MTC"]] += line["SNS"] * line["AMTCUR"]
    wrong = {k: v for k, v in sums.items() if v}
    assert not wrong, f"upper-case codes that do not add up: {wrong}"
