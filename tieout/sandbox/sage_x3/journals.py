"""GAS, journals entered by hand: balanced, final at once, with an open item for each line on a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import posting
from .amounts import ZERO, rounded, shares
from .customers import active
from .faults import Refused
from .grids import merged
from .invoices import rate_of
from .payload import Doc, Given

if TYPE_CHECKING:
    from .books import Books
    from .store import Key

TYPE = "GEN"


def create(books: Books, given: Given) -> Key:
    company = books.company
    row = {k: v for k, v in given.fields.items() if v not in ("", None)}
    for name, among in (("FCY", company.sites), ("CUR", company.currencies)):
        if row.get(name, "") not in among:
            raise Refused("unknown_value" if row.get(name) else "missing", name=name, value=row.get(name))
    row["ACCDAT"] = row.get("ACCDAT") or books.today()
    row["TYP"], row["JOU"] = row.get("TYP") or TYPE, row.get("JOU") or "GEN"
    row["CPY"], row["CPYCUR"] = company.company_of(row["FCY"]), company.currency_of(row["FCY"])
    books.check_period(row["ACCDAT"])
    lines = merged([], given.grids.get("lines", []))
    if not lines:
        raise Refused("no_lines")
    num = row.get("NUM") or f"{row['TYP']}{row['ACCDAT']:%y}{books.next_number(row['TYP']):06d}"
    if books.store.get("GACCENTRY", row["TYP"], num):
        raise Refused("exists", object="GAS", key=num)
    posting.journal(books, row["TYP"], num, row, _lines(books, {**row, "NUM": num}, lines))
    return (row["TYP"], num)


def _lines(books: Books, row: Doc, given: list[Doc]) -> list[Doc]:
    company, decimals = books.company, books.company.decimals(row["CUR"])
    for line in given:
        if line.get("ACC", "") not in company.accounts:
            raise Refused("unknown_value" if line.get("ACC") else "missing", name="ACC", value=line.get("ACC"))
        if line.get("SNS") not in (1, -1):
            raise Refused("unknown_value", name="SNS", value=line.get("SNS"))
        if line.get("AMTCUR", ZERO) <= 0:
            raise Refused("no_amount")
        if line["AMTCUR"] != rounded(line["AMTCUR"], decimals):
            raise Refused("precision", name="AMTCUR", cur=row["CUR"])
        if line["ACC"] == company.control:
            active(books, line.get("BPR", ""))
    difference = sum((x["SNS"] * x["AMTCUR"] for x in given), ZERO)
    if difference:
        raise Refused("unbalanced", amount=abs(difference))
    rate = rate_of(books, row["CUR"], row["CPYCUR"], row["ACCDAT"])
    home = company.decimals(row["CPYCUR"])
    done, due = [], 0
    for sense in (1, -1):
        side = [x for x in given if x["SNS"] == sense]
        total = rounded(sum((x["AMTCUR"] for x in side), ZERO) * rate, home)
        for line, local in zip(side, shares(total, [x["AMTCUR"] for x in side], home), strict=True):
            on_customer = line["ACC"] == company.control
            due += on_customer
            done.append(
                posting.line(
                    line["ACC"],
                    sense,
                    line["AMTCUR"],
                    local,
                    bpr=line.get("BPR", "") if on_customer else "",
                    due=due if on_customer else 0,
                )
                | {"DES": line.get("DES", "")}
            )
            if on_customer:
                _open(books, row, line, due, local)
    return done


def _open(books: Books, row: Doc, line: Doc, due: int, local: object) -> None:
    item = {
        "TYP": row["TYP"],
        "NUM": row["NUM"],
        "DUDLIG": due,
        "CPY": row["CPY"],
        "FCY": row["FCY"],
        "CUR": row["CUR"],
        "SAC": line["ACC"],
        "BPR": line["BPR"],
        "DUDDAT": row["ACCDAT"],
        "PAM": "",
        "SNS": line["SNS"],
        "AMTCUR": line["AMTCUR"],
        "AMTLOC": local,
        "PAYCUR": ZERO,
        "PAYLOC": ZERO,
        "TMPCUR": ZERO,
        "FLGCLE": posting.OPEN,
    }
    books.write("DUD", "create", (row["TYP"], row["NUM"], str(due)), item)


def modify(books: Books, row: Doc, given: Given) -> None:
    del books, given
    raise Refused("fixed", name=row["NUM"])


def delete(books: Books, row: Doc) -> None:
    del books
    raise Refused("no_deletion", num=row["NUM"])


def view(books: Books, row: Doc) -> Doc:
    del books
    return dict(row)
