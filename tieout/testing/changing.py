"""The contract for changing, voiding and deleting: the version that was read, in place, and nothing besides."""

from __future__ import annotations

from contextlib import suppress

from tieout.connectors import Observation, Op, Written
from tieout.errors import (
    NotFoundError,
    RecordError,
    Rejected,
    StaleWrite,
    UnknownOutcome,
)
from tieout.model import ZERO, Entity, Existence, Payment
from tieout.testing.bench import Bench, Trouble, difference, expect, key, marker, raises


def says_unknown_when_an_update_is_lost(b: Bench) -> None:
    """Updates and voids, too, are sent once, and a lost answer is UnknownOutcome."""
    for entity in b.able(Op.CREATE, Op.UPDATE):
        seen = b.create(b.sample(entity, 1), key(entity), marker(entity))
        held = b.record(entity, seen.id)
        sent = b.harness.received()
        with b.harness.trouble(Trouble.LOST_ANSWER):
            with raises(UnknownOutcome, doing=f"an update of {entity} whose answer is lost"):
                b.connector.update(b.changed(held, "unheard"), before=seen, key=key(entity, "u"))
            tries = b.harness.received() - sent
            expect(tries == 1, f"an update of {entity} without an answer was sent {tries} times")
        now = b.record(entity, seen.id)
        expect(getattr(now, b.harness.editable[entity]) == "unheard", "a lost update cannot be read back")
        if not b.caps.can(entity, Op.VOID):
            continue
        fresh, sent = b.look(entity, seen.id), b.harness.received()
        with (
            b.harness.trouble(Trouble.LOST_ANSWER),
            raises(UnknownOutcome, doing=f"a void of {entity} whose answer is lost"),
        ):
            b.connector.void(fresh, key=key(entity, "v"))
        expect(b.harness.received() - sent == 1, f"a void of {entity} without an answer was sent more than once")
        expect(b.voided(b.record(entity, seen.id)), "a lost void cannot be read back")


def updates_in_place(b: Bench) -> None:
    """One field changes: same id, as many records as before, a new version, every other field as it was."""
    for entity in b.able(Op.UPDATE):
        id = b.put(entity, 1)
        field = b.harness.editable[entity]
        seen = b.look(entity, id)
        held = b.record(entity, id)
        there, kept = b.harness.count(entity), dict(b.harness.unmapped(entity, id))
        expect(bool(kept), f"the harness shows no unmapped field of {entity}: the check would be empty")
        after = b.update(b.changed(held, "told anew"), seen, key(entity))
        expect(b.harness.count(entity) == there, f"an update left {b.harness.count(entity) - there} {entity} more")
        now = b.record(entity, id)
        expect(getattr(now, field) == "told anew", f"the update of {field} reads as {getattr(now, field)!r}")
        rest = frozenset(type(now).model_fields) - {field, "ref"}
        wrong = difference(held, now, rest)
        expect(not wrong, f"an update of {field} changed more: {wrong}")
        expect(dict(b.harness.unmapped(entity, id)) == kept, f"an update of {entity} lost or changed unmapped fields")
        if b.caps.versioned:
            expect(after.version != seen.version, f"an updated {entity} keeps its version {seen.version!r}")


def re_applies_money(b: Bench) -> None:
    """A payment is set against another invoice than before: the same payment, nothing else of it, and no second one."""
    record = b.sample(Entity.PAYMENT, 1)
    other = b.sample(Entity.PAYMENT, 2)
    assert isinstance(record, Payment)
    assert isinstance(other, Payment)
    if "applications" not in b.fields(Entity.PAYMENT) or not record.applications:
        return
    seen = b.create(record, key("p"), marker("p"))
    held = b.record(Entity.PAYMENT, seen.id)
    there = b.harness.count(Entity.PAYMENT)
    [was] = record.applications
    [onto] = other.applications
    amount = was.amount / 2
    share = was.model_copy(update={"invoice": onto.invoice, "amount": amount, "amount_invoice": amount})
    wanted = held.model_copy(update={"applications": (share,)})
    b.update(wanted, seen, key("p", "again"))
    now = b.record(Entity.PAYMENT, seen.id)
    assert isinstance(now, Payment)
    stand = {a.invoice: a.amount for a in now.applications if a.reversed_on is None}
    expect(stand == {onto.invoice: amount}, f"a payment that was re-applied stands at {stand}")
    expect(b.harness.count(Entity.PAYMENT) == there, "re-applying a payment made another")
    wrong = difference(held, now, frozenset(type(now).model_fields) - {"applications", "reported_unapplied", "ref"})
    expect(not wrong, f"re-applying a payment changed more: {wrong}")


def changes_are_pending_until_seen(b: Bench) -> None:
    """Without acknowledgement a change is pending, does nothing before the import, and is handed over once."""
    for entity in b.able(Op.VOID):
        id = b.put(entity, 1)
        seen = b.look(entity, id)
        expect(b.connector.void(seen, key=key(entity, "v")).pending, f"a void of {entity} is not pending")
        b.harness.exchange()
        expect(not b.voided(b.record(entity, id)), f"a void of {entity} had an effect before it was handed over")
        seen = b.look(entity, id)
        expect(b.connector.void(seen, key=key(entity, "v")).pending, f"a void of {entity} is not pending")
        expect(bool(b.connector.flush(run=f"v-{entity}")), "flush hands no void over")
        sent = b.harness.received()
        expect(b.connector.void(seen, key=key(entity, "v")).pending, "a void that was handed over is not pending")
        expect(b.connector.flush(run=f"w-{entity}") == [], "the same void is handed over twice")
        expect(b.harness.received() == sent, "the same void reached the system twice")
        b.harness.exchange()
        expect(b.voided(b.record(entity, id)), f"a void of {entity} that was handed over has no effect")


def gives_a_new_version_to_each_change(b: Bench) -> None:
    """A user's change, too, gives a new version."""
    for entity in b.readable():
        id = b.put(entity, 1)
        versions = [b.look(entity, id).version]
        for text in ("one", "two"):
            b.edit(entity, id, text)
            versions.append(b.look(entity, id).version)
        expect(len(set(versions)) == 3, f"two changes of a {entity} give the versions {versions}")


def answers_with_what_it_left(b: Bench) -> None:
    """What an answer says of version and record is what is read right after it: who reads something else knows that
    somebody was there in between.
    """
    for entity in b.able(Op.CREATE):
        written = b.connector.create(b.sample(entity, 1), key=key(entity), marker=marker(entity))
        seen = b.look(entity, written.id)
        _as_answered(written, seen)
        if b.caps.can(entity, Op.UPDATE):
            wanted = b.changed(b.record(entity, seen.id), "told anew")
            written = b.connector.update(wanted, before=seen, key=key(entity, "u"))
            _as_answered(written, b.look(entity, seen.id))


def _as_answered(written: Written, seen: Observation) -> None:
    where = f"the answer to a write of {seen.entity} {seen.id!r}"
    version = written.version
    expect(version in (None, seen.version), f"{where} names version {version!r}, and {seen.version!r} is read")
    if written.record is None or seen.record is None or isinstance(seen.record, RecordError):
        return
    derived = {"ref", "reported_open", "reported_unapplied", "reported_balance"}
    wrong = difference(written.record, seen.record, frozenset(type(seen.record).model_fields) - derived)
    expect(not wrong, f"{where} shows another record than is read: {wrong}")


def refuses_stale_versions(b: Bench) -> None:
    """A write on an older reading is StaleWrite, and nothing changed; on a new reading it goes through."""
    for entity in b.able(Op.UPDATE):
        id = b.put(entity, 1)
        old = b.look(entity, id)
        held = b.record(entity, id)
        b.edit(entity, id, "theirs")
        now = b.look(entity, id)
        with raises(StaleWrite, doing=f"an update of a {entity} that moved"):
            b.connector.update(b.changed(held, "ours"), before=old, key=key(entity, "u"))
        if b.caps.can(entity, Op.VOID):
            with raises(StaleWrite, doing=f"a void of a {entity} that moved"):
                b.connector.void(old, key=key(entity, "v"))
        expect(b.look(entity, id).record == now.record, f"a refused update changed the {entity}")
        expect(b.look(entity, id).version == now.version, f"a refused update moved the version of the {entity}")
        b.update(b.changed(b.record(entity, id), "ours"), now, key(entity, "w"))
        expect(getattr(b.record(entity, id), b.harness.editable[entity]) == "ours", "a fresh update has no effect")


def moves_only_what_differs(b: Bench) -> None:
    """Without versions: a user's change of another field since the reading survives our update."""
    for entity in b.able(Op.UPDATE):
        mine = b.harness.editable[entity]
        id = b.put(entity, 1)
        old = b.look(entity, id)
        held = b.record(entity, id)
        b.edit(entity, id, "theirs")
        with suppress(Rejected):  # refusing to write what changes nothing leaves it as it is
            b.update(held, old, key(entity))
        now = b.record(entity, id)
        expect(getattr(now, mine) == "theirs", f"an update that changes nothing put {mine} of the {entity} back")


def voids_and_keeps_the_number(b: Bench) -> None:
    """After a void the record is there, VOIDED, with its number and nothing open; a second void changes nothing."""
    for entity in b.able(Op.CREATE, Op.VOID):
        record = b.sample(entity, 1)
        seen = b.create(record, key(entity), marker(entity))
        number = getattr(seen.record, "number", None)
        there = b.harness.count(entity)
        after = b.void(seen, key(entity, "v"))
        held = b.record(entity, seen.id)
        expect(b.voided(held), f"a {entity} that was voided reads as {getattr(held, 'state', None)}")
        expect(after.existence is Existence.LIVE, f"a voided {entity} is observed as {after.existence}")
        expect(getattr(held, "number", None) == number, f"a voided {entity} has the number {number!r} no more")
        expect(b.harness.count(entity) == there, f"a void removed a {entity} or made one")
        expect(seen.id in b.all(entity), f"a voided {entity} is not listed")
        with suppress(Rejected, StaleWrite):  # refusing is as good as doing nothing: both leave it as it is
            b.void(b.look(entity, seen.id), key(entity, "again"))
        expect(
            b.record(entity, seen.id).model_copy(update={"ref": held.ref}) == held, "a second void changed the record"
        )


def frees_money_when_voiding(b: Bench) -> None:
    """A voided payment leaves nothing on its invoice."""
    if not (b.caps.can(Entity.PAYMENT, Op.VOID) and b.caps.states_applications and b.caps.derives_open):
        return
    record = b.sample(Entity.PAYMENT, 1)
    assert isinstance(record, Payment)
    invoice = record.applications[0].invoice
    total = b.open(invoice)
    seen = b.create(record, key("p"), marker("p"))
    b.void(seen, key("pv"))
    held = b.record(Entity.PAYMENT, seen.id)
    assert isinstance(held, Payment)
    expect(not held.applications, "a voided payment still names invoices")
    expect((held.reported_unapplied or ZERO) == ZERO, f"a voided payment has {held.reported_unapplied} unapplied")
    expect(b.open(invoice) == total, "a voided payment is still taken off its invoice")


def deletes_one_record(b: Bench) -> None:
    for entity in b.able(Op.CREATE, Op.DELETE):
        if entity is Entity.CUSTOMER:
            continue
        kept = b.create(b.sample(entity, 1), key(entity, 1), marker(entity, 1))
        gone = b.create(b.sample(entity, 2), key(entity, 2), marker(entity, 2))
        there = b.harness.count(entity)
        written = b.connector.delete(gone, key=key(entity, "d"))
        if written.pending:
            b.hand_over()
        expect(b.harness.count(entity) == there - 1, f"one delete removed {there - b.harness.count(entity)} {entity}")
        live = {i for i, o in b.all(entity).items() if o.existence is not Existence.DELETED}
        expect(kept.id in live and gone.id not in live, f"a delete removed the wrong {entity}")
        if b.caps.by_id:
            with raises(NotFoundError, doing=f"get of the deleted {entity}"):
                b.connector.get(entity, gone.id)
