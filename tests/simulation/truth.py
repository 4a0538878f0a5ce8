"""What is checked after each schedule, and at each effect: from the logs of the books themselves, never by a connector."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.connectors.memory import PROFILES
from tieout.evidence.verify import log_breaks
from tieout.model import CreditMemo, Customer, Entity, Existence, Payment, PostingState
from tieout.sync import differences

END = date(2030, 1, 1)
ZERO = Decimal(0)
LONG = 40  # characters that every target keeps
# What nobody can notice, and docs/explain/delivery-promise.md says so: how often it was met is told with the figures.
OVER_TYPED = "typed into a field between the last look and the write of that field, in a system without versions"
LOADED_OVER = "typed at a file ERP and loaded over between two exports"
DOCUMENTS = (Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT)
# Why a write is left to people, by design: the target cannot be asked, or did not show it twice.
OPEN_STATES = ("ready", "sending", "unknown", "applied")


class Truth:
    """What is wrong so far, as (kind, words)."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.wrong: list[tuple[str, str]] = []
        self.edits: list[tuple[str, Entity, str, str, Any]] = []
        self.highest = 0
        self.shown: dict[tuple[str, Entity, str], list[Any]] = {}
        self.met: Counter[str] = Counter()

    def say(self, kind: str, words: str) -> None:
        self.wrong.append((kind, words))

    # ── while it happens ─────────────────────────────────────────────────────────────────────────────────────────

    def committed(self, lease: Any) -> None:
        """I7: once a later epoch has written, no earlier one does."""
        if lease.epoch < self.highest:
            self.say("fencing", f"epoch {lease.epoch} committed after {self.highest}")
        self.highest = max(self.highest, lease.epoch)

    def called(self, worker: Any) -> None:
        """No transaction is open across a call."""
        store = self.world.stores.get(worker.number if worker is not None else 0)
        if store is not None and store.within:
            self.say("transaction", "a system was called within a transaction")

    def arrived(self, books: Any, request: Any, *, late: bool) -> None:
        """I1: what arrives has a committed intent with this key, which is being sent."""
        found = self.world.database.ask(
            "SELECT i.state, i.connection, a.attempt FROM intent i LEFT JOIN intent_attempt a"
            " ON a.intent = i.id AND a.attempt = i.attempt WHERE i.key = ?",
            request.key,
        )
        if not found or found[0][2] is None:
            self.say("no intent", f"{request.op} {request.entity} {request.key} arrived without a committed attempt")
        elif books is self.world.r and self.world.file:
            return
        elif found[0][0] != "sending" and not late and len(self.world.driver.crew) < 2:
            self.say("no intent", f"{request.op} {request.entity} arrived while its intent was {found[0][0]}")

    def handed_over(self, manifest: Any) -> None:
        for item in manifest["items"]:
            if not self.world.database.ask("SELECT 1 FROM intent WHERE key = ?", item["key"]):
                self.say("no intent", f"{manifest['file']}: {item['key']} was handed over without a committed intent")

    def showed(self, side: str, observation: Any) -> None:
        """A run was shown a record of a side, in a list or by its id."""
        self.shown.setdefault((side, observation.entity, observation.id), []).append(observation.record)

    # ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, report: Any, plain: Any) -> None:
        """plain: how the undisturbed run ended; None where people did more, or where more is on the list for them."""
        listed = list(report.discrepancies)
        self._once()
        self._cents(report, listed)
        self._money()
        self._settled()
        self._nothing_lost(listed)
        self._edits(listed)
        self._fields(listed)
        self._frame()
        if log_breaks(self.world.store):
            self.say("audit", "; ".join(log_breaks(self.world.store)))
        named = {d.id for d in listed}
        lasting = {d["id"] for d in differences.listed(self.world.store)}
        if lasting != named:
            self.say("silent", f"the lasting list and the report differ: {sorted(lasting ^ named)}")
        if plain is not None and state_of(self.world) != plain:
            self.say("confluence", _apart(plain, state_of(self.world)))

    def phantoms(self, more: Counter[str]) -> None:
        """C4: where nobody did anything else, nothing is listed but what is put before a person for being uncertain."""
        if any(side == "right" for side, *_ in self.edits):
            return
        allowed = {"UNCERTAIN_WRITE"}
        if (
            self.edits
        ):  # at home alone: what follows from that is listed, but nobody is blamed for an edit at the target
            allowed = more.keys() - {"UNAUTHORISED_EDIT_AFTER_POST", "RESURRECTED", "DUPLICATE_WITHIN_LEDGER"}
        if more.keys() - allowed:
            self.say("phantom", f"listed, without a reason that stands: {dict(more)}")

    def _once(self) -> None:
        """I2: at most one effect of each write."""
        for books in (self.world.l, self.world.r):
            ours = [e for e in books.log if e.by == "connector"]
            for (entity, marker), n in Counter((e.entity, e.marker) for e in ours if e.op == "create").items():
                if n > 1:
                    self.say("doubled", f"{n} {entity} under {marker}")
            for (key, op), n in Counter((e.key, e.op) for e in ours).items():
                if n > 1:
                    self.say("doubled", f"{n} times {op} under one key {key}")

    def _cents(self, report: Any, listed: list[Any]) -> None:
        left, right = (b.receivables(END).get("USD", ZERO) for b in (self.world.l, self.world.r))
        told = sum((d.delta for d in listed if d.delta is not None), ZERO)
        if left + told != right:
            self.say("cents", f"left {left}, listed {told}, right {right}")
        remainder = report.comparison.as_json()["bridge"].get("USD", {"remainder": "0.00"})["remainder"]
        if Decimal(remainder):
            self.say("cents", f"the bridge leaves {remainder}")

    def _money(self) -> None:
        """M1 to M3 on either side, M5 across them: what intents say they moved is what the log says moved."""
        for books in (self.world.l, self.world.r):
            owed: Counter[str] = Counter()
            taken: Counter[str] = Counter()
            money = [r for e in (Entity.PAYMENT, Entity.CREDIT_MEMO) for r in books.all(e) if _stands(r)]
            for one in money:
                of = one.amount if isinstance(one, Payment) else one.total
                used = sum((a.amount for a in one.applications if a.reversed_on is None), ZERO)
                if used > of + sum((c.amount for c in getattr(one, "credits", ())), ZERO):
                    self.say("money", f"{one.ref.id} of {of} is applied for {used}")
                owed[one.customer] -= of
                for a in one.applications:
                    taken[a.invoice] += a.amount_invoice if a.reversed_on is None else ZERO
            for bill in books.all(Entity.INVOICE):
                if not _stands(bill):
                    continue
                owed[bill.customer] += bill.total
                if (
                    bill.total - taken[bill.ref.id] != books.open(Entity.INVOICE, bill.ref.id)
                    or taken[bill.ref.id] > bill.total
                ):
                    self.say("money", f"{bill.ref.id} of {bill.total} has {taken[bill.ref.id]} on it")
            for one in books.all(Entity.CUSTOMER):
                if owed[one.ref.id] != books.balance(one.ref.id):
                    self.say(
                        "money", f"{one.ref.id} owes {owed[one.ref.id]}, the books say {books.balance(one.ref.id)}"
                    )
        self._conserved()

    def _conserved(self) -> None:
        """M5: what a write says that it moves is what arrived under its key moved; and one that is done arrived.

        A request that was sent too late to be waited for may arrive after it was given up: then both agree without it.
        """
        for name, books in (("left", self.world.l), ("right", self.world.r)):
            moved: dict[str, Decimal] = {}
            for e in books.log:
                if e.by == "connector":
                    moved[e.key] = moved.get(e.key, ZERO) + _effect(e.after) - _effect(e.before)
            rows = self.world.database.ask("SELECT key, state, delta_micros FROM intent WHERE connection = ?", name)
            for key, state, micros in rows:
                says = Decimal(micros) / 1_000_000
                if (key in moved or state == "done") and moved.get(key, ZERO) != says:
                    self.say(
                        "money", f"{name}: a write that is {state} says it moves {says}, it moved {moved.get(key)}"
                    )

    def unsettled(self) -> list[tuple[Any, ...]]:
        return self.world.database.ask(f"SELECT state, op, entity FROM intent WHERE state IN {OPEN_STATES}")

    def _settled(self) -> None:
        """C2: every intent has an end, or a person was told."""
        if self.unsettled():
            self.say("unsettled", str(self.unsettled()))

    def _spoken(self, listed: list[Any]) -> set[str]:
        """The native ids that a listed difference is about; one of a single field names its subject."""
        subjects = {name for d in listed for name in (d.left, d.right, *d.links) if name}
        known = self.world.database.ask("SELECT subject, native_id FROM xref")
        return subjects | {native for subject, native in known if subject in subjects}

    def _nothing_lost(self, listed: list[Any]) -> None:
        """Every record of either side has one counterpart, or a listed difference speaks of it."""
        spoken = self._spoken(listed)
        sides = {which: _named(books) for which, books in (("left", self.world.l), ("right", self.world.r))}
        for which, other in (("left", "right"), ("right", "left")):
            for name, ids in sides[which].items():
                mates = sides[other].get(name, [])
                if len(mates) != len(ids) and not spoken.intersection([*ids, *mates]):
                    self.say("lost", f"{name}: {len(ids)} at {which}, {len(mates)} at {other}, and nothing is listed")

    def _fields(self, listed: list[Any]) -> None:
        """C3: of what people read first in both books, it is the same, as far as the target can hold it, or listed."""
        spoken = self._spoken(listed)
        for entity, name in ((Entity.INVOICE, "memo"), (Entity.CUSTOMER, "phone")):
            right = {_name(r): r for r in self.world.r.all(entity)}
            for one in self.world.l.all(entity):
                other = right.get(_name(one))
                if other is None or spoken.intersection((one.ref.id, other.ref.id)):
                    continue
                here, there = getattr(one, name) or "", getattr(other, name) or ""
                if not (here == there or (there and here.startswith(there) and len(there) > LONG)):
                    self.say("silent", f"{name} of {_name(one)} is {here!r} and {there!r}, and nothing is listed")

    def _edits(self, listed: list[Any]) -> None:
        """I3: what a person entered stands, or a difference of that record is open.

        But for what nobody can know of, which is counted (`met`).
        """
        last = {(side, entity, id, field): value for side, entity, id, field, value in self.edits}
        spoken = self._spoken(listed)
        for (side, entity, id, field), value in last.items():
            books = self.world.l if side == "left" else self.world.r
            if getattr(books.get(entity, id), field) == value or id in spoken:
                continue
            steps = [(e, getattr(e.before, field), getattr(e.after, field)) for e in books.log if _of(e, entity, id)]
            typed = max((e.seq for e, _, after in steps if after == value), default=0)
            over = [e for e, before, after in steps if e.seq > typed and before == value != after]
            if self._loaded_over(books, entity, id, field, value, over):
                self.met[LOADED_OVER] += 1
            elif self._over_typed(books, entity, id, field, value, over):
                self.met[OVER_TYPED] += 1
            else:
                self.say("lost update", f"{side} {id}: {field} was set to {value!r} by hand")

    def _over_typed(self, books: Any, entity: Entity, id: str, field: str, value: Any, over: list[Any]) -> bool:
        """Whether one write that was to change this field came over what was typed, which no run was ever shown.

        Only where there are no versions that a write could be refused by.
        """
        if books is not self.world.r or PROFILES[self.world.target].capabilities.versioned:
            return False
        if [(e.by, e.op) for e in over] != [("connector", "update")]:
            return False
        if any(getattr(record, field, None) == value for record in self.shown.get(("right", entity, id), ())):
            return False
        rows = self.world.database.ask("SELECT operation FROM intent WHERE key = ?", over[0].key)
        return any(field in {f["name"] for f in json.loads(text)["fields"]} for (text,) in rows)

    def _loaded_over(self, books: Any, entity: Entity, id: str, field: str, value: Any, over: list[Any]) -> bool:
        """Whether a file was loaded over what was typed, and no committed observation has it."""
        if books is not self.world.r or not self.world.file:
            return False
        seen = self.world.database.ask(
            "SELECT record FROM observation WHERE connection = ? AND entity = ? AND native_id = ?", "right", entity, id
        )
        return [e.by for e in over] == ["connector"] and all(
            json.loads(text)[field] != value for (text,) in seen if text
        )

    def _frame(self) -> None:
        """I9: what is not mapped is as it was."""
        for books in (self.world.l, self.world.r):
            for e in Entity:
                for stored in books.rows(e):
                    if stored.extra.get("colour", "green") != "green":
                        self.say("frame", f"{stored.record.ref.id}: {stored.extra}")
        if self.world.coloured != self.world.colours():
            self.say("frame", f"{self.world.coloured} records had a colour, {self.world.colours()} have")


def _of(entry: Any, entity: Entity, id: str) -> bool:
    return (entry.entity, entry.id) == (entity, id) and None not in (entry.before, entry.after)


def _stands(record: Any) -> bool:
    return getattr(record, "state", None) is PostingState.POSTED


def _effect(record: Any) -> Decimal:
    if record is None or isinstance(record, Customer) or not _stands(record):
        return ZERO
    match record:
        case Payment():
            return -Decimal(record.amount)
        case CreditMemo():
            return -Decimal(record.total)
        case _:
            return Decimal(getattr(record, "total", ZERO))


def _name(record: Any) -> str:
    return getattr(record, "reference", None) or getattr(record, "number", None) or getattr(record, "name", "") or "?"


def _named(books: Any) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for e in (Entity.CUSTOMER, *DOCUMENTS):
        for r in books.all(e):
            found.setdefault((e.value, _name(r), str(getattr(r, "state", ""))), []).append(r.ref.id)
    return found


def state_of(world: Any) -> list[Any]:
    """Both ledgers without ids, versions, marks and days of voiding: what a restart must not change."""
    out = []
    for side, books in (("left", world.l), ("right", world.r)):
        names = {r.ref.id: _name(r) for e in Entity for r in books.all(e)}
        for e in Entity:
            for stored in books.rows(e):
                if stored.existence is Existence.DELETED:
                    continue
                fields = books.derived(stored.record).model_dump(mode="json", exclude={"ref", "marker", "voided_on"})
                out.append(f"{side} {e.value} {_renamed(fields, names)}")
    return sorted(out)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((_renamed(v, names) for v in value), key=repr)
    return names.get(value, value) if isinstance(value, str) else value


def _apart(plain: list[Any], now: list[Any]) -> str:
    return f"undisturbed only: {[x for x in plain if x not in now]}; now only: {[x for x in now if x not in plain]}"
