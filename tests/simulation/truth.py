"""What is checked after each schedule, and at each effect: from the logs of the books themselves, never by a connector."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tieout.connectors.memory import PROFILES
from tieout.evidence.verify import log_breaks
from tieout.model import CreditMemo, Customer, Entity, Existence, Payment, PostingState
from tieout.sync.review import differences

END = date(2030, 1, 1)
ZERO = Decimal(0)
LONG = 40  # characters that every target keeps
# What nobody can notice, and docs/explain/delivery-promise.md says so: how often it was met is told with the figures.
OVER_TYPED = "typed into a field between the last look and the write of that field, in a system without versions"
SET_BACK = "set back after a lost answer and before it was read, in a system without versions"
DELETED_UNSEEN = (
    "deleted after a lost answer and before it was looked for, in a system that keeps no keys, or no longer"
)
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
        self.by_hand: list[str] = []  # what people did besides editing
        self.highest = 0
        self.shown: dict[tuple[str, Entity, str], list[tuple[int, Any]]] = {}
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
        books = self.world.l if side == "left" else self.world.r
        seen = len(books.log), observation.record
        self.shown.setdefault((side, observation.entity, observation.id), []).append(seen)

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
        self._applied(listed)
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
        if self.by_hand or any(side == "right" for side, *_ in self.edits):
            return
        allowed = {"UNCERTAIN_WRITE"}
        if (
            self.edits
        ):  # at home alone: what follows from that is listed, but nobody is blamed for an edit at the target
            allowed = more.keys() - {"UNAUTHORISED_EDIT_AFTER_POST", "RESURRECTED", "DUPLICATE_WITHIN_LEDGER"}
        if more.keys() - allowed:
            self.say("phantom", f"listed, without a reason that stands: {dict(more)}")

    def _once(self) -> None:
        """I2: at most one effect of each write; and another one only where a person took the first back unseen."""
        for side, books in (("left", self.world.l), ("right", self.world.r)):
            ours = [e for e in books.log if e.by == "connector" and not self._unseen(side, books, e)]
            for (entity, marker), n in Counter((e.entity, e.marker) for e in ours if e.op == "create").items():
                if n > 1:
                    self.say("doubled", f"{n} {entity} under {marker}")
            for (key, op), n in Counter((e.key, e.op) for e in ours).items():
                if n > 1:
                    self.say("doubled", f"{n} times {op} under one key {key}")
            creates = Counter(e.key for e in books.log if e.by == "connector" and e.op == "create")
            if twice := sum(n > 1 for n in creates.values()):
                self.met[DELETED_UNSEEN] += twice

    def _unseen(self, side: str, books: Any, entry: Any) -> bool:
        """Whether a person took back what a write did before any run was shown it, and nothing but that could tell."""
        back = next(
            (e for e in books.log[entry.seq :] if _of(e, entry) and e.by == "person" and _took_back(e, entry)), None
        )
        if back is None or entry.op not in ("create", "update"):
            return False
        shown = self.shown.get((side, entry.entity, entry.id), ())
        if any(entry.seq <= seen < back.seq for seen, _ in shown):
            return False
        profile = PROFILES[self.world.target if side == "right" else "idempotency_key"]
        # An answer that came names the record; one that is asked for again under its key, too.
        answers = self.world.database.ask(
            "SELECT a.outcome FROM intent_attempt a JOIN intent i ON i.id = a.intent WHERE i.key = ? ORDER BY a.attempt",
            entry.key,
        )
        lost = any(outcome in ("unknown", "not_applied", None) for (outcome,) in answers)
        if entry.op == "create":
            window = timedelta(seconds=profile.rules.key_window)
            again = [e.at for e in books.log[entry.seq :] if (e.key, e.op) == (entry.key, "create")]
            return lost and all(at - entry.at > window for at in again)
        return lost and not profile.capabilities.versioned

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
                if e.by == "connector" and not self._unseen(name, books, e):
                    moved[e.key] = moved.get(e.key, ZERO) + _effect(e.after) - _effect(e.before)
            columns = "key, state, delta_micros, op, native_id"
            voided = {e.id for e in books.log if e.by == "person" and e.op == "void"}
            for key, state, micros, op, native in self.world.database.ask(
                f"SELECT {columns} FROM intent WHERE connection = ?", name
            ):
                if op == "void" and key not in moved and native in voided:
                    continue  # a void that somebody else made shows what it was to show
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
                if name[2] == PostingState.VOIDED and not _whatever(sides[other], name):
                    continue  # voided before it was carried over
                ids, mates = self._lasting(which, name, ids), self._lasting(other, name, sides[other].get(name, []))
                if len(mates) != len(ids) and not spoken.intersection([*ids, *mates]):
                    self.say("lost", f"{name}: {len(ids)} at {which}, {len(mates)} at {other}, and nothing is listed")

    def _lasting(self, side: str, name: tuple[str, str, str], ids: list[str]) -> list[str]:
        """The records of a name that the other book has to have: not a double that a person entered and voided again.

        It is one only if no write touched it, it is linked to none of the other book's, and those of its name that
        stand are as many there.
        """
        books, other = (self.world.l, self.world.r) if side == "left" else (self.world.r, self.world.l)
        standing = name[0], name[1], PostingState.POSTED.value
        mates = len(_named(other).get(standing, []))
        if name[2] != PostingState.VOIDED or not mates or mates != len(_named(books).get(standing, [])):
            return ids
        linked = {
            native
            for (native,) in self.world.database.ask(
                "SELECT x.native_id FROM xref x JOIN xref o ON o.subject = x.subject AND o.connection <> x.connection"
                " WHERE x.connection = ? AND x.entity = ?",
                side,
                name[0],
            )
        }
        written = {e.id for e in books.log if e.entity == name[0] and e.by == "connector"}
        return [id for id in ids if id in linked | written]

    def _fields(self, listed: list[Any]) -> None:
        """C3: of what people read first in both books, it is the same, as far as the target can hold it, or listed."""
        spoken = self._spoken(listed)
        for entity, name in ((Entity.INVOICE, "memo"), (Entity.CUSTOMER, "phone")):
            right = {_name(r): r for r in self.world.r.all(entity)}
            for one in self.world.l.all(entity):
                other = right.get(_name(one))
                if other is None or spoken.intersection((one.ref.id, other.ref.id)):
                    continue
                if {getattr(r, "state", None) for r in (one, other)} == {PostingState.VOIDED}:
                    continue  # a text is not carried into a document that is to be voided
                here, there = getattr(one, name) or "", getattr(other, name) or ""
                if not (here == there or (there and here.startswith(there) and len(there) > LONG)):
                    self.say("silent", f"{name} of {_name(one)} is {here!r} and {there!r}, and nothing is listed")

    def _applied(self, listed: list[Any]) -> None:
        """What of a payment or credit settles which invoice is the same in both books, or listed."""
        spoken = self._spoken(listed)
        for entity in (Entity.PAYMENT, Entity.CREDIT_MEMO):
            here, there = (_settling(books, entity) for books in (self.world.l, self.world.r))
            for name in here.keys() & there.keys():
                (ids, applied), (mates, also) = here[name], there[name]
                if applied != also and not spoken & (ids | mates):
                    self.say("silent", f"{name} settles {applied} at home and {also} there, and nothing is listed")

    def _edits(self, listed: list[Any]) -> None:
        """I3: what a person entered stands, or a difference of that record is open.

        But for what nobody can know of, which is counted (`met`).
        """
        last = {(side, entity, id, field): value for side, entity, id, field, value in self.edits}
        spoken = self._spoken(listed)
        for (side, entity, id, field), value in last.items():
            books = self.world.l if side == "left" else self.world.r
            now = {r.ref.id: r for r in books.all(entity)}.get(id)
            if (
                id in spoken
                or (now is not None and _held(now, field) == _plain(value))
                or self._ended(books, entity, id)
            ):
                continue
            of_it = [e for e in books.log if (e.entity, e.id) == (entity, id) and None not in (e.before, e.after)]
            steps = [(e, _held(e.before, field), _held(e.after, field)) for e in of_it]
            value = _plain(value)
            typed = max((e.seq for e, _, after in steps if after == value), default=0)
            over = [e for e, before, after in steps if e.seq > typed and before == value != after]
            if self._loaded_over(books, entity, id, field, value, over):
                self.met[LOADED_OVER] += 1
            elif len(over) == 1 and any(self._unseen(side, books, e) and e.key == over[0].key for e in of_it):
                self.met[SET_BACK] += 1
            elif self._over_typed(books, entity, id, field, value, over):
                self.met[OVER_TYPED] += 1
            elif self._changed_at_home_since(books, field, typed, over):
                continue
            else:
                self.say("lost update", f"{side} {id}: {field} was set to {value!r} by hand")

    def _changed_at_home_since(self, books: Any, field: str, typed: int, over: list[Any]) -> bool:
        """Whether a mirror got what people entered at home after both books had said the same by what was typed there."""
        home = self.world.l if books is self.world.r else self.world.r
        if not (typed and over and any(_of(e, over[0]) and (e.op, e.by) == ("create", "connector") for e in books.log)):
            return False
        value = _held(books.log[typed - 1].after, field)
        # The entry of the person: a write of what is there already may have come after it.
        by_hand = [e for e in books.log[:typed] if _of(e, over[0]) and e.by == "person" and e.after]
        entry = next((e for e in reversed(by_hand) if _held(e.after, field) == value), books.log[typed - 1])
        mates = [e for e in home.log if e.after and (e.entity, _name(e.after)) == (entry.entity, _name(entry.after))]
        said = [_held(e.after, field) for e in mates if e.at <= entry.at]
        later = [_held(e.after, field) for e in mates if e.at > entry.at and e.by == "person"]
        carried = all(e.by == "connector" and _held(e.after, field) in later for e in over)
        return carried and said[-1:] == [_held(entry.after, field)]

    @staticmethod
    def _ended(books: Any, entity: Entity, id: str) -> bool:
        """Whether a person deleted or voided it themselves: what they had typed before went with it."""
        return any(
            e.op in ("void", "delete") and e.by == "person" and (e.entity, e.id) == (entity, id) for e in books.log
        )

    def _over_typed(self, books: Any, entity: Entity, id: str, field: str, value: Any, over: list[Any]) -> bool:
        """Whether one write that was to change this field came over what was typed, which no run was ever shown.

        Only where there are no versions that a write could be refused by.
        """
        if books is not self.world.r or PROFILES[self.world.target].capabilities.versioned:
            return False
        if [(e.by, e.op) for e in over] != [("connector", "update")]:
            return False
        if any(getattr(record, field, None) == value for _, record in self.shown.get(("right", entity, id), ())):
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


def _of(entry: Any, other: Any) -> bool:
    return (entry.entity, entry.id) == (other.entity, other.id)


def _took_back(entry: Any, write: Any) -> bool:
    """Whether an entry of a person took back what a write did: deleted what it made, set a field to what it was."""
    if write.op == "create":
        return bool(entry.op == "delete")
    if None in (entry.before, entry.after):
        return False
    names = [n for n in ("memo", "phone", "applications") if hasattr(write.after, n)]
    moved = [n for n in names if _held(write.before, n) != _held(write.after, n)]
    return bool(moved) and all(_held(entry.after, n) == _held(write.before, n) for n in moved)


def _held(record: Any, field: str) -> Any:
    return _plain(getattr(record, field))


def _plain(value: Any) -> Any:
    """A value as it is compared: of applications, how much of which invoice."""
    if not isinstance(value, tuple):
        return value
    return sorted((a.invoice, a.amount) for a in value if a.reversed_on is None)


def _whatever(names: dict[tuple[str, str, str], list[str]], name: tuple[str, str, str]) -> bool:
    """Whether there is a record of this kind and name, in whatever state."""
    return any(other[:2] == name[:2] for other in names)


def _stands(record: Any) -> bool:
    return getattr(record, "state", None) is PostingState.POSTED


def _settling(books: Any, entity: Entity) -> dict[str, tuple[set[str], list[tuple[str, Decimal]]]]:
    """By the names of payments or credits: their ids, and what they settle of which invoice."""
    bills = {r.ref.id: _name(r) for r in books.all(Entity.INVOICE)}
    out: dict[str, tuple[set[str], list[tuple[str, Decimal]]]] = {}
    for one in books.all(entity):
        ids, applied = out.setdefault(_name(one), (set(), []))
        ids.add(one.ref.id)
        applied += [(bills.get(a.invoice, "?"), a.amount) for a in one.applications if a.reversed_on is None]
        applied.sort()
    return out


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
