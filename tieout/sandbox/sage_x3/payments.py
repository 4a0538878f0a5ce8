"""PAY, payments: entered, holding open items; then posted by the task server; cancelled by reversal, never deleted.

A line's amount has the sign of the open item it is on: positive on an invoice, negative on a credit memo. The cash is
the allocations and advances less discounts and charges, and what is left over stays on the customer's account.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from . import matching, posting
from .amounts import ZERO, rounded
from .customers import active
from .faults import Refused
from .grids import merged
from .invoices import held, rate_of
from .payload import Doc, Given

if TYPE_CHECKING:
    from .books import Books
    from .store import Key

ENTERED, POSTED, CANCELLED = 1, 4, 5
TYPE = "PAY"
Part = tuple["Key", Decimal]  # an open item, and how much of it, without sign


def create(books: Books, given: Given) -> Key:
    row: Doc = {"OBJECT": TYPE, "STA2": ENTERED, "lines": merged([], given.grids.get("lines", []))}
    row |= {k: v for k, v in given.fields.items() if v not in ("", None) and k != "WW_MODSTAMP"}
    done = _complete(books, row)
    _single(books, done)
    done["NUM"] = _number(books, done, given.fields.get("NUM", ""))
    books.write("PAY", "create", (done["NUM"],), done)
    _hold(books, done, 1)
    if books.switches.payment_posting == "auto":
        books.tasks.add(books.now(), books.switches.posting_delay, "pay", (done["NUM"],))
    return (done["NUM"],)


def modify(books: Books, row: Doc, given: Given) -> None:
    _entered(row)
    for name in ("NUM", "BPR", "FCY"):
        if given.fields.get(name, row[name]) not in (row[name], ""):
            raise Refused("fixed", name=name)
    books.check_period(row["ACCDAT"])
    _hold(books, row, -1)
    done = _complete(books, {**row, **given.fields, "lines": merged(row["lines"], given.grids.get("lines", []))})
    _single(books, done)
    books.write("PAY", "modify", (row["NUM"],), done)
    _hold(books, done, 1)


def remove_lines(books: Books, row: Doc, numbers: set[int]) -> None:
    """Takes lines out of a payment that is not posted; numbers from 1."""
    _entered(row)
    left = [line for n, line in enumerate(row["lines"], 1) if n not in numbers]
    if len(left) + len(numbers) != len(row["lines"]):
        raise Refused("no_record", object="LIN", key=",".join(map(str, sorted(numbers))))
    _hold(books, row, -1)
    done = _complete(books, {**row, "lines": left})
    books.write("PAY", "modify", (row["NUM"],), done)
    _hold(books, done, 1)


def delete(books: Books, row: Doc) -> None:
    _entered(row)
    books.check_period(row["ACCDAT"])
    _hold(books, row, -1)
    books.write("PAY", "delete", (row["NUM"],), None)


def actions(books: Books) -> dict[str, Callable[[Books, Doc], None]]:
    return {books.switches.post_action: _send, "CANCEL": cancel}


def _send(books: Books, row: Doc) -> None:
    _entered(row)
    books.tasks.add(books.now(), books.switches.posting_delay, "pay", (row["NUM"],))


def _entered(row: Doc) -> None:
    if row["STA2"] != ENTERED:
        raise Refused("posted", num=row["NUM"])


def _number(books: Books, row: Doc, wanted: str) -> str:
    if wanted and books.switches.given_number == "refuse":
        raise Refused("computed", name="NUM")
    if wanted and books.switches.given_number == "accept":
        if books.store.get("PAYMENTH", wanted):
            raise Refused("exists", object="PAY", key=wanted)
        return wanted
    series = f"PY1{books.company.sites[row['FCY']].mark}{row['ACCDAT']:%y}"
    while True:
        number = f"{series}{books.next_number(series):06d}"
        if not books.store.get("PAYMENTH", number):
            return number


def _single(books: Books, row: Doc) -> None:
    reference = row.get("REF", "")
    if not reference or books.switches.duplicate_reference == "accept":
        return
    for other in books.store.by("PAYMENTH", "BPR", row["BPR"]):
        if other.get("REF") == reference and other["NUM"] != row.get("NUM") and other["STA2"] != CANCELLED:
            held(books, other["NUM"])
            return


def _complete(books: Books, row: Doc) -> Doc:
    """The payment with defaults, its parts and what is left over. Raises Refused."""
    company = books.company
    if row.get("FCY", "") not in company.sites:
        raise Refused("unknown_value" if row.get("FCY") else "missing", name="FCY", value=row.get("FCY"))
    customer = active(books, row.get("BPR", ""))
    row = {
        **row,
        "ACCDAT": row.get("ACCDAT") or books.today(),
        "CUR": row.get("CUR") or customer["CUR"],
        "BPRSAC": company.control,
        "CPY": company.company_of(row["FCY"]),
        "CPYCUR": company.currency_of(row["FCY"]),
        "BAN": row.get("BAN") or next(iter(company.banks)),
    }
    for name, among in (("CUR", company.currencies), ("BAN", company.banks)):
        if row[name] not in among:
            raise Refused("unknown_value", name=name, value=row[name])
    books.check_period(row["ACCDAT"])
    amount, decimals = row.get("AMTCUR", ZERO), company.decimals(row["CUR"])
    if not amount:
        raise Refused("no_amount")
    if any(value != rounded(value, decimals) for value in (amount, *(x.get("AMTLIN", ZERO) for x in row["lines"]))):
        raise Refused("precision", name="AMTCUR", cur=row["CUR"])
    parts, lines, used, advances = _lines(books, row)
    rest = amount - used
    if rest * amount < 0:
        raise Refused("over_total", amount=abs(rest))
    rate = rate_of(books, row["CUR"], row["CPYCUR"], row["ACCDAT"])
    home = company.decimals(row["CPYCUR"])
    allocated = used - advances
    return {
        **row,
        "lines": lines,
        "PARTS": tuple(parts),
        "REST": rest + advances,
        "TOTIMPUT": allocated,
        "RSTIMPUT": amount - allocated,
        "AMTBAN": amount,
        "TOTLOC": rounded(amount * rate, home),
        "RATMLT": rate,
    }


def _lines(books: Books, row: Doc) -> tuple[list[Part], list[Doc], Decimal, Decimal]:
    """(parts, lines with what is filled in, cash that they need, advances among it)."""
    company = books.company
    free: dict[Key, Decimal] = {}
    parts: list[Part] = []
    done, used, advances = [], ZERO, ZERO
    for line in row["lines"]:
        attribute = company.attributes.get(line.get("DENCOD", ""))
        if attribute is None:
            raise Refused("unknown_value" if line.get("DENCOD") else "missing", name="DENCOD", value=line.get("DENCOD"))
        amount = line.get("AMTLIN", ZERO)
        if not amount:
            raise Refused("no_amount")
        if line.get("CURLIN", row["CUR"]) not in {row["CUR"], ""}:
            raise Refused("other_currency", num=line.get("VCRNUM", ""), cur=line["CURLIN"])
        if attribute.kind == "allocation":
            taken, type = _allocate(books, row, line, amount, free)
            parts += taken
            line = {**line, "VCRTYP": type}
        elif amount < 0:
            raise Refused("negative", name="AMTLIN")
        sign = 1 if attribute.kind in {"allocation", "advance"} else -1
        used += sign * amount
        advances += amount if attribute.kind == "advance" else ZERO
        done.append({**line, "CURLIN": row["CUR"], "FCYLIN": line.get("FCYLIN") or row["FCY"], "AMTLIN2": amount})
    return parts, done, used, advances


def _allocate(books: Books, row: Doc, line: Doc, amount: Decimal, free: dict[Key, Decimal]) -> tuple[list[Part], str]:
    """The open items that a line takes, first due first, and their type. `free` is what earlier lines have left."""
    num = line.get("VCRNUM", "")
    if not num:
        raise Refused("missing", name="VCRNUM")
    items = posting.items(books, line.get("VCRTYP", ""), num)
    if not items:
        known = books.store.get("SINVOICE", num)
        raise Refused("not_posted", num=num) if known else Refused("no_record", object="DUD", key=num)
    first = items[0]
    if first["BPR"] != row["BPR"]:
        raise Refused("other_customer", num=num)
    if first["CPY"] != row["CPY"]:
        raise Refused("other_company", num=num)
    if first["CUR"] != row["CUR"]:
        raise Refused("other_currency", num=num, cur=first["CUR"])
    wanted = amount * first["SNS"]
    if wanted < 0:
        raise Refused("wrong_sign", num=num, amount=amount)
    taken = []
    for item in items:
        key = posting.key_of(item)
        part = min(wanted, free.setdefault(key, posting.left(item)))
        if part > 0:
            taken.append((key, part))
            free[key] -= part
            wanted -= part
    if wanted:
        raise Refused("over_allocated", num=num, amount=abs(amount), open=abs(amount) - wanted)
    return taken, first["TYP"]


def _hold(books: Books, row: Doc, sign: int) -> None:
    if books.switches.payment_hold == "at_entry":
        for key, amount in row["PARTS"]:
            posting.hold(books, key, sign * amount)


def post(books: Books, row: Doc) -> None:
    """The task server's part: the journal, the open items paid, what is left over open on the customer's account."""
    _hold(books, row, -1)
    parts, rest = [], row["REST"]
    for key, amount in row["PARTS"]:
        item = books.store.get("GACCDUDATE", *key)
        assert item is not None, f"open item {key} is gone"
        now = min(amount, posting.left(item))
        rest += (amount - now) * item["SNS"]  # what somebody else has paid meanwhile stays on account
        if now:
            parts.append((key, now))
    row = {**row, "PARTS": tuple(parts), "REST": rest, "STA2": POSTED}
    lines = [posting.line(books.company.banks[row["BAN"]], posting.DEBIT, row["AMTCUR"], row["TOTLOC"])]
    for line in row["lines"]:
        attribute = books.company.attributes[line["DENCOD"]]
        if attribute.account:
            local = _local(books, row, line["AMTLIN"])
            lines.append(posting.line(attribute.account, posting.DEBIT, line["AMTLIN"], local))
    for key, amount in parts:
        item = books.store.get("GACCDUDATE", *key)
        assert item is not None, f"open item {key} is gone"
        local = posting.settle(books, key, amount)
        lines.append(posting.line(row["BPRSAC"], -item["SNS"], amount, local, bpr=row["BPR"], settles=key))
    if rest:
        local = _local(books, row, abs(rest))
        sense = posting.CREDIT if rest > 0 else posting.DEBIT
        lines.append(posting.line(row["BPRSAC"], sense, abs(rest), local, bpr=row["BPR"], due=1))
        books.write("DUD", "create", (TYPE, row["NUM"], "1"), _on_account(row, sense, abs(rest), local))
    lines += exchange(lines)
    number = posting.journal(books, TYPE, row["NUM"], {**row, "JOU": "BAN", "BPRVCR": row.get("REF", "")}, lines)
    books.write("PAY", "post", (row["NUM"],), {**row, "ACCNUM": number})
    for key, _ in parts:
        matching.link(books, key, journal=(TYPE, row["NUM"]))
    if parts:
        books.tasks.add(books.now(), books.switches.matching_delay, "letter", tuple(key for key, _ in parts))


def exchange(lines: list[Doc]) -> list[Doc]:
    """The line that makes up for a difference between exchange rates, if there is one."""
    difference = sum((x["SNS"] * x["AMTLED"] for x in lines), ZERO)
    if not difference:
        return []
    account = "766000" if difference > 0 else "666000"
    return [posting.line(account, posting.CREDIT, ZERO, difference)]


def cancel(books: Books, row: Doc) -> None:
    """Reverses a posted payment: its open items are open again, a counter-journal stands beside the journal."""
    if row["STA2"] != POSTED:
        raise Refused("not_posted", num=row["NUM"])
    books.check_period(row["ACCDAT"])
    own = books.store.get("GACCDUDATE", TYPE, row["NUM"], "1")
    if own and (own["PAYCUR"] or own["TMPCUR"]):
        raise Refused("matched", num=row["NUM"])
    entry = books.store.get("GACCENTRY", TYPE, row["NUM"])
    assert entry is not None, f"payment {row['NUM']} has no journal"
    lines = []
    for old in entry["lines"]:
        local = old["AMTLED"]
        if old["SETTLES"]:
            local = -posting.settle(books, old["SETTLES"], -old["AMTCUR"], "cancel")
        if old["AMTCUR"]:
            lines.append(posting.line(old["ACC"], -old["SNS"], old["AMTCUR"], local, bpr=old["BPR"]))
    if own:
        books.write("DUD", "delete", (TYPE, row["NUM"], "1"), None)
    lines += exchange(lines)
    head = {**row, "JOU": "BAN", "BPRVCR": row.get("REF", "")}
    posting.journal(books, "PAYC", row["NUM"], head, lines)
    books.write("PAY", "cancel", (row["NUM"],), {**row, "STA2": CANCELLED, "PARTS": (), "REST": ZERO})
    matching.clear(books, TYPE, row["NUM"])
    for key, _ in row["PARTS"]:
        matching.unlink(books, key, (TYPE, row["NUM"]))
    if row["PARTS"]:
        matching.letter(books, tuple(key for key, _ in row["PARTS"]))


def _local(books: Books, row: Doc, amount: Decimal) -> Decimal:
    return rounded(amount * row["RATMLT"], books.company.decimals(row["CPYCUR"]))


def _on_account(row: Doc, sense: int, amount: Decimal, local: Decimal) -> Doc:
    return {
        "TYP": TYPE,
        "NUM": row["NUM"],
        "DUDLIG": 1,
        "CPY": row["CPY"],
        "FCY": row["FCY"],
        "CUR": row["CUR"],
        "SAC": row["BPRSAC"],
        "BPR": row["BPR"],
        "DUDDAT": row["ACCDAT"],
        "PAM": "",
        "SNS": sense,
        "AMTCUR": amount,
        "AMTLOC": local,
        "PAYCUR": ZERO,
        "PAYLOC": ZERO,
        "TMPCUR": ZERO,
        "FLGCLE": posting.OPEN,
    }


def view(books: Books, row: Doc) -> Doc:
    customer = books.store.get("BPCUSTOMER", row["BPR"])
    return {**row, "BPRNAM": customer["BPCNAM"] if customer else ""}
