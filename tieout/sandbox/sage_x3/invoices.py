"""SIH and BIC: sales invoices with items, customer invoices on accounts; both are rows of SINVOICE.

Amounts are positive; SNS says which way. Between save and posting a document is free to change; after it, only a credit
memo takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import posting
from .amounts import ZERO, rounded, taxes
from .customers import active
from .faults import WARNING, Refused, note
from .grids import merged
from .payload import Doc, Given

if TYPE_CHECKING:
    from .books import Books
    from .store import Key

POSTED, PENDING = 3, 2
PRO_FORMA = 5
# the screens' names of what SINVOICE calls otherwise
_SALES = {"SALFCY": "FCY", "BPCINV": "BPR", "INVREF": "REFERENCE", "INVDAT": "ACCDAT", "VACBPR": "VAC"}
_SALES |= {"SIHORINUM": "INVNUM", "INVNOT": "AMTNOT", "INVATI": "AMTATI"}
_LEDGER = {"BPRVCR": "REFERENCE"}


def create_sales(books: Books, given: Given) -> Key:
    return _create(books, "SIH", given)


def create_ledger(books: Books, given: Given) -> Key:
    return _create(books, "BIC", given)


def _create(books: Books, object: str, given: Given) -> Key:
    fields = _columns(object, given.fields)
    row: Doc = {"OBJECT": object, "STA": _unposted(books), "lines": merged([], given.grids.get("lines", []))}
    row |= {k: v for k, v in fields.items() if v not in ("", None)}
    done = _complete(books, row, [fields for _, fields in given.grids.get("lines", [])])
    _single(books, done)
    done["NUM"] = _number(books, done, fields.get("NUM", ""))
    books.write(object, "create", (done["NUM"],), done)
    if books.switches.posting == "batch" and done["INVTYP"] != PRO_FORMA:
        books.tasks.add(books.now(), books.switches.posting_delay, "validate", (object, done["NUM"]))
    return (done["NUM"],)


def modify(books: Books, row: Doc, given: Given) -> None:
    _changeable(books, row)
    fields = _columns(row["OBJECT"], given.fields)
    for name in ("NUM", "SIVTYP", "BPR", "FCY"):
        if fields.get(name, row[name]) not in (row[name], ""):
            raise Refused("fixed", name=name)
    books.check_period(row["ACCDAT"])
    lines = given.grids.get("lines", [])
    changed = {**row, **fields, "NUM": row["NUM"], "lines": merged(row["lines"], lines)}
    touched: list[Doc] = [{} for _ in row["lines"]]
    for number, values in lines:
        if 1 <= number <= len(row["lines"]):
            touched[number - 1] = values
        else:
            touched.append(values)
    done = _complete(books, changed, touched)
    _single(books, done)
    books.write(row["OBJECT"], "modify", (row["NUM"],), done)


def remove_lines(books: Books, row: Doc, numbers: set[int]) -> None:
    """Takes lines out of a document that is not posted; numbers from 1."""
    _changeable(books, row)
    left = [line for n, line in enumerate(row["lines"], 1) if n not in numbers]
    if len(left) + len(numbers) != len(row["lines"]):
        raise Refused("no_record", object="LIN", key=",".join(map(str, sorted(numbers))))
    done = _complete(books, {**row, "lines": left}, [{} for _ in left])
    books.write(row["OBJECT"], "modify", (row["NUM"],), done)


def delete(books: Books, row: Doc) -> None:
    """Physical: the number stays used, nothing else does."""
    _changeable(books, row)
    if books.switches.delete_unposted == "refuse":
        raise Refused("no_deletion", num=row["NUM"])
    books.check_period(row["ACCDAT"])
    books.write(row["OBJECT"], "delete", (row["NUM"],), None)


def actions(books: Books) -> dict[str, Callable[[Books, Doc], None]]:
    return {books.switches.post_action: post, "UNPOST": unpost}


def post(books: Books, row: Doc) -> None:
    """Validation: the document is final, the task server makes its journal and open items."""
    _changeable(books, row)
    if row["INVTYP"] == PRO_FORMA:
        raise Refused("no_action", code=books.switches.post_action)
    books.check_period(row["ACCDAT"])
    books.write(row["OBJECT"], "modify", (row["NUM"],), {**row, "STA": PENDING, "VALIDATED": True})
    books.tasks.add(books.now(), books.switches.posting_delay, "post", (row["OBJECT"], row["NUM"]))


def unpost(books: Books, row: Doc) -> None:
    """Accounting cancellation: the journal is deleted, the document is open again; not once something is paid."""
    if not posted(row):
        raise Refused("not_posted", num=row["NUM"])
    books.check_period(row["ACCDAT"])
    items = posting.items(books, row["GTE"], row["NUM"])
    wanted = {key for payment in books.store.by("PAYMENTH", "BPR", row["BPR"]) for key, _ in payment["PARTS"]}
    if any(item["PAYCUR"] or item["TMPCUR"] or posting.key_of(item) in wanted for item in items):
        raise Refused("matched", num=row["NUM"])
    posting.take_back(books, row["GTE"], row["NUM"])
    done = {k: v for k, v in row.items() if k not in {"VALIDATED", "ACCNUM"}} | {"STA": _unposted(books)}
    books.write(row["OBJECT"], "unpost", (row["NUM"],), done)


def posted(row: Doc) -> bool:
    return bool(row["STA"] == POSTED and "ACCNUM" in row)


def _unposted(books: Books) -> int:
    return int(books.switches.unposted_status)


def _changeable(books: Books, row: Doc) -> None:
    del books
    if row.get("VALIDATED"):
        raise Refused("posted", num=row["NUM"])


def _columns(object: str, fields: Doc) -> Doc:
    names = _SALES if object == "SIH" else _LEDGER
    return {names.get(k, k): v for k, v in fields.items() if k != "WW_MODSTAMP"}


def _number(books: Books, row: Doc, wanted: str) -> str:
    if wanted and books.switches.given_number == "refuse":
        raise Refused("computed", name="NUM")
    if wanted and books.switches.given_number == "accept":
        if books.store.get("SINVOICE", wanted):
            raise Refused("exists", object=row["OBJECT"], key=wanted)
        return wanted
    site, kind = books.company.sites[row["FCY"]], books.company.types[row["SIVTYP"]]
    series = f"{kind.prefix}{site.mark}-{row['ACCDAT']:%y}"
    while True:
        number = f"{series}/{books.next_number(series):05d}"
        if not books.store.get("SINVOICE", number):
            return number


def _single(books: Books, row: Doc) -> None:
    """Refuses a reference that another document of the customer holds, or warns, as the installation is set up."""
    reference = row.get("REFERENCE", "")
    if not reference or books.switches.duplicate_reference == "accept":
        return
    for other in books.store.by("SINVOICE", "REFERENCE", reference):
        if other["NUM"] != row.get("NUM") and other["BPR"] == row["BPR"]:
            held(books, other["NUM"])
            return


def held(books: Books, num: str) -> None:
    """What happens when a document holds the reference already. Raises Refused."""
    switches = books.switches
    if switches.duplicate_reference == "reject":
        raise Refused("duplicate", num=num, template=switches.duplicate_message)
    books.warnings.append(note(WARNING, "duplicate", num=num, template=switches.duplicate_message))


def _complete(books: Books, row: Doc, touched: list[Doc]) -> Doc:
    """The document with its defaults, amounts and taxes. touched: what the caller said of each line. Raises Refused."""
    company, sales = books.company, row["OBJECT"] == "SIH"
    names = {v: k for k, v in (_SALES if sales else _LEDGER).items()}
    for name, known in (("FCY", company.sites), ("SIVTYP", company.types)):
        _known(names.get(name, name), row.get(name, ""), known)
    if not row.get("BPR"):
        raise Refused("missing", name=names.get("BPR", "BPR"))
    customer, kind = active(books, row["BPR"]), company.types[row["SIVTYP"]]
    row = {
        **row,
        "CUR": row.get("CUR") or customer["CUR"],
        "VAC": row.get("VAC") or customer["VACBPR"],
        "PTE": row.get("PTE") or customer["PTE"],
        "ACCDAT": row.get("ACCDAT") or books.today(),
        "INVTYP": kind.category,
        "SNS": kind.sense,
        "CPY": company.company_of(row["FCY"]),
        "CPYCUR": company.currency_of(row["FCY"]),
        "BPRSAC": company.control,
        "GTE": row.get("GTE") or row["SIVTYP"],
        "PRITYP": row.get("PRITYP") or 1,
    }
    row["STRDUDDAT"] = row.get("STRDUDDAT") or row["ACCDAT"]
    for name, among in (("CUR", company.currencies), ("VAC", company.rules), ("PTE", company.terms)):
        _known(names.get(name, name), row[name], among)
    books.check_period(row["ACCDAT"])
    _origin(books, row)
    if not row["lines"]:
        raise Refused("no_lines")
    complete = _sales_line if sales else _ledger_line
    row["lines"] = [
        {**complete(books, row, line, said), "SIDLIN": n * 1000}
        for n, (line, said) in enumerate(zip(row["lines"], touched, strict=True), 1)
    ]
    return row | _totals(books, row)


def _origin(books: Books, row: Doc) -> None:
    """A document that names its origin must name a posted one of the same customer and currency."""
    if not row.get("INVNUM"):
        return
    origin = books.store.get("SINVOICE", row["INVNUM"])
    if origin is None:
        raise Refused("no_record", object=row["OBJECT"], key=row["INVNUM"])
    if origin["BPR"] != row["BPR"]:
        raise Refused("other_customer", num=origin["NUM"])
    if origin["CUR"] != row["CUR"]:
        raise Refused("other_currency", num=origin["NUM"], cur=origin["CUR"])
    if origin["CPY"] != row["CPY"]:
        raise Refused("other_company", num=origin["NUM"])
    if not origin.get("VALIDATED"):
        raise Refused("not_posted", num=origin["NUM"])
    if origin["SNS"] == row["SNS"] == -1:
        raise Refused("unknown_value", name="INVNUM", value=origin["NUM"])


def _sales_line(books: Books, row: Doc, line: Doc, said: Doc) -> Doc:
    company = books.company
    _known("ITMREF", line.get("ITMREF", ""), company.items)
    title, unit, price, level = company.items[line["ITMREF"]]
    line = {**line, "ITMDES": line.get("ITMDES") or title, "SAU": line.get("SAU") or unit}
    line["STU"], line["VACITM1"] = line.get("STU") or unit, line.get("VACITM1") or level
    _known("VACITM1", line["VACITM1"], company.levels)
    if not line.get("QTY"):
        raise Refused("missing", name="QTY")
    discounts = [line.get(f"DISCRGVAL{n}", ZERO) for n in range(1, 10)]
    if "NETPRI" in said and "GROPRI" not in said:
        line["GROPRI"] = said["NETPRI"] if not any(discounts) else line.get("GROPRI", said["NETPRI"])
    else:
        net = line["GROPRI"] = line.get("GROPRI") or (line.get("NETPRI", ZERO) if "NETPRI" in line else price)
        for percent in discounts:
            net = net * (100 - percent) / 100
        line["NETPRI"] = rounded(net, 6).normalize()
    decimals = company.decimals(row["CUR"])
    amount = rounded(line["QTY"] * line["NETPRI"], decimals)
    code = company.tax_code(row["VAC"], line["VACITM1"])
    rate = company.taxes[code]
    if row["PRITYP"] == 2:
        line["AMTATILIN"], line["AMTNOTLIN"] = amount, rounded(amount / (1 + rate / 100), decimals)
    else:
        line["AMTNOTLIN"], line["AMTATILIN"] = amount, rounded(amount * (1 + rate / 100), decimals)
    return {**line, "CODE": code, "AMOUNT": amount, "ACC": "701000"}


def _ledger_line(books: Books, row: Doc, line: Doc, said: Doc) -> Doc:
    del said
    company = books.company
    _known("ACC", line.get("ACC", ""), company.accounts)
    amount = line.get("AMTNOTLIN", ZERO)
    if not amount:
        raise Refused("missing", name="AMTNOTLIN")
    decimals = company.decimals(row["CUR"])
    if amount != rounded(amount, decimals):
        raise Refused("precision", name="AMTNOTLIN", cur=row["CUR"])
    code = line.get("VAT") or "EXO"
    _known("VAT", code, company.taxes)
    vat = rounded(amount * company.taxes[code] / 100, decimals)
    return {**line, "VAT": code, "AMTVAT": vat, "CODE": code, "AMOUNT": amount}


def _totals(books: Books, row: Doc) -> Doc:
    company = books.company
    decimals, home = company.decimals(row["CUR"]), company.decimals(row["CPYCUR"])
    found = taxes(
        ((line["CODE"], line["AMOUNT"]) for line in row["lines"]), company.taxes, decimals, inside=row["PRITYP"] == 2
    )
    net = sum((t.base for t in found), ZERO)
    total = net + sum((t.amount for t in found), ZERO)
    if total < 0:
        raise Refused("negative", name="AMTATI")
    rate = rate_of(books, row["CUR"], row["CPYCUR"], row["ACCDAT"])
    return {
        "AMTNOT": net,
        "AMTATI": total,
        "AMTNOTL": rounded(net * rate, home),
        "AMTATIL": rounded(total * rate, home),
        "RATMLT": rate,
        "RATDIV": Decimal(1),
        "taxes": [{"TAX": t.code, "RATTAX": t.rate, "BASTAX": t.base, "AMTTAX": t.amount} for t in found],
    }


def rate_of(books: Books, currency: str, home: str, on: date) -> Decimal:
    """Units of the company's currency for one. Raises Refused when there is no quote."""
    rate = books.company.rate(currency, home, on)
    if rate is None:
        raise Refused("no_rate", cur=currency, home=home, date=on.strftime("%d/%m/%Y"))
    return rate


def _known(name: str, value: str, among: Any) -> None:
    if not value:
        raise Refused("missing", name=name)
    if value not in among:
        raise Refused("unknown_value", name=name, value=value)


def view_sales(books: Books, row: Doc) -> Doc:
    titles, company = books.company.titles, books.company
    told = {shown: row[column] for shown, column in _SALES.items() if column in row}
    return {
        **{k: v for k, v in row.items() if k not in set(_SALES.values())},
        **told,
        "ZSALFCY": company.sites[row["FCY"]].name,
        "BPINAM": _name(books, row),
        "ZCUR": company.currencies[row["CUR"]][0],
        "ZVACBPR": titles.get(row["VAC"], ""),
        "ZPTE": titles.get(row["PTE"], ""),
        "SIHCFMFLG": 2 if row.get("VALIDATED") else 1,
        "taxes": [
            {"XVTAX": t["TAX"], "XVRAT": t["RATTAX"], "XVNOT": t["BASTAX"], "XVAMT": t["AMTTAX"]} for t in row["taxes"]
        ],
    }


def view_ledger(books: Books, row: Doc) -> Doc:
    done = {k: v for k, v in row.items() if k != "REFERENCE"}
    titles = books.company.titles
    return {
        **done,
        "BPRVCR": row.get("REFERENCE", ""),
        "BPRNAM": _name(books, row),
        "ZPTE": titles.get(row["PTE"], ""),
    }


def _name(books: Books, row: Doc) -> str:
    customer = books.store.get("BPCUSTOMER", row["BPR"])
    return str(customer["BPCNAM"]) if customer else ""
