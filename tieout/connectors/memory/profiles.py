"""The shapes that memory books come in: one for each way to keep a create single."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from tieout.connectors import Capabilities, Op, Strategy
from tieout.connectors.memory.types import Rules
from tieout.model import ZERO, Entity, Method, type_of

# Nobody writes these: identity, what is derived, what only a void sets, and what only a source can state.
STATED_ONLY = frozenset({"settled_on", "stated_by_source"})
_NEVER_WRITTEN = STATED_ONLY | frozenset(
    {"ref", "marker", "reported_balance", "reported_open", "reported_unapplied", "state", "voided_on"}
)
FIELDS: Mapping[Entity, frozenset[str]] = {e: frozenset(t.model_fields) - _NEVER_WRITTEN for e, t in type_of.items()}
# What a field holds that a system does not keep; None for those not listed.
BLANK: Mapping[str, Any] = {
    "lines": (),
    "tax_lines": (),
    "instalments": (),
    "applications": (),
    "credits": (),
    "disputed": False,
    "active": True,
    "stated_by_source": False,
    "deposit_applied": ZERO,
    "method": Method.OTHER,
}
# Facts without which there is no document (amounts, dates, currency, customer) are kept by every system.
DROPPABLE: Mapping[Entity, frozenset[str]] = {
    entity: frozenset(
        n for n in names if n in BLANK or type(None) in get_args(type_of[entity].model_fields[n].annotation)
    )
    for entity, names in FIELDS.items()
}
_TXN_OPS = frozenset(Op)
_WRITES = {e: _TXN_OPS - {Op.VOID} if e is Entity.CUSTOMER else _TXN_OPS for e in Entity}


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    capabilities: Capabilities
    rules: Rules


_BASE = Capabilities(
    reads=frozenset(Entity),
    writes=_WRITES,
    fields=FIELDS,
    strategy=Strategy.SEARCHABLE_MARKER,
    searchable=True,
    settle=120,
    periods_readable=True,
    derives_open=True,
)
# One for each way to keep a create single; the first is closest to QuickBooks, the last to an ERP that loads files.
PROFILES: Mapping[str, MemoryProfile] = {
    "idempotency_key": MemoryProfile(
        replace(_BASE, strategy=Strategy.IDEMPOTENCY_KEY, key_window=3600, delta=True, versioned=True, horizon_days=30),
        Rules(key_window=3600, number_limit=21),
    ),
    "unique_number": MemoryProfile(
        replace(_BASE, strategy=Strategy.UNIQUE_NUMBER, versioned=True),
        Rules(unique_numbers=True, unique_markers=True, number_limit=30, memo_limit=250),
    ),
    "searchable_marker": MemoryProfile(
        replace(_BASE, periods_readable=False), Rules(number_limit=20, memo_limit=100, apply_bumps_invoice=False)
    ),
    "file": MemoryProfile(
        replace(
            _BASE,
            strategy=Strategy.FILE,
            by_id=False,
            searchable=False,
            synchronous=False,
            periods_readable=False,
            writes={e: ops - {Op.DELETE} for e, ops in _WRITES.items()},
        ),
        Rules(number_limit=16, memo_limit=50),
    ),
}
