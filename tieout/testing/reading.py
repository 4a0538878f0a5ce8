"""The contract for reading: every record once, in full, as it is; or an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import cast

from tieout.connectors import Op
from tieout.errors import AuthError, NotFoundError, RecordError, RetriableError, SignInRequired, TieoutError
from tieout.model import (
    ZERO,
    AnyRecord,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Payment,
)
from tieout.testing.bench import Bench, Trouble, difference, expect, raises

_DERIVED = frozenset({"ref", "marker", "reported_balance", "reported_open", "reported_unapplied"})
UNKNOWN_IDS = ("999999999", "NO-SUCH-ID")


def names_its_company(b: Bench) -> None:
    """The same company each time; a connection set up for another one raises AuthError."""
    first, again = b.connector.company(), b.connector.company()
    expect(bool(first.id), "the company has no id")
    expect(first == again, "two readings of the company differ")
    with raises(AuthError, doing="company() on the books of another company"):
        b.harness.open("company").company()


def refuses_wrong_credentials(b: Bench) -> None:
    """Wrong credentials are AuthError (or SignInRequired) on the first read, and nothing is written."""
    if not b.harness.canaries:
        return
    customer = b.sample(Entity.CUSTOMER, 1)
    before = b.harness.received(), b.harness.count(Entity.CUSTOMER)
    wrong = b.harness.open("credentials")
    with raises(AuthError, SignInRequired, doing="company() with wrong credentials"):
        wrong.company()
    with raises(AuthError, SignInRequired, doing="pull with wrong credentials"):
        list(wrong.pull(Entity.CUSTOMER))
    if b.caps.can(Entity.CUSTOMER, Op.CREATE) and b.caps.synchronous:
        with raises(TieoutError, doing="create with wrong credentials"):
            wrong.create(customer, key="K", marker="M")
    expect(b.harness.count(Entity.CUSTOMER) == before[1], "a write with wrong credentials had an effect")


def declares_what_it_can_keep(b: Bench) -> None:
    """Capabilities name real entities and fields; what is identity or derived is not among the writable ones."""
    for entity, ops in b.caps.writes.items():
        expect(not ops or entity in b.caps.reads, f"{entity} can be written but not read: no write could be confirmed")
    for entity in b.readable():
        sample = b.sample(entity, 1)
        unknown = b.fields(entity) - frozenset(type(sample).model_fields)
        expect(not unknown, f"{entity} has no field {sorted(unknown)}")
        expect(not b.fields(entity) & _DERIVED, f"{entity}: {sorted(b.fields(entity) & _DERIVED)} is never written")
        if b.able(Op.CREATE):
            expect(bool(b.fields(entity)) or not b.caps.writes.get(entity), f"{entity} is written, but no field is")


def lists_every_record_once(b: Bench) -> None:
    """0, 1, a page, a page and one, two pages and one: the ids of the list are exactly those of the books."""
    page = b.harness.page_size
    for entity in b.readable():
        for n in range(2 * page + 2):
            known = {b.put(entity, n)} if n else set()
            if n not in (0, 1, page, page + 1, 2 * page, 2 * page + 1):
                continue
            found, pull = b.pull(entity)
            there = b.harness.count(entity)
            expect(known <= set(found), f"{entity} {sorted(known)} was entered and is not listed among {len(found)}")
            expect(len(found) == there, f"{len(found)} {entity} are listed, {there} are in the books")
            expect(pull.full, f"a read of {entity} without a cursor is not a full one")
            expect(pull.complete or not there, f"a full read of {there} healthy {entity} is not complete")


def lists_the_same_twice(b: Bench) -> None:
    """Nothing changed: a second list has the same records, versions and existence."""
    for entity in b.readable():
        for n in (1, 2):
            b.put(entity, n)
        first, again = b.all(entity), b.all(entity)
        expect(set(first) == set(again), f"two lists of {entity} differ in their ids")
        for id, seen in first.items():
            expect(seen.record == again[id].record, f"{entity} {id!r} differs between two lists")
            expect(seen.version == again[id].version, f"the version of {entity} {id!r} moved by itself")


def reads_what_was_entered(b: Bench) -> None:
    """Amounts, dates, currency, customer, texts and applications as a user entered them, and the right state."""
    for entity in b.readable():
        wanted = {}
        for n in (1, 2, 3):
            record = b.sample(entity, n)
            wanted[b.harness.put(record)] = record
        b.harness.exchange()
        found = b.all(entity)
        for id, record in wanted.items():
            expect(id in found, f"{entity} {id!r} was entered and is not listed")
            held = found[id].record
            expect(type(held) is type(record), f"{entity} {id!r} reads as {held}")
            facts = frozenset(type(record).model_fields) & _FACTS
            wrong = difference(record, cast("AnyRecord", held), b.fields(entity) | facts)
            expect(not wrong, f"{entity} {id!r}: {wrong}")


# Facts that are read whether or not they can be written.
_FACTS = frozenset({"customer", "currency", "issued", "posted", "received", "total", "amount", "state", "name"})


def adds_up(b: Bench) -> None:
    """The total is subtotal − discount + tax; open and unapplied amounts follow from all applications and credits."""
    if Entity.INVOICE not in b.readable():
        return
    with_money = [e for e in (Entity.PAYMENT, Entity.CREDIT_MEMO) if e in b.readable()]
    for entity in (Entity.INVOICE, *with_money):
        b.put(entity, 3)
    money = [b.record(e, id) for e in with_money for id in b.all(e)]
    applied: dict[str, Decimal] = {}
    used: dict[str, Decimal] = {}
    for record in money:
        assert isinstance(record, Payment | CreditMemo)
        for a in record.applications:
            if a.reversed_on is None:
                applied[a.invoice] = applied.get(a.invoice, ZERO) + a.amount_invoice
        for c in record.credits if isinstance(record, Payment) else ():
            used[c.credit_memo] = used.get(c.credit_memo, ZERO) + c.amount
    for record in [b.record(Entity.INVOICE, id) for id in b.all(Entity.INVOICE)] + money:
        _adds_up(record, applied, used, told=b.caps.derives_open)


def _adds_up(record: AnyRecord, applied: Mapping[str, Decimal], used: Mapping[str, Decimal], *, told: bool) -> None:
    where = f"{record.entity} {record.ref.id!r}"
    if isinstance(record, Invoice | CreditMemo):
        total = record.subtotal - record.discount + record.tax
        expect(record.total == total, f"{where}: total {record.total}, parts {total}")
    if isinstance(record, Invoice):
        left, stated = record.total - record.deposit_applied - applied.get(record.ref.id, ZERO), record.reported_open
    else:
        assert isinstance(record, CreditMemo | Payment)
        own = sum((a.amount for a in record.applications if a.reversed_on is None), ZERO)
        if isinstance(record, CreditMemo):
            left, stated = record.total - own - used.get(record.ref.id, ZERO), record.reported_open
        else:
            left = record.amount + sum((c.amount for c in record.credits), ZERO) - own
            stated = record.reported_unapplied
    expect(not told or stated == left, f"{where}: {left} open by its applications, {stated} by the system")


def reads_by_id_what_it_lists(b: Bench) -> None:
    for entity in b.readable():
        for n in (1, 2):
            b.put(entity, n)
        for id, listed in b.all(entity).items():
            single = b.look(entity, id)
            expect(single.record == listed.record, f"{entity} {id!r} differs between the list and reading by id")
            expect(single.version == listed.version, f"{entity} {id!r}: version {listed.version!r} in the list only")
            expect(single.existence is listed.existence, f"{entity} {id!r}: existence differs from the list")


def knows_what_is_not_there(b: Bench) -> None:
    """An id that never was, or was deleted, is NotFoundError; never None, never another record."""
    for entity in b.readable():
        id = b.put(entity, 1)
        for nobody in UNKNOWN_IDS:
            with raises(NotFoundError, doing=f"get of {entity} {nobody!r}"):
                b.connector.get(entity, nobody)
        if entity is not Entity.CUSTOMER:
            b.harness.delete(entity, id)
            with raises(NotFoundError, doing=f"get of the deleted {entity} {id!r}"):
                b.connector.get(entity, id)


def drops_deleted_records_only(b: Bench) -> None:
    """What a user deleted is no longer listed; everything else still is, and nothing live is called deleted."""
    for entity in b.readable():
        if entity is Entity.CUSTOMER:
            continue
        ids = [b.put(entity, n) for n in (1, 2, 3)]
        b.all(entity)
        b.harness.delete(entity, ids[1])
        b.harness.exchange()
        found = b.all(entity)
        live = {id for id, seen in found.items() if seen.existence is not Existence.DELETED}
        expect(ids[1] not in live, f"{entity} {ids[1]!r} was deleted and is listed as live")
        expect({ids[0], ids[2]} <= live, f"{entity}: a live record is missing or called deleted")
        expect(len(live) == b.harness.count(entity), f"{entity}: {len(live)} live in the list, not as in the books")


def lists_inactive_customers(b: Bench) -> None:
    """Inactive is not absent: a customer that was made inactive is listed, as INACTIVE."""
    ids = [b.put(Entity.CUSTOMER, n) for n in (1, 2)]
    b.harness.edit(Entity.CUSTOMER, ids[0], active=False)
    b.harness.exchange()
    found = b.all(Entity.CUSTOMER)
    expect(ids[0] in found, "an inactive customer is not listed")
    held = found[ids[0]].record
    expect(found[ids[0]].existence is Existence.INACTIVE, "an inactive customer is not observed as INACTIVE")
    expect(isinstance(held, Customer) and not held.active, "an inactive customer reads as active")
    expect(found[ids[1]].existence is Existence.LIVE, "an active customer is not observed as LIVE")


def shows_voids(b: Bench) -> None:
    """A document that a user voided is still listed, with its number, as VOIDED and with nothing open."""
    for entity in b.readable():
        if entity not in b.harness.voidable:
            expect(not b.caps.can(entity, Op.VOID), f"the connector claims to void {entity}, which the system does not")
            continue
        id = b.put(entity, 2)
        number = getattr(b.record(entity, id), "number", None)
        b.harness.void(entity, id)
        b.harness.exchange()
        found = b.all(entity)
        expect(id in found, f"the voided {entity} {id!r} is not listed")
        held = found[id].record
        expect(b.voided(held) if held and not isinstance(held, RecordError) else False, f"a void {entity} reads {held}")
        expect(found[id].existence is Existence.LIVE, f"a voided {entity} is observed as {found[id].existence}")
        expect(getattr(held, "number", None) == number, f"a voided {entity} lost its number")
        if b.caps.derives_open:
            left = getattr(held, "reported_open", None) or getattr(held, "reported_unapplied", None) or ZERO
            expect(left == ZERO, f"a voided {entity} has {left} open")


def sets_bad_records_aside(b: Bench) -> None:
    """An unreadable record is a RecordError that says where and why; it hides no other, and is not absent.

    What a record is may be the very thing that cannot be read: then it may stand under several entities.
    """
    spoiled: set[str | None] = set()
    for entity in b.readable():
        ids = [b.put(entity, n) for n in (1, 2, 3)]
        b.harness.corrupt(entity, ids[1])
        b.harness.exchange()
        b.connector.company()
        errors, good = [], set()
        for seen in b.connector.pull(entity):
            if isinstance(seen.record, RecordError):
                errors.append(seen.record)
                expect(seen.existence is not Existence.DELETED, f"an unreadable {entity} is called deleted")
            else:
                b.orderly(seen, entity)
                good.add(seen.id)
        expect({ids[0], ids[2]} <= good, f"an unreadable {entity} hides readable ones")
        fresh = [bad for bad in errors if bad.ref not in spoiled]
        expect(len(fresh) == 1, f"one {entity} more is unreadable, {len(fresh)} are reported")
        bad = fresh[0]
        expect(bool(bad.source and bad.path and bad.reason), f"the RecordError does not say where and why: {bad}")
        expect(bad.ref in (ids[1], None), f"the RecordError names {bad.ref!r} instead of {ids[1]!r}")
        spoiled.add(bad.ref)


def raises_when_a_page_fails(b: Bench) -> None:
    """A list whose later page fails raises; it never ends early as if it were whole."""
    for entity in b.readable():
        for n in range(b.harness.page_size + 2):
            b.put(entity, n)
        with b.harness.trouble(Trouble.BROKEN_PAGE):
            _raises_or_admits(b, entity, "whose second page fails")
        found, pull = b.pull(entity)
        expect(len(found) == b.harness.count(entity) and pull.complete, f"{entity} stay unreadable after the trouble")


def notices_a_short_list(b: Bench) -> None:
    """A list that lacks records without saying so is not called complete."""
    for entity in b.readable():
        for n in range(3):
            b.put(entity, n)
        with b.harness.trouble(Trouble.SHORT_LIST):
            _raises_or_admits(b, entity, "that lacks records", may_admit=True)


def _raises_or_admits(b: Bench, entity: Entity, what: str, *, may_admit: bool = False) -> None:
    """Raise, or (files, and lists that came without error) admit that the list is not complete."""
    admitted = may_admit or not b.caps.synchronous
    try:
        b.connector.company()
        pull = b.connector.pull(entity)
        ids = [seen.id for seen in pull]
    except TieoutError as error:
        temporary = isinstance(error, RetriableError) or admitted
        expect(temporary, f"a list of {entity} {what} raises {type(error).__name__}, not RetriableError")
        return
    expect(admitted, f"a list of {entity} {what} ends without an error after {len(ids)} records")
    expect(not pull.complete, f"a list of {entity} {what} is called complete with {len(ids)} records")


def raises_when_the_system_is_down(b: Bench) -> None:
    """Throttled or broken, a read raises RetriableError: no empty list, no missing record."""
    entity = b.readable()[0]
    id = b.put(entity, 1)
    for kind in (Trouble.THROTTLED, Trouble.BROKEN):
        with b.harness.trouble(kind):
            with raises(RetriableError, doing=f"pull while {kind}"):
                list(b.connector.pull(entity))
            if b.caps.by_id:
                with raises(RetriableError, doing=f"get while {kind}"):
                    b.connector.get(entity, id)
    expect(b.look(entity, id).id == id, "the connector does not recover after the trouble")


def tells_closed_periods(b: Bench) -> None:
    expect(b.connector.company().closed_through() is None, "books that nobody closed are reported closed")
    b.harness.close_books(date(2026, 1, 31))
    told = b.connector.company().closed_through()
    expect(told == date(2026, 1, 31), f"books closed through 2026-01-31 are reported as {told}")


def states_control_balances(b: Bench) -> None:
    """Before a document, on its day (inclusive) and after: signed balances by currency, of this connection."""
    if Entity.INVOICE not in b.readable():
        return
    id = b.put(Entity.INVOICE, 1)
    held = b.record(Entity.INVOICE, id)
    assert isinstance(held, Invoice)
    for balance in b.connector.control_balances(held.posted):
        expect(balance.connection == b.connector.name, f"a control balance of {balance.connection}")
        expect(balance.as_of == held.posted, f"a control balance as of {balance.as_of}, not {held.posted}")
        expect(balance.amount == held.total, f"receivables of {balance.amount}, not {held.total}")
