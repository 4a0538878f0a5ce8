"""What writing shares within a run: the two targets, the rows of its intents, and what is to be said of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.compare import Discrepancy
from tieout.connectors import Connector, Observation
from tieout.errors import RecordError
from tieout.model import ZERO, AnyRecord, Entity, Payment, from_json
from tieout.sync import schema
from tieout.sync.core.facts import Facts, Shared, UnknownReferenceError, Which, facts, share
from tieout.sync.core.operations import A_PERSON_LOOKS, Finding, Operation, OpKind, after_refusal, shown
from tieout.sync.core.taken import EDITED
from tieout.sync.pair import ACKNOWLEDGED_WITHIN
from tieout.sync.state.book import Book, own_share, standing
from tieout.sync.store import Lease, Store, Tx, loads

OPEN = ("ready", "sending", "unknown", "applied", "emitted", "stuck")


@dataclass(slots=True)
class Target:
    """One side that is written to: its connector, its book, and what its invoices can still take.

    halted: why nothing more is sent in this run, "" if it may be · lost: answers lost in a row
    """

    which: Which
    connector: Connector
    book: Book
    room: dict[str, Decimal]
    halted: str = ""
    lost: int = 0


@dataclass(slots=True)
class Work:
    """What writing shares in one run. `counts` are the keys of the report's `applied`; `findings` say why not.

    writes: False for a run that may only look; then open intents are read back, and nothing is sent
    acknowledged_within: how long an export may take to show what was handed over in a file
    moved: something was written, or read back, since both books were read
    overwritten: what was typed at a target and is gone since a file was loaded (`overwritten`)
    """

    store: Store
    lease: Lease
    run: str
    pair: str
    targets: Mapping[Which, Target]
    common: Callable[[Entity], frozenset[str]]
    writes: bool = True
    acknowledged_within: timedelta = ACKNOWLEDGED_WITHIN
    monotonic: Callable[[], float] = time.monotonic
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    moved: bool = False
    overwritten: list[Discrepancy] = field(default_factory=list)

    @property
    def done(self) -> set[str]:
        """Keys of the operations that were carried out and read back."""
        return {w["operation"]["key"] for w in self.written}

    def target_of(self, connection: str) -> Target:
        return next(t for t in self.targets.values() if t.connector.name == connection)

    def other(self, target: Target) -> Target:
        return next(t for t in self.targets.values() if t is not target)

    def named(self, target: Target, entity: Entity, subject: str) -> str:
        """What people call a record that is missing at the target, with its kind; by what the other side has of it."""
        book = self.other(target).book
        held = book.held.get((entity, book.natives.get(subject, "")))
        words = entity.value.replace("_", " ")
        if held is None:
            return f"a {words}"
        number = getattr(held.record, "number", None) if entity is Entity.CUSTOMER else None
        return f"{words} {held.number or held.id}" + (f" ({number})" if number else "")

    def lacking(self, intent: Mapping[str, Any], target: Target) -> str:
        """What people call the records that a write refers to and the target's newest list lacks, "" for none."""
        keys = {s: target.book.key_of(s) for s in loads(intent["operation"])["needs"] if target.book.lacks(s)}
        return ", ".join(self.named(target, key[0], subject) for subject, key in keys.items() if key is not None)

    def facts_of(self, entity: Entity, observation: Observation, target: Target) -> Facts | None:
        shared = self.shared(observation, target)
        return None if shared is None else facts(entity, shared, self.common(entity))

    def shared(self, observation: Observation, target: Target) -> Shared | None:
        """The record in terms that both sides share; None if it cannot be read, or names what is not linked.

        A credit memo that does not state its applications keeps those that were known of it.
        """
        record = observation.record
        if record is None or isinstance(record, RecordError):
            return None
        held = target.book.held.get((observation.entity, observation.id))
        if held is not None and observation.entity is Entity.CREDIT_MEMO and held.record is not None:
            own = getattr(record, "applications", ())
            if not own:
                record = record.model_copy(update={"applications": getattr(held.record, "applications", ())})
        if isinstance(record, Payment):
            record = own_share(record)
        try:
            return share(record, target.book.subject_of)
        except UnknownReferenceError:
            return None

    def end(
        self,
        intent: dict[str, Any],
        state: str,
        outcome: str,
        message: str,
        *,
        code: str = "",
        request_id: str = "",
        native_id: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Record the outcome of an attempt, with its audit event. answer: what it said of the record, as JSON"""
        with self.store.writing(self.lease, run=self.run) as tx:
            values: dict[str, Any] = {"last_error": message or None, "error_class": outcome, "answer": answer}
            if native_id is not None:
                values["native_id"] = native_id
            set_state(tx, intent, state, values)
            close_attempt(tx, intent, outcome, code=code, request_id=request_id)
            tx.audit(state, "intent", intent["id"], {"key": intent["key"], "outcome": outcome, "message": message})

    def stuck(self, intent: dict[str, Any], why: str) -> None:
        self.end(intent, "stuck", "stuck", why)
        self.blame(intent, "stuck", "UNCERTAIN_WRITE", why)

    def note(self, o: Operation, count: str, code: str, why: str) -> None:
        self.counts[count] += 1
        side: Which = "left" if o.target == "right" else "right"
        self.findings.append(Finding(o.subject, o.entity, code, why, _REMEDIES.get(count, ""), side=side))

    def edited(self, intent: Mapping[str, Any], target: Target, name: str, values: tuple[Any, Any]) -> None:
        """Name what somebody changed between a write and its read-back. values: as written, and as read back"""
        where, (ours, theirs) = target.connector.name, (shown(v) for v in values)
        cause = f"{EDITED}: tieout wrote {ours}, and {theirs} was there in a later version when {where} was read back"
        left, right = (theirs, ours) if target.which == "left" else (ours, theirs)
        entity = Entity(loads(intent["operation"])["entity"])
        self.findings.append(
            Finding(
                intent["subject"],
                entity,
                "",
                f"{cause}: somebody changed it",
                "decide which is right; correct the other side, or accept the difference with a reason",
                side=target.which,
                field=name,
                left_value=left,
                right_value=right,
            )
        )

    def blame(self, intent: dict[str, Any], count: str, code: str, why: str, remedy: str = "") -> None:
        """Say why a write is not settled. remedy: where it is another one than that of what is counted"""
        if count not in ("", "pending"):
            self.counts["stuck" if count in ("unseen", "otherwise") else count] += 1
        target = self.target_of(intent["connection"])
        side = self.other(target).which if intent["op"] == OpKind.CREATE.value else target.which
        entity = Entity(loads(intent["operation"])["entity"])
        refused = count == "rejected"
        remedy = remedy or (after_refusal(why) if refused else _REMEDIES.get(count, ""))
        self.findings.append(Finding(intent["subject"], entity, code, why, remedy, side=side, refused=refused))


REFUSED_ROW = "if it refused the row, decide `recreate` to hand it over anew"
_REMEDIES = {
    "blocked": "it follows by itself once its cause is gone",
    "stale": "it is planned again in the next run",
    "unknown": "the next run reads back and settles it; nothing is sent again on a guess",
    "stuck": f"{A_PERSON_LOOKS}, then decide the discrepancy",
    "otherwise": f"{A_PERSON_LOOKS}: bring it to what was sent, or decide `recreate` to plan it anew",
    "unseen": f"{A_PERSON_LOOKS}: {REFUSED_ROW}",
    "pending": "none yet: a later export shows it, or a person is asked to look",
}


def set_state(tx: Tx, intent: dict[str, Any], state: str, values: Mapping[str, Any]) -> None:
    tx.change(schema.intent, {"id": intent["id"]}, {"state": state, "updated_at": tx.at, **values})
    intent["state"] = state


def close_attempt(tx: Tx, intent: dict[str, Any], outcome: str, *, code: str = "", request_id: str = "") -> None:
    """Note how a send ended; what the target said of it before stays where nothing is said now."""
    said = {k: v for k, v in (("code", code), ("request_id", request_id)) if v}
    which = {"intent": intent["id"], "attempt": intent["attempt"]}
    tx.change(schema.intent_attempt, which, {"ended_at": tx.at, "outcome": outcome, **said})


_ON_ITS_WAY = sa.select(schema.intent).where(
    schema.intent.c.connection == sa.bindparam("connection"),
    schema.intent.c.state.in_(OPEN),
    schema.intent.c.op != OpKind.VOID.value,
)


def on_its_way(store: Store, book: Book) -> dict[str, Decimal]:
    """{invoice: what open writes of any pair would apply to it beyond what the book shows}, by native id."""
    sums: dict[str, Decimal] = {}
    for row in store.rows(_ON_ITS_WAY, connection=book.connection):
        native = book.natives.get(row["subject"], "")
        held = book.held.get((Entity(row["entity"]), native))
        before = standing(held.record if held else None, invoiced=True)
        wanted = from_json(Entity(row["entity"]), loads(row["request"]))
        for invoice, amount in standing(wanted, invoiced=True).items():
            more = amount - before.get(invoice, ZERO)
            if more > 0:
                sums[invoice] = sums.get(invoice, ZERO) + more
    return sums


def own(record: AnyRecord) -> AnyRecord:
    return own_share(record) if isinstance(record, Payment) else record


def unsent(intent: Mapping[str, Any]) -> str:
    """The state of an intent whose send did not happen: an earlier one of the same may have."""
    return "unknown" if intent.get("again") else "ready"
