"""What a side's system states itself, in total and of each customer, beside what its documents add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tieout.mapping.control import of_now, own_documents
from tieout.model import ZERO, ControlBalance, Customer, tidy
from tieout.plaintext import counted
from tieout.reports import layout
from tieout.reports.frame import Cell, Column, Proof, Table
from tieout.reports.ledger import Party, Subledger


@dataclass(frozen=True, slots=True)
class Tie:
    """A figure that the system states itself.

    documents: what its documents add up to; None where it cannot be told which they are
    on_day: the same, of what is dated up to the day; another sum where the figure is of now and counts later documents
    """

    balance: ControlBalance
    documents: Decimal | None
    on_day: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """What the documents do not show of the stated figure: stated − documents."""
        return None if self.documents is None else self.balance.amount - self.documents


def ties(side: Subledger, as_of: date) -> list[Tie]:
    """Each figure that the side's system states for the day, with its documents; by currency, account, report."""
    stated = [b for b in side.books.controls if b.as_of == as_of]
    found = []
    for b in sorted(stated, key=lambda b: (b.currency, b.account, b.report)):
        own = own_documents(b, stated, side.documents)
        if own is None:
            found.append(Tie(b, None, None))
            continue
        moves = [e for r in own for e in side.moves(r)]
        on_day, whole = (tidy(sum((e.amount for e in moves if e.on <= day), ZERO)) for day in (as_of, date.max))
        found.append(Tie(b, whole if of_now(b, on_day, whole) else on_day, on_day))
    return found


def proofs(side: Subledger, as_of: date) -> Iterator[Proof]:
    """The documents of an account against what the system's own report states for it."""
    found = ties(side, as_of)
    if not found:
        yield Proof(f"{side.name}: it states no total of its own for {as_of}", None, None, None)
    for tie in found:
        b, later = tie.balance, tie.documents != tie.on_day
        claim = f"{side.name}: documents add up to {b.report}, account {b.account}, {b.currency}"
        if tie.documents is None:
            yield Proof(f"{claim} (which documents it is about cannot be told)", None, b.amount, None, b.currency)
        else:
            claim += ", whatever their date" if later else ""
            yield Proof(claim, tie.documents, tidy(b.amount), not tie.difference, b.currency)


# ── of each customer ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Owed:
    """What the system itself says that a customer owes, which it says of now, beside the customer's documents.

    currency: "" where neither the customer nor a document names one
    on_day, later: what its documents add up to on the day, and what those dated after it add
    stated: None where the system states none · tellable: False where a sum in one currency cannot be held against it
    """

    party: Party
    currency: str
    on_day: Decimal
    later: Decimal
    stated: Decimal | None
    tellable: bool = True

    @property
    def difference(self) -> Decimal | None:
        """What the documents do not show of it: stated − documents, whatever their date."""
        if self.stated is None or not self.tellable:
            return None
        return self.stated - self.on_day - self.later


def owed(side: Subledger, as_of: date) -> list[Owed]:
    """Each customer that owes anything or of whom a balance is stated, by currency; none where none is stated.

    Those that differ come first, then by name. A balance is of now, so that it is held against documents of all days.
    """
    if not any(states(side, c) for c in side.customers.values()):
        return []
    sums: dict[str, dict[str, list[Decimal]]] = defaultdict(lambda: defaultdict(lambda: [ZERO, ZERO]))
    for n, day in enumerate((as_of, date.max)):
        for item in side.items(day):
            sums[item.party.id][item.currency][n] += item.amount
    found = [o for id in {*side.customers, *sums} for o in _of(side, id, sums[id])]
    return sorted(found, key=lambda o: (o.currency, not o.difference, o.party.order, o.party.id))


def states(side: Subledger, customer: Customer) -> bool:
    """Whether the system states a balance of the customer that can be of the same moment as the documents."""
    return side.books.known is None and customer.reported_balance is not None


def _of(side: Subledger, id: str, sums: dict[str, list[Decimal]]) -> Iterator[Owed]:
    """The customer once for each currency; a balance is stated in one."""
    party, customer = side.party(id), side.customers.get(id)
    told = customer.reported_balance if customer and states(side, customer) else None
    now = [c for c, (_, whole) in sums.items() if whole]
    own = customer.currency if customer else None
    of = own or (now[0] if len(now) == 1 else "") or (min(sums) if len(sums) == 1 else "")
    tellable = not [c for c in now if c != of]
    for currency in sorted({*sums, *([of] if told is not None else [])}):
        on_day, whole = sums.get(currency, (ZERO, ZERO))
        stated = tidy(told) if told is not None and currency == of else None
        if on_day or whole or stated is not None:
            yield Owed(party, currency, on_day, whole - on_day, stated, tellable)


def tables(sides: Sequence[Subledger], as_of: date, *, key: str = "stated") -> Iterator[Table]:
    """Of each side that states balances of its customers: each of them beside the customer's documents."""
    for n, side in enumerate(sides):
        if held := owed(side, as_of):
            title = layout.titled("What the system states of each customer", side, sides)
            yield _table(layout.keyed(key, n, sides), title, held, as_of)


def _table(key: str, title: str, held: Sequence[Owed], as_of: date) -> Table:
    columns = (
        *layout.PARTY,
        Column("on_day", f"documents on {as_of}", "money"),
        Column("later", "dated later", "money"),
        Column("stated", "stated", "money"),
        Column("difference", "difference", "money"),
        Column("result", "", width=16),
    )
    details: list[tuple[Cell, ...]] = [
        (o.party.number, o.party.name, o.currency, tidy(o.on_day), tidy(o.later), o.stated, o.difference, _result(o))
        for o in held
        if o.on_day or o.later or o.stated
    ]
    note = (
        "The balance that the system itself states of a customer is of when it was read: it is held against all "
        "documents, those dated later among them. Difference: stated less documents, where a balance is stated."
    )
    settled = len(held) - len(details)
    note += f" {settled:,} that owe nothing, as the system says, too, are left out." if settled else ""
    return Table(key, title, columns, layout.totalled(columns, details), note)


def _result(o: Owed) -> str:
    if o.stated is None:
        return "none stated"
    return "cannot be told" if o.difference is None else "differs" if o.difference else "agrees"


def customer_proofs(side: Subledger, held: Sequence[Owed], who: str = "any customer") -> Iterator[Proof]:
    """The documents of the customers against the balance that the system states of each, by currency."""
    of = [o for o in held if o.difference is not None]
    if not of:
        claim = f"no balance that it states of {who} is available"
        if side.books.known is not None:
            claim += " as known then: it may be older than the documents"
        elif any(o.stated for o in held):
            claim = f"what it states of {who} is of one currency, its documents of several"
        yield Proof(f"{side.name}: {claim}", None, None, None)
    for currency in sorted({o.currency for o in of}):
        own = [o for o in of if o.currency == currency]
        bad = sum(bool(o.difference) for o in own)
        ours = sum((o.on_day + o.later for o in own), ZERO)
        theirs = sum((o.stated or ZERO for o in own), ZERO)
        silent = sum(o.difference is None and o.currency == currency for o in held)
        yield Proof(_claim(side, own, bad, silent), tidy(ours), tidy(theirs), not bad, currency)


def _claim(side: Subledger, own: Sequence[Owed], bad: int, silent: int) -> str:
    currency = own[0].currency or "no currency that is named"
    many = counted(len(own), "customer")
    later = ", whatever their date" if any(o.later for o in own) else ""
    claim = f"{side.name}: the documents of {many} in {currency} add up to the balance that it states of each{later}"
    claim += f"; {bad:,} {'differs' if bad == 1 else 'differ'}" if bad else ""
    return claim + (f"; of {silent:,} more it cannot be told" if silent else "")
