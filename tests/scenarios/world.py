"""Two sets of books, a state database and a clock: the smallest world in which a sync can go wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tieout.connectors.memory import Faults, ManualClock, MemoryConnector, open_books
from tieout.model import (
    Adjustment,
    AdjustmentKind,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Method,
    Payment,
    PostingState,
    Ref,
)
from tieout.sync import schema
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Pair, Report, sync
from tieout.sync.guard import Limits
from tieout.sync.review import plans
from tieout.sync.store import Store, open_store

D = Decimal
NOWHERE = Ref(connection="", id="", number=None, version=None)
DAY = date(2026, 1, 15)
WIDE = Limits(creates=10_000, voids=1_000, same_field=1_000)


def customer(name: str = "Ada Ltd", **kw: Any) -> Customer:
    blank = dict.fromkeys(("number", "email", "phone", "billing_address", "terms", "tax_id", "parent"))
    return Customer(
        **{**blank, "ref": NOWHERE, "name": name, "currency": "USD", "active": True, "reported_balance": None, **kw}
    )


def _document(total: str, **kw: Any) -> dict[str, Any]:
    names = ("payer", "entity_code", "ar_account", "number", "exchange_rate", "memo", "voided_on", "reported_open")
    amount = D(total)
    tax = kw.pop("tax", D(0))
    return {
        **dict.fromkeys(names),
        "ref": NOWHERE,
        "issued": kw.get("posted", DAY),
        "posted": DAY,
        "currency": "USD",
        "lines": (),
        "tax_lines": (),
        "subtotal": amount - tax,
        "discount": D(0),
        "tax": tax,
        "total": amount,
        "state": PostingState.POSTED,
        **kw,
    }


def invoice(customer: str, total: str = "100.00", **kw: Any) -> Invoice:
    extra = {"due": DAY + timedelta(days=30), "deposit_applied": D(0), "po_number": None, "disputed": False}
    return Invoice(**{**_document(total, customer=customer, **kw), **extra, **kw})


def credit_memo(customer: str, total: str = "20.00", **kw: Any) -> CreditMemo:
    extra = {"original_invoice": None, "reason": None, "applications": ()}
    return CreditMemo(**{**_document(total, customer=customer, **kw), **extra, **kw})


def payment(customer: str, amount: str = "100.00", *, on: tuple[tuple[str, str], ...] = (), **kw: Any) -> Payment:
    names = ("payer", "entity_code", "ar_account", "reference", "exchange_rate", "deposit_to", "memo", "voided_on")
    when = kw.pop("when", DAY + timedelta(days=5))
    applications = tuple(Application(invoice=i, amount=D(a), amount_invoice=D(a), applied_on=when) for i, a in on)
    return Payment(
        **{
            **dict.fromkeys(names),
            "ref": NOWHERE,
            "customer": customer,
            "received": when,
            "posted": when,
            "method": Method.CHECK,
            "amount": D(amount),
            "currency": "USD",
            "applications": applications,
            "reported_unapplied": None,
            "state": PostingState.POSTED,
            **kw,
        }
    )


def write_off(customer: str, amount: str, document: str | None = None, **kw: Any) -> Adjustment:
    names = ("entity_code", "ar_account", "number", "exchange_rate", "reason", "approver", "voided_on")
    return Adjustment(
        **{
            **dict.fromkeys(names),
            "ref": NOWHERE,
            "kind": AdjustmentKind.WRITE_OFF,
            "side": "credit",
            "customer": customer,
            "amount": D(amount),
            "currency": "USD",
            "document": document,
            "posted": DAY,
            "state": PostingState.POSTED,
            **kw,
        }
    )


class World:
    """Books `l` and `r` and the pair between them. `run()` syncs once, applying and approving unless told not to."""

    def __init__(
        self,
        left: str = "idempotency_key",
        right: str = "idempotency_key",
        *,
        url: str = "sqlite://",
        rules: dict[str, Any] | None = None,
        right_rules: dict[str, Any] | None = None,
        left_caps: dict[str, Any] | None = None,
        right_caps: dict[str, Any] | None = None,
        **pair: Any,
    ) -> None:
        self.clock = ManualClock()
        self.left = open_books("left", left, clock=self.clock, rules=rules, **(left_caps or {}))
        self.right = open_books("right", right, clock=self.clock, rules=right_rules or rules, **(right_caps or {}))
        self.url = url
        self.store: Store = open_store(url, clock=self.clock)
        settings = {"mode": "auto", "codes": Codes.same(), "limits": WIDE, "unattended": _EVERYTHING, **pair}
        self.pair = Pair("books", "left", "right", **settings)

    @property
    def l(self) -> Any:  # noqa: E743
        return self.left.books

    @property
    def r(self) -> Any:
        return self.right.books

    def run(self, *, apply: bool = True, tick: float = 60, **kw: Any) -> Report:
        self.clock.tick(tick)
        connectors = {"left": self.left, "right": self.right}
        return sync(self.store, connectors, self.pair, apply=apply, heartbeat=False, **kw)

    def approve(self, report: Report, *guards: str, by: str = "Grace") -> None:
        assert report.plan_id is not None
        plans.approve(self.store, report.plan_id, by=by, guards=guards)

    def set(self, **pair: Any) -> None:
        self.pair = replace(self.pair, **pair)

    def codes(self, report: Report) -> list[str]:
        return sorted(d.code for d in report.discrepancies)

    def counts(self, entity: Entity) -> tuple[int, int]:
        return len(self.l.all(entity)), len(self.r.all(entity))

    def intents(self) -> list[dict[str, Any]]:
        return self.store.rows(sa.select(schema.intent).order_by(schema.intent.c.created_at))

    def fail(self, side: str, *faults: Any) -> None:
        connector: MemoryConnector = getattr(self, side)
        connector.faults = Faults(*faults)

    def settle(self, runs: int = 4, tick: float = 900) -> Report:
        """Run until nothing is left to do, with time passing; what a scheduler does overnight."""
        report = self.run(tick=tick)
        for _ in range(runs):
            report = self.run(tick=tick)
        return report


_EVERYTHING = frozenset({"credit_memo", "adjustment", "invoice.void", "payment.void", "credit_memo.void"})
