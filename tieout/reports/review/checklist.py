"""The report `checklist`: the steps of a month end, how each stands now, and who signed it off with which figure.

A sign-off holds for the figure that it was given for, down to the documents behind it. Where that has changed since, it
is void, and says why: RULE_CHANGED where the rules of the comparison changed in between, BACKDATED_AFTER_CLOSE where
documents of the closed time did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

from tieout.compare import Result
from tieout.compare.result import money
from tieout.model import ZERO, Document, Entity
from tieout.plaintext import counted
from tieout.reports import stated
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.ledger import KINDS, Subledger, kind_of, ledgers, number_of
from tieout.reports.receivables.cut_off import DAYS as CUT_OFF
from tieout.reports.sources import notes, proofs

State = Literal["met", "not met", "to review", "not known"]
SOON = 31  # days within which an acceptance that ends is named
# Steps that no figure can prove: a person looks at them.
_REVIEWED = frozenset({"unconfirmed", "unapplied", "cut_off", "accepted"})
# Differences that begin on a day of their own, which the comparison as of the day knows.
_BEGINS = frozenset({"VOID_VS_OPEN", "CHARGEBACK_NSF", "OVER_APPLIED"})
# Steps whose figure rests on documents dated up to the day of the close, and on nothing else that moves.
_BY_DOCUMENTS = frozenset({"control", "bridge", "unapplied"})
_STEPS = (
    Column("number", "no.", "count"),
    Column("step", "step"),
    Column("title", "what", width=48),
    Column("state", "stands"),
    Column("figure", "figure", width=60),
    Column("prepared", "prepared by"),
    Column("approved", "approved by"),
    Column("sign_off", "sign-off", width=60),
    Column("next", "next", width=70),
)
_EVIDENCE = (Column("step", "step"), Column("line", "what the figure rests on", width=120))
_SIGNED = (
    Column("at", "at (UTC)"),
    Column("step", "step"),
    Column("role", "role"),
    Column("by", "by"),
    Column("figure", "figure then", width=60),
    Column("holds", "holds"),
    Column("note", "note", width=60),
    Column("hash", "hash of the figure"),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """A sign-off. role: prepared, approved · hash: of the figure then · rules: of the rules of the comparison then"""

    step: str
    role: str
    by: str
    at: datetime
    figure: str
    hash: str
    rules: str
    note: str


@dataclass(frozen=True, slots=True)
class Close:
    """What a close rests on beside the books.

    comparison: of the two sides as they were read for this report
    listed: the pair's discrepancies that are not closed, with `state`, `severity` and, if accepted, `accepted_until`
    ran_at: end of the pair's last run (UTC), None if there was none · waiting: what it left to be done, in sentences
    closed: by connection, the last day that its books are closed through; None where it states none
    then: whether that is what was known at an earlier time
    signed: oldest first · rules: hash of the rules of the comparison now
    """

    pair: str
    comparison: Result
    listed: Sequence[Mapping[str, Any]]
    ran_at: datetime | None
    waiting: Sequence[str]
    closed: Mapping[str, date | None]
    signed: Sequence[Signature]
    rules: str
    then: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the list. figure: in short · evidence: what it rests on, in a fixed order · next: what to do

    state: met and not met are facts; to review is a figure that a person looks at; not known, where nothing tells
    """

    key: str
    title: str
    state: State
    figure: str
    evidence: tuple[str, ...] = ()
    next: str = ""

    @property
    def hash(self) -> str:
        """Of the step's state, figure and all that it rests on; the same for the same, whenever it is made."""
        return sha256("\x1f".join((self.key, self.state, self.figure, *self.evidence)).encode()).hexdigest()


# ── the steps ────────────────────────────────────────────────────────────────────────────────────────────────────────


def steps(books: Sequence[Books], close: Close, as_of: date) -> list[Step]:
    """All steps, in the order in which a close goes through them. books: left and right."""
    sides = ledgers(books)
    return [
        _read(books, as_of),
        _unreadable(books),
        _control(sides, as_of),
        _bridge(close.comparison),
        _unconfirmed(close.comparison),
        _unapplied(sides, as_of),
        _cut_off(sides, as_of),
        _blocking(close, sides, as_of),
        _accepted(close, as_of),
        _plan(close),
        _closed(close, as_of),
    ]


def _read(books: Sequence[Books], as_of: date) -> Step:
    doubts = [f"{b.name}: {doubt}" for b in books for doubt in b.doubts]
    doubts += [f"{b.name} speaks for {b.dated}, before {as_of}" for b in books if b.dated and b.dated < as_of]
    doubts += [f"{b.name} lists open items of {b.dated}" for b in books if b.open_only and b.dated and b.dated > as_of]
    said = counted(len(doubts), "doubt") if doubts else "both sides whole"
    todo = "" if not doubts else "have the exports made again, or read again, then make the list again"
    return Step("read", "All exports read, and complete", "not met" if doubts else "met", said, tuple(doubts), todo)


def _unreadable(books: Sequence[Books]) -> Step:
    lines = tuple(f"{b.name}: {b.unreadable}" for b in books)
    n = sum(b.unreadable for b in books)
    todo = "tieout discrepancies list --code PARSE_REJECT; mend them where they are kept" if n else ""
    return Step("unreadable", "No unreadable records", "not met" if n else "met", f"{n} unreadable", lines, todo)


def _control(sides: Sequence[Subledger], as_of: date) -> Step:
    """The documents against what the systems' own reports, accounts and customers' balances state."""
    told = {s.name: [*stated.proofs(s, as_of), *stated.customer_proofs(s, stated.owed(s, as_of))] for s in sides}
    found = [p for own in told.values() for p in own if p.theirs is not None]
    every = [
        (p, f"{p.claim}: {_amount(p.ours, p.currency)} against {_amount(p.theirs, p.currency)}")
        for p in proofs(sides, as_of)
    ]
    lines = tuple(text for p, text in every if p.theirs is not None)
    broken = [text for p, text in every if p.held is False]
    silent = [s.name for s in sides if not any(b.as_of == as_of for b in s.books.controls)]
    untold = sum(p.held is None for p in found)
    if broken:
        said = f"{len(broken)} of {counted(len(found), 'stated figure')} do not tie out: {'; '.join(broken)}"
    elif silent or untold:
        said = f"{', '.join(silent) or 'an account'}: no figure of the day that can be held against it"
        agree = [name for name in silent if any(p.held for p in told[name])]
        said += f"; the balances of the customers agree in {', '.join(agree)}" if agree else ""
    else:
        said = f"{counted(len(found), 'stated figure')} tie out"
    state: State = "not met" if broken else "not known" if silent or untold else "met"
    todo = {
        "not met": "tieout report tie-out: find what moved the account and no document shows",
        "not known": "hold the total against the account by hand",
    }
    return Step("control", "Control accounts tie out", state, said, lines, todo.get(state, ""))


def _bridge(result: Result) -> Step:
    remainders = {c: b.remainder for c, b in sorted(result.bridge.items())}
    lines = tuple(
        f"{result.left.name} {_line(b.left_total, c)}, listed differences "
        f"{_line(sum((line.delta for line in b.lines), ZERO), c)}, {result.right.name} {_line(b.right_total, c)}"
        for c, b in sorted(result.bridge.items())
    )
    broken = any(remainders.values())
    todo = "report it with both sides: a bridge that does not close is a mistake of the program" if broken else ""
    said = _sums(remainders) or "nothing to bridge"
    return Step("bridge", "The bridge has no remainder", "not met" if broken else "met", said, lines, todo)


def _unconfirmed(result: Result) -> Step:
    open_ = {c: b.unconfirmed for c, b in sorted(result.bridge.items()) if b.unconfirmed}
    lines = tuple(
        _difference(d.id, d.code, d.left_label or d.right_label, d.delta, d.currency)
        for d in result.discrepancies
        if not d.confirmed and d.delta
    )
    todo = "tieout discrepancies list: explain, mend or accept" if open_ else ""
    title = "Differences without a confirmed cause"
    return Step("unconfirmed", title, "to review" if open_ else "met", _sums(open_) or "none", lines, todo)


def _unapplied(sides: Sequence[Subledger], as_of: date) -> Step:
    """What the report `unapplied` lists."""
    lines: list[str] = []
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for side in sides:
        for i in side.items(as_of):
            if i.unapplied:
                lines.append(f"{side.name}: {_named(i.document)} {_line(i.amount, i.currency)}")
                sums[f"{i.currency} in {side.name}"] += i.amount
    said = _sums(dict(sorted(sums.items()))) or "none"
    todo = "tieout report cash-suggestions" if lines else ""
    title = "Unapplied cash and credits reviewed"
    return Step("unapplied", title, "to review" if lines else "met", said, tuple(lines), todo)


def _cut_off(sides: Sequence[Subledger], as_of: date) -> Step:
    first, last = as_of - timedelta(days=CUT_OFF - 1), as_of + timedelta(days=CUT_OFF)
    lines = [
        f"{s.name}: {_named(d)} {d.posted} {_line(e.amount, e.currency)}"
        for s in sides
        for d in s.documents
        for e in s.moves(d)
        if first <= e.on <= last
    ]
    todo = "tieout report cut-off" if lines else ""
    said = f"{counted(len(lines), 'movement')} from {first} to {last}"
    title = f"Cut-off reviewed, {CUT_OFF} days either side"
    return Step("cut_off", title, "to review" if lines else "met", said, tuple(sorted(lines)), todo)


def _blocking(close: Close, sides: Sequence[Subledger], as_of: date) -> Step:
    found, _ = grave(close, sides, as_of)
    lines = tuple(sorted(f"{_listed(d)}, {d['state']}" for d in found))
    codes = Counter(d["code"] for d in found)
    said = ", ".join(f"{n} {code}" for code, n in sorted(codes.items())) or "none"
    todo = f"tieout discrepancies list {close.pair}: mend, or accept with a reason" if found else ""
    return Step("blocking", "No grave difference open", "not met" if found else "met", said, lines, todo)


def grave(close: Close, sides: Sequence[Subledger], as_of: date) -> tuple[list[Mapping[str, Any]], int]:
    """The grave differences that are open and not accepted, and how many more are of the time after the day only."""
    found = [d for d in close.listed if d["severity"] in ("high", "critical") and d["state"] != "accepted"]
    standing = {
        (side, d.kind, id)
        for d in close.comparison.discrepancies
        for side, id in (("left", d.left), ("right", d.right))
        if id is not None
    }
    of_day = [d for d in found if not _later(d, sides, standing, as_of)]
    return of_day, len(found) - len(of_day)


def _later(
    d: Mapping[str, Any], sides: Sequence[Subledger], standing: AbstractSet[tuple[str, str, str]], as_of: date
) -> bool:
    """Whether a difference is of documents dated after the day only, or of a later void or application of theirs.

    standing: side, kind and id of what the comparison as of the day finds anything about. In doubt it is of the day.
    """
    named = [(at, side, d[at]) for at, side in zip(("left", "right"), sides, strict=True) if d.get(at)]
    kind = d.get("kind")
    if not named or kind not in (*KINDS, Entity.ADJUSTMENT):
        return False
    known = [side.by_key.get((Entity(kind), id)) for _, side, id in named]
    if all(document is not None and document.posted > as_of for document in known):
        return True
    begins = d["code"] in _BEGINS or (d["code"] == "INVARIANT_BROKEN" and str(d.get("field")).startswith("I8 "))
    return begins and None not in known and not any((at, kind, id) in standing for at, _, id in named)


def _accepted(close: Close, as_of: date) -> Step:
    found = [d for d in close.listed if d["state"] == "accepted"]
    soon = (as_of + timedelta(days=SOON)).isoformat()
    ending = [d for d in found if d.get("accepted_until") and d["accepted_until"][:10] <= soon]
    lines = tuple(sorted(f"{_listed(d)}, until {_until(d)}: {d['reason'] or ''}" for d in found))
    said = f"{len(found)} accepted, {len(ending)} of them end by {soon}" if found else "none"
    todo = "read the reasons; decide anew on those that end" if found else ""
    return Step("accepted", "Accepted differences reviewed", "to review" if found else "met", said, lines, todo)


def _listed(d: Mapping[str, Any]) -> str:
    # A customer's name may be written otherwise tomorrow, which is no other difference.
    label = None if d.get("kind") == Entity.CUSTOMER else d.get("left_label") or d.get("right_label")
    return _difference(d["id"], d["code"], label, Decimal(d["delta"]), d["currency"])


def _difference(id: str, code: str, label: str | None, delta: Decimal, currency: str | None) -> str:
    """A difference by its code, its document as people know it, and its amount."""
    return " ".join(part for part in (id, code, label, money(delta, currency or ""), currency) if part)


def _named(document: Document) -> str:
    """A document by its kind, its number, and the system's own id where that is another."""
    number, id = number_of(document), document.ref.id
    return f"{kind_of(document)} {number}" + (f" ({id})" if id != number else "")


def _until(d: Mapping[str, Any]) -> str:
    return d["accepted_until"][:10] if d.get("accepted_until") else "a side changes"


def _plan(close: Close) -> Step:
    if close.ran_at is None:
        return Step("plan", "Nothing is left to write", "not known", "no run yet", (), f"tieout sync {close.pair}")
    said = "; ".join(close.waiting) or "nothing waits"
    todo = f"tieout sync {close.pair} --apply; tieout plan show" if close.waiting else ""
    state: State = "not met" if close.waiting else "met"
    return Step("plan", "Nothing is left to write", state, said, tuple(close.waiting), todo)


def _closed(close: Close, as_of: date) -> Step:
    none = "no closing was known then that still holds" if close.then else "not stated"
    lines = tuple(f"{name}: {day or none}" for name, day in sorted(close.closed.items()))
    open_ = [name for name, day in sorted(close.closed.items()) if day is not None and day < as_of]
    silent = [name for name, day in sorted(close.closed.items()) if day is None]
    said = "; ".join(lines)
    todo = f"close the books through {as_of} in {', '.join(open_ or silent)}" if open_ or silent else ""
    if close.then and silent and not open_:
        todo = "make the list without --known-on: it asks the systems; what was opened again since is not kept"
    state: State = "not met" if open_ else "not known" if silent else "met"
    return Step("closed", "Books closed in each system", state, said, lines, todo)


def _amount(amount: Cell, currency: str) -> str:
    """With the places of its currency; two without one."""
    if not isinstance(amount, Decimal):
        return str(amount or "")
    return money(amount, currency)


def _line(amount: Decimal, currency: str) -> str:
    return f"{money(amount, currency)} {currency}"


def _sums(by_currency: Mapping[str, Decimal]) -> str:
    """Amounts by currency, or by currency and where: `USD in books`."""
    return "; ".join(f"{_amount(a, c.split()[0] if c else '')} {c}" for c, a in by_currency.items())


# ── the sign-offs ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Signed:
    """How a step stands with its people: the last signature of each role, and in words whether they hold."""

    prepared: Signature | None
    approved: Signature | None
    said: str
    whole: bool


def signed(step: Step, signatures: Sequence[Signature], rules: str) -> Signed:
    """The standing of a step. It is whole where somebody approved the figure as it is now."""
    own = [s for s in signatures if s.step == step.key]
    prepared, approved = (next((s for s in reversed(own) if s.role == r), None) for r in ("prepared", "approved"))
    holding = [s.role for s in (prepared, approved) if s and s.hash == step.hash]
    gone = [s for s in (approved, prepared) if s and s.hash != step.hash]
    if "approved" in holding:
        said = "signed off" if "prepared" in holding else "approved; nobody is named who prepared it"
    elif gone:
        said = why_void(gone[0], rules)
    else:
        said = "prepared; waits for approval" if holding else ""
    return Signed(prepared, approved, said, whole="approved" in holding)


def why_void(signature: Signature, rules: str) -> str:
    """Why a signature no longer holds, and what the figure was."""
    why = "the figure changed"
    if signature.rules != rules:
        why = "RULE_CHANGED"
    elif signature.step in _BY_DOCUMENTS:
        why = "BACKDATED_AFTER_CLOSE"
    return f"void ({why}): {signature.role} by {signature.by} for {signature.figure}"


def build(books: Sequence[Books], *, as_of: date, close: Close, detail: bool) -> Report:
    """The close of a pair as of its last day, with both sides read anew. detail: with all that each figure rests on"""
    found, sides = steps(books, close, as_of), ledgers(books)
    stands = {s.key: signed(s, close.signed, close.rules) for s in found}
    return Report(
        name="checklist",
        title=f"Month-end checklist: {close.pair}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(
            _table(found, stands, f"--pair {close.pair} --as-of {as_of}"),
            *([_evidence(found)] if detail else []),
            _signatures(found, close),
        ),
        proofs=tuple(
            Proof(f"{s.title} ({s.key})", s.figure, None, {"met": True, "not met": False}.get(s.state))
            for s in found
            if s.key not in _REVIEWED
        ),
        notes=(_summary(found, stands), *_left_out(close, sides, as_of), *notes(sides, as_of)),
        parameters={"pair": close.pair, "last run": f"{close.ran_at:%Y-%m-%d %H:%M} UTC" if close.ran_at else "none"},
    )


def _left_out(close: Close, sides: Sequence[Subledger], as_of: date) -> Iterator[str]:
    _, later = grave(close, sides, as_of)
    if later:
        of = f"{'is' if later == 1 else 'are'} of what was posted or voided after {as_of}"
        yield f"{counted(later, 'grave difference')} {of}, and no part of this close; the list has it all."


def _summary(found: Sequence[Step], stands: Mapping[str, Signed]) -> str:
    by_state = Counter(s.state for s in found)
    done = sum(s.whole for s in stands.values())
    void = sum(s.said.startswith("void") for s in stands.values())
    states = ", ".join(f"{n} {state}" for state, n in sorted(by_state.items()))
    return f"{done} of {len(found)} steps are signed off, {counted(void, 'sign-off')} void; {states}."


def _table(found: Sequence[Step], stands: Mapping[str, Signed], of: str) -> Table:
    """of: whose close it is, as `tieout report sign-off` wants it"""

    def by(one: Signature | None) -> str | None:
        return f"{one.by}, {one.at:%Y-%m-%d}" if one else None

    rows = []
    for number, step in enumerate(found, 1):
        stand = stands[step.key]
        who = by(stand.prepared), by(stand.approved)
        ready = step.state != "not met" and not stand.whole
        todo = [] if stand.whole else [step.next] if step.next else []
        note = " with --note HOW" if step.state == "not known" else ""
        todo += [f"sign {step.key} off{note}"] if ready else []
        told = step.key, step.title, step.state, step.figure
        rows.append(Row((number, *told, *who, stand.said or None, ", then ".join(todo) or None)))
    about = (
        "What is not met cannot be signed off; a figure that changes after its sign-off makes it void. To sign: tieout "
        f"report sign-off STEP {of} --by NAME, and with --role prepared by whoever prepared it."
    )
    return Table("steps", "Steps", _STEPS, tuple(rows), about)


def _evidence(found: Sequence[Step]) -> Table:
    rows = tuple(Row((step.key, line)) for step in found for line in step.evidence)
    return Table("evidence", "Evidence", _EVIDENCE, rows, "A sign-off covers every line of its step.")


def _signatures(found: Sequence[Step], close: Close) -> Table:
    now = {s.key: s.hash for s in found}
    rows = tuple(
        Row(
            (
                f"{s.at:%Y-%m-%d %H:%M}",
                s.step,
                s.role,
                s.by,
                s.figure,
                "yes" if s.hash == now.get(s.step) else "no",
                s.note or None,
                s.hash,
            )
        )
        for s in close.signed
    )
    return Table("sign_offs", "All sign-offs", _SIGNED, rows, "In the order in which they were given; none is changed.")
