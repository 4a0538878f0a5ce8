"""What a write must pass besides its entity's rules: subscription, closed periods, document numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import schema
from .encode import Doc
from .faults import Refused
from .schema import Entity

if TYPE_CHECKING:
    from .books import Books


def writable(books: Books) -> None:
    """Raises Refused 6190 where the subscription has ended: such a company is read-only."""
    if books.switches.subscription == "expired":
        why = "Subscription period has ended or canceled or there was a billing problem."
        raise Refused(6190, f"Invalid Company Status : {why}", element="")


def permitted(books: Books, spec: Entity, *, writes: bool) -> None:
    """Raises Refused 5020 where whoever signed in may not use the feature."""
    user = books.switches.user
    if (user == "no_payments" and spec.name == "Payment") or (user == "view_only" and writes):
        detail = "Permission Denied Error : You don't have permissions to access this feature"
        raise Refused(5020, detail, element="")


def settled(books: Books, spec: Entity, doc: Doc, old: Doc) -> None:
    """Raises Refused 6220 where a customer with a balance is made inactive, if the switch says so."""
    ended = spec.name == "Customer" and old.get("Active") is not False and doc.get("Active") is False
    if ended and books.switches.inactivate_with_balance == "reject" and books.ledger.customers.get(old["Id"]):
        detail = "Delete Entity Has Balance Error : The object or entity you're trying to delete has an open balance."
        raise Refused(6220, detail, element="")


def check_period(books: Books, spec: Entity, *docs: Doc) -> None:
    """Raises Refused 6200 or 6210 (a switch) when a transaction is dated on or before the closing date."""
    closed = books.prefs("AccountingInfoPrefs").get("BookCloseDate", "")
    if spec.kind == "txn" and closed and any(d.get("TxnDate", "9999") <= closed for d in docs):
        detail = (
            "Account Period Closed, Cannot Update Through Services API : The account period has closed and the "
            "account books cannot be updated through the QBO Services API. "
            "Please use the QBO website to make these changes."
        )
        raise Refused(int(books.switches.book_close_code), detail, element="")


def number(books: Books, spec: Entity, doc: Doc, old: Doc | None, allow_duplicate: bool) -> None:
    """Gives a new sales form its number (in place), or refuses one in use by its kind (6140)."""
    if spec.name not in schema.SALES:
        return
    custom = bool(books.prefs("SalesFormsPrefs").get("CustomTxnNumbers"))
    series = "sales" if spec.name in schema.NUMBERED else spec.name
    given = doc.get("DocNumber", "")
    if not given:
        if old is None and not custom:
            books.series[series] += 1
            doc["DocNumber"] = str(books.series[series])
        return
    holders = [id for id in books.numbers[spec.name, given] if old is None or id != old["Id"]]
    if holders and custom and books.switches.warn_duplicates and not allow_duplicate:
        detail = (
            "Duplicate Document Number Error : You must specify a different number. This number has already "
            f"been used. DocNumber={given} is assigned to TxnType={spec.name} with TxnId={holders[0]}"
        )
        raise Refused(6140, detail, element="")
    if given.isascii() and given.isdecimal() and len(given) < 9 and not custom:
        books.series[series] = max(books.series[series], int(given))
