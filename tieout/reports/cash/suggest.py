"""Which open invoices a payment's unapplied money settles, by what the records show. Nothing is ever applied by it.

Rules, in this order; a later one is asked only where the earlier ones found nothing:
  named     the reference or memo names the documents, or the purchase order of some (`remittance.named`); credit memos
            that it names are taken off
  amount    one invoice has exactly this amount open
  discount  one invoice has it open, less the discount of the customer's terms, paid in time
  account   everything open on the account adds up to it, open credit memos taken off or not
  subset    a set of several invoices adds up to it; the search is bounded by `Caps`

What is named is spoken for before amounts are looked at. By amount alone the payment's own account is asked first (its
customer, and its payer), then the family; invoices issued after the money came are left out. What fits in several ways
is ambiguous, and all the ways are given. Age is evidence of nothing: no rule takes the oldest first. Where the fits of
several payments need more than an invoice has open, none of them is suggested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Literal

from tieout.compare.result import money
from tieout.mapping.balances import Key
from tieout.model import ZERO, CreditMemo, Entity, Invoice, Payment
from tieout.plaintext import counted
from tieout.reports.cash.paying import Day, by_due
from tieout.reports.cash.remittance import Named, Numbers, discount, named, numbers
from tieout.reports.cash.subsets import Caps, subsets
from tieout.reports.ledger import number_of

Billed = Invoice | CreditMemo
Verdict = Literal["suggested", "ambiguous", "ask", "none"]


@dataclass(frozen=True, slots=True)
class Line:
    """A share of the money. open, amount: of an invoice positive, of a credit memo that is used with it negative

    discount: what the terms let the payer keep of this invoice; it stays open until somebody books it
    """

    document: Billed
    open: Decimal
    amount: Decimal
    discount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Fit:
    """One way in which the money may be meant. evidence: what the records show for it, for people"""

    rule: str
    lines: tuple[Line, ...]
    evidence: str

    @property
    def amount(self) -> Decimal:
        return sum((line.amount for line in self.lines), ZERO)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the records say of one payment. unapplied: positive, in the payment's currency

    suggested: one fit · ambiguous: several fits, or one that another payment has, too · ask: the text does not agree
    with the books · none: nothing fits · why: for all but `suggested`
    """

    payment: Payment
    unapplied: Decimal
    verdict: Verdict
    fits: tuple[Fit, ...]
    why: str = ""


def suggest(side: Day, caps: Caps) -> list[Suggestion]:
    """One entry for each payment with unapplied money, by date of receipt and id."""
    desk = _Desk(side, caps)
    money = sorted(
        ((d, -side.open[k]) for k, d in side.documents.items() if isinstance(d, Payment) and side.open[k] < 0),
        key=lambda m: (m[0].received, m[0].ref.id),
    )
    by_text = _uncontested([desk.by_text(p, amount) for p, amount in money], desk.room)
    spoken: dict[Key, Payment] = {}
    for s in by_text:
        for line in (line for fit in s.fits for line in fit.lines):
            if s.verdict == "suggested":
                desk.room[_key(line.document)] -= line.amount
            else:
                spoken[_key(line.document)] = s.payment
    rest = [desk.by_amount(s.payment, s.unapplied) for s in by_text if s.verdict == "none"]
    by_amount = {s.payment.ref.id: _spoken_for(s, spoken) for s in _uncontested(rest, desk.room)}
    return [by_amount.get(s.payment.ref.id, s) for s in by_text]


def _key(document: Billed) -> Key:
    return document.entity, document.ref.id


def _uncontested(found: Sequence[Suggestion], room: Mapping[Key, Decimal]) -> list[Suggestion]:
    """The same; where several together need more of a document than it has, none of them is suggested."""
    who: dict[Key, list[tuple[Suggestion, Decimal]]] = defaultdict(list)
    for s in found:
        for line in s.fits[0].lines if s.verdict == "suggested" else ():
            who[_key(line.document)].append((s, line.amount))
    over = {key for key, by in who.items() if abs(sum((amount for _, amount in by), ZERO)) > abs(room[key])}
    return [_contested(s, who, over) for s in found]


def _contested(s: Suggestion, who: Mapping[Key, list[tuple[Suggestion, Decimal]]], over: set[Key]) -> Suggestion:
    if s.verdict != "suggested":
        return s
    clash = next((line.document for line in s.fits[0].lines if _key(line.document) in over), None)
    if clash is None:
        return s
    others = ", ".join(label(o.payment) for o, _ in who[_key(clash)] if o is not s)
    return replace(s, verdict="ambiguous", why=f"{number_of(clash)} has not enough open for this and for {others}")


def _spoken_for(s: Suggestion, spoken: Mapping[Key, Payment]) -> Suggestion:
    """The same, not suggested where it needs a document that another payment's text names and that is to be asked."""
    for line in s.fits[0].lines if s.verdict == "suggested" else ():
        if payment := spoken.get(_key(line.document)):
            why = f"{number_of(line.document)} is named by {label(payment)}, of which somebody has to ask"
            return replace(s, verdict="ambiguous", why=why)
    return s


def label(payment: Payment) -> str:
    return f"payment {payment.reference or payment.ref.number or payment.ref.id}"


class _Desk:
    """One ledger laid out by account and family. room: what is still open of each document, signed."""

    def __init__(self, side: Day, caps: Caps) -> None:
        self.side = side
        self.caps = caps
        self.tops = side.families()
        self.room: dict[Key, Decimal] = {
            k: side.open[k] for k, d in side.documents.items() if isinstance(d, Invoice | CreditMemo)
        }

    @cached_property
    def families(self) -> dict[str, list[Billed]]:
        """top: every invoice and credit memo of the family, open or not, by date and id."""
        found: dict[str, list[Billed]] = defaultdict(list)
        for d in self.side.documents.values():
            if isinstance(d, Invoice | CreditMemo):
                found[self.tops[d.customer]].append(d)
        return {top: sorted(of, key=_order) for top, of in found.items()}

    @cached_property
    def unsettled(self) -> dict[str, list[Billed]]:
        """The same, without what is settled: most of a long history."""
        return {top: [d for d in of if self.side.open[_key(d)]] for top, of in self.families.items()}

    @cached_property
    def index(self) -> dict[str, Numbers]:
        return {top: numbers(of) for top, of in self.families.items()}

    def _family(self, payment: Payment) -> list[str]:
        """The tops of the families that the payment may be for: its customer's, and that of the payer it names."""
        tops = {self.tops[payment.customer], self.tops.get(payment.payer or "", "")}
        return sorted(t for t in tops if t in self.families)

    def _open(self, payment: Payment, *, own: bool) -> list[Invoice]:
        """Invoices with room in the payment's currency, issued by the day it came: of its own account or the rest."""
        mine = {payment.customer, payment.payer}
        return [
            d
            for top in self._family(payment)
            for d in self.unsettled[top]
            if isinstance(d, Invoice)
            and d.currency == payment.currency
            and d.issued <= payment.received
            and (d.customer in mine or d.payer in mine - {None}) is own
            and self.room[_key(d)] > 0
        ]

    # ── by text ──────────────────────────────────────────────────────────────────────────────────────────────────

    def by_text(self, payment: Payment, unapplied: Decimal) -> Suggestion:
        """What the payment's own words say; `none` where they name nothing that counts."""
        said = [n for top in self._family(payment) for n in named(payment, self.index[top])]
        sure = [n for n in said if n.sure]
        for trusted in (said, sure):
            exact = self._exact(payment, unapplied, trusted)
            if exact:
                return Suggestion(payment, unapplied, "suggested", (exact,))
        return self._inexact(payment, unapplied, sure) if sure else Suggestion(payment, unapplied, "none", ())

    def _usable(self, n: Named, payment: Payment) -> list[Billed]:
        """The documents of a name that have something open in the payment's currency."""
        return [d for d in n.documents if d.currency == payment.currency and self._has_room(d)]

    def _has_room(self, document: Billed) -> bool:
        return self.room[_key(document)] * (1 if isinstance(document, Invoice) else -1) > 0

    def _lines(self, payment: Payment, said: Iterable[Named]) -> list[Line]:
        """A line for each open document that is named, over all that it has open; in the order of the text."""
        found = {_key(d): d for n in said for d in self._usable(n, payment)}
        return [Line(d, self.room[key], self.room[key]) for key, d in found.items()]

    def _exact(self, payment: Payment, unapplied: Decimal, said: list[Named]) -> Fit | None:
        """What is named adds up to the money, as it stands or less what the terms allow."""
        lines = self._lines(payment, said)
        if not lines or any(len(self._usable(n, payment)) > 1 and not n.together for n in said):
            return None
        words = f"the text names {_words(said)}"
        less = [self._discounted(payment, line) for line in lines]
        for kept in (lines, less):
            fit = Fit("named", tuple(kept), f"{words}; exactly the money")
            if fit.amount == unapplied and any(line.amount > 0 for line in kept):
                return replace(fit, evidence=fit.evidence + self._less(kept))
        return None

    def _inexact(self, payment: Payment, unapplied: Decimal, said: list[Named]) -> Suggestion:
        """What is surely named, where it is not exactly the money: a part, too much, or a question."""
        lines = tuple(self._lines(payment, said))
        fit = Fit("named", lines, f"the text names {_words(said)}")
        why = self._question(payment, unapplied, said, fit)
        if why:
            return Suggestion(payment, unapplied, "ask", (fit,) if lines else (), why)
        if fit.amount > unapplied:
            lines, says = (replace(lines[0], amount=unapplied),), "the money is a part of it"
        else:
            says = f"the money is {unapplied - fit.amount} more"
        return Suggestion(payment, unapplied, "suggested", (Fit("named", lines, f"{fit.evidence}; {says}"),))

    def _question(self, payment: Payment, unapplied: Decimal, said: list[Named], fit: Fit) -> str:
        """Why the text alone does not say where the money belongs; "" if it does."""
        for n in said:
            usable = self._usable(n, payment)
            if len(usable) > 1:
                return f"{n.said} is the number of {len(usable)} open documents"
            if not usable:
                return f"the text names {n.said}, of which nothing is open{self._other_currency(n, payment)}"
        if fit.amount <= 0:
            return f"the text names {_words(said)}: more credits than invoices"
        if fit.amount > unapplied and len(fit.lines) > 1:
            short = f"together {fit.amount - unapplied} more than the money"
            return f"the text names {_words(said)}, {short}; which of them is paid short is not said"
        return ""

    def _other_currency(self, n: Named, payment: Payment) -> str:
        other = sorted({d.currency for d in n.documents if d.currency != payment.currency and self._has_room(d)})
        return f" in {payment.currency}; it is open in {', '.join(other)}" if other else ""

    # ── by amount ────────────────────────────────────────────────────────────────────────────────────────────────

    def by_amount(self, payment: Payment, unapplied: Decimal) -> Suggestion:
        """What the amount alone says, of the own account first, then of the rest of the family."""
        own, family = self._open(payment, own=True), self._open(payment, own=False)
        cut = False
        for invoices, where in ((own, "the payment's account"), ([*own, *family] if family else [], "the family")):
            lines = [Line(d, self.room[_key(d)], self.room[_key(d)]) for d in invoices]
            fits, whole = self._ways(payment, unapplied, lines, where)
            cut = cut or not whole
            if fits:
                return self._verdict(payment, unapplied, fits, whole=whole)
        return Suggestion(payment, unapplied, "none", (), self._nothing(unapplied, [*own, *family], cut=cut))

    def _verdict(self, payment: Payment, unapplied: Decimal, fits: list[Fit], *, whole: bool) -> Suggestion:
        if len(fits) == 1 and whole:
            return Suggestion(payment, unapplied, "suggested", tuple(fits))
        why = f"{len(fits)} ways fit equally well" if whole else "more ways may fit than these"
        return Suggestion(payment, unapplied, "ambiguous", tuple(fits), why)

    def _ways(self, payment: Payment, unapplied: Decimal, lines: list[Line], where: str) -> tuple[list[Fit], bool]:
        """The fits of the first rule that has any, and whether there can be no other of it."""
        netted = [self._discounted(payment, line) for line in lines]
        one = [("amount", line) for line in lines if line.amount == unapplied] or [
            ("discount", line) for line in netted if line.discount and line.amount == unapplied
        ]
        if one:
            how_many = "the only one" if len(one) == 1 else f"one of {len(one)}"
            said = f"{how_many} of {where} that is open with this amount"
            return [Fit(rule, (n,), f"{said}{self._less((n,))}") for rule, n in one], True
        every = self._account(payment, unapplied, lines, where)
        sums, whole = self._subsets(unapplied, lines, where)
        if any(n.discount for n in netted):
            more, all_seen = self._subsets(unapplied, netted, where)
            sums += [f for f in more if any(line.discount for line in f.lines)]
            whole = whole and all_seen
        everything = {frozenset(_key(line.document) for line in f.lines) for f in every}
        sums = [f for f in sums if frozenset(_key(line.document) for line in f.lines) not in everything]
        # Without credits, all that is open is more than any part of it: there is no other set to be tried.
        return [*every, *sums], whole or any(_no_credits(f) for f in every)

    def _account(self, payment: Payment, unapplied: Decimal, lines: list[Line], where: str) -> list[Fit]:
        """Everything open, with or without the credit memos: beyond what a bounded search of sets can reach."""
        if len(lines) < 2:
            return []
        accounts = {line.document.customer for line in lines}
        credits = [
            Line(d, self.room[_key(d)], self.room[_key(d)])
            for top in self._family(payment)
            for d in self.unsettled[top]
            if isinstance(d, CreditMemo)
            and d.customer in accounts
            and d.currency == payment.currency
            and self._has_room(d)
        ]
        ways = [
            (lines, f"everything that is open on {where}: {counted(len(lines), 'invoice')}"),
            (
                [*lines, *credits],
                f"everything that is open on {where}, {counted(len(credits), 'credit memo')} taken off",
            ),
        ]
        fits = [Fit("account", tuple(kept), said) for kept, said in ways[: 2 if credits else 1]]
        return [f for f in fits if f.amount == unapplied]

    def _subsets(self, unapplied: Decimal, lines: list[Line], where: str) -> tuple[list[Fit], bool]:
        found = subsets([line.amount for line in lines], unapplied, self.caps)
        fits = []
        for answer in found.answers:
            kept = tuple(lines[i] for i in answer)
            fits.append(Fit("subset", kept, f"{len(kept)} invoices of {where} add up to it{self._less(kept)}"))
        return fits, found.whole

    def _discounted(self, payment: Payment, line: Line) -> Line:
        """The line less the discount that the terms grant, if the invoice is untouched and the money came in time."""
        d = line.document
        if not isinstance(d, Invoice) or line.open != d.total:
            return line
        granted = discount(self._of_customer(d), d)
        if granted is None or payment.received > granted.last:
            return line
        kept = granted.of(d.total, d.currency)
        return replace(line, amount=line.open - kept, discount=kept)

    def _of_customer(self, document: Billed) -> str | None:
        """The terms of the document's customer."""
        customer = self.side.customer(document.customer)
        return customer.terms if customer else None

    def _less(self, lines: Iterable[Line]) -> str:
        """`, less … discount by terms …` where the lines have any."""
        taken = [line for line in lines if line.discount]
        total = sum((line.discount for line in taken), ZERO)
        terms = sorted({self._of_customer(line.document) or "" for line in taken})
        return (
            f", less {money(total, taken[0].document.currency)} discount by terms {' and '.join(terms)}"
            if taken
            else ""
        )

    def _nothing(self, unapplied: Decimal, invoices: list[Invoice], *, cut: bool) -> str:
        total = sum((self.room[_key(d)] for d in invoices), ZERO)
        if not invoices:
            return "no invoice of the account or its family is open in this currency and was issued by then"
        many = counted(len(invoices), "invoice")
        if unapplied > total:
            more = money(unapplied - total, invoices[0].currency)
            return f"the money is {more} more than everything that is open ({many})"
        tried = "; there are more sets than were tried" if cut else ""
        return (
            f"no open invoice and no set of them has this amount ({many}, {money(total, invoices[0].currency)}){tried}"
        )


def _no_credits(fit: Fit) -> bool:
    return all(line.amount > 0 for line in fit.lines)


def _words(said: Iterable[Named]) -> str:
    return ", ".join(n.said for n in said)


def _order(document: Billed) -> tuple[object, ...]:
    if isinstance(document, Invoice):
        return (*by_due(document), Entity.INVOICE)
    return document.issued, document.issued, document.ref.id, Entity.CREDIT_MEMO
