"""Matching: open items against each other, and the lettering codes on the journals' lines.

A code is three letters per customer: upper case when the lines that carry it add up to zero, lower case before.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from . import posting
from .amounts import ZERO
from .faults import Refused
from .payload import Doc

if TYPE_CHECKING:
    from .books import Books
    from .store import Key


def by_hand(books: Books, bpr: str, parts: list[tuple[str, str, Decimal]]) -> None:
    """Matches open items, each with how much of it (without sign); debits and credits must be equal."""
    taken: list[tuple[Doc, Decimal]] = []
    for type, num, amount in parts:
        items = posting.items(books, type, num)
        if not items:
            raise Refused("no_record", object="DUD", key=num)
        if items[0]["BPR"] != bpr:
            raise Refused("other_customer", num=num)
        wanted = Decimal(amount)
        if wanted <= 0:
            raise Refused("no_amount")
        for item in items:
            part = min(wanted, posting.left(item))
            if part > 0:
                taken.append((item, part))
                wanted -= part
        if wanted:
            raise Refused("over_allocated", num=num, amount=amount, open=amount - wanted)
    if not taken:
        raise Refused("no_lines")
    for name, refusal in (("CUR", "other_currency"), ("CPY", "other_company")):
        other = next((item for item, _ in taken if item[name] != taken[0][0][name]), None)
        if other is not None:
            raise Refused(refusal, num=other["NUM"], cur=other["CUR"])
    difference = sum((item["SNS"] * part for item, part in taken), ZERO)
    if difference:
        raise Refused("unbalanced", amount=abs(difference))
    if len({posting.key_of(item) for item, _ in taken}) != len(taken):
        raise Refused("exists", object="DUD", key=taken[0][0]["NUM"])
    _match(books, taken)


def credit(books: Books, memo: Doc) -> None:
    """A credit memo against the invoice it was made for, as far as both are open."""
    debits = posting.items(books, "", memo["INVNUM"])
    credits_ = posting.items(books, memo["GTE"], memo["NUM"])
    amount = min(sum(map(posting.left, debits), ZERO), sum(map(posting.left, credits_), ZERO))
    taken = [(item, part) for items in (debits, credits_) for item, part in _spread(items, amount)]
    if amount > 0:
        _match(books, taken)


def _spread(items: list[Doc], amount: Decimal) -> list[tuple[Doc, Decimal]]:
    found = []
    for item in items:
        part = min(amount, posting.left(item))
        if part > 0:
            found.append((item, part))
            amount -= part
    return found


def _match(books: Books, taken: list[tuple[Doc, Decimal]]) -> None:
    """Both sides are paid by each other; a difference between their exchange rates gets a journal of its own."""
    keys = tuple(posting.key_of(item) for item, _ in taken)
    lines = []
    for item, part in taken:
        key = posting.key_of(item)
        local = posting.settle(books, key, part, "match")
        lines.append(posting.line(item["SAC"], -item["SNS"], ZERO, local, bpr=item["BPR"]))
    difference = sum((x["SNS"] * x["AMTLED"] for x in lines), ZERO)
    number = str(books.next_number("MATCH"))
    books.store.put("MATCH", (number,), {"PARTS": tuple((k, p) for k, (_, p) in zip(keys, taken, strict=True))})
    if difference:
        head = {**taken[0][0], "ACCDAT": books.today(), "JOU": "EXC"}
        head["CPYCUR"] = books.company.home[head["CPY"]]
        account = "766000" if difference > 0 else "666000"
        balance = posting.line(account, posting.CREDIT, ZERO, difference)
        control = posting.line(head["SAC"], posting.DEBIT, ZERO, difference, bpr=head["BPR"])
        posting.journal(books, "EXD", f"EXD{int(number):06d}", head, [control, balance])
    for key in keys:
        link(books, key, mates=keys)
    books.tasks.add(books.now(), books.switches.matching_delay, "letter", keys)


# ---- lettering


def link(books: Books, key: Key, *, journal: Key = (), mates: tuple[Key, ...] = ()) -> None:
    """Remembers what an open item is matched with: a payment's journal, or other open items."""
    row = books.store.get("LINK", *key) or {"journals": (), "mates": ()}
    journals = (*row["journals"], journal) if journal and journal not in row["journals"] else row["journals"]
    others = tuple(dict.fromkeys((*row["mates"], *(m for m in mates if m != key))))
    books.store.put("LINK", key, {"journals": journals, "mates": others})


def unlink(books: Books, key: Key, journal: Key) -> None:
    row = books.store.get("LINK", *key) or {"journals": (), "mates": ()}
    books.store.put("LINK", key, {**row, "journals": tuple(j for j in row["journals"] if j != journal)})


def letter(books: Books, keys: tuple[Key, ...]) -> None:
    """Brings the codes of everything matched with these open items up to date."""
    done: set[Key] = set()
    for key in keys:
        if key not in done:
            group = _group(books, key)
            done |= group
            _letter_group(books, group)


def _group(books: Books, start: Key) -> set[Key]:
    found, todo = {start}, [start]
    while todo:
        row = books.store.get("LINK", *todo.pop())
        fresh = set(row["mates"]) - found if row else set()
        found |= fresh
        todo += fresh
    return found


def _lines(books: Books, group: set[Key]) -> list[tuple[Key, int]]:
    """(journal, line number) of every line of the group: of the items themselves, and of what paid them."""
    found: list[tuple[Key, int]] = []
    for key in sorted(group):
        row = books.store.get("LINK", *key) or {"journals": ()}
        for journal in ((key[0], key[1]), *row["journals"]):
            entry = books.store.get("GACCENTRY", *journal)
            for n, line in enumerate(entry["lines"] if entry else ()):
                own = journal == (key[0], key[1]) and str(line["DUE"]) == key[2]
                if own or line["SETTLES"] == key:
                    found.append((journal, n))
    return found


def _letter_group(books: Books, group: set[Key]) -> None:
    places = _lines(books, group)
    lines = {place: _line(books, place) for place in places}
    whole = not sum((x["SNS"] * x["AMTCUR"] for x in lines.values()), ZERO)
    alone = len(places) == len(group) and not any((books.store.get("LINK", *k) or {}).get("mates") for k in group)
    known = sorted({x["MTC"].upper() for x in lines.values() if x["MTC"]})
    bpr = next((x["BPR"] for x in lines.values()), "")
    code = "" if alone else known[0] if known else _code(books.next_number(f"MTC{bpr}"))
    for (journal, n), line in lines.items():
        wanted = code.upper() if whole else code.lower()
        remains = books.switches.partial_codes == "remain" and line["MTC"].islower() and whole
        if line["MTC"] != wanted and not remains:
            _set(books, journal, n, wanted)


def _line(books: Books, place: tuple[Key, int]) -> Doc:
    entry = books.store.get("GACCENTRY", *place[0])
    assert entry is not None, f"journal {place[0]} is gone"
    line: Doc = entry["lines"][place[1]]
    return line


def _set(books: Books, journal: Key, n: int, code: str) -> None:
    entry = books.store.get("GACCENTRY", *journal)
    assert entry is not None, f"journal {journal} is gone"
    lines = list(entry["lines"])
    lines[n] = {**lines[n], "MTC": code}
    books.write("GAS", "match", journal, {**entry, "lines": lines})


def clear(books: Books, type: str, num: str) -> None:
    """Takes the codes off a journal that is reversed."""
    entry = books.store.get("GACCENTRY", type, num)
    if entry is not None and any(line["MTC"] for line in entry["lines"]):
        books.write("GAS", "match", (type, num), {**entry, "lines": [{**line, "MTC": ""} for line in entry["lines"]]})


def _code(number: int) -> str:
    """AAA, AAB … ZZZ, AAAA: number from 1."""
    number, letters = number - 1, ""
    while number or len(letters) < 3:
        number, digit = divmod(number, 26)
        letters = chr(ord("A") + digit) + letters
    return letters
