"""The report `cash-suggestions`: which open invoices the unapplied money settles, with the evidence for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tieout.mapping.balances import counts
from tieout.model import ZERO, Invoice, Payment
from tieout.reports.books import Books
from tieout.reports.cash.paying import Day, day
from tieout.reports.cash.remittance import SHORTEST, SURE
from tieout.reports.cash.subsets import Caps
from tieout.reports.cash.suggest import Fit, Suggestion, suggest
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.layout import CURRENCY, PARTY, flat, totalled
from tieout.reports.ledger import Subledger, number_of
from tieout.reports.sources import notes, proofs

RULES = {
    "named": "reference or memo names the documents, or a purchase order of theirs; spoken for first",
    "amount": "one invoice has exactly this amount open",
    "discount": "one invoice has it open, less the discount of the customer's terms, paid in time",
    "account": "everything that is open on the account adds up to it, open credit memos taken off or not",
    "subset": "several invoices add up to it, less a discount of the terms or not",
}
_VERDICTS = ("suggested", "ambiguous", "ask", "none")
_MONEY = (
    CURRENCY,
    Column("payment", "payment"),
    *PARTY[:2],
    Column("received", "received", "date"),
    Column("unapplied", "unapplied", "money"),
)
_SUGGESTED = (
    *_MONEY,
    Column("document", "settles"),
    Column("of", "of customer"),
    Column("due", "due", "date"),
    Column("open", "open", "money"),
    Column("amount", "amount", "money"),
    Column("discount", "discount", "money"),
    Column("document_left", "still open", "money", adds=("open", "-amount")),
    Column("money_left", "money left", "money"),
    Column("rule", "rule"),
    Column("evidence", "evidence", width=90),
)
_ASKED = (
    *_MONEY,
    Column("why", "why", width=100),
    Column("way", "way", "count"),
    Column("document", "document"),
    Column("of", "of customer"),
    Column("open", "open", "money"),
    Column("amount", "amount", "money"),
    Column("rule", "rule"),
    Column("evidence", "evidence", width=90),
    Column("text", "text of the payment", width=60),
)
_SUMS = ("unapplied", "open", "amount", "discount", "document_left", "money_left")
_SUMMARY = (
    CURRENCY,
    Column("payments", "payments", "count"),
    Column("unapplied", "unapplied", "money"),
    Column("suggested_payments", "suggested for", "count"),
    Column("suggested", "suggested", "money"),
    Column("ambiguous", "ambiguous", "money"),
    Column("ask", "to ask", "money"),
    Column("none", "nothing fits", "money"),
    Column("left", "left of suggested", "money"),
)


def build(books: Books, *, as_of: date, caps: Caps | None = None) -> Report:
    """Of one side: every payment with unapplied money, end of day `as_of`, and what it may settle."""
    limits = caps or Caps()
    ledger = Subledger(books)
    side = day(ledger, as_of)
    found = suggest(side, limits)
    return Report(
        name="cash-suggestions",
        title=f"Cash application suggestions: {books.name}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_summary(found), _suggested(side, found), _asked(side, found)),
        proofs=(*_proofs(ledger, found, as_of), *proofs([ledger], as_of)),
        notes=(*_notes(books, limits), *notes([ledger], as_of)),
        parameters={"largest set": f"{limits.parts} invoices of at most {limits.amounts} open ones"},
    )


def _notes(books: Books, caps: Caps) -> tuple[str, ...]:
    said = [
        "Nothing here is applied: a person does that in the accounting system, or leaves it.",
        "Unapplied money is positive here; in agings and open items, where it reduces what is owed, it is negative.",
        *(f"Rule {name}: {says}." for name, says in RULES.items()),
        (
            "The first rule that fits counts. By amount, the payment's own account is asked before its family, and "
            "only for invoices issued by the day the money came. Age decides nothing."
        ),
        (
            f"Numbers are read whatever their case, spaces and leading zeros. A bare number under {SURE} digits, the "
            "last digits of a longer one, a purchase order, and the number of a check count only where the amounts "
            f"agree exactly. Numbers under {SHORTEST} characters are looked for only where the text takes one document "
            "off another (less, minus, ./., abzgl.), and count as little."
        ),
        (
            f"Sets have at most {caps.parts} invoices, out of at most {caps.amounts} open ones, found in at most "
            f"{caps.steps:,} steps; at most {caps.answers} ways are shown. A search cut short suggests nothing."
        ),
        "Terms are read where they are written out (2/10 net 30); codes of terms are not interpreted.",
    ]
    if books.open_only:
        said.append("The source lists open items only: a number that was settled before is not recognised in a text.")
    return tuple(said)


def _summary(found: Sequence[Suggestion]) -> Table:
    by: dict[str, list[Suggestion]] = defaultdict(list)
    for s in found:
        by[s.payment.currency].append(s)
    rows = []
    for currency, same in sorted(by.items()):
        of = {v: [s for s in same if s.verdict == v] for v in _VERDICTS}
        given = sum((s.fits[0].amount for s in of["suggested"]), ZERO)
        rest = [sum((s.unapplied for s in of[v]), ZERO) for v in _VERDICTS]
        total = sum(rest, ZERO)
        kept = len(of["suggested"])
        rows.append(Row((currency, len(same), total, kept, given, rest[1], rest[2], rest[3], rest[0] - given)))
    return Table("summary", "Unapplied money", _SUMMARY, tuple(rows))


def _money(side: Day, s: Suggestion, *, first: bool) -> tuple[Cell, ...]:
    """The payment's own cells; its unapplied amount stands on its first row only, so that the column adds up."""
    p = s.payment
    return p.currency, called(p), *side.party(p.customer), p.received, s.unapplied if first else None


def called(payment: Payment) -> str:
    """What people call a payment: its reference or number, with its id where that is another."""
    printed = payment.reference or payment.ref.number
    return payment.ref.id if not printed or printed == payment.ref.id else f"{printed} ({payment.ref.id})"


def _suggested(side: Day, found: Sequence[Suggestion]) -> Table:
    groups: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
    for s in (s for s in found if s.verdict == "suggested"):
        fit = s.fits[0]
        for n, line in enumerate(fit.lines):
            d = line.document
            groups[s.payment.currency].append(
                (
                    *_money(side, s, first=n == 0),
                    number_of(d),
                    side.name(d.customer) if d.customer != s.payment.customer else None,
                    d.due if isinstance(d, Invoice) else None,
                    line.open,
                    line.amount,
                    line.discount or None,
                    line.open - line.amount,
                    s.unapplied - fit.amount if n == len(fit.lines) - 1 else None,
                    fit.rule,
                    fit.evidence if n == 0 else None,
                )
            )
    rows = totalled(_SUGGESTED, flat(groups), summed=_SUMS)
    note = "A discount stays open until somebody books it. A credit memo that is used with the money is negative."
    return Table("suggested", "Suggested", _SUGGESTED, rows, note)


def _asked(side: Day, found: Sequence[Suggestion]) -> Table:
    groups: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
    for s in (s for s in found if s.verdict != "suggested"):
        rows = groups[s.payment.currency]
        text = " / ".join(t for t in (s.payment.reference, s.payment.memo) if t) or None
        ways: list[tuple[int, Fit]] = list(enumerate(s.fits, 1))
        if not ways:
            rows.append((*_money(side, s, first=True), s.why, *[None] * 7, text))
        for way, fit in ways:
            for n, line in enumerate(fit.lines):
                first = way == 1 and n == 0
                d = line.document
                shown: tuple[Cell, ...] = (number_of(d), side.name(d.customer), line.open, line.amount, fit.rule)
                evidence = fit.evidence if n == 0 else None
                rows.append(
                    (
                        *_money(side, s, first=first),
                        s.why if first else None,
                        way,
                        *shown,
                        evidence,
                        text if first else None,
                    )
                )
    rows_ = totalled(_ASKED, flat(groups), summed=("unapplied",))
    note = "Every way that fits is listed, and none is preferred. The amounts are those that the way would take."
    return Table("to_decide", "For a person to decide", _ASKED, rows_, note)


def _proofs(ledger: Subledger, found: Sequence[Suggestion], as_of: date) -> tuple[Proof, ...]:
    """Per currency: the unapplied money of the ledger against what its payments state themselves.

    They state it for now: the other figure is not available where anything is dated after the day of the report.
    """
    ours: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for s in found:
        ours[s.payment.currency] += s.unapplied
    payments = [r for r in ledger.documents if isinstance(r, Payment) and counts(r, as_of)]
    later = any(r.posted > as_of for r in ledger.documents)
    proofs = []
    for currency in sorted(ours):
        stated = [p.reported_unapplied for p in payments if p.currency == currency]
        theirs = sum((s or ZERO for s in stated), ZERO) if not later and None not in stated else None
        held = None if theirs is None else theirs == ours[currency]
        proofs.append(
            Proof(f"unapplied money in {currency}, as the payments state it", ours[currency], theirs, held, currency)
        )
    return tuple(proofs)
