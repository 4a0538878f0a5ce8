"""Our own invented books: `small`, `empty` (no customers), and generated ones of any size."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from tieout.errors import ConfigError

from .posting import items, left

if TYPE_CHECKING:
    from .books import Books

SEEDS = "small, empty, generate:CUSTOMERS:INVOICES:SEED"
SITE = "HLS01"


def plant(books: Books, seed: str) -> None:
    """Fills fresh books. Raises ConfigError for a seed that is none of SEEDS."""
    kind, *sizes = seed.split(":")
    if kind not in {"small", "empty", "generate"} or len(sizes) != (3 if kind == "generate" else 0):
        raise ConfigError(f"there are no books {seed!r}", hint=f"one of: {SEEDS}")
    if not all(size.isascii() and size.isdecimal() for size in sizes):
        raise ConfigError(f"there are no books {seed!r}", hint=f"one of: {SEEDS}")
    if kind == "small":
        _small(books)
    elif kind == "generate":
        _generate(books, *map(int, sizes))


def customer(books: Books, number: str, name: str, **more: object) -> str:
    """Enters a customer; returns his number."""
    home = next(iter(books.company.home.values()))
    fields = {"BCGCOD": "DOMC", "BPCNUM": number, "BPCNAM": name, "BPRNAM": [name, ""], "CUR": home, "CRY": "FR"}
    address = {"CODADR": "MAIN", "BPADES": "Main address", "BPACRY": "FR", "BPAADDFLG": 2, "ADDLIG1": "1 Quay Street"}
    return books.save("BPC", {**fields, "addresses": [address], **more})[0]


def invoice(books: Books, bpr: str, day: date, price: str | Decimal, **more: object) -> str:
    """Enters a sales invoice of one line, and posts it where the task server does not; returns its number."""
    line = {"ITMREF": "SERVICE", "QTY": 1, "NETPRI": Decimal(price)}
    fields = {"SALFCY": SITE, "SIVTYP": "INV", "BPCINV": bpr, "INVDAT": day, "lines": [line], **more}
    key = books.save("SIH", fields)
    if books.switches.posting == "manual":
        books.action("SIH", books.switches.post_action, key)
    return key[0]


def payment(books: Books, bpr: str, day: date, amount: Decimal, *nums: str, **more: object) -> str:
    """Enters a payment that pays the documents as far as it reaches; returns its number."""
    rest, lines = amount, []
    for num in nums:
        open_ = sum((left(item) for item in items(books, "", num)), Decimal(0))
        part = min(rest, open_)
        if part:
            lines.append({"DENCOD": "ALLOC", "VCRNUM": num, "AMTLIN": part})
            rest -= part
    fields = {"FCY": SITE, "BPR": bpr, "ACCDAT": day, "AMTCUR": amount, "lines": lines, **more}
    return books.save("PAY", fields)[0]


def _small(books: Books) -> None:
    today = books.today()
    home = next(iter(books.company.home.values()))
    one = customer(books, "C0001", "Alder & Finch")
    two = customer(books, "C0002", "Brook Street Garage", PTE="THIRDS")
    three = customer(books, "C0003", "Quarry Sons <Ltd>", VACBPR="EXP", CUR="USD" if home != "USD" else "EUR")
    a = invoice(books, one, today - timedelta(days=60), "1200")
    invoice(books, one, today - timedelta(days=30), "349.9", INVREF="PO 17")
    b = invoice(books, two, today - timedelta(days=45), "999.99")
    invoice(books, three, today - timedelta(days=20), "5000")
    memo = {"SIVTYP": "CRM", "SIHORINUM": b}
    invoice(books, two, today - timedelta(days=15), "100", **memo)
    payment(books, one, today - timedelta(days=10), Decimal("1440.00"), a)
    payment(books, two, today - timedelta(days=5), Decimal("500.00"), b)
    payment(books, one, today - timedelta(days=1), Decimal("50.00"))


def _generate(books: Books, customers: int, invoices: int, seed: int) -> None:
    """About six payments to ten invoices; the same for the same numbers and day."""
    chance = random.Random(seed)  # noqa: S311  (invented books, no secret)
    now = books.now()
    books.pin(now - timedelta(days=301))
    names = [customer(books, f"C{n:06d}", f"Customer {n}") for n in range(1, customers + 1)]
    for ago in sorted((chance.randrange(1, 300) for _ in range(invoices if names else 0)), reverse=True):
        books.pin(now - timedelta(days=ago))
        bpr, day = chance.choice(names), books.today()
        price = Decimal(chance.randrange(100, 2_000_00)) / 100
        memo = chance.randrange(100) < 5
        num = invoice(books, bpr, day, price, **({"SIVTYP": "CRM"} if memo else {}))
        books.pin(books.now() + timedelta(seconds=books.switches.posting_delay))  # nothing is paid before it is open
        books.work()
        if not memo and chance.randrange(100) < 60:
            total = sum((item["AMTCUR"] for item in items(books, "", num)), Decimal(0))
            whole = total if chance.randrange(100) < 70 else (total / 2).quantize(Decimal("0.01"))
            if whole:  # a task server that waits for a person has posted nothing
                payment(books, bpr, day, whole, num)
    books.pin(None)
