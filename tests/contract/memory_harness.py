"""The contract's harness on memory books, one per profile."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

from tieout.connectors.memory import PROFILES, Fault, FaultKind, Faults, ManualClock, MemoryBooks, MemoryConnector
from tieout.model import Entity, Payment
from tieout.testing import Trouble, sample

_FAULTS = {
    Trouble.LOST_ANSWER: Fault(FaultKind.LOSE_RESPONSE, op="write"),
    Trouble.THROTTLED: Fault(FaultKind.THROTTLE, op="any"),
    Trouble.BROKEN: Fault(FaultKind.LOSE_REQUEST, op="any"),
    Trouble.BROKEN_PAGE: Fault(FaultKind.TRUNCATE, op="pull"),
    Trouble.SHORT_LIST: Fault(FaultKind.SHORT_LIST, op="pull"),
}
CANARY = "canary-3f9a-token"


class Lasting(Faults):
    """One fault for every call while it lasts."""

    now: Fault | None = None

    def strike(self, op, entity):
        super().strike(op, entity)
        return self.now if self.now and self.now.matches(op, entity) else None


class MemoryHarness:
    page_size = 3
    canaries = (CANARY,)
    editable: ClassVar = {
        Entity.CUSTOMER: "phone",
        Entity.INVOICE: "memo",
        Entity.CREDIT_MEMO: "memo",
        Entity.PAYMENT: "memo",
        Entity.ADJUSTMENT: "reason",
    }

    voidable = frozenset(Entity) - {Entity.CUSTOMER}

    def __init__(self, profile="idempotency_key", connector=MemoryConnector, *, rules=None, **capabilities) -> None:
        chosen = PROFILES[profile]
        self.clock = ManualClock()
        self.books = MemoryBooks(
            clock=self.clock, rules=replace(chosen.rules, **(rules or {})), company_id="ACME", token=CANARY
        )
        self.capabilities = replace(chosen.capabilities, **capabilities)
        self.connector = connector
        self.faults = Lasting()

    def open(self, wrong=None):
        token = "canary-3f9a-token-of-another" if wrong == "credentials" else CANARY
        company = "OTHER" if wrong == "company" else "ACME"
        opened = self.connector(
            "mem", self.books, capabilities=self.capabilities, faults=self.faults, company_id=company, token=token
        )
        opened.page_size = self.page_size
        return opened

    def sample(self, entity, n, *, customer_id="", invoice_id=""):
        record = sample(entity, n, customer_id=customer_id, invoice_id=invoice_id)
        kept = self.capabilities.fields[entity]
        if isinstance(record, Payment) and "deposit_to" in kept:
            return record.model_copy(update={"deposit_to": "1000"})
        return record

    def put(self, record):
        return self.books.put(record, colour="green", size=7).ref.id

    def edit(self, entity, id, **changes):
        self.books.edit(entity, id, **changes)

    def void(self, entity, id):
        self.books.void(entity, id)

    def delete(self, entity, id):
        self.books.delete(entity, id)

    def count(self, entity):
        return len(self.books.all(entity))

    def unmapped(self, entity, id):
        return self.books.stored(entity, id).extra

    def received(self):
        return len(self.books.received) + sum(map(len, self.books.outbox.values()))

    def corrupt(self, entity, id):
        self.books.corrupt(entity, id)

    def close_books(self, through):
        self.books.closed_through = through

    @contextmanager
    def trouble(self, kind):
        self.faults.now = _FAULTS[kind]
        try:
            yield
        finally:
            self.faults.now = None

    def advance(self, seconds):
        self.clock.tick(seconds)

    def exchange(self):
        refused = self.books.import_outbox()
        assert not refused, refused
