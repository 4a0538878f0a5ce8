"""What comes back when something is written: answers, faults, and what is read to tell how a write ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests import quickbooks_bench as qb
from tests.fuzz.answers import (
    ANSWERS,
    BOTH,
    FAULTS,
    NOW,
    Recording,
    again,
    asked,
    bill,
    changing,
    sage,
    sage_asked,
    sage_changing,
    sage_seeds,
    transcript,
)
from tests.fuzz.frame import Target
from tieout.connectors import Observation
from tieout.connectors.quickbooks import QuickBooksConnector
from tieout.connectors.sage_x3 import SageX3Connector
from tieout.model import AnyRecord, Entity
from tieout.testing.samples import payment

Change = Callable[[QuickBooksConnector, "Made", str], Any]


@dataclass(frozen=True)
class Made:
    """Records of a stand-in as they were read before a change. heard: what it answered to the change"""

    customer: Observation
    invoice: Observation
    credit: Observation
    payment: Observation
    heard: bytes

    def of(self, seen: Observation, **changes: Any) -> Any:
        assert isinstance(seen.record, AnyRecord)
        return seen.record.model_copy(update=changes)


QUICKBOOKS: Mapping[str, Change] = {
    "update customer": lambda c, m, key: c.update(m.of(m.customer, phone="555 0199"), before=m.customer, key=key),
    "update invoice": lambda c, m, key: c.update(m.of(m.invoice, memo="mended"), before=m.invoice, key=key),
    "update payment": lambda c, m, key: c.update(m.of(m.payment, applications=()), before=m.payment, key=key),
    "void invoice": lambda c, m, key: c.void(m.invoice, key=key),
    "void payment": lambda c, m, key: c.void(m.payment, key=key),
    "create credit memo": lambda c, m, key: c.create(qb.credit_memo(m.customer.id, number="K9"), key=key, marker="TM9"),
    "create payment": lambda c, m, key: c.create(qb.payment(m.customer.id, "5.00"), key=key, marker="TM9"),
    "search": lambda c, m, key: c.search(Entity.INVOICE, marker="TM2", like=m.invoice.record),
    "delete credit memo": lambda c, m, key: c.delete(m.credit, key=key),
}


@cache
def _quickbooks() -> Mapping[str, Made]:
    """For each change what it was made to, and what came back; each is made to the books as the last left them."""
    found: dict[str, Made] = {}
    with tempfile.TemporaryDirectory() as folder, qb.bench(Path(folder)) as live:
        plain = live.open()
        who = plain.create(qb.customer(), key="1", marker="TM1").id
        bill = plain.create(qb.invoice(who), key="2", marker="TM2").id
        credit = plain.create(qb.credit_memo(who), key="3", marker="TM3").id
        paid = plain.create(qb.payment(who, "60.00", (bill, "60.00")), key="4", marker="TM4").id
        ids = {Entity.CUSTOMER: who, Entity.INVOICE: bill, Entity.CREDIT_MEMO: credit, Entity.PAYMENT: paid}
        for name, change in QUICKBOOKS.items():
            made = Made(*(plain.get(entity, id) for entity, id in ids.items()), heard=b"")
            line = Recording()
            change(live.open(transport=line), made, name)
            found[name] = replace(made, heard=transcript(line.heard))
    return found


def _quickbooks_seeds(name: str) -> list[bytes]:
    return [*[_quickbooks()[name].heard] * 5, *FAULTS, FAULTS[1].replace(b"5010", b"6000")]


def _law(name: str) -> Callable[[bytes], None]:
    def run(c: QuickBooksConnector) -> Any:
        return QUICKBOOKS[name](c, _quickbooks()[name], "key")

    return asked(run) if name == "search" else changing(run)


# ── Sage X3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SAGE: Mapping[str, Callable[[SageX3Connector], Any]] = {
    "update customer": lambda c: c.update(again(sage().customer), before=sage().customer, key="k"),
    "create invoice": lambda c: c.create(bill(sage().customer.id, 9), key="k", marker="TM9"),
    "create payment": lambda c: c.create(payment(9, customer=sage().customer.id), key="k", marker="TM9"),
    "get invoice": lambda c: c.get(Entity.INVOICE, sage().invoice.id),
    "search": lambda c: c.search(Entity.INVOICE, marker="TM2", like=sage().invoice.record),
    "balances": lambda c: c.control_balances(NOW.date()),
}


def targets() -> list[Target]:
    """Every change, and what is read to tell how it ended."""
    made = [
        Target(f"QuickBooks {name}", lambda n=name: _quickbooks_seeds(n), _law(name), ANSWERS, weight=2)
        for name in QUICKBOOKS
    ]
    for name, what in SAGE.items():
        law = sage_changing(what) if name.startswith(("create", "update")) else sage_asked(what)
        made.append(Target(f"Sage X3 {name}", sage_seeds(name), law, BOTH, weight=10))
    return made
