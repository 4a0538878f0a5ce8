"""The contract for creating: sent once, refused in words that can be relied on, and nothing touched besides."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tieout.connectors import HandingOver, Op, Strategy, Written
from tieout.errors import (
    DuplicateNumber,
    NotProcessed,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    UnknownOutcome,
    WriteError,
)
from tieout.model import ZERO, AnyRecord, Entity, Invoice, Payment, Ref
from tieout.testing.bench import Bench, Trouble, difference, expect, key, marker, raises

_MONEY_AND_DATES = frozenset(
    {"total", "subtotal", "discount", "tax", "amount", "issued", "posted", "received", "due", "currency", "customer"}
)


def represents_idempotently(b: Bench) -> None:
    """Representing twice is representing once; a plain sample is kept whole; money, dates and currency always are."""
    for entity in b.able(Op.CREATE):
        plain = b.sample(entity, 1)
        lost = difference(plain, b.connector.represent(plain), b.fields(entity))
        expect(not lost, f"a plain {entity} cannot be kept, though the field is declared: {lost}")
        long = plain.model_copy(update=dict.fromkeys(_texts(plain), "Ab cd-" * 900))
        once = b.connector.represent(long)
        again = difference(once, b.connector.represent(once), frozenset(type(once).model_fields))
        expect(not again, f"represent is not idempotent on {entity}: {again}")
        facts = _MONEY_AND_DATES & b.fields(entity)
        expect(not difference(long, once, facts), f"represent changes {difference(long, once, facts)}")


def _texts(record: AnyRecord) -> list[str]:
    return [n for n in ("name", "number", "reference", "memo", "reason") if isinstance(getattr(record, n, None), str)]


def refuses_what_it_cannot_write(b: Bench) -> None:
    """An operation outside the capabilities is ReadOnlyError before anything is sent."""
    sent = b.harness.received()
    for entity in Entity:
        readable = entity in b.caps.reads
        record = b.sample(entity, 1) if readable else None
        seen = b.look(entity, b.put(entity, 2)) if readable else None
        for op in Op:
            if b.caps.can(entity, op) or record is None or seen is None or seen.record is None:
                continue
            if op is Op.UPDATE and isinstance(seen.record, RecordError):
                continue
            with raises(ReadOnlyError, doing=f"{op} of {entity}, which is not declared,"):
                _perform(b, op, record, seen)
    expect(b.connector.flush(run="none") == [], "a refused write was handed over")
    expect(b.harness.received() == sent, "a refused write reached the system")


def _perform(b: Bench, op: Op, record: AnyRecord, seen: Any) -> Written:
    match op:
        case Op.CREATE:
            return b.connector.create(record, key=key("x"), marker=marker("x"))
        case Op.UPDATE | Op.APPLY:
            return b.connector.update(seen.record, before=seen, key=key("x"))
        case Op.VOID:
            return b.connector.void(seen, key=key("x"))
        case Op.DELETE:
            return b.connector.delete(seen, key=key("x"))


def creates_what_it_was_given(b: Bench) -> None:
    """Create, then read: represent(record) in every declared field, and one record more in the books."""
    for entity in b.able(Op.CREATE):
        for n in (1, 2):
            record = b.sample(entity, n)
            there = b.harness.count(entity)
            elsewhere = Ref(connection="elsewhere", id="OTHER-7", number="77", version="9")
            given = record if n == 1 else record.model_copy(update={"ref": elsewhere})
            seen = b.create(given, key(entity, n), marker(entity, n))
            held = b.record(entity, seen.id)
            wrong = difference(b.connector.represent(record), held, b.fields(entity))
            expect(not wrong, f"the {entity} just created: {wrong}")
            expect(not b.voided(held), f"a posted {entity} is created as voided")
            expect(b.harness.count(entity) == there + 1, f"one create made {b.harness.count(entity) - there} {entity}")
            expect(seen.id in b.all(entity), f"the {entity} just created is not listed")


def takes_money_applied(b: Bench) -> None:
    """A payment's application lowers what is open; taking it off, where that is possible, raises it again."""
    if not b.caps.states_applications or "applications" not in b.fields(Entity.PAYMENT):
        return
    record = b.sample(Entity.PAYMENT, 1)
    assert isinstance(record, Payment)
    invoice = record.applications[0].invoice
    total = b.open(invoice)
    seen = b.create(record, key("pay"), marker("pay"))
    expect(b.open(invoice) == total - record.applications[0].amount, "an application does not lower the open amount")
    if b.caps.can(Entity.PAYMENT, Op.APPLY):
        bare = record.model_copy(update={"applications": ()})
        after = b.update(bare, seen, key("unapply")).record
        expect(isinstance(after, Payment) and after.applications == (), "an application cannot be taken off")
        assert isinstance(after, Payment)
        expect(after.amount == record.amount, f"unapplying changed the amount of the payment to {after.amount}")
        expect(b.open(invoice) == total, "taking an application off does not open the invoice again")


def keeps_its_marker_out_of_the_memo(b: Bench) -> None:
    """The marker is read back as `marker`, not as part of any text, and survives an update of those texts."""
    for entity in b.able(Op.CREATE):
        mine = marker("memo", entity)
        seen = b.create(b.sample(entity, 1), key("memo", entity), mine)
        if seen.record is None or isinstance(seen.record, RecordError) or seen.record.marker is None:
            expect(not b.caps.searchable, f"a {entity} created with a marker carries none")
            continue
        held = seen.record
        expect(held.marker == mine, f"the marker {mine} comes back as {held.marker}")
        texts = {name: str(getattr(held, name)) for name in b.fields(entity)}
        found = [name for name, text in texts.items() if mine in text]
        expect(not found, f"the marker of a {entity} shows in {found}")
        if b.caps.can(entity, Op.UPDATE):
            after = b.update(b.changed(held, "told anew"), seen, key("memo2", entity)).record
            kept = None if after is None or isinstance(after, RecordError) else after.marker
            expect(kept == mine, f"an update turned the marker {mine} into {kept}")


def writes_once_per_key(b: Bench) -> None:
    """The same key again, at once and at the end of the window, is the same record; another key is another record."""
    for entity in b.able(Op.CREATE):
        record, other = b.sample(entity, 1), b.sample(entity, 2)
        there = b.harness.count(entity)
        first = b.connector.create(record, key=key(entity), marker=marker(entity))
        b.harness.advance(b.caps.key_window - 1)
        for again in (b.connector, b.harness.open()):
            repeated = again.create(record, key=key(entity), marker=marker(entity))
            expect(repeated.id == first.id, f"the same key made {first.id!r} and {repeated.id!r}")
        expect(b.harness.count(entity) == there + 1, f"one key made {b.harness.count(entity) - there} {entity}")
        second = b.connector.create(other, key=key(entity, 2), marker=marker(entity, 2))
        expect(second.id != first.id, "another key is answered with the same record")
        expect(b.harness.count(entity) == there + 2, "another key made no record")


def refuses_a_number_in_use(b: Bench) -> None:
    """The same number or marker again is DuplicateNumber, and one record is there."""
    for entity in b.able(Op.CREATE):
        record = b.sample(entity, 1)
        there = b.harness.count(entity)
        first = b.connector.create(record, key=key(entity), marker=marker(entity))
        with raises(DuplicateNumber, doing=f"a second create of the same {entity}"):
            try:
                b.connector.create(record, key=key(entity), marker=marker(entity))
            except DuplicateNumber as error:
                expect(error.existing_id in (first.id, ""), f"the duplicate is said to be {error.existing_id!r}")
                raise
        expect(b.harness.count(entity) == there + 1, f"one number made {b.harness.count(entity) - there} {entity}")


def says_unknown_when_an_answer_is_lost(b: Bench) -> None:
    """A lost answer is UnknownOutcome after exactly one request; the record is found again, and not made twice."""
    for entity in b.able(Op.CREATE):
        record = b.sample(entity, 1)
        there, sent = b.harness.count(entity), b.harness.received()
        with (
            b.harness.trouble(Trouble.LOST_ANSWER),
            raises(UnknownOutcome, doing=f"a create of {entity} whose answer is lost"),
        ):
            b.connector.create(record, key=key(entity), marker=marker(entity))
        tries = b.harness.received() - sent
        expect(tries == 1, f"a create of {entity} without an answer was sent {tries} times")
        b.harness.advance(b.caps.settle + 1)
        found = [o.id for o in b.connector.search(entity, marker=marker(entity), like=record)]
        expect(len(found) == 1, f"after a lost answer, search finds {len(found)} {entity}")
        again = b.harness.open()
        if b.caps.strategy is Strategy.IDEMPOTENCY_KEY and b.caps.settle < b.caps.key_window:
            repeated = again.create(record, key=key(entity), marker=marker(entity))
            expect(repeated.id == found[0], f"after a lost answer the same key makes {repeated.id!r}")
        elif b.caps.strategy is Strategy.UNIQUE_NUMBER:
            with raises(DuplicateNumber, doing=f"a repeated create of {entity} after a lost answer"):
                again.create(record, key=key(entity), marker=marker(entity))
        expect(b.harness.count(entity) == there + 1, f"{b.harness.count(entity) - there} {entity} after a lost answer")


def does_nothing_when_throttled(b: Bench) -> None:
    """Throttled, a write is NotProcessed and had no effect; on an internal error nothing is claimed to be done."""
    entity = b.able(Op.CREATE)[0]
    record = b.sample(entity, 1)
    there = b.harness.count(entity)
    with b.harness.trouble(Trouble.THROTTLED), raises(NotProcessed, NotSent, doing="a create while throttled"):
        b.connector.create(record, key=key("t"), marker=marker("t"))
    with (
        b.harness.trouble(Trouble.BROKEN),
        raises(UnknownOutcome, NotProcessed, NotSent, doing="a create while broken"),
    ):
        b.connector.create(record, key=key("b"), marker=marker("b"))
    expect(b.harness.count(entity) == there, "a refused create had an effect")


def rejects_unknown_references(b: Bench) -> None:
    """A document of a customer that does not exist is Rejected, with no effect."""
    entity = b.document(Op.CREATE)
    if entity is None:
        return
    record = b.sample(entity, 1).model_copy(update={"customer": "999999999"})
    there = b.harness.count(entity)
    with raises(Rejected, doing=f"a {entity} of a customer that does not exist"):
        b.connector.create(record, key=key("ref"), marker=marker("ref"))
    expect(b.harness.count(entity) == there, "a rejected create had an effect")


def refuses_fractions_of_a_cent(b: Bench) -> None:
    """An amount finer than its currency is Rejected, not rounded, and never sent or handed over."""
    for entity in b.able(Op.CREATE):
        record = b.sample(entity, 1)
        if not isinstance(record, Payment | Invoice):
            continue
        there = b.harness.count(entity)
        finer = {"amount": Decimal("10.005"), "applications": ()}
        if isinstance(record, Invoice):
            lines = tuple(
                line.model_copy(update={"net": Decimal("10.005"), "unit_price": None}) for line in record.lines
            )
            total = {"subtotal": Decimal("10.005"), "total": Decimal("10.005")}
            finer = {"lines": lines, "tax": ZERO, "tax_lines": (), **total}
        with raises(Rejected, NotSent, doing=f"a create of {entity} over 10.005"):
            b.connector.create(
                record.model_copy(update=finer), key=key("finer", entity), marker=marker("finer", entity)
            )
        expect(b.connector.flush(run=f"finer-{entity}") == [], "a refused write was handed over")
        expect(b.harness.count(entity) == there, f"a {entity} over 10.005 was written")


def keeps_closed_periods(b: Bench) -> None:
    """A document dated in a closed period (the closing day included) is PeriodClosed, with no effect."""
    entity = b.document(Op.CREATE)
    if entity is None:
        return
    record = b.sample(entity, 1)
    day = getattr(record, "posted")  # noqa: B009  a customer has none, a document does
    old = b.put(entity, 2)
    seen = b.look(entity, old)
    b.harness.close_books(day + timedelta(days=40))
    there = b.harness.count(entity)
    with raises(PeriodClosed, doing=f"a {entity} dated in a closed period"):
        b.connector.create(record, key=key("closed"), marker=marker("closed"))
    if b.caps.can(entity, Op.VOID):
        with raises(PeriodClosed, doing=f"a void of a {entity} dated in a closed period"):
            b.connector.void(seen, key=key("closed", "void"))
        expect(not b.voided(b.record(entity, old)), "a void in a closed period was carried out")
    expect(b.harness.count(entity) == there, "a create in a closed period had an effect")


def finds_by_marker(b: Bench) -> None:
    """Search finds exactly the records that carry a marker, and by likeness those that could be the one."""
    for entity in b.able(Op.CREATE):
        first, second = b.sample(entity, 1), b.sample(entity, 2)
        one = b.create(first, key(entity, 1), marker(entity, 1))
        two = b.create(second, key(entity, 2), marker(entity, 2))
        b.harness.advance(b.caps.settle + 1)
        for seen, n in ((one, 1), (two, 2)):
            found = [o.id for o in b.connector.search(entity, marker=marker(entity, n))]
            expect(found == [seen.id], f"search for the marker of {entity} {seen.id!r} finds {found}")
        found = [o.id for o in b.connector.search(entity, marker=marker("nobody"))]
        expect(found == [], f"search for a marker that no {entity} carries finds {found}")
        found = [o.id for o in b.connector.search(entity, like=second)]
        expect(two.id in found, f"search for {entity} like {two.id!r} finds {found}")
        expect(one.id not in found, f"search for {entity} like {two.id!r} finds {one.id!r}, which differs in amount")


def is_pending_until_seen(b: Bench) -> None:
    """Without acknowledgement an answer is pending, nothing shows before the import, one row is one record."""
    for entity in b.able(Op.CREATE):
        there = b.harness.count(entity)
        written = b.connector.create(b.sample(entity, 1), key=key(entity), marker=marker(entity))
        expect(written.pending, "a create without acknowledgement is not pending")
        expect(key(entity) not in _handed_over(b), "what only waits counts as handed over")
        expect(b.harness.count(entity) == there, "a row had an effect before it was handed over")
        expect(bool(b.connector.flush(run=f"r-{entity}")), "flush hands nothing over")
        expect(key(entity) in _handed_over(b), "what was handed over is not known to have been")
        expect(b.connector.flush(run=f"s-{entity}") == [], "a second flush hands over again")
        b.harness.exchange()
        expect(b.harness.count(entity) == there + 1, f"one row made {b.harness.count(entity) - there} {entity}")
        b.harness.exchange()
        expect(b.harness.count(entity) == there + 1, f"a file that was loaded already made another {entity}")


def _handed_over(b: Bench) -> Collection[str]:
    """As a process knows it that was not there: the run that handed over may have died."""
    later = b.harness.open()
    assert isinstance(later, HandingOver), "a connector that writes files says which writes left (`handed_over`)"
    return later.handed_over()


def hands_over_nothing_by_itself(b: Bench) -> None:
    expect(b.connector.flush(run="r") == [], "flush of a synchronous connector names files")


def keeps_its_secrets(b: Bench) -> None:
    """No secret in a repr or an error. (Every check also looks for them in the logs and in each error it meets.)"""
    texts = [repr(b.connector), str(b.connector), repr(b.caps), repr(b.connector.company())]
    try:
        b.harness.open("credentials").company()
    except Exception as error:  # noqa: BLE001  whatever it is, it must not tell
        texts += [str(error), repr(error)]
    for entity in b.able(Op.CREATE)[:1]:
        written = b.connector.create(b.sample(entity, 1), key=key("s"), marker=marker("s"))
        texts.append(repr(written))
        if not b.caps.synchronous:
            continue
        with b.harness.trouble(Trouble.BROKEN):
            try:
                b.connector.create(b.sample(entity, 2), key=key("s2"), marker=marker("s2"))
            except WriteError as error:
                texts += [str(error), repr(error), repr(vars(error))]
    for secret in b.harness.canaries:
        shown = [text[:60] for text in texts if secret in text]
        expect(not shown, f"a secret shows in {len(shown)} texts, e.g. {shown[:1] and shown[0].replace(secret, '***')}")


def closes_quietly(b: Bench) -> None:
    b.connector.close()
    b.connector.close()
