"""Payments and what they are applied to: the arithmetic of QuickBooks' receivables.

    UnappliedAmt = TotalAmt - charges (invoices, debit journals) + credits (credit memos, credit journals)

All line amounts are positive; a line names one document. A document's balance is its total less what payments
apply to it. `Books.applied` holds those applications, filled from the payments' lines and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from . import lists, sales, schema
from .encode import ZERO, Doc, cents, money
from .faults import Refused, business, gone, missing
from .ledger import Key
from .schema import Entity

if TYPE_CHECKING:
    from .books import Books

LINKABLE = frozenset(("Invoice", "CreditMemo", "JournalEntry", "Expense", "Check", "CreditCardCredit"))
SYSTEM_NOTE = "Created by QB Online to link credits to charges."
_NAME_VALUE = {
    "name": "{http://schema.intuit.com/finance/v3}NameValue",
    "declaredType": "com.intuit.schema.finance.v3.NameValue",
    "scope": "javax.xml.bind.JAXBElement$GlobalScope",
}
ORDER = schema.words(
    "CustomerRef DepositToAccountRef PaymentMethodRef PaymentRefNum TotalAmt UnappliedAmt ProcessPayment domain "
    "sparse Id SyncToken MetaData TxnDate CurrencyRef ExchangeRate PrivateNote LinkedTxn Line"
)


def complete(books: Books, spec: Entity, doc: Doc, old: Doc | None) -> Doc:
    """The payment as answered. Raises Refused 2020, 2500, 610, 6250, 620, 6000, 6430, 6540."""
    del spec
    done = {k: v for k, v in doc.items() if k not in {"UnappliedAmt", "PaymentType", "DocNumber", "TxnTaxDetail"}}
    if old is not None:
        refuse_deposited(books, ("Payment", old["Id"]))
        if ("Payment", old["Id"]) in books.voided:
            raise business("This transaction has been voided.")
    if "CustomerRef" not in done:
        raise missing("CustomerRef")
    if "TotalAmt" not in done:
        raise missing("TotalAmt")
    if Decimal(done["TotalAmt"]) < 0:
        raise Refused(2290, "Negative Amount", element="TotalAmt")
    done["CustomerRef"] = lists.buyer(books, done["CustomerRef"])
    done.setdefault("TxnDate", books.today().isoformat())
    done["CurrencyRef"], _ = sales.currency_of(books, done, old)
    if "PaymentMethodRef" in done:
        done["PaymentMethodRef"] = lists.reference(books, "PaymentMethod", done["PaymentMethodRef"], named=False)
    account = done.get("DepositToAccountRef", {"value": sales.UNDEPOSITED})
    done["DepositToAccountRef"] = lists.deposit_account(books, account, named=False)
    done["ProcessPayment"] = bool(done.get("ProcessPayment", False))
    done["TotalAmt"] = money(Decimal(done["TotalAmt"]), lists.places(books, done["CurrencyRef"]))
    _apply(books, done, old)
    return {k: done[k] for k in ORDER if k in done} | done


def _apply(books: Books, done: Doc, old: Doc | None) -> None:
    id = old["Id"] if old else ""
    wanted, places = done.get("Line", []), lists.places(books, done["CurrencyRef"])
    if not wanted and old is None and books.switches.auto_apply_payment_api:
        wanted = _oldest_charges(books, done["CustomerRef"]["value"], Decimal(done["TotalAmt"]), done["CurrencyRef"])
    lines, sums = [], dict[Key, Decimal]()
    for line in wanted:
        key, amount = _target(books, line, done)
        room = abs(open_amount(books, key, done["CustomerRef"]["value"])) + books.applied[key].get(id, ZERO)
        if amount > room - sums.get(key, ZERO):
            if room == 0 and books.switches.apply_to_closed_invoice == "drop_line":
                continue
            raise business("The amount applied is more than the open balance of the transaction.")
        sums[key] = sums.get(key, ZERO) + amount
        lines.append(_line(books, key, amount, room, places))
    done["Line"] = lines
    unapplied = Decimal(done["TotalAmt"]) + _net_credit(books, sums, done["CustomerRef"]["value"])
    if unapplied < 0:
        raise business("Amount Received plus credits can't be less than selected charges")
    if not done["TotalAmt"] and not lines and not wanted:
        raise business("You must set a transaction amount.")
    done["UnappliedAmt"] = money(unapplied, places)


def _target(books: Books, line: Doc, payment: Doc) -> tuple[Key, Decimal]:
    """The document a line names and the amount; refuses what may not be linked."""
    links = line.get("LinkedTxn", [])
    if len(links) != 1:
        raise Refused(620, "The Txn ID you're trying to use can't be linked.", element="LinkedTxn")
    kind, id = str(links[0].get("TxnType", "")), str(links[0].get("TxnId", ""))
    if kind not in LINKABLE:
        raise Refused(
            620, f"The Txn ID (identified by {id}) you're trying to use can't be linked.", element="LinkedTxn"
        )
    if "Amount" not in line:
        raise missing("Amount")
    amount = cents(Decimal(line["Amount"]), lists.places(books, payment["CurrencyRef"]))
    if amount <= 0:
        raise business("The amount applied must be greater than zero.")
    doc = books.doc(kind, id)
    if doc is None:
        raise gone()
    customer, other = payment["CustomerRef"]["value"], doc.get("CustomerRef", {}).get("value")
    if other is not None and root(books, other) != root(books, customer):
        raise business("The transaction you are linking belongs to another customer.")
    currency = payment["CurrencyRef"]["value"]
    if doc.get("CurrencyRef", {}).get("value", currency) != currency:
        raise business("The transaction you are linking is in another currency.")
    return (kind, id), amount


def root(books: Books, customer: str) -> str:
    """The customer at the top of the hierarchy."""
    doc = books.doc("Customer", customer) or {}
    parent = doc.get("ParentRef", {}).get("value")
    return root(books, parent) if parent else customer


def open_amount(books: Books, key: Key, customer: str) -> Decimal:
    """What is still open on a document, signed as receivables are: a credit is negative."""
    items = books.ledger.items.get(key, {})
    return items.get(customer, ZERO) if key[0] == "JournalEntry" else sum(items.values(), ZERO)


def is_credit(books: Books, key: Key, customer: str) -> bool:
    if key[0] != "JournalEntry":
        return key[0] != "Invoice"
    return books.journal_net(key[1], customer) < 0


def _net_credit(books: Books, sums: dict[Key, Decimal], customer: str) -> Decimal:
    return sum((amount if is_credit(books, key, customer) else -amount for key, amount in sums.items()), ZERO)


def _line(books: Books, key: Key, amount: Decimal, room: Decimal, places: int) -> Doc:
    number = (books.doc(*key) or {}).get("DocNumber", "")
    facts = {"txnId": key[1], "txnOpenBalance": f"{cents(room, places)}", "txnReferenceNumber": number}
    extra = [
        {
            **_NAME_VALUE,
            "value": {"Name": name, "Value": value},
            "nil": False,
            "globalScope": True,
            "typeSubstituted": False,
        }
        for name, value in facts.items()
        if value
    ]
    link = [{"TxnId": key[1], "TxnType": key[0]}]
    return {"Amount": money(amount, places), "LinkedTxn": link, "LineEx": {"any": extra}}


def _oldest_charges(books: Books, customer: str, total: Decimal, currency: Doc) -> list[Doc]:
    lines = []
    for key, amount in _open(books, customer, "Invoice", currency["value"]):
        part = min(amount, total)
        if part <= 0:
            break
        total -= part
        lines.append({"Amount": part, "LinkedTxn": [{"TxnType": key[0], "TxnId": key[1]}]})
    return lines


def _open(books: Books, customer: str, entity: str, currency: str) -> list[tuple[Key, Decimal]]:
    """Open documents of one kind, oldest first, with their open amounts (positive)."""
    found = []
    for key, amount in books.ledger.open[customer, entity].items():
        doc = books.doc(*key) or {}
        if doc["CurrencyRef"]["value"] == currency:
            found.append((doc["TxnDate"], int(key[1]), key, abs(amount)))
    return [(key, amount) for _, _, key, amount in sorted(found)]


def auto_apply(books: Books, entity: str, id: str) -> None:
    """With AutoApplyCredit on, credits meet charges at once, through a payment of nothing by QuickBooks itself."""
    if not books.prefs("SalesFormsPrefs").get("AutoApplyCredit"):
        return
    doc = books.doc(entity, id) or {}
    customer, currency = doc["CustomerRef"]["value"], doc["CurrencyRef"]["value"]
    left = Decimal(doc["Balance"])
    other = "CreditMemo" if entity == "Invoice" else "Invoice"
    lines: list[Doc] = []
    for key, amount in _open(books, customer, other, currency):
        part = min(amount, left)
        if part <= 0:
            break
        left -= part
        lines.append({"Amount": part, "LinkedTxn": [{"TxnType": key[0], "TxnId": key[1]}]})
    if not lines:
        return
    whole = Decimal(doc["Balance"]) - left
    own = {"Amount": whole, "LinkedTxn": [{"TxnType": entity, "TxnId": id}]}
    lines = [*lines, own] if entity == "CreditMemo" else [own, *lines]
    dates = [
        doc["TxnDate"],
        *((books.doc(x["LinkedTxn"][0]["TxnType"], x["LinkedTxn"][0]["TxnId"]) or {})["TxnDate"] for x in lines),
    ]
    given = {
        "CustomerRef": {"value": customer},
        "TotalAmt": 0,
        "TxnDate": max(dates),
        "PrivateNote": SYSTEM_NOTE,
        "Line": lines,
    }
    with books.as_system():
        books.create(schema.ENTITIES["payment"], given)


# ---- links


def applications(doc: Doc | None) -> dict[Key, Decimal]:
    """What a stored payment applies, by document."""
    sums: dict[Key, Decimal] = {}
    for line in (doc or {}).get("Line", ()):
        for link in line.get("LinkedTxn", ()):
            key = (link["TxnType"], link["TxnId"])
            sums[key] = sums.get(key, ZERO) + Decimal(line["Amount"])
    return sums


def link(books: Books, entity: str, id: str, before: Doc | None, after: Doc | None) -> set[Key]:
    """Records the difference between two versions of a payment or deposit; the documents whose links changed."""
    if entity == "Deposit":
        _deposit(books, id, after)
        return set()
    if entity != "Payment":
        return set()
    old, new = applications(before), applications(after)
    for key in {*old, *new}:
        if key in new:
            books.applied[key][id] = new[key]
        else:
            books.applied[key].pop(id, None)
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}


def _deposit(books: Books, id: str, after: Doc | None) -> None:
    for key in [k for k, v in books.deposited.items() if v == id]:
        del books.deposited[key]
    for line in (after or {}).get("Line", ()):
        for linked in line.get("LinkedTxn", ()):
            books.deposited[linked["TxnType"], linked["TxnId"]] = id


def settle(books: Books, key: Key, doc: Doc) -> Doc:
    """The document with the balance and payment links its applications give it; itself where nothing differs."""
    if key[0] not in {"Invoice", "CreditMemo"}:
        if key[0] == "JournalEntry":
            books.repost(*key)
        return doc
    paid = books.applied.get(key, {})
    open_ = Decimal(doc["TotalAmt"]) - Decimal(doc.get("Deposit", 0)) - sum(paid.values(), ZERO)
    balance = money(open_, lists.places(books, doc.get("CurrencyRef")))
    own = [x for x in doc.get("LinkedTxn", ()) if x.get("TxnType") != "Payment"]
    links = own + [{"TxnId": id, "TxnType": "Payment"} for id in paid]
    if doc.get("Balance") == balance and doc.get("LinkedTxn") == links:
        return doc
    done = {**doc, "LinkedTxn": links, "Balance": balance}
    if "ExchangeRate" in doc:
        done["HomeBalance"] = money(Decimal(balance) * Decimal(doc["ExchangeRate"]))
    if key[0] == "CreditMemo":
        done["RemainingCredit"] = balance
    return done


# ---- undoing


def refuse_deposited(books: Books, key: Key) -> None:
    if key in books.deposited:
        raise Refused(
            6540,
            "Deposited Transaction cannot be changed : This transaction has been deposited. If you want to change or "
            "delete it, you must edit the deposit it appears on and remove it first.",
            element="",
        )


def refuse_matched(books: Books, key: Key) -> None:
    if key in books.matched:
        raise Refused(
            6480,
            "Matched Transaction Delete Error : You can't delete this transaction. It's matched to another transaction "
            "that was categorized into a different financial account.",
            element="",
        )


def refuse_settled(books: Books, key: Key) -> None:
    if key in books.settled:
        raise Refused(
            6450,
            "Attempt to Void Transaction failed : Since the transaction is already settled, you can't void it.",
            element="",
        )


def before_undo(books: Books, key: Key, policy: str) -> None:
    """Before a void or delete: a deposited or matched payment refuses; an applied invoice refuses or is unlinked."""
    refuse_deposited(books, key)
    refuse_matched(books, key)
    paid = books.applied.get(key, {})
    if not paid:
        return
    if key[0] == "Invoice" and policy == "reject":
        raise business(
            "You must unlink any linked transactions associated with the invoice before deleting or voiding it."
        )
    release(books, key, sum(paid.values(), ZERO))


def shrink(books: Books, key: Key, done: Doc) -> None:
    """A document about to become smaller than what is applied to it gives the rest back to its payments."""
    if key[0] not in {"Invoice", "CreditMemo"} or not books.applied.get(key):
        return
    total = Decimal(done["TotalAmt"]) - Decimal(done.get("Deposit", 0))
    excess = sum(books.applied[key].values(), ZERO) - total
    if excess > 0:
        release(books, key, excess)


def release(books: Books, key: Key, amount: Decimal) -> None:
    """Takes `amount` of applications off a document, newest payment first. Raises Refused 6540 before any change."""
    for id in books.applied[key]:
        refuse_deposited(books, ("Payment", id))
    for id in reversed(list(books.applied[key])):
        part = min(amount, books.applied[key][id])
        if part <= 0:
            break
        amount -= part
        with books.as_system():
            _trim(books, id, key, part)


def _trim(books: Books, id: str, key: Key, part: Decimal) -> None:
    """Takes `part` of one application out of a payment, then rebalances its other side."""
    doc = books.tables["Payment"][id].doc
    customer, places = doc["CustomerRef"]["value"], lists.places(books, doc.get("CurrencyRef"))
    lines = _less(doc["Line"], {key}, part, places)
    credits = [k for k in applications(doc) if is_credit(books, k, customer)]
    if key in credits:
        short = part - Decimal(doc["UnappliedAmt"])
        charges = [k for k in applications(doc) if k not in credits]
        lines = _less(lines, charges, short, places)
    else:
        lines = _less(lines, credits, part, places)
    if not lines and not doc["TotalAmt"] and doc.get("PrivateNote") == SYSTEM_NOTE:
        books.remove("Payment", id)
        return
    sums = applications({"Line": lines})
    unapplied = Decimal(doc["TotalAmt"]) + _net_credit(books, sums, customer)
    done = {**doc, "Line": lines, "UnappliedAmt": money(unapplied, places)}
    books.store("Payment", id, books.seal(id, done, doc), "update")


def _less(lines: list[Doc], keys: Iterable[Key], amount: Decimal, places: int) -> list[Doc]:
    """The lines with `amount` less on those documents, last line first."""
    wanted, kept = set(keys), []
    for line in reversed(lines):
        link = line["LinkedTxn"][0]
        if amount > 0 and (link["TxnType"], link["TxnId"]) in wanted:
            part = min(amount, Decimal(line["Amount"]))
            amount -= part
            rest = Decimal(line["Amount"]) - part
            if rest:
                kept.append({**line, "Amount": money(rest, places)})
        else:
            kept.append(line)
    return kept[::-1]
