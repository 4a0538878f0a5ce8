"""A file ERP that drops real files, and loads ours: full, partial, stale and broken exports, rejected rows, dead runs.

People work in the books of memory on the left and in the ERP on the right, as in `test_machine`; between the two go the
files of the sandbox and of the connector for files. A partial export removes nothing, a stale one takes nothing back, a
rejected row is not lost, nothing is booked twice; and once the ERP exports whole again, both books and what is listed
agree to the cent, and nothing moves any more. `test_a_season_of_drops` deals every act, drop and loading at least once.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contract.test_tabular import FileErpHarness
from tests.deep import DEEP
from tests.scenarios.world import WIDE, credit_memo, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind, Faults, SimulatedCrash, open_books
from tieout.errors import TieoutError
from tieout.evidence.rows import unlike
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, PostingState
from tieout.sandbox.file_erp import BooksError
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.review import decisions, differences
from tieout.sync.store import open_store

D = Decimal
LEFT, RIGHT = "left", "erp"
LATE = date(2030, 1, 1)
DAY = timedelta(days=1)
NIGHTS = 12
MONEY = (Entity.PAYMENT, Entity.CREDIT_MEMO)
KINDS = {Entity.INVOICE: ("RV", "DR"), Entity.CREDIT_MEMO: ("DG",), Entity.PAYMENT: ("DZ",)}
EVERYTHING = frozenset({"credit_memo", "invoice.void", "payment.void", "credit_memo.void"})
ACTS = [
    (what, side)
    for side in (LEFT, RIGHT)
    for what in (
        *("customer", "invoice", "pay 0.5", "pay 1", "credit", "apply", "unapply", "edit memo", "edit total"),
        *("void invoice", "void payment", "void credit_memo"),
    )
] + [("delete", RIGHT), *((f"decide {answer}", LEFT) for answer in ("accept", "recreate", "release", "acknowledge"))]
DROPS: dict[str, dict[str, Any]] = {
    "full": {},
    "full, a day later": {},
    "nothing": {},
    "short of its manifest": {"partial_export": 1},
    "short, and its manifest with it": {"silent_partial": 1},
    "of the day before yesterday": {"late_export": 2},
    "broken off": {"half_written": True},
}
MISLEADS = "short, and its manifest with it"
LOADS: dict[str, dict[str, Any]] = {
    "loaded": {},
    "not loaded": {"ignore_outbox": True},
    "every second row refused": {"reject": 2},
    "every row refused": {"reject": 1},
}
RUNS = ("whole", "died before it handed over", "died when it had", "an answer lost", "a page lost")
# What a run that ends well may have said by then, of what only files bring about.
SAID = {"UNCERTAIN_WRITE", "SYNC_IN_FLIGHT", "DELETED_VS_OPEN", "TRUNCATED_EXTRACT"}
WROTE = {
    f"{op} {entity} {side}"
    for side in ("left", "right")
    for op, entity in (
        *(("create", e) for e in ("customer", "invoice", "payment", "credit_memo")),
        *(("void", e) for e in ("invoice", "payment")),
        ("update", "invoice"),
        ("apply", "payment"),
    )
}


class Drops:
    """Both books, the folders between them, and the state. Unique amounts are the names of documents."""

    def __init__(self) -> None:
        self.h = FileErpHarness()
        self.erp, self.clock = self.h.erp, self.h.clock
        self.left = open_books(LEFT, clock=self.clock)
        self.store = open_store("sqlite://", clock=self.clock)
        self.pair = Pair("books", LEFT, RIGHT, mode="auto", codes=Codes.same(), limits=WIDE, unattended=EVERYTHING)
        self.cents = 10_000
        self.reached: Counter[str] = Counter()
        for side in (LEFT, RIGHT):
            for what in ("customer", "invoice"):
                self.do((what, side), 0)

    @property
    def l(self) -> Any:  # noqa: E743
        return self.left.books

    @property
    def r(self) -> Any:
        return self.erp.books

    def today(self) -> date:
        return self.clock().date()

    def amount(self) -> str:
        self.cents += 101
        return str(D(self.cents) / 100)

    # ── what people do

    def do(self, act: tuple[str, str], pick: int) -> None:
        what, side = act
        self.reached[f"somebody: {what} {side}"] += 1
        words = what.split()
        if words[0] == "decide":
            self.decide(words[1], pick)
        else:
            with contextlib.suppress(BooksError):  # the ERP's own rules
                (self._here if side == LEFT else self._there)(words, pick)

    def _here(self, words: Sequence[str], pick: int) -> None:
        books = self.l

        def some(entity: Entity) -> Any:
            live = [r for r in books.all(entity) if getattr(r, "state", "posted") == "posted"]
            return live[pick % len(live)] if live else None

        match words:
            case ["customer"]:
                books.put(customer(f"left {self.amount()}"))
            case ["invoice"]:
                amount = self.amount()
                books.put(invoice(some(Entity.CUSTOMER).ref.id, amount, number=f"l{amount}"))
            case ["credit"]:
                amount = self.amount()
                books.put(credit_memo(some(Entity.CUSTOMER).ref.id, amount, number=f"lc{amount}"))
            case ["pay", part]:
                if bill := some(Entity.INVOICE):
                    amount, due = self.amount(), books.open(Entity.INVOICE, bill.ref.id)
                    share = min(round(due * D(part), 2), D(amount))
                    on = ((bill.ref.id, str(share)),) if share > 0 else ()
                    books.put(payment(bill.customer, amount, on=on, reference=f"lp{amount}"))
            case ["apply"]:
                self._apply_here(some(MONEY[pick % 2]), pick)
            case ["unapply"]:
                if (money := some(MONEY[pick % 2])) and money.applications:
                    books.unapply(money.ref.id, money.applications[0].invoice)
            case ["edit", what]:
                if bill := some(Entity.INVOICE):
                    total = bill.total + D("0.01")
                    told = {"memo": f"here {pick}"} if what == "memo" else {"total": total, "subtotal": total}
                    books.edit(Entity.INVOICE, bill.ref.id, **told)
            case ["void", of]:
                if one := some(Entity(of)):
                    books.void(Entity(of), one.ref.id, self.today())

    def _apply_here(self, money: Any, pick: int) -> None:
        theirs = [i for i in self.l.all(Entity.INVOICE) if money and i.customer == money.customer]
        theirs = [i for i in theirs if i.state is PostingState.POSTED]
        if theirs:
            bill = theirs[pick // 7 % len(theirs)]
            part = min(self.l.open(money.entity, money.ref.id), self.l.open(Entity.INVOICE, bill.ref.id))
            if part > 0:
                self.l.apply(money.ref.id, bill.ref.id, part, self.today())

    def _there(self, words: Sequence[str], pick: int) -> None:
        books, on = self.r, self.today()

        def some(*of: Entity) -> Any:
            types = {t for e in of for t in KINDS[e]}
            live = [d for d in books.documents.values() if d.type in types and not d.reversed_on]
            return live[pick % len(live)] if live else None

        who = sorted(books.customers)[pick % len(books.customers)] if books.customers else ""
        match words:
            case ["customer"]:
                books.enter_customer(f"erp {self.amount()}", currency="USD")
            case ["invoice"]:
                amount = self.amount()
                books.enter_invoice(who, amount, on=on, number=f"r{amount}", currency="USD")
            case ["credit"]:
                amount = self.amount()
                books.enter_credit_memo(who, amount, on=on, number=f"rc{amount}", currency="USD")
            case ["pay", part]:
                if bill := some(Entity.INVOICE):
                    amount = self.amount()
                    share = min(round(books.open(bill.number, LATE) * D(part), 2), D(amount))
                    shares = {bill.number: share} if share > 0 else None
                    more = {"reference": f"rp{amount}", "currency": "USD", "method": "check"}
                    books.enter_payment(bill.customer, amount, on=on, applications=shares, **more)
            case ["apply"]:
                money = some(*MONEY)
                bills = [d for d in books.documents.values() if money and d.is_invoice and d.customer == money.customer]
                if bills:
                    bill = bills[pick // 7 % len(bills)]
                    part = min(books.open(money.number, LATE), books.open(bill.number, LATE))
                    books.apply(money.number, bill.number, part, on=on)
            case ["unapply"]:
                money = some(*MONEY)
                standing = [a for a in money.applications if a.reversed_on is None] if money else []
                if standing:
                    books.unapply(money.number, standing[0].invoice, on=on)
            case ["edit", what]:
                if bill := some(Entity.INVOICE):
                    told = {"text": f"there {pick}"} if what == "memo" else {"amount": bill.amount + D("0.01")}
                    books.change(bill.number, **told)
            case ["void", of]:
                if one := some(Entity(of)):
                    books.reverse(one.number, on=on)
            case ["delete"]:
                one = some(*KINDS)
                named = {a.invoice for d in books.documents.values() for a in d.applications}
                if one and not one.applications and one.number not in named:
                    del books.documents[one.number]

    def decide(self, action: str, pick: int) -> None:
        found = differences.listed(self.store)
        if found:
            with contextlib.suppress(TieoutError):
                one = found[pick % len(found)]["id"]
                decisions.decide(self.store, one, action=action, by="Grace", reason="looked into it")

    # ── files, and runs

    def load(self, how: str) -> None:
        self.reached[how] += 1
        self.erp.misbehave(**LOADS[how])
        report = self.erp.load_outbox(self.h.outbox)
        assert report.refused == [], report.refused
        self.reached["rows refused"] += len(report.rejected)
        self.erp.misbehave(ignore_outbox=False, reject=0)

    def drop(self, how: str) -> None:
        self.reached[how] += 1
        if how == "nothing":
            return
        if how != "full":
            self.clock.tick(86_400)
        self.erp.misbehave(**DROPS[how])
        self.erp.export(self.h.export, self.today(), layouts=list(self.h.layouts.values()))
        self.erp.misbehave(partial_export=0, silent_partial=0, late_export=0, half_written=False)

    def run(self, how: str = "whole") -> Report | None:
        """One run, in a process of its own; None if it died or gave up."""
        self.clock.tick(900)
        right = self.h.open()
        self.left.faults, flush = Faults(), right.flush
        if how == "an answer lost":
            self.left.faults.arm(Fault(FaultKind.LOSE_RESPONSE))
        elif how == "a page lost":
            self.left.faults.arm(Fault(FaultKind.TRUNCATE, op="pull"))
        elif how != "whole":

            def dies(*, run: str) -> list[str]:
                paths = flush(run=run) if how == "died when it had" else []
                raise SimulatedCrash(f"{how}: {paths}")

            right.flush = dies  # type: ignore[method-assign]
        self.reached[how] += 1
        report = None
        with contextlib.suppress(SimulatedCrash, TieoutError):
            report = sync(self.store, {LEFT: self.left, RIGHT: right}, self.pair, apply=True, heartbeat=False)
        self.left.faults = Faults()
        if report is not None:
            wrote = (w["operation"] for w in report.written)
            self.reached.update(f"{o['op']} {o['entity']} {o['target']}" for o in wrote)
            self.reached.update(d.code for d in report.discrepancies)
            self._really_gone(report)
        return report

    def _really_gone(self, report: Report) -> None:
        """What is said to be deleted is; a file that says of itself that it is whole may mislead, and is not held to it."""
        for d in report.discrepancies if not self.reached[MISLEADS] else ():
            if d.code in ("DELETED_VS_OPEN", "VOID_VS_DELETED", "CUSTOMER_INACTIVE"):
                names = {d.left_label, d.right_label, d.right} - {None}
                there = [n for n, doc in self.r.documents.items() if names & {n, doc.number, doc.reference}]
                here = [r for r in self.l.everything() if names & {r.record.ref.id, _name(r)}]
                assert not there or any(r.existence != "live" for r in here), f"{d.cause}: the ERP holds {there}"

    def night(self) -> None:
        """What is handed over is loaded, and shown by a whole export."""
        for _ in range(2):
            self.run()
            self.load("loaded")
            self.drop("full, a day later")
            self.check()

    # ── what must hold

    def check(self) -> None:
        """After every step: nothing was booked twice, and nothing was taken away for want of a row."""
        ours = [d.our_reference for d in (*self.r.documents.values(), *self.r.customers.values()) if d.our_reference]
        twice = [one for one, n in Counter(ours).items() if n > 1]
        assert not twice, f"the ERP holds twice: {twice}"
        marks = [s.record.marker for s in self.l.everything() if s.record.marker]
        twice = [one for one, n in Counter(marks).items() if n > 1]
        assert not twice, f"the left books hold twice: {twice}"
        for entry in self.l.log:
            if entry.by == "connector" and entry.op == "void":
                assert self._ended_there(self.l.stored(entry.entity, entry.id).record), f"{entry}: it stands there"
            assert (entry.by, entry.op) != ("connector", "delete"), entry

    def _ended_there(self, record: Any) -> bool:
        names = {getattr(record, "number", None), getattr(record, "reference", None)} - {None}
        found = [d for d in self.r.documents.values() if names & {d.number, d.reference}]
        return not found or any(d.reversed_on for d in found)

    def stabilise(self) -> Report:
        """The ERP loads and exports whole, night by night; then nothing moves, and all is told to the cent."""
        for _ in range(NIGHTS):
            before = self._all()
            self.load("loaded")
            self.drop("full, a day later")
            report = self.run()
            assert report is not None, "a run without any fault failed"
            self.check()
            if before == self._all() and not report.operations:
                break
        before = self._all()
        report = self.run()
        assert report is not None
        assert (report.operations, report.failures, self._all()) == ([], [], before)
        assert (report.changes.opened, report.changes.closed) == (0, 0)
        self._told(report)
        assert log_breaks(self.store) == []
        assert [f.says for f in unlike(self.store)] == []
        return report

    def _all(self) -> list[Any]:
        asked = (
            "SELECT id, state FROM intent ORDER BY id",
            "SELECT id, state, values_hash FROM discrepancy ORDER BY id",
        )
        with self.store.engine.connect() as db:
            kept = [db.exec_driver_sql(sql).fetchall() for sql in asked]
        return [self.l.fingerprint(), len(self.r.effects), len(list(self.h.outbox.iterdir())), *kept]

    def _told(self, report: Report) -> None:
        left, right = (b.receivables(LATE).get("USD", D(0)) for b in (self.l, self.r))
        bridge = report.as_json()["bridge"]["USD"]
        assert (D(bridge["left_total"]), D(bridge["right_total"])) == (left, right), (bridge, left, right)
        assert D(bridge["remainder"]) == 0
        assert right - left == sum((d.delta for d in report.discrepancies), D(0)), "what is listed is not what differs"
        spoken = {id for d in report.discrepancies for told in (d.left, d.right) if told for id in told.split(", ")}
        labels = {label for d in report.discrepancies for label in (d.left_label, d.right_label) if label}
        here = Counter(n for n in map(_name, self.l.everything()) if n)
        there = Counter(
            d.number if d.type != "DZ" else d.reference for d in self.r.documents.values() if not d.reversed_on
        )
        for name in here.keys() | there.keys():
            alike = here[name] == there[name]
            assert alike or any(name in told for told in spoken | labels), (
                f"{name}: {here[name]}, {there[name]}, unsaid"
            )


def _name(stored: Any) -> str | None:
    record = stored.record
    if stored.existence != "live" or getattr(record, "state", None) is not PostingState.POSTED:
        return None
    return str(getattr(record, "number", None) or getattr(record, "reference", None) or "") or None


# ── whatever order ───────────────────────────────────────────────────────────────────────────────────────────────────


class FileDrops(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.drops = Drops()

    @rule(
        seed=st.integers(0, 2**32),
        acts=st.integers(0, 6),
        load=st.sampled_from(sorted(LOADS)),
        drop=st.sampled_from(sorted(DROPS)),
        run=st.sampled_from(RUNS),
    )
    def a_day(self, seed: int, acts: int, load: str, drop: str, run: str) -> None:
        dice = random.Random(seed)
        for act in dice.sample(ACTS, acts):
            self.drops.do(act, dice.randrange(10_000))
        self.drops.load(load)
        self.drops.drop(drop)
        self.drops.run(run)

    @invariant()
    def all_holds(self) -> None:
        if hasattr(self, "drops"):
            self.drops.check()

    def teardown(self) -> None:
        if hasattr(self, "drops"):
            self.drops.stabilise()


def test_files_and_people_in_any_order() -> None:
    run_state_machine_as_test(
        FileDrops,
        settings=settings(
            max_examples=200 if DEEP else 2,
            stateful_step_count=8 if DEEP else 3,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if DEEP else [Phase.generate],
        ),
    )


# ── dealt ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _dealt(cards: Sequence[Any], dice: random.Random) -> Iterator[Any]:
    """Each card once before any comes again."""
    while True:
        yield from dice.sample(cards, len(cards))


def _set_out(drops: Drops) -> None:
    """Each kind of record, born on either side: made, changed, applied and voided on the other."""
    books, erp, on = drops.l, drops.r, drops.today()
    ada = books.put(customer("Ada Ltd")).ref.id
    bill, extra = (books.put(invoice(ada, n, number=f"l{n}")).ref.id for n in ("100.00", "11.00"))
    paid = books.put(payment(ada, "30.00", reference="lp30.00")).ref.id
    memo = books.put(credit_memo(ada, "20.00", number="lc20.00")).ref.id
    bob = erp.enter_customer("Bob Ltd", currency="USD")
    more: dict[str, Any] = {"on": on, "currency": "USD"}
    theirs, spare, gone = (erp.enter_invoice(bob, n, number=f"r{n}", **more) for n in ("200.00", "12.00", "15.00"))
    money = erp.enter_payment(bob, "40.00", reference="rp40.00", method="check", **more)
    credit = erp.enter_credit_memo(bob, "21.00", number="rc21.00", **more)
    drops.night()
    books.apply(paid, bill, D("30.00"), on)
    erp.apply(money, theirs, "40.00", on=on)
    books.edit(Entity.INVOICE, extra, total=D("13.00"), subtotal=D("13.00"))
    erp.change(spare, text="noted there", amount=D("14.00"))
    drops.night()
    for entity, id in ((Entity.PAYMENT, paid), (Entity.CREDIT_MEMO, memo), (Entity.INVOICE, extra)):
        books.void(entity, id, on)
    for number in (money, credit, spare):
        erp.reverse(number, on=on)
    del erp.documents[gone]
    drops.night()


def _cut_off(drops: Drops) -> None:
    """What is missing from two exports in a row that lack rows is not gone; what a dying run handed over is booked once."""
    for _ in range(2):
        drops.drop("short of its manifest")
        drops.run()
    [bill] = [r for r in drops.l.all(Entity.INVOICE) if r.number == "l100.00"]
    for n, how in enumerate(("died when it had", "died before it handed over")):
        drops.l.put(payment(bill.customer, f"5{n}.00", reference=f"lp5{n}.00"))
        drops.drop("full, a day later")
        assert drops.run(how) is None, how
        drops.run()
        drops.load("loaded")
        drops.check()
    drops.night()


def test_a_season_of_drops() -> None:
    """Every act, drop, loading and end of a run, each at least once; what they lead to is reached."""
    dice, drops = random.Random(7), Drops()
    _set_out(drops)
    _cut_off(drops)
    acts, loads, files, runs = (_dealt(cards, dice) for cards in (ACTS, sorted(LOADS), sorted(DROPS), RUNS))
    for _ in range(60 if DEEP else len(DROPS)):
        for _ in range(-(-len(ACTS) // len(DROPS))):
            drops.do(next(acts), dice.randrange(3_000))
        drops.load(next(loads))
        drops.drop(next(files))
        drops.run(next(runs))
        drops.check()
    drops.stabilise()
    reached = drops.reached
    assert {f"somebody: {what} {side}" for what, side in ACTS} - reached.keys() == set()
    assert {*DROPS, *LOADS, *RUNS} - reached.keys() == set()
    assert (SAID | WROTE | {"rows refused"}) - {k for k, n in reached.items() if n} == set(), reached
