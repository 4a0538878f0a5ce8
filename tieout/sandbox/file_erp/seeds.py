"""Sample books for the file ERP: a trading company's receivables, the same for the same seed."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from tieout.sandbox.file_erp.books import Books

_WORDS = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak", "Rowan")
_TRADES = ("Tools", "Foods", "Logistics", "Optics", "Print", "Textiles", "Motors", "Labs", "Works", "Supply")
_FORMS = ("Ltd", "Inc", "GmbH", "AG", "& Sons", "LLC")


def generate(books: Books, *, customers: int, invoices: int, through: date, seed: int = 1) -> None:
    """Add customers and their invoices of the 180 days up to `through`, inclusive, most of them paid.

    Of the invoices about 70 % are paid in full, 10 % in part, 5 % credited, 2 % written off; some payments
    leave money on account.
    """
    random = Random(seed)  # noqa: S311  sample data, no secret
    accounts = [
        books.enter_customer(
            f"{random.choice(_WORDS)} {random.choice(_TRADES)} {number} {random.choice(_FORMS)}",
            email=f"ap{number}@example.com",
            city=random.choice(("Bremen", "Leeds", "Austin", "Lyon")),
            country=random.choice(("DE", "GB", "US", "FR")),
            terms="30",
        )
        for number in range(1, customers + 1)
    ]
    for _ in range(invoices):
        on = through - timedelta(days=random.randrange(180))
        net = Decimal(random.randrange(500, 900_000)) / 100
        taxed = random.random() < 0.6
        tax = round(net * Decimal("0.0825"), 2) if taxed else Decimal(0)
        account = random.choice(accounts)
        number = books.enter_invoice(account, net, on=on, tax=tax, tax_code="A1" if taxed else "A0", text="Goods")
        _settle(books, number, random, through)


def _settle(books: Books, number: str, random: Random, through: date) -> None:
    """What happens to one invoice afterwards, if it happens by `through`."""
    doc = books.document(number)
    on = doc.posting_date + timedelta(days=random.randrange(5, 60))
    share = random.random()
    if on > through:
        return
    if share < 0.8:
        amount = doc.amount if share < 0.7 else round(doc.amount * random.randrange(10, 90) / 100, 2)
        extra = Decimal(random.randrange(100, 5000)) / 100 if random.random() < 0.05 else Decimal(0)
        method = random.choice(("check", "wire", "ach", "card"))
        reference = f"{method.upper()} {random.randrange(10_000, 99_999)}"
        paid = {number: amount}
        books.enter_payment(doc.customer, amount + extra, on=on, applications=paid, method=method, reference=reference)
    elif share < 0.85:
        applied = {number: doc.amount}
        books.enter_credit_memo(
            doc.customer, doc.amount - doc.tax, on=on, tax=doc.tax, tax_code=doc.tax_code, applications=applied
        )
    elif share < 0.87:
        books.write_off(number, on=on)
