"""Whether the state is what it was when it was last anchored outside of the database (`tieout.evidence`).

A state that was restored from a backup has forgotten writes. Nothing of it is a reason to write: the run only looks,
reads everything, and finds what tieout wrote by its marks; a person says when it may go on.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from tieout.sync import schema
from tieout.sync.store import Store

OLDER_HINT = (
    "if it was restored on purpose: tieout evidence confirm --by NAME --reason TEXT; else: tieout evidence verify"
)


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where the audit log stood: its event `seq` had `hash`. at: when that was (UTC) · line: digest of the anchor"""

    seq: int
    hash: str
    at: str
    line: str


def older(store: Store, anchored: Anchored | None) -> str:
    """Why the state is not a later one of what was anchored, in words; "" if it is, or if nothing was anchored."""
    if anchored is None or anchored.seq == 0:
        return ""
    a = schema.audit_event
    with store.reading() as db:
        head = db.execute(sa.select(a.c.seq, a.c.at).order_by(a.c.seq.desc()).limit(1)).first()
        hash_ = db.execute(sa.select(a.c.hash).where(a.c.seq == anchored.seq)).scalar()
    if hash_ == anchored.hash:
        return ""
    known = f"event {anchored.seq} of its audit log was anchored at {anchored.at}"
    if head is None:
        found = "it holds no event at all"
    elif head.seq < anchored.seq:
        found = f"the log ends with event {head.seq} of {head.at}"
    else:
        found = f"event {anchored.seq} is another one now"
    return (
        f"the state database is older than its newest anchor, or another one: {known}, and {found}; nothing is written"
    )
