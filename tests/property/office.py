"""An office with two books: what people do in them, what may be changed in tieout.toml, and what must hold at any moment.

Who looks is `tests.simulation.truth`, which reads the books' own logs, and a witness who sees each write as it arrives.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import sqlalchemy as sa

from tests.scenarios.world import DAY, World, credit_memo, customer, invoice, payment, write_off
from tests.simulation.truth import OPEN_STATES, Truth
from tieout.connectors import Op
from tieout.connectors.memory import Fault, FaultKind, Faults, SimulatedCrash
from tieout.errors import TieoutError
from tieout.evidence.rows import unlike
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, Existence, PostingState
from tieout.sync import plan, schema
from tieout.sync.core.existence import came_back
from tieout.sync.core.facts import COMPARED
from tieout.sync.core.operations import OpKind, SideState
from tieout.sync.review import decisions, differences
from tieout.sync.store import loads, open_store

D = Decimal
LEFT, RIGHT = "left", "right"
OTHER = {LEFT: RIGHT, RIGHT: LEFT}
MONEY = (Entity.PAYMENT, Entity.CREDIT_MEMO)
DOCUMENTS = (Entity.INVOICE, *MONEY)
NIGHT = 90_000.0
NIGHTS = 12  # until all is settled, when nothing goes wrong any more: a plan, its approval, and the next that it makes way for
OWNERS = {"phone": "left", "email": "right", "terms": "two_way", "tax_id": "compare"}
"""Who owns which field of a customer, so that one customer is in as many rows of the table as there are owners."""


def called(record: Any) -> str | None:
    """What people call a record in either book."""
    for name in ("number", "reference", "name"):
        if getattr(record, name, None):
            return str(getattr(record, name))
    return None


class Office(World):
    """Unique amounts make every effect attributable to the one entry that caused it."""

    def __init__(self, right: str, **kw: Any) -> None:
        super().__init__(right=right, **kw)
        self.target, self.file = right, right == "file"
        self.cents = 10_000
        self.reached: Counter[str] = Counter()
        self.lost = False  # the state, at some time
        self.configured: set[str] = set()  # keys of writes that were wanted under another configuration
        self.quicker: tuple[str, str] | None = None
        self.overtaken: list[tuple[str, Entity, str, str, str]] = []
        self.colour: dict[tuple[str, Entity, str], str] = {}
        self.verified = -1
        self._open()
        for side in (LEFT, RIGHT):
            books = self.books(side)
            books.write = self._witnessed(side, books.write)

    # ── the state, looked into from outside

    def _open(self) -> None:
        self._raw = self.store.engine.raw_connection()  # kept: giving it back rolls back what is under way
        self.connection: sqlite3.Connection = self._raw.driver_connection  # type: ignore[assignment]
        self.database = self

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, values).fetchall()

    def lose_the_state(self) -> None:
        self.store = open_store("sqlite://", clock=self.clock)
        self.lost, self.verified = True, -1
        self._open()
        self.reached["state lost"] += 1

    # ── books, and what lies in them

    def books(self, side: str) -> Any:
        return self.l if side == LEFT else self.r

    def amount(self) -> str:
        self.cents += 101
        return str(D(self.cents) / 100)

    def some(self, side: str, entity: Entity, pick: int) -> Any:
        live = [r for r in self.books(side).all(entity) if getattr(r, "state", None) in (PostingState.POSTED, None)]
        return live[pick % len(live)] if live else None

    def both_hold(self, side: str, entity: Entity, pick: int) -> Any:
        """Mostly one that was born on this side and is over there by now; any, where there is none."""
        over_there = {called(r) for r in self.books(OTHER[side]).all(entity)}
        posted = [r for r in self.books(side).all(entity) if getattr(r, "state", PostingState.POSTED) == "posted"]
        here = [r for r in posted if str(called(r)).startswith(side[0]) and called(r) in over_there]
        return here[pick % len(here)] if here and pick % 3 else self.some(side, entity, pick)

    def named(self, side: str, entity: Entity, name: str) -> str:
        """The id of the record of that name."""
        [found] = [r.ref.id for r in self.books(side).all(entity) if called(r) == name]
        return str(found)

    def put(self, side: str, record: Any) -> Any:
        entered = self.books(side).put(record, colour=(shade := self.amount()))
        self.colour[(side, entered.entity, entered.ref.id)] = shade
        return entered

    # ── what people do

    def do(self, act: tuple[str, str], pick: int) -> None:
        what, side = act
        words = what.split()
        self.reached[what] += 1
        match words:
            case ["customer"]:
                self.put(side, customer(f"{side} {self.amount()}"))
            case ["invoice"]:
                self.new_invoice(side, pick)
            case ["pay", part]:
                self.pay(side, pick, part)
            case ["credit"]:
                who, amount = self.some(side, Entity.CUSTOMER, pick), self.amount()
                self.put(side, credit_memo(who.ref.id, amount, number=f"{side[0]}c{amount}"))
            case ["write-off"]:
                if inv := self.both_hold(side, Entity.INVOICE, pick):
                    self.put(side, write_off(inv.customer, "0.07", inv.ref.id))
            case ["apply", of]:
                self.apply_more(side, pick, Entity(of))
            case ["unapply", of]:
                money = self.some(side, Entity(of), pick)
                if money is not None and money.applications:
                    self.books(side).unapply(money.ref.id, money.applications[0].invoice)
            case ["edit", what]:
                self.edit(side, pick, what)
            case ["void" | "delete" as how, of]:
                self.end(side, pick, Entity(of), how)
            case ["restore", of]:
                self.restore(side, pick, Entity(of))
            case ["merge"]:
                self.merge(side, pick)
            case ["reuse"]:
                self.reuse(side, pick)
            case ["twice"]:
                self.enter_twice(pick)
            case ["spoil"]:
                if inv := self.some(side, Entity.INVOICE, pick):
                    self.books(side).corrupt(Entity.INVOICE, inv.ref.id)
            case ["decide", action]:
                self.decide(action, pick)
            case _:
                raise AssertionError(what)

    def new_invoice(self, side: str, pick: int, number: str | None = None) -> None:
        who, amount = self.some(side, Entity.CUSTOMER, pick), self.amount()
        posted = DAY + timedelta(days=pick % 9)
        self.put(side, invoice(who.ref.id, amount, number=number or f"{side[0]}{amount}", posted=posted))

    def pay(self, side: str, pick: int, part: str) -> None:
        inv = self.some(side, Entity.INVOICE, pick)
        if inv is None:
            return
        applied = round(self.books(side).open(Entity.INVOICE, inv.ref.id) * D(part), 2)
        amount = self.amount()
        on = ((inv.ref.id, str(min(applied, D(amount)))),) if applied > 0 else ()
        self.put(side, payment(inv.customer, amount, on=on, reference=f"{side[0]}p{amount}"))

    def apply_more(self, side: str, pick: int, entity: Entity) -> None:
        money, books = self.both_hold(side, entity, pick), self.books(side)
        theirs = [i for i in books.all(Entity.INVOICE) if money is not None and i.customer == money.customer]
        theirs = [i for i in theirs if i.state is PostingState.POSTED]
        if not theirs:
            return
        inv = theirs[pick // 7 % len(theirs)]
        part = min(books.open(entity, money.ref.id), books.open(Entity.INVOICE, inv.ref.id))
        if part > 0:
            books.apply(money.ref.id, inv.ref.id, part, DAY)

    def edit(self, side: str, pick: int, what: str) -> None:
        if what in ("phone", "email", "terms", "tax_id"):
            who = self.both_hold(side, Entity.CUSTOMER, pick)
            self.books(side).edit(Entity.CUSTOMER, who.ref.id, **{what: f"{what} {self.amount()}"})
            return
        inv = self.both_hold(side, Entity.INVOICE, pick)
        if inv is None:
            return
        total = inv.total + D("0.01")
        changes = {"memo": f"edited {total} {pick}"} if what == "memo" else {"total": total, "subtotal": total}
        self.books(side).edit(Entity.INVOICE, inv.ref.id, **changes)

    def end(self, side: str, pick: int, entity: Entity, how: str) -> None:
        one = self.both_hold(side, entity, pick)
        if one is None:
            return
        if how == "delete":
            self.books(side).delete(entity, one.ref.id)
        else:
            self.books(side).void(entity, one.ref.id, DAY)

    def restore(self, side: str, pick: int, entity: Entity) -> None:
        """A document without money on it: whether that could still be applied is another question."""
        gone = [
            s.record.ref.id
            for s in self.books(side).rows(entity)
            if (s.existence is Existence.DELETED or s.record.state is PostingState.VOIDED)
            and not getattr(s.record, "applications", ())
            and self._customer_lives(side, s.record.customer)
        ]
        if gone:
            self.books(side).restore(entity, gone[pick % len(gone)])

    def _customer_lives(self, side: str, id: str) -> bool:
        return bool(self.books(side).stored(Entity.CUSTOMER, id).existence is not Existence.DELETED)

    def merge(self, side: str, pick: int) -> None:
        who = self.books(side).all(Entity.CUSTOMER)
        if len(who) > 2:
            loser, winner = who[pick % len(who)], who[(pick + 1) % len(who)]
            self.books(side).merge(loser.ref.id, winner.ref.id)

    def reuse(self, side: str, pick: int) -> None:
        """The number of an invoice that was voided or deleted is given to another one."""
        live = {called(r) for r in self.books(side).all(Entity.INVOICE) if r.state is PostingState.POSTED}
        rows = (s.record for s in self.books(side).rows(Entity.INVOICE))
        free = [r.number for r in rows if r.number and r.number not in live]
        if free:
            self.new_invoice(side, pick, number=free[pick % len(free)])

    def enter_twice(self, pick: int) -> None:
        """One invoice that both enter for themselves; their notes differ every other time."""
        amount, posted = self.amount(), DAY + timedelta(days=pick % 9)
        for side in (LEFT, RIGHT):
            who = self.both_hold(side, Entity.CUSTOMER, pick)
            memo = f"from {side}" if pick % 2 else None
            self.put(side, invoice(who.ref.id, amount, number=f"b{amount}", posted=posted, memo=memo))

    def decide(self, action: str, pick: int) -> None:
        found = differences.listed(self.store)
        if found:
            one = found[pick % len(found)]
            with contextlib.suppress(TieoutError):
                decisions.decide(self.store, one["id"], action=action, by="Grace", reason="looked into it")
                self.reached[f"{action} taken"] += 1

    def mend(self) -> None:
        for side in (LEFT, RIGHT):
            for stored in list(self.books(side).everything()):
                if stored.unreadable is not None:
                    self.books(side).edit(stored.record.entity, stored.record.ref.id)

    # ── what tieout.toml says

    def configure(self, what: str) -> None:
        self.reached[f"configured: {what}"] += 1
        self.configured |= {i["key"] for i in self.intents()}
        match what.split():
            case ["mode", mode]:
                self.set(mode=mode)
            case ["owners"]:
                self.set(policy={(Entity.CUSTOMER, name): owner for name, owner in OWNERS.items()})
            case ["owners", "born"]:
                self.set(policy={})
            case ["memo", owner]:
                self.set(policy={**self.pair.policy, (Entity.INVOICE, "memo"): owner})
            case ["flows", flow]:
                self.set(flows=dict.fromkeys((Entity.INVOICE, Entity.PAYMENT), flow))
            case ["adjustments"]:
                self.set(flows={Entity.ADJUSTMENT: "both"})
            case ["renamed"]:
                self.set(name=f"{self.pair.name}+", was=self.pair.name)
            case ["attended"]:
                self.set(unattended=frozenset())
            case ["unattended"]:
                self.set(unattended=frozenset({"credit_memo", "adjustment", *(f"{e.value}.void" for e in DOCUMENTS)}))
            case ["narrow"]:
                self.set(limits=replace(self.pair.limits, creates=1, voids=0))
            case ["wide"]:
                self.set(limits=replace(self.pair.limits, creates=10_000, voids=1_000))
            case ["cutover"]:
                self.set(cutover=DAY + timedelta(days=3))
            case ["no", "cutover"]:
                self.set(cutover=None)
            case ["closed"]:
                self.r.closed_through = DAY + timedelta(days=2)
            case ["open"]:
                self.r.closed_through = None
            case _:
                raise AssertionError(what)

    # ── runs

    def once(self, tick: float, fault: tuple[FaultKind, str] | None = None, side: str = LEFT, nth: int = 1) -> Any:
        """One run; None if it died or gave up. What went wrong, what it wrote and what it lists counts as reached."""
        faults = (self.left if side == LEFT else self.right).faults = Faults()
        if fault is not None:
            faults.arm(Fault(fault[0], op=fault[1], nth=nth))
        report = None
        with contextlib.suppress(SimulatedCrash, TieoutError):
            report = self.run(tick=tick)
        self.reached.update(f"{f.kind.value} of {f.op}" for f in faults.struck)
        (self.left if side == LEFT else self.right).faults = Faults()
        if report is None:
            self.reached["run failed"] += 1
            return None
        self.reached.update(f"{o['op']} {o['entity']} {o['target']}" for o in (w["operation"] for w in report.written))
        self.reached.update(d.code for d in report.discrepancies)
        self.reached.update(f"guard {t.name}" for t in report.trips)
        self._somebody_was_quicker(report)
        return report

    def load(self) -> None:
        """The file ERP loads what it was handed."""
        self.r.import_outbox()

    # ── what must hold at any moment

    def _witnessed(self, side: str, write: Any) -> Any:
        books = self.books(side)

        def witnessed(request: Any) -> Any:
            late = books._due is not None
            if not books._replayed(request):
                self._arrived(side, request, late=late)
            return write(request)

        return witnessed

    def _arrived(self, side: str, request: Any, *, late: bool) -> None:
        """I1, I4, I5 and I10, of a write as the other system sees it."""
        assert not self.connection.in_transaction, "a system was called within a transaction"
        found = self.ask(
            "SELECT i.state, a.attempt, i.operation FROM intent i"
            " LEFT JOIN intent_attempt a ON a.intent = i.id AND a.attempt = i.attempt WHERE i.key = ?",
            request.key,
        )
        away = late or (self.file and side == RIGHT)
        if not found:
            assert away and self.lost, f"{request} arrived without a committed intent"
            return
        state, attempt, operation = found[0]
        assert attempt is not None, f"{request} arrived without an attempt"
        assert away or state == "sending", f"{request} arrived while its intent was {state}"
        assert request.op is not Op.DELETE, f"{request}: nothing is ever deleted"
        if request.op is Op.CREATE:
            return
        stored = self.books(side).stored(request.entity, request.id)
        if not away:
            assert stored.unreadable is None, f"{request} would change what cannot be read"
            self._overtake(side, request)
        name = called(stored.record)
        if request.op is Op.VOID:
            there = [r for r in self.books(OTHER[side]).rows(request.entity) if called(r.record) == name]
            assert any(r.record.state is PostingState.VOIDED for r in there), f"{request}: {name} is void nowhere"
        elif not away and request.key not in self.configured:
            for field in loads(operation)["fields"]:
                self._may_write(side, request.entity, field["name"], str(name))

    def _may_write(self, side: str, entity: Entity, field: str, name: str) -> None:
        assert field in COMPARED[entity], f"{field} of {entity} is derived"
        born = {"l": LEFT, "r": RIGHT}.get(name[:1], "compare")
        owner = self.pair.policy.get((entity, field), born)
        assert owner == "two_way" or owner == OTHER[side], f"{field} of {name} is {owner}'s, and written {side}"

    def _overtake(self, side: str, request: Any) -> None:
        """Somebody changes the record between the last look at it and the write."""
        if self.quicker is None or self.quicker[0] != side or request.entity is not Entity.INVOICE:
            return
        field, self.quicker = self.quicker[1], None
        value = f"{self.amount()} just now"
        self.books(side).edit(request.entity, request.id, **{field: value})
        self.overtaken.append((side, request.entity, request.id, field, value))
        self.reached["somebody was quicker"] += 1

    def _somebody_was_quicker(self, report: Any) -> None:
        """I3: what a person entered just then stands, or is on the list."""
        spoken = Truth(self)._spoken(report.discrepancies)
        for side, entity, id, field, value in self.overtaken:
            stands = getattr(self.books(side).get(entity, id), field) == value
            versioned = (self.left if side == LEFT else self.right).capabilities.versioned
            assert stands or id in spoken or not versioned, f"{side} {id}: {field} was {value!r}"
        self.overtaken.clear()

    def check(self) -> None:
        """What holds after every step, whatever it was."""
        truth = Truth(self)
        truth._once()
        self._balance(truth)
        assert not truth.wrong, truth.wrong
        self._once_each()
        for (side, entity, id), shade in self.colour.items():
            stored = self.books(side).stored(entity, id)
            assert stored.extra.get("colour") == shade, f"{side} {id}: what is not mapped was changed"
        [(seq,)] = self.ask("SELECT coalesce(max(seq), 0) FROM audit_event")
        if seq != self.verified:
            assert log_breaks(self.store) == []
            unproved = [f.says for f in unlike(self.store)]
            assert not unproved, unproved
            self.verified = seq

    def _balance(self, truth: Truth) -> None:
        """M1 to M3 of both books. People enter by hand here, and these books let them void what has money on it."""
        for books in (self.l, self.r):
            owed = sum((books.balance(c.ref.id) for c in books.all(Entity.CUSTOMER, deleted=True)), D(0))
            stated = books.receivables(date(2030, 1, 1)).get("USD", D(0))
            if owed != stated:
                truth.say("money", f"customers owe {owed}, receivables say {stated}")

    def _once_each(self) -> None:
        """I6: one record is one subject, a subject has one record a side, and at most one write under way."""
        for columns in ("connection, entity, native_id", "subject, connection"):
            more = self.ask(f"SELECT {columns} FROM xref WHERE state = 'active' GROUP BY {columns} HAVING count(*) > 1")
            assert more == [], more
        states = ", ".join(repr(s) for s in OPEN_STATES if s != "ready")
        more = self.ask(
            f"SELECT subject, connection FROM intent WHERE state IN ({states}) GROUP BY 1, 2 HAVING count(*) > 1"
        )
        assert more == [], more

    # ── at rest

    def stabilise(self) -> Any:
        """Faults end, what cannot be read is mended, nights pass, a person lets plans go; then nothing moves any more."""
        self.quicker = None
        self.left.faults, self.right.faults = Faults(), Faults()
        self.mend()
        for _ in range(NIGHTS):
            if self.file:
                self.load()
            before = self._all()
            report = self.once(NIGHT)
            assert report is not None, "a run without any fault failed"
            if report.operations and (report.trips or report.waiting) and self.pair.mode in ("propose", "auto"):
                with contextlib.suppress(TieoutError):
                    self.approve(report, *sorted({t.name for t in report.trips}))
                    self.once(900)  # an approval holds for a day
                continue
            if before == self._all() and not report.written:
                break
        before = self._all()
        report = self.run(tick=900)
        assert self._all() == before, f"a last run still did something: {_apart(before, self._all())}"
        assert (report.changes.opened, report.changes.closed, report.failures) == (0, 0, [])
        assert not report.operations or self.pair.mode not in ("propose", "auto"), report.as_json()
        self.check()
        self._all_told(report)
        return report

    def _all(self) -> list[Any]:
        """C1: both books, what is agreed, what is linked, what is wanted and what is listed."""
        tables = [
            self.ask("SELECT id, state FROM intent ORDER BY id"),
            self.ask("SELECT subject, connection, native_id, state FROM xref ORDER BY id"),
            self.ask("SELECT id, state, body FROM discrepancy ORDER BY id"),
            self.ask("SELECT count(*) FROM audit_event WHERE object_type = 'discrepancy'"),
            [tuple(sorted(r.items())) for r in self._bases()],
        ]
        return [self.l.fingerprint(), self.r.fingerprint(), len(self.r.outbox), *tables]

    def _bases(self) -> list[dict[str, Any]]:
        b = schema.base.c
        kept = b.pair, b.subject, b.connection, b.facts, b.existence
        return self.store.rows(sa.select(*kept).order_by(*schema.base.primary_key.columns))

    def _all_told(self, report: Any) -> None:
        """C2 to C4 and M4, by ground truth: to the cent, document by document."""
        listed = list(report.discrepancies)
        truth = Truth(self)
        truth._cents(report, listed)
        truth._settled()
        assert not truth.wrong, truth.wrong
        assert {d["id"] for d in differences.listed(self.store)} == {d.id for d in listed}
        if self.pair.mode != "observe":
            self._each_has_one(truth._spoken(listed), {o.label for o in report.operations})

    def _each_has_one(self, spoken: set[str], planned: set[str]) -> None:
        """Every customer, and every document that counts, has one counterpart of its name, or is on a list."""
        for entity in (Entity.CUSTOMER, *DOCUMENTS):
            here, there = self._standing(LEFT, entity), self._standing(RIGHT, entity)
            for name in here.keys() | there.keys():
                ids, mates = here.get(name, []), there.get(name, [])
                told = len(ids) == len(mates) or spoken.intersection([*ids, *mates]) or name in planned
                assert told, f"{entity} {name}: {ids} at left, {mates} at right, and nothing is listed"

    def _standing(self, side: str, entity: Entity) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for record in self.books(side).all(entity):
            if getattr(record, "state", PostingState.POSTED) is PostingState.POSTED:
                found.setdefault(str(called(record)), []).append(record.ref.id)
        return found


def _apart(before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """What is in one and not in the other, part by part."""
    out: list[Any] = []
    for was, now in zip(before, after, strict=True):
        if was != now:
            a, b = (set(map(repr, x.items() if isinstance(x, dict) else x)) for x in (was, now))
            out.append({"was": sorted(a - b), "is": sorted(b - a)})
    return out


# ── what is reached ──────────────────────────────────────────────────────────────────────────────────────────────────


def _how(side: SideState | None) -> str:
    if side is None:
        return "nowhere"
    if side.existence in (Existence.DELETED, Existence.ABSENT, Existence.UNKNOWN):
        return side.existence.value
    if came_back(side):
        return "back"
    return "void" if side.facts is not None and side.facts.get("state") == PostingState.VOIDED.value else "live"


@contextmanager
def rows_noted() -> Iterator[Counter[str]]:
    """The rows of the decision table that plans came by, and the ways in which a record was there, or was not."""
    seen: Counter[str] = Counter()
    decide, settled, one_sided = plan.decide, plan.settled, plan.one_sided

    def decided(*, equal: bool, left_moved: bool, right_moved: bool, owner: Any) -> Any:
        seen[row(equal=equal, left=left_moved, right=right_moved, owner=owner)] += 1
        return decide(equal=equal, left_moved=left_moved, right_moved=right_moved, owner=owner)

    def existing(s: Any, left: Any, right: Any, *rest: Any) -> Any:
        seen[f"{_how(left)} / {_how(right)}"] += 1
        return settled(s, left, right, *rest)

    def alone(s: Any, only: Any, target: Any, *rest: Any) -> Any:
        seen[f"nowhere / {_how(only)}" if target == LEFT else f"{_how(only)} / nowhere"] += 1
        return one_sided(s, only, target, *rest)

    with (
        mock.patch.object(plan, "decide", decided),
        mock.patch.object(plan, "settled", existing),
        mock.patch.object(plan, "one_sided", alone),
    ):
        yield seen


def row(*, equal: bool, left: bool, right: bool, owner: str) -> str:
    moved = {(False, False): "none", (True, False): "l", (False, True): "r", (True, True): "l and r"}[left, right]
    return f"{'yes' if equal else 'no'} {('any' if equal and moved != 'none' else moved)} {owner}"


TABLE = {
    f"{moved} {owner}"
    for moved in ("yes none", "yes any", "no none", "no l", "no r", "no l and r")
    for owner in (LEFT, RIGHT, "two_way", "compare")
}
THERE = {f"{a} / {b}" for a in ("live", "void", "deleted") for b in ("live", "void", "deleted")} | {
    *("back / live", "live / back", "back / deleted", "deleted / back"),
    *(f"{a} / nowhere" for a in ("live", "void", "deleted")),
    *(f"nowhere / {b}" for b in ("live", "void", "deleted")),
}
OPERATIONS = {
    f"{op.value} {entity.value} {side}"
    for side in (LEFT, RIGHT)
    for op, entities in {
        OpKind.CREATE: (Entity.CUSTOMER, *DOCUMENTS),
        OpKind.UPDATE: (Entity.CUSTOMER, *DOCUMENTS),
        OpKind.APPLY: MONEY,
        OpKind.VOID: DOCUMENTS,
    }.items()
    for entity in entities
}
