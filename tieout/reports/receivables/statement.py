"""Statements of account: of each customer what was open, what moved, what is open, and how old it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tieout.compare.result import money
from tieout.mapping.balances import standing
from tieout.model import ZERO, CreditMemo, Document, Entity, Invoice, Payment, tidy
from tieout.reports import layout, ledger, sources, stated
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.ledger import Item, Party, Subledger
from tieout.reports.receivables import aging
from tieout.reports.stated import Owed

_Period = tuple[date, date]
_BASIS = aging.Basis("due", aging.BUCKETS)


@dataclass(frozen=True, slots=True)
class _Moved:
    """One movement. amount: signed, in the document's currency · what: for people"""

    on: date
    amount: Decimal
    document: Document
    what: str


@dataclass(slots=True)
class _Account:
    """One customer on one side. opening: signed, by currency"""

    party: Party | None = None
    opening: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    moved: list[_Moved] = field(default_factory=list)
    open: list[Item] = field(default_factory=list)
    stated: list[Owed] = field(default_factory=list)


def build(books: Sequence[Books], *, as_of: date, since: date, customers: Sequence[str] = ()) -> list[Report]:
    """One statement for each customer with a balance or a movement from `since` to `as_of`, both inclusive.

    customers: ids, numbers or names (upper and lower case alike); empty for all. Raises LookupError for one unknown.
    One of a single ledger that is free of doubt may go to the customer: it is `outward`.
    """
    if since > as_of:
        raise ValueError(f"the period begins on {since}, after it ends on {as_of}")
    sides = ledger.ledgers(books)
    wanted = _wanted(sides, customers)
    accounts: dict[str, list[_Account]] = {}
    for n, side in enumerate(sides):
        for key, account in _accounts(side, since, as_of, wanted).items():
            accounts.setdefault(key, [_Account() for _ in sides])[n] = account
    found = []
    for own in accounts.values():
        party = next(a.party for a in own if a.party)
        moving = any(a.moved or a.open or any(a.opening.values()) for a in own)
        if moving or wanted is not None:
            found.append((party, _statement(party, sides, own, since, as_of)))
    return [report for _, report in sorted(found, key=lambda f: f[0].order)]


def _wanted(sides: Sequence[Subledger], customers: Sequence[str]) -> frozenset[str] | None:
    """The keys of the customers that are asked for; None for all."""
    if not customers:
        return None
    found: set[str] = set()
    for told in customers:
        parties = {side.party(id) for side in sides for id in (*side.customers, *(r.customer for r in side.documents))}
        keys = {p.key for p in parties if told in (p.id, p.number) or told.casefold() == p.name.casefold()}
        if not keys:
            raise LookupError(told)
        found |= keys
    return frozenset(found)


def _accounts(side: Subledger, since: date, as_of: date, wanted: frozenset[str] | None) -> dict[str, _Account]:
    found: dict[str, _Account] = defaultdict(_Account)

    def account(party: Party) -> _Account:
        found[party.key].party = party
        return found[party.key]

    parties = {r.customer: side.party(r.customer) for r in side.documents}
    if wanted is not None:
        for party in map(side.party, side.customers):
            if party.key in wanted:
                account(party)
    for r in side.documents:
        party = parties[r.customer]
        if wanted is not None and party.key not in wanted:
            continue
        for n, e in enumerate(side.moves(r)):
            if e.on < since:
                account(party).opening[e.currency] += e.amount
            elif e.on <= as_of and e.amount:
                what = f"{ledger.kind_of(r)} voided" if n else ledger.kind_of(r)
                account(party).moved.append(_Moved(e.on, e.amount, r, what))
    for e in side.transfers():
        r = side.by_key[e.entity, e.document]
        if wanted is not None and parties[r.customer].key not in wanted:
            continue
        if e.on < since:
            account(parties[r.customer]).opening[e.currency] += e.amount
        elif e.on <= as_of:
            what = "from another account" if isinstance(r, Invoice) else "to another account"
            account(parties[r.customer]).moved.append(_Moved(e.on, e.amount, r, f"{ledger.kind_of(r)} settled {what}"))
    for item in side.items(as_of):
        if wanted is None or item.party.key in wanted:
            account(item.party).open.append(item)
    for o in stated.owed(side, as_of):
        if o.party.key in found:
            found[o.party.key].stated.append(o)
    return dict(found)


def _statement(
    party: Party, sides: Sequence[Subledger], accounts: Sequence[_Account], since: date, as_of: date
) -> Report:
    tables = []
    for n, (side, account) in enumerate(zip(sides, accounts, strict=True)):
        tables.append(_movements(n, side, sides, account, (since, as_of)))
        tables.append(_open(n, side, sides, account, as_of))
        tables.append(_ages(n, side, sides, account, as_of))
    address = next((a for side, own in zip(sides, accounts, strict=True) if (a := _address(side, own))), "")
    told = {"customer": " ".join(t for t in (party.number, party.name) if t)}
    told |= ({"address": address} if address else {}) | {"period": f"{since} to {as_of}"}
    told |= {"balance": _balance(accounts[0])} if len(sides) == 1 else {}
    proofs = tuple(p for side, own in zip(sides, accounts, strict=True) for p in _proofs(side, own, as_of))
    sound = all(p.held is not False for p in proofs) and not sources.doubtful(sides[0], as_of)
    return Report(
        name="statement",
        title=f"Statement of account: {party.name}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=tuple(tables),
        proofs=proofs,
        notes=sources.notes(sides, as_of),
        parameters=told,
        outward=len(sides) == 1 and sound,
    )


def _balance(account: _Account) -> str:
    """What is owed, or stands to the customer's credit, in each currency."""
    sums = _sums(account.open)
    return "; ".join(f"{money(abs(a), c)} {c}{' credit' * (a < 0)}" for c, a in sorted(sums.items())) or "nothing owed"


def _sums(items: Sequence[Item]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for item in items:
        sums[item.currency] += item.amount
    return sums


def _address(side: Subledger, account: _Account) -> str:
    known = side.customers.get(account.party.id) if account.party else None
    told = known.billing_address if known else None
    if told is None:
        return ""
    town = " ".join(t for t in (told.postal_code, told.city, told.region) if t)
    return ", ".join(t for t in (*told.lines, town, told.country) if t)


def _movements(n: int, side: Subledger, sides: Sequence[Subledger], account: _Account, period: _Period) -> Table:
    """Opening, each movement in order of its day with the balance after it, closing; by currency."""
    columns = (
        Column("date", "date", "date"),
        Column("kind", "kind", width=36),
        Column("document", "document", width=18),
        Column("concerns", "concerns", width=24),
        Column("due", "due", "date"),
        layout.CURRENCY,
        Column("charges", "charges", "money"),
        Column("credits", "payments and credits", "money"),
        Column("balance", "balance", "money"),
    )
    rows: list[Row] = []
    since, as_of = period
    for currency in sorted({*account.opening, *(m.document.currency for m in account.moved)}):
        balance = account.opening.get(currency, ZERO)
        opening: tuple[Cell, ...] = (since, "balance forward", "", "", None, currency, None, None, tidy(balance))
        rows.append(Row(opening, "opening"))
        first = len(rows)
        own = [m for m in account.moved if m.document.currency == currency]
        up = down = ZERO
        for m in sorted(own, key=lambda m: (m.on, -m.amount, m.document.ref.id)):
            balance += m.amount
            up, down = up + max(m.amount, ZERO), down + min(m.amount, ZERO)
            rows.append(Row(_movement(side, m, balance, as_of)))
        closing: tuple[Cell, ...] = (as_of, "balance", "", "", None, currency, tidy(up), tidy(down), tidy(balance))
        every = tuple((1, n) for n in range(first, len(rows)))
        moved = {"charges": every, "credits": every} if every else {}
        rows.append(Row(closing, "closing", formula=moved | {"balance": ((1, len(rows) - 1),)}))
    title = layout.titled("Movements", side, sides)
    return Table(layout.keyed("movements", n, sides), title, columns, tuple(rows))


def _movement(side: Subledger, m: _Moved, balance: Decimal, as_of: date) -> tuple[Cell, ...]:
    r = m.document
    due = ledger.dues(r, m.amount)[0][0] if isinstance(r, Invoice) and m.what == ledger.kind_of(r) else None
    up, down = (tidy(m.amount), None) if m.amount > 0 else (None, tidy(m.amount))
    number, concerned = ledger.number_of(r), _concerned(side, r, as_of)
    return m.on, m.what, number, concerned, due, r.currency, up, down, tidy(balance)


def _concerned(side: Subledger, r: Document, as_of: date) -> str:
    """The numbers of the invoices that it settles, as far as the source states them."""
    ids: list[str] = []
    if isinstance(r, Payment | CreditMemo):
        ids = [s.application.invoice for s in standing(r, as_of)]
        ids = ids or ([s.invoice for s in r.group.invoices] if r.group else [])
    elif not isinstance(r, Invoice):
        ids = [r.document] if r.document else []
    known = ((id, side.by_key.get((Entity.INVOICE, id))) for id in dict.fromkeys(ids))
    return ", ".join(ledger.number_of(held) if held else id for id, held in known)


def _open(n: int, side: Subledger, sides: Sequence[Subledger], account: _Account, as_of: date) -> Table:
    columns = (
        Column("document", "document", width=18),
        Column("kind", "kind", width=16),
        layout.CURRENCY,
        Column("dated", "dated", "date"),
        Column("due", "due", "date"),
        Column("days", "days past due", "days"),
        Column("remark", "remark", width=12),
        Column("open", "open", "money"),
    )
    details: list[tuple[Cell, ...]] = [
        (
            ledger.number_of(p.item.document),
            ledger.kind_of(p.item.document),
            p.item.currency,
            ledger.day_of(p.item.document),
            p.due,
            p.days if p.days is None or p.days > 0 else None,
            "in dispute" if _disputed(p.item) else "",
            tidy(p.amount),
        )
        for p in aging.parts(account.open, _BASIS, as_of)
    ]
    title = layout.titled("Open items", side, sides)
    return Table(layout.keyed("open", n, sides), title, columns, layout.totalled(columns, details))


def _disputed(item: Item) -> bool:
    """Whether it is an invoice that the customer disputes: the one thing beside the account that a statement says."""
    return isinstance(item.document, Invoice) and item.document.disputed


def _ages(n: int, side: Subledger, sides: Sequence[Subledger], account: _Account, as_of: date) -> Table:
    """One row a currency: what is open by age, and how much of it is in dispute."""
    held = list(aging.parts(account.open, _BASIS, as_of))
    shown = aging.shown(_BASIS, [held])
    columns = (
        layout.CURRENCY,
        *aging.aged(shown),
        Column("disputed", "of it in dispute", "money"),
    )
    rows = []
    for currency in sorted({p.item.currency for p in held}):
        own = [p for p in held if p.item.currency == currency]
        disputed = layout.total([p.amount for p in own if _disputed(p.item)])
        rows.append(Row((currency, *aging.group(shown, own, base=False), disputed)))
    return Table(layout.keyed("ages", n, sides), layout.titled("By age", side, sides), columns, tuple(rows))


def _proofs(side: Subledger, account: _Account, as_of: date) -> Iterator[Proof]:
    """The balance by movements against the open items, which are found another way, and what the system states."""
    items = _sums(account.open)
    moved: dict[str, Decimal] = defaultdict(lambda: ZERO, account.opening)
    for m in account.moved:
        moved[m.document.currency] += m.amount
    for currency in sorted({c for c, a in (*items.items(), *moved.items()) if a}):
        claim = f"{side.name}: the balance in {currency} on {as_of} is what the open items add up to"
        ours, theirs = tidy(moved[currency]), tidy(items[currency])
        yield Proof(claim, ours, theirs, ours == theirs, currency)
    yield from stated.customer_proofs(side, account.stated, "this customer")
