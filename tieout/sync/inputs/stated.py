"""Settlements that a source states without showing the payment: when they count, and which payment they are.

An export may say only that an invoice was settled, and when. The connector makes a payment of that, marked
`stated_by_source`. It is never more than that statement: a real payment of the same ledger takes its place, a payment
of the other ledger that settles the same invoice *is* it, and where the other ledger shows something else against
that invoice, or money that may be it, nothing is created on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from tieout.model import ZERO, CreditMemo, Entity, Existence, Payment, PostingState
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, canonical, digest
from tieout.sync.inputs.links import Link
from tieout.sync.pair import Pair
from tieout.sync.state.book import Book, Held, Key
from tieout.sync.store import Tx, loads

NEAR = timedelta(days=31)
# (customer's subject, amount, currency)
Money = tuple[str, Decimal, str]
_SIDES: tuple[tuple[Which, Which], ...] = ((LEFT, RIGHT), (RIGHT, LEFT))


def is_stated(one: Held) -> bool:
    return isinstance(one.record, Payment) and one.record.stated_by_source


def shadow(book: Book) -> None:
    """Take out of the book what real records of it show by now. Their existence is unknown: nothing follows from it."""
    if not book.stated:
        return
    applied = book.paid()
    book.held.bring(book.stated)
    for key in sorted(book.stated):
        one = book.held[key]
        if one.existence is Existence.LIVE and applied & _standing(one).keys():
            book.held[key] = replace(one, existence=Existence.UNKNOWN)


def _standing(one: Held) -> dict[str, Decimal]:
    """{invoice: amount in its currency} of the applications of a posted payment or credit memo that stand."""
    record = one.record
    out: dict[str, Decimal] = {}
    if isinstance(record, Payment | CreditMemo) and record.state is PostingState.POSTED:
        for a in record.applications:
            if a.reversed_on is None:
                out[a.invoice] = out.get(a.invoice, ZERO) + a.amount_invoice
    return out


def _whole(one: Held) -> tuple[str, Decimal, str] | None:
    """(invoice, amount, currency) of a payment that does nothing but settle one invoice with all its money."""
    record = one.record
    standing = _standing(one)
    if not isinstance(record, Payment) or record.credits or len(standing) != 1:
        return None
    [(invoice, amount)] = standing.items()
    return (invoice, amount, record.currency) if amount == record.amount else None


def _unapplied(one: Held) -> bool:
    """Whether it is real money nothing of which is applied."""
    record = one.record
    if not isinstance(record, Payment) or record.stated_by_source or record.state is not PostingState.POSTED:
        return False
    return bool(record.amount) and not _standing(one)


def _near(one: Held, another: Held) -> bool:
    assert isinstance(one.record, Payment)
    assert isinstance(another.record, Payment)
    return abs(one.record.posted - another.record.posted) <= NEAR


@dataclass(slots=True)
class Stated:
    """The stated settlements of both books, and what each ledger shows against the same invoices."""

    books: Mapping[Which, Book]
    pair: Pair
    by_invoice: dict[Which, dict[str, Held]] = field(default_factory=dict)
    alike: dict[Which, dict[Money, list[Held]]] = field(default_factory=dict)
    loose: dict[Which, dict[Money, list[Held]]] = field(default_factory=dict)
    room: dict[Which, dict[str, Decimal]] = field(default_factory=dict)

    @classmethod
    def of(cls, books: Mapping[Which, Book], pair: Pair) -> Stated:
        """The settlements that either side states, and the payments of the other that each may be."""
        found = cls(books, pair)
        for which, book in books.items():
            book.held.bring(book.stated)
            stated = [book.held[key] for key in sorted(book.stated) if book.stands(key)]
            found.by_invoice[which] = {i: one for one in stated for i in _standing(one)}
            alike = found.alike.setdefault(which, {})
            for one in stated:
                alike.setdefault(found._money(which, one), []).append(one)
        if not any(found.by_invoice.values()):
            return found
        for which, book in books.items():
            found.room[which] = book.room()
            loose = found.loose.setdefault(which, {})
            for one in book.live():
                if _unapplied(one):
                    loose.setdefault(found._money(which, one), []).append(one)
        return found

    def __bool__(self) -> bool:
        return any(self.by_invoice.values())

    def _money(self, which: Which, one: Held) -> Money:
        record = one.record
        assert isinstance(record, Payment)
        customer = self.books[which].subjects.get((Entity.CUSTOMER, record.customer), "")
        return customer, record.amount, record.currency

    def linked(self, which: Which, one: Held) -> bool:
        """Whether the other book holds the same record."""
        other = self.books[RIGHT if which == LEFT else LEFT]
        return self.books[which].subjects.get((one.entity, one.id), "") in other.natives

    def counterpart(self, which: Which, invoice: str) -> str | None:
        """The other ledger's id of an invoice of this one."""
        subject = self.books[which].subjects.get((Entity.INVOICE, invoice), "")
        return self.books[RIGHT if which == LEFT else LEFT].natives.get(subject)

    # ── what is planned ──────────────────────────────────────────────────────────────────────────────────────────

    def creatable(self, which: Which, one: Held) -> bool:
        """Whether a stated settlement may become a payment on the other side: the policy says so, its invoice is
        wholly open there or not there yet, and no money on account there may be it.
        """
        record = one.record
        assert isinstance(record, Payment)
        if not self.pair.creates_stated or (self.pair.cutover and record.posted < self.pair.cutover):
            return False
        other: Which = RIGHT if which == LEFT else LEFT
        for invoice, amount in _standing(one).items():
            there = self.counterpart(which, invoice)
            if there is not None and self.room[other].get(there, ZERO) < amount:
                return False
        return not self._may_be(which, one)

    def _may_be(self, which: Which, one: Held) -> list[Held]:
        """Unapplied payments of the other ledger that could be this stated one: customer, amount, a month at most."""
        other: Which = RIGHT if which == LEFT else LEFT
        found = self.loose[other].get(self._money(which, one), ())
        return [h for h in found if _near(h, one) and not self.linked(other, h)]

    def counts(self, which: Which, one: Held) -> bool:
        """Whether the comparison takes a stated settlement as a payment, rather than by its invoice's date."""
        return self.linked(which, one) or self.creatable(which, one)

    def why_not(self, which: Which, one: Held) -> tuple[str, str] | None:
        """Code and cause that keep a one-sided record from the other side because a settlement is stated there (or
        was carried here already); None if none does, both empty where the comparison says it of the invoice.
        """
        if is_stated(one):
            return None if self.creatable(which, one) else ("", "")
        other: Which = RIGHT if which == LEFT else LEFT
        there = self.by_invoice[other]
        for invoice in _standing(one):
            twin = there.get(self.counterpart(which, invoice) or "")
            if twin is not None:
                return "PAID_VS_OPEN", self._says(other, twin)
        if not there or not _unapplied(one):
            return None
        for twin in self.alike[other].get(self._money(which, one), ()):
            if _near(twin, one):
                if self.linked(other, twin):
                    return "PAYMENT_DUPLICATED", f"{self._says(other, twin)}; it is a payment here already"
                return "PAID_VS_OPEN", f"{self._says(other, twin)}; this may be that payment, not applied"
        return None

    def _says(self, which: Which, one: Held) -> str:
        record = one.record
        assert isinstance(record, Payment)
        book = self.books[which]
        numbers = [book.held[(Entity.INVOICE, i)].number or i for i in _standing(one)]
        return (
            f"stated_settlement: {book.connection} says that {', '.join(numbers)} was settled on {record.posted}, "
            "and shows no payment"
        )

    # ── which payment it is ──────────────────────────────────────────────────────────────────────────────────────

    def links(self) -> Iterator[Link]:
        """Each unlinked stated settlement with the only payment of the other ledger that settles the same invoice."""
        for which, other in _SIDES:
            if not self.by_invoice[which]:
                continue
            paid: dict[tuple[str, Decimal, str], list[Held]] = {}
            for one in self.books[other].live():
                whole = _whole(one)
                if whole is not None and not self.linked(other, one):
                    paid.setdefault(whole, []).append(one)
            for invoice, one in self.by_invoice[which].items():
                record = one.record
                assert isinstance(record, Payment)
                there = self.counterpart(which, invoice)
                if there is None or self.linked(which, one):
                    continue
                found = paid.get((there, record.amount, record.currency), ())
                if len(found) == 1:
                    ids: dict[Which, str] = {which: one.id, other: found[0].id}
                    evidence = {"invoice": invoice, "settled_on": record.posted.isoformat()}
                    yield Link(Entity.PAYMENT, ids[LEFT], ids[RIGHT], "settles the same invoice", evidence)


@dataclass(frozen=True, slots=True)
class Takeover:
    """A real payment that takes the place of a stated settlement of its own ledger."""

    subject: str
    stated: str
    real: str


def takeovers(book: Book, other: Book) -> list[Takeover]:
    """Stated settlements that the other ledger knows and that one real payment of this one now shows.

    It must settle the same invoice with the same amount, and be the only one; else nothing is decided here.
    """
    shadowed = {
        whole: one.id
        for one in map(book.held.__getitem__, sorted(book.stated))
        if one.existence is not Existence.LIVE
        and book.subjects.get((one.entity, one.id), "") in other.natives
        and (whole := _whole(one)) is not None
    }
    if not shadowed:
        return []
    real: dict[tuple[str, Decimal, str], list[Held]] = {}
    for one in book.live():
        whole = _whole(one)
        if (
            whole in shadowed
            and not is_stated(one)
            and book.subjects.get((one.entity, one.id), "") not in other.natives
        ):
            real.setdefault(whole, []).append(one)
    return [
        Takeover(book.subjects[(Entity.PAYMENT, id)], id, real[whole][0].id)
        for whole, id in shadowed.items()
        if len(real.get(whole, ())) == 1
    ]


def take_over(tx: Tx, pair: str, book: Book, other: Book, found: Takeover) -> None:
    """Let the real payment be the subject that the stated one was, in the state and in the book.

    What the source did not state counts as agreed on as the other side has it, so that the real facts flow there.
    """
    x, s, b = schema.xref, schema.subject, schema.base
    mine = x.c.connection == book.connection, x.c.entity == Entity.PAYMENT.value, schema.ACTIVE
    own = book.subjects[(Entity.PAYMENT, found.real)]
    tx.db.execute(x.update().where(*mine, x.c.native_id == found.stated).values(state="tombstone"))
    evidence = canonical({"stated": found.stated})
    tx.db.execute(
        x.update()
        .where(*mine, x.c.native_id == found.real)
        .values(subject=found.subject, matched_by="takes the place of a stated settlement", evidence=evidence)
    )
    if tx.one(sa.select(x.c.id).where(x.c.subject == own, schema.ACTIVE)) is None:
        tx.db.execute(s.update().where(s.c.id == own).values(state="retired"))
    bases = {r["connection"]: r for r in tx.all(sa.select(b).where(b.c.pair == pair, b.c.subject == found.subject))}
    if book.connection in bases and other.connection in bases:
        facts = loads(bases[other.connection]["facts"]) | loads(bases[book.connection]["facts"])
        where = b.c.pair == pair, b.c.subject == found.subject, b.c.connection == book.connection
        tx.db.execute(b.update().where(*where).values(facts=canonical(facts), quiet_hash=None))
        tx.audit("agreed", "base", f"{pair}/{found.subject}/{book.connection}", {"facts": digest(facts)})
    tx.audit("linked", "subject", found.subject, {"stated": found.stated, "real": found.real, "retired": own})
    keys: tuple[Key, Key] = (Entity.PAYMENT, found.stated), (Entity.PAYMENT, found.real)
    book.subjects.pop(keys[0], None)
    book.natives.pop(own, None)
    book.subjects[keys[1]] = found.subject
    book.natives[found.subject] = found.real
