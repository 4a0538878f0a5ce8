"""What must hold, read from the books themselves and never asked of tieout: its own list only excuses what it names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.torture.world import LATE, Ran, World

D = Decimal
ZERO = D(0)
KINDS = {"RV": "invoice", "DR": "invoice", "DG": "credit", "DZ": "payment"}
Ledger = dict[str, list[tuple[str, Decimal, Decimal]]]


@dataclass
class Losses:
    """Every one must stay empty; what stands in one says which document of which side."""

    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    unexplained: Decimal = ZERO
    noisy: list[str] = field(default_factory=list)
    audit: list[str] = field(default_factory=list)
    leased: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.doubled
            or self.lost
            or self.silent
            or self.unexplained
            or self.noisy
            or self.audit
            or self.leased
            or self.other
        )


def erp_ledger(world: World) -> Ledger:
    """Reference → (kind, amount, open) of every standing document of the ERP."""
    books, found = world.erp.books, dict[str, list[tuple[str, Decimal, Decimal]]]()
    left = books.balances(LATE)
    for d in books.documents.values():
        if d.reversed_on is None and d.type in KINDS:
            found.setdefault(d.reference, []).append((KINDS[d.type], d.amount, left.get(d.number, ZERO)))
    return found


def quickbooks_ledger(world: World) -> Ledger:
    """The same of QuickBooks; a voided document stands at zero there, and a payment of credits alone, too."""
    found: Ledger = {}
    for entity, kind, number, rest in (
        ("Invoice", "invoice", "DocNumber", "Balance"),
        ("CreditMemo", "credit", "DocNumber", "RemainingCredit"),
        ("Payment", "payment", "PaymentRefNum", "UnappliedAmt"),
    ):
        for doc in world.site.books.all(entity):
            total = D(doc["TotalAmt"])
            if total:
                left = D(doc.get(rest, doc.get("Balance", 0)))
                found.setdefault(str(doc.get(number, "")), []).append((kind, total, left))
    return found


def doubled(world: World) -> list[str]:
    """What stands more than once on one side: a document by its reference, a customer by its name, a mark of ours."""
    out = []
    for side, ledger in (("erp", erp_ledger(world)), ("quickbooks", quickbooks_ledger(world))):
        out += [f"{side} {number}: {len(them)}" for number, them in ledger.items() if len(them) > 1]
    names = Counter(c.name for c in world.erp.books.customers.values())
    names += Counter(f"{c['DisplayName']} (QuickBooks)" for c in world.site.books.all("Customer"))
    out += [f"customer {name}: {n}" for name, n in names.items() if n > 1]
    things = [*world.erp.books.documents.values(), *world.erp.books.customers.values()]
    marks = Counter(x.our_reference for x in things if x.our_reference)
    made = Counter(
        e.note for e in world.site.books.effects if e.op == "create" and e.by == "api" and "tieout" in e.note
    )
    out += [f"mark {mark}: {n}" for mark, n in (marks + made).items() if n > 1]
    return out


def listed(world: World) -> tuple[set[str], list[Any]]:
    """The words of everything that is on the list of differences: what it names is not silent."""
    ran = world.run("discrepancies", "list", "--json")
    rows = (ran.said or {}).get("discrepancies", [])
    return {word for row in rows for word in str(row).replace("'", " ").replace(",", " ").split()}, rows


def _paid(world: World, named: set[str]) -> defaultdict[str, Decimal]:
    """What the documents of the ERP that the list names are applied to, by the reference of the invoice."""
    documents, paid = world.erp.books.documents, defaultdict[str, Decimal](Decimal)
    for d in documents.values():
        for a in d.applications if d.reference in named and d.reversed_on is None else ():
            paid[documents[a.invoice].reference] += a.amount if a.stands(LATE) else ZERO
    return paid


def _paid_there(world: World, named: set[str]) -> defaultdict[str, Decimal]:
    """The same of QuickBooks."""
    numbers = {i["Id"]: str(i.get("DocNumber", "")) for i in world.site.books.all("Invoice")}
    paid = defaultdict[str, Decimal](Decimal)
    for payment in world.site.books.all("Payment"):
        for line in payment.get("Line", ()) if payment.get("PaymentRefNum") in named else ():
            for to in line.get("LinkedTxn", ()):
                if to["TxnType"] == "Invoice":
                    paid[numbers[to["TxnId"]]] += D(line["Amount"])
    return paid


def _unpaid(ledger: Ledger, paid: Mapping[str, Decimal]) -> Ledger:
    """The ledger as it were without that money."""
    return {
        n: [(k, a, left + paid.get(n, ZERO) if k == "invoice" else left) for k, a, left in them]
        for n, them in ledger.items()
    }


def settled(world: World, ran: Ran, losses: Losses) -> None:
    """After a quiet run: both books hold the same, or the list says what they do not."""
    ours, theirs = erp_ledger(world), quickbooks_ledger(world)
    named, rows = listed(world)
    losses.doubled += doubled(world)
    for number, (kind, amount) in world.people.born.items():
        own, other = (ours, theirs) if number.startswith("E") else (theirs, ours)
        if not any((k, a) == (kind, amount) for k, a, _ in own.get(number, [])):
            losses.lost.append(f"{number} is not as it was entered: {own.get(number)}")
        elif number not in other and number not in named:
            losses.lost.append(f"{number} never arrived, and the list does not say so")
    beside = _unpaid(ours, _paid(world, named)), _unpaid(theirs, _paid_there(world, named))
    for number in ours.keys() | theirs.keys():
        # What is open of an invoice may differ by the money that the list names, and by nothing else.
        apart = number in ours and number in theirs and ours[number] != theirs[number]
        if apart and beside[0][number] != beside[1][number] and number not in named:
            told = sorted({(row["code"], row["left_label"] or row["right_label"]) for row in rows})
            losses.silent.append(f"{number}: {ours[number]} and {theirs[number]}; listed: {told[:20]}")
        elif number not in world.people.born and number not in named:
            losses.silent.append(
                f"{number} stands, and nobody entered it, or it was cancelled: {ours.get(number)}, {theirs.get(number)}"
            )
    for name in world.people.names:
        sides = (
            any(c.name == name for c in world.erp.books.customers.values()),
            any(c["DisplayName"] == name for c in world.site.books.all("Customer")),
        )
        if not all(sides) and not set(name.split()) <= named:
            losses.lost.append(f"customer {name}")
    left = world.erp.books.receivables(LATE).get("USD", ZERO)
    right = sum((D(c["Balance"]) for c in world.site.books.all("Customer")), ZERO)
    bridge = ran.run.get("bridge", {}).get("USD")
    if bridge is None:
        losses.other.append("the quiet run shows no bridge")
    else:
        told = D(bridge["right_total"]) - D(bridge["left_total"])
        losses.unexplained += abs(right - left - told) + abs(D(bridge["remainder"])) + abs(D(bridge["unconfirmed"]))
    world.listed.update(str(row.get("code")) for row in rows)
    losses.audit += world.audit()
